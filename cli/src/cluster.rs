//! From `--bootstrap` and `--set` to a client of any Kafka, and the help that lists the keys.

use std::fmt::Write;

use callboard_client::config::KEYS;
use callboard_client::{Client, ClientConfig, ConfigError, Role};

use crate::args::ClusterArgs;
use crate::failure::Failure;

/// Splits `KEY=VALUE` of this option at the first equals sign.
pub(crate) fn key_value<'a>(option: &str, text: &'a str) -> Result<(&'a str, &'a str), Failure> {
    text.split_once('=')
        .map(|(key, value)| (key.trim(), value.trim()))
        .filter(|(key, _)| !key.is_empty())
        .ok_or_else(|| {
            Failure::usage(
                format_args!("{option} {text}"),
                "expected KEY=VALUE",
                "put an equals sign between the two, without spaces",
            )
        })
}

/// The client's configuration as the command line has it, held against the rules of who uses it.
pub(crate) fn config(args: &ClusterArgs, role: Role) -> Result<ClientConfig, Failure> {
    let mut config =
        ClientConfig::bootstrap(&args.bootstrap).map_err(|error| refused("--bootstrap", &error))?;
    for setting in &args.set {
        let (key, value) = key_value("--set", setting)?;
        config
            .set(key, value)
            .map_err(|error| refused("--set", &error))?;
    }
    config
        .settled(role)
        .map_err(|error| refused("--set", &error))?;
    Ok(config)
}

/// What an option says will not do.
pub(crate) fn refused(option: &str, error: &ConfigError) -> Failure {
    let instead = match error {
        ConfigError::Elsewhere { key, .. } if key == "group.id" => "--group names it",
        ConfigError::Elsewhere { .. } => "leave it out",
        ConfigError::Conflict(_) => {
            "change one of the two; a key that is left to its default yields"
        }
        _ => "`callboard consume --help` lists the keys and what they take",
    };
    Failure::usage(option, error, instead)
}

/// A client of the cluster the command line names.
pub(crate) async fn connect(config: ClientConfig) -> Result<Client, Failure> {
    Client::connect(config)
        .await
        .map_err(|error| Failure::client("cannot use the cluster", &error))
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
