//! Between [`Record`]s and the two byte sections of a [`Batch`](crate::log::Batch): one Kafka v2 record batch, uncompressed, as
//! Kafka 4.2.0 writes `__consumer_offsets` by default, and the generation marks. Pure; replay and live share it.

use bytes::Bytes;
use callboard_protocol::records::{
    Batch, BatchBuilder, BatchIter, Compression, DecompressLimit, RecordsError,
};

use crate::record::Record;
use crate::record::codec::{self, Decoded, RecordError};

/// The topic has one leader, ever.
pub(crate) const LEADER_EPOCH: i32 = 0;

/// More than a record takes in a batch besides its key and value: lengths, attributes, deltas, no headers.
const RECORD_BYTES: usize = 32;

/// Why stored bytes are no batch of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BatchError {
    /// The Kafka batch is damaged.
    #[error("record batch: {0}")]
    Batch(#[from] RecordsError),
    /// It is of a form this crate never writes.
    #[error("record batch: {0}")]
    Foreign(&'static str),
    /// A record in it does not parse.
    #[error("record at offset {offset}: {source}")]
    Record {
        /// Its Kafka offset.
        offset: i64,
        /// Why.
        source: RecordError,
    },
    /// The marks do not parse.
    #[error("generation marks: {0}")]
    Marks(RecordError),
}

/// The sections of one append.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Encoded {
    pub(crate) records: u32,
    pub(crate) marks: Bytes,
    pub(crate) kafka: Bytes,
}

impl Encoded {
    /// Bytes an engine has to keep for it.
    pub(crate) fn len(&self) -> usize {
        self.marks.len() + self.kafka.len()
    }
}

/// Encodes records as one batch from `base_offset` on, all with the same timestamp (create time, milliseconds).
pub(crate) fn encode(
    records: &[Record],
    base_offset: i64,
    timestamp_ms: i64,
) -> Result<Encoded, RecordError> {
    encode_some(records, base_offset, timestamp_ms, usize::MAX).map(|(encoded, _)| encoded)
}

/// Encodes as many of the first records as `bytes_max` holds, and at least one; how many comes with it.
pub(crate) fn encode_some(
    records: &[Record],
    base_offset: i64,
    timestamp_ms: i64,
    bytes_max: usize,
) -> Result<(Encoded, usize), RecordError> {
    let mut batch = BatchBuilder::new(base_offset, Compression::None).leader_epoch(LEADER_EPOCH);
    let (mut count, mut taken) = (0, 0);
    let mut marks = Vec::new();
    for record in records {
        let (key_and_value, mark) = (codec::encode(record)?, codec::encode_mark(record)?);
        let bytes = key_and_value.as_ref().map_or(0, |(key, value)| {
            RECORD_BYTES + key.len() + value.as_ref().map_or(0, Vec::len)
        });
        let before = batch.size() + marks.len();
        if taken > 0 && before + bytes + mark.len() > bytes_max {
            break;
        }
        if let Some((key, value)) = key_and_value {
            batch.push(timestamp_ms, Some(&key), value.as_deref(), &[]);
            count += 1;
        }
        marks.extend(mark);
        taken += 1;
    }
    let bytes = batch.size();
    let kafka = batch.build().map_err(|_| RecordError::TooLong {
        field: "batch",
        bytes,
    })?;
    let encoded = Encoded {
        records: count,
        marks: marks.into(),
        kafka,
    };
    Ok((encoded, taken))
}

/// All of `records` as one batch of at most `bytes_max`. The inner error is how large it had become when that was passed:
/// what is too large is not encoded to its end.
///
/// # Errors
/// [`RecordError`], and nothing is encoded.
pub(crate) fn encode_within(
    records: &[Record],
    base_offset: i64,
    timestamp_ms: i64,
    bytes_max: usize,
) -> Result<Result<Encoded, usize>, RecordError> {
    // What a record takes is bounded from above there: what just fits is taken.
    let bytes = bytes_max.saturating_add(RECORD_BYTES);
    let (encoded, taken) = encode_some(records, base_offset, timestamp_ms, bytes)?;
    let fits = taken == records.len() && encoded.len() <= bytes_max;
    Ok(if fits {
        Ok(encoded)
    } else {
        Err(encoded.len())
    })
}

