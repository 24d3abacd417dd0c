//! The caller's sockets: one UDP socket, one TCP listener on the same address, and the connections of either side. TLS
//! and WebSocket are `net`'s.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::host::task;
use crate::net::{Dialled, Dialler, Tls};
use crate::sip::flow::{Flow, Transport};
use crate::sip::ua::Listener;

/// What happened on a socket.
#[derive(Debug)]
pub(super) enum Arrival {
    /// A datagram.
    Datagram(Flow, Bytes),
    /// Bytes of a connection.
    Stream(Flow, Bytes),
    /// The peer closed a connection, or it broke.
    Closed(Flow),
    /// Something about a connection of TLS or WebSocket.
    Dialled(Dialled),
}

/// Everything the caller sends and receives on, besides media.
pub(super) struct Sockets {
    udp: UdpSocket,
    tcp: TcpListener,
    local: SocketAddr,
    connections: BTreeMap<u64, Connection>,
    next_connection: u64,
    arrivals: mpsc::Receiver<Arrival>,
    arrived: mpsc::Sender<Arrival>,
    dialler: Dialler,
}

struct Connection {
    writer: OwnedWriteHalf,
    reader: JoinHandle<Option<()>>,
}

/// How many arrivals may wait; a reader waits while there is no room.
const WAITING: usize = 256;

impl Sockets {
    /// Binds on a free port of `address`; `tls` judges secure peers.
    pub(super) async fn bind(address: IpAddr, tls: Tls) -> io::Result<Self> {
        // A port that is free for UDP may be taken for TCP: try a few.
        let mut last = io::Error::other("no free port");
        for _ in 0..16 {
            let udp = UdpSocket::bind((address, 0)).await?;
            let local = udp.local_addr()?;
            match TcpListener::bind(local).await {
                Ok(tcp) => {
                    let (arrived, arrivals) = mpsc::channel(WAITING);
                    let connections = BTreeMap::new();
                    return Ok(Self {
                        udp,
                        tcp,
                        local,
                        connections,
                        // The dialler counts from 1.
                        next_connection: 1 << 32,
                        arrivals,
                        arrived,
                        dialler: Dialler::new(tls),
                    });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// What the endpoint listens on.
    pub(super) fn listeners(&self) -> Vec<Listener> {
        [Transport::Udp, Transport::Tcp]
            .map(|transport| Listener {
                transport,
                local: self.local,
                advertise: None,
            })
            .to_vec()
    }

    /// Waits for the next arrival. Safe to drop at any point.
    pub(super) async fn next(&mut self) -> io::Result<Arrival> {
        let mut buffer = vec![0; 65_536];
        loop {
            tokio::select! {
                received = self.udp.recv_from(&mut buffer) => {
                    let (length, remote) = received?;
                    buffer.truncate(length);
                    let flow = Flow { transport: Transport::Udp, local: self.local, remote, connection: 0 };
                    return Ok(Arrival::Datagram(flow, buffer.into()));
                }
                Some(arrival) = self.arrivals.recv() => return Ok(arrival),
                dialled = self.dialler.next() => return Ok(Arrival::Dialled(dialled)),
                accepted = self.tcp.accept() => {
                    self.adopt(accepted?.0)?;
                }
            }
        }
    }

    /// Opens a connection.
    pub(super) async fn connect(&mut self, remote: SocketAddr) -> io::Result<Flow> {
        let stream = TcpStream::connect(remote).await?;
        self.adopt(stream)
    }

    /// Opens a connection of TLS or WebSocket; the result is an arrival.
    pub(super) fn dial(&self, request: u64, transport: Transport, remote: SocketAddr, host: &str) {
        self.dialler.connect(request, transport, remote, host);
    }

    /// Sends one message.
    pub(super) async fn send(&mut self, flow: Flow, bytes: Bytes) -> io::Result<()> {
        let gone = || io::Error::from(io::ErrorKind::NotConnected);
        match flow.transport {
            Transport::Udp => self.udp.send_to(&bytes, flow.remote).await.map(drop),
            Transport::Tcp => match self.connections.get_mut(&flow.connection) {
                Some(connection) => connection.writer.write_all(&bytes).await,
                None => Err(gone()),
            },
            Transport::Tls | Transport::Ws | Transport::Wss => self
                .dialler
                .send(flow, bytes)
                .then_some(())
                .ok_or_else(gone),
        }
    }

    /// Closes a connection.
    pub(super) fn close(&mut self, flow: Flow) {
        self.dialler.close(flow);
        if let Some(connection) = self.connections.remove(&flow.connection) {
            connection.reader.abort();
        }
    }

    fn adopt(&mut self, stream: TcpStream) -> io::Result<Flow> {
        stream.set_nodelay(true)?;
        let connection = self.next_connection;
        self.next_connection += 1;
        let flow = Flow {
            transport: Transport::Tcp,
            local: stream.local_addr()?,
            remote: stream.peer_addr()?,
            connection,
        };
        let (mut read, writer) = stream.into_split();
        let arrived = self.arrived.clone();
        let reader = task::spawn("caller-tcp", async move {
            let mut buffer = BytesMut::with_capacity(8192);
            while matches!(read.read_buf(&mut buffer).await, Ok(n) if n > 0) {
                if arrived
                    .send(Arrival::Stream(flow, buffer.split().freeze()))
                    .await
                    .is_err()
                {
                    return;
                }
            }
            // The other end being gone means the call is over already.
            let _gone = arrived.send(Arrival::Closed(flow)).await;
        });
        self.connections
            .insert(connection, Connection { writer, reader });
        Ok(flow)
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        for connection in self.connections.values() {
            connection.reader.abort();
        }
    }
}
