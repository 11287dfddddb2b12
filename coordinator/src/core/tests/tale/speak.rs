//! Inputs from words.
//!
//! Requests begin with their name: `A join`, `A join c~A instance=i`, `B sync c~A gen=1 plan=c~A:a,c~B:b`,
//! `C heartbeat c~A gen=1`, `D leave c~A c~B/i /i`, `E commit c~A gen=1 t/0=5`, `F fetch t/0` (or `all`), `G describe`,
//! `H list`, `I delete`, `J forget t/0`. Of the group `g`, or `group=x,y`. `v3` and such are versions where one matters.
//! What else happens: `land 0` (the oldest append, with this outcome), `hold`, `flow`, `restart`, `load`, `check`, `close`,
//! `wait`, `topic x` (made, or made anew), `deleted x`, `forgotten x` (by all coordinators there are),
//! `late 500` (nobody is heard and nothing done for so long).

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use callboard_protocol::{ErrorCode, Uuid};

use super::super::house::House;
use super::super::kit::{join, subscription};
use super::hear::{self, Ear, long};
use crate::Call;
use crate::core::Input;
use crate::request::{self, CommitPartition, CommitTopic, TopicRef};

/// What a line asks for.
pub(super) enum Asked {
    Call(String, Box<dyn FnOnce(Ear) -> Call>),
    Event(Box<dyn FnOnce(&mut House)>),
}

/// The words of a line.
struct Words<'a> {
    /// `name=value`.
    named: BTreeMap<&'a str, &'a str>,
    plain: Vec<&'a str>,
}

impl Words<'_> {
    fn has(&self, word: &str) -> bool {
        self.plain.contains(&word)
    }

    fn number(&self, name: &str, default: i64) -> i64 {
        self.named
            .get(name)
            .map_or(default, |value| value.parse().expect("a number"))
    }

    fn int(&self, name: &str, default: i32) -> i32 {
        i32::try_from(self.number(name, i64::from(default))).expect("an int")
    }

    fn text(&self, name: &str) -> Option<String> {
        let value = self.named.get(name).filter(|value| !value.is_empty());
        value.map(|value| (*value).to_owned())
    }

    fn groups(&self) -> Vec<Arc<str>> {
        let named = self.named.get("group").unwrap_or(&"g");
        named.split(',').map(Arc::from).collect()
    }

    fn group(&self) -> Arc<str> {
        Arc::clone(&self.groups()[0])
    }

    /// The first word that is neither a version nor a flag; empty without one.
    fn member_id(&self) -> String {
        let member = self.plain.iter().find(|word| word.contains('~'));
        member.map_or_else(String::new, |member| long(member))
    }

    /// Old names of requests: `v3` of `v3`.
    fn version(&self) -> Option<i16> {
        let mut versions = self.plain.iter().filter_map(|word| word.strip_prefix('v'));
        versions.find_map(|version| version.parse().ok())
    }
}

pub(super) fn parse(input: &str) -> Asked {
    let mut words = input.split_whitespace();
    let first = words.next().expect("a word");
    if hear::uuid_of(first).is_none() {
        return Asked::Event(event(first, words.next()));
    }
    let verb = words.next().expect("a request");
    let mut said = Words {
        named: BTreeMap::new(),
        plain: Vec::new(),
    };
    for word in words {
        match word.split_once('=') {
            Some((name, value)) if !name.contains('/') => {
                said.named.insert(name, value);
            }
            _ => said.plain.push(word),
        }
    }
    Asked::Call(first.to_owned(), call(verb, &said))
}

fn event(name: &str, of: Option<&str>) -> Box<dyn FnOnce(&mut House)> {
    let of = of.unwrap_or_default().to_owned();
    match name {
        "land" => Box::new(move |house| {
            let outcome = match of.parse().expect("a code") {
                0 => Ok(()),
                code => Err(ErrorCode(code)),
            };
            assert!(house.land(outcome), "nothing is in flight");
        }),
        "hold" => Box::new(|house| house.lands = false),
        "flow" => Box::new(|house| {
            house.lands = true;
            house.advance(0);
        }),
        "restart" => Box::new(House::restart),
        "load" => Box::new(House::load),
        "check" => Box::new(|house| {
            for group_id in house.groups.group_ids() {
                house.step(Input::Expire { group_id });
            }
        }),
        "close" => Box::new(|house| house.step(Input::Close)),
        "wait" => Box::new(|_| {}),
        "topic" => Box::new(move |house| {
            house.create(&of, 8);
        }),
        "late" => Box::new(move |house| house.late(of.parse().expect("milliseconds"))),
        "deleted" => Box::new(move |house| house.delete_topic(&of)),
        "forgotten" => Box::new(move |house| house.forgotten(&of)),
        other => panic!("{other:?} is no input"),
    }
}

