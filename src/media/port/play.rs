//! The queue of sources: one after another without a gap, to the sample.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::Note;
use super::session::Session;
use crate::audio::Codec;
use crate::base::id::OpId;
use crate::media::event::Finish;
use crate::media::stream::{StreamReader, StreamState};

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
    },
    /// So many samples of silence; `None`: until cancelled.
    Silence(Option<u64>),
    /// Whatever arrives.
    Stream(StreamReader),
    /// What the peer says.
    Echo,
}

impl Audio {
    pub(in crate::media) fn frames(frames: Arc<[u8]>, codec: Codec, looped: bool) -> Self {
        Self::Frames {
            frames: Some(frames),
            ticket: 0,
            codec,
            at: 0,
            looped,
        }
    }

    pub(in crate::media) fn awaited(ticket: u64, codec: Codec, looped: bool) -> Self {
        Self::Frames {
            frames: None,
            ticket,
            codec,
            at: 0,
            looped,
        }
    }

    pub(in crate::media) fn silence(length: Option<Duration>) -> Self {
        // Telephone audio: eight samples a millisecond.
        Self::Silence(length.map(|d| u64::try_from(d.as_micros() / 125).unwrap_or(u64::MAX)))
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

    /// The keeper has made the frames of an item.
    pub(super) fn prepared(&mut self, wanted: u64, made: &Arc<[u8]>) {
        for (_, audio) in &mut self.items {
            if let Audio::Frames {
                frames: frames @ None,
                ticket,
                ..
            } = audio
                && *ticket == wanted
            {
                *frames = Some(Arc::clone(made));
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

    /// Appends the payload of one packet to `out`, up to a length of `target`. `false`: there is nothing to send.
    pub(super) fn fill(
        &mut self,
        session: &Session,
        target: usize,
        out: &mut Vec<u8>,
        pcm: &mut Vec<i16>,
        notes: &mut VecDeque<Note>,
    ) -> bool {
        let begin = out.len();
        while let Some((op, audio)) = self.items.front_mut() {
            match audio.step(
                session,
                target,
                out,
                pcm,
                &mut self.echo,
                &mut self.underruns,
            ) {
                Step::Filled => return true,
                Step::Ended(why) => {
                    notes.push_back(Note::Finished(*op, why));
                    self.items.pop_front();
                    // An end that falls on the end of a packet is told with that packet.
                    if out.len() >= target {
                        return true;
                    }
                }
                Step::Waiting => break,
            }
        }
        if out.len() == begin {
            return false;
        }
        out.resize(target, session.silence_byte);
        true
    }
}

impl Audio {
    fn step(
        &mut self,
        session: &Session,
        target: usize,
        out: &mut Vec<u8>,
        pcm: &mut Vec<i16>,
        echo: &mut VecDeque<i16>,
        underruns: &mut u64,
    ) -> Step {
        let room = target.saturating_sub(out.len());
        match self {
            Self::Frames { frames: None, .. } => Step::Waiting,
            Self::Frames {
                frames: Some(frames),
                codec,
                at,
                looped,
                ..
            } => {
                let rest = frames.get(*at..).unwrap_or_default();
                let part = rest.get(..room).unwrap_or(rest);
                if *codec == session.codec {
                    out.extend_from_slice(part);
                } else {
                    // The codec changed after the clip was queued.
                    pcm.clear();
                    codec.decode(part, pcm);
                    session.codec.encode(pcm, out);
                }
                *at += part.len();
                match (*at >= frames.len(), *looped && !frames.is_empty()) {
                    (false, _) => Step::Filled,
                    (true, true) => {
                        *at = 0;
                        if out.len() >= target {
                            Step::Filled
                        } else {
                            self.step(session, target, out, pcm, echo, underruns)
                        }
                    }
                    (true, false) => Step::Ended(Finish::Done),
                }
            }
            Self::Silence(None) => {
                out.resize(target, session.silence_byte);
                Step::Filled
            }
            Self::Silence(Some(left)) => {
                let part = usize::try_from(*left).unwrap_or(usize::MAX).min(room);
                out.resize(out.len() + part, session.silence_byte);
                *left -= part as u64;
                if *left == 0 {
                    Step::Ended(Finish::Done)
                } else {
                    Step::Filled
                }
            }
            Self::Stream(reader) => {
                pcm.clear();
                pcm.resize(room, 0);
                let (read, state) = reader.read(pcm);
                pcm.truncate(read);
                session.codec.encode(pcm, out);
                match state {
                    StreamState::Done => Step::Ended(Finish::Done),
                    StreamState::Broken => Step::Ended(Finish::Failed),
                    StreamState::Open => {
                        if read < room {
                            *underruns += 1;
                            out.resize(target, session.silence_byte);
                        }
                        Step::Filled
                    }
                }
            }
            Self::Echo => {
                if echo.len() < room {
                    return Step::Waiting;
                }
                pcm.clear();
                pcm.extend(echo.drain(..room));
                session.codec.encode(pcm, out);
                Step::Filled
            }
        }
    }
}

/// The most an echo holds back: four packets of 60 ms.
const ECHO_SAMPLES: usize = 1920;
