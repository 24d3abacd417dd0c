//! SIP without sockets or clocks (RFC 3261 and friends): bytes and times in, bytes and events out.
//!
//! - `flow`: where a message came from or goes to.
//! - `gate`: per-source buckets and stateless refusals, before the full parse.
//! - `wire`: framing, limits, unfolding, compact names: bytes → `msg::Message`.
//! - `msg`: the ordered raw message and typed header values.
//! - `digest`: challenges, credentials, nonces (RFC 7616, 8760).
//! - `transaction`: the four state machines (RFC 3261 §17, RFC 6026).
//! - `dialog`: route set, CSeq, offer/answer turn, reliable provisionals, session timer.
//! - `ua`: the one `Endpoint` that owns all of it.

pub(crate) mod dialog;
pub mod digest;
pub mod flow;
pub mod gate;
pub mod msg;
pub(crate) mod transaction;
pub mod ua;
pub mod wire;
