//! Bodies that are meant to hurt: session descriptions in INVITE, what web servers answer to Pivot, and audio files
//! (`security.md` rows 9, 18, 20, 21, 23).

use std::time::Duration;

use serde_json::{Value, json};

use super::hostile::Hostile;
use super::peer::{KNOWN, Peer, known, offer};
use super::server::Server;

const MIB: u64 = 1 << 20;

/// A server with one callflow.
fn server(flow: &Value) -> Server {
    let documents = json!({
        "devices": [{"name": "known", "sip": {"method": "ip", "ip": KNOWN}}],
        "callflows": [{"name": "the flow", "numbers": ["700"], "patterns": ["^8([a-z.-]+)$"], "flow": flow}],
        // What a caller hears of a failure is short here, so that times are the flow's and not the prompt's.
        "media": [{"name": "sorry", "prompt_id": "fault-can_not_be_completed_at_this_time", "media_source": "tts",
                   "tts": {"text": "Sorry."}}],
    });
    Server::for_sip(&[], documents)
}

/// Ends a call by 603, which nothing else here does.
fn declines() -> Value {
    json!({"module": "response", "data": {"code": 603}, "children": {}})
}

fn lasts() -> Value {
    json!({"module": "answer", "data": {}, "children": {"_": {"module": "sleep", "data": {"duration": 60}, "children": {}}}})
}

