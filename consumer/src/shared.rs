//! What the actors of one consumer share: the client, who we are in the group, the partitions we hold, and where to
//! send to each actor. Every lock in here is held for a few instructions and never across an await.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use callboard_client::{Client, TopicPartition};
use callboard_supervision::Addr;
use metrics::gauge;

use crate::committer::CommitterMsg;
use crate::core::fetch_credit::FetchCredit;
use crate::core::membership::Generation;
use crate::event::EventSender;
use crate::fetchers::FetchersMsg;
use crate::handler::Factory;
use crate::membership::MembershipMsg;
use crate::metrics::{CONSUMER_BUFFERED_BYTES, CONSUMER_LAG_RECORDS};
use crate::partition::Cell;
use crate::partitions::PartitionsMsg;
use crate::policy::HandlerPolicy;

/// Where an actor is reached; it may be another incarnation tomorrow.
pub(crate) struct Slot<M>(Mutex<Option<Addr<M>>>);

impl<M> Default for Slot<M> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<M: Send + 'static> Slot<M> {
    pub(crate) fn set(&self, address: Addr<M>) {
        *lock(&self.0) = Some(address);
    }

    pub(crate) fn get(&self) -> Option<Addr<M>> {
        lock(&self.0).clone()
    }

    /// Sends, if the actor is there. One that is just being restarted begins from the shared state and misses nothing.
    pub(crate) fn cast(&self, message: M) {
        if let Some(address) = self.get() {
            // Gone between the two lines: as if it had been gone before.
            let _ = address.cast(message);
        }
    }
}

/// The actors.
#[derive(Default)]
pub(crate) struct Slots {
    pub(crate) membership: Slot<MembershipMsg>,
    pub(crate) committer: Slot<CommitterMsg>,
    pub(crate) fetchers: Slot<FetchersMsg>,
    pub(crate) partitions: Slot<PartitionsMsg>,
}

/// Who we are to the group, as membership last knew.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity {
    pub(crate) generation: Generation,
    pub(crate) coordinator: Option<i32>,
}

/// Counts for the report at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) records: u64,
    pub(crate) redelivered: u64,
    pub(crate) commits: u64,
    pub(crate) rebalances: u64,
    pub(crate) handler_failures: u64,
}

/// What the application chose.
pub(crate) struct Settings {
    pub(crate) topics: BTreeSet<String>,
    pub(crate) policy: HandlerPolicy,
    pub(crate) factory: Factory,
    /// Records go to one stream instead of handlers; what it has not given out needs no waiting for.
    pub(crate) is_stream: bool,
    pub(crate) drain_timeout: Duration,
}

pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) group_id: Arc<str>,
    pub(crate) settings: Settings,
    pub(crate) events: EventSender,
    pub(crate) slots: Slots,
    pub(crate) credit: Mutex<FetchCredit>,
    identity: Mutex<Identity>,
    cells: Mutex<BTreeMap<TopicPartition, Arc<Cell>>>,
    totals: Mutex<Totals>,
    unfinished: Mutex<BTreeSet<TopicPartition>>,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(
        client: Client,
        group_id: Arc<str>,
        settings: Settings,
        events: EventSender,
    ) -> Self {
        let config = client.config();
        let share = usize::try_from(config.max_partition_fetch_bytes).unwrap_or(usize::MAX);
        let credit = Mutex::new(FetchCredit::new(config.queued_max_bytes, share.max(1)));
        Self {
            client,
            group_id,
            settings,
            events,
            slots: Slots::default(),
            credit,
            identity: Mutex::default(),
            cells: Mutex::default(),
            totals: Mutex::default(),
            unfinished: Mutex::default(),
        }
    }

    pub(crate) fn identity(&self) -> Identity {
        lock(&self.identity).clone()
    }

    /// Returns what was there before.
    pub(crate) fn set_identity(&self, identity: Identity) -> Identity {
        std::mem::replace(&mut *lock(&self.identity), identity)
    }

    /// The partitions that may be committed.
    pub(crate) fn cells(&self) -> BTreeMap<TopicPartition, Arc<Cell>> {
        lock(&self.cells).clone()
    }

    pub(crate) fn hold(&self, cell: Arc<Cell>) {
        lock(&self.credit).open(cell.partition.clone());
        lock(&self.cells).insert(cell.partition.clone(), cell);
    }

    /// Lets go of a partition, unless it was assigned anew meanwhile.
    pub(crate) fn let_go(&self, cell: &Arc<Cell>) {
        let mut cells = lock(&self.cells);
        if cells
            .get(&cell.partition)
            .is_some_and(|held| Arc::ptr_eq(held, cell))
        {
            cells.remove(&cell.partition);
            drop(cells);
            lock(&self.credit).close(&cell.partition);
            self.lag_gauge(&cell.partition).set(0.0);
            self.show_buffered();
        }
    }

    /// Nothing of these may be committed any more; what works on them hears of it in its turn.
    pub(crate) fn disown(&self, partitions: &BTreeSet<TopicPartition>) {
        self.note_unfinished(partitions.iter().cloned());
        let cells = self.cells();
        for cell in partitions.iter().filter_map(|one| cells.get(one)) {
            self.let_go(cell);
        }
    }

    /// Records of a partition were worked off or thrown away; tells its fetcher if it waits for that.
    pub(crate) fn give_back(&self, partition: &TopicPartition, bytes: usize) {
        let resumes = lock(&self.credit).give_back(partition, bytes);
        if resumes {
            self.slots
                .fetchers
                .cast(FetchersMsg::Wake(partition.clone()));
        }
    }

    pub(crate) fn show_buffered(&self) {
        #[expect(clippy::cast_precision_loss, reason = "a gauge of bytes")]
        let bytes = lock(&self.credit).buffered_bytes() as f64;
        gauge!(CONSUMER_BUFFERED_BYTES, "group" => self.group_id.to_string()).set(bytes);
    }

    pub(crate) fn show_lag(&self, cell: &Cell) {
        let progress = cell.progress();
        if progress.high_watermark >= 0 && cell.is_owner() {
            #[expect(clippy::cast_precision_loss, reason = "a gauge of records")]
            let lag = (progress.high_watermark - progress.acknowledged).max(0) as f64;
            self.lag_gauge(&cell.partition).set(lag);
        }
    }

    fn lag_gauge(&self, partition: &TopicPartition) -> metrics::Gauge {
        gauge!(
            CONSUMER_LAG_RECORDS,
            "group" => self.group_id.to_string(),
            "topic" => partition.topic.to_string(),
            "partition" => partition.partition.to_string()
        )
    }

    pub(crate) fn count(&self, add: impl FnOnce(&mut Totals)) {
        add(&mut lock(&self.totals));
    }

    /// Partitions were given up with something unfinished or uncommitted.
    pub(crate) fn note_unfinished(&self, partitions: impl IntoIterator<Item = TopicPartition>) {
        lock(&self.unfinished).extend(partitions);
    }

    /// Those noted since the last call.
    pub(crate) fn take_unfinished(&self) -> BTreeSet<TopicPartition> {
        std::mem::take(&mut *lock(&self.unfinished))
    }

    pub(crate) fn totals(&self) -> Totals {
        *lock(&self.totals)
    }
}
