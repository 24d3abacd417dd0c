//! `callflow`: jumps into another callflow; this node's `_` child resumes when that one stops.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `id` | the callflow | |
//! | `flow` | an inline flow (KAZOO 5) | |
//! | `doc_id`, `path` | a document of the account and where in it a callflow's id stands (KAZOO 5) | |
//!
//! Exactly one of the three. A callflow that does not exist leads to `_`.

use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Module;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::{Next, Tree};
use crate::callflow::data::Path;
use crate::callflow::error::FlowError;
use crate::callflow::schema::ACTION;

/// Jumps into another callflow
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("oneOf" = [{"required": ["id"]}, {"required": ["doc_id", "path"]}, {"required": ["flow"]}]))]
pub(super) struct Callflow {
    /// Id of the callflow
    id: Option<String>,
    /// A flow to run in its place
    #[schemars(schema_with = "action")]
    flow: Option<Value>,
    /// Id of a document that holds a callflow's id
    doc_id: Option<String>,
    /// Where in that document
    path: Option<Path>,
}

fn action(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"$ref": ACTION, "description": "A flow to run in its place"})
}

impl Module for Callflow {
    const NAME: &'static str = "callflow";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        if let Some(flow) = self.flow.filter(Value::is_object) {
            return Ok(Next::Branch(Tree::Node(Arc::new(flow))));
        }
        let id = match (self.id, self.doc_id, self.path) {
            (Some(id), _, _) => id,
            (None, Some(document), Some(path)) => {
                let missing = || FlowError::Missing {
                    kind: "callflow id in document",
                    id: document.clone(),
                };
                let found = ctx.document(&document).ok_or_else(missing)?;
                path.look_up(&found)
                    .and_then(|id| id.as_str().map(str::to_owned))
                    .ok_or_else(missing)?
            }
            _ => {
                return Err(FlowError::Missing {
                    kind: "callflow",
                    id: String::new(),
                });
            }
        };
        Ok(Next::Branch(Tree::Document(ctx.callflow(&id)?)))
    }
}
