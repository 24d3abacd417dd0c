//! Carriers, numbers, groups, rules of time and limits (`api.md` §3.5, §3.6, §3.13, §3.23).

use serde_json::{Value, json};

use super::Office;

/// The body of KAZOO's how-to, its placeholders filled.
fn flowroute() -> Value {
    json!({
        "name": "flowroute", "format_from_uri": true, "rules": [".{7,}"], "flags": ["Use_Flowroute"],
        "formatters": {
            "from": [{"regex": "\\+?1?(\\d{10})$", "direction": "outbound"}],
            "diversion": [{"match_invite_format": true, "direction": "outbound"}],
            "outbound_caller_id_number": [{"value": "14155550123"}],
            "outbound_caller_id_name": [{"value": "Acme Sales"}]
        },
        "gateways": [{
            "caller_id_type": "external", "channel_selection": "ascending", "codecs": ["PCMU", "PCMA", "OPUS"],
            "custom_sip_headers": {}, "emergency": false, "enabled": true, "endpoint_type": "sip",
            "format_from_uri": true, "invite_format": "route", "password": "sesame-1234", "prefix": "12345678*",
            "progress_timeout": "30", "realm": "us-east-nj.sip.flowroute.com", "server": "us-east-nj.sip.flowroute.com",
            "skype_rr": false, "suffix": "", "username": "12345678"
        }]
    })
}

#[tokio::test]
async fn the_carrier_of_kazoos_how_to_is_stored_as_it_is_written() {
    let office = Office::new().await;
    let id = office.create("resources", flowroute()).await;
    let stored = office
        .ask("GET", &format!("~/resources/{id}"))
        .send()
        .await
        .data(200);
    assert_eq!(
        stored["gateways"][0]["progress_timeout"], 30,
        "text becomes the number meant"
    );
    assert_eq!(stored["gateways"][0]["port"], 5060);
    assert_eq!(stored["weight_cost"], 50);
    assert_eq!(stored["formatters"], flowroute()["formatters"]);
    let rows = office.ask("GET", "~/resources").send().await.data(200);
    assert_eq!(
        rows[0],
        json!({"id": id, "name": "flowroute", "enabled": true, "weight_cost": 50})
    );
}

#[tokio::test]
async fn a_carrier_that_cannot_work_is_refused_with_field_and_rule() {
    let office = Office::new().await;
    let mut bad = flowroute();
    bad["rules"] = json!(["("]);
    bad["formatters"]["from"][0]["regex"] = json!("[");
    bad["gateways"][0]["inbound_ips"] = json!(["192.0.2.1", "somewhere", "0.0.0.0/0"]);
    bad["gateways"]
        .as_array_mut()
        .unwrap()
        .push(json!({"server": "h", "register": true}));
    let found = office
        .ask("PUT", "~/resources")
        .data(bad)
        .send()
        .await
        .rules();
    let want = [
        ("formatters.from.0.regex", "pattern"),
        ("gateways.0.inbound_ips.1", "format"),
        ("gateways.0.inbound_ips.2", "disallow"),
        ("gateways.1.register", "required"),
        ("rules.0", "pattern"),
    ];
    assert_eq!(
        found,
        want.map(|(path, rule)| (path.to_owned(), rule.to_owned()))
    );
    let missing = office
        .ask("PUT", "~/resources")
        .data(json!({"name": "x", "gateways": [{}]}))
        .send()
        .await
        .rules();
    assert_eq!(
        missing,
        [("gateways.0.server".to_owned(), "required".to_owned())]
    );
}

#[tokio::test]
async fn several_carriers_are_stored_at_once_and_each_is_judged() {
    let office = Office::new().await;
    let both = json!([flowroute(), {"name": "bad"}]);
    let done = office
        .ask("PUT", "~/resources/collection")
        .data(both)
        .send()
        .await
        .data(201);
    assert_eq!(done["success"].as_object().unwrap().len(), 1);
    assert_eq!(
        done["errors"]["1"]["gateways"]["required"]["value"],
        "gateways"
    );
}

#[tokio::test]
async fn what_costs_money_is_for_administrators() {
    let office = Office::new().await;
    let user = json!({"first_name": "A", "last_name": "B", "username": "ann", "password": "sesame-sesame"});
    office.create("users", user).await;
    let token = office.login("default", "ann", "sesame-sesame").await;
    let account = &office.account;
    for (verb, path) in [
        ("PUT", "resources"),
        ("POST", "limits"),
        ("PUT", "phone_numbers/14155550100"),
    ] {
        let asked = office
            .bare(verb, &format!("/v2/accounts/{account}/{path}"))
            .header("x-auth-token", &token);
        assert_eq!(asked.data(flowroute()).send().await.status, 403, "{path}");
    }
}

