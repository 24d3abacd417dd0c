//! SIP over WebSocket (RFC 7118): the handshake with subprotocol and Origin, one message a frame, pings.

use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};

use super::line::{Intake, LineEnd, cut_off};
use super::pipes;
use crate::sip::flow::Flow;

/// The subprotocol both sides must speak (RFC 7118 §4.1).
pub const SUBPROTOCOL: &str = "sip";
/// The largest message, in bytes.
pub const MAX_MESSAGE: usize = 64 << 10;
/// The path of SIP on the HTTP port, and the one we ask for as a client.
pub const PATH: &str = "/sip";

/// What a WebSocket carries, as far as SIP cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A text or binary message.
    Message(Bytes),
    /// A ping; the library answers those of the peer.
    Ping,
    /// The answer to a ping.
    Pong,
}

/// A WebSocket after its handshake; this crate's own, or one of the HTTP server.
pub trait Frames: Send + 'static {
    /// The next frame; `None` when the peer has closed or broken the protocol. Safe to drop at any point.
    fn next(&mut self) -> impl Future<Output = Option<Frame>> + Send;
    /// Sends a frame; `false` when the connection is gone.
    fn send(&mut self, frame: Frame) -> impl Future<Output = bool> + Send;
    /// Says goodbye.
    fn close(&mut self) -> impl Future<Output = ()> + Send;
}

/// A WebSocket of a SIP listener, or one we opened.
pub(super) struct Socket(WebSocketStream<Box<dyn pipes::Socket>>);

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct HandshakeError(Box<tungstenite::Error>);

impl From<tungstenite::Error> for HandshakeError {
    fn from(error: tungstenite::Error) -> Self {
        Self(Box::new(error))
    }
}

/// Whether a page of `origin` that asked for `host` may connect. Programs that are no browsers send no Origin.
///
/// A page served under an address or `localhost` may connect to where it came from, and so may one under our own name.
/// Under another name only when `list` has it: names can be made to point anywhere (DNS rebinding).
pub(super) fn origin_admitted(
    list: &[String],
    own_name: &str,
    origin: Option<&str>,
    host: Option<&str>,
) -> bool {
    let Some(origin) = origin else { return true };
    if list
        .iter()
        .any(|one| one == "*" || one.eq_ignore_ascii_case(origin))
    {
        return true;
    }
    let Some((_, authority)) = origin.split_once("://") else {
        return false;
    };
    let name = host_of(authority);
    let fixed = name.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || (!own_name.is_empty() && name.eq_ignore_ascii_case(host_of(own_name)));
    fixed && host.is_some_and(|host| host.eq_ignore_ascii_case(authority))
}

/// The host of `host`, `host:port` or `[v6]:port`.
fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    authority.split(':').next().unwrap_or(authority)
}

/// Whether the peer offers our subprotocol.
fn speaks_sip(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|name| name.trim().eq_ignore_ascii_case(SUBPROTOCOL))
}

fn limits() -> WebSocketConfig {
    let mut config = WebSocketConfig::default();
    config.read_buffer_size = 4 << 10;
    config.max_message_size = Some(MAX_MESSAGE);
    config.max_frame_size = Some(MAX_MESSAGE);
    config
}

/// The server's side of the handshake.
pub(super) async fn accept(
    socket: Box<dyn pipes::Socket>,
    admits: impl Fn(Option<&str>, Option<&str>) -> bool + Unpin,
) -> Result<Socket, HandshakeError> {
    #[allow(
        clippy::result_large_err,
        reason = "the library's own signature of this callback"
    )]
    let judge = |request: &Request, mut response: Response| {
        let text = |name| {
            let value: Option<&HeaderValue> = request.headers().get(name);
            value.map(|value| value.to_str().unwrap_or("?"))
        };
        if !admits(text(header::ORIGIN), text(header::HOST)) {
            return Err(refusal(
                StatusCode::FORBIDDEN,
                "this origin is not in sip.origins",
            ));
        }
        if !speaks_sip(request.headers()) {
            return Err(refusal(
                StatusCode::BAD_REQUEST,
                "the subprotocol must be sip",
            ));
        }
        response.headers_mut().insert(
            header::SEC_WEBSOCKET_PROTOCOL,
            HeaderValue::from_static(SUBPROTOCOL),
        );
        Ok(response)
    };
    let accepted =
        tokio_tungstenite::accept_hdr_async_with_config(socket, judge, Some(limits())).await;
    Ok(Socket(accepted?))
}

fn refusal(status: StatusCode, why: &str) -> ErrorResponse {
    let mut response = ErrorResponse::new(Some(why.to_owned()));
    *response.status_mut() = status;
    response
}

/// The client's side.
pub(super) async fn connect(
    socket: Box<dyn pipes::Socket>,
    host: &str,
    port: u16,
    secure: bool,
) -> Result<Socket, HandshakeError> {
    let scheme = if secure { "wss" } else { "ws" };
    let host = if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    let mut request = format!("{scheme}://{host}:{port}{PATH}").into_client_request()?;
    request.headers_mut().insert(
        header::SEC_WEBSOCKET_PROTOCOL,
        HeaderValue::from_static(SUBPROTOCOL),
    );
    let (socket, _) =
        tokio_tungstenite::client_async_with_config(request, socket, Some(limits())).await?;
    Ok(Socket(socket))
}

