//! Runs the binary. Every wait has a deadline and is for something that happens, never for time to pass.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use callboard_supervision::testing::Limit;

/// Well beyond anything that works, well below the session timeout of a member that did not leave (45 s).
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The binary at work; killed when dropped.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    errors: Receiver<String>,
    /// Lines of stderr that were looked at.
    told: RefCell<String>,
    /// For waits for the process that have none of their own.
    _limit: Limit,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    /// Lines of stdout that were not read before.
    pub(crate) lines: Vec<String>,
    pub(crate) errors: String,
}

impl Process {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, None)
    }

    fn start_with(arguments: &[&str], input: Option<&str>) -> Self {
        Self::spawn(command(arguments), input)
    }

    fn spawn(mut command: Command, input: Option<&str>) -> Self {
        let limit = Limit::start();
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        if let Some(input) = input {
            // A command that refuses its arguments does not read.
            let _ = stdin.write_all(input.as_bytes());
        }
        let lines = read_lines(child.stdout.take().unwrap());
        let errors = read_lines(child.stderr.take().unwrap());
        Self {
            child,
            lines,
            errors,
            told: RefCell::default(),
            _limit: limit,
        }
    }

    /// Starts it, reads one line of its stdout and closes that, as `| head -n 1` does.
    pub(crate) fn start_and_read_one_line(arguments: &[&str]) -> (String, Self) {
        let limit = Limit::start();
        let mut child = command(arguments).spawn().unwrap();
        let errors = read_lines(child.stderr.take().unwrap());
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let (_closed, lines) = channel();
        (
            line,
            Self {
                child,
                lines,
                errors,
                told: RefCell::default(),
                _limit: limit,
            },
        )
    }

    /// As [`start`](Self::start), but another program runs the binary: its name and arguments come first.
    pub(crate) fn start_under(program: &[&str], arguments: &[&str]) -> Self {
        let binary = env!("CARGO_BIN_EXE_callboard");
        let all = [&program[1..], &[binary], arguments].concat();
        Self::spawn(command_of(program[0], &all), None)
    }

    /// The next line of stdout.
    pub(crate) fn line(&self) -> String {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => panic!("no line in {PATIENCE:?}"),
            Err(RecvTimeoutError::Disconnected) => {
                panic!("it ended instead of printing a line: {}", self.errors())
            }
        }
    }

    /// The next line of stderr.
    pub(crate) fn error_line(&self) -> String {
        let line = self.errors.recv_timeout(PATIENCE);
        let line = line.unwrap_or_else(|error| panic!("{error}: {}", self.told.borrow()));
        *self.told.borrow_mut() += &format!("{line}\n");
        line
    }

    /// All of stderr, which has to end.
    fn errors(&self) -> String {
        let mut told = self.told.take();
        loop {
            match self.errors.recv_timeout(PATIENCE) {
                Ok(line) => told += &format!("{line}\n"),
                Err(RecvTimeoutError::Disconnected) => return told,
                Err(RecvTimeoutError::Timeout) => panic!("stderr does not end: {told}"),
            }
        }
    }

    /// The next line of stdout if it comes soon.
    pub(crate) fn line_within(&self, patience: Duration) -> Option<String> {
        self.lines.recv_timeout(patience).ok()
    }

    /// The lines of stdout up to the one that has this in it, no line later than `patience` after the one before.
    pub(crate) fn lines_until(&self, part: &str, patience: Duration) -> String {
        let mut told = String::new();
        while !told.contains(part) {
            match self.lines.recv_timeout(patience) {
                Ok(line) => told.extend([line.as_str(), "\n"]),
                Err(error) => panic!("{part} does not come ({error}):\n{told}"),
            }
        }
        told
    }

    pub(crate) fn signal(&self, name: &str) {
        self.signals(name, 1);
    }

    /// The same signal so many times, one right after the other.
    pub(crate) fn signals(&self, name: &str, times: usize) {
        let pid = self.child.id().to_string();
        let mut kill = Command::new("kill");
        kill.args(["-s", name]).args(vec![&pid; times]);
        assert!(kill.status().unwrap().success());
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it ends by itself.
    pub(crate) fn end(mut self) -> Ended {
        let mut lines = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => lines.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it did not end; it printed {lines:#?}"),
            }
        }
        let errors = self.errors();
        let code = self.child.wait().unwrap().code();
        Ended {
            code,
            lines,
            errors,
        }
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) fn terminate(self) -> Ended {
        self.signal("TERM");
        self.end()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already, where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_lines(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines() {
            if sender.send(line.unwrap()).is_err() {
                return;
            }
        }
    });
    lines
}

