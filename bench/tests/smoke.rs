//! Every row with tiny counts, so that the bench does not rot: it runs, has the figures it should have, and goes on where
//! it was. What the figures are does not matter here.
//!
//! This test is also the broker it measures: run with `broker` as its first argument it serves, as `callboard broker`
//! does. So it has a main function of its own.

use std::path::Path;
use std::process::Command;

use callboard_broker::{Broker, BrokerConfig};
use callboard_supervision::testing::Limit;

/// Rows of each kind; the connections of those that are left out are more of the same.
const ROWS: &str = "heartbeat/1x1,heartbeat/50x5,commit/10x10,join/10,start,hostile,idle,restart,consume/closure-100,consume/stream-1024";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "broker") {
        serve(&arguments[1..]);
    } else {
        println!("every row has its figures, once");
        every_row_has_its_figures_once();
        println!("ok");
    }
}

fn every_row_has_its_figures_once() {
    let _limit = Limit::start();
    let folder = tempfile::tempdir().expect("a folder");
    let first = bench(folder.path());
    for row in ROWS.split(',') {
        assert!(
            first.contains(&format!("| {row} | ours |")),
            "{row}: {first}"
        );
    }
    assert!(first.contains("| heartbeat/1x1 | echo |"), "{first}");
    assert!(
        first.contains("| commit/10x10 | ours, no fsync |"),
        "{first}"
    );
    assert!(
        first.contains("| hostile | grown by, ours, MB | at most 64 |"),
        "{first}"
    );
    for row in ROWS.split(',') {
        assert!(
            first.contains(&format!("| {row} | before |")),
            "{row}: {first}"
        );
    }
    assert!(first.contains("| row, ours / before |"), "{first}");
    // Measured again, a figure would be another one.
    assert_eq!(bench(folder.path()), first);
    assert_eq!(entries(folder.path()), ["results", "work"]);
    let left = entries(&folder.path().join("work"));
    assert!(
        left.iter()
            .all(|name| name.ends_with(".log") || name == "before"),
        "data was left over: {left:?}"
    );
}

fn entries(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = names
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Runs it and returns its table.
fn bench(folder: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_callboard-bench"))
        .args([
            "run",
            "--skip-kafka",
            "--runs",
            "1",
            "--seconds",
            "0.05",
            "--warm-up",
            "0.01",
        ])
        .args([
            "--groups",
            "100",
            "--commits",
            "500",
            "--hostile",
            "5",
            "--records",
            "500",
            "--rows",
            ROWS,
        ])
        .args(["--table", "-", "--callboard"])
        .arg(std::env::current_exe().expect("this program"))
        // Beside itself: the same figures again, under another name.
        .arg("--before")
        .arg(std::env::current_exe().expect("this program"))
        .args(["--before-consumer", env!("CARGO_BIN_EXE_callboard-bench")])
        .arg("--results")
        .arg(folder.join("results"))
        .arg("--work")
        .arg(folder.join("work"))
        // Not a file system in memory everywhere, and that does not matter here.
        .arg("--memory")
        .arg(folder)
        .output()
        .expect("the bench");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).expect("a table of text")
}

/// A broker until it is killed.
fn serve(arguments: &[String]) {
    let mut config = BrokerConfig::default();
    for pair in arguments.chunks(2) {
        let [flag, value] = pair else {
            panic!("{pair:?} is no flag with its value");
        };
        match flag.as_str() {
            "--listen" => config.set("listeners", value),
            "--admin" => config.set("callboard.admin.listener", value),
            "--data-dir" => config.set("log.dirs", value),
            "--set" => {
                let (key, value) = value.split_once('=').expect("KEY=VALUE");
                config.set(key, value)
            }
            _ => panic!("{flag} is no flag of the broker"),
        }
        .expect("a setting");
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let mut broker = Broker::start(config).await.expect("a broker");
        println!("ready listen={}", broker.address());
        panic!("{}", broker.failed().await);
    });
}
