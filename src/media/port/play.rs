//! The queue of sources: one after another without a gap, to the sample.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::Note;
use super::session::Session;
use crate::audio::{Codec, Decoder, Rate};
use crate::base::id::OpId;
use crate::media::event::Finish;
use crate::media::stream::{STREAM_RATE_HZ, StreamReader, StreamState};

/// A source, ready to be played on a tick.
#[derive(Debug)]
pub(in crate::media) enum Audio {
    /// Encoded sound, shared by every port that plays it.
    Frames {
        /// The payload bytes; `None` until the keeper has made them.
        frames: Option<Arc<[u8]>>,
        /// Names the request to the keeper.
        ticket: u64,
        /// What they are encoded in.
        codec: Codec,
        /// The next byte to send.
        at: usize,
        /// From the beginning again at the end.
        looped: bool,
        /// What it takes when the port has changed its codec since.
        adapter: Option<Box<Adapter>>,
    },
    /// Samples, for codecs whose packets cannot be made in advance.
    Samples {
        /// `None` until the keeper has made them.
        pcm: Option<Arc<[i16]>>,
        /// Names the request to the keeper.
        ticket: u64,
        /// Their rate.
        rate_hz: u32,
        /// The next one to send.
        at: usize,
        /// From the beginning again at the end.
        looped: bool,
        /// What it takes when the port has changed its codec since.
        adapter: Option<Box<Adapter>>,
    },
    /// So much silence, in 48ths of a millisecond; `None`: until cancelled.
    Silence(Option<u64>),
    /// Whatever arrives.
    Stream(StreamReader),
    /// What the peer says.
    Echo,
}

/// From what a source was made for to what the port speaks now.
#[derive(Debug)]
pub(in crate::media) struct Adapter {
    decoder: Decoder,
    rate: Rate,
}

/// What the keeper made.
#[derive(Debug)]
pub(in crate::media) enum Ready {
    /// Payload bytes.
    Frames(Arc<[u8]>),
    /// Samples.
    Samples(Arc<[i16]>),
}

impl Audio {
    /// A clip for a port that speaks `codec`; `ready` or to come under `ticket`.
    pub(in crate::media) fn clip(
        codec: Codec,
        ready: Option<Ready>,
        ticket: u64,
        looped: bool,
    ) -> Self {
        let (frames, pcm) = match ready {
            Some(Ready::Frames(frames)) => (Some(frames), None),
            Some(Ready::Samples(pcm)) => (None, Some(pcm)),
            None => (None, None),
        };
        if codec.is_seamless() {
            Self::Frames {
                frames,
                ticket,
                codec,
                at: 0,
                looped,
                adapter: None,
            }
        } else {
            Self::Samples {
                pcm,
                ticket,
                rate_hz: codec.sample_rate_hz(),
                at: 0,
                looped,
                adapter: None,
            }
        }
    }

    pub(in crate::media) fn silence(length: Option<Duration>) -> Self {
        let units = |d: Duration| d.as_micros().saturating_mul(u128::from(UNITS_HZ)) / 1_000_000;
        Self::Silence(length.map(|d| u64::try_from(units(d)).unwrap_or(u64::MAX)))
    }
}

/// What plays and what waits.
#[derive(Debug, Default)]
pub(super) struct Queue {
    items: VecDeque<(OpId, Audio)>,
    /// What the peer said lately, for `Echo`.
    echo: VecDeque<i16>,
    underruns: u64,
}

/// How a source went on for one packet.
enum Step {
    /// It filled what was left of the packet.
    Filled,
    /// It ended; the next one may fill the rest.
    Ended(Finish),
    /// It has nothing now and will have more later.
    Waiting,
}

/// The packet being filled, and buffers for the way to it.
pub(super) struct Sink<'a> {
    pub(super) session: &'a mut Session,
    /// The packet: header, then payload.
    pub(super) packet: &'a mut Vec<u8>,
    /// Samples of the packet, for codecs that encode a whole one at once.
    pub(super) pcm: &'a mut Vec<i16>,
    pub(super) raw: &'a mut Vec<i16>,
    pub(super) wide: &'a mut Vec<i16>,
    /// Where the payload begins.
    pub(super) begin: usize,
}

