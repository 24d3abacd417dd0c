//! What interfaces ask when they start, what is searched, and what keys do for a whole account.

use serde_json::json;

use super::Office;

#[tokio::test]
async fn metaflows_are_a_part_of_the_account_with_a_path_of_their_own() {
    let office = Office::new().await;
    let get = async || office.ask("GET", "~/metaflows").send().await.data(200);
    assert_eq!(get().await, json!({}));
    let hangup = json!({"module": "hangup", "data": {}, "children": {}});
    let wanted = json!({"binding_digit": "*", "numbers": {"5": hangup}});
    let set = office.ask("POST", "~/metaflows").data(wanted).send().await;
    assert_eq!(set.data(200)["numbers"]["5"]["module"], json!("hangup"));
    let more = json!({"patterns": {"^7(\\d+)$": {"module": "transfer"}}});
    let changed = office.ask("PATCH", "~/metaflows").data(more).send().await;
    assert_eq!(changed.data(200)["numbers"]["5"]["module"], json!("hangup"));
    let account = office.ask("GET", "~").send().await.data(200);
    assert_eq!(account["metaflows"], get().await);
    for (wrong, path, rule) in [
        (
            json!({"numbers": {"5": {}}}),
            "numbers.5.module",
            "required",
        ),
        (
            json!({"patterns": {"(": {"module": "hangup"}}}),
            "patterns.(",
            "pattern",
        ),
        (json!({"binding_digit": "x"}), "binding_digit", "enum"),
    ] {
        let refused = office.ask("POST", "~/metaflows").data(wrong).send().await;
        let rules = refused.rules();
        assert!(
            rules.contains(&(path.to_owned(), rule.to_owned())),
            "{rules:?}"
        );
    }
    let gone = office.ask("DELETE", "~/metaflows").send().await;
    assert_eq!(gone.data(200), json!({}));
    assert_eq!(get().await, json!({}));
    let name = office.ask("GET", "~").send().await.data(200)["name"].clone();
    assert_eq!(name, json!("default"), "the rest of the account stays");
}

#[tokio::test]
async fn metaflows_of_a_device_or_user_are_its_own_and_leave_the_rest_of_it() {
    let office = Office::new().await;
    let sip = json!({"username": "desk", "password": "for-this-test-only", "realm": "pbx.example"});
    let device = json!({"name": "d", "sip": sip});
    let device = office.ask("PUT", "~/devices").data(device).send().await;
    let device = device.data(201)["id"].as_str().unwrap().to_owned();
    let user = json!({"first_name": "A", "last_name": "B"});
    let user = office.ask("PUT", "~/users").data(user).send().await;
    let user = user.data(201)["id"].as_str().unwrap().to_owned();
    let flow = json!({"name": "f", "numbers": ["2000"], "flow": {"module": "hangup", "data": {}}});
    let flow = office.ask("PUT", "~/callflows").data(flow).send().await;
    let flow = flow.data(201)["id"].as_str().unwrap().to_owned();
    let hangup = json!({"numbers": {"5": {"module": "hangup"}}});
    let paths = [
        format!("~/devices/{device}"),
        format!("~/users/{user}"),
        format!("~/callflows/{flow}"),
    ];
    for path in &paths {
        let before = office.ask("GET", path).send().await.data(200);
        let own = format!("{path}/metaflows");
        let set = office.ask("POST", &own).data(hangup.clone()).send().await;
        assert!(set.text().contains("keys pressed"), "{}", set.text());
        assert_eq!(set.data(200)["numbers"]["5"]["module"], "hangup", "{path}");
        let after = office.ask("GET", path).send().await.data(200);
        assert_eq!(after["metaflows"]["numbers"], hangup["numbers"], "{path}");
        for key in ["name", "first_name", "sip", "flow", "numbers"] {
            assert_eq!(after[key], before[key], "{path} {key}");
        }
        let gone = office.ask("DELETE", &own).send().await;
        assert_eq!(gone.data(200), json!({}));
    }
    let found = office.directory.secret("pbx.example", "desk");
    let (_, _, secret) = found.expect("the phone still signs in");
    assert_eq!(secret.reveal(), "for-this-test-only");
    let account = office.ask("GET", "~/metaflows").send().await.data(200);
    assert_eq!(account, json!({}));
    let missing = office.ask("GET", "~/devices/nobody/metaflows").send().await;
    assert_eq!(missing.status, 404);
}

#[tokio::test]
async fn documents_are_found_by_the_beginning_of_a_field_and_only_ones_own() {
    let office = Office::new().await;
    let below = office
        .ask("PUT", "~")
        .data(json!({"name": "Acme West"}))
        .send();
    let below = below.await.data(201)["id"].as_str().unwrap().to_owned();
    let user = json!({"first_name": "Ann", "last_name": "Archer", "username": "annie"});
    office.create("users", user).await;
    let find = async |path: &str| {
        let rows = office.ask("GET", path).send().await.data(200);
        rows.as_array().unwrap().len()
    };
    assert_eq!(find("/v2/search?t=account&q=name&v=acme").await, 1);
    assert_eq!(find("/v2/search?t=account&q=name&v=west").await, 0);
    for (field, value, found) in [
        ("name", "ann", 1),
        ("name", "arch", 1),
        ("username", "ANN", 1),
        ("username", "nn", 0),
    ] {
        let path = format!("~/search?t=user&q={field}&v={value}");
        assert_eq!(find(&path).await, found, "{path}");
        let elsewhere = path.replace('~', &format!("/v2/accounts/{below}"));
        assert_eq!(find(&elsewhere).await, 0, "{elsewhere}");
    }
    for (query, path) in [
        ("t=user&q=name", "v"),
        ("t=user&q=password&v=x", "q"),
        ("q=name&v=x", "t"),
    ] {
        let refused = office.ask("GET", &format!("~/search?{query}")).send().await;
        assert_eq!(refused.rules()[0].0, path, "{query}");
    }
}

#[tokio::test]
async fn interfaces_get_an_answer_to_what_they_ask_when_they_start() {
    let office = Office::new().await;
    for noun in ["external_numbers", "apps_store", "alerts"] {
        let rows = office.ask("GET", &format!("~/{noun}")).send().await;
        assert_eq!(rows.data(200), json!([]), "{noun}");
    }
    let logo = office
        .bare("GET", "/v2/whitelabel/pbx.example")
        .send()
        .await;
    assert_eq!(logo.status, 404, "which interfaces take for an answer");
}
