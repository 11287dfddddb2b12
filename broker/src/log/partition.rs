//! The log of one partition: its files, its producers, its offsets. Owned by one `TopicLog` actor, which calls it from
//! one thread at a time; readers work beside it through [`LogReader`]. Never waits for anybody but the disk.
//!
//! ```text
//! <dir>/00000000000000000000.log    record batches as Kafka stores them, offsets from 0
//! <dir>/00000000000000000000.index  its index, written when the file is closed
//! <dir>/00000000000000001200.log    the open segment
//! <dir>/producers.snapshot          producer states at some offset; younger batches are read again
//! <dir>/log-start-offset            in decimal, once it is not the first file's
//! <dir>/leader-epoch-checkpoint     Kafka's: where each leader epoch begins
//! <dir>/clean-shutdown              the end offset, while the log is closed in order or not written to since
//! ```
//!
//! Durability is Kafka's: an append is acknowledged from the page cache unless `flush.messages` says otherwise, so a
//! process that dies loses nothing and a machine that dies may lose the tail. A segment is on disk before the next one
//! exists, so only the last one is ever torn, and only what no index file vouches for is read again at the start.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use callboard_protocol::ErrorCode;
use callboard_supervision::seldom;
use tracing::info;

use super::LogError;
use super::batch::{Stamp, ValidBatch};
use super::core::codec::ProducersFile;
use super::core::{
    BatchPlace, Epochs, LogConfig, NO_TIMESTAMP, ProducerBatch, ProducerStates, StampedBy, Verdict,
};
use super::core::{SegmentFacts, beyond_size, expired, must_roll};
use super::files;
use super::number;
use super::reader::{LogReader, View};
use super::recovery::{
    clean_and_list, modified, open_segments, read_clean_end, read_log_start, recall_epochs,
    recall_producers, view_of,
};
use super::segment::Segment;

pub(super) const PRODUCERS: &str = "producers.snapshot";
pub(super) const LOG_START: &str = "log-start-offset";
pub(super) const EPOCHS: &str = "leader-epoch-checkpoint";
pub(super) const CLEAN_SHUTDOWN: &str = "clean-shutdown";

/// A batch of up to so many bytes is written in less time than a hop to another thread and back is worth.
const INLINE_BYTES: usize = 256 * 1024;

/// What an append came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The offset of the first record.
    pub base_offset: i64,
    /// The broker's timestamp of the records, -1 where they keep the producer's. Of a duplicate, as Kafka 4.2.0 does:
    /// the newest timestamp of the batch that is there.
    pub log_append_time: i64,
    /// The log start offset.
    pub log_start_offset: i64,
    /// Bytes that were added; 0 for a duplicate.
    pub bytes: usize,
    /// Records that were added; 0 for a duplicate.
    pub records: u32,
}

/// One partition's log, open for writing. There is one per directory: see `dir`'s owner.
#[derive(Debug)]
pub struct PartitionLog {
    dir: PathBuf,
    config: LogConfig,
    reader: LogReader,
    producers: ProducerStates,
    /// Records since the log was last forced to disk.
    unflushed: u64,
    /// Whether anything was written since open or the last flush.
    dirty: bool,
    /// Whether a file was created whose name may not be durable yet.
    dir_dirty: bool,
    /// Whether the disk knows that this log is written to: that it has an epoch, and is not closed in order.
    begun: bool,
    /// Set when the disk refused in a way that leaves the files unknown. Nothing is written any more.
    failed: Option<LogError>,
}

