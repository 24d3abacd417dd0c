//! Who guesses passwords (`security.md` rows 1 and 2, decisions 8).
//!
//! An address that sent too many wrong ones is banned, each time twice as long. Never banned are exempt networks, and,
//! where only datagrams speak against them, addresses that a trunk or a registered phone has: anybody can write those
//! into a datagram.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::config::SecurityConfig;
use super::server::Registrar;
use crate::host::clock;
use crate::journal::{Code, Fact};
use crate::sip::flow::Transport;
use crate::sip::gate::source_key;
use crate::sip::ua::{BadCredentials, Endpoint};

/// What is known of addresses that sent wrong passwords.
pub(super) struct Guard {
    config: SecurityConfig,
    sources: BTreeMap<u128, Source>,
}

#[derive(Debug, Clone, Copy)]
struct Source {
    address: IpAddr,
    /// Wrong passwords since `since`.
    failures: u32,
    since: Instant,
    /// Bans so far.
    bans: u32,
    until: Option<Instant>,
}

/// Addresses remembered; past it the one quiet longest is forgotten.
const MAX_SOURCES: usize = 32_768;
/// The longest ban, and how long after the last failure an address is remembered.
const DAY: Duration = Duration::from_secs(24 * 3600);

impl Guard {
    pub(super) fn new(config: SecurityConfig) -> Self {
        Self {
            config,
            sources: BTreeMap::new(),
        }
    }

    /// Whether the address is exempt by configuration.
    fn is_exempt(&self, source: IpAddr) -> bool {
        let source = source.to_canonical();
        self.config
            .ban_exempt
            .iter()
            .any(|net| net.contains(&source))
    }

    /// Notes a wrong password; until when its sender is banned now.
    fn failed(&mut self, now: Instant, address: IpAddr) -> Option<Instant> {
        if self.config.ban_failures == 0 || self.is_exempt(address) {
            return None;
        }
        let key = source_key(address);
        if !self.sources.contains_key(&key) {
            self.make_room(now);
        }
        let window = Duration::from_secs(u64::from(self.config.ban_window_seconds));
        let source = self.sources.entry(key).or_insert(Source {
            address,
            failures: 0,
            since: now,
            bans: 0,
            until: None,
        });
        if now.saturating_duration_since(source.since) >= window {
            source.failures = 0;
            source.since = now;
        }
        source.failures = source.failures.saturating_add(1);
        if source.failures < self.config.ban_failures {
            return None;
        }
        let first = Duration::from_secs(u64::from(self.config.ban_seconds));
        let length = first.saturating_mul(1 << source.bans.min(16)).min(DAY);
        source.bans = source.bans.saturating_add(1);
        source.failures = 0;
        source.until = Some(now + length);
        source.until
    }

    fn make_room(&mut self, now: Instant) {
        if self.sources.len() < MAX_SOURCES {
            return;
        }
        self.sources.retain(|_, source| {
            source.until.is_some_and(|until| until > now)
                || now.saturating_duration_since(source.since) < DAY
        });
        if self.sources.len() >= MAX_SOURCES
            && let Some((key, _)) = self.sources.iter().min_by_key(|(_, s)| s.since)
        {
            let key = *key;
            self.sources.remove(&key);
        }
    }

    /// Forgets an address; whether it was banned.
    fn forgive(&mut self, now: Instant, address: IpAddr) -> bool {
        let gone = self.sources.remove(&source_key(address));
        gone.is_some_and(|source| source.until.is_some_and(|until| until > now))
    }

    /// The addresses that are banned now, with the time that is left.
    fn banned(&self, now: Instant) -> Vec<(IpAddr, Duration)> {
        let left = |source: &Source| {
            let until = source.until.filter(|until| *until > now)?;
            Some((source.address, until.saturating_duration_since(now)))
        };
        self.sources.values().filter_map(left).collect()
    }
}

impl Registrar {
    /// Somebody sent a wrong password, or the name of nobody.
    pub fn bad_credentials(&self, endpoint: &mut Endpoint, now: Instant, bad: &BadCredentials) {
        let source = bad.flow.remote.ip().to_canonical();
        metrics::counter!("swivel_auth_failures_total").increment(1);
        // The words are what packaging/fail2ban looks for; everything a stranger chose comes after the address.
        tracing::warn!(
            target: "swivel::security",
            "wrong credentials from {source} by {} as {:?} in {:?}",
            bad.flow.transport.uri_name(),
            shortened(&bad.username),
            bad.realm,
        );
        self.tell_wrong(bad);
        if bad.flow.transport == Transport::Udp && self.is_known(source) {
            return;
        }
        let banned = self.0.guard.borrow_mut().failed(now, source);
        if let Some(until) = banned {
            endpoint.ban(now, source, until);
            metrics::counter!("swivel_bans_total").increment(1);
            let seconds = until.saturating_duration_since(now).as_secs();
            let values = vec![
                ("source", source.to_string()),
                ("seconds", seconds.to_string()),
            ];
            self.trouble(
                format!("ban {source}"),
                &bad.realm,
                Code::AddressBanned,
                values,
            );
            tracing::warn!(target: "swivel::security", "banned {source} for {seconds} seconds");
        }
    }

