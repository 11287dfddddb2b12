//! Records on their way to their partitions: gathered into batches, one batch of a partition in flight at a time, so a
//! retry never overtakes. Owned by the producer's driver, which sends. `D` is whatever waits for a record's delivery.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use super::backoff::Backoff;
use crate::TopicPartition;
use crate::error::ClientError;

/// A record to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gathered {
    /// The key.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Headers in order.
    pub headers: Vec<(String, Option<Bytes>)>,
    /// Milliseconds since 1970.
    pub timestamp_ms: i64,
}

/// What a record costs besides its key, value and headers: lengths, offset and timestamp deltas.
const RECORD_OVERHEAD_BYTES: usize = 21;

impl Gathered {
    /// About how many bytes it takes in a batch, never less than it does.
    #[must_use]
    pub fn size(&self) -> usize {
        let headers: usize = self
            .headers
            .iter()
            .map(|(name, value)| 10 + name.len() + value.as_ref().map_or(0, Bytes::len))
            .sum();
        RECORD_OVERHEAD_BYTES
            + self.key.as_ref().map_or(0, Bytes::len)
            + self.value.as_ref().map_or(0, Bytes::len)
            + headers
    }
}

/// Producer id and epoch (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The id the broker gave.
    pub id: i64,
    /// Its epoch.
    pub epoch: i16,
}

/// Under which identity and sequence a batch was first sent. A retry repeats both, or the broker would store it twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// `None` where idempotence is off.
    pub identity: Option<(Identity, i32)>,
    /// The encoded batch.
    pub encoded: Bytes,
}

/// Records of one partition that travel together.
#[derive(Debug)]
pub struct Batch<D> {
    /// Ascends over all partitions; the parts of a batch that was split have its own.
    pub id: u64,
    /// The records, in order.
    pub records: Vec<Gathered>,
    /// Who waits for each.
    pub deliveries: Vec<D>,
    /// When its first record came.
    pub created: Duration,
    /// Set when it is first sent.
    pub stamp: Option<Stamp>,
    /// Why the last try failed.
    pub refused: Option<ClientError>,
    bytes: usize,
}

#[derive(Debug)]
struct Line<D> {
    open: Option<Batch<D>>,
    sealed: VecDeque<Batch<D>>,
    in_flight: bool,
    retry_at: Duration,
    backoff: Backoff,
    identity: Option<Identity>,
    next_sequence: i32,
}

/// All partitions.
#[derive(Debug)]
pub struct Accumulator<D> {
    lines: BTreeMap<TopicPartition, Line<D>>,
    /// Batches not yet resolved, and how many there are of each id.
    live: BTreeMap<u64, usize>,
    next_id: u64,
    linger: Duration,
    batch_bytes: usize,
    backoff: Backoff,
}

impl<D> Accumulator<D> {
    /// `linger.ms` and `batch.size`; `backoff` is copied for each partition.
    #[must_use]
    pub fn new(linger: Duration, batch_bytes: usize, backoff: Backoff) -> Self {
        Self {
            lines: BTreeMap::new(),
            live: BTreeMap::new(),
            next_id: 0,
            linger,
            batch_bytes,
            backoff,
        }
    }

    /// Takes a record.
    pub fn push(
        &mut self,
        now: Duration,
        partition: TopicPartition,
        record: Gathered,
        delivery: D,
    ) {
        let line = self.lines.entry(partition).or_insert_with(|| Line {
            open: None,
            sealed: VecDeque::new(),
            in_flight: false,
            retry_at: Duration::ZERO,
            backoff: self.backoff.clone(),
            identity: None,
            next_sequence: 0,
        });
        let bytes = record.size();
        if let Some(full) = line
            .open
            .take_if(|open| open.bytes + bytes > self.batch_bytes)
        {
            line.sealed.push_back(full);
        }
        let open = line.open.get_or_insert_with(|| {
            self.next_id += 1;
            self.live.insert(self.next_id, 1);
            Batch {
                id: self.next_id,
                records: Vec::new(),
                deliveries: Vec::new(),
                created: now,
                stamp: None,
                refused: None,
                bytes: 0,
            }
        });
        open.bytes += bytes;
        open.records.push(record);
        open.deliveries.push(delivery);
        if open.bytes >= self.batch_bytes {
            line.sealed.extend(line.open.take());
        }
    }

