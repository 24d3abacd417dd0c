//! Who may ask what (`api.md` §2, `security.md` row 24).

use serde_json::{Value, json};
use sha1::Digest as _;
use swivel::api::HttpConfig;

use super::{Office, callflow, hash};

/// A second account below the first, with an administrator and a plain user; their tokens.
async fn tenant(office: &Office, name: &str) -> (String, String, String) {
    let account = json!({"name": name, "realm": format!("{name}.test")});
    let made = office
        .ask("PUT", "/v2/accounts")
        .data(account)
        .send()
        .await
        .data(201);
    let id = made["id"].as_str().unwrap().to_owned();
    for (user, level) in [("boss", "admin"), ("clerk", "user")] {
        let data = json!({"first_name": user, "last_name": name, "username": user, "priv_level": level,
                          "password": format!("{user}-secret-of-{name}")});
        let reply = office
            .ask("PUT", &format!("/v2/accounts/{id}/users"))
            .data(data)
            .send()
            .await;
        assert_eq!(reply.status, 201, "{}", reply.text());
    }
    let boss = office
        .login(name, "boss", &format!("boss-secret-of-{name}"))
        .await;
    let clerk = office
        .login(name, "clerk", &format!("clerk-secret-of-{name}"))
        .await;
    (id, boss, clerk)
}

#[tokio::test]
async fn a_login_gives_a_token_and_says_who_it_is_for() {
    let office = Office::new().await;
    let credentials = hash("admin", &office.password);
    let sha = hex::encode(sha1::Sha1::digest(format!("admin:{}", office.password)));
    for data in [
        json!({"credentials": credentials, "account_name": "default"}),
        json!({"credentials": credentials, "account_name": "D e-fault!", "method": "md5"}),
        json!({"credentials": credentials.to_uppercase(), "account_realm": "PBX.example"}),
        json!({"credentials": credentials, "realm": "pbx.example"}),
        json!({"credentials": sha, "account_name": "default", "method": "sha"}),
        json!({"credentials": sha, "account_name": "default", "method": "sha1"}),
        json!({"credentials": credentials, "any_account": true}),
    ] {
        let reply = office.login_reply(data.clone()).await;
        assert_eq!(reply.status, 201, "{data}: {}", reply.text());
        let body = reply.json();
        assert_eq!(body["data"]["account_id"], office.account);
        assert_eq!(body["data"]["owner_id"].as_str().unwrap().len(), 32);
        assert_eq!(body["data"]["language"], "en-US");
        assert_eq!(
            body["auth_token"].as_str().unwrap().split('.').count(),
            3,
            "browsers decode the middle part"
        );
    }
    let reply = office.bare("PUT", "/v2/user_auth");
    let reply = reply.envelope(
        json!({"method": "sha1", "data": {"credentials": sha, "account_name": "default"}}),
    );
    assert_eq!(
        reply.send().await.status,
        201,
        "the method may stand in the envelope"
    );
}

