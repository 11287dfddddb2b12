//! Kafka's round-robin assignor.
