//! Commits from many groups, and the power goes: whatever was answered is there afterwards.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use callboard_protocol::ErrorCode;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::house::*;
use crate::{Call, Reply};

/// The newest answered offset of a group's partition.
type Answered = Arc<Mutex<BTreeMap<(String, i32), i64>>>;

#[tokio::test(start_paused = true)]
async fn nothing_that_was_answered_is_lost_when_the_power_goes() {
    let seed: u64 = rand::rng().random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut house = House::new().await;
    let answered = Answered::default();
    let mut next_offset = 0;
    for _crash in 0..25 {
        house.log.hold();
        for _step in 0..random.random_range(1..60) {
            let group = format!("group-{}", random.random_range(0..6));
            let partition = random.random_range(0..8);
            next_offset += 1;
            note(&house, &answered, (group, partition), next_offset);
            if random.random_bool(0.3) {
                rest().await;
                house.log.release_some(random.random_range(0..6));
            }
        }
        rest().await;
        let before = answered.lock().unwrap().clone();
        house.power_cut().await;
        rest().await;
        for ((group, partition), newest) in before {
            let fetched = house.fetch(&[&group]).await.unwrap();
            assert_eq!(fetched.groups[0].error, ErrorCode::NONE);
            let kept = committed(&fetched)
                .into_iter()
                .find(|(at, _)| *at == partition);
            let kept = kept.map_or(-1, |(_, offset)| offset);
            assert!(
                kept >= newest,
                "{group} {partition}: answered {newest}, kept {kept}"
            );
        }
    }
    house.stage.finish().await;
}

/// Commits, and notes the answer when it comes.
fn note(house: &House, answered: &Answered, at: (String, i32), offset: i64) {
    let request = commit(&at.0, at.1, offset);
    let answered = Arc::clone(answered);
    let reply = Reply::new(move |answer| {
        if code(&answer) == ErrorCode::NONE {
            answered.lock().unwrap().insert(at, offset);
        }
    });
    house
        .coordinators
        .submit(vec![Call::OffsetCommit(request, reply)]);
}
