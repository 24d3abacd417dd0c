//! The HTTP client of the house: for hooks, media, callbacks and uploads.
//!
//! Any thread may await it; sockets live on the io runtime. Redirects, retries, limits and the address guard are here,
//! one exchange with one server is the [`Transport`]'s: reqwest over real sockets ([`wire`]), or a stub in the
//! deterministic world. No proxy settings of the environment, no cookies, no `Accept-Encoding` of its own.

mod body;
mod names;
mod tls;
mod watch;
mod wire;

use std::fs::File;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;
use url::Url;

use super::clock;
use super::guard::{Guard, GuardError};
use super::task;
use crate::base::secret::Secret;
use crate::twilio::signature;
use watch::Watched;

pub use names::{Names, SystemNames};
pub use watch::{Outcome, Stopwatch, Timing, Watch, Watcher, watched};

/// The `User-Agent` of every request that names none itself.
pub const USER_AGENT: &str = concat!("swivel/", env!("CARGO_PKG_VERSION"));

/// An HTTP method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// `GET`.
    Get,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
    /// `PATCH`.
    Patch,
    /// `DELETE`.
    Delete,
    /// `HEAD`.
    Head,
}

impl Method {
    /// The method in capitals.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Head => "HEAD",
        }
    }
}

/// One request, redirects and retries included.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// The URL. User information becomes `Authorization: Basic` for this origin only.
    pub url: Url,
    /// Headers besides those the client adds (`Host`, `User-Agent`, `Content-Length`, `Authorization`).
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: Bytes,
    /// A file to send in place of `body`, read while it is sent.
    pub upload: Option<PathBuf>,
    /// For everything together, from the first byte sent to the last received.
    pub timeout: Duration,
    /// Longest body accepted, after decompression, in bytes.
    pub max_body: usize,
    /// How many redirects are followed; one more and the redirect itself is the answer.
    pub max_redirects: u8,
    /// Whether a 503 with a `Retry-After` of at most 99 s is asked again, within `timeout`.
    pub retry_unavailable: bool,
    /// Signs each exchange, redirects included, as Twilio does (`X-Twilio-Signature`); `None` signs none.
    pub auth_token: Option<Secret>,
    /// Sees each exchange; without one, whoever watches the task that asks ([`watched`]).
    pub watcher: Option<Watcher>,
}

impl HttpRequest {
    /// A `GET` with the house's limits: 5 s, 256 KiB, 4 redirects, 503 retried.
    pub fn get(url: Url) -> Self {
        Self {
            method: Method::Get,
            url,
            headers: Vec::new(),
            body: Bytes::new(),
            upload: None,
            timeout: Duration::from_secs(5),
            max_body: 256 * 1024,
            max_redirects: MAX_REDIRECTS,
            retry_unavailable: true,
            auth_token: None,
            watcher: None,
        }
    }

    /// A `POST` with the same limits.
    pub fn post(url: Url, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self {
            method: Method::Post,
            headers: vec![("Content-Type".to_owned(), content_type.to_owned())],
            body: body.into(),
            ..Self::get(url)
        }
    }
}

/// What a server answered.
#[derive(Debug, Clone)]
pub struct HttpResponse {
    /// Status of the last answer.
    pub status: u16,
    /// Its headers in order, names as sent in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, decompressed. Empty after [`HttpClient::download`].
    pub body: Bytes,
    /// The URL that answered, after redirects, without user information.
    pub url: Url,
    /// Headers of the last request, as sent.
    pub request_headers: Vec<(String, String)>,
    /// Headers of the first request, as sent.
    pub first_request_headers: Vec<(String, String)>,
    /// How many redirects were followed.
    pub redirects: u8,
    /// How many bytes of body, decompressed.
    pub body_len: u64,
    /// When the first request was handed to the transport.
    pub sent_at: Instant,
    /// When the head of the last answer had arrived.
    pub first_byte_at: Instant,
    /// When the body was complete.
    pub done_at: Instant,
}

