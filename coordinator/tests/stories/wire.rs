//! Between the fields of a story and the coordinator's nouns, by version. In the product this is the broker's job, bytes
//! and all; here it is the least that plays the stories.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use callboard_coordinator::{Call, Reply, request, response};
use callboard_protocol::{ErrorCode, Uuid};
use request::TopicRef;
use serde_json::{Map, Value, json};

use super::script::{Fields, Send};

/// Where an answer's fields arrive.
pub(crate) type Slot = Arc<Mutex<Option<Fields>>>;

/// All operations, to somebody without an authorizer.
const ALL_OPERATIONS: i32 = 3400;

/// The call a request is, answering into `slot`. `fields` have no names left to fill in.
pub(crate) fn call(send: &Send, fields: &Fields, slot: &Slot) -> Call {
    let version = send.version;
    let ask = Ask(fields);
    match send.api.as_str() {
        "JoinGroup" => Call::JoinGroup(
            join(send, &ask),
            reply(slot, move |answer| joined(answer, version)),
        ),
        "SyncGroup" => Call::SyncGroup(
            sync(&ask, version),
            reply(slot, move |answer| synced(answer, version)),
        ),
        "Heartbeat" => {
            let request = request::Heartbeat {
                group_id: ask.group(),
                generation_id: ask.int("generation_id", -1),
                member_id: ask.text("member_id"),
                group_instance_id: ask.option("group_instance_id"),
            };
            Call::Heartbeat(
                request,
                reply(
                    slot,
                    |answer: response::Heartbeat| json!({"error_code": answer.error.0}),
                ),
            )
        }
        "LeaveGroup" => Call::LeaveGroup(
            leave(&ask, version),
            reply(slot, move |answer| left(answer, version)),
        ),
        "OffsetCommit" => Call::OffsetCommit(commit(&ask, version), reply(slot, committed)),
        "OffsetFetch" => Call::OffsetFetch(
            fetch(&ask, version),
            reply(slot, move |answer| fetched(answer, version)),
        ),
        "DescribeGroups" => {
            let asked = ask.0.get("include_authorized_operations") == Some(&Value::Bool(true));
            let request = request::DescribeGroups {
                group_ids: ask.texts("groups").into_iter().map(Arc::from).collect(),
            };
            Call::DescribeGroups(
                request,
                reply(slot, move |answer| described(answer, version, asked)),
            )
        }
        "ListGroups" => {
            let request = request::ListGroups {
                states: ask.texts("states_filter"),
                types: ask.texts("types_filter"),
            };
            Call::ListGroups(request, reply(slot, move |answer| listed(answer, version)))
        }
        "DeleteGroups" => {
            let group_ids = ask
                .texts("groups_names")
                .into_iter()
                .map(Arc::from)
                .collect();
            Call::DeleteGroups(request::DeleteGroups { group_ids }, reply(slot, deleted))
        }
        "OffsetDelete" => Call::OffsetDelete(delete_offsets(&ask), reply(slot, offsets_deleted)),
        api => panic!("{api} is not the coordinator's"),
    }
}

fn reply<T: 'static>(
    slot: &Slot,
    fields: impl FnOnce(T) -> Value + std::marker::Send + 'static,
) -> Reply<T> {
    let slot = Arc::clone(slot);
    Reply::new(move |answer| {
        let Value::Object(fields) = fields(answer) else {
            panic!("an answer is an object")
        };
        let before = slot.lock().unwrap().replace(fields);
        assert!(before.is_none(), "a request is answered once");
    })
}

/// The fields of a request, those that are not there having the schema's defaults.
struct Ask<'a>(&'a Map<String, Value>);

