//! From a dialled number to a callflow, and whether the caller may have it: pure functions over the directory.
//!
//! - `normalise`: numbers in full (E.164), their classes.
//! - `route`: which callflow a dialled string belongs to, and who may use `no_match`.
//! - `attributes`: what account, owner and device say together. `origin`: who calls, as others are to see it.
//! - `endpoints`: what rings for a device, a user or a group. `forward`: where forwarded calls end up.
//! - `did`: whose a call from a carrier is. `blacklist`: and who may not call.
//! - `target`: an endpoint to ring, as it is handed to a bridge.
//! - `trunks`: which gateways a number is sent to, and how it is written there. `policy`: which numbers an account may dial,
//!   `caps`: and how much.
//! - `temporal`: rules of time.
//! - `permission`: the checks made when a call is won: disabled services, call restrictions, closed groups.
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice))]

pub mod attributes;
pub mod blacklist;
pub mod caps;
pub mod did;
pub mod endpoints;
pub mod forward;
mod normalise;
mod origin;
mod permission;
pub mod policy;
mod route;
mod target;
pub mod temporal;
pub mod trunks;

pub use attributes::{Attributes, IdKind, Identity, When};
pub use normalise::{CLASSIFIERS, Class, Classifier, EMERGENCY, classify, normalise, to_e164};
pub use origin::{Origin, Presentation, Privacy, Shown};
pub use permission::{Restriction, restriction};
pub use route::{Caller, Route, hunt, preflow, route};
pub use target::{Place, Secrecy, Target};
