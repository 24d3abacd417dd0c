//! SIP over TCP: one reader and one writer a connection, framing, deadlines, and a write queue with a limit.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use crate::host::{clock, task};
use crate::sip::flow::{Flow, Transport};
use crate::sip::wire::{Framed, Limits, Malformed, StreamFramer};

/// What a connection tells its driver.
pub(super) trait Connections {
    fn message(&self, flow: Flow, bytes: Bytes);
    fn malformed(self: Rc<Self>, flow: Flow, malformed: Malformed);
    fn closed(&self, flow: Flow);
}

/// The open connections.
#[derive(Default)]
pub(super) struct Table {
    open: BTreeMap<u64, Connection>,
    last: u64,
}

struct Connection {
    flow: Flow,
    queue: mpsc::Sender<Bytes>,
    queued: Rc<Cell<usize>>,
    tasks: [tokio::task::AbortHandle; 2],
}

impl Table {
    /// How many connections there are, in all and from `source`.
    pub(super) fn count(&self, source: IpAddr) -> (usize, usize) {
        let same = self
            .open
            .values()
            .filter(|c| c.flow.remote.ip() == source)
            .count();
        (self.open.len(), same)
    }

    /// Takes a connected stream in: starts its reader and its writer.
    pub(super) fn adopt<C: Connections + 'static>(
        &mut self,
        stream: TcpStream,
        deadline: Duration,
        events: Rc<C>,
    ) -> std::io::Result<Flow> {
        self.last += 1;
        stream.set_nodelay(true)?;
        let flow = Flow {
            transport: Transport::Tcp,
            local: stream.local_addr()?,
            remote: stream.peer_addr()?,
            connection: self.last,
        };
        let (reader, writer) = stream.into_split();
        let (queue, outgoing) = mpsc::channel(MESSAGES_QUEUED);
        let queued = Rc::new(Cell::new(0));
        let write = task::spawn_local(
            "sip-tcp-write",
            write(writer, outgoing, queued.clone(), events.clone(), flow),
        );
        let read = task::spawn_local(
            "sip-tcp-read",
            read(
                reader,
                deadline,
                queue.clone(),
                queued.clone(),
                events,
                flow,
            ),
        );
        let tasks = [write.abort_handle(), read.abort_handle()];
        self.open.insert(
            flow.connection,
            Connection {
                flow,
                queue,
                queued,
                tasks,
            },
        );
        Ok(flow)
    }

    /// Queues bytes for a connection; `false` when it is gone or its queue is full, and then it is closed.
    pub(super) fn send(&mut self, flow: Flow, bytes: Bytes) -> bool {
        let Some(connection) = self.open.get(&flow.connection) else {
            return false;
        };
        let size = connection.queued.get() + bytes.len();
        if size <= BYTES_QUEUED && connection.queue.try_send(bytes).is_ok() {
            connection.queued.set(size);
            return true;
        }
        tracing::debug!(peer = %flow.remote, queued = size, "write queue full, connection closed");
        metrics::counter!("swivel_sip_tcp_queue_full_total").increment(1);
        self.drop_now(flow);
        false
    }

    /// Closes a connection once what is queued has been written.
    pub(super) fn close(&mut self, flow: Flow) {
        if let Some(connection) = self.open.remove(&flow.connection) {
            // The writer ends when its queue's senders are gone; the reader holds one, so it goes first.
            connection.tasks[1].abort();
        }
    }

    /// Forgets a connection that has closed by itself.
    pub(super) fn drop_now(&mut self, flow: Flow) {
        if let Some(connection) = self.open.remove(&flow.connection) {
            connection
                .tasks
                .iter()
                .for_each(tokio::task::AbortHandle::abort);
        }
    }

    /// An open connection to that peer, for requests of ours.
    pub(super) fn to(&self, remote: SocketAddr) -> Option<Flow> {
        self.open
            .values()
            .find(|c| c.flow.remote == remote)
            .map(|c| c.flow)
    }
}

async fn read<C: Connections>(
    mut reader: OwnedReadHalf,
    deadline: Duration,
    queue: mpsc::Sender<Bytes>,
    queued: Rc<Cell<usize>>,
    events: Rc<C>,
    flow: Flow,
) {
    let mut framer = StreamFramer::new(Limits::default());
    let mut buffer = vec![0; 16 << 10];
    let mut complete_by = Some(tokio::time::Instant::now() + deadline);
    loop {
        let limit = complete_by.unwrap_or_else(|| tokio::time::Instant::now() + IDLE);
        let count = match tokio::time::timeout_at(limit, reader.read(&mut buffer)).await {
            Ok(Ok(count)) if count > 0 => count,
            Ok(_) => break,
            Err(_late) => {
                tracing::debug!(peer = %flow.remote, "no complete message in time, connection closed");
                break;
            }
        };
        framer.push(clock::now(), buffer.get(..count).unwrap_or_default());
        let mut fatal = false;
        for framed in framer.by_ref() {
            match framed {
                Framed::Message(bytes) => events.message(flow, bytes),
                // RFC 5626 §3.5.1: a double CRLF is answered by a single one.
                Framed::Ping => {
                    queued.set(queued.get() + 2);
                    if queue.try_send(Bytes::from_static(b"\r\n")).is_err() {
                        fatal = true;
                    }
                }
                Framed::Pong => {}
                Framed::Fatal { error, readable } => {
                    events
                        .clone()
                        .malformed(flow, Malformed { error, readable });
                    fatal = true;
                }
            }
        }
        if fatal {
            break;
        }
        // The deadline is for completing a message, not for the next byte: a slow drip does not extend it.
        complete_by = framer
            .incomplete_since()
            .map(|since| tokio::time::Instant::from_std(since) + deadline);
    }
    events.closed(flow);
}

async fn write<C: Connections>(
    mut writer: OwnedWriteHalf,
    mut outgoing: mpsc::Receiver<Bytes>,
    queued: Rc<Cell<usize>>,
    events: Rc<C>,
    flow: Flow,
) {
    while let Some(bytes) = outgoing.recv().await {
        if writer.write_all(&bytes).await.is_err() {
            events.closed(flow);
            return;
        }
        queued.set(queued.get().saturating_sub(bytes.len()));
    }
    if let Err(error) = writer.shutdown().await {
        tracing::debug!(peer = %flow.remote, %error, "connection was gone before it was closed");
    }
}

/// Bytes waiting for a slow reader before its connection is closed.
const BYTES_QUEUED: usize = 1 << 20;
/// Messages waiting for a slow reader before its connection is closed.
const MESSAGES_QUEUED: usize = 1024;
/// How long a connection may stay open without a message, once it has spoken.
const IDLE: Duration = Duration::from_secs(3600);