    /// Tells the journal whose credentials are wrong: the name's, or nobody's.
    fn tell_wrong(&self, bad: &BadCredentials) {
        let known = self.0.directory.secret(&bad.realm, &bad.username);
        let (code, device) = match known {
            Some((_, device, _)) => (Code::WrongPassword, device.id.clone()),
            None => (Code::UnknownUser, String::new()),
        };
        let values = vec![
            ("method", bad.method.as_str().to_owned()),
            ("user", shortened(&bad.username).to_owned()),
            ("realm", bad.realm.to_string()),
            ("source", bad.flow.remote.ip().to_canonical().to_string()),
            ("device", device),
        ];
        self.trouble(bad.call_id.to_string(), &bad.realm, code, values);
    }

    pub(super) fn trouble(
        &self,
        call_id: String,
        realm: &str,
        code: Code,
        values: Vec<(&'static str, String)>,
    ) {
        let account = self.0.directory.by_realm(realm);
        self.0.journal.emit(Fact::Trouble {
            call_id,
            at: clock::unix_now(),
            account: account
                .map(|account| account.id.to_string())
                .unwrap_or_default(),
            code,
            values,
        });
    }

    /// Whether an address is a trunk's, a trusted device's or a registered phone's.
    fn is_known(&self, source: IpAddr) -> bool {
        self.0.table.borrow().has_source(source)
            || self.0.directory.device_by_source(source).is_some()
            || !self.0.directory.trunks_by_source(source).is_empty()
    }

    /// The addresses that are banned now, with the time that is left.
    pub fn banned(&self, now: Instant) -> Vec<(IpAddr, Duration)> {
        self.0.guard.borrow().banned(now)
    }

    /// Ends the ban of an address; whether there was one.
    pub fn forgive(&self, endpoint: &mut Endpoint, now: Instant, source: IpAddr) -> bool {
        endpoint.unban(source);
        self.0.guard.borrow_mut().forgive(now, source)
    }
}

/// Text of a stranger in the log: short. Its quotes and control characters are escaped where it is written.
fn shortened(text: &str) -> &str {
    match text.char_indices().nth(64) {
        Some((end, _)) => text.get(..end).unwrap_or_default(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::transaction::tests::start;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_fifth_wrong_password_of_a_minute_bans_and_each_ban_is_twice_as_long() {
        let t0 = start();
        let at = |seconds| t0 + Duration::from_secs(seconds);
        let mut guard = Guard::new(SecurityConfig::default());
        let evil = ip("192.0.2.66");
        for n in 0..4 {
            assert_eq!(guard.failed(at(n), evil), None);
        }
        assert_eq!(guard.failed(at(60), evil), None, "the minute is over");
        for n in 61..64 {
            assert_eq!(guard.failed(at(n), evil), None);
        }
        assert_eq!(guard.failed(at(64), evil), Some(at(364)));
        assert_eq!(guard.banned(at(64)), [(evil, Duration::from_secs(300))]);
        let again = (400..405).filter_map(|n| guard.failed(at(n), evil)).last();
        assert_eq!(again, Some(at(404 + 600)));
        assert!(guard.failed(at(500), ip("192.0.2.67")).is_none());
    }

    #[test]
    fn a_ban_is_a_day_at_most() {
        let t0 = start();
        let mut guard = Guard::new(SecurityConfig::default());
        let mut longest = Duration::ZERO;
        let mut now = t0;
        for _ in 0..200 {
            now += Duration::from_secs(1);
            if let Some(until) = guard.failed(now, ip("192.0.2.1")) {
                longest = longest.max(until - now);
            }
        }
        assert_eq!(longest, DAY);
    }

    #[test]
    fn exempt_networks_are_never_banned_and_zero_bans_nobody() {
        let t0 = start();
        let config = SecurityConfig {
            ban_exempt: vec!["192.0.2.0/24".parse().unwrap()],
            ..SecurityConfig::default()
        };
        let mut guard = Guard::new(config);
        assert!((0..100).all(|_| guard.failed(t0, ip("::ffff:192.0.2.1")).is_none()));
        let mut off = Guard::new(SecurityConfig {
            ban_failures: 0,
            ..SecurityConfig::default()
        });
        assert!((0..100).all(|_| off.failed(t0, ip("198.51.100.1")).is_none()));
    }

    #[test]
    fn made_up_addresses_do_not_grow_the_memory() {
        let t0 = start();
        let mut guard = Guard::new(SecurityConfig::default());
        for n in 0..u32::try_from(MAX_SOURCES).unwrap() + 100 {
            guard.failed(t0, IpAddr::from(n.to_be_bytes()));
        }
        assert_eq!(guard.sources.len(), MAX_SOURCES);
    }
}
