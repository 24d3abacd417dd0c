//! One port: everything a worker keeps for one leg's media. Pure.
//!
//! - here: the port's slot (hear, speak, watch), instructions, notes for the signalling thread.
//! - `play`: the queue of sources. `keys`: keys being sent. `hear`: what arrives. `reports`: RTCP.
//! - `rtc`: ICE and DTLS of a WebRTC leg.
//! - `joined`: what passes between two ports. `seated`: a port in a room.
//! - `session`: what was agreed with the peer, and where it is.

mod hear;
mod joined;
mod keys;
mod play;
mod reports;
mod rtc;
mod seated;
mod session;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

pub(super) use joined::Passing;
pub(super) use play::{Audio, Ready};

use self::hear::{Hearing, NARROW_HZ};
use self::joined::Joined;
use self::keys::{KeySlot, Keys};
use self::play::{Queue, Sink};
use self::reports::Reports;
use self::session::Session;
use super::command::{Plan, Sides};
use super::event::{Finish, MediaEvent, Passed, PortStats, RecordEnd, Sample, Via};
use super::io::{Channel, PacketIo, PortKey};
use super::link::Message;
use super::listen;
use super::mixer::{self, Rooms};
use super::record::{BothSides, Tap};
use super::wheel::Place;
use crate::audio::Rate;
use crate::base::id::{OpId, PortId};
use crate::base::rng::Rng;
use crate::base::time::UnixMicros;
use crate::rtp::dtls::Identity;
use crate::rtp::jitter::JitterConfig;
use crate::rtp::{Header, Playout, RtpSender};

/// The state of one port.
#[derive(Debug)]
pub(super) struct PortState {
    id: PortId,
    /// Where it stands on the wheel.
    pub(super) place: Place,
    /// Whether it is on the worker's list of ports with notes.
    pub(super) listed: bool,
    sender: RtpSender,
    session: Option<Session>,
    queue: Queue,
    keys: Keys,
    hearing: Hearing,
    joined: Joined,
    /// Its recordings; they do not know of each other.
    taps: SmallVec<[Tap; 1]>,
    /// Who listens.
    listeners: Vec<listen::Tap>,
    /// Its seat in a room.
    seated: Option<mixer::Place>,
    /// What we send, as the peer hears it: for recordings of both sides, and for listeners.
    own: Option<Box<Ear>>,
    reports: Reports,
    muted: bool,
    keepalive: Option<Duration>,
    last_sent: Option<Instant>,
    notes: VecDeque<Note>,
    stats: PortStats,
    /// Headers of what passes, from the first plan on.
    passed: Option<Box<Passed>>,
    /// The last sample, and what had been expected and lost by then.
    sample: Sample,
    sampled: (u64, u64),
}

/// What a port has to say, until the ring has room for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Note {
    Finished(OpId, Finish),
    Digit(char, Via),
    Talking(bool),
    Silent,
    Insecure,
    Sampled,
}

/// Buffers every port of a worker uses in turn.
#[derive(Debug)]
pub(super) struct Scratch {
    /// The packet being built.
    packet: Vec<u8>,
    /// The samples being looked at.
    pcm: Vec<i16>,
    /// Samples on their way from one rate to another.
    raw: Vec<i16>,
    pub(super) wide: Vec<i16>,
    /// The other side of a recording.
    other: Vec<i16>,
    /// Both sides of a recording.
    both: Vec<i16>,
    /// What one port heard for the port it is joined with.
    pub(super) far: Vec<i16>,
    /// An RTCP packet being built.
    rtcp: [u8; MOST_RTCP],
}

impl Scratch {
    pub(super) fn new() -> Self {
        Self {
            packet: Vec::with_capacity(Header::LEN + 8 * 1024),
            pcm: Vec::with_capacity(8 * 1024),
            raw: Vec::with_capacity(8 * 1024),
            wide: Vec::with_capacity(8 * 1024),
            other: Vec::with_capacity(8 * 1024),
            both: Vec::with_capacity(8 * 1024),
            far: Vec::with_capacity(8 * 1024),
            rtcp: [0; MOST_RTCP],
        }
    }
}

