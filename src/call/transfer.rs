//! Transfers: a call goes on as the flow its peer asked for (blind), or together with the leg another dialog of the
//! transferor leads to (attended). `adopt` puts two legs together that no script of their own looks after.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::mem::swap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

use futures_util::future::LocalBoxFuture;
use serde_json::Value;

use super::core::{Core, Script};
use super::error::By;
use super::facts::{CallFacts, CallVars};
use super::handle::CallHandle;
use super::ops::talk::{Talk, TalkEnd};
use crate::base::cause::Cause;
use crate::directory::Account;
use crate::host::task;
use crate::journal::Fact;
use crate::routing;
use crate::sip::msg::Replaces;
use crate::sip::ua::{DialogState, Refer};

/// A blind transfer whose flow has reached nobody yet. Until it has, the transferor may get its call back.
pub(super) struct Pending {
    /// The flow's script.
    script: u64,
    call: CallHandle,
    outcome: Cell<Option<Result<(), u16>>>,
    /// Which flow the call ran before.
    before: Cell<Option<Routed>>,
    wakers: RefCell<Vec<Waker>>,
}

/// The part of a call's variables that names its flow.
#[derive(Default)]
struct Routed {
    capture_group: Option<String>,
    capture_groups: BTreeMap<String, String>,
    no_match: bool,
    callflow_id: Option<String>,
    flow: Option<Arc<Value>>,
}

impl Routed {
    /// Changes places with what the call runs.
    fn exchange(&mut self, vars: &mut CallVars) {
        swap(&mut self.capture_group, &mut vars.capture_group);
        swap(&mut self.capture_groups, &mut vars.capture_groups);
        swap(&mut self.no_match, &mut vars.no_match);
        swap(&mut self.callflow_id, &mut vars.callflow_id);
        swap(&mut self.flow, &mut vars.flow);
    }
}

/// What became of a blind transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waited {
    /// Somebody, or something, has answered.
    Reached,
    /// Nobody did; the last SIP status.
    Failed(u16),
    /// The transferor does not wait for it.
    TransferorLeft,
    /// Who was to be transferred hung up.
    TransfereeLeft,
}

impl Pending {
    /// Ends the wait, once. A flow that reached somebody owns its call from then on.
    fn settle(&self, outcome: Result<(), u16>) {
        if self.outcome.get().is_some() {
            return;
        }
        self.outcome.set(Some(outcome));
        self.call.0.transfer.take();
        if outcome.is_ok() {
            self.take_over();
        } else {
            self.call.0.seen.replace(self.call.0.facts.clone());
            if let Some(mut before) = self.before.take() {
                before.exchange(&mut self.call.vars());
            }
        }
        self.wakers.borrow_mut().drain(..).for_each(Waker::wake);
    }

    fn take_over(&self) {
        self.call.end_tapes_that_stay();
        self.call.0.owner.set(self.script);
        self.call.attach(false);
    }

    /// Nobody takes the call back any more: the flow owns it, wherever it leads.
    pub(super) fn keep(&self) {
        if self.outcome.get().is_none() {
            self.call.0.transfer.take();
            self.take_over();
        }
    }

    /// Whoever waited for it does so no more: the call stays where it was.
    pub(super) fn forget(&self) {
        if self.is_open() {
            self.settle(Err(487));
        }
    }

    /// Whether it is still open, and nobody has settled or kept it.
    pub(super) fn is_open(&self) -> bool {
        let current = self.call.0.transfer.borrow();
        current
            .as_ref()
            .is_some_and(|pending| std::ptr::eq(&raw const **pending, self))
    }

    fn wait(&self, waker: &Waker) {
        let mut wakers = self.wakers.borrow_mut();
        if !wakers.iter().any(|known| known.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }

    /// Waits until the flow has failed; for ever when it does not.
    pub(super) async fn failed(&self) {
        poll_fn(|context| match self.outcome.get() {
            Some(Err(_)) => Poll::Ready(()),
            Some(Ok(())) | None => {
                self.wait(context.waker());
                Poll::Pending
            }
        })
        .await;
    }

    /// Waits for the outcome, or for one of the two to leave.
    pub(super) async fn outcome(&self, from: &CallHandle, other: &CallHandle) -> Waited {
        poll_fn(|context| {
            match self.outcome.get() {
                Some(Ok(())) => return Poll::Ready(Waited::Reached),
                Some(Err(status)) => return Poll::Ready(Waited::Failed(status)),
                None => self.wait(context.waker()),
            }
            for (leg, waited) in [
                (other, Waited::TransfereeLeft),
                (from, Waited::TransferorLeft),
            ] {
                let mut state = leg.state_mut();
                if state.ended().is_some() {
                    return Poll::Ready(waited);
                }
                state.wait_after_end(context.waker());
            }
            Poll::Pending
        })
        .await
    }
}

impl CallHandle {
    /// Tells the peer how the transfer it asked for goes.
    pub(super) fn refer_progress(&self, refer: &Refer, status: u16) {
        let leg = self.leg();
        let sent = self
            .core()
            .endpoint(|endpoint, now| endpoint.refer_progress(now, leg, refer.id, status));
        if let Err(error) = sent {
            tracing::debug!(call = ?self, %error, "the transferor has left");
        }
    }

