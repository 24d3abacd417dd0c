//! Where a leg stands while it talks with nobody: what whoever takes its place goes on with. A flow says so node by
//! node, a conference for as long as the leg is in it. Attended transfers and INVITEs with Replaces (RFC 3891) that lead
//! to a menu, a queue or a room go by it.

use std::fmt;

use super::core::Script;
use super::handle::CallHandle;
use super::ops::conference::Seat;

/// What whoever takes the leg's place goes on with.
#[derive(Default)]
pub(super) struct Place {
    /// The leg's flow, from the node it is at.
    flow: Option<Script>,
    /// The room it is in.
    seat: Option<Seat>,
    /// It waits for what becomes of a transfer it has asked for.
    transfers: bool,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("flow", &self.flow.is_some())
            .field("seat", &self.seat.is_some())
            .finish_non_exhaustive()
    }
}

impl CallHandle {
    /// Says where the flow is: whoever takes this call's place runs `script`.
    pub fn stands_at(&self, script: Script) {
        self.state_mut().place.flow = Some(script);
    }

    /// The leg has a new script, which has not said yet where it is.
    pub(super) fn stands_nowhere(&self) {
        self.state_mut().place = Place::default();
    }

    /// The leg is in a room.
    pub(super) fn sits(&self, seat: Seat) {
        self.state_mut().place.seat = Some(seat);
    }

    /// It is there no more.
    pub(super) fn leaves(&self, seat: &Seat) {
        let place = &mut self.state_mut().place;
        place.seat.take_if(|here| here.is(seat));
    }

    /// The leg waits for what becomes of a transfer it has asked for, or no more.
    pub(super) fn transfers(&self, does: bool) {
        self.state_mut().place.transfers = does;
    }

    /// What somebody may go on with in this leg's place. Running it takes the place; `None`: there is none to take.
    pub(super) fn place(&self) -> Option<Script> {
        let state = self.state();
        let place = &state.place;
        if state.peer.is_some() || place.transfers {
            return None;
        }
        let seat = place.seat.clone().map(Seat::script);
        seat.or_else(|| place.flow.clone())
    }

    /// Takes over what the flow of `other` has found out so far.
    pub(super) fn inherit(&self, other: &Self) {
        let from = other.vars();
        let mut vars = self.vars();
        vars.language.clone_from(&from.language);
        vars.custom_application_vars
            .clone_from(&from.custom_application_vars);
        vars.exported_application_vars
            .clone_from(&from.exported_application_vars);
        vars.channel_vars.clone_from(&from.channel_vars);
        vars.collections.clone_from(&from.collections);
        vars.capture_group.clone_from(&from.capture_group);
        vars.capture_groups.clone_from(&from.capture_groups);
        vars.no_match = from.no_match;
        vars.callflow_id.clone_from(&from.callflow_id);
        vars.flow.clone_from(&from.flow);
    }
}
