//! Toll fraud (`security.md` row 7): whatever strangers, carriers at the wrong address and phones write into a call, no
//! carrier is called that the account's policy does not allow.

use serde_json::json;
use swivel::directory::Kind;

use super::{SECOND, Stage, stage};
use crate::world::callee::Incoming;
use crate::world::phone::{Phone, PhoneCall, header};

const CARRIER: &str = "10.0.9.1";

async fn trunk(stage: &Stage) -> Phone {
    let document = json!({"name": "carrier", "rules": [".*"],
        "gateways": [{"server": CARRIER, "inbound_ips": [CARRIER], "progress_timeout": "3"}]});
    stage.world.put(Kind::Trunk, document).await;
    stage.world.phone_at(&format!("{CARRIER}:5060"))
}

fn called(carrier: &Phone) -> Vec<String> {
    let mut waiting = carrier.waiting();
    waiting.retain(|line| line.starts_with("INVITE"));
    waiting
}

/// Ways to write "elsewhere, and dear" that scanners try: 200 of them.
fn prefixes() -> Vec<String> {
    let outside = [
        "", "+", "0", "00", "000", "011", "9", "90", "900", "9011", "+00", "0011", "8", "80",
        "810", "99", "1011", "*9", "#00", "88",
    ];
    let dear = [
        "972598", "8821234", "881631", "9790", "1900555", "252612", "53520", "3706", "2217", "6767",
    ];
    outside
        .iter()
        .flat_map(|out| dear.iter().map(move |to| format!("{out}{to}1234567")))
        .collect()
}

/// Headers with which a caller pretends to be somebody or wants the call elsewhere.
fn forged(n: usize, number: &str) -> String {
    match n % 5 {
        0 => format!("P-Asserted-Identity: <sip:{number}@world.test>\r\nRemote-Party-ID: <sip:100@world.test>;party=calling\r\n"),
        1 => format!("Route: <sip:{CARRIER};lr>, <sip:{number}@{CARRIER};lr>\r\n"),
        2 => format!("Diversion: <sip:+14155550100@world.test>;reason=unconditional\r\nX-Account-ID: 00000000000000000000000000000001\r\nHistory-Info: <sip:{number}@{CARRIER}>;index=1\r\n"),
        3 => "X-Swivel-Passes: 0\r\nP-Preferred-Identity: <sip:admin@world.test>\r\nReferred-By: <sip:admin@world.test>\r\n".to_owned(),
        _ => format!("Contact: <sip:{number}@{CARRIER}>\r\n").replace("Contact", "X-Contact"),
    }
}

#[test]
fn ten_thousand_forged_calls_reach_no_carrier() {
    stage(|stage| async move {
        let carrier = trunk(&stage).await;
        let all = prefixes();
        assert_eq!(all.len(), 200);
        let mut refused = 0;
        for n in 0..10_000_usize {
            let number = &all[n / 20 % all.len()];
            // Strangers of many addresses, neighbours of the carrier, and phones of the account.
            let from = match n % 20 {
                19 => format!("10.0.1.{}:5060", 1 + n / 20 % 250),
                even if even % 2 == 0 => format!("10.9.{}.{}:5060", n / 250 % 250, n % 250),
                _ => format!("10.0.9.{}:5060", 2 + n % 250),
            };
            let phone = stage.world.phone_at(&from);
            let call = phone.call(number);
            call.invite(&forged(n, number));
            let answer = call.answered(30 * SECOND).await;
            let status = &answer[8..11];
            assert!(
                ["401", "403", "404", "503"].contains(&status),
                "{number} of {from}: {answer}"
            );
            call.ack_refusal();
            refused += 1;
            assert!(
                called(&carrier).is_empty(),
                "{number} of {from} reached the carrier"
            );
        }
        assert_eq!(refused, 10_000);
        stage.world.at_rest().await;
        assert!(called(&carrier).is_empty());
    });
}

/// A user's phone that is rung, and a call to it that talks.
async fn up(stage: &Stage) -> (Phone, PhoneCall, Phone, Incoming) {
    let device =
        json!({"name": "ben", "sip": {"invite_format": "route", "route": "sip:ben@10.0.1.200"}});
    let device = stage.world.put(Kind::Device, device).await;
    stage
        .world
        .callflow("2000", super::node("device", json!({"id": device})))
        .await;
    let callee = stage.world.phone_at("10.0.1.200:5060");
    let (phone, call) = stage.invite();
    let incoming = callee.called(SECOND).await;
    incoming.answer().await;
    call.expect(200, SECOND).await;
    call.ack("");
    (phone, call, callee, incoming)
}

#[test]
fn a_transfer_to_a_dear_number_is_refused_like_the_call() {
    stage(|stage| async move {
        let carrier = trunk(&stage).await;
        let (phone, call, _callee, incoming) = up(&stage).await;
        for number in prefixes().iter().step_by(20) {
            for to in [
                format!("<sip:{number}@world.test>"),
                format!("<sip:{number}@{CARRIER}>"),
                format!("<sip:{number}@{CARRIER}?Route=%3Csip:{CARRIER}%3E&X-Account-ID=1>"),
            ] {
                call.send("REFER", &format!("Refer-To: {to}\r\n"), "");
                phone.expect("SIP/2.0 202", SECOND).await;
                loop {
                    let notify = phone.expect("NOTIFY ", 30 * SECOND).await;
                    call.reply(&notify, "200 OK");
                    if header(&notify, "Subscription-State").starts_with("terminated") {
                        let refused = ["SIP/2.0 4", "SIP/2.0 5"]
                            .iter()
                            .any(|s| notify.contains(s));
                        assert!(refused, "{to}: {notify}");
                        break;
                    }
                }
                assert!(called(&carrier).is_empty(), "{to}");
            }
        }
        call.hang_up().await;
        incoming.wait_for_bye(SECOND).await;
        stage.world.at_rest().await;
        assert!(called(&carrier).is_empty());
    });
}

#[test]
fn a_redirection_to_a_dear_number_is_not_followed() {
    stage(|stage| async move {
        let carrier = trunk(&stage).await;
        let (_phone, first, callee, incoming) = up(&stage).await;
        first.hang_up().await;
        incoming.wait_for_bye(SECOND).await;
        for contact in [
            "sip:00972598123456@10.0.9.1",
            "sip:00972598123456@world.test",
            "tel:+972598123456",
        ] {
            let (_phone, call) = stage.invite();
            let incoming = callee.called(SECOND).await;
            incoming
                .refuse(&format!(
                    "302 Moved Temporarily\r\nX: y\r\nContact: <{contact}>"
                ))
                .await;
            let answer = call.answered(10 * SECOND).await;
            assert!(!answer.starts_with("SIP/2.0 2"), "{answer}");
            call.ack_refusal();
        }
        stage.world.at_rest().await;
        assert!(called(&carrier).is_empty(), "{:?}", called(&carrier));
    });
}
