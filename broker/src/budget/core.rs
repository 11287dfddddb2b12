//! Bytes that all connections share, as a pure core: who may have how many, who waits, and who gives way when nothing
//! else helps. Owned by a [`Budget`](super::Budget).
//!
//! * A sixteenth is kept for small takers; the others are served first come, first served.
//! * Who takes more than there ever is, gets it when nobody else has anything.
//! * Under pressure the *holder that holds most and moves least* gives way. Who waits for bytes cannot move, and is looked
//!   at only when everybody does.
//! * Small holders are not to blame, unless they hold most of it together: then the largest of them that do not move,
//!   several at a time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Bytes of a whole request or answer up to which its taker is small, and up to which a holder is not to blame alone.
pub(crate) const SMALL: usize = 64 * 1024;
/// The share that is kept for small takers.
const KEPT: usize = 16;
/// A holder moves if what it holds would be gone within so many looks.
const LOOKS: usize = 30;
/// Small holders that give way at a look: about what a large one would.
const SMALL_AT_ONCE: usize = 16;

/// Somebody that takes from a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Holder(u64);

/// Somebody's wait for bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Wait(u64);

#[derive(Debug, Default)]
struct Account {
    /// Bytes that only it can give back.
    held: usize,
    /// Bytes it has moved since the last look.
    moved: usize,
}

#[derive(Debug)]
struct Waiting {
    wait: Wait,
    holder: Holder,
    bytes: usize,
    small: bool,
}

#[derive(Debug)]
pub(crate) struct Pool {
    most: usize,
    used: usize,
    accounts: BTreeMap<Holder, Account>,
    queue: VecDeque<Waiting>,
    next: u64,
    /// Of requests: to take is to move, and who waits is excused for not moving.
    of_requests: bool,
}

impl Pool {
    pub(crate) fn new(most: usize, of_requests: bool) -> Self {
        Self {
            most,
            used: 0,
            accounts: BTreeMap::new(),
            queue: VecDeque::new(),
            next: 0,
            of_requests,
        }
    }

    /// A new holder, of nothing.
    pub(crate) fn open(&mut self) -> Holder {
        self.next += 1;
        self.accounts.insert(Holder(self.next), Account::default());
        Holder(self.next)
    }

    /// The holder is gone. What it took is given back on its own, wherever it is.
    pub(crate) fn close(&mut self, holder: Holder) {
        self.accounts.remove(&holder);
    }

    /// Takes bytes at once, if there are so many and nobody waits before.
    pub(crate) fn take(&mut self, holder: Holder, bytes: usize, small: bool) -> bool {
        let fits = if small {
            self.used + bytes <= self.most
        } else {
            self.queue.is_empty() && self.fits(bytes)
        };
        if fits {
            self.charge(holder, bytes);
        }
        fits
    }

    /// Takes up to `wanted` bytes, but half of what is free at most, so that there is always something for the next.
    /// None if that is less than `least`.
    pub(crate) fn take_some(
        &mut self,
        holder: Holder,
        least: usize,
        wanted: usize,
    ) -> Option<usize> {
        if wanted <= SMALL {
            return self.take(holder, wanted, true).then_some(wanted);
        }
        let free = self.general().saturating_sub(self.used);
        let bytes = wanted.min((free / 2).max(least));
        self.take(holder, bytes, false).then_some(bytes)
    }

    /// Takes bytes that are there already, whatever is free.
    pub(crate) fn force(&mut self, holder: Holder, bytes: usize) {
        self.charge(holder, bytes);
    }

    /// Waits for bytes. [`granted`](Self::granted) says when they are taken.
    pub(crate) fn wait(&mut self, holder: Holder, bytes: usize, small: bool) -> Wait {
        self.next += 1;
        let wait = Wait(self.next);
        self.queue.push_back(Waiting {
            wait,
            holder,
            bytes,
            small,
        });
        wait
    }

    /// Nobody waits any more. False if it has been granted.
    pub(crate) fn forget(&mut self, wait: Wait) -> bool {
        let place = self.queue.iter().position(|waiting| waiting.wait == wait);
        place.and_then(|place| self.queue.remove(place)).is_some()
    }

