//! Exponential waits with jitter, drawn from a seed so that a run can be repeated. Owned by whoever waits.

use std::time::Duration;

/// Doubles from `initial` to `max`, each wait moved by up to 20 % either way, as Kafka's clients do.
#[derive(Clone, Debug)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
    attempts: u32,
    seed: u64,
}

impl Backoff {
    /// A backoff at its start. Where `initial` is above `max`, `max` is used flat.
    #[must_use]
    pub fn new(initial: Duration, max: Duration, seed: u64) -> Self {
        Self {
            initial: initial.min(max),
            max,
            attempts: 0,
            seed,
        }
    }

    /// The next wait.
    pub fn next_wait(&mut self) -> Duration {
        let base = self
            .initial
            .saturating_mul(1 << self.attempts.min(20))
            .min(self.max);
        self.attempts = self.attempts.saturating_add(1);
        base.mul_f64(0.8 + 0.4 * self.unit())
    }

    /// Begins again from the initial wait.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }

    /// Waits handed out since the last reset.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// splitmix64, its upper 53 bits as a number in [0, 1).
    fn unit(&mut self) -> f64 {
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a float exactly")]
        let unit = (mixed >> 11) as f64 / (1_u64 << 53) as f64;
        unit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_within_a_fifth_and_stop_at_the_maximum() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1), 7);
        for base in [100.0, 200.0, 400.0, 800.0, 1000.0, 1000.0] {
            let wait = backoff.next_wait().as_secs_f64() * 1e3;
            assert!(
                (base * 0.8..=base * 1.2).contains(&wait),
                "{wait} is not around {base}"
            );
        }
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(120));
    }
}
