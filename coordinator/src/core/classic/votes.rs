//! Which protocols the members of a group share, kept as they come and go, and which one they choose.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use callboard_offsets::java_hash;

use crate::request::JoinProtocol;

/// A protocol as a member listed it. The name is shared by all members that list it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::core) struct Protocol {
    pub(in crate::core) name: Arc<str>,
    pub(in crate::core) metadata: Bytes,
}

/// Whether these are the protocols of that list: names, order and bytes, a name listed twice counting once.
pub(in crate::core) fn lists(protocols: &[Protocol], listed: &[JoinProtocol]) -> bool {
    let is = |protocol: &Protocol, listed: &JoinProtocol| {
        protocol.name.as_ref() == listed.name && protocol.metadata == listed.metadata
    };
    if protocols.len() == listed.len() {
        return protocols
            .iter()
            .zip(listed)
            .all(|(protocol, listed)| is(protocol, listed));
    }
    let adopted = Votes::default().adopt(listed.to_vec());
    protocols == adopted
}

/// How many members list each protocol.
#[derive(Debug, Default)]
pub(in crate::core) struct Votes {
    supporters: BTreeMap<Arc<str>, usize>,
}

impl Votes {
    pub(in crate::core) const fn new() -> Self {
        Self {
            supporters: BTreeMap::new(),
        }
    }

    /// The list of a member in our words: shared names, and a protocol listed twice counts once, as it was listed first.
    /// (In Kafka 4.2.0 such a member breaks the vote of its group.)
    pub(in crate::core) fn adopt(&self, listed: Vec<JoinProtocol>) -> Vec<Protocol> {
        let mut protocols: Vec<Protocol> = Vec::with_capacity(listed.len());
        let mut seen = std::collections::BTreeSet::new();
        for protocol in listed {
            let name = match self.supporters.get_key_value(protocol.name.as_str()) {
                Some((known, _)) => Arc::clone(known),
                None => Arc::from(protocol.name),
            };
            if seen.insert(Arc::clone(&name)) {
                protocols.push(Protocol {
                    name,
                    metadata: protocol.metadata,
                });
            }
        }
        protocols
    }

    pub(in crate::core) fn add(&mut self, protocols: &[Protocol]) {
        for protocol in protocols {
            *self
                .supporters
                .entry(Arc::clone(&protocol.name))
                .or_default() += 1;
        }
    }

    pub(in crate::core) fn remove(&mut self, protocols: &[Protocol]) {
        for protocol in protocols {
            if let Some(supporters) = self.supporters.get_mut(&protocol.name) {
                *supporters -= 1;
                if *supporters == 0 {
                    self.supporters.remove(&protocol.name);
                }
            }
        }
    }

    /// Whether all `members` list one of `listed`.
    pub(in crate::core) fn any_common(&self, members: usize, listed: &[JoinProtocol]) -> bool {
        listed
            .iter()
            .any(|protocol| self.is_common(members, &protocol.name))
    }

    fn is_common(&self, members: usize, name: &str) -> bool {
        self.supporters.get(name) == Some(&members)
    }

    /// Each member votes for the first it lists of those that all list; the most votes win, and of equals whose name comes
    /// first in Kafka's map of votes. None if nothing is common.
    pub(in crate::core) fn elect<'a>(
        &self,
        lists: impl ExactSizeIterator<Item = &'a [Protocol]>,
    ) -> Option<Arc<str>> {
        let members = lists.len();
        // How many, and which of the members was the first.
        let mut votes: BTreeMap<&'a Arc<str>, (usize, usize)> = BTreeMap::new();
        for (voter, list) in lists.enumerate() {
            if let Some(choice) = list
                .iter()
                .find(|protocol| self.is_common(members, &protocol.name))
            {
                votes.entry(&choice.name).or_insert((0, voter)).0 += 1;
            }
        }
        let names = votes.len();
        let rank = |name: &str, (count, first): (usize, usize)| {
            (std::cmp::Reverse(count), place(name, names), first)
        };
        let winner = votes.iter().min_by_key(|(name, votes)| rank(name, **votes));
        winner.map(|(name, _)| Arc::clone(name))
    }
}

