//! `Dial`: rings others and connects the caller to whoever answers (`pivot.md` §7.6).
//!
//! When the called party leaves or nobody answers, `action` or the next verb runs; when the caller leaves, nothing more
//! does in the kazoo profile, and `action` is still told in the twilio profile.

use crate::base::keys::Keys;
use crate::base::profile::Profile;
use crate::pivot::RequestMethod;
use crate::twiml::exec::{Run, Step};
use crate::twiml::line::{self, Callee, Line, Trouble};
use crate::twiml::lint::{Given, Reader};
use crate::twiml::nouns::dial as nouns;
use crate::twiml::parse::Element;
use crate::twiml::ringtones;
use crate::twiml::spec::{Spec, Status, Text, Values, attribute, ignored};

const RECORDS: &str = "talks are not recorded from TwiML yet; a callflow's record_call does";

pub(in crate::twiml) static SPEC: Spec = Spec {
    text: Text::Optional("a number"),
    attributes: &[
        attribute("action", Values::Url, "")
            .note("asked when the talk is over; without one the next verb runs"),
        attribute("method", Values::Method, "")
            .note("`GET` in the kazoo profile, `POST` in the twilio profile"),
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
        ignored("record", RECORDS),
        ignored("recordingUrl", RECORDS).kazoo(),
        ignored("recordStoreMethod", RECORDS).kazoo(),
        ignored("recordingTrack", RECORDS),
        ignored("trim", RECORDS),
        ignored("recordingStatusCallback", RECORDS),
        ignored("recordingStatusCallbackMethod", RECORDS),
        ignored("recordingStatusCallbackEvent", RECORDS),
        ignored("recordingConfigurationId", RECORDS),
        ignored("referUrl", "a transfer is carried out by swivel itself"),
        ignored("referMethod", "a transfer is carried out by swivel itself"),
        ignored("callReason", "carriers do not ask"),
        ignored("events", "not sent yet"),
        ignored("passports", "not sent yet"),
    ],
    children: nouns::ALL,
    ..Spec::of("Dial")
};

#[derive(Debug, Clone, PartialEq)]
pub(in crate::twiml) struct Dial {
    action: Option<String>,
    method: RequestMethod,
    how: line::Dial,
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
        if found.callees.is_empty() && found.refused.is_none() {
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
                single: given.word("strategy") == "single" || given.flag("sequential"),
                timeout: given.seconds("timeout"),
                limit: given.seconds("timeLimit"),
                caller_id: given.text("callerId"),
                hangup_on: Keys::parse(&keys),
                ringback: given
                    .text("ringTone")
                    .and_then(|country| ringtones::of(&country)),
            },
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
        if self.how.callees.is_empty() {
            return Err(Trouble::Fatal("there is nobody to ring".to_owned()));
        }
        let kazoo = run.session.profile == Profile::Kazoo;
        // A caller who has to wait for the answer of another is not answered by KAZOO unless a number is dialled.
        if self.answers(kazoo) {
            run.line.answer().await?;
        }
        run.line.status("ringing");
        let mut dialled = Box::pin(run.line.dial(&self.how)).await?;
        if dialled.moved {
            return Ok(Step::Moved);
        }
        if !self.collect {
            dialled.digits.clear();
        }
        run.line
            .status(call_status(&dialled, run.line.ended(), kazoo));
        run.dialled(&dialled);
        if run.line.ended() && (kazoo || self.action.is_none()) {
            return Err(Trouble::Ended);
        }
        match &self.action {
            Some(action) => run.follow(Some(action), self.method),
            None => Ok(Step::Next),
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
    refused: Option<&'static str>,
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
            _ => {}
        }
        self.callees.retain(|callee| !is_empty(callee));
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
