//! The part of Twilio's REST API that voice applications call, under `/2010-04-01/Accounts/{Sid}`: calls, recordings and
//! conferences, over the operations the native API has. HTTP Basic: the account's id and its `auth_token`, which also
//! signs our requests.
//!
//! - here: who asks for what, and errors as Twilio says them. `shape`: names, dates, pages.
//! - `calls`: calls there are. `place`: a call that is to be. `recordings`, `conferences`.
//!
//! Names: an account's Sid is its id, with or without `AC` before it; a call's is the one our requests call `CallSid`:
//! its Call-ID, which for calls placed here begins with `CA`. Recordings and conferences have the ids they have elsewhere.

mod calls;
mod conferences;
mod place;
mod recordings;
mod shape;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Api;
use super::call::tree;
use super::error::ApiError;
use super::server;
use crate::directory::Account;
use crate::host::{clock, task};

/// Where all of it is.
pub(super) const PATH: &str = "/2010-04-01/{*rest}";
/// The version, as it stands in paths.
const VERSION: &str = "2010-04-01";

/// Why a request was refused: Twilio's number for it, HTTP status and words.
#[derive(Debug)]
struct Refusal {
    status: u16,
    code: u32,
    message: String,
}

impl Refusal {
    fn new(status: u16, code: u32, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    /// A parameter that cannot be used.
    fn parameter(code: u32, message: impl Into<String>) -> Self {
        Self::new(400, code, message)
    }

    fn not_found(what: &str) -> Self {
        let message = format!("The requested resource {what} was not found");
        Self::new(404, 20404, message)
    }

    fn method() -> Self {
        Self::new(405, 20004, "Method not allowed")
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        match &error {
            ApiError::Invalid(findings) => {
                let all = findings
                    .iter()
                    .map(|f| format!("{}: {}", f.path, f.message));
                Self::new(400, 20001, all.collect::<Vec<_>>().join("; "))
            }
            other => Self::new(
                other.status(),
                u32::from(other.status()) + 20000,
                other.to_string(),
            ),
        }
    }
}

impl From<crate::store::StoreError> for Refusal {
    fn from(error: crate::store::StoreError) -> Self {
        tracing::warn!(%error, "the store failed");
        Self::new(503, 20503, "the store failed")
    }
}

/// What a request is answered with.
enum Reply {
    Json(u16, Value),
    /// 204.
    Nothing,
    File(Vec<u8>, &'static str),
}

/// One request.
struct Ask {
    api: Api,
    account: Arc<Account>,
    /// The account's Sid as the client writes it.
    sid: String,
    method: Method,
    /// The path without query, as it came.
    path: String,
    /// What follows the account, without `.json`.
    parts: Vec<String>,
    /// What came after the last dot, if that is a format.
    format: Option<&'static str>,
    query: Vec<(String, String)>,
    form: Vec<(String, String)>,
    client: IpAddr,
}

impl Ask {
    /// A parameter of the form, else of the query; empty ones count as missing.
    fn text(&self, name: &str) -> Option<&str> {
        let all = self.form.iter().chain(&self.query);
        let mut found = all.filter(|(key, value)| key == name && !value.is_empty());
        found.next().map(|(_, value)| value.as_str())
    }

    /// Every value of a parameter; those that hold several at once are taken apart.
    fn texts(&self, name: &str) -> Vec<&str> {
        let all = self.form.iter().filter(|(key, _)| key == name);
        all.flat_map(|(_, value)| value.split([' ', ',']))
            .filter(|value| !value.is_empty())
            .collect()
    }

    fn flag(&self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.text(name).map(str::to_ascii_lowercase).as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => {
                let message = format!("{name} must be true or false, not {other}");
                Err(Refusal::parameter(20001, message))
            }
        }
    }

    fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let message = || format!("{name} must be a whole number, not {text}");
        text.parse()
            .map(Some)
            .map_err(|_| Refusal::parameter(20001, message()))
    }

    /// A URL the server may be made to fetch.
    fn url(&self, name: &str) -> Result<Option<String>, Refusal> {
        let Some(url) = self.text(name) else {
            return Ok(None);
        };
        (self.api.guard())(url)
            .map_err(|reason| Refusal::parameter(21205, format!("{name}: {reason}")))?;
        Ok(Some(url.to_owned()))
    }

    /// `GET` or `POST`, lower case; Twilio's default is POST.
    fn verb(&self, name: &str) -> Result<&'static str, Refusal> {
        match self.text(name).map(str::to_ascii_uppercase).as_deref() {
            None | Some("POST") => Ok("post"),
            Some("GET") => Ok("get"),
            Some(other) => {
                let message = format!("{name} must be GET or POST, not {other}");
                Err(Refusal::parameter(20001, message))
            }
        }
    }
}

/// A client that goes away must not stop half-way what it has begun.
pub(super) async fn handle(State(api): State<Api>, request: Request) -> Response<Body> {
    let answered = task::spawn("twilio-request", async move {
        let reply = respond(api, request).await;
        metrics::counter!("swivel_http_requests_total", "verb" => "twilio").increment(1);
        reply.unwrap_or_else(|refusal| refused(&refusal))
    });
    match answered.await {
        Ok(Some(response)) => response,
        Ok(None) | Err(_) => refused(&Refusal::new(
            500,
            20500,
            "An internal server error occurred",
        )),
    }
}

