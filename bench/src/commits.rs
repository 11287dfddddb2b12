//! Connections that commit offsets, for the rows that need them under load or in the log.

use callboard_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};

use crate::cluster::{PARTITIONS, TOPIC};
use crate::error::{BenchError, accepted};
use crate::load::{Lane, Vary};
use crate::wire::{Wire, encode, with_length};

const VERSION: i16 = 8;

/// A group that nobody is a member of, and where it commits.
#[derive(Clone, Debug)]
pub(crate) struct Commits {
    /// The group.
    pub(crate) group: String,
    /// The first partition.
    pub(crate) partition: i32,
    /// How many partitions each request has.
    pub(crate) partitions: i32,
}

impl Commits {
    fn request(&self, offset: i64) -> OffsetCommitRequest<'static> {
        let partitions = (0..self.partitions).map(|next| OffsetCommitRequestPartition {
            partition_index: (self.partition + next) % PARTITIONS,
            committed_offset: offset,
            committed_metadata: Some("".into()),
            ..OffsetCommitRequestPartition::default()
        });
        OffsetCommitRequest {
            group_id: self.group.clone().into(),
            topics: vec![OffsetCommitRequestTopic {
                name: TOPIC.into(),
                partitions: partitions.collect(),
                ..OffsetCommitRequestTopic::default()
            }],
            ..OffsetCommitRequest::default()
        }
    }

    /// A connection whose first commit was taken. Its offsets count up from 0, one a request, when a request has one
    /// partition.
    pub(crate) async fn lane(&self, address: &str) -> Result<Lane, BenchError> {
        let mut wire = Wire::connect(address).await?;
        let answer = wire.call(&self.request(0), VERSION).await?;
        for topic in answer.read()?.topics {
            for partition in topic.partitions {
                accepted("OffsetCommit", partition.error_code)?;
            }
        }
        let request = encode(&self.request(0), VERSION)?;
        let other = encode(&self.request(-1), VERSION)?;
        let offset_at = request
            .iter()
            .zip(&other)
            .position(|(one, other)| one != other);
        Ok(Lane {
            stream: wire.into_stream(),
            expected: with_length(&answer.frame),
            vary: match offset_at {
                Some(at) if self.partitions == 1 => Vary::Offset(at),
                _ => Vary::Nothing,
            },
            request,
            most: u64::MAX,
        })
    }

    /// The same, with the group's name counting up: its last `digits` characters are a number, here `from`.
    pub(crate) async fn lane_of_groups(
        &self,
        address: &str,
        digits: usize,
        from: u64,
    ) -> Result<Lane, BenchError> {
        let lane = self.lane(address).await?;
        let name = self.group.as_bytes();
        let at = lane
            .request
            .windows(name.len())
            .position(|window| window == name)
            .ok_or_else(|| BenchError::Protocol {
                what: "OffsetCommit",
                reason: "the group's name is not in it".to_owned(),
            })?;
        Ok(Lane {
            vary: Vary::Digits {
                at: at + name.len() - digits,
                digits,
                from,
            },
            ..lane
        })
    }
}
