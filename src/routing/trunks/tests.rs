//! Which gateways are chosen, and what goes out (`api.md` §4.1-4.5, §6.1).

use serde_json::{Value, json};

use super::*;
use crate::directory::Kind;

fn account(trunks: &[(&str, Value)]) -> Account {
    with(json!({"realm": "acme.test"}), trunks)
}

fn with(doc: Value, trunks: &[(&str, Value)]) -> Account {
    let device = json!({"name": "d", "caller_id": {
        "external": {"number": "+14155550100", "name": "Acme"}, "emergency": {"number": "+14155550911"}}});
    let trunks = trunks
        .iter()
        .map(|(id, doc)| (Kind::Trunk, (*id).to_owned(), doc.clone()));
    Account::of(
        "acc",
        trunks.chain([
            (Kind::Account, String::new(), doc),
            (Kind::Device, "d".into(), device),
        ]),
    )
}

fn origin() -> Origin {
    Origin {
        authorizing_id: "d".into(),
        number: "d".into(),
        ..Origin::default()
    }
}

fn dial<'a>(account: &'a Account, origin: &'a Origin, number: &str) -> Dial<'a> {
    Dial {
        account,
        carriers: account,
        origin,
        number: number.into(),
        flags: Vec::new(),
        caller_id: IdKind::External,
        shown: None,
        format_from_uri: false,
        from_uri_realm: None,
        headers: Vec::new(),
    }
}

fn targets(account: &Account, number: &str) -> Result<Vec<Target>, NotDialled> {
    let origin = origin();
    let found = hunt(&dial(account, &origin, number), &mut Rng::seeded(1))?;
    Ok(found.into_iter().map(|attempt| attempt.target).collect())
}

fn uris(account: &Account, number: &str) -> Result<Vec<String>, NotDialled> {
    Ok(targets(account, number)?
        .into_iter()
        .map(|target| uri_of(&target))
        .collect())
}

fn uri_of(target: &Target) -> String {
    match &target.place {
        Place::Uri { uri, .. } => uri.clone(),
        other => panic!("{other:?}"),
    }
}

fn simple(server: &str, more: Value) -> Value {
    let mut doc =
        json!({"name": server, "rules": ["^\\+?\\d{3,}$"], "gateways": [{"server": server}]});
    doc.as_object_mut()
        .unwrap()
        .extend(more.as_object().cloned().unwrap());
    doc
}

/// The body of KAZOO's how-to, its placeholders filled.
pub(crate) fn flowroute() -> Value {
    json!({
        "name": "flowroute", "format_from_uri": true, "rules": [".{7,}"], "flags": ["Use_Flowroute"],
        "formatters": {
            "from": [{"regex": "\\+?1?(\\d{10})$", "direction": "outbound"}],
            "diversion": [{"match_invite_format": true, "direction": "outbound"}],
            "outbound_caller_id_number": [{"value": "14155550123"}],
            "outbound_caller_id_name": [{"value": "Acme Sales"}]
        },
        "gateways": [{
            "caller_id_type": "external", "channel_selection": "ascending", "codecs": ["PCMU", "PCMA", "OPUS"],
            "custom_sip_headers": {}, "emergency": false, "enabled": true, "endpoint_type": "sip",
            "format_from_uri": true, "invite_format": "route", "password": "sesame-1234", "prefix": "12345678*",
            "progress_timeout": "30", "realm": "us-east-nj.sip.flowroute.com", "server": "us-east-nj.sip.flowroute.com",
            "skype_rr": false, "suffix": "", "username": "12345678"
        }]
    })
}

