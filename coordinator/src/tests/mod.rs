//! The coordinators as a whole over the in-memory engine, under virtual time and on a stage.

mod failures;
mod house;
mod large;
mod requests;
mod storm;
mod topics;

use std::cell::RefCell;
use std::sync::Arc;

use crate::core::Effect;

thread_local! {
    /// Whose next step panics: a group's, or with an empty name that of a whole coordinator.
    static SABOTAGED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Makes the next step about `group_id` panic once it is done and before its effects are.
fn sabotage_next(group_id: &str) {
    SABOTAGED.set(Some(group_id.to_owned()));
}

/// Called by the shell between a step and its effects.
pub(crate) fn sabotage(group_id: Option<&Arc<str>>, _effects: &[Effect]) {
    let name = group_id.map_or("", |group_id| group_id);
    let mine = SABOTAGED.with_borrow(|sabotaged| sabotaged.as_deref() == Some(name));
    if mine {
        SABOTAGED.set(None);
        panic!("sabotaged");
    }
}
