//! What the verbs need of a call. `live` is the real one, over the operations callflow modules use too; `dry` only says
//! what would happen.

use std::time::Duration;

use serde_json::{Map, Value};
use url::Url;

use super::orders::{
    Callback, Care, Listening, Room, Said, Stream, Taken, Taking, Taping, Waited, Waiting,
};
use crate::base::cause::Cause;
use crate::base::keys::Keys;
use crate::call::{CollectEnd, Collected, Referral};
use crate::pivot::{Reply, RequestMethod};
use crate::recordings::Method;

/// Something to hear.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Sound {
    /// A text, spoken.
    Speech {
        /// The text.
        text: String,
        /// The voice; empty for the usual one.
        voice: String,
        /// Its language; `None` is the call's.
        language: Option<String>,
    },
    /// A URL, a media id, `prompt://`, `tone_stream://` …
    Media(String),
    /// Silence.
    Silence(Duration),
    /// Keys sent to the other side.
    Keys(String),
}

/// Sounds that follow each other, repeated.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Phrase {
    /// The sounds.
    pub(crate) sounds: Vec<Sound>,
    /// How often; `None` is for ever.
    pub(crate) loops: Option<u32>,
}

/// How digits are collected.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Gathering {
    /// Heard meanwhile; the first key stops it.
    pub(crate) prompt: Vec<Phrase>,
    /// Digits that count already.
    pub(crate) typed_ahead: String,
    /// With so many it ends.
    pub(crate) max_digits: usize,
    /// How long to wait.
    pub(crate) timeout: Duration,
    /// Whether the time is for all keys together; else it begins anew with each.
    pub(crate) total: bool,
    /// Keys that end it.
    pub(crate) finish_on: Keys,
    /// How speech is listened to; `None`: keys alone count.
    pub(crate) speech: Option<Listening>,
}

/// What was collected.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Gathered {
    /// The digits, without the key that ended it.
    pub(crate) digits: String,
    /// The key that ended it.
    pub(crate) finished_on: Option<char>,
    /// What the caller said.
    pub(crate) speech: Option<Said>,
}

impl Gathered {
    /// Keys alone.
    pub(crate) fn of(collected: Collected) -> Self {
        Self {
            digits: collected.digits,
            finished_on: match collected.why {
                CollectEnd::Terminator(key) => Some(key),
                CollectEnd::Max | CollectEnd::Timeout => None,
            },
            speech: None,
        }
    }
}

/// How the caller is recorded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Recording {
    /// Longest recording.
    pub(crate) max: Duration,
    /// Silence that ends it; `None` never.
    pub(crate) silence: Option<Duration>,
    /// Keys that end it.
    pub(crate) finish_on: Keys,
    /// Whether a tone says when it begins.
    pub(crate) beep: bool,
    /// Without the silence around it.
    pub(crate) trim: bool,
    /// Where it is sent.
    pub(crate) upload: Option<(String, Method)>,
    /// Who is told of it.
    pub(crate) callback: Option<Callback>,
    /// Who is told what was said.
    pub(crate) transcript: Option<Callback>,
}

/// A recording that is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// Its name.
    pub(crate) id: String,
    /// Where it can be had.
    pub(crate) url: String,
    /// Its length.
    pub(crate) length: Duration,
    /// The key that ended it.
    pub(crate) key: Option<char>,
    /// Whether there was nothing worth keeping.
    pub(crate) absent: bool,
    /// Whether silence ended it.
    pub(crate) by_silence: bool,
    /// Whether the hang-up ended it.
    pub(crate) by_hangup: bool,
}

/// Whom to ring.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Callee {
    /// A number of the account or the world.
    Number {
        /// The number.
        number: String,
        /// Keys sent once it has answered.
        send_digits: String,
    },
    /// All devices of a user, by its document id.
    User(String),
    /// A device, by its document id.
    Device(String),
    /// A client: a device or user by its SIP user name, its user name or its document id.
    Client(String),
    /// A SIP URI.
    Sip {
        /// The URI.
        uri: String,
        /// Answers to a challenge: user name and password.
        credentials: Option<(String, String)>,
        /// Headers of the INVITE.
        headers: Vec<(String, String)>,
    },
}

/// How others are rung.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Dial {
    /// Whom.
    pub(crate) callees: Vec<Callee>,
    /// What each of them is cared for by, in the same order.
    pub(crate) cares: Vec<Care>,
    /// One after the other instead of all at once.
    pub(crate) single: bool,
    /// How long.
    pub(crate) timeout: Duration,
    /// The longest talk.
    pub(crate) limit: Duration,
    /// The caller's number as it is shown.
    pub(crate) caller_id: Option<String>,
    /// Keys of the caller that end the talk.
    pub(crate) hangup_on: Keys,
    /// What the caller hears while it rings.
    pub(crate) ringback: Option<String>,
}

