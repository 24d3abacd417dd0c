//! Requests inside a dialog: finding it, their order, and those that need no negotiation.

use std::time::Instant;

use super::admission::capabilities;
use super::capability::{ACCEPT_INFO, check_encoding, check_method, check_require, is_type};
use super::endpoint::{Endpoint, SipError};
use super::leg::{Leg, Phase};
use super::reply::{self, Refused, one_line};
use super::requests::{Outcome, Owner};
use super::{Body, How, LegId, Reason, Side, SipEvent};
use crate::sip::dialog::dialog::Sequence;
use crate::sip::msg::{Method, Name};
use crate::sip::transaction::key::Incoming;

impl Endpoint {
    /// Takes a request with a To tag.
    pub(super) fn in_dialog(&mut self, now: Instant, request: Incoming, key: String) {
        let to_tag = request.to_tag.as_deref().unwrap_or_default();
        let Some(id) = self.leg_of(to_tag, &request.call_id) else {
            if self.config.registrar && request.method == Method::Subscribe {
                return self.resubscribe(now, request, key);
            }
            return self.reply_statelessly(&request, &Refused::new(481));
        };
        // Callers inside a dialog are never refused for load, but nobody fills the table either.
        if self.servers.len() >= self.config.max_transactions.saturating_mul(2) {
            let refused = self.unavailable(self.config.retry_after);
            return self.reply_statelessly(&request, &refused);
        }
        self.with_leg(id, |endpoint, leg| {
            if let Err(refused) = endpoint.leg_request(now, leg, &request, &key) {
                endpoint.reply_statelessly(&request, &refused);
            }
        });
    }

    fn leg_request(
        &mut self,
        now: Instant,
        leg: &mut Leg,
        request: &Incoming,
        key: &str,
    ) -> Result<(), Refused> {
        let early = matches!(leg.phase, Phase::Ringing(_) | Phase::Calling(_));
        let Some(dialog) = leg.dialog_with(&request.from_tag) else {
            return Err(Refused::new(481));
        };
        if dialog.sequence(request.cseq) == Sequence::Old {
            return Err(Refused::because(500, "CSeq Out Of Order"));
        }
        check_require(&request.message)?;
        let ours = request.method == Method::Notify && leg.referring;
        if !ours {
            check_method(&request.method)?;
        }
        match (&leg.phase, &request.method) {
            (Phase::Ending | Phase::Leaving(_), Method::Bye) => {
                // Both hung up at once (RFC 5407 §3.2.1).
                self.answer(now, request, key, Refused::new(200));
                if matches!(leg.phase, Phase::Leaving(_)) {
                    leg.phase = Phase::Gone;
                }
                return Ok(());
            }
            (Phase::Ending | Phase::Cancelling(_) | Phase::Gone, _) => {
                return Err(Refused::new(481));
            }
            (Phase::Leaving(_), Method::Prack | Method::Options) => {}
            (Phase::Leaving(_), _) => return Err(Refused::new(481)),
            (Phase::Ringing(_) | Phase::Calling(_) | Phase::Up, _) => {}
        }
        match request.method {
            Method::Bye => self.bye_arrives(now, leg, request, key),
            Method::Options => {
                self.answer(now, request, key, capabilities());
                Ok(())
            }
            Method::Info => self.info_arrives(now, leg, request, key),
            Method::Prack => self.prack_arrives(now, leg, request, key),
            Method::Update => self.update_arrives(now, leg, request, key),
            Method::Invite if early => Err(self.busy_with_theirs()),
            Method::Invite => self.reinvite_arrives(now, leg, request, key),
            Method::Refer => self.refer_arrives(now, leg, request, key),
            Method::Notify if ours => {
                self.refer_notified(now, leg, request, key);
                Ok(())
            }
            // `check_method` let nothing else through; ACK and CANCEL never come here.
            Method::Ack
            | Method::Cancel
            | Method::Register
            | Method::Notify
            | Method::Subscribe
            | Method::Message
            | Method::Publish
            | Method::Other(_) => Err(Refused::new(501)),
        }
    }

