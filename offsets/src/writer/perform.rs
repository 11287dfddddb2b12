//! What a serving writer does: takes requests in, in their order, and performs the effects of its pipeline.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use callboard_supervision::seldom;
use ractor::ActorProcessingErr;
use tokio::time::Instant;
use tracing::debug;

use super::actor::{Item, Phase, State};
use super::core::AppendNumber;
use super::core::order::Released;
use super::core::pipeline::{Effect, Fatal};
use super::message::{Msg, Op, Pieces};
use super::{AppendError, Completion, ReadFn};
use crate::batch;
use crate::log::{BATCH_BYTES_MAX_KEY, Batch, BatchId, End, LogError};
use crate::record::Record;

/// Most bytes of one part of a change in parts: the commits of other groups go between two of them.
const PART_BYTES_MAX: usize = 1024 * 1024;

impl State {
    /// Does what was asked, or puts it behind what it has to wait for.
    pub(super) fn take_in(&mut self, op: Op, effects: &mut Vec<Effect<Item>>) {
        let serving = match &mut self.phase {
            Phase::Loading(loading) => return loading.waiting.push(op),
            Phase::Refused => return op.refuse(AppendError::NotOurs),
            Phase::Serving(serving) => serving,
        };
        let order = &mut serving.order;
        let free = match op {
            Op::Append {
                group,
                records,
                done,
                ..
            } if records.is_empty() => order.read(&Arc::clone(&group), Op::Nothing { group, done }),
            Op::Append { ref group, .. } => order.append(&Arc::clone(group), op),
            Op::Read {
                group: Some(ref group),
                ..
            } => order.read(&Arc::clone(group), op),
            Op::Read { group: None, read } => {
                // In a mutex only to be shared: a read may move between threads, and is not looked at from two.
                let read = Arc::new(Mutex::new(read));
                order.read_all(|group| Op::Read {
                    group: group.cloned(),
                    read: last_of(&read),
                })
            }
            Op::Nothing { ref group, .. } => order.read(&Arc::clone(group), op),
            Op::Change { ref group, .. } => order.change(&Arc::clone(group), op),
        };
        match free {
            None => {}
            Some(Op::Append {
                group,
                records,
                done,
                pieces,
            }) => self.submit(group, records, done, pieces, effects),
            Some(Op::Change {
                group,
                plan,
                done,
                pieces,
            }) => {
                let records = plan(&serving.index);
                if records.is_empty() {
                    done.call(Ok(()));
                } else {
                    self.submit(group, records, done, pieces, effects);
                }
            }
            Some(Op::Read { read, .. }) => read(&serving.index),
            Some(Op::Nothing { done, .. }) => done.call(Ok(())),
        }
    }

    fn submit(
        &mut self,
        group: Arc<str>,
        mut records: Vec<Record>,
        done: Completion,
        pieces: Pieces,
        effects: &mut Vec<Effect<Item>>,
    ) {
        let Phase::Serving(serving) = &mut self.phase else {
            return;
        };
        let base_offset = serving.pipeline.next_end().offset;
        let bytes_max = self.log.capabilities().batch_bytes_max;
        let now_ms = self.clock.now_ms();
        let encoded = match pieces {
            Pieces::One => batch::encode_within(&records, base_offset, now_ms, bytes_max)
                .map(|whole| whole.map(|encoded| (encoded, records.len()))),
            Pieces::Many => {
                let part = PART_BYTES_MAX.min(bytes_max);
                let part = batch::encode_some(&records, base_offset, now_ms, part);
                part.map(|(encoded, taken)| match encoded.len() {
                    bytes if bytes > bytes_max => Err(bytes),
                    _ => Ok((encoded, taken)),
                })
            }
        };
        let (encoded, taken) = match encoded {
            Ok(Ok(encoded)) => encoded,
            // Found before it is sent, it does not disturb what is in flight.
            Ok(Err(bytes)) => {
                seldom!(warn,
                    partition = self.partition,
                    %group,
                    records = records.len(),
                    bytes,
                    bytes_max,
                    key = BATCH_BYTES_MAX_KEY,
                    "the records of a group do not fit in one batch and were not written"
                );
                return done.call(Err(AppendError::TooLarge { bytes_max }));
            }
            Err(error) => {
                seldom!(warn, partition = self.partition, %group, %error, "records cannot be written");
                return done.call(Err(AppendError::Unwritable(error)));
            }
        };
        let rest = records.split_off(taken);
        // A part answers nobody: what is left of the change does.
        let (done, rest) = if rest.is_empty() {
            (done, None)
        } else {
            let rest = Op::Append {
                group: Arc::clone(&group),
                records: rest,
                done,
                pieces,
            };
            (Completion(None), Some(rest))
        };
        let topic_records = encoded.records;
        let item = Item {
            group: Arc::clone(&group),
            records,
            encoded: Some((base_offset, encoded)),
            done,
            handed: Instant::now(),
        };
        let now = self.origin.elapsed();
        match serving.pipeline.submit(now, item, topic_records, effects) {
            Ok(number) => {
                serving.order.submitted(&group, number);
                if let Some(rest) = rest {
                    serving.order.rest(&group, rest);
                }
            }
            Err((item, error)) => {
                debug!(partition = self.partition, %group, %error, "append refused");
                match rest {
                    Some(rest) => rest.refuse(error),
                    None => item.done.call(Err(error)),
                }
            }
        }
    }

