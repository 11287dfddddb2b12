//! What happens in the demo: told on stdout as it happens, and kept for the verdict. Shared by all members' sinks and
//! the director, who waits here for the next cue.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::ProgressBar;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::ledger::Ledger;
use super::report::{Report, Sink};
use crate::failure::Failure;

/// How long the director waits for a cue before the demo has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Everything that has happened so far.
#[derive(Debug, Default)]
pub(super) struct Happened {
    pub(super) ledger: Ledger,
    /// Rows by who was handed them, repetitions included.
    pub(super) rows: BTreeMap<&'static str, u64>,
    /// Who owns what, by generation.
    pub(super) generations: BTreeMap<i32, BTreeMap<&'static str, Vec<i32>>>,
    pub(super) restarts: u64,
    /// Records a consumer knows it has handed over before.
    pub(super) redelivered: u64,
    pub(super) commits: u64,
    pub(super) troubles: Vec<String>,
}

impl Happened {
    /// The latest generation, -1 before the first.
    pub(super) fn generation(&self) -> i32 {
        self.generations
            .last_key_value()
            .map_or(-1, |(generation, _)| *generation)
    }

    /// The latest generation, if these members and nobody else own all partitions in it, each at least one.
    pub(super) fn settled(&self, members: &[&str], partitions: usize) -> Option<i32> {
        let (generation, owned) = self.generations.last_key_value()?;
        let complete = owned.values().map(Vec::len).sum::<usize>() == partitions;
        let theirs = owned.len() == members.len()
            && members
                .iter()
                .all(|member| owned.get(member).is_some_and(|owned| !owned.is_empty()));
        (complete && theirs).then_some(*generation)
    }

    /// Generations after the first.
    pub(super) fn rebalances(&self) -> usize {
        self.generations.len().saturating_sub(1)
    }
}

/// The story, and who waits for it to go on.
#[derive(Debug)]
pub(super) struct Story {
    started: Instant,
    happened: Mutex<Happened>,
    changed: Notify,
    /// Rows produced, then rows counted; hidden when nobody watches.
    bar: ProgressBar,
}

impl Story {
    /// A story that begins now.
    pub(super) fn begin(bar: ProgressBar) -> Arc<Self> {
        let story = Self {
            started: Instant::now(),
            happened: Mutex::default(),
            changed: Notify::new(),
            bar,
        };
        Arc::new(story)
    }

    /// Since the beginning.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The bar of rows.
    pub(super) fn bar(&self) -> &ProgressBar {
        &self.bar
    }

    /// What has happened so far. Held for a few instructions, never across an await.
    pub(super) fn happened(&self) -> MutexGuard<'_, Happened> {
        self.happened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells a line. Where nobody reads any more the demo goes on all the same: its exit code counts.
    pub(super) fn say(&self, who: &str, what: impl std::fmt::Display) {
        let seconds = self.elapsed().as_secs_f64();
        self.bar.suspend(|| {
            let mut stdout = std::io::stdout().lock();
            let _ =
                writeln!(stdout, "{seconds:6.2}s  {who:<11} {what}").and_then(|()| stdout.flush());
        });
    }

    /// Where `member` reports to.
    pub(super) fn sink(self: &Arc<Self>, member: &'static str) -> Sink {
        let story = Arc::clone(self);
        Arc::new(move |report| {
            if let Some(line) = story.take(member, report) {
                story.say(member, line);
            }
            story.changed.notify_waiters();
        })
    }

    /// Waits until the story has come to where `cue` finds what it looks for.
    pub(super) async fn until<T>(
        &self,
        what: &str,
        cue: impl Fn(&Happened) -> Option<T>,
    ) -> Result<T, Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before the look, or a change between the two would be missed.
            changed.as_mut().enable();
            if let Some(found) = cue(&self.happened()) {
                return Ok(found);
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                let seconds = PATIENCE.as_secs();
                return Err(Failure::demo(format_args!(
                    "the demo waited {seconds} s for this in vain: {what}"
                )));
            }
        }
    }

    /// Keeps a report; returns what is worth telling of it.
    fn take(&self, member: &'static str, report: Report) -> Option<String> {
        let mut happened = self.happened();
        match report {
            Report::Row {
                partition,
                offset,
                row,
            } => {
                happened.ledger.count(partition, offset, &row);
                *happened.rows.entry(member).or_default() += 1;
                self.bar.set_position(happened.ledger.distinct());
                None
            }
            Report::Assigned {
                generation,
                owned,
                leader,
                reason,
            } => {
                let line = format!(
                    "generation {generation}: owns {}{} (joined: {reason})",
                    ranges(&owned),
                    if leader { ", leads the group" } else { "" }
                );
                happened
                    .generations
                    .entry(generation)
                    .or_default()
                    .insert(member, owned);
                Some(line)
            }
            Report::Revoked { partitions } => {
                Some(format!("committed and gave up {}", ranges(&partitions)))
            }
            Report::Lost { partitions, cause } => Some(format!(
                "lost {} without commit: {cause}",
                ranges(&partitions)
            )),
            Report::Restarted {
                partition,
                error,
                after_ms,
                resumes_at,
            } => {
                happened.restarts += 1;
                Some(format!(
                    "handler of partition {partition} panicked ({error}), restarts in {after_ms} ms at offset {resumes_at}"
                ))
            }
            Report::Redelivered {
                partition,
                offset,
                until,
                attempt,
            } => {
                happened.redelivered += u64::try_from(until - offset).unwrap_or(0);
                (attempt > 1)
                    .then(|| format!("{partition}@{offset} is delivered again, attempt {attempt}"))
            }
            Report::Committed => {
                happened.commits += 1;
                None
            }
            Report::Trouble(what) => {
                happened.troubles.push(format!("{member}: {what}"));
                Some(what)
            }
        }
    }
}

/// Ascending numbers as people write them: `0-3, 7`.
fn ranges(numbers: &[i32]) -> String {
    let mut runs: Vec<(i32, i32)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    let runs: Vec<String> = runs
        .into_iter()
        .map(|(first, last)| {
            if first == last {
                first.to_string()
            } else {
                format!("{first}-{last}")
            }
        })
        .collect();
    if runs.is_empty() {
        "nothing".to_owned()
    } else {
        runs.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_ranges() {
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), "0-2, 5, 7-8");
        assert_eq!(ranges(&[]), "nothing");
    }

    fn assigned(story: &Story, member: &'static str, generation: i32, owned: &[i32]) {
        let report = Report::Assigned {
            generation,
            owned: owned.to_vec(),
            leader: false,
            reason: String::new(),
        };
        story.take(member, report);
    }

    #[test]
    fn a_generation_is_settled_when_its_members_own_everything() {
        let story = Story::begin(ProgressBar::hidden());
        assigned(&story, "anna", 1, &[0, 1, 2, 3]);
        assert_eq!(story.happened().settled(&["anna"], 4), Some(1));
        assert_eq!(story.happened().settled(&["anna", "bert"], 4), None);
        assigned(&story, "anna", 2, &[0, 1]);
        assert_eq!(
            story.happened().settled(&["anna"], 4),
            None,
            "half of it is somebody else's"
        );
        assigned(&story, "bert", 2, &[2, 3]);
        assert_eq!(story.happened().settled(&["anna", "bert"], 4), Some(2));
        assert_eq!(story.happened().rebalances(), 1);
    }
}
