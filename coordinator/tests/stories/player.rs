//! Plays one story on a stage: connections that keep the order of their requests, a clock that only the player moves,
//! and every answer compared with what was recorded: its fields, its order, its moment.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use callboard_coordinator::Call;

use super::names::Names;
use super::script::{Act, Fields, Recv, Send, Story};
use super::wire::{self, Slot};

/// How long an answer may be awaited.
const ANSWER_BOUND_MS: u64 = 30_000;
/// How long a superseded request is given for its optional answer.
const SUPERSEDED_MS: u64 = 500;

/// Coordinators under a clock that stands still until it is moved.
pub(crate) trait Stage {
    /// Makes a topic; gives its id.
    fn create_topic(&mut self, name: &str, partitions: i32) -> String;

    /// Hands over what one read of a connection brought.
    fn submit(&mut self, calls: Vec<Call>);

    /// Lets time pass.
    fn advance(&mut self, ms: u64);
}

/// How far an answer's moment may be from the recorded one.
#[derive(Clone, Copy)]
pub(crate) struct Allowance {
    pub(crate) early_ms: u64,
    pub(crate) early_percent: u64,
    pub(crate) late_ms: u64,
    pub(crate) late_percent: u64,
}

/// One request of a connection.
struct Asked {
    send: Send,
    at_ms: u64,
    started: bool,
    slot: Slot,
}

impl Asked {
    /// What follows on the connection waits for the answer of a request that can wait for somebody else.
    fn is_barrier(&self) -> bool {
        matches!(self.send.api.as_str(), "JoinGroup" | "SyncGroup")
    }
}

/// An answer that has left.
struct Arrived {
    send: Send,
    after_ms: u64,
    fields: Fields,
}

#[derive(Default)]
struct Conn {
    asked: VecDeque<Asked>,
    arrived: VecDeque<Arrived>,
}

struct Player<'a> {
    stage: &'a mut dyn Stage,
    tick_ms: u64,
    now_ms: u64,
    names: Names,
    conns: BTreeMap<String, Conn>,
    story: &'a str,
    topics: Vec<String>,
}

/// Plays a story; `tick_ms` is how often answers are looked for.
///
/// # Errors
/// The act that went differently, and how.
pub(crate) fn play(
    story: &Story,
    stage: &mut dyn Stage,
    tick_ms: u64,
    allowance: Allowance,
) -> Result<(), String> {
    let mut player = Player {
        stage,
        tick_ms,
        now_ms: 0,
        names: Names::default(),
        conns: BTreeMap::new(),
        story: &story.name,
        topics: topics_in_metadata(story),
    };
    for (number, act) in story.script.iter().enumerate() {
        let played = player.act(act, allowance);
        played.map_err(|why| {
            format!(
                "{} ({})\n  act {number}: {act:?}\n  {why}",
                story.name, story.rule
            )
        })?;
    }
    Ok(())
}

