//! The tables of what stands inside verbs, and of the verbs that are refused.
//!
//! - `dial`: whom a Dial rings. `media`: streams, recordings and the like inside Start, Stop and Connect.
//! - `shared`: attributes of more than one of them. `ssml`: how a text inside Say is spoken. `pay`: Pay.

pub(super) mod dial;
pub(super) mod media;
mod pay;
pub(super) mod shared;
pub(super) mod ssml;

use super::lint::Reader;
use super::parse::Element;
use super::spec::{Dialect, Spec, Status, Text, Values, attribute, ignored};

/// A variable of the session.
pub(super) static VARIABLE: Spec = Spec {
    dialect: Dialect::Kazoo,
    attributes: &[
        attribute("key", Values::Text, "").kazoo().note("required"),
        attribute("value", Values::Text, "").kazoo(),
    ],
    ..Spec::of("Variable")
};

/// A name and a value for whoever is reached.
pub(super) static PARAMETER: Spec = Spec {
    dialect: Dialect::Both,
    attributes: &[
        attribute("name", Values::Text, ""),
        attribute("value", Values::Text, ""),
    ],
    ..Spec::of("Parameter")
};

/// The same where nobody reads it.
pub(super) static IGNORED_PARAMETER: Spec = Spec {
    status: Status::Ignored,
    dialect: Dialect::Twilio,
    attributes: &[
        attribute("name", Values::Text, "").twilio(),
        attribute("value", Values::Text, "").twilio(),
    ],
    note: "nobody reads it here",
    ..Spec::of("Parameter")
};

static SMS: Spec = Spec {
    status: Status::Refused,
    dialect: Dialect::Twilio,
    text: Text::Required("the message"),
    attributes: &[
        ignored("to", ""),
        ignored("from", ""),
        ignored("action", ""),
        ignored("method", ""),
        ignored("statusCallback", ""),
    ],
    note: "swivel sends no messages",
    ..Spec::of("Sms")
};

static ECHO: Spec = Spec {
    status: Status::Refused,
    dialect: Dialect::Twilio,
    ..Spec::of("Echo")
};

static QUEUE: Spec = Spec {
    status: Status::Refused,
    dialect: Dialect::Twilio,
    text: Text::Required("the queue"),
    attributes: &[
        ignored("url", ""),
        ignored("method", ""),
        ignored("reservationSid", ""),
        ignored("postWorkActivitySid", ""),
    ],
    note: "Queue stands inside Dial",
    ..Spec::of("Queue")
};

/// Verbs that end the document where they stand.
pub(super) static REFUSED_VERBS: &[&Spec] = &[&ECHO, &pay::PAY, &pay::PROMPT, &QUEUE, &SMS];

/// Reads the variables inside an element.
pub(super) fn variables(
    element: &Element,
    spec: &'static Spec,
    reader: &mut Reader,
) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    reader.within(element, |reader| {
        for child in element.children() {
            if child.name != VARIABLE.name {
                reader.stray(child, spec.children.iter().map(|known| known.name));
                continue;
            }
            let given = reader.look(child, &VARIABLE);
            match given.text("key") {
                Some(key) => variables.push((key, given.raw("value").unwrap_or_default())),
                None => reader.within(child, |reader| {
                    reader.finding(
                        child.at,
                        Status::Ignored,
                        Some("key"),
                        "a variable without a key",
                    );
                }),
            }
        }
    });
    variables
}
