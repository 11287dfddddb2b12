//! One partition while the log is read back.

use std::sync::Arc;

use crate::journal::core::locator::{Corruption, Located, Locator};
use crate::journal::core::scan::Found;
use crate::journal::core::snapshot::Snapshot;
use crate::log::{End, Position};

/// What of a partition has been read so far. Frames behind its first missing one are counted, not kept.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    snapshot: Option<Arc<Snapshot>>,
    batches: Vec<Located>,
    end: End,
    /// Position its next frame ought to have; goes on behind a gap, where `end` stays.
    follows: Position,
    last_sequence: Option<u64>,
    /// Lost frames that are known to be its own, since its last frame.
    known_lost: u64,
    corrupt: Option<Corruption>,
}

impl Replayed {
    /// Begins at a snapshot, or at position 0.
    pub(crate) fn new(snapshot: Option<Arc<Snapshot>>) -> Self {
        let end = snapshot
            .as_ref()
            .map(|snapshot| snapshot.upto)
            .unwrap_or_default();
        Self {
            snapshot,
            end,
            follows: end.position,
            ..Self::default()
        }
    }

    /// Its snapshot had to be there and is not.
    pub(crate) fn snapshot_lost(&mut self, upto: Position) {
        // The gap explains nobody else's losses.
        self.follows = upto;
        self.refuse(0, || "its snapshot is missing or damaged".to_owned());
    }

    /// The frame with this sequence was its own and is lost.
    pub(crate) fn lost(&mut self, sequence: u64) {
        self.known_lost += 1;
        self.refuse(self.follows, || {
            format!("the frame with sequence {sequence} is damaged")
        });
    }

    /// Frames up to `until` are lost, and it may be that some were its own.
    pub(crate) fn doubt(&mut self, until: u64) {
        if self.last_sequence.is_none_or(|last| last < until) {
            self.refuse(self.end.position, || {
                format!("the log is damaged before sequence {until}, perhaps in this partition")
            });
        }
    }

    /// Its next frame. Returns how many lost frames the gap before it explains that nothing else has explained.
    pub(crate) fn apply(&mut self, found: &Found) -> u64 {
        let header = &found.header;
        if let Some(snapshot) = &self.snapshot
            && self.batches.is_empty()
            && self.follows == snapshot.upto.position
            && header.position <= self.follows
        {
            // Whatever was lost before this frame, the snapshot has.
            self.corrupt = None;
            if header.position < self.follows {
                self.last_sequence = Some(header.sequence);
                self.known_lost = 0;
                return 0;
            }
        }
        let gap = header.position.saturating_sub(self.follows);
        let explained = gap.saturating_sub(std::mem::take(&mut self.known_lost));
        if header.position != self.follows {
            let (position, follows) = (header.position, self.follows);
            self.refuse(position.min(follows), || {
                format!("position {position} follows where {follows} should")
            });
        } else if self.corrupt.is_none() && header.base_offset != self.end.offset {
            let (found, expected) = (header.base_offset, self.end.offset);
            self.refuse(header.position, || {
                format!("offset {found} follows where {expected} should")
            });
        }
        self.follows = header.position.saturating_add(1);
        self.last_sequence = Some(header.sequence);
        if self.corrupt.is_none() {
            self.keep(found);
        }
        explained
    }

    fn keep(&mut self, found: &Found) {
        let header = &found.header;
        self.batches.push(Located {
            base_offset: header.base_offset,
            generation: found.generation,
            // Segments are limited to 1 GiB.
            at: u32::try_from(found.at).unwrap_or(u32::MAX),
            bytes: u32::try_from(header.frame_bytes()).unwrap_or(u32::MAX),
        });
        self.end = End {
            position: header.position + 1,
            offset: header.end_offset(),
        };
    }

    fn refuse(&mut self, position: Position, reason: impl FnOnce() -> String) {
        if self.corrupt.is_none() {
            self.corrupt = Some(Corruption {
                position,
                reason: reason(),
            });
        }
    }
}

impl From<Replayed> for Locator {
    fn from(replayed: Replayed) -> Self {
        Self::new(
            replayed.snapshot,
            replayed.batches,
            replayed.end,
            replayed.corrupt,
        )
    }
}
