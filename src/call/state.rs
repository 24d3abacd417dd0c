//! The state of a call that its script and its events share. Signalling thread only; never borrowed across an await.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::error::{CallError, Ended};
use super::handle::CallHandle;
use super::ops::bridge::Talked;
use super::ops::stream::Running;
use super::ops::tape::Tapes;
use super::place::Place;
use super::presses::Presses;
use super::queue::Handover;
use crate::audio::Clip;
use crate::base::id::OpId;
use crate::base::time::UnixMicros;
use crate::media::{Finish, Port, PortStats, RecordEnd};
use crate::sdp::negotiate::Agreed;
use crate::sdp::{Crypto, Session, Webrtc};
use crate::sip::msg::Uri;
use crate::sip::ua::Refer;

/// How far the call has come.
#[derive(Debug)]
pub(super) enum Phase {
    /// No answer yet; `early` once a provisional response carried our session description.
    Ringing {
        /// Whether media flows already.
        early: bool,
    },
    /// 200 sent at this time.
    Answered {
        /// When.
        at: UnixMicros,
    },
    /// Over. Nothing of the live call is left.
    Ended(Ended),
}

/// Session description of the leg.
#[derive(Debug, Default)]
pub(super) struct MediaState {
    /// The peer's last description; `None` of a caller whose delayed offer has not been answered.
    pub(super) offer: Option<Session>,
    /// What we last sent.
    pub(super) local: Option<Session>,
    /// What both agreed on, once an exchange is complete.
    pub(super) agreed: Option<Agreed>,
    /// An offer of ours waits for its answer.
    pub(super) pending_offer: Option<Session>,
    /// The leg's port; returned the moment the call ends.
    pub(super) port: Option<Port>,
    /// Where its peer sends to.
    pub(super) address: Option<SocketAddr>,
    /// Our SRTP keys, when media is secret.
    pub(super) crypto: Option<Crypto>,
    /// Our side of a leg to a browser.
    pub(super) webrtc: Option<Webrtc>,
    /// Session id and version of our descriptions.
    pub(super) session_id: u64,
    pub(super) version: u64,
}

/// Everything of a call that changes.
#[derive(Debug)]
pub(super) struct State {
    /// Names of sounds that are about to be played, for the trace.
    pub(super) sound_names: Vec<String>,
    pub(super) phase: Phase,
    pub(super) media: MediaState,
    /// Keys pressed and not yet taken by an operation, oldest first.
    pub(super) keys: VecDeque<char>,
    /// Which presses count.
    pub(super) presses: Presses,
    /// Operations of the media engine that have ended and were not yet looked at.
    pub(super) finished: Vec<(OpId, Finish)>,
    /// Recordings that have ended and were not yet looked at.
    pub(super) recorded: Vec<(OpId, Duration, RecordEnd)>,
    /// Recordings that have begun and not ended.
    pub(super) recording: Vec<OpId>,
    /// Recordings that are kept.
    pub(super) tapes: Tapes,
    /// Streams to servers beside the script.
    pub(super) streams: Vec<Running>,
    /// Statistics of the port, once it has closed.
    pub(super) stats: Option<PortStats>,
    /// When the first ringing was sent.
    pub(super) rang_at: Option<UnixMicros>,
    /// Where a leg we placed sends the call (3xx).
    pub(super) redirected_to: Vec<Uri>,
    /// The last provisional status of a leg we placed.
    pub(super) progress: Option<u16>,
    /// The early dialog whose description the port follows.
    pub(super) early_tag: Option<Box<str>>,
    /// Whom the leg talks with.
    pub(super) peer: Option<CallHandle>,
    /// What it hears while it is held, of the bridge it was part of last.
    pub(super) hold_music: Option<Arc<Clip>>,
    /// What the record says of the leg at the other side.
    pub(super) other: Option<OtherLeg>,
    /// A transfer the peer asked for and nobody has looked at yet.
    pub(super) refer: Option<Box<Refer>>,
    /// Who takes this caller out of a queue.
    pub(super) handover: Option<Rc<Handover>>,
    /// What the peer said to our REFER: each status, and whether it was the last.
    pub(super) referrals: VecDeque<(u16, bool)>,
    /// Who takes this ringing leg's place.
    pub(super) picked_by: Option<CallHandle>,
    /// What whoever takes the leg's place goes on with.
    pub(super) place: Place,
    /// The script that has taken the leg over from whatever ran before.
    pub(super) usurper: Option<u64>,
    /// Why the last bridge of this call reached nobody.
    pub(super) failed: Option<u16>,
    /// The talk of the last bridge of this call.
    pub(super) talked: Option<Talked>,
    /// Our tag.
    pub(super) own_tag: String,
    /// The peer's tag of a leg we placed; empty before there is a dialog.
    pub(super) to_tag: String,
    /// User-Agent or Server of a peer we called.
    pub(super) user_agent: Option<String>,
    /// `X-` headers of the 2xx to our INVITE.
    pub(super) answer_headers: Vec<(Box<str>, Box<str>)>,
    wakers: Vec<Waker>,
}

