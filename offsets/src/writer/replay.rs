//! Reading a partition back: every stored batch goes through the same [`Index::apply`] as a live append.
//! Runs on a thread that may block.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::warn;

use crate::batch;
use crate::index::Index;
use crate::log::{LogError, OffsetsLog, Position};

/// What `partition` holds before position `upto`. Stops early, with whatever it has, once `cancelled`.
///
/// # Errors
/// What the scan says, and `Corrupt` for a batch that does not parse: a record of a known type is never skipped.
pub(super) fn replay(
    log: &dyn OffsetsLog,
    partition: u32,
    upto: Position,
    cancelled: &AtomicBool,
) -> Result<Index, LogError> {
    let mut index = Index::default();
    let mut damage = None;
    log.scan(partition, 0..upto, &mut |stored| {
        if cancelled.load(Ordering::Relaxed) {
            return ControlFlow::Break(());
        }
        let read = batch::decode(
            &stored.kafka,
            &stored.marks,
            stored.base_offset,
            |record, offset| match record {
                Ok(record) => index.apply(&record, offset),
                Err(record_type) => {
                    warn!(
                        partition,
                        offset, record_type, "skipped a record of a type not known here"
                    );
                }
            },
        );
        match read {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                damage = Some(LogError::Corrupt {
                    position: stored.position,
                    reason: error.to_string(),
                });
                ControlFlow::Break(())
            }
        }
    })?;
    match damage {
        Some(error) => Err(error),
        None => Ok(index),
    }
}
