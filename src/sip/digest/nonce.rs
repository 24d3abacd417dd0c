//! The server: issues nonces without keeping them, and judges credentials (RFC 7616 §5.4, §5.12).
//!
//! A nonce carries its time and number, sealed by an HMAC over both and the realm. Only a nonce that was *used with the
//! right password* is remembered, with the counts it was used with; so strangers cannot make the table grow.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq as _};

use super::{Algorithm, Challenge, Credentials, Inputs};
use crate::base::secret::Secret;
use crate::sip::msg::Uri;

/// What credentials are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The password was used, for this request, for the first time.
    Valid,
    /// The password was used, but the nonce is old, foreign or already used this often: challenge again with
    /// `stale=true`.
    Stale,
    /// Anything else. Unknown user and wrong password take the same path.
    Invalid,
}

/// Issues and checks nonces.
#[derive(Debug)]
pub struct Nonces {
    secret: Secret32,
    lifetime: Duration,
    offers: Vec<Algorithm>,
    epoch: Option<Instant>,
    issued: u32,
    used: BTreeMap<Id, Counts>,
    /// Nonces up to this one are stale: their counts were forgotten to make room.
    floor: Id,
    capacity: usize,
}

/// Milliseconds since the epoch and a running number.
type Id = (u64, u32);

struct Secret32([u8; 32]);

impl std::fmt::Debug for Secret32 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Which counts of one nonce were used: the highest, and a bit for it and each of the seven below.
#[derive(Debug, Clone, Copy)]
struct Counts {
    highest: u32,
    used: u8,
}

impl Counts {
    /// Takes a count once; a little reordering is fine, a repeat or something older is not.
    fn take(&mut self, count: u32) -> bool {
        if count > self.highest {
            let shift = count - self.highest;
            self.used = if shift < WINDOW {
                self.used << shift
            } else {
                0
            } | 1;
            self.highest = count;
            return true;
        }
        let age = self.highest - count;
        if age >= WINDOW || self.used & (1 << age) != 0 {
            return false;
        }
        self.used |= 1 << age;
        true
    }
}

/// Counts that may come out of order.
const WINDOW: u32 = 8;
/// Used nonces remembered at most; past it the oldest become stale before their time.
const CAPACITY: usize = 262_144;
/// Bytes of the HMAC kept.
const SEAL: usize = 16;

impl Nonces {
    /// A new issuer. `secret` is random and lives as long as the process; `lifetime` is how long a nonce is good.
    pub fn new(secret: [u8; 32], lifetime: Duration) -> Self {
        Self {
            secret: Secret32(secret),
            lifetime,
            offers: vec![Algorithm::Sha256, Algorithm::Md5],
            epoch: None,
            issued: 0,
            used: BTreeMap::new(),
            floor: (0, 0),
            capacity: CAPACITY,
        }
    }

    /// What is offered, in this order, and accepted: SHA-256 before MD5 unless set otherwise (RFC 8760 §2.3). Phones of
    /// old give up when they meet a challenge they do not know, so a server of such phones offers MD5 alone.
    pub fn offer(&mut self, algorithms: &[Algorithm]) {
        self.offers = algorithms.to_vec();
    }

    /// The challenges of a 401, one an algorithm offered. All share one fresh nonce.
    pub fn challenges(&mut self, now: Instant, realm: &str, stale: bool) -> Vec<Challenge> {
        self.issued = self.issued.wrapping_add(1);
        let id = (self.millis(now), self.issued);
        let nonce = self.seal(id, realm);
        self.offers
            .iter()
            .map(|algorithm| Challenge {
                realm: realm.into(),
                nonce: nonce.clone(),
                opaque: None,
                algorithm: Some(*algorithm),
                qop_auth: true,
                has_qop: true,
                stale,
            })
            .collect()
    }

