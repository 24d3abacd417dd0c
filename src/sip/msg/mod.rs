//! A SIP message as an ordered list of raw headers plus a body; what we do not touch is written back as it came.
//!
//! - `header`: header names and the ordered list. `method`: request methods. `typed`: a message's typed values. `reply`: responses.
//! - `grammar`: tokens, quotes, lists. `params`: `;name=value`. `host`, `uri`, `name_addr`, `via`: addresses.
//! - `cseq`, `timer`, `reason`, `replaces`, `event`, `media_type`: one header each.
//! - `rsip_bridge`: the only file that names the package rsip.
//!
//! Every parser is total: it gives a value or a [`HeaderError`], and never panics. `Display` writes what `parse` reads.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice))]

pub mod cseq;
pub mod event;
pub mod grammar;
pub mod header;
pub mod host;
pub mod media_type;
pub mod method;
pub mod name_addr;
pub mod params;
pub mod reason;
pub mod replaces;
mod reply;
pub mod rsip_bridge;
pub mod timer;
mod typed;
pub mod uri;
pub mod via;

use bytes::Bytes;

pub use cseq::{CSeq, RAck};
pub use event::Event;
pub use grammar::split_commas;
pub use header::{Header, Headers, Name};
pub use host::Host;
pub use media_type::MediaType;
pub use method::Method;
pub use name_addr::{Contacts, NameAddr};
pub use params::Params;
pub use reason::Reason;
pub use replaces::Replaces;
pub use timer::{MinSe, Refresher, RetryAfter, SessionExpires};
pub use uri::{Scheme, Uri};
pub use via::Via;

/// A header value that breaks its grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{header}: {rule}")]
pub struct HeaderError {
    /// The header or the kind of value.
    pub header: &'static str,
    /// The rule it breaks.
    pub rule: &'static str,
}

impl HeaderError {
    pub(crate) const fn new(header: &'static str, rule: &'static str) -> Self {
        Self { header, rule }
    }
}

/// One SIP message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The first line.
    pub start: Start,
    /// All headers in wire order, unfolded.
    pub headers: Headers,
    /// The body, cut to Content-Length.
    pub body: Bytes,
}

/// The first line of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// `METHOD uri SIP/2.0`.
    Request {
        /// The method.
        method: Method,
        /// The Request-URI as it came.
        uri: Box<str>,
    },
    /// `SIP/2.0 status reason`.
    Response {
        /// 100–699.
        status: u16,
        /// The reason phrase.
        reason: Box<str>,
    },
}

impl Message {
    /// A request without headers.
    pub fn request(method: Method, uri: &str) -> Self {
        Self {
            start: Start::Request {
                method,
                uri: uri.into(),
            },
            headers: Headers::default(),
            body: Bytes::new(),
        }
    }

    /// A response without headers; `reason` empty takes the standard phrase.
    pub fn response(status: u16, reason: &str) -> Self {
        let reason = if reason.is_empty() {
            reason_phrase(status)
        } else {
            reason
        };
        Self {
            start: Start::Response {
                status,
                reason: reason.into(),
            },
            headers: Headers::default(),
            body: Bytes::new(),
        }
    }

    /// The method of a request.
    pub fn method(&self) -> Option<&Method> {
        match &self.start {
            Start::Request { method, .. } => Some(method),
            Start::Response { .. } => None,
        }
    }

    /// The Request-URI of a request, raw.
    pub fn request_uri(&self) -> Option<&str> {
        match &self.start {
            Start::Request { uri, .. } => Some(uri),
            Start::Response { .. } => None,
        }
    }

    /// The status of a response.
    pub fn status(&self) -> Option<u16> {
        match &self.start {
            Start::Request { .. } => None,
            Start::Response { status, .. } => Some(*status),
        }
    }

    /// First value of a header, trimmed; `None` when absent or not UTF-8.
    pub fn header(&self, name: Name) -> Option<&str> {
        self.headers.get(name)
    }

    /// The bytes of the message. Content-Length is always written from the body; a header of that name is skipped.
    /// CR, LF and NUL inside a value are written as blanks, so that no value can add a line.
    pub fn to_bytes(&self) -> Bytes {
        let size: usize = self
            .headers
            .iter()
            .map(|h| h.wire_name().len() + h.value.len() + 4)
            .sum();
        let mut out = Vec::with_capacity(size + self.body.len() + 128);
        match &self.start {
            Start::Request { method, uri } => {
                put(&mut out, method.as_str().as_bytes());
                out.push(b' ');
                put(&mut out, uri.as_bytes());
                out.extend_from_slice(b" SIP/2.0\r\n");
            }
            Start::Response { status, reason } => {
                out.extend_from_slice(b"SIP/2.0 ");
                out.extend_from_slice(status.to_string().as_bytes());
                out.push(b' ');
                put(&mut out, reason.as_bytes());
                out.extend_from_slice(b"\r\n");
            }
        }
        for header in self.headers.iter() {
            if header.name == Name::ContentLength {
                continue;
            }
            put(&mut out, header.wire_name().as_bytes());
            out.extend_from_slice(b": ");
            put(&mut out, &header.value);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"Content-Length: ");
        out.extend_from_slice(self.body.len().to_string().as_bytes());
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(&self.body);
        Bytes::from(out)
    }
}

fn put(out: &mut Vec<u8>, text: &[u8]) {
    let start = out.len();
    out.extend_from_slice(text);
    for byte in out
        .iter_mut()
        .skip(start)
        .filter(|b| matches!(b, b'\r' | b'\n' | 0))
    {
        *byte = b' ';
    }
}

/// The standard reason phrase of a status (RFC 3261 §21 and the IANA registry).
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        199 => "Early Dialog Terminated",
        200 => "OK",
        202 => "Accepted",
        204 => "No Notification",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        305 => "Use Proxy",
        380 => "Alternative Service",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        421 => "Extension Required",
        422 => "Session Interval Too Small",
        423 => "Interval Too Brief",
        439 => "First Hop Lacks Outbound Support",
        433 => "Anonymity Disallowed",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        485 => "Ambiguous",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        489 => "Bad Event",
        491 => "Request Pending",
        493 => "Undecipherable",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_can_add_a_line_to_a_message() {
        let mut message = Message::response(200, "OK\r\nEvil: 1");
        message.headers.push(Name::Subject, "a\r\nEvil: 2\0");
        message.headers.push_named("X-\nY", "b");
        message.headers.push(Name::ContentLength, "7");
        message.body = Bytes::from_static(b"v=0\r\n");
        assert_eq!(
            message.to_bytes(),
            "SIP/2.0 200 OK  Evil: 1\r\nSubject: a  Evil: 2 \r\nX- Y: b\r\nContent-Length: 5\r\n\r\nv=0\r\n"
        );
    }
}
