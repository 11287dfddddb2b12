//! What each answer of the coordinator means, error by error: the table of reactions of Kafka 4.2.0's client.

use std::time::Duration;

use callboard_protocol::ErrorCode;

use super::{
    Coordinator, Effect, EncodedPlan, FatalError, JoinAnswer, LossCause, Membership, PlanFailure,
    Reason, Refusal, State, SyncAnswer, Ticket,
};

/// The only protocol type a consumer joins with.
const PROTOCOL_TYPE: &str = "consumer";

impl Membership {
    pub(super) fn coordinator_found(
        &mut self,
        now: Duration,
        answered: Ticket,
        answer: Result<i32, Refusal>,
        effects: &mut Vec<Effect>,
    ) {
        if self.coordinator != (Coordinator::Looking { ticket: answered }) {
            return;
        }
        match answer {
            Ok(node) => {
                self.lookup_backoff.reset();
                self.coordinator = Coordinator::Known { node };
                self.alive(now);
            }
            Err(Refusal::Code(code)) if !code.is_retriable() => {
                self.fatal(
                    FatalError::Refused {
                        request: "FindCoordinator",
                        code,
                    },
                    effects,
                );
            }
            Err(refusal) => {
                let wait = self.lookup_backoff.next_wait();
                self.coordinator = Coordinator::Unknown {
                    retry_at: now + wait,
                };
                self.tell_lost(None, &refusal, effects);
            }
        }
    }

    pub(super) fn joined(
        &mut self,
        now: Duration,
        answered: Ticket,
        answer: Result<JoinAnswer, (Refusal, String)>,
        effects: &mut Vec<Effect>,
    ) {
        if self.state != (State::Joining { ticket: answered }) {
            return;
        }
        match answer {
            Ok(answer) => self.join_succeeded(now, answer, effects),
            Err((refusal, member_id)) => self.join_refused(now, refusal, member_id, effects),
        }
    }

    fn join_succeeded(&mut self, now: Duration, answer: JoinAnswer, effects: &mut Vec<Effect>) {
        if answer
            .protocol_type
            .as_deref()
            .is_some_and(|kind| kind != PROTOCOL_TYPE)
        {
            self.fatal(
                FatalError::Refused {
                    request: "JoinGroup",
                    code: ErrorCode::INCONSISTENT_GROUP_PROTOCOL,
                },
                effects,
            );
            return;
        }
        self.generation.id = answer.generation;
        self.generation.member_id.clone_from(&answer.member_id);
        self.generation.protocol.clone_from(&answer.protocol);
        self.leader = answer.leader == answer.member_id;
        self.planned_over = None;
        self.answered(now, effects);
        self.heartbeat.in_flight = None;
        self.heartbeat.due = now + self.config.heartbeat_interval;
        if !self.leader {
            self.sync(Vec::new(), effects);
            return;
        }
        let ticket = self.ticket();
        self.state = State::Planning { ticket };
        effects.push(Effect::Plan {
            ticket,
            protocol: answer.protocol,
            members: answer.members,
            skip: answer.skip_assignment,
        });
    }

