//! The data of a `pivot` node (`pivot.md` §1.1).

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::base::profile::Profile;

/// Settings of one Pivot session. Unknown keys are ignored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// URL of the first request.
    pub voice_url: Option<String>,
    /// Verb of the first request; anything that is not `get` is a post.
    pub method: RequestMethod,
    /// Names of the parameters.
    pub req_format: RequestFormat,
    /// Encoding of the body of a post.
    pub req_body_format: BodyFormat,
    /// Limit for a whole request in milliseconds; 5000 at most, and when missing.
    pub req_timeout_ms: Option<i64>,
    /// Whether the exchanges are kept in the debug log.
    #[serde(deserialize_with = "truth")]
    pub debug: bool,
    /// URL told of the end of the call (TwiML sessions).
    pub cdr_url: Option<String>,
    /// Whose rules TwiML is run by; the configuration decides when missing.
    pub twiml_profile: Option<Profile>,
    /// Headers of each request.
    pub custom_request_headers: Option<Map<String, Value>>,
    /// A document to run as if a server had answered it.
    pub serverless: Option<Serverless>,
}

/// Verb of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RequestMethod {
    /// `get`.
    #[default]
    Get,
    /// `post`.
    Post,
}

/// Names of the parameters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RequestFormat {
    /// `Call-ID` …
    #[default]
    Kazoo,
    /// `CallSid` …
    Twiml,
}

/// Encoding of the body of a post.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BodyFormat {
    /// Like a query.
    #[default]
    Form,
    /// One JSON object.
    Json,
}

/// A document to run as if a server had answered it (KAZOO 5).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Serverless {
    /// Text, or an object that stands for its JSON text.
    pub flow_doc: Value,
    /// Its content type; XML when missing.
    #[serde(default = "xml")]
    pub flow_type: String,
}

impl Settings {
    /// The same for a follow-up request.
    #[must_use]
    pub fn following(&self, url: &str, method: RequestMethod) -> Self {
        Self {
            voice_url: Some(url.to_owned()),
            method,
            serverless: None,
            ..self.clone()
        }
    }

    /// Limit for a whole request.
    pub fn timeout(&self) -> Duration {
        let millis = self
            .req_timeout_ms
            .and_then(|ms| u64::try_from(ms).ok())
            .filter(|ms| *ms > 0);
        millis
            .map_or(MAX_TIMEOUT, Duration::from_millis)
            .min(MAX_TIMEOUT)
    }

    /// Whose rules TwiML is run by.
    pub fn profile(&self) -> Profile {
        self.twiml_profile.unwrap_or_default()
    }

    /// Names and values of the custom headers; values that are no text or number are passed over.
    pub fn headers(&self) -> Vec<(String, String)> {
        let all = self.custom_request_headers.iter().flatten();
        all.filter_map(|(name, value)| match value {
            Value::String(text) => Some((name.clone(), text.clone())),
            Value::Number(number) => Some((name.clone(), number.to_string())),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        })
        .collect()
    }
}

impl<'de> Deserialize<'de> for RequestMethod {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(if text.eq_ignore_ascii_case("get") {
            Self::Get
        } else {
            Self::Post
        })
    }
}

/// `true`, also as text.
fn truth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Bool(value) => value,
        Value::String(text) => text.eq_ignore_ascii_case("true"),
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
    })
}

fn xml() -> String {
    "application/xml".to_owned()
}

/// The longest a request may take, and the time it gets when the node says nothing.
const MAX_TIMEOUT: Duration = Duration::from_millis(5000);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(data: Value) -> Settings {
        serde_json::from_value(data).unwrap()
    }

    #[test]
    fn what_is_missing_has_the_documented_default() {
        let settings = settings(json!({"voice_url": "http://a/"}));
        assert_eq!(settings.method, RequestMethod::Get);
        assert_eq!(settings.req_format, RequestFormat::Kazoo);
        assert_eq!(settings.req_body_format, BodyFormat::Form);
        assert_eq!(settings.timeout(), Duration::from_secs(5));
        assert!(!settings.debug);
    }

    #[test]
    fn any_other_method_is_a_post() {
        for (text, method) in [
            ("GET", RequestMethod::Get),
            ("Get", RequestMethod::Get),
            ("POST", RequestMethod::Post),
            ("put", RequestMethod::Post),
        ] {
            assert_eq!(settings(json!({"method": text})).method, method, "{text}");
        }
    }

    #[test]
    fn the_timeout_is_five_seconds_at_most() {
        let timeout = |ms: i64| settings(json!({"req_timeout_ms": ms})).timeout();
        assert_eq!(timeout(1200), Duration::from_millis(1200));
        assert_eq!(timeout(60_000), Duration::from_secs(5));
        assert_eq!(timeout(0), Duration::from_secs(5));
        assert_eq!(timeout(-3), Duration::from_secs(5));
    }

    #[test]
    fn old_and_unknown_keys_do_nothing() {
        let settings = settings(
            json!({"voice_url": "http://a/", "req_timeout": "60", "x": {}, "debug": "true"}),
        );
        assert_eq!(settings.timeout(), Duration::from_secs(5));
        assert!(settings.debug);
    }
}
