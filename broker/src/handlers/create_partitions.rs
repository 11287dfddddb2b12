//! CreatePartitions, versions 0 to 3. Topics grow one after the other, each durably before its answer; consumers see the new
//! partitions in the metadata and rebalance by themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use callboard_protocol::ErrorCode;
use callboard_protocol::messages::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopicResult,
};

use crate::request::{Request, Work};
use crate::topics::{Growth, TopicError};

pub(super) fn handle(request: Request<'_>, work: &mut Work) {
    let Some((body, request)) = request.decode::<CreatePartitionsRequest<'_>>() else {
        return;
    };
    let services = Arc::clone(request.services());
    let validate_only = body.validate_only;
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for topic in &body.topics {
        *times.entry(topic.name.clone().into_owned()).or_default() += 1;
    }
    let twice: BTreeSet<String> = times
        .into_iter()
        .filter(|(_, times)| *times > 1)
        .map(|(name, _)| name)
        .collect();
    let wanted: Vec<(String, Growth)> = body
        .topics
        .into_iter()
        .filter(|topic| !twice.contains(topic.name.as_ref()))
        .map(|topic| {
            let growth = Growth {
                partitions: topic.count,
                assignments: topic
                    .assignments
                    .map(|all| all.into_iter().map(|one| one.broker_ids).collect()),
            };
            (topic.name.into_owned(), growth)
        })
        .collect();
    let responder = request.responder;
    work.effect(async move {
        let duplicate = || TopicError {
            code: ErrorCode::INVALID_REQUEST,
            message: "Duplicate topic name.".to_owned(),
        };
        let mut results: Vec<_> = twice
            .into_iter()
            .map(|name| result(name, Err(duplicate())))
            .collect();
        for (name, growth) in wanted {
            let outcome = services
                .topics
                .grow_topic(&name, growth, validate_only)
                .await;
            results.push(result(name, outcome));
        }
        responder.send(&CreatePartitionsResponse {
            results,
            ..Default::default()
        });
    });
}

fn result(name: String, outcome: Result<(), TopicError>) -> CreatePartitionsTopicResult<'static> {
    let (code, message) = match outcome {
        Ok(()) => (ErrorCode::NONE, None),
        // Kafka has no sentence for a topic it does not know.
        Err(error) if error.code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => (error.code, None),
        Err(error) => (error.code, Some(error.message.into())),
    };
    CreatePartitionsTopicResult {
        name: name.into(),
        error_code: code.0,
        error_message: message,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use callboard_protocol::messages::create_partitions::{
        CreatePartitionsAssignment, CreatePartitionsTopic,
    };

    use super::*;
    use crate::log::{AppendReply, test_batch};
    use crate::testing::{Bench, Wire};

    fn topic(
        name: &str,
        count: i32,
        assignments: Option<&[&[i32]]>,
    ) -> CreatePartitionsTopic<'static> {
        let assignment = |brokers: &&[i32]| CreatePartitionsAssignment {
            broker_ids: brokers.to_vec(),
            ..Default::default()
        };
        CreatePartitionsTopic {
            name: name.to_owned().into(),
            count,
            assignments: assignments.map(|all| all.iter().map(assignment).collect()),
            ..Default::default()
        }
    }

    async fn grow(
        wire: &mut Wire,
        topics: Vec<CreatePartitionsTopic<'static>>,
        validate_only: bool,
        version: i16,
    ) -> Vec<(String, i16)> {
        let asked = CreatePartitionsRequest {
            topics,
            validate_only,
            ..Default::default()
        };
        let answer = wire.ask(&asked, version).await;
        let read = answer.read();
        let results = read.results.iter();
        results
            .map(|one| (one.name.to_string(), one.error_code))
            .collect()
    }

    #[tokio::test]
    async fn topics_grow_and_what_they_have_stays() {
        let mut bench = Bench::start().await;
        bench.create("g", 1).await;
        let mut wire = bench.connect();
        let before = Arc::clone(bench.services.topics.snapshot().by_name("g").unwrap());
        for version in 0..=3 {
            let count = 2 + i32::from(version);
            let grown = grow(&mut wire, vec![topic("g", count, None)], false, version).await;
            assert_eq!(grown, [("g".to_owned(), 0)]);
            let after = Arc::clone(bench.services.topics.snapshot().by_name("g").unwrap());
            assert_eq!((after.id, after.partitions), (before.id, count));
            let (done, appended) = tokio::sync::oneshot::channel();
            let reply = AppendReply::new(|outcome| drop(done.send(outcome)));
            after.log(count - 1).unwrap().append(test_batch(1), reply);
            assert_eq!(appended.await.unwrap().unwrap().base_offset, 0);
        }
        // Who had the handle of an old partition still has it.
        let (done, appended) = tokio::sync::oneshot::channel();
        let reply = AppendReply::new(|outcome| drop(done.send(outcome)));
        before.log(0).unwrap().append(test_batch(1), reply);
        appended.await.unwrap().unwrap();
        let snapshot = bench.services.topics.snapshot();
        let log = snapshot.by_name("g").unwrap().log(0).unwrap();
        assert_eq!(log.offsets().unwrap().end, 1);
        bench.stop().await;
    }

    #[tokio::test]
    async fn each_topic_has_its_own_answer() {
        let mut bench = Bench::start().await;
        bench.create("g", 2).await;
        bench.create("h", 1).await;
        let mut wire = bench.connect();
        let asked = vec![
            topic("h", 2, None),
            topic("g", 4, None),
            topic("none", 4, None),
            topic("g", 5, None),
            topic("__consumer_offsets", 60, None),
        ];
        let codes = grow(&mut wire, asked, true, 3).await;
        let expected = [("g", 42), ("h", 0), ("none", 3), ("__consumer_offsets", 42)];
        assert_eq!(codes, expected.map(|(name, code)| (name.to_owned(), code)));
        for (asked, code) in [
            (topic("g", 2, None), 37),
            (topic("g", 1, None), 37),
            (topic("g", i32::MAX, None), 37),
            (topic("g", 4, Some(&[&[1]])), 39),
            (topic("g", 3, Some(&[&[2]])), 39),
            (topic("g", 3, Some(&[&[1]])), 0),
        ] {
            let answer = grow(&mut wire, vec![asked], false, 3).await;
            assert_eq!(answer[0].1, code);
        }
        let snapshot = bench.services.topics.snapshot();
        assert_eq!(snapshot.by_name("h").unwrap().partitions, 1, "validated");
        assert_eq!(snapshot.by_name("g").unwrap().partitions, 3);
        bench.stop().await;
    }
}
