//! `callboard broker`: configuration from file and flags, one ready line on stdout, and an end in order.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use callboard_broker::{Broker, BrokerConfig, BrokerError, KEYS};
use tracing::{info, warn};

use crate::args::BrokerArgs;
use crate::cluster::key_value;
use crate::failure::Failure;
use crate::signals::Signals;

/// Runs a broker until it is asked to end or fails.
pub(crate) async fn run(args: BrokerArgs) -> Result<(), Failure> {
    let config = config(&args)?;
    let data_dir = config.data_dir.clone();
    // Before the start: who changes their mind early is obeyed as well.
    let mut signals = Signals::listen()?;
    let mut broker = Broker::start(config).await.map_err(refused)?;
    say_ready(&broker, &data_dir);
    let outcome = tokio::select! {
        signal = signals.next() => {
            info!(signal, "asked to end");
            Ok(())
        }
        error = broker.failed() => Err(Failure::failed(error)),
    };
    // Where it failed, that is what the user has to hear.
    outcome.and(broker.shutdown().await.map_err(Failure::failed))
}

/// The file first, then what the command line says, which is nearer to the user.
fn config(args: &BrokerArgs) -> Result<BrokerConfig, Failure> {
    let mut config = BrokerConfig::default();
    if let Some(file) = &args.config {
        config.set_file(file).map_err(Failure::usage)?;
    }
    for setting in &args.set {
        let (key, value) = key_value(setting)?;
        config.set(key, value).map_err(Failure::usage)?;
    }
    let flags = [
        ("listeners", &args.listen),
        ("callboard.admin.listener", &args.admin),
    ];
    for (key, value) in flags {
        if let Some(value) = value {
            config.set(key, value).map_err(Failure::usage)?;
        }
    }
    if let Some(data_dir) = &args.data_dir {
        config.data_dir.clone_from(data_dir);
    }
    Ok(config)
}

/// Exit 2 where the request has to change, 1 where the broker is at fault.
fn refused(error: BrokerError) -> Failure {
    match error {
        BrokerError::Start { .. } | BrokerError::Failed { .. } => Failure::failed(error),
        error => Failure::usage(error),
    }
}

/// One line for scripts. Nobody has to read it: a broker whose starter has closed the pipe still serves.
fn say_ready(broker: &Broker, data_dir: &Path) {
    let listen = broker.address();
    let admin = broker
        .admin_address()
        .map_or_else(|| "none".to_owned(), |address| address.to_string());
    let data = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_owned());
    let mut stdout = std::io::stdout().lock();
    let said = writeln!(
        stdout,
        "ready listen={listen} admin={admin} data={}",
        data.display()
    )
    .and_then(|()| stdout.flush());
    if let Err(error) = said {
        warn!(%error, "nobody reads the ready line");
    }
}

/// Every broker key with its default and meaning, for `--help`.
pub(crate) fn keys_help() -> String {
    let mut help =
        String::from("Keys for --set and --config, as Kafka names them, with their defaults:\n");
    for key in KEYS {
        // Writing to a string cannot fail.
        let _ = write!(help, "\n  {}={}\n      {}", key.name, key.default, key.doc);
        for alias in key.aliases {
            let _ = write!(help, " Also {alias}.");
        }
    }
    help
}
