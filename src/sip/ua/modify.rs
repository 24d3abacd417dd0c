//! Offers inside a call: re-INVITE and UPDATE from both sides, their answers, glare, and the session's refreshes
//! (RFC 3261 §14, 3311, 4028).

use std::time::{Duration, Instant};

use super::capability::{ALLOW, SUPPORTED, response_body, session_body};
use super::endpoint::{Endpoint, Refusal, SipError};
use super::leg::{Leg, OwnInvite, Phase, Retry, Success, Waiting, WaitingFor};
use super::reply::{Refused, one_line, push_body, push_session};
use super::requests::{Outcome, Owner};
use super::uas::peer_of;
use super::{Body, How, LegId, Reason, Side, SipEvent};
use crate::sip::dialog::exchange::Clash;
use crate::sip::dialog::session_timer::{Granted, SessionTimer};
use crate::sip::dialog::unacked::Unacked;
use crate::sip::flow::Flow;
use crate::sip::msg::{Message, Method, MinSe, Name, Refresher, SessionExpires};
use crate::sip::transaction::key::Incoming;
use crate::sip::transaction::table::{ClientId, ServerId};
use crate::sip::transaction::timing::T1_X64;

impl Endpoint {
    /// re-INVITE from the peer.
    pub(super) fn reinvite_arrives(
        &mut self,
        now: Instant,
        leg: &mut Leg,
        request: &Incoming,
        key: &str,
    ) -> Result<(), Refused> {
        let message = &request.message;
        if leg.waiting.is_some() || leg.exchange.is_theirs() {
            let refused = self.busy_with_theirs();
            self.answer(now, request, key, refused);
            return Ok(());
        }
        let unanswered = leg.success.as_ref().is_some_and(|s| s.offered);
        if leg.own.is_some() || leg.update.is_some() || leg.exchange.is_ours() || unanswered {
            self.answer(now, request, key, Refused::new(491));
            return Ok(());
        }
        let judged =
            session_body(message).and_then(|offer| Ok((offer, self.judge_session(message)?)));
        let (offer, granted) = match judged {
            Ok(judged) => judged,
            Err(refused) => {
                self.answer(now, request, key, refused);
                return Ok(());
            }
        };
        // A peer that goes on has had our 2xx: its ACK is late or lost.
        if let Some(success) = leg.success.take() {
            self.acknowledged(now, leg, success, None);
        }
        let transaction = self.accept_request(now, request, key.to_owned(), None);
        if let Some(server) = self.servers.get_mut(transaction) {
            server.owner = Some(leg.id);
        }
        refresh_target(leg, request);
        if let Some(offer) = &offer {
            // Free, as checked above.
            leg.exchange.their_offer().unwrap_or_default();
            leg.remote_body = Some(offer.bytes.clone());
        }
        let what = WaitingFor::ReInvite {
            transaction,
            invite: message.clone(),
            path: request.path,
            cseq: request.cseq,
            granted,
            offered: offer.is_some(),
        };
        leg.waiting = Some(Waiting {
            what,
            until: now + T1_X64,
        });
        self.tell(leg, SipEvent::Offer { leg: leg.id, offer });
        Ok(())
    }

