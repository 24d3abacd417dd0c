//! One stream connection: the queue the signalling thread writes into, and the future that moves its bytes, on
//! whichever runtime the connection lives.
//!
//! Framing, deadlines and limits are the same for TCP and TLS (RFC 3261 §18.3, RFC 5626 §3.5.1, `security.md` row 11).

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};

use crate::host::clock;
use crate::sip::flow::Flow;
use crate::sip::wire::{Framed, Limits, Malformed, StreamFramer};

/// Where a connection tells what it read. Waiting here holds the peer back.
pub(super) trait Intake {
    /// One framed message.
    fn message(&self, flow: Flow, bytes: Bytes) -> impl Future<Output = ()>;
    /// The stream cannot be framed any more.
    fn malformed(&self, flow: Flow, malformed: Malformed) -> impl Future<Output = ()>;
    /// Nothing more comes. What is queued for the peer is still written when the peer alone has closed.
    fn closed(&self, flow: Flow) -> impl Future<Output = ()>;
}

/// The signalling thread's end. Dropping it closes the connection once everything queued is written.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) flow: Flow,
    queue: mpsc::Sender<Bytes>,
    queued: Arc<AtomicUsize>,
    cut: oneshot::Sender<()>,
}

/// The connection's end.
#[derive(Debug)]
pub(super) struct LineEnd {
    pub(super) outgoing: mpsc::Receiver<Bytes>,
    pub(super) queued: Arc<AtomicUsize>,
    own: mpsc::WeakSender<Bytes>,
    pub(super) cut: oneshot::Receiver<()>,
}

/// Both ends of a new connection.
pub(super) fn line(flow: Flow) -> (Line, LineEnd) {
    let (queue, outgoing) = mpsc::channel(MESSAGES_QUEUED);
    let queued = Arc::new(AtomicUsize::new(0));
    let (cut, cut_off) = oneshot::channel();
    let end = LineEnd {
        outgoing,
        queued: queued.clone(),
        own: queue.downgrade(),
        cut: cut_off,
    };
    let line = Line {
        flow,
        queue,
        queued,
        cut,
    };
    (line, end)
}

impl Line {
    /// Queues bytes; `false` when the connection is gone or its peer reads too slowly.
    pub(super) fn send(&self, bytes: Bytes) -> bool {
        let size = bytes.len();
        let queued = self.queued.fetch_add(size, Ordering::Relaxed) + size;
        let sent = queued <= BYTES_QUEUED && self.queue.try_send(bytes).is_ok();
        if !sent {
            tracing::debug!(peer = %self.flow.remote, queued, "nothing can be queued for this connection any more");
        }
        sent
    }

    /// Ends the connection at once, whatever is queued.
    pub(super) fn cut(self) {
        if self.cut.send(()).is_err() {
            tracing::debug!(peer = %self.flow.remote, "the connection had ended by itself");
        }
    }
}

/// Ends when the line is cut; never when it is merely closed.
pub(super) async fn cut_off(cut: oneshot::Receiver<()>) {
    if cut.await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// What a byte stream is held to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// For completing a message, and for the first one.
    pub(super) patience: Duration,
    /// Whether we opened it: then we send a CRLF ping when nothing else is sent (RFC 5626 §4.4.1).
    pub(super) ours: bool,
}

/// Moves the bytes of one connection until either side closes it.
pub(super) async fn serve<R, W, I>(
    reader: R,
    writer: W,
    end: LineEnd,
    flow: Flow,
    terms: Terms,
    intake: I,
) where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
    I: Intake,
{
    let LineEnd {
        outgoing,
        queued,
        own,
        cut,
    } = end;
    let mut cut = pin!(cut_off(cut));
    let mut writing = pin!(write(writer, outgoing, &queued, flow, terms));
    let peer_closed = {
        let reading = pin!(read(reader, terms, own, &queued, &intake, flow));
        tokio::select! {
            biased;
            () = &mut cut => false,
            () = reading => true,
            () = &mut writing => false,
        }
    };
    intake.closed(flow).await;
    if peer_closed {
        // The line is closed now: what was queued (a last 400) is written.
        tokio::select! {
            biased;
            () = &mut cut => {}
            () = &mut writing => {}
        }
    }
}

