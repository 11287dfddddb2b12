//! What one step of the core costs: a heartbeat, a commit and a rejoin in a group of 1,000 members, and a whole rebalance
//! of them. `cargo bench -p callboard-coordinator --bench step`.
#![allow(missing_docs)] // made by criterion's macros

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use callboard_coordinator::core::{
    Commit, CommitPartition, CommitTopic, Effect, GroupRequest, Groups, Input, Now, RequestId,
    Response,
};
use callboard_coordinator::request::{
    Heartbeat, JoinGroup, JoinProtocol, SyncAssignment, SyncGroup, TopicRef,
};
use callboard_coordinator::{CoordinatorConfig, TopicLookup, TopicsImage};
use callboard_protocol::{ErrorCode, Uuid};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const MEMBERS: usize = 1_000;

/// The requests here have been looked up.
struct Nothing;

impl TopicLookup for Nothing {
    fn partitions(&self, _: &str) -> Option<i32> {
        None
    }
}

/// One Stable group whose appends land at once.
struct Bench {
    groups: Groups,
    image: Arc<TopicsImage>,
    group_id: Arc<str>,
    now: Duration,
    requests: u64,
    effects: Vec<Effect>,
    members: Vec<String>,
    generation_id: i32,
}

impl Bench {
    fn new() -> Self {
        let image = Arc::new(TopicsImage::of(Arc::new(Nothing)));
        let mut bench = Self {
            groups: Groups::new(&CoordinatorConfig::default(), Arc::clone(&image)),
            image,
            group_id: Arc::from("group"),
            now: Duration::ZERO,
            requests: 0,
            effects: Vec::new(),
            members: Vec::new(),
            generation_id: 0,
        };
        bench.step(Input::Loaded(Vec::new()));
        let newcomers: Vec<JoinGroup> = (0..MEMBERS).map(|_| bench.join("")).collect();
        for join in newcomers {
            bench.ask(GroupRequest::Join {
                join: Box::new(join),
                uuid: uuid::Uuid::from_u128(u128::from(bench.requests)),
            });
        }
        bench.advance(Duration::from_secs(60));
        bench.rebalanced();
        bench.plan();
        bench
    }

    fn step(&mut self, input: Input) {
        let now = Now {
            steady: self.now,
            wall_ms: 1_700_000_000_000,
        };
        self.groups.step(now, input, &mut self.effects);
        let appended = self.effects.iter().filter_map(|effect| match effect {
            Effect::Append { append_id, .. } => Some(*append_id),
            _ => None,
        });
        for append_id in appended.collect::<Vec<_>>() {
            self.effects.retain(|effect| !matches!(effect, Effect::Append { append_id: landed, .. } if *landed == append_id));
            self.step(Input::Durable {
                append_id,
                outcome: Ok(()),
            });
        }
    }

    fn ask(&mut self, request: GroupRequest) {
        self.requests += 1;
        let group_id = Arc::clone(&self.group_id);
        self.step(Input::Ask {
            id: RequestId(self.requests),
            group_id,
            request,
        });
    }

    fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        while let Some(deadline) = self
            .groups
            .next_deadline()
            .filter(|deadline| *deadline <= end)
        {
            self.now = deadline;
            while let Some(due) = self.groups.due(self.now) {
                self.step(due);
            }
            if self.effects.len() > MEMBERS / 2 {
                // The join phase has ended; the sessions behind it are not what is measured.
                return;
            }
        }
    }

    fn join(&self, member_id: &str) -> JoinGroup {
        JoinGroup {
            group_id: Arc::clone(&self.group_id),
            member_id: member_id.to_owned(),
            group_instance_id: None,
            client_id: "client".to_owned(),
            client_host: Arc::from("/127.0.0.1"),
            session_timeout_ms: 45_000,
            rebalance_timeout_ms: 300_000,
            protocol_type: "consumer".to_owned(),
            protocols: ["range", "cooperative-sticky"]
                .map(|name| JoinProtocol {
                    name: name.to_owned(),
                    metadata: Bytes::from_static(b"\0\0\0\0\0\x01\0\x06orders\xff\xff\xff\xff"),
                })
                .into(),
            reason: None,
            member_id_required: false,
            can_skip_assignment: true,
            paid: Default::default(),
        }
    }

    /// The join phase has ended: who is in, the leader first.
    fn rebalanced(&mut self) {
        let mut members = Vec::new();
        let mut leader = None;
        for effect in self.effects.drain(..) {
            if let Effect::Answer {
                response: Response::Join(joined),
                ..
            } = effect
                && joined.error == ErrorCode::NONE
            {
                self.generation_id = joined.generation_id;
                leader = Some(joined.leader.to_string());
                members.push(joined.member_id.to_string());
            }
        }
        assert_eq!(members.len(), MEMBERS);
        members.sort_by_key(|member_id| Some(member_id) != leader.as_ref());
        self.members = members;
    }

    fn sync(&self, member_id: &str, assignments: Vec<SyncAssignment>) -> GroupRequest {
        GroupRequest::Sync(SyncGroup {
            group_id: Arc::clone(&self.group_id),
            generation_id: self.generation_id,
            member_id: member_id.to_owned(),
            group_instance_id: None,
            protocol_type: None,
            protocol_name: None,
            protocol_required: false,
            assignments,
            paid: Default::default(),
        })
    }

    /// Everybody syncs, the leader last.
    fn plan(&mut self) {
        let assignment =
            Bytes::from_static(b"\0\0\0\0\0\x01\0\x06orders\0\0\0\x01\0\0\0\0\xff\xff\xff\xff");
        let part = |member_id: &String| SyncAssignment {
            member_id: member_id.clone(),
            assignment: assignment.clone(),
        };
        let plan = self.members.iter().map(part).collect();
        for member_id in self.members.clone().iter().skip(1) {
            self.ask(self.sync(member_id, Vec::new()));
        }
        self.ask(self.sync(&self.members[0].clone(), plan));
        assert!(self.effects.len() >= MEMBERS);
        self.effects.clear();
    }

    fn heartbeat(&self, place: usize) -> GroupRequest {
        GroupRequest::Heartbeat(Heartbeat {
            group_id: Arc::clone(&self.group_id),
            generation_id: self.generation_id,
            member_id: self.members[place].clone(),
            group_instance_id: None,
        })
    }

    fn commit(&self, place: usize) -> GroupRequest {
        let partition = CommitPartition {
            partition: 0,
            offset: 1,
            leader_epoch: -1,
            metadata: Arc::from(""),
            error: ErrorCode::NONE,
        };
        let topic = CommitTopic {
            topic: TopicRef::Name(Arc::from("orders")),
            name: Arc::from("orders"),
            id: Uuid::ZERO,
            partitions: vec![partition],
        };
        GroupRequest::Commit(Commit {
            generation_id: self.generation_id,
            member_id: self.members[place].clone(),
            group_instance_id: None,
            retention_time_ms: None,
            knows_group_id_not_found: true,
            image: Arc::clone(&self.image),
            topics: Arc::from([topic]),
        })
    }

    fn rejoin(&self, place: usize) -> GroupRequest {
        GroupRequest::Join {
            join: Box::new(self.join(&self.members[place])),
            uuid: uuid::Uuid::nil(),
        }
    }
}

/// Requests made ahead, at most: making them is not measured.
const CHUNK: u64 = 1_000;

/// Times the steps that answer `n` requests, of one member after the other.
fn time(
    bench: &mut Bench,
    n: u64,
    request: impl Fn(&Bench, usize) -> GroupRequest,
    members: usize,
) -> Duration {
    let mut took = Duration::ZERO;
    let mut left = n;
    while left > 0 {
        let chunk = left.min(CHUNK);
        left -= chunk;
        let make = |at: u64| Input::Ask {
            id: RequestId(at),
            group_id: Arc::clone(&bench.group_id),
            request: request(bench, usize::try_from(at * 7).unwrap_or(0) % members),
        };
        let inputs: Vec<Input> = (0..chunk).map(make).collect();
        let now = Now {
            steady: bench.now,
            wall_ms: 1_700_000_000_000,
        };
        #[allow(clippy::disallowed_methods)] // a bench is about time
        let start = Instant::now();
        for input in inputs {
            bench.groups.step(now, input, &mut bench.effects);
            black_box(&bench.effects);
            bench.effects.clear();
        }
        took += start.elapsed();
    }
    took
}

fn steps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    let mut bench = Bench::new();
    group.bench_function("heartbeat of 1000", |bencher| {
        bencher.iter_custom(|n| time(&mut bench, n, Bench::heartbeat, MEMBERS));
    });
    group.bench_function("commit of 1000", |bencher| {
        bencher.iter_custom(|n| time(&mut bench, n, Bench::commit, MEMBERS));
    });
    group.bench_function("rejoin of 1000", |bencher| {
        // The leader begins a rebalance that the last member never lets end.
        bench.ask(bench.rejoin(0));
        bencher.iter_custom(|n| time(&mut bench, n, Bench::rejoin, MEMBERS - 1));
    });
    group.finish();
}

fn rebalance(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rebalance");
    group.throughput(Throughput::Elements(2 * MEMBERS as u64));
    let mut bench = Bench::new();
    group.bench_function("of 1000, request by request", |bencher| {
        bencher.iter(|| {
            for place in 0..MEMBERS {
                bench.ask(bench.rejoin(place));
            }
            bench.rebalanced();
            bench.plan();
        });
    });
    group.finish();
}

criterion_group!(benches, steps, rebalance);
criterion_main!(benches);
