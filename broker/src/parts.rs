//! The parts of a broker that are there before it listens: what connections share, and the actors behind it, started in
//! order under the root.

use std::sync::Arc;

use callboard_coordinator::{CoordinatorConfig, Coordinators};
use callboard_offsets::WallClock;
use callboard_offsets::compaction::CompactionConfig;
use callboard_offsets::journal::{Journal, JournalConfig};
use callboard_offsets::log::OffsetsLog;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::budget::{Budget, Waiting};
use crate::compute::Compute;
use crate::data_dir::DataDir;
use crate::effects::Effects;
use crate::fetch_sessions::FetchSessions;
use crate::handlers::APIS;
use crate::handlers::internal::OFFSETS_TOPIC;
use crate::hook::Hook;
use crate::log::ProducerIds;
use crate::offsets_topic::OffsetsTopic;
use crate::root::{Root, not_started};
use crate::services::{ApiMeters, Services};
use crate::topics::{Topics, TopicsConfig};
use crate::{BrokerConfig, BrokerError};

/// What to start with.
pub(crate) struct Parts<'a> {
    config: BrokerConfig,
    data: &'a DataDir,
    hook: Option<Arc<dyn Hook>>,
}

/// What runs.
pub(crate) struct Started {
    pub(crate) services: Arc<Services>,
    /// How many topics there are.
    pub(crate) topics: usize,
    pub(crate) journal: Arc<Journal>,
    /// Has the reason once the disk has refused the journal a write.
    pub(crate) poisoned: watch::Receiver<Option<String>>,
}

impl<'a> Parts<'a> {
    pub(crate) fn new(
        config: BrokerConfig,
        data: &'a DataDir,
        hook: Option<Arc<dyn Hook>>,
    ) -> Self {
        Self { config, data, hook }
    }

    /// Starts them. On an error those that run end with the root.
    pub(crate) async fn start(self, root: &mut Root) -> Result<Started, BrokerError> {
        crate::metrics::declare();
        let topics = self.topics(root).await?;
        let journal = Arc::new(self.journal().await?);
        let (tell, poisoned) = watch::channel(None);
        journal.on_poisoned(Box::new(move |reason| {
            drop(tell.send(Some(reason.to_string())))
        }));
        let log = Arc::clone(&journal) as _;
        let services = self.share(root, topics, log, WallClock::system()).await?;
        Ok(Started {
            topics: services.topics.snapshot().len(),
            services,
            journal,
            poisoned,
        })
    }

    /// The same over an engine of the caller's.
    pub(crate) async fn start_on(
        self,
        root: &mut Root,
        log: Arc<dyn OffsetsLog>,
        clock: WallClock,
    ) -> Result<Arc<Services>, BrokerError> {
        let topics = self.topics(root).await?;
        self.share(root, topics, log, clock).await
    }

    async fn share(
        self,
        root: &mut Root,
        topics: Topics,
        engine: Arc<dyn OffsetsLog>,
        clock: WallClock,
    ) -> Result<Arc<Services>, BrokerError> {
        let partitions = self.config.offsets_topic_num_partitions;
        let offsets_topic = Arc::new(OffsetsTopic::new(engine, partitions));
        let config = self.coordinator_config();
        let lookup = topics.snapshot();
        let coordinators =
            Coordinators::with_clock(config, Arc::clone(&offsets_topic) as _, lookup, clock);
        // Before they start: what was deleted and is not forgotten goes before they serve.
        let told = coordinators.clone();
        topics.listen(Arc::new(move |image, forgotten| {
            told.topics_changed(image, forgotten);
        }));
        root.adopt(coordinators.child()).await?;
        Ok(Arc::new(Services {
            cluster_id: self.data.cluster_id().into(),
            coordinators,
            topics,
            offsets_topic,
            producer_ids: self.producer_ids().await?,
            compute: Compute::new(
                self.config.compute_threads,
                self.config.compute_queue_max,
                self.config.compute_memory_max_bytes,
            ),
            effects: Effects::default(),
            budget: Budget::new(
                "requests",
                self.config.queued_max_request_bytes,
                Waiting::Excuses,
            ),
            answers: Budget::new(
                "responses",
                self.config.queued_max_response_bytes,
                Waiting::DoesNot,
            ),
            makers: Arc::new(Semaphore::new(self.config.large_responses_max)),
            makers_of_lots: Arc::new(Semaphore::new(self.config.large_group_requests_max)),
            fetch_reads: Arc::new(Semaphore::new(self.config.fetch_reads_max)),
            fetch_sessions: FetchSessions::new(self.config.fetch_session_slots),
            api_meters: ApiMeters::new(APIS.iter().map(|api| api.key)),
            hook: self.hook,
            stopping: CancellationToken::new(),
            config: self.config,
        }))
    }

    /// The topics, with every log open.
    async fn topics(&self, root: &mut Root) -> Result<Topics, BrokerError> {
        let partitions =
            i32::try_from(self.config.offsets_topic_num_partitions).unwrap_or(i32::MAX);
        let internal = vec![(OFFSETS_TOPIC.to_owned(), partitions)];
        let topics = Topics::new(TopicsConfig::of_broker(
            &self.config,
            self.data.topics(),
            internal,
        ));
        root.adopt(topics.child()).await?;
        tokio::select! {
            () = topics.opened() => Ok(topics),
            _ = &mut root.ended => Err(not_started(&"the topics cannot be opened")),
        }
    }

    fn coordinator_config(&self) -> CoordinatorConfig {
        CoordinatorConfig {
            group_initial_rebalance_delay: self.config.group_initial_rebalance_delay,
            group_min_session_timeout: self.config.group_min_session_timeout,
            group_max_session_timeout: self.config.group_max_session_timeout,
            group_max_size: self.config.group_max_size,
            offset_metadata_max_bytes: self.config.offset_metadata_max_bytes,
            offsets_commit_timeout: self.config.offsets_commit_timeout,
            offsets_retention: self.config.offsets_retention,
            offsets_retention_check_interval: self.config.offsets_retention_check_interval,
            offsets_topic_num_partitions: self.config.offsets_topic_num_partitions,
            offsets_compaction: CompactionConfig {
                enabled: self.config.log_cleaner_enable,
                check_interval: self.config.log_cleaner_backoff,
                min_dirty_ratio: self.config.log_cleaner_min_cleanable_ratio,
                min_bytes: self.config.offsets_compaction_min_bytes,
                pinned_bytes: self.config.offsets_compaction_pinned_bytes,
            },
        }
    }

    /// Opening reads every segment: off this task.
    async fn journal(&self) -> Result<Journal, BrokerError> {
        let mut config = JournalConfig::new(self.data.offsets());
        config.partitions = self.config.offsets_topic_num_partitions;
        config.segment_bytes = self.config.offsets_topic_segment_bytes;
        config.batch_bytes_max = self.config.offsets_batch_bytes();
        let opened = tokio::task::spawn_blocking(move || Journal::open(&config)).await;
        opened
            .map_err(|error| not_started(&error))?
            .map_err(|error| not_started(&error))
    }

    async fn producer_ids(&self) -> Result<ProducerIds, BrokerError> {
        let path = self.data.producer_ids();
        let opened = tokio::task::spawn_blocking(move || ProducerIds::open(&path)).await;
        opened
            .map_err(|error| not_started(&error))?
            .map_err(|error| not_started(&error))
    }
}
