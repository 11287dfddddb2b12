//! Kafka's bytes: framing, messages declared in tables, error codes, record batches and the embedded consumer protocol.
//!
//! * [`frame`] cuts a stream into frames and makes frames of messages; [`header`] is what stands in front of a body.
//! * [`messages`] are requests and answers, each in all versions Kafka 4.2 knows. They borrow from the frame they are
//!   decoded from.
//! * [`consumer_protocol`] is what members of consumer groups tell each other inside of JoinGroup and SyncGroup.
//!
//! Pure: no socket, no clock, no task. Bytes from anywhere may be given to every reader here: they end in a value or in
//! a typed error, never in a panic, and take memory by what they are and not by what they announce.

#[macro_use]
mod wire;

mod api_key;
pub mod consumer_protocol;
mod error_code;
pub mod frame;
pub mod header;
pub mod messages;
pub mod records;
#[cfg(test)]
mod testing;
mod uuid;
pub(crate) mod varint;

pub use api_key::ApiKey;
pub use error_code::ErrorCode;
pub use uuid::Uuid;
pub use wire::{DecodeError, EncodeError, Malformed, Message, RecordBytes, Request, Unwritable};
