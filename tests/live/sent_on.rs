//! Calls that talk and are sent elsewhere over the API, either leg (`POST /channels/ID`, KAZOO's `transfer`).

use std::time::Duration;

use serde_json::{Value, json};

use super::http;
use super::telephone::{House, Over, Tunes, house};
use super::tools::eventually;

/// Has a channel of the house transferred; the HTTP status and the body.
fn transfer(house: &House, id: &str, data: &Value) -> (u16, Value) {
    let server = &house.server;
    let path = format!(
        "/v2/accounts/{}/channels/{}",
        server.account,
        super::server::encoded(id)
    );
    let headers = [("X-Auth-Token", server.token())];
    let body = json!({ "data": data });
    let reply = http::request(server.api, "POST", &path, &headers, Some(&body)).unwrap();
    (reply.status, reply.json())
}

/// Ann talks with Ben; of her channel that leg goes to Cara, who plays and hangs up.
fn sent_on(leg: &str) {
    let house = house(&[], &[], &[]);
    let tunes = Tunes::new();
    let plays = ["ann", "ben", "cara"].map(|name| tunes.path(name));
    let stays = ["--answer", "--calls", "1", "--play"];
    let ends = ["--digits", "w10,hangup"];
    let cara = [&stays[..], &[&plays[2]], &ends].concat();
    let mut cara = house.phone("cara", Over::Udp, &cara);
    let mut ben = house.phone("ben", Over::Tcp, &[&stays[..], &[&plays[1]]].concat());
    let mut ann = house.call("ann", "1002", Over::Udp, &["--play", &plays[0]]);
    let hers = eventually("a call that is up", Duration::from_secs(30), || {
        let channels = house.server.data("channels");
        let up = channels.as_array().unwrap();
        let answered = up.iter().filter(|leg| leg["answered"] == true).count() == 2;
        let hers = up.iter().find(|leg| leg["direction"] == "inbound");
        hers.filter(|_| answered)
            .map(|leg| leg["uuid"].as_str().unwrap().to_owned())
    });
    let ask = |target: &str, leg: &str| {
        transfer(
            &house,
            &hers,
            &json!({"action": "transfer", "target": target, "leg": leg}),
        )
    };
    // What cannot be done is said, and nothing happens.
    let (status, said) = ask("1077", leg);
    assert_eq!(status, 400, "{said:#}");
    assert!(said["data"].to_string().contains("1077"), "{said:#}");
    assert_eq!(ask("1003", "cleg").0, 400);
    let (status, said) = ask("1003", leg);
    assert_eq!(status, 200, "{said:#}");

    let (by_ann, by_ben, by_cara) = (ann.well(), ben.well(), cara.well());
    assert_eq!(by_ann["ended_by"], "peer", "{by_ann:#}");
    assert_eq!(by_ben["calls"][0]["ended_by"], "peer", "{by_ben:#}");
    assert_eq!(by_cara["calls"][0]["ended_by"], "us", "{by_cara:#}");
    let (goes_on, other) = if leg == "self" {
        (&ann, "ann")
    } else {
        (&ben, "ben")
    };
    tunes.assert_somewhere_in(&cara.heard(), other);
    let heard = goes_on.heard();
    let end = super::audio::Sound(heard.0[heard.0.len().saturating_sub(28_000)..].to_vec());
    tunes.assert_somewhere_in(&end, "cara");
    let legs = house.server.legs(3);
    let cause = if leg == "self" {
        "NORMAL_CLEARING"
    } else {
        "BLIND_TRANSFER"
    };
    assert_eq!(legs[0]["hangup_cause"], cause, "{legs:#?}");
}

#[test]
fn whom_a_channel_talks_with_is_sent_elsewhere_over_the_api() {
    sent_on("bleg");
}

#[test]
fn a_channel_is_sent_elsewhere_over_the_api() {
    sent_on("self");
}
