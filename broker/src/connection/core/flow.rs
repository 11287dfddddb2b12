//! What one connection may do, as a pure core around its [`Order`]: when it reads, when it starts a request, and when it
//! is over. Owned by the connection's task. Never touches a socket and never waits.
//!
//! ```text
//! Open ── the peer ends, or sends what is no frame ──▶ Over      what has arrived still runs
//!   └──── the broker stops ─────────────────────────▶ Stopped   what has started is answered, nothing more starts
//! any ─── an answer is to close it ────────────────▶ Closing   what is queued is written, nothing else happens
//! ```
//!
//! In every state but Open the connection is *to close*: it does at the latest when its peer has made no progress for
//! `connections.max.idle.ms`, whatever it still owes. Progress of the peer is a byte that it sends or takes.

use std::time::{Duration, Instant};

use super::order::Order;
use crate::request::{Follow, RequestNumber};

/// The bounds of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Requests that are here at a time.
    pub(crate) requests: usize,
    /// Bytes of requests; beyond it nothing is read, but a lone frame may always be completed.
    pub(crate) request_bytes: usize,
    /// Bytes of answers that wait for the peer; from there on nothing is read.
    pub(crate) unsent_bytes: usize,
    /// Bytes of memory that answers may take; beyond it nothing is started.
    pub(crate) response_bytes: usize,
    /// How long it may be idle.
    pub(crate) idle: Duration,
    /// How long a begun frame may stay without a new byte.
    pub(crate) frame: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Over,
    Stopped,
    Closing,
}

/// What a look at the clock comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing yet; look again then at the latest.
    At(Instant),
    /// It closes now.
    Close(Late),
}

/// What took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Late {
    /// The peer made no progress.
    Idle,
    /// A begun frame did not go on.
    Frame,
}

/// Frames `F` in, answers `A` out.
#[derive(Debug)]
pub(crate) struct Flow<F, A> {
    limits: Limits,
    state: State,
    order: Order<F, A>,
    /// Bytes of requests here, whole or not.
    held: usize,
    /// Bytes of answers that the peer has not taken.
    unsent: usize,
    /// Bytes of memory that these answers take: less, where bytes are shared.
    charged: usize,
    /// A started request promises an answer that may take all that is left.
    promised: Option<RequestNumber>,
    /// What was read has no room yet.
    starving: bool,
    /// A frame is begun and not whole.
    begun: bool,
    /// When the peer last made progress, or began to be waited for.
    progress: Instant,
    /// When the last byte came, or when reading went on after a pause that was ours.
    heard: Instant,
    reading: bool,
}

impl<F, A> Flow<F, A> {
    pub(crate) fn new(limits: Limits, now: Instant) -> Self {
        Self {
            limits,
            state: State::Open,
            order: Order::default(),
            held: 0,
            unsent: 0,
            charged: 0,
            promised: None,
            starving: false,
            begun: false,
            progress: now,
            heard: now,
            reading: true,
        }
    }

    /// Bytes have come, and there may be no room for them. `begun`: they end within a frame.
    pub(crate) fn read(&mut self, bytes: usize, begun: bool, has_room: bool, now: Instant) {
        self.held += bytes;
        self.begun = begun;
        self.starving = !has_room;
        self.progress = now;
        self.heard = now;
        self.look(now);
    }

    /// There is room now for what was read.
    pub(crate) fn granted(&mut self, now: Instant) {
        self.starving = false;
        if self.state == State::Open {
            self.progress = now;
        }
        self.look(now);
    }

    /// Nothing more comes of the peer that is a frame.
    pub(crate) fn ended(&mut self, now: Instant) {
        if self.state == State::Open {
            self.end(State::Over, now);
        }
    }

    /// The broker is stopping.
    pub(crate) fn stop(&mut self, now: Instant) {
        if matches!(self.state, State::Open | State::Over) {
            self.order.forget_waiting();
            self.end(State::Stopped, now);
        }
    }

    /// Flush, then close: nothing else happens.
    pub(crate) fn close(&mut self, now: Instant) {
        if self.state != State::Closing {
            self.end(State::Closing, now);
        }
    }

    fn end(&mut self, state: State, now: Instant) {
        self.state = state;
        self.progress = now;
        self.look(now);
    }

    /// A whole frame of those that were read.
    pub(crate) fn arrived(&mut self, frame: F, now: Instant) {
        self.order.arrived(frame);
        self.look(now);
    }

    /// The frame that may start now. Nothing starts while the connection is *behind*: its peer does not take the answers
    /// there are, or an answer of unknown size is promised. `crowded`: the answers of all connections take more than
    /// there is, so who has some to take starts nothing.
    pub(crate) fn next(&self, crowded: impl FnOnce() -> bool) -> Option<&F> {
        let next = match self.state {
            State::Open | State::Over => self.order.next()?,
            State::Stopped | State::Closing => return None,
        };
        let may = !self.is_behind() && (self.unsent == 0 || !crowded());
        may.then_some(next)
    }

