//! Lamps: who is told how many messages wait.

use swivel::registrar::Messages;

use super::phone::Desk;
use super::*;

const SUMMARY: &str = "Event: message-summary\r\nAccept: application/simple-message-summary\r\n";

fn two_new() -> Messages {
    Messages {
        new: 2,
        saved: 1,
        ..Messages::default()
    }
}

async fn subscribed(desk: &Desk, expires: u32) -> String {
    let to = format!("<{}>", desk.aor());
    let more = format!("{SUMMARY}Expires: {expires}\r\n");
    let answer = desk.subscribe(&to, &more).await;
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    assert_eq!(header(&answer, "Expires"), expires.to_string());
    assert!(header(&answer, "Contact").starts_with("<sip:"), "{answer}");
    answer
}

/// The next NOTIFY, answered: its state, and how many messages it says.
async fn notified(desk: &Desk, within: Duration) -> (String, String) {
    let notify = desk.phone.expect("NOTIFY ", within).await;
    desk.reply(&notify, "200 OK");
    assert_eq!(header(&notify, "Event"), "message-summary");
    let line = notify.lines().find(|l| l.starts_with("Voice-Message: "));
    let count = line.unwrap_or_default().to_owned();
    let state = header(&notify, "Subscription-State");
    (state.split(';').next().unwrap().to_owned(), count)
}

fn told(state: &str, count: &str) -> (String, String) {
    (state.to_owned(), format!("Voice-Message: {count}"))
}

#[test]
fn a_subscriber_is_told_at_once_and_at_every_change() {
    office(async |world| {
        let remote = remote(&world);
        let desk = Desk::new(&world, "10.0.2.1:5060", "alice");
        let answer = subscribed(&desk, 600).await;
        assert_eq!(notified(&desk, SECOND).await, told("active", "0/0 (0/0)"));
        let id = device(&world, "alice");
        remote.set_messages(ACCOUNT, &id, Some(two_new())).await;
        assert_eq!(remote.messages(ACCOUNT, &id).await, Some(two_new()));
        assert_eq!(notified(&desk, SECOND).await, told("active", "2/1 (0/0)"));
        // A refresh is answered with the state, too; the end with the last one.
        let to = header(&answer, "To").to_owned();
        let again = format!("{SUMMARY}Expires: 300\r\n");
        let answer = desk.subscribe(&to, &again).await;
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
        assert_eq!(notified(&desk, SECOND).await, told("active", "2/1 (0/0)"));
        let end = format!("{SUMMARY}Expires: 0\r\n");
        let answer = desk.subscribe(&to, &end).await;
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
        assert_eq!(
            notified(&desk, SECOND).await,
            told("terminated", "2/1 (0/0)")
        );
        assert_eq!(world.core.registrar().subscriptions(), 0);
        let answer = desk.subscribe(&to, &again).await;
        assert!(answer.starts_with("SIP/2.0 481"), "{answer}");
        world.at_rest().await;
    });
}

#[test]
fn a_subscription_ends_by_itself_with_a_last_word() {
    office(async |world| {
        let desk = Desk::new(&world, "10.0.2.1:5060", "alice");
        subscribed(&desk, 60).await;
        assert_eq!(notified(&desk, SECOND).await.0, "active");
        assert_eq!(notified(&desk, 61 * SECOND).await.0, "terminated");
        assert_eq!(world.core.registrar().subscriptions(), 0);
        world.at_rest().await;
    });
}

#[test]
fn a_phone_that_knows_nothing_of_its_subscription_is_told_no_more() {
    office(async |world| {
        let remote = remote(&world);
        let desk = Desk::new(&world, "10.0.2.1:5060", "alice");
        subscribed(&desk, 600).await;
        let notify = desk.phone.expect("NOTIFY ", SECOND).await;
        desk.reply(&notify, "481 Call/Transaction Does Not Exist");
        tokio::time::sleep(SECOND).await;
        assert_eq!(world.core.registrar().subscriptions(), 0);
        let id = device(&world, "alice");
        remote.set_messages(ACCOUNT, &id, Some(two_new())).await;
        assert_eq!(desk.phone.receive(5 * SECOND).await, None);
    });
}

