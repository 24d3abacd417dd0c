//! A telephone calls out through a trunk whose first gateway is out of service, and a carrier's call to the account's
//! number rings it. SIPp plays the carrier.

use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::audio::Sound;
use super::desk::{Desk, Line, PASSWORD, When};
use super::peer::unique;
use super::phone::Over;
use super::server::Server;
use super::tools::{eventually, printed, root, run};

const OUR_NUMBER: &str = "+14155550100";
const PHONE: &str = "000000000000000000000000000a1111";

/// Where a gateway of a carrier is.
struct Place {
    ip: Ipv4Addr,
    port: u16,
}

impl Place {
    /// An address nobody else has.
    fn new() -> Self {
        let [_, _, high, low] = unique().to_be_bytes();
        let ip = Ipv4Addr::new(127, 5, high, low);
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        Self { ip, port }
    }

    fn gateway(&self) -> Value {
        json!({"server": self.ip.to_string(), "port": self.port, "prefix": "9", "invite_format": "strip_plus",
               "inbound_ips": [self.ip.to_string()], "progress_timeout": 10,
               // SIPp knows calls only.
               "options_seconds": 0})
    }

    /// SIPp with a scenario, at this address.
    fn sipp(&self, server: &Server, name: &str, more: &[&str]) -> Command {
        let mut command = Command::new("sipp");
        command
            .current_dir(server.folder())
            .arg("-sf")
            .arg(root().join("sipp-scenarios").join(format!("{name}.xml")))
            .args(["-i", &self.ip.to_string(), "-p", &self.port.to_string()])
            .args([
                "-mi",
                &self.ip.to_string(),
                "-m",
                "1",
                "-nostdin",
                "-timeout",
                "60s",
            ])
            .args([
                "-timeout_error",
                "-trace_err",
                "-trace_msg",
                "-message_file",
            ])
            .arg(format!("{name}.messages"))
            .args(more);
        command
    }

    /// Plays the carrier that is called there.
    fn serve(&self, server: &Server, name: &str) -> Carrier {
        self.serve_with(server, name, &["-rtp_echo"])
    }

