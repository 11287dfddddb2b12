//! The sync thread's work: fills a round from what waits, writes it with one write, flushes it once, makes it visible,
//! and only then has the answers ready. Owned by that thread alone; it never calls a caller back itself.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use callboard_supervision::seldom;
use tokio::time::Instant;

use super::core::frame::{self, Header, Kind};
use super::core::ledger::Ledger;
use super::core::locator::Located;
use super::core::segment::{CONTROL_ROOM_BYTES, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::operation::{Answer, Claim, Operation, fail_all};
use super::prepare::{PrepareError, Prepared, Supply};
use super::queue::RETRY_AFTER;
use super::state::JournalState;
use super::storage::{self, StorageFile};
use crate::log::{Batch, End, Lease, LogError, Position};

/// What bounds a round, and whether it is flushed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) batch_bytes_max: usize,
    pub(crate) round_bytes_max: usize,
    pub(crate) flush: Flush,
}

/// Whether a round is flushed to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flush {
    EveryRound,
    Never,
}

/// The segment that is written to.
pub(crate) struct Active {
    pub(crate) header: SegmentHeader,
    pub(crate) file: Arc<dyn StorageFile>,
    /// Where the next frame goes.
    pub(crate) at: usize,
}

impl From<Prepared> for Active {
    fn from(prepared: Prepared) -> Self {
        Self {
            header: prepared.header,
            file: prepared.file,
            at: SEGMENT_HEADER_BYTES,
        }
    }
}

/// See the module.
pub(crate) struct Engine {
    state: Arc<JournalState>,
    ledger: Ledger,
    active: Active,
    supply: Supply,
    limits: Limits,
    /// Bytes of the round; reused.
    frames: Vec<u8>,
    /// What becomes visible with it; reused.
    landing: Vec<Landing>,
    poisoned: Option<LogError>,
}

struct Landing {
    partition: u32,
    located: Located,
    end: End,
}

/// What became of an append that was looked at.
enum Staged {
    Landing(Position),
    Refused(LogError),
    /// It goes first in the next round.
    NextRound,
}

impl Engine {
    pub(crate) fn new(
        state: Arc<JournalState>,
        ledger: Ledger,
        active: Active,
        supply: Supply,
        limits: Limits,
    ) -> Self {
        let generation = active.header.segment.generation;
        state.files.begins(generation, ledger.next_sequence());
        state.set_active(generation);
        Self {
            state,
            ledger,
            active,
            supply,
            limits,
            frames: Vec::new(),
            landing: Vec::new(),
            poisoned: None,
        }
    }

    pub(crate) fn state(&self) -> &Arc<JournalState> {
        &self.state
    }

    /// Writes the frame that says a process took the log, and flushes it: from here on everything before it counts as
    /// flushed, and epochs are new.
    ///
    /// # Errors
    /// If there is no room, or the write or the flush fails.
    pub(crate) fn start(&mut self) -> Result<(), PrepareError> {
        if self.active.at + frame::frame_bytes(0) > self.capacity() {
            let prepared = self.supply.next()?;
            self.go_on_in(prepared);
        }
        self.control(Kind::Start).map_err(PrepareError::Flush)?;
        self.supply.refill();
        Ok(())
    }

    /// Says that the log was closed in order, if it can. A log without this frame is whole as well; with it, damage to
    /// the last round cannot be taken for a torn write.
    pub(crate) fn close(&mut self) {
        if self.poisoned.is_none()
            && self.active.at + frame::frame_bytes(0) <= self.capacity()
            && let Err(error) = self.control(Kind::Close)
        {
            self.poison(&error.to_string());
        }
    }

    /// One round: takes from the front of `waiting` what fits, and adds its answers.
    pub(crate) fn round(&mut self, waiting: &mut VecDeque<Operation>, answers: &mut Vec<Answer>) {
        if let Err(error) = self.supply.collect() {
            self.poison(&error.to_string());
        }
        let first_answer = answers.len();
        while self.poisoned.is_none()
            && let Some(operation) = waiting.pop_front()
        {
            match operation {
                Operation::Open(partition, done) => {
                    answers.push(Answer::Open(self.ledger.open(partition), done));
                }
                Operation::Resolve(lease, position, id, done) => {
                    let claim = Claim {
                        partition: lease.partition,
                        position,
                        id,
                    };
                    let allowed = self.ledger.check(lease).map(|()| claim);
                    answers.push(Answer::Resolve(allowed, done));
                }
                Operation::Refused(error, done) => answers.push(Answer::Append(Err(error), done)),
                Operation::Append(lease, batch, done) => match self.stage(lease, &batch) {
                    Staged::Landing(position) => answers.push(Answer::Append(Ok(position), done)),
                    Staged::Refused(error) => answers.push(Answer::Append(Err(error), done)),
                    Staged::NextRound => {
                        waiting.push_front(Operation::Append(lease, batch, done));
                        break;
                    }
                },
            }
        }
        if self.poisoned.is_none()
            && !self.frames.is_empty()
            && let Err(error) = self.commit()
        {
            self.poison(&error.to_string());
        }
        if let Some(error) = &self.poisoned {
            for answer in &mut answers[first_answer..] {
                answer.poison(error);
            }
            fail_all(waiting, error, answers);
        }
    }

