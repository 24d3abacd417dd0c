//! Requests outside a dialog, server transactions, and the callee's side of an INVITE up to its final response.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::capability::{
    check_accept, check_method, check_require, check_scheme, lists, session_body,
};
use super::endpoint::{Endpoint, TimerKey};
use super::leg::{Leg, Phase, Ringing, Success, WaitingFor};
use super::reply::{self, Refused};
use super::{Body, How, IncomingInvite, LegId, Principal, Reason, Reliable, Side, SipEvent};
use crate::sip::dialog::dialog::{Dialog, Peer, token};
use crate::sip::dialog::reliable::Sender;
use crate::sip::dialog::route_set::RouteSet;
use crate::sip::dialog::session_timer::{Asked, Granted, Limits, grant};
use crate::sip::flow::Flow;
use crate::sip::msg::{Message, Method, MinSe, Name, SessionExpires};
use crate::sip::transaction::invite_server::{self, InviteServer};
use crate::sip::transaction::key::{COOKIE, Incoming};
use crate::sip::transaction::server::{self, Server};
use crate::sip::transaction::table::{NewServer, ServerId, ServerMachine};

/// What an acceptable INVITE asks for.
struct Judged {
    offer: Option<Body>,
    granted: Granted,
    contact: Box<str>,
    routes: RouteSet,
    reliable: bool,
}

impl Endpoint {
    /// Takes a request.
    pub(super) fn request_arrives(&mut self, now: Instant, flow: Flow, message: Message) {
        let Some(request) = Incoming::read(message, flow) else {
            return;
        };
        match request.method {
            Method::Ack => return self.ack_arrives(now, &request),
            Method::Cancel => return self.cancel_arrives(now, &request),
            Method::Invite
            | Method::Bye
            | Method::Options
            | Method::Register
            | Method::Info
            | Method::Update
            | Method::Prack
            | Method::Refer
            | Method::Notify
            | Method::Subscribe
            | Method::Message
            | Method::Publish
            | Method::Other(_) => {}
        }
        if request.to_tag.is_none() && self.is_banned(now, &request) {
            return;
        }
        let key = request.key_of(&request.method);
        if let Some(id) = self.servers.find(&key) {
            self.repeated(now, id, &request);
        } else if request.to_tag.is_some() {
            self.in_dialog(now, request, key);
        } else {
            self.out_of_dialog(now, request, key);
        }
    }

    fn out_of_dialog(&mut self, now: Instant, request: Incoming, key: String) {
        let options = request.method == Method::Options;
        if (options || request.method == Method::Invite || self.is_for_registrar(&request.method))
            && let Err(refused) = self.check_load(&request)
        {
            return self.reply_statelessly(&request, &refused);
        }
        let admitted = if self.is_for_registrar(&request.method) {
            self.admit_by_digest(now, &request)
        } else {
            self.admit(now, &request)
        };
        let principal = match admitted {
            Ok(principal) => principal,
            Err(_) if options => return self.stranger_options(now, &request),
            Err(challenge) => return self.reply_statelessly(&request, &challenge),
        };
        if self.is_for_registrar(&request.method) {
            return self.hand_up(now, request, key, principal);
        }
        if let Err(refused) = check_method(&request.method) {
            return self.reply_statelessly(&request, &refused);
        }
        if options {
            self.options(&request);
        } else if request.method == Method::Invite {
            self.invite_arrives(now, request, key, principal);
        } else if request.method == Method::Refer {
            // Nobody outside a call may have us place one.
            self.reply_statelessly(&request, &Refused::new(403));
        } else {
            self.reply_statelessly(&request, &Refused::new(481));
        }
    }

