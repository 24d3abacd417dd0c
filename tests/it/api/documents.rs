//! Each kind of document: made, read, replaced, merged, deleted; and what is special about it (`api.md` §3).

use serde_json::{Map, Value, json};
use swivel::api::HttpConfig;
use swivel::directory::Kind;

use super::{Office, callflow};

#[tokio::test]
async fn every_kind_is_created_read_replaced_merged_and_deleted() {
    let office = Office::new().await;
    for (noun, data, needed) in [
        (
            "users",
            json!({"first_name": "A", "last_name": "B", "x": {"y": 1, "z": 2}}),
            "last_name",
        ),
        (
            "devices",
            json!({"name": "d", "x": {"y": 1, "z": 2}}),
            "name",
        ),
        ("menus", json!({"name": "m", "x": {"y": 1, "z": 2}}), "name"),
        ("lists", json!({"name": "l", "x": {"y": 1, "z": 2}}), "name"),
        (
            "media",
            json!({"name": "m", "media_source": "upload", "x": {"y": 1, "z": 2}}),
            "name",
        ),
        (
            "callflows",
            {
                let mut flow = callflow("100");
                flow["x"] = json!({"y": 1, "z": 2});
                flow
            },
            "flow",
        ),
    ] {
        let id = office.create(noun, data.clone()).await;
        let path = format!("~/{noun}/{id}");
        let read = office.ask("GET", &path).send().await.data(200);
        assert_eq!(
            (&read["id"], &read["x"]),
            (&json!(id), &json!({"y": 1, "z": 2})),
            "{noun}"
        );
        let merged = office
            .ask("PATCH", &path)
            .data(json!({"x": {"y": null, "w": 3}}))
            .send()
            .await
            .data(200);
        assert_eq!(merged["x"], json!({"z": 2, "w": 3}), "{noun}");
        let broken = office
            .ask("PATCH", &path)
            .data(json!({needed: null}))
            .send()
            .await;
        assert_eq!(
            broken.status,
            400,
            "{noun}: a merged document is checked as a whole: {}",
            broken.text()
        );
        let mut whole = data.clone();
        whole.as_object_mut().unwrap().remove("x");
        let replaced = office.ask("POST", &path).data(whole).send().await.data(200);
        assert!(
            replaced.get("x").is_none(),
            "{noun}: what is left out is dropped"
        );
        let listed = office
            .ask("GET", &format!("~/{noun}"))
            .send()
            .await
            .data(200);
        assert!(
            listed.as_array().unwrap().iter().any(|row| row["id"] == id),
            "{noun}"
        );
        let gone = office.ask("DELETE", &path).send().await.data(200);
        assert_eq!(gone["_read_only"]["deleted"], true);
        for verb in ["GET", "POST", "PATCH", "DELETE"] {
            assert_eq!(
                office
                    .ask(verb, &path)
                    .data(data.clone())
                    .send()
                    .await
                    .status,
                404,
                "{verb} {noun}"
            );
        }
        let listed = office
            .ask("GET", &format!("~/{noun}"))
            .send()
            .await
            .data(200);
        assert!(
            !listed.as_array().unwrap().iter().any(|row| row["id"] == id),
            "{noun}"
        );
    }
}

#[tokio::test]
async fn lists_of_documents_have_kazoos_columns() {
    let office = Office::new().await;
    let user = json!({"first_name": "A", "last_name": "B", "username": "Ann", "email": "a@b.test",
                      "call_forward": {"enabled": true, "number": "1"}});
    office.create("users", user).await;
    let users = office
        .ask("GET", "~/users?filter_username=ann")
        .send()
        .await
        .data(200);
    assert_eq!(users[0]["features"], json!(["call_forward", "vm_to_email"]));
    assert_eq!(users[0]["username"], "ann");
    let device =
        json!({"name": "d", "sip": {"username": "phone1", "password": "long enough secret"}});
    office.create("devices", device).await;
    let row = office.ask("GET", "~/devices").send().await.data(200)[0].take();
    assert_eq!(
        (&row["username"], &row["device_type"], &row["enabled"]),
        (&json!("phone1"), &json!("sip_device"), &json!(true))
    );
    assert!(row.get("sip").is_none());
    office.create("callflows", callflow("4158867900")).await;
    let row = office.ask("GET", "~/callflows").send().await.data(200)[0].take();
    assert_eq!(row["numbers"], json!(["+14158867900"]));
    assert_eq!(
        (&row["featurecode"], &row["modules"]),
        (&json!(false), &json!(["tts"]))
    );
    assert_eq!(
        office.ask("GET", "~/devices/status").send().await.data(200),
        json!([])
    );
}

