//! `__consumer_offsets` as a topic: what clients read of it comes from the journal under the coordinators. The journal
//! reads from the disk and blocks while it does, so this runs on the blocking pool.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use callboard_offsets::log::{LogError as OffsetsError, OffsetsLog};
use callboard_supervision::seldom;

use super::list_offsets::is_search;
use super::resolve::OFFSETS_LEADER_EPOCH;
use crate::log::core::Epochs;
use crate::log::{
    AtLeast, Chunk, EpochEnd, FoundOffset, LogError, NEWEST, Offsets, first_record_at_or_after,
};
use crate::services::Services;

/// The topic's name.
pub(crate) const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// Bytes a search by timestamp reads at once.
const SEARCH_BYTES: usize = 1024 * 1024;

/// Reads whole batches as a topic log would. Blocks.
pub(super) fn read(
    services: &Services,
    partition: u32,
    from: i64,
    max_bytes: usize,
    at_least: AtLeast,
) -> Result<Chunk, LogError> {
    let log = services.offsets_topic.as_ref();
    let offsets = offsets_of(log, partition)?;
    if from < offsets.log_start || from > offsets.end {
        return Err(LogError::OffsetOutOfRange {
            asked: from,
            start: offsets.log_start,
            end: offsets.end,
        });
    }
    let fetched = log.read(partition, from, max_bytes).map_err(failed)?;
    let offsets = edges(&fetched.offsets);
    let bytes: usize = fetched.batches.iter().map(Bytes::len).sum();
    // The journal gives at least one batch, whatever its size.
    let too_large = bytes > max_bytes && at_least == AtLeast::Nothing;
    let records = if too_large {
        Bytes::new()
    } else {
        joined(fetched.batches)
    };
    Ok(Chunk { records, offsets })
}

/// The partition's offsets now.
pub(super) fn offsets(services: &Services, partition: u32) -> Result<Offsets, LogError> {
    offsets_of(services.offsets_topic.as_ref(), partition)
}

/// Where a leader epoch ends in a partition that ends at `end`: there is one epoch.
pub(super) fn end_of_epoch(epoch: i32, end: i64) -> EpochEnd {
    let mut epochs = Epochs::default();
    epochs.assign(OFFSETS_LEADER_EPOCH, 0);
    epochs.end_of(epoch, end)
}

/// What ListOffsets answers for `timestamp`, as a topic log would.
pub(super) async fn offset_for(
    services: &Arc<Services>,
    partition: u32,
    timestamp: i64,
) -> Result<Option<FoundOffset>, LogError> {
    let Offsets { log_start, end } = offsets(services, partition)?;
    let edge = |offset| {
        Ok(Some(FoundOffset {
            offset,
            timestamp: -1,
        }))
    };
    if is_search(timestamp) {
        let search = Search {
            partition,
            timestamp,
            next: log_start,
            end,
            kept: None,
        };
        return search.run(services).await;
    }
    match timestamp {
        -1 => edge(end),
        -2 | -4 => edge(log_start),
        _ => Ok(None),
    }
}

/// Looks at the newest record of every batch in order. There is no index of time: the topic is compacted, and hardly
/// anybody asks.
struct Search {
    partition: u32,
    timestamp: i64,
    /// Offsets that are to be looked at.
    next: i64,
    end: i64,
    kept: Option<FoundOffset>,
}

impl Search {
    /// One read after the other, as those of Fetches: each waits for its place among them, and there is no next one for
    /// somebody who has gone.
    async fn run(mut self, services: &Arc<Services>) -> Result<Option<FoundOffset>, LogError> {
        while self.next < self.end {
            // Never closed.
            let permit = Arc::clone(&services.fetch_reads).acquire_owned().await.ok();
            let log = Arc::clone(&services.offsets_topic);
            let step = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                self.step(log.as_ref()).map(|()| self)
            });
            let stepped = step.await;
            self = stepped.unwrap_or_else(|_panicked| Err(unavailable("the read failed")))?;
        }
        Ok(self.kept)
    }

    fn step(&mut self, log: &dyn OffsetsLog) -> Result<(), LogError> {
        let fetched = log.read(self.partition, self.next, SEARCH_BYTES);
        let before = self.next;
        for batch in fetched.map_err(failed)?.batches {
            let Some(header) = crate::log::batch_header(&batch) else {
                break;
            };
            self.next = self.next.max(header.last_offset + 1);
            let newest = FoundOffset {
                offset: header.last_offset,
                timestamp: header.max_timestamp,
            };
            if self.prefers(newest) {
                let found = first_record_at_or_after(batch, newest.timestamp, i64::MIN);
                self.kept = found.ok().flatten().or(Some(newest));
            }
        }
        // The first that is new enough is the one; and what does not go on ends.
        if self.next == before || (self.timestamp != NEWEST && self.kept.is_some()) {
            self.next = self.end;
        }
        Ok(())
    }

    fn prefers(&self, found: FoundOffset) -> bool {
        match self.kept {
            None => self.timestamp == NEWEST || found.timestamp >= self.timestamp,
            Some(kept) => self.timestamp == NEWEST && found.timestamp > kept.timestamp,
        }
    }
}

fn offsets_of(log: &dyn OffsetsLog, partition: u32) -> Result<Offsets, LogError> {
    let offsets = log.offsets(partition);
    offsets
        .map(|range| edges(&range))
        .ok_or_else(|| unavailable("the partition is not open"))
}

fn edges(range: &Range<i64>) -> Offsets {
    Offsets {
        log_start: range.start,
        end: range.end,
    }
}

fn joined(mut batches: Vec<Bytes>) -> Bytes {
    if batches.len() == 1
        && let Some(batch) = batches.pop()
    {
        return batch;
    }
    let mut all = BytesMut::with_capacity(batches.iter().map(Bytes::len).sum());
    for batch in batches {
        all.extend_from_slice(&batch);
    }
    all.freeze()
}

fn failed(error: OffsetsError) -> LogError {
    seldom!(warn, %error, "the offsets topic cannot be read");
    unavailable(&error.to_string())
}

fn unavailable(reason: &str) -> LogError {
    LogError::Unavailable {
        reason: reason.into(),
    }
}

#[cfg(test)]
#[path = "internal_tests.rs"]
mod tests;