    /// Sends everything without lingering. Returns a mark for [`is_settled`](Self::is_settled).
    pub fn seal_all(&mut self) -> u64 {
        for line in self.lines.values_mut() {
            line.sealed.extend(line.open.take());
        }
        self.next_id
    }

    /// Whether every batch up to the mark is resolved.
    #[must_use]
    pub fn is_settled(&self, mark: u64) -> bool {
        self.live
            .first_key_value()
            .is_none_or(|(oldest, _)| *oldest > mark)
    }

    /// Takes out the next batch of every partition that has one due and none in flight.
    pub fn ready(&mut self, now: Duration) -> Vec<(TopicPartition, Batch<D>)> {
        let mut ready = Vec::new();
        for (partition, line) in &mut self.lines {
            if line.in_flight || line.retry_at > now {
                continue;
            }
            if line.sealed.is_empty()
                && let Some(lingered) = line
                    .open
                    .take_if(|open| now.saturating_sub(open.created) >= self.linger)
            {
                line.sealed.push_back(lingered);
            }
            if let Some(batch) = line.sealed.pop_front() {
                line.in_flight = true;
                ready.push((partition.clone(), batch));
            }
        }
        ready
    }

    /// The identity and sequence for a batch that is about to be sent for the first time. A partition takes on a new
    /// identity only with a new batch, beginning at sequence 0.
    pub fn identify(&mut self, partition: &TopicPartition, current: Identity) -> (Identity, i32) {
        match self.lines.get_mut(partition) {
            Some(line) => {
                if line.identity != Some(current) {
                    line.identity = Some(current);
                    line.next_sequence = 0;
                }
                (current, line.next_sequence)
            }
            None => (current, 0),
        }
    }

    /// The batch is stored, or was refused without having been: the next one may go.
    pub fn resolved(&mut self, partition: &TopicPartition, id: u64, stored: Option<usize>) {
        over(&mut self.live, id);
        if let Some(line) = self.lines.get_mut(partition) {
            line.in_flight = false;
            line.backoff.reset();
            if let Some(records) = stored {
                let count = i32::try_from(records).unwrap_or(i32::MAX);
                // Sequences go from i32::MAX to 0.
                line.next_sequence = line
                    .next_sequence
                    .checked_add(count)
                    .unwrap_or_else(|| count - (i32::MAX - line.next_sequence) - 1);
            }
        }
    }

    /// The batch goes back to the head of its partition and waits.
    pub fn retry(
        &mut self,
        now: Duration,
        partition: &TopicPartition,
        mut batch: Batch<D>,
        refused: ClientError,
    ) {
        batch.refused = Some(refused);
        if let Some(line) = self.lines.get_mut(partition) {
            line.in_flight = false;
            line.retry_at = now + line.backoff.next_wait();
            line.sealed.push_front(batch);
        }
    }

    /// The batch was refused for its size and not stored: it goes back to the head of its partition in parts of at most
    /// half its bytes, or of a single record, in order, so that the parts take on the sequences it had. Halves and not
    /// `batch.size`, which may itself be more than the topic takes. Gives back a batch of a single record.
    pub fn split(&mut self, partition: &TopicPartition, batch: Batch<D>) -> Option<Batch<D>> {
        let Some(line) = self.lines.get_mut(partition) else {
            return Some(batch);
        };
        if batch.records.len() < 2 {
            return Some(batch);
        }
        let target = batch.bytes / 2;
        let mut parts: Vec<Batch<D>> = Vec::new();
        for (record, delivery) in batch.records.into_iter().zip(batch.deliveries) {
            let bytes = record.size();
            match parts.last_mut() {
                Some(part) if part.bytes + bytes <= target => {
                    part.bytes += bytes;
                    part.records.push(record);
                    part.deliveries.push(delivery);
                }
                _ => parts.push(Batch {
                    id: batch.id,
                    records: vec![record],
                    deliveries: vec![delivery],
                    created: batch.created,
                    stamp: None,
                    refused: batch.refused.clone(),
                    bytes,
                }),
            }
        }
        self.live.insert(
            batch.id,
            self.live.get(&batch.id).copied().unwrap_or(1) + parts.len() - 1,
        );
        line.in_flight = false;
        for part in parts.into_iter().rev() {
            line.sealed.push_front(part);
        }
        None
    }

