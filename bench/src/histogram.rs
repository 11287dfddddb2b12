//! Latencies in buckets that are about 3 % wide, so that millions of them cost a kilobyte and a few instructions each.

use std::time::Duration;

/// Buckets of one doubling, as a power of two.
const SPLIT_BITS: u32 = 5;
/// Buckets of one doubling.
const SPLIT: usize = 1 << SPLIT_BITS;
/// Doublings that are kept apart: up to 2^40 ns, 18 minutes.
const DOUBLINGS: usize = 40;

/// How often each latency was seen.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: vec![0; SPLIT * DOUBLINGS],
            total: 0,
        }
    }
}

impl Histogram {
    /// Takes one more; beyond the range counts as its end.
    pub(crate) fn record(&mut self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        let bucket = bucket(nanos).min(self.buckets.len() - 1);
        self.buckets[bucket] += 1;
        self.total += 1;
    }

    /// How many were taken.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The latency below which this share of all lies, in microseconds; 0 when there are none.
    pub(crate) fn quantile_us(&self, share: f64) -> f64 {
        let wanted = (self.total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted && *count > 0 {
                return middle(bucket) / 1_000.0;
            }
        }
        0.0
    }
}

/// Exact below the first split, then so many buckets each doubling.
fn bucket(nanos: u64) -> usize {
    let highest = 63 - nanos.max(1).leading_zeros();
    if highest < SPLIT_BITS {
        return nanos as usize;
    }
    let doubling = highest - SPLIT_BITS;
    let within = (nanos >> doubling) as usize - SPLIT;
    SPLIT + doubling as usize * SPLIT + within
}

fn middle(bucket: usize) -> f64 {
    if bucket < SPLIT {
        return bucket as f64;
    }
    let doubling = (bucket - SPLIT) / SPLIT;
    let within = (bucket - SPLIT) % SPLIT;
    let width = 2f64.powi(i32::try_from(doubling).unwrap_or(i32::MAX));
    (SPLIT + within) as f64 * width + width / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_within_a_bucket_of_the_truth() {
        let mut histogram = Histogram::default();
        for micros in 1..=1_000 {
            histogram.record(Duration::from_micros(micros));
        }
        for (share, truth) in [(0.5, 500.0), (0.99, 990.0)] {
            let found = histogram.quantile_us(share);
            assert!((found - truth).abs() < truth * 0.04, "{share}: {found}");
        }
        assert_eq!(histogram.total(), 1_000);
    }

    #[test]
    fn buckets_are_in_order_and_everything_has_one() {
        let mut last = 0;
        for shift in 0..64 {
            let here = bucket(1 << shift);
            assert!(here >= last, "2^{shift}");
            last = here;
        }
        Histogram::default().record(Duration::MAX);
        assert_eq!(Histogram::default().quantile_us(0.5), 0.0);
    }
}
