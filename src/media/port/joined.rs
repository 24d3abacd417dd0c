//! A port joined with another: what its peer says goes to the other's peer and the other way round.
//!
//! Relayed as it arrives where both agreed on the same codec, packet length and way of sending keys; otherwise decoded
//! by the one port's slots and encoded by the other's. A source queued on a port plays instead of the other's sound.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::hear::NARROW_HZ;
use super::session::Session;
use super::{Context, PortState};
use crate::audio::{Codec, Rate};
use crate::media::io::PacketIo;
use crate::rtp::{Packet, Relay, RtpTime};

/// How the sound of one port reaches the port it is joined with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::media) enum How {
    /// Packet by packet, as they arrive.
    Relay,
    /// Decoded and encoded again.
    Transcode,
}

/// What one port has to know of the other.
#[derive(Debug, Clone, Copy)]
pub(in crate::media) struct Traits {
    ptime_ms: u8,
    /// Its peer takes keys as events.
    takes_events: bool,
    /// The rate of what it hears.
    heard_hz: u32,
}

/// One port's half of a join.
#[derive(Debug, Default)]
pub(super) struct Joined {
    /// The other port's place in the worker's table, and how our sound reaches it.
    pub(super) with: Option<(u32, How)>,
    /// What the other's peer says, packet by packet.
    relay: Relay,
    /// What the other's peer says, decoded, for the next packets.
    far: VecDeque<i16>,
    /// From the rate of the other's sound to ours.
    rate: Option<Rate>,
    /// Enough waits in `far` to go on without a break.
    flowing: bool,
    /// Samples that have to wait beyond those of one packet, and the most that may.
    margin: usize,
    limit: usize,
    /// The other's key that is being passed on.
    key: Option<PassedKey>,
    /// A packet came in a codec the other side did not agree on: it has to be transcoded.
    pub(super) foreign: bool,
    /// Keys our peer pressed that the other's can only hear as tones.
    pub(super) tones: SmallVec<[char; KEPT_TONES]>,
    /// The other's peer takes no events.
    deaf_to_events: bool,
}

/// A telephone-event of the other's peer, on our time line.
#[derive(Debug, Clone, Copy)]
struct PassedKey {
    ssrc: u32,
    /// Theirs.
    begin: RtpTime,
    /// Ours.
    passed: RtpTime,
    /// Event code, and the ticks (theirs) of the last packet.
    code: u8,
    duration: u16,
    /// No sound of the other's until then.
    until: Instant,
}

/// A packet the believed peer sent, for the port on the other side.
#[derive(Debug, Clone, Copy)]
pub(in crate::media) struct Passing<'a> {
    /// The other port's place in the worker's table.
    pub(in crate::media) to: u32,
    packet: Packet<'a>,
    what: What,
    how: How,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Audio(Codec),
    /// With the RTP clock it is counted in.
    Event(u32),
}

impl Joined {
    /// Forgets what was under way: the other side is another one, or arrives another way.
    fn reset(&mut self) {
        self.relay.interrupt();
        self.far.clear();
        self.flowing = false;
        self.key = None;
    }

    /// Something of our own was sent.
    pub(super) fn interrupt(&mut self) {
        self.relay.interrupt();
        self.far.clear();
        self.flowing = false;
    }

    /// Puts the next `samples` of the other's sound into `pcm`. `false`: there is none.
    pub(super) fn take(&mut self, now: Instant, samples: usize, pcm: &mut Vec<i16>) -> bool {
        let enough = if self.flowing {
            samples
        } else {
            samples + self.margin
        };
        self.flowing = self.far.len() >= enough;
        if !self.flowing {
            return false;
        }
        pcm.clear();
        pcm.extend(self.far.drain(..samples));
        // The key speaks for itself (RFC 4733 §2.5.1.1).
        self.key.is_none_or(|key| now >= key.until)
    }
}

impl PortState {
    /// Which port it is joined with.
    pub(in crate::media) fn joined_with(&self) -> Option<u32> {
        self.joined.with.map(|(other, _)| other)
    }

    /// Whether something came up in a tick that has to wait for its end: another way to go, or a key to be sounded.
    pub(in crate::media) fn is_mismatched(&self) -> bool {
        !self.joined.tones.is_empty()
            || (self.joined.foreign && matches!(self.joined.with, Some((_, How::Relay))))
    }

    /// The keys that have to be sounded on the other side.
    pub(in crate::media) fn take_tones(&mut self) -> SmallVec<[char; KEPT_TONES]> {
        std::mem::take(&mut self.joined.tones)
    }

    /// Packets of this port's peer do not fit what was agreed on the other side.
    pub(in crate::media) fn set_foreign(&mut self) {
        self.joined.foreign = true;
    }

    /// A key of our peer, which the other's peer hears as events, as part of the sound, or not at all.
    pub(super) fn tell_key(&mut self, key: char) {
        if self.joined.deaf_to_events && self.joined.tones.len() < KEPT_TONES {
            self.joined.tones.push(key);
        }
    }