impl Ask<'_> {
    fn text(&self, name: &str) -> String {
        self.option(name).unwrap_or_default()
    }

    fn option(&self, name: &str) -> Option<String> {
        self.0.get(name).and_then(Value::as_str).map(str::to_owned)
    }

    fn group(&self) -> Arc<str> {
        self.text("group_id").into()
    }

    fn int<T: TryFrom<i64>>(&self, name: &str, default: T) -> T {
        self.0
            .get(name)
            .and_then(Value::as_i64)
            .and_then(|value| T::try_from(value).ok())
            .unwrap_or(default)
    }

    fn bytes(&self, name: &str) -> Bytes {
        let hex = self
            .0
            .get(name)
            .and_then(|bytes| bytes.get("hex"))
            .and_then(Value::as_str)
            .unwrap_or_default();
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect()
    }

    fn list<T>(&self, name: &str, each: impl Fn(Ask<'_>) -> T) -> Vec<T> {
        self.maybe_list(name, each).unwrap_or_default()
    }

    fn maybe_list<T>(&self, name: &str, each: impl Fn(Ask<'_>) -> T) -> Option<Vec<T>> {
        let items = self.0.get(name)?.as_array()?;
        Some(
            items
                .iter()
                .map(|item| each(Ask(item.as_object().expect("a list of structs"))))
                .collect(),
        )
    }

    fn texts(&self, name: &str) -> Vec<String> {
        let items = self
            .0
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        items
            .map(|item| item.as_str().expect("a list of strings").to_owned())
            .collect()
    }

    fn ints(&self, name: &str) -> Vec<i32> {
        let items = self
            .0
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        items
            .map(|item| i32::try_from(item.as_i64().unwrap()).unwrap())
            .collect()
    }

    fn topic(&self) -> TopicRef {
        match self.option("topic_id") {
            Some(id) => TopicRef::Id(parse_uuid(&id)),
            None => TopicRef::Name(self.text("name").into()),
        }
    }
}

fn parse_uuid(text: &str) -> Uuid {
    Uuid(*uuid::Uuid::parse_str(text).expect("a topic id").as_bytes())
}

fn join(send: &Send, ask: &Ask<'_>) -> request::JoinGroup {
    let session_timeout_ms = ask.int("session_timeout_ms", 0);
    request::JoinGroup {
        group_id: ask.group(),
        member_id: ask.text("member_id"),
        group_instance_id: ask.option("group_instance_id"),
        client_id: send.client_id.clone(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms,
        rebalance_timeout_ms: if send.version == 0 {
            session_timeout_ms
        } else {
            ask.int("rebalance_timeout_ms", -1)
        },
        protocol_type: ask.text("protocol_type"),
        protocols: ask.list("protocols", |protocol| request::JoinProtocol {
            name: protocol.text("name"),
            metadata: protocol.bytes("metadata"),
        }),
        reason: ask.option("reason"),
        member_id_required: send.version >= 4,
        can_skip_assignment: send.version >= 9,
        paid: request::Paid::default(),
    }
}

fn joined(answer: response::JoinGroup, version: i16) -> Value {
    let member = |member: &response::JoinMember| {
        let mut fields =
            json!({"member_id": &*member.member_id, "metadata": hex(&member.metadata)});
        with(
            &mut fields,
            version >= 5,
            "group_instance_id",
            json!(member.group_instance_id.as_deref()),
        );
        fields
    };
    let name = match answer.protocol_name.as_deref() {
        None if version < 7 => json!(""),
        name => json!(name),
    };
    let mut fields = json!({
        "error_code": answer.error.0,
        "generation_id": answer.generation_id,
        "protocol_name": name,
        "leader": &*answer.leader,
        "member_id": &*answer.member_id,
        "members": answer.members.iter().map(member).collect::<Vec<_>>(),
    });
    with(
        &mut fields,
        version >= 7,
        "protocol_type",
        json!(answer.protocol_type.as_deref()),
    );
    with(
        &mut fields,
        version >= 9,
        "skip_assignment",
        json!(answer.skip_assignment),
    );
    fields
}

fn sync(ask: &Ask<'_>, version: i16) -> request::SyncGroup {
    request::SyncGroup {
        group_id: ask.group(),
        generation_id: ask.int("generation_id", 0),
        member_id: ask.text("member_id"),
        group_instance_id: ask.option("group_instance_id"),
        protocol_type: ask.option("protocol_type"),
        protocol_name: ask.option("protocol_name"),
        protocol_required: version >= 5,
        assignments: ask.list("assignments", |part| request::SyncAssignment {
            member_id: part.text("member_id"),
            assignment: part.bytes("assignment"),
        }),
        paid: request::Paid::default(),
    }
}

fn synced(answer: response::SyncGroup, version: i16) -> Value {
    let mut fields = json!({"error_code": answer.error.0, "assignment": hex(&answer.assignment)});
    with(
        &mut fields,
        version >= 5,
        "protocol_type",
        json!(answer.protocol_type.as_deref()),
    );
    with(
        &mut fields,
        version >= 5,
        "protocol_name",
        json!(answer.protocol_name.as_deref()),
    );
    fields
}

fn leave(ask: &Ask<'_>, version: i16) -> request::LeaveGroup {
    let member = |member: Ask<'_>| request::LeavingMember {
        member_id: member.text("member_id"),
        group_instance_id: member.option("group_instance_id"),
        reason: member.option("reason"),
    };
    let members = if version < 3 {
        vec![member(Ask(ask.0))]
    } else {
        ask.list("members", member)
    };
    request::LeaveGroup {
        group_id: ask.group(),
        members,
    }
}

fn left(answer: response::LeaveGroup, version: i16) -> Value {
    if version < 3 {
        return json!({"error_code": answer.lifted_error().0});
    }
    let member = |member: &response::LeftMember| {
        json!({
            "member_id": member.member_id,
            "group_instance_id": member.group_instance_id,
            "error_code": member.error.0,
        })
    };
    json!({"error_code": answer.error.0, "members": answer.members.iter().map(member).collect::<Vec<_>>()})
}

fn commit(ask: &Ask<'_>, version: i16) -> request::OffsetCommit {
    let partition = |partition: Ask<'_>| request::CommitPartition {
        partition: partition.int("partition_index", 0),
        committed_offset: partition.int("committed_offset", 0),
        committed_leader_epoch: partition.int("committed_leader_epoch", -1),
        metadata: partition.option("committed_metadata"),
    };
    request::OffsetCommit {
        group_id: ask.group(),
        generation_id: ask.int("generation_id_or_member_epoch", -1),
        member_id: ask.text("member_id"),
        group_instance_id: ask.option("group_instance_id"),
        retention_time_ms: Some(ask.int("retention_time_ms", -1))
            .filter(|retention_ms| *retention_ms != -1),
        knows_group_id_not_found: version >= 9,
        topics: ask.list("topics", |topic| request::CommitTopic {
            topic: topic.topic(),
            partitions: topic.list("partitions", partition),
        }),
    }
}

