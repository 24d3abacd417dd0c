//! Connections that live on the io runtime: TLS and WebSocket, in both directions.
//!
//! A TLS handshake costs about a millisecond of signing and verifying, so done on the signalling thread a crowd of phones
//! that come back at once would hold up every call. Framing and encryption therefore stay on the io runtime together with
//! the handshake; what reaches the signalling thread through one bounded queue are whole messages. That costs each
//! message one hop between threads, tens of microseconds, which UDP and TCP do not pay: they stay where the calls are.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::config::SipConfig;
use super::line::{Intake, Line, Terms, line, serve};
use super::seats::{Seat, Seats};
use super::tls::{Tls, TlsError};
use super::ws::{self, Frames};
use crate::host::task;
use crate::sip::flow::{Flow, Transport};
use crate::sip::wire::Malformed;

/// Something that happened to a connection on the io runtime.
#[derive(Debug)]
pub(super) enum Arrival {
    /// A connection is up; `request` names the attempt when we opened it.
    Opened { request: Option<u64>, line: Line },
    /// The connection asked for cannot be had.
    Refused { request: u64, why: String },
    /// One message.
    Message { flow: Flow, bytes: Bytes },
    /// A stream that cannot be framed any more.
    Malformed { flow: Flow, malformed: Malformed },
    /// Nothing more comes.
    Closed { flow: Flow },
}

/// What every stream connection shares. A clone is another handle.
#[derive(Clone)]
pub(super) struct Pipes(Arc<Inner>);

struct Inner {
    io: Handle,
    seats: Seats,
    last: AtomicU64,
    arrivals: mpsc::Sender<Arrival>,
    tls: Tls,
    patience: Duration,
    origins: Vec<String>,
    own_name: String,
}

/// The stream transports of one server, made on the io runtime before the signalling thread starts.
pub struct Transports {
    pub(super) pipes: Pipes,
    pub(super) arrivals: mpsc::Receiver<Arrival>,
    /// Where WebSockets come in besides the listeners of `[sip]`.
    pub(super) web: Option<SocketAddr>,
}

/// Takes SIP over WebSocket from the HTTP server. A clone is another handle.
#[derive(Clone)]
pub struct WebSockets {
    pipes: Pipes,
    local: SocketAddr,
}

impl Transports {
    /// Transports whose TLS and WebSocket connections run on `io`.
    pub fn new(io: Handle, sip: &SipConfig, tls: Tls) -> Self {
        let (sender, arrivals) = mpsc::channel(WAITING);
        let pipes = Pipes(Arc::new(Inner {
            io,
            seats: Seats::new(sip.max_connections, sip.max_connections_per_source),
            last: AtomicU64::new(0),
            arrivals: sender,
            tls,
            patience: Duration::from_secs(u64::from(sip.message_seconds)),
            origins: sip.origins.clone(),
            own_name: sip.advertise.clone(),
        }));
        Self {
            pipes,
            arrivals,
            web: None,
        }
    }

    /// Lets the HTTP server that listens on `local` hand WebSockets in.
    pub fn web_sockets(&mut self, local: SocketAddr) -> WebSockets {
        self.web = Some(local);
        WebSockets {
            pipes: self.pipes.clone(),
            local,
        }
    }

    /// The address of the HTTP server that hands WebSockets in.
    pub fn web(&self) -> Option<SocketAddr> {
        self.web
    }
}

impl WebSockets {
    /// Whether a page of `origin`, which asked for `host`, may connect.
    pub fn admits(&self, origin: Option<&str>, host: Option<&str>) -> bool {
        self.pipes.admits(origin, host)
    }

    /// A seat for a connection from `source`; `None` when there is none left.
    pub fn seat(&self, source: IpAddr) -> Option<Seat> {
        self.pipes.seat(source)
    }