    /// Judges the credentials of one request. `password` is `None` for a user nobody knows, which costs the same time as
    /// a wrong password. `request_uri` is the Request-URI as it came.
    pub fn check(
        &mut self,
        now: Instant,
        realm: &str,
        method: &str,
        request_uri: &str,
        credentials: &Credentials,
        password: Option<&Secret>,
    ) -> Verdict {
        let expected = Inputs {
            algorithm: credentials.algorithm.unwrap_or(Algorithm::Md5),
            username: &credentials.username,
            realm,
            password: password.map_or("no such user", Secret::reveal),
            method,
            uri: &credentials.uri,
            nonce: &credentials.nonce,
            qop: credentials
                .auth
                .as_ref()
                .map(|(cnonce, nc)| (cnonce.as_str(), nc.as_str())),
        }
        .response();
        let answer = credentials.response.to_ascii_lowercase();
        let right = expected.as_bytes().ct_eq(answer.as_bytes())
            & Choice::from(u8::from(password.is_some()))
            & Choice::from(u8::from(self.acceptable(credentials)))
            & Choice::from(u8::from(credentials.realm == realm))
            & Choice::from(u8::from(same_uri(&credentials.uri, request_uri)));
        let fresh = self.open(now, &credentials.nonce, realm);
        if !bool::from(right) {
            return Verdict::Invalid;
        }
        match (fresh, credentials.nonce_count()) {
            (Some(id), Some(count)) if count > 0 && self.take(id, count) => Verdict::Valid,
            _ => Verdict::Stale,
        }
    }

    /// Used nonces remembered now.
    pub fn remembered(&self) -> usize {
        self.used.len()
    }

    fn acceptable(&self, credentials: &Credentials) -> bool {
        credentials
            .algorithm
            .is_some_and(|algorithm| self.offers.contains(&algorithm))
            && credentials.auth.is_some()
    }

    fn millis(&mut self, now: Instant) -> u64 {
        let epoch = *self.epoch.get_or_insert(now);
        // From 1, so that every nonce is above the initial floor.
        u64::try_from(now.saturating_duration_since(epoch).as_millis())
            .unwrap_or(u64::MAX - 1)
            .saturating_add(1)
    }

    fn mac(&self, id: Id, realm: &str) -> Option<[u8; SEAL]> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret.0).ok()?;
        mac.update(&id.0.to_be_bytes());
        mac.update(&id.1.to_be_bytes());
        mac.update(realm.as_bytes());
        let tag = mac.finalize().into_bytes();
        tag.first_chunk::<SEAL>().copied()
    }

    fn seal(&self, id: Id, realm: &str) -> String {
        let mut raw = Vec::with_capacity(12 + SEAL);
        raw.extend_from_slice(&id.0.to_be_bytes());
        raw.extend_from_slice(&id.1.to_be_bytes());
        raw.extend_from_slice(&self.mac(id, realm).unwrap_or_default());
        URL_SAFE_NO_PAD.encode(raw)
    }

    /// The id of a nonce of ours that is still good.
    fn open(&mut self, now: Instant, nonce: &str, realm: &str) -> Option<Id> {
        let now = self.millis(now);
        let raw = URL_SAFE_NO_PAD.decode(nonce).ok()?;
        let (time, rest) = raw.split_first_chunk::<8>()?;
        let (number, tag) = rest.split_first_chunk::<4>()?;
        let id = (u64::from_be_bytes(*time), u32::from_be_bytes(*number));
        let genuine = bool::from(self.mac(id, realm)?.as_slice().ct_eq(tag));
        let age = now.saturating_sub(id.0);
        let good = genuine && u128::from(age) <= self.lifetime.as_millis() && id > self.floor;
        good.then_some(id)
    }

    fn take(&mut self, id: Id, count: u32) -> bool {
        let lifetime = u64::try_from(self.lifetime.as_millis()).unwrap_or(u64::MAX);
        // The youngest nonce seen tells enough about the time: what is a lifetime older than it has expired.
        let expired = id.0.saturating_sub(lifetime);
        while let Some(entry) = self.used.first_entry() {
            if entry.key().0 >= expired {
                break;
            }
            entry.remove();
        }
        let taken = self
            .used
            .entry(id)
            .or_insert(Counts {
                highest: 0,
                used: 0,
            })
            .take(count);
        while self.used.len() > self.capacity {
            if let Some((oldest, _)) = self.used.pop_first() {
                self.floor = self.floor.max(oldest);
            }
        }
        taken
    }
}

