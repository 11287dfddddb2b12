//! The bytes of the two files that spare a log from reading itself: the index of a segment (`.index`) and the producer
//! states of a partition (`producers.snapshot`). Both end in a CRC32C over all before it; whatever does not check is
//! as good as absent, since the log itself has everything; but whole producer states of another version are refused. All integers are big-endian.

use std::collections::VecDeque;

use super::producers::BATCHES_KEPT;
use super::{Entry, KeptBatch, ProducerState, ProducerStates, SparseIndex};

const INDEX_MAGIC: &[u8; 8] = b"cbindex\x01";
const PRODUCERS_MAGIC: &[u8; 8] = b"cbprods\x01";

/// The index of the first `size` bytes of a segment, which are on disk and whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexFile {
    pub(crate) size: u64,
    /// The offset after the last one of those bytes.
    pub(crate) next_offset: i64,
    pub(crate) index: SparseIndex,
}

/// The producer states as they were when the log ended at `next_offset`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProducersFile {
    pub(crate) next_offset: i64,
    pub(crate) producers: ProducerStates,
}

impl IndexFile {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(80 + self.index.entries.len() * 24);
        out.extend_from_slice(INDEX_MAGIC);
        put_u64(&mut out, self.size);
        put_i64(&mut out, self.next_offset);
        put_u64(&mut out, self.index.interval);
        put_u64(&mut out, self.index.bytes_since_entry);
        put_i64(&mut out, self.index.first_timestamp);
        put_i64(&mut out, self.index.newest);
        put_u64(&mut out, self.index.newest_position);
        for entry in &self.index.entries {
            put_i64(&mut out, entry.offset);
            put_u64(&mut out, entry.position);
            put_i64(&mut out, entry.newest_before);
        }
        seal(out)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = Input(unseal(bytes, INDEX_MAGIC)?);
        let size = input.u64()?;
        let next_offset = input.i64()?;
        let mut index = SparseIndex {
            interval: input.u64()?.max(1),
            bytes_since_entry: input.u64()?,
            first_timestamp: input.i64()?,
            newest: input.i64()?,
            newest_position: input.u64()?,
            entries: Vec::with_capacity(input.0.len() / 24),
        };
        while !input.0.is_empty() {
            index.entries.push(Entry {
                offset: input.i64()?,
                position: input.u64()?,
                newest_before: input.i64()?,
            });
        }
        Some(Self {
            size,
            next_offset,
            index,
        })
    }
}

impl ProducersFile {
    /// The last byte of the magic, for people.
    pub(crate) const VERSION: &str = "1";

    /// The version of a whole file of producer states, if it is not the one that is known here.
    pub(crate) fn other_version(bytes: &[u8]) -> Option<u8> {
        let [name @ .., known] = PRODUCERS_MAGIC;
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        let version = body.strip_prefix(name)?.first()?;
        let whole = crc32c::crc32c(body).to_be_bytes() == *crc;
        (whole && version != known).then_some(*version)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(24 + self.producers.iter().len() * 64);
        out.extend_from_slice(PRODUCERS_MAGIC);
        put_i64(&mut out, self.next_offset);
        for (id, state) in self.producers.iter() {
            put_i64(&mut out, id);
            out.extend_from_slice(&state.epoch.to_be_bytes());
            put_i64(&mut out, state.last_seen);
            // At most BATCHES_KEPT.
            out.push(u8::try_from(state.batches.len()).unwrap_or(u8::MAX));
            for batch in &state.batches {
                out.extend_from_slice(&batch.first_sequence.to_be_bytes());
                out.extend_from_slice(&batch.last_sequence.to_be_bytes());
                put_i64(&mut out, batch.base_offset);
                put_i64(&mut out, batch.last_offset);
                put_i64(&mut out, batch.timestamp);
            }
        }
        seal(out)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = Input(unseal(bytes, PRODUCERS_MAGIC)?);
        let next_offset = input.i64()?;
        let mut producers = ProducerStates::default();
        while !input.0.is_empty() {
            let id = input.i64()?;
            let epoch = i16::from_be_bytes(input.take()?);
            let last_seen = input.i64()?;
            let [count] = input.take()?;
            if usize::from(count) > BATCHES_KEPT {
                return None;
            }
            let mut batches = VecDeque::with_capacity(usize::from(count));
            for _ in 0..count {
                batches.push_back(KeptBatch {
                    first_sequence: i32::from_be_bytes(input.take()?),
                    last_sequence: i32::from_be_bytes(input.take()?),
                    base_offset: input.i64()?,
                    last_offset: input.i64()?,
                    timestamp: input.i64()?,
                });
            }
            producers.insert(
                id,
                ProducerState {
                    epoch,
                    last_seen,
                    batches,
                },
            );
        }
        Some(Self {
            next_offset,
            producers,
        })
    }
}

fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn put_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn seal(mut out: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c(&out);
    out.extend_from_slice(&crc.to_be_bytes());
    out
}

/// What lies between the magic and the checksum, if both are right.
fn unseal<'a>(bytes: &'a [u8], magic: &[u8; 8]) -> Option<&'a [u8]> {
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    if crc32c::crc32c(body) != u32::from_be_bytes(*crc) {
        return None;
    }
    body.strip_prefix(magic)
}

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn index_file() -> IndexFile {
        let entries = vec![Entry {
            offset: 7,
            position: 4_200,
            newest_before: 1_000,
        }];
        let index = SparseIndex {
            interval: 4_096,
            bytes_since_entry: 99,
            entries,
            first_timestamp: 5,
            newest: 2_000,
            newest_position: 4_200,
        };
        IndexFile {
            size: 5_000,
            next_offset: 12,
            index,
        }
    }

    fn producers_file() -> ProducersFile {
        let batch = KeptBatch {
            first_sequence: 3,
            last_sequence: 5,
            base_offset: 10,
            last_offset: 12,
            timestamp: -1,
        };
        let state = ProducerState {
            epoch: 2,
            last_seen: 77,
            batches: [batch].into(),
        };
        let mut producers = ProducerStates::default();
        producers.insert(4_000, state);
        ProducersFile {
            next_offset: 13,
            producers,
        }
    }

    #[test]
    fn the_bytes_are_these() {
        let index = [
            // magic.
            "6362696e64657801",
            // size, next offset.
            "0000000000001388000000000000000c",
            // interval, bytes since entry.
            "00000000000010000000000000000063",
            // first and newest timestamp, its position.
            "000000000000000500000000000007d00000000000001068",
            // entry: offset, position, newest before.
            "0000000000000007000000000000106800000000000003e8",
            // checksum.
            "694a788e",
        ];
        assert_eq!(hex(&index_file().encode()), index.concat());
        let producers = [
            // magic.
            "636270726f647301",
            // next offset.
            "000000000000000d",
            // producer: id, epoch, last seen.
            "0000000000000fa00002000000000000004d",
            // batch: sequences.
            "010000000300000005",
            // batch: offsets, timestamp.
            "000000000000000a000000000000000cffffffffffffffff",
            // checksum.
            "7ffb0ba8",
        ];
        assert_eq!(hex(&producers_file().encode()), producers.concat());
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(
            IndexFile::decode(&index_file().encode()),
            Some(index_file())
        );
        assert_eq!(
            ProducersFile::decode(&producers_file().encode()),
            Some(producers_file())
        );
    }

    #[test]
    fn a_cut_or_a_changed_byte_is_as_good_as_absent() {
        for bytes in [index_file().encode(), producers_file().encode()] {
            for at in 0..bytes.len() {
                assert_eq!(IndexFile::decode(&bytes[..at]), None);
                assert_eq!(ProducersFile::decode(&bytes[..at]), None);
                let mut flipped = bytes.clone();
                flipped[at] ^= 0x10;
                assert_eq!(IndexFile::decode(&flipped), None);
                assert_eq!(ProducersFile::decode(&flipped), None);
            }
        }
    }
}
