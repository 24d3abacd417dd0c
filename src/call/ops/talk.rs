//! Two legs that talk: who left, who holds, who wants the other transferred. Used by `bridge`, and by itself once a
//! transfer has put together two legs no script looks after.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::audio::Clip;
use crate::base::cause::Cause;
use crate::base::id::OpId;
use crate::base::keys::Keys;
use crate::call::core::Script;
use crate::call::handle::CallHandle;
use crate::call::heard::Heard;
use crate::call::joined::Joined;
use crate::call::transfer::{Pending, Waited};
use crate::jobs::webhooks::LegEvent;
use crate::journal::{Code, Fact};
use crate::media::{Command, Source};
use crate::sip::ua::{DialogState, Refer};

/// Keys a talk keeps for its script.
const MAX_DIGITS: usize = 1000;

/// How a conversation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::call) enum TalkEnd {
    /// One of the two hung up.
    Left(Cause),
    /// One of the two now talks with somebody else, or is on its way there.
    Moved,
}

/// Two legs that talk.
pub(in crate::call) struct Talk {
    a: CallHandle,
    b: CallHandle,
    music: Option<Arc<Clip>>,
    link: Option<Link>,
    /// Keys of the first that end the talk.
    pub(in crate::call) hangup_on: Keys,
    /// Who had taken the two over when they began to talk.
    usurpers: [Option<u64>; 2],
    _heard: Heard,
}

/// What binds them while they do.
struct Link {
    a: CallHandle,
    b: CallHandle,
    /// What each hears in place of the other.
    waiting: [Option<(OpId, Heard)>; 2],
    _joined: Joined,
}

enum Happening {
    Left(Cause),
    Moved,
    Refer { by_a: bool, refer: Box<Refer> },
}

impl Talk {
    /// Connects two answered legs.
    pub(in crate::call) fn begin(a: &CallHandle, b: &CallHandle, music: Option<Arc<Clip>>) -> Self {
        a.note(|call_id, at| Fact::Bridged {
            call_id,
            at,
            other: b.own_facts().call_id.clone(),
        });
        a.state_mut().other = Some(b.as_other(a));
        b.state_mut().other = Some(a.as_other(a));
        // Legs put together by a transfer bring the music of the bridges they come from.
        let of = |leg: &CallHandle| leg.state().hold_music.clone();
        let music = music.or_else(|| of(a)).or_else(|| of(b));
        for leg in [a, b] {
            leg.state_mut().hold_music.clone_from(&music);
        }
        a.tell(LegEvent::Bridge);
        Self {
            a: a.clone(),
            b: b.clone(),
            music,
            link: None,
            hangup_on: Keys::NONE,
            usurpers: [a, b].map(|leg| leg.state().usurper),
            _heard: Heard::begin(a, "bridge", parties(a, b)),
        }
    }

