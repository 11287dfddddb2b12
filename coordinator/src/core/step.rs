//! What one step works with besides its group: the moment, the settings, the deadlines, and where effects go.

use std::collections::BTreeMap;
use std::sync::Arc;

use callboard_protocol::ErrorCode;

use super::effect::{Effect, Event, Response};
use super::input::{AppendId, Fetch, RequestId};
use super::timers::{Due, Millis, Timer, TimerKind, Timers};
use super::topics::Topics;
use crate::{CoordinatorConfig, response};

/// The settings as steps use them.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) initial_delay_ms: u64,
    pub(super) session_min_ms: i64,
    pub(super) session_max_ms: i64,
    pub(super) group_size_max: usize,
    pub(super) metadata_units_max: usize,
    pub(super) retention_ms: i64,
    /// Committed offsets of which no more fit in a batch of the log.
    pub(super) commit_records_max: usize,
}

/// A committed offset takes more than that in a batch, whatever its names are.
const RECORD_BYTES_LEAST: usize = 32;

impl Settings {
    pub(super) fn new(config: &CoordinatorConfig) -> Self {
        let signed =
            |duration: std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self {
            initial_delay_ms: signed(config.group_initial_rebalance_delay).unsigned_abs(),
            session_min_ms: signed(config.group_min_session_timeout),
            session_max_ms: signed(config.group_max_session_timeout),
            group_size_max: config.group_max_size,
            metadata_units_max: config.offset_metadata_max_bytes,
            retention_ms: signed(config.offsets_retention),
            commit_records_max: usize::MAX,
        }
    }

    /// The log takes batches of so many bytes.
    pub(super) fn batches_of(&mut self, bytes_max: usize) {
        self.commit_records_max = bytes_max / RECORD_BYTES_LEAST + 1;
    }
}

/// Appends that have not been answered, by the group they belong to.
#[derive(Debug, Default)]
pub(super) struct Appends {
    given: u64,
    pub(super) in_flight: BTreeMap<AppendId, Arc<str>>,
}

impl Appends {
    pub(super) fn give(&mut self, group_id: &Arc<str>) -> AppendId {
        self.given += 1;
        let append_id = AppendId(self.given);
        self.in_flight.insert(append_id, Arc::clone(group_id));
        append_id
    }

    pub(super) fn last(&self) -> AppendId {
        AppendId(self.given)
    }
}

/// See the module.
pub(super) struct Step<'a> {
    pub(super) now: Millis,
    pub(super) wall_ms: i64,
    pub(super) settings: &'a Settings,
    pub(super) timers: &'a mut Timers,
    pub(super) appends: &'a mut Appends,
    pub(super) topics: &'a Topics,
    pub(super) effects: &'a mut Vec<Effect>,
}

impl Step<'_> {
    /// Sets `timer` to go off after `delay_ms`.
    pub(super) fn arm(
        &mut self,
        timer: &mut Timer,
        delay_ms: u64,
        group_id: &Arc<str>,
        kind: impl FnOnce() -> TimerKind,
    ) {
        let deadline = self.now.saturating_add(delay_ms);
        self.timers.arm(timer, deadline, || Due {
            group_id: Arc::clone(group_id),
            kind: kind(),
        });
    }

    pub(super) fn note(&mut self, event: Event) {
        self.effects.push(Effect::Note(event));
    }

    pub(super) fn answer(&mut self, id: RequestId, response: Response) {
        self.effects.push(Effect::Answer { id, response });
    }

    /// Has a fetch answered by what is stored behind the group's appends.
    pub(super) fn fetch(&mut self, id: RequestId, group_id: &Arc<str>, fetch: Fetch) {
        self.effects.push(Effect::Fetch {
            id,
            group_id: Arc::clone(group_id),
            fetch,
        });
    }

    pub(super) fn refuse_join(&mut self, id: RequestId, error: ErrorCode, member_id: &str) {
        self.answer(
            id,
            Response::Join(response::JoinGroup::refused(error, member_id)),
        );
    }

    pub(super) fn refuse_sync(&mut self, id: RequestId, error: ErrorCode) {
        self.answer(id, Response::Sync(response::SyncGroup::refused(error)));
    }
}
