//! The demo's web application: what a customer's own server would be. `/pivot` answers with callflow JSON, a sentence to
//! say; `/menu` with TwiML, the menu of the demo's callflow once more; `/connect` with TwiML that
//! connects the caller with `/stream`, which sends back what it hears.

use std::net::SocketAddr;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{RawQuery, State};
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::response::Response;
use axum::routing::{any, get};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::documents::Urls;
use crate::host::task;

/// What 2030 says.
pub const SENTENCE: &str = "Pivot is pretty awesome. Have a great day.";

/// A running web application.
#[derive(Debug)]
pub struct WebApp {
    /// Where it listens.
    pub address: SocketAddr,
    /// The query of each request, as it came; bounded, further ones are not kept.
    pub requests: mpsc::Receiver<String>,
}

impl WebApp {
    /// Where its media streams go to.
    pub fn stream_url(&self) -> String {
        format!("ws://{}/stream", self.address)
    }

    /// What the numbers of the demo ask.
    pub fn urls(&self) -> Urls {
        let at = |path: &str| format!("http://{}/{path}", self.address);
        Urls {
            voice: at("pivot"),
            menu: at("menu"),
            stream: at("connect"),
        }
    }
}

/// Starts it on a free port of loopback. It ends with the runtime.
///
/// # Errors
/// When no port can be bound.
pub async fn start() -> std::io::Result<WebApp> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (seen, requests) = mpsc::channel(64);
    let router = Router::new()
        .route("/pivot", get(pivot).post(pivot))
        .route("/stream", any(stream))
        .with_state(seen)
        .route("/menu", get(menu).post(menu))
        .route("/connect", get(connect).post(connect));
    task::spawn("demo-web", async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the demo's web application ended");
        }
    });
    Ok(WebApp { address, requests })
}

/// Connects the caller with `/stream`.
async fn connect() -> ([(HeaderName, &'static str); 1], &'static str) {
    ([(CONTENT_TYPE, "text/xml")], CONNECT)
}

const CONNECT: &str =
    "<Response><Say>Say something.</Say><Connect><Stream url=\"stream\"/></Connect></Response>\n";

/// The menu, or what was chosen from it.
async fn menu(RawQuery(query): RawQuery) -> ([(HeaderName, &'static str); 1], String) {
    let query = query.unwrap_or_default();
    let digits = url::form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == "Digits")
        .last();
    let verbs = match digits.as_ref().map(|(_, digits)| digits.as_ref()) {
        None => MENU.to_owned(),
        Some("1") => format!("<Say>{SENTENCE}</Say>"),
        Some("2") => "<Say>It is later than you think.</Say>".to_owned(),
        Some(_) => {
            "<Say>There is nothing behind that key.</Say><Redirect>menu</Redirect>".to_owned()
        }
    };
    let document =
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response>{verbs}</Response>\n");
    ([(CONTENT_TYPE, "text/xml")], document)
}

const MENU: &str = "<Gather numDigits=\"1\" action=\"menu\"><Say>Press 1 for the sentence, or 2 for the time of day in no particular place.</Say></Gather><Say>No key was pressed. Goodbye.</Say>";

async fn pivot(State(seen): State<mpsc::Sender<String>>, RawQuery(query): RawQuery) -> Json<Value> {
    if seen.try_send(query.unwrap_or_default()).is_err() {
        tracing::debug!("nobody reads the demo's requests");
    }
    Json(json!({"module": "tts", "data": {"text": SENTENCE}, "children": {}}))
}

async fn stream(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(echo)
}

/// Sends the caller's voice back, as a server written for Twilio would.
async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let Message::Text(text) = message else {
            continue;
        };
        let Ok(message) = serde_json::from_str::<Value>(text.as_str()) else {
            return;
        };
        let reply = match message["event"].as_str() {
            Some("media") => json!({
                "event": "media",
                "streamSid": message["streamSid"],
                "media": {"payload": message["media"]["payload"]},
            }),
            Some("stop") => return,
            _ => continue,
        };
        if socket
            .send(Message::Text(reply.to_string().into()))
            .await
            .is_err()
        {
            return;
        }
    }
}
