//! What every assignor is held to.

use lag_weighted::LagWeighted;

callboard_assignor::conformance!(
    LagWeighted,
    .groups(500).without(Check::Skew, "it is the lag that is even, not the count")
);
