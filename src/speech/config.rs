//! `[tts]`: who speaks, and with which voices. `[stt]`: who understands.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use super::{asr, tts};
use crate::base::secret::Secret;

/// `[tts]`: text to speech.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TtsConfig {
    /// `command` (a program on this machine) or `http` (a speech server).
    pub provider: String,
    /// For `command`: the program. It reads the text on standard input and writes an audio file to standard output.
    pub command: String,
    /// For `command`: its arguments; `{voice}` and `{language}` are filled in. Empty for espeak-ng: its own are used.
    pub args: Vec<String>,
    /// For `http`: base URL of the server, e.g. `http://127.0.0.1:5000`.
    pub url: String,
    /// For `http`: sent as `Authorization: Bearer`; empty for none.
    pub key: Secret,
    /// For `http`: what the server speaks.
    pub dialect: Dialect,
    /// For `http` with `openai`: the model.
    pub model: String,
    /// Voices of the provider by our names: `female`, `male`, a language (`de`), or both (`de/female`).
    pub voices: BTreeMap<String, String>,
    /// For `http` with `openai`: `wav`, `mp3` or `flac`.
    pub response_format: String,
    /// Longest time for one sentence, in milliseconds, 100 to 120000.
    pub timeout_ms: u64,
    /// How many sentences are made at the same time, 1 to 64.
    pub parallel: usize,
}

/// What a speech server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// `POST /v1/audio/speech`, as OpenAI, Kokoro, LocalAI and Speaches have it.
    #[default]
    Openai,
    /// The HTTP server that comes with Piper.
    Piper,
}

impl Default for TtsConfig {
    fn default() -> Self {
        Self {
            provider: "command".to_owned(),
            command: "espeak-ng".to_owned(),
            args: Vec::new(),
            url: String::new(),
            key: Secret::default(),
            dialect: Dialect::default(),
            model: "tts-1".to_owned(),
            voices: BTreeMap::new(),
            response_format: "wav".to_owned(),
            timeout_ms: 15_000,
            parallel: 4,
        }
    }
}

/// `[stt]`: speech to text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SttConfig {
    /// `openai` (a server), `command` (a program on this machine), or empty: speech is not understood.
    pub provider: String,
    /// For `openai`: base URL of the server, e.g. `http://127.0.0.1:8000`; it is asked at `/v1/audio/transcriptions`.
    pub url: String,
    /// For `openai`: sent as `Authorization: Bearer`; empty for none.
    pub key: Secret,
    /// For `openai`: the model.
    pub model: String,
    /// For `openai`: `json`, or `verbose_json`, by which some servers say how sure they are.
    pub response_format: String,
    /// For `command`: the program. It reads a WAV file on standard input and writes the text to standard output.
    pub command: String,
    /// For `command`: its arguments; `{language}` is filled in.
    pub args: Vec<String>,
    /// Longest time for one text, in milliseconds, 100 to 120000.
    pub timeout_ms: u64,
    /// How many texts are asked for at the same time, 1 to 256.
    pub parallel: usize,
    /// How often a text is asked for while somebody still speaks, for partial results, in milliseconds, 500 to 60000;
    /// 0 never. Each is a request of its own with the sound so far.
    pub partial_ms: u64,
}

impl Default for SttConfig {
    fn default() -> Self {
        Self {
            provider: String::new(),
            url: String::new(),
            key: Secret::default(),
            model: "whisper-1".to_owned(),
            response_format: "json".to_owned(),
            command: String::new(),
            args: Vec::new(),
            timeout_ms: 15_000,
            parallel: 16,
            partial_ms: 0,
        }
    }
}

impl SttConfig {
    /// The limit for one text.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// How often partial results are asked for.
    pub fn partial_every(&self) -> Option<Duration> {
        (self.partial_ms > 0).then(|| Duration::from_millis(self.partial_ms))
    }

