//! The main job: a phone dials, a web server decides, the caller hears it; and everything that can go wrong with the web
//! server. The caller is baresip, the web server Python's http.server.

use serde_json::{Value, json};

use super::audio::Sound;
use super::phone::{Over, call, recording};
use super::server::Server;
use super::voice::Piper;
use super::web::Web;

fn pivot(url: String, more: Value) -> Value {
    let mut data = json!({"voice_url": url, "debug": true});
    for (key, value) in more.as_object().unwrap() {
        data[key] = value.clone();
    }
    json!({"module": "pivot", "data": data, "children": {}})
}

/// The same node with a `_` child that answers and hangs up.
fn with_fallback(mut node: Value) -> Value {
    node["children"]["_"] =
        json!({"module": "tts", "data": {"text": "Something else."}, "children": {}});
    node
}

/// The call was answered, spoken to for about the length of the sentence, and ended by us with cause 16.
fn assert_spoken_to(server: &Server, call: &super::phone::Call) -> Value {
    assert!(call.answered(), "{}", call.log);
    let spoken = call.heard().audible_seconds();
    assert!(
        (1.5..8.0).contains(&spoken),
        "{spoken} s of speech were heard"
    );
    let cdr = server.cdr();
    assert_eq!(cdr["hangup_cause"], "NORMAL_CLEARING", "{cdr:#}");
    assert_eq!(cdr["call_direction"], "inbound");
    let billed = cdr["billing_seconds"].as_u64().unwrap();
    assert!((1..12).contains(&billed), "{billed} s billed");
    assert!(cdr["duration_seconds"].as_u64().unwrap() >= billed);
    cdr
}

