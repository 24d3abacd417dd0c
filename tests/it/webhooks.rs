//! Webhooks: events of legs reach whoever wants them, in order, and receivers that fail do not hold up calls.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use swivel::base::rng::Rng;
use swivel::callflow;
use swivel::directory::Kind;
use swivel::host::http::HttpClient;
use swivel::jobs::webhooks::{Delivery, JOB, Webhooks, attempts, sign};
use swivel::jobs::{Outbox, Runner};
use swivel::journal::TimeRange;

use crate::world::phone::PhoneCall;
use crate::world::web::{Reply, Web};
use crate::world::{ACCOUNT, World, world_of};

const SECOND: Duration = Duration::from_secs(1);

/// A world with a callflow that answers and hangs up, whose events go to a web of their own.
fn office<F: Future<Output = ()>>(test: impl FnOnce(World, Web) -> F) {
    world_of(1, callflow::script(), |world| async move {
        let web = Web::default();
        let outbox = Outbox::new(world.store.clone(), Rng::seeded(3));
        let webhooks = Webhooks::new(world.directory.clone(), outbox.clone());
        world.core.set_webhooks(webhooks);
        let http = HttpClient::stub(Arc::new(web.clone()));
        let delivery: Arc<dyn Runner> = Arc::new(Delivery::new(world.directory.clone(), http));
        tokio::task::spawn_local(outbox.run(BTreeMap::from([(JOB, delivery)])));
        let flow = json!({"module": "answer", "data": {}, "children": {"_": {"module": "hangup", "data": {}, "children": {}}}});
        world.callflow("600", flow).await;
        test(world, web).await;
    });
}

fn says(web: &Web, status: u16) {
    web.reply(Reply {
        status,
        content_type: "text/plain".into(),
        body: "thanks".into(),
        after: Duration::ZERO,
    });
}

async fn hook(world: &World, more: Value) -> String {
    let mut doc = json!({"name": "h", "hook": "all", "uri": "https://hooks.test/in?k=1", "format": "json", "secret": "s3cret"});
    doc.as_object_mut()
        .unwrap()
        .extend(more.as_object().cloned().unwrap());
    world.put(Kind::Webhook, doc).await
}

async fn call(world: &World) -> PhoneCall {
    let phone = world.phone();
    let call = phone.call("600");
    call.invite("");
    assert!(call.answered(SECOND).await.starts_with("SIP/2.0 200"));
    call.ack("");
    call.wait_for_bye(SECOND).await;
    call
}

fn bodies(web: &Web) -> Vec<Value> {
    let asked = web.asked();
    asked
        .iter()
        .map(|asked| serde_json::from_slice(&asked.body).unwrap())
        .collect()
}

fn events(bodies: &[Value]) -> Vec<&str> {
    bodies
        .iter()
        .map(|body| body["hook_event"].as_str().unwrap())
        .collect()
}

#[test]
fn a_leg_is_told_of_in_order_with_a_signature() {
    office(|world, web| async move {
        says(&web, 200);
        let id = hook(
            &world,
            json!({"custom_data": {"team": "blue", "to": "mine"}}),
        )
        .await;
        call(&world).await;
        world.at_rest().await;
        let bodies = bodies(&web);
        assert_eq!(
            events(&bodies),
            ["channel_create", "channel_answer", "channel_destroy"]
        );
        let last = &bodies[2];
        assert_eq!(
            (&last["team"], &last["to"]),
            (&json!("blue"), &json!("mine"))
        );
        assert_eq!(
            (&last["hangup_cause"], &last["hangup_code"]),
            (&json!("NORMAL_CLEARING"), &json!("sip:200"))
        );
        assert_eq!(
            (&last["account_id"], &last["call_direction"]),
            (&json!(ACCOUNT), &json!("inbound"))
        );
        assert!(last["custom_channel_vars"].get("account_name").is_none());
        assert!(bodies.iter().all(|body| body["call_id"] == last["call_id"]));
        for asked in web.asked() {
            let header = |name: &str| {
                let found = asked
                    .headers
                    .iter()
                    .find(|(key, _)| key.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.clone()).unwrap_or_default()
            };
            assert_eq!(
                (header("x-hook-id"), header("x-account-id")),
                (id.clone(), ACCOUNT.to_owned())
            );
            let signature = header("x-swivel-signature");
            let time = signature
                .strip_prefix("t=")
                .unwrap()
                .split(',')
                .next()
                .unwrap()
                .parse()
                .unwrap();
            assert_eq!(
                signature,
                sign("s3cret", time, std::str::from_utf8(&asked.body).unwrap())
            );
            assert_eq!(asked.url.as_str(), "https://hooks.test/in?k=1");
        }
    });
}

