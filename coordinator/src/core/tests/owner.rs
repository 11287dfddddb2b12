//! Committed offsets of a group that is no classic one: what is done to them asks nothing but [`Owner`].

use std::collections::BTreeSet;
use std::sync::Arc;

use callboard_protocol::ErrorCode;

use super::kit::config;
use crate::core::effect::{CommitOutcome, Effect, Removal, Response};
use crate::core::input::{Commit, DeleteOffsets, RequestId};
use crate::core::offsets::{Owner, Reads, commit, delete, expiry};
use crate::core::step::{Appends, Settings, Step};
use crate::core::timers::Timers;
use crate::core::topics::Topics;
use crate::response::{DeletedTopicOffsets, OffsetDelete};
use crate::{TopicLookup, TopicsImage};

/// A group of a kind of its own: fences every commit, and its members read one topic.
struct Other {
    id: Arc<str>,
    topics: BTreeSet<Arc<str>>,
    told: bool,
    settled: bool,
}

impl Owner for Other {
    fn group_id(&self) -> &Arc<str> {
        &self.id
    }

    fn kind(&self) -> i16 {
        3
    }

    fn admit(&mut self, _step: &mut Step<'_>, _commit: &Commit) -> Result<(), ErrorCode> {
        Err(ErrorCode::STALE_MEMBER_EPOCH)
    }

    fn is_empty(&self) -> bool {
        false
    }

    fn is_settled(&self) -> bool {
        self.settled
    }

    fn reads(&self) -> Reads<'_> {
        match self.told {
            true => Reads::Topics(&self.topics),
            false => Reads::Untold,
        }
    }

    fn empty_since_ms(&self) -> Option<i64> {
        None
    }
}

struct NoTopics;

impl TopicLookup for NoTopics {
    fn partitions(&self, _name: &str) -> Option<i32> {
        None
    }
}

#[test]
fn what_is_done_to_offsets_asks_a_group_of_any_kind() {
    let image = Arc::new(TopicsImage::of(Arc::new(NoTopics)));
    let (settings, topics) = (Settings::new(&config()), Topics::new(Arc::clone(&image)));
    let (mut timers, mut appends) = (Timers::default(), Appends::default());
    let mut effects = Vec::new();
    let mut step = Step {
        now: 0,
        wall_ms: 0,
        settings: &settings,
        timers: &mut timers,
        appends: &mut appends,
        topics: &topics,
        effects: &mut effects,
    };
    let mut other = Other {
        id: "g".into(),
        topics: BTreeSet::from(["read".into()]),
        told: true,
        settled: false,
    };

    let asked = Commit {
        generation_id: 1,
        member_id: "m".into(),
        group_instance_id: None,
        retention_time_ms: None,
        knows_group_id_not_found: true,
        image,
        topics: Arc::new([]),
    };
    commit::commit(&mut other, &mut step, RequestId(7), &asked);
    assert_eq!(
        step.effects.pop(),
        Some(Effect::Answer {
            id: RequestId(7),
            response: Response::Commit(CommitOutcome::All(ErrorCode::STALE_MEMBER_EPOCH)),
        })
    );

    assert_eq!(
        delete::delete(&other, &mut step),
        Err(ErrorCode::NON_EMPTY_GROUP)
    );
    let of = |topic: &str, error| DeletedTopicOffsets {
        topic: topic.into(),
        partitions: vec![(0, error)],
    };
    let asked = DeleteOffsets {
        topics: vec![of("read", ErrorCode::NONE), of("free", ErrorCode::NONE)],
    };
    let (append_id, answer) = delete::delete_offsets(&other, &mut step, asked.clone());
    let told = vec![
        of("read", ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC),
        of("free", ErrorCode::NONE),
    ];
    assert_eq!(answer.topics, told);
    let Some(Effect::Remove {
        append_id: sent,
        removal: Removal::Offsets(doomed),
        ..
    }) = step.effects.pop()
    else {
        panic!("what nobody reads is removed");
    };
    assert_eq!((Some(sent), doomed), (append_id, vec![("free".into(), 0)]));

    assert_eq!(expiry::expire(&other, &mut step), None);
    other.settled = true;
    assert!(expiry::expire(&other, &mut step).is_some());

    other.told = false;
    let refused = OffsetDelete::refused(ErrorCode::NON_EMPTY_GROUP);
    assert_eq!(
        delete::delete_offsets(&other, &mut step, asked),
        (None, refused)
    );
    assert_eq!(expiry::expire(&other, &mut step), None);
}