impl PartitionLog {
    /// Opens the log in `dir`, creating that directory, and repairs its tail. `now` in milliseconds since 1970.
    ///
    /// # Errors
    /// [`LogError::Storage`]; [`LogError::Corrupt`] when a file other than the last is damaged, or one is missing.
    pub fn open(dir: &Path, config: LogConfig, now: i64) -> Result<Self, LogError> {
        // Not those above: a topic that was deleted meanwhile would get files that belong to nothing.
        match std::fs::create_dir(dir) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            created => created.map_err(LogError::io("create", dir))?,
        }
        let log_start = read_log_start(dir)?;
        let bases = clean_and_list(dir)?;
        let (segments, recovered) = open_segments(dir, &bases, log_start, &config)?;
        let mut view = view_of(segments, log_start);
        view.epochs = recall_epochs(dir, &view)?;
        // The log start is on disk before the checkpoint tells it.
        view.epochs.advance_start(view.log_start_offset);
        let begun = rise(dir, &mut view)?;
        let mut producers = recall_producers(dir, &view)?;
        producers.expire(now, config.producer_expiration_ms);
        Ok(Self {
            dir: dir.to_owned(),
            config,
            reader: LogReader::new(view),
            producers,
            unflushed: 0,
            // What was read again may not be on disk yet, and should not be read a third time.
            dirty: recovered,
            dir_dirty: recovered,
            begun,
            failed: None,
        })
    }

    /// Goes on with other settings. Files that are there keep the spacing of their indexes.
    pub fn configure(&mut self, config: LogConfig) {
        self.config = config;
    }

    /// A reader of this log.
    #[must_use]
    pub fn reader(&self) -> LogReader {
        self.reader.clone()
    }

    /// Why the log takes no more appends, if so: the disk refused in a way that leaves the files unknown.
    #[must_use]
    pub fn failure(&self) -> Option<&LogError> {
        self.failed.as_ref()
    }

    /// Whether [`append`](Self::append) of this batch would wait for the disk, or take long to copy and sum up: then call
    /// it where blocking is allowed.
    #[must_use]
    pub fn append_waits(&self, batch: &ValidBatch, now: i64) -> bool {
        let flushes = self
            .unflushed
            .saturating_add(u64::from(batch.record_count()))
            >= self.config.flush_messages;
        !self.begun
            || batch.size() > INLINE_BYTES
            || flushes
            || self.rolls_for(batch, self.newest_of(batch, now))
    }

    /// Appends one batch, whole or not at all. `now` in milliseconds since 1970.
    ///
    /// # Errors
    /// Each [`LogError`] with Kafka's code; after [`LogError::Storage`] nothing of the batch is in the log.
    pub fn append(&mut self, batch: &ValidBatch, now: i64) -> Result<Appended, LogError> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        self.admit(batch, now)?;
        let newest = self.newest_of(batch, now);
        let offsets = self.reader.offsets();
        let producer = batch.producer(offsets.end, newest);
        if let Some(producer) = &producer
            && let Some(duplicate) = self.judge(producer)?
        {
            return Ok(Appended {
                log_start_offset: offsets.log_start,
                ..duplicate
            });
        }
        self.begin()?;
        if self.rolls_for(batch, newest) {
            self.roll()?;
        }
        let stamp = Stamp {
            base_offset: offsets.end,
            leader_epoch: self.reader.leader_epoch(),
            stamped_by: self.config.stamped_by,
            newest,
        };
        self.write(batch, &stamp)?;
        if let Some(producer) = &producer {
            self.producers.apply(producer, now);
        }
        Ok(Appended {
            base_offset: offsets.end,
            log_append_time: if self.config.stamped_by == StampedBy::Broker {
                now
            } else {
                NO_TIMESTAMP
            },
            log_start_offset: offsets.log_start,
            bytes: batch.size(),
            records: batch.record_count(),
        })
    }

    /// The newest timestamp the batch will have in the log.
    fn newest_of(&self, batch: &ValidBatch, now: i64) -> i64 {
        match self.config.stamped_by {
            StampedBy::Producer => batch.max_timestamp(),
            StampedBy::Broker => now,
        }
    }

    /// What Kafka checks of a batch that is well formed, before it looks at the producer.
    fn admit(&self, batch: &ValidBatch, now: i64) -> Result<(), LogError> {
        self.config.takes_size(batch.size())?;
        if batch.claims_append_time() {
            return Err(LogError::InvalidTimestampType);
        }
        if self.config.cleanup.compact && batch.has_keyless_record() {
            return Err(LogError::Invalid {
                code: ErrorCode::INVALID_RECORD,
                reason: "a record without a key has no place in a compacted topic".into(),
            });
        }
        // Nobody here ends transactions: such records would be served as committed, or never.
        if batch.is_transactional() {
            return Err(LogError::Transactional);
        }
        let far = [batch.min_timestamp(), batch.max_timestamp()]
            .into_iter()
            .find(|at| !self.config.takes_timestamp(*at, now));
        far.map_or(Ok(()), |timestamp| {
            Err(LogError::InvalidTimestamp { timestamp, now })
        })
    }

    /// The answer to a duplicate, or None for a batch to append.
    fn judge(&self, batch: &ProducerBatch) -> Result<Option<Appended>, LogError> {
        let producer_id = batch.producer_id;
        match self.producers.check(batch) {
            Verdict::New => Ok(None),
            Verdict::Duplicate(kept) => Ok(Some(Appended {
                base_offset: kept.base_offset,
                log_append_time: kept.timestamp,
                log_start_offset: 0,
                bytes: 0,
                records: 0,
            })),
            Verdict::OutOfOrder { last } => Err(LogError::OutOfOrderSequence {
                producer_id,
                sequence: batch.first_sequence,
                last,
            }),
            Verdict::OldEpoch { current } => Err(LogError::InvalidProducerEpoch {
                producer_id,
                epoch: batch.epoch,
                current,
            }),
        }
    }

    fn rolls_for(&self, batch: &ValidBatch, newest: i64) -> bool {
        let view = self.reader.view();
        let Some(open) = view.segments.last() else {
            // The first file of a log is made by its first append: a thousand partitions cost a thousand directories.
            return true;
        };
        let last_offset = view.end_offset + i64::from(batch.record_count()) - 1;
        must_roll(
            &open.facts(),
            batch.size() as u64,
            newest,
            last_offset,
            &self.config,
        )
    }

    /// Writes, forces to disk if it is time, then shows: in this order, so no reader sees what a crash could take back
    /// from a log that flushes every batch.
    fn write(&mut self, batch: &ValidBatch, stamp: &Stamp) -> Result<(), LogError> {
        let header = batch.stamped_header(stamp);
        let records = batch.record_count();
        self.dirty = true;
        let mut outcome = match self.reader.view().segments.last() {
            Some(open) => open.write(&header, batch.body()),
            None => unreachable!("rolls_for is true until there is a segment"),
        };
        let unflushed = self.unflushed.saturating_add(u64::from(records));
        if outcome.is_ok() && unflushed >= self.config.flush_messages {
            outcome = self.flush();
        } else {
            self.unflushed = unflushed;
        }
        if let Err(error) = outcome {
            self.take_back(&error);
            return Err(error);
        }
        let mut view = self.reader.view_mut();
        let end = view.end_offset;
        if let Some(open) = view.segments.last_mut() {
            let place = BatchPlace {
                base_offset: end,
                last_offset: end + i64::from(records) - 1,
                position: open.size,
                size: batch.size() as u64,
                max_timestamp: stamp.newest,
            };
            open.publish(&place);
            view.end_offset = place.last_offset + 1;
        }
        drop(view);
        Ok(())
    }

    /// Undoes a write that failed. If even that fails, the files are unknown and the log is given up.
    fn take_back(&mut self, error: &LogError) {
        seldom!(warn, %error, "append failed");
        let cut = self
            .reader
            .view()
            .segments
            .last()
            .map_or(Ok(()), Segment::truncate);
        if let Err(failure) = cut {
            self.failed = Some(failure);
        }
    }

    /// Forces everything to disk.
    ///
    /// # Errors
    /// [`LogError::Storage`]; the log takes no more appends then: a second try would say yes to pages that are lost.
    pub fn flush(&mut self) -> Result<(), LogError> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        if !self.dirty {
            return Ok(());
        }
        let open = self
            .reader
            .view()
            .segments
            .last()
            .map(|open| (Arc::clone(&open.file), open.path.clone()));
        let synced = open.map_or(Ok(()), |(file, path)| {
            file.sync_data().map_err(LogError::io("sync", &path))
        });
        let synced = synced.and_then(|()| self.sync_names());
        match synced {
            Ok(()) => {
                self.unflushed = 0;
                self.dirty = false;
            }
            Err(ref error) => self.failed = Some(error.clone()),
        }
        synced
    }

    fn sync_names(&mut self) -> Result<(), LogError> {
        if self.dir_dirty {
            files::sync_dir(&self.dir).map_err(LogError::io("sync", &self.dir))?;
            self.dir_dirty = false;
        }
        Ok(())
    }

    /// Before the first append since the log was opened: its leader epoch is on disk, and the mark of its last end is gone.
    /// From here on a start without that mark is one after a crash.
    fn begin(&mut self) -> Result<(), LogError> {
        if self.begun {
            return Ok(());
        }
        unmark(&self.dir)?;
        if self.reader.view().epochs.is_empty() {
            let mut epochs = Epochs::default();
            epochs.assign(0, self.reader.offsets().end);
            save_epochs(&self.dir, &epochs)?;
            // Shown when the disk has it: an append that fails here is tried again, and then there must be none yet.
            self.reader.view_mut().epochs = epochs;
        } else {
            files::sync_dir(&self.dir).map_err(LogError::io("sync", &self.dir))?;
        }
        self.begun = true;
        Ok(())
    }

    /// Closes the open segment and begins a new one. The closed one is on disk, index and producers with it, before the
    /// new name exists.
    fn roll(&mut self) -> Result<(), LogError> {
        if self.reader.view().segments.last().is_some() {
            self.checkpoint()?;
        }
        let segment = Segment::create(&self.dir, self.reader.offsets().end, &self.config)?;
        self.dir_dirty = true;
        self.reader.view_mut().segments.push(segment);
        Ok(())
    }

    /// Forces the log to disk and writes what spares the next open from reading it.
    fn checkpoint(&mut self) -> Result<(), LogError> {
        self.flush()?;
        if let Some(open) = self.reader.view().segments.last() {
            open.save_index()?;
        }
        let next_offset = self.reader.offsets().end;
        let path = self.dir.join(PRODUCERS);
        let file = ProducersFile {
            next_offset,
            producers: self.producers.clone(),
        };
        files::replace(&path, &file.encode()).map_err(LogError::io("write", &path))
    }

    /// Ends the log in order: the next open reads nothing again. A log that was not written to costs nothing.
    ///
    /// # Errors
    /// [`LogError::Storage`]; what was acknowledged is in the files all the same, unless the machine dies.
    pub fn close(&mut self) -> Result<(), LogError> {
        if self.dirty {
            self.checkpoint()?;
        }
        if self.begun && self.failed.is_none() {
            let path = self.dir.join(CLEAN_SHUTDOWN);
            number::replace(&path, self.reader.offsets().end)?;
            self.begun = false;
        }
        Ok(())
    }

    /// Deletes what retention allows and forgets idle producers. Tells how many segments went.
    ///
    /// # Errors
    /// [`LogError::Storage`].
    pub fn enforce_retention(&mut self, now: i64) -> Result<usize, LogError> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        self.producers
            .expire(now, self.config.producer_expiration_ms);
        let mut facts = self.segment_facts();
        let aged = expired(&facts, now, &self.config);
        facts.drain(..aged);
        let count = aged + beyond_size(&facts, &self.config);
        if count == 0 {
            return Ok(0);
        }
        let first_kept = self
            .reader
            .view()
            .segments
            .get(count)
            .map(|segment| segment.base_offset);
        let start = match first_kept {
            Some(base_offset) => base_offset,
            // Everything is old, the open segment too: an empty one carries the end offset on.
            None => {
                self.roll()?;
                self.sync_names()?;
                self.reader.offsets().end
            }
        };
        self.advance_log_start(start)?;
        info!(dir = %self.dir.display(), segments = count, log_start_offset = start, "retention deleted segments");
        Ok(count)
    }

    fn segment_facts(&self) -> Vec<SegmentFacts> {
        let newest = |segment: &Segment| match segment.index.newest {
            NO_TIMESTAMP => modified(segment),
            newest => newest,
        };
        let view = self.reader.view();
        view.segments
            .iter()
            .map(|segment| SegmentFacts {
                size: segment.size,
                newest: newest(segment),
            })
            .collect()
    }

    /// Deletes records below `offset`, -1 for all of them: whole segments go at once, the rest is no longer served.
    /// Tells the new log start offset.
    ///
    /// # Errors
    /// [`LogError::OffsetOutOfRange`] above the end; [`LogError::Storage`].
    pub fn delete_records(&mut self, offset: i64) -> Result<i64, LogError> {
        let offsets = self.reader.offsets();
        let offset = if offset == -1 { offsets.end } else { offset };
        if offset < 0 || offset > offsets.end {
            return Err(LogError::OffsetOutOfRange {
                asked: offset,
                start: offsets.log_start,
                end: offsets.end,
            });
        }
        if offset > offsets.log_start {
            self.advance_log_start(offset)?;
        }
        Ok(self.reader.offsets().log_start)
    }

    /// The new start is durable before a file goes, so that a crash in between leaves files that the next open deletes
    /// and never a log with a hole.
    fn advance_log_start(&mut self, offset: i64) -> Result<(), LogError> {
        let path = self.dir.join(LOG_START);
        number::replace(&path, offset)?;
        let gone: Vec<Segment> = {
            let mut view = self.reader.view_mut();
            view.log_start_offset = offset;
            let below = view
                .segments
                .partition_point(|segment| segment.next_offset <= offset);
            // The open segment stays: its name carries the end offset.
            let below = below.min(view.segments.len().saturating_sub(1));
            view.segments.drain(..below).collect()
        };
        for segment in &gone {
            segment.remove()?;
        }
        if self.reader.view_mut().epochs.advance_start(offset) {
            save_epochs(&self.dir, &self.reader.view().epochs)?;
        }
        Ok(())
    }
}

