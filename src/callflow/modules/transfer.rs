//! `transfer`: the call goes on at another number of the account, in place of this flow.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `target` | the number | the first of `captures` |
//! | `captures` | numbers | `no_match` |
//! | `leg` | `self`; `bleg`: whom the call talks with goes there, and the call ends | `self` |
//! | `transfer_type` | `blind` or `attended`; in a flow both are blind | `blind` |

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Module;
use crate::call::Party;
use crate::call::actions::Acted;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::error::FlowError;

/// Goes on at another number
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Transfer {
    /// The number
    target: Option<String>,
    /// Numbers in its place
    captures: Vec<String>,
    /// Which leg is transferred
    leg: Option<Leg>,
    /// How
    transfer_type: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
enum Leg {
    #[serde(rename = "self")]
    Own,
    #[serde(rename = "bleg")]
    Other,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Attended,
    #[default]
    Blind,
}

impl Default for Transfer {
    fn default() -> Self {
        Self {
            target: None,
            captures: vec!["no_match".to_owned()],
            leg: None,
            transfer_type: Kind::default(),
        }
    }
}

impl Module for Transfer {
    const NAME: &'static str = "transfer";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        let target = self.target.filter(|target| !target.is_empty());
        let target = target
            .or_else(|| self.captures.into_iter().next())
            .unwrap_or_default();
        if self.leg == Some(Leg::Other) {
            return Ok(match ctx.call.send_other(&Party::Number(target)) {
                Acted::Done => Next::Usurped,
                why => {
                    ctx.note(format!("transfer: the other leg stays: {why:?}"));
                    Next::Stop(None)
                }
            });
        }
        let found = ctx.callflow_of(&target, true);
        Ok(match found {
            Some(tree) => {
                ctx.call.vars().request_user = Some(target);
                Next::Replace(tree)
            }
            None => {
                ctx.note(format!("transfer: there is no callflow for {target}"));
                Next::Stop(None)
            }
        })
    }
}
