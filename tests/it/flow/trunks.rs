//! Servers of carriers that do not answer, callees that send calls elsewhere, and who calls (`sip.md` §4, §7, §9, §12).

use std::time::Duration;

use serde_json::{Value, json};
use swivel::base::id::PortId;
use swivel::base::rng::Rng;
use swivel::call::CallHandle;
use swivel::callflow;
use swivel::directory::Kind;
use swivel::journal::Fact;
use swivel::media::MediaEvent;
use swivel::net::Resolver;
use swivel::net::dns::Table;

use super::{SECOND, Stage, chain, node, stage};
use crate::world::phone::{Phone, PhoneCall, header};
use crate::world::{ACCOUNT, DEVICE, Settings, script, world_with};

const OURS: &str = "+14155550100";

/// A trunk with a gateway at each address, and the carriers there.
async fn trunk(stage: &Stage, addresses: &[&str], more: Value) -> Vec<Phone> {
    let gateways: Vec<Value> = addresses
        .iter()
        .map(|ip| json!({"server": ip, "inbound_ips": [ip], "progress_timeout": 20}))
        .collect();
    let doc = json!({"name": "carrier", "rules": ["^\\+?\\d{3,}$"], "gateways": gateways});
    stage.world.put(Kind::Trunk, merged(doc, more)).await;
    addresses
        .iter()
        .map(|ip| stage.world.phone_at(&format!("{ip}:5060")))
        .collect()
}

fn merged(mut doc: Value, more: Value) -> Value {
    let more = more.as_object().cloned().unwrap();
    doc.as_object_mut().unwrap().extend(more);
    doc
}

/// The world's telephones as one device with more in its document.
async fn device(stage: &Stage, more: Value) {
    let doc = json!({"name": "phones", "sip": {"method": "ip", "ip": "10.0.1.0/24"}});
    let directory = &stage.world.directory;
    directory
        .put(Kind::Device, ACCOUNT, DEVICE, merged(doc, more))
        .await
        .unwrap();
}

/// From now on servers that do not answer are held out.
fn hold_out(stage: &Stage) {
    let resolver = Resolver::fixed(Table::default(), Rng::seeded(7));
    stage.world.core.set_reach(resolver);
}

fn dial(stage: &Stage, number: &str) -> PhoneCall {
    let call = stage.world.phone().call(number);
    call.invite("");
    call
}

fn request_uri(invite: &str) -> &str {
    invite.split(' ').nth(1).unwrap()
}

/// Refuses the INVITE that comes to `carrier`, so that the caller is, too.
async fn busy(carrier: &Phone, call: &PhoneCall, port: u16) {
    let incoming = carrier.called_on(port, SECOND).await;
    incoming.refuse("486 Busy Here").await;
    call.answered(60 * SECOND).await;
    call.ack_refusal();
}

fn state_of(stage: &Stage, gateway: usize) -> String {
    let rows = stage.world.core.gateway_rows(ACCOUNT);
    let row = rows.iter().find(|row| row["gateway"] == gateway).unwrap();
    row["state"].as_str().unwrap().to_owned()
}

/// What the journal says of gateways.
fn gateway_facts(stage: &Stage) -> Vec<String> {
    let facts = stage.world.facts.borrow();
    let of_gateways = facts.iter().filter_map(|fact| match fact.as_ref() {
        Fact::Gateway {
            account, what, why, ..
        } => {
            assert_eq!(account, ACCOUNT);
            Some(format!("{what} {}", why.unwrap_or_default()))
        }
        _ => None,
    });
    of_gateways.collect()
}

