//! The snapshots a start finds, and the note that says where the log starts.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::OpenError;
use super::core::snapshot::{self, LOG_START, LogStart, Snapshots};
use super::open::failed;
use super::storage::{self, OpenMode, Storage};
use crate::log::Position;

/// Most bytes of the note: two copies, with every partition there can be.
const LOG_START_BYTES_MAX: u64 = 2 * (64 + 10_000 * 12);

/// Where the log starts.
pub(crate) fn start(storage: &dyn Storage) -> Result<LogStart, OpenError> {
    let names = storage.list().map_err(failed("list the directory"))?;
    if !names.iter().any(|name| name == LOG_START) {
        return Ok(LogStart::default());
    }
    let read = || {
        let file = storage.open(LOG_START, OpenMode::Existing)?;
        let bytes = file.bytes()?.min(LOG_START_BYTES_MAX);
        // At most some hundred KiB.
        storage::read_piece(&*file, 0, usize::try_from(bytes).unwrap_or(0))
    };
    let bytes = read().map_err(failed("read where the offsets log starts"))?;
    LogStart::decode(&bytes).ok_or_else(|| match LogStart::other_version(&bytes) {
        Some(other) => OpenError::version(LOG_START.to_owned(), other),
        None => OpenError::Damaged {
            file: LOG_START.to_owned(),
            reason: "it does not say where the log starts".to_owned(),
        },
    })
}

/// The last snapshot of each partition that is whole, and how many were not. Whether what it is missing can be read from
/// the log, the log's start tells.
pub(crate) fn find(storage: &dyn Storage) -> Result<(Snapshots, u64), OpenError> {
    let names = storage.list().map_err(failed("list the directory"))?;
    let mut positions: BTreeMap<u32, BTreeSet<Position>> = BTreeMap::new();
    for (partition, position) in names.iter().filter_map(|name| snapshot::parse_name(name)) {
        positions.entry(partition).or_default().insert(position);
    }
    let mut damaged = 0;
    let mut snapshots = Snapshots::new();
    for (partition, positions) in positions {
        for position in positions.into_iter().rev() {
            let name = snapshot::snapshot_name(partition, position);
            let read = || {
                let file = storage.open(&name, OpenMode::Existing)?;
                let read = |at, bytes| storage::read_piece(&*file, at, bytes);
                let found = snapshot::decode((partition, position), file.bytes()?, read)?;
                let other = match &found {
                    Some(_) => None,
                    None => snapshot::other_version(read)?,
                };
                Ok((found, other))
            };
            let (found, other) = read().map_err(failed("read a snapshot of the offsets log"))?;
            if let Some(other) = other {
                return Err(OpenError::version(name, other));
            }
            if let (Some(snapshot), Entry::Vacant(place)) = (found, snapshots.entry(partition)) {
                place.insert(Arc::new(snapshot));
                break;
            }
            damaged += 1;
            tracing::error!(
                partition,
                position,
                "a snapshot of the offsets log is damaged"
            );
        }
    }
    Ok((snapshots, damaged))
}
