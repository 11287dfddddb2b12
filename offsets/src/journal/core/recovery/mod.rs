//! Reads a log back: takes the frames that were found, in the order they lie, and says where the log ends, what each
//! partition holds, and which partitions cannot be trusted.
//!
//! A crash may keep any pages of the round that was not flushed, later ones without earlier ones. A damaged disk loses
//! frames that had been flushed. The two are told apart by `round_start`, which every frame carries: everything before
//! it had been flushed when the frame was written. So a missing frame is
//! * *lost*, if a frame with a later `round_start` follows: its partition is corrupt;
//! * the *torn end* otherwise: the log ends before it, and what survived behind it was never acknowledged.
//!
//! A lost frame belongs to the partition that its own header names (if only the payload is damaged), or that the next
//! frame's `previous_partition` names, or in whose positions a gap shows. If frames are lost that none of these
//! explains, every partition that shows no frame behind the damage might have had its last one there, and is refused.

mod partition;

use self::partition::Replayed;
use super::frame::{Kind, NO_PARTITION, UNKNOWN_PARTITION};
use super::locator::Locator;
use super::scan::Found;
use super::segment::SEGMENT_HEADER_BYTES;
use super::snapshot::{LogStart, Snapshots};

/// Epochs of a process start at this many times its incarnation.
pub(crate) const EPOCHS_PER_INCARNATION: u64 = 1 << 32;

/// A place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) generation: u32,
    pub(crate) at: usize,
}

/// What the next frame written says about the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Next {
    pub(crate) sequence: u64,
    pub(crate) round: u64,
    pub(crate) previous_partition: u32,
}

/// What a log holds.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// Where the log goes on. Nothing behind it is part of the log.
    pub(crate) end: Place,
    pub(crate) next: Next,
    /// Highest incarnation that wrote.
    pub(crate) incarnation: u64,
    pub(crate) partitions: Vec<Locator>,
    /// Frames whose checksum did not fit, or that had to be somewhere and were not.
    pub(crate) lost: u64,
    /// What survived of the round that was being written.
    pub(crate) torn: Vec<Found>,
    /// Highest partition found beyond those that were asked for.
    pub(crate) beyond: Option<u32>,
}

/// The state machine. Feed it by [`found`](Self::found), then [`finish`](Self::finish).
#[derive(Debug)]
pub(crate) struct Recovery {
    partitions: Vec<Replayed>,
    end: Place,
    next: Next,
    incarnation: u64,
    /// Frames behind a missing one, as long as nothing says that it had been flushed: all of one round.
    undecided: Vec<Found>,
    lost: u64,
    /// Lost frames whose partition nothing has told yet.
    unexplained: u64,
    /// Sequence behind the last of them.
    unexplained_until: u64,
    beyond: Option<u32>,
}

impl Recovery {
    /// Nothing read yet of a log that begins at `start`.
    pub(crate) fn new(partitions: u32, start: &LogStart, mut snapshots: Snapshots) -> Self {
        let replayed = |number| {
            let snapshot = snapshots.remove(&number);
            let found = snapshot.as_ref().map(|snapshot| snapshot.upto.position);
            let needed = start.snapshots.get(&number).copied();
            let mut replayed = Replayed::new(snapshot);
            if let Some(needed) = needed.filter(|needed| found.is_none_or(|found| found < *needed))
            {
                replayed.snapshot_lost(needed);
            }
            replayed
        };
        let replayed = (0..partitions).map(replayed).collect();
        let beyond = start.snapshots.keys().copied().chain(snapshots.into_keys());
        Self {
            partitions: replayed,
            end: Place {
                generation: start.generation,
                at: SEGMENT_HEADER_BYTES,
            },
            next: Next {
                sequence: start.sequence,
                round: 0,
                previous_partition: NO_PARTITION,
            },
            incarnation: start.incarnation,
            undecided: Vec::new(),
            lost: 0,
            unexplained: 0,
            unexplained_until: 0,
            beyond: beyond.filter(|number| *number >= partitions).max(),
        }
    }

    /// The next frame in the order they lie, or the header of one whose payload is damaged.
    pub(crate) fn found(&mut self, found: Found) {
        let header = &found.header;
        self.next.round = self.next.round.max(header.round.saturating_add(1));
        if header.round_start > self.next.sequence {
            self.settle(&found);
        }
        if header.sequence < self.next.sequence {
            // Our writer never does this: a copied region, perhaps. It is not the log's and takes nothing from it.
            self.lost += 1;
        } else if found.whole && header.sequence == self.next.sequence && self.undecided.is_empty()
        {
            self.apply(&found);
        } else {
            self.undecided.push(found);
        }
    }

    /// Everything has been read.
    pub(crate) fn finish(mut self) -> Recovered {
        if self.unexplained > 0 {
            for partition in &mut self.partitions {
                partition.doubt(self.unexplained_until);
            }
        }
        Recovered {
            end: self.end,
            next: self.next,
            incarnation: self.incarnation,
            partitions: self.partitions.into_iter().map(Replayed::into).collect(),
            lost: self.lost,
            torn: self.undecided,
            beyond: self.beyond,
        }
    }

    /// `witness` says that everything before its round had been flushed: what is missing of that is lost.
    fn settle(&mut self, witness: &Found) {
        let until = witness.header.round_start;
        for found in std::mem::take(&mut self.undecided) {
            let header = &found.header;
            if header.sequence < self.next.sequence {
                self.lost += 1;
                continue;
            }
            self.lose(header.sequence, header.previous_partition);
            if found.whole {
                self.apply(&found);
            } else {
                self.lose(header.sequence + 1, header.partition);
            }
        }
        let last = if witness.header.sequence == until {
            witness.header.previous_partition
        } else {
            UNKNOWN_PARTITION
        };
        self.lose(until, last);
        // What is damaged stays as it is for whoever looks into it: the log goes on behind it.
        let place = Place {
            generation: witness.generation,
            at: witness.at,
        };
        self.end = self.end.max(place);
    }

    /// The frames from the next one up to, not including, `until` are lost; the last of them was of partition `last`.
    fn lose(&mut self, until: u64, last: u32) {
        let Some(count @ 1..) = until.checked_sub(self.next.sequence) else {
            return;
        };
        let explained = match last {
            UNKNOWN_PARTITION => 0,
            // A frame of no partition: nobody misses it.
            NO_PARTITION => 1,
            number => {
                if let Some(partition) = self.partitions.get_mut(number as usize) {
                    partition.lost(until - 1);
                }
                1
            }
        };
        self.lost += count;
        if count > explained {
            self.unexplained += count - explained;
            self.unexplained_until = until;
        }
        self.next.sequence = until;
        self.next.previous_partition = last;
    }

    /// A frame of the log, in its place.
    fn apply(&mut self, found: &Found) {
        let header = &found.header;
        self.next.sequence = header.sequence + 1;
        self.next.previous_partition = header.partition;
        self.end = Place {
            generation: found.generation,
            at: found.end(),
        };
        self.incarnation = self
            .incarnation
            .max(header.epoch.0 / EPOCHS_PER_INCARNATION);
        if header.kind != Kind::Batch {
            return;
        }
        match self.partitions.get_mut(header.partition as usize) {
            Some(partition) => {
                let explained = partition.apply(found);
                self.unexplained = self.unexplained.saturating_sub(explained);
            }
            None => self.beyond = self.beyond.max(Some(header.partition)),
        }
    }
}

#[cfg(test)]
mod tests;
