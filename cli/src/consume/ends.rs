//! When everything assigned has been read: the end each partition had when it was assigned, and whether we are there.

use std::collections::{BTreeMap, BTreeSet};

use callboard_client::{Client, ClientError, FoundOffset, OffsetSpec, TopicPartition};
use callboard_consumer::Progress;
use tokio::task::JoinSet;

type Found = Result<BTreeMap<TopicPartition, FoundOffset>, ClientError>;

/// The ends of the partitions we own.
pub(super) struct Ends {
    client: Client,
    wanted: bool,
    /// What we own in a complete generation; `None` while a rebalance decides.
    owned: Option<BTreeSet<TopicPartition>>,
    known: BTreeMap<TopicPartition, i64>,
    lookups: JoinSet<Found>,
}

impl Ends {
    /// Nothing is owned yet. Where ends are not `wanted` they are not looked up.
    pub(super) fn new(client: Client, wanted: bool) -> Self {
        Self {
            client,
            wanted,
            owned: None,
            known: BTreeMap::new(),
            lookups: JoinSet::new(),
        }
    }

    /// Whether anybody wants to know.
    pub(super) fn wanted(&self) -> bool {
        self.wanted
    }

    /// A generation is complete and these are ours.
    pub(super) fn assigned(&mut self, owned: Vec<TopicPartition>) {
        if !self.wanted {
            return;
        }
        let owned: BTreeSet<TopicPartition> = owned.into_iter().collect();
        self.known.retain(|partition, _| owned.contains(partition));
        let missing: BTreeSet<TopicPartition> = owned
            .iter()
            .filter(|partition| !self.known.contains_key(*partition))
            .cloned()
            .collect();
        self.owned = Some(owned);
        // What an earlier lookup still finds is about an assignment that is no more.
        self.lookups = JoinSet::new();
        if !missing.is_empty() {
            let client = self.client.clone();
            self.lookups
                .spawn(async move { client.list_all_offsets(&missing, OffsetSpec::Latest).await });
        }
    }

    /// These are not ours any more; what is comes with the next assignment.
    pub(super) fn gone(&mut self, partitions: &[TopicPartition]) {
        self.owned = None;
        for partition in partitions {
            self.known.remove(partition);
        }
    }

    /// Waits for a lookup and takes in what it found. Never ends while none is under way. Cancel-safe.
    ///
    /// # Errors
    /// When the ends could not be found.
    pub(super) async fn found(&mut self) -> Result<(), ClientError> {
        match self.lookups.join_next().await {
            Some(Ok(found)) => {
                let ends = found?
                    .into_iter()
                    .map(|(partition, end)| (partition, end.offset));
                self.known.extend(ends);
                Ok(())
            }
            // Aborted by a newer assignment.
            Some(Err(_aborted)) => Ok(()),
            None => std::future::pending().await,
        }
    }

    /// Whether everything we own is printed and acknowledged up to its end.
    pub(super) fn reached(&self, progress: &BTreeMap<TopicPartition, Progress>) -> bool {
        let Some(owned) = &self.owned else {
            return false;
        };
        owned.iter().all(|partition| {
            let place = progress
                .get(partition)
                .map(|progress| progress.acknowledged);
            place
                .zip(self.known.get(partition))
                .is_some_and(|(place, end)| place >= *end)
        })
    }
}
