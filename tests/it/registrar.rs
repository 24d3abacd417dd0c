//! Phones register: what they are told, where they are found, and until when. Phones are raw text at simulated
//! addresses; `md5` of the phone is its own, not swivel's.

mod guess;
mod mwi;
pub(crate) mod phone;
mod random;
mod trunks;

use std::time::Duration;

use serde_json::json;
use swivel::call::{BridgeOptions, CallHandle};
use swivel::directory::Kind;
use swivel::host::clock;
use swivel::journal::Fact;
use swivel::net::Signalling as _;
use swivel::registrar::{Binding, RegistrarConfig, Remote};
use swivel::routing::Place;
use swivel::sip::flow::{Flow, Transport};

use super::bridge::target;
use super::world::link::Link;
use super::world::phone::header;
use super::world::{ACCOUNT, Settings, World, script, world_of, world_with};
use phone::Desk;

const SECOND: Duration = Duration::from_secs(1);

/// A world in which `alice` and `bob` may register.
fn office(test: impl AsyncFnOnce(World)) {
    office_with(RegistrarConfig::default(), test);
}

fn office_with(registrar: RegistrarConfig, test: impl AsyncFnOnce(World)) {
    let settings = Settings {
        registrar,
        ..Settings::default()
    };
    world_with(1, settings, script(|_| async {}), |world| async move {
        for name in ["alice", "bob"] {
            let sip = json!({"username": name, "password": format!("{name}-password"), "method": "password"});
            world
                .put(Kind::Device, json!({"name": name, "sip": sip}))
                .await;
        }
        test(world).await;
    });
}

/// What the API asks through.
fn remote(world: &World) -> Remote {
    let (remote, mut asks) = Remote::pair();
    let core = world.core.clone();
    tokio::task::spawn_local(async move {
        while let Some(question) = asks.next().await {
            core.answer_question(question);
        }
    });
    remote
}

fn device(world: &World, name: &str) -> String {
    let account = world.directory.account(ACCOUNT).unwrap();
    let mut devices = account.devices.values();
    devices
        .find(|device| device.name == name)
        .unwrap()
        .id
        .clone()
}

fn bindings(world: &World, name: &str) -> Vec<Binding> {
    world
        .core
        .registrar()
        .bindings(name, "world.test", clock::now())
}

fn changes(world: &World) -> Vec<&'static str> {
    let facts = world.facts.borrow();
    let what = facts.iter().filter_map(|fact| match fact.as_ref() {
        Fact::Registration { what, .. } => Some(*what),
        _ => None,
    });
    what.collect()
}

#[test]
fn a_phone_registers_and_is_found_where_it_is() {
    office(async |world| {
        let desk = Desk::new(&world, "10.0.2.1:5060", "alice");
        let answer = desk.register(600).await;
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
        assert_eq!(
            header(&answer, "Contact"),
            "<sip:alice@10.0.2.1:5060>;expires=600"
        );
        assert!(header(&answer, "Date").ends_with(" GMT"), "{answer}");
        let found = bindings(&world, "Alice");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].contact, "sip:alice@10.0.2.1:5060");
        assert_eq!(found[0].flow.remote, "10.0.2.1:5060".parse().unwrap());
        assert_eq!(found[0].user_agent, "desk/1.0");
        assert!(!found[0].behind_nat);
        assert_eq!(changes(&world), ["registered"]);
        world.at_rest().await;
    });
}

#[test]
fn the_200_lists_every_binding_with_the_time_it_has_left() {
    office(async |world| {
        let desk = Desk::new(&world, "10.0.2.1:5060", "alice");
        let two = "Contact: <sip:alice@10.0.2.1:5060>;expires=600\r\nContact: <sip:alice@10.0.2.8:5060>;expires=300\r\n";
        let listed = |answer: &str| {
            let lines = answer
                .lines()
                .filter_map(|line| line.strip_prefix("Contact: "));
            let mut all: Vec<String> = lines
                .flat_map(|line| line.split(", "))
                .map(str::to_owned)
                .collect();
            all.sort();
            all
        };
        let answer = desk.register_with(&desk.aor(), two).await;
        let both = [
            "<sip:alice@10.0.2.1:5060>;expires=600",
            "<sip:alice@10.0.2.8:5060>;expires=300",
        ];
        assert_eq!(listed(&answer), both, "{answer}");
        tokio::time::sleep(100 * SECOND).await;
        // Without a Contact it is a question.
        let answer = desk.register_with(&desk.aor(), "").await;
        let left = [
            "<sip:alice@10.0.2.1:5060>;expires=500",
            "<sip:alice@10.0.2.8:5060>;expires=200",
        ];
        assert_eq!(listed(&answer), left, "{answer}");
    });
}

