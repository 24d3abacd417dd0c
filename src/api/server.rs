//! Takes a request apart, finds its resource, checks token and rate, and answers (`api.md` §1.2).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Method, Response, StatusCode, header};
use axum::response::IntoResponse as _;
use axum::routing::{any, get};
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tower_http::compression::CompressionLayer;

use super::Api;
use super::answer::Answer;
use super::body::{self, Content};
use super::call::{Call, Noun, Principal};
use super::envelope::{self, About, Accept};
use super::error::ApiError;
use super::events;
use super::login;
use super::openapi;
use super::resources::{self, Resource};
use super::sip_socket;
use super::twilio;
use super::verb::Verb;
use crate::base::id::{document_id, is_document_id};
use crate::directory::Account;
use crate::host::{clock, task};
use crate::web;

impl Api {
    /// The routes. Requests may carry `ConnectInfo<SocketAddr>`; without it the client counts as the local host.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/metrics", get(metrics))
            .route(crate::net::ws::PATH, get(sip_socket::upgrade))
            .route(openapi::PATH, get(described))
            .route(events::PATH, get(events::upgrade))
            .route(twilio::PATH, any(twilio::handle))
            .fallback(handle)
            .layer(CompressionLayer::new())
            .with_state(self.clone())
    }

    /// Serves `listener` until `end`; requests under way are finished.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        end: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let service = self
            .router()
            .into_make_service_with_connect_info::<SocketAddr>();
        // A table is sent in pieces, none of which is to wait for what its reader says of the one before.
        let listener = listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::trace!(%error, "small answers to a client may be late");
            }
        });
        axum::serve(listener, service)
            .with_graceful_shutdown(end)
            .await
    }
}

async fn metrics(State(api): State<Api>) -> Response<Body> {
    let text = (api.0.metrics)();
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        text,
    )
        .into_response()
}

async fn described() -> Response<Body> {
    static TEXT: std::sync::LazyLock<String> =
        std::sync::LazyLock::new(|| openapi::document().to_string());
    ([(header::CONTENT_TYPE, "application/json")], TEXT.as_str()).into_response()
}

/// What is known of a request before its body.
struct Head {
    client: IpAddr,
    query: Vec<(String, String)>,
    nouns: Result<Vec<Noun>, ApiError>,
}

