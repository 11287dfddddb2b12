//! Kafka's bytes: framing, messages declared in tables, error codes, record batches and the embedded consumer protocol.

pub(crate) mod varint;