#[test]
fn a_registration_ends_by_itself_to_the_second() {
    office(async |world| {
        let desk = Desk::new(&world, "10.0.2.1:5060", "alice");
        desk.register(60).await;
        tokio::time::sleep(59 * SECOND).await;
        assert_eq!(bindings(&world, "alice").len(), 1);
        tokio::time::sleep(SECOND).await;
        assert!(bindings(&world, "alice").is_empty());
        tokio::time::sleep(SECOND).await;
        assert_eq!(changes(&world), ["registered", "expired"]);
        world.at_rest().await;
    });
}

#[test]
fn a_phone_that_leaves_is_gone_at_once() {
    office(async |world| {
        let desk = Desk::new(&world, "10.0.2.1:5060", "alice");
        desk.register(600).await;
        let answer = desk.register(0).await;
        assert_eq!(header(&answer, "Contact"), "");
        assert!(bindings(&world, "alice").is_empty());
        assert_eq!(changes(&world), ["registered", "unregistered"]);
    });
}

#[test]
fn everybody_is_asked_for_a_password_also_those_known_by_their_address() {
    office(async |world| {
        // 10.0.1.0/24 is a device known by its address; that does not let it be alice.
        let desk = Desk::new(&world, "10.0.1.9:5060", "alice");
        let refusal = desk.ask(&desk.request("sip:world.test", "", 600)).await;
        assert!(refusal.starts_with("SIP/2.0 401"), "{refusal}");
        assert!(refusal.contains("algorithm=SHA-256") || refusal.contains("algorithm=MD5"));
        let answer = desk.register(600).await;
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    });
}

#[test]
fn nobody_registers_for_somebody_else() {
    office(async |world| {
        let bob = Desk::new(&world, "10.0.2.2:5060", "bob");
        bob.register(600).await;
        let evil = Desk::new(&world, "10.0.2.66:5060", "alice");
        let answer = evil.register_as("sip:bob@world.test", 600).await;
        assert!(answer.starts_with("SIP/2.0 403"), "{answer}");
        let answer = evil
            .register_with("sip:bob@world.test", "Contact: *\r\nExpires: 0\r\n")
            .await;
        assert!(answer.starts_with("SIP/2.0 403"), "{answer}");
        let found = bindings(&world, "bob");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].source, "10.0.2.2:5060".parse().unwrap());
    });
}

/// `security.md` row 5.
#[test]
fn five_hundred_registrations_for_somebody_else_change_nothing() {
    office(async |world| {
        let bob = Desk::new(&world, "10.0.2.2:5060", "bob");
        bob.register(3600).await;
        let before = bindings(&world, "bob");
        for n in 0..500_u32 {
            let evil = Desk::new(&world, &format!("10.0.3.{}:5060", 1 + n / 10), "alice");
            let more = match n % 5 {
                0 => "Contact: *\r\nExpires: 0\r\n".to_owned(),
                1 => "Contact: <sip:bob@10.0.2.2:5060>;expires=0\r\n".to_owned(),
                2 => "Contact: <sip:bob@10.0.3.9>;expires=600\r\n".to_owned(),
                3 => "Contact: <sip:alice@10.0.3.9>;+sip.instance=\"<urn:uuid:1>\";reg-id=1\r\n"
                    .to_owned(),
                // What is bound is a question too.
                _ => String::new(),
            };
            let answer = evil.register_with("sip:bob@world.test", &more).await;
            assert!(answer.starts_with("SIP/2.0 403"), "{n}: {answer}");
            assert!(!answer.contains("10.0.2.2"), "{answer}");
        }
        assert_eq!(bindings(&world, "bob"), before);
        assert!(bindings(&world, "alice").is_empty());
    });
}

#[test]
fn a_domain_that_is_not_ours_is_404_for_those_who_may_ask() {
    office(async |world| {
        let desk = Desk::new(&world, "10.0.2.1:5060", "alice");
        // The realm of a foreign domain is the default one; its only alice is ours.
        let answer = desk.register_at("sip:elsewhere.example").await;
        assert!(answer.starts_with("SIP/2.0 404"), "{answer}");
        let answer = desk.register_at("sip:10.0.0.1").await;
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    });
}

