//! DescribeGroups and ListGroups (spec 2.8, 2.9).

use std::sync::Arc;

use callboard_protocol::ErrorCode;

use super::group::{Group, State};
use crate::core::effect::Response;
use crate::core::input::RequestId;
use crate::core::step::Step;
use crate::request::ListGroups;
use crate::response::{DescribedGroup, DescribedMember, ListedGroup};

/// Kafka's name of the type of the groups here.
const CLASSIC: &str = "classic";

impl Group {
    pub(in crate::core) fn describe(&mut self, step: &mut Step<'_>, id: RequestId) {
        let stable = self.state() == State::Stable;
        // The selected protocol and what members said of it are the group's only while it is Stable.
        let protocol_name = self
            .protocol_name
            .clone()
            .filter(|_| stable)
            .unwrap_or_else(|| Arc::from(""));
        let members = self.members.iter().map(|(_, member)| DescribedMember {
            member_id: Arc::clone(&member.id),
            group_instance_id: member.instance_id.clone(),
            client_id: Arc::clone(&member.client_id),
            client_host: Arc::clone(&member.client_host),
            metadata: if stable {
                member.metadata(&protocol_name)
            } else {
                bytes::Bytes::new()
            },
            assignment: member.assignment.clone(),
        });
        let members = members.collect();
        let described = DescribedGroup {
            group_id: Arc::clone(&self.id),
            error: ErrorCode::NONE,
            state: self.state().as_str(),
            protocol_type: self.protocol_type.clone().unwrap_or_else(|| Arc::from("")),
            protocol_name,
            members,
        };
        step.answer(id, Response::Describe(described));
    }

    pub(in crate::core) fn list(&self) -> ListedGroup {
        ListedGroup {
            group_id: Arc::clone(&self.id),
            protocol_type: self.protocol_type.clone().unwrap_or_else(|| Arc::from("")),
            state: self.state().as_str(),
            group_type: CLASSIC,
        }
    }
}

/// Which groups a ListGroups wants. Names of states are trimmed and of any case, names of types of any case only.
pub(in crate::core) struct Filter {
    states: Vec<String>,
    all_types: bool,
    classic: bool,
}

impl Filter {
    pub(in crate::core) fn new(request: &ListGroups) -> Self {
        Self {
            states: request
                .states
                .iter()
                .map(|state| state.trim().to_lowercase())
                .collect(),
            all_types: request.types.is_empty(),
            classic: request
                .types
                .iter()
                .any(|kind| kind.eq_ignore_ascii_case(CLASSIC)),
        }
    }

    pub(in crate::core) fn takes(&self, group: &ListedGroup) -> bool {
        (self.all_types || self.classic)
            && (self.states.is_empty()
                || self
                    .states
                    .iter()
                    .any(|state| state.eq_ignore_ascii_case(group.state)))
    }
}