#[test]
fn a_silent_gateway_is_left_after_four_seconds_held_out_and_asked_before_it_is_used_again() {
    stage(|stage| async move {
        hold_out(&stage);
        let carriers = trunk(&stage, &["10.0.9.1", "10.0.9.2"], json!({})).await;
        stage.world.core.look_after_gateways();
        assert_eq!(state_of(&stage, 0), "unknown");
        let first = dial(&stage, "4155550199");
        carriers[0].called(SECOND).await;
        let taken = tokio::time::Instant::now();
        let incoming = carriers[1].called_on(5002, 6 * SECOND).await;
        assert!(taken.elapsed() >= 3 * SECOND);
        incoming.refuse("486 Busy Here").await;
        // What was not answered at all is not forgotten as a failure, but busy is what the caller learns.
        first.answered(60 * SECOND).await;
        first.ack_refusal();
        assert_eq!(state_of(&stage, 0), "held_out");
        assert_eq!(state_of(&stage, 1), "works");
        assert_eq!(gateway_facts(&stage), ["held_out silent"]);
        // The next call does not wait for it.
        while carriers[0].receive(Duration::ZERO).await.is_some() {}
        let second = dial(&stage, "4155550198");
        let incoming = carriers[1].called_on(5003, SECOND).await;
        incoming.answer().await;
        second.answered(SECOND).await;
        second.ack("");
        incoming.hang_up().await;
        second.wait_for_bye(SECOND).await;
        // Half a minute later it is asked. It is used again once it has answered.
        let options = carriers[0].expect("OPTIONS ", 40 * SECOND).await;
        assert_eq!(request_uri(&options), "sip:10.0.9.1");
        assert_eq!(state_of(&stage, 0), "held_out");
        carriers[0].answer(&options, "404 Not Found", "");
        tokio::time::sleep(SECOND).await;
        assert_eq!(state_of(&stage, 0), "works", "any answer is one");
        assert_eq!(gateway_facts(&stage), ["held_out silent", "answers "]);
        let third = dial(&stage, "4155550197");
        let incoming = carriers[0].called_on(5004, SECOND).await;
        incoming.answer().await;
        third.answered(SECOND).await;
        third.ack("");
        incoming.hang_up().await;
        third.wait_for_bye(SECOND).await;
        stage.world.at_rest().await;
    });
}

#[test]
fn a_gateway_that_is_out_of_service_is_left_alone_as_long_as_it_says() {
    stage(|stage| async move {
        hold_out(&stage);
        let carriers = trunk(&stage, &["10.0.9.1", "10.0.9.2"], json!({})).await;
        let first = dial(&stage, "4155550199");
        let incoming = carriers[0].called(SECOND).await;
        incoming
            .refuse("503 Service Unavailable\r\nRetry-After: 100 (in a while)")
            .await;
        busy(&carriers[1], &first, 5002).await;
        tokio::time::sleep(60 * SECOND).await;
        assert!(
            carriers[0].waiting().is_empty(),
            "{:?}",
            carriers[0].waiting()
        );
        let second = dial(&stage, "4155550198");
        busy(&carriers[1], &second, 5003).await;
        let options = carriers[0].expect("OPTIONS ", 60 * SECOND).await;
        carriers[0].answer(&options, "503 Service Unavailable", "");
        // Still out of service: asked again after the usual time.
        let options = carriers[0].expect("OPTIONS ", 35 * SECOND).await;
        carriers[0].answer(&options, "200 OK", "");
        tokio::time::sleep(SECOND).await;
        let third = dial(&stage, "4155550197");
        let incoming = carriers[0].called_on(5004, SECOND).await;
        incoming.answer().await;
        third.answered(SECOND).await;
        third.ack("");
        incoming.hang_up().await;
        third.wait_for_bye(SECOND).await;
        stage.world.at_rest().await;
    });
}

#[test]
fn gateways_are_asked_once_a_minute_and_those_that_do_not_answer_are_held_out() {
    stage(|stage| async move {
        hold_out(&stage);
        let carriers = trunk(&stage, &["10.0.9.1"], json!({})).await;
        let quiet = json!({"gateways": [{"server": "10.0.9.5", "options_seconds": 0}]});
        let quiet = trunk(&stage, &["10.0.9.5"], quiet).await;
        let core = stage.world.core.clone();
        let watch = tokio::task::spawn_local(async move {
            loop {
                core.look_after_gateways();
                tokio::time::sleep(5 * SECOND).await;
            }
        });
        let options = carriers[0].expect("OPTIONS ", 66 * SECOND).await;
        carriers[0].answer(&options, "200 OK", "");
        tokio::time::sleep(SECOND).await;
        assert_eq!(state_of(&stage, 0), "works");
        carriers[0].expect("OPTIONS ", 66 * SECOND).await;
        // No answer to any of its repetitions.
        tokio::time::sleep(34 * SECOND).await;
        let rows = stage.world.core.gateway_rows(ACCOUNT);
        let row = rows.iter().find(|row| row["server"] == "10.0.9.1").unwrap();
        assert_eq!(row["state"], "held_out", "{rows:#?}");
        assert_eq!(row["targets"][0]["why"], "silent");
        watch.abort();
        assert!(quiet[0].waiting().is_empty(), "never asked");
        while carriers[0].receive(Duration::ZERO).await.is_some() {}
        let options = carriers[0].expect("OPTIONS ", 35 * SECOND).await;
        carriers[0].answer(&options, "200 OK", "");
        stage.world.at_rest().await;
    });
}

