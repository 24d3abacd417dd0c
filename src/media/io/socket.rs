//! One RTP/RTCP pair of UDP sockets: bound to neighbouring ports, marked, non-blocking.

use std::io;
use std::net::{IpAddr, SocketAddr};

use rustix::fd::{AsFd, OwnedFd};
use rustix::net::{
    AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with, sockopt,
};

/// Both sockets of a port.
#[derive(Debug)]
pub(in crate::media) struct Sockets {
    pub(in crate::media) rtp: OwnedFd,
    pub(in crate::media) rtcp: OwnedFd,
}

impl Sockets {
    /// Binds `port` and `port + 1` of `address`.
    pub(in crate::media) fn bind(address: IpAddr, port: u16, dscp: u8) -> io::Result<Self> {
        let rtcp_port = port.checked_add(1).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self {
            rtp: open(SocketAddr::new(address, port), dscp)?,
            rtcp: open(SocketAddr::new(address, rtcp_port), dscp)?,
        })
    }

    /// Forgets peers and throws away what still waits, so that the next call starts clean.
    pub(in crate::media) fn clear(&self) {
        for socket in [&self.rtp, &self.rtcp] {
            // Not connected is fine too: the outcome is the same.
            rustix::net::connect_unspec(socket).ok();
            for _ in 0..RECEIVE_QUEUE_PACKETS {
                match recv(
                    socket,
                    &mut [0u8; 1],
                    RecvFlags::DONTWAIT | RecvFlags::TRUNC,
                ) {
                    Ok(_) | Err(rustix::io::Errno::CONNREFUSED) => {}
                    Err(_) => break,
                }
            }
        }
    }
}

fn open(address: SocketAddr, dscp: u8) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let socket = socket_with(
        family,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    bind(&socket, &address)?;
    mark(&socket, address.is_ipv6(), dscp);
    // A second of a peer's audio and a flood's worth of nothing more.
    sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER_BYTES)?;
    Ok(socket)
}

/// Sets the DSCP. A machine that does not allow it sends unmarked packets, which is no reason to refuse a call.
fn mark(socket: impl AsFd, v6: bool, dscp: u8) {
    let tos = (dscp & 0x3f) << 2;
    if v6 {
        sockopt::set_ipv6_tclass(socket, u32::from(tos))
    } else {
        sockopt::set_ip_tos(socket, tos)
    }
    .ok();
}

/// What the kernel may hold for one socket (it doubles the number for its own bookkeeping).
const RECEIVE_BUFFER_BYTES: usize = 32 << 10;
/// More small packets than [`RECEIVE_BUFFER_BYTES`] can hold.
const RECEIVE_QUEUE_PACKETS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_is_marked_as_configured() {
        let ours = IpAddr::from([127, 0, 0, 1]);
        for dscp in [46, 0, 34] {
            let sockets = (40_000..60_000)
                .step_by(2)
                .find_map(|port| Sockets::bind(ours, port, dscp).ok());
            let sockets = sockets.expect("no pair of ports is free");
            for socket in [&sockets.rtp, &sockets.rtcp] {
                assert_eq!(sockopt::ip_tos(socket).unwrap(), dscp << 2);
            }
        }
        assert_eq!(crate::media::MediaConfig::default().dscp, 46, "EF");
    }
}
