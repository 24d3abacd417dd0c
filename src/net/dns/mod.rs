//! Name resolution for SIP (RFC 3263): asynchronous, on the io runtime, never on the signalling thread.
//!
//! - `config`: `[dns]`.
//! - `policy`: which questions, and the order of the answers. `table`: fixed answers for tests.
//! - `hold`: targets that failed, and their way back.
//! - here: hickory behind the policy, with its cache.

mod config;
mod hold;
mod policy;
mod table;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::{Resolver as Hickory, TokioResolver};
use tokio::runtime::Handle;

use crate::base::rng::Rng;
use crate::host::{clock, task};
use crate::sip::flow::Transport;
use crate::sip::msg::{Scheme, Uri};
use crate::sip::ua::Target;

use hold::HoldOut;

pub use config::{DnsConfig, NameServer};
pub use hold::Probe;
pub use policy::{Lookup, Naptr, NoAnswer, Question, ResolveError, Srv};
pub use table::Table;

/// Finds targets. A clone is another handle.
#[derive(Clone)]
pub struct Resolver(Arc<Inner>);

struct Inner {
    lookup: Arc<dyn Lookup>,
    /// Where lookups run; `None` answers in place, for tests.
    io: Option<Handle>,
    rng: Mutex<Rng>,
    held: Mutex<HoldOut>,
}

impl Resolver {
    /// A resolver whose lookups run on `io`.
    ///
    /// # Errors
    /// When the machine's own name servers are wanted and not known.
    pub fn new(config: &DnsConfig, io: Handle, rng: Rng) -> Result<Self, ResolveError> {
        let entered = io.enter();
        let lookup = Servers::new(config)?;
        drop(entered);
        Ok(Self::with(Arc::new(lookup), Some(io), config, rng))
    }

    /// A resolver for a machine that knows no name server: it finds addresses only.
    pub fn without_servers(config: &DnsConfig, rng: Rng) -> Self {
        Self::with(Arc::new(Table::default()), None, config, rng)
    }

    /// A resolver with fixed answers, for tests.
    pub fn fixed(table: Table, rng: Rng) -> Self {
        Self::with(Arc::new(table), None, &DnsConfig::default(), rng)
    }

    fn with(lookup: Arc<dyn Lookup>, io: Option<Handle>, config: &DnsConfig, rng: Rng) -> Self {
        Self(Arc::new(Inner {
            lookup,
            io,
            rng: Mutex::new(rng),
            held: Mutex::new(HoldOut::new(Duration::from_secs(config.hold_out_seconds))),
        }))
    }

    /// The targets of a URI, best first, those that failed lately last. One answer is one order: who fails over goes
    /// through it and does not ask again.
    ///
    /// # Errors
    /// When the host leads nowhere.
    pub async fn resolve(
        &self,
        host: &str,
        port: Option<u16>,
        transport: Option<Transport>,
        secure: bool,
    ) -> Result<Vec<Target>, ResolveError> {
        let question = Question {
            host: host.to_owned(),
            port,
            transport,
            secure,
        };
        let mut rng = {
            let mut rng = self.0.rng.lock().unwrap_or_else(PoisonError::into_inner);
            rng.fork()
        };
        let lookup = self.0.lookup.clone();
        let asking = async move { policy::targets(&*lookup, &question, &mut rng).await };
        let found = match &self.0.io {
            None => asking.await,
            Some(io) => match task::spawn_on(io, "dns", asking).await {
                Ok(Some(found)) => found,
                Ok(None) | Err(_) => Err(ResolveError::Failed {
                    host: host.to_owned(),
                    why: "the lookup was given up".to_owned(),
                }),
            },
        };
        metrics::counter!("swivel_sip_resolved_total", "found" => if found.is_ok() { "yes" } else { "no" })
            .increment(1);
        let now = clock::now();
        Ok(policy::held_last(found?, |target| {
            self.is_held(target, now)
        }))
    }

    /// The targets of a `sip` or `sips` URI; none when it leads nowhere.
    pub async fn targets(&self, uri: &Uri) -> Vec<Target> {
        let transport = uri.transport().and_then(Transport::named);
        let secure = uri.scheme == Scheme::Sips;
        let found = self
            .resolve(uri.host.as_str(), uri.port, transport, secure)
            .await;
        found.unwrap_or_else(|error| {
            tracing::info!(%uri, %error, "a name leads nowhere");
            Vec::new()
        })
    }

    /// A target failed (no answer, transport error, 503): others come before it for a while, for `wait` when the peer
    /// named a time (Retry-After), at most ten minutes.
    pub fn failed(&self, target: &Target, host: &str, wait: Option<Duration>, now: Instant) {
        self.held().failed(target, host, wait, now);
        self.count_held();
    }