    /// Until they part.
    pub(in crate::call) async fn converse(mut self) -> TalkEnd {
        loop {
            if self.link.is_none() {
                self.link = Some(Link::new(&self.a, &self.b));
            }
            let (by_a, refer) = match poll_fn(|context| self.poll(context)).await {
                Happening::Left(cause) => return TalkEnd::Left(cause),
                Happening::Moved => return TalkEnd::Moved,
                Happening::Refer { by_a, refer } => (by_a, refer),
            };
            let (from, other) = if by_a {
                (&self.a, &self.b)
            } else {
                (&self.b, &self.a)
            };
            let (from, other) = (from.clone(), other.clone());
            let begun = match attended(&from, &other, refer) {
                Attended::Done => return TalkEnd::Moved,
                Attended::Stays => continue,
                Attended::Into(second, place, refer) => {
                    Ok((other.transfer_into(&from, &second, &place, &refer), refer))
                }
                Attended::No(refer) => match other.blind_transfer(&from, &refer) {
                    Ok(pending) => Ok((pending, refer)),
                    Err(status) => Err((status, refer)),
                },
            };
            let (pending, refer) = match begun {
                Ok(begun) => begun,
                Err((status, refer)) => {
                    transfer_failed(&from, &refer, status);
                    from.refer_progress(&refer, status);
                    continue;
                }
            };
            self.link = None;
            if moved(&from, &other, &refer, &pending).await {
                return TalkEnd::Moved;
            }
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Happening> {
        let (a, b) = (&self.a, &self.b);
        let elsewhere = |leg: &CallHandle, other: &CallHandle| {
            leg.ended().is_none() && leg.peer().is_some_and(|peer| !peer.is(other))
        };
        let usurped = [a, b].map(|leg| leg.state().usurper) != self.usurpers;
        if usurped || elsewhere(a, b) || elsewhere(b, a) {
            return Poll::Ready(Happening::Moved);
        }
        if let Some(ended) = a.ended().or_else(|| b.ended()) {
            return Poll::Ready(Happening::Left(ended.cause));
        }
        for (by_a, leg) in [(true, a), (false, b)] {
            let mut state = leg.state_mut();
            if let Some(refer) = state.refer.take() {
                return Poll::Ready(Happening::Refer { by_a, refer });
            }
            // Digits are events of the record; only a script that asks for them learns of the first leg's.
            let keys: String = state.keys.drain(..).collect();
            if by_a {
                if let Some(talked) = &mut state.talked
                    && talked.digits.len() < MAX_DIGITS
                {
                    talked.digits.push_str(&keys);
                }
                if keys.chars().any(|key| self.hangup_on.contains(key)) {
                    return Poll::Ready(Happening::Left(Cause::NORMAL_CLEARING));
                }
            }
            state.wait_after_end(context.waker());
        }
        if let Some(link) = &mut self.link {
            link.hold(self.music.as_ref());
        }
        Poll::Pending
    }
}

/// Who talks with whom, and by which codec.
fn parties(a: &CallHandle, b: &CallHandle) -> String {
    let name = |leg: &CallHandle| {
        let facts = leg.own_facts();
        let names = match leg.is_outbound() {
            true => [&facts.callee_id_name, &facts.request_user],
            false => [&facts.caller_id_name, &facts.caller_id_number],
        };
        let named = names.into_iter().find(|name| !name.is_empty());
        named.map_or("Unknown", String::as_str).to_owned()
    };
    let codec = a
        .state()
        .media
        .agreed
        .as_ref()
        .map(|agreed| agreed.codec.name());
    let codec = codec.map(|codec| format!(" · {codec}")).unwrap_or_default();
    format!("{} ⇄ {}{codec}", name(a), name(b))
}

/// What a REFER asked for beyond a blind transfer.
enum Attended {
    /// The two others are together.
    Done,
    /// It cannot be, or not at once; the transferor has been told or will be, and the talk goes on until then.
    Stays,
    /// The other party takes the place of this leg, which talks with nobody.
    Into(CallHandle, Script, Box<Refer>),
    /// Nothing: send the other party there.
    No(Box<Refer>),
}

/// Carries out an attended transfer, when this is one. Where the other call of the transferor is in a flow or a room, the
/// one who is transferred goes on there. While it still rings, its number is called by that one: a blind transfer to the
/// same number.
fn attended(from: &CallHandle, other: &CallHandle, mut refer: Box<Refer>) -> Attended {
    let Some(replaces) = refer.replaces.take() else {
        return Attended::No(refer);
    };
    let consulted = other.consulted(from, &replaces);
    let done = consulted.and_then(|(second, state)| match state {
        DialogState::Confirmed => match second.place() {
            Some(place) => Ok(Then::Into(second, place)),
            // Some script is there that does not say where it is: the other party goes through it from its beginning.
            None if second.peer().is_none() && !second.is_outbound() => Ok(Then::Again(second)),
            None => {
                other.attended_transfer(from, &second, &refer)?;
                Ok(Then::Together)
            }
        },
        DialogState::Ringing => Ok(Then::Again(second)),
        // It rings at the transferor: the other party picks it up there.
        DialogState::Calling => {
            other.pick_up_from(from, &second, &refer)?;
            Ok(Then::Picking)
        }
    });
    match done {
        Ok(Then::Together) => Attended::Done,
        Ok(Then::Picking) => Attended::Stays,
        Ok(Then::Into(second, place)) => Attended::Into(second, place, refer),
        Ok(Then::Again(second)) => {
            let number = second.own_facts().request_user.clone();
            second.end(Cause::ATTENDED_TRANSFER);
            refer.target.user = Some(number.into());
            Attended::No(refer)
        }
        Err(status) => {
            transfer_failed(from, &refer, status);
            from.refer_progress(&refer, status);
            Attended::Stays
        }
    }
}

/// What an attended transfer comes to.
enum Then {
    /// The two others are together already.
    Together,
    /// They will be once the caller has been answered.
    Picking,
    /// One goes on where the other call is.
    Into(CallHandle, Script),
    /// The number of the other call is called again.
    Again(CallHandle),
}

/// A blind transfer that is waited for. When nobody waits any more, the call stays where it was.
struct Open<'a>(&'a Rc<Pending>, CallHandle);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.forget();
        self.1.transfers(false);
    }
}

