//! Idempotence: what a partition remembers of each producer id, and what it says to the next batch. Owned by the
//! partition's log; rebuilt from batch headers by the same [`ProducerStates::apply`] that serves live appends.
//!
//! Rules of Kafka 4.2.0 (KIP-98, five batches since KIP-185, INVALID_PRODUCER_EPOCH since KIP-588):
//! * A batch whose epoch and sequences equal one of the last five is a duplicate and gets that one's offset.
//! * An epoch below the last one is refused.
//! * A new epoch must begin at sequence 0, unless nothing is known of the producer: then any sequence is taken, since
//!   what it wrote before may have been deleted by retention.
//! * Otherwise the first sequence follows the last one; after 2^31-1 comes 0.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Batches remembered of a producer: as many as a client may have in flight.
pub(crate) const BATCHES_KEPT: usize = 5;

/// Most producers a partition remembers; above it the one idle longest is forgotten. About 24 MiB.
pub(crate) const PRODUCERS_MAX: usize = 100_000;

/// A batch of an idempotent producer, as its header tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProducerBatch {
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    pub(crate) first_sequence: i32,
    pub(crate) last_sequence: i32,
    pub(crate) base_offset: i64,
    pub(crate) last_offset: i64,
    pub(crate) timestamp: i64,
}

/// A batch that was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeptBatch {
    pub(crate) first_sequence: i32,
    pub(crate) last_sequence: i32,
    pub(crate) base_offset: i64,
    pub(crate) last_offset: i64,
    pub(crate) timestamp: i64,
}

/// What is remembered of one producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProducerState {
    pub(crate) epoch: i16,
    /// Milliseconds since 1970, of the broker's clock where the append was live and of the batch where it was replayed.
    pub(crate) last_seen: i64,
    /// Oldest first, at most [`BATCHES_KEPT`], never empty.
    pub(crate) batches: VecDeque<KeptBatch>,
}

/// What becomes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Append it.
    New,
    /// It is there already: answer with this one.
    Duplicate(KeptBatch),
    /// Answer OUT_OF_ORDER_SEQUENCE_NUMBER.
    OutOfOrder {
        /// The last sequence there is; -1 when the epoch is new.
        last: i32,
    },
    /// Answer INVALID_PRODUCER_EPOCH.
    OldEpoch {
        /// The epoch to beat.
        current: i16,
    },
}

/// Every producer of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProducerStates {
    // Ordered, so that a snapshot's bytes depend on nothing but its content.
    states: BTreeMap<i64, ProducerState>,
    /// When each was last seen, and who: the one idle longest first. So that room is made without looking at all.
    idle: BTreeSet<(i64, i64)>,
}

impl ProducerStates {
    /// What to do with a batch a client sent. Changes nothing.
    pub(crate) fn check(&self, batch: &ProducerBatch) -> Verdict {
        let Some(state) = self.states.get(&batch.producer_id) else {
            return Verdict::New;
        };
        if batch.epoch < state.epoch {
            return Verdict::OldEpoch {
                current: state.epoch,
            };
        }
        if batch.epoch > state.epoch {
            return if batch.first_sequence == 0 {
                Verdict::New
            } else {
                Verdict::OutOfOrder { last: -1 }
            };
        }
        let same = |kept: &&KeptBatch| {
            kept.first_sequence == batch.first_sequence && kept.last_sequence == batch.last_sequence
        };
        if let Some(kept) = state.batches.iter().find(same) {
            return Verdict::Duplicate(*kept);
        }
        let last = state.batches.back().map_or(-1, |kept| kept.last_sequence);
        if batch.first_sequence == next_sequence(last) {
            Verdict::New
        } else {
            Verdict::OutOfOrder { last }
        }
    }

    /// Remembers a batch that is in the log. `seen` is when, in milliseconds since 1970.
    pub(crate) fn apply(&mut self, batch: &ProducerBatch, seen: i64) {
        let id = batch.producer_id;
        let fresh = || ProducerState {
            epoch: batch.epoch,
            last_seen: seen,
            batches: VecDeque::with_capacity(1),
        };
        let state = self.states.entry(id).or_insert_with(fresh);
        self.idle.remove(&(state.last_seen, id));
        self.idle.insert((seen, id));
        if state.epoch != batch.epoch {
            state.epoch = batch.epoch;
            state.batches.clear();
        }
        if state.batches.len() == BATCHES_KEPT {
            state.batches.pop_front();
        }
        state.last_seen = seen;
        state.batches.push_back(KeptBatch {
            first_sequence: batch.first_sequence,
            last_sequence: batch.last_sequence,
            base_offset: batch.base_offset,
            last_offset: batch.last_offset,
            timestamp: batch.timestamp,
        });
        if self.states.len() > PRODUCERS_MAX {
            self.forget_the_idlest();
        }
    }

    /// Puts in what was remembered of a producer.
    pub(crate) fn insert(&mut self, id: i64, state: ProducerState) {
        let last_seen = state.last_seen;
        if let Some(before) = self.states.insert(id, state) {
            self.idle.remove(&(before.last_seen, id));
        }
        self.idle.insert((last_seen, id));
    }

    /// Every producer, in the order of their ids.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (i64, &ProducerState)> {
        self.states.iter().map(|(id, state)| (*id, state))
    }

    /// Forgets producers that have been idle for longer than `expiration_ms`.
    pub(crate) fn expire(&mut self, now: i64, expiration_ms: i64) {
        while let Some((last_seen, _)) = self.idle.first()
            && now.saturating_sub(*last_seen) >= expiration_ms
        {
            self.forget_the_idlest();
        }
    }

    fn forget_the_idlest(&mut self) {
        if let Some((_, id)) = self.idle.pop_first() {
            self.states.remove(&id);
        }
    }
}

/// The sequence after `last`; sequences wrap from 2^31-1 to 0.
fn next_sequence(last: i32) -> i32 {
    if last == i32::MAX { 0 } else { last + 1 }
}

#[cfg(test)]
#[path = "producers_tests.rs"]
mod tests;
