//! Requests from the outside: who is answered when, and what several coordinators answer together.

use std::sync::Arc;
use std::time::Duration;

use callboard_offsets::log::OffsetsLog;
use callboard_offsets::memory::MemoryLog;
use callboard_protocol::ErrorCode;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::house::*;
use crate::request::{self, TopicRef};
use crate::{Call, Reply, response};

/// Difference: `durable-commits`.
#[tokio::test(start_paused = true)]
async fn a_commit_is_durable_before_its_answer() {
    let house = House::new().await;
    house.log.hold();
    let mut commit = house.commit("g", 0, 5);
    let mut fetch = house.fetch(&["g"]);
    rest().await;
    assert!(commit.try_recv().is_err());
    assert!(
        fetch.try_recv().is_err(),
        "a fetch waits for the commit before it"
    );
    house.log.release();
    assert_eq!(code(&commit.await.unwrap()), ErrorCode::NONE);
    assert_eq!(committed(&fetch.await.unwrap()), [(0, 5)]);
    house.stage.finish().await;
}

/// Apache Kafka 4.2.0 wrote no topic id for OffsetCommit up to version 9 (seen through ConsoleConsumer's offsets formatter).
#[tokio::test(start_paused = true)]
async fn a_record_carries_a_topic_id_only_when_the_request_did() {
    let house = House::new().await;
    // In this order both may be in one partition.
    for (group, by_id) in [("named", false), ("identified", true)] {
        let mut request = commit(group, 0, 5);
        if by_id {
            request.topics[0].topic = TopicRef::Id(OneTopic::ID);
        }
        let answer = house.ask(Call::OffsetCommit, request).await.unwrap();
        assert_eq!(code(&answer), ErrorCode::NONE);
        let partition = house.coordinators.partition_of(group);
        let fetched = house.log.read(partition, 0, 1 << 20).unwrap();
        let carries = |batch: &bytes::Bytes| batch.windows(16).any(|w| w == OneTopic::ID.0);
        let carried = fetched.batches.iter().any(carries);
        assert_eq!(carried, by_id, "{group}");
    }
    house.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_durable_before_anybody_hears_of_it() {
    let house = House::new().await;
    let member = house.join("g", "").await.unwrap();
    assert_eq!((member.error, member.generation_id), (ErrorCode::NONE, 1));
    house.log.hold();
    let mut sync = house.sync("g", &member);
    rest().await;
    assert!(sync.try_recv().is_err());
    house.log.release();
    assert_eq!(sync.await.unwrap().error, ErrorCode::NONE);
    let heartbeat = house.heartbeat("g", &member).await.unwrap();
    assert_eq!(heartbeat.error, ErrorCode::NONE);
    house.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn one_read_of_a_connection_is_handled_in_its_order() {
    let house = House::new().await;
    // The first commit makes the group, and others wait for that.
    house.commit("g", 0, 0).await.unwrap();
    house.log.hold();
    let (answers, wait): (Vec<_>, Vec<_>) = (0..3).map(|_| oneshot::channel()).unzip();
    let commits = answers.into_iter().zip(1..).map(|(answer, offset)| {
        let reply = Reply::new(move |given| drop(answer.send(given)));
        Call::OffsetCommit(commit("g", 0, offset), reply)
    });
    house.coordinators.submit(commits.collect());
    rest().await;
    assert_eq!(
        house.log.unsynced(),
        1,
        "all three are on their way, as one"
    );
    house.log.release();
    for answer in wait {
        assert_eq!(code(&answer.await.unwrap()), ErrorCode::NONE);
    }
    assert_eq!(committed(&house.fetch(&["g"]).await.unwrap()), [(0, 3)]);
    house.stage.finish().await;
}

/// What came together is one batch on disk only as far as nobody can tell: a read stands where it was sent, one group does
/// not wait for another, and what is too large is so alone.
#[tokio::test(start_paused = true)]
async fn commits_that_come_together_are_answered_each_by_itself() {
    let log = MemoryLog::new(PARTITIONS).batch_bytes_max(2_048);
    let house = House::over(Arc::new(log)).await;
    rest().await;
    for group in ["g", "h"] {
        house.commit(group, 0, 0).await.unwrap();
    }
    house.log.hold();
    let note = |bytes| {
        let mut noted = commit("g", 0, 2);
        noted.topics[0].partitions[0].metadata = Some("n".repeat(bytes));
        noted
    };
    let commits = [
        commit("g", 0, 1),
        note(3_000),
        commit("g", 1, 3),
        commit("h", 0, 4),
    ];
    let (answers, wait): (Vec<_>, Vec<_>) = (0..4).map(|_| oneshot::channel()).unzip();
    let calls = commits.into_iter().zip(answers).map(|(commit, answer)| {
        let reply = Reply::new(move |given| drop(answer.send(given)));
        Call::OffsetCommit(commit, reply)
    });
    let mut calls: Vec<_> = calls.collect();
    let (answer, fetched) = oneshot::channel();
    let reply = Reply::new(move |given| drop(answer.send(given)));
    calls.insert(1, Call::OffsetFetch(all_of(&["g"]), reply));
    house.coordinators.submit(calls);
    rest().await;
    house.log.release();
    let mut codes = Vec::new();
    for answer in wait {
        codes.push(code(&answer.await.unwrap()));
    }
    let fine = ErrorCode::NONE;
    assert_eq!(codes, [fine, ErrorCode::UNKNOWN_SERVER_ERROR, fine, fine]);
    assert_eq!(committed(&fetched.await.unwrap()), [(0, 1)]);
    let after = house.fetch(&["g"]).await.unwrap();
    assert_eq!(committed(&after), [(0, 1), (1, 3)]);
    house.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_member_is_gone_after_its_session_timeout() {
    let house = House::new().await;
    let member = house.stable("g").await;
    let begun = Instant::now();
    tokio::time::sleep(Duration::from_millis(9_900)).await;
    assert_eq!(
        house.heartbeat("g", &member).await.unwrap().error,
        ErrorCode::NONE
    );
    tokio::time::sleep(Duration::from_millis(10_100)).await;
    let late = house.heartbeat("g", &member).await.unwrap();
    assert_eq!(late.error, ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(begun.elapsed(), Duration::from_secs(20));
    house.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn several_groups_are_one_answer_in_the_order_of_the_request() {
    let house = House::new().await;
    let names = ["g0", "g1", "g2", "g3", "g4", "g5", "g6", "g7"];
    for (name, offset) in names.iter().zip(0..) {
        assert_eq!(
            code(&house.commit(name, 1, offset).await.unwrap()),
            ErrorCode::NONE
        );
    }
    house.stable("a-stable-one").await;
    let fetched = house.fetch(&names).await.unwrap();
    let told: Vec<_> = fetched
        .groups
        .iter()
        .map(|group| &*group.group_id)
        .collect();
    assert_eq!(told, names);
    assert_eq!(
        fetched.groups[3].topics[0].partitions[0].committed_offset,
        3
    );

    let listed = house.list().await.unwrap();
    let told: Vec<_> = listed.groups.iter().map(|group| &*group.group_id).collect();
    assert_eq!(told[0], "a-stable-one");
    assert_eq!(&told[1..], names);

    let describe = request::DescribeGroups {
        group_ids: vec!["g5".into(), "a-stable-one".into(), "nobody".into()],
    };
    let described = house.ask(Call::DescribeGroups, describe).await.unwrap();
    let states: Vec<_> = described.groups.iter().map(|group| group.state).collect();
    assert_eq!(states, ["Empty", "Stable", "Dead"]);

    let delete = request::DeleteGroups {
        group_ids: vec![
            "g7".into(),
            "a-stable-one".into(),
            "g7".into(),
            "nobody".into(),
        ],
    };
    let deleted = house.ask(Call::DeleteGroups, delete).await.unwrap();
    let results: Vec<_> = deleted
        .results
        .iter()
        .map(|result| (&*result.group_id, result.error))
        .collect();
    assert_eq!(
        results,
        [
            ("g7", ErrorCode::NONE),
            ("a-stable-one", ErrorCode::NON_EMPTY_GROUP),
            ("nobody", ErrorCode::GROUP_ID_NOT_FOUND)
        ]
    );
    assert_eq!(committed(&house.fetch(&["g7"]).await.unwrap()), []);
    let nothing: response::OffsetFetch = house.fetch(&[]).await.unwrap();
    assert!(nothing.groups.is_empty());
    house.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_committed_for_a_topic_goes_with_it() {
    let house = House::new().await;
    let member = house.stable("g").await;
    let mut of_member = commit("g", 2, 9);
    of_member.generation_id = member.generation_id;
    of_member.member_id = member.member_id.to_string();
    let answer = house.ask(Call::OffsetCommit, of_member).await.unwrap();
    assert_eq!(code(&answer), ErrorCode::NONE);
    for partition in 0..8 {
        house.commit("simple", partition, 1).await.unwrap();
    }
    let forgotten = house.delete_topic();
    assert_eq!(forgotten.await, Ok(OneTopic::ID));
    assert_eq!(committed(&house.fetch(&["g"]).await.unwrap()), []);
    assert_eq!(committed(&house.fetch(&["simple"]).await.unwrap()), []);
    let heartbeat = house.heartbeat("g", &member).await.unwrap();
    assert_eq!(heartbeat.error, ErrorCode::NONE, "the group goes on");
    house.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_write_that_takes_too_long_is_answered_and_may_still_land() {
    let house = House::new().await;
    house.log.hold();
    let begun = Instant::now();
    let answer = house.commit("g", 0, 5).await.unwrap();
    assert_eq!(code(&answer), ErrorCode::COORDINATOR_NOT_AVAILABLE);
    assert_eq!(begun.elapsed().as_secs(), 5);
    house.log.release();
    assert_eq!(committed(&house.fetch(&["g"]).await.unwrap()), [(0, 5)]);
    house.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn offsets_nobody_needs_expire() {
    let house = House::new().await;
    let mut brief = commit("g", 0, 5);
    // In the past by the system's clock, which virtual time does not move.
    brief.retention_time_ms = Some(0);
    house.ask(Call::OffsetCommit, brief).await.unwrap();
    house.commit("g", 1, 6).await.unwrap();
    assert_eq!(
        committed(&house.fetch(&["g"]).await.unwrap()),
        [(0, 5), (1, 6)]
    );
    tokio::time::sleep(Duration::from_secs(10 * 60 + 1)).await;
    assert_eq!(committed(&house.fetch(&["g"]).await.unwrap()), [(1, 6)]);
    house.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn stopping_answers_who_waits_and_sees_what_is_in_flight_land() {
    let house = House::new().await;
    house.stable("g").await;
    // A second member's join waits for the first to come back.
    let waiting = house.join("g", "");
    rest().await;
    house.log.hold();
    let commit = house.commit("other", 0, 5);
    let list = house.list();
    rest().await;
    let log = std::sync::Arc::clone(&house.log);
    let flush = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        log.release();
    };
    tokio::join!(house.stop(), flush);
    assert_eq!(waiting.await.unwrap().error, ErrorCode::NOT_COORDINATOR);
    assert_eq!(
        list.await.unwrap().error,
        ErrorCode::COORDINATOR_NOT_AVAILABLE,
        "no groups would be a wrong answer"
    );
    assert_eq!(code(&commit.await.unwrap()), ErrorCode::NONE);
    let late = house.join("g", "").await.unwrap();
    assert_eq!(late.error, ErrorCode::COORDINATOR_NOT_AVAILABLE);
    house.stage.finish().await;
}

/// A client may name partitions without end; the writer is there for others meanwhile. What it hands out is of one moment.
#[tokio::test(start_paused = true)]
async fn many_partitions_are_looked_up_elsewhere_and_answered_like_few() {
    const PARTITIONS: i32 = 5_000;
    let house = House::new().await;
    for partition in 0..8 {
        house.commit("g", partition, 7).await.unwrap();
    }
    let named = |topic: &str| request::FetchTopic {
        topic: TopicRef::Name(topic.into()),
        partitions: (0..PARTITIONS).collect(),
    };
    let fetch = request::OffsetFetch {
        groups: vec![request::FetchGroup {
            topics: Some(vec![named("t"), named("other")]),
            ..request::FetchGroup::all_of("g")
        }],
        ..request::OffsetFetch::default()
    };
    house.log.hold();
    let landing = house.commit("g", 1, 8);
    let fetched = house.ask(Call::OffsetFetch, fetch);
    rest().await;
    house.log.release();
    let fetched = fetched.await.unwrap();
    assert_eq!(code(&landing.await.unwrap()), ErrorCode::NONE);
    let told = committed(&fetched);
    assert_eq!(told.len(), 2 * PARTITIONS as usize, "each naming");
    for (place, (partition, offset)) in told.into_iter().enumerate() {
        let expected = match place {
            1 => 8,
            0..8 => 7,
            _ => -1,
        };
        assert_eq!((partition, offset), (place as i32 % PARTITIONS, expected));
    }
    house.stage.finish().await;
}

/// One batch in Kafka: all of it is refused, and said so at every naming.
#[tokio::test(start_paused = true)]
async fn a_commit_of_more_than_a_batch_holds_is_refused_at_every_naming() {
    const TIMES: usize = 1_000;
    let log = MemoryLog::new(PARTITIONS).batch_bytes_max(2_048);
    let house = House::over(Arc::new(log)).await;
    rest().await;
    let mut large = commit("g", 0, 5);
    let again = large.topics[0].partitions[0].clone();
    large.topics[0].partitions = vec![again; TIMES];
    let answer = house.ask(Call::OffsetCommit, large).await.unwrap();
    let refused = (0, ErrorCode::UNKNOWN_SERVER_ERROR);
    assert_eq!(answer.topics[0].partitions, vec![refused; TIMES]);
    assert_eq!(committed(&house.fetch(&["g"]).await.unwrap()), []);
    house.stage.finish().await;
}
