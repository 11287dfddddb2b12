//! All groups of one offsets partition: the core of a GroupCoordinator.
//!
//! A step takes one input about one group, and never looks at another. What a group that is not there answers is here;
//! the rules of one that is are in [`group`](super::classic::group) and the files beside it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use callboard_protocol::ErrorCode;

use super::classic::describe::Filter;
use super::classic::group::{Group, InFlight, State, Waiting};
use super::classic::leave;
use super::effect::{Effect, RebalanceReason, Response};
use super::input::{AppendId, GroupRequest, Input, Now, RequestId, StoredGroup};
use super::offsets::commit::{absent_refusal, commit_to};
use super::refusal::{early_refusal, loading, refused};
use super::step::{Appends, Settings, Step};
use super::timers::{Millis, Timers};
use super::topics::Topics;
use crate::request::ListGroups;
use crate::{CoordinatorConfig, TopicsImage, response};

/// A group's place in the map. KIP-848's groups will be another variant.
#[derive(Debug)]
enum Slot {
    Classic(Box<Group>),
    /// Evicted; comes back with [`Input::Rebuilt`].
    Rebuilding,
}

#[derive(Debug)]
enum Serving {
    Loading,
    /// Loaded, and first rid of what is stored for topics that are gone. For others it is loading: nobody is a member
    /// yet whose session could end.
    Forgetting(Vec<StoredGroup>),
    Open,
    Closed,
}

/// How many groups are in each state, and how many members they have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// By [`State::ALL`].
    pub groups: [usize; State::ALL.len()],
    /// Members of all groups.
    pub members: usize,
}

/// See the module.
#[derive(Debug)]
pub struct Groups {
    settings: Settings,
    serving: Serving,
    topics: Topics,
    slots: BTreeMap<Arc<str>, Slot>,
    timers: Timers,
    /// Time that was given because nobody was heard, in all: deadlines are on a clock that stands still meanwhile. So none
    /// of them comes before whoever spoke in that time has been heard, not a session's and not a join phase's, whose
    /// members are as dead when it ends without them. And however many there are, they move at once.
    lost_ms: Millis,
    /// Until when, on the steady clock, deadlines were moved the last time to hear who speaks.
    extended_until_ms: Millis,
    appends: Appends,
    /// ListGroups, each with the last append it waits for.
    lists: Vec<(AppendId, RequestId, ListGroups)>,
    census: Census,
}

impl Groups {
    /// A coordinator that is still loading, with the topics there are.
    #[must_use]
    pub fn new(config: &CoordinatorConfig, topics: Arc<TopicsImage>) -> Self {
        Self {
            settings: Settings::new(config),
            serving: Serving::Loading,
            topics: Topics::new(topics),
            slots: BTreeMap::new(),
            timers: Timers::default(),
            lost_ms: 0,
            extended_until_ms: 0,
            appends: Appends::default(),
            lists: Vec::new(),
            census: Census::default(),
        }
    }

    /// The same over a log that takes batches of so many bytes: of what is larger, no more is made than shows it.
    #[must_use]
    pub fn batches_of(mut self, bytes_max: usize) -> Self {
        self.settings.batches_of(bytes_max);
        self
    }