/// Whether the URI of the credentials is the request's, or one that names the same (RFC 3261 §22.4).
fn same_uri(theirs: &str, request: &str) -> bool {
    if theirs == request {
        return true;
    }
    match (Uri::parse(theirs), Uri::parse(request)) {
        (Ok(a), Ok(b)) => a.equivalent(&b),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{choose, response};
    use super::*;

    const REALM: &str = "demo.test";
    const URI: &str = "sip:2030@demo.test";

    struct World {
        nonces: Nonces,
        start: Instant,
    }

    impl World {
        #[expect(
            clippy::disallowed_methods,
            reason = "any instant will do as the start"
        )]
        fn new() -> Self {
            Self {
                nonces: Nonces::new([7; 32], Duration::from_secs(60)),
                start: Instant::now(),
            }
        }

        fn at(&self, millis: u64) -> Instant {
            self.start + Duration::from_millis(millis)
        }

        fn challenge(&mut self, millis: u64, algorithm: Algorithm) -> Challenge {
            let now = self.at(millis);
            self.nonces
                .challenges(now, REALM, false)
                .into_iter()
                .find(|c| c.algorithm == Some(algorithm))
                .unwrap()
        }

        fn login(&self, challenge: &Challenge, password: &str, nc: u32) -> Credentials {
            response(
                challenge,
                "phone",
                &Secret::new(password),
                "INVITE",
                URI,
                "c1",
                nc,
            )
            .unwrap()
        }

        fn check(&mut self, millis: u64, credentials: &Credentials) -> Verdict {
            let now = self.at(millis);
            self.nonces.check(
                now,
                REALM,
                "INVITE",
                URI,
                credentials,
                Some(&Secret::new("right")),
            )
        }
    }

    #[test]
    fn sha_256_is_offered_first_and_md5_can_be_dropped() {
        let mut world = World::new();
        let now = world.start;
        let offered: Vec<_> = world
            .nonces
            .challenges(now, REALM, false)
            .iter()
            .map(|c| c.algorithm)
            .collect();
        assert_eq!(offered, [Some(Algorithm::Sha256), Some(Algorithm::Md5)]);
        let md5 = world.challenge(0, Algorithm::Md5);
        world.nonces.offer(&[Algorithm::Sha256]);
        assert_eq!(world.nonces.challenges(now, REALM, false).len(), 1);
        let login = world.login(&md5, "right", 1);
        assert_eq!(world.check(0, &login), Verdict::Invalid);
    }

    #[test]
    fn the_right_password_is_valid_once_by_either_algorithm() {
        for algorithm in [Algorithm::Sha256, Algorithm::Md5] {
            let mut world = World::new();
            let challenge = world.challenge(0, algorithm);
            let login = world.login(&challenge, "right", 1);
            let login = Credentials::parse(&login.to_string()).unwrap();
            assert_eq!(world.check(10, &login), Verdict::Valid);
            assert_eq!(world.check(10, &login), Verdict::Stale, "a replay");
            let wrong = world.login(&challenge, "wrong", 2);
            assert_eq!(world.check(10, &wrong), Verdict::Invalid);
        }
    }

    #[test]
    fn an_unknown_user_is_as_wrong_as_a_wrong_password() {
        let mut world = World::new();
        let challenge = world.challenge(0, Algorithm::Sha256);
        for password in ["right", "no such user", ""] {
            let login = world.login(&challenge, password, 1);
            let now = world.start;
            assert_eq!(
                world.nonces.check(now, REALM, "INVITE", URI, &login, None),
                Verdict::Invalid
            );
        }
        assert_eq!(
            world.nonces.remembered(),
            0,
            "strangers leave nothing behind"
        );
    }

    #[test]
    fn a_nonce_lives_for_its_lifetime_to_the_millisecond() {
        for (millis, verdict) in [(60_000, Verdict::Valid), (60_001, Verdict::Stale)] {
            let mut world = World::new();
            let challenge = world.challenge(0, Algorithm::Sha256);
            let login = world.login(&challenge, "right", 1);
            assert_eq!(world.check(millis, &login), verdict);
        }
    }

    #[test]
    fn credentials_are_bound_to_method_uri_realm_and_nonce() {
        let mut world = World::new();
        let challenge = world.challenge(0, Algorithm::Sha256);
        let login = world.login(&challenge, "right", 1);
        let now = world.start;
        let secret = Secret::new("right");
        let n = &mut world.nonces;
        assert_eq!(
            n.check(now, REALM, "REGISTER", URI, &login, Some(&secret)),
            Verdict::Invalid
        );
        assert_eq!(
            n.check(
                now,
                REALM,
                "INVITE",
                "sip:900@demo.test",
                &login,
                Some(&secret)
            ),
            Verdict::Invalid
        );
        assert_eq!(
            n.check(now, "other.test", "INVITE", URI, &login, Some(&secret)),
            Verdict::Invalid
        );
        let forged = Credentials {
            nonce: "AAAA".into(),
            ..login.clone()
        };
        assert_eq!(
            n.check(now, REALM, "INVITE", URI, &forged, Some(&secret)),
            Verdict::Invalid
        );
        let no_qop = Credentials {
            auth: None,
            ..login.clone()
        };
        assert_eq!(
            n.check(now, REALM, "INVITE", URI, &no_qop, Some(&secret)),
            Verdict::Invalid
        );
        assert_eq!(
            n.check(
                now,
                REALM,
                "INVITE",
                "SIP:2030@Demo.Test",
                &login,
                Some(&secret)
            ),
            Verdict::Valid
        );
    }

    #[test]
    fn a_nonce_of_another_realm_or_process_is_stale() {
        let mut world = World::new();
        let now = world.start;
        let mut foreign = world.nonces.challenges(now, "other.test", false).remove(0);
        foreign.realm = REALM.into();
        let login = world.login(&foreign, "right", 1);
        assert_eq!(world.check(0, &login), Verdict::Stale);
        let mut other = World::new();
        other.nonces = Nonces::new([8; 32], Duration::from_secs(60));
        let login = world.login(&other.challenge(0, Algorithm::Sha256), "right", 1);
        assert_eq!(world.check(0, &login), Verdict::Stale);
    }

    #[test]
    fn counts_may_come_a_little_out_of_order_but_never_twice() {
        let mut world = World::new();
        let challenge = world.challenge(0, Algorithm::Sha256);
        let mut verdict = |nc| {
            let login = world.login(&challenge, "right", nc);
            world.check(1, &login)
        };
        assert_eq!(verdict(0), Verdict::Stale, "counts begin at 1");
        for nc in [3, 1, 2, 10, 9, 4] {
            assert_eq!(verdict(nc), Verdict::Valid, "nc {nc}");
        }
        for nc in [1, 2, 3, 4, 9, 10] {
            assert_eq!(verdict(nc), Verdict::Stale, "nc {nc} again");
        }
        assert_eq!(verdict(u32::MAX), Verdict::Valid);
        assert_eq!(verdict(11), Verdict::Stale, "older than the window");
        assert_eq!(verdict(u32::MAX - 7), Verdict::Valid);
        assert_eq!(verdict(u32::MAX - 8), Verdict::Stale);
    }

    /// `security.md` row 3: a thousand captured headers replayed in every way, and a thousand honest logins at once.
    #[test]
    fn replays_never_pass_and_honest_logins_always_do() {
        let mut world = World::new();
        let challenges: Vec<_> = (0..1000)
            .map(|_| world.challenge(5, Algorithm::Sha256))
            .collect();
        let logins: Vec<_> = challenges
            .iter()
            .map(|c| world.login(c, "right", 1))
            .collect();
        for login in logins.iter().rev() {
            assert_eq!(world.check(6, login), Verdict::Valid);
        }
        for login in &logins {
            assert_ne!(world.check(7, login), Verdict::Valid);
            let lower = Credentials {
                auth: Some(("c1".into(), "00000000".into())),
                ..login.clone()
            };
            assert_ne!(world.check(7, &lower), Verdict::Valid);
            assert_ne!(world.check(70_000, login), Verdict::Valid);
        }
    }

    #[test]
    fn the_table_of_used_nonces_is_bounded_and_forgetting_never_lets_a_replay_in() {
        let mut world = World::new();
        world.nonces.capacity = 100;
        let challenges: Vec<_> = (0..300)
            .map(|i| world.challenge(i, Algorithm::Sha256))
            .collect();
        let logins: Vec<_> = challenges
            .iter()
            .map(|c| world.login(c, "right", 1))
            .collect();
        for login in &logins {
            assert_eq!(world.check(300, login), Verdict::Valid);
            assert!(world.nonces.remembered() <= 100);
        }
        for login in &logins {
            assert_eq!(world.check(300, login), Verdict::Stale);
        }
        let late = world.challenge(200_000, Algorithm::Sha256);
        let login = world.login(&late, "right", 1);
        assert_eq!(world.check(200_000, &login), Verdict::Valid);
        assert_eq!(
            world.nonces.remembered(),
            1,
            "what has expired is forgotten"
        );
    }

    #[test]
    fn our_own_client_answers_our_own_server() {
        let mut world = World::new();
        let now = world.start;
        let offered: Vec<_> = world.nonces.challenges(now, REALM, true);
        let read: Vec<_> = offered
            .iter()
            .map(|c| Challenge::parse(&c.to_string()).unwrap())
            .collect();
        assert_eq!(offered, read);
        let chosen = choose(&read).unwrap();
        assert_eq!(chosen.algorithm, Some(Algorithm::Sha256));
        let login = world.login(chosen, "right", 1);
        assert_eq!(world.check(0, &login), Verdict::Valid);
    }
}
