//! The leader epochs of one log and where each begins (KIP-101, KIP-320), as Kafka's `LeaderEpochFileCache` keeps them.
//! Owned by the partition's log; its bytes are Kafka's `leader-epoch-checkpoint`.
//!
//! An epoch is a stretch of offsets that nobody gave out twice. It rises when a log is opened that was not closed in
//! order: then its tail may be gone, and what is appended next must not look like what was lost.

/// No epoch, no offset.
pub(crate) const UNDEFINED: i32 = -1;

/// The version of the checkpoint's bytes, which Kafka has not changed since 0.11.
pub(crate) const VERSION: &str = "0";

/// Where an epoch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    epoch: i32,
    start: i64,
}

/// Never empty of epochs once one was assigned; both ascend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Epochs {
    entries: Vec<Entry>,
}

/// An epoch and the offset after its last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The epoch, which may be older than the one asked for; -1 when there is none to tell of.
    pub epoch: i32,
    /// The offset; -1 without an epoch.
    pub end: i64,
}

impl EpochEnd {
    /// Nothing is known of the epoch.
    pub(crate) const UNKNOWN: Self = Self {
        epoch: UNDEFINED,
        end: -1,
    };
}

impl Epochs {
    /// The epoch in which records are appended now; 0 of a log that never had another.
    pub(crate) fn latest(&self) -> i32 {
        self.entries.last().map_or(0, |entry| entry.epoch)
    }

    /// Whether no epoch was assigned: a log that nobody has written to.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// `epoch` begins at `start`. What would begin there or behind it, or be as new, never held a record.
    pub(crate) fn assign(&mut self, epoch: i32, start: i64) {
        self.entries
            .retain(|entry| entry.epoch < epoch && entry.start < start);
        self.entries.push(Entry { epoch, start });
    }

    /// A batch of `epoch` lies at `offset`, behind all that was seen before.
    pub(crate) fn seen(&mut self, epoch: i32, offset: i64) {
        if self.entries.last().is_none_or(|last| epoch > last.epoch) && epoch >= 0 {
            self.assign(epoch, offset);
        }
    }

    /// The log ends at `end`: epochs that begin there or behind it have no record.
    pub(crate) fn truncate_end(&mut self, end: i64) {
        self.entries.retain(|entry| entry.start < end);
    }

    /// The log starts at `start`: the epoch that goes on there begins there, and those before are gone. Tells whether
    /// anything changed.
    pub(crate) fn advance_start(&mut self, start: i64) -> bool {
        let at = self.entries.partition_point(|entry| entry.start <= start);
        let Some(at) = at.checked_sub(1) else {
            return false;
        };
        let changed = at > 0 || self.entries[at].start < start;
        self.entries.drain(..at);
        self.entries[0].start = start;
        changed
    }

    /// The epoch of the record at `offset`.
    pub(crate) fn of(&self, offset: i64) -> i32 {
        let at = self.entries.partition_point(|entry| entry.start <= offset);
        let entry = at.checked_sub(1).and_then(|at| self.entries.get(at));
        entry
            .or(self.entries.first())
            .map_or(0, |entry| entry.epoch)
    }

    /// Where `asked` ends in a log that ends at `end`: the newest epoch ends with the log, an older one where the next
    /// begins. Of an epoch that is not here the answer is the one below, and where that ends; of one before all, where
    /// the first begins.
    pub(crate) fn end_of(&self, asked: i32, end: i64) -> EpochEnd {
        let latest = self.latest();
        if asked == UNDEFINED || asked > latest {
            return EpochEnd::UNKNOWN;
        }
        if asked == latest {
            return EpochEnd { epoch: asked, end };
        }
        let above = self.entries.partition_point(|entry| entry.epoch <= asked);
        let below = above.checked_sub(1).and_then(|at| self.entries.get(at));
        EpochEnd {
            epoch: below.map_or(asked, |entry| entry.epoch),
            end: self.entries.get(above).map_or(end, |entry| entry.start),
        }
    }

    /// Kafka's checkpoint: a version, a number of lines, and an epoch and its start in each.
    pub(crate) fn encode(&self) -> String {
        let mut out = format!("{VERSION}\n{}\n", self.entries.len());
        for entry in &self.entries {
            out.push_str(&format!("{} {}\n", entry.epoch, entry.start));
        }
        out
    }

    /// None when that is no checkpoint.
    ///
    /// # Errors
    /// Another version.
    pub(crate) fn decode(text: &str) -> Result<Option<Self>, String> {
        let (version, rest) = text.split_once('\n').unwrap_or((text, ""));
        if version == VERSION {
            return Ok(Self::decode_entries(rest));
        }
        match version.parse::<u32>() {
            Ok(_) => Err(version.to_owned()),
            Err(_) => Ok(None),
        }
    }

