//! Which topics a consumer misses, when it asks for them again, and what the application hears of it. Owned by the watch
//! on metadata that membership keeps.
//!
//! Each missing topic has a backoff of its own, from `retry.backoff.ms` doubling to `retry.backoff.max.ms`; one refresh
//! asks for all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use callboard_client::core::backoff::Backoff;
use callboard_protocol::ErrorCode;

use super::membership::Topics;

/// What the application should hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicNews {
    /// A topic that is subscribed to is not there.
    Missing {
        /// Which.
        topic: String,
        /// It was there before: it was deleted.
        was_there: bool,
        /// What the brokers say.
        code: ErrorCode,
    },
    /// It is there again, or at last.
    Back {
        /// Which.
        topic: String,
    },
}

/// The topics and their absence.
#[derive(Debug)]
pub struct TopicWatch {
    subscribed: BTreeSet<String>,
    /// Those of the subscribed topics that are there, or were when they were last looked at.
    there: Topics,
    /// Those that are not, and when each is asked for again.
    missing: BTreeMap<String, Missing>,
    backoff: Backoff,
}

#[derive(Debug)]
struct Missing {
    backoff: Backoff,
    wait: Duration,
    due: Duration,
}

impl Missing {
    fn new(now: Duration, mut backoff: Backoff) -> Self {
        let wait = backoff.next_wait();
        Self {
            backoff,
            wait,
            due: now + wait,
        }
    }
}

impl TopicWatch {
    /// A watch over the topics `subscribed`; each missing one waits as a fresh `backoff` does.
    #[must_use]
    pub fn new(subscribed: BTreeSet<String>, backoff: Backoff) -> Self {
        Self {
            subscribed,
            there: Topics::new(),
            missing: BTreeMap::new(),
            backoff,
        }
    }

    /// Metadata says that there are `topics`, and that these were `refused`. A leader asks for the topics of the whole
    /// group: those count as missing too, without a word to this application.
    pub fn heard(
        &mut self,
        now: Duration,
        topics: &Topics,
        refused: &BTreeMap<Arc<str>, ErrorCode>,
        news: &mut Vec<TopicNews>,
    ) {
        for topic in &self.subscribed {
            let before = self.there.get(topic);
            let was_there = before.is_some();
            let found = topics.get(topic);
            let is_anew =
                matches!((before, found), (Some(before), Some(found)) if !before.is_same(found));
            let is_known = self.missing.contains_key(topic);
            if is_anew || (found.is_none() && !is_known) {
                let code = refused.get(&**topic).copied();
                news.push(TopicNews::Missing {
                    topic: topic.clone(),
                    was_there,
                    code: code.unwrap_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
                });
            }
            if is_anew || (found.is_some() && is_known) {
                news.push(TopicNews::Back {
                    topic: topic.clone(),
                });
            }
            match found {
                Some(found) => self.there.insert(topic.clone(), *found),
                None => self.there.remove(topic),
            };
        }
        let refused = refused.keys().map(|name| &**name);
        let wanted = self.subscribed.iter().map(String::as_str).chain(refused);
        let absent: BTreeSet<&str> = wanted.filter(|name| !topics.contains_key(*name)).collect();
        self.missing.retain(|name, _| absent.contains(&**name));
        for name in absent {
            if !self.missing.contains_key(name) {
                let missing = Missing::new(now, self.backoff.clone());
                self.missing.insert(name.to_owned(), missing);
            }
        }
    }

    /// Whether to ask for metadata now. Whatever is missing is asked for with it: it waits anew, twice as long if it was
    /// its turn.
    pub fn asks(&mut self, now: Duration) -> bool {
        if self.next_deadline().is_none_or(|due| due > now) {
            return false;
        }
        for missing in self.missing.values_mut() {
            if missing.due <= now {
                missing.wait = missing.backoff.next_wait();
            }
            missing.due = now + missing.wait;
        }
        true
    }

    /// When something missing is to be asked for again.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.missing.values().map(|missing| missing.due).min()
    }
}

#[cfg(test)]
mod tests {
    use callboard_protocol::Uuid;

