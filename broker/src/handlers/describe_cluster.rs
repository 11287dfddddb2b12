//! DescribeCluster, versions 0 to 2 (KIP-700, KIP-919): the one broker, which is the controller as well. It is an endpoint
//! of a broker and answers for no other kind.

use std::sync::Arc;

use callboard_protocol::ErrorCode;
use callboard_protocol::messages::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};

use super::operations;
use crate::request::{Context, Request, Work};

/// `endpoint_type` of brokers.
const BROKERS: i8 = 1;
/// `endpoint_type` of controllers.
const CONTROLLERS: i8 = 2;

pub(super) fn handle(request: Request<'_>, _work: &mut Work) {
    let Some((body, request)) = request.decode::<DescribeClusterRequest<'_>>() else {
        return;
    };
    let answer = answer(&body, request.context);
    request.responder.send(&answer);
}

fn answer(
    body: &DescribeClusterRequest,
    context: &Arc<Context>,
) -> DescribeClusterResponse<'static> {
    let refused = |code: ErrorCode, message: String| DescribeClusterResponse {
        error_code: code.0,
        error_message: Some(message.into()),
        ..Default::default()
    };
    match body.endpoint_type {
        BROKERS => {}
        CONTROLLERS => {
            let message = "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER";
            return refused(ErrorCode::MISMATCHED_ENDPOINT_TYPE, message.to_owned());
        }
        other => {
            let message = format!("Unsupported endpoint type {other}");
            return refused(ErrorCode::UNSUPPORTED_ENDPOINT_TYPE, message);
        }
    }
    let services = &context.services;
    let broker_id = services.config.node_id;
    DescribeClusterResponse {
        endpoint_type: BROKERS,
        cluster_id: services.cluster_id.to_string().into(),
        controller_id: broker_id,
        brokers: vec![DescribeClusterBroker {
            broker_id,
            host: context.advertised.host.clone().into(),
            port: i32::from(context.advertised.port),
            ..Default::default()
        }],
        cluster_authorized_operations: operations::if_asked(
            body.include_cluster_authorized_operations,
            operations::CLUSTER,
        ),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    #[tokio::test]
    async fn the_cluster_is_this_broker() {
        let mut bench = Bench::start_with(|config| config.node_id = 7).await;
        let cluster_id = bench.services.cluster_id.to_string();
        let mut wire = bench.connect();
        for version in 0..=2 {
            let asked = DescribeClusterRequest {
                include_cluster_authorized_operations: version == 2,
                ..Default::default()
            };
            let answer = wire.ask(&asked, version).await;
            let read = answer.read();
            assert_eq!((read.error_code, &*read.cluster_id), (0, &*cluster_id));
            assert_eq!((read.controller_id, read.brokers.len()), (7, 1));
            let broker = &read.brokers[0];
            assert_eq!(
                (broker.broker_id, &*broker.host, broker.port),
                (7, "127.0.0.1", 9092)
            );
            let operations = if version == 2 { 8096 } else { i32::MIN };
            assert_eq!(read.cluster_authorized_operations, operations);
        }
        bench.stop().await;
    }

    #[tokio::test]
    async fn it_is_no_controllers_endpoint() {
        let mut bench = Bench::start().await;
        let mut wire = bench.connect();
        for (endpoint_type, code) in [
            (2, ErrorCode::MISMATCHED_ENDPOINT_TYPE),
            (0, ErrorCode::UNSUPPORTED_ENDPOINT_TYPE),
        ] {
            let asked = DescribeClusterRequest {
                endpoint_type,
                ..Default::default()
            };
            let answer = wire.ask(&asked, 1).await;
            let read = answer.read();
            assert_eq!((read.error_code, read.brokers.len()), (code.0, 0));
        }
        bench.stop().await;
    }
}
