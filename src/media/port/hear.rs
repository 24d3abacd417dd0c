//! What arrives: whose it is, how well it arrives, keys in it, and its sound for whoever wants it.
//!
//! Sound is decoded only while somebody consumes it: a recording, the detector of in-band keys, an echo.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::session::Session;
use crate::audio::{DtmfDetector, Rate};
use crate::media::event::{PortStats, Sample};
use crate::rtp::event::Key;
use crate::rtp::jitter::{JitterConfig, Pushed};
use crate::rtp::latch::Verdict;
use crate::rtp::playout::Frame;
use crate::rtp::stats::{self, Reception};
use crate::rtp::{EventReceiver, Packet, Playout};

/// One port's ear.
#[derive(Debug)]
pub(super) struct Hearing {
    /// Whether keys may be found in the audio.
    pub(super) inband: bool,
    pub(super) reception: Option<Reception>,
    events: Option<EventReceiver>,
    playout: Option<Box<Playout>>,
    detector: Option<Box<DtmfDetector>>,
    /// From the rate of the sound to that of the detector and of recordings.
    narrowing: Rate,
    /// Milliseconds of sound that are due and not yet taken.
    owed_ms: u32,
    last_heard: Option<Instant>,
    silent: bool,
}

impl Default for Hearing {
    fn default() -> Self {
        Self {
            inband: true,
            reception: None,
            events: None,
            playout: None,
            detector: None,
            narrowing: Rate::new(NARROW_HZ, NARROW_HZ),
            owed_ms: 0,
            last_heard: None,
            silent: false,
        }
    }
}

/// What a packet brought.
#[derive(Debug)]
pub(super) struct Heard<'a> {
    /// The packet itself.
    pub(super) packet: Packet<'a>,
    /// Keys that went down.
    pub(super) keys: SmallVec<[char; 4]>,
    /// Ours go to where it came from from now on.
    pub(super) moved: bool,
}

impl Hearing {
    /// Makes or drops what the present wishes need. Not on the tick.
    pub(super) fn prepare(&mut self, session: Option<&Session>, wanted: bool) {
        let Some(session) = session else { return };
        let clock_rate_hz = session.codec.clock_rate_hz();
        self.reception
            .get_or_insert_with(|| Reception::new(clock_rate_hz))
            .set_clock(clock_rate_hz);
        let events_hz = session.dtmf_clock_rate_hz;
        if self
            .events
            .as_ref()
            .is_none_or(|e| e.clock_rate_hz() != events_hz)
        {
            self.events = Some(EventReceiver::new(events_hz));
        }
        // Events agreed on are the only way keys come: never both (sip.md §11).
        let detect = self.inband && session.dtmf_payload_type.is_none();
        match (detect, self.detector.is_some()) {
            (true, false) => self.detector = Some(Box::default()),
            (false, true) => self.detector = None,
            (true, true) | (false, false) => {}
        }
        match (detect || wanted, self.playout.is_some()) {
            (true, false) => {
                let playout = Playout::new(&session.accepts, JitterConfig::default());
                self.narrowing = Rate::new(playout.rate_hz(), NARROW_HZ);
                self.playout = Some(Box::new(playout));
                self.owed_ms = 0;
            }
            (false, true) => self.playout = None,
            (true, true) | (false, false) => {}
        }
    }

    /// The peer is elsewhere now: its stream begins anew.
    pub(super) fn restart(&mut self) {
        self.events = None;
        self.playout = None;
    }

    /// Other payload types may arrive from now on.
    pub(super) fn restart_playout(&mut self) {
        self.playout = None;
    }

    /// Counts as a sign of life: a new plan starts the time-out afresh.
    pub(super) fn heard_at(&mut self, now: Instant) {
        self.last_heard = Some(now);
        self.silent = false;
    }

    /// Whether nothing came for so long; once.
    pub(super) fn silent_too_long(&mut self, now: Instant, timeout: Option<Duration>) -> bool {
        let over = timeout
            .zip(self.last_heard)
            .is_some_and(|(t, last)| now.saturating_duration_since(last) >= t);
        let news = over && !self.silent;
        self.silent |= over;
        news
    }

