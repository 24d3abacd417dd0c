//! Configuration, wiring and the command line: the highest room, which may name every other.
//!
//! - `config`: the TOML file, environment overrides, secrets, ranges. `log`: what is logged, how and where.
//! - `serve`: starts and stops everything. `control`: the socket commands come through; `office`: what they do;
//!   `bundle`: the documents of `apply` and `export`.
//! - `health`: how a running server stands. `caller`: a caller over real sockets. `ladder`: messages with times. `top`: the
//!   screen of `swivel top`. `demo`: the demo's account and web application.
//! - `cli`: one command a file; the only place that prints.

pub mod bundle;
pub mod caller;
pub mod cli;
pub mod config;
pub mod control;
pub mod demo;
mod health;
pub mod ladder;
pub mod log;
pub mod office;
pub mod serve;
pub mod top;
