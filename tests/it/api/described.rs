//! What the description of the API says needs a token does need one: of its own account, or of one above it. The paths
//! are those of the router itself, so a new endpoint is in here without a word.

use serde_json::{Value, json};

use super::Office;

/// Every path with its verbs that need a token.
pub async fn guarded(office: &Office) -> Vec<(String, String)> {
    let reply = office.bare("GET", "/v2/openapi.json").send().await;
    assert_eq!(reply.status, 200);
    let document = reply.json();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (verb, operation) in item.as_object().unwrap() {
            let open = operation["security"] == json!([]);
            if verb != "parameters" && !open {
                all.push((verb.to_uppercase(), path.clone()));
            }
        }
    }
    assert!(all.len() > 100, "{}", all.len());
    all
}

pub fn below(account: &str, path: &str) -> String {
    let path = path.replace("{account_id}", account);
    let parts = path.split('/').map(|part| match part.starts_with('{') {
        true => "00000000000000000000000000000009",
        false => part,
    });
    format!("/v2{}", parts.collect::<Vec<_>>().join("/"))
}

fn word(reply: &super::Reply) -> Value {
    reply.json()["message"].clone()
}

#[tokio::test]
async fn without_a_token_or_with_a_wrong_one_nothing_is_told() {
    let office = Office::new().await;
    for (verb, path) in guarded(&office).await {
        let path = below(&office.account, &path);
        for token in ["", "x", "eyJhbGciOiJub25lIn0.eyJpc3MiOiJrYXpvbyJ9."] {
            let reply = office
                .bare(&verb, &path)
                .header("x-auth-token", token)
                .send()
                .await;
            assert_eq!(
                reply.status,
                401,
                "{verb} {path} with {token:?}: {}",
                reply.text()
            );
            assert_eq!(word(&reply), json!("invalid_credentials"));
        }
    }
}

#[tokio::test]
async fn the_token_of_another_account_reaches_nothing_of_this_one() {
    let office = Office::new().await;
    let mut accounts = Vec::new();
    for name in ["one", "two"] {
        let below = office
            .ask("PUT", "~")
            .data(json!({ "name": name }))
            .send()
            .await
            .data(201);
        let id = below["id"].as_str().unwrap().to_owned();
        let user = json!({"first_name": "A", "last_name": "B", "username": "ann", "password": "a good password", "priv_level": "admin"});
        let path = format!("/v2/accounts/{id}/users");
        assert_eq!(office.ask("PUT", &path).data(user).send().await.status, 201);
        let token = office.login(name, "ann", "a good password").await;
        accounts.push((id, token));
    }
    for (verb, path) in guarded(&office).await {
        if !path.starts_with("/accounts/{account_id}") {
            continue;
        }
        for (own, other) in [(0, 1), (1, 0)] {
            let path = below(&accounts[other].0, &path);
            let reply = office
                .bare(&verb, &path)
                .header("x-auth-token", &accounts[own].1)
                .send()
                .await;
            assert_eq!(reply.status, 403, "{verb} {path}: {}", reply.text());
        }
        // Not even the account above, from below.
        let path = below(&office.account, &path);
        let reply = office
            .bare(&verb, &path)
            .header("x-auth-token", &accounts[0].1)
            .send()
            .await;
        assert_eq!(reply.status, 403, "{verb} {path}: {}", reply.text());
    }
}