/// The wall clock, as far as RTCP needs one.
#[derive(Debug, Clone, Copy)]
pub(super) struct WallClock {
    pub(super) begin: Instant,
    pub(super) unix: UnixMicros,
}

impl WallClock {
    /// NTP time: seconds since 1900 above, fraction below.
    fn ntp(&self, now: Instant) -> u64 {
        let micros = self.unix.plus(now.saturating_duration_since(self.begin)).0;
        let seconds = (micros / 1_000_000).wrapping_add(SECONDS_1900_TO_1970);
        let fraction = ((micros % 1_000_000) << 32) / 1_000_000;
        (seconds << 32) | fraction
    }
}

/// What a port needs of its worker for a moment.
pub(super) struct Context<'a, I> {
    pub(super) now: Instant,
    pub(super) io: &'a mut I,
    pub(super) key: PortKey,
    pub(super) scratch: &'a mut Scratch,
    pub(super) rooms: &'a mut Rooms,
    pub(super) rng: &'a mut Rng,
    pub(super) clock: WallClock,
}

impl PortState {
    pub(super) fn new(id: PortId, keepalive: Option<Duration>, rng: &mut Rng) -> Self {
        Self {
            id,
            place: Place::default(),
            listed: false,
            sender: RtpSender::new(rng),
            session: None,
            queue: Queue::default(),
            keys: Keys::default(),
            hearing: Hearing::default(),
            joined: Joined::default(),
            taps: SmallVec::new(),
            listeners: Vec::new(),
            seated: None,
            own: None,
            reports: Reports::default(),
            muted: false,
            keepalive,
            last_sent: None,
            notes: VecDeque::new(),
            stats: PortStats::default(),
            passed: None,
            sample: Sample::default(),
            sampled: (0, 0),
        }
    }

    pub(super) fn id(&self) -> PortId {
        self.id
    }

    /// The length of its packets in ms: the time from slot to slot.
    pub(super) fn period_ms(&self) -> u8 {
        self.session
            .as_ref()
            .map_or(DEFAULT_PTIME_MS, |s| s.ptime_ms)
    }

    /// Obeys an instruction. May allocate: this is not the tick.
    pub(super) fn obey<I: PacketIo>(&mut self, message: Message, cx: &mut Context<'_, I>) {
        match message {
            Message::Configure(_, plan, identity) => self.configure(*plan, identity, cx),
            Message::Play(_, op, audio) => {
                if self.queue.len() >= QUEUED_SOURCES {
                    self.notes.push_back(Note::Finished(op, Finish::Failed));
                } else {
                    self.queue.push(op, audio);
                }
            }
            Message::Prepared(_, ticket, frames) => self.queue.prepared(ticket, &frames),
            Message::Cancel(_, op) => {
                self.queue.cancel(Some(op), &mut self.notes);
                self.keys.cancel(op, &mut self.notes);
            }
            Message::Flush(_) => self.queue.cancel(None, &mut self.notes),
            Message::SendDigits {
                op,
                digits,
                duration_ms,
                gap_ms,
                ..
            } => {
                let events = match &self.session {
                    Some(session) => session.events_hz(),
                    None => Some(NARROW_HZ),
                };
                if !self
                    .keys
                    .push(Some(op), &digits, duration_ms, gap_ms, events)
                {
                    self.notes.push_back(Note::Finished(op, Finish::Failed));
                }
            }
            Message::Record(_, tap) => {
                if self.taps.len() >= MOST_TAPS {
                    tap.end(RecordEnd::Failed);
                } else {
                    self.taps.push(tap);
                    self.listen_to_own();
                }
            }
            Message::StopRecord(_, op) => self.end_recordings(RecordEnd::Stopped, |t| t.op() == op),
            Message::PauseRecord(_, op, how) => {
                let own = self.taps.iter_mut().find(|t| t.op() == op);
                if let Some(tap) = own {
                    tap.pause(how);
                }
            }
            Message::Listen(_, tap) => {
                if self.listeners.len() < LISTENERS {
                    self.listeners.push(tap);
                }
            }
            Message::Unlisten(_, op) => self.listeners.retain(|l| l.op() != op),
            Message::Mute(_, on) => self.muted = on,
            Message::Inband(_, on) => self.hearing.inband = on,
            Message::Attach(..)
            | Message::Detach(_)
            | Message::Expect(_)
            | Message::Move(..)
            | Message::Join(..)
            | Message::Part(..)
            | Message::Room(..)
            | Message::Seat(..)
            | Message::Leave(..) => {}
        }
        self.prepare_hearing();
        self.adapt_seat(cx);
        if let Some(session) = &self.session {
            self.queue.adapt(session.codec);
        }
        // Whatever ends on the tick finds room for its note.
        self.notes
            .reserve(self.queue.len() + self.keys.len() + KEPT_NOTES);
    }

