//! One attempt to tell a hook: KAZOO's request (`api.md` §3.19, "Delivery"), a signature over time and body
//! (`security.md` row 29), and the end of hooks that fail too often.
//!
//! 200 is success, 201 also for PUT. Other than KAZOO, which tries again only when there was no answer, a receiver that
//! says it cannot now (408, 429, 5xx) is tried again, too. Redirects are not followed: where a hook leads is for its
//! document to say.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};
use sha2::Sha256;
use url::Url;

use super::attempts;
use crate::base::time::UnixMicros;
use crate::directory::{Directory, Kind, private};
use crate::host::clock;
use crate::host::http::{HttpClient, HttpError, HttpRequest, HttpResponse, Method};
use crate::jobs::{Job, Outcome, Runner};
use crate::journal::Journal;
use crate::store::{Batch, StoreError};

/// How long a receiver may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// So many failures …
const FAILURES: usize = 6;
/// … within so long disable a hook.
const WITHIN: Duration = Duration::from_secs(60);
/// Text of an answer kept in the log, in bytes.
const KEPT: usize = 2048;
/// What forms do not escape.
const FORM: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'*');

/// Tells hooks: the runner of [`super::JOB`].
#[derive(Clone)]
pub struct Delivery(Arc<Inner>);

struct Inner {
    directory: Directory,
    http: HttpClient,
    /// When hooks have failed lately. Held for a push.
    failures: Mutex<BTreeMap<String, VecDeque<Instant>>>,
    /// Shows what calls' hooks are told in their traces.
    journal: Option<Journal>,
}

impl Delivery {
    /// Tells the hooks of `directory` by `http`.
    pub fn new(directory: Directory, http: HttpClient) -> Self {
        Self(Arc::new(Inner {
            directory,
            http,
            failures: Mutex::default(),
            journal: None,
        }))
    }

    /// The same, and what hooks are told of calls shows in the traces of those.
    #[must_use]
    pub fn with_journal(self, journal: Journal) -> Self {
        let (directory, http) = (self.0.directory.clone(), self.0.http.clone());
        Self(Arc::new(Inner {
            directory,
            http,
            failures: Mutex::default(),
            journal: Some(journal),
        }))
    }

    async fn attempt(self, job: Job) -> Outcome {
        let text = |key: &str| {
            job.payload
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let (account, hook) = (text("account"), text("hook"));
        let doc = self.0.directory.account(account);
        let doc = doc.and_then(|account| account.of_kind(Kind::Webhook).get(hook).cloned());
        // A hook that is gone or disabled meanwhile wants to know no more.
        let Some(doc) = doc.filter(|doc| doc.get("enabled") != Some(&json!(false))) else {
            return Outcome::Done;
        };
        let now = clock::unix_now();
        let (mut request, shown) = match request(&doc, account, hook, &job, now) {
            Ok(made) => made,
            Err(reason) => return Outcome::GiveUp(reason),
        };
        let call_id = job.payload.pointer("/data/call_id").and_then(Value::as_str);
        if let (Some(journal), Some(call_id)) = (&self.0.journal, call_id) {
            request.watcher = Some(journal.watch(call_id, "webhook"));
        }
        let method = request.method;
        let answer = self.0.http.send(request).await;
        let tries = doc
            .get("retries")
            .and_then(Value::as_u64)
            .unwrap_or(2)
            .max(1);
        let left = tries.saturating_sub(u64::from(job.attempts) + 1);
        let verdict = judge(&answer, method);
        let row = row(&job, &doc, &shown, &answer, &verdict, left, now);
        let mut batch = Batch::new();
        let id = format!("{}-{}", job.id, job.attempts);
        attempts::keep(&mut batch, account, now, &id, &row);
        let logged = |result: Result<(), StoreError>| {
            if let Err(error) = result {
                tracing::warn!(%error, "an attempt at a webhook could not be logged");
            }
        };
        // The next event need not wait for the log.
        self.0.directory.store().submit(batch, Box::new(logged));
        match verdict {
            Verdict::Told => {
                metrics::counter!("swivel_webhooks_told_total").increment(1);
                Outcome::Done
            }
            Verdict::Failed { reason, again } => {
                metrics::counter!("swivel_webhooks_failed_total").increment(1);
                if self.failed_too_often(hook) {
                    self.disable(account, hook, &doc).await;
                    return Outcome::GiveUp(format!("the webhook is disabled; {reason}"));
                }
                if again && left > 0 {
                    Outcome::Retry(reason)
                } else {
                    Outcome::GiveUp(reason)
                }
            }
        }
    }

    fn failed_too_often(&self, hook: &str) -> bool {
        let now = clock::now();
        let mut failures = self
            .0
            .failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let recent = |at: &Instant| now.saturating_duration_since(*at) <= WITHIN;
        failures.retain(|_, times| times.back().is_some_and(recent));
        let times = failures.entry(hook.to_owned()).or_default();
        times.push_back(now);
        while times.front().is_some_and(|at| !recent(at)) {
            times.pop_front();
        }
        let too_often = times.len() >= FAILURES;
        if too_often {
            failures.remove(hook);
        }
        too_often
    }

    async fn disable(&self, account: &str, hook: &str, doc: &Value) {
        tracing::warn!(account, hook, "a webhook failed too often and is disabled");
        let mut fields: Map<String, Value> = private::public(hook, doc);
        fields.remove("id");
        fields.insert("enabled".into(), json!(false));
        fields.insert("disable_reason".into(), json!(DISABLED));
        let put = self
            .0
            .directory
            .put(Kind::Webhook, account, hook, Value::Object(fields));
        if let Err(error) = put.await {
            tracing::error!(%error, "a webhook could not be disabled");
        }
    }
}

impl Runner for Delivery {
    fn run(&self, job: &Job) -> BoxFuture<'static, Outcome> {
        self.clone().attempt(job.clone()).boxed()
    }
}

