//! Calls nobody has dialled: a party is rung, and goes on with a flow or with another party; and the URLs that cause
//! them (api.md §3.7, decision 20).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::Request;
use serde_json::{Map, Value, json};
use swivel::api::{Api, HttpConfig, Parts};
use swivel::base::rng::Rng;
use swivel::call::channels::Channels;
use swivel::call::{NoCall, Originate, Originated, Party, ShownAs};
use swivel::callflow;
use swivel::directory::Kind;
use tokio::sync::oneshot;
use tower::ServiceExt as _;

use crate::world::phone::{Phone, header};
use crate::world::{ACCOUNT, World, world_of};

const SECOND: Duration = Duration::from_secs(1);
const CONTACT: &str = "+12223334444";

/// A world whose account has a carrier and an extension `1` that answers and stays.
fn office<F: Future<Output = ()>>(test: impl FnOnce(World, Phone) -> F) {
    world_of(1, callflow::script(), |world| async move {
        let carrier = world.phone_at("10.0.9.1:5060");
        let trunk = json!({"name": "carrier", "rules": ["^\\+?\\d{7,}$"], "gateways": [{"server": "10.0.9.1", "prefix": "77*"}]});
        world.put(Kind::Trunk, trunk).await;
        let stays = json!({"module": "answer", "data": {}, "children": {"_":
            {"module": "sleep", "data": {"duration": 600}, "children": {}}}});
        world.callflow("1", stays).await;
        test(world, carrier).await;
    });
}

fn wanted(world: &World, first: Party, then: Party) -> (Originate, oneshot::Receiver<Originated>) {
    let (outcome, told) = oneshot::channel();
    let wanted = Originate {
        account: world.directory.account(ACCOUNT).unwrap(),
        call_id: "c2c-test-1".into(),
        first,
        then,
        authorizing_id: "c2c".into(),
        authorizing_type: "clicktocall",
        owner_id: None,
        caller_id: ShownAs {
            name: Some("Acme".into()),
            number: Some("+14155550100".into()),
        },
        then_caller_id: ShownAs::default(),
        as_answerer: false,
        timeout: 30 * SECOND,
        headers: vec![
            ("X-Campaign".into(), "7".into()),
            ("Via".into(), "no".into()),
        ],
        ringback: None,
        hold_music: None,
        application_vars: Map::from_iter([("order".to_owned(), json!("42"))]),
        outcome,
        keeps_id: false,
        stages: None,
    };
    (wanted, told)
}

fn number(number: &str) -> Party {
    Party::Number(number.to_owned())
}

#[test]
fn who_answers_goes_on_with_the_flow_and_the_seed_lasts_as_long() {
    office(|world, carrier| async move {
        let (wanted, told) = wanted(&world, number(CONTACT), number("1"));
        world.core.originate(wanted).unwrap();
        let incoming = carrier.called(SECOND).await;
        assert!(
            incoming
                .invite
                .starts_with("INVITE sip:77*+12223334444@10.0.9.1 "),
            "{}",
            incoming.invite
        );
        assert!(
            header(&incoming.invite, "From").starts_with("\"Acme\" <sip:+14155550100@"),
            "{}",
            incoming.invite
        );
        assert_eq!(header(&incoming.invite, "X-Campaign"), "7");
        assert_ne!(header(&incoming.invite, "Via"), "no");
        incoming.ring();
        incoming.answer().await;
        let leg = header(&incoming.invite, "Call-ID").to_owned();
        assert_eq!(
            told.await.unwrap(),
            Originated::Answered {
                call_id: leg.clone()
            }
        );
        tokio::time::sleep(10 * SECOND).await;
        assert_eq!((world.core.calls(), world.core.legs()), (1, 2));
        assert_eq!(world.modules(), ["resources", "answer", "sleep"]);
        incoming.hang_up().await;
        world.at_rest().await;
        let cdrs = world.cdrs().await;
        assert_eq!(cdrs.len(), 2);
        let seed = cdrs.iter().find(|cdr| cdr.call_id == "c2c-test-1").unwrap();
        let reached = cdrs.iter().find(|cdr| cdr.call_id == leg).unwrap();
        assert_eq!(seed.interaction_id, reached.interaction_id);
        assert_eq!(seed.other_leg_call_id, leg);
        assert_eq!(seed.authorizing_type, "clicktocall");
        assert_eq!(
            (&*seed.hangup_cause, &*reached.hangup_cause),
            ("NORMAL_CLEARING", "NORMAL_CLEARING")
        );
        assert!(seed.answered.is_some() && seed.billing_seconds() >= 10);
        assert_eq!(reached.custom_application_vars["order"], "42");
    });
}

