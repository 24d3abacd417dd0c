//! The operator's configuration: one typed struct a room, composed here and read from TOML.
//!
//! Order: the file, then environment overrides (`SWIVEL_SIP__LISTEN`), then secrets (`${env:NAME}`, `${file:PATH}`),
//! then the ranges. Every refusal names the field, the value and the rule; for the file also its line.
//! What tenants configure (devices, callflows …) is not here: those are documents in the store.
//!
//! - `load`: text and environment to [`Config`].
//! - `place`: which line of the file a key stands on.
//! - `rules`: ranges and what must fit together.

mod load;
mod place;
mod rules;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::log::LogConfig;
use crate::api::HttpConfig;
use crate::base::profile::Profile;
use crate::host::guard::GuardConfig;
use crate::journal::RetentionConfig;
use crate::media::MediaConfig;
use crate::net::{DnsConfig, SipConfig, TlsConfig};
use crate::registrar::{RegistrarConfig, SecurityConfig};
use crate::speech::{SttConfig, TtsConfig};

/// The whole configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the store, recordings, caches and `control.sock` live. Made when missing, mode 0700.
    pub data_dir: PathBuf,
    /// How long a drain waits for calls to end by themselves, in seconds.
    pub drain_seconds: u64,
    /// Whose rules TwiML is run by where KAZOO and Twilio differ; a pivot node's own `twiml_profile` comes first.
    pub twiml_profile: Profile,
    /// `[sip]`: listeners, and what they show.
    pub sip: SipConfig,
    /// `[registrar]`: how phones register.
    pub registrar: RegistrarConfig,
    /// `[security]`: what is done about people who guess passwords.
    pub security: SecurityConfig,
    /// `[tls]`: certificates of SIP over TLS and secure WebSocket.
    pub tls: TlsConfig,
    /// `[dns]`: where SIP names are looked up.
    pub dns: DnsConfig,
    /// `[rtp]`: media ports.
    pub rtp: MediaConfig,
    /// `[http]`: the API.
    pub http: HttpConfig,
    /// `[pivot]`: which addresses web requests may reach.
    pub pivot: GuardConfig,
    /// `[tts]`: who speaks.
    pub tts: TtsConfig,
    /// `[stt]`: who understands speech.
    pub stt: SttConfig,
    /// `[retention]`: how long records and logs are kept.
    pub retention: RetentionConfig,
    /// `[log]`: level and format.
    pub log: LogConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("swivel-data"),
            drain_seconds: 300,
            twiml_profile: Profile::default(),
            sip: SipConfig::default(),
            registrar: RegistrarConfig::default(),
            security: SecurityConfig::default(),
            tls: TlsConfig::default(),
            dns: DnsConfig::default(),
            rtp: MediaConfig::default(),
            http: HttpConfig::default(),
            pivot: GuardConfig::default(),
            tts: TtsConfig::default(),
            stt: SttConfig::default(),
            retention: RetentionConfig::default(),
            log: LogConfig::default(),
        }
    }
}

