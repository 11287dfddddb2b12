//! What no single key can say: pairs of values that exclude each other. Each rule binds the role that uses the values,
//! and only what was set: a default yields.

use std::time::Duration;

use super::{Acks, ClientConfig, ConfigError};

/// What librdkafka asks for beyond `fetch.max.bytes` in an answer: room for its head.
const ANSWER_HEAD_BYTES: usize = 512;
/// As Kafka advises: a session takes three heartbeats.
const HEARTBEATS_PER_SESSION: u32 = 3;

/// Who uses a configuration. A role minds its own rules and those of every client, and nobody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Every client.
    Client,
    /// A member of a group, or whoever else fetches.
    Consumer,
    /// A producer.
    Producer,
}

impl ClientConfig {
    /// Whether somebody chose the value of this key: it was set, or its field is not what it is by default.
    fn chosen<T: PartialEq>(&self, key: &str, field: fn(&Self) -> &T) -> bool {
        self.set.contains(key) || field(self) != field(&Self::default())
    }

    /// The configuration as a role uses it. Where two values exclude each other and one of them is a default, that one
    /// yields.
    ///
    /// # Errors
    /// [`ConfigError::Conflict`], naming both, where both were set.
    pub fn settled(&self, role: Role) -> Result<Self, ConfigError> {
        let mut settled = self.clone();
        if settled.bootstrap_servers.is_empty() {
            return conflict("bootstrap.servers names no server".to_owned());
        }
        match role {
            Role::Client => {}
            Role::Consumer => {
                settled.settle_session()?;
                settled.settle_wait()?;
                settled.settle_answers()?;
                if settled.partition_assignment_strategy.is_empty() {
                    return conflict("partition.assignment.strategy names no assignor".to_owned());
                }
            }
            Role::Producer => {
                settled.settle_idempotence()?;
                settled.settle_delivery()?;
            }
        }
        Ok(settled)
    }

    fn settle_session(&mut self) -> Result<(), ConfigError> {
        if self.heartbeat_interval < self.session_timeout {
            return Ok(());
        }
        let heartbeat = self.chosen("heartbeat.interval.ms", |config| &config.heartbeat_interval);
        let session = self.chosen("session.timeout.ms", |config| &config.session_timeout);
        if heartbeat && session {
            return conflict(format!(
                "heartbeat.interval.ms={} must be below session.timeout.ms={}",
                self.heartbeat_interval.as_millis(),
                self.session_timeout.as_millis()
            ));
        }
        if session {
            self.heartbeat_interval = self.session_timeout / HEARTBEATS_PER_SESSION;
        } else {
            self.session_timeout = self.heartbeat_interval * HEARTBEATS_PER_SESSION;
        }
        Ok(())
    }

    /// A Fetch may take `fetch.max.wait.ms` besides `request.timeout.ms`, so defaults need not yield here.
    fn settle_wait(&self) -> Result<(), ConfigError> {
        let chosen = self.chosen("fetch.max.wait.ms", |config| &config.fetch_max_wait)
            && self.chosen("request.timeout.ms", |config| &config.request_timeout);
        if chosen && self.fetch_max_wait >= self.request_timeout {
            return conflict(format!(
                "fetch.max.wait.ms={} must be below request.timeout.ms={}",
                self.fetch_max_wait.as_millis(),
                self.request_timeout.as_millis()
            ));
        }
        Ok(())
    }

    fn settle_answers(&mut self) -> Result<(), ConfigError> {
        let fetched = usize::try_from(self.fetch_max_bytes).unwrap_or(0);
        if fetched + ANSWER_HEAD_BYTES <= self.receive_message_max_bytes {
            return Ok(());
        }
        let receive = self.chosen("receive.message.max.bytes", |config| {
            &config.receive_message_max_bytes
        });
        let fetch = self.chosen("fetch.max.bytes", |config| &config.fetch_max_bytes);
        if receive && fetch {
            return conflict(format!(
                "receive.message.max.bytes={} must be at least fetch.max.bytes={fetched} and {ANSWER_HEAD_BYTES} more",
                self.receive_message_max_bytes
            ));
        }
        if receive {
            let left = self
                .receive_message_max_bytes
                .saturating_sub(ANSWER_HEAD_BYTES);
            self.fetch_max_bytes = i32::try_from(left).unwrap_or(i32::MAX);
        } else {
            self.receive_message_max_bytes = fetched + ANSWER_HEAD_BYTES;
        }
        Ok(())
    }

    /// As in Java, who asks for `acks=1` and does not say more gets no idempotence.
    fn settle_idempotence(&mut self) -> Result<(), ConfigError> {
        if !self.enable_idempotence || self.acks == Acks::All {
            return Ok(());
        }
        if self.chosen("enable.idempotence", |config| &config.enable_idempotence) {
            return conflict(
                "enable.idempotence=true needs acks=all, and acks=1 was set".to_owned(),
            );
        }
        self.enable_idempotence = false;
        Ok(())
    }

    /// A record's time holds a linger and a request. As in Java, `delivery.timeout.ms` yields first.
    fn settle_delivery(&mut self) -> Result<(), ConfigError> {
        let needed = self.linger.saturating_add(self.request_timeout);
        if self.delivery_timeout >= needed {
            return Ok(());
        }
        if !self.chosen("delivery.timeout.ms", |config| &config.delivery_timeout) {
            self.delivery_timeout = needed;
            return Ok(());
        }
        let linger = self.chosen("linger.ms", |config| &config.linger);
        let request = self.chosen("request.timeout.ms", |config| &config.request_timeout);
        let mut least = Duration::ZERO;
        let mut named = Vec::new();
        for (chosen, key, time) in [
            (linger, "linger.ms", self.linger),
            (request, "request.timeout.ms", self.request_timeout),
        ] {
            if chosen {
                least = least.saturating_add(time);
                named.push(format!("{key}={}", time.as_millis()));
            }
        }
        let Some(left) = self.delivery_timeout.checked_sub(least) else {
            return conflict(format!(
                "delivery.timeout.ms={} must be at least {}",
                self.delivery_timeout.as_millis(),
                named.join(" + ")
            ));
        };
        // What is left is for those that nobody set.
        if !linger {
            self.linger = self.linger.min(if request { left } else { left / 2 });
        }
        if !request {
            self.request_timeout = self.delivery_timeout.saturating_sub(self.linger);
        }
        Ok(())
    }
}

