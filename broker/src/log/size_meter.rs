//! A log's part of its topic's size gauge.

use metrics::{Counter, Gauge, gauge};

use super::metrics::BROKER_LOG_SIZE_BYTES;
use crate::metrics::LOG_TRUNCATED_BYTES;

/// What one log adds to the gauge. Gives it back when the log goes, however it goes.
#[derive(Debug)]
pub(super) struct SizeMeter {
    gauge: Gauge,
    truncated: Counter,
    bytes: u64,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge; logs stay below 2^53 bytes"
)]
impl SizeMeter {
    pub(super) fn new(topic: &str) -> Self {
        let topic = topic.to_owned();
        let gauge = gauge!(BROKER_LOG_SIZE_BYTES, "topic" => topic);
        Self {
            gauge,
            truncated: LOG_TRUNCATED_BYTES.with(&[]),
            bytes: 0,
        }
    }

    pub(super) fn set(&mut self, bytes: u64) {
        self.gauge.increment(bytes as f64 - self.bytes as f64);
        self.bytes = bytes;
    }

    pub(super) fn add(&mut self, bytes: u64) {
        self.set(self.bytes + bytes);
    }

    pub(super) fn count_truncated(&self, bytes: u64) {
        self.truncated.increment(bytes);
    }

    pub(super) fn remove(&mut self, bytes: u64) {
        self.set(self.bytes.saturating_sub(bytes));
    }
}

impl Drop for SizeMeter {
    fn drop(&mut self) {
        self.set(0);
    }
}
