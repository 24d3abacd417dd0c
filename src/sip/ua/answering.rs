//! The callee's responses to an INVITE: provisional ones, the 2xx, refusals.

use std::time::{Duration, Instant};

use super::capability::{ALLOW, SUPPORTED};
use super::endpoint::{Endpoint, SipError};
use super::leg::{Carries, Leg, Phase, Success};
use super::reply::{Refused, one_line, push_body, push_session};
use super::{Body, How, LegId, Reason, Side, SipEvent};
use crate::sip::dialog::unacked::Unacked;
use crate::sip::flow::Flow;
use crate::sip::msg::{Message, Name};

/// Provisional responses that may wait behind a reliable one.
const MAX_QUEUED: usize = 8;
/// How often an unreliable provisional response is repeated so that proxies keep waiting (§13.3.1.1).
const REPEAT_PROVISIONAL: Duration = Duration::from_secs(60);

impl Endpoint {
    /// Sends a 101–199 on an unanswered incoming leg. Reliable when the peer requires it, or supports it and so
    /// configured; one reliable response is outstanding at a time, later ones wait their turn.
    pub fn provisional(
        &mut self,
        now: Instant,
        leg: LegId,
        status: u16,
        body: Option<Body>,
    ) -> Result<(), SipError> {
        if !(101..=199).contains(&status) {
            return Err(SipError::Status { status });
        }
        self.command(now, leg, |endpoint, leg| {
            let state = leg.phase.name();
            let Phase::Ringing(ringing) = &mut leg.phase else {
                return Err(SipError::WrongState {
                    command: "provisional",
                    state,
                });
            };
            if ringing.accept.is_some() {
                return Err(SipError::WrongState {
                    command: "provisional",
                    state: "answering",
                });
            }
            if ringing.reliable && ringing.sender.is_outstanding() {
                if ringing.queue.len() >= MAX_QUEUED {
                    return Err(SipError::Pending);
                }
                ringing.queue.push_back((status, body));
                return Ok(());
            }
            endpoint.send_provisional(now, leg, status, body);
            Ok(())
        })
    }

    pub(super) fn send_provisional(
        &mut self,
        now: Instant,
        leg: &mut Leg,
        status: u16,
        body: Option<Body>,
    ) {
        let Phase::Ringing(ringing) = &mut leg.phase else {
            return;
        };
        let Some(mut response) = self.draft(ringing.transaction, status, "") else {
            return;
        };
        let delayed = leg.exchange.is_unstarted();
        let answering = leg.exchange.is_theirs();
        // An offer of ours needs a reliable response (RFC 3264 §4, RFC 3261 §13.2.1), and one answer is enough.
        let body = body.filter(|_| {
            if ringing.reliable {
                delayed || answering
            } else {
                answering
            }
        });
        self.push_dialog_headers(&mut response, &ringing.invite, ringing.path.flow);
        if ringing.reliable {
            let rseq = ringing.sender.send(now);
            response.headers.push(Name::Require, "100rel");
            response.headers.push(Name::RSeq, rseq.to_string());
            response.headers.push(Name::Allow, ALLOW);
        }
        if let Some(body) = &body {
            push_body(&mut response, body);
        }
        let carries = match &body {
            None => Carries::Nothing,
            Some(_) if delayed => Carries::Offer,
            Some(_) => Carries::Answer,
        };
        let reliable = ringing.reliable;
        let sent = self.respond(now, ringing.transaction, response);
        if !reliable {
            ringing.repeat = Some((now + REPEAT_PROVISIONAL, status, body));
            return;
        }
        ringing.outstanding = sent.map(|bytes| (bytes, carries));
        match carries {
            Carries::Nothing => {}
            // Nothing was offered before: this cannot clash.
            Carries::Offer => leg.exchange.our_offer().unwrap_or_default(),
            Carries::Answer => leg.exchange.answered(),
        }
        if body.is_some() {
            leg.local_body = body;
        }
    }

    /// Answers an incoming leg by 200. `body` is the answer, or our offer when the INVITE had none.
    pub fn accept(&mut self, now: Instant, leg: LegId, body: Option<Body>) -> Result<(), SipError> {
        self.command(now, leg, |endpoint, leg| {
            let state = leg.phase.name();
            let Phase::Ringing(ringing) = &mut leg.phase else {
                return Err(SipError::WrongState {
                    command: "accept",
                    state,
                });
            };
            if ringing.accept.is_some() {
                return Err(SipError::Pending);
            }
            ringing.accept = Some(body);
            endpoint.send_accept(now, leg);
            Ok(())
        })
    }

