//! What every answer looks like (`api.md` §1).

use serde_json::{Value, json};

use super::{Office, callflow};

#[tokio::test]
async fn a_success_has_the_members_clients_read() {
    let office = Office::new().await;
    let reply = office
        .ask("GET", "~/menus")
        .header("x-request-id", "my-request.1")
        .send()
        .await;
    assert_eq!(reply.status, 200);
    let body = reply.json();
    assert_eq!(body["data"], json!([]));
    assert_eq!(body["status"], "success");
    assert_eq!(body["page_size"], 0);
    assert_eq!(body["request_id"], "my-request.1");
    assert_eq!(reply.header("x-request-id"), "my-request.1");
    assert_eq!(body["auth_token"], office.token);
    assert!(
        body["timestamp"].as_str().unwrap().ends_with('Z')
            && body["timestamp"].as_str().unwrap().len() == 20
    );
    assert!(body["version"].is_string() && body["node"].is_string());
    assert_eq!(body["tokens"]["consumed"], 1);
    assert_eq!(
        reply.header("etag"),
        format!("\"{}\"", body["revision"].as_str().unwrap())
    );
    assert!(
        !body.as_object().unwrap().values().any(Value::is_null),
        "absent values are left out"
    );
    let anonymous = office.bare("GET", "/v2/schemas").send().await.json();
    assert!(anonymous.get("auth_token").is_none() && anonymous.get("version").is_none());
}

#[tokio::test]
async fn each_kind_of_error_has_its_status_and_word() {
    let office = Office::new().await;
    let (token, a) = (office.token.as_str(), office.account.as_str());
    let base = format!("/v2/accounts/{a}");
    for (method, path, body, status, word) in [
        (
            "GET",
            format!("{base}/menus/0123456789abcdef0123456789abcdef"),
            "",
            404,
            "bad_identifier",
        ),
        (
            "GET",
            "/v2/accounts/0123456789abcdef0123456789abcdef".to_owned(),
            "",
            404,
            "bad_identifier",
        ),
        (
            "GET",
            "/v2/accounts/short".to_owned(),
            "",
            404,
            "bad_identifier",
        ),
        ("GET", "/v2/nonsense".to_owned(), "", 404, "not_found"),
        ("GET", format!("{base}/menus/a/b/c"), "", 404, "not_found"),
        ("GET", "/v2/menus".to_owned(), "", 404, "not_found"),
        ("GET", "/v2".to_owned(), "", 404, "not_found"),
        ("GET", "/other".to_owned(), "", 404, "not_found"),
        ("DELETE", format!("{base}/menus"), "", 405, "invalid_method"),
        ("HEAD", format!("{base}/menus"), "", 405, "invalid_method"),
        ("GET", "/v1/accounts".to_owned(), "", 410, "gone"),
        (
            "GET",
            format!("{base}/menus?page_size=0"),
            "",
            404,
            "faulty_request",
        ),
        (
            "GET",
            format!("{base}/menus?page_size=x"),
            "",
            404,
            "faulty_request",
        ),
        ("PUT", format!("{base}/menus"), "{", 400, "validation error"),
        (
            "PUT",
            format!("{base}/menus"),
            "{\"name\":1}",
            400,
            "validation failed",
        ),
        (
            "PUT",
            format!("{base}/menus"),
            "{\"data\":{\"name\":\"a\",\"name\":\"b\"}}",
            400,
            "validation error",
        ),
    ] {
        let ask = office
            .bare(method, &path)
            .header("x-auth-token", token)
            .header("origin", "http://page.test");
        let reply = ask.body("application/json", body.as_bytes()).send().await;
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.text());
        if method != "HEAD" {
            let body = reply.json();
            assert_eq!(body["error"], status.to_string(), "{method} {path}");
            assert_eq!(body["message"], word, "{method} {path}");
            assert_eq!(body["status"], "error");
        }
        assert_eq!(reply.header("access-control-allow-origin"), "*");
    }
    let missing = office
        .ask("GET", "~/menus/0123456789abcdef0123456789abcdef")
        .send()
        .await
        .json();
    assert_eq!(missing["data"]["cause"], "0123456789abcdef0123456789abcdef");
    let bad = office
        .ask("PUT", "~/menus")
        .body("application/json", b"{")
        .send()
        .await
        .json();
    assert_eq!(bad["data"]["json"]["invalid"]["target"], "body");
    let empty = office
        .ask("PUT", "~/menus")
        .body("application/json", b"{\"name\":\"x\"}")
        .send()
        .await
        .json();
    assert!(empty["data"]["data"]["required"].is_object());
    assert_eq!(
        office
            .ask("PUT", "~/menus")
            .body("text/html", b"x")
            .send()
            .await
            .status,
        415
    );
}

