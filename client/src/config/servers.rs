//! Servers as people write them: `host:port`, with or without the protocol's name in front and the port behind.

use std::net::Ipv6Addr;

/// Kafka's port.
const PORT: u16 = 9092;

/// A list of servers, separated by commas, each as `host:port`.
///
/// # Errors
/// What was expected.
pub(super) fn list(text: &str) -> Result<Vec<String>, String> {
    let servers = text
        .split(',')
        .map(str::trim)
        .filter(|one| !one.is_empty())
        .map(one)
        .collect::<Result<Vec<String>, String>>()?;
    if servers.is_empty() {
        return Err(expected());
    }
    Ok(servers)
}

fn expected() -> String {
    "expected host:port, separated by commas".to_owned()
}

fn one(server: &str) -> Result<String, String> {
    let server = match server.split_once("://") {
        None => server,
        Some((protocol, server)) if protocol.eq_ignore_ascii_case("PLAINTEXT") => server,
        Some((protocol, _)) => return Err(without(protocol)),
    };
    let (host, port) = split(server).ok_or_else(expected)?;
    Ok(if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    })
}

/// What another listener's protocol would need.
fn without(protocol: &str) -> String {
    let needs = match protocol.to_ascii_uppercase().as_str() {
        "SSL" => "TLS",
        "SASL_PLAINTEXT" => "SASL",
        "SASL_SSL" => "TLS and SASL",
        _ => {
            return format!(
                "expected PLAINTEXT:// or nothing in front of host:port, not {protocol}://"
            );
        }
    };
    format!(
        "expected a PLAINTEXT listener: {protocol} needs {needs}, which this client does not speak"
    )
}

/// Host and port; the host without the brackets of an IPv6 address, the port Kafka's where there is none.
pub(crate) fn split(server: &str) -> Option<(&str, u16)> {
    if server.parse::<Ipv6Addr>().is_ok() {
        return Some((server, PORT));
    }
    let (host, port) = match server.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            (host, port)
        }
        None => {
            let end = server.find(':').unwrap_or(server.len());
            server.split_at(end)
        }
    };
    let port = match port {
        "" => PORT,
        port => port.strip_prefix(':')?.parse().ok()?,
    };
    let legal = |byte: u8| byte.is_ascii_graphic() && byte != b'/';
    (!host.is_empty() && host.bytes().all(legal) && port != 0).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_taken_as_people_write_them() {
        for (written, read) in [
            ("broker:9093", "broker:9093"),
            ("localhost", "localhost:9092"),
            ("10.0.0.1", "10.0.0.1:9092"),
            ("PLAINTEXT://broker:9093", "broker:9093"),
            ("plaintext://broker", "broker:9092"),
            ("[::1]:9093", "[::1]:9093"),
            ("[::1]", "[::1]:9092"),
            ("::1", "[::1]:9092"),
            ("PLAINTEXT://[fe80::1]:1", "[fe80::1]:1"),
        ] {
            assert_eq!(
                list(written).as_deref(),
                Ok(&[read.to_owned()][..]),
                "{written}"
            );
            // What is kept is what is connected to.
            let (host, port) = split(read).unwrap();
            assert!(read.contains(host) && read.ends_with(&format!(":{port}")));
        }
        assert_eq!(list("a, b:1 ,").unwrap(), ["a:9092", "b:1"]);
        assert_eq!(split("[::1]:9092"), Some(("::1", 9092)));
    }

    #[test]
    fn what_is_no_server_is_refused() {
        for written in [
            "",
            ",",
            "broker:0",
            "broker:port",
            "broker:",
            "[::1",
            "[broker]:1",
            "a:1:2",
            ":9092",
            "a/b",
            "a b",
        ] {
            assert_eq!(list(written), Err(expected()), "{written}");
        }
        for (written, needs) in [
            ("SSL://a:1", "SSL needs TLS"),
            ("sasl_plaintext://a:1", "sasl_plaintext needs SASL"),
            ("SASL_SSL://a:1", "SASL_SSL needs TLS and SASL"),
            ("http://a:1", "not http://"),
        ] {
            let error = list(written).unwrap_err();
            assert!(error.contains(needs), "{error}");
        }
    }
}
