//! Session descriptions (RFC 8866) and what two of them agree on (RFC 3264).
//!
//! - `session`: the description: a tolerant parser with limits, and the writer.
//! - `negotiate`: offers, answers, and the media both sides agreed on.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice))]

pub mod negotiate;
pub mod session;

pub use negotiate::{Agreed, Author, Direction, Local, Refused};
pub use session::{Attribute, Connection, Host, Media, Origin, SdpError, Session};
