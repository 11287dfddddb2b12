//! When offsets are committed and what the answers mean: at most one commit in flight, newest offsets only, nothing
//! that is not owned, nothing outside of a generation, no retry under a generation that was refused. Owned by the
//! committer shell.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use callboard_client::TopicPartition;
use callboard_protocol::ErrorCode;

use super::membership::{Refusal, ends_the_member};
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
    Progress {
        /// The generation we are in; `None` outside of any, where nothing is sent: without a generation the coordinator
        /// would take a commit for a simple consumer's.
        generation: Option<i32>,
        /// By partition.
        offsets: Offsets,
    },
    /// What is committed of partitions already, as far as they know; comes before their progress.
    Known(BTreeMap<TopicPartition, Option<i64>>),
    /// Something is to be committed before the interval is over.
    Soon,
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
    /// The member is in this generation now, or in none.
    Generation(Option<i32>),
    /// The deadline has come.
    Tick,
}

/// What the core wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitEffect {
    /// Read the progress of owned partitions and hand it back as [`CommitInput::Progress`].
    ReadProgress,
    /// Send OffsetCommit under the generation that the progress came with.
    Send(Offsets),
    /// These are durable.
    Committed(Offsets),
    /// These will not be, as far as this generation goes: another member may own the partition by now, or the commit
    /// was never valid.
    Refused(BTreeMap<TopicPartition, ErrorCode>),
    /// A topic is not where it was: ask for metadata.
    RefreshMetadata,
    /// Membership should hear of this.
    TellMembership {
        /// The generation the commit was sent under.
        generation: i32,
        /// Why it was refused.
        refusal: Refusal,
    },
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
    /// Partitions that are not where they should be yet.
    open: BTreeMap<TopicPartition, Goal>,
}

/// What a flush wants of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    /// As far as it is acknowledged at the first progress after the request.
    Unread,
    /// At least this offset.
    Reach(i64),
    /// Nothing any more: it will not be committed.
    GivenUp,
}

#[derive(Clone, Debug)]
struct InFlight {
    generation: i32,
    offsets: Offsets,
}

