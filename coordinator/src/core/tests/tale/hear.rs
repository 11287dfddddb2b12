//! Effects in words.

use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use callboard_offsets::record::Record;
use callboard_protocol::{ErrorCode, consumer_protocol};

use crate::core::{Effect, Event, GroupMetadataValue, Removal};
use crate::request::TopicRef;
use crate::{Reply, response};

/// Lines of what was done, with their times.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    start: Duration,
    now: Duration,
    lines: Vec<String>,
}

impl Heard {
    pub(crate) fn now(&self, now: Duration) {
        self.0.lock().unwrap().now = now;
    }

    /// Forgets what it heard; its clock says zero.
    pub(super) fn begin(&self, start: Duration) {
        *self.0.lock().unwrap() = Lines {
            start,
            now: start,
            lines: Vec::new(),
        };
    }

    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().lines)
    }

    fn say(&self, what: &str) {
        let mut heard = self.0.lock().unwrap();
        let at = (heard.now - heard.start).as_millis();
        heard
            .lines
            .push(format!("{at} < {}", short(what).replace('"', "'")));
    }

    /// Hears the answer to a request.
    pub(super) fn ear(&self, label: &str) -> Ear {
        Ear(self.clone(), label.to_owned())
    }

    /// Answers are heard where they arrive, and a removal when it is known what goes.
    pub(crate) fn effect(&self, effect: &Effect) {
        match effect {
            Effect::Answer { .. } | Effect::Fetch { .. } => {}
            Effect::Append { records, .. } | Effect::Commit { records, .. } => {
                self.say(&format!("append {}", all(records, record)));
            }
            Effect::Unwritable { error, .. } => self.say(&format!("cannot write: {error}")),
            Effect::Remove { removal, .. } => self.say(match removal {
                Removal::Group { .. } => "remove the group",
                Removal::Offsets(_) => "remove offsets",
                Removal::Expired(_) => "remove what is over",
            }),
            Effect::Reload { .. } => self.say("reload"),
            Effect::Forget { topic, .. } => self.say(&format!("forget {topic}")),
            Effect::Forgotten { id } => self.say(&format!("forgot id{}", id.0[0])),
            // Every tale would begin with it; what is answered shows it.
            Effect::Opened => {}
            Effect::Note(event) => self.say(&note(event)),
        }
    }

    pub(crate) fn tombstones(&self, records: &[Record]) {
        if !records.is_empty() {
            self.say(&format!("append {}", all(records, record)));
        }
    }
}

/// Waits for one answer.
pub(super) struct Ear(Heard, String);

impl Ear {
    pub(super) fn hear<T: Send + 'static>(self, say: fn(&T) -> String) -> Reply<T> {
        Reply::new(move |answer| self.0.say(&format!("{} {}", self.1, say(&answer))))
    }
}

/// The number behind `c~A`: a letter, and perhaps a digit.
pub(super) fn uuid_of(label: &str) -> Option<u128> {
    let mut chars = label.chars();
    let letter = chars.next().filter(char::is_ascii_uppercase)?;
    let digit = chars.next().map_or(Some(0), |digit| digit.to_digit(10))?;
    Some(u128::from(letter) * 16 + u128::from(digit))
}

/// Made ids by the name of the request they were made for.
fn short(text: &str) -> String {
    let mut short = text.to_owned();
    for letter in 'A'..='Z' {
        for digit in 0..10_u128 {
            let uuid = uuid::Uuid::from_u128(u128::from(letter) * 16 + digit);
            let label = if digit == 0 {
                String::new()
            } else {
                digit.to_string()
            };
            if short.contains("-0000-") {
                short = short.replace(&format!("-{uuid}"), &format!("~{letter}{label}"));
            }
        }
    }
    short
}

/// The other way round.
pub(super) fn long(text: &str) -> String {
    match text.split_once('~') {
        Some((prefix, label)) => match uuid_of(label) {
            Some(uuid) => format!("{prefix}-{}", uuid::Uuid::from_u128(uuid)),
            None => text.to_owned(),
        },
        None => text.to_owned(),
    }
}