#[test]
fn a_phone_that_sends_calls_on_is_followed_to_our_numbers_when_its_documents_say_so() {
    stage(|stage| async move {
        let carriers = trunk(&stage, &["10.0.9.1"], json!({})).await;
        let phone = stage.world.phone_at("10.0.2.1:5060");
        let redirecting = |more: Value| {
            let doc = json!({"name": "desk", "sip": {"method": "ip", "ip": "10.0.2.1", "username": "desk"}});
            merged(doc, more)
        };
        let id = stage
            .world
            .put(Kind::Device, redirecting(json!({"follow_redirects": true})))
            .await;
        stage
            .world
            .callflow("101", node("device", json!({"id": id})))
            .await;
        // To a number in the world, as if the phone had dialled it.
        let call = dial(&stage, "101");
        let incoming = phone.called(SECOND).await;
        incoming
            .refuse("302 Moved Temporarily\r\nContact: <sip:4155550199@world.test>")
            .await;
        let at_carrier = carriers[0].called(SECOND).await;
        assert_eq!(request_uri(&at_carrier.invite), "sip:+14155550199@10.0.9.1");
        at_carrier.answer().await;
        call.answered(SECOND).await;
        call.ack("");
        at_carrier.hang_up().await;
        call.wait_for_bye(SECOND).await;
        // Neither to dear numbers, nor to somebody else's server, nor back to itself.
        for contact in [
            "sip:19005550100@world.test",
            "sip:00972598123456@10.0.0.1",
            "sip:4155550199@evil.test",
            "sip:4155550199@10.0.9.1",
            "sip:101@world.test",
            "tel:4155550199",
        ] {
            let call = dial(&stage, "101");
            let incoming = phone.called(SECOND).await;
            incoming
                .refuse(&format!("302 Moved Temporarily\r\nContact: <{contact}>"))
                .await;
            let answer = call.answered(60 * SECOND).await;
            assert!(answer.starts_with("SIP/2.0 410"), "{contact}: {answer}");
            call.ack_refusal();
            assert!(phone.waiting().is_empty(), "{contact}");
        }
        // A phone whose documents say nothing is not followed at all.
        let directory = &stage.world.directory;
        directory
            .put(Kind::Device, ACCOUNT, &id, redirecting(json!({})))
            .await
            .unwrap();
        let call = dial(&stage, "101");
        phone
            .called(SECOND)
            .await
            .refuse("302 Moved Temporarily\r\nContact: <sip:4155550199@world.test>")
            .await;
        assert!(call.answered(60 * SECOND).await.starts_with("SIP/2.0 410"));
        call.ack_refusal();
        let refused: Vec<String> = carriers[0]
            .waiting()
            .into_iter()
            .filter(|line| line.starts_with("INVITE"))
            .collect();
        assert!(refused.is_empty(), "{refused:?}");
        stage.world.at_rest().await;
    });
}

#[test]
fn a_carrier_that_sends_calls_on_is_followed_to_its_own_gateways() {
    stage(|stage| async move {
        let more = json!({"follow_redirects": true, "gateway_strategy": "sequential"});
        let carriers = trunk(&stage, &["10.0.9.1", "10.0.9.2"], more).await;
        let other = stage.world.phone_at("10.0.8.1:5060");
        let call = dial(&stage, "4155550199");
        let first = carriers[0].called(SECOND).await;
        first
            .refuse("302 Moved\r\nContact: <sip:14155550199;rn=77@10.0.9.2>;q=0.9, <sip:x@10.0.8.1>;q=0.1")
            .await;
        let second = carriers[1].called_on(5002, SECOND).await;
        assert_eq!(
            request_uri(&second.invite),
            "sip:14155550199;rn=77@10.0.9.2"
        );
        second
            .refuse("302 Moved\r\nContact: <sip:14155550199@10.0.8.1>")
            .await;
        // The call goes on to the next gateway of the list.
        busy(&carriers[1], &call, 5003).await;
        assert!(other.waiting().is_empty(), "nobody's gateway");
        stage.world.at_rest().await;
    });
}

