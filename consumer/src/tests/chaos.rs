//! Everything that can go wrong, in any order, from a seed: refusals, lost connections, answers that do not come, a member
//! put out, handlers that fail, actors that are killed. In the end every record was handled, and at no moment was an
//! offset committed whose record was not.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callboard_client::testing::ScriptedBroker;
use callboard_client::{Client, ClientConfig};
use callboard_protocol::{ApiKey, ErrorCode};
use callboard_supervision::RestartPolicy;
use callboard_supervision::testing::{Limit, Stage};
use rand::Rng;
use rand::rngs::StdRng;

use super::{TOPIC, cell};
use crate::{ConsumerGroup, ConsumerHandle, HandlerError, HandlerPolicy, Record, ShutdownOptions};

const PARTITIONS: usize = 3;
const STORIES: u64 = 8;
const STEPS: usize = 60;
/// One delivery in so many fails.
const FAILURES: u32 = 15;
/// Virtual time in which a consumer must have come to rest once nothing goes wrong any more.
const PATIENCE: Duration = Duration::from_secs(1800);

/// A failure of a handler as the stage tells of it.
const DICE: &str = "partition_handler: the dice said so";

const REFUSALS: &[(ApiKey, &[ErrorCode])] = &[
    (
        ApiKey::FIND_COORDINATOR,
        &[ErrorCode::COORDINATOR_NOT_AVAILABLE],
    ),
    (
        ApiKey::JOIN_GROUP,
        &[
            ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
            ErrorCode::NOT_COORDINATOR,
            ErrorCode::UNKNOWN_MEMBER_ID,
            ErrorCode::REBALANCE_IN_PROGRESS,
        ],
    ),
    (
        ApiKey::SYNC_GROUP,
        &[
            ErrorCode::REBALANCE_IN_PROGRESS,
            ErrorCode::ILLEGAL_GENERATION,
            ErrorCode::UNKNOWN_MEMBER_ID,
            ErrorCode::NOT_COORDINATOR,
        ],
    ),
    (
        ApiKey::HEARTBEAT,
        &[
            ErrorCode::REBALANCE_IN_PROGRESS,
            ErrorCode::ILLEGAL_GENERATION,
            ErrorCode::UNKNOWN_MEMBER_ID,
            ErrorCode::NOT_COORDINATOR,
            ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        ],
    ),
    (
        ApiKey::OFFSET_COMMIT,
        &[
            ErrorCode::REBALANCE_IN_PROGRESS,
            ErrorCode::ILLEGAL_GENERATION,
            ErrorCode::UNKNOWN_MEMBER_ID,
            ErrorCode::NOT_COORDINATOR,
            ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
            ErrorCode::REQUEST_TIMED_OUT,
            ErrorCode::OFFSET_METADATA_TOO_LARGE,
        ],
    ),
    (
        ApiKey::OFFSET_FETCH,
        &[
            ErrorCode::NOT_COORDINATOR,
            ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
            ErrorCode::UNSTABLE_OFFSET_COMMIT,
        ],
    ),
    (
        ApiKey::FETCH,
        &[
            ErrorCode::NOT_LEADER_OR_FOLLOWER,
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            ErrorCode::UNKNOWN_LEADER_EPOCH,
        ],
    ),
    (
        ApiKey::LIST_OFFSETS,
        &[
            ErrorCode::NOT_LEADER_OR_FOLLOWER,
            ErrorCode::LEADER_NOT_AVAILABLE,
        ],
    ),
];

const HELD: &[ApiKey] = &[
    ApiKey::JOIN_GROUP,
    ApiKey::SYNC_GROUP,
    ApiKey::HEARTBEAT,
    ApiKey::OFFSET_COMMIT,
    ApiKey::OFFSET_FETCH,
    ApiKey::FETCH,
    ApiKey::METADATA,
];

/// Offsets that were handled to the end, by partition.
type Handled = Arc<Mutex<Vec<BTreeSet<i64>>>>;

struct Story {
    random: StdRng,
    broker: ScriptedBroker,
    stage: Stage,
    consumer: ConsumerHandle,
    handled: Handled,
    ends: [i64; PARTITIONS],
    /// What happened, for whoever reads a failure.
    log: Vec<String>,
}

impl Story {
    async fn new(seed: u64) -> Self {
        let mut random: StdRng = rand::SeedableRng::seed_from_u64(seed);
        let broker = ScriptedBroker::new();
        broker.create_topic(TOPIC, PARTITIONS);
        let mut config = ClientConfig::default();
        for (key, value) in [
            ("auto.offset.reset", "earliest"),
            ("auto.commit.interval.ms", "200"),
            ("session.timeout.ms", "10000"),
            ("max.poll.interval.ms", "20000"),
            ("request.timeout.ms", "5000"),
        ] {
            config.set(key, value).unwrap();
        }
        let client = Client::connect_with(config, broker.connector())
            .await
            .unwrap();
        let stage = Stage::new().await;
        let handled: Handled = Arc::new(Mutex::new(vec![BTreeSet::new(); PARTITIONS]));
        let consumer = ConsumerGroup::builder(&client)
            .supervisor(stage.cell())
            .group_id("billing")
            .topics([TOPIC])
            .drain_timeout(Duration::from_secs(3))
            .policy(HandlerPolicy {
                restart: RestartPolicy {
                    max_restarts: 1_000,
                    ..HandlerPolicy::default().restart
                },
                attempts_max: 1_000,
                ..HandlerPolicy::default()
            })
            .handle(handler(random.random(), &handled))
            .start()
            .await
            .unwrap();
        Self {
            random,
            broker,
            stage,
            consumer,
            handled,
            ends: [0; PARTITIONS],
            log: Vec::new(),
        }
    }