#[test]
fn the_document_of_kazoos_how_to_dials_as_it_says() {
    let account = account(&[("f", flowroute())]);
    let found = targets(&account, "+12223334444").unwrap();
    let [target] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(
        uri_of(target),
        "sip:12345678*+12223334444@us-east-nj.sip.flowroute.com"
    );
    assert_eq!(target.caller_id_number.as_deref(), Some("14155550123"));
    assert_eq!(target.caller_id_name.as_deref(), Some("Acme Sales"));
    assert_eq!(
        target.from_host.as_deref(),
        Some("us-east-nj.sip.flowroute.com")
    );
    assert_eq!(target.codecs, ["PCMU", "PCMA", "opus"]);
    assert_eq!(target.progress_timeout.unwrap().as_secs(), 30);
    let (user, password, realm) = target.credentials.clone().unwrap();
    assert_eq!(
        (user.as_str(), password.reveal(), realm.as_deref()),
        (
            "12345678",
            "sesame-1234",
            Some("us-east-nj.sip.flowroute.com")
        )
    );
    assert_eq!(
        targets(&account, "123456").unwrap_err(),
        NotDialled::NoTrunk,
        "fewer than seven digits"
    );
}

#[test]
fn lighter_trunks_are_tried_first_and_equals_in_their_order() {
    let weight = |n: u8| json!({"weight_cost": n});
    let account = account(&[
        ("a", simple("a", weight(50))),
        ("b", simple("b", weight(10))),
        ("c", simple("c", weight(50))),
    ]);
    assert_eq!(
        uris(&account, "+14155550199").unwrap(),
        [
            "sip:+14155550199@b",
            "sip:+14155550199@a",
            "sip:+14155550199@c"
        ]
    );
}

#[test]
fn what_is_disabled_is_not_tried() {
    let off = simple("a", json!({"enabled": false}));
    let gateways = simple(
        "b",
        json!({"gateways": [{"server": "b1", "enabled": false}, {"server": "b2"}]}),
    );
    let account = account(&[("a", off), ("b", gateways)]);
    assert_eq!(
        uris(&account, "+14155550199").unwrap(),
        ["sip:+14155550199@b2"]
    );
}

