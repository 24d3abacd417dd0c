//! Transactions: the four state machines and their tables (RFC 3261 §17, RFC 6026, RFC 4320).
//!
//! The machines know states and times only; bytes, flows and owners stand beside them in the tables, and the user agent
//! does what the machines say.
//!
//! - `timing`: the constants of RFC 3261's Table 4.
//! - `schedule`: the one ordered queue of timers.
//! - `seeded`: hash maps whose order replays and whose keys a peer cannot aim.
//! - `invite_client`, `client`, `invite_server`, `server`: the machines.
//! - `key`: how a request finds its server transaction.
//! - `table`: server and client transactions, found by key or branch, counted by source.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice))]
#![deny(clippy::wildcard_enum_match_arm)]

pub(crate) mod client;
pub(crate) mod invite_client;
pub(crate) mod invite_server;
pub(crate) mod key;
pub(crate) mod schedule;
pub(crate) mod seeded;
pub(crate) mod server;
pub(crate) mod table;
pub(crate) mod timing;

#[cfg(test)]
pub(crate) mod tests;
