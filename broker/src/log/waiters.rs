//! Fetches that wait for bytes. One [`FetchWaiter`] stands in the lists of all partitions of its Fetch; each append adds
//! what it brought, and the waiter wakes once when enough has come. Nothing polls, and an append costs one atomic
//! addition a waiter.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// A Fetch that waits. Make one, [`watch`](super::LogHandle::watch) every partition with it, then await
/// [`enough`](Self::enough) under the Fetch's own deadline.
#[derive(Debug)]
pub struct FetchWaiter {
    missing: AtomicI64,
    woken: AtomicBool,
    wake: Notify,
}

impl FetchWaiter {
    /// A waiter that wakes when `missing` bytes have been appended to what it watches. At most 0 wakes at the first
    /// append of anything.
    #[must_use]
    pub fn new(missing: usize) -> Arc<Self> {
        let missing = AtomicI64::new(i64::try_from(missing).unwrap_or(i64::MAX));
        Arc::new(Self {
            missing,
            woken: AtomicBool::new(false),
            wake: Notify::new(),
        })
    }

    /// Returns when enough has come, or when something happened that makes waiting pointless: a watched partition went
    /// away, or had grown before it was watched. Read again then.
    pub async fn enough(&self) {
        while !self.woken.load(Ordering::Acquire) {
            // Notify keeps one permit, so a wake between the check and here is not lost.
            self.wake.notified().await;
        }
    }

    pub(crate) fn wake_now(&self) {
        self.woken.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    fn add(&self, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        if self.missing.fetch_sub(bytes, Ordering::AcqRel) <= bytes {
            self.wake_now();
        }
    }
}

/// The waiters of one partition. Bounded by the connections: a connection has one Fetch in work.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    list: Mutex<List>,
}

#[derive(Debug, Default)]
struct List {
    next: u64,
    waiters: BTreeMap<u64, Arc<FetchWaiter>>,
}

impl Waiters {
    fn list(&self) -> std::sync::MutexGuard<'_, List> {
        // Nothing panics while it is held; a poisoned list is still a list.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a waiter into the list of `of` until the guard is dropped.
    pub(crate) fn join(of: &Arc<Self>, waiter: &Arc<FetchWaiter>) -> Watch {
        let mut list = of.list();
        let id = list.next;
        list.next += 1;
        list.waiters.insert(id, Arc::clone(waiter));
        Watch {
            waiters: Arc::clone(of),
            id,
        }
    }

    /// Tells everybody of an append. Comes after the append is visible.
    pub(crate) fn appended(&self, bytes: usize) {
        for waiter in self.list().waiters.values() {
            waiter.add(bytes);
        }
    }

    /// Wakes everybody: the log went away or came back.
    pub(crate) fn wake_all(&self) {
        for waiter in self.list().waiters.values() {
            waiter.wake_now();
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.list().waiters.len()
    }
}

/// Being watched by a [`FetchWaiter`]; ends when dropped.
#[derive(Debug)]
#[must_use = "dropping it ends the watch"]
pub struct Watch {
    waiters: Arc<Waiters>,
    id: u64,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.waiters.list().waiters.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use callboard_supervision::testing::Limit;

    use super::*;

    #[tokio::test]
    async fn wakes_once_enough_bytes_came_from_all_partitions_together() {
        let _limit = Limit::start();
        let (first, second) = (Arc::<Waiters>::default(), Arc::<Waiters>::default());
        let waiter = FetchWaiter::new(100);
        let watches = [
            Waiters::join(&first, &waiter),
            Waiters::join(&second, &waiter),
        ];
        first.appended(60);
        assert!(!waiter.woken.load(Ordering::Acquire));
        second.appended(40);
        waiter.enough().await;
        drop(watches);
        assert_eq!((first.len(), second.len()), (0, 0));
    }

    #[tokio::test]
    async fn a_partition_that_goes_away_wakes() {
        let _limit = Limit::start();
        let waiters = Arc::<Waiters>::default();
        let waiter = FetchWaiter::new(usize::MAX);
        let _watch = Waiters::join(&waiters, &waiter);
        waiters.wake_all();
        waiter.enough().await;
    }
}
