//! `check_cid`: branches on the caller's number, and may give the caller another identity.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `regex` | tested against the caller's number | `.*` |
//! | `use_absolute_mode` | a match goes to the child named like the number, instead of `match` | false |
//! | `caller_id.external.name`, `.number`, `user_id` | when all three are given, who the caller is from now on | none |
//!
//! Children: `match` (or the number), `nomatch`, `_`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Module;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::error::FlowError;
use crate::directory::numbers::compile;

/// Branches on the caller's number
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct CheckCid {
    /// Regular expression tested against the caller's number
    regex: String,
    /// Whether a match goes to the child named like the number
    use_absolute_mode: bool,
    /// Who the caller is after a match
    caller_id: Option<CallerId>,
    /// The user the call belongs to after a match
    user_id: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct CallerId {
    /// Shown outside the account
    external: Option<Identity>,
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Identity {
    /// The name
    name: Option<String>,
    /// The number
    number: Option<String>,
}

impl Default for CheckCid {
    fn default() -> Self {
        Self {
            regex: ".*".to_owned(),
            use_absolute_mode: false,
            caller_id: None,
            user_id: None,
        }
    }
}

impl Module for CheckCid {
    const NAME: &'static str = "check_cid";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        let number = ctx.caller_number();
        let regex = compile(&self.regex).map_err(|_reason| FlowError::Pattern {
            pattern: self.regex.clone(),
        })?;
        if !regex.is_match(&number).unwrap_or(false) {
            return Ok(Next::Child("nomatch".into()));
        }
        let branch = if self.use_absolute_mode { number } else { "match".into() };
        if ctx.has_child(&branch) {
            let identity = self.caller_id.and_then(|id| id.external).unwrap_or_default();
            if let (Some(name), Some(number), Some(user)) = (identity.name, identity.number, self.user_id) {
                let mut vars = ctx.call.vars();
                vars.caller_id_name = Some(name);
                vars.caller_id_number = Some(number);
                vars.owner_id = Some(user);
            }
        }
        Ok(Next::Child(branch))
    }
}
