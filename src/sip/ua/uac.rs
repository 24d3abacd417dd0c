//! The caller's side of an INVITE: sending it, early dialogs, the answer that wins, challenges, races.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::capability::{ALLOW, SUPPORTED, response_body};
use super::endpoint::{Endpoint, InviteRequest, Target};
use super::event::Fate;
use super::leg::{Calling, Credentials, Early, Leg, Phase, Waiting, WaitingFor};
use super::prack::{find_early, reliable_number};
use super::reply::{one_line, push_body};
use super::requests::{Outcome, Owner};
use super::transport::{Hop, next_host};
use super::uas::peer_of;
use super::{LegId, SipEvent};
use crate::sip::dialog::dialog::{Dialog, token};
use crate::sip::dialog::reliable::{Order, Receiver};
use crate::sip::dialog::route_set::RouteSet;
use crate::sip::digest;
use crate::sip::flow::Flow;
use crate::sip::msg::{Message, Method, MinSe, Name, SessionExpires, reason_phrase};
use crate::sip::transaction::table::ClientId;
use crate::sip::transaction::timing::T1_X64;

/// Early dialogs of one INVITE that are followed; further forks are not.
const MAX_EARLY: usize = 16;
/// How long a place may say nothing at all before it counts as dead.
const DEAD_AFTER: Duration = Duration::from_secs(4);

impl Endpoint {
    /// Places a call. Every failure is reported as `SipEvent::Rejected`.
    pub fn invite(&mut self, now: Instant, request: InviteRequest) -> LegId {
        self.next_leg += 1;
        let id = LegId(self.next_leg);
        if self.legs.len() >= self.config.max_legs {
            let reason = "Too many calls".to_owned();
            self.events.push_back(SipEvent::Rejected {
                leg: id,
                status: 503,
                reason,
                message: None,
            });
            return id;
        }
        let tag = self.rng.u64();
        let call_id: Arc<str> = match &request.call_id {
            Some(call_id) => one_line(call_id).into(),
            None => self.rng.hex(16).into(),
        };
        let hop = Hop {
            target: request.to,
            flow: request.flow,
        };
        let message = self.first_invite(&request, tag, &call_id);
        let transaction = self.launch(now, message, hop, Owner::Invite(id));
        let mut leg = Leg::new(
            id,
            call_id,
            tag,
            Phase::Calling(Calling {
                transaction,
                raised: false,
                hop,
                dead_at: self.is_watched(hop, &request).then(|| now + DEAD_AFTER),
                alternatives: request.alternatives.into(),
                impatient: request.impatient,
                told: false,
            }),
        );
        if request.body.is_some() {
            // Nothing was offered before: this cannot clash.
            leg.exchange.our_offer().unwrap_or_default();
        }
        leg.local_body = request.body;
        leg.credentials = request.credentials.map(|(username, password)| {
            let realm = request.realm.filter(|_| !request.any_realm);
            let any_realm = request.any_realm;
            Box::new(Credentials {
                username,
                password,
                realm,
                any_realm,
                nonces: Vec::new(),
                realms: Vec::new(),
            })
        });
        self.tags.insert(tag, id);
        self.put_leg(Box::new(leg));
        self.tell_failures(now);
        id
    }

    fn first_invite(&self, request: &InviteRequest, tag: u64, call_id: &str) -> Message {
        let uri = one_line(&request.uri);
        let mut message = Message::request(Method::Invite, &uri);
        let to = request
            .to_header
            .as_deref()
            .map_or_else(|| format!("<{uri}>"), one_line);
        let flow = request
            .flow
            .unwrap_or_else(|| self.flow_towards(request.to));
        let headers = &mut message.headers;
        headers.push(Name::MaxForwards, request.max_forwards.to_string());
        for route in &request.routes {
            headers.push(Name::Route, one_line(route));
        }
        headers.push(
            Name::From,
            format!("{};tag={}", one_line(&request.from), token(tag)),
        );
        headers.push(Name::To, to);
        headers.push(Name::CallId, call_id.to_owned());
        headers.push(Name::CSeq, "1 INVITE");
        headers.push(Name::Contact, self.contact_for(flow, &request.uri));
        headers.push(Name::Allow, ALLOW);
        headers.push(Name::Supported, SUPPORTED);
        let limits = self.session_limits();
        headers.push(Name::SessionExpires, limits.expires.to_string());
        headers.push(Name::MinSe, limits.min_se.to_string());
        if let Some(agent) = &self.config.user_agent {
            headers.push(Name::UserAgent, agent.clone());
        }
        for (name, value) in &request.headers {
            headers.push_named(&one_line(name), one_line(value));
        }
        if let Some(body) = &request.body {
            push_body(&mut message, body);
        }
        message
    }

