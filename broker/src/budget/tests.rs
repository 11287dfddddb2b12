//! When it is looked who gives way, on a paused clock.

use callboard_supervision::testing::Limit;
use tokio::time::timeout;

use super::*;

const ALL: usize = 16 * 1024 * 1024;

/// Nobody who comes and goes takes the look of those who wait.
#[tokio::test(start_paused = true)]
async fn a_newcomer_does_not_put_off_who_gives_way() {
    let _limit = Limit::start();
    let budget = Budget::new("test", ALL, Waiting::Excuses);
    let [still, waits, comes]: [Arc<Notify>; 3] = Default::default();
    let holder = budget.share(&still);
    let held = holder.force(ALL - SMALL);
    let (waiter, newcomer) = (budget.share(&waits), budget.share(&comes));
    // The first wait begins the measure, and is given up.
    let given_up = timeout(PRESSURE / 2, waiter.take(ALL, false)).await;
    assert!(given_up.is_err());
    // Its look is due 1.5 intervals after the first.
    let waiting = tokio::spawn(waiter.take(ALL, false));
    let before = timeout(PRESSURE * 3 / 4, still.notified()).await;
    assert!(before.is_err(), "it is not yet time");
    // 1.25 intervals after the first.
    let given_up = timeout(Duration::ZERO, newcomer.take(ALL, false)).await;
    assert!(given_up.is_err());
    let told = timeout(PRESSURE / 4 + PRESSURE / 8, still.notified()).await;
    assert!(told.is_ok(), "the holder is not told to give way");
    drop(held);
    let room = timeout(PRESSURE, waiting).await.unwrap().unwrap();
    assert_eq!(room.bytes(), ALL);
    drop(room);
    assert_eq!(budget.free(), ALL);
}
