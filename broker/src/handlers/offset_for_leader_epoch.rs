//! OffsetForLeaderEpoch, versions 2 to 4 (KIP-320): where the epochs of leaders end. There is one epoch, of the one
//! broker, and it goes on to the end of the log.

use std::sync::Arc;

use callboard_protocol::ErrorCode;
use callboard_protocol::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition, OffsetForLeaderTopicResult,
};

use super::list_offsets::{END, START, Source};
use super::resolve::{LEADER_EPOCH, check_leader_epoch};
use crate::connection::{Context, Request, Work};
use crate::topics::TopicsSnapshot;

/// No epoch.
const UNDEFINED: i32 = -1;

pub(super) fn handle(request: Request<'_>, work: &mut Work) {
    let Some((body, request)) = request.decode::<OffsetForLeaderEpochRequest<'_>>() else {
        return;
    };
    let context = Arc::clone(request.context);
    let snapshot = context.shared.topics.snapshot();
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
        let source = Source::find(topic, asked.partition, snapshot)
            .and_then(|source| check_leader_epoch(asked.current_leader_epoch).map(|()| source));
        Self {
            partition: asked.partition,
            epoch: asked.leader_epoch,
            source,
        }
    }

    async fn answer(self, context: &Arc<Context>) -> EpochEndOffset<'static> {
        let answer = |code: ErrorCode, leader_epoch, end_offset| EpochEndOffset {
            error_code: code.0,
            partition: self.partition,
            leader_epoch,
            end_offset,
            ..Default::default()
        };
        let source = match &self.source {
            Ok(source) => source,
            Err(code) => return answer(*code, UNDEFINED, -1),
        };
        let edge = match self.epoch {
            LEADER_EPOCH => END,
            // What an epoch before the first one ends with is where the first begins.
            earlier if earlier < UNDEFINED => START,
            _ => return answer(ErrorCode::NONE, UNDEFINED, -1),
        };
        match source.look_up(edge, context).await {
            Ok(Some(found)) => answer(ErrorCode::NONE, self.epoch, found.offset),
            Ok(None) => answer(ErrorCode::NONE, UNDEFINED, -1),
            Err(error) => answer(error.code(), UNDEFINED, -1),
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
        let log = bench.shared.topics.snapshot().by_name("t").unwrap().logs()[0].clone();
        let (done, appended) = tokio::sync::oneshot::channel();
        let reply = AppendReply::new(|outcome| drop(done.send(outcome)));
        log.append(test_batch(3), reply);
        appended.await.unwrap().unwrap();
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
}
