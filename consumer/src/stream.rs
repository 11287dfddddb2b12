//! The raw stream: every record of every assigned partition, each acknowledged explicitly. Built on the same handlers
//! as everything else, so revocations, restarts and commits work alike.

use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use futures_util::Stream;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::handler::{Factory, HandlerError, Outcome, PartitionContext, PartitionHandler};
use crate::partition::Cell;
use crate::record::Record;

/// Records that wait in the stream itself, besides what the fetchers hold. Small: what waits here is not given out yet.
const WAITING_MAX: usize = 256;

struct Handed {
    record: Record,
    cell: Arc<Cell>,
    incarnation: u64,
}

/// All records of this member. Dropping a pending `next()` loses nothing; dropping the stream pauses consumption.
pub struct RecordStream {
    records: mpsc::Receiver<Handed>,
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl std::fmt::Debug for RecordStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordStream").finish_non_exhaustive()
    }
}

impl RecordStream {
    /// The stream, and the handlers that feed it. It ends when `closed` is cancelled.
    pub(crate) fn new(closed: CancellationToken) -> (Self, Factory) {
        let (sender, records) = mpsc::channel(WAITING_MAX);
        let factory: Factory = Arc::new(move |_partition| {
            Box::new(Feeder {
                sender: sender.clone(),
            })
        });
        let stream = Self {
            records,
            closed: Box::pin(closed.cancelled_owned()),
        };
        (stream, factory)
    }
}

impl Stream for RecordStream {
    type Item = StreamRecord;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<StreamRecord>> {
        loop {
            match self.records.poll_recv(context) {
                Poll::Ready(Some(handed)) => {
                    // A record of a partition that is being given up, or that will come again, must not surface.
                    if handed.cell.hand_out(handed.incarnation) {
                        return Poll::Ready(Some(StreamRecord {
                            handed,
                            returned: false,
                        }));
                    }
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return self.closed.as_mut().poll(context).map(|()| None),
            }
        }
    }
}

/// A record of the stream. Dropped without [`ack`](Self::ack) it stays unacknowledged: neither it nor a later offset of
/// its partition is committed by this member any more.
pub struct StreamRecord {
    handed: Handed,
    returned: bool,
}

impl std::fmt::Debug for StreamRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.handed.record.fmt(f)
    }
}

impl Deref for StreamRecord {
    type Target = Record;

    fn deref(&self) -> &Record {
        &self.handed.record
    }
}

impl StreamRecord {
    /// The record is finished: its offset may be committed. Returns whether this counted: false if its partition is not
    /// ours any more.
    pub fn ack(mut self) -> bool {
        let counted = self
            .handed
            .cell
            .done(self.handed.incarnation, self.handed.record.offset);
        self.give_back();
        counted
    }

    /// Whether its partition is still ours, as far as we know.
    #[must_use]
    pub fn is_owner(&self) -> bool {
        self.handed.cell.is_owner()
    }

    fn give_back(&mut self) {
        if !self.returned {
            self.returned = true;
            self.handed.cell.take_back(self.handed.incarnation);
        }
    }
}

impl Drop for StreamRecord {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// The handler that puts a partition's records into the stream.
struct Feeder {
    sender: mpsc::Sender<Handed>,
}

#[async_trait]
impl PartitionHandler for Feeder {
    async fn handle(
        &mut self,
        record: &Record,
        context: &PartitionContext,
    ) -> Result<Outcome, HandlerError> {
        let cell = &context.cell;
        loop {
            let changed = cell.changed.notified();
            tokio::pin!(changed);
            // Registered before the check, or a change between the two would be missed.
            changed.as_mut().enable();
            if !cell.is_current(context.incarnation) {
                return Ok(Outcome::Deferred);
            }
            tokio::select! {
                permit = self.sender.reserve() => {
                    match permit {
                        Ok(permit) => permit.send(Handed {
                            record: record.clone(),
                            cell: Arc::clone(cell),
                            incarnation: context.incarnation,
                        }),
                        // Nobody reads: stand still until the partition is taken away.
                        Err(_dropped) => cell.left_open().await,
                    }
                    return Ok(Outcome::Deferred);
                }
                () = &mut changed => {}
            }
        }
    }
}
