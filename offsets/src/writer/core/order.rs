//! Who waits for whose appends. A read of a group runs when the appends of that group sent before it have settled, and
//! before those sent after it are applied; a change of a group waits the same way and holds back what comes behind it.
//! Pure; `W` is whatever waits.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::AppendNumber;

/// See the module.
#[derive(Debug)]
pub(crate) struct Order<W> {
    /// The youngest unsettled append of each group that has one.
    last: BTreeMap<Arc<str>, AppendNumber>,
    /// The youngest append of all.
    newest: AppendNumber,
    /// The oldest unsettled is the one behind it.
    settled: AppendNumber,
    /// Reads, by the append they wait for.
    reads: BTreeMap<AppendNumber, Vec<W>>,
    /// Groups with a change that waits, and everything of the group behind it, in order.
    held: BTreeMap<Arc<str>, VecDeque<W>>,
}

impl<W> Default for Order<W> {
    fn default() -> Self {
        Self {
            last: BTreeMap::new(),
            newest: AppendNumber(0),
            settled: AppendNumber(0),
            reads: BTreeMap::new(),
            held: BTreeMap::new(),
        }
    }
}

/// What became free.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Released<W> {
    /// Reads that run now.
    pub(crate) reads: Vec<W>,
    /// A group's change and what stood behind it, to be taken in again in order.
    pub(crate) held: VecDeque<W>,
}

impl<W> Order<W> {
    /// An append of `group` was submitted.
    pub(crate) fn submitted(&mut self, group: &Arc<str>, number: AppendNumber) {
        self.newest = self.newest.max(number);
        if number <= self.settled {
            return;
        }
        match self.last.get_mut(group) {
            Some(last) => *last = number,
            None => {
                self.last.insert(Arc::clone(group), number);
            }
        }
    }

    /// The append of `group` with this number settled, as all before it have.
    pub(crate) fn settled(&mut self, group: &Arc<str>, number: AppendNumber) -> Released<W> {
        debug_assert!(number > self.settled, "appends settle in order, once");
        self.settled = number;
        let reads = self.reads.remove(&number).unwrap_or_default();
        let mut held = VecDeque::new();
        if self.last.get(group).is_none_or(|last| *last <= number) {
            self.last.remove(group);
            held = self.held.remove(group).unwrap_or_default();
        }
        Released { reads, held }
    }

    /// A read of `group`: given back if nothing is before it.
    pub(crate) fn read(&mut self, group: &str, read: W) -> Option<W> {
        if let Some(held) = self.held.get_mut(group) {
            held.push_back(read);
            return None;
        }
        let before = self.last.get(group).copied();
        self.behind(before, read)
    }

    /// A read of all groups, in parts that `part` makes: one behind all that was submitted, which is given back if nothing
    /// is before it, and one behind everything that a group holds back, given out with that group's. The part that runs
    /// last is behind everything that was there before the read.
    pub(crate) fn read_all(&mut self, mut part: impl FnMut(Option<&Arc<str>>) -> W) -> Option<W> {
        for (group, held) in &mut self.held {
            held.push_back(part(Some(group)));
        }
        let before = Some(self.newest).filter(|newest| *newest > self.settled);
        self.behind(before, part(None))
    }

    fn behind(&mut self, before: Option<AppendNumber>, read: W) -> Option<W> {
        match before {
            Some(number) => {
                self.reads.entry(number).or_default().push(read);
                None
            }
            None => Some(read),
        }
    }

    /// An append of `group`: given back unless a change stands before it.
    pub(crate) fn append(&mut self, group: &str, append: W) -> Option<W> {
        match self.held.get_mut(group) {
            Some(held) => {
                held.push_back(append);
                None
            }
            None => Some(append),
        }
    }

    /// What is left of a change of `group` whose part was submitted just now: back when that has settled, before
    /// anything else of the group.
    pub(crate) fn rest(&mut self, group: &Arc<str>, rest: W) {
        debug_assert!(self.last.contains_key(group), "it waits for a part");
        let held = self.held.entry(Arc::clone(group)).or_default();
        held.push_front(rest);
    }

    /// A change of `group`: given back if nothing is before it.
    pub(crate) fn change(&mut self, group: &Arc<str>, change: W) -> Option<W> {
        if let Some(held) = self.held.get_mut(group) {
            held.push_back(change);
            return None;
        }
        if !self.last.contains_key(group) {
            return Some(change);
        }
        self.held
            .insert(Arc::clone(group), VecDeque::from([change]));
        None
    }
}
