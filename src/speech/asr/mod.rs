//! The recognisers. A new one is a file here and a word in the list.

pub mod command;
pub mod openai;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::{Recogniser, Recognition, SpeechError, Spoken, SttConfig, Transcript};

/// What the list needs of a recogniser.
pub(super) trait Provider: Recogniser + Sized + 'static {
    /// Its name in `[stt] provider`.
    const NAME: &'static str;

    /// Makes it of the configuration; sockets and processes live on `io`.
    fn new(config: &SttConfig, io: &Handle) -> Result<Self, SpeechError>;
}

macro_rules! providers {
    ($($file:ident::$provider:ident),* $(,)?) => {
        /// The names of all recognisers.
        pub const NAMES: &[&str] = &[$(<$file::$provider as Provider>::NAME),*];

        /// The recogniser the configuration names; `None` when it names none.
        ///
        /// # Errors
        /// When the configuration breaks a rule.
        pub fn recogniser(config: &SttConfig, io: &Handle) -> Result<Option<Recognition>, SpeechError> {
            if let Some(problem) = config.problems().into_iter().next() {
                return Err(SpeechError::Recogniser(problem));
            }
            $(if config.provider == <$file::$provider as Provider>::NAME {
                let provider = <$file::$provider as Provider>::new(config, io)?;
                return Ok(Some(Recognition {
                    recogniser: Limited::of(provider, config.parallel),
                    partial_every: config.partial_every(),
                }));
            })*
            Ok(None)
        }
    };
}

providers! { command::Command, openai::Openai }

/// A recogniser that is asked for so many texts at once and no more; others wait for their turn.
struct Limited<R> {
    recogniser: R,
    turns: Semaphore,
}

impl<R: Recogniser + 'static> Limited<R> {
    fn of(recogniser: R, parallel: usize) -> Arc<dyn Recogniser> {
        Arc::new(Self {
            recogniser,
            turns: Semaphore::new(parallel),
        })
    }
}

impl<R: Recogniser> Recogniser for Limited<R> {
    fn transcribe<'a>(
        &'a self,
        spoken: &'a Spoken,
    ) -> BoxFuture<'a, Result<Transcript, SpeechError>> {
        Box::pin(async move {
            // Closed never.
            let _turn = self.turns.acquire().await;
            self.recogniser.transcribe(spoken).await
        })
    }
}

/// What a recogniser has written: JSON with `text`, else the text itself.
fn read(body: &[u8]) -> Transcript {
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    match serde_json::from_slice::<Answer>(body) {
        Ok(answer) => Transcript {
            text: plain(&answer.text),
            confidence: answer.confidence(),
        },
        Err(_) => Transcript {
            text: plain(&String::from_utf8_lossy(body)),
            confidence: None,
        },
    }
}

#[derive(Deserialize)]
struct Answer {
    text: String,
    confidence: Option<f32>,
    #[serde(default)]
    segments: Vec<Segment>,
}

#[derive(Deserialize)]
struct Segment {
    avg_logprob: Option<f32>,
}

impl Answer {
    /// As it says, or by the probabilities of its segments (`verbose_json`).
    fn confidence(&self) -> Option<f32> {
        if let Some(confidence) = self.confidence {
            return Some(confidence.clamp(0.0, 1.0));
        }
        let known: Vec<f32> = self.segments.iter().filter_map(|s| s.avg_logprob).collect();
        let mean = known.iter().sum::<f32>() / known.len() as f32;
        (!known.is_empty()).then(|| mean.exp().clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_plain_text_are_read() {
        let said = |body: &str| {
            let transcript = read(body.as_bytes());
            (transcript.text, transcript.confidence)
        };
        assert_eq!(said(" go  forward\n"), ("go forward".into(), None));
        assert_eq!(said(r#"{"text":" yes "}"#), ("yes".into(), None));
        assert_eq!(
            said(r#"{"text":"yes","confidence":1.5}"#),
            ("yes".into(), Some(1.0))
        );
        let verbose = r#"{"text":"yes","segments":[{"avg_logprob":0.0},{"avg_logprob":0.0},{}]}"#;
        assert_eq!(said(verbose), ("yes".into(), Some(1.0)));
        assert_eq!(said(""), (String::new(), None));
    }
}
