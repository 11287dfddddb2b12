//! Where the batches of one partition lie, and how far they are durable. 24 bytes a batch; grows until the log can be
//! trimmed. Owned by the partition's slot in the journal, grown by the sync thread after its flush, read by anybody.

use std::ops::Range;

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

/// The durable part of one partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Locator {
    end: End,
    /// By position, from 0.
    batches: Vec<Located>,
    corrupt: Option<Corruption>,
}

impl Locator {
    /// What a recovery found.
    pub(crate) fn new(batches: Vec<Located>, end: End, corrupt: Option<Corruption>) -> Self {
        debug_assert_eq!(batches.len() as u64, end.position);
        Self {
            end,
            batches,
            corrupt,
        }
    }

    /// A batch has become durable.
    pub(crate) fn land(&mut self, located: Located, end: End) {
        debug_assert_eq!(self.end.position + 1, end.position);
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

    /// Position of the batch that holds the record at `offset`, if there is one.
    pub(crate) fn holding(&self, offset: i64) -> Option<Position> {
        if !(0..self.end.offset).contains(&offset) {
            return None;
        }
        // Of batches with the same base offset all but the last hold marks only.
        let behind = self
            .batches
            .partition_point(|batch| batch.base_offset <= offset);
        behind.checked_sub(1).map(|at| at as Position)
    }

    /// The next batches of `range`, as many as lie close together and have `bytes_max`; at least one, if there is one.
    pub(crate) fn run(&self, range: Range<Position>, bytes_max: usize) -> Option<Run> {
        let end = usize::try_from(range.end)
            .map_or(self.batches.len(), |end| end.min(self.batches.len()));
        let batches = self.batches.get(usize::try_from(range.start).ok()?..end)?;
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
        Locator::new(batches, end, None)
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
}
