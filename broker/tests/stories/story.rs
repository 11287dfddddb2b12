//! One story, played over real connections. What differs from run to run (member ids, names of groups and topics) is
//! bound when it first appears.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::schema::Schemas;
use crate::wire::Conn;

/// How long an answer may stay away when nothing else is said.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one waits for the answer of a superseded request, which need not come.
const SUPERSEDED: Duration = Duration::from_millis(300);
/// After a request that may park: what comes next on another connection must not overtake it.
const SETTLE: Duration = Duration::from_millis(30);
/// The story in which a topic is deleted while time passes; the script does not say so.
const TOPIC_DELETED: &str = "offsets-go-with-their-topic";
/// Free text, throttling, and what of ApiVersions is not about groups.
const NOT_COMPARED: &[&str] = &[
    "throttle_time_ms",
    "error_message",
    "supported_features",
    "finalized_features",
    "finalized_features_epoch",
    "zk_migration_ready",
];

/// What the names of the script stand for in this run.
#[derive(Clone, Debug, Default)]
struct Names(BTreeMap<String, Value>);

/// A story being played.
pub(crate) struct Story<'a> {
    schemas: &'a Schemas,
    broker: SocketAddr,
    script: &'a Value,
    names: Names,
    conns: BTreeMap<String, Conn>,
    /// For what the script takes for granted.
    setup: Conn,
}

impl<'a> Story<'a> {
    /// Plays `script`; what differs from Kafka is told in words.
    pub(crate) async fn play(
        schemas: &'a Schemas,
        broker: SocketAddr,
        script: &'a Value,
    ) -> Result<(), String> {
        let mut story = Self {
            schemas,
            broker,
            script,
            names: Names::default(),
            conns: BTreeMap::new(),
            setup: Conn::open(broker).await,
        };
        story.name_groups_and_topics();
        for (at, act) in script["script"].as_array().unwrap().iter().enumerate() {
            if let Err(reason) = story.act(act).await {
                return Err(format!("act {at}, {act}: {reason}"));
            }
        }
        Ok(())
    }

    /// Waits until the broker has loaded all groups.
    pub(crate) async fn ready(schemas: &Schemas, broker: SocketAddr) {
        let mut conn = Conn::open(broker).await;
        loop {
            conn.send(schemas, "ListGroups", 0, "setup", &json!({}))
                .await;
            let (_, frame) = conn.next(PATIENCE).await.expect("no answer");
            if frame.expect("the connection was closed")[4..6] == [0, 0] {
                return;
            }
        }
    }

    /// Topics that appear by name within the opaque bytes of members must have just these names.
    fn name_groups_and_topics(&mut self) {
        let text = self.script.to_string();
        let mut within: Vec<String> = Vec::new();
        for at in 0..text.len() {
            let name = text
                .as_bytes()
                .get(at..at + 24)
                .filter(|hex| hex.starts_with(b"742d"));
            let hex = name.and_then(|hex| std::str::from_utf8(hex).ok());
            let Some(hex) = hex.filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
            else {
                continue;
            };
            if let Ok(name) = String::from_utf8(crate::schema::unhex(hex))
                && name[2..].bytes().all(|byte| byte.is_ascii_hexdigit())
                && !within.contains(&name)
            {
                within.push(name);
            }
        }
        for number in 1..10 {
            let id = uuid::Uuid::new_v4().simple().to_string();
            let topic = within.get(number - 1).cloned();
            let topic = topic.unwrap_or_else(|| format!("t-{}", &id[..10]));
            self.names
                .0
                .insert(format!("$G{number}"), json!(format!("g-{}", &id[..10])));
            self.names.0.insert(format!("$T{number}"), json!(topic));
        }
    }

