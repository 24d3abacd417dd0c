//! What a document holds, word by word, and what is worth telling its author: every finding names line and column.

use std::collections::BTreeMap;

use serde::Serialize;

use super::orders::Told;
use super::parse::{Element, Node, Pair, Position};
use super::spec::{Attribute, Dialect, Judged, Spec, Status, Text, Values};
use crate::base::keys::Keys;
use crate::base::profile::Profile;
use crate::pivot::RequestMethod;

/// One remark about a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where.
    #[serde(flatten)]
    pub at: Position,
    /// How serious: `Ignored` is a warning, with `Refused` the call ends there.
    pub status: Status,
    /// Which element, from the document element down, and after `@` which attribute.
    pub path: String,
    /// What to know about it.
    pub message: String,
}

/// One verb, noun or attribute that a document uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Where.
    #[serde(flatten)]
    pub at: Position,
    /// The element.
    pub element: String,
    /// Its attribute; missing for the element itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribute: Option<String>,
    /// What swivel makes of it.
    pub status: Status,
    /// Whether the tables have it at all.
    pub known: bool,
}

/// What came of looking at a document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What its author should know.
    pub findings: Vec<Finding>,
    /// Every word of it.
    pub items: Vec<Item>,
}

impl Report {
    /// Findings the call does not get past.
    pub fn refused(&self) -> usize {
        let refused = |finding: &&Finding| finding.status == Status::Refused;
        self.findings.iter().filter(refused).count()
    }
}

/// Reads elements by their tables and takes notes.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) profile: Profile,
    pub(super) report: Report,
    path: Vec<String>,
}

/// The values of an element's attributes, by its table.
#[derive(Debug)]
pub(super) struct Given {
    spec: &'static Spec,
    profile: Profile,
    values: BTreeMap<&'static str, String>,
    /// The first value that cannot be used.
    pub(super) broken: Option<String>,
}

impl Reader {
    pub(super) fn new(profile: Profile) -> Self {
        Self {
            profile,
            report: Report::default(),
            path: vec!["Response".to_owned()],
        }
    }

    /// Notes a finding about the element that is being read.
    pub(super) fn finding(
        &mut self,
        at: Position,
        status: Status,
        attribute: Option<&str>,
        message: impl Into<String>,
    ) {
        let mut path = self.path.join("/");
        if let Some(attribute) = attribute {
            path = format!("{path}@{attribute}");
        }
        self.report.findings.push(Finding {
            at,
            status,
            path,
            message: message.into(),
        });
    }

    /// Reads something inside `element`.
    pub(super) fn within<T>(&mut self, element: &Element, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(element.name.clone());
        let value = read(self);
        self.path.pop();
        value
    }

    /// How serious it is when a document asks for something impossible: KAZOO ends the call, Twilio goes on.
    pub(super) fn severity(&self) -> Status {
        match self.profile {
            Profile::Kazoo => Status::Refused,
            Profile::Twilio => Status::Ignored,
        }
    }

