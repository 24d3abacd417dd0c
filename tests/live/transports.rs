//! TLS and WebSocket as the outside sees them: openssl, swivel's own caller, Python's websockets.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::phone::{self, Over};
use super::server::{Server, free_port};
use super::tools::{eventually, printed, python, root, run, swivel};

/// A server with one listener of each stream transport beside UDP.
struct House {
    server: Server,
    udp: u16,
    tcp: u16,
    tls: u16,
    ws: u16,
    wss: u16,
}

fn house(more: &[(&str, &str)]) -> House {
    // Ports are the machine's choice and read from the log: five free ports named in advance are easily lost again.
    let listen = ["udp", "tcp", "tls", "ws", "wss"].map(|name| format!("{name}://127.0.0.1:0"));
    let listen = listen.join(",");
    let mut environment = vec![("SWIVEL_SIP__LISTEN", listen.as_str())];
    environment.extend(more);
    let flow =
        json!({"module": "tts", "data": {"text": "Hello there, this is a test."}, "children": {}});
    let callflows = json!([{"name": "hello", "numbers": ["700"], "flow": flow}]);
    let server = Server::for_sip(&environment, json!({ "callflows": callflows }));
    let [udp, tcp, tls, ws, wss] = server.ports().try_into().unwrap();
    House {
        server,
        udp,
        tcp,
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

/// A self-signed certificate for `name` and 127.0.0.1, as files `name.pem` and `name-key.pem`.
fn certificate(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let files = (
        folder.join(format!("{name}.pem")),
        folder.join(format!("{name}-key.pem")),
    );
    let made = run(Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ])
        .args(["-nodes", "-days", "2", "-subj", &format!("/CN={name}")])
        .args([
            "-addext",
            &format!("subjectAltName=DNS:{name},IP:127.0.0.1"),
        ])
        .arg("-keyout")
        .arg(&files.1)
        .arg("-out")
        .arg(&files.0));
    assert!(made.status.success(), "{}", printed(&made));
    files
}