fn committed(answer: response::OffsetCommit) -> Value {
    json!({"topics": topics(&answer.topics, |topic| (&topic.topic, errors(&topic.partitions)))})
}

fn fetch(ask: &Ask<'_>, version: i16) -> request::OffsetFetch {
    let group = |group: Ask<'_>| request::FetchGroup {
        group_id: group.group(),
        member_id: group.option("member_id"),
        member_epoch: group.int("member_epoch", -1),
        topics: group.maybe_list("topics", |topic| request::FetchTopic {
            topic: topic.topic(),
            partitions: topic.ints("partition_indexes"),
        }),
    };
    request::OffsetFetch {
        groups: if version < 8 {
            vec![group(Ask(ask.0))]
        } else {
            ask.list("groups", group)
        },
        require_stable: ask.0.get("require_stable") == Some(&Value::Bool(true)),
        answer_by_id: version >= 10,
    }
}

fn fetched(answer: response::OffsetFetch, version: i16) -> Value {
    let partition = |partition: &response::FetchedPartition| {
        let mut fields = json!({
            "partition_index": partition.partition,
            "committed_offset": partition.committed_offset,
            "metadata": &*partition.metadata,
            "error_code": partition.error.0,
        });
        with(
            &mut fields,
            version >= 5,
            "committed_leader_epoch",
            json!(partition.committed_leader_epoch),
        );
        fields
    };
    let group = |group: &response::FetchedGroup| {
        let partitions = |topic: &response::FetchedTopic| {
            topic.partitions.iter().map(partition).collect::<Vec<_>>()
        };
        let topics = topics(&group.topics, |topic| {
            (&topic.topic, json!(partitions(topic)))
        });
        json!({"group_id": &*group.group_id, "topics": topics, "error_code": group.error.0})
    };
    let mut groups: Vec<Value> = answer.groups.iter().map(group).collect();
    if version >= 8 {
        return json!({"groups": groups});
    }
    let mut fields = groups.pop().expect("one group was asked for");
    let kept = if version >= 2 {
        &["topics", "error_code"][..]
    } else {
        &["topics"]
    };
    fields
        .as_object_mut()
        .unwrap()
        .retain(|name, _| kept.contains(&name.as_str()));
    fields
}

