//! Kafka's key and value bytes. Written: keys of type 1 and 2, OffsetCommitValue 4 (1 with an expire timestamp),
//! GroupMetadataValue 3, as Kafka 4.2.0 writes them. Read: types 0, 1 and 2 at every value version.
//! A record type of someone else (KIP-848, share, streams groups, the future) is named, not an error (KIP-915);
//! bytes of a known type that do not parse are an error and never a guess.

use std::sync::Arc;

use bytes::Bytes;

use super::{GroupMetadataValue, MemberValue, OffsetCommitValue, Record};

const LEGACY_OFFSET_COMMIT: i16 = 0;
const OFFSET_COMMIT: i16 = 1;
const GROUP_METADATA: i16 = 2;

/// Kafka's strings are at most this long, whatever their length field could say.
const STRING_BYTES_MAX: usize = i16::MAX as usize;

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
        GROUP_METADATA => Record::GroupMetadata {
            group: reader.string("group")?.into(),
            value: value.map(decode_group_metadata).transpose()?,
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

fn decode_group_metadata(bytes: &[u8]) -> Result<GroupMetadataValue, RecordError> {
    let mut reader = Reader::new(bytes, "value");
    let version = reader.i16()?;
    if !(0..=4).contains(&version) {
        return Err(RecordError::UnknownVersion {
            record_type: GROUP_METADATA,
            version,
        });
    }
    let flexible = version >= 4;
    let protocol_type = reader.string_at("protocolType", flexible)?;
    let generation = reader.i32()?;
    let protocol_name = reader.nullable_string_at("protocol", flexible)?;
    let leader = reader.nullable_string_at("leader", flexible)?;
    let current_state_timestamp_ms = if version >= 2 { reader.i64()? } else { -1 };
    let count = reader.count("members", flexible)?;
    // Every member takes more bytes than this: a large count reserves no more than the bytes justify.
    let mut members = Vec::with_capacity(count.min(reader.rest.len() / 8));
    for _ in 0..count {
        members.push(decode_member(&mut reader, version)?);
    }
    if flexible {
        reader.tags(|_, _| Ok(()))?;
    }
    Ok(GroupMetadataValue {
        protocol_type,
        generation,
        protocol_name,
        leader,
        current_state_timestamp_ms,
        members,
    })
}

fn decode_member(reader: &mut Reader<'_>, version: i16) -> Result<MemberValue, RecordError> {
    let flexible = version >= 4;
    let member_id = reader.string_at("memberId", flexible)?;
    let group_instance_id = if version >= 3 {
        reader.nullable_string_at("groupInstanceId", flexible)?
    } else {
        None
    };
    let client_id = reader.string_at("clientId", flexible)?;
    let client_host = reader.string_at("clientHost", flexible)?;
    let rebalance_timeout_ms = if version >= 1 { reader.i32()? } else { -1 };
    let session_timeout_ms = reader.i32()?;
    let member = MemberValue {
        member_id,
        group_instance_id,
        client_id,
        client_host,
        rebalance_timeout_ms: if rebalance_timeout_ms == -1 {
            session_timeout_ms
        } else {
            rebalance_timeout_ms
        },
        session_timeout_ms,
        subscription: reader.bytes_at("subscription", flexible)?,
        assignment: reader.bytes_at("assignment", flexible)?,
    };
    if flexible {
        reader.tags(|_, _| Ok(()))?;
    }
    Ok(member)
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
        Record::GroupMetadata { group, value } => {
            let mut key = Vec::with_capacity(4 + group.len());
            key.extend(GROUP_METADATA.to_be_bytes());
            put_string(&mut key, "group", group)?;
            let value = value.as_ref().map(encode_group_metadata).transpose()?;
            Ok(Some((key, value)))
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

fn encode_group_metadata(value: &GroupMetadataValue) -> Result<Vec<u8>, RecordError> {
    let mut out = Vec::with_capacity(64 + value.members.len() * 128);
    out.extend(3i16.to_be_bytes());
    put_string(&mut out, "protocolType", &value.protocol_type)?;
    out.extend(value.generation.to_be_bytes());
    put_nullable_string(&mut out, "protocol", value.protocol_name.as_deref())?;
    put_nullable_string(&mut out, "leader", value.leader.as_deref())?;
    out.extend(value.current_state_timestamp_ms.to_be_bytes());
    out.extend(length("members", value.members.len())?.to_be_bytes());
    for member in &value.members {
        put_string(&mut out, "memberId", &member.member_id)?;
        put_nullable_string(
            &mut out,
            "groupInstanceId",
            member.group_instance_id.as_deref(),
        )?;
        put_string(&mut out, "clientId", &member.client_id)?;
        put_string(&mut out, "clientHost", &member.client_host)?;
        out.extend(member.rebalance_timeout_ms.to_be_bytes());
        out.extend(member.session_timeout_ms.to_be_bytes());
        put_bytes(&mut out, "subscription", &member.subscription)?;
        put_bytes(&mut out, "assignment", &member.assignment)?;
    }
    Ok(out)
}

fn length(field: &'static str, length: usize) -> Result<i32, RecordError> {
    i32::try_from(length).map_err(|_| RecordError::TooLong {
        field,
        bytes: length,
    })
}

fn put_string(out: &mut Vec<u8>, field: &'static str, text: &str) -> Result<(), RecordError> {
    let length = i16::try_from(text.len()).map_err(|_| RecordError::TooLong {
        field,
        bytes: text.len(),
    })?;
    out.extend(length.to_be_bytes());
    out.extend(text.as_bytes());
    Ok(())
}

fn put_nullable_string(
    out: &mut Vec<u8>,
    field: &'static str,
    text: Option<&str>,
) -> Result<(), RecordError> {
    match text {
        Some(text) => put_string(out, field, text),
        None => {
            out.extend((-1i16).to_be_bytes());
            Ok(())
        }
    }
}

fn put_compact_string(
    out: &mut Vec<u8>,
    field: &'static str,
    text: &str,
) -> Result<(), RecordError> {
    if text.len() > STRING_BYTES_MAX {
        return Err(RecordError::TooLong {
            field,
            bytes: text.len(),
        });
    }
    let mut rest = text.len() + 1;
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
    out.extend(text.as_bytes());
    Ok(())
}

fn put_bytes(out: &mut Vec<u8>, field: &'static str, bytes: &[u8]) -> Result<(), RecordError> {
    out.extend(length(field, bytes.len())?.to_be_bytes());
    out.extend(bytes);
    Ok(())
}

/// A cursor over one key or value. Every length is held against the bytes that are left before anything is copied.
struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], RecordError> {
        match self.rest.split_at_checked(length) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(RecordError::Truncated { what: self.what }),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        match self.rest.split_first_chunk::<N>() {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(*taken)
            }
            None => Err(RecordError::Truncated { what: self.what }),
        }
    }

    fn i16(&mut self) -> Result<i16, RecordError> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    fn i32(&mut self) -> Result<i32, RecordError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    fn i64(&mut self) -> Result<i64, RecordError> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// Java's `readUnsignedVarint`: five bytes at most, taken as a signed 32-bit number.
    fn uvarint(&mut self) -> Result<i32, RecordError> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value.cast_signed());
            }
        }
        Err(RecordError::Malformed { field: "varint" })
    }

    fn string(&mut self, field: &'static str) -> Result<String, RecordError> {
        self.string_at(field, false)
    }

    fn string_at(&mut self, field: &'static str, compact: bool) -> Result<String, RecordError> {
        self.nullable_string_at(field, compact)?
            .ok_or(RecordError::Malformed { field })
    }

    fn nullable_string_at(
        &mut self,
        field: &'static str,
        compact: bool,
    ) -> Result<Option<String>, RecordError> {
        let length = if compact {
            self.uvarint()?.wrapping_sub(1)
        } else {
            i32::from(self.i16()?)
        };
        let Ok(length) = usize::try_from(length) else {
            return Ok(None);
        };
        if length > STRING_BYTES_MAX {
            return Err(RecordError::Malformed { field });
        }
        // Java turns bad UTF-8 into U+FFFD; so the same group is found under the same name.
        Ok(Some(
            String::from_utf8_lossy(self.take(length)?).into_owned(),
        ))
    }

    fn bytes_at(&mut self, field: &'static str, compact: bool) -> Result<Bytes, RecordError> {
        let length = if compact {
            self.uvarint()?.wrapping_sub(1)
        } else {
            self.i32()?
        };
        let length = usize::try_from(length).map_err(|_| RecordError::Malformed { field })?;
        Ok(Bytes::copy_from_slice(self.take(length)?))
    }

    fn count(&mut self, field: &'static str, compact: bool) -> Result<usize, RecordError> {
        let count = if compact {
            self.uvarint()?.wrapping_sub(1)
        } else {
            self.i32()?
        };
        usize::try_from(count)
            .ok()
            .filter(|count| *count <= self.rest.len())
            .ok_or(RecordError::Malformed { field })
    }

    /// Reads a tagged section. Repeated and unordered tags are taken, the later one wins, as in Kafka.
    fn tags(
        &mut self,
        mut each: impl FnMut(i32, &'a [u8]) -> Result<(), RecordError>,
    ) -> Result<(), RecordError> {
        for _ in 0..self.uvarint()? {
            let tag = self.uvarint()?;
            let size = usize::try_from(self.uvarint()?).map_err(|_| RecordError::Malformed {
                field: "tagged field",
            })?;
            each(tag, self.take(size)?)?;
        }
        Ok(())
    }
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
    while !reader.rest.is_empty() {
        marks.push(Record::GenerationMark {
            group: Arc::from(reader.string("group")?),
            generation: reader.i32()?,
        });
    }
    Ok(marks)
}
