//! What earlier versions wrote is read, and so is what this one writes: `docs/on-disk.md`. The directories of
//! `testdata/on-disk` are written by `cargo run -p callboard-broker --example on_disk`.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

#[allow(dead_code, unreachable_pub, reason = "the example packs")]
mod folder;
#[allow(unreachable_pub, reason = "the example uses it too")]
mod story;
#[allow(unreachable_pub, reason = "the example uses it too")]
mod wire;

use std::fs;
use std::path::{Path, PathBuf};

use callboard_broker::{Broker, BrokerConfig};
use callboard_supervision::testing::Limit;

fn config(data: &Path, keys: &[(&str, &str)]) -> BrokerConfig {
    let mut config = BrokerConfig::default();
    config.data_dir = data.to_owned();
    config.admin_listener = None;
    config.set("listeners", "127.0.0.1:0").unwrap();
    for (key, value) in keys {
        config.set(key, value).unwrap();
    }
    config
}

/// Twice: the second time as this version has left it, which raises no leader epoch.
async fn is_read(data: &Path, epochs: [i32; 2]) {
    for _ in 0..2 {
        let broker = Broker::start(config(data, story::READING)).await.unwrap();
        let address = broker.address().to_string();
        assert_eq!(story::epochs(&address).await, epochs);
        story::read(&address).await;
        broker.shutdown().await.unwrap();
    }
}

fn folders() -> Vec<PathBuf> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/on-disk");
    let entries = std::fs::read_dir(all).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test]
async fn what_every_earlier_version_wrote_is_read() {
    let _limit = Limit::start();
    let folders = folders();
    assert!(!folders.is_empty());
    for folder in folders {
        println!("{}", folder.display());
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        folder::unpack(&folder, &data);
        // Which logs were closed in order was not marked at first.
        let marks = !named(&data, "clean-shutdown").is_empty();
        assert_eq!(marks, !named(&data, "leader-epoch-checkpoint").is_empty());
        is_read(&data, if marks { [1, 0] } else { [1, 1] }).await;
    }
}

#[tokio::test]
async fn what_this_version_writes_is_read() {
    let _limit = Limit::start();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let broker = Broker::start(config(&data, story::WRITING)).await.unwrap();
    story::write(&broker.address().to_string(), &data).await;
    broker.shutdown().await.unwrap();
    let broker = Broker::start(config(&data, story::WRITING)).await.unwrap();
    story::write_on(&broker.address().to_string()).await;
    broker.shutdown().await.unwrap();
    is_read(&data, [0, 0]).await;
}

/// The files in `dir` and below whose names end so, in order.
fn named(dir: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(named(&path, end));
        } else if path.to_string_lossy().ends_with(end) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A change of a file's bytes.
type Change = fn(&mut Vec<u8>);

fn text_version_2(bytes: &mut Vec<u8>) {
    let text = String::from_utf8(std::mem::take(bytes)).unwrap();
    let raised = text
        .replace("version=1", "version=2")
        .replace("\"version\": 1", "\"version\": 2");
    // 0.1.0 has numbers without a version.
    let raised = if raised == text {
        format!("version=2\n{text}")
    } else {
        raised
    };
    *bytes = raised.into_bytes();
}

fn both_copies_version_2(bytes: &mut [u8]) {
    let magic = bytes[..8].to_vec();
    for at in (0..bytes.len() - 8)
        .filter(|at| bytes[*at..at + 8] == magic)
        .collect::<Vec<_>>()
    {
        bytes[at + 7] = b'2';
    }
}

fn snapshot_version_2(bytes: &mut [u8]) {
    bytes[7] = b'2';
    let crc = crc32c::crc32c(&bytes[..28]);
    bytes[28..32].copy_from_slice(&crc.to_be_bytes());
}

#[tokio::test]
async fn an_unknown_version_is_refused_with_the_file_and_the_remedy() {
    let _limit = Limit::start();
    let changes: [(&str, Change); 6] = [
        ("meta.properties", text_version_2),
        ("producer-ids", text_version_2),
        ("topic.json", text_version_2),
        (".segment", |bytes| both_copies_version_2(bytes)),
        (".snapshot", |bytes| snapshot_version_2(bytes)),
        ("log.start", |bytes| both_copies_version_2(bytes)),
    ];
    for (end, change) in changes {
        for folder in folders() {
            let dir = tempfile::tempdir().unwrap();
            let data = dir.path().join("data");
            folder::unpack(&folder, &data);
            let files = match end {
                ".snapshot" => named(&data.join("offsets"), end),
                _ => named(&data, end),
            };
            let file = files.last().unwrap();
            let mut bytes = fs::read(file).unwrap();
            change(&mut bytes);
            fs::write(file, &bytes).unwrap();
            let refused = Broker::start(config(&data, story::READING))
                .await
                .unwrap_err();
            let refused = refused.to_string();
            let name = file.file_name().unwrap().to_string_lossy();
            assert!(refused.contains(&*name), "{end}: {refused}");
            assert!(
                refused.contains("version")
                    && refused.contains("start the callboard that wrote it"),
                "{end}: {refused}"
            );
            assert!(!refused.contains('\n'), "{refused}");
            assert_eq!(fs::read(file).unwrap(), bytes, "{end} is as it was");
        }
    }
}
