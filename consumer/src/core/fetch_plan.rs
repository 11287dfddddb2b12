//! Which partitions go into the next Fetch of one broker, in which order, and what an error of a partition means.
//! Owned by the fetcher shell of that broker. Knows no offsets: positions live with the partition.

use std::collections::BTreeMap;
use std::time::Duration;

use callboard_client::TopicPartition;
use callboard_protocol::ErrorCode;

use callboard_client::core::backoff::Backoff;

/// Whether a partition can be fetched now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eligibility {
    /// It can.
    Ready,
    /// The application has enough of it in hand.
    NoCredit,
    /// It is paused, draining or waits for a restart: nobody waits for its records.
    Idle,
}

/// What to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan<P = TopicPartition> {
    /// In this order: brokers fill an answer from the front.
    pub partitions: Vec<P>,
    /// How long the broker may hold the request.
    pub max_wait: Duration,
}

/// What an error of one partition in a Fetch answer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Ask again after a wait.
    Retry,
    /// Ask again after a wait and fresh metadata; the leader may be another one.
    RefreshMetadata,
    /// The offset is not in the log: apply the reset policy.
    OutOfRange,
    /// The application has to hear of it; the partition is paused.
    Stop,
}

impl Reaction {
    /// Kafka 4.2.0's client reacts so.
    #[must_use]
    pub fn of(code: ErrorCode) -> Self {
        match code {
            ErrorCode::OFFSET_OUT_OF_RANGE => Self::OutOfRange,
            ErrorCode::TOPIC_AUTHORIZATION_FAILED
            | ErrorCode::CORRUPT_MESSAGE
            | ErrorCode::UNSUPPORTED_COMPRESSION_TYPE => Self::Stop,
            ErrorCode::UNKNOWN_LEADER_EPOCH | ErrorCode::UNKNOWN_SERVER_ERROR => Self::Retry,
            _ => Self::RefreshMetadata,
        }
    }
}

#[derive(Debug)]
struct Entry {
    /// Its place in the order.
    place: u64,
    retry_at: Duration,
    backoff: Backoff,
}

/// The partitions led by one broker. Whatever happens to one of them costs a search in a tree; only a request looks at all.
#[derive(Debug)]
pub struct FetchPlan<P = TopicPartition> {
    entries: BTreeMap<P, Entry>,
    /// By place: whoever goes to the tail takes the next one.
    order: BTreeMap<u64, P>,
    next_place: u64,
    max_wait: Duration,
    backoff: Backoff,
    /// Requests in a row that left a partition out for want of credit.
    starved: u32,
}

impl<P: Ord + Clone> FetchPlan<P> {
    /// `max_wait` is `fetch.max.wait.ms`.
    #[must_use]
    pub fn new(max_wait: Duration, backoff: Backoff) -> Self {
        Self {
            entries: BTreeMap::new(),
            order: BTreeMap::new(),
            next_place: 0,
            max_wait,
            backoff,
            starved: 0,
        }
    }

    /// Fetches `partition` from now on; one that it fetches already keeps its place and waits no longer.
    pub fn add(&mut self, partition: P) {
        if let Some(entry) = self.entries.get_mut(&partition) {
            entry.retry_at = Duration::ZERO;
            entry.backoff.reset();
            return;
        }
        let entry = Entry {
            place: self.next_place,
            retry_at: Duration::ZERO,
            backoff: self.backoff.clone(),
        };
        self.next_place += 1;
        self.order.insert(entry.place, partition.clone());
        self.entries.insert(partition, entry);
    }

    /// Fetches it no more.
    pub fn remove(&mut self, partition: &P) {
        if let Some(entry) = self.entries.remove(partition) {
            self.order.remove(&entry.place);
        }
    }

    /// The next request, if there is anything to ask for.
    ///
    /// A request that leaves a partition out for want of credit does not wait long: that partition's handler may be
    /// done in a moment and its next records would wait for this request to end.
    pub fn plan(&mut self, now: Duration, eligible: impl Fn(&P) -> Eligibility) -> Option<Plan<P>> {
        let mut partitions = Vec::new();
        let mut left_out = false;
        for partition in self.order.values() {
            let waits = self
                .entries
                .get(partition)
                .is_none_or(|entry| entry.retry_at > now);
            match eligible(partition) {
                Eligibility::Ready if !waits => partitions.push(partition.clone()),
                Eligibility::NoCredit => left_out = true,
                Eligibility::Ready | Eligibility::Idle => {}
            }
        }
        if partitions.is_empty() {
            return None;
        }
        self.starved = if left_out { self.starved + 1 } else { 0 };
        let max_wait = if left_out {
            Duration::from_millis(10)
                .saturating_mul(1 << self.starved.min(10))
                .min(self.max_wait)
        } else {
            self.max_wait
        };
        Some(Plan {
            partitions,
            max_wait,
        })
    }

    /// `partition` brought records: it goes to the tail, so that none starves (KIP-74).
    pub fn delivered(&mut self, partition: &P) {
        if let Some(entry) = self.move_to_tail(partition) {
            entry.backoff.reset();
        }
    }