impl Config {
    /// Reads the configuration: `file` when given, otherwise the first of [`USUAL_PLACES`] that exists, otherwise the
    /// defaults; then the process's environment.
    ///
    /// # Errors
    /// When the file cannot be read, a key is unknown or a value breaks a rule.
    pub fn load(file: Option<&Path>) -> Result<Config, ConfigError> {
        let usual = || USUAL_PLACES.iter().map(Path::new).find(|p| p.exists());
        match file.or_else(usual) {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
                    path: path.to_owned(),
                    source,
                })?;
                load::from_text(&text, Some(path), environment())
            }
            None => Self::from_environment(),
        }
    }

    /// The defaults with the process's environment over them; no file is read.
    ///
    /// # Errors
    /// When a variable names no key or does not fit it.
    pub fn from_environment() -> Result<Config, ConfigError> {
        load::from_text("", None, environment())
    }

    /// Makes `data_dir` when it is missing, for its owner alone.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make_data_dir(&self) -> Result<(), ConfigError> {
        use std::os::unix::fs::DirBuilderExt as _;
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.data_dir);
        made.map_err(|source| ConfigError::DataDir {
            path: self.data_dir.clone(),
            source,
        })
    }

    /// Where the database is.
    pub fn store_dir(&self) -> PathBuf {
        self.data_dir.join("store")
    }

    /// Where the bytes of media documents are.
    pub fn media_dir(&self) -> PathBuf {
        self.data_dir.join("media")
    }

    /// The host of `sip.advertise`, without a port.
    pub fn advertised_host(&self) -> Option<String> {
        let text = &self.sip.advertise;
        let host = match text.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or(rest),
            None if text.matches(':').count() > 1 => text,
            None => text.split(':').next().unwrap_or(text),
        };
        (!host.is_empty()).then(|| host.to_owned())
    }

    /// Where development certificates are.
    pub fn tls_dir(&self) -> PathBuf {
        self.data_dir.join("tls")
    }

    /// How others reach the API.
    pub fn http_base(&self) -> String {
        match self.http.public_url.as_str() {
            "" => format!("http://{}", self.http.listen),
            url => url.to_owned(),
        }
    }

    /// Where recordings are.
    pub fn record_dir(&self) -> PathBuf {
        if self.rtp.record_dir.as_os_str().is_empty() {
            self.data_dir.join("recordings")
        } else {
            self.rtp.record_dir.clone()
        }
    }

    /// The sections in which `new` differs in ways a running server cannot follow.
    pub fn needs_restart(&self, new: &Config) -> Vec<&'static str> {
        let differs = [
            ("data_dir", self.data_dir != new.data_dir),
            ("twiml_profile", self.twiml_profile != new.twiml_profile),
            ("sip", self.sip != new.sip),
            ("registrar", self.registrar != new.registrar),
            ("security", self.security != new.security),
            ("dns", self.dns != new.dns),
            ("rtp", self.rtp != new.rtp),
            ("http", self.http != new.http),
            ("tts", self.tts != new.tts),
            ("stt", self.stt != new.stt),
            ("retention", self.retention != new.retention),
            ("log", self.log != new.log),
        ];
        differs
            .into_iter()
            .filter(|(_, differs)| *differs)
            .map(|(key, _)| key)
            .collect()
    }

    /// Where the running server takes commands.
    pub fn control_socket(&self) -> PathBuf {
        self.data_dir.join("control.sock")
    }
}

fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
}

/// Where `--config` is looked for when it is not given.
pub const USUAL_PLACES: [&str; 2] = ["swivel.toml", "/etc/swivel/swivel.toml"];

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The data directory cannot be made.
    #[error("data_dir {} cannot be made: {source}", path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not TOML, has an unknown key, or a value of the wrong kind.
    #[error("{}:{line}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// An environment override names no key or does not fit it.
    #[error("environment variable {variable}: {message}")]
    Environment {
        /// Its name.
        variable: String,
        /// What is wrong.
        message: String,
    },
    /// A `${env:…}` or `${file:…}` could not be filled in.
    #[error("{key}: {message}")]
    Reference {
        /// The dotted key.
        key: String,
        /// What is wrong.
        message: String,
    },
    /// Values outside their ranges.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Rules(Vec<Finding>),
}

/// One value that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The dotted key.
    pub field: String,
    /// The value, as configured.
    pub value: String,
    /// What it must be.
    pub rule: String,
    /// File and line, when it came from a file.
    pub place: Option<(PathBuf, usize)>,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some((path, line)) = &self.place {
            write!(f, "{}:{line}: ", path.display())?;
        }
        write!(f, "{} = {}: {}", self.field, self.value, self.rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `swivel.example.toml` says what holds without it: every key, with its default.
    #[test]
    fn the_example_file_has_every_key_with_its_default() {
        let text =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/swivel.example.toml"))
                .unwrap();
        let example: toml::Table = text.parse().unwrap();
        let defaults = toml::Table::try_from(Config::default()).unwrap();
        let (example, defaults) = (flat("", &example), flat("", &defaults));
        let missing: Vec<_> = defaults
            .iter()
            .filter(|line| !example.contains(line))
            .collect();
        let wrong: Vec<_> = example
            .iter()
            .filter(|line| !defaults.contains(line))
            .collect();
        assert!(
            missing.is_empty() && wrong.is_empty(),
            "missing: {missing:#?}\nwrong: {wrong:#?}"
        );
        assert!(load::from_text(&text, None, []).is_ok());
    }

    fn flat(prefix: &str, table: &toml::Table) -> Vec<String> {
        let lines = table.iter().map(|(key, value)| match value {
            toml::Value::Table(inner) if !inner.is_empty() => {
                flat(&format!("{prefix}{key}."), inner)
            }
            value => vec![format!("{prefix}{key} = {value}")],
        });
        lines.collect::<Vec<_>>().concat()
    }
}
