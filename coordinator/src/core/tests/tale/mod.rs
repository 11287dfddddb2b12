//! Transcripts: what the core is told and when, and everything it wants done, line by line.
//!
//! `0 > A join` is an input: the time in milliseconds, and a request `A` or something else that happens (see [`speak`]).
//! `500 < A joined …` is what came of it: an answer, or another effect of the core, at its time. The lines of what is done
//! must be exactly these. Error codes are Kafka's numbers. `c~A` is the member id that was made for the request `A` of a
//! client `c` (for static members the instance takes the client's place); a subscription is shown as its topics in
//! parentheses; the topics `t` and `u` have eight partitions each.

mod hear;
mod speak;

use std::panic::Location;
use std::time::Duration;

use callboard_offsets::index::Index;
pub(crate) use hear::Heard;
use speak::Asked;

use super::house::House;
use super::kit::config;
use crate::CoordinatorConfig;

/// One transcript in the making.
pub(crate) struct Tale {
    house: House,
    /// When its clock says zero.
    start: Duration,
    /// Member ids of whoever belongs to what there is before the first line, as the lines name them.
    members: Vec<String>,
}

/// Nothing has happened yet. The initial delay is 500 ms.
pub(crate) fn nothing() -> Tale {
    with(config())
}

pub(crate) fn with(config: CoordinatorConfig) -> Tale {
    let mut house = House::new(config);
    house.create("t", 8);
    house.create("u", 8);
    Tale {
        house,
        start: Duration::ZERO,
        members: Vec::new(),
    }
}

/// The group `g` before its leader, the first of these, has planned: generation 1. `A` is a dynamic member, `A/i` the
/// static member of the instance `i`. Each reads `t`, by the protocol `range`; sessions of 10 s, rebalances of 20 s.
pub(crate) fn completing(members: &[&str]) -> Tale {
    nothing().completing(members)
}

/// The same with a plan: who leads has the assignment `a`, the next has `b`, and so on.
pub(crate) fn stable(members: &[&str]) -> Tale {
    nothing().stable(members)
}

/// The same while it waits for everybody but the leader, whose JoinGroup `L` is parked since then.
pub(crate) fn preparing(members: &[&str]) -> Tale {
    let mut tale = stable(members);
    let leader = tale.members[0].clone();
    tale.quietly(&format!("L join {leader}"));
    tale.begin();
    tale
}

/// The group `g` that had a member, in generation 2, with 7 committed for `t/0`.
pub(crate) fn empty() -> Tale {
    let mut tale = stable(&["A"]);
    tale.quietly("Z commit c~A gen=1 t/0=7");
    tale.quietly("Z leave c~A");
    tale.begin();
    tale
}

impl Tale {
    pub(crate) fn completing(mut self, members: &[&str]) -> Self {
        for member in members {
            let (label, instance) = member.split_once('/').unwrap_or((member, ""));
            let prefix = if instance.is_empty() { "c" } else { instance };
            self.quietly(&format!("{label} join v3 instance={instance}"));
            self.members.push(format!("{prefix}~{label}"));
        }
        self.house.advance(1000);
        self.begin();
        self
    }

    pub(crate) fn stable(self, members: &[&str]) -> Self {
        let mut tale = self.completing(members);
        let names = tale.members.clone();
        let part = |(name, place): (&String, char)| format!("{name}:{place}");
        let plan: Vec<String> = names.iter().zip('a'..).map(part).collect();
        for follower in &names[1..] {
            tale.quietly(&format!("Z sync {follower} gen=1"));
        }
        tale.quietly(&format!(
            "Z sync {} gen=1 plan={}",
            names[0],
            plan.join(",")
        ));
        tale.begin();
        tale
    }

    /// Takes over what another coordinator has stored.
    pub(crate) fn load(&mut self, stored: Index) {
        self.house.restart();
        self.house.index = stored;
        self.house.load();
    }

    /// Something that is not part of the transcript.
    pub(crate) fn quietly(&mut self, input: &str) {
        self.happens(input);
    }

    /// What came until now is the past.
    fn begin(&mut self) {
        self.start = self.house.now;
        self.house.heard.begin(self.house.now);
    }

    /// Plays the inputs of a transcript; everything that is done must be as it says.
    #[track_caller]
    pub(crate) fn tells(self, transcript: &str) -> House {
        let expected: Vec<&str> = lines(transcript).collect();
        let (house, told) = self.plays(transcript);
        assert!(
            told == expected,
            "{} went differently:\n{}\n",
            Location::caller(),
            told.join("\n")
        );
        house
    }

    /// Plays the inputs of a transcript; the whole of it as it went.
    pub(crate) fn plays(mut self, transcript: &str) -> (House, Vec<String>) {
        self.begin();
        let mut told = Vec::new();
        for line in lines(transcript) {
            let Some((at, input)) = line.split_once(" > ") else {
                continue;
            };
            let at: u64 = at.parse().expect("a time in milliseconds");
            let at = self.start + Duration::from_millis(at);
            let rest = at.checked_sub(self.house.now).expect("time goes forward");
            self.house.advance(u64::try_from(rest.as_millis()).unwrap());
            told.append(&mut self.house.heard.take());
            told.push(line.to_owned());
            self.happens(input);
            told.append(&mut self.house.heard.take());
        }
        (self.house, told)
    }

    fn happens(&mut self, input: &str) {
        self.house.heard.now(self.house.now);
        match speak::parse(input) {
            Asked::Call(label, call) => {
                if let Some(uuid) = hear::uuid_of(&label) {
                    self.house.uuids = uuid - 1;
                }
                self.house.call(call(self.house.heard.ear(&label)));
            }
            Asked::Event(event) => event(&mut self.house),
        }
    }
}

fn lines(transcript: &str) -> impl Iterator<Item = &str> {
    let lines = transcript.lines().map(str::trim);
    lines.filter(|line| !line.is_empty())
}
