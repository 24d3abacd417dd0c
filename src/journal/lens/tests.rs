//! Tests of the lens: lines of traces in, the document out.

use serde_json::json;

use super::*;
use crate::base::time::UnixMicros;

const BEGIN: u64 = 1_700_000_000_000_000;

/// A line at so many milliseconds after the begin.
fn at(ms: u64, fact: &str, more: Value) -> Value {
    let mut line = json!({"at": BEGIN + ms * 1000, "seq": BEGIN + ms * 1000, "fact": fact});
    for (key, value) in more.as_object().unwrap() {
        line[key] = value.clone();
    }
    line
}

fn sip(ms: u64, way: &str, message: &str) -> Value {
    let more = json!({"direction": way, "peer": "198.51.100.7:5060", "local": "203.0.113.9:5060",
                      "transport": "udp", "message": message});
    at(ms, "sip", more)
}

fn request(method: &str, cseq: u32, more: &str) -> String {
    format!(
        "{method} sip:2030@203.0.113.9 SIP/2.0\r\nFrom: <sip:100@x>;tag=a\r\nTo: <sip:2030@y>\r\nCSeq: {cseq} {method}\r\n{more}\r\n"
    )
}

fn response(status: &str, cseq: &str, more: &str) -> String {
    format!("SIP/2.0 {status}\r\nCSeq: {cseq}\r\n{more}\r\n")
}

fn begun(direction: &str, parent: Option<&str>, name: &str) -> Value {
    json!({"account": "acc", "interaction": "1-2", "direction": direction, "from": "100", "to": "2030",
           "name": name, "kind": "device", "parent": parent})
}

fn leg(call_id: &str, lines: Vec<Value>) -> LegTrace {
    LegTrace {
        call_id: call_id.into(),
        lines,
    }
}

fn one(lines: Vec<Value>) -> Lens {
    build("acc", &[leg("a@x", lines)]).unwrap()
}

const OFFER: &str = "Content-Type: application/sdp\r\n\r\nv=0\r\nm=audio 4000 RTP/AVP 0 8\r\n";

/// A call that was challenged, asked a web server, heard something, pressed a key and hung up.
fn whole() -> Vec<Value> {
    vec![
        sip(0, "in", &request("INVITE", 1, OFFER)),
        sip(2, "out", &response("401 Unauthorized", "1 INVITE", "")),
        sip(4, "in", &request("ACK", 1, "")),
        sip(
            5,
            "in",
            &request(
                "INVITE",
                2,
                &format!("Authorization: Digest ***\r\n{OFFER}"),
            ),
        ),
        at(6, "leg_begun", begun("inbound", None, "Mara")),
        at(
            6,
            "started",
            json!({"account": "acc", "from": "100", "dialled": "2030", "callflow": "f1"}),
        ),
        at(7, "node", json!({"module": "pivot", "path": ""})),
        at(
            7,
            "node_data",
            json!({"data": {"voice_url": "http://app.test/voice.php"}}),
        ),
        at(
            8,
            "asked",
            json!({"id": 7, "purpose": "pivot", "method": "GET", "url": "http://app.test/voice.php?Call-ID=a",
                              "headers": [["Host", "app.test"]], "length": 0}),
        ),
        at(
            92,
            "told",
            json!({"id": 7, "status": 200, "headers": [["content-type", "application/json"]], "length": 20,
                              "body": "{\"module\": \"tts\"}", "timing": {"dns": 1000, "connect": 2000, "server": 80_000, "body": 1000, "total": 84_000}}),
        ),
        at(
            93,
            "node_left",
            json!({"chosen": null, "why": "another flow takes its place"}),
        ),
        at(94, "node", json!({"module": "tts", "path": ""})),
        sip(95, "out", &response("200 OK", "2 INVITE", OFFER)),
        sip(595, "out", &response("200 OK", "2 INVITE", OFFER)),
        at(95, "answered", json!({})),
        at(
            150,
            "sound",
            json!({"id": 3, "kind": "speech", "text": "Pivot is pretty awesome."}),
        ),
        at(1000, "digit", json!({"digit": "*", "via": "event"})),
        at(1031, "sound_ended", json!({"id": 3, "why": "key"})),
        at(
            1100,
            "quality",
            json!({"received": 50, "lost": 2, "sent": 50, "loss": 0.0385, "jitter_ms": 1.0, "mos": 3.9}),
        ),
        sip(2000, "in", &request("BYE", 3, "")),
        sip(2001, "out", &response("200 OK", "3 BYE", "")),
        at(
            2001,
            "ended",
            json!({"cause": "NORMAL_CLEARING", "status": 200, "disposition": "recv_bye"}),
        ),
    ]
}

