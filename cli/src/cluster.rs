//! From `--bootstrap` and `--set` to a client of any Kafka, and the help that lists the keys.

use std::fmt::Write;

use callboard_client::config::KEYS;
use callboard_client::{Client, ClientConfig, ClientError};

use crate::args::ClusterArgs;
use crate::failure::Failure;

/// Splits `KEY=VALUE` at the first equals sign.
pub(crate) fn key_value(text: &str) -> Result<(&str, &str), Failure> {
    text.split_once('=')
        .map(|(key, value)| (key.trim(), value.trim()))
        .filter(|(key, _)| !key.is_empty())
        .ok_or_else(|| Failure::usage(format_args!("--set {text}: expected KEY=VALUE")))
}

/// The client's configuration as the command line has it.
pub(crate) fn config(args: &ClusterArgs) -> Result<ClientConfig, Failure> {
    let mut config = ClientConfig::bootstrap(&args.bootstrap).map_err(Failure::usage)?;
    for setting in &args.set {
        let (key, value) = key_value(setting)?;
        config.set(key, value).map_err(Failure::usage)?;
    }
    config.validate().map_err(Failure::usage)?;
    Ok(config)
}

/// A client of the cluster the command line names.
pub(crate) async fn connect(config: ClientConfig) -> Result<Client, Failure> {
    Client::connect(config).await.map_err(|error| match error {
        ClientError::Config(error) => Failure::usage(error),
        ClientError::Connect { .. } => Failure::failed(format_args!(
            "{error}; is a broker running there? `callboard broker` starts one"
        )),
        error => Failure::failed(error),
    })
}

/// Every client key with its default and meaning, for `--help`.
pub(crate) fn keys_help() -> String {
    let mut help = String::from("Keys for --set, as Kafka names them, with their defaults:\n");
    // --bootstrap sets it.
    for key in KEYS.iter().filter(|key| key.name != "bootstrap.servers") {
        // Writing to a string cannot fail.
        let _ = write!(help, "\n  {}={}\n      {}", key.name, key.default, key.doc);
    }
    help
}
