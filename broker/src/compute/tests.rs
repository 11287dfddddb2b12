//! The pool on a real runtime: what order jobs end in, and that none is lost.

use std::time::Duration;

use callboard_supervision::testing::Limit;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::*;

/// Tells its name at the end of so many slices. The first slice waits for the gate, if there is one.
struct Slices {
    name: &'static str,
    left: usize,
    gate: Option<std::sync::mpsc::Receiver<()>>,
    told: UnboundedSender<&'static str>,
}

impl Job for Slices {
    fn step(&mut self, _bytes: usize) -> Progress {
        if let Some(gate) = self.gate.take() {
            gate.recv_timeout(Duration::from_secs(30)).unwrap();
        }
        self.left -= 1;
        if self.left > 0 {
            return Progress::Unfinished;
        }
        self.told.send(self.name).unwrap();
        Progress::Done
    }
}

struct Kit {
    compute: Compute,
    tell: UnboundedSender<&'static str>,
    told: UnboundedReceiver<&'static str>,
}

impl Kit {
    fn new(threads: usize, queue_max: usize) -> Self {
        let (tell, told) = unbounded_channel();
        Self {
            compute: Compute::new(threads, queue_max, 64 * 1024 * 1024),
            tell,
            told,
        }
    }

    fn submit(&self, lane: &Lane, name: &'static str, slices: usize) {
        self.submit_behind(lane, name, slices, None);
    }

    fn submit_behind(
        &self,
        lane: &Lane,
        name: &'static str,
        slices: usize,
        gate: Option<std::sync::mpsc::Receiver<()>>,
    ) {
        let told = self.tell.clone();
        self.compute.submit(
            lane,
            Slices {
                name,
                left: slices,
                gate,
                told,
            },
        );
    }

    async fn names(&mut self, count: usize) -> Vec<&'static str> {
        let mut names = Vec::new();
        while names.len() < count {
            let next = tokio::time::timeout(Duration::from_secs(30), self.told.recv());
            names.push(next.await.unwrap().unwrap());
        }
        names
    }
}

#[tokio::test]
async fn a_small_job_waits_for_slices_and_not_for_jobs() {
    let _limit = Limit::start();
    let mut kit = Kit::new(1, 10);
    let (bombs, small) = (kit.compute.lane(), kit.compute.lane());
    let (open, gate) = std::sync::mpsc::channel();
    kit.submit_behind(&bombs, "bomb 1", 1_000, Some(gate));
    kit.submit(&bombs, "bomb 2", 1_000);
    kit.submit(&small, "small", 2);
    assert!(!bombs.is_idle() && !small.is_idle());
    open.send(()).unwrap();
    assert_eq!(kit.names(3).await, ["small", "bomb 1", "bomb 2"]);
    // Behind the last one: its end is seen.
    kit.compute.run(&small, || ()).await.unwrap();
    kit.compute.run(&bombs, || ()).await.unwrap();
}

#[tokio::test]
async fn a_lane_keeps_its_order_on_many_threads() {
    let _limit = Limit::start();
    let mut kit = Kit::new(4, 10);
    let lane = kit.compute.lane();
    let names = ["1", "2", "3", "4", "5", "6"];
    for (at, name) in names.iter().enumerate() {
        kit.submit(&lane, name, names.len() - at);
    }
    assert_eq!(kit.names(names.len()).await, names);
}

#[tokio::test]
async fn a_panic_costs_its_job_and_nothing_else() {
    let _limit = Limit::start();
    let kit = Kit::new(1, 10);
    let lane = kit.compute.lane();
    let failed = kit.compute.run(&lane, || panic!("as the test wants"));
    assert_eq!(failed.await, None::<()>);
    assert_eq!(kit.compute.run(&lane, || 7).await, Some(7));
}