    /// Makes or drops what hearing needs at present.
    fn prepare_hearing(&mut self) {
        self.listeners.retain(|l| !l.is_closed());
        if self.wants_own() {
            self.listen_to_own();
        } else {
            self.own = None;
        }
        let wanted = self.is_overheard()
            || self.queue.has_echo()
            || self.is_transcoded()
            || self.seated.is_some_and(|place| place.speaks);
        self.hearing.prepare(self.session.as_ref(), wanted);
        let peer_hz = self.hearing.rate_hz().unwrap_or(NARROW_HZ);
        let own_hz = self
            .own
            .as_ref()
            .map_or(NARROW_HZ, |own| own.playout.rate_hz());
        for tap in &mut self.taps {
            tap.tune(peer_hz, own_hz);
        }
    }

    /// It came from another worker: what was said to the old one's sockets is to be said again.
    pub(super) fn moved(&mut self) {
        if let Some(session) = &mut self.session {
            session.unsettle();
        }
    }

    fn configure<I: PacketIo>(
        &mut self,
        plan: Plan,
        identity: Option<Arc<Identity>>,
        cx: &mut Context<'_, I>,
    ) {
        let before = self.session.take();
        let was = before.as_ref().map(Session::signalled);
        if before
            .as_ref()
            .is_some_and(|b| b.accepts != plan.agreed.accepts)
        {
            self.hearing.restart_playout();
        }
        let session = Session::new(cx.now, plan, identity, before);
        if was != Some(session.signalled()) {
            self.hearing.restart();
        }
        if was.is_none() {
            self.reports.start(cx.now, cx.rng);
        }
        self.passed
            .get_or_insert_with(|| Box::new(Passed::new(cx.now)));
        // Released, so that the learning window can see other sources; bound again once nothing is left to learn.
        cx.io.connect(cx.key, Channel::Rtp, None);
        self.hearing.heard_at(cx.now);
        self.joined.foreign = false;
        self.own = None;
        self.session = Some(session);
        self.listen_to_own();
    }

    /// Makes or drops the ear for what we send, as the recordings want. Not on the tick.
    fn listen_to_own(&mut self) {
        if self.wants_own() && self.own.is_none() {
            self.own = self.session.as_ref().map(Ear::new);
        }
    }

    /// Whether a recording or a listener wants what we send.
    fn wants_own(&self) -> bool {
        self.taps.iter().any(|t| t.sides() != Sides::Peer)
            || self.listeners.iter().any(listen::Tap::wants_own)
    }

    /// Whether somebody besides the call hears the peer.
    fn is_overheard(&self) -> bool {
        !self.taps.is_empty() || !self.listeners.is_empty()
    }

    /// One packet period: take what was heard, send what is next, look after time-outs and reports. `late`: the slot
    /// was so long ago that its packet would only be noise; time passes, nothing is sent.
    pub(super) fn slot<I: PacketIo>(&mut self, cx: &mut Context<'_, I>, late: bool) {
        self.hear(cx);
        self.speak(cx, late);
        self.watch(cx);
    }

