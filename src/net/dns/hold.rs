//! Targets that failed, and their way back: held out for a while, then asked by OPTIONS before traffic returns (`sip.md`
//! §4). Pure: the time is an argument. Whoever can send OPTIONS takes probes; while nobody does, the time alone counts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::sip::flow::Transport;
use crate::sip::ua::Target;

type Key = (Transport, SocketAddr);

/// What is known of targets that failed; a target that is not in it is believed to work.
#[derive(Debug)]
pub(super) struct HoldOut {
    /// How long a failure counts.
    wait: Duration,
    /// Whether somebody takes probes.
    probed: bool,
    held: BTreeMap<Key, Held>,
}

#[derive(Debug, Clone)]
struct Held {
    state: State,
    /// The host it was called by: a secure one must prove to be that.
    host: Arc<str>,
    /// When it began to fail.
    since: Instant,
}

/// A target to be asked whether it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Where it is.
    pub target: Target,
    /// The host it was called by.
    pub host: Arc<str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not to be tried before that time.
    Held { until: Instant },
    /// An OPTIONS is on its way; its transaction ends by then.
    Asked { until: Instant },
}

impl HoldOut {
    pub(super) fn new(wait: Duration) -> Self {
        Self {
            wait,
            probed: false,
            held: BTreeMap::new(),
        }
    }

    /// A target failed that was called by that host; the peer may have said for how long.
    pub(super) fn failed(
        &mut self,
        target: &Target,
        host: &str,
        said: Option<Duration>,
        now: Instant,
    ) {
        let wait = said.unwrap_or(self.wait).min(LONGEST);
        if wait.is_zero() {
            return;
        }
        if !self.probed {
            self.held.retain(|_, held| held.state.until() > now);
        }
        let key = key(target);
        let state = State::Held { until: now + wait };
        let full = self.held.len() >= MOST;
        match self.held.get_mut(&key) {
            // Whoever is gone for good is not asked for ever.
            Some(held) if now.saturating_duration_since(held.since) >= FORGET => {
                self.held.remove(&key);
            }
            Some(held) => held.state = state,
            None if !full => {
                let held = Held {
                    state,
                    host: host.into(),
                    since: now,
                };
                self.held.insert(key, held);
            }
            None => {}
        }
    }

    /// Whether any target is held out.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// How many targets are held out.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// A target works.
    pub(super) fn works(&mut self, target: &Target) {
        self.held.remove(&key(target));
    }

    /// Whether others should be tried first.
    pub(super) fn is_held(&self, target: &Target, now: Instant) -> bool {
        let held = self.held.get(&key(target));
        held.is_some_and(|held| self.probed || held.state.until() > now)
    }

    /// From now on traffic returns only after an answered probe.
    pub(super) fn take_probes(&mut self) {
        self.probed = true;
    }

    /// When the next probe is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.held.values().map(|held| held.state.until()).min()
    }

    /// The next target to ask; its answer is told by `works`, its silence by `failed`.
    pub(super) fn next_probe(&mut self, now: Instant) -> Option<Probe> {
        let mut all = self.held.iter_mut();
        let ((transport, addr), held) = all.find(|(_, held)| held.state.until() <= now)?;
        // A probe that nobody reported back is repeated later.
        held.state = State::Asked { until: now + PROBE };
        Some(Probe {
            target: Target {
                transport: *transport,
                addr: *addr,
            },
            host: held.host.clone(),
        })
    }
}

impl State {
    fn until(self) -> Instant {
        match self {
            Self::Held { until } | Self::Asked { until } => until,
        }
    }
}

fn key(target: &Target) -> Key {
    (target.transport, target.addr)
}

/// The longest a target is held out, whatever Retry-After says.
const LONGEST: Duration = Duration::from_secs(600);
/// How long a target may fail until it is forgotten, and traffic finds out for itself.
const FORGET: Duration = Duration::from_secs(3600);
/// Targets held out at once.
const MOST: usize = 1024;
/// When a probe that was never reported back is over: past Timer F.
const PROBE: Duration = Duration::from_secs(40);

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(
        clippy::disallowed_methods,
        reason = "any instant will do as the start"
    )]
    fn start() -> Instant {
        Instant::now()
    }

    fn target(last: u8) -> Target {
        Target {
            transport: Transport::Udp,
            addr: ([192, 0, 2, last], 5060).into(),
        }
    }

    fn probe(last: u8) -> Option<Probe> {
        let host = "h".into();
        Some(Probe {
            target: target(last),
            host,
        })
    }

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn traffic_returns_after_an_answered_probe_only() {
        let now = start();
        let mut held = HoldOut::new(secs(30));
        held.take_probes();
        assert_eq!(held.poll_timeout(), None);
        held.failed(&target(1), "h", None, now);
        assert_eq!(held.poll_timeout(), Some(now + secs(30)));
        assert_eq!(held.next_probe(now + secs(29)), None);
        assert_eq!(held.next_probe(now + secs(30)), probe(1));
        assert_eq!(held.next_probe(now + secs(30)), None, "once");
        assert!(
            held.is_held(&target(1), now + secs(31)),
            "not before its answer"
        );
        held.failed(&target(1), "h", None, now + secs(62));
        assert!(held.is_held(&target(1), now + secs(1000)));
        assert_eq!(held.next_probe(now + secs(92)), probe(1));
        held.works(&target(1));
        assert!(!held.is_held(&target(1), now + secs(93)));
        assert_eq!(held.poll_timeout(), None);
    }

    #[test]
    fn a_probe_that_nobody_reports_is_repeated() {
        let now = start();
        let mut held = HoldOut::new(secs(30));
        held.take_probes();
        held.failed(&target(1), "h", None, now);
        assert!(held.next_probe(now + secs(30)).is_some());
        assert_eq!(held.next_probe(now + secs(69)), None);
        assert_eq!(held.next_probe(now + secs(70)), probe(1));
    }

    #[test]
    fn whoever_is_gone_for_good_is_forgotten() {
        let now = start();
        let mut held = HoldOut::new(secs(30));
        held.take_probes();
        held.failed(&target(1), "h", None, now);
        held.failed(&target(1), "h", None, now + secs(3599));
        assert!(held.is_held(&target(1), now + secs(3599)));
        held.failed(&target(1), "h", None, now + secs(3600));
        assert!(!held.is_held(&target(1), now + secs(3600)));
        assert_eq!(held.next_probe(now + secs(9999)), None);
    }

    #[test]
    fn every_target_has_its_own_time() {
        let now = start();
        let mut held = HoldOut::new(secs(30));
        held.take_probes();
        held.failed(&target(1), "h", Some(secs(5000)), now);
        held.failed(&target(2), "h", Some(secs(1)), now);
        assert_eq!(held.next_probe(now + secs(1)), probe(2));
        held.works(&target(2));
        assert_eq!(
            held.next_probe(now + secs(599)),
            None,
            "at most ten minutes"
        );
        assert_eq!(held.next_probe(now + secs(600)), probe(1));
    }

    #[test]
    fn a_flood_of_failures_costs_no_memory() {
        let now = start();
        let mut held = HoldOut::new(secs(30));
        for n in 0..5000u16 {
            let addr = ([10, 0, 0, 1], n + 1).into();
            let target = Target {
                transport: Transport::Tcp,
                addr,
            };
            held.failed(&target, "h", None, now);
        }
        assert_eq!(held.held.len(), MOST);
        held.failed(&target(1), "h", None, now + secs(31));
        assert_eq!(held.held.len(), 1, "those whose time has passed make room");
    }
}