fn all<T>(many: &[T], one: impl Fn(&T) -> String) -> String {
    many.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn metadata(bytes: &Bytes) -> String {
    match consumer_protocol::subscribed_topics(bytes) {
        Ok(topics) => {
            let topics: Vec<String> = topics.iter().map(ToString::to_string).collect();
            format!("({})", topics.join(","))
        }
        Err(_) => format!("({bytes:?})"),
    }
}

fn protocol(kind: Option<&str>, name: Option<&str>) -> String {
    format!("{}/{}", kind.unwrap_or("-"), name.unwrap_or("-"))
}

fn named(id: &str, instance: Option<&str>) -> String {
    instance.map_or_else(|| id.to_owned(), |instance| format!("{id}/{instance}"))
}

fn topic(topic: &TopicRef) -> String {
    match topic {
        TopicRef::Name(name) => name.to_string(),
        TopicRef::Id(id) => format!("id{}", id.0[0]),
    }
}

fn record(record: &Record) -> String {
    match record {
        Record::OffsetCommit {
            topic,
            partition,
            value: None,
            ..
        } => format!("{topic}/{partition}=gone"),
        Record::OffsetCommit {
            topic,
            partition,
            value: Some(value),
            ..
        } => {
            let mut text = format!("{topic}/{partition}={}", value.offset);
            if value.leader_epoch != -1 {
                write!(text, "@{}", value.leader_epoch).unwrap();
            }
            if !value.metadata.is_empty() {
                let note: String = value.metadata.chars().take(8).collect();
                write!(text, "\"{note}\"").unwrap();
            }
            if let Some(expires_ms) = value.expire_timestamp_ms {
                write!(text, " until +{}", expires_ms - value.commit_timestamp_ms).unwrap();
            }
            if value.topic_id != [0; 16] {
                write!(text, " of id{}", value.topic_id[0]).unwrap();
            }
            text
        }
        Record::Group { value: None, .. } => "group=gone".to_owned(),
        Record::Group {
            value: Some(value), ..
        } => stored(&GroupMetadataValue::decode(value).unwrap()),
        Record::GenerationMark { generation, .. } => format!("mark={generation}"),
    }
}

fn stored(value: &GroupMetadataValue) -> String {
    let members = all(&value.members, |member| {
        format!(
            "{}{}{:?}",
            named(&member.member_id, member.group_instance_id.as_deref()),
            metadata(&member.subscription),
            String::from_utf8_lossy(&member.assignment)
        )
    });
    format!(
        "group=gen{} {} leader={} [{members}]",
        value.generation,
        protocol(Some(&value.protocol_type), value.protocol_name.as_deref()),
        value.leader.as_deref().unwrap_or("-"),
    )
}

fn note(event: &Event) -> String {
    match event {
        Event::RebalanceStarted {
            reason,
            generation_id,
        } => format!("rebalance {} after gen{generation_id}", reason.as_str()),
        Event::RebalanceCompleted {
            took_ms,
            generation_id,
            members,
        } => format!("stable gen{generation_id} members={members} took={took_ms}"),
        Event::MemberExited { reason, member_id } => {
            format!("exit {} {member_id}", reason.as_str())
        }
        Event::NotForgotten {
            topic,
            error,
            failures,
        } => format!("not forgotten {topic} {} failures={failures}", error.0),
    }
}

pub(super) fn joined(answer: &response::JoinGroup) -> String {
    if answer.error != ErrorCode::NONE {
        let plain = response::JoinGroup::refused(answer.error, &answer.member_id);
        assert_eq!(*answer, plain, "an error says nothing else");
        return format!("joined {} me={}", answer.error.0, answer.member_id);
    }
    let members = all(&answer.members, |member| {
        let name = named(&member.member_id, member.group_instance_id.as_deref());
        name + &metadata(&member.metadata)
    });
    format!(
        "joined 0 gen{} {} leader={} me={} [{members}]{}",
        answer.generation_id,
        protocol(
            answer.protocol_type.as_deref(),
            answer.protocol_name.as_deref()
        ),
        answer.leader,
        answer.member_id,
        if answer.skip_assignment { " skip" } else { "" }
    )
}

pub(super) fn synced(answer: &response::SyncGroup) -> String {
    if answer.error != ErrorCode::NONE {
        assert_eq!(*answer, response::SyncGroup::refused(answer.error));
        return format!("synced {}", answer.error.0);
    }
    let protocol = protocol(
        answer.protocol_type.as_deref(),
        answer.protocol_name.as_deref(),
    );
    let part = String::from_utf8_lossy(&answer.assignment);
    format!("synced 0 {protocol} {part:?}")
}

pub(super) fn heartbeat(answer: &response::Heartbeat) -> String {
    format!("heartbeat {}", answer.error.0)
}

pub(super) fn left(answer: &response::LeaveGroup) -> String {
    let members = all(&answer.members, |member| {
        let name = named(&member.member_id, member.group_instance_id.as_deref());
        format!("{name}:{}", member.error.0)
    });
    format!("left {} [{members}]", answer.error.0)
}

pub(super) fn committed(answer: &response::OffsetCommit) -> String {
    let topics = all(&answer.topics, |of| {
        all(&of.partitions, |(partition, error)| {
            format!("{}/{partition}:{}", topic(&of.topic), error.0)
        })
    });
    format!("committed [{topics}]")
}

pub(super) fn fetched(answer: &response::OffsetFetch) -> String {
    let groups = all(&answer.groups, |group| {
        let topics = all(&group.topics, |of| {
            all(&of.partitions, |found| {
                let mut text = format!(
                    "{}/{}={}",
                    topic(&of.topic),
                    found.partition,
                    found.committed_offset
                );
                if found.committed_leader_epoch != -1 {
                    write!(text, "@{}", found.committed_leader_epoch).unwrap();
                }
                if !found.metadata.is_empty() {
                    write!(text, "{:?}", found.metadata).unwrap();
                }
                if found.error != ErrorCode::NONE {
                    write!(text, ":{}", found.error.0).unwrap();
                }
                text
            })
        });
        format!("{:?} {} [{topics}]", group.group_id, group.error.0)
    });
    format!("fetched {groups}")
}

pub(super) fn described(answer: &response::DescribeGroups) -> String {
    let groups = all(&answer.groups, |group| {
        let members = all(&group.members, |member| {
            format!(
                "{} {} {} {}{:?}",
                named(&member.member_id, member.group_instance_id.as_deref()),
                member.client_id,
                member.client_host,
                if member.metadata.is_empty() {
                    String::new()
                } else {
                    metadata(&member.metadata)
                },
                String::from_utf8_lossy(&member.assignment)
            )
        });
        format!(
            "{:?} {} {} {} [{members}]",
            group.group_id,
            group.error.0,
            group.state,
            protocol(Some(&group.protocol_type), Some(&group.protocol_name))
        )
    });
    format!("described {groups}")
}

pub(super) fn listed(answer: &response::ListGroups) -> String {
    let groups = all(&answer.groups, |group| {
        format!(
            "{}:{}:{}:{}",
            group.group_id, group.protocol_type, group.state, group.group_type
        )
    });
    format!("listed {} [{groups}]", answer.error.0)
}

pub(super) fn deleted(answer: &response::DeleteGroups) -> String {
    let results = all(&answer.results, |group| {
        format!("{:?}:{}", group.group_id, group.error.0)
    });
    format!("deleted [{results}]")
}

pub(super) fn forgotten(answer: &response::OffsetDelete) -> String {
    let topics = all(&answer.topics, |of| {
        all(&of.partitions, |(partition, error)| {
            format!("{}/{partition}:{}", of.topic, error.0)
        })
    });
    format!("forgotten {} [{topics}]", answer.error.0)
}