/// A TLS connection by openssl that stays open.
struct Tunnel {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Tunnel {
    fn to(port: u16) -> Self {
        let mut child = Command::new("timeout")
            .args(["30", "openssl", "s_client", "-quiet", "-connect"])
            .arg(format!("127.0.0.1:{port}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            input,
            output,
        }
    }

    /// Sends a request; the first line of what comes back.
    fn ask(&mut self, request: &str) -> String {
        self.input.write_all(request.as_bytes()).unwrap();
        self.input.flush().unwrap();
        let mut first = String::new();
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 && line != "\r\n" {
            if first.is_empty() {
                first.clone_from(&line);
            }
            line.clear();
        }
        first
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
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
    let (other, _) = certificate(house.server.folder(), "other.test");
    let outcome = house.call("--tls", house.tls, &other);
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
        let arguments: Vec<&str> = believed.iter().copied().chain([version]).collect();
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

/// What testssl calls weak, asked one by one: of all suites openssl knows, only those with a fresh key exchange and
/// authenticated encryption are agreed to.
#[test]
fn no_suite_without_forward_secrecy_and_authenticated_encryption_is_agreed_to() {
    let house = house(&[]);
    let known = run(Command::new("openssl").args([
        "ciphers",
        "-s",
        "-tls1_2",
        "ALL:COMPLEMENTOFALL:@SECLEVEL=0",
    ]));
    let known = String::from_utf8_lossy(&known.stdout).trim().to_owned();
    let old = known.split(':').filter(|name| !name.starts_with("TLS_"));
    let (mut agreed, mut asked) = (Vec::new(), 0);
    for suite in old {
        asked += 1;
        let cipher = format!("{suite}:@SECLEVEL=0");
        let output = openssl(house.tls, &["-tls1_2", "-cipher", &cipher], "");
        if output.status.success() {
            agreed.push(suite);
        }
    }
    assert!(asked > 20, "openssl knows {asked} suites");
    assert!(!agreed.is_empty(), "no suite at all");
    let strong = |suite: &&str| {
        suite.starts_with("ECDHE-") && (suite.contains("GCM") || suite.contains("CHACHA20"))
    };
    assert!(agreed.iter().all(strong), "{agreed:?}");
}

/// New handshakes see the new certificate; a connection that is up goes on.
#[test]
fn a_renewed_certificate_is_served_after_a_hangup_signal() {
    let dir = tempfile::tempdir().unwrap();
    let (first, first_key) = certificate(dir.path(), "first.test");
    let (second, second_key) = certificate(dir.path(), "second.test");
    let (served, key) = (
        dir.path().join("served.pem"),
        dir.path().join("served-key.pem"),
    );
    std::fs::copy(&first, &served).unwrap();
    std::fs::copy(&first_key, &key).unwrap();
    let house = house(&[
        ("SWIVEL_TLS__CERTIFICATE", served.to_str().unwrap()),
        ("SWIVEL_TLS__KEY", key.to_str().unwrap()),
    ]);
    let shown = || printed(&openssl(house.tls, &[], ""));
    assert!(shown().contains("CN = first.test"), "{}", shown());
    let mut before = Tunnel::to(house.tls);
    assert!(before.ask(&options("TLS")).starts_with("SIP/2.0 200 "));

    std::fs::copy(&second, &served).unwrap();
    std::fs::copy(&second_key, &key).unwrap();
    house.server.signal(rustix::process::Signal::HUP);
    eventually("the new certificate", Duration::from_secs(10), || {
        shown().contains("CN = second.test").then_some(())
    });
    let again = options("TLS").replace("776asdhds", "776asdhdt");
    assert!(before.ask(&again).starts_with("SIP/2.0 200 "));

    std::fs::write(&served, "this is no certificate").unwrap();
    house.server.signal(rustix::process::Signal::HUP);
    eventually("a word about it", Duration::from_secs(10), || {
        house
            .server
            .log()
            .contains("tls.certificate: there is no certificate in it")
            .then_some(())
    });
    assert!(shown().contains("CN = second.test"), "{}", shown());
}

#[test]
fn check_says_what_is_wrong_with_a_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let (first, first_key) = certificate(dir.path(), "first.test");
    let (_, other_key) = certificate(dir.path(), "other.test");
    let check = |key: &Path, advertise: &str| {
        let output = run(Command::new(swivel())
            .arg("check")
            .current_dir(dir.path())
            .env("SWIVEL_SIP__LISTEN", "tls://127.0.0.1:0")
            .env("SWIVEL_SIP__ADVERTISE", advertise)
            .env("SWIVEL_HTTP__LISTEN", "127.0.0.1:0")
            .env("SWIVEL_TLS__CERTIFICATE", &first)
            .env("SWIVEL_TLS__KEY", key));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().find(|line| line.contains(" tls: "));
        line.unwrap_or_else(|| panic!("{}", printed(&output)))
            .to_owned()
    };
    let good = check(&first_key, "first.test");
    assert!(
        good.starts_with("ok    tls: for first.test, 127.0.0.1, ") && good.contains(" days left"),
        "{good}"
    );
    let name = check(&first_key, "pbx.test:5061");
    assert_eq!(
        name,
        "WRONG tls: it is for first.test, 127.0.0.1, not for pbx.test"
    );
    let pair = check(&other_key, "first.test");
    assert!(pair.starts_with("WRONG tls: tls.key: "), "{pair}");
}

#[test]
fn web_sockets_keep_to_their_rfc_on_both_ports() {
    let python = python("test").expect("`make test` builds .venv/test");
    let listed = "https://phone.example.com";
    let house = house(&[("SWIVEL_SIP__ORIGINS", listed)]);
    for url in [
        format!("ws://127.0.0.1:{}/", house.ws),
        format!("ws://127.0.0.1:{}/sip", house.server.api.port()),
    ] {
        let output = run(Command::new(&python)
            .arg(root().join("tests/live/websocket.py"))
            .args([&url, listed]));
        assert!(output.status.success(), "{url}: {}", printed(&output));
    }
}

#[test]
fn baresip_calls_over_tls() {
    let house = house(&[]);
    let call = phone::call_at(house.tls, "700", Over::Tls, Some(&house.authority()));
    assert!(call.answered(), "{}\n{}", call.log, house.server.log());
    assert!(call.heard().audible_seconds() > 0.8, "{}", call.log);
}

/// The name leads by NAPTR to TCP, by SRV to a port, and only there somebody listens.
#[test]
fn the_callers_name_server_says_where_a_name_leads() {
    let house = house(&[]);
    let start = || {
        let port = free_port();
        let dns = Command::new("/usr/sbin/dnsmasq")
            .args([
                "--keep-in-foreground",
                "--no-resolv",
                "--no-hosts",
                "--conf-file=/dev/null",
            ])
            .args([
                "--no-daemon",
                "--pid-file=",
                "--bind-interfaces",
                "--listen-address=127.0.0.1",
            ])
            .arg(format!("--port={port}"))
            .arg("--naptr-record=pbx.test,10,10,s,SIP+D2T,,_sip._tcp.far.test")
            .arg(format!(
                "--srv-host=_sip._tcp.far.test,one.far.test,{},10,0",
                house.tcp
            ))
            .arg(format!(
                "--srv-host=_sip._udp.pbx.test,two.far.test,{},10,0",
                house.udp
            ))
            .args([
                "--host-record=one.far.test,127.0.0.1",
                "--host-record=two.far.test,127.0.0.9",
            ])
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("dnsmasq: {error}; `make deps` installs it"));
        (dns, format!("127.0.0.1:{port}"))
    };
    let (mut dns, mut servers) = start();
    let outcome = eventually("an answer by dnsmasq", Duration::from_secs(20), || {
        let arguments = ["call", "700@pbx.test", "--json", "--dns", &servers];
        let output = run(Command::new(swivel()).args(arguments));
        if dns.try_wait().unwrap().is_some() {
            // Somebody else had the port.
            (dns, servers) = start();
        }
        serde_json::from_slice::<Value>(&output.stdout).ok()
    });
    dns.kill().unwrap();
    dns.wait().unwrap();
    assert_eq!(outcome["result"], "completed", "{outcome:#}");
    let ladder = outcome["ladder"].to_string();
    assert!(
        ladder.contains("BYE sip:swivel@127.0.0.1") && ladder.contains("transport=tcp"),
        "{ladder}"
    );
}

#[test]
fn a_tls_handshake_that_never_ends_is_closed() {
    use std::io::Read as _;
    let house = house(&[]);
    let begun = super::tools::now();
    let silent = [house.tls, house.wss].map(|port| {
        let mut line = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        // The beginning of a ClientHello and no more.
        line.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01])
            .unwrap();
        line.set_read_timeout(Some(Duration::from_secs(40)))
            .unwrap();
        line
    });
    for mut line in silent {
        // Whatever it says last, it ends.
        let mut rest = Vec::new();
        line.read_to_end(&mut rest).ok();
        let after = begun.elapsed();
        assert!(
            after < Duration::from_secs(35),
            "still open after {after:?}"
        );
        assert!(
            after > Duration::from_secs(8),
            "closed after {after:?} already"
        );
    }
}