#[test]
fn a_hook_gets_what_it_asks_for_the_way_it_asks() {
    office(|world, web| async move {
        says(&web, 200);
        hook(
            &world,
            json!({"hook": "channel_destroy", "http_verb": "get"}),
        )
        .await;
        hook(&world, json!({"hook": "channel_answer", "enabled": false})).await;
        call(&world).await;
        world.at_rest().await;
        let asked = web.asked();
        assert_eq!(asked.len(), 1);
        let query = asked[0].url.query().unwrap();
        assert!(
            query.starts_with("k=1&") && query.contains("hangup_cause=NORMAL_CLEARING"),
            "{query}"
        );
        assert!(asked[0].body.is_empty());
    });
}

#[test]
fn a_receiver_that_is_down_is_tried_again_and_the_rest_of_the_leg_waits() {
    office(|world, web| async move {
        says(&web, 503);
        says(&web, 200);
        let id = hook(&world, json!({})).await;
        call(&world).await;
        world.at_rest().await;
        let bodies = bodies(&web);
        assert_eq!(
            events(&bodies),
            [
                "channel_create",
                "channel_create",
                "channel_answer",
                "channel_destroy"
            ]
        );
        assert_eq!(bodies[0]["event_id"], bodies[1]["event_id"]);
        assert_ne!(bodies[1]["event_id"], bodies[2]["event_id"]);
        let log = attempts(&world.store, ACCOUNT, &TimeRange::newest(10))
            .await
            .unwrap();
        let results: Vec<_> = log
            .iter()
            .rev()
            .map(|(_, row)| row["result"].as_str().unwrap())
            .collect();
        assert_eq!(results, ["failure", "success", "success", "success"]);
        let first = &log[3].1;
        assert_eq!(
            (&first["resp_status_code"], &first["retries_left"]),
            (&json!(503), &json!(1))
        );
        assert_eq!(first["hook_id"], json!(id));
        assert!(
            !first["req_headers"].to_string().contains("signature"),
            "{first}"
        );
    });
}

#[test]
fn a_receiver_that_keeps_failing_is_disabled_and_never_holds_up_a_call() {
    office(|world, web| async move {
        says(&web, 404);
        let id = hook(&world, json!({})).await;
        call(&world).await;
        call(&world).await;
        call(&world).await;
        world.at_rest().await;
        let asked = web.asked().len();
        assert_eq!(asked, 6, "six failures, then no more");
        let account = world.directory.account(ACCOUNT).unwrap();
        let doc = &account.of_kind(Kind::Webhook)[&id];
        assert_eq!(doc["enabled"], false);
        assert_eq!(doc["disable_reason"], "too many failed attempts");
    });
}

#[test]
fn what_was_not_told_is_told_by_the_next_process() {
    office(|world, web| async move {
        // Nobody answers at all.
        hook(&world, json!({"hook": "channel_destroy", "retries": 4})).await;
        call(&world).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(web.asked().len(), 1);
        let healthy = Web::default();
        says(&healthy, 200);
        let http = HttpClient::stub(Arc::new(healthy.clone()));
        let delivery: Arc<dyn Runner> = Arc::new(Delivery::new(world.directory.clone(), http));
        let outbox = Outbox::new(world.store.clone(), Rng::seeded(4));
        tokio::task::spawn_local(outbox.run(BTreeMap::from([(JOB, delivery)])));
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert!(!healthy.asked().is_empty());
        world.at_rest().await;
    });
}
