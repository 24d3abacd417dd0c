//! The log: level and format from `[log]`, always to standard error so that output stays machine-readable.

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a list of `room=level` such as `info,swivel::sip=debug`.
    pub level: String,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::Text,
        }
    }
}

impl LogConfig {
    /// The filter `level` stands for.
    ///
    /// # Errors
    /// When `level` is neither a level nor a list of `target=level`.
    pub fn filter(&self) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
        EnvFilter::builder().parse(&self.level)
    }

    /// Starts logging. A second call in one process changes nothing.
    pub fn start(&self) {
        let filter = self.filter().unwrap_or_else(|_| EnvFilter::new("info"));
        let builder = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr);
        let started = match self.format {
            LogFormat::Text => builder
                .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
                .try_init(),
            LogFormat::Json => builder.json().flatten_event(true).try_init(),
        };
        if started.is_err() {
            tracing::debug!("the log runs already");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_may_be_a_word_or_a_list() {
        let with = |level: &str| {
            LogConfig {
                level: level.to_owned(),
                format: LogFormat::Text,
            }
            .filter()
            .is_ok()
        };
        assert!(with("debug"));
        assert!(with("info,swivel::sip=trace"));
        assert!(!with("swivel=loud"));
    }
}
