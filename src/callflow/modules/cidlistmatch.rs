//! `cidlistmatch`: branches on whether a match list holds the caller's number.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `id` | the list | none |
//!
//! An entry holds the number when its `number` or `prefix` begins it (a leading `+` aside), or its `pattern` matches
//! it. Children: `match`, `nomatch`, `_`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Module;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::error::FlowError;
use crate::directory::numbers::compile;

/// Branches on a match list
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct CidListMatch {
    /// Id of the list
    id: Option<String>,
}

/// Whether a list entry holds `number`.
fn holds(entry: &Value, number: &str) -> bool {
    let bare = number.strip_prefix('+').unwrap_or(number);
    let field = |key: &str| match entry.get(key) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
        Some(Value::Number(digits)) => Some(digits.to_string()),
        _ => None,
    };
    let begins = |prefix: String| bare.starts_with(prefix.strip_prefix('+').unwrap_or(&prefix));
    field("number").is_some_and(begins)
        || field("prefix").is_some_and(begins)
        || field("pattern")
            .and_then(|pattern| compile(&pattern).ok())
            .is_some_and(|regex| regex.is_match(number).unwrap_or(false))
}

impl Module for CidListMatch {
    const NAME: &'static str = "cidlistmatch";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        let account = ctx.account();
        let id = self.id.unwrap_or_default();
        let number = ctx.caller_number();
        let matched = account.list_entries(&id).any(|entry| holds(entry, &number));
        Ok(Next::Child(if matched { "match" } else { "nomatch" }.into()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_entry_holds_numbers_it_begins() {
        assert!(holds(&json!({"number": "+1415"}), "+14155550100"));
        assert!(holds(&json!({"prefix": "1415"}), "+14155550100"));
        assert!(holds(&json!({"number": 1415}), "14155550100"));
        assert!(!holds(&json!({"number": "415"}), "+14155550100"));
        assert!(!holds(&json!({"number": ""}), "+14155550100"));
    }

    #[test]
    fn an_entry_holds_numbers_its_pattern_matches() {
        assert!(holds(&json!({"pattern": "^\\+1415"}), "+14155550100"));
        assert!(
            !holds(&json!({"pattern": "("}), "+14155550100"),
            "a broken pattern holds nothing"
        );
    }
}
