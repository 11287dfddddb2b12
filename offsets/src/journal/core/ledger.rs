//! Who may append to which partition and where: leases, and the ends that appends not yet flushed will make. Owned by
//! the sync thread. A round that fails poisons the engine, so nothing here is ever taken back.

use super::frame::{Header, Kind, NO_PARTITION};
use super::locator::{Corruption, Locator};
use super::recovery::{EPOCHS_PER_INCARNATION, Next};
use crate::log::{Batch, BatchId, End, Epoch, Lease, LogError, Opened};

#[derive(Debug)]
struct Account {
    epoch: Epoch,
    end: End,
    corrupt: Option<Corruption>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Ledger {
    accounts: Vec<Account>,
    incarnation: Epoch,
    next: Next,
    /// First sequence of the round being filled.
    round_start: u64,
}

impl Ledger {
    /// Goes on where a recovered log ends, with higher epochs than any it has seen.
    pub(crate) fn new(partitions: &[Locator], next: Next, last_incarnation: u64) -> Self {
        let incarnation = Epoch(
            last_incarnation
                .saturating_add(1)
                .saturating_mul(EPOCHS_PER_INCARNATION),
        );
        let account = |partition: &Locator| Account {
            epoch: incarnation,
            end: partition.end(),
            corrupt: partition.corrupt().cloned(),
        };
        Self {
            accounts: partitions.iter().map(account).collect(),
            incarnation,
            next,
            round_start: next.sequence,
        }
    }

    /// Gives a new lease; the ones before it end.
    pub(crate) fn open(&mut self, partition: u32) -> Result<Opened, LogError> {
        let account = self
            .accounts
            .get_mut(partition as usize)
            .ok_or(LogError::NoSuchPartition { partition })?;
        if let Some(Corruption { position, reason }) = &account.corrupt {
            return Err(LogError::Corrupt {
                position: *position,
                reason: reason.clone(),
            });
        }
        account.epoch.0 += 1;
        let lease = Lease {
            partition,
            epoch: account.epoch,
        };
        Ok(Opened {
            lease,
            end: account.end,
        })
    }

    /// Whether this lease holds its partition.
    pub(crate) fn check(&self, lease: Lease) -> Result<(), LogError> {
        let partition = lease.partition;
        let account = self
            .accounts
            .get(partition as usize)
            .ok_or(LogError::NoSuchPartition { partition })?;
        if account.epoch == lease.epoch {
            Ok(())
        } else {
            Err(LogError::Fenced {
                current: account.epoch,
            })
        }
    }

    /// Whether this append may land, if there is room.
    pub(crate) fn admit(
        &self,
        lease: Lease,
        batch: &Batch,
        bytes_max: usize,
    ) -> Result<(), LogError> {
        self.check(lease)?;
        let end = self.end(lease.partition);
        if batch.expected != end {
            return Err(LogError::WrongEnd {
                actual: end.position,
            });
        }
        if batch.len() > bytes_max {
            return Err(LogError::TooLarge { max: bytes_max });
        }
        Ok(())
    }

    /// Puts an admitted append into the round. Gives the header of its frame.
    pub(crate) fn land(&mut self, lease: Lease, batch: &Batch) -> Header {
        if let Some(account) = self.accounts.get_mut(lease.partition as usize) {
            account.end = batch.end_after();
        }
        let header = self.header(Kind::Batch, lease.partition);
        Header {
            epoch: lease.epoch,
            position: batch.expected.position,
            base_offset: batch.expected.offset,
            id: batch.id,
            records: batch.records,
            ..header
        }
    }

    /// Puts a frame of no partition into the round.
    pub(crate) fn control(&mut self, kind: Kind) -> Header {
        self.header(kind, NO_PARTITION)
    }

    /// The round is on its way to the disk; what comes next is of another one.
    pub(crate) fn end_round(&mut self) {
        self.next.round += 1;
        self.round_start = self.next.sequence;
    }

    /// Sequence of the next frame.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.next.sequence
    }

    /// Where a partition will end when the round has landed.
    pub(crate) fn end(&self, partition: u32) -> End {
        let account = self.accounts.get(partition as usize);
        account.map(|account| account.end).unwrap_or_default()
    }

    fn header(&mut self, kind: Kind, partition: u32) -> Header {
        let header = Header {
            kind,
            payload_bytes: 0,
            marks_bytes: 0,
            partition,
            round: self.next.round,
            round_start: self.round_start,
            sequence: self.next.sequence,
            epoch: self.incarnation,
            position: 0,
            base_offset: 0,
            id: BatchId(0),
            records: 0,
            previous_partition: self.next.previous_partition,
        };
        self.next.sequence += 1;
        self.next.previous_partition = partition;
        header
    }
}
