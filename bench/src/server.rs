//! Servers under test, each a process of its own: our broker, an Apache Kafka, a plain echo. Dropping one kills it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use callboard_protocol::messages::metadata::MetadataRequest;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Duration, Instant, sleep, timeout};

use crate::error::{BenchError, Doing};
use crate::rows::{BEFORE, OURS};
use crate::usage::Process;
use crate::wire::Wire;

/// How long a server may take until it serves.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// Between two tries to reach one that starts; short against every start that is measured.
const POLL: Duration = Duration::from_millis(5);

/// What Kafka's own start script gives Java, with the heap of the comparison.
const KAFKA_JVM: &str = "-Xms1g -Xmx1g -server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35 \
    -XX:+ExplicitGCInvokesConcurrent -XX:MaxInlineLevel=15 -Djava.awt.headless=true";
/// `kafka.sh` makes a small node; here it has Kafka's defaults.
const KAFKA_SETTINGS: &[&str] = &[
    "num.network.threads=3",
    "num.io.threads=8",
    "log.cleaner.dedupe.buffer.size=134217728",
];

/// Where programs and data are.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// The `callboard` program.
    pub(crate) callboard: PathBuf,
    /// An older one, to be measured beside it.
    pub(crate) before: Option<PathBuf>,
    /// An older bench, whose consumer is to be measured beside this one's.
    pub(crate) before_consumer: Option<PathBuf>,
    /// The root of the repository.
    pub(crate) repository: PathBuf,
    /// Data of our broker, on the disk that is measured, and its logs.
    pub(crate) work: PathBuf,
    /// A folder in memory, where fdatasync has nothing to do.
    pub(crate) memory: PathBuf,
}

impl Places {
    /// The places of the older program, whose data lies in folders of its own.
    pub(crate) fn before(&self) -> Option<Self> {
        let before = self.before.clone()?;
        Some(Self {
            callboard: before,
            before: None,
            work: self.work.join("before"),
            memory: self.memory.join("before"),
            ..self.clone()
        })
    }

    /// Our brokers: what each is called in the results, and its places.
    pub(crate) fn ours(&self) -> Vec<(&'static str, Self)> {
        let before = self.before().map(|places| (BEFORE, places));
        [(OURS, self.clone())].into_iter().chain(before).collect()
    }
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: String,
    /// Its process.
    pub(crate) process: Process,
    child: Child,
    /// Kept, so that it never writes into a closed pipe.
    _stdout: Option<BufReader<ChildStdout>>,
}

impl Server {
    /// Our broker on its data directory, up to its `ready` line.
    pub(crate) async fn ours(
        places: &Places,
        data: &Path,
        settings: &[&str],
    ) -> Result<Self, BenchError> {
        let name = data.file_name().unwrap_or(data.as_os_str());
        let log = places.work.join(name).with_extension("log");
        for folder in [places.work.as_path(), data] {
            std::fs::create_dir_all(folder).doing(|| format!("making {}", folder.display()))?;
        }
        let log = std::fs::File::create(&log).doing(|| format!("making {}", log.display()))?;
        let mut command = Command::new(&places.callboard);
        command
            .args([
                "broker",
                "--listen",
                "127.0.0.1:0",
                "--admin",
                "127.0.0.1:0",
            ])
            .arg("--data-dir")
            .arg(data)
            .args(settings.iter().flat_map(|setting| ["--set", setting]))
            .stderr(log);
        Self::announced(command).await
    }

    /// This program as an echo.
    pub(crate) async fn echo() -> Result<Self, BenchError> {
        let program = std::env::current_exe().doing(|| "finding this program".to_owned())?;
        let mut command = Command::new(program);
        command.arg("echo");
        Self::announced(command).await
    }

