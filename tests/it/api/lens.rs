//! `/lens`: a call in full, downloads, and that it is nobody else's.

use serde_json::json;
use swivel::base::time::UnixMicros;
use swivel::journal::{Asked, Detail, Fact, Leg, Timing, Told, Way};
use swivel::sip::flow::Transport;

use super::Office;

fn detail(office: &Office, at: u64, detail: Detail) {
    office.journal.emit(Fact::Detail {
        call_id: "a@x".into(),
        at: UnixMicros(at),
        detail,
    });
}

/// A call of two messages and one exchange, with secrets in both.
async fn office() -> Office {
    let office = Office::new().await;
    let now = swivel::host::clock::unix_now().0;
    let leg = Leg {
        account: office.account.clone(),
        interaction: "1-2".into(),
        direction: "inbound",
        from: "100".into(),
        to: "200".into(),
        ..Leg::default()
    };
    detail(&office, now, Detail::Leg(Box::new(leg)));
    office.journal.emit(Fact::Sip {
        call_id: "a@x".into(),
        at: UnixMicros(now + 10),
        direction: Way::In,
        peer: ([192, 0, 2, 1], 5060).into(),
        local: ([192, 0, 2, 2], 5060).into(),
        transport: Transport::Udp,
        bytes: "INVITE sip:200@x SIP/2.0\r\nCall-ID: a@x\r\nAuthorization: Digest canary\r\nCSeq: 1 INVITE\r\n\r\n".into(),
    });
    let asked = Asked {
        id: 1,
        purpose: "pivot",
        method: "GET",
        url: "http://app.test/a?token=canary".into(),
        headers: vec![("Authorization".into(), "Basic canary".into())],
        ..Asked::default()
    };
    detail(&office, now + 20, Detail::Asked(Box::new(asked)));
    let told = Told {
        id: 1,
        status: Some(200),
        headers: vec![("content-type".into(), "text/xml".into())],
        body: "<Response>\n<Sya/></Response>".into(),
        length: 28,
        timing: Timing {
            total: 500,
            ..Timing::default()
        },
        ..Told::default()
    };
    detail(&office, now + 520, Detail::Told(Box::new(told)));
    office
}

#[tokio::test]
async fn a_call_is_shown_with_findings_and_its_events_one_by_one() {
    let office = office().await;
    let lens = office.ask("GET", "~/lens/a%40x").send().await.data(200);
    assert_eq!(
        (&lens["id"], &lens["state"]),
        (&json!("a@x"), &json!("live"))
    );
    let events = lens["events"].as_array().unwrap();
    assert_eq!(events.len(), 3);
    assert_eq!(events[2]["findings"][0]["line"], 2, "{}", events[2]);
    let more = office
        .ask("GET", "~/lens/a%40x?after=2")
        .send()
        .await
        .data(200);
    assert_eq!(more["events"].as_array().unwrap().len(), 1);
    let event = office
        .ask("GET", "~/lens/a%40x/events/1")
        .send()
        .await
        .data(200);
    assert!(event["message"].as_str().unwrap().starts_with("INVITE "));
    let found = office
        .ask("GET", "~/lens/a%40x/find?q=sya")
        .send()
        .await
        .data(200);
    assert_eq!(found["events"], json!([3]));
    for path in [
        "~/lens/a%40x/events/4",
        "~/lens/a%40x/events/0",
        "~/lens/b%40x",
    ] {
        assert_eq!(office.ask("GET", path).send().await.status, 404, "{path}");
    }
    let reply = office.ask("GET", "~/lens/b%40x").send().await;
    assert!(
        reply.text().contains("No call with this id."),
        "{}",
        reply.text()
    );
}

#[tokio::test]
async fn downloads_name_the_call_and_hold_no_secret() {
    let office = office().await;
    for (kind, content_type) in [
        ("json", "application/json"),
        ("har", "application/json"),
        ("pcap", "application/vnd.tcpdump.pcap"),
    ] {
        let reply = office
            .ask("GET", &format!("~/lens/a%40x/{kind}"))
            .send()
            .await;
        assert_eq!(reply.status, 200);
        assert!(reply.header("content-type").starts_with(content_type));
        let name = reply.header("content-disposition");
        assert!(name.contains(&format!("call-a_x.{kind}")), "{name}");
        let text = String::from_utf8_lossy(&reply.bytes).into_owned();
        assert!(!text.contains("canary"), "{kind}: {text}");
        assert!(text.contains(if kind == "har" { "app.test" } else { "INVITE" }));
    }
}

#[tokio::test]
async fn a_call_belongs_to_its_account_and_one_without_an_account_to_who_runs_the_server() {
    let office = office().await;
    let made = office
        .ask("PUT", "~")
        .data(json!({"name": "other"}))
        .send()
        .await;
    let other = made.data(201)["id"].as_str().unwrap().to_owned();
    let path = format!("/v2/accounts/{other}/lens/a%40x");
    assert_eq!(office.bare("GET", &path).send().await.status, 401);
    let token = office.token.clone();
    let reply = office.bare("GET", &path).header("X-Auth-Token", &token);
    assert_eq!(reply.send().await.status, 404);
}

#[tokio::test]
async fn a_replay_needs_a_server_that_may_ask() {
    let office = office().await;
    let reply = office
        .ask("POST", "~/pivot/debug/a%40x/1/replay")
        .data(json!({}));
    assert_eq!(reply.send().await.status, 503);
}

#[tokio::test]
async fn who_is_no_administrator_sees_calls_that_have_a_leg_of_his_own() {
    let office = office().await;
    let clerk = json!({"first_name": "C", "last_name": "X", "username": "clerk", "priv_level": "user",
                       "password": "a good password"});
    let clerk = office.create("users", clerk).await;
    let token = office.login("default", "clerk", "a good password").await;
    let path = format!("/v2/accounts/{}/lens/a%40x", office.account);
    let ask = || office.bare("GET", &path).header("X-Auth-Token", &token);
    assert_eq!(ask().send().await.status, 404);
    let own = Leg {
        account: office.account.clone(),
        interaction: "1-2".into(),
        direction: "outbound",
        owner: Some(clerk),
        ..Leg::default()
    };
    office.journal.emit(Fact::Detail {
        call_id: "b@x".into(),
        at: swivel::host::clock::unix_now(),
        detail: Detail::Leg(Box::new(own)),
    });
    assert_eq!(ask().send().await.status, 200);
}
