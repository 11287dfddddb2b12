//! Fetched batches on their way to a handler, and the credit they hold as long as they exist: it is given back when they
//! are dropped, worked off or not, wherever that is. So no crash between two steps loses any.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::core::partition::FetchFrom;
use crate::fetchers::FetchersMsg;
use crate::partition::Cell;
use crate::shared::Shared;

/// Batches of one partition as they came from the broker.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// What was asked for.
    pub(crate) from: FetchFrom,
    pub(crate) batches: Bytes,
    /// Their bytes.
    pub(crate) credit: Credit,
}

/// Bytes charged to a partition's account.
pub(crate) struct Credit {
    shared: Arc<Shared>,
    cell: Arc<Cell>,
    bytes: usize,
}

impl fmt::Debug for Credit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credit({} of {})", self.bytes, self.cell.partition)
    }
}

impl Credit {
    /// Of `bytes` that the partition's core has just charged.
    pub(crate) fn new(shared: &Arc<Shared>, cell: &Arc<Cell>, bytes: usize) -> Self {
        shared.buffered(bytes, 0);
        Self {
            shared: Arc::clone(shared),
            cell: Arc::clone(cell),
            bytes,
        }
    }
}

impl Drop for Credit {
    fn drop(&mut self) {
        let resumes = self.cell.give_back(self.bytes, self.shared.share());
        self.shared.buffered(0, self.bytes);
        if resumes {
            let wake = FetchersMsg::Wake(self.cell.partition.clone());
            self.shared.slots.fetchers.cast(wake);
        }
    }
}
