//! The answer to an append, which is always given: by whoever appends, or by being dropped.

use super::{Appended, LogError};

/// Who waits for an append. Answered exactly once, on the task that has the answer: keep the closure short. Dropped
/// unanswered it says that the log failed or is stopping.
pub struct AppendReply(Option<Answer>);

type Answer = Box<dyn FnOnce(Result<Appended, LogError>) + Send>;

impl AppendReply {
    /// A reply that runs `answer`.
    pub fn new(answer: impl FnOnce(Result<Appended, LogError>) + Send + 'static) -> Self {
        Self(Some(Box::new(answer)))
    }

    /// Answers.
    pub fn send(mut self, outcome: Result<Appended, LogError>) {
        if let Some(answer) = self.0.take() {
            answer(outcome);
        }
    }
}

impl Drop for AppendReply {
    fn drop(&mut self) {
        if let Some(answer) = self.0.take() {
            answer(Err(LogError::unanswered()));
        }
    }
}

impl std::fmt::Debug for AppendReply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AppendReply")
    }
}
