//! Exchanges over real sockets: reqwest with rustls.
//!
//! Connections are kept and used again, but never across a change of the guard's rules: then the whole pool goes, so
//! that a block is effective at once.

use std::error::Error;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};

use super::names::{GuardedNames, NameError, Names, PORT, STOPWATCH};
use super::{Answer, Connection, Exchange, HttpError, Method, Transport, Upgrade};
use crate::host::clock;
use crate::host::guard::Guard;

/// Exchanges over real sockets.
pub(super) struct Wire {
    guard: Arc<Guard>,
    names: Arc<dyn Names>,
    pool: RwLock<Option<Pool>>,
}

#[derive(Clone)]
struct Pool {
    generation: u64,
    client: reqwest::Client,
}

impl Wire {
    pub(super) fn new(guard: Arc<Guard>, names: Arc<dyn Names>) -> Self {
        Self {
            guard,
            names,
            pool: RwLock::new(None),
        }
    }

    fn client(&self, host: &str) -> Result<reqwest::Client, HttpError> {
        let generation = self.guard.generation();
        let pool = self
            .pool
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(pool) = pool.filter(|pool| pool.generation == generation) {
            return Ok(pool.client);
        }
        let mut slot = self.pool.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = slot.as_ref().filter(|pool| pool.generation == generation) {
            return Ok(pool.client.clone());
        }
        let names = Arc::new(GuardedNames {
            guard: self.guard.clone(),
            names: self.names.clone(),
        });
        let client = client(names).map_err(|error| HttpError::Connect {
            host: host.to_owned(),
            detail: chain(&error),
        })?;
        *slot = Some(Pool {
            generation,
            client: client.clone(),
        });
        Ok(client)
    }

    async fn request(&self, exchange: Exchange) -> Result<reqwest::Response, HttpError> {
        let host = exchange.url.host_str().unwrap_or("").to_owned();
        let port = exchange.url.port_or_known_default().unwrap_or(0);
        let client = self.client(&host)?;
        let mut request = client
            .request(method(exchange.method), exchange.url)
            .headers(headers(&exchange.headers)?);
        if let Some(path) = exchange.upload {
            let (length, body) = file(&path)
                .await
                .map_err(|error| HttpError::File { kind: error.kind() })?;
            request = request.header(CONTENT_LENGTH, length).body(body);
        } else if !exchange.body.is_empty()
            || matches!(exchange.method, Method::Post | Method::Put | Method::Patch)
        {
            request = request.body(exchange.body);
        }
        let sent = STOPWATCH.scope(exchange.stopwatch, request.send());
        PORT.scope(port, sent)
            .await
            .map_err(|error| reason(&host, &error))
    }

    async fn carry_out(&self, exchange: Exchange) -> Result<Answer, HttpError> {
        let host = exchange.url.host_str().unwrap_or("").to_owned();
        let response = self.request(exchange).await?;
        let status = response.status().as_u16();
        let headers = listed(response.headers());
        let body = response
            .bytes_stream()
            .map(move |chunk| chunk.map_err(|error| reason(&host, &error)))
            .boxed();
        Ok(Answer {
            status,
            headers,
            body,
        })
    }

    async fn change(&self, exchange: Exchange) -> Result<Upgrade, HttpError> {
        let host = exchange.url.host_str().unwrap_or("").to_owned();
        let response = self.request(exchange).await?;
        let status = response.status().as_u16();
        let headers = listed(response.headers());
        let connection: Option<Box<dyn Connection>> = if status == 101 {
            let upgraded = response.upgrade().await;
            Some(Box::new(upgraded.map_err(|error| reason(&host, &error))?))
        } else {
            None
        };
        Ok(Upgrade {
            status,
            headers,
            connection,
        })
    }
}

