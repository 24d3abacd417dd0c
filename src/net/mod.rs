//! SIP sockets and the signalling thread's driver. Knows bytes, connections and addresses; everything a message means
//! is decided by the `Signalling` it feeds.
//!
//! - `config`: `[sip]` of the configuration: what to listen on, what to advertise.
//! - `listen`: parses and binds listeners.
//! - `udp`: datagrams in batches, answered from the address they came to. `stun`: keepalives of phones on the same port.
//! - `line`: one stream connection: framing, deadlines, a write queue with a limit. `table`: those that are open.
//!   `seats`: how many there may be.
//! - `pipes`: connections of TLS and WebSocket, which live on the io runtime. `tls`, `ws`: their handshakes.
//!   `dialler`: the same for `swivel call`.
//! - `dns`: where SIP URIs lead (RFC 3263). `prober`: looks at a far server step by step.
//! - `driver`: moves bytes and timeouts between sockets and `Signalling`.

pub mod config;
mod dialler;
pub mod dns;
pub mod driver;
mod line;
pub mod listen;
mod pipes;
mod prober;
mod seats;
mod stun;
mod table;
pub mod tls;
mod udp;
pub mod ws;

pub use config::SipConfig;
pub use dialler::{Dialled, Dialler};
pub use dns::{DnsConfig, Probe, Resolver};
pub use driver::{Driver, Signalling};
pub use listen::{Bound, ListenError};
pub use pipes::{Transports, WebSockets};
pub use prober::Prober;
pub use seats::Seat;
pub use tls::{Tls, TlsConfig};