    fn invite_arrives(
        &mut self,
        now: Instant,
        request: Incoming,
        key: String,
        principal: Principal,
    ) {
        let judged = self.judge_invite(&request);
        let tag = self.rng.u64();
        let transaction = self.accept_request(now, &request, key, Some(tag));
        let judged = match judged {
            Ok(judged) => judged,
            Err(refused) => {
                self.refuse(now, transaction, refused);
                return;
            }
        };
        self.next_leg += 1;
        let id = LegId(self.next_leg);
        if let Some(server) = self.servers.get_mut(transaction) {
            server.owner = Some(id);
        }
        let expires = request
            .message
            .expires()
            .map(|s| now + Duration::from_secs(u64::from(s)));
        let ringing = Ringing {
            transaction,
            invite: request.message.clone(),
            path: request.path,
            cseq: request.cseq,
            reliable: judged.reliable,
            sender: Sender::new(self.rng.u32()),
            outstanding: None,
            queue: VecDeque::new(),
            accept: None,
            granted: judged.granted,
            expires_at: expires,
            repeat: None,
        };
        let dialog = callee_dialog(&request, tag, judged.contact, judged.routes);
        let mut leg = Leg::new(
            id,
            dialog.call_id.clone(),
            tag,
            Phase::Ringing(Box::new(ringing)),
        );
        if let Some(offer) = &judged.offer {
            // Nothing was offered before: this cannot clash.
            leg.exchange.their_offer().unwrap_or_default();
            leg.remote_body = Some(offer.bytes.clone());
        }
        leg.dialog = Some(dialog);
        self.tags.insert(tag, id);
        self.put_leg(Box::new(leg));
        self.events
            .push_back(SipEvent::Invite(Box::new(IncomingInvite {
                leg: id,
                message: request.message,
                flow: request.path.flow,
                principal,
                offer: judged.offer,
            })));
    }

    /// The checks of §8.2.2 and after, in their order; the caller is known and the method is INVITE.
    fn judge_invite(&self, request: &Incoming) -> Result<Judged, Refused> {
        let message = &request.message;
        check_scheme(message.request_uri().unwrap_or_default())?;
        if self.servers.is_merged(&request.merge_key()) || self.is_loop(message) {
            return Err(Refused::new(482));
        }
        if message.max_forwards() == Some(0) {
            return Err(Refused::new(483));
        }
        check_require(message)?;
        let offer = session_body(message)?;
        check_accept(message)?;
        // A peer of RFC 2543 may leave Contact out (RFC 4475 §3.4.1): what it calls itself is the best guess.
        let contact = match message.contact() {
            Ok(contact) => contact.or_else(|| message.from().ok()),
            Err(_) => None,
        };
        let contact = contact
            .ok_or_else(|| Refused::because(400, "Bad Contact"))?
            .uri
            .to_string()
            .into();
        let routes = message
            .record_routes()
            .map_err(|_| Refused::because(400, "Bad Record-Route"))?;
        let granted = self.judge_session(message)?;
        let reliable = lists(message, Name::Require, "100rel")
            || (self.config.reliable == Reliable::WhenSupported
                && lists(message, Name::Supported, "100rel"));
        Ok(Judged {
            offer,
            granted,
            contact,
            routes: RouteSet::of_callee(&routes),
            reliable,
        })
    }

    /// What the 2xx to this request says about the session interval; 422 when the one asked for is too short.
    pub(super) fn judge_session(&self, message: &Message) -> Result<Granted, Refused> {
        let expires = message
            .header(Name::SessionExpires)
            .map(SessionExpires::parse)
            .transpose();
        let min_se = message.header(Name::MinSe).map(MinSe::parse).transpose();
        let asked = Asked {
            expires: expires.map_err(|_| Refused::because(400, "Bad Session-Expires"))?,
            min_se: min_se
                .map_err(|_| Refused::because(400, "Bad Min-SE"))?
                .map(|m| m.seconds),
            supported: lists(message, Name::Supported, "timer")
                || lists(message, Name::Require, "timer"),
        };
        grant(&asked, self.session_limits())
            .map_err(|min_se| Refused::new(422).with(Name::MinSe, min_se.to_string()))
    }

    pub(super) fn session_limits(&self) -> Limits {
        let secs = |d: Duration| u32::try_from(d.as_secs()).unwrap_or(u32::MAX);
        let min_se = secs(self.config.min_se).max(90);
        Limits {
            expires: secs(self.config.session_expires).max(min_se),
            min_se,
        }
    }