impl HttpResponse {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The address guard refused.
    #[error(transparent)]
    Refused(#[from] GuardError),
    /// The time was up.
    #[error("no complete answer within {after:?}")]
    Timeout {
        /// The limit.
        after: Duration,
    },
    /// The host name has no address.
    #[error("{host} cannot be resolved: {detail}")]
    Name {
        /// The name.
        host: String,
        /// What the resolver said.
        detail: String,
    },
    /// No connection, or no TLS session.
    #[error("cannot connect to {host}: {detail}")]
    Connect {
        /// The host.
        host: String,
        /// What the system said.
        detail: String,
    },
    /// The connection broke, or what came over it is not HTTP.
    #[error("the exchange with {host} failed: {detail}")]
    Broken {
        /// The host.
        host: String,
        /// What went wrong.
        detail: String,
    },
    /// The body is longer than allowed.
    #[error("the body is longer than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The body is compressed far beyond what text or sound can be.
    #[error("the body is compressed more than {ratio} to 1")]
    Bomb {
        /// The limit.
        ratio: usize,
    },
    /// The body is compressed in a way that is not understood, or is not what it says.
    #[error("content encoding {encoding:?} cannot be undone")]
    Encoding {
        /// What the header says.
        encoding: String,
    },
    /// A redirect from https to http.
    #[error("redirected from https to {to}, which is not followed")]
    Downgrade {
        /// Where to.
        to: String,
    },
    /// A redirect that cannot be followed.
    #[error("redirected to {location:?}, which is not a URL")]
    Location {
        /// The header.
        location: String,
    },
    /// The file to be sent cannot be read.
    #[error("the file to be sent cannot be read: {kind}")]
    File {
        /// What the system said.
        kind: std::io::ErrorKind,
    },
    /// The file the body goes to could not be written.
    #[error("the body could not be written to disk: {kind}")]
    Disk {
        /// What the system said.
        kind: std::io::ErrorKind,
    },
    /// The request cannot be expressed in HTTP.
    #[error("header {name:?} cannot be sent")]
    Header {
        /// Its name.
        name: String,
    },
    /// The client's task went away: the process is shutting down.
    #[error("the HTTP client is shut down")]
    Closed,
}

/// One request to one server, after guard and redirect logic.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The method.
    pub method: Method,
    /// The URL, without user information.
    pub url: Url,
    /// All headers but `Host` and `Content-Length`.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: Bytes,
    /// A file to send in its place.
    pub upload: Option<PathBuf>,
    /// Learns when the connection stood.
    pub stopwatch: Stopwatch,
}

/// The head of an answer, and its body as it comes.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as sent, still compressed if it was.
    pub body: BoxStream<'static, Result<Bytes, HttpError>>,
}

/// The answer to a request for another protocol on the same connection (RFC 9110 §7.8).
pub struct Upgrade {
    /// The status; 101 when it was granted.
    pub status: u16,
    /// Headers in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The connection, when it was granted.
    pub connection: Option<Box<dyn Connection>>,
}

/// A connection that speaks another protocol now.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Carries out one exchange. Dropping the future ends it.
pub trait Transport: Send + Sync {
    /// Sends the request and waits for the head of the answer.
    fn exchange(&self, exchange: Exchange) -> BoxFuture<'_, Result<Answer, HttpError>>;

    /// Sends a request for another protocol and waits for the answer.
    fn upgrade(&self, exchange: Exchange) -> BoxFuture<'_, Result<Upgrade, HttpError>> {
        let host = exchange.url.host_str().unwrap_or("").to_owned();
        let detail = "this transport has no other protocol".to_owned();
        Box::pin(async move { Err(HttpError::Broken { host, detail }) })
    }
}

/// The HTTP client. Cheap to clone.
#[derive(Clone)]
pub struct HttpClient {
    io: Option<Handle>,
    guard: Arc<Guard>,
    transport: Arc<dyn Transport>,
}

