//! KAZOO's how-to as it stands in its forum: a carrier, an extension with Pivot, a click-to-call, and a URL that rings a
//! telephone. curl is the client and SIPp the carrier.

use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::peer::unique;
use super::server::{Server, credentials};
use super::tools::{eventually, printed, root, run};
use super::web::Web;

/// A SIPp that plays the carrier at an address of its own. Dropping it ends it.
struct Carrier {
    child: Child,
    ip: Ipv4Addr,
    port: u16,
}

impl Carrier {
    fn start(server: &Server) -> Self {
        let [_, _, high, low] = unique().to_be_bytes();
        let ip = Ipv4Addr::new(127, 6, high, low);
        let port = UdpSocket::bind((ip, 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let (address, number) = (ip.to_string(), port.to_string());
        let child = Command::new("sipp")
            .current_dir(server.folder())
            .arg("-sf")
            .arg(root().join("sipp-scenarios/carrier.xml"))
            .args(["-i", &address, "-p", &number, "-mi", &address, "-m", "1"])
            .args(["-nostdin", "-rtp_echo", "-timeout", "60s", "-timeout_error"])
            .args(["-trace_msg", "-message_file", "carrier.messages"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sipp; `make deps` installs it");
        eventually("SIPp at its port", Duration::from_secs(15), || {
            UdpSocket::bind((ip, port)).is_err().then_some(())
        });
        Self { child, ip, port }
    }

    fn assert_content(&mut self) {
        let status = eventually("the end of SIPp", Duration::from_secs(40), || {
            self.child.try_wait().unwrap()
        });
        assert!(status.success(), "{status}");
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn the_how_to_of_kazoos_forum_rings_the_contact_who_hears_the_ivr() {
    let web = Web::start(None);
    let server = Server::start(&[], json!({}));
    let mut carrier = Carrier::start(&server);
    let output = run(Command::new("bash")
        .arg(root().join("tests/live/howto.sh"))
        .env("SERVER", server.api.to_string())
        .env("ACCOUNT_NAME", "live")
        .env("CREDENTIALS", credentials())
        .env("GATEWAY", carrier.ip.to_string())
        .env("GATEWAY_PORT", carrier.port.to_string())
        .env("PIVOT_URL", web.url("/ok"))
        .env("HOOK_URL", web.url("/ok"))
        .env("CONTACT", "12223334444"));
    assert!(output.status.success(), "{}", printed(&output));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["status"], "success", "{said:#}");
    let click = said["data"]["call_id"].as_str().unwrap();
    assert!(click.starts_with("c2c-"), "{said:#}");

    carrier.assert_content();
    let file = server.folder().join("carrier.messages");
    let messages = std::fs::read_to_string(file).unwrap();
    let line = format!(
        "INVITE sip:83729384*+12223334444@{}:{} SIP/2.0",
        carrier.ip, carrier.port
    );
    assert!(messages.contains(&line), "{messages}");
    let from = format!("From: \"Acme Inc\" <sip:14155550100@{}>", carrier.ip);
    assert!(messages.contains(&from), "{messages}");

    // Records of both legs, of one conversation. The carrier echoes, so what was heard came back.
    let legs = server.legs(2);
    assert_eq!(legs[0]["call_id"], click, "{legs:#?}");
    assert_eq!(legs[0]["interaction_id"], legs[1]["interaction_id"]);
    assert_eq!(legs[0]["other_leg_call_id"], legs[1]["call_id"]);
    for (leg, kind) in legs.iter().zip(["clicktocall", "resource"]) {
        assert_eq!(leg["hangup_cause"], "NORMAL_CLEARING", "{leg:#}");
        assert_eq!(leg["custom_channel_vars"]["authorizing_type"], kind);
    }
    let packets = |name: &str| legs[1]["media_stats"][name].as_u64().unwrap();
    assert!(packets("packets_sent") > 75, "{:#}", legs[1]);
    assert!(packets("packets_received") > 50, "{:#}", legs[1]);

    // The debug log has the request for the reached leg, and the IVR that came.
    let call_id = legs[1]["call_id"].as_str().unwrap();
    let debug = Value::from(server.debug(call_id)).to_string();
    assert!(debug.contains("Pivot is pretty awesome"), "{debug}");

    // Whoever wanted to know was told, in order a leg.
    let told = eventually("the webhook's events", Duration::from_secs(10), || {
        let posts = web.requests().into_iter().filter(|r| r["method"] == "POST");
        let bodies = posts.map(|r| serde_json::from_str(r["body"].as_str().unwrap()).unwrap());
        let bodies: Vec<Value> = bodies.collect();
        let over = |body: &&Value| body["hook_event"] == "channel_destroy";
        (bodies.iter().filter(over).count() == 2).then_some(bodies)
    });
    for leg in &legs {
        let of_leg = told.iter().filter(|body| body["call_id"] == leg["call_id"]);
        let events: Vec<&Value> = of_leg.map(|body| &body["hook_event"]).collect();
        assert_eq!(
            events,
            ["channel_create", "channel_answer", "channel_destroy"],
            "{told:#?}"
        );
    }
    let gets = web
        .requests()
        .iter()
        .filter(|r| r["method"] == "GET")
        .count();
    assert_eq!(gets, 1, "the IVR is fetched once");

    // And the history says so.
    let clicks = server.data("clicktocall");
    let id = clicks[0]["id"].as_str().unwrap();
    let history = server.data(&format!("clicktocall/{id}/history"));
    assert_eq!(history[0]["result"], "success", "{history:#}");
    assert_eq!(history[0]["contact"], "+12223334444", "{history:#}");
}
