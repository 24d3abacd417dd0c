//! The Crossbar-shaped HTTP API under `/v2`, with `/metrics` and `/healthz` beside it.
//!
//! - `server`: takes a request apart, finds its resource, checks token and rate. `call`: the request, taken apart.
//! - `envelope`: from an answer or an error to HTTP. `answer`, `error`, `verb`: what is said.
//! - `resources/`: one endpoint a file. `documents`: what endpoints of documents have in common.
//! - `schemas/`: the schemas of documents, from structs; checking against them.
//! - `list`, `csv`: filters, order, pages; tables.
//! - `token`, `hs256`, `login`, `rate`: who may ask, and how often. `audit`: who wrote what.
//! - `links`: links that sign in once. `now`: what happens right now. `tabs`: the telephones of the page.
//! - `placing`: what endpoints that place calls share. `throttle`: how often one may be used.
//! - `messages`: how many messages wait for a device or user.
//! - `strict`: reads JSON of strangers. `body`: reads bodies of every kind.
//! - `replay`: an exchange of a call, once more. `peaks`: the picture of a sound file.
//! - `sip_socket`: SIP over WebSocket at `/sip`.
//! - `events`: live events at `/v2/websocket`. `follow`: calls
//!   through the lens there. `findings`: what is odd about answers of web servers.
//! - `openapi`: all of it, described for machines.
//! - `twilio/`: the part of Twilio's REST API that voice applications call.
//! - `config`: `[http]`. `start`: the first account. `apply`: documents of a file.

mod answer;
mod apply;
mod audit;
mod body;
mod call;
mod config;
mod csv;
mod documents;
mod envelope;
mod error;
mod events;
mod findings;
mod follow;
mod hs256;
mod links;
mod list;
mod login;
mod messages;
mod now;
mod openapi;
mod peaks;
mod placing;
mod rate;
mod replay;
mod resources;
mod schemas;
mod server;
mod sip_socket;
mod start;
pub mod strict;
mod tabs;
mod throttle;
mod token;
mod trunk_test;
mod twilio;
mod verb;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use futures_util::future::BoxFuture;
use tokio::sync::MutexGuard;

use crate::base::rng::Rng;
use crate::call::channels::Channels;
use crate::clips::Clips;
use crate::directory::Directory;
use crate::host::http::HttpClient;
use crate::jobs::Outbox;
use crate::jobs::webhooks::Webhooks;
use crate::journal::Journal;
use crate::net::{Prober, WebSockets};
use crate::recordings::Shelf;
use crate::registrar::Remote;
use crate::store::StoreError;

pub use apply::{ApplyError, KEPT};
pub use call::TREE;
pub use config::{HttpConfig, RateConfig};
pub use documents::Saved;
pub use error::ApiError;
pub use links::LinkError;
pub use start::FirstStart;
pub use verb::Verb;

/// Says whether the server may be made to fetch a URL; the error is the reason it may not.
pub type UrlGuard = Arc<dyn Fn(&str) -> Result<(), String> + Send + Sync>;
/// Gives text.
pub type Text = Arc<dyn Fn() -> String + Send + Sync>;

/// Looks at the server itself.
pub type Health = Arc<dyn Fn() -> BoxFuture<'static, Vec<Check>> + Send + Sync>;

/// One thing that was looked at.
#[derive(Debug, Clone)]
pub struct Check {
    /// What.
    pub what: String,
    /// `ok`, `attention` or `failing`.
    pub state: &'static str,
    /// How it stands, in words.
    pub words: String,
}

/// What the API works with.
pub struct Parts {
    /// Every account.
    pub directory: Directory,
    /// Call records, debug log.
    pub journal: Journal,
    /// Where phones are.
    pub registrations: Remote,
    /// `[http]`.
    pub config: HttpConfig,
    /// Checks URLs in documents.
    pub guard: UrlGuard,
    /// Metrics in Prometheus's text format.
    pub metrics: Text,
    /// Ids, tokens, passwords.
    pub rng: Rng,
}

/// The API. Cheap to clone.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    directory: Directory,
    journal: Journal,
    registrations: Remote,
    config: HttpConfig,
    guard: UrlGuard,
    metrics: Text,
    /// Where `/sip` leads, once there is a signalling thread.
    sip: OnceLock<WebSockets>,
    /// Ids of documents and requests; held to fork it.
    rng: Mutex<Rng>,
    tokens: token::Tokens,
    buckets: rate::Buckets,
    /// The calls of a running server.
    channels: OnceLock<Channels>,
    /// What a running server has recorded.
    recordings: OnceLock<Shelf>,
    /// Asks web servers, where a running server may.
    http: OnceLock<HttpClient>,
    /// Who is told of changed documents.
    webhooks: OnceLock<Webhooks>,
    /// Where callbacks wait for their turn.
    outbox: OnceLock<Outbox>,
    /// What texts sound like.
    clips: OnceLock<Clips>,
    throttles: throttle::Throttles,
    /// Keys that sign in once.
    links: links::Links,
    /// Telephones of browsers.
    tabs: tabs::Tabs,
    /// What goes on.
    watch: now::Watch,
    hours: now::Hours,
    health: OnceLock<Health>,
    /// Looks at trunks from outside.
    prober: OnceLock<Prober>,
    /// Who listens to live events.
    sessions: events::Sessions,
    /// Checking and writing a document are one step.
    saving: tokio::sync::Mutex<()>,
}

