//! Random groups, small enough to read and odd enough to matter: racks, static members, contradicting claims, topics
//! that are gone, and user data that no assignor wrote; and large ones.

use crate::assignor::{Assignment, Assignor, RebalanceProtocol};
use crate::group::{Group, MemberInfo, TopicInfo};
use crate::plan::Plan;

const TOPICS_MAX: u64 = 5;
const PARTITIONS_MAX: u64 = 12;
const MEMBERS_MAX: u64 = 8;
const RACKS: [&str; 4] = ["a", "b", "c", "d"];
/// The generation most members are in.
const GENERATION: i32 = 7;

/// How large a large group is.
struct Large {
    topics: usize,
    partitions: i32,
    members: usize,
}

const LARGE: Large = Large {
    topics: 20,
    partitions: 1_000,
    members: 200,
};

/// SplitMix64: small, and the same everywhere.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64, number: u64) -> Self {
        let mut random = Self(seed);
        let start = random.next() ^ number.wrapping_mul(0x2545_f491_4f6c_dd1d);
        Self(start)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True once in `times`.
    pub(super) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last as u64 + 1) as usize;
            items.swap(last, other);
        }
    }

    pub(super) fn topics(&mut self) -> Vec<TopicInfo> {
        let racks = self.once_in(2);
        (0..self.below(TOPICS_MAX + 1))
            .map(|number| {
                let partitions = self.below(PARTITIONS_MAX + 1) as i32;
                let replicas = self.below(3) + 1;
                TopicInfo {
                    name: format!("topic{number}"),
                    partitions,
                    racks: if racks {
                        (0..partitions).map(|_| self.racks(replicas)).collect()
                    } else {
                        Vec::new()
                    },
                    lag: (0..partitions).map(|_| self.lag()).collect(),
                }
            })
            .collect()
    }

    /// Mostly a few records, sometimes more than a sum of them holds, sometimes unknown.
    fn lag(&mut self) -> Option<u64> {
        match self.below(8) {
            0 => None,
            1 => Some(i64::MAX as u64),
            _ => Some(self.below(1_000)),
        }
    }

    fn racks(&mut self, replicas: u64) -> Vec<String> {
        (0..replicas)
            .map(|_| RACKS[self.below(RACKS.len() as u64) as usize].to_owned())
            .collect()
    }

    pub(super) fn members(
        &mut self,
        topics: &[TopicInfo],
        assignor: &dyn Assignor,
    ) -> Vec<MemberInfo> {
        let alike = self.once_in(2);
        let racks = self.once_in(2);
        let mut members: Vec<MemberInfo> = (0..self.below(MEMBERS_MAX) + 1)
            .map(|number| {
                let mut member = MemberInfo::new(
                    format!("member-{}-{number}", self.below(100)),
                    self.subscription(topics, alike),
                );
                member.instance_id = self.once_in(4).then(|| format!("instance-{number}"));
                member.rack = (racks && !self.once_in(4)).then(|| self.racks(1).remove(0));
                member
            })
            .collect();
        if self.once_in(2) {
            self.hand_out(topics, &mut members);
        }
        for member in &mut members {
            member.user_data = user_data(member, assignor);
        }
        members
    }

    fn subscription(&mut self, topics: &[TopicInfo], alike: bool) -> Vec<String> {
        let mut names: Vec<String> = topics
            .iter()
            .filter(|_| alike || !self.once_in(3))
            .map(|topic| topic.name.clone())
            .collect();
        if !alike && self.once_in(6) {
            names.push("gone".to_owned());
        }
        names
    }

    /// Lets members own something, mostly without contradiction.
    fn hand_out(&mut self, topics: &[TopicInfo], members: &mut [MemberInfo]) {
        for member in members.iter_mut() {
            member.generation = match self.below(6) {
                0 => GENERATION - 1,
                1 => -1,
                _ => GENERATION,
            };
        }
        for topic in topics {
            // One more than exists: topics are made again with fewer partitions.
            for number in 0..=topic.partitions {
                let claims = if self.once_in(8) { 2 } else { 1 };
                for _claim in 0..claims {
                    let member = self.below(members.len() as u64) as usize;
                    let member = &mut members[member];
                    if !self.once_in(5) {
                        member.owned.push((topic.name.clone(), vec![number]));
                    }
                }
            }
        }
    }

    /// What no assignor wrote, in place of what this one did.
    pub(super) fn hostile(&mut self, own: Option<Vec<u8>>) -> Option<Vec<u8>> {
        let mut own = own.unwrap_or_default();
        match self.below(7) {
            0 => return None,
            1 => own.clear(),
            2 => own.truncate(self.below(own.len() as u64 + 1) as usize),
            3 => own = vec![0xff; self.below(40) as usize],
            // A count, or a length, of more than there is.
            4 => own = [&[0x7f, 0xff, 0xff, 0xff], own.as_slice()].concat(),
            5 => own.resize(own.len() + (1 << 16), self.next() as u8),
            _ => own = (0..self.below(40)).map(|_| self.next() as u8).collect(),
        }
        Some(own)
    }
}

/// A large group, of members that own nothing yet.
pub(super) fn large(alike: bool, assignor: &dyn Assignor) -> (Vec<TopicInfo>, Vec<MemberInfo>) {
    let topics: Vec<TopicInfo> = (0..LARGE.topics)
        .map(|number| TopicInfo {
            name: format!("topic{number:03}"),
            partitions: LARGE.partitions,
            lag: (0..LARGE.partitions)
                .map(|one| Some(one as u64 % 101))
                .collect(),
            ..TopicInfo::default()
        })
        .collect();
    let members = (0..LARGE.members).map(|number| {
        let skipped = (!alike).then_some(number % LARGE.topics);
        let names = topics.iter().enumerate();
        let names = names.filter(|(place, _)| Some(*place) != skipped);
        let names = names.map(|(_, topic)| topic.name.clone());
        let mut member = MemberInfo::new(format!("member-{number:04}"), names);
        member.user_data = user_data(&member, assignor);
        member
    });
    let members = members.collect();
    (topics, members)
}

pub(super) fn user_data(member: &MemberInfo, assignor: &dyn Assignor) -> Option<Vec<u8>> {
    let mut last = Assignment {
        generation: member.generation,
        ..Assignment::default()
    };
    for (topic, numbers) in &member.owned {
        let partitions = last.partitions.entry(topic.clone()).or_default();
        partitions.extend(numbers);
        partitions.sort_unstable();
    }
    let topics = member.topics.iter().cloned().collect();
    let joined_before = member.generation >= 0;
    assignor.user_data(&topics, joined_before.then_some(&last))
}

/// Members take what `plan` gives them, and say so in the next generation.
pub(super) fn take_on(
    members: &mut [MemberInfo],
    group: &Group,
    plan: &Plan,
    protocol: RebalanceProtocol,
    assignor: &dyn Assignor,
) {
    let generation = members.iter().map(|member| member.generation).max();
    let generation = generation.unwrap_or(-1).max(0) + 1;
    for member in members {
        let Some(index) = group.member_index(&member.id) else {
            continue;
        };
        member.generation = generation;
        let name = |(topic, numbers)| (group.topic(topic).name().to_owned(), numbers);
        member.owned = plan.by_topic(index).into_iter().map(name).collect();
        member.user_data = user_data(member, assignor);
        if protocol == RebalanceProtocol::Eager {
            member.owned.clear();
        }
    }
}
