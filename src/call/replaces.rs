//! An INVITE with Replaces (RFC 3891): whoever sends it takes the place of another leg, be it one that talks (attended
//! transfer between phones) or one that still rings (pick-up).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::core::Core;
use super::handle::CallHandle;
use crate::base::cause::Cause;
use crate::host::{clock, task};
use crate::sip::msg::Replaces;
use crate::sip::ua::{DialogState, IncomingInvite};

/// Dialogs that ended a moment ago.
#[derive(Debug, Default)]
pub(super) struct Recent(VecDeque<(Instant, String, String)>);

impl Recent {
    /// Notes the end of a dialog by its Call-ID and the peer's tag.
    pub(super) fn note(&mut self, now: Instant, call_id: String, tag: String) {
        while self
            .0
            .front()
            .is_some_and(|(at, ..)| now.saturating_duration_since(*at) > REMEMBERED)
            || self.0.len() >= MOST
        {
            self.0.pop_front();
        }
        self.0.push_back((now, call_id, tag));
    }

    fn knows(&self, now: Instant, replaces: &Replaces) -> bool {
        self.0.iter().any(|(at, call_id, tag)| {
            now.saturating_duration_since(*at) <= REMEMBERED
                && *call_id == replaces.call_id
                && (*tag == replaces.from_tag || *tag == replaces.to_tag)
        })
    }
}

/// How long the end of a dialog is remembered.
const REMEMBERED: Duration = Duration::from_secs(32);
/// How many are.
const MOST: usize = 1024;

impl Core {
    /// Whose place an INVITE takes, or the status to refuse it with (RFC 3891 §3).
    pub(super) fn replaced(
        &self,
        invite: &IncomingInvite,
        text: &str,
    ) -> Result<(CallHandle, DialogState), u16> {
        let replaces = Replaces::parse(text).map_err(|_| 400_u16)?;
        let found = self.dialog(&replaces.call_id, &replaces.to_tag, &replaces.from_tag);
        let Some((leg, state)) = found else {
            let over = self.0.over.borrow().knows(clock::now(), &replaces);
            return Err(if over { 603 } else { 481 });
        };
        // Only who is allowed to make the account's calls may take one over.
        if leg.own_facts().account.id != invite.principal.account {
            return Err(481);
        }
        match state {
            DialogState::Confirmed if replaces.early_only => Err(486),
            DialogState::Confirmed if leg.peer().is_none() && leg.place().is_none() => Err(488),
            DialogState::Confirmed | DialogState::Calling => Ok((leg, state)),
            // We did not start it.
            DialogState::Ringing => Err(481),
        }
    }

    /// Has `call`, which has just come in, take the place of `leg`.
    pub(super) fn take_place(&self, call: CallHandle, leg: CallHandle, state: DialogState) {
        if state == DialogState::Calling {
            call.pick_up(&leg);
            return;
        }
        let core = self.clone();
        task::spawn_local("replaces", async move {
            let answered = call.answer().await.is_ok();
            // Where the leg is may have changed while we answered.
            match (leg.peer(), leg.place()) {
                (Some(peer), _) if answered => {
                    core.adopt(&call, &peer);
                    leg.end(Cause::ATTENDED_TRANSFER);
                }
                (None, Some(place)) if answered => {
                    call.inherit(&leg);
                    let (id, script) = (core.next_script(), place(call.clone()));
                    call.0.owner.set(id);
                    core.run_future(call, script, id, None);
                    leg.end(Cause::ATTENDED_TRANSFER);
                }
                _ => call.end(Cause::NORMAL_TEMPORARY_FAILURE),
            }
        });
    }
}

impl CallHandle {
    /// Takes the place of a leg that still rings: this call is answered and connected to whoever rings it. The call
    /// belongs to that bridge from then on; the flow that did this ends.
    pub fn pick_up(&self, ringing: &CallHandle) {
        self.0.owner.set(0);
        let mut state = ringing.state_mut();
        state.picked_by = Some(self.clone());
        state.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dialog_that_ended_a_moment_ago_is_known_for_32_s_and_not_for_ever() {
        #[expect(
            clippy::disallowed_methods,
            reason = "any instant will do as the start"
        )]
        let start = Instant::now();
        let mut recent = Recent::default();
        recent.note(start, "a".into(), "x".into());
        let wanted = |call_id: &str| Replaces {
            call_id: call_id.into(),
            to_tag: "y".into(),
            from_tag: "x".into(),
            early_only: false,
        };
        assert!(recent.knows(start + REMEMBERED, &wanted("a")));
        assert!(!recent.knows(start + REMEMBERED, &wanted("b")));
        assert!(!recent.knows(start + 2 * REMEMBERED, &wanted("a")));
        for n in 0..MOST {
            recent.note(start, n.to_string(), "x".into());
        }
        assert!(!recent.knows(start, &wanted("a")), "the list stays short");
    }
}