#[test]
fn a_call_is_told_in_order_with_its_parties_and_its_lanes() {
    let lens = one(whole());
    assert_eq!(
        (lens.id.as_str(), lens.state, lens.result),
        ("a@x", "ended", "completed")
    );
    assert_eq!((lens.from.as_str(), lens.to.as_str()), ("100", "2030"));
    assert_eq!(lens.callflow["id"], "f1");
    let kinds: Vec<_> = lens.parties.iter().map(|party| party.kind).collect();
    assert_eq!(kinds, ["caller", "swivel", "web"]);
    assert_eq!(lens.parties[0].name, "Mara");
    assert_eq!(lens.parties[0].detail, "198.51.100.7:5060, UDP");
    assert_eq!(lens.parties[2].detail, "app.test");
    let times: Vec<f64> = lens.events.iter().map(|event| event.t).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert!(
        lens.events
            .iter()
            .enumerate()
            .all(|(at, event)| event.n == at + 1)
    );
    assert_eq!(lens.legs[0].codec.as_deref(), Some("PCMU"));
    assert_eq!(lens.legs[0].answered, Some(0.095));
    assert_eq!(
        lens.sentence,
        "Answered after 95 ms, ended by the caller after 2.0 s. One exchange with app.test. MOS 3.9."
    );
    let lanes = &lens.lanes;
    assert_eq!((lanes.flow[0].from, lanes.flow[0].to), (0.007, Some(0.093)));
    assert_eq!(lanes.hooks[0].label, "GET voice.php 84 ms");
    assert_eq!(lanes.audio[0].to, Some(1.031));
    assert!(lanes.keys[0].barge_in && lanes.keys[0].key == "•");
    assert_eq!(lanes.quality[0].points, [[1.1, 3.85, 1.0, 3.9]]);
}

#[test]
fn an_answered_challenge_is_routine_and_an_unanswered_one_is_not() {
    let class = |lens: &Lens| {
        let event = lens
            .events
            .iter()
            .find(|event| event.title.starts_with("401"));
        event
            .map(|event| (event.class.unwrap(), event.severity))
            .unwrap()
    };
    assert_eq!(class(&one(whole())), ("r1", None));
    let mut refused = whole();
    refused.truncate(3);
    assert_eq!(class(&one(refused)), ("r4", Some("warn")));
}

#[test]
fn repeated_messages_fold_into_the_first_and_none_is_lost() {
    let lens = one(whole());
    let sent = whole().iter().filter(|line| line["fact"] == "sip").count();
    let shown: usize = lens
        .events
        .iter()
        .filter(|e| e.kind == "sip")
        .map(|e| e.repeat)
        .sum();
    assert_eq!(shown, sent);
    let answer = lens.events.iter().find(|e| e.repeat == 2).unwrap();
    assert_eq!(
        (answer.title.as_str(), answer.also.as_slice()),
        ("200 OK", &[0.595][..])
    );
    assert_eq!(answer.took_ms, Some(90.0));
    assert!(lens.pcap().unwrap().len() > 24);
}

#[test]
fn an_exchange_is_shown_whole_from_either_arrow() {
    let lens = one(whole());
    let hooks: Vec<&Event> = lens.events.iter().filter(|e| e.kind == "hook").collect();
    assert_eq!(
        (hooks[0].title.as_str(), hooks[1].title.as_str()),
        ("GET /voice.php", "200 JSON")
    );
    assert_eq!(
        (hooks[1].pair, hooks[1].exchange),
        (Some(hooks[0].n), Some(1))
    );
    for hook in hooks {
        let shown = lens.event(hook.n).unwrap();
        assert_eq!(
            shown["request"]["url"],
            "http://app.test/voice.php?Call-ID=a"
        );
        assert_eq!(shown["response"]["pretty"], "{\n  \"module\": \"tts\"\n}");
        assert_eq!(shown["timing"]["server_ms"], 80.0);
        assert_eq!(shown["error"], Value::Null);
    }
    let har = lens.har();
    let entry = &har["log"]["entries"][0];
    assert_eq!(entry["request"]["queryString"][0]["value"], "a");
    assert_eq!(
        (&entry["response"]["status"], &entry["time"]),
        (&json!(200), &json!(84.0))
    );
    assert_eq!(entry["startedDateTime"], "2023-11-14T22:13:20.008Z");
    assert_eq!(
        lens.exchanges()[0].answer.as_deref(),
        Some("{\"module\": \"tts\"}")
    );
}