#[tokio::test]
async fn accounts_are_unique_by_name_and_realm() {
    let office = Office::new().await;
    let made = office
        .ask("PUT", "/v2/accounts")
        .data(json!({"name": "Acme Inc", "realm": "Acme.Test"}))
        .send()
        .await;
    let made = made.data(201);
    assert_eq!(made["realm"], "acme.test");
    assert_eq!(
        (&made["enabled"], &made["language"]),
        (&json!(true), &json!("en-US"))
    );
    assert_eq!(made["superduper_admin"], false);
    let again = office
        .ask("PUT", "/v2/accounts")
        .data(json!({"name": "ACME-inc", "realm": "ACME.test"}))
        .send()
        .await;
    let rule = |path: &str, rule: &str| (path.to_owned(), rule.to_owned());
    assert_eq!(
        again.rules(),
        [rule("name", "unique"), rule("realm", "unique")]
    );
    let bare = office
        .ask("PUT", "/v2/accounts")
        .data(json!({"name": "No realm"}))
        .send()
        .await
        .data(201);
    assert!(
        bare["realm"]
            .as_str()
            .unwrap()
            .ends_with(".sip.swivel.local")
    );
    let id = made["id"].as_str().unwrap();
    let children = office.ask("GET", "~/children").send().await.data(200);
    assert_eq!(children.as_array().unwrap().len(), 2);
    assert_eq!(
        office
            .ask("DELETE", &format!("/v2/accounts/{id}"))
            .send()
            .await
            .status,
        200
    );
    assert_eq!(
        office
            .ask("GET", &format!("/v2/accounts/{id}"))
            .send()
            .await
            .status,
        404
    );
    let name_is_free = office
        .ask("PUT", "/v2/accounts")
        .data(json!({"name": "Acme Inc"}))
        .send()
        .await;
    assert_eq!(name_is_free.status, 201);
    assert_eq!(
        office.ask("DELETE", "~").send().await.status,
        403,
        "the first account stays"
    );
}

#[tokio::test]
async fn an_account_with_accounts_below_is_not_deleted() {
    let office = Office::new().await;
    let parent = office
        .ask("PUT", "/v2/accounts")
        .data(json!({"name": "parent"}))
        .send()
        .await
        .data(201);
    let path = format!("/v2/accounts/{}", parent["id"].as_str().unwrap());
    office
        .ask("PUT", &path)
        .data(json!({"name": "child"}))
        .send()
        .await
        .data(201);
    let refused = office.ask("DELETE", &path).send().await;
    assert_eq!(
        (refused.status, refused.json()["message"].as_str()),
        (500, Some("account_has_descendants"))
    );
}

#[tokio::test]
async fn user_names_are_unique_and_passwords_follow_them() {
    let office = Office::new().await;
    let user = |name: &str| json!({"first_name": "A", "last_name": "B", "username": name, "password": "a long enough one"});
    let id = office.create("users", user("Bob")).await;
    let path = format!("~/users/{id}");
    let twin = office.ask("PUT", "~/users").data(user("BOB")).send().await;
    assert_eq!(twin.rules(), [("username".to_owned(), "unique".to_owned())]);
    let renamed = office
        .ask("PATCH", &path)
        .data(json!({"username": "robert"}))
        .send()
        .await;
    assert_eq!(
        renamed.rules(),
        [("password".to_owned(), "required".to_owned())],
        "the hash is made of both"
    );
    let both = office
        .ask("PATCH", &path)
        .data(json!({"username": "robert", "password": "a long enough one"}))
        .send()
        .await;
    assert_eq!(both.data(200)["username"], "robert");
    office.login("default", "robert", "a long enough one").await;
    let nameless = office
        .ask("PUT", "~/users")
        .data(json!({"first_name": "A", "last_name": "B"}))
        .send()
        .await;
    assert!(
        nameless.data(201)["username"]
            .as_str()
            .unwrap()
            .starts_with("user_")
    );
    let mail = office
        .ask("PATCH", &path)
        .data(json!({"email": "not an address"}))
        .send()
        .await;
    assert_eq!(mail.rules(), [("email".to_owned(), "format".to_owned())]);
    let imported = json!({"first_name": "A", "last_name": "B", "username": "old", "credentials": super::hash("old", "legacy")});
    office.create("users", imported).await;
    office.login("default", "old", "legacy").await;
}