/// The leg at the other side, as a record names it.
#[derive(Debug, Clone, Default)]
pub(super) struct OtherLeg {
    pub(super) call_id: String,
    pub(super) direction: &'static str,
    pub(super) caller_id_name: String,
    pub(super) caller_id_number: String,
    pub(super) destination: String,
    /// Names the bridge in both records: the Call-ID of the leg that was there first.
    pub(super) bridge_id: String,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            sound_names: Vec::new(),
            phase: Phase::Ringing { early: false },
            media: MediaState::default(),
            keys: VecDeque::new(),
            presses: Presses::default(),
            finished: Vec::new(),
            recorded: Vec::new(),
            recording: Vec::new(),
            tapes: Tapes::default(),
            streams: Vec::new(),
            stats: None,
            rang_at: None,
            redirected_to: Vec::new(),
            progress: None,
            early_tag: None,
            peer: None,
            hold_music: None,
            other: None,
            refer: None,
            handover: None,
            referrals: VecDeque::new(),
            picked_by: None,
            place: Place::default(),
            usurper: None,
            failed: None,
            talked: None,
            own_tag: String::new(),
            to_tag: String::new(),
            user_agent: None,
            answer_headers: Vec::new(),
            wakers: Vec::new(),
        }
    }

    pub(super) fn ended(&self) -> Option<Ended> {
        match &self.phase {
            Phase::Ended(ended) => Some(*ended),
            Phase::Ringing { .. } | Phase::Answered { .. } => None,
        }
    }

    /// Notes a key press; the oldest is forgotten when nobody takes them.
    pub(super) fn press(&mut self, key: char) {
        if self.keys.len() == KEYS_KEPT {
            self.keys.pop_front();
        }
        self.keys.push_back(key);
        self.wake();
    }

    /// Polls `look` until it yields; an ended call yields its end instead, after what had already happened.
    pub(super) fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        look: &mut impl FnMut(&mut State) -> Option<T>,
    ) -> Poll<Result<T, CallError>> {
        if let Some(value) = look(self) {
            return Poll::Ready(Ok(value));
        }
        if let Some(ended) = self.ended() {
            return Poll::Ready(Err(CallError::Ended(ended)));
        }
        self.wait_after_end(context.waker());
        Poll::Pending
    }

    /// Registers a waker without looking at whether the call has ended.
    pub(super) fn wait_after_end(&mut self, waker: &Waker) {
        if !self.wakers.iter().any(|known| known.will_wake(waker)) {
            self.wakers.push(waker.clone());
        }
    }

    /// Lets every waiting operation look again.
    pub(super) fn wake(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
    }
}

/// Keys kept for an operation that has not begun yet.
const KEYS_KEPT: usize = 64;
