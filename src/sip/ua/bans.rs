//! Guessing passwords: sources that are not listened to for a while, and names whose wrong passwords are answered late
//! (`security.md` rows 1 and 2).
//!
//! Whom to ban, and for how long, is decided above; here it is only done. A name is never locked, since that would let
//! anybody lock out its owner: a right password is let in at once, always.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::endpoint::{Endpoint, TimerKey};
use super::{BadCredentials, SipEvent};
use crate::sip::gate::source_key;
use crate::sip::transaction::key::Incoming;
use crate::sip::transaction::schedule::TimerId;
use crate::sip::transaction::seeded::{Map, Seed, map};
use crate::sip::transaction::table::ReplyPath;

/// Sources that are not listened to.
#[derive(Debug)]
pub(super) struct Bans {
    until: Map<u128, Instant>,
}

/// Most bans at once; past it the one that ends first goes.
const MAX_BANS: usize = 65_536;

impl Bans {
    pub(super) fn new(seed: Seed) -> Self {
        Self { until: map(seed) }
    }

    fn holds(&mut self, now: Instant, source: IpAddr) -> bool {
        let key = source_key(source);
        match self.until.get(&key) {
            Some(until) if *until > now => true,
            Some(_) => {
                self.until.remove(&key);
                false
            }
            None => false,
        }
    }

    fn set(&mut self, now: Instant, source: IpAddr, until: Instant) {
        if self.until.len() >= MAX_BANS {
            self.until.retain(|_, until| *until > now);
        }
        if self.until.len() >= MAX_BANS
            && let Some(first) = self.until.iter().min_by_key(|(_, until)| **until)
        {
            let first = *first.0;
            self.until.remove(&first);
        }
        self.until.insert(source_key(source), until);
    }
}

/// Wrong passwords by name, and the answers to them that wait.
#[derive(Debug)]
pub(super) struct Slow {
    seed: Seed,
    per_hour: u32,
    /// One place a name; a new name takes the place of another with the same hash, so the table never grows.
    places: Box<[Place]>,
    waiting: VecDeque<(Instant, ReplyPath, Bytes)>,
    armed: Option<TimerId>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    name: u64,
    failures: u32,
    since: Option<Instant>,
}

/// Names remembered.
const PLACES: u64 = 8192;
/// Answers that may wait; past it they are not sent at all, and the client asks again.
const MAX_WAITING: usize = 4096;
/// How long an answer waits.
const HELD_BACK: Duration = Duration::from_secs(1);
/// How long failures count.
const HOUR: Duration = Duration::from_secs(3600);

impl Slow {
    pub(super) fn new(seed: Seed, per_hour: u32) -> Self {
        let places = usize::try_from(PLACES).unwrap_or(1);
        Self {
            seed,
            per_hour,
            places: vec![Place::default(); places].into(),
            waiting: VecDeque::new(),
            armed: None,
        }
    }

    /// Notes a wrong password; whether its answer is to wait. Names nobody has count like any other.
    fn failed(&mut self, now: Instant, realm: &str, username: &str) -> bool {
        let name = self
            .seed
            .digest(&[realm, &username.to_lowercase(), "failures"]);
        let at = usize::try_from(name % PLACES).unwrap_or(0);
        let Some(place) = self.places.get_mut(at) else {
            return false;
        };
        let old = place
            .since
            .is_none_or(|since| now.saturating_duration_since(since) >= HOUR);
        if place.name != name || old {
            *place = Place {
                name,
                failures: 0,
                since: Some(now),
            };
        }
        place.failures = place.failures.saturating_add(1);
        place.failures > self.per_hour
    }
}

impl Endpoint {
    /// Does not listen to new requests of `source` until then. Calls it has go on.
    pub fn ban(&mut self, now: Instant, source: IpAddr, until: Instant) {
        self.bans.set(now, source, until);
    }

    /// Listens to `source` again.
    pub fn unban(&mut self, source: IpAddr) {
        self.bans.until.remove(&source_key(source));
    }

    /// Whether a request outside dialogs is not even looked at.
    pub(super) fn is_banned(&mut self, now: Instant, request: &Incoming) -> bool {
        let banned = self.bans.holds(now, request.path.flow.remote.ip());
        if banned {
            self.count("its source is banned");
        }
        banned
    }

    /// Notes credentials that are wrong; whether the answer is to wait.
    pub(super) fn bad_credentials(
        &mut self,
        now: Instant,
        request: &Incoming,
        realm: &std::sync::Arc<str>,
        username: &str,
    ) -> bool {
        self.events
            .push_back(SipEvent::BadCredentials(Box::new(BadCredentials {
                flow: request.path.flow,
                method: request.method.clone(),
                username: username.to_owned(),
                realm: realm.clone(),
                call_id: request.call_id.to_string().into(),
            })));
        self.slow.failed(now, realm, username)
    }

    /// Sends an answer a second from `now`.
    pub(super) fn hold_back(&mut self, now: Instant, path: ReplyPath, bytes: Bytes) {
        if self.slow.waiting.len() < MAX_WAITING {
            self.slow.waiting.push_back((now + HELD_BACK, path, bytes));
        }
        self.arm_held();
    }

    fn arm_held(&mut self) {
        let next = self.slow.waiting.front().map(|(at, ..)| *at);
        self.timers
            .rearm(&mut self.slow.armed, next, || TimerKey::Held);
    }

    /// Sends the answers whose time has come.
    pub(super) fn release_held(&mut self, now: Instant) {
        self.slow.armed = None;
        while self.slow.waiting.front().is_some_and(|(at, ..)| *at <= now) {
            if let Some((_, path, bytes)) = self.slow.waiting.pop_front() {
                self.send_reply(path, bytes);
            }
        }
        self.arm_held();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::transaction::tests::start;

    const SEED: Seed = Seed([1, 2]);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_ban_ends_by_itself() {
        let t0 = start();
        let mut bans = Bans::new(SEED);
        bans.set(t0, ip("192.0.2.1"), t0 + Duration::from_secs(300));
        assert!(bans.holds(t0, ip("192.0.2.1")));
        assert!(!bans.holds(t0, ip("192.0.2.2")));
        assert!(!bans.holds(t0 + Duration::from_secs(300), ip("192.0.2.1")));
        assert!(bans.until.is_empty());
    }

    #[test]
    fn the_table_of_bans_does_not_grow_without_end() {
        let t0 = start();
        let mut bans = Bans::new(SEED);
        for n in 0..u32::try_from(MAX_BANS).unwrap() + 10 {
            let until = t0 + Duration::from_secs(u64::from(n) + 1);
            bans.set(t0, IpAddr::from(n.to_be_bytes()), until);
        }
        assert_eq!(bans.until.len(), MAX_BANS);
        assert!(!bans.holds(t0, ip("0.0.0.0")), "the first to end went");
    }

    #[test]
    fn a_name_is_slowed_after_its_failures_of_an_hour_whether_it_exists_or_not() {
        let t0 = start();
        let mut slow = Slow::new(SEED, 20);
        let late = (0..25).filter(|_| slow.failed(t0, "r", "Alice")).count();
        assert_eq!(late, 5);
        assert!(slow.failed(t0, "r", "alice"), "case does not matter");
        assert!(!slow.failed(t0, "r", "bob"));
        assert!(!slow.failed(t0 + HOUR, "r", "alice"), "an hour is over");
    }
}
