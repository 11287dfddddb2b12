//! A broker without a socket, for the tests of this crate: its parts under a supervisor in a directory of their own,
//! and connections over in-memory streams.

use std::marker::PhantomData;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use callboard_offsets::WallClock;
use callboard_offsets::memory::MemoryLog;
use callboard_protocol::frame::{self, FrameReader};
use callboard_protocol::header::{self, RequestHeader};
use callboard_protocol::{ApiKey, Message, Request};
use callboard_supervision::SupervisorMsg;
use callboard_supervision::testing::Limit;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinSet;

use crate::BrokerConfig;
use crate::connection::Connection;
use crate::data_dir::DataDir;
use crate::parts::{Parts, Started};
use crate::request::Context;
use crate::root::Root;
use crate::services::Services;
use crate::testing::faults::Faults;

/// What a stream holds before its writer waits.
const STREAM_BYTES: usize = 1024 * 1024;
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// The parts of a broker.
pub(crate) struct Bench {
    pub(crate) services: Arc<Services>,
    pub(crate) faults: Faults,
    root: Root,
    connections: JoinSet<()>,
    _data: DataDir,
    _dir: tempfile::TempDir,
    _limit: Limit,
}

impl Bench {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut BrokerConfig)) -> Self {
        Self::begin(change, None).await
    }

    /// Offsets are kept in `log`.
    pub(crate) async fn start_over(log: &Arc<MemoryLog>) -> Self {
        Self::begin(|_| {}, Some(Arc::clone(log))).await
    }

    /// With another configuration, and offsets in `log` if there is one.
    pub(crate) async fn begin(
        change: impl FnOnce(&mut BrokerConfig),
        log: Option<Arc<MemoryLog>>,
    ) -> Self {
        let limit = Limit::start();
        let dir = tempfile::tempdir().unwrap();
        let mut config = BrokerConfig {
            data_dir: dir.path().join("data"),
            // Little to write before a test can begin.
            offsets_topic_segment_bytes: 64 * 1024,
            ..BrokerConfig::default()
        };
        change(&mut config);
        config.validate().unwrap();
        let data = DataDir::open(&config).unwrap();
        let mut root = Root::start().await.unwrap();
        let faults = Faults::default();
        let parts = Parts::new(config, &data, faults.hook());
        let services = match log {
            Some(log) => parts.start_on(&mut root, log, WallClock::system()).await,
            None => parts
                .start(&mut root)
                .await
                .map(|Started { services, .. }| services),
        };
        let services = services.unwrap();
        while !services.coordinators.ready() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Self {
            services,
            faults,
            root,
            connections: JoinSet::new(),
            _data: data,
            _dir: dir,
            _limit: limit,
        }
    }

    /// A client, connected.
    pub(crate) fn connect(&mut self) -> Wire {
        let (ours, theirs) = tokio::io::duplex(STREAM_BYTES);
        let local: SocketAddr = ([127, 0, 0, 1], 9092).into();
        let context = Context::new(Arc::clone(&self.services), local, local.ip());
        let (reader, writer) = tokio::io::split(theirs);
        self.connections
            .spawn(Connection::new(context, reader, writer).run());
        Wire {
            stream: ours,
            frames: FrameReader::new(64 * 1024 * 1024),
            next_id: 0,
        }
    }

    /// Waits until every connection has ended, and what their requests change. A connection that panicked fails the test.
    pub(crate) async fn hung_up(&mut self) {
        let ended = async {
            while let Some(ended) = self.connections.join_next().await {
                ended.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, ended)
            .await
            .expect("a connection does not end");
        self.services.effects.ended(PATIENCE).await;
    }

    /// Waits until requests hold nothing: `whole` is free again.
    pub(crate) async fn given_back(&self, whole: usize) {
        let given_back = async {
            while self.services.budget.free() < whole {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, given_back)
            .await
            .expect("what was taken is not given back");
        assert_eq!(self.services.budget.free(), whole);
    }

    /// Ends everything in order. A connection that panicked fails the test.
    pub(crate) async fn stop(mut self) {
        self.services.stopping.cancel();
        self.hung_up().await;
        self.root
            .address
            .call(|reply| SupervisorMsg::Shutdown(PATIENCE, reply), PATIENCE)
            .await
            .unwrap();
    }
}

/// The client's end of a connection.
pub(crate) struct Wire {
    stream: DuplexStream,
    frames: FrameReader,
    next_id: i32,
}

/// An answer and what it answers.
pub(crate) struct Answer<R> {
    frame: Bytes,
    version: i16,
    request: PhantomData<fn() -> R>,
}

impl<R: Request<'static>> Answer<R> {
    pub(crate) fn read(&self) -> R::Response<'_> {
        let body = header::response_body(&self.frame, R::KEY, self.version).unwrap();
        R::Response::decode(body, self.version).unwrap()
    }

    pub(crate) fn frame(&self) -> &Bytes {
        &self.frame
    }
}

impl Wire {
    /// Asks and waits for the answer.
    pub(crate) async fn ask<R: Request<'static>>(
        &mut self,
        request: &R,
        version: i16,
    ) -> Answer<R> {
        self.send(request, version).await;
        self.answer::<R>(version)
            .await
            .expect("the connection was closed")
    }

    pub(crate) async fn send<R: Request<'static>>(&mut self, request: &R, version: i16) {
        let header = RequestHeader {
            api_key: R::KEY,
            api_version: version,
            correlation_id: self.next_id,
            client_id: Some("tester".into()),
        };
        self.next_id += 1;
        let bytes = frame::encode_request(&header, request, version).unwrap();
        self.send_raw(&bytes).await;
    }

    /// Sends bytes as they are, the length in front of a frame included.
    pub(crate) async fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// A whole frame of an API and a version with that body.
    pub(crate) async fn send_body(&mut self, key: ApiKey, version: i16, body: &[u8]) {
        let mut frame = Vec::new();
        frame.extend(key.0.to_be_bytes());
        frame.extend(version.to_be_bytes());
        frame.extend(7_i32.to_be_bytes());
        frame.extend((-1_i16).to_be_bytes());
        frame.extend(body);
        let length = u32::try_from(frame.len()).unwrap();
        self.send_raw(&[&length.to_be_bytes()[..], &frame].concat())
            .await;
    }

    /// The next answer, None when the broker closed.
    pub(crate) async fn answer<R: Request<'static>>(&mut self, version: i16) -> Option<Answer<R>> {
        let frame = self.frame().await?;
        Some(Answer {
            frame,
            version,
            request: PhantomData,
        })
    }

    /// The next frame without its length, None when the broker closed.
    pub(crate) async fn frame(&mut self) -> Option<Bytes> {
        tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(frame) = self.frames.pop().unwrap() {
                    return Some(frame);
                }
                let mut buffer = vec![0; 16 * 1024];
                match self.stream.read(&mut buffer).await {
                    Ok(0) | Err(_) => return None,
                    Ok(bytes) => self.frames.push(&buffer[..bytes]),
                }
            }
        })
        .await
        .expect("no answer came")
    }

    /// Whether nothing has come yet. Never waits.
    pub(crate) fn is_silent(&mut self) -> bool {
        use futures_util::FutureExt;
        self.frame().now_or_never().is_none()
    }
}
