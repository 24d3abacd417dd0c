//! `ring_group_toggle`: the caller's user joins or leaves the ring groups of a callflow.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `callflow_id` | the callflow | required |
//! | `action` | `login` or `logout` | required |

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Module;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::error::FlowError;
use crate::directory::Kind;

/// Joins or leaves the ring groups of a callflow
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct RingGroupToggle {
    /// What to do
    action: Action,
    /// Id of the callflow
    callflow_id: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Action {
    Login,
    Logout,
}

impl Module for RingGroupToggle {
    const NAME: &'static str = "ring_group_toggle";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        ctx.call.answer().await?;
        let until = match self.action {
            Action::Login => 0,
            Action::Logout => FOR_EVER,
        };
        let own = ctx
            .own_settings()
            .map(|settings| settings.id)
            .unwrap_or_default();
        let mut flow = ctx
            .callflow(&self.callflow_id)
            .ok()
            .and_then(|doc| doc.get("flow").cloned())
            .unwrap_or_default();
        if own.is_empty() || !toggle(&mut flow, &own, until) {
            ctx.say_prompt("agent-invalid_choice").await?;
            return Ok(Next::Default);
        }
        ctx.change(Kind::Callflow, &self.callflow_id, |doc| {
            drop(doc.insert("flow".to_owned(), flow))
        })
        .await?;
        ctx.say_prompt(if self.action == Action::Login {
            "agent-logged_in"
        } else {
            "agent-logged_out"
        })
        .await?;
        Ok(Next::Default)
    }
}

/// Sets `disable_until` of a member in every ring group of a tree. Says whether it is in one.
fn toggle(flow: &mut Value, member: &str, until: u64) -> bool {
    let mut found = false;
    let mut waiting: Vec<&mut Value> = vec![flow];
    while let Some(node) = waiting.pop() {
        let is_group = node.get("module").and_then(Value::as_str) == Some("ring_group");
        let Some(node) = node.as_object_mut() else {
            continue;
        };
        for (key, value) in node.iter_mut() {
            match key.as_str() {
                "children" => waiting.extend(
                    value
                        .as_object_mut()
                        .into_iter()
                        .flat_map(|children| children.values_mut()),
                ),
                "data" if is_group => {
                    let endpoints = value.get_mut("endpoints").and_then(Value::as_array_mut);
                    let own = endpoints
                        .into_iter()
                        .flatten()
                        .filter(|e| e.get("id").and_then(Value::as_str) == Some(member));
                    for endpoint in own.filter_map(Value::as_object_mut) {
                        endpoint.insert("disable_until".to_owned(), json!(until));
                        found = true;
                    }
                }
                _ => {}
            }
        }
    }
    found
}

/// 2100-01-01 in Gregorian seconds.
const FOR_EVER: u64 = 66_269_664_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_found_wherever_its_group_stands() {
        let group = |member: &str| json!({"module": "ring_group", "data": {"endpoints": [{"id": member, "endpoint_type": "user"}]}});
        let mut flow =
            json!({"module": "menu", "data": {}, "children": {"1": group("u"), "2": group("x")}});
        assert!(toggle(&mut flow, "u", 7));
        assert_eq!(
            flow["children"]["1"]["data"]["endpoints"][0]["disable_until"],
            7
        );
        assert!(
            flow["children"]["2"]["data"]["endpoints"][0]
                .get("disable_until")
                .is_none()
        );
        assert!(!toggle(&mut flow, "nobody", 7));
    }
}