    pub(super) fn perform(&mut self, effects: Vec<Effect<Item>>) -> Result<(), ActorProcessingErr> {
        // Performing one can make others: what waited for an append goes on when it settles.
        let mut effects = VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            let mut more = Vec::new();
            match effect {
                Effect::Send {
                    number,
                    id,
                    expected,
                } => self.send(number, id, expected)?,
                Effect::Resolve { expected, id } => {
                    if let Phase::Serving(serving) = &self.phase {
                        seldom!(
                            warn,
                            partition = self.partition,
                            position = expected.position,
                            "asking what became of an append"
                        );
                        let done = self.port(Msg::Resolved);
                        self.log.resolve(serving.lease, expected.position, id, done);
                    }
                }
                Effect::Settle {
                    number,
                    item,
                    outcome,
                } => self.settle(number, item, outcome, &mut more),
                Effect::End(reason) => return Err(self.end(&reason)),
            }
            effects.extend(more);
        }
        if let Phase::Serving(serving) = &self.phase {
            self.meter.pending(serving.pipeline.pending());
            self.meter.live(serving.index.len());
        }
        Ok(())
    }

    fn send(
        &mut self,
        number: AppendNumber,
        id: BatchId,
        expected: End,
    ) -> Result<(), ActorProcessingErr> {
        let done = self.port(move |result| Msg::Landed(number, result));
        let Phase::Serving(serving) = &mut self.phase else {
            return Ok(());
        };
        let Some(item) = serving.pipeline.item_mut(number) else {
            return Ok(());
        };
        let encoded = match item.encoded.take() {
            Some((base_offset, encoded)) if base_offset == expected.offset => encoded,
            // It goes elsewhere than it was encoded for. It was encoded before, so it can be again.
            _ => batch::encode(&item.records, expected.offset, self.clock.now_ms())?,
        };
        let batch = Batch {
            id,
            expected,
            records: encoded.records,
            marks: encoded.marks,
            kafka: encoded.kafka,
        };
        self.log.append(serving.lease, batch, done);
        Ok(())
    }

    /// Durable, then visible, then acknowledged.
    fn settle(
        &mut self,
        number: AppendNumber,
        item: Item,
        outcome: Result<i64, AppendError>,
        more: &mut Vec<Effect<Item>>,
    ) {
        let Phase::Serving(serving) = &mut self.phase else {
            return;
        };
        let mut failed = None;
        match outcome {
            Ok(base_offset) => {
                let records = serving.index.apply_all(&item.records, base_offset);
                self.meter.landed(records, item.handed.elapsed());
                item.done.call(Ok(()));
            }
            Err(error) => {
                debug!(partition = self.partition, %error, "append failed");
                failed = Some(error.clone());
                item.done.call(Err(error));
            }
        }
        let Released { reads, mut held } = serving.order.settled(&item.group, number);
        if let Some(error) = failed
            && let Some(Op::Append {
                pieces: Pieces::Many,
                ..
            }) = held.front()
            && let Some(rest) = held.pop_front()
        {
            // A part failed: what is left of its change is not tried.
            rest.refuse(error);
        }
        for op in reads {
            match op {
                Op::Read { read, .. } => read(&serving.index),
                Op::Nothing { done, .. } => done.call(Ok(())),
                Op::Append { .. } | Op::Change { .. } => {
                    unreachable!("only reads and appends of nothing wait as reads")
                }
            }
        }
        for op in held {
            self.take_in(op, more);
        }
    }

    fn end(&self, reason: &Fatal) -> ActorProcessingErr {
        if let Fatal::Log(LogError::WrongEnd { .. }) | Fatal::Contradiction = reason {
            seldom!(error, partition = self.partition, %reason, "a second writer, or a bug");
        }
        format!("offsets partition {}: {reason}", self.partition).into()
    }
}

/// A part of a read that is made of several: the last of them to run is the read. One that never runs drops its share of
/// it, as the read would be dropped.
fn last_of(read: &Arc<Mutex<ReadFn>>) -> ReadFn {
    let read = Arc::clone(read);
    Box::new(move |index| {
        if let Some(read) = Arc::into_inner(read) {
            read.into_inner().unwrap_or_else(PoisonError::into_inner)(index);
        }
    })
}
