//! A leg we place: its INVITE, its offer, what its peer answers. It has a port, a journal and a record of its own, and
//! belongs to the call it is placed for until somebody else takes it over.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use serde_json::Map;

use super::core::Core;
use super::error::CallError;
use super::facts::{CallFacts, CallVars};
use super::handle::{Call, CallHandle};
use super::inbound::DIVERSIONS;
use super::state::{OtherLeg, Phase, State};
use crate::base::cause::Cause;
use crate::host::clock;
use crate::jobs::webhooks::LegEvent;
use crate::journal::{Code, Fact};
use crate::routing::{Place, Target};
use crate::sdp::Session;
use crate::sdp::negotiate::{self, Direction};
use crate::sip::flow::{Flow, Transport};
use crate::sip::msg::{Host, Name, NameAddr, Uri};
use crate::sip::ua::{self, Body, InviteRequest, LegId};

/// Where one INVITE goes.
#[derive(Debug, Clone)]
pub(super) struct Destination {
    /// Request-URI.
    pub(super) uri: String,
    /// Addresses, best first.
    pub(super) to: Vec<ua::Target>,
    /// The path to take instead.
    pub(super) flow: Option<Flow>,
    /// Values of Route.
    pub(super) routes: Vec<String>,
}

impl Core {
    /// Where a target can be reached at this moment: one entry an INVITE. Empty when nowhere.
    pub(super) async fn destinations(self, place: Place) -> Vec<Destination> {
        match place {
            Place::Registered { username, realm } => {
                let bindings = self.0.registrar.bindings(&username, &realm, clock::now());
                let reached = bindings.into_iter().map(|binding| Destination {
                    uri: binding.contact,
                    to: vec![ua::Target {
                        transport: binding.flow.transport,
                        addr: binding.flow.remote,
                    }],
                    flow: Some(binding.flow),
                    routes: binding.path,
                });
                reached.collect()
            }
            Place::Uri { uri, proxy } => self.destination(uri, proxy).await.into_iter().collect(),
            // A number of the account is for the callflows; it has no address.
            Place::Number(_) => Vec::new(),
        }
    }

    async fn destination(&self, uri: String, proxy: Option<String>) -> Option<Destination> {
        let mut hop = Uri::parse(&uri).ok()?;
        let mut routes = Vec::new();
        if let Some(proxy) = proxy {
            let named = hop
                .transport()
                .map(|t| format!(";transport={t}"))
                .unwrap_or_default();
            let scheme = hop.scheme.as_str().to_owned();
            let proxy = proxy.trim_start_matches("sip:");
            hop = Uri::parse(&format!("{scheme}:{proxy}{named}")).ok()?;
            // An outbound proxy is the first Route (RFC 3261 §8.1.2), and what TLS must prove to be (RFC 5922 §7).
            routes.push(format!("<{scheme}:{proxy}{named};lr>"));
        }
        let to = match hop.host.ip() {
            Some(ip) => {
                let transport = transport_of(&hop);
                let port = hop.port.unwrap_or_else(|| transport.default_port());
                vec![ua::Target {
                    transport,
                    addr: SocketAddr::new(ip, port),
                }]
            }
            None => {
                let resolve = self.0.resolve.borrow().clone()?;
                resolve(hop).await
            }
        };
        (!to.is_empty()).then_some(Destination {
            uri,
            to,
            flow: None,
            routes,
        })
    }

    /// Whether a device is in a call, or rung by one.
    pub(super) fn is_in_call(&self, device: &str) -> bool {
        let calls = self.0.calls.borrow();
        let mut all = calls.values();
        !device.is_empty()
            && all.any(|call| call.own_facts().authorizing_id == device && call.ended().is_none())
    }

