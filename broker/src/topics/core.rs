//! What makes a topic: the rules of names, partition numbers, replicas and settings, with the error and the sentence
//! Kafka 4.2.0's controller gives. Pure; knows no disk and no actor.

use std::collections::BTreeMap;

use callboard_protocol::ErrorCode;

use super::settings;

/// Longest name: with `-` and a partition number it must be a file name.
pub(crate) const NAME_LENGTH_MAX: usize = 249;

/// A topic somebody wants, in the words of CreateTopics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewTopic {
    /// The name.
    pub name: String,
    /// How many partitions; -1 for the broker's default, and with `assignments`.
    pub partitions: i32,
    /// How many replicas; -1 for the broker's default, and with `assignments`.
    pub replication_factor: i16,
    /// Partitions and the brokers that shall have them; empty for the broker's choice.
    pub assignments: Vec<(i32, Vec<i32>)>,
    /// Settings of the topic over the broker's; None is refused as Kafka refuses it.
    pub configs: Vec<(String, Option<String>)>,
}

/// More partitions for a topic, in the words of CreatePartitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    /// How many partitions it shall have in all.
    pub partitions: i32,
    /// The brokers that shall have each new partition; None for the broker's choice.
    pub assignments: Option<Vec<Vec<i32>>>,
}

/// Why there is no such topic now: the error code and the sentence of the answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TopicError {
    /// What a client gets.
    pub code: ErrorCode,
    /// The sentence beside it.
    pub message: String,
}

impl TopicError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

/// What the broker brings to the decision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The one broker there is.
    pub(crate) node_id: i32,
    /// Partitions of a topic that does not say how many.
    pub(crate) default_partitions: i32,
    /// Partitions that may still be made.
    pub(crate) partitions_left: usize,
}

/// A topic that may be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Approved {
    pub(crate) name: String,
    pub(crate) partitions: i32,
    pub(crate) configs: BTreeMap<String, String>,
}

/// Decides on a topic. `exists` tells whether a topic has a name; `names` are those of all of them.
pub(crate) fn approve<'a>(
    topic: &NewTopic,
    exists: impl Fn(&str) -> bool,
    mut names: impl Iterator<Item = &'a str>,
    limits: &Limits,
) -> Result<Approved, TopicError> {
    let wanted = &topic.name;
    check_name(wanted)?;
    if exists(wanted) {
        let message = format!("Topic '{wanted}' already exists.");
        return Err(TopicError::new(ErrorCode::TOPIC_ALREADY_EXISTS, message));
    }
    // Most names cannot be mistaken for another, and nobody looks through all there are for them.
    if wanted.contains(['.', '_'])
        && let Some(name) = names.find(|name| collide(name, wanted))
    {
        let message = format!("Topic '{wanted}' collides with existing topic: {name}");
        return Err(TopicError::new(ErrorCode::INVALID_TOPIC_EXCEPTION, message));
    }
    let configs = settings::check(&topic.configs)?;
    let partitions = if topic.assignments.is_empty() {
        count(topic, limits)?
    } else {
        assigned(topic, limits)?
    };
    if usize::try_from(partitions).map_or(true, |partitions| partitions > limits.partitions_left) {
        let message = format!(
            "{partitions} partitions are more than this broker has left ({})",
            limits.partitions_left
        );
        return Err(TopicError::new(ErrorCode::INVALID_PARTITIONS, message));
    }
    Ok(Approved {
        name: topic.name.clone(),
        partitions,
        configs,
    })
}

/// Decides on more partitions for a topic of `present`. The error and the sentence are Kafka's.
pub(crate) fn approve_growth(
    name: &str,
    present: i32,
    growth: &Growth,
    limits: &Limits,
) -> Result<(), TopicError> {
    let few = |message: String| Err(TopicError::new(ErrorCode::INVALID_PARTITIONS, message));
    let wanted = growth.partitions;
    if wanted == present {
        return few(format!("Topic already has {present} partition(s)."));
    }
    if wanted < present {
        return few(format!(
            "The topic {name} currently has {present} partition(s); {wanted} would not be an increase."
        ));
    }
    let more = usize::try_from(wanted - present).unwrap_or(usize::MAX);
    if let Some(assignments) = &growth.assignments {
        if assignments.len() != more {
            let message = format!(
                "Attempted to add {more} additional partition(s), but only {} assignment(s) were specified.",
                assignments.len()
            );
            return Err(TopicError::new(
                ErrorCode::INVALID_REPLICA_ASSIGNMENT,
                message,
            ));
        }
        for brokers in assignments {
            check_brokers(brokers, limits)?;
        }
    }
    if more > limits.partitions_left {
        return few(format!(
            "{more} partitions are more than this broker has left ({})",
            limits.partitions_left
        ));
    }
    Ok(())
}

