//! Bytes → messages: framing, limits, unfolding, compact names (RFC 3261 §7, §18.3, §25; RFC 4475).
//!
//! - `limits`: how large a message may be. `error`: what is wrong, and the answer it deserves.
//! - `lines`: the one place that finds lines and header fields. `parse`: one whole message. `stream`: TCP and TLS.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice))]

mod error;
mod limits;
mod lines;
mod parse;
#[cfg(test)]
mod rsip_limits;
mod stream;
#[cfg(test)]
mod tests;

pub use error::{Malformed, WireError};
pub use limits::Limits;
pub use parse::parse_datagram;
pub use stream::{Framed, StreamFramer};

/// What a datagram looks like before it is parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peek<'a> {
    /// Nothing but line ends.
    Keepalive,
    /// A request with that method.
    Request(&'a str),
    /// A response.
    Response,
    /// STUN (RFC 5389 §6: two zero bits and the magic cookie).
    Stun,
    /// None of these.
    Other,
}

/// Looks at the first bytes only; for the gate, which decides before the full parse.
pub fn peek(bytes: &[u8]) -> Peek<'_> {
    if bytes.first().is_some_and(|b| b & 0xc0 == 0)
        && bytes.get(4..8) == Some(&[0x21, 0x12, 0xa4, 0x42])
    {
        return Peek::Stun;
    }
    let bytes = bytes
        .get(lines::leading_line_ends(bytes)..)
        .unwrap_or_default();
    if bytes.is_empty() {
        return Peek::Keepalive;
    }
    if bytes
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/"))
    {
        return Peek::Response;
    }
    let end = bytes.iter().take(256).position(|&b| b == b' ');
    match end
        .and_then(|end| bytes.get(..end))
        .and_then(|word| std::str::from_utf8(word).ok())
    {
        Some(word) if crate::sip::msg::grammar::is_token(word) => Peek::Request(word),
        Some(_) | None => Peek::Other,
    }
}
