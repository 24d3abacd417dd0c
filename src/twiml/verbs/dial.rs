//! `Dial`: rings others and connects the caller to whoever answers (`pivot.md` §7.6).
//!
//! When the called party leaves or nobody answers, `action` or the next verb runs; when the caller leaves, nothing more
//! does in the kazoo profile, and `action` is still told in the twilio profile.

mod place;
mod tape;

use self::place::{Conference, Place, tell_taken};
use self::tape::Tape;
use crate::base::keys::Keys;
use crate::base::profile::Profile;
use crate::pivot::RequestMethod;
use crate::twiml::exec::{Run, Step};
use crate::twiml::line::{self, Callee, Line, Trouble};
use crate::twiml::lint::{Given, Reader};
use crate::twiml::nouns::dial as nouns;
use crate::twiml::nouns::media::TRACKS;
use crate::twiml::nouns::shared::{METHOD, RECORDING_CALLBACK, UPLOAD};
use crate::twiml::orders::{Care, Taking, Told};
use crate::twiml::parse::Element;
use crate::twiml::ringtones;
use crate::twiml::spec::{Spec, Status, Text, Values, attribute, ignored};

pub(in crate::twiml) static SPEC: Spec = Spec {
    text: Text::Optional("a number"),
    attributes: &[
        attribute("action", Values::Url, "")
            .note("asked when the talk is over; without one the next verb runs"),
        METHOD,
        attribute("timeout", Values::Upto(1, 3600), "30").note("seconds to ring"),
        attribute("timeLimit", Values::Upto(1, 86_400), "14400").note("seconds to talk"),
        attribute("callerId", Values::Text, "").note("the caller's own number unless given"),
        attribute("hangupOnStar", Values::Bool, "false"),
        attribute("hangupOn", Values::Key, "").kazoo(),
        attribute("collect_dtmf", Values::Bool, "false")
            .kazoo()
            .note("keys the caller presses meanwhile go to `action` as `Digits`"),
        attribute(
            "strategy",
            Values::OneOf(&["simultaneous", "single"]),
            "simultaneous",
        )
        .kazoo(),
        attribute("sequential", Values::Bool, "false").twilio(),
        attribute("answerOnBridge", Values::Bool, "false")
            .twilio()
            .note("the caller is answered when the called party is"),
        attribute("ringTone", Values::OneOf(ringtones::COUNTRIES), "")
            .twilio()
            .note("what the caller hears while it rings"),
        ignored(
            "continueOnFail",
            "numbers of the account ring as themselves",
        )
        .kazoo(),
        attribute(
            "record",
            Values::OneOf(&[
                "do-not-record",
                "record-from-answer",
                "record-from-ringing",
                "record-from-answer-dual",
                "record-from-ringing-dual",
                "true",
                "false",
            ]),
            "do-not-record",
        )
        .note("`true` is `record-from-answer`; `-dual` is a channel a party"),
        attribute(
            "recordingTrack",
            Values::OneOf(&["both", "inbound", "outbound"]),
            "both",
        )
        .twilio()
        .note(TRACKS),
        attribute(
            "trim",
            Values::OneOf(&["trim-silence", "do-not-trim"]),
            "do-not-trim",
        )
        .twilio(),
        ignored("referUrl", "a transfer is carried out by swivel itself"),
        ignored("referMethod", "a transfer is carried out by swivel itself"),
        ignored("callReason", "carriers do not ask"),
        ignored("events", "not sent yet"),
        ignored("passports", "not sent yet"),
    ],
    shared: &[RECORDING_CALLBACK, UPLOAD],
    children: nouns::ALL,
    ..Spec::of("Dial")
};

#[derive(Debug, Clone, PartialEq)]
pub(in crate::twiml) struct Dial {
    action: Option<String>,
    method: RequestMethod,
    how: line::Dial,
    /// What each callee is cared for by.
    cares: Vec<Cared>,
    /// A conference or queue in place of callees.
    place: Option<Place>,
    /// How the talk is recorded.
    tape: Option<Tape>,
    /// Whether the keys pressed meanwhile are told.
    collect: bool,
    /// Whether a number stands there as text.
    by_number: bool,
    /// Whether the caller is answered when the called party is.
    on_bridge: bool,
    /// Why it cannot be done.
    refused: Option<&'static str>,
}

