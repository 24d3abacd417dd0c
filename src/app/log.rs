//! The log: level and format from `[log]`, always to standard error so that output stays machine-readable.
//!
//! What strangers write ends up in it. One event is one line whatever they wrote, and moves no terminal (`security.md`
//! row 27): the writer sees to that, so that no place that logs has to.

use std::io::{self, IsTerminal as _, Write};

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
        let ansi = self.format == LogFormat::Text && io::stderr().is_terminal();
        let builder = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(move || OneLine {
                to: io::stderr(),
                ansi,
            });
        let started = match self.format {
            LogFormat::Text => builder.with_ansi(ansi).try_init(),
            LogFormat::Json => builder.json().flatten_event(true).try_init(),
        };
        if started.is_err() {
            tracing::debug!("the log runs already");
        }
    }
}

/// Writes each event as one line of printable text.
struct OneLine<W> {
    to: W,
    /// Colours are the formatter's, which lets none of the text through.
    ansi: bool,
}

impl<W: Write> Write for OneLine<W> {
    /// The formatter hands over an event at a time.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let steers = |letter: char| moves(letter) && !(self.ansi && letter == '\u{1b}');
        if line.chars().any(steers) {
            let mut plain = String::with_capacity(line.len() + 32);
            for letter in line.chars() {
                match letter {
                    '\n' => plain.push_str("\\n"),
                    '\r' => plain.push_str("\\r"),
                    '\t' => plain.push_str("\\t"),
                    // As JSON has it, too.
                    letter if steers(letter) => {
                        plain.extend(format!("\\u{:04x}", u32::from(letter)).chars());
                    }
                    letter => plain.push(letter),
                }
            }
            plain.push('\n');
            self.to.write_all(plain.as_bytes())?;
        } else {
            self.to.write_all(event)?;
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Ends a line, moves a cursor, or turns the direction of what follows.
fn moves(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const HOSTILE: [&str; 9] = [
        "a\nb",
        "a\r\n2026-11-22T00:00:00Z  WARN swivel::security: wrong credentials from 192.0.2.1 by udp as \"",
        "\u{1b}[2J\u{1b}]0;title\u{7}",
        "\u{9b}31m",
        "\u{202e}txt.exe",
        "\u{2028}line\u{2029}",
        "\0\u{8}\u{7f}",
        "%0a%0d",
        "\u{2066}\u{2069}\u{200f}",
    ];

    fn told(json: bool) -> String {
        let kept = Kept::default();
        let to = kept.clone();
        let writer = move || OneLine {
            to: to.clone(),
            ansi: false,
        };
        let builder = tracing_subscriber::fmt()
            .with_writer(writer)
            .with_ansi(false);
        let work = || {
            for text in HOSTILE {
                tracing::warn!(field = %text, quoted = ?text, "{text} and {text:?}");
            }
        };
        if json {
            tracing::subscriber::with_default(builder.json().flatten_event(true).finish(), work);
        } else {
            tracing::subscriber::with_default(builder.finish(), work);
        }
        String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn an_event_is_one_line_and_moves_no_terminal_whatever_it_says() {
        for json in [false, true] {
            let log = told(json);
            let lines: Vec<&str> = log.split_terminator('\n').collect();
            assert_eq!(lines.len(), HOSTILE.len(), "{log}");
            for line in lines {
                assert!(!line.contains(moves), "{line:?}");
                if json {
                    let event: serde_json::Value = serde_json::from_str(line).unwrap();
                    assert_eq!(event["level"], "WARN");
                } else {
                    assert!(line.contains(" WARN "), "{line}");
                }
            }
        }
    }

    #[test]
    fn colours_are_let_through_and_nothing_else() {
        let mut line = OneLine {
            to: Vec::new(),
            ansi: true,
        };
        line.write_all(b"\x1b[31mred\x1b[0m\r\x08\n").unwrap();
        assert_eq!(line.to, b"\x1b[31mred\x1b[0m\\r\\u0008\n");
    }

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
