//! What a topic may be called, as Kafka's brokers have it, so that a name that is none is refused before it is asked for.

use callboard_protocol::ErrorCode;

use crate::error::ClientError;

/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 249;

/// Whether a topic may be called so.
///
/// # Errors
/// [`ClientError::Kafka`] with INVALID_TOPIC_EXCEPTION and what is wrong.
pub fn check_topic_name(name: &str) -> Result<(), ClientError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let wrong = if name.is_empty() {
        "a topic needs a name".to_owned()
    } else if name.starts_with('^') || name.contains(['*', '|', '(', '[']) {
        format!("{name} reads as a pattern; topics are named one by one")
    } else if name.len() > NAME_BYTES_MAX {
        format!(
            "a name of {} bytes, {NAME_BYTES_MAX} are the most",
            name.len()
        )
    } else if matches!(name, "." | "..") || !name.bytes().all(legal) {
        format!("{name:?} is no name of a topic")
    } else {
        return Ok(());
    };
    Err(ClientError::Kafka {
        code: ErrorCode::INVALID_TOPIC_EXCEPTION,
        message: Some(wrong),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_brokers_take() {
        for name in ["orders", "a.b_c-D9", "...", &"x".repeat(249)] {
            assert!(check_topic_name(name).is_ok(), "{name}");
        }
        for (name, said) in [
            ("", "needs a name"),
            (".", "no name"),
            ("..", "no name"),
            ("a b", "no name"),
            ("orders/1", "no name"),
            ("stra\u{df}e", "no name"),
            ("^orders.*", "^orders.* reads as a pattern"),
            ("orders-.*", "reads as a pattern"),
            (&"x".repeat(250), "250 bytes"),
        ] {
            let error = check_topic_name(name).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
