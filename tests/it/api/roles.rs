//! Who reaches what, over every path of the router: expired tokens, plain users, other accounts' ids, secrets, and names
//! that climb out of their folder (`security.md` rows 22, 24, 28).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use swivel::api::{HttpConfig, RateConfig};

use super::described::{below, guarded};
use super::{Office, callflow};

/// Nouns a plain user's token does everything with, as in KAZOO.
const EVERYBODYS: &[&str] = &[
    "about",
    "alerts",
    "apps_store",
    "blacklists",
    "browser_phones",
    "callflows",
    "cdrs",
    "channels",
    "clicktocall",
    "conferences",
    "devices",
    "directories",
    "documents",
    "external_numbers",
    "groups",
    "lens",
    "lists",
    "media",
    "menus",
    "metaflows",
    "now",
    "problems",
    "quickcall",
    "schemas",
    "search",
    "services",
    "temporal_rules",
    "temporal_rules_sets",
    "token_auth",
    "twiml",
    "webhooks",
    "websockets",
];
/// What only administrators may do: a noun and its verbs. `users` are their own.
const ADMINISTRATORS: &[(&str, &[&str])] = &[
    ("accounts", &["PUT", "POST", "PATCH", "DELETE", "GET"]),
    ("audit", &["GET"]),
    ("health_check", &["GET"]),
    ("limits", &["POST", "PATCH", "PUT", "DELETE"]),
    ("phone_numbers", &["POST", "PATCH", "PUT", "DELETE"]),
    // A replay runs somebody's code once more.
    ("pivot", &["POST"]),
    ("recordings", &["DELETE"]),
    // How many there are in all: for the first account.
    ("registrations", &["GET"]),
    ("resources", &["POST", "PATCH", "PUT", "DELETE", "GET"]),
    // The servers are the first account's.
    ("system_status", &["GET"]),
    ("user_auth", &["GET"]),
    ("users", &["POST", "PATCH", "PUT", "DELETE"]),
];

fn plenty() -> RateConfig {
    RateConfig {
        burst: 1_000_000,
        anonymous_burst: 1_000_000,
        ..RateConfig::default()
    }
}

fn noun(path: &str) -> &str {
    let path = path
        .strip_prefix("/accounts/{account_id}/")
        .unwrap_or(path.trim_start_matches('/'));
    let words = path.split('/').filter(|part| !part.starts_with('{'));
    let quick = path.contains("/quickcall");
    match words.into_iter().next().unwrap_or_default() {
        _ if quick => "quickcall",
        "api_key" | "children" | "descendants" | "siblings" | "parents" | "tree" => "accounts",
        noun => noun,
    }
}

#[tokio::test]
async fn an_expired_token_opens_nothing() {
    let office = Office::with(HttpConfig {
        rate: plenty(),
        token_seconds: 0,
        ..HttpConfig::default()
    })
    .await;
    for (verb, path) in guarded(&office).await {
        let path = below(&office.account, &path);
        let reply = office
            .bare(&verb, &path)
            .header("x-auth-token", &office.token)
            .send()
            .await;
        assert_eq!(reply.status, 401, "{verb} {path}: {}", reply.text());
    }
}

/// An account below the first; its id, a token of its administrator, one of a plain user.
async fn tenant(office: &Office, name: &str) -> (String, String, String) {
    let made = office.ask("PUT", "~").data(json!({"name": name})).send();
    let id = made.await.data(201)["id"].as_str().unwrap().to_owned();
    for (user, level) in [("boss", "admin"), ("clerk", "user")] {
        let data = json!({"first_name": user, "last_name": "X", "username": user, "priv_level": level,
                          "password": "a good password"});
        let path = format!("/v2/accounts/{id}/users");
        assert_eq!(office.ask("PUT", &path).data(data).send().await.status, 201);
    }
    let boss = office.login(name, "boss", "a good password").await;
    let clerk = office.login(name, "clerk", "a good password").await;
    (id, boss, clerk)
}

