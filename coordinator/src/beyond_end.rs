//! Offsets that were committed beyond the end of a log: records were lost with its tail, and the group will pass over what
//! gets their offsets next. Looked for once, when a partition of the offsets is loaded. Pure.

use std::sync::Arc;

use callboard_offsets::index::Index;

use crate::TopicLookup;

/// One committed offset beyond the end of its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BeyondEnd {
    pub(crate) group: Arc<str>,
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
    pub(crate) committed: i64,
    pub(crate) end: i64,
}

/// All of them, by group. Topics whose ends are not known are passed over.
pub(crate) fn beyond_end<'a>(
    index: &'a Index,
    topics: &'a dyn TopicLookup,
) -> impl Iterator<Item = BeyondEnd> + 'a {
    let all = index.groups().flat_map(|group| {
        let of = move |(topic, offsets)| (group, topic, offsets);
        index.topics(group).map(of)
    });
    all.flat_map(move |(group, topic, offsets)| {
        offsets.iter().filter_map(move |(partition, stored)| {
            let (partition, committed) = (partition, stored.value.offset);
            let end = topics.end_offset(topic, partition)?;
            (committed > end).then(|| BeyondEnd {
                group: Arc::clone(group),
                topic: Arc::clone(topic),
                partition,
                committed,
                end,
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use callboard_offsets::record::{OffsetCommitValue, Record};

    use super::*;

    /// The log of partition 0 of "t" ends at 5; nobody knows of another.
    struct Ends;

    impl TopicLookup for Ends {
        fn partitions(&self, _name: &str) -> Option<i32> {
            Some(2)
        }

        fn end_offset(&self, name: &str, partition: i32) -> Option<i64> {
            (name == "t" && partition == 0).then_some(5)
        }
    }

    #[test]
    fn only_what_lies_beyond_a_known_end_is_told() {
        let mut index = Index::default();
        let mut at = 0;
        let mut commit = |group: &str, topic: &str, partition, offset| {
            let value = OffsetCommitValue {
                offset,
                leader_epoch: -1,
                metadata: "".into(),
                commit_timestamp_ms: 0,
                expire_timestamp_ms: None,
                topic_id: [0; 16],
            };
            let record = Record::OffsetCommit {
                group: group.into(),
                topic: topic.into(),
                partition,
                value: Some(value),
            };
            index.apply(&record, at);
            at += 1;
        };
        commit("even", "t", 0, 5);
        commit("beyond", "t", 0, 6);
        commit("beyond", "t", 1, 6);
        commit("beyond", "u", 0, 6);
        let found: Vec<BeyondEnd> = beyond_end(&index, &Ends).collect();
        let expected = BeyondEnd {
            group: "beyond".into(),
            topic: "t".into(),
            partition: 0,
            committed: 6,
            end: 5,
        };
        assert_eq!(found, [expected]);
    }
}
