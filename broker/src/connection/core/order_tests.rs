//! The order of a connection, case by case and at random.

use super::*;
use proptest::prelude::*;

fn with_frames(count: u32) -> Order<u32, u32> {
    let mut order = Order::default();
    (0..count).for_each(|frame| order.arrived(frame));
    order
}

#[test]
fn answers_leave_in_the_order_of_the_requests() {
    let mut order = with_frames(3);
    let numbers: Vec<_> = std::iter::from_fn(|| order.start()).collect();
    assert_eq!(numbers.len(), 3);
    assert!(order.answer(numbers[2].0, 2) && order.answer(numbers[0].0, 0));
    assert_eq!((order.leave(), order.leave()), (Some(0), None));
    assert!(order.answer(numbers[1].0, 1));
    assert_eq!(
        (order.leave(), order.leave(), order.leave()),
        (Some(1), Some(2), None)
    );
    assert_eq!(order.len(), 0);
}

#[test]
fn nothing_starts_behind_a_barrier_until_it_is_answered() {
    let mut order = with_frames(2);
    let (join, _) = order.start().unwrap();
    order.raise(join, Follow::Barrier);
    assert!(order.start().is_none());
    assert!(order.answer(join, 0));
    assert_eq!(order.start().unwrap().1, 1);
}

#[test]
fn a_barrier_answered_at_once_is_none() {
    let mut order = with_frames(2);
    let (join, _) = order.start().unwrap();
    order.answer(join, 0);
    order.raise(join, Follow::Barrier);
    assert!(order.start().is_some());
}

#[test]
fn a_second_answer_is_dropped() {
    let mut order = with_frames(1);
    let (number, _) = order.start().unwrap();
    assert!(order.answer(number, 0));
    assert!(!order.answer(number, 1));
    assert_eq!(order.leave(), Some(0));
    assert!(!order.answer(number, 2));
}

#[derive(Clone, Debug)]
enum Step {
    Arrive,
    Start(bool),
    Answer(usize),
    Leave,
}

proptest! {
    #[test]
    fn whatever_happens_order_holds_and_barriers_hold(steps in prop::collection::vec(prop_oneof![
        Just(Step::Arrive), any::<bool>().prop_map(Step::Start), any::<usize>().prop_map(Step::Answer), Just(Step::Leave),
    ], 0..200)) {
        let mut order: Order<u64, u64> = Order::default();
        let (mut arrived, mut started, mut left) = (0, 0, 0);
        let mut open: Vec<(RequestNumber, u64, bool)> = Vec::new();
        for step in steps {
            match step {
                Step::Arrive => { order.arrived(arrived); arrived += 1; }
                Step::Start(barrier) => {
                    if let Some((number, frame)) = order.start() {
                        prop_assert!(open.iter().all(|(_, _, barrier)| !barrier), "started behind a barrier");
                        prop_assert_eq!(frame, started);
                        started += 1;
                        order.raise(number, if barrier { Follow::Barrier } else { Follow::AtOnce });
                        open.push((number, frame, barrier));
                    }
                }
                Step::Answer(which) if !open.is_empty() => {
                    let (number, frame, _) = open.remove(which % open.len());
                    prop_assert!(order.answer(number, frame));
                }
                Step::Answer(_) => {}
                Step::Leave => if let Some(frame) = order.leave() {
                    prop_assert_eq!(frame, left);
                    left += 1;
                }
            }
            prop_assert_eq!(order.len() as u64, arrived - left);
        }
    }
}
