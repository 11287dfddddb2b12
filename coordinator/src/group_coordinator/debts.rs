//! The answers a coordinator owes: those its core has not given yet, and those its writer gives when a commit lands.
//! Whatever happens to the coordinator, dropping them answers that it is not available.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::core::RequestId;
use crate::owed::Owed;

/// What is owed to commits on their way to the disk. Two may give an answer: the writer when the commit lands, the
/// coordinator when that takes too long. Who comes first, takes it.
#[derive(Clone, Default)]
pub(super) struct Landing(Arc<Mutex<BTreeMap<RequestId, Owed>>>);

impl Landing {
    /// None if it is given.
    pub(super) fn take(&self, id: RequestId) -> Option<Owed> {
        self.lock().remove(&id)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<RequestId, Owed>> {
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

    /// A commit goes to the disk: the writer can answer it from now on, and [`overdue`](Self::overdue) after `deadline`.
    /// False if nothing is owed to it.
    pub(super) fn lands(&mut self, id: RequestId, deadline: Duration) -> bool {
        let Some(owed) = self.asked.remove(&id) else {
            return false;
        };
        self.landing.lock().insert(id, owed);
        self.deadlines.push_back((deadline, id));
        true
    }

    pub(super) fn landing(&self) -> &Landing {
        &self.landing
    }

    /// Answers nobody has given in time.
    pub(super) fn overdue(&mut self, now: Duration) -> Vec<Owed> {
        let mut overdue = Vec::new();
        while let Some((deadline, id)) = self.deadlines.front()
            && *deadline <= now
        {
            overdue.extend(self.landing.take(*id));
            self.deadlines.pop_front();
        }
        overdue
    }

    /// When [`overdue`](Self::overdue) has something.
    pub(super) fn next_deadline(&mut self) -> Option<Duration> {
        let landing = self.landing.lock();
        while let Some((_, id)) = self.deadlines.front()
            && !landing.contains_key(id)
        {
            self.deadlines.pop_front();
        }
        self.deadlines.front().map(|(deadline, _)| *deadline)
    }
}