#[test]
fn keys_that_may_be_passed_over_are_insisted_on_after_488_once() {
    stage(|stage| async move {
        let phone = stage.world.phone_at("10.0.2.1:5060");
        let doc = |enforce: bool| {
            json!({"name": "desk", "sip": {"method": "ip", "ip": "10.0.2.1", "username": "desk"},
                   "media": {"audio": {"codecs": ["PCMU"]}, "encryption": {"methods": ["srtp"], "enforce_security": enforce}}})
        };
        let id = stage.world.put(Kind::Device, doc(false)).await;
        stage
            .world
            .callflow("101", node("device", json!({"id": id})))
            .await;
        let call = dial(&stage, "101");
        let incoming = phone.called(SECOND).await;
        assert!(incoming.invite.contains(" RTP/AVP "), "{}", incoming.invite);
        assert!(incoming.invite.contains("a=crypto:"));
        incoming.refuse("488 Not Acceptable Here").await;
        let again = phone.called_on(5002, SECOND).await;
        assert!(again.invite.contains(" RTP/SAVP "), "{}", again.invite);
        again.refuse("488 Not Acceptable Here").await;
        call.expect(488, 60 * SECOND).await;
        call.ack_refusal();
        // Who is to be asked for keys at once is asked once.
        let directory = &stage.world.directory;
        directory
            .put(Kind::Device, ACCOUNT, &id, doc(true))
            .await
            .unwrap();
        let call = dial(&stage, "101");
        let incoming = phone.called(SECOND).await;
        assert!(incoming.invite.contains(" RTP/SAVP "));
        incoming.refuse("488 Not Acceptable Here").await;
        call.expect(488, 60 * SECOND).await;
        call.ack_refusal();
        assert!(phone.waiting().is_empty());
        stage.world.at_rest().await;
    });
}

#[test]
fn an_outbound_proxy_is_the_first_route() {
    stage(|stage| async move {
        let proxy = stage.world.phone_at("10.0.2.9:5070");
        let doc = json!({"name": "desk", "sip": {"method": "ip", "ip": "10.0.2.1", "username": "desk", "proxy": "10.0.2.9:5070"}});
        let id = stage.world.put(Kind::Device, doc).await;
        stage
            .world
            .callflow("101", node("device", json!({"id": id})))
            .await;
        let call = dial(&stage, "101");
        let incoming = proxy.called(SECOND).await;
        assert_eq!(request_uri(&incoming.invite), "sip:desk@10.0.2.1");
        assert_eq!(header(&incoming.invite, "Route"), "<sip:10.0.2.9:5070;lr>");
        incoming.refuse("486 Busy Here").await;
        call.expect(486, 60 * SECOND).await;
        call.ack_refusal();
        stage.world.at_rest().await;
    });
}