fn call(verb: &str, said: &Words<'_>) -> Box<dyn FnOnce(Ear) -> Call> {
    match verb {
        "join" => {
            let request = join_request(said);
            Box::new(|ear| Call::JoinGroup(request, ear.hear(hear::joined)))
        }
        "sync" => {
            let request = sync_request(said);
            Box::new(|ear| Call::SyncGroup(request, ear.hear(hear::synced)))
        }
        "heartbeat" => {
            let request = request::Heartbeat {
                group_id: said.group(),
                generation_id: said.int("gen", -1),
                member_id: said.member_id(),
                group_instance_id: said.text("instance"),
            };
            Box::new(|ear| Call::Heartbeat(request, ear.hear(hear::heartbeat)))
        }
        "leave" => {
            let request = request::LeaveGroup {
                group_id: said.group(),
                members: said.plain.iter().map(|member| leaving(member)).collect(),
            };
            Box::new(|ear| Call::LeaveGroup(request, ear.hear(hear::left)))
        }
        "commit" => {
            let request = commit_request(said);
            Box::new(|ear| Call::OffsetCommit(request, ear.hear(hear::committed)))
        }
        "fetch" => {
            let request = fetch_request(said);
            Box::new(|ear| Call::OffsetFetch(request, ear.hear(hear::fetched)))
        }
        "describe" => {
            let group_ids = said.groups();
            let request = request::DescribeGroups { group_ids };
            Box::new(|ear| Call::DescribeGroups(request, ear.hear(hear::described)))
        }
        "list" => {
            let names = |name: &str| match said.named.get(name) {
                // An underscore stands for a space.
                Some(names) => names
                    .split(',')
                    .map(|name| name.replace('_', " "))
                    .collect(),
                None => Vec::new(),
            };
            let request = request::ListGroups {
                states: names("states"),
                types: names("types"),
            };
            Box::new(|ear| Call::ListGroups(request, ear.hear(hear::listed)))
        }
        "delete" => {
            let group_ids = said.groups();
            let request = request::DeleteGroups { group_ids };
            Box::new(|ear| Call::DeleteGroups(request, ear.hear(hear::deleted)))
        }
        "forget" => {
            let named = partitions(said).into_iter();
            let topics = named.map(|(topic, partition)| request::DeleteTopicOffsets {
                topic: topic.into(),
                partitions: vec![partition],
            });
            let request = request::OffsetDelete {
                group_id: said.group(),
                topics: topics.collect(),
            };
            Box::new(|ear| Call::OffsetDelete(request, ear.hear(hear::forgotten)))
        }
        other => panic!("{other:?} is no request"),
    }
}

/// Protocols are `range` or `name` or `name:topic+topic`; `:!` is metadata that does not parse.
fn protocols(said: &Words<'_>) -> Vec<request::JoinProtocol> {
    let listed = *said.named.get("protocols").unwrap_or(&"range");
    let one = |listed: &str| {
        let (name, topics) = listed.split_once(':').unwrap_or((listed, "t"));
        let metadata = match topics {
            "!" => Bytes::from_static(b"\0\0\x7f\xff\xff\xff"),
            _ => subscription(&topics.split('+').collect::<Vec<_>>()),
        };
        request::JoinProtocol {
            name: name.to_owned(),
            metadata,
        }
    };
    let listed = listed.split(',').filter(|listed| !listed.is_empty());
    listed.map(one).collect()
}

fn join_request(said: &Words<'_>) -> request::JoinGroup {
    let version = said.version().unwrap_or(9);
    request::JoinGroup {
        group_id: said.group(),
        group_instance_id: said.text("instance"),
        client_id: said.text("client").unwrap_or_else(|| "c".to_owned()),
        session_timeout_ms: said.int("session", 10_000),
        rebalance_timeout_ms: said.int("rebalance", 20_000),
        protocol_type: (*said.named.get("type").unwrap_or(&"consumer")).to_owned(),
        protocols: protocols(said),
        member_id_required: version >= 4,
        can_skip_assignment: version >= 9,
        ..join(&said.member_id())
    }
}