#[test]
fn session_descriptions_that_are_bombs_are_refused_at_once() {
    let mut server = server(&lasts());
    let peer = Peer::at(known(1));
    let address = known(1);
    let plain = |lines: &str| offer(address, 40_000, lines);
    let swap = |from: &str, to: &str| plain("").replace(from, to);
    let lines = |count: usize| {
        (0..count)
            .map(|n| format!("a=x-{n}:1\r\n"))
            .collect::<String>()
    };
    let media = |count: usize| "m=audio 40002 RTP/AVP 0\r\n".repeat(count);
    let begin = server.resident();
    // What to send, and which of these answers.
    let cases: Vec<(&str, String, &[u16])> = vec![
        ("2,000 attributes", plain(&lines(2000)), &[488]),
        ("1,001 lines", plain(&lines(1001 - 8)), &[488]),
        ("1,000 lines", plain(&lines(1000 - 8)), &[200]),
        ("16 media", plain(&media(15)), &[200]),
        ("17 media", plain(&media(16)), &[488]),
        ("1,000 media", plain(&media(990)), &[488]),
        (
            "no media",
            swap("m=audio 40000 RTP/AVP 0 101\r\n", ""),
            &[488],
        ),
        ("media port 0", swap("m=audio 40000", "m=audio 0"), &[488]),
        (
            "media port 65536",
            swap("m=audio 40000", "m=audio 65536"),
            &[488],
        ),
        ("media port -1", swap("m=audio 40000", "m=audio -1"), &[488]),
        (
            "no connection",
            swap(&format!("c=IN IP4 {address}\r\n"), ""),
            &[488],
        ),
        (
            "no common codec",
            swap("RTP/AVP 0 101", "RTP/AVP 18").replace("a=rtpmap:0 PCMU/8000\r\n", ""),
            &[488],
        ),
        (
            "formats that are no numbers",
            swap("RTP/AVP 0 101", "RTP/AVP \u{1}%n%n%n -1 4294967296"),
            &[488],
        ),
        (
            "800 formats",
            swap(
                "RTP/AVP 0 101",
                &format!(
                    "RTP/AVP 0 {}",
                    (0..800).map(|n| format!("{n} ")).collect::<String>()
                ),
            ),
            &[200, 488],
        ),
        (
            "fmtp without an end",
            plain(&format!("a=fmtp:101 {}\r\n", "0-16,".repeat(3000))),
            &[200, 488],
        ),
        (
            "fmtp of nothing",
            plain("a=fmtp:\r\na=fmtp\r\na=fmtp: \r\na=rtpmap:\r\na=rtpmap:999999999999 x/0\r\n"),
            &[200, 488],
        ),
        ("clock 0", plain("a=rtpmap:96 opus/0/0\r\n"), &[200]),
        ("ptime 0", plain("a=ptime:0\r\n"), &[200]),
        (
            "ptime of 2^32",
            plain("a=ptime:4294967296\r\na=maxptime:1\r\n"),
            &[200],
        ),
        ("ptime -20", plain("a=ptime:-20\r\n"), &[200]),
        (
            "telephone-event 0-4294967295",
            plain("a=fmtp:101 0-4294967295\r\n"),
            &[200],
        ),
        ("no line ends", "v=0".repeat(9000), &[488]),
        ("NUL bytes", "\0".repeat(9000), &[488]),
        (
            "60,000 bytes of one line",
            plain(&format!("a={}\r\n", "x".repeat(58_000))),
            &[200, 488],
        ),
    ];
    let mut wrong = Vec::new();
    let mut slowest = Duration::ZERO;
    for (name, sdp, wanted) in &cases {
        let mut best = Duration::MAX;
        // The machine may be busy, its disk too: what counts is how soon it can be, and what is slow is so every time.
        for _ in 0..12 {
            let call = peer.call("700", sdp, server.sip);
            server.assert_running();
            best = best.min(call.took);
            if !wanted.contains(&call.status()) {
                wrong.push(format!("{name}: {} instead of {wanted:?}", call.status()));
                break;
            }
            if call.status() == 200 {
                assert_eq!(call.hang_up(&peer), 200, "{name}");
            }
            if best <= Duration::from_millis(50) {
                break;
            }
        }
        slowest = slowest.max(best);
        if best > Duration::from_millis(50) {
            wrong.push(format!("{name}: answered after {best:?}"));
        }
    }
    let grown = server.resident().saturating_sub(begin);
    println!(
        "{} session descriptions, slowest answer {slowest:?}, memory +{} KiB",
        cases.len(),
        grown >> 10
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(grown < 20 * MIB, "memory grew by {grown} bytes");
}

#[test]
fn web_servers_that_answer_with_bombs_send_the_call_to_its_fallback() {
    let web = Hostile::start();
    let pivot = json!({"module": "pivot", "data": {"voice_url": web.url("/{path}"), "req_timeout_ms": 1500}, "children": {"_": declines()}});
    let paths = [
        "brackets",
        "brackets-that-fit",
        "objects-that-fit",
        "deep-flow",
        "key",
        "number",
        "surrogate",
        "twice",
        "nul",
        "not-utf8",
        "empty",
        "zipped",
        "endless",
        "endless-head",
        "drip",
        "around",
        "missing",
    ];
    let callflows: Vec<Value> = paths
        .iter()
        .enumerate()
        .map(|(n, path)| {
            let mut flow = pivot.clone();
            flow["data"]["voice_url"] = web.url(&format!("/{path}")).into();
            json!({"name": path, "numbers": [(500 + n).to_string()], "flow": flow})
        })
        .collect();
    let mut server = Server::for_sip(
        &[],
        json!({"devices": [{"name": "known", "sip": {"method": "ip", "ip": KNOWN}}], "callflows": callflows}),
    );
    let peer = Peer::at(known(1));
    let sdp = offer(known(1), 40_000, "");
    let mut wrong = Vec::new();
    let mut most = 0;
    for round in 0..2 {
        for (n, path) in paths.iter().enumerate() {
            let (before, sent, hits) = (server.resident(), web.sent(), web.hits());
            let call = peer.call(&(500 + n).to_string(), &sdp, server.sip);
            server.assert_running();
            let grown = server.resident().saturating_sub(before);
            println!(
                "{path}: {} after {:?}, memory +{} KiB, {} bytes taken",
                call.status(),
                call.took,
                grown >> 10,
                web.sent() - sent
            );
            if call.status() != 603 {
                wrong.push(format!("{path}: {}", call.status()));
            }
            if web.hits() - hits != if *path == "around" { 5 } else { 1 } {
                wrong.push(format!("{path}: {} requests", web.hits() - hits));
            }
            if call.took > Duration::from_millis(2500) {
                wrong.push(format!("{path}: {:?}", call.took));
            }
            // The first round warms everything up.
            if round == 1 {
                most = most.max(grown);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(most < 10 * MIB, "memory grew by {most} bytes");
}

/// Row 18.
#[test]
fn a_web_server_that_pivots_to_itself_is_left_in_five_seconds() {
    let web = Hostile::start();
    let pivot = json!({"module": "pivot", "data": {"voice_url": web.url("/self")}, "children": {}});
    let mut server = server(&pivot);
    let peer = Peer::at(known(1));
    let busy = server.busy();
    let call = peer.call("700", &offer(known(1), 40_000, ""), server.sip);
    let (took, hits) = (call.took, web.hits());
    std::thread::sleep(Duration::from_millis(500));
    println!(
        "ended by {} after {took:?} and {hits} fetches, {:?} of processor time",
        call.status(),
        server.busy() - busy
    );
    assert!(call.status() >= 400, "{:?}", call.answer);
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(hits <= 50, "{hits} fetches");
    assert_eq!(web.hits(), hits, "and then there are no more");
    server.assert_running();
}

#[test]
fn audio_files_that_are_bombs_take_the_error_branch() {
    let web = Hostile::start();
    let paths = [
        "good.wav",
        "size.wav",
        "rate.wav",
        "channels.wav",
        "no-channels.wav",
        "head.wav",
        "zero.mp3",
        "frames.mp3",
        "empty.ogg",
        "text.flac",
        "missing.wav",
        "endless",
    ];
    let callflows: Vec<Value> = paths
        .iter()
        .enumerate()
        .map(|(n, path)| {
            let flow = json!({"module": "play", "data": {"id": web.url(&format!("/{path}")), "answer": false}, "children": {"_": declines()}});
            json!({"name": path, "numbers": [(500 + n).to_string()], "flow": flow})
        })
        .collect();
    let mut server = Server::for_sip(
        &[],
        json!({"devices": [{"name": "known", "sip": {"method": "ip", "ip": KNOWN}}], "callflows": callflows}),
    );
    let peer = Peer::at(known(1));
    let sdp = offer(known(1), 40_000, "");
    let mut wrong = Vec::new();
    for (n, path) in paths.iter().enumerate() {
        let (before, hits) = (server.resident(), web.hits());
        let mut best = Duration::MAX;
        for _ in 0..2 {
            let call = peer.call(&(500 + n).to_string(), &sdp, server.sip);
            server.assert_running();
            best = best.min(call.took);
            if call.status() != 603 {
                wrong.push(format!("{path}: {}", call.status()));
            }
        }
        let grown = server.resident().saturating_sub(before);
        println!("{path}: after {best:?}, memory +{} KiB", grown >> 10);
        if web.hits() == hits {
            wrong.push(format!("{path}: was never asked for"));
        }
        // The first two are played, 200 ms: what the second says of its size is not believed.
        let (least, most) = match *path {
            "good.wav" => (150, 700),
            "size.wav" => (0, 700),
            "endless" => (0, 31_000),
            _ => (0, 100),
        };
        if best < Duration::from_millis(least) {
            wrong.push(format!("{path}: only {best:?}"));
        }
        if best > Duration::from_millis(most) {
            wrong.push(format!("{path}: {best:?}"));
        }
        if grown > 60 * MIB {
            wrong.push(format!("{path}: memory +{grown}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
