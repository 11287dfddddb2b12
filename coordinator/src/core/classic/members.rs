//! The members of one group in the order they joined, found by id and by instance id. Keeps count of what would else be
//! counted at every join: who waits for the join phase to end, and who lists which protocol.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use callboard_protocol::ErrorCode;

use super::votes::{Protocol, Votes};
use crate::core::input::RequestId;
use crate::core::timers::Timer;
use crate::request::JoinProtocol;

/// A member's place in its group: the order of joining, kept when a static member's process is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::core) struct Seq(u64);

/// The request of a member that waits for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::core) enum Parked {
    Nothing,
    /// Until the join phase ends. A newcomer does not know its id, or has not yet used it: its silence is measured by
    /// its patience and not by its session (KAFKA-7610).
    Join {
        request: RequestId,
        newcomer: bool,
    },
    /// Until the plan is durable.
    Sync {
        request: RequestId,
    },
}

/// One member.
#[derive(Debug)]
pub(in crate::core) struct Member {
    pub(in crate::core) id: Arc<str>,
    pub(in crate::core) instance_id: Option<Arc<str>>,
    /// Of the process that first joined: a static member keeps it.
    pub(in crate::core) client_id: Arc<str>,
    pub(in crate::core) client_host: Arc<str>,
    pub(in crate::core) session_timeout_ms: i32,
    pub(in crate::core) rebalance_timeout_ms: i32,
    /// Changed by [`Members::set_protocols`] alone.
    protocols: Vec<Protocol>,
    pub(in crate::core) assignment: Bytes,
    /// Changed by [`Members::park`] alone.
    parked: Parked,
    pub(in crate::core) session: Timer,
}

impl Member {
    pub(in crate::core) fn new(
        id: Arc<str>,
        instance_id: Option<Arc<str>>,
        protocols: Vec<Protocol>,
    ) -> Self {
        Self {
            id,
            instance_id,
            client_id: Arc::from(""),
            client_host: Arc::from(""),
            session_timeout_ms: 0,
            rebalance_timeout_ms: 0,
            protocols,
            assignment: Bytes::new(),
            parked: Parked::Nothing,
            session: Timer::default(),
        }
    }

    pub(in crate::core) fn parked(&self) -> Parked {
        self.parked
    }

    pub(in crate::core) fn has_joined(&self) -> bool {
        matches!(self.parked, Parked::Join { .. })
    }

    pub(in crate::core) fn protocols(&self) -> &[Protocol] {
        &self.protocols
    }

