//! Phones register: SIPp and baresip, the API that lists them, a restart, and people who guess passwords.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use regex::Regex;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::http;
use super::peer::{Peer, soak, stranger};
use super::phone::{self, Over};
use super::server::{Server, free_port};
use super::tools::{eventually, now, printed, root, run};

const PASSWORD: &str = "right-password";

/// A server with one phone that has a password. SIPp and baresip 1.0 know MD5 only.
fn with_desk(more: &[(&str, &str)]) -> Server {
    let documents = json!({
        "devices": [
            {"name": "this machine", "sip": {"method": "ip", "ip": "127.0.0.1"}},
            {"name": "desk", "sip": {"method": "password", "username": "desk", "password": PASSWORD}},
        ],
    });
    let mut environment = vec![("SWIVEL_SIP__DIGEST", "MD5")];
    environment.extend(more);
    Server::start(&environment, documents)
}

fn sipp(server: &Server, name: &str, more: &[&str]) -> Command {
    let mut command = Command::new("sipp");
    command
        .current_dir(server.folder())
        .arg("-sf")
        .arg(root().join("sipp-scenarios").join(format!("{name}.xml")))
        .args(["-s", "desk", "-i", "127.0.0.1", "-nostdin", "-trace_err"])
        .args(["-au", "desk", "-ap", PASSWORD, "-auth_uri", "live.test"])
        .args([
            "-key",
            "realm",
            "live.test",
            "-timeout",
            "40s",
            "-timeout_error",
        ])
        .args(["-recv_timeout", "20000"])
        .args(more)
        .arg(format!("127.0.0.1:{}", server.sip));
    command
}

fn rows(server: &Server) -> Vec<Value> {
    server.data("registrations").as_array().unwrap().clone()
}

fn registered(server: &Server) -> Value {
    eventually("a registration", Duration::from_secs(15), || {
        rows(server).first().cloned()
    })
}

fn sipp_registers(transport: &str) {
    let server = with_desk(&[]);
    let port = free_port().to_string();
    let more = ["-m", "1", "-t", transport, "-p", &port, "-d", "3000"];
    let child = sipp(&server, "register", &more)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("sipp; `make deps` installs it");
    let row = registered(&server);
    assert_eq!(row["username"], "desk");
    assert_eq!(row["realm"], "live.test");
    assert_eq!(row["user_agent"], "SIPp");
    assert_eq!(row["network_ip"], "127.0.0.1");
    assert_eq!(row["contact_port"].to_string(), port);
    assert!(
        (595..=600).contains(&row["expires"].as_u64().unwrap()),
        "{row:#}"
    );
    assert_eq!(server.data("registrations/count")["count"], 1);
    let device = row["authorizing_id"].clone();
    assert_eq!(
        server.data("devices/status"),
        json!([{"device_id": device, "registered": true}])
    );
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", printed(&output));
    assert_eq!(rows(&server), Vec::<Value>::new(), "it has left");
}

#[test]
fn a_phone_registers_and_leaves() {
    sipp_registers("u1");
}

#[test]
fn a_phone_registers_and_leaves_over_tcp() {
    sipp_registers("t1");
}

#[test]
fn a_phone_subscribes_to_its_messages() {
    let server = with_desk(&[]);
    let uri = "desk@live.test";
    let port = free_port().to_string();
    let output = run(&mut sipp(
        &server,
        "subscribe",
        &["-m", "1", "-p", &port, "-auth_uri", uri],
    ));
    assert!(output.status.success(), "{}", printed(&output));
}

#[test]
fn a_registration_survives_the_power_cut_of_the_server() {
    let mut server = with_desk(&[]);
    let port = free_port().to_string();
    let more = ["-m", "1", "-p", &port, "-d", "60000"];
    let mut child = sipp(&server, "register", &more)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let before = registered(&server);
    // The store has it within milliseconds; nobody promises that the phone hears its 200 later than that.
    std::thread::sleep(Duration::from_millis(200));
    server.kill_and_restart();
    let after = registered(&server);
    assert_eq!(before["original_contact"], after["original_contact"]);
    assert_eq!(before["event_timestamp"], after["event_timestamp"]);
    child.kill().unwrap();
    child.wait().unwrap();
    let flushed = http::request(
        server.api,
        "DELETE",
        &format!("/v2/accounts/{}/registrations/nobody", server.account),
        &[("X-Auth-Token", server.token())],
        None,
    );
    assert_eq!(flushed.unwrap().status, 404);
    let flushed = http::request(
        server.api,
        "DELETE",
        &format!("/v2/accounts/{}/registrations/DESK", server.account),
        &[("X-Auth-Token", server.token())],
        None,
    );
    assert_eq!(flushed.unwrap().status, 200);
    assert_eq!(rows(&server), Vec::<Value>::new());
}