#[tokio::test]
async fn devices_do_not_share_credentials_addresses_or_hardware() {
    let office = Office::new().await;
    let device = |sip: Value| json!({"name": "d", "sip": sip});
    let first = json!({"name": "d", "mac_address": "00:11:22:AA:bb:CC",
                       "sip": {"username": "Phone1", "password": "long enough secret"}});
    let made = office
        .ask("PUT", "~/devices")
        .data(first)
        .send()
        .await
        .data(201);
    assert_eq!(made["mac_address"], "001122aabbcc");
    assert_eq!(
        made["sip"]["password"], "long enough secret",
        "KAZOO gives it back"
    );
    let rule = |path: &str, rule: &str| vec![(path.to_owned(), rule.to_owned())];
    let put = async |data: Value| office.ask("PUT", "~/devices").data(data).send().await;
    assert_eq!(
        put(device(json!({"username": "phone1"}))).await.rules(),
        rule("sip.username", "unique")
    );
    assert_eq!(
        put(device(json!({"username": "phone1", "realm": "else.test"})))
            .await
            .status,
        201
    );
    assert_eq!(
        put(json!({"name": "m", "mac_address": "001122aabbcc"}))
            .await
            .rules(),
        rule("mac_address", "unique")
    );
    assert_eq!(
        put(json!({"name": "m", "mac_address": "phone"}))
            .await
            .rules(),
        rule("mac_address", "pattern")
    );
    assert_eq!(
        put(device(json!({"method": "ip"}))).await.rules(),
        rule("sip.ip", "required")
    );
    assert_eq!(
        put(device(json!({"method": "ip", "ip": "office"})))
            .await
            .rules(),
        rule("sip.ip", "format")
    );
    assert_eq!(
        put(device(json!({"method": "ip", "ip": "0.0.0.0/0"})))
            .await
            .rules(),
        rule("sip.ip", "disallow")
    );
    assert_eq!(
        put(device(json!({"method": "ip", "ip": "192.0.2.0/24"})))
            .await
            .status,
        201
    );
    assert_eq!(
        put(device(json!({"method": "ip", "ip": "192.0.2.7/24"})))
            .await
            .rules(),
        rule("sip.ip", "unique")
    );
    let found = office
        .directory
        .device_by_source("192.0.2.99".parse().unwrap());
    assert_eq!(&*found.unwrap().0.id, office.account);
    assert!(
        office.directory.secret("pbx.example", "PHONE1").is_some(),
        "calls see it at once"
    );
}

#[tokio::test]
async fn weak_secrets_are_accepted_with_a_warning_unless_the_operator_says_no() {
    let office = Office::new().await;
    let weak = json!({"name": "d", "sip": {"username": "phone1", "password": "12345"}});
    let reply = office
        .ask("PUT", "~/devices")
        .data(weak.clone())
        .send()
        .await;
    assert_eq!(reply.status, 201);
    assert!(reply.json()["warnings"]["sip.password"]["weak"].is_object());
    let strict = Office::with(HttpConfig {
        min_secret: 10,
        ..HttpConfig::default()
    })
    .await;
    let refused = strict.ask("PUT", "~/devices").data(weak).send().await;
    assert_eq!(
        refused.rules(),
        [("sip.password".to_owned(), "minLength".to_owned())]
    );
}

