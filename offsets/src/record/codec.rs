//! Kafka's key and value bytes. Written: keys of type 1, OffsetCommitValue 4 (1 with an expire timestamp), as Kafka 4.2.0
//! writes them. Read: types 0 and 1 at every value version. Of the types of classic and consumer groups (2 to 8 and 16)
//! the group is read from the key, and no more. A record type of someone else (share, streams groups, the future) is
//! named, not an error (KIP-915); bytes of a known type that do not parse are an error and never a guess.

use std::sync::Arc;

use bytes::Bytes;

use super::fields::{Reader, put_compact_string, put_string};
use super::{OffsetCommitValue, Record};

const LEGACY_OFFSET_COMMIT: i16 = 0;
const OFFSET_COMMIT: i16 = 1;
/// The types of what is stored of classic and consumer groups themselves: the first, those up to this, and one more.
const GROUP_METADATA: i16 = 2;
const CURRENT_MEMBER_ASSIGNMENT: i16 = 8;
const REGULAR_EXPRESSION: i16 = 16;

/// Why bytes are no record of this topic, or a record has no bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The record has no key.
    #[error("record without a key")]
    NoKey,
    /// Key or value ended inside a field.
    #[error("{what} ends inside a field")]
    Truncated {
        /// `key` or `value`.
        what: &'static str,
    },
    /// A value version no release has written.
    #[error("value version {version} of record type {record_type} is unknown")]
    UnknownVersion {
        /// Type of the record.
        record_type: i16,
        /// The version its value claims.
        version: i16,
    },
    /// A length, count or tag that the bytes cannot mean.
    #[error("field {field} is malformed")]
    Malformed {
        /// Kafka's name of the field.
        field: &'static str,
    },
    /// A string longer than Kafka's 32,767 bytes: it cannot be written.
    #[error("field {field} is {bytes} bytes long, 32767 fit")]
    TooLong {
        /// Kafka's name of the field.
        field: &'static str,
        /// Its length.
        bytes: usize,
    },
}

/// What a key and value turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A record this crate knows.
    Record(Record),
    /// A type it does not: skip it with a warning, as Kafka's loader does.
    Unknown {
        /// The type the key claims.
        record_type: i16,
    },
}