impl Frames for Socket {
    async fn next(&mut self) -> Option<Frame> {
        loop {
            match self.0.next().await? {
                Ok(Message::Text(text)) => return Some(Frame::Message(text.into())),
                Ok(Message::Binary(bytes)) => return Some(Frame::Message(bytes)),
                Ok(Message::Ping(_)) => return Some(Frame::Ping),
                Ok(Message::Pong(_)) => return Some(Frame::Pong),
                Ok(Message::Frame(_)) => {}
                Ok(Message::Close(_)) | Err(_) => return None,
            }
        }
    }

    async fn send(&mut self, frame: Frame) -> bool {
        let message = match frame {
            // Text where it is text (RFC 7118 §5.1).
            Frame::Message(bytes) => match Utf8Bytes::try_from(bytes.clone()) {
                Ok(text) => Message::Text(text),
                Err(_) => Message::Binary(bytes),
            },
            Frame::Ping => Message::Ping(Bytes::new()),
            Frame::Pong => Message::Pong(Bytes::new()),
        };
        futures_util::SinkExt::send(&mut self.0, message)
            .await
            .is_ok()
    }

    async fn close(&mut self) {
        if let Err(error) = self.0.close(None).await {
            tracing::debug!(%error, "a WebSocket was gone before it was closed");
        }
    }
}

/// Carries one connection until either side closes it.
pub(super) async fn converse<F: Frames, I: Intake>(
    mut frames: F,
    end: LineEnd,
    flow: Flow,
    patience: Duration,
    intake: I,
) {
    let LineEnd {
        mut outgoing,
        queued,
        cut,
        ..
    } = end;
    let mut cut = pin!(cut_off(cut));
    let mut spoken = false;
    let first_by = tokio::time::Instant::now() + patience;
    let mut ping_at = tokio::time::Instant::now() + PING;
    let mut waiting = false;
    let by_us = loop {
        let wake = if spoken {
            ping_at
        } else {
            first_by.min(ping_at)
        };
        tokio::select! {
            biased;
            () = &mut cut => break false,
            bytes = outgoing.recv() => {
                let Some(bytes) = bytes else { break true };
                let size = bytes.len();
                let sent = frames.send(Frame::Message(bytes));
                if tokio::time::timeout(patience, sent).await != Ok(true) {
                    break false;
                }
                spoken = true;
                queued.fetch_sub(size, std::sync::atomic::Ordering::Relaxed);
            }
            frame = frames.next() => match frame {
                None => break false,
                Some(Frame::Message(bytes)) if is_keepalive(&bytes) => {
                    // RFC 7118 §6 allows the pings of RFC 5626 too: a double CRLF is answered by a single one.
                    if bytes.len() >= 4 {
                        let pong = frames.send(Frame::Message(Bytes::from_static(b"\r\n")));
                        if tokio::time::timeout(patience, pong).await != Ok(true) {
                            break false;
                        }
                    }
                }
                Some(Frame::Message(bytes)) => {
                    spoken = true;
                    intake.message(flow, bytes).await;
                }
                Some(Frame::Ping) => {}
                Some(Frame::Pong) => waiting = false,
            },
            () = tokio::time::sleep_until(wake) => {
                if waiting || !spoken && wake == first_by {
                    tracing::debug!(peer = %flow.remote, spoken, "a WebSocket is silent, connection closed");
                    break true;
                }
                waiting = true;
                ping_at = wake + PING;
                if tokio::time::timeout(patience, frames.send(Frame::Ping)).await != Ok(true) {
                    break false;
                }
            }
        }
    };
    if by_us {
        // A peer that does not take the goodbye does without.
        drop(tokio::time::timeout(GOODBYE, frames.close()).await);
    }
    intake.closed(flow).await;
}

fn is_keepalive(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| matches!(b, b'\r' | b'\n'))
}

/// How often we ping; a peer that has not answered by the next one is gone (`security.md` row 33).
const PING: Duration = Duration::from_secs(30);
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_origins_and_our_own_pages_connect() {
        let listed = ["https://phone.example.com".to_owned()];
        let admitted =
            |origin, host| origin_admitted(&listed, "pbx.example.com:5061", origin, Some(host));
        assert!(admitted(None, "10.0.0.5:8000"), "no browser");
        assert!(admitted(Some("https://phone.example.com"), "10.0.0.5:8000"));
        assert!(admitted(Some("HTTPS://Phone.Example.com"), "10.0.0.5:8000"));
        assert!(admitted(Some("http://10.0.0.5:8000"), "10.0.0.5:8000"));
        assert!(admitted(Some("http://[::1]:8000"), "[::1]:8000"));
        assert!(admitted(Some("http://localhost:8000"), "localhost:8000"));
        assert!(admitted(Some("https://pbx.example.com"), "pbx.example.com"));
        for stranger in [
            "https://evil.example",
            "http://10.0.0.5:8001",
            "http://10.0.0.6:8000",
            "https://phone.example.com.evil.example",
            "https://phone.example.com:444",
            "null",
            "",
            "?",
        ] {
            assert!(!admitted(Some(stranger), "10.0.0.5:8000"), "{stranger}");
        }
        // A name that was made to point at us.
        assert!(!admitted(
            Some("http://rebound.example:8000"),
            "rebound.example:8000"
        ));
        assert!(origin_admitted(
            &["*".to_owned()],
            "",
            Some("https://any.example"),
            None
        ));
    }
}
