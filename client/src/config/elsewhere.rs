//! Keys of Kafka's that are no keys here, and what takes their place: people bring them along.

/// What takes the place of a key, if it is one that people look for.
pub(super) fn instead_of(key: &str) -> Option<&'static str> {
    let found = ELSEWHERE
        .iter()
        .find(|(name, _)| match name.strip_suffix('*') {
            Some(beginning) => key.starts_with(beginning),
            None => *name == key,
        });
    found.map(|(_, instead)| *instead)
}

/// A name that ends in `*` is all that begin so.
const ELSEWHERE: &[(&str, &str)] = &[
    ("group.id", "a consumer is told its group when it is made"),
    ("group.protocol", "groups are classic"),
    (
        "enable.auto.commit",
        "what is acknowledged is committed every auto.commit.interval.ms, and nothing else is",
    ),
    (
        "enable.auto.offset.store",
        "what is acknowledged is committed every auto.commit.interval.ms, and nothing else is",
    ),
    (
        "max.poll.records",
        "nothing polls: records are handled one after the other, queued.max.messages.kbytes bounds how far fetching runs ahead",
    ),
    (
        "isolation.level",
        "records are read as read_uncommitted has it",
    ),
    (
        "transactional.id",
        "the producer is idempotent and has no transactions",
    ),
    (
        "retries",
        "delivery.timeout.ms says how long a record is tried",
    ),
    ("security.protocol", "connections are PLAINTEXT"),
    ("sasl.*", "connections are PLAINTEXT"),
    ("ssl.*", "connections are PLAINTEXT"),
    ("key.serializer", "keys and values are bytes"),
    ("value.serializer", "keys and values are bytes"),
    ("key.deserializer", "keys and values are bytes"),
    ("value.deserializer", "keys and values are bytes"),
    // librdkafka's names.
    ("metadata.broker.list", "it is bootstrap.servers"),
    ("message.max.bytes", "it is max.request.size"),
    ("fetch.message.max.bytes", "it is max.partition.fetch.bytes"),
    ("queue.buffering.max.ms", "it is linger.ms"),
    ("compression.codec", "it is compression.type"),
    ("request.required.acks", "it is acks"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KEYS;

    #[test]
    fn no_key_stands_in_both_tables() {
        for key in KEYS {
            assert_eq!(instead_of(key.name), None, "{}", key.name);
        }
        assert!(instead_of("sasl.mechanism").is_some());
        assert!(instead_of("group.idx").is_none());
    }
}
