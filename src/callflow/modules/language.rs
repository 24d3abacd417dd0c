//! `language`: sets the language of prompts and speech for the rest of the call, then takes the default child.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `language` | `en`, `de-de` … | required |

use schemars::JsonSchema;
use serde::Deserialize;

use super::Module;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::error::FlowError;

/// Sets the language of the call
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Language {
    /// Language, with or without a country: `en`, `de-de`
    #[schemars(regex(pattern = r"^[A-Za-z]{2}(-[A-Za-z]{2})?$"))]
    language: String,
}

impl Module for Language {
    const NAME: &'static str = "language";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        ctx.call.vars().language = Some(self.language.to_lowercase());
        Ok(Next::Default)
    }
}
