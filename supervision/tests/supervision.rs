//! Supervisor, addresses and stage together, under virtual time.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callboard_supervision::testing::Stage;
use callboard_supervision::{
    Addr, CallError, ChildSpec, Envelope, Restart, RestartPolicy, RpcReplyPort, StopHow,
    Supervisor, SupervisorMsg, spawn_linked,
};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::Instant;

const TIMEOUT: Duration = Duration::from_secs(60);

enum Msg {
    Panic,
    Fail,
    Stop,
    /// Answers the incarnation.
    Ask(RpcReplyPort<u64>),
    /// Never answers, keeps the port.
    Keep(RpcReplyPort<u64>),
}

#[derive(Default)]
struct Worker {
    log: Arc<Mutex<Vec<String>>>,
}

struct State {
    incarnation: u64,
    kept: Vec<RpcReplyPort<u64>>,
}

#[ractor::async_trait]
impl Actor for Worker {
    type Msg = Envelope<Msg>;
    type State = State;
    type Arguments = u64;

    async fn pre_start(
        &self,
        _: ActorRef<Self::Msg>,
        incarnation: u64,
    ) -> Result<State, ActorProcessingErr> {
        Ok(State {
            incarnation,
            kept: Vec::new(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message.open() {
            Msg::Panic => panic!("as asked"),
            Msg::Fail => return Err("as asked".into()),
            Msg::Stop => myself.stop(None),
            Msg::Ask(port) => port.send(state.incarnation)?,
            Msg::Keep(port) => state.kept.push(port),
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        _: ActorRef<Self::Msg>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        self.log
            .lock()
            .unwrap()
            .push(format!("stopped {}", state.incarnation));
        Ok(())
    }
}

/// A supervised worker whose present address is in the slot.
fn worker(id: &str, slot: &Arc<Mutex<Option<Addr<Msg>>>>) -> ChildSpec {
    let slot = Arc::clone(slot);
    ChildSpec::new(id, "worker", move |supervisor, incarnation| {
        let slot = Arc::clone(&slot);
        async move {
            let (address, _join) =
                spawn_linked("worker", Worker::default(), incarnation, supervisor).await?;
            let cell = address.actor().get_cell();
            *slot.lock().unwrap() = Some(address);
            Ok(cell)
        }
    })
}

/// The present address in a slot.
fn now(slot: &Mutex<Option<Addr<Msg>>>) -> Addr<Msg> {
    slot.lock().unwrap().clone().unwrap()
}

async fn ask(address: &Addr<Msg>) -> Result<u64, CallError> {
    address.call(Msg::Ask, TIMEOUT).await
}

async fn start(supervisor: &Addr<SupervisorMsg>, spec: ChildSpec) -> ractor::ActorCell {
    supervisor
        .call(|reply| SupervisorMsg::Start(spec, reply), TIMEOUT)
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_failed_child_is_back_after_its_backoff_and_its_sibling_never_notices() {
    let stage = Stage::new().await;
    let (supervisor, _) = Supervisor::spawn_linked("supervisor", stage.cell())
        .await
        .unwrap();
    let (a, b) = (Arc::default(), Arc::default());
    let first = start(&supervisor, worker("a", &a)).await;
    start(&supervisor, worker("b", &b)).await;
    let begun = Instant::now();

    let old = now(&a);
    old.cast(Msg::Panic).unwrap();
    first.wait(None).await.unwrap();
    assert!(old.cast(Msg::Stop).is_err());
    tokio::time::sleep(Duration::from_millis(51)).await;

    let new = now(&a);
    assert_eq!(ask(&new).await, Ok(1));
    assert_eq!(begun.elapsed(), Duration::from_millis(51));
    assert_eq!(ask(&now(&b)).await, Ok(0));
    stage.expect_failure("worker");
    stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_used_up_budget_fails_the_supervisor() {
    let stage = Stage::new().await;
    let (supervisor, ended) = Supervisor::spawn_linked("supervisor", stage.cell())
        .await
        .unwrap();
    let slot = Arc::default();
    let policy = RestartPolicy {
        max_restarts: 2,
        ..RestartPolicy::default()
    };
    start(&supervisor, worker("a", &slot).policy(policy)).await;
    for incarnation in 0..3 {
        let address = now(&slot);
        assert_eq!(ask(&address).await, Ok(incarnation));
        address.cast(Msg::Fail).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    ended.await.unwrap();
    assert!(!supervisor.is_alive());
    for kind in ["worker", "worker", "worker", "supervisor"] {
        stage.expect_failure(kind);
    }
    stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_child_may_be_given_up_and_its_siblings_go_on() {
    let stage = Stage::new().await;
    let (supervisor, _ended) = Supervisor::spawn_linked("supervisor", stage.cell())
        .await
        .unwrap();
    let (ill, well, given_up) = (Arc::default(), Arc::default(), Arc::new(AtomicU64::new(0)));
    let policy = RestartPolicy {
        max_restarts: 2,
        ..RestartPolicy::default()
    };
    let count = Arc::clone(&given_up);
    let spec = worker("ill", &ill).policy(policy).give_up(move || {
        count.fetch_add(1, Ordering::Relaxed);
    });
    start(&supervisor, spec).await;
    start(&supervisor, worker("well", &well)).await;
    for incarnation in 0..3 {
        assert_eq!(given_up.load(Ordering::Relaxed), 0);
        let address = now(&ill);
        assert_eq!(ask(&address).await, Ok(incarnation));
        address.cast(Msg::Fail).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        stage.expect_failure("worker");
    }
    assert_eq!(given_up.load(Ordering::Relaxed), 1);
    assert!(!now(&ill).is_alive());
    assert_eq!(ask(&now(&well)).await, Ok(0));
    // Its place is free.
    start(&supervisor, worker("ill", &ill)).await;
    assert_eq!(ask(&now(&ill)).await, Ok(0));
    stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn normal_ends_restart_the_permanent_and_remove_the_transient() {
    let stage = Stage::new().await;
    let (supervisor, _) = Supervisor::spawn_linked("supervisor", stage.cell())
        .await
        .unwrap();
    let (permanent, transient) = (Arc::default(), Arc::default());
    start(&supervisor, worker("p", &permanent)).await;
    start(
        &supervisor,
        worker("t", &transient).restart(Restart::Transient),
    )
    .await;
    for slot in [&permanent, &transient] {
        slot.lock()
            .unwrap()
            .clone()
            .unwrap()
            .cast(Msg::Stop)
            .unwrap();
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(ask(&now(&permanent)).await, Ok(1));
    assert_eq!(ask(&now(&transient)).await, Err(CallError::Gone));
    let existed = supervisor
        .call(
            |reply| SupervisorMsg::Stop("t".into(), TIMEOUT, reply),
            TIMEOUT,
        )
        .await
        .unwrap();
    assert!(!existed);
    stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_temporary_child_may_fail_without_consequence() {
    let stage = Stage::new().await;
    let (supervisor, _) = Supervisor::spawn_linked("supervisor", stage.cell())
        .await
        .unwrap();
    let slot = Arc::default();
    let cell = start(&supervisor, worker("c", &slot).restart(Restart::Temporary)).await;
    slot.lock()
        .unwrap()
        .clone()
        .unwrap()
        .cast(Msg::Panic)
        .unwrap();
    cell.wait(None).await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(supervisor.is_alive());
    start(&supervisor, worker("c", &slot)).await;
    stage.expect_failure("worker");
    stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_the_youngest_first_and_lets_each_finish() {
    let stage = Stage::new().await;
    let (supervisor, ended) = Supervisor::spawn_linked("supervisor", stage.cell())
        .await
        .unwrap();
    let log: Arc<Mutex<Vec<String>>> = Arc::default();
    for number in 0..3u64 {
        let log = Arc::clone(&log);
        let spec = ChildSpec::new(format!("{number}"), "worker", move |supervisor, _| {
            let log = Arc::clone(&log);
            async move {
                let (address, _join) =
                    spawn_linked("worker", Worker { log }, number, supervisor).await?;
                Ok(address.actor().get_cell())
            }
        });
        start(&supervisor, spec.stop(StopHow::Drain)).await;
    }
    supervisor
        .call(|reply| SupervisorMsg::Shutdown(TIMEOUT, reply), TIMEOUT)
        .await
        .unwrap();
    ended.await.unwrap();
    assert_eq!(
        *log.lock().unwrap(),
        ["stopped 2", "stopped 1", "stopped 0"]
    );
    stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_child_that_cannot_start_again_costs_the_same_budget() {
    let stage = Stage::new().await;
    let (supervisor, ended) = Supervisor::spawn_linked("supervisor", stage.cell())
        .await
        .unwrap();
    let starts = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&starts);
    let spec = ChildSpec::new("a", "worker", move |supervisor, incarnation| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move {
            if incarnation > 0 {
                return Err(callboard_supervision::SpawnError {
                    kind: "worker",
                    reason: "no".into(),
                });
            }
            let (address, _join) =
                spawn_linked("worker", Worker::default(), incarnation, supervisor).await?;
            address.cast(Msg::Fail).unwrap();
            Ok(address.actor().get_cell())
        }
    });
    start(&supervisor, spec).await;
    ended.await.unwrap();
    // The first start and five restarts, the policy's default.
    assert_eq!(starts.load(Ordering::Relaxed), 6);
    stage.expect_failure("worker");
    stage.expect_failure("supervisor");
    stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_when_the_callee_fails_or_takes_too_long() {
    let stage = Stage::new().await;
    let worker = stage.spawn("worker", Worker::default(), 0).await;
    assert_eq!(
        worker.call(Msg::Keep, Duration::from_secs(1)).await,
        Err(CallError::Timeout)
    );
    let waiting = worker.clone();
    let call = tokio::spawn(async move { waiting.call(Msg::Keep, TIMEOUT).await });
    tokio::task::yield_now().await;
    worker.cast(Msg::Panic).unwrap();
    assert_eq!(call.await.unwrap(), Err(CallError::Dropped));
    assert_eq!(ask(&worker).await, Err(CallError::Gone));
    stage.expect_failure("worker");
    stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_timer_sends_nothing() {
    let stage = Stage::new().await;
    let worker = stage.spawn("worker", Worker::default(), 0).await;
    drop(worker.send_after(Duration::from_secs(1), Msg::Panic));
    let kept = worker.send_after(Duration::from_secs(2), Msg::Stop);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(kept.has_fired());
    assert!(!worker.is_alive());
    stage.finish().await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "actors failed: [\"worker: panic\"]")]
async fn a_panic_fails_the_test() {
    let stage = Stage::new().await;
    let worker = stage.spawn("worker", Worker::default(), 0).await;
    worker.cast(Msg::Panic).unwrap();
    worker.actor().wait(None).await.unwrap();
    stage.finish().await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "actors failed: [\"worker: as asked\"]")]
async fn a_failure_deep_in_the_tree_fails_the_test_although_it_was_handled() {
    let stage = Stage::new().await;
    let (supervisor, _) = Supervisor::spawn_linked("supervisor", stage.cell())
        .await
        .unwrap();
    let slot = Arc::default();
    start(&supervisor, worker("a", &slot)).await;
    slot.lock()
        .unwrap()
        .clone()
        .unwrap()
        .cast(Msg::Fail)
        .unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    // No finish: dropping the stage checks as well.
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "expected failures that did not come")]
async fn an_announced_failure_must_come() {
    let stage = Stage::new().await;
    stage.expect_failure("worker");
    stage.finish().await;
}

/// The recorder is local to this thread, and so is the runtime.
#[test]
fn the_mailbox_gauge_comes_back_to_zero_whatever_happens_to_the_messages() {
    use metrics::{
        Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata,
        Recorder, SharedString, Unit,
    };
    #[derive(Default)]
    struct Sum(Mutex<f64>);
    impl GaugeFn for Sum {
        fn increment(&self, value: f64) {
            *self.0.lock().unwrap() += value;
        }
        fn decrement(&self, value: f64) {
            *self.0.lock().unwrap() -= value;
        }
        fn set(&self, _: f64) {}
    }
    impl CounterFn for Sum {
        fn increment(&self, value: u64) {
            *self.0.lock().unwrap() += value as f64;
        }
        fn absolute(&self, _: u64) {}
    }
    impl HistogramFn for Sum {
        fn record(&self, _: f64) {
            *self.0.lock().unwrap() += 1.0;
        }
    }
    #[derive(Default)]
    struct Sums(Mutex<std::collections::BTreeMap<String, Arc<Sum>>>);
    impl Sums {
        fn of(&self, key: &Key) -> Arc<Sum> {
            let labels: Vec<_> = key.labels().map(|label| label.value().to_owned()).collect();
            let name = format!(
                "{}{labels:?}",
                key.name().trim_start_matches("callboard_actor_")
            );
            Arc::clone(self.0.lock().unwrap().entry(name).or_default())
        }
        fn get(&self, name: &str) -> f64 {
            self.0
                .lock()
                .unwrap()
                .get(name)
                .map_or(0.0, |sum| *sum.0.lock().unwrap())
        }
    }
    impl Recorder for Sums {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            Counter::from_arc(self.of(key))
        }
        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::from_arc(self.of(key))
        }
        fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::from_arc(self.of(key))
        }
    }
    let sums = Sums::default();
    metrics::with_local_recorder(&sums, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let stage = Stage::new().await;
            let worker = stage.spawn("worker", Worker::default(), 0).await;
            assert_eq!(ask(&worker).await, Ok(0));
            worker.cast(Msg::Panic).unwrap();
            worker.cast(Msg::Stop).unwrap();
            worker.cast(Msg::Stop).unwrap();
            assert_eq!(sums.get("mailbox_messages[\"worker\"]"), 3.0);
            assert_eq!(sums.get("instances[\"worker\"]"), 1.0);
            worker.actor().wait(None).await.unwrap();
            assert!(worker.cast(Msg::Stop).is_err());
            stage.expect_failure("worker");
            stage.finish().await;
        });
    });
    assert_eq!(sums.get("mailbox_messages[\"worker\"]"), 0.0);
    assert_eq!(sums.get("instances[\"worker\"]"), 0.0);
    // Opened: the question and the panic; the two behind it were dropped with the queue.
    assert_eq!(sums.get("mailbox_wait_seconds[\"worker\"]"), 2.0);
    assert_eq!(sums.get("exits_total[\"worker\", \"panic\"]"), 1.0);
}