/// Removes the mark of a clean end. Durable with the next flush of the directory.
fn unmark(dir: &Path) -> Result<(), LogError> {
    let path = dir.join(CLEAN_SHUTDOWN);
    files::remove_if_there(&path).map_err(LogError::io("remove", &path))
}

/// Flushes the directory too.
fn save_epochs(dir: &Path, epochs: &Epochs) -> Result<(), LogError> {
    let path = dir.join(EPOCHS);
    files::replace(&path, epochs.encode().as_bytes()).map_err(LogError::io("write", &path))
}

/// Begins another leader epoch, on disk before it is used, unless the log was closed in order or never written to: offsets
/// beyond its end may have been given out and lost. Tells whether the log has [begun](PartitionLog::begin).
fn rise(dir: &Path, view: &mut View) -> Result<bool, LogError> {
    let end = view.end_offset;
    let fresh = view.segments.is_empty() && view.epochs.is_empty();
    if fresh || read_clean_end(dir)? == Some(end) {
        return Ok(false);
    }
    // Also above those that end with the lost tail.
    let epoch = match view.epochs.is_empty() {
        true => 0,
        false => view.epochs.latest().saturating_add(1),
    };
    view.epochs.truncate_end(end);
    view.epochs.assign(epoch, end);
    // A mark of another end would be right again when as much is appended.
    unmark(dir)?;
    save_epochs(dir, &view.epochs)?;
    info!(dir = %dir.display(), epoch, end, "a log that was not closed in order begins another leader epoch");
    Ok(true)
}

#[cfg(test)]
#[path = "recovery_tests.rs"]
mod recovery_tests;
#[cfg(test)]
#[path = "partition_tests.rs"]
mod tests;
