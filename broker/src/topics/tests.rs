//! The registry as handlers use it, with real logs under it.

use std::time::Duration;

use callboard_supervision::testing::Stage;
use callboard_supervision::{Supervisor, SupervisorMsg};

use super::*;
use crate::log::{AppendReply, AtLeast};

const PATIENCE: Duration = Duration::from_secs(30);

struct House {
    stage: Stage,
    root: Addr<SupervisorMsg>,
    topics: Topics,
}

impl House {
    async fn open(dir: &Path) -> Self {
        let mut config = TopicsConfig::new(dir.to_owned());
        config.internal = vec![("__consumer_offsets".to_owned(), 50)];
        config.partitions_max = 100;
        let topics = Topics::new(config);
        let stage = Stage::new().await;
        let (root, _join) = Supervisor::spawn_linked("root", stage.cell())
            .await
            .unwrap();
        root.call(
            |reply| SupervisorMsg::Start(topics.child(), reply),
            PATIENCE,
        )
        .await
        .unwrap()
        .unwrap();
        topics.opened().await;
        Self {
            stage,
            root,
            topics,
        }
    }

    /// Ends as a broker does on SIGTERM.
    async fn close(self) {
        self.root
            .call(|reply| SupervisorMsg::Shutdown(PATIENCE, reply), PATIENCE)
            .await
            .unwrap();
        self.stage.finish().await;
    }

    async fn append(&self, topic: &str, partition: i32) -> i64 {
        let records = crate::log::test_batch(5);
        let (answer, answered) = oneshot::channel();
        let snapshot = self.topics.snapshot();
        let log = snapshot.by_name(topic).unwrap().log(partition).unwrap();
        log.append(
            records,
            AppendReply::new(|outcome| drop(answer.send(outcome))),
        );
        answered.await.unwrap().unwrap().base_offset
    }
}

fn wanted(name: &str, partitions: i32) -> NewTopic {
    NewTopic {
        name: name.to_owned(),
        partitions,
        replication_factor: 1,
        ..NewTopic::default()
    }
}

#[tokio::test]
async fn topics_live_from_create_to_delete_across_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::open(dir.path()).await;
    let made = house
        .topics
        .create_topic(wanted("orders", 3))
        .await
        .unwrap();
    assert_eq!(house.append("orders", 2).await, 0);
    assert_eq!(house.append("orders", 2).await, 5);
    let internal = house
        .topics
        .snapshot()
        .by_name("__consumer_offsets")
        .unwrap()
        .id;
    house.close().await;

    let house = House::open(dir.path()).await;
    let snapshot = house.topics.snapshot();
    let topic = snapshot.by_id(made.id).unwrap();
    assert_eq!(
        (topic.name.as_ref(), topic.partitions, topic.internal),
        ("orders", 3, false)
    );
    assert_eq!(topic.log(2).unwrap().offsets().unwrap().end, 10);
    assert!(topic.log(3).is_none() && topic.log(-1).is_none());
    assert_eq!(
        snapshot.by_name("__consumer_offsets").unwrap().id,
        internal,
        "ids are kept"
    );

    let gone = house.topics.delete_topic("orders").await.unwrap();
    assert_eq!((gone.id, gone.partitions), (made.id, 3));
    assert!(house.topics.snapshot().by_name("orders").is_none());
    // Who still holds the handle hears of it.
    assert_eq!(
        topic
            .log(2)
            .unwrap()
            .read(0, 1, AtLeast::OneBatch)
            .unwrap_err()
            .code()
            .0,
        3
    );
    let again = house
        .topics
        .create_topic(wanted("orders", 1))
        .await
        .unwrap();
    assert_ne!(again.id, made.id);
    assert_eq!(house.append("orders", 0).await, 0);
    house.close().await;

    let house = House::open(dir.path()).await;
    assert_eq!(
        house.topics.snapshot().by_name("orders").unwrap().id,
        again.id
    );
    assert!(house.topics.snapshot().by_id(made.id).is_none());
    house.close().await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_kafkas_code() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::open(dir.path()).await;
    let code = async |topic| house.topics.create_topic(topic).await.unwrap_err().code.0;
    house.topics.create_topic(wanted("a.b", 1)).await.unwrap();
    assert_eq!(code(wanted("a.b", 1)).await, 36);
    assert_eq!(code(wanted("a_b", 1)).await, 17);
    assert_eq!(code(wanted("__consumer_offsets", 1)).await, 36);
    assert_eq!(
        code(wanted("many", 100)).await,
        37,
        "100 in all, one is there"
    );
    assert_eq!(
        house
            .topics
            .validate(&wanted("many", 99))
            .unwrap()
            .partitions,
        99
    );
    assert_eq!(
        house.topics.validate(&wanted("a.b", 1)).unwrap_err().code.0,
        36
    );
    assert_eq!(
        house
            .topics
            .delete_topic("nothing")
            .await
            .unwrap_err()
            .code
            .0,
        3
    );
    assert_eq!(
        house
            .topics
            .delete_topic("__consumer_offsets")
            .await
            .unwrap_err()
            .code
            .0,
        42
    );
    assert_eq!(house.topics.snapshot().len(), 2);
    house.close().await;
}

