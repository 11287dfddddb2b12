//! Every help text: its examples run as they stand, and it says the exit codes.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Broker, Process, succeed};

/// Every command, those that make what others use first.
const COMMANDS: [&[&str]; 14] = [
    &[],
    &["topic"],
    &["topic", "create"],
    &["topic", "list"],
    &["topic", "describe"],
    &["topic", "alter"],
    &["produce"],
    &["consume"],
    &["topic", "delete"],
    &["broker"],
    &["assignor"],
    &["assignor", "list"],
    &["assignor", "simulate"],
    &["demo"],
];

fn examples(command: &[&str], option: &str) -> Vec<String> {
    let help = succeed(&[command, &[option]].concat());
    assert!(
        help.iter()
            .any(|line| line.contains("129  ended in order by SIGHUP")),
        "{command:?} {option} does not say its exit codes: {help:#?}"
    );
    let from = help
        .iter()
        .position(|line| line == "Examples:" || line == "Example:");
    let from = from.unwrap_or_else(|| panic!("{command:?} has no example: {help:#?}"));
    help[from + 1..]
        .iter()
        .take_while(|line| !line.is_empty())
        .map(|line| line.trim().to_owned())
        .collect()
}

#[test]
fn no_command_is_left_out() {
    for parent in [&[][..], &["topic"], &["assignor"]] {
        let help = succeed(&[parent, &["--help"]].concat());
        let from = help.iter().position(|line| line == "Commands:").unwrap();
        let names = help[from + 1..].iter().take_while(|line| !line.is_empty());
        for name in names.filter_map(|line| line.split_whitespace().next()) {
            let command = [parent, &[name]].concat();
            let known = COMMANDS.contains(&&command[..]);
            assert!(known || name == "help", "{command:?} runs no example");
        }
    }
}

#[test]
fn every_example_of_the_help_texts_runs() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Broker::start(&directory.path().join("broker"));
    let callboard = directory.path().join("callboard");
    // The examples are for the default address; here it is another.
    let script = format!(
        "#!/bin/sh\ncase $1 in\ntopic|produce|consume) exec {0} \"$@\" --bootstrap {1};;\nassignor) exec {0} \"$@\";;\nesac\nexit 99\n",
        env!("CARGO_BIN_EXE_callboard"),
        broker.listen,
    );
    std::fs::write(&callboard, script).unwrap();
    std::fs::set_permissions(&callboard, PermissionsExt::from_mode(0o755)).unwrap();
    for command in COMMANDS {
        let all = examples(command, "--help");
        assert!(!all.is_empty());
        assert_eq!(
            all,
            examples(command, "-h"),
            "{command:?}: both say the same"
        );
        for example in all {
            if example.starts_with("callboard broker") {
                broker_runs(&example, directory.path());
            } else if example != "callboard demo" {
                // The demo has a test of its own.
                shell_runs(&example, directory.path());
            }
        }
    }
}

fn shell_runs(example: &str, directory: &Path) {
    let path = std::env::var("PATH").unwrap();
    let shell = Command::new("sh")
        .args(["-ec", example])
        .env("PATH", format!("{}:{path}", directory.display()))
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (stdout, stderr) = (text(&shell.stdout), text(&shell.stderr));
    assert_eq!(shell.status.code(), Some(0), "{example}\n{stdout}{stderr}");
    assert!(!stderr.contains("callboard: "), "{example}\n{stderr}");
    assert!(
        !stdout.is_empty() || !stderr.is_empty() || example.contains('>'),
        "{example} says nothing"
    );
}

/// On ports of its own, since the default ones may be taken.
fn broker_runs(example: &str, directory: &Path) {
    let data = directory.join("data");
    let example = example.replace("./data", data.to_str().unwrap());
    let arguments: Vec<&str> = example.split_whitespace().skip(1).collect();
    let ports = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let broker = Process::start(&[&arguments[..], &ports].concat());
    assert!(broker.line().starts_with("ready "));
    assert_eq!(broker.terminate().code, Some(0));
}
