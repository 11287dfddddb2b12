//! `callboard assignor`: what assignors there are, and what they plan. Speaks to no cluster.

use std::io::Write;

use callboard_assignor::Assignor;
use callboard_assignor_range::RangeAssignor;
use callboard_assignor_round_robin::RoundRobinAssignor;
use callboard_assignor_simulate::{SimulateError, list};
use callboard_assignor_sticky::{CooperativeStickyAssignor, StickyAssignor};

use crate::args::{AssignorAction, AssignorArgs};
use crate::failure::Failure;

const KNOWN: [&dyn Assignor; 4] = [
    &RangeAssignor,
    &RoundRobinAssignor,
    &StickyAssignor,
    &CooperativeStickyAssignor,
];

pub(crate) fn run(args: AssignorArgs) -> Result<(), Failure> {
    let text = match args.action {
        AssignorAction::List => list(&KNOWN),
        AssignorAction::Simulate(args) => args.run(&KNOWN).map_err(|error| match error {
            SimulateError::Input(line) => Failure::Usage(line),
            SimulateError::Failed(line) => Failure::Failed(line),
        })?,
    };
    let written = std::io::stdout().write_all(text.as_bytes());
    written.map_err(Failure::stdout)
}
