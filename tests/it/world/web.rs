//! The web, simulated below the HTTP client: what callflow servers answer, and what they were asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use swivel::host::http::{Answer, Exchange, HttpError, Transport, Upgrade};
use tokio::io::DuplexStream;
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Answers in the order they were given, the last one for ever.
#[derive(Clone, Default)]
pub struct Web(Arc<Mutex<Inner>>, Arc<Notify>);

#[derive(Default)]
struct Inner {
    replies: VecDeque<Reply>,
    asked: Vec<Exchange>,
    /// The servers' ends of WebSockets.
    sockets: VecDeque<DuplexStream>,
    /// The status that refuses WebSockets.
    refusal: Option<u16>,
    /// What a WebSocket holds that nobody reads, in bytes.
    patience: Option<usize>,
    /// What every exchange ends with.
    failure: Option<HttpError>,
}

/// One answer.
#[derive(Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Content-Type; empty for none.
    pub content_type: String,
    /// Body.
    pub body: String,
    /// Time until it comes.
    pub after: Duration,
}

impl Web {
    /// The next answer is that JSON.
    pub fn json(&self, body: &serde_json::Value) {
        self.reply(Reply {
            status: 200,
            content_type: "application/json".into(),
            body: body.to_string(),
            after: Duration::ZERO,
        });
    }

    /// The next answer.
    pub fn reply(&self, reply: Reply) {
        self.0.lock().unwrap().replies.push_back(reply);
    }

    /// The server's end of the next WebSocket.
    pub async fn socket(&self) -> DuplexStream {
        loop {
            let waiting = self.1.notified();
            if let Some(socket) = self.0.lock().unwrap().sockets.pop_front() {
                return socket;
            }
            waiting.await;
        }
    }

    /// Refuses WebSockets from now on.
    pub fn refuse_sockets(&self, status: u16) {
        self.0.lock().unwrap().refusal = Some(status);
    }

    /// WebSockets hold so many bytes that nobody reads, and no more.
    pub fn narrow_sockets(&self, bytes: usize) {
        self.0.lock().unwrap().patience = Some(bytes);
    }

    /// Every exchange fails from now on.
    pub fn fail(&self, error: HttpError) {
        self.0.lock().unwrap().failure = Some(error);
    }

    /// What was asked, in order.
    pub fn asked(&self) -> Vec<Exchange> {
        self.0.lock().unwrap().asked.clone()
    }
}

impl Transport for Web {
    fn exchange(&self, exchange: Exchange) -> BoxFuture<'_, Result<Answer, HttpError>> {
        let reply = {
            let mut inner = self.0.lock().unwrap();
            inner.asked.push(exchange);
            if let Some(error) = inner.failure.clone() {
                return async { Err(error) }.boxed();
            }
            if inner.replies.len() > 1 {
                inner.replies.pop_front()
            } else {
                inner.replies.front().cloned()
            }
        };
        async move {
            let Some(reply) = reply else {
                return Err(HttpError::Timeout {
                    after: Duration::ZERO,
                });
            };
            tokio::time::sleep(reply.after).await;
            let mut headers = Vec::new();
            if !reply.content_type.is_empty() {
                headers.push(("content-type".to_owned(), reply.content_type.clone()));
            }
            let body = stream::iter([Ok(Bytes::from(reply.body))]).boxed();
            Ok(Answer {
                status: reply.status,
                headers,
                body,
            })
        }
        .boxed()
    }

    fn upgrade(&self, exchange: Exchange) -> BoxFuture<'_, Result<Upgrade, HttpError>> {
        let key = exchange.headers.iter().find_map(|(name, value)| {
            (name == "Sec-WebSocket-Key").then(|| derive_accept_key(value.as_bytes()))
        });
        let mut inner = self.0.lock().unwrap();
        inner.asked.push(exchange);
        let (status, connection) = match inner.refusal {
            Some(status) => (status, None),
            None => {
                let (ours, theirs) = tokio::io::duplex(inner.patience.unwrap_or(1 << 20));
                inner.sockets.push_back(theirs);
                self.1.notify_one();
                (101, Some(Box::new(ours) as Box<_>))
            }
        };
        let headers = key.map(|key| ("sec-websocket-accept".to_owned(), key));
        let upgrade = Upgrade {
            status,
            headers: headers.into_iter().collect(),
            connection,
        };
        async move { Ok(upgrade) }.boxed()
    }
}
