//! The demo is the main job: it has to come to its end, and its end has to be a good one.

use std::time::Duration;

use crate::support::Process;

/// Between two lines; unoptimised and beside other tests it takes its time.
const PATIENCE: Duration = Duration::from_secs(90);

#[test]
fn the_demo_shows_what_it_claims() {
    let ended = Process::start(&["demo"]).end_within(PATIENCE);
    let told = ended.lines.join("\n");
    assert_eq!(ended.code, Some(0), "{told}\n{}", ended.errors);
    for part in [
        "80,789 rows in 12 partitions",
        "(stage fright)",
        "is delivered again, attempt 2",
        "kill -9",
        "reason session_timeout",
        "dora joins",
        "the table equals the direct computation",
        "the group ends at lag 0",
        "series at http://",
    ] {
        assert!(told.contains(part), "{part} is not in:\n{told}");
    }
    assert!(!told.contains("FAIL"), "{told}");
    assert!(ended.errors.is_empty(), "{}", ended.errors);
}
