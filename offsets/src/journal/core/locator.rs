//! Where the batches of one partition lie, and how far they are durable. 24 bytes a batch behind the snapshot. Owned by
//! the partition's slot in the journal, grown by the sync thread after its flush, read by anybody.

use std::ops::Range;
use std::sync::Arc;

use super::snapshot::Snapshot;
use crate::log::{End, Position};

/// Frames of one partition that lie closer together than this are read in one piece.
const RUN_GAP_BYTES_MAX: u64 = 512;

/// Where a batch lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    pub(crate) base_offset: i64,
    pub(crate) generation: u32,
    pub(crate) at: u32,
    /// Of the whole frame.
    pub(crate) bytes: u32,
}

impl Located {
    fn end(&self) -> u64 {
        u64::from(self.at) + u64::from(self.bytes)
    }
}

/// Why a partition refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Corruption {
    /// First position that is missing or damaged.
    pub(crate) position: Position,
    pub(crate) reason: String,
}

/// Batches that lie so close together that one read brings them all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) generation: u32,
    pub(crate) at: u64,
    pub(crate) bytes: usize,
    /// Position of the first.
    pub(crate) first: Position,
    pub(crate) batches: Vec<Located>,
}

/// What the partition can still be read from, should its snapshot be damaged: as long as the frames between the two are
/// there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fallback {
    /// What the snapshot before reaches up to; 0 if there was none.
    pub(crate) position: Position,
    /// The oldest segment with a frame behind it.
    pub(crate) oldest: u32,
}

/// The durable part of one partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Locator {
    end: End,
    /// What has taken the place of the positions before `first`.
    snapshot: Option<Arc<Snapshot>>,
    fallback: Option<Fallback>,
    /// Position of the first of `batches`.
    first: Position,
    batches: Vec<Located>,
    bytes: u64,
    corrupt: Option<Corruption>,
}

impl Locator {
    /// What a recovery found.
    pub(crate) fn new(
        snapshot: Option<Arc<Snapshot>>,
        batches: Vec<Located>,
        end: End,
        corrupt: Option<Corruption>,
    ) -> Self {
        let first = snapshot
            .as_ref()
            .map_or(0, |snapshot| snapshot.upto.position);
        debug_assert_eq!(first + batches.len() as u64, end.position);
        Self {
            end,
            snapshot,
            fallback: None,
            first,
            bytes: batches.iter().map(|batch| u64::from(batch.bytes)).sum(),
            batches,
            corrupt,
        }
    }

    /// A snapshot has become durable: what it replaces is forgotten.
    pub(crate) fn compacted(&mut self, snapshot: Arc<Snapshot>) {
        self.fallback = self.batches.first().map(|batch| Fallback {
            position: self.first,
            oldest: batch.generation,
        });
        let gone = snapshot.upto.position.saturating_sub(self.first);
        let gone =
            usize::try_from(gone).map_or(self.batches.len(), |gone| gone.min(self.batches.len()));
        self.first += gone as u64;
        self.batches.drain(..gone);
        self.batches.shrink_to(self.batches.len() * 2);
        self.bytes = self
            .batches
            .iter()
            .map(|batch| u64::from(batch.bytes))
            .sum();
        self.snapshot = Some(snapshot);
    }

    /// What stands for the positions before the first batch.
    pub(crate) fn snapshot(&self) -> Option<&Arc<Snapshot>> {
        self.snapshot.as_ref()
    }

    /// What is left to read from without that.
    pub(crate) fn fallback(&self) -> Option<Fallback> {
        self.fallback
    }

    /// Where the partition ended before `position`, if that is in the log.
    pub(crate) fn end_at(&self, position: Position) -> Option<End> {
        if position == self.end.position {
            return Some(self.end);
        }
        let at = usize::try_from(position.checked_sub(self.first)?).ok()?;
        let offset = self.batches.get(at)?.base_offset;
        Some(End { position, offset })
    }

    /// The oldest segment it needs.
    pub(crate) fn oldest(&self) -> Option<u32> {
        self.batches.first().map(|batch| batch.generation)
    }

    /// Bytes of its frames.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Position of its first frame.
    pub(crate) fn first(&self) -> Position {
        self.first
    }

    /// A batch has become durable.
    pub(crate) fn land(&mut self, located: Located, end: End) {
        debug_assert_eq!(self.end.position + 1, end.position);
        self.bytes += u64::from(located.bytes);
        self.batches.push(located);
        self.end = end;
    }

    /// Where the durable part ends.
    pub(crate) fn end(&self) -> End {
        self.end
    }

