//! The rules of fetch sessions (KIP-227): what a session remembers, which of its partitions an answer has to carry, and
//! who makes room for whom. Time comes in as the time since the broker's start, ids come in as candidates.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use callboard_protocol::ErrorCode;

/// The epoch that asks for a new session.
const INITIAL: i32 = 0;
/// The epoch that wants no session, or no longer.
const FINAL: i32 = -1;
/// The id of no session.
const NONE: i32 = 0;
/// A session that was not used for so long makes room for any other; one younger makes room for none.
const SETTLED_AFTER: Duration = Duration::from_secs(120);
/// Partitions of one session. Who has more is served without one.
const SESSION_PARTITIONS_MAX: usize = 50_000;
/// Partitions of all sessions together.
const PARTITIONS_MAX: usize = 300_000;
/// Longest name that is remembered; no topic has a longer one.
const NAME_LENGTH_MAX: usize = 249;

/// How a request names a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TopicKey {
    Name(Arc<str>),
    Id([u8; 16]),
}

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PartitionKey {
    pub(crate) topic: TopicKey,
    pub(crate) partition: i32,
}

/// What a client wants of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) key: PartitionKey,
    pub(crate) from: i64,
    pub(crate) max_bytes: i32,
    pub(crate) current_leader_epoch: i32,
    pub(crate) last_fetched_epoch: i32,
}

/// What was found of a partition, as far as sessions care.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) high_watermark: i64,
    pub(crate) log_start: i64,
    pub(crate) has_records: bool,
    /// An error, or a log that ends before the client's.
    pub(crate) always_told: bool,
}

/// What a request says of its session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) id: i32,
    pub(crate) epoch: i32,
    /// Whether the request's version names topics by id.
    pub(crate) by_id: bool,
    pub(crate) wanted: Vec<Wanted>,
    pub(crate) forgotten: Vec<PartitionKey>,
}

/// How a request is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Everything is told and nothing remembered.
    Without,
    /// Everything is told, and remembered where there is room.
    Opening { by_id: bool },
    /// What changed is told. `epoch` is the session's until its next request.
    Within { id: i32, epoch: i32 },
}

/// What an answer carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// The id of the session; 0 for none.
    pub(crate) id: i32,
    /// Of each partition that was served, whether it is in the answer.
    pub(crate) carried: Vec<bool>,
}

/// Every session of a broker.
#[derive(Debug)]
pub(crate) struct Sessions {
    slots: usize,
    sessions: HashMap<i32, Session>,
    partitions: usize,
    evictions: u64,
}

#[derive(Debug)]
struct Session {
    by_id: bool,
    /// What the next request has to say.
    epoch: i32,
    created: Duration,
    used: Duration,
    /// In the order in which they are served: who got records goes behind the others.
    order: BTreeMap<u64, Remembered>,
    places: HashMap<PartitionKey, u64>,
    next_place: u64,
}

#[derive(Debug)]
struct Remembered {
    wanted: Wanted,
    /// As last told; -1 where it has to be told again.
    high_watermark: i64,
    log_start: i64,
}

impl Sessions {
    /// Room for `slots` sessions.
    pub(crate) fn new(slots: usize) -> Self {
        Self {
            slots,
            sessions: HashMap::new(),
            partitions: 0,
            evictions: 0,
        }
    }

    /// Sessions there are.
    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Partitions of all sessions.
    pub(crate) fn partitions(&self) -> usize {
        self.partitions
    }

    /// Sessions that made room for others, since the start.
    pub(crate) fn evictions(&self) -> u64 {
        self.evictions
    }

    /// A request comes: how it is served, and which partitions are.
    pub(crate) fn open(
        &mut self,
        now: Duration,
        asked: Asked,
    ) -> Result<(Mode, Vec<Wanted>), ErrorCode> {
        match asked.epoch {
            FINAL => {
                self.remove(asked.id);
                Ok((Mode::Without, once(asked.wanted)))
            }
            INITIAL => {
                self.remove(asked.id);
                let by_id = asked.by_id;
                Ok((Mode::Opening { by_id }, once(asked.wanted)))
            }
            _ => self.go_on(now, asked),
        }
    }

