//! The trait of partition assignors, their view of a group, plans and a conformance kit.
