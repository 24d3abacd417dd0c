//! The machine for everybody: the clock for drivers, supervised tasks and threads, the HTTP client and its guard.
//!
//! - `clock`: the only place that asks what time it is.
//! - `task`: named tasks and threads whose panics are reported.
//! - `ration`: what is said too often is said once in a while.
//! - `guard`: which addresses we may be made to fetch from; `http`: the HTTP client behind it; `websocket`: WebSockets
//!   by that client.

pub mod clock;
pub mod guard;
pub mod http;
pub mod ration;
pub mod task;
pub mod websocket;
