//! Session descriptions (RFC 8866) and what two of them agree on (RFC 3264).
//!
//! - `session`: the description: a tolerant parser with limits, and the writer.
//! - `crypto`: SRTP keys in the description.
//! - `webrtc`: ICE and DTLS in the description.
//! - `negotiate`: offers, answers, and the media both sides agreed on.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice))]

pub mod crypto;
pub mod negotiate;
pub mod session;
pub mod webrtc;

pub use crate::rtp::srtp::SrtpKeys;
pub use crypto::Crypto;
pub use negotiate::{Agreed, Author, Direction, Keying, Local, Refused};
pub use session::{Attribute, Connection, Host, Media, Origin, SdpError, Session};
pub use webrtc::{Webrtc, WebrtcAgreed};
