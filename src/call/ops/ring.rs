//! The ringing part of a bridge: whom to ring when, what the caller hears meanwhile, who answers first, and which of
//! the failures is told when nobody does (RFC 3261 §16.7).

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::future::LocalBoxFuture;
use tokio::time::Sleep;

use super::bridge::{BridgeOptions, Strategy};
use super::collect::CollectOptions;
use super::redirect::{Followed, Redirected};
use crate::audio::Clip;
use crate::audio::tone::ToneStream;
use crate::base::cause::Cause;
use crate::base::id::OpId;
use crate::base::keys::Keys;
use crate::call::error::{By, CallError, Ended};
use crate::call::handle::CallHandle;
use crate::call::heard::Heard;
use crate::call::joined::Joined;
use crate::call::outbound::Destination;
use crate::call::state::Phase;
use crate::host::clock;
use crate::journal::Code;
use crate::media::{Command, Source};
use crate::routing::{Place, Secrecy, Target};
use crate::sip::msg::Uri;
use crate::sip::ua::Reason;

/// A leg that hangs up with its bridge, unless somebody else has taken it over.
pub(super) struct Callee(pub(super) CallHandle);

impl Drop for Callee {
    fn drop(&mut self) {
        if self.0.0.owner.get() == 0 {
            self.0.end(Cause::NORMAL_CLEARING);
        }
    }
}

/// Everybody a bridge rings.
pub(super) struct Ring<'a> {
    call: &'a CallHandle,
    options: &'a BridgeOptions,
    attempts: Vec<Attempt>,
    /// Which of the targets are rung now; with [`Strategy::Single`] each is a step of its own.
    step: usize,
    /// Why nobody answers, in the order it became known: SIP status and cause.
    failures: Vec<(u16, Cause)>,
    deadline: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    /// Whom the caller hears already.
    early: Option<(usize, Joined)>,
    ringback: Option<(OpId, Heard)>,
    /// Where callees have sent the call.
    followed: Followed,
}

struct Attempt {
    target: Target,
    step: usize,
    stage: Stage,
}

enum Stage {
    /// Its turn comes at this time.
    Waiting(Instant),
    /// Looking for where it is.
    Finding(LocalBoxFuture<'static, Vec<Destination>>),
    /// Its INVITE is on its way.
    Ringing {
        leg: Callee,
        until: Option<Instant>,
        progress_until: Option<Instant>,
        /// The provisional status we have taken note of, and whether it came with media.
        seen: Option<(u16, bool)>,
        /// Where its INVITE went, to go there once more with another description.
        place: Box<Destination>,
    },
    /// It has answered, and is sent keys or must press 1.
    Confirming(Callee, LocalBoxFuture<'static, bool>),
    /// It did not answer.
    Over,
}

enum Happening {
    Found(usize, Vec<Destination>),
    Progress(usize),
    Answered(usize),
    Picked(usize, CallHandle),
    Confirmed(usize, bool),
    Lost(usize, Ended),
    Due,
}

/// Who answered, or why nobody did.
pub(super) type Outcome = Result<Callee, (u16, Cause)>;

impl<'a> Ring<'a> {
    pub(super) fn new(call: &'a CallHandle, options: &'a BridgeOptions) -> Self {
        let now = clock::now();
        let single = options.strategy == Strategy::Single;
        let attempts = options
            .targets
            .iter()
            .enumerate()
            .map(|(n, target)| Attempt {
                target: target.clone(),
                step: if single { n } else { 0 },
                stage: Stage::Waiting(now + target.delay),
            });
        Self {
            call,
            options,
            attempts: attempts.collect(),
            step: 0,
            failures: Vec::new(),
            deadline: (options.timeout.map(|timeout| now + timeout))
                .into_iter()
                .chain(call.0.seed.as_ref().map(|seed| seed.deadline))
                .min(),
            timer: None,
            early: None,
            ringback: None,
            followed: Followed::default(),
        }
    }

    /// Rings until somebody has answered, and answers the caller then.
    pub(super) async fn until_answered(&mut self) -> Result<Outcome, CallError> {
        loop {
            if let Some(failure) = self.all_over() {
                return Ok(Err(failure));
            }
            match poll_fn(|context| self.poll(context)).await? {
                Happening::Found(at, places) => self.found(at, places),
                Happening::Progress(at) => self.progress(at).await?,
                Happening::Lost(at, ended) => {
                    if let Some(failure) = self.lost(at, ended) {
                        return Ok(Err(failure));
                    }
                }
                Happening::Due => {
                    if self.due() {
                        return Ok(Err((Cause::NO_ANSWER.status, Cause::NO_ANSWER)));
                    }
                }
                Happening::Answered(at) => {
                    if let Some(callee) = self.answered(at) {
                        return self.connect(callee).await;
                    }
                }
                Happening::Confirmed(at, true) => {
                    if let Some(callee) = self.take(at) {
                        return self.connect(callee).await;
                    }
                }
                Happening::Confirmed(at, false) => {
                    if let Some(callee) = self.take(at) {
                        callee.0.end(Cause::NO_ANSWER);
                    }
                    self.fail(at, Cause::NO_ANSWER.status, Cause::NO_ANSWER);
                }
                Happening::Picked(at, picker) => {
                    if let Some(callee) = self.pick(at, picker).await? {
                        return self.connect(callee).await;
                    }
                }
            }
        }
    }

    /// The next thing that happens, to anybody.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Happening, CallError>> {
        {
            let mut state = self.call.state_mut();
            if let Some(ended) = state.ended() {
                return Poll::Ready(Err(CallError::Ended(ended)));
            }
            state.wait_after_end(context.waker());
        }
        for (at, attempt) in self.attempts.iter_mut().enumerate() {
            if let Poll::Ready(happening) = attempt.poll(at, context) {
                return Poll::Ready(Ok(happening));
            }
        }
        let Some(next) = self.next_deadline() else {
            return Poll::Pending;
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(next.into())));
        if timer.deadline() != next.into() {
            timer.as_mut().reset(next.into());
        }
        timer.as_mut().poll(context).map(|()| Ok(Happening::Due))
    }

