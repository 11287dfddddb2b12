//! From a directory to an engine: reads the log back, cuts off its torn end, and announces the new process in it. The
//! decisions are [`Recovery`]'s; here is the disk.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::core::ledger::Ledger;
use super::core::recovery::{Place, Recovered, Recovery};
use super::core::scan::{end_of_content, walk};
use super::core::segment::{
    FIRST_GENERATION, FileName, PREPARING, SEGMENT_BYTES_MAX, SEGMENT_HEADER_BYTES, SegmentHeader,
    segment_name,
};
use super::engine::{Active, Engine, Flush, Limits};
use super::files::Files;
use super::prepare::{PrepareError, Prepared, Preparer, Supply};
use super::shared::Shared;
use super::storage::{self, OpenMode, Storage, StorageFile};
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
    let mut segments = find_segments(&**storage, &files)?;
    let mut bytes = Vec::new();
    let mut recovery = Recovery::new(config.partitions);
    for segment in &segments {
        segment.read(&mut bytes)?;
        walk(&bytes, segment.header.segment, |found| {
            recovery.found(found)
        });
    }
    let recovered = recovery.finish();
    if let Some(found) = recovered.beyond {
        let configured = config.partitions;
        return Err(OpenError::Partitions { found, configured });
    }
    let truncated = cut(&segments, &recovered, &mut bytes)?;
    if segments.is_empty() {
        segments.push(preparer.prepare(FIRST_GENERATION)?.into());
    }
    let next_generation = FIRST_GENERATION + segments.len() as u32;
    let mut rest = segments
        .into_iter()
        .skip_while(|segment| segment.header.segment.generation < recovered.end.generation);
    let active = rest.next().ok_or_else(|| OpenError::Damaged {
        file: segment_name(recovered.end.generation),
        reason: "the log ends in it and it is not there".to_owned(),
    })?;
    let active = Active {
        header: active.header,
        file: active.file,
        at: recovered.end.at,
    };
    let reserve: VecDeque<Prepared> = rest.map(Prepared::from).collect();
    let supply = Supply::new(preparer, reserve, config.reserve_segments, next_generation)
        .map_err(failed("start the thread that prepares segments"))?;
    let ledger = Ledger::new(&recovered.partitions, recovered.next, recovered.incarnation);
    report(&recovered, truncated, files.bytes());
    let (lost, partitions) = (recovered.lost, recovered.partitions);
    let shared = Arc::new(Shared::new(partitions, files));
    shared.metrics.checksum_failures.increment(lost);
    shared.metrics.truncated_bytes.increment(truncated);
    let limits = Limits {
        batch_bytes_max: config.batch_bytes_limit(),
        round_bytes_max: config.round_bytes_max,
        flush: match config.durability {
            Durability::LocalMemory => Flush::Never,
            Durability::LocalFsync | Durability::Volatile => Flush::EveryRound,
        },
    };
    let mut engine = Engine::new(shared, ledger, active, supply, limits);
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

struct Segment {
    header: SegmentHeader,
    file: Arc<dyn StorageFile>,
}

impl From<Prepared> for Segment {
    fn from(prepared: Prepared) -> Self {
        Self {
            header: prepared.header,
            file: prepared.file,
        }
    }
}

impl From<Segment> for Prepared {
    fn from(segment: Segment) -> Self {
        Self {
            header: segment.header,
            file: segment.file,
        }
    }
}

impl Segment {
    /// Reads it whole, as far as its file reaches.
    fn read(&self, bytes: &mut Vec<u8>) -> Result<(), OpenError> {
        // No larger than `SEGMENT_BYTES_MAX`: its header was checked.
        bytes.resize(usize::try_from(self.header.bytes).unwrap_or(0), 0);
        let filled =
            storage::read_up_to(&*self.file, bytes, 0).map_err(failed("read a segment"))?;
        bytes.truncate(filled);
        Ok(())
    }
}