    /// Something went wrong that leaves the disk unknown: nothing is taken any more.
    /// The first reason stays.
    pub(crate) fn poison(&mut self, reason: &str) -> LogError {
        if self.poisoned.is_none() {
            self.state.poison(reason);
        }
        let error = || LogError::Poisoned {
            reason: reason.to_owned(),
        };
        self.poisoned.get_or_insert_with(error).clone()
    }

    fn stage(&mut self, lease: Lease, batch: &Batch) -> Staged {
        let limits = self.limits;
        if let Err(error) = self.ledger.admit(lease, batch, limits.batch_bytes_max) {
            return Staged::Refused(error);
        }
        let bytes = frame::frame_bytes(batch.len());
        let full = !self.frames.is_empty() && self.frames.len() + bytes > limits.round_bytes_max;
        if full || !self.fits(bytes) && !self.frames.is_empty() {
            return Staged::NextRound;
        }
        while !self.fits(bytes) {
            if let Err(error) = self.roll() {
                return Staged::Refused(error);
            }
        }
        let header = self.ledger.land(lease, batch);
        let at = self.active.at + self.frames.len();
        let segment = self.active.header.segment;
        let header = frame::encode(
            header,
            &batch.marks,
            &batch.kafka,
            segment,
            &mut self.frames,
        );
        self.landing.push(self.landing(&header, at));
        Staged::Landing(header.position)
    }

    fn landing(&self, header: &Header, at: usize) -> Landing {
        let located = Located {
            base_offset: header.base_offset,
            generation: self.active.header.segment.generation,
            // Segments are limited to 1 GiB.
            at: u32::try_from(at).unwrap_or(u32::MAX),
            bytes: u32::try_from(header.frame_bytes()).unwrap_or(u32::MAX),
        };
        Landing {
            partition: header.partition,
            located,
            end: End {
                position: header.position + 1,
                offset: header.end_offset(),
            },
        }
    }

    fn fits(&self, bytes: usize) -> bool {
        self.active.at + self.frames.len() + bytes + CONTROL_ROOM_BYTES <= self.capacity()
    }

    fn capacity(&self) -> usize {
        usize::try_from(self.active.header.bytes).unwrap_or(usize::MAX)
    }

    fn go_on_in(&mut self, prepared: Prepared) {
        self.active = prepared.into();
        let generation = self.active.header.segment.generation;
        self.state
            .files
            .begins(generation, self.ledger.next_sequence());
        self.state.set_active(generation);
    }

    /// Goes on in the next segment.
    fn roll(&mut self) -> Result<(), LogError> {
        match self.supply.next() {
            Ok(prepared) => {
                self.go_on_in(prepared);
                Ok(())
            }
            Err(PrepareError::NoSpace) => {
                self.state.set_full(true);
                Err(LogError::Full)
            }
            Err(PrepareError::Refused(error)) => {
                seldom!(warn, %error, "cannot prepare a segment of the offsets log");
                Err(LogError::Unavailable {
                    retry_after: RETRY_AFTER,
                })
            }
            Err(error @ PrepareError::Flush(_)) => Err(self.poison(&error.to_string())),
        }
    }

    fn control(&mut self, kind: Kind) -> io::Result<()> {
        let header = self.ledger.control(kind);
        frame::encode(
            header,
            &[],
            &[],
            self.active.header.segment,
            &mut self.frames,
        );
        self.commit()
    }

    /// Writes the round, flushes it, and makes it visible.
    fn commit(&mut self) -> io::Result<()> {
        self.ledger.end_round();
        storage::write_all(&*self.active.file, &self.frames, self.active.at as u64)
            .map_err(|error| within("write", &error))?;
        if self.limits.flush == Flush::EveryRound {
            self.flush()?;
        }
        self.active.at += self.frames.len();
        let metrics = &self.state.metrics;
        metrics.appended_bytes.increment(self.frames.len() as u64);
        if !self.landing.is_empty() {
            metrics.batch_appends.record(self.landing.len() as f64);
            self.state.set_full(false);
        }
        self.frames.clear();
        for landing in self.landing.drain(..) {
            if let Some(mut locator) = self.state.partition(landing.partition) {
                locator.land(landing.located, landing.end);
            }
        }
        metrics.log_size.set(self.state.log_bytes() as f64);
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let started = Instant::now();
        self.active
            .file
            .sync()
            .map_err(|error| within("fsync", &error))?;
        self.state.synced(started.elapsed());
        #[expect(
            clippy::disallowed_methods,
            reason = "a shell; the value is a metric and decides nothing"
        )]
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        self.state
            .metrics
            .last_fsync
            .set(now.unwrap_or_default().as_secs_f64());
        Ok(())
    }
}

fn within(action: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{action}: {error}"))
}