impl Sink<'_> {
    /// Samples (at the session's rate) that are still missing.
    fn room(&self) -> usize {
        let codec = self.session.codec;
        if codec.is_seamless() {
            let bytes = self.room_bytes();
            bytes * codec.samples_per_ms() / codec.bytes_per_ms()
        } else {
            self.session.samples().saturating_sub(self.pcm.len())
        }
    }

    /// Payload bytes that are still missing, of a codec whose bytes can be joined.
    fn room_bytes(&self) -> usize {
        (self.begin + self.session.frame_bytes()).saturating_sub(self.packet.len())
    }

    fn samples(&mut self, pcm: &[i16]) {
        if self.session.codec.is_seamless() {
            self.session.encode(pcm, self.packet);
        } else {
            self.pcm.extend_from_slice(pcm);
        }
    }

    /// Samples of the rate of streams and tones.
    fn narrow(&mut self, pcm: &[i16]) {
        self.wide.clear();
        self.session.widen(pcm, self.wide);
        if self.session.codec.is_seamless() {
            self.session.encode(self.wide, self.packet);
        } else {
            self.pcm.extend_from_slice(self.wide);
        }
    }

    fn silence(&mut self, mut samples: usize) {
        while samples > 0 {
            let part = SILENCE.get(..samples).unwrap_or(&SILENCE);
            self.samples(part);
            samples -= part.len();
        }
    }

    fn is_full(&self) -> bool {
        self.room() == 0
    }

    fn is_empty(&self) -> bool {
        self.packet.len() == self.begin && self.pcm.is_empty()
    }

    /// Silence for the rest, and the packet is whole.
    pub(super) fn finish(mut self) {
        self.silence(self.room());
        if !self.session.codec.is_seamless() {
            self.session.encode(self.pcm, self.packet);
        }
    }
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn underruns(&self) -> u64 {
        self.underruns
    }

    pub(super) fn push(&mut self, op: OpId, audio: Audio) {
        if matches!(audio, Audio::Echo) {
            self.echo
                .reserve(ECHO_SAMPLES.saturating_sub(self.echo.len()));
        }
        self.items.push_back((op, audio));
    }

    /// The keeper has made what an item waits for.
    pub(super) fn prepared(&mut self, wanted: u64, made: &Ready) {
        for (_, audio) in &mut self.items {
            match (audio, made) {
                (
                    Audio::Frames {
                        frames: frames @ None,
                        ticket,
                        ..
                    },
                    Ready::Frames(made),
                ) if *ticket == wanted => *frames = Some(Arc::clone(made)),
                (
                    Audio::Samples {
                        pcm: pcm @ None,
                        ticket,
                        ..
                    },
                    Ready::Samples(made),
                ) if *ticket == wanted => *pcm = Some(Arc::clone(made)),
                _ => {}
            }
        }
    }

    /// Gives sources that were made for another codec what they need to be heard in this one. Not on the tick.
    pub(super) fn adapt(&mut self, spoken: Codec) {
        let to_hz = spoken.sample_rate_hz();
        for (_, audio) in &mut self.items {
            let (adapter, codec, from_hz, fits) = match audio {
                Audio::Frames { adapter, codec, .. } => {
                    (adapter, *codec, codec.sample_rate_hz(), *codec == spoken)
                }
                Audio::Samples {
                    adapter, rate_hz, ..
                } => (adapter, Codec::Pcmu, *rate_hz, *rate_hz == to_hz),
                Audio::Silence(_) | Audio::Stream(_) | Audio::Echo => continue,
            };
            if fits {
                *adapter = None;
            } else if adapter.as_ref().is_none_or(|a| a.rate.to_hz() != to_hz) {
                *adapter = Some(Box::new(Adapter {
                    decoder: codec.decoder(),
                    rate: Rate::new(from_hz, to_hz),
                }));
            }
        }
    }

    /// Ends the items of an operation, or all.
    pub(super) fn cancel(&mut self, op: Option<OpId>, notes: &mut VecDeque<Note>) {
        self.items.retain(|(of, _)| {
            let keep = op.is_some_and(|op| op != *of);
            if !keep {
                notes.push_back(Note::Finished(*of, Finish::Cancelled));
            }
            keep
        });
    }

    /// Whether an echo plays or waits.
    pub(super) fn has_echo(&self) -> bool {
        self.items
            .iter()
            .any(|(_, audio)| matches!(audio, Audio::Echo))
    }

    /// Whether an echo plays.
    pub(super) fn is_echoing(&self) -> bool {
        matches!(self.items.front(), Some((_, Audio::Echo)))
    }

    /// Takes what the peer said; the oldest gives way.
    pub(super) fn echo(&mut self, pcm: &[i16]) {
        let excess = (self.echo.len() + pcm.len())
            .saturating_sub(ECHO_SAMPLES)
            .min(self.echo.len());
        self.echo.drain(..excess);
        self.echo.extend(pcm.iter().take(ECHO_SAMPLES));
    }

    /// Fills one packet. `false`: there is nothing to send.
    pub(super) fn fill(&mut self, mut sink: Sink<'_>, notes: &mut VecDeque<Note>) -> bool {
        while let Some((op, audio)) = self.items.front_mut() {
            match audio.step(&mut sink, &mut self.echo, &mut self.underruns) {
                Step::Filled => break,
                Step::Ended(why) => {
                    notes.push_back(Note::Finished(*op, why));
                    self.items.pop_front();
                    // An end that falls on the end of a packet is told with that packet.
                    if sink.is_full() {
                        break;
                    }
                }
                Step::Waiting => break,
            }
        }
        if sink.is_empty() {
            return false;
        }
        sink.finish();
        true
    }
}