#[tokio::test]
async fn every_broken_field_is_named_with_rule_value_and_target() {
    let office = Office::new().await;
    let data =
        json!({"retries": 99, "timeout": "soon", "media": {"greeting": "x"}, "record_pin": "1"});
    let reply = office.ask("PUT", "~/menus").data(data).send().await;
    let rule = |path: &str, rule: &str| (path.to_owned(), rule.to_owned());
    assert_eq!(
        reply.rules(),
        [
            rule("media.greeting", "minLength"),
            rule("name", "required"),
            rule("record_pin", "minLength"),
            rule("retries", "maximum"),
            rule("timeout", "type"),
        ]
    );
    let detail = reply.json()["data"]["retries"]["maximum"].take();
    assert_eq!(
        (&detail["value"], &detail["target"]),
        (&json!(99), &json!(10))
    );
    assert!(detail["message"].is_string());
}

#[tokio::test]
async fn curl_needs_no_content_type_and_post_may_carry_another_verb() {
    let office = Office::new().await;
    let body = br#"{"data":{"name":"from curl"}}"#;
    let made = office.ask("PUT", "~/menus").body("", body).send().await;
    assert_eq!(made.status, 201);
    assert!(!made.header("x-rfc2616").is_empty());
    let form = office
        .ask("PUT", "~/menus")
        .body("application/x-www-form-urlencoded", body)
        .send()
        .await;
    assert_eq!(form.data(201)["name"], "from curl");
    let tunnelled = office
        .ask("POST", "~/menus")
        .envelope(json!({"verb": "PUT", "data": {"name": "t"}}))
        .send()
        .await;
    let id = tunnelled.data(201)["id"].as_str().unwrap().to_owned();
    let inside = office
        .ask("POST", &format!("~/menus/{id}"))
        .data(json!({"verb": "delete"}))
        .send()
        .await;
    assert_eq!(inside.data(200)["_read_only"]["deleted"], true);
    let query = office.ask("POST", "~/menus?verb=get").send().await;
    assert_eq!(query.data(200).as_array().unwrap().len(), 2);
    let wrong = office
        .ask("POST", "~/menus")
        .envelope(json!({"verb": "delete", "data": {}}))
        .send()
        .await;
    assert_eq!(wrong.status, 405);
}

#[tokio::test]
async fn a_created_document_says_where_it_is() {
    let office = Office::new().await;
    let made = office
        .ask("PUT", "~/menus/")
        .data(json!({"name": "m"}))
        .send()
        .await;
    let id = made.json()["data"]["id"].as_str().unwrap().to_owned();
    assert_eq!(
        made.header("location"),
        format!("/v2/accounts/{}/menus/{id}", office.account)
    );
    assert_eq!(id.len(), 32);
}

