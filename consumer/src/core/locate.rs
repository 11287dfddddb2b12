//! What an error of OffsetFetch means for the partitions that wait for where they begin.

use callboard_protocol::ErrorCode;

use super::membership::{Refusal, ends_the_member};

/// As Kafka 4.2.0's client reacts, except that what concerns one topic leaves the others alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Ask again after a wait.
    Retry,
    /// The same, and membership hears of it: the coordinator is not one, or not there.
    RetryAndTell,
    /// Membership hears of it, and ends: no request of this member will do.
    End,
    /// Those it concerns are paused with this reason; the application may resume them.
    Pause(String),
}

impl Verdict {
    /// Of an answer as a whole, or of one partition in it.
    #[must_use]
    pub fn of(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Disconnected
            | Refusal::Code(ErrorCode::COORDINATOR_NOT_AVAILABLE | ErrorCode::NOT_COORDINATOR) => {
                Self::RetryAndTell
            }
            Refusal::Code(code) if ends_the_member(*code) => Self::End,
            Refusal::Code(
                ErrorCode::COORDINATOR_LOAD_IN_PROGRESS | ErrorCode::UNSTABLE_OFFSET_COMMIT,
            ) => Self::Retry,
            Refusal::Code(code) if code.is_retriable() => Self::Retry,
            Refusal::Code(code) => Self::pause(code.name()),
            Refusal::Protocol(detail) => Self::pause(detail),
        }
    }

    fn pause(error: &str) -> Self {
        Self::Pause(format!("its committed offset cannot be read: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_means_what_kafkas_client_makes_of_it() {
        for (verdict, codes) in [
            (
                Verdict::Retry,
                &[
                    ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
                    ErrorCode::UNSTABLE_OFFSET_COMMIT,
                    ErrorCode::REQUEST_TIMED_OUT,
                    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                ][..],
            ),
            (
                Verdict::RetryAndTell,
                &[
                    ErrorCode::COORDINATOR_NOT_AVAILABLE,
                    ErrorCode::NOT_COORDINATOR,
                ],
            ),
            (
                Verdict::End,
                &[
                    ErrorCode::INVALID_GROUP_ID,
                    ErrorCode::GROUP_AUTHORIZATION_FAILED,
                    ErrorCode::UNSUPPORTED_VERSION,
                ],
            ),
        ] {
            for code in codes {
                assert_eq!(
                    Verdict::of(&Refusal::Code(*code)),
                    verdict,
                    "{}",
                    code.name()
                );
            }
        }
        for code in [
            ErrorCode::TOPIC_AUTHORIZATION_FAILED,
            ErrorCode::UNKNOWN_SERVER_ERROR,
        ] {
            let reason = format!("its committed offset cannot be read: {}", code.name());
            assert_eq!(Verdict::of(&Refusal::Code(code)), Verdict::Pause(reason));
        }
        assert_eq!(Verdict::of(&Refusal::Disconnected), Verdict::RetryAndTell);
    }
}
