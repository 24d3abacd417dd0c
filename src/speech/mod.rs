//! Text to speech and speech to text: a trait each, its providers, and the operator's choice among them.
//!
//! - `config`: `[tts]` and `[stt]`.
//! - `voices`: which voice of a provider stands for `female`, `male` and a language. `program`: running one.
//! - `tts/`: the voices, one file each. `asr/`: the recognisers.

pub mod asr;
mod config;
mod program;
pub mod tts;
mod voices;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::audio::wav;
use crate::host::http::HttpError;

pub use asr::recogniser;
pub use config::{Dialect, Problem, SttConfig, TtsConfig};
pub use tts::provider;

/// What is to be said.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Utterance {
    /// The text, not blank.
    pub text: String,
    /// `female`, `male` (and KAZOO's `man`, `woman`), a name of the voice map, or a provider's own voice; empty for
    /// the default.
    pub voice: String,
    /// A language tag in lower case (`en-us`).
    pub language: String,
}

/// Says texts. Implementations may be asked for many at once.
pub trait SpeechProvider: Send + Sync {
    /// Names provider, model and voice map: audio made under one fingerprint is not used under another.
    fn fingerprint(&self) -> String;

    /// The audio file (WAV, MP3, FLAC or Ogg) of an utterance. Dropping the future stops the work.
    fn synthesise<'a>(
        &'a self,
        utterance: &'a Utterance,
    ) -> BoxFuture<'a, Result<Bytes, SpeechError>>;
}

/// Sound in which somebody speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoken {
    /// A WAV file, 8 kHz, mono.
    pub wav: Bytes,
    /// A language tag in lower case (`en-us`); empty when not known.
    pub language: String,
    /// Words that are likely, as text; empty for none.
    pub hints: String,
}

impl Spoken {
    /// Of samples at 8 kHz.
    pub fn of(pcm: &[i16], language: &str, hints: &str) -> Self {
        let mut wav = Vec::with_capacity(wav::HEADER_LEN + pcm.len() * 2);
        wav.extend_from_slice(&wav::header(8000, 1, pcm.len() as u64 * 2));
        wav::samples(pcm, &mut wav);
        Self {
            wav: wav.into(),
            language: language.to_owned(),
            hints: hints.to_owned(),
        }
    }
}

/// What was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Transcript {
    /// The words; empty when there were none.
    pub text: String,
    /// How sure the recogniser is, 0 to 1, where it says so.
    pub confidence: Option<f32>,
}

/// Understands speech. Implementations may be asked for many texts at once.
pub trait Recogniser: Send + Sync {
    /// The words of a sound. Dropping the future stops the work.
    fn transcribe<'a>(
        &'a self,
        spoken: &'a Spoken,
    ) -> BoxFuture<'a, Result<Transcript, SpeechError>>;
}

/// The operator's recogniser.
#[derive(Clone)]
pub struct Recognition {
    /// Who understands.
    pub recogniser: Arc<dyn Recogniser>,
    /// How often a text is asked for while somebody still speaks.
    pub partial_every: Option<Duration>,
}

/// Why nothing was said, or understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpeechError {
    /// The configuration breaks a rule.
    #[error("[tts] {0}")]
    Config(Problem),
    /// The configuration of the recogniser breaks a rule.
    #[error("[stt] {0}")]
    Recogniser(Problem),
    /// The program could not be started.
    #[error("speech program {program:?} cannot be started: {kind}")]
    Start {
        /// The program.
        program: String,
        /// What the system said.
        kind: std::io::ErrorKind,
    },
    /// The program failed.
    #[error("speech program {program:?} ended with {status}: {said}")]
    Program {
        /// The program.
        program: String,
        /// Its exit status.
        status: String,
        /// The start of what it wrote to standard error.
        said: String,
    },
    /// The server could not be asked.
    #[error("speech server: {0}")]
    Http(#[from] HttpError),
    /// The server refused.
    #[error("speech server answered HTTP {status}: {said}")]
    Status {
        /// The status.
        status: u16,
        /// The start of the body.
        said: String,
    },
    /// The time was up.
    #[error("no speech within {after:?}")]
    Timeout {
        /// The limit.
        after: Duration,
    },
    /// The provider made more audio than allowed.
    #[error("more than {limit} bytes of speech")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The provider made nothing.
    #[error("the speech provider returned no audio")]
    Silent,
}

/// Longest audio file taken from a provider, in bytes.
pub const MAX_SPEECH: usize = 32 * 1024 * 1024;