#[test]
fn an_unknown_user_and_a_wrong_password_are_told_the_same() {
    office(async |world| {
        let mut seen = Vec::new();
        for (n, (name, password)) in [("alice", "wrong"), ("nobody", "alice-password")]
            .into_iter()
            .enumerate()
        {
            let mut desk = Desk::new(&world, &format!("10.0.2.{}:5060", n + 1), name);
            desk.password = password.to_owned();
            let refusal = desk.register(600).await;
            let shape: Vec<String> = refusal
                .lines()
                .map(|line| {
                    let line = line.split(" nonce=").next().unwrap_or_default();
                    line.replace(name, "NAME")
                })
                .filter(|line| !line.starts_with("To:") && !line.starts_with("Via:"))
                .filter(|line| !line.starts_with("Call-ID:"))
                .collect();
            seen.push(shape);
        }
        assert!(seen[0][0].starts_with("SIP/2.0 401"), "{seen:?}");
        assert_eq!(seen[0], seen[1]);
    });
}

#[test]
fn a_phone_behind_a_nat_is_reached_at_its_public_address_and_asked_whether_it_is_there() {
    office(async |world| {
        let desk = Desk::behind_nat(&world, "198.51.100.7:40000", "192.168.1.2:5060", "alice");
        desk.register(600).await;
        let found = bindings(&world, "alice");
        assert!(found[0].behind_nat);
        assert_eq!(found[0].contact, "sip:alice@192.168.1.2:5060");
        assert_eq!(found[0].flow.remote, desk.phone.address());
        let options = desk.phone.expect("OPTIONS ", 31 * SECOND).await;
        assert!(options.starts_with("OPTIONS sip:alice@192.168.1.2:5060 SIP/2.0"));
        desk.reply(&options, "404 Not Found");
        // Three questions without an answer: it is not rung any more.
        tokio::time::sleep(150 * SECOND).await;
        assert!(bindings(&world, "alice").is_empty());
        assert_eq!(changes(&world), ["registered", "unreachable"]);
        // Its next answer brings it back.
        while desk.phone.receive(Duration::from_millis(1)).await.is_some() {}
        let options = desk.phone.expect("OPTIONS ", 31 * SECOND).await;
        desk.reply(&options, "200 OK");
        tokio::time::sleep(SECOND).await;
        assert_eq!(bindings(&world, "alice").len(), 1);
        assert_eq!(changes(&world), ["registered", "unreachable", "reachable"]);
    });
}

#[test]
fn nobody_is_asked_when_that_is_switched_off() {
    let config = RegistrarConfig {
        options_seconds: 0,
        ..RegistrarConfig::default()
    };
    office_with(config, async |world| {
        let desk = Desk::behind_nat(&world, "198.51.100.7:40000", "192.168.1.2:5060", "alice");
        desk.register(3600).await;
        let heard = desk.phone.receive(1800 * SECOND).await;
        assert_eq!(heard, None);
    });
}

#[test]
fn registrations_survive_a_restart_with_the_time_they_have_left() {
    office(async |world| {
        let desk = Desk::new(&world, "10.0.2.1:5060", "alice");
        let bob = Desk::new(&world, "10.0.2.2:5060", "bob");
        desk.register(600).await;
        bob.register(60).await;
        let before = bindings(&world, "alice");
        tokio::time::sleep(100 * SECOND).await;
        let settings = Settings {
            store: Some(world.store.clone()),
            ..Settings::default()
        };
        let again = World::new(2, settings, script(|_| async {})).await;
        assert_eq!(bindings(&again, "alice"), before);
        assert!(bindings(&again, "bob").is_empty(), "it ended meanwhile");
        assert_eq!(again.core.registrar().count(), 1);
        tokio::time::sleep(500 * SECOND).await;
        assert!(bindings(&again, "alice").is_empty());
        // What has ended is not in the store any more either.
        let settings = Settings {
            store: Some(world.store.clone()),
            ..Settings::default()
        };
        let third = World::new(3, settings, script(|_| async {})).await;
        assert_eq!(third.core.registrar().count(), 0);
    });
}

