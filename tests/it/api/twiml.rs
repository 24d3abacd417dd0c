//! TwiML looked at and rehearsed by the API.

use serde_json::{Value, json};

use super::{Office, Reply};

const MENU: &str =
    "<Response><Gather numDigits='1' action='next'><Say>Press one.</Say></Gather></Response>";

async fn post(office: &Office, path: &str, data: Value) -> Reply {
    office.ask("POST", path).data(data).send().await
}

async fn post_xml(office: &Office, path: &str, content_type: &str, body: &str) -> Reply {
    let ask = office
        .ask("POST", path)
        .header("content-type", content_type);
    ask.body(content_type, body.as_bytes()).send().await
}

#[tokio::test]
async fn lint_says_what_the_command_says() {
    let office = Office::new().await;
    let wrong = "<Response>\n  <Gahter/>\n  <Say langauge=\"de\">x</Say>\n</Response>";
    let kazoo = post(&office, "~/twiml/lint", json!({"flow_doc": wrong}))
        .await
        .data(200);
    assert_eq!(
        (&kazoo["document"], &kazoo["refused"]),
        (&json!(true), &json!(1))
    );
    let first = &kazoo["findings"][0];
    assert_eq!(
        (&first["line"], &first["column"]),
        (&json!(2), &json!(3)),
        "{kazoo:#}"
    );
    assert!(
        first["message"]
            .as_str()
            .unwrap()
            .contains("did you mean Gather?")
    );
    assert_eq!(
        kazoo,
        swivel::twiml::judged(wrong, swivel::twiml::Profile::Kazoo)
    );
    let twilio = json!({"flow_doc": wrong, "profile": "twilio"});
    let twilio = post(&office, "~/twiml/lint", twilio).await.data(200);
    assert_eq!(twilio["refused"], 0, "{twilio:#}");
    let none = post(&office, "~/twiml/lint", json!({"flow_doc": "<Answer/>"}))
        .await
        .data(200);
    assert_eq!(none["document"], false);
    assert!(none["error"].as_str().unwrap().contains("Answer"), "{none}");
}

#[tokio::test]
async fn a_rehearsal_tells_what_would_happen() {
    let office = Office::new().await;
    let asked = json!({"flow_doc": MENU, "digits": "1", "url": "http://h.example/a/b"});
    let told = post(&office, "~/twiml/run", asked).await.data(200);
    assert_eq!(
        told["operations"],
        json!([
            "answer",
            "  meanwhile say \"Press one.\"",
            "collect up to 1 digits for 5 s: \"1\"",
            "GET http://h.example/a/next with Digits=1",
        ])
    );
    let wrong = post(&office, "~/twiml/run", json!({"flow_doc": "<Response>"})).await;
    assert_eq!(
        wrong.rules(),
        [("flow_doc".to_owned(), "invalid".to_owned())]
    );
    let url = post(
        &office,
        "~/twiml/run",
        json!({"flow_doc": MENU, "url": "ftp://h/"}),
    )
    .await;
    assert_eq!(url.rules(), [("url".to_owned(), "format".to_owned())]);
}

#[tokio::test]
async fn the_body_may_be_the_document_itself() {
    let office = Office::new().await;
    for content_type in ["application/xml", "text/xml; charset=utf-8"] {
        let path = "~/twiml/run?digits=1&profile=twilio&url=http://h.example/";
        let told = post_xml(&office, path, content_type, MENU).await.data(200);
        // Twilio asks again with a POST.
        let last = told["operations"]
            .as_array()
            .unwrap()
            .last()
            .unwrap()
            .clone();
        assert_eq!(last, "POST http://h.example/next with Digits=1");
        let said = post_xml(&office, "~/twiml/lint", content_type, MENU)
            .await
            .data(200);
        assert_eq!(said["refused"], 0);
    }
    let other = post_xml(&office, "~/twiml/lint", "text/html", MENU).await;
    assert_eq!(other.status, 415, "{}", other.text());
    let both = json!({"flow_doc": MENU, "document": "greeting"});
    for unclear in [both, json!({}), json!({"profile": "twilio"})] {
        let reply = post(&office, "~/twiml/lint", unclear).await;
        assert_eq!(
            reply.rules(),
            [("flow_doc".to_owned(), "required".to_owned())]
        );
    }
    let profile = json!({"flow_doc": MENU, "profile": "plivo"});
    let profile = post(&office, "~/twiml/lint", profile).await;
    assert_eq!(profile.rules(), [("profile".to_owned(), "enum".to_owned())]);
}

#[tokio::test]
async fn a_document_that_is_kept_is_judged_by_its_name() {
    let office = Office::new().await;
    let odd = "<Response><Nonsense/><Hangup/></Response>";
    for kept in [
        json!({"name": "odd", "flow_doc": odd, "twiml_profile": "twilio"}),
        json!({"name": "flow", "flow_doc": {"module": "tts", "data": {"text": "hi"}, "children": {}}}),
    ] {
        let reply = office.ask("PUT", "~/documents").data(kept).send().await;
        reply.data(201);
    }
    let lint = |more: Value| {
        let mut data = json!({"document": "odd"});
        data.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        post(&office, "~/twiml/lint", data)
    };
    assert_eq!(
        lint(json!({})).await.data(200)["refused"],
        0,
        "by the rules it is kept with"
    );
    assert_eq!(
        lint(json!({"profile": "kazoo"})).await.data(200)["refused"],
        1
    );
    for (name, rule) in [("nothing", "not_found"), ("flow", "invalid")] {
        let reply = lint(json!({"document": name})).await;
        assert_eq!(reply.rules(), [("document".to_owned(), rule.to_owned())]);
    }
}
