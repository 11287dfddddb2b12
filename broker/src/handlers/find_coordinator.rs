//! FindCoordinator, versions 0 to 6 (KIP-699 batches from 4, KIP-932 share keys from 6). This broker is the only one,
//! so it coordinates every group, loaded or not. Transactions and share groups are not served, and the error says so
//! for good: a retriable one would be asked for ever.

use callboard_protocol::ErrorCode;
use callboard_protocol::messages::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};

use crate::request::{Request, Work};

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;

pub(super) fn handle(request: Request<'_>, _work: &mut Work) {
    let Some((body, request)) = request.decode::<FindCoordinatorRequest<'_>>() else {
        return;
    };
    let version = request.version();
    let error = refusal(body.key_type, version);
    let address = &request.context.advertised;
    let (node_id, host, port) = match error {
        ErrorCode::NONE => (
            request.services().config.node_id,
            address.host.as_str(),
            i32::from(address.port),
        ),
        _ => (-1, "", -1),
    };
    // Kafka says the word NONE up to version 3 and nothing from 4.
    let message = match error {
        ErrorCode::NONE if version < 4 => "NONE",
        ErrorCode::NONE => "",
        _ => error.name(),
    };
    let response = if version < 4 {
        FindCoordinatorResponse {
            error_code: error.0,
            error_message: Some(message.into()),
            node_id,
            host: host.into(),
            port,
            ..Default::default()
        }
    } else {
        let found = |key| Coordinator {
            key,
            node_id,
            host: host.into(),
            port,
            error_code: error.0,
            error_message: Some(message.into()),
            ..Default::default()
        };
        FindCoordinatorResponse {
            coordinators: body.coordinator_keys.into_iter().map(found).collect(),
            ..Default::default()
        }
    };
    request.responder.send(&response);
}

fn refusal(key_type: i8, version: i16) -> ErrorCode {
    match key_type {
        GROUP => ErrorCode::NONE,
        TRANSACTION => ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        SHARE if version >= 6 => ErrorCode::UNSUPPORTED_VERSION,
        _ => ErrorCode::INVALID_REQUEST,
    }
}