    /// Something has answered this call's flow: a transfer that led here has succeeded.
    pub(super) fn arrived(&self) {
        let pending = self.0.transfer.borrow().clone();
        if let Some(pending) = pending {
            pending.settle(Ok(()));
        }
    }

    /// The flow gives its call up. Whether that only gives it back to the transferor.
    pub(super) fn returns(&self, status: u16) -> bool {
        let pending = self.0.transfer.borrow().clone();
        let Some(pending) = pending else {
            return false;
        };
        let status = self.state().failed.unwrap_or(status);
        pending.settle(Err(status));
        true
    }

    /// Sends this call on to where its peer `from` wants it: as a new call of that party, so that it may go nowhere
    /// the party itself may not call.
    pub(super) fn blind_transfer(
        &self,
        from: &CallHandle,
        refer: &Refer,
    ) -> Result<Rc<Pending>, u16> {
        let number = refer.target.user_text().map(|user| user.into_owned());
        let number = match number {
            Some(number) if !number.is_empty() => number,
            Some(_) | None if refer.target.user.is_none() => refer.target.opaque.to_string(),
            Some(_) | None => return Err(404),
        };
        let by = from.own_facts();
        let caller = routing::Caller {
            authorizing_type: by.authorizing_type,
            device_id: &by.authorizing_id,
        };
        let account = self
            .services()
            .directory
            .account(&by.account.id)
            .ok_or(403_u16)?;
        let route = routing::route(&account, &number, &caller).ok_or(404_u16)?;
        let routed = Routed {
            capture_group: route.capture_group,
            capture_groups: route.capture_groups,
            no_match: route.no_match,
            callflow_id: Some(route.callflow_id),
            flow: Some(route.doc),
        };
        Ok(self.go_on(from, refer, account, number, routed, None))
    }

    /// Has this call go on where `second`, another call of its peer `from`, is now: in the middle of a flow, in a room.
    pub(super) fn transfer_into(
        &self,
        from: &CallHandle,
        second: &CallHandle,
        place: &Script,
        refer: &Refer,
    ) -> Rc<Pending> {
        let there = second.facts();
        let routed = {
            let vars = second.vars();
            Routed {
                capture_group: vars.capture_group.clone(),
                capture_groups: vars.capture_groups.clone(),
                no_match: vars.no_match,
                callflow_id: vars.callflow_id.clone(),
                flow: vars.flow.clone(),
            }
        };
        // Whoever takes the place has it before the other leaves it.
        let script = place(self.clone());
        second.end(Cause::ATTENDED_TRANSFER);
        let (account, number) = (there.account.clone(), there.request_user.clone());
        let pending = self.go_on(from, refer, account, number, routed, Some(script));
        // The other call was answered there.
        pending.settle(Ok(()));
        pending
    }

    /// Starts what a transfer leads to: `script`, or the flow of `routed`.
    fn go_on(
        &self,
        from: &CallHandle,
        refer: &Refer,
        account: Arc<Account>,
        number: String,
        mut routed: Routed,
        script: Option<LocalBoxFuture<'static, ()>>,
    ) -> Rc<Pending> {
        let by = from.own_facts();
        self.note(|call_id, at| Fact::Note {
            call_id,
            at,
            text: format!("transferred to {number} by {}", by.call_id),
        });
        routed.exchange(&mut self.vars());
        let own = self.own_facts();
        self.0.seen.replace(Rc::new(CallFacts {
            account,
            request_user: number.clone(),
            request_realm: by.account.realm.to_string(),
            to_user: number,
            to_realm: by.account.realm.to_string(),
            authorizing_id: by.authorizing_id.clone(),
            authorizing_type: by.authorizing_type,
            owner_id: by.owner_id.clone(),
            caller_id_name: self.shown_name(),
            caller_id_number: self.shown_number(),
            referred_by: refer.referred_by.clone(),
            ..CallFacts::clone(own)
        }));
        let id = self.core().next_script();
        let pending = Rc::new(Pending {
            script: id,
            call: self.clone(),
            outcome: Cell::new(None),
            before: Cell::new(Some(routed)),
            wakers: RefCell::default(),
        });
        self.0.transfer.replace(Some(pending.clone()));
        self.state_mut().failed = None;
        let (core, call, waits) = (self.core(), self.clone(), Some(pending.clone()));
        match script {
            Some(script) => {
                self.stands_nowhere();
                core.run_future(call, script, id, waits);
            }
            None => core.run_script(call, id, waits),
        }
        pending
    }

    /// Who this leg is to others: the caller's own id, or the number we called.
    pub(super) fn shown_number(&self) -> String {
        let facts = self.own_facts();
        if self.is_outbound() {
            facts.request_user.clone()
        } else {
            facts.caller_id_number.clone()
        }
    }

    pub(super) fn shown_name(&self) -> String {
        let facts = self.own_facts();
        match self.is_outbound() {
            true if !facts.callee_id_name.is_empty() => facts.callee_id_name.clone(),
            true => facts.request_user.clone(),
            false => facts.caller_id_name.clone(),
        }
    }

