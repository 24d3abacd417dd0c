//! Binds the listeners of `[sip] listen` before anything else starts, so that a port in use is an error in words.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use super::config::ListenUrl;
use crate::sip::flow::Transport;

/// A listener that is bound and waits for the signalling thread.
#[derive(Debug)]
pub struct Bound {
    /// What it carries.
    pub transport: Transport,
    /// The bound address, with the port the machine gave when 0 was asked for.
    pub local: SocketAddr,
    pub(super) socket: BoundSocket,
}

#[derive(Debug)]
pub(super) enum BoundSocket {
    Udp(UdpSocket),
    Tcp(TcpListener),
}

/// Why a listener could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else has the port.
    #[error("{url}: {} port {} is in use{}", .url.transport.via_name(), .url.address.port(), holder(.owner))]
    InUse {
        /// The listener.
        url: ListenUrl,
        /// The process that holds it, where it can be seen.
        owner: Option<String>,
    },
    /// Any other refusal of the machine.
    #[error("{url}: cannot be bound")]
    Bind {
        /// The listener.
        url: ListenUrl,
        /// What the machine said.
        #[source]
        source: std::io::Error,
    },
}

fn holder(owner: &Option<String>) -> String {
    owner
        .as_ref()
        .map(|name| format!(" by {name}"))
        .unwrap_or_default()
}

/// Binds one listener. `dscp` marks what it sends.
///
/// # Errors
/// [`ListenError`] names port, transport and, where it can be seen, the process that holds the port.
pub fn bind(url: ListenUrl, dscp: u8) -> Result<Bound, ListenError> {
    bind_socket(url, dscp).map_err(|source| {
        if source.kind() == std::io::ErrorKind::AddrInUse {
            ListenError::InUse {
                url,
                owner: port_owner(url),
            }
        } else {
            ListenError::Bind { url, source }
        }
    })
}

fn bind_socket(url: ListenUrl, dscp: u8) -> std::io::Result<Bound> {
    let domain = Domain::for_address(url.address);
    let datagram = url.transport == Transport::Udp;
    let (kind, protocol) = if datagram {
        (Type::DGRAM, Protocol::UDP)
    } else {
        (Type::STREAM, Protocol::TCP)
    };
    let socket = Socket::new(domain, kind, Some(protocol))?;
    if url.address.is_ipv6() {
        socket.set_only_v6(true)?;
        socket.set_tclass_v6(u32::from(dscp) << 2)?;
    } else {
        socket.set_tos_v4(u32::from(dscp) << 2)?;
    }
    if datagram {
        // A burst of calls must wait in the socket, not be lost. The machine caps this at net.core.rmem_max.
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    } else {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&url.address.into())?;
    socket.set_nonblocking(true)?;
    let local = socket.local_addr()?.as_socket().unwrap_or(url.address);
    let socket = if datagram {
        BoundSocket::Udp(socket.into())
    } else {
        socket.listen(1024)?;
        BoundSocket::Tcp(socket.into())
    };
    Ok(Bound {
        transport: url.transport,
        local,
        socket,
    })
}

/// The process holding the port, read from `/proc`; `None` where it belongs to somebody we may not look at.
fn port_owner(url: ListenUrl) -> Option<String> {
    let table = match (url.transport, url.address.is_ipv4()) {
        (Transport::Udp, true) => "/proc/net/udp",
        (Transport::Udp, false) => "/proc/net/udp6",
        (_, true) => "/proc/net/tcp",
        (_, false) => "/proc/net/tcp6",
    };
    let port = format!(":{:04X}", url.address.port());
    let text = std::fs::read_to_string(table).ok()?;
    let inode = text.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace();
        let local = fields.nth(1)?;
        local
            .ends_with(&port)
            .then(|| fields.nth(7).map(str::to_owned))?
    })?;
    let wanted = format!("socket:[{inode}]");
    for process in std::fs::read_dir("/proc").ok()?.flatten() {
        let Ok(files) = std::fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        let holds = files
            .flatten()
            .any(|fd| std::fs::read_link(fd.path()).is_ok_and(|to| to.to_string_lossy() == wanted));
        if holds {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!(
                "{} (process {})",
                name.trim(),
                process.file_name().to_string_lossy()
            ));
        }
    }
    None
}

/// Bytes of socket buffer for a UDP listener.
const RECEIVE_BUFFER: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signalling_is_marked_as_configured() {
        for url in ["udp://127.0.0.1:0", "tcp://127.0.0.1:0"] {
            for dscp in [24, 0, 46] {
                let bound = bind(url.parse().unwrap(), dscp).unwrap();
                let tos = match &bound.socket {
                    BoundSocket::Udp(socket) => socket2::SockRef::from(socket).tos_v4(),
                    BoundSocket::Tcp(socket) => socket2::SockRef::from(socket).tos_v4(),
                };
                assert_eq!(tos.unwrap(), u32::from(dscp) << 2, "{url}");
            }
        }
        assert_eq!(crate::net::SipConfig::default().dscp, 24, "CS3");
    }

    #[test]
    fn a_port_in_use_is_named_with_its_holder() {
        let first = bind("udp://127.0.0.1:0".parse().unwrap(), 24).unwrap();
        let again = ListenUrl {
            transport: Transport::Udp,
            address: first.local,
        };
        let error = bind(again, 24).unwrap_err().to_string();
        assert!(
            error.contains(&format!("UDP port {} is in use", first.local.port())),
            "{error}"
        );
        assert!(error.contains("process"), "{error}");
    }
}
