//! Who wants to see each request that goes to a server and what came back, redirects and repetitions included.

use std::future::Future;
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

tokio::task_local! {
    /// Who watches what the task asks for.
    static HERE: Watcher;
}

/// Has `watcher` see every exchange that `work` asks for and nobody else watches: for work that knows nothing of calls.
pub async fn watched<F: Future>(watcher: Option<Watcher>, work: F) -> F::Output {
    match watcher {
        Some(watcher) => HERE.scope(watcher, work).await,
        None => work.await,
    }
}

/// Who watches the present task.
pub(super) fn here() -> Option<Watcher> {
    HERE.try_with(Clone::clone).ok()
}

/// Where the time of an exchange went. A connection used again has neither `dns` nor `connect`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timing {
    /// Asking for the name.
    pub dns: Option<Duration>,
    /// Connecting.
    pub connect: Option<Duration>,
    /// The TLS handshake.
    pub tls: Option<Duration>,
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
    shaking: Option<Instant>,
    connected: Option<(Instant, Instant)>,
}

impl Stopwatch {
    /// The name was looked up.
    pub fn named(&self, from: Instant, to: Instant) {
        self.laps(|laps| laps.names = Some((from, to)));
    }

    /// A TLS handshake begins, or goes on.
    pub fn shakes_hands(&self, now: Instant) {
        self.laps(|laps| laps.shaking = laps.shaking.or(Some(now)));
    }

    /// A connection was made, or tried, names and handshake included.
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
        let shaking = |(from, to)| laps.shaking.map(|at: Instant| at.clamp(from, to));
        let connect = connected.map(|(from, to)| {
            let stood = shaking((from, to)).unwrap_or(to);
            between(from, stood).saturating_sub(dns.unwrap_or_default())
        });
        let tls = connected.and_then(|laps| Some(between(shaking(laps)?, laps.1)));
        let asked = connected.map_or(begun, |(_, to)| to);
        Timing {
            dns,
            connect,
            tls,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::http::{HttpClient, HttpRequest, Transport};
    use futures_util::future::BoxFuture;

    #[test]
    fn the_handshake_is_told_from_the_connection() {
        let begun = clock::now();
        let at = |ms| begun + Duration::from_millis(ms);
        let stopwatch = Stopwatch::default();
        stopwatch.named(at(0), at(3));
        stopwatch.shakes_hands(at(10));
        stopwatch.shakes_hands(at(12));
        stopwatch.connected(at(0), at(30));
        let timing = stopwatch.timing(begun, Some(at(50)), at(60));
        let ms = Duration::from_millis;
        assert_eq!(
            (
                timing.dns,
                timing.connect,
                timing.tls,
                timing.server,
                timing.body
            ),
            (
                Some(ms(3)),
                Some(ms(7)),
                Some(ms(20)),
                Some(ms(20)),
                Some(ms(10))
            )
        );
        let plain = Stopwatch::default();
        plain.connected(at(0), at(4));
        let timing = plain.timing(begun, None, at(5));
        assert_eq!((timing.connect, timing.tls), (Some(ms(4)), None));
    }

    struct Nowhere;

    impl Transport for Nowhere {
        fn exchange(
            &self,
            _: Exchange,
        ) -> BoxFuture<'_, Result<crate::host::http::Answer, HttpError>> {
            Box::pin(async { Err(HttpError::Closed) })
        }
    }

    #[derive(Default)]
    struct Seen(Mutex<Vec<String>>);

    impl Watch for Seen {
        fn asked(&self, exchange: &Exchange, _: &[(String, String)]) -> u64 {
            let mut seen = self.0.lock().unwrap();
            seen.push(exchange.url.to_string());
            0
        }

        fn told(&self, _: u64, _: Outcome<'_>, _: &Timing) {}
    }

    #[tokio::test]
    async fn who_watches_a_task_sees_what_it_asks_for_and_nothing_after_that() {
        let client = HttpClient::stub(Arc::new(Nowhere));
        let (one, other) = (Arc::new(Seen::default()), Arc::new(Seen::default()));
        let get = |path: &str, watcher: Option<Watcher>| {
            let url = url::Url::parse(&format!("http://example.com{path}")).unwrap();
            let request = HttpRequest {
                watcher,
                ..HttpRequest::get(url)
            };
            client.send(request)
        };
        let asked = watched(Some(Watcher(one.clone())), async {
            assert!(get("/a", None).await.is_err());
            assert!(get("/b", Some(Watcher(other.clone()))).await.is_err());
        });
        asked.await;
        assert!(get("/c", None).await.is_err());
        assert_eq!(*one.0.lock().unwrap(), ["http://example.com/a"]);
        assert_eq!(*other.0.lock().unwrap(), ["http://example.com/b"]);
    }
}
