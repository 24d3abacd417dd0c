//! The tables: every verb, noun and attribute of KAZOO's and Twilio's dialects, and what swivel makes of each. Reading,
//! `swivel twiml lint` and `docs/twiml.md` all follow them.

use serde::Serialize;

/// What swivel makes of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It does what its dialect says.
    Supported,
    /// It is accepted, does nothing, and a warning says so.
    Ignored,
    /// The call cannot go on past it.
    Refused,
}

/// Whose word it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// KAZOO's and Twilio's.
    Both,
    /// KAZOO's alone.
    Kazoo,
    /// Twilio's alone.
    Twilio,
}

/// An element.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) name: &'static str,
    pub(super) status: Status,
    pub(super) dialect: Dialect,
    pub(super) text: Text,
    pub(super) attributes: &'static [Attribute],
    /// Attributes it shares with others.
    pub(super) shared: &'static [&'static [Attribute]],
    pub(super) children: &'static [&'static Spec],
    pub(super) note: &'static str,
}

/// What text an element holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    /// None; text is passed over with a warning.
    None,
    /// This, and without it the element does nothing useful.
    Required(&'static str),
    /// This, or nothing.
    Optional(&'static str),
}

/// An attribute.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attribute {
    pub(super) name: &'static str,
    pub(super) status: Status,
    pub(super) dialect: Dialect,
    /// As it is written; empty for none.
    pub(super) default: &'static str,
    pub(super) values: Values,
    pub(super) note: &'static str,
}

/// What values an attribute may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    /// Anything.
    Text,
    /// A URL, absolute or relative to the document's.
    Url,
    /// `GET` or `POST`, in any case.
    Method,
    /// `true` or `false`.
    Bool,
    /// A whole number from the first to the second; what is more counts as the second.
    Upto(u32, u32),
    /// A whole number from the first to the second.
    Whole(u32, u32),
    /// One of these, in any case.
    OneOf(&'static [&'static str]),
    /// Some of these, separated by blanks.
    SomeOf(&'static [&'static str]),
    /// One key of a telephone, or nothing.
    Key,
    /// Keys of a telephone, or nothing.
    Keys,
    /// Keys to send, with `w` for half a second of silence.
    Digits,
}

const PLAIN: Attribute = Attribute {
    name: "",
    status: Status::Supported,
    dialect: Dialect::Both,
    default: "",
    values: Values::Text,
    note: "",
};

/// A supported attribute.
pub(super) const fn attribute(
    name: &'static str,
    values: Values,
    default: &'static str,
) -> Attribute {
    Attribute {
        name,
        values,
        default,
        ..PLAIN
    }
}

/// An attribute that does nothing.
pub(super) const fn ignored(name: &'static str, note: &'static str) -> Attribute {
    Attribute {
        name,
        status: Status::Ignored,
        dialect: Dialect::Twilio,
        note,
        ..PLAIN
    }
}

impl Attribute {
    pub(super) const fn kazoo(self) -> Self {
        Self {
            dialect: Dialect::Kazoo,
            ..self
        }
    }

    pub(super) const fn twilio(self) -> Self {
        Self {
            dialect: Dialect::Twilio,
            ..self
        }
    }

    pub(super) const fn note(self, note: &'static str) -> Self {
        Self { note, ..self }
    }
}

impl Spec {
    /// Every attribute it may have.
    pub(super) fn all(&self) -> impl Iterator<Item = &'static Attribute> + use<> {
        let shared = self.shared.iter().copied().flatten();
        self.attributes.iter().chain(shared)
    }

    /// The attribute of that name.
    pub(super) fn attribute(&self, name: &str) -> Option<&'static Attribute> {
        self.all().find(|attribute| attribute.name == name)
    }

    /// The element of that name that may stand inside.
    pub(super) fn child(&self, name: &str) -> Option<&'static Spec> {
        self.children
            .iter()
            .copied()
            .find(|child| child.name == name)
    }

    /// A supported element of both dialects, without anything inside.
    pub(super) const fn of(name: &'static str) -> Self {
        Self {
            name,
            status: Status::Supported,
            dialect: Dialect::Both,
            text: Text::None,
            attributes: &[],
            shared: &[],
            children: &[],
            note: "",
        }
    }
}

/// What is wrong with a value, or what it is held at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Judged {
    Good,
    /// Used as this instead.
    Held(String),
    Bad(String),
}