/// Kafka's rule of topic names.
///
/// # Errors
/// INVALID_TOPIC_EXCEPTION with Kafka's sentence.
pub fn check_name(name: &str) -> Result<(), TopicError> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let what = if name.is_empty() {
        "the empty string is not allowed".to_owned()
    } else if name == "." || name == ".." {
        format!("'{name}' is not allowed")
    } else if name.encode_utf16().count() > NAME_LENGTH_MAX {
        format!("the length of '{name}' is longer than the max allowed length {NAME_LENGTH_MAX}")
    } else if !name.chars().all(legal) {
        format!(
            "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
        )
    } else {
        return Ok(());
    };
    Err(TopicError::new(
        ErrorCode::INVALID_TOPIC_EXCEPTION,
        format!("Topic name is invalid: {what}"),
    ))
}

/// Whether two names differ in nothing but `.` and `_`: metric names cannot tell them apart.
fn collide(left: &str, right: &str) -> bool {
    let plain = |c: u8| if c == b'.' { b'_' } else { c };
    left.len() == right.len() && left.bytes().map(plain).eq(right.bytes().map(plain))
}

fn count(topic: &NewTopic, limits: &Limits) -> Result<i32, TopicError> {
    let factor = topic.replication_factor;
    if factor < -1 || factor == 0 {
        let message = "Replication factor must be larger than 0, or -1 to use the default value.";
        return Err(TopicError::new(
            ErrorCode::INVALID_REPLICATION_FACTOR,
            message,
        ));
    }
    let partitions = match topic.partitions {
        -1 => limits.default_partitions,
        count if count < 1 => {
            let message =
                "Number of partitions must be larger than 0, or -1 to use the default value.";
            return Err(TopicError::new(ErrorCode::INVALID_PARTITIONS, message));
        }
        count => count,
    };
    if factor > 1 {
        let message = format!(
            "Unable to replicate the partition {factor} time(s): The target replication factor of {factor} cannot be \
             reached because only 1 broker(s) are registered."
        );
        return Err(TopicError::new(
            ErrorCode::INVALID_REPLICATION_FACTOR,
            message,
        ));
    }
    Ok(partitions)
}

fn assigned(topic: &NewTopic, limits: &Limits) -> Result<i32, TopicError> {
    if topic.replication_factor != -1 {
        let message = "A manual partition assignment was specified, but replication factor was not set to -1.";
        return Err(TopicError::new(ErrorCode::INVALID_REQUEST, message));
    }
    if topic.partitions != -1 {
        let message =
            "A manual partition assignment was specified, but numPartitions was not set to -1.";
        return Err(TopicError::new(ErrorCode::INVALID_REQUEST, message));
    }
    let invalid = |message: String| {
        Err(TopicError::new(
            ErrorCode::INVALID_REPLICA_ASSIGNMENT,
            message,
        ))
    };
    let mut seen = std::collections::BTreeSet::new();
    for (partition, brokers) in &topic.assignments {
        if !seen.insert(*partition) {
            return invalid(format!(
                "Found multiple manual partition assignments for partition {partition}"
            ));
        }
        check_brokers(brokers, limits)?;
    }
    if seen
        .iter()
        .zip(0..)
        .any(|(partition, place)| *partition != place)
    {
        return invalid("partitions should be a consecutive 0-based integer sequence".to_owned());
    }
    Ok(i32::try_from(seen.len()).unwrap_or(i32::MAX))
}

