//! What a script can do with a call, one file an operation. Callflow modules and TwiML verbs share them.
//!
//! Dropping an operation's future cancels its work: the drop pushes a cancel for its `OpId`, which cannot fail.

pub mod answer;
pub mod attend;
pub mod bridge;
pub mod collect;
pub mod conference;
pub mod digits;
pub mod hangup;
pub mod line;
pub mod pickup;
pub mod play;
pub mod queue;
pub mod recognise;
pub mod record;
pub mod redirect;
pub mod refer;
mod ring;
pub mod stream;
pub(in crate::call) mod talk;
pub(in crate::call) mod tape;
pub mod waiting;
