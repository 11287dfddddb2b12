//! The load: many connections, each with a fixed number of requests in flight, on one thread. Client and server share
//! the machine's processors, so a request here is a copy of bytes that were encoded before, and an answer is compared
//! with the bytes of the first good one.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;
use callboard_protocol::ErrorCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Duration, Instant, sleep, timeout};

use crate::error::{BenchError, Doing};
use crate::histogram::Histogram;
use crate::results::Figures;
use crate::usage::Process;

/// How much one read may bring.
const READ_BYTES: usize = 16 << 10;
/// Length, API, version: behind them is the correlation id of a request.
const REQUEST_CORRELATION_AT: usize = 8;
/// Length: behind it is the correlation id of an answer.
const ANSWER_CORRELATION_AT: usize = 4;
/// How long a load may take beyond its time.
const PATIENCE: Duration = Duration::from_secs(300);

/// What changes from request to request on one connection; it has the same length each time.
#[derive(Clone, Debug)]
pub(crate) enum Vary {
    /// Nothing but the correlation id.
    Nothing,
    /// Eight bytes at this place count up from 0: an offset.
    Offset(usize),
    /// So many decimal digits at this place count up from a number: a name.
    Digits {
        /// Where the first digit stands.
        at: usize,
        /// How many there are.
        digits: usize,
        /// The first number.
        from: u64,
    },
}

/// One connection under load.
#[derive(Debug)]
pub(crate) struct Lane {
    /// The connection.
    pub(crate) stream: TcpStream,
    /// A request with its length.
    pub(crate) request: Bytes,
    /// The good answer with its length.
    pub(crate) expected: Bytes,
    /// What changes.
    pub(crate) vary: Vary,
    /// How many requests to send at most.
    pub(crate) most: u64,
}

/// How much load for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Requests in flight on each connection.
    pub(crate) in_flight: usize,
    /// Load before the measurement begins.
    pub(crate) warm_up: Duration,
    /// How long is measured.
    pub(crate) measured: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    WarmUp,
    Measured,
    /// Nothing new is sent, what is in flight is waited for.
    Ending,
}

struct Tally {
    phase: Cell<Phase>,
    latencies: RefCell<Histogram>,
}

/// Runs the load and measures its middle. Gives the connections back, with nothing in flight.
pub(crate) async fn measure(
    lanes: Vec<Lane>,
    load: Load,
    server: Process,
) -> Result<(Figures, Vec<Lane>), BenchError> {
    let tally = Rc::new(Tally {
        phase: Cell::new(Phase::WarmUp),
        latencies: RefCell::default(),
    });
    let local = LocalSet::new();
    let mut running = start(&local, lanes, load.in_flight, &tally);
    let measured = local.run_until(async {
        let window = async {
            sleep(load.warm_up).await;
            let (server_before, client_before) = (server.cpu()?, Process::own().cpu()?);
            let began = Instant::now();
            tally.phase.set(Phase::Measured);
            sleep(load.measured).await;
            tally.phase.set(Phase::Ending);
            let seconds = began.elapsed().as_secs_f64();
            let server_took = server.cpu()?.since(server_before);
            let client_took = Process::own().cpu()?.since(client_before);
            Ok::<_, BenchError>((seconds, server_took, client_took))
        };
        let window = async {
            tokio::select! {
                window = window => window,
                failed = first_failure(&mut running) => Err(failed),
            }
        }
        .await?;
        let lanes = timeout(PATIENCE, all(&mut running))
            .await
            .map_err(|_elapsed| BenchError::TimedOut("the end of a load".to_owned()))??;
        Ok::<_, BenchError>((window, lanes))
    });
    let ((seconds, server_took, client_took), lanes) = measured.await?;
    let resident = server.resident_mb()?;
    let latencies = tally.latencies.borrow();
    let done = latencies.total();
    if done == 0 {
        return Err(BenchError::TimedOut("every request of a load".to_owned()));
    }
    let each = |took: Duration| took.as_secs_f64() * 1e6 / done as f64;
    let figures = Figures::from([
        ("rate".to_owned(), done as f64 / seconds),
        ("p50_us".to_owned(), latencies.quantile_us(0.5)),
        ("p99_us".to_owned(), latencies.quantile_us(0.99)),
        ("server_us".to_owned(), each(server_took)),
        ("client_us".to_owned(), each(client_took)),
        ("resident_mb".to_owned(), resident),
    ]);
    Ok((figures, lanes))
}

/// Sends everything the lanes may send, and waits for the answers.
pub(crate) async fn send_all(lanes: Vec<Lane>, in_flight: usize) -> Result<(), BenchError> {
    let tally = Rc::new(Tally {
        phase: Cell::new(Phase::WarmUp),
        latencies: RefCell::default(),
    });
    let local = LocalSet::new();
    let mut running = start(&local, lanes, in_flight, &tally);
    timeout(PATIENCE, local.run_until(all(&mut running)))
        .await
        .map_err(|_elapsed| BenchError::TimedOut("a load".to_owned()))?
        .map(drop)
}

type Running = JoinSet<Result<Lane, BenchError>>;

fn start(local: &LocalSet, lanes: Vec<Lane>, in_flight: usize, tally: &Rc<Tally>) -> Running {
    let mut running = JoinSet::new();
    for lane in lanes {
        running.spawn_local_on(drive(lane, in_flight, Rc::clone(tally)), local);
    }
    running
}