fn described(answer: response::DescribeGroups, version: i16, operations: bool) -> Value {
    let member = |member: &response::DescribedMember| {
        let mut fields = json!({
            "member_id": &*member.member_id,
            "client_id": &*member.client_id,
            "client_host": &*member.client_host,
            "member_metadata": hex(&member.metadata),
            "member_assignment": hex(&member.assignment),
        });
        with(
            &mut fields,
            version >= 4,
            "group_instance_id",
            json!(member.group_instance_id.as_deref()),
        );
        fields
    };
    let group = |group: &response::DescribedGroup| {
        let absent = group.error == ErrorCode::GROUP_ID_NOT_FOUND;
        let error = if absent && version < 6 {
            ErrorCode::NONE
        } else {
            group.error
        };
        let mut fields = json!({
            "error_code": error.0,
            "group_id": &*group.group_id,
            "group_state": group.state,
            "protocol_type": &*group.protocol_type,
            "protocol_data": &*group.protocol_name,
            "members": group.members.iter().map(member).collect::<Vec<_>>(),
        });
        let told = if operations && error == ErrorCode::NONE {
            ALL_OPERATIONS
        } else {
            i32::MIN
        };
        with(
            &mut fields,
            version >= 3,
            "authorized_operations",
            json!(told),
        );
        fields
    };
    json!({"groups": answer.groups.iter().map(group).collect::<Vec<_>>()})
}

fn listed(answer: response::ListGroups, version: i16) -> Value {
    let group = |group: &response::ListedGroup| {
        let mut fields =
            json!({"group_id": &*group.group_id, "protocol_type": &*group.protocol_type});
        with(&mut fields, version >= 4, "group_state", json!(group.state));
        with(
            &mut fields,
            version >= 5,
            "group_type",
            json!(group.group_type),
        );
        fields
    };
    json!({"error_code": answer.error.0, "groups": answer.groups.iter().map(group).collect::<Vec<_>>()})
}

fn deleted(answer: response::DeleteGroups) -> Value {
    let group = |group: &response::DeletedGroup| json!({"group_id": &*group.group_id, "error_code": group.error.0});
    json!({"results": answer.results.iter().map(group).collect::<Vec<_>>()})
}

fn delete_offsets(ask: &Ask<'_>) -> request::OffsetDelete {
    request::OffsetDelete {
        group_id: ask.group(),
        topics: ask.list("topics", |topic| request::DeleteTopicOffsets {
            topic: topic.text("name").into(),
            partitions: topic.list("partitions", |partition| {
                partition.int("partition_index", 0)
            }),
        }),
    }
}

fn offsets_deleted(answer: response::OffsetDelete) -> Value {
    let topic = |topic: &response::DeletedTopicOffsets| json!({"name": &*topic.topic, "partitions": errors(&topic.partitions)});
    json!({"error_code": answer.error.0, "topics": answer.topics.iter().map(topic).collect::<Vec<_>>()})
}

fn topics<T>(topics: &[T], parts: impl Fn(&T) -> (&TopicRef, Value)) -> Value {
    let named = |(topic, partitions): (&TopicRef, Value)| match topic {
        TopicRef::Name(name) => json!({"name": &**name, "partitions": partitions}),
        TopicRef::Id(id) => {
            json!({"topic_id": uuid::Uuid::from_bytes(id.0).to_string(), "partitions": partitions})
        }
    };
    topics.iter().map(|topic| named(parts(topic))).collect()
}

fn errors(partitions: &[(i32, ErrorCode)]) -> Value {
    partitions
        .iter()
        .map(|(partition, error)| json!({"partition_index": partition, "error_code": error.0}))
        .collect()
}

fn hex(bytes: &[u8]) -> Value {
    json!({"hex": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()})
}

fn with(fields: &mut Value, there: bool, name: &str, value: Value) {
    if there && let Some(fields) = fields.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
}