/// How ringing others ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DialStatus {
    /// Both talked.
    Completed,
    /// The caller was in a conference.
    Answered,
    /// Engaged.
    Busy,
    /// Nobody came.
    NoAnswer,
    /// Nobody could be reached.
    Failed,
    /// The caller gave up first.
    Canceled,
}

impl DialStatus {
    /// The word of `DialCallStatus`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Answered => "answered",
            Self::Busy => "busy",
            Self::NoAnswer => "no-answer",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }
}

/// What came of ringing others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dialled {
    /// How it ended.
    pub(crate) status: DialStatus,
    /// Call-ID of the leg that answered.
    pub(crate) call_id: Option<String>,
    /// How long both talked.
    pub(crate) duration: Option<Duration>,
    /// SIP status of the best answer.
    pub(crate) sip_status: Option<u16>,
    /// Keys the caller pressed meanwhile.
    pub(crate) digits: String,
    /// The call is somebody else's now.
    pub(crate) moved: bool,
    /// `X-` headers of the answer.
    pub(crate) headers: Vec<(Box<str>, Box<str>)>,
}

impl Dialled {
    /// Nobody talked; that is all there is to say.
    pub(crate) fn of(status: DialStatus) -> Self {
        Self {
            status,
            call_id: None,
            duration: None,
            sip_status: None,
            digits: String::new(),
            moved: false,
            headers: Vec::new(),
        }
    }
}

/// A follow-up request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    /// Where.
    pub(crate) url: Url,
    /// How.
    pub(crate) method: RequestMethod,
    /// What the verbs found out; beats the caller's own variables.
    pub(crate) values: Map<String, Value>,
    /// What the document set.
    pub(crate) variables: Map<String, Value>,
    /// 1 for the first request of a session, one more for each that follows.
    pub(crate) iteration: u32,
}

/// Why an operation did not do its work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Trouble {
    /// The call is over.
    #[error("the call has ended")]
    Ended,
    /// It did not work; the document goes on.
    #[error("{0}")]
    Failed(String),
    /// The document cannot go on.
    #[error("{0}")]
    Fatal(String),
}

/// A call, as verbs see it.
pub(crate) trait Line {
    /// Whether the call is over.
    fn ended(&self) -> bool;

    /// Writes a remark into the call's trace and the debug log.
    fn note(&self, text: &str);

    /// `CallStatus` of later requests.
    fn status(&self, status: &'static str);

    /// Answers.
    async fn answer(&self) -> Result<(), Trouble>;

    /// Plays; returns the keys pressed meanwhile.
    async fn play(&self, phrases: &[Phrase], terminators: Keys) -> Result<String, Trouble>;

    /// Collects digits.
    async fn gather(&self, how: &Gathering) -> Result<Gathered, Trouble>;

    /// Forgets keys that nobody took.
    fn flush_keys(&self);

    /// Waits.
    async fn pause(&self, length: Duration) -> Result<(), Trouble>;

    /// Records the caller. A hang-up is a normal end.
    async fn record(&self, how: &Recording) -> Result<Recorded, Trouble>;

    /// Rings others and talks to whoever answers.
    async fn dial(&self, how: &Dial) -> Result<Dialled, Trouble>;

    /// Takes part in a conference. A hang-up is a normal end.
    async fn conference(&self, how: &Room) -> Result<Dialled, Trouble>;

    /// Waits in a queue. A hang-up is a normal end.
    async fn enqueue(&self, how: &Waiting) -> Result<Waited, Trouble>;

    /// Takes the next caller of a queue.
    async fn dequeue(&self, how: &Taking) -> Result<Taken, Trouble>;

    /// Connects the caller with a server until that closes the stream.
    async fn connect(&self, how: &Stream) -> Result<(), Trouble>;

    /// Begins to send the call's sound to a server.
    fn start_stream(&self, how: &Stream) -> Result<(), Trouble>;

    /// Stops the stream of that name or sid, or all; how many.
    fn stop_stream(&self, which: Option<&str>) -> usize;

    /// Begins a recording beside the call; its id.
    fn start_recording(&self, how: &Taping) -> Result<String, Trouble>;

    /// Ends such a recording, the last one when none is named; its id, and where it will be, if there is one.
    fn stop_recording(&self, id: Option<&str>) -> Option<(String, String)>;

    /// Sends the caller's phone to that SIP URI. A hang-up is a normal end.
    async fn refer(&self, to: &str) -> Result<Referral, Trouble>;

    /// Refuses an unanswered call.
    fn reject(&self, status: u16, cause: Cause);

    /// Asks a server what to do next.
    async fn ask(&self, request: &Request) -> Result<Reply, Trouble>;
}
