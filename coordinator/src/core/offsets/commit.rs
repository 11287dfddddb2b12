//! OffsetCommit (spec 2.5): what of it is written, and what it is told. Who may commit, its group says.

use std::sync::Arc;

use callboard_offsets::record::{OffsetCommitValue, Record};
use callboard_protocol::ErrorCode;

use super::Owner;
use crate::core::effect::{CommitOutcome, Effect, Response};
use crate::core::input::{AppendId, Commit, CommitPartition, RequestId};
use crate::core::step::Step;

/// Kafka's strings end here, whatever `offset.metadata.max.bytes` says.
const METADATA_BYTES_MAX: usize = i16::MAX as usize;

/// Answers a commit to a group that there is, or sends it to the writer.
pub(in crate::core) fn commit(
    owner: &mut impl Owner,
    step: &mut Step<'_>,
    id: RequestId,
    commit: &Commit,
) {
    match owner.admit(step, commit) {
        Ok(()) => {
            commit_to(step, id, owner.group_id(), commit, None);
        }
        Err(error) => step.answer(id, Response::Commit(CommitOutcome::All(error))),
    }
}

/// What a commit to a group that does not exist is told, unless it founds a group of simple consumers.
pub(in crate::core) fn absent_refusal(commit: &Commit) -> Option<ErrorCode> {
    match commit.generation_id {
        i32::MIN..0 => None,
        _ if commit.knows_group_id_not_found => Some(ErrorCode::GROUP_ID_NOT_FOUND),
        _ => Some(ErrorCode::ILLEGAL_GENERATION),
    }
}

/// Sends what is right with a commit to the writer. Whether anything was.
pub(in crate::core) fn commit_to(
    step: &mut Step<'_>,
    id: RequestId,
    group_id: &Arc<str>,
    commit: &Commit,
    append_id: Option<AppendId>,
) -> bool {
    let partitions: usize = commit
        .topics
        .iter()
        .map(|topic| topic.partitions.len())
        .sum();
    // One more than fits, and the writer refuses it.
    let most = step.settings.commit_records_max;
    let mut records = Vec::with_capacity(partitions.min(most));
    let mut codes = Vec::new();
    let expire_timestamp_ms = match commit.retention_time_ms {
        Some(retention_ms) if retention_ms >= 0 => Some(step.wall_ms.saturating_add(retention_ms)),
        _ => None,
    };
    let mut seen = 0;
    for topic in commit.topics.iter() {
        let of_topic = step.topics.check(commit, topic);
        for partition in &topic.partitions {
            let code = check(step, of_topic, partition);
            if code != ErrorCode::NONE && codes.is_empty() {
                codes.resize(seen, ErrorCode::NONE);
            }
            if code != ErrorCode::NONE || !codes.is_empty() {
                codes.push(code);
            }
            seen += 1;
            if code != ErrorCode::NONE || records.len() == most {
                continue;
            }
            let value = OffsetCommitValue {
                offset: partition.offset,
                leader_epoch: partition.leader_epoch,
                metadata: Arc::clone(&partition.metadata),
                commit_timestamp_ms: step.wall_ms,
                expire_timestamp_ms,
                topic_id: topic.id.0,
            };
            records.push(Record::OffsetCommit {
                group: Arc::clone(group_id),
                topic: Arc::clone(&topic.name),
                partition: partition.partition,
                value: Some(value),
            });
        }
    }
    let outcome = if codes.is_empty() {
        CommitOutcome::All(ErrorCode::NONE)
    } else {
        CommitOutcome::Each(codes)
    };
    if records.is_empty() {
        step.answer(id, Response::Commit(outcome));
        return false;
    }
    step.effects.push(Effect::Commit {
        append_id,
        id,
        group_id: Arc::clone(group_id),
        records,
        outcome,
    });
    true
}

fn check(step: &Step<'_>, of_topic: ErrorCode, partition: &CommitPartition) -> ErrorCode {
    if partition.error != ErrorCode::NONE {
        return partition.error;
    }
    if of_topic != ErrorCode::NONE {
        return of_topic;
    }
    let metadata = &partition.metadata;
    // Bytes are never fewer than UTF-16 units: most notes are let through without a count.
    let fits = metadata.len() <= step.settings.metadata_units_max
        || metadata.encode_utf16().count() <= step.settings.metadata_units_max;
    if fits && metadata.len() <= METADATA_BYTES_MAX {
        ErrorCode::NONE
    } else {
        ErrorCode::OFFSET_METADATA_TOO_LARGE
    }
}
