//! What is stored of a classic group: the one record of type 2 it has. Its value is written at version 3, as Kafka 4.2.0
//! writes it, and read at every version. Bytes that do not parse are an error and never a guess.

use std::sync::Arc;

use bytes::Bytes;
use callboard_offsets::record::Record;
use callboard_offsets::record::codec::RecordError;
use callboard_offsets::record::fields::{
    Reader, length, put_bytes, put_nullable_string, put_string,
};

/// Type of the record. Its key is the group and no more.
pub const GROUP_METADATA: i16 = 2;

/// One member of a persisted group (`GroupMetadataValue.MemberMetadata`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberValue {
    /// Id the coordinator gave it.
    pub member_id: String,
    /// `group.instance.id` of a static member (KIP-345).
    pub group_instance_id: Option<String>,
    /// `client.id` of its last JoinGroup.
    pub client_id: String,
    /// Its address as Kafka prints it: `/1.2.3.4`.
    pub client_host: String,
    /// How long a rebalance waits for it, milliseconds. Version 0 had none: then the session timeout.
    pub rebalance_timeout_ms: i32,
    /// Session timeout, milliseconds.
    pub session_timeout_ms: i32,
    /// Its metadata for the selected protocol, opaque.
    pub subscription: Bytes,
    /// What the leader assigned to it, opaque.
    pub assignment: Bytes,
}

/// A group as it was last persisted (`GroupMetadataValue`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMetadataValue {
    /// `consumer` for consumers; empty for a group that nobody has joined yet.
    pub protocol_type: String,
    /// Generation the value was written in.
    pub generation: i32,
    /// The selected protocol; none in an empty group.
    pub protocol_name: Option<String>,
    /// Member id of the leader; none in an empty group.
    pub leader: Option<String>,
    /// When the group entered its state, milliseconds since the epoch, -1 if unknown (versions 0 and 1).
    pub current_state_timestamp_ms: i64,
    /// Members in the order they were written.
    pub members: Vec<MemberValue>,
}

impl GroupMetadataValue {
    /// Reads a value.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new(bytes, "value");
        let version = reader.i16()?;
        if !(0..=4).contains(&version) {
            return Err(RecordError::UnknownVersion {
                record_type: GROUP_METADATA,
                version,
            });
        }
        let flexible = version >= 4;
        let protocol_type = reader.string_at("protocolType", flexible)?;
        let generation = reader.i32()?;
        let protocol_name = reader.nullable_string_at("protocol", flexible)?;
        let leader = reader.nullable_string_at("leader", flexible)?;
        let current_state_timestamp_ms = if version >= 2 { reader.i64()? } else { -1 };
        let count = reader.count("members", flexible)?;
        // Every member takes more bytes than this: a large count reserves no more than the bytes justify.
        let mut members = Vec::with_capacity(count.min(reader.rest().len() / 8));
        for _ in 0..count {
            members.push(decode_member(&mut reader, version)?);
        }
        if flexible {
            reader.tags(|_, _| Ok(()))?;
        }
        Ok(Self {
            protocol_type,
            generation,
            protocol_name,
            leader,
            current_state_timestamp_ms,
            members,
        })
    }

    /// Its bytes.
    ///
    /// # Errors
    /// [`RecordError::TooLong`] when a string does not fit Kafka's length field.
    pub fn encode(&self) -> Result<Vec<u8>, RecordError> {
        let mut out = Vec::with_capacity(64 + self.members.len() * 128);
        out.extend(3i16.to_be_bytes());
        put_string(&mut out, "protocolType", &self.protocol_type)?;
        out.extend(self.generation.to_be_bytes());
        put_nullable_string(&mut out, "protocol", self.protocol_name.as_deref())?;
        put_nullable_string(&mut out, "leader", self.leader.as_deref())?;
        out.extend(self.current_state_timestamp_ms.to_be_bytes());
        out.extend(length("members", self.members.len())?.to_be_bytes());
        for member in &self.members {
            put_string(&mut out, "memberId", &member.member_id)?;
            put_nullable_string(
                &mut out,
                "groupInstanceId",
                member.group_instance_id.as_deref(),
            )?;
            put_string(&mut out, "clientId", &member.client_id)?;
            put_string(&mut out, "clientHost", &member.client_host)?;
            out.extend(member.rebalance_timeout_ms.to_be_bytes());
            out.extend(member.session_timeout_ms.to_be_bytes());
            put_bytes(&mut out, "subscription", &member.subscription)?;
            put_bytes(&mut out, "assignment", &member.assignment)?;
        }
        Ok(out)
    }
}

fn decode_member(reader: &mut Reader<'_>, version: i16) -> Result<MemberValue, RecordError> {
    let flexible = version >= 4;
    let member_id = reader.string_at("memberId", flexible)?;
    let group_instance_id = if version >= 3 {
        reader.nullable_string_at("groupInstanceId", flexible)?
    } else {
        None
    };
    let client_id = reader.string_at("clientId", flexible)?;
    let client_host = reader.string_at("clientHost", flexible)?;
    let rebalance_timeout_ms = if version >= 1 { reader.i32()? } else { -1 };
    let session_timeout_ms = reader.i32()?;
    let member = MemberValue {
        member_id,
        group_instance_id,
        client_id,
        client_host,
        rebalance_timeout_ms: if rebalance_timeout_ms == -1 {
            session_timeout_ms
        } else {
            rebalance_timeout_ms
        },
        session_timeout_ms,
        subscription: reader.bytes_at("subscription", flexible)?,
        assignment: reader.bytes_at("assignment", flexible)?,
    };
    if flexible {
        reader.tags(|_, _| Ok(()))?;
    }
    Ok(member)
}

/// The record of `group`.
pub(in crate::core) fn record(group: &Arc<str>, value: Bytes) -> Record {
    Record::Group {
        group: Arc::clone(group),
        kind: GROUP_METADATA,
        rest: Bytes::new(),
        value: Some(value),
    }
}
