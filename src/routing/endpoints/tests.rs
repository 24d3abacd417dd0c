//! Who rings, and how.

use serde_json::{Value, json};

use super::*;
use crate::directory::Kind;

fn office(documents: &[(Kind, &str, Value)]) -> Account {
    let realm = json!({"realm": "acme.test"});
    let all = documents
        .iter()
        .map(|(kind, id, doc)| (*kind, (*id).to_owned(), doc.clone()));
    Account::of("acc", all.chain([(Kind::Account, String::new(), realm)]))
}

fn phone_of(owner: &str, name: &str) -> Value {
    json!({"name": name, "owner_id": owner, "sip": {"username": name, "password": "x"}})
}

/// Ann (101) has two phones, Bob one; the door has none of theirs.
fn people() -> Vec<(Kind, &'static str, Value)> {
    vec![
        (
            Kind::User,
            "ann",
            json!({"first_name": "Ann", "last_name": "A"}),
        ),
        (
            Kind::User,
            "bob",
            json!({"first_name": "Bob", "last_name": "B"}),
        ),
        (Kind::Device, "a1", phone_of("ann", "desk")),
        (Kind::Device, "a2", phone_of("ann", "soft")),
        (Kind::Device, "b1", phone_of("bob", "bobs")),
        (
            Kind::Device,
            "door",
            json!({"name": "door", "sip": {"username": "door"}}),
        ),
    ]
}

fn with(id: &str, more: Value) -> Vec<(Kind, &'static str, Value)> {
    let mut all = people();
    for (_, own, doc) in &mut all {
        if *own == id {
            doc.as_object_mut()
                .unwrap()
                .extend(more.as_object().cloned().unwrap());
        }
    }
    all
}

fn from_bob() -> Origin {
    Origin {
        authorizing_id: "b1".into(),
        owner_id: Some("bob".into()),
        number: "bobs".into(),
        dialled: "+14155550100".into(),
        ..Origin::default()
    }
}