    /// Takes note of an element the tables do not have.
    pub(super) fn unknown<'a>(
        &mut self,
        element: &Element,
        known: impl Iterator<Item = &'a str>,
    ) -> Status {
        let status = self.severity();
        let mut message = format!("{} is not known here", element.name);
        if let Some(like) = suggestion(&element.name, known) {
            message.push_str(&format!("; did you mean {like}?"));
        }
        self.within(element, |reader| {
            reader.finding(element.at, status, None, message);
        });
        self.item(element, None, status, false);
        status
    }

    fn item(&mut self, element: &Element, attribute: Option<&Pair>, status: Status, known: bool) {
        self.report.items.push(Item {
            at: attribute.map_or(element.at, |pair| pair.at),
            element: element.name.clone(),
            attribute: attribute.map(|pair| pair.name.clone()),
            status,
            known,
        });
    }

    /// Looks at everything of an element but what stands inside it.
    pub(super) fn look(&mut self, element: &Element, spec: &'static Spec) -> Given {
        self.item(element, None, spec.status, true);
        let mut given = Given {
            spec,
            profile: self.profile,
            values: BTreeMap::new(),
            broken: None,
        };
        self.within(element, |reader| {
            reader.told(element, spec);
            for pair in &element.attributes {
                reader.attribute(element, spec, pair, &mut given);
            }
            reader.text(element, spec);
        });
        given
    }

    fn told(&mut self, element: &Element, spec: &Spec) {
        let said = if spec.note.is_empty() {
            String::new()
        } else {
            format!(": {}", spec.note)
        };
        match spec.status {
            Status::Supported => {}
            Status::Ignored => self.finding(
                element.at,
                Status::Ignored,
                None,
                format!("{} does nothing{said}", spec.name),
            ),
            Status::Refused => self.finding(
                element.at,
                Status::Refused,
                None,
                format!("{} is not available{said}", spec.name),
            ),
        }
    }

    fn attribute(
        &mut self,
        element: &Element,
        spec: &'static Spec,
        pair: &Pair,
        given: &mut Given,
    ) {
        let Some(attribute) = spec.attribute(&pair.name) else {
            // Namespace declarations say nothing about the call.
            if pair.name == "xmlns" || pair.name.starts_with("xmlns:") {
                return;
            }
            let names = spec.all().map(|attribute| attribute.name);
            let mut message = format!("{} has no attribute {}", spec.name, pair.name);
            if let Some(like) = suggestion(&pair.name, names) {
                message.push_str(&format!("; did you mean {like}?"));
            }
            self.finding(pair.at, Status::Ignored, Some(&pair.name), message);
            return self.item(element, Some(pair), Status::Ignored, false);
        };
        let status = self.judge(attribute, pair, given);
        self.item(element, Some(pair), status, true);
    }

    fn judge(&mut self, attribute: &'static Attribute, pair: &Pair, given: &mut Given) -> Status {
        match attribute.status {
            Status::Supported => {}
            Status::Ignored | Status::Refused => {
                let verb = if attribute.status == Status::Ignored {
                    "does nothing"
                } else {
                    "is not available"
                };
                let said = if attribute.note.is_empty() {
                    String::new()
                } else {
                    format!(": {}", attribute.note)
                };
                let message = format!("{} {verb}{said}", attribute.name);
                self.finding(pair.at, attribute.status, Some(attribute.name), message);
                if attribute.status == Status::Refused {
                    let why = format!("{} is not available", attribute.name);
                    given.broken.get_or_insert(why);
                }
                return attribute.status;
            }
        }
        let value = match attribute.values.judge(&pair.value) {
            Judged::Good => pair.value.clone(),
            Judged::Held(held) => {
                let message = format!("{} counts as {held}", pair.value);
                self.finding(pair.at, Status::Ignored, Some(attribute.name), message);
                held
            }
            Judged::Bad(why) => {
                self.bad(attribute, pair, why, given);
                return attribute.status;
            }
        };
        given.values.insert(attribute.name, value);
        attribute.status
    }

    /// KAZOO ends the call at a value it cannot use, Twilio warns and uses the default. Methods are never that serious.
    fn bad(&mut self, attribute: &Attribute, pair: &Pair, why: String, given: &mut Given) {
        let lenient = self.profile == Profile::Twilio
            || attribute.dialect == Dialect::Twilio
            || attribute.values == Values::Method;
        if lenient {
            let message = format!("{why}; the default is used");
            self.finding(pair.at, Status::Ignored, Some(attribute.name), message);
        } else {
            self.finding(pair.at, Status::Refused, Some(attribute.name), why.clone());
            given
                .broken
                .get_or_insert(format!("{}: {why}", attribute.name));
        }
    }

    fn text(&mut self, element: &Element, spec: &Spec) {
        let text = element.text();
        match spec.text {
            Text::None if !text.is_empty() => self.finding(
                element.at,
                Status::Ignored,
                None,
                format!("text inside {} is passed over", spec.name),
            ),
            Text::None | Text::Required(_) | Text::Optional(_) => {}
        }
    }

    /// Looks at the elements inside one whose reading needs nothing of them.
    pub(super) fn look_inside(&mut self, element: &Element, spec: &'static Spec) {
        self.within(element, |reader| {
            for child in element.children() {
                match spec.child(&child.name) {
                    Some(known) => {
                        reader.look(child, known);
                        reader.look_inside(child, known);
                    }
                    None => {
                        let names = spec.children.iter().map(|known| known.name);
                        reader.stray(child, names);
                    }
                }
            }
        });
    }

    /// Takes note of an element that has no place where it stands, and is passed over.
    pub(super) fn stray<'a>(&mut self, element: &Element, known: impl Iterator<Item = &'a str>) {
        let parent = self.path.last().cloned().unwrap_or_default();
        let mut message = format!("{} has no place inside {parent}", element.name);
        if let Some(like) = suggestion(&element.name, known) {
            message.push_str(&format!("; did you mean {like}?"));
        }
        self.within(element, |reader| {
            reader.finding(element.at, Status::Ignored, None, message);
        });
        self.item(element, None, Status::Ignored, false);
    }
}

