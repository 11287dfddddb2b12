//! A connection of a story: answers are stamped when they come, whenever the story looks.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::schema::Schemas;

/// A frame without its length, or that the broker closed; and when.
pub(crate) type Arrival = (Instant, Option<Vec<u8>>);

pub(crate) struct Conn {
    writer: OwnedWriteHalf,
    arrivals: mpsc::UnboundedReceiver<Arrival>,
    /// Correlation ids of what is not answered yet, and when it was sent.
    pub(crate) asked: VecDeque<(i32, Instant)>,
    next_id: i32,
    _reader: JoinSet<()>,
}

impl Conn {
    pub(crate) async fn open(broker: SocketAddr) -> Self {
        let stream = TcpStream::connect(broker).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (reader, writer) = stream.into_split();
        let (tell, arrivals) = mpsc::unbounded_channel();
        let mut task = JoinSet::new();
        task.spawn(read_all(reader, tell));
        Self {
            writer,
            arrivals,
            asked: VecDeque::new(),
            next_id: 1_000,
            _reader: task,
        }
    }

    pub(crate) async fn send(
        &mut self,
        schemas: &Schemas,
        api: &str,
        version: i16,
        client_id: &str,
        fields: &Value,
    ) {
        let schema = schemas.request(api);
        self.next_id += 1;
        let header = json!({
            "request_api_key": schema.key,
            "request_api_version": version,
            "correlation_id": self.next_id,
            "client_id": client_id,
        });
        let header_version = if schema.is_flexible(version) { 2 } else { 1 };
        let mut frame = schemas.header().encode(header_version, &header);
        frame.extend(schema.encode(version, fields));
        let length = u32::try_from(frame.len()).unwrap().to_be_bytes();
        self.send_raw(&[&length[..], &frame].concat(), self.next_id)
            .await;
    }

    pub(crate) async fn send_raw(&mut self, bytes: &[u8], id: i32) {
        self.asked.push_back((id, Instant::now()));
        // If the broker has closed, the reader has told so.
        let _ = self.writer.write_all(bytes).await;
    }

    /// What comes next within a time.
    pub(crate) async fn next(&mut self, within: Duration) -> Option<Arrival> {
        tokio::time::timeout(within, self.arrivals.recv())
            .await
            .ok()
            .flatten()
    }
}

async fn read_all(mut reader: OwnedReadHalf, tell: mpsc::UnboundedSender<Arrival>) {
    while let Ok(length) = reader.read_u32().await {
        let mut frame = vec![0; length as usize];
        if reader.read_exact(&mut frame).await.is_err() {
            break;
        }
        let _ = tell.send((Instant::now(), Some(frame)));
    }
    let _ = tell.send((Instant::now(), None));
}
