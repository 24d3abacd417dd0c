//! What is odd about the answers of web servers, found when somebody looks: the checks of callflows and of TwiML, on what
//! was received.

use serde_json::Value;

use super::call::Call;
use crate::base::profile::Profile;
use crate::callflow;
use crate::journal::lens::{Finding, Lens, WebExchange};
use crate::twiml::{Document, Status};

/// Findings of one answer.
const MOST: usize = 50;

/// Adds findings to the answers of a call's exchanges.
pub(super) fn add(lens: &mut Lens, call: &Call) {
    judge(lens, &|url| (call.api.guard())(url));
}

/// The same with a guard of one's own.
pub(super) fn judge(lens: &mut Lens, guard: &dyn Fn(&str) -> Result<(), String>) {
    let exchanges = lens.exchanges();
    for (number, event) in lens.events_by_exchange() {
        let Some(exchange) = exchanges.get(number - 1) else {
            continue;
        };
        let mut found = of(exchange, guard);
        found.truncate(MOST);
        let worst = found.iter().map(|finding| finding.severity).min();
        event.severity = event.severity.or(worst);
        event.findings = found;
    }
}

/// What is odd about the answer of an exchange.
pub(super) fn of(
    exchange: &WebExchange,
    guard: &dyn Fn(&str) -> Result<(), String>,
) -> Vec<Finding> {
    if exchange.purpose != "pivot" {
        return Vec::new();
    }
    let status = exchange.response.get("status").and_then(Value::as_u64);
    match (status, exchange.answer.as_deref()) {
        (None, _) => Vec::new(),
        (Some(200 | 206), None) => vec![remark(
            "err",
            "The answer is empty.",
            Some("Answer with callflow JSON or TwiML."),
        )],
        (Some(200 | 206), Some(body)) => of_body(exchange, body, guard),
        (Some(status), _) => vec![remark(
            "err",
            &format!("Not a document: {status}. Only 200 and 206 are read."),
            Some("Look at the server's own log for this request."),
        )],
    }
}

fn of_body(
    exchange: &WebExchange,
    body: &str,
    guard: &dyn Fn(&str) -> Result<(), String>,
) -> Vec<Finding> {
    let text = body.trim_start_matches('\u{feff}').trim_start();
    let kind = exchange.content_type.as_deref().unwrap_or_default();
    if text.starts_with('<') {
        let asked = [Some(exchange.url.as_str()), exchange.body.as_deref()];
        let of_twilio = asked
            .into_iter()
            .flatten()
            .any(|text| text.contains("CallSid="));
        let profile = if of_twilio {
            Profile::Twilio
        } else {
            Profile::Kazoo
        };
        return of_twiml(body, profile);
    }
    if text.starts_with('{') || kind.contains("json") {
        return of_flow(body, guard);
    }
    vec![remark(
        "err",
        "Neither JSON nor TwiML.",
        Some("Answer with callflow JSON or TwiML."),
    )]
}

fn of_twiml(body: &str, profile: Profile) -> Vec<Finding> {
    match Document::read(body, profile) {
        Err(error) => vec![remark("err", &error.to_string(), None)],
        Ok(document) => {
            let findings = document.report.findings.into_iter();
            findings
                .map(|finding| Finding {
                    severity: match finding.status {
                        Status::Refused => "err",
                        Status::Ignored | Status::Supported => "warn",
                    },
                    text: finding.message,
                    fix: None,
                    line: Some(finding.at.line as usize),
                    column: Some(finding.at.column as usize),
                    path: Some(finding.path),
                })
                .collect()
        }
    }
}

fn of_flow(body: &str, guard: &dyn Fn(&str) -> Result<(), String>) -> Vec<Finding> {
    let document: Value = match serde_json::from_str(body.trim_start_matches('\u{feff}')) {
        Ok(document) => document,
        Err(error) => {
            return vec![Finding {
                severity: "err",
                text: format!("Not JSON: {error}"),
                line: Some(error.line()),
                column: Some(error.column()),
                ..Finding::default()
            }];
        }
    };
    let wrapped = document.get("module").is_none() && document.get("flow").is_some();
    let node = match wrapped {
        true => document.get("flow").cloned().unwrap_or_default(),
        false => document,
    };
    let (severity, findings) = match callflow::validate(&node, guard) {
        Ok(checked) => ("warn", checked.warnings),
        Err(findings) => ("err", findings),
    };
    findings
        .into_iter()
        .map(|finding| {
            let at = place(body, &finding.path);
            Finding {
                severity,
                text: finding.message,
                fix: None,
                line: at.map(|(line, _)| line),
                column: at.map(|(_, column)| column),
                path: Some(finding.path),
            }
        })
        .collect()
}

/// Line and column of the deepest key of a path that the text has, looked for in the order of the path.
fn place(body: &str, path: &str) -> Option<(usize, usize)> {
    let (mut at, mut found) = (0, None);
    for key in path.split('.') {
        let key = serde_json::to_string(&key.replace("%2E", ".")).ok()?;
        let Some(offset) = body.get(at..)?.find(&key) else {
            break;
        };
        found = Some(at + offset);
        at += offset + key.len();
    }
    let before = body.get(..found?)?;
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    Some((line, column))
}

fn remark(severity: &'static str, text: &str, fix: Option<&str>) -> Finding {
    Finding {
        severity,
        text: text.to_owned(),
        fix: fix.map(str::to_owned),
        ..Finding::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answered(status: u16, body: &str) -> Vec<Finding> {
        let exchange = WebExchange {
            purpose: "pivot".to_owned(),
            response: json!({"status": status}),
            answer: Some(body.to_owned()),
            ..WebExchange::default()
        };
        of(&exchange, &|_| Ok(()))
    }

    #[test]
    fn a_mistake_in_a_callflow_is_found_at_its_line() {
        let found = answered(
            200,
            "{\n \"module\": \"sleep\",\n \"data\": {\n  \"duration\": \"long\"}}",
        );
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].severity, found[0].line), ("err", Some(4)));
        let broken = answered(200, "{\"module\": \n ]");
        assert_eq!((broken[0].line, broken[0].severity), (Some(2), "err"));
    }

    #[test]
    fn twiml_is_looked_at_and_an_error_page_is_no_document() {
        let found = answered(200, "<Response>\n <Sya>x</Sya></Response>");
        assert_eq!(found[0].line, Some(2), "{found:?}");
        assert!(answered(500, "<html>")[0].text.contains("500"));
        assert!(answered(200, "<Response><Hangup/></Response>").is_empty());
    }
}
