//! A client of a broker at an address, as small as it can be.

use std::time::Duration;

use bytes::Bytes;
use callboard_protocol::header::{self, RequestHeader};
use callboard_protocol::messages::ListGroupsRequest;
use callboard_protocol::{Message, Request, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than anything here takes.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Client(TcpStream);

impl Client {
    /// Connects as soon as somebody listens, and waits until every group is loaded.
    pub async fn connect(address: &str) -> Self {
        let connected = async {
            let stream = loop {
                if let Ok(stream) = TcpStream::connect(address).await {
                    break stream;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            };
            let mut client = Self(stream);
            let all = ListGroupsRequest::default();
            while client.ask(&all, 0, |_, answer| answer.error_code).await != 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            client
        };
        tokio::time::timeout(PATIENCE, connected).await.unwrap()
    }

    pub async fn ask<R: Request<'static>, T>(
        &mut self,
        request: &R,
        version: i16,
        read: impl FnOnce(&Bytes, R::Response<'_>) -> T,
    ) -> T {
        let header = RequestHeader {
            api_key: R::KEY,
            api_version: version,
            correlation_id: 1,
            client_id: Some("on-disk".into()),
        };
        let bytes = frame::encode_request(&header, request, version).unwrap();
        let answer = async {
            self.0.write_all(&bytes).await.unwrap();
            let length = self.0.read_u32().await.expect("the broker closed");
            let mut frame = vec![0; length as usize];
            self.0.read_exact(&mut frame).await.unwrap();
            Bytes::from(frame)
        };
        let frame = tokio::time::timeout(PATIENCE, answer).await.unwrap();
        let body = header::response_body(&frame, R::KEY, version).unwrap();
        read(&frame, R::Response::decode(body, version).unwrap())
    }
}
