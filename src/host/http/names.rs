//! Host names to addresses, every one of them checked by the guard before a connection is made.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::watch::Stopwatch;
use crate::host::clock;
use crate::host::guard::{Guard, GuardError};

/// Resolves host names. The machine's resolver, or a scripted one in tests.
pub trait Names: Send + Sync {
    /// All addresses of `name`, in order of preference.
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The machine's own resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemNames;

impl Names for SystemNames {
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

tokio::task_local! {
    /// The port of the exchange a task carries out: the resolver is asked for names only.
    pub(super) static PORT: u16;
    /// What learns when its connection stood.
    pub(super) static STOPWATCH: Stopwatch;
}

/// What reqwest asks: names in, checked addresses out.
pub(super) struct GuardedNames {
    pub(super) guard: Arc<Guard>,
    pub(super) names: Arc<dyn Names>,
}

/// Why a name was not resolved; found again in reqwest's error chain.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum NameError {
    #[error(transparent)]
    Refused(#[from] GuardError),
    #[error("{0}")]
    Lookup(String),
}

impl Resolve for GuardedNames {
    fn resolve(&self, name: Name) -> Resolving {
        // Read here and not in the future: this call is made in the task of the exchange.
        let port = PORT.try_with(|port| *port);
        let stopwatch = STOPWATCH.try_with(Clone::clone).unwrap_or_default();
        let from = clock::now();
        let (guard, name) = (self.guard.clone(), name.as_str().to_owned());
        let looked_up = self.names.lookup(name.clone());
        Box::pin(async move {
            let port = port.map_err(|_| {
                NameError::Lookup("the port of the exchange is not known".to_owned())
            })?;
            guard.check_host(&name, port).map_err(NameError::from)?;
            let found = looked_up
                .await
                .map_err(|error| NameError::Lookup(error.to_string()))?;
            stopwatch.named(from, clock::now());
            if found.is_empty() {
                return Err(NameError::Lookup("no address".to_owned()).into());
            }
            for address in &found {
                guard
                    .check_addr(*address, port)
                    .map_err(|error| NameError::Refused(naming(&name, error)))?;
            }
            let addresses: Addrs = Box::new(
                found
                    .into_iter()
                    .map(move |address| SocketAddr::new(address, port)),
            );
            Ok(addresses)
        })
    }
}

fn naming(name: &str, mut error: GuardError) -> GuardError {
    error.address = format!("{name} ({})", error.address);
    error
}
