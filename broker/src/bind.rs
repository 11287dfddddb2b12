//! Binding the broker's sockets before any actor runs, so that an address in use is told by `Broker::start`.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use tokio::net::{TcpSocket, lookup_host};

use crate::{BrokerError, ListenAddress};

/// Binds and listens; a name that resolves to several addresses takes the first that works. An empty host is every
/// interface of both address families, as in Apache Kafka; of IPv4 alone where the machine has no IPv6.
pub(crate) async fn bind(
    address: &ListenAddress,
    backlog: u32,
) -> Result<(TcpListener, SocketAddr), BrokerError> {
    let failed = |error: std::io::Error| BrokerError::Listen {
        address: address.clone(),
        reason: error.to_string(),
    };
    if address.host.is_empty() {
        let every = listen((Ipv6Addr::UNSPECIFIED, address.port).into(), backlog);
        let bound = match every {
            Err(error) if lacks_ipv6(&error) => {
                listen((Ipv4Addr::UNSPECIFIED, address.port).into(), backlog)
            }
            every => every,
        };
        return bound.map_err(failed);
    }
    let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address");
    for candidate in lookup_host((address.host.as_str(), address.port))
        .await
        .map_err(failed)?
    {
        match listen(candidate, backlog) {
            Ok(bound) => return Ok(bound),
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

/// What the system says of IPv6 where it has none.
fn lacks_ipv6(error: &std::io::Error) -> bool {
    let errno = rustix::io::Errno::from_io_error(error);
    matches!(
        errno,
        Some(rustix::io::Errno::AFNOSUPPORT | rustix::io::Errno::ADDRNOTAVAIL)
    )
}

fn listen(address: SocketAddr, backlog: u32) -> std::io::Result<(TcpListener, SocketAddr)> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        // Whatever the system's default is: [::] takes both families.
        rustix::net::sockopt::set_ipv6_v6only(&socket, false)?;
    }
    // A restarted broker takes its port back at once; it does not take one that somebody listens on.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(backlog)?.into_std()?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use callboard_supervision::testing::Limit;

    use super::*;

    #[tokio::test]
    async fn a_port_in_use_is_one_sentence() {
        let _limit = Limit::start();
        let free = ListenAddress {
            host: "127.0.0.1".to_owned(),
            port: 0,
        };
        let (_held, bound) = bind(&free, 5).await.unwrap();
        let taken = ListenAddress {
            port: bound.port(),
            ..free
        };
        let error = bind(&taken, 5).await.unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("cannot listen on 127.0.0.1:{}: ", bound.port())),
            "{error}"
        );
    }

    #[tokio::test]
    async fn an_empty_host_is_every_interface_of_both_families() {
        let _limit = Limit::start();
        let every = ListenAddress::parse(":0").unwrap();
        let (listener, bound) = bind(&every, 5).await.unwrap();
        TcpStream::connect((Ipv4Addr::LOCALHOST, bound.port())).unwrap();
        // Where the machine has IPv6, its loopback answers as well.
        if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
            assert!(bound.is_ipv6());
            TcpStream::connect((Ipv6Addr::LOCALHOST, bound.port())).unwrap();
        }
        // And nobody else takes the port in either.
        let taken = ListenAddress {
            port: bound.port(),
            ..every
        };
        assert!(bind(&taken, 5).await.is_err());
        drop(listener);
    }
}