fn conflict<T>(text: String) -> Result<T, ConfigError> {
    Err(ConfigError::Conflict(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(settings: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::default();
        for (key, value) in settings {
            config.set(key, value).unwrap();
        }
        config
    }

    fn settled(role: Role, settings: &[(&str, &str)]) -> ClientConfig {
        config(settings)
            .settled(role)
            .unwrap_or_else(|error| panic!("{settings:?}: {error}"))
    }

    fn refused(role: Role, settings: &[(&str, &str)]) -> String {
        match config(settings).settled(role) {
            Ok(_) => panic!("{settings:?} was accepted"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn two_that_were_set_are_refused_with_both_names() {
        use Role::{Consumer, Producer};
        for (role, settings, said) in [
            (
                Consumer,
                &[
                    ("heartbeat.interval.ms", "3000"),
                    ("session.timeout.ms", "2000"),
                ][..],
                "heartbeat.interval.ms=3000 must be below session.timeout.ms=2000",
            ),
            (
                Consumer,
                &[("fetch.max.wait.ms", "500"), ("request.timeout.ms", "500")],
                "fetch.max.wait.ms=500 must be below request.timeout.ms=500",
            ),
            (
                Consumer,
                &[
                    ("receive.message.max.bytes", "100000"),
                    ("fetch.max.bytes", "99489"),
                ],
                "receive.message.max.bytes=100000 must be at least fetch.max.bytes=99489 and 512 more",
            ),
            (
                Producer,
                &[("acks", "1"), ("enable.idempotence", "true")],
                "enable.idempotence=true needs acks=all, and acks=1 was set",
            ),
            (
                Producer,
                &[("delivery.timeout.ms", "100"), ("linger.ms", "101")],
                "delivery.timeout.ms=100 must be at least linger.ms=101",
            ),
            (
                Producer,
                &[
                    ("delivery.timeout.ms", "100"),
                    ("linger.ms", "50"),
                    ("request.timeout.ms", "51"),
                ],
                "delivery.timeout.ms=100 must be at least linger.ms=50 + request.timeout.ms=51",
            ),
        ] {
            assert_eq!(refused(role, settings), said);
        }
    }

    #[test]
    fn a_default_yields_to_what_was_set() {
        let millis = Duration::from_millis;
        let consumer = |key, value| settled(Role::Consumer, &[(key, value)]);
        assert_eq!(
            consumer("session.timeout.ms", "2400").heartbeat_interval,
            millis(800)
        );
        assert_eq!(
            consumer("heartbeat.interval.ms", "60000").session_timeout,
            millis(180_000)
        );
        assert_eq!(
            consumer("request.timeout.ms", "300").fetch_max_wait,
            millis(500)
        );
        assert_eq!(
            consumer("receive.message.max.bytes", "100000").fetch_max_bytes,
            99_488
        );
        assert_eq!(
            consumer("fetch.max.bytes", "200000000").receive_message_max_bytes,
            200_000_512
        );

        let producer = |key, value| settled(Role::Producer, &[(key, value)]);
        assert!(!producer("acks", "1").enable_idempotence);
        assert!(producer("acks", "all").enable_idempotence);
        assert_eq!(
            producer("request.timeout.ms", "305000").delivery_timeout,
            millis(305_005)
        );
        assert_eq!(
            producer("linger.ms", "100000").delivery_timeout,
            millis(130_000)
        );
        let short = producer("delivery.timeout.ms", "8");
        assert_eq!(
            (short.linger, short.request_timeout),
            (millis(4), millis(4))
        );
        let short = settled(
            Role::Producer,
            &[("delivery.timeout.ms", "100"), ("request.timeout.ms", "98")],
        );
        assert_eq!(short.linger, millis(2));
    }

    #[test]
    fn a_field_that_was_written_to_counts_as_set() {
        let mut config = config(&[("enable.idempotence", "true")]);
        config.acks = Acks::Leader;
        assert!(config.settled(Role::Producer).is_err());
    }

    #[test]
    fn a_role_minds_no_rule_of_another() {
        let of_producers = &[
            ("acks", "1"),
            ("enable.idempotence", "true"),
            ("delivery.timeout.ms", "1"),
            ("request.timeout.ms", "305000"),
        ];
        let of_consumers = &[
            ("heartbeat.interval.ms", "45000"),
            ("session.timeout.ms", "45000"),
            ("fetch.max.wait.ms", "30000"),
            ("request.timeout.ms", "30000"),
            ("receive.message.max.bytes", "1000"),
            ("fetch.max.bytes", "1000"),
        ];
        refused(Role::Producer, of_producers);
        refused(Role::Consumer, of_consumers);
        for (role, settings) in [
            (Role::Client, &of_producers[..]),
            (Role::Consumer, of_producers),
            (Role::Client, of_consumers),
            (Role::Producer, of_consumers),
        ] {
            let config = config(settings);
            assert_eq!(
                settled(role, settings),
                config,
                "{role:?} changed something"
            );
        }
    }
}