/// A client that goes away must not stop a write half-way, so each request is a task of its own.
async fn handle(State(api): State<Api>, request: Request) -> Response<Body> {
    if let Some(page) = web::answer(request.method(), request.uri(), request.headers()) {
        return page;
    }
    match task::spawn("http-request", respond(api, request)).await {
        Ok(Some(response)) => response,
        Ok(None) | Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn respond(api: Api, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let peer = parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map(|info| info.0.ip());
    let text = |name: &str| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    let client = client(
        &api,
        peer.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        text("x-forwarded-for").as_deref(),
    );
    let query: Vec<(String, String)> =
        url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect();
    let of_query = |name: &str| {
        query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
    };
    let nouns = nouns(&tokens(parts.uri.path()));
    let verbs = nouns.as_ref().map(|nouns| verbs(nouns)).unwrap_or_default();
    let request_id = text("x-request-id").filter(|id| is_request_id(id));
    let mut about = About {
        request_id: request_id.unwrap_or_else(|| document_id(&mut api.rng())),
        node: api.journal().node().to_owned(),
        now: clock::unix_now(),
        token: None,
        tokens: None,
        path: parts.uri.path().to_owned(),
        verb: Verb::Get,
        verbs,
        cross_origin: parts.headers.contains_key(header::ORIGIN),
        pretty: [text("x-pretty-print"), of_query("pretty_print")]
            .iter()
            .flatten()
            .any(|yes| yes == "true"),
        jsonp: of_query("jsonp").filter(|name| is_function_name(name)),
        accept: Accept::of(of_query("accept").as_deref(), text("accept").as_deref()),
        file_name: text("x-file-name").or_else(|| of_query("file_name")),
        untyped: false,
        if_none_match: text("if-none-match"),
        range: text("range"),
    };
    if parts.method == Method::OPTIONS {
        return envelope::preflight(&about);
    }
    let head = Head {
        client,
        query,
        nouns,
    };
    let result = answer(&api, &mut about, head, &parts, body).await;
    metrics::counter!("swivel_http_requests_total", "verb" => about.verb.name()).increment(1);
    match result {
        Ok(answer) => envelope::success(&about, answer),
        Err(error) => {
            metrics::counter!("swivel_http_refused_total", "status" => error.status().to_string())
                .increment(1);
            tracing::debug!(request = about.request_id, status = error.status(), %error, "request refused");
            envelope::failure(&about, &error)
        }
    }
}

async fn answer(
    api: &Api,
    about: &mut About,
    head: Head,
    parts: &axum::http::request::Parts,
    body: Body,
) -> Result<Answer, ApiError> {
    let nouns = head.nouns?;
    let method =
        Verb::named(parts.method.as_str()).ok_or_else(|| ApiError::Method(about.verbs.clone()))?;
    about.verb = method;
    let content = body::read(&parts.headers, body, api.config(), takes(&nouns)).await;
    // A login's body may be anything while its cost is not yet paid: the bucket comes before the complaint.
    let (content, complaint) = match content {
        Ok(content) => (content, None),
        Err(error) => (Content::default(), Some(error)),
    };
    about.untyped = content.untyped;
    let mut call = Call {
        api: api.clone(),
        verb: method,
        nouns,
        query: head.query,
        headers: parts.headers.clone(),
        envelope: content.envelope,
        data: content.data,
        files: content.files,
        client: head.client,
        now: about.now,
        at: clock::now(),
        principal: None,
        account: None,
    };
    if method == Verb::Post
        && let Some(tunnelled) = call.text("verb")
    {
        call.verb = Verb::named(&tunnelled).ok_or_else(|| ApiError::Method(about.verbs.clone()))?;
        about.verb = call.verb;
    }
    if let Some(kind) = call.text("accept") {
        about.accept = Accept::of(
            Some(&kind),
            parts
                .headers
                .get(header::ACCEPT)
                .and_then(|v| v.to_str().ok()),
        );
    }
    let resource = call
        .nouns
        .last()
        .map(|noun| noun.resource)
        .ok_or(ApiError::NoPath)?;
    let open = (resource.open)(call.verb, &call.args());
    let principal = match token(&call) {
        Some(token) => login::principal(api, &token, call.now),
        None => Err(ApiError::Credentials),
    };
    let known = principal
        .as_ref()
        .ok()
        .map(|principal| principal.account.id.to_string());
    let cost = if resource.costly && call.verb == Verb::Put {
        api.config().rate.login_cost
    } else {
        1
    };
    let left = api.0.buckets.take(
        &api.config().rate,
        call.client,
        known.as_deref().filter(|_| cost == 1),
        cost,
        call.at,
    );
    about.tokens = Some((cost, left.map_err(|()| ApiError::TooMany)?));
    alias(&mut call, &principal)?;
    call.account = named_account(api, &call)?;
    match principal {
        Ok(principal) => {
            about.token = Some(principal.token.clone());
            if let Some(account) = &call.account {
                check_reach(&principal, account)?;
            }
            call.principal = Some(principal);
        }
        Err(error) if !open => return Err(error),
        Err(_) => {}
    }
    if let Some(complaint) = complaint {
        return Err(complaint);
    }
    let verbs = verbs(&call.nouns);
    if verbs.is_empty() {
        return Err(ApiError::NoPath);
    }
    if !verbs.contains(&call.verb) {
        return Err(ApiError::Method(verbs));
    }
    if resource.of_account && call.account.is_none() {
        return Err(ApiError::NoPath);
    }
    if about.accept == Accept::Csv {
        call.envelope.insert("accept_csv".to_owned(), true.into());
    }
    if about.accept == Accept::File {
        call.envelope.insert("accept_file".to_owned(), true.into());
    }
    (resource.answer)(&call).await
}

fn check_reach(principal: &Principal, account: &Account) -> Result<(), ApiError> {
    if !principal.reaches(account) {
        return Err(ApiError::Forbidden(
            "the token does not reach this account".to_owned(),
        ));
    }
    // Accounts above a disabled one may still mend it.
    if !account.enabled && principal.account.id == account.id {
        return Err(ApiError::Disabled);
    }
    Ok(())
}

/// `/v2/account/…` means the account of the token.
fn alias(call: &mut Call, principal: &Result<Principal, ApiError>) -> Result<(), ApiError> {
    if call
        .nouns
        .first()
        .is_some_and(|noun| noun.resource.name == "account")
    {
        let own = principal
            .as_ref()
            .map_err(|_| ApiError::Credentials)?
            .account
            .id
            .to_string();
        if let (Some(noun), Some(accounts)) = (call.nouns.first_mut(), resources::named("accounts"))
        {
            noun.resource = accounts;
            noun.args.insert(0, own);
        }
    }
    Ok(())
}

/// The account in the path. It must exist.
fn named_account(api: &Api, call: &Call) -> Result<Option<Arc<Account>>, ApiError> {
    let Some(noun) = call
        .nouns
        .iter()
        .find(|noun| noun.resource.name == "accounts")
    else {
        // KAZOO's global carriers: those of the first account, which serve everybody's `offnet`.
        let global = call
            .nouns
            .first()
            .is_some_and(|noun| noun.resource.name == "resources");
        let accounts = api.directory().accounts();
        return Ok(accounts
            .into_iter()
            .find(|account| global && account.is_first()));
    };
    let Some(id) = noun.args.first() else {
        return Ok(None);
    };
    let account = api.directory().account(id).filter(|_| is_document_id(id));
    account.map(Some).ok_or_else(|| ApiError::NoDocument {
        what: "account",
        id: id.clone(),
    })
}

/// The token of a request (`api.md` §2.4).
fn token(call: &Call) -> Option<String> {
    let header = call.header("x-auth-token").map(str::to_owned);
    let bearer = || {
        let (scheme, value) = call.header("authorization")?.trim().split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then(|| value.trim().to_owned())
    };
    header
        .or_else(|| call.text("auth_token"))
        .or_else(bearer)
        .or_else(|| call.text("authorization"))
}

pub(super) fn client(api: &Api, peer: IpAddr, forwarded: Option<&str>) -> IpAddr {
    let peer = peer.to_canonical();
    if !api.config().proxies.contains(&peer) {
        return peer;
    }
    // The last address was added by the proxy that is believed.
    forwarded
        .and_then(|list| list.rsplit(',').next()?.trim().parse().ok())
        .unwrap_or(peer)
}

/// The decoded parts of a path.
pub(super) fn tokens(path: &str) -> Vec<String> {
    let parts = path.split('/').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            percent_encoding::percent_decode_str(part)
                .decode_utf8_lossy()
                .into_owned()
        })
        .collect()
}

