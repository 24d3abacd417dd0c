//! WebSockets we open (RFC 6455), over the guarded HTTP client: the handshake is one of its requests, so that names,
//! addresses, certificates and the signature are treated alike.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use url::Url;

use super::http::{Connection, HttpClient, HttpError, HttpRequest, Method};
use crate::base::secret::Secret;

/// What a handshake is made of.
#[derive(Debug, Clone)]
pub struct Handshake {
    /// `ws` or `wss`. User information becomes `Authorization: Basic`.
    pub url: Url,
    /// Headers besides those of the protocol.
    pub headers: Vec<(String, String)>,
    /// The limit for connecting and the handshake together.
    pub timeout: Duration,
    /// The longest message accepted, in bytes.
    pub max_message: usize,
    /// Signs the handshake as Twilio does.
    pub auth_token: Option<Secret>,
}

/// Why there is no WebSocket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebSocketError {
    /// The URL is none of a WebSocket.
    #[error("{url:?} is not a ws or wss URL")]
    Url {
        /// The URL.
        url: String,
    },
    /// No connection, or the guard refused.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The server did not grant it.
    #[error("the server answered HTTP {status} instead of 101")]
    Status {
        /// The status.
        status: u16,
    },
    /// The server's answer is none to this handshake.
    #[error("the server's Sec-WebSocket-Accept does not fit")]
    Accept,
}

/// The writing half.
pub struct Sender(SplitSink<WebSocketStream<Box<dyn Connection>>, Message>);

/// The reading half. Reading also answers pings.
pub struct Receiver(SplitStream<WebSocketStream<Box<dyn Connection>>>);

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Bytes),
}

/// How the other side ended it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closed {
    /// It said goodbye, or its connection ended.
    Away,
    /// The connection broke, or what came is no WebSocket.
    Broken(String),
}

impl HttpClient {
    /// Opens a WebSocket.
    ///
    /// # Errors
    /// When the server cannot be reached, may not be, or does not grant it.
    pub async fn websocket(
        &self,
        handshake: Handshake,
    ) -> Result<(Sender, Receiver), WebSocketError> {
        let key = generate_key();
        let Handshake {
            url,
            headers,
            timeout,
            max_message,
            auth_token,
        } = handshake;
        let mut request = HttpRequest {
            method: Method::Get,
            headers,
            timeout,
            // The signature is that of the ws URL, and so is made here.
            auth_token: None,
            ..HttpRequest::get(http_url(&url)?)
        };
        let own = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", key.as_str()),
        ];
        let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
        request.headers.extend(own);
        if let Some(token) = auth_token.filter(|token| !token.is_empty()) {
            let signature = crate::twilio::signature::sign_handshake(&token, &url);
            let header = crate::twilio::signature::HEADER.to_owned();
            request.headers.push((header, signature));
        }
        let answer = self.upgrade(request).await?;
        let Some(connection) = answer.connection else {
            return Err(WebSocketError::Status {
                status: answer.status,
            });
        };
        let accept = |(name, value): &(String, String)| {
            name.eq_ignore_ascii_case("sec-websocket-accept")
                && value.trim() == derive_accept_key(key.as_bytes())
        };
        if !answer.headers.iter().any(accept) {
            return Err(WebSocketError::Accept);
        }
        let mut config = WebSocketConfig::default();
        config.read_buffer_size = 16 << 10;
        config.max_message_size = Some(max_message);
        config.max_frame_size = Some(max_message);
        let socket = WebSocketStream::from_raw_socket(connection, Role::Client, Some(config)).await;
        let (sink, stream) = socket.split();
        Ok((Sender(sink), Receiver(stream)))
    }
}

impl Sender {
    /// Sends text; `false` when the connection is gone. Waits while the other side does not take it.
    pub async fn text(&mut self, text: String) -> bool {
        self.0.send(Message::text(text)).await.is_ok()
    }

    /// Says goodbye, or answers the other side's.
    pub async fn close(&mut self) {
        if let Err(error) = self.0.close().await {
            tracing::debug!(%error, "a WebSocket was gone before it was closed");
        }
    }
}

impl Receiver {
    /// The next message. Safe to drop at any point.
    ///
    /// # Errors
    /// [`Closed`] when there are no more.
    pub async fn next(&mut self) -> Result<Frame, Closed> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => return Ok(Frame::Text(text.as_str().to_owned())),
                Some(Ok(Message::Binary(bytes))) => return Ok(Frame::Binary(bytes)),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                None | Some(Ok(Message::Close(_))) => return Err(Closed::Away),
                Some(Err(Error::ConnectionClosed | Error::AlreadyClosed)) => {
                    return Err(Closed::Away);
                }
                Some(Err(error)) => return Err(Closed::Broken(error.to_string())),
            }
        }
    }
}

/// The URL of the handshake's request.
fn http_url(url: &Url) -> Result<Url, WebSocketError> {
    let text = match url.scheme() {
        "ws" => url.as_str().replacen("ws", "http", 1),
        "wss" => url.as_str().replacen("wss", "https", 1),
        _ => String::new(),
    };
    Url::parse(&text).map_err(|_| WebSocketError::Url {
        url: url.as_str().chars().take(200).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handshake_goes_to_the_same_place_by_http() {
        let to = |text: &str| http_url(&Url::parse(text).unwrap()).map(String::from);
        assert_eq!(to("ws://a.test/ws?x=ws").unwrap(), "http://a.test/ws?x=ws");
        assert_eq!(to("wss://a.test:444/m").unwrap(), "https://a.test:444/m");
        assert!(to("https://a.test/").is_err());
    }
}
