//! Phones: passwords, registrations, what they answer, what they say and hear.

use serde_json::json;
use swivel::directory::Kind;
use swivel::journal::Code;

use super::*;
use crate::registrar::phone::Desk;
use crate::world::callee::Incoming;

async fn alice(stage: &Stage) -> String {
    let sip = json!({"username": "alice", "password": "alice-password", "method": "password"});
    stage
        .world
        .put(Kind::Device, json!({"name": "Alice's phone", "sip": sip}))
        .await
}

const REGISTER: &str = "register-alice-10.0.2.1:5060";

fn offering(codecs: &str, address: &str) -> String {
    format!(
        "v=0\r\no=phone 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\nm=audio 4000 {codecs}\r\na=sendrecv\r\n"
    )
}

/// What a telephone that is rung answers.
async fn answers(stage: Stage, rings: bool, status: &str) -> (World, String) {
    let (callee, call) = ringing(&stage).await;
    let incoming = callee.called(SECOND).await;
    if rings {
        incoming.ring();
        tokio::time::sleep(SECOND).await;
    }
    incoming.refuse(status).await;
    refused(stage, call).await
}

pub(super) fn faults() -> Vec<Fault> {
    let mut all = credentials();
    all.extend(calls());
    all.extend(media());
    all
}

fn credentials() -> Vec<Fault> {
    vec![
        fault(
            Code::WrongPassword,
            &["REGISTER", "alice", "10.0.2.1", "password", "401"],
            |stage| async {
                alice(&stage).await;
                let mut desk = Desk::new(&stage.world, "10.0.2.1:5060", "alice");
                desk.password = "typo".to_owned();
                assert!(desk.register(600).await.starts_with("SIP/2.0 401"));
                (stage.world, REGISTER.to_owned())
            },
        ),
        fault(
            Code::UnknownUser,
            &["carol", "No device at world.test has the user name"],
            |stage| async {
                let desk = Desk::new(&stage.world, "10.0.2.1:5060", "carol");
                assert!(desk.register(600).await.starts_with("SIP/2.0 401"));
                (stage.world, "register-carol-10.0.2.1:5060".to_owned())
            },
        ),
        fault(
            Code::RegisterRefused,
            &["403", "not its device's"],
            |stage| async {
                alice(&stage).await;
                let desk = Desk::new(&stage.world, "10.0.2.1:5060", "alice");
                assert!(
                    desk.register_as("sip:bob@world.test", 600)
                        .await
                        .starts_with("SIP/2.0 403")
                );
                (stage.world, REGISTER.to_owned())
            },
        ),
        fault(
            Code::FromOfAnother,
            &["bob", "403", "another phone"],
            |stage| async {
                alice(&stage).await;
                let sip =
                    json!({"username": "bob", "password": "bob-password", "method": "password"});
                stage
                    .world
                    .put(Kind::Device, json!({"name": "Bob's phone", "sip": sip}))
                    .await;
                stage
                    .world
                    .callflow("2000", node("answer", json!({})))
                    .await;
                let alice = Desk::new(&stage.world, "10.0.2.1:5060", "alice");
                for (name, status) in [("bob", "403"), ("alice", "200"), ("2001", "200")] {
                    let call_id = alice.calls_as(name, "2000", status).await;
                    if name == "bob" {
                        assert_eq!(call_id, "call-bob");
                    }
                }
                (stage.world, "call-bob".to_owned())
            },
        ),
        fault(
            Code::AddressBanned,
            &["10.0.2.1", "wrong passwords"],
            |stage| async {
                let mut desk = Desk::new(&stage.world, "10.0.2.1:5060", "alice");
                desk.password = "guess".to_owned();
                for _ in 0..5 {
                    desk.register(600).await;
                }
                (stage.world, "ban 10.0.2.1".to_owned())
            },
        ),
        fault(
            Code::SourceNotAllowed,
            &["10.0.7.7", "no user name and password", "401"],
            |stage| async {
                let call = stage.world.phone_at("10.0.7.7:5060").call("2000");
                call.invite("");
                refused(stage, call).await
            },
        ),
        fault(
            Code::NotRegistered,
            &["Alice's phone", "No phone is registered", "480"],
            |stage| async {
                let device = alice(&stage).await;
                let (_phone, call) = stage.dial(node("device", json!({"id": device}))).await;
                refused(stage, call).await
            },
        ),
        fault(
            Code::RegistrationExpired,
            &["Alice's phone", "expired 2 min ago"],
            |stage| async {
                let device = alice(&stage).await;
                let desk = Desk::new(&stage.world, "10.0.2.1:5060", "alice");
                assert!(desk.register(60).await.starts_with("SIP/2.0 200"));
                tokio::time::sleep(200 * SECOND).await;
                let (_phone, call) = stage.dial(node("device", json!({"id": device}))).await;
                refused(stage, call).await
            },
        ),
    ]
}