    fn next_deadline(&self) -> Option<Instant> {
        let of_attempts = self
            .attempts
            .iter()
            .flat_map(|attempt| match &attempt.stage {
                Stage::Waiting(at) if attempt.step == self.step => [Some(*at), None],
                Stage::Ringing {
                    until,
                    progress_until,
                    ..
                } => [*until, *progress_until],
                Stage::Waiting(_) | Stage::Finding(_) | Stage::Confirming(..) | Stage::Over => {
                    [None; 2]
                }
            });
        of_attempts.chain([self.deadline]).flatten().min()
    }

    /// Does what is due; whether the whole bridge has rung for long enough.
    fn due(&mut self) -> bool {
        let now = clock::now();
        self.timer = None;
        if self.deadline.is_some_and(|at| now >= at) {
            self.give_up(Cause::NO_ANSWER);
            return true;
        }
        let core = self.call.core().clone();
        for at in 0..self.attempts.len() {
            let Some(attempt) = self.attempts.get_mut(at) else {
                continue;
            };
            let why = match &attempt.stage {
                Stage::Waiting(from) if attempt.step == self.step && now >= *from => {
                    let find = core.clone().destinations(attempt.target.place.clone());
                    attempt.stage = Stage::Finding(Box::pin(find));
                    continue;
                }
                Stage::Ringing {
                    until: Some(until), ..
                } if now >= *until => Cause::NO_ANSWER,
                Stage::Ringing {
                    progress_until: Some(until),
                    ..
                } if now >= *until => Cause::PROGRESS_TIMEOUT,
                Stage::Ringing { .. }
                | Stage::Waiting(_)
                | Stage::Finding(_)
                | Stage::Confirming(..)
                | Stage::Over => continue,
            };
            if let Some(callee) = self.take(at) {
                callee.0.end(why);
            }
            self.fail(at, why.status, why);
        }
        false
    }

