//! Moves bytes and timeouts between sockets and the signalling core. Runs on the signalling thread's `LocalSet`.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::config::SipConfig;
use super::listen::{Bound, BoundSocket};
use super::tcp::{Connections, Table};
use super::udp::UdpListener;
use crate::host::{clock, task};
use crate::sip::flow::{Flow, Transport};
use crate::sip::ua::Transmit;
use crate::sip::wire::Malformed;

/// What the driver drives: the SIP endpoint together with the calls behind it.
pub trait Signalling: 'static {
    /// One datagram, or one framed message of a stream.
    fn receive(&self, now: Instant, flow: Flow, bytes: Bytes);
    /// A stream carried something that cannot be framed; the connection closes after the answer.
    fn malformed(&self, now: Instant, flow: Flow, malformed: Malformed);
    /// The connection asked for by `Transmit::Connect` is open.
    fn connected(&self, now: Instant, request: u64, flow: Flow);
    /// It could not be opened.
    fn connect_failed(&self, now: Instant, request: u64);
    /// A stream connection has closed.
    fn flow_closed(&self, now: Instant, flow: Flow);
    /// The machine refused to send on that flow.
    fn send_failed(&self, now: Instant, flow: Flow);
    /// The time of `poll_timeout` has come.
    fn timeout(&self, now: Instant);
    /// When `timeout` wants to be called.
    fn poll_timeout(&self) -> Option<Instant>;
    /// The next thing to send.
    fn poll_transmit(&self) -> Option<Transmit>;
    /// How late the thread was for its last timer; the measure of overload.
    fn lag(&self, late: Duration);
    /// Notified when something was queued outside the calls above.
    fn changed(&self) -> &Notify;
}

/// The sockets of the signalling thread.
pub struct Driver<S> {
    signalling: Rc<S>,
    udp: Vec<Rc<UdpListener>>,
    tcp: RefCell<Table>,
    config: SipConfig,
}

impl<S: Signalling> Driver<S> {
    /// Takes the bound listeners over and starts reading. Must be called inside a `LocalSet`.
    ///
    /// # Errors
    /// When a socket cannot be handed to the runtime.
    pub fn start(
        signalling: Rc<S>,
        listeners: Vec<Bound>,
        config: SipConfig,
    ) -> io::Result<Rc<Self>> {
        let mut udp = Vec::new();
        let mut tcp = Vec::new();
        for bound in listeners {
            match bound.socket {
                BoundSocket::Udp(socket) => udp.push(Rc::new(UdpListener::new(socket)?)),
                BoundSocket::Tcp(listener) => tcp.push(TcpListener::from_std(listener)?),
            }
        }
        let driver = Rc::new(Self {
            signalling,
            udp,
            tcp: RefCell::default(),
            config,
        });
        for listener in driver.udp.clone() {
            task::spawn_local("sip-udp", driver.clone().read_udp(listener));
        }
        for listener in tcp {
            task::spawn_local("sip-tcp-accept", driver.clone().accept(listener));
        }
        Ok(driver)
    }

    /// Serves timers and everything that scripts send, until dropped.
    pub async fn run(self: Rc<Self>) {
        loop {
            let deadline = self.signalling.poll_timeout();
            tokio::select! {
                biased;
                () = self.signalling.changed().notified() => {}
                () = sleep_until(deadline) => {
                    let now = clock::now();
                    if let Some(deadline) = deadline {
                        self.signalling.lag(now.saturating_duration_since(deadline));
                    }
                    self.signalling.timeout(now);
                }
            }
            self.flush();
        }
    }