enum Verdict {
    Told,
    Failed { reason: String, again: bool },
}

fn judge(answer: &Result<HttpResponse, HttpError>, method: Method) -> Verdict {
    match answer {
        Ok(answer) if answer.status == 200 => Verdict::Told,
        Ok(answer) if answer.status == 201 && method == Method::Put => Verdict::Told,
        Ok(answer) => Verdict::Failed {
            reason: format!("bad response code {}", answer.status),
            again: matches!(answer.status, 408 | 429 | 500..=599),
        },
        Err(error) => Verdict::Failed {
            reason: error.to_string(),
            again: !matches!(error, HttpError::Refused(_)),
        },
    }
}

/// What a receiver knows the event by, however often it comes.
fn event_id(job: &Job) -> &str {
    let named = job.payload.get("event_id").and_then(Value::as_str);
    named.unwrap_or(&job.id)
}

/// The request, and its body as it is logged.
fn request(
    doc: &Value,
    account: &str,
    hook: &str,
    job: &Job,
    now: UnixMicros,
) -> Result<(HttpRequest, String), String> {
    let text = |key: &str| doc.get(key).and_then(Value::as_str);
    let mut data = job
        .payload
        .get("data")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    data.insert("event_id".into(), json!(event_id(job)));
    let own = doc.get("custom_data").and_then(Value::as_object);
    for (key, value) in own.into_iter().flatten() {
        if key != "type" && key != "action" {
            data.insert(key.clone(), value.clone());
        }
    }
    let data = Value::Object(data);
    let uri = text("uri").unwrap_or_default();
    let mut url = Url::parse(uri).map_err(|error| format!("{uri} is no URL: {error}"))?;
    let method = match text("http_verb") {
        Some("get") => Method::Get,
        Some("put") => Method::Put,
        _ => Method::Post,
    };
    let (kind, body) = match (method, text("format")) {
        (Method::Get, _) => ("", form(&data)),
        (_, Some("json")) => (
            "application/json",
            serde_json::to_string_pretty(&data).map_err(|error| error.to_string())?,
        ),
        _ => ("application/x-www-form-urlencoded", form(&data)),
    };
    let mut headers = vec![
        ("X-Hook-ID".to_owned(), hook.to_owned()),
        ("X-Account-ID".to_owned(), account.to_owned()),
        ("X-Event-ID".to_owned(), event_id(job).to_owned()),
    ];
    if let Some(secret) = text("secret").filter(|secret| !secret.is_empty()) {
        headers.push((
            "X-Swivel-Signature".to_owned(),
            sign(secret, now.secs(), &body),
        ));
    }
    if !kind.is_empty() {
        headers.push(("Content-Type".to_owned(), kind.to_owned()));
    }
    let sent = if method == Method::Get {
        let query = match url.query() {
            Some(query) if !query.is_empty() => format!("{query}&{body}"),
            _ => body.clone(),
        };
        url.set_query(Some(&query));
        String::new()
    } else {
        body.clone()
    };
    let request = HttpRequest {
        method,
        headers,
        body: sent.into(),
        timeout: TIMEOUT,
        max_body: 64 * 1024,
        max_redirects: 0,
        retry_unavailable: false,
        ..HttpRequest::get(url)
    };
    Ok((request, body))
}

/// The value of `X-Swivel-Signature`: `t=<Unix seconds>,v1=<hex>`, an HMAC-SHA256 of `<t>.<body>` under the hook's secret.
/// Of a GET the body is its form string.
pub fn sign(secret: &str, unix_seconds: u64, body: &str) -> String {
    // A key of any length will do.
    let code = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map(|mut mac| {
        mac.update(unix_seconds.to_string().as_bytes());
        mac.update(b".");
        mac.update(body.as_bytes());
        hex::encode(mac.finalize().into_bytes())
    });
    format!("t={unix_seconds},v1={}", code.unwrap_or_default())
}