    /// UPDATE from the peer.
    pub(super) fn update_arrives(
        &mut self,
        now: Instant,
        leg: &mut Leg,
        request: &Incoming,
        key: &str,
    ) -> Result<(), Refused> {
        let message = &request.message;
        let judged =
            session_body(message).and_then(|offer| Ok((offer, self.judge_session(message)?)));
        let (offer, granted) = match judged {
            Ok(judged) => judged,
            Err(refused) => {
                self.answer(now, request, key, refused);
                return Ok(());
            }
        };
        let Some(offer) = offer else {
            let transaction = self.accept_request(now, request, key.to_owned(), None);
            refresh_target(leg, request);
            self.answer_update(now, leg, transaction, &granted, request.path.flow, None);
            return Ok(());
        };
        let refused = match leg.exchange.their_offer() {
            // Before the first exchange is over only the caller's own INVITE may offer (RFC 3311 §5.1).
            Ok(()) if !leg.exchange.is_established() || leg.waiting.is_some() => {
                leg.exchange.abandoned();
                Some(self.busy_with_theirs())
            }
            Ok(()) => None,
            Err(Clash::Ours) => Some(Refused::new(491)),
            Err(Clash::Theirs) => Some(self.busy_with_theirs()),
        };
        if let Some(refused) = refused {
            self.answer(now, request, key, refused);
            return Ok(());
        }
        let transaction = self.accept_request(now, request, key.to_owned(), None);
        refresh_target(leg, request);
        leg.remote_body = Some(offer.bytes.clone());
        leg.waiting = Some(Waiting {
            what: WaitingFor::Update {
                transaction,
                granted,
                flow: request.path.flow,
            },
            until: now + T1_X64,
        });
        self.tell(
            leg,
            SipEvent::Offer {
                leg: leg.id,
                offer: Some(offer),
            },
        );
        Ok(())
    }

    fn answer_update(
        &mut self,
        now: Instant,
        leg: &mut Leg,
        transaction: ServerId,
        granted: &Granted,
        flow: Flow,
        body: Option<&Body>,
    ) {
        let Some(mut response) = self.draft(transaction, 200, "") else {
            return;
        };
        response.headers.push(Name::Contact, self.contact(flow));
        if matches!(leg.phase, Phase::Up) {
            push_session(&mut response, granted);
            self.start_session(now, leg, &granted.expires, false);
        }
        response.headers.push(Name::Allow, ALLOW);
        response.headers.push(Name::Supported, SUPPORTED);
        if let Some(body) = body {
            push_body(&mut response, body);
        }
        self.respond(now, transaction, response);
    }

    /// Answers a `SipEvent::Offer`, or the offer in `SipEvent::Answered`.
    pub fn respond_offer(
        &mut self,
        now: Instant,
        leg: LegId,
        answer: Result<Option<Body>, Refusal>,
    ) -> Result<(), SipError> {
        if let Err(Refusal { status, .. }) = &answer
            && !(400..=699).contains(status)
        {
            return Err(SipError::Status { status: *status });
        }
        self.command(now, leg, |endpoint, leg| {
            let waiting = leg.waiting.take().ok_or(SipError::NoOffer)?;
            match answer {
                Ok(body) => endpoint.answer_offer(now, leg, waiting.what, body),
                Err(refusal) => endpoint.refuse_offer(now, leg, waiting.what, refusal),
            }
            endpoint.flush_provisionals(now, leg);
            endpoint.send_queued(now, leg);
            Ok(())
        })
    }

    fn answer_offer(&mut self, now: Instant, leg: &mut Leg, what: WaitingFor, body: Option<Body>) {
        if body.is_some() {
            leg.local_body.clone_from(&body);
        }
        match what {
            WaitingFor::ReInvite {
                transaction,
                invite,
                path,
                cseq,
                granted,
                offered,
            } => {
                let Some(mut response) = self.draft(transaction, 200, "") else {
                    return leg.exchange.abandoned();
                };
                self.push_dialog_headers(&mut response, &invite, path.flow);
                push_session(&mut response, &granted);
                response.headers.push(Name::Allow, ALLOW);
                response.headers.push(Name::Supported, SUPPORTED);
                if let Some(body) = &body {
                    push_body(&mut response, body);
                }
                let ours = !offered && body.is_some();
                if ours {
                    leg.exchange.our_offer().unwrap_or_default();
                } else {
                    leg.exchange.answered();
                }
                let Some(bytes) = self.respond(now, transaction, response) else {
                    return leg.exchange.abandoned();
                };
                let unacked = Unacked::new(now, cseq);
                leg.success = Some(Success {
                    unacked,
                    bytes,
                    path,
                    first: false,
                    offered: ours,
                });
                self.start_session(now, leg, &granted.expires, false);
            }
            WaitingFor::Update {
                transaction,
                granted,
                flow,
            } => {
                leg.exchange.answered();
                self.answer_update(now, leg, transaction, &granted, flow, body.as_ref());
            }
            WaitingFor::Prack { transaction } => {
                leg.exchange.answered();
                let Some(mut response) = self.draft(transaction, 200, "") else {
                    return;
                };
                if let Some(body) = &body {
                    push_body(&mut response, body);
                }
                self.respond(now, transaction, response);
            }
            WaitingFor::Ack { invite, cseq } => {
                leg.exchange.answered();
                self.acknowledge(leg, invite, cseq, body.as_ref());
            }
            WaitingFor::ReliableProgress {
                remote_tag,
                rseq,
                cseq,
            } => {
                leg.exchange.answered();
                self.send_prack(now, leg, &remote_tag, rseq, cseq, body.as_ref());
            }
        }
    }