impl Player<'_> {
    fn act(&mut self, act: &Act, allowance: Allowance) -> Result<(), String> {
        match act {
            Act::CreateTopic {
                at_ms,
                topic,
                partitions,
            } => {
                self.advance_to(*at_ms);
                let known = self.topics.pop();
                let name = known
                    .unwrap_or_else(|| format!("{}-{}", self.story, topic.trim_start_matches('$')));
                let id = self.stage.create_topic(&name, *partitions);
                self.names.give(topic, &name);
                self.names
                    .give(&format!("$id of {}", topic.trim_start_matches('$')), &id);
                Ok(())
            }
            Act::Send(send) => {
                self.advance_to(send.at_ms);
                self.send(send);
                Ok(())
            }
            Act::Recv(recv) => self.recv(recv, allowance),
            Act::Waits { conn, ms } => {
                for _ in 0..*ms {
                    self.advance(1);
                    if let Some(arrived) = self.conn(conn).arrived.front() {
                        return Err(format!(
                            "{} was answered: {:?}",
                            arrived.send.api, arrived.fields
                        ));
                    }
                }
                Ok(())
            }
            Act::Sleep { ms } => {
                self.advance(*ms);
                Ok(())
            }
            Act::Close { conn } => {
                self.conns.remove(conn);
                Ok(())
            }
            Act::Superseded { conn } => self.superseded(conn),
            Act::SendRaw {} | Act::Closed {} | Act::Silent {} => {
                Err("an act about sockets".to_owned())
            }
        }
    }

    fn conn(&mut self, name: &str) -> &mut Conn {
        self.conns.entry(name.to_owned()).or_default()
    }

    fn send(&mut self, send: &Send) {
        let (story, at_ms) = (self.story, self.now_ms);
        let group = |name: &str| format!("{story}-{}", name.trim_start_matches('$'));
        let mut send = send.clone();
        send.fields = self.names.fill(&send.fields, &group);
        let asked = Asked {
            send,
            at_ms,
            started: false,
            slot: Arc::new(Mutex::new(None)),
        };
        self.conn(&asked.send.conn.clone()).asked.push_back(asked);
        self.settle();
    }

    /// Starts what may start and takes what has been answered, until nothing more happens.
    fn settle(&mut self) {
        loop {
            let mut calls = Vec::new();
            for conn in self.conns.values_mut() {
                for asked in &mut conn.asked {
                    if !asked.started {
                        asked.started = true;
                        calls.push(wire::call(&asked.send, &asked.send.fields, &asked.slot));
                    }
                    if asked.is_barrier() && asked.slot.lock().unwrap().is_none() {
                        break;
                    }
                }
            }
            let any = !calls.is_empty();
            for call in calls {
                self.stage.submit(vec![call]);
            }
            let now_ms = self.now_ms;
            for conn in self.conns.values_mut() {
                while let Some(fields) = conn
                    .asked
                    .front()
                    .and_then(|asked| asked.slot.lock().unwrap().take())
                {
                    let Some(asked) = conn.asked.pop_front() else {
                        break;
                    };
                    conn.arrived.push_back(Arrived {
                        send: asked.send,
                        after_ms: now_ms - asked.at_ms,
                        fields,
                    });
                }
            }
            if !any {
                return;
            }
        }
    }

    fn advance(&mut self, mut ms: u64) {
        while ms > 0 {
            let step = ms.min(self.tick_ms);
            self.stage.advance(step);
            self.now_ms += step;
            ms -= step;
            self.settle();
        }
    }

    fn advance_to(&mut self, at_ms: u64) {
        self.advance(at_ms.saturating_sub(self.now_ms));
    }

    fn recv(&mut self, recv: &Recv, allowance: Allowance) -> Result<(), String> {
        let begun = self.now_ms;
        while self.conn(&recv.conn).arrived.is_empty() {
            if self.now_ms - begun > ANSWER_BOUND_MS {
                return Err("no answer".to_owned());
            }
            self.advance(self.tick_ms);
        }
        let Some(arrived) = self.conn(&recv.conn).arrived.pop_front() else {
            return Err("no answer".to_owned());
        };
        if (arrived.send.api.as_str(), arrived.send.version) != (recv.api.as_str(), recv.version) {
            return Err(format!(
                "{} v{} was answered instead",
                arrived.send.api, arrived.send.version
            ));
        }
        self.names
            .check(&recv.fields, &arrived.fields)
            .map_err(|why| format!("{why}\n  ours: {:?}", arrived.fields))?;
        let early = recv
            .after_ms
            .saturating_sub(allowance.early_ms + recv.after_ms * allowance.early_percent / 100);
        let late = recv.after_ms + allowance.late_ms + recv.after_ms * allowance.late_percent / 100;
        if (early..=late).contains(&arrived.after_ms) {
            return Ok(());
        }
        Err(format!(
            "recorded after {} ms, ours after {} ms",
            recv.after_ms, arrived.after_ms
        ))
    }

    fn superseded(&mut self, conn: &str) -> Result<(), String> {
        self.advance(SUPERSEDED_MS);
        match self.conn(conn).arrived.pop_front() {
            None => Ok(()),
            Some(arrived) => match arrived
                .fields
                .get("error_code")
                .and_then(serde_json::Value::as_i64)
            {
                Some(25 | 27) => Ok(()),
                _ => Err(format!("answered with {:?}", arrived.fields)),
            },
        }
    }
}

/// Where a story's metadata names topics, it does so in bytes: by the names they had when it was recorded. They appear
/// there in the order they were created in. Last first.
fn topics_in_metadata(story: &Story) -> Vec<String> {
    let acts = story.script.iter().map(|act| format!("{act:?}"));
    let text: String = acts.collect();
    let mut topics = Vec::new();
    // A name of twelve bytes that begins with `t-`.
    for (at, _) in text.match_indices("000c742d") {
        let hex = text.get(at + 4..at + 28).unwrap_or_default();
        let bytes: Option<Vec<u8>> = (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok())
            .collect();
        let name = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        topics.extend(name.filter(|name| !topics.contains(name)));
    }
    topics.reverse();
    topics
}
