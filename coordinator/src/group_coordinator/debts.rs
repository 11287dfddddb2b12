//! The answers a coordinator owes: those its core has not given yet, and those its writer gives when a commit lands.
//! Whatever happens to the coordinator, dropping them answers that it is not available.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::core::RequestId;
use crate::owed::Owed;

/// What is owed to commits on their way to the disk, by the first of those that go there together. Two may give the
/// answers: the writer when the commits land, the coordinator when that takes too long. Who comes first, takes them.
#[derive(Clone, Default)]
pub(super) struct Landing(Arc<Mutex<BTreeMap<RequestId, Vec<Owed>>>>);

impl Landing {
    /// In the order they were given; nothing if the coordinator has them.
    pub(super) fn take(&self, first: RequestId) -> Vec<Owed> {
        self.lock().remove(&first).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<RequestId, Vec<Owed>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Debts {
    asked: BTreeMap<RequestId, Owed>,
    landing: Landing,
    /// Of all that is landing.
    deadlines: VecDeque<(Duration, RequestId)>,
}

impl Debts {
    pub(super) fn owe(&mut self, id: RequestId, owed: Owed) {
        self.asked.insert(id, owed);
    }

    /// The answer to a request, to be given now.
    pub(super) fn take(&mut self, id: RequestId) -> Option<Owed> {
        self.asked.remove(&id)
    }

    /// Drops what is owed to requests about `group_id`, which refuses them.
    pub(super) fn drop_group(&mut self, group_id: &str) {
        self.asked.retain(|_, owed| !owed.is_about(group_id));
    }

    /// All that is owed to requests the core has not answered.
    pub(super) fn take_all(&mut self) -> Vec<Owed> {
        std::mem::take(&mut self.asked).into_values().collect()
    }

    /// Commits go to the disk together: the writer can answer them from now on, and [`overdue`](Self::overdue) after
    /// `deadline`.
    pub(super) fn land(
        &mut self,
        first: RequestId,
        owed: Vec<Owed>,
        deadline: Duration,
    ) -> Landing {
        self.landing.lock().insert(first, owed);
        self.deadlines.push_back((deadline, first));
        self.landing.clone()
    }

    /// Answers nobody has given in time.
    pub(super) fn overdue(&mut self, now: Duration) -> Vec<Owed> {
        let mut overdue = Vec::new();
        while let Some((deadline, first)) = self.deadlines.front()
            && *deadline <= now
        {
            overdue.extend(self.landing.take(*first));
            self.deadlines.pop_front();
        }
        overdue
    }

    /// When [`overdue`](Self::overdue) has something.
    pub(super) fn next_deadline(&mut self) -> Option<Duration> {
        let landing = self.landing.lock();
        while let Some((_, first)) = self.deadlines.front()
            && !landing.contains_key(first)
        {
            self.deadlines.pop_front();
        }
        self.deadlines.front().map(|(deadline, _)| *deadline)
    }
}
