//! Documents of calls that are placed and of events that are told: click-to-call, quickcall, webhooks, blacklists.

use serde_json::json;

use super::Office;

#[tokio::test]
async fn a_click_to_call_is_a_document_with_kazoos_defaults() {
    let office = Office::new().await;
    let reply = office.ask("PUT", "~/clicktocall").data(json!({"name": "call_1", "auth_required": false, "extension": "1", "caller_id_number": "+14155550100"})).send().await;
    let doc = reply.data(201);
    assert_eq!(doc["custom_application_vars"], json!({}));
    let id = doc["id"].as_str().unwrap();
    let rows = office.ask("GET", "~/clicktocall").send().await.data(200);
    assert_eq!(
        rows,
        json!([{"id": id, "name": "call_1", "extension": "1"}])
    );
    let history = office
        .ask("GET", &format!("~/clicktocall/{id}/history"))
        .send()
        .await;
    assert_eq!(history.data(200), json!([]));
    // No signalling thread runs here.
    let path = format!(
        "/v2/accounts/{}/clicktocall/{id}/connect?contact=12223334444",
        office.account
    );
    assert_eq!(office.bare("GET", &path).send().await.status, 503);
    let broken = json!({"name": "", "whitelist": ["("], "dial_first": "nobody"});
    let rules = office
        .ask("PUT", "~/clicktocall")
        .data(broken)
        .send()
        .await
        .rules();
    let expected = [
        ("dial_first", "enum"),
        ("extension", "required"),
        ("name", "minLength"),
        ("whitelist.0", "pattern"),
    ];
    assert_eq!(
        rules,
        expected.map(|(path, rule)| (path.to_owned(), rule.to_owned()))
    );
}

#[tokio::test]
async fn a_call_by_url_needs_a_token_unless_its_document_says_otherwise() {
    let office = Office::new().await;
    let id = office
        .create("clicktocall", json!({"name": "c", "extension": "1"}))
        .await;
    let connect = format!(
        "/v2/accounts/{}/clicktocall/{id}/connect?contact=1",
        office.account
    );
    for verb in ["GET", "POST"] {
        assert_eq!(office.bare(verb, &connect).send().await.status, 401);
    }
    let user = json!({"first_name": "A", "last_name": "B"});
    let user = office.create("users", user).await;
    let quick = format!(
        "/v2/accounts/{}/users/{user}/quickcall/1001",
        office.account
    );
    assert_eq!(office.bare("GET", &quick).send().await.status, 401);
    assert_eq!(office.ask("GET", &quick).send().await.status, 503);
    assert_eq!(
        office
            .ask("GET", "~/users/nobody/quickcall/1")
            .send()
            .await
            .status,
        404
    );
    assert_eq!(office.ask("GET", "~/quickcall/1").send().await.status, 404);
}