/// The committer's decisions.
#[derive(Debug)]
pub struct CommitCore {
    interval: Duration,
    /// Committed so far; what is at or below is not sent again.
    committed: BTreeMap<TopicPartition, i64>,
    /// The generation as last heard of.
    generation: Option<i32>,
    /// The coordinator refused this generation: nothing more is sent under it.
    refused: Option<i32>,
    in_flight: Option<InFlight>,
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
            generation: None,
            refused: None,
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
            CommitInput::Known(known) => {
                for (partition, committed) in known {
                    match committed {
                        Some(offset) => self.committed.insert(partition, offset),
                        None => self.committed.remove(&partition),
                    };
                }
            }
            CommitInput::Soon => {
                self.due = self.due.min(now);
                self.read_if_due(now, effects);
            }
            CommitInput::Progress {
                generation,
                offsets,
            } => self.progressed(now, generation, &offsets, effects),
            CommitInput::Flush {
                id,
                until,
                partitions,
            } => {
                let open = partitions.into_iter().map(|one| (one, Goal::Unread));
                self.flushes.push(Flush {
                    id,
                    until,
                    open: open.collect(),
                });
                effects.push(CommitEffect::ReadProgress);
            }
            CommitInput::Answered(answer) => self.answered(now, answer, effects),
            CommitInput::Generation(generation) => {
                self.generation = generation;
                if generation.is_some() && !self.flushes.is_empty() {
                    // Whoever waits for a flush waits for nothing else now.
                    self.not_before = now;
                    effects.push(CommitEffect::ReadProgress);
                }
            }
            CommitInput::Tick => self.read_if_due(now, effects),
        }
        self.settle(now, effects);
    }

    /// When to call [`step`](Self::step) with a tick if nothing else comes first.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let flush = self.flushes.iter().map(|flush| flush.until).min();
        let send = self.in_flight.is_none().then(|| self.wake());
        send.into_iter().chain(flush).min()
    }

    fn read_if_due(&self, now: Duration, effects: &mut Vec<CommitEffect>) {
        if self.in_flight.is_none() && self.wake() <= now {
            effects.push(CommitEffect::ReadProgress);
        }
    }

    /// When the next commit may go out.
    fn wake(&self) -> Duration {
        if self.flushes.is_empty() {
            self.due.max(self.not_before)
        } else {
            self.not_before
        }
    }

    fn progressed(
        &mut self,
        now: Duration,
        generation: Option<i32>,
        offsets: &Offsets,
        effects: &mut Vec<CommitEffect>,
    ) {
        self.generation = generation;
        self.aim(offsets);
        // What is not owned any more is forgotten: a later owner's commits must not be compared with ours.
        self.committed
            .retain(|partition, _| offsets.contains_key(partition));
        if self.in_flight.is_some() || self.wake() > now {
            return;
        }
        let newer: Offsets = offsets
            .iter()
            .filter(|(partition, found)| {
                self.committed
                    .get(*partition)
                    .is_none_or(|committed| *committed < found.offset)
            })
            .map(|(partition, found)| (partition.clone(), *found))
            .collect();
        self.due = now + self.interval;
        if newer.is_empty() {
            return;
        }
        match generation {
            Some(generation) if self.refused != Some(generation) => {
                self.in_flight = Some(InFlight {
                    generation,
                    offsets: newer.clone(),
                });
                effects.push(CommitEffect::Send(newer));
            }
            // Kept until there is a generation to commit it under, if it is ours then.
            Some(_) | None => self.wait(now),
        }
    }

    /// Sets what the flushes want to reach, and gives up what is not ours any more.
    fn aim(&mut self, offsets: &Offsets) {
        for flush in &mut self.flushes {
            flush.open.retain(|partition, goal| {
                let committed = self.committed.get(partition);
                match (*goal, offsets.get(partition)) {
                    (Goal::Unread, Some(found)) => *goal = Goal::Reach(found.offset),
                    // Nothing of it is ours to commit.
                    (Goal::Unread, None) => return false,
                    (Goal::Reach(offset), None) => {
                        if committed.is_some_and(|committed| *committed >= offset) {
                            return false;
                        }
                        *goal = Goal::GivenUp;
                    }
                    (Goal::Reach(_), Some(_)) | (Goal::GivenUp, _) => {}
                }
                true
            });
        }
    }

    /// The next try comes after a wait.
    fn wait(&mut self, now: Duration) {
        self.not_before = now + self.backoff.next_wait();
        self.due = self.due.min(self.not_before);
    }

    fn answered(
        &mut self,
        now: Duration,
        answer: Result<BTreeMap<TopicPartition, ErrorCode>, Refusal>,
        effects: &mut Vec<CommitEffect>,
    ) {
        let Some(InFlight {
            generation,
            offsets: sent,
        }) = self.in_flight.take()
        else {
            return;
        };
        let tell = |refusal| CommitEffect::TellMembership {
            generation,
            refusal,
        };
        let codes = match answer {
            Ok(codes) => codes,
            Err(refusal) => {
                self.wait(now);
                effects.push(tell(refusal));
                return;
            }
        };
        let mut landed = Offsets::new();
        let mut refused = BTreeMap::new();
        let mut told = None;
        let mut retry = false;
        let mut gone = false;
        for (partition, offsets) in sent {
            let answer = codes.get(&partition).copied();
            let code = answer.unwrap_or(ErrorCode::NONE);
            // Nothing is known of what the answer leaves out.
            let verdict = answer.map_or(Verdict::Retry, Verdict::of);
            if verdict.is_told() {
                told = Some(code);
            }
            gone |= code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
            match verdict {
                Verdict::Landed => {
                    self.committed.insert(partition.clone(), offsets.offset);
                    landed.insert(partition, offsets);
                }
                Verdict::Retry | Verdict::RetryAndTell => retry = true,
                Verdict::WrongGeneration => {
                    // Not retried under this generation: the partition may be another member's. If we are in another one
                    // by then and it is still ours, it goes out again.
                    self.refused = Some(generation);
                    if self.generation == Some(generation) {
                        refused.insert(partition, code);
                    }
                    retry = true;
                }
                Verdict::Refused | Verdict::Fatal => {
                    for flush in &mut self.flushes {
                        // Nobody waits for what will not come.
                        if let Some(goal) = flush.open.get_mut(&partition) {
                            *goal = Goal::GivenUp;
                        }
                    }
                    refused.insert(partition, code);
                }
            }
        }
        if retry {
            self.wait(now);
        } else {
            self.backoff.reset();
        }
        if !landed.is_empty() {
            effects.push(CommitEffect::Committed(landed));
        }
        if !refused.is_empty() {
            effects.push(CommitEffect::Refused(refused));
        }
        if let Some(code) = told {
            effects.push(tell(Refusal::Code(code)));
        }
        if gone {
            effects.push(CommitEffect::RefreshMetadata);
        }
        if !self.flushes.is_empty() && self.not_before <= now {
            effects.push(CommitEffect::ReadProgress);
        }
    }

    /// Answers the flushes that have what they wanted, cannot get it, or are out of time.
    fn settle(&mut self, now: Duration, effects: &mut Vec<CommitEffect>) {
        let in_flight = self.in_flight.as_ref();
        let committed = &self.committed;
        self.flushes.retain_mut(|flush| {
            flush.open.retain(|partition, goal| match goal {
                Goal::Reach(offset) => committed.get(partition).is_none_or(|one| one < offset),
                Goal::Unread | Goal::GivenUp => true,
            });
            let hopeless = flush.open.values().all(|goal| *goal == Goal::GivenUp);
            let busy = in_flight.is_some_and(|sent| {
                let in_it = |one| sent.offsets.contains_key(one);
                flush.open.keys().any(in_it)
            });
            let over = (hopeless && !busy) || flush.until <= now;
            if over {
                effects.push(CommitEffect::Flushed {
                    id: flush.id,
                    uncommitted: flush.open.keys().cloned().collect(),
                });
            }
            !over
        });
    }
}