    fn refuse_offer(&mut self, now: Instant, leg: &mut Leg, what: WaitingFor, refusal: Refusal) {
        let first = !leg.exchange.is_established();
        leg.exchange.abandoned();
        let mut refused = Refused::new(refusal.status);
        if let Some(warning) = refusal.warning {
            refused = refused.with(Name::Warning, one_line(&warning));
        }
        match what {
            WaitingFor::ReInvite { transaction, .. }
            | WaitingFor::Update { transaction, .. }
            | WaitingFor::Prack { transaction } => self.refuse(now, transaction, refused),
            WaitingFor::Ack { invite, cseq } => {
                // An offer in a 2xx cannot be refused: acknowledge, and hang up unless a session is there to keep.
                self.acknowledge(leg, invite, cseq, None);
                let reason = Some(Reason::sip(refusal.status, ""));
                if first || matches!(leg.phase, Phase::Up) {
                    self.finish(now, leg, Side::Us, How::Bye, reason);
                }
            }
            WaitingFor::ReliableProgress {
                remote_tag,
                rseq,
                cseq,
            } => {
                self.refuse_progress(now, leg, &remote_tag, rseq, cseq);
            }
        }
    }

    /// The call layer did not answer an offer in time.
    pub(super) fn waited_too_long(&mut self, now: Instant, leg: &mut Leg) {
        let Some(waiting) = leg.waiting.take() else {
            return;
        };
        self.refuse_offer(
            now,
            leg,
            waiting.what,
            Refusal {
                status: 500,
                warning: None,
            },
        );
        self.flush_provisionals(now, leg);
        self.send_queued(now, leg);
    }

    /// Sends a re-INVITE; `None` asks the peer to offer. Waits while another exchange is open; 491 is retried.
    pub fn reinvite(
        &mut self,
        now: Instant,
        leg: LegId,
        body: Option<Body>,
    ) -> Result<(), SipError> {
        self.command(now, leg, |endpoint, leg| {
            if !matches!(leg.phase, Phase::Up) {
                return Err(SipError::WrongState {
                    command: "reinvite",
                    state: leg.phase.name(),
                });
            }
            let open = leg.own.as_ref().is_some_and(|own| !own.refresh);
            let retrying = leg.retry.as_ref().is_some_and(|retry| !retry.refresh);
            if leg.queued.is_some() || open || retrying {
                return Err(SipError::Pending);
            }
            leg.queued = Some(body);
            endpoint.send_queued(now, leg);
            Ok(())
        })
    }

    /// Sends the re-INVITE that waits, when nothing stands in its way any more.
    pub(super) fn send_queued(&mut self, now: Instant, leg: &mut Leg) {
        if leg.is_free()
            && let Some(body) = leg.queued.take()
        {
            self.send_reinvite(now, leg, body, false, None);
        }
    }