impl HttpClient {
    /// A guarded client whose sockets live on `io`.
    pub fn new(io: Handle, guard: Arc<Guard>) -> Self {
        Self::with_names(io, guard, Arc::new(SystemNames))
    }

    /// The same with another resolver.
    pub fn with_names(io: Handle, guard: Arc<Guard>, names: Arc<dyn Names>) -> Self {
        let transport = Arc::new(wire::Wire::new(guard.clone(), names));
        Self {
            io: Some(io),
            guard,
            transport,
        }
    }

    /// A client for URLs the operator configured: no address is refused.
    pub fn unguarded(io: Handle) -> Self {
        Self::new(io, Arc::new(Guard::open()))
    }

    /// A client over a stub; everything runs in the caller's task, nothing is refused.
    pub fn stub(transport: Arc<dyn Transport>) -> Self {
        Self::stub_guarded(transport, Arc::new(Guard::open()))
    }

    /// A client over a stub behind a guard.
    pub fn stub_guarded(transport: Arc<dyn Transport>, guard: Arc<Guard>) -> Self {
        Self {
            io: None,
            guard,
            transport,
        }
    }

    /// The guard of this client.
    pub fn guard(&self) -> &Arc<Guard> {
        &self.guard
    }

    /// Sends a request, follows its redirects and reads the whole answer.
    ///
    /// # Errors
    /// When there is no complete answer, whatever its status.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.run(request, None).await
    }

    /// Like [`send`](Self::send), with the body of a 2xx answer written to `file` instead of memory.
    ///
    /// # Errors
    /// As `send`, and when the file cannot be written; it then holds part of a body.
    pub async fn download(
        &self,
        request: HttpRequest,
        file: File,
    ) -> Result<HttpResponse, HttpError> {
        self.run(request, Some(file)).await
    }

    /// Asks for another protocol, once: redirects are not followed. User information in the URL and the token are
    /// treated as in [`send`](Self::send).
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn upgrade(&self, request: HttpRequest) -> Result<Upgrade, HttpError> {
        let after = request.timeout;
        let (guard, transport) = (self.guard.clone(), self.transport.clone());
        let whole = async move {
            guard.check_url(&request.url)?;
            let exchange = signed(first_exchange(&request), request.auth_token.as_ref());
            tokio::time::timeout(after, transport.upgrade(exchange))
                .await
                .unwrap_or(Err(HttpError::Timeout { after }))
        };
        match &self.io {
            None => whole.await,
            Some(io) => on(io, whole).await.unwrap_or(Err(HttpError::Closed)),
        }
    }

    /// Starts a task where the sockets of this client live.
    pub fn spawn<F>(
        &self,
        name: &'static str,
        work: F,
    ) -> tokio::task::JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        match &self.io {
            None => task::spawn(name, work),
            Some(io) => task::spawn_on(io, name, work),
        }
    }

    async fn run(
        &self,
        request: HttpRequest,
        file: Option<File>,
    ) -> Result<HttpResponse, HttpError> {
        let after = request.timeout;
        let mut request = request;
        request.watcher = request.watcher.or_else(watch::here);
        let (guard, transport) = (self.guard.clone(), self.transport.clone());
        let whole = async move {
            let follow = Box::pin(follow(&guard, transport.as_ref(), request, file));
            tokio::time::timeout(after, follow)
                .await
                .unwrap_or(Err(HttpError::Timeout { after }))
        };
        match &self.io {
            None => whole.await,
            Some(io) => on(io, whole).await.unwrap_or(Err(HttpError::Closed)),
        }
    }
}

impl std::fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HttpClient(..)")
    }
}

/// Runs `work` on the io runtime; it is aborted when the returned future is dropped. `None` when it panicked or the
/// runtime is gone.
async fn on<T: Send + 'static>(
    io: &Handle,
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    struct Abort<T>(tokio::task::JoinHandle<T>);
    impl<T> Drop for Abort<T> {
        fn drop(&mut self) {
            self.0.abort();
        }
    }
    let mut handle = Abort(task::spawn_on(io, "http", work));
    (&mut handle.0).await.ok().flatten()
}

