//! Deterministic tests: no sockets, no sleeping.

#![allow(unreachable_pub, reason = "a test crate has no outside")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::too_many_arguments,
    reason = "a test that cannot go on has failed"
)]

mod actions;
mod api;
mod between;
mod bridge;
mod call;
mod conference;
mod conformance;
mod dropped;
mod flow;
mod fuzz;
mod fuzz_flow;
mod fuzz_media;
mod handed_on;
mod keypad;
mod lens;
mod originate;
mod queue;
mod recognise;
mod recording;
mod registrar;
mod rules;
mod schemas;
mod sip_answers;
mod stream;
mod talk;
mod torture;
mod traffic;
mod transfer;
mod twiml;
mod webhooks;
mod world;
