//! Random traffic: telephones that register, call, hold, transfer, fall silent and forget, on a network that loses,
//! delays and doubles, and a server whose power fails. Whatever happens, everything comes to rest afterwards, and every
//! call that was answered has its record.
//!
//! A few minutes of a few seeds in `make test`; hours in `make soak` (`SWIVEL_TRAFFIC_SECONDS`). A failure names its
//! seed; `SWIVEL_TRAFFIC_SEED` replays it.

mod agent;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use swivel::base::rng::Rng;
use swivel::base::time::UnixMicros;
use swivel::call::{CallHandle, Script};
use swivel::callflow;
use swivel::directory::Kind;
use swivel::journal::TimeRange;
use tokio::task::JoinHandle;

use agent::{Agent, Shared};

use super::world::link::Link;
use super::world::{ACCOUNT, Settings, World, script, world_with};

const SECOND: Duration = Duration::from_secs(1);
const NAMES: [&str; 3] = ["alice", "bob", "carol"];

fn setting(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .and_then(|value| value.parse().ok())
}

fn flows() -> Script {
    script(|call: CallHandle| {
        let document = call.vars().flow.clone();
        async move {
            if let Some(document) = document {
                callflow::run(call, document).await;
            }
        }
    })
}

fn node(module: &str, data: &Value, next: Value) -> Value {
    let children = if next.is_null() {
        json!({})
    } else {
        json!({"_": next})
    };
    json!({"module": module, "data": data, "children": children})
}

/// People with two telephones each, groups, announcements, a web server that answers by a flow, a carrier.
async fn office(world: &World) {
    let mut users = Vec::new();
    for (n, name) in NAMES.iter().enumerate() {
        let user = world
            .put(Kind::User, json!({"first_name": name, "last_name": "x"}))
            .await;
        let sip = json!({"username": name, "password": format!("{name}-password")});
        world
            .put(
                Kind::Device,
                json!({"name": name, "sip": sip, "owner_id": user}),
            )
            .await;
        let rings = json!({"id": user, "timeout": 20});
        let flow = node(
            "user",
            &rings,
            node(
                "play",
                &json!({"id": "tone_stream://%(200,100,440)"}),
                Value::Null,
            ),
        );
        world.callflow(&format!("{}", 100 + n), flow).await;
        users.push(user);
    }
    let members: Vec<Value> = users
        .iter()
        .map(|id| json!({"id": id, "endpoint_type": "user"}))
        .collect();
    for (number, strategy) in [("200", "simultaneous"), ("201", "single")] {
        let group =
            json!({"endpoints": members, "strategy": strategy, "timeout": 15, "repeats": 2});
        world
            .callflow(number, node("ring_group", &group, Value::Null))
            .await;
    }
    let tone = json!({"id": "tone_stream://%(400,200,440);loops=20"});
    world
        .callflow(
            "300",
            node("answer", &json!({}), node("play", &tone, Value::Null)),
        )
        .await;
    let keys = json!({"max_digits": 3, "timeout": 5000});
    world
        .callflow(
            "301",
            node(
                "collect_dtmf",
                &keys,
                node("sleep", &json!({"duration": 5}), Value::Null),
            ),
        )
        .await;
    world
        .callflow(
            "302",
            node(
                "sleep",
                &json!({"duration": 8}),
                node("user", &json!({"id": users[0]}), Value::Null),
            ),
        )
        .await;
    world
        .callflow(
            "303",
            node(
                "response",
                &json!({"code": 486, "message": "No"}),
                Value::Null,
            ),
        )
        .await;
    world
        .callflow(
            "400",
            node(
                "pivot",
                &json!({"voice_url": "http://web.test/flow"}),
                Value::Null,
            ),
        )
        .await;
    let dead = json!({});
    world
        .callflow("401", node("dead_air", &dead, Value::Null))
        .await;
    world
        .callflow(
            "+14155550100",
            node("user", &json!({"id": users[1]}), Value::Null),
        )
        .await;
    world.web.json(&node(
        "answer",
        &json!({}),
        node("sleep", &json!({"duration": 3}), Value::Null),
    ));
    let trunk = json!({"name": "carrier", "rules": ["^\\+?\\d{3,}$"],
        "gateways": [{"server": "10.0.9.1", "inbound_ips": ["10.0.9.1"], "progress_timeout": "5"}]});
    world.put(Kind::Trunk, trunk).await;
}

/// Call-IDs of all records.
async fn recorded(world: &World) -> Vec<String> {
    let all = TimeRange {
        from: UnixMicros(0),
        to: UnixMicros(u64::MAX / 2),
        ascending: true,
        limit: usize::MAX,
        start: None,
    };
    let cdrs = world.journal.cdrs(ACCOUNT, all).await.unwrap();
    cdrs.into_iter().map(|stored| stored.cdr.call_id).collect()
}