impl Given {
    /// The value, or the default of the table; nothing is no value.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.raw(name).filter(|value| !value.is_empty())
    }

    /// The value, or the default of the table; an empty one is a value.
    pub(super) fn raw(&self, name: &str) -> Option<String> {
        let attribute = self.spec.attribute(name)?;
        let given = self.values.get(attribute.name).cloned();
        given.or_else(|| (!attribute.default.is_empty()).then(|| attribute.default.to_owned()))
    }

    pub(super) fn number(&self, name: &str) -> Option<u32> {
        self.text(name)?.trim().parse().ok()
    }

    pub(super) fn seconds(&self, name: &str) -> std::time::Duration {
        let seconds = self.number(name).unwrap_or_default();
        std::time::Duration::from_secs(u64::from(seconds))
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.text(name)
            .is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
    }

    /// In lower case.
    pub(super) fn word(&self, name: &str) -> String {
        self.text(name)
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase()
    }

    /// How often; `None` is for ever.
    pub(super) fn loops(&self) -> Option<u32> {
        match self.number("loop").unwrap_or(1) {
            0 => None,
            times => Some(times),
        }
    }

    /// Keys that stop what is heard; Twilio's prompts are stopped by none.
    pub(super) fn terminators(&self) -> Keys {
        match self.profile {
            Profile::Kazoo => Keys::parse(&self.raw("terminators").unwrap_or_default()),
            Profile::Twilio => Keys::NONE,
        }
    }

    /// Who is told of what happens, by the attribute `name` and those that belong to it.
    pub(super) fn told(&self, name: &str) -> Option<Told> {
        let events = self.word(&format!("{name}Event"));
        Some(Told {
            url: self.text(name)?,
            method: self.post_or_get(&format!("{name}Method")),
            events: events.split_ascii_whitespace().map(str::to_owned).collect(),
        })
    }

    /// The method of what Twilio alone asks for: `POST` unless told otherwise.
    pub(super) fn post_or_get(&self, name: &str) -> RequestMethod {
        match self.word(name).as_str() {
            "get" => RequestMethod::Get,
            _ => RequestMethod::Post,
        }
    }

    /// The method of a follow-up request: KAZOO 5 asks with GET unless told otherwise, Twilio with POST.
    pub(super) fn method(&self, name: &str) -> RequestMethod {
        match (self.word(name).as_str(), self.profile) {
            ("get", _) => RequestMethod::Get,
            ("post", _) => RequestMethod::Post,
            (_, Profile::Kazoo) => RequestMethod::Get,
            (_, Profile::Twilio) => RequestMethod::Post,
        }
    }
}

/// The known word most like `word`, when one is like enough.
pub(super) fn suggestion<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    known
        .map(|other| (distance(&lower, &other.to_lowercase()), other))
        .filter(|(far, other)| *far <= 1 + other.len() / 5)
        .min_by_key(|(far, _)| *far)
        .map(|(_, other)| other)
}

/// How many letters are to be added, removed, changed or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(40).collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (row, x) in a.iter().enumerate() {
        let mut line = vec![row + 1];
        for (column, y) in b.iter().enumerate() {
            let at = |cells: &[usize], n: usize| cells.get(n).copied().unwrap_or(usize::MAX / 2);
            let changed = at(&above, column) + usize::from(x != y);
            let mut best = changed
                .min(at(&above, column + 1) + 1)
                .min(at(&line, column) + 1);
            let swapped =
                row > 0 && column > 0 && a.get(row - 1) == Some(y) && b.get(column - 1) == Some(x);
            if swapped {
                best = best.min(at(&before, column - 1) + 1);
            }
            line.push(best);
        }
        before = std::mem::replace(&mut above, line);
    }
    above.last().copied().unwrap_or_default()
}

/// All text inside an element, at any depth.
pub(super) fn all_text(element: &Element) -> String {
    let mut out = String::new();
    for node in &element.content {
        match node {
            Node::Text(text) => out.push_str(text),
            Node::Element(inner) => out.push_str(&all_text(inner)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_miss_gets_a_suggestion_and_nonsense_none() {
        let verbs = ["Say", "Gather", "Redirect", "Record"];
        let of = |word: &str| suggestion(word, verbs.into_iter());
        assert_eq!(of("say"), Some("Say"));
        assert_eq!(of("Gahter"), Some("Gather"));
        assert_eq!(of("Redirct"), Some("Redirect"));
        assert_eq!(of("Bananas"), None);
    }
}