    /// Whether it matters that a place says nothing for long.
    fn is_watched(&self, hop: Hop, request: &InviteRequest) -> bool {
        let others = !request.alternatives.is_empty() || request.impatient;
        others || (self.config.watch && hop.flow.is_none())
    }

    /// The path a request to that place would take, as far as it is known before it is sent.
    fn flow_towards(&self, target: Target) -> Flow {
        let unconnected = Flow {
            transport: target.transport,
            local: target.addr,
            remote: target.addr,
            connection: 0,
        };
        self.udp_flow(target.addr).map_or(unconnected, |flow| Flow {
            transport: target.transport,
            ..flow
        })
    }

    /// The address of ours that a call to that place comes from, where it is known.
    pub fn address_towards(&self, target: Target) -> Option<IpAddr> {
        let bound = self.udp_flow(target.addr).map(|flow| flow.local.ip());
        bound
            .filter(|ip| !ip.is_unspecified())
            .or_else(|| self.routes.as_ref().and_then(|find| find(target.addr.ip())))
    }

    /// Tries the next place: a new transaction of the same request (RFC 3263 §4.3). Whether there was one.
    fn try_next(&mut self, now: Instant, leg: &mut Leg, request: Option<&Message>) -> bool {
        let Phase::Calling(calling) = &mut leg.phase else {
            return false;
        };
        let (Some(request), Some(target)) = (request, calling.alternatives.pop_front()) else {
            return false;
        };
        let mut message = request.clone();
        message.headers.remove(Name::Via);
        let contact = self.contact(self.flow_towards(target));
        message.headers.replace_first(Name::Contact, contact);
        calling.hop = Hop { target, flow: None };
        calling.dead_at = Some(now + DEAD_AFTER);
        calling.told = false;
        calling.transaction = self.launch(now, message, calling.hop, Owner::Invite(leg.id));
        leg.early.clear();
        true
    }

    /// The place an INVITE went to has said nothing for too long: the next one is tried. Should it wake up later, its
    /// transaction is still there to be cancelled.
    pub(super) fn calling_timeout(&mut self, now: Instant, leg: &mut Leg) {
        let Phase::Calling(calling) = &mut leg.phase else {
            return;
        };
        if calling.dead_at.take_if(|at| now >= *at).is_none() {
            return;
        }
        let silent = self
            .clients
            .get(&calling.transaction)
            .filter(|client| client.machine.is_unanswered());
        let Some(request) = silent.and_then(|client| client.request.clone()) else {
            return;
        };
        let (hop, impatient) = (calling.hop, calling.impatient);
        let silent = Fate::Fails {
            why: "silent",
            wait: None,
        };
        self.reached(hop, &next_host(&request), silent);
        if self.try_next(now, leg, Some(&request)) || !impatient {
            return;
        }
        let event = SipEvent::Rejected {
            leg: leg.id,
            status: 408,
            reason: reason_phrase(408).to_owned(),
            message: None,
        };
        self.tell(leg, event);
        leg.phase = Phase::Gone;
    }

