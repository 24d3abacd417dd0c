//! One request of a Pivot session: limits, parameters, HTTP, what the answer is, and the debug log of all that.

use std::cell::RefCell;
use std::time::Duration;

use serde_json::{Map, Value};
use url::Url;

use super::cookies::{self, Jar};
use super::encode;
use super::error::PivotError;
use super::json;
use super::params::{Subject, params};
use super::reply::{Check, Reply};
use super::settings::{BodyFormat, RequestFormat, RequestMethod, Settings};
use super::sniff::{self, Kind};
use crate::base::finding::Finding;
use crate::base::profile::Profile;
use crate::base::secret::Secret;
use crate::call::{CallHandle, CallVars};
use crate::host::clock;
use crate::host::http::{HttpClient, HttpRequest, HttpResponse, USER_AGENT, Watcher};
use crate::journal::{Code, Fact, PivotDebug, PivotDebugKind};
use crate::twiml::Document;

/// Asks the server of a `pivot` node what the call does next. `iteration` is 1 for the node itself and one more for
/// each follow-up of its session; `found` is what goes with a follow-up; `check` judges callflow JSON.
///
/// # Errors
/// Whatever keeps the answer from being run; the node then takes its failure path.
pub async fn ask(
    call: &CallHandle,
    settings: &Settings,
    iteration: u32,
    found: Option<&Found<'_>>,
    check: Check<'_>,
) -> Result<Reply, PivotError> {
    let (facts, services) = (call.facts(), call.services());
    let debug = |kind: PivotDebugKind| {
        if settings.debug {
            services.journal.pivot_debug(PivotDebug {
                account: facts.account.id.to_string(),
                call_id: facts.call_id.clone(),
                iteration,
                at: clock::unix_now(),
                kind,
            });
        }
    };
    let hook = |hook: Hook| {
        call.note(|call_id, at| Fact::Hook {
            call_id,
            at,
            step: hook.step,
            url: hook.url,
            status: hook.status,
            took_ms: hook
                .took
                .map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
            note: hook.note,
        });
    };
    let trouble = |code: Code, values: Vec<(&'static str, String)>| call.trouble(code, values);
    let logs = Logs {
        debug: &debug,
        hook: &hook,
        watcher: Some(services.journal.watch(&facts.call_id, "pivot")),
        trouble: &trouble,
    };
    let params = {
        let language = call.language();
        let mut vars = call.vars();
        logged(&logs, count(&mut vars))?;
        let mut subject = subject(&facts, &vars, &language);
        subject.phase = phase(call);
        let mut params = params(&subject, settings.req_format, settings.profile());
        if let Some(found) = found {
            found.add(&mut params, settings.req_format);
        }
        params
    };
    logged(&logs, call.count_request().map_err(|_| PivotError::Ended))?;
    let jar = RefCell::new(call.vars().cookies.clone());
    let own = Own {
        token: facts.account.auth_token(),
        jar: (settings.profile() == Profile::Twilio).then_some(&jar),
    };
    let asked = conduct(&services.http, settings, params, own, check, &logs);
    let asked = Box::pin(asked).await;
    call.vars().cookies = jar.into_inner();
    logged(&logs, asked)
}

/// What those are told of a call who are told without being asked, in Twilio's names.
pub fn standard(call: &CallHandle) -> Map<String, Value> {
    let (facts, language) = (call.facts(), call.language());
    let vars = call.vars();
    let mut subject = subject(&facts, &vars, &language);
    subject.phase = phase(call);
    params(&subject, RequestFormat::Twiml, Profile::Twilio)
}

/// What TwiML verbs found out, and what their document set (`pivot.md` §2.2).
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// Digits, recordings, how a Dial went.
    pub values: &'a Map<String, Value>,
    /// Variables of the document.
    pub variables: &'a Map<String, Value>,
}