#[tokio::test]
async fn callflows_are_checked_node_by_node() {
    let office = Office::new().await;
    let put = async |data: Value| office.ask("PUT", "~/callflows").data(data).send().await;
    let rule = |path: &str, rule: &str| (path.to_owned(), rule.to_owned());
    let none = put(json!({"flow": {"module": "hangup", "data": {}}})).await;
    assert_eq!(none.rules(), [rule("numbers", "required")]);
    let deep = json!({"numbers": ["100"], "flow": {"module": "tts", "data": {}, "children": {
        "_": {"module": "no_such_module", "data": {}},
        "1": {"module": "pivot", "data": {"voice_url": "http://127.0.0.1/x", "method": "put"}},
        "2": {"module": "hangup"},
    }}});
    let found = put(deep).await.rules();
    for want in [
        rule("flow.children._.module", "error"),
        rule("flow.children.1.data.method", "enum"),
        rule("flow.children.1.data.voice_url", "error"),
        rule("flow.children.2.data", "required"),
        rule("flow.data.text", "required"),
    ] {
        assert!(found.contains(&want), "{want:?} in {found:?}");
    }
    let made =
        put(json!({"numbers": ["2030"], "flow": {"module": "pivot", "data": {"voice_url": "http://app.test/"}}})).await;
    let made = made.data(201);
    assert_eq!(
        made["flow"]["data"]["method"], "get",
        "defaults are inserted"
    );
    assert_eq!(made["patterns"], json!([]));
    assert_eq!(
        put(callflow("2030")).await.rules(),
        [rule("numbers", "unique")]
    );
    let pattern = json!({"patterns": ["("], "flow": {"module": "hangup", "data": {}}});
    let odd = put(pattern).await;
    assert_eq!(odd.status, 201, "KAZOO takes any text as a pattern");
    assert!(
        odd.json()["warnings"].is_object(),
        "but it is said that it cannot match"
    );
    let own = format!("~/callflows/{}", made["id"].as_str().unwrap());
    assert_eq!(
        office
            .ask("PATCH", &own)
            .data(json!({"name": "x"}))
            .send()
            .await
            .status,
        200,
        "not in its own way"
    );
}

#[tokio::test]
async fn a_callflow_tells_about_the_documents_it_names() {
    let office = Office::new().await;
    let menu = office.create("menus", json!({"name": "main"})).await;
    let flow = json!({"numbers": ["100"], "flow": {"module": "menu", "data": {"id": menu}, "children": {}}});
    let id = office.create("callflows", flow).await;
    let read = office
        .ask("GET", &format!("~/callflows/{id}"))
        .send()
        .await
        .data(200);
    assert_eq!(
        read["metadata"],
        json!({&menu: {"name": "main", "pvt_type": "menu"}})
    );
    let back = office
        .ask("POST", &format!("~/callflows/{id}"))
        .data(read)
        .send()
        .await;
    assert_eq!(back.status, 200);
    let stored = office.directory.account(&office.account).unwrap().callflows[&id].clone();
    assert!(
        stored.get("metadata").is_none(),
        "what is shown only is not stored"
    );
}

#[tokio::test]
async fn a_number_leads_to_one_conference_in_one_role() {
    let office = Office::new().await;
    let daily =
        json!({"name": "daily", "conference_numbers": ["77"], "moderator": {"numbers": ["78"]}});
    let id = office.create("conferences", daily.clone()).await;
    let read = office
        .ask("GET", &format!("~/conferences/{id}"))
        .send()
        .await
        .data(200);
    assert_eq!(read["member"]["join_muted"], true, "{read}");
    assert_eq!(
        read["_read_only"],
        json!({"members": 0, "moderators": 0, "duration": 0, "is_locked": false, "participants": []})
    );
    let back = office
        .ask("POST", &format!("~/conferences/{id}"))
        .data(daily)
        .send()
        .await;
    assert_eq!(back.status, 200, "its own numbers are no conflict");
    for taken in [
        json!({"name": "x", "member": {"numbers": ["78"]}}),
        json!({"name": "x", "conference_numbers": ["5"], "member": {"numbers": ["5"]}}),
        json!({"name": "x", "conference_numbers": ["12a"]}),
    ] {
        let refused = office
            .ask("PUT", "~/conferences")
            .data(taken.clone())
            .send()
            .await;
        assert_eq!(refused.status, 400, "{taken}");
    }
    let nobody = office
        .ask("PUT", &format!("~/conferences/{id}/participants"))
        .data(json!({"action": "mute"}))
        .send()
        .await;
    assert_eq!(nobody.status, 404);
    let unknown = office
        .ask("PUT", &format!("~/conferences/{id}"))
        .data(json!({"action": "explode"}))
        .send()
        .await;
    assert_eq!(unknown.status, 400);
}

