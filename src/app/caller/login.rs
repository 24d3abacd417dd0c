//! The telephone's own registration (RFC 3261 §10.2): begun once, refreshed, ended with the telephone.

use std::time::{Duration, Instant};

use super::manner::Identity;
use super::target::Destination;
use crate::registrar::granted;
use crate::sip::msg::grammar::decimal_clamped;
use crate::sip::msg::{Method, Name};
use crate::sip::ua::{ClientRequest, Endpoint, RequestId, Response, Target, Way};

/// Where the registration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The first REGISTER is on its way.
    Beginning,
    /// The server knows us.
    Registered,
    /// The server does not, by that status.
    Refused(u16),
    /// Its end is on its way.
    Leaving,
    /// Over.
    Gone,
}

/// One registration.
#[derive(Debug)]
pub(super) struct Login {
    uri: String,
    aor: String,
    user: String,
    credentials: Option<(String, crate::base::secret::Secret)>,
    hop: Target,
    call_id: String,
    tag: String,
    cseq: u32,
    /// Seconds asked for.
    asking: u32,
    /// Seconds granted last.
    pub(super) granted: u32,
    /// Status of the last answer.
    pub(super) status: u16,
    pub(super) state: State,
    request: Option<RequestId>,
    refresh_at: Option<Instant>,
    until: Option<Instant>,
}

/// The wait after a refresh that got no answer.
const AGAIN: Duration = Duration::from_secs(5);
/// The longest registration a 423 can make us ask for.
const LONGEST: u32 = 86_400;

impl Login {
    /// Registers `identity` at the server of `destination`; `names` are a Call-ID and a tag.
    pub(super) fn begin(
        endpoint: &mut Endpoint,
        now: Instant,
        place: (&Destination, Target),
        identity: &Identity,
        asking: u32,
        names: (String, String),
    ) -> Self {
        let (destination, hop) = place;
        let user = identity.user.clone().unwrap_or_else(|| "swivel".to_owned());
        let name = identity.auth_user.clone().unwrap_or_else(|| user.clone());
        let mut login = Self {
            uri: destination.registrar(),
            aor: destination.address_of(&user),
            user,
            credentials: identity.password.clone().map(|password| (name, password)),
            hop,
            call_id: names.0,
            tag: names.1,
            cseq: 0,
            asking,
            granted: 0,
            status: 0,
            state: State::Beginning,
            request: None,
            refresh_at: None,
            until: None,
        };
        login.send(endpoint, now, asking);
        login
    }

    fn send(&mut self, endpoint: &mut Endpoint, now: Instant, expires: u32) {
        self.cseq += 1;
        let from = format!("<{}>", self.aor);
        let way = Way::Target(self.hop);
        let mut request = ClientRequest::new(Method::Register, &self.uri, way, &from);
        request.from_tag = Some(self.tag.clone());
        request.to = Some(from);
        request.call_id = Some(self.call_id.clone());
        request.cseq = self.cseq;
        request.contact = false;
        let contact = endpoint.contact_towards(self.hop, &self.user);
        request.headers = vec![
            (Name::Contact, contact),
            (Name::Expires, expires.to_string()),
        ];
        request.credentials.clone_from(&self.credentials);
        request.any_realm = true;
        self.refresh_at = None;
        self.request = Some(endpoint.request(now, request));
    }

    /// Takes the answer to one of its requests; what there is to say about it.
    pub(super) fn answered(
        &mut self,
        endpoint: &mut Endpoint,
        now: Instant,
        response: &Response,
    ) -> Option<String> {
        self.request.take_if(|id| *id == response.request)?;
        self.cseq = self.cseq.max(response.cseq);
        let header = |name| response.message.as_ref().and_then(|m| m.header(name));
        if self.state == State::Leaving {
            self.state = State::Gone;
            return Some("registration ended".to_owned());
        }
        self.status = response.status;
        match response.status {
            200..=299 => {
                let said = response.message.as_ref();
                let said = said.and_then(|message| granted(message, &self.user));
                self.granted = said.unwrap_or(self.asking).min(LONGEST);
                let whole = Duration::from_secs(u64::from(self.granted));
                self.until = Some(now + whole);
                self.refresh_at = Some(now + whole.mul_f64(0.8));
                let first = self.state != State::Registered;
                self.state = State::Registered;
                first.then(|| format!("registered as {} for {} s", self.aor, self.granted))
            }
            423 => {
                let least = header(Name::MinExpires).and_then(decimal_clamped);
                match least.filter(|least| *least > self.asking && *least <= LONGEST) {
                    Some(least) => {
                        self.asking = least;
                        self.send(endpoint, now, least);
                        Some(format!("the server wants {least} s at least"))
                    }
                    None => Some(self.refused(423)),
                }
            }
            // A refresh that failed is tried again while the server still knows us.
            status if self.until.is_some_and(|until| now + AGAIN < until) && is_passing(status) => {
                self.refresh_at = Some(now + AGAIN);
                Some(format!("the registration was not refreshed: {status}"))
            }
            status => Some(self.refused(status)),
        }
    }

    fn refused(&mut self, status: u16) -> String {
        self.state = State::Refused(status);
        self.refresh_at = None;
        format!("not registered: {status}")
    }

    /// Refreshes when it is time.
    pub(super) fn due(&mut self, endpoint: &mut Endpoint, now: Instant) {
        if self.refresh_at.is_some_and(|at| at <= now) {
            self.send(endpoint, now, self.asking);
        }
    }

    /// When `due` wants to be called.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.refresh_at
    }

    /// Ends the registration, as far as there is one.
    pub(super) fn leave(&mut self, endpoint: &mut Endpoint, now: Instant) {
        match self.state {
            State::Beginning | State::Registered => {
                self.state = State::Leaving;
                self.send(endpoint, now, 0);
            }
            State::Refused(_) => self.state = State::Gone,
            State::Leaving | State::Gone => {}
        }
    }

    /// Whether nothing more will happen.
    pub(super) fn is_gone(&self) -> bool {
        self.state == State::Gone
    }
}

/// Whether asking again may help.
fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 480 | 500..=599)
}