#[test]
fn a_message_shows_its_headers_its_secrets_masked_and_offer_beside_answer() {
    let lens = one(whole());
    let n = |title: &str| lens.events.iter().rfind(|e| e.title == title).unwrap().n;
    let invite = lens.event(n("INVITE")).unwrap();
    let headers = invite["headers"].as_array().unwrap();
    let secret = headers
        .iter()
        .find(|pair| pair[0] == "Authorization")
        .unwrap();
    assert_eq!(secret[1], "Digest ••••••• (masked)");
    assert!(
        invite["message"]
            .as_str()
            .unwrap()
            .contains("Digest ••••••• (masked)\r\n")
    );
    assert!(invite["sdp"]["answer"].as_str().unwrap().starts_with("v=0"));
    assert_eq!(lens.find("AUTHORIZATION: digest"), [n("INVITE")]);
    assert_eq!(lens.find("pretty awesome"), [n("speech")]);
    assert!(lens.find("").is_empty());
    let tts = lens.event(n("pivot")).unwrap();
    assert_eq!(tts["data"]["voice_url"], "http://app.test/voice.php");
    assert_eq!(tts["why"], "another flow takes its place");
}

#[test]
fn legs_of_one_call_are_columns_and_a_call_that_is_up_is_live() {
    let mut first = whole();
    first.truncate(16);
    let second = vec![
        at(
            100,
            "leg_begun",
            begun("outbound", Some("a@x"), "Front desk"),
        ),
        sip(101, "out", &request("INVITE", 1, "")),
        sip(150, "in", &response("486 Busy Here", "1 INVITE", "")),
        at(
            151,
            "ended",
            json!({"cause": "USER_BUSY", "status": 486, "disposition": "recv_refuse"}),
        ),
    ];
    let lens = build("acc", &[leg("b@x", second), leg("a@x", first)]).unwrap();
    assert_eq!(lens.id, "a@x", "the leg that began first");
    assert_eq!(
        (lens.state, lens.result, lens.end),
        ("live", "running", None)
    );
    let names: Vec<_> = lens
        .parties
        .iter()
        .map(|party| party.name.as_str())
        .collect();
    assert_eq!(names, ["Mara", "swivel", "Web server", "Front desk"]);
    let busy = lens
        .events
        .iter()
        .find(|e| e.title == "486 Busy Here")
        .unwrap();
    assert_eq!(
        (busy.from.as_deref(), busy.class),
        (Some(lens.legs[1].party.as_str()), Some("r4"))
    );
    assert!(lens.sentence.contains("Now at tts"), "{}", lens.sentence);
}

#[test]
fn a_failed_exchange_a_failed_node_and_lost_facts_are_said() {
    let lens = one(vec![
        at(0, "leg_begun", begun("inbound", None, "")),
        at(
            0,
            "note",
            json!({"lost": 12, "text": "12 earlier facts were not kept"}),
        ),
        at(1, "node", json!({"module": "pivot", "path": "_"})),
        at(
            2,
            "asked",
            json!({"id": 1, "purpose": "pivot", "method": "POST", "url": "http://app.test/", "headers": [], "length": 3, "body": "a=1"}),
        ),
        at(
            5002,
            "told",
            json!({"id": 1, "headers": [], "error": "the time for an answer was up", "timing": {"total": 5_000_000}}),
        ),
        at(
            5003,
            "node_left",
            json!({"chosen": null, "why": "no answer", "failed": true}),
        ),
        at(
            5004,
            "cause",
            json!({"code": "hook.timeout", "what": "w", "why": "y", "todo": "t"}),
        ),
        at(
            5004,
            "ended",
            json!({"cause": "NORMAL_TEMPORARY_FAILURE", "status": 480, "disposition": "send_refuse"}),
        ),
    ]);
    assert_eq!(lens.result, "failed");
    let answer = lens.events.iter().find(|e| e.title == "no answer").unwrap();
    assert_eq!(
        (answer.severity, answer.took_ms),
        (Some("err"), Some(5000.0))
    );
    assert_eq!(lens.lanes.flow[0].severity, Some("err"));
    assert_eq!(
        (&lens.cause["code"], &lens.cause["event"]),
        (&json!("hook.timeout"), &json!(answer.n))
    );
    assert!(
        lens.partial
            .unwrap()
            .starts_with("Events before 22:13:20 were not traced")
    );
}

