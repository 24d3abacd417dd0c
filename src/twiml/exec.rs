//! Runs a document verb by verb, asks the next one where it says so, and ends when nothing is left to do
//! (`pivot.md` §7.1, §7.2).

use serde_json::{Map, Value};
use url::Url;

use super::document::Document;
use super::line::{Dialled, Line, Phrase, Request, Sound, Trouble};
use super::orders::{Aside, Callback, Told, Wait};
use super::spec::Status;
use super::verbs::Verb;
use crate::base::keys::Keys;
use crate::base::profile::Profile;
use crate::pivot::{Reply, RequestMethod};
use crate::recordings::Method;

/// What lasts from document to document of one session (`pivot.md` §2.2).
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// Whose rules hold.
    pub(crate) profile: Profile,
    /// Where the current document came from; `None` of a document without a server.
    pub(crate) url: Option<Url>,
    /// How many requests the session has made.
    pub(crate) iteration: u32,
    pub(super) values: Map<String, Value>,
    pub(super) variables: Map<String, Value>,
    /// Whether its documents are heard while somebody waits.
    pub(crate) aside: bool,
    /// Collected since the last request.
    pub(super) digits: Option<String>,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    /// Nothing is left to do: the call is hung up.
    Done,
    /// A verb ended the call.
    HungUp,
    /// The caller does not wait any longer.
    Left,
    /// A server answered callflow JSON, which takes over.
    Flow(Value),
    /// The call is somebody else's now.
    Moved,
    /// It cannot go on.
    Failed(String),
}

/// What a verb leads to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// The next verb.
    Next,
    /// Another document.
    Follow(Url, RequestMethod),
    /// The end of the call.
    End,
    /// The end of waiting.
    Leave,
    /// The call is somebody else's now.
    Moved,
}

/// A document while it runs.
pub(super) struct Run<'a, L> {
    pub(super) line: &'a L,
    pub(super) session: &'a mut Session,
}

/// Asks for a document, and runs it and all that follow it.
pub(crate) async fn begin<L: Line>(
    line: &L,
    url: Url,
    method: RequestMethod,
    session: &mut Session,
) -> Outcome {
    let request = session.request(url, method);
    match line.ask(&request).await {
        Ok(Reply::Twiml { document, url }) => {
            session.url = url.or(Some(request.url));
            Box::pin(run(line, *document, session)).await
        }
        Ok(Reply::Flow(flow)) => Outcome::Flow(flow),
        Err(Trouble::Ended) => Outcome::Done,
        Err(Trouble::Failed(why) | Trouble::Fatal(why)) => Outcome::Failed(why),
    }
}

/// Runs a document and all that follow it.
pub(crate) async fn run<L: Line>(line: &L, document: Document, session: &mut Session) -> Outcome {
    let mut document = document;
    loop {
        for finding in &document.report.findings {
            let at = finding.at;
            line.note(&format!(
                "TwiML, line {}, column {}: {}",
                at.line, at.column, finding.message
            ));
        }
        let mut running = Run {
            line,
            session: &mut *session,
        };
        let step = Box::pin(running.verbs(&document.verbs)).await;
        let (url, method) = match step {
            Ok(Step::Follow(url, method)) => (url, method),
            Ok(Step::Moved) => return Outcome::Moved,
            Ok(Step::End) => return Outcome::HungUp,
            Ok(Step::Leave) => return Outcome::Left,
            Ok(Step::Next) | Err(Trouble::Ended) => return Outcome::Done,
            Err(Trouble::Failed(why) | Trouble::Fatal(why)) => return Outcome::Failed(why),
        };
        session.iteration += 1;
        let request = session.request(url, method);
        let over = line.ended();
        match line.ask(&request).await {
            // The last word of a call that has ended: nobody is left to hear the answer.
            _ if over => return Outcome::Done,
            Ok(Reply::Twiml {
                document: next,
                url,
            }) => {
                document = *next;
                session.url = url.or(Some(request.url));
            }
            Ok(Reply::Flow(flow)) => return Outcome::Flow(flow),
            Err(Trouble::Ended) => return Outcome::Done,
            Err(Trouble::Failed(why) | Trouble::Fatal(why)) => return Outcome::Failed(why),
        }
    }
}

impl Session {
    /// A session whose first document came from `url`.
    pub(crate) fn new(profile: Profile, url: Option<Url>) -> Self {
        Self {
            profile,
            url,
            iteration: 1,
            ..Self::default()
        }
    }