    /// Carries SIP over `frames` until either side closes. `remote` is the peer, `secure` whether it came by TLS.
    pub async fn carry<F: Frames>(self, seat: Seat, remote: SocketAddr, secure: bool, frames: F) {
        let transport = if secure {
            Transport::Wss
        } else {
            Transport::Ws
        };
        let flow = self.pipes.flow(transport, self.local, remote);
        self.pipes.carry_frames(None, flow, frames).await;
        drop(seat);
    }
}

/// A connected byte stream, whatever carries it.
pub(super) trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket for S {}

/// Why a connection did not come up.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("WebSocket handshake: {0}")]
    WebSocket(#[from] ws::HandshakeError),
    #[error("not done in time")]
    Late,
}

impl Pipes {
    /// The number of a new connection.
    pub(super) fn flow(&self, transport: Transport, local: SocketAddr, remote: SocketAddr) -> Flow {
        Flow {
            transport,
            local,
            remote,
            connection: self.0.last.fetch_add(1, Ordering::Relaxed) + 1,
        }
    }

    pub(super) fn seat(&self, source: IpAddr) -> Option<Seat> {
        self.0.seats.take(source)
    }

    fn admits(&self, origin: Option<&str>, host: Option<&str>) -> bool {
        ws::origin_admitted(&self.0.origins, &self.0.own_name, origin, host)
    }

    /// Serves a listener of TLS or WebSocket until the io runtime ends.
    pub(super) fn listen(&self, listener: std::net::TcpListener, transport: Transport) {
        let pipes = self.clone();
        task::spawn_on(&self.0.io, "sip-accept", async move {
            match TcpListener::from_std(listener) {
                Ok(listener) => pipes.accept(listener, transport).await,
                Err(error) => tracing::error!(%error, "a SIP listener cannot be served"),
            }
        });
    }