/// Gives `each` every record of a stored batch with its Kafka offset, then the marks (offset of the batch's end).
/// A type this crate does not know is given as `Err(record_type)`; the caller warns and goes on.
///
/// # Errors
/// [`BatchError`]; what was given before stays given.
pub(crate) fn decode(
    kafka: &Bytes,
    marks: &[u8],
    base_offset: i64,
    mut each: impl FnMut(Result<Record, i16>, i64),
) -> Result<(), BatchError> {
    let mut next_offset = base_offset;
    if !kafka.is_empty() {
        next_offset = decode_kafka(kafka, base_offset, &mut each)?;
    }
    for mark in codec::decode_marks(marks).map_err(BatchError::Marks)? {
        each(Ok(mark), next_offset);
    }
    Ok(())
}

fn decode_kafka(
    bytes: &Bytes,
    base_offset: i64,
    each: &mut impl FnMut(Result<Record, i16>, i64),
) -> Result<i64, BatchError> {
    let batch = open(bytes)?;
    let header = batch.header();
    if header.base_offset != base_offset {
        return Err(BatchError::Foreign("its base offset is not the frame's"));
    }
    // Nothing is compressed, so nothing grows.
    for record in &batch.body(DecompressLimit::new(0))? {
        let record = record?;
        let decoded =
            codec::decode(record.key, record.value).map_err(|source| BatchError::Record {
                offset: record.offset,
                source,
            })?;
        let decoded = match decoded {
            Decoded::Record(record) => Ok(record),
            Decoded::Unknown { record_type } => Err(record_type),
        };
        each(decoded, record.offset);
    }
    Ok(base_offset + i64::from(header.last_offset_delta) + 1)
}

