//! The media engine: worker threads that send and receive RTP for every call.
//!
//! The signalling thread holds [`Media`] (take a port) and one [`Port`] a leg (tell it what to do), and reads
//! [`MediaEvents`]. A worker is pure (`Worker::tick(now, io)`), so the deterministic world runs the same one inline.
//!
//! - `config`, `command`, `event`: what goes in and what comes out.
//! - `engine`: handles, threads, the keeper. `link`: the way from a handle to a worker.
//! - `pool`: bound RTP/RTCP pairs, quarantine. `io`: sockets, clock and bell. `sim`: the same, simulated.
//! - `identity`: the certificate of WebRTC legs.
//! - `worker`: the table of ports; `wheel`: which port is due in which 5 ms slot.
//! - `mixer`: rooms where many ports hear each other.
//! - `port`: one port's state: playing, receiving, keys, RTCP.
//! - `stream`: audio that arrives while it plays. `listen`: sound as it passes, for other threads. `record`: WAV files,
//!   written by the recorder thread.

pub mod sim;

mod command;
mod config;
mod engine;
mod event;
mod identity;
mod io;
mod keeper;
mod link;
mod listen;
mod mixer;
mod pool;
mod port;
mod record;
mod stream;
mod wheel;
mod worker;

pub use command::{Command, Pause, Plan, RecordSpec, Seating, Sides, Source};
pub use config::{MediaConfig, MediaError, PortRange, PortRangeError};
pub use engine::{InlineWorker, Media, Port, Room};
pub use event::{Finish, MediaEvent, MediaEvents, Passed, PortStats, RecordEnd, Sample, Via};
pub use io::{Channel, PacketIo, PortKey, Received};
pub use listen::{FRAME, Listener, Tap, listen};
pub use pool::{Pair, PoolCounts};
pub use record::salvage;
pub use stream::{STREAM_RATE_HZ, StreamReader, StreamWriter, stream};

#[cfg(test)]
mod tests;
