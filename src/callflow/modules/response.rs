//! `response`: refuses the call with a SIP status; the flow is over. An answered call is hung up instead.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `code` | SIP status | 486 |
//! | `message` | reason phrase | the status's own |
//! | `media` | played first, as early media | none |

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Module;
use crate::base::cause::Cause;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::data::Whole;
use crate::callflow::error::FlowError;

/// Refuses the call
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["code"]))]
pub(super) struct Response {
    /// SIP status of the refusal
    code: Whole,
    /// Reason phrase beside it
    message: Option<String>,
    /// Medium played before it
    #[schemars(length(max = 2048))]
    media: Option<String>,
}

impl Default for Response {
    fn default() -> Self {
        Self {
            code: Whole(486),
            message: None,
            media: None,
        }
    }
}

impl Response {
    /// The status that can be sent: what is no refusal at all becomes 488, as in KAZOO's lower layer.
    fn status(&self) -> u16 {
        u16::try_from(self.code.0)
            .ok()
            .filter(|code| (300..700).contains(code))
            .unwrap_or(488)
    }

    /// Reason phrases are one line.
    fn phrase(&self) -> String {
        let message = self.message.as_deref().unwrap_or_default();
        message.chars().filter(|c| !c.is_control()).take(128).collect()
    }
}

impl Module for Response {
    const NAME: &'static str = "response";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        if let Some(media) = self.media.as_deref().filter(|media| !media.is_empty()) {
            // The refusal is what was asked for; without its announcement it is still the refusal.
            let heard = async {
                ctx.play(vec![ctx.media(media).await?], Default::default(), Some(1))
                    .await
            };
            match heard.await {
                Err(error) if error.is_hangup() => return Err(error),
                Err(error) => ctx.note(format!("the response's media cannot be played: {error}")),
                Ok(_) => {}
            }
        }
        let status = self.status();
        ctx.call.reject(status, &self.phrase(), Cause::from_status(status));
        Ok(Next::HardStop)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    #[test]
    fn only_refusals_are_sent() {
        let status = |data: Value| from_value::<Response>(data).unwrap().status();
        assert_eq!(status(json!({})), 486);
        assert_eq!(status(json!({"code": 603})), 603);
        for code in [0, 200, 99_999, -1] {
            assert_eq!(status(json!({"code": code})), 488);
        }
    }

    #[test]
    fn a_reason_phrase_cannot_break_the_line() {
        let response: Response = from_value(json!({"code": 486, "message": "no\r\nX-Evil: 1"})).unwrap();
        assert_eq!(response.phrase(), "noX-Evil: 1");
    }
}
