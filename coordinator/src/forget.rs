//! What goes with a topic: the offsets committed for it, of every group, at once and whatever the group is doing. Runs in
//! the writer's turn, some groups at a time and in parts, and ends at the first append that fails.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use callboard_offsets::index::Index;
use callboard_offsets::writer::{AppendError, Writer};

use crate::core::tombstones;

/// Groups whose tombstones are on their way at a time: each is at least an append of its own.
const AT_ONCE: usize = 32;

type DoneFn = Box<dyn FnOnce(Result<(), AppendError>) + Send>;

/// Removes what the writer's groups have committed for `topic`, behind everything sent before. `done` is called once,
/// when all of it is durable or something could not be done; on the writer's task.
pub(crate) fn forget_topic(
    writer: &Writer,
    topic: Arc<str>,
    done: impl FnOnce(Result<(), AppendError>) + Send + 'static,
) {
    let work = Arc::new(Work {
        writer: writer.clone(),
        topic,
        // Until the groups are known.
        left: Mutex::new(Left {
            groups: Vec::new(),
            outcome: Err(AppendError::Lost),
        }),
        done: Mutex::new(Some(Box::new(done))),
    });
    writer.read_all(move |index| {
        let with_offsets = |group_id: &&Arc<str>| index.topic(group_id, &work.topic).is_some();
        let groups = index.groups().filter(with_offsets).cloned().collect();
        *work.left() = Left {
            groups,
            outcome: Ok(()),
        };
        for _ in 0..AT_ONCE {
            Work::next(&work);
        }
    });
}

/// Held by everything that is under way for it: its end is the end of the last of them.
struct Work {
    writer: Writer,
    topic: Arc<str>,
    left: Mutex<Left>,
    done: Mutex<Option<DoneFn>>,
}

struct Left {
    /// Groups that nobody has begun with.
    groups: Vec<Arc<str>>,
    /// What has become of the others so far.
    outcome: Result<(), AppendError>,
}

impl Work {
    fn left(&self) -> MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes what one group has, in as many appends as it takes, then goes on with another.
    fn next(work: &Arc<Self>) {
        let Some(group_id) = work.left().groups.pop() else {
            return;
        };
        let (of, about) = (Arc::clone(&group_id), Arc::clone(&work.topic));
        let plan = move |index: &Index| {
            let offsets = index.topic(&of, &about).into_iter();
            let tombstones = offsets.flat_map(|offsets| tombstones(&of, &about, offsets));
            tombstones.collect()
        };
        let (writer, work) = (work.writer.clone(), Arc::clone(work));
        writer.change_in_parts(group_id, plan, move |outcome| match outcome {
            Ok(()) => Self::next(&work),
            Err(error) => {
                *work.left() = Left {
                    groups: Vec::new(),
                    outcome: Err(error),
                }
            }
        });
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.left().outcome, Ok(()));
        let done = self
            .done
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(done) = done {
            done(outcome);
        }
    }
}
