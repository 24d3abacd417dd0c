//! `POST …/pivot/debug/{call}/{n}/replay`: what a web server was asked once is asked again, and the answers are compared.
//! It goes through the same guard and never touches a call.

use serde_json::{Map, Value, json};
use url::Url;

use super::answer::Answer;
use super::call::Call;
use super::error::ApiError;
use super::findings;
use super::resources::{admin, lens};
use crate::host::http::{HttpRequest, Method};
use crate::journal::lens::{WebExchange, shown_answer};
use crate::journal::mask;

/// Names the request as a replay.
const HEADER: &str = "X-Swivel-Replay";
/// Sentences about two flows.
const CHANGES: usize = 40;
/// Headers that are made anew.
const OURS: [&str; 6] = [
    "host",
    "content-length",
    "user-agent",
    "x-twilio-signature",
    "authorization",
    "x-swivel-replay",
];

/// Replays exchange `n` of a call.
pub(super) async fn answer(call: &Call, id: &str, n: &str) -> Result<Answer, ApiError> {
    admin(call)?;
    let http = call.api.http();
    let http =
        http.ok_or_else(|| ApiError::Unavailable("nothing is asked from here".to_owned()))?;
    let through = lens::find(call, id).await?;
    let number: usize = n.parse().unwrap_or_default();
    let missing = || ApiError::NoDocument {
        what: "exchange",
        id: n.to_owned(),
    };
    let exchange = number
        .checked_sub(1)
        .and_then(|at| through.exchanges().into_iter().nth(at))
        .ok_or_else(missing)?;
    let request = request(call, &exchange)?;
    let shown = json!({"method": request.method.name(), "url": mask::url(request.url.as_str()),
                       "headers": masked(&request.headers), "body": String::from_utf8_lossy(&request.body)});
    let watch = Stopwatch::default();
    let answered = http
        .send(HttpRequest {
            watcher: Some(watch.watcher()),
            ..request
        })
        .await;
    let timing = watch.timing();
    let (response, error, body) = match answered {
        Ok(answer) => {
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            let shown = shown_answer(answer.status, &masked_pairs(&answer.headers), &body);
            (shown, Value::Null, Some(body))
        }
        Err(error) => (Value::Null, json!(error.to_string()), None),
    };
    let guard = |url: &str| (call.api.guard())(url);
    let replayed = WebExchange {
        response: response.clone(),
        answer: body.clone(),
        content_type: response
            .get("content_type")
            .and_then(Value::as_str)
            .map(str::to_owned),
        ..exchange.clone()
    };
    let findings = findings::of(&replayed, &guard);
    let changes = changes(exchange.answer.as_deref(), body.as_deref());
    Ok(Answer::ok(json!({
        "request": shown, "response": response, "timing": timing, "error": error,
        "during": exchange.response, "changes": changes, "findings": findings,
    })))
}

/// The recorded request, or what the body puts in its place.
fn request(call: &Call, exchange: &WebExchange) -> Result<HttpRequest, ApiError> {
    let edited = |name: &str| {
        call.value(name)
            .and_then(|value| value.as_str().map(str::to_owned))
    };
    let address = edited("url").unwrap_or_else(|| exchange.url.clone());
    if address.contains(mask::MASK) {
        return Err(ApiError::field(
            "url",
            "required",
            "the recorded URL has a secret that is not kept: give the whole url",
        ));
    }
    let url = Url::parse(&address)
        .map_err(|error| ApiError::field("url", "format", format!("not a URL: {error}")))?;
    if let Err(refused) = (call.api.guard())(url.as_str()) {
        return Err(ApiError::field("url", "refused", refused));
    }
    let own = edited("body");
    if own.is_none() && !exchange.whole {
        return Err(ApiError::field(
            "body",
            "required",
            "the recorded body is not kept whole: give the body",
        ));
    }
    let body = own.or_else(|| exchange.body.clone()).unwrap_or_default();
    let method = [
        Method::Get,
        Method::Post,
        Method::Put,
        Method::Patch,
        Method::Delete,
    ]
    .into_iter()
    .find(|method| method.name() == exchange.method)
    .unwrap_or(Method::Get);
    let mut request = HttpRequest {
        method,
        body: body.into(),
        ..HttpRequest::get(url)
    };
    let kept = exchange.headers.iter().filter(|(name, value)| {
        let ours = OURS.iter().any(|own| name.eq_ignore_ascii_case(own));
        !ours && value != mask::MASK
    });
    request.headers = kept.cloned().collect();
    request.headers.push((HEADER.to_owned(), "1".to_owned()));
    request.auth_token = call.account()?.auth_token();
    Ok(request)
}

