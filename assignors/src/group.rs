//! The group as its leader sees it: members with their subscriptions, topics with partitions and racks. Names are
//! interned once; everything else speaks in indices, so a million partitions cost eight bytes each.
//!
//! Made of what came over the wire, and tidied while it is made: topics without metadata, owned partitions that do not
//! exist and repeated entries are left out, so an assignor meets none of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use crate::assignor::{Assignor, Need};
use crate::order::java_order;
use crate::ownership::recall;

/// A topic of a [`Group`]. Ascending by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicIndex(u32);

/// A member of a [`Group`]. Ascending by member id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberIndex(u32);

/// A rack that members or replicas of a [`Group`] are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RackIndex(u32);

macro_rules! index {
    ($($name:ident),*) => {$(
        impl $name {
            pub(crate) fn at(position: usize) -> Self {
                Self(u32::try_from(position).expect("fewer than four billion, all held in memory"))
            }

            /// Its place in the order of its kind, from 0: for tables beside the group's own.
            #[must_use]
            pub fn position(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

index!(TopicIndex, MemberIndex, RackIndex);

/// A partition of a topic of a [`Group`]. Ascending by topic name, then by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// Its topic.
    pub topic: TopicIndex,
    /// Its number, from 0.
    pub number: i32,
}

/// What is known of a topic, before it is part of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// How many partitions it has. One without any counts as unknown.
    pub partitions: i32,
    /// The racks of each partition's replicas, by partition number. May be shorter; what is missing has no known rack.
    pub racks: Vec<Vec<String>>,
    /// The [lag](Group::lag) of each partition, by partition number. May be shorter; what is missing is not known.
    pub lag: Vec<Option<u64>>,
}

/// What is known of a member, before it is part of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberInfo {
    /// Its member id.
    pub id: String,
    /// Its instance id, if it is static (KIP-345).
    pub instance_id: Option<String>,
    /// Its rack; empty counts as none (KIP-881).
    pub rack: Option<String>,
    /// The topics it subscribes to.
    pub topics: Vec<String>,
    /// What it says it owns: topics and partition numbers.
    pub owned: Vec<(String, Vec<i32>)>,
    /// The generation it owns that in, -1 if it does not say.
    pub generation: i32,
    /// What its assignor sent along.
    pub user_data: Option<Vec<u8>>,
}

impl MemberInfo {
    /// A new dynamic member that owns nothing.
    #[must_use]
    pub fn new<T: Into<String>>(
        id: impl Into<String>,
        topics: impl IntoIterator<Item = T>,
    ) -> Self {
        Self {
            id: id.into(),
            instance_id: None,
            rack: None,
            topics: topics.into_iter().map(Into::into).collect(),
            owned: Vec::new(),
            generation: -1,
            user_data: None,
        }
    }
}

/// A topic that exists and has partitions.
#[derive(Clone, Debug)]
pub struct Topic {
    name: String,
    partitions: i32,
    /// By partition number, ascending and without repetition; empty if no rack of any partition is known.
    racks: Vec<Vec<RackIndex>>,
    /// By partition number; may be shorter.
    lag: Vec<Option<u64>>,
    /// Ascending.
    subscribers: Vec<MemberIndex>,
}

/// A member and what it told the leader of itself.
#[derive(Clone, Debug)]
pub struct Member {
    id: String,
    instance_id: Option<String>,
    rack: Option<RackIndex>,
    topics: Vec<TopicIndex>,
    owned: Vec<Partition>,
    generation: i32,
    user_data: Option<Vec<u8>>,
}

/// A group, ready for an assignor.
#[derive(Clone, Debug)]
pub struct Group {
    topics: Vec<Topic>,
    members: Vec<Member>,
    racks: Vec<String>,
    alike: bool,
}

impl Group {
    /// The group as `assignor` is to see it: [`new`](Self::new), with what members own and since when taken from where this
    /// assignor has them say it ([`Need::Owned`](crate::Need::Owned)), be it user data; without the lag of partitions, if it
    /// does not say that it [needs](crate::Need::Lag) it.
    #[must_use]
    pub fn for_assignor(
        assignor: &dyn Assignor,
        topics: impl IntoIterator<Item = TopicInfo>,
        members: impl IntoIterator<Item = MemberInfo>,
    ) -> Self {
        let members = members.into_iter().map(|mut member| {
            recall(assignor, &mut member);
            member
        });
        let lag = assignor.needs().contains(&Need::Lag);
        let topics = topics.into_iter().map(|mut topic| {
            if !lag {
                topic.lag.clear();
            }
            topic
        });
        Self::new(topics, members)
    }

    /// A group of these members over these topics, whatever their order. Of two topics with one name, or two members
    /// with one id, the later counts.
    #[must_use]
    pub fn new(
        topics: impl IntoIterator<Item = TopicInfo>,
        members: impl IntoIterator<Item = MemberInfo>,
    ) -> Self {
        let mut racks = Racks::default();
        let mut group = Self {
            topics: known_topics(topics, &mut racks),
            members: Vec::new(),
            racks: Vec::new(),
            alike: true,
        };
        // Members repeat the same few names very often.
        let known: HashMap<String, TopicIndex> = group
            .topic_indices()
            .map(|topic| (group.topic(topic).name.clone(), topic))
            .collect();
        let mut infos: Vec<MemberInfo> = members.into_iter().collect();
        infos.sort_by(|left, right| java_order(&left.id, &right.id));
        keep_last(&mut infos, |left, right| left.id == right.id);
        group.alike = alike(&infos);
        let mut last = (Vec::new(), Vec::new());
        for (position, mut info) in infos.into_iter().enumerate() {
            let names = std::mem::take(&mut info.topics);
            // Mostly all subscribe alike.
            if names != last.0 {
                last = (names, Vec::new());
                last.1
                    .extend(last.0.iter().filter_map(|name| known.get(name).copied()));
                last.1.sort_unstable();
                last.1.dedup();
            }
            let member = group.member_of(info, last.1.clone(), &known, &mut racks);
            for topic in &member.topics {
                group.topics[topic.position()]
                    .subscribers
                    .push(MemberIndex::at(position));
            }
            group.members.push(member);
        }
        group.racks = racks.names;
        group
    }

    fn member_of(
        &self,
        info: MemberInfo,
        topics: Vec<TopicIndex>,
        known: &HashMap<String, TopicIndex>,
        racks: &mut Racks,
    ) -> Member {
        let mut owned = Vec::new();
        for (name, numbers) in &info.owned {
            if let Some(&topic) = known.get(name) {
                owned.extend(numbers.iter().map(|&number| Partition { topic, number }));
            }
        }
        owned.retain(|partition| self.exists(*partition));
        owned.sort_unstable();
        owned.dedup();
        Member {
            id: info.id,
            instance_id: info.instance_id,
            rack: info
                .rack
                .filter(|rack| !rack.is_empty())
                .map(|rack| racks.index(rack)),
            topics,
            owned,
            generation: info.generation,
            user_data: info.user_data,
        }
    }

    /// The topics, ascending.
    pub fn topic_indices(&self) -> impl ExactSizeIterator<Item = TopicIndex> + use<> {
        (0..self.topics.len()).map(TopicIndex::at)
    }

    /// The members, ascending by member id.
    pub fn member_indices(&self) -> impl ExactSizeIterator<Item = MemberIndex> + use<> {
        (0..self.members.len()).map(MemberIndex::at)
    }

    /// The topic at `topic`.
    ///
    /// # Panics
    /// If the index is of a larger group; so do all methods that take one.
    #[must_use]
    pub fn topic(&self, topic: TopicIndex) -> &Topic {
        &self.topics[topic.position()]
    }

    /// The member at `member`.
    #[must_use]
    pub fn member(&self, member: MemberIndex) -> &Member {
        &self.members[member.position()]
    }

    /// The name of a rack.
    #[must_use]
    pub fn rack(&self, rack: RackIndex) -> &str {
        &self.racks[rack.position()]
    }

    /// How many racks members or replicas are in.
    #[must_use]
    pub fn rack_count(&self) -> usize {
        self.racks.len()
    }

    /// The topic of this name, if it exists.
    #[must_use]
    pub fn topic_index(&self, name: &str) -> Option<TopicIndex> {
        self.topics
            .binary_search_by(|topic| java_order(&topic.name, name))
            .ok()
            .map(TopicIndex::at)
    }

    /// The member of this id, if there is one.
    #[must_use]
    pub fn member_index(&self, id: &str) -> Option<MemberIndex> {
        self.members
            .binary_search_by(|member| java_order(&member.id, id))
            .ok()
            .map(MemberIndex::at)
    }

    /// The partitions of a topic, ascending.
    pub fn partitions(
        &self,
        topic: TopicIndex,
    ) -> impl ExactSizeIterator<Item = Partition> + use<> {
        let numbers: Range<i32> = 0..self.topic(topic).partitions;
        numbers.map(move |number| Partition { topic, number })
    }

    /// Whether there is such a partition.
    #[must_use]
    pub fn exists(&self, partition: Partition) -> bool {
        self.topics
            .get(partition.topic.position())
            .is_some_and(|topic| (0..topic.partitions).contains(&partition.number))
    }

    /// The members that subscribe to a topic, ascending by member id.
    #[must_use]
    pub fn subscribers(&self, topic: TopicIndex) -> &[MemberIndex] {
        &self.topic(topic).subscribers
    }

    /// Whether all members subscribe to the same names, those that no topic goes by included.
    #[must_use]
    pub fn subscribed_alike(&self) -> bool {
        self.alike
    }

    /// Whether a member subscribes to a topic.
    #[must_use]
    pub fn subscribes(&self, member: MemberIndex, topic: TopicIndex) -> bool {
        self.member(member).topics.binary_search(&topic).is_ok()
    }

    /// The racks of a partition's replicas, ascending; empty where none is known.
    #[must_use]
    pub fn racks_of(&self, partition: Partition) -> &[RackIndex] {
        usize::try_from(partition.number)
            .ok()
            .and_then(|number| self.topic(partition.topic).racks.get(number))
            .map_or(&[], Vec::as_slice)
    }

    /// How many records of a partition the group has not committed: its end offset less the committed one. `None` where
    /// nobody knows: nothing is committed, somebody did not answer in time, or the assignor does not
    /// [need](crate::Need::Lag) it.
    #[must_use]
    pub fn lag(&self, partition: Partition) -> Option<u64> {
        let number = usize::try_from(partition.number).ok()?;
        *self.topic(partition.topic).lag.get(number)?
    }
}

impl Topic {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many partitions it has: at least one.
    #[must_use]
    pub fn partition_count(&self) -> i32 {
        self.partitions
    }
}

impl Member {
    /// Its member id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its instance id, if it is static.
    #[must_use]
    pub fn instance_id(&self) -> Option<&str> {
        self.instance_id.as_deref()
    }

    /// Its rack, if it says one.
    #[must_use]
    pub fn rack(&self) -> Option<RackIndex> {
        self.rack
    }

    /// The topics it subscribes to that exist, ascending.
    #[must_use]
    pub fn topics(&self) -> &[TopicIndex] {
        &self.topics
    }

    /// The partitions it says it owns that exist, ascending. Under the eager protocol empty unless the assignor
    /// [needs](crate::Need::Owned) it. Other members may claim the same; the higher [`generation`](Self::generation) is
    /// right.
    #[must_use]
    pub fn owned(&self) -> &[Partition] {
        &self.owned
    }

    /// The generation it owns them in, -1 if it does not say.
    #[must_use]
    pub fn generation(&self) -> i32 {
        self.generation
    }

    /// What its assignor sent along.
    #[must_use]
    pub fn user_data(&self) -> Option<&[u8]> {
        self.user_data.as_deref()
    }
}

/// Rack names and their indices.
#[derive(Default)]
struct Racks {
    names: Vec<String>,
    known: BTreeMap<String, RackIndex>,
}

impl Racks {
    fn index(&mut self, name: String) -> RackIndex {
        *self.known.entry(name).or_insert_with_key(|name| {
            self.names.push(name.clone());
            RackIndex::at(self.names.len() - 1)
        })
    }
}

fn known_topics(infos: impl IntoIterator<Item = TopicInfo>, racks: &mut Racks) -> Vec<Topic> {
    let mut infos: Vec<TopicInfo> = infos.into_iter().collect();
    infos.sort_by(|left, right| java_order(&left.name, &right.name));
    keep_last(&mut infos, |left, right| left.name == right.name);
    infos.retain(|info| info.partitions > 0);
    infos
        .into_iter()
        .map(|info| Topic {
            name: info.name,
            partitions: info.partitions,
            racks: info
                .racks
                .into_iter()
                .take(usize::try_from(info.partitions).unwrap_or_default())
                .map(|names| {
                    let known = names.into_iter().filter(|name| !name.is_empty());
                    let indices: BTreeSet<_> = known.map(|name| racks.index(name)).collect();
                    indices.into_iter().collect()
                })
                .collect(),
            lag: info.lag,
            subscribers: Vec::new(),
        })
        .collect()
}

fn alike(members: &[MemberInfo]) -> bool {
    let Some((first, others)) = members.split_first() else {
        return true;
    };
    let names: BTreeSet<&String> = first.topics.iter().collect();
    // Mostly they come in the same order.
    others.iter().all(|other| {
        other.topics == first.topics || other.topics.iter().collect::<BTreeSet<_>>() == names
    })
}

/// Of equal neighbours keeps the last.
fn keep_last<T>(sorted: &mut Vec<T>, equal: impl Fn(&T, &T) -> bool) {
    sorted.reverse();
    sorted.dedup_by(|later, kept| equal(later, kept));
    sorted.reverse();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assignor::{AssignError, Assignment, RebalanceProtocol};
    use crate::plan::Plan;

    fn topic(name: &str, partitions: i32) -> TopicInfo {
        TopicInfo {
            name: name.to_owned(),
            partitions,
            ..TopicInfo::default()
        }
    }

    #[test]
    fn what_does_not_exist_is_left_out() {
        let mut member = MemberInfo::new("one", ["ghost", "orders", "orders", "empty"]);
        member.owned = vec![
            ("orders".to_owned(), vec![2, 1, 1, 3, -1]),
            ("ghost".to_owned(), vec![0]),
        ];
        member.rack = Some(String::new());
        let group = Group::new([topic("orders", 3), topic("empty", 0)], [member]);
        let orders = group.topic_index("orders").unwrap();
        let one = group.member_index("one").unwrap();
        let member = group.member(one);
        assert_eq!(group.topic_indices().len(), 1);
        assert_eq!(member.topics(), [orders]);
        assert_eq!(member.rack(), None);
        let owned: Vec<_> = member.owned().iter().map(|owned| owned.number).collect();
        assert_eq!(owned, [1, 2]);
        assert_eq!(group.subscribers(orders), [one]);
    }

    #[test]
    fn the_later_of_two_entries_counts() {
        let first = MemberInfo::new("one", ["a"]);
        let second = MemberInfo::new("one", ["b"]);
        let group = Group::new(
            [topic("a", 9), topic("a", 1), topic("b", 1)],
            [first, second],
        );
        let a = group.topic_index("a").unwrap();
        assert_eq!(group.topic(a).partition_count(), 1);
        assert_eq!(group.member_indices().len(), 1);
        assert!(group.subscribers(a).is_empty());
    }

    #[test]
    fn subscriptions_are_alike_by_name_whatever_exists() {
        let alike = |topics: [&[&str]; 2]| {
            let members = ["one", "two"].into_iter().zip(topics);
            let members = members.map(|(id, names)| MemberInfo::new(id, names.iter().copied()));
            Group::new([topic("a", 1)], members).subscribed_alike()
        };
        assert!(alike([&["a", "ghost"], &["ghost", "a", "a"]]));
        assert!(!alike([&["a", "ghost"], &["a"]]));
        assert!(!alike([&[], &["a"]]));
        assert!(alike([&[], &[]]));
    }

    /// What the subscription says and what user data says, read for an assignor of each kind.
    #[test]
    fn what_members_own_comes_from_where_their_assignor_says_it() {
        struct Needs(&'static [RebalanceProtocol], &'static [Need]);
        impl Assignor for Needs {
            fn name(&self) -> &str {
                "needs"
            }
            fn protocols(&self) -> &[RebalanceProtocol] {
                self.0
            }
            fn needs(&self) -> &[Need] {
                self.1
            }
            fn assign(&self, group: &Group) -> Result<Plan, AssignError> {
                Ok(Plan::new(group))
            }
        }
        const EAGER: &[RebalanceProtocol] = &[RebalanceProtocol::Eager];
        const BOTH: &[RebalanceProtocol] =
            &[RebalanceProtocol::Eager, RebalanceProtocol::Cooperative];
        let last = Assignment {
            partitions: BTreeMap::from([("orders".to_owned(), vec![1])]),
            generation: 4,
            user_data: None,
        };
        let told = Needs(EAGER, &[Need::Owned]).user_data(&BTreeSet::new(), Some(&last));
        let seen = |assignor: Needs, generation, user_data| {
            let mut info = MemberInfo::new("one", ["orders"]);
            info.owned = vec![("orders".to_owned(), vec![0])];
            info.generation = generation;
            info.user_data = user_data;
            let group = Group::for_assignor(&assignor, [topic("orders", 2)], [info]);
            let member = group.member(group.member_indices().next().unwrap());
            let numbers: Vec<i32> = member.owned().iter().map(|one| one.number).collect();
            (numbers, member.generation())
        };
        const OWNED: &[Need] = &[Need::Owned];
        assert_eq!(seen(Needs(EAGER, OWNED), 9, told.clone()), (vec![1], 4));
        assert_eq!(seen(Needs(EAGER, OWNED), 9, None), (vec![], -1));
        assert_eq!(seen(Needs(EAGER, &[]), 9, told), (vec![0], 9));
        let four = || Some(5_i32.to_be_bytes().to_vec());
        assert_eq!(seen(Needs(BOTH, OWNED), 9, four()), (vec![0], 9));
        assert_eq!(seen(Needs(BOTH, OWNED), -1, four()), (vec![0], 5));
        assert_eq!(seen(Needs(BOTH, OWNED), -1, None), (vec![0], -1));
    }

    #[test]
    fn the_lag_is_for_those_who_say_that_they_need_it() {
        struct Needs(&'static [Need]);
        impl Assignor for Needs {
            fn name(&self) -> &str {
                "needs"
            }
            fn needs(&self) -> &[Need] {
                self.0
            }
            fn assign(&self, group: &Group) -> Result<Plan, AssignError> {
                Ok(Plan::new(group))
            }
        }
        let lags = |needs| {
            let mut orders = topic("orders", 3);
            orders.lag = vec![Some(7), None];
            let group = Group::for_assignor(&Needs(needs), [orders], []);
            let orders = group.topic_index("orders").unwrap();
            [0, 1, 2, 3, -1].map(|number| {
                group.lag(Partition {
                    topic: orders,
                    number,
                })
            })
        };
        assert_eq!(lags(&[Need::Lag]), [Some(7), None, None, None, None]);
        assert_eq!(lags(&[Need::Owned]), [None; 5]);
    }

    #[test]
    fn racks_are_known_by_name_on_both_sides() {
        let mut info = topic("orders", 3);
        let racks = [vec!["b", "a", "b"], vec!["", "c"]];
        info.racks = racks
            .map(|names| names.into_iter().map(str::to_owned).collect())
            .to_vec();
        let mut member = MemberInfo::new("one", ["orders"]);
        member.rack = Some("a".to_owned());
        let group = Group::new([info], [member]);
        let orders = group.topic_index("orders").unwrap();
        let names = |number| -> Vec<&str> {
            let partition = Partition {
                topic: orders,
                number,
            };
            let racks = group.racks_of(partition).iter();
            racks.map(|rack| group.rack(*rack)).collect()
        };
        let mut first = names(0);
        first.sort_unstable();
        assert_eq!(first, ["a", "b"]);
        assert_eq!(names(1), ["c"]);
        assert!(names(2).is_empty());
        let rack = group.member(group.member_index("one").unwrap()).rack();
        assert_eq!(rack.map(|rack| group.rack(rack)), Some("a"));
    }
}