    async fn accept(self, listener: TcpListener, transport: Transport) {
        loop {
            match listener.accept().await {
                Ok((stream, remote)) => {
                    if let Some(seat) = self.seat(remote.ip()) {
                        let greeting = self.clone().greet(stream, remote, transport, seat);
                        task::spawn("sip-connection", greeting);
                    }
                }
                Err(error) => {
                    // Out of descriptors: wait for some to come back instead of spinning.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
            if self.0.arrivals.is_closed() {
                return;
            }
        }
    }

    /// One accepted connection, from its handshake to its end.
    async fn greet(self, stream: TcpStream, remote: SocketAddr, transport: Transport, seat: Seat) {
        let opened = async {
            stream.set_nodelay(true)?;
            let local = stream.local_addr()?;
            let socket: Box<dyn Socket> = if transport.is_secure() {
                Box::new(self.0.tls.accept(stream).await?)
            } else {
                Box::new(stream)
            };
            Ok::<_, OpenError>((self.flow(transport, local, remote), socket))
        };
        let deadline = tokio::time::Instant::now() + HANDSHAKE;
        let opened = match tokio::time::timeout_at(deadline, opened).await {
            Ok(Ok((flow, socket))) if transport.is_web_socket() => {
                let admits = |origin: Option<&str>, host: Option<&str>| self.admits(origin, host);
                match tokio::time::timeout_at(deadline, ws::accept(socket, admits)).await {
                    Ok(Ok(frames)) => {
                        self.carry_frames(None, flow, frames).await;
                        Ok(())
                    }
                    Ok(Err(error)) => Err(error.into()),
                    Err(_) => Err(OpenError::Late),
                }
            }
            Ok(Ok((flow, socket))) => {
                self.carry_stream(None, flow, socket).await;
                Ok(())
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(OpenError::Late),
        };
        if let Err(error) = opened {
            metrics::counter!("swivel_sip_handshakes_failed_total", "transport" => transport.uri_name())
                .increment(1);
            tracing::debug!(peer = %remote, transport = transport.uri_name(), %error, "handshake failed");
        }
        drop(seat);
    }

    /// Opens a connection for the endpoint. `host` is the host of the next hop's URI, which the peer must prove to be
    /// (RFC 5922 §7).
    pub(super) fn connect(
        &self,
        request: u64,
        transport: Transport,
        remote: SocketAddr,
        host: Box<str>,
    ) {
        let pipes = self.clone();
        task::spawn_on(&self.0.io, "sip-connect", async move {
            let opened = open(&pipes.0.tls, transport, remote, &host).await;
            let carried = match opened {
                Ok((local, Opened::Stream(socket))) => {
                    let flow = pipes.flow(transport, local, remote);
                    pipes.carry_stream(Some(request), flow, socket).await;
                    Ok(())
                }
                Ok((local, Opened::Frames(frames))) => {
                    let flow = pipes.flow(transport, local, remote);
                    pipes.carry_frames(Some(request), flow, *frames).await;
                    Ok(())
                }
                Err(error) => Err(error),
            };
            if let Err(error) = carried {
                // An operator looks for the reason of a trunk that does not come up: wrong name, unknown authority.
                tracing::info!(peer = %remote, host = &*host, transport = transport.uri_name(), %error, "cannot connect");
                let why = error.to_string();
                pipes.tell(Arrival::Refused { request, why }).await;
            }
        });
    }

    async fn carry_stream(&self, request: Option<u64>, flow: Flow, socket: Box<dyn Socket>) {
        let (line, end) = line(flow);
        let (reader, writer) = tokio::io::split(socket);
        let terms = Terms {
            patience: self.0.patience,
            ours: request.is_some(),
        };
        self.tell(Arrival::Opened { request, line }).await;
        serve(reader, writer, end, flow, terms, self.clone()).await;
    }

    async fn carry_frames<F: Frames>(&self, request: Option<u64>, flow: Flow, frames: F) {
        let (line, end) = line(flow);
        self.tell(Arrival::Opened { request, line }).await;
        ws::converse(frames, end, flow, self.0.patience, self.clone()).await;
    }

    /// Waits while the signalling thread is behind, which holds the peers back.
    async fn tell(&self, arrival: Arrival) {
        if self.0.arrivals.send(arrival).await.is_err() {
            tracing::debug!("the signalling thread has ended");
        }
    }
}

impl Intake for Pipes {
    async fn message(&self, flow: Flow, bytes: Bytes) {
        self.tell(Arrival::Message { flow, bytes }).await;
    }

    async fn malformed(&self, flow: Flow, malformed: Malformed) {
        self.tell(Arrival::Malformed { flow, malformed }).await;
    }

    async fn closed(&self, flow: Flow) {
        self.tell(Arrival::Closed { flow }).await;
    }
}

/// A connection of ours whose handshakes are done.
pub(super) enum Opened {
    Stream(Box<dyn Socket>),
    Frames(Box<ws::Socket>),
}

/// Connects to `remote`, which must prove to be `host`.
pub(super) async fn open(
    tls: &Tls,
    transport: Transport,
    remote: SocketAddr,
    host: &str,
) -> Result<(SocketAddr, Opened), OpenError> {
    let connecting = tokio::time::timeout(CONNECT, TcpStream::connect(remote));
    let stream = connecting.await.map_err(|_| OpenError::Late)??;
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?;
    let handshakes = async {
        let socket: Box<dyn Socket> = if transport.is_secure() {
            Box::new(tls.connect(host, stream).await?)
        } else {
            Box::new(stream)
        };
        if transport.is_web_socket() {
            let frames = ws::connect(socket, host, remote.port(), transport.is_secure()).await?;
            return Ok(Opened::Frames(Box::new(frames)));
        }
        Ok::<_, OpenError>(Opened::Stream(socket))
    };
    let opened = tokio::time::timeout(HANDSHAKE, handshakes).await;
    Ok((local, opened.map_err(|_| OpenError::Late)??))
}

/// How long opening a TCP connection may take.
pub(super) const CONNECT: Duration = Duration::from_secs(4);
/// How long the handshakes of TLS and WebSocket may take together.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Arrivals that may wait for the signalling thread.
const WAITING: usize = 1024;