#[test]
fn a_refused_contact_leaves_its_companions_out_too() {
    office(async |world| {
        let desk = Desk::new(&world, "10.0.2.1:5060", "alice");
        desk.register(600).await;
        let before = bindings(&world, "alice");
        for (bad, status) in [
            ("<sip:alice@10.0.2.9:5060>;expires=5", "SIP/2.0 423"),
            ("*", "SIP/2.0 400"),
            ("<mailto:alice@world.test>", "SIP/2.0 4"),
        ] {
            let both =
                format!("Contact: <sip:alice@10.0.2.8:5060>;expires=600\r\nContact: {bad}\r\n");
            let answer = desk.register_with(&desk.aor(), &both).await;
            assert!(answer.starts_with(status), "{bad}: {answer}");
            assert_eq!(bindings(&world, "alice"), before, "{bad}");
        }
    });
}

#[test]
fn a_removed_registration_does_not_come_back_with_a_restart() {
    office(async |world| {
        let desk = Desk::new(&world, "10.0.2.1:5060", "alice");
        desk.register(600).await;
        desk.register(0).await;
        let settings = Settings {
            store: Some(world.store.clone()),
            ..Settings::default()
        };
        let again = World::new(2, settings, script(|_| async {})).await;
        assert_eq!(again.core.registrar().count(), 0);
    });
}

#[test]
fn phones_register_through_a_bad_network() {
    for seed in 0..20 {
        let settings = Settings::default();
        world_with(seed, settings, script(|_| async {}), |world| async move {
            let sip = json!({"username": "alice", "password": "alice-password"});
            world
                .put(Kind::Device, json!({"name": "alice", "sip": sip}))
                .await;
            world.net.set_link(Link {
                loss: 0.3,
                duplicates: 0.1,
                delay: Duration::from_millis(40),
                jitter: Duration::from_millis(60),
            });
            let desk = Desk::new(&world, "10.0.2.1:5060", "alice");
            assert!(desk.register_patiently(600).await, "seed {seed}");
            assert_eq!(bindings(&world, "alice").len(), 1, "seed {seed}");
            assert_eq!(changes(&world), ["registered"], "seed {seed}: once");
            world.net.set_link(Link::default());
            world.at_rest().await;
        });
    }
}

#[test]
fn the_own_expiry_of_a_device_holds_for_phones_that_ask_for_none() {
    world_of(1, script(|_| async {}), |world| async move {
        let sip =
            json!({"username": "alice", "password": "alice-password", "expire_seconds": 1200});
        world
            .put(Kind::Device, json!({"name": "alice", "sip": sip}))
            .await;
        let desk = Desk::new(&world, "10.0.2.1:5060", "alice");
        let answer = desk
            .register_with(
                "sip:alice@world.test",
                "Contact: <sip:alice@10.0.2.1:5060>\r\n",
            )
            .await;
        assert!(
            header(&answer, "Contact").ends_with(";expires=1200"),
            "{answer}"
        );
        assert!(world.directory.account(ACCOUNT).is_some());
    });
}

#[test]
fn other_threads_list_count_and_remove_registrations() {
    office(async |world| {
        let remote = remote(&world);
        let alice = Desk::new(&world, "10.0.2.1:5060", "alice");
        let bob = Desk::new(&world, "10.0.2.2:5060", "bob");
        alice.register(600).await;
        bob.register(600).await;
        assert_eq!(remote.count(Some(ACCOUNT)).await, 2);
        assert_eq!(remote.count(Some("another")).await, 0);
        assert_eq!(remote.count(None).await, 2);
        let rows = remote.list(Some(ACCOUNT)).await;
        let names: Vec<&str> = rows.iter().map(|row| row.username.as_str()).collect();
        assert_eq!(names, ["alice", "bob"]);
        assert_eq!(rows[0].device, device(&world, "alice"));
        assert_eq!(rows[0].source, alice.phone.address());
        assert_eq!(remote.flush(ACCOUNT, Some("Alice")).await, 1);
        assert!(bindings(&world, "alice").is_empty());
        assert_eq!(remote.flush(ACCOUNT, None).await, 1);
        assert_eq!(
            changes(&world),
            ["registered", "registered", "flushed", "flushed"]
        );
    });
}

