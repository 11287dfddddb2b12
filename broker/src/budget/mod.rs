//! Bytes in memory over all connections: of requests, and of answers. Every connection has a [`Share`] and takes
//! [`Room`] of it; a room that is dropped is given back. Owned by the broker. Decides nothing: that is [`Pool`]'s.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::{Gauge, gauge};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

use self::core::{Holder, Pool, Wait};
use crate::metrics::{BROKER_BUDGET_BYTES, BROKER_BUDGET_LIMIT_BYTES};

mod core;
#[cfg(test)]
mod tests;

pub(crate) use self::core::SMALL;

/// How long somebody waits for room before it is looked who gives way, and from look to look.
pub(crate) const PRESSURE: Duration = Duration::from_secs(2);

/// Whether a holder that waits for room is excused for not giving back what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// Of requests: what is begun cannot go on without room.
    Excuses,
    /// Of answers: who waits for the next has not taken the last.
    DoesNot,
}

/// The bytes that may be held at a time. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    most: usize,
    used: Gauge,
}

#[derive(Debug)]
struct State {
    pool: Pool,
    waiting: HashMap<Wait, oneshot::Sender<Room>>,
    /// How each holder hears that it has to give way.
    holders: HashMap<Holder, Arc<Notify>>,
    /// When it was last looked who gives way.
    pressed: Option<Instant>,
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the pool, and tells whoever got room by that.
    fn change<T>(self: &Arc<Self>, change: impl FnOnce(&mut State) -> T) -> T {
        let mut granted = Vec::new();
        let done = {
            let mut state = self.state();
            let done = change(&mut state);
            while state.pool.has_waiting()
                && let Some((wait, holder, bytes)) = state.pool.granted()
            {
                let room = Room::new(self, holder, bytes);
                granted.push((state.waiting.remove(&wait), room));
            }
            self.used.set(state.pool.used() as f64);
            done
        };
        // Not under the lock: a room that nobody waits for any more goes back.
        for (waiter, room) in granted {
            if let Some(waiter) = waiter {
                drop(waiter.send(room));
            }
        }
        done
    }
}

impl Budget {
    /// `name` is the value of the metric's label.
    pub(crate) fn new(name: &'static str, most: usize, waiting: Waiting) -> Self {
        gauge!(BROKER_BUDGET_LIMIT_BYTES, "budget" => name).set(most as f64);
        Self {
            inner: Arc::new(Inner {
                state: Mutex::new(State {
                    pool: Pool::new(most, waiting == Waiting::Excuses),
                    waiting: HashMap::new(),
                    holders: HashMap::new(),
                    pressed: None,
                }),
                most,
                used: gauge!(BROKER_BUDGET_BYTES, "budget" => name),
            }),
        }
    }

    /// The share of a new connection, which hears through `gives_way` that it has to.
    pub(crate) fn share(&self, gives_way: &Arc<Notify>) -> Share {
        let holder = self.inner.change(|state| {
            let holder = state.pool.open();
            state.holders.insert(holder, Arc::clone(gives_way));
            holder
        });
        Share {
            inner: Arc::clone(&self.inner),
            holder,
        }
    }

    /// Bytes still free.
    #[cfg(test)]
    pub(crate) fn free(&self) -> usize {
        self.inner
            .most
            .saturating_sub(self.inner.state().pool.used())
    }
}

/// What one connection may take of a budget.
#[derive(Debug)]
pub(crate) struct Share {
    inner: Arc<Inner>,
    holder: Holder,
}

impl Share {
    /// Takes `bytes` if they are there; `small` says whether what they are of is.
    pub(crate) fn try_take(&self, bytes: usize, small: bool) -> Option<Room> {
        let taken = self
            .inner
            .change(|state| state.pool.take(self.holder, bytes, small));
        taken.then(|| Room::new(&self.inner, self.holder, bytes))
    }

    /// Takes bytes that are in memory already.
    pub(crate) fn force(&self, bytes: usize) -> Room {
        self.inner
            .change(|state| state.pool.force(self.holder, bytes));
        Room::new(&self.inner, self.holder, bytes)
    }

