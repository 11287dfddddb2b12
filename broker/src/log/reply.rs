//! An answer that is always given: by whoever does the work, or by being dropped.

/// What a reply says when it is dropped unanswered.
pub trait Unanswered {
    /// The error of a request whose worker failed or is stopping.
    fn unanswered() -> Self;
}

/// Who waits for a `Result<T, E>`. Answered exactly once, on the task that has the answer: keep the closure short.
pub struct Reply<T, E: Unanswered>(Option<Answer<T, E>>);

type Answer<T, E> = Box<dyn FnOnce(Result<T, E>) + Send>;

impl<T, E: Unanswered> Reply<T, E> {
    /// A reply that runs `answer`.
    pub fn new(answer: impl FnOnce(Result<T, E>) + Send + 'static) -> Self {
        Self(Some(Box::new(answer)))
    }

    /// Answers.
    pub fn send(mut self, outcome: Result<T, E>) {
        if let Some(answer) = self.0.take() {
            answer(outcome);
        }
    }
}

impl<T, E: Unanswered> Drop for Reply<T, E> {
    fn drop(&mut self) {
        if let Some(answer) = self.0.take() {
            answer(Err(E::unanswered()));
        }
    }
}

impl<T, E: Unanswered> std::fmt::Debug for Reply<T, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reply")
    }
}