#[tokio::test]
async fn a_wrong_login_says_nothing_about_why() {
    let office = Office::new().await;
    let right = hash("admin", &office.password);
    let mut answers = Vec::new();
    for data in [
        json!({"credentials": hash("admin", "wrong"), "account_name": "default"}),
        json!({"credentials": hash("nobody", "x"), "account_name": "default"}),
        json!({"credentials": right, "account_name": "elsewhere"}),
        json!({"credentials": right, "account_realm": "elsewhere.test"}),
        json!({"credentials": right}),
        json!({"credentials": right, "account_name": "default", "method": "sha"}),
    ] {
        let reply = office.login_reply(data).await;
        assert_eq!(reply.status, 401);
        let mut body = reply.json();
        for key in ["request_id", "timestamp", "tokens"] {
            body.as_object_mut().unwrap().remove(key);
        }
        answers.push(body);
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(answers[0]["message"], "invalid_credentials");
    let empty = office.login_reply(json!({"account_name": "default"})).await;
    assert_eq!(
        empty.rules(),
        [("credentials".to_owned(), "required".to_owned())]
    );
    let method = office
        .login_reply(json!({"credentials": right, "method": "rot13"}))
        .await;
    assert_eq!(method.rules(), [("method".to_owned(), "enum".to_owned())]);
}

#[tokio::test]
async fn a_token_travels_by_header_query_body_or_bearer() {
    let office = Office::new().await;
    let path = format!("/v2/accounts/{}/menus", office.account);
    let token = office.token.as_str();
    let query = format!("{path}?auth_token={token}");
    assert_eq!(
        office
            .bare("GET", &path)
            .header("X-Auth-Token", token)
            .send()
            .await
            .status,
        200
    );
    assert_eq!(office.bare("GET", &query).send().await.status, 200);
    let bearer = format!("Bearer {token}");
    assert_eq!(
        office
            .bare("GET", &path)
            .header("authorization", &bearer)
            .send()
            .await
            .status,
        200
    );
    let body = json!({"auth_token": token, "data": {"name": "m"}});
    assert_eq!(
        office.bare("PUT", &path).envelope(body).send().await.status,
        201
    );
    let own = office
        .bare("GET", "/v2/account/menus")
        .header("x-auth-token", token)
        .send()
        .await;
    assert_eq!(
        own.data(200).as_array().unwrap().len(),
        1,
        "/account is the account of the token"
    );
    assert_eq!(
        office.bare("GET", "/v2/account/menus").send().await.status,
        401
    );
}

#[tokio::test]
async fn what_a_token_says_can_be_asked_and_a_token_ended() {
    let office = Office::new().await;
    let token = office.login("default", "admin", &office.password).await;
    let with =
        |method: &'static str, path: &str| office.bare(method, path).header("x-auth-token", &token);
    let told = with("GET", &format!("/v2/user_auth/{token}")).send().await;
    assert_eq!(told.data(200)["account_id"], office.account);
    assert_eq!(
        with("GET", &format!("/v2/user_auth/{}", office.token))
            .send()
            .await
            .status,
        403,
        "not this token"
    );
    assert_eq!(
        with("GET", "/v2/token_auth").send().await.data(200)["method"],
        "cb_user_auth"
    );
    assert_eq!(with("DELETE", "/v2/token_auth").send().await.status, 200);
    assert_eq!(with("GET", "/v2/token_auth").send().await.status, 401);
    assert_eq!(
        office.ask("GET", "/v2/token_auth").send().await.status,
        200,
        "others go on"
    );
}

#[tokio::test]
async fn a_new_password_ends_old_tokens_and_a_disabled_user_has_none() {
    let office = Office::new().await;
    let (id, boss, _) = tenant(&office, "acme").await;
    let users = office
        .ask(
            "GET",
            &format!("/v2/accounts/{id}/users?filter_username=boss"),
        )
        .send()
        .await
        .data(200);
    let user = format!(
        "/v2/accounts/{id}/users/{}",
        users[0]["id"].as_str().unwrap()
    );
    let with_boss = || office.bare("GET", &user).header("x-auth-token", &boss);
    assert_eq!(with_boss().send().await.status, 200);
    office
        .ask("PATCH", &user)
        .data(json!({"password": "another-long-secret"}))
        .send()
        .await
        .data(200);
    assert_eq!(with_boss().send().await.status, 401);
    let again = office.login("acme", "boss", "another-long-secret").await;
    office
        .ask("PATCH", &user)
        .data(json!({"enabled": false}))
        .send()
        .await
        .data(200);
    assert_eq!(
        office
            .bare("GET", &user)
            .header("x-auth-token", &again)
            .send()
            .await
            .status,
        401
    );
    let credentials = hash("boss", "another-long-secret");
    assert_eq!(
        office
            .login_reply(json!({"credentials": credentials, "account_name": "acme"}))
            .await
            .status,
        401
    );
}

#[tokio::test]
async fn a_disabled_account_is_locked_until_one_above_mends_it() {
    let office = Office::new().await;
    let (id, boss, _) = tenant(&office, "acme").await;
    let path = format!("/v2/accounts/{id}");
    let own = office
        .bare("PATCH", &path)
        .header("x-auth-token", &boss)
        .data(json!({"enabled": false}))
        .send()
        .await;
    assert_eq!(
        own.data(200)["enabled"],
        true,
        "an account does not disable itself"
    );
    office
        .ask("PATCH", &path)
        .data(json!({"enabled": false}))
        .send()
        .await
        .data(200);
    let locked = office
        .bare("GET", &path)
        .header("x-auth-token", &boss)
        .send()
        .await;
    assert_eq!(locked.status, 423);
    assert!(locked.json()["data"]["account"]["disabled"].is_object());
    let data = json!({"credentials": hash("boss", "boss-secret-of-acme"), "account_name": "acme"});
    assert_eq!(office.login_reply(data).await.status, 423);
    office
        .ask("PATCH", &path)
        .data(json!({"enabled": true}))
        .send()
        .await
        .data(200);
    assert_eq!(
        office
            .bare("GET", &path)
            .header("x-auth-token", &boss)
            .send()
            .await
            .status,
        200
    );
}

/// Every path with every verb: with nothing in the middle, `{id}` stands for a document.
const ROUTES: &[(&str, &[&str])] = &[
    ("", &["GET", "PUT", "POST", "PATCH", "DELETE"]),
    ("/children", &["GET"]),
    ("/descendants", &["GET"]),
    ("/siblings", &["GET"]),
    ("/parents", &["GET"]),
    ("/tree", &["GET"]),
    ("/users", &["GET", "PUT"]),
    ("/users/{users}", &["GET", "POST", "PATCH", "DELETE"]),
    ("/users/{users}/devices", &["GET"]),
    ("/users/{users}/cdrs", &["GET"]),
    ("/devices", &["GET", "PUT"]),
    ("/devices/status", &["GET"]),
    ("/devices/{devices}", &["GET", "POST", "PATCH", "DELETE"]),
    ("/callflows", &["GET", "PUT"]),
    (
        "/callflows/{callflows}",
        &["GET", "POST", "PATCH", "DELETE"],
    ),
    ("/menus", &["GET", "PUT"]),
    ("/menus/{menus}", &["GET", "POST", "PATCH", "DELETE"]),
    ("/conferences", &["GET", "PUT"]),
    (
        "/conferences/{conferences}",
        &["GET", "POST", "PATCH", "DELETE"],
    ),
    ("/lists", &["GET", "PUT"]),
    ("/lists/{lists}", &["GET", "POST", "PATCH", "DELETE"]),
    ("/lists/{lists}/entries", &["GET", "PUT"]),
    ("/media", &["GET", "PUT"]),
    ("/media/languages", &["GET"]),
    ("/media/prompts", &["GET"]),
    ("/media/preview", &["POST"]),
    ("/media/{media}", &["GET", "POST", "PATCH", "DELETE"]),
    ("/media/{media}/raw", &["GET", "POST"]),
    ("/cdrs", &["GET"]),
    ("/cdrs/interaction", &["GET"]),
    ("/cdrs/197001-x", &["GET"]),
    ("/cdrs/legs/197001-x", &["GET"]),
    ("/pivot/debug", &["GET"]),
    ("/pivot/debug/x", &["GET"]),
    ("/audit", &["GET"]),
];

/// An account with one document of each kind; the routes with its ids.
async fn furnished(
    office: &Office,
    account: &str,
    token: &str,
) -> Vec<(String, &'static [&'static str])> {
    let mut ids = Vec::new();
    for (noun, data) in [
        (
            "users",
            json!({"first_name": "a", "last_name": "b", "username": "furnished", "password": "canary-password-1"}),
        ),
        (
            "devices",
            json!({"name": "d", "sip": {"username": "furnished", "password": "canary-password-2"}}),
        ),
        ("callflows", callflow("777")),
        ("menus", json!({"name": "m"})),
        ("conferences", json!({"name": "c"})),
        ("lists", json!({"name": "l"})),
        ("media", json!({"name": "x", "media_source": "upload"})),
    ] {
        let path = format!("/v2/accounts/{account}/{noun}");
        let made = office
            .bare("PUT", &path)
            .header("x-auth-token", token)
            .data(data)
            .send()
            .await
            .data(201);
        ids.push((
            format!("{{{noun}}}"),
            made["id"].as_str().unwrap().to_owned(),
        ));
    }
    let filled = ROUTES.iter().map(|(route, verbs)| {
        let route = ids.iter().fold((*route).to_owned(), |route, (place, id)| {
            route.replace(place, id)
        });
        (format!("/v2/accounts/{account}{route}"), *verbs)
    });
    filled.collect()
}

