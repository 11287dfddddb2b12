//! A topic is deleted: what every coordinator has committed for it goes, whatever stands in the way.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use callboard_protocol::{ErrorCode, Uuid};
use tokio::sync::mpsc;

use super::house::*;
use crate::request::TopicRef;
use crate::{Call, DeletedTopic, Forgotten, TopicLookup, TopicsImage};

/// Topics of these names, of one letter and one partition.
struct Named(&'static [&'static str]);

impl TopicLookup for Named {
    fn partitions(&self, name: &str) -> Option<i32> {
        self.0.contains(&name).then_some(1)
    }

    fn id_of(&self, name: &str) -> Option<Uuid> {
        self.partitions(name).map(|_| id_of(name))
    }
}

fn id_of(name: &str) -> Uuid {
    Uuid([name.as_bytes()[0]; 16])
}

/// A group in each partition, with an offset for `t`.
async fn groups_everywhere(house: &House) -> Vec<String> {
    let mut names = Vec::new();
    for partition in 0..PARTITIONS {
        names.extend(neighbours(&house.coordinators, partition, 1));
    }
    for name in &names {
        assert_eq!(
            code(&house.commit(name, 0, 5).await.unwrap()),
            ErrorCode::NONE
        );
    }
    names
}

async fn assert_forgotten(house: &House, names: &[String]) {
    for name in names {
        assert_eq!(
            committed(&house.fetch(&[name]).await.unwrap()),
            [],
            "{name}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_log_keeps_a_deletion_pending_until_there_is_room() {
    let house = House::new().await;
    let names = groups_everywhere(&house).await;
    house.log.set_full(true);
    let mut forgotten = house.delete_topic();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(forgotten.try_recv().is_err(), "nothing of it is durable");
    let refused = house.commit(&names[0], 0, 6).await.unwrap();
    assert_eq!(code(&refused), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);

    house.log.set_full(false);
    assert_eq!(forgotten.await, Ok(OneTopic::ID));
    assert_forgotten(&house, &names).await;
    house.create_topic();
    let of_the_next = house.commit(&names[0], 0, 1).await.unwrap();
    assert_eq!(code(&of_the_next), ErrorCode::NONE);
    assert_eq!(
        committed(&house.fetch(&[&names[0]]).await.unwrap()),
        [(0, 1)]
    );
    house.stage.finish().await;
}

/// More than one append holds, in groups of which each fails once.
#[tokio::test(start_paused = true)]
async fn appends_that_fail_here_and_there_are_made_up_for() {
    use callboard_offsets::memory::Fault;
    let house = House::new().await;
    let names = neighbours(&house.coordinators, 2, 100);
    for name in &names {
        house.commit(name, 7, 5).await.unwrap();
    }
    for _ in 0..5 {
        house.log.inject_on(2, Fault::Unavailable);
        house.log.inject_on(2, Fault::Unknown { applied: true });
    }
    assert_eq!(house.delete_topic().await, Ok(OneTopic::ID));
    assert_forgotten(&house, &names).await;
    house.stage.finish().await;
}

/// A group's first commit for `t` stands behind what the deletion of another topic has the writer hold back. It was taken
/// while `t` was there, so it goes with it.
#[tokio::test(start_paused = true)]
async fn a_commit_that_an_earlier_deletion_holds_back_goes_too() {
    let house = House::new().await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let change = |there: &'static [&'static str], deleted: &[&'static str]| {
        let deleted = deleted.iter().map(|name| DeletedTopic {
            id: id_of(name),
            name: (*name).into(),
        });
        let image = TopicsImage {
            topics: Arc::new(Named(there)),
            deleted: deleted.collect(),
        };
        let tell = tell.clone();
        let forgotten = Arc::new(move |id| tell.send(id).unwrap());
        house.coordinators.topics_changed(image, forgotten);
    };
    let commit_to = |topic: &str, offset| {
        let mut request = commit("g", 0, offset);
        request.topics[0].topic = TopicRef::Name(topic.into());
        house.ask(Call::OffsetCommit, request)
    };
    change(&["t", "u", "v"], &[]);
    commit_to("u", 1).await.unwrap();
    house.log.hold();
    // The first deletion finds the group behind the one and sends its tombstones behind the other.
    let before = commit_to("u", 2);
    rest().await;
    change(&["t", "v"], &["u"]);
    let between = commit_to("v", 3);
    rest().await;
    house.log.release_some(1);
    rest().await;
    let held_back = commit_to("t", 4);
    rest().await;
    assert_eq!(house.log.unsynced(), 1, "it stands behind the tombstones");
    change(&["v"], &["t", "u"]);
    rest().await;
    house.log.release();
    for commit in [before, between, held_back] {
        assert_eq!(code(&commit.await.unwrap()), ErrorCode::NONE);
    }
    rest().await;
    let mut forgotten = [(); 2].map(|()| told.try_recv().unwrap());
    forgotten.sort_by_key(|id| id.0);
    assert_eq!(forgotten, [id_of("t"), id_of("u")]);
    change(&["t", "u", "v"], &[]);
    assert_eq!(committed(&house.fetch(&["g"]).await.unwrap()), [(0, 3)]);
    house.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_dies_meanwhile_forgets_when_it_is_back() {
    let house = House::new().await;
    let names = groups_everywhere(&house).await;
    house.log.hold();
    let mut forgotten = house.delete_topic();
    rest().await;
    assert!(house.coordinators.kill(1));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(forgotten.try_recv().is_err());
    house.log.release();
    assert_eq!(forgotten.await, Ok(OneTopic::ID));
    assert_forgotten(&house, &names).await;
    house.stage.finish().await;
}

/// The power goes when the deletion is durable and no tombstone is. Who keeps the topics tells it again at the start.
#[tokio::test(start_paused = true)]
async fn after_a_crash_a_deletion_is_played_again_before_anybody_is_served() {
    let mut house = House::new().await;
    let names = groups_everywhere(&house).await;
    house.log.hold();
    let mut lost = house.delete_topic();
    rest().await;
    assert!(house.log.unsynced() > 0, "tombstones are on their way");
    house.root.actor().kill();
    rest().await;
    assert!(lost.try_recv().is_err());
    house.log.crash();

    house.coordinators = make(&house.log);
    let forgotten = house.delete_topic();
    house.log.set_full(true);
    house.root = run(&house.stage, &house.coordinators).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!house.coordinators.ready());
    let answer = house.fetch(&[&names[0]]).await.unwrap();
    let loading = ErrorCode::COORDINATOR_LOAD_IN_PROGRESS;
    assert_eq!(answer.groups[0].error, loading, "it would tell old offsets");

    house.log.set_full(false);
    assert_eq!(forgotten.await, Ok(OneTopic::ID));
    rest().await;
    assert!(house.coordinators.ready());
    assert_forgotten(&house, &names).await;
    house.stage.finish().await;
}

/// Who keeps the topics dies as well, and asks again: it is told at once.
#[tokio::test(start_paused = true)]
async fn whoever_asks_again_is_told_again() {
    let house = House::new().await;
    let names = groups_everywhere(&house).await;
    assert_eq!(house.delete_topic().await, Ok(OneTopic::ID));
    let again = tokio::time::timeout(Duration::from_millis(1), house.delete_topic());
    assert_eq!(again.await.unwrap(), Ok(OneTopic::ID));
    assert_forgotten(&house, &names).await;
    house.stage.finish().await;
}

/// Whoever keeps the topics makes a change of each that is forgotten, and is told of none of them again.
#[tokio::test(start_paused = true)]
async fn many_topics_that_are_forgotten_together_are_told_once_each() {
    let house = House::new().await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let forgotten: Forgotten = Arc::new(move |id: Uuid| tell.send(id.0).unwrap());
    let mut left: BTreeSet<[u8; 16]> = (1..=300).map(u128::to_be_bytes).collect();
    let change = |left: &BTreeSet<[u8; 16]>| {
        let deleted = left.iter().map(|id| DeletedTopic {
            id: Uuid(*id),
            name: format!("t{}", u128::from_be_bytes(*id)).into(),
        });
        let image = TopicsImage {
            topics: Arc::new(Named(&[])),
            deleted: deleted.collect(),
        };
        let forgotten = Arc::clone(&forgotten);
        house.coordinators.topics_changed(image, forgotten);
    };
    change(&left);
    rest().await;
    while let Ok(id) = told.try_recv() {
        assert!(left.remove(&id), "it was told before");
        change(&left);
    }
    assert!(left.is_empty());
    house.stage.finish().await;
}
