//! Topics on disk: one directory a topic, named by its id. What exists is what is named so; both creation and deletion
//! are one rename, so a crash at any point leaves a topic or none.
//!
//! ```text
//! topics/<id>/topic.json       name, id, partitions, settings; replaced whole when it changes
//! topics/<id>/0 … n-1/         the partitions' logs
//! topics/<id>.creating/        not yet a topic: removed at the start
//! topics/<id>.deleting/        no longer a topic; its topic.json stays until nobody has anything of it any more
//! ```

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use callboard_protocol::Uuid;
use serde::{Deserialize, Serialize};

use super::TopicsError;
use crate::log::files;

const DESCRIPTION: &str = "topic.json";
const CREATING: &str = "creating";
const DELETING: &str = "deleting";

/// Of `topic.json`, and of all that lies beside it.
const VERSION: u32 = 1;

/// What every version of `topic.json` says.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// What `topic.json` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredTopic {
    /// [`VERSION`].
    version: u32,
    pub(crate) name: String,
    /// 32 hexadecimal digits.
    id: String,
    pub(crate) partitions: i32,
    /// Whether the partitions' records live elsewhere (the offsets journal) and there are no logs here.
    #[serde(default)]
    pub(crate) internal: bool,
    #[serde(default)]
    pub(crate) configs: BTreeMap<String, String>,
}

impl StoredTopic {
    pub(crate) fn new(
        id: Uuid,
        name: String,
        partitions: i32,
        configs: BTreeMap<String, String>,
    ) -> Self {
        Self {
            version: VERSION,
            name,
            id: hex(id),
            partitions,
            internal: false,
            configs,
        }
    }

    pub(crate) fn internal(id: Uuid, name: String, partitions: i32) -> Self {
        Self {
            internal: true,
            ..Self::new(id, name, partitions, BTreeMap::new())
        }
    }

    pub(crate) fn id(&self) -> Option<Uuid> {
        parse_hex(&self.id)
    }
}

/// What a directory of topics holds.
#[derive(Debug)]
pub(crate) struct Found {
    /// Topics, by name.
    pub(crate) topics: Vec<StoredTopic>,
    /// Those that are deleted and not forgotten.
    pub(crate) deleted: Vec<StoredTopic>,
}

/// The directory of all topics.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    dir: PathBuf,
    /// Makes the names in the directory durable.
    sync: fn(&Path) -> std::io::Result<()>,
}