#[test]
fn who_a_carrier_asserts_is_the_caller_and_who_wants_to_be_nobody_is() {
    stage(|stage| async move {
        let carriers = trunk(&stage, &["10.0.9.1"], json!({})).await;
        let phone = stage.world.phone_at("10.0.2.1:5060");
        let desk =
            json!({"name": "desk", "sip": {"method": "ip", "ip": "10.0.2.1", "username": "desk"}});
        let id = stage.world.put(Kind::Device, desk).await;
        for number in [OURS, "101"] {
            stage
                .world
                .callflow(number, node("device", json!({"id": id})))
                .await;
        }
        let asserted = "P-Asserted-Identity: \"Bob B\" <sip:+14155550177@carrier.test>\r\n";
        let private = format!("{asserted}Privacy: id\r\n");
        for (headers, from) in [
            (asserted, "\"Bob B\" <sip:+14155550177@"),
            (private.as_str(), "\"anonymous\" <sip:anonymous@"),
            ("", "\"Phone\" <sip:1001@"),
        ] {
            let call = carriers[0].call(OURS);
            call.invite(headers);
            let incoming = phone.called(SECOND).await;
            let shown = header(&incoming.invite, "From");
            assert!(shown.starts_with(from), "{shown}");
            assert!(!incoming.invite.contains("carrier.test"));
            incoming.refuse("486 Busy Here").await;
            call.expect(486, 60 * SECOND).await;
            call.ack_refusal();
        }
        // Telephones may say what they like.
        let call = stage.world.phone().call("101");
        call.invite(asserted);
        let incoming = phone.called(SECOND).await;
        let shown = header(&incoming.invite, "From");
        assert!(!shown.contains("55550177"), "{shown}");
        incoming.refuse("486 Busy Here").await;
        call.expect(486, 60 * SECOND).await;
        call.ack_refusal();
        stage.world.at_rest().await;
        let cdrs = stage.world.cdrs().await;
        let numbers: Vec<&str> = cdrs
            .iter()
            .filter(|cdr| cdr.direction == "inbound")
            .map(|cdr| cdr.caller_id_number.as_str())
            .collect();
        assert_eq!(numbers, ["+14155550177", "anonymous", "1001", "1001"]);
    });
}

#[test]
fn a_carrier_learns_neither_what_goes_on_inside_nor_who_was_called_first_of_a_hidden_caller() {
    stage(|stage| async move {
        let identity =
            json!({"internal": {"number": "101", "name": "Ann"}, "external": {"number": OURS}});
        let diverted = "Diversion: <sip:100@world.test>;reason=no-answer\r\n";
        let carriers = trunk(&stage, &["10.0.9.1"], json!({})).await;
        for (n, privacy) in [(0, "none"), (1, "full")] {
            let options =
                json!({"caller_id": identity, "caller_id_options": {"outbound_privacy": privacy}});
            device(&stage, options).await;
            let call = stage.world.phone().call("4155550199");
            call.invite(diverted);
            let incoming = carriers[0].called_on(5000 + n, SECOND).await;
            assert!(!incoming.invite.contains("X-Swivel"), "{}", incoming.invite);
            let hidden = header(&incoming.invite, "Diversion").is_empty();
            assert_eq!(hidden, privacy == "full", "{}", incoming.invite);
            incoming.refuse("486 Busy Here").await;
            call.answered(60 * SECOND).await;
            call.ack_refusal();
        }
        stage.world.at_rest().await;
        // The record knows the phone by its internal identity.
        let cdrs = stage.world.cdrs().await;
        let inbound = cdrs.iter().filter(|cdr| cdr.direction == "inbound");
        for cdr in inbound {
            assert_eq!(cdr.caller_id_number, "101");
            assert_eq!(cdr.caller_id_name, "Ann");
        }
    });
}

#[test]
fn as_many_calls_come_in_as_the_account_has_trunks() {
    stage(|stage| async move {
        let carriers = trunk(&stage, &["10.0.9.1"], json!({})).await;
        stage
            .world
            .put(
                Kind::Limits,
                json!({"inbound_trunks": 1, "twoway_trunks": 1, "outbound_trunks": 0}),
            )
            .await;
        stage
            .world
            .callflow(OURS, node("sleep", json!({"duration": 600})))
            .await;
        let mut up = Vec::new();
        for _ in 0..2 {
            let call = carriers[0].call(OURS);
            call.invite("");
            up.push(call);
        }
        tokio::time::sleep(SECOND).await;
        let third = carriers[0].call(OURS);
        third.invite("");
        third.expect(486, SECOND).await;
        third.ack_refusal();
        // The one that goes either way is taken.
        let out = dial(&stage, "4155550199");
        out.expect(503, SECOND).await;
        out.ack_refusal();
        for call in up {
            call.cancel();
            call.expect(487, SECOND).await;
            call.ack_refusal();
        }
        let out = dial(&stage, "4155550199");
        busy(&carriers[0], &out, 5002).await;
        stage.world.at_rest().await;
        let facts = stage.world.facts.borrow();
        let refused = |fact: &&std::sync::Arc<Fact>| {
            matches!(fact.as_ref(), Fact::Refused { status: 486, .. })
        };
        assert_eq!(facts.iter().filter(refused).count(), 1);
    });
}

