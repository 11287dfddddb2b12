//! What all handlers together have counted: each row once, whoever brings it and how often. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::flights::Table;

/// Counts rows by their place in the log. Delivery is at least once; this is what makes the count exact.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    seen: BTreeMap<i32, BTreeSet<i64>>,
    table: Table,
    delivered: u64,
    distinct: u64,
}

impl Ledger {
    /// A handler was handed this row. Only the first time counts.
    pub(super) fn count(&mut self, partition: i32, offset: i64, row: &str) {
        self.delivered += 1;
        if self.seen.entry(partition).or_default().insert(offset) {
            self.distinct += 1;
            self.table.count(row);
        }
    }

    /// Rows handed to handlers, repetitions included.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Rows handed to handlers, without repetitions.
    pub(super) fn distinct(&self) -> u64 {
        self.distinct
    }

    /// What the rows come to.
    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    /// Whether exactly the offsets below each partition's end were counted.
    pub(super) fn is_complete(&self, ends: &BTreeMap<i32, i64>) -> bool {
        let whole = |partition: &i32, end: i64| match self.seen.get(partition) {
            Some(seen) => seen.iter().copied().eq(0..end),
            None => end == 0,
        };
        self.seen
            .keys()
            .all(|partition| ends.contains_key(partition))
            && ends.iter().all(|(partition, end)| whole(partition, *end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = "UA,1545,N14228,EWR,IAH,2013-01-01T10:00:00Z,2,11,1400";

    #[test]
    fn a_row_that_comes_again_is_not_counted_again() {
        let mut ledger = Ledger::default();
        ledger.count(0, 0, ROW);
        ledger.count(0, 0, ROW);
        ledger.count(1, 0, ROW);
        assert_eq!((ledger.delivered(), ledger.distinct()), (3, 2));
        assert_eq!(ledger.table().sum().delay_minutes, 4);
    }

    #[test]
    fn complete_means_every_offset_and_no_other() {
        let mut ledger = Ledger::default();
        for offset in [0, 2, 1] {
            ledger.count(0, offset, ROW);
        }
        assert!(ledger.is_complete(&BTreeMap::from([(0, 3), (1, 0)])));
        assert!(
            !ledger.is_complete(&BTreeMap::from([(0, 4)])),
            "one is missing"
        );
        assert!(
            !ledger.is_complete(&BTreeMap::from([(0, 2)])),
            "one is beyond the end"
        );
        assert!(
            !ledger.is_complete(&BTreeMap::from([(1, 0)])),
            "a partition that is not there"
        );
    }
}