    use super::super::membership::TopicView;
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    fn watch(subscribed: &[&str]) -> TopicWatch {
        let subscribed = subscribed.iter().map(|&name| name.to_owned()).collect();
        TopicWatch::new(subscribed, Backoff::new(100 * MILLI, 1000 * MILLI, 3))
    }

    fn topics(names: &[(&str, u8)]) -> Topics {
        let view = |id| TopicView {
            id: Uuid([id; 16]),
            partitions: 1,
            racks: 0,
        };
        names
            .iter()
            .map(|(name, id)| ((*name).to_owned(), view(*id)))
            .collect()
    }

    fn hear(watch: &mut TopicWatch, now: Duration, names: &[(&str, u8)]) -> Vec<TopicNews> {
        let mut news = Vec::new();
        let refused = BTreeMap::new();
        watch.heard(now, &topics(names), &refused, &mut news);
        news
    }

    fn missing(was_there: bool) -> TopicNews {
        TopicNews::Missing {
            topic: "a".to_owned(),
            was_there,
            code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        }
    }

    fn back() -> TopicNews {
        TopicNews::Back {
            topic: "a".to_owned(),
        }
    }

    #[test]
    fn a_topic_that_comes_later_is_missed_once_and_asked_for_until_it_comes() {
        let mut watch = watch(&["a"]);
        assert_eq!(hear(&mut watch, Duration::ZERO, &[]), [missing(false)]);
        let mut asked = Vec::new();
        while asked.len() < 8 {
            let due = watch.next_deadline().expect("it is missing");
            assert!(!watch.asks(due - MILLI));
            assert!(watch.asks(due));
            asked.push(due);
            assert_eq!(hear(&mut watch, due, &[]), []);
        }
        assert!(asked[0] < 121 * MILLI, "{asked:?}");
        let last = asked[7] - asked[6];
        assert!((800 * MILLI..=1200 * MILLI).contains(&last), "{asked:?}");
        assert_eq!(hear(&mut watch, asked[7], &[("a", 1)]), [back()]);
        assert_eq!(watch.next_deadline(), None);
    }

    #[test]
    fn a_deleted_topic_is_looked_for_at_once_also_if_it_is_another_one_by_then() {
        let mut watch = watch(&["a"]);
        assert_eq!(hear(&mut watch, Duration::ZERO, &[("a", 1)]), []);
        assert_eq!(hear(&mut watch, 5000 * MILLI, &[]), [missing(true)]);
        assert!(watch.next_deadline().is_some_and(|due| due < 5121 * MILLI));
        assert_eq!(hear(&mut watch, 5100 * MILLI, &[("a", 2)]), [back()]);
        let anew = hear(&mut watch, 5200 * MILLI, &[("a", 3)]);
        assert_eq!(anew, [missing(true), back()]);
        // An old broker says no id.
        assert_eq!(hear(&mut watch, 5300 * MILLI, &[("a", 0)]), []);
        assert_eq!(watch.next_deadline(), None);
    }

    #[test]
    fn many_that_are_missing_are_asked_for_together() {
        let names: Vec<String> = (0..100).map(|number| format!("topic-{number}")).collect();
        let mut watch = watch(&names.iter().map(String::as_str).collect::<Vec<_>>());
        // They go away one after the other.
        let mut there: Vec<(&str, u8)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        hear(&mut watch, Duration::ZERO, &there);
        let (mut now, mut asked) = (Duration::ZERO, 0);
        while now < 100_000 * MILLI {
            if now.as_millis() % 7 == 0 && !there.is_empty() {
                there.pop();
                hear(&mut watch, now, &there);
            }
            asked += u32::from(watch.asks(now));
            now += MILLI;
        }
        // Ten in the first second at most, and then one in 0.8 s at least.
        assert!(asked < 10 + 125, "{asked}");
    }

    #[test]
    fn a_leader_looks_for_the_topics_of_the_others_too() {
        let mut watch = watch(&["a"]);
        let refused = [(Arc::from("b"), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)].into();
        let mut news = Vec::new();
        watch.heard(Duration::ZERO, &topics(&[("a", 1)]), &refused, &mut news);
        assert_eq!(news, []);
        assert!(watch.next_deadline().is_some());
    }
}
