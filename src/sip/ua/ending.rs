//! The end of a leg, from our side and by its timers.

use std::time::Instant;

use super::capability::ALLOW;
use super::endpoint::{Endpoint, SipError};
use super::leg::{Cancelling, Leg, Phase, WaitingFor};
use super::reply::Refused;
use super::requests::{Outcome, Owner};
use super::{How, LegId, Reason, Side};
use crate::sip::dialog::reliable;
use crate::sip::dialog::session_timer;
use crate::sip::dialog::unacked;
use crate::sip::msg::{Method, Name};

impl Endpoint {
    /// Ends a leg whatever it is doing: BYE when answered, CANCEL or 480 when not. `Ended` follows at once.
    pub fn bye(
        &mut self,
        now: Instant,
        leg: LegId,
        reason: Option<Reason>,
    ) -> Result<(), SipError> {
        self.command(now, leg, |endpoint, leg| {
            let how = match &leg.phase {
                Phase::Ringing(_) => How::Rejected { status: 480 },
                Phase::Calling(_) => How::Cancel,
                Phase::Up
                | Phase::Cancelling(_)
                | Phase::Leaving(_)
                | Phase::Ending
                | Phase::Gone => How::Bye,
            };
            endpoint.finish(now, leg, Side::Us, how, reason);
            Ok(())
        })
    }

    /// Gives up an unanswered outgoing leg; `Ended` follows at once. The CANCEL waits for a provisional response; a 2xx
    /// that wins the race is acknowledged and ended by BYE.
    pub fn cancel(&mut self, now: Instant, leg: LegId, reason: Option<Reason>) {
        // A leg that ended in the meantime needs no CANCEL.
        self.bye(now, leg, reason).unwrap_or_default();
    }

    /// Ends a leg: tells the call layer and does what its phase asks for on the wire.
    pub(super) fn finish(
        &mut self,
        now: Instant,
        leg: &mut Leg,
        by: Side,
        how: How,
        reason: Option<Reason>,
    ) {
        self.over(leg, by, how, reason.clone());
        match std::mem::replace(&mut leg.phase, Phase::Gone) {
            Phase::Ringing(ringing) => {
                self.abandon_waiting(now, leg);
                let mut refused = Refused::new(480);
                if let Some(reason) = reason {
                    refused = refused.with(Name::Reason, reason.to_string());
                }
                self.refuse(now, ringing.transaction, refused);
            }
            Phase::Calling(calling) => {
                let transaction = calling.transaction;
                let held = if self.is_proceeding(transaction) {
                    self.send_cancel(now, transaction, reason.as_ref());
                    None
                } else {
                    Some(reason)
                };
                leg.phase = Phase::Cancelling(Cancelling { transaction, held });
            }
            Phase::Up => {
                // An offer of theirs that waits for our ACK gets it without an answer; others get their refusal.
                self.abandon_waiting(now, leg);
                if leg.success.as_ref().is_some_and(|success| success.first) {
                    // §15: the callee's BYE waits for the ACK.
                    leg.phase = Phase::Leaving(reason);
                } else {
                    self.send_bye(now, leg, reason);
                }
            }
            phase @ (Phase::Cancelling(_) | Phase::Leaving(_) | Phase::Ending | Phase::Gone) => {
                leg.phase = phase
            }
        }
    }

    /// Sends BYE; the leg stays until its answer.
    pub(super) fn send_bye(&mut self, now: Instant, leg: &mut Leg, reason: Option<Reason>) {
        leg.success = None;
        leg.retry = None;
        leg.queued = None;
        let Some(dialog) = &mut leg.dialog else {
            leg.phase = Phase::Gone;
            return;
        };
        let mut message = dialog.request(Method::Bye);
        if let Some(reason) = &reason {
            message.headers.push(Name::Reason, reason.to_string());
        }
        let hop = self.hop(dialog);
        leg.phase = Phase::Ending;
        self.launch(now, message, hop, Owner::Bye(leg.id));
    }