/// Nested objects as `a[b]=c`.
fn form(data: &Value) -> String {
    let mut pairs = Vec::new();
    flatten(data, String::new(), &mut pairs);
    let escaped = |text: &str| {
        utf8_percent_encode(text, FORM)
            .to_string()
            .replace("%20", "+")
    };
    let pairs = pairs.iter().map(|(key, value)| {
        // Brackets are structure, as KAZOO writes them.
        let key = key.split_inclusive(['[', ']']).map(|part| {
            let plain = part.trim_end_matches(['[', ']']);
            format!(
                "{}{}",
                escaped(plain),
                part.get(plain.len()..).unwrap_or_default()
            )
        });
        format!("{}={}", key.collect::<String>(), escaped(value))
    });
    pairs.collect::<Vec<_>>().join("&")
}

fn flatten(value: &Value, at: String, pairs: &mut Vec<(String, String)>) {
    let below = |key: &str| match at.is_empty() {
        true => key.to_owned(),
        false => format!("{at}[{key}]"),
    };
    match value {
        Value::Object(fields) => {
            fields
                .iter()
                .for_each(|(key, value)| flatten(value, below(key), pairs));
        }
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.for_each(|(n, value)| flatten(value, below(&n.to_string()), pairs));
        }
        Value::String(text) => pairs.push((at, text.clone())),
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) => pairs.push((at, value.to_string())),
    }
}

fn row(
    job: &Job,
    doc: &Value,
    body: &str,
    answer: &Result<HttpResponse, HttpError>,
    verdict: &Verdict,
    left: u64,
    now: UnixMicros,
) -> Value {
    let cut = |text: &str| text.chars().take(KEPT).collect::<String>();
    let headers = |all: &[(String, String)]| {
        let shown = all.iter().filter(|(name, _)| !is_secret(name));
        let shown = shown.map(|(name, value)| (name.to_lowercase(), json!(cut(value))));
        Value::Object(shown.collect())
    };
    let mut row = json!({
        "id": format!("{}-{}-{}", now.month(), job.id, job.attempts),
        "hook_id": job.payload.get("hook"),
        "hook_event": job.payload.get("event"),
        "event_id": event_id(job),
        "uri": doc.get("uri"),
        "method": doc.get("http_verb"),
        "req_body": cut(body),
        "custom_data": doc.get("custom_data"),
        "try": job.attempts + 1,
        "retries_left": left,
        "timestamp": now.gregorian(),
        "result": if matches!(verdict, Verdict::Told) { "success" } else { "failure" },
    });
    let Some(fields) = row.as_object_mut() else {
        return row;
    };
    match answer {
        Ok(answer) => {
            fields.insert("req_headers".into(), headers(&answer.request_headers));
            fields.insert("resp_status_code".into(), json!(answer.status));
            fields.insert("response_code".into(), json!(answer.status.to_string()));
            fields.insert("resp_headers".into(), headers(&answer.headers));
            fields.insert(
                "resp_body".into(),
                json!(cut(&String::from_utf8_lossy(&answer.body))),
            );
            if let Verdict::Failed { .. } = verdict {
                fields.insert("reason".into(), json!("bad response code"));
            }
        }
        Err(error) => {
            fields.insert("reason".into(), json!("kazoo http client error"));
            fields.insert("client_error".into(), json!(error.to_string()));
        }
    }
    fields.retain(|_, value| !value.is_null());
    row
}

fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    ["authorization", "cookie", "signature"]
        .iter()
        .any(|secret| name.contains(secret))
}

/// Why a hook is disabled.
const DISABLED: &str = "too many failed attempts";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_openssl_makes_of_time_and_body() {
        // printf '1700000000.a=b' | openssl dgst -sha256 -hmac secret
        let code = sign("secret", 1_700_000_000, "a=b");
        assert_eq!(
            code,
            "t=1700000000,v1=65e2939150c9a8c32406a4d18dcce1cb5abf8152f7cabeb639e9e83f51323f97"
        );
    }

    #[test]
    fn nested_objects_are_written_with_brackets() {
        let data = json!({"a": {"b": {"c": "1 2"}}, "d": true, "e": null, "f": ["x", "&"]});
        assert_eq!(form(&data), "a[b][c]=1+2&d=true&f[0]=x&f[1]=%26");
    }

    #[test]
    fn only_200_is_success_and_only_who_may_recover_is_asked_again() {
        let answer = |status: u16| {
            Ok(HttpResponse {
                status,
                headers: Vec::new(),
                body: bytes::Bytes::new(),
                url: Url::parse("http://a.test/").unwrap(),
                request_headers: Vec::new(),
                first_request_headers: Vec::new(),
                redirects: 0,
                body_len: 0,
                sent_at: clock::now(),
                first_byte_at: clock::now(),
                done_at: clock::now(),
            })
        };
        let again = |status: u16, method| match judge(&answer(status), method) {
            Verdict::Told => None,
            Verdict::Failed { again, .. } => Some(again),
        };
        assert_eq!(again(200, Method::Post), None);
        assert_eq!(again(201, Method::Put), None);
        assert_eq!(again(201, Method::Post), Some(false));
        assert_eq!(again(302, Method::Get), Some(false));
        assert_eq!(again(404, Method::Get), Some(false));
        assert_eq!(again(503, Method::Get), Some(true));
    }
}
