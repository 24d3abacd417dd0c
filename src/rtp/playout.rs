//! One incoming stream made audible: jitter buffer, decoder and concealment in front of a 20 ms frame.

use std::time::Instant;

use smallvec::SmallVec;

use super::jitter::{JitterBuffer, JitterConfig, JitterCounts, Pushed, Slot};
use super::packet::Packet;
use crate::audio::plc::Plc;
use crate::audio::{Codec, Decoder, Rate};

/// What a frame is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// At least partly received sound.
    Audio,
    /// Concealment, and no received sound.
    Concealed,
    /// Silence: nobody is sending.
    Silent,
}

/// Takes packets of the negotiated codecs, gives 20 ms frames of samples.
#[derive(Debug)]
pub struct Playout {
    accepts: SmallVec<[Accepted; 4]>,
    rate_hz: u32,
    clock_rate_hz: u32,
    jitter: JitterBuffer,
    plc: Plc,
    /// Decoded and not yet handed out.
    ready: Vec<i16>,
    /// One packet's samples, while it is worked on.
    decoded: Vec<i16>,
    /// The same, at the codec's own rate.
    own: Vec<i16>,
}

/// One payload type that may come.
#[derive(Debug)]
struct Accepted {
    payload_type: u8,
    codec: Codec,
    decoder: Decoder,
    /// From the codec's rate to that of the frames.
    rate: Rate,
}

impl Playout {
    /// For the payload types agreed on. Frames have the sample rate of the first; codecs of another RTP clock are not
    /// taken, since their timestamps mean another time (RFC 7160).
    pub fn new(accepts: &[(u8, Codec)], config: JitterConfig) -> Self {
        let first = accepts.first().map_or(Codec::Pcmu, |(_, codec)| *codec);
        let (rate_hz, clock_rate_hz) = (first.sample_rate_hz(), first.clock_rate_hz());
        let taken = accepts
            .iter()
            .filter(|(_, codec)| codec.clock_rate_hz() == clock_rate_hz);
        let longest = taken
            .clone()
            .map(|(_, codec)| 20 * codec.bytes_per_ms())
            .max()
            .unwrap_or(160);
        Self {
            accepts: taken
                .map(|(payload_type, codec)| Accepted {
                    payload_type: *payload_type,
                    codec: *codec,
                    decoder: codec.decoder(),
                    rate: Rate::new(codec.sample_rate_hz(), rate_hz),
                })
                .collect(),
            rate_hz,
            clock_rate_hz,
            jitter: JitterBuffer::new(JitterConfig {
                clock_rate_hz,
                payload_bytes: longest,
                ..config
            }),
            plc: Plc::new(rate_hz),
            ready: Vec::with_capacity(samples(ROOM_MS, rate_hz, 1000)),
            decoded: Vec::with_capacity(samples(ROOM_MS, rate_hz, 1000)),
            own: Vec::with_capacity(samples(ROOM_MS, 48_000, 1000)),
        }
    }

    /// A packet from the believed source. Payload types that were not agreed on are not kept, but their sequence
    /// numbers are noted: they are no loss. `None` for those.
    pub fn push(&mut self, now: Instant, packet: &Packet<'_>) -> Option<Pushed> {
        let known = self
            .accepts
            .iter()
            .find(|accepted| accepted.payload_type == packet.payload_type);
        if let Some(Accepted { codec, .. }) = known {
            Some(self.jitter.push(now, packet, codec.ticks(packet.payload)))
        } else {
            self.jitter.note(packet);
            None
        }
    }