    /// Takes out what is older than `timeout` and not in flight.
    pub fn expire(&mut self, now: Duration, timeout: Duration) -> Vec<(TopicPartition, Batch<D>)> {
        let mut expired = Vec::new();
        for (partition, line) in &mut self.lines {
            if line.in_flight {
                continue;
            }
            let old = |batch: &Batch<D>| now.saturating_sub(batch.created) >= timeout;
            // Where nothing may be sent at all, nothing is sealed either.
            if let Some(lingered) = line.open.take_if(|open| old(open)) {
                line.sealed.push_back(lingered);
            }
            while line.sealed.front().is_some_and(old) {
                if let Some(batch) = line.sealed.pop_front() {
                    over(&mut self.live, batch.id);
                    expired.push((partition.clone(), batch));
                }
            }
        }
        expired
    }

    /// Everything that is not in flight, given up: the producer ends.
    pub fn abandon(&mut self) -> Vec<Batch<D>> {
        self.seal_all();
        let batches: Vec<_> = self
            .lines
            .values_mut()
            .flat_map(|line| std::mem::take(&mut line.sealed))
            .collect();
        for batch in &batches {
            over(&mut self.live, batch.id);
        }
        batches
    }

    /// When something becomes due, if nothing else comes first.
    #[must_use]
    pub fn next_deadline(&self, delivery_timeout: Duration) -> Option<Duration> {
        self.lines
            .values()
            .filter(|line| !line.in_flight)
            .filter_map(|line| {
                let due = match (&line.sealed.front(), &line.open) {
                    (Some(batch), _) => line.retry_at.min(batch.created + delivery_timeout),
                    (None, Some(open)) => (open.created + self.linger).max(line.retry_at),
                    (None, None) => return None,
                };
                Some(due)
            })
            .min()
    }
}