#[test]
fn flags_of_a_call_are_all_asked_for() {
    let account = account(&[
        ("a", simple("a", json!({"flags": ["x", "y"]}))),
        (
            "b",
            simple("b", json!({"flags": ["x"], "require_flags": true})),
        ),
        ("c", simple("c", json!({"ignore_flags": true}))),
        ("d", simple("d", json!({}))),
    ]);
    let origin = origin();
    let with = |flags: &[&str]| {
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let wanted = Dial {
            flags,
            ..dial(&account, &origin, "+14155550199")
        };
        let found = hunt(&wanted, &mut Rng::seeded(1)).unwrap();
        found
            .into_iter()
            .map(|attempt| attempt.target.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        with(&[]),
        ["a", "c", "d"],
        "without flags only those that require them are left out"
    );
    assert_eq!(with(&["x"]), ["a", "b", "c"]);
    assert_eq!(with(&["x", "y"]), ["a", "c"]);
}

#[test]
fn the_last_rule_that_matches_says_what_is_dialled() {
    let trunk = simple(
        "a",
        json!({"rules": ["^\\+1(\\d{10})$", "^\\+1(\\d{3})(5\\d{6})$", "never"]}),
    );
    let account = account(&[("a", trunk)]);
    assert_eq!(
        uris(&account, "+14155550199").unwrap(),
        ["sip:5550199@a"],
        "the longest group"
    );
    assert_eq!(
        uris(&account, "+14154440199").unwrap(),
        ["sip:4154440199@a"]
    );
}

#[test]
fn classes_of_numbers_take_the_place_of_rules() {
    let classifiers = json!({
        "did_us": {"prefix": "9", "weight_cost": 20},
        "emergency": {"emergency": true},
        "tollfree_us": {"enabled": false}
    });
    let classed = simple("a", json!({"rules": [], "classifiers": classifiers}));
    let account = account(&[("a", classed), ("b", simple("b", json!({})))]);
    assert_eq!(
        uris(&account, "+14155550199").unwrap(),
        ["sip:9+14155550199@a"]
    );
    assert_eq!(
        uris(&account, "+18005550199").unwrap_err(),
        NotDialled::NoTrunk,
        "switched off for this class"
    );
    assert_eq!(uris(&account, "411").unwrap(), ["sip:411@b"]);
}

#[test]
fn emergency_calls_show_the_emergency_identity_and_reach_emergency_trunks() {
    let account = account(&[(
        "a",
        simple("a", json!({"rules": ["^\\+"], "emergency": true})),
    )]);
    let found = targets(&account, "911").unwrap();
    assert_eq!(uri_of(&found[0]), "sip:911@a");
    assert_eq!(found[0].caller_id_number.as_deref(), Some("+14155550911"));
    let usual = targets(&account, "+14155550199").unwrap();
    assert_eq!(
        usual[0].caller_id_number.as_deref(),
        Some("+14155550911"),
        "as the trunk is for emergencies"
    );
}

#[test]
fn callers_can_be_asked_for_by_number() {
    let account = account(&[
        ("a", simple("a", json!({"cid_rules": ["^\\+1415"]}))),
        ("b", simple("b", json!({"cid_rules": ["^\\+1212"]}))),
    ]);
    assert_eq!(
        uris(&account, "+14155550199").unwrap(),
        ["sip:+14155550199@a"]
    );
}

#[test]
fn a_short_number_gets_the_callers_leading_digits() {
    let account = account(&[("a", simple("a", json!({"rules": ["^\\+1\\d{10}$"]})))]);
    assert_eq!(uris(&account, "5550199").unwrap(), ["sip:+14155550199@a"]);
    assert_eq!(uris(&account, "99").unwrap_err(), NotDialled::NoTrunk);
}

#[test]
fn numbers_are_written_as_the_gateway_wants_them() {
    let write = |gateway: Value| {
        let account = account(&[("a", simple("a", json!({"gateways": [gateway]})))]);
        uris(&account, "+14155550199").unwrap().remove(0)
    };
    for (format, user) in [
        ("route", "+14155550199"),
        ("e164", "+14155550199"),
        ("npan", "4155550199"),
        ("1npan", "14155550199"),
        ("strip_plus", "14155550199"),
        ("username", "acme"),
    ] {
        let gateway = json!({"server": "h.test", "port": "5080", "invite_format": format, "username": "acme", "prefix": "#", "suffix": "*1"});
        assert_eq!(write(gateway), format!("sip:%23{user}*1@h.test:5080"));
    }
    assert_eq!(
        write(json!({"server": "h", "port": 5060, "transport": "TLS"})),
        "sip:+14155550199@h;transport=tls"
    );
    assert_eq!(
        write(json!({"server": "2001:db8::1"})),
        "sip:+14155550199@[2001:db8::1]"
    );
    assert_eq!(
        write(json!({"server": "h", "route": "sip:fixed@x"})),
        "sip:fixed@x"
    );
    let parameters =
        json!({"server": "h", "invite_parameters": {"static": ["tgrp=1", "bad\r\nX: y"]}});
    assert_eq!(write(parameters), "sip:+14155550199@h;tgrp=1");
}

#[test]
fn from_is_made_of_the_number_and_a_realm_by_precedence() {
    let from = |more: Value, gateway: Value| {
        let mut doc = simple("h", more);
        doc["gateways"][0]
            .as_object_mut()
            .unwrap()
            .extend(gateway.as_object().cloned().unwrap());
        targets(&account(&[("a", doc)]), "+14155550199")
            .unwrap()
            .remove(0)
            .from_host
    };
    let some = |text: &str| Some(text.to_owned());
    let on = json!({"format_from_uri": true});
    assert_eq!(from(json!({}), json!({})), None);
    assert_eq!(from(json!({}), json!({"realm": "r"})), some("r"));
    assert_eq!(from(on.clone(), json!({})), some("h"));
    assert_eq!(from(on.clone(), json!({"realm": "r"})), some("r"));
    assert_eq!(
        from(
            json!({"format_from_uri": true, "from_account_realm": true}),
            json!({"realm": "r"})
        ),
        some("acme.test")
    );
    assert_eq!(
        from(
            json!({"format_from_uri": true, "from_uri_realm": "x", "from_account_realm": true}),
            json!({})
        ),
        some("x")
    );
}

#[test]
fn a_hidden_caller_is_asserted_to_the_carrier_and_shown_to_nobody() {
    let device = json!({"caller_id_options": {"outbound_privacy": "full"}, "realm": "acme.test"});
    let account = with(device, &[("a", simple("a", json!({})))]);
    let target = targets(&account, "+14155550199").unwrap().remove(0);
    assert_eq!(
        (target.privacy, target.asserted_identity),
        (Some("id"), true)
    );
    assert_eq!(
        target.caller_id_name.as_deref(),
        Some(""),
        "not even the one the phone sent"
    );
    assert_eq!(
        target.caller_id_number.as_deref(),
        Some("+14155550100"),
        "what is asserted"
    );
}

#[test]
fn a_configured_asserted_identity_is_sent_as_it_is() {
    let doc = json!({"caller_id": {"asserted": {"name": "Main \"line\"", "number": "+14155550000", "realm": "id.test"}}});
    let account = with(doc, &[("a", simple("a", json!({})))]);
    let target = targets(&account, "+14155550199").unwrap().remove(0);
    let asserted = target
        .headers
        .iter()
        .find(|(name, _)| name == "P-Asserted-Identity")
        .unwrap();
    assert_eq!(asserted.1, "\"Main line\" <sip:+14155550000@id.test>");
}

#[test]
fn headers_of_the_call_win_over_the_gateways_and_formatters_rewrite_them() {
    let doc = simple(
        "h",
        json!({
            "formatters": {"x_two": {"regex": "(\\d)$", "prefix": "n"}, "x_three": {"strip": true}, "to_did": {"regex": "(\\d{4})$"}},
            "gateways": [{"server": "h", "custom_sip_headers": {"X-One": "gateway", "X-Two": "12", "X-Three": "3"}}]
        }),
    );
    let account = account(&[("a", doc)]);
    let origin = origin();
    let wanted = Dial {
        headers: vec![("x-one".into(), "call".into())],
        ..dial(&account, &origin, "+14155550199")
    };
    let target = hunt(&wanted, &mut Rng::seeded(1)).unwrap().remove(0).target;
    let headers: Vec<_> = target
        .headers
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(headers, ["x-one=call", "X-Two=n2"]);
    assert_eq!(uri_of(&target), "sip:0199@h");
}

#[test]
fn the_dial_policy_comes_before_every_trunk() {
    let account = account(&[("a", simple("a", json!({"rules": [".*"]})))]);
    for dear in [
        "+972598123456",
        "00972598123456",
        "19005550100",
        "+88212345678",
    ] {
        assert_eq!(
            targets(&account, dear).unwrap_err(),
            NotDialled::Policy,
            "{dear}"
        );
    }
    let allowed = with(
        json!({"dial_policy": {"allow_prefixes": ["+972"]}}),
        &[("a", simple("a", json!({"rules": [".*"]})))],
    );
    assert!(targets(&allowed, "+972598123456").is_ok());
}

#[test]
fn gateways_can_be_tried_in_random_order() {
    let servers: Vec<Value> = (0..5).map(|n| json!({"server": format!("g{n}")})).collect();
    let account = account(&[(
        "a",
        simple(
            "a",
            json!({"gateway_strategy": "random", "gateways": servers}),
        ),
    )]);
    let origin = origin();
    let orders: std::collections::BTreeSet<Vec<String>> = (0..20)
        .map(|seed| {
            let found = hunt(
                &dial(&account, &origin, "+14155550199"),
                &mut Rng::seeded(seed),
            )
            .unwrap();
            assert_eq!(found.len(), 5);
            found
                .iter()
                .map(|attempt| uri_of(&attempt.target))
                .collect()
        })
        .collect();
    assert!(orders.len() > 5, "{}", orders.len());
}
