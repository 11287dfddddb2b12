//! What the actors of one consumer share: the client, who we are in the group, the partitions we hold, and where to
//! send to each actor. Every lock in here is held for a few instructions and never across an await.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use callboard_client::{Client, TopicPartition};
use callboard_supervision::Addr;
use metrics::{Gauge, gauge};

use crate::assigned::Starts;
use crate::committer::CommitterMsg;
use crate::core::fetch_credit::Budget;
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
    /// First thing of an actor, before it reads the shared state: what is sent later waits for it, what was sent before
    /// is in that state.
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
    /// A JoinGroup is out whose assignment is not there yet.
    pub(crate) is_joining: bool,
}

impl Identity {
    /// The generation that a commit may be sent under now.
    pub(crate) fn commits_under(&self) -> Option<i32> {
        self.generation.current().filter(|_| !self.is_joining)
    }
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
    /// What the application assigned; none for a member of a group.
    pub(crate) assigned: Option<Starts>,
}

/// What is ours. Under one lock: what was lost must not come to be held afterwards.
#[derive(Default)]
struct Holdings {
    /// What the group, or the application, gave us.
    owned: BTreeSet<TopicPartition>,
    /// Those of which it is known where they begin, and those on their way out: they may be committed.
    cells: BTreeMap<TopicPartition, Arc<Cell>>,
}

impl Holdings {
    fn holds(&self, cell: &Arc<Cell>) -> bool {
        let held = self.cells.get(&cell.partition);
        held.is_some_and(|held| Arc::ptr_eq(held, cell))
    }
}

pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) group_id: Arc<str>,
    pub(crate) settings: Settings,
    pub(crate) events: EventSender,
    pub(crate) slots: Slots,
    budget: Budget,
    /// Bytes of fetched batches that exist, of all partitions.
    buffered_bytes: AtomicUsize,
    buffered_gauge: Gauge,
    /// How many partitions are held: each has its share of the budget.
    held: AtomicUsize,
    /// Who may handle a partition now. Belongs to the handler itself and ends with it, so that the next one, of
    /// whatever assignment and whoever starts it, waits for its end. As many as there ever were partitions here.
    turns: Mutex<BTreeMap<TopicPartition, Turn>>,
    identity: Mutex<Identity>,
    holdings: Mutex<Holdings>,
    /// Assigned, of a topic that was deleted under this member and is there again, and not known yet where it begins.
    reborn: Mutex<BTreeSet<TopicPartition>>,
    totals: Mutex<Totals>,
    unfinished: Mutex<BTreeSet<TopicPartition>>,
}

