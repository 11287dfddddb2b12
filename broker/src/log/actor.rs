//! The writer of one partition, child of the topic logs' supervisor. Owns the [`PartitionLog`]; every append goes
//! through its mailbox and so gets its offset in the order it came. Reads do not come here: see `reader.rs`.
//!
//! An append to the page cache runs in the handler: it costs less than a hop to another thread. What waits for the disk
//! (recovery, a roll, a forced flush, closing) runs on the blocking pool, and the actor waits for it with its mailbox
//! closed: it has no children to be deaf to, and the appends behind must wait anyway.
//!
//! The mailbox is bounded by what connections may have in flight; a batch is held once, as the slice of its request.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use callboard_supervision::{Addr, Envelope, RpcReplyPort, Timer, seldom};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::OwnedSemaphorePermit;
use tracing::warn;

use super::batch::ValidBatch;
use super::core::LogConfig;
use super::handle::{HostedPartition, Stage};
use super::reply::AppendReply;
use super::{LogError, PartitionLog};
use crate::metrics::kinds::TOPIC_LOG as KIND;

/// Messages of a topic log.
#[derive(Debug)]
pub(crate) enum TopicLogMsg {
    /// Go on with other settings.
    Configure(Box<LogConfig>),
    /// Append a batch. Answers where it is, or why not.
    Append {
        /// What to append.
        batch: ValidBatch,
        /// Who waits.
        reply: AppendReply,
    },
    /// Delete records below an offset. Answers the new log start offset.
    DeleteRecords {
        /// The first offset to keep, -1 for the end.
        offset: i64,
        /// Who waits.
        reply: RpcReplyPort<Result<i64, LogError>>,
    },
    /// Answers when the log is open, or why it is not.
    AwaitOpen {
        /// Who waits.
        reply: RpcReplyPort<Result<(), LogError>>,
    },
    /// Look for what retention allows to delete. No answer.
    EnforceRetention,
    /// Make the log durable and take nothing more. Answers when that is done.
    Close {
        /// Who waits.
        reply: RpcReplyPort<()>,
    },
}

/// The actor.
#[derive(Debug)]
pub(crate) struct TopicLog;

/// Its state.
#[derive(Debug)]
pub(crate) struct State {
    hosted: Arc<HostedPartition>,
    myself: Addr<TopicLogMsg>,
    log: Writer,
    retention: Option<Timer>,
}

/// What there is to write to.
#[derive(Debug)]
enum Writer {
    /// In post_start only, or on loan to the blocking pool.
    Absent,
    /// The log, and the permit that makes it the only one.
    Open(Box<PartitionLog>, OwnedSemaphorePermit),
    /// It failed, and a restart would not help.
    Offline(LogError),
    /// Closed in order.
    Closed,
}

#[ractor::async_trait]
impl Actor for TopicLog {
    type Msg = Envelope<TopicLogMsg>;
    type State = State;
    type Arguments = Arc<HostedPartition>;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        hosted: Arc<HostedPartition>,
    ) -> Result<State, ActorProcessingErr> {
        let myself = Addr::new(myself, KIND);
        hosted.set(Stage::Opening(Some(myself.clone())));
        Ok(State {
            hosted,
            myself,
            log: Writer::Absent,
            retention: None,
        })
    }

    /// Opens the log on the blocking pool: a recovery may read a gigabyte. Messages wait meanwhile.
    async fn post_start(
        &self,
        _myself: ActorRef<Self::Msg>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let permit = Arc::clone(&state.hosted.writer).acquire_owned().await?;
        let hosted = Arc::clone(&state.hosted);
        let open = move || {
            let opened = PartitionLog::open(
                &hosted.dir,
                hosted.with_config(Clone::clone),
                wall_clock_ms(),
            );
            (opened, permit)
        };
        match tokio::task::spawn_blocking(open).await? {
            (Ok(log), permit) => {
                let epoch = log.reader().leader_epoch();
                state.hosted.leader_epoch.store(epoch, Ordering::Release);
                state
                    .hosted
                    .set(Stage::Open(state.myself.clone(), log.reader()));
                state.log = Writer::Open(Box::new(log), permit);
                state.arm_retention();
            }
            (Err(reason), _permit) => state.give_up(reason),
        }
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message.open() {
            TopicLogMsg::Append { batch, reply } => state.append(batch, reply).await?,
            TopicLogMsg::DeleteRecords { offset, reply } => {
                let outcome = state
                    .blocking(move |log| log.delete_records(offset))
                    .await?;
                // The asker may have gone; the records are deleted all the same.
                let _ = reply.send(outcome);
            }
            TopicLogMsg::AwaitOpen { reply } => {
                let _ = reply.send(state.is_open());
            }
            TopicLogMsg::EnforceRetention => {
                if let Err(reason) = state
                    .blocking(|log| log.enforce_retention(wall_clock_ms()))
                    .await?
                {
                    seldom!(warn, topic = %state.hosted.topic, partition = state.hosted.partition, %reason, "retention failed");
                }
                state.arm_retention();
            }
            TopicLogMsg::Configure(config) => {
                if let Writer::Open(log, _) = &mut state.log {
                    log.configure(*config);
                }
            }
            TopicLogMsg::Close { reply } => {
                state.close().await?;
                let _ = reply.send(());
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        _: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            // It has no children.
            SupervisionEvent::ActorStarted(_)
            | SupervisionEvent::ActorTerminated(..)
            | SupervisionEvent::ActorFailed(..)
            | SupervisionEvent::ProcessGroupChanged(_) => Ok(()),
        }
    }

    /// Stopped without Close, or after it. A panic comes past here never; then the next open reads the tail again.
    async fn post_stop(
        &self,
        _: ActorRef<Self::Msg>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        state.close().await
    }
}