    /// The same with more arguments.
    fn serve_with(&self, server: &Server, name: &str, more: &[&str]) -> Carrier {
        let child = self
            .sipp(server, name, more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sipp; `make deps` installs it");
        let carrier = Carrier(child);
        eventually("SIPp at its port", Duration::from_secs(15), || {
            UdpSocket::bind((self.ip, self.port)).is_err().then_some(())
        });
        carrier
    }
}

/// A SIPp that is called.
struct Carrier(Child);

impl Carrier {
    /// It must have been called and content with how that went.
    fn assert_content(mut self) {
        let status = eventually("the end of SIPp", Duration::from_secs(20), || {
            self.0.try_wait().unwrap()
        });
        assert!(status.success(), "{status}");
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn business(gateways: &[&Place]) -> (Server, Desk) {
    business_of(gateways, false)
}

/// The same, whose carrier may send calls on or may not.
fn business_of(gateways: &[&Place], follow_redirects: bool) -> (Server, Desk) {
    let gateways: Vec<Value> = gateways.iter().map(|place| place.gateway()).collect();
    let documents = json!({
        "devices": [{
            "id": PHONE, "name": "ann", "sip": {"method": "password", "username": "ann", "password": PASSWORD},
            "caller_id": {"external": {"name": "Acme", "number": OUR_NUMBER}},
        }],
        "resources": [{
            "name": "carrier", "rules": ["^\\+1\\d{10}$"], "gateways": gateways, "follow_redirects": follow_redirects,
            "formatters": {"outbound_caller_id_number": [{"regex": "^\\+?1?(\\d{10})$", "prefix": "001"}]},
        }],
        "phone_numbers": [{"id": OUR_NUMBER}],
        "callflows": [{"name": "main", "numbers": [OUR_NUMBER],
                       "flow": {"module": "device", "data": {"id": PHONE}, "children": {}}}],
    });
    let listen = [
        ("SWIVEL_SIP__DIGEST", "MD5"),
        ("SWIVEL_SIP__LISTEN", "udp://127.0.0.1:0"),
    ];
    let server = Server::start(&listen, documents);
    let line = Line {
        over: Over::Udp,
        port: server.ports()[0],
        answers: When::Called,
        secret: None,
        mwi: false,
    };
    let desk = Desk::start("ann", &line, Sound::tune(40));
    desk.registered(&server, "ann");
    (server, desk)
}

fn messages(server: &Server, name: &str) -> String {
    std::fs::read_to_string(server.folder().join(format!("{name}.messages"))).unwrap_or_default()
}

#[test]
fn a_call_leaves_by_the_second_gateway_when_the_first_is_out_of_service() {
    let (first, second) = (Place::new(), Place::new());
    let (server, mut ann) = business(&[&first, &second]);
    let refusing = first.serve(&server, "carrier_unavailable");
    let taking = second.serve(&server, "carrier");
    ann.dial("4155550199");
    ann.wait("CALL_ESTABLISHED");
    std::thread::sleep(Duration::from_secs(3));
    ann.tell("hangup", "");
    refusing.assert_content();
    taking.assert_content();
    for (name, place) in [("carrier_unavailable", &first), ("carrier", &second)] {
        let messages = messages(&server, name);
        let invite = format!(
            "INVITE sip:914155550199@{}:{} SIP/2.0",
            place.ip, place.port
        );
        assert!(messages.contains(&invite), "{messages}");
        assert!(
            messages.contains("\"Acme\" <sip:0014155550100@"),
            "{messages}"
        );
    }
    let legs = server.legs(3);
    let interaction = &legs[0]["interaction_id"];
    assert!(
        legs.iter().all(|leg| leg["interaction_id"] == *interaction),
        "{legs:#?}"
    );
    let codes = |code: &str| legs.iter().filter(|leg| leg["hangup_code"] == code).count();
    assert_eq!((codes("sip:200"), codes("sip:503")), (2, 1), "{legs:#?}");
    // The carrier echoes what it hears.
    let heard = ann.heard();
    let parts = [6_400, 11_200].map(|at| Sound(ann.says.0[at..at + 3_200].to_vec()));
    assert!(
        parts.iter().any(|part| heard.likeness(part) > 0.9),
        "{}",
        ann.log()
    );
}

#[test]
fn a_carrier_that_sends_the_call_on_is_followed_to_its_other_gateway_and_nowhere_else() {
    let (first, second, elsewhere) = (Place::new(), Place::new(), Place::new());
    let (server, mut ann) = business_of(&[&first, &second], true);
    let moved = format!("914155550199@{}:{}", second.ip, second.port);
    let sending = first.serve_with(&server, "carrier_moved", &["-key", "moved", &moved]);
    let taking = second.serve(&server, "carrier");
    ann.dial("4155550199");
    ann.wait("CALL_ESTABLISHED");
    ann.tell("hangup", "");
    sending.assert_content();
    taking.assert_content();
    let codes: Vec<_> = server
        .legs(3)
        .iter()
        .map(|leg| leg["hangup_code"].clone())
        .collect();
    assert!(codes.contains(&json!("sip:302")), "{codes:?}");

    // Somebody who is no gateway of the carrier is not called, the second gateway of the list is.
    let moved = format!("914155550199@{}:{}", elsewhere.ip, elsewhere.port);
    let canary = UdpSocket::bind((elsewhere.ip, elsewhere.port)).unwrap();
    canary.set_nonblocking(true).unwrap();
    let sending = first.serve_with(&server, "carrier_moved", &["-key", "moved", &moved]);
    ann.dial("4155550199");
    ann.wait("CALL_CLOSED");
    sending.assert_content();
    let called = canary.recv(&mut [0; 2048]);
    assert!(called.is_err(), "a call to whoever a carrier names");
}

#[test]
fn a_carriers_call_to_our_number_rings_the_phone() {
    let carrier = Place::new();
    let (server, mut ann) = business(&[&carrier]);
    let target = format!("127.0.0.1:{}", server.ports()[0]);
    let output = run(&mut carrier.sipp(&server, "plain", &["-s", OUR_NUMBER, &target]));
    assert!(
        output.status.success(),
        "{}\n{}",
        printed(&output),
        messages(&server, "plain")
    );
    ann.wait("CALL_ESTABLISHED");
    ann.wait("CALL_CLOSED");
    let legs = server.legs(2);
    let inbound = legs
        .iter()
        .find(|leg| leg["call_direction"] == "inbound")
        .unwrap();
    assert_eq!(
        inbound["custom_channel_vars"]["authorizing_type"], "resource",
        "{legs:#?}"
    );
    assert!(
        legs.iter()
            .all(|leg| leg["hangup_cause"] == "NORMAL_CLEARING"),
        "{legs:#?}"
    );

    // The same from an address no trunk names is let in by nobody.
    let stranger = Place::new();
    let output = run(&mut stranger.sipp(&server, "plain", &["-s", OUR_NUMBER, &target]));
    assert!(!output.status.success(), "{}", printed(&output));
}
