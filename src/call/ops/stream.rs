//! `stream`: the call's sound to a server over a WebSocket, and the server's to the caller (`pivot.md` §8.5).
//!
//! A bidirectional stream is an operation: it lasts until the server closes the socket. A unidirectional one goes on
//! beside the script, until it is stopped, the server closes it, or the call ends.

mod line;

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use url::Url;

use self::line::{Line, LineEnd};
use crate::base::id::OpId;
use crate::base::secret::Secret;
use crate::call::error::CallError;
use crate::call::handle::CallHandle;
use crate::call::heard::Heard;
use crate::host::task;
use crate::host::websocket::Handshake;
use crate::journal::Fact;
use crate::media::{Command, Source, listen, stream};
use crate::twilio::{Description, Talk, Tracks};

/// What a stream is.
#[derive(Clone)]
pub struct StreamOptions {
    /// `ws` or `wss`, without query.
    pub url: Url,
    /// Names it, to be stopped; unique among the streams of the call.
    pub name: Option<String>,
    /// Which voices go to the server; a bidirectional stream has the caller's.
    pub tracks: Tracks,
    /// `customParameters`.
    pub parameters: Vec<(String, String)>,
    /// `accountSid`; empty for the account's id.
    pub account_sid: String,
    /// `callSid`; empty for the Call-ID.
    pub call_sid: String,
    /// Is told what happens to the stream.
    pub events: Option<StreamWatch>,
}

/// Who is told what happens to a stream, on the signalling thread.
pub type StreamWatch = Rc<dyn Fn(&StreamEvent)>;

/// Something that happened to a stream: what a status callback says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamEvent {
    /// `MZ…`.
    pub sid: String,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// What.
    pub what: StreamNews,
}

/// What happened to a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamNews {
    /// The server has accepted it.
    Started,
    /// It has ended.
    Stopped,
    /// It could not be begun, or broke.
    Failed(String),
}

impl StreamNews {
    /// The value of `StreamEvent`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Started => "stream-started",
            Self::Stopped => "stream-stopped",
            Self::Failed(_) => "stream-error",
        }
    }
}

/// How a bidirectional stream ended while the call goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamEnd {
    /// The server closed it.
    Closed,
    /// It could not be begun, or broke; why.
    Failed(String),
}

/// Why a stream is not begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The URL is none of a WebSocket.
    #[error("url: {url:?} is not an absolute ws or wss URL")]
    Url {
        /// The URL.
        url: String,
    },
    /// Another stream of the call has that name.
    #[error("name: another stream of this call is called {name:?}")]
    Name {
        /// The name.
        name: String,
    },
    /// The call has as many streams as it may.
    #[error("a call may send {MOST_TRACKS} tracks to servers at once")]
    TooMany,
}

/// A stream of a call, as the call's state has it.
#[derive(Debug)]
pub(in crate::call) struct Running {
    sid: String,
    name: Option<String>,
    tracks: usize,
    /// Ends it; `None` of a bidirectional one, which belongs to its operation.
    stop: Option<oneshot::Sender<()>>,
}

impl StreamOptions {
    /// A stream to `url`. A query and a fragment are discarded, as Twilio and KAZOO do.
    ///
    /// # Errors
    /// When it is no absolute `ws` or `wss` URL.
    pub fn to(url: &str) -> Result<Self, StreamError> {
        let refused = || StreamError::Url {
            url: url.chars().take(200).collect(),
        };
        let mut url = Url::parse(url.trim()).map_err(|_| refused())?;
        if !matches!(url.scheme(), "ws" | "wss") || !url.has_host() {
            return Err(refused());
        }
        url.set_query(None);
        url.set_fragment(None);
        Ok(Self {
            url,
            name: None,
            tracks: Tracks::default(),
            parameters: Vec::new(),
            account_sid: String::new(),
            call_sid: String::new(),
            events: None,
        })
    }

    fn tell(&self, about: &Description, what: StreamNews) {
        if let Some(events) = &self.events {
            events(&StreamEvent {
                sid: about.stream_sid.clone(),
                name: about.name.clone(),
                what,
            });
        }
    }
}

impl CallHandle {
    /// Connects the caller with a server, until the server closes the socket.
    ///
    /// # Errors
    /// When the call ends, or no media can be set up; the server is told in the first case.
    pub async fn stream(&self, options: StreamOptions) -> Result<StreamEnd, CallError> {
        let about = self.describe_stream(StreamOptions {
            tracks: Tracks::Inbound,
            ..options.clone()
        });
        self.converse(&options, about, true).await
    }

