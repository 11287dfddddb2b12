//! Where a record goes: by its key as Java's default partitioner does, and without a key to one partition per batch.
//! Owned by the producer.

/// The partition of a key: murmur2 of its bytes, the sign bit cut off, modulo the partitions. Equal to Java's
/// `BuiltInPartitioner.partitionForKey`, so that clients of both kinds put a key into the same partition.
#[must_use]
pub fn partition_for_key(key: &[u8], partitions: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % partitions.max(1)
}

/// MurmurHash2 in its 32-bit form with Kafka's seed.
#[must_use]
pub fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const MULTIPLIER: u32 = 0x5bd1_e995;
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut hash = SEED ^ length;
    let mut words = data.chunks_exact(4);
    for word in words.by_ref() {
        let mut mixed =
            u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(MULTIPLIER);
        mixed ^= mixed >> 24;
        hash = hash.wrapping_mul(MULTIPLIER) ^ mixed.wrapping_mul(MULTIPLIER);
    }
    let tail = words.remainder();
    if !tail.is_empty() {
        for (place, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * place);
        }
        hash = hash.wrapping_mul(MULTIPLIER);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MULTIPLIER);
    hash ^ (hash >> 15)
}

/// Records without a key stay with one partition until its batch is full, then move on (KIP-480, KIP-794): few full
/// batches instead of many small ones.
#[derive(Clone, Copy, Debug)]
pub struct Sticky {
    current: u32,
    filled_bytes: usize,
}

impl Sticky {
    /// Begins at `start`, taken modulo the partitions.
    #[must_use]
    pub fn new(start: u32) -> Self {
        Self {
            current: start,
            filled_bytes: 0,
        }
    }

    /// The partition for a record of `bytes`; moves on once `batch_bytes` went to the present one.
    pub fn next(&mut self, partitions: u32, bytes: usize, batch_bytes: usize) -> u32 {
        let partitions = partitions.max(1);
        if self.filled_bytes >= batch_bytes.max(1) {
            self.filled_bytes = 0;
            self.current = self.current.wrapping_add(1);
        }
        self.filled_bytes += bytes;
        self.current % partitions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values asserted by Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn equals_javas_murmur2() {
        let expected: [(&str, i32); 5] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
        ];
        for (text, hash) in expected {
            assert_eq!(murmur2(text.as_bytes()), hash.cast_unsigned(), "{text}");
        }
        assert_eq!(murmur2(b"abc"), 479_470_107);
    }

    #[test]
    fn a_key_stays_with_its_partition() {
        assert_eq!(
            partition_for_key(b"foobar", 12),
            (-790_332_482_i32 & 0x7fff_ffff).cast_unsigned() % 12
        );
        assert_eq!(partition_for_key(b"anything", 1), 0);
        assert_eq!(partition_for_key(b"no partitions yet", 0), 0);
    }

    #[test]
    fn records_without_a_key_fill_a_batch_before_they_move_on() {
        let mut sticky = Sticky::new(2);
        let chosen: Vec<u32> = (0..6).map(|_| sticky.next(3, 50, 100)).collect();
        assert_eq!(chosen, [2, 2, 0, 0, 1, 1]);
    }
}