#[test]
fn a_carrier_is_told_what_the_operator_says_about_numbers_nobody_has() {
    let settings = Settings {
        unknown_number_code: Some(604),
        ..Settings::default()
    };
    let run = script(|call: CallHandle| {
        let document = call.vars().flow.clone().unwrap();
        callflow::run(call, document)
    });
    world_with(1, settings, run, |world| async move {
        let doc =
            json!({"name": "c", "gateways": [{"server": "10.0.9.1", "inbound_ips": ["10.0.9.1"]}]});
        world.put(Kind::Trunk, doc).await;
        let carrier = world.phone_at("10.0.9.1:5060");
        let call = carrier.call("+14155550166");
        call.invite("");
        call.expect(604, SECOND).await;
        call.ack_refusal();
        // Telephones of the account are not carriers.
        let call = world.phone().call("999");
        call.invite("");
        call.expect(404, SECOND).await;
        call.ack_refusal();
        world.at_rest().await;
    });
}

#[test]
fn a_forward_to_a_callflow_that_answers_itself_gives_the_call_over() {
    stage(|stage| async move {
        let user = |keypress: bool| {
            json!({"first_name": "A", "last_name": "B",
                   "call_forward": {"enabled": true, "number": "300", "require_keypress": keypress}})
        };
        let plain = stage.world.put(Kind::User, user(false)).await;
        let asks = stage.world.put(Kind::User, user(true)).await;
        stage
            .world
            .callflow("300", node("tts", json!({"text": "Nobody is in."})))
            .await;
        for (number, id) in [("101", plain), ("102", asks)] {
            stage
                .world
                .callflow(number, node("user", json!({"id": id})))
                .await;
        }
        let call = dial(&stage, "101");
        assert!(call.answered(10 * SECOND).await.starts_with("SIP/2.0 200"));
        call.ack("");
        call.wait_for_bye(60 * SECOND).await;
        assert_eq!(stage.modules(), ["user", "tts"]);
        // Nobody there could press the key that is asked for.
        let call = dial(&stage, "102");
        assert!(call.answered(60 * SECOND).await.starts_with("SIP/2.0 480"));
        call.ack_refusal();
        stage.world.at_rest().await;
    });
}

#[test]
fn a_device_that_may_not_talk_in_the_clear_is_refused_when_it_does() {
    stage(|stage| async move {
        let strict =
            json!({"media": {"encryption": {"methods": ["srtp"], "enforce_security": true}}});
        device(&stage, strict).await;
        stage.world.callflow("101", node("answer", json!({}))).await;
        let call = dial(&stage, "101");
        let refused = call.expect(488, SECOND).await;
        assert!(
            header(&refused, "Warning").contains("encrypted"),
            "{refused}"
        );
        call.ack_refusal();
        let sdp = "v=0\r\no=p 1 1 IN IP4 10.0.1.9\r\ns=-\r\nc=IN IP4 10.0.1.9\r\nt=0 0\r\nm=audio 4000 RTP/SAVP 0\r\n\
                   a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n";
        let call = stage.world.phone().call_with("101", sdp);
        call.invite("");
        assert!(call.answered(SECOND).await.starts_with("SIP/2.0 200"));
        call.ack("");
        call.wait_for_bye(SECOND).await;
        stage.world.at_rest().await;
    });
}

#[test]
fn a_call_whose_keys_cannot_be_agreed_on_ends_at_once_and_says_why() {
    stage(|stage| async move {
        let (_phone, call) = stage
            .connect(chain(vec![
                node("answer", json!({})),
                node("sleep", json!({"duration": 600})),
            ]))
            .await;
        for n in 0..64 {
            let port = PortId(n);
            stage.world.core.media_event(MediaEvent::Insecure { port });
        }
        let bye = call.wait_for_bye(SECOND).await;
        assert!(
            header(&bye, "Reason").contains("DTLS handshake failed"),
            "{bye}"
        );
        stage.world.at_rest().await;
        let cdrs = stage.world.cdrs().await;
        assert_eq!(cdrs[0].hangup_cause, "INCOMPATIBLE_DESTINATION");
    });
}
