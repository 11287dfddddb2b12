//! How values lie in a message body: the bounded reader, the writer that shares record bytes, and the tables from which
//! both follow. Knows nothing of APIs; those are declared in [`messages`](crate::messages).

mod field;
mod message;
mod reader;
mod record_bytes;
#[macro_use]
pub(crate) mod table;
mod writer;

pub use message::{Message, Request};
pub use reader::{DecodeError, Malformed};
pub use record_bytes::RecordBytes;
pub use writer::{EncodeError, Unwritable};

pub(crate) use field::Field;
pub(crate) use reader::Reader;
pub(crate) use writer::Writer;

/// What decides how a value lies in the bytes: the version, and whether it is a flexible one (KIP-482).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The message's version.
    pub version: i16,
    /// Compact lengths, and tagged fields behind every struct.
    pub flexible: bool,
}

#[cfg(test)]
mod tests;
