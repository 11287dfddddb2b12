//! The answers a coordinator owes: those its core has not given yet, and those its writer gives when a commit lands.
//! Whatever happens to the coordinator, dropping them answers that it is not available.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use callboard_protocol::ErrorCode;
use tokio::time::Instant;

use crate::core::{RequestId, Response};
use crate::metrics::{Api, RequestMeter, error_of};
use crate::owed::Port;

/// One answer that is owed.
pub(super) struct Owed {
    /// None for ListGroups.
    pub(super) group_id: Option<Arc<str>>,
    pub(super) api: Api,
    pub(super) since: Instant,
    pub(super) port: Port,
}

impl Owed {
    pub(super) fn answer(self, response: Response, meter: &RequestMeter) {
        meter.answered(self.api, error_of(&response));
        if !self.api.parks() {
            meter.took(self.api, self.since.elapsed());
        }
        self.port.answer(response);
    }

    pub(super) fn refuse(self, error: ErrorCode, meter: &RequestMeter) {
        meter.answered(self.api, error);
        self.port.refuse(error);
    }
}

/// An answer two may give: the writer when the commit lands, the coordinator when it takes too long. Who comes first,
/// gives it.
#[derive(Clone)]
pub(super) struct Lent(Arc<Mutex<Option<Owed>>>);

impl Lent {
    /// None if it is given.
    pub(super) fn take(&self) -> Option<Owed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn is_given(&self) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_none()
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Debts {
    asked: BTreeMap<RequestId, Owed>,
    /// By deadline.
    lent: VecDeque<(Duration, Lent)>,
}

impl Debts {
    pub(super) fn owe(&mut self, id: RequestId, owed: Owed) {
        self.asked.insert(id, owed);
    }

    /// The answer to a request, to be given now.
    pub(super) fn take(&mut self, id: RequestId) -> Option<Owed> {
        self.asked.remove(&id)
    }

    /// All that is owed to requests about `group_id`.
    pub(super) fn take_group(&mut self, group_id: &Arc<str>) -> Vec<Owed> {
        let about = |owed: &Owed| owed.group_id.as_ref() == Some(group_id);
        let all = std::mem::take(&mut self.asked);
        let (of_group, others) = all.into_iter().partition(|(_, owed)| about(owed));
        self.asked = others;
        BTreeMap::into_values(of_group).collect()
    }

    /// All that is owed to requests the core has not answered.
    pub(super) fn take_all(&mut self) -> Vec<Owed> {
        std::mem::take(&mut self.asked).into_values().collect()
    }

    /// Puts an answer where the writer can give it, and [`overdue`](Self::overdue) after `deadline`.
    pub(super) fn lend(&mut self, deadline: Duration, owed: Owed) -> Lent {
        let lent = Lent(Arc::new(Mutex::new(Some(owed))));
        self.lent.push_back((deadline, lent.clone()));
        lent
    }

    /// Answers nobody has given in time.
    pub(super) fn overdue(&mut self, now: Duration) -> Vec<Owed> {
        let mut overdue = Vec::new();
        while let Some((deadline, lent)) = self.lent.front()
            && *deadline <= now
        {
            overdue.extend(lent.take());
            self.lent.pop_front();
        }
        overdue
    }

    /// When [`overdue`](Self::overdue) has something.
    pub(super) fn next_deadline(&mut self) -> Option<Duration> {
        while self.lent.front().is_some_and(|(_, lent)| lent.is_given()) {
            self.lent.pop_front();
        }
        self.lent.front().map(|(deadline, _)| *deadline)
    }
}