impl Transport for Wire {
    fn exchange(&self, exchange: Exchange) -> BoxFuture<'_, Result<Answer, HttpError>> {
        Box::pin(self.carry_out(exchange))
    }

    fn upgrade(&self, exchange: Exchange) -> BoxFuture<'_, Result<Upgrade, HttpError>> {
        Box::pin(self.change(exchange))
    }
}

/// Headers in order.
fn listed(map: &HeaderMap) -> Vec<(String, String)> {
    map.iter()
        .map(|(name, value)| {
            (
                name.as_str().to_owned(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect()
}

/// A file as a body that is read while it is sent, and its length.
async fn file(path: &Path) -> std::io::Result<(u64, reqwest::Body)> {
    let file = tokio::fs::File::open(path).await?;
    let length = file.metadata().await?.len();
    Ok((length, file.into()))
}

fn client(names: Arc<GuardedNames>) -> reqwest::Result<reqwest::Client> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    // A second call finds it installed already, by us.
    drop(rustls::crypto::CryptoProvider::install_default(
        (*provider).clone(),
    ));
    match super::tls::config(provider) {
        Ok(tls) => builder(names).tls_backend_preconfigured(tls).build(),
        Err(error) => {
            tracing::warn!(%error, "no certificate authorities on this machine: https will fail, http works");
            builder(names).tls_certs_only([]).build()
        }
    }
}

fn builder(names: Arc<GuardedNames>) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .dns_resolver(names)
        .no_proxy()
        .no_gzip()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .pool_max_idle_per_host(64)
        .pool_idle_timeout(Duration::from_secs(30))
        .connector_layer(tower::layer::layer_fn(TimedConnector))
}

/// Makes connections, and says how long each took.
#[derive(Clone)]
struct TimedConnector<S>(S);

impl<S, R> tower::Service<R> for TimedConnector<S>
where
    S: tower::Service<R>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        // Asked here: this call is made in the task of the exchange, the rest may not be.
        let stopwatch = STOPWATCH.try_with(Clone::clone).unwrap_or_default();
        let from = clock::now();
        let connecting = STOPWATCH.scope(stopwatch.clone(), self.0.call(request));
        Box::pin(async move {
            let connected = connecting.await;
            stopwatch.connected(from, clock::now());
            connected
        })
    }
}

fn method(method: Method) -> reqwest::Method {
    match method {
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        Method::Patch => reqwest::Method::PATCH,
        Method::Delete => reqwest::Method::DELETE,
        Method::Head => reqwest::Method::HEAD,
    }
}

fn headers(list: &[(String, String)]) -> Result<HeaderMap, HttpError> {
    let mut map = HeaderMap::with_capacity(list.len());
    for (name, value) in list {
        let unusable = || HttpError::Header { name: name.clone() };
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable())?;
        map.append(
            header,
            HeaderValue::from_str(value).map_err(|_| unusable())?,
        );
    }
    Ok(map)
}

/// Our error for reqwest's, found by looking through its sources.
fn reason(host: &str, error: &reqwest::Error) -> HttpError {
    let host = host.to_owned();
    let mut source: Option<&(dyn Error + 'static)> = error.source();
    while let Some(inner) = source {
        match inner.downcast_ref::<NameError>() {
            Some(NameError::Refused(refused)) => return HttpError::Refused(refused.clone()),
            Some(NameError::Lookup(detail)) => {
                return HttpError::Name {
                    host,
                    detail: detail.clone(),
                };
            }
            None => source = inner.source(),
        }
    }
    let detail = chain(error);
    if error.is_connect() {
        HttpError::Connect { host, detail }
    } else {
        HttpError::Broken { host, detail }
    }
}

/// The innermost messages of an error, which say most.
fn chain(error: &dyn Error) -> String {
    let mut messages = Vec::new();
    let mut source = error.source();
    while let Some(inner) = source {
        let message = inner.to_string();
        if messages.last() != Some(&message) {
            messages.push(message);
        }
        source = inner.source();
    }
    messages.pop().unwrap_or_else(|| error.to_string())
}