    /// `partition` had an error: it goes to the tail and waits.
    pub fn failed(&mut self, now: Duration, partition: &P) {
        if let Some(entry) = self.move_to_tail(partition) {
            entry.retry_at = now + entry.backoff.next_wait();
        }
    }

    /// The request came to nothing: everything waits.
    pub fn all_failed(&mut self, now: Duration) {
        for entry in self.entries.values_mut() {
            entry.retry_at = now + entry.backoff.next_wait();
        }
    }

    /// When a partition's wait is over.
    #[must_use]
    pub fn next_deadline(&self, now: Duration) -> Option<Duration> {
        self.entries
            .values()
            .map(|entry| entry.retry_at)
            .filter(|retry_at| *retry_at > now)
            .min()
    }

    fn move_to_tail(&mut self, partition: &P) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(partition)?;
        if let Some(moved) = self.order.remove(&entry.place) {
            entry.place = self.next_place;
            self.next_place += 1;
            self.order.insert(entry.place, moved);
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::cmp::Ordering;

    use super::*;

    const WAIT: Duration = Duration::from_millis(500);

    fn tp(partition: i32) -> TopicPartition {
        TopicPartition::new("orders", partition)
    }

    fn plan_of(count: i32) -> FetchPlan {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1), 3);
        let mut plan = FetchPlan::new(WAIT, backoff);
        for partition in 0..count {
            plan.add(tp(partition));
        }
        plan
    }

    #[test]
    fn what_brought_records_goes_to_the_tail() {
        let mut plan = plan_of(3);
        plan.delivered(&tp(0));
        let next = plan.plan(Duration::ZERO, |_| Eligibility::Ready).unwrap();
        assert_eq!(next.partitions, [tp(1), tp(2), tp(0)]);
        assert_eq!(next.max_wait, WAIT);
    }

    #[test]
    fn a_partition_without_credit_makes_requests_short_at_first() {
        let mut plan = plan_of(2);
        let eligible = |partition: &TopicPartition| {
            if *partition == tp(0) {
                Eligibility::NoCredit
            } else {
                Eligibility::Ready
            }
        };
        let first = plan.plan(Duration::ZERO, eligible).unwrap();
        assert_eq!(first.partitions, [tp(1)]);
        assert!(first.max_wait < WAIT);
        for _ in 0..10 {
            plan.plan(Duration::ZERO, eligible);
        }
        assert_eq!(plan.plan(Duration::ZERO, eligible).unwrap().max_wait, WAIT);
    }

    #[test]
    fn an_error_of_one_partition_leaves_the_others_alone() {
        let mut plan = plan_of(2);
        plan.failed(Duration::ZERO, &tp(0));
        let next = plan.plan(Duration::ZERO, |_| Eligibility::Ready).unwrap();
        assert_eq!(next.partitions, [tp(1)]);
        let retry = plan.next_deadline(Duration::ZERO).unwrap();
        let next = plan.plan(retry, |_| Eligibility::Ready).unwrap();
        assert_eq!(next.partitions, [tp(1), tp(0)]);
    }

    #[test]
    fn nothing_to_ask_for_asks_nothing() {
        let mut plan = plan_of(1);
        assert_eq!(plan.plan(Duration::ZERO, |_| Eligibility::Idle), None);
        plan.remove(&tp(0));
        assert_eq!(plan.plan(Duration::ZERO, |_| Eligibility::Ready), None);
    }
    thread_local! {
        static COMPARED: Cell<u64> = const { Cell::new(0) };
    }

    /// A partition that counts how often it is compared.
    #[derive(Clone, Debug)]
    struct Counted(u32);

    impl Ord for Counted {
        fn cmp(&self, other: &Self) -> Ordering {
            COMPARED.set(COMPARED.get() + 1);
            self.0.cmp(&other.0)
        }
    }

    impl PartialOrd for Counted {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }

    impl PartialEq for Counted {
        fn eq(&self, other: &Self) -> bool {
            self.cmp(other) == Ordering::Equal
        }
    }

    impl Eq for Counted {}

    /// It once looked through all of the order for each: a second for 20,000 partitions that were revoked together.
    #[test]
    fn what_happens_to_one_partition_does_not_cost_a_look_at_all() {
        const PARTITIONS: u32 = 20_000;
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1), 3);
        let mut plan = FetchPlan::new(WAIT, backoff);
        for partition in 0..PARTITIONS {
            plan.add(Counted(partition));
        }
        let mut cost = |what: &str, step: &dyn Fn(&mut FetchPlan<Counted>, &Counted)| {
            COMPARED.set(0);
            // From the tail on: the worst order for who searches from the front.
            for partition in (0..PARTITIONS).rev() {
                step(&mut plan, &Counted(partition));
            }
            let each = COMPARED.get() / u64::from(PARTITIONS);
            // A tree of 20,000: some 15 levels, up to 11 keys looked at in each node.
            assert!(each < 100, "{what}: {each} comparisons a partition");
        };
        cost("delivered", &|plan, partition| plan.delivered(partition));
        cost("failed", &|plan, partition| {
            plan.failed(Duration::ZERO, partition)
        });
        cost("removed", &|plan, partition| plan.remove(partition));
        assert_eq!(plan.plan(Duration::MAX, |_| Eligibility::Ready), None);
    }
}
