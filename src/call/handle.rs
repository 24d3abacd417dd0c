//! The handle of a call: what its script holds. Cheap to clone, bound to the signalling thread.

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::fmt;
use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use super::core::Core;
use super::error::{CallError, Ended};
use super::facts::{CallFacts, CallVars};
use super::ops::line::InboundLine;
use super::originate::Seed;
use super::services::Services;
use super::state::{Phase, State};
use super::transfer::Pending;
use crate::base::cause::Cause;
use crate::base::id::OpId;
use crate::base::time::UnixMicros;
use crate::clips::Clips;
use crate::host::clock;
use crate::journal::{Code, Detail, Fact, Leg};
use crate::media::Command;
use crate::routing::Target;
use crate::sip::ua::LegId;

/// A call, as its script sees it.
#[derive(Clone)]
pub struct CallHandle(pub(super) Rc<Call>);

pub(super) struct Call {
    pub(super) core: Core,
    pub(super) facts: Rc<CallFacts>,
    /// What the running flow goes by: the facts of the INVITE, or of the transfer that took their place.
    pub(super) seen: RefCell<Rc<CallFacts>>,
    /// The leg's name at the endpoint.
    pub(super) leg: Cell<LegId>,
    /// What we rang to make this leg; `None` of a leg that called us.
    pub(super) target: Option<Box<Target>>,
    /// A caller without a telephone: what the one it reaches goes on with.
    pub(super) seed: Option<Box<Seed>>,
    /// The script whose end ends the call; 0 of a leg that belongs to the bridge that placed it.
    pub(super) owner: Cell<u64>,
    /// Whether the leg rides on another call and is none of its own.
    pub(super) attached: Cell<bool>,
    /// A transfer whose flow runs on this call and has reached nobody yet.
    pub(super) transfer: RefCell<Option<Rc<Pending>>>,
    pub(super) vars: RefCell<CallVars>,
    pub(super) state: RefCell<State>,
    /// Whether the caller's INVITE carried an offer.
    pub(super) offered: bool,
    /// Requests the aftermath has made.
    pub(super) aftermath: Cell<u32>,
    /// Why we end the call, until its end is dispatched.
    pub(super) cause: Cell<Option<Cause>>,
    /// When it was answered and when it ended, from its end until the record is written.
    pub(super) times: Cell<Option<(Option<UnixMicros>, UnixMicros)>>,
    /// Whether an open record was written.
    pub(super) opened: Cell<bool>,
    /// The line of the account that a carrier's call has taken.
    pub(super) line: RefCell<Option<InboundLine>>,
    /// The address of ours that the INVITE came to.
    pub(super) local: IpAddr,
}

impl CallHandle {
    /// What the INVITE said and the switch found out.
    pub fn facts(&self) -> Rc<CallFacts> {
        self.0.seen.borrow().clone()
    }

    /// What the leg itself is: the same for its whole life, whatever flow runs.
    pub(super) fn own_facts(&self) -> &Rc<CallFacts> {
        &self.0.facts
    }

    /// The leg's name at the endpoint.
    pub(super) fn leg(&self) -> LegId {
        self.0.leg.get()
    }

    /// Whether we placed this leg.
    pub fn is_outbound(&self) -> bool {
        self.0.target.is_some()
    }

    /// Whether both are the same leg.
    pub(super) fn is(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// Whom this leg talks with, once it is connected to another.
    pub fn peer(&self) -> Option<CallHandle> {
        self.state().peer.clone()
    }

    /// What the script may change. Do not hold the guard across an await.
    pub fn vars(&self) -> RefMut<'_, CallVars> {
        self.0.vars.borrow_mut()
    }

    /// The rest of the house: clips, HTTP, journal, store, directory.
    pub fn services(&self) -> Rc<Services> {
        self.0.core.services()
    }

    /// Whether a 200 was sent and the call is up.
    pub fn answered(&self) -> bool {
        matches!(self.state().phase, Phase::Answered { .. })
    }

    /// How the call ended, if it has.
    pub fn ended(&self) -> Option<Ended> {
        self.state().ended()
    }

    /// The language of prompts and speech: the flow's, else the device's, its owner's, the account's, else `en-us`.
    pub fn language(&self) -> String {
        if let Some(language) = &self.vars().language {
            return language.clone();
        }
        let facts = self.facts();
        let account = &facts.account;
        let device = account
            .devices
            .get(&facts.authorizing_id)
            .map(|d| d.doc.clone());
        let owner = facts
            .owner_id
            .as_ref()
            .and_then(|id| account.users.get(id))
            .map(|u| u.doc.clone());
        [device, owner, Some(account.doc.clone())]
            .into_iter()
            .flatten()
            .find_map(|doc| {
                doc.get("language")
                    .and_then(|l| l.as_str())
                    .map(str::to_lowercase)
            })
            .unwrap_or_else(|| "en-us".to_owned())
    }