    /// Places a leg for `call`. What becomes of it is told by its own state.
    ///
    /// # Errors
    /// When no port is free, or nothing leads there.
    pub(super) fn place(
        &self,
        call: &CallHandle,
        target: &Target,
        destination: Destination,
    ) -> Result<CallHandle, CallError> {
        let mut destination = destination;
        if let Some(user) = &target.request_user {
            destination.uri = with_user(&destination.uri, user);
        }
        let first = destination.to.first().copied();
        let first = first.ok_or(CallError::Dialog("a destination without an address"))?;
        let local = destination
            .flow
            .map(|flow| flow.local.ip())
            .filter(|ip| !ip.is_unspecified())
            .or_else(|| self.0.endpoint.borrow().address_towards(first))
            .unwrap_or(call.0.local);
        let facts = Rc::new(self.leg_facts(call, target, &destination, first));
        let mut state = State::new();
        state.media.session_id = self.0.rng.borrow_mut().u64() >> 2;
        state.media.version = 1;
        state.other = Some(call.as_other(call));
        let mut vars = CallVars::default();
        vars.custom_application_vars
            .clone_from(&call.vars().exported_application_vars);
        vars.exported_application_vars
            .clone_from(&vars.custom_application_vars);
        let leg = CallHandle(Rc::new(Call {
            core: self.clone(),
            seen: RefCell::new(facts.clone()),
            leg: Cell::new(LegId(0)),
            target: Some(Box::new(target.clone())),
            seed: None,
            owner: Cell::new(0),
            attached: Cell::new(false),
            transfer: RefCell::default(),
            vars: RefCell::new(vars),
            offered: false,
            state: RefCell::new(state),
            aftermath: Cell::new(0),
            cause: Cell::new(None),
            times: Cell::new(None),
            opened: Cell::new(false),
            line: RefCell::default(),
            local,
            facts,
        }));
        leg.take_port_beside(call)?;
        let session = negotiate::offer(&leg.local()?, Direction::SendRecv);
        let body = Body::sdp(Bytes::from(session.to_string()));
        {
            let mut state = leg.state_mut();
            state.media.local = Some(session.clone());
            state.media.pending_offer = Some(session);
        }
        let request = invite(call, &leg, target, destination, first, body);
        leg.note_leg(Some(call));
        call.note(|call_id, at| Fact::Leg {
            call_id,
            at,
            other: leg.own_facts().call_id.clone(),
            kind: target.kind.to_owned(),
            id: target.id.clone(),
            name: target.name.clone(),
            server: leg.own_facts().request_realm.clone(),
        });
        leg.note(|call_id, at| Fact::Started {
            call_id,
            at,
            account: leg.own_facts().account.id.to_string(),
            from: leg.own_facts().caller_id_number.clone(),
            dialled: leg.own_facts().request_user.clone(),
            callflow: String::new(),
        });
        let id = self.0.endpoint.borrow_mut().invite(clock::now(), request);
        leg.name_at_endpoint(id);
        self.0.calls.borrow_mut().insert(id, leg.clone());
        leg.tell(LegEvent::Create);
        leg.attach(true);
        self.dispatch();
        self.notify();
        Ok(leg)
    }

    fn leg_facts(
        &self,
        call: &CallHandle,
        target: &Target,
        destination: &Destination,
        first: ua::Target,
    ) -> CallFacts {
        let caller = call.facts();
        let uri = Uri::parse(&destination.uri).ok();
        let user = uri
            .as_ref()
            .and_then(|uri| uri.user_text())
            .unwrap_or_default()
            .into_owned();
        let host = uri
            .as_ref()
            .map(|uri| uri.host.to_string())
            .unwrap_or_default();
        let (name, number) = presented(call, target);
        let from_realm = match (&target.from_host, &target.place, target.kind) {
            (Some(own), ..) => own.clone(),
            (None, Place::Uri { .. }, "resource") => host.clone(),
            _ => caller.account.realm.to_string(),
        };
        CallFacts {
            call_id: uuid(&self.0.rng.borrow_mut().hex(16)),
            account: caller.account.clone(),
            direction: "outbound",
            from_uri: address(&number, &from_realm),
            from_user: number.clone(),
            caller_id_name: name,
            caller_id_number: number,
            from_realm,
            from_tag: String::new(),
            to_user: user.clone(),
            to_realm: host.clone(),
            to_uri: destination.uri.clone(),
            callee_id_name: target.name.clone(),
            request_user: user,
            request_realm: host,
            authorizing_id: target.id.clone(),
            authorizing_type: target.kind,
            owner_id: target.owner_id.clone(),
            inception: call.own_facts().inception.clone(),
            custom_sip_headers: Map::new(),
            max_forwards: call.own_facts().max_forwards.saturating_sub(1),
            passes: call.own_facts().passes.saturating_add(1),
            diversions: Vec::new(),
            referred_by: None,
            user_agent: String::new(),
            source: first.addr,
            transport: first.transport,
            created: clock::unix_now(),
            interaction_id: call.own_facts().interaction_id.clone(),
            fetch_id: call.own_facts().fetch_id.clone(),
        }
    }
}

