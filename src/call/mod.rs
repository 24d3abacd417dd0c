//! Calls: the actor of each call and what a script can do with it. Signalling thread only.
//!
//! - `thread`: starts the signalling thread with its sockets and its core.
//! - `core`: one endpoint and the calls behind it; dispatches events, hands commands on.
//! - `inbound`: an INVITE becomes a call with facts, a callflow and a script.
//! - `identity`: who a carrier says is calling.
//! - `handle`: what a script holds; `ops/`: what it can do, one file an operation.
//! - `state`: what script and events share; `events`: what happens to a call, up to its end.
//! - `outbound`: legs we place; `joined`: whose ports hear each other; `transfer`, `replaces`: who takes whose place.
//! - `conference`: rooms in which many legs hear each other.
//! - `queue`: callers who wait to be taken.
//! - `originate`: calls nobody has dialled: one party is rung, and goes on with a flow or another party.
//! - `actions`: what others may do to a leg that is up.
//! - `facts`: what is known of a call, and the variables its script changes.
//! - `automatic`: what documents want recorded. `cdr`: the record of a leg. `channels`: the legs that are up, for other threads.
//! - `doorman`: who may call; `info`: digits in INFO bodies; `presses`: which of them count.
//! - `reach`: whether the servers of carriers answer.
//! - `overload`: when new calls are refused.

pub mod actions;
mod automatic;
mod cdr;
pub mod channels;
pub mod conference;
pub mod core;
pub mod doorman;
pub mod error;
mod events;
pub mod facts;
pub mod handle;
mod heard;
mod identity;
mod inbound;
mod info;
mod joined;
pub mod ops;
mod originate;
mod outbound;
mod overload;
mod presses;
pub mod queue;
mod reach;
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
pub use ops::attend::{Attendant, Attended, LegNews};
pub use ops::bridge::{BridgeOptions, Bridged, Strategy, Talked};
pub use ops::collect::{CollectEnd, CollectOptions, Collected};
pub use ops::conference::{Beep, ConferenceEnd, ConferenceOptions, Conferenced};
pub use ops::pickup::Whose;
pub use ops::play::{PlayEnd, PlayOptions, Played};
pub use ops::queue::{
    DequeueOptions, DequeueResult, Dequeued, EnqueueOptions, Enqueued, QueueResult,
};
pub use ops::recognise::{Partial, RecogniseOptions, Recognised};
pub use ops::record::{Begin, Kept, NewRecording, RecordOptions, Recorded};
pub use ops::redirect::{Redirected, Redirects};
pub use ops::refer::Referral;
pub use ops::stream::{
    StreamEnd, StreamError, StreamEvent, StreamNews, StreamOptions, StreamWatch,
};
pub use ops::waiting::{WaitEnd, WaitFacts, WaitFlow, WaitSound};
pub use originate::{NoCall, Originate, Originated, Party, ShownAs};
pub use services::Services;
