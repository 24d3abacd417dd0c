//! The HTTP API, driven without sockets: each test has a server of its own with one first account.
//!
//! - `envelope`: what every answer looks like. `auth`: tokens, rights, rates, isolation.
//! - `twiml`: documents judged and rehearsed.
//! - `registrations`: who is registered, and message lamps.
//! - `page`: what only the page asks. `documents`: each kind of document. `trunks`: carriers, numbers, groups, time. `media`: files. `recordings`: recorded calls. `records`: call records, the debug log, the audit log.

mod auth;
mod described;
mod documents;
mod envelope;
mod hosted;
mod lens;
mod media;
mod page;
mod placing;
mod recordings;
mod records;
mod registrations;
mod roles;
mod stubs;
mod trunks;
mod twilio;
mod twiml;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request};
use serde_json::{Value, json};
use swivel::api::{Api, HttpConfig, Parts, RateConfig};
use swivel::base::rng::Rng;
use swivel::directory::Directory;
use swivel::journal::Journal;
use swivel::store::Store;
use tower::ServiceExt as _;

/// A server with the first account and its administrator.
pub struct Office {
    pub api: Api,
    pub router: Router,
    pub directory: Directory,
    pub journal: Journal,
    /// Id of the first account.
    pub account: String,
    /// Password of its administrator.
    pub password: String,
    /// A token of its administrator.
    pub token: String,
}

/// What came back.
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// `data` of the envelope, when the status is as expected.
    pub fn data(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        self.json()["data"].take()
    }

    /// Names of the rules that are broken, by field.
    pub fn rules(&self) -> Vec<(String, String)> {
        assert_eq!(self.status, 400, "{}", self.text());
        let data = self.json()["data"].take();
        let fields = data.as_object().unwrap().iter();
        let mut rules: Vec<_> = fields
            .flat_map(|(path, rules)| {
                rules
                    .as_object()
                    .unwrap()
                    .keys()
                    .map(|rule| (path.clone(), rule.clone()))
            })
            .collect();
        rules.sort();
        rules
    }
}

/// A request under construction.
pub struct Ask<'a> {
    office: &'a Office,
    method: &'a str,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    from: SocketAddr,
}

impl Office {
    pub async fn new() -> Office {
        // Rates have their own test.
        let plenty = RateConfig {
            burst: 100_000,
            anonymous_burst: 100_000,
            ..RateConfig::default()
        };
        Self::with(HttpConfig {
            rate: plenty,
            ..HttpConfig::default()
        })
        .await
    }

    pub async fn with(config: HttpConfig) -> Office {
        let store = Store::memory();
        let directory = Directory::load(store.clone()).await.unwrap();
        let journal = Journal::new(store.clone());
        let guard = |url: &str| match url.contains("127.0.0.1") {
            true => Err("127.0.0.1 is on the list of refused addresses".to_owned()),
            false => Ok(()),
        };
        let parts = Parts {
            directory: directory.clone(),
            journal: journal.clone(),
            registrations: swivel::registrar::Remote::pair().0,
            config,
            guard: Arc::new(guard),
            metrics: Arc::new(|| "swivel_up 1\n".to_owned()),
            rng: Rng::seeded(1),
        };
        let api = Api::new(parts).await.unwrap();
        let first = api.first_start("pbx.example").await.unwrap().unwrap();
        let router = api.router();
        let mut office = Office {
            api,
            router,
            directory,
            journal,
            account: first.account_id,
            password: first.password.reveal().to_owned(),
            token: String::new(),
        };
        office.token = office.login("default", "admin", &office.password).await;
        office
    }

    /// A request without a token.
    pub fn bare<'a>(&'a self, method: &'a str, path: &str) -> Ask<'a> {
        Ask {
            office: self,
            method,
            path: path.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            from: SocketAddr::from(([192, 0, 2, 1], 5000)),
        }
    }

    /// A request of the administrator. `~` in the path stands for the first account.
    pub fn ask<'a>(&'a self, method: &'a str, path: &str) -> Ask<'a> {
        let path = path.replace('~', &format!("/v2/accounts/{}", self.account));
        self.bare(method, &path).header("x-auth-token", &self.token)
    }

    pub async fn login(&self, account: &str, user: &str, password: &str) -> String {
        let reply = self
            .login_reply(json!({"credentials": hash(user, password), "account_name": account}))
            .await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        reply.json()["auth_token"].as_str().unwrap().to_owned()
    }

    pub async fn login_reply(&self, data: Value) -> Reply {
        self.bare("PUT", "/v2/user_auth").data(data).send().await
    }

    /// Creates a document and gives its id.
    pub async fn create(&self, noun: &str, data: Value) -> String {
        let reply = self
            .ask("PUT", &format!("~/{noun}"))
            .data(data)
            .send()
            .await;
        reply.data(201)["id"].as_str().unwrap().to_owned()
    }
}

impl Ask<'_> {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A JSON envelope with this data.
    pub fn data(self, data: Value) -> Self {
        self.envelope(json!({"data": data}))
    }

    pub fn envelope(self, envelope: Value) -> Self {
        self.body("application/json", envelope.to_string().as_bytes())
    }

    pub fn body(mut self, content_type: &str, body: &[u8]) -> Self {
        self.body = body.to_vec();
        if content_type.is_empty() {
            self
        } else {
            self.header("content-type", content_type)
        }
    }

    pub fn from(mut self, address: &str) -> Self {
        self.from = SocketAddr::new(address.parse().unwrap(), 5000);
        self
    }

    pub async fn send(self) -> Reply {
        let mut request = Request::builder().method(self.method).uri(&self.path);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let mut request = request.body(Body::from(self.body)).unwrap();
        request.extensions_mut().insert(ConnectInfo(self.from));
        let response = self.office.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 64 << 20).await.unwrap().to_vec();
        Reply {
            status: parts.status.as_u16(),
            headers: parts.headers,
            bytes,
        }
    }
}

/// MD5 of `user:password` in lower-case hex.
pub fn hash(user: &str, password: &str) -> String {
    use md5::Digest as _;
    hex::encode(md5::Md5::digest(format!(
        "{}:{password}",
        user.to_lowercase()
    )))
}

/// A callflow for one number.
pub fn callflow(number: &str) -> Value {
    json!({"numbers": [number], "flow": {"module": "tts", "data": {"text": "hello"}, "children": {}}})
}