impl Values {
    /// Judges a value.
    pub(super) fn judge(self, value: &str) -> Judged {
        match self {
            Self::Text | Self::Url => Judged::Good,
            Self::Method => one_of(value, &["GET", "POST"]),
            Self::Bool => one_of(value, &["true", "false"]),
            Self::OneOf(words) => one_of(value, words),
            Self::SomeOf(words) => {
                let unknown = value
                    .split_ascii_whitespace()
                    .find(|part| !words.iter().any(|word| word.eq_ignore_ascii_case(part)));
                match unknown {
                    None => Judged::Good,
                    Some(word) => Judged::Bad(format!("{word:?} is none of {}", words.join(", "))),
                }
            }
            Self::Upto(low, high) => match whole(value) {
                Some(n) if n > high => Judged::Held(high.to_string()),
                Some(n) if n >= low => Judged::Good,
                Some(_) | None => {
                    Judged::Bad(format!("{value:?} is no whole number from {low} up"))
                }
            },
            Self::Whole(low, high) => match whole(value) {
                Some(n) if (low..=high).contains(&n) => Judged::Good,
                Some(_) | None if high == u32::MAX => {
                    Judged::Bad(format!("{value:?} is no whole number from {low} up"))
                }
                Some(_) | None => {
                    Judged::Bad(format!("{value:?} is no whole number from {low} to {high}"))
                }
            },
            Self::Key => match value.chars().count() {
                0 => Judged::Good,
                1 if value.chars().all(is_key) => Judged::Good,
                _ => Judged::Bad(format!("{value:?} is not one key of a telephone")),
            },
            Self::Keys if value.chars().all(is_key) => Judged::Good,
            Self::Keys => Judged::Bad(format!("{value:?} is not made of keys of a telephone")),
            Self::Digits
                if value
                    .chars()
                    .all(|c| is_key(c) || "wWaAbBcCdD,".contains(c)) =>
            {
                Judged::Good
            }
            Self::Digits => Judged::Bad(format!("{value:?} is not made of keys and w")),
        }
    }

    /// The values in words, for the documentation.
    pub(super) fn words(self) -> String {
        let list = |words: &[&str]| {
            let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            quoted.join(" ")
        };
        match self {
            Self::Text => "text".to_owned(),
            Self::Url => "URL".to_owned(),
            Self::Method => list(&["GET", "POST"]),
            Self::Bool => list(&["true", "false"]),
            Self::OneOf(words) => list(words),
            Self::SomeOf(words) => format!("some of {}", list(words)),
            Self::Upto(low, high) => format!("{low} up; more than {high} counts as {high}"),
            Self::Whole(low, u32::MAX) => format!("{low} up"),
            Self::Whole(low, high) => format!("{low} to {high}"),
            Self::Key => "one key, or empty for none".to_owned(),
            Self::Keys => "keys, or empty for none".to_owned(),
            Self::Digits => "keys, `w` waits half a second".to_owned(),
        }
    }
}

fn one_of(value: &str, words: &[&str]) -> Judged {
    if words
        .iter()
        .any(|word| word.eq_ignore_ascii_case(value.trim()))
    {
        Judged::Good
    } else {
        Judged::Bad(format!("{value:?} is none of {}", words.join(", ")))
    }
}

fn whole(value: &str) -> Option<u32> {
    let value = value.trim();
    match value.parse::<u32>() {
        Ok(number) => Some(number),
        // Too large for the type is still a number.
        Err(_) if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => Some(u32::MAX),
        Err(_) => None,
    }
}

fn is_key(c: char) -> bool {
    c.is_ascii_digit() || c == '*' || c == '#'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_judged_by_their_kind() {
        let bad = |values: Values, value: &str| matches!(values.judge(value), Judged::Bad(_));
        assert_eq!(
            Values::Upto(1, 3600).judge("9999999999"),
            Judged::Held("3600".into())
        );
        assert!(bad(Values::Upto(1, 3600), "0") && bad(Values::Upto(1, 3600), "-3"));
        assert!(bad(Values::Whole(1, 9), "10") && bad(Values::Whole(1, 9), "x"));
        assert_eq!(Values::Method.judge("post"), Judged::Good);
        assert!(bad(Values::Method, "PUT") && bad(Values::Bool, "yes"));
        assert!(bad(Values::Key, "12") && bad(Values::Key, "x"));
        assert_eq!(Values::Key.judge(""), Judged::Good);
        assert_eq!(
            Values::SomeOf(&["dtmf", "speech"]).judge("dtmf speech"),
            Judged::Good
        );
        assert!(bad(Values::SomeOf(&["dtmf", "speech"]), "smell"));
        assert_eq!(Values::Digits.judge("1w#"), Judged::Good);
        assert!(bad(Values::Digits, "1x"));
    }
}