    /// Places the INVITEs of a target whose places are known now.
    fn found(&mut self, at: usize, places: Vec<Destination>) {
        let Some(attempt) = self.attempts.get_mut(at) else {
            return;
        };
        attempt.stage = Stage::Over;
        let (target, step) = (attempt.target.clone(), attempt.step);
        let registered = matches!(target.place, Place::Registered { .. });
        if places.is_empty() {
            self.nowhere(&target);
            let why = if registered {
                Cause::SUBSCRIBER_ABSENT
            } else {
                Cause::NO_ROUTE_DESTINATION
            };
            return self.fail(at, why.status, why);
        }
        if !target.call_waiting && self.call.core().is_in_call(&target.id) {
            return self.fail(at, Cause::USER_BUSY.status, Cause::USER_BUSY);
        }
        for place in places {
            self.place(&target, step, place);
        }
    }

    /// Tells why a target leads nowhere.
    fn nowhere(&self, target: &Target) {
        let name = match &target.place {
            _ if !target.name.is_empty() => target.name.clone(),
            Place::Registered { username, .. } => format!("phone {username}"),
            _ => String::new(),
        };
        let (code, more) = match &target.place {
            Place::Registered { username, realm } => {
                let lapsed = self.call.core().registrar().lapsed(username, realm);
                match lapsed {
                    Some(lapsed) if lapsed.silent => {
                        (Code::PhoneUnreachable, ("user", username.clone()))
                    }
                    Some(lapsed) => {
                        let ago = clock::unix_now().since(lapsed.at);
                        (Code::RegistrationExpired, ("ago", in_words(ago)))
                    }
                    None => (Code::NotRegistered, ("user", username.clone())),
                }
            }
            Place::Uri { uri, .. } => {
                let host = Uri::parse(uri).map(|uri| uri.host.to_string());
                (
                    Code::TrunkDns,
                    ("server", host.unwrap_or_else(|_| uri.clone())),
                )
            }
            _ => return,
        };
        let of = match target.kind {
            "resource" => "trunk_id",
            _ => "device",
        };
        let values = vec![
            ("phone", name.clone()),
            ("trunk", name),
            more,
            (of, target.id.clone()),
        ];
        self.call.trouble(code, values);
    }

    /// Places one INVITE.
    fn place(&mut self, target: &Target, step: usize, place: Destination) {
        let placed = self.call.core().place(self.call, target, place.clone());
        let leg = match placed {
            Ok(leg) => leg,
            Err(error) => {
                tracing::debug!(call = ?self.call, %error, "a leg could not be placed");
                let why = Cause::NETWORK_OUT_OF_ORDER;
                self.failures.push((why.status, why));
                return;
            }
        };
        if let Some(attended) = &self.options.attended {
            attended.follow(&leg, target.mark);
        }
        let now = clock::now();
        self.attempts.push(Attempt {
            target: target.clone(),
            step,
            stage: Stage::Ringing {
                leg: Callee(leg),
                until: target.timeout.map(|timeout| now + timeout),
                progress_until: target.progress_timeout.map(|timeout| now + timeout),
                seen: None,
                place: Box::new(place),
            },
        });
    }

    /// Who refused keys that it might have passed over (RTP/AVP with `a=crypto`) may want them insisted on (RTP/SAVP):
    /// asked once more. Whether it is.
    fn insist(&mut self, at: usize) -> bool {
        let Some(attempt) = self.attempts.get_mut(at) else {
            return false;
        };
        let Stage::Ringing { leg, place, .. } = &attempt.stage else {
            return false;
        };
        let optional = {
            let state = leg.0.state();
            state
                .media
                .crypto
                .as_ref()
                .is_some_and(|crypto| crypto.optimistic)
        };
        if !optional {
            return false;
        }
        let (place, step) = (place.as_ref().clone(), attempt.step);
        let target = Target {
            secrecy: Secrecy::Required,
            ..attempt.target.clone()
        };
        attempt.stage = Stage::Over;
        self.early.take_if(|(heard, _)| *heard == at);
        self.place(&target, step, place);
        true
    }

