//! TLS and WebSocket as the outside sees them: openssl, swivel's own caller, Python's websockets.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use super::server::{Server, free_port};
use super::tools::{printed, run, swivel};

/// A server with one listener of each stream transport beside UDP.
struct House {
    server: Server,
    tls: u16,
    ws: u16,
    wss: u16,
}

fn house(more: &[(&str, &str)]) -> House {
    let [udp, tls, ws, wss] = [(); 4].map(|()| free_port());
    let listen = format!(
        "udp://127.0.0.1:{udp},tls://127.0.0.1:{tls},ws://127.0.0.1:{ws},wss://127.0.0.1:{wss}"
    );
    let mut environment = vec![("SWIVEL_SIP__LISTEN", listen.as_str())];
    environment.extend(more);
    let flow =
        json!({"module": "tts", "data": {"text": "Hello there, this is a test."}, "children": {}});
    let callflows = json!([{"name": "hello", "numbers": ["700"], "flow": flow}]);
    let server = Server::for_sip(&environment, json!({ "callflows": callflows }));
    House {
        server,
        tls,
        ws,
        wss,
    }
}

impl House {
    fn authority(&self) -> PathBuf {
        self.server.folder().join("data/tls/development.pem")
    }

    /// Calls 700 and hands back what came of it.
    fn call(&self, flag: &str, port: u16, ca: &Path) -> Value {
        let output = run(Command::new(swivel())
            .args(["call", "700", "--json", flag])
            .arg("--via")
            .arg(format!("127.0.0.1:{port}"))
            .arg("--ca")
            .arg(ca));
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}\n{}", printed(&output), self.server.log()))
    }

    fn assert_call(&self, flag: &str, port: u16, via: &str) {
        let outcome = self.call(flag, port, &self.authority());
        assert_eq!(
            outcome["result"],
            "completed",
            "{outcome:#}\n{}",
            self.server.log()
        );
        assert_eq!(outcome["ended_by"], "peer");
        assert!(
            outcome["heard"]["audible_ms"].as_u64().unwrap() > 800,
            "{outcome:#}"
        );
        let ladder = outcome["ladder"].to_string();
        assert!(ladder.contains(&format!(";transport={via}")), "{ladder}");
    }
}

/// `openssl s_client` with these arguments and this input.
fn openssl(port: u16, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new("timeout")
        .args(["20", "openssl", "s_client"])
        .arg("-connect")
        .arg(format!("127.0.0.1:{port}"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("openssl: {error}; `make deps` installs it"));
    // A handshake that failed has closed the pipe.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    child.wait_with_output().unwrap()
}

fn options(transport: &str) -> String {
    format!(
        "OPTIONS sip:a@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/{transport} df7jal23ls0d.invalid;branch=z9hG4bK776asdhds\r\n\
         Max-Forwards: 70\r\nFrom: <sip:x@127.0.0.1>;tag=1928\r\nTo: <sip:a@127.0.0.1>\r\nCall-ID: a84b4c76e66710\r\n\
         CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
}

#[test]
fn a_call_goes_over_tls_and_both_kinds_of_web_socket() {
    let house = house(&[]);
    house.assert_call("--tls", house.tls, "tls");
    house.assert_call("--ws", house.ws, "ws");
    house.assert_call("--wss", house.wss, "ws");
    house.assert_call("--ws", house.server.api.port(), "ws");
}

#[test]
fn a_caller_refuses_a_server_that_cannot_prove_its_name() {
    let house = house(&[]);
    let empty = house.server.folder().join("other.pem");
    let made = run(Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args([
            "-subj",
            "/CN=other",
            "-addext",
            "subjectAltName=DNS:other.test",
            "-keyout",
            "/dev/null",
        ])
        .arg("-out")
        .arg(&empty));
    assert!(made.status.success(), "{}", printed(&made));
    let outcome = house.call("--tls", house.tls, &empty);
    assert_eq!(outcome["result"], "failed", "{outcome:#}");
    assert!(outcome.to_string().contains("certificate"), "{outcome:#}");
}

#[test]
fn openssl_agrees_with_our_tls() {
    let house = house(&[]);
    let ca = house.authority();
    let believed = [
        "-quiet",
        "-verify_return_error",
        "-verify_ip",
        "127.0.0.1",
        "-CAfile",
        ca.to_str().unwrap(),
    ];
    for version in ["-tls1_2", "-tls1_3"] {
        let arguments: Vec<&str> = believed
            .iter()
            .copied()
            .chain([version])
            .collect();
        // A message without its length ends the connection, and with it openssl.
        let last = options("TLS").replace("Content-Length: 0\r\n", "");
        let output = openssl(house.tls, &arguments, &(options("TLS") + &last));
        let text = printed(&output);
        assert!(text.contains("SIP/2.0 200 "), "{version}: {text}");
        assert!(text.contains("SIP/2.0 400 "), "{version}: {text}");
    }
    for old in ["-tls1", "-tls1_1"] {
        let output = openssl(house.tls, &[old, "-cipher", "ALL:@SECLEVEL=0"], "");
        assert!(!output.status.success(), "{old}: {}", printed(&output));
    }
}
