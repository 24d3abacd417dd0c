//! A ladder of SIP messages with times, as `call` and `trace` print it, and the same as a pcap file.

use serde::Serialize;

/// Which way a message went, seen from swivel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// It came.
    In,
    /// It left.
    Out,
}

/// One rung: a message, or a remark between messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rung {
    /// Microseconds since the first rung.
    pub at_us: u64,
    /// Which way; `None` for a remark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub way: Option<Way>,
    /// The first line of the message with what matters of it, or the remark.
    pub text: String,
}

impl Rung {
    /// The rung of a message.
    pub fn of_message(at_us: u64, way: Way, bytes: &[u8]) -> Self {
        Self {
            at_us,
            way: Some(way),
            text: headline(bytes),
        }
    }

    /// A remark.
    pub fn remark(at_us: u64, text: impl Into<String>) -> Self {
        Self {
            at_us,
            way: None,
            text: text.into(),
        }
    }
}

impl std::fmt::Display for Rung {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let arrow = match self.way {
            Some(Way::Out) => "-->",
            Some(Way::In) => "<--",
            None => " . ",
        };
        let (seconds, millis) = (self.at_us / 1_000_000, self.at_us % 1_000_000 / 1000);
        write!(f, "{seconds:>5}.{millis:03}  {arrow}  {}", self.text)
    }
}

/// The first line of a SIP message without `SIP/2.0`, its CSeq method for responses, and `+ TYPE` for its body. Control
/// characters of a peer never reach the terminal.
pub fn headline(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let mut content_type = None;
    let mut cseq_method = None;
    for line in lines.take_while(|l| !l.is_empty()) {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        match name.trim().to_ascii_lowercase().as_str() {
            "content-type" | "c" => content_type = Some(value.trim()),
            "cseq" => cseq_method = value.split_whitespace().nth(1),
            _ => {}
        }
    }
    let mut headline = match first.strip_prefix("SIP/2.0 ") {
        Some(status) => format!("{status} ({})", cseq_method.unwrap_or("?")),
        None => first.strip_suffix(" SIP/2.0").unwrap_or(first).to_owned(),
    };
    if let Some(content_type) = content_type {
        headline.push_str(" + ");
        headline.push_str(content_type);
    }
    printable(&headline, 160)
}

/// `text` with control characters shown as `?`, cut to `limit` characters.
pub fn printable(text: &str, limit: usize) -> String {
    text.chars()
        .take(limit)
        .map(|c| if c.is_control() || is_bidi(c) { '?' } else { c })
        .collect()
}

fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

pub use crate::journal::lens::Pcap;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_shown_with_its_method_and_body() {
        let bytes =
            b"SIP/2.0 200 OK\r\nCSeq: 1 INVITE\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n";
        assert_eq!(headline(bytes), "200 OK (INVITE) + application/sdp");
        assert_eq!(
            headline(b"BYE sip:1@h SIP/2.0\r\nCSeq: 2 BYE\r\n\r\n"),
            "BYE sip:1@h"
        );
    }

    #[test]
    fn escape_sequences_of_a_peer_are_not_printed() {
        assert_eq!(
            headline(b"SIP/2.0 200 \x1b[31mred\r\nCSeq: 1 BYE\r\n\r\n"),
            "200 ?[31mred (BYE)"
        );
        assert_eq!(printable("a\u{202e}b", 10), "a?b");
    }

    #[test]
    fn a_rung_has_its_time_and_arrow() {
        let rung = Rung::of_message(1_234_567, Way::Out, b"BYE sip:1@h SIP/2.0\r\n\r\n");
        assert_eq!(rung.to_string(), "    1.234  -->  BYE sip:1@h");
    }
}
