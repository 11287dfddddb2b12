//! The registry on disk: what was created is there, what was deleted is not, and a crash at any point of either leaves
//! one of the two.

use super::*;

fn stored(id: u8, name: &str) -> StoredTopic {
    let configs = [("retention.ms".to_owned(), "5".to_owned())].into();
    StoredTopic::new(Uuid([id; 16]), name.to_owned(), 2, configs)
}

fn open(dir: &Path) -> Vec<StoredTopic> {
    let found = Store::open(dir).unwrap().1;
    assert_eq!(found.deleted, []);
    found.topics
}

/// Names of what is deleted and not forgotten.
fn deleted(dir: &Path) -> Vec<String> {
    let found = Store::open(dir).unwrap().1;
    found.deleted.into_iter().map(|topic| topic.name).collect()
}

#[test]
fn created_topics_are_read_back_in_order_of_their_names() {
    let dir = tempfile::tempdir().unwrap();
    let (store, none) = Store::open(dir.path()).unwrap();
    assert_eq!(none.topics, []);
    store.create(&stored(2, "b")).unwrap();
    store.create(&stored(1, "c")).unwrap();
    store
        .create(&StoredTopic::internal(Uuid([3; 16]), "a".to_owned(), 50))
        .unwrap();
    let read = open(dir.path());
    assert_eq!(read[1..], [stored(2, "b"), stored(1, "c")]);
    assert_eq!(
        (read[0].internal, read[0].partitions, read[0].id()),
        (true, 50, Some(Uuid([3; 16])))
    );
    assert!(store.partition_dir(Uuid([2; 16]), 1).is_dir());
    assert!(!store.partition_dir(Uuid([3; 16]), 0).exists());
}

#[test]
fn the_description_is_this_text() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    store.create(&stored(0xa1, "orders")).unwrap();
    let text =
        std::fs::read_to_string(store.dir.join(hex(Uuid([0xa1; 16]))).join(DESCRIPTION)).unwrap();
    let expected = r#"{
  "version": 1,
  "name": "orders",
  "id": "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1",
  "partitions": 2,
  "internal": false,
  "configs": {
    "retention.ms": "5"
  }
}"#;
    assert_eq!(text, expected);
}

#[test]
fn a_topic_that_is_deleted_goes_at_once_and_its_files_later() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    let id = Uuid([1; 16]);
    store.create(&stored(1, "a")).unwrap();
    std::fs::write(
        store.partition_dir(id, 0).join("00000000000000000000.log"),
        "records",
    )
    .unwrap();
    store.delete(id).unwrap().unwrap();
    assert!(store.swept(id).is_dir());
    store.sweep(id).unwrap();
    assert!(!store.swept(id).join("0").exists());
    assert_eq!(deleted(dir.path()), ["a"]);
    store.forgotten(id).unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    assert!(store.delete(id).unwrap().is_err());
}

/// Files may go before or after what is known of the topic; a start removes them in any case.
#[test]
fn a_deleted_topic_is_known_until_it_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    let id = Uuid([1; 16]);
    store.create(&stored(1, "a")).unwrap();
    store.delete(id).unwrap().unwrap();
    for _ in 0..2 {
        assert_eq!(deleted(dir.path()), ["a"]);
        assert!(!store.swept(id).join("0").exists());
    }
    store.forgotten(id).unwrap();
    assert_eq!(open(dir.path()), []);

    store.create(&stored(2, "a")).unwrap();
    let id = Uuid([2; 16]);
    store.delete(id).unwrap().unwrap();
    store.forgotten(id).unwrap();
    assert!(store.swept(id).join("0").exists(), "nobody has swept it");
    store.sweep(id).unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// As a version that did not wait leaves it: what is committed is the next topic's, and stays.
#[test]
fn a_deleted_topic_whose_name_is_taken_is_not_forgotten_again() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    store.create(&stored(1, "a")).unwrap();
    store.delete(Uuid([1; 16])).unwrap().unwrap();
    store.create(&stored(2, "a")).unwrap();
    assert_eq!(open(dir.path()), [stored(2, "a")]);
    assert!(!store.swept(Uuid([1; 16])).exists());
}

