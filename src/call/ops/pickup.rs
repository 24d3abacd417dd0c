//! `pickup`: a call takes the place of a leg of somebody else's: one that still rings, or one that talks.

use crate::base::cause::Cause;
use crate::call::error::CallError;
use crate::call::handle::CallHandle;
use crate::call::state::Phase;

/// Whose leg is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Of one of these devices.
    Devices(Vec<String>),
    /// The one with that Call-ID, or the one that rings for it.
    Call(String),
}

impl CallHandle {
    /// Takes the oldest leg that rings. `false`: none does. After `true` the call belongs to the bridge that rang, and
    /// the flow has to end.
    pub fn pick_up_ringing(&self, whose: &Whose) -> bool {
        let found = self
            .legs_of(whose)
            .into_iter()
            .find(|leg| leg.is_outbound() && matches!(leg.state().phase, Phase::Ringing { .. }));
        match found {
            Some(leg) => {
                self.pick_up(&leg);
                true
            }
            None => false,
        }
    }

    /// Takes the oldest leg that talks: whoever it talks with hears us from now on, and the leg ends. `false`: none
    /// does. After `true` the flow has to end.
    ///
    /// # Errors
    /// When this call ends, or cannot be answered.
    pub async fn take_over(&self, whose: &Whose) -> Result<bool, CallError> {
        let talks = |leg: &CallHandle| {
            matches!(leg.state().phase, Phase::Answered { .. }) && leg.peer().is_some()
        };
        let Some(leg) = self.legs_of(whose).into_iter().find(talks) else {
            return Ok(false);
        };
        self.answer().await?;
        // Both may have parted while we were answered.
        let Some(peer) = leg.peer() else {
            return Ok(false);
        };
        self.core().adopt(self, &peer);
        leg.end(Cause::PICKED_OFF);
        Ok(true)
    }

    /// The legs of the account that are meant, oldest first; never this one.
    fn legs_of(&self, whose: &Whose) -> Vec<CallHandle> {
        let account = &self.facts().account.id;
        let calls = self.core().0.calls.borrow();
        let mut found: Vec<CallHandle> = calls
            .values()
            .filter(|leg| !leg.is(self) && leg.ended().is_none())
            .filter(|leg| leg.own_facts().account.id == *account)
            .filter(|leg| match whose {
                Whose::Devices(ids) => ids.contains(&leg.own_facts().authorizing_id),
                Whose::Call(id) => {
                    let state = leg.state();
                    let rings_for = state.other.as_ref().map(|other| &other.call_id);
                    leg.own_facts().call_id == *id || rings_for == Some(id)
                }
            })
            .cloned()
            .collect();
        found.sort_by_key(|leg| leg.own_facts().created);
        found
    }
}