    /// The next 20 ms, replacing what `out` held.
    pub fn frame(&mut self, out: &mut Vec<i16>) -> Frame {
        let wanted = (self.rate_hz / 50) as usize;
        let mut kind = if self.ready.is_empty() {
            Frame::Silent
        } else {
            Frame::Audio
        };
        while self.ready.len() < wanted {
            self.decoded.clear();
            match self.jitter.pull() {
                Slot::Payload {
                    payload_type,
                    payload,
                    ..
                } => {
                    let known = |accepted: &&mut Accepted| accepted.payload_type == payload_type;
                    if let Some(accepted) = self.accepts.iter_mut().find(known) {
                        if accepted.rate.is_same() {
                            accepted.decoder.decode(payload, &mut self.decoded);
                        } else {
                            self.own.clear();
                            accepted.decoder.decode(payload, &mut self.own);
                            accepted.rate.push(&self.own, &mut self.decoded);
                        }
                    }
                    if self.decoded.is_empty() {
                        break; // no codec decodes a payload to nothing; never loop on it
                    }
                    self.plc.good(&mut self.decoded);
                    kind = Frame::Audio;
                }
                Slot::Lost { ticks } => {
                    self.decoded
                        .resize(samples(ticks, self.rate_hz, self.clock_rate_hz), 0);
                    self.plc.lost(&mut self.decoded);
                    if kind == Frame::Silent {
                        kind = Frame::Concealed;
                    }
                }
                Slot::Empty { ticks } => {
                    self.decoded
                        .resize(samples(ticks, self.rate_hz, self.clock_rate_hz), 0);
                    self.plc.good(&mut self.decoded);
                }
            }
            self.ready.extend_from_slice(&self.decoded);
        }
        out.clear();
        out.extend(self.ready.drain(..wanted.min(self.ready.len())));
        out.resize(wanted, 0);
        kind
    }

    /// Rate of the frames' samples in Hz.
    pub fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// What the jitter buffer has done.
    pub fn counts(&self) -> JitterCounts {
        self.jitter.counts()
    }

    /// The delay the jitter buffer aims at, in ms.
    pub fn delay_ms(&self) -> u32 {
        self.jitter.target_ms()
    }

    /// Forgets what waits: after a re-INVITE or a change of remote.
    pub fn reset(&mut self) {
        self.jitter.reset();
        self.ready.clear();
    }
}

/// More than one packet and a frame in wait can be.
const ROOM_MS: u32 = 240;