#[test]
fn other_packages_brief_subscriptions_and_other_mailboxes_are_refused() {
    office(async |world| {
        let desk = Desk::new(&world, "10.0.2.1:5060", "alice");
        let to = format!("<{}>", desk.aor());
        let answer = desk.subscribe(&to, "Event: presence\r\n").await;
        assert!(answer.starts_with("SIP/2.0 489"), "{answer}");
        assert_eq!(header(&answer, "Allow-Events"), "message-summary");
        let answer = desk.subscribe(&to, "Expires: 60\r\n").await;
        assert!(answer.starts_with("SIP/2.0 489"), "no event: {answer}");
        let brief = format!("{SUMMARY}Expires: 59\r\n");
        let answer = desk.subscribe(&to, &brief).await;
        assert!(answer.starts_with("SIP/2.0 423"), "{answer}");
        assert_eq!(header(&answer, "Min-Expires"), "60");
        // Whose address is trusted has to prove who he is all the same.
        let other = Desk::new(&world, "10.0.1.5:5060", "bob");
        let answer = other.subscribe_at("sip:alice@world.test", SUMMARY).await;
        assert!(answer.starts_with("SIP/2.0 403"), "{answer}");
        assert_eq!(world.core.registrar().subscriptions(), 0);
    });
}

#[test]
fn registered_phones_that_did_not_subscribe_are_told_as_well() {
    office(async |world| {
        let remote = remote(&world);
        let desk = Desk::new(&world, "10.0.2.1:5060", "alice");
        desk.register(600).await;
        assert_eq!(desk.phone.receive(SECOND).await, None, "nobody ever said");
        let id = device(&world, "alice");
        remote.set_messages(ACCOUNT, &id, Some(two_new())).await;
        assert_eq!(
            notified(&desk, SECOND).await,
            told("terminated", "2/1 (0/0)")
        );
        // One that comes later is told when it comes.
        let second = Desk::new(&world, "10.0.2.2:5060", "alice");
        second.register(600).await;
        assert_eq!(
            notified(&second, SECOND).await,
            told("terminated", "2/1 (0/0)")
        );
        assert_eq!(desk.phone.receive(SECOND).await, None, "it knows already");
        // And after a restart, from the store.
        let settings = Settings {
            store: Some(world.store.clone()),
            ..Settings::default()
        };
        let again = World::new(2, settings, script(|_| async {})).await;
        assert_eq!(
            again.core.registrar().messages(ACCOUNT, &id),
            Some(two_new())
        );
        remote.set_messages(ACCOUNT, &id, None).await;
        assert_eq!(
            notified(&desk, SECOND).await,
            told("terminated", "0/0 (0/0)")
        );
    });
}

#[test]
fn messages_of_a_user_light_the_lamps_of_all_his_phones() {
    world_of(1, script(|_| async {}), |world| async move {
        let user = world
            .put(Kind::User, json!({"first_name": "A", "last_name": "B"}))
            .await;
        for name in ["alice", "bob"] {
            let sip = json!({"username": name, "password": format!("{name}-password")});
            world
                .put(
                    Kind::Device,
                    json!({"name": name, "owner_id": user, "sip": sip}),
                )
                .await;
        }
        let remote = remote(&world);
        let alice = Desk::new(&world, "10.0.2.1:5060", "alice");
        let bob = Desk::new(&world, "10.0.2.2:5060", "bob");
        alice.register(600).await;
        bob.register(600).await;
        remote.set_messages(ACCOUNT, &user, Some(two_new())).await;
        for desk in [&alice, &bob] {
            assert_eq!(
                notified(desk, SECOND).await,
                told("terminated", "2/1 (0/0)")
            );
        }
    });
}

#[test]
fn a_phone_is_asked_to_fetch_its_settings() {
    office(async |world| {
        let remote = remote(&world);
        let desk = Desk::new(&world, "10.0.2.1:5060", "alice");
        desk.register(600).await;
        let id = device(&world, "alice");
        assert_eq!(remote.sync(ACCOUNT, &id).await, 1);
        let notify = desk.phone.expect("NOTIFY ", SECOND).await;
        assert_eq!(header(&notify, "Event"), "check-sync");
        desk.reply(&notify, "200 OK");
    });
}
