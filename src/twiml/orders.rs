//! What verbs ask of a call beyond sounds, digits and ringing: rooms, queues, streams, recordings, and who is told of them.

use std::time::Duration;

use url::Url;

use crate::base::keys::Keys;
use crate::call::Begin;
use crate::media::Sides;
use crate::pivot::RequestMethod;
use crate::recordings::Method;
use crate::twilio::Tracks;

/// Who is told of what happens, as the document has it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    /// Where, as it is written.
    pub(crate) url: String,
    /// How.
    pub(crate) method: RequestMethod,
    /// Of what.
    pub(crate) events: Vec<String>,
}

/// The same with a whole URL.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Callback {
    /// Where.
    pub(crate) url: Url,
    /// How.
    pub(crate) method: RequestMethod,
    /// Of what.
    pub(crate) events: Vec<String>,
}

impl Callback {
    /// Whether it is told of that.
    pub(crate) fn wants(&self, event: &str) -> bool {
        self.events.iter().any(|wanted| wanted == event)
    }
}

/// What one of those who are rung is cared for by.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Care {
    /// Who is told what becomes of its leg.
    pub(crate) callback: Option<Callback>,
    /// What it hears before it is connected.
    pub(crate) screen: Option<Aside>,
}

/// A document beside the one that runs: heard while somebody waits.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Aside {
    /// Where it is.
    pub(crate) url: Url,
    /// How it is asked for.
    pub(crate) method: RequestMethod,
}

/// What is heard while waiting.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Wait {
    /// Nothing.
    Nothing,
    /// The music of the house.
    HoldMusic,
    /// A sound, over and over.
    Media(String),
    /// A document, over and over.
    Document(Aside),
}

/// How to take part in a conference.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Room {
    /// The room.
    pub(crate) name: String,
    /// It begins with this member.
    pub(crate) start_on_enter: bool,
    /// It ends with this member.
    pub(crate) end_on_exit: bool,
    /// It ends with the last of such members.
    pub(crate) end_on_last: bool,
    /// Not heard.
    pub(crate) muted: bool,
    /// Hears nothing.
    pub(crate) deaf: bool,
    /// The others hear a tone when this member comes.
    pub(crate) beep_enter: bool,
    /// And when it leaves.
    pub(crate) beep_exit: bool,
    /// Heard until it begins.
    pub(crate) wait: Wait,
    /// No more members than that.
    pub(crate) most: usize,
    /// Recorded from its start.
    pub(crate) record: bool,
    /// Call-ID of the one who hears this member.
    pub(crate) coach: Option<String>,
    /// `ParticipantLabel`.
    pub(crate) label: Option<String>,
    /// Keys that leave it.
    pub(crate) leave_on: Keys,
    /// The longest stay.
    pub(crate) limit: Duration,
    /// Who is told what happens.
    pub(crate) callback: Option<Callback>,
    /// Who is told of its recording.
    pub(crate) recording: Option<Callback>,
}

/// Where and how to wait to be taken.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Waiting {
    /// The queue.
    pub(crate) name: String,
    /// Heard meanwhile.
    pub(crate) wait: Wait,
    /// A queue with so many takes nobody.
    pub(crate) most: usize,
}

/// How waiting went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waited {
    /// `QueueResult`.
    pub(crate) result: &'static str,
    /// `QueueSid`.
    pub(crate) queue: String,
    /// How long it was.
    pub(crate) waited: Duration,
    /// The call is somebody else's now.
    pub(crate) moved: bool,
}

/// Whose next caller to take.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Taking {
    /// The queue.
    pub(crate) name: String,
    /// How long to wait for somebody.
    pub(crate) timeout: Duration,
    /// The longest talk.
    pub(crate) limit: Duration,
    /// What the caller hears before both talk.
    pub(crate) announce: Option<Aside>,
}

/// How taking somebody went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Whether both talked.
    pub(crate) talked: bool,
    /// The call is somebody else's now.
    pub(crate) moved: bool,
    /// `QueueSid`.
    pub(crate) queue: String,
    /// Who was taken.
    pub(crate) call_id: Option<String>,
    /// How long they had waited.
    pub(crate) waited: Duration,
    /// How long both talked.
    pub(crate) length: Duration,
}

/// A media stream.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stream {
    /// Where to.
    pub(crate) url: String,
    /// Its name.
    pub(crate) name: Option<String>,
    /// Whose voices.
    pub(crate) tracks: Tracks,
    /// `customParameters`.
    pub(crate) parameters: Vec<(String, String)>,
    /// Who is told of it.
    pub(crate) callback: Option<Callback>,
}

/// A recording beside whatever the call does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Taping {
    /// Whose voices.
    pub(crate) sides: Sides,
    /// When it begins.
    pub(crate) begin: Begin,
    /// Without the silence around it.
    pub(crate) trim: bool,
    /// Where it is sent.
    pub(crate) upload: Option<(String, Method)>,
    /// `RecordingSource`.
    pub(crate) source: &'static str,
    /// `RecordingTrack`.
    pub(crate) track: &'static str,
    /// Who is told of it.
    pub(crate) callback: Option<Callback>,
}

/// The tracks of that name with the sides they are; both, a channel each when they are to be told apart.
pub(super) fn tracks(name: &str, apart: bool) -> (&'static str, Sides) {
    match (name, apart) {
        ("inbound", _) => ("inbound", Sides::Peer),
        ("outbound", _) => ("outbound", Sides::Own),
        (_, true) => ("both", Sides::Apart),
        (_, false) => ("both", Sides::Mixed),
    }
}

/// How to listen to what a caller says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Listening {
    /// In which language; `None` is the call's.
    pub(crate) language: Option<String>,
    /// Words that are likely.
    pub(crate) hints: String,
    /// Silence that ends it; `None`: that of a breath.
    pub(crate) end: Option<Duration>,
    /// The longest speech.
    pub(crate) max: Duration,
    /// Whether keys count as well.
    pub(crate) keys: bool,
    /// Whether speech and keys stop the prompt.
    pub(crate) barge_in: bool,
    /// Who is told what was understood so far.
    pub(crate) partial: Option<Callback>,
}

/// What a caller said.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Said {
    /// The words.
    pub(crate) text: String,
    /// How sure the recogniser is, from 0 to 1.
    pub(crate) confidence: Option<f32>,
}