#[tokio::test]
async fn a_plain_user_reaches_what_the_table_says_and_a_new_path_has_to_be_in_it() {
    let office = Office::new().await;
    let (id, _, clerk) = tenant(&office, "one").await;
    let mut forbidden: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (verb, path) in guarded(&office).await {
        let noun = noun(&path);
        let row = ADMINISTRATORS.iter().find(|(known, _)| *known == noun);
        assert!(
            row.is_some() || EVERYBODYS.contains(&noun),
            "{verb} {path} is in no table: who may use {noun}?"
        );
        let asked = below(&id, &path);
        // Otherwise the token is gone for all that follow.
        if noun == "token_auth" && verb == "DELETE" {
            continue;
        }
        let reply = office
            .bare(&verb, &asked)
            .header("x-auth-token", &clerk)
            .data(json!({}))
            .send()
            .await;
        assert_ne!(reply.status, 401, "{verb} {path}: {}", reply.text());
        if reply.status == 403 {
            assert!(
                row.is_some_and(|(_, verbs)| verbs.contains(&verb.as_str())),
                "{verb} {path}: {}",
                reply.text()
            );
            forbidden.entry(noun.to_owned()).or_default().insert(verb);
        }
    }
    let all: Vec<&str> = forbidden.keys().map(String::as_str).collect();
    assert_eq!(
        all,
        [
            "accounts",
            "audit",
            "health_check",
            "limits",
            "phone_numbers",
            "pivot",
            "recordings",
            "registrations",
            "resources",
            "system_status",
            "user_auth",
            "users"
        ],
        "{forbidden:?}"
    );
}

/// A document of each kind, with a word in it that others must not read.
async fn furnish(office: &Office, account: &str, token: &str) -> Vec<(&'static str, String)> {
    let mut flow = callflow("777");
    flow["name"] = json!("canary flow");
    let documents = [
        ("devices", json!({"name": "canary device"})),
        ("callflows", flow),
        ("menus", json!({"name": "canary menu"})),
        ("conferences", json!({"name": "canary room"})),
        ("lists", json!({"name": "canary list"})),
        (
            "media",
            json!({"name": "canary media", "media_source": "upload"}),
        ),
        ("groups", json!({"name": "canary group", "endpoints": {}})),
        ("directories", json!({"name": "canary directory"})),
        ("blacklists", json!({"name": "canary blacklist"})),
        (
            "clicktocall",
            json!({"name": "canary click", "extension": "777"}),
        ),
        (
            "webhooks",
            json!({"name": "canary hook", "hook": "all", "uri": "https://hooks.example/"}),
        ),
        (
            "documents",
            json!({"name": "canary document", "flow_doc": "<Response/>"}),
        ),
        (
            "temporal_rules",
            json!({"name": "canary rule", "cycle": "daily"}),
        ),
        (
            "temporal_rules_sets",
            json!({"name": "canary set", "temporal_rules": ["00000000000000000000000000000001"]}),
        ),
        (
            "resources",
            json!({"name": "canary carrier", "gateways": [{"server": "sip.example"}]}),
        ),
    ];
    let mut ids = Vec::new();
    for (noun, data) in documents {
        let path = format!("/v2/accounts/{account}/{noun}");
        let made = office.bare("PUT", &path).header("x-auth-token", token);
        let made = made.data(data).send().await.data(201);
        ids.push((noun, made["id"].as_str().unwrap().to_owned()));
    }
    let users = office
        .bare("GET", &format!("/v2/accounts/{account}/users"))
        .header("x-auth-token", token);
    for user in users.send().await.data(200).as_array().unwrap() {
        ids.push(("users", user["id"].as_str().unwrap().to_owned()));
    }
    ids
}

