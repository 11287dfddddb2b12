//! The segments that wait for their turn. With a reserve, a thread makes them while appends go on; without one they are
//! made when they are needed, by whoever needs them.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use callboard_supervision::seldom;

use super::{PrepareError, Prepared, Preparer};

type Outcome = Result<Prepared, PrepareError>;

/// See the module. Dropping it waits for the segment that is being made.
pub(crate) struct Supply {
    reserve: VecDeque<Prepared>,
    reserve_max: usize,
    next_generation: u32,
    maker: Maker,
}

enum Maker {
    Here(Preparer),
    Thread(Thread),
}

impl Supply {
    /// Goes on from `reserve`, the unused end of the log; the next segment to be made is `next_generation`.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub(crate) fn new(
        preparer: Preparer,
        reserve: VecDeque<Prepared>,
        reserve_max: usize,
        next_generation: u32,
    ) -> io::Result<Self> {
        let maker = if reserve_max == 0 {
            Maker::Here(preparer)
        } else {
            Maker::Thread(Thread::start(preparer)?)
        };
        Ok(Self {
            reserve,
            reserve_max,
            next_generation,
            maker,
        })
    }

    /// The next segment of the log; waits for it if need be.
    pub(crate) fn next(&mut self) -> Outcome {
        self.collect()?;
        let next = match self.reserve.pop_front() {
            Some(prepared) => Ok(prepared),
            None => self.make(),
        };
        self.refill();
        next
    }

    /// Takes in what was made meanwhile. Call it often: it costs nothing.
    ///
    /// # Errors
    /// [`PrepareError::Flush`] only: what else went wrong is logged, and tried again when a segment is used up.
    pub(crate) fn collect(&mut self) -> Result<(), PrepareError> {
        while let Maker::Thread(thread) = &mut self.maker
            && let Ok(outcome) = thread.made.try_recv()
        {
            thread.busy = false;
            match outcome {
                Ok(prepared) => {
                    self.next_generation += 1;
                    self.reserve.push_back(prepared);
                    self.refill();
                }
                Err(error @ PrepareError::Flush(_)) => return Err(error),
                Err(error) => {
                    seldom!(warn, %error, "cannot prepare a segment of the offsets log");
                }
            }
        }
        Ok(())
    }

    /// Starts making what the reserve lacks, one after the other.
    pub(crate) fn refill(&mut self) {
        if self.reserve.len() < self.reserve_max
            && let Maker::Thread(thread) = &mut self.maker
        {
            thread.want(self.next_generation);
        }
    }

    fn make(&mut self) -> Outcome {
        let outcome = match &mut self.maker {
            Maker::Here(preparer) => preparer.prepare(self.next_generation),
            Maker::Thread(thread) => {
                thread.want(self.next_generation);
                thread.take()
            }
        };
        if outcome.is_ok() {
            self.next_generation += 1;
        }
        outcome
    }
}

struct Thread {
    /// `None` only while it is dropped.
    wanted: Option<Sender<u32>>,
    made: Receiver<Outcome>,
    /// Whether one is being made. Never two: a later one must not be there without the earlier.
    busy: bool,
    handle: Option<JoinHandle<()>>,
}

impl Thread {
    fn start(mut preparer: Preparer) -> io::Result<Self> {
        let (wanted, requests) = channel();
        let (answers, made) = channel();
        let handle = std::thread::Builder::new()
            .name("journal-prepare".to_owned())
            .spawn(move || {
                for generation in requests {
                    if answers.send(preparer.prepare(generation)).is_err() {
                        break;
                    }
                }
            })?;
        Ok(Self {
            wanted: Some(wanted),
            made,
            busy: false,
            handle: Some(handle),
        })
    }

    fn want(&mut self, generation: u32) {
        if !self.busy
            && let Some(wanted) = &self.wanted
        {
            // If the thread is gone, `take` says so.
            self.busy = wanted.send(generation).is_ok();
        }
    }

    fn take(&mut self) -> Outcome {
        self.busy = false;
        self.made.recv().unwrap_or_else(|_| {
            let gone = io::Error::other("the thread that prepares segments is gone");
            Err(PrepareError::Refused(gone))
        })
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.wanted = None;
        if let Some(handle) = self.handle.take() {
            // A panic of the preparer is not ours to pass on here.
            let _ = handle.join();
        }
    }
}
