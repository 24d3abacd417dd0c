//! Twilio's paths: who may ask, what is refused, and how that is said.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Office, Reply};

/// Every path, with every method it knows.
const PATHS: [(&str, &[&str]); 13] = [
    (".json", &["GET"]),
    ("/Calls.json", &["GET", "POST"]),
    ("/Calls/CA1.json", &["GET", "POST"]),
    ("/Calls/CA1/Recordings.json", &["GET", "POST"]),
    ("/Calls/CA1/Recordings/RE1.json", &["GET", "POST", "DELETE"]),
    ("/Recordings.json", &["GET"]),
    ("/Recordings/RE1.json", &["GET", "DELETE"]),
    ("/Recordings/RE1.wav", &["GET"]),
    ("/Recordings/RE1", &["GET"]),
    ("/Conferences.json", &["GET"]),
    ("/Conferences/CF1.json", &["GET", "POST"]),
    ("/Conferences/CF1/Participants.json", &["GET", "POST"]),
    (
        "/Conferences/CF1/Participants/CA1.json",
        &["GET", "POST", "DELETE"],
    ),
];

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

async fn ask(office: &Office, method: &str, path: &str, credentials: &str, form: &str) -> Reply {
    let asked = office.bare(method, path);
    let asked = match credentials {
        "" => asked,
        credentials => asked.header("authorization", credentials),
    };
    let form = form.as_bytes();
    asked
        .body("application/x-www-form-urlencoded", form)
        .send()
        .await
}

#[tokio::test]
async fn only_an_accounts_own_token_or_one_above_it_opens_twilios_paths() {
    let office = Office::new().await;
    let mut ids = Vec::new();
    for name in ["one", "two", "three"] {
        let made = office
            .ask("PUT", "~")
            .data(json!({"name": name}))
            .send()
            .await;
        ids.push(made.data(201)["id"].as_str().unwrap().to_owned());
    }
    // The third has no token: nothing opens it, not even an empty one.
    for (id, token) in [
        (&office.account, "first"),
        (&ids[0], "token-1"),
        (&ids[1], "token-2"),
    ] {
        let path = format!("/v2/accounts/{id}");
        let set = office
            .ask("PATCH", &path)
            .data(json!({"auth_token": token}));
        assert_eq!(set.send().await.status, 200);
    }
    let (own, other, bare) = (&ids[0], &ids[1], &ids[2]);
    for (path, methods) in PATHS {
        for method in methods {
            for sid in [own.clone(), format!("AC{own}")] {
                let path = format!("/2010-04-01/Accounts/{sid}{path}");
                let kazoo = format!("Bearer {}", office.token);
                for credentials in [
                    "",
                    "Basic",
                    "Basic !",
                    &kazoo,
                    &basic(own, ""),
                    &basic(own, "token-2"),
                    &basic(bare, ""),
                    &basic("", "token-1"),
                ] {
                    let reply = ask(&office, method, &path, credentials, "").await;
                    assert_eq!(reply.status, 401, "{method} {path} {credentials}");
                    let said = reply.json();
                    assert_eq!(
                        (&said["code"], &said["status"]),
                        (&json!(20003), &json!(401))
                    );
                    assert!(reply.header("www-authenticate").starts_with("Basic "));
                }
                let stranger = basic(other, "token-2");
                let reply = ask(&office, method, &path, &stranger, "").await;
                assert_eq!(reply.status, 403, "{method} {path}");
                for credentials in [
                    basic(own, "token-1"),
                    basic(&format!("AC{own}"), "token-1"),
                    basic(&office.account, "first"),
                ] {
                    let reply = ask(&office, method, &path, &credentials, "").await;
                    assert!(
                        ![401, 403, 500].contains(&reply.status),
                        "{method} {path}: {}",
                        reply.status
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn what_is_wrong_is_said_with_twilios_numbers() {
    let office = Office::new().await;
    let set = office
        .ask("PATCH", "~")
        .data(json!({"auth_token": "token"}));
    assert_eq!(set.send().await.status, 200);
    let credentials = basic(&office.account, "token");
    let base = format!("/2010-04-01/Accounts/AC{}", office.account);
    let good = "To=1001&From=1002&Twiml=%3CResponse%2F%3E";
    for (method, path, form, status, code) in [
        ("POST", "/Calls.json", "From=1", 400, 21201),
        ("POST", "/Calls.json", "To=1", 400, 21213),
        ("POST", "/Calls.json", "To=1&From=1", 400, 21205),
        (
            "POST",
            "/Calls.json",
            "To=1&From=1&Url=http%3A%2F%2F127.0.0.1%2F",
            400,
            21205,
        ),
        (
            "POST",
            "/Calls.json",
            "To=what&From=1&Twiml=%3CResponse%2F%3E",
            400,
            21211,
        ),
        (
            "POST",
            "/Calls.json",
            "To=1&From=1&Twiml=%3CX%2F%3E",
            400,
            12100,
        ),
        (
            "POST",
            "/Calls.json",
            "To=1&From=1&ApplicationSid=AP1",
            400,
            21218,
        ),
        (
            "POST",
            "/Calls.json",
            "To=1&From=1&Url=https%3A%2F%2Fx.example%2F&Method=PUT",
            400,
            20001,
        ),
        (
            "POST",
            "/Calls.json",
            "To=1&From=1&Twiml=%3CResponse%2F%3E&Record=maybe",
            400,
            20001,
        ),
        (
            "POST",
            "/Calls.json",
            "To=1&From=1&Twiml=%3CResponse%2F%3E&StatusCallbackEvent=rung",
            400,
            21626,
        ),
        // No signalling thread runs here.
        ("POST", "/Calls.json", good, 503, 20503),
        ("GET", "/Calls/CA1.json", "", 404, 20404),
        ("GET", "/Calls.json?StartTime=someday", "", 400, 20001),
        ("GET", "/Calls.json?PageToken=zz", "", 400, 20006),
        ("GET", "/Calls.xml", "", 404, 20404),
        ("GET", "/Messages.json", "", 404, 20404),
        ("DELETE", "/Calls.json", "", 405, 20004),
        ("PUT", "/Conferences.json", "", 405, 20004),
    ] {
        let reply = ask(
            &office,
            method,
            &format!("{base}{path}"),
            &credentials,
            form,
        )
        .await;
        let said = reply.json();
        assert_eq!(reply.status, status, "{method} {path} {form}: {said}");
        assert_eq!(said["code"], json!(code), "{method} {path} {form}: {said}");
        assert!(
            said["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
        assert!(said["more_info"].is_string());
    }
    let list = ask(
        &office,
        "GET",
        &format!("{base}/Calls.json?PageSize=2"),
        &credentials,
        "",
    )
    .await;
    let list: Value = list.json();
    assert_eq!(list["calls"], json!([]));
    assert_eq!(list["page_size"], json!(2));
    assert_eq!(list["next_page_uri"], Value::Null);
}