#[test]
fn what_registered_over_a_connection_is_reached_by_it_and_gone_with_it() {
    office(async |world| {
        let desk = Desk::new(&world, "10.0.2.1:40000", "alice");
        let flow = Flow {
            transport: Transport::Tcp,
            local: world.net.swivel(),
            remote: desk.phone.address(),
            connection: 7,
        };
        let core = world.core.clone();
        let send = |text: String| {
            core.receive(clock::now(), flow, text.into());
            core.changed().notify_one();
        };
        send(desk.request("sip:world.test", "", 600));
        let challenge = desk.phone.expect("SIP/2.0 401", SECOND).await;
        let answer = desk.answer(&challenge, "REGISTER", "sip:world.test");
        send(desk.request("sip:world.test", &answer, 600));
        desk.phone.expect("SIP/2.0 200", SECOND).await;
        let found = bindings(&world, "alice");
        assert_eq!(found[0].flow, flow);
        // Its way is kept open by CRLF, and nothing of it is in the store.
        let ping = desk.phone.receive(121 * SECOND).await;
        assert_eq!(ping.as_deref(), Some("\r\n\r\n"));
        let settings = Settings {
            store: Some(world.store.clone()),
            ..Settings::default()
        };
        let again = World::new(2, settings, script(|_| async {})).await;
        assert_eq!(again.core.registrar().count(), 0);
        core.flow_closed(clock::now(), flow);
        assert!(bindings(&world, "alice").is_empty());
        tokio::time::sleep(SECOND).await;
        assert_eq!(changes(&world), ["registered", "closed"]);
    });
}

#[test]
fn a_phone_that_keeps_its_flow_alive_is_told_how_often_and_a_path_is_kept() {
    office(async |world| {
        let desk = Desk::new(&world, "10.0.2.1:5060", "alice");
        let aor = "sip:alice@world.test";
        let contact = "Contact: <sip:alice@10.0.2.1:5060>;+sip.instance=\"<urn:uuid:1>\";reg-id=1\r\n\
                       Supported: path, outbound\r\nPath: <sip:10.0.2.9;lr;ob>\r\nExpires: 600\r\n";
        let answer = desk.register_with(aor, contact).await;
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
        assert_eq!(header(&answer, "Require"), "outbound");
        assert_eq!(header(&answer, "Flow-Timer"), "120");
        assert_eq!(header(&answer, "Path"), "<sip:10.0.2.9;lr;ob>");
        assert!(
            header(&answer, "Contact")
                .contains(";+sip.instance=\"<urn:uuid:1>\";reg-id=1;expires=600"),
            "{answer}"
        );
        let found = bindings(&world, "alice");
        assert_eq!(found[0].path, ["<sip:10.0.2.9;lr;ob>"]);
        // What it says of the way is a Route; where we send is where it came from.
        assert_eq!(found[0].flow.remote, desk.phone.address());
        let without = contact.replace("Supported: path, outbound\r\n", "");
        let answer = desk.register_with(aor, &without).await;
        assert!(answer.starts_with("SIP/2.0 420"), "{answer}");
        assert_eq!(header(&answer, "Unsupported"), "path");
    });
}

#[test]
fn a_call_rings_every_phone_of_a_user_on_the_path_it_registered_over() {
    let run = script(|call: CallHandle| async move {
        let mut alice = target("unused");
        alice.place = Place::Registered {
            username: "alice".into(),
            realm: "world.test".into(),
        };
        let options = BridgeOptions {
            targets: vec![alice],
            ..BridgeOptions::default()
        };
        drop(call.bridge(options).await);
    });
    world_with(1, Settings::default(), run, |world| async move {
        let sip = json!({"username": "alice", "password": "alice-password", "method": "password"});
        world
            .put(Kind::Device, json!({"name": "alice", "sip": sip}))
            .await;
        world
            .callflow("2000", json!({"module": "answer", "data": {}}))
            .await;
        let desk = Desk::behind_nat(&world, "198.51.100.7:40000", "192.168.1.2:5060", "alice");
        let soft = Desk::new(&world, "10.0.2.1:5070", "alice");
        desk.register(600).await;
        soft.register(600).await;
        let caller = world.phone();
        let call = caller.call("2000");
        call.invite("");
        let at_desk = desk.phone.called(SECOND).await;
        let at_soft = soft.phone.called(SECOND).await;
        let line = at_desk.invite.lines().next().unwrap();
        assert_eq!(line, "INVITE sip:alice@192.168.1.2:5060 SIP/2.0");
        at_desk.ring();
        at_soft.ring();
        call.expect(180, SECOND).await;
        at_desk.answer().await;
        at_soft.cancelled(SECOND).await;
        call.expect(200, SECOND).await;
        call.ack("");
        tokio::time::sleep(SECOND).await;
        // The Contact behind the NAT is never used as an address.
        call.hang_up().await;
        at_desk.wait_for_bye(SECOND).await;
        desk.register(0).await;
        soft.register(0).await;
        world.at_rest().await;
    });
}
