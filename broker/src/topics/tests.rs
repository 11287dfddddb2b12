//! The registry as handlers use it, with real logs under it.

use std::sync::atomic::{AtomicBool, Ordering};

use callboard_coordinator::{Forgotten, TopicsImage};
use callboard_supervision::testing::Stage;
use callboard_supervision::{Supervisor, SupervisorMsg};

use super::*;
use crate::log::{AppendReply, AtLeast};

const PATIENCE: Duration = Duration::from_secs(30);

struct House {
    stage: Stage,
    root: Addr<SupervisorMsg>,
    topics: Topics,
    coordinators: Arc<Coordinators>,
}

/// Those who have committed offsets of topics: what they were told last, and whether they forget at once.
#[derive(Default)]
struct Coordinators {
    told: Mutex<Vec<(Vec<DeletedTopic>, Forgotten)>>,
    slow: AtomicBool,
}

impl Coordinators {
    fn hear(&self, image: &TopicsImage, forgotten: Forgotten) {
        for deleted in &image.deleted {
            assert_eq!(image.topics.partitions(&deleted.name), None);
            if !self.slow.load(Ordering::Relaxed) {
                forgotten(deleted.id);
            }
        }
        let told = (image.deleted.clone(), forgotten);
        self.told.lock().unwrap().push(told);
    }

    /// Names of what is to be forgotten.
    fn deleted(&self) -> Vec<Arc<str>> {
        let told = self.told.lock().unwrap();
        let (deleted, _) = told.last().unwrap();
        deleted
            .iter()
            .map(|topic| Arc::clone(&topic.name))
            .collect()
    }

    fn forget_all(&self) {
        let (deleted, forgotten) = self.told.lock().unwrap().pop().unwrap();
        deleted.iter().for_each(|topic| forgotten(topic.id));
        self.told.lock().unwrap().push((deleted, forgotten));
    }
}

impl House {
    async fn open(dir: &Path) -> Self {
        Self::open_with(dir, 100).await
    }

    async fn open_with(dir: &Path, partitions_max: usize) -> Self {
        Self::open_heard_by(Coordinators::default(), dir, partitions_max).await
    }

    async fn open_heard_by(coordinators: Coordinators, dir: &Path, partitions_max: usize) -> Self {
        let mut config = TopicsConfig::new(dir.to_owned());
        config.internal = vec![("__consumer_offsets".to_owned(), 50)];
        config.partitions_max = partitions_max;
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
        let coordinators = Arc::new(coordinators);
        let listener = Arc::clone(&coordinators);
        topics.listen(Arc::new(move |image, forgotten| {
            listener.hear(&image, forgotten);
        }));
        Self {
            stage,
            root,
            topics,
            coordinators,
        }
    }

    /// Creates a topic, for whose name it waits as long as it takes.
    async fn create(&self, topic: NewTopic) -> Result<CreatedTopic, TopicError> {
        self.topics.create_topic(topic, PATIENCE).await
    }