    /// The answer to our BYE: whatever it is, the leg is gone.
    pub(super) fn bye_outcome(&mut self, now: Instant, leg: LegId, outcome: Outcome) {
        self.with_leg(leg, |endpoint, leg| {
            if endpoint
                .answer_challenge(now, leg, Owner::Bye(leg.id), &outcome)
                .is_none()
            {
                leg.phase = Phase::Gone;
            }
        });
    }

    /// Refuses the peer's offer that waits, because the leg ends.
    pub(super) fn abandon_waiting(&mut self, now: Instant, leg: &mut Leg) {
        let Some(waiting) = leg.waiting.take() else {
            return;
        };
        leg.exchange.abandoned();
        match waiting.what {
            WaitingFor::ReInvite { transaction, .. }
            | WaitingFor::Update { transaction, .. }
            | WaitingFor::Prack { transaction } => self.refuse(now, transaction, Refused::new(487)),
            WaitingFor::Ack { invite, cseq } => self.acknowledge(leg, invite, cseq, None),
            WaitingFor::ReliableProgress { .. } => {}
        }
    }

    /// Fires whatever is due on a leg.
    pub(super) fn leg_timeout(&mut self, now: Instant, leg: &mut Leg) {
        self.ringing_timeout(now, leg);
        self.calling_timeout(now, leg);
        self.success_timeout(now, leg);
        if leg.waiting.as_ref().is_some_and(|w| now >= w.until) {
            self.waited_too_long(now, leg);
        }
        if leg.retry.as_ref().is_some_and(|retry| now >= retry.at) {
            self.retry_reinvite(now, leg);
        }
        if matches!(leg.phase, Phase::Up) {
            match leg
                .session
                .as_mut()
                .map(|session| session.handle_timeout(now))
            {
                Some(session_timer::Action::Refresh) => self.refresh(now, leg),
                Some(session_timer::Action::Expired) => {
                    let reason = Some(Reason::sip(408, "Session expired"));
                    self.finish(now, leg, Side::Transport, How::SessionExpired, reason);
                }
                Some(session_timer::Action::Nothing) | None => {}
            }
        }
    }

    fn ringing_timeout(&mut self, now: Instant, leg: &mut Leg) {
        let Phase::Ringing(ringing) = &mut leg.phase else {
            return;
        };
        match ringing.sender.handle_timeout(now) {
            reliable::Action::Resend => {
                if let Some((bytes, _)) = &ringing.outstanding {
                    let (path, bytes) = (ringing.path, bytes.clone());
                    self.send_reply(path, bytes);
                }
            }
            reliable::Action::NoPrack => {
                let refused = Refused::because(504, "No PRACK").with(Name::Allow, ALLOW);
                return self.drop_ringing(now, leg, refused, Side::Transport, How::NoPrack);
            }
            reliable::Action::Nothing => {}
        }
        if ringing.expires_at.is_some_and(|at| now >= at) {
            return self.drop_ringing(
                now,
                leg,
                Refused::new(487),
                Side::Transport,
                How::InviteExpired,
            );
        }
        let repeat = ringing.repeat.take_if(|(at, _, _)| now >= *at);
        if let Some((_, status, body)) = repeat {
            self.send_provisional(now, leg, status, body);
        }
    }

    fn success_timeout(&mut self, now: Instant, leg: &mut Leg) {
        let Some(success) = &mut leg.success else {
            return;
        };
        match success.unacked.handle_timeout(now) {
            unacked::Action::Resend => {
                let (path, bytes) = (success.path, success.bytes.clone());
                self.send_reply(path, bytes);
            }
            unacked::Action::NoAck => {
                leg.success = None;
                if let Phase::Leaving(reason) = &mut leg.phase {
                    let reason = reason.take();
                    self.send_bye(now, leg, reason);
                } else {
                    let reason = Some(Reason::sip(408, "No ACK"));
                    self.finish(now, leg, Side::Transport, How::NoAck, reason);
                }
            }
            unacked::Action::Nothing => {}
        }
    }
}
