//! Tests of `session`.

use std::cell::RefCell;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, stream};
use serde_json::json;

use super::*;
use crate::host::guard::Guard;
use crate::host::http::{Answer, Exchange, HttpError, Method, Transport};

/// A server with scripted answers: status, headers, body.
struct Server {
    answers: Mutex<Vec<Canned>>,
    asked: Mutex<Vec<Exchange>>,
}

impl Transport for Server {
    fn exchange(&self, exchange: Exchange) -> BoxFuture<'_, Result<Answer, HttpError>> {
        self.asked.lock().unwrap().push(exchange);
        let mut answers = self.answers.lock().unwrap();
        let (status, headers, body) = if answers.len() > 1 {
            answers.remove(0)
        } else {
            answers[0].clone()
        };
        let headers = headers
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let body = stream::iter([Ok(Bytes::from(body))]).boxed();
        Box::pin(async move {
            Ok(Answer {
                status,
                headers,
                body,
            })
        })
    }
}

struct Outcome {
    reply: Result<Reply, PivotError>,
    asked: Vec<Exchange>,
    debug: Vec<PivotDebugKind>,
    hooks: Vec<String>,
}

type Canned = (u16, Vec<(&'static str, String)>, Vec<u8>);

fn answer(status: u16, content_type: &str, body: &str) -> Canned {
    (
        status,
        vec![("content-type", content_type.to_owned())],
        body.as_bytes().to_vec(),
    )
}

/// Accepts nodes whose module is known, and asks the guard about their `voice_url`.
fn check(
    node: &Value,
    guard: &dyn Fn(&str) -> Result<(), String>,
) -> Result<(Value, Vec<Finding>), Vec<Finding>> {
    if let Some(url) = node["data"]["voice_url"].as_str() {
        guard(url).map_err(|refused| vec![Finding::new("data.voice_url", "error", refused)])?;
    }
    match node["module"].as_str() {
        Some("tts") => Ok((node.clone(), Vec::new())),
        Some("odd") => Ok((
            node.clone(),
            vec![Finding::new("module", "odd", "is not built yet")],
        )),
        Some(_) => Err(vec![
            Finding::new("module", "enum", "no such module"),
            Finding::new("data", "type", "no"),
        ]),
        None => Err(vec![Finding::new(
            "module",
            "required",
            "Field is required but missing",
        )]),
    }
}

fn run(settings: Value, answers: Vec<Canned>) -> Outcome {
    run_behind(Guard::open(), settings, answers)
}

fn run_behind(guard: Guard, settings: Value, answers: Vec<Canned>) -> Outcome {
    let server = Arc::new(Server {
        answers: Mutex::new(answers),
        asked: Mutex::default(),
    });
    let http = HttpClient::stub_guarded(server.clone(), Arc::new(guard));
    let settings: Settings = serde_json::from_value(settings).unwrap();
    let subject = Subject {
        account_id: "acc",
        call_id: "c@1",
        from: "1001",
        ..Subject::default()
    };
    let params = params(&subject, settings.req_format, settings.profile());
    let (debug, hooks) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
    let logs = Logs {
        debug: &|kind| debug.borrow_mut().push(kind),
        hook: &|hook| {
            hooks
                .borrow_mut()
                .push(format!("{} {:?} {}", hook.step, hook.status, hook.note))
        },
        watcher: None,
        trouble: &|_, _| {},
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let reply = runtime.block_on(async {
        let asked = conduct(&http, &settings, params, Own::default(), &check, &logs).await;
        logged(&logs, asked)
    });
    let asked = server.asked.lock().unwrap().clone();
    Outcome {
        reply,
        asked,
        debug: debug.take(),
        hooks: hooks.take(),
    }
}

const TTS: &str = r#"{"module":"tts","data":{"text":"hi"}}"#;

fn tts() -> Reply {
    Reply::Flow(serde_json::from_str(TTS).unwrap())
}

#[test]
fn a_get_carries_the_parameters_in_its_query() {
    let out = run(
        json!({"voice_url": "http://h/x.php?k=v"}),
        vec![answer(200, "application/json", TTS)],
    );
    assert_eq!(out.reply, Ok(tts()));
    let asked = &out.asked[0];
    assert_eq!((asked.method, asked.body.len()), (Method::Get, 0));
    assert!(
        asked
            .url
            .as_str()
            .starts_with("http://h/x.php?k=v&Account-ID=acc&Api-Version=4.x&Call-ID=c%401&")
    );
    assert_eq!(
        asked.headers,
        [("User-Agent".to_owned(), USER_AGENT.to_owned())]
    );
    assert_eq!(
        out.hooks,
        ["request None 0 bytes", "response Some(200) 37 bytes"]
    );
}

#[test]
fn a_post_carries_them_in_its_body() {
    let form = run(
        json!({"voice_url": "http://h/", "method": "POST", "req_format": "twiml"}),
        vec![answer(200, "application/json", TTS)],
    );
    assert_eq!(form.asked[0].url.as_str(), "http://h/");
    let body = String::from_utf8(form.asked[0].body.to_vec()).unwrap();
    assert!(
        body.starts_with("AccountSid=acc&ApiVersion=2010-04-01&CallSid=c%401&"),
        "{body}"
    );
    assert!(form.asked[0].headers.contains(&(
        "Content-Type".to_owned(),
        "application/x-www-form-urlencoded".to_owned()
    )));

    let posted = run(
        json!({"voice_url": "http://h/", "method": "post", "req_body_format": "json"}),
        vec![answer(200, "application/json", TTS)],
    );
    let body: Value = serde_json::from_slice(&posted.asked[0].body).unwrap();
    assert_eq!(
        (&body["Call-ID"], &body["Custom-Application-Vars"]),
        (&json!("c@1"), &json!({}))
    );
    assert!(
        posted.asked[0]
            .headers
            .contains(&("Content-Type".to_owned(), "application/json".to_owned()))
    );
}

#[test]
fn custom_headers_and_credentials_are_sent() {
    let out = run(
        json!({"voice_url": "http://us%20er:p%40ss@h/", "custom_request_headers":
               {"X-Key": "k", "x-n": 5, "Host": "evil", "Content-Length": "0", "X-Bool": true}}),
        vec![answer(200, "application/json", TTS)],
    );
    let headers = &out.asked[0].headers;
    let get = |name: &str| {
        headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    };
    assert_eq!(get("Authorization"), Some("Basic dXMgZXI6cEBzcw=="));
    assert_eq!((get("X-Key"), get("x-n")), (Some("k"), Some("5")));
    assert_eq!(
        (get("Host"), get("Content-Length"), get("X-Bool")),
        (None, None, None)
    );
    assert_eq!(out.asked[0].url.username(), "");
    let PivotDebugKind::Request { uri, .. } = &out.debug[0] else {
        panic!()
    };
    assert!(uri.starts_with("http://h/?"), "{uri}");
}

#[test]
fn the_debug_log_has_request_and_response() {
    let out = run(
        json!({"voice_url": "http://h/a", "method": "post", "debug": true, "custom_request_headers": {"X-Key": "K"}}),
        vec![answer(206, "application/json", TTS)],
    );
    assert_eq!(out.debug.len(), 2);
    let PivotDebugKind::Request {
        uri,
        method,
        headers,
        body,
    } = &out.debug[0]
    else {
        panic!()
    };
    assert_eq!((uri.as_str(), method.as_str()), ("http://h/a", "post"));
    assert!(headers.contains(&("X-Key".to_owned(), "K".to_owned())));
    assert!(body.contains("Call-ID=c%401"));
    let PivotDebugKind::Response {
        status,
        headers,
        body,
    } = &out.debug[1]
    else {
        panic!()
    };
    assert_eq!((*status, body.as_str()), (200, TTS));
    assert_eq!(headers[0].1, "application/json");
}

#[test]
fn only_200_and_206_are_answers() {
    for status in [201, 202, 204, 304, 400, 401, 404, 500, 502] {
        let out = run(
            json!({"voice_url": "http://h/p?secret=1"}),
            vec![answer(status, "application/json", TTS)],
        );
        assert_eq!(
            out.reply,
            Err(PivotError::Status {
                url: "http://h/p".to_owned(),
                status,
                took: Duration::ZERO,
                body: TTS.chars().take(120).collect(),
            })
        );
        assert!(
            matches!(&out.debug[1], PivotDebugKind::Response { status: s, .. } if *s == status)
        );
    }
}

#[test]
fn a_flow_may_be_wrapped_as_stored_callflows_are() {
    let wrapped = format!("{{\"numbers\":[],\"flow\":{TTS}}}");
    assert_eq!(
        run(
            json!({"voice_url": "http://h/"}),
            vec![answer(200, "text/json", &wrapped)]
        )
        .reply,
        Ok(tts())
    );
    let bad = run(
        json!({"voice_url": "http://h/"}),
        vec![answer(200, "text/json", "{\"flow\":{\"module\":\"x\"}}")],
    );
    let PivotDebugKind::SchemaErrors { errors, .. } = &bad.debug[2] else {
        panic!()
    };
    assert!(errors[0].get("flow.module").is_some(), "{errors}");
}

#[test]
fn other_content_types_are_sniffed() {
    for content_type in [
        "text/html",
        "text/plain; charset=utf-8",
        "application/octet-stream",
        "application/x+json",
    ] {
        let out = run(
            json!({"voice_url": "http://h/"}),
            vec![answer(200, content_type, &format!("\u{feff} {TTS}"))],
        );
        assert_eq!(out.reply, Ok(tts()), "{content_type}");
    }
    let out = run(
        json!({"voice_url": "http://h/"}),
        vec![answer(200, "text/plain", "hello")],
    );
    assert_eq!(
        out.reply,
        Err(PivotError::Unknown {
            content_type: "text/plain".to_owned()
        })
    );
}

#[test]
fn schema_errors_name_field_and_rule_in_the_debug_log() {
    let out = run(
        json!({"voice_url": "http://h/"}),
        vec![answer(
            200,
            "application/json",
            "{\"module\":\"x\",\"data\":{}}",
        )],
    );
    assert_eq!(
        out.reply,
        Err(PivotError::Schema {
            count: 2,
            path: "module".to_owned(),
            message: "no such module".to_owned()
        })
    );
    let PivotDebugKind::SchemaErrors { errors, body } = &out.debug[2] else {
        panic!("{:?}", out.debug)
    };
    assert_eq!(
        *errors,
        json!([{"module": {"enum": {"message": "no such module"}}}, {"data": {"type": {"message": "no"}}}])
    );
    assert!(body.contains("module"));
    for body in ["[]", "3", "\"x\"", "null"] {
        let out = run(
            json!({"voice_url": "http://h/"}),
            vec![answer(200, "application/json", body)],
        );
        assert!(
            matches!(out.reply, Err(PivotError::Schema { count: 1, .. })),
            "{body}"
        );
    }
}

#[test]
fn json_errors_show_the_text_on_both_sides() {
    let out = run(
        json!({"voice_url": "http://h/"}),
        vec![answer(200, "application/json", "{\"module\": tts}")],
    );
    assert!(
        matches!(out.reply, Err(PivotError::Json { at: 12, .. })),
        "{:?}",
        out.reply
    );
    let PivotDebugKind::JsonErrors {
        before,
        after,
        message,
        ..
    } = &out.debug[2]
    else {
        panic!()
    };
    assert!(message.starts_with("invalid JSON"));
    assert_eq!(format!("{before}{after}"), "{\"module\": tts}");
    assert_eq!(out.debug.len(), 3);
}

#[test]
fn a_returned_pivot_is_checked_by_the_guard() {
    let body = r#"{"module":"tts","data":{"voice_url":"http://169.254.169.254/"}}"#;
    let out = run_behind(
        Guard::default(),
        json!({"voice_url": "http://h.example/"}),
        vec![answer(200, "application/json", body)],
    );
    let Err(PivotError::Schema { path, message, .. }) = out.reply else {
        panic!()
    };
    assert_eq!(path, "data.voice_url");
    assert!(
        message.contains("169.254.0.0/16") && message.contains("[pivot] allow"),
        "{message}"
    );
}

#[test]
fn the_guard_is_asked_before_anything_is_sent() {
    let out = run_behind(
        Guard::default(),
        json!({"voice_url": "http://127.1:8080/"}),
        vec![answer(200, "application/json", TTS)],
    );
    assert!(matches!(
        &out.reply,
        Err(PivotError::Http {
            error: HttpError::Refused(_),
            ..
        })
    ));
    assert!(out.asked.is_empty());
    assert!(matches!(&out.debug[1], PivotDebugKind::Note { text } if text.contains("127.0.0.0/8")));
    assert!(
        out.hooks[1].starts_with("failure None 127.0.0.1 may not be fetched from"),
        "{:?}",
        out.hooks
    );
}

#[test]
fn empty_and_blank_bodies_are_failures() {
    for body in ["", " \n\t", "\u{feff}"] {
        let out = run(
            json!({"voice_url": "http://h/"}),
            vec![answer(200, "application/json", body)],
        );
        assert_eq!(out.reply, Err(PivotError::Empty));
    }
}

#[test]
fn twiml_is_a_document_with_the_url_it_came_from() {
    let body = "<?xml version=\"1.0\"?><Response><Say>hi</Say></Response>";
    for content_type in ["text/xml", "application/xml", "text/html"] {
        let out = run(
            json!({"voice_url": "http://h/a?b=c"}),
            vec![answer(200, content_type, body)],
        );
        let Ok(Reply::Twiml { document, url }) = out.reply else {
            panic!("{:?}", out.reply);
        };
        assert!(document.report.findings.is_empty());
        assert!(url.unwrap().as_str().starts_with("http://h/a?b=c&"));
    }
}

#[test]
fn xml_that_is_no_twiml_fails_and_the_log_says_where() {
    for (body, said) in [
        ("<html/>", "html"),
        ("<Response>\n<Say></Response>", "line 2"),
        ("<!DOCTYPE x><Response/>", "document type"),
    ] {
        let out = run(
            json!({"voice_url": "http://h/"}),
            vec![answer(200, "text/xml", body)],
        );
        assert!(matches!(out.reply, Err(PivotError::NotTwiml(_))), "{body}");
        assert!(
            matches!(&out.debug[2], PivotDebugKind::Note { text } if text.contains(said)),
            "{:?}",
            out.debug
        );
    }
}

#[test]
fn a_serverless_document_is_read_without_a_request() {
    let out = run(
        json!({"serverless": {"flow_doc": {"module": "tts", "data": {"text": "hi"}}, "flow_type": "application/json"}}),
        vec![],
    );
    assert_eq!(out.reply, Ok(tts()));
    assert!(out.asked.is_empty());
    assert!(matches!(
        &out.debug[0],
        PivotDebugKind::Response { status: 0, .. }
    ));
    let out = run(json!({"serverless": {"flow_doc": TTS}}), vec![]);
    assert!(matches!(out.reply, Err(PivotError::NotTwiml(_))));
    assert_eq!(run(json!({}), vec![]).reply, Err(PivotError::NoUrl));
    assert!(matches!(
        run(json!({"voice_url": "http://"}), vec![]).reply,
        Err(PivotError::Url { .. })
    ));
}

#[test]
fn a_post_that_is_redirected_becomes_a_get_or_is_posted_again() {
    let to = |status: u16| (status, vec![("location", "/new".to_owned())], Vec::new());
    for (status, method) in [
        (301, Method::Get),
        (302, Method::Get),
        (303, Method::Get),
        (307, Method::Post),
        (308, Method::Post),
    ] {
        let out = run(
            json!({"voice_url": "http://h/old", "method": "post"}),
            vec![to(status), answer(200, "application/json", TTS)],
        );
        assert_eq!(out.reply, Ok(tts()), "{status}");
        let second = &out.asked[1];
        assert_eq!(
            (second.method, second.url.as_str()),
            (method, "http://h/new")
        );
        assert_eq!(second.body.is_empty(), method == Method::Get);
    }
    let out = run(json!({"voice_url": "http://h/old"}), vec![to(302)]);
    assert_eq!(
        out.reply,
        Err(PivotError::Status {
            url: "http://h/new".to_owned(),
            status: 302,
            took: Duration::ZERO,
            body: String::new(),
        })
    );
    assert_eq!(out.asked.len(), 5, "the first and four redirects");
}

#[test]
fn warnings_of_the_check_are_noted() {
    let out = run(
        json!({"voice_url": "http://h/"}),
        vec![answer(200, "application/json", "{\"module\":\"odd\"}")],
    );
    assert!(out.reply.is_ok());
    assert_eq!(
        out.debug[2],
        PivotDebugKind::Note {
            text: "module: is not built yet".to_owned()
        }
    );
}

#[test]
fn ten_in_a_second_and_fifty_in_a_call_are_the_limits() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut vars = CallVars::default();
        for _ in 0..10 {
            assert_eq!(count(&mut vars), Ok(()));
        }
        assert!(matches!(
            count(&mut vars),
            Err(PivotError::Loop { limit: 10, .. })
        ));
        tokio::time::advance(Duration::from_millis(1001)).await;
        for _ in 10..50 {
            assert_eq!(count(&mut vars), Ok(()));
            tokio::time::advance(Duration::from_millis(101)).await;
        }
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(count(&mut vars), Err(PivotError::TooMany { limit: 50 }));
        assert_eq!(vars.pivots, 50);
    });
}