/// Ticks of the RTP clock as samples, at least one.
fn samples(ticks: u32, rate_hz: u32, clock_rate_hz: u32) -> usize {
    let samples = u64::from(ticks) * u64::from(rate_hz) / u64::from(clock_rate_hz.max(1));
    usize::try_from(samples).unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::audio::level::level_dbov;
    use crate::base::rng::Rng;
    use crate::rtp::{RtpTime, Seq, some_instant};

    /// A stream of a 400 Hz tone in 20 ms packets, alternating between codecs when told.
    struct Sender {
        sample: usize,
        seq: u16,
    }

    impl Sender {
        fn packet(&mut self, codec: Codec, length: usize, out: &mut Vec<u8>) -> (u16, u32) {
            let tone = |n: usize| {
                ((n as f64 * 400.0 * std::f64::consts::TAU / 8000.0).sin() * 8000.0) as i16
            };
            let pcm: Vec<i16> = (self.sample..self.sample + length).map(tone).collect();
            out.clear();
            codec.encode(&pcm, out);
            let at = (self.seq, self.sample as u32);
            self.sample += length;
            self.seq = self.seq.wrapping_add(1);
            at
        }
    }

    const ACCEPTS: [(u8, Codec); 2] = [(0, Codec::Pcmu), (97, Codec::Pcma)];

    fn run(loss: f64, length: usize, switch: bool) -> (Vec<i16>, Vec<Frame>) {
        let begin = some_instant();
        let mut rng = Rng::seeded(4);
        let mut playout = Playout::new(&ACCEPTS, JitterConfig::default());
        let mut sender = Sender {
            sample: 0,
            seq: 65_500,
        };
        let (mut body, mut frame, mut all, mut kinds) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for slot in 0..500 {
            let now = begin + Duration::from_millis(20) * slot;
            while sender.sample <= slot as usize * 160 {
                let (payload_type, codec) = if switch && sender.seq.is_multiple_of(2) {
                    ACCEPTS[1]
                } else {
                    ACCEPTS[0]
                };
                let (seq, time) = sender.packet(codec, length, &mut body);
                if rng.unit() >= loss {
                    let packet = Packet {
                        marker: false,
                        payload_type,
                        sequence: Seq(seq),
                        timestamp: RtpTime(time),
                        ssrc: 1,
                        payload: &body,
                    };
                    assert_eq!(playout.push(now, &packet), Some(Pushed::Stored));
                }
            }
            kinds.push(playout.frame(&mut frame));
            assert_eq!(frame.len(), 160);
            all.extend_from_slice(&frame);
        }
        (all, kinds)
    }

    /// Correlation of what was heard with the tone that was sent, in the best of its phases.
    fn likeness(pcm: &[i16]) -> f64 {
        let (mut re, mut im, mut energy) = (0.0, 0.0, 0.0);
        for (n, s) in pcm.iter().enumerate() {
            let phase = n as f64 * 400.0 * std::f64::consts::TAU / 8000.0;
            re += f64::from(*s) * phase.cos();
            im += f64::from(*s) * phase.sin();
            energy += f64::from(*s).powi(2);
        }
        (re * re + im * im).sqrt() / (energy * pcm.len() as f64 / 2.0).sqrt()
    }

    #[test]
    fn a_clean_stream_comes_through_whatever_its_packet_length() {
        for length in [80, 160, 240, 320, 480] {
            let (pcm, kinds) = run(0.0, length, false);
            assert!(!kinds.contains(&Frame::Concealed), "{length}");
            assert!(
                likeness(&pcm[1600..]) > 0.99,
                "{length}: {}",
                likeness(&pcm[1600..])
            );
        }
    }

    #[test]
    fn codecs_may_change_from_packet_to_packet() {
        assert!(likeness(&run(0.0, 160, true).0[1600..]) > 0.99);
    }

    #[test]
    fn five_percent_loss_is_hardly_heard() {
        let (pcm, kinds) = run(0.05, 160, false);
        assert!(kinds.contains(&Frame::Concealed));
        assert!(likeness(&pcm[1600..]) > 0.98, "{}", likeness(&pcm[1600..]));
    }

    #[test]
    fn silence_follows_the_end_of_the_stream() {
        let begin = some_instant();
        let mut playout = Playout::new(&ACCEPTS, JitterConfig::default());
        let (mut body, mut frame) = (Vec::new(), Vec::new());
        let mut sender = Sender { sample: 0, seq: 0 };
        for slot in 0..20 {
            let (seq, time) = sender.packet(Codec::Pcmu, 160, &mut body);
            let packet = Packet {
                marker: false,
                payload_type: 0,
                sequence: Seq(seq),
                timestamp: RtpTime(time),
                ssrc: 1,
                payload: &body,
            };
            playout.push(begin + Duration::from_millis(20) * slot, &packet);
            playout.frame(&mut frame);
        }
        let kinds: Vec<Frame> = (0..12).map(|_| playout.frame(&mut frame)).collect();
        assert_eq!(
            kinds.iter().filter(|k| **k == Frame::Concealed).count(),
            3,
            "{kinds:?}"
        );
        assert_eq!(
            (kinds[11], level_dbov(&frame) < -100.0),
            (Frame::Silent, true)
        );
    }

    #[test]
    fn unknown_payload_types_are_noted_not_played() {
        let mut playout = Playout::new(&ACCEPTS, JitterConfig::default());
        let packet = Packet {
            marker: false,
            payload_type: 13,
            sequence: Seq(1),
            timestamp: RtpTime(0),
            ssrc: 1,
            payload: &[60],
        };
        assert_eq!(playout.push(some_instant(), &packet), None);
        assert_eq!(playout.frame(&mut Vec::new()), Frame::Silent);
    }
}
