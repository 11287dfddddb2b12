//! Kafka's group coordinator: pure group state machines and the GroupCoordinator actor, for any broker.