impl Dial {
    pub(in crate::twiml) fn read(element: &Element, given: &Given, reader: &mut Reader) -> Self {
        let text = number(&element.text());
        let mut found = Found::default();
        if text.is_empty() {
            reader.within(element, |reader| {
                element
                    .children()
                    .for_each(|child| found.add(child, reader));
            });
        } else {
            reader.look_inside(element, &SPEC);
            found.callees.push(Callee::Number {
                number: text.clone(),
                send_digits: String::new(),
            });
        }
        if found.callees.is_empty() && found.place.is_none() && found.refused.is_none() {
            let status = reader.severity();
            reader.within(element, |reader| {
                reader.finding(element.at, status, None, "there is nobody to ring");
            });
        }
        let star = if given.flag("hangupOnStar") { "*" } else { "" };
        let keys = format!("{star}{}", given.text("hangupOn").unwrap_or_default());
        Self {
            action: given.text("action"),
            method: given.method("method"),
            how: line::Dial {
                callees: found.callees,
                cares: Vec::new(),
                single: given.word("strategy") == "single" || given.flag("sequential"),
                timeout: given.seconds("timeout"),
                limit: given.seconds("timeLimit"),
                caller_id: given.text("callerId"),
                hangup_on: Keys::parse(&keys),
                ringback: given
                    .text("ringTone")
                    .and_then(|country| ringtones::of(&country)),
            },
            cares: found.cares,
            place: found.place,
            tape: Tape::read(given),
            collect: given.flag("collect_dtmf"),
            by_number: !text.is_empty(),
            on_bridge: given.flag("answerOnBridge"),
            refused: found.refused,
        }
    }

    pub(in crate::twiml) async fn run<L: Line>(
        &self,
        run: &mut Run<'_, L>,
    ) -> Result<Step, Trouble> {
        if let Some(why) = self.refused {
            return Err(Trouble::Fatal(why.to_owned()));
        }
        if let Some(place) = &self.place {
            return self.take_place(place, run).await;
        }
        if self.how.callees.is_empty() {
            return Err(Trouble::Fatal("there is nobody to ring".to_owned()));
        }
        let kazoo = run.session.profile == Profile::Kazoo;
        // A caller who has to wait for the answer of another is not answered by KAZOO unless a number is dialled.
        if self.answers(kazoo) {
            run.line.answer().await?;
        }
        run.line.status("ringing");
        let tape = match &self.tape {
            Some(tape) => tape.begin(run),
            None => None,
        };
        let how = line::Dial {
            cares: self.cares.iter().map(|care| care.resolved(run)).collect(),
            ..self.how.clone()
        };
        let mut dialled = Box::pin(run.line.dial(&how)).await?;
        if let Some(id) = tape.filter(|_| !dialled.moved) {
            let there = run.line.stop_recording(Some(&id));
            if let Some((id, url)) = there {
                run.session.set("RecordingUrl", url);
                run.session.set("RecordingSid", id);
            }
        }
        if dialled.moved {
            return Ok(Step::Moved);
        }
        if !self.collect {
            dialled.digits.clear();
        }
        self.finish(&dialled, run)
    }

    /// Tells how it went, and what is next.
    fn finish<L: Line>(
        &self,
        dialled: &line::Dialled,
        run: &mut Run<'_, L>,
    ) -> Result<Step, Trouble> {
        let kazoo = run.session.profile == Profile::Kazoo;
        run.line
            .status(call_status(dialled, run.line.ended(), kazoo));
        run.dialled(dialled);
        if run.line.ended() && (kazoo || self.action.is_none()) {
            return Err(Trouble::Ended);
        }
        run.follow_or_next(self.action.as_deref(), self.method)
    }

    /// Takes part in a conference, or takes the next caller of a queue.
    async fn take_place<L: Line>(
        &self,
        place: &Place,
        run: &mut Run<'_, L>,
    ) -> Result<Step, Trouble> {
        run.line.answer().await?;
        match place {
            Place::Conference(conference) => {
                let room = conference.room(run, self.how.hangup_on, self.how.limit);
                let stayed = Box::pin(run.line.conference(&room)).await?;
                self.finish(&stayed, run)
            }
            Place::Queue { name, announce } => {
                let announce = announce.as_ref();
                let taking = Taking {
                    name: name.clone(),
                    timeout: self.how.timeout,
                    limit: self.how.limit,
                    announce: announce.and_then(|(url, method)| run.aside(url, *method)),
                };
                let taken = Box::pin(run.line.dequeue(&taking)).await?;
                if taken.moved {
                    return Ok(Step::Moved);
                }
                tell_taken(&taken, run);
                let status = match taken.talked {
                    true => line::DialStatus::Completed,
                    false => line::DialStatus::NoAnswer,
                };
                let dialled = line::Dialled {
                    call_id: taken.call_id,
                    duration: taken.talked.then_some(taken.length),
                    ..line::Dialled::of(status)
                };
                self.finish(&dialled, run)
            }
        }
    }

    fn answers(&self, kazoo: bool) -> bool {
        !self.on_bridge && (self.by_number || !kazoo)
    }
}

fn call_status(dialled: &line::Dialled, ended: bool, kazoo: bool) -> &'static str {
    match (kazoo, ended) {
        (false, false) => "in-progress",
        (false, true) => "completed",
        (true, _) => dialled.status.word(),
    }
}

/// Whom the elements inside a Dial name.
#[derive(Default)]
struct Found {
    callees: Vec<Callee>,
    cares: Vec<Cared>,
    place: Option<Place>,
    refused: Option<&'static str>,
}

