//! Text to speech: one trait, its providers, and the operator's choice among them.
//!
//! - `config`: `[tts]`.
//! - `voices`: which voice of a provider stands for `female`, `male` and a language.
//! - `tts/`: the providers, one file each.

mod config;
pub mod tts;
mod voices;

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::host::http::HttpError;

pub use config::{Dialect, Problem, TtsConfig};
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

/// Why nothing was said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpeechError {
    /// The configuration breaks a rule.
    #[error("[tts] {0}")]
    Config(Problem),
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
