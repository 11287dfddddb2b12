//! `callboard broker`: its start, its ready line, its end, and what keeps it from starting.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use crate::support::{Broker, PATIENCE, get, run, succeed};

#[test]
fn it_says_where_it_serves_and_ends_in_order() {
    for signal in ["TERM", "INT"] {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let broker = Broker::start(&data);
        assert_eq!(Path::new(&broker.data), data);
        assert!(
            !broker.listen.ends_with(":0") && !broker.admin.ends_with(":0"),
            "free ports are real ports"
        );
        assert!(
            succeed(&["topic", "list", "--bootstrap", &broker.listen])
                .iter()
                .all(|name| name.starts_with("__"))
        );
        broker.process.signal(signal);
        let ended = broker.process.end();
        assert_eq!(ended.code, Some(0), "{signal}: {}", ended.errors);
        assert!(
            ended.lines.is_empty(),
            "logs go to stderr: {:?}",
            ended.lines
        );
    }
}

#[test]
fn the_admin_port_serves_metrics_and_health() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Broker::start(directory.path());
    succeed(&["topic", "list", "--bootstrap", &broker.listen]);
    assert!(get(&broker.admin, "/healthz").contains(" 200 "));
    assert!(get(&broker.admin, "/readyz").contains(" 200 "));
    let metrics = get(&broker.admin, "/metrics");
    for name in ["callboard_build_info", "callboard_broker_connections"] {
        assert!(metrics.contains(&format!("# HELP {name} ")), "{name}");
        assert!(metrics.contains(&format!("# TYPE {name} gauge")), "{name}");
    }
    assert_eq!(broker.process.terminate().code, Some(0));
}

#[test]
fn it_can_do_without_an_admin_port() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Broker::start_at(directory.path(), "127.0.0.1:0", "", &[]);
    assert_eq!(broker.admin, "none");
    assert_eq!(broker.process.terminate().code, Some(0));
}

#[test]
fn a_configuration_file_is_read_and_flags_win() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("broker.toml");
    let text = "\"broker.id\" = 7\nlisteners = \"127.0.0.1:1\"\nnum.partitions = 3\n\
        [group.initial.rebalance]\ndelay.ms = 0\n[log]\ndirs = \"/never/used\"\n";
    std::fs::write(&file, text).unwrap();
    let data = directory.path().join("data");
    let broker = Broker::start_with(&data, &["--config", file.to_str().unwrap()]);
    let bootstrap = ["--bootstrap", &broker.listen];
    succeed(
        &[
            &["topic", "create", "t", "--partitions", "1"][..],
            &bootstrap,
        ]
        .concat(),
    );
    let described = succeed(&[&["topic", "describe", "t"][..], &bootstrap].concat());
    assert_eq!(
        described[2].split_whitespace().nth(1),
        Some("7"),
        "the leader is node 7: {described:?}"
    );
    assert_eq!(broker.process.terminate().code, Some(0));
}

/// One sentence on stderr, nothing on stdout, exit 2.
#[track_caller]
fn refused(arguments: &[&str], parts: &[&str]) {
    let ended = run(arguments);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let sentence = ended.errors.lines().last().unwrap_or_default();
    for part in parts {
        assert!(
            sentence.contains(part),
            "{part} is not in: {}",
            ended.errors
        );
    }
    assert!(ended.lines.is_empty(), "{:?}", ended.lines);
}

#[test]
fn a_port_in_use_is_exit_2() {
    let directory = tempfile::tempdir().unwrap();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = held.local_addr().unwrap().to_string();
    let data = directory.path().to_str().unwrap();
    refused(
        &[
            "broker",
            "--listen",
            &taken,
            "--admin",
            "127.0.0.1:0",
            "--data-dir",
            data,
        ],
        &["cannot listen on", &taken],
    );
    refused(
        &[
            "broker",
            "--listen",
            "127.0.0.1:0",
            "--admin",
            &taken,
            "--data-dir",
            data,
        ],
        &["cannot listen on", &taken],
    );
}

#[test]
fn a_data_directory_of_another_process_is_exit_2_and_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Broker::start(directory.path());
    let pid = broker.process.pid().to_string();
    let arguments = [
        "broker",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--data-dir",
        directory.path().to_str().unwrap(),
    ];
    refused(&arguments, &["in use by process", &pid]);
    assert_eq!(broker.process.terminate().code, Some(0));
    let again = Broker::start(directory.path());
    assert_eq!(again.process.terminate().code, Some(0));
}

#[test]
fn a_data_directory_that_cannot_be_is_exit_2() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let inside = file.join("data");
    let arguments = [
        "broker",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--data-dir",
        inside.to_str().unwrap(),
    ];
    refused(
        &arguments,
        &["cannot use the data directory", inside.to_str().unwrap()],
    );
}

#[test]
fn the_configuration_is_printed_with_its_sources() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("broker.toml");
    std::fs::write(&file, "num.partitions = 3\ngroup.max.size = 7\n").unwrap();
    let printed = succeed(&[
        "broker",
        "--print-config",
        "--config",
        file.to_str().unwrap(),
        "--set",
        "group.max.size=8",
        "--listen",
        "127.0.0.1:0",
    ]);
    for line in [
        "num.partitions\t3\t1\tfile",
        "group.max.size\t8\t2147483647\tcommand line",
        "listeners\t127.0.0.1:0\t127.0.0.1:9092\tcommand line",
        "offsets.retention.minutes\t10080\t10080\tdefault",
        "cluster.id\t\t\tdefault",
    ] {
        assert!(
            printed.iter().any(|printed| printed == line),
            "{line}: {printed:#?}"
        );
    }
    assert!(printed.iter().all(|line| line.split('\t').count() == 4));
    // What cannot run is refused as it would be at the start.
    let refused = run(&[
        "broker",
        "--print-config",
        "--set",
        "group.min.session.timeout.ms=9999999",
    ]);
    assert_eq!(refused.code, Some(2));
}

#[test]
fn a_thousand_bad_frames_are_a_few_lines() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Broker::start(directory.path());
    for _ in 0..1_000 {
        let mut socket = TcpStream::connect(&broker.listen).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        // Api 999, which nobody knows; and the end of it.
        let frame = [0, 0, 0, 10, 3, 231, 0, 0, 0, 0, 0, 1, 255, 255];
        socket.write_all(&frame).unwrap();
        assert_eq!(socket.read(&mut [0]).unwrap(), 0, "it is closed");
    }
    let ended = broker.process.terminate();
    let lines = ended.errors.matches("a request of an unknown api").count();
    assert!((1..=10).contains(&lines), "{lines} lines");
}
