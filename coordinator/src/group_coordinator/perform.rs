//! The core's effects as actions: answers to the callers, appends and reads to the writer.

use std::sync::Arc;

use callboard_offsets::writer::{AppendError, Writer};
use callboard_protocol::ErrorCode;
use callboard_supervision::seldom;
use tracing::info;

use super::together::Commit;
use super::{CoordinatorMsg, State};
use crate::core::{AppendId, Committed, Effect, Event, Response, StoredGroup, fetch};
use crate::forget::forget_topic;
use crate::metrics::PartitionState;

impl State {
    /// Does one thing the core wants done, of a step about that group.
    pub(super) fn perform(&mut self, effect: Effect, about: Option<&Arc<str>>) {
        match effect {
            Effect::Answer { id, response } => {
                if let Some(owed) = self.debts.take(id) {
                    owed.answer(response);
                }
            }
            Effect::Append {
                append_id,
                group_id,
                records,
            } => {
                let durable = self.when_durable(append_id, &group_id);
                self.writer().append(group_id, records, durable);
            }
            Effect::Unwritable {
                append_id,
                group_id,
                error,
            } => {
                seldom!(warn, partition = self.partition, %group_id, %error, "a group cannot be written");
                Writer::refuse(error, self.when_durable(append_id, &group_id));
            }
            Effect::Commit {
                append_id,
                id,
                group_id,
                records,
                outcome,
            } => {
                let Some(owed) = self.debts.take(id) else {
                    return;
                };
                let durable = append_id.map(|append_id| {
                    Box::new(self.when_durable(append_id, &group_id)) as Box<dyn FnOnce(_) + Send>
                });
                let commit = Commit {
                    owed,
                    outcome,
                    durable,
                };
                self.put_together(group_id, records, id, commit);
            }
            Effect::Fetch {
                id,
                group_id,
                fetch: asked,
            } => {
                let Some(owed) = self.debts.take(id) else {
                    return;
                };
                let node = Arc::clone(&self.node);
                self.writer().read(Arc::clone(&group_id), move |index| {
                    if let Some(committed) = Committed::of(index, &group_id, &asked) {
                        // A panic drops what is owed, which refuses it.
                        drop(tokio::task::spawn_blocking(move || {
                            owed.answer(Response::Fetch(committed.fetch(&group_id, &asked)));
                        }));
                        return;
                    }
                    let image = node.told.image();
                    let answer = fetch(index, &group_id, &asked, &*image.topics);
                    owed.answer(Response::Fetch(answer));
                });
            }
            Effect::Remove {
                append_id,
                group_id,
                removal,
            } => {
                let durable = self.when_durable(append_id, &group_id);
                let of = Arc::clone(&group_id);
                let divisible = removal.is_divisible();
                let plan = move |index: &_| removal.records(&of, index);
                if divisible {
                    self.writer().change_in_parts(group_id, plan, durable);
                } else {
                    self.writer().change(group_id, plan, durable);
                }
            }
            Effect::Reload { group_id } => self.reload(group_id),
            Effect::Forget { id, topic } => {
                let myself = self.myself.clone();
                forget_topic(self.writer(), topic, move |outcome| {
                    // A coordinator that has ended forgets it anew when it is back.
                    drop(myself.cast(CoordinatorMsg::Forgot(id, outcome)));
                });
            }
            Effect::Forgotten { id } => self.node.told.has_forgotten(self.partition, id),
            Effect::Opened => {
                self.meter.loaded(self.origin.elapsed());
                self.is(PartitionState::Active);
            }
            Effect::Note(event) => {
                self.meter.note(&event);
                self.log(&event, about.map_or("", |group_id| group_id));
            }
        }
    }

    /// Has a group read back, behind its appends in flight.
    pub(super) fn reload(&mut self, group_id: Arc<str>) {
        let myself = self.myself.clone();
        self.writer().read(Arc::clone(&group_id), move |index| {
            let stored = StoredGroup::read(index, &group_id);
            // A coordinator that has ended is loaded anew.
            drop(myself.cast(CoordinatorMsg::Reloaded(stored)));
        });
    }

    fn log(&self, event: &Event, group_id: &str) {
        match event {
            Event::RebalanceStarted {
                reason,
                generation_id,
            } => info!(
                group_id,
                generation = generation_id,
                reason = reason.as_str(),
                "group rebalances"
            ),
            Event::RebalanceCompleted {
                took_ms,
                generation_id,
                members,
            } => info!(
                group_id,
                generation = generation_id,
                members,
                took_ms,
                "group is stable"
            ),
            Event::MemberExited { reason, member_id } => {
                info!(
                    group_id,
                    %member_id,
                    reason = reason.as_str(),
                    "member is gone"
                );
            }
            Event::NotForgotten {
                topic,
                error,
                failures,
            } => {
                // A full disk stays full for a while: at first, and then now and again.
                if failures.is_power_of_two() {
                    seldom!(warn,
                        partition = self.partition,
                        %topic,
                        error = error.name(),
                        failures,
                        "offsets of a deleted topic cannot be removed yet; its name is not free"
                    );
                }
            }
        }
    }

    fn when_durable(
        &self,
        append_id: AppendId,
        group_id: &Arc<str>,
    ) -> impl FnOnce(Result<(), AppendError>) + Send + 'static + use<> {
        let (myself, group_id) = (self.myself.clone(), Arc::clone(group_id));
        move |outcome| drop(myself.cast(CoordinatorMsg::Durable(append_id, group_id, outcome)))
    }
}

/// The writer's error in Kafka's words; the core and the ports translate it for clients.
pub(super) fn code(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::TooLarge { .. } | AppendError::Unwritable(_) => ErrorCode::MESSAGE_TOO_LARGE,
        AppendError::NotOurs => ErrorCode::NOT_COORDINATOR,
        AppendError::Unavailable | AppendError::Full | AppendError::Lost => {
            ErrorCode::COORDINATOR_NOT_AVAILABLE
        }
        _ => ErrorCode::UNKNOWN_SERVER_ERROR,
    }
}
