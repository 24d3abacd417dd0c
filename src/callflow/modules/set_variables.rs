//! `set_variables`: merges custom application variables into the call's, then takes the default child.
//!
//! They travel with the call into records, webhooks and Pivot requests.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `custom_application_vars` | names and values; strings or any JSON | `{}` |
//! | `export` | later legs get them too | false |

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Module;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::error::FlowError;

/// Sets custom application variables
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["custom_application_vars"]))]
pub(super) struct SetVariables {
    /// Names and values to set
    custom_application_vars: Map<String, Value>,
    /// Whether later legs of the call get them too
    export: Option<bool>,
}

impl Module for SetVariables {
    const NAME: &'static str = "set_variables";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        let mut vars = ctx.call.vars();
        if self.export == Some(true) {
            vars.exported_application_vars
                .extend(self.custom_application_vars.clone());
        }
        vars.custom_application_vars.extend(self.custom_application_vars);
        Ok(Next::Default)
    }
}
