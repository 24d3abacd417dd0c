//! A caller over real sockets: the same SIP, SDP and media code as the server, from the other side.
//!
//! - `target`: whom to call and where to send it. `keys`: which keys to press.
//! - `place`: one call from INVITE to the completed recording. `sockets`: what it sends and receives on.
//! - `level`: how loud what is heard is. `outcome`: how the call went, and its exit status.

pub mod keys;
pub mod level;
pub mod outcome;
pub mod place;
mod sockets;
pub mod target;

pub use outcome::{Ending, Heard, Outcome};
pub use place::{Observer, PlaceError, Request, place};
pub use target::Destination;