pub(crate) fn command(arguments: &[&str]) -> Command {
    command_of(env!("CARGO_BIN_EXE_callboard"), arguments)
}

fn command_of(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env_remove("RUST_LOG");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs the binary to its end.
pub(crate) fn run(arguments: &[&str]) -> Ended {
    Process::start(arguments).end()
}

/// Runs it to its end with this on stdin.
pub(crate) fn run_with(arguments: &[&str], input: &str) -> Ended {
    Process::start_with(arguments, Some(input)).end()
}

/// Runs it to its end, which has to be a good one; gives the lines of stdout.
pub(crate) fn succeed(arguments: &[&str]) -> Vec<String> {
    let ended = run(arguments);
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.errors);
    ended.lines
}

/// A broker on free ports.
pub(crate) struct Broker {
    pub(crate) process: Process,
    pub(crate) listen: String,
    pub(crate) admin: String,
    pub(crate) data: String,
}

impl Broker {
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_with(data, &[])
    }

    pub(crate) fn start_with(data: &Path, more: &[&str]) -> Self {
        Self::start_at(data, "127.0.0.1:0", "127.0.0.1:0", more)
    }

    pub(crate) fn start_at(data: &Path, listen: &str, admin: &str, more: &[&str]) -> Self {
        let mut arguments = vec!["broker", "--listen", listen, "--admin", admin];
        arguments.extend(["--data-dir", data.to_str().unwrap()]);
        // Nobody waits for members that do not come.
        arguments.extend(["--set", "group.initial.rebalance.delay.ms=0"]);
        arguments.extend(more);
        let process = Process::start(&arguments);
        let ready = process.line();
        let mut fields = ready.strip_prefix("ready ").unwrap().splitn(3, ' ');
        let mut field = |name: &str| {
            let field = fields.next().unwrap();
            field
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix('='))
                .unwrap_or_else(|| panic!("{ready}"))
                .to_owned()
        };
        let (listen, admin, data) = (field("listen"), field("admin"), field("data"));
        Self {
            process,
            listen,
            admin,
            data,
        }
    }
}

/// A broker with a topic, and its address spelled as arguments.
pub(crate) struct House {
    pub(crate) broker: Broker,
    _directory: tempfile::TempDir,
}

impl House {
    /// A broker with these settings and no topics.
    pub(crate) fn start(more: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let broker = Broker::start_with(directory.path(), more);
        Self {
            broker,
            _directory: directory,
        }
    }

    pub(crate) fn open(topic: &str, partitions: u32) -> Self {
        let house = Self::start(&[]);
        let partitions = partitions.to_string();
        let created = house.succeed(&["topic", "create", topic, "--partitions", &partitions]);
        assert_eq!(
            created,
            [format!("created {topic} with {partitions} partitions")]
        );
        house
    }

    pub(crate) fn with<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        [arguments, &["--bootstrap", &self.broker.listen]].concat()
    }

    pub(crate) fn succeed(&self, arguments: &[&str]) -> Vec<String> {
        succeed(&self.with(arguments))
    }

    pub(crate) fn produce(&self, topic: &str, lines: &str) {
        let ended = run_with(
            &self.with(&["produce", topic, "--key-separator", "="]),
            lines,
        );
        assert_eq!(ended.code, Some(0), "{}", ended.errors);
        assert!(ended.lines.is_empty(), "{:?}", ended.lines);
        let count = lines.lines().count();
        assert_eq!(
            ended.errors,
            format!("produced {count} records to {topic}\n")
        );
    }

    /// What the group has not printed yet.
    pub(crate) fn rest(&self, topic: &str) -> Vec<String> {
        self.succeed(&[
            "consume",
            topic,
            "--group",
            "g",
            "--from",
            "earliest",
            "--exit-at-end",
        ])
    }

    pub(crate) fn restart(self, signal: &str) -> Self {
        let data = self.broker.data.clone();
        self.broker.process.signal(signal);
        let ended = self.broker.process.end();
        assert_eq!(
            ended.code,
            (signal == "TERM").then_some(0),
            "{}",
            ended.errors
        );
        Self {
            broker: Broker::start(Path::new(&data)),
            _directory: self._directory,
        }
    }
}

/// An HTTP answer, status line and all.
pub(crate) fn get(address: &str, path: &str) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(socket, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}