/// Never done. Tells that it is at work.
struct Endless(UnboundedSender<&'static str>);

impl Job for Endless {
    fn step(&mut self, _bytes: usize) -> Progress {
        let _ = self.0.send("endless");
        Progress::Unfinished
    }
}

/// Panics when it is dropped.
struct Spoilt;

impl Job for Spoilt {
    fn step(&mut self, _bytes: usize) -> Progress {
        Progress::Done
    }
}

impl Drop for Spoilt {
    fn drop(&mut self) {
        panic!("as the test wants");
    }
}

#[tokio::test]
async fn a_panic_of_a_reply_costs_no_thread() {
    let _limit = Limit::start();
    let kit = Kit::new(1, 10);
    let lane = kit.compute.lane();
    kit.compute.submit(&lane, Spoilt);
    assert_eq!(kit.compute.run(&lane, || 7).await, Some(7));
    // Another thread, or the same one.
    while !lane.is_idle() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(kit.compute.run(&kit.compute.lane(), || 8).await, Some(8));
}

#[tokio::test]
async fn a_closed_pool_drops_what_is_in_it_and_what_comes() {
    let _limit = Limit::start();
    let mut kit = Kit::new(1, 10);
    let (busy, other) = (kit.compute.lane(), kit.compute.lane());
    kit.compute.submit(&busy, Endless(kit.tell.clone()));
    kit.compute.submit(&other, Endless(kit.tell.clone()));
    let behind = kit.compute.run(&busy, || ());
    kit.names(1).await;
    kit.compute.close();
    assert_eq!(behind.await, None);
    assert_eq!(kit.compute.run(&other, || ()).await, None);
    while !busy.is_idle() || !other.is_idle() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(kit.compute.pool.state().queue.jobs(), 0);
}

#[tokio::test]
async fn what_is_full_takes_more_and_says_so() {
    let _limit = Limit::start();
    let kit = Kit::new(1, 2);
    let lane = kit.compute.lane();
    let (open, gate) = std::sync::mpsc::channel();
    assert!(!kit.compute.is_full());
    kit.submit_behind(&lane, "1", 1, Some(gate));
    let second = kit.compute.run(&lane, || 2);
    assert!(kit.compute.is_full());
    let third = kit.compute.run(&lane, || 3);
    open.send(()).unwrap();
    assert_eq!((second.await, third.await), (Some(2), Some(3)));
}

/// Holds so much, and waits in its only slice until as many as there may be threads are in theirs.
struct Meeting {
    memory: usize,
    meet: Option<Arc<std::sync::Barrier>>,
    told: UnboundedSender<&'static str>,
}

impl Job for Meeting {
    fn step(&mut self, _bytes: usize) -> Progress {
        if let Some(meet) = &self.meet {
            meet.wait();
        }
        self.told.send("met").unwrap();
        Progress::Done
    }

    fn memory(&self) -> usize {
        self.memory
    }
}

/// One that leaves no room for others sends the other threads home; when it has ended, they are back.
#[tokio::test]
async fn threads_come_back_when_there_is_room_again() {
    const ALL: usize = 64 * 1024 * 1024;
    let _limit = Limit::start();
    let mut kit = Kit::new(2, 10);
    let submit = |memory, meet| {
        let told = kit.tell.clone();
        kit.compute
            .submit(&kit.compute.lane(), Meeting { memory, meet, told });
    };
    // Both threads are here, so that both see what is left behind it.
    let begin = Arc::new(std::sync::Barrier::new(2));
    submit(ALL, Some(Arc::clone(&begin)));
    let meet = Arc::new(std::sync::Barrier::new(2));
    submit(ALL / 2, Some(Arc::clone(&meet)));
    submit(ALL / 2, Some(Arc::clone(&meet)));
    // The second one has found no room for either.
    while kit.compute.pool.state().threads > 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    begin.wait();
    assert_eq!(kit.names(3).await, ["met"; 3]);
}

#[tokio::test]
async fn work_is_done_although_nobody_waits() {
    let _limit = Limit::start();
    let mut kit = Kit::new(1, 2);
    let lane = kit.compute.lane();
    let tell = kit.tell.clone();
    drop(kit.compute.run(&lane, move || tell.send("done").unwrap()));
    assert_eq!(kit.names(1).await, ["done"]);
}