    fn go_on(&mut self, now: Duration, asked: Asked) -> Result<(Mode, Vec<Wanted>), ErrorCode> {
        let id = asked.id;
        let session = self
            .sessions
            .get_mut(&id)
            .ok_or(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)?;
        if session.epoch != asked.epoch {
            return Err(ErrorCode::INVALID_FETCH_SESSION_EPOCH);
        }
        if session.by_id != asked.by_id {
            return Err(ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR);
        }
        let elsewhere = self.partitions - session.order.len();
        let added = asked
            .wanted
            .iter()
            .filter(|wanted| !session.places.contains_key(&wanted.key))
            .count();
        if !fits(session.order.len() + added, elsewhere, &asked.wanted) {
            // The client begins anew with everything it wants, and is then served without a session.
            self.remove(id);
            return Err(ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
        }
        for wanted in &asked.wanted {
            session.want(wanted);
        }
        for key in &asked.forgotten {
            session.forget(key);
        }
        self.partitions = elsewhere + session.order.len();
        if session.order.is_empty() {
            self.remove(id);
            return Ok((Mode::Without, asked.wanted));
        }
        session.used = now;
        session.epoch = after(asked.epoch);
        let epoch = session.epoch;
        let served = session.order.values().map(|one| one.wanted.clone());
        Ok((Mode::Within { id, epoch }, served.collect()))
    }

    /// The request was served: what its answer carries. `candidate` gives random numbers for an id.
    pub(crate) fn tell(
        &mut self,
        now: Duration,
        mode: Mode,
        served: &[Wanted],
        found: &[Found],
        candidate: impl FnMut() -> i32,
    ) -> Result<Told, ErrorCode> {
        match mode {
            Mode::Without => Ok(everything(NONE, served)),
            Mode::Opening { by_id } => {
                let id = self.create(now, by_id, served, found, candidate);
                Ok(everything(id, served))
            }
            Mode::Within { id, epoch } => {
                // It may have made room for another, or been used by another request, while this one waited.
                let session = self
                    .sessions
                    .get_mut(&id)
                    .ok_or(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)?;
                if session.epoch != epoch {
                    return Err(ErrorCode::INVALID_FETCH_SESSION_EPOCH);
                }
                let pairs = served.iter().zip(found);
                let carried = pairs.map(|(wanted, found)| session.tell(&wanted.key, *found));
                Ok(Told {
                    id,
                    carried: carried.collect(),
                })
            }
        }
    }

    /// A new session, if there is room; its id, or 0.
    fn create(
        &mut self,
        now: Duration,
        by_id: bool,
        served: &[Wanted],
        found: &[Found],
        mut candidate: impl FnMut() -> i32,
    ) -> i32 {
        let Some(evicted) = self.room_for(now, served.len()) else {
            return NONE;
        };
        let freed = evicted.and_then(|id| self.sessions.get(&id));
        let elsewhere = self.partitions - freed.map_or(0, |session| session.order.len());
        // Who is not remembered anyway takes nobody's place.
        if !fits(served.len(), elsewhere, served) {
            return NONE;
        }
        if let Some(evicted) = evicted {
            self.remove(evicted);
            self.evictions += 1;
        }
        let id = loop {
            let id = candidate() & i32::MAX;
            if id != NONE && !self.sessions.contains_key(&id) {
                break id;
            }
        };
        let mut session = Session {
            by_id,
            epoch: after(INITIAL),
            created: now,
            used: now,
            order: BTreeMap::new(),
            places: HashMap::new(),
            next_place: 0,
        };
        for (wanted, found) in served.iter().zip(found) {
            session.want(wanted);
            if let Some(one) = session.remembered(&wanted.key) {
                // An error leaves no watermark, and so the partition is told again when it is over.
                one.high_watermark = found.high_watermark;
                one.log_start = found.log_start;
            }
        }
        self.partitions += session.order.len();
        self.sessions.insert(id, session);
        id
    }

    /// Who makes room for a session of `size` partitions, if need be: the one that was idle longest if that is long, else
    /// the smallest of those that are neither young nor as large. None when nobody does. Looks at every session, but only
    /// for a new one when all places are taken.
    fn room_for(&self, now: Duration, size: usize) -> Option<Option<i32>> {
        if self.sessions.len() < self.slots {
            return Some(None);
        }
        let idle = self
            .sessions
            .iter()
            .min_by_key(|(_, session)| session.used)
            .filter(|(_, session)| now.saturating_sub(session.used) > SETTLED_AFTER);
        let evicted = idle.or_else(|| {
            self.sessions
                .iter()
                .filter(|(_, session)| session.is_settled() && session.order.len() < size)
                .min_by_key(|(id, session)| (session.order.len(), **id))
        });
        evicted.map(|(id, _)| Some(*id))
    }

    fn remove(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.partitions -= session.order.len();
        }
    }
}

