//! The real binary over real sockets, with SIPp, baresip, web servers and itself as callers. Loopback only.
//!
//! - `server`: starts swivel on free ports. `http`: asks its API. `web`: a Pivot application in Python. `phone`: baresip.
//! - `audio`: what was heard. `voice`: Piper's server, and whether a call let it through. `tools`: which outside programs there are.
//! - `peer`: raw SIP of the test's own making. `hostile`: a web server that means no good.
//! - `desk`: baresip as a phone that registers and rings. `telephone`: swivel's own phone. `softphone`: pjsua2. `linphone`, `office`: others at their desks. `page`: the page in Chromium.
//! - The others are the tests, named for what they look at. `attackers`: sipvicious. `probes`, `rogue`: the same in words of our own. `torture`, `mutation`, `bombs`, `runaways`, `streams`, `flood`, `limits`, `full_disk`, `mix`, `spray`: bad input, and too much of it.
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

mod application;
mod asked;
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
mod described;
mod desk;
mod faults;
mod fetch;
mod flood;
mod full_disk;
mod hostile;
mod howto;
mod http;
mod injected;
mod kamailio;
mod kazoo_sdk;
mod lens;
mod limits;
mod linphone;
mod media_streams;
mod mix;
mod mutation;
mod names;
mod office;
mod page;
mod peer;
mod phone;
mod pipecat;
mod pivot;
mod probes;
mod recognise;
mod recordings;
mod registrar;
mod rogue;
mod runaways;
mod secrets;
mod sent_on;
mod server;
mod signatures;
mod sipp;
mod softphone;
mod spray;
mod streams;
mod telephone;
mod told;
mod tools;
mod torture;
mod transports;
mod trunk_test;
mod twilio_rest;
mod twiml;
mod vendors;
mod voice;
mod web;