impl Audio {
    fn step(&mut self, sink: &mut Sink<'_>, echo: &mut VecDeque<i16>, underruns: &mut u64) -> Step {
        match self {
            Self::Frames { .. } => self.frames(sink),
            Self::Samples { .. } => self.samples(sink),
            Self::Silence(None) => {
                sink.silence(sink.room());
                Step::Filled
            }
            Self::Silence(Some(left)) => {
                let unit = u64::from(UNITS_HZ / sink.session.codec.sample_rate_hz());
                let part = usize::try_from(*left / unit)
                    .unwrap_or(usize::MAX)
                    .min(sink.room());
                sink.silence(part);
                *left = left.saturating_sub(part as u64 * unit);
                if *left < unit {
                    Step::Ended(Finish::Done)
                } else {
                    Step::Filled
                }
            }
            Self::Stream(reader) => {
                let rate_hz = sink.session.codec.sample_rate_hz();
                let room = sink.room() * STREAM_RATE_HZ as usize / rate_hz as usize;
                let mut raw = std::mem::take(sink.raw);
                raw.clear();
                raw.resize(room, 0);
                let (read, state) = reader.read(&mut raw);
                raw.truncate(read);
                sink.narrow(&raw);
                *sink.raw = raw;
                match state {
                    StreamState::Done => Step::Ended(Finish::Done),
                    StreamState::Broken => Step::Ended(Finish::Failed),
                    StreamState::Open => {
                        if read < room {
                            *underruns += 1;
                            sink.silence(sink.room());
                        }
                        Step::Filled
                    }
                }
            }
            Self::Echo => {
                let room = sink.room();
                if echo.len() < room {
                    return Step::Waiting;
                }
                sink.wide.clear();
                sink.wide.extend(echo.drain(..room));
                let wide = std::mem::take(sink.wide);
                sink.samples(&wide);
                *sink.wide = wide;
                Step::Filled
            }
        }
    }

    /// A step of encoded sound.
    fn frames(&mut self, sink: &mut Sink<'_>) -> Step {
        let Self::Frames {
            frames: Some(frames),
            codec,
            at,
            looped,
            adapter,
            ..
        } = self
        else {
            return Step::Waiting;
        };
        loop {
            let rest = frames.get(*at..).unwrap_or_default();
            if *codec == sink.session.codec {
                let part = rest.get(..sink.room_bytes()).unwrap_or(rest);
                sink.packet.extend_from_slice(part);
                *at += part.len();
            } else {
                // The codec changed after the clip was queued.
                let Some(adapter) = adapter else {
                    return Step::Ended(Finish::Failed);
                };
                let ms = sink.room() / sink.session.codec.samples_per_ms();
                let part = rest.get(..ms * codec.bytes_per_ms()).unwrap_or(rest);
                *at += part.len();
                let (mut raw, mut wide) = (std::mem::take(sink.raw), std::mem::take(sink.wide));
                raw.clear();
                wide.clear();
                adapter.decoder.decode(part, &mut raw);
                adapter.rate.push(&raw, &mut wide);
                sink.samples(&wide);
                (*sink.raw, *sink.wide) = (raw, wide);
            }
            match again(at, frames.len(), *looped, sink.is_full()) {
                Some(step) => return step,
                None => continue,
            }
        }
    }

    /// A step of samples.
    fn samples(&mut self, sink: &mut Sink<'_>) -> Step {
        let Self::Samples {
            pcm: Some(pcm),
            rate_hz,
            at,
            looped,
            adapter,
            ..
        } = self
        else {
            return Step::Waiting;
        };
        loop {
            let rest = pcm.get(*at..).unwrap_or_default();
            let spoken_hz = sink.session.codec.sample_rate_hz();
            let room = sink.room() * *rate_hz as usize / spoken_hz as usize;
            let part = rest.get(..room).unwrap_or(rest);
            *at += part.len();
            if *rate_hz == spoken_hz {
                sink.samples(part);
            } else {
                let Some(adapter) = adapter else {
                    return Step::Ended(Finish::Failed);
                };
                let mut wide = std::mem::take(sink.wide);
                wide.clear();
                adapter.rate.push(part, &mut wide);
                sink.samples(&wide);
                *sink.wide = wide;
            }
            match again(at, pcm.len(), *looped, sink.is_full()) {
                Some(step) => return step,
                None => continue,
            }
        }
    }
}

/// What comes after a part of a clip; `None`: its beginning again.
fn again(at: &mut usize, length: usize, looped: bool, full: bool) -> Option<Step> {
    if *at < length {
        return Some(Step::Filled);
    }
    if !looped || length == 0 {
        return Some(Step::Ended(Finish::Done));
    }
    *at = 0;
    full.then_some(Step::Filled)
}

/// The most an echo holds back: 240 ms at 48 kHz.
const ECHO_SAMPLES: usize = 11_520;
/// What silence is counted in: every rate in use divides it.
const UNITS_HZ: u32 = 48_000;
const SILENCE: [i16; 480] = [0; 480];