    /// What the port it is joined with has to know of it.
    pub(in crate::media) fn traits(&self) -> Traits {
        Traits {
            ptime_ms: self.period_ms(),
            heard_hz: self.rate_hz(),
            takes_events: self
                .session
                .as_ref()
                .is_none_or(|s| s.dtmf_payload_type.is_some()),
        }
    }

    /// How this port's sound can reach `other`. `None` as long as one of them has nothing agreed.
    pub(in crate::media) fn way_to(&self, other: &Self) -> How {
        match (&self.session, &other.session) {
            (Some(ours), Some(theirs)) if !self.joined.foreign && alike(ours, theirs) => How::Relay,
            _ => How::Transcode,
        }
    }

    /// Joins it with the port at `other`, or plans that join anew. Not on the tick.
    pub(in crate::media) fn join<I: PacketIo>(
        &mut self,
        other: u32,
        how: How,
        traits: Traits,
        cx: &mut Context<'_, I>,
    ) {
        if self.joined.with != Some((other, how)) {
            self.joined.reset();
            self.sender.pause();
        }
        self.joined.with = Some((other, how));
        let per_ms = self
            .session
            .as_ref()
            .map_or(0, |s| s.codec.samples_per_ms());
        // Packets of unlike length meet at uneven times.
        let margin_ms = if self.period_ms() == traits.ptime_ms {
            0
        } else {
            FRAME_MS
        };
        self.joined.deaf_to_events = !traits.takes_events;
        self.joined.margin = margin_ms * per_ms;
        self.joined.limit = FAR_MS * per_ms;
        if how == How::Transcode {
            let (theirs, ours) = (traits.heard_hz, self.rate_hz());
            let fits = |rate: &Rate| rate.from_hz() == theirs && rate.to_hz() == ours;
            if !self.joined.rate.as_ref().is_some_and(fits) {
                self.joined.rate = Some(Rate::new(theirs, ours));
            }
            let Joined { far, limit, .. } = &mut self.joined;
            far.reserve(limit.saturating_sub(far.len()));
        }
        cx.io.relay(cx.key, how == How::Relay);
        self.prepare_hearing();
    }

    /// The rate of its codec's sound.
    fn rate_hz(&self) -> u32 {
        self.session
            .as_ref()
            .map_or(NARROW_HZ, |s| s.codec.sample_rate_hz())
    }

    /// Ends the join. Not on the tick.
    pub(in crate::media) fn part<I: PacketIo>(&mut self, cx: &mut Context<'_, I>) {
        self.joined = Joined::default();
        self.sender.pause();
        cx.io.relay(cx.key, false);
        self.prepare_hearing();
    }

    /// Whether its sound is decoded for the port it is joined with.
    pub(super) fn is_transcoded(&self) -> bool {
        matches!(self.joined.with, Some((_, How::Transcode)))
    }

