//! Kamailio plays the carrier: two servers behind one name (SRV), the first of which refuses calls; digest on calls and
//! registrations; calls in by address and by registration; what arrives there, header by header.

use std::fs::File;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::audio::Sound;
use super::desk::{Desk, Line, PASSWORD, When};
use super::peer::unique;
use super::phone::Over;
use super::server::Server;
use super::tools::{eventually, now, printed, root, run};

const OURS: &str = "+14155550100";
const OURS_TOO: &str = "+14155550101";
const PHONE: &str = "000000000000000000000000000a1111";

/// A port at an address nobody else has.
#[derive(Clone, Copy)]
struct Place {
    ip: Ipv4Addr,
    port: u16,
}

impl Place {
    fn new() -> Self {
        let [_, _, high, low] = unique().to_be_bytes();
        let ip = Ipv4Addr::new(127, 6, high, low);
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        Self { ip, port }
    }

    fn text(&self) -> String {
        format!("{}:{}", self.ip, self.port)
    }

    /// Waits until somebody listens there.
    fn taken(&self, what: &str, child: &mut Child) {
        eventually(what, Duration::from_secs(20), || {
            assert!(child.try_wait().unwrap().is_none(), "{what}: it ended");
            UdpSocket::bind((self.ip, self.port)).is_err().then_some(())
        });
    }
}

