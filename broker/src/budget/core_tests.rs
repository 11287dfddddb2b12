//! Who gets bytes and who gives way, case by case and at random.

use super::*;
use proptest::prelude::*;

const MIB: usize = 1024 * 1024;

fn pool() -> Pool {
    Pool::new(16 * MIB, true)
}

#[test]
fn a_sixteenth_is_kept_for_small_ones() {
    let mut pool = pool();
    let (large, small) = (pool.open(), pool.open());
    assert!(pool.take(large, 15 * MIB, false));
    assert!(!pool.take(large, SMALL + 1, false));
    (0..16).for_each(|_| assert!(pool.take(small, SMALL, true)));
    assert!(!pool.take(small, 1, true));
}

#[test]
fn nobody_overtakes_who_waits_but_small_ones() {
    let mut pool = pool();
    let (first, second) = (pool.open(), pool.open());
    assert!(pool.take(first, 10 * MIB, false));
    let wait = pool.wait(second, 10 * MIB, false);
    assert_eq!(pool.granted(), None);
    assert!(!pool.take(first, MIB, false) && pool.take(first, SMALL, true));
    pool.give(first, 10 * MIB, false);
    assert_eq!(pool.granted(), Some((wait, second, 10 * MIB)));
    assert!(!pool.forget(wait));
}

#[test]
fn more_than_there_is_is_had_alone() {
    let mut pool = pool();
    let (first, second) = (pool.open(), pool.open());
    assert!(pool.take(first, 1, true));
    assert!(!pool.take(second, 100 * MIB, false));
    pool.give(first, 1, false);
    assert!(pool.take(second, 100 * MIB, false) && !pool.take(first, 1, true));
}

#[test]
fn half_of_what_is_free_is_left_for_the_next() {
    let mut pool = pool();
    let holder = pool.open();
    assert_eq!(pool.take_some(holder, MIB, 100 * MIB), Some(15 * MIB / 2));
    assert_eq!(pool.take_some(holder, MIB, MIB / 2), Some(MIB / 2));
    assert_eq!(pool.take_some(holder, 6 * MIB, 100 * MIB), Some(6 * MIB));
    assert_eq!(pool.take_some(holder, 6 * MIB, 100 * MIB), None);
}

#[test]
fn who_holds_most_and_moves_least_gives_way() {
    let mut pool = pool();
    let (little, still, drips, moves, busy) = (
        pool.open(),
        pool.open(),
        pool.open(),
        pool.open(),
        pool.open(),
    );
    assert!(
        pool.take(little, SMALL, true)
            && pool.take(still, MIB, false)
            && pool.take(drips, 3 * MIB, false)
    );
    assert!(pool.take(moves, 5 * MIB, false) && pool.take(busy, 5 * MIB, false));
    pool.busy(busy, 5 * MIB);
    assert_eq!(pool.press(), [], "all have just taken");
    pool.moved(drips, 2);
    pool.moved(moves, MIB);
    assert_eq!(pool.press(), [drips]);
    pool.moved(moves, MIB);
    pool.moved(drips, MIB);
    assert_eq!(pool.press(), [still]);
    pool.moved(moves, MIB);
    pool.moved(drips, MIB);
    pool.moved(still, MIB);
    assert_eq!(pool.press(), [], "all move");
}

#[test]
fn who_waits_is_excused_until_everybody_does() {
    let mut pool = pool();
    let (first, second) = (pool.open(), pool.open());
    assert!(pool.take(first, 8 * MIB, false) && pool.take(second, 7 * MIB, false));
    assert_eq!(pool.press(), []);
    let wait = pool.wait(first, MIB, false);
    assert_eq!(pool.press(), [second]);
    pool.wait(second, MIB, false);
    assert_eq!(pool.press(), [first]);
    assert!(pool.forget(wait));
    assert_eq!(pool.press(), [first]);
}

#[test]
fn small_holders_give_way_when_most_is_theirs() {
    for of_requests in [true, false] {
        let mut pool = Pool::new(16 * MIB, of_requests);
        let moves = pool.open();
        let small: Vec<Holder> = (0..240).map(|_| pool.open()).collect();
        assert!(pool.take(moves, 2 * SMALL, false));
        for (at, holder) in small.iter().enumerate() {
            let bytes = SMALL - usize::from(at != 7);
            assert!(pool.take(*holder, bytes, true));
            // One after the other, until they hold half.
            if at < 127 {
                pool.press();
                pool.moved(moves, SMALL);
                assert_eq!(pool.press(), []);
            }
        }
        pool.wait(moves, MIB, false);
        pool.press();
        pool.moved(moves, SMALL);
        pool.moved(small[8], SMALL);
        let found = pool.press();
        assert_eq!((found.len(), found[0]), (SMALL_AT_ONCE, small[7]));
        assert!(!found.contains(&small[8]) && !found.contains(&moves));
        // One that holds much is before them, unless it waits for room.
        assert_eq!(pool.press() == [moves], !of_requests);
    }
}

#[test]
fn small_holders_that_all_wait_give_way() {
    let mut pool = pool();
    let small: Vec<Holder> = (0..256).map(|_| pool.open()).collect();
    for holder in &small {
        assert!(pool.take(*holder, SMALL, true));
    }
    for holder in &small {
        pool.wait(*holder, 1, true);
    }
    pool.press();
    assert_eq!(pool.press().len(), 1);
}

proptest! {
    /// Whatever happens, what is given back is what was taken, and a wait ends once enough comes back.
    #[test]
    fn every_wait_ends(steps in prop::collection::vec((0..4_usize, 0..6_usize, 1..6 * MIB), 0..200)) {
        let mut pool = pool();
        let holders: Vec<Holder> = (0..4).map(|_| pool.open()).collect();
        let mut taken: Vec<(Holder, usize)> = Vec::new();
        let mut waiting: Vec<Wait> = Vec::new();
        for (who, what, bytes) in steps {
            let holder = holders[who];
            match what {
                0 | 1 => if pool.take(holder, bytes, bytes <= SMALL) { taken.push((holder, bytes)); },
                2 => waiting.push(pool.wait(holder, bytes, bytes <= SMALL)),
                3 => if let Some(bytes) = pool.take_some(holder, MIB, bytes) { taken.push((holder, bytes)); },
                4 => if let Some(wait) = waiting.pop() { prop_assert!(pool.forget(wait)); },
                _ => if let Some((holder, bytes)) = taken.pop() { pool.give(holder, bytes, false); },
            }
            while let Some((wait, holder, bytes)) = pool.granted() {
                waiting.retain(|waiting| *waiting != wait);
                taken.push((holder, bytes));
            }
            prop_assert_eq!(pool.used(), taken.iter().map(|(_, bytes)| bytes).sum::<usize>());
            prop_assert!(pool.used() <= 16 * MIB);
        }
        while let Some((holder, bytes)) = taken.pop() {
            pool.give(holder, bytes, false);
            while let Some((wait, holder, bytes)) = pool.granted() {
                waiting.retain(|waiting| *waiting != wait);
                taken.push((holder, bytes));
            }
        }
        prop_assert!(waiting.is_empty() && pool.used() == 0);
    }
}