    /// Starts what says `ready listen=HOST:PORT …` when it serves.
    async fn announced(mut command: Command) -> Result<Self, BenchError> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .doing(|| format!("starting {}", command.as_std().get_program().display()))?;
        let stdout = child.stdout.take();
        let mut stdout = BufReader::new(
            stdout.ok_or_else(|| BenchError::Server("a child without a stdout".to_owned()))?,
        );
        let mut line = String::new();
        timeout(START_TIMEOUT, stdout.read_line(&mut line))
            .await
            .map_err(|_elapsed| BenchError::TimedOut("a start".to_owned()))?
            .doing(|| "reading the ready line".to_owned())?;
        let address = line
            .split_whitespace()
            .find_map(|word| word.strip_prefix("listen="))
            .ok_or_else(|| BenchError::Server(format!("it did not get ready: {line:?}")))?;
        Ok(Self {
            address: address.to_owned(),
            process: process(&child)?,
            child,
            _stdout: Some(stdout),
        })
    }

    /// SIGKILL, and waits for its end.
    pub(crate) async fn kill(mut self) -> Result<(), BenchError> {
        self.child
            .kill()
            .await
            .doing(|| "killing a server".to_owned())
    }
}

fn process(child: &Child) -> Result<Process, BenchError> {
    child
        .id()
        .map(Process)
        .ok_or_else(|| BenchError::Server("it ended at once".to_owned()))
}

/// A node of Apache Kafka, which may be started and killed as often as one likes. Dropping it deletes its data.
#[derive(Debug)]
pub(crate) struct KafkaNode {
    script: PathBuf,
    port: u16,
    /// Its data and configuration.
    pub(crate) folder: PathBuf,
}

impl KafkaNode {
    /// Formats its storage.
    pub(crate) async fn prepare(places: &Places, settings: &[&str]) -> Result<Self, BenchError> {
        let interop = places.repository.join("interop");
        let cache = std::env::var_os("CALLBOARD_INTEROP_CACHE")
            .map_or_else(|| interop.join(".cache"), PathBuf::from);
        let port = free_port()?;
        let node = Self {
            script: interop.join("kafka.sh"),
            port,
            folder: cache.join(format!("kafka-node-{port}")),
        };
        let status = Command::new(&node.script)
            .args(["prepare", "--port", &port.to_string()])
            .args(KAFKA_SETTINGS.iter().flat_map(|setting| ["--set", setting]))
            .args(settings.iter().flat_map(|setting| ["--set", setting]))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .status()
            .await
            .doing(|| format!("running {}", node.script.display()))?;
        if status.success() {
            Ok(node)
        } else {
            Err(BenchError::Server(
                "Apache Kafka could not be prepared, see above".to_owned(),
            ))
        }
    }

    /// Starts it, up to its first answer to Metadata.
    pub(crate) async fn start(&self) -> Result<Server, BenchError> {
        let child = Command::new(&self.script)
            .args(["run", "--port", &self.port.to_string()])
            .env("KAFKA_JVM", KAFKA_JVM)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .doing(|| format!("running {}", self.script.display()))?;
        let mut server = Server {
            address: format!("127.0.0.1:{}", self.port),
            // The script becomes Java, so the child is the broker.
            process: process(&child)?,
            child,
            _stdout: None,
        };
        let until = Instant::now() + START_TIMEOUT;
        while !serves(&server.address).await {
            let ended = server
                .child
                .try_wait()
                .doing(|| "looking after Apache Kafka".to_owned())?;
            if let Some(status) = ended {
                let log = self.folder.join("kafka.log");
                let said = format!("Apache Kafka ended with {status}, see {}", log.display());
                return Err(BenchError::Server(said));
            }
            if Instant::now() > until {
                return Err(BenchError::TimedOut("the start of Apache Kafka".to_owned()));
            }
            sleep(POLL).await;
        }
        Ok(server)
    }
}

impl Drop for KafkaNode {
    fn drop(&mut self) {
        // What is left over is deleted by the next `kafka.sh stop`.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Whether a broker names itself in an answer to Metadata: an open port says little.
pub(crate) async fn serves(address: &str) -> bool {
    let asked = async {
        let mut wire = Wire::connect(address).await?;
        let request = MetadataRequest {
            topics: Some(Vec::new()),
            ..MetadataRequest::default()
        };
        let answer = wire.call(&request, 1).await?;
        Ok::<_, BenchError>(!answer.read()?.brokers.is_empty())
    };
    matches!(timeout(Duration::from_secs(10), asked).await, Ok(Ok(true)))
}

fn free_port() -> Result<u16, BenchError> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .doing(|| "looking for a free port".to_owned())
}
