//! The order of one connection, as a pure core: which frame may start now, which answer may leave now. Owned by the
//! connection's task. Never reads a frame and never looks into an answer.
//!
//! Kafka executes the requests of a connection one after the other. Here everything is started at once and in order,
//! except behind a *barrier*: what follows a request that can wait for somebody else starts when it is answered.

use std::collections::VecDeque;

use crate::request::{Follow, RequestNumber};

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;

#[derive(Debug)]
enum Slot<A> {
    Open,
    Answered(A),
}

/// Frames `F` in, answers `A` out, in the same order.
#[derive(Debug)]
pub(crate) struct Order<F, A> {
    /// Frames not yet started, oldest first.
    waiting: VecDeque<F>,
    /// Started requests whose answer has not left, oldest first.
    started: VecDeque<Slot<A>>,
    /// Number of `started[0]`.
    first: u64,
    barrier: Option<RequestNumber>,
}

impl<F, A> Default for Order<F, A> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            started: VecDeque::new(),
            first: 0,
            barrier: None,
        }
    }
}

impl<F, A> Order<F, A> {
    /// A whole frame has come.
    pub(crate) fn arrived(&mut self, frame: F) {
        self.waiting.push_back(frame);
    }

    /// The next frame to start, with its number; None while there is none or a barrier stands. Say with
    /// [`raise`](Self::raise) whether it is a barrier before asking for the next.
    pub(crate) fn start(&mut self) -> Option<(RequestNumber, F)> {
        if self.barrier.is_some() {
            return None;
        }
        let frame = self.waiting.pop_front()?;
        let number = RequestNumber(self.first + self.started.len() as u64);
        self.started.push_back(Slot::Open);
        Some((number, frame))
    }

    /// What [`start`](Self::start) would give.
    pub(crate) fn next(&self) -> Option<&F> {
        self.waiting.front().filter(|_| self.barrier.is_none())
    }

    /// Says what may follow a request just started. A barrier that is answered already is none.
    pub(crate) fn raise(&mut self, number: RequestNumber, follow: Follow) {
        if follow == Follow::Barrier && self.is_open(number) {
            self.barrier = Some(number);
        }
    }

    /// A request is answered. False if it was before, or never started: then the answer is dropped.
    pub(crate) fn answer(&mut self, number: RequestNumber, answer: A) -> bool {
        if !self.is_open(number) {
            return false;
        }
        if self.barrier == Some(number) {
            self.barrier = None;
        }
        if let Some(slot) = self.slot(number) {
            *slot = Slot::Answered(answer);
        }
        true
    }

    /// The next answer that may leave: that of the oldest request, once it is there.
    pub(crate) fn leave(&mut self) -> Option<A> {
        match self.started.pop_front() {
            Some(Slot::Answered(answer)) => {
                self.first += 1;
                Some(answer)
            }
            Some(open) => {
                self.started.push_front(open);
                None
            }
            None => None,
        }
    }

    /// Whether a started request has not left.
    pub(crate) fn has(&self, number: RequestNumber) -> bool {
        number.0 >= self.first
    }

    /// Forgets the frames that have not started: the connection will close.
    pub(crate) fn forget_waiting(&mut self) {
        self.waiting.clear();
    }

    /// Requests here: not started, or not answered, or not left.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.started.len()
    }

    /// Whether frames are here that have not started.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn is_open(&mut self, number: RequestNumber) -> bool {
        matches!(self.slot(number), Some(Slot::Open))
    }

    fn slot(&mut self, number: RequestNumber) -> Option<&mut Slot<A>> {
        let place = number.0.checked_sub(self.first)?;
        self.started.get_mut(usize::try_from(place).ok()?)
    }
}
