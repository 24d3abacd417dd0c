//! Who wants to see each request that goes to a server and what came back, redirects and repetitions included.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Exchange, HttpError};
use crate::host::clock;

/// Sees exchanges as they happen. Called in the task that carries them out: must not wait.
pub trait Watch: Send + Sync {
    /// A request is about to be sent; gives it a name. `headers` are those on the wire.
    fn asked(&self, exchange: &Exchange, headers: &[(String, String)]) -> u64;

    /// What became of it.
    fn told(&self, name: u64, outcome: Outcome<'_>, timing: &Timing);
}

/// What became of a request.
#[derive(Debug, Clone, Copy)]
pub enum Outcome<'a> {
    /// A server answered.
    Answered {
        /// The status.
        status: u16,
        /// Headers in order.
        headers: &'a [(String, String)],
        /// The body; empty where it went into a file or was not read.
        body: &'a Bytes,
        /// Its whole length.
        length: u64,
    },
    /// None did.
    Failed(&'a str),
}

/// A watch that goes along with a request.
#[derive(Clone)]
pub struct Watcher(pub Arc<dyn Watch>);

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watcher(..)")
    }
}

/// Where the time of an exchange went. A connection used again has neither `dns` nor `connect`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timing {
    /// Asking for the name.
    pub dns: Option<Duration>,
    /// Connecting, the TLS handshake included.
    pub connect: Option<Duration>,
    /// From then until the answer's head.
    pub server: Option<Duration>,
    /// Until the end of its body.
    pub body: Option<Duration>,
    /// Everything.
    pub total: Duration,
}

/// Filled in by the transport while a connection is made.
#[derive(Debug, Clone, Default)]
pub struct Stopwatch(Arc<Mutex<Laps>>);

#[derive(Debug, Clone, Copy, Default)]
struct Laps {
    names: Option<(Instant, Instant)>,
    connected: Option<(Instant, Instant)>,
}

impl Stopwatch {
    /// The name was looked up.
    pub fn named(&self, from: Instant, to: Instant) {
        self.laps(|laps| laps.names = Some((from, to)));
    }

    /// A connection was made, or tried, names included.
    pub fn connected(&self, from: Instant, to: Instant) {
        self.laps(|laps| laps.connected = Some((from, to)));
    }

    fn laps<T>(&self, work: impl FnOnce(&mut Laps) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn timing(&self, begun: Instant, head: Option<Instant>, end: Instant) -> Timing {
        let laps = self.laps(|laps| *laps);
        let between = |from: Instant, to: Instant| to.saturating_duration_since(from);
        let dns = laps.names.map(|(from, to)| between(from, to));
        let connected = laps.connected;
        let connect =
            connected.map(|(from, to)| between(from, to).saturating_sub(dns.unwrap_or_default()));
        let asked = connected.map_or(begun, |(_, to)| to);
        Timing {
            dns,
            connect,
            server: head.map(|head| between(asked, head)),
            body: head.map(|head| between(head, end)),
            total: between(begun, end),
        }
    }
}

/// One exchange under watch. Dropped before it was told, it failed: the time was up, or nobody waits any more.
pub(super) struct Watched<'a> {
    watch: &'a dyn Watch,
    name: u64,
    stopwatch: Stopwatch,
    begun: Instant,
    give_up: Instant,
    told: bool,
}

impl<'a> Watched<'a> {
    pub(super) fn begin(
        watcher: Option<&'a Watcher>,
        exchange: &Exchange,
        headers: &[(String, String)],
        give_up: Instant,
    ) -> Option<Self> {
        let watch = &*watcher?.0;
        Some(Self {
            watch,
            name: watch.asked(exchange, headers),
            stopwatch: exchange.stopwatch.clone(),
            begun: clock::now(),
            give_up,
            told: false,
        })
    }

    pub(super) fn answered(
        mut self,
        head: Instant,
        (status, headers): (u16, &[(String, String)]),
        body: &Bytes,
        length: u64,
    ) {
        let outcome = Outcome::Answered {
            status,
            headers,
            body,
            length,
        };
        self.tell(outcome, Some(head));
    }

    pub(super) fn failed(mut self, error: &HttpError) {
        self.tell(Outcome::Failed(&error.to_string()), None);
    }

    fn tell(&mut self, outcome: Outcome<'_>, head: Option<Instant>) {
        self.told = true;
        let timing = self.stopwatch.timing(self.begun, head, clock::now());
        self.watch.told(self.name, outcome, &timing);
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        if self.told {
            return;
        }
        let why = match clock::now() >= self.give_up {
            true => "the time for an answer was up",
            false => "nobody waits for the answer any more",
        };
        self.tell(Outcome::Failed(why), None);
    }
}
