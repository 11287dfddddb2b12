//! A coordinator without actors, for tests: routes, core and index in one thread, under a clock and a log that do what
//! the test says.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use callboard_offsets::index::Index;
use callboard_offsets::record::Record;
use callboard_protocol::{ErrorCode, Uuid};

use super::tale::Heard;
use crate::core::{
    AppendId, CommitOutcome, Effect, Event, Fetch, Groups, Input, Now, Removal, RequestId,
    Response, StoredGroup, tombstones,
};
use crate::metrics::RequestMeter;
use crate::owed::Owed;
use crate::route::{Asked, Router, list_shares};
use crate::{Call, CoordinatorConfig, DeletedTopic, TopicLookup, TopicsImage};

/// When the tests take place.
pub(crate) const WALL_MS: i64 = 1_700_000_000_000;

/// Topics by name: id and partitions.
#[derive(Clone, Default)]
pub(crate) struct TestTopics {
    made: u8,
    by_name: BTreeMap<String, (Uuid, i32)>,
}

impl TopicLookup for TestTopics {
    fn partitions(&self, name: &str) -> Option<i32> {
        Some(self.by_name.get(name)?.1)
    }

    fn id_of(&self, name: &str) -> Option<Uuid> {
        Some(self.by_name.get(name)?.0)
    }

    fn name_of(&self, id: Uuid) -> Option<Arc<str>> {
        self.by_name
            .iter()
            .find(|(_, (known, _))| *known == id)
            .map(|(name, _)| Arc::from(name.as_str()))
    }
}

/// What waits in the writer, in order.
enum Write {
    Append(AppendId, Vec<Record>),
    Unwritable(AppendId),
    Commit(Option<AppendId>, RequestId, Vec<Record>, CommitOutcome),
    Remove(AppendId, Arc<str>, Removal),
    Fetch(RequestId, Arc<str>, Fetch),
    Reload(Arc<str>),
    Forget(Uuid, Arc<str>),
}

/// See the module.
pub(crate) struct House {
    config: CoordinatorConfig,
    /// Everything that is done, in words, for who wants to read it.
    pub(crate) heard: Heard,
    pub(crate) groups: Groups,
    pub(crate) index: Index,
    topics: TestTopics,
    deleted: Vec<DeletedTopic>,
    image: Arc<TopicsImage>,
    pub(crate) now: Duration,
    /// Whether appends land by themselves.
    pub(crate) lands: bool,
    writes: VecDeque<Write>,
    owed: BTreeMap<RequestId, Owed>,
    meter: RequestMeter,
    pub(crate) notes: Vec<Event>,
    /// Appends with at least one record of the topic, and those with marks alone.
    pub(crate) appends: usize,
    pub(crate) mark_appends: usize,
    requests: u64,
    /// Of the last member id that was made.
    pub(crate) uuids: u128,
    offset: i64,
    /// Every record of the topic that has landed.
    pub(crate) log: Vec<Record>,
}

impl House {
    /// Loaded and empty.
    pub(crate) fn new(config: CoordinatorConfig) -> Self {
        let image = Arc::new(TopicsImage::of(Arc::new(TestTopics::default())));
        let mut house = Self {
            groups: Groups::new(&config, Arc::clone(&image)),
            config,
            heard: Heard::default(),
            index: Index::default(),
            topics: TestTopics::default(),
            deleted: Vec::new(),
            image,
            now: Duration::ZERO,
            lands: true,
            writes: VecDeque::new(),
            owed: BTreeMap::new(),
            meter: RequestMeter::new(),
            notes: Vec::new(),
            appends: 0,
            mark_appends: 0,
            requests: 0,
            uuids: 0,
            offset: 0,
            log: Vec::new(),
        };
        house.load();
        house
    }

    /// The coordinator ends without a word and begins anew from what is stored.
    pub(crate) fn restart(&mut self) {
        self.groups = Groups::new(&self.config, Arc::clone(&self.image));
        self.writes.clear();
        self.owed.clear();
    }

    pub(crate) fn load(&mut self) {
        let stored = StoredGroup::read_all(&self.index).unwrap();
        self.step(Input::Loaded(stored));
    }