    async fn act(&mut self, act: &Value) -> Result<(), String> {
        let ms = || Duration::from_millis(act["ms"].as_u64().unwrap());
        let label = act["conn"].as_str().unwrap_or_default();
        match act["act"].as_str().unwrap() {
            "create_topic" => self.create_topic(act).await,
            "sleep" => {
                if self.script["name"] == TOPIC_DELETED {
                    let fields =
                        json!({"topic_names": [self.names.0["$T1"]], "timeout_ms": 10_000});
                    self.ask("DeleteTopics", 1, &fields).await?;
                }
                tokio::time::sleep(ms()).await;
                Ok(())
            }
            "send" => self.send(label, act).await,
            "send_raw" => {
                let bytes = crate::schema::unhex(act["frame"]["hex"].as_str().unwrap());
                // The script's own correlation id.
                self.conn(label).await.send_raw(&bytes, 77).await;
                Ok(())
            }
            "recv" => self.recv(label, act).await,
            "waits" => match self.conn(label).await.next(ms()).await {
                None => Ok(()),
                Some(_) => Err("something came although nothing should".to_owned()),
            },
            "superseded" => {
                let (api, version) = (act["api"].as_str().unwrap(), version(act));
                match self.conn(label).await.next(SUPERSEDED).await {
                    None => Ok(()),
                    Some((_, None)) => Err("the connection was closed".to_owned()),
                    Some((_, Some(frame))) => {
                        let answer = self.decode(api, version, &frame)?;
                        let sent_back = matches!(answer["error_code"].as_i64(), Some(25 | 27));
                        sent_back
                            .then_some(())
                            .ok_or_else(|| format!("answered {answer}"))
                    }
                }
            }
            "close" => {
                self.conns.remove(label);
                Ok(())
            }
            "closed" => match self.conn(label).await.next(PATIENCE).await {
                Some((_, None)) => Ok(()),
                other => Err(format!("the connection was not closed: {other:?}")),
            },
            "silent" => match self.conn(label).await.next(ms()).await {
                None => Ok(()),
                Some(_) => Err("something came although Kafka is silent".to_owned()),
            },
            other => panic!("no such act: {other}"),
        }
    }

    async fn conn(&mut self, label: &str) -> &mut Conn {
        if !self.conns.contains_key(label) {
            self.conns
                .insert(label.to_owned(), Conn::open(self.broker).await);
        }
        self.conns.get_mut(label).unwrap()
    }

    async fn create_topic(&mut self, act: &Value) -> Result<(), String> {
        let label = act["topic"].as_str().unwrap();
        let name = self.names.0[label].clone();
        let topic =
            json!({"name": name, "num_partitions": act["partitions"], "replication_factor": 1});
        self.ask(
            "CreateTopics",
            2,
            &json!({"topics": [topic], "timeout_ms": 10_000}),
        )
        .await?;
        let found = self
            .ask("Metadata", 12, &json!({"topics": [{"name": name}]}))
            .await?;
        let id = format!("$id of {}", &label[1..]);
        self.names
            .0
            .insert(id, found["topics"][0]["topic_id"].clone());
        Ok(())
    }

    /// A request beside the story.
    async fn ask(&mut self, api: &str, version: i16, fields: &Value) -> Result<Value, String> {
        self.setup
            .send(self.schemas, api, version, "setup", fields)
            .await;
        match self.setup.next(PATIENCE).await {
            Some((_, Some(frame))) => self.decode(api, version, &frame),
            _ => Err(format!("no answer to {api}")),
        }
    }

    async fn send(&mut self, label: &str, act: &Value) -> Result<(), String> {
        let (api, version) = (act["api"].as_str().unwrap(), version(act));
        let fields = self.names.fill(&act["fields"])?;
        let client_id = act["client_id"].as_str().unwrap();
        let schemas = self.schemas;
        self.conn(label)
            .await
            .send(schemas, api, version, client_id, &fields)
            .await;
        if matches!(api, "JoinGroup" | "SyncGroup") {
            self.ask(
                "DescribeGroups",
                0,
                &json!({"groups": [fields["group_id"]]}),
            )
            .await?;
            tokio::time::sleep(SETTLE).await;
        }
        Ok(())
    }

    async fn recv(&mut self, label: &str, act: &Value) -> Result<(), String> {
        let (api, version) = (act["api"].as_str().unwrap(), version(act));
        let conn = self.conn(label).await;
        let frame = conn.next(PATIENCE).await;
        let (id, sent) = conn.asked.pop_front().ok_or("nothing was asked")?;
        let (came, frame) = match frame {
            Some((came, Some(frame))) => (came, frame),
            Some((_, None)) => return Err("the connection was closed".to_owned()),
            None => return Err("no answer came".to_owned()),
        };
        if frame.get(..4) != Some(&id.to_be_bytes()[..]) {
            return Err("it is the answer to another request".to_owned());
        }
        let mut answer = self.decode(api, version, &frame)?;
        self.keep_what_is_ours(api, &mut answer);
        self.names = self.names.compare(&act["fields"], &answer)?;
        in_time(
            came - sent,
            Duration::from_millis(act["after_ms"].as_u64().unwrap()),
        )
    }

    fn decode(&self, api: &str, version: i16, frame: &[u8]) -> Result<Value, String> {
        let schema = self.schemas.response(api);
        // ApiVersions never has a tagged header; a header without tags has one zero more.
        let tagged = schema.is_flexible(version) && api != "ApiVersions";
        let body = frame
            .get(4 + usize::from(tagged)..)
            .ok_or("there is no body")?;
        let decoded = schema.decode(version, body);
        decoded.map_err(|reason| format!("not {api} v{version}, {reason}: {frame:02x?}"))
    }