    fn join_refused(
        &mut self,
        now: Duration,
        refusal: Refusal,
        member_id: String,
        effects: &mut Vec<Effect>,
    ) {
        match refusal {
            Refusal::Code(ErrorCode::MEMBER_ID_REQUIRED) => {
                // Only a member it does not know gets this; whatever we held under another id is lost.
                self.reset_keep(now, LossCause::UnknownMember, effects);
                self.generation.member_id = member_id;
                self.unjoined(now);
            }
            Refusal::Code(ErrorCode::UNKNOWN_MEMBER_ID) => {
                self.reset_new(now, LossCause::UnknownMember, effects);
                self.reason = Reason::UnknownMember;
                self.unjoined(now);
            }
            Refusal::Code(ErrorCode::ILLEGAL_GENERATION) => {
                self.reset_keep(now, LossCause::IllegalGeneration, effects);
                self.unjoined(now);
            }
            Refusal::Code(
                ErrorCode::COORDINATOR_LOAD_IN_PROGRESS | ErrorCode::REBALANCE_IN_PROGRESS,
            ) => {
                let wait = self.join_backoff.next_wait();
                self.unjoined(now + wait);
            }
            lost @ (Refusal::Disconnected
            | Refusal::Code(
                ErrorCode::COORDINATOR_NOT_AVAILABLE | ErrorCode::NOT_COORDINATOR,
            )) => {
                self.mark_coordinator_unknown(now, &lost, effects);
                let wait = self.join_backoff.next_wait();
                self.unjoined(now + wait);
            }
            Refusal::Code(ErrorCode::FENCED_INSTANCE_ID) => self.fenced(effects),
            Refusal::Code(code) => self.fatal(
                FatalError::Refused {
                    request: "JoinGroup",
                    code,
                },
                effects,
            ),
            Refusal::Protocol(detail) => self.fatal(
                FatalError::Protocol {
                    request: "JoinGroup",
                    detail,
                },
                effects,
            ),
        }
    }

    pub(super) fn planned(
        &mut self,
        now: Duration,
        answered: Ticket,
        plan: Result<EncodedPlan, PlanFailure>,
        effects: &mut Vec<Effect>,
    ) {
        if self.state != (State::Planning { ticket: answered }) {
            return;
        }
        match plan {
            Ok(plan) => {
                self.planned_over = Some(plan.over);
                self.sync(plan.assignments, effects);
            }
            Err(failure) => self.plan_failed(now, failure, effects),
        }
    }

    /// The followers must not hang in SyncGroup until the rebalance timeout: the leader leaves, which sends them back
    /// to joining at once, and comes back later. A static leader stays and joins again.
    fn plan_failed(&mut self, now: Duration, failure: PlanFailure, effects: &mut Vec<Effect>) {
        let (PlanFailure::Metadata(why) | PlanFailure::Assignor(why)) = failure;
        effects.push(Effect::PlanFailed {
            assignor: self.generation.protocol.clone(),
            member_id: self.generation.member_id.clone(),
            why: why.clone(),
        });
        self.reason = Reason::Failed(why);
        let wait = self.join_backoff.next_wait();
        match self.coordinator {
            Coordinator::Known { node } if self.config.instance_id.is_none() => {
                let ticket = self.ticket();
                effects.push(Effect::Leave {
                    ticket,
                    node,
                    member_id: self.generation.member_id.clone(),
                    reason: self.reason.to_string(),
                });
                self.reset_new(now, LossCause::UnknownMember, effects);
            }
            _ => self.reset_keep(now, LossCause::IllegalGeneration, effects),
        }
        self.unjoined(now + wait);
    }

    pub(super) fn synced(
        &mut self,
        now: Duration,
        answered: Ticket,
        answer: Result<SyncAnswer, Refusal>,
        effects: &mut Vec<Effect>,
    ) {
        if self.state != (State::Syncing { ticket: answered }) {
            return;
        }
        match answer {
            Ok(answer) => {
                self.answered(now, effects);
                if answer
                    .protocol
                    .is_some_and(|name| name != self.generation.protocol)
                {
                    self.fatal(
                        FatalError::Refused {
                            request: "SyncGroup",
                            code: ErrorCode::INCONSISTENT_GROUP_PROTOCOL,
                        },
                        effects,
                    );
                    return;
                }
                match answer.assigned {
                    Some(assigned) => self.take_assignment(now, assigned, effects),
                    None => self.fatal(
                        FatalError::Protocol {
                            request: "SyncGroup",
                            detail: "the assignment does not parse".to_owned(),
                        },
                        effects,
                    ),
                }
            }
            Err(refusal) => self.sync_refused(now, refusal, effects),
        }
    }

