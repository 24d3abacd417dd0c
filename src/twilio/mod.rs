//! What servers written for Twilio expect on the wire (`pivot.md` §§8.5, 8.7). No socket, clock, file or thread.
//!
//! - `signature`: `X-Twilio-Signature` of requests and WebSocket handshakes.
//! - `stream`: the messages of Media Streams. `playout`: what a server sends to be heard, with its marks.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice))]

pub mod playout;
pub mod signature;
pub mod stream;

pub use playout::Playout;
pub use stream::{Description, Incoming, Mistake, Talk, Track, Tracks};
