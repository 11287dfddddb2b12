//! What can go wrong with a measurement. Nothing is tried again to hide it: a row that failed has no figures.

use std::io;

use callboard_protocol::ErrorCode;
use thiserror::Error;

/// Why there are no figures.
#[derive(Debug, Error)]
pub(crate) enum BenchError {
    /// The request itself has to change.
    #[error("{0}")]
    Usage(String),
    /// The operating system refused.
    #[error("{doing}: {source}")]
    Io {
        /// What was tried.
        doing: String,
        /// What it said.
        source: io::Error,
    },
    /// An answer with an error code.
    #[error("{what} was answered {} ({})", code.name(), code.0)]
    Refused {
        /// What was asked.
        what: &'static str,
        /// The answer.
        code: ErrorCode,
    },
    /// Bytes that are not what Kafka answers.
    #[error("{what}: {reason}")]
    Protocol {
        /// What was asked.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A server did not start or did not live.
    #[error("{0}")]
    Server(String),
    /// The client under test did not do what was asked.
    #[error("{0}")]
    Client(String),
    /// Nothing came for too long.
    #[error("{0} took too long")]
    TimedOut(String),
}

impl From<callboard_client::ClientError> for BenchError {
    fn from(error: callboard_client::ClientError) -> Self {
        Self::Client(error.to_string())
    }
}

impl From<callboard_client::ConfigError> for BenchError {
    fn from(error: callboard_client::ConfigError) -> Self {
        Self::Client(error.to_string())
    }
}

impl From<callboard_consumer::ConsumerError> for BenchError {
    fn from(error: callboard_consumer::ConsumerError) -> Self {
        Self::Client(error.to_string())
    }
}

/// With the way the operating system's errors become ours.
pub(crate) trait Doing<T> {
    /// Says what was tried.
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, BenchError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, BenchError> {
        self.map_err(|source| BenchError::Io {
            doing: what(),
            source,
        })
    }
}

/// Zero is fine.
pub(crate) fn accepted(what: &'static str, code: i16) -> Result<(), BenchError> {
    match ErrorCode(code) {
        ErrorCode::NONE => Ok(()),
        code => Err(BenchError::Refused { what, code }),
    }
}