    /// Starts what [`next`](Self::next) showed.
    pub(crate) fn start(&mut self) -> Option<(RequestNumber, F)> {
        self.order.start()
    }

    /// The request just started will have a large answer: nothing else starts until it has left.
    pub(crate) fn promise(&mut self, number: RequestNumber) {
        self.promised = Some(number);
    }

    /// Bytes of memory that the next answer may take.
    pub(crate) fn response_bytes_left(&self) -> usize {
        self.limits.response_bytes.saturating_sub(self.charged)
    }

    /// Bytes of requests that are here.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Bytes of memory that answers take which the peer has not taken.
    pub(crate) fn charged(&self) -> usize {
        self.charged
    }

    /// Whether nothing starts until the peer has taken answers.
    pub(crate) fn is_behind(&self) -> bool {
        self.promised.is_some() || self.charged > self.limits.response_bytes
    }

    /// As [`Order::raise`].
    pub(crate) fn raise(&mut self, number: RequestNumber, follow: Follow) {
        self.order.raise(number, follow);
    }

    /// As [`Order::answer`].
    pub(crate) fn answer(&mut self, number: RequestNumber, answer: A) -> bool {
        self.order.answer(number, answer)
    }

    /// As [`Order::leave`], until the connection is closing. Say with [`left`](Self::left) what came of it.
    pub(crate) fn leave(&mut self) -> Option<A> {
        if self.state == State::Closing {
            return None;
        }
        let answer = self.order.leave()?;
        // Numbers leave in their order.
        self.promised = self.promised.filter(|number| self.order.has(*number));
        Some(answer)
    }

    /// A request of so many bytes is done, and so many bytes of its answer wait for the peer; they take `charged` bytes of
    /// memory.
    pub(crate) fn left(&mut self, request: usize, answer: usize, charged: usize, now: Instant) {
        self.held = self.held.saturating_sub(request);
        // Who has answers to take is measured by what it takes; who has none could do nothing until now.
        if self.unsent == 0 && self.state == State::Open {
            self.progress = now;
        }
        self.unsent += answer;
        self.charged += charged;
        self.look(now);
    }

    /// The peer took bytes of answers, and `charged` bytes of memory are free by that.
    pub(crate) fn written(&mut self, bytes: usize, charged: usize, now: Instant) {
        self.unsent = self.unsent.saturating_sub(bytes);
        self.charged = self.charged.saturating_sub(charged);
        self.progress = now;
        self.look(now);
    }

    /// Whether whole frames may be taken out of what was read.
    pub(crate) fn may_take(&self) -> bool {
        matches!(self.state, State::Open | State::Over)
            && !self.starving
            && self.order.len() < self.limits.requests
    }

    /// Whether to read on.
    pub(crate) fn may_read(&self) -> bool {
        self.state == State::Open
            && !self.starving
            && self.unsent < self.limits.unsent_bytes
            && self.order.len() < self.limits.requests
            && (self.held < self.limits.request_bytes || self.order.len() == 0)
    }

    /// Whether the peer may still send frames.
    pub(crate) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether the broker's end is still to be heard.
    pub(crate) fn may_stop(&self) -> bool {
        matches!(self.state, State::Open | State::Over)
    }

    /// Whether answers still leave.
    pub(crate) fn is_closing(&self) -> bool {
        self.state == State::Closing
    }

    /// Nothing is left to do: the socket can close.
    pub(crate) fn is_done(&self) -> bool {
        self.unsent == 0
            && match self.state {
                State::Open => false,
                // Kafka closes when it sees the end; what has not started yet must still run.
                State::Over => !self.order.has_waiting(),
                State::Stopped => self.order.len() == 0,
                State::Closing => true,
            }
    }

    /// What time it is for. A request in work is no idleness of the peer, but answers that it does not take are.
    pub(crate) fn due(&self, now: Instant) -> Due {
        let idle = self.progress + self.limits.idle;
        let ours = self.unsent == 0 && (self.starving || self.order.len() > 0);
        let idle = if self.state == State::Open && ours {
            now + self.limits.idle
        } else {
            idle
        };
        let frame = self.frame_deadline().unwrap_or(idle);
        match (idle <= now, frame <= now) {
            (true, _) => Due::Close(Late::Idle),
            (false, true) => Due::Close(Late::Frame),
            (false, false) => Due::At(idle.min(frame)),
        }
    }

    /// When the frame that is begun must have gone on; None while it is not the peer that is waited for.
    pub(crate) fn frame_deadline(&self) -> Option<Instant> {
        (self.begun && self.reading).then(|| self.heard + self.limits.frame)
    }

    /// Notes whether reading goes on: time in which we did not read is not the peer's.
    fn look(&mut self, now: Instant) {
        let reading = self.may_read();
        if reading && !self.reading {
            self.heard = now;
        }
        self.reading = reading;
    }
}

#[cfg(test)]
#[path = "flow_tests.rs"]
mod tests;