    /// A callee sends the call elsewhere: rings whom the account's routing finds there. Whether there is somebody.
    fn follow(&mut self, at: usize) -> bool {
        let Some(redirects) = &self.options.redirects else {
            return false;
        };
        let Some(attempt) = self.attempts.get_mut(at) else {
            return false;
        };
        let Stage::Ringing { leg, .. } = &attempt.stage else {
            return false;
        };
        let (target, step) = (attempt.target.clone(), attempt.step);
        let mut redirected = Redirected {
            target: &target,
            contacts: leg.0.state().redirected_to.clone(),
            local: leg.0.0.local,
        };
        let found = self.followed.next(redirects, &mut redirected);
        if found.is_empty() {
            return false;
        }
        attempt.stage = Stage::Over;
        self.early.take_if(|(heard, _)| *heard == at);
        let now = clock::now();
        let in_turn = self.options.strategy == Strategy::Single && self.options.targets.len() > 1;
        let mut carriers = 0;
        for target in found {
            // Gateways of carriers are tried one after the other, where that does not get into the way of others.
            let carrier = target.kind == "resource";
            let after = if carrier { carriers } else { 0 };
            carriers += usize::from(carrier);
            if in_turn && after > 0 {
                continue;
            }
            self.attempts.push(Attempt {
                step: step + after,
                stage: Stage::Waiting(now),
                target,
            });
        }
        true
    }

    /// Somebody rings, or can be heard.
    async fn progress(&mut self, at: usize) -> Result<(), CallError> {
        let Some(attempt) = self.attempts.get_mut(at) else {
            return Ok(());
        };
        let Stage::Ringing {
            leg,
            seen,
            progress_until,
            ..
        } = &mut attempt.stage
        else {
            return Ok(());
        };
        let leg = leg.0.clone();
        let heard = leg.has_early_media();
        let status = leg.state().progress.unwrap_or(183);
        *seen = Some((status, heard));
        if let Some(seed) = self.call.0.seed.as_ref().filter(|_| status >= 180) {
            seed.rings();
        }
        *progress_until = None;
        let ignored = self.options.ignore_early_media
            || attempt.target.ignore_early_media
            || attempt.target.confirm;
        if self.early.is_some() {
            return Ok(());
        }
        if heard && !ignored && (self.call.answered() || self.call.0.offered) {
            self.call.open_media().await?;
            self.stop_ringback();
            self.early = Some((at, Joined::new(self.call, &leg)));
            return Ok(());
        }
        self.sound_ringing().await
    }

    /// Lets the caller hear that it rings.
    async fn sound_ringing(&mut self) -> Result<(), CallError> {
        if self.ringback.is_some() {
            return Ok(());
        }
        let hears_us = match self.call.state().phase {
            Phase::Ringing { early } => early,
            Phase::Answered { .. } | Phase::Ended(_) => true,
        };
        let clip: Arc<Clip> = match &self.options.ringback {
            Some(clip) if hears_us || self.call.0.offered => clip.clone(),
            // A phone that has our media already makes no tone of its own.
            None if hears_us => Arc::new(ToneStream::ringback().clip()),
            Some(_) | None => return self.call.ring(),
        };
        self.call.open_media().await?;
        let op = self.call.next_op();
        self.call.command(Command::Play {
            op,
            source: Source::Tone(clip, true),
        })?;
        let heard = Heard::begin(self.call, "ringback", "");
        self.ringback = Some((op, heard));
        Ok(())
    }

    fn stop_ringback(&mut self) {
        if let Some((op, _heard)) = self.ringback.take() {
            self.call.cancel(op);
        }
    }

    /// A leg ended before it answered; a failure that ends the whole bridge is given.
    fn lost(&mut self, at: usize, ended: Ended) -> Option<(u16, Cause)> {
        let refused = ended.by == By::Peer && ended.status >= 300;
        if (300..400).contains(&ended.status) {
            // Where a phone wants its calls to go is for the account's own routing to decide: toll fraud.
            if self.follow(at) {
                return None;
            }
            let why = Cause::REDIRECTION_TO_NEW_DESTINATION;
            self.fail(at, why.status, why);
        } else if refused && ended.status == 488 && self.insist(at) {
            return None;
        } else {
            self.fail(at, ended.status, ended.cause);
        }
        if ended.status >= 600 || (refused && self.options.fail_on_single_reject) {
            self.give_up(Cause::LOSE_RACE);
            return Some((ended.status, ended.cause));
        }
        None
    }

    fn fail(&mut self, at: usize, status: u16, cause: Cause) {
        if let Some(attempt) = self.attempts.get_mut(at) {
            attempt.stage = Stage::Over;
        }
        self.failures.push((status, cause));
        self.early.take_if(|(heard, _)| *heard == at);
    }

