//! Two telephones talk to each other through swivel, and one that does not get through takes another way.

use std::time::Duration;

use serde_json::{Value, json};

use super::audio::Sound;
use super::desk::{Desk, Line, PASSWORD, When};
use super::phone::Over;
use super::server::Server;

/// Ids of the documents.
const BEN: &str = "0000000000000000000000000000be11";
const ANNS_PHONE: &str = "000000000000000000000000000a1111";
const BENS_PHONE: &str = "000000000000000000000000000be111";
const CARAS_PHONE: &str = "000000000000000000000000000ca111";

/// An office: Ann, Ben and Cara, each with a phone. 1002 rings Ben, 1003 only his phone, 1006 Cara's.
struct Office {
    server: Server,
    udp: u16,
    tcp: u16,
    tls: u16,
}

/// Says that he talks.
fn says_so() -> Value {
    json!({"module": "tts", "data": {"text": "Ben is talking to somebody else."}, "children": {}})
}

fn device(id: &str, name: &str, more: &Value) -> Value {
    let mut device = json!({
        "id": id, "name": name, "caller_id": {"internal": {"name": format!("Phone of {name}"), "number": "1001"}},
        "sip": {"method": "password", "username": name, "password": PASSWORD},
    });
    for (key, value) in more.as_object().unwrap() {
        device[key] = value.clone();
    }
    device
}

fn office(bens: &Value) -> Office {
    let rings = |module: &str, id: &str, children: Value| json!({"module": module, "data": {"id": id, "timeout": 4}, "children": children});
    let flow =
        |number: &str, flow: Value| json!({"name": number, "numbers": [number], "flow": flow});
    let documents = json!({
        "users": [
            {"username": "admin", "first_name": "Ada", "last_name": "Admin", "password": "only-for-this-test", "priv_level": "admin"},
            {"id": BEN, "username": "ben", "first_name": "Ben", "last_name": "B"},
        ],
        "devices": [
            device(ANNS_PHONE, "ann", &json!({})),
            device(BENS_PHONE, "ben", bens),
            device(CARAS_PHONE, "cara", &json!({})),
        ],
        "callflows": [
            flow("1002", rings("user", BEN, json!({}))),
            flow("1003", rings("device", BENS_PHONE, json!({}))),
            flow("1006", rings("device", CARAS_PHONE, json!({}))),
            flow("1004", rings("user", BEN, json!({"NO_ANSWER": {"module": "response", "data": {"code": 410, "message": "No answer"}, "children": {}},
                                                    "_": {"module": "response", "data": {"code": 413}, "children": {}}}))),
            flow("1005", rings("user", BEN, json!({"USER_BUSY": says_so()}))),
        ],
    });
    let listen = "udp://127.0.0.1:0,tcp://127.0.0.1:0,tls://127.0.0.1:0";
    // baresip 1.0 knows MD5 only.
    let environment = [
        ("SWIVEL_SIP__DIGEST", "MD5"),
        ("SWIVEL_SIP__LISTEN", listen),
    ];
    let server = Server::start(&environment, documents);
    let ports = server.ports();
    let [udp, tcp, tls] = ports.try_into().unwrap();
    Office {
        server,
        udp,
        tcp,
        tls,
    }
}

impl Office {
    fn line(&self, name: &str, over: Over, answers: When) -> Line {
        let secret = match (over, name) {
            (Over::Udp | Over::Tcp, _) => None,
            // He insists on it, as his device says; her phone takes what it is offered.
            (Over::Tls, "ben") => Some("srtp-mand"),
            (Over::Tls, _) => Some("srtp"),
        };
        let port = match over {
            Over::Udp => self.udp,
            Over::Tcp => self.tcp,
            Over::Tls => self.tls,
        };
        Line {
            over,
            port,
            answers,
            secret,
            mwi: false,
        }
    }

    /// A registered phone.
    fn phone(&self, name: &str, over: Over, answers: When) -> Desk {
        let says = if name == "ann" {
            Sound::tune(40)
        } else {
            Sound::another_tune(40)
        };
        let desk = Desk::start(name, &self.line(name, over, answers), says);
        desk.registered(&self.server, name);
        desk
    }
}

/// Whether somebody heard that tune, of which nothing repeats; a lost packet may spoil one part, not all.
fn assert_heard(heard: &Sound, tune: &Sound, log: &str) {
    let mut parts = [6_400, 11_200, 16_000].iter();
    let found = parts.any(|at| heard.likeness(&Sound(tune.0[*at..at + 2_400].to_vec())) > 0.9);
    assert!(found, "{} samples, without the tune\n{log}", heard.0.len());
}

