//! Writes a data directory with a binary of callboard and puts it, packed, into a folder: what `broker/tests/on_disk` reads
//! from then on. Once for each version that is released:
//!
//! `cargo run -p callboard-broker --example on_disk -- target/release/callboard testdata/on-disk/VERSION`
#![allow(clippy::unwrap_used, reason = "a tool of the repository's own")]

#[path = "../tests/on_disk/folder.rs"]
#[allow(dead_code, unreachable_pub, reason = "the test unpacks")]
mod folder;
#[path = "../tests/on_disk/story.rs"]
#[allow(dead_code, unreachable_pub, reason = "the test reads")]
mod story;
#[path = "../tests/on_disk/wire.rs"]
#[allow(unreachable_pub, reason = "shared with the test")]
mod wire;

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

/// A broker, which does not outlive this program.
struct Broker(Child);

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(binary: &Path, data: &Path, address: &str) -> Broker {
    let mut command = Command::new(binary);
    command.arg("broker").args(["--data-dir".as_ref(), data]);
    command.args(["--listen", address]);
    command.args(["--set", "callboard.admin.listener="]);
    for (key, value) in story::WRITING {
        command.args(["--set", &format!("{key}={value}")]);
    }
    Broker(command.spawn().unwrap())
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [binary, folder] = &arguments[..] else {
        panic!("usage: on_disk BINARY FOLDER");
    };
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);

    let mut broker = start(binary, &data, &address);
    story::write(&address, &data).await;
    let pid = broker.0.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert!(broker.0.wait().unwrap().success(), "it ends in order");
    // And once more, to end without any.
    let mut broker = start(binary, &data, &address);
    story::write_on(&address).await;
    broker.0.kill().unwrap();
    broker.0.wait().unwrap();
    folder::pack(&data, folder);
}
