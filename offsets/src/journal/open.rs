//! From a directory to an engine: reads the log back, cuts off its torn end, and announces the new process in it. The
//! decisions are [`Recovery`]'s; here is the disk.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::core::ledger::Ledger;
use super::core::recovery::{Recovered, Recovery};
use super::core::scan::walk;
use super::core::segment::{SegmentHeader, segment_name};
use super::core::snapshot::{LogStart, Snapshots};
use super::engine::{Active, Engine, Flush, Limits};
use super::files::Files;
use super::prepare::{PrepareError, Prepared, Preparer, Supply};
use super::segments;
use super::snapshots;
use super::state::JournalState;
use super::storage::{self, Storage};
use super::{JournalConfig, OpenError};
use crate::log::Durability;

/// Opens the log in `storage`, whose lock the caller holds. `salt` gives random numbers.
pub(crate) fn open(
    storage: &Arc<dyn Storage>,
    config: &JournalConfig,
    salt: Box<dyn FnMut() -> u64 + Send>,
) -> Result<Engine, OpenError> {
    let files = Arc::new(Files::new(Arc::clone(storage)));
    let mut preparer = Preparer {
        storage: Arc::clone(storage),
        files: Arc::clone(&files),
        segment_bytes: config.segment_bytes,
        salt,
    };
    // A process that was killed may have left names that are not durable yet; ours will rest on them.
    storage.sync().map_err(failed("sync the directory"))?;
    let start = snapshots::start(&**storage)?;
    let (snapshots, damaged) = snapshots::find(&**storage)?;
    let mut segments = segments::find(&**storage, &files, start.generation)?;
    let recovered = read_back(&segments, &files, config.partitions, &start, snapshots)?;
    if let Some(found) = recovered.beyond {
        let configured = config.partitions;
        return Err(OpenError::Partitions { found, configured });
    }
    let truncated = segments::cut(&segments, &files, &recovered)?;
    if segments.is_empty() {
        segments.push(preparer.prepare(start.generation)?.header);
    }
    let next_generation = start.generation + segments.len() as u32;
    let mut unused = VecDeque::new();
    for header in segments {
        if header.segment.generation >= recovered.end.generation {
            let (file, _) = files
                .get(header.segment.generation)
                .map_err(failed("open a segment"))?;
            unused.push_back(Prepared { header, file });
        }
    }
    let active = unused.pop_front().ok_or_else(|| OpenError::Damaged {
        file: segment_name(recovered.end.generation),
        reason: "the log ends in it and it is not there".to_owned(),
    })?;
    let active = Active {
        header: active.header,
        file: active.file,
        at: recovered.end.at,
    };
    let supply = Supply::new(preparer, unused, config.reserve_segments, next_generation)
        .map_err(failed("start the thread that prepares segments"))?;
    let ledger = Ledger::new(&recovered.partitions, recovered.next, recovered.incarnation);
    report(&recovered, truncated, files.bytes());
    let incarnation = recovered.incarnation.saturating_add(1);
    let (lost, partitions) = (recovered.lost, recovered.partitions);
    let state = Arc::new(JournalState::new(partitions, files, incarnation));
    state.metrics.checksum_failures.increment(lost + damaged);
    state.metrics.truncated_bytes.increment(truncated);
    let limits = Limits {
        batch_bytes_max: config.batch_bytes_limit(),
        round_bytes_max: config.round_bytes_max,
        flush: match config.durability {
            Durability::LocalMemory => Flush::Never,
            Durability::LocalFsync | Durability::Volatile => Flush::EveryRound,
        },
    };
    let mut engine = Engine::new(state, ledger, active, supply, limits);
    engine.start()?;
    Ok(engine)
}

impl From<PrepareError> for OpenError {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::NoSpace => Self::NoSpace,
            PrepareError::Refused(source) | PrepareError::Flush(source) => {
                failed("prepare a segment of the offsets log")(source)
            }
        }
    }
}

fn read_back(
    segments: &[SegmentHeader],
    files: &Files,
    partitions: u32,
    start: &LogStart,
    snapshots: Snapshots,
) -> Result<Recovered, OpenError> {
    let mut bytes = Vec::new();
    let mut recovery = Recovery::new(partitions, start, snapshots);
    for header in segments {
        segments::read(files, header, &mut bytes)?;
        walk(&bytes, header.segment, |found| {
            if found.whole {
                files.begins(found.generation, found.header.sequence);
            }
            recovery.found(found);
        });
    }
    Ok(recovery.finish())
}

/// One line for what was found, and one for each partition that refuses.
fn report(recovered: &Recovered, truncated: u64, log_bytes: u64) {
    let batches: u64 = recovered
        .partitions
        .iter()
        .map(|partition| partition.end().position)
        .sum();
    let (lost, incarnation) = (recovered.lost, recovered.incarnation + 1);
    tracing::info!(
        incarnation,
        log_bytes,
        batches,
        truncated,
        lost,
        "offsets log opened"
    );
    if truncated > 0 {
        tracing::warn!(
            bytes = truncated,
            segment = recovered.end.generation,
            at = recovered.end.at,
            "cut off the torn end of the offsets log"
        );
    }
    for (partition, locator) in recovered.partitions.iter().enumerate() {
        if let Some(corruption) = locator.corrupt() {
            let (position, reason) = (corruption.position, &corruption.reason);
            tracing::error!(
                partition,
                position,
                reason,
                "the offsets log is corrupt in this partition, it refuses to load"
            );
        }
    }
}

pub(crate) fn failed(action: &'static str) -> impl Fn(io::Error) -> OpenError {
    move |source| {
        if storage::is_no_space(&source) {
            OpenError::NoSpace
        } else {
            OpenError::Io { action, source }
        }
    }
}
