//! Hours of registrations at random, against a model of what must be bound.

use std::collections::BTreeMap;

use swivel::base::rng::Rng;
use swivel::registrar::{Parts, Registrar, SecurityConfig};

use super::phone::Desk;
use super::*;
use crate::world::copied;

/// What one phone believes.
#[derive(Clone, Copy)]
struct Belief {
    until: std::time::Instant,
}

const NAMES: [&str; 3] = ["alice", "bob", "carol"];

#[test]
fn hours_of_random_registrations_agree_with_what_phones_believe_and_with_the_store() {
    for seed in 0..2 {
        world_with(
            seed,
            Settings::default(),
            script(|_| async {}),
            |world| async move {
                for name in NAMES {
                    let sip = json!({"username": name, "password": format!("{name}-password")});
                    world
                        .put(Kind::Device, json!({"name": name, "sip": sip}))
                        .await;
                }
                an_hour(&world, seed).await;
            },
        );
    }
}

async fn an_hour(world: &World, seed: u64) {
    let mut rng = Rng::seeded(seed + 100);
    let desks: Vec<(&str, Desk)> = (0..12_u8)
        .map(|n| {
            let name = NAMES[usize::from(n) % NAMES.len()];
            (
                name,
                Desk::new(world, &format!("10.0.2.{}:5060", n + 1), name),
            )
        })
        .collect();
    let mut beliefs: BTreeMap<usize, Belief> = BTreeMap::new();
    let end = clock::now() + 2 * 3600 * SECOND;
    while clock::now() < end {
        tokio::time::sleep(Duration::from_millis(rng.below(60_000))).await;
        let n = usize::try_from(rng.below(12)).unwrap();
        let (_, desk) = &desks[n];
        match rng.below(10) {
            0 => {
                assert!(desk.register(0).await.starts_with("SIP/2.0 200"));
                beliefs.remove(&n);
            }
            1 => {
                // All phones of that name go.
                let aor = desk.aor();
                let answer = desk
                    .register_with(&aor, "Contact: *\r\nExpires: 0\r\n")
                    .await;
                assert!(answer.starts_with("SIP/2.0 200"), "seed {seed}: {answer}");
                beliefs.retain(|other, _| desks[*other].0 != desks[n].0);
            }
            _ => {
                let expires = 60 + u32::try_from(rng.below(600)).unwrap();
                let before = clock::now();
                let answer = desk.register(expires).await;
                assert!(answer.starts_with("SIP/2.0 200"), "seed {seed}: {answer}");
                // Two round trips of some milliseconds lie between.
                let until = before + expires * SECOND;
                beliefs.insert(n, Belief { until });
            }
        }
        agree(world, &desks, &beliefs, seed);
        if rng.below(20) == 0 {
            survives(world, seed).await;
        }
    }
    tokio::time::sleep(700 * SECOND).await;
    assert_eq!(world.core.registrar().count(), 0, "seed {seed}");
    world.at_rest().await;
}

/// Who believes to be registered is, and nobody else; a second around the end nobody knows.
fn agree(world: &World, desks: &[(&str, Desk)], beliefs: &BTreeMap<usize, Belief>, seed: u64) {
    let now = clock::now();
    for (n, (name, desk)) in desks.iter().enumerate() {
        let there = bindings(world, name)
            .iter()
            .any(|binding| binding.source == desk.phone.address());
        let belief = beliefs.get(&n).map(|belief| belief.until);
        let unsure = belief.is_some_and(|until| now + SECOND > until && until + SECOND > now);
        if !unsure {
            let expected = belief.is_some_and(|until| until > now);
            assert_eq!(there, expected, "seed {seed}: phone {n} of {name}");
        }
    }
}

/// A server that starts now on what the store has knows the same bindings.
async fn survives(world: &World, seed: u64) {
    let again = Registrar::load(Parts {
        config: RegistrarConfig::default(),
        security: SecurityConfig::default(),
        directory: world.directory.clone(),
        store: copied(&world.store).await,
        journal: world.journal.clone(),
        rng: Rng::seeded(seed),
    });
    let again = again.await.unwrap();
    for name in NAMES {
        let mut before = bindings(world, name);
        let mut after = again.bindings(name, "world.test", clock::now());
        before.sort_by_key(|b| b.source);
        after.sort_by_key(|b| b.source);
        assert_eq!(before, after, "seed {seed}: {name}");
    }
}