impl Found<'_> {
    /// What is always told beats what verbs found out, and that beats variables; digits are the latest ones.
    fn add(&self, params: &mut Map<String, Value>, format: RequestFormat) {
        for (name, value) in self.values {
            if name == "Digits" {
                params.insert(name.clone(), value.clone());
            } else {
                params.entry(name).or_insert_with(|| value.clone());
            }
            let kazoo = match (format, name.as_str()) {
                (RequestFormat::Kazoo, "RecordingUrl") => "Recording-Url",
                (RequestFormat::Kazoo, "RecordingDuration") => "Recording-Duration",
                (RequestFormat::Kazoo | RequestFormat::Twiml, _) => continue,
            };
            params.insert(kazoo.to_owned(), value.clone());
        }
        for (name, value) in self.variables {
            params.entry(name).or_insert_with(|| value.clone());
        }
    }
}

/// Writes a remark into the debug log of a session that keeps one.
pub fn remark(call: &CallHandle, settings: &Settings, iteration: u32, text: &str) {
    if !settings.debug {
        return;
    }
    let facts = call.facts();
    call.services().journal.pivot_debug(PivotDebug {
        account: facts.account.id.to_string(),
        call_id: facts.call_id.clone(),
        iteration,
        at: clock::unix_now(),
        kind: PivotDebugKind::Note {
            text: text.to_owned(),
        },
    });
}

/// `CallStatus` as the call itself has it.
fn phase(call: &CallHandle) -> &'static str {
    if call.ended().is_some() {
        "completed"
    } else if call.answered() {
        "in-progress"
    } else {
        "ringing"
    }
}

/// Where a session writes what happens.
struct Logs<'a> {
    debug: &'a dyn Fn(PivotDebugKind),
    hook: &'a dyn Fn(Hook),
    /// Shows the exchanges in the call's trace.
    watcher: Option<Watcher>,
    trouble: &'a dyn Fn(Code, Vec<(&'static str, String)>),
}

/// One step of an exchange, for the call's trace.
#[derive(Debug)]
struct Hook {
    step: &'static str,
    url: String,
    status: Option<u16>,
    took: Option<Duration>,
    note: String,
}

/// The same result; an error that no document of the debug log tells yet gets a remark there.
fn logged<T>(logs: &Logs<'_>, result: Result<T, PivotError>) -> Result<T, PivotError> {
    if let Err(error) = &result {
        tracing::debug!(%error, "pivot failed");
        if let Some((code, values)) = error.cause() {
            (logs.trouble)(code, values);
        }
        let told = matches!(
            error,
            PivotError::Json { .. } | PivotError::Schema { .. } | PivotError::Status { .. }
        );
        if !told {
            (logs.debug)(PivotDebugKind::Note {
                text: error.to_string(),
            });
        }
    }
    result
}

/// Counts a request against the limits of the call (decision 11).
fn count(vars: &mut CallVars) -> Result<(), PivotError> {
    if vars.pivots >= MAX_PIVOTS {
        return Err(PivotError::TooMany { limit: MAX_PIVOTS });
    }
    let now = clock::now();
    vars.recent_pivots
        .retain(|at| now.saturating_duration_since(*at) < IN_A_ROW_WITHIN);
    if vars.recent_pivots.len() >= MAX_IN_A_ROW {
        return Err(PivotError::Loop {
            limit: MAX_IN_A_ROW as u32,
            within: IN_A_ROW_WITHIN,
        });
    }
    vars.pivots += 1;
    vars.recent_pivots.push(now);
    Ok(())
}