/// The segments in the order of the log. All of them have to be there and say who they are: their headers were flushed
/// before they took their place, so anything else is damage whose extent cannot be told.
fn find_segments(storage: &dyn Storage, files: &Files) -> Result<Vec<Segment>, OpenError> {
    let mut generations = Vec::new();
    for name in storage.list().map_err(failed("list the directory"))? {
        if name == PREPARING {
            // Left by a process that was stopped while it made one.
            storage
                .remove(&name)
                .map_err(failed("remove an unfinished segment"))?;
        } else if let FileName::Segment(generation) = FileName::parse(&name) {
            generations.push(generation);
        }
    }
    generations.sort_unstable();
    let mut segments = Vec::with_capacity(generations.len());
    for (expected, generation) in (FIRST_GENERATION..).zip(generations) {
        let damaged = |generation, reason: &str| OpenError::Damaged {
            file: segment_name(generation),
            reason: reason.to_owned(),
        };
        if generation != expected {
            return Err(damaged(
                expected,
                "it is missing, and later segments are there",
            ));
        }
        let file = storage
            .open(&segment_name(generation), OpenMode::Existing)
            .map_err(failed("open a segment"))?;
        let mut start = [0; SEGMENT_HEADER_BYTES];
        let filled =
            storage::read_up_to(&*file, &mut start, 0).map_err(failed("read a segment"))?;
        let header = SegmentHeader::decode(&start[..filled])
            .ok_or_else(|| damaged(generation, "its header is damaged"))?;
        if header.segment.generation != generation {
            return Err(damaged(generation, "its header is another segment's"));
        }
        debug_assert!(header.bytes <= SEGMENT_BYTES_MAX);
        files.add(header.segment, header.bytes);
        segments.push(Segment { header, file });
    }
    Ok(segments)
}

/// Zeroes what lies behind the log's end, so that nothing of a round that was never acknowledged can be taken for a
/// later one's, and gives the files their length back. Returns how many bytes of a torn end there were.
fn cut(segments: &[Segment], recovered: &Recovered, bytes: &mut Vec<u8>) -> Result<u64, OpenError> {
    let Place { generation, at } = recovered.end;
    let mut truncated = 0;
    for segment in segments {
        let number = segment.header.segment.generation;
        let torn = || {
            recovered
                .torn
                .iter()
                .filter(|found| found.generation == number)
        };
        let from = match number.cmp(&generation) {
            std::cmp::Ordering::Less => continue,
            std::cmp::Ordering::Equal => at,
            std::cmp::Ordering::Greater => SEGMENT_HEADER_BYTES,
        };
        if number > generation && segment.header.recycled && torn().next().is_none() {
            // Old frames, which its generation and salt keep out.
            continue;
        }
        segment.read(bytes)?;
        let content_end = end_of_content(bytes, from);
        let torn_end = torn().map(|found| found.end()).max().unwrap_or(from);
        truncated += if segment.header.recycled {
            torn_end.saturating_sub(from) as u64
        } else {
            content_end.saturating_sub(from) as u64
        };
        let repair = || {
            let length = bytes.len() as u64;
            storage::write_zeros(&*segment.file, from as u64, content_end as u64)?;
            if length < segment.header.bytes {
                segment.file.allocate(segment.header.bytes)?;
                storage::write_zeros(&*segment.file, length, segment.header.bytes)?;
            }
            // Even if nothing was repaired: a process that was killed may have left its last round unflushed, and
            // from here on it counts as flushed.
            segment.file.sync()
        };
        repair().map_err(failed("cut off the torn end of the offsets log"))?;
    }
    Ok(truncated)
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

fn failed(action: &'static str) -> impl Fn(io::Error) -> OpenError {
    move |source| {
        if storage::is_no_space(&source) {
            OpenError::NoSpace
        } else {
            OpenError::Io { action, source }
        }
    }
}
