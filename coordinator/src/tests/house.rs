//! What the tests stand on: coordinators on a stage, and requests as one line each.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use callboard_offsets::log::OffsetsLog;
use callboard_offsets::memory::MemoryLog;
use callboard_protocol::{ErrorCode, Uuid};
use callboard_supervision::testing::Stage;
use callboard_supervision::{Addr, Supervisor, SupervisorMsg};
use tokio::sync::oneshot;

use crate::request::{self, TopicRef};
use crate::{
    Call, CoordinatorConfig, Coordinators, DeletedTopic, Reply, TopicLookup, TopicsImage, response,
};

pub(super) const PARTITIONS: u32 = 4;
pub(super) const TIMEOUT: Duration = Duration::from_secs(60);

/// One topic `t` of eight partitions.
pub(super) struct OneTopic;

impl OneTopic {
    pub(super) const ID: Uuid = Uuid([7; 16]);
}

impl TopicLookup for OneTopic {
    fn partitions(&self, name: &str) -> Option<i32> {
        (name == "t").then_some(8)
    }

    fn id_of(&self, name: &str) -> Option<Uuid> {
        (name == "t").then_some(Self::ID)
    }

    fn name_of(&self, id: Uuid) -> Option<Arc<str>> {
        (id == Self::ID).then(|| "t".into())
    }
}

/// No topic at all.
struct NoTopic;

impl TopicLookup for NoTopic {
    fn partitions(&self, _: &str) -> Option<i32> {
        None
    }
}

/// `t` is deleted. The receiver hears it when nobody has anything of it any more.
pub(super) fn delete_topic(coordinators: &Coordinators) -> Answer<Uuid> {
    let image = TopicsImage {
        topics: Arc::new(NoTopic),
        deleted: vec![DeletedTopic {
            id: OneTopic::ID,
            name: "t".into(),
        }],
    };
    let (tell, told) = oneshot::channel();
    let tell = Mutex::new(Some(tell));
    let forgotten = move |id| {
        let tell = tell.lock().unwrap().take().expect("it is told once");
        let _ = tell.send(id);
    };
    coordinators.topics_changed(image, Arc::new(forgotten));
    told
}

pub(super) struct House {
    pub(super) stage: Stage,
    pub(super) log: Arc<MemoryLog>,
    pub(super) root: Addr<SupervisorMsg>,
    pub(super) coordinators: Coordinators,
}

/// An answer on its way. An error: the reply was dropped, and the connection would close.
pub(super) type Answer<T> = oneshot::Receiver<T>;

impl House {
    /// Coordinators that have loaded an empty log.
    pub(super) async fn new() -> Self {
        let house = Self::over(Arc::new(MemoryLog::new(PARTITIONS))).await;
        rest().await;
        assert!(house.coordinators.ready());
        house
    }

    /// Coordinators that are about to load `log`.
    pub(super) async fn over(log: Arc<MemoryLog>) -> Self {
        let stage = Stage::new().await;
        let (root, coordinators) = start(&stage, &log).await;
        Self {
            stage,
            log,
            root,
            coordinators,
        }
    }

    /// The power goes: the process is gone at once and every unsynced byte with it. The next one starts on what is left.
    pub(super) async fn power_cut(&mut self) {
        self.root.actor().kill();
        rest().await;
        self.log.crash();
        (self.root, self.coordinators) = start(&self.stage, &self.log).await;
    }

    /// Ends it in order.
    pub(super) async fn stop(&self) {
        self.root
            .call(|reply| SupervisorMsg::Shutdown(TIMEOUT, reply), TIMEOUT)
            .await
            .unwrap();
    }

    pub(super) fn delete_topic(&self) -> Answer<Uuid> {
        delete_topic(&self.coordinators)
    }

    /// `t` is there, and everything of an earlier one of its name is forgotten.
    pub(super) fn create_topic(&self) {
        let image = TopicsImage::of(Arc::new(OneTopic));
        let forgotten = |_| panic!("nothing was deleted");
        self.coordinators.topics_changed(image, Arc::new(forgotten));
    }