/// Splits a path into nouns with their arguments.
fn nouns(tokens: &[String]) -> Result<Vec<Noun>, ApiError> {
    let Some((version, rest)) = tokens.split_first() else {
        return Err(ApiError::NoPath);
    };
    match version.as_str() {
        "v2" => {}
        "v1" => return Err(ApiError::Gone),
        _ => return Err(ApiError::NoPath),
    }
    let mut nouns: Vec<Noun> = Vec::new();
    for token in rest {
        let last = nouns.last().map(|noun| noun.resource);
        let begins = |resource: &&Resource| may_follow(last, resource);
        match (resources::named(token).filter(begins), nouns.last_mut()) {
            (Some(resource), _) => nouns.push(Noun {
                resource,
                args: Vec::new(),
            }),
            (None, Some(noun)) => noun.args.push(token.clone()),
            (None, None) => return Err(ApiError::NoPath),
        }
    }
    if nouns.is_empty() {
        Err(ApiError::NoPath)
    } else {
        Ok(nouns)
    }
}

/// Whether an endpoint's name begins a noun there. Below what has nothing below it the name is an id like any other:
/// nobody who deletes a menu ends his token.
fn may_follow(last: Option<&Resource>, next: &Resource) -> bool {
    match last.map(|last| last.name) {
        None | Some("accounts" | "account") => true,
        Some("users" | "devices") => next.of_account,
        Some("callflows") => next.name == "metaflows",
        Some(_) => false,
    }
}

fn verbs(nouns: &[Noun]) -> Vec<Verb> {
    let Some(last) = nouns.last() else {
        return Vec::new();
    };
    let args: Vec<&str> = last.args.iter().map(String::as_str).collect();
    (last.resource.verbs)(&args).to_vec()
}

fn takes(nouns: &[Noun]) -> &'static [&'static str] {
    nouns.last().map_or(&[], |noun| noun.resource.takes)
}

fn is_request_id(id: &str) -> bool {
    (1..=128).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.:@".contains(&b))
}

fn is_function_name(name: &str) -> bool {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '$');
    begins
        && name.len() <= 128
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_$.".contains(c))
}
