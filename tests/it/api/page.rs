//! What only the page asks for: links that sign in once, a telephone for a tab, what happens right now.

use serde_json::{Value, json};

use super::Office;

async fn welcome(office: &Office, key: &str) -> super::Reply {
    let ask = office.bare("PUT", "/v2/welcome");
    ask.data(json!({"key": key})).send().await
}

#[tokio::test]
async fn a_link_signs_in_once_and_only_its_user() {
    let office = Office::new().await;
    let link = office.api.link(None, "Admin").unwrap();
    let key = link.strip_prefix("/welcome?key=").unwrap();
    assert_eq!(welcome(&office, "0123").await.status, 401);
    let reply = welcome(&office, key).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let token = reply.json()["auth_token"].as_str().unwrap().to_owned();
    let told = office
        .bare("GET", "/v2/token_auth")
        .header("x-auth-token", &token);
    assert_eq!(
        told.send().await.data(200)["account_id"],
        office.account.as_str()
    );
    assert_eq!(welcome(&office, key).await.status, 401, "once");
    assert!(office.api.link(None, "nobody").is_err());
    assert!(office.api.link(Some("elsewhere"), "admin").is_err());
}

#[tokio::test]
async fn a_token_makes_another_before_it_ends() {
    let office = Office::new().await;
    let reply = office
        .ask("PUT", "/v2/token_auth")
        .data(json!({}))
        .send()
        .await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let token = reply.json()["auth_token"].as_str().unwrap().to_owned();
    assert_ne!(token, office.token);
    let told = office
        .bare("GET", "/v2/token_auth")
        .header("x-auth-token", &token);
    assert_eq!(told.send().await.status, 200);
}

#[tokio::test]
async fn the_telephone_of_a_tab_may_call_and_is_shown_nowhere() {
    let office = Office::new().await;
    let lent = office
        .ask("PUT", "~/browser_phones")
        .data(json!({}))
        .send()
        .await
        .data(201);
    let text = |key: &str| lent[key].as_str().unwrap().to_owned();
    let (id, username, realm) = (text("id"), text("username"), text("realm"));
    let found = office.directory.secret(&realm, &username);
    let (_, device, secret) = found.expect("it is let in");
    assert_eq!(secret.reveal(), text("password"));
    assert!(device.owner_id.is_some(), "calls to the user ring there");
    for path in ["~/devices".to_owned(), format!("~/devices/{id}")] {
        let reply = office.ask("GET", &path).send().await;
        assert!(!reply.text().contains(&username), "{}", reply.text());
    }
    let delete = office
        .ask("DELETE", &format!("~/devices/{id}"))
        .send()
        .await;
    assert_eq!(delete.status, 404, "{}", delete.text());
    let path = format!("~/browser_phones/{id}");
    assert_eq!(
        office
            .ask("POST", &path)
            .data(json!({}))
            .send()
            .await
            .status,
        200
    );
    assert_eq!(office.ask("DELETE", &path).send().await.status, 200);
    assert!(office.directory.secret(&realm, &username).is_none());
    assert_eq!(
        office
            .ask("POST", &path)
            .data(json!({}))
            .send()
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn right_now_nobody_is_on_the_phone() {
    let office = Office::new().await;
    let now = office.ask("GET", "~/now").send().await.data(200);
    for list in ["calls", "problems", "trunks", "ended"] {
        assert_eq!(now[list], json!([]), "{list}");
    }
    assert_eq!(now["figures"]["calls"], 0);
    assert_eq!(
        now["figures"]["calls_per_s"].as_array().map(Vec::len),
        Some(60)
    );
    assert_eq!(
        now["phones"],
        json!({"registered": 0, "known": 0, "list": []})
    );
    assert_eq!(now["figures"]["mos"], Value::Null);
    let stranger = office
        .bare("GET", &format!("/v2/accounts/{}/now", office.account))
        .send()
        .await;
    assert_eq!(stranger.status, 401);
}

#[tokio::test]
async fn browsers_get_the_page_and_programs_the_api() {
    let office = Office::new().await;
    let browser = office
        .bare("GET", "/now")
        .header("accept", "text/html")
        .send()
        .await;
    assert_eq!(browser.header("content-type"), "text/html; charset=utf-8");
    let policy = browser.header("content-security-policy");
    assert!(
        policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
    let program = office
        .bare("GET", "/now")
        .header("accept", "application/json")
        .send()
        .await;
    assert_eq!(program.data(404)["message"], "not found");
    let api = office
        .bare("GET", "/v2/nothing")
        .header("accept", "text/html")
        .send()
        .await;
    assert_eq!(api.status, 404);
    assert_eq!(
        api.header("content-security-policy"),
        "",
        "the API is no page"
    );
}