#[tokio::test]
async fn groups_and_rules_of_time_are_documents_like_others() {
    let office = Office::new().await;
    let group = office
        .create(
            "groups",
            json!({"name": "sales", "endpoints": {"abc": {"type": "user"}}}),
        )
        .await;
    let rows = office.ask("GET", "~/groups").send().await.data(200);
    assert_eq!(
        rows,
        json!([{"id": group, "name": "sales", "endpoints": 1}])
    );
    let bad = json!({"name": "x", "endpoints": {"abc": {"type": "tree"}}});
    assert_eq!(
        office.ask("PUT", "~/groups").data(bad).send().await.rules()[0].0,
        "endpoints.abc.type"
    );
    let rule = office
        .create(
            "temporal_rules",
            json!({"name": "open", "cycle": "weekly", "wdays": ["wensday"]}),
        )
        .await;
    let stored = office
        .ask("GET", &format!("~/temporal_rules/{rule}"))
        .send()
        .await
        .data(200);
    assert_eq!(
        (&stored["interval"], &stored["start_date"]),
        (&json!(1), &json!(62_586_115_200_u64))
    );
    let set = office
        .create(
            "temporal_rules_sets",
            json!({"name": "all", "temporal_rules": [rule]}),
        )
        .await;
    let rows = office
        .ask("GET", "~/temporal_rules_sets")
        .send()
        .await
        .data(200);
    assert_eq!(
        rows,
        json!([{"id": set, "name": "all", "type": "temporal_rule_set"}])
    );
    let wrong = json!({"name": "x", "cycle": "hourly", "days": [32]});
    assert_eq!(
        office
            .ask("PUT", "~/temporal_rules")
            .data(wrong)
            .send()
            .await
            .rules()
            .len(),
        2
    );
}

#[tokio::test]
async fn limits_are_one_document_that_is_always_there() {
    let office = Office::new().await;
    let limits = office.ask("GET", "~/limits").send().await.data(200);
    assert_eq!(limits, json!({"id": "limits", "allow_prepay": true}));
    office
        .ask("POST", "~/limits")
        .data(json!({"calls": 3}))
        .send()
        .await
        .data(200);
    office
        .ask("PATCH", "~/limits")
        .data(json!({"twoway_trunks": 2}))
        .send()
        .await
        .data(200);
    let limits = office.ask("GET", "~/limits").send().await.data(200);
    assert_eq!(
        (&limits["calls"], &limits["twoway_trunks"]),
        (&json!(3), &json!(2))
    );
    assert_eq!(
        office
            .ask("POST", "~/limits")
            .data(json!({"calls": -1}))
            .send()
            .await
            .rules()[0]
            .1,
        "minimum"
    );
}

#[tokio::test]
async fn a_number_is_added_found_listed_and_given_back() {
    let office = Office::new().await;
    let path = "~/phone_numbers/4155550100";
    assert_eq!(office.ask("GET", path).send().await.status, 404);
    let added = office
        .ask("PUT", path)
        .data(json!({"cnam": {"display_name": "Acme"}}))
        .send()
        .await
        .data(201);
    assert_eq!(added["id"], "+14155550100");
    assert_eq!(added["_read_only"]["state"], "in_service");
    assert_eq!(added["_read_only"]["features"], json!(["cnam"]));
    office
        .create("callflows", super::callflow("4155550100"))
        .await;
    let all = office.ask("GET", "~/phone_numbers").send().await.data(200);
    let row = &all["numbers"]["+14155550100"];
    assert_eq!(
        (&row["state"], &row["used_by"], &row["assigned_to"]),
        (
            &json!("in_service"),
            &json!("callflow"),
            &json!(office.account)
        )
    );
    let found = office
        .ask("GET", "~/phone_numbers/14155550100/identify")
        .send()
        .await
        .data(200);
    assert_eq!(
        found,
        json!({"number": "+14155550100", "account_id": office.account})
    );
    let kept = office
        .ask("PATCH", path)
        .data(json!({"carrier_name": "x"}))
        .send()
        .await
        .data(200);
    assert_eq!(kept["cnam"]["display_name"], "Acme");
    let reserved = office
        .ask("PUT", "~/phone_numbers/4155550101/reserve")
        .send()
        .await
        .data(201);
    assert_eq!(reserved["_read_only"]["state"], "reserved");
    office.ask("DELETE", path).send().await.data(200);
    assert_eq!(office.ask("GET", path).send().await.status, 404);
    assert_eq!(
        office
            .ask("PUT", "~/phone_numbers/12")
            .data(json!({}))
            .send()
            .await
            .rules(),
        [("number".to_owned(), "pattern".to_owned())]
    );
}

