//! What a journal is opened with, and why it may not open.

use std::io;
use std::path::{Path, PathBuf};

use super::core::frame;
use super::core::segment::{
    CONTROL_ROOM_BYTES, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, SEGMENT_HEADER_BYTES,
};
use super::core::version::Other;
use crate::log::{BATCH_BYTES_MAX, Durability};

/// Most segments kept ready.
const RESERVE_SEGMENTS_MAX: usize = 16;

/// Where a journal lies and how it works. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalConfig {
    /// A directory of the journal's own; made if it is not there. Not on NFS.
    pub dir: PathBuf,
    /// Partitions of `__consumer_offsets`. Default 50; 1 to 10,000. May grow from one start to the next, not shrink below
    /// a partition that has been used.
    pub partitions: u32,
    /// Size of new segments. Default 16 MiB; 16 KiB to 1 GiB. Small ones are prepared often, large ones take long to make
    /// at the first start.
    pub segment_bytes: u64,
    /// Segments kept ready, so that neither a full disk nor the making of a segment stands in an append's way. Default 2;
    /// 0 to 16. With 0 an append that fills a segment waits for the next to be made.
    pub reserve_segments: usize,
    /// Largest batch. Default [`BATCH_BYTES_MAX`]; at least 1. What does not fit into a segment is refused as well.
    pub batch_bytes_max: usize,
    /// Most that is written before a flush. Default 8 MiB; at least 1 (one batch is always taken). Large rounds make
    /// their first append wait for their last.
    pub round_bytes_max: usize,
    /// Most that waits for its flush; appends beyond are refused as `Unavailable`. Default 64 MiB; at least 1.
    pub queued_bytes_max: usize,
    /// [`Durability::LocalFsync`], the default, or [`Durability::LocalMemory`]: no flush, so a power cut may take
    /// acknowledged appends and may leave a log that refuses to open. `Volatile` is refused.
    pub durability: Durability,
}

impl JournalConfig {
    /// A journal in `dir`, the rest by default.
    #[must_use]
    pub fn new(dir: impl AsRef<Path>) -> Self {
        Self {
            dir: dir.as_ref().to_owned(),
            partitions: 50,
            segment_bytes: 16 * 1024 * 1024,
            reserve_segments: 2,
            batch_bytes_max: BATCH_BYTES_MAX,
            round_bytes_max: 8 * 1024 * 1024,
            queued_bytes_max: 64 * 1024 * 1024,
            durability: Durability::LocalFsync,
        }
    }

    /// Whether every value is within its bounds.
    ///
    /// # Errors
    /// [`OpenError::Config`] with the first that is not.
    pub fn validate(&self) -> Result<(), OpenError> {
        let refuse = |key, reason: String| Err(OpenError::Config { key, reason });
        if !(1..=10_000).contains(&self.partitions) {
            return refuse("partitions", "must be from 1 to 10000".to_owned());
        }
        if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&self.segment_bytes) {
            let bounds = format!("must be from {SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX}");
            return refuse("segment_bytes", bounds);
        }
        if self.reserve_segments > RESERVE_SEGMENTS_MAX {
            let bounds = format!("must be at most {RESERVE_SEGMENTS_MAX}");
            return refuse("reserve_segments", bounds);
        }
        for (key, value) in [
            ("batch_bytes_max", self.batch_bytes_max),
            ("round_bytes_max", self.round_bytes_max),
            ("queued_bytes_max", self.queued_bytes_max),
        ] {
            if value == 0 {
                return refuse(key, "must be at least 1".to_owned());
            }
        }
        match self.durability {
            Durability::LocalFsync | Durability::LocalMemory => Ok(()),
            Durability::Volatile => refuse("durability", "a journal keeps things".to_owned()),
        }
    }

    /// Largest batch that is taken: the configured limit, or what fits into an empty segment.
    pub(crate) fn batch_bytes_limit(&self) -> usize {
        self.batch_bytes_max.min(segment_holds(self.segment_bytes))
    }
}

/// Bytes of the largest batch that fits into a segment of that size.
#[must_use]
pub fn segment_holds(segment_bytes: u64) -> usize {
    let segment = usize::try_from(segment_bytes).unwrap_or(usize::MAX);
    let around = SEGMENT_HEADER_BYTES + CONTROL_ROOM_BYTES + frame::frame_bytes(0) + frame::ALIGN;
    segment.saturating_sub(around)
}

/// Why a journal does not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A value is out of its bounds.
    #[error("{key}: {reason}")]
    Config {
        /// Which.
        key: &'static str,
        /// The bounds.
        reason: String,
    },
    /// Another process has it open, or this one has already.
    #[error("{} is in use by {}", dir.display(), holder(*pid))]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// The process that holds it, if it has said so.
        pid: Option<u32>,
    },
    /// A whole segment is missing or cannot be read. Nothing is served: what was in it cannot be told.
    #[error("the offsets log is damaged: {file}: {reason}")]
    Damaged {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file has another form than this version of the journal knows. Nothing was changed.
    #[error(
        "the file {file} of the offsets log is of version {found} and this callboard knows {known}: start the callboard that wrote it, or a newer one"
    )]
    Version {
        /// The file.
        file: String,
        /// The version it says it has.
        found: String,
        /// The version that is read and written here.
        known: &'static str,
    },
    /// The log holds more partitions than were asked for.
    #[error(
        "the offsets log holds partition {found}, and only {configured} partitions are configured"
    )]
    Partitions {
        /// Highest partition found.
        found: u32,
        /// Partitions asked for.
        configured: u32,
    },
    /// No room for the first segment.
    #[error("no space left for a segment of the offsets log")]
    NoSpace,
    /// The system refused.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What it said.
        source: io::Error,
    },
}

impl OpenError {
    /// Of a file that is [`Other`].
    pub(super) fn version(file: String, Other { found, known }: Other) -> Self {
        Self::Version { file, found, known }
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(
        || "another process".to_owned(),
        |pid| format!("process {pid}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_bounds_are_held() {
        let valid = JournalConfig::new("x");
        valid.validate().unwrap();
        let refused = |change: fn(&mut JournalConfig)| {
            let mut config = valid.clone();
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        assert_eq!(
            refused(|config| config.partitions = 0),
            "partitions: must be from 1 to 10000"
        );
        assert_eq!(
            refused(|config| config.segment_bytes = 16_383),
            "segment_bytes: must be from 16384 to 1073741824"
        );
        assert_eq!(
            refused(|config| config.reserve_segments = 17),
            "reserve_segments: must be at most 16"
        );
        assert_eq!(
            refused(|config| config.round_bytes_max = 0),
            "round_bytes_max: must be at least 1"
        );
        assert!(
            refused(|config| config.durability = Durability::Volatile).starts_with("durability: ")
        );
    }

    #[test]
    fn a_batch_fits_into_a_segment() {
        let mut config = JournalConfig::new("x");
        assert_eq!(config.batch_bytes_limit(), 8_388_608);
        config.segment_bytes = SEGMENT_BYTES_MIN;
        let frame = frame::frame_bytes(config.batch_bytes_limit()) as u64;
        assert!(frame + 8192 <= SEGMENT_BYTES_MIN);
        assert!(frame + 8192 + 16 > SEGMENT_BYTES_MIN);
    }

    #[test]
    fn errors_are_one_sentence() {
        let error = OpenError::InUse {
            dir: "d".into(),
            pid: Some(7),
        };
        assert_eq!(error.to_string(), "d is in use by process 7");
        let error = OpenError::InUse {
            dir: "d".into(),
            pid: None,
        };
        assert_eq!(error.to_string(), "d is in use by another process");
    }
}