    /// Its metadata for a protocol; empty if it does not list it.
    pub(in crate::core) fn metadata(&self, protocol: &str) -> Bytes {
        let listed = self
            .protocols
            .iter()
            .find(|listed| listed.name.as_ref() == protocol);
        listed
            .map(|protocol| protocol.metadata.clone())
            .unwrap_or_default()
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(in crate::core) struct Members {
    by_seq: BTreeMap<Seq, Member>,
    by_id: BTreeMap<Arc<str>, Seq>,
    by_instance: BTreeMap<Arc<str>, Seq>,
    joined: u64,
    /// How many have a JoinGroup parked.
    parked_joins: usize,
    votes: Votes,
}

impl Members {
    pub(in crate::core) const fn new() -> Self {
        Self {
            by_seq: BTreeMap::new(),
            by_id: BTreeMap::new(),
            by_instance: BTreeMap::new(),
            joined: 0,
            parked_joins: 0,
            votes: Votes::new(),
        }
    }

    pub(in crate::core) fn len(&self) -> usize {
        self.by_seq.len()
    }

    pub(in crate::core) fn is_empty(&self) -> bool {
        self.by_seq.is_empty()
    }

    pub(in crate::core) fn parked_joins(&self) -> usize {
        self.parked_joins
    }

    pub(in crate::core) fn iter(&self) -> impl ExactSizeIterator<Item = (Seq, &Member)> {
        self.by_seq.iter().map(|(seq, member)| (*seq, member))
    }

    pub(in crate::core) fn seqs(&self) -> Vec<Seq> {
        self.by_seq.keys().copied().collect()
    }

    pub(in crate::core) fn get(&self, seq: Seq) -> Option<&Member> {
        self.by_seq.get(&seq)
    }

    pub(in crate::core) fn get_mut(&mut self, seq: Seq) -> Option<&mut Member> {
        self.by_seq.get_mut(&seq)
    }

    pub(in crate::core) fn find(&self, id: &str) -> Option<Seq> {
        self.by_id.get(id).copied()
    }

    pub(in crate::core) fn find_instance(&self, instance_id: &str) -> Option<Seq> {
        self.by_instance.get(instance_id).copied()
    }

    /// Who speaks: an instance id that is sent is looked at first (KIP-345).
    pub(in crate::core) fn identify(
        &self,
        id: &str,
        instance_id: Option<&str>,
    ) -> Result<Seq, ErrorCode> {
        if let Some(instance_id) = instance_id {
            let seq = self
                .find_instance(instance_id)
                .ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
            if self.get(seq).is_none_or(|member| member.id.as_ref() != id) {
                return Err(ErrorCode::FENCED_INSTANCE_ID);
            }
        }
        self.find(id).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)
    }

    /// The ids must be new to the group.
    pub(in crate::core) fn insert(&mut self, member: Member) -> Seq {
        debug_assert!(
            self.find(&member.id).is_none(),
            "a member id is given out once"
        );
        debug_assert_eq!(member.parked, Parked::Nothing);
        let seq = Seq(self.joined);
        self.joined += 1;
        self.votes.add(&member.protocols);
        self.by_id.insert(Arc::clone(&member.id), seq);
        if let Some(instance_id) = &member.instance_id {
            self.by_instance.insert(Arc::clone(instance_id), seq);
        }
        self.by_seq.insert(seq, member);
        seq
    }

    pub(in crate::core) fn remove(&mut self, seq: Seq) -> Option<Member> {
        let member = self.by_seq.remove(&seq)?;
        self.by_id.remove(&member.id);
        if let Some(instance_id) = &member.instance_id {
            self.by_instance.remove(instance_id);
        }
        self.votes.remove(&member.protocols);
        self.parked_joins -= usize::from(member.has_joined());
        Some(member)
    }

    /// Gives a static member's place to its next process.
    pub(in crate::core) fn rename(&mut self, seq: Seq, id: Arc<str>) {
        if let Some(member) = self.by_seq.get_mut(&seq) {
            self.by_id.remove(&member.id);
            self.by_id.insert(Arc::clone(&id), seq);
            member.id = id;
        }
    }

    /// Parks a request, or takes it back with `Nothing`. Gives what was parked.
    pub(in crate::core) fn park(&mut self, seq: Seq, parked: Parked) -> Parked {
        let Some(member) = self.by_seq.get_mut(&seq) else {
            return Parked::Nothing;
        };
        self.parked_joins -= usize::from(member.has_joined());
        let before = std::mem::replace(&mut member.parked, parked);
        self.parked_joins += usize::from(member.has_joined());
        before
    }

    /// The list of a member in the group's words; see [`Votes::adopt`].
    pub(in crate::core) fn adopt(&self, listed: Vec<JoinProtocol>) -> Vec<Protocol> {
        self.votes.adopt(listed)
    }

    /// Gives what the member listed before.
    pub(in crate::core) fn set_protocols(
        &mut self,
        seq: Seq,
        protocols: Vec<Protocol>,
    ) -> Vec<Protocol> {
        let Some(member) = self.by_seq.get_mut(&seq) else {
            return Vec::new();
        };
        self.votes.add(&protocols);
        let before = std::mem::replace(&mut member.protocols, protocols);
        self.votes.remove(&before);
        before
    }

    /// Whether all members list one of these; where nobody is left, whether it lists any.
    pub(in crate::core) fn share(&self, listed: &[JoinProtocol]) -> bool {
        match self.len() {
            0 => !listed.is_empty(),
            members => self.votes.any_common(members, listed),
        }
    }

    /// The protocol the members choose; none if there are none.
    pub(in crate::core) fn elect_protocol(&self) -> Option<Arc<str>> {
        self.votes
            .elect(self.by_seq.values().map(Member::protocols))
    }

    /// The longest of the members' rebalance timeouts. Clients send anything: a negative one counts as zero.
    pub(in crate::core) fn rebalance_timeout_ms(&self) -> u64 {
        let longest = self
            .by_seq
            .values()
            .map(|member| member.rebalance_timeout_ms)
            .max();
        longest
            .and_then(|longest| u64::try_from(longest).ok())
            .unwrap_or(0)
    }
}