    /// The next wait that is over, with its bytes. To be asked until there is none whenever bytes are given back or a
    /// wait begins or is forgotten.
    pub(crate) fn granted(&mut self) -> Option<(Wait, Holder, usize)> {
        let place = match self.queue.front() {
            Some(first) if self.fits(first.bytes) => 0,
            // What is kept for small ones is not held up by large ones.
            _ => self
                .queue
                .iter()
                .position(|waiting| waiting.small && self.used + waiting.bytes <= self.most)?,
        };
        let Waiting {
            wait,
            holder,
            bytes,
            ..
        } = self.queue.remove(place)?;
        self.charge(holder, bytes);
        Some((wait, holder, bytes))
    }

    /// Gives bytes back, which is a move. `busy` of them were not the holder's to give.
    pub(crate) fn give(&mut self, holder: Holder, bytes: usize, busy: bool) {
        self.used = self.used.saturating_sub(bytes);
        if let Some(account) = self.accounts.get_mut(&holder) {
            account.moved += bytes;
            if !busy {
                account.held = account.held.saturating_sub(bytes);
            }
        }
    }

    /// The broker works on these bytes now: the holder can do nothing for them.
    pub(crate) fn busy(&mut self, holder: Holder, bytes: usize) {
        if let Some(account) = self.accounts.get_mut(&holder) {
            account.held = account.held.saturating_sub(bytes);
        }
    }

    /// These bytes are the holder's again.
    pub(crate) fn ready(&mut self, holder: Holder, bytes: usize) {
        if let Some(account) = self.accounts.get_mut(&holder) {
            account.held += bytes;
        }
    }

    /// The holder did its part for so many bytes.
    pub(crate) fn moved(&mut self, holder: Holder, bytes: usize) {
        if let Some(account) = self.accounts.get_mut(&holder) {
            account.moved += bytes;
        }
    }

    /// Somebody has waited for too long: who gives way. Nobody while all that hold much move. To be asked at even
    /// intervals: what was moved is measured from look to look.
    pub(crate) fn press(&mut self) -> Vec<Holder> {
        let waiting: BTreeSet<Holder> = match self.of_requests {
            true => self.queue.iter().map(|waiting| waiting.holder).collect(),
            false => BTreeSet::new(),
        };
        let holders = self.accounts.iter();
        let (large, mut small): (Vec<_>, Vec<_>) = holders
            .filter(|(_, account)| account.held > 0)
            .partition(|(_, account)| account.held > SMALL);
        let of_small: usize = small.iter().map(|(_, account)| account.held).sum();
        if of_small <= self.most / 2 {
            small.clear();
        }
        let mut found = least_moving(&large, &waiting, 1);
        if found.is_empty() {
            found = least_moving(&small, &waiting, SMALL_AT_ONCE);
        }
        if found.is_empty() {
            let stuck = if_all_wait(&large, &waiting).or_else(|| if_all_wait(&small, &waiting));
            found.extend(stuck);
        }
        for account in self.accounts.values_mut() {
            account.moved = 0;
        }
        found
    }

    /// Whether somebody waits.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Bytes taken.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// What is not kept for small ones.
    fn general(&self) -> usize {
        self.most - self.most / KEPT
    }

    fn fits(&self, bytes: usize) -> bool {
        self.used + bytes.min(self.general()) <= self.general()
    }

    fn charge(&mut self, holder: Holder, bytes: usize) {
        self.used += bytes;
        if let Some(account) = self.accounts.get_mut(&holder) {
            account.held += bytes;
            if self.of_requests {
                account.moved += bytes;
            }
        }
    }
}

type Held<'a> = (&'a Holder, &'a Account);

/// The `count` of these that hold most and move least; nobody if all that do not wait move.
fn least_moving(of: &[Held<'_>], waiting: &BTreeSet<Holder>, count: usize) -> Vec<Holder> {
    let still = of.iter().filter(|(holder, account)| {
        !waiting.contains(holder) && account.moved.saturating_mul(LOOKS) < account.held
    });
    let mut still: Vec<&Held<'_>> = still.collect();
    still.sort_by(|(_, one), (_, other)| {
        // Held by moved, without a division.
        let of = |a: &Account, b: &Account| a.held as u128 * (b.moved + SMALL) as u128;
        of(other, one).cmp(&of(one, other))
    });
    still
        .iter()
        .take(count)
        .map(|(holder, _)| **holder)
        .collect()
}

/// Who of these holds most, when all of them wait.
fn if_all_wait(of: &[Held<'_>], waiting: &BTreeSet<Holder>) -> Option<Holder> {
    let all = of.iter().all(|(holder, _)| waiting.contains(holder));
    let most = of.iter().filter(|_| all);
    let most = most.max_by_key(|(_, account)| account.held);
    most.map(|(holder, _)| **holder)
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