/// A baresip that registers until dropped.
struct Registered {
    child: Child,
    _dir: TempDir,
}

impl Drop for Registered {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn baresip(server: &Server, over: Over) -> Registered {
    let dir = TempDir::new().unwrap();
    let transport = if over == Over::Tcp { "tcp" } else { "udp" };
    let config = format!(
        "poll_method epoll\nsip_listen 127.0.0.1:0\nmodule_path {}\nmodule g711.so\n\
         module_app account.so\nmodule_app menu.so\nmodule_app mwi.so\n",
        phone::modules()
    );
    std::fs::write(dir.path().join("config"), config).unwrap();
    let account = format!(
        "<sip:desk@127.0.0.1:{};transport={transport}>;auth_user=desk;auth_pass={PASSWORD};regint=120;mwi=no\n",
        server.sip
    );
    std::fs::write(dir.path().join("accounts"), account).unwrap();
    std::fs::write(dir.path().join("contacts"), "").unwrap();
    let child = Command::new("baresip")
        .arg("-f")
        .arg(dir.path())
        .args(["-t", "60"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("baresip; `make deps` installs it");
    Registered { child, _dir: dir }
}

#[test]
fn baresip_registers_over_udp_and_tcp() {
    for over in [Over::Udp, Over::Tcp] {
        let server = with_desk(&[]);
        let phone = baresip(&server, over);
        let row = registered(&server);
        assert_eq!(row["username"], "desk", "{row:#}");
        let agent = row["user_agent"].as_str().unwrap();
        assert!(agent.contains("baresip"), "{row:#}");
        let protocol = if over == Over::Tcp { "tcp" } else { "udp" };
        assert_eq!(row["proxy_protocol"], protocol);
        drop(phone);
        if over == Over::Tcp {
            eventually(
                "the end of a binding whose connection closed",
                Duration::from_secs(10),
                || rows(&server).is_empty().then_some(()),
            );
        }
    }
}

/// One guess; whether anything was answered to the credentials.
fn guess(peer: &Peer, port: u16, n: usize) -> bool {
    let request = peer.request("REGISTER", "sip:live.test", "Expires: 600\r\n", "");
    peer.send(request.as_bytes(), port);
    let Some(challenge) = peer.receive(Duration::from_secs(3)) else {
        return false;
    };
    let nonce = challenge.split("nonce=\"").nth(1).unwrap();
    let nonce = nonce.split('"').next().unwrap();
    let line = format!(
        "Expires: 600\r\nAuthorization: Digest username=\"desk{n}\\\" as \\\"x\", realm=\"live.test\", nonce=\"{nonce}\", \
         uri=\"sip:live.test\", response=\"{n:032x}\", algorithm=MD5, qop=auth, cnonce=\"c\", nc=00000001\r\n"
    );
    let request = peer.request("REGISTER", "sip:live.test", &line, "");
    peer.send(request.as_bytes(), port);
    peer.receive(Duration::from_secs(3)).is_some()
}

/// `security.md` row 2, and row 27 for the line it leaves in the log.
#[test]
fn a_guesser_is_not_listened_to_and_leaves_lines_that_fail2ban_finds() {
    let server = with_desk(&[]);
    let evil = stranger(777);
    let peer = Peer::at(evil);
    let answered = (0..20).filter(|n| guess(&peer, server.sip, *n)).count();
    assert_eq!(answered, 5, "five guesses, then a ban");
    let filter = root().join("packaging/fail2ban/filter.d/swivel.conf");
    let filter = std::fs::read_to_string(filter).unwrap();
    let rules: Vec<Regex> = filter
        .lines()
        .map(|line| line.trim_start_matches("failregex =").trim())
        .filter(|line| line.starts_with('^'))
        .map(|rule| Regex::new(&rule.replace("<ADDR>", r"(?P<ip>[0-9a-f.:]+)")).unwrap())
        .collect();
    assert_eq!(rules.len(), 2);
    let log = server.log();
    let found: Vec<String> = log
        .lines()
        .filter_map(|line| rules.iter().find_map(|rule| rule.captures(line)))
        .map(|found| found["ip"].to_owned())
        .collect();
    assert_eq!(found, vec![evil.to_string(); 5], "{log}");
    // The owner is let in meanwhile.
    let port = free_port().to_string();
    let more = ["-m", "1", "-p", &port, "-d", "100"];
    let output = run(&mut sipp(&server, "register", &more));
    assert!(output.status.success(), "{}", printed(&output));
}

/// 10,000 bindings by digest; `make soak` at 1,000 a second.
#[test]
fn many_phones_register() {
    let (devices, each, rate) = if soak() {
        (1000, 10, 1000)
    } else {
        (100, 10, 200)
    };
    let list: Vec<Value> = (0..devices)
        .map(|n| json!({"name": format!("phone {n}"), "sip": {"username": format!("load{n}"), "password": format!("password-{n}")}}))
        .chain([json!({"name": "this machine", "sip": {"method": "ip", "ip": "127.0.0.1"}})])
        .collect();
    let server = Server::start(&[("SWIVEL_SIP__DIGEST", "MD5")], json!({ "devices": list }));
    let mut users = String::from("SEQUENTIAL\n");
    for n in 0..devices {
        users.push_str(&format!(
            "load{n};[authentication username=load{n} password=password-{n}]\n"
        ));
    }
    std::fs::write(server.folder().join("users.csv"), users).unwrap();
    let (total, rate) = ((devices * each).to_string(), rate.to_string());
    let port = free_port().to_string();
    let (begun, busy) = (now(), server.busy());
    let more = ["-inf", "users.csv", "-m", &total, "-r", &rate, "-p", &port];
    let output = run(&mut sipp(&server, "load_register", &more));
    let (took, busy) = (begun.elapsed(), server.busy() - busy);
    assert!(output.status.success(), "{}", printed(&output));
    assert_eq!(
        server.data("registrations/count")["count"].to_string(),
        total
    );
    println!(
        "{total} registrations in {took:?}: {:.0} a second, {:.0} µs of processor time each",
        (devices * each) as f64 / took.as_secs_f64(),
        busy.as_secs_f64() * 1e6 / (devices * each) as f64
    );
}

/// `security.md` row 1: how long the refusal takes says nothing about the name. `make soak` only: it is a measurement.
#[test]
fn a_refusal_takes_as_long_for_names_that_exist_as_for_others() {
    if !soak() {
        println!("measured by `make soak`");
        return;
    }
    let server = with_desk(&[
        ("SWIVEL_SECURITY__BAN_FAILURES", "0"),
        ("SWIVEL_SECURITY__FAILURES_PER_HOUR", "100000"),
    ]);
    let peer = Peer::at(std::net::Ipv4Addr::LOCALHOST);
    let mut took: [Vec<u128>; 2] = [Vec::new(), Vec::new()];
    for n in 0..10_000_usize {
        let name = ["desk", "dusk"][n % 2];
        let request = peer.request("REGISTER", "sip:live.test", "Expires: 600\r\n", "");
        peer.send(request.as_bytes(), server.sip);
        let challenge = peer.receive(Duration::from_secs(3)).unwrap();
        let nonce = challenge.split("nonce=\"").nth(1).unwrap();
        let nonce = nonce.split('"').next().unwrap();
        let line = format!(
            "Expires: 600\r\nAuthorization: Digest username=\"{name}\", realm=\"live.test\", nonce=\"{nonce}\", \
             uri=\"sip:live.test\", response=\"{n:032x}\", algorithm=MD5, qop=auth, cnonce=\"c\", nc=00000001\r\n"
        );
        let request = peer.request("REGISTER", "sip:live.test", &line, "");
        let begun = now();
        peer.send(request.as_bytes(), server.sip);
        peer.receive(Duration::from_secs(3)).unwrap();
        took[n % 2].push(begun.elapsed().as_nanos());
    }
    let [known, unknown] = took;
    // The chance that a random refusal of a known name takes longer than one of an unknown name.
    let mut all: Vec<(u128, bool)> = known.iter().map(|t| (*t, true)).collect();
    all.extend(unknown.iter().map(|t| (*t, false)));
    all.sort_unstable();
    let (mut below, mut wins) = (0_u64, 0_u64);
    for (_, is_known) in all {
        if is_known {
            wins += below;
        } else {
            below += 1;
        }
    }
    let auc = wins as f64 / (known.len() * unknown.len()) as f64;
    println!("AUC {auc:.3}");
    assert!((0.45..=0.55).contains(&auc), "AUC {auc}");
}