impl CallHandle {
    pub(super) fn core(&self) -> &Core {
        &self.0.core
    }

    /// The endpoint has given the leg its name and tag.
    pub(super) fn name_at_endpoint(&self, id: LegId) {
        self.0.leg.set(id);
        let tag = self.core().0.endpoint.borrow().tag_of(id);
        self.state_mut().own_tag = tag.unwrap_or_default();
    }

    /// Takes the port of a leg on the media thread of another, which it is going to be joined with.
    fn take_port_beside(&self, call: &Self) -> Result<(), CallError> {
        let core = self.core();
        let address = core.media_address(self);
        let port = match &call.state().media.port {
            Some(port) => core.0.media.take_beside(port, address)?,
            None => return Ok(()),
        };
        self.have_port(address, port);
        Ok(())
    }

    /// Whether the leg rides on another call.
    pub(super) fn attach(&self, attached: bool) {
        if self.0.attached.replace(attached) != attached {
            let count = &self.0.core.0.attached;
            count.set(if attached {
                count.get() + 1
            } else {
                count.get().saturating_sub(1)
            });
        }
    }

    /// This leg as the record of another names it; `first` gives the bridge its name.
    pub(super) fn as_other(&self, first: &Self) -> OtherLeg {
        let facts = self.own_facts();
        OtherLeg {
            call_id: facts.call_id.clone(),
            direction: facts.direction,
            caller_id_name: facts.caller_id_name.clone(),
            caller_id_number: facts.caller_id_number.clone(),
            destination: facts.request_user.clone(),
            bridge_id: first.own_facts().call_id.clone(),
        }
    }

    /// A provisional response to our INVITE.
    pub(super) fn progressed(&self, status: u16, body: Option<Body>, to_tag: &str) {
        let fresh = {
            let mut state = self.state_mut();
            if status >= 180 {
                state.rang_at.get_or_insert(clock::unix_now());
                state.progress = Some(status);
            }
            to_tag.clone_into(&mut state.to_tag);
            state.early_tag.as_deref() != Some(to_tag)
        };
        if status >= 180 {
            self.journal_ringing();
        }
        // A second description in the same dialog is a repetition (RFC 6337 §3.1.1); another dialog's takes over.
        if let Some(body) = body.filter(|_| fresh)
            && self.hear_answer(&body, to_tag)
        {
            self.state_mut().phase = Phase::Ringing { early: true };
        }
        self.state_mut().wake();
    }

    /// The 2xx to our INVITE.
    pub(super) fn callee_answered(&self, body: Option<Body>, to_tag: &str) {
        to_tag.clone_into(&mut self.state_mut().to_tag);
        let known = self.state().early_tag.as_deref() == Some(to_tag);
        if let Some(body) = body.filter(|_| !known)
            && !self.hear_answer(&body, to_tag)
        {
            self.state_mut().media.agreed = None;
        }
        if self.state().media.agreed.is_none() {
            return self.end(Cause::INCOMPATIBLE_DESTINATION);
        }
        let at = clock::unix_now();
        {
            let mut state = self.state_mut();
            state.media.pending_offer = None;
            state.phase = Phase::Answered { at };
        }
        // From now on silence counts; and every operation looks again.
        self.start_media();
        self.journal_answer(at);
    }