    fn sync_refused(&mut self, now: Duration, refusal: Refusal, effects: &mut Vec<Effect>) {
        match refusal {
            Refusal::Code(ErrorCode::REBALANCE_IN_PROGRESS) => {
                self.reason = Reason::GroupRebalancing;
                self.unjoined(now);
            }
            Refusal::Code(ErrorCode::ILLEGAL_GENERATION) => {
                self.reset_keep(now, LossCause::IllegalGeneration, effects);
                self.reason = Reason::IllegalGeneration;
                self.unjoined(now);
            }
            Refusal::Code(ErrorCode::UNKNOWN_MEMBER_ID) => {
                self.reset_new(now, LossCause::UnknownMember, effects);
                self.reason = Reason::UnknownMember;
                self.unjoined(now);
            }
            lost @ (Refusal::Disconnected
            | Refusal::Code(
                ErrorCode::COORDINATOR_NOT_AVAILABLE | ErrorCode::NOT_COORDINATOR,
            )) => {
                self.mark_coordinator_unknown(now, &lost, effects);
                self.reason = Reason::Failed("the coordinator was lost".to_owned());
                let wait = self.join_backoff.next_wait();
                self.unjoined(now + wait);
            }
            Refusal::Code(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS) => {
                let wait = self.join_backoff.next_wait();
                self.unjoined(now + wait);
            }
            Refusal::Code(ErrorCode::FENCED_INSTANCE_ID) => self.fenced(effects),
            Refusal::Code(code) => self.fatal(
                FatalError::Refused {
                    request: "SyncGroup",
                    code,
                },
                effects,
            ),
            Refusal::Protocol(detail) => self.fatal(
                FatalError::Protocol {
                    request: "SyncGroup",
                    detail,
                },
                effects,
            ),
        }
    }

    pub(super) fn heartbeat_answered(
        &mut self,
        now: Duration,
        answered: Ticket,
        answer: Result<(), Refusal>,
        effects: &mut Vec<Effect>,
    ) {
        // The ticket is forgotten whenever the generation changes, so a late answer of an older one ends here.
        if self.heartbeat.in_flight != Some(answered) {
            return;
        }
        self.heartbeat.in_flight = None;
        match answer {
            Ok(()) => self.beat_succeeded(now, effects),
            Err(Refusal::Code(ErrorCode::REBALANCE_IN_PROGRESS)) => {
                self.beat_succeeded(now, effects);
                if self.state == State::Stable {
                    self.request_rejoin(Reason::GroupRebalancing);
                }
            }
            Err(Refusal::Code(ErrorCode::ILLEGAL_GENERATION)) => {
                self.reset_keep(now, LossCause::IllegalGeneration, effects);
                self.expelled(now, Reason::IllegalGeneration, effects);
            }
            Err(Refusal::Code(ErrorCode::UNKNOWN_MEMBER_ID)) => {
                self.reset_new(now, LossCause::UnknownMember, effects);
                self.expelled(now, Reason::UnknownMember, effects);
            }
            Err(Refusal::Code(ErrorCode::FENCED_INSTANCE_ID)) => self.fenced(effects),
            Err(Refusal::Code(
                code @ (ErrorCode::UNSUPPORTED_VERSION | ErrorCode::GROUP_AUTHORIZATION_FAILED),
            )) => {
                self.fatal(
                    FatalError::Refused {
                        request: "Heartbeat",
                        code,
                    },
                    effects,
                );
            }
            Err(
                lost @ Refusal::Code(
                    ErrorCode::COORDINATOR_NOT_AVAILABLE | ErrorCode::NOT_COORDINATOR,
                ),
            ) => {
                self.mark_coordinator_unknown(now, &lost, effects);
                self.heartbeat.due = now;
            }
            Err(Refusal::Disconnected) => {
                self.mark_coordinator_unknown(now, &Refusal::Disconnected, effects);
                self.heartbeat.due = now + self.heartbeat.backoff.next_wait();
            }
            Err(Refusal::Code(_) | Refusal::Protocol(_)) => {
                self.heartbeat.due = now + self.heartbeat.backoff.next_wait();
            }
        }
    }

