//! What a document check found: one finding per broken rule, in the shape KAZOO's API answers it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Dotted path of the field, e.g. `flow.children.1.data.voice_url`; a dot inside a key is written `%2E`.
    pub path: String,
    /// KAZOO's name of the rule: `required`, `type`, `enum`, `minimum`, `pattern`, `error` …
    pub rule: String,
    /// What is wrong, for a person.
    pub message: String,
    /// What was found there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub value: Option<Value>,
    /// What the rule asks for (a limit, a list, a pattern, a type).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target: Option<Value>,
}

impl Finding {
    /// A finding without value and target.
    pub fn new(
        path: impl Into<String>,
        rule: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            path: path.into(),
            rule: rule.into(),
            message: message.into(),
            value: None,
            target: None,
        }
    }

    /// The same finding, saying what was found.
    #[must_use]
    pub fn with_value(mut self, value: Value) -> Self {
        self.value = Some(value);
        self
    }

    /// The same finding, saying what the rule asks for.
    #[must_use]
    pub fn with_target(mut self, target: impl Into<Value>) -> Self {
        self.target = Some(target.into());
        self
    }

    /// Findings as the `data` of an error envelope: `{path: {rule: {message, target, value}}}`.
    pub fn to_data(findings: &[Finding]) -> Value {
        let mut data = Map::new();
        for finding in findings {
            let mut detail = Map::new();
            detail.insert("message".into(), Value::String(finding.message.clone()));
            if let Some(target) = &finding.target {
                detail.insert("target".into(), target.clone());
            }
            if let Some(value) = &finding.value {
                detail.insert("value".into(), value.clone());
            }
            let rules = data
                .entry(finding.path.clone())
                .or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(rules) = rules {
                rules.insert(finding.rule.clone(), Value::Object(detail));
            }
        }
        Value::Object(data)
    }
}

/// Joins a path and one more key; a dot inside the key is written `%2E`.
pub fn join(path: &str, key: &str) -> String {
    let key = key.replace('.', "%2E");
    if path.is_empty() {
        key
    } else {
        format!("{path}.{key}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn two_rules_of_one_field_share_its_entry() {
        let found = [
            Finding::new("a.b", "type", "not a number")
                .with_value(json!("x"))
                .with_target("integer"),
            Finding::new("a.b", "enum", "not one of them"),
        ];
        assert_eq!(
            Finding::to_data(&found),
            json!({"a.b": {"type": {"message": "not a number", "target": "integer", "value": "x"},
                           "enum": {"message": "not one of them"}}})
        );
    }

    #[test]
    fn a_dot_in_a_key_does_not_look_like_a_level() {
        assert_eq!(join("", "a"), "a");
        assert_eq!(join("a", "x.y"), "a.x%2Ey");
    }
}
