//! The data directory: its lock, its layout, and what it remembers of itself. Held by the broker for as long as it
//! runs; dropping it releases the lock. Never touches what lies in `offsets` and `topics`.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::OtherVersion;
use crate::{BrokerConfig, BrokerError};

const LOCK: &str = "lock";
const META: &str = "meta.properties";
/// Of that file, and of the directory: what lies where.
const META_VERSION: &str = "1";

/// A locked data directory.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    cluster_id: String,
    /// Locked; the file holds our process id in decimal.
    _lock: File,
}

impl DataDir {
    /// Creates the directory if need be, locks it and reads or writes its memory.
    pub(crate) fn open(config: &BrokerConfig) -> Result<Self, BrokerError> {
        let path = config.data_dir.clone();
        let unusable = |error: std::io::Error| BrokerError::DataDir {
            path: path.clone(),
            reason: error.to_string(),
        };
        std::fs::create_dir_all(&path).map_err(unusable)?;
        let lock = lock(&path)?;
        for part in ["offsets", "topics"] {
            std::fs::create_dir_all(path.join(part)).map_err(unusable)?;
        }
        let cluster_id = remember(&path, config)?;
        Ok(Self {
            path,
            cluster_id,
            _lock: lock,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The id of the cluster this directory belongs to.
    pub(crate) fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// Where the journal of `__consumer_offsets` lives.
    pub(crate) fn offsets(&self) -> PathBuf {
        self.path.join("offsets")
    }

    /// The file that says which producer ids are taken.
    pub(crate) fn producer_ids(&self) -> PathBuf {
        self.path.join("producer-ids")
    }

    /// Where topic logs live.
    pub(crate) fn topics(&self) -> PathBuf {
        self.path.join("topics")
    }
}

fn lock(dir: &Path) -> Result<File, BrokerError> {
    let unusable = |error: std::io::Error| BrokerError::DataDir {
        path: dir.to_owned(),
        reason: error.to_string(),
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(dir.join(LOCK))
        .map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Unreadable or half written: the sentence then says so instead of a number.
            let _ = file.read_to_string(&mut holder);
            let pid = holder.trim().parse().ok();
            return Err(BrokerError::Locked {
                path: dir.to_owned(),
                pid,
            });
        }
        Err(TryLockError::Error(error)) => return Err(unusable(error)),
    }
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        writeln!(file, "{}", std::process::id())
    };
    write(&mut file).map_err(unusable)?;
    Ok(file)
}

/// Reads what the directory says about itself, or writes it the first time. What it says cannot be changed later:
/// clients key their caches on the cluster id, and groups would hash to other partitions.
fn remember(dir: &Path, config: &BrokerConfig) -> Result<String, BrokerError> {
    let unusable = |error: std::io::Error| BrokerError::DataDir {
        path: dir.to_owned(),
        reason: error.to_string(),
    };
    let path = dir.join(META);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let cluster_id = config.cluster_id.clone().unwrap_or_else(random_cluster_id);
            let partitions = config.offsets_topic_num_partitions;
            let text = format!(
                "version={META_VERSION}\ncluster.id={cluster_id}\noffsets.topic.num.partitions={partitions}\n"
            );
            write_durably(&path, &text).map_err(unusable)?;
            return Ok(cluster_id);
        }
        Err(error) => return Err(unusable(error)),
    };
    let read = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .map(str::to_owned)
    };
    match read("version").as_deref() {
        Some(META_VERSION) | None => {}
        Some(found) => {
            return Err(BrokerError::DataDir {
                path: dir.to_owned(),
                reason: format!("{META} is {}", OtherVersion(found, META_VERSION)),
            });
        }
    }
    let (Some(cluster_id), Some(partitions)) =
        (read("cluster.id"), read("offsets.topic.num.partitions"))
    else {
        return Err(BrokerError::DataDir {
            path: dir.to_owned(),
            reason: format!("{META} is not one of ours"),
        });
    };
    let differs = |key: &'static str, kept: String, asked: String| BrokerError::Mismatch {
        path: dir.to_owned(),
        key,
        kept,
        asked,
    };
    if let Some(asked) = &config.cluster_id
        && *asked != cluster_id
    {
        return Err(differs("cluster.id", cluster_id, asked.clone()));
    }
    let asked = config.offsets_topic_num_partitions.to_string();
    if asked != partitions {
        return Err(differs("offsets.topic.num.partitions", partitions, asked));
    }
    Ok(cluster_id)
}

fn write_durably(path: &Path, text: &str) -> std::io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

/// 22 characters of URL-safe base64, as Kafka's cluster ids are.
fn random_cluster_id() -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits = uuid::Uuid::new_v4().as_u128();
    // 22 characters carry 132 bits: the last one holds the low two.
    let digit =
        |shift: u32| char::from(ALPHABET[usize::try_from((bits >> shift) & 63).unwrap_or(0)]);
    let mut id: String = (0..21).map(|at| digit(122 - 6 * at)).collect();
    id.push(char::from(
        ALPHABET[usize::try_from((bits & 3) << 4).unwrap_or(0)],
    ));
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(dir: &Path) -> BrokerConfig {
        BrokerConfig {
            data_dir: dir.join("data"),
            ..BrokerConfig::default()
        }
    }

    #[test]
    fn a_second_holder_is_refused_with_the_pid_of_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let held = DataDir::open(&config(dir.path())).unwrap();
        let error = DataDir::open(&config(dir.path())).unwrap_err();
        assert!(
            error.to_string().contains(&std::process::id().to_string()),
            "{error}"
        );
        drop(held);
        DataDir::open(&config(dir.path())).unwrap();
    }

    #[test]
    fn the_cluster_id_is_made_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::open(&config(dir.path()))
            .unwrap()
            .cluster_id()
            .to_owned();
        assert_eq!(first.len(), 22);
        assert_eq!(
            DataDir::open(&config(dir.path())).unwrap().cluster_id(),
            first
        );
        let mut other = config(dir.path());
        other.cluster_id = Some("another".to_owned());
        let error = DataDir::open(&other).unwrap_err().to_string();
        assert!(
            error.contains("cluster.id") && error.contains(&first),
            "{error}"
        );
    }

    #[test]
    fn the_number_of_offsets_partitions_cannot_change() {
        let dir = tempfile::tempdir().unwrap();
        drop(DataDir::open(&config(dir.path())).unwrap());
        let mut other = config(dir.path());
        other.offsets_topic_num_partitions = 7;
        let error = DataDir::open(&other).unwrap_err().to_string();
        assert!(
            error.contains("offsets.topic.num.partitions") && error.contains("50"),
            "{error}"
        );
    }

    #[test]
    fn a_directory_of_another_version_is_refused_with_file_and_remedy() {
        let dir = tempfile::tempdir().unwrap();
        drop(DataDir::open(&config(dir.path())).unwrap());
        let path = dir.path().join("data").join(META);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("version=1", "version=2")).unwrap();
        let error = DataDir::open(&config(dir.path())).unwrap_err().to_string();
        assert!(
            error.ends_with(
                "meta.properties is of version 2 and this callboard knows 1: start the callboard that wrote it, or a newer one"
            ),
            "{error}"
        );
    }

    #[test]
    fn a_path_that_is_a_file_is_one_sentence() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let config = BrokerConfig {
            data_dir: file.clone(),
            ..BrokerConfig::default()
        };
        let error = DataDir::open(&config).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("cannot use the data directory {}", file.display())),
            "{error}"
        );
    }
}
