//! Whether the demo showed what it claims: the table beside the direct computation, the figures, and each claim with
//! its outcome. Prints and decides; nothing happens any more.

use std::fmt::Write;
use std::time::Duration;

use super::flights::{Table, Totals};

/// What the run came to.
#[derive(Debug)]
pub(super) struct Evidence {
    pub(super) rows: u64,
    pub(super) direct: Table,
    pub(super) counted: Table,
    /// Rows handed to handlers, repetitions included.
    pub(super) delivered: u64,
    /// Rows handed to handlers, without repetitions.
    pub(super) distinct: u64,
    /// Exactly the offsets of the log were counted.
    pub(super) complete: bool,
    /// Records between the committed offsets and the ends.
    pub(super) lag: i64,
    pub(super) commits: u64,
    pub(super) rebalances: usize,
    /// The generation before the kill, and the one that was formed because of it.
    pub(super) kill: (i32, i32),
    pub(super) restarts: u64,
    /// Members that left in order, of how many.
    pub(super) left: (usize, usize),
    pub(super) troubles: Vec<String>,
    pub(super) took: Duration,
}

impl Evidence {
    fn redelivered(&self) -> u64 {
        self.delivered - self.distinct
    }

    /// Each claim of the demo and whether it holds.
    pub(super) fn claims(&self) -> Vec<(bool, String)> {
        let (before, after) = self.kill;
        let (left, of) = self.left;
        vec![
            (
                self.complete && self.distinct == self.rows,
                format!(
                    "each of {} rows counted exactly once after de-duplication by offset",
                    grouped(self.rows)
                ),
            ),
            (
                self.counted == self.direct,
                "the table equals the direct computation".to_owned(),
            ),
            (self.lag == 0, format!("the group ends at lag {}", self.lag)),
            (
                self.rebalances >= 2,
                format!("{} rebalances, at least two", self.rebalances),
            ),
            (
                after > before,
                format!(
                    "generation {after} was formed after a member of generation {before} was killed"
                ),
            ),
            (
                self.restarts >= 1,
                format!("{} handler restarted after a panic", self.restarts),
            ),
            (
                self.redelivered() >= 1,
                format!(
                    "{} records delivered more than once",
                    grouped(self.redelivered())
                ),
            ),
            (
                left == of,
                format!("{left} of {of} members left in order, everything committed"),
            ),
            (
                self.troubles.is_empty(),
                format!("nothing unforeseen{}", listed(&self.troubles)),
            ),
        ]
    }

    /// The table, the figures and the claims, as text.
    pub(super) fn text(&self) -> String {
        let mut text = String::from("\n");
        // Writing to a string cannot fail; so all through here.
        let _ = writeln!(
            text,
            "{:7} {:^42}   {:^42}",
            "", "counted by the consumers", "straight from the file"
        );
        let heading = format!(
            "{:>8} {:>9} {:>11} {:>11}",
            "flights", "departed", "delay (min)", "mean (min)"
        );
        let _ = writeln!(text, "carrier {heading}   {heading}");
        let mut carriers: Vec<&String> =
            self.direct.0.keys().chain(self.counted.0.keys()).collect();
        carriers.sort();
        carriers.dedup();
        for carrier in carriers {
            let of = |table: &Table| row(&table.0.get(carrier).copied().unwrap_or_default());
            let _ = writeln!(
                text,
                "{carrier:7} {}   {}",
                of(&self.counted),
                of(&self.direct)
            );
        }
        let _ = writeln!(
            text,
            "{:7} {}   {}\n",
            "all",
            row(&self.counted.sum()),
            row(&self.direct.sum())
        );
        let _ = writeln!(
            text,
            "{} records delivered, {} of them again; {} commits; {} rebalances; {:.1} s\n",
            grouped(self.delivered),
            grouped(self.redelivered()),
            grouped(self.commits),
            self.rebalances,
            self.took.as_secs_f64()
        );
        for (holds, claim) in self.claims() {
            let _ = writeln!(text, "{}  {claim}", if holds { "  ok" } else { "FAIL" });
        }
        text
    }

    /// Whether every claim holds.
    pub(super) fn holds(&self) -> bool {
        self.claims().iter().all(|(holds, _)| *holds)
    }
}

fn listed(troubles: &[String]) -> String {
    if troubles.is_empty() {
        String::new()
    } else {
        format!(", but {}", troubles.join("; "))
    }
}

fn row(totals: &Totals) -> String {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a mean for people; the equality is of integers"
    )]
    let mean = if totals.departed == 0 {
        0.0
    } else {
        totals.delay_minutes as f64 / totals.departed as f64
    };
    let delay = if totals.delay_minutes < 0 { "-" } else { "" };
    let delay = format!("{delay}{}", grouped(totals.delay_minutes.unsigned_abs()));
    format!(
        "{:>8} {:>9} {delay:>11} {mean:>11.2}",
        grouped(totals.scheduled),
        grouped(totals.departed)
    )
}

/// Digits in threes.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence() -> Evidence {
        let mut table = Table::default();
        table.count("UA,1545,N14228,EWR,IAH,2013-01-01T10:00:00Z,2,11,1400");
        Evidence {
            rows: 1,
            direct: table.clone(),
            counted: table,
            delivered: 2,
            distinct: 1,
            complete: true,
            lag: 0,
            commits: 3,
            rebalances: 2,
            kill: (1, 2),
            restarts: 1,
            left: (3, 3),
            troubles: Vec::new(),
            took: Duration::from_secs(1),
        }
    }

    #[test]
    fn a_run_that_had_everything_holds() {
        let evidence = evidence();
        assert!(evidence.holds(), "{}", evidence.text());
        assert!(!evidence.text().contains("FAIL"));
    }

    #[test]
    fn every_claim_can_fail() {
        let spoilers: [fn(&mut Evidence); 10] = [
            |evidence| evidence.complete = false,
            |evidence| evidence.rows = 2,
            |evidence| evidence.counted = Table::default(),
            |evidence| evidence.lag = 1,
            |evidence| evidence.rebalances = 1,
            |evidence| evidence.kill = (1, 1),
            |evidence| evidence.restarts = 0,
            |evidence| evidence.delivered = 1,
            |evidence| evidence.left = (2, 3),
            |evidence| {
                evidence
                    .troubles
                    .push("anna: fell off the stage".to_owned())
            },
        ];
        for (place, spoil) in spoilers.into_iter().enumerate() {
            let mut evidence = evidence();
            spoil(&mut evidence);
            assert!(!evidence.holds(), "spoiler {place}");
            assert!(evidence.text().contains("FAIL"), "spoiler {place}");
        }
    }

    #[test]
    fn numbers_are_read_in_threes() {
        assert_eq!(
            [0, 999, 1000, 80_789, 1_234_567].map(grouped),
            ["0", "999", "1,000", "80,789", "1,234,567"]
        );
    }
}
