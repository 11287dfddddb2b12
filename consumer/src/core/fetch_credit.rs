//! How far fetching may run ahead of the application: a byte budget of the consumer, shared equally by its partitions,
//! and the account of one of them, which is part of its [core](super::partition). Counts bytes of fetched record
//! batches; moves nothing.

/// A paused account takes records again when it holds this much of its share or less.
const RESUME_PERCENT: usize = 80;

/// What all partitions of a consumer may have fetched and not worked off.
///
/// A partition's limit is its equal share, so that one slow partition can fill its own share and no more, and the
/// others go on. It is never below one fetch of a partition: progress must be possible.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    bytes: usize,
    share_bytes_min: usize,
}

impl Budget {
    /// `bytes` for all partitions; `share_bytes_min` is `max.partition.fetch.bytes`.
    #[must_use]
    pub fn new(bytes: usize, share_bytes_min: usize) -> Self {
        Self {
            bytes,
            share_bytes_min,
        }
    }

    /// The bytes that each of so many partitions may hold.
    #[must_use]
    pub fn share(&self, partitions: usize) -> usize {
        (self.bytes / partitions.max(1)).max(self.share_bytes_min)
    }
}

/// Bytes of one partition that are fetched and not worked off. Whoever holds fetched batches gives back exactly what was
/// charged for them, once, whatever becomes of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Account {
    held_bytes: usize,
    paused: bool,
}

impl Account {
    /// Whether more may be fetched.
    #[must_use]
    pub fn grants(&self) -> bool {
        !self.paused
    }

    /// Records were fetched; `share` is the most that the account should hold.
    pub fn charge(&mut self, bytes: usize, share: usize) {
        self.held_bytes += bytes;
        self.paused |= self.held_bytes >= share;
    }

    /// Records were worked off or thrown away. Returns whether more may be fetched from now on.
    pub fn give_back(&mut self, bytes: usize, share: usize) -> bool {
        debug_assert!(bytes <= self.held_bytes, "more given back than was charged");
        self.held_bytes = self.held_bytes.saturating_sub(bytes);
        let resumes = self.paused && self.held_bytes <= share / 100 * RESUME_PERCENT;
        self.paused &= !resumes;
        resumes
    }

    /// Bytes held.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_equal_and_never_below_one_fetch() {
        let budget = Budget::new(1000, 100);
        assert_eq!(budget.share(0), 1000);
        assert_eq!(budget.share(2), 500);
        assert_eq!(budget.share(50), 100);
    }

    #[test]
    fn pauses_at_the_share_and_resumes_at_four_fifths() {
        let mut account = Account::default();
        account.charge(999, 1000);
        assert!(account.grants());
        account.charge(101, 1000);
        assert!(!account.grants());
        assert!(!account.give_back(200, 1000));
        assert!(account.give_back(100, 1000));
        assert!(account.grants());
        assert_eq!(account.held_bytes(), 800);
    }

    #[test]
    fn an_empty_account_grants_whatever_its_share_has_become() {
        let mut account = Account::default();
        account.charge(500, 100);
        assert!(account.give_back(500, 10));
        assert!(account.grants());
    }
}