/// Whether a partition can lie on these brokers.
fn check_brokers(brokers: &[i32], limits: &Limits) -> Result<(), TopicError> {
    let what = if brokers.is_empty() {
        "an empty replica list.".to_owned()
    } else if let Some(stranger) = brokers.iter().find(|id| **id != limits.node_id) {
        format!("broker {stranger}, but no such broker is registered.")
    } else if brokers.len() > 1 {
        format!("the broker {} more than once.", limits.node_id)
    } else {
        return Ok(());
    };
    Err(TopicError::new(
        ErrorCode::INVALID_REPLICA_ASSIGNMENT,
        format!("The manual partition assignment includes {what}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        node_id: 1,
        default_partitions: 3,
        partitions_left: 100,
    };

    fn topic(name: &str, partitions: i32) -> NewTopic {
        NewTopic {
            name: name.to_owned(),
            partitions,
            replication_factor: 1,
            ..NewTopic::default()
        }
    }

    fn approved(topic: &NewTopic, existing: &[&str]) -> Result<Approved, TopicError> {
        let exists = |name: &str| existing.contains(&name);
        approve(topic, exists, existing.iter().copied(), &LIMITS)
    }

    fn refused(topic: &NewTopic, existing: &[&str]) -> (i16, String) {
        let error = approved(topic, existing).unwrap_err();
        (error.code.0, error.message)
    }

    #[test]
    fn names() {
        for good in [
            "a",
            "A.b_c-9",
            "__consumer_offsets",
            "...",
            &"x".repeat(249),
        ] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in ["", ".", "..", "a b", "ä", "a/b", "a\0", &"x".repeat(250)] {
            assert_eq!(
                check_name(bad).unwrap_err().code,
                ErrorCode::INVALID_TOPIC_EXCEPTION,
                "{bad}"
            );
        }
    }

    #[test]
    fn a_name_is_taken_once_and_dots_and_underscores_are_the_same() {
        assert_eq!(
            refused(&topic("a", 1), &["b", "a"]),
            (36, "Topic 'a' already exists.".to_owned())
        );
        assert_eq!(
            refused(&topic("a.b", 1), &["a_b"]),
            (
                17,
                "Topic 'a.b' collides with existing topic: a_b".to_owned()
            )
        );
        assert!(approved(&topic("a.b", 1), &["ab", "a-b", "a.bc"]).is_ok());
        assert!(approved(&topic("a-b", 1), &["a.b", "a_b", "ab"]).is_ok());
    }

    #[test]
    fn partitions_and_replicas() {
        assert_eq!(approved(&topic("a", -1), &[]).unwrap().partitions, 3);
        assert_eq!(approved(&topic("a", 100), &[]).unwrap().partitions, 100);
        for bad in [0, -2, 101, i32::MIN] {
            assert_eq!(refused(&topic("a", bad), &[]).0, 37, "{bad}");
        }
        for bad in [0, -2, 2] {
            assert_eq!(
                refused(
                    &NewTopic {
                        replication_factor: bad,
                        ..topic("a", 1)
                    },
                    &[]
                )
                .0,
                38,
                "{bad}"
            );
        }
    }

    #[test]
    fn manual_assignments() {
        let manual = |assignments: &[(i32, &[i32])]| NewTopic {
            partitions: -1,
            replication_factor: -1,
            assignments: assignments
                .iter()
                .map(|(partition, brokers)| (*partition, brokers.to_vec()))
                .collect(),
            ..topic("a", -1)
        };
        assert_eq!(
            approved(&manual(&[(1, &[1]), (0, &[1])]), &[])
                .unwrap()
                .partitions,
            2
        );
        for bad in [
            manual(&[(1, &[1])]),
            manual(&[(0, &[2])]),
            manual(&[(0, &[])]),
            manual(&[(0, &[1, 1])]),
            manual(&[(0, &[1]), (0, &[1])]),
        ] {
            assert_eq!(refused(&bad, &[]).0, 39, "{bad:?}");
        }
        assert_eq!(
            refused(
                &NewTopic {
                    partitions: 1,
                    ..manual(&[(0, &[1])])
                },
                &[]
            )
            .0,
            42
        );
        assert_eq!(
            refused(
                &NewTopic {
                    replication_factor: 1,
                    ..manual(&[(0, &[1])])
                },
                &[]
            )
            .0,
            42
        );
    }

    #[test]
    fn growth() {
        let grow = |partitions, assignments: Option<&[&[i32]]>| {
            let assignments = assignments.map(|all| all.iter().map(|one| one.to_vec()).collect());
            let growth = Growth {
                partitions,
                assignments,
            };
            approve_growth("g", 2, &growth, &LIMITS).map_err(|error| (error.code.0, error.message))
        };
        assert_eq!(grow(3, None), Ok(()));
        assert_eq!(grow(102, None), Ok(()));
        assert_eq!(grow(4, Some(&[&[1], &[1]])), Ok(()));
        let refused = |code, message: &str| Err((code, message.to_owned()));
        assert_eq!(
            grow(2, None),
            refused(37, "Topic already has 2 partition(s).")
        );
        assert_eq!(
            grow(-1, None),
            refused(
                37,
                "The topic g currently has 2 partition(s); -1 would not be an increase."
            )
        );
        assert_eq!(
            grow(103, None),
            refused(
                37,
                "101 partitions are more than this broker has left (100)"
            )
        );
        assert_eq!(
            grow(4, Some(&[&[1]])),
            refused(
                39,
                "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified."
            )
        );
        for bad in [&[][..], &[2], &[1, 1]] {
            assert_eq!(grow(3, Some(&[bad])).unwrap_err().0, 39, "{bad:?}");
        }
    }
}