    /// A topic is made, or made anew.
    pub(crate) fn create(&mut self, name: &str, partitions: i32) -> Uuid {
        self.topics.made += 1;
        let id = Uuid([self.topics.made; 16]);
        self.topics
            .by_name
            .insert(name.to_owned(), (id, partitions));
        self.topics_changed();
        id
    }

    /// A topic is gone, and to be forgotten until [`forgotten`](Self::forgotten).
    pub(crate) fn delete_topic(&mut self, name: &str) {
        let (id, _) = self.topics.by_name.remove(name).expect("a topic");
        self.deleted.push(DeletedTopic {
            id,
            name: name.into(),
        });
        self.topics_changed();
    }

    /// Nobody has anything of it any more, says whoever counts.
    pub(crate) fn forgotten(&mut self, name: &str) {
        self.deleted.retain(|deleted| &*deleted.name != name);
        self.topics_changed();
    }

    fn topics_changed(&mut self) {
        self.image = Arc::new(TopicsImage {
            topics: Arc::new(self.topics.clone()),
            deleted: self.deleted.clone(),
        });
        self.step(Input::Topics(Arc::clone(&self.image)));
    }

    fn moment(&self) -> Now {
        Now {
            steady: self.now,
            wall_ms: WALL_MS + i64::try_from(self.now.as_millis()).unwrap(),
        }
    }

    pub(crate) fn step(&mut self, input: Input) {
        let mut effects = Vec::new();
        self.groups.step(self.moment(), input, &mut effects);
        self.heard.now(self.now);
        for effect in effects {
            self.heard.effect(&effect);
            self.perform(effect);
        }
        self.settle();
    }

    fn settle(&mut self) {
        while self.lands && self.land(Ok(())) {}
        while let Some(due) = self.groups.due(self.now) {
            self.step(due);
        }
    }

    pub(crate) fn call(&mut self, call: Call) {
        let mut uuids = self.uuids;
        let mut routed = Vec::new();
        let mut fresh = || {
            uuids += 1;
            uuid::Uuid::from_u128(uuids)
        };
        let list = Router {
            image: &self.image,
            fresh: &mut fresh,
            meter: &self.meter,
        }
        .route(call, &mut routed);
        self.uuids = uuids;
        for routed in routed {
            let Asked::Group {
                group_id,
                request,
                owed,
            } = routed
            else {
                panic!("a list is given back");
            };
            let id = self.open(owed);
            self.step(Input::Ask {
                id,
                group_id,
                request,
            });
        }
        if let Some((request, reply)) = list
            && let Some(owed) = list_shares(reply, 1, &self.meter).pop()
        {
            let id = self.open(owed);
            self.step(Input::List { id, request });
        }
    }

    fn open(&mut self, owed: Owed) -> RequestId {
        self.requests += 1;
        let id = RequestId(self.requests);
        self.owed.insert(id, owed);
        id
    }

