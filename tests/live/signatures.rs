//! `X-Twilio-Signature` as Twilio's own library judges it (`pivot.md` §8.7).

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use swivel::base::secret::Secret;
use swivel::host::http::{Answer, Exchange, HttpClient, HttpError, HttpRequest, Transport};

use super::phone::{Over, call};
use super::server::Server;
use super::tools::{printed, python, root};
use super::web::Web;

const TOKEN: &str = "12345-a-token-of-this-test";
const FORM: &str = "application/x-www-form-urlencoded";

/// Fails unless Twilio's library accepts them all.
fn assert_accepted(requests: &[Value]) {
    let python = python("test").expect("`make test` builds .venv/test");
    let mut child = Command::new(python)
        .arg(root().join("tests/live/signatures.py"))
        .arg(TOKEN)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: String = requests.iter().map(|r| format!("{r}\n")).collect();
    let mut input = child.stdin.take().unwrap();
    input.write_all(lines.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", printed(&output));
    let count = format!("{} judged", requests.len());
    assert!(printed(&output).contains(&count), "{}", printed(&output));
}

/// Redirects `/from` to `/to`, and keeps what it was asked.
#[derive(Default)]
struct Seen(Mutex<Vec<Exchange>>);

impl Transport for Seen {
    fn exchange(&self, exchange: Exchange) -> BoxFuture<'_, Result<Answer, HttpError>> {
        let redirect = exchange.url.path() == "/from";
        self.0.lock().unwrap().push(exchange);
        let location = redirect.then(|| ("location".to_owned(), "/to?x=1".to_owned()));
        Box::pin(async move {
            Ok(Answer {
                status: if redirect { 307 } else { 200 },
                headers: location.into_iter().collect(),
                body: stream::iter([Ok(Bytes::new())]).boxed(),
            })
        })
    }
}

fn header(exchange: &Exchange, name: &str) -> String {
    let found = exchange
        .headers
        .iter()
        .find(|(n, _)| n.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.clone()).unwrap_or_default()
}

#[test]
fn twilios_library_accepts_every_kind_of_request() {
    let get = |url: &str| HttpRequest::get(url.parse().unwrap());
    let post = |url: &str, kind: &str, body: &str| {
        HttpRequest::post(url.parse().unwrap(), kind, body.to_owned())
    };
    let requests = [
        get("http://app.test/voice"),
        get("https://app.test:443/voice?a=1&b=x%20y&c=%C3%A9"),
        get("http://app.test:80/voice"),
        get("https://app.test:8443/voice"),
        get("https://user:word@app.test/voice?x=1#part"),
        get("http://app.test"),
        post(
            "https://app.test/voice?foo=1",
            FORM,
            "To=%2B1800&From=%2B1415&Digits=",
        ),
        post(
            "https://app.test/voice",
            FORM,
            "b=2&a=2&a=1&a=2&Name=J%C3%BCrgen+M&%5Bx%5D=1",
        ),
        post("http://app.test:8080/from", FORM, "CallSid=CA1"),
        post(
            "https://app.test/voice",
            "application/json",
            r#"{"CallSid":"CA1","n":"é"}"#,
        ),
        post(
            "https://app.test/voice?k=v",
            "application/json; charset=utf-8",
            "[]",
        ),
        post("https://app.test/voice", FORM, ""),
    ];
    let seen = Arc::new(Seen::default());
    let client = HttpClient::stub(seen.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for mut request in requests {
        request.auth_token = Some(Secret::new(TOKEN));
        runtime.block_on(client.send(request)).unwrap();
    }
    let judged: Vec<Value> = seen
        .0
        .lock()
        .unwrap()
        .iter()
        .map(|exchange| {
            // What stands after a `#` is not sent.
            let url = exchange.url.as_str().split('#').next();
            json!({
                "url": url,
                "content_type": header(exchange, "content-type"),
                "body": String::from_utf8_lossy(&exchange.body),
                "signature": header(exchange, "x-twilio-signature"),
            })
        })
        .collect();
    assert_eq!(judged.len(), 13, "one of them was redirected");
    assert_accepted(&judged);
}

#[test]
fn requests_of_an_account_with_a_token_are_signed_and_nobody_is_shown_the_token() {
    let web = Web::start(None);
    let pivot = |more: Value| {
        let mut data = json!({"voice_url": web.url("/ok?own=1"), "debug": true});
        for (key, value) in more.as_object().unwrap() {
            data[key] = value.clone();
        }
        json!({"module": "pivot", "data": data, "children": {}})
    };
    let flows = [
        ("2030", pivot(json!({}))),
        (
            "2031",
            pivot(json!({"method": "post", "req_format": "twiml"})),
        ),
        (
            "2032",
            pivot(json!({"method": "post", "req_body_format": "json"})),
        ),
    ];
    let callflows: Vec<Value> = flows
        .iter()
        .map(|(number, flow)| json!({"name": number, "numbers": [number], "flow": flow}))
        .collect();
    let documents = json!({"auth_token": TOKEN, "callflows": callflows});
    let server = Server::start(&[], documents);
    for (number, _) in flows {
        assert!(call(&server, number, Over::Udp).answered());
    }
    let requests = web.requests();
    assert_eq!(requests.len(), 3, "{requests:#?}");
    let judged: Vec<Value> = requests
        .iter()
        .map(|request| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            json!({
                "url": web.url(&text(&request["path"])),
                "content_type": text(&request["headers"]["content-type"]),
                "body": text(&request["body"]),
                "signature": text(&request["headers"]["x-twilio-signature"]),
            })
        })
        .collect();
    assert_accepted(&judged);
    assert!(!server.data("").to_string().contains(TOKEN));
    assert!(!server.log().contains(TOKEN));
}
