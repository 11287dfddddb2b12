//! Words the transcripts are told in: requests with a reader's defaults, and answers as they come.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use callboard_protocol::ErrorCode;

use super::house::House;
use crate::core::{GroupMetadataValue, StoredGroup};
use crate::request::{
    self, CommitPartition, CommitTopic, JoinProtocol, LeavingMember, SyncAssignment, TopicRef,
};
use crate::{Call, CoordinatorConfig, Reply, response};

/// The answer to one request, when it comes.
pub(crate) struct Inbox<T>(Arc<Mutex<Option<T>>>);

impl<T> Inbox<T> {
    fn new() -> (Self, Reply<T>)
    where
        T: Send + 'static,
    {
        let slot = Arc::new(Mutex::new(None));
        let answer = Arc::clone(&slot);
        let reply = Reply::new(move |value| {
            let before = answer.lock().unwrap().replace(value);
            assert!(before.is_none(), "answered twice");
        });
        (Self(slot), reply)
    }

    /// The answer, which must be there.
    #[track_caller]
    pub(crate) fn answer(&self) -> T {
        self.0.lock().unwrap().take().expect("an answer")
    }

    /// Whether there is none yet.
    pub(crate) fn waits(&self) -> bool {
        self.0.lock().unwrap().is_none()
    }
}

/// Kafka's defaults, but a shorter initial delay.
pub(crate) fn config() -> CoordinatorConfig {
    CoordinatorConfig {
        group_initial_rebalance_delay: Duration::from_millis(500),
        ..CoordinatorConfig::default()
    }
}

pub(crate) fn house() -> House {
    House::new(config())
}

/// A JoinGroup of version 9 for the group `g`, of a consumer that prefers `range`.
pub(crate) fn join(member_id: &str) -> request::JoinGroup {
    request::JoinGroup {
        group_id: "g".into(),
        member_id: member_id.to_owned(),
        group_instance_id: None,
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 20_000,
        protocol_type: "consumer".to_owned(),
        protocols: protocols(&["range"]),
        reason: None,
        member_id_required: true,
        can_skip_assignment: true,
        paid: request::Paid::default(),
    }
}

/// The same from a client of version 3, which joins at once.
pub(crate) fn old_join() -> request::JoinGroup {
    request::JoinGroup {
        member_id_required: false,
        can_skip_assignment: false,
        ..join("")
    }
}

pub(crate) fn static_join(instance_id: &str) -> request::JoinGroup {
    request::JoinGroup {
        group_instance_id: Some(instance_id.to_owned()),
        ..join("")
    }
}

pub(crate) fn protocols(names: &[&str]) -> Vec<JoinProtocol> {
    names
        .iter()
        .map(|name| JoinProtocol {
            name: (*name).to_owned(),
            metadata: subscription(&["t"]),
        })
        .collect()
}

