//! `send_dtmf`: sends keys to the caller, then takes the default child once they have been sent.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `digits` | the keys | required |
//! | `duration_ms` | length of each key, a number or a text holding one | `"2000"` |

use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Value;

use super::Module;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::error::FlowError;

/// Sends keys to the caller
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct SendDtmf {
    /// The keys to send
    digits: String,
    /// How long each key sounds, in milliseconds
    #[serde(default)]
    #[schemars(schema_with = "duration")]
    duration_ms: Option<Value>,
}

fn duration(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"default": "2000", "oneOf": [{"type": "integer"}, {"type": "string"}]})
}

impl SendDtmf {
    fn length(&self) -> Duration {
        let given = match &self.duration_ms {
            Some(Value::Number(number)) => number.as_u64(),
            Some(Value::String(text)) => text.trim().parse().ok(),
            _ => None,
        };
        Duration::from_millis(given.unwrap_or(2_000).clamp(40, 10_000))
    }
}

impl Module for SendDtmf {
    const NAME: &'static str = "send_dtmf";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        ctx.call.send_digits(&self.digits, self.length()).await?;
        Ok(Next::Default)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn the_length_is_a_number_or_a_text() {
        let length = |data| from_value::<SendDtmf>(data).unwrap().length().as_millis();
        assert_eq!(length(json!({"digits": "1"})), 2000);
        assert_eq!(length(json!({"digits": "1", "duration_ms": 150})), 150);
        assert_eq!(length(json!({"digits": "1", "duration_ms": "250"})), 250);
        assert_eq!(length(json!({"digits": "1", "duration_ms": "long"})), 2000);
        assert_eq!(length(json!({"digits": "1", "duration_ms": -1})), 2000);
    }
}
