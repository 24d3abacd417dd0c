//! `prepend_cid`: puts text before the caller's name and number, as those who are rung see them.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `action` | `prepend`, or `reset`: no prefix any more | `prepend` |
//! | `caller_id_name_prefix`, `caller_id_number_prefix` | the text | empty |
//! | `apply_to` | `current`: before the prefixes there are; `original`: in their place | `current` |

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Module;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::error::FlowError;

/// Puts text before the caller's name and number
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct PrependCid {
    /// What to do
    action: Action,
    /// Text before the name
    caller_id_name_prefix: String,
    /// Text before the number
    caller_id_number_prefix: String,
    /// What it is put before
    apply_to: ApplyTo,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Action {
    Reset,
    #[default]
    Prepend,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum ApplyTo {
    Original,
    #[default]
    Current,
}

impl Module for PrependCid {
    const NAME: &'static str = "prepend_cid";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        let mut vars = ctx.call.vars();
        let shown = &mut vars.presentation;
        match (self.action, self.apply_to) {
            (Action::Reset, _) => {
                shown.name_prefix.clear();
                shown.number_prefix.clear();
            }
            (Action::Prepend, ApplyTo::Original) => {
                shown.name_prefix = self.caller_id_name_prefix;
                shown.number_prefix = self.caller_id_number_prefix;
            }
            (Action::Prepend, ApplyTo::Current) => {
                shown.name_prefix.insert_str(0, &self.caller_id_name_prefix);
                shown
                    .number_prefix
                    .insert_str(0, &self.caller_id_number_prefix);
                // A flow may come by here again and again.
                cut(&mut shown.name_prefix);
                cut(&mut shown.number_prefix);
            }
        }
        Ok(Next::Default)
    }
}

fn cut(text: &mut String) {
    if let Some((at, _)) = text.char_indices().nth(MOST) {
        text.truncate(at);
    }
}

/// Characters all prefixes together may have.
const MOST: usize = 128;
