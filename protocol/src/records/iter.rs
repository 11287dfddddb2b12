//! The records of one body, in order. Both iterators end at the first error: what follows a broken record has no
//! known place.

use bytes::Bytes;

use super::record::{Base, Record, RecordView};
use super::{RecordFault, RecordsError};

/// The records of a batch, borrowed from its body.
#[derive(Clone, Debug)]
pub struct RecordViews<'a> {
    rest: &'a [u8],
    progress: Progress,
}

/// The records of a batch, sharing the memory of its body.
#[derive(Clone, Debug)]
pub struct Records {
    body: Bytes,
    /// Bytes of the body that are read.
    read: usize,
    progress: Progress,
}

/// How far an iterator is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    base: Base,
    index: u32,
    count: u32,
}

impl Progress {
    pub(super) fn new(base: Base, count: u32) -> Self {
        Self {
            base,
            index: 0,
            count,
        }
    }

    #[inline(always)]
    fn next<'a>(&mut self, rest: &mut &'a [u8]) -> Option<Result<RecordView<'a>, RecordsError>> {
        if self.index == self.count {
            return None;
        }
        self.index += 1;
        let fault = match RecordView::read(rest, &self.base) {
            Ok(record) if self.index < self.count || rest.is_empty() => return Some(Ok(record)),
            Ok(_) => RecordFault::MoreRecords { bytes: rest.len() },
            Err(fault) => fault,
        };
        Some(Err(self.fail(fault)))
    }

    #[cold]
    fn fail(&mut self, fault: RecordFault) -> RecordsError {
        self.count = self.index;
        let index = self.index - 1;
        RecordsError::Record { index, fault }
    }

    fn left(&self) -> usize {
        (self.count - self.index) as usize
    }
}

impl<'a> RecordViews<'a> {
    pub(super) fn new(body: &'a [u8], progress: Progress) -> Self {
        Self {
            rest: body,
            progress,
        }
    }

    /// How many bytes are left, and how far it is.
    pub(super) fn left(&self, progress: &mut Progress) -> usize {
        *progress = self.progress;
        self.rest.len()
    }
}

impl<'a> Iterator for RecordViews<'a> {
    type Item = Result<RecordView<'a>, RecordsError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.progress.next(&mut self.rest)
    }

    // No lower bound: `collect` allocates by it, and the number of records is only claimed.
    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.progress.left()))
    }
}

impl Records {
    pub(super) fn new(body: Bytes, progress: Progress) -> Self {
        Self {
            body,
            read: 0,
            progress,
        }
    }
}

impl Iterator for Records {
    type Item = Result<Record, RecordsError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let mut rest = self.body.get(self.read..)?;
        let record = self.progress.next(&mut rest)?;
        self.read = self.body.len() - rest.len();
        Some(record.map(|view| view.share(&self.body)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.progress.left()))
    }
}
