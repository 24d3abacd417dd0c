//! Ten minutes of everything at once (`make soak`; seconds of it in `make test`): SIPp plays callers that talk, hold,
//! give up, ask, register and are wrong, in processes that are killed in the middle; then nothing may be left.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use swivel::base::rng::Rng;

use super::peer::{Peer, beside, soak};
use super::server::{Server, free_port};
use super::tools::{eventually, now, root};

/// Scenario, number, and how many calls a second one process of it may place.
const MIX: &[(&str, &str, u64)] = &[
    ("plain", "600", 20),
    ("callee_hangs_up", "601", 20),
    ("load_signalling", "601", 30),
    ("gather_info", "603", 5),
    ("cancel", "604", 10),
    ("hold", "600", 10),
    ("delayed_offer", "600", 10),
    ("prack", "605", 5),
    ("session_timer_too_small", "600", 10),
    ("unknown_number", "999", 20),
    ("options", "600", 20),
    ("malformed", "600", 10),
];

/// What the processes did.
#[derive(Default)]
struct Tally {
    ran: AtomicU64,
    killed: AtomicU64,
    failed: AtomicU64,
}

/// What SIPp wrote of a run that did not go as its scenario says: its complaints, and the messages of its first complaint's call.
fn complaint(errors: &Path, messages: &Path) -> String {
    let read = |path: &Path| std::fs::read(path).unwrap_or_default();
    let errors = String::from_utf8_lossy(&read(errors)).into_owned();
    let messages = String::from_utf8_lossy(&read(messages)).into_owned();
    let call = errors
        .split_once("Call-Id '")
        .and_then(|(_, rest)| rest.split_once('\''));
    let of_call = call.map(|(call, _)| {
        let parts = messages.split("----------------------------------------------- ");
        parts.filter(|part| part.contains(call)).collect::<String>()
    });
    let head: String = errors
        .lines()
        .take(12)
        .map(|line| format!("  {line}\n"))
        .collect();
    format!("{head}{}", of_call.unwrap_or_default())
}

