//! The real binary over real sockets, with SIPp, baresip, web servers and itself as callers. Loopback only.
//!
//! - `server`: starts swivel on free ports. `http`: asks its API. `web`: a Pivot application in Python. `phone`: baresip.
//! - `audio`: what was heard. `voice`: Piper's server, and whether a call let it through. `tools`: which outside programs there are.
//! - `peer`: raw SIP of the test's own making. `hostile`: a web server that means no good.
//! - `desk`: baresip as a phone that registers and rings.
//! - `pivot`, `registrar`, `bridged`, `carriers`, `sipp`, `commands`, `crash`, `howto`, `told`, `backup`, `fetch`, `transports`: the tests. `torture`, `mutation`, `bombs`, `streams`, `flood`: bad input, and too much of it.
//!
//! `make test` installs everything these tests need; without it, a missing program fails the test that needs it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test that cannot go on has failed"
)]

mod audio;
mod backup;
mod bombs;
mod bridged;
mod browser;
mod carriers;
mod commands;
mod crash;
mod desk;
mod fetch;
mod flood;
mod hostile;
mod howto;
mod http;
mod mutation;
mod peer;
mod phone;
mod pivot;
mod registrar;
mod server;
mod sipp;
mod streams;
mod told;
mod tools;
mod torture;
mod transports;
mod voice;
mod web;