    /// Whether the request went out from us with the same Request-URI and came back through somebody.
    fn is_loop(&self, message: &Message) -> bool {
        message.via_values().skip(1).take(70).any(|value| {
            let Some(at) = value.find(COOKIE) else {
                return false;
            };
            let token = value
                .get(at + COOKIE.len()..)
                .and_then(|rest| rest.get(..16))
                .unwrap_or_default();
            let Some(branch) = crate::sip::dialog::dialog::from_token(token) else {
                return false;
            };
            let id = crate::sip::transaction::table::ClientId {
                branch,
                cancel: false,
            };
            let request = self.clients.get(&id).and_then(|c| c.request.as_ref());
            request.is_some_and(|r| r.request_uri() == message.request_uri())
        })
    }

    /// A new server transaction for a request.
    pub(super) fn accept_request(
        &mut self,
        now: Instant,
        request: &Incoming,
        key: String,
        tag: Option<u64>,
    ) -> ServerId {
        let reliable = request.path.flow.transport.is_reliable();
        let invite = request.method == Method::Invite;
        let machine = if invite {
            ServerMachine::Invite(InviteServer::new(now, reliable))
        } else {
            ServerMachine::Other(Server::new(now, reliable))
        };
        let id = self.servers.insert(NewServer {
            machine,
            path: request.path,
            request: request.message.clone(),
            tag,
            owner: None,
            key,
            merge_key: (invite && request.to_tag.is_none()).then(|| request.merge_key()),
        });
        self.settle_server(id);
        id
    }

    /// A response of a server transaction, without its own headers.
    pub(super) fn draft(&self, id: ServerId, status: u16, reason: &str) -> Option<Message> {
        let server = self.servers.get(id)?;
        Some(reply::response(
            server.request.as_ref()?,
            status,
            reason,
            server.tag,
        ))
    }

    /// Sends a response in its transaction; nothing when the final one went before. Gives its bytes.
    pub(super) fn respond(
        &mut self,
        now: Instant,
        id: ServerId,
        mut response: Message,
    ) -> Option<Bytes> {
        let status = response.status()?;
        if let Some(agent) = &self.config.user_agent {
            response.headers.push(Name::Server, agent.clone());
        }
        let server = self.servers.get_mut(id)?;
        if !server.machine.is_open() {
            return None;
        }
        let bytes = response.to_bytes();
        match &mut server.machine {
            ServerMachine::Invite(machine) => {
                let event = match status {
                    ..=199 => invite_server::Event::Provisional,
                    200..=299 => invite_server::Event::Success,
                    300.. => invite_server::Event::Failure,
                };
                let action = machine.handle(now, event);
                debug_assert_eq!(action, invite_server::Action::Nothing);
                // The 2xx is repeated by its leg.
                server.last = (!(200..300).contains(&status)).then(|| bytes.clone());
            }
            ServerMachine::Other(machine) => {
                if status >= 200 {
                    let action = machine.handle(now, server::Event::Final);
                    debug_assert_eq!(action, server::Action::Nothing);
                }
                server.last = Some(bytes.clone());
            }
        }
        if status >= 200 {
            server.request = None;
        }
        let path = server.path;
        self.send_reply(path, bytes.clone());
        self.settle_server(id);
        Some(bytes)
    }

    /// Sends a final refusal in its transaction.
    pub(super) fn refuse(&mut self, now: Instant, id: ServerId, refused: Refused) {
        self.count_status(refused.status);
        let Some(mut response) = self.draft(id, refused.status, refused.reason) else {
            return;
        };
        for (name, value) in refused.headers {
            response.headers.push(name, value);
        }
        self.respond(now, id, response);
    }