    fn send_reinvite(
        &mut self,
        now: Instant,
        leg: &mut Leg,
        body: Option<Body>,
        refresh: bool,
        raised: Option<u32>,
    ) {
        let interval = self.wanted_interval(leg, raised);
        let Some(dialog) = &mut leg.dialog else {
            return;
        };
        let mut message = dialog.request(Method::Invite);
        message.headers.push(
            Name::Contact,
            self.contact_for(dialog.flow, &dialog.remote_target),
        );
        message.headers.push(Name::Allow, ALLOW);
        message.headers.push(Name::Supported, "timer");
        self.push_interval(&mut message, &interval, raised);
        if let Some(body) = &body {
            push_body(&mut message, body);
            // `is_free` was asked before: this cannot clash.
            leg.exchange.our_offer().unwrap_or_default();
        }
        let hop = self.hop(dialog);
        let transaction = self.launch(now, message, hop, Owner::Reinvite(leg.id));
        leg.own = Some(OwnInvite {
            transaction,
            body,
            refresh,
            raised: raised.is_some(),
        });
    }

    /// The interval to ask for: the one that runs, so that nothing changes, or the peer's higher minimum.
    fn wanted_interval(&self, leg: &Leg, raised: Option<u32>) -> SessionExpires {
        let running = leg
            .session
            .as_ref()
            .map_or(self.session_limits().expires, |s| s.seconds);
        let ours = leg.session.as_ref().is_none_or(|s| s.ours);
        let refresher = Some(if ours { Refresher::Uac } else { Refresher::Uas });
        SessionExpires {
            seconds: running.max(raised.unwrap_or(0)),
            refresher,
        }
    }

    fn push_interval(&self, message: &mut Message, interval: &SessionExpires, raised: Option<u32>) {
        message
            .headers
            .push(Name::SessionExpires, interval.to_string());
        let min_se = self.session_limits().min_se.max(raised.unwrap_or(0));
        message.headers.push(Name::MinSe, min_se.to_string());
    }

    /// The result of our re-INVITE.
    pub(super) fn reinvite_outcome(&mut self, now: Instant, leg: LegId, outcome: Outcome) {
        self.with_leg(leg, |endpoint, leg| {
            let ours = leg
                .own
                .as_ref()
                .is_some_and(|own| own.transaction == outcome.id);
            match outcome.status {
                ..=199 => {}
                200..=299 if ours && matches!(leg.phase, Phase::Up) => {
                    endpoint.reinvited(now, leg, &outcome)
                }
                // Answered after its time, or while we hang up: the peer still needs its ACK.
                200..=299 => {
                    let cseq = outcome.message.as_ref().and_then(|m| m.cseq().ok());
                    endpoint.acknowledge(leg, outcome.id, cseq.map_or(0, |c| c.number), None);
                }
                300.. if ours && matches!(leg.phase, Phase::Up) => {
                    endpoint.reinvite_failed(now, leg, outcome)
                }
                300.. => {}
            }
        });
    }

    fn reinvited(&mut self, now: Instant, leg: &mut Leg, outcome: &Outcome) {
        let (Some(message), Some(own)) = (&outcome.message, leg.own.take()) else {
            return;
        };
        let cseq = message.cseq().map_or(0, |c| c.number);
        if let Some(dialog) = &mut leg.dialog {
            if let Ok(Some(contact)) = message.contact() {
                dialog.remote_target = contact.uri.to_string().into();
            }
            dialog.peer = peer_of(message);
        }
        self.session_answered(now, leg, message);
        let body = response_body(message);
        if own.body.is_some() {
            leg.exchange.answered();
            self.acknowledge(leg, outcome.id, cseq, None);
            let same = body.as_ref().map(|b| &b.bytes) == leg.remote_body.as_ref();
            if let Some(body) = &body {
                leg.remote_body = Some(body.bytes.clone());
            }
            if !own.refresh {
                leg.local_body = own.body;
            }
            // A refresh that changes nothing concerns nobody.
            if !own.refresh || !same {
                self.tell(leg, SipEvent::Answer { leg: leg.id, body });
            }
        } else if let Some(offer) = body {
            leg.exchange.their_offer().unwrap_or_default();
            leg.remote_body = Some(offer.bytes.clone());
            let what = WaitingFor::Ack {
                invite: outcome.id,
                cseq,
            };
            leg.waiting = Some(Waiting {
                what,
                until: now + T1_X64,
            });
            return self.tell(
                leg,
                SipEvent::Offer {
                    leg: leg.id,
                    offer: Some(offer),
                },
            );
        } else {
            self.acknowledge(leg, outcome.id, cseq, None);
            self.tell(
                leg,
                SipEvent::Answer {
                    leg: leg.id,
                    body: None,
                },
            );
        }
        self.send_queued(now, leg);
    }

