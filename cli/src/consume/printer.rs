//! Lines on their way to stdout, and the records they are of. A thread of its own writes: who does not read on must not
//! keep us from hearing signals. A record counts as printed once stdout has taken the whole of its line.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use callboard_consumer::StreamRecord;
use tokio::sync::mpsc;

use super::Format;
use crate::failure::Failure;

/// Bytes given to stdout at once although more records are there.
const PRINTED_MAX: usize = 64 * 1024;

/// What became of a text.
struct Written {
    /// How much of it stdout has taken.
    bytes: usize,
    outcome: io::Result<()>,
}

/// Prints records and acknowledges those that are printed.
pub(super) struct Printer {
    format: Format,
    text: Vec<u8>,
    /// Each with where its line ends in the text.
    records: Vec<(usize, StreamRecord)>,
    texts: mpsc::Sender<Vec<u8>>,
    written: mpsc::Receiver<Written>,
    writing: bool,
}

impl Printer {
    /// Nothing is printed yet.
    ///
    /// # Errors
    /// When stdout cannot be had.
    pub(super) fn new(format: Format) -> io::Result<Self> {
        // Its own buffer would hide how much of a text was taken.
        let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let (texts, mut inbox) = mpsc::channel::<Vec<u8>>(1);
        let (reports, written) = mpsc::channel(1);
        // It may outlive the command by the process's last moments, in the middle of a write.
        std::thread::spawn(move || {
            while let Some(text) = inbox.blocking_recv() {
                if reports.blocking_send(write(&stdout, &text)).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            format,
            text: Vec::new(),
            records: Vec::new(),
            texts,
            written,
            writing: false,
        })
    }

    /// Whether stdout has not yet taken what it was given.
    pub(super) fn is_writing(&self) -> bool {
        self.writing
    }

    /// Whether more may be added before it is given to stdout.
    pub(super) fn has_room(&self) -> bool {
        self.text.len() < PRINTED_MAX
    }

    /// Adds a record's line.
    pub(super) fn add(&mut self, record: StreamRecord) {
        self.format.append(&mut self.text, &record);
        self.records.push((self.text.len(), record));
    }

    /// Gives the lines to stdout.
    pub(super) fn print(&mut self) {
        // There is room for one, and one at a time is given. A thread that has died shows in `written`.
        let _ = self.texts.try_send(std::mem::take(&mut self.text));
        self.writing = true;
    }

    /// Waits until stdout has taken the lines, acknowledges their records if it did, and lets go of them if not.
    /// Never ends while nothing is given. Cancel-safe.
    ///
    /// # Errors
    /// What stdout says.
    pub(super) async fn written(&mut self) -> Result<(), Failure> {
        if !self.writing {
            return std::future::pending().await;
        }
        let written = self.written.recv().await.unwrap_or(Written {
            bytes: 0,
            outcome: Err(io::ErrorKind::Other.into()),
        });
        self.writing = false;
        for (end, record) in self.records.drain(..) {
            if end <= written.bytes {
                // False where the partition has gone to another member meanwhile, which prints it too: at least once.
                record.ack();
            }
        }
        written.outcome.map_err(Failure::stdout)
    }

    /// Waits no longer than this for what stdout was given; what it has not taken then is not acknowledged.
    pub(super) async fn finish(&mut self, limit: Duration) -> Result<(), Failure> {
        if !self.writing {
            return Ok(());
        }
        let finished = tokio::time::timeout(limit, self.written()).await;
        self.records.clear();
        finished.unwrap_or(Ok(()))
    }
}

/// As `write_all`, but tells how far it came.
fn write(mut stdout: &File, text: &[u8]) -> Written {
    let mut bytes = 0;
    let outcome = loop {
        if bytes == text.len() {
            break Ok(());
        }
        match stdout.write(&text[bytes..]) {
            Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
            Ok(more) => bytes += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
    };
    Written { bytes, outcome }
}