#[tokio::test]
async fn of_two_creations_at_once_one_wins() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::open(dir.path()).await;
    let both = futures_util::future::join(
        house.topics.create_topic(wanted("a", 1)),
        house.topics.create_topic(wanted("a", 2)),
    );
    let (first, second) = both.await;
    assert!(first.is_ok());
    assert_eq!(second.unwrap_err().code.0, 36);
    house.close().await;
}

#[tokio::test]
async fn a_stopped_registry_still_answers() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::open(dir.path()).await;
    let topics = house.topics.clone();
    house.close().await;
    assert_eq!(
        topics
            .create_topic(wanted("a", 1))
            .await
            .unwrap_err()
            .code
            .0,
        -1
    );
}

#[tokio::test]
async fn a_directory_that_cannot_be_used_keeps_it_from_starting() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("not-a-topic")).unwrap();
    let stage = Stage::new().await;
    let (root, _join) = Supervisor::spawn_linked("root", stage.cell())
        .await
        .unwrap();
    let topics = Topics::new(TopicsConfig::new(dir.path().to_owned()));
    let error = root
        .call(
            |reply| SupervisorMsg::Start(topics.child(), reply),
            PATIENCE,
        )
        .await
        .unwrap()
        .unwrap_err();
    assert!(error.to_string().contains("not-a-topic"), "{error}");
    stage.finish().await;
}

/// The keeper dies with everything under it and is started again: the same handles work, nothing acknowledged is lost.
#[tokio::test]
async fn a_killed_keeper_opens_everything_again_behind_the_same_handles() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::open(dir.path()).await;
    house.topics.create_topic(wanted("a", 2)).await.unwrap();
    house.append("a", 1).await;
    let before = house.topics.snapshot();
    let keeper = house.topics.shared.keeper.read().unwrap().clone().unwrap();
    keeper.actor().kill();
    keeper
        .actor()
        .get_cell()
        .wait(Some(PATIENCE))
        .await
        .unwrap();
    let made = loop {
        match house.topics.create_topic(wanted("b", 1)).await {
            Ok(made) => break made,
            Err(error) => assert_eq!(error.code.0, -1, "{error}"),
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(made.partitions, 1);
    assert_eq!(
        before
            .by_name("a")
            .unwrap()
            .log(1)
            .unwrap()
            .offsets()
            .unwrap()
            .end,
        5
    );
    assert_eq!(house.append("a", 1).await, 5);
    house.close().await;
}

#[tokio::test]
async fn growth_and_settings_are_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::open(dir.path()).await;
    let made = house.topics.create_topic(wanted("a", 1)).await.unwrap();
    house.append("a", 0).await;
    let growth = |partitions| Growth {
        partitions,
        assignments: None,
    };
    house
        .topics
        .grow_topic("a", growth(3), false)
        .await
        .unwrap();
    house.append("a", 2).await;
    let change = ConfigChange {
        name: "retention.ms".to_owned(),
        operation: ConfigOperation::Set,
        value: Some("77".to_owned()),
    };
    let changes = vec![change];
    house
        .topics
        .configure_topic("a", changes.clone(), true)
        .await
        .unwrap();
    assert!(
        house
            .topics
            .snapshot()
            .by_name("a")
            .unwrap()
            .configs
            .is_empty()
    );
    house
        .topics
        .configure_topic("a", changes, false)
        .await
        .unwrap();
    assert_eq!(
        house
            .topics
            .grow_topic("a", growth(101), true)
            .await
            .unwrap_err()
            .code
            .0,
        37,
        "100 in all"
    );
    house.close().await;

    let house = House::open(dir.path()).await;
    let snapshot = house.topics.snapshot();
    let topic = snapshot.by_name("a").unwrap();
    assert_eq!((topic.id, topic.partitions), (made.id, 3));
    assert_eq!(topic.configs["retention.ms"], "77");
    let ends = topic.logs().iter().map(|log| log.offsets().unwrap().end);
    assert_eq!(ends.collect::<Vec<_>>(), [5, 0, 5]);
    house.close().await;
}
