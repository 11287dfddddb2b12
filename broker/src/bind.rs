//! Binding the broker's sockets before any actor runs, so that an address in use is told by `Broker::start`.

use std::net::{SocketAddr, TcpListener};

use tokio::net::{TcpSocket, lookup_host};

use crate::{BrokerError, ListenAddress};

/// Binds and listens; a name that resolves to several addresses takes the first that works.
pub(crate) async fn bind(
    address: &ListenAddress,
    backlog: u32,
) -> Result<(TcpListener, SocketAddr), BrokerError> {
    let failed = |error: std::io::Error| BrokerError::Listen {
        address: address.clone(),
        reason: error.to_string(),
    };
    let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address");
    for candidate in lookup_host((address.bind_host(), address.port))
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

fn listen(address: SocketAddr, backlog: u32) -> std::io::Result<(TcpListener, SocketAddr)> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A restarted broker takes its port back at once; it does not take one that somebody listens on.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(backlog)?.into_std()?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

#[cfg(test)]
mod tests {
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
}
