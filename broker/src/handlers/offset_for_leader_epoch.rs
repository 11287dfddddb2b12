//! OffsetForLeaderEpoch, versions 2 to 4 (KIP-320): where the epochs of leaders end. There is one broker; its epoch of a
//! log rises when that was not closed in order, and a client finds out what was lost with the tail.

use std::sync::Arc;

use callboard_protocol::ErrorCode;
use callboard_protocol::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition, OffsetForLeaderTopicResult,
};

use super::resolve::Source;
use crate::log::EpochEnd;
use crate::request::{Context, Request, Work};
use crate::topics::TopicsSnapshot;

pub(super) fn handle(request: Request<'_>, work: &mut Work) {
    let Some((body, request)) = request.decode::<OffsetForLeaderEpochRequest<'_>>() else {
        return;
    };
    let context = Arc::clone(request.context);
    let snapshot = context.services.topics.snapshot();
    let topics: Vec<(String, Vec<Asked>)> = body
        .topics
        .into_iter()
        .map(|topic| {
            let partitions = topic.partitions.iter();
            let asked = partitions.map(|asked| Asked::new(asked, &topic.topic, &snapshot));
            let asked = asked.collect();
            (topic.topic.into_owned(), asked)
        })
        .collect();
    let responder = request.responder;
    work.read(async move {
        let mut answers = Vec::with_capacity(topics.len());
        for (topic, asked) in topics {
            let mut partitions = Vec::with_capacity(asked.len());
            for asked in asked {
                partitions.push(asked.answer(&context).await);
            }
            answers.push(OffsetForLeaderTopicResult {
                topic: topic.into(),
                partitions,
                ..Default::default()
            });
        }
        responder.send(&OffsetForLeaderEpochResponse {
            topics: answers,
            ..Default::default()
        });
    });
}

/// A partition, and the epoch whose end is wanted.
struct Asked {
    partition: i32,
    epoch: i32,
    source: Result<Source, ErrorCode>,
}

impl Asked {
    fn new(asked: &OffsetForLeaderPartition, topic: &str, snapshot: &TopicsSnapshot) -> Self {
        let believed = asked.current_leader_epoch;
        Self {
            partition: asked.partition,
            epoch: asked.leader_epoch,
            source: Source::find(topic, asked.partition, believed, snapshot),
        }
    }