    /// Begins to send the call's sound to a server, beside whatever the script does; the stream's sid.
    ///
    /// # Errors
    /// When the name is taken, or there are too many streams. What goes wrong later is told by an event.
    pub fn start_stream(&self, options: StreamOptions) -> Result<String, StreamError> {
        let tracks = options.tracks.list().len();
        {
            let state = self.state();
            let named = |other: &Running| other.name.is_some() && other.name == options.name;
            if let (Some(name), true) = (&options.name, state.streams.iter().any(named)) {
                return Err(StreamError::Name { name: name.clone() });
            }
            let all: usize = state.streams.iter().map(|other| other.tracks).sum();
            if all + tracks > MOST_TRACKS {
                return Err(StreamError::TooMany);
            }
        }
        let about = self.describe_stream(options.clone());
        let sid = about.stream_sid.clone();
        let (stop, stopped) = oneshot::channel();
        self.state_mut().streams.push(Running {
            sid: sid.clone(),
            name: options.name.clone(),
            tracks,
            stop: Some(stop),
        });
        let call = self.clone();
        let own = sid.clone();
        task::spawn_local("stream", async move {
            tokio::select! {
                biased;
                _ = stopped => {}
                end = call.converse(&options, about, false) => {
                    tracing::debug!(?end, "a stream has ended");
                }
            }
            call.state_mut().streams.retain(|other| other.sid != own);
        });
        Ok(sid)
    }

    /// Stops the unidirectional stream of that name or sid, or all; how many that were.
    pub fn stop_stream(&self, which: Option<&str>) -> usize {
        let mut state = self.state_mut();
        let mut count = 0;
        for running in &mut state.streams {
            let meant = which
                .is_none_or(|which| running.sid == which || running.name.as_deref() == Some(which));
            if let (true, Some(stop)) = (meant, running.stop.take()) {
                // It may have ended by itself this moment.
                count += usize::from(stop.send(()).is_ok());
            }
        }
        count
    }

    fn describe_stream(&self, options: StreamOptions) -> Description {
        let facts = self.facts();
        let or = |given: String, own: &str| {
            if given.is_empty() {
                own.to_owned()
            } else {
                given
            }
        };
        Description {
            stream_sid: format!("MZ{}", self.0.core.0.rng.borrow_mut().hex(16)),
            account_sid: or(options.account_sid, &facts.account.id),
            call_sid: or(options.call_sid, &facts.call_id),
            name: options.name,
            tracks: options.tracks,
            parameters: options.parameters,
        }
    }

    /// One stream from the handshake to its end.
    async fn converse(
        &self,
        options: &StreamOptions,
        about: Description,
        both_ways: bool,
    ) -> Result<StreamEnd, CallError> {
        self.open_media().await?;
        let trace = Trace {
            call: self,
            url: shown(&options.url),
        };
        trace.note("request", None, String::new());
        let services = self.services();
        let handshake = Handshake {
            url: options.url.clone(),
            headers: Vec::new(),
            timeout: HANDSHAKE,
            max_message: MOST_MESSAGE,
            auth_token: self.auth_token(),
        };
        let opened = tokio::select! {
            biased;
            ended = self.wait_for_hangup() => return Err(ended),
            opened = services.http.websocket(handshake) => opened,
        };
        let (sender, receiver) = match opened {
            Ok(both) => both,
            Err(error) => {
                let why = error.to_string();
                trace.note("failure", None, why.clone());
                options.tell(&about, StreamNews::Failed(why.clone()));
                return Ok(StreamEnd::Failed(why));
            }
        };
        trace.note("response", Some(101), about.stream_sid.clone());
        let (tap, ear) = listen(HEARD, about.tracks != Tracks::Inbound);
        let (keys, pressed) = mpsc::channel(KEYS);
        let (remarks, mut remarked) = mpsc::channel(REMARKS);
        let mut open = Open {
            call: self,
            listen: self.next_op(),
            play: None,
            keys,
            told: Told {
                options,
                about: &about,
            },
        };
        options.tell(&about, StreamNews::Started);
        let op = open.listen;
        self.command(Command::Listen { op, tap })?;
        let mouth = if both_ways {
            let (writer, reader) = stream(AHEAD);
            let op = self.next_op();
            let source = Source::Stream(reader);
            self.command(Command::Play { op, source })?;
            open.play = Some((op, Heard::begin(self, "stream", shown(&options.url))));
            Some(writer)
        } else {
            None
        };
        let line = Line {
            talk: Talk::new(about.clone()),
            tracks: about.tracks,
            receiver,
            ear,
            mouth,
            keys: pressed,
            remarks,
        };
        let mut running = services.http.spawn("stream", line.run(sender));
        let end = loop {
            tokio::select! {
                biased;
                end = &mut running => break end.ok().flatten(),
                Some(text) = remarked.recv() => trace.note("remark", None, text),
                key = open.key(both_ways) => {
                    let key = key?;
                    if open.keys.try_send(key).is_err() {
                        tracing::debug!(call = ?self, "a key was not sent to the server");
                    }
                }
            }
        };
        while let Ok(text) = remarked.try_recv() {
            trace.note("remark", None, text);
        }
        Ok(match end {
            Some(LineEnd::Closed | LineEnd::Stopped) => {
                trace.note("end", None, "closed by the server".to_owned());
                StreamEnd::Closed
            }
            Some(LineEnd::Broken(why)) => {
                trace.note("failure", None, why.clone());
                options.tell(&about, StreamNews::Failed(why.clone()));
                StreamEnd::Failed(why)
            }
            None => StreamEnd::Failed("the stream's task has failed".to_owned()),
        })
    }