/// One batch less of this id.
fn over(live: &mut BTreeMap<u64, usize>, id: u64) {
    if let Some(count) = live.get_mut(&id) {
        *count -= 1;
        if *count == 0 {
            live.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tp(partition: i32) -> TopicPartition {
        TopicPartition::new("orders", partition)
    }

    fn accumulator() -> Accumulator<u32> {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1), 5);
        Accumulator::new(Duration::from_millis(5), 100, backoff)
    }

    fn record(bytes: usize) -> Gathered {
        Gathered {
            value: Some(Bytes::from(vec![0; bytes])),
            ..Gathered::default()
        }
    }

    const NOW: Duration = Duration::from_secs(1);
    const SOON: Duration = Duration::from_millis(1005);
    const IDENTITY: Identity = Identity { id: 7, epoch: 0 };

    #[test]
    fn lingers_until_full_or_due() {
        let mut lines = accumulator();
        lines.push(NOW, tp(0), record(10), 0);
        assert!(lines.ready(NOW).is_empty());
        assert_eq!(lines.next_deadline(Duration::MAX), Some(SOON));
        assert_eq!(lines.ready(SOON).len(), 1);
        for delivery in 0..4 {
            lines.push(NOW, tp(1), record(10), delivery);
        }
        let ready = lines.ready(NOW);
        assert_eq!(ready[0].1.deliveries, [0, 1, 2]);
    }

    #[test]
    fn one_batch_of_a_partition_in_flight_and_a_retry_stays_first() {
        let mut lines = accumulator();
        for delivery in 0..3 {
            lines.push(NOW, tp(0), record(100), delivery);
        }
        let (partition, first) = lines.ready(NOW).remove(0);
        assert!(lines.ready(NOW).is_empty());
        assert_eq!(lines.identify(&partition, IDENTITY), (IDENTITY, 0));
        lines.retry(NOW, &partition, first, ClientError::Timeout);
        assert!(lines.ready(NOW).is_empty(), "a retry did not wait");
        let (_, again) = lines.ready(NOW + Duration::from_millis(200)).remove(0);
        assert_eq!(again.deliveries, [0]);
        lines.resolved(&partition, again.id, Some(1));
        assert_eq!(lines.identify(&partition, IDENTITY), (IDENTITY, 1));
        let (_, second) = lines.ready(NOW + Duration::from_millis(200)).remove(0);
        assert_eq!(second.deliveries, [1]);
    }

    #[test]
    fn a_batch_that_is_too_large_goes_again_in_parts_and_in_order() {
        let mut lines = accumulator();
        // 21 bytes each besides the value: a batch of four, and one behind it.
        for delivery in 0..5 {
            lines.push(NOW, tp(0), record(4), delivery);
        }
        let mark = lines.seal_all();
        let (partition, batch) = lines.ready(NOW).remove(0);
        assert_eq!(batch.deliveries, [0, 1, 2, 3]);
        assert_eq!(lines.identify(&partition, IDENTITY), (IDENTITY, 0));
        assert!(lines.split(&partition, batch).is_none());
        let mut sent = Vec::new();
        while let Some((partition, batch)) = lines.ready(NOW).pop() {
            assert!(batch.stamp.is_none());
            assert!(!lines.is_settled(mark), "a part is open");
            let (_, sequence) = lines.identify(&partition, IDENTITY);
            sent.push((sequence, batch.deliveries.clone()));
            lines.resolved(&partition, batch.id, Some(batch.records.len()));
        }
        assert_eq!(sent, [(0, vec![0, 1]), (2, vec![2, 3]), (4, vec![4])]);
        assert!(lines.is_settled(mark));
    }

    #[test]
    fn a_record_larger_than_half_its_batch_is_a_part_of_its_own() {
        let mut lines = accumulator();
        for (delivery, bytes) in (0..).zip([1, 20, 1]) {
            lines.push(NOW, tp(0), record(bytes), delivery);
        }
        lines.seal_all();
        let (partition, batch) = lines.ready(NOW).remove(0);
        assert!(lines.split(&partition, batch).is_none());
        let (partition, first) = lines.ready(NOW).remove(0);
        assert_eq!(first.deliveries, [0]);
        lines.resolved(&partition, first.id, Some(1));
        let (_, second) = lines.ready(NOW).remove(0);
        assert_eq!(second.deliveries, [1]);
        // It cannot be split any more, and goes on holding up those behind it until it is resolved.
        let second = lines.split(&partition, second).unwrap();
        assert!(lines.ready(NOW).is_empty());
        lines.resolved(&partition, second.id, None);
        assert_eq!(lines.ready(NOW).remove(0).1.deliveries, [2]);
    }

    #[test]
    fn a_flush_waits_for_what_came_before_it_and_no_more() {
        let mut lines = accumulator();
        lines.push(NOW, tp(0), record(1), 0);
        let mark = lines.seal_all();
        lines.push(NOW, tp(0), record(1), 1);
        assert!(!lines.is_settled(mark));
        let (partition, batch) = lines.ready(NOW).remove(0);
        lines.resolved(&partition, batch.id, Some(1));
        assert!(lines.is_settled(mark));
    }

    #[test]
    fn a_new_identity_begins_at_sequence_zero() {
        let mut lines = accumulator();
        lines.push(NOW, tp(0), record(100), 0);
        let (partition, batch) = lines.ready(NOW).remove(0);
        lines.identify(&partition, IDENTITY);
        lines.resolved(&partition, batch.id, Some(5));
        assert_eq!(lines.identify(&partition, IDENTITY).1, 5);
        let other = Identity { id: 8, epoch: 0 };
        assert_eq!(lines.identify(&partition, other), (other, 0));
    }

    #[test]
    fn sequences_wrap_to_zero_after_the_largest() {
        let mut lines = accumulator();
        lines.push(NOW, tp(0), record(100), 0);
        let (partition, batch) = lines.ready(NOW).remove(0);
        lines.identify(&partition, IDENTITY);
        lines.resolved(&partition, batch.id, Some(i32::MAX as usize));
        lines.resolved(&partition, batch.id, Some(1));
        assert_eq!(lines.identify(&partition, IDENTITY).1, 0);
    }

    #[test]
    fn what_is_too_old_is_given_up() {
        let mut lines = accumulator();
        lines.push(NOW, tp(0), record(100), 0);
        assert!(lines.expire(SOON, Duration::from_secs(1)).is_empty());
        assert_eq!(lines.expire(2 * NOW, Duration::from_secs(1)).len(), 1);
        assert!(lines.is_settled(u64::MAX));
        // Also what nobody has sealed: it cannot be sent.
        lines.push(NOW, tp(0), record(1), 0);
        assert!(lines.expire(SOON, Duration::from_secs(1)).is_empty());
        assert_eq!(lines.expire(2 * NOW, Duration::from_secs(1)).len(), 1);
    }
}
