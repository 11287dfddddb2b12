//! One member of a group reads a topic of 16 partitions that is there already, in a process of its own that is measured
//! from its start until it has committed the last record and left.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use callboard_client::{
    Client, ClientConfig, NewTopic, OffsetSpec, Producer, ProducerRecord, TopicPartition,
};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::{Duration, timeout};

use super::{Amounts, BEFORE, OURS, figures};
use crate::consumer::How;
use crate::error::{BenchError, Doing};
use crate::results::{Figures, Run};
use crate::server::{Places, Server};
use crate::stage::remove;
use crate::usage::{Cpu, Process};

const TOPIC: &str = "records";
const PARTITIONS: i32 = 16;
/// The member has its group to itself: nobody else is waited for.
const SETTINGS: &[&str] = &["group.initial.rebalance.delay.ms=0"];
/// Batches as a busy producer makes them.
const PRODUCER: &[(&str, &str)] = &[("batch.size", "65536"), ("linger.ms", "100")];
/// How long one consumer may take.
const CONSUME_TIMEOUT: Duration = Duration::from_secs(300);

/// The broker with its records, made by the first run.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    server: Option<Server>,
    data: PathBuf,
    /// Consumers so far: each is a group of its own.
    consumers: u64,
}

impl Prepared {
    pub(super) async fn run(
        &mut self,
        places: &Places,
        amounts: &Amounts,
        bytes: usize,
        how: How,
    ) -> Result<Run, BenchError> {
        if self.server.is_none() {
            self.data = places.work.join("consume");
            remove(&self.data)?;
            let server = Server::ours(places, &self.data, SETTINGS).await?;
            produce(&server.address, amounts.records, bytes).await?;
            self.server = Some(server);
        }
        let Some(server) = &self.server else {
            return Err(BenchError::Server("it was just started".to_owned()));
        };
        let own = std::env::current_exe().doing(|| "finding this program".to_owned())?;
        let before = places.before_consumer.clone().map(|file| (BEFORE, file));
        let mut programs: Vec<_> = [(OURS, own)].into_iter().chain(before).collect();
        // What the first leaves behind for the second, it leaves for either of them in turn.
        if self.consumers / 2 % 2 == 1 {
            programs.reverse();
        }
        let mut run = Run::new();
        for (who, program) in programs {
            self.consumers += 1;
            let group = format!("bench-{}", self.consumers);
            let mut command = Command::new(program);
            command
                .args(["consume", "--bootstrap", &server.address])
                .args(["--topic", TOPIC, "--group", &group])
                .args(["--records", &amounts.records.to_string()])
                .args(["--how", &how.to_string()]);
            let asked = timeout(CONSUME_TIMEOUT, consume(command, amounts.records)).await;
            let figures =
                asked.map_err(|_elapsed| BenchError::TimedOut("a consumer".to_owned()))??;
            run.insert(who.to_owned(), figures);
        }
        Ok(run)
    }

    /// Ends the broker and removes its data.
    pub(super) async fn clear(self) -> Result<(), BenchError> {
        match self.server {
            Some(server) => {
                server.kill().await?;
                remove(&self.data)
            }
            None => Ok(()),
        }
    }
}

/// Fills the topic, every partition with as many records as the others.
async fn produce(address: &str, records: u64, bytes: usize) -> Result<(), BenchError> {
    let mut config = ClientConfig::bootstrap(address)?;
    for (key, value) in PRODUCER {
        config.set(key, value)?;
    }
    let client = Client::connect(config).await?;
    client
        .create_topic(&NewTopic::new(TOPIC, PARTITIONS))
        .await?;
    let producer = Producer::new(client.clone());
    let value = bytes::Bytes::from(vec![b'x'; bytes]);
    for (_, partition) in (0..records).zip((0..PARTITIONS).cycle()) {
        let record = ProducerRecord {
            topic: TOPIC.to_owned(),
            partition: Some(partition),
            value: Some(value.clone()),
            ..ProducerRecord::default()
        };
        // What it came to is seen by the ends of the logs.
        drop(producer.send_record(record).await?);
    }
    producer.flush().await;
    let partitions = (0..PARTITIONS)
        .map(|partition| TopicPartition::new(TOPIC, partition))
        .collect();
    let ends = client
        .list_all_offsets(&partitions, OffsetSpec::Latest)
        .await?;
    let stored: i64 = ends.values().map(|end| end.offset).sum();
    if u64::try_from(stored) != Ok(records) {
        return Err(BenchError::Client(format!(
            "{stored} of {records} records are stored"
        )));
    }
    // What is left to write would be written while consumers are measured.
    let synced = Command::new("sync").kill_on_drop(true).status().await;
    synced.doing(|| "writing data back".to_owned())?;
    Ok(())
}

/// Runs a consumer up to its line, and reads off what it took before it may end.
async fn consume(mut command: Command, records: u64) -> Result<Figures, BenchError> {
    let program = PathBuf::from(command.as_std().get_program());
    let failed = |reason: &str| {
        let program = Path::new(&program).display();
        BenchError::Client(format!("{program}: {reason}"))
    };
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .doing(|| format!("starting {}", program.display()))?;
    let process = Process(child.id().ok_or_else(|| failed("it ended at once"))?);
    let stdout = child.stdout.take();
    let mut stdout = BufReader::new(stdout.ok_or_else(|| failed("it has no stdout"))?);
    let mut line = String::new();
    stdout
        .read_line(&mut line)
        .await
        .doing(|| "reading what a consumer says".to_owned())?;
    let seconds = line
        .starts_with("consumed ")
        .then(|| line.split_whitespace())
        .and_then(|mut words| words.find_map(|word| word.strip_prefix("seconds=")))
        .and_then(|text| text.parse::<f64>().ok())
        .ok_or_else(|| failed(&format!("it did not consume: {line:?}")))?;
    let cpu = process.cpu()?.since(Cpu::default());
    let switches = process.voluntary_switches()?;
    let peak = process.peak_mb()?;
    drop(child.stdin.take());
    let status = child
        .wait()
        .await
        .doing(|| "waiting for a consumer".to_owned())?;
    if !status.success() {
        return Err(failed(&status.to_string()));
    }
    let records = records as f64;
    Ok(figures([
        ("rate", records / seconds.max(1e-9)),
        ("client_us", cpu.as_secs_f64() * 1e6 / records),
        ("switches", switches * 1e3 / records),
        ("peak_mb", peak),
    ]))
}
