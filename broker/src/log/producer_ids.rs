//! Ids for idempotent producers (InitProducerId without a transactional id). An id is never given out twice, whatever
//! happens to the process: blocks of ids are taken durably before the first id of a block is given out, as Kafka does.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::{LogError, number};

/// Ids taken at a time; what a crash leaves of a block is never used. Kafka's number.
const BLOCK: i64 = 1_000;

/// The dispenser of one data directory.
#[derive(Debug)]
pub struct ProducerIds {
    path: PathBuf,
    state: Mutex<Block>,
}

#[derive(Debug)]
struct Block {
    next: i64,
    /// The first id of the next block; what the file says.
    end: i64,
}

impl ProducerIds {
    /// Opens the file at `path`, which need not exist yet.
    ///
    /// # Errors
    /// [`LogError::Storage`]; [`LogError::Corrupt`] and [`LogError::Version`] when the file is not ours.
    pub fn open(path: &Path) -> Result<Self, LogError> {
        let end = number::read(path)?.unwrap_or(0);
        Ok(Self {
            path: path.to_owned(),
            state: Mutex::new(Block { next: end, end }),
        })
    }

    /// An id nobody had before. Once in a thousand it waits for the disk, where it is called: a few milliseconds.
    ///
    /// # Errors
    /// [`LogError::Storage`]; the next call tries again.
    pub fn next(&self) -> Result<i64, LogError> {
        // Nothing panics while it is held.
        let mut block = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if block.next == block.end {
            let end = block.end + BLOCK;
            number::replace(&self.path, end)?;
            block.end = end;
        }
        let id = block.next;
        block.next += 1;
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_within_a_process_and_never_come_back_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("producer-ids");
        let ids = ProducerIds::open(&path).unwrap();
        let given: Vec<i64> = (0..2_500).map(|_| ids.next().unwrap()).collect();
        assert_eq!(given, (0..2_500).collect::<Vec<i64>>());
        // Killed: the rest of the block is lost.
        drop(ids);
        assert_eq!(ProducerIds::open(&path).unwrap().next().unwrap(), 3_000);
        assert_eq!(ProducerIds::open(&path).unwrap().next().unwrap(), 4_000);
        std::fs::write(&path, "soon").unwrap();
        assert!(matches!(
            ProducerIds::open(&path),
            Err(LogError::Corrupt { .. })
        ));
    }
}
