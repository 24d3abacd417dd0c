//! What the endpoint tells a telephone.

use super::super::ladder::{Rung, Way};
use super::agent::{Agent, Observer};
use super::line::{Busy, Role};
use super::outcome::{Ending, side_name};
use crate::host::clock;
use crate::sip::ua::{self, Body, How, LegId, Reason, Side, SipEvent};

impl<O: Observer> Agent<'_, O> {
    pub(super) fn event(&mut self, event: SipEvent) {
        match event {
            SipEvent::Trace(trace) => {
                let way = match trace.direction {
                    ua::Direction::In => Way::In,
                    ua::Direction::Out => Way::Out,
                };
                let rung = Rung::of_message(self.elapsed_us(), way, &trace.bytes);
                self.push(rung);
            }
            SipEvent::Progress {
                leg, status, body, ..
            } => {
                if status >= 180
                    && let Some(line) = self.line(leg)
                {
                    line.ringing.get_or_insert_with(clock::now);
                }
                self.apply_answer(leg, body);
            }
            SipEvent::Answered {
                leg, body, to_tag, ..
            } => self.answered(leg, body, &to_tag),
            SipEvent::Established { leg, answer } | SipEvent::Answer { leg, body: answer } => {
                if answer.is_some() {
                    self.apply_answer(leg, answer);
                }
                self.offer_over(leg, None);
            }
            SipEvent::OfferFailed { leg, status } => self.offer_over(leg, Some(status)),
            SipEvent::Offer { leg, offer } => self.offered(leg, offer.as_ref()),
            SipEvent::Rejected {
                leg,
                status,
                reason,
                ..
            } => self.finish(leg, Ending::of_status(status), Some(status), &reason, None),
            SipEvent::Ended {
                leg,
                by,
                how,
                reason,
            } => self.ended(leg, by, how, reason),
            SipEvent::Invite(invite) => self.rung_by(&invite),
            // Where a call goes is the user's business, not the other side's.
            SipEvent::Refer { leg, refer } => {
                let told = self
                    .endpoint
                    .refer_progress(clock::now(), leg, refer.id, 603);
                if told.is_err() {
                    self.remark("who asked for a transfer has left");
                }
            }
            SipEvent::Referred { leg, status, over } => self.referred(leg, status, over),
            SipEvent::Info { body, .. } => self.remark(format!("INFO with {}", body.content_type)),
            SipEvent::Response(response) => {
                let now = clock::now();
                let login = self.login.as_mut();
                let said =
                    login.and_then(|login| login.answered(&mut self.endpoint, now, &response));
                if let Some(said) = said {
                    self.remark(said);
                }
            }
            SipEvent::Request(_) | SipEvent::BadCredentials(_) | SipEvent::Reached(_) => {}
        }
    }

    fn answered(&mut self, leg: LegId, body: Option<Body>, to_tag: &str) {
        let now = clock::now();
        let Some(line) = self.line(leg) else { return };
        line.answered = Some(now);
        to_tag.clone_into(&mut line.remote_tag);
        let delayed = line.offer.is_none();
        if delayed {
            self.offered(leg, body.as_ref());
        } else {
            self.apply_answer(leg, body);
        }
        self.start_talking(leg);
        self.consulted(leg, now);
    }

    /// An offer of ours is over: the script goes on.
    fn offer_over(&mut self, leg: LegId, refused: Option<u16>) {
        let Some(line) = self.line(leg) else { return };
        if line.busy != Busy::Offer {
            return;
        }
        line.busy = Busy::Idle;
        let what = if line.holding { "hold" } else { "unhold" };
        match refused {
            Some(status) => {
                line.holding = !line.holding;
                self.remark(format!("{what} refused: {status}"));
            }
            None => self.remark(format!("{what}: done")),
        }
    }

    fn ended(&mut self, leg: LegId, by: Side, how: How, reason: Option<Reason>) {
        let Some(line) = self.line(leg) else { return };
        let result = match (line.answered, line.role, how) {
            (Some(_), ..) => Ending::of_end(by, how),
            // We refused it.
            (None, Role::Taken, How::Rejected { status }) => Ending::of_status(status),
            (None, ..) => Ending::NoAnswer,
        };
        let status = line.answered.map(|_| 200);
        let reason =
            reason.map(|r| format!("{} {} {}", r.protocol, r.cause, r.text.unwrap_or_default()));
        let reason = reason.unwrap_or_default();
        self.finish(leg, result, status, reason.trim(), Some(side_name(by)));
    }
}