    /// A response to the INVITE of a leg.
    pub(super) fn invite_outcome(&mut self, now: Instant, leg: LegId, outcome: Outcome) {
        let success = (200..300).contains(&outcome.status);
        let message = outcome.message.clone();
        let (flow, id, outcome_status) = (outcome.flow, outcome.id, outcome.status);
        let taken = self.with_leg(leg, |endpoint, leg| match &mut leg.phase {
            Phase::Calling(calling) if calling.transaction == outcome.id => {
                let answers = !matches!(outcome.status, 408 | 503);
                if !(std::mem::replace(&mut calling.told, true) && answers) {
                    endpoint.reached_by(calling.hop, &outcome);
                }
                match outcome.status {
                    ..=199 => endpoint.progress(now, leg, &outcome),
                    200..=299 => endpoint.answered(now, leg, &outcome),
                    300.. => endpoint.rejected(now, leg, outcome),
                }
                true
            }
            Phase::Cancelling(cancelling) if cancelling.transaction == outcome.id => {
                match outcome.status {
                    ..=199 => {
                        if let Some(reason) = cancelling.held.take() {
                            endpoint.send_cancel(now, id, reason.as_ref());
                        }
                        true
                    }
                    200..=299 => {
                        leg.phase = Phase::Gone;
                        false
                    }
                    300.. => {
                        leg.phase = Phase::Gone;
                        true
                    }
                }
            }
            Phase::Ringing(_)
            | Phase::Calling(_)
            | Phase::Cancelling(_)
            | Phase::Up
            | Phase::Leaving(_)
            | Phase::Ending
            | Phase::Gone => {
                // A repetition of the 2xx we are still thinking about is not another callee.
                let tag = message
                    .as_ref()
                    .and_then(|m| m.to_tag())
                    .unwrap_or_default();
                leg.dialog.as_ref().is_some_and(|d| *d.remote_tag == *tag)
            }
        });
        if outcome_status < 200 && taken != Some(true) {
            // A place we had given up rings after all.
            return self.send_cancel(now, id, None);
        }
        // Another callee answered, or the caller has gone (§13.2.2.4).
        if let (true, false, Some(message), Some(flow)) =
            (success, taken == Some(true), message, flow)
        {
            self.acknowledge_and_hang_up(now, id, &message, flow);
        }
    }

    fn progress(&mut self, now: Instant, leg: &mut Leg, outcome: &Outcome) {
        if let Phase::Calling(calling) = &mut leg.phase {
            calling.dead_at = None;
        }
        let (Some(message), Some(flow)) = (&outcome.message, outcome.flow) else {
            return;
        };
        if outcome.status == 100 {
            return;
        }
        let to_tag: Box<str> = message.to_tag().unwrap_or_default().into();
        let mut body = response_body(message);
        if !to_tag.is_empty() {
            let early = match find_early(&leg.early, &to_tag) {
                Some(early) => early,
                None if leg.early.len() >= MAX_EARLY => return,
                None => {
                    let Some(dialog) = caller_dialog(leg, message, flow) else {
                        return;
                    };
                    leg.early.push(Early {
                        dialog,
                        receiver: Receiver::default(),
                    });
                    leg.early.len() - 1
                }
            };
            if let (Some(rseq), Ok(cseq)) = (reliable_number(message), message.cseq()) {
                let order = leg.early.get_mut(early).map(|e| e.receiver.receive(rseq));
                if order != Some(Order::Next) {
                    return;
                }
                let offered = leg.exchange.is_unstarted();
                self.reliable_progress(now, leg, early, rseq, cseq.number, body.as_ref());
                if offered {
                    body = None;
                }
            }
        }
        self.tell(
            leg,
            SipEvent::Progress {
                leg: leg.id,
                status: outcome.status,
                body,
                to_tag,
            },
        );
    }

    fn answered(&mut self, now: Instant, leg: &mut Leg, outcome: &Outcome) {
        let (Some(message), Some(flow)) = (&outcome.message, outcome.flow) else {
            return;
        };
        let to_tag = message.to_tag().unwrap_or_default();
        let cseq = message.cseq().map_or(1, |c| c.number);
        let Some(mut dialog) = caller_dialog(leg, message, flow) else {
            return;
        };
        let answered_tag: Box<str> = to_tag.as_str().into();
        // The early dialog's numbers go on; its route set is replaced by the 2xx's (§13.2.2.4).
        if let Some(early) = find_early(&leg.early, &to_tag).and_then(|at| leg.early.get(at)) {
            dialog.local_cseq = dialog.local_cseq.max(early.dialog.local_cseq);
            dialog.remote_cseq = early.dialog.remote_cseq;
        }
        leg.early.clear();
        leg.dialog = Some(dialog);
        leg.phase = Phase::Up;
        let body = response_body(message);
        if let Some(body) = &body {
            leg.remote_body = Some(body.bytes.clone());
        }
        self.session_answered(now, leg, message);
        // An offer in a reliable provisional response of another callee is void now.
        leg.waiting = None;
        let offered = body.is_some() && !leg.exchange.is_ours() && !leg.exchange.is_established();
        if offered {
            leg.exchange.abandoned();
            leg.exchange.their_offer().unwrap_or_default();
            let what = WaitingFor::Ack {
                invite: outcome.id,
                cseq,
            };
            leg.waiting = Some(Waiting {
                what,
                until: now + T1_X64,
            });
        } else {
            if leg.exchange.is_ours() {
                leg.exchange.answered();
            }
            self.acknowledge(leg, outcome.id, cseq, None);
        }
        self.tell(
            leg,
            SipEvent::Answered {
                leg: leg.id,
                body,
                to_tag: answered_tag,
                agent: message
                    .header(Name::UserAgent)
                    .or_else(|| message.header(Name::Server))
                    .map(Into::into),
                extra: extra(message),
            },
        );
    }

