//! `/documents`: callflow JSON and TwiML that pivot nodes run without a web server (`pivot.md` §1.2, `serverless`). A
//! document that a call could not get past is refused when it is saved, and every finding says where.

use serde_json::{Value, json};

use super::{Resource, document_verbs};
use crate::api::documents::{self, Documents, Draft};
use crate::api::list;
use crate::api::strict;
use crate::base::finding::Finding;
use crate::base::profile::Profile;
use crate::callflow;
use crate::directory::Kind;
use crate::twiml::{Document, Status};

pub(in crate::api) const RESOURCE: Resource = Resource::new("documents", document_verbs, |call| {
    Box::pin(documents::answer(&HOSTED, call))
});

/// The kind.
pub(in crate::api) const HOSTED: Documents = Documents {
    check,
    ..Documents::plain(Kind::Hosted, "document", "documents", |id, doc| {
        list::project(id, doc, &["name", "flow_type", "twiml_profile", "flags"])
    })
};

/// Longest text.
const LONGEST: usize = 256 * 1024;

fn check(draft: &mut Draft<'_>) {
    if let (Some(name), Some(account)) = (draft.text("name"), draft.account)
        && let Some(other) = account
            .of_kind(Kind::Hosted)
            .iter()
            .find(|(id, doc)| {
                *id != draft.id && doc.get("name").and_then(Value::as_str) == Some(&*name)
            })
            .map(|(id, _)| id.clone())
    {
        let message = format!("the document {other} has this name already");
        draft.find("name", "unique", message, name);
    }
    let profile = match draft.text("twiml_profile").as_deref() {
        Some("twilio") => Profile::Twilio,
        _ => Profile::Kazoo,
    };
    let Some(document) = draft.fields.get("flow_doc").cloned() else {
        return;
    };
    let said = draft.text("flow_type");
    let text = match &document {
        Value::String(text) => text.trim_start_matches('\u{feff}').trim_start(),
        _ => "{",
    };
    let flow_type = match (&document, said.as_deref(), text.as_bytes().first()) {
        (Value::Object(_), None | Some("application/json"), _) => "application/json",
        (Value::Object(_), ..) => {
            let message = "is not what the document is: an object is application/json";
            draft.find("flow_type", "invalid", message, said);
            return;
        }
        (_, Some(_), Some(_)) => said.as_deref().unwrap_or_default(),
        (_, None, Some(b'{')) => "application/json",
        (_, None, Some(b'<')) => "application/xml",
        (Value::String(_), None, Some(_)) => {
            let message = "is needed: the document begins neither like JSON nor like XML";
            draft.find("flow_type", "required", message, Value::Null);
            return;
        }
        (Value::String(_), _, None) => {
            draft.find("flow_doc", "minLength", "the document is empty", "");
            return;
        }
        // The schema has said so.
        _ => return,
    };
    draft.fields.insert("flow_type".into(), json!(flow_type));
    if document.as_str().is_some_and(|text| text.len() > LONGEST) {
        let message = format!("is longer than {LONGEST} bytes");
        draft.find("flow_doc", "maxLength", message, Value::Null);
    } else if flow_type == "application/json" {
        flow(draft, &document);
    } else {
        twiml(draft, text, profile);
    }
}

/// A callflow's tree, judged like one that is stored as a callflow.
fn flow(draft: &mut Draft<'_>, document: &Value) {
    let parsed = match document {
        Value::String(text) => strict::parse(text.as_bytes()),
        other => Ok(other.clone()),
    };
    let tree = match parsed {
        Ok(tree) => tree,
        Err(error) => {
            let message = format!("is not JSON: {error}");
            draft.find("flow_doc", "invalid", message, Value::Null);
            return;
        }
    };
    match callflow::validate(&tree, &|url| (draft.guard)(url)) {
        Ok(checked) => draft.warnings.extend(below(checked.warnings)),
        Err(findings) => draft.findings.extend(below(findings)),
    }
}

fn below(mut findings: Vec<Finding>) -> Vec<Finding> {
    for finding in &mut findings {
        finding.path = match finding.path.as_str() {
            "" => "flow_doc".to_owned(),
            path => format!("flow_doc.{path}"),
        };
    }
    findings
}

/// What `swivel twiml lint` says of it: what ends a call is refused, the rest are warnings.
fn twiml(draft: &mut Draft<'_>, text: &str, profile: Profile) {
    let report = match Document::read(text, profile) {
        Ok(document) => document.report,
        Err(error) => {
            let message = format!("is not TwiML: {error}");
            draft.find("flow_doc", "invalid", message, Value::Null);
            return;
        }
    };
    for finding in report.findings {
        let path = format!("flow_doc.{}:{}", finding.at.line, finding.at.column);
        let message = format!("{}: {}", finding.path, finding.message);
        let found = Finding::new(path, "twiml", message).with_target(finding.path);
        match finding.status {
            Status::Refused => draft.findings.push(found),
            _ => draft.warnings.push(found),
        }
    }
}