    /// Goes on with the next step when nobody of this one is left; the best of the failures when there is none.
    fn all_over(&mut self) -> Option<(u16, Cause)> {
        let now = clock::now();
        loop {
            let open = |a: &&Attempt| a.step == self.step && !matches!(a.stage, Stage::Over);
            if self.attempts.iter().any(|a| open(&a)) {
                return None;
            }
            let next = self
                .attempts
                .iter()
                .map(|a| a.step)
                .filter(|s| *s > self.step)
                .min();
            let Some(next) = next else {
                return Some(best(&self.failures));
            };
            self.step = next;
            for attempt in &mut self.attempts {
                if let Stage::Waiting(at) = &mut attempt.stage
                    && attempt.step == next
                {
                    *at = now + attempt.target.delay;
                }
            }
        }
    }

    fn take(&mut self, at: usize) -> Option<Callee> {
        let attempt = self.attempts.get_mut(at)?;
        match std::mem::replace(&mut attempt.stage, Stage::Over) {
            Stage::Ringing { leg, .. } | Stage::Confirming(leg, _) => Some(leg),
            Stage::Waiting(_) | Stage::Finding(_) | Stage::Over => None,
        }
    }

    /// Somebody has answered: the winner, unless it must confirm first.
    fn answered(&mut self, at: usize) -> Option<Callee> {
        let target = &self.attempts.get(at)?.target;
        let (confirm, digits) = (target.confirm, target.send_digits.clone());
        let mark = target.mark;
        let callee = self.take(at)?;
        let attended = self.options.attended.as_ref();
        let spoken = attended.and_then(|attended| attended.0.speak(&callee.0, mark));
        if !confirm && digits.is_empty() && spoken.is_none() {
            return Some(callee);
        }
        let leg = callee.0.clone();
        let prepared = async move {
            // Who leaves meanwhile is noticed by the ring itself.
            let sent = digits.is_empty() || leg.send_digits(&digits, KEY).await.is_ok();
            let taken = sent && (!confirm || confirms(leg).await);
            match spoken {
                Some(spoken) if taken => spoken.await,
                Some(_) | None => taken,
            }
        };
        if let Some(attempt) = self.attempts.get_mut(at) {
            attempt.stage = Stage::Confirming(callee, Box::pin(prepared));
        }
        None
    }

    /// Another phone takes a ringing leg's place.
    async fn pick(&mut self, at: usize, picker: CallHandle) -> Result<Option<Callee>, CallError> {
        picker.attach(true);
        let picker = Callee(picker);
        let answered = tokio::select! {
            biased;
            ended = self.call.wait(|_| None::<()>) => return ended.map(|()| None),
            answered = picker.0.answer() => answered,
        };
        if let Err(error) = answered {
            tracing::debug!(call = ?picker.0, %error, "who wanted to pick the call up is gone");
            return Ok(None);
        }
        if let Some(callee) = self.take(at) {
            callee.0.end(Cause::PICKED_OFF);
        }
        Ok(Some(picker))
    }

    /// Everybody else stops ringing, and the caller gets his answer.
    async fn connect(&mut self, callee: Callee) -> Result<Outcome, CallError> {
        self.give_up(Cause::LOSE_RACE);
        self.early = None;
        self.stop_ringback();
        if callee.0.ended().is_none() {
            callee.0.open_durably().await;
        }
        // Who has no telephone has nothing to answer with.
        if self.call.0.seed.is_none() {
            self.call.answer().await?;
        }
        Ok(Ok(callee))
    }

    /// Ends every leg that is left.
    fn give_up(&mut self, why: Cause) {
        for at in 0..self.attempts.len() {
            let Some(callee) = self.take(at) else {
                continue;
            };
            if why == Cause::LOSE_RACE && !callee.0.answered() {
                callee
                    .0
                    .end_because(why, Reason::sip(200, "Call completed elsewhere"));
            } else {
                callee.0.end(why);
            }
        }
    }
}

