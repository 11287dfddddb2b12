//! Reads and changes keep their place among a group's appends.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::writer::core::Ticket;
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
    order.submitted(&group("g"), Ticket(1));
    order.submitted(&group("h"), Ticket(2));
    assert_eq!(order.read(Some("g"), "r1"), None);
    order.submitted(&group("g"), Ticket(3));
    assert_eq!(order.read(Some("g"), "r3"), None);
    assert_eq!(order.read(Some("other"), "free"), Some("free"));
    assert_eq!(
        order.settled(&group("g"), Ticket(1)),
        released(&["r1"], &[])
    );
    assert_eq!(order.settled(&group("h"), Ticket(2)), released(&[], &[]));
    assert_eq!(
        order.settled(&group("g"), Ticket(3)),
        released(&["r3"], &[])
    );
    assert_eq!(order.read(Some("g"), "free"), Some("free"));
}

#[test]
fn a_read_of_everything_waits_for_everything() {
    let mut order = Order::default();
    assert_eq!(order.read(None, "free"), Some("free"));
    order.submitted(&group("g"), Ticket(1));
    order.submitted(&group("h"), Ticket(2));
    assert_eq!(order.read(None, "all"), None);
    assert_eq!(order.settled(&group("g"), Ticket(1)), released(&[], &[]));
    assert_eq!(
        order.settled(&group("h"), Ticket(2)),
        released(&["all"], &[])
    );
}

#[test]
fn a_change_holds_back_what_comes_behind_it() {
    let mut order = Order::default();
    order.submitted(&group("g"), Ticket(1));
    assert_eq!(order.change(&group("g"), "change"), None);
    assert_eq!(order.append("g", "append"), None);
    assert_eq!(order.read(Some("g"), "read"), None);
    assert_eq!(order.append("h", "free"), Some("free"));
    let freed = order.settled(&group("g"), Ticket(1));
    assert_eq!(freed, released(&[], &["change", "append", "read"]));
    assert_eq!(order.change(&group("g"), "now"), Some("now"));
}