/// Where a Java HashMap of `names` keys has this one when it is gone through: 16 places, and twice as many each time three
/// quarters of them are passed. Within one place Kafka itself is random, as the order of its members is; here the name that
/// an earlier member voted for comes first.
fn place(name: &str, names: usize) -> u32 {
    let mut places: u32 = 16;
    while names > places as usize / 4 * 3 {
        places *= 2;
    }
    let hash = java_hash(name).cast_unsigned();
    (hash ^ (hash >> 16)) & (places - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(names: &[&str]) -> Vec<JoinProtocol> {
        let protocol = |name: &&str| JoinProtocol {
            name: (*name).to_owned(),
            metadata: Bytes::new(),
        };
        names.iter().map(protocol).collect()
    }

    fn elect(members: &[&[&str]]) -> Option<String> {
        let mut votes = Votes::default();
        let lists: Vec<_> = members
            .iter()
            .map(|names| votes.adopt(listed(names)))
            .collect();
        for list in &lists {
            votes.add(list);
        }
        let chosen = votes.elect(lists.iter().map(Vec::as_slice));
        for list in &lists {
            votes.remove(list);
        }
        assert!(votes.supporters.is_empty());
        chosen.map(|name| name.to_string())
    }

    #[test]
    fn the_most_votes_win_among_what_all_know() {
        assert_eq!(
            elect(&[&["range", "coop"], &["coop"]]).as_deref(),
            Some("coop")
        );
        assert_eq!(
            elect(&[&["a", "b"], &["b", "a"], &["b", "a", "c"]]).as_deref(),
            Some("b")
        );
        assert_eq!(elect(&[&["a"], &["b"]]), None);
    }

    #[test]
    fn of_equals_the_first_in_javas_map_wins() {
        // As Apache Kafka 4.2.0 chose, six times of six, whoever came first.
        let (range, sticky): (&[_], &[_]) = (&["range", "sticky"], &["sticky", "range"]);
        assert_eq!(elect(&[range, sticky]).as_deref(), Some("sticky"));
        assert_eq!(elect(&[sticky, range]).as_deref(), Some("sticky"));
        // A third vote ends the tie.
        assert_eq!(elect(&[range, sticky, range]).as_deref(), Some("range"));
        let of_equals = |one: &'static str, other: &'static str| {
            elect(&[&[one, other], &[other, one]]).unwrap()
        };
        assert_eq!(of_equals("roundrobin", "range"), "range");
        assert_eq!(of_equals("cooperative-sticky", "roundrobin"), "roundrobin");
        assert_eq!(of_equals("cooperative-sticky", "sticky"), "sticky");
        // One place of the 16 for both: whom the earlier member wants.
        assert_eq!(of_equals("a", "q"), "a");
        assert_eq!(of_equals("q", "a"), "q");
    }

    #[test]
    fn names_have_the_places_of_a_java_map() {
        let names = ["sticky", "range", "roundrobin", "cooperative-sticky"];
        assert_eq!(names.map(|name| place(name, 2)), [8, 9, 10, 15]);
        assert_eq!(names.map(|name| place(name, 12)), [8, 9, 10, 15]);
        // The thirteenth name doubles the places.
        assert_eq!(names.map(|name| place(name, 13)), [24, 9, 10, 15]);
        // "polygenelubricants" has the smallest hash of all: spread, its upper half counts too.
        assert_eq!(java_hash("polygenelubricants"), i32::MIN);
        assert_eq!(place("polygenelubricants", 1), 0);
        assert_eq!(place("", 1), 0);
    }

    #[test]
    fn a_protocol_listed_twice_counts_once() {
        assert_eq!(elect(&[&["a", "a"], &["b", "a"]]).as_deref(), Some("a"));
    }
}
