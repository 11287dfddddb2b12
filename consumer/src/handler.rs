//! What an application writes: a handler per partition, as a trait or as a closure. Handlers run in actors of their
//! own; a panic or an error ends the handler and nothing else.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;
use callboard_client::TopicPartition;

use crate::partition::Cell;
use crate::record::Record;

/// What a handler fails with. It is restarted; what it says goes into an event and the log.
pub type HandlerError = Box<dyn Error + Send + Sync>;

/// How a record was handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Finished: its offset may be committed.
    Done,
    /// It is finished when its [`AckHandle`] is told so; until then neither it nor any later offset of its partition is
    /// committed. Take the handle from [`PartitionContext::ack_handle`] before returning this.
    Deferred,
}

/// The code that handles the records of one assigned partition, one after the other, in offset order.
///
/// A new handler is made for every assignment of a partition and after every failure; state that must outlive it
/// belongs elsewhere. Every method may take its time: heartbeats, commits and the other partitions go on.
///
/// When ownership is lost, the future of the method in progress is dropped at its next await.
#[async_trait]
pub trait PartitionHandler: Send + 'static {
    /// Before the first record.
    ///
    /// # Errors
    /// Any; counts as a failure of the handler.
    async fn started(&mut self, context: &PartitionContext) -> Result<(), HandlerError> {
        let _ = context;
        Ok(())
    }

    /// One record. `Ok(Outcome::Done)` acknowledges it.
    ///
    /// # Errors
    /// Any; the handler is restarted and the record comes again, until its attempts are used up.
    async fn handle(
        &mut self,
        record: &Record,
        context: &PartitionContext,
    ) -> Result<Outcome, HandlerError>;

    /// The partition is given up in order. No record is in work and none will come; what was acknowledged is committed
    /// right after this.
    ///
    /// # Errors
    /// Any; told in the log, the partition is given up all the same.
    async fn revoked(&mut self, context: &PartitionContext) -> Result<(), HandlerError> {
        let _ = context;
        Ok(())
    }

    /// The partition is another member's already. Nothing is committed; undo or forget what was not finished.
    async fn lost(&mut self, context: &PartitionContext) {
        let _ = context;
    }
}

/// Makes the handler of a partition.
pub(crate) type Factory = Arc<dyn Fn(&TopicPartition) -> Box<dyn PartitionHandler> + Send + Sync>;

/// Where a handler stands: its partition, the record in work, and whether it is still the owner.
#[derive(Clone)]
pub struct PartitionContext {
    pub(crate) cell: Arc<Cell>,
    pub(crate) incarnation: u64,
    pub(crate) offset: i64,
    pub(crate) attempt: u32,
}

impl fmt::Debug for PartitionContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionContext")
            .field("partition", self.topic_partition())
            .field("offset", &self.offset)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

impl PartitionContext {
    /// The partition.
    #[must_use]
    pub fn topic_partition(&self) -> &TopicPartition {
        &self.cell.partition
    }

    /// The group.
    #[must_use]
    pub fn group_id(&self) -> &str {
        &self.cell.group_id
    }

    /// The generation in which the partition was assigned. Rises with every rebalance that moves it: usable as a
    /// fencing number towards other systems.
    #[must_use]
    pub fn generation(&self) -> i32 {
        self.cell.generation
    }

    /// The member id under which it was assigned.
    #[must_use]
    pub fn member_id(&self) -> &str {
        &self.cell.member_id
    }

    /// Which attempt at the record in work this is, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Whether the partition is still ours, as far as we know. False from the moment it is lost or released.
    #[must_use]
    pub fn is_owner(&self) -> bool {
        self.cell.is_owner()
    }

    /// Ends when the partition is lost or released.
    pub async fn cancelled(&self) {
        self.cell.released.cancelled().await;
    }

    /// For [`Outcome::Deferred`]: acknowledges the record in work, later and from anywhere.
    #[must_use]
    pub fn ack_handle(&self) -> AckHandle {
        AckHandle {
            cell: Arc::clone(&self.cell),
            incarnation: self.incarnation,
            offset: self.offset,
        }
    }
}

/// Acknowledges one record. Dropping it does not: the record stays unacknowledged and comes again after a restart.
pub struct AckHandle {
    cell: Arc<Cell>,
    incarnation: u64,
    offset: i64,
}

impl fmt::Debug for AckHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AckHandle({}@{})", self.cell.partition, self.offset)
    }
}

impl AckHandle {
    /// The record is finished. Returns whether this counted: false if the partition is not ours any more, or if the
    /// handler was restarted and the record will come again.
    pub fn ack(self) -> bool {
        self.cell.done(self.incarnation, self.offset)
    }
}

/// A handler made of a closure; see [`ConsumerGroupBuilder::handle`](crate::ConsumerGroupBuilder::handle).
pub(crate) struct Closure<F, Fut> {
    run: Arc<F>,
    future: PhantomData<fn() -> Fut>,
}

impl<F, Fut, E> Closure<F, Fut>
where
    F: Fn(Record, PartitionContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<HandlerError> + 'static,
{
    pub(crate) fn factory(run: F) -> Factory {
        let run = Arc::new(run);
        Arc::new(move |_partition| {
            Box::new(Self {
                run: Arc::clone(&run),
                future: PhantomData,
            })
        })
    }
}

#[async_trait]
impl<F, Fut, E> PartitionHandler for Closure<F, Fut>
where
    F: Fn(Record, PartitionContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<HandlerError> + 'static,
{
    async fn handle(
        &mut self,
        record: &Record,
        context: &PartitionContext,
    ) -> Result<Outcome, HandlerError> {
        match (self.run)(record.clone(), context.clone()).await {
            Ok(()) => Ok(Outcome::Done),
            Err(error) => Err(error.into()),
        }
    }
}
