//! `callboard assignor`, which needs no cluster.

use std::path::Path;
use std::process::{Command, Stdio};

use callboard_supervision::testing::Limit;

use crate::support::{run, succeed};

#[test]
fn the_built_in_assignors_are_listed() {
    assert_eq!(
        succeed(&["assignor", "list"]),
        [
            "range\teager\t-",
            "roundrobin\teager\t-",
            "sticky\teager\towned",
            "cooperative-sticky\tcooperative,eager\towned",
        ]
    );
}

#[test]
fn a_bad_case_ends_with_its_place_and_exit_code_2() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    std::fs::write(
        path,
        r#"{"topics":{"t":{"partitions":1}},"members":[{"id":"a","topics":["t"],"owned":{"t":[-7]}}]}"#,
    )
    .unwrap();
    let ended = run(&[
        "assignor",
        "simulate",
        "--assignor",
        "range",
        "--input",
        path,
    ]);
    assert_eq!(ended.code, Some(2));
    assert_eq!(
        ended.errors,
        format!("callboard: {path}: members[0].owned.t[0]: -7 is below 0; --help has the form\n")
    );
    assert!(ended.lines.is_empty());
}

#[test]
fn the_commands_of_the_guide_run() {
    let _limit = Limit::start();
    let guide = include_str!("../../../docs/assignor-guide.md");
    let binary = Path::new(env!("CARGO_BIN_EXE_callboard"));
    let directory = tempfile::tempdir().unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut blocks = 0;
    for block in guide.split("```sh\n").skip(1) {
        let (script, _) = block.split_once("```").unwrap();
        let shell = Command::new("sh")
            .args(["-ec", script])
            .env(
                "PATH",
                format!("{}:{path}", binary.parent().unwrap().display()),
            )
            .current_dir(&directory)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8(shell.stdout).unwrap();
        let errors = String::from_utf8(shell.stderr).unwrap();
        assert_eq!(
            (shell.status.code(), errors.as_str()),
            (Some(0), ""),
            "{script}"
        );
        let said = ["skew 1\n", "\"skew\":2}\n", "skew 0\n"];
        assert!(
            said.iter().any(|said| text.ends_with(said)),
            "{script}{text}"
        );
        blocks += 1;
    }
    assert_eq!(blocks, 2);
}
