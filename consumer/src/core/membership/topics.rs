//! What a change of metadata means to a member: the leader's plan may be out of date, and partitions whose topic was
//! deleted are nobody's any more, whatever the assignment says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use callboard_client::TopicPartition;
use callboard_protocol::Uuid;

use super::{AfterRevoke, Effect, LossCause, Membership, Reason, State};

/// A topic as metadata has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicView {
    /// Its id; all zero from brokers that do not say.
    pub id: Uuid,
    /// How many partitions it has.
    pub partitions: i32,
    /// Tells one placement of replicas over racks from another; 0 for a member without a rack (KIP-881).
    pub racks: u64,
}

impl TopicView {
    /// Whether it is the same topic, and not another one of the same name.
    pub(in crate::core) fn is_same(&self, other: &Self) -> bool {
        self.id == other.id || self.id == Uuid::ZERO || other.id == Uuid::ZERO
    }
}

/// The topics that there are, by name.
pub type Topics = BTreeMap<String, TopicView>;

impl Membership {
    /// [`Input::MetadataChanged`](super::Input::MetadataChanged). What it means to the leader's plan is looked at when the
    /// member is stable: a change that comes while the plan is made, or on its way, is one all the same.
    pub(super) fn metadata_changed(
        &mut self,
        now: Duration,
        topics: Topics,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(before) = self.heard.replace(topics.clone()) {
            let gone = before
                .iter()
                .filter(|(name, view)| topics.get(*name).is_none_or(|now| !now.is_same(view)))
                .map(|(name, _)| name.as_str())
                .collect();
            self.topics_gone(now, &gone, effects);
        }
        self.topics_back(now, &topics, effects);
    }

    /// Positions in a deleted topic are void, and must not be committed: if it was created again by now, they would be
    /// taken for positions in that one.
    fn topics_gone(&mut self, now: Duration, gone: &BTreeSet<&str>, effects: &mut Vec<Effect>) {
        let ours = gone
            .iter()
            .filter(|name| self.config.topics.contains(**name));
        let ours: Vec<_> = ours.map(|name| ((*name).to_owned(), false)).collect();
        self.reborn.extend(ours);
        let is_gone = |one: &TopicPartition| gone.contains(&*one.topic);
        let mut lost: BTreeSet<_> = self
            .owned
            .iter()
            .filter(|one| is_gone(one))
            .cloned()
            .collect();
        self.owned.retain(|one| !is_gone(one));
        self.void.extend(lost.iter().cloned());
        let mut released = None;
        if let State::Revoking {
            ticket,
            partitions,
            then,
            ..
        } = &mut self.state
        {
            lost.extend(partitions.iter().filter(|one| is_gone(one)).cloned());
            partitions.retain(|one| !is_gone(one));
            released = partitions.is_empty().then_some(*ticket);
            if let AfterRevoke::Apply { assigned } = then {
                let gone = assigned.iter().filter(|one| is_gone(one));
                self.void.extend(gone.cloned());
                assigned.retain(|one| !is_gone(one));
            }
        }
        if lost.is_empty() {
            return;
        }
        effects.push(Effect::Lose {
            partitions: lost,
            cause: LossCause::TopicGone,
        });
        if let Some(ticket) = released {
            // A revocation that has lost everything is not answered.
            self.revoked(now, ticket, effects);
        }
    }

    /// The leader may not have noticed that a topic was away; what it gave us of it is ours again.
    fn topics_back(&mut self, now: Duration, topics: &Topics, effects: &mut Vec<Effect>) {
        if self.state != State::Stable || self.rejoin.is_some() || self.plan_is_outdated() {
            return;
        }
        let is_there = |one: &TopicPartition| {
            let view = topics.get(&*one.topic);
            view.is_some_and(|view| one.partition < view.partitions)
        };
        let back: Vec<_> = self
            .void
            .iter()
            .filter(|one| is_there(one))
            .cloned()
            .collect();
        if back.is_empty() {
            return;
        }
        self.void.retain(|one| !is_there(one));
        self.reason = Reason::TopicBack;
        let owned = self.owned.iter().cloned().chain(back).collect();
        self.apply(now, owned, effects);
    }

    /// JoinGroup is sent: which of the topics that were deleted are there by now.
    pub(super) fn note_reborn(&mut self) {
        for (topic, is_back) in &mut self.reborn {
            *is_back = (self.heard.as_ref()).is_some_and(|heard| heard.contains_key(topic));
        }
    }

    /// Which of the partitions `added` begin at their first record. It holds for one assignment of a topic: other
    /// partitions of it are somebody else's from then on, and what is committed of them is what was consumed.
    pub(super) fn take_reborn(
        &mut self,
        added: &BTreeSet<TopicPartition>,
    ) -> BTreeSet<TopicPartition> {
        let is_reborn = |one: &&TopicPartition| self.reborn.contains_key(&*one.topic);
        let reborn: BTreeSet<_> = added.iter().filter(is_reborn).cloned().collect();
        let void = &self.void;
        self.reborn.retain(|topic, is_back| {
            let is_of = |one: &TopicPartition| *one.topic == **topic;
            // Given to us already, and not there yet.
            void.iter().any(is_of) || !(*is_back || reborn.iter().any(is_of))
        });
        reborn
    }

    /// Leader: whether the topics are other ones than the plan was made over, as far as was heard.
    pub(super) fn plan_is_outdated(&self) -> bool {
        let (true, Some(planned), Some(heard)) = (self.leader, &self.planned_over, &self.heard)
        else {
            return false;
        };
        // A topic that is gone has no partitions, like one that is not there yet.
        let matters = |view: &TopicView| (view.partitions, view.racks);
        planned
            .iter()
            .any(|(topic, planned)| heard.get(topic).map_or((0, 0), matters) != matters(planned))
    }
}
