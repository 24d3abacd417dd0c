//! Asks the server: what is up, once a second and whenever its WebSocket says that something happened.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use url::Url;

use super::model::{News, Row, Wish, ladder, row, trouble};
use crate::app::ladder::printable;
use crate::base::secret::Secret;
use crate::host::clock;
use crate::host::http::{HttpClient, HttpError, HttpRequest, Method};
use crate::host::websocket::{Frame, Handshake, Receiver};

/// How often the server is asked.
const EVERY: Duration = Duration::from_secs(1);
/// How long it has for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Calls whose callers are looked up.
const MOST_CALLS: usize = 100;
/// The longest answer and message, in bytes.
const MOST_BYTES: usize = 8 << 20;

/// Who signs in.
#[derive(Debug, Clone)]
pub enum Login {
    /// A token, and the account it is for.
    Token(Secret, String),
    /// A user of an account, by name, and the password.
    User(String, String, Secret),
}

/// Why the server cannot be asked.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// The request failed.
    #[error("{0}")]
    Http(#[from] HttpError),
    /// The server refused.
    #[error("{path} was answered {status}: {message}")]
    Status {
        /// What was asked.
        path: String,
        /// The answer's status.
        status: u16,
        /// The answer's message.
        message: String,
    },
    /// The answer lacks something.
    #[error("the answer to {path} is none of swivel's API")]
    Strange {
        /// What was asked.
        path: String,
    },
}

/// A server one is signed in at.
pub struct Server {
    client: HttpClient,
    url: Url,
    token: Secret,
    account: String,
    name: String,
    /// Calls that are known already: who calls does not change.
    known: BTreeMap<String, Row>,
}

impl Server {
    /// Signs in.
    ///
    /// # Errors
    /// When the server cannot be asked or refuses.
    pub async fn sign_in(client: HttpClient, url: Url, login: Login) -> Result<Self, FeedError> {
        use md5::{Digest as _, Md5};
        let name = format!(
            "{}://{}{}",
            url.scheme(),
            url.host_str().unwrap_or_default(),
            url.port()
                .map(|port| format!(":{port}"))
                .unwrap_or_default()
        );
        let mut server = Self {
            client,
            url,
            token: Secret::new(""),
            account: String::new(),
            name,
            known: BTreeMap::new(),
        };
        match login {
            Login::Token(token, account) => (server.token, server.account) = (token, account),
            Login::User(account, user, password) => {
                let hash = hex::encode(Md5::digest(format!("{user}:{}", password.reveal())));
                let body = json!({"data": {"credentials": hash, "account_name": account}});
                let reply = server.send("user_auth", Some(body)).await?;
                let strange = || FeedError::Strange {
                    path: "user_auth".to_owned(),
                };
                let text = |pointer: &str| reply.pointer(pointer).and_then(Value::as_str);
                server.token = Secret::new(text("/auth_token").ok_or_else(strange)?);
                server.account = text("/data/account_id").ok_or_else(strange)?.to_owned();
            }
        }
        // Says at once when the token is none.
        server.get("channels").await?;
        Ok(server)
    }

