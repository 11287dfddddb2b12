//! Values of settings: their kinds, bounds and spelling. Pure.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A whole number within bounds, both included.
    Number {
        /// The smallest.
        min: i64,
        /// The largest.
        max: i64,
    },
    /// A number from 0 to 1, both included.
    Fraction,
    /// `true` or `false`.
    Switch,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Any text.
    Text,
    /// `HOST:PORT`, with or without `PLAINTEXT://` before it.
    Address,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number { min, max } if min == max => write!(f, "it must be {min}"),
            Self::Number { min, max: i64::MAX } => {
                write!(f, "it must be a whole number of at least {min}")
            }
            Self::Number { min, max } => write!(f, "it must be a whole number from {min} to {max}"),
            Self::Fraction => f.write_str("it must be a number from 0 to 1"),
            Self::Switch => f.write_str("it must be true or false"),
            Self::Choice(words) => write!(f, "it must be one of {}", words.join(", ")),
            Self::Text => f.write_str("it must be text"),
            Self::Address => f.write_str("it must be HOST:PORT or PLAINTEXT://HOST:PORT"),
        }
    }
}

impl Kind {
    /// Parses a value of this kind.
    pub(super) fn parse(self, text: &str) -> Option<Value> {
        match self {
            Self::Number { min, max } => text
                .parse()
                .ok()
                .filter(|number| (min..=max).contains(number))
                .map(Value::Number),
            Self::Fraction => text
                .parse()
                .ok()
                .filter(|number| (0.0..=1.0).contains(number))
                .map(Value::Fraction),
            Self::Switch => match text.to_ascii_lowercase().as_str() {
                "true" => Some(Value::Switch(true)),
                "false" => Some(Value::Switch(false)),
                _ => None,
            },
            Self::Choice(words) => words.contains(&text).then(|| Value::Text(text.to_owned())),
            Self::Text => Some(Value::Text(text.to_owned())),
            Self::Address if text.is_empty() => Some(Value::Address(None)),
            Self::Address => {
                ListenAddress::parse(text).map(|address| Value::Address(Some(address)))
            }
        }
    }
}

/// A parsed value. The accessors below take the kind for granted: it stands in the same line of the table.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Number(i64),
    Fraction(f64),
    Switch(bool),
    Text(String),
    Address(Option<ListenAddress>),
}

impl Value {
    /// The number in the target's type; bounds of the table keep it in range, and the extremes saturate.
    pub(super) fn number<T: TryFrom<i64>>(self) -> Option<T> {
        match self {
            Self::Number(number) => T::try_from(number).ok(),
            _ => None,
        }
    }

    pub(super) fn millis(self) -> Option<Duration> {
        self.number().map(Duration::from_millis)
    }

    pub(super) fn fraction(self) -> Option<f64> {
        match self {
            Self::Fraction(number) => Some(number),
            _ => None,
        }
    }

    pub(super) fn switch(self) -> Option<bool> {
        match self {
            Self::Switch(on) => Some(on),
            _ => None,
        }
    }

    pub(super) fn text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn address(self) -> Option<Option<ListenAddress>> {
        match self {
            Self::Address(address) => Some(address),
            _ => None,
        }
    }
}

/// What a field holds, on its way back to text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Text(String),
    Switch(bool),
    /// A time without its unit; None is for ever.
    Time(Option<Duration>),
}

macro_rules! shown_as_text {
    ($($field:ty),*) => {
        $(impl From<&$field> for Shown {
            fn from(field: &$field) -> Self {
                Self::Text(field.to_string())
            }
        })*
    };
}

shown_as_text!(i16, i32, u32, u64, usize, f64, ListenAddress);

impl From<&bool> for Shown {
    fn from(field: &bool) -> Self {
        Self::Switch(*field)
    }
}

impl From<&Duration> for Shown {
    fn from(field: &Duration) -> Self {
        Self::Time(Some(*field))
    }
}

impl From<&Option<Duration>> for Shown {
    fn from(field: &Option<Duration>) -> Self {
        Self::Time(*field)
    }
}

impl From<&Option<u64>> for Shown {
    fn from(field: &Option<u64>) -> Self {
        Self::Text(field.map_or_else(|| "-1".to_owned(), |number| number.to_string()))
    }
}

impl From<&Option<String>> for Shown {
    fn from(field: &Option<String>) -> Self {
        Self::Text(field.clone().unwrap_or_default())
    }
}

impl From<&Option<ListenAddress>> for Shown {
    fn from(field: &Option<ListenAddress>) -> Self {
        Self::Text(field.as_ref().map(ToString::to_string).unwrap_or_default())
    }
}

impl From<&PathBuf> for Shown {
    fn from(field: &PathBuf) -> Self {
        Self::Text(field.display().to_string())
    }
}

/// Where to listen, or where others find us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// A name or an address; an IPv6 address without its brackets. Empty: every interface, as in Kafka's `:9092`.
    pub host: String,
    /// The port; 0 picks a free one.
    pub port: u16,
}

impl ListenAddress {
    /// Reads `HOST:PORT`, `[V6]:PORT`, `:PORT`, each with `PLAINTEXT://` before it or not. None for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("plaintext") => rest,
            Some(_) => return None,
            None => text,
        };
        let (host, port) = text.rsplit_once(':')?;
        let host = match host.strip_prefix('[') {
            Some(v6) => v6.strip_suffix(']')?,
            None if host.contains(':') => return None,
            None => host,
        };
        if host.contains(|c: char| c.is_whitespace() || c == '/' || c == ',') {
            return None;
        }
        Some(Self {
            host: host.to_owned(),
            port: port.parse().ok()?,
        })
    }

    /// Whether it names every interface (`0.0.0.0`, `[::]`): one can listen there, and nobody can connect to it from
    /// elsewhere. An empty host is not meant: it is no address.
    pub(super) fn is_wildcard(&self) -> bool {
        let ip = self.host.parse::<IpAddr>();
        ip.is_ok_and(|ip| ip.to_canonical().is_unspecified())
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}