#[tokio::test]
async fn every_route_refuses_no_token_a_bad_one_and_another_tenants() {
    let office = Office::new().await;
    let (_, stranger, _) = tenant(&office, "stranger").await;
    let (id, boss, _) = tenant(&office, "acme").await;
    let revoked = office.login("acme", "boss", "boss-secret-of-acme").await;
    office
        .bare("DELETE", "/v2/token_auth")
        .header("x-auth-token", &revoked)
        .send()
        .await
        .data(200);
    for (path, verbs) in furnished(&office, &id, &boss).await {
        for verb in verbs {
            let body = json!({"name": "stolen", "first_name": "x", "last_name": "y"});
            let none = office.bare(verb, &path).data(body.clone()).send().await;
            assert_eq!(
                none.status,
                401,
                "{verb} {path} without a token: {}",
                none.text()
            );
            for token in ["x", "a.b.c", &revoked, &format!("{boss}x")] {
                let bad = office
                    .bare(verb, &path)
                    .header("x-auth-token", token)
                    .data(body.clone())
                    .send()
                    .await;
                assert_eq!(bad.status, 401, "{verb} {path} with {token}");
            }
            let other = office
                .bare(verb, &path)
                .header("x-auth-token", &stranger)
                .data(body.clone())
                .send()
                .await;
            assert_eq!(
                other.status,
                403,
                "{verb} {path} with another tenant's token: {}",
                other.text()
            );
            assert!(!other.text().contains("canary"));
        }
    }
    let account = office.directory.account(&id).unwrap();
    assert_eq!(account.name, "acme", "nothing was changed");
    assert_eq!(account.menus.len(), 1);
}

