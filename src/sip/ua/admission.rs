//! Who gets past the door, without any state: overload, caps, challenges, strangers' OPTIONS.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::capability::{ACCEPT, ALLOW, SUPPORTED, check_require, check_scheme};
use super::endpoint::Endpoint;
use super::leg;
use super::reply::{self, Refused};
use super::{Direction, Principal};
use crate::sip::digest::{self, Challenge, Credentials, Verdict, choose};
use crate::sip::flow::Flow;
use crate::sip::msg::{Message, Method, Name};
use crate::sip::transaction::key::{Incoming, reply_path_of};
use crate::sip::wire::{Malformed, parse_datagram};

/// A token bucket; its burst is twice its rate.
#[derive(Debug)]
pub(super) struct Bucket {
    per_second: u32,
    tokens: f64,
    filled_at: Option<Instant>,
}

impl Bucket {
    /// A full bucket.
    pub(super) fn new(per_second: u32) -> Self {
        Self {
            per_second,
            tokens: f64::from(per_second) * 2.0,
            filled_at: None,
        }
    }

    /// Takes a token when there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let rate = f64::from(self.per_second);
        let passed = self
            .filled_at
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.filled_at = Some(now);
        self.tokens = (self.tokens + passed.as_secs_f64() * rate).min(rate * 2.0);
        let there = self.tokens >= 1.0;
        if there {
            self.tokens -= 1.0;
        }
        there
    }
}

/// Why a stranger's request got no answer at all.
const TOO_SHORT: &str = "its answer would be much longer than itself";
/// Challenges one leg answers in its life.
const MAX_NONCES: usize = 8;

impl Endpoint {
    /// Reads a message and takes it.
    pub(super) fn message_arrives(&mut self, now: Instant, flow: Flow, bytes: Bytes) {
        let source = flow.remote.ip().to_canonical();
        self.arriving = bytes.len();
        // Responses answer what we sent. Whoever is known by address may send as much as he likes.
        let response = bytes.starts_with(b"SIP/2.0 ");
        if !response && !self.gate.admit(now, source) && self.doorman.by_source(source).is_none() {
            self.count("its source sends too fast");
            return;
        }
        match parse_datagram(bytes.clone(), &self.limits) {
            Ok(message) => {
                if self.config.trace {
                    let call_id = message.call_id().unwrap_or_default().into();
                    self.trace(Direction::In, flow, bytes, call_id);
                }
                self.dispatch(now, flow, message);
            }
            Err(malformed) => self.refuse_malformed(flow, &malformed),
        }
    }

    /// Answers what cannot be read, where enough of it can.
    pub(super) fn refuse_malformed(&mut self, flow: Flow, malformed: &Malformed) {
        let Some(message) = &malformed.readable else {
            return;
        };
        self.count("it breaks the grammar");
        let mut request = (**message).clone();
        request.note_source(flow.remote);
        let path = reply_path_of(&request, flow);
        let tag = self.gate.to_tag(&request);
        let error = &malformed.error;
        let response = request.reply(error.status(), &error.reason(), Some(&tag));
        let bytes = response.to_bytes();
        if self.is_amplified(flow, &bytes) {
            return self.count(TOO_SHORT);
        }
        self.send_reply(path, bytes);
    }

    /// Whether an answer is so much longer than its request that somebody could use us to multiply his traffic towards a
    /// victim, whose address he writes into a datagram (`security.md` row 35). Those we know by address are no strangers.
    fn is_amplified(&self, flow: Flow, answer: &[u8]) -> bool {
        !flow.transport.is_reliable()
            && answer.len().saturating_mul(2) > self.arriving.saturating_mul(3)
            && self
                .doorman
                .by_source(flow.remote.ip().to_canonical())
                .is_none()
    }

    /// Sends a response that leaves no state: the same request gets the same one again (§8.2.7).
    pub(super) fn reply_statelessly(&mut self, request: &Incoming, refused: &Refused) {
        self.count_status(refused.status);
        let tag = request.to_tag.is_none().then(|| {
            self.seed.digest(&[
                &request.call_id,
                &request.from_tag,
                &request.branch,
                request.method.as_str(),
            ])
        });
        let mut response = reply::response(&request.message, refused.status, refused.reason, tag);
        for (name, value) in &refused.headers {
            response.headers.push(*name, value.clone());
        }
        let mut bytes = response.to_bytes();
        let flow = request.path.flow;
        if self.is_amplified(flow, &bytes) {
            drop_first_challenge(&mut response);
            bytes = response.to_bytes();
            if self.is_amplified(flow, &bytes) {
                // No phone asks so briefly.
                return self.count(TOO_SHORT);
            }
        }
        if let Some(now) = refused.held {
            self.hold_back(now, request.path, bytes);
        } else {
            self.send_reply(request.path, bytes);
        }
    }

