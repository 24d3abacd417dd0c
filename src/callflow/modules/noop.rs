//! `noop`: waits until all media has been played, then takes the default child. Our modules wait for their own media,
//! so nothing is ever left.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Module;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::error::FlowError;

/// Does nothing
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Noop {}

impl Module for Noop {
    const NAME: &'static str = "noop";

    async fn run(self, _ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        Ok(Next::Default)
    }
}