    /// A packet arrived. What is to go on to the port it is joined with comes back.
    pub(super) fn receive<'a, I: PacketIo>(
        &mut self,
        cx: &mut Context<'_, I>,
        channel: Channel,
        from: SocketAddr,
        bytes: &'a mut [u8],
    ) -> Option<Passing<'a>> {
        let Some(session) = &mut self.session else {
            self.stats.strangers += 1;
            return None;
        };
        if channel == Channel::Rtp
            && let Some(rtc) = session.rtc.as_deref_mut()
        {
            if rtc.keep(from, bytes) {
                return None;
            }
            if rtc.selected() != Some(from) {
                self.stats.strangers += 1;
                return None;
            }
        }
        if session.lacks_keys() {
            self.stats.unauthentic += 1;
            return None;
        }
        let on_the_wire = bytes.len();
        let shared_port =
            channel == Channel::Rtp && session.rtcp_mux && crate::rtp::packet::is_rtcp(bytes);
        let is_rtcp = channel == Channel::Rtcp || shared_port;
        // Before anything else: what is not authentic neither latches nor counts.
        let length = match session.srtp() {
            Some(srtp) if is_rtcp => srtp.unprotect.rtcp(bytes),
            Some(srtp) => srtp.unprotect.rtp(bytes),
            None => Ok(bytes.len()),
        };
        let Some(bytes) = length.ok().and_then(|length| bytes.get(..length)) else {
            self.stats.unauthentic += 1;
            return None;
        };
        if is_rtcp {
            let ssrc = self.sender.ssrc();
            self.reports.receive(
                cx.now,
                cx.clock.ntp(cx.now),
                session,
                &mut self.hearing,
                ssrc,
                from,
                bytes,
                &mut self.stats,
            );
            return None;
        }
        let heard = self
            .hearing
            .packet(cx.now, session, from, bytes, &mut self.stats)?;
        if let (Some(passed), Some(header)) = (&mut self.passed, bytes.first_chunk()) {
            let length = u16::try_from(on_the_wire).unwrap_or(u16::MAX);
            let at = passed.since(cx.now);
            passed.received.note(at, from, *header, length);
        }
        if heard.moved {
            session.latched();
        }
        for key in heard.keys {
            self.digit(key, Via::Event);
            self.tell_key(key);
        }
        self.passing(heard.packet)
    }

    /// Decoded sound for whoever wants it: recording, key detector, echo, the port on the other side.
    fn hear<I>(&mut self, cx: &mut Context<'_, I>) {
        if let Some(key) = self.hearing.timeout(cx.now) {
            self.digit(key, Via::Event);
        }
        let transcoded = self.is_transcoded();
        for _ in 0..self.hearing.periods(self.period_ms()) {
            let Some(sound) = self.hearing.frame(&mut cx.scratch.pcm) else {
                return;
            };
            if transcoded && sound {
                cx.scratch.far.extend_from_slice(&cx.scratch.pcm);
            }
            self.contribute(sound, cx);
            if self.queue.is_echoing() && sound {
                self.queue.echo(&cx.scratch.pcm);
            }
            if !self.is_overheard() && !self.hearing.detects() {
                continue;
            }
            let Scratch { pcm, raw, .. } = &mut *cx.scratch;
            self.hearing.narrow(pcm, raw);
            if let Some(key) = self.hearing.detect(raw) {
                self.digit(key, Via::Inband);
            }
            self.hand_on(cx.scratch);
        }
    }

    /// Hands a frame of what the peer says, and of what it hears, to listeners and recordings.
    fn hand_on(&mut self, scratch: &mut Scratch) {
        if !self.is_overheard() {
            return;
        }
        if let Some(own) = &mut self.own {
            own.frame(&mut scratch.wide, &mut scratch.other);
        } else {
            scratch.other.clear();
        }
        for listener in &mut self.listeners {
            listener.push(&scratch.raw, &scratch.other);
        }
        let Scratch {
            pcm,
            raw,
            wide,
            other,
            both,
            ..
        } = scratch;
        let frame = BothSides {
            peer: pcm,
            own: if self.own.is_some() { wide } else { &[] },
            narrow_peer: raw,
            narrow_own: other,
        };
        self.taps.retain(|tap| tap.push(frame, both));
        if !self.wants_own() {
            self.own = None;
        }
    }

    fn speak<I: PacketIo>(&mut self, cx: &mut Context<'_, I>, late: bool) {
        let Some(session) = &mut self.session else {
            return;
        };
        if late {
            self.sender.pause();
            self.sender.advance(session.ticks);
            return;
        }
        let Scratch {
            packet,
            pcm,
            raw,
            wide,
            ..
        } = &mut *cx.scratch;
        packet.clear();
        packet.resize(Header::LEN, 0);
        let events = session.dtmf_payload_type.is_some();
        let header = match self.keys.slot(
            self.sender.timestamp(),
            session.ptime_ms,
            events,
            &mut self.notes,
            pcm,
        ) {
            KeySlot::Packet {
                marker,
                timestamp,
                payload,
            } => {
                packet.extend_from_slice(&payload);
                // Audio comes back with a marker.
                self.sender.pause();
                self.joined.interrupt();
                let payload_type = session.dtmf_payload_type.unwrap_or_default();
                session.sends.then(|| {
                    self.sender
                        .header(marker, payload_type, timestamp, payload.len())
                })
            }
            KeySlot::Pause => None,
            KeySlot::Tone => {
                self.joined.interrupt();
                wide.clear();
                session.widen(pcm, wide);
                session.encode(wide, packet);
                let octets = packet.len() - Header::LEN;
                session
                    .sends
                    .then(|| self.sender.audio(session.payload_type, octets))
            }
            KeySlot::Idle => {
                let playing = self.queue.len() > 0;
                pcm.clear();
                let sink = Sink {
                    session: &mut *session,
                    begin: packet.len(),
                    packet: &mut *packet,
                    pcm: &mut *pcm,
                    raw,
                    wide,
                };
                let mut any = self.queue.fill(sink, &mut self.notes);
                if let Some(place) = self.seated.filter(|_| !any && !playing) {
                    any = cx.rooms.fetch(
                        place,
                        |pcm, packet| session.encode(pcm, packet),
                        mixer::Buffers { packet, pcm, wide },
                    );
                } else if !any && !playing && self.joined.take(cx.now, session.samples(), pcm) {
                    session.encode(pcm, packet);
                    any = true;
                } else if any {
                    self.joined.interrupt();
                }
                let quiet = |last: Instant, every| cx.now.saturating_duration_since(last) >= every;
                let keepalive = self
                    .keepalive
                    .is_some_and(|every| self.last_sent.is_some_and(|last| quiet(last, every)));
                if (any && self.muted) || (!any && keepalive) {
                    self.joined.interrupt();
                    packet.truncate(Header::LEN);
                    pcm.clear();
                    pcm.resize(session.samples(), 0);
                    session.encode(pcm, packet);
                    any = true;
                }
                let octets = packet.len() - Header::LEN;
                (any && session.sends && octets > 0)
                    .then(|| self.sender.audio(session.payload_type, octets))
            }
        };
        let ticks = session.ticks;
        match (header, session.remote()) {
            (Some(header), Some(to)) => self.transmit(header, to, cx),
            (Some(_), None) | (None, _) => self.sender.pause(),
        }
        self.sender.advance(ticks);
    }

    /// Sends the packet in the scratch buffer, under `header`.
    fn transmit<I: PacketIo>(&mut self, header: Header, to: SocketAddr, cx: &mut Context<'_, I>) {
        let now = cx.now;
        if self.session.as_ref().is_none_or(|s| !s.may_send(now)) {
            self.sender.pause();
            return;
        }
        let packet = &mut cx.scratch.packet;
        let Some((head, payload)) = packet.split_first_chunk_mut::<{ Header::LEN }>() else {
            return;
        };
        *head = header.bytes();
        if let Some(own) = &mut self.own {
            own.playout.push(cx.now, &header.with(payload));
        }
        self.stats.packets_sent += 1;
        self.stats.bytes_sent += payload.len() as u64;
        let srtp = self.session.as_mut().and_then(Session::srtp);
        if srtp.is_some_and(|srtp| srtp.protect.rtp(packet).is_err()) {
            return;
        }
        if let Some(passed) = &mut self.passed {
            let length = u16::try_from(packet.len()).unwrap_or(u16::MAX);
            let at = passed.since(now);
            passed.sent.note(at, to, header.bytes(), length);
        }
        let sent = cx.io.send(cx.key, Channel::Rtp, to, packet);
        self.last_sent = Some(cx.now);
        self.stats.send_errors += u64::from(!sent);
    }

    fn watch<I: PacketIo>(&mut self, cx: &mut Context<'_, I>) {
        let Some(session) = &mut self.session else {
            return;
        };
        // From its first moment a port counts as having sent, so that the keepalive has something to count from.
        self.last_sent.get_or_insert(cx.now);
        if let Some(peer) = session.settled(cx.now) {
            // Nothing more is learned: the kernel may drop strangers for us, and a connected send is cheaper.
            cx.io.connect(cx.key, Channel::Rtp, Some(peer));
        }
        if self.hearing.silent_too_long(cx.now, session.timeout)
            && self.notes.len() < self.notes.capacity()
        {
            self.notes.push_back(Note::Silent);
        }
        if self.reports.is_due(cx.now, cx.rng) {
            self.report(cx, false);
            self.take_sample();
        }
    }

    /// How media arrived since the last time, told while there is room.
    fn take_sample(&mut self) {
        let mut stats = self.stats;
        self.reports.fill_in(&mut stats);
        let session = self.session.as_ref();
        self.sample = self.hearing.sample(&stats, session, &mut self.sampled);
        if self.stats.packets_received > 0
            && self.notes.capacity() - self.notes.len() > self.queue.len() + self.keys.len() + 1
        {
            self.notes.push_back(Note::Sampled);
        }
    }

    fn report<I: PacketIo>(&mut self, cx: &mut Context<'_, I>, bye: bool) {
        let now = cx.now;
        let Some(session) = self.session.as_mut().filter(|s| s.may_send(now)) else {
            return;
        };
        let ntp = cx.clock.ntp(cx.now);
        let rtcp = &mut cx.scratch.rtcp;
        let Some(len) = self.reports.write(
            cx.now,
            ntp,
            &self.sender,
            &mut self.hearing,
            &session.cname,
            bye,
            rtcp,
        ) else {
            return;
        };
        let len = match session.srtp() {
            Some(srtp) => srtp.protect.rtcp(rtcp, len),
            None => Some(len),
        };
        let bytes = len.and_then(|len| rtcp.get(..len));
        if let (Some((channel, to)), Some(bytes)) = (session.rtcp_remote(), bytes) {
            cx.io.send(cx.key, channel, to, bytes);
        }
    }

    fn digit(&mut self, digit: char, via: Via) {
        self.stats.digits = self.stats.digits.saturating_add(1);
        // What must end keeps its room; a flood of keys that nobody reads does not.
        if self.notes.capacity() - self.notes.len() > self.queue.len() + self.keys.len() + 1 {
            self.notes.push_back(Note::Digit(digit, via));
        }
        self.end_recordings(RecordEnd::Key(digit), |t| t.finish_on().contains(digit));
    }

    /// Ends the recordings that `which` names.
    fn end_recordings(&mut self, why: RecordEnd, which: impl Fn(&Tap) -> bool) {
        let mut at = 0;
        while let Some(tap) = self.taps.get(at) {
            if which(tap) {
                self.taps.swap_remove(at).end(why);
            } else {
                at += 1;
            }
        }
        if !self.wants_own() {
            self.own = None;
        }
    }

    /// Says goodbye and ends everything. What it still has to say follows by [`next_event`](Self::next_event).
    pub(super) fn close<I: PacketIo>(&mut self, cx: &mut Context<'_, I>) -> PortStats {
        if self.sender.packets() > 0 {
            self.report(cx, true);
        }
        self.queue.cancel(None, &mut self.notes);
        self.keys.cancel_all(&mut self.notes);
        self.end_recordings(RecordEnd::Closed, |_| true);
        let mut stats = self.stats;
        stats.underruns = self.queue.underruns();
        self.hearing.fill_in(&mut stats, self.session.as_ref());
        self.reports.fill_in(&mut stats);
        stats
    }

    /// Whether something came up that has to wait for the end of the tick.
    pub(super) fn needs_mending(&self, now: Instant) -> bool {
        let rtc = self.session.as_ref().and_then(|s| s.rtc.as_deref());
        self.is_mismatched() || rtc.is_some_and(|rtc| rtc.is_due(now))
    }

    /// Headers of what has passed, once the port is closed.
    pub(super) fn take_passed(&mut self) -> Option<Box<Passed>> {
        let mut passed = self.passed.take()?;
        passed.received.fit();
        passed.sent.fit();
        (!passed.received.is_empty() || !passed.sent.is_empty()).then_some(passed)
    }

    /// Whether it has something to say.
    pub(super) fn has_notes(&self) -> bool {
        !self.notes.is_empty()
    }

    /// The oldest thing it has to say; it stays until [`forget_note`](Self::forget_note).
    pub(super) fn next_event(&self) -> Option<MediaEvent> {
        let port = self.id;
        self.notes.front().map(|note| match *note {
            Note::Finished(op, why) => MediaEvent::Finished { port, op, why },
            Note::Digit(digit, via) => MediaEvent::Digit {
                port,
                digit,
                via,
                duration_ms: 0,
            },
            Note::Talking(on) => MediaEvent::Talking { port, on },
            Note::Silent => MediaEvent::Silent { port },
            Note::Insecure => MediaEvent::Insecure { port },
            Note::Sampled => MediaEvent::Sampled {
                port,
                sample: self.sample,
            },
        })
    }

    pub(super) fn forget_note(&mut self) {
        self.notes.pop_front();
    }
}