/// What a callee is cared for by, as the document has it.
#[derive(Debug, Clone, Default, PartialEq)]
struct Cared {
    told: Option<Told>,
    screen: Option<(String, RequestMethod)>,
}

impl Cared {
    fn resolved<L: Line>(&self, run: &Run<'_, L>) -> Care {
        let screen = self.screen.as_ref();
        Care {
            callback: run.callback(self.told.as_ref()),
            screen: screen.and_then(|(url, method)| run.aside(url, *method)),
        }
    }
}

impl Found {
    fn add(&mut self, child: &Element, reader: &mut Reader) {
        let Some(spec) = nouns::ALL
            .iter()
            .copied()
            .find(|spec| spec.name == child.name)
        else {
            return reader.stray(child, nouns::ALL.iter().map(|spec| spec.name));
        };
        let given = reader.look(child, spec);
        reader.look_inside(child, spec);
        if spec.status == Status::Refused {
            self.refused.get_or_insert(spec.note);
            return;
        }
        let text = child.text();
        match spec.name {
            "Number" => self.callees.push(Callee::Number {
                number: number(&text),
                send_digits: given.text("sendDigits").unwrap_or_default(),
            }),
            "User" => self.callees.push(Callee::User(text)),
            "Device" => self.callees.push(Callee::Device(text)),
            "Client" => self.client(child, text),
            "Sip" => self.sip(child, text, &given),
            "Conference" => {
                let conference = Conference::read(text, &given);
                if conference.room.name.is_empty() {
                    let status = reader.severity();
                    reader.within(child, |reader| {
                        reader.finding(child.at, status, None, "the conference has no name");
                    });
                } else {
                    self.place = Some(Place::Conference(Box::new(conference)));
                }
            }
            "Queue" if !text.is_empty() => {
                self.place = Some(Place::Queue {
                    name: text,
                    announce: given
                        .text("url")
                        .map(|url| (url, given.post_or_get("method"))),
                });
            }
            _ => {}
        }
        self.callees.retain(|callee| !is_empty(callee));
        let care = Cared {
            told: given.told("statusCallback"),
            screen: given
                .text("url")
                .map(|url| (url, given.post_or_get("method"))),
        };
        self.cares.resize(self.callees.len(), care);
    }

    fn client(&mut self, child: &Element, text: String) {
        let identities = child.children().filter(|inner| inner.name == "Identity");
        let mut names: Vec<String> = identities.map(Element::text).collect();
        if names.is_empty() {
            names.push(text);
        }
        self.callees.extend(names.into_iter().map(Callee::Client));
    }

    fn sip(&mut self, child: &Element, text: String, given: &Given) {
        let headers: Vec<(String, String)> = child
            .children()
            .filter(|inner| inner.name == "Headers")
            .flat_map(Element::children)
            .filter_map(|header| Some((value(header, "name")?, value(header, "value")?)))
            .collect();
        let own = credentials(given.text("username"), given.text("password"));
        let uris: Vec<_> = child
            .children()
            .filter(|inner| inner.name == "Uri")
            .map(|uri| {
                let its = credentials(value(uri, "username"), value(uri, "password"));
                (uri.text(), its.or_else(|| own.clone()))
            })
            .collect();
        let uris = if uris.is_empty() {
            vec![(text, own)]
        } else {
            uris
        };
        for (uri, credentials) in uris {
            let (uri, mut all) = split_headers(&uri);
            all.extend(headers.iter().cloned());
            all.retain(|(name, value)| {
                name.get(..2)
                    .is_some_and(|start| start.eq_ignore_ascii_case("x-"))
                    && name
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                    && !value.contains(['\r', '\n'])
            });
            self.callees.push(Callee::Sip {
                uri,
                credentials,
                headers: all,
            });
        }
    }
}

fn value(element: &Element, name: &str) -> Option<String> {
    let pair = element.attributes.iter().find(|pair| pair.name == name)?;
    Some(pair.value.clone())
}

fn credentials(user: Option<String>, password: Option<String>) -> Option<(String, String)> {
    Some((user?, password.unwrap_or_default()))
}

/// A URI and the headers behind its `?`.
fn split_headers(uri: &str) -> (String, Vec<(String, String)>) {
    let Some((uri, query)) = uri.split_once('?') else {
        return (uri.to_owned(), Vec::new());
    };
    let headers = url::form_urlencoded::parse(query.as_bytes());
    (
        uri.to_owned(),
        headers
            .map(|(n, v)| (n.into_owned(), v.into_owned()))
            .collect(),
    )
}

fn is_empty(callee: &Callee) -> bool {
    match callee {
        Callee::Number { number, .. } => number.is_empty(),
        Callee::User(id) | Callee::Device(id) | Callee::Client(id) => id.is_empty(),
        Callee::Sip { uri, .. } => uri.is_empty(),
    }
}

/// What of a text can be dialled.
fn number(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_ascii_digit() || matches!(c, '+' | '*' | '#'))
        .collect()
}