    fn decode_entries(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let count: usize = lines.next()?.parse().ok()?;
        let mut entries: Vec<Entry> = Vec::new();
        for line in lines {
            let (epoch, start) = line.split_once(' ')?;
            let entry = Entry {
                epoch: epoch.parse().ok()?,
                start: start.parse().ok()?,
            };
            let ascends = |last: &Entry| last.epoch < entry.epoch && last.start < entry.start;
            if entry.epoch < 0 || entry.start < 0 || !entries.last().is_none_or(ascends) {
                return None;
            }
            entries.push(entry);
        }
        (entries.len() == count).then_some(Self { entries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(entries: &[(i32, i64)]) -> Epochs {
        let entries = entries.iter().map(|&(epoch, start)| Entry { epoch, start });
        Epochs {
            entries: entries.collect(),
        }
    }

    fn end(epoch: i32, end: i64) -> EpochEnd {
        EpochEnd { epoch, end }
    }

    /// The answers of Apache Kafka 4.2.0 to OffsetForLeaderEpoch.
    #[test]
    fn an_epoch_ends_where_the_next_begins() {
        let known = epochs(&[(0, 0), (2, 5), (3, 9)]);
        for (asked, expected) in [
            (-2, end(-2, 0)),
            (-1, EpochEnd::UNKNOWN),
            (0, end(0, 5)),
            (1, end(0, 5)),
            (2, end(2, 9)),
            (3, end(3, 12)),
            (4, EpochEnd::UNKNOWN),
        ] {
            assert_eq!(known.end_of(asked, 12), expected, "{asked}");
        }
        let trimmed = epochs(&[(2, 7), (3, 9)]);
        assert_eq!(trimmed.end_of(0, 12), end(0, 7));
        let never_written = Epochs::default();
        assert_eq!(never_written.end_of(0, 0), end(0, 0));
        assert_eq!(never_written.end_of(1, 0), EpochEnd::UNKNOWN);
        assert_eq!(never_written.end_of(-2, 0), end(-2, 0));
    }

    #[test]
    fn an_epoch_without_a_record_gives_way() {
        let mut known = epochs(&[(0, 0), (1, 5)]);
        known.assign(2, 5);
        assert_eq!(known, epochs(&[(0, 0), (2, 5)]));
        known.assign(3, 0);
        assert_eq!(known, epochs(&[(3, 0)]));
    }

    #[test]
    fn the_ends_of_the_log_cut_epochs_off() {
        let mut known = epochs(&[(0, 0), (2, 5), (3, 9)]);
        known.truncate_end(9);
        assert_eq!(known, epochs(&[(0, 0), (2, 5)]));
        assert!(!known.advance_start(0));
        assert!(known.advance_start(3));
        assert_eq!(known, epochs(&[(0, 3), (2, 5)]));
        assert!(known.advance_start(5));
        assert_eq!(known, epochs(&[(2, 5)]));
        assert!(known.advance_start(8));
        assert_eq!((known.of(0), known.of(8), known.of(100)), (2, 2, 2));
        assert!(!Epochs::default().advance_start(8));
    }

    #[test]
    fn batches_tell_the_epochs_again() {
        let mut known = Epochs::default();
        for (epoch, offset) in [(-1, 0), (0, 0), (0, 3), (2, 5), (1, 7), (3, 9)] {
            known.seen(epoch, offset);
        }
        assert_eq!(known, epochs(&[(0, 0), (2, 5), (3, 9)]));
        assert_eq!(
            [0, 4, 5, 8, 9].map(|offset| known.of(offset)),
            [0, 0, 2, 2, 3]
        );
    }

    #[test]
    fn the_checkpoint_is_kafkas() {
        let known = epochs(&[(0, 0), (2, 5)]);
        assert_eq!(known.encode(), "0\n2\n0 0\n2 5\n");
        assert_eq!(Epochs::decode(&known.encode()), Ok(Some(known)));
        assert_eq!(Epochs::decode("0\n0\n"), Ok(Some(Epochs::default())));
        for bad in [
            "",
            "0\n",
            "0\n2\n0 0\n",
            "0\n1\n0 0\n2 5\n",
            "0\n2\n2 0\n0 5\n",
            "0\n2\n0 5\n2 5\n",
            "0\n1\n0\n",
            "0\n1\n-1 0\n",
            "0\n1\n0 -1\n",
            "0\n-1\n",
            "0\n1\n0 99999999999999999999\n",
        ] {
            assert_eq!(Epochs::decode(bad), Ok(None), "{bad:?}");
        }
        assert_eq!(Epochs::decode("1\n0\n"), Err("1".to_owned()));
    }
}