/// An ear for what we send.
#[derive(Debug)]
struct Ear {
    playout: Playout,
    narrowing: Rate,
}

impl Ear {
    fn new(session: &Session) -> Box<Self> {
        let sent = [(session.payload_type, session.codec)];
        let playout = Playout::new(&sent, JitterConfig::default());
        let narrowing = Rate::new(playout.rate_hz(), NARROW_HZ);
        Box::new(Self { playout, narrowing })
    }

    /// The next 20 ms at the rate of recordings.
    fn frame(&mut self, own_rate: &mut Vec<i16>, out: &mut Vec<i16>) {
        self.playout.frame(own_rate);
        out.clear();
        self.narrowing.push(own_rate, out);
    }
}

/// The longest report, protected.
const MOST_RTCP: usize = crate::rtp::rtcp::Report::MAX_LEN + crate::rtp::srtp::Suite::MOST_GROWTH;
/// The length of packets until something else is agreed.
const DEFAULT_PTIME_MS: u8 = 20;
/// Sources that may wait on one port.
const QUEUED_SOURCES: usize = 64;
/// Recordings of one port at once.
const MOST_TAPS: usize = 4;
/// Who may listen to one port.
const LISTENERS: usize = 8;
/// Keys that may wait on one port for the signalling thread, and a time-out.
const KEPT_NOTES: usize = 33;
/// NTP's epoch.
const SECONDS_1900_TO_1970: u64 = 2_208_988_800;
