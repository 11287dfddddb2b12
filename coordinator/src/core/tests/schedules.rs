//! Random schedules: members that come, stall, restart and go, a log that is slow and fails, a coordinator that crashes and
//! a group that is evicted. Whatever the order, some things must hold. A failure names its seed; `CALLBOARD_SEED` plays
//! one again.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use callboard_protocol::ErrorCode;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::house::House;
use super::kit::{Inbox, code, commit, config, join, old_join, protocols, static_join};
use crate::core::{Input, StoredGroup};
use crate::request::JoinGroup;
use crate::response;

/// By default; `CALLBOARD_SCHEDULES` says how many else.
const SCHEDULES: u64 = 100;
const STEPS: usize = 300;

/// Says which schedule failed.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the schedule of CALLBOARD_SEED={} failed", self.0);
        }
    }
}

/// A client: what it knows of itself, and what it waits for.
#[derive(Default)]
struct Client {
    instance: Option<String>,
    member_id: String,
    generation_id: i32,
    joining: Option<Inbox<response::JoinGroup>>,
    /// With what the part must be, if it is one.
    syncing: Option<(String, Inbox<response::SyncGroup>)>,
}

struct World {
    house: House,
    rng: StdRng,
    clients: Vec<Client>,
    /// Commits that are not answered, with their offsets.
    commits: Vec<(i64, Inbox<response::OffsetCommit>)>,
    next_offset: i64,
    /// Highest acknowledged offset.
    acknowledged: Option<i64>,
    /// For each generation that was given out, its leader's list of dynamic members.
    given: BTreeMap<i32, Vec<String>>,
    highest: i32,
}

