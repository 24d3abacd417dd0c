//! Our own registration with a carrier (RFC 3261 §10.2, `sip.md` §10 last line): a machine that is told what happened
//! and says what is to be done. One a gateway with `register` (decisions 19).

use std::time::{Duration, Instant};

use crate::base::rng::Rng;
use crate::base::secret::Secret;
use crate::sip::flow::Transport;
use crate::sip::msg::grammar::decimal_clamped;
use crate::sip::msg::{Contacts, Message, Name, RetryAfter};
use crate::sip::ua::{RequestId, Target};

/// Where and as whom we register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carrier {
    /// Names it among all: the resource's id and the number of the gateway.
    pub id: String,
    /// Account the gateway belongs to.
    pub account: String,
    /// The resource the gateway is of.
    pub resource: String,
    /// Host name or address of the registrar.
    pub server: String,
    /// Its port; `None` is found by DNS.
    pub port: Option<u16>,
    /// What carries it; `None` is found by DNS.
    pub transport: Option<Transport>,
    /// User name, of the address of record and of the digest.
    pub username: String,
    /// Digest password.
    pub password: Secret,
    /// Domain of the address of record, and the only realm whose challenge is answered; `None`: the server's name, and
    /// any challenge of the server itself.
    pub realm: Option<String>,
    /// Seconds asked for.
    pub expires: u32,
}

impl Carrier {
    /// The user part of our Contact there: calls to it are this carrier's. The same after a restart.
    pub fn contact_user(&self) -> String {
        use sha2::{Digest as _, Sha256};
        let hash = Sha256::digest(format!("{}\n{}\n{}", self.account, self.id, self.username));
        let short = hash.first_chunk::<8>().copied().unwrap_or_default();
        format!("gw-{}", hex::encode(short))
    }
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Todo {
    /// Nothing.
    Nothing,
    /// Find where the server is, then call `resolved`.
    Resolve,
    /// Send a REGISTER for so many seconds, then call `sent`.
    Register {
        /// Where to.
        target: Target,
        /// Seconds asked for; 0 ends the registration.
        expires: u32,
    },
}

/// Where a registration is.
#[derive(Debug, Clone, PartialEq)]
enum State {
    /// Waits for its next attempt.
    Waiting { at: Instant },
    /// Asks where the server is.
    Resolving,
    /// A REGISTER is on its way; `rest` are tried after that.
    Registering { target: Target, rest: Vec<Target> },
    /// All is well until the refresh.
    Registered { target: Target, refresh: Instant },
    /// Its end is on its way.
    Leaving,
    /// Over.
    Gone,
}

/// One registration.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) carrier: Carrier,
    state: State,
    /// What we asked for last, raised by 423.
    asking: u32,
    /// Whether a 423 was obeyed since the last success.
    raised: bool,
    failures: u32,
    /// Until when the carrier knows us.
    until: Option<Instant>,
    /// The target that knows us.
    known_at: Option<Target>,
    /// The REGISTER on its way.
    pub(super) request: Option<RequestId>,
    pub(super) call_id: String,
    pub(super) from_tag: String,
    pub(super) cseq: u32,
    /// Status of the last failure.
    pub(super) last_status: u16,
}

/// What came of a response, for whoever watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing worth telling.
    None,
    /// We are registered, and were not.
    Registered,
    /// We were registered, or never were, and it failed.
    Failed,
    /// We have left.
    Left,
}

/// First and longest wait after a failure.
const FIRST_WAIT: Duration = Duration::from_secs(30);
const LONGEST_WAIT: Duration = Duration::from_secs(1800);
/// The wait after a refusal that will not go away by itself.
const REFUSED_WAIT: Duration = Duration::from_secs(600);
/// The longest expiry a 423 can make us ask for.
const LONGEST_EXPIRES: u32 = 86_400;

