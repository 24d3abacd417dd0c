//! `collect_dtmf`: answers, collects digits into a named collection, then takes the default child.
//!
//! Digits typed ahead during `play`, `tts` and `audio_macro` count first. The result is not branched on; a following
//! `pivot` request carries it.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `max_digits` | how many end it | 1 |
//! | `timeout` | wait for the first digit, ms | 5000 |
//! | `interdigit_timeout` | wait for each further digit, ms | 2000 |
//! | `terminator` | a key that ends it | `#` |
//! | `terminators` | several such keys, when `terminator` is missing | none |
//! | `collection_name` | where the digits go | `default` |

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Module;
use crate::call::{CollectOptions, Keys};
use crate::callflow::ctx::{FlowCtx, TYPED_AHEAD};
use crate::callflow::cursor::Next;
use crate::callflow::data::{Key, Whole};
use crate::callflow::error::FlowError;

/// Collects digits
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct CollectDtmf {
    /// How many digits end the collection
    #[schemars(range(min = 1))]
    max_digits: Whole,
    /// Longest wait for the first digit, in milliseconds
    #[schemars(range(min = 1))]
    timeout: Whole,
    /// Longest wait for each further digit, in milliseconds (2000 when missing)
    #[schemars(range(min = 1))]
    interdigit_timeout: Option<Whole>,
    // No schema default, unlike KAZOO's: an inserted `#` would win over the `terminators` that were asked for.
    /// The key that ends the collection (`#` when neither this nor `terminators` is given)
    terminator: Option<Key>,
    /// Keys that end the collection
    #[schemars(extend("uniqueItems" = true))]
    terminators: Option<Vec<Key>>,
    /// Name the digits are kept under (`default` when missing)
    collection_name: Option<String>,
}

impl Default for CollectDtmf {
    fn default() -> Self {
        Self {
            max_digits: Whole(1),
            timeout: Whole(5_000),
            interdigit_timeout: None,
            terminator: None,
            terminators: None,
            collection_name: None,
        }
    }
}

impl CollectDtmf {
    fn terminators(&self) -> Keys {
        let keys: String = match (self.terminator, &self.terminators) {
            (Some(key), _) => key.char().into(),
            (None, Some(keys)) => keys.iter().map(|key| key.char()).collect(),
            (None, None) => "#".into(),
        };
        Keys::parse(&keys)
    }
}

/// What was typed ahead, up to the first terminator and `max` digits.
fn usable(typed: &str, terminators: Keys, max: usize) -> String {
    typed
        .chars()
        .take_while(|key| !terminators.contains(*key))
        .take(max)
        .collect()
}

impl Module for CollectDtmf {
    const NAME: &'static str = "collect_dtmf";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        ctx.call.answer().await?;
        let terminators = self.terminators();
        let max_digits = usize::try_from(self.max_digits.count(1, MAX_DIGITS)).unwrap_or(1);
        let typed = ctx.call.vars().collections.remove(TYPED_AHEAD).unwrap_or_default();
        let options = CollectOptions {
            total: false,
            max_digits,
            timeout: self.timeout.millis(),
            interdigit: self
                .interdigit_timeout
                .map_or(Duration::from_millis(2_000), Whole::millis),
            terminators,
            typed_ahead: usable(&typed, terminators, max_digits),
        };
        let collected = ctx.call.collect(Vec::new(), options).await?;
        let name = self.collection_name.unwrap_or_else(|| TYPED_AHEAD.to_owned());
        ctx.call.vars().collections.insert(name, collected.digits);
        Ok(Next::Default)
    }
}

/// Digits one collection can hold.
const MAX_DIGITS: u32 = 4_096;

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    #[test]
    fn one_terminator_wins_over_several_and_hash_is_the_default() {
        let keys = |data: Value| from_value::<CollectDtmf>(data).unwrap().terminators();
        assert_eq!(keys(json!({})), Keys::parse("#"));
        assert_eq!(keys(json!({"terminators": ["1", "*"]})), Keys::parse("1*"));
        assert_eq!(
            keys(json!({"terminator": "9", "terminators": ["1", "*"]})),
            Keys::parse("9")
        );
        assert_eq!(keys(json!({"terminators": []})), Keys::NONE);
    }

    #[test]
    fn typed_ahead_digits_are_cut_at_the_first_terminator() {
        let hash = Keys::parse("#");
        assert_eq!(usable("12#34", hash, 9), "12");
        assert_eq!(usable("#12", hash, 9), "");
        assert_eq!(usable("123456", hash, 4), "1234");
    }
}
