//! Ids, units, seeded randomness, secrets that never print, and the vocabulary of hang-up causes. Pure.
//!
//! - `rng`: the one source of randomness, seeded by whoever makes it.
//! - `id`: 32-hex document ids, operation ids, the month prefix of CDR ids.
//! - `secret`: text that never shows itself in logs or errors.
//! - `time`: Unix and Gregorian seconds.
//! - `finding`: what a document check found.
//! - `keys`: sets of telephone keys.
//! - `profile`: KAZOO's or Twilio's rules for TwiML.
//! - `cause`: why a call ended, in KAZOO's names, Q.850 numbers and SIP statuses.

pub mod cause;
pub mod finding;
pub mod id;
pub mod keys;
pub mod profile;
pub mod rng;
pub mod secret;
pub mod time;