    /// Waits. A hang-up ends the wait at once.
    ///
    /// # Errors
    /// When the call ends.
    pub async fn pause(&self, length: Duration) -> Result<(), CallError> {
        match tokio::time::timeout(length, self.wait(|_| None::<()>)).await {
            Ok(ended) => ended,
            Err(_elapsed) => Ok(()),
        }
    }

    /// Waits until the call ends, however long that takes, and says how it did.
    pub async fn wait_for_hangup(&self) -> CallError {
        match self.wait(|_| None::<std::convert::Infallible>).await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    /// Counts one HTTP request of the script. After the end of the call only a few are allowed (the aftermath).
    ///
    /// # Errors
    /// [`CallError::Ended`] when the aftermath has used up its requests.
    pub fn count_request(&self) -> Result<(), CallError> {
        let Some(ended) = self.ended() else {
            return Ok(());
        };
        let made = self.0.aftermath.get();
        if made >= AFTERMATH_REQUESTS {
            return Err(CallError::Ended(ended));
        }
        self.0.aftermath.set(made + 1);
        Ok(())
    }

    /// Writes a fact about this call into the journal.
    pub fn note(&self, fact: impl FnOnce(String, UnixMicros) -> Fact) {
        self.0
            .core
            .services()
            .journal
            .emit(fact(self.0.facts.call_id.clone(), clock::unix_now()));
    }

    /// Writes a detail of its course into the journal.
    pub fn detail(&self, detail: Detail) {
        self.note(|call_id, at| Fact::Detail {
            call_id,
            at,
            detail,
        });
    }

    /// Sound by reference; what web servers are asked for its sake is written into the leg's trace.
    pub fn clips(&self) -> Clips {
        let (services, id) = (self.services(), &self.own_facts().call_id);
        let journal = &services.journal;
        services
            .clips
            .watched(journal.watch(id, "media"), journal.watch(id, "tts"))
    }

    /// Writes into the journal that the leg is there, and whose it is.
    pub(super) fn note_leg(&self, parent: Option<&Self>) {
        let facts = self.own_facts();
        let name = match self.is_outbound() {
            true => facts.callee_id_name.clone(),
            false => facts.caller_id_name.clone(),
        };
        self.detail(Detail::Leg(Box::new(Leg {
            account: facts.account.id.to_string(),
            interaction: facts.interaction_id.clone(),
            direction: facts.direction,
            from: facts.caller_id_number.clone(),
            to: facts.request_user.clone(),
            name,
            kind: facts.authorizing_type,
            owner: facts.owner_id.clone(),
            internal: self.0.seed.is_some(),
            parent: parent.map(|parent| parent.own_facts().call_id.clone()),
        })));
    }

    /// Tells the journal that something went wrong, and what.
    pub fn trouble(&self, code: Code, values: Vec<(&'static str, String)>) {
        let account = self.0.facts.account.id.to_string();
        self.note(|call_id, at| Fact::Trouble {
            call_id,
            at,
            account,
            code,
            values,
        });
    }

    pub(super) fn state(&self) -> Ref<'_, State> {
        self.0.state.borrow()
    }

    pub(super) fn state_mut(&self) -> RefMut<'_, State> {
        self.0.state.borrow_mut()
    }

    /// Waits until `look` yields something, or the call ends.
    pub(super) async fn wait<T>(
        &self,
        mut look: impl FnMut(&mut State) -> Option<T>,
    ) -> Result<T, CallError> {
        poll_fn(|context| self.state_mut().poll(context, &mut look)).await
    }

    pub(super) fn next_op(&self) -> OpId {
        self.0.core.next_op()
    }

    /// Sends a command to the leg's port.
    pub(super) fn command(&self, command: Command) -> Result<(), CallError> {
        let state = self.state();
        match (&state.media.port, state.ended()) {
            (_, Some(ended)) => Err(CallError::Ended(ended)),
            (None, None) => Err(CallError::NotAnswered),
            (Some(port), None) => {
                port.command(command);
                Ok(())
            }
        }
    }

    /// The leg hears again what is sent to it, whoever has muted whom it talked with before.
    pub(super) fn unmute(&self) {
        if let Some(port) = &self.state().media.port {
            port.command(Command::Mute(false));
        }
    }

    /// Cancels an operation. Cannot fail: a call without a port has nothing left to cancel.
    pub(super) fn cancel(&self, op: OpId) {
        if let Some(port) = &self.state().media.port {
            port.command(Command::Cancel(op));
        }
    }
}

impl fmt::Debug for CallHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({})", self.0.facts.call_id)
    }
}

/// Requests a script may make after its call has ended.
const AFTERMATH_REQUESTS: u32 = 5;