/// Everybody ends what he does; then nothing may be left.
async fn come_to_rest(world: &World, shared: &Shared, seed: u64) {
    world.net.set_link(Link::default());
    shared.calm.set(true);
    // A call both of whose telephones have forgotten it ends with its session, after 1800 s at most.
    let most = tokio::time::Instant::now() + 2000 * SECOND;
    while world.core.legs() > 0 && tokio::time::Instant::now() < most {
        tokio::time::sleep(10 * SECOND).await;
    }
    world.at_rest().await;
    let records = recorded(world).await;
    let once: BTreeSet<&String> = records.iter().collect();
    assert_eq!(
        once.len(),
        records.len(),
        "seed {seed}: a leg has two records"
    );
    for call_id in shared.confirmed.borrow().iter() {
        assert!(
            once.contains(call_id),
            "seed {seed}: {call_id} was answered and has no record"
        );
    }
    shared.calm.set(false);
}

fn weather(rng: &mut Rng) -> Link {
    match rng.below(4) {
        0 => Link::default(),
        1 => Link {
            delay: Duration::from_millis(40),
            jitter: Duration::from_millis(80),
            ..Link::default()
        },
        2 => Link {
            loss: 0.15,
            delay: Duration::from_millis(20),
            ..Link::default()
        },
        _ => Link {
            loss: 0.05,
            duplicates: 0.1,
            delay: Duration::from_millis(10),
            jitter: Duration::from_millis(300),
        },
    }
}

/// Watches that no port of ours speaks to two telephones within a second: each belongs to one call at a time.
fn watch_ports(world: &World, seed: u64) -> JoinHandle<()> {
    let rtp = world.rtp.clone();
    tokio::task::spawn_local(async move {
        let mut spoke: BTreeMap<SocketAddr, (SocketAddr, tokio::time::Instant)> = BTreeMap::new();
        loop {
            let now = tokio::time::Instant::now();
            for packet in rtp.borrow_mut().arrived() {
                if let Some((to, at)) = spoke.insert(packet.from, (packet.to, now)) {
                    let another = to != packet.to && now < at + SECOND;
                    assert!(
                        !another,
                        "seed {seed}: {} spoke to {to} and {}",
                        packet.from, packet.to
                    );
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
}

async fn traffic(world: World, seed: u64, length: Duration) {
    office(&world).await;
    let mut rng = Rng::seeded(seed ^ 0x7aff);
    let shared = Rc::new(Shared::default());
    let mut agents = Vec::new();
    for n in 0..7_u8 {
        let name = (n < 6).then(|| NAMES[usize::from(n) % 3]);
        let address = if n < 6 {
            format!("10.0.2.{}:5060", n + 1)
        } else {
            "10.0.9.1:5060".to_owned()
        };
        agents.push(Agent::start(
            world.phone_at(&address),
            name,
            &shared,
            rng.fork(),
        ));
    }
    let mut world = world;
    let mut watch = watch_ports(&world, seed);
    let end = tokio::time::Instant::now() + length;
    let mut rounds = 0;
    while tokio::time::Instant::now() < end {
        let calm_at =
            tokio::time::Instant::now() + Duration::from_secs(60 + rng.below(600)).min(length);
        while tokio::time::Instant::now() < calm_at {
            world.net.set_link(weather(&mut rng));
            tokio::time::sleep(Duration::from_secs(5 + rng.below(30))).await;
        }
        rounds += 1;
        if rounds % 2 == 0 {
            // The power fails in the middle of everything.
            *shared.done.borrow_mut().entry("power failed").or_default() += 1;
            let settings = Settings::default();
            assert!(!watch.is_finished(), "seed {seed}: a port was used twice");
            watch.abort();
            world = world.restart(seed + rounds, settings, flows()).await;
            watch = watch_ports(&world, seed);
        }
        come_to_rest(&world, &shared, seed).await;
    }
    // Bindings end by themselves.
    shared.calm.set(true);
    tokio::time::sleep(700 * SECOND).await;
    assert_eq!(world.core.registrar().count(), 0, "seed {seed}");
    world.at_rest().await;
    assert!(
        agents.iter().all(|agent| !agent.is_finished()),
        "seed {seed}: an agent has given up"
    );
    assert!(!watch.is_finished(), "seed {seed}: a port was used twice");
    println!("seed {seed}: {:?}", shared.done.borrow());
}

/// What was logged as an error: nothing a peer does may be one, and no script may panic.
#[derive(Clone, Default)]
struct Errors(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Errors {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::ERROR
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        self.0.lock().unwrap().push(format!("{event:?}"));
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn hours_of_random_traffic_leave_nothing_behind() {
    let soak = std::env::var("SWIVEL_TEST_TIER").is_ok_and(|tier| tier == "soak");
    let seconds = setting("SWIVEL_TRAFFIC_SECONDS").unwrap_or(if soak { 4 * 3600 } else { 240 });
    let seeds = match setting("SWIVEL_TRAFFIC_SEED") {
        Some(seed) => seed..seed + 1,
        None if soak => 1..3,
        None => 1..6,
    };
    for seed in seeds {
        println!("seed {seed}, {seconds} s of traffic");
        let errors = Errors::default();
        tracing::subscriber::with_default(errors.clone(), || {
            world_with(seed, Settings::default(), flows(), |world| {
                traffic(world, seed, Duration::from_secs(seconds))
            });
        });
        let errors = errors.0.lock().unwrap();
        assert!(errors.is_empty(), "seed {seed}: {errors:#?}");
    }
}
