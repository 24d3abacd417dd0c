//! `pivot`: asks a web server what to do. Its callflow JSON replaces the rest of this flow, its TwiML steers the call to
//! its end; any failure of this request takes `_`.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `voice_url` | the server, http or https | required, unless `serverless` |
//! | `method` | `get` or `post` | `get` |
//! | `req_format` | parameter names: `kazoo` or `twiml` | `kazoo` |
//! | `req_body_format` | body of a post: `form` or `json` | `form` |
//! | `req_timeout_ms` | for the whole request, 5000 at most | the configured one |
//! | `debug` | keep the exchange in the debug log | false |
//! | `cdr_url` | told of the call's end (TwiML) | none |
//! | `twiml_profile` | whose rules TwiML is run by: `kazoo` or `twilio` | the account's `twiml_profile`, else the configured one |
//! | `custom_request_headers` | `X-` headers of each request (KAZOO 5) | none |
//! | `serverless` | a document to run instead of a request (KAZOO 5): `flow_doc` and `flow_type`, or `document`, the id or name of one that the API keeps | none |

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Module;
use crate::base::finding::Finding;
use crate::base::profile::Profile;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::{Next, Tree};
use crate::callflow::data::Whole;
use crate::callflow::error::FlowError;
use crate::callflow::twiml;
use crate::callflow::validate::validate;
use crate::pivot;

/// Asks a web server what to do with the call
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("oneOf" = [{"required": ["voice_url"]}, {"required": ["serverless"]}]))]
pub(super) struct Pivot {
    /// URL of the server
    #[schemars(length(min = 7), regex(pattern = "^https?://"), extend("kazoo-validation" = true))]
    voice_url: Option<String>,
    /// Verb of the request
    method: Method,
    /// Names of the request's parameters
    req_format: Format,
    /// Encoding of the body of a post
    req_body_format: Body,
    /// Limit for the whole request, in milliseconds
    #[schemars(range(max = 5000))]
    req_timeout_ms: Option<Whole>,
    /// Whether to keep the exchange in the debug log
    debug: bool,
    /// URL told of the end of the call
    #[schemars(length(min = 7), regex(pattern = "^https?://"))]
    cdr_url: Option<String>,
    /// Whose rules TwiML is run by; the account, then the configuration decide when missing
    twiml_profile: Option<Profile>,
    /// Headers of each request; names begin with `X-`
    #[schemars(schema_with = "headers")]
    custom_request_headers: Option<BTreeMap<String, Value>>,
    /// A document to run instead of asking a server
    serverless: Option<Serverless>,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
enum Method {
    #[default]
    #[serde(rename = "get")]
    LowerGet,
    #[serde(rename = "post")]
    LowerPost,
    #[serde(rename = "GET")]
    Get,
    #[serde(rename = "POST")]
    Post,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Kazoo,
    Twiml,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Body {
    #[default]
    Form,
    Json,
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("anyOf" = [{"required": ["flow_doc", "flow_type"]}, {"required": ["document"]}]))]
struct Serverless {
    /// Id or name of a document that the API keeps, in place of the document itself
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    document: Option<String>,
    /// The document: text, or callflow JSON
    #[schemars(schema_with = "flow_doc")]
    flow_doc: Value,
    /// Its content type
    flow_type: FlowType,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
enum FlowType {
    #[serde(rename = "application/json")]
    Json,
    #[default]
    #[serde(rename = "application/xml")]
    Xml,
    #[serde(rename = "text/xml")]
    TextXml,
}

fn headers(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        // As KAZOO writes it: the bar stands inside the class.
        "patternProperties": {"^[x|X]-": {"type": "string"}}
    })
}

fn flow_doc(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"oneOf": [{"type": "string", "minLength": 1}, {"type": "object"}]})
}

impl Module for Pivot {
    const NAME: &'static str = "pivot";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        let mut settings: pivot::Settings = serde_json::from_value(serde_json::to_value(&self)?)?;
        let configured = ctx.call.services().twiml_profile;
        let of_account = ctx.account_now().doc.get("twiml_profile").cloned();
        let of_account = of_account.and_then(|profile| serde_json::from_value(profile).ok());
        let profile = of_account.unwrap_or(configured);
        if let Some(name) = self.serverless.and_then(|own| own.document) {
            let kept = kept(ctx, &name)?;
            settings.serverless = Some(kept.0);
            settings.twiml_profile = settings.twiml_profile.or(kept.1);
        }
        settings.twiml_profile.get_or_insert(profile);
        let reply = Box::pin(pivot::ask(&ctx.call, &settings, 1, None, &check)).await?;
        // Keys pressed while the server was thinking were meant for nothing.
        ctx.call.flush_keys();
        match reply {
            pivot::Reply::Flow(flow) => Ok(Next::Replace(Tree::Node(Arc::new(flow)))),
            pivot::Reply::Twiml { document, url } => {
                Ok(Box::pin(twiml::run(ctx, &settings, *document, url, &check)).await)
            }
        }
    }
}

/// A document that the API keeps for the account, and by whose rules it was checked.
fn kept(ctx: &FlowCtx, name: &str) -> Result<(pivot::Serverless, Option<Profile>), FlowError> {
    let account = ctx.account_now();
    let doc = account.hosted(name).ok_or_else(|| FlowError::Missing {
        kind: "document",
        id: name.to_owned(),
    })?;
    let profile = doc.get("twiml_profile").cloned();
    let profile = profile.and_then(|profile| serde_json::from_value(profile).ok());
    Ok((pivot::Serverless::deserialize(&**doc)?, profile))
}

/// How a server's callflow JSON is judged.
fn check(
    node: &Value,
    guard: &dyn Fn(&str) -> Result<(), String>,
) -> Result<(Value, Vec<Finding>), Vec<Finding>> {
    validate(node, guard).map(|checked| (checked.document, checked.warnings))
}
