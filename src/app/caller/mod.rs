//! A telephone over real sockets: the same SIP, SDP and media code as the server, from the other side.
//!
//! - `target`: whom to call and where to send it. `script`: what to do in a call. `manner`: how to behave in one.
//! - `agent`: one endpoint with its sockets, media and ladder, until everything is over. `events`: what the endpoint
//!   tells. `line`: one call; `sound`: its session descriptions and its media. `steps`: scripts and transfers.
//!   `login`: the registration.
//! - `place`: one call. `phone`: a telephone that waits for calls. `sockets`: what they send and receive on.
//! - `level`: how loud what is heard is. `outcome`: how it went, and its exit status.

mod agent;
mod events;
pub mod level;
mod line;
mod login;
pub mod manner;
pub mod outcome;
pub mod phone;
pub mod place;
pub mod script;
mod sockets;
mod sound;
mod steps;
pub mod target;

pub use agent::{Observer, PlaceError};
pub use manner::{Identity, Manner, Network};
pub use outcome::{Ending, Heard, Outcome, Shift};
pub use phone::{Phone, Reply, serve};
pub use place::{Request, place};
pub use target::Destination;