fn calls() -> Vec<Fault> {
    vec![
        fault(
            Code::PhoneUnreachable,
            &["Desk 51", "nothing came back", "probably"],
            |stage| async {
                let (_callee, call) = ringing(&stage).await;
                refused(stage, call).await
            },
        ),
        fault(
            Code::PhoneBusy,
            &["Desk 51", "486 Busy Here", "busy"],
            |stage| answers(stage, true, "486 Busy Here"),
        ),
        fault(
            Code::PhoneDeclined,
            &["Desk 51", "603 Decline", "declined"],
            |stage| answers(stage, true, "603 Decline"),
        ),
        fault(
            Code::PhoneUnavailable,
            &["Desk 51", "480", "do not disturb"],
            |stage| answers(stage, false, "480 Temporarily Unavailable"),
        ),
        fault(Code::PhoneRefused, &["Desk 51", "500 Oops"], |stage| {
            answers(stage, false, "500 Oops")
        }),
        fault(
            Code::NoAnswer,
            &["Desk 51", "rang", "nobody answered"],
            |stage| async {
                let (callee, call) = ringing(&stage).await;
                let incoming = callee.called(SECOND).await;
                incoming.ring();
                incoming.cancelled(20 * SECOND).await;
                refused(stage, call).await
            },
        ),
        fault(
            Code::CallerHungUp,
            &["The caller hung up after 5 s", "Desk 51 was ringing"],
            |stage| async {
                let (callee, call) = ringing(&stage).await;
                let incoming = callee.called(SECOND).await;
                incoming.ring();
                tokio::time::sleep(5 * SECOND).await;
                call.cancel();
                incoming.cancelled(SECOND).await;
                call.expect(487, SECOND).await;
                call.ack_refusal();
                (stage.world, call.call_id)
            },
        ),
        fault(
            Code::AckMissing,
            &["never sent the ACK", "200"],
            |stage| async {
                let (phone, call) = stage.dial(waits(60)).await;
                call.answered(SECOND).await;
                let bye = phone.expect("BYE ", 40 * SECOND).await;
                call.reply(&bye, "200 OK");
                (stage.world, call.call_id)
            },
        ),
        fault(
            Code::SessionExpired,
            &["did not refresh the session", "session timer"],
            |stage| async {
                stage.world.callflow("2000", waits(600)).await;
                let phone = stage.world.phone();
                let call = phone.call("2000");
                call.invite("Supported: timer\r\nSession-Expires: 90;refresher=uac\r\n");
                call.answered(SECOND).await;
                call.ack("");
                call.wait_for_bye(100 * SECOND).await;
                (stage.world, call.call_id)
            },
        ),
        fault(
            Code::PeerGone,
            &["could not be reached any more", "481"],
            |stage| async {
                stage.world.callflow("2000", waits(600)).await;
                let phone = stage.world.phone();
                let call = phone.call("2000");
                call.invite("Supported: timer\r\nAllow: INVITE, ACK, BYE, CANCEL, UPDATE\r\nSession-Expires: 90;refresher=uas\r\n");
                call.answered(SECOND).await;
                call.ack("");
                let refresh = phone.expect("", 100 * SECOND).await;
                call.reply(&refresh, "481 Call/Transaction Does Not Exist");
                tokio::time::sleep(SECOND).await;
                (stage.world, call.call_id)
            },
        ),
    ]
}

