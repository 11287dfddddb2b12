//! A broker inside a program: started from Kafka's own keys, ended in order by Ctrl-C.
//!
//! ```sh
//! cargo run -p callboard-broker --example embedded -- listeners=127.0.0.1:9092 log.dirs=data
//! ```

use std::io::Write as _;

use callboard_broker::{Broker, BrokerConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut config = BrokerConfig::default();
    for setting in std::env::args().skip(1) {
        let (key, value) = setting.split_once('=').ok_or("settings are key=value")?;
        config.set(key, value)?;
    }
    let mut broker = Broker::start(config).await?;
    writeln!(std::io::stdout(), "ready listen={}", broker.address())?;
    let interrupted = tokio::signal::ctrl_c();
    tokio::select! {
        interrupted = interrupted => interrupted?,
        failed = broker.failed() => return Err(failed.into()),
    }
    broker.shutdown().await?;
    Ok(())
}
