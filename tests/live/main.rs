//! The real binary over real sockets, with SIPp, baresip, web servers and itself as callers. Loopback only.
//!
//! - `server`: starts swivel on free ports. `http`: asks its API. `web`: a Pivot application in Python. `phone`: baresip.
//! - `audio`: what was heard. `voice`: Piper's server, and whether a call let it through. `tools`: which outside programs there are.
//! - `peer`: raw SIP of the test's own making. `hostile`: a web server that means no good.
//! - `desk`: baresip as a phone that registers and rings. `telephone`: swivel's own phone. `softphone`: pjsua2. `linphone`, `office`: others at their desks.
//! - `pivot`, `recordings`, `registrar`, `bridged`, `carriers`, `conference`, `kamailio`, `sipp`, `commands`, `crash`, `howto`, `told`, `backup`, `fetch`, `transports`, `media_streams`, `recognise`, `signatures`, `twiml`: the tests. `attackers`: sipvicious. `torture`, `mutation`, `bombs`, `streams`, `flood`, `limits`, `mix`: bad input, and too much of it.
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

mod attackers;
mod audio;
mod backup;
mod bombs;
mod bridged;
mod browser;
mod carriers;
mod commands;
mod conference;
mod crash;
mod desk;
mod fetch;
mod flood;
mod hostile;
mod howto;
mod http;
mod kamailio;
mod limits;
mod linphone;
mod media_streams;
mod mix;
mod mutation;
mod office;
mod peer;
mod phone;
mod pivot;
mod recognise;
mod recordings;
mod registrar;
mod server;
mod signatures;
mod sipp;
mod softphone;
mod streams;
mod telephone;
mod told;
mod tools;
mod torture;
mod transports;
mod twiml;
mod voice;
mod web;