    /// Takes one input. Effects are added to `effects`, to be performed in their order.
    pub fn step(&mut self, now: Now, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::Loaded(stored) => self.load(now, stored, effects),
            Input::Ask {
                id,
                group_id,
                request,
            } => self.ask(now, id, &group_id, request, effects),
            Input::List { id, request } => self.list(id, request, effects),
            Input::Durable { append_id, outcome } => {
                if let Some(group_id) = self.appends.in_flight.remove(&append_id) {
                    self.with_group(now, &group_id, effects, |group, step| {
                        group.landed(step, append_id, outcome)
                    });
                }
                self.answer_lists(effects);
            }
            Input::Tick { group_id } => self.tick(now, &group_id, effects),
            Input::Expire { group_id } => self.with_group(now, &group_id, effects, Group::expire),
            Input::Rebuilt(stored) => {
                self.rebuilt(now, stored, effects);
                // Appends of the evicted group are not waited for, and may never come.
                self.answer_lists(effects);
            }
            Input::Topics(image) => {
                self.topics.learn(image);
                self.forget(now, effects);
            }
            Input::Forgot { id, outcome } => {
                let now_ms = self.heard_ms(now.steady);
                self.topics.forgot(now_ms, id, outcome, effects);
                self.open_if_clean(now, effects);
            }
            Input::ForgetAgain => self.forget(now, effects),
            Input::Late { by } => {
                // Once for the time that was lost, which brings the deadline it was late to no further than to now, and
                // once to hear who speaks now; that not for a deadline that was already extended so, or a coordinator
                // that is always late would end nothing.
                let (now_ms, by_ms) = (millis(now.steady), millis(by));
                self.lost_ms = self.lost_ms.saturating_add(by_ms);
                if millis(now.steady.saturating_sub(by)) > self.extended_until_ms {
                    self.lost_ms = self.lost_ms.saturating_add(by_ms);
                    self.extended_until_ms = now_ms.saturating_add(by_ms);
                }
            }
            Input::Close => self.close(now, effects),
        }
    }

    /// When [`due`](Self::due) may next have something, on the steady clock.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let deadlines = [self.timers.next(), self.topics.again_at()];
        let first = deadlines.into_iter().flatten().min();
        first.map(|at| Duration::from_millis(at.saturating_add(self.lost_ms)))
    }

    /// The time deadlines are measured by.
    fn heard_ms(&self, steady: Duration) -> Millis {
        millis(steady).saturating_sub(self.lost_ms)
    }

    /// What time has brought. To be asked, and stepped, until there is nothing.
    #[must_use]
    pub fn due(&self, steady: Duration) -> Option<Input> {
        let now = self.heard_ms(steady);
        if self.topics.again_at().is_some_and(|at| at <= now) {
            return Some(Input::ForgetAgain);
        }
        let group_id = Arc::clone(&self.timers.due(now)?.group_id);
        Some(Input::Tick { group_id })
    }

    /// How many groups there are in which state.
    #[must_use]
    pub fn census(&self) -> Census {
        self.census
    }

    /// Every group there is, for [`Input::Expire`].
    #[must_use]
    pub fn group_ids(&self) -> Vec<Arc<str>> {
        self.slots.keys().cloned().collect()
    }

    /// Throws a group away whose step failed half way: what it is cannot be known. Gives every request it still owed an
    /// answer. Until [`Input::Rebuilt`] it is as if it were loading. What the failed step wanted done must not be done.
    pub fn evict(&mut self, group_id: &Arc<str>) -> Vec<RequestId> {
        // What it awaited does not concern its next life, and some of it may never have been sent.
        self.appends.in_flight.retain(|_, of| of != group_id);
        let Some(slot) = self.slots.get_mut(group_id) else {
            return Vec::new();
        };
        match std::mem::replace(slot, Slot::Rebuilding) {
            Slot::Rebuilding => Vec::new(),
            Slot::Classic(group) => {
                self.census.change(group.counted, None);
                group.owed()
            }
        }
    }

    fn context<'a>(
        &'a mut self,
        now: Now,
        effects: &'a mut Vec<Effect>,
    ) -> (&'a mut BTreeMap<Arc<str>, Slot>, Step<'a>) {
        let step = Step {
            now: self.heard_ms(now.steady),
            wall_ms: now.wall_ms,
            settings: &self.settings,
            timers: &mut self.timers,
            appends: &mut self.appends,
            topics: &self.topics,
            effects,
        };
        (&mut self.slots, step)
    }

    fn load(&mut self, now: Now, stored: Vec<StoredGroup>, effects: &mut Vec<Effect>) {
        self.serving = Serving::Forgetting(stored);
        self.forget(now, effects);
    }

    /// Has forgotten what is due, if there is somebody to do it.
    fn forget(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if let Serving::Forgetting(_) | Serving::Open = self.serving {
            self.topics.forget(effects);
            self.open_if_clean(now, effects);
        }
    }

    fn open_if_clean(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Serving::Forgetting(stored) = &mut self.serving else {
            return;
        };
        if !self.topics.are_clean() {
            return;
        }
        let stored = std::mem::take(stored);
        self.serving = Serving::Open;
        effects.push(Effect::Opened);
        for group in stored {
            self.restore(now, group, effects);
        }
    }

    fn restore(&mut self, now: Now, stored: StoredGroup, effects: &mut Vec<Effect>) {
        let group_id = Arc::clone(&stored.group_id);
        let (slots, mut step) = self.context(now, effects);
        match Group::restore(&mut step, stored) {
            Some(group) => slots.insert(Arc::clone(&group_id), Slot::Classic(Box::new(group))),
            None => slots.remove(&group_id),
        };
        self.with_group(now, &group_id, effects, |group, step| {
            if group.members.len() > step.settings.group_size_max {
                group.begin_rebalance(step, RebalanceReason::OverCapacity);
            }
        });
    }

    fn rebuilt(&mut self, now: Now, stored: StoredGroup, effects: &mut Vec<Effect>) {
        match self.slots.get(&stored.group_id) {
            Some(Slot::Rebuilding) => self.restore(now, stored, effects),
            Some(Slot::Classic(_)) => {
                let group_id = Arc::clone(&stored.group_id);
                self.with_group(now, &group_id, effects, |group, _| group.expired(&stored));
            }
            None => {}
        }
    }

    fn ask(
        &mut self,
        now: Now,
        id: RequestId,
        group_id: &Arc<str>,
        request: GroupRequest,
        effects: &mut Vec<Effect>,
    ) {
        let (_, step) = self.context(now, effects);
        if let Some(response) = early_refusal(&step, group_id, &request) {
            return effects.push(Effect::Answer { id, response });
        }
        match self.serving {
            Serving::Open => {}
            Serving::Loading | Serving::Forgetting(_) => {
                let response = loading(&request, group_id);
                return effects.push(Effect::Answer { id, response });
            }
            Serving::Closed => {
                let response = refused(&request, group_id, ErrorCode::COORDINATOR_NOT_AVAILABLE);
                return effects.push(Effect::Answer { id, response });
            }
        }
        match self.slots.get(group_id) {
            Some(Slot::Classic(_)) => self.with_group(now, group_id, effects, |group, step| {
                group.ask(step, id, request)
            }),
            Some(Slot::Rebuilding) => {
                let response = loading(&request, group_id);
                effects.push(Effect::Answer { id, response });
            }
            None => self.ask_absent(now, id, group_id, request, effects),
        }
    }

    /// What a group that is not there answers, or how it comes to be.
    fn ask_absent(
        &mut self,
        now: Now,
        id: RequestId,
        group_id: &Arc<str>,
        request: GroupRequest,
        effects: &mut Vec<Effect>,
    ) {
        let response = match request {
            GroupRequest::Join { join, uuid } if join.member_id.is_empty() => {
                return self.found(
                    now,
                    group_id,
                    Waiting::Ask(id, GroupRequest::Join { join, uuid }),
                    effects,
                );
            }
            GroupRequest::Commit(commit) => match absent_refusal(&commit) {
                None => return self.found_simple(now, id, group_id, &commit, effects),
                Some(error) => Response::Commit(super::CommitOutcome::All(error)),
            },
            GroupRequest::Fetch(fetch) => {
                let (_, mut step) = self.context(now, effects);
                return step.fetch(id, group_id, fetch);
            }
            GroupRequest::Leave(leave) => Response::Leave(leave::absent(leave)),
            GroupRequest::Join { .. } | GroupRequest::Sync(_) | GroupRequest::Heartbeat(_) => {
                refused(&request, group_id, ErrorCode::UNKNOWN_MEMBER_ID)
            }
            GroupRequest::Describe | GroupRequest::Delete | GroupRequest::DeleteOffsets(_) => {
                refused(&request, group_id, ErrorCode::GROUP_ID_NOT_FOUND)
            }
        };
        effects.push(Effect::Answer { id, response });
    }

    /// A first JoinGroup makes a group. It is written before anybody hears of it, an id that is given out included.
    fn found(&mut self, now: Now, group_id: &Arc<str>, join: Waiting, effects: &mut Vec<Effect>) {
        let mut group = Group::new(Arc::clone(group_id));
        let (slots, mut step) = self.context(now, effects);
        let value = group.to_value(step.wall_ms);
        let append_id = group.append(&mut step, &value);
        group.in_flight = Some((append_id, InFlight::Founding(Some(Box::new(value)))));
        group.waiting.push_back(join);
        slots.insert(Arc::clone(group_id), Slot::Classic(Box::new(group)));
    }

    /// A commit without a generation makes a group of simple consumers, which no record but its commits tells of.
    fn found_simple(
        &mut self,
        now: Now,
        id: RequestId,
        group_id: &Arc<str>,
        commit: &super::Commit,
        effects: &mut Vec<Effect>,
    ) {
        let mut group = Group::new(Arc::clone(group_id));
        let (slots, mut step) = self.context(now, effects);
        let append_id = step.appends.give(group_id);
        if commit_to(&mut step, id, group_id, commit, Some(append_id)) {
            group.in_flight = Some((append_id, InFlight::Founding(None)));
            slots.insert(Arc::clone(group_id), Slot::Classic(Box::new(group)));
        } else {
            step.appends.in_flight.remove(&append_id);
        }
    }

    fn tick(&mut self, now: Now, group_id: &Arc<str>, effects: &mut Vec<Effect>) {
        let due = self.timers.due(self.heard_ms(now.steady));
        if due.is_none_or(|due| due.group_id != *group_id) {
            return;
        }
        // Out of the queue before anything else: whatever happens next, it does not come up again.
        if let Some((place, due)) = self.timers.pop(self.heard_ms(now.steady)) {
            self.with_group(now, group_id, effects, |group, step| {
                group.timer(step, place, due)
            });
        }
    }

    /// Does something to a group that is there, then what waited for it.
    fn with_group(
        &mut self,
        now: Now,
        group_id: &Arc<str>,
        effects: &mut Vec<Effect>,
        what: impl FnOnce(&mut Group, &mut Step<'_>),
    ) {
        let (slots, mut step) = self.context(now, effects);
        let Some(Slot::Classic(group)) = slots.get_mut(group_id) else {
            return;
        };
        what(group, &mut step);
        group.go_on(&mut step);
        let counted =
            (!group.gone && group.is_visible()).then(|| (group.state(), group.members.len()));
        let before = std::mem::replace(&mut group.counted, counted);
        if !group.gone {
            group.trim();
            return self.census.change(before, counted);
        }
        group.clear_timers(&mut step);
        let waiting = group.waiting.take();
        slots.remove(group_id);
        self.census.change(before, counted);
        for waiting in waiting {
            if let Waiting::Ask(id, request) = waiting {
                self.ask(now, id, group_id, request, effects);
            }
        }
    }

    /// The list waits for the changes in flight: who has seen one acknowledged must find it in the list, and so must who
    /// sent one just before on the same connection.
    fn list(&mut self, id: RequestId, request: ListGroups, effects: &mut Vec<Effect>) {
        let error = match self.serving {
            Serving::Open => {
                self.lists.push((self.appends.last(), id, request));
                return self.answer_lists(effects);
            }
            Serving::Loading | Serving::Forgetting(_) => ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
            Serving::Closed => ErrorCode::COORDINATOR_NOT_AVAILABLE,
        };
        let response = Response::List(response::ListGroups {
            error,
            groups: Vec::new(),
        });
        effects.push(Effect::Answer { id, response });
    }

    fn answer_lists(&mut self, effects: &mut Vec<Effect>) {
        let oldest = self
            .appends
            .in_flight
            .first_key_value()
            .map(|(append_id, _)| *append_id);
        while let Some((awaited, ..)) = self.lists.first()
            && oldest.is_none_or(|oldest| oldest > *awaited)
        {
            let (_, id, request) = self.lists.remove(0);
            let filter = Filter::new(&request);
            let visible = self.slots.values().filter_map(|slot| match slot {
                Slot::Classic(group) if group.is_visible() => Some(group.list()),
                _ => None,
            });
            let groups = visible.filter(|group| filter.takes(group)).collect();
            let response = Response::List(response::ListGroups {
                error: ErrorCode::NONE,
                groups,
            });
            effects.push(Effect::Answer { id, response });
        }
    }

    fn close(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.serving = Serving::Closed;
        for (_, slot) in std::mem::take(&mut self.slots) {
            let Slot::Classic(mut group) = slot else {
                continue;
            };
            let (_, mut step) = self.context(now, effects);
            group.close(&mut step);
            self.census.change(group.counted, None);
        }
        for (_, id, _) in std::mem::take(&mut self.lists) {
            // Not 16: the groups are nobody else's, and a list without them would be a wrong one.
            let refused = response::ListGroups {
                error: ErrorCode::COORDINATOR_NOT_AVAILABLE,
                groups: Vec::new(),
            };
            effects.push(Effect::Answer {
                id,
                response: Response::List(refused),
            });
        }
        self.timers = Timers::default();
        self.appends.in_flight.clear();
    }
}

impl Census {
    /// Groups in `state`.
    #[must_use]
    pub fn groups_in(&self, state: State) -> usize {
        self.groups[state as usize]
    }

    fn change(&mut self, before: Option<(State, usize)>, after: Option<(State, usize)>) {
        if let Some((state, members)) = before {
            self.groups[state as usize] -= 1;
            self.members -= members;
        }
        if let Some((state, members)) = after {
            self.groups[state as usize] += 1;
            self.members += members;
        }
    }
}

fn millis(steady: Duration) -> Millis {
    u64::try_from(steady.as_millis()).unwrap_or(u64::MAX)
}