    /// Notes why a message was refused, in words an operator understands.
    pub(super) fn count(&mut self, cause: &'static str) {
        *self.refusals.entry(cause).or_insert(0) += 1;
    }

    /// Notes a refusal that has no better words than its status.
    pub(super) fn count_status(&mut self, status: u16) {
        let cause = match status {
            400 => "a header it needs is missing or wrong",
            405 | 501 => "its method is not implemented",
            406 => "it accepts no session description",
            415 => "its body cannot be read",
            416 => "its Request-URI has an unknown scheme",
            420 => "it requires an unknown extension",
            422 => "its session interval is too short",
            481 => "its dialog or transaction is unknown",
            482 => "it is a loop or came twice",
            483 => "it went through too many hops",
            491 => "an offer of ours is open",
            500 => "it came out of order or too early",
            504 => "a reliable response got no PRACK",
            _ => return,
        };
        self.count(cause);
    }

    /// How many messages were refused, by cause. Each cause completes "a message was refused because …".
    pub fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.refusals.iter().map(|(cause, count)| (*cause, *count))
    }

    /// 503 with Retry-After.
    pub(super) fn unavailable(&self, retry_after: Duration) -> Refused {
        Refused::new(503).with(Name::RetryAfter, retry_after.as_secs().max(1).to_string())
    }

    /// Whether this request is refused for load alone.
    pub(super) fn check_load(&mut self, request: &Incoming) -> Result<(), Refused> {
        let registrar = self.is_for_registrar(&request.method);
        // A phone that cannot refresh while we drain would be lost to the server that comes after us.
        if self.draining && !registrar {
            self.count("we are draining");
            return Err(self.unavailable(self.config.retry_after));
        }
        if request.method != Method::Invite && !registrar {
            return Ok(());
        }
        if let Some(retry_after) = self.overload.filter(|_| !registrar) {
            self.count("we are overloaded");
            return Err(self.unavailable(retry_after));
        }
        let source = request.path.flow.remote.ip();
        let full = self.servers.len() + self.clients.len() >= self.config.max_transactions
            || self.servers.of_source(source) >= self.config.max_transactions_per_source
            || (self.legs.len() >= self.config.max_legs && !registrar);
        if !full {
            return Ok(());
        }
        self.count("too many calls or transactions are there");
        Err(self.unavailable(self.config.retry_after))
    }

    /// Who sends this request; `Err` is the challenge.
    pub(super) fn admit(&mut self, now: Instant, request: &Incoming) -> Result<Principal, Refused> {
        if !self.config.authenticate {
            return Ok(Principal {
                account: "".into(),
                device: "".into(),
            });
        }
        if let Some(principal) = self
            .doorman
            .by_source(request.path.flow.remote.ip().to_canonical())
        {
            return Ok(principal);
        }
        self.check_credentials(now, request)
    }

    pub(super) fn check_credentials(
        &mut self,
        now: Instant,
        request: &Incoming,
    ) -> Result<Principal, Refused> {
        let message = &request.message;
        let uri = message.request_uri().unwrap_or_default();
        let host = message.uri().ok().map(|uri| uri.host);
        let host = host.as_ref().map_or("", |host| host.as_str());
        let realm = self
            .doorman
            .realm(host)
            .unwrap_or_else(|| self.config.default_realm.clone());
        let (mut stale, mut held) = (false, false);
        let mut cause = "it has no credentials";
        if let Some(credentials) = Credentials::of(message, &realm) {
            let known = self.doorman.secret(&realm, &credentials.username);
            let password = known.as_ref().map(|(_, secret)| secret);
            let method = request.method.as_str();
            let verdict = self
                .nonces
                .check(now, &realm, method, uri, &credentials, password);
            match (verdict, known) {
                (Verdict::Valid, Some((principal, _))) => return Ok(principal),
                (Verdict::Stale, _) => {
                    stale = true;
                    cause = "its nonce is old or used";
                }
                (Verdict::Valid | Verdict::Invalid, _) => {
                    cause = "its credentials are wrong";
                    held = self.bad_credentials(now, request, &realm, &credentials.username);
                }
            }
        }
        self.count(cause);
        let mut challenge = Refused::new(401);
        challenge.held = held.then_some(now);
        for line in self.nonces.challenges(now, &realm, stale) {
            challenge = challenge.with(Name::WwwAuthenticate, line.to_string());
        }
        Err(challenge)
    }

    /// The headers of a challenged request, when these credentials may answer its challenges: the realm is theirs, and
    /// the nonce is new or the old one was merely stale (`spec` row: a peer cannot make us answer for another's realm).
    pub(super) fn authorize(
        &mut self,
        credentials: &mut leg::Credentials,
        request: &Message,
        response: &Message,
    ) -> Option<Vec<(Name, Credentials)>> {
        let challenges = Challenge::of(response);
        let mut answers = Vec::new();
        for by_proxy in [false, true] {
            let ours = challenges.iter().filter(|(proxy, challenge)| {
                *proxy == by_proxy
                    && (credentials.any_realm
                        || credentials.realm.as_deref() == Some(&challenge.realm))
                    && (challenge.stale
                        || !credentials
                            .realms
                            .iter()
                            .any(|realm| **realm == challenge.realm))
            });
            let Some(challenge) = choose(ours.map(|(_, challenge)| challenge)) else {
                continue;
            };
            if credentials.nonces.len() >= MAX_NONCES
                || credentials.nonces.iter().any(|n| **n == challenge.nonce)
            {
                continue;
            }
            let (username, password) = (&credentials.username, &credentials.password);
            let (method, uri) = (request.method()?.as_str(), request.request_uri()?);
            let cnonce = self.rng.hex(8);
            let Some(answer) =
                digest::response(challenge, username, password, method, uri, &cnonce, 1)
            else {
                continue;
            };
            credentials.nonces.push(challenge.nonce.clone().into());
            credentials.realms.push(challenge.realm.clone().into());
            let name = if by_proxy {
                Name::ProxyAuthorization
            } else {
                Name::Authorization
            };
            answers.push((name, answer));
        }
        (!answers.is_empty()).then_some(answers)
    }

    /// OPTIONS from somebody we do not know: the least that keeps monitors content, and not too often. What nobody can
    /// have is refused to him as to everybody.
    pub(super) fn stranger_options(&mut self, now: Instant, request: &Incoming) {
        if self.strangers.take(now) {
            let answer = judge_options(&request.message)
                .err()
                .unwrap_or(Refused::new(200));
            self.reply_statelessly(request, &answer);
        }
    }

    /// OPTIONS outside a dialog from somebody we know (§11.2).
    pub(super) fn options(&mut self, request: &Incoming) {
        let response = judge_options(&request.message)
            .err()
            .unwrap_or_else(capabilities);
        self.reply_statelessly(request, &response);
    }
}

