//! A member of a group, as a client library would be one, but without heartbeats of its own.

use bytes::Bytes;
use callboard_protocol::ErrorCode;
use callboard_protocol::consumer_protocol::{Assignment, Subscription};
use callboard_protocol::messages::heartbeat::HeartbeatRequest;
use callboard_protocol::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use callboard_protocol::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use callboard_protocol::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};

use crate::cluster::TOPIC;
use crate::error::{BenchError, accepted};
use crate::wire::{Wire, encode};

const JOIN: i16 = 9;
const SYNC: i16 = 5;
const LEAVE: i16 = 5;
/// The version of Heartbeat under load.
pub(crate) const HEARTBEAT: i16 = 4;

/// Nothing expires while other servers are measured.
const SESSION_TIMEOUT_MS: i32 = 300_000;
const REBALANCE_TIMEOUT_MS: i32 = 60_000;

/// A member with its connection.
#[derive(Debug)]
pub(crate) struct Member {
    wire: Wire,
    group: String,
    id: String,
    generation: i32,
    /// What its subscription says, so that another number makes another subscription.
    round: u32,
}

impl Member {
    /// Connects and gets an id. It joins when its [`join_frame`](Self::join_frame) is sent.
    pub(crate) async fn new(address: &str, group: &str) -> Result<Self, BenchError> {
        let mut member = Self {
            wire: Wire::connect(address).await?,
            group: group.to_owned(),
            id: String::new(),
            generation: -1,
            round: 0,
        };
        let answer = member.wire.call(&member.join_request(), JOIN).await?;
        let answer = answer.read()?;
        if ErrorCode(answer.error_code) != ErrorCode::MEMBER_ID_REQUIRED {
            accepted("JoinGroup without an id", answer.error_code)?;
        }
        member.id = answer.member_id.into_owned();
        Ok(member)
    }

    fn join_request(&self) -> JoinGroupRequest<'static> {
        let subscription = Subscription {
            topics: vec![TOPIC.to_owned()],
            user_data: Some(Bytes::copy_from_slice(&self.round.to_be_bytes())),
            ..Subscription::default()
        };
        JoinGroupRequest {
            group_id: self.group.clone().into(),
            session_timeout_ms: SESSION_TIMEOUT_MS,
            rebalance_timeout_ms: REBALANCE_TIMEOUT_MS,
            member_id: self.id.clone().into(),
            protocol_type: "consumer".into(),
            protocols: vec![JoinGroupRequestProtocol {
                name: "range".into(),
                metadata: subscription.encode().to_vec().into(),
                ..JoinGroupRequestProtocol::default()
            }],
            ..JoinGroupRequest::default()
        }
    }

    /// Its JoinGroup, with a new subscription: that makes the group rebalance, whoever sends it.
    pub(crate) fn join_frame(&mut self) -> Result<Bytes, BenchError> {
        self.round += 1;
        encode(&self.join_request(), JOIN)
    }

    /// Sends a frame of this member's.
    pub(crate) async fn send(&mut self, frame: &[u8]) -> Result<(), BenchError> {
        self.wire.send(frame).await
    }

    /// After its JoinGroup was sent: up to its assignment, joining again if the group began anew in between.
    pub(crate) async fn settle(&mut self) -> Result<(), BenchError> {
        while !self.sync().await? {
            let frame = self.join_frame()?;
            self.send(&frame).await?;
        }
        Ok(())
    }

    /// Whether it has its assignment.
    async fn sync(&mut self) -> Result<bool, BenchError> {
        let answer = self.wire.answer::<JoinGroupRequest<'_>>(JOIN).await?;
        let answer = answer.read()?;
        accepted("JoinGroup", answer.error_code)?;
        self.generation = answer.generation_id;
        // What is in it does not matter to a coordinator, but it is as long as a real one.
        let assignment = Assignment {
            partitions: vec![(TOPIC.to_owned(), vec![0, 1])],
            user_data: None,
        }
        .encode();
        let assignments = answer
            .members
            .iter()
            .map(|member| SyncGroupRequestAssignment {
                member_id: member.member_id.clone().into_owned().into(),
                assignment: assignment.to_vec().into(),
                ..SyncGroupRequestAssignment::default()
            });
        let request = SyncGroupRequest {
            group_id: self.group.clone().into(),
            generation_id: self.generation,
            member_id: self.id.clone().into(),
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            assignments: assignments.collect(),
            ..SyncGroupRequest::default()
        };
        let answer = self.wire.call(&request, SYNC).await?;
        let answer = answer.read()?;
        if ErrorCode(answer.error_code) == ErrorCode::REBALANCE_IN_PROGRESS {
            return Ok(false);
        }
        accepted("SyncGroup", answer.error_code)?;
        Ok(true)
    }

    /// Its Heartbeat.
    pub(crate) fn heartbeat(&self) -> HeartbeatRequest<'static> {
        HeartbeatRequest {
            group_id: self.group.clone().into(),
            generation_id: self.generation,
            member_id: self.id.clone().into(),
            ..HeartbeatRequest::default()
        }
    }

    /// Sends heartbeats until one says that the group rebalances, then joins and gets its assignment.
    pub(crate) async fn follow(&mut self) -> Result<(), BenchError> {
        let heartbeat = self.heartbeat();
        loop {
            let answer = self.wire.call(&heartbeat, HEARTBEAT).await?;
            let code = ErrorCode(answer.read()?.error_code);
            if code == ErrorCode::REBALANCE_IN_PROGRESS {
                break;
            }
            accepted("Heartbeat", code.0)?;
        }
        let frame = self.join_frame()?;
        self.send(&frame).await?;
        self.settle().await
    }

    /// Leaves.
    pub(crate) async fn leave(mut self) -> Result<(), BenchError> {
        let request = leave(&self.group, std::slice::from_ref(&self.id));
        let answer = self.wire.call(&request, LEAVE).await?;
        accepted("LeaveGroup", answer.read()?.error_code)
    }

    /// Takes all out of their group with one request.
    pub(crate) async fn all_leave(mut members: Vec<Self>) -> Result<(), BenchError> {
        let ids: Vec<String> = members.iter().map(|member| member.id.clone()).collect();
        let Some(first) = members.first_mut() else {
            return Ok(());
        };
        let request = leave(&first.group, &ids);
        let answer = first.wire.call(&request, LEAVE).await?;
        accepted("LeaveGroup", answer.read()?.error_code)
    }

    /// Its connection and the rest, to go under load.
    pub(crate) fn into_parts(self) -> (Wire, Absent) {
        let absent = Absent {
            group: self.group,
            id: self.id,
        };
        (self.wire, absent)
    }
}

/// A member without its connection.
#[derive(Debug)]
pub(crate) struct Absent {
    group: String,
    id: String,
}

impl Absent {
    /// Leaves over any connection.
    pub(crate) async fn leave(self, wire: &mut Wire) -> Result<(), BenchError> {
        let request = leave(&self.group, std::slice::from_ref(&self.id));
        let answer = wire.call(&request, LEAVE).await?;
        accepted("LeaveGroup", answer.read()?.error_code)
    }
}

fn leave(group: &str, ids: &[String]) -> LeaveGroupRequest<'static> {
    LeaveGroupRequest {
        group_id: group.to_owned().into(),
        members: ids
            .iter()
            .map(|id| MemberIdentity {
                member_id: id.clone().into(),
                ..MemberIdentity::default()
            })
            .collect(),
        ..LeaveGroupRequest::default()
    }
}