    /// Waits for `bytes`; has somebody give way if that takes long.
    pub(crate) fn take(
        &self,
        bytes: usize,
        small: bool,
    ) -> impl Future<Output = Room> + Send + 'static {
        let (inner, holder) = (Arc::clone(&self.inner), self.holder);
        async move {
            let (tell, mut told) = oneshot::channel();
            let wait = inner.change(|state| {
                // Those who wait look for themselves: what is found here would be lost to them.
                if !state.pool.has_waiting() {
                    state.look(Instant::now());
                }
                let wait = state.pool.wait(holder, bytes, small);
                state.waiting.insert(wait, tell);
                wait
            });
            let forget = Forget(&inner, wait);
            let room = loop {
                let look = Instant::now() + PRESSURE;
                tokio::select! {
                    room = &mut told => break room,
                    () = sleep_until(look) => press(&inner),
                }
            };
            drop(forget);
            // Who tells is dropped only with the wait.
            room.unwrap_or_else(|_| Room::new(&inner, holder, 0))
        }
    }

    /// As much of `wanted` as is fair, `least` of it at least, for the broker to fill.
    pub(crate) async fn take_some(&self, least: usize, wanted: usize) -> Room {
        let least = least.min(wanted);
        let taken = self
            .inner
            .change(|state| state.pool.take_some(self.holder, least, wanted));
        match taken {
            Some(bytes) => Room::new(&self.inner, self.holder, bytes),
            None => self.take(least, wanted <= SMALL).await,
        }
        .busy()
    }

    /// The peer did its part for so many bytes.
    pub(crate) fn moved(&self, bytes: usize) {
        self.inner.state().pool.moved(self.holder, bytes);
    }

    /// Whether more is held, over all, than there is: then nobody who holds something begins anything.
    pub(crate) fn is_crowded(&self) -> bool {
        self.inner.state().pool.used() > self.inner.most
    }

    /// The most there is.
    pub(crate) fn most(&self) -> usize {
        self.inner.most
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.inner.change(|state| {
            state.holders.remove(&self.holder);
            state.pool.close(self.holder);
        });
    }
}

/// Ends a wait that nobody waits for any more.
struct Forget<'a>(&'a Arc<Inner>, Wait);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        let Self(inner, wait) = self;
        let waiter = inner.change(|state| {
            state.pool.forget(*wait);
            state.waiting.remove(wait)
        });
        drop(waiter);
    }
}

/// Has somebody give way, once an interval whoever asks.
fn press(inner: &Inner) {
    let mut state = inner.state();
    for holder in state.look(Instant::now()) {
        if let Some(gives_way) = state.holders.get(&holder) {
            gives_way.notify_one();
        }
    }
}

impl State {
    /// Measures what moved since the last look, if that was an interval ago; says who gives way if it was the last one.
    fn look(&mut self, now: Instant) -> Vec<Holder> {
        let since = self.pressed.map(|pressed| now.duration_since(pressed));
        if since.is_some_and(|since| since < PRESSURE) {
            return Vec::new();
        }
        self.pressed = Some(now);
        let mut found = self.pool.press();
        if since.is_none_or(|since| since >= 2 * PRESSURE) {
            found.clear();
        }
        found
    }
}

/// Bytes taken; dropping gives them back.
#[derive(Debug)]
pub(crate) struct Room {
    inner: Arc<Inner>,
    holder: Holder,
    bytes: usize,
    busy: bool,
}

impl Room {
    fn new(inner: &Arc<Inner>, holder: Holder, bytes: usize) -> Self {
        Self {
            inner: Arc::clone(inner),
            holder,
            bytes,
            busy: false,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds another room of the same share.
    pub(crate) fn merge(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// A part of it, as a room of its own.
    pub(crate) fn split(&mut self, bytes: usize) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        let mut part = Self::new(&self.inner, self.holder, bytes);
        part.busy = self.busy;
        part
    }

    /// Makes it what is needed in the end: the rest is given back, or what is missing is taken whatever is free.
    pub(crate) fn settle(&mut self, bytes: usize) {
        if bytes <= self.bytes {
            drop(self.split(self.bytes - bytes));
        } else {
            let more = bytes - self.bytes;
            let (holder, busy) = (self.holder, self.busy);
            self.inner.change(|state| {
                state.pool.force(holder, more);
                if busy {
                    state.pool.busy(holder, more);
                }
            });
            self.bytes = bytes;
        }
    }

    /// The broker works on it from here on: the connection can do nothing to give it back.
    pub(crate) fn busy(mut self) -> Self {
        if !std::mem::replace(&mut self.busy, true) {
            self.inner.state().pool.busy(self.holder, self.bytes);
        }
        self
    }

    /// It is the peer's again.
    pub(crate) fn ready(mut self) -> Self {
        if std::mem::take(&mut self.busy) {
            self.inner.state().pool.ready(self.holder, self.bytes);
        }
        self
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if self.bytes > 0 {
            let (holder, bytes, busy) = (self.holder, self.bytes, self.busy);
            self.inner
                .change(|state| state.pool.give(holder, bytes, busy));
        }
    }
}
