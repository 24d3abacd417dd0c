//! Taking a leg's place where it talks with nobody: in the middle of a flow, in a room, while it rings. By an attended
//! transfer (RFC 5589 §7) and by an INVITE with Replaces (RFC 3891).

use std::future::Future;

use serde_json::{Value, json};
use swivel::callflow;
use swivel::directory::Kind;

use super::bridge::SECOND;
use super::world::callee::Incoming;
use super::world::phone::{Phone, PhoneCall};
use super::world::{ACCOUNT, World, world_of};

/// Three telephones: 2001, 2002 and 2003 ring them. 4000 is a flow that answers and stays, 5000 a conference.
struct Office {
    world: World,
    a: Phone,
    b: Phone,
    c: Phone,
}

fn node(module: &str, data: Value, then: Option<Value>) -> Value {
    let children = then.map_or(json!({}), |then| json!({"_": then}));
    json!({"module": module, "data": data, "children": children})
}

fn office<F: Future<Output = ()>>(test: impl FnOnce(Office) -> F) {
    world_of(1, callflow::script(), |world| async move {
        let mut phones = Vec::new();
        for n in 1..=3 {
            let address = format!("10.0.1.5{n}:5060");
            let sip = json!({"invite_format": "route", "route": format!("sip:callee@{address}"),
                             "method": "ip", "ip": format!("10.0.1.5{n}")});
            let device = json!({"name": format!("phone {n}"), "sip": sip});
            let id = world.put(Kind::Device, device).await;
            let rings = node("device", json!({"id": id, "timeout": 60}), None);
            world.callflow(&format!("200{n}"), rings).await;
            phones.push(world.phone_at(&address));
        }
        let stays = node("sleep", json!({"duration": 600}), None);
        let menu = node(
            "answer",
            json!({}),
            Some(node("noop", json!({}), Some(stays))),
        );
        world.callflow("4000", menu).await;
        let config = json!({"name": "room", "play_welcome": false, "play_entry_prompt": false,
                            "member": {"join_muted": false, "play_entry_prompt": false, "pins": ["1"]}});
        let room = node(
            "conference",
            json!({"config": config, "moderator": false}),
            None,
        );
        world.callflow("5000", room).await;
        let [a, b, c] = phones.try_into().unwrap_or_else(|_| panic!("three"));
        test(Office { world, a, b, c }).await;
    });
}

impl Office {
    /// The first telephone calls the second, who answers.
    async fn talking(&self) -> (PhoneCall, Incoming) {
        let call = self.a.call("2002");
        call.invite("");
        let incoming = self.b.called(SECOND).await;
        incoming.answer().await;
        assert!(call.answered(SECOND).await.starts_with("SIP/2.0 200"));
        call.ack("");
        tokio::time::sleep(SECOND).await;
        (call, incoming)
    }

    /// A call into the conference, past its PIN.
    async fn joined(&self, phone: &Phone) -> PhoneCall {
        let call = phone.call("5000");
        call.connect().await;
        tokio::time::sleep(SECOND).await;
        for key in ['1', '#'] {
            let signal = format!("Signal={key}\r\nDuration=160\r\n");
            call.send("INFO", "Content-Type: application/dtmf-relay\r\n", &signal);
            phone.expect("SIP/2.0 200", SECOND).await;
            tokio::time::sleep(SECOND / 5).await;
        }
        tokio::time::sleep(5 * SECOND).await;
        call
    }

    /// Call-IDs of who is in the room.
    fn members(&self) -> Vec<String> {
        let room = self.world.core.conference(ACCOUNT, "room");
        let info = room.map(|room| room.info());
        let all = info.into_iter().flat_map(|info| info.participants);
        all.map(|member| member.call_id).collect()
    }
}

fn refer_to(number: &str, replaces: &str) -> String {
    let escaped = replaces
        .replace('@', "%40")
        .replace(';', "%3B")
        .replace('=', "%3D")
        .replace(':', "%3A");
    format!("Refer-To: <sip:{number}@world.test?Replaces={escaped}>\r\n")
}

/// Answers everything the transferor is sent until its calls have ended; what it was told of the transfer.
async fn settled(phone: &Phone, call: &PhoneCall, byes: usize) -> Vec<String> {
    phone.expect("SIP/2.0 202", SECOND).await;
    let (mut told, mut ended) = (Vec::new(), 0);
    while ended < byes || told.len() < 2 {
        let text = phone.receive(5 * SECOND).await.unwrap();
        if text.starts_with("NOTIFY ") {
            let body = text.split("\r\n\r\n").nth(1).unwrap().trim();
            told.push(body.to_owned());
        } else {
            assert!(text.starts_with("BYE "), "{text}");
            ended += 1;
        }
        call.reply(&text, "200 OK");
    }
    told
}

const REACHED: [&str; 2] = ["SIP/2.0 100 Trying", "SIP/2.0 200 OK"];

#[test]
fn an_attended_transfer_into_a_flow_goes_on_where_the_transferor_was() {
    office(|office| async move {
        let (call, incoming) = office.talking().await;
        let second = office.b.call("4000");
        second.connect().await;
        tokio::time::sleep(SECOND).await;
        assert_eq!(
            office.world.modules(),
            ["device", "answer", "noop", "sleep"]
        );
        incoming.send("REFER", &refer_to("4000", &second.as_replaced()), "");
        assert_eq!(settled(&office.b, &second, 2).await, REACHED);
        tokio::time::sleep(SECOND).await;
        let modules = office.world.modules();
        assert_eq!(modules[4..], ["sleep"], "not from its beginning");
        assert_eq!(
            (office.world.core.calls(), office.world.core.legs()),
            (1, 1)
        );
        assert!(office.a.waiting().is_empty());
        call.hang_up().await;
        office.world.at_rest().await;
    });
}