async fn respond(api: Api, request: Request) -> Result<Response<Body>, Refusal> {
    let (head, body) = request.into_parts();
    let peer = head.extensions.get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |info| info.0.ip());
    let forwarded = head.headers.get("x-forwarded-for");
    let client = server::client(&api, peer, forwarded.and_then(|value| value.to_str().ok()));
    let path = head.uri.path().to_owned();
    let own = authenticated(&api, &head.headers);
    let rate = &api.config().rate;
    let (known, cost) = match &own {
        Some(account) => (Some(&*account.id), 1),
        // Guessing a token costs as much as guessing a password.
        None => (None, rate.login_cost),
    };
    let taken = api.0.buckets.take(rate, client, known, cost, clock::now());
    taken.map_err(|()| Refusal::new(429, 20429, "Too many requests"))?;
    let Some(own) = own else {
        return Err(Refusal::new(401, 20003, "Authenticate"));
    };
    let tokens = server::tokens(&path);
    let [_, accounts, sid, ..] = tokens.as_slice() else {
        return Err(Refusal::not_found(&path));
    };
    if accounts != "Accounts" {
        return Err(Refusal::not_found(&path));
    }
    let mut parts = tokens.get(2..).unwrap_or_default().to_vec();
    let format = parts.last_mut().and_then(split_format);
    let sid = parts.first().unwrap_or(sid).clone();
    parts.remove(0);
    let account = api.directory().account(shape::account_id(&sid));
    let account = account.ok_or_else(|| Refusal::not_found(&path))?;
    if account.id != own.id && !tree(&account).contains(&&*own.id) {
        return Err(Refusal::new(
            403,
            20403,
            "The credentials do not reach this account",
        ));
    }
    let query = url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes());
    let query = query.into_owned().collect();
    let limit = api.config().max_json;
    let bytes = to_bytes(body, limit)
        .await
        .map_err(|_| Refusal::new(413, 20413, format!("The body has more than {limit} bytes")))?;
    let form = url::form_urlencoded::parse(&bytes).into_owned().collect();
    let ask = Ask {
        api,
        account,
        sid,
        method: head.method,
        path,
        parts,
        format,
        query,
        form,
        client,
    };
    Ok(match dispatch(&ask).await? {
        Reply::Json(status, value) => {
            answered(status, "application/json", value.to_string().into())
        }
        Reply::Nothing => answered(204, "application/json", Body::empty()),
        Reply::File(bytes, kind) => answered(200, kind, bytes.into()),
    })
}

/// Takes `.json` off the end of a path's last part; other formats stay known.
fn split_format(last: &mut String) -> Option<&'static str> {
    let format = ["json", "wav", "mp3", "xml", "csv"]
        .into_iter()
        .find(|format| {
            last.strip_suffix(format)
                .is_some_and(|stem| stem.ends_with('.'))
        })?;
    last.truncate(last.len().saturating_sub(format.len() + 1));
    Some(format)
}

async fn dispatch(ask: &Ask) -> Result<Reply, Refusal> {
    let parts: Vec<&str> = ask.parts.iter().map(String::as_str).collect();
    if matches!(ask.format, Some("xml" | "csv")) {
        let message = "Only JSON is spoken here: let the path end in .json";
        return Err(Refusal::new(404, 20404, message));
    }
    match parts.as_slice() {
        [] if ask.method == Method::GET => Ok(Reply::Json(200, account(ask))),
        [] => Err(Refusal::method()),
        ["Calls"] if ask.method == Method::POST => place::create(ask).await,
        ["Calls", rest @ ..] => calls::answer(ask, rest).await,
        ["Recordings", rest @ ..] => recordings::answer(ask, rest).await,
        ["Conferences", rest @ ..] => conferences::answer(ask, rest).await,
        _ => Err(Refusal::not_found(&ask.path)),
    }
}

fn account(ask: &Ask) -> Value {
    json!({
        "sid": ask.sid,
        "friendly_name": ask.account.name,
        "status": if ask.account.enabled { "active" } else { "suspended" },
        "type": "Full",
        "owner_account_sid": ask.account.above().last().unwrap_or(&ask.sid),
        "uri": format!("/{VERSION}/Accounts/{}.json", ask.sid),
    })
}

/// The account whose id and token the request was made with.
fn authenticated(api: &Api, headers: &HeaderMap) -> Option<Arc<Account>> {
    let header = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, value) = header.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
    let (name, password) = decoded.split_once(':')?;
    let account = api.directory().account(shape::account_id(name))?;
    let token = account.auth_token()?;
    // Hashes are compared, so that how long it takes says nothing about the token.
    let same = Sha256::digest(token.reveal()) == Sha256::digest(password);
    (same && account.enabled).then_some(account)
}

fn refused(refusal: &Refusal) -> Response<Body> {
    let body = json!({
        "code": refusal.code,
        "message": refusal.message,
        "more_info": format!("https://www.twilio.com/docs/errors/{}", refusal.code),
        "status": refusal.status,
    });
    let mut response = answered(refusal.status, "application/json", body.to_string().into());
    if refusal.status == 401 {
        let realm = HeaderValue::from_static("Basic realm=\"Twilio API\"");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, realm);
    }
    response
}

fn answered(status: u16, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
