//! When offsets are committed and what the answers mean: at most one commit in flight, newest offsets only, nothing
//! that is not owned, no retry of what another member may own by now. Owned by the committer shell.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use callboard_client::TopicPartition;
use callboard_protocol::ErrorCode;

use super::membership::Refusal;
use callboard_client::core::backoff::Backoff;

/// What one partition could commit now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committable {
    /// All below it is acknowledged.
    pub offset: i64,
    /// The leader epoch of the last record below it, -1 if unknown.
    pub leader_epoch: i32,
}

/// Offsets by partition.
pub type Offsets = BTreeMap<TopicPartition, Committable>;

/// What the core hears. `Progress` lists every partition that may be committed, and only those: what it leaves out is
/// not owned any more and is never sent again.
#[derive(Clone, Debug)]
pub enum CommitInput {
    /// What is committable now.
    Progress(Offsets),
    /// A partition is owned from here on and this offset of it is committed already.
    Known(TopicPartition, i64),
    /// Commit what there is now, by then at the latest, and tell when it is done.
    Flush {
        /// For the answer.
        id: u64,
        /// When to give up.
        until: Duration,
        /// Which partitions; all others are not waited for.
        partitions: Vec<TopicPartition>,
    },
    /// The commit in flight was answered: errors by partition, none for those that are committed.
    Answered(Result<BTreeMap<TopicPartition, ErrorCode>, Refusal>),
    /// The deadline has come.
    Tick,
}

/// What the core wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitEffect {
    /// Read the progress of owned partitions and hand it back as [`CommitInput::Progress`].
    ReadProgress,
    /// Send OffsetCommit under the present generation.
    Send(Offsets),
    /// These are durable.
    Committed(Offsets),
    /// These will not be: not retried, since another member may own the partition by now, or never valid.
    Refused(BTreeMap<TopicPartition, ErrorCode>),
    /// Membership should hear of this.
    TellMembership(Refusal),
    /// A flush is over: what could not be committed.
    Flushed {
        /// Of the request.
        id: u64,
        /// Partitions with acknowledged records that are not committed.
        uncommitted: Vec<TopicPartition>,
    },
}

#[derive(Clone, Debug)]
struct Flush {
    id: u64,
    until: Duration,
    /// What each partition must reach. Filled from the first progress after the request.
    goals: BTreeMap<TopicPartition, Option<i64>>,
}

/// The committer's decisions.
#[derive(Debug)]
pub struct CommitCore {
    interval: Duration,
    /// Committed so far; what is at or below is not sent again.
    committed: BTreeMap<TopicPartition, i64>,
    progress: Offsets,
    in_flight: Option<Offsets>,
    due: Duration,
    /// A refused commit waits for this before the next try.
    not_before: Duration,
    backoff: Backoff,
    flushes: Vec<Flush>,
}

impl CommitCore {
    /// Commits every `interval` (`auto.commit.interval.ms`) and when flushed.
    #[must_use]
    pub fn new(interval: Duration, backoff: Backoff) -> Self {
        Self {
            interval,
            committed: BTreeMap::new(),
            progress: Offsets::new(),
            in_flight: None,
            due: interval,
            not_before: Duration::ZERO,
            backoff,
            flushes: Vec::new(),
        }
    }

    /// Takes one input at `now` and says what to do about it.
    pub fn step(&mut self, now: Duration, input: CommitInput, effects: &mut Vec<CommitEffect>) {
        match input {
            CommitInput::Known(partition, offset) => {
                self.committed.insert(partition, offset);
            }
            CommitInput::Progress(progress) => self.progressed(now, progress, effects),
            CommitInput::Flush {
                id,
                until,
                partitions,
            } => {
                let goals = partitions.into_iter().map(|one| (one, None)).collect();
                self.flushes.push(Flush { id, until, goals });
                effects.push(CommitEffect::ReadProgress);
            }
            CommitInput::Answered(answer) => self.answered(now, answer, effects),
            CommitInput::Tick => {
                if self.in_flight.is_none() && self.wake().is_some_and(|wake| wake <= now) {
                    effects.push(CommitEffect::ReadProgress);
                }
            }
        }
        self.settle(now, effects);
    }