    async fn read_udp(self: Rc<Self>, listener: Rc<UdpListener>) {
        loop {
            if let Err(error) = listener.readable().await {
                tracing::error!(local = %listener.local(), %error, "a SIP socket failed");
                return;
            }
            let result = listener.receive(|local, remote, bytes| {
                let flow = Flow {
                    transport: Transport::Udp,
                    local,
                    remote,
                    connection: 0,
                };
                self.signalling.receive(clock::now(), flow, bytes);
            });
            match result {
                Ok(_) => {
                    self.wake();
                    // Calls, timers and connections get their turn between two batches of a flood.
                    tokio::task::yield_now().await;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // ICMP errors of earlier sends arrive here; RFC 3261 §18.4 leaves them to the timers.
                Err(error) => tracing::debug!(local = %listener.local(), %error, "receive failed"),
            }
        }
    }

    async fn accept(self: Rc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, remote)) => self.admit(stream, remote),
                Err(error) => {
                    // Out of descriptors: wait for some to come back instead of spinning.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn admit(self: &Rc<Self>, stream: TcpStream, remote: SocketAddr) {
        let (total, from_source) = self.tcp.borrow().count(remote.ip());
        if total >= self.config.max_connections
            || from_source >= self.config.max_connections_per_source
        {
            metrics::counter!("swivel_sip_tcp_refused_total").increment(1);
            tracing::debug!(peer = %remote, total, from_source, "too many connections");
            return;
        }
        if let Err(error) = self.adopt(stream) {
            tracing::debug!(peer = %remote, %error, "connection was gone before it was served");
        }
    }

    fn adopt(self: &Rc<Self>, stream: TcpStream) -> io::Result<Flow> {
        let deadline = Duration::from_secs(u64::from(self.config.message_seconds));
        self.tcp.borrow_mut().adopt(stream, deadline, self.clone())
    }

    fn wake(&self) {
        self.signalling.changed().notify_one();
    }

    /// Sends everything that waits.
    fn flush(self: &Rc<Self>) {
        while let Some(transmit) = self.signalling.poll_transmit() {
            match transmit {
                Transmit::Send { flow, bytes } => self.send(flow, bytes),
                Transmit::Connect {
                    request, remote, ..
                } => {
                    task::spawn_local("sip-tcp-connect", self.clone().connect(request, remote));
                }
                Transmit::Close { flow } => self.tcp.borrow_mut().close(flow),
            }
        }
    }

    fn send(&self, flow: Flow, bytes: Bytes) {
        let sent = if flow.transport == Transport::Udp {
            match self.udp.iter().find(|l| l.serves(flow.local)) {
                Some(listener) => listener
                    .send(flow.local.ip(), flow.remote, &bytes)
                    .inspect_err(|error| {
                        tracing::debug!(peer = %flow.remote, %error, "send failed");
                    })
                    .is_ok(),
                None => false,
            }
        } else {
            self.tcp.borrow_mut().send(flow, bytes)
        };
        if !sent {
            self.signalling.send_failed(clock::now(), flow);
        }
    }

    async fn connect(self: Rc<Self>, request: u64, remote: SocketAddr) {
        let known = self.tcp.borrow().to(remote);
        let flow = match known {
            Some(flow) => Some(flow),
            None => match tokio::time::timeout(CONNECT, TcpStream::connect(remote)).await {
                Ok(Ok(stream)) => self.adopt(stream).ok(),
                Ok(Err(_)) | Err(_) => None,
            },
        };
        match flow {
            Some(flow) => self.signalling.connected(clock::now(), request, flow),
            None => self.signalling.connect_failed(clock::now(), request),
        }
        self.wake();
    }
}

impl<S: Signalling> Connections for Driver<S> {
    fn message(&self, flow: Flow, bytes: Bytes) {
        self.signalling.receive(clock::now(), flow, bytes);
        self.wake();
    }

    fn malformed(self: Rc<Self>, flow: Flow, malformed: Malformed) {
        self.signalling.malformed(clock::now(), flow, malformed);
        // The answer goes out before the connection closes.
        self.flush();
    }

    fn closed(&self, flow: Flow) {
        // What was queued for the peer (a last 400) is still written.
        self.tcp.borrow_mut().close(flow);
        self.signalling.flow_closed(clock::now(), flow);
        self.wake();
    }
}

/// The address this machine uses to reach `peer`, as the routing table says; `None` without a route.
pub fn route_to(peer: std::net::IpAddr) -> Option<std::net::IpAddr> {
    let any: SocketAddr = if peer.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        ([0u16; 8], 0).into()
    };
    let socket = std::net::UdpSocket::bind(any).ok()?;
    socket.connect((peer, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// How long opening a connection may take.
const CONNECT: Duration = Duration::from_secs(4);