#[tokio::test]
async fn ids_of_another_account_lead_nowhere_and_nothing_of_it_is_told() {
    let office = Office::new().await;
    let (theirs, their_boss, _) = tenant(&office, "theirs").await;
    let (own, boss, _) = tenant(&office, "own").await;
    let ids = furnish(&office, &theirs, &their_boss).await;
    let before = office.directory.account(&theirs).unwrap();
    let mut asked = 0;
    for (verb, path) in guarded(&office).await {
        if !path.starts_with("/accounts/{account_id}/") || noun(&path) == "token_auth" {
            continue;
        }
        let places = path.matches('{').count();
        let ids = if places > 1 { &ids[..] } else { &ids[..1] };
        for (_, id) in ids {
            let path = path.replace("{account_id}", &own);
            let parts = path.split('/').map(|part| match part.starts_with('{') {
                true => id.as_str(),
                false => part,
            });
            let path = format!("/v2{}", parts.collect::<Vec<_>>().join("/"));
            let reply = office.bare(&verb, &path).header("x-auth-token", &boss);
            let reply = reply.data(json!({})).send().await;
            assert!(
                !reply.text().contains("canary"),
                "{verb} {path}: {}",
                reply.text()
            );
            assert!(
                reply.status < 500 || reply.status == 503,
                "{verb} {path}: {}",
                reply.text()
            );
            asked += 1;
        }
    }
    assert!(asked > 1000, "{asked}");
    let after = office.directory.account(&theirs).unwrap();
    for (noun, id) in &ids {
        let kind = swivel::directory::Kind::named(noun).unwrap();
        let doc = |account: &swivel::directory::Account| account.document(kind, id).cloned();
        assert_eq!(doc(&before), doc(&after), "{noun} {id}");
    }
    let told = office
        .bare("GET", &format!("/v2/accounts/{theirs}/devices"))
        .header("x-auth-token", &boss);
    assert_eq!(told.send().await.status, 403);
}

#[tokio::test]
async fn secrets_of_documents_come_back_in_no_list_log_table_or_error() {
    let office = Office::new().await;
    // Who may change a document may read it, so that it can be written back; these are read by nobody.
    let never = [(
        "users",
        json!({"first_name": "a", "last_name": "b", "username": "carol", "password": "canary-1"}),
    )];
    let in_document = [
        (
            "devices",
            json!({"name": "d", "sip": {"username": "desk", "password": "canary-2"}}),
        ),
        (
            "resources",
            json!({"name": "c", "gateways": [{"server": "sip.example", "username": "u", "password": "canary-3"}]}),
        ),
        (
            "webhooks",
            json!({"name": "h", "hook": "all", "uri": "https://hooks.example/?key=canary-4"}),
        ),
        (
            "conferences",
            json!({"name": "r", "member": {"pins": ["4712"]}}),
        ),
    ];
    let mut own = BTreeSet::new();
    for (noun, data) in never.iter().chain(&in_document) {
        let id = office.create(noun, data.clone()).await;
        own.insert(format!("/v2/accounts/{}/{noun}/{id}", office.account));
    }
    let token = json!({"auth_token": "canary-5"});
    let changed = office.ask("PATCH", "~").data(token).send().await;
    assert!(!changed.text().contains("canary"), "{}", changed.text());
    for (verb, path) in guarded(&office).await {
        if verb != "GET" {
            continue;
        }
        let path = below(&office.account, &path);
        for query in ["", "?paginate=false", "?accept=csv", "?has_key=sip"] {
            let reply = office.ask("GET", &format!("{path}{query}")).send().await;
            let said = reply.text().replace("hooks.example/?key=canary-4", "");
            assert!(!said.contains("canary"), "{path}{query}: {said}");
        }
    }
    for path in own {
        let item = office.ask("GET", &path).send().await;
        let users = path.contains("/users/");
        assert_eq!(item.status, 200, "{path}");
        assert!(!users || !item.text().contains("canary"), "{path}");
        // A complaint does not repeat what was sent for a secret.
        let wrong = json!({"password": ["canary-6"], "sip": {"password": ["canary-7"]}, "gateways": [{"password": ["canary-8"]}]});
        let refused = office.ask("PATCH", &path).data(wrong).send().await;
        if refused.status == 200 {
            // Keys a kind does not know are kept as they came.
            continue;
        }
        assert!(
            !refused.text().contains("canary-6"),
            "{path}: {}",
            refused.text()
        );
        assert!(
            !refused.text().contains("canary-7"),
            "{path}: {}",
            refused.text()
        );
        assert!(
            !refused.text().contains("canary-8"),
            "{path}: {}",
            refused.text()
        );
    }
    let metrics = office.bare("GET", "/metrics").send().await.text();
    assert!(!metrics.contains("canary"));
}