    fn beat_succeeded(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        self.answered(now, effects);
        self.heartbeat.due = now + self.config.heartbeat_interval;
    }

    /// The coordinator put us out while we held partitions; they are lost already. Join again, unless we were leaving: then
    /// nothing but our member id is left to give up, if it still is one.
    fn expelled(&mut self, now: Duration, reason: Reason, effects: &mut Vec<Effect>) {
        if let State::Revoking {
            then: super::AfterRevoke::Leave { reason },
            ..
        } = &self.state
        {
            let reason = reason.clone();
            self.send_leave(reason, effects);
            return;
        }
        self.reason = reason;
        self.rejoin = None;
        self.unjoined(now);
    }

    /// Another process has our place.
    fn fenced(&mut self, effects: &mut Vec<Effect>) {
        let instance_id = self.config.instance_id.clone().unwrap_or_default();
        self.fatal(FatalError::Fenced { instance_id }, effects);
    }

    /// A commit or an offset fetch was refused. Only what says something about our membership reaches this core.
    pub(super) fn commit_refused(
        &mut self,
        now: Duration,
        (request, node, generation): (&'static str, Option<i32>, i32),
        refusal: Refusal,
        effects: &mut Vec<Effect>,
    ) {
        match refusal {
            lost @ (Refusal::Disconnected
            | Refusal::Code(
                ErrorCode::COORDINATOR_NOT_AVAILABLE
                | ErrorCode::NOT_COORDINATOR
                | ErrorCode::REQUEST_TIMED_OUT,
            )) => {
                // A parked JoinGroup or SyncGroup answers for itself; and what a node said, or did
                // not, that was the coordinator before says nothing about the one that is now.
                if !matches!(self.state, State::Joining { .. } | State::Syncing { .. })
                    && node.is_some_and(|node| self.coordinator == Coordinator::Known { node })
                {
                    self.mark_coordinator_unknown(now, &lost, effects);
                }
            }
            Refusal::Code(code) if ends_the_member(code) => {
                self.fatal(FatalError::Refused { request, code }, effects);
            }
            Refusal::Code(_) if generation != self.generation.id || generation < 0 => {}
            // The generation may be over because our own JoinGroup ended it; its answer says who we are.
            Refusal::Code(ErrorCode::ILLEGAL_GENERATION | ErrorCode::UNKNOWN_MEMBER_ID)
                if matches!(self.state, State::Joining { .. }) => {}
            Refusal::Code(ErrorCode::REBALANCE_IN_PROGRESS) => {
                if self.state == State::Stable {
                    self.request_rejoin(Reason::GroupRebalancing);
                }
            }
            Refusal::Code(ErrorCode::ILLEGAL_GENERATION) => {
                self.reset_keep(now, LossCause::IllegalGeneration, effects);
                self.expelled(now, Reason::IllegalGeneration, effects);
            }
            Refusal::Code(ErrorCode::UNKNOWN_MEMBER_ID) => {
                self.reset_new(now, LossCause::UnknownMember, effects);
                self.expelled(now, Reason::UnknownMember, effects);
            }
            Refusal::Code(ErrorCode::FENCED_INSTANCE_ID) => self.fenced(effects),
            Refusal::Code(_) | Refusal::Protocol(_) => {}
        }
    }
}

/// Whether no request of this member will ever do, whatever its generation.
pub(in crate::core) fn ends_the_member(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::INVALID_GROUP_ID
            | ErrorCode::INVALID_SESSION_TIMEOUT
            | ErrorCode::GROUP_AUTHORIZATION_FAILED
            | ErrorCode::UNSUPPORTED_VERSION
    )
}