#[tokio::test]
async fn one_tenants_documents_are_not_reachable_through_anothers_path() {
    let office = Office::new().await;
    let (one, one_token, _) = tenant(&office, "one").await;
    let (two, two_token, _) = tenant(&office, "two").await;
    let routes = furnished(&office, &one, &one_token).await;
    // Only routes that name a document: the ids in them are the first tenant's.
    for ((path, verbs), _) in routes
        .into_iter()
        .zip(ROUTES)
        .filter(|(_, (template, _))| template.contains('{'))
    {
        let mine = path.replace(&one, &two);
        for verb in verbs {
            let reply = office
                .bare(verb, &mine)
                .header("x-auth-token", &two_token)
                .data(json!({}))
                .send()
                .await;
            assert_eq!(reply.status, 404, "{verb} {mine}: {}", reply.text());
        }
    }
}

#[tokio::test]
async fn the_account_above_reaches_those_below_and_not_the_other_way() {
    let office = Office::new().await;
    let (id, boss, _) = tenant(&office, "acme").await;
    assert_eq!(
        office
            .ask("GET", &format!("/v2/accounts/{id}/users"))
            .send()
            .await
            .status,
        200
    );
    let up = office
        .bare("GET", &format!("/v2/accounts/{}", office.account))
        .header("x-auth-token", &boss)
        .send()
        .await;
    assert_eq!(up.status, 403);
    let all = office
        .bare("GET", "/v2/accounts")
        .header("x-auth-token", &boss)
        .send()
        .await;
    assert_eq!(all.status, 403, "only the first account lists all");
    assert_eq!(
        office
            .ask("GET", "/v2/accounts")
            .send()
            .await
            .data(200)
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let below = office
        .bare("PUT", "/v2/accounts")
        .header("x-auth-token", &boss)
        .data(json!({"name": "grandchild"}));
    let below = below.send().await.data(201)["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        office
            .ask("GET", &format!("/v2/accounts/{below}"))
            .send()
            .await
            .status,
        200
    );
    let tree = office
        .ask("GET", &format!("/v2/accounts/{below}/tree"))
        .send()
        .await
        .data(200);
    let names: Vec<_> = tree
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["default", "acme"]);
}

#[tokio::test]
async fn a_plain_user_changes_itself_but_not_others_nor_its_rights() {
    let office = Office::new().await;
    let (id, _, clerk) = tenant(&office, "acme").await;
    let users = office
        .ask("GET", &format!("/v2/accounts/{id}/users"))
        .send()
        .await
        .data(200);
    let path_of = |name: &str| {
        let row = users
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["username"] == name)
            .unwrap();
        format!("/v2/accounts/{id}/users/{}", row["id"].as_str().unwrap())
    };
    let ask = |verb: &'static str, path: &str, data: Value| {
        office
            .bare(verb, path)
            .header("x-auth-token", &clerk)
            .data(data)
    };
    assert_eq!(
        ask(
            "PATCH",
            &path_of("clerk"),
            json!({"timezone": "Europe/Berlin"})
        )
        .send()
        .await
        .status,
        200
    );
    assert_eq!(
        ask("PATCH", &path_of("clerk"), json!({"priv_level": "admin"}))
            .send()
            .await
            .status,
        403
    );
    assert_eq!(
        ask(
            "PATCH",
            &path_of("boss"),
            json!({"password": "taken over by clerk"})
        )
        .send()
        .await
        .status,
        403
    );
    assert_eq!(
        ask("DELETE", &path_of("boss"), json!({}))
            .send()
            .await
            .status,
        403
    );
    assert_eq!(
        ask(
            "PATCH",
            &format!("/v2/accounts/{id}"),
            json!({"name": "mine"})
        )
        .send()
        .await
        .status,
        403
    );
    assert_eq!(
        ask("GET", &format!("/v2/accounts/{id}/audit"), json!({}))
            .send()
            .await
            .status,
        403
    );
}

