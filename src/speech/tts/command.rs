//! Speech by a program: the text on its standard input, an audio file on its standard output.
//!
//! The text never becomes an argument, and no shell is involved. The process is killed when nobody waits any more.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;

use super::Provider;
use crate::speech::{
    MAX_SPEECH, SpeechError, SpeechProvider, TtsConfig, Utterance, program, voices,
};

/// Runs a program for each utterance.
#[derive(Debug)]
pub struct Command {
    program: String,
    args: Vec<String>,
    espeak: bool,
    voices: BTreeMap<String, String>,
    timeout: Duration,
}

impl Provider for Command {
    const NAME: &'static str = "command";

    fn new(config: &TtsConfig, _io: &Handle) -> Result<Self, SpeechError> {
        let name = Path::new(&config.command)
            .file_name()
            .and_then(|n| n.to_str())
            .unwrap_or("");
        let espeak = matches!(name, "espeak-ng" | "espeak");
        let args = if espeak && config.args.is_empty() {
            ["--stdin", "--stdout", "-v", "{voice}"]
                .map(str::to_owned)
                .to_vec()
        } else {
            config.args.clone()
        };
        Ok(Self {
            program: config.command.clone(),
            args,
            espeak,
            voices: config.voices.clone(),
            timeout: config.timeout(),
        })
    }
}

impl SpeechProvider for Command {
    fn fingerprint(&self) -> String {
        format!("command {} {:?} {:?}", self.program, self.args, self.voices)
    }

    fn synthesise<'a>(
        &'a self,
        utterance: &'a Utterance,
    ) -> BoxFuture<'a, Result<Bytes, SpeechError>> {
        let after = self.timeout;
        Box::pin(async move {
            let run = Box::pin(self.run(utterance));
            tokio::time::timeout(after, run)
                .await
                .unwrap_or(Err(SpeechError::Timeout { after }))
        })
    }
}

impl Command {
    async fn run(&self, utterance: &Utterance) -> Result<Bytes, SpeechError> {
        let text = Bytes::copy_from_slice(utterance.text.as_bytes());
        let args = self.arguments(utterance);
        let audio = program::run(&self.program, args, text, MAX_SPEECH).await?;
        if audio.is_empty() {
            Err(SpeechError::Silent)
        } else {
            Ok(audio)
        }
    }

    fn arguments(&self, utterance: &Utterance) -> Vec<String> {
        let voice = self.voice(utterance);
        let language = if voices::is_argument(&utterance.language) {
            &utterance.language
        } else {
            "en-us"
        };
        self.args
            .iter()
            .map(|arg| {
                arg.replace("{voice}", &voice)
                    .replace("{language}", language)
            })
            .collect()
    }

    fn voice(&self, utterance: &Utterance) -> String {
        let wish = voices::plain(&utterance.voice);
        if let Some(voice) = voices::mapped(&self.voices, &wish, &utterance.language) {
            return voice.to_owned();
        }
        let wish = voices::ours(wish);
        if self.espeak {
            voices::espeak(&wish, &utterance.language)
        } else if voices::is_argument(&wish) {
            wish
        } else {
            "female".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(config: &TtsConfig) -> Command {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        Command::new(config, runtime.handle()).unwrap()
    }

    fn saying(text: &str, voice: &str, language: &str) -> Utterance {
        Utterance {
            text: text.to_owned(),
            voice: voice.to_owned(),
            language: language.to_owned(),
        }
    }

    #[test]
    fn espeak_gets_its_own_arguments() {
        let command = provider(&TtsConfig::default());
        assert_eq!(
            command.arguments(&saying("--help", "male", "de-de")),
            ["--stdin", "--stdout", "-v", "de+m3"]
        );
    }

    #[test]
    fn a_wish_cannot_become_an_option() {
        let config = TtsConfig {
            command: "say".to_owned(),
            args: vec![
                "-v".to_owned(),
                "{voice}".to_owned(),
                "{language}".to_owned(),
            ],
            ..TtsConfig::default()
        };
        let command = provider(&config);
        assert_eq!(
            command.arguments(&saying("x", "--output=/etc/x", "-l")),
            ["-v", "female", "en-us"]
        );
    }
}
