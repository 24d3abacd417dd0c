//! `/metaflows`: what keys pressed in a call are to do, for the whole account, a user, a device or a callflow. A part of that
//! document with a path of its own, as in KAZOO.

use serde_json::{Map, Value, json};

use super::accounts::ACCOUNTS;
use super::callflows::CALLFLOWS;
use super::devices::DEVICES;
use super::users::USERS;
use super::{NONE, Resource};
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::documents::{self, Documents, Mode};
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

/// The document a path is about.
fn place(call: &Call) -> Result<(&'static Documents, &str, Value), ApiError> {
    let account = call.account()?;
    let places: [(&str, &Documents); 3] = [
        ("devices", &DEVICES),
        ("callflows", &CALLFLOWS),
        ("users", &USERS),
    ];
    for (noun, docs) in places {
        let Some(id) = call.within(noun) else {
            continue;
        };
        let missing = || ApiError::NoDocument {
            what: docs.noun,
            id: id.to_owned(),
        };
        let doc = account.document(docs.kind, id).ok_or_else(missing)?;
        let principal = call.principal.as_ref().ok_or(ApiError::Credentials)?;
        let own = principal.user.as_ref().is_some_and(|user| user.id == id);
        if noun == "users" && call.verb.writes() && !own && !principal.is_admin() {
            let message = "only administrators may change other users";
            return Err(ApiError::Forbidden(message.to_owned()));
        }
        return Ok((docs, id, (**doc).clone()));
    }
    Ok((&ACCOUNTS, &*account.id, (*account.doc).clone()))
}

async fn answer(call: &Call) -> Result<Answer, ApiError> {
    let (docs, id, doc) = place(call)?;
    let own = doc.get(KEY).cloned().unwrap_or_else(|| json!({}));
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
    let mut write = documents::write(call, Some(id), Mode::Replace)?;
    write.fields = private::public(id, &doc);
    match call.verb {
        Verb::Delete => drop(write.fields.remove(KEY)),
        _ => drop(write.fields.insert(KEY.to_owned(), Value::Object(wanted))),
    }
    let saved = match documents::save(&call.api, docs, write).await {
        Err(ApiError::Invalid(findings)) => return Err(ApiError::Invalid(below(findings))),
        saved => saved?,
    };
    let now = saved.doc.get(KEY).cloned().unwrap_or_else(|| json!({}));
    Ok(Answer {
        warnings: saved.warnings,
        ..Answer::ok(now)
    })
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