    /// A response in a transaction of its own, so that repetitions get it again.
    pub(super) fn answer(
        &mut self,
        now: Instant,
        request: &Incoming,
        key: &str,
        response: Refused,
    ) {
        let id = self.accept_request(now, request, key.to_owned(), None);
        self.refuse(now, id, response);
    }

    /// The refusal of an offer while one of theirs is open (§14.2).
    pub(super) fn busy_with_theirs(&mut self) -> Refused {
        Refused::new(500).with(Name::RetryAfter, self.rng.below(11).to_string())
    }

    fn bye_arrives(
        &mut self,
        now: Instant,
        leg: &mut Leg,
        request: &Incoming,
        key: &str,
    ) -> Result<(), Refused> {
        if matches!(leg.phase, Phase::Calling(_)) {
            // A callee may not end an early dialog so (§15).
            return Err(Refused::new(481));
        }
        self.answer(now, request, key, Refused::new(200));
        let reason = reply::reason_of(&request.message);
        if let Phase::Ringing(ringing) = &leg.phase {
            let transaction = ringing.transaction;
            self.refuse(now, transaction, Refused::new(487));
        }
        self.abandon_waiting(now, leg);
        self.over(leg, Side::Peer, How::Bye, reason);
        leg.phase = Phase::Gone;
        Ok(())
    }

    fn info_arrives(
        &mut self,
        now: Instant,
        leg: &mut Leg,
        request: &Incoming,
        key: &str,
    ) -> Result<(), Refused> {
        let message = &request.message;
        if message.headers.get_named("Info-Package").is_some() {
            // RFC 6086 §4.2.2: no package was offered in Recv-Info.
            self.answer(now, request, key, Refused::because(469, "Bad Info Package"));
            return Ok(());
        }
        if message.body.is_empty() {
            self.answer(now, request, key, Refused::new(200));
            return Ok(());
        }
        let content_type = message.header(Name::ContentType).unwrap_or_default();
        let known = ACCEPT_INFO
            .split(',')
            .any(|t| is_type(content_type, t.trim()));
        let judged = check_encoding(message).and_then(|()| {
            if known {
                Ok(())
            } else {
                Err(Refused::new(415).with(Name::Accept, ACCEPT_INFO))
            }
        });
        if let Err(refused) = judged {
            self.answer(now, request, key, refused);
            return Ok(());
        }
        self.answer(now, request, key, Refused::new(200));
        let body = Body {
            content_type: content_type.into(),
            bytes: message.body.clone(),
        };
        self.tell(
            leg,
            SipEvent::Info {
                leg: leg.id,
                body,
                package: None,
            },
        );
        Ok(())
    }

    /// Sends an INFO.
    pub fn info(&mut self, now: Instant, leg: LegId, body: Body) -> Result<(), SipError> {
        self.command(now, leg, |endpoint, leg| {
            let state = leg.phase.name();
            let (Phase::Up, Some(dialog)) = (&leg.phase, &mut leg.dialog) else {
                return Err(SipError::WrongState {
                    command: "info",
                    state,
                });
            };
            let mut message = dialog.request(Method::Info);
            message
                .headers
                .push(Name::ContentType, one_line(&body.content_type));
            message.body = body.bytes;
            let hop = endpoint.hop(dialog);
            endpoint.launch(now, message, hop, Owner::Info(leg.id));
            Ok(())
        })
    }

    /// The result of an INFO or PRACK.
    pub(super) fn plain_outcome(
        &mut self,
        now: Instant,
        leg: LegId,
        owner: Owner,
        outcome: Outcome,
    ) {
        self.with_leg(leg, |endpoint, leg| {
            if endpoint
                .answer_challenge(now, leg, owner, &outcome)
                .is_some()
            {
                return;
            }
            let up = matches!(leg.phase, Phase::Up);
            if up && matches!(outcome.status, 408 | 481) {
                endpoint.dead(now, leg, outcome.status);
            }
        });
    }

    /// A request inside the dialog got 408 or 481: the peer has no such call any more (RFC 5057 §5).
    pub(super) fn dead(&mut self, now: Instant, leg: &mut Leg, status: u16) {
        let reason = Reason::sip(status, "");
        self.finish(
            now,
            leg,
            Side::Transport,
            How::Dead { status },
            Some(reason),
        );
    }
}
