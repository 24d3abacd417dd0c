//! `sleep`: waits, then takes the default child. Keys pressed meanwhile are forgotten.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `duration` | how long to wait, in `unit`s; a day at most | 0 |
//! | `unit` | `ms`, `s`, `m` or `h` | `s` |

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Module;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::data::{DAY, Whole};
use crate::callflow::error::FlowError;

/// Waits
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Sleep {
    /// How long to wait, in units
    #[schemars(range(min = 0, max = 86_400_000))]
    duration: Whole,
    /// The unit of the duration
    unit: Unit,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Unit {
    Ms,
    #[default]
    S,
    M,
    H,
}

impl Sleep {
    fn length(&self) -> Duration {
        let unit_ms: u64 = match self.unit {
            Unit::Ms => 1,
            Unit::S => 1_000,
            Unit::M => 60_000,
            Unit::H => 3_600_000,
        };
        let units = u64::try_from(self.duration.0).unwrap_or(0);
        Duration::from_millis(units.saturating_mul(unit_ms)).min(DAY)
    }
}

impl Module for Sleep {
    const NAME: &'static str = "sleep";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        ctx.call.pause(self.length()).await?;
        ctx.call.flush_keys();
        Ok(Next::Default)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    fn length(data: Value) -> Duration {
        from_value::<Sleep>(data).unwrap().length()
    }

    #[test]
    fn the_unit_is_seconds_and_the_limit_a_day() {
        assert_eq!(length(json!({})), Duration::ZERO);
        assert_eq!(length(json!({"duration": 3})), Duration::from_secs(3));
        assert_eq!(length(json!({"duration": 3, "unit": "ms"})), Duration::from_millis(3));
        assert_eq!(length(json!({"duration": 90, "unit": "m"})), Duration::from_secs(5400));
        assert_eq!(length(json!({"duration": 25, "unit": "h"})), DAY);
        assert_eq!(length(json!({"duration": -5})), Duration::ZERO);
    }
}