fn subject<'a>(
    facts: &'a crate::call::CallFacts,
    vars: &'a CallVars,
    language: &'a str,
) -> Subject<'a> {
    Subject {
        account_id: &facts.account.id,
        call_id: &facts.call_id,
        call_status: vars.call_status.as_deref(),
        caller_id_name: vars
            .caller_id_name
            .as_deref()
            .unwrap_or(&facts.caller_id_name),
        caller_id_number: vars
            .caller_id_number
            .as_deref()
            .unwrap_or(&facts.caller_id_number),
        direction: facts.direction,
        from: &facts.from_user,
        from_realm: &facts.from_realm,
        to: &facts.to_user,
        to_realm: &facts.to_realm,
        account: Some(&facts.account),
        diversions: &facts.diversions,
        source: Some(facts.source.ip()),
        request: &facts.request_user,
        request_realm: &facts.request_realm,
        language,
        owner_id: vars.owner_id.as_deref().or(facts.owner_id.as_deref()),
        custom_application_vars: vars.custom_application_vars.clone(),
        custom_sip_headers: facts.custom_sip_headers.clone(),
        collections: vars.collections.clone(),
        ..Subject::default()
    }
}

/// What goes with a request beside its parameters.
#[derive(Default)]
struct Own<'a> {
    /// Signs it.
    token: Option<Secret>,
    /// Cookies, where they are kept.
    jar: Option<&'a RefCell<Jar>>,
}

async fn conduct(
    http: &HttpClient,
    settings: &Settings,
    params: Map<String, Value>,
    own: Own<'_>,
    check: Check<'_>,
    logs: &Logs<'_>,
) -> Result<Reply, PivotError> {
    let guard = |url: &str| {
        http.guard()
            .check_text(url)
            .map_err(|refused| refused.to_string())
    };
    if let (None, Some(serverless)) = (&settings.voice_url, &settings.serverless) {
        let body = match &serverless.flow_doc {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        (logs.debug)(PivotDebugKind::Response {
            status: 0,
            headers: Vec::new(),
            body: body.clone(),
        });
        let source = Source {
            content_type: Some(&serverless.flow_type),
            url: None,
            profile: settings.profile(),
        };
        return read(source, &body, check, &guard, logs);
    }
    let url = settings.voice_url.as_deref().ok_or(PivotError::NoUrl)?;
    let url = Url::parse(url).map_err(|_| PivotError::Url {
        url: url.to_owned(),
    })?;
    let mut request = request(settings, &url, &params);
    request.auth_token = own.token;
    let cookie = own.jar.and_then(|jar| cookies::header(&jar.borrow(), &url));
    request
        .headers
        .extend(cookie.map(|value| ("Cookie".to_owned(), value)));
    request.watcher.clone_from(&logs.watcher);
    let response = fetch(http, settings, &url, request, logs).await?;
    if let Some(jar) = own.jar {
        cookies::keep(&mut jar.borrow_mut(), &response.url, &response.headers);
    }
    let body = String::from_utf8_lossy(&response.body);
    let source = Source {
        content_type: response.header("content-type"),
        url: Some(response.url.clone()),
        profile: settings.profile(),
    };
    read(source, &body, check, &guard, logs)
}

/// Where an accepted body came from.
struct Source<'a> {
    content_type: Option<&'a str>,
    url: Option<Url>,
    profile: Profile,
}

async fn fetch(
    http: &HttpClient,
    settings: &Settings,
    url: &Url,
    request: HttpRequest,
    logs: &Logs<'_>,
) -> Result<HttpResponse, PivotError> {
    let shown = shown(&request.url);
    (logs.debug)(debug_request(settings, &request, &shown));
    let hook = |step, status, took, note| {
        (logs.hook)(Hook {
            step,
            url: shown.clone(),
            status,
            took,
            note,
        })
    };
    hook(
        "request",
        None,
        None,
        format!("{} bytes", request.body.len()),
    );
    let started = clock::now();
    let answered = http.send(request).await;
    let took = clock::now().saturating_duration_since(started);
    let response = answered.map_err(|error| {
        hook("failure", None, Some(took), error.to_string());
        PivotError::Http {
            url: plain(url),
            error,
        }
    })?;
    let redirects = if response.redirects > 0 {
        format!(", {} redirects", response.redirects)
    } else {
        String::new()
    };
    hook(
        "response",
        Some(response.status),
        Some(took),
        format!("{} bytes{redirects}", response.body.len()),
    );
    let accepted = matches!(response.status, 200 | 206);
    (logs.debug)(PivotDebugKind::Response {
        status: if accepted { 200 } else { response.status },
        headers: response.headers.clone(),
        body: String::from_utf8_lossy(&response.body).into_owned(),
    });
    if !accepted {
        return Err(PivotError::Status {
            url: plain(&response.url),
            status: response.status,
            took,
            body: first_line(&response.body),
        });
    }
    Ok(response)
}

