//! Building responses (RFC 3261 §8.2.6).

use std::time::Instant;

use super::Body;
use crate::sip::dialog::dialog::token;
use crate::sip::dialog::session_timer::Granted;
use crate::sip::msg::{Message, Name, Reason};

/// A refusal of a request: its final response without the copied headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: u16,
    /// Empty takes the standard phrase.
    pub(super) reason: &'static str,
    pub(super) headers: Vec<(Name, String)>,
    /// Sent a second after this time only, so that guessing takes its while.
    pub(super) held: Option<Instant>,
}

impl Refused {
    pub(super) fn new(status: u16) -> Self {
        Self {
            status,
            reason: "",
            headers: Vec::new(),
            held: None,
        }
    }

    pub(super) fn because(status: u16, reason: &'static str) -> Self {
        Self {
            status,
            reason,
            headers: Vec::new(),
            held: None,
        }
    }

    pub(super) fn with(mut self, name: Name, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A response to `request`; `tag` is added to a To without one, except on 100 (§8.2.6.1).
pub(super) fn response(request: &Message, status: u16, reason: &str, tag: Option<u64>) -> Message {
    let tag = tag.filter(|_| status != 100).map(token);
    request.reply(status, reason, tag.as_deref())
}

/// `text` without what could end a header line or begin another.
pub(super) fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Why a request was sent, of all its reasons (RFC 3326 §2): the Q.850 cause when there is one.
pub(super) fn reason_of(message: &Message) -> Option<Reason> {
    let values = message.headers.all(Name::Reason);
    let mut reasons: Vec<Reason> = values.flat_map(Reason::parse_list).take(8).collect();
    let q850 = reasons
        .iter()
        .position(|reason| reason.protocol.eq_ignore_ascii_case("Q.850"));
    (!reasons.is_empty()).then(|| reasons.swap_remove(q850.unwrap_or(0)))
}

/// Adds a body and its type.
pub(super) fn push_body(message: &mut Message, body: &Body) {
    message
        .headers
        .push(Name::ContentType, one_line(&body.content_type));
    message.body = body.bytes.clone();
}

/// Adds what a 2xx says about the session interval.
pub(super) fn push_session(response: &mut Message, granted: &Granted) {
    response
        .headers
        .push(Name::SessionExpires, granted.expires.to_string());
    if granted.require {
        response.headers.push(Name::Require, "timer");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_text_from_outside_stays_on_its_line() {
        assert_eq!(one_line("a\r\nVia: x\0"), "a  Via: x ");
    }
}
