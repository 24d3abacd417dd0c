//! What matters of a SIP message for the cause of a failure. Reads text, keeps little, expects nothing.

use std::net::IpAddr;

use crate::audio::codec::Codec;
use crate::journal::message::Text;

/// The first line and the headers that matter.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen<'a> {
    /// Method of a request; empty for a response.
    pub(super) method: &'a str,
    /// Status of a response; 0 for a request.
    pub(super) status: u16,
    /// Reason phrase of a response.
    pub(super) phrase: &'a str,
    /// Method of CSeq.
    pub(super) about: &'a str,
    pub(super) warning: &'a str,
    pub(super) reason: &'a str,
    pub(super) retry_after: &'a str,
    pub(super) agent: &'a str,
    pub(super) from: &'a str,
    pub(super) authorized: bool,
    pub(super) body: &'a str,
}

/// Reads a message; `None` for what no cause is read from.
pub(super) fn read(bytes: &[u8]) -> Option<Seen<'_>> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(bytes.get(..error.valid_up_to())?).ok()?,
    };
    let message = Text::of(text);
    let mut seen = Seen {
        method: message.method,
        status: match message.status {
            Some(status) => status.parse().ok()?,
            None => 0,
        },
        phrase: message.phrase,
        body: message.body,
        ..Seen::default()
    };
    for (name, value) in message.headers() {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        if is("cseq") {
            seen.about = value.split_whitespace().nth(1).unwrap_or_default();
        } else if is("warning") {
            seen.warning = value;
        } else if is("reason") {
            seen.reason = value;
        } else if is("retry-after") {
            seen.retry_after = value.split([' ', ';', '(']).next().unwrap_or_default();
        } else if is("user-agent") || is("server") {
            seen.agent = value;
        } else if is("from") || is("f") {
            seen.from = value;
        } else if is("authorization") || is("proxy-authorization") {
            seen.authorized = true;
        }
    }
    Some(seen)
}

/// What swivel has.
pub(super) fn supported() -> String {
    let names = Codec::USUAL.iter().map(|codec| match codec.name() {
        "opus" => "Opus".to_owned(),
        name => name.to_owned(),
    });
    names.collect::<Vec<_>>().join(", ")
}

/// An address that is no use outside its own network.
pub(super) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_tells_status_method_and_warning_whatever_it_is() {
        let seen =
            read(b"SIP/2.0 488 Not Acceptable\r\nCSeq: 1 INVITE\r\nWarning: 399 a \"b\"\r\n\r\n")
                .unwrap();
        assert_eq!(
            (seen.status, seen.about, seen.warning),
            (488, "INVITE", "399 a \"b\"")
        );
        assert_eq!(read(b"\xff\xfe").map(|seen| seen.status), Some(0));
        assert!(read(b"SIP/2.0 abc\r\n\r\n").is_none());
    }
}