    fn answer(&mut self, id: RequestId, response: Response) {
        let owed = self.owed.remove(&id).expect("a request is answered once");
        owed.answer(response);
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Answer { id, response } => self.answer(id, response),
            Effect::Append {
                append_id, records, ..
            } => self.writes.push_back(Write::Append(append_id, records)),
            // The writer answers it behind what it has to do, as if it had no room.
            Effect::Unwritable { append_id, .. } => {
                self.writes.push_back(Write::Unwritable(append_id))
            }
            Effect::Commit {
                append_id,
                id,
                records,
                outcome,
                ..
            } => {
                self.writes
                    .push_back(Write::Commit(append_id, id, records, outcome));
            }
            Effect::Remove {
                append_id,
                group_id,
                removal,
            } => {
                self.writes
                    .push_back(Write::Remove(append_id, group_id, removal));
            }
            Effect::Fetch {
                id,
                group_id,
                fetch,
            } => self.writes.push_back(Write::Fetch(id, group_id, fetch)),
            Effect::Reload { group_id } => self.writes.push_back(Write::Reload(group_id)),
            Effect::Forget { id, topic } => self.writes.push_back(Write::Forget(id, topic)),
            Effect::Forgotten { .. } | Effect::Opened => {}
            Effect::Note(event) => self.notes.push(event),
        }
    }

    /// Lets the oldest thing in the writer happen, with this outcome. Whether there was any.
    pub(crate) fn land(&mut self, outcome: Result<(), ErrorCode>) -> bool {
        let Some(write) = self.writes.pop_front() else {
            return false;
        };
        self.heard.now(self.now);
        match write {
            Write::Append(append_id, records) => {
                self.apply(&records, outcome);
                self.step(Input::Durable { append_id, outcome });
            }
            Write::Unwritable(append_id) => self.step(Input::Durable {
                append_id,
                outcome: Err(ErrorCode::MESSAGE_TOO_LARGE),
            }),
            Write::Commit(append_id, id, records, committed) => {
                self.apply(&records, outcome);
                let committed = match outcome {
                    Ok(()) => committed,
                    Err(error) => committed.failed(error),
                };
                self.answer(id, Response::Commit(committed));
                if let Some(append_id) = append_id {
                    self.step(Input::Durable { append_id, outcome });
                }
            }
            Write::Remove(append_id, group_id, removal) => {
                let records = removal.records(&group_id, &self.index);
                self.heard.tombstones(&records);
                self.apply(&records, outcome);
                self.step(Input::Durable { append_id, outcome });
            }
            Write::Fetch(id, group_id, fetch) => {
                let topics = &*self.image.topics;
                let fetched = crate::core::fetch(&self.index, &group_id, &fetch, topics);
                self.answer(id, Response::Fetch(fetched));
            }
            Write::Reload(group_id) => {
                let stored = StoredGroup::read(&self.index, &group_id).unwrap();
                self.step(Input::Rebuilt(stored));
            }
            Write::Forget(id, topic) => {
                let records = self.offsets_of(&topic);
                self.heard.tombstones(&records);
                self.apply(&records, outcome);
                self.step(Input::Forgot { id, outcome });
            }
        }
        true
    }

    /// Tombstones of all that is committed for `topic`.
    fn offsets_of(&self, topic: &Arc<str>) -> Vec<Record> {
        let mut records = Vec::new();
        for group in self.index.groups() {
            let offsets = self.index.topic(group, topic).into_iter();
            records.extend(offsets.flat_map(|offsets| tombstones(group, topic, offsets)));
        }
        records
    }

    fn apply(&mut self, records: &[Record], outcome: Result<(), ErrorCode>) {
        if records.iter().any(Record::is_topic_record) {
            self.appends += 1;
        } else if !records.is_empty() {
            self.mark_appends += 1;
        }
        if outcome.is_err() {
            return;
        }
        let (topic, marks): (Vec<_>, Vec<_>) =
            records.iter().partition(|record| record.is_topic_record());
        for record in topic.into_iter().chain(marks) {
            self.index.apply(record, self.offset);
            if record.is_topic_record() {
                self.log.push(record.clone());
                self.offset += 1;
            }
        }
    }

    /// Lets time pass, everything that is due happening at its time.
    pub(crate) fn advance(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while let Some(deadline) = self
            .groups
            .next_deadline()
            .filter(|deadline| *deadline <= end)
        {
            self.now = self.now.max(deadline);
            self.settle();
        }
        self.now = end;
        self.settle();
    }

    /// For so long nobody is heard, and nothing is done that is due.
    pub(crate) fn late(&mut self, ms: u64) {
        let by = Duration::from_millis(ms);
        self.now += by;
        self.step(Input::Late { by });
    }

    /// A request whose group was evicted is answered by the shell.
    pub(crate) fn forget(&mut self, id: RequestId) {
        self.owed
            .remove(&id)
            .expect("an evicted group owes what it was asked")
            .refuse(ErrorCode::COORDINATOR_NOT_AVAILABLE);
    }

    /// Requests without an answer.
    pub(crate) fn unanswered(&self) -> usize {
        self.owed.len()
    }

    pub(crate) fn writes_waiting(&self) -> usize {
        self.writes.len()
    }
}