    /// A request with everything known by now; digits go with one request only.
    fn request(&mut self, url: Url, method: RequestMethod) -> Request {
        let mut values = self.values.clone();
        if let Some(digits) = self.digits.take() {
            values.insert("Digits".to_owned(), digits.into());
        }
        if !self.aside {
            for name in ONCE {
                self.values.remove(*name);
            }
        }
        Request {
            url,
            method,
            values,
            variables: self.variables.clone(),
            iteration: self.iteration,
        }
    }

    /// Keys pressed while something else happened.
    pub(super) fn typed(&mut self, keys: &str) {
        if !keys.is_empty() {
            self.digits.get_or_insert_default().push_str(keys);
        }
    }

    pub(crate) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.values.insert(name.to_owned(), value.into());
    }
}

impl<L: Line> Run<'_, L> {
    async fn verbs(&mut self, verbs: &[Verb]) -> Result<Step, Trouble> {
        for verb in verbs {
            if self.line.ended() {
                return Err(Trouble::Ended);
            }
            match Box::pin(verb.run(self)).await {
                Ok(Step::Next) => {}
                Ok(step) => return Ok(step),
                Err(Trouble::Failed(why)) => self.line.note(&format!("{}: {why}", verb.name())),
                Err(Trouble::Fatal(why)) => {
                    return Err(Trouble::Fatal(format!("{}: {why}", verb.name())));
                }
                Err(Trouble::Ended) => return Err(Trouble::Ended),
            }
        }
        Ok(Step::Next)
    }

    /// Answers, plays, and keeps the keys pressed meanwhile where KAZOO does.
    pub(super) async fn hear(
        &mut self,
        phrases: &[Phrase],
        terminators: Keys,
    ) -> Result<Step, Trouble> {
        self.line.answer().await?;
        let keys = self.line.play(phrases, terminators).await?;
        if self.session.profile == Profile::Kazoo {
            self.session.typed(&keys);
        }
        Ok(Step::Next)
    }

    /// How serious it is when a document asks for something impossible.
    pub(super) fn severity(&self) -> Status {
        match self.session.profile {
            Profile::Kazoo => Status::Refused,
            Profile::Twilio => Status::Ignored,
        }
    }

    /// A sound with its URL relative to the document's made whole.
    pub(super) fn resolved(&self, sound: &Sound) -> Sound {
        let Sound::Media(reference) = sound else {
            return sound.clone();
        };
        let relative = match self.session.profile {
            Profile::Twilio => reference.contains(['/', '.']),
            // A path may be KAZOO's name of a media document.
            Profile::Kazoo => reference.starts_with("./") || reference.starts_with("../"),
        };
        let whole = relative && !reference.contains("://");
        let base = self.session.url.as_ref().filter(|_| whole);
        let joined = base.and_then(|base| base.join(reference).ok());
        joined.map_or_else(|| sound.clone(), |url| Sound::Media(url.into()))
    }

    /// The same of all sounds of a phrase.
    pub(super) fn resolved_phrase(&self, phrase: &Phrase) -> Phrase {
        Phrase {
            sounds: phrase.sounds.iter().map(|s| self.resolved(s)).collect(),
            loops: phrase.loops,
        }
    }

    /// Where a URL of the document leads; without one to the document itself.
    pub(super) fn follow(&self, url: Option<&str>, method: RequestMethod) -> Result<Step, Trouble> {
        let base = self.session.url.as_ref();
        let Some(url) = url else {
            return match base {
                Some(base) => Ok(Step::Follow(base.clone(), method)),
                None => Err(Trouble::Fatal("there is no URL to ask".to_owned())),
            };
        };
        match self.web(url) {
            Some(resolved) => Ok(Step::Follow(resolved, method)),
            None => Err(Trouble::Fatal(format!("{url:?} is not a URL to ask"))),
        }
    }

    /// A URL of the document, whole, when a web server can be asked there.
    fn web(&self, url: &str) -> Option<Url> {
        let resolved = match &self.session.url {
            Some(base) => base.join(url),
            None => Url::parse(url),
        };
        let web = |url: &Url| matches!(url.scheme(), "http" | "https");
        resolved.ok().filter(web)
    }

    /// `action`, where there is one; else the next verb.
    pub(super) fn follow_or_next(
        &self,
        action: Option<&str>,
        method: RequestMethod,
    ) -> Result<Step, Trouble> {
        match action {
            Some(action) => self.follow(Some(action), method),
            None => Ok(Step::Next),
        }
    }

    /// Who is told of what happens.
    pub(super) fn callback(&self, told: Option<&Told>) -> Option<Callback> {
        let told = told?;
        let Some(url) = self.web(&told.url) else {
            self.line
                .note(&format!("{:?} is not a URL to tell", told.url));
            return None;
        };
        Some(Callback {
            url,
            method: told.method,
            events: told.events.clone(),
        })
    }

    /// Where a recording is sent.
    pub(super) fn upload(&self, upload: Option<&(String, Method)>) -> Option<(String, Method)> {
        let (url, method) = upload?;
        let whole = self.web(url);
        if whole.is_none() {
            self.line.note(&format!("{url:?} is not a URL to send to"));
        }
        Some((whole?.into(), *method))
    }

    /// A document beside this one.
    pub(super) fn aside(&self, url: &str, method: RequestMethod) -> Option<Aside> {
        let whole = self.web(url);
        if whole.is_none() {
            self.line.note(&format!("{url:?} is not a URL to ask"));
        }
        Some(Aside {
            url: whole?,
            method,
        })
    }

    /// What `waitUrl` lets a caller hear: nothing when it is empty; a sound where `sound` or its name says so; else a
    /// document.
    pub(super) fn wait(&self, url: Option<&str>, method: RequestMethod, sound: bool) -> Wait {
        let Some(url) = url else {
            return Wait::HoldMusic;
        };
        if url.trim().is_empty() {
            return Wait::Nothing;
        }
        let path = url.split(['?', '#']).next().unwrap_or_default();
        let named = path.rsplit_once('.').map(|(_, end)| end.to_lowercase());
        let by_name = named.is_some_and(|end| SOUNDS.contains(&end.as_str()));
        if sound || by_name || url.contains("_stream://") {
            let Sound::Media(reference) = self.resolved(&Sound::Media(url.to_owned())) else {
                return Wait::HoldMusic;
            };
            return Wait::Media(reference);
        }
        self.aside(url, method)
            .map_or(Wait::HoldMusic, Wait::Document)
    }

    /// A WebSocket URL of the document, whole; the document's own when none is given.
    pub(super) fn socket(&self, url: Option<&str>) -> Option<String> {
        let given = url.unwrap_or_default();
        if given.starts_with("ws:") || given.starts_with("wss:") {
            return Some(given.to_owned());
        }
        let mut whole = self.web(given)?;
        let scheme = match whole.scheme() {
            "https" => "wss",
            _ => "ws",
        };
        whole.set_scheme(scheme).ok()?;
        Some(whole.into())
    }

    /// What later requests tell of a Dial.
    pub(super) fn dialled(&mut self, dialled: &Dialled) {
        let session = &mut *self.session;
        session.set("DialCallStatus", dialled.status.word());
        // What an earlier Dial left behind says nothing about this one.
        for stale in ["DialCallSid", "DialCallDuration", "DialSipResponseCode"] {
            session.values.remove(stale);
        }
        session
            .values
            .retain(|name, _| !name.starts_with("DialSipHeader_"));
        if let Some(id) = &dialled.call_id {
            session.set("DialCallSid", id.as_str());
        }
        if let Some(duration) = dialled.duration {
            session.set("DialCallDuration", duration.as_secs().to_string());
        }
        if session.profile == Profile::Twilio {
            session.set("DialBridged", dialled.duration.is_some().to_string());
            if let Some(status) = dialled.sip_status {
                session.set("DialSipResponseCode", status.to_string());
            }
            for (name, value) in &dialled.headers {
                session.set(&format!("DialSipHeader_{name}"), value.as_ref());
            }
        }
        session.typed(&dialled.digits);
    }
}

/// What goes with one request only.
const ONCE: &[&str] = &[
    "FinishedOnKey",
    "SpeechResult",
    "Confidence",
    "QueueResult",
    "QueueSid",
    "QueueTime",
    "DequeueResult",
    "DequeuedCallSid",
    "DequeuedCallQueueTime",
    "DequeuedCallDuration",
    "ReferCallStatus",
    "ReferSipResponseCode",
    "NotifySipResponseCode",
];

/// Ends of names of sounds.
const SOUNDS: &[&str] = &["mp3", "wav", "ogg", "flac", "aac", "m4a", "ulaw", "gsm"];