#[tokio::test]
async fn no_name_climbs_out_of_its_folder() {
    let office = Office::new().await;
    let steps = [
        "..",
        "%2e%2e",
        ".%2e",
        "%252e%252e",
        "..%00",
        "%c0%ae%c0%ae",
        "..%5c",
        "..;",
        "%ef%bc%8e%ef%bc%8e",
        "....",
    ];
    let slashes = ["/", "%2f", "%5c", "\\", "//", "%252f", "%c0%af"];
    let goals = [
        "etc/passwd",
        "etc%2fpasswd",
        "Cargo.toml",
        "swivel.toml",
        "%00.wav",
        "con",
        "c:%5cwindows%5cwin.ini",
    ];
    let mut asked = 0;
    for step in steps {
        for slash in slashes {
            for goal in goals {
                let name = format!("{step}{slash}{step}{slash}{goal}");
                let name: String = name.replace('\\', "%5C");
                for path in [
                    format!("~/media/{name}/raw"),
                    format!("~/recordings/{name}/raw"),
                ] {
                    let reply = office.ask("GET", &path).send().await;
                    assert!(
                        (400..500).contains(&reply.status),
                        "{path}: {}",
                        reply.status
                    );
                    let said = reply.text();
                    assert!(
                        !said.contains("root:") && !said.contains("[package]"),
                        "{path}"
                    );
                    asked += 1;
                }
            }
        }
    }
    assert!(asked >= 500, "{asked}");
    let climbs =
        json!({"name": "x", "media_source": "upload", "prompt_id": "../../x", "language": "../.."});
    let refused = office.ask("PUT", "~/media").data(climbs).send().await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    let value: Value = refused.json();
    assert!(value["data"]["prompt_id"].is_object(), "{value}");
}

#[tokio::test]
async fn requests_browsers_send_across_origins_do_nothing_without_a_token() {
    let office = Office::new().await;
    let path = format!("/v2/accounts/{}/menus", office.account);
    let body = json!({"data": {"name": "forged"}}).to_string();
    let form = format!("data={}", json!({"name": "forged"}));
    let mut shapes = 0;
    for origin in [
        "https://evil.example",
        "null",
        "http://localhost",
        "file://",
    ] {
        for (kind, body) in [
            ("text/plain", &body),
            ("application/x-www-form-urlencoded", &form),
            ("application/x-www-form-urlencoded", &body),
            ("multipart/form-data; boundary=x", &body),
            ("application/json", &body),
        ] {
            let reply = office
                .bare("POST", &format!("{path}?verb=PUT"))
                .header("origin", origin)
                .header("cookie", &format!("auth_token={}", office.token))
                .body(kind, body.as_bytes());
            let reply = reply.send().await;
            assert_eq!(reply.status, 401, "{origin} {kind}: {}", reply.text());
            assert_eq!(reply.header("access-control-allow-credentials"), "");
            shapes += 1;
        }
    }
    assert_eq!(shapes, 20);
    let menus = office.ask("GET", "~/menus").send().await.data(200);
    assert_eq!(menus, json!([]));
}