#[test]
fn nothing_is_known_of_no_lines() {
    assert!(build("acc", &[leg("a", Vec::new())]).is_none());
}

fn rtp_line(ms: u64) -> Value {
    let mut headers = crate::rtp::headers::Headers::default();
    for n in 0..3u8 {
        let header = [0x80, 0, 0, n, 0, 0, 0, n * 80, 1, 2, 3, 4];
        let at = std::time::Duration::from_millis(20 * u64::from(n));
        headers.note(at, "198.51.100.7:4000".parse().unwrap(), header, 172);
    }
    let detail = crate::journal::Detail::Rtp(Box::new(crate::journal::Rtp {
        local: "203.0.113.9:16400".parse().unwrap(),
        begin: UnixMicros(BEGIN + 100_000),
        received: headers.clone(),
        sent: headers,
    }));
    let (fact, more) = detail.line();
    at(ms, fact, more)
}

#[test]
fn a_capture_has_messages_and_headers_of_rtp_by_time_and_rtp_is_no_row() {
    let lens = one(vec![
        sip(0, "in", &request("INVITE", 1, "")),
        at(1, "leg_begun", begun("inbound", None, "Alice")),
        sip(130, "in", &request("BYE", 2, "")),
        rtp_line(140),
    ]);
    assert_eq!(lens.events.len(), 2, "{:#?}", lens.events);
    let file = lens.pcap().unwrap();
    let (mut at, mut seen) = (24, Vec::new());
    while at < file.len() {
        let field = |from: usize| u32::from_le_bytes(file[from..from + 4].try_into().unwrap());
        let (micros, kept, length) = (field(at + 4), field(at + 8) as usize, field(at + 12));
        let packet = &file[at + 16..at + 16 + kept];
        let port = u16::from_be_bytes([packet[20], packet[21]]);
        seen.push((micros, port, length as usize - kept));
        at += 16 + kept;
    }
    let rtp = |micros, port| (micros, port, 160);
    assert_eq!(
        seen,
        [
            (0, 5060, 0),
            rtp(100_000, 4000),
            rtp(100_000, 16400),
            rtp(120_000, 4000),
            rtp(120_000, 16400),
            (130_000, 5060, 0),
            rtp(140_000, 4000),
            rtp(140_000, 16400),
        ]
    );
}

#[test]
fn the_times_of_a_har_entry_add_up() {
    let timing = json!({"dns": 1000, "connect": 2000, "tls": 3000, "server": 4000, "body": 500, "total": 11_000});
    let asked = json!({"id": 1, "purpose": "tts", "method": "POST", "url": "https://a.example/speak",
                       "headers": [], "length": 0});
    let told = json!({"id": 1, "status": 200, "headers": [["content-type", "audio/wav"]], "length": 9000, "timing": timing});
    let lens = one(vec![
        sip(0, "in", &request("INVITE", 1, "")),
        at(1, "asked", asked),
        at(12, "told", told),
    ]);
    let har = lens.har();
    let times = &har["log"]["entries"][0]["timings"];
    let ms = |key: &str| times[key].as_f64().unwrap();
    assert_eq!((ms("connect"), ms("ssl"), ms("blocked")), (5.0, 3.0, 0.5));
    let sum: f64 = ["blocked", "dns", "connect", "send", "wait", "receive"]
        .iter()
        .map(|key| ms(key))
        .sum();
    assert_eq!(sum, har["log"]["entries"][0]["time"].as_f64().unwrap());
    let shown = lens.event(2).unwrap();
    assert_eq!(shown["detail"], "text to speech");
    assert_eq!(
        (
            &shown["timing"]["tls_ms"],
            &shown["timing"]["connect_with_tls"]
        ),
        (&json!(3.0), &json!(false))
    );
}

#[test]
fn a_call_is_of_the_users_who_have_a_leg_of_it() {
    let mut leg_of = begun("inbound", None, "Alice");
    leg_of["owner"] = json!("alice");
    let legs = [leg("a@x", vec![at(0, "leg_begun", leg_of)])];
    assert!(is_of_user(&legs, "alice"));
    assert!(!is_of_user(&legs, "bob"));
}
