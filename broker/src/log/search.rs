//! A search for a record by its timestamp, in slices: an index brings it near, then headers are walked over, and the
//! batches that may hold it are unfolded. The only place where a stored record is decoded.

use std::collections::VecDeque;

use bytes::Bytes;

use super::LogError;
use super::batch::{BatchHeader, RecordSearch, Sought};
use super::core::BatchPlace;
use super::reader::{FoundOffset, Span};

/// Headers that are looked at in one go: some milliseconds from a disk that has them in memory.
const HEADERS: usize = 1_000;

/// The first record that is not older than a timestamp and not before an offset.
#[derive(Debug)]
pub(crate) struct Search {
    pub(super) timestamp: i64,
    pub(super) from: i64,
    /// Where it may be, in order.
    pub(super) spans: VecDeque<Span>,
}

/// What a slice of the way to the next batch came to.
#[derive(Debug)]
pub(crate) enum Next {
    /// Only headers so far.
    Paused,
    /// This one may hold it.
    Batch(BatchSearch),
    End,
}

/// The search in one batch. Many may wait for their turn: until its first slice it has the batch's place and no bytes.
#[derive(Debug)]
pub(crate) struct BatchSearch {
    /// Where the batch lies; `position` of it is the batch's.
    span: Span,
    size: u64,
    timestamp: i64,
    from: i64,
    /// What the batch and its codec take.
    memory: usize,
    /// Once it has begun.
    records: Option<RecordSearch>,
}

impl Search {
    /// Goes on to the next batch that may hold it.
    ///
    /// # Errors
    /// [`LogError::Storage`] and [`LogError::Corrupt`] from the file.
    pub(crate) fn next(&mut self) -> Result<Next, LogError> {
        let mut headers = 0;
        while let Some(span) = self.spans.front_mut() {
            let mut walk = span.walk();
            let mut behind = span.position;
            let near = loop {
                let Some((header, batch)) = walk.next()? else {
                    break None;
                };
                behind = batch.position + batch.size;
                if batch.max_timestamp >= self.timestamp && batch.last_offset >= self.from {
                    break Some((header, batch));
                }
                headers += 1;
                if headers == HEADERS {
                    span.position = behind;
                    return Ok(Next::Paused);
                }
            };
            let Some((header, batch)) = near else {
                self.spans.pop_front();
                continue;
            };
            let found = BatchSearch::new(span.at(batch.position), &header, &batch, self)?;
            if let Some(span) = self.spans.front_mut() {
                span.position = behind;
            }
            return Ok(Next::Batch(found));
        }
        Ok(Next::End)
    }

    /// All of it in one go.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub(crate) fn run(mut self) -> Result<Option<FoundOffset>, LogError> {
        loop {
            match self.next()? {
                Next::Paused => {}
                Next::End => return Ok(None),
                Next::Batch(mut batch) => {
                    if let Some(found) = batch.run()? {
                        return Ok(Some(found));
                    }
                }
            }
        }
    }
}

impl BatchSearch {
    fn new(
        span: Span,
        header: &BatchHeader,
        batch: &BatchPlace,
        search: &Search,
    ) -> Result<Self, LogError> {
        let mut this = Self {
            span,
            size: batch.size,
            timestamp: search.timestamp,
            from: search.from,
            memory: usize::try_from(batch.size).unwrap_or(usize::MAX),
            records: None,
        };
        // What a codec takes stands in its body, which is read again when its turn has come.
        if header.is_compressed() {
            this.memory = this.memory.saturating_add(this.read()?.memory());
        }
        Ok(this)
    }

    fn read(&self) -> Result<RecordSearch, LogError> {
        let bytes = Bytes::from(self.span.read(self.span.position, self.size)?);
        let records = RecordSearch::new(bytes, self.timestamp, self.from);
        records.map_err(|reason| self.corrupt(&reason))
    }

    /// Bytes it holds between its slices, once it has begun.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }

    /// Goes on until `bytes` are used up.
    ///
    /// # Errors
    /// [`LogError::Storage`] and [`LogError::Corrupt`] from the file.
    pub(crate) fn step(&mut self, bytes: &mut usize) -> Result<Sought, LogError> {
        let mut records = match self.records.take() {
            Some(records) => records,
            None => {
                *bytes = bytes.saturating_sub(usize::try_from(self.size).unwrap_or(usize::MAX));
                self.read()?
            }
        };
        let stepped = records.step(bytes);
        self.records = Some(records);
        stepped.map_err(|reason| self.corrupt(&reason))
    }

    fn run(&mut self) -> Result<Option<FoundOffset>, LogError> {
        let found = self.read()?.run();
        found.map_err(|reason| self.corrupt(&reason))
    }

    fn corrupt(&self, reason: &str) -> LogError {
        LogError::corrupt(&self.span.path, self.span.position, reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::testing::{NOW, bomb};
    use crate::log::{LogConfig, PartitionLog, ValidBatch};

    #[test]
    fn a_batch_that_unfolds_to_much_is_searched_in_slices() {
        const SLICE: usize = 1024 * 1024;
        let dir = tempfile::tempdir().unwrap();
        let mut log = PartitionLog::open(dir.path(), LogConfig::default(), NOW).unwrap();
        let valid = ValidBatch::check(bomb(20, None)).unwrap();
        log.append(&valid, NOW).unwrap();
        let mut search = log.reader().search(NOW);
        let Next::Batch(mut batch) = search.next().unwrap() else {
            panic!("it is the first batch");
        };
        assert!(batch.records.is_none(), "it has not begun");
        // The window that the bomb announces is 2 MiB.
        assert!(
            batch.memory() >= valid.size() + 2 * 1024 * 1024,
            "{}",
            batch.memory()
        );
        let mut slices = 0;
        let found = loop {
            slices += 1;
            match batch.step(&mut { SLICE }).unwrap() {
                Sought::Paused => {}
                sought => break sought,
            }
        };
        let found_at = |offset| FoundOffset {
            offset,
            timestamp: NOW,
        };
        assert_eq!(found, Sought::Found(found_at(0)));
        assert!(slices >= 20, "{slices}");
        assert!(matches!(search.next().unwrap(), Next::End));
        assert_eq!(log.reader().offset_for(NOW).unwrap(), Some(found_at(0)));
    }
}