    fn repeated(&mut self, now: Instant, id: ServerId, request: &Incoming) {
        let Some(server) = self.servers.get_mut(id) else {
            return;
        };
        // A phone behind a NAT may come from a new port; another address is somebody else.
        if server.path.flow.remote.ip() == request.path.flow.remote.ip() {
            server.path = request.path;
        }
        match &mut server.machine {
            ServerMachine::Invite(machine) => {
                match machine.handle(now, invite_server::Event::Repeated) {
                    invite_server::Action::SendTrying => self.send_trying(id),
                    invite_server::Action::Resend => self.send_last(id),
                    invite_server::Action::Nothing
                    | invite_server::Action::PassAck
                    | invite_server::Action::NoAck => {}
                }
            }
            ServerMachine::Other(machine) => match machine.handle(now, server::Event::Repeated) {
                server::Action::Resend => self.send_last(id),
                server::Action::SendTrying | server::Action::Nothing | server::Action::TooLate => {}
            },
        }
        self.settle_server(id);
    }

    /// Fires a server transaction's timer.
    pub(super) fn server_timeout(&mut self, now: Instant, id: ServerId) {
        let Some(server) = self.servers.get_mut(id) else {
            return;
        };
        server.armed = None;
        match &mut server.machine {
            ServerMachine::Invite(machine) => match machine.handle_timeout(now) {
                invite_server::Action::SendTrying => self.send_trying(id),
                invite_server::Action::Resend => self.send_last(id),
                invite_server::Action::Nothing
                | invite_server::Action::PassAck
                | invite_server::Action::NoAck => {}
            },
            ServerMachine::Other(machine) => match machine.handle_timeout(now) {
                server::Action::SendTrying => self.send_trying(id),
                server::Action::Resend => self.send_last(id),
                server::Action::Nothing | server::Action::TooLate => {}
            },
        }
        self.settle_server(id);
    }

    fn send_trying(&mut self, id: ServerId) {
        let Some(response) = self.draft(id, 100, "") else {
            return;
        };
        let bytes = response.to_bytes();
        let Some(server) = self.servers.get_mut(id) else {
            return;
        };
        server.last = Some(bytes.clone());
        let path = server.path;
        self.send_reply(path, bytes);
    }

    fn send_last(&mut self, id: ServerId) {
        let Some(server) = self.servers.get(id) else {
            return;
        };
        if let Some(bytes) = server.last.clone() {
            let path = server.path;
            self.send_reply(path, bytes);
        }
    }

    fn settle_server(&mut self, id: ServerId) {
        let Some(server) = self.servers.get_mut(id) else {
            return;
        };
        self.timers
            .rearm(&mut server.armed, server.machine.poll_timeout(), || {
                TimerKey::Server(id)
            });
        if server.machine.is_terminated() {
            self.servers.remove(id);
        }
    }

    /// ACK: for a failure it belongs to the transaction, for a 2xx to the dialog.
    fn ack_arrives(&mut self, now: Instant, request: &Incoming) {
        if let Some(id) = self.servers.find(&request.key_of(&Method::Invite)) {
            let Some(server) = self.servers.get_mut(id) else {
                return;
            };
            let action = match &mut server.machine {
                ServerMachine::Invite(machine) => machine.handle(now, invite_server::Event::Ack),
                ServerMachine::Other(_) => return,
            };
            self.settle_server(id);
            if action != invite_server::Action::PassAck {
                return;
            }
        }
        let to_tag = request.to_tag.as_deref().unwrap_or_default();
        let Some(leg) = self.leg_of(to_tag, &request.call_id) else {
            return;
        };
        self.with_leg(leg, |endpoint, leg| {
            endpoint.leg_acknowledged(now, leg, request)
        });
    }

    fn leg_acknowledged(&mut self, now: Instant, leg: &mut Leg, ack: &Incoming) {
        let known = leg
            .dialog
            .as_ref()
            .is_some_and(|d| *d.remote_tag == *ack.from_tag);
        let matches = leg
            .success
            .as_ref()
            .is_some_and(|s| s.unacked.cseq == ack.cseq);
        if !known || !matches {
            return;
        }
        let Some(success) = leg.success.take() else {
            return;
        };
        let body = session_body(&ack.message).ok().flatten();
        self.acknowledged(now, leg, success, body);
    }

