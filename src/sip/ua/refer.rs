//! Transfers (RFC 3515, 4488, 3892): REFER inside a call, the NOTIFYs about its outcome, and finding the dialog that a
//! Replaces header names (RFC 3891 §3).

use std::time::Instant;

use super::endpoint::{Endpoint, SipError};
use super::leg::{Leg, Phase};
use super::modify::refresh_target;
use super::reply::{Refused, one_line};
use super::requests::{Outcome, Owner};
use super::{LegId, SipEvent};
use crate::sip::msg::{Message, Method, Name, NameAddr, Replaces, Uri, reason_phrase};
use crate::sip::transaction::key::Incoming;

/// Transfers of one call that are under way at once.
const MAX_REFERS: usize = 4;
/// Seconds a subscription made by REFER lasts when nothing ends it before.
const EXPIRES: u32 = 60;

/// Where the peer wants its call to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refer {
    /// Names the transfer in `refer_progress`.
    pub id: u32,
    /// Refer-To, without the headers of its URI.
    pub target: Uri,
    /// The dialog the new call is to take the place of: an attended transfer.
    pub replaces: Option<Replaces>,
    /// Referred-By as it came.
    pub referred_by: Option<String>,
    /// Whether the peer wants to hear how it goes (`Refer-Sub`).
    pub subscribed: bool,
}

/// What a dialog that a Replaces header names is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialogState {
    /// Answered.
    Confirmed,
    /// Not answered, and we place the call.
    Calling,
    /// Not answered, and the peer placed the call.
    Ringing,
}

impl Endpoint {
    /// REFER from the peer: taken at once, so that its client never waits for a telephone.
    pub(super) fn refer_arrives(
        &mut self,
        now: Instant,
        leg: &mut Leg,
        request: &Incoming,
        key: &str,
    ) -> Result<(), Refused> {
        let judged = if matches!(leg.phase, Phase::Up) {
            judge(&request.message, request.cseq)
        } else {
            Err(Refused::because(403, "Not Answered Yet"))
        };
        let refer = match judged {
            Ok(_) if leg.refers.len() >= MAX_REFERS => {
                self.answer(
                    now,
                    request,
                    key,
                    Refused::because(403, "Too Many Transfers"),
                );
                return Ok(());
            }
            Ok(refer) => refer,
            Err(refused) => {
                self.answer(now, request, key, refused);
                return Ok(());
            }
        };
        refresh_target(leg, request);
        let mut accepted = Refused::new(202).with(Name::Contact, self.contact(request.path.flow));
        if !refer.subscribed {
            accepted = accepted.with(Name::ReferSub, "false");
        }
        self.answer(now, request, key, accepted);
        if refer.subscribed {
            leg.refers.push(refer.id);
            self.notify_refer(now, leg, refer.id, 100);
        }
        self.tell(
            leg,
            SipEvent::Refer {
                leg: leg.id,
                refer: Box::new(refer),
            },
        );
        Ok(())
    }

    /// Tells the peer how its transfer goes: a final status ends the subscription. Nothing is sent to a peer that did
    /// not want to know.
    pub fn refer_progress(
        &mut self,
        now: Instant,
        leg: LegId,
        id: u32,
        status: u16,
    ) -> Result<(), SipError> {
        if !(100..=699).contains(&status) {
            return Err(SipError::Status { status });
        }
        self.command(now, leg, |endpoint, leg| {
            endpoint.notify_refer(now, leg, id, status);
            Ok(())
        })
    }

    fn notify_refer(&mut self, now: Instant, leg: &mut Leg, id: u32, status: u16) {
        if !leg.refers.contains(&id) {
            return;
        }
        let Some(dialog) = &mut leg.dialog else {
            return;
        };
        let mut message = dialog.request(Method::Notify);
        let over = status >= 200;
        let headers = &mut message.headers;
        headers.push(Name::Contact, self.contact(dialog.flow));
        headers.push(Name::Event, format!("refer;id={id}"));
        headers.push(
            Name::SubscriptionState,
            if over {
                "terminated;reason=noresource".to_owned()
            } else {
                format!("active;expires={EXPIRES}")
            },
        );
        headers.push(Name::ContentType, "message/sipfrag;version=2.0");
        message.body = format!("SIP/2.0 {status} {}\r\n", reason_phrase(status)).into();
        let hop = self.hop(dialog);
        if over {
            leg.refers.retain(|open| *open != id);
        }
        self.launch(now, message, hop, Owner::Notify(leg.id));
    }

    /// The answer to a NOTIFY: a peer that knows no such subscription gets no more of them.
    pub(super) fn notify_outcome(&mut self, now: Instant, leg: LegId, outcome: Outcome) {
        self.with_leg(leg, |endpoint, leg| {
            let again = endpoint.answer_challenge(now, leg, Owner::Notify(leg.id), &outcome);
            if again.is_none() && outcome.status >= 300 {
                leg.refers.clear();
            }
        });
    }

    /// The leg whose dialog has that Call-ID and exactly these tags.
    pub fn find_dialog(
        &self,
        call_id: &str,
        local_tag: &str,
        remote_tag: &str,
    ) -> Option<(LegId, DialogState)> {
        let id = self.leg_of(local_tag, call_id)?;
        let leg = self.legs.get(&id)?;
        let known = match &leg.dialog {
            Some(dialog) => *dialog.remote_tag == *remote_tag,
            None => leg
                .early
                .iter()
                .any(|early| *early.dialog.remote_tag == *remote_tag),
        };
        let state = match &leg.phase {
            Phase::Up => DialogState::Confirmed,
            Phase::Calling(_) => DialogState::Calling,
            Phase::Ringing(_) => DialogState::Ringing,
            Phase::Cancelling(_) | Phase::Leaving(_) | Phase::Ending | Phase::Gone => return None,
        };
        known.then_some((id, state))
    }

    /// Our tag in the dialogs of a leg.
    pub fn tag_of(&self, leg: LegId) -> Option<String> {
        let leg = self.legs.get(&leg)?;
        Some(crate::sip::dialog::dialog::token(leg.local_tag))
    }
}

fn judge(message: &Message, id: u32) -> Result<Refer, Refused> {
    if message.headers.count(Name::ReferTo) != 1 {
        return Err(Refused::because(400, "One Refer-To Is Needed"));
    }
    let bad = || Refused::because(400, "Bad Refer-To");
    let refer_to = message.header(Name::ReferTo).ok_or_else(bad)?;
    let mut target = NameAddr::parse(refer_to).map_err(|_| bad())?.uri;
    super::capability::check_scheme(&target.to_string())?;
    if target
        .params
        .text("method")
        .is_some_and(|m| *m != *"INVITE")
    {
        return Err(Refused::because(403, "Only Calls Are Transferred"));
    }
    let replaces = target
        .header("Replaces")
        .map(|text| Replaces::parse(&text))
        .transpose()
        .map_err(|_| bad())?;
    target.headers = None;
    let subscribed = message
        .header(Name::ReferSub)
        .is_none_or(|value| !value.trim().to_ascii_lowercase().starts_with("false"));
    Ok(Refer {
        id,
        target,
        replaces,
        referred_by: message.header(Name::ReferredBy).map(one_line),
        subscribed,
    })
}