/// A subscription of version 0.
pub(crate) fn subscription(topics: &[&str]) -> Bytes {
    let mut bytes = vec![0, 0];
    bytes.extend(u32::try_from(topics.len()).unwrap().to_be_bytes());
    for topic in topics {
        bytes.extend(u16::try_from(topic.len()).unwrap().to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    bytes.extend([0xff; 4]);
    bytes.into()
}

impl House {
    pub(crate) fn join(&mut self, request: request::JoinGroup) -> Inbox<response::JoinGroup> {
        let (inbox, reply) = Inbox::new();
        self.call(Call::JoinGroup(request, reply));
        inbox
    }

    pub(crate) fn sync(
        &mut self,
        member_id: &str,
        generation_id: i32,
        plan: &[(&str, &str)],
    ) -> Inbox<response::SyncGroup> {
        let (inbox, reply) = Inbox::new();
        let part = |(member_id, assignment): &(&str, &str)| SyncAssignment {
            member_id: (*member_id).to_owned(),
            assignment: Bytes::copy_from_slice(assignment.as_bytes()),
        };
        let request = request::SyncGroup {
            group_id: "g".into(),
            generation_id,
            member_id: member_id.to_owned(),
            group_instance_id: None,
            protocol_type: None,
            protocol_name: None,
            protocol_required: false,
            assignments: plan.iter().map(part).collect(),
            paid: request::Paid::default(),
        };
        self.call(Call::SyncGroup(request, reply));
        inbox
    }

    pub(crate) fn heartbeat(
        &mut self,
        member_id: &str,
        generation_id: i32,
    ) -> Inbox<response::Heartbeat> {
        let (inbox, reply) = Inbox::new();
        let request = request::Heartbeat {
            group_id: "g".into(),
            generation_id,
            member_id: member_id.to_owned(),
            group_instance_id: None,
        };
        self.call(Call::Heartbeat(request, reply));
        inbox
    }

    pub(crate) fn leave(&mut self, member_id: &str) -> Inbox<response::LeaveGroup> {
        let (inbox, reply) = Inbox::new();
        let member = LeavingMember {
            member_id: member_id.to_owned(),
            group_instance_id: None,
            reason: None,
        };
        self.call(Call::LeaveGroup(
            request::LeaveGroup {
                group_id: "g".into(),
                members: vec![member],
            },
            reply,
        ));
        inbox
    }

    /// A commit for partition 0 of `topic`.
    pub(crate) fn commit(
        &mut self,
        request: request::OffsetCommit,
    ) -> Inbox<response::OffsetCommit> {
        let (inbox, reply) = Inbox::new();
        self.call(Call::OffsetCommit(request, reply));
        inbox
    }

    /// What is committed for partition 0 of `t`.
    pub(crate) fn fetch(&mut self) -> Inbox<response::OffsetFetch> {
        let (inbox, reply) = Inbox::new();
        let group = request::FetchGroup {
            group_id: "g".into(),
            member_id: None,
            member_epoch: -1,
            topics: Some(vec![request::FetchTopic {
                topic: TopicRef::Name("t".into()),
                partitions: vec![0],
            }]),
        };
        let request = request::OffsetFetch {
            groups: vec![group],
            require_stable: true,
            answer_by_id: false,
        };
        self.call(Call::OffsetFetch(request, reply));
        inbox
    }

    pub(crate) fn describe(&mut self) -> Inbox<response::DescribeGroups> {
        let (inbox, reply) = Inbox::new();
        self.call(Call::DescribeGroups(
            request::DescribeGroups {
                group_ids: vec!["g".into()],
            },
            reply,
        ));
        inbox
    }

    pub(crate) fn list(&mut self) -> Inbox<response::ListGroups> {
        let (inbox, reply) = Inbox::new();
        self.call(Call::ListGroups(request::ListGroups::default(), reply));
        inbox
    }

    pub(crate) fn delete(&mut self) -> Inbox<response::DeleteGroups> {
        let (inbox, reply) = Inbox::new();
        self.call(Call::DeleteGroups(
            request::DeleteGroups {
                group_ids: vec!["g".into()],
            },
            reply,
        ));
        inbox
    }

    pub(crate) fn delete_offsets(&mut self, topic: &str) -> Inbox<response::OffsetDelete> {
        let (inbox, reply) = Inbox::new();
        let topics = vec![request::DeleteTopicOffsets {
            topic: topic.into(),
            partitions: vec![0],
        }];
        self.call(Call::OffsetDelete(
            request::OffsetDelete {
                group_id: "g".into(),
                topics,
            },
            reply,
        ));
        inbox
    }

    /// Joins with an id that was asked for first; gives the id and the parked request.
    pub(crate) fn newcomer(&mut self) -> (String, Inbox<response::JoinGroup>) {
        let given = self.join(join("")).answer();
        assert_eq!(given.error, ErrorCode::MEMBER_ID_REQUIRED);
        let member_id = given.member_id.to_string();
        let parked = self.join(join(&member_id));
        (member_id, parked)
    }

    /// A Stable group of so many, all dynamic, in generation 1. The first leads.
    pub(crate) fn form(&mut self, members: usize) -> Vec<String> {
        self.create("t", 1);
        let joining: Vec<_> = (0..members).map(|_| self.newcomer()).collect();
        self.advance(1000);
        let ids: Vec<String> = joining
            .iter()
            .map(|(member_id, _)| member_id.clone())
            .collect();
        for (member_id, parked) in &joining {
            let joined = parked.answer();
            assert_eq!(
                (joined.error, joined.generation_id),
                (ErrorCode::NONE, 1),
                "{member_id}"
            );
        }
        self.plan(&ids, 1);
        ids
    }

    /// Everybody syncs, the leader (the first) last; each is assigned its own id.
    pub(crate) fn plan(&mut self, ids: &[String], generation_id: i32) {
        let plan: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), id.as_str())).collect();
        let followers: Vec<_> = ids[1..]
            .iter()
            .map(|id| self.sync(id, generation_id, &[]))
            .collect();
        let leader = self.sync(&ids[0], generation_id, &plan);
        for (id, synced) in ids.iter().zip([leader].into_iter().chain(followers)) {
            let synced = synced.answer();
            assert_eq!(
                (synced.error, synced.assignment),
                (ErrorCode::NONE, Bytes::copy_from_slice(id.as_bytes()))
            );
        }
    }

    /// What is stored of a group, in the log's index.
    pub(crate) fn stored(&self, group: &str) -> Option<GroupMetadataValue> {
        let stored = StoredGroup::read(&self.index, &group.into()).unwrap();
        stored.metadata
    }

    pub(crate) fn state(&mut self) -> &'static str {
        self.describe().answer().groups[0].state
    }
}

/// A commit of offset `offset` for partition 0 of `t`.
pub(crate) fn commit(member_id: &str, generation_id: i32, offset: i64) -> request::OffsetCommit {
    request::OffsetCommit {
        group_id: "g".into(),
        generation_id,
        member_id: member_id.to_owned(),
        group_instance_id: None,
        retention_time_ms: None,
        knows_group_id_not_found: true,
        topics: vec![CommitTopic {
            topic: TopicRef::Name("t".into()),
            partitions: vec![CommitPartition {
                partition: 0,
                committed_offset: offset,
                committed_leader_epoch: -1,
                metadata: None,
            }],
        }],
    }
}

/// The one code of a commit for one partition.
pub(crate) fn code(answer: &response::OffsetCommit) -> ErrorCode {
    answer.topics[0].partitions[0].1
}