    fn reinvite_failed(&mut self, now: Instant, leg: &mut Leg, outcome: Outcome) {
        let owner = Owner::Reinvite(leg.id);
        if let Some(transaction) = self.answer_challenge(now, leg, owner, &outcome) {
            if let Some(own) = &mut leg.own {
                own.transaction = transaction;
            }
            return;
        }
        let Some(own) = leg.own.take() else { return };
        if own.body.is_some() {
            leg.exchange.abandoned();
        }
        match outcome.status {
            491 => {
                let at = now + self.back_off(leg);
                leg.retry = Some(Retry {
                    at,
                    body: own.body,
                    refresh: own.refresh,
                });
                return;
            }
            422 if !own.raised => {
                let min_se = outcome
                    .header(Name::MinSe)
                    .and_then(|v| MinSe::parse(v).ok());
                if let Some(min_se) = min_se {
                    return self.send_reinvite(
                        now,
                        leg,
                        own.body,
                        own.refresh,
                        Some(min_se.seconds),
                    );
                }
            }
            408 | 481 => return self.dead(now, leg, outcome.status),
            _ => {}
        }
        if own.refresh {
            self.refresh_later(now, leg);
        } else {
            self.tell(
                leg,
                SipEvent::OfferFailed {
                    leg: leg.id,
                    status: outcome.status,
                },
            );
        }
        self.send_queued(now, leg);
    }

    /// How long to wait after a 491 (§14.1): the one who made the Call-ID waits longer.
    fn back_off(&mut self, leg: &Leg) -> Duration {
        let ours = leg.dialog.as_ref().is_some_and(|d| d.ours);
        let steps = if ours {
            210 + self.rng.below(191)
        } else {
            self.rng.below(201)
        };
        Duration::from_millis(steps * 10)
    }

    /// The back-off is over.
    pub(super) fn retry_reinvite(&mut self, now: Instant, leg: &mut Leg) {
        let Some(retry) = leg.retry.take() else {
            return;
        };
        if leg.is_free() {
            self.send_reinvite(now, leg, retry.body, retry.refresh, None);
        } else if retry.refresh {
            self.refresh_later(now, leg);
        } else if leg.queued.is_none() {
            leg.queued = Some(retry.body);
        }
    }

    /// Sends a session refresh: UPDATE where the peer takes it, else a re-INVITE with the same description.
    pub(super) fn refresh(&mut self, now: Instant, leg: &mut Leg) {
        if !leg.is_free() {
            return self.refresh_later(now, leg);
        }
        if leg.dialog.as_ref().is_some_and(|d| d.peer.allows_update) {
            self.send_update(now, leg, None);
        } else {
            let body = leg.local_body.clone();
            self.send_reinvite(now, leg, body, true, None);
        }
    }

    fn refresh_later(&self, now: Instant, leg: &mut Leg) {
        if let Some(session) = &mut leg.session {
            session.retry_at(now + Duration::from_secs(2));
        }
    }

    fn send_update(&mut self, now: Instant, leg: &mut Leg, raised: Option<u32>) {
        let interval = self.wanted_interval(leg, raised);
        let Some(dialog) = &mut leg.dialog else {
            return;
        };
        let mut message = dialog.request(Method::Update);
        message.headers.push(
            Name::Contact,
            self.contact_for(dialog.flow, &dialog.remote_target),
        );
        message.headers.push(Name::Supported, "timer");
        self.push_interval(&mut message, &interval, raised);
        let hop = self.hop(dialog);
        leg.update = Some(self.launch(now, message, hop, Owner::Update(leg.id)));
    }

