//! The sparse index of one segment: offset to position and timestamp to position in one list, bounded in memory.
//! Owned by its segment; grows with appends and with recovery by the same call.

use super::NO_TIMESTAMP;

/// Most entries of one segment's index, 384 KiB. A segment that would need more gets a doubled interval, so a lookup in
/// the largest segment reads at most twice 64 KiB of headers.
pub(crate) const ENTRIES_MAX: usize = 16_384;

/// Where one batch lies in its segment and what the index must know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchPlace {
    pub(crate) base_offset: i64,
    pub(crate) last_offset: i64,
    /// First byte within the file.
    pub(crate) position: u64,
    /// Bytes of the whole batch.
    pub(crate) size: u64,
    pub(crate) max_timestamp: i64,
}

/// One entry: the batch at `position` begins at `offset`, and no batch before it is newer than `newest_before`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) offset: i64,
    pub(crate) position: u64,
    pub(crate) newest_before: i64,
}

/// The index. `newest_before` never falls along the list, so both lookups are binary searches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SparseIndex {
    pub(crate) interval: u64,
    pub(crate) bytes_since_entry: u64,
    pub(crate) entries: Vec<Entry>,
    /// Timestamp of the first batch; [`NO_TIMESTAMP`] while there is none.
    pub(crate) first_timestamp: i64,
    /// The newest timestamp and the first batch that has it.
    pub(crate) newest: i64,
    pub(crate) newest_position: u64,
}

impl SparseIndex {
    /// An index of an empty segment with an entry every `interval` bytes.
    pub(crate) fn new(interval: u64) -> Self {
        Self {
            interval: interval.max(1),
            bytes_since_entry: 0,
            entries: Vec::new(),
            first_timestamp: NO_TIMESTAMP,
            newest: NO_TIMESTAMP,
            newest_position: 0,
        }
    }

    /// Takes in the batch that follows everything seen before.
    pub(crate) fn add(&mut self, batch: &BatchPlace) {
        if batch.position == 0 {
            self.first_timestamp = batch.max_timestamp;
        }
        if self.bytes_since_entry >= self.interval {
            self.entries.push(Entry {
                offset: batch.base_offset,
                position: batch.position,
                newest_before: self.newest,
            });
            self.bytes_since_entry = 0;
            if self.entries.len() > ENTRIES_MAX {
                self.thin();
            }
        }
        self.bytes_since_entry += batch.size;
        if batch.max_timestamp > self.newest {
            self.newest = batch.max_timestamp;
            self.newest_position = batch.position;
        }
    }

    /// Forgets every other entry and doubles the interval.
    fn thin(&mut self) {
        let mut keep = false;
        self.entries.retain(|_| {
            keep = !keep;
            keep
        });
        self.interval = self.interval.saturating_mul(2);
    }

    /// Where to start walking for the batch that holds `offset`: at or before it. The start of the file otherwise.
    pub(crate) fn position_of(&self, offset: i64) -> u64 {
        let after = self.entries.partition_point(|entry| entry.offset <= offset);
        after
            .checked_sub(1)
            .map_or(0, |at| self.entries[at].position)
    }

    /// Where to start walking for the first batch whose newest timestamp is at least `timestamp`. None when there is
    /// no such batch in the segment.
    pub(crate) fn position_of_time(&self, timestamp: i64) -> Option<u64> {
        if self.newest < timestamp {
            return None;
        }
        let after = self
            .entries
            .partition_point(|entry| entry.newest_before < timestamp);
        Some(
            after
                .checked_sub(1)
                .map_or(0, |at| self.entries[at].position),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(batches: u64, size: u64, interval: u64) -> SparseIndex {
        let mut index = SparseIndex::new(interval);
        for at in 0..batches {
            let offset = i64::try_from(at * 2).unwrap();
            // Timestamps rise, with every third one a step back.
            let max_timestamp = offset * 10 - if at % 3 == 0 { 25 } else { 0 };
            index.add(&BatchPlace {
                base_offset: offset,
                last_offset: offset + 1,
                position: at * size,
                size,
                max_timestamp,
            });
        }
        index
    }

    #[test]
    fn an_entry_every_interval_and_none_for_the_first_batch() {
        let index = filled(10, 100, 250);
        let positions: Vec<u64> = index.entries.iter().map(|entry| entry.position).collect();
        assert_eq!(positions, [300, 600, 900]);
    }

    #[test]
    fn a_lookup_by_offset_never_starts_behind_its_batch() {
        let index = filled(1_000, 77, 300);
        for offset in 0..2_000_i64 {
            let at = u64::try_from(offset / 2).unwrap() * 77;
            let start = index.position_of(offset);
            assert!(
                start <= at && at - start <= 300 + 77,
                "offset {offset}: {start} for {at}"
            );
        }
        assert_eq!(index.position_of(-5), 0);
    }

    #[test]
    fn a_lookup_by_time_never_starts_behind_the_first_match() {
        let index = filled(1_000, 77, 300);
        for timestamp in -30..20_000_i64 {
            let first =
                (0..1_000_i64).find(|at| at * 20 - if at % 3 == 0 { 25 } else { 0 } >= timestamp);
            let start = index.position_of_time(timestamp);
            match first {
                Some(at) => assert!(
                    start.unwrap() <= u64::try_from(at).unwrap() * 77,
                    "timestamp {timestamp}"
                ),
                None => assert_eq!(start, None, "timestamp {timestamp}"),
            }
        }
    }

    #[test]
    fn the_list_stays_bounded_and_keeps_finding() {
        let index = filled(60_000, 10, 10);
        assert!(
            index.entries.len() <= ENTRIES_MAX,
            "{}",
            index.entries.len()
        );
        assert!(index.interval >= 40);
        for offset in (0..120_000_i64).step_by(997) {
            let at = u64::try_from(offset / 2).unwrap() * 10;
            let start = index.position_of(offset);
            assert!(start <= at && at - start <= 2 * index.interval + 10);
        }
    }
}
