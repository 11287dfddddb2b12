//! Why a broker does not start, or no longer runs. Each variant reads as one clear sentence.

use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

use crate::{ConfigError, ListenAddress};

/// What `Broker::start` and a running broker can fail with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data directory cannot be created, written or understood.
    #[error("cannot use the data directory {}: {reason}", path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// Another process has the data directory.
    #[error("the data directory {} is in use by process {}", path.display(), pid.map_or("unknown".to_owned(), |pid: u32| pid.to_string()))]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The holder, if it could be read.
        pid: Option<u32>,
    },
    /// The data directory was made with another value of a setting that cannot change.
    #[error("the data directory {} was made with {key} = {kept}, not {asked}", path.display())]
    Mismatch {
        /// The directory.
        path: PathBuf,
        /// The setting.
        key: &'static str,
        /// What the directory has.
        kept: String,
        /// What was asked for.
        asked: String,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: ListenAddress,
        /// The system's words.
        reason: String,
    },
    /// A part of the supervision tree did not come up.
    #[error("the broker did not start: {reason}")]
    Start {
        /// Which part, and why.
        reason: String,
    },
    /// A part failed for good while the broker ran.
    #[error("the broker failed: {reason}")]
    Failed {
        /// Which part, and why.
        reason: String,
    },
}

/// What is said of a file of another version: the one it has, and the one that is known here.
pub(crate) struct OtherVersion<F, K>(pub(crate) F, pub(crate) K);

impl<F: Display, K: Display> Display for OtherVersion<F, K> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(found, known) = self;
        write!(
            f,
            "of version {found} and this callboard knows {known}: start the callboard that wrote it, or a newer one"
        )
    }
}
