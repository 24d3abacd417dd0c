use futures_util::FutureExt as _;

use super::policy::in_order;
use super::*;

const T: [Transport; 5] = [
    Transport::Udp,
    Transport::Tcp,
    Transport::Tls,
    Transport::Ws,
    Transport::Wss,
];

fn resolver(table: Table) -> Resolver {
    Resolver::fixed(table, Rng::seeded(1))
}

/// `udp 192.0.2.1:5060 tcp …` for the question.
fn ask(
    table: &Table,
    host: &str,
    port: Option<u16>,
    transport: Option<Transport>,
    secure: bool,
) -> String {
    let resolver = resolver(table.clone());
    let found = resolver.resolve(host, port, transport, secure);
    match found.now_or_never().expect("a table answers at once") {
        Ok(targets) => shown(&targets),
        Err(error) => error.to_string(),
    }
}

fn shown(targets: &[Target]) -> String {
    let one = |target: &Target| format!("{} {}", target.transport.uri_name(), target.addr);
    targets.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn ip(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

/// RFC 3263 §4.1, §4.2.
#[test]
fn addresses_and_explicit_ports_ask_for_no_services() {
    let table = Table::default()
        .address("h.test", ip(1))
        .naptr("h.test", 1, 1, "SIP+D2T", "_sip._tcp.h.test")
        .srv("_sip._tcp.h.test", 0, 0, 5099, "other.test")
        .srv("_sip._udp.h.test", 0, 0, 5099, "other.test")
        .address("other.test", ip(9));
    let ask = |host, port, transport, secure| ask(&table, host, port, transport, secure);
    assert_eq!(ask("192.0.2.7", None, None, false), "udp 192.0.2.7:5060");
    assert_eq!(ask("192.0.2.7", None, None, true), "tls 192.0.2.7:5061");
    assert_eq!(
        ask("[2001:db8::1]", Some(5070), Some(T[1]), false),
        "tcp [2001:db8::1]:5070"
    );
    assert_eq!(ask("h.test", Some(5070), None, false), "udp 192.0.2.1:5070");
    assert_eq!(ask("h.test", Some(5070), None, true), "tls 192.0.2.1:5070");
    assert_eq!(
        ask("h.test", Some(5070), Some(T[1]), false),
        "tcp 192.0.2.1:5070"
    );
    assert_eq!(
        ask("h.test", Some(5070), Some(T[1]), true),
        "tls 192.0.2.1:5070"
    );
    assert_eq!(
        ask("h.test.", None, None, false),
        "tcp 192.0.2.9:5099",
        "a final dot"
    );
}

#[test]
fn a_name_without_services_has_its_own_addresses_at_the_usual_port() {
    let table = Table::default()
        .address("h.test", IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]))
        .address("h.test", ip(1));
    let ask = |transport, secure| ask(&table, "h.test", None, transport, secure);
    assert_eq!(
        ask(None, false),
        "udp 192.0.2.1:5060, udp [2001:db8::1]:5060"
    );
    assert_eq!(
        ask(None, true),
        "tls 192.0.2.1:5061, tls [2001:db8::1]:5061"
    );
    assert_eq!(
        ask(Some(T[2]), false),
        "tls 192.0.2.1:5061, tls [2001:db8::1]:5061"
    );
    assert_eq!(
        ask(Some(T[3]), false),
        "ws 192.0.2.1:80, ws [2001:db8::1]:80"
    );
    assert_eq!(
        ask(Some(T[3]), true),
        "wss 192.0.2.1:443, wss [2001:db8::1]:443"
    );
}