#[test]
fn the_second_party_is_called_by_the_first() {
    office(|world, carrier| async move {
        let (wanted, told) = wanted(&world, number(CONTACT), number("+14155550188"));
        world.core.originate(wanted).unwrap();
        let first = carrier.called(SECOND).await;
        first.answer().await;
        assert!(matches!(told.await.unwrap(), Originated::Answered { .. }));
        let second = carrier.called_on(5002, SECOND).await;
        assert!(
            second.invite.contains("sip:77*+14155550188@10.0.9.1"),
            "{}",
            second.invite
        );
        second.ring();
        second.answer().await;
        tokio::time::sleep(SECOND).await;
        first.hang_up().await;
        second.wait_for_bye(SECOND).await;
        world.at_rest().await;
        assert_eq!(world.cdrs().await.len(), 3);
    });
}

#[test]
fn who_refuses_or_does_not_answer_is_told() {
    office(|world, carrier| async move {
        let (busy, told) = wanted(&world, number(CONTACT), number("1"));
        world.core.originate(busy).unwrap();
        carrier.called(SECOND).await.refuse("486 Busy Here").await;
        let failed = Originated::Failed {
            cause: "USER_BUSY",
            status: 486,
        };
        assert_eq!(told.await.unwrap(), failed);
        let (silent, told) = wanted(&world, number(CONTACT), number("1"));
        world.core.originate(silent).unwrap();
        let incoming = carrier.called_on(5002, SECOND).await;
        incoming.ring();
        incoming.cancelled(31 * SECOND).await;
        assert!(matches!(
            told.await.unwrap(),
            Originated::Failed {
                cause: "NO_ANSWER",
                ..
            }
        ));
        assert_eq!(world.modules(), ["resources", "resources"]);
        world.at_rest().await;
    });
}

#[test]
fn hanging_the_seed_up_ends_whom_it_has_reached() {
    office(|world, carrier| async move {
        let (first, _told) = wanted(&world, number(CONTACT), number("1"));
        world.core.originate(first).unwrap();
        let incoming = carrier.called(SECOND).await;
        incoming.ring();
        assert!(world.core.hang_up(ACCOUNT, "c2c-test-1"));
        incoming.cancelled(SECOND).await;
        let (second, _told) = wanted(&world, number(CONTACT), number("1"));
        world.core.originate(second).unwrap();
        let incoming = carrier.called_on(5002, SECOND).await;
        incoming.answer().await;
        tokio::time::sleep(SECOND).await;
        assert!(world.core.hang_up(ACCOUNT, "c2c-test-1"));
        incoming.wait_for_bye(SECOND).await;
        world.at_rest().await;
    });
}

#[test]
fn nobody_is_rung_when_there_is_nothing_to_connect_him_with() {
    office(|world, carrier| async move {
        let (nothing, told) = wanted(&world, number(CONTACT), number("2"));
        assert_eq!(
            world.core.originate(nothing),
            Err(NoCall::NoRoute("2".into()))
        );
        assert!(told.await.is_err());
        world.core.drain();
        let (late, _told) = wanted(&world, number(CONTACT), number("1"));
        assert_eq!(world.core.originate(late), Err(NoCall::Draining));
        assert!(carrier.waiting().is_empty());
        world.at_rest().await;
    });
}

/// The API of a world, without a listener.
async fn api(world: &World) -> Router {
    let api = Api::new(Parts {
        directory: world.directory.clone(),
        journal: world.journal.clone(),
        registrations: swivel::registrar::Remote::pair().0,
        config: HttpConfig::default(),
        guard: Arc::new(|_| Ok(())),
        metrics: Arc::new(String::new),
        rng: Rng::seeded(5),
    });
    let api = api.await.unwrap();
    let (channels, asks) = Channels::pair();
    api.set_channels(channels);
    tokio::task::spawn_local(asks.serve(world.core.clone()));
    api.router()
}

