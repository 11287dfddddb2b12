//! InitProducerId, versions 0 to 5: ids for idempotent producers. There are no transactions: a transactional id is
//! refused for good, since with a retriable error its producer would ask for ever.

use std::sync::Arc;

use callboard_protocol::ErrorCode;
use callboard_protocol::messages::init_producer_id::{
    InitProducerIdRequest, InitProducerIdResponse,
};
use callboard_supervision::seldom;

use crate::request::{Request, Work};

pub(super) fn handle(request: Request<'_>, work: &mut Work) {
    let Some((body, request)) = request.decode::<InitProducerIdRequest<'_>>() else {
        return;
    };
    if let Some(code) = refusal(&body) {
        return request.responder.send(&refused(code));
    }
    let services = Arc::clone(request.services());
    let responder = request.responder;
    work.effect(async move {
        // Once in a thousand ids the next block is taken on disk.
        let next = tokio::task::spawn_blocking(move || services.producer_ids.next()).await;
        let response = match next {
            // Whatever id and epoch a producer without a transactional id had, it gets a new id, as from Kafka.
            Ok(Ok(producer_id)) => InitProducerIdResponse {
                producer_id,
                ..Default::default()
            },
            Ok(Err(error)) => {
                seldom!(warn, %error, "no producer id can be given out");
                refused(ErrorCode::COORDINATOR_NOT_AVAILABLE)
            }
            Err(_panicked) => refused(ErrorCode::UNKNOWN_SERVER_ERROR),
        };
        responder.send(&response);
    });
}

fn refusal(body: &InitProducerIdRequest<'_>) -> Option<ErrorCode> {
    if (body.producer_id == -1) != (body.producer_epoch == -1) {
        return Some(ErrorCode::INVALID_REQUEST);
    }
    match body.transactional_id.as_deref() {
        None => None,
        Some("") => Some(ErrorCode::INVALID_REQUEST),
        Some(_) => Some(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED),
    }
}

fn refused(code: ErrorCode) -> InitProducerIdResponse<'static> {
    InitProducerIdResponse {
        error_code: code.0,
        producer_id: -1,
        producer_epoch: -1,
        ..Default::default()
    }
}
