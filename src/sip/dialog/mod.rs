//! Dialogs and what happens inside an INVITE usage (RFC 3261 §12–15, 3262, 3264, 4028). States and times, no bytes.
//!
//! - `dialog`: tags, sequence numbers, remote target; builds the requests of a dialog.
//! - `route_set`: loose and strict routes.
//! - `exchange`: whose turn it is in offer/answer.
//! - `reliable`: provisional responses that are acknowledged, both sides.
//! - `unacked`: the 2xx that is repeated until its ACK.
//! - `session_timer`: negotiation and deadlines of the session interval.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice))]
#![deny(clippy::wildcard_enum_match_arm)]

#[expect(clippy::module_inception, reason = "the RFC's own noun")]
pub(crate) mod dialog;
pub(crate) mod exchange;
pub(crate) mod reliable;
pub(crate) mod route_set;
pub(crate) mod session_timer;
pub(crate) mod unacked;
