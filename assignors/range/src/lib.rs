//! Kafka's range assignor, rack-aware as KIP-881.
