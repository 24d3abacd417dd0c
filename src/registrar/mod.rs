//! Who is where: bindings of phones, and everything around them. Signalling thread only.
//!
//! - `binding`: one Contact of an address of record. `register`: reads a REGISTER (RFC 3261 §10.3).
//! - `table`: all bindings, their expiry, and what changes them, under a clock that is handed in.
//! - `server`: [`Registrar`], the handle: answers requests, drives timers, writes the store and the journal.
//! - `keepalive`: OPTIONS and CRLF to phones behind NATs. `persist`: bindings as the store has them.
//! - `mwi`: who is told how many messages wait (RFC 3842).
//! - `login`: our own registration with a carrier, as a machine; `trunks`: drives all of them; `carriers`: which they are.
//! - `guard`: who guesses passwords, and for how long he is not listened to.
//! - `remote`: what other threads may ask. `config`: `[registrar]` and `[security]`.

mod binding;
mod carriers;
pub mod config;
mod guard;
mod keepalive;
mod login;
mod mwi;
mod persist;
mod register;
pub mod remote;
mod server;
mod table;
mod trunks;

pub use binding::{Aor, Binding};
pub use carriers::carriers;
pub use config::{RegistrarConfig, SecurityConfig};
pub use login::{Carrier, granted};
pub use mwi::Messages;
pub use remote::{Asks, Registration, Remote};
pub use server::{Parts, Registrar};
pub use trunks::{Lookup, Place, Resolve, TrunkStatus};