/// What one code of an OffsetCommit answer means, as Kafka 4.2.0's client reacts to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Landed,
    /// Worth another try.
    Retry,
    /// Worth another try, and membership should hear of it: the coordinator is not one, or the group rebalances.
    RetryAndTell,
    /// Void under this generation or member id; membership should hear of it.
    WrongGeneration,
    /// This commit will never do, others may.
    Refused,
    /// No commit of this member will ever do: it ends.
    Fatal,
}

impl Verdict {
    fn of(code: ErrorCode) -> Self {
        match code {
            ErrorCode::NONE => Self::Landed,
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION | ErrorCode::COORDINATOR_LOAD_IN_PROGRESS => {
                Self::Retry
            }
            ErrorCode::REQUEST_TIMED_OUT
            | ErrorCode::COORDINATOR_NOT_AVAILABLE
            | ErrorCode::NOT_COORDINATOR
            // Between JoinGroup and SyncGroup; the generation stands, or the next one is told.
            | ErrorCode::REBALANCE_IN_PROGRESS => Self::RetryAndTell,
            ErrorCode::ILLEGAL_GENERATION
            | ErrorCode::UNKNOWN_MEMBER_ID
            | ErrorCode::FENCED_INSTANCE_ID => Self::WrongGeneration,
            code if ends_the_member(code) => Self::Fatal,
            _ => Self::Refused,
        }
    }

    fn is_told(self) -> bool {
        match self {
            Self::RetryAndTell | Self::WrongGeneration | Self::Fatal => true,
            Self::Landed | Self::Retry | Self::Refused => false,
        }
    }
}