    /// Our 2xx has its ACK.
    pub(super) fn acknowledged(
        &mut self,
        now: Instant,
        leg: &mut Leg,
        success: Success,
        body: Option<Body>,
    ) {
        if let Phase::Leaving(reason) = &mut leg.phase {
            let reason = reason.take();
            return self.send_bye(now, leg, reason);
        }
        if success.offered {
            match &body {
                Some(answer) => {
                    leg.exchange.answered();
                    leg.remote_body = Some(answer.bytes.clone());
                }
                None => {
                    // §13.2.1: the ACK had to carry the answer.
                    leg.exchange.abandoned();
                    let reason = Some(Reason::sip(488, "No answer in ACK"));
                    return self.finish(now, leg, Side::Us, How::NoAnswer, reason);
                }
            }
        }
        let answer = success.offered.then_some(body).flatten();
        let id = leg.id;
        if success.first {
            self.tell(leg, SipEvent::Established { leg: id, answer });
        } else if success.offered {
            self.tell(
                leg,
                SipEvent::Answer {
                    leg: id,
                    body: answer,
                },
            );
        }
        self.send_queued(now, leg);
    }

    /// CANCEL: only the transaction's own branch counts (§9.2).
    fn cancel_arrives(&mut self, now: Instant, request: &Incoming) {
        let own_key = request.key_of(&Method::Cancel);
        if let Some(id) = self.servers.find(&own_key) {
            return self.repeated(now, id, request);
        }
        let invite = self.servers.find(&request.key_of(&Method::Invite));
        let Some((invite, server)) = invite.and_then(|id| Some((id, self.servers.get(id)?))) else {
            return self.reply_statelessly(request, &Refused::new(481));
        };
        let (owner, open, tag) = (server.owner, server.machine.is_open(), server.tag);
        let id = self.accept_request(
            now,
            request,
            own_key,
            tag.filter(|_| request.to_tag.is_none()),
        );
        self.refuse(now, id, Refused::new(200));
        if !open {
            return;
        }
        let reason = reply::reason_of(&request.message);
        let Some(owner) = owner else {
            return self.refuse(now, invite, Refused::new(487));
        };
        self.with_leg(owner, |endpoint, leg| {
            endpoint.leg_cancelled(now, leg, invite, reason)
        });
    }

    fn leg_cancelled(
        &mut self,
        now: Instant,
        leg: &mut Leg,
        invite: ServerId,
        reason: Option<Reason>,
    ) {
        self.refuse(now, invite, Refused::new(487));
        let first = matches!(&leg.phase, Phase::Ringing(ringing) if ringing.transaction == invite);
        if first {
            self.over(leg, Side::Peer, How::Cancel, reason);
            leg.phase = Phase::Gone;
            return;
        }
        let waits = leg.waiting.as_ref().is_some_and(
            |waiting| matches!(&waiting.what, WaitingFor::ReInvite { transaction, .. } if *transaction == invite),
        );
        if waits {
            leg.waiting = None;
            leg.exchange.abandoned();
            self.send_queued(now, leg);
        }
    }
}

fn callee_dialog(
    request: &Incoming,
    tag: u64,
    remote_target: Box<str>,
    routes: RouteSet,
) -> Dialog {
    let message = &request.message;
    let to = message.header(Name::To).unwrap_or_default();
    Dialog {
        call_id: (*request.call_id).into(),
        local_tag: tag,
        remote_tag: request.from_tag.clone(),
        local: format!("{to};tag={}", token(tag)).into(),
        remote: message.header(Name::From).unwrap_or_default().into(),
        local_cseq: 0,
        remote_cseq: Some(request.cseq),
        remote_target,
        routes,
        flow: request.path.flow,
        behind_nat: request.behind_nat,
        peer: peer_of(message),
        ours: false,
    }
}

/// What a message says its sender can do.
pub(super) fn peer_of(message: &Message) -> Peer {
    Peer {
        allows_update: lists(message, Name::Allow, "UPDATE"),
        supports_timer: lists(message, Name::Supported, "timer")
            || lists(message, Name::Require, "timer"),
    }
}
