//! `/metaflows`: what keys pressed in a call do, for the whole account. A part of the account's document with a path of its
//! own, as in KAZOO.

use serde_json::{Map, Value, json};

use super::accounts::ACCOUNTS;
use super::{NONE, Resource};
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::documents::{self, Mode};
use crate::api::error::ApiError;
use crate::api::verb::Verb;
use crate::base::finding::Finding;
use crate::directory::numbers::compile;
use crate::directory::private;

pub(in crate::api) const RESOURCE: Resource = Resource::new(
    "metaflows",
    |args| match args {
        [] => &[Verb::Get, Verb::Post, Verb::Patch, Verb::Delete],
        _ => NONE,
    },
    |call| Box::pin(answer(call)),
);

/// Where they stand in the account's document.
const KEY: &str = "metaflows";

async fn answer(call: &Call) -> Result<Answer, ApiError> {
    let account = call.account()?;
    let own = account.doc.get(KEY).cloned().unwrap_or_else(|| json!({}));
    if call.verb == Verb::Get {
        return Ok(Answer::ok(own));
    }
    let mut wanted = match call.verb {
        Verb::Patch => own.as_object().cloned().unwrap_or_default(),
        _ => Map::new(),
    };
    if call.verb != Verb::Delete {
        documents::merge(&mut wanted, call.fields()?);
    }
    check(&wanted)?;
    let mut write = documents::write(call, Some(&account.id), Mode::Replace)?;
    write.fields = private::public(&account.id, &account.doc);
    match call.verb {
        Verb::Delete => drop(write.fields.remove(KEY)),
        _ => drop(write.fields.insert(KEY.to_owned(), Value::Object(wanted))),
    }
    let saved = match documents::save(&call.api, &ACCOUNTS, write).await {
        Err(ApiError::Invalid(findings)) => return Err(ApiError::Invalid(below(findings))),
        saved => saved?,
    };
    let now = saved.doc.get(KEY).cloned().unwrap_or_else(|| json!({}));
    Ok(Answer::ok(now))
}

/// Every action is a module, every pattern a regular expression.
fn check(wanted: &Map<String, Value>) -> Result<(), ApiError> {
    let mut findings = Vec::new();
    for kind in ["numbers", "patterns"] {
        for (key, action) in wanted
            .get(kind)
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let path = format!("{kind}.{}", key.replace('.', "%2E"));
            if action
                .get("module")
                .and_then(Value::as_str)
                .is_none_or(str::is_empty)
            {
                let path = format!("{path}.module");
                findings.push(Finding::new(path, "required", "names what is done"));
            }
            if kind == "patterns"
                && let Err(reason) = compile(key)
            {
                let message = format!("is not a regular expression: {reason}");
                findings.push(Finding::new(path, "pattern", message));
            }
        }
    }
    match findings.is_empty() {
        true => Ok(()),
        false => Err(ApiError::Invalid(findings)),
    }
}

/// Paths as they are in the request.
fn below(mut findings: Vec<Finding>) -> Vec<Finding> {
    for finding in &mut findings {
        if let Some(path) = finding.path.strip_prefix("metaflows.") {
            finding.path = path.to_owned();
        }
    }
    findings
}
