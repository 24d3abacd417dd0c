//! Calls: the actor of each call and what a script can do with it. Signalling thread only.
//!
//! - `thread`: starts the signalling thread with its sockets and its core.
//! - `core`: one endpoint and the calls behind it; dispatches events, hands commands on.
//! - `inbound`: an INVITE becomes a call with facts, a callflow and a script.
//! - `handle`: what a script holds; `ops/`: what it can do, one file an operation.
//! - `state`: what script and events share; `events`: what happens to a call, up to its end.
//! - `outbound`: legs we place; `joined`: whose ports hear each other; `transfer`, `replaces`: who takes whose place.
//! - `facts`: what is known of a call, and the variables its script changes.
//! - `cdr`: the record of a leg. `channels`: the legs that are up, for other threads.
//! - `doorman`: who may call; `info`: digits in INFO bodies; `presses`: which of them count.
//! - `overload`: when new calls are refused.

mod cdr;
pub mod channels;
pub mod core;
pub mod doorman;
pub mod error;
mod events;
pub mod facts;
pub mod handle;
mod inbound;
mod info;
mod joined;
pub mod ops;
mod outbound;
mod overload;
mod presses;
mod replaces;
pub mod services;
mod state;
pub mod thread;
mod transfer;

pub use crate::base::keys::Keys;
pub use core::{Core, CoreConfig, Resolve, Script};
pub use error::{By, CallError, Ended};
pub use facts::{AfterBridge, CallFacts, CallVars};
pub use handle::CallHandle;
pub use ops::bridge::{BridgeOptions, Bridged, Strategy};
pub use ops::collect::{CollectEnd, CollectOptions, Collected};
pub use ops::pickup::Whose;
pub use ops::play::{PlayEnd, PlayOptions, Played};
pub use ops::recognise::{Partial, RecogniseOptions, Recognised};
pub use ops::record::{RecordOptions, Recorded};
pub use ops::stream::{
    StreamEnd, StreamError, StreamEvent, StreamNews, StreamOptions, StreamWatch,
};
pub use services::Services;