    /// Every setting that breaks a rule.
    pub fn problems(&self) -> Vec<Problem> {
        let is = |name: &str| self.provider == name;
        let rules = [
            (
                is("") || asr::NAMES.contains(&self.provider.as_str()),
                "provider",
                self.provider.clone(),
                format!("must be empty or one of {}", asr::NAMES.join(", ")),
            ),
            (
                !is("openai") || is_http(&self.url),
                "url",
                self.url.clone(),
                "must be an http or https URL".to_owned(),
            ),
            (
                !is("command") || !self.command.trim().is_empty(),
                "command",
                self.command.clone(),
                "must name a program".to_owned(),
            ),
            (
                matches!(self.response_format.as_str(), "json" | "verbose_json"),
                "response_format",
                self.response_format.clone(),
                "must be json or verbose_json".to_owned(),
            ),
            (
                (100..=120_000).contains(&self.timeout_ms),
                "timeout_ms",
                self.timeout_ms.to_string(),
                "must be between 100 and 120000".to_owned(),
            ),
            (
                (1..=256).contains(&self.parallel),
                "parallel",
                self.parallel.to_string(),
                "must be between 1 and 256".to_owned(),
            ),
            (
                self.partial_ms == 0 || (500..=60_000).contains(&self.partial_ms),
                "partial_ms",
                self.partial_ms.to_string(),
                "must be 0 or between 500 and 60000".to_owned(),
            ),
        ];
        rules
            .into_iter()
            .filter(|(holds, ..)| !holds)
            .map(|(_, field, value, rule)| Problem { field, value, rule })
            .collect()
    }
}

/// A setting that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field below `[tts]` or `[stt]`.
    pub field: &'static str,
    /// Its value.
    pub value: String,
    /// What it must be.
    pub rule: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}: {}", self.field, self.value, self.rule)
    }
}

impl TtsConfig {
    /// The limit for one sentence.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// Every setting that breaks a rule.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut require = |holds: bool, field, value: &dyn fmt::Display, rule: String| {
            if !holds {
                problems.push(Problem {
                    field,
                    value: value.to_string(),
                    rule,
                });
            }
        };
        let names = tts::NAMES.join(", ");
        let known = tts::NAMES.contains(&self.provider.as_str());
        require(
            known,
            "provider",
            &self.provider,
            format!("must be one of {names}"),
        );
        let program = self.provider != "command" || !self.command.trim().is_empty();
        require(
            program,
            "command",
            &self.command,
            "must name a program".to_owned(),
        );
        let server = self.provider != "http" || is_http(&self.url);
        require(
            server,
            "url",
            &self.url,
            "must be an http or https URL".to_owned(),
        );
        let format = matches!(self.response_format.as_str(), "wav" | "mp3" | "flac");
        require(
            format,
            "response_format",
            &self.response_format,
            "must be wav, mp3 or flac".to_owned(),
        );
        let time = (100..=120_000).contains(&self.timeout_ms);
        require(
            time,
            "timeout_ms",
            &self.timeout_ms,
            "must be between 100 and 120000".to_owned(),
        );
        let parallel = (1..=64).contains(&self.parallel);
        require(
            parallel,
            "parallel",
            &self.parallel,
            "must be between 1 and 64".to_owned(),
        );
        problems
    }
}

fn is_http(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_break_no_rule() {
        assert_eq!(TtsConfig::default().problems(), []);
    }

    #[test]
    fn each_problem_names_field_value_and_rule() {
        let config = TtsConfig {
            provider: "http".to_owned(),
            url: "ftp://x".to_owned(),
            response_format: "wma".to_owned(),
            timeout_ms: 5,
            parallel: 0,
            ..TtsConfig::default()
        };
        let said: Vec<String> = config.problems().iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "url = ftp://x: must be an http or https URL",
                "response_format = wma: must be wav, mp3 or flac",
                "timeout_ms = 5: must be between 100 and 120000",
                "parallel = 0: must be between 1 and 64",
            ]
        );
        let other = TtsConfig {
            provider: "pigeon".to_owned(),
            ..TtsConfig::default()
        };
        assert_eq!(
            other.problems()[0].to_string(),
            "provider = pigeon: must be one of command, http"
        );
    }

    #[test]
    fn a_recogniser_needs_its_server_or_program() {
        assert_eq!(SttConfig::default().problems(), []);
        let said = |toml: &str| {
            let config: SttConfig = toml::from_str(toml).unwrap();
            let all: Vec<_> = config.problems().iter().map(ToString::to_string).collect();
            all.join("; ")
        };
        assert_eq!(
            said("provider = \"openai\"\nparallel = 0"),
            "url = : must be an http or https URL; parallel = 0: must be between 1 and 256"
        );
        assert_eq!(
            said("provider = \"command\"\npartial_ms = 20"),
            "command = : must name a program; partial_ms = 20: must be 0 or between 500 and 60000"
        );
        assert_eq!(
            said("provider = \"parrot\""),
            "provider = parrot: must be empty or one of command, openai"
        );
    }

    #[test]
    fn an_unknown_key_is_refused_and_a_key_does_not_print() {
        assert!(toml::from_str::<TtsConfig>("voise = 1").is_err());
        let config: TtsConfig = toml::from_str("key = \"hunter2\"\ndialect = \"piper\"").unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        assert_eq!(config.dialect, Dialect::Piper);
    }
}