fn media() -> Vec<Fault> {
    let silence = |seconds| Settings {
        rtp_timeout: Some(seconds * SECOND),
        ..Settings::default()
    };
    vec![
        fault(
            Code::CodecCaller,
            &["488", "AMR-WB", "PCMU, PCMA, G722"],
            |stage| async {
                stage
                    .world
                    .callflow("2000", node("answer", json!({})))
                    .await;
                let sdp = offering("RTP/AVP 96\r\na=rtpmap:96 AMR-WB/16000", "10.0.1.1");
                let call = stage.world.phone().call_with("2000", &sdp);
                call.invite("");
                refused(stage, call).await
            },
        ),
        fault(
            Code::CodecCallee,
            &["Desk 51", "488 Not Acceptable Here", "PCMU", "codecs"],
            |stage| answers(stage, false, "488 Not Acceptable Here"),
        ),
        fault(
            Code::CodecCallee,
            &["Desk 51", "takes none of these codecs"],
            |stage| async {
                let (callee, call) = ringing(&stage).await;
                let incoming: Incoming = callee.called(SECOND).await;
                incoming.reply("200 OK", &offering("RTP/AVP 18", "10.0.1.51"));
                callee.expect("ACK ", SECOND).await;
                incoming.wait_for_bye(SECOND).await;
                refused(stage, call).await
            },
        ),
        fault(
            Code::SrtpRequired,
            &["488", "SRTP", "in the clear"],
            |stage| async {
                let encryption = json!({"enforce_security": true, "methods": ["srtp"]});
                callers(&stage, json!({"media": {"encryption": encryption}})).await;
                let call = stage.world.phone().call("2000");
                call.invite("");
                refused(stage, call).await
            },
        ),
        fault(
            Code::BadSdp,
            &["488", "session description", "cannot be read"],
            |stage| async {
                let call = stage.world.phone().call_with("2000", "hello");
                call.invite("");
                refused(stage, call).await
            },
        ),
        fault(
            Code::SdpHostName,
            &["host name", "488", "never looked up", "c="],
            |stage| async {
                let waits = node("sleep", json!({}));
                stage.world.callflow("2000", waits).await;
                let sdp = offering("RTP/AVP 0", "10.0.1.1")
                    .replace("c=IN IP4 10.0.1.1", "c=IN IP4 media.far.example");
                let call = stage.world.phone().call_with("2000", &sdp);
                call.invite("");
                let (world, id) = refused(stage, call).await;
                let sent = world
                    .facts
                    .borrow()
                    .iter()
                    .any(|fact| format!("{fact:?}").contains("host name in c="));
                assert!(sent, "the Warning says so");
                (world, id)
            },
        ),
        fault(
            Code::SdpHostName,
            &["Desk 51", "host name", "never looked up"],
            |stage| async {
                let (callee, call) = ringing(&stage).await;
                let incoming: Incoming = callee.called(SECOND).await;
                let sdp = offering("RTP/AVP 0", "10.0.1.51")
                    .replace("c=IN IP4 10.0.1.51", "c=IN IP4 media.far.example");
                incoming.reply("200 OK", &sdp);
                callee.expect("ACK ", SECOND).await;
                incoming.wait_for_bye(SECOND).await;
                refused(stage, call).await
            },
        ),
        fault(
            Code::OneWayAudio,
            &["not one RTP packet", "192.168.77.7", "NAT"],
            |stage| async {
                stage.world.callflow("2000", waits(6)).await;
                let phone = stage.world.phone();
                let call = phone.call_with("2000", &offering("RTP/AVP 0", "192.168.77.7"));
                call.invite("");
                call.answered(SECOND).await;
                call.ack("");
                call.wait_for_bye(20 * SECOND).await;
                (stage.world, call.call_id)
            },
        ),
        fault(
            Code::RtpTimeout,
            &["no sound came", "RTP timeout"],
            |stage| async {
                let (_phone, call) = stage.connect(waits(60)).await;
                call.wait_for_bye(30 * SECOND).await;
                (stage.world, call.call_id)
            },
        )
        .with(silence(10)),
    ]
}