fn request(settings: &Settings, url: &Url, params: &Map<String, Value>) -> HttpRequest {
    let mut request = match (settings.method, settings.req_body_format) {
        (RequestMethod::Get, _) => HttpRequest::get(encode::with_query(url, params)),
        (RequestMethod::Post, BodyFormat::Form) => HttpRequest::post(
            url.clone(),
            "application/x-www-form-urlencoded",
            encode::form(params),
        ),
        (RequestMethod::Post, BodyFormat::Json) => HttpRequest::post(
            url.clone(),
            "application/json",
            Value::Object(params.clone()).to_string(),
        ),
    };
    request.timeout = settings.timeout();
    request.max_body = MAX_REPLY;
    let custom = settings.headers().into_iter();
    request
        .headers
        .extend(custom.filter(|(name, _)| !OURS.iter().any(|own| name.eq_ignore_ascii_case(own))));
    request
}

fn debug_request(settings: &Settings, request: &HttpRequest, shown: &str) -> PivotDebugKind {
    let mut headers = request.headers.clone();
    headers.push(("User-Agent".to_owned(), USER_AGENT.to_owned()));
    PivotDebugKind::Request {
        uri: shown.to_owned(),
        method: match settings.method {
            RequestMethod::Get => "get".to_owned(),
            RequestMethod::Post => "post".to_owned(),
        },
        headers,
        body: String::from_utf8_lossy(&request.body).into_owned(),
    }
}

/// What an accepted body says.
fn read(
    source: Source<'_>,
    body: &str,
    check: Check<'_>,
    guard: &dyn Fn(&str) -> Result<(), String>,
    logs: &Logs<'_>,
) -> Result<Reply, PivotError> {
    if body.trim_start_matches('\u{feff}').trim().is_empty() {
        return Err(PivotError::Empty);
    }
    match sniff::kind(source.content_type, body) {
        Kind::Json => read_flow(body, check, guard, logs),
        Kind::Xml => Ok(Reply::Twiml {
            document: Box::new(Document::read(body, source.profile)?),
            url: source.url,
        }),
        Kind::Unknown => {
            let verbs = match source.profile {
                Profile::Twilio => verbs_of(&source, body),
                Profile::Kazoo => None,
            };
            let verbs = verbs.ok_or_else(|| PivotError::Unknown {
                content_type: source.content_type.unwrap_or("no content type").to_owned(),
            })?;
            let document = format!("<Response>{verbs}</Response>");
            Ok(Reply::Twiml {
                document: Box::new(Document::read(&document, source.profile)?),
                url: source.url,
            })
        }
    }
}

/// What Twilio makes of an answer that is no document: text is said, sound is played.
fn verbs_of(source: &Source<'_>, body: &str) -> Option<String> {
    let escaped = |text: &str| {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        text.replace('>', "&gt;")
    };
    let kind = source.content_type?.trim_start().to_ascii_lowercase();
    if kind.starts_with("text/plain") {
        return Some(format!("<Say>{}</Say>", escaped(body)));
    }
    let url = source.url.as_ref().filter(|_| kind.starts_with("audio/"))?;
    Some(format!("<Play>{}</Play>", escaped(url.as_str())))
}

