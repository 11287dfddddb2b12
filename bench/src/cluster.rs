//! What a broker has to be told before it can be measured: a topic, and that its coordinators have loaded.

use callboard_protocol::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use callboard_protocol::messages::find_coordinator::FindCoordinatorRequest;
use callboard_protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use callboard_protocol::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup};
use callboard_protocol::{ErrorCode, Request};
use tokio::time::{Duration, Instant, sleep};

use crate::error::{BenchError, accepted};
use crate::wire::Wire;

/// The topic whose offsets are committed.
pub(crate) const TOPIC: &str = "bench";
/// Its partitions.
pub(crate) const PARTITIONS: i32 = 100;
/// So many names reach every partition of `__consumer_offsets`, by the law of large numbers.
const NAMES: usize = 1_000;
/// How long a fresh cluster may take to make `__consumer_offsets` and to load it.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
/// A new setting is in force after it has gone through the metadata log of the same process.
const SETTING_SETTLES: Duration = Duration::from_millis(500);

/// Makes the topic, has Kafka make `__consumer_offsets`, and waits until every coordinator answers.
pub(crate) async fn make_ready(address: &str) -> Result<(), BenchError> {
    let mut wire = Wire::connect(address).await?;
    let topic = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: TOPIC.into(),
            num_partitions: PARTITIONS,
            replication_factor: 1,
            ..CreatableTopic::default()
        }],
        ..CreateTopicsRequest::default()
    };
    let answer = wire.call(&topic, 5).await?;
    for topic in answer.read()?.topics {
        if ErrorCode(topic.error_code) != ErrorCode::TOPIC_ALREADY_EXISTS {
            accepted("CreateTopics", topic.error_code)?;
        }
    }
    let find = FindCoordinatorRequest {
        key: "bench".into(),
        ..FindCoordinatorRequest::default()
    };
    patiently(&mut wire, &find, 3, |answer| answer.error_code).await?;
    patiently(&mut wire, &fetch(names()), 8, |answer| {
        let groups = answer.groups.iter();
        groups
            .map(|group| group.error_code)
            .find(|code| *code != 0)
            .unwrap_or(0)
    })
    .await
}

fn names() -> Vec<String> {
    (0..NAMES).map(|number| format!("ready-{number}")).collect()
}

/// Asks for all offsets of groups.
pub(crate) fn fetch(groups: Vec<String>) -> OffsetFetchRequest<'static> {
    OffsetFetchRequest {
        groups: groups
            .into_iter()
            .map(|group| OffsetFetchRequestGroup {
                group_id: group.into(),
                topics: None,
                ..OffsetFetchRequestGroup::default()
            })
            .collect(),
        ..OffsetFetchRequest::default()
    }
}

/// Asks again as long as the answer is one that another try may cure.
async fn patiently<R: Request<'static>>(
    wire: &mut Wire,
    request: &R,
    version: i16,
    code: impl Fn(&R::Response<'_>) -> i16,
) -> Result<(), BenchError> {
    let until = Instant::now() + READY_TIMEOUT;
    loop {
        let answer = wire.call(request, version).await?;
        let code = ErrorCode(code(&answer.read()?));
        if !code.is_retriable() || Instant::now() > until {
            return accepted(R::NAME, code.0);
        }
        sleep(POLL).await;
    }
}

/// How Apache Kafka brings commits to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flush {
    /// When the operating system likes: its default.
    Default,
    /// Before every answer: `flush.messages=1` on `__consumer_offsets`.
    Every,
}

/// Sets it, while it runs.
pub(crate) async fn set_flush(address: &str, flush: Flush) -> Result<(), BenchError> {
    // 0 sets, 1 goes back to the default.
    let (config_operation, value) = match flush {
        Flush::Every => (0, Some("1".into())),
        Flush::Default => (1, None),
    };
    let request = IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            // A topic.
            resource_type: 2,
            resource_name: "__consumer_offsets".into(),
            configs: vec![AlterableConfig {
                name: "flush.messages".into(),
                config_operation,
                value,
                ..AlterableConfig::default()
            }],
            ..AlterConfigsResource::default()
        }],
        ..IncrementalAlterConfigsRequest::default()
    };
    let answer = Wire::connect(address).await?.call(&request, 1).await?;
    for response in answer.read()?.responses {
        accepted("IncrementalAlterConfigs", response.error_code)?;
    }
    sleep(SETTING_SETTLES).await;
    Ok(())
}
