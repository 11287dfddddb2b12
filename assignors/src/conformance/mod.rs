//! Tries an assignor on random groups and on large ones, and holds it to what every assignor promises. For the tests of
//! its author: [`conformance!`](crate::conformance!) is the whole test, [`Kit`] is what it is made of.
//!
//! Every group follows from a seed and its number; a [`Failure`] names both, the [`Check`] that failed, and shows the group.
//! An assignor that never returns hangs the test.

mod check;
mod random;
mod trial;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::assignor::Assignor;
pub use check::{Cause, Check, Failure};
use random::Random;
use trial::{Stop, Trial};

/// What is tried, and how often. All [checks](Check) are on unless one is [switched off](Self::without).
#[derive(Clone, Debug)]
#[must_use]
pub struct Kit {
    seed: u64,
    groups: u64,
    skew: usize,
    scale_limit: Duration,
    off: BTreeMap<Check, String>,
}

impl Kit {
    /// A kit of 1,000 groups made from `seed`.
    pub const fn new(seed: u64) -> Self {
        Self {
            seed,
            groups: 1_000,
            skew: 1,
            scale_limit: Duration::from_secs(30),
            off: BTreeMap::new(),
        }
    }

    /// How many random groups to try.
    pub const fn groups(mut self, groups: u64) -> Self {
        self.groups = groups;
        self
    }

    /// How many partitions a member may have above another where all subscribe alike ([`Check::Skew`]). 1 by default.
    pub const fn skew(mut self, bound: usize) -> Self {
        self.skew = bound;
        self
    }

    /// How long a plan for a large group may take ([`Check::Scale`]): 30 seconds by default, for builds without
    /// optimization. A consumer gives it half of `max.poll.interval.ms`, 150 seconds by default.
    pub const fn scale_limit(mut self, limit: Duration) -> Self {
        self.scale_limit = limit;
        self
    }

    /// Does not hold the assignor to `check`, because of `reason`. Of a group on which it fails there nothing else is tried.
    ///
    /// # Panics
    /// Without a reason.
    pub fn without(mut self, check: Check, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        assert!(!reason.is_empty(), "why without {check}?");
        self.off.insert(check, reason);
        self
    }

    /// What is switched off, and why.
    pub fn switched_off(&self) -> impl Iterator<Item = (Check, &str)> {
        self.off
            .iter()
            .map(|(check, reason)| (*check, reason.as_str()))
    }

    fn holds_to(&self, check: Check) -> bool {
        !self.off.contains_key(&check)
    }

    /// Tries the assignor; the kit prints nothing.
    ///
    /// # Errors
    /// The first group it failed on.
    pub fn run(&self, assignor: &dyn Assignor) -> Result<(), Box<Failure>> {
        for number in 0..self.groups {
            for &protocol in assignor.protocols() {
                let mut random = Random::new(self.seed, number);
                let topics = random.topics();
                let mut trial = Trial {
                    members: random.members(&topics, assignor),
                    kit: self,
                    assignor,
                    protocol,
                    topics,
                };
                let tried = trial.run(&mut random);
                self.judge(tried, trial, number)?;
            }
        }
        if self.holds_to(Check::Scale) {
            for &protocol in assignor.protocols() {
                for alike in [true, false] {
                    let (topics, members) = random::large(alike, assignor);
                    let mut trial = Trial {
                        kit: self,
                        assignor,
                        protocol,
                        topics,
                        members,
                    };
                    let tried = trial.scale();
                    self.judge(tried, trial, self.groups)?;
                }
            }
        }
        Ok(())
    }

    fn judge(
        &self,
        tried: Result<(), Stop>,
        trial: Trial<'_>,
        number: u64,
    ) -> Result<(), Box<Failure>> {
        match tried {
            Ok(()) | Err(Stop::Excused) => Ok(()),
            Err(Stop::Failed(check, cause)) => Err(Box::new(Failure {
                seed: self.seed,
                number,
                check,
                cause,
                topics: trial.topics,
                members: trial.members,
            })),
        }
    }
}

/// The test `conformance`: runs a [`Kit`] on an assignor. What comes after a comma is called on the kit, with [`Check`] in
/// scope. The seed is `CALLBOARD_SEED` of the environment, or the same each time; the test prints it, and what is switched
/// off.
///
/// ```
/// # use callboard_assignor::{AssignError, Assignor, Group, Plan};
/// # struct MyAssignor;
/// # impl Assignor for MyAssignor {
/// #     fn name(&self) -> &str { "mine" }
/// #     fn assign(&self, group: &Group) -> Result<Plan, AssignError> { Ok(Plan::new(group)) }
/// # }
/// #[cfg(test)]
/// mod tests {
///     callboard_assignor::conformance!(
///         super::MyAssignor,
///         .groups(500).without(Check::Movement, "it knows nothing of what members own")
///     );
/// }
/// ```
#[macro_export]
macro_rules! conformance {
    ($assignor:expr $(, $($kit:tt)*)?) => {
        #[test]
        fn conformance() {
            #[allow(unused_imports, reason = "only where something is switched off")]
            use $crate::conformance::{Check, Kit};
            let seed = ::std::env::var("CALLBOARD_SEED");
            let seed = seed.map_or(20_260, |seed| seed.parse().expect("CALLBOARD_SEED is a number"));
            ::std::println!("CALLBOARD_SEED={seed}");
            let kit = Kit::new(seed)$($($kit)*)?;
            for (check, reason) in kit.switched_off() {
                ::std::println!("without {check}: {reason}");
            }
            if let ::std::result::Result::Err(failure) = kit.run(&$assignor) {
                ::std::panic!("{failure}");
            }
        }
    };
}

#[cfg(test)]
mod tests;