    /// Its address, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    async fn get(&self, path: &str) -> Result<Value, FeedError> {
        let path = format!("accounts/{}/{path}", self.account);
        let mut reply = self.send(&path, None).await?;
        Ok(reply.get_mut("data").map(Value::take).unwrap_or_default())
    }

    async fn send(&self, path: &str, body: Option<Value>) -> Result<Value, FeedError> {
        let strange = || FeedError::Strange {
            path: path.to_owned(),
        };
        let url = self
            .url
            .join(&format!("/v2/{path}"))
            .map_err(|_| strange())?;
        let request = match body {
            Some(body) => HttpRequest::post(url, "application/json", body.to_string()),
            None => HttpRequest::get(url),
        };
        let mut headers = request.headers.clone();
        headers.push(("X-Auth-Token".to_owned(), self.token.reveal().to_owned()));
        let method = match request.method {
            // A session is made.
            Method::Post => Method::Put,
            other => other,
        };
        let response = self
            .client
            .send(HttpRequest {
                method,
                headers,
                timeout: PATIENCE,
                max_body: MOST_BYTES,
                ..request
            })
            .await?;
        let value: Option<Value> = serde_json::from_slice(&response.body).ok();
        if response.status >= 300 {
            let message = value.as_ref().and_then(|value| value["message"].as_str());
            return Err(FeedError::Status {
                path: path.to_owned(),
                status: response.status,
                message: printable(message.unwrap_or_default(), 120),
            });
        }
        value.ok_or_else(strange)
    }

    /// Calls and problems.
    async fn look(&mut self) -> Result<News, FeedError> {
        let channels = self.get("channels").await?;
        let problems = self.get("problems").await?;
        let listed = channels.as_array().cloned().unwrap_or_default();
        let mut rows = Vec::new();
        for channel in listed.iter().take(MOST_CALLS) {
            let Some(id) = channel["uuid"].as_str() else {
                continue;
            };
            if !self.known.contains_key(id) {
                // One that has ended meanwhile is no longer there.
                let Ok(whole) = self.get(&format!("channels/{}", escaped(id))).await else {
                    continue;
                };
                self.known.insert(id.to_owned(), row(&whole));
            }
            let Some(known) = self.known.get(id) else {
                continue;
            };
            rows.push(Row {
                state: if channel["answered"] == true {
                    "talking"
                } else {
                    "ringing"
                },
                seconds: channel["elapsed_s"].as_u64().unwrap_or_default(),
                ..known.clone()
            });
        }
        self.known
            .retain(|id, _| rows.iter().any(|row| row.id == *id));
        rows.sort_by_key(|row| std::cmp::Reverse(row.seconds));
        let problems = problems.as_array().map_or(&[][..], Vec::as_slice);
        Ok(News::Seen(rows, problems.iter().map(trouble).collect()))
    }

    /// The ladder of a call.
    async fn ladder(&self, call: &str) -> News {
        let found = self.get(&format!("lens/{}", escaped(call))).await;
        News::Ladder(match found {
            Ok(lens) => Ok(ladder(&lens)),
            Err(FeedError::Status { status: 404, .. }) => {
                Err("No call with this id is kept here.".to_owned())
            }
            Err(error) => Err(error.to_string()),
        })
    }

    /// What happens to calls, as it happens.
    async fn listen(&self) -> Option<Receiver> {
        let mut url = self.url.join("/v2/websocket").ok()?;
        let scheme = if url.scheme() == "https" { "wss" } else { "ws" };
        url.set_scheme(scheme).ok()?;
        let handshake = Handshake {
            url,
            headers: Vec::new(),
            timeout: PATIENCE,
            max_message: MOST_BYTES,
            auth_token: None,
        };
        let (mut sender, receiver) = self.client.websocket(handshake).await.ok()?;
        let subscribe = json!({
            "action": "subscribe",
            "auth_token": self.token.reveal(),
            "request_id": "top",
            "data": {"account_id": self.account, "binding": "call.*.*"},
        });
        // The sender stays with the receiver's connection; it has nothing more to say.
        sender.text(subscribe.to_string()).await.then_some(receiver)
    }
}

/// Tells the screen what is seen, until it is gone.
pub(super) async fn run(
    mut server: Server,
    mut wishes: watch::Receiver<Wish>,
    news: mpsc::Sender<News>,
) {
    let mut events = server.listen().await;
    let mut next_try = clock::now() + EVERY;
    loop {
        let wish = wishes.borrow_and_update().clone();
        let seen = server.look().await;
        let lost = seen.is_err();
        let mut told = vec![seen.unwrap_or_else(|error| News::Lost(error.to_string()))];
        if let Some(call) = &wish.call
            && !lost
        {
            told.push(server.ladder(call).await);
        }
        for one in told {
            if news.send(one).await.is_err() {
                return;
            }
        }
        if events.is_none() && clock::now() >= next_try {
            events = server.listen().await;
            next_try = clock::now() + PATIENCE;
        }
        let event = async {
            match &mut events {
                Some(events) => events.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            changed = wishes.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            event = event => match event {
                Ok(Frame::Text(text)) => {
                    if let Some(line) = line_of(&text)
                        && news.send(News::Log(line)).await.is_err()
                    {
                        return;
                    }
                    // Several events come together; one look is enough for them.
                    tokio::time::sleep(EVERY / 5).await;
                }
                Ok(Frame::Binary(_)) => {}
                Err(_closed) => events = None,
            }
        }
    }
}

/// An event as a line of the log.
fn line_of(event: &str) -> Option<String> {
    let event: Value = serde_json::from_str(event).ok()?;
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
    let name = text("/name").or_else(|| text("/data/hook_event"))?;
    let data = |names: &[&str]| {
        let found = names.iter().find_map(|name| text(&format!("/data/{name}")));
        found.unwrap_or_default().to_owned()
    };
    let time = clock::unix_now()
        .timestamp()
        .strftime("%H:%M:%S")
        .to_string();
    let line = format!(
        "{time}  {name}  {} → {}  {}",
        data(&["caller_id_number", "from"]),
        data(&["callee_id_number", "to", "request"]),
        data(&["hangup_cause"]),
    );
    Some(printable(line.trim(), 200))
}

/// A Call-ID as part of an address.
fn escaped(id: &str) -> String {
    percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_line_and_a_reply_is_none() {
        let event = json!({"action": "event", "name": "CHANNEL_DESTROY",
            "data": {"caller_id_number": "1001", "callee_id_number": "2030", "hangup_cause": "USER_BUSY"}});
        let line = line_of(&event.to_string()).unwrap();
        assert!(
            line.ends_with("CHANNEL_DESTROY  1001 → 2030  USER_BUSY"),
            "{line}"
        );
        assert_eq!(
            line_of(&json!({"action": "reply", "status": "success"}).to_string()),
            None
        );
        assert_eq!(line_of("no json"), None);
    }

    #[test]
    fn a_call_id_goes_into_an_address_as_it_is() {
        assert_eq!(escaped("a b@10.0.0.1/x"), "a%20b%4010%2E0%2E0%2E1%2Fx");
    }
}