#[test]
fn whatever_the_order() {
    let seeds: Vec<u64> = match std::env::var("CALLBOARD_SEED") {
        Ok(seed) => vec![seed.parse().expect("a number")],
        Err(_) => {
            let first = RandomState::new().hash_one("schedules") >> 1;
            let count = std::env::var("CALLBOARD_SCHEDULES")
                .ok()
                .and_then(|count| count.parse().ok());
            (first..first + count.unwrap_or(SCHEDULES)).collect()
        }
    };
    for seed in seeds {
        let _seed = Seed(seed);
        World::new(seed).run();
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut house = House::new(config());
        house.create("t", 1);
        let client = |at: usize, is_static: bool| Client {
            instance: is_static.then(|| format!("i{}", at % 2)),
            ..Client::default()
        };
        let clients = (0..5)
            .map(|at| client(at, rng.random_ratio(1, 4)))
            .collect();
        Self {
            house,
            rng,
            clients,
            commits: Vec::new(),
            next_offset: 0,
            acknowledged: None,
            given: BTreeMap::new(),
            highest: 0,
        }
    }

    fn run(mut self) {
        for _ in 0..STEPS {
            self.step();
            self.collect();
        }
        // The log recovers, everybody stops: in the end nobody waits for anything.
        self.house.lands = true;
        self.house.advance(0);
        // Somebody has a rebalance timeout of 24 days.
        self.house.advance(60 * 24 * 3_600_000);
        self.collect();
        assert_eq!(
            self.house.unanswered(),
            0,
            "every request is answered in the end"
        );
        assert_eq!(self.house.groups.census().members, 0);
        let committed =
            self.house.fetch().answer().groups[0].topics[0].partitions[0].committed_offset;
        assert!(
            committed >= self.acknowledged.unwrap_or(-1),
            "{committed} after {:?}",
            self.acknowledged
        );
    }

    fn step(&mut self) {
        let who = self.rng.random_range(0..self.clients.len());
        match self.rng.random_range(0..100) {
            0..25 => self.join(who),
            25..45 => self.sync(who),
            45..55 => {
                let client = &self.clients[who];
                let answer = self
                    .house
                    .heartbeat(&client.member_id.clone(), client.generation_id);
                drop(answer);
            }
            55..65 => self.commit(who),
            65..68 => self.stranger(),
            68..72 => {
                let member_id = self.clients[who].member_id.clone();
                drop(self.house.leave(&member_id));
            }
            72..74 => self.clients[who].member_id.clear(),
            74..84 => {
                let ms = [1, 10, 100, 500, 3_000, 9_000, 25_000][self.rng.random_range(0..7)];
                self.house.advance(ms);
            }
            84..87 => {
                self.house.lands = !self.house.lands;
                self.house.advance(0);
            }
            87..93 => {
                self.house.land(Ok(()));
            }
            93..95 => {
                self.house.land(Err(ErrorCode::REQUEST_TIMED_OUT));
            }
            95 => self.crash(),
            96 => self.evict(),
            97 => {
                drop(self.house.describe());
                drop(self.house.list());
            }
            98 => {
                drop(self.house.delete_offsets("t"));
                while self.house.land(Ok(())) {}
                self.collect();
                // It may have gone.
                self.acknowledged = None;
            }
            _ => self.delete(),
        }
        self.census();
    }

    fn join(&mut self, who: usize) {
        let metadata = self.rng.random_range(0..3);
        let client = &mut self.clients[who];
        let mut request = match &client.instance {
            Some(instance) => static_join(instance),
            None if self.rng.random_ratio(1, 5) => old_join(),
            None => join(&client.member_id),
        };
        request.protocols = protocols(&[["a", "b"], ["b", "a"], ["b", "c"]][metadata]);
        request.can_skip_assignment = self.rng.random_ratio(1, 2);
        let request = JoinGroup {
            rebalance_timeout_ms: 5_000,
            ..request
        };
        client.joining = Some(self.house.join(request));
    }

    fn sync(&mut self, who: usize) {
        let client = &self.clients[who];
        let (member_id, generation_id) = (client.member_id.clone(), client.generation_id);
        // Whoever leads plans for all that may be there; the others' lists are not looked at.
        let plan: Vec<(String, String)> = self
            .clients
            .iter()
            .map(|client| {
                (
                    client.member_id.clone(),
                    format!("{generation_id} {}", client.member_id),
                )
            })
            .collect();
        let plan: Vec<(&str, &str)> = plan
            .iter()
            .map(|(id, part)| (id.as_str(), part.as_str()))
            .collect();
        let synced = self.house.sync(&member_id, generation_id, &plan);
        self.clients[who].syncing = Some((format!("{generation_id} {member_id}"), synced));
    }

    fn commit(&mut self, who: usize) {
        let client = &self.clients[who];
        let (member_id, generation_id) = match self.rng.random_range(0..4) {
            0 => (String::new(), -1),
            _ => (client.member_id.clone(), client.generation_id),
        };
        self.next_offset += 1;
        let inbox = self
            .house
            .commit(commit(&member_id, generation_id, self.next_offset));
        self.commits.push((self.next_offset, inbox));
    }

    /// Somebody who says anything at all.
    fn stranger(&mut self) {
        let member_id = match self.rng.random_range(0..4) {
            0 => String::new(),
            1 => "nobody".to_owned(),
            _ => self.clients[self.rng.random_range(0..self.clients.len())]
                .member_id
                .clone(),
        };
        let generation_id =
            [i32::MIN, -1, 0, 1, self.highest, i32::MAX][self.rng.random_range(0..6)];
        let timeout_ms = [i32::MIN, -1, 0, 6_000, 1_800_000, i32::MAX];
        match self.rng.random_range(0..5) {
            0 => {
                let mut request = join(&member_id);
                request.session_timeout_ms = timeout_ms[self.rng.random_range(0..6)];
                request.rebalance_timeout_ms = timeout_ms[self.rng.random_range(0..6)];
                request.member_id_required = self.rng.random();
                request.protocol_type =
                    ["", "consumer", "connect"][self.rng.random_range(0..3)].to_owned();
                request.group_instance_id = [None, Some("i0".to_owned()), Some(String::new())]
                    [self.rng.random_range(0..3)]
                .clone();
                let names: [&[&str]; 4] = [&[], &["", ""], &["a", "a", "c", "b", "a"], &["z"]];
                request.protocols = protocols(names[self.rng.random_range(0..4)]);
                if let Some(protocol) = request.protocols.first_mut() {
                    protocol.metadata = (0..self.rng.random_range(0..12))
                        .map(|_| self.rng.random::<u8>())
                        .collect();
                }
                drop(self.house.join(request));
            }
            1 => drop(self.house.sync(
                &member_id,
                generation_id,
                &[("", ""), ("nobody", "x"), ("nobody", "y")],
            )),
            2 => drop(self.house.heartbeat(&member_id, generation_id)),
            3 => drop(self.house.leave(&member_id)),
            _ => {
                let inbox =
                    self.house
                        .commit(commit(&member_id, generation_id, self.next_offset + 1));
                self.next_offset += 1;
                self.commits.push((self.next_offset, inbox));
            }
        }
    }

    fn crash(&mut self) {
        self.house.restart();
        self.house.load();
        self.forget_requests();
    }

    /// Who waited hears nothing: its connection is gone.
    fn forget_requests(&mut self) {
        self.commits.clear();
        for client in &mut self.clients {
            (client.joining, client.syncing) = (None, None);
        }
    }

    fn evict(&mut self) {
        let group_id: Arc<str> = "g".into();
        if self.house.groups.group_ids().is_empty() {
            return;
        }
        for id in self.house.groups.evict(&group_id) {
            self.house.forget(id);
        }
        // The writer lets nobody read behind appends that are in flight.
        while self.house.land(Ok(())) {}
        let stored = StoredGroup::read(&self.house.index, &group_id).unwrap();
        self.house.step(Input::Rebuilt(stored));
    }

    fn delete(&mut self) {
        let deleted = self.house.delete();
        while self.house.land(Ok(())) {}
        self.collect();
        if !deleted.waits() && deleted.answer().results[0].error == ErrorCode::NONE {
            self.given.clear();
            self.highest = 0;
            self.acknowledged = None;
        }
    }

    fn census(&self) {
        let census = self.house.groups.census();
        assert!(census.groups.iter().sum::<usize>() <= 1);
        assert!(census.members <= 60, "{} members", census.members);
    }

    /// Takes the answers that have come and looks at them.
    fn collect(&mut self) {
        let mut commits = std::mem::take(&mut self.commits);
        commits.retain(|(offset, inbox)| {
            if inbox.waits() {
                return true;
            }
            if code(&inbox.answer()) == ErrorCode::NONE {
                self.acknowledged = self.acknowledged.max(Some(*offset));
            }
            false
        });
        self.commits = commits;
        for who in 0..self.clients.len() {
            if let Some(joined) = self.clients[who].joining.take_if(|inbox| !inbox.waits()) {
                self.joined(who, &joined.answer());
            }
            let syncing = &mut self.clients[who].syncing;
            if let Some((part, synced)) = syncing.take_if(|(_, inbox)| !inbox.waits()) {
                self.synced(who, &part, &synced.answer());
            }
        }
    }

    fn joined(&mut self, who: usize, joined: &response::JoinGroup) {
        match joined.error {
            ErrorCode::NONE => {}
            ErrorCode::MEMBER_ID_REQUIRED => {
                self.clients[who].member_id = joined.member_id.to_string();
                return;
            }
            _ => {
                self.clients[who].member_id.clear();
                return;
            }
        }
        self.clients[who].member_id = joined.member_id.to_string();
        self.clients[who].generation_id = joined.generation_id;
        self.highest = self.highest.max(joined.generation_id);
        if joined.members.is_empty() {
            return;
        }
        assert_eq!(
            joined.member_id, joined.leader,
            "only the leader sees the others"
        );
        // Static members change their ids without a new generation.
        let dynamic = joined
            .members
            .iter()
            .filter(|member| member.group_instance_id.is_none());
        let list: Vec<String> = dynamic.map(|member| member.member_id.to_string()).collect();
        let before = self
            .given
            .entry(joined.generation_id)
            .or_insert_with(|| list.clone());
        assert_eq!(
            *before, list,
            "generation {} is given out once",
            joined.generation_id
        );
    }

    fn synced(&self, who: usize, part: &str, synced: &response::SyncGroup) {
        // The next process of a static member gets what was planned for the last one.
        if synced.error == ErrorCode::NONE && self.clients[who].instance.is_none() {
            let assignment = String::from_utf8(synced.assignment.to_vec()).unwrap();
            assert!(
                assignment.is_empty() || assignment == part,
                "{assignment:?} is not {part:?}"
            );
        }
    }
}
