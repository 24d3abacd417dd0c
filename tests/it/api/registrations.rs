//! `/registrations` and message lamps, as far as they can be asked about without phones. With phones:
//! `tests/it/registrar`, `tests/live/registrar.rs`.

use serde_json::json;

use super::Office;

async fn device(office: &Office) -> String {
    let document =
        json!({"name": "Desk", "sip": {"username": "desk", "password": "a-long-secret"}});
    office.create("devices", document).await
}

#[tokio::test]
async fn nobody_is_registered_where_no_phone_is() {
    let office = Office::new().await;
    device(&office).await;
    for (path, expected) in [
        ("~/registrations", json!([])),
        ("~/registrations/count", json!({"count": 0})),
        ("/v2/registrations/count", json!({"count": 0})),
        ("~/devices/status", json!([])),
    ] {
        let reply = office.ask("GET", path).send().await;
        assert_eq!(reply.data(200), expected, "{path}");
    }
    assert_eq!(
        office
            .ask("DELETE", "~/registrations")
            .send()
            .await
            .data(200),
        "ok"
    );
    assert_eq!(
        office
            .ask("DELETE", "~/registrations/DESK")
            .send()
            .await
            .data(200),
        "ok",
        "a user name that could be registered"
    );
    let reply = office.ask("DELETE", "~/registrations/nobody").send().await;
    assert_eq!(reply.status, 404, "{}", reply.text());
    let reply = office.ask("GET", "/v2/registrations").send().await;
    assert_eq!(reply.status, 404, "everybody's are only counted");
    let reply = office
        .ask("PUT", "~/registrations")
        .data(json!({}))
        .send()
        .await;
    assert_eq!(reply.status, 405, "{}", reply.text());
    let reply = office.bare("GET", "/v2/registrations/count").send().await;
    assert_eq!(reply.status, 401, "{}", reply.text());
}

#[tokio::test]
async fn messages_are_counted_in_whole_numbers_for_devices_and_users_that_exist() {
    let office = Office::new().await;
    let id = device(&office).await;
    let path = format!("~/devices/{id}/mwi");
    let none = json!({"new": 0, "saved": 0, "urgent_new": 0, "urgent_saved": 0});
    assert_eq!(office.ask("GET", &path).send().await.data(200), none);
    let reply = office
        .ask("POST", &path)
        .data(json!({"new": 2, "saved": 1}))
        .send()
        .await;
    let expected = json!({"new": 2, "saved": 1, "urgent_new": 0, "urgent_saved": 0});
    assert_eq!(reply.data(200), expected);
    assert_eq!(office.ask("DELETE", &path).send().await.data(200), none);
    for (data, field, rule) in [
        (json!({"saved": 1}), "new", "required"),
        (json!({"new": -1}), "new", "type"),
        (json!({"new": "2"}), "new", "type"),
        (json!({"new": 1, "saved": 1.5}), "saved", "type"),
        (json!({"new": 1_000_001}), "new", "type"),
        (json!({"new": 1, "old": 1}), "old", "additionalProperties"),
    ] {
        let reply = office.ask("POST", &path).data(data).send().await;
        assert_eq!(reply.rules(), [(field.to_owned(), rule.to_owned())]);
    }
    for path in [
        "~/devices/none/mwi",
        "~/users/none/mwi",
        "~/devices/none/sync",
    ] {
        let reply = office
            .ask("POST", path)
            .data(json!({"new": 1}))
            .send()
            .await;
        assert_eq!(reply.status, 404, "{path}: {}", reply.text());
    }
    let reply = office
        .ask("POST", &format!("~/devices/{id}/sync"))
        .data(json!({}))
        .send()
        .await;
    assert_eq!(reply.data(200), json!({"phones": 0}));
}
