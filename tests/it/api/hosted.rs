//! Hosted documents: what a call could not get past is refused when it is saved.

use serde_json::json;

use super::Office;

#[tokio::test]
async fn hosted_documents_are_kept_as_they_came_and_known_by_name() {
    let office = Office::new().await;
    let twiml = "<Response><Say>Hello</Say><Hangup/></Response>";
    let greeting = json!({"name": "greeting", "flow_doc": twiml, "twiml_profile": "twilio"});
    let reply = office.ask("PUT", "~/documents").data(greeting).send().await;
    let doc = reply.data(201);
    assert_eq!(doc["flow_type"], json!("application/xml"));
    assert_eq!(doc["flow_doc"], json!(twiml));
    let flow = json!({"name": "menu", "flow_doc": {"module": "tts", "data": {"text": "hi"}, "children": {}}});
    let flow = office.ask("PUT", "~/documents").data(flow).send().await;
    assert_eq!(flow.data(201)["flow_type"], json!("application/json"));
    let account = office.directory.account(&office.account).unwrap();
    for name in ["greeting", doc["id"].as_str().unwrap()] {
        assert_eq!(account.hosted(name).unwrap()["flow_doc"], json!(twiml));
    }
    assert!(account.hosted("nothing").is_none());
    let again = json!({"name": "greeting", "flow_doc": twiml});
    let rules = office.ask("PUT", "~/documents").data(again).send().await;
    assert_eq!(rules.rules(), [("name".to_owned(), "unique".to_owned())]);
}

#[tokio::test]
async fn a_hosted_document_that_would_end_its_call_is_refused_with_its_place() {
    let office = Office::new().await;
    let put = async |doc: serde_json::Value| {
        let data = json!({"name": "d", "flow_doc": doc});
        office.ask("PUT", "~/documents").data(data).send().await
    };
    let kazoo = put(json!("<Response>\n  <Speak>Hello</Speak>\n</Response>")).await;
    assert_eq!(
        kazoo.rules(),
        [("flow_doc.2:3".to_owned(), "twiml".to_owned())]
    );
    assert!(
        kazoo.text().contains("Speak is not known here"),
        "{}",
        kazoo.text()
    );
    for (doc, path, rule) in [
        (json!("<Response><Say>"), "flow_doc", "invalid"),
        (json!("<Answer/>"), "flow_doc", "invalid"),
        (json!("{\"module\":"), "flow_doc", "invalid"),
        (json!(""), "flow_doc", "minLength"),
        (json!("hello"), "flow_type", "required"),
        (json!(5), "flow_doc", "type"),
        (json!({"data": {}}), "flow_doc.module", "required"),
        (
            json!({"module": "pivot", "data": {"voice_url": "http://127.0.0.1/"}}),
            "flow_doc.data.voice_url",
            "error",
        ),
    ] {
        let said = put(doc.clone()).await;
        let rules = said.rules();
        assert!(
            rules.contains(&(path.to_owned(), rule.to_owned())),
            "{doc}: {rules:?}"
        );
    }
    let wrong = json!({"name": "d", "flow_doc": {"module": "noop"}, "flow_type": "text/xml"});
    let wrong = office.ask("PUT", "~/documents").data(wrong).send().await;
    assert_eq!(
        wrong.rules(),
        [("flow_type".to_owned(), "invalid".to_owned())]
    );
}