/// Tells the journal that a transfer came to nothing.
fn transfer_failed(from: &CallHandle, refer: &Refer, status: u16) {
    let number = refer.target.user_text().map(|user| user.into_owned());
    let mut values = vec![
        ("number", number.unwrap_or_default()),
        ("status", status.to_string()),
    ];
    if status == 404 {
        let why = "No callflow of the account has this number";
        values.push(("detail", why.to_owned()));
    }
    from.trouble(Code::TransferFailed, values);
}

/// Waits for what becomes of a blind transfer; whether the transferee is gone from here.
async fn moved(
    from: &CallHandle,
    other: &CallHandle,
    refer: &Refer,
    pending: &Rc<Pending>,
) -> bool {
    let open = Open(pending, from.clone());
    from.transfers(true);
    match open.0.outcome(from, other).await {
        Waited::Reached => {
            from.refer_progress(refer, 200);
            other.take_tapes_over(from);
            from.end(Cause::BLIND_TRANSFER);
            true
        }
        Waited::Failed(status) => {
            transfer_failed(from, refer, status);
            from.refer_progress(refer, status);
            false
        }
        Waited::TransferorLeft => {
            pending.keep();
            other.take_tapes_over(from);
            true
        }
        Waited::TransfereeLeft => {
            from.refer_progress(refer, 487);
            false
        }
    }
}

impl Link {
    fn new(a: &CallHandle, b: &CallHandle) -> Self {
        a.state_mut().peer = Some(b.clone());
        b.state_mut().peer = Some(a.clone());
        a.begin_tapes();
        b.begin_tapes();
        a.unmute();
        b.unmute();
        Self {
            a: a.clone(),
            b: b.clone(),
            waiting: [None, None],
            _joined: Joined::new(a, b),
        }
    }

    /// Who is held by the other hears music, or nothing.
    fn hold(&mut self, music: Option<&Arc<Clip>>) {
        let [a, b] = &mut self.waiting;
        for (leg, other, waiting) in [(&self.a, &self.b, a), (&self.b, &self.a, b)] {
            let held = other.holds();
            match waiting {
                None if held => {
                    let op = leg.next_op();
                    let music = music.cloned();
                    let music = music.or_else(|| leg.services().clips.house_music());
                    let words = match music {
                        Some(_) => "on hold",
                        None => "on hold, without music",
                    };
                    let source =
                        music.map_or(Source::Silence(None), |clip| Source::Tone(clip, true));
                    if leg.command(Command::Play { op, source }).is_ok() {
                        *waiting = Some((op, Heard::begin(leg, "music", words)));
                    }
                }
                Some((op, _)) if !held => {
                    leg.cancel(*op);
                    *waiting = None;
                }
                None | Some(_) => {}
            }
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let [a, b] = std::mem::take(&mut self.waiting);
        for (leg, other, waiting) in [(&self.a, &self.b, a), (&self.b, &self.a, b)] {
            if let Some((op, _heard)) = waiting {
                leg.cancel(op);
            }
            let mut state = leg.state_mut();
            if state.peer.as_ref().is_some_and(|peer| peer.is(other)) {
                state.peer = None;
            }
        }
    }
}
