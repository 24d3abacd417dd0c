//! `/twiml/lint` and `/twiml/run`: what `swivel twiml` says of a document, and what it would do. The document is the body
//! itself, or `flow_doc` of an envelope, or one that is kept (`document`).

use futures_util::FutureExt as _;
use serde_json::{Value, json};
use url::Url;

use super::{NONE, Resource};
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::error::ApiError;
use crate::api::verb::Verb;
use crate::base::profile::Profile;
use crate::twiml::{Document, judged, rehearse};

pub(in crate::api) const RESOURCE: Resource = Resource {
    takes: &["application/xml", "text/xml"],
    ..Resource::new(
        "twiml",
        |args| match args {
            ["lint" | "run"] => &[Verb::Post],
            _ => NONE,
        },
        |call| Box::pin(answer(call)),
    )
};

async fn answer(call: &Call) -> Result<Answer, ApiError> {
    let (body, profile) = document(call)?;
    match call.args().as_slice() {
        ["lint"] => Ok(Answer::ok(judged(&body, profile))),
        ["run"] => run(call, &body, profile),
        _ => Err(ApiError::NoPath),
    }
}

fn run(call: &Call, body: &str, profile: Profile) -> Result<Answer, ApiError> {
    let from = call.text("url");
    let from = from.as_deref().unwrap_or("http://example.com/");
    let url = Url::parse(from)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"));
    let url = url.ok_or_else(|| {
        ApiError::field("url", "format", format!("{from} is no http or https URL"))
    })?;
    let digits = call.text("digits").unwrap_or_default();
    let document = Document::read(body, profile).map_err(|error| {
        ApiError::field("flow_doc", "invalid", format!("is not TwiML: {error}"))
    })?;
    // A rehearsal waits for nothing.
    let operations = rehearse(document, profile, Some(url), &digits).now_or_never();
    Ok(Answer::ok(
        json!({"operations": operations.unwrap_or_default()}),
    ))
}

/// The document and whose rules it is judged by: those the request names, else those it is kept with, else the account's.
fn document(call: &Call) -> Result<(String, Profile), ApiError> {
    let account = call.account()?;
    let named = |profile: Option<&Value>| {
        profile.and_then(|profile| serde_json::from_value(profile.clone()).ok())
    };
    let mut profile = named(account.doc.get("twiml_profile"));
    let body = match (
        call.files.first(),
        call.text("flow_doc"),
        call.text("document"),
    ) {
        (Some(upload), None, None) => String::from_utf8_lossy(&upload.bytes).into_owned(),
        (None, Some(text), None) => text,
        (None, None, Some(name)) => {
            let kept = account.hosted(&name).ok_or_else(|| {
                ApiError::field(
                    "document",
                    "not_found",
                    format!("there is no document {name}"),
                )
            })?;
            profile = named(kept.get("twiml_profile")).or(profile);
            let is_json = kept.get("flow_type").and_then(Value::as_str) == Some("application/json");
            match kept.get("flow_doc").and_then(Value::as_str) {
                Some(text) if !is_json => text.to_owned(),
                _ => {
                    return Err(ApiError::field(
                        "document",
                        "invalid",
                        format!("{name} is callflow JSON, not TwiML"),
                    ));
                }
            }
        }
        _ => {
            let message = "give one of them: an XML body, flow_doc or document";
            return Err(ApiError::field("flow_doc", "required", message));
        }
    };
    if let Some(wanted) = call.value("profile") {
        let known = named(Some(&wanted));
        profile = Some(known.ok_or_else(|| {
            ApiError::field(
                "profile",
                "enum",
                format!("{wanted} is neither \"kazoo\" nor \"twilio\""),
            )
        })?);
    }
    Ok((body, profile.unwrap_or_default()))
}