/// A program that is ended with the test: by SIGTERM, so that it takes its own processes along.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        let _gone_already = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let deadline = now() + Duration::from_secs(10);
        while now() < deadline && self.0.try_wait().is_ok_and(|ended| ended.is_none()) {
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// One server of the carrier.
struct Kamailio {
    _program: Program,
    place: Place,
    dir: TempDir,
}

impl Kamailio {
    /// Starts it before the telephone `phone`, for the customer at `customer`.
    fn start(phone: Place, customer: Place, refusing: bool) -> Self {
        let place = Place::new();
        let dir = TempDir::new().unwrap();
        let log = File::create(dir.path().join("log")).unwrap();
        let config = dir.path().join("carrier.cfg");
        let template = root().join("tests/live/kamailio/carrier.cfg");
        let mut text = std::fs::read_to_string(template).unwrap();
        for (name, value) in [
            ("%ADDRESS%", place.text()),
            ("%SECRET%", PASSWORD.to_owned()),
            ("%PHONE%", phone.text()),
            ("%PHONE_HOST%", phone.ip.to_string()),
            ("%CUSTOMER%", customer.text()),
        ] {
            text = text.replace(name, &value);
        }
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new("kamailio");
        command
            .arg("-f")
            .arg(&config)
            // In the foreground, to standard error, with little memory.
            .args(["-DD", "-E", "-m", "16", "-M", "4", "-Y"])
            .arg(dir.path())
            .arg("-w")
            .arg(dir.path());
        if refusing {
            command.args(["-A", "REFUSING"]);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("kamailio: {error}; `make deps` installs it"));
        let mut program = Program(child);
        place.taken(
            &format!("Kamailio: {}", dir.path().display()),
            &mut program.0,
        );
        Self {
            _program: program,
            place,
            dir,
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// What it noted about requests of that kind, oldest first; a slow machine makes some of them come twice.
    fn seen(&self, kind: &str) -> Vec<String> {
        let mark = format!("SEEN {kind} ");
        let log = self.log();
        let lines = log.lines().filter_map(|line| line.split_once(&mark));
        let mut seen: Vec<String> = lines.map(|(_, seen)| seen.trim().to_owned()).collect();
        seen.dedup();
        seen
    }
}

/// A name server for which `carrier.test` is `first`, then `second`.
fn name_server(first: Place, second: Place) -> (Program, Place) {
    let place = Place::new();
    let srv = |name: &str, at: Place, priority: u8| {
        format!(
            "--srv-host=_sip._udp.carrier.test,{name}.carrier.test,{},{priority},0",
            at.port
        )
    };
    let child = Command::new("/usr/sbin/dnsmasq")
        .args(["--no-daemon", "--no-resolv", "--no-hosts", "--pid-file="])
        .args(["--conf-file=/dev/null", "--bind-interfaces"])
        .arg(format!("--listen-address={}", place.ip))
        .arg(format!("--port={}", place.port))
        .arg(srv("one", first, 10))
        .arg(srv("two", second, 20))
        .arg(format!("--host-record=one.carrier.test,{}", first.ip))
        .arg(format!("--host-record=two.carrier.test,{}", second.ip))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("dnsmasq: {error}; `make deps` installs it"));
    let mut program = Program(child);
    place.taken("dnsmasq", &mut program.0);
    (program, place)
}

/// SIPp at the telephone's place, in `folder`.
fn sipp(phone: Place, folder: &Path, scenario: &str, more: &[&str]) -> Command {
    let ip = phone.ip.to_string();
    let mut command = Command::new("sipp");
    command
        .current_dir(folder)
        .arg("-sf")
        .arg(
            root()
                .join("sipp-scenarios")
                .join(format!("{scenario}.xml")),
        )
        .args(["-i", &ip, "-mi", &ip, "-p", &phone.port.to_string()])
        .args(["-m", "1", "-nostdin", "-timeout", "60s", "-timeout_error"])
        .args(["-trace_err", "-trace_msg", "-message_file"])
        .arg(format!("{scenario}.messages"))
        .args(more);
    command
}

fn customer(second: Place) -> Value {
    json!({
        "devices": [{
            "id": PHONE, "name": "ann", "sip": {"method": "password", "username": "ann", "password": PASSWORD},
            "caller_id": {"external": {"name": "Acme", "number": OURS},
                          "asserted": {"name": "Acme Inc", "number": OURS, "realm": "acme.test"}},
        }],
        "resources": [{
            "name": "carrier", "rules": ["^\\+1(\\d{10})$"], "format_from_uri": true,
            "formatters": {"outbound_caller_id_number": [{"regex": "^\\+1(\\d{10})$", "prefix": "001"}]},
            "gateways": [{
                "server": "carrier.test", "username": "acme", "password": PASSWORD, "realm": "carrier.test",
                "prefix": "77*", "register": true, "register_expires": 60, "options_seconds": 0,
                "custom_sip_headers": {"X-Customer": "acme"}, "inbound_ips": [second.ip.to_string()],
            }],
        }],
        "phone_numbers": [{"id": OURS}, {"id": OURS_TOO}],
        "callflows": [{"name": "main", "numbers": [OURS, OURS_TOO],
                       "flow": {"module": "device", "data": {"id": PHONE}, "children": {}}}],
    })
}

/// How the one gateway stands.
fn gateway(server: &Server) -> Value {
    server.data("resources/status")[0].clone()
}

/// A call from the carrier's telephone to our number through one of its servers.
fn call_in(phone: Place, server: &Server, through: &Kamailio, number: &str, ann: &mut Desk) {
    let target = through.place.text();
    let output = run(&mut sipp(
        phone,
        server.folder(),
        "plain",
        &["-s", number, &target],
    ));
    let messages =
        std::fs::read_to_string(server.folder().join("plain.messages")).unwrap_or_default();
    assert!(
        output.status.success(),
        "{}\n{messages}\n{}",
        printed(&output),
        through.log()
    );
    ann.wait("CALL_ESTABLISHED");
    ann.wait("CALL_CLOSED");
}

#[test]
fn a_carrier_made_of_two_kamailios_takes_and_brings_calls() {
    let (phone, own) = (Place::new(), Place::new());
    let first = Kamailio::start(phone, own, true);
    let second = Kamailio::start(phone, own, false);
    let (_names, dns) = name_server(first.place, second.place);
    let listen = format!("udp://127.0.0.1:0,udp://{}", own.text());
    let (dns, listen) = (dns.text(), listen.as_str());
    let environment = [
        ("SWIVEL_SIP__DIGEST", "MD5"),
        ("SWIVEL_SIP__LISTEN", listen),
        ("SWIVEL_DNS__SERVERS", dns.as_str()),
    ];
    let server = Server::start(&environment, customer(second.place));
    let line = Line {
        over: Over::Udp,
        port: server.ports()[0],
        answers: When::Called,
        secret: None,
        mwi: false,
    };
    let mut ann = Desk::start("ann", &line, Sound::tune(40));
    ann.registered(&server, "ann");

    // Registered by digest, at the server that comes first.
    eventually("a registration", Duration::from_secs(30), || {
        (gateway(&server)["registered"] == true).then_some(())
    });
    let registered = first.seen("REGISTER");
    assert!(registered[0].starts_with("acme <sip:gw-"), "{registered:?}");
    assert!(second.seen("REGISTER").is_empty());

    // A call out: 503 by the first, a challenge by the second, and the telephone behind it answers.
    let mut behind = sipp(phone, server.folder(), "carrier", &["-rtp_echo"]);
    let behind = behind
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("sipp; `make deps` installs it");
    let mut behind = Program(behind);
    phone.taken("SIPp", &mut behind.0);
    ann.dial("4155550199");
    ann.wait("CALL_ESTABLISHED");
    std::thread::sleep(Duration::from_secs(2));
    ann.tell("hangup", "");
    let status = eventually("the end of SIPp", Duration::from_secs(20), || {
        behind.0.try_wait().unwrap()
    });
    assert!(status.success(), "{status}\n{}", second.log());
    assert_eq!(first.seen("REFUSED"), ["sip:77*4155550199@carrier.test"]);
    assert_eq!(second.seen("CHALLENGED").len(), 1);
    let seen = second.seen("INVITE");
    assert_eq!(
        seen,
        [
            "sip:77*4155550199@carrier.test | \"Acme\" <sip:0014155550100@carrier.test> | \
          \"Acme Inc\" <sip:+14155550100@acme.test> | acme | <null> |"
        ]
    );
    let row = gateway(&server);
    let state = |place: Place| {
        let targets = row["targets"].as_array().unwrap().iter();
        let mut own = targets.filter(|target| target["address"] == place.text());
        own.next().map(|target| target["state"].clone())
    };
    assert_eq!(state(first.place), Some(json!("held_out")), "{row:#}");
    assert_eq!(state(second.place), Some(json!("works")), "{row:#}");

    // Calls in: from the address in the document, and to where we have registered.
    call_in(phone, &server, &second, OURS, &mut ann);
    call_in(phone, &server, &first, OURS_TOO, &mut ann);
    let legs = server.legs(6);
    let from_carrier: Vec<&Value> = legs
        .iter()
        .filter(|leg| leg["call_direction"] == "inbound")
        .filter(|leg| leg["custom_channel_vars"]["authorizing_type"] == "resource")
        .collect();
    assert_eq!(from_carrier.len(), 2, "{legs:#?}");
    for leg in from_carrier {
        assert_eq!(leg["caller_id_number"], "+14155550177", "{leg:#}");
        assert_eq!(leg["caller_id_name"], "Bob Builder");
    }
    let bad: Vec<&Value> = legs
        .iter()
        .filter(|leg| leg["hangup_cause"] != "NORMAL_CLEARING")
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
}
