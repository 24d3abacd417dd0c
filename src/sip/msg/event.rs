//! Event (RFC 6665 §8.2.1): which package a subscription or notification is about.

use std::fmt;

use super::HeaderError;
use super::grammar::{is_token, split_at, trim};
use super::params::{HeaderParams, Params};

/// An event package with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The package, e.g. `message-summary`.
    pub package: String,
    /// All parameters, `id` among them.
    pub params: Params,
}

impl Event {
    /// Reads `package *(;param)`.
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        let error = |rule| HeaderError::new("Event", rule);
        let text = trim(text);
        let (package, params) = split_at(text, text.find(';').unwrap_or(text.len()));
        let package = trim(package);
        if !is_token(package) {
            return Err(error("not an event package"));
        }
        Ok(Self {
            package: package.into(),
            params: Params::collect(HeaderParams::new(params)).map_err(error)?,
        })
    }

    /// The subscription's id.
    pub fn id(&self) -> Option<&str> {
        self.params.get("id").flatten()
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.package, self.params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_package_and_perhaps_an_id() {
        let event = Event::parse("refer ; id=93809824").unwrap();
        assert_eq!(
            (event.package.as_str(), event.id()),
            ("refer", Some("93809824"))
        );
        assert_eq!(event.to_string(), "refer;id=93809824");
        for bad in ["", ";id=1", "a b", "a, b", "a;;"] {
            assert!(Event::parse(bad).is_err(), "{bad:?}");
        }
    }
}