/// One player: starts one scenario after the other until the time is up.
fn play(seed: u64, folder: &Path, sip: u16, length: Duration, tally: &Tally) {
    let mut rng = Rng::seeded(seed);
    let end = now() + length;
    let (errors, messages) = (
        folder.join(format!("mix-{seed}-errors")),
        folder.join(format!("mix-{seed}-messages")),
    );
    while now() < end {
        for file in [&errors, &messages] {
            std::fs::remove_file(file).ok();
        }
        let (name, number, rate) = MIX[usize::try_from(rng.below(MIX.len() as u64)).unwrap()];
        let rate = 1 + rng.below(rate);
        let calls = rate * (1 + rng.below(3));
        let transport = if rng.below(3) == 0 { "t1" } else { "u1" };
        let mut child = Command::new("sipp")
            .current_dir(folder)
            .arg("-sf")
            .arg(root().join("sipp-scenarios").join(format!("{name}.xml")))
            .args(["-s", number, "-i", "127.0.0.1", "-nostdin", "-t", transport])
            .args([
                "-p",
                &free_port().to_string(),
                "-mp",
                &free_port().to_string(),
            ])
            .args([
                "-m",
                &calls.to_string(),
                "-r",
                &rate.to_string(),
                "-l",
                "60",
            ])
            .args(["-recv_timeout", "20000", "-timeout", "60s"])
            .args(["-trace_err", "-error_file"])
            .arg(&errors)
            .args(["-trace_msg", "-message_file"])
            .arg(&messages)
            .arg(format!("127.0.0.1:{sip}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sipp is there; `make deps` installs what the tests need");
        tally.ran.fetch_add(1, Ordering::Relaxed);
        if rng.below(6) == 0 {
            // Its calls are left to themselves.
            std::thread::sleep(Duration::from_millis(200 + rng.below(1500)));
            child.kill().ok();
            child.wait().ok();
            tally.killed.fetch_add(1, Ordering::Relaxed);
        } else if let status = child.wait().unwrap()
            && !status.success()
        {
            tally.failed.fetch_add(1, Ordering::Relaxed);
            println!(
                "{name} over {transport}, {calls} calls at {rate} a second: {status}\n{}",
                complaint(&errors, &messages)
            );
        }
    }
}

#[test]
fn ten_minutes_of_mixed_traffic_leave_nothing_behind() {
    let length = std::env::var("SWIVEL_MIX_SECONDS")
        .map_or(if soak() { 600 } else { 8 }, |seconds| {
            seconds.parse().unwrap()
        });
    let length = Duration::from_secs(length);
    let stays = json!({"module": "answer", "data": {}, "children": {"_": {"module": "sleep", "data": {"duration": 20}}}});
    let ends = json!({"module": "answer", "data": {}, "children": {"_": {"module": "sleep", "data": {"duration": 1}, "children":
        {"_": {"module": "hangup", "data": {}}}}}});
    let keys = json!({"module": "collect_dtmf", "data": {"max_digits": 4, "timeout": 10000, "interdigit_timeout": 4000}, "children":
        {"_": {"module": "hangup", "data": {}}}});
    let rings = json!({"module": "sleep", "data": {"duration": 30}});
    let early = json!({"module": "play", "data": {"id": "silence_stream://1000", "answer": false}, "children": {"_": stays}});
    let flows = [
        ("600", &stays),
        ("601", &ends),
        ("603", &keys),
        ("604", &rings),
        ("605", &early),
    ];
    let callflows: Vec<_> = flows
        .iter()
        .map(|(number, flow)| json!({"name": number, "numbers": [number], "flow": flow}))
        .collect();
    let environment = [
        ("SWIVEL_RTP__TIMEOUT_SECONDS", "10"),
        ("SWIVEL_LOG__LEVEL", "info"),
    ];
    let mut server = Server::start(&environment, json!({ "callflows": callflows }));
    let quiet = (server.files(), server.resident());
    let tally = Arc::new(Tally::default());
    let players: Vec<_> = (0..4)
        .map(|seed| {
            let (tally, sip) = (tally.clone(), server.sip);
            let folder = server.folder().to_owned();
            beside(move || play(seed, &folder, sip, length, &tally))
        })
        .collect();
    for player in players {
        player.join().unwrap();
    }
    server.assert_running();
    let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
    println!(
        "{} runs of SIPp, {} killed in the middle, {} with calls that did not go as they should",
        read(&tally.ran),
        read(&tally.killed),
        read(&tally.failed)
    );
    // Calls whose callers were killed end by their silence, or by a BYE nobody answers.
    eventually("the end of all calls", Duration::from_secs(90), || {
        std::thread::sleep(Duration::from_millis(500));
        (server.data("channels") == json!([])).then_some(())
    });
    let finished = read(&tally.ran) - read(&tally.killed);
    // In the long form one in a hundred; a few seconds of a busy machine say less.
    let most = if soak() {
        finished / 100
    } else {
        finished / 10
    };
    assert!(
        read(&tally.failed) <= most,
        "{} of {finished} runs failed",
        read(&tally.failed)
    );
    // Ports rest and are closed, connections end, memory does not grow with time.
    eventually("the files to be closed", Duration::from_secs(120), || {
        std::thread::sleep(Duration::from_secs(1));
        (server.files() < quiet.0 + 80).then_some(())
    });
    let grown = server.resident().saturating_sub(quiet.1) >> 20;
    println!(
        "{} files before, {} after; {grown} MiB more memory",
        quiet.0,
        server.files()
    );
    assert!(grown < 200, "{grown} MiB more memory");
    assert!(
        Peer::at([127, 0, 0, 1].into())
            .options(server.sip)
            .is_some()
    );
    assert!(!server.log().contains("panicked"), "{}", server.log());
}