fn read_flow(
    body: &str,
    check: Check<'_>,
    guard: &dyn Fn(&str) -> Result<(), String>,
    logs: &Logs<'_>,
) -> Result<Reply, PivotError> {
    let document = json::parse(body).map_err(|mistake| {
        (logs.debug)(PivotDebugKind::JsonErrors {
            before: mistake.before,
            after: mistake.after,
            message: mistake.message.clone(),
            body: body.to_owned(),
        });
        PivotError::Json {
            message: mistake.message,
            at: mistake.at,
        }
    })?;
    let (node, wrapped) = unwrap_flow(document);
    let checked = match &node {
        Value::Object(_) => check(&node, guard),
        other => Err(vec![
            Finding::new("", "type", "a callflow is an object with module and data")
                .with_value(Value::String(kind_of(other).to_owned()))
                .with_target("object"),
        ]),
    };
    match checked {
        Ok((flow, warnings)) => {
            for warning in warnings {
                let text = format!("{}: {}", warning.path, warning.message);
                (logs.debug)(PivotDebugKind::Note { text });
            }
            Ok(Reply::Flow(flow))
        }
        Err(findings) => Err(schema_error(findings, wrapped, body, logs)),
    }
}

fn schema_error(
    mut findings: Vec<Finding>,
    wrapped: bool,
    body: &str,
    logs: &Logs<'_>,
) -> PivotError {
    if wrapped {
        for finding in &mut findings {
            finding.path = if finding.path.is_empty() {
                "flow".to_owned()
            } else {
                format!("flow.{}", finding.path)
            };
        }
    }
    let errors = findings
        .iter()
        .map(|finding| Finding::to_data(std::slice::from_ref(finding)))
        .collect();
    (logs.debug)(PivotDebugKind::SchemaErrors {
        errors: Value::Array(errors),
        body: body.to_owned(),
    });
    let first = findings.first();
    PivotError::Schema {
        count: findings.len(),
        path: first.map(|f| f.path.clone()).unwrap_or_default(),
        message: first.map(|f| f.message.clone()).unwrap_or_default(),
    }
}

/// The node of a document that is wrapped as `{"flow": node}`, as stored callflows are.
fn unwrap_flow(document: Value) -> (Value, bool) {
    match document {
        Value::Object(mut map)
            if !map.contains_key("module") && map.get("flow").is_some_and(Value::is_object) =>
        {
            (map.remove("flow").unwrap_or(Value::Null), true)
        }
        other => (other, false),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A URL as the logs show it: without user information.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Fails only for URLs without a host, which are refused before anything is sent.
    let stripped = url.set_username("").and_then(|()| url.set_password(None));
    if stripped.is_err() {
        url.scheme().to_owned()
    } else {
        url.into()
    }
}

/// A URL as errors name it: also without the query, which holds the caller's data.
fn plain(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    shown(&url)
}

/// The first words of a body that somebody might read: of an HTML page, its text.
fn first_line(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body.get(..4096).unwrap_or(body)).into_owned();
    let (mut bare, mut tag) = (String::new(), false);
    for c in text.chars() {
        match c {
            '<' => tag = true,
            '>' if tag => {
                tag = false;
                bare.push('\n');
            }
            c if !tag => bare.push(c),
            _ => {}
        }
    }
    let line = bare.lines().map(str::trim).find(|line| !line.is_empty());
    line.unwrap_or_default().chars().take(120).collect()
}

/// Most Pivot requests of one call.
const MAX_PIVOTS: u32 = 50;
/// Most Pivot requests within [`IN_A_ROW_WITHIN`].
const MAX_IN_A_ROW: usize = 10;
const IN_A_ROW_WITHIN: Duration = Duration::from_secs(1);
/// Longest reply, in bytes.
const MAX_REPLY: usize = 256 * 1024;
/// Headers a node cannot set: they belong to the connection, or say who we are.
const OURS: [&str; 7] = [
    "x-twilio-signature",
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "te",
    "upgrade",
];

#[cfg(test)]
mod tests;
