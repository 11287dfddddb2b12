//! Reads and changes keep their place among a group's appends.

use std::collections::VecDeque;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::writer::core::AppendNumber;
use crate::writer::core::order::{Order, Released};

fn group(name: &str) -> Arc<str> {
    name.into()
}

fn released(reads: &[&'static str], held: &[&'static str]) -> Released<&'static str> {
    Released {
        reads: reads.to_vec(),
        held: VecDeque::from(held.to_vec()),
    }
}

#[test]
fn a_read_waits_for_its_own_group_and_only_for_what_was_sent_before() {
    let mut order = Order::default();
    order.submitted(&group("g"), AppendNumber(1));
    order.submitted(&group("h"), AppendNumber(2));
    assert_eq!(order.read("g", "r1"), None);
    order.submitted(&group("g"), AppendNumber(3));
    assert_eq!(order.read("g", "r3"), None);
    assert_eq!(order.read("other", "free"), Some("free"));
    assert_eq!(
        order.settled(&group("g"), AppendNumber(1)),
        released(&["r1"], &[])
    );
    assert_eq!(
        order.settled(&group("h"), AppendNumber(2)),
        released(&[], &[])
    );
    assert_eq!(
        order.settled(&group("g"), AppendNumber(3)),
        released(&["r3"], &[])
    );
    assert_eq!(order.read("g", "free"), Some("free"));
}

#[test]
fn a_read_of_everything_waits_for_everything() {
    let mut order = Order::default();
    assert_eq!(order.read_all(|_| "free"), Some("free"));
    order.submitted(&group("g"), AppendNumber(1));
    order.submitted(&group("h"), AppendNumber(2));
    assert_eq!(order.read_all(|_| "all"), None);
    assert_eq!(
        order.settled(&group("g"), AppendNumber(1)),
        released(&[], &[])
    );
    assert_eq!(
        order.settled(&group("h"), AppendNumber(2)),
        released(&["all"], &[])
    );
}

#[test]
fn a_read_of_everything_waits_for_what_is_held_too() {
    let mut order = Order::default();
    order.submitted(&group("g"), AppendNumber(1));
    assert_eq!(order.change(&group("g"), "change"), None);
    assert_eq!(order.append("g", "append"), None);
    let part = |of: Option<&Arc<str>>| if of.is_some() { "of g" } else { "of all" };
    assert_eq!(order.read_all(part), None);
    let freed = order.settled(&group("g"), AppendNumber(1));
    assert_eq!(freed, released(&["of all"], &["change", "append", "of g"]));
}

#[test]
fn a_change_holds_back_what_comes_behind_it() {
    let mut order = Order::default();
    order.submitted(&group("g"), AppendNumber(1));
    assert_eq!(order.change(&group("g"), "change"), None);
    assert_eq!(order.append("g", "append"), None);
    assert_eq!(order.read("g", "read"), None);
    assert_eq!(order.append("h", "free"), Some("free"));
    let freed = order.settled(&group("g"), AppendNumber(1));
    assert_eq!(freed, released(&[], &["change", "append", "read"]));
    assert_eq!(order.change(&group("g"), "now"), Some("now"));
}

/// What is sent, numbered.
#[derive(Debug)]
enum Sent {
    Append(usize, Arc<str>),
    Change(usize, Arc<str>),
    /// What is left of a change whose first part was submitted.
    Rest(usize, Arc<str>),
    Read(usize, Arc<str>),
    /// A part of a read of everything.
    Part(usize, Option<Arc<str>>),
}

/// The shell, as the dice have it.
struct World {
    order: Order<Sent>,
    random: StdRng,
    /// Everything by its number: of which group (None for all), whether a read, and what it still waits for.
    sent: Vec<(Option<Arc<str>>, bool, usize)>,
    in_flight: VecDeque<(AppendNumber, Arc<str>, usize)>,
    appends: u64,
}

impl World {
    fn send(&mut self) {
        let number = self.sent.len();
        let of = group(["f", "g", "h"][self.random.random_range(0..3)]);
        let (about, is_read, op) = match self.random.random_range(0..8) {
            0..4 => (Some(of.clone()), false, Sent::Append(number, of)),
            4..6 => (Some(of.clone()), false, Sent::Change(number, of)),
            6 => (Some(of.clone()), true, Sent::Read(number, of)),
            _ => (None, true, Sent::Part(number, None)),
        };
        self.sent.push((about, is_read, 1));
        if let Sent::Part(..) = op {
            let mut parts = 0;
            let free = self.order.read_all(|of| {
                parts += 1;
                Sent::Part(number, of.cloned())
            });
            self.sent[number].2 = parts;
            if free.is_some() {
                self.done(number);
            }
        } else {
            self.take_in(op);
        }
    }

    fn take_in(&mut self, op: Sent) {
        let free = match &op {
            Sent::Append(_, of) => self.order.append(&of.clone(), op),
            Sent::Change(_, of) => self.order.change(&of.clone(), op),
            Sent::Rest(..) => Some(op),
            Sent::Read(_, of) | Sent::Part(_, Some(of)) => self.order.read(&of.clone(), op),
            Sent::Part(_, None) => unreachable!("it is sent once"),
        };
        match free {
            None => {}
            Some(Sent::Read(number, _) | Sent::Part(number, _)) => self.done(number),
            Some(Sent::Append(number, of)) => self.submit(number, of, false),
            Some(Sent::Change(number, of) | Sent::Rest(number, of)) => {
                match self.random.random_range(0..4) {
                    0 => self.done(number),
                    1 => self.submit(number, of, true),
                    _ => self.submit(number, of, false),
                }
            }
        }
    }

    fn submit(&mut self, number: usize, of: Arc<str>, in_parts: bool) {
        self.appends += 1;
        let append = AppendNumber(self.appends);
        self.order.submitted(&of, append);
        if in_parts {
            self.sent[number].2 += 1;
            self.order.rest(&of, Sent::Rest(number, of.clone()));
        }
        self.in_flight.push_back((append, of, number));
    }

    fn settle(&mut self) {
        let Some((append, of, number)) = self.in_flight.pop_front() else {
            return;
        };
        self.done(number);
        let Released { reads, held } = self.order.settled(&of, append);
        for read in reads {
            match read {
                Sent::Read(number, _) | Sent::Part(number, _) => self.done(number),
                other => panic!("{other:?} waits as a read"),
            }
        }
        for op in held {
            self.take_in(op);
        }
    }

    /// Some of `number` is done, which is a read's turn when it was the last.
    fn done(&mut self, number: usize) {
        self.sent[number].2 -= 1;
        let (about, is_read, left) = &self.sent[number];
        if !is_read || *left > 0 {
            return;
        }
        let before = self.sent[..number].iter().enumerate();
        for (earlier, (of, is_read, left)) in before {
            if !is_read && (about.is_none() || about == of) {
                assert_eq!(*left, 0, "{number} does not see {earlier}");
            }
        }
    }
}

#[test]
fn whatever_is_held_back_a_read_is_behind_all_that_was_sent_before_it() {
    for seed in 0..300 {
        println!("seed {seed}");
        let mut world = World {
            order: Order::default(),
            random: StdRng::seed_from_u64(seed),
            sent: Vec::new(),
            in_flight: VecDeque::new(),
            appends: 0,
        };
        for _ in 0..200 {
            if world.random.random_range(0..5) < 3 {
                world.send();
            } else {
                world.settle();
            }
        }
        while !world.in_flight.is_empty() {
            world.settle();
        }
        assert!(world.sent.iter().all(|(_, _, left)| *left == 0));
    }
}