    /// Sends the 2xx unless it must wait: for the PRACK of a description (RFC 3262 §3), or for our answer to an offer in
    /// one.
    pub(super) fn send_accept(&mut self, now: Instant, leg: &mut Leg) {
        let Phase::Ringing(ringing) = &mut leg.phase else {
            return;
        };
        let described = ringing
            .outstanding
            .as_ref()
            .is_some_and(|(_, carries)| *carries != Carries::Nothing);
        if described || leg.waiting.is_some() {
            return;
        }
        let Some(body) = ringing.accept.take() else {
            return;
        };
        let Some(mut response) = self.draft(ringing.transaction, 200, "") else {
            return;
        };
        let offered = leg.exchange.is_unstarted() && body.is_some();
        let answering = leg.exchange.is_theirs();
        // After a complete exchange the 2xx carries nothing more (RFC 6337 §3.1.1).
        let body = body.filter(|_| offered || answering);
        self.push_dialog_headers(&mut response, &ringing.invite, ringing.path.flow);
        push_session(&mut response, &ringing.granted);
        response.headers.push(Name::Allow, ALLOW);
        response.headers.push(Name::Supported, SUPPORTED);
        if let Some(body) = &body {
            push_body(&mut response, body);
        }
        let (cseq, path, granted) = (ringing.cseq, ringing.path, ringing.granted.clone());
        if let Some(rseq) = ringing.sender.outstanding() {
            leg.late_prack = Some((rseq, cseq));
        }
        let Some(bytes) = self.respond(now, ringing.transaction, response) else {
            return;
        };
        if offered {
            leg.exchange.our_offer().unwrap_or_default();
        } else if answering {
            leg.exchange.answered();
        }
        if body.is_some() {
            leg.local_body = body;
        }
        leg.success = Some(Success {
            unacked: Unacked::new(now, cseq),
            bytes,
            path,
            first: true,
            offered,
        });
        leg.phase = Phase::Up;
        self.start_session(now, leg, &granted.expires, false);
    }

    /// Contact, Record-Route: what makes a dialog out of a response to an INVITE (§12.1.1).
    pub(super) fn push_dialog_headers(&self, response: &mut Message, invite: &Message, flow: Flow) {
        for header in invite
            .headers
            .iter()
            .filter(|h| h.name == Name::RecordRoute)
        {
            response
                .headers
                .push(Name::RecordRoute, header.value.clone());
        }
        let uri = invite.request_uri().unwrap_or_default();
        response
            .headers
            .push(Name::Contact, self.contact_for(flow, uri));
    }

    /// Refuses an incoming leg. An empty `reason` takes the standard phrase. `Ended` follows at once.
    pub fn reject(
        &mut self,
        now: Instant,
        leg: LegId,
        status: u16,
        reason: &str,
        headers: &[(Name, String)],
    ) -> Result<(), SipError> {
        if !(300..=699).contains(&status) {
            return Err(SipError::Status { status });
        }
        self.command(now, leg, |endpoint, leg| {
            let state = leg.phase.name();
            let Phase::Ringing(ringing) = &leg.phase else {
                return Err(SipError::WrongState {
                    command: "reject",
                    state,
                });
            };
            let transaction = ringing.transaction;
            if let Some(mut response) = endpoint.draft(transaction, status, &one_line(reason)) {
                for (name, value) in headers {
                    response.headers.push(*name, one_line(value));
                }
                endpoint.respond(now, transaction, response);
            }
            endpoint.abandon_waiting(now, leg);
            endpoint.over(leg, Side::Us, How::Rejected { status }, None);
            leg.phase = Phase::Gone;
            Ok(())
        })
    }

    /// Ends an unanswered incoming leg for a reason of the endpoint's own.
    pub(super) fn drop_ringing(
        &mut self,
        now: Instant,
        leg: &mut Leg,
        refused: Refused,
        by: Side,
        how: How,
    ) {
        if let Phase::Ringing(ringing) = &leg.phase {
            let transaction = ringing.transaction;
            self.refuse(now, transaction, refused);
        }
        self.abandon_waiting(now, leg);
        self.over(leg, by, how, None);
        leg.phase = Phase::Gone;
    }

    /// Tells the end of a leg, once.
    pub(super) fn over(&mut self, leg: &Leg, by: Side, how: How, reason: Option<Reason>) {
        self.tell(
            leg,
            SipEvent::Ended {
                leg: leg.id,
                by,
                how,
                reason,
            },
        );
    }
}