/// Reads one record. Bytes after the known fields are not looked at, as in Kafka.
///
/// # Errors
/// [`RecordError`] when a record of a known type does not parse.
pub fn decode(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Decoded, RecordError> {
    let mut reader = Reader::new(key.ok_or(RecordError::NoKey)?, "key");
    let record_type = reader.i16()?;
    let record = match record_type {
        LEGACY_OFFSET_COMMIT | OFFSET_COMMIT => Record::OffsetCommit {
            group: reader.string("group")?.into(),
            topic: reader.string("topic")?.into(),
            partition: reader.i32()?,
            value: value
                .map(|bytes| decode_offset_commit(bytes, record_type))
                .transpose()?,
        },
        GROUP_METADATA..=CURRENT_MEMBER_ASSIGNMENT | REGULAR_EXPRESSION => Record::Group {
            group: reader.string("group")?.into(),
            kind: record_type,
            rest: Bytes::copy_from_slice(reader.rest()),
            value: value.map(Bytes::copy_from_slice),
        },
        record_type => return Ok(Decoded::Unknown { record_type }),
    };
    Ok(Decoded::Record(record))
}

fn decode_offset_commit(bytes: &[u8], record_type: i16) -> Result<OffsetCommitValue, RecordError> {
    let mut reader = Reader::new(bytes, "value");
    let version = reader.i16()?;
    let newest = if record_type == LEGACY_OFFSET_COMMIT {
        0
    } else {
        4
    };
    if !(0..=newest).contains(&version) {
        return Err(RecordError::UnknownVersion {
            record_type,
            version,
        });
    }
    let offset = reader.i64()?;
    let leader_epoch = if version >= 3 { reader.i32()? } else { -1 };
    let metadata = reader.string_at("metadata", version >= 4)?.into();
    let commit_timestamp_ms = reader.i64()?;
    let expire_timestamp_ms = if version == 1 {
        Some(reader.i64()?).filter(|timestamp| *timestamp != -1)
    } else {
        None
    };
    let mut topic_id = [0; 16];
    if version >= 4 {
        reader.tags(|tag, bytes| {
            if tag == 0 {
                topic_id = bytes
                    .try_into()
                    .map_err(|_| RecordError::Malformed { field: "topicId" })?;
            }
            Ok(())
        })?;
    }
    Ok(OffsetCommitValue {
        offset,
        leader_epoch,
        metadata,
        commit_timestamp_ms,
        expire_timestamp_ms,
        topic_id,
    })
}

/// The bytes of one record of the topic. No value: a tombstone.
pub type KeyAndValue = (Vec<u8>, Option<Vec<u8>>);

/// Key and value of one record of the topic. `None` for a [`Record::GenerationMark`], which is none.
///
/// # Errors
/// [`RecordError::TooLong`] when a string does not fit Kafka's length field.
pub fn encode(record: &Record) -> Result<Option<KeyAndValue>, RecordError> {
    match record {
        Record::OffsetCommit {
            group,
            topic,
            partition,
            value,
        } => {
            let mut key = Vec::with_capacity(10 + group.len() + topic.len());
            key.extend(OFFSET_COMMIT.to_be_bytes());
            put_string(&mut key, "group", group)?;
            put_string(&mut key, "topic", topic)?;
            key.extend(partition.to_be_bytes());
            let value = value.as_ref().map(encode_offset_commit).transpose()?;
            Ok(Some((key, value)))
        }
        Record::Group {
            group,
            kind,
            rest,
            value,
        } => {
            let mut key = Vec::with_capacity(4 + group.len() + rest.len());
            key.extend(kind.to_be_bytes());
            put_string(&mut key, "group", group)?;
            key.extend(rest);
            Ok(Some((key, value.as_ref().map(|value| value.to_vec()))))
        }
        Record::GenerationMark { .. } => Ok(None),
    }
}

fn encode_offset_commit(value: &OffsetCommitValue) -> Result<Vec<u8>, RecordError> {
    let mut out = Vec::with_capacity(48 + value.metadata.len());
    if let Some(expire_timestamp_ms) = value.expire_timestamp_ms {
        out.extend(1i16.to_be_bytes());
        out.extend(value.offset.to_be_bytes());
        put_string(&mut out, "metadata", &value.metadata)?;
        out.extend(value.commit_timestamp_ms.to_be_bytes());
        out.extend(expire_timestamp_ms.to_be_bytes());
        return Ok(out);
    }
    out.extend(4i16.to_be_bytes());
    out.extend(value.offset.to_be_bytes());
    out.extend(value.leader_epoch.to_be_bytes());
    put_compact_string(&mut out, "metadata", &value.metadata)?;
    out.extend(value.commit_timestamp_ms.to_be_bytes());
    if value.topic_id == [0; 16] {
        out.push(0);
    } else {
        // One tag, number 0, of 16 bytes.
        out.extend([1, 0, 16]);
        out.extend(value.topic_id);
    }
    Ok(out)
}

/// The bytes of the generation marks of one append: group (i16 length) and generation (i32) each, to the end.
///
/// # Errors
/// [`RecordError::TooLong`] as for keys.
pub(crate) fn encode_marks(records: &[Record]) -> Result<Vec<u8>, RecordError> {
    let mut out = Vec::new();
    for record in records {
        out.extend(encode_mark(record)?);
    }
    Ok(out)
}

/// The bytes of one; none for a record of the topic.
///
/// # Errors
/// [`RecordError::TooLong`] as for keys.
pub(crate) fn encode_mark(record: &Record) -> Result<Vec<u8>, RecordError> {
    let mut out = Vec::new();
    if let Record::GenerationMark { group, generation } = record {
        put_string(&mut out, "group", group)?;
        out.extend(generation.to_be_bytes());
    }
    Ok(out)
}

/// Reads what [`encode_marks`] wrote.
///
/// # Errors
/// [`RecordError`] for anything else.
pub(crate) fn decode_marks(bytes: &[u8]) -> Result<Vec<Record>, RecordError> {
    let mut reader = Reader::new(bytes, "generation marks");
    let mut marks = Vec::new();
    while !reader.rest().is_empty() {
        marks.push(Record::GenerationMark {
            group: Arc::from(reader.string("group")?),
            generation: reader.i32()?,
        });
    }
    Ok(marks)
}