    async fn answer(self, context: &Arc<Context>) -> EpochEndOffset<'static> {
        let found = match &self.source {
            Ok(source) => source
                .end_of_epoch(self.epoch, context)
                .await
                .map_err(|error| error.code()),
            Err(code) => Err(*code),
        };
        let (code, found) = match found {
            Ok(found) => (ErrorCode::NONE, found),
            Err(code) => (code, EpochEnd::UNKNOWN),
        };
        EpochEndOffset {
            error_code: code.0,
            partition: self.partition,
            leader_epoch: found.epoch,
            end_offset: found.end,
            ..Default::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use callboard_protocol::messages::offset_for_leader_epoch::OffsetForLeaderTopic;

    use super::*;
    use crate::log::{AppendReply, test_batch};
    use crate::testing::Bench;

    fn request(
        topic: &str,
        partition: i32,
        current: i32,
        epoch: i32,
    ) -> OffsetForLeaderEpochRequest<'static> {
        OffsetForLeaderEpochRequest {
            topics: vec![OffsetForLeaderTopic {
                topic: topic.to_owned().into(),
                partitions: vec![OffsetForLeaderPartition {
                    partition,
                    current_leader_epoch: current,
                    leader_epoch: epoch,
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    #[tokio::test]
    async fn the_one_epoch_ends_where_the_log_ends() {
        let mut bench = Bench::start().await;
        bench.create("t", 1).await;
        let log = bench
            .services
            .topics
            .snapshot()
            .by_name("t")
            .unwrap()
            .logs()[0]
            .clone();
        append(&log, 3).await;
        let mut wire = bench.connect();
        let none = ErrorCode::NONE;
        for (asked, expected) in [
            (request("t", 0, -1, 0), (none, 0, 3)),
            (request("t", 0, 0, 0), (none, 0, 3)),
            (request("t", 0, -1, 1), (none, -1, -1)),
            (request("t", 0, -1, -1), (none, -1, -1)),
            (request("t", 0, -1, -2), (none, -2, 0)),
            (
                request("t", 0, 1, 0),
                (ErrorCode::UNKNOWN_LEADER_EPOCH, -1, -1),
            ),
            (
                request("t", 0, -2, 0),
                (ErrorCode::FENCED_LEADER_EPOCH, -1, -1),
            ),
            (
                request("t", 1, -1, 0),
                (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, -1, -1),
            ),
            (
                request("u", 0, -1, 0),
                (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, -1, -1),
            ),
            (request("__consumer_offsets", 49, -1, 0), (none, 0, 0)),
        ] {
            for version in 2..=4 {
                let answer = wire.ask(&asked, version).await;
                let read = answer.read();
                assert_eq!(read.topics[0].topic, asked.topics[0].topic);
                let one = &read.topics[0].partitions[0];
                assert_eq!(one.partition, asked.topics[0].partitions[0].partition);
                assert_eq!(
                    (ErrorCode(one.error_code), one.leader_epoch, one.end_offset),
                    expected,
                    "{asked:?}"
                );
            }
        }
        bench.stop().await;
    }

    async fn append(log: &crate::log::LogHandle, records: usize) {
        let (done, appended) = tokio::sync::oneshot::channel();
        let reply = AppendReply::new(|outcome| drop(done.send(outcome)));
        log.append(test_batch(records), reply);
        appended.await.unwrap().unwrap();
    }

    /// Difference: `epoch-of-offsets`.
    #[tokio::test]
    async fn the_epoch_of_the_offsets_topic_stays_zero() {
        use callboard_protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic};

        let mut bench = Bench::start().await;
        let mut wire = bench.connect();
        let metadata = MetadataRequest {
            topics: Some(vec![MetadataRequestTopic {
                name: Some("__consumer_offsets".into()),
                ..Default::default()
            }]),
            ..Default::default()
        };
        let answer = wire.ask(&metadata, 9).await;
        let partitions = &answer.read().topics[0].partitions;
        assert!(!partitions.is_empty());
        assert!(partitions.iter().all(|one| one.leader_epoch == 0));
        for (current, epoch, expected) in [
            (0, 0, (ErrorCode::NONE, 0, 0)),
            (-1, 1, (ErrorCode::NONE, -1, -1)),
            (1, 0, (ErrorCode::UNKNOWN_LEADER_EPOCH, -1, -1)),
        ] {
            let asked = request("__consumer_offsets", 0, current, epoch);
            let answer = wire.ask(&asked, 4).await;
            let one = &answer.read().topics[0].partitions[0];
            let told = (ErrorCode(one.error_code), one.leader_epoch, one.end_offset);
            assert_eq!(told, expected, "{current} {epoch}");
        }
        bench.stop().await;
    }

    /// After a log was not closed in order every API that tells an epoch tells the new one, and fences the old.
    #[tokio::test]
    async fn a_crash_of_the_log_is_told_everywhere() {
        use callboard_protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
        use callboard_protocol::messages::list_offsets::{
            ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
        };
        use callboard_protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic};

        let mut bench = Bench::start().await;
        bench.create("t", 1).await;
        let log = bench
            .services
            .topics
            .snapshot()
            .by_name("t")
            .unwrap()
            .logs()[0]
            .clone();
        append(&log, 3).await;
        log.kill();
        while log.leader_epoch() == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        append(&log, 2).await;
        let mut wire = bench.connect();
        let (none, fenced) = (ErrorCode::NONE, ErrorCode::FENCED_LEADER_EPOCH);
        let unknown = ErrorCode::UNKNOWN_LEADER_EPOCH;

        for (current, epoch, expected) in [
            (1, 0, (none, 0, 3)),
            (-1, 1, (none, 1, 5)),
            (-1, 2, (none, -1, -1)),
            (0, 0, (fenced, -1, -1)),
            (2, 0, (unknown, -1, -1)),
        ] {
            let answer = wire.ask(&request("t", 0, current, epoch), 4).await;
            let one = &answer.read().topics[0].partitions[0];
            let told = (ErrorCode(one.error_code), one.leader_epoch, one.end_offset);
            assert_eq!(told, expected, "{current} {epoch}");
        }

        let metadata = MetadataRequest {
            topics: Some(vec![MetadataRequestTopic {
                name: Some("t".into()),
                ..Default::default()
            }]),
            ..Default::default()
        };
        let answer = wire.ask(&metadata, 9).await;
        assert_eq!(answer.read().topics[0].partitions[0].leader_epoch, 1);

        for (current, timestamp, expected) in [
            (1, -1, (none, 5, 1)),
            (-1, -2, (none, 0, 0)),
            (-1, 0, (none, 0, 0)),
            (0, -1, (fenced, -1, -1)),
            (2, -1, (unknown, -1, -1)),
        ] {
            let asked = ListOffsetsRequest {
                replica_id: -1,
                topics: vec![ListOffsetsTopic {
                    name: "t".into(),
                    partitions: vec![ListOffsetsPartition {
                        current_leader_epoch: current,
                        timestamp,
                        ..Default::default()
                    }],
                    ..Default::default()
                }],
                ..Default::default()
            };
            let answer = wire.ask(&asked, 7).await;
            let one = &answer.read().topics[0].partitions[0];
            let told = (ErrorCode(one.error_code), one.offset, one.leader_epoch);
            assert_eq!(told, expected, "{current} {timestamp}");
        }

        // Current epoch, last fetched epoch, offset; error, diverging epoch and its end.
        let out_of_range = ErrorCode::OFFSET_OUT_OF_RANGE;
        for (current, fetched, from, expected) in [
            (1, -1, 5, (none, -1, -1)),
            (0, -1, 0, (fenced, -1, -1)),
            (2, -1, 0, (unknown, -1, -1)),
            (1, 0, 3, (none, -1, -1)),
            (1, 0, 4, (none, 0, 3)),
            (1, 0, 9, (none, 0, 3)),
            (1, 1, 9, (none, 1, 5)),
            (1, 2, 3, (out_of_range, -1, -1)),
        ] {
            let asked = FetchRequest {
                max_bytes: 1_000_000,
                topics: vec![FetchTopic {
                    topic: "t".into(),
                    partitions: vec![FetchPartition {
                        current_leader_epoch: current,
                        last_fetched_epoch: fetched,
                        fetch_offset: from,
                        partition_max_bytes: 1_000_000,
                        ..Default::default()
                    }],
                    ..Default::default()
                }],
                ..Default::default()
            };
            let answer = wire.ask(&asked, 12).await;
            let one = &answer.read().responses[0].partitions[0];
            let end = &one.diverging_epoch;
            let told = (ErrorCode(one.error_code), end.epoch, end.end_offset);
            assert_eq!(told, expected, "{current} {fetched} {from}");
        }
        bench.stop().await;
    }
}
