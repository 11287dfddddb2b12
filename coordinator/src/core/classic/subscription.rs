//! The topics a consumer's metadata names: the beginning of a ConsumerProtocol subscription, the same in all of its
//! versions. Clients write these bytes, so whatever does not parse is an answer too: unknown.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use callboard_protocol::consumer_protocol;

/// All topics of these members; None if the bytes of one do not parse. (Kafka 4.2.0 lets some such bytes break the
/// rebalance they come in.)
pub(in crate::core) fn topics(members: impl Iterator<Item = Bytes>) -> Option<BTreeSet<Arc<str>>> {
    let mut all: BTreeSet<Arc<str>> = BTreeSet::new();
    for metadata in members {
        for topic in consumer_protocol::subscribed_topics(&metadata).ok()? {
            let topic: &str = topic.as_ref();
            if !all.contains(topic) {
                all.insert(Arc::from(topic));
            }
        }
    }
    Some(all)
}