fn masked_pairs(headers: &[(String, String)]) -> Vec<(String, String)> {
    let shown = headers.iter();
    shown
        .map(|(name, value)| (name.clone(), mask::http_header(name, value).to_owned()))
        .collect()
}

fn masked(headers: &[(String, String)]) -> Value {
    json!(masked_pairs(headers))
}

/// Times the last exchange of a replay.
#[derive(Clone, Default)]
struct Stopwatch(std::sync::Arc<std::sync::Mutex<Value>>);

impl Stopwatch {
    fn watcher(&self) -> crate::host::http::Watcher {
        crate::host::http::Watcher(std::sync::Arc::new(self.clone()))
    }

    fn timing(&self) -> Value {
        let kept = self.0.lock();
        kept.unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }
}

impl crate::host::http::Watch for Stopwatch {
    fn asked(&self, _: &crate::host::http::Exchange, _: &[(String, String)]) -> u64 {
        0
    }

    fn told(&self, _: u64, _: crate::host::http::Outcome<'_>, timing: &crate::host::http::Timing) {
        let ms = |time: std::time::Duration| time.as_secs_f64() * 1000.0;
        let shown = json!({"dns_ms": timing.dns.map(ms), "connect_ms": timing.connect.map(ms), "tls_ms": timing.tls.map(ms),
            "server_ms": timing.server.map(ms), "body_ms": timing.body.map(ms), "total_ms": ms(timing.total),
            "reused": timing.connect.is_none()});
        let kept = self.0.lock();
        *kept.unwrap_or_else(std::sync::PoisonError::into_inner) = shown;
    }
}

/// What two answers differ in, a sentence each.
fn changes(before: Option<&str>, after: Option<&str>) -> Vec<String> {
    let (before, after) = match (before, after) {
        (None, None) => return Vec::new(),
        (Some(_), None) => return vec!["There is no document now.".to_owned()],
        (None, Some(_)) => {
            return vec!["There was no document during the call; now there is one.".to_owned()];
        }
        (Some(before), Some(after)) => (before, after),
    };
    if before == after {
        return Vec::new();
    }
    let mut said = Vec::new();
    match (flow(before), flow(after)) {
        (Some(before), Some(after)) => nodes("", &before, &after, &mut said),
        (None, None) => words(before, after, &mut said),
        (Some(_), None) => {
            said.push("The answer was callflow JSON and is TwiML or text now.".to_owned())
        }
        (None, Some(_)) => {
            said.push("The answer was TwiML or text and is callflow JSON now.".to_owned())
        }
    }
    said.truncate(CHANGES);
    said
}

fn flow(text: &str) -> Option<Value> {
    let document: Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).ok()?;
    match document.get("flow") {
        Some(flow) if document.get("module").is_none() => Some(flow.clone()),
        _ => Some(document),
    }
}

/// Two trees, node by node.
fn nodes(path: &str, before: &Value, after: &Value, said: &mut Vec<String>) {
    let at = if path.is_empty() {
        "the first node".to_owned()
    } else {
        format!("node {path}")
    };
    let module = |node: &Value| {
        node.get("module")
            .and_then(Value::as_str)
            .unwrap_or("?")
            .to_owned()
    };
    let (was, is) = (module(before), module(after));
    if was != is {
        said.push(format!("At {at}, {is} runs instead of {was}."));
    } else {
        fields(
            &format!("{is} at {at}"),
            before.get("data"),
            after.get("data"),
            said,
        );
    }
    let none = Map::new();
    let children = |node: &'_ Value| node.get("children").and_then(Value::as_object).cloned();
    let (old, new) = (
        children(before).unwrap_or_else(|| none.clone()),
        children(after).unwrap_or(none),
    );
    for (key, child) in &old {
        let below = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        match new.get(key) {
            Some(now) => nodes(&below, child, now, said),
            None => said.push(format!(
                "The child {key:?} of {at} ({}) is gone.",
                module(child)
            )),
        }
    }
    for (key, child) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
        said.push(format!("{at} has a new child {key:?} ({}).", module(child)));
    }
}