#[test]
fn services_are_asked_by_transport() {
    let table = Table::default()
        .srv("_sip._udp.h.test", 0, 0, 5060, "u.test")
        .srv("_sip._tcp.h.test", 0, 0, 5062, "t.test")
        .srv("_sips._tcp.h.test", 0, 0, 5061, "s.test.")
        .address("h.test", ip(99))
        .address("u.test", ip(1))
        .address("t.test", ip(2))
        .address("s.test", ip(3));
    let ask = |transport, secure| ask(&table, "h.test", None, transport, secure);
    assert_eq!(
        ask(None, false),
        "udp 192.0.2.1:5060, tcp 192.0.2.2:5062, tls 192.0.2.3:5061"
    );
    assert_eq!(ask(None, true), "tls 192.0.2.3:5061");
    assert_eq!(ask(Some(T[0]), false), "udp 192.0.2.1:5060");
    assert_eq!(ask(Some(T[1]), false), "tcp 192.0.2.2:5062");
    assert_eq!(ask(Some(T[2]), false), "tls 192.0.2.3:5061");
    assert_eq!(ask(Some(T[1]), true), "tls 192.0.2.3:5061");
    assert_eq!(ask(Some(T[0]), true), "sips does not go over udp");
}

/// RFC 3263 §4.1, RFC 7118 §5.3.
#[test]
fn naptr_says_which_transports_and_in_which_order() {
    let table = Table::default()
        .naptr("h.test", 20, 1, "SIP+D2U", "_sip._udp.elsewhere.test")
        .naptr("h.test", 10, 9, "SIP+D2T", "_sip._tcp.elsewhere.test")
        .naptr("h.test", 10, 5, "SIPS+D2T", "_sips._tcp.elsewhere.test")
        .naptr("h.test", 30, 1, "SIP+D2W", "_sip._ws.elsewhere.test")
        .naptr("h.test", 1, 1, "E2U+sip", "_nothing.test")
        .srv("_sip._udp.elsewhere.test", 0, 0, 5060, "a.test")
        .srv("_sip._tcp.elsewhere.test", 0, 0, 5060, "a.test")
        .srv("_sips._tcp.elsewhere.test", 0, 0, 5061, "a.test")
        .srv("_sip._ws.elsewhere.test", 0, 0, 8080, "a.test")
        .address("a.test", ip(1));
    assert_eq!(
        ask(&table, "h.test", None, None, false),
        "tls 192.0.2.1:5061, tcp 192.0.2.1:5060, udp 192.0.2.1:5060, ws 192.0.2.1:8080"
    );
    assert_eq!(
        ask(&table, "h.test", None, None, true),
        "tls 192.0.2.1:5061"
    );
}

#[test]
fn a_service_that_is_not_offered_is_not_replaced_by_the_address() {
    let table = Table::default()
        .srv("_sip._udp.h.test", 0, 0, 0, ".")
        .address("h.test", ip(1));
    assert_eq!(
        ask(&table, "h.test", None, Some(T[0]), false),
        "h.test has no address"
    );
    assert_eq!(
        ask(&table, "h.test", None, Some(T[1]), false),
        "tcp 192.0.2.1:5060"
    );
}

#[test]
fn a_name_that_leads_nowhere_and_one_that_cannot_be_asked_are_told_apart() {
    let table = Table::default()
        .broken("b.test")
        .address("half.test", ip(1))
        .broken("_sip._udp.half.test");
    assert_eq!(
        ask(&table, "n.test", None, None, false),
        "n.test has no address"
    );
    assert_eq!(
        ask(&table, "b.test", None, None, false),
        "b.test could not be looked up: no name server answers"
    );
    assert_eq!(
        ask(&table, "half.test", None, None, false),
        "udp 192.0.2.1:5060"
    );
}

#[test]
fn huge_answers_are_cut() {
    let mut table = Table::default();
    for host in 0..200 {
        let name = format!("h{host}.test");
        table = table.srv("_sip._udp.h.test", 0, 1, 5060, &name);
        for last in 0..9 {
            table = table.address(&name, IpAddr::from([10, 0, host, last]));
        }
    }
    let found = ask(&table, "h.test", None, Some(T[0]), false);
    assert_eq!(found.split(", ").count(), 20);
}