    /// Why the partition refuses, if it does.
    pub(crate) fn corrupt(&self) -> Option<&Corruption> {
        self.corrupt.as_ref()
    }

    /// Position of the batch that holds the record at `offset`, if there is one; of the first if a snapshot would.
    pub(crate) fn holding(&self, offset: i64) -> Option<Position> {
        if !(0..self.end.offset).contains(&offset) {
            return None;
        }
        // Of batches with the same base offset all but the last hold marks only.
        let behind = self
            .batches
            .partition_point(|batch| batch.base_offset <= offset);
        Some(self.first + behind.saturating_sub(1) as Position)
    }

    /// The next batches of `range`, as many as lie close together and have `bytes_max`; at least one, if there is one.
    pub(crate) fn run(&self, range: Range<Position>, bytes_max: usize) -> Option<Run> {
        let index = |position: Position| usize::try_from(position.checked_sub(self.first)?).ok();
        let end = index(range.end)?.min(self.batches.len());
        let batches = self.batches.get(index(range.start)?..end)?;
        let first = batches.first()?;
        let bytes_max = bytes_max as u64;
        let mut count = 1;
        for pair in batches.windows(2) {
            let (before, next) = (&pair[0], &pair[1]);
            let close = next.generation == before.generation
                && u64::from(next.at).wrapping_sub(before.end()) <= RUN_GAP_BYTES_MAX;
            if !close || next.end() - u64::from(first.at) > bytes_max {
                break;
            }
            count += 1;
        }
        let batches = batches[..count].to_vec();
        let bytes = batches.last().map_or(0, Located::end) - u64::from(first.at);
        Some(Run {
            generation: first.generation,
            at: u64::from(first.at),
            bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
            first: range.start,
            batches,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn located(base_offset: i64, generation: u32, at: u32) -> Located {
        Located {
            base_offset,
            generation,
            at,
            bytes: 104,
        }
    }

    fn locator() -> Locator {
        let batches = vec![
            located(0, 1, 4096),
            located(3, 1, 4200), // marks only
            located(3, 1, 5000),
            located(5, 2, 4096),
        ];
        let end = End {
            position: 4,
            offset: 6,
        };
        Locator::new(None, batches, end, None)
    }

    #[test]
    fn offsets_are_found_in_their_batch() {
        let found: Vec<_> = (-1..7).map(|offset| locator().holding(offset)).collect();
        let expected = [
            None,
            Some(0),
            Some(0),
            Some(0),
            Some(2),
            Some(2),
            Some(3),
            None,
        ];
        assert_eq!(found, expected);
        assert_eq!(Locator::default().holding(0), None);
    }

    #[test]
    fn a_run_ends_at_a_gap_at_a_segment_and_at_its_size() {
        let locator = locator();
        let run = |range, bytes| {
            let run = locator.run(range, bytes).unwrap();
            (run.at, run.bytes, run.batches.len())
        };
        assert_eq!(run(0..4, 10_000), (4096, 208, 2));
        assert_eq!(run(0..1, 10_000), (4096, 104, 1));
        assert_eq!(run(0..4, 0), (4096, 104, 1));
        assert_eq!(run(2..9, 10_000), (5000, 104, 1));
        assert_eq!(run(3..u64::MAX, 10_000), (4096, 104, 1));
        assert!(locator.run(4..9, 10_000).is_none());
        let backwards = Range { start: 9, end: 4 };
        assert!(locator.run(backwards, 10_000).is_none());
    }

    #[test]
    fn a_snapshot_takes_the_place_of_what_lies_before_it() {
        let mut locator = locator();
        let end = locator.end();
        let upto = locator.end_at(3).unwrap();
        assert_eq!((upto.position, upto.offset), (3, 5));
        locator.compacted(Arc::new(Snapshot {
            upto,
            bytes: 9,
            chunks: Vec::new(),
        }));
        assert_eq!((locator.first(), locator.oldest()), (3, Some(2)));
        assert_eq!((locator.bytes(), locator.end()), (104, end));
        let fallback = Fallback {
            position: 0,
            oldest: 1,
        };
        assert_eq!(locator.fallback(), Some(fallback));
        let ends: Vec<_> = (2..6).map(|position| locator.end_at(position)).collect();
        assert_eq!(ends, [None, Some(upto), Some(end), None]);
        assert_eq!(locator.holding(0), Some(3), "the first behind it");
        assert!(locator.run(0..4, 10_000).is_none());
        assert_eq!(locator.run(3..9, 10_000).unwrap().first, 3);
    }
}