impl Api {
    /// Reads, or makes, the key of tokens.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn new(mut parts: Parts) -> Result<Api, StoreError> {
        let tokens = token::Tokens::load(parts.directory.store(), &mut parts.rng).await?;
        Ok(Api(Arc::new(Inner {
            directory: parts.directory,
            journal: parts.journal,
            registrations: parts.registrations,
            config: parts.config,
            guard: parts.guard,
            metrics: parts.metrics,
            sip: OnceLock::new(),
            rng: Mutex::new(parts.rng),
            tokens,
            buckets: rate::Buckets::default(),
            channels: OnceLock::new(),
            recordings: OnceLock::new(),
            http: OnceLock::new(),
            webhooks: OnceLock::new(),
            outbox: OnceLock::new(),
            clips: OnceLock::new(),
            throttles: throttle::Throttles::default(),
            links: links::Links::default(),
            tabs: tabs::Tabs::default(),
            watch: now::Watch::default(),
            hours: now::Hours::default(),
            health: OnceLock::new(),
            prober: OnceLock::new(),
            sessions: events::Sessions::default(),
            saving: tokio::sync::Mutex::new(()),
        })))
    }

    /// Hands WebSockets at `/sip` to the SIP transports.
    pub fn take_web_sockets(&self, sip: WebSockets) {
        if self.0.sip.set(sip).is_err() {
            tracing::debug!("WebSockets had a place to go already");
        }
    }

    /// Where calls are found from now on; the first time counts.
    pub fn set_channels(&self, channels: Channels) {
        drop(self.0.channels.set(channels));
    }

    /// Where recordings are found from now on; the first time counts.
    pub fn set_recordings(&self, recordings: Shelf) {
        drop(self.0.recordings.set(recordings));
    }

    /// What asks web servers from now on; the first time counts.
    pub fn set_http(&self, client: HttpClient) {
        drop(self.0.http.set(client));
    }

    fn http(&self) -> Option<&HttpClient> {
        self.0.http.get()
    }

    fn recordings(&self) -> Option<&Shelf> {
        self.0.recordings.get()
    }

    /// Who is told of changed documents from now on; the first time counts.
    pub fn set_webhooks(&self, webhooks: Webhooks) {
        drop(self.0.webhooks.set(webhooks));
    }

    fn webhooks(&self) -> Option<&Webhooks> {
        self.0.webhooks.get()
    }

    /// Where callbacks go from now on; the first time counts.
    pub fn set_outbox(&self, outbox: Outbox) {
        drop(self.0.outbox.set(outbox));
    }

    /// What texts sound like from now on; the first time counts.
    pub fn set_clips(&self, clips: Clips) {
        drop(self.0.clips.set(clips));
    }

    fn clips(&self) -> Option<&Clips> {
        self.0.clips.get()
    }

    fn outbox(&self) -> Option<&Outbox> {
        self.0.outbox.get()
    }

    fn sessions(&self) -> &events::Sessions {
        &self.0.sessions
    }

    /// Follows what happens from now on, for those who look at it. Must be called once, where tasks can be.
    pub fn watch_calls(&self) {
        self.0.watch.follow(&self.0.journal);
    }

    /// How the server's health is asked for from now on; the first time counts.
    pub fn set_health(&self, health: Health) {
        drop(self.0.health.set(health));
    }

    /// How trunks are tested from now on; the first time counts.
    pub fn set_prober(&self, prober: Prober) {
        drop(self.0.prober.set(prober));
    }

    fn prober(&self) -> Option<&Prober> {
        self.0.prober.get()
    }

    fn health(&self) -> Option<&Health> {
        self.0.health.get()
    }

    fn tabs(&self) -> &tabs::Tabs {
        &self.0.tabs
    }

    fn watch(&self) -> &now::Watch {
        &self.0.watch
    }

    fn hours(&self) -> &now::Hours {
        &self.0.hours
    }

    fn links(&self) -> &links::Links {
        &self.0.links
    }

    fn throttles(&self) -> &throttle::Throttles {
        &self.0.throttles
    }

    fn channels(&self) -> Option<&Channels> {
        self.0.channels.get()
    }

    fn directory(&self) -> &Directory {
        &self.0.directory
    }

    fn journal(&self) -> &Journal {
        &self.0.journal
    }

    fn registrations(&self) -> &Remote {
        &self.0.registrations
    }

    fn config(&self) -> &HttpConfig {
        &self.0.config
    }

    fn guard(&self) -> &(dyn Fn(&str) -> Result<(), String> + Send + Sync) {
        &*self.0.guard
    }

    fn tokens(&self) -> &token::Tokens {
        &self.0.tokens
    }

    fn rng(&self) -> Rng {
        self.0
            .rng
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .fork()
    }

    async fn saving(&self) -> MutexGuard<'_, ()> {
        self.0.saving.lock().await
    }
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Api")
    }
}

#[cfg(test)]
mod tests;