/// A stored batch, if it is whole and of the form that is written here; its records are not looked at.
///
/// # Errors
/// [`BatchError::Batch`] and [`BatchError::Foreign`].
pub(crate) fn open(bytes: &Bytes) -> Result<Batch, BatchError> {
    let mut batches = BatchIter::new(bytes.clone());
    let batch = batches
        .next()
        .ok_or(BatchError::Foreign("it is cut short"))??;
    if !batches.rest().is_empty() {
        return Err(BatchError::Foreign("bytes behind it"));
    }
    batch.verify_crc()?;
    let header = batch.header();
    if header.compression()? != Compression::None
        || header.is_transactional()
        || header.is_control()
    {
        return Err(BatchError::Foreign("compressed, transactional or control"));
    }
    Ok(batch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::OffsetCommitValue;

    const TIMESTAMP: i64 = 1_700_000_000_000;
    /// A batch of two records at offset 1000, field by field as Kafka's format has it.
    const KAFKA: &str = "00000000000003e80000007000000000023f4412e80000000000010000018bcfe56800\
        0000018bcfe56800ffffffffffffffffffffffffffff000000025600000018000100016700017400000003\
        320004000000000000002a00000007026d0000018bcfe56800000024000002180001000167000174000000040100";
    const MARKS: &str = "00016700000006";

    fn records() -> Vec<Record> {
        let commit = OffsetCommitValue {
            offset: 42,
            leader_epoch: 7,
            metadata: "m".into(),
            commit_timestamp_ms: TIMESTAMP,
            expire_timestamp_ms: None,
            topic_id: [0; 16],
        };
        let offset = |partition, value| Record::OffsetCommit {
            group: "g".into(),
            topic: "t".into(),
            partition,
            value,
        };
        let mark = Record::GenerationMark {
            group: "g".into(),
            generation: 6,
        };
        vec![mark, offset(3, Some(commit)), offset(4, None)]
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn what_is_stored_is_what_it_was() {
        let encoded = encode(&records(), 1000, TIMESTAMP).unwrap();
        assert_eq!(encoded.records, 2);
        assert_eq!(hex(&encoded.kafka), KAFKA);
        assert_eq!(hex(&encoded.marks), MARKS);
    }

    #[test]
    fn as_many_records_as_fit_go_into_a_batch_and_at_least_one() {
        let records: Vec<_> = (0..100)
            .map(|partition| Record::OffsetCommit {
                group: "g".into(),
                topic: "t".repeat(100).into(),
                partition,
                value: None,
            })
            .collect();
        let (all, taken) = encode_some(&records, 0, TIMESTAMP, usize::MAX).unwrap();
        assert_eq!((all.records, taken), (100, 100));
        for bytes_max in [0, 1, 500, 1000, 5000, all.len() - 1] {
            let (some, taken) = encode_some(&records, 7, TIMESTAMP, bytes_max).unwrap();
            assert_eq!(some.records as usize, taken);
            assert!(taken == 1 || some.len() <= bytes_max, "{bytes_max}");
            let next = encode(&records[..taken + 1], 7, TIMESTAMP).unwrap();
            // The bound on what a record takes is generous by some bytes.
            assert!(next.len() + RECORD_BYTES > bytes_max, "{bytes_max}");
            assert_eq!(some, encode(&records[..taken], 7, TIMESTAMP).unwrap());
        }
        assert_eq!(encode_some(&[], 0, TIMESTAMP, 10).unwrap().1, 0);
        let marks = vec![self::records()[0].clone(); 10];
        let (some, taken) = encode_some(&marks, 0, TIMESTAMP, 10).unwrap();
        assert_eq!((some.records, some.marks.len(), taken), (0, 7, 1));
    }

    #[test]
    fn what_does_not_fit_is_not_encoded_to_its_end() {
        let records: Vec<_> = (0..1_000)
            .map(|partition| Record::OffsetCommit {
                group: "g".into(),
                topic: "t".into(),
                partition,
                value: None,
            })
            .collect();
        let whole = encode(&records, 7, TIMESTAMP).unwrap();
        let within = |bytes_max| encode_within(&records, 7, TIMESTAMP, bytes_max).unwrap();
        assert_eq!(within(whole.len()), Ok(whole.clone()));
        assert!(within(whole.len() - 1).is_err());
        let given_up_at = within(2_000).unwrap_err();
        assert!(given_up_at <= 2_000 + RECORD_BYTES, "{given_up_at}");
    }

    #[test]
    fn marks_come_back_last() {
        let encoded = encode(&records(), 1000, TIMESTAMP).unwrap();
        let mut back = Vec::new();
        decode(&encoded.kafka, &encoded.marks, 1000, |record, offset| {
            back.push((record.unwrap(), offset));
        })
        .unwrap();
        let [mark, first, second] = <[Record; 3]>::try_from(records()).unwrap();
        assert_eq!(back, [(first, 1000), (second, 1001), (mark, 1002)]);
    }

    #[test]
    fn damaged_anywhere_it_is_an_error() {
        let encoded = encode(&records(), 1000, TIMESTAMP).unwrap();
        for at in 0..encoded.kafka.len() {
            let mut damaged = encoded.kafka.to_vec();
            damaged[at] ^= 1;
            let read = decode(&damaged.into(), &[], 1000, |_, _| {});
            // The leader epoch alone is outside of the checksum and means nothing here.
            assert_eq!(read.is_ok(), (12..16).contains(&at), "byte {at}: {read:?}");
            let cut = encoded.kafka.slice(..at);
            assert_eq!(
                decode(&cut, &[], 1000, |_, _| {}).is_ok(),
                at == 0,
                "cut at {at}"
            );
        }
        assert!(decode(&encoded.kafka, &[], 999, |_, _| {}).is_err());
        for at in 1..encoded.marks.len() {
            assert!(decode(&Bytes::new(), &encoded.marks[..at], 0, |_, _| {}).is_err());
        }
    }
}
