//! The examples are run, since a program that nobody runs is soon wrong.
#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something does not go as it should"
)]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use callboard_broker::{Broker, BrokerConfig};
use callboard_client::{Client, ClientConfig, NewTopic, Producer};
use callboard_supervision::testing::Limit;
use tokio::runtime::Runtime;

const PATIENCE: Duration = Duration::from_secs(30);

/// An example at work, killed when dropped.
struct Example {
    child: Child,
    lines: Receiver<String>,
    _limit: Limit,
}

impl Example {
    fn start(program: &str, arguments: &[&str]) -> Self {
        let (mut example, stdout) = Self::unread(program, arguments);
        example.read(stdout);
        example
    }

    /// Starts it without reading what it prints.
    fn unread(program: &str, arguments: &[&str]) -> (Self, ChildStdout) {
        let mut child = Command::new(program)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let example = Self {
            child,
            lines: channel().1,
            _limit: Limit::start(),
        };
        (example, stdout)
    }

    fn read(&mut self, stdout: ChildStdout) {
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                if sender.send(line.unwrap()).is_err() {
                    return;
                }
            }
        });
        self.lines = lines;
    }

    /// Reads on to the line that has this in it.
    fn until(&self, part: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|error| panic!("no line with {part}: {error}"));
            if line.contains(part) {
                return line;
            }
        }
    }

    fn interrupt(&self) {
        let pid = self.child.id().to_string();
        let kill = Command::new("kill").args(["-s", "INT", &pid]).status();
        assert!(kill.unwrap().success());
    }

    /// Waits for a good end; the lines that were not read.
    fn end(mut self) -> Vec<String> {
        let mut rest = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => rest.push(line),
                // Its stdout has ended, and so does it.
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it goes on after {} lines", rest.len()),
            }
        }
        assert!(self.child.wait().unwrap().success(), "{rest:?}");
        rest
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // Gone already, where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A broker with a topic of six partitions that has six records.
struct House {
    runtime: Runtime,
    broker: Option<Broker>,
    bootstrap: String,
    _limit: Limit,
    _data: tempfile::TempDir,
}

impl House {
    fn open() -> Self {
        Self::open_with("")
    }

    /// The same with this at the end of each record.
    fn open_with(rest: &str) -> Self {
        let limit = Limit::start();
        let runtime = Runtime::new().unwrap();
        let data = tempfile::tempdir().unwrap();
        let broker = runtime.block_on(async {
            let mut config = BrokerConfig::default();
            config.set("listeners", "127.0.0.1:0").unwrap();
            config.set("callboard.admin.listener", "").unwrap();
            let delay = "group.initial.rebalance.delay.ms";
            config.set(delay, "0").unwrap();
            config.data_dir = data.path().to_owned();
            Broker::start(config).await.unwrap()
        });
        let bootstrap = broker.address().to_string();
        runtime.block_on(async {
            let config = ClientConfig::bootstrap(&bootstrap).unwrap();
            let client = Client::connect(config).await.unwrap();
            let topic = NewTopic::new("orders", 6);
            client.create_topic(&topic).await.unwrap();
            let producer = Producer::new(client);
            for number in 0..6 {
                let value = format!("order {number}{rest}");
                let key = value.as_bytes();
                producer.send("orders", Some(key), Some(key)).await.unwrap();
            }
            producer.flush().await;
        });
        Self {
            runtime,
            broker: Some(broker),
            bootstrap,
            _limit: limit,
            _data: data,
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(broker) = self.broker.take() {
            // The test has its result.
            let _ = self.runtime.block_on(broker.shutdown());
        }
    }
}

#[test]
fn handler() {
    let house = House::open();
    let example = Example::start(
        env!("CARGO_BIN_EXE_handler"),
        &[&house.bootstrap, "orders", "tills"],
    );
    example.until("6 partitions are ours");
    for _ in 0..6 {
        example.until("(attempt 1)");
    }
    example.interrupt();
    let rest = example.end();
    assert!(
        rest.contains(&"handled 6 records, drained: true".to_owned()),
        "{rest:?}"
    );
}

#[test]
fn stream() {
    let house = House::open();
    let arguments = [house.bootstrap.as_str(), "orders", "readers"];
    let example = Example::start(env!("CARGO_BIN_EXE_stream"), &arguments);
    for _ in 0..6 {
        example.until("order ");
    }
    example.interrupt();
    let rest = example.end();
    let committed: u32 = rest
        .iter()
        .filter_map(|line| line.split_once(" is committed up to "))
        .map(|(_, offset)| offset.parse::<u32>().unwrap())
        .sum();
    assert_eq!(committed, 6, "{rest:?}");
}

#[test]
fn a_signal_that_comes_while_a_record_is_handled_is_not_lost() {
    // More than a pipe holds: it prints until somebody reads.
    let house = House::open_with(&"x".repeat(128 * 1024));
    let arguments = [house.bootstrap.as_str(), "orders", "readers"];
    let (mut example, mut stdout) = Example::unread(env!("CARGO_BIN_EXE_stream"), &arguments);
    stdout.read_exact(&mut [0]).unwrap();
    example.interrupt();
    example.read(stdout);
    let rest = example.end();
    let committed = rest
        .iter()
        .filter(|line| line.contains(" is committed up to "));
    assert!(committed.count() > 0);
}

#[test]
fn assignor() {
    let house = House::open();
    let member = |capacity| {
        let arguments = [house.bootstrap.as_str(), "orders", "kitchens", capacity];
        Example::start(env!("CARGO_BIN_EXE_assignor"), &arguments)
    };
    let weak = member("1");
    weak.until("capacity 1: 6 partitions");
    let strong = member("5");
    strong.until("capacity 5: 5 partitions");
    weak.until("capacity 1: 1 partitions");
    for example in [weak, strong] {
        example.interrupt();
        example.end();
    }
}

#[test]
fn embedded() {
    let data = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let directory = data.path().to_str().unwrap();
        let example = Example::start(env!("CARGO_BIN_EXE_embedded"), &[directory]);
        example.until("the broker listens on");
        let rest = example.end();
        assert!(
            rest.contains(&"handled 10 orders, drained: true".to_owned()),
            "{rest:?}"
        );
    }
}

#[test]
fn coordinator() {
    let example = Example::start(env!("CARGO_BIN_EXE_coordinator"), &[]);
    assert_eq!(
        example.end(),
        [
            "joined: NONE, 1",
            "synced: NONE, b\"all three\"",
            "committed: NONE, orders-2",
            "fetched: 42",
        ]
    );
}