    /// Returns when the keeper is dead.
    async fn kill_keeper(&self) {
        let keeper = self.topics.registry.keeper().unwrap();
        let keeper = keeper.actor();
        keeper.kill();
        keeper.get_cell().wait(Some(PATIENCE)).await.unwrap();
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
    let made = house.create(wanted("orders", 3)).await.unwrap();
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
    assert_eq!((gone.id, gone.name.as_ref()), (made.id, "orders"));
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
    let again = house.create(wanted("orders", 1)).await.unwrap();
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
    let code = async |topic| house.create(topic).await.unwrap_err().code.0;
    house.create(wanted("a.b", 1)).await.unwrap();
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
    let both =
        futures_util::future::join(house.create(wanted("a", 1)), house.create(wanted("a", 2)));
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
            .create_topic(wanted("a", 1), PATIENCE)
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
    house.create(wanted("a", 2)).await.unwrap();
    house.append("a", 1).await;
    let before = house.topics.snapshot();
    house.kill_keeper().await;
    let made = loop {
        match house.create(wanted("b", 1)).await {
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
    let made = house.create(wanted("a", 1)).await.unwrap();
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

/// Difference: `deleted-names`.
#[tokio::test]
async fn the_name_of_a_deleted_topic_is_free_when_its_offsets_are_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::open(dir.path()).await;
    let first = house.create(wanted("a", 1)).await.unwrap();
    house.coordinators.slow.store(true, Ordering::Relaxed);
    house.topics.delete_topic("a").await.unwrap();
    assert_eq!(*house.coordinators.deleted(), ["a".into()]);

    let now = house.topics.create_topic(wanted("a", 1), Duration::ZERO);
    assert_eq!(now.await.unwrap_err().code, ErrorCode::REQUEST_TIMED_OUT);
    // Nobody else waits.
    house.create(wanted("b", 1)).await.unwrap();
    let (early, late) = (house.create(wanted("a", 2)), house.create(wanted("a", 3)));
    let (mut early, mut late) = (Box::pin(early), Box::pin(late));
    assert!(futures_util::poll!(&mut early).is_pending());
    assert!(futures_util::poll!(&mut late).is_pending());
    house.create(wanted("c", 1)).await.unwrap();
    assert!(house.topics.snapshot().by_name("a").is_none());

    house.coordinators.forget_all();
    let made = early.await.unwrap();
    assert_ne!(made.id, first.id);
    let taken = late.await.unwrap_err().code;
    assert_eq!(taken, ErrorCode::TOPIC_ALREADY_EXISTS);
    assert!(house.coordinators.deleted().is_empty());
    house.close().await;
}

/// As a version that did not wait may leave it.
#[tokio::test]
async fn a_name_of_two_deleted_topics_is_free_when_both_are_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = store::Store::open(dir.path()).unwrap();
    let ids = [1, 2].map(|id| Uuid([id; 16]));
    for id in ids {
        let topic = store::StoredTopic::new(id, "a".to_owned(), 1, BTreeMap::new());
        store.create(&topic).unwrap();
        store.delete(id).unwrap().unwrap();
    }
    let slow = Coordinators::default();
    slow.slow.store(true, Ordering::Relaxed);
    let house = House::open_heard_by(slow, dir.path(), 100).await;
    let mut waiting = Box::pin(house.create(wanted("a", 1)));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    let forget = |id| {
        let told = house.coordinators.told.lock().unwrap();
        (told.last().unwrap().1)(id);
    };
    forget(ids[0]);
    house.create(wanted("b", 1)).await.unwrap();
    assert_eq!(*house.coordinators.deleted(), ["a".into()]);
    assert!(house.topics.snapshot().by_name("a").is_none());
    forget(ids[1]);
    waiting.await.unwrap();
    house.close().await;
}

#[tokio::test]
async fn a_deletion_that_was_not_forgotten_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::open(dir.path()).await;
    house.create(wanted("a", 1)).await.unwrap();
    house.append("a", 0).await;
    house.coordinators.slow.store(true, Ordering::Relaxed);
    house.topics.delete_topic("a").await.unwrap();
    house.close().await;

    let house = House::open(dir.path()).await;
    assert_eq!(*house.coordinators.deleted(), ["a".into()]);
    house.create(wanted("a", 1)).await.unwrap();
    assert_eq!(house.append("a", 0).await, 0);
    house.close().await;

    let house = House::open(dir.path()).await;
    assert!(house.coordinators.deleted().is_empty());
    house.close().await;
}

/// Its successor reads on disk what is still to be forgotten, and tells it again.
#[tokio::test]
async fn a_killed_keeper_does_not_forget_what_is_to_be_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::open(dir.path()).await;
    house.create(wanted("a", 1)).await.unwrap();
    house.coordinators.slow.store(true, Ordering::Relaxed);
    house.topics.delete_topic("a").await.unwrap();
    house.coordinators.slow.store(false, Ordering::Relaxed);
    house.kill_keeper().await;
    // Told while nobody is there.
    house.coordinators.forget_all();
    while let Err(error) = house.create(wanted("a", 2)).await {
        assert_eq!(error.code.0, -1, "{error}");
        tokio::task::yield_now().await;
    }
    assert!(house.coordinators.deleted().is_empty());
    house.close().await;
}

