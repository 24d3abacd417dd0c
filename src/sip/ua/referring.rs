//! Transfers that we ask for: our REFER inside a call (RFC 3515), and what its NOTIFYs say. Used by `swivel call` and
//! `swivel phone`; what peers ask of us is `refer`.

use std::time::Instant;

use super::endpoint::{Endpoint, SipError};
use super::leg::{Leg, Phase};
use super::reply::{Refused, one_line};
use super::requests::{Outcome, Owner};
use super::{LegId, SipEvent};
use crate::sip::msg::{Event, Method, Name};
use crate::sip::transaction::key::Incoming;

impl Endpoint {
    /// Asks the peer of an answered call to call somebody else: `target` is the URI of Refer-To, a Replaces header
    /// among its own for an attended transfer. How it goes is told by `SipEvent::Referred`.
    pub fn refer(&mut self, now: Instant, leg: LegId, target: &str) -> Result<(), SipError> {
        self.command(now, leg, |endpoint, leg| {
            let state = leg.phase.name();
            let (Phase::Up, Some(dialog)) = (&leg.phase, &mut leg.dialog) else {
                return Err(SipError::WrongState {
                    command: "refer",
                    state,
                });
            };
            if leg.referring {
                return Err(SipError::Pending);
            }
            leg.referring = true;
            let mut message = dialog.request(Method::Refer);
            let contact = endpoint.contact(dialog.flow);
            message.headers.push(Name::Contact, contact);
            message
                .headers
                .push(Name::ReferTo, format!("<{}>", one_line(target)));
            let hop = endpoint.hop(dialog);
            endpoint.launch(now, message, hop, Owner::Refer(leg.id));
            Ok(())
        })
    }

    /// The response to our REFER.
    pub(super) fn refer_outcome(&mut self, now: Instant, leg: LegId, outcome: Outcome) {
        if outcome.status < 200 {
            return;
        }
        self.with_leg(leg, |endpoint, leg| {
            if endpoint
                .answer_challenge(now, leg, Owner::Refer(leg.id), &outcome)
                .is_some()
            {
                return;
            }
            let refused = outcome.status >= 300;
            if refused {
                leg.referring = false;
            }
            endpoint.referred(leg, outcome.status, refused);
            if matches!(leg.phase, Phase::Up) && matches!(outcome.status, 408 | 481) {
                endpoint.dead(now, leg, outcome.status);
            }
        });
    }

    /// A NOTIFY about our REFER: a sipfrag with the status so far (RFC 3515 §2.4.4).
    pub(super) fn refer_notified(
        &mut self,
        now: Instant,
        leg: &mut Leg,
        request: &Incoming,
        key: &str,
    ) {
        let about = request
            .header(Name::Event)
            .and_then(|value| Event::parse(value).ok());
        if !about.is_some_and(|event| event.package.eq_ignore_ascii_case("refer")) {
            return self.answer(now, request, key, Refused::new(489));
        }
        let Some(status) = status_of(&request.message.body) else {
            return self.answer(now, request, key, Refused::because(400, "Bad Sipfrag"));
        };
        self.answer(now, request, key, Refused::new(200));
        let state = request.header(Name::SubscriptionState).unwrap_or_default();
        let ended = state.trim_start().to_ascii_lowercase();
        let over = status >= 200 || ended.starts_with("terminated");
        if over {
            leg.referring = false;
        }
        self.referred(leg, status, over);
    }

    fn referred(&mut self, leg: &Leg, status: u16, over: bool) {
        let leg_id = leg.id;
        self.tell(
            leg,
            SipEvent::Referred {
                leg: leg_id,
                status,
                over,
            },
        );
    }
}

/// The status in the first line of a sipfrag.
fn status_of(body: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(body).ok()?;
    let rest = text.trim_start().strip_prefix("SIP/2.0 ")?;
    let status = rest.split_whitespace().next()?.parse().ok()?;
    (100..=699).contains(&status).then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sipfrag_says_its_status_or_nothing() {
        assert_eq!(status_of(b"SIP/2.0 200 OK\r\n"), Some(200));
        assert_eq!(status_of(b"SIP/2.0 486 Busy Here"), Some(486));
        for bad in [&b""[..], b"SIP/2.0 ", b"SIP/2.0 99 x", b"200 OK", b"\xff"] {
            assert_eq!(status_of(bad), None, "{bad:?}");
        }
    }
}
