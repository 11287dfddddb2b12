//! `callboard broker`: configuration from file and flags, one ready line on stdout, and an end in order.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use callboard_broker::metrics::Recorder;
use callboard_broker::{Broker, BrokerConfig, BrokerError, ConfigError, KEYS, Key};
use tracing::{info, warn};

use crate::advice;
use crate::args::BrokerArgs;
use crate::cluster::key_value;
use crate::failure::Failure;
use crate::signals::Signals;

/// Runs a broker until it is asked to end or fails.
pub(crate) async fn run(args: BrokerArgs) -> Result<(), Failure> {
    let (config, sources) = config(&args)?;
    if args.print_config {
        config.validate().map_err(|error| setting(&error))?;
        return print_config(&config, &sources);
    }
    let data_dir = config.data_dir.clone();
    // Before the start: who changes their mind early is obeyed as well.
    let mut signals = Signals::listen()?;
    // Before the broker: what is made before the recorder counts into nothing. Without an admin port nobody could read it.
    let recorder = config
        .admin_listener
        .is_some()
        .then(|| callboard_broker::metrics::install(&[]));
    let started = start(config, recorder.flatten()).await;
    let mut broker = started.map_err(refused)?;
    say_ready(&broker, &data_dir);
    let outcome = tokio::select! {
        signal = signals.next() => {
            info!(%signal, "asked to end");
            Ok(signal)
        }
        error = broker.failed() => Err(failed(&error)),
    };
    let stopped = broker.shutdown().await.map_err(|error| failed(&error));
    // Where it failed, that is what the user has to hear.
    let signal = outcome?;
    stopped.and(signal.ending())
}

fn failed(error: &BrokerError) -> Failure {
    Failure::failed("the broker ended", error, advice::of_broker(error))
}

fn setting(error: &ConfigError) -> Failure {
    Failure::usage(
        "a setting of the broker",
        error,
        "`callboard broker --help` lists the keys and their values",
    )
}

/// Where values come from that are not the default, by key.
type Sources = BTreeMap<&'static str, &'static str>;

/// The file first, then what the command line says, which is nearer to the user.
fn config(args: &BrokerArgs) -> Result<(BrokerConfig, Sources), Failure> {
    let mut config = BrokerConfig::default();
    let mut sources = Sources::new();
    if let Some(file) = &args.config {
        config.set_file(file).map_err(|error| setting(&error))?;
        let given = KEYS.iter().filter(|key| key.is_given(&config));
        sources.extend(given.map(|key| (key.name, "file")));
    }
    let mut settings = Vec::new();
    for pair in &args.set {
        settings.push(key_value("--set", pair)?);
    }
    let flags = [
        ("listeners", &args.listen),
        ("callboard.admin.listener", &args.admin),
    ];
    settings.extend(flags.iter().filter_map(|(key, flag)| {
        let value = flag.as_deref()?;
        Some((*key, value))
    }));
    for (key, value) in settings {
        config.set(key, value).map_err(|error| setting(&error))?;
        sources.extend(Key::find(key.trim()).map(|key| (key.name, "command line")));
    }
    if let Some(data_dir) = &args.data_dir {
        // A path need not be text.
        config.data_dir.clone_from(data_dir);
        sources.insert("log.dirs", "command line");
    }
    Ok((config, sources))
}

/// One line a key: name, value, default, source.
fn print_config(config: &BrokerConfig, sources: &Sources) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    for key in KEYS {
        let source = sources.get(key.name).unwrap_or(&"default");
        let value = key.value(config);
        writeln!(stdout, "{}\t{value}\t{}\t{source}", key.name, key.default)
            .map_err(Failure::stdout)?;
    }
    Ok(())
}

/// Exit 2 where the request has to change, 1 where the broker is at fault.
fn refused(error: BrokerError) -> Failure {
    let (what, remedy) = ("the broker does not start", advice::of_broker(&error));
    match error {
        BrokerError::Start { .. } | BrokerError::Failed { .. } => {
            Failure::failed(what, error, remedy)
        }
        error => Failure::usage(what, error, remedy),
    }
}

/// Starts a broker that shows what `recorder` has, and drives its upkeep.
pub(crate) async fn start(
    config: BrokerConfig,
    recorder: Option<Recorder>,
) -> Result<Broker, BrokerError> {
    match recorder {
        Some(recorder) => {
            tokio::spawn(recorder.clone().upkeep());
            Broker::start_recorded(config, recorder).await
        }
        None => Broker::start(config).await,
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