    /// Other stories' groups are on the same broker, and other APIs than those about groups.
    fn keep_what_is_ours(&self, api: &str, answer: &mut Value) {
        let ours: BTreeSet<&str> = self.names.0.values().filter_map(Value::as_str).collect();
        match api {
            "ListGroups" => keep(&mut answer["groups"], |group| {
                ours.contains(group["group_id"].as_str().unwrap())
            }),
            "ApiVersions" => keep(&mut answer["api_keys"], |api| {
                matches!(api["api_key"].as_i64(), Some(10..=16 | 18 | 42 | 47))
            }),
            _ => {}
        }
    }
}

fn keep(list: &mut Value, wanted: impl Fn(&Value) -> bool) {
    if let Some(list) = list.as_array_mut() {
        list.retain(wanted);
    }
}

fn version(act: &Value) -> i16 {
    i16::try_from(act["version"].as_i64().unwrap()).unwrap()
}

/// Never earlier than Kafka, but for the oracle's allowance. How late is a matter of the machine the tests run on: the
/// coordinator's own tests play the same stories under virtual time and look at it.
fn in_time(took: Duration, expected: Duration) -> Result<(), String> {
    let earliest = expected
        .mul_f64(0.9)
        .saturating_sub(Duration::from_millis(350));
    (took >= earliest)
        .then_some(())
        .ok_or_else(|| format!("it came after {took:?}, Kafka's after {expected:?}"))
}

impl Names {
    /// The script's fields with the names of this run.
    fn fill(&self, value: &Value) -> Result<Value, String> {
        Ok(match value {
            Value::String(text) if text.starts_with('$') => {
                let bound = self.0.get(text).cloned();
                bound.ok_or_else(|| format!("{text} has not appeared yet"))?
            }
            Value::Array(list) => list
                .iter()
                .map(|one| self.fill(one))
                .collect::<Result<_, _>>()?,
            Value::Object(fields) => {
                let filled = fields
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), self.fill(value)?)));
                Value::Object(filled.collect::<Result<_, String>>()?)
            }
            other => other.clone(),
        })
    }

    /// Whether `got` is what Kafka answered; the names with what this answer bound.
    fn compare(&self, expected: &Value, got: &Value) -> Result<Self, String> {
        let differs = || Err(format!("expected {expected}, got {got}"));
        match (expected, got) {
            (Value::String(name), got) if name.starts_with('$') => self.bind(name, got),
            (Value::Object(wanted), Value::Object(fields)) => {
                let compared = |name: &&String| !NOT_COMPARED.contains(&name.as_str());
                let left: BTreeSet<_> = wanted.keys().filter(compared).collect();
                let right: BTreeSet<_> = fields.keys().filter(compared).collect();
                if left != right {
                    return differs();
                }
                left.into_iter().try_fold(self.clone(), |names, name| {
                    names
                        .compare(&wanted[name], &fields[name])
                        .map_err(|reason| format!("{name}: {reason}"))
                })
            }
            (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => {
                let wanted: Vec<_> = wanted.iter().collect();
                let found: Vec<_> = found.iter().collect();
                self.compare_sets(&wanted, &found).map_or_else(differs, Ok)
            }
            (expected, got) if expected == got => Ok(self.clone()),
            _ => differs(),
        }
    }

    /// Lists have no order that a client may rely on.
    fn compare_sets(&self, wanted: &[&Value], found: &[&Value]) -> Option<Self> {
        let Some((first, others)) = wanted.split_first() else {
            return Some(self.clone());
        };
        (0..found.len()).find_map(|at| {
            let names = self.compare(first, found[at]).ok()?;
            let mut left = found.to_vec();
            left.remove(at);
            names.compare_sets(others, &left)
        })
    }

    fn bind(&self, name: &str, got: &Value) -> Result<Self, String> {
        let text = got.as_str().unwrap_or_default();
        let fits = match (name, self.0.get(name)) {
            ("$BROKER", _) => got.as_i64().map_or(!text.is_empty(), |number| number > 0),
            ("$ADDRESS", _) => text.starts_with('/'),
            (_, Some(bound)) => bound == got,
            (name, None) if name.starts_with("$M") => {
                let mut names = self.clone();
                names.0.insert(name.to_owned(), got.clone());
                let fresh = !self.0.values().any(|bound| bound == got) && !text.is_empty();
                return fresh
                    .then_some(names)
                    .ok_or_else(|| format!("{name} cannot be {got}"));
            }
            _ => false,
        };
        fits.then(|| self.clone())
            .ok_or_else(|| format!("{name} is {:?}, got {got}", self.0.get(name)))
    }
}
