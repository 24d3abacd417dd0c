//! SIP sockets and the signalling thread's driver. Knows bytes, connections and addresses; everything a message means
//! is decided by the `Signalling` it feeds.
//!
//! - `config`: `[sip]` of the configuration: what to listen on, what to advertise.
//! - `listen`: parses and binds listeners.
//! - `udp`: datagrams in batches, answered from the address they came to.
//! - `tcp`: connections, framing, write queues with a limit.
//! - `driver`: moves bytes and timeouts between sockets and `Signalling`.

pub mod config;
pub mod driver;
pub mod listen;
mod tcp;
mod udp;

pub use config::SipConfig;
pub use driver::{Driver, Signalling};
pub use listen::{Bound, ListenError};
