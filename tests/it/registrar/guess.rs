//! Guessing passwords: who is banned, who is not, and what the owner notices of it (nothing).

use swivel::registrar::SecurityConfig;

use super::phone::Desk;
use super::*;

fn guesser(world: &World, address: &str, name: &str) -> Desk {
    let mut desk = Desk::new(world, address, name);
    desk.password = "guess".to_owned();
    desk
}

/// Guesses until nobody answers any more; how many guesses were answered.
async fn guess(desk: &Desk, most: usize) -> usize {
    for n in 0..most {
        let challenge = {
            desk.phone.send(&desk.request("sip:world.test", "", 600));
            desk.phone.receive(5 * SECOND).await
        };
        let Some(challenge) = challenge else { return n };
        let answer = desk.answer(&challenge, "REGISTER", "sip:world.test");
        desk.phone
            .send(&desk.request("sip:world.test", &answer, 600));
        if desk.phone.receive(5 * SECOND).await.is_none() {
            return n;
        }
    }
    most
}

#[test]
fn five_guesses_are_answered_and_no_more_for_five_minutes() {
    office(async |world| {
        let evil = guesser(&world, "10.0.2.66:5060", "alice");
        assert_eq!(guess(&evil, 20).await, 5);
        assert_eq!(world.core.registrar().banned(clock::now()).len(), 1);
        // The owner registers meanwhile from elsewhere, at once.
        let owner = Desk::new(&world, "10.0.2.1:5060", "alice");
        let before = clock::now();
        assert!(owner.register(600).await.starts_with("SIP/2.0 200"));
        assert!(clock::now() - before < 2 * SECOND);
        tokio::time::sleep(300 * SECOND).await;
        assert!(world.core.registrar().banned(clock::now()).is_empty());
        assert_eq!(guess(&evil, 20).await, 5, "and then the same again");
    });
}

#[test]
fn a_ban_can_be_ended_by_hand() {
    office(async |world| {
        let remote = remote(&world);
        let evil = guesser(&world, "10.0.2.66:5060", "alice");
        guess(&evil, 20).await;
        assert_eq!(remote.banned().await.len(), 1);
        assert!(remote.forgive("10.0.2.66".parse().unwrap()).await);
        assert!(!remote.forgive("10.0.2.66".parse().unwrap()).await);
        assert!(guess(&evil, 1).await == 1);
    });
}

/// Anybody can write the address of a registered phone or of a trunk into a datagram.
#[test]
fn datagrams_alone_never_ban_a_registered_phone_or_a_trusted_address() {
    office(async |world| {
        let owner = Desk::new(&world, "10.0.2.1:5060", "alice");
        owner.register(600).await;
        let spoofer = guesser(&world, "10.0.2.1:6666", "bob");
        assert_eq!(guess(&spoofer, 12).await, 12);
        assert!(owner.register(600).await.starts_with("SIP/2.0 200"));
        let trusted = guesser(&world, "10.0.1.7:5060", "bob");
        assert_eq!(guess(&trusted, 12).await, 12);
        assert!(world.core.registrar().banned(clock::now()).is_empty());
    });
}

#[test]
fn exempt_networks_are_not_banned() {
    let security = SecurityConfig {
        ban_exempt: vec!["10.0.2.0/24".parse().unwrap()],
        ..SecurityConfig::default()
    };
    let settings = Settings {
        security,
        ..Settings::default()
    };
    world_with(1, settings, script(|_| async {}), |world| async move {
        let evil = guesser(&world, "10.0.2.66:5060", "alice");
        assert_eq!(guess(&evil, 12).await, 12);
    });
}

#[test]
fn guessing_one_name_from_many_addresses_becomes_slow_and_its_owner_does_not() {
    office(async |world| {
        for n in 0..24_u8 {
            let evil = guesser(&world, &format!("10.0.3.{n}:5060"), "alice");
            let begun = clock::now();
            assert_eq!(guess(&evil, 1).await, 1);
            let took = clock::now() - begun;
            assert_eq!(took >= SECOND, n >= 20, "guess {n} took {took:?}");
        }
        let owner = Desk::new(&world, "10.0.2.1:5060", "alice");
        let begun = clock::now();
        assert!(owner.register(600).await.starts_with("SIP/2.0 200"));
        assert!(clock::now() - begun < SECOND);
        world.at_rest().await;
    });
}