async fn follow(
    guard: &Guard,
    transport: &dyn Transport,
    request: HttpRequest,
    file: Option<File>,
) -> Result<HttpResponse, HttpError> {
    let sent_at = clock::now();
    let give_up = sent_at + request.timeout;
    let (mut exchange, mut redirects, mut retries) = (first_exchange(&request), 0, 0);
    let token = request.auth_token.as_ref();
    let first_request_headers = shown_headers(&signed(exchange.clone(), token));
    loop {
        let mut sent = signed(exchange.clone(), token);
        sent.stopwatch = Stopwatch::default();
        let (url, request_headers) = (sent.url.clone(), shown_headers(&sent));
        let watcher = request.watcher.as_ref();
        let watched = Watched::begin(watcher, &sent, &request_headers, give_up);
        let answer = match guard.check_url(&exchange.url) {
            Ok(()) => transport.exchange(sent).await,
            Err(refused) => Err(refused.into()),
        };
        let (answer, watched) = match (answer, watched) {
            (Ok(answer), watched) => (answer, watched),
            (Err(error), watched) => {
                watched.into_iter().for_each(|w| w.failed(&error));
                return Err(error);
            }
        };
        let first_byte_at = clock::now();
        let unread = |watched: Option<Watched<'_>>| {
            let head = (answer.status, answer.headers.as_slice());
            if let Some(watched) = watched {
                watched.answered(first_byte_at, head, &Bytes::new(), 0);
            }
        };
        if let Some(delay) = retry_delay(&request, &answer, retries)
            && clock::now() + delay < give_up
        {
            unread(watched);
            retries += 1;
            tokio::time::sleep(delay).await;
            continue;
        }
        if redirects < request.max_redirects {
            match redirected(&exchange, &answer) {
                Ok(None) => {}
                Ok(Some(next)) => {
                    unread(watched);
                    redirects += 1;
                    exchange = next;
                    continue;
                }
                Err(error) => {
                    unread(watched);
                    return Err(error);
                }
            }
        }
        let sink = file.filter(|_| (200..300).contains(&answer.status));
        let read = body::read(answer.body, &answer.headers, request.max_body, sink).await;
        let read = match (read, watched) {
            (Ok(read), watched) => {
                let head = (answer.status, answer.headers.as_slice());
                if let Some(watched) = watched {
                    watched.answered(first_byte_at, head, &read.body, read.len);
                }
                read
            }
            (Err(error), watched) => {
                watched.into_iter().for_each(|w| w.failed(&error));
                return Err(error);
            }
        };
        return Ok(HttpResponse {
            status: answer.status,
            headers: answer.headers,
            body: read.body,
            url,
            request_headers,
            first_request_headers,
            redirects,
            body_len: read.len,
            sent_at,
            first_byte_at,
            done_at: clock::now(),
        });
    }
}

fn first_exchange(request: &HttpRequest) -> Exchange {
    let mut headers = request.headers.clone();
    let mut url = request.url.clone();
    if let Some(credentials) = basic_credentials(&url)
        && header(&headers, "authorization").is_none()
    {
        headers.push(("Authorization".to_owned(), credentials));
    }
    strip_credentials(&mut url);
    if header(&headers, "user-agent").is_none() {
        headers.push(("User-Agent".to_owned(), USER_AGENT.to_owned()));
    }
    Exchange {
        method: request.method,
        url,
        headers,
        body: request.body.clone(),
        upload: request.upload.clone(),
        stopwatch: Stopwatch::default(),
    }
}

/// The exchange with its signature. A redirect is signed for where it leads.
fn signed(mut exchange: Exchange, token: Option<&Secret>) -> Exchange {
    if let Some(token) = token.filter(|token| !token.is_empty()) {
        let content_type = header(&exchange.headers, "content-type").map(str::to_owned);
        let signature = signature::sign(
            token,
            &mut exchange.url,
            content_type.as_deref(),
            &exchange.body,
        );
        exchange
            .headers
            .retain(|(name, _)| !name.eq_ignore_ascii_case(signature::HEADER));
        exchange
            .headers
            .push((signature::HEADER.to_owned(), signature));
    }
    exchange
}