/// Whether we could serve what is asked about (§8.2.2.1, §8.2.2.3).
fn judge_options(message: &Message) -> Result<(), Refused> {
    check_scheme(message.request_uri().unwrap_or_default())?;
    check_require(message)
}

/// Leaves out the challenge for SHA-256 and keeps the one for MD5, which every phone knows.
fn drop_first_challenge(response: &mut Message) {
    let second = response
        .headers
        .all(Name::WwwAuthenticate)
        .nth(1)
        .map(str::to_owned);
    if let Some(last) = second {
        response.headers.remove(Name::WwwAuthenticate);
        response.headers.push(Name::WwwAuthenticate, last);
    }
}

/// A 200 that says what we can do.
pub(super) fn capabilities() -> Refused {
    Refused::new(200)
        .with(Name::Allow, ALLOW)
        .with(Name::Accept, ACCEPT)
        .with(Name::Supported, SUPPORTED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::transaction::tests::start;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let t0 = start();
        let mut bucket = Bucket::new(2);
        assert_eq!((0..10).filter(|_| bucket.take(t0)).count(), 4);
        let later = t0 + Duration::from_secs(1);
        assert_eq!((0..10).filter(|_| bucket.take(later)).count(), 2);
        let much_later = t0 + Duration::from_secs(100);
        assert_eq!((0..10).filter(|_| bucket.take(much_later)).count(), 4);
    }
}