    /// When to call [`step`](Self::step) with a tick if nothing else comes first.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let flush = self.flushes.iter().map(|flush| flush.until).min();
        let send = if self.in_flight.is_none() {
            self.wake()
        } else {
            None
        };
        send.into_iter().chain(flush).min()
    }

    /// When the next commit may go out.
    fn wake(&self) -> Option<Duration> {
        if self.flushes.is_empty() {
            Some(self.due.max(self.not_before))
        } else {
            Some(self.not_before)
        }
    }

    fn progressed(&mut self, now: Duration, progress: Offsets, effects: &mut Vec<CommitEffect>) {
        // What is not owned any more is forgotten: a later owner's commits must not be compared with ours.
        self.committed
            .retain(|partition, _| progress.contains_key(partition));
        self.progress = progress;
        for flush in &mut self.flushes {
            for (partition, goal) in &mut flush.goals {
                if goal.is_none() {
                    *goal = Some(
                        self.progress
                            .get(partition)
                            .map_or(i64::MIN, |found| found.offset),
                    );
                }
            }
        }
        if self.in_flight.is_some() || self.wake().is_none_or(|wake| wake > now) {
            return;
        }
        let newer: Offsets = self
            .progress
            .iter()
            .filter(|(partition, found)| {
                self.committed
                    .get(*partition)
                    .is_none_or(|committed| *committed < found.offset)
            })
            .map(|(partition, found)| (partition.clone(), *found))
            .collect();
        self.due = now + self.interval;
        if !newer.is_empty() {
            self.in_flight = Some(newer.clone());
            effects.push(CommitEffect::Send(newer));
        }
    }

    fn answered(
        &mut self,
        now: Duration,
        answer: Result<BTreeMap<TopicPartition, ErrorCode>, Refusal>,
        effects: &mut Vec<CommitEffect>,
    ) {
        let Some(sent) = self.in_flight.take() else {
            return;
        };
        let codes = match answer {
            Ok(codes) => codes,
            Err(refusal) => {
                self.not_before = now + self.backoff.next_wait();
                effects.push(CommitEffect::TellMembership(refusal));
                return;
            }
        };
        let mut landed = Offsets::new();
        let mut refused = BTreeMap::new();
        let mut tell = None;
        let mut retry = false;
        for (partition, offsets) in sent {
            let code = codes.get(&partition).copied().unwrap_or(ErrorCode::NONE);
            match Verdict::of(code) {
                Verdict::Landed => {
                    landed.insert(partition, offsets);
                }
                Verdict::Retry => retry = true,
                Verdict::RetryAndTell => {
                    retry = true;
                    tell = Some(code);
                }
                Verdict::RefusedAndTell => {
                    tell = Some(code);
                    refused.insert(partition, code);
                }
                Verdict::Refused => {
                    refused.insert(partition, code);
                }
            }
        }
        if retry {
            self.not_before = now + self.backoff.next_wait();
        } else {
            self.backoff.reset();
        }
        for (partition, offsets) in &landed {
            self.committed.insert(partition.clone(), offsets.offset);
        }
        for partition in refused.keys() {
            for flush in &mut self.flushes {
                // Nobody waits for what will not come.
                if let Some(goal) = flush.goals.get_mut(partition) {
                    *goal = Some(i64::MAX);
                }
            }
        }
        if !landed.is_empty() {
            effects.push(CommitEffect::Committed(landed));
        }
        if !refused.is_empty() {
            effects.push(CommitEffect::Refused(refused));
        }
        if let Some(code) = tell {
            effects.push(CommitEffect::TellMembership(Refusal::Code(code)));
        }
        if !self.flushes.is_empty() && self.not_before <= now {
            effects.push(CommitEffect::ReadProgress);
        }
    }

    /// Answers the flushes that have what they wanted, cannot get it, or are out of time.
    fn settle(&mut self, now: Duration, effects: &mut Vec<CommitEffect>) {
        let in_flight = self.in_flight.as_ref();
        let committed = &self.committed;
        self.flushes.retain(|flush| {
            let open = |(partition, goal): (&TopicPartition, &Option<i64>)| {
                let reached = match goal {
                    None => false,
                    Some(goal) => committed.get(partition).copied().unwrap_or(i64::MIN) >= *goal,
                };
                (!reached).then(|| partition.clone())
            };
            let uncommitted: Vec<_> = flush.goals.iter().filter_map(open).collect();
            let hopeless = flush.goals.iter().all(|(partition, goal)| {
                *goal == Some(i64::MAX) || !uncommitted.contains(partition)
            });
            let busy =
                in_flight.is_some_and(|sent| flush.goals.keys().any(|one| sent.contains_key(one)));
            let over = uncommitted.is_empty() || (hopeless && !busy) || flush.until <= now;
            if over {
                effects.push(CommitEffect::Flushed {
                    id: flush.id,
                    uncommitted,
                });
            }
            !over
        });
    }
}

enum Verdict {
    Landed,
    Retry,
    RetryAndTell,
    Refused,
    RefusedAndTell,
}

impl Verdict {
    /// Kafka 4.2.0's client reacts so to each code of an OffsetCommit answer.
    fn of(code: ErrorCode) -> Self {
        match code {
            ErrorCode::NONE => Self::Landed,
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION | ErrorCode::COORDINATOR_LOAD_IN_PROGRESS => {
                Self::Retry
            }
            ErrorCode::REQUEST_TIMED_OUT
            | ErrorCode::COORDINATOR_NOT_AVAILABLE
            | ErrorCode::NOT_COORDINATOR => Self::RetryAndTell,
            ErrorCode::ILLEGAL_GENERATION
            | ErrorCode::UNKNOWN_MEMBER_ID
            | ErrorCode::REBALANCE_IN_PROGRESS
            | ErrorCode::FENCED_INSTANCE_ID => Self::RefusedAndTell,
            _ => Self::Refused,
        }
    }
}