    /// What an attended transfer means here: the other dialog of the transferor, and what it is doing.
    pub(super) fn consulted(
        &self,
        from: &CallHandle,
        replaces: &Replaces,
    ) -> Result<(CallHandle, DialogState), u16> {
        let found = self
            .core()
            .dialog(&replaces.call_id, &replaces.to_tag, &replaces.from_tag);
        let (second, state) = found.ok_or(481_u16)?;
        if second.own_facts().account.id != from.own_facts().account.id {
            return Err(403);
        }
        if replaces.early_only && state == DialogState::Confirmed {
            return Err(486);
        }
        Ok((second, state))
    }

    /// Puts this leg together with whom `second`, another dialog of its peer `from`, talks with.
    pub(super) fn attended_transfer(
        &self,
        from: &CallHandle,
        second: &CallHandle,
        refer: &Refer,
    ) -> Result<(), u16> {
        let target = second.peer().ok_or(488_u16)?;
        if target.is(self) || second.is(from) {
            return Err(482);
        }
        self.core().adopt(self, &target);
        self.take_tapes_over(from);
        target.take_tapes_over(second);
        from.refer_progress(refer, 200);
        from.end(Cause::ATTENDED_TRANSFER);
        second.end(Cause::ATTENDED_TRANSFER);
        Ok(())
    }
}

impl CallHandle {
    /// Picks up the call that rings at `from`, with whom this call talks, as `ringing`: whoever placed it talks with this
    /// call from then on (RFC 3891 §1, call pick-up).
    pub(super) fn pick_up_from(
        &self,
        from: &CallHandle,
        ringing: &CallHandle,
        refer: &Refer,
    ) -> Result<(), u16> {
        let placed_by = ringing.state().other.as_ref().map(|o| o.call_id.clone());
        let caller = placed_by.and_then(|id| self.core().leg_named(&id));
        let caller = caller.ok_or(481_u16)?;
        if caller.is(self) || caller.is(from) {
            return Err(482);
        }
        let (call, from, refer) = (self.clone(), from.clone(), refer.clone());
        task::spawn_local("picked-up-from", async move {
            let answered = caller.answer().await.is_ok();
            let still = call.peer().is_some_and(|peer| peer.is(&from));
            if !answered || !still {
                return from.refer_progress(&refer, 480);
            }
            let core = call.core();
            // Whatever rings for the caller is let go of.
            caller.state_mut().usurper = Some(core.next_script());
            core.adopt(&call, &caller);
            call.take_tapes_over(&from);
            from.refer_progress(&refer, 200);
            from.end(Cause::ATTENDED_TRANSFER);
        });
        Ok(())
    }
}

impl Core {
    /// The leg of that Call-ID.
    fn leg_named(&self, call_id: &str) -> Option<CallHandle> {
        let calls = self.0.calls.borrow();
        let mut all = calls.values();
        all.find(|call| call.own_facts().call_id == call_id)
            .cloned()
    }

    /// The leg whose dialog that is.
    pub(super) fn dialog(
        &self,
        call_id: &str,
        to_tag: &str,
        from_tag: &str,
    ) -> Option<(CallHandle, DialogState)> {
        let found = self
            .0
            .endpoint
            .borrow()
            .find_dialog(call_id, to_tag, from_tag);
        let (leg, state) = found?;
        let call = self.0.calls.borrow().get(&leg).cloned()?;
        Some((call, state))
    }

    /// Puts two answered legs together, whatever they were part of before: their scripts and bridges let go of them,
    /// and the two end together. Each keeps its port, its name and its record.
    pub(super) fn adopt(&self, x: &CallHandle, y: &CallHandle) {
        let task = self.next_script();
        for leg in [x, y] {
            leg.end_tapes_that_stay();
            leg.0.owner.set(task);
            leg.0.transfer.take();
            let former = leg.state_mut().peer.take();
            if let Some(former) = former {
                let mut state = former.state_mut();
                state.peer = None;
                state.wake();
            }
        }
        x.attach(false);
        y.attach(true);
        x.state_mut().peer = Some(y.clone());
        y.state_mut().peer = Some(x.clone());
        let talk = Talk::begin(x, y, None);
        let (x, y) = (x.clone(), y.clone());
        for leg in [&x, &y] {
            leg.state_mut().wake();
        }
        task::spawn_local("adopted", async move {
            let longest = x.core().0.config.max_call;
            let end = match tokio::time::timeout(longest, Box::pin(talk.converse())).await {
                Ok(end) => end,
                Err(_elapsed) => TalkEnd::Left(Cause::ALLOTTED_TIMEOUT),
            };
            for leg in [&x, &y] {
                // A leg that has moved on belongs to somebody else.
                if leg.0.owner.get() == task
                    && let TalkEnd::Left(cause) = end
                {
                    leg.end(match leg.ended() {
                        Some(ended) if ended.by == By::Us => Cause::NORMAL_CLEARING,
                        Some(_) | None => cause,
                    });
                }
            }
        });
    }
}