/// Every state a kill can leave between the steps of a creation and a deletion.
#[test]
fn a_crash_leaves_the_topic_or_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let topic = stored(1, "a");
    let making = dir.path().join(format!("{}.{CREATING}", topic.id));
    // Creation: directory, some partitions, a half written description, a whole one.
    let text = serde_json::to_vec_pretty(&topic).unwrap();
    let steps: [&dyn Fn(); 5] = [
        &|| std::fs::create_dir_all(&making).unwrap(),
        &|| std::fs::create_dir_all(making.join("0")).unwrap(),
        &|| std::fs::create_dir_all(making.join("1")).unwrap(),
        &|| std::fs::write(making.join("topic.json.tmp"), &text[..20]).unwrap(),
        &|| std::fs::write(making.join(DESCRIPTION), &text).unwrap(),
    ];
    for done in 1..=steps.len() {
        for step in &steps[..done] {
            step();
        }
        assert_eq!(open(dir.path()), [], "{done} steps");
        assert!(!making.exists());
    }
    for step in &steps {
        step();
    }
    std::fs::rename(&making, dir.path().join(&topic.id)).unwrap();
    assert_eq!(open(dir.path()), std::slice::from_ref(&topic));
    // Deletion: renamed, then emptied bit by bit.
    let (store, _) = Store::open(dir.path()).unwrap();
    store.delete(Uuid([1; 16])).unwrap().unwrap();
    std::fs::remove_file(store.swept(Uuid([1; 16])).join(DESCRIPTION)).unwrap();
    assert_eq!(open(dir.path()), []);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

fn sync_fails(_: &Path) -> std::io::Result<()> {
    Err(std::io::Error::other("no sync"))
}

/// What was answered with an error can be tried again, and a start finds what was answered.
#[test]
fn a_rename_that_cannot_be_made_durable_is_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    let sick = Store {
        sync: sync_fails,
        ..store.clone()
    };
    store.create(&stored(1, "a")).unwrap();
    assert!(sick.create(&stored(2, "b")).is_err());
    store.create(&stored(3, "b")).unwrap();
    let id = Uuid([1; 16]);
    assert!(sick.delete(id).unwrap().is_err());
    assert!(store.partition_dir(id, 1).is_dir());
    assert_eq!(open(dir.path()), [stored(1, "a"), stored(3, "b")]);
    store.delete(id).unwrap().unwrap();
    assert_eq!(deleted(dir.path()), ["a"]);
}

#[test]
fn what_can_neither_be_made_durable_nor_taken_back_is_no_answer() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    store.create(&stored(1, "a")).unwrap();
    let in_the_way = |dir: &Path| {
        for id in ["01".repeat(16), format!("{}.{CREATING}", "02".repeat(16))] {
            std::fs::create_dir_all(dir.join(id).join("full"))?;
        }
        sync_fails(dir)
    };
    let sick = Store {
        sync: in_the_way,
        ..store
    };
    assert!(sick.delete(Uuid([1; 16])).is_err());
    let two = [stored(2, "b")];
    let written = two.iter().map(|topic| sick.prepare(topic)).collect();
    assert!(sick.name_all(&two, written).is_err());
}

#[test]
fn what_is_not_ours_is_named_and_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    store.create(&stored(1, "a")).unwrap();
    let path = dir.path().join(hex(Uuid([1; 16])));
    let refused = |what: &str| {
        let error = Store::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    };
    let text = std::fs::read_to_string(path.join(DESCRIPTION)).unwrap();
    for (bad, what) in [
        (
            text.replace("\"version\": 1", "\"version\": 2"),
            "version 2",
        ),
        (
            text.replace("\"a\"", "\"a/b\""),
            "no topic can be called so",
        ),
        (
            text.replace("\"partitions\": 2", "\"partitions\": 0"),
            "so many partitions",
        ),
        (text.replace("0101", "0201"), "not its directory's name"),
        (text[..40].to_owned(), "EOF"),
    ] {
        std::fs::write(path.join(DESCRIPTION), bad).unwrap();
        refused(what);
    }
    std::fs::write(path.join(DESCRIPTION), &text).unwrap();
    store.create(&stored(2, "a")).unwrap();
    refused("two directories claim topic \"a\"");
}

#[test]
fn a_change_is_read_back_and_directories_it_left_behind_do_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    store.create(&stored(1, "a")).unwrap();
    // A crash before the description was replaced.
    std::fs::create_dir(store.partition_dir(Uuid([1; 16]), 2)).unwrap();
    assert_eq!(open(dir.path()), [stored(1, "a")]);
    let grown = StoredTopic::new(Uuid([1; 16]), "a".to_owned(), 5, BTreeMap::new());
    store.change(&grown).unwrap();
    assert_eq!(open(dir.path()), [grown]);
    assert!(store.partition_dir(Uuid([1; 16]), 4).is_dir());
}

/// What a version left behind whose logs made their directories anew while the topic was deleted.
#[test]
fn directories_without_a_topic_are_removed_unless_they_hold_records() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    store.create(&stored(1, "a")).unwrap();
    let id = Uuid([2; 16]);
    let partition = store.partition_dir(id, 0);
    std::fs::create_dir_all(&partition).unwrap();
    std::fs::write(partition.join("leader-epoch-checkpoint"), "0\n0\n").unwrap();
    assert_eq!(open(dir.path()), [stored(1, "a")]);
    assert!(!dir.path().join(hex(id)).exists());

    std::fs::create_dir_all(&partition).unwrap();
    let records = partition.join("00000000000000000000.log");
    std::fs::write(&records, "").unwrap();
    let error = Store::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains(&hex(id)), "{error}");
    assert!(records.exists());
}