    /// Takes the answer to our first offer; whether it could be.
    fn hear_answer(&self, body: &Body, to_tag: &str) -> bool {
        let Some(offer) = self.state().media.pending_offer.clone() else {
            return false;
        };
        let Ok(answer) = Session::parse(&body.bytes) else {
            return false;
        };
        let Ok(local) = self.local() else {
            return false;
        };
        let agreed = match negotiate::accept_answer(&offer, &answer, &local) {
            Ok(agreed) => agreed,
            Err(refused) => {
                if refused.names_a_host() {
                    self.trouble(Code::SdpHostName, Vec::new());
                }
                return false;
            }
        };
        let changed = {
            let mut state = self.state_mut();
            let changed = state.media.agreed.as_ref() != Some(&agreed);
            state.media.offer = Some(answer);
            state.media.agreed = Some(agreed);
            state.early_tag = Some(to_tag.into());
            changed
        };
        if changed {
            self.start_media();
        }
        true
    }

    /// Whether the peer, which has not answered yet, sends media already.
    pub(super) fn has_early_media(&self) -> bool {
        matches!(self.state().phase, Phase::Ringing { early: true })
    }
}

/// The URI with that user in place of its own.
fn with_user(uri: &str, user: &str) -> String {
    let Ok(mut parsed) = Uri::parse(uri) else {
        return uri.to_owned();
    };
    parsed.user = Some(escaped(user).into());
    parsed.to_string()
}

fn transport_of(uri: &Uri) -> Transport {
    let named = uri.transport().and_then(|name| {
        [
            Transport::Udp,
            Transport::Tcp,
            Transport::Tls,
            Transport::Ws,
            Transport::Wss,
        ]
        .into_iter()
        .find(|t| t.uri_name().eq_ignore_ascii_case(name))
    });
    match (named, uri.scheme.as_str()) {
        (Some(Transport::Udp | Transport::Tcp) | None, "sips") => Transport::Tls,
        (Some(transport), _) => transport,
        (None, _) => Transport::Udp,
    }
}

/// Caller id as the target is to see it: name and number.
fn presented(call: &CallHandle, target: &Target) -> (String, String) {
    let facts = call.facts();
    let vars = call.vars();
    let number = target
        .caller_id_number
        .clone()
        .or_else(|| vars.caller_id_number.clone())
        .unwrap_or_else(|| facts.caller_id_number.clone());
    let name = target
        .caller_id_name
        .clone()
        .or_else(|| vars.caller_id_name.clone())
        .unwrap_or_else(|| facts.caller_id_name.clone());
    (name, number)
}

fn invite(
    call: &CallHandle,
    leg: &CallHandle,
    target: &Target,
    destination: Destination,
    first: ua::Target,
    body: Body,
) -> InviteRequest {
    let facts = leg.own_facts();
    let host = Host::parse(&facts.from_realm)
        .or_else(|_| Host::parse("anonymous.invalid"))
        .ok();
    let identity = host.map(|host| NameAddr {
        display: (!facts.caller_id_name.is_empty()).then(|| facts.caller_id_name.clone()),
        ..NameAddr::new(Uri::sip(
            // Telephones refuse `sip:@host`.
            Some(&*escaped(&facts.caller_id_number)).filter(|user| !user.is_empty()),
            host,
            None,
        ))
    });
    let identity = identity.map(|i| i.to_string()).unwrap_or_default();
    let from = match target.privacy {
        Some(_) => ANONYMOUS.to_owned(),
        None => identity.clone(),
    };
    let mut request = InviteRequest::new(destination.uri, first, from);
    request.alternatives = destination.to.into_iter().skip(1).collect();
    request.flow = destination.flow;
    request.routes = destination.routes;
    request.call_id = Some(facts.call_id.clone());
    request.max_forwards = facts.max_forwards;
    request.body = Some(body);
    // P-Asserted-Identity goes to those only whom the operator trusts with it (RFC 3325 §5).
    if target.asserted_identity {
        request
            .headers
            .push(("P-Asserted-Identity".into(), identity));
    }
    if let Some(privacy) = target.privacy {
        request.headers.push(("Privacy".into(), privacy.into()));
    }
    request.impatient = target.impatient;
    // Carriers count by Max-Forwards; what goes on inside is not their business.
    if target.kind != "resource" {
        request
            .headers
            .push((PASSES.into(), facts.passes.to_string()));
    }
    if let Some(by) = &call.facts().referred_by {
        request.headers.push(("Referred-By".into(), by.clone()));
    }
    // Who was called first names the caller's circle: it is hidden with the caller (RFC 5806 §9).
    let hides = |name: &str| target.privacy.is_some() && name.eq_ignore_ascii_case("Diversion");
    let extra = target
        .headers
        .iter()
        .chain(call.0.seed.iter().flat_map(|seed| &seed.headers))
        .filter(|(name, _)| may_be_set(name) && !hides(name));
    request.headers.extend(extra.cloned());
    if !hides("Diversion") {
        push_diversions(&mut request.headers, &call.own_facts().diversions);
    }
    if let Some((username, password, realm)) = &target.credentials {
        request.credentials = Some((username.clone(), password.clone()));
        request.realm = realm.clone().or_else(|| Some(facts.request_realm.clone()));
    }
    request
}