#[tokio::test]
async fn a_number_belongs_to_one_account() {
    let office = Office::new().await;
    let below = office
        .ask("PUT", "/v2/accounts")
        .data(json!({"name": "below"}))
        .send()
        .await
        .data(201);
    let other = format!(
        "/v2/accounts/{}/phone_numbers/14155550100",
        below["id"].as_str().unwrap()
    );
    office
        .ask("PUT", &other)
        .data(json!({}))
        .send()
        .await
        .data(201);
    let taken = office
        .ask("PUT", "~/phone_numbers/14155550100")
        .data(json!({}))
        .send()
        .await
        .rules();
    assert_eq!(taken, [("number".to_owned(), "unique".to_owned())]);
    let several = json!({"numbers": ["14155550100", "14155550111"]});
    let done = office
        .ask("PUT", "~/phone_numbers/collection")
        .data(several)
        .send()
        .await
        .data(200);
    assert!(done["success"]["+14155550111"].is_object());
    assert!(done["error"]["14155550100"]["number"]["unique"].is_object());
}

#[tokio::test]
async fn numbers_are_classified() {
    let office = Office::new().await;
    let all = office
        .ask("GET", "~/phone_numbers/classifiers")
        .send()
        .await
        .data(200);
    assert_eq!(all["emergency"]["emergency"], true);
    assert_eq!(all["did_us"]["friendly_name"], "US DID");
    let one = office
        .ask("GET", "~/phone_numbers/classifiers/00493012345678")
        .send()
        .await
        .data(200);
    assert_eq!(
        (&one["e164"], &one["name"]),
        (&json!("+493012345678"), &json!("international"))
    );
}

#[tokio::test]
async fn global_carriers_are_those_of_the_first_account_and_for_its_administrators_alone() {
    let office = Office::new().await;
    let reply = office
        .ask("PUT", "/v2/resources")
        .data(flowroute())
        .send()
        .await;
    let id = reply.data(201)["id"].as_str().unwrap().to_owned();
    for path in ["/v2/resources".to_owned(), "~/resources".to_owned()] {
        let rows = office.ask("GET", &path).send().await.data(200);
        assert_eq!(rows[0]["id"], id.as_str(), "{path}");
    }
    let tenant = office
        .ask("PUT", "~")
        .data(json!({"name": "tenant", "realm": "tenant.test"}))
        .send()
        .await
        .data(201);
    let tenant = tenant["id"].as_str().unwrap();
    let user = json!({"username": "boss", "password": "tenants-boss-1", "first_name": "B", "last_name": "B", "priv_level": "admin"});
    let users = format!("/v2/accounts/{tenant}/users");
    office.ask("PUT", &users).data(user).send().await.data(201);
    let token = office.login("tenant", "boss", "tenants-boss-1").await;
    for (method, path) in [
        ("GET", "/v2/resources".to_owned()),
        ("GET", format!("/v2/resources/{id}")),
        ("PUT", "/v2/resources".to_owned()),
        ("DELETE", format!("/v2/resources/{id}")),
    ] {
        let ask = office.bare(method, &path).header("x-auth-token", &token);
        let reply = ask.data(flowroute()).send().await;
        assert_eq!(reply.status, 403, "{method} {path}: {}", reply.text());
    }
    let reply = office.bare("GET", "/v2/resources").send().await;
    assert_eq!(reply.status, 401);
}

#[tokio::test]
async fn how_gateways_stand_is_a_list_and_keys_of_ours_are_taken() {
    let office = Office::new().await;
    let mut doc = flowroute();
    doc["follow_redirects"] = json!(true);
    doc["gateways"][0]["options_seconds"] = json!(30);
    let id = office.create("resources", doc).await;
    let stored = office
        .ask("GET", &format!("~/resources/{id}"))
        .send()
        .await
        .data(200);
    assert_eq!(stored["follow_redirects"], true);
    assert_eq!(stored["gateways"][0]["options_seconds"], 30);
    // Without calls there is nothing to tell.
    let rows = office.ask("GET", "~/resources/status").send().await;
    assert_eq!(rows.data(200), json!([]));
    let reply = office.ask("POST", "~/resources/status").send().await;
    assert_eq!(reply.status, 405, "{}", reply.text());
    let mut bad = flowroute();
    bad["follow_redirects"] = json!("sometimes");
    let found = office
        .ask("PUT", "~/resources")
        .data(bad)
        .send()
        .await
        .rules();
    assert_eq!(found, [("follow_redirects".to_owned(), "type".to_owned())]);
}
