//! The leader's duty and the assignors' part in it, against a scripted broker whose group has members that never speak.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use callboard_assignor::{AssignError, Assignment, Assignor, Group, Need, Plan, RebalanceProtocol};
use callboard_consumer::{Event, HandlerError, Record, ShutdownOptions};
use callboard_protocol::consumer_protocol;
use callboard_protocol::{ApiKey, ErrorCode};

use common::{Seen, TOPIC, World, event, tp};

/// A subscription to `orders` as the oldest clients write it: version 0, no user data, nothing owned.
const OLD_SUBSCRIPTION: &[u8] = b"\0\0\0\0\0\x01\0\x06orders\xff\xff\xff\xff";

/// What the leader gave to a member.
fn given(world: &World, member: &str) -> Vec<(String, Vec<i32>)> {
    let bytes = world.broker.assignment(member).expect("assigned");
    let assignment = consumer_protocol::Assignment::decode(&bytes).unwrap();
    assignment.partitions
}

#[tokio::test(start_paused = true)]
async fn a_leader_assigns_to_members_of_other_clients() {
    let world = World::new(4, 0).await;
    world
        .broker
        .add_peer("another", Bytes::from_static(OLD_SUBSCRIPTION));
    let consumer = world.noting(&Seen::default()).await;
    let mut events = consumer.events();
    let assigned = event(&mut events, |event| matches!(event, Event::Assigned { .. }));
    let Event::Assigned { owned, leader, .. } = assigned.await else {
        unreachable!()
    };
    assert!(leader);
    // "another" comes before "member-1".
    assert_eq!(owned, [tp(2), tp(3)]);
    assert_eq!(given(&world, "another"), [(TOPIC.to_owned(), vec![0, 1])]);
    assert!(consumer.shutdown(ShutdownOptions::default()).await.drained);
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_member_whose_subscription_cannot_be_read_gets_nothing_and_the_others_go_on() {
    let world = World::new(2, 0).await;
    let cut = OLD_SUBSCRIPTION.len() - 5;
    world
        .broker
        .add_peer("broken", Bytes::from_static(&OLD_SUBSCRIPTION[..cut]));
    let consumer = world.noting(&Seen::default()).await;
    let mut events = consumer.events();
    let assigned = event(&mut events, |event| matches!(event, Event::Assigned { .. }));
    let Event::Assigned { owned, .. } = assigned.await else {
        unreachable!()
    };
    assert_eq!(owned, [tp(0), tp(1)]);
    assert_eq!(given(&world, "broken"), []);
    assert!(consumer.shutdown(ShutdownOptions::default()).await.drained);
    world.stage.finish().await;
}

/// Gives everything to the last member, and fails as it is told.
struct Moody {
    runs: AtomicUsize,
    /// What it does in its first runs.
    moods: Vec<Mood>,
    told: Arc<Mutex<Vec<Assignment>>>,
}

#[derive(Clone, Copy)]
enum Mood {
    Panics,
    Refuses,
    LeavesOneOut,
}

impl Moody {
    fn new(moods: impl IntoIterator<Item = Mood>) -> Self {
        Self {
            runs: AtomicUsize::new(0),
            moods: moods.into_iter().collect(),
            told: Arc::default(),
        }
    }
}

impl Assignor for Moody {
    fn name(&self) -> &str {
        "moody"
    }

    fn user_data(&self, topics: &BTreeSet<String>, last: Option<&Assignment>) -> Option<Vec<u8>> {
        let generation = last.map_or(-1, |last| last.generation);
        Some(format!("{} topics, generation {generation}", topics.len()).into_bytes())
    }

    fn assign(&self, group: &Group) -> Result<Plan, AssignError> {
        let mut plan = Plan::new(group);
        let Some(last) = group.member_indices().last() else {
            return Ok(plan);
        };
        for topic in group.topic_indices() {
            plan.give_all(last, group.partitions(topic));
        }
        plan.set_user_data(
            last,
            group.member(last).user_data().unwrap_or_default().to_vec(),
        );
        match self.moods.get(self.runs.fetch_add(1, Ordering::Relaxed)) {
            Some(Mood::Panics) => panic!("what a day"),
            Some(Mood::Refuses) => return Err(AssignError::new("not today")),
            Some(Mood::LeavesOneOut) => {
                let one = plan.of(last)[0];
                plan.take(last, one);
            }
            None => {}
        }
        Ok(plan)
    }

    fn on_assignment(&self, assignment: &Assignment) {
        self.told.lock().unwrap().push(assignment.clone());
    }
}

#[tokio::test(start_paused = true)]
async fn an_assignor_that_fails_fails_its_generation_and_the_group_tries_again() {
    let world = World::with(
        2,
        1,
        &[
            ("partition.assignment.strategy", "moody"),
            ("auto.commit.interval.ms", "100"),
        ],
    )
    .await;
    let moody = Moody::new([Mood::Panics, Mood::Refuses, Mood::LeavesOneOut]);
    let consumer = world
        .consumer()
        .register(moody)
        .handle(|_record: Record, _context| async { Ok::<_, HandlerError>(()) })
        .start()
        .await
        .unwrap();
    let mut events = consumer.events();
    for why in [
        "assignor moody panicked: what a day",
        "assignor moody has no plan: not today",
        "assignor moody made an invalid plan: orders/0 is given to nobody",
    ] {
        let failed = event(&mut events, |event| {
            matches!(event, Event::AssignorFailed { .. })
        });
        let Event::AssignorFailed {
            assignor,
            member_id,
            call,
            error,
        } = failed.await
        else {
            unreachable!()
        };
        assert_eq!((&*assignor, call, &*error), ("moody", "assign", why));
        assert!(member_id.starts_with("member-"), "{member_id}");
    }
    world
        .broker
        .until(|broker| broker.committed(TOPIC, 1) == Some(1))
        .await;
    // Each time it left, so that nobody hung in SyncGroup for it.
    assert_eq!(world.broker.count(ApiKey::LEAVE_GROUP), 3);
    assert_eq!(consumer.member_id(), "member-4");
    assert!(consumer.shutdown(ShutdownOptions::default()).await.drained);
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn user_data_travels_to_the_leader_and_back() {
    let world = World::new(2, 0).await;
    let moody = Moody::new([]);
    let told = Arc::clone(&moody.told);
    let consumer = world
        .consumer()
        .assignors([Arc::new(moody) as Arc<dyn Assignor>])
        .handle(|_record: Record, _context| async { Ok::<_, HandlerError>(()) })
        .start()
        .await
        .unwrap();
    let mut events = consumer.events();
    for _generation in 1..=2 {
        event(&mut events, |event| matches!(event, Event::Assigned { .. })).await;
        world
            .broker
            .fail(ApiKey::HEARTBEAT, ErrorCode::REBALANCE_IN_PROGRESS, 1);
    }
    let expected = |generation: i32, user_data: &str| Assignment {
        partitions: BTreeMap::from([(TOPIC.to_owned(), vec![0, 1])]),
        generation,
        user_data: Some(user_data.as_bytes().to_vec()),
    };
    assert_eq!(
        told.lock().unwrap()[..2],
        [
            expected(1, "1 topics, generation -1"),
            expected(2, "1 topics, generation 1")
        ]
    );
    assert!(consumer.shutdown(ShutdownOptions::default()).await.drained);
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_strategy_that_nobody_knows_is_refused_at_the_start() {
    let world = World::with(1, 0, &[("partition.assignment.strategy", "range, uniform")]).await;
    let started = world
        .consumer()
        .handle(|_record: Record, _context| async { Ok::<_, HandlerError>(()) })
        .start()
        .await;
    assert_eq!(
        started.unwrap_err().to_string(),
        "partition.assignment.strategy=uniform: no such assignor, known are range, roundrobin, sticky, \
         cooperative-sticky"
    );
    world.stage.finish().await;
}

/// Partition n belongs to member n modulo the members. When it may have it is not this one's business.
#[derive(Default)]
struct InTurn {
    /// Generation and number of partitions owned, as the last member told each time.
    told: Arc<Mutex<Vec<(i32, usize)>>>,
}

impl Assignor for InTurn {
    fn name(&self) -> &str {
        "in-turn"
    }

    fn protocols(&self) -> &[RebalanceProtocol] {
        &[RebalanceProtocol::Cooperative, RebalanceProtocol::Eager]
    }

    fn assign(&self, group: &Group) -> Result<Plan, AssignError> {
        let members: Vec<_> = group.member_indices().collect();
        let last = group.member(members[members.len() - 1]);
        self.told
            .lock()
            .unwrap()
            .push((last.generation(), last.owned().len()));
        let mut plan = Plan::new(group);
        for topic in group.topic_indices() {
            for (partition, turn) in group.partitions(topic).zip((0..members.len()).cycle()) {
                plan.give(members[turn], partition);
            }
        }
        Ok(plan)
    }
}

#[tokio::test(start_paused = true)]
async fn a_cooperative_member_gives_up_only_what_moves_and_joins_again_for_it() {
    let world = World::new(2, 1).await;
    let assignor = InTurn::default();
    let told = Arc::clone(&assignor.told);
    let consumer = world
        .consumer()
        .assignors([Arc::new(assignor) as Arc<dyn Assignor>])
        .handle(|_record: Record, _context| async { Ok::<_, HandlerError>(()) })
        .start()
        .await
        .unwrap();
    let mut events = consumer.events();
    let assigned = |event: &Event| matches!(event, Event::Assigned { .. });
    event(&mut events, assigned).await;

    world
        .broker
        .add_peer("another", Bytes::from_static(OLD_SUBSCRIPTION));
    world
        .broker
        .fail(ApiKey::HEARTBEAT, ErrorCode::REBALANCE_IN_PROGRESS, 1);
    let mut story = Vec::new();
    while story.len() < 3 {
        let next = event(&mut events, |event| {
            matches!(event, Event::Assigned { .. } | Event::Revoked { .. })
        });
        story.push(match next.await {
            Event::Assigned {
                generation, owned, ..
            } => (generation, owned),
            Event::Revoked { partitions, .. } => (-1, partitions),
            other => panic!("{other:?}"),
        });
    }
    // "another" comes first in the order of members, so partition 0 is to be its own.
    assert_eq!(
        story,
        [(-1, vec![tp(0)]), (2, vec![tp(1)]), (3, vec![tp(1)])]
    );
    assert_eq!(given(&world, "another"), [(TOPIC.to_owned(), vec![0])]);
    assert_eq!(*told.lock().unwrap(), [(-1, 0), (1, 2), (2, 1)]);
    assert!(consumer.shutdown(ShutdownOptions::default()).await.drained);
    world.stage.finish().await;
}

/// Eager as most assignors are.
struct Eager;

impl Assignor for Eager {
    fn name(&self) -> &str {
        "eager"
    }

    fn assign(&self, _group: &Group) -> Result<Plan, AssignError> {
        Err(AssignError::new("nobody chose it"))
    }
}

/// What a cooperative member sends that owns these partitions.
fn subscription(owned: &[i32], generation_id: i32) -> Bytes {
    let subscription = consumer_protocol::Subscription {
        topics: vec![TOPIC.to_owned()],
        user_data: None,
        owned_partitions: vec![(TOPIC.to_owned(), owned.to_vec())],
        generation_id,
        rack_id: None,
    };
    subscription.encode()
}

/// In the second bounce of a change from eager to cooperative. It gave the peer's partitions away while the peer went on
/// with them.
#[tokio::test(start_paused = true)]
async fn an_eager_leader_withholds_what_cooperative_members_own() {
    let world = World::new(4, 0).await;
    world.broker.add_peer("another", subscription(&[0, 1], 5));
    let assignors = [
        Arc::new(InTurn::default()) as Arc<dyn Assignor>,
        Arc::new(Eager),
    ];
    let consumer = world
        .consumer()
        .assignors(assignors)
        .handle(|_record: Record, _context| async { Ok::<_, HandlerError>(()) })
        .start()
        .await
        .unwrap();
    let mut events = consumer.events();
    let assigned = event(&mut events, |event| matches!(event, Event::Assigned { .. }));
    let Event::Assigned { owned, .. } = assigned.await else {
        unreachable!()
    };
    // Of its own in turn, 1 and 3, it does not get what the other holds; that keeps one and gives up the other.
    assert_eq!(owned, [tp(3)]);
    assert_eq!(given(&world, "another"), [(TOPIC.to_owned(), vec![0, 2])]);
    assert!(consumer.shutdown(ShutdownOptions::default()).await.drained);
    world.stage.finish().await;
}

/// Reads what members own and gives them that back; needs it as Java's `sticky` does, being eager.
#[derive(Default)]
struct Keeps(Arc<Mutex<Vec<(i32, usize)>>>);

impl Assignor for Keeps {
    fn name(&self) -> &str {
        "keeps"
    }

    fn needs(&self) -> &[Need] {
        &[Need::Owned]
    }

    fn assign(&self, group: &Group) -> Result<Plan, AssignError> {
        let mut plan = Plan::new(group);
        let last = group.member_indices().last();
        if let Some(last) = last {
            let member = group.member(last);
            let told = (member.generation(), member.owned().len());
            self.0.lock().unwrap().push(told);
            for topic in group.topic_indices() {
                plan.give_all(last, group.partitions(topic));
            }
        }
        Ok(plan)
    }
}

/// It owned nothing whatever it said: an eager member gives everything up before it joins.
#[tokio::test(start_paused = true)]
async fn what_an_eager_member_owned_travels_in_user_data() {
    let world = World::new(2, 0).await;
    let keeps = Keeps::default();
    let told = Arc::clone(&keeps.0);
    let consumer = world
        .consumer()
        .assignors([Arc::new(keeps) as Arc<dyn Assignor>])
        .handle(|_record: Record, _context| async { Ok::<_, HandlerError>(()) })
        .start()
        .await
        .unwrap();
    let mut events = consumer.events();
    let assigned = |event: &Event| matches!(event, Event::Assigned { .. });
    event(&mut events, assigned).await;
    consumer.enforce_rebalance("again");
    event(&mut events, assigned).await;
    assert_eq!(*told.lock().unwrap(), [(-1, 0), (1, 2)]);
    assert!(consumer.shutdown(ShutdownOptions::default()).await.drained);
    world.stage.finish().await;
}

/// Notes the lag of each partition, and gives everything to the last member.
#[derive(Default)]
struct Lagging(Arc<Mutex<Vec<Vec<Option<u64>>>>>);

impl Assignor for Lagging {
    fn name(&self) -> &str {
        "lagging"
    }

    fn needs(&self) -> &[Need] {
        &[Need::Lag]
    }

    fn assign(&self, group: &Group) -> Result<Plan, AssignError> {
        let mut plan = Plan::new(group);
        let mut lags = Vec::new();
        if let Some(last) = group.member_indices().last() {
            for topic in group.topic_indices() {
                plan.give_all(last, group.partitions(topic));
                lags.extend(group.partitions(topic).map(|one| group.lag(one)));
            }
        }
        self.0.lock().unwrap().push(lags);
        Ok(plan)
    }
}

/// What is not known, because nothing is committed or nobody answers in time, holds up no plan.
#[tokio::test(start_paused = true)]
async fn an_assignor_that_needs_the_lag_is_given_what_can_be_had_of_it() {
    let world = World::new(2, 3).await;
    let lagging = Lagging::default();
    let told = Arc::clone(&lagging.0);
    let consumer = world
        .consumer()
        .assignors([Arc::new(lagging) as Arc<dyn Assignor>])
        .drain_timeout(Duration::from_secs(1))
        .handle(|record: Record, _context| async move {
            if record.partition() == 1 || record.offset >= 3 {
                std::future::pending::<()>().await;
            }
            Ok::<_, HandlerError>(())
        })
        .start()
        .await
        .unwrap();
    let mut events = consumer.events();
    let assigned = |event: &Event| matches!(event, Event::Assigned { .. });
    event(&mut events, assigned).await;
    // Of partition 1 the position that the reset chose.
    let committed = |partition| world.broker.committed(TOPIC, partition);
    let all = |_: &_| (committed(0), committed(1)) == (Some(3), Some(0));
    world.broker.until(all).await;
    world.broker.append(TOPIC, 0, ["a", "b"]);
    consumer.enforce_rebalance("lag");
    event(&mut events, assigned).await;

    world.broker.hold(ApiKey::LIST_OFFSETS);
    consumer.enforce_rebalance("no end offsets");
    event(&mut events, assigned).await;
    world.broker.release(ApiKey::LIST_OFFSETS);
    let told = told.lock().unwrap().clone();
    assert_eq!(told[..2], [[None, None], [Some(2), Some(3)]]);
    assert_eq!(told[2], [None, None]);
    drop(consumer);
    world.stage.finish().await;
}