fn call_id(cdr: &Value) -> String {
    cdr["call_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_phone_hears_what_the_web_server_says() {
    let web = Web::start(None);
    let server = Server::with_flows(&[("2030", pivot(web.url("/ok"), json!({})))]);
    let call = call(&server, "2030", Over::Udp);
    let cdr = assert_spoken_to(&server, &call);

    let request = web.request();
    assert_eq!(request["method"], "GET");
    let path = request["path"].as_str().unwrap();
    for parameter in [
        "Call-ID=",
        "Account-ID=",
        "Caller-ID-Number=1001",
        "Direction=inbound",
        "Request=2030",
        "To=2030",
        "Api-Version=4.x",
    ] {
        assert!(
            path.contains(parameter),
            "{parameter} is missing from {path}"
        );
    }
    assert!(
        request["headers"]["user-agent"]
            .as_str()
            .unwrap()
            .starts_with("swivel/")
    );

    let debug = server.debug(&call_id(&cdr));
    assert_eq!(debug.len(), 2, "request and response: {debug:#?}");
    assert_eq!(debug[0]["method"], "get");
    assert!(debug[0]["uri"].as_str().unwrap().contains("/ok?"));
    assert_eq!(debug[1]["resp_status_code"], "200");
    assert_eq!(
        debug[1]["resp_headers"]["x-test"], "live",
        "names and values are in lower case"
    );
    assert!(
        debug[1]["resp_body"]
            .as_str()
            .unwrap()
            .contains("pretty awesome")
    );
    assert_eq!(debug[1]["call_id"], cdr["call_id"]);
    let list = server.data("pivot/debug");
    assert_eq!(list[0]["status_code"], "200", "{list:#}");
    assert_eq!(
        cdr["request"].as_str().unwrap().split('@').next(),
        Some("2030")
    );
}

#[test]
fn the_same_over_tcp() {
    let web = Web::start(None);
    let server = Server::with_flows(&[("2030", pivot(web.url("/ok"), json!({})))]);
    assert_spoken_to(&server, &call(&server, "2030", Over::Tcp));
    assert_eq!(web.request()["method"], "GET");
}

#[test]
fn post_sends_the_parameters_as_a_form() {
    let web = Web::start(None);
    let server = Server::with_flows(&[("2030", pivot(web.url("/ok"), json!({"method": "post"})))]);
    assert_spoken_to(&server, &call(&server, "2030", Over::Udp));
    let request = web.request();
    assert_eq!(request["method"], "POST");
    assert_eq!(request["path"], "/ok");
    assert_eq!(
        request["headers"]["content-type"],
        "application/x-www-form-urlencoded"
    );
    assert!(
        request["body"].as_str().unwrap().contains("Request=2030"),
        "{request:#}"
    );
}

#[test]
fn post_can_send_the_parameters_as_json() {
    let web = Web::start(None);
    let data = json!({"method": "post", "req_body_format": "json"});
    let server = Server::with_flows(&[("2030", pivot(web.url("/ok"), data))]);
    assert_spoken_to(&server, &call(&server, "2030", Over::Udp));
    let request = web.request();
    assert_eq!(request["headers"]["content-type"], "application/json");
    let body: Value = serde_json::from_str(request["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["Request"], "2030", "{body:#}");
    assert!(body["Custom-Application-Vars"].is_object(), "{body:#}");
}

#[test]
fn twiml_parameter_names_are_used_when_asked_for() {
    let web = Web::start(None);
    let server = Server::with_flows(&[(
        "2030",
        pivot(web.url("/ok"), json!({"req_format": "twiml"})),
    )]);
    assert_spoken_to(&server, &call(&server, "2030", Over::Udp));
    let request = web.request();
    let path = request["path"].as_str().unwrap();
    for parameter in [
        "CallSid=",
        "AccountSid=",
        "ApiVersion=2010-04-01",
        "CallerNumber=1001",
        "FromRealm=",
    ] {
        assert!(
            path.contains(parameter),
            "{parameter} is missing from {path}"
        );
    }
    assert!(!path.contains("Call-ID="), "{path}");
}

/// The first request fails, and the callflow goes on with `_`.
fn assert_falls_back(node: Value) -> (Server, Value) {
    let server = Server::with_flows(&[("2030", with_fallback(node))]);
    let call = call(&server, "2030", Over::Udp);
    assert!(call.answered(), "{}", call.log);
    assert!(
        call.heard().audible_seconds() > 0.4,
        "the fallback was not heard"
    );
    let cdr = server.cdr();
    assert_eq!(cdr["hangup_cause"], "NORMAL_CLEARING", "{cdr:#}");
    (server, cdr)
}

/// The request is kept, no response is, and what went wrong is said.
fn assert_unanswered(debug: &[Value]) {
    assert_eq!(debug[0]["method"], "get", "{debug:#?}");
    assert!(
        debug.iter().all(|d| d.get("resp_status_code").is_none()),
        "{debug:#?}"
    );
}

#[test]
fn a_404_takes_the_default_child() {
    let web = Web::start(None);
    let (server, cdr) = assert_falls_back(pivot(web.url("/missing"), json!({})));
    let debug = server.debug(&call_id(&cdr));
    assert_eq!(debug[1]["resp_status_code"], "404", "{debug:#?}");
    assert_eq!(debug[1]["resp_body"], "there is nothing here");
}

#[test]
fn an_unreachable_server_takes_the_default_child() {
    let nobody = super::server::free_port();
    let (server, cdr) = assert_falls_back(pivot(format!("http://127.0.0.1:{nobody}/"), json!({})));
    assert_unanswered(&server.debug(&call_id(&cdr)));
}

#[test]
fn a_slow_server_takes_the_default_child_after_the_timeout() {
    let web = Web::start(None);
    let (server, cdr) = assert_falls_back(pivot(web.url("/slow"), json!({"req_timeout_ms": 1000})));
    assert_unanswered(&server.debug(&call_id(&cdr)));
    assert!(cdr["duration_seconds"].as_u64().unwrap() < 6, "{cdr:#}");
}

#[test]
fn invalid_json_takes_the_default_child_and_says_where() {
    let web = Web::start(None);
    let (server, cdr) = assert_falls_back(pivot(web.url("/invalid"), json!({})));
    let debug = server.debug(&call_id(&cdr));
    let error = debug
        .iter()
        .find(|d| d.get("json_errors").is_some())
        .unwrap_or_else(|| panic!("{debug:#?}"));
    assert!(
        error["json_errors"]["before"]
            .as_str()
            .unwrap()
            .ends_with("\"data\": "),
        "{error:#}"
    );
    assert_eq!(server.data("pivot/debug")[0]["has_json_errors"], true);
}

#[test]
fn a_schema_error_takes_the_default_child_and_names_field_and_rule() {
    let web = Web::start(None);
    let (server, cdr) = assert_falls_back(pivot(web.url("/schema"), json!({})));
    let debug = server.debug(&call_id(&cdr));
    let error = debug
        .iter()
        .find(|d| d.get("schema_errors").is_some())
        .unwrap_or_else(|| panic!("{debug:#?}"));
    let errors = error["schema_errors"].to_string();
    assert!(
        errors.contains("data.text") && errors.contains("required"),
        "{errors}"
    );
    assert_eq!(server.data("pivot/debug")[0]["has_schema_errors"], true);
}

#[test]
fn without_a_default_child_an_unanswered_call_hears_why_and_is_refused() {
    let web = Web::start(None);
    let server = Server::with_flows(&[("2030", pivot(web.url("/missing"), json!({})))]);
    let call = call(&server, "2030", Over::Udp);
    assert!(!call.answered(), "{}", call.log);
    assert!(call.log.contains("480"), "{}", call.log);
    let cdr = server.cdr();
    assert_eq!(cdr["billing_seconds"], 0, "{cdr:#}");
}

#[test]
fn twiml_is_spoken_and_kept_in_the_debug_log() {
    let web = Web::start(None);
    let server = Server::with_flows(&[("2030", pivot(web.url("/twiml"), json!({})))]);
    let call = call(&server, "2030", Over::Udp);
    let cdr = assert_spoken_to(&server, &call);
    let debug = server.debug(&call_id(&cdr));
    assert!(
        debug.iter().any(|d| d["resp_body"]
            .as_str()
            .is_some_and(|b| b.contains("<Response>"))),
        "{debug:#?}"
    );
}

#[test]
fn xml_that_is_no_twiml_takes_the_default_child() {
    let web = Web::start(None);
    let (server, cdr) = assert_falls_back(pivot(web.url("/xml"), json!({})));
    let debug = server.debug(&call_id(&cdr));
    let told = debug.iter().any(|d| d.to_string().contains("Response"));
    assert!(told, "{debug:#?}");
}

#[test]
fn a_played_file_arrives_as_it_was() {
    let tune = Sound::tune(1);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tune.wav");
    tune.write(&file);
    let web = Web::start(Some(&file));
    let flow = json!({"module": "play", "data": {"id": web.url("/sound.wav")}, "children": {}});
    let server = Server::with_flows(&[("500", flow)]);
    let call = call(&server, "500", Over::Udp);
    // The first packets may come before the phone listens.
    let middle = Sound(tune.0[1600..7200].to_vec());
    let likeness = call.heard().likeness(&middle);
    assert!(likeness > 0.9, "correlation {likeness}");
}

#[test]
fn speech_is_intelligible_to_the_caller() {
    let Some(piper) = Piper::start() else {
        return;
    };
    let text = "Welcome to the telephone system. Please leave a message after the tone and we will call you back \
                as soon as possible.";
    let flow = json!({"module": "tts", "data": {"text": text}, "children": {}});
    let settings = piper.settings();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let flows = json!({"callflows": [{"name": "speech", "numbers": ["500"], "flow": flow}]});
    let server = Server::start(&settings, flows);
    let call = call(&server, "500", Over::Udp);
    let (first, second) = text.split_at(text.find("Please").unwrap());
    piper.assert_heard(
        &recording(call.dir.path()).unwrap(),
        &[first.trim(), second],
    );
}