fn sync_request(said: &Words<'_>) -> request::SyncGroup {
    let plan = said.named.get("plan").map(|plan| plan.split(','));
    let part = |part: &str| {
        let (member, bytes) = part.split_once(':').expect("a part of a plan");
        request::SyncAssignment {
            member_id: long(member),
            assignment: Bytes::copy_from_slice(bytes.as_bytes()),
        }
    };
    request::SyncGroup {
        group_id: said.group(),
        generation_id: said.int("gen", -1),
        member_id: said.member_id(),
        group_instance_id: said.text("instance"),
        protocol_type: said.text("type"),
        protocol_name: said.text("protocol"),
        protocol_required: said.version() == Some(5),
        assignments: plan.into_iter().flatten().map(part).collect(),
        paid: request::Paid::default(),
    }
}

fn leaving(member: &str) -> request::LeavingMember {
    let (member_id, instance) = member.split_once('/').unwrap_or((member, ""));
    request::LeavingMember {
        member_id: long(member_id),
        group_instance_id: Some(instance.to_owned()).filter(|instance| !instance.is_empty()),
        reason: None,
    }
}

/// `t/0` and `id1/0`, with whatever stands behind `=`.
fn offsets<'a>(said: &Words<'a>) -> Vec<(TopicRef, i32, &'a str)> {
    let named = said.plain.iter().filter(|word| word.contains('/'));
    let one = |word: &&'a str| {
        let (at, value) = word.split_once('=').unwrap_or((word, ""));
        let (topic, partition) = at.split_once('/').expect("topic and partition");
        let topic = match topic.strip_prefix("id") {
            Some(id) => TopicRef::Id(Uuid([id.parse().expect("a number"); 16])),
            None => TopicRef::Name(topic.into()),
        };
        (topic, partition.parse().expect("a partition"), value)
    };
    named.map(one).collect()
}

fn partitions(said: &Words<'_>) -> Vec<(String, i32)> {
    let named = offsets(said).into_iter();
    named
        .map(|(topic, partition, _)| match topic {
            TopicRef::Name(name) => (name.to_string(), partition),
            TopicRef::Id(_) => panic!("by name only"),
        })
        .collect()
}

fn commit_request(said: &Words<'_>) -> request::OffsetCommit {
    let note = said.text("note").map(|note| match note.split_once('*') {
        // `é*4096`: so many of them.
        Some((one, times)) => one.repeat(times.parse().expect("a number")),
        None => note,
    });
    let committed = offsets(said).into_iter();
    let topics = committed.map(|(topic, partition, offset)| CommitTopic {
        topic,
        partitions: vec![CommitPartition {
            partition,
            committed_offset: offset.trim_end_matches('!').parse().expect("an offset"),
            committed_leader_epoch: said.int("epoch", -1),
            // With `!` behind the offset a note one longer.
            metadata: match offset.ends_with('!') {
                true => note.clone().map(|note| note + "!"),
                false => note.clone(),
            },
        }],
    });
    let mut topics: Vec<CommitTopic> = topics.collect();
    if said.has("nothing") {
        topics.push(CommitTopic {
            topic: TopicRef::Name("t".into()),
            partitions: Vec::new(),
        });
    }
    request::OffsetCommit {
        group_id: said.group(),
        generation_id: said.int("gen", -1),
        member_id: said.member_id(),
        group_instance_id: said.text("instance"),
        retention_time_ms: said
            .named
            .get("retention")
            .map(|retention| retention.parse().expect("a number")),
        knows_group_id_not_found: said.version().unwrap_or(9) >= 9,
        topics,
    }
}

fn fetch_request(said: &Words<'_>) -> request::OffsetFetch {
    let asked = offsets(said).into_iter();
    let topics: Vec<request::FetchTopic> = asked
        .map(|(topic, partition, _)| request::FetchTopic {
            topic,
            partitions: vec![partition],
        })
        .collect();
    let topics = (!said.has("all")).then_some(topics);
    let member_id = said.member_id();
    let group = |group_id: Arc<str>| request::FetchGroup {
        group_id,
        member_id: Some(member_id.clone()).filter(|member_id| !member_id.is_empty()),
        member_epoch: said.int("gen", -1),
        topics: topics.clone(),
    };
    request::OffsetFetch {
        groups: said.groups().into_iter().map(group).collect(),
        require_stable: true,
        answer_by_id: said.version() == Some(10),
    }
}
