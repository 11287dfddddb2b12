//! All messages at once: against bodies Kafka wrote, and against another codec.

mod golden;
mod peer;

use super::*;
use crate::{DecodeError, Message};

/// Comparing with what is decoded from bytes that live shorter than the value.
trait Reread {
    /// Whether these bytes are read as this very value.
    fn reread(&self, bytes: &[u8], version: i16) -> Result<bool, DecodeError>;
}

macro_rules! reread {
    ($($name:ident)*) => {
        $(impl Reread for $name<'_> {
            fn reread(&self, bytes: &[u8], version: i16) -> Result<bool, DecodeError> {
                $name::decode(bytes, version).map(|read| read == *self)
            }
        })*
    };
}

each_message!(reread);