    /// What to do with a packet of the believed peer beyond hearing it.
    pub(super) fn passing<'a>(&self, packet: Packet<'a>) -> Option<Passing<'a>> {
        let (to, how) = self.joined.with?;
        let session = self.session.as_ref()?;
        let what = if session.dtmf_payload_type == Some(packet.payload_type) {
            What::Event(session.dtmf_clock_rate_hz)
        } else {
            let known = |(payload_type, _): &&(u8, Codec)| *payload_type == packet.payload_type;
            let (_, codec) = session.accepts.iter().find(known)?;
            if how == How::Transcode {
                return None; // it goes by way of the jitter buffer
            }
            What::Audio(*codec)
        };
        Some(Passing {
            to,
            packet,
            what,
            how,
        })
    }

    /// A packet of the other's peer, to go on to ours. `false`: it is in a codec that was not agreed on here.
    pub(in crate::media) fn forward<I: PacketIo>(
        &mut self,
        passing: &Passing<'_>,
        cx: &mut Context<'_, I>,
    ) -> bool {
        let Some(session) = &self.session else {
            return true;
        };
        let payload_type = match passing.what {
            What::Audio(codec) => {
                let fits = |(_, known): &&(u8, Codec)| *known == codec;
                match session.accepts.iter().find(fits) {
                    Some((payload_type, _)) => Some(*payload_type),
                    None => return false,
                }
            }
            What::Event(_) => session.dtmf_payload_type,
        };
        let (Some(payload_type), Some(to)) = (payload_type, session.remote()) else {
            return true;
        };
        if !session.sends || self.muted || self.queue.len() > 0 || self.keys.len() > 0 {
            self.joined.relay.interrupt();
            return true;
        }
        let packet = &passing.packet;
        let clock_rate_hz = session.codec.clock_rate_hz();
        let out = &mut cx.scratch.packet;
        out.clear();
        let header = match (passing.what, passing.how) {
            (What::Audio(codec), _) => {
                out.extend_from_slice(&[0; crate::rtp::Header::LEN]);
                out.extend_from_slice(packet.payload);
                let ticks = codec.ticks(packet.payload);
                self.joined.relay.pass(
                    &mut self.sender,
                    clock_rate_hz,
                    packet,
                    payload_type,
                    Some(ticks),
                )
            }
            (What::Event(_), How::Relay) => {
                out.extend_from_slice(&[0; crate::rtp::Header::LEN]);
                out.extend_from_slice(packet.payload);
                self.joined
                    .relay
                    .pass(&mut self.sender, clock_rate_hz, packet, payload_type, None)
            }
            (What::Event(theirs), How::Transcode) => {
                let now = self.sender.timestamp();
                let event = pass_key(
                    &mut self.joined.key,
                    packet,
                    now,
                    theirs,
                    session.dtmf_clock_rate_hz,
                    cx.now,
                );
                event.map(|(marker, timestamp, payload)| {
                    out.extend_from_slice(&[0; crate::rtp::Header::LEN]);
                    out.extend_from_slice(&payload);
                    self.sender.pause();
                    self.sender
                        .header(marker, payload_type, timestamp, payload.len())
                })
            }
        };
        if let Some(header) = header {
            self.transmit(header, to, cx);
        }
        true
    }

    /// Sound of the other's peer, at the rate it was heard. `wide`: for the same at ours.
    pub(in crate::media) fn take_far(&mut self, pcm: &[i16], wide: &mut Vec<i16>) {
        let wanted = self.queue.len() == 0 && self.session.as_ref().is_some_and(|s| s.sends);
        if !wanted {
            self.joined.far.clear();
            self.joined.flowing = false;
            return;
        }
        let Joined {
            far, limit, rate, ..
        } = &mut self.joined;
        let pcm = match rate {
            Some(rate) if !rate.is_same() => {
                wide.clear();
                rate.push(pcm, wide);
                wide.as_slice()
            }
            Some(_) | None => pcm,
        };
        let excess = (far.len() + pcm.len()).saturating_sub(*limit);
        far.drain(..excess.min(far.len()));
        far.extend(pcm.iter().take(*limit));
    }

    /// The other's peer pressed a key that ours can only hear as a tone. Not on the tick.
    pub(in crate::media) fn sound_key(&mut self, key: char) {
        if !self.traits().takes_events {
            self.keys.push(None, &key.to_string(), KEY_MS, KEY_MS, None);
        }
    }
}

/// Whether packets of `theirs` may go to the peer of `ours` as they are.
fn alike(ours: &Session, theirs: &Session) -> bool {
    ours.codec == theirs.codec
        && ours.ptime_ms == theirs.ptime_ms
        && ours.dtmf_payload_type.is_some() == theirs.dtmf_payload_type.is_some()
}

/// An event packet of theirs on our time line and clock: marker, timestamp, payload.
fn pass_key(
    slot: &mut Option<PassedKey>,
    packet: &Packet<'_>,
    present: RtpTime,
    theirs_hz: u32,
    ours_hz: u32,
    now: Instant,
) -> Option<(bool, RtpTime, [u8; 4])> {
    let &[code, flags, high, low] = packet.payload.first_chunk()?;
    let duration = u16::from_be_bytes([high, low]);
    let scale = |ticks: u16| {
        u32::try_from(u64::from(ticks) * u64::from(ours_hz) / u64::from(theirs_hz.max(1)))
            .unwrap_or(u32::MAX)
    };
    let ended = flags & 0x80 != 0;
    let known = slot.filter(|key| key.ssrc == packet.ssrc);
    let (mut key, marker) = match known {
        Some(key) if key.begin == packet.timestamp => (key, false),
        // An older one: a repetition of an end that has passed.
        Some(key) if packet.timestamp.since(key.begin) < 0 => return None,
        // A further segment of a long event (§2.5.1.3).
        Some(key)
            if !packet.marker
                && key.code == code
                && packet.timestamp.since(key.begin) == i32::from(key.duration) =>
        {
            let passed = key.passed.plus(scale(key.duration));
            let begin = packet.timestamp;
            (
                PassedKey {
                    begin,
                    passed,
                    ..key
                },
                false,
            )
        }
        Some(_) | None => {
            let key = PassedKey {
                ssrc: packet.ssrc,
                begin: packet.timestamp,
                passed: present,
                code,
                duration,
                until: now,
            };
            (key, true)
        }
    };
    key.duration = key.duration.max(duration);
    key.until = if ended { now } else { now + KEY_PATIENCE };
    *slot = Some(key);
    let [high, low] = u16::try_from(scale(duration))
        .unwrap_or(u16::MAX)
        .to_be_bytes();
    Some((marker, key.passed, [code, flags, high, low]))
}

/// The most of the other's sound that waits.
const FAR_MS: usize = 120;
/// What the jitter buffer gives at once.
const FRAME_MS: usize = 20;
/// Keys that may wait for the end of a tick.
const KEPT_TONES: usize = 8;
/// A key whose packets stop coming is over after so long.
const KEY_PATIENCE: Duration = Duration::from_millis(150);
/// The length of a key made a tone, and of the pause after it.
const KEY_MS: u32 = 100;
