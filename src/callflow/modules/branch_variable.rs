//! `branch_variable`: goes to the child named like a variable's value, else to `_`.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `variable` | its name, or a path (dotted, or an array) | required |
//! | `scope` | `custom_channel_vars`, `account`, `user`, `device`, `merged`, `doc` | `custom_channel_vars` |
//! | `id` | the document, for scope `doc` | none |
//!
//! Names are compared in lower case with `-` as `_`, so `call_priority` finds `Call-Priority`. Private keys
//! (`pvt_…`, `_…`) are never read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Module;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::{DEFAULT, Next};
use crate::callflow::data::Path;
use crate::callflow::error::FlowError;

/// Branches on a variable
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["variable"]))]
pub(super) struct BranchVariable {
    /// Name of the variable, or the path to it
    variable: Path,
    /// Where it is looked for
    scope: Scope,
    /// The document, for scope `doc`
    id: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Scope {
    #[default]
    CustomChannelVars,
    Account,
    User,
    Device,
    Merged,
    Doc,
}

impl BranchVariable {
    fn value(&self, ctx: &FlowCtx) -> Option<String> {
        let facts = ctx.call.facts();
        let device = || {
            facts
                .account
                .devices
                .get(&facts.authorizing_id)
                .map(|device| Value::clone(&device.doc))
        };
        let user = || {
            let owner = ctx.call.vars().owner_id.clone().or_else(|| facts.owner_id.clone())?;
            facts.account.users.get(&owner).map(|user| Value::clone(&user.doc))
        };
        let found = match self.scope {
            Scope::CustomChannelVars => self.variable.look_up(&ctx.channel_vars()),
            Scope::Account => self.variable.look_up(&facts.account.doc),
            Scope::Device => self.variable.look_up(&device()?),
            // Users are those of an authenticated device.
            Scope::User => self.variable.look_up(&device().and_then(|_| user())?),
            Scope::Merged => {
                let layers = [Some(Value::clone(&facts.account.doc)), device(), user()];
                let merged = Value::Object(layers.into_iter().flatten().fold(Map::new(), merge));
                self.variable
                    .look_up(&merged)
                    .or_else(|| self.variable.look_up(&ctx.channel_vars()))
            }
            Scope::Doc => self.variable.look_up(&*ctx.document(self.id.as_deref()?)?),
        };
        found.and_then(|value| text(&value))
    }
}

/// Later layers win; empty values do not overwrite.
fn merge(mut below: Map<String, Value>, above: Value) -> Map<String, Value> {
    if let Value::Object(above) = above {
        let empty = |value: &Value| {
            value.is_null() || value.as_str() == Some("") || value.as_object().is_some_and(Map::is_empty)
        };
        below.extend(above.into_iter().filter(|(_, value)| !empty(value)));
    }
    below
}

/// The value as the name of a child; objects and lists name none.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

impl Module for BranchVariable {
    const NAME: &'static str = "branch_variable";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        let value = self.value(ctx).filter(|value| value != DEFAULT && ctx.has_child(value));
        Ok(value.map_or(Next::Default, Next::Child))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn empty_values_do_not_hide_what_is_below() {
        let object = |value: Value| value.as_object().cloned().unwrap();
        let merged = merge(object(json!({"a": 1, "b": 2})), json!({"a": "", "b": 3, "c": {}}));
        assert_eq!(Value::Object(merged), json!({"a": 1, "b": 3}));
    }

    #[test]
    fn plain_values_name_children() {
        assert_eq!(text(&json!(7)).as_deref(), Some("7"));
        assert_eq!(text(&json!(true)).as_deref(), Some("true"));
        assert_eq!(text(&json!(["x"])), None);
    }
}
