//! The user agent: one `Endpoint` that owns every transaction, dialog and INVITE usage of its listeners.
//!
//! Bytes, times and commands go in; `Transmit`s, `SipEvent`s and one deadline come out. Nothing here waits, opens a
//! socket or reads a clock.
//!
//! - `endpoint`: state, inputs, outputs, timers.
//! - `config`: listeners and settings.
//! - `doorman`: who may call: the question asked of the directory.
//! - `event`: everything that comes out.
//! - `admission`: what is refused or answered without state: load, challenges, strangers.
//! - `capability`, `multipart`: what we implement, and the refusals of the rest.
//! - `reply`: building responses.
//! - `requests`: client transactions. `client_request`: plain requests of ours, such as OPTIONS.
//! - `outside`: requests outside calls that the registrar answers. `bans`: sources nobody listens to.
//! - `reached`: how the servers fare that requests of ours went to.
//! - `transport`: sockets, streams, and the addresses of ours that messages name.
//! - `leg`: one INVITE usage.
//! - `uas`, `uac`: an INVITE up to its final response, from either side. `answering`: the responses of the callee.
//! - `in_dialog`, `modify`, `prack`, `refer`, `referring`, `ending`: what happens inside a call.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice))]

mod admission;
mod answering;
mod bans;
mod capability;
mod client_request;
pub mod config;
pub mod doorman;
mod ending;
pub mod endpoint;
pub mod event;
mod in_dialog;
mod leg;
mod modify;
mod multipart;
mod outside;
mod prack;
mod reached;
mod refer;
mod referring;
mod reply;
mod requests;
mod transport;
mod uac;
mod uas;

pub use crate::sip::msg::Reason;
pub use client_request::{ClientRequest, RequestId, Response, Way};
pub use config::{EndpointConfig, Listener, Reliable};
pub use doorman::{Doorman, Principal};
pub use endpoint::{Endpoint, InviteRequest, Refusal, SipError, Target};
pub use event::{
    BadCredentials, Body, Counts, Direction, Fate, How, IncomingInvite, LegId, Reached, Side,
    SipEvent, Trace, Transmit,
};
pub use outside::{IncomingRequest, Unanswered};
pub use refer::{DialogState, Refer};

#[cfg(test)]
mod tests;
