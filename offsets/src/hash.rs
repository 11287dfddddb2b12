//! Which partition of `__consumer_offsets` a group lives in.
//! Kafka's own formula, bit for bit: tools compute it on their side to read the right partition.

/// The partition of `group_id` among `partitions`: `abs(h) % partitions`, `h` being Java's string hash over UTF-16 code
/// units and `abs(i32::MIN)` being 0. A character outside the basic plane counts as its two surrogates.
///
/// Kafka 4.2.0 does the same in `Utils.abs(groupId.hashCode()) % numPartitions`. `partitions` of zero counts as one.
#[must_use]
pub fn partition_for(group_id: &str, partitions: u32) -> u32 {
    let hash = java_hash(group_id);
    // Not `hash & i32::MAX`: -5 must map to 5.
    let absolute = if hash == i32::MIN {
        0
    } else {
        hash.unsigned_abs()
    };
    absolute % partitions.max(1)
}

/// Java's `String.hashCode`, over UTF-16 code units.
#[must_use]
pub fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    })
}