#[test]
fn an_attended_transfer_into_a_conference_takes_the_transferors_seat() {
    office(|office| async move {
        let other = office.joined(&office.c).await;
        let (call, incoming) = office.talking().await;
        let second = office.joined(&office.b).await;
        assert_eq!(
            office.members(),
            [other.call_id.clone(), second.call_id.clone()]
        );
        incoming.send("REFER", &refer_to("5000", &second.as_replaced()), "");
        assert_eq!(settled(&office.b, &second, 2).await, REACHED);
        // No welcome, no PIN, and the other member has not been left alone.
        assert_eq!(
            office.members(),
            [other.call_id.clone(), call.call_id.clone()]
        );
        tokio::time::sleep(SECOND).await;
        assert_eq!(office.world.core.legs(), 2);
        call.hang_up().await;
        tokio::time::sleep(SECOND).await;
        assert_eq!(office.members(), std::slice::from_ref(&other.call_id));
        other.hang_up().await;
        office.world.at_rest().await;
    });
}

#[test]
fn a_callee_is_transferred_into_a_conference_by_its_caller() {
    office(|office| async move {
        let (call, incoming) = office.talking().await;
        let second = office.joined(&office.a).await;
        call.send("REFER", &refer_to("5000", &second.as_replaced()), "");
        assert_eq!(settled(&office.a, &second, 2).await, REACHED);
        tokio::time::sleep(SECOND).await;
        assert_eq!(
            office.members().len(),
            1,
            "a conference does not end with a seat's owner"
        );
        assert_eq!(office.world.core.legs(), 1);
        incoming.hang_up().await;
        office.world.at_rest().await;
    });
}

#[test]
fn a_telephone_takes_the_place_of_another_in_a_flow_by_replaces() {
    office(|office| async move {
        let call = office.a.call("4000");
        call.connect().await;
        tokio::time::sleep(SECOND).await;
        let taking = office.c.call("4000");
        taking.invite(&format!("Replaces: {}\r\n", call.as_replaced()));
        taking.expect(200, SECOND).await;
        taking.ack("");
        call.wait_for_bye(SECOND).await;
        tokio::time::sleep(SECOND).await;
        let modules = office.world.modules();
        assert_eq!(modules, ["answer", "noop", "sleep", "sleep"]);
        assert_eq!(office.world.core.legs(), 1);
        taking.hang_up().await;
        office.world.at_rest().await;
    });
}

#[test]
fn a_telephone_takes_the_seat_of_another_in_a_conference_by_replaces() {
    office(|office| async move {
        let call = office.joined(&office.a).await;
        let taking = office.c.call("5000");
        taking.invite(&format!("Replaces: {}\r\n", call.as_replaced()));
        taking.expect(200, SECOND).await;
        taking.ack("");
        call.wait_for_bye(SECOND).await;
        tokio::time::sleep(SECOND).await;
        assert_eq!(office.members(), std::slice::from_ref(&taking.call_id));
        taking.hang_up().await;
        office.world.at_rest().await;
    });
}

#[test]
fn a_leg_that_waits_for_its_transfer_has_no_place_to_take() {
    office(|office| async move {
        let (call, incoming) = office.talking().await;
        call.send("REFER", "Refer-To: <sip:2003@world.test>\r\n", "");
        office.a.expect("SIP/2.0 202", SECOND).await;
        let third = office.c.called(SECOND).await;
        third.ring();
        let taking = office.c.call("2002");
        taking.invite(&format!("Replaces: {}\r\n", call.as_replaced()));
        taking.expect(488, SECOND).await;
        taking.ack_refusal();
        third.answer().await;
        tokio::time::sleep(SECOND).await;
        assert_eq!(office.world.core.legs(), 2);
        third.hang_up().await;
        incoming.wait_for_bye(SECOND).await;
    });
}

#[test]
fn a_party_picks_up_what_rings_at_the_one_it_talks_with() {
    office(|office| async move {
        let (call, incoming) = office.talking().await;
        let from = office.c.call("2002");
        from.invite("");
        let ringing = office.b.called_on(5010, SECOND).await;
        ringing.ring();
        from.expect(180, SECOND).await;
        incoming.send("REFER", &refer_to("2003", &ringing.as_replaced()), "");
        office.b.expect("SIP/2.0 202", SECOND).await;
        let (mut told, mut over) = (Vec::new(), 0);
        while over < 2 || told.len() < 2 {
            let text = office.b.receive(5 * SECOND).await.unwrap();
            if text.starts_with("NOTIFY ") {
                let body = text.split("\r\n\r\n").nth(1).unwrap().trim();
                told.push(body.to_owned());
                incoming.answer_request(&text, "200 OK");
            } else if text.starts_with("BYE ") {
                over += 1;
                incoming.answer_request(&text, "200 OK");
            } else if text.starts_with("CANCEL ") {
                over += 1;
                ringing.answer_request(&text, "200 OK");
                ringing.reply("487 Request Terminated", "");
            } else {
                assert!(text.starts_with("ACK "), "{text}");
            }
        }
        assert_eq!(told, REACHED);
        from.expect(200, SECOND).await;
        from.ack("");
        tokio::time::sleep(SECOND).await;
        assert_eq!(
            (office.world.core.calls(), office.world.core.legs()),
            (1, 2)
        );
        from.hang_up().await;
        call.wait_for_bye(SECOND).await;
        office.world.at_rest().await;
    });
}
