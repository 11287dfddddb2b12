//! What is printed for people.

use std::fmt::Write;

use callboard_assignor::{Assignor, Need, RebalanceProtocol};

use crate::case::Case;
use crate::outcome::Outcome;

/// A line an assignor, separated by tabs: its name, the rebalance protocols it works under, the most advanced first, and
/// what it needs to know besides subscriptions, `-` for nothing.
#[must_use]
pub fn list(known: &[&dyn Assignor]) -> String {
    let mut lines = String::new();
    for assignor in known {
        let mut protocols = assignor.protocols().to_vec();
        protocols.sort_unstable_by(|one, other| other.cmp(one));
        let protocols: Vec<&str> = protocols.into_iter().map(protocol_name).collect();
        let needs: Vec<&str> = assignor.needs().iter().map(need_name).collect();
        let needs = if needs.is_empty() { vec!["-"] } else { needs };
        let (protocols, needs) = (protocols.join(","), needs.join(","));
        lines += &format!("{}\t{protocols}\t{needs}\n", assignor.name());
    }
    lines
}

fn protocol_name(protocol: RebalanceProtocol) -> &'static str {
    match protocol {
        RebalanceProtocol::Eager => "eager",
        RebalanceProtocol::Cooperative => "cooperative",
    }
}

fn need_name(need: &Need) -> &'static str {
    match need {
        Need::Owned => "owned",
        Need::Lag => "lag",
        _ => "more",
    }
}

/// What it is about, a line a member with how many partitions it has and which, and what is counted.
pub(crate) fn plain(assignor: &dyn Assignor, case: &Case, outcome: &Outcome) -> String {
    let protocol = assignor.protocols().iter().max().copied();
    let protocol = protocol.map_or("no protocol", protocol_name);
    let (members, partitions, topics) = case.size();
    let name = assignor.name();
    let mut text = format!(
        "{name}, {protocol}: members {members}, topics {topics}, partitions {partitions}\n"
    );
    // What would steer a terminal is written out.
    let shown = |name: &str| name.escape_debug().to_string();
    let ids = outcome
        .assignment
        .keys()
        .map(|id| shown(id).chars().count());
    let width = ids.max().unwrap_or(0);
    for (id, topics) in &outcome.assignment {
        let count: usize = topics.values().map(Vec::len).sum();
        // Writing to a string cannot fail.
        let _ = write!(text, "{:<width$} {count:>4}", shown(id));
        for (topic, numbers) in topics {
            let _ = write!(text, "  {} {}", shown(topic), runs(numbers));
        }
        text.push('\n');
    }
    let Outcome {
        withheld,
        moved,
        skew,
        ..
    } = outcome;
    let _ = writeln!(text, "moved {moved}, withheld {withheld}, skew {skew}");
    text
}

/// `0-3,5,7-8`.
fn runs(numbers: &[i32]) -> String {
    let mut runs = Vec::new();
    for run in numbers.chunk_by(|one, next| one + 1 == *next) {
        match run {
            [one] => runs.push(one.to_string()),
            [first, .., last] => runs.push(format!("{first}-{last}")),
            [] => {}
        }
    }
    runs.join(",")
}
