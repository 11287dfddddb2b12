//! A recorded story as data: what was sent when, and what came back. See the folder `testdata/kafka-4.2.0/stories`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

/// One story.
#[derive(Debug, Deserialize)]
pub(crate) struct Story {
    pub(crate) name: String,
    pub(crate) rule: String,
    pub(crate) script: Vec<Act>,
}

/// Fields of a request or an answer, as Kafka's schema names them.
pub(crate) type Fields = Map<String, Value>;

/// A request as it was sent.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Send {
    pub(crate) at_ms: u64,
    pub(crate) conn: String,
    pub(crate) client_id: String,
    pub(crate) api: String,
    pub(crate) version: i16,
    pub(crate) fields: Fields,
}

/// An answer as it came.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Recv {
    pub(crate) conn: String,
    pub(crate) api: String,
    pub(crate) version: i16,
    pub(crate) after_ms: u64,
    pub(crate) fields: Fields,
}

/// One thing that happened.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub(crate) enum Act {
    CreateTopic {
        at_ms: u64,
        topic: String,
        partitions: i32,
    },
    Send(Send),
    Recv(Recv),
    /// Nothing arrives for so long.
    Waits {
        conn: String,
        ms: u64,
    },
    Sleep {
        ms: u64,
    },
    Close {
        conn: String,
    },
    /// The oldest request of the connection gets no answer, or 25 or 27.
    Superseded {
        conn: String,
    },
    SendRaw {},
    Closed {},
    Silent {},
}

impl Story {
    /// Every story of a suite, by name.
    fn suite(suite: &str) -> Vec<Self> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(stories().join(suite))
            .expect("the stories are part of the repository")
            .map(|entry| entry.expect("the folder can be read").path())
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "json")
            })
            .collect();
        files.sort();
        files.iter().map(|path| Self::read(path)).collect()
    }

    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("a story can be read");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

/// The stories of a suite that are played here: all but those the list beside them names. Whoever adds or renames a
/// story has to say in the list if it is not played.
pub(crate) fn played_here(suite: &str) -> Vec<Story> {
    let list = std::fs::read_to_string(stories().join("PLAYED.md"))
        .expect("the list is part of the repository");
    let mut elsewhere: BTreeSet<&str> = BTreeSet::new();
    for line in list.lines().filter_map(|line| line.strip_prefix("* ")) {
        let (story, why) = line
            .split_once(": ")
            .unwrap_or_else(|| panic!("{line:?} does not say why"));
        assert!(!why.trim().is_empty(), "{line:?} does not say why");
        let (of, name) = story
            .rsplit_once('/')
            .unwrap_or_else(|| panic!("{line:?} does not name suite and story"));
        if of == suite {
            elsewhere.insert(name);
        }
    }
    let all = Story::suite(suite);
    for name in &elsewhere {
        assert!(
            all.iter().any(|story| story.name == *name),
            "{name} is listed and not there"
        );
    }
    all.into_iter()
        .filter(|story| !elsewhere.contains(story.name.as_str()))
        .collect()
}

/// The folder of the stories.
fn stories() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/kafka-4.2.0/stories")
}
