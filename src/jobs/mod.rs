//! The durable outbox: work that must happen after a call, at least once, also when the process dies in between.
//!
//! - `job`: what is stored of a job, and when it is tried again.
//! - `http`: the job of making an HTTP request, for status callbacks and whatever else only has to be told.
//! - `outbox`: the runner: takes what is due, in order a lane, a few at a time.
//!
//! - `webhooks`: URLs that are told of events: the events, and their delivery.
//!
//! Whoever has work adds a job to the batch that makes its cause durable ([`Outbox::enqueue`]), so that there is
//! never one without the other. A job's id goes with every attempt, so that a receiver can tell repetitions. Runners are
//! registered by kind (`http`, uploads of recordings, `webhook`).

pub mod http;
mod job;
mod outbox;
pub mod webhooks;

pub use http::{HttpJob, HttpRunner};
pub use job::{Job, NewJob};
pub use outbox::{Outbox, Outcome, Runner, Runners};
