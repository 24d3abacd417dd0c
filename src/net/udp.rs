//! SIP over UDP: datagrams in batches, and answers that leave from the very address the request came to.

use std::cell::RefCell;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd as _;

use bytes::Bytes;
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// One UDP listener.
pub(super) struct UdpListener {
    socket: UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
    buffers: RefCell<Vec<Vec<u8>>>,
}

impl UdpListener {
    pub(super) fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        let local = socket.local_addr()?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        allow_fragments(&socket, local)?;
        let buffers = (0..BATCH).map(|_| vec![0; LARGEST]).collect();
        Ok(Self {
            socket: UdpSocket::from_std(socket)?,
            state,
            local,
            buffers: RefCell::new(buffers),
        })
    }

    /// The bound address; its host may be unspecified.
    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Whether this listener sends for `from`.
    pub(super) fn serves(&self, from: SocketAddr) -> bool {
        self.local.port() == from.port()
            && self.local.is_ipv4() == from.is_ipv4()
            && (self.local.ip().is_unspecified() || self.local.ip() == from.ip())
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Hands every waiting datagram, up to one batch, to `take(our address, peer, bytes)`. Returns how many there were.
    pub(super) fn receive(
        &self,
        mut take: impl FnMut(SocketAddr, SocketAddr, Bytes),
    ) -> io::Result<usize> {
        let mut buffers = self.buffers.borrow_mut();
        let mut slices: Vec<IoSliceMut<'_>> =
            buffers.iter_mut().map(|b| IoSliceMut::new(b)).collect();
        let mut metas = [RecvMeta::default(); BATCH];
        let count = self.socket.try_io(Interest::READABLE, || {
            self.state
                .recv(UdpSockRef::from(&self.socket), &mut slices, &mut metas)
        })?;
        drop(slices);
        let mut seen = 0;
        for (buffer, meta) in buffers.iter().zip(&metas).take(count) {
            let ip = meta.dst_ip.unwrap_or(self.local.ip());
            let local = SocketAddr::new(ip, self.local.port());
            let stride = meta.stride.max(1);
            for datagram in buffer.get(..meta.len).unwrap_or_default().chunks(stride) {
                seen += 1;
                take(local, meta.addr, Bytes::copy_from_slice(datagram));
            }
        }
        Ok(seen)
    }

    /// Sends one datagram from `from`. A full socket buffer counts as sent: the transaction's timers repeat it.
    pub(super) fn send(&self, from: IpAddr, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        let transmit = Transmit {
            destination: to,
            ecn: None,
            contents: bytes,
            segment_size: None,
            src_ip: (!from.is_unspecified()).then_some(from),
        };
        match self.socket.try_io(Interest::WRITABLE, || {
            self.state
                .try_send(UdpSockRef::from(&self.socket), &transmit)
        }) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                metrics::counter!("swivel_sip_udp_send_full_total").increment(1);
                Ok(())
            }
            other => other,
        }
    }
}

/// The batch library forbids fragments, as QUIC wants; a SIP message may be larger than the path's MTU.
#[expect(
    unsafe_code,
    reason = "neither std nor a safe wrapper sets IP_MTU_DISCOVER"
)]
fn allow_fragments(socket: &std::net::UdpSocket, local: SocketAddr) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;
    let (level, option, value) = if local.is_ipv4() {
        (
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            libc::IP_PMTUDISC_DONT,
        )
    } else {
        (
            libc::IPPROTO_IPV6,
            libc::IPV6_MTU_DISCOVER,
            libc::IPV6_PMTUDISC_DONT,
        )
    };
    let size = libc::socklen_t::try_from(size_of_val(&value)).unwrap_or(4);
    // SAFETY: the descriptor is open for the length of the call, and `value` is an int of `size` bytes that outlives it.
    let status = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(&value).cast(),
            size,
        )
    };
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Datagrams taken by one system call.
const BATCH: usize = quinn_udp::BATCH_SIZE;
/// Largest datagram (RFC 3261 §18.1.1).
const LARGEST: usize = 65_535;