impl State {
    async fn append(
        &mut self,
        batch: ValidBatch,
        reply: AppendReply,
    ) -> Result<(), ActorProcessingErr> {
        let now = wall_clock_ms();
        let outcome = match &mut self.log {
            Writer::Open(log, _) if !log.append_waits(&batch, now) => log.append(&batch, now),
            _ => self.blocking(move |log| log.append(&batch, now)).await?,
        };
        if let Ok(appended) = &outcome {
            self.hosted
                .appended_records
                .increment(u64::from(appended.records));
            self.hosted.appended_bytes.increment(appended.bytes as u64);
            // Visible before it is acknowledged; readers see it since the append returned.
            if appended.bytes > 0 {
                self.hosted.waiters.appended(appended.bytes);
            }
        }
        reply.send(outcome);
        if let Writer::Open(log, _) = &self.log
            && let Some(reason) = log.failure().cloned()
            // Not ill then; should the deletion fail, the next append finds it here again.
            && !self.hosted.is_going()
        {
            self.give_up(reason);
        }
        Ok(())
    }

    /// Runs `work` with the log on the blocking pool. Without a log the answer is why.
    async fn blocking<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut PartitionLog) -> Result<T, LogError> + Send + 'static,
    ) -> Result<Result<T, LogError>, ActorProcessingErr> {
        let (mut log, permit) = match std::mem::replace(&mut self.log, Writer::Absent) {
            Writer::Open(log, permit) => (log, permit),
            other => {
                self.log = other;
                return Ok(Err(self.why_not_open()));
            }
        };
        // The permit goes along: should this actor be killed here, nobody else opens the files before the work is done.
        let run = move || {
            let outcome = work(&mut log);
            (outcome, log, permit)
        };
        let (outcome, log, permit) = tokio::task::spawn_blocking(run).await?;
        self.log = Writer::Open(log, permit);
        Ok(outcome)
    }

    fn is_open(&self) -> Result<(), LogError> {
        match &self.log {
            Writer::Open(..) => Ok(()),
            _ => Err(self.why_not_open()),
        }
    }

    fn why_not_open(&self) -> LogError {
        match &self.log {
            Writer::Offline(reason) => reason.clone(),
            Writer::Closed | Writer::Absent | Writer::Open(..) => LogError::Unavailable {
                reason: "the broker is stopping".into(),
            },
        }
    }

    /// Damage and refusals of the disk are not cured by a restart: the partition stays offline, loudly, and its
    /// neighbours serve.
    fn give_up(&mut self, reason: LogError) {
        self.hosted.give_up(reason.clone());
        self.log = Writer::Offline(reason);
    }

    async fn close(&mut self) -> Result<(), ActorProcessingErr> {
        self.retention = None;
        if self.hosted.is_deleted() {
            self.log = Writer::Closed;
        }
        if matches!(self.log, Writer::Open(..)) {
            if let Err(reason) = self.blocking(|log| log.close()).await? {
                warn!(topic = %self.hosted.topic, partition = self.hosted.partition, %reason, "a topic log did not close in order");
            }
            self.log = Writer::Closed;
            self.hosted.set(Stage::Opening(None));
        }
        Ok(())
    }

    fn arm_retention(&mut self) {
        let interval = |config: &LogConfig| config.retention_check_interval_ms;
        let every = Duration::from_millis(self.hosted.with_config(interval));
        self.retention = Some(self.myself.send_after(every, TopicLogMsg::EnforceRetention));
    }
}

/// Milliseconds since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "the shell that owns the wall clock of topic logs"
)]
fn wall_clock_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}

#[cfg(test)]
#[path = "actor_tests.rs"]
mod tests;