    /// The result of our refreshing UPDATE.
    pub(super) fn update_outcome(&mut self, now: Instant, leg: LegId, outcome: Outcome) {
        self.with_leg(leg, |endpoint, leg| {
            if leg.update != Some(outcome.id) || !matches!(leg.phase, Phase::Up) {
                return;
            }
            if let Some(transaction) =
                endpoint.answer_challenge(now, leg, Owner::Update(leg.id), &outcome)
            {
                leg.update = Some(transaction);
                return;
            }
            leg.update = None;
            match (outcome.status, &outcome.message) {
                (200..=299, Some(message)) => {
                    if let (Some(dialog), Ok(Some(contact))) = (&mut leg.dialog, message.contact())
                    {
                        dialog.remote_target = contact.uri.to_string().into();
                    }
                    endpoint.session_answered(now, leg, message);
                }
                (408 | 481, _) => return endpoint.dead(now, leg, outcome.status),
                (422, Some(message)) => {
                    let min_se = message
                        .header(Name::MinSe)
                        .and_then(|v| MinSe::parse(v).ok());
                    let running = leg.session.as_ref().map_or(0, |s| s.seconds);
                    match min_se.filter(|min_se| min_se.seconds > running) {
                        Some(min_se) => {
                            if let Some(session) = &mut leg.session {
                                // Asked once: the next 422 finds nothing to raise.
                                session.seconds = min_se.seconds;
                            }
                            return endpoint.send_update(now, leg, Some(min_se.seconds));
                        }
                        None => endpoint.refresh_later(now, leg),
                    }
                }
                (405 | 501, _) => {
                    if let Some(dialog) = &mut leg.dialog {
                        dialog.peer.allows_update = false;
                    }
                    endpoint.refresh(now, leg);
                }
                _ => endpoint.refresh_later(now, leg),
            }
            endpoint.send_queued(now, leg);
        });
    }

    /// Starts the session interval after a 2xx of ours (`requested` false) or to a request of ours.
    pub(super) fn start_session(
        &mut self,
        now: Instant,
        leg: &mut Leg,
        expires: &SessionExpires,
        requested: bool,
    ) {
        let ours = match expires.refresher {
            Some(Refresher::Uac) => requested,
            Some(Refresher::Uas) => !requested,
            None => true,
        };
        leg.session = Some(SessionTimer::start(now, expires.seconds, ours));
    }

    /// Starts the session interval after the peer's 2xx. A peer that says nothing about it leaves the refreshes to us.
    pub(super) fn session_answered(&mut self, now: Instant, leg: &mut Leg, response: &Message) {
        let limits = self.session_limits();
        let said = response
            .header(Name::SessionExpires)
            .and_then(|v| SessionExpires::parse(v).ok());
        let expires = said.map_or(
            SessionExpires {
                seconds: limits.expires,
                refresher: Some(Refresher::Uac),
            },
            // Shorter than what we asked for is the peer's right down to Min-SE, not below.
            |e| SessionExpires {
                seconds: e.seconds.max(90),
                refresher: e.refresher,
            },
        );
        self.start_session(now, leg, &expires, true);
    }

    /// Sends the ACK for a 2xx to an INVITE of ours in the leg's dialog.
    pub(super) fn acknowledge(
        &mut self,
        leg: &mut Leg,
        invite: ClientId,
        cseq: u32,
        body: Option<&Body>,
    ) {
        let Some(dialog) = &leg.dialog else { return };
        let mut ack = dialog.ack(cseq);
        if let Some(body) = body {
            push_body(&mut ack, body);
        }
        let hop = self.hop(dialog);
        let tag = dialog.remote_tag.clone();
        self.send_ack(invite, &tag, ack, hop);
    }
}

/// Takes the Contact and the path of a target refresh request (§12.2.2).
pub(super) fn refresh_target(leg: &mut Leg, request: &Incoming) {
    let Some(dialog) = leg.dialog_with(&request.from_tag) else {
        return;
    };
    if let Ok(Some(contact)) = request.message.contact() {
        dialog.remote_target = contact.uri.to_string().into();
    }
    dialog.flow = request.path.flow;
    dialog.behind_nat = request.behind_nat;
    if request.message.headers.count(Name::Allow) > 0 {
        dialog.peer = peer_of(&request.message);
    }
}
