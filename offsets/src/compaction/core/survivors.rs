//! Which records of a partition stay: the last of each key, unless it is a tombstone; and the log's last record, whatever
//! it is. Costs the live keys' bytes while it looks, and eight bytes a record after. Pure.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use callboard_protocol::records::DecompressLimit;

use crate::batch::{self, BatchError};
use crate::record::Record;
use crate::record::codec::{self, Decoded, RecordError};

/// See the module. Shown every batch of a partition in order.
#[derive(Debug, Default)]
pub(crate) struct Survivors {
    /// Offset of the last record of each key that is alive.
    newest: HashMap<Box<[u8]>, i64>,
    /// Generation marks by group.
    marks: BTreeMap<Arc<str>, i32>,
    last: Option<i64>,
}

/// What stays.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Live {
    /// Of records, ascending.
    pub(crate) offsets: Vec<i64>,
    /// Generation marks.
    pub(crate) marks: Vec<Record>,
}

impl Survivors {
    /// The next batch. Marks take effect after the records, as they do when they are replayed.
    ///
    /// # Errors
    /// If it is no batch of ours: nothing may be dropped on the word of one.
    pub(crate) fn see(&mut self, kafka: &Bytes, marks: &[u8]) -> Result<(), BatchError> {
        if !kafka.is_empty() {
            // Nothing is compressed, so nothing grows.
            for record in &batch::open(kafka)?.body(DecompressLimit::new(0))? {
                let record = record?;
                self.record(record.offset, record.key, record.value)
                    .map_err(|source| BatchError::Record {
                        offset: record.offset,
                        source,
                    })?;
            }
        }
        for mark in codec::decode_marks(marks).map_err(BatchError::Marks)? {
            if let Record::GenerationMark { group, generation } = mark {
                let mark = self.marks.entry(group).or_insert(generation);
                *mark = generation.max(*mark);
            }
        }
        Ok(())
    }

    fn record(
        &mut self,
        offset: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<(), RecordError> {
        self.last = Some(offset);
        let key_bytes = key.ok_or(RecordError::NoKey)?;
        if value.is_some() {
            match self.newest.get_mut(key_bytes) {
                Some(newest) => *newest = offset,
                None => {
                    self.newest.insert(key_bytes.into(), offset);
                }
            }
            return Ok(());
        }
        self.newest.remove(key_bytes);
        // The end of a group is the end of its mark: see `Index::apply`.
        if let Decoded::Record(record) = codec::decode(key, None)?
            && record.ends_generations()
        {
            self.marks.remove(record.group());
        }
        Ok(())
    }

    /// Every batch was shown.
    pub(crate) fn finish(self) -> Live {
        let mut offsets: Vec<i64> = self.newest.into_values().collect();
        offsets.sort_unstable();
        if let Some(last) = self.last
            && offsets.last() != Some(&last)
        {
            offsets.push(last);
        }
        let mark = |(group, generation)| Record::GenerationMark { group, generation };
        Live {
            offsets,
            marks: self.marks.into_iter().map(mark).collect(),
        }
    }
}