impl Drop for Ring<'_> {
    fn drop(&mut self) {
        self.stop_ringback();
        let why = match self.call.ended() {
            Some(ended) => ended.cause,
            None => Cause::NORMAL_CLEARING,
        };
        self.give_up(why);
    }
}

impl Attempt {
    fn poll(&mut self, at: usize, context: &mut Context<'_>) -> Poll<Happening> {
        match &mut self.stage {
            Stage::Waiting(_) | Stage::Over => Poll::Pending,
            Stage::Finding(find) => find
                .as_mut()
                .poll(context)
                .map(|places| Happening::Found(at, places)),
            Stage::Ringing { leg, seen, .. } => {
                let mut state = leg.0.state_mut();
                let early = match &state.phase {
                    Phase::Ended(ended) => return Poll::Ready(Happening::Lost(at, *ended)),
                    Phase::Answered { .. } => return Poll::Ready(Happening::Answered(at)),
                    Phase::Ringing { early } => *early,
                };
                if let Some(picker) = state.picked_by.take() {
                    return Poll::Ready(Happening::Picked(at, picker));
                }
                let heard = seen.is_some_and(|(_, early)| early);
                if state.progress.is_some() && (seen.is_none() || early != heard) {
                    return Poll::Ready(Happening::Progress(at));
                }
                state.wait_after_end(context.waker());
                Poll::Pending
            }
            Stage::Confirming(leg, confirm) => {
                if let Some(ended) = leg.0.ended() {
                    return Poll::Ready(Happening::Lost(at, ended));
                }
                confirm
                    .as_mut()
                    .poll(context)
                    .map(|yes| Happening::Confirmed(at, yes))
            }
        }
    }
}

/// Whether whoever answered presses 1 (callflow.md §6.4): a mailbox does not.
async fn confirms(leg: CallHandle) -> bool {
    let (account, language) = (leg.facts().account.clone(), leg.language());
    let clips = leg.clips();
    let prompt = clips.prompt(&account, "ivr-group_confirm", &language);
    let Ok(prompt) = Box::pin(prompt).await else {
        return false;
    };
    let options = CollectOptions {
        max_digits: 1,
        timeout: CONFIRM,
        terminators: Keys::NONE,
        ..CollectOptions::default()
    };
    Box::pin(leg.collect(vec![prompt], options))
        .await
        .is_ok_and(|collected| collected.digits == "1")
}

/// The failure to tell: 6xx before all, else the lowest class, and among 4xx those the caller can do something about
/// (RFC 3261 §16.7 step 6); that nobody was there counts least.
fn best(failures: &[(u16, Cause)]) -> (u16, Cause) {
    let rank = |(status, cause): &&(u16, Cause)| {
        let class = if *status >= 600 { 0 } else { status / 100 };
        let absent = *cause == Cause::SUBSCRIBER_ABSENT || *cause == Cause::NO_ROUTE_DESTINATION;
        let useful = matches!(status, 401 | 407 | 415 | 420 | 484);
        (absent, class, !useful)
    };
    failures.iter().min_by_key(rank).copied().unwrap_or((
        Cause::NO_ROUTE_DESTINATION.status,
        Cause::NO_ROUTE_DESTINATION,
    ))
}

/// A time, roughly.
fn in_words(time: Duration) -> String {
    match time.as_secs() {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ ..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

/// How long a key sent to whoever answered sounds.
const KEY: Duration = Duration::from_millis(160);
/// How long whoever answers a forwarded call has to press 1.
const CONFIRM: Duration = Duration::from_secs(7);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_failure_is_a_6xx_then_the_lowest_class_then_what_helps_the_caller() {
        let of = |statuses: &[u16]| {
            let all: Vec<_> = statuses
                .iter()
                .map(|s| (*s, Cause::from_status(*s)))
                .collect();
            best(&all).0
        };
        assert_eq!(of(&[486, 603]), 603);
        assert_eq!(of(&[503, 486, 404]), 486);
        assert_eq!(of(&[486, 484]), 484);
        assert_eq!(of(&[503]), 503);
        assert_eq!(of(&[]), 404);
        let absent = (480, Cause::SUBSCRIBER_ABSENT);
        assert_eq!(
            best(&[absent, (503, Cause::NORMAL_TEMPORARY_FAILURE)]).0,
            503
        );
    }
}
