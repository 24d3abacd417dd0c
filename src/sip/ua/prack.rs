//! Reliable provisional responses (RFC 3262): the PRACKs of our callers, and ours.

use std::time::Instant;

use super::capability::session_body;
use super::endpoint::Endpoint;
use super::leg::{Carries, Early, Leg, Phase, Waiting, WaitingFor};
use super::reply::{Refused, push_body};
use super::requests::Owner;
use super::{Body, How, Reason, Side, SipEvent};
use crate::sip::msg::{Message, Method, Name, RAck};
use crate::sip::transaction::key::Incoming;
use crate::sip::transaction::timing::T1_X64;

impl Endpoint {
    /// PRACK from our caller.
    pub(super) fn prack_arrives(
        &mut self,
        now: Instant,
        leg: &mut Leg,
        request: &Incoming,
        key: &str,
    ) -> Result<(), Refused> {
        let Some(rack) = request.header(Name::RAck).map(RAck::parse) else {
            return Err(Refused::because(400, "Missing RAck"));
        };
        let rack = rack.map_err(|_| Refused::because(400, "Bad RAck"))?;
        let Phase::Ringing(ringing) = &mut leg.phase else {
            // The final response overtook it (§3).
            let late = leg
                .late_prack
                .take_if(|late| *late == (rack.rseq, rack.cseq));
            self.answer(
                now,
                request,
                key,
                Refused::new(if late.is_some() { 200 } else { 481 }),
            );
            return Ok(());
        };
        if rack.method != Method::Invite
            || rack.cseq != ringing.cseq
            || !ringing.sender.acknowledge(rack.rseq)
        {
            self.answer(now, request, key, Refused::new(481));
            return Ok(());
        }
        let carried = ringing
            .outstanding
            .take()
            .map_or(Carries::Nothing, |(_, carries)| carries);
        let body = match session_body(&request.message) {
            Ok(body) => body,
            Err(refused) => {
                self.answer(now, request, key, refused);
                self.flush_provisionals(now, leg);
                return Ok(());
            }
        };
        match (carried, body) {
            (Carries::Offer, Some(answer)) => {
                leg.exchange.answered();
                leg.remote_body = Some(answer.bytes.clone());
                self.answer(now, request, key, Refused::new(200));
                self.tell(
                    leg,
                    SipEvent::Answer {
                        leg: leg.id,
                        body: Some(answer),
                    },
                );
            }
            (Carries::Offer, None) => {
                // §5: the PRACK had to carry the answer.
                self.answer(now, request, key, Refused::new(200));
                let refused = Refused::because(500, "No answer in PRACK");
                self.drop_ringing(now, leg, refused, Side::Us, How::NoAnswer);
            }
            (Carries::Nothing | Carries::Answer, Some(offer)) => {
                if leg.exchange.their_offer().is_err() {
                    let refused = self.busy_with_theirs();
                    self.answer(now, request, key, refused);
                } else {
                    let transaction = self.accept_request(now, request, key.to_owned(), None);
                    leg.remote_body = Some(offer.bytes.clone());
                    leg.waiting = Some(Waiting {
                        what: WaitingFor::Prack { transaction },
                        until: now + T1_X64,
                    });
                    self.tell(
                        leg,
                        SipEvent::Offer {
                            leg: leg.id,
                            offer: Some(offer),
                        },
                    );
                }
            }
            (Carries::Nothing | Carries::Answer, None) => {
                self.answer(now, request, key, Refused::new(200))
            }
        }
        self.flush_provisionals(now, leg);
        Ok(())
    }

    /// Sends what waited for a PRACK.
    pub(super) fn flush_provisionals(&mut self, now: Instant, leg: &mut Leg) {
        let Phase::Ringing(ringing) = &mut leg.phase else {
            return;
        };
        if leg.waiting.is_some() || ringing.sender.is_outstanding() {
            return;
        }
        if ringing.accept.is_some() {
            return self.send_accept(now, leg);
        }
        if let Some((status, body)) = ringing.queue.pop_front() {
            self.send_provisional(now, leg, status, body);
        }
    }

    /// A reliable provisional response with the next RSeq came: PRACK, unless it carries an offer we must answer first.
    pub(super) fn reliable_progress(
        &mut self,
        now: Instant,
        leg: &mut Leg,
        early: usize,
        rseq: u32,
        cseq: u32,
        body: Option<&Body>,
    ) {
        let Some(remote_tag) = leg.early.get(early).map(|e| e.dialog.remote_tag.clone()) else {
            return;
        };
        if let Some(body) = body {
            if leg.exchange.is_unstarted() && leg.exchange.their_offer().is_ok() {
                leg.remote_body = Some(body.bytes.clone());
                let what = WaitingFor::ReliableProgress {
                    remote_tag,
                    rseq,
                    cseq,
                };
                leg.waiting = Some(Waiting {
                    what,
                    until: now + T1_X64,
                });
                let offer = Some(body.clone());
                return self.tell(leg, SipEvent::Offer { leg: leg.id, offer });
            }
            if leg.exchange.is_ours() {
                leg.exchange.answered();
                leg.remote_body = Some(body.bytes.clone());
            }
        }
        self.send_prack(now, leg, &remote_tag, rseq, cseq, None);
    }

    /// Sends the PRACK of a reliable provisional response.
    pub(super) fn send_prack(
        &mut self,
        now: Instant,
        leg: &mut Leg,
        remote_tag: &str,
        rseq: u32,
        cseq: u32,
        answer: Option<&Body>,
    ) {
        let id = leg.id;
        let Some(dialog) = leg.dialog_with(remote_tag) else {
            return;
        };
        let mut message = dialog.request(Method::Prack);
        message
            .headers
            .push(Name::RAck, format!("{rseq} {cseq} INVITE"));
        if let Some(answer) = answer {
            push_body(&mut message, answer);
        }
        let hop = self.hop(dialog);
        self.launch(now, message, hop, Owner::Prack(id));
    }

    /// The reliable provisional response we could not answer ends the call: the peer offered what we refuse.
    pub(super) fn refuse_progress(
        &mut self,
        now: Instant,
        leg: &mut Leg,
        tag: &str,
        rseq: u32,
        cseq: u32,
    ) {
        self.send_prack(now, leg, tag, rseq, cseq, None);
        self.finish(now, leg, Side::Us, How::Cancel, Some(Reason::sip(488, "")));
    }
}

/// The RSeq of a response that asks for a PRACK.
pub(super) fn reliable_number(message: &Message) -> Option<u32> {
    if !message.has_token(Name::Require, "100rel") {
        return None;
    }
    message
        .header(Name::RSeq)?
        .trim()
        .parse()
        .ok()
        .filter(|rseq| *rseq > 0)
}

/// The early dialog with that remote tag.
pub(super) fn find_early(early: &[Early], remote_tag: &str) -> Option<usize> {
    early
        .iter()
        .position(|e| *e.dialog.remote_tag == *remote_tag)
}
