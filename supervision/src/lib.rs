//! Restart policy, supervisor and typed addresses: the only crate that knows ractor's lifecycle rules.
//!
//! * [`core`] decides, without a clock, whether and when a failed child comes back.
//! * [`Addr`] sends to an actor and counts what waits in its mailbox; the actor receives [`Envelope`]s.
//! * [`spawn`] and [`spawn_linked`] start actors under a *kind*, the one label of the actor metrics.
//! * [`Supervisor`] keeps a set of children alive, one for one.
//! * [`seldom!`] writes lines of the log that could come without end, one a kind and ten seconds.
//! * [`testing::Stage`] is the root of actors in tests: a panic below it fails the test.
//!
//! Actors have no names here and nothing looks one up: addresses are passed. An actor is told apart by its `ActorId`.

mod address;
pub mod core;
pub mod metrics;
pub mod seldom;
mod spawn;
mod supervisor;
pub mod testing;

pub use address::{Addr, CallError, Envelope, SendError, Timer};
pub use core::{Decision, Failure, RestartCore, RestartPolicy};
pub use ractor::RpcReplyPort;
pub use spawn::{JoinHandle, SpawnError, spawn, spawn_linked};
pub use supervisor::{
    BoxFuture, ChildId, ChildSpec, Restart, StopHow, Supervisor, SupervisorError, SupervisorMsg,
};
