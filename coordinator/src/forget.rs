//! What goes with a topic: the offsets committed for it, of every group, at once and whatever the group is doing.
//! The core does not hear of it: it keeps no offsets. Runs in the writer's turn, piece by piece.

use std::sync::Arc;

use callboard_offsets::record::Record;
use callboard_offsets::writer::Writer;
use tracing::warn;

/// Bytes of tombstones in one append, about. Far below what any engine takes.
const PIECE_BYTES: usize = 128 * 1024;
/// What a tombstone takes besides its names, more or less.
const TOMBSTONE_BYTES: usize = 64;

/// Removes what the writer's groups have committed for `topic`, behind everything sent before.
pub(crate) fn forget_topic(writer: &Writer, topic: Arc<str>) {
    let of = writer.clone();
    writer.read_all(move |index| {
        for group_id in index.groups() {
            if index.topic(group_id, &topic).is_some() {
                forget_piece(of.clone(), Arc::clone(group_id), Arc::clone(&topic));
            }
        }
    });
}

/// Removes as many as one append may hold, then the rest.
fn forget_piece(writer: Writer, group_id: Arc<str>, topic: Arc<str>) {
    let most = (PIECE_BYTES / (TOMBSTONE_BYTES + group_id.len() + topic.len())).max(1);
    let (of, about) = (Arc::clone(&group_id), Arc::clone(&topic));
    let plan = move |index: &callboard_offsets::index::Index| {
        let offsets = index.topic(&of, &about).into_iter().flatten().take(most);
        let tombstone = |partition: i32| Record::OffsetCommit {
            group: Arc::clone(&of),
            topic: Arc::clone(&about),
            partition,
            value: None,
        };
        offsets
            .map(|(partition, _)| tombstone(*partition))
            .collect()
    };
    let (again, in_group) = (writer.clone(), Arc::clone(&group_id));
    writer.change(group_id, plan, move |outcome| {
        if let Err(error) = outcome {
            // They stay, and name a topic that does not exist; retention ends them.
            return warn!(%topic, %error, "offsets of a deleted topic could not be removed");
        }
        let of = again.clone();
        again.read(Arc::clone(&in_group), move |index| {
            if index.topic(&in_group, &topic).is_some() {
                forget_piece(of, in_group, topic);
            }
        });
    });
}