impl Login {
    pub(super) fn new(carrier: Carrier, now: Instant, rng: &mut Rng) -> Self {
        // Those of a server that starts are spread over a second.
        let at = now + Duration::from_secs(1).mul_f64(rng.unit());
        Self {
            asking: carrier.expires.clamp(60, LONGEST_EXPIRES),
            carrier,
            state: State::Waiting { at },
            raised: false,
            failures: 0,
            until: None,
            known_at: None,
            request: None,
            call_id: rng.hex(16),
            from_tag: rng.hex(8),
            cseq: 0,
            last_status: 0,
        }
    }

    /// Whether the carrier knows us now.
    pub(super) fn is_registered(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until > now)
    }

    /// Where we are registered.
    pub(super) fn registered_at(&self, now: Instant) -> Option<Target> {
        self.known_at.filter(|_| self.is_registered(now))
    }

    /// How long that lasts.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Whether nothing more will happen.
    pub(super) fn is_gone(&self) -> bool {
        self.state == State::Gone
    }

    /// When `due` wants to be called.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { at } => Some(at),
            State::Registered { refresh, .. } => Some(refresh),
            State::Resolving | State::Registering { .. } | State::Leaving | State::Gone => None,
        }
    }

    /// Starts what is due.
    pub(super) fn due(&mut self, now: Instant) -> Todo {
        match self.state {
            State::Waiting { at } if at <= now => {}
            State::Registered { refresh, .. } if refresh <= now => {}
            State::Waiting { .. }
            | State::Registered { .. }
            | State::Resolving
            | State::Registering { .. }
            | State::Leaving
            | State::Gone => return Todo::Nothing,
        }
        self.state = State::Resolving;
        Todo::Resolve
    }

    /// The server is at one of these, the best first. Where we are registered already is tried before the others.
    pub(super) fn resolved(&mut self, now: Instant, targets: Vec<Target>, rng: &mut Rng) -> Todo {
        match self.state {
            State::Resolving => {}
            State::Waiting { .. }
            | State::Registering { .. }
            | State::Registered { .. }
            | State::Leaving
            | State::Gone => return Todo::Nothing,
        }
        let mut targets = targets;
        if let Some(at) = self
            .registered_at(now)
            .and_then(|known| targets.iter().position(|target| *target == known))
        {
            let known = targets.remove(at);
            targets.insert(0, known);
        }
        self.try_next(now, targets, rng)
    }

    fn try_next(&mut self, now: Instant, mut targets: Vec<Target>, rng: &mut Rng) -> Todo {
        if targets.is_empty() {
            self.back_off(now, rng);
            return Todo::Nothing;
        }
        let target = targets.remove(0);
        self.state = State::Registering {
            target,
            rest: targets,
        };
        Todo::Register {
            target,
            expires: self.asking,
        }
    }

    /// The REGISTER is over.
    pub(super) fn answered(
        &mut self,
        now: Instant,
        status: u16,
        message: Option<&Message>,
        rng: &mut Rng,
    ) -> (Todo, News) {
        let (target, rest) = match std::mem::replace(&mut self.state, State::Gone) {
            State::Registering { target, rest } => (target, rest),
            State::Leaving => {
                self.until = None;
                return (Todo::Nothing, News::Left);
            }
            other @ (State::Waiting { .. }
            | State::Resolving
            | State::Registered { .. }
            | State::Gone) => {
                self.state = other;
                return (Todo::Nothing, News::None);
            }
        };
        if (200..300).contains(&status) {
            return (Todo::Nothing, self.granted(now, target, message, rng));
        }
        self.last_status = status;
        let was = self.is_registered(now);
        let first = self.failures == 0;
        let header = |name| message.and_then(|m| m.header(name));
        let todo = match status {
            423 if !self.raised => {
                let least = header(Name::MinExpires).and_then(decimal_clamped);
                match least.filter(|least| *least > self.asking && *least <= LONGEST_EXPIRES) {
                    Some(least) => {
                        self.asking = least;
                        self.raised = true;
                        let mut targets = vec![target];
                        targets.extend(rest);
                        return (self.try_next(now, targets, rng), News::None);
                    }
                    None => self.wait(now, REFUSED_WAIT, rng),
                }
            }
            // Another of its servers may be better off (RFC 3263 §4.3).
            408 | 503 if !rest.is_empty() => {
                return (self.try_next(now, rest, rng), News::None);
            }
            503 => match header(Name::RetryAfter).and_then(|text| RetryAfter::parse(text).ok()) {
                Some(after) => {
                    let wait = Duration::from_secs(u64::from(after.seconds));
                    // Never sooner than asked.
                    let wait = wait.clamp(Duration::from_secs(1), LONGEST_WAIT);
                    self.failures = self.failures.saturating_add(1);
                    self.state = State::Waiting {
                        at: now + wait.mul_f64(1.0 + rng.unit() * 0.1),
                    };
                    Todo::Nothing
                }
                None => self.back_off(now, rng),
            },
            // A wrong password does not get right by asking often; some carriers ban those who try.
            401 | 403 | 404 | 407 => self.wait(now, REFUSED_WAIT, rng),
            _ => self.back_off(now, rng),
        };
        let news = if was || first {
            News::Failed
        } else {
            News::None
        };
        (todo, news)
    }

    fn granted(
        &mut self,
        now: Instant,
        target: Target,
        message: Option<&Message>,
        rng: &mut Rng,
    ) -> News {
        let user = self.carrier.contact_user();
        let granted = message.and_then(|m| granted(m, &user));
        let granted = granted.unwrap_or(self.asking).min(LONGEST_EXPIRES);
        if granted == 0 {
            // It says yes and means no.
            self.back_off(now, rng);
            return News::Failed;
        }
        let was = self.is_registered(now);
        let whole = Duration::from_secs(u64::from(granted));
        self.failures = 0;
        self.raised = false;
        self.until = Some(now + whole);
        self.known_at = Some(target);
        self.state = State::Registered {
            target,
            refresh: now + whole.mul_f64(0.5 + rng.unit() * 0.4),
        };
        if was { News::None } else { News::Registered }
    }

    /// Waits 30 s, doubling to 30 min, a tenth more or less.
    fn back_off(&mut self, now: Instant, rng: &mut Rng) -> Todo {
        let doubled = FIRST_WAIT.saturating_mul(1 << self.failures.min(10));
        self.wait(now, doubled.min(LONGEST_WAIT), rng)
    }

    fn wait(&mut self, now: Instant, wait: Duration, rng: &mut Rng) -> Todo {
        self.failures = self.failures.saturating_add(1);
        let at = now + wait.mul_f64(0.9 + rng.unit() * 0.2);
        self.state = State::Waiting { at };
        Todo::Nothing
    }

    /// Ends the registration. A REGISTER on its way is not waited for.
    pub(super) fn leave(&mut self, now: Instant) -> Todo {
        let known = match self.state {
            // It may be granted by the time we have left.
            State::Registering { target, .. } => Some(target),
            State::Leaving => return Todo::Nothing,
            State::Waiting { .. } | State::Resolving | State::Registered { .. } | State::Gone => {
                self.registered_at(now)
            }
        };
        match known {
            Some(target) => {
                self.state = State::Leaving;
                Todo::Register { target, expires: 0 }
            }
            None => {
                self.state = State::Gone;
                Todo::Nothing
            }
        }
    }
}

/// What a 200 grants our Contact: its own `expires`, or the header's.
pub fn granted(message: &Message, user: &str) -> Option<u32> {
    let contacts = match message.contacts() {
        Ok(Contacts::List(list)) => list,
        Ok(Contacts::Star) | Err(_) => Vec::new(),
    };
    let own = contacts
        .iter()
        .find(|contact| contact.uri.user.as_deref() == Some(user));
    let of_contact = own
        .and_then(|contact| contact.params.get("expires").flatten())
        .and_then(decimal_clamped);
    of_contact.or_else(|| message.expires())
}

#[cfg(test)]
mod tests;