/// `Basic …` for the URL's user information, if it has any.
fn basic_credentials(url: &Url) -> Option<String> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut pair: Vec<u8> = percent_decode_str(url.username()).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(url.password().unwrap_or("")));
    Some(format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(pair)
    ))
}

fn strip_credentials(url: &mut Url) {
    // Fails only for URLs that cannot have user information; the guard refuses those.
    if url.set_username("").is_err() || url.set_password(None).is_err() {
        tracing::debug!(scheme = url.scheme(), "not an http URL");
    }
}

fn shown_headers(exchange: &Exchange) -> Vec<(String, String)> {
    let host = match (exchange.url.host_str(), exchange.url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or("").to_owned(),
    };
    let mut shown = vec![("Host".to_owned(), host)];
    shown.extend(exchange.headers.iter().cloned());
    if !exchange.body.is_empty() {
        shown.push(("Content-Length".to_owned(), exchange.body.len().to_string()));
    }
    shown
}

fn retry_delay(request: &HttpRequest, answer: &Answer, retries: u8) -> Option<Duration> {
    if !request.retry_unavailable || answer.status != 503 || retries >= MAX_RETRIES {
        return None;
    }
    let text = header(&answer.headers, "retry-after")?.trim();
    let seconds: u64 = if text.len() <= 2 {
        text.parse().ok()?
    } else {
        return None;
    };
    Some(Duration::from_secs(seconds).max(SHORTEST_RETRY))
}

/// The exchange a redirect asks for; `None` when the answer is final.
fn redirected(exchange: &Exchange, answer: &Answer) -> Result<Option<Exchange>, HttpError> {
    let method = match (answer.status, exchange.method) {
        (300..=302, Method::Get | Method::Head) | (307 | 308, _) => exchange.method,
        (301 | 302, Method::Post) | (303, _) => {
            if exchange.method == Method::Head {
                Method::Head
            } else {
                Method::Get
            }
        }
        _ => return Ok(None),
    };
    let Some(location) = header(&answer.headers, "location") else {
        return Ok(None);
    };
    let unusable = || HttpError::Location {
        location: location.chars().take(200).collect(),
    };
    let mut url = exchange.url.join(location).map_err(|_| unusable())?;
    strip_credentials(&mut url);
    if exchange.url.scheme() == "https" && url.scheme() == "http" {
        return Err(HttpError::Downgrade {
            to: url.origin().ascii_serialization(),
        });
    }
    let (body, upload) = if method == exchange.method {
        (exchange.body.clone(), exchange.upload.clone())
    } else {
        (Bytes::new(), None)
    };
    let with_body = !body.is_empty() || upload.is_some();
    let mut headers = exchange.headers.clone();
    headers.retain(|(name, _)| may_follow(name, &exchange.url, &url, with_body));
    Ok(Some(Exchange {
        method,
        url,
        headers,
        body,
        upload,
        stopwatch: Stopwatch::default(),
    }))
}

/// Whether a header goes along with a redirect: credentials stay with their origin, the caller's own headers (which
/// may be secrets too) with their host, and a body's type with the body.
fn may_follow(name: &str, from: &Url, to: &Url, with_body: bool) -> bool {
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        "authorization" | "cookie" => from.origin() == to.origin(),
        "content-type" => with_body,
        "user-agent" | "accept" | "accept-encoding" | "if-none-match" | "if-modified-since"
        | "range" => true,
        _ => from.host() == to.host(),
    }
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

/// Redirects followed unless the request says otherwise.
pub const MAX_REDIRECTS: u8 = 4;
/// How often a 503 is asked again.
const MAX_RETRIES: u8 = 5;
/// `Retry-After: 0` still leaves the server this much time.
const SHORTEST_RETRY: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
