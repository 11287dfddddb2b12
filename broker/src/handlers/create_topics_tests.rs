//! What the creator of a topic is told of it.

use callboard_protocol::messages::create_topics::CreatableTopicConfig;

use super::*;
use crate::testing::Bench;

const OF_THE_TOPIC: i8 = 1;
const OF_THE_BROKER: i8 = 4;
const DEFAULT: i8 = 5;

/// As Apache Kafka 4.2.0: every setting there is, by name, with where it comes from, of a trial too.
#[tokio::test]
async fn the_answer_lists_every_setting_and_its_source() {
    let mut bench =
        Bench::start_with(|config| config.set("log.retention.bytes", "7000000").unwrap()).await;
    let mut wire = bench.connect();
    for validate_only in [true, false] {
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: "t".into(),
                num_partitions: 2,
                replication_factor: 1,
                configs: vec![CreatableTopicConfig {
                    name: "retention.ms".into(),
                    value: Some("86400000".into()),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            validate_only,
            ..Default::default()
        };
        let answer = wire.ask(&request, 7).await;
        let told = answer.read();
        let topic = &told.topics[0];
        assert_eq!((topic.error_code, topic.num_partitions), (0, 2));
        let configs = topic.configs.as_ref().unwrap();
        let of = |name: &str| {
            let config = configs.iter().find(|config| config.name == name).unwrap();
            (config.value.as_deref().unwrap(), config.config_source)
        };
        assert_eq!(of("retention.ms"), ("86400000", OF_THE_TOPIC));
        assert_eq!(of("retention.bytes"), ("7000000", OF_THE_BROKER));
        assert_eq!(of("cleanup.policy"), ("delete", DEFAULT));
        assert!(configs.is_sorted_by_key(|config| &config.name));
    }
    bench.stop().await;
}