    /// A target works again.
    pub fn works(&self, target: &Target) {
        self.held().works(target);
        self.count_held();
    }

    fn count_held(&self) {
        metrics::gauge!("swivel_sip_targets_held_out").set(self.held().len() as f64);
    }

    /// Whether any target is held out.
    pub fn holds_any(&self) -> bool {
        !self.held().is_empty()
    }

    /// Whether a target is held out.
    pub fn is_held(&self, target: &Target, now: Instant) -> bool {
        self.held().is_held(target, now)
    }

    /// Promises that somebody asks what [`Self::next_probe`] gives: from now on a target that failed gets traffic only
    /// after it has answered.
    pub fn take_probes(&self) {
        self.held().take_probes();
    }

    /// When the next probe is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.held().poll_timeout()
    }

    /// The next target to ask by OPTIONS: any answer is told by [`Self::works`], its silence by [`Self::failed`].
    pub fn next_probe(&self, now: Instant) -> Option<Probe> {
        self.held().next_probe(now)
    }

    fn held(&self) -> MutexGuard<'_, HoldOut> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}

/// Real name servers, and the cache before them.
struct Servers(TokioResolver);

impl Servers {
    fn new(config: &DnsConfig) -> Result<Self, ResolveError> {
        let failed = |error: NetError| ResolveError::Failed {
            host: "name servers".to_owned(),
            why: error.to_string(),
        };
        let mut builder = if config.servers.is_empty() {
            TokioResolver::builder_tokio().map_err(failed)?
        } else {
            let servers = config.servers.iter().map(|server| {
                let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
                let connections = connections.map(|mut connection| {
                    connection.port = server.0.port();
                    connection
                });
                NameServerConfig::new(server.0.ip(), true, connections.to_vec())
            });
            let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect::<Vec<_>>());
            Hickory::builder_with_config(config, TokioRuntimeProvider::default())
        };
        limit(builder.options_mut(), config);
        Ok(Self(builder.build().map_err(failed)?))
    }

    /// The records of a kind, as far as `read` understands them.
    async fn ask<T>(
        &self,
        name: String,
        kind: RecordType,
        read: impl Fn(&RData) -> Option<T>,
    ) -> Result<Vec<T>, NoAnswer> {
        // A final dot: search domains of this machine have nothing to do with SIP names.
        let answer = self.0.lookup(format!("{name}."), kind).await;
        let answer = answer.map_err(|error| no_answer(&error))?;
        Ok(answer
            .answers()
            .iter()
            .filter_map(|record| read(&record.data))
            .collect())
    }
}

fn limit(options: &mut ResolverOpts, config: &DnsConfig) {
    options.timeout = Duration::from_millis(config.timeout_ms);
    options.attempts = 2;
    options.cache_size = 4096;
    options.positive_min_ttl = Some(Duration::from_secs(5));
    options.positive_max_ttl = Some(Duration::from_secs(3600));
    options.negative_min_ttl = Some(Duration::from_secs(5));
    options.negative_max_ttl = Some(Duration::from_secs(60));
    options.edns0 = true;
}

fn no_answer(error: &NetError) -> NoAnswer {
    if error.is_no_records_found() {
        NoAnswer::None
    } else {
        NoAnswer::Failed(error.to_string())
    }
}

impl Lookup for Servers {
    fn naptr(&self, name: String) -> BoxFuture<'_, Result<Vec<Naptr>, NoAnswer>> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Box::pin(self.ask(name, RecordType::NAPTR, move |data| match data {
            RData::NAPTR(record) => Some(Naptr {
                order: record.order,
                preference: record.preference,
                flags: text(&record.flags),
                service: text(&record.services),
                replacement: record.replacement.to_utf8(),
            }),
            _ => None,
        }))
    }

    fn srv(&self, name: String) -> BoxFuture<'_, Result<Vec<Srv>, NoAnswer>> {
        let name = name.trim_end_matches('.').to_owned();
        Box::pin(self.ask(name, RecordType::SRV, |data| match data {
            RData::SRV(record) => Some(Srv {
                priority: record.priority,
                weight: record.weight,
                port: record.port,
                target: record.target.to_utf8(),
            }),
            _ => None,
        }))
    }

    fn addresses(&self, name: String) -> BoxFuture<'_, Result<Vec<IpAddr>, NoAnswer>> {
        Box::pin(async move {
            let found = self.0.lookup_ip(format!("{name}.")).await;
            let found = found.map_err(|error| no_answer(&error))?;
            Ok(found.iter().collect())
        })
    }
}

#[cfg(test)]
mod tests;