    async fn step(&mut self) {
        match self.random.random_range(0..12) {
            0..=3 => self.append(),
            4..=6 => {
                let (api, codes) = REFUSALS[self.random.random_range(0..REFUSALS.len())];
                let code = codes[self.random.random_range(0..codes.len())];
                let times = self.random.random_range(1..=2);
                self.note(format!("{} is refused with {}", api.name(), code.name()));
                self.broker.fail(api, code, times);
            }
            7 => {
                self.note("connections are cut".to_owned());
                self.broker.cut();
            }
            8 => {
                let api = HELD[self.random.random_range(0..HELD.len())];
                self.note(format!("{} is held", api.name()));
                self.broker.hold(api);
                self.pass(8_000).await;
                self.broker.release(api);
            }
            9 => {
                self.note("the member is put out".to_owned());
                self.broker.expire_member();
            }
            10 => {
                self.note("a rebalance is asked for".to_owned());
                self.consumer.enforce_rebalance("chaos");
            }
            _ => self.kill().await,
        }
        self.pass(3_000).await;
        self.nothing_unhandled_is_committed();
    }

    fn append(&mut self) {
        let partition = self.random.random_range(0..PARTITIONS);
        let count = self.random.random_range(1..20_u8);
        self.broker
            .append(TOPIC, partition, (0..count).map(|one| [one]));
        self.ends[partition] += i64::from(count);
    }

    async fn kill(&mut self) {
        let slots = &self.consumer.shared.slots;
        let (victim, name) = match self.random.random_range(0..4) {
            0 => (
                slots.partitions.get().map(|one| one.actor().get_cell()),
                "partitions",
            ),
            1 => (
                slots.fetchers.get().map(|one| one.actor().get_cell()),
                "fetchers",
            ),
            2 => (
                slots.committer.get().map(|one| one.actor().get_cell()),
                "committer",
            ),
            _ => (Some(cell(&slots.membership)), "membership"),
        };
        self.note(format!("{name} is killed"));
        if let Some(victim) = victim {
            victim.kill();
        }
        // Far enough apart for the restart budgets.
        tokio::time::sleep(Duration::from_secs(70)).await;
    }

    /// Lets up to so many milliseconds go by.
    async fn pass(&mut self, millis_max: u64) {
        let millis = self.random.random_range(0..millis_max);
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    fn note(&mut self, what: String) {
        self.log.push(what);
    }

    fn nothing_unhandled_is_committed(&self) {
        let handled = self.handled.lock().unwrap();
        for (partition, handled) in (0..).zip(handled.iter()) {
            let committed = self.broker.committed(TOPIC, partition).unwrap_or(0);
            let prefix = (0..).take_while(|offset| handled.contains(offset)).count();
            assert!(
                committed <= prefix as i64,
                "{TOPIC}/{partition}: {committed} committed, {prefix} handled; {:#?}",
                self.log
            );
        }
        assert_eq!(self.broker.rewinds(), [""; 0], "{:#?}", self.log);
    }

    async fn end(self) {
        self.broker.heal();
        let ends = self.ends;
        let at_the_end = |broker: &ScriptedBroker| {
            (0..)
                .zip(ends)
                .all(|(partition, end)| broker.committed(TOPIC, partition).unwrap_or(0) == end)
        };
        if tokio::time::timeout(PATIENCE, self.broker.until(at_the_end))
            .await
            .is_err()
        {
            panic!(
                "not at {ends:?} but {:?}; {:#?}",
                self.consumer.progress(),
                self.log
            );
        }
        self.nothing_unhandled_is_committed();
        while self.consumer.shared.buffered_bytes() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let report = self.consumer.shutdown(ShutdownOptions::default()).await;
        assert!(report.drained, "{report:?} after {:#?}", self.log);
        for failure in self.stage.failures() {
            // What the dice said was to be expected, and nothing else was.
            if failure == DICE {
                self.stage.expect_failure("partition_handler");
            }
        }
        self.stage.finish().await;
    }
}

type Handling = std::pin::Pin<Box<dyn Future<Output = Result<(), HandlerError>> + Send>>;

/// Handles a record at once or after a while, or fails, as the dice have it.
fn handler(
    seed: u64,
    handled: &Handled,
) -> impl Fn(Record, crate::PartitionContext) -> Handling + Send + Sync + 'static {
    let random: Mutex<StdRng> = Mutex::new(rand::SeedableRng::seed_from_u64(seed));
    let handled = Arc::clone(handled);
    move |record, _context| {
        let (fails, wait) = {
            let mut random = random.lock().unwrap();
            let wait = if random.random_range(0..10) == 0 {
                random.random_range(0..2_000)
            } else {
                0
            };
            (random.random_range(0..FAILURES) == 0, wait)
        };
        let handled = Arc::clone(&handled);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(wait)).await;
            if fails {
                return Err("the dice said so".into());
            }
            let partition = usize::try_from(record.partition())?;
            handled.lock().unwrap()[partition].insert(record.offset);
            Ok(())
        })
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_nothing_is_lost_and_nothing_unhandled_committed() {
    let _limit = Limit::start();
    let seed = std::env::var("CALLBOARD_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(rand::random::<u64>);
    println!("CALLBOARD_SEED={seed}");
    for number in 0..STORIES {
        let mut story = Story::new(seed.wrapping_add(number)).await;
        for _ in 0..STEPS {
            story.step().await;
        }
        story.end().await;
    }
}
