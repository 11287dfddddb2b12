//! Tests of the core as a whole: requests and time in, answers out.

mod house;
mod stories;
