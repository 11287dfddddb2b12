//! DeleteGroups and OffsetDelete (spec 2.7, 2.10). What there is to delete is found by the writer, behind the commits
//! that were sent before.

use std::collections::BTreeSet;
use std::sync::Arc;

use callboard_protocol::ErrorCode;

use super::{Owner, Reads};
use crate::core::effect::{Effect, Removal};
use crate::core::input::{AppendId, DeleteOffsets};
use crate::core::step::Step;
use crate::response::{DeletedTopicOffsets, OffsetDelete};

/// Deletes all that is stored of a group nobody is in. The group is gone when the append has landed.
pub(in crate::core) fn delete(
    owner: &impl Owner,
    step: &mut Step<'_>,
) -> Result<AppendId, ErrorCode> {
    if owner.is_empty() {
        let kind = owner.kind();
        Ok(remove(owner, step, Removal::Group { kind }))
    } else {
        Err(ErrorCode::NON_EMPTY_GROUP)
    }
}

/// Deletes what nobody reads of what is asked. The answer is given when the append has landed, if there is one.
pub(in crate::core) fn delete_offsets(
    owner: &impl Owner,
    step: &mut Step<'_>,
    delete: DeleteOffsets,
) -> (Option<AppendId>, OffsetDelete) {
    let reads = owner.reads();
    if reads == Reads::Untold {
        // Nothing can be said to be free.
        return (None, OffsetDelete::refused(ErrorCode::NON_EMPTY_GROUP));
    }
    let mut doomed = Vec::new();
    // One tombstone, however often it is named.
    let mut named = BTreeSet::new();
    let mut topics = delete.topics;
    for DeletedTopicOffsets { topic, partitions } in &mut topics {
        let subscribed = reads.may_be(topic);
        for (partition, error) in partitions {
            match *error {
                ErrorCode::NONE if subscribed => *error = ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC,
                ErrorCode::NONE if named.insert((Arc::clone(topic), *partition)) => {
                    doomed.push((Arc::clone(topic), *partition));
                }
                _ => {}
            }
        }
    }
    let answer = OffsetDelete {
        error: ErrorCode::NONE,
        topics,
    };
    let append_id = (!doomed.is_empty()).then(|| remove(owner, step, Removal::Offsets(doomed)));
    (append_id, answer)
}

/// Has the writer remove what `removal` names.
pub(super) fn remove(owner: &impl Owner, step: &mut Step<'_>, removal: Removal) -> AppendId {
    let append_id = step.appends.give(owner.group_id());
    step.effects.push(Effect::Remove {
        append_id,
        group_id: Arc::clone(owner.group_id()),
        removal,
    });
    append_id
}