    /// What signs requests of this account.
    fn auth_token(&self) -> Option<Secret> {
        self.facts().account.auth_token()
    }
}

/// An open stream. Dropping it lets the server know, and silences it.
struct Open<'a> {
    call: &'a CallHandle,
    listen: OpId,
    play: Option<(OpId, Heard)>,
    /// Dropped: the line says goodbye.
    keys: mpsc::Sender<char>,
    /// Last: tells that it has stopped.
    told: Told<'a>,
}

struct Told<'a> {
    options: &'a StreamOptions,
    about: &'a Description,
}

impl Open<'_> {
    /// The next key of the caller; those of a unidirectional stream belong to the script.
    async fn key(&self, wanted: bool) -> Result<char, CallError> {
        if wanted {
            self.call.wait(|state| state.keys.pop_front()).await
        } else {
            Err(self.call.wait_for_hangup().await)
        }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if let Some(port) = &self.call.state().media.port {
            port.command(Command::Unlisten(self.listen));
        }
        if let Some((op, _)) = &self.play {
            self.call.cancel(*op);
        }
        self.told.options.tell(self.told.about, StreamNews::Stopped);
    }
}

/// A URL without its user information.
fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}"));
    let port = port.unwrap_or_default();
    format!("{}://{host}{port}{}", url.scheme(), url.path())
}

/// The call's trace.
struct Trace<'a> {
    call: &'a CallHandle,
    url: String,
}

impl Trace<'_> {
    fn note(&self, step: &'static str, status: Option<u16>, note: String) {
        self.call.note(|call_id, at| Fact::Hook {
            call_id,
            at,
            step,
            url: self.url.clone(),
            status,
            took_ms: None,
            note,
        });
    }
}

/// The most tracks that go to servers at once (Twilio's limit).
const MOST_TRACKS: usize = 4;
/// The limit for connecting and the handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// The longest message of a server: a file of KAZOO 5's in base64.
const MOST_MESSAGE: usize = 12 << 20;
/// Sound that may wait for the line's task.
const HEARD: Duration = Duration::from_millis(500);
/// Sound that is with the media engine ahead of its time.
const AHEAD: Duration = Duration::from_millis(400);
/// Keys that may wait for the line's task.
const KEYS: usize = 64;
/// Remarks that may wait for the trace.
const REMARKS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trace_has_no_passwords() {
        let url = Url::parse("wss://user:word@a.test:444/m").unwrap();
        assert_eq!(shown(&url), "wss://a.test:444/m");
    }

    #[test]
    fn only_web_socket_urls_are_streamed_to_and_their_query_is_discarded() {
        let to = |url: &str| StreamOptions::to(url).map(|options| options.url.to_string());
        assert_eq!(to(" wss://a.test/m?x=1#f ").unwrap(), "wss://a.test/m");
        assert_eq!(to("ws://a.test:81").unwrap(), "ws://a.test:81/");
        for bad in ["https://a.test/", "/media", "wss:", ""] {
            let error = to(bad).unwrap_err();
            assert!(error.to_string().starts_with("url: "), "{error}");
        }
    }
}