/// Ann calls that number of Ben's, they talk, Ben hangs up.
fn talk(over: Over, number: &str) {
    let mut bens = json!({"owner_id": BEN});
    if over == Over::Tls {
        bens["media"] = json!({"encryption": {"enforce_security": true, "methods": ["srtp"]}});
    }
    let office = office(&bens);
    let mut ben = office.phone("ben", over, When::Called);
    let mut ann = office.phone("ann", over, When::Told);
    ann.dial(number);
    ann.wait("CALL_ESTABLISHED");
    ben.wait("CALL_ESTABLISHED");
    std::thread::sleep(Duration::from_secs(3));
    ben.tell("hangup", "");
    ann.wait("CALL_CLOSED");

    let legs = office.server.legs(2);
    let [caller, callee] = [&legs[0], &legs[1]];
    assert_eq!(caller["call_direction"], "inbound", "{legs:#?}");
    assert_eq!(callee["call_direction"], "outbound", "{legs:#?}");
    assert_eq!(
        caller["interaction_id"], callee["interaction_id"],
        "{legs:#?}"
    );
    assert_eq!(caller["other_leg_call_id"], callee["call_id"], "{legs:#?}");
    assert_eq!(callee["other_leg_call_id"], caller["call_id"], "{legs:#?}");
    for leg in [caller, callee] {
        assert_eq!(leg["hangup_cause"], "NORMAL_CLEARING", "{legs:#?}");
        assert!(leg["billing_seconds"].as_u64().unwrap() >= 2, "{legs:#?}");
    }
    // He sees her internal number, whatever her phone calls itself.
    assert_eq!(callee["caller_id_number"], "1001", "{legs:#?}");
    assert_eq!(callee["callee_id_name"], "Ben B", "{legs:#?}");
    assert_eq!(
        callee["disposition"], "recv_bye",
        "the callee hung up: {legs:#?}"
    );
    assert_eq!(caller["disposition"], "send_bye", "{legs:#?}");
    assert_eq!(
        caller["custom_channel_vars"]["authorizing_id"], ANNS_PHONE,
        "{legs:#?}"
    );
    assert_eq!(
        callee["custom_channel_vars"]["authorizing_id"], BENS_PHONE,
        "{legs:#?}"
    );

    if over == Over::Tls {
        for desk in [&ann, &ben] {
            let log = desk.log();
            assert!(log.contains("SRTP is Enabled"), "{log}");
        }
    }
    let (by_ann, by_ben) = (ann.heard(), ben.heard());
    assert_heard(&by_ann, &ben.says, &ann.log());
    assert_heard(&by_ben, &ann.says, &ben.log());
}

#[test]
fn two_phones_talk_over_udp() {
    talk(Over::Udp, "1002");
}

#[test]
fn two_phones_talk_over_tcp() {
    talk(Over::Tcp, "1003");
}

#[test]
fn two_phones_talk_over_tls_and_nobody_can_listen_in() {
    talk(Over::Tls, "1002");
}

#[test]
fn a_phone_that_does_not_answer_is_busy_or_is_gone_takes_the_caller_another_way() {
    let office = office(&json!({"owner_id": BEN}));
    let mut ann = office.phone("ann", Over::Udp, When::Told);
    // Nobody is registered.
    ann.dial("1002");
    assert!(ann.wait("CALL_CLOSED").starts_with("480"));
    let legs = office.server.legs(1);
    assert_eq!(legs[0]["hangup_code"], "sip:480", "{legs:#?}");
    assert_eq!(legs[0]["hangup_cause"], "SUBSCRIBER_ABSENT", "{legs:#?}");

    let mut ben = office.phone("ben", Over::Udp, When::Told);
    // He rings for four seconds and is not at his desk.
    ann.dial("1004");
    ben.wait("CALL_INCOMING");
    ann.wait("CALL_RINGING");
    assert!(ann.wait("CALL_CLOSED").starts_with("410"));
    ben.wait("CALL_CLOSED");
    office.server.legs(3);

    // He refuses: the caller hears a tone instead.
    ann.dial("1005");
    ben.wait("CALL_INCOMING");
    ben.tell("hangup", "");
    ann.wait("CALL_CLOSED");
    let legs = office.server.legs(5);
    let busy = legs.iter().filter(|leg| leg["hangup_cause"] == "USER_BUSY");
    assert_eq!(
        busy.filter(|leg| leg["call_direction"] == "outbound")
            .count(),
        1,
        "{legs:#?}"
    );
    let unanswered = legs
        .iter()
        .filter(|leg| leg["call_direction"] == "outbound" && leg["disposition"] == "send_cancel");
    assert_eq!(unanswered.count(), 1, "{legs:#?}");
}

#[test]
fn ben_hands_his_caller_on_to_cara() {
    let office = office(&json!({"owner_id": BEN}));
    let mut ben = office.phone("ben", Over::Udp, When::Called);
    let mut cara = office.phone("cara", Over::Udp, When::Called);
    let mut ann = office.phone("ann", Over::Udp, When::Told);
    ann.dial("1002");
    ann.wait("CALL_ESTABLISHED");
    ben.wait("CALL_ESTABLISHED");
    ben.tell("transfer", &format!("sip:1006@127.0.0.1:{}", office.udp));
    cara.wait("CALL_ESTABLISHED");
    ben.wait("CALL_CLOSED");
    std::thread::sleep(Duration::from_secs(3));
    cara.tell("hangup", "");
    ann.wait("CALL_CLOSED");
    let legs = office.server.legs(3);
    let interaction = &legs[0]["interaction_id"];
    let same = legs.iter().all(|leg| leg["interaction_id"] == *interaction);
    assert!(same, "{legs:#?}");
    let heard = ann.heard();
    let end = Sound(heard.0[heard.0.len().saturating_sub(36_000)..].to_vec());
    assert_heard(&end, &cara.says, &ann.log());
    assert!(cara.heard().audible_seconds() > 1.0, "{}", cara.log());
}