    /// Sends one call of its own.
    pub(super) fn ask<Q, A: Send + 'static>(
        &self,
        call: impl FnOnce(Q, Reply<A>) -> Call,
        request: Q,
    ) -> Answer<A> {
        let (answer, wait) = oneshot::channel();
        let reply = Reply::new(move |given| drop(answer.send(given)));
        self.coordinators.submit(vec![call(request, reply)]);
        wait
    }

    pub(super) fn join(&self, group: &str, member_id: &str) -> Answer<response::JoinGroup> {
        let join = request::JoinGroup {
            group_id: group.into(),
            member_id: member_id.into(),
            group_instance_id: None,
            client_id: "client".into(),
            client_host: "/127.0.0.1".into(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 60_000,
            protocol_type: "consumer".into(),
            protocols: vec![request::JoinProtocol {
                name: "range".into(),
                metadata: Bytes::from_static(b"m"),
            }],
            reason: None,
            member_id_required: false,
            can_skip_assignment: true,
            paid: request::Paid::default(),
        };
        self.ask(Call::JoinGroup, join)
    }

    pub(super) fn sync(
        &self,
        group: &str,
        member: &response::JoinGroup,
    ) -> Answer<response::SyncGroup> {
        let plan = request::SyncAssignment {
            member_id: member.member_id.to_string(),
            assignment: Bytes::from_static(b"all of it"),
        };
        let sync = request::SyncGroup {
            group_id: group.into(),
            generation_id: member.generation_id,
            member_id: member.member_id.to_string(),
            group_instance_id: None,
            protocol_type: None,
            protocol_name: None,
            protocol_required: false,
            assignments: vec![plan],
            paid: request::Paid::default(),
        };
        self.ask(Call::SyncGroup, sync)
    }

    /// A Stable group of one; its member as it was told.
    pub(super) async fn stable(&self, group: &str) -> response::JoinGroup {
        let member = self.join(group, "").await.unwrap();
        assert_eq!(member.error, ErrorCode::NONE);
        let synced = self.sync(group, &member).await.unwrap();
        assert_eq!(synced.error, ErrorCode::NONE);
        assert_eq!(&synced.assignment[..], b"all of it");
        member
    }

    pub(super) fn heartbeat(
        &self,
        group: &str,
        member: &response::JoinGroup,
    ) -> Answer<response::Heartbeat> {
        let heartbeat = request::Heartbeat {
            group_id: group.into(),
            generation_id: member.generation_id,
            member_id: member.member_id.to_string(),
            group_instance_id: None,
        };
        self.ask(Call::Heartbeat, heartbeat)
    }

    /// A simple consumer's commit.
    pub(super) fn commit(
        &self,
        group: &str,
        partition: i32,
        offset: i64,
    ) -> Answer<response::OffsetCommit> {
        self.ask(Call::OffsetCommit, commit(group, partition, offset))
    }

    pub(super) fn fetch(&self, groups: &[&str]) -> Answer<response::OffsetFetch> {
        self.ask(Call::OffsetFetch, all_of(groups))
    }

    pub(super) fn list(&self) -> Answer<response::ListGroups> {
        self.ask(Call::ListGroups, request::ListGroups::default())
    }
}

pub(super) async fn start(
    stage: &Stage,
    log: &Arc<MemoryLog>,
) -> (Addr<SupervisorMsg>, Coordinators) {
    let coordinators = make(log);
    (run(stage, &coordinators).await, coordinators)
}

/// Coordinators that nobody has started.
pub(super) fn make(log: &Arc<MemoryLog>) -> Coordinators {
    let config = CoordinatorConfig {
        offsets_topic_num_partitions: PARTITIONS,
        group_initial_rebalance_delay: Duration::ZERO,
        ..CoordinatorConfig::default()
    };
    let log = Arc::clone(log) as Arc<dyn OffsetsLog>;
    Coordinators::new(config, log, Arc::new(OneTopic))
}

pub(super) async fn run(stage: &Stage, coordinators: &Coordinators) -> Addr<SupervisorMsg> {
    let (root, _) = Supervisor::spawn_linked("root", stage.cell())
        .await
        .unwrap();
    let child = coordinators.child();
    root.call(|reply| SupervisorMsg::Start(child, reply), TIMEOUT)
        .await
        .unwrap()
        .unwrap();
    root
}

pub(super) fn commit(group: &str, partition: i32, offset: i64) -> request::OffsetCommit {
    request::OffsetCommit {
        group_id: group.into(),
        generation_id: -1,
        member_id: String::new(),
        group_instance_id: None,
        retention_time_ms: None,
        knows_group_id_not_found: true,
        topics: vec![request::CommitTopic {
            topic: TopicRef::Name("t".into()),
            partitions: vec![request::CommitPartition {
                partition,
                committed_offset: offset,
                committed_leader_epoch: -1,
                metadata: None,
            }],
        }],
    }
}

/// A question for all that is committed by these groups.
pub(super) fn all_of(groups: &[&str]) -> request::OffsetFetch {
    let of_group = |group: &&str| request::FetchGroup {
        group_id: (*group).into(),
        member_id: None,
        member_epoch: -1,
        topics: None,
    };
    request::OffsetFetch {
        groups: groups.iter().map(of_group).collect(),
        require_stable: true,
        answer_by_id: false,
    }
}

/// The error of a commit of one partition.
pub(super) fn code(answer: &response::OffsetCommit) -> ErrorCode {
    answer.topics[0].partitions[0].1
}

/// What the only group of an answer has committed, by partition.
pub(super) fn committed(answer: &response::OffsetFetch) -> Vec<(i32, i64)> {
    let topics = &answer.groups[0].topics;
    let partitions = topics.iter().flat_map(|topic| &topic.partitions);
    partitions
        .map(|partition| (partition.partition, partition.committed_offset))
        .collect()
}

/// Names of so many groups that live in `partition`.
pub(super) fn neighbours(coordinators: &Coordinators, partition: u32, count: usize) -> Vec<String> {
    let names = (0..).map(|number| format!("group-{number}"));
    names
        .filter(|name| coordinators.partition_of(name) == partition)
        .take(count)
        .collect()
}

/// Lets every actor come to rest: on a paused clock time moves only when nobody has anything to do.
pub(super) async fn rest() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}
