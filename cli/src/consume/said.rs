//! What a person who watches is told on stderr: a line for whatever changes what they see, and none where all is as it
//! should be. Pure.

use std::collections::BTreeSet;

use callboard_consumer::{Event, TopicPartition};

/// What was said and still holds.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Topics that are not there.
    missing: BTreeSet<String>,
    /// The last trouble that comes back with every try by itself; once is enough.
    trouble: Option<String>,
}

impl Said {
    /// The line for an event, if it deserves one.
    pub(super) fn hear(&mut self, event: &Event) -> Option<String> {
        match event {
            // As it should be.
            Event::HandlerStarted { .. } | Event::Redelivered { .. } | Event::Left => None,
            Event::Assigned { .. } | Event::Committed { .. } => {
                self.trouble = None;
                None
            }
            // The command ends with these, and says so itself.
            Event::Paused { .. } | Event::Fatal { .. } => None,
            Event::Revoked { unfinished, .. } => {
                let partitions = self.there(unfinished)?;
                Some(format!(
                    "{partitions} went to another member before all that was printed was committed: some of it comes again there"
                ))
            }
            Event::Lost { partitions, cause } => {
                let partitions = self.there(partitions)?;
                Some(format!(
                    "lost {partitions} ({cause}): what was printed and not yet committed comes again"
                ))
            }
            Event::HandlerRestarted {
                partition,
                error,
                after,
                resumes_at,
                ..
            } => Some(format!(
                "{partition} stopped ({error}): it goes on at offset {resumes_at} in {after:?}"
            )),
            Event::Skipped { partition, offset } => Some(format!(
                "{partition}@{offset} is passed over: it cannot be handed out"
            )),
            Event::CommitFailed { partitions, error } => {
                if !partitions.is_empty() {
                    self.there(partitions)?;
                }
                self.once(format!(
                    "what is printed cannot be committed ({error}): it is tried again"
                ))
            }
            // Where nothing was committed, beginning where --from says is what was asked for.
            Event::OffsetReset { from: None, .. } => None,
            Event::OffsetReset {
                partition,
                from: Some(from),
                to,
            } => Some(format!(
                "{partition} has no offset {from} any more: it goes on at {to}, as auto.offset.reset says"
            )),
            Event::Unacknowledged {
                partition,
                first,
                count,
                ..
            } => Some(format!(
                "{partition} waits: {count} of its records from offset {first} on are not printed yet"
            )),
            // Its user data, or its being told: the group goes on.
            Event::AssignorFailed { call, error, .. } if *call != "assign" => {
                self.once(format!("{error} (asked for {call})"))
            }
            Event::AssignorFailed { error, .. } => self.once(format!(
                "the group cannot share out its partitions ({error}): it is tried again"
            )),
            Event::CoordinatorLost { node, error } => {
                let node = node.map_or_else(String::new, |node| format!(" (node {node})"));
                Some(format!(
                    "the group's coordinator{node} is away ({error}): nothing is committed until it is back"
                ))
            }
            Event::CoordinatorFound { node } => {
                Some(format!("the group's coordinator is back (node {node})"))
            }
            Event::TopicMissing {
                topic,
                was_there,
                error,
            } => {
                self.missing.insert(topic.clone());
                Some(if *was_there {
                    format!("topic {topic} has gone ({error}): waiting for its return")
                } else {
                    format!("topic {topic} is not there yet ({error}): waiting for it")
                })
            }
            Event::TopicBack { topic } => {
                self.missing.remove(topic);
                Some(format!("topic {topic} is there"))
            }
        }
    }

    /// Says what is said again and again the first time.
    fn once(&mut self, line: String) -> Option<String> {
        if self.trouble.as_ref() == Some(&line) {
            return None;
        }
        self.trouble = Some(line.clone());
        Some(line)
    }

    /// Those whose topic is there, in words; none if there are none: that a topic has gone has been said.
    fn there(&self, partitions: &[TopicPartition]) -> Option<String> {
        let there: Vec<String> = partitions
            .iter()
            .filter(|partition| !self.missing.contains(&*partition.topic))
            .map(ToString::to_string)
            .collect();
        (!there.is_empty()).then(|| there.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn partition() -> TopicPartition {
        TopicPartition::new("t", 0)
    }

    fn missing(was_there: bool) -> Event {
        Event::TopicMissing {
            topic: "t".to_owned(),
            was_there,
            error: "UNKNOWN_TOPIC_OR_PARTITION",
        }
    }

    #[test]
    fn a_usual_life_is_silent() {
        let mut said = Said::default();
        for event in [
            Event::Assigned {
                generation: 1,
                member_id: "m".to_owned(),
                owned: vec![partition()],
                added: vec![partition()],
                leader: true,
                reason: "start".to_owned(),
                took: Duration::ZERO,
            },
            Event::OffsetReset {
                partition: partition(),
                from: None,
                to: 0,
            },
            Event::HandlerStarted {
                partition: partition(),
                offset: 0,
            },
            Event::Committed {
                offsets: vec![(partition(), 1)],
            },
            Event::Revoked {
                partitions: vec![partition()],
                unfinished: Vec::new(),
            },
            Event::Left,
        ] {
            assert_eq!(said.hear(&event), None, "{event:?}");
        }
    }

    #[test]
    fn what_changes_is_said_with_from_to_and_why() {
        let mut said = Said::default();
        let reset = Event::OffsetReset {
            partition: partition(),
            from: Some(5),
            to: 50,
        };
        let line = said.hear(&reset).unwrap();
        for part in ["t/0", " 5 ", " 50", "auto.offset.reset"] {
            assert!(line.contains(part), "{line}");
        }
        let away = Event::CoordinatorLost {
            node: Some(7),
            error: "DISCONNECTED".to_owned(),
        };
        let line = said.hear(&away).unwrap();
        assert!(
            line.contains("node 7") && line.contains("DISCONNECTED"),
            "{line}"
        );
        let back = said.hear(&Event::CoordinatorFound { node: 7 }).unwrap();
        assert!(back.contains("is back"), "{back}");
    }

    #[test]
    fn of_a_topic_that_has_gone_one_line_is_said() {
        let mut said = Said::default();
        assert!(said.hear(&missing(true)).unwrap().contains("has gone"));
        for event in [
            Event::Revoked {
                partitions: vec![partition()],
                unfinished: vec![partition()],
            },
            Event::Lost {
                partitions: vec![partition()],
                cause: "its topic has gone".to_owned(),
            },
            Event::CommitFailed {
                partitions: vec![partition()],
                error: "UNKNOWN_TOPIC_OR_PARTITION".to_owned(),
            },
        ] {
            assert_eq!(said.hear(&event), None, "{event:?}");
        }
        let back = Event::TopicBack {
            topic: "t".to_owned(),
        };
        assert!(said.hear(&back).is_some());
        let lost = Event::Lost {
            partitions: vec![partition()],
            cause: "fenced".to_owned(),
        };
        assert!(said.hear(&lost).unwrap().contains("fenced"));
    }

    #[test]
    fn a_commit_that_is_tried_again_and_again_is_said_once() {
        let mut said = Said::default();
        let failed = Event::CommitFailed {
            partitions: Vec::new(),
            error: "COORDINATOR_LOAD_IN_PROGRESS".to_owned(),
        };
        assert!(said.hear(&failed).is_some());
        assert_eq!(said.hear(&failed), None);
        let committed = Event::Committed {
            offsets: Vec::new(),
        };
        said.hear(&committed);
        assert!(said.hear(&failed).is_some());
    }
}