async fn all(running: &mut Running) -> Result<Vec<Lane>, BenchError> {
    let mut lanes = Vec::new();
    while let Some(ended) = running.join_next().await {
        lanes.push(ended.map_err(|error| BenchError::Server(error.to_string()))??);
    }
    Ok(lanes)
}

/// Pending as long as none fails; no lane ends by itself under a load that is measured.
async fn first_failure(running: &mut Running) -> BenchError {
    match running.join_next().await {
        Some(Ok(Err(failed))) => failed,
        Some(Err(error)) => BenchError::Server(error.to_string()),
        Some(Ok(Ok(_))) | None => BenchError::Server("a load ended before its time".to_owned()),
    }
}

/// One connection: an answer that comes lets one more request go.
async fn drive(mut lane: Lane, in_flight: usize, tally: Rc<Tally>) -> Result<Lane, BenchError> {
    let mut sent_at: VecDeque<Instant> = VecDeque::with_capacity(in_flight);
    let mut requests = Requests::new(lane.request.to_vec(), lane.vary.clone(), lane.most);
    let mut answers = Answers::new(lane.expected.clone());
    let mut free = in_flight;
    loop {
        if tally.phase.get() != Phase::Ending {
            let sending = requests.fill(free);
            if sending > 0 {
                lane.stream
                    .write_all(&requests.out)
                    .await
                    .doing(|| "sending requests".to_owned())?;
                let now = Instant::now();
                sent_at.extend(std::iter::repeat_n(now, sending));
            }
        }
        if sent_at.is_empty() {
            lane.most = requests.left;
            return Ok(lane);
        }
        free = answers.read(&mut lane.stream).await?;
        let now = Instant::now();
        let counts = tally.phase.get() == Phase::Measured;
        let mut latencies = tally.latencies.borrow_mut();
        for began in sent_at.drain(..free.min(sent_at.len())) {
            if counts {
                latencies.record(now - began);
            }
        }
    }
}

/// Requests on their way out.
struct Requests {
    request: Vec<u8>,
    vary: Vary,
    sent: u64,
    left: u64,
    out: Vec<u8>,
}

impl Requests {
    fn new(request: Vec<u8>, vary: Vary, most: u64) -> Self {
        Self {
            request,
            vary,
            sent: 0,
            left: most,
            out: Vec::new(),
        }
    }

    /// Writes so many into `out`, or fewer when there are no more.
    fn fill(&mut self, free: usize) -> usize {
        self.out.clear();
        let sending = free.min(usize::try_from(self.left).unwrap_or(usize::MAX));
        for _ in 0..sending {
            let correlation = (self.sent as u32).to_be_bytes();
            self.request[REQUEST_CORRELATION_AT..][..4].copy_from_slice(&correlation);
            match self.vary {
                Vary::Nothing => {}
                Vary::Offset(at) => {
                    self.request[at..][..8].copy_from_slice(&self.sent.to_be_bytes());
                }
                Vary::Digits { at, digits, from } => {
                    let mut number = from + self.sent;
                    for digit in self.request[at..][..digits].iter_mut().rev() {
                        *digit = b'0' + (number % 10) as u8;
                        number /= 10;
                    }
                }
            }
            self.out.extend_from_slice(&self.request);
            self.sent += 1;
        }
        self.left -= sending as u64;
        sending
    }
}

/// Answers on their way in: each is what the first was, but for its correlation id.
struct Answers {
    expected: Vec<u8>,
    next: u32,
    read: Vec<u8>,
    filled: usize,
}

impl Answers {
    fn new(expected: Bytes) -> Self {
        Self {
            expected: expected.to_vec(),
            next: 0,
            read: vec![0; READ_BYTES],
            filled: 0,
        }
    }

    /// Waits for at least one, and says how many came.
    async fn read(&mut self, stream: &mut TcpStream) -> Result<usize, BenchError> {
        let mut came = 0;
        while came == 0 {
            let bytes = stream
                .read(&mut self.read[self.filled..])
                .await
                .doing(|| "reading answers".to_owned())?;
            if bytes == 0 {
                return Err(unexpected("the connection was closed"));
            }
            self.filled += bytes;
            came = self.take()?;
        }
        Ok(came)
    }

    fn take(&mut self) -> Result<usize, BenchError> {
        let (mut at, mut came) = (0, 0);
        while self.filled - at >= self.expected.len() {
            self.expected[ANSWER_CORRELATION_AT..][..4].copy_from_slice(&self.next.to_be_bytes());
            let answer = &self.read[at..][..self.expected.len()];
            if answer != self.expected {
                return Err(unexpected(&different(&self.expected, answer)));
            }
            self.next = self.next.wrapping_add(1);
            at += self.expected.len();
            came += 1;
        }
        self.read.copy_within(at..self.filled, 0);
        self.filled -= at;
        Ok(came)
    }
}

/// Where two answers differ; two bytes there are an error code as a rule.
fn different(expected: &[u8], answer: &[u8]) -> String {
    let at = expected
        .iter()
        .zip(answer)
        .position(|(one, other)| one != other)
        .unwrap_or(0);
    let code = answer[at.saturating_sub(1)..]
        .first_chunk()
        .map(|bytes| ErrorCode(i16::from_be_bytes(*bytes)));
    format!(
        "byte {at} of an answer is another than in the first one; read as an error code it is {}",
        code.map_or("none", |code| code.name())
    )
}

fn unexpected(reason: &str) -> BenchError {
    BenchError::Protocol {
        what: "the load",
        reason: reason.to_owned(),
    }
}
