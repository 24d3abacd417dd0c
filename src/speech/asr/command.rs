//! Recognition by a program: a WAV file on its standard input, the text (or JSON with `text`) on its standard output.
//!
//! No shell is involved. The process is killed when nobody waits any more.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;

use super::{Provider, read};
use crate::speech::{Recogniser, SpeechError, Spoken, SttConfig, Transcript, program, voices};

/// Runs a program for each text.
#[derive(Debug)]
pub struct Command {
    program: String,
    args: Vec<String>,
    timeout: Duration,
}

impl Provider for Command {
    const NAME: &'static str = "command";

    fn new(config: &SttConfig, _io: &Handle) -> Result<Self, SpeechError> {
        Ok(Self {
            program: config.command.clone(),
            args: config.args.clone(),
            timeout: config.timeout(),
        })
    }
}

impl Recogniser for Command {
    fn transcribe<'a>(
        &'a self,
        spoken: &'a Spoken,
    ) -> BoxFuture<'a, Result<Transcript, SpeechError>> {
        let after = self.timeout;
        let language = if voices::is_argument(&spoken.language) {
            spoken.language.as_str()
        } else {
            "en-us"
        };
        let args: Vec<String> = self
            .args
            .iter()
            .map(|arg| arg.replace("{language}", language))
            .collect();
        Box::pin(async move {
            let run = program::run(&self.program, args, spoken.wav.clone(), MAX_TEXT);
            let run = tokio::time::timeout(after, Box::pin(run));
            let text = run.await.unwrap_or(Err(SpeechError::Timeout { after }))?;
            Ok(read(&text))
        })
    }
}

/// Longest output taken, in bytes.
const MAX_TEXT: usize = 256 * 1024;