#[tokio::test]
async fn the_third_login_at_once_is_too_many() {
    let office = Office::with(HttpConfig::default()).await;
    let data = json!({"credentials": "0".repeat(32), "account_name": "default"});
    let mut seen = Vec::new();
    for _ in 0..3 {
        let reply = office
            .bare("PUT", "/v2/user_auth")
            .from("198.51.100.7")
            .data(data.clone())
            .send()
            .await;
        seen.push(reply.status);
    }
    assert_eq!(seen, [401, 401, 429]);
    let other = office
        .bare("PUT", "/v2/user_auth")
        .from("198.51.100.8")
        .data(data.clone())
        .send()
        .await;
    assert_eq!(other.status, 401, "another address has its own bucket");
    let forwarded = office
        .bare("PUT", "/v2/user_auth")
        .from("198.51.100.7")
        .header("x-forwarded-for", "1.2.3.4");
    assert_eq!(
        forwarded.data(data.clone()).send().await.status,
        429,
        "anybody can claim to come from elsewhere"
    );
    let proxied = office
        .bare("PUT", "/v2/user_auth")
        .from("127.0.0.1")
        .header("x-forwarded-for", "9.9.9.9, 1.2.3.4");
    assert_eq!(
        proxied.data(data).send().await.status,
        401,
        "a proxy that is believed"
    );
}

#[tokio::test]
async fn secrets_are_never_given_back() {
    let office = Office::new().await;
    let data = json!({"first_name": "a", "last_name": "b", "username": "carol", "password": "canary-password"});
    let made = office.ask("PUT", "~/users").data(data).send().await;
    let id = made.data(201)["id"].as_str().unwrap().to_owned();
    let hashes = [
        hash("carol", "canary-password"),
        hex::encode(sha1::Sha1::digest("carol:canary-password")),
    ];
    let mut texts = vec![made.text()];
    for path in [
        format!("~/users/{id}"),
        "~/users".to_owned(),
        "~/users?accept=csv".to_owned(),
        "~/audit".to_owned(),
    ] {
        texts.push(office.ask("GET", &path).send().await.text());
    }
    texts.push(
        office
            .ask("PATCH", &format!("~/users/{id}"))
            .data(json!({"password": "canary-password-2"}))
            .send()
            .await
            .text(),
    );
    texts.push(
        office
            .ask("DELETE", &format!("~/users/{id}"))
            .send()
            .await
            .text(),
    );
    for filter in ["filter_pvt_md5_auth", "filter_not_pvt_md5_auth"] {
        let probe = office
            .ask("GET", &format!("~/users?{filter}={}", hashes[0]))
            .send()
            .await
            .text();
        assert!(
            !probe.contains(&id) || filter.contains("not"),
            "hashes cannot be guessed by filters"
        );
    }
    for text in texts {
        assert!(!text.contains("canary"), "{text}");
        assert!(
            !hashes.iter().any(|hash| text.contains(hash.as_str())),
            "{text}"
        );
    }
}

#[tokio::test]
async fn the_name_of_an_endpoint_below_a_kind_of_document_is_an_id_like_any_other() {
    let office = Office::new().await;
    for path in [
        "~/menus/token_auth",
        "~/menus/user_auth",
        "~/callflows/accounts",
        "~/users/token_auth",
        "~/devices/webhooks",
    ] {
        let reply = office.ask("DELETE", path).send().await;
        assert_eq!(reply.status, 404, "{path}: {}", reply.text());
    }
    assert_eq!(office.ask("GET", "~/menus").send().await.status, 200);
    assert_eq!(
        office.ask("DELETE", "~/token_auth").send().await.status,
        200
    );
    assert_eq!(office.ask("GET", "~/menus").send().await.status, 401);
}