fn srv(priority: u16, weight: u16, target: &str) -> Srv {
    Srv {
        priority,
        weight,
        port: 5060,
        target: target.into(),
    }
}

#[test]
fn priorities_come_in_order_whatever_the_weights() {
    for seed in 0..50 {
        let records = vec![
            srv(20, 9, "c"),
            srv(10, 0, "a"),
            srv(30, 0, "d"),
            srv(10, 5, "b"),
        ];
        let ordered = in_order(records, &mut Rng::seeded(seed));
        let priorities: Vec<u16> = ordered.iter().map(|r| r.priority).collect();
        assert_eq!(priorities, [10, 10, 20, 30], "seed {seed}");
    }
}

/// RFC 2782: in proportion to the weights, and weight 0 has a small chance.
#[test]
fn equals_share_the_load_by_their_weights() {
    let mut first = std::collections::BTreeMap::new();
    let mut rng = Rng::seeded(7);
    for _ in 0..10_000 {
        let records = vec![srv(1, 60, "big"), srv(1, 40, "small"), srv(1, 0, "zero")];
        let ordered = in_order(records, &mut rng);
        assert_eq!(ordered.len(), 3);
        *first.entry(ordered[0].target.clone()).or_insert(0u32) += 1;
    }
    assert!((5700..6200).contains(&first["big"]), "{first:?}");
    assert!((3700..4200).contains(&first["small"]), "{first:?}");
    assert!((30..250).contains(&first["zero"]), "{first:?}");
}

#[test]
fn the_same_seed_gives_the_same_order() {
    let table = (1..=9).fold(Table::default(), |table, n| {
        let name = format!("h{n}.test");
        table
            .srv("_sip._udp.h.test", 0, 10, 5060, &name)
            .address(&name, ip(n))
    });
    let order = |seed| {
        let resolver = Resolver::fixed(table.clone(), Rng::seeded(seed));
        let found = resolver.resolve("h.test", None, Some(Transport::Udp), false);
        shown(&found.now_or_never().unwrap().unwrap())
    };
    assert_eq!(order(3), order(3));
    assert_ne!(order(3), order(4));
}

#[expect(
    clippy::disallowed_methods,
    reason = "any instant will do as the start"
)]
fn start() -> Instant {
    Instant::now()
}

#[test]
fn a_target_that_failed_comes_last_until_its_time_has_passed() {
    let resolver = resolver(Table::default());
    let [first, second] = [1, 2].map(|n| Target {
        transport: Transport::Udp,
        addr: (ip(n), 5060).into(),
    });
    let now = start();
    let after = |seconds| now + Duration::from_secs(seconds);
    let order = |at| {
        shown(&policy::held_last(vec![first, second], |t| {
            resolver.is_held(t, at)
        }))
    };
    assert_eq!(order(now), "udp 192.0.2.1:5060, udp 192.0.2.2:5060");
    resolver.failed(&first, "h", None, now);
    assert_eq!(order(after(29)), "udp 192.0.2.2:5060, udp 192.0.2.1:5060");
    assert_eq!(order(after(30)), "udp 192.0.2.1:5060, udp 192.0.2.2:5060");
    // Retry-After holds as long as it says, at most ten minutes.
    resolver.failed(&first, "h", Some(Duration::from_secs(100_000)), now);
    assert!(resolver.is_held(&first, after(599)) && !resolver.is_held(&first, after(600)));
    resolver.works(&first);
    assert!(!resolver.is_held(&first, now));
    let other = Target {
        transport: Transport::Tcp,
        ..second
    };
    resolver.failed(&other, "h", None, now);
    assert!(
        !resolver.is_held(&second, now),
        "another transport is another target"
    );
    // With nothing else left, those held out are tried.
    resolver.failed(&first, "h", None, now);
    resolver.failed(&second, "h", None, now);
    assert_eq!(order(now), "udp 192.0.2.1:5060, udp 192.0.2.2:5060");
}