async fn get(router: &Router, path: &str) -> (u16, Value) {
    let mut request = Request::builder().uri(path).body(Body::empty()).unwrap();
    let from = SocketAddr::from(([192, 0, 2, 1], 5000));
    request.extensions_mut().insert(ConnectInfo(from));
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

#[test]
fn a_url_rings_the_contact_and_keeps_a_history() {
    office(|world, carrier| async move {
        let doc = json!({"name": "call_1", "auth_required": false, "extension": "1", "caller_id_number": "+14155550100",
                         "whitelist": ["^\\+1"], "custom_sip_headers": {"X-Own": "yes"}, "timeout": 10});
        let id = world.put(Kind::ClickToCall, doc).await;
        let router = api(&world).await;
        let path = format!("/v2/accounts/{ACCOUNT}/clicktocall/{id}");
        let (status, said) = get(
            &router,
            &format!("{path}/connect?contact=12223334444&campaign=7"),
        )
        .await;
        assert_eq!(status, 202, "{said}");
        assert_eq!(said["status"], "success");
        let call_id = said["data"]["call_id"].as_str().unwrap().to_owned();
        assert!(call_id.starts_with(&format!("c2c-{id}-")), "{call_id}");
        assert_eq!(said["data"]["custom_application_vars"]["campaign"], "7");
        let incoming = carrier.called(SECOND).await;
        assert_eq!(header(&incoming.invite, "X-Own"), "yes");
        assert!(
            header(&incoming.invite, "From").contains("+14155550100"),
            "{}",
            incoming.invite
        );
        incoming.answer().await;
        tokio::time::sleep(2 * SECOND).await;
        incoming.hang_up().await;
        world.at_rest().await;
        let refused = [
            ("connect", "required"),
            ("connect?contact=%2B493012345", "forbidden"),
        ];
        for (query, rule) in refused {
            let (status, said) = get(&router, &format!("{path}/{query}")).await;
            assert_eq!(
                (status, said["data"]["contact"][rule].is_object()),
                (400, true),
                "{said}"
            );
        }
        for closed in [
            path.clone(),
            format!("{path}/history"),
            path.replace(&id, "nobody") + "/connect?contact=1",
        ] {
            assert_eq!(get(&router, &closed).await.0, 401, "{closed}");
        }
    });
}

#[test]
fn a_url_that_waits_says_how_it_went() {
    office(|world, carrier| async move {
        let doc =
            json!({"name": "call_1", "auth_required": false, "extension": "1", "throttle": 2});
        let id = world.put(Kind::ClickToCall, doc).await;
        let router = api(&world).await;
        let path = format!(
            "/v2/accounts/{ACCOUNT}/clicktocall/{id}/connect?contact=12223334444&blocking=true"
        );
        let asks = get(&router, &path);
        let refuses = async { carrier.called(SECOND).await.refuse("486 Busy Here").await };
        let ((status, said), ()) = tokio::join!(asks, refuses);
        assert_eq!(status, 200, "{said}");
        assert_eq!(
            (&said["data"]["result"], &said["data"]["cause"]),
            (&json!("error"), &json!("USER_BUSY"))
        );
        let answers = async { carrier.called_on(5002, SECOND).await };
        let (again, incoming) = tokio::join!(get(&router, &path), async {
            let incoming = answers.await;
            incoming.answer().await;
            incoming
        });
        assert_eq!(again.1["data"]["result"], "success", "{again:?}");
        assert_eq!(get(&router, &path).await.0, 429, "two a minute");
        incoming.hang_up().await;
        world.at_rest().await;
    });
}

#[test]
fn a_quickcall_rings_the_device_which_then_calls_the_number() {
    office(|world, carrier| async move {
        let device = json!({"name": "desk", "allow_anonymous_quickcalls": true,
                            "sip": {"invite_format": "route", "route": "sip:desk@10.0.2.1"},
                            "caller_id": {"external": {"number": "+14155550100", "name": "Acme"}}});
        let id = world.put(Kind::Device, device).await;
        let desk = world.phone_at("10.0.2.1:5060");
        let router = api(&world).await;
        let path = format!(
            "/v2/accounts/{ACCOUNT}/devices/{id}/quickcall/(415)%20555-0199?number_filter=true"
        );
        let (status, said) = get(&router, &path).await;
        assert_eq!(status, 202, "{said}");
        assert_eq!(said["data"]["application_data"]["route"], "4155550199");
        let first = desk.called(SECOND).await;
        assert!(
            header(&first.invite, "Call-Info").contains("answer-after=0"),
            "{}",
            first.invite
        );
        first.ring();
        first.answer().await;
        let second = carrier.called_on(5002, SECOND).await;
        assert!(second.invite.contains("sip:77*+14155550199@10.0.9.1"));
        let from = header(&second.invite, "From");
        assert!(
            from.contains("+14155550100"),
            "the device shows its own: {from}"
        );
        assert!(header(&second.invite, "Call-Info").is_empty());
        second.answer().await;
        tokio::time::sleep(SECOND).await;
        second.hang_up().await;
        first.wait_for_bye(SECOND).await;
        world.at_rest().await;
        let cdrs = world.cdrs().await;
        let reached = cdrs
            .iter()
            .find(|cdr| cdr.authorizing_id == id && cdr.direction == "outbound");
        assert!(reached.is_some(), "{cdrs:#?}");
    });
}
