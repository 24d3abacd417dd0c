//! Moves bytes and timeouts between sockets and the signalling core. Runs on the signalling thread's `LocalSet`.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};

use super::config::SipConfig;
use super::line::{Intake, Terms, line, serve};
use super::listen::{Bound, BoundSocket};
use super::pipes::{Arrival, CONNECT, Pipes, Transports};
use super::seats::Seat;
use super::stun::{self, Stun};
use super::table::Table;
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
    /// The same with what the system or TLS said of it.
    fn connect_failed_because(&self, now: Instant, request: u64, why: &str) {
        tracing::debug!(request, why, "no connection");
        self.connect_failed(now, request);
    }
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
    open: RefCell<Table>,
    pipes: Pipes,
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
        transports: Transports,
        config: SipConfig,
    ) -> io::Result<Rc<Self>> {
        let mut udp = Vec::new();
        let mut tcp = Vec::new();
        for bound in listeners {
            match (bound.socket, bound.transport) {
                (BoundSocket::Udp(socket), _) => udp.push(Rc::new(UdpListener::new(socket)?)),
                (BoundSocket::Tcp(listener), Transport::Tcp) => {
                    tcp.push(TcpListener::from_std(listener)?);
                }
                (BoundSocket::Tcp(listener), transport) => {
                    transports.pipes.listen(listener, transport);
                }
            }
        }
        let driver = Rc::new(Self {
            signalling,
            udp,
            open: RefCell::default(),
            pipes: transports.pipes,
            config,
        });
        for listener in driver.udp.clone() {
            task::spawn_local("sip-udp", driver.clone().read_udp(listener));
        }
        for listener in tcp {
            task::spawn_local("sip-tcp-accept", driver.clone().accept(listener));
        }
        let arrivals = driver.clone().take_arrivals(transports.arrivals);
        task::spawn_local("sip-pipes", arrivals);
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
                match stun::judge(&bytes, remote) {
                    Stun::Not => {}
                    Stun::Ignore => return,
                    Stun::Answer(answer) => {
                        if let Err(error) = listener.send(local.ip(), remote, &answer) {
                            tracing::debug!(peer = %remote, %error, "STUN was not answered");
                        }
                        return;
                    }
                }
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
        let Some(seat) = self.pipes.seat(remote.ip()) else {
            return;
        };
        if let Err(error) = self.adopt(stream, Some(seat)) {
            tracing::debug!(peer = %remote, %error, "connection was gone before it was served");
        }
    }

    /// Takes a connected TCP stream in; without a seat it is one we opened.
    fn adopt(self: &Rc<Self>, stream: TcpStream, seat: Option<Seat>) -> io::Result<Flow> {
        stream.set_nodelay(true)?;
        let (local, remote) = (stream.local_addr()?, stream.peer_addr()?);
        let flow = self.pipes.flow(Transport::Tcp, local, remote);
        let (line, end) = line(flow);
        self.open.borrow_mut().insert(line);
        let terms = Terms {
            patience: Duration::from_secs(u64::from(self.config.message_seconds)),
            ours: seat.is_none(),
        };
        let (reader, writer) = stream.into_split();
        let intake = Here(self.clone());
        task::spawn_local("sip-tcp", async move {
            serve(reader, writer, end, flow, terms, intake).await;
            drop(seat);
        });
        Ok(flow)
    }

    /// Dispatches what happens to connections on the io runtime.
    async fn take_arrivals(self: Rc<Self>, mut arrivals: mpsc::Receiver<Arrival>) {
        while let Some(arrival) = arrivals.recv().await {
            let now = clock::now();
            match arrival {
                Arrival::Opened { request, line } => {
                    let flow = line.flow;
                    self.open.borrow_mut().insert(line);
                    if let Some(request) = request {
                        self.signalling.connected(now, request, flow);
                    }
                }
                Arrival::Refused { request, why } => {
                    self.signalling.connect_failed_because(now, request, &why);
                }
                Arrival::Message { flow, bytes } => self.signalling.receive(now, flow, bytes),
                Arrival::Malformed { flow, malformed } => self.malformed(flow, malformed),
                Arrival::Closed { flow } => self.closed(flow),
            }
            self.wake();
        }
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
                    request,
                    transport: Transport::Udp | Transport::Tcp,
                    remote,
                    ..
                } => {
                    task::spawn_local("sip-tcp-connect", self.clone().connect(request, remote));
                }
                Transmit::Connect {
                    request,
                    transport,
                    remote,
                    host,
                } => self.pipes.connect(request, transport, remote, host),
                Transmit::Close { flow } => self.open.borrow_mut().close(flow),
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
            self.open.borrow_mut().send(flow, bytes)
        };
        if !sent {
            self.signalling.send_failed(clock::now(), flow);
        }
    }

    async fn connect(self: Rc<Self>, request: u64, remote: SocketAddr) {
        // Always a connection of its own: one that a peer opened from that address says nothing about who listens there.
        let flow = match tokio::time::timeout(CONNECT, TcpStream::connect(remote)).await {
            Ok(Ok(stream)) => self.adopt(stream, None).map_err(|error| error.to_string()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_elapsed) => Err(format!("no answer within {CONNECT:?}")),
        };
        let now = clock::now();
        match flow {
            Ok(flow) => self.signalling.connected(now, request, flow),
            Err(why) => self.signalling.connect_failed_because(now, request, &why),
        }
        self.wake();
    }

    fn malformed(self: &Rc<Self>, flow: Flow, malformed: Malformed) {
        self.signalling.malformed(clock::now(), flow, malformed);
        // The answer goes out before the connection closes.
        self.flush();
    }

    fn closed(&self, flow: Flow) {
        // What was queued for the peer (a last 400) is still written.
        self.open.borrow_mut().close(flow);
        self.signalling.flow_closed(clock::now(), flow);
        self.wake();
    }
}

/// Where a connection on the signalling thread itself tells what it read.
struct Here<S>(Rc<Driver<S>>);

impl<S: Signalling> Intake for Here<S> {
    async fn message(&self, flow: Flow, bytes: Bytes) {
        self.0.signalling.receive(clock::now(), flow, bytes);
        self.0.wake();
    }

    async fn malformed(&self, flow: Flow, malformed: Malformed) {
        self.0.malformed(flow, malformed);
    }

    async fn closed(&self, flow: Flow) {
        self.0.closed(flow);
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