fn fields(what: &str, before: Option<&Value>, after: Option<&Value>, said: &mut Vec<String>) {
    let object = |value: Option<&Value>| {
        value
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    };
    let (old, new) = (object(before), object(after));
    for (key, value) in &old {
        match new.get(key) {
            Some(now) if now == value => {}
            Some(now) => said.push(format!(
                "{what}: {key} is {} instead of {}.",
                short(now),
                short(value)
            )),
            None => said.push(format!(
                "{what}: {key} ({}) is not given any more.",
                short(value)
            )),
        }
    }
    for (key, value) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
        said.push(format!(
            "{what}: {key} is {} and was not given before.",
            short(value)
        ));
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// Two texts, tag by tag.
fn words(before: &str, after: &str, said: &mut Vec<String>) {
    let tags = |text: &str| -> Vec<String> {
        let pieces = text
            .split_inclusive('>')
            .flat_map(|piece| piece.split_inclusive('<'));
        let pieces = pieces.map(|piece| piece.trim_end_matches('<').trim().to_owned());
        pieces.filter(|piece| !piece.is_empty()).collect()
    };
    let (old, new) = (tags(before), tags(after));
    let same = old
        .iter()
        .zip(&new)
        .take_while(|(old, new)| old == new)
        .count();
    let end = |all: &[String]| all.len().saturating_sub(same);
    let tail = old.iter().rev().zip(new.iter().rev());
    let tail = tail
        .take_while(|(old, new)| old == new)
        .count()
        .min(end(&old))
        .min(end(&new));
    let part = |all: &[String]| {
        let middle = all
            .get(same..all.len().saturating_sub(tail))
            .unwrap_or_default();
        middle.join(" ")
    };
    let tagged = |text: String| text.replace("/>", "").replace('>', "");
    let (old, new) = (tagged(part(&old)), tagged(part(&new)));
    said.push(match (old.is_empty(), new.is_empty()) {
        (true, true) => "The documents differ in white space only.".to_owned(),
        (true, false) => format!("New: {}.", short(&json!(new))),
        (false, true) => format!("Gone: {}.", short(&json!(old))),
        (false, false) => format!("{} instead of {}.", short(&json!(new)), short(&json!(old))),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_flows_differ_in_is_said_and_order_and_white_space_are_nothing() {
        let before = r#"{"module":"tts","data":{"text":"Hi","langauge":"en"},"children":{"_":{"module":"device","data":{"id":"a"}}}}"#;
        let same = "{\"children\": {\"_\": {\"data\": {\"id\": \"a\"}, \"module\": \"device\"}},\n \"data\": {\"langauge\": \"en\", \"text\": \"Hi\"}, \"module\": \"tts\"}";
        assert!(changes(Some(before), Some(same)).is_empty());
        let after = r#"{"module":"tts","data":{"text":"Hi","language":"en"},"children":{"_":{"module":"user","data":{"id":"a"}},"1":{"module":"hangup"}}}"#;
        assert_eq!(
            changes(Some(before), Some(after)),
            [
                "tts at the first node: langauge (\"en\") is not given any more.",
                "tts at the first node: language is \"en\" and was not given before.",
                "At node _, user runs instead of device.",
                "the first node has a new child \"1\" (hangup).",
            ]
        );
    }

    #[test]
    fn documents_of_other_kinds_are_compared_too() {
        let said = changes(
            Some("<Response><Say>One</Say></Response>"),
            Some("<Response><Say>Two</Say></Response>"),
        );
        assert_eq!(said, ["\"Two\" instead of \"One\"."]);
        assert_eq!(changes(Some("{}"), None), ["There is no document now."]);
    }
}