impl Session {
    /// Adds a partition, or changes what is wanted of it.
    fn want(&mut self, wanted: &Wanted) {
        if let Some(one) = self.remembered(&wanted.key) {
            one.wanted = wanted.clone();
            return;
        }
        let one = Remembered {
            wanted: wanted.clone(),
            high_watermark: -1,
            log_start: -1,
        };
        self.put_last(one);
    }

    fn forget(&mut self, key: &PartitionKey) {
        if let Some(place) = self.places.remove(key) {
            self.order.remove(&place);
        }
    }

    /// Whether the answer carries a partition of which this was found.
    fn tell(&mut self, key: &PartitionKey, found: Found) -> bool {
        let Some(one) = self.remembered(key) else {
            return false;
        };
        let changed =
            one.high_watermark != found.high_watermark || one.log_start != found.log_start;
        one.high_watermark = if found.always_told {
            // When that is over, it is told.
            -1
        } else {
            found.high_watermark
        };
        one.log_start = found.log_start;
        if found.has_records
            && let Some(place) = self.places.remove(key)
            && let Some(one) = self.order.remove(&place)
        {
            self.put_last(one);
        }
        changed || found.has_records || found.always_told
    }

    fn remembered(&mut self, key: &PartitionKey) -> Option<&mut Remembered> {
        let place = self.places.get(key)?;
        self.order.get_mut(place)
    }

    fn put_last(&mut self, one: Remembered) {
        self.places.insert(one.wanted.key.clone(), self.next_place);
        self.order.insert(self.next_place, one);
        self.next_place += 1;
    }

    /// Whether it has been used since it came of age.
    fn is_settled(&self) -> bool {
        self.used.saturating_sub(self.created) > SETTLED_AFTER
    }
}

/// Each partition once, in the place where it is named first, as it is named last.
pub(super) fn once(mut wanted: Vec<Wanted>) -> Vec<Wanted> {
    if wanted.len() < 2 {
        return wanted;
    }
    let mut last: HashMap<PartitionKey, Wanted> = HashMap::with_capacity(wanted.len());
    for one in &wanted {
        last.insert(one.key.clone(), one.clone());
    }
    if last.len() < wanted.len() {
        wanted = wanted
            .iter()
            .filter_map(|one| last.remove(&one.key))
            .collect();
    }
    wanted
}

fn everything(id: i32, served: &[Wanted]) -> Told {
    Told {
        id,
        carried: vec![true; served.len()],
    }
}

/// Whether a session of `size` partitions can be remembered beside `elsewhere` of others.
fn fits(size: usize, elsewhere: usize, wanted: &[Wanted]) -> bool {
    let short = |wanted: &Wanted| match &wanted.key.topic {
        TopicKey::Name(name) => name.len() <= NAME_LENGTH_MAX,
        TopicKey::Id(_) => true,
    };
    size <= SESSION_PARTITIONS_MAX && elsewhere + size <= PARTITIONS_MAX && wanted.iter().all(short)
}

/// The epoch after `epoch`: it never becomes one of the special ones.
fn after(epoch: i32) -> i32 {
    if epoch < 0 {
        INITIAL
    } else {
        epoch.checked_add(1).unwrap_or(INITIAL + 1)
    }
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