#[tokio::test]
async fn tags_spare_reading_again_and_guard_against_lost_updates() {
    let office = Office::new().await;
    let id = office.create("menus", json!({"name": "m"})).await;
    let path = format!("~/menus/{id}");
    let first = office.ask("GET", &path).send().await;
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with("\"1-"), "{tag}");
    assert_eq!(
        office
            .ask("GET", &path)
            .header("if-none-match", &tag)
            .send()
            .await
            .status,
        304
    );
    let change = office
        .ask("PATCH", &path)
        .header("if-match", &tag)
        .data(json!({"retries": 5}))
        .send()
        .await;
    assert_eq!(change.status, 200);
    let late = office
        .ask("PATCH", &path)
        .header("if-match", &tag)
        .data(json!({"retries": 6}))
        .send()
        .await;
    assert_eq!(late.status, 412);
    assert_eq!(
        office
            .ask("DELETE", &path)
            .header("if-match", &tag)
            .send()
            .await
            .status,
        412
    );
    assert_eq!(
        office
            .ask("GET", &path)
            .header("if-none-match", &tag)
            .send()
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn browsers_of_other_origins_may_ask() {
    let office = Office::new().await;
    let reply = office.bare("OPTIONS", &format!("/v2/accounts/{}/menus", office.account));
    let reply = reply.header("origin", "http://page.test").send().await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    assert_eq!(
        reply.header("access-control-allow-methods"),
        "OPTIONS, GET, PUT"
    );
    assert!(
        reply
            .header("access-control-allow-headers")
            .contains("x-auth-token")
    );
    assert!(
        reply
            .header("access-control-expose-headers")
            .contains("x-request-id")
    );
    assert!(
        reply.header("access-control-allow-credentials").is_empty(),
        "tokens only, never cookies"
    );
    let plain = office.ask("GET", "~/menus").send().await;
    assert!(
        plain.header("access-control-allow-origin").is_empty(),
        "nobody asked across origins"
    );
}

#[tokio::test]
async fn answers_can_be_pretty_wrapped_packed_or_a_table() {
    let office = Office::new().await;
    office
        .create("menus", json!({"name": "m, \"quoted\"", "flags": ["a"]}))
        .await;
    assert!(
        office
            .ask("GET", "~/menus?pretty_print=true")
            .send()
            .await
            .text()
            .contains("\n  \"data\"")
    );
    let wrapped = office.ask("GET", "~/menus?jsonp=page.take").send().await;
    assert!(wrapped.text().starts_with("page.take({") && wrapped.text().ends_with(");"));
    assert_eq!(wrapped.header("content-type"), "application/javascript");
    assert!(
        office
            .ask("GET", "~/menus?jsonp=alert(1)//")
            .send()
            .await
            .text()
            .starts_with('{')
    );
    for _ in 0..20 {
        office
            .create("menus", json!({"name": "filler filler filler"}))
            .await;
    }
    let packed = office
        .ask("GET", "~/menus")
        .header("accept-encoding", "gzip")
        .send()
        .await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    let table = office
        .ask("GET", "~/menus?accept=csv&filter_flags.0=a")
        .send()
        .await;
    assert_eq!(table.header("content-type"), "text/csv; charset=utf-8");
    assert_eq!(
        table.header("content-disposition"),
        "attachment; filename=\"result.csv\""
    );
    let lines: Vec<_> = table.text().split("\r\n").map(str::to_owned).collect();
    assert_eq!(lines[0], "id,name,flags");
    assert!(
        lines[1].ends_with(",\"m, \"\"quoted\"\"\",a"),
        "{}",
        lines[1]
    );
}

#[tokio::test]
async fn lists_are_paged_filtered_and_ordered() {
    let office = Office::new().await;
    for n in 0..7 {
        office
            .create(
                "menus",
                json!({"name": format!("m{n}"), "retries": n % 3 + 1}),
            )
            .await;
    }
    let mut seen = Vec::new();
    let mut start = String::new();
    loop {
        let page = office
            .ask("GET", &format!("~/menus?page_size=3{start}"))
            .send()
            .await
            .json();
        let rows = page["data"].as_array().unwrap();
        assert_eq!(page["page_size"], rows.len());
        seen.extend(
            rows.iter()
                .map(|row| row["id"].as_str().unwrap().to_owned()),
        );
        match page["next_start_key"].as_str() {
            Some(next) => start = format!("&start_key={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 7);
    assert!(seen.is_sorted_by(|a, b| a > b), "descending, each once");
    let up = office
        .ask("GET", "~/menus?ascending=true&paginate=false")
        .send()
        .await
        .json();
    assert_eq!(up["data"][0]["id"], seen[6]);
    assert!(up.get("page_size").is_none() && up.get("next_start_key").is_none());
    let two = office.ask("GET", "~/menus?filter_retries=2").send().await;
    assert_eq!(
        two.data(200).as_array().unwrap().len(),
        2,
        "the filter sees what the row does not show"
    );
    let several = office
        .ask("GET", "~/menus?filter_name=%5B%22m1%22,%22m5%22%5D")
        .send()
        .await;
    assert_eq!(several.data(200).as_array().unwrap().len(), 2);
    assert_eq!(
        office
            .ask("GET", "~/menus?start_key=%21%21")
            .send()
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn bodies_have_limits() {
    let office = Office::new().await;
    let huge = format!("{{\"data\":{{\"name\":\"{}\"}}}}", "x".repeat(1 << 20));
    let reply = office
        .ask("PUT", "~/menus")
        .body("application/json", huge.as_bytes())
        .send()
        .await;
    assert_eq!(reply.status, 413);
    assert!(reply.json()["data"]["file"]["maxSize"].is_object());
    let deep = format!("{{\"data\":{}}}", "[".repeat(500_000));
    let reply = office
        .ask("PUT", "~/menus")
        .body("application/json", deep.as_bytes())
        .send()
        .await;
    assert_eq!(reply.status, 400);
}

#[tokio::test]
async fn monitoring_needs_no_token() {
    let office = Office::new().await;
    assert_eq!(office.bare("GET", "/healthz").send().await.text(), "ok\n");
    let metrics = office.bare("GET", "/metrics").send().await;
    assert_eq!(metrics.text(), "swivel_up 1\n");
    assert!(
        metrics
            .header("content-type")
            .starts_with("text/plain; version=0.0.4")
    );
}

#[tokio::test]
async fn schemas_are_served_and_used_without_a_document() {
    let office = Office::new().await;
    let ids = office.bare("GET", "/v2/schemas").send().await.data(200);
    assert!(ids.as_array().unwrap().contains(&json!("callflows.pivot")));
    let schema = office
        .bare("GET", "/v2/schemas/users")
        .send()
        .await
        .data(200);
    assert_eq!(schema["required"], json!(["first_name", "last_name"]));
    assert_eq!(
        schema["properties"]["priv_level"]["enum"],
        json!(["user", "admin"])
    );
    assert_eq!(
        office
            .bare("GET", "/v2/schemas/nothing")
            .send()
            .await
            .status,
        404
    );
    let put = office
        .ask("PUT", "/v2/schemas/menus/validation")
        .data(json!({"name": "x", "hunt": "false"}))
        .send()
        .await;
    assert_eq!(put.data(201)["hunt"], false);
    assert_eq!(
        office
            .ask("PUT", "/v2/schemas/menus/validation")
            .data(json!({}))
            .send()
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn unknown_keys_are_kept_and_private_ones_ignored() {
    let office = Office::new().await;
    let mut data = callflow("100");
    data["ui_metadata"] = json!({"version": "4.3"});
    data["pvt_account_id"] = json!("stolen");
    data["_rev"] = json!("9-x");
    data["id"] = json!("mine");
    let made = office
        .ask("PUT", "~/callflows")
        .data(data)
        .send()
        .await
        .data(201);
    assert_eq!(made["ui_metadata"], json!({"version": "4.3"}));
    assert_ne!(made["id"], "mine");
    assert!(
        !made
            .as_object()
            .unwrap()
            .keys()
            .any(|key| key.starts_with("pvt_") || key.starts_with('_'))
    );
}
