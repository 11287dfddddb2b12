//! Assignors that take for ever, on a clock that runs: the group goes on, and the process can end.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

mod common;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use callboard_assignor::{AssignError, Assignment, Assignor, Group, Plan};
use callboard_consumer::{Event, HandlerError, Record, ShutdownOptions};
use common::{World, event};

/// What a call into an assignor may take here: long for one that ends.
const LIMIT: Duration = Duration::from_millis(300);
/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Never comes back from a plan.
#[derive(Default)]
struct Loops(Arc<AtomicUsize>);

impl Assignor for Loops {
    fn name(&self) -> &str {
        "loops"
    }

    fn assign(&self, _group: &Group) -> Result<Plan, AssignError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        loop {
            std::thread::park();
        }
    }
}

/// The runtime waited for it, with a thread more for each try of the group.
#[test]
fn an_assignor_that_loops_is_left_behind_four_times_and_the_process_can_end() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let runs = Arc::new(AtomicUsize::new(0));
    let loops = Loops(Arc::clone(&runs));
    runtime.block_on(async {
        let world = World::new(1, 0).await;
        let consumer = world
            .consumer()
            .assignor_timeout(LIMIT)
            .assignors([Arc::new(loops) as Arc<dyn Assignor>])
            .handle(|_record: Record, _context| async { Ok::<_, HandlerError>(()) })
            .start()
            .await
            .unwrap();
        let mut events = consumer.events();
        let too_long = "assignor loops took longer than 300ms";
        let not_run = "assignor loops was not run: 4 earlier runs have not ended yet";
        let mut errors = Vec::new();
        while !errors.ends_with(&[not_run.to_owned(), not_run.to_owned()]) {
            // User data cannot be made either by then, and that holds nothing up.
            let failed = event(&mut events, |event| {
                matches!(event, Event::AssignorFailed { call: "assign", .. })
            });
            if let Event::AssignorFailed {
                assignor, error, ..
            } = failed.await
            {
                assert_eq!(assignor, "loops");
                assert!([too_long, not_run].contains(&&*error), "{error}");
                errors.push(error);
            }
        }
        assert!(errors.len() >= 4 + 2, "{errors:?}");
        consumer.shutdown(ShutdownOptions::default()).await;
        world.stage.finish().await;
    });
    assert_eq!(runs.load(Ordering::SeqCst), 4);
    let (ended, end) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        drop(runtime);
        let _ = ended.send(());
    });
    assert!(
        end.recv_timeout(PATIENCE).is_ok(),
        "the runtime waits for an assignor"
    );
}

/// Makes user data once it is let go, and gives everything to the last member.
struct Slow {
    go: Arc<(Mutex<bool>, Condvar)>,
    told: Arc<Mutex<Vec<Option<Vec<u8>>>>>,
}

impl Assignor for Slow {
    fn name(&self) -> &str {
        "slow"
    }

    fn user_data(&self, _topics: &BTreeSet<String>, _last: Option<&Assignment>) -> Option<Vec<u8>> {
        let (go, changed) = &*self.go;
        let mut gone = go.lock().unwrap();
        while !*gone {
            gone = changed.wait(gone).unwrap();
        }
        Some(b"late".to_vec())
    }

    fn assign(&self, group: &Group) -> Result<Plan, AssignError> {
        let mut plan = Plan::new(group);
        let last = group.member_indices().last().unwrap();
        for topic in group.topic_indices() {
            plan.give_all(last, group.partitions(topic));
        }
        let user_data = group.member(last).user_data().map(<[u8]>::to_vec);
        self.told.lock().unwrap().push(user_data);
        Ok(plan)
    }
}

/// It ran inside of the join, without heartbeats and for longer than a session: such a member never came to be one.
#[tokio::test]
async fn a_member_joins_without_user_data_that_takes_too_long_and_with_it_once_it_is_there() {
    let world = World::new(1, 0).await;
    let (go, told) = (Arc::default(), Arc::default());
    let slow = Slow {
        go: Arc::clone(&go),
        told: Arc::clone(&told),
    };
    let consumer = world
        .consumer()
        .assignor_timeout(LIMIT)
        .assignors([Arc::new(slow) as Arc<dyn Assignor>])
        .handle(|_record: Record, _context| async { Ok::<_, HandlerError>(()) })
        .start()
        .await
        .unwrap();
    let mut events = consumer.events();
    let assigned = |event: &Event| matches!(event, Event::Assigned { .. });
    let no_user_data = |event: &Event| {
        matches!(
            event,
            Event::AssignorFailed {
                call: "user_data",
                ..
            }
        )
    };
    let Event::AssignorFailed {
        assignor, error, ..
    } = event(&mut events, no_user_data).await
    else {
        unreachable!()
    };
    assert_eq!(assignor, "slow");
    assert_eq!(error, "assignor slow took longer than 300ms");
    // The second join, under the member id it was given, does not wait for another thread.
    let Event::AssignorFailed { error, .. } = event(&mut events, no_user_data).await else {
        unreachable!()
    };
    assert_eq!(error, "assignor slow is at work on its last user data");
    event(&mut events, assigned).await;
    assert_eq!(told.lock().unwrap().last(), Some(&None));

    *go.0.lock().unwrap() = true;
    go.1.notify_all();
    let late = Some(b"late".to_vec());
    tokio::time::timeout(PATIENCE, async {
        while told.lock().unwrap().last() != Some(&late) {
            consumer.enforce_rebalance("there is user data");
            event(&mut events, assigned).await;
        }
    })
    .await
    .expect("it never joined with its user data");
    assert!(consumer.shutdown(ShutdownOptions::default()).await.drained);
    world.stage.finish().await;
}
