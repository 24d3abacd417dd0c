//! What a server's answer is.

use serde_json::Value;
use url::Url;

use crate::base::finding::Finding;
use crate::twiml::Document;

/// What a call does next.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// A checked flow node that replaces the rest of the flow.
    Flow(Value),
    /// TwiML, for the interpreter.
    Twiml {
        /// The document.
        document: Box<Document>,
        /// Where it came from, after redirects; `None` of a document without a server.
        url: Option<Url>,
    },
}

/// Checks a flow node: the node with defaults inserted and warnings, or what is wrong with it. The callflow room's
/// `validate`, handed in because that room is above this one.
pub type Check<'a> = &'a dyn Fn(
    &Value,
    &dyn Fn(&str) -> Result<(), String>,
) -> Result<(Value, Vec<Finding>), Vec<Finding>>;