impl Store {
    /// Opens the directory, creating it, removes what was half created, and the files of what was deleted, and reads every
    /// topic.
    pub(crate) fn open(dir: &Path) -> Result<(Self, Found), TopicsError> {
        std::fs::create_dir_all(dir).map_err(TopicsError::io("create", dir))?;
        let mut topics = Vec::new();
        let mut deleted = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(TopicsError::io("list", dir))? {
            let path = entry.map_err(TopicsError::io("list", dir))?.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some(CREATING) => {
                    tracing::info!(dir = %path.display(), "removing a topic that was half created");
                    std::fs::remove_dir_all(&path).map_err(TopicsError::io("remove", &path))?;
                }
                Some(DELETING) => {
                    empty(&path)?;
                    // Without a description it was forgotten, or deleted by a version that did not keep it.
                    if path.join(DESCRIPTION).exists() {
                        deleted.push(read(&path)?);
                    }
                }
                // A version that made its partitions' directories anew while the topic was deleted left these behind.
                _ if is_left_over(&path)? => {
                    tracing::warn!(dir = %path.display(), "removing what is left of a deleted topic, no records");
                    std::fs::remove_dir_all(&path).map_err(TopicsError::io("remove", &path))?;
                }
                _ if path.is_dir() => topics.push(read(&path)?),
                _ => {}
            }
        }
        topics.sort_by(|left, right| left.name.cmp(&right.name));
        if let Some(pair) = topics.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(TopicsError::corrupt(
                dir,
                format!("two directories claim topic {:?}", pair[0].name),
            ));
        }
        let store = Self {
            dir: dir.to_owned(),
            sync: files::sync_dir,
        };
        let is_taken = |name: &str| topics.iter().any(|topic| topic.name == name);
        let (late, deleted): (Vec<_>, Vec<_>) =
            deleted.into_iter().partition(|topic| is_taken(&topic.name));
        for StoredTopic { name, id, .. } in late {
            // A version that did not wait has made the name another topic's: what is committed for it is that one's.
            tracing::warn!(
                topic = name,
                id,
                "a deleted topic's name is taken; its offsets cannot be told apart"
            );
            if let Some(id) = parse_hex(&id) {
                store.forgotten(id)?;
            }
        }
        Ok((store, Found { topics, deleted }))
    }

    /// Makes a topic durable. Its partitions have their directories; files come with the first append.
    pub(crate) fn create(&self, topic: &StoredTopic) -> Result<(), TopicsError> {
        let written = vec![self.prepare(topic)];
        let outcome = self.name_all(std::slice::from_ref(topic), written)?.pop();
        outcome.unwrap_or(Ok(()))
    }

    /// The first half of a creation: all of a topic but its name. Several may be prepared at a time.
    pub(crate) fn prepare(&self, topic: &StoredTopic) -> Result<(), TopicsError> {
        let making = self.making(topic);
        std::fs::create_dir_all(&making).map_err(TopicsError::io("create", &making))?;
        self.write(&making, topic)
    }

    /// The second half, of several: those of which `written` says that they are prepared are there, durably, after it.
    ///
    /// # Errors
    /// Of one topic: it is not there. Of all: what cannot be made durable cannot be taken back either, and only a start
    /// from the disk says what there is.
    pub(crate) fn name_all(
        &self,
        topics: &[StoredTopic],
        written: Vec<Result<(), TopicsError>>,
    ) -> Result<Vec<Result<(), TopicsError>>, TopicsError> {
        let rename = |(topic, written): (&StoredTopic, Result<(), TopicsError>)| {
            let making = self.making(topic);
            let named = written.and_then(|()| {
                std::fs::rename(&making, self.dir.join(&topic.id))
                    .map_err(TopicsError::io("rename", &making))
            });
            if named.is_err() {
                // What stays is removed at the next start.
                let _ = std::fs::remove_dir_all(&making);
            }
            named
        };
        let mut named: Vec<_> = topics.iter().zip(written).map(rename).collect();
        if let Err(error) = self.sync() {
            // Whoever is told so may try again: two of a name are none.
            for (topic, named) in topics.iter().zip(&mut named) {
                if std::mem::replace(named, Err(error.clone())).is_ok() {
                    let making = self.making(topic);
                    take_back(&self.dir.join(&topic.id), &making)?;
                    let _ = std::fs::remove_dir_all(&making);
                }
            }
        }
        Ok(named)
    }

    fn sync(&self) -> Result<(), TopicsError> {
        (self.sync)(&self.dir).map_err(TopicsError::io("sync", &self.dir))
    }

    fn making(&self, topic: &StoredTopic) -> PathBuf {
        self.dir.join(format!("{}.{CREATING}", topic.id))
    }

    /// The directories of the partitions, then the description.
    fn write(&self, making: &Path, topic: &StoredTopic) -> Result<(), TopicsError> {
        for partition in 0..if topic.internal { 0 } else { topic.partitions } {
            let dir = making.join(partition.to_string());
            std::fs::create_dir_all(&dir).map_err(TopicsError::io("create", &dir))?;
        }
        let text = serde_json::to_vec_pretty(topic)
            .map_err(|error| TopicsError::corrupt(making, error.to_string()))?;
        let path = making.join(DESCRIPTION);
        // Syncs the directory as well, and with it the partitions' names.
        files::replace(&path, &text).map_err(TopicsError::io("write", &path))
    }

    /// Makes a change of a topic durable: more partitions, other settings. A crash leaves the topic as it was or as it is
    /// now, and perhaps empty directories of partitions that it does not have.
    pub(crate) fn change(&self, topic: &StoredTopic) -> Result<(), TopicsError> {
        self.write(&self.dir.join(&topic.id), topic)
    }

    /// Ends a topic: from here on it does not come back. Its files are removed by [`sweep`](Self::sweep), and that it
    /// was there is known until it is [`forgotten`](Self::forgotten).
    ///
    /// # Errors
    /// Inside: the topic is as it was. Outside: it is not, nor durably gone; only a start from the disk says what there is.
    pub(crate) fn delete(&self, id: Uuid) -> Result<Result<(), TopicsError>, TopicsError> {
        let path = self.dir.join(hex(id));
        if let Err(error) = std::fs::rename(&path, self.swept(id)) {
            return Ok(Err(TopicsError::io("rename", &path)(error)));
        }
        let synced = self.sync();
        if synced.is_err() {
            take_back(&self.swept(id), &path)?;
        }
        Ok(synced)
    }

    /// Removes the files of a deleted topic.
    pub(crate) fn sweep(&self, id: Uuid) -> Result<(), TopicsError> {
        empty(&self.swept(id))
    }

    /// Nobody has anything of this deleted topic: after this, durably, its name is free. Calling it again does no harm.
    pub(crate) fn forgotten(&self, id: Uuid) -> Result<(), TopicsError> {
        let path = self.swept(id);
        let removed = files::remove_if_there(&path.join(DESCRIPTION));
        let durable = removed.and_then(|()| match files::sync_dir(&path) {
            // Whoever swept it was faster.
            Err(error) if error.kind() == ErrorKind::NotFound => files::sync_dir(&self.dir),
            synced => synced,
        });
        durable.map_err(TopicsError::io("remove the description in", &path))?;
        // It has files as long as it was not swept; then that removes it, or the next start.
        let _ = std::fs::remove_dir(&path);
        Ok(())
    }

    fn swept(&self, id: Uuid) -> PathBuf {
        self.dir.join(format!("{}.{DELETING}", hex(id)))
    }

    /// Where a partition's log lives.
    pub(crate) fn partition_dir(&self, id: Uuid, partition: i32) -> PathBuf {
        self.dir.join(hex(id)).join(partition.to_string())
    }
}