async fn read<R: AsyncRead + Unpin, I: Intake>(
    mut reader: R,
    terms: Terms,
    own: mpsc::WeakSender<Bytes>,
    queued: &AtomicUsize,
    intake: &I,
    flow: Flow,
) {
    let mut framer = StreamFramer::new(Limits::default());
    let mut buffer = vec![0; 16 << 10];
    let first_by = tokio::time::Instant::now() + terms.patience;
    let mut complete_by = (!terms.ours).then_some(first_by);
    loop {
        let limit = complete_by.unwrap_or_else(|| tokio::time::Instant::now() + IDLE);
        let count = match tokio::time::timeout_at(limit, reader.read(&mut buffer)).await {
            Ok(Ok(count)) if count > 0 => count,
            Ok(_) => return,
            Err(_late) => {
                tracing::debug!(peer = %flow.remote, "no complete message in time, connection closed");
                return;
            }
        };
        framer.push(clock::now(), buffer.get(..count).unwrap_or_default());
        for framed in framer.by_ref() {
            match framed {
                Framed::Message(bytes) => intake.message(flow, bytes).await,
                // RFC 5626 §3.5.1: a double CRLF is answered by a single one.
                Framed::Ping => {
                    let pong = Bytes::from_static(b"\r\n");
                    queued.fetch_add(pong.len(), Ordering::Relaxed);
                    if own.upgrade().is_none_or(|own| own.try_send(pong).is_err()) {
                        return;
                    }
                }
                Framed::Pong => {}
                Framed::Fatal { error, readable } => {
                    let malformed = Malformed { error, readable };
                    intake.malformed(flow, malformed).await;
                    return;
                }
            }
        }
        // The deadline is for completing a message, not for the next byte: a slow drip does not extend it.
        complete_by = framer
            .incomplete_since()
            .map(|since| tokio::time::Instant::from_std(since) + terms.patience);
    }
}

async fn write<W: AsyncWrite + Unpin>(
    mut writer: W,
    mut outgoing: mpsc::Receiver<Bytes>,
    queued: &AtomicUsize,
    flow: Flow,
    terms: Terms,
) {
    let quiet = if terms.ours { PING } else { Duration::MAX };
    loop {
        let bytes = match tokio::time::timeout(quiet, outgoing.recv()).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => break,
            Err(_quiet) => {
                queued.fetch_add(4, Ordering::Relaxed);
                Bytes::from_static(b"\r\n\r\n")
            }
        };
        let written = async {
            writer.write_all(&bytes).await?;
            writer.flush().await
        };
        // A peer that takes nothing for so long is as good as gone.
        match tokio::time::timeout(terms.patience, written).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
        queued.fetch_sub(bytes.len(), Ordering::Relaxed);
    }
    match tokio::time::timeout(terms.patience, writer.shutdown()).await {
        Ok(Ok(())) => {}
        Ok(Err(_)) | Err(_) => {
            tracing::debug!(peer = %flow.remote, "connection was gone before it was closed");
        }
    }
}

/// Bytes waiting for a slow reader before its connection is closed.
const BYTES_QUEUED: usize = 1 << 20;
/// Messages waiting for a slow reader before its connection is closed.
const MESSAGES_QUEUED: usize = 1024;
/// How long a connection may stay open without a message, once it has spoken.
const IDLE: Duration = Duration::from_secs(3600);
/// How often a connection of ours that sends nothing else sends a ping: below the 120 s of RFC 5626 §4.4.1.
const PING: Duration = Duration::from_secs(110);