/// The right to handle a partition.
pub(crate) type Turn = Arc<tokio::sync::Mutex<()>>;

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
        let budget = Budget::new(config.queued_max_bytes, share.max(1));
        let buffered_gauge = gauge!(CONSUMER_BUFFERED_BYTES, "group" => group_id.to_string());
        Self {
            client,
            group_id,
            settings,
            events,
            slots: Slots::default(),
            budget,
            buffered_bytes: AtomicUsize::new(0),
            buffered_gauge,
            held: AtomicUsize::new(0),
            turns: Mutex::default(),
            identity: Mutex::default(),
            holdings: Mutex::default(),
            reborn: Mutex::default(),
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
        lock(&self.holdings).cells.clone()
    }

    /// These are ours, and no others. Said before anybody begins to consume them.
    pub(crate) fn own(&self, owned: &BTreeSet<TopicPartition>) {
        lock(&self.holdings).owned.clone_from(owned);
    }

    /// It may be committed from now on. False, and it may not, if it was lost meanwhile.
    pub(crate) fn hold(&self, cell: &Arc<Cell>) -> bool {
        let mut holdings = lock(&self.holdings);
        if !holdings.owned.contains(&cell.partition) {
            return false;
        }
        let cells = &mut holdings.cells;
        cells.insert(cell.partition.clone(), Arc::clone(cell));
        self.held.store(cells.len(), Ordering::Relaxed);
        true
    }

    /// Whether it may be committed.
    pub(crate) fn holds(&self, cell: &Arc<Cell>) -> bool {
        lock(&self.holdings).holds(cell)
    }

    /// Lets go of a partition, unless it was assigned anew meanwhile.
    pub(crate) fn let_go(&self, cell: &Arc<Cell>) {
        let mut holdings = lock(&self.holdings);
        if holdings.holds(cell) {
            let cells = &mut holdings.cells;
            cells.remove(&cell.partition);
            self.held.store(cells.len(), Ordering::Relaxed);
            drop(holdings);
            self.lag_gauge(&cell.partition).set(0.0);
        }
    }

    /// Nothing of these may be committed any more; what works on them hears of it in its turn.
    pub(crate) fn disown(&self, partitions: &BTreeSet<TopicPartition>) {
        self.note_unfinished(partitions.iter().cloned());
        let cells = {
            let mut holdings = lock(&self.holdings);
            holdings.owned.retain(|one| !partitions.contains(one));
            holdings.cells.clone()
        };
        for cell in partitions.iter().filter_map(|one| cells.get(one)) {
            self.let_go(cell);
        }
    }

    /// The same of everything.
    pub(crate) fn disown_all(&self) {
        let all = {
            let holdings = lock(&self.holdings);
            let held = holdings.cells.keys();
            holdings.owned.iter().chain(held).cloned().collect()
        };
        self.disown(&all);
    }

    /// An assignment of `owned`: `reborn` of it begin at their first record. What was to and is not ours any more is
    /// whoever's it is now.
    pub(crate) fn reborn(
        &self,
        owned: &BTreeSet<TopicPartition>,
        reborn: BTreeSet<TopicPartition>,
    ) {
        let mut all = lock(&self.reborn);
        all.retain(|one| owned.contains(one));
        all.extend(reborn);
    }

    /// Whether it begins at its first record.
    pub(crate) fn is_reborn(&self, partition: &TopicPartition) -> bool {
        lock(&self.reborn).contains(partition)
    }

    /// Where it begins is known: from now on what is committed of it counts.
    pub(crate) fn begun(&self, partition: &TopicPartition) {
        lock(&self.reborn).remove(partition);
    }

    /// The bytes that a partition may hold fetched and not worked off.
    pub(crate) fn share(&self) -> usize {
        self.budget.share(self.held.load(Ordering::Relaxed))
    }

    /// So many bytes of fetched batches have come to be, and so many are no more.
    pub(crate) fn buffered(&self, more: usize, less: usize) {
        self.buffered_bytes.fetch_add(more, Ordering::Relaxed);
        let before = self.buffered_bytes.fetch_sub(less, Ordering::Relaxed);
        #[expect(clippy::cast_precision_loss, reason = "a gauge of bytes")]
        let bytes = before.saturating_sub(less) as f64;
        self.buffered_gauge.set(bytes);
    }

    /// Bytes of fetched batches that exist.
    #[cfg(test)]
    pub(crate) fn buffered_bytes(&self) -> usize {
        self.buffered_bytes.load(Ordering::Relaxed)
    }

    /// Has the supervisor of handlers carry out what the partition's core asks for, if anything. One that is just being
    /// restarted looks at every partition.
    pub(crate) fn act(&self, cell: &Arc<Cell>) {
        if cell.has_effects() {
            let act = PartitionsMsg::Act(Arc::clone(cell));
            self.slots.partitions.cast(act);
        }
    }

    /// The right to handle `partition`, to be locked by its handler.
    pub(crate) fn turn(&self, partition: &TopicPartition) -> Turn {
        Arc::clone(lock(&self.turns).entry(partition.clone()).or_default())
    }

    pub(crate) fn show_lag(&self, cell: &Cell) {
        if let Some(progress) = cell.progress()
            && let Some(high_watermark) = progress.high_watermark
            && cell.is_owner()
        {
            #[expect(clippy::cast_precision_loss, reason = "a gauge of records")]
            let lag = (high_watermark - progress.acknowledged).max(0) as f64;
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