    /// A packet on the RTP port. `None`: it is not the peer's, or no RTP.
    pub(super) fn packet<'a>(
        &mut self,
        now: Instant,
        session: &mut Session,
        from: SocketAddr,
        bytes: &'a [u8],
        stats: &mut PortStats,
    ) -> Option<Heard<'a>> {
        let Ok(packet) = Packet::parse(bytes) else {
            stats.malformed += 1;
            return None;
        };
        let mut heard = Heard {
            packet,
            keys: SmallVec::new(),
            moved: false,
        };
        match session.latch.receive(now, from, &packet) {
            Verdict::Accept => {}
            Verdict::Latched(_) => heard.moved = true,
            Verdict::Drop => {
                stats.strangers += 1;
                return None;
            }
        }
        self.heard_at(now);
        stats.packets_received += 1;
        stats.bytes_received += packet.payload.len() as u64;
        if let Some(reception) = &mut self.reception {
            reception.receive(now, &packet);
        }
        if session.dtmf_payload_type == Some(packet.payload_type) {
            if let Some(events) = &mut self.events {
                heard.keys.extend(
                    events
                        .receive(now, &packet)
                        .into_iter()
                        .filter_map(key_down),
                );
            }
        } else if let Some(events) = &mut self.events
            && session
                .accepts
                .iter()
                .any(|(payload_type, _)| *payload_type == packet.payload_type)
        {
            heard.keys.extend(events.audio(&packet).and_then(key_down));
        }
        if let Some(playout) = &mut self.playout {
            match playout.push(now, &packet) {
                Some(Pushed::Duplicate) => stats.duplicates += 1,
                Some(Pushed::Late) => stats.late += 1,
                Some(Pushed::Stored | Pushed::Probation | Pushed::TooLong) | None => {}
            }
        }
        Some(heard)
    }

    /// A key whose end had to be guessed.
    pub(super) fn timeout(&mut self, now: Instant) -> Option<char> {
        let events = self.events.as_mut()?;
        if events.poll_timeout()? > now {
            return None;
        }
        events.handle_timeout(now).and_then(key_down)
    }

    /// How many 20 ms frames are due after `ms` more milliseconds.
    pub(super) fn periods(&mut self, ms: u8) -> u32 {
        if self.playout.is_none() {
            return 0;
        }
        self.owed_ms += u32::from(ms);
        let periods = self.owed_ms / FRAME_MS;
        self.owed_ms %= FRAME_MS;
        periods
    }

    /// The next 20 ms of what the peer says; `true` when there is sound in it.
    pub(super) fn frame(&mut self, pcm: &mut Vec<i16>) -> Option<bool> {
        let frame = self.playout.as_mut()?.frame(pcm);
        Some(match frame {
            Frame::Audio | Frame::Concealed => true,
            Frame::Silent => false,
        })
    }

    /// The rate of its frames, while sound is wanted.
    pub(super) fn rate_hz(&self) -> Option<u32> {
        self.playout.as_ref().map(|playout| playout.rate_hz())
    }

    /// A frame at the rate of the detector and of recordings.
    pub(super) fn narrow(&mut self, pcm: &[i16], out: &mut Vec<i16>) {
        out.clear();
        self.narrowing.push(pcm, out);
    }

    /// Whether keys are looked for in the sound.
    pub(super) fn detects(&self) -> bool {
        self.detector.is_some()
    }

    /// A key found in the sound, at that rate.
    pub(super) fn detect(&mut self, pcm: &[i16]) -> Option<char> {
        self.detector.as_mut()?.push(pcm)
    }

    /// What the stream was like since the sample before; `before` is what had been expected and lost by then.
    pub(super) fn sample(
        &self,
        stats: &PortStats,
        session: Option<&Session>,
        before: &mut (u64, u64),
    ) -> Sample {
        let summary = self
            .reception
            .as_ref()
            .map(Reception::summary)
            .unwrap_or_default();
        // A stream that begins anew counts anew.
        let expected = summary.expected.saturating_sub(before.0);
        let lost = summary.lost.saturating_sub(before.1).min(expected);
        *before = (summary.expected, summary.lost);
        let loss = lost as f64 / expected.max(1) as f64;
        let delay = delay(stats, session, summary.jitter);
        let count = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let round_trip = stats.round_trip.unwrap_or_default();
        Sample {
            received: count(stats.packets_received),
            lost: count(summary.lost),
            sent: count(stats.packets_sent),
            loss: loss as f32,
            jitter_ms: summary.jitter.as_secs_f32() * 1000.0,
            mos: if expected > 0 {
                stats::mos(loss, delay)
            } else {
                0.0
            },
            remote_loss: stats.remote_loss,
            remote_jitter_ms: stats.remote_jitter_ms,
            round_trip_ms: round_trip.as_secs_f32() * 1000.0,
        }
    }

    /// What the stream was like so far.
    pub(super) fn fill_in(&self, stats: &mut PortStats, session: Option<&Session>) {
        let summary = self
            .reception
            .as_ref()
            .map(Reception::summary)
            .unwrap_or_default();
        stats.packets_lost = summary.lost;
        stats.jitter_ms = summary.jitter.as_secs_f32() * 1000.0;
        if stats.packets_received > 0 {
            let loss = summary.lost as f64 / summary.expected.max(1) as f64;
            let delay = delay(stats, session, summary.jitter);
            stats.mos = stats::mos(loss, delay);
        }
    }
}

/// Half the round trip, one packet, and a jitter buffer of twice the jitter.
fn delay(stats: &PortStats, session: Option<&Session>, jitter: Duration) -> Duration {
    let packet = session.map_or(Duration::ZERO, |s| {
        Duration::from_millis(u64::from(s.ptime_ms))
    });
    stats.round_trip.unwrap_or_default() / 2 + packet + jitter * 2
}

fn key_down(key: Key) -> Option<char> {
    match key {
        Key::Down(event) => event.digit(),
        Key::Up { .. } => None,
    }
}

/// The rate of detectors and recordings.
pub(super) const NARROW_HZ: u32 = 8000;
/// The length of a frame of [`Playout`].
const FRAME_MS: u32 = 20;