/// Adds who sent the call on before, after our own diversion: the latest stands first (RFC 5806 §4.2.1).
fn push_diversions(headers: &mut Vec<(String, String)>, earlier: &[String]) {
    let ours = headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("Diversion"))
        .count();
    let left = DIVERSIONS.saturating_sub(ours);
    let earlier = earlier.iter().take(left);
    headers.extend(earlier.map(|value| ("Diversion".to_owned(), value.clone())));
}

/// Whether a custom header may have that name: what makes the message what it is is not for configuration.
fn may_be_set(name: &str) -> bool {
    !matches!(
        Name::from_wire(name),
        Name::Via
            | Name::From
            | Name::To
            | Name::CallId
            | Name::CSeq
            | Name::Contact
            | Name::MaxForwards
            | Name::ContentLength
            | Name::ContentType
            | Name::Route
            | Name::RecordRoute
            | Name::Authorization
            | Name::ProxyAuthorization
            | Name::Require
            | Name::Supported
            | Name::Replaces
    ) && !name.eq_ignore_ascii_case(PASSES)
}

/// A SIP URI; without a user there is no `@` either (RFC 3261 §25.1).
fn address(user: &str, host: &str) -> String {
    match user {
        "" => format!("sip:{host}"),
        user => format!("sip:{}@{host}", escaped(user)),
    }
}

/// A user part with everything escaped that may not stand there (RFC 3261 §25.1).
fn escaped(user: &str) -> String {
    let mut out = String::with_capacity(user.len());
    for byte in user.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// 32 hex digits as a version 4 UUID (api.md §5.2).
fn uuid(hex: &str) -> String {
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-4{}-a{}-{}",
        part(0, 8),
        part(8, 12),
        part(13, 16),
        part(17, 20),
        part(20, 32)
    )
}

/// Who calls when that is nobody's business (RFC 3323 §4.1.1.3).
const ANONYMOUS: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";
/// Counts how often a call has come through us, whatever became of its Max-Forwards on the way.
pub(super) const PASSES: &str = "X-Swivel-Passes";
/// How often a call may.
pub(super) const MAX_PASSES: u8 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leg_of_ours_is_named_by_a_uuid_of_version_4() {
        let id = uuid("0123456789abcdef0123456789abcdef");
        assert_eq!(id, "01234567-89ab-4def-a123-456789abcdef");
    }

    #[test]
    fn who_has_no_number_has_an_address_without_a_user() {
        assert_eq!(address("", "pbx.test"), "sip:pbx.test");
        assert_eq!(address("10 1", "pbx.test"), "sip:10%201@pbx.test");
    }

    #[test]
    fn user_parts_are_escaped_and_structural_headers_cannot_be_set() {
        assert_eq!(escaped("+49 30@x"), "+49%2030%40x");
        assert!(may_be_set("X-Account") && may_be_set("Alert-Info"));
        assert!(!may_be_set("via") && !may_be_set("Call-Id"));
    }
}