fn ring<T>(account: &Account, options: &Options, how: impl FnOnce(&Ringing<'_>) -> T) -> T {
    how(&Ringing {
        account,
        origin: &from_bob(),
        options,
        now: 1_000,
    })
}

fn ids(found: &Endpoints) -> Vec<&str> {
    found
        .targets
        .iter()
        .map(|target| target.id.as_str())
        .collect()
}

fn rung(documents: &[(Kind, &str, Value)], user: &str) -> Result<Vec<String>, NotRung> {
    let account = office(documents);
    let found = ring(&account, &Options::default(), |ringing| {
        of_user(ringing, user)
    })?;
    Ok(found
        .targets
        .iter()
        .map(|target| match &target.place {
            Place::Registered { username, realm } => format!("{username}@{realm}"),
            Place::Uri { uri, .. } => uri.clone(),
            Place::Number(number) => number.clone(),
        })
        .collect())
}

#[test]
fn a_user_is_rung_at_every_device_he_owns() {
    assert_eq!(
        rung(&people(), "ann").unwrap(),
        ["desk@acme.test", "soft@acme.test"]
    );
}

#[test]
fn a_user_is_rung_where_he_is_logged_in() {
    let desk = with("door", json!({"hotdesk": {"users": {"ann": {}}}}));
    assert_eq!(rung(&desk, "ann").unwrap().len(), 3);
    let away = with("a1", json!({"hotdesk": {"users": {"bob": {}}}}));
    assert_eq!(
        rung(&away, "ann").unwrap(),
        ["soft@acme.test"],
        "somebody else sits at his desk"
    );
}

#[test]
fn nobody_calls_himself_unless_it_is_asked_for() {
    let account = office(&people());
    let none = Options::default();
    assert_eq!(
        ring(&account, &none, |r| of_device(r, "b1")).unwrap_err(),
        NotRung::CalledSelf
    );
    assert_eq!(
        ring(&account, &none, |r| of_user(r, "bob")).unwrap_err(),
        NotRung::OwnerCalledSelf
    );
    let own = office(&with("a1", json!({"owner_id": "bob"})));
    assert_eq!(
        ring(&own, &none, |r| of_device(r, "a1")).unwrap_err(),
        NotRung::OwnerCalledSelf
    );
    let may = Options {
        can_call_self: true,
        ..Options::default()
    };
    assert_eq!(
        ids(&ring(&account, &may, |r| of_user(r, "bob")).unwrap()),
        ["b1"]
    );
}

#[test]
fn what_is_disabled_or_not_to_be_disturbed_does_not_ring() {
    let off = json!({"enabled": false});
    assert_eq!(
        rung(&with("a1", off.clone()), "ann").unwrap(),
        ["soft@acme.test"]
    );
    assert_eq!(
        rung(&with("ann", off), "ann").unwrap_err(),
        NotRung::Disabled
    );
    let dnd = json!({"do_not_disturb": {"enabled": true}, "call_forward": {"enabled": true, "number": "5"}});
    assert_eq!(
        rung(&with("ann", dnd), "ann").unwrap_err(),
        NotRung::DoNotDisturb
    );
    assert_eq!(rung(&people(), "nobody").unwrap_err(), NotRung::NoEndpoints);
}

#[test]
fn a_forward_rings_once_in_place_of_the_phones_or_beside_them() {
    let forward = |substitute: bool| json!({"call_forward": {"enabled": true, "number": "4155550199", "substitute": substitute}});
    assert_eq!(
        rung(&with("ann", forward(true)), "ann").unwrap(),
        ["4155550199"]
    );
    let both = rung(&with("ann", forward(false)), "ann").unwrap();
    assert_eq!(both, ["4155550199", "desk@acme.test", "soft@acme.test"]);
}

#[test]
fn a_user_without_devices_can_be_forwarded() {
    let mut all = people();
    all.push((
        Kind::User,
        "eve",
        json!({"call_forward": {"enabled": true, "number": "5"}}),
    ));
    assert_eq!(rung(&all, "eve").unwrap(), ["5"]);
}

#[test]
fn a_forward_says_how_it_is_to_be_treated() {
    let forward = json!({"call_forward": {"enabled": true, "number": "5", "keep_caller_id": false, "ignore_early_media": false},
                         "caller_id": {"external": {"number": "+14155550111"}}});
    let account = office(&with("ann", forward));
    let found = ring(&account, &Options::default(), |r| of_device(r, "a1")).unwrap();
    let target = &found.targets[0];
    assert!(
        target.confirm && target.ignore_early_media,
        "a key press is asked for"
    );
    assert_eq!(
        target.caller_id_number.as_deref(),
        Some("+14155550111"),
        "the forwarder's"
    );
    assert_eq!((target.kind, target.id.as_str()), ("callforward", "a1"));
}

#[test]
fn a_forward_for_direct_calls_is_not_for_groups() {
    let forward =
        json!({"call_forward": {"enabled": true, "number": "5", "direct_calls_only": true}});
    let account = office(&with("a1", forward));
    let grouped = Options {
        grouped: true,
        ..Options::default()
    };
    assert_eq!(
        ids(&ring(&account, &grouped, |r| of_device(r, "a1")).unwrap()),
        ["a1"]
    );
    let direct = ring(&account, &Options::default(), |r| of_device(r, "a1")).unwrap();
    assert_eq!(direct.targets[0].place, Place::Number("5".into()));
}

#[test]
fn a_failover_waits_until_the_phone_has_failed() {
    let forward = json!({"call_forward": {"failover": true, "number": "5"}});
    let account = office(&with("a1", forward));
    let found = ring(&account, &Options::default(), |r| of_device(r, "a1")).unwrap();
    assert_eq!(ids(&found), ["a1"]);
    assert_eq!(
        (found.later[0].0, &found.later[0].1.place),
        (When::Unreachable, &Place::Number("5".into()))
    );
}

#[test]
fn a_cellphone_without_its_forward_is_nothing_to_ring() {
    let mut all = people();
    all.push((
        Kind::Device,
        "cell",
        json!({"name": "cell", "device_type": "cellphone"}),
    ));
    let account = office(&all);
    assert_eq!(
        ring(&account, &Options::default(), |r| of_device(r, "cell")).unwrap_err(),
        NotRung::NoEndpoints
    );
}

#[test]
fn a_phone_is_where_it_says() {
    let at = |sip: Value| {
        let account = office(&with("door", json!({"sip": sip})));
        let mut found = ring(&account, &Options::default(), |r| of_device(r, "door")).unwrap();
        let target = found.targets.remove(0);
        (target.place, target.request_user)
    };
    let uri = |uri: &str| Place::Uri {
        uri: uri.into(),
        proxy: None,
    };
    assert_eq!(
        at(json!({"invite_format": "route", "route": "door@192.0.2.7:5070"})).0,
        uri("sip:door@192.0.2.7:5070")
    );
    assert_eq!(
        at(json!({"method": "ip", "ip": "192.0.2.8", "number": "7#"})).0,
        uri("sip:7%23@192.0.2.8")
    );
    assert_eq!(
        at(json!({"method": "ip", "ip": "2001:db8::1"})).0,
        uri("sip:+14155550100@[2001:db8::1]")
    );
    let registered = Place::Registered {
        username: "d".into(),
        realm: "other.test".into(),
    };
    assert_eq!(
        at(json!({"username": "d", "realm": "Other.test"})),
        (registered.clone(), None)
    );
    let (_, user) = at(json!({"username": "d", "invite_format": "npan"}));
    assert_eq!(user.as_deref(), Some("4155550100"));
    let (_, user) = at(json!({"username": "d", "invite_format": "npan", "static_invite": "s"}));
    assert_eq!(user.as_deref(), Some("s"));
}

#[test]
fn media_headers_and_ringtones_of_a_phone_are_taken_along() {
    let own = json!({
        "sip": {"username": "desk", "custom_sip_headers": {"in": {"X-Desk": "1"}}},
        "ringtones": {"internal": "info=internal", "external": "info=external"},
        "media": {"audio": {"codecs": ["OPUS", "G729", "PCMU"]}, "ignore_early_media": true,
                  "encryption": {"methods": ["srtp"], "enforce_security": true}},
        "call_waiting": {"enabled": false}
    });
    let account = office(&with("a1", own));
    let options = Options {
        headers: vec![("X-Node".into(), "n".into()), ("x-desk".into(), "2".into())],
        ..Options::default()
    };
    let found = ring(&account, &options, |r| of_device(r, "a1")).unwrap();
    let target = &found.targets[0];
    assert_eq!(target.codecs, ["opus", "PCMU"]);
    assert!(
        target.ignore_early_media && target.secrecy == Secrecy::Required && !target.call_waiting
    );
    let headers: Vec<_> = target
        .headers
        .iter()
        .map(|(n, v)| format!("{n}: {v}"))
        .collect();
    assert_eq!(
        headers,
        ["Alert-Info: info=internal", "X-Node: n", "x-desk: 2"],
        "the node's own wins"
    );
    let ringtone = Options {
        ringtone: Some("info=group".into()),
        ..Options::default()
    };
    let found = ring(&account, &ringtone, |r| of_device(r, "a1")).unwrap();
    assert_eq!(found.targets[0].headers[0].1, "info=group");
}

#[test]
fn who_calls_can_be_kept_from_the_called() {
    let account = office(&people());
    let options = Options {
        suppress_clid: true,
        ..Options::default()
    };
    let found = ring(&account, &options, |r| of_device(r, "a1")).unwrap();
    let target = &found.targets[0];
    assert_eq!(target.caller_id_number.as_deref(), Some("anonymous"));
    assert_eq!(target.privacy, Some("id"));
}

fn member(id: &str, kind: &str, more: Value) -> Member {
    Member {
        id: id.into(),
        kind: kind.into(),
        ..Member::read("", "none", &more)
    }
}

fn group(
    strategy: GroupStrategy,
    members: &[Member],
    seed: u64,
) -> Result<Vec<(String, u64, u64)>, NotRung> {
    let mut all = people();
    all.push((Kind::Group, "team", json!({"name": "team", "endpoints": {
        "a1": {"type": "device", "weight": 9, "delay": 3}, "door": {"type": "device", "weight": 2}, "a2": {"type": "device"}}})));
    all.push((Kind::Group, "loop", json!({"name": "loop", "endpoints": {"loop": {"type": "group"}, "door": {"type": "device"}}})));
    let account = office(&all);
    let mut rng = Rng::seeded(seed);
    let found = ring(&account, &Options::default(), |r| {
        of_members(r, members, strategy, &mut rng)
    })?;
    Ok(found
        .targets
        .into_iter()
        .map(|t| (t.id, t.delay.as_secs(), t.timeout.unwrap().as_secs()))
        .collect())
}

fn own(id: &str, delay: u64, timeout: u64) -> (String, u64, u64) {
    (id.to_owned(), delay, timeout)
}

#[test]
fn members_ring_by_delay_each_for_its_own_time() {
    let members = [
        member("a1", "device", json!({"delay": 5, "timeout": "10"})),
        member("door", "device", json!({})),
        member("ann", "user", json!({"delay": 1})),
    ];
    let found = group(GroupStrategy::Simultaneous, &members, 1).unwrap();
    assert_eq!(
        found,
        [
            own("door", 0, 20),
            own("a1", 1, 20),
            own("a2", 1, 20),
            own("a1", 5, 10)
        ]
    );
}

#[test]
fn the_same_device_with_the_same_times_rings_once_and_the_caller_never() {
    let members = [
        member("a1", "device", json!({})),
        member("a1", "device", json!({})),
        member("b1", "device", json!({})),
        member("bob", "user", json!({})),
    ];
    assert_eq!(
        group(GroupStrategy::Simultaneous, &members, 1).unwrap(),
        [own("a1", 0, 20)]
    );
    assert_eq!(
        group(GroupStrategy::Single, &members[2..], 1).unwrap_err(),
        NotRung::CalledSelf
    );
}

#[test]
fn a_member_that_is_logged_out_waits_for_its_time() {
    let out = |until: u64| member("door", "device", json!({"disable_until": until}));
    assert!(group(GroupStrategy::Single, &[out(1_001)], 1).is_err());
    assert!(group(GroupStrategy::Single, &[out(1_000)], 1).is_ok());
}

#[test]
fn groups_become_their_members() {
    let team = [member("team", "group", json!({"delay": 1, "timeout": 7}))];
    let all = group(GroupStrategy::Simultaneous, &team, 1).unwrap();
    assert_eq!(all, [own("door", 1, 7), own("a2", 1, 7), own("a1", 3, 7)]);
    let single = group(GroupStrategy::Single, &team, 1).unwrap();
    assert_eq!(
        single,
        [own("door", 1, 7), own("a1", 3, 7)],
        "by weight; without one it is left out"
    );
    let endless = [member("loop", "group", json!({}))];
    assert_eq!(
        group(GroupStrategy::Simultaneous, &endless, 1).unwrap(),
        [own("door", 0, 20)]
    );
}

#[test]
fn the_heavier_member_is_rung_first_more_often() {
    let members = [
        member("a1", "device", json!({"weight": 1})),
        member("door", "device", json!({"weight": 99})),
    ];
    let first = (0..200)
        .filter(|seed| {
            group(GroupStrategy::WeightedRandom, &members, *seed).unwrap()[0].0 == "door"
        })
        .count();
    assert!((180..=200).contains(&first), "{first}");
}

#[test]
fn numbers_are_written_as_the_format_says() {
    let all = |number: &str| {
        ["e164", "npan", "1npan", "strip_plus"].map(|format| number_format(format, number).unwrap())
    };
    assert_eq!(
        all("4155550100"),
        ["+14155550100", "4155550100", "14155550100", "14155550100"]
    );
    assert_eq!(
        all("+493012345"),
        ["+493012345", "+493012345", "+493012345", "493012345"]
    );
    assert_eq!(number_format("route", "1"), None);
}