#[tokio::test]
async fn a_webhook_must_name_an_event_and_an_address_that_may_be_asked() {
    let office = Office::new().await;
    let good = json!({"name": "h", "hook": "channel_destroy", "uri": "https://hooks.example/in"});
    let doc = office
        .ask("PUT", "~/webhooks")
        .data(good)
        .send()
        .await
        .data(201);
    assert_eq!(
        (&doc["format"], &doc["http_verb"], &doc["retries"]),
        (&json!("form-data"), &json!("post"), &json!(2))
    );
    assert!(
        doc["secret"].as_str().unwrap().len() >= 32,
        "a signature from the first event on"
    );
    let rules = |rules: Vec<(String, String)>| rules;
    let bad = json!({"name": "h", "hook": "rain", "uri": "ftp://hooks.example", "retries": 9});
    let found = rules(
        office
            .ask("PUT", "~/webhooks")
            .data(bad)
            .send()
            .await
            .rules(),
    );
    assert_eq!(
        found,
        [
            ("hook".to_owned(), "enum".to_owned()),
            ("retries".into(), "maximum".into()),
            ("uri".into(), "format".into())
        ]
    );
    let inside = json!({"name": "h", "hook": "all", "uri": "http://127.0.0.1/"});
    let found = office
        .ask("PUT", "~/webhooks")
        .data(inside)
        .send()
        .await
        .rules();
    assert_eq!(found, [("uri".to_owned(), "forbidden".to_owned())]);
    let object = json!({"name": "h", "hook": "object", "uri": "https://hooks.example/in"});
    let found = office
        .ask("PUT", "~/webhooks")
        .data(object)
        .send()
        .await
        .rules();
    assert_eq!(
        found,
        ["action", "type"].map(|key| (format!("custom_data.{key}"), "required".to_owned()))
    );
    let id = doc["id"].as_str().unwrap();
    assert_eq!(
        office
            .ask("GET", &format!("~/webhooks/{id}/attempts"))
            .send()
            .await
            .data(200),
        json!([])
    );
    assert_eq!(
        office
            .ask("GET", "~/webhooks/nobody/attempts")
            .send()
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn which_events_there_are_needs_no_token_and_everything_else_does() {
    let office = Office::new().await;
    let hooks = office.bare("GET", "/v2/webhooks").send().await.data(200);
    assert!(
        hooks
            .as_array()
            .unwrap()
            .iter()
            .any(|hook| hook["id"] == "channel_bridge"),
        "{hooks}"
    );
    assert_eq!(
        office
            .bare("GET", "/v2/webhooks/samples/webhooks_channel_destroy")
            .send()
            .await
            .status,
        200
    );
    for path in ["webhooks", "webhooks/attempts", "webhooks/x"] {
        let path = format!("/v2/accounts/{}/{path}", office.account);
        assert_eq!(office.bare("GET", &path).send().await.status, 401, "{path}");
    }
    assert_eq!(
        office
            .bare("PUT", "/v2/webhooks")
            .data(json!({}))
            .send()
            .await
            .status,
        401
    );
}

#[tokio::test]
async fn disabled_hooks_are_enabled_again_all_at_once() {
    let office = Office::new().await;
    let hook = json!({"name": "h", "hook": "all", "uri": "https://hooks.example/in", "enabled": false, "disable_reason": "too many failed attempts"});
    let id = office.create("webhooks", hook).await;
    let own =
        json!({"name": "off", "hook": "all", "uri": "https://hooks.example/in", "enabled": false});
    let off = office.create("webhooks", own).await;
    assert_eq!(
        office
            .ask("PATCH", "~/webhooks")
            .data(json!({}))
            .send()
            .await
            .status,
        400
    );
    let told = office
        .ask("PATCH", "~/webhooks")
        .data(json!({"re-enable": true}))
        .send()
        .await
        .data(200);
    assert_eq!(told, json!({id.clone(): "success"}));
    let doc = office
        .ask("GET", &format!("~/webhooks/{id}"))
        .send()
        .await
        .data(200);
    assert_eq!(
        (&doc["enabled"], doc.get("disable_reason")),
        (&json!(true), None)
    );
    let doc = office
        .ask("GET", &format!("~/webhooks/{off}"))
        .send()
        .await
        .data(200);
    assert_eq!(
        doc["enabled"], false,
        "what an operator turned off stays off"
    );
}

#[tokio::test]
async fn a_program_signs_in_by_the_key_of_its_account() {
    let office = Office::new().await;
    let key = office.ask("GET", "~/api_key").send().await.data(200);
    let key = key["api_key"].as_str().unwrap().to_owned();
    assert_eq!(key.len(), 64);
    let again = office.ask("GET", "~/api_key").send().await.data(200);
    assert_eq!(again["api_key"], json!(key), "it stays as it is");
    let login = async |key: &str| {
        let data = json!({ "api_key": key });
        office.bare("PUT", "/v2/api_auth").data(data).send().await
    };
    let reply = login(&key).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let token = reply.json()["auth_token"].as_str().unwrap().to_owned();
    assert_eq!(reply.json()["data"]["account_id"], json!(office.account));
    assert!(reply.json()["data"].get("owner_id").is_none());
    let path = format!("/v2/accounts/{}/users", office.account);
    assert_eq!(
        office
            .bare("GET", &path)
            .header("x-auth-token", &token)
            .send()
            .await
            .status,
        200
    );
    let new = office.ask("PUT", "~/api_key").send().await.data(201);
    assert_ne!(new["api_key"], json!(key));
    for bad in [key.as_str(), "", &"0".repeat(64)] {
        assert_eq!(login(bad).await.status, 401);
    }
    // The key is nobody's business.
    let shown = office.ask("GET", "~").send().await;
    assert!(!shown.text().contains(new["api_key"].as_str().unwrap()));
    let asked = office
        .ask("GET", "~?include_api_key=true")
        .send()
        .await
        .data(200);
    assert_eq!(asked["api_key"], new["api_key"]);
    let plain = json!({"first_name": "A", "last_name": "B", "username": "ann", "password": "a good password"});
    office.create("users", plain).await;
    let ann = office.login("default", "ann", "a good password").await;
    let path = format!("/v2/accounts/{}/api_key", office.account);
    assert_eq!(
        office
            .bare("GET", &path)
            .header("x-auth-token", &ann)
            .send()
            .await
            .status,
        403
    );
}

#[tokio::test]
async fn what_an_interface_asks_for_when_it_starts_is_there() {
    let office = Office::new().await;
    for path in [
        "~/apps_store",
        "~/alerts",
        "~/services",
        "~/directories",
        "~/blacklists",
    ] {
        assert_eq!(office.ask("GET", path).send().await.status, 200, "{path}");
    }
    let about = office.ask("GET", "/v2/about").send().await.data(200);
    assert_eq!(about["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        office.ask("GET", "/v2/system_status").send().await.status,
        200
    );
    let below = office
        .ask("PUT", "~")
        .data(json!({"name": "below"}))
        .send()
        .await
        .data(201);
    let path = format!("/v2/accounts/{}/api_key", below["id"].as_str().unwrap());
    let key = office.ask("PUT", &path).send().await.data(201);
    let reply = office.bare("PUT", "/v2/api_auth").data(key).send().await;
    let token = reply.json()["auth_token"].as_str().unwrap().to_owned();
    let status = office
        .bare("GET", "/v2/system_status")
        .header("x-auth-token", &token)
        .send()
        .await
        .status;
    assert_eq!(status, 403, "only the first account sees the servers");
}

#[tokio::test]
async fn what_can_be_done_to_a_channel_is_checked_before_it_is_looked_for() {
    let office = Office::new().await;
    assert_eq!(
        office
            .ask("POST", "~/channels/x")
            .data(json!({"action": "hangup"}))
            .send()
            .await
            .status,
        404
    );
    let nobody = json!({"number": "1"});
    let rules = office
        .ask("PUT", "~/channels")
        .data(nobody)
        .send()
        .await
        .rules();
    assert_eq!(rules, [("target".to_owned(), "required".to_owned())]);
    let nothing = json!({"target": "1001"});
    let rules = office
        .ask("PUT", "~/channels")
        .data(nothing)
        .send()
        .await
        .rules();
    assert_eq!(rules, [("number".to_owned(), "required".to_owned())]);
    let inside = json!({"target": "1001", "voice_url": "http://127.0.0.1/"});
    let rules = office
        .ask("PUT", "~/channels")
        .data(inside)
        .send()
        .await
        .rules();
    assert_eq!(rules, [("voice_url".to_owned(), "forbidden".to_owned())]);
}
