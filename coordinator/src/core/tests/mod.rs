//! Tests of the core as a whole: requests, time and landed appends in, answers out. One transcript for each rule.

mod durability;
mod faults;
mod house;
mod kit;
mod owner;
mod rebirth;
mod retention;
mod rules;
mod schedules;
mod stories;
mod tale;
mod timeouts;