    fn rejected(&mut self, now: Instant, leg: &mut Leg, outcome: Outcome) {
        let dead = outcome.status == 503 || outcome.message.is_none();
        if dead && self.try_next(now, leg, outcome.request.as_ref()) {
            return;
        }
        let raised = self.raise_interval(now, leg, &outcome);
        let retried =
            raised.or_else(|| self.answer_challenge(now, leg, Owner::Invite(leg.id), &outcome));
        if let (Some(transaction), Phase::Calling(calling)) = (retried, &mut leg.phase) {
            calling.transaction = transaction;
            leg.early.clear();
            return;
        }
        let status = outcome.status;
        let reason = outcome.message.as_ref().map_or_else(
            || reason_phrase(status).to_owned(),
            |m| match &m.start {
                crate::sip::msg::Start::Response { reason, .. } => reason.to_string(),
                crate::sip::msg::Start::Request { .. } => String::new(),
            },
        );
        self.tell(
            leg,
            SipEvent::Rejected {
                leg: leg.id,
                status,
                reason,
                message: outcome.message,
            },
        );
        leg.phase = Phase::Gone;
    }

    /// Sends the INVITE again with the peer's Min-SE, once (RFC 4028 §7.3).
    fn raise_interval(
        &mut self,
        now: Instant,
        leg: &mut Leg,
        outcome: &Outcome,
    ) -> Option<ClientId> {
        let Phase::Calling(calling) = &mut leg.phase else {
            return None;
        };
        if outcome.status != 422 || calling.raised {
            return None;
        }
        let min_se = MinSe::parse(outcome.header(Name::MinSe)?).ok()?.seconds;
        let mut message = renumbered(outcome.request.as_ref()?, None)?;
        let limits = self.session_limits();
        let seconds = limits.expires.max(min_se);
        message.headers.set(
            Name::SessionExpires,
            SessionExpires {
                seconds,
                refresher: None,
            }
            .to_string(),
        );
        message
            .headers
            .set(Name::MinSe, limits.min_se.max(min_se).to_string());
        calling.raised = true;
        let hop = calling.hop;
        Some(self.launch(now, message, hop, Owner::Invite(leg.id)))
    }

    /// Sends a challenged request again with credentials, where the leg has them for that realm; gives the new
    /// transaction.
    pub(super) fn answer_challenge(
        &mut self,
        now: Instant,
        leg: &mut Leg,
        owner: Owner,
        outcome: &Outcome,
    ) -> Option<ClientId> {
        if !matches!(outcome.status, 401 | 407) {
            return None;
        }
        let request = outcome.request.as_ref()?;
        let response = outcome.message.as_ref()?;
        let credentials = leg.credentials.as_mut()?;
        let authorization = self.authorize(credentials, request, response)?;
        let cseq = leg.dialog.as_mut().map(|dialog| {
            dialog.local_cseq = dialog.local_cseq.saturating_add(1);
            dialog.local_cseq
        });
        let mut message = renumbered(request, cseq)?;
        for (name, credentials) in authorization {
            replace_credentials(&mut message, name, &credentials);
        }
        let hop = match (&leg.phase, &leg.dialog) {
            (Phase::Calling(calling), _) => calling.hop,
            (_, Some(dialog)) => self.hop(dialog),
            (_, None) => return None,
        };
        Some(self.launch(now, message, hop, owner))
    }

