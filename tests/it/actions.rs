//! What can be done to legs that are up by whoever does not take part in them; and callers who are not let in.

use std::time::Duration;

use serde_json::{Value, json};
use swivel::call::Party;
use swivel::call::actions::{Acted, Action};
use swivel::callflow;
use swivel::directory::Kind;

use crate::world::callee::Incoming;
use crate::world::phone::{Phone, PhoneCall};
use crate::world::{ACCOUNT, World, world_of};

const SECOND: Duration = Duration::from_secs(1);

/// A world with a carrier, and an extension `700` that answers and stays.
fn office<F: Future<Output = ()>>(test: impl FnOnce(World, Phone) -> F) {
    world_of(1, callflow::script(), |world| async move {
        let carrier = world.phone_at("10.0.9.1:5060");
        let trunk = json!({"name": "carrier", "rules": ["^\\+?\\d{7,}$"],
                           "gateways": [{"server": "10.0.9.1", "inbound_ips": ["10.0.9.1"]}]});
        world.put(Kind::Trunk, trunk).await;
        world.callflow("700", stays()).await;
        test(world, carrier).await;
    });
}

fn stays() -> Value {
    json!({"module": "answer", "data": {}, "children": {"_":
        {"module": "sleep", "data": {"duration": 600}, "children": {}}}})
}

/// A telephone that talks with the carrier.
async fn talks(world: &World, carrier: &Phone) -> (PhoneCall, Incoming) {
    let call = world.phone().call("4155550199");
    call.invite("");
    let incoming = carrier.called(SECOND).await;
    incoming.answer().await;
    assert!(call.answered(SECOND).await.starts_with("SIP/2.0 200"));
    call.ack("");
    tokio::time::sleep(SECOND).await;
    (call, incoming)
}

/// Call-ID of the leg of that direction.
fn leg(world: &World, direction: &str) -> String {
    let channels = world.core.channels(ACCOUNT);
    let found = channels.iter().find(|leg| leg.direction == direction);
    found.unwrap().call_id.clone()
}

fn number(number: &str) -> Party {
    Party::Number(number.to_owned())
}

#[test]
fn a_caller_who_is_sent_elsewhere_leaves_whom_he_talks_with() {
    office(|world, carrier| async move {
        let (call, incoming) = talks(&world, &carrier).await;
        let id = leg(&world, "inbound");
        let done = world
            .core
            .act(ACCOUNT, &id, Action::Redirect(number("700")));
        assert_eq!(done, Acted::Done);
        incoming.wait_for_bye(SECOND).await;
        tokio::time::sleep(30 * SECOND).await;
        assert_eq!((world.core.calls(), world.core.legs()), (1, 1));
        assert_eq!(world.modules(), ["resources", "answer", "sleep"]);
        call.hang_up().await;
        world.at_rest().await;
    });
}

#[test]
fn whom_a_caller_talks_with_can_be_sent_elsewhere_and_the_caller_is_let_go() {
    office(|world, carrier| async move {
        let (call, incoming) = talks(&world, &carrier).await;
        let id = leg(&world, "inbound");
        let done = world
            .core
            .act(ACCOUNT, &id, Action::Transfer(number("700")));
        assert_eq!(done, Acted::Done);
        call.wait_for_bye(SECOND).await;
        tokio::time::sleep(30 * SECOND).await;
        assert_eq!(world.core.legs(), 1);
        incoming.hang_up().await;
        world.at_rest().await;
    });
}

#[test]
fn the_one_who_was_called_can_send_the_caller_elsewhere() {
    office(|world, carrier| async move {
        let (call, incoming) = talks(&world, &carrier).await;
        let id = leg(&world, "outbound");
        let done = world
            .core
            .act(ACCOUNT, &id, Action::Transfer(number("700")));
        assert_eq!(done, Acted::Done);
        incoming.wait_for_bye(SECOND).await;
        tokio::time::sleep(30 * SECOND).await;
        assert_eq!((world.core.calls(), world.core.legs()), (1, 1));
        call.hang_up().await;
        world.at_rest().await;
    });
}

#[test]
fn a_flow_that_runs_is_left_for_another() {
    office(|world, _carrier| async move {
        let call = world.phone().call("700");
        call.invite("");
        assert!(call.answered(SECOND).await.starts_with("SIP/2.0 200"));
        call.ack("");
        let id = leg(&world, "inbound");
        assert_eq!(
            world
                .core
                .act(ACCOUNT, &id, Action::Transfer(number("700"))),
            Acted::NoPeer
        );
        assert_eq!(
            world.core.act(ACCOUNT, "nobody", Action::HangUp),
            Acted::NoChannel
        );
        assert_eq!(
            world.core.act("other", &id, Action::HangUp),
            Acted::NoChannel
        );
        let nowhere = Action::Redirect(number("799"));
        assert_eq!(
            world.core.act(ACCOUNT, &id, nowhere),
            Acted::NoRoute("799".into())
        );
        let ends = json!({"flow": {"module": "hangup", "data": {}, "children": {}}});
        let flow = Party::Flow {
            number: "700".into(),
            id: None,
            document: ends.into(),
        };
        assert_eq!(
            world.core.act(ACCOUNT, &id, Action::Redirect(flow)),
            Acted::Done
        );
        call.wait_for_bye(SECOND).await;
        assert_eq!(world.modules(), ["answer", "sleep", "hangup"]);
        world.at_rest().await;
    });
}

#[test]
fn a_carriers_caller_on_a_blacklist_is_declined() {
    office(|world, carrier| async move {
        let spam = json!({"name": "spam", "numbers": {"1001": {}}});
        let spam = world.put(Kind::Blacklist, spam).await;
        let document = json!({"pvt_state": "in_service"});
        let number = "+14155550100";
        world
            .directory
            .put(Kind::PhoneNumber, ACCOUNT, number, document)
            .await
            .unwrap();
        world.callflow(number, stays()).await;
        for (lists, status) in [(json!([]), 200), (json!([spam]), 603)] {
            let account = json!({"name": "world", "realm": "world.test", "blacklists": lists});
            world
                .directory
                .put(Kind::Account, ACCOUNT, ACCOUNT, account)
                .await
                .unwrap();
            let call = carrier.call(number);
            call.invite("");
            if status == 603 {
                call.expect(603, SECOND).await;
                call.ack_refusal();
            } else {
                assert!(call.answered(SECOND).await.starts_with("SIP/2.0 200"));
                call.ack("");
                call.hang_up().await;
            }
        }
        world.at_rest().await;
    });
}

#[test]
fn a_carriers_caller_can_be_sent_out_again_by_whoever_administers_the_account() {
    office(|world, carrier| async move {
        let number_document = json!({"pvt_state": "in_service"});
        let own = "+14155550100";
        world
            .directory
            .put(Kind::PhoneNumber, ACCOUNT, own, number_document)
            .await
            .unwrap();
        world.callflow(own, stays()).await;
        let call = carrier.call(own);
        call.invite("");
        assert!(call.answered(SECOND).await.starts_with("SIP/2.0 200"));
        call.ack("");
        let id = leg(&world, "inbound");
        let done = world
            .core
            .act(ACCOUNT, &id, Action::Redirect(number("4155550188")));
        assert_eq!(done, Acted::Done);
        let incoming = carrier.called_on(5002, SECOND).await;
        assert!(
            incoming.invite.starts_with("INVITE sip:+14155550188@"),
            "{}",
            incoming.invite
        );
        incoming.answer().await;
        tokio::time::sleep(SECOND).await;
        incoming.hang_up().await;
        call.wait_for_bye(SECOND).await;
        world.at_rest().await;
    });
}
