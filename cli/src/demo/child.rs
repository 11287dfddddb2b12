//! The member that is killed, in a process of its own: this binary run again with a hidden command. It reports through
//! its stdout; what a pipe has taken survives the death of who wrote it.

use std::io::{Read, Write};
use std::process::Stdio;
use std::sync::Arc;

use callboard_client::Client;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::member::{self, Member};
use super::report::{Report, Sink};
use crate::args::DemoMemberArgs;
use crate::failure::Failure;

/// A member in another process, seen from the demo. Dropping it kills the process.
#[derive(Debug)]
pub(super) struct ChildMember {
    process: Child,
    /// The operating system's name for it.
    pub(super) pid: u32,
    /// Passes on what it reports; ends with its stdout.
    reports: JoinHandle<()>,
}

impl ChildMember {
    /// Starts the process.
    pub(super) fn start(bootstrap: &str, sink: Sink) -> std::io::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["demo-member", "--bootstrap", bootstrap])
            // Never written to: its end tells the child that the demo is gone.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = process
            .stdout
            .take()
            .ok_or_else(|| std::io::Error::other("the child has no stdout"))?;
        let reports = tokio::spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                // The last line may be torn; then its row was not acknowledged either.
                if let Ok(report) = serde_json::from_str(&line) {
                    sink(report);
                }
            }
        });
        let pid = process.id().unwrap_or_default();
        Ok(Self {
            process,
            pid,
            reports,
        })
    }

    /// SIGKILL: no goodbye, no commit. Returns when everything it had reported is passed on.
    pub(super) async fn kill(mut self) -> std::io::Result<()> {
        self.process.kill().await?;
        self.reports.await.map_err(std::io::Error::other)
    }
}

/// The hidden command: a member that lives until it is killed, or until whoever started it is gone.
pub(crate) async fn run(args: DemoMemberArgs) -> Result<(), Failure> {
    let config = member::config(&args.bootstrap).map_err(Failure::demo)?;
    let client = Client::connect(config).await.map_err(Failure::demo)?;
    let member = Member::join(&client, Arc::new(tell), None)
        .await
        .map_err(Failure::demo)?;
    // A thread, since reading a pipe cannot be cancelled; it ends with the process.
    let (orphaned, parent_gone) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        drop(orphaned);
    });
    // The sender is only ever dropped.
    let _ = parent_gone.await;
    drop(member);
    Ok(())
}

/// Writes a report, and ends the process where that fails: a row that nobody hears of must not be acknowledged.
fn tell(report: Report) {
    let written = serde_json::to_string(&report)
        .map_err(std::io::Error::other)
        .and_then(|line| {
            let mut stdout = std::io::stdout().lock();
            // One write of a whole line: pipes do not tear those apart.
            stdout.write_all(format!("{line}\n").as_bytes())?;
            stdout.flush()
        });
    if written.is_err() {
        std::process::exit(1);
    }
}
