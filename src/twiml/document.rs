//! A typed document: what its text means, with what is to be said about it.

use serde_json::{Value, json};

use super::lint::{Reader, Report};
use super::parse::{ParseError, parse};
use super::verbs::{self, Verb};
use crate::base::profile::Profile;

/// A document that can be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    pub(super) verbs: Vec<Verb>,
    /// What is to be said about it.
    pub report: Report,
}

/// Why a body is no TwiML.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotTwiml {
    /// It is no XML within the limits.
    #[error(transparent)]
    Xml(#[from] ParseError),
    /// Its document element has another name.
    #[error("the document element is {found}, not Response")]
    Root {
        /// The name.
        found: String,
    },
}

impl Document {
    /// Reads a body by the rules of a profile.
    ///
    /// # Errors
    /// Why it is no TwiML at all. What cannot be run inside it is in the report.
    pub fn read(body: &str, profile: Profile) -> Result<Self, NotTwiml> {
        let root = parse(body.trim_start_matches('\u{feff}').trim_start())?;
        if root.name != "Response" {
            return Err(NotTwiml::Root { found: root.name });
        }
        let mut reader = Reader::new(profile);
        let verbs = root
            .children()
            .map(|element| verbs::read(element, &mut reader))
            .collect();
        Ok(Self {
            verbs,
            report: reader.report,
        })
    }
}

/// What `swivel twiml lint --json` and the API say of a body.
pub fn judged(body: &str, profile: Profile) -> Value {
    match Document::read(body, profile) {
        Ok(Document { report, .. }) => {
            let refused = report.refused();
            json!({
                "document": true,
                "refused": refused,
                "ignored": report.findings.len() - refused,
                "findings": report.findings,
                "items": report.items,
            })
        }
        Err(error) => json!({"document": false, "refused": 1, "error": error.to_string()}),
    }
}
