//! From a dialled number to a callflow, and whether the caller may have it: pure functions over the directory.
//!
//! - `normalise`: numbers in full (E.164), their classes.
//! - `route`: which callflow a dialled string belongs to, and who may use `no_match`.
//! - `target`: an endpoint to ring, as it is handed to a bridge.
//! - `permission`: the checks made when a call is won: disabled services, call restrictions, closed groups.
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice))]

mod normalise;
mod permission;
mod route;
mod target;

pub use normalise::{Class, EMERGENCY, classify, normalise, to_e164};
pub use permission::{Restriction, restriction};
pub use route::{Caller, Route, hunt, preflow, route};
pub use target::{Place, Target};
