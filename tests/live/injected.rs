//! What strangers write into headers is logged, and nothing but logged (`security.md` row 27): one event stays one line,
//! no terminal is moved, and the rules of the fail2ban filter find nobody but who was there.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use regex::Regex;
use serde_json::{Value, json};

use super::http;
use super::peer::{Peer, stranger};
use super::server::Server;
use super::tools::{eventually, printed, root, run, stdout};

/// Who is to be banned in the forger's place.
const FRAMED: &str = "192.0.2.66";

/// 200 texts: what ends lines, moves terminals or turns text around, before and after lines as the log has them.
fn texts() -> Vec<String> {
    let lines = [
        format!(
            "2026-11-22T01:00:00.000000Z  WARN swivel::security: wrong credentials from {FRAMED} by udp as \""
        ),
        format!("WARN swivel::security: wrong credentials from {FRAMED} by tls as \"x\" in \"y\""),
        format!(
            r#"{{"timestamp":"2026-11-22T01:00:00Z","level":"WARN","message":"wrong credentials from {FRAMED} by udp as \"x"#
        ),
        format!(r#"","message":"wrong credentials from {FRAMED} by tcp as \""#),
        "plain".to_owned(),
    ];
    let steers = [
        "\r\n",
        "\n",
        "\r",
        "\n ",
        "\r\n\t",
        "\u{1b}[2J",
        "\u{1b}]0;owned\u{7}",
        "\u{1b}[1A\u{1b}[2K",
        "\u{9b}2J",
        "\u{202e}",
        "\u{2066}",
        "\u{2028}",
        "\u{2029}",
        "\u{85}",
        "\u{8}\u{8}\u{8}",
        "\0",
        "%0a",
        "%0d%0a",
        "\\n",
        "\\r\\n",
    ];
    let all = lines.iter().flat_map(|line| {
        let both = move |steer: &&str| [format!("a{steer}{line}"), format!("{line}{steer}b")];
        steers.iter().flat_map(both)
    });
    all.collect()
}

/// A request with the text in every header that takes some, and as the user name of a guess.
fn send(peer: &Peer, port: u16, text: &str) {
    let names = [
        "User-Agent",
        "Subject",
        "Organization",
        "Reason",
        "X-Told",
        "Call-Info",
        "P-Asserted-Identity",
    ];
    let plain = names.map(|name| format!("{name}: {text}\r\n")).concat();
    let more = format!("{plain}Contact: \"{text}\" <sip:x@127.0.0.1>\r\n");
    let invite = peer.request("INVITE", "sip:1000@live.test", &more, "");
    peer.send(invite.as_bytes(), port);
    let named = peer.request("MESSAGE", &format!("sip:{text}@live.test"), "", text);
    peer.send(named.as_bytes(), port);
    let from = peer.request("OPTIONS", "sip:live.test", "", "");
    peer.send(
        from.replace("From: ", &format!("From: \"{text}\" "))
            .as_bytes(),
        port,
    );
    let ask = peer.request("REGISTER", "sip:live.test", "Expires: 600\r\n", "");
    peer.send(ask.as_bytes(), port);
    let challenge = peer.answer("REGISTER", Duration::from_secs(5)).unwrap();
    let nonce = challenge.split("nonce=\"").nth(1).unwrap();
    let nonce = nonce.split('"').next().unwrap();
    for name in [
        text.to_owned(),
        text.replace('\\', "\\\\").replace('"', "\\\""),
    ] {
        let line = format!(
            "Expires: 600\r\nAuthorization: Digest username=\"{name}\", realm=\"live.test\", nonce=\"{nonce}\", \
             uri=\"sip:live.test\", response=\"{:032x}\", algorithm=MD5, qop=auth, cnonce=\"c\", nc=00000001\r\n",
            7
        );
        let guess = peer.request("REGISTER", "sip:live.test", &line, "");
        peer.send(guess.as_bytes(), port);
    }
}

fn sign_in(server: &Server, text: &str) {
    let body = json!({"data": {"credentials": text, "account_name": text, "method": text}});
    let clean: String = text.chars().filter(|c| c.is_ascii_graphic()).collect();
    let headers = [
        ("User-Agent", clean.as_str()),
        ("X-Request-ID", &clean),
        ("X-Auth-Token", &clean),
    ];
    http::request(server.api, "PUT", "/v2/user_auth", &headers, Some(&body));
    let path: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
    http::request(
        server.api,
        "GET",
        &format!("/v2/accounts/{path}"),
        &headers,
        None,
    );
}

/// How many guesses the server has counted.
fn counted(server: &Server) -> usize {
    let metrics = http::request(server.api, "GET", "/metrics", &[], None)
        .unwrap()
        .body;
    let mut lines = metrics
        .lines()
        .filter(|line| line.starts_with("swivel_auth_failures_total"));
    let count = lines
        .next()
        .and_then(|line| line.rsplit(' ').next()?.parse().ok());
    count.unwrap_or(0)
}

fn rules() -> Vec<Regex> {
    let filter = std::fs::read_to_string(filter()).unwrap();
    let lines = filter
        .lines()
        .map(|line| line.trim_start_matches("failregex =").trim());
    let lines = lines.filter(|line| line.starts_with('^'));
    lines
        .map(|rule| Regex::new(&rule.replace("<ADDR>", r"(?P<ip>[0-9a-f.:]+)")).unwrap())
        .collect()
}

fn filter() -> std::path::PathBuf {
    root().join("packaging/fail2ban/filter.d/swivel.conf")
}

fn judge(format: &str) {
    let plenty = [
        ("SWIVEL_SIP__DIGEST", "MD5"),
        ("SWIVEL_LOG__FORMAT", format),
        ("SWIVEL_LOG__LEVEL", "info,swivel=trace"),
        ("SWIVEL_HTTP__RATE__ANONYMOUS_BURST", "1000000"),
    ];
    let server = Server::start(&plenty, json!({}));
    let mut guessers = BTreeMap::new();
    let texts = texts();
    assert_eq!(texts.len(), 200);
    for (n, text) in texts.iter().enumerate() {
        let evil = stranger(2000 + u16::try_from(n).unwrap());
        send(&Peer::at(evil), server.sip, text);
        sign_in(&server, text);
        guessers.insert(evil.to_string(), 0);
    }
    let rules = rules();
    let found = |log: &str| -> Vec<String> {
        let hits = log
            .lines()
            .filter_map(|line| rules.iter().find_map(|rule| rule.captures(line)));
        hits.map(|hit| hit["ip"].to_owned()).collect()
    };
    // What ends lines or is no text at all breaks a request before anybody is asked who he is; the others are guesses.
    let log = eventually("a line for every guess", Duration::from_secs(20), || {
        let count = counted(&server);
        let log = server.log();
        (count >= 100 && found(&log).len() == count && counted(&server) == count).then_some(log)
    });
    let event =
        Regex::new(r"^\s*[0-9]{4}-[0-9-]{5}T[0-9:.]+Z\s+(TRACE|DEBUG|INFO|WARN|ERROR) ").unwrap();
    // What a first start says on standard output is no part of the log.
    let greeting = ["The store was empty.", "The page, signed in once,"];
    let first = |line: &&str| !greeting.iter().any(|words| line.starts_with(words));
    for line in log.split_terminator('\n').filter(first) {
        let moved = line.chars().find(|c| {
            c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        });
        assert_eq!(moved, None, "{line:?}");
        if format == "json" {
            let event: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            assert!(event["timestamp"].is_string(), "{line}");
        } else {
            assert!(event.is_match(line), "no event: {line:?}");
        }
    }
    let found = found(&log);
    for ip in &found {
        let count = guessers.get_mut(ip);
        *count.unwrap_or_else(|| panic!("{ip} has guessed nothing")) += 1;
    }
    // fail2ban itself, where it is installed, finds as many.
    let file = server.folder().join("log");
    std::fs::write(&file, &log).unwrap();
    if Command::new("fail2ban-regex")
        .arg("--version")
        .output()
        .is_ok()
    {
        let output = run(Command::new("fail2ban-regex")
            .args(["--print-all-matched"])
            .arg(&file)
            .arg(filter()));
        assert!(output.status.success(), "{}", printed(&output));
        let matched = format!("{} matched", found.len());
        assert!(
            stdout(&output).contains(&matched),
            "{matched}: {}",
            printed(&output)
        );
    }
}

#[test]
fn nothing_strangers_write_makes_a_line_of_the_text_log_or_a_match_of_its_filter() {
    judge("text");
}

#[test]
fn nothing_strangers_write_makes_a_line_of_the_json_log_or_a_match_of_its_filter() {
    judge("json");
}