#[tokio::test]
async fn lists_have_entries_that_go_with_them() {
    let office = Office::new().await;
    let list = office.create("lists", json!({"name": "vip"})).await;
    let entries = format!("~/lists/{list}/entries");
    let made = office
        .ask("PUT", &entries)
        .data(json!({"number": "+1415", "displayname": "West"}))
        .send()
        .await
        .data(201);
    assert_eq!(made["list_id"], list);
    let entry = format!("{entries}/{}", made["id"].as_str().unwrap());
    assert_eq!(
        office
            .ask("PATCH", &entry)
            .data(json!({"displayname": "Coast"}))
            .send()
            .await
            .data(200)["displayname"],
        "Coast"
    );
    assert_eq!(
        office
            .ask("GET", &entries)
            .send()
            .await
            .data(200)
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let other = office.create("lists", json!({"name": "other"})).await;
    let through_other = entry.replace(&list, &other);
    assert_eq!(office.ask("GET", &through_other).send().await.status, 404);
    let bad = office
        .ask("PUT", &entries)
        .data(json!({"pattern": "("}))
        .send()
        .await;
    assert_eq!(bad.rules(), [("pattern".to_owned(), "pattern".to_owned())]);
    assert_eq!(
        office
            .ask("PUT", "~/lists/0123456789abcdef0123456789abcdef/entries")
            .data(json!({}))
            .send()
            .await
            .status,
        404
    );
    office
        .ask("DELETE", &format!("~/lists/{list}"))
        .send()
        .await
        .data(200);
    assert!(
        office
            .directory
            .account(&office.account)
            .unwrap()
            .list_entries
            .is_empty()
    );
}

#[tokio::test]
async fn a_users_devices_and_nobody_elses() {
    let office = Office::new().await;
    let user = office
        .create("users", json!({"first_name": "A", "last_name": "B"}))
        .await;
    let mine = office
        .create("devices", json!({"name": "mine", "owner_id": user}))
        .await;
    office.create("devices", json!({"name": "other"})).await;
    let found = office
        .ask("GET", &format!("~/users/{user}/devices"))
        .send()
        .await
        .data(200);
    assert_eq!(found.as_array().unwrap().len(), 1);
    assert_eq!(found[0]["id"], mine);
    let nobody = office
        .ask("GET", "~/users/0123456789abcdef0123456789abcdef/devices")
        .send()
        .await;
    assert_eq!(nobody.status, 404);
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

#[tokio::test]
async fn applying_the_same_file_again_changes_nothing() {
    let office = Office::new().await;
    let account = object(json!({"name": "demo", "realm": "demo.test"}));
    let documents = [
        (
            Kind::User,
            json!({"username": "Admin", "password": "a secret of the demo", "priv_level": "admin", "first_name": "A", "last_name": "B"}),
        ),
        (
            Kind::Device,
            json!({"name": "phone", "sip": {"username": "phone1", "password": "a secret of phone1"}}),
        ),
        (Kind::Menu, json!({"name": "main", "id": "main-menu"})),
        (
            Kind::Media,
            json!({"name": "p", "media_source": "upload", "prompt_id": "menu-invalid_entry", "language": "en-us"}),
        ),
        (Kind::Callflow, callflow("4155550100")),
    ];
    let mut before = Vec::new();
    for round in 0..2 {
        let saved = office
            .api
            .apply(Kind::Account, "", account.clone())
            .await
            .unwrap();
        assert_eq!(saved.changed, round == 0, "account");
        let mut ids = vec![saved.id.clone()];
        for (kind, document) in &documents {
            let one = office
                .api
                .apply(*kind, &saved.id, object(document.clone()))
                .await
                .unwrap();
            assert_eq!(one.changed, round == 0, "{kind:?}");
            ids.push(one.id);
        }
        if round == 1 {
            assert_eq!(ids, before);
        }
        before = ids;
    }
    assert_eq!(before[3], "main-menu", "an id in the file is kept");
    assert_eq!(before[4], "en-us/menu-invalid_entry");
    office.login("demo", "admin", "a secret of the demo").await;
    assert_eq!(
        office
            .ask("GET", &format!("/v2/accounts/{}/users", before[0]))
            .send()
            .await
            .status,
        200,
        "it stands below the first"
    );
    // What was stored, private keys included, is what an export holds: applying it changes nothing either.
    let stored = office.directory.account(&before[0]).unwrap();
    for kind in [Kind::Account, Kind::User, Kind::Device, Kind::Callflow] {
        for (id, doc) in stored.documents(kind) {
            let mut document = object((**doc).clone());
            document.insert("id".into(), json!(id));
            assert!(
                !office
                    .api
                    .apply(kind, &before[0], document)
                    .await
                    .unwrap()
                    .changed,
                "{kind:?}"
            );
        }
    }
    let bad = office
        .api
        .apply(
            Kind::Device,
            &before[0],
            object(json!({"sip": {"method": "x"}})),
        )
        .await
        .unwrap_err();
    assert!(
        bad.to_string().contains("sip.method") && bad.to_string().contains("name"),
        "{bad}"
    );
}
