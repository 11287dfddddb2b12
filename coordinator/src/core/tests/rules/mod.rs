//! A transcript for every rule of the coordinator, in the words of [`tale`](super::tale). `coordinator/tests/RULES.md` says
//! which test shows which rule; names begin with the rule's section and row.

mod commit;
mod compaction;
mod delete;
mod describe;
mod expiry;
mod fetch;
mod hard;
mod heartbeat;
mod join;
mod late;
mod leave;
mod load;
mod protocol;
mod rejoin;
mod size;
mod states;
mod statics;
mod sync;
mod timers;
mod topics;
