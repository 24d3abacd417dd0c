//! `conference_feature`: the conference whose document id was dialled behind a feature code. Everything else is as
//! `conference` has it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Module;
use super::conference::Conference;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::error::FlowError;

/// Takes part in the conference that was dialled
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(super) struct ConferenceFeature(Conference);

impl Module for ConferenceFeature {
    const NAME: &'static str = "conference_feature";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        let dialled = ctx.call.vars().capture_group.clone();
        let mut conference = self.0;
        if dialled.as_ref().is_some_and(|id| !id.is_empty()) {
            conference.id = dialled;
        }
        conference.join(ctx).await
    }
}
