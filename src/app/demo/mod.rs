//! `swivel demo`: a server with an account, a phone and a few numbers in a temporary directory, a small web application
//! that steers number 2030, and a call to it.
//!
//! - `web`: the web application. `documents`: account, phone and callflows. `api`: reads the traces of the call back.

pub mod api;
pub mod documents;
pub mod web;
