//! TwiML: documents that steer a call, in KAZOO's and Twilio's dialects (`pivot.md` §7, §8).
//!
//! - `parse`: XML to elements with places. `spec`: what the tables are made of. `lint`: reads by them and takes notes.
//! - `verbs/`: one verb a file, with its table. `nouns`: the tables of what stands inside. `ssml`: a text in pieces.
//! - `document`: a body, typed. `exec`: runs it, and the documents that follow.
//! - `line`: what verbs need of a call. `live`: the real one. `dry`: one that only says what would happen.
//! - `orders`: what verbs ask for beyond sounds and ringing: rooms, queues, streams, recordings.
//! - `matrix`: the tables as documentation. `ringtones`: tones by country.

mod document;
mod dry;
mod exec;
mod line;
mod lint;
mod live;
mod matrix;
mod nouns;
mod orders;
mod parse;
mod ringtones;
mod spec;
mod ssml;
mod verbs;

pub use crate::base::profile::Profile;
pub use document::{Document, NotTwiml, judged};
pub use dry::rehearse;
pub(crate) use exec::{Outcome, Session, run};
pub(crate) use line::{Callee, Dial, DialStatus, Dialled};
pub use lint::{Finding, Item, Report};
pub(crate) use live::{Dialler, Live};
pub use matrix::{MARK, markdown};
pub use parse::{ParseError, Position};
pub use spec::{Dialect, Status};