/// Each is told and written once, although whoever listens tells all that are left with every change that this makes.
#[tokio::test]
async fn many_deletions_that_are_forgotten_together_are_a_change_each() {
    const DELETED: usize = 300;
    let dir = tempfile::tempdir().unwrap();
    let house = House::open_with(dir.path(), 2 * DELETED).await;
    house.coordinators.slow.store(true, Ordering::Relaxed);
    let names: Vec<String> = (0..DELETED).map(|number| format!("t{number}")).collect();
    let creations = names.iter().map(|name| house.create(wanted(name, 1)));
    for made in futures_util::future::join_all(creations).await {
        made.unwrap();
    }
    for name in &names {
        house.topics.delete_topic(name).await.unwrap();
    }
    let changes = || house.coordinators.told.lock().unwrap().len();
    let before = changes();
    house.coordinators.slow.store(false, Ordering::Relaxed);
    house.coordinators.forget_all();
    // Made when every message has been read that the first of them brought about.
    house.create(wanted("another", 1)).await.unwrap();
    assert!(house.coordinators.deleted().is_empty());
    assert_eq!(changes(), before + DELETED + 1);
    house.close().await;
}

/// Hundreds at once are made in lots, and what else is asked for has its turn between them; but what was asked for first
/// about a name comes first.
#[tokio::test]
async fn many_creations_keep_nobody_waiting_and_come_before_what_follows_them() {
    const MANY: usize = 300;
    let dir = tempfile::tempdir().unwrap();
    let mut house = House::open_with(dir.path(), 1_000).await;
    house.create(wanted("first", 1)).await.unwrap();
    let names = (0..MANY).map(|number| format!("t{number}"));
    let creating = names.map(|name| house.create(wanted(&name, 1)));
    let mut creating = Box::pin(futures_util::future::join_all(creating));
    assert!(futures_util::poll!(&mut creating).is_pending());
    let late = format!("t{}", MANY - 1);
    let deleted = house.topics.delete_topic(&late).await;
    assert!(deleted.is_ok(), "it was asked for before");
    let growth = Growth {
        partitions: 2,
        assignments: None,
    };
    let grown = house.topics.grow_topic("first", growth, false).await;
    grown.unwrap();
    let there = house.topics.snapshot().len();
    assert!(
        there < MANY / 2,
        "{there} were made before anybody else's turn"
    );
    let made = creating.await;
    assert!(made.iter().all(Result::is_ok));
    // The internal one and the first, and without the one that was deleted.
    assert_eq!(house.topics.snapshot().len(), MANY + 1);
    house.append("t7", 0).await;
    house.close().await;
    house = House::open_with(dir.path(), 1_000).await;
    assert_eq!(house.topics.snapshot().len(), MANY + 1);
    house.close().await;
}

#[tokio::test]
async fn of_many_creations_at_once_each_has_its_own_answer() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::open(dir.path()).await;
    let asked = [
        wanted("a.b", 1),
        wanted("a_b", 1),
        wanted("c", 60),
        wanted("d", 60),
        wanted("c", 1),
        wanted("bad name", 1),
        wanted("e", 1),
    ];
    let creating = asked.map(|topic| house.create(topic));
    let made = futures_util::future::join_all(creating).await;
    let codes: Vec<i16> = made
        .into_iter()
        .map(|made| made.map_or_else(|error| error.code.0, |_| 0))
        .collect();
    // 100 partitions in all.
    assert_eq!(codes, [0, 17, 0, 37, 36, 17, 0]);
    house.close().await;
}

/// One bad log was the end of the broker.
#[tokio::test]
async fn a_log_that_fails_too_often_goes_offline_alone() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::open(dir.path()).await;
    house.create(wanted("a", 2)).await.unwrap();
    let topic = house.topics.snapshot().by_name("a").unwrap().clone();
    let [ill, well] = [0, 1].map(|partition| topic.log(partition).unwrap().clone());
    // As often as it is opened again, and once more.
    while !ill.is_offline() {
        ill.kill();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let refused = ill.offsets().unwrap_err();
    assert_eq!(
        refused.code(),
        callboard_protocol::ErrorCode::KAFKA_STORAGE_ERROR
    );
    assert_eq!(well.offsets().unwrap().end, 0);
    assert_eq!(house.append("a", 1).await, 0);
    assert!(house.topics.delete_topic("a").await.is_ok());
    house.close().await;
}
