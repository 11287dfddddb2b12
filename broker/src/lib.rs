//! The embedded broker: listener, connections and topic logs around the group coordinator.
