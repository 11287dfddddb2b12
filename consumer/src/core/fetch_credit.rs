//! How far fetching may run ahead of the application: a byte budget shared by all partitions of a consumer.
//! Owned by the consumer and shared by its fetchers and handlers. Counts bytes of fetched record batches; moves nothing.

use std::collections::BTreeMap;

use callboard_client::TopicPartition;

/// A paused account takes records again when it holds this much of its limit or less.
const RESUME_PERCENT: usize = 80;

/// Bytes fetched and not yet worked off, by partition.
///
/// A partition's limit is its equal share of the budget, so that one slow partition can fill its own share and no
/// more, and the others go on. It is never below one fetch of a partition: progress must be possible.
#[derive(Clone, Debug)]
pub struct FetchCredit {
    budget_bytes: usize,
    share_bytes_min: usize,
    buffered_bytes: usize,
    accounts: BTreeMap<TopicPartition, Account>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Account {
    buffered_bytes: usize,
    paused: bool,
}

impl FetchCredit {
    /// `budget_bytes` for all partitions; `share_bytes_min` is `max.partition.fetch.bytes`.
    #[must_use]
    pub fn new(budget_bytes: usize, share_bytes_min: usize) -> Self {
        Self {
            budget_bytes,
            share_bytes_min,
            buffered_bytes: 0,
            accounts: BTreeMap::new(),
        }
    }

    /// Opens an account.
    pub fn open(&mut self, partition: TopicPartition) {
        self.accounts.entry(partition).or_default();
    }

    /// Closes an account; what it held is free again.
    pub fn close(&mut self, partition: &TopicPartition) {
        if let Some(account) = self.accounts.remove(partition) {
            self.buffered_bytes -= account.buffered_bytes;
        }
    }

    /// Empties an account: its buffered records were thrown away.
    pub fn reset(&mut self, partition: &TopicPartition) {
        if let Some(account) = self.accounts.get_mut(partition) {
            self.buffered_bytes -= account.buffered_bytes;
            *account = Account::default();
        }
    }

    /// Whether more may be fetched for `partition`.
    #[must_use]
    pub fn grants(&self, partition: &TopicPartition) -> bool {
        self.accounts
            .get(partition)
            .is_some_and(|account| !account.paused)
    }

    /// Records were fetched and handed on.
    pub fn charge(&mut self, partition: &TopicPartition, bytes: usize) {
        let limit = self.limit();
        if let Some(account) = self.accounts.get_mut(partition) {
            account.buffered_bytes += bytes;
            self.buffered_bytes += bytes;
            account.paused |= account.buffered_bytes >= limit;
        }
    }

    /// Records were worked off. Returns whether the partition may be fetched again from now on.
    pub fn give_back(&mut self, partition: &TopicPartition, bytes: usize) -> bool {
        let limit = self.limit();
        let Some(account) = self.accounts.get_mut(partition) else {
            return false;
        };
        // A reset account owes nothing for what was charged before.
        let bytes = bytes.min(account.buffered_bytes);
        account.buffered_bytes -= bytes;
        self.buffered_bytes -= bytes;
        let resumes = account.paused && account.buffered_bytes <= limit / 100 * RESUME_PERCENT;
        account.paused &= !resumes;
        resumes
    }

    /// Bytes held by all partitions.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.buffered_bytes
    }

    fn limit(&self) -> usize {
        (self.budget_bytes / self.accounts.len().max(1)).max(self.share_bytes_min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tp(partition: i32) -> TopicPartition {
        TopicPartition::new("orders", partition)
    }

    #[test]
    fn a_slow_partition_fills_its_share_and_no_other() {
        let mut credit = FetchCredit::new(1000, 100);
        credit.open(tp(0));
        credit.open(tp(1));
        credit.charge(&tp(0), 500);
        assert!(!credit.grants(&tp(0)));
        assert!(credit.grants(&tp(1)));
    }

    #[test]
    fn pauses_at_the_limit_and_resumes_at_four_fifths() {
        let mut credit = FetchCredit::new(1000, 100);
        credit.open(tp(0));
        credit.charge(&tp(0), 999);
        assert!(credit.grants(&tp(0)));
        credit.charge(&tp(0), 101);
        assert!(!credit.grants(&tp(0)));
        assert!(!credit.give_back(&tp(0), 200));
        assert!(credit.give_back(&tp(0), 100));
        assert!(credit.grants(&tp(0)));
    }

    #[test]
    fn a_reset_forgets_debts_and_late_returns_do_not_overdraw() {
        let mut credit = FetchCredit::new(1000, 100);
        credit.open(tp(0));
        credit.charge(&tp(0), 1200);
        credit.reset(&tp(0));
        assert!(credit.grants(&tp(0)));
        assert!(!credit.give_back(&tp(0), 1200));
        assert_eq!(credit.buffered_bytes(), 0);
    }

    #[test]
    fn an_unknown_partition_is_never_granted() {
        assert!(!FetchCredit::new(1000, 100).grants(&tp(0)));
    }
}