/// Takes a rename back that could not be made durable. What the disk has of both does not matter: the next flush of the
/// directory settles it, or a start.
fn take_back(from: &Path, to: &Path) -> Result<(), TopicsError> {
    std::fs::rename(from, to).map_err(TopicsError::io("take back", from))
}

/// Removes everything but the description, and the directory as well if it has none. Two may be at it.
fn empty(dir: &Path) -> Result<(), TopicsError> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(TopicsError::io("list", dir))?,
    };
    for entry in entries {
        let path = entry.map_err(TopicsError::io("list", dir))?.path();
        if path.file_name().is_some_and(|name| name == DESCRIPTION) {
            continue;
        }
        let removed = if path.is_dir() {
            std::fs::remove_dir_all(&path)
        } else {
            files::remove_if_there(&path)
        };
        match removed {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(TopicsError::io("remove", &path)(error));
            }
            _ => {}
        }
    }
    if dir.join(DESCRIPTION).exists() {
        return Ok(());
    }
    match std::fs::remove_dir(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(TopicsError::io("remove", dir)(error))
        }
        _ => Ok(()),
    }
}

/// Whether it is a topic's directory by its name, and has neither a description nor a file of records.
fn is_left_over(dir: &Path) -> Result<bool, TopicsError> {
    let name = dir.file_name().and_then(|name| name.to_str());
    if name.and_then(parse_hex).is_none() || !dir.is_dir() || dir.join(DESCRIPTION).exists() {
        return Ok(false);
    }
    for entry in std::fs::read_dir(dir).map_err(TopicsError::io("list", dir))? {
        let partition = entry.map_err(TopicsError::io("list", dir))?.path();
        if !partition.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(&partition).map_err(TopicsError::io("list", &partition))? {
            let path = entry.map_err(TopicsError::io("list", &partition))?.path();
            if path.extension().is_some_and(|extension| extension == "log") {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn read(dir: &Path) -> Result<StoredTopic, TopicsError> {
    let path = dir.join(DESCRIPTION);
    let bytes = std::fs::read(&path).map_err(TopicsError::io("read", &path))?;
    let corrupt = |error: serde_json::Error| TopicsError::corrupt(&path, error.to_string());
    // First of all: nothing else of another version is known.
    let Versioned { version } = serde_json::from_slice(&bytes).map_err(corrupt)?;
    if version != VERSION {
        return Err(TopicsError::Version {
            path,
            found: version,
            known: VERSION,
        });
    }
    let topic: StoredTopic = serde_json::from_slice(&bytes).map_err(corrupt)?;
    if topic.id().is_none() || dir.file_stem().and_then(|name| name.to_str()) != Some(&topic.id) {
        return Err(TopicsError::corrupt(
            &path,
            "its id is not its directory's name".to_owned(),
        ));
    }
    if topic.partitions < 1 || super::core::check_name(&topic.name).is_err() {
        return Err(TopicsError::corrupt(
            &path,
            "no topic can be called so, or have so many partitions".to_owned(),
        ));
    }
    Ok(topic)
}

fn hex(id: Uuid) -> String {
    format!("{:032x}", u128::from_be_bytes(id.0))
}

fn parse_hex(text: &str) -> Option<Uuid> {
    let id = Uuid(u128::from_str_radix(text, 16).ok()?.to_be_bytes());
    (hex(id) == text).then_some(id)
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