    /// A 2xx to an INVITE whose transaction is over: a call that is up gets its ACK again.
    pub(super) fn stray_success(&mut self, message: &Message) {
        let Some(call_id) = message.call_id() else {
            return;
        };
        let Some(id) = self.leg_of(&message.from_tag().unwrap_or_default(), call_id) else {
            return;
        };
        let (to_tag, Ok(cseq)) = (message.to_tag().unwrap_or_default(), message.cseq()) else {
            return;
        };
        self.with_leg(id, |endpoint, leg| {
            let Some(dialog) = leg.dialog.as_ref().filter(|d| *d.remote_tag == *to_tag) else {
                return;
            };
            let ack = dialog.ack(cseq.number);
            let hop = endpoint.hop(dialog);
            let nobody = ClientId {
                branch: 0,
                cancel: false,
            };
            endpoint.send_ack(nobody, &to_tag, ack, hop);
        });
    }

    /// ACK and BYE for a callee whose answer nobody wants.
    fn acknowledge_and_hang_up(
        &mut self,
        now: Instant,
        invite: ClientId,
        message: &Message,
        flow: Flow,
    ) {
        let Some(mut dialog) = dialog_of_response(message, flow) else {
            return;
        };
        let ack = dialog.ack(dialog.local_cseq);
        let hop = self.hop(&dialog);
        let tag = dialog.remote_tag.clone();
        self.send_ack(invite, &tag, ack, hop);
        let bye = dialog.request(Method::Bye);
        self.launch(now, bye, hop, Owner::Nobody);
    }
}

fn caller_dialog(leg: &Leg, response: &Message, flow: Flow) -> Option<Dialog> {
    let mut dialog = dialog_of_response(response, flow)?;
    dialog.local_tag = leg.local_tag;
    dialog.call_id = leg.call_id.clone();
    Some(dialog)
}

/// The dialog a response to our INVITE makes (§12.1.2).
fn dialog_of_response(response: &Message, flow: Flow) -> Option<Dialog> {
    let routes = response.record_routes().unwrap_or_default();
    // A callee without Contact breaks the rules; the address we called is the best guess.
    let target = match response.contact() {
        Ok(Some(contact)) => contact.uri,
        Ok(None) | Err(_) => response.to().ok()?.uri,
    };
    Some(Dialog {
        call_id: response.call_id()?.into(),
        local_tag: 0,
        remote_tag: response.to_tag().unwrap_or_default().into(),
        local: response.header(Name::From)?.into(),
        remote: response.header(Name::To)?.into(),
        local_cseq: response.cseq().ok()?.number,
        remote_cseq: None,
        remote_target: target.to_string().into(),
        routes: RouteSet::of_caller(&routes),
        flow,
        behind_nat: false,
        peer: peer_of(response),
        ours: true,
    })
}

/// A request to be sent again in a new transaction: next CSeq, no Via.
pub(super) fn renumbered(request: &Message, cseq: Option<u32>) -> Option<Message> {
    let mut message = request.clone();
    let old = request.cseq().ok()?;
    let number = cseq.unwrap_or(old.number.saturating_add(1));
    message.headers.remove(Name::Via);
    message
        .headers
        .replace_first(Name::CSeq, format!("{number} {}", old.method));
    Some(message)
}

/// Puts credentials in the place of older ones for the same realm.
pub(super) fn replace_credentials(
    message: &mut Message,
    name: Name,
    credentials: &digest::Credentials,
) {
    let other = |value: &&str| {
        digest::Credentials::parse(value).is_ok_and(|c| c.realm != credentials.realm)
    };
    let others: Vec<String> = message
        .headers
        .all(name)
        .filter(other)
        .map(str::to_owned)
        .collect();
    message.headers.remove(name);
    for value in others {
        message.headers.push(name, value);
    }
    message.headers.push(name, credentials.to_string());
}

/// The `X-` headers of a response.
fn extra(message: &Message) -> Vec<(Box<str>, Box<str>)> {
    let own = message.headers.iter().filter(|header| {
        let start = header.wire_name().get(..2);
        start.is_some_and(|start| start.eq_ignore_ascii_case("x-"))
    });
    let pairs = own.filter_map(|header| Some((header.wire_name().into(), header.text()?.into())));
    pairs.take(MAX_EXTRA).collect()
}

/// Headers taken from one response.
const MAX_EXTRA: usize = 16;
