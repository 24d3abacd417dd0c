//! Tests of `guard`.

use std::net::IpAddr;

use super::*;

fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

fn refused(guard: &Guard, address: &str) -> Option<GuardError> {
    guard
        .check_addr(address.parse::<IpAddr>().unwrap(), 80)
        .err()
}

#[test]
fn everything_that_is_not_globally_routed_is_refused_by_default() {
    let guard = Guard::default();
    for address in [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.9",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:a9fe:a9fe",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
        "100::1",
        "4000::1",
        "2606:4700::200:5efe:7f00:1",
    ] {
        assert!(refused(&guard, address).is_some(), "{address}");
        assert!(!is_global(address.parse().unwrap()), "{address}");
    }
    for address in [
        "8.8.8.8",
        "1.1.1.1",
        "172.32.0.1",
        "100.128.0.1",
        "2606:4700::1111",
        "64:ff9b::808:808",
    ] {
        assert_eq!(refused(&guard, address), None, "{address}");
        assert!(is_global(address.parse().unwrap()), "{address}");
    }
}

#[test]
fn a_refusal_names_the_address_the_list_and_the_setting() {
    let error = refused(&Guard::default(), "::ffff:10.1.2.3").unwrap();
    assert_eq!(
        error.to_string(),
        "10.1.2.3 may not be fetched from: 10.0.0.0/8 (private) is denied unless `[pivot] allow` has it; \
         `[pivot] allow = [\"10.1.2.3/32\"]` would allow it"
    );
}

#[test]
fn the_narrower_of_allow_and_deny_wins_and_a_tie_refuses() {
    let guard = Guard::new(GuardConfig {
        allow: vec![cidr("10.0.0.0/8"), cidr("9.9.9.9"), cidr("7.7.7.0/24")],
        deny: vec![cidr("10.0.0.5"), cidr("9.9.9.0/24"), cidr("7.7.7.0/24")],
        ..GuardConfig::default()
    });
    assert_eq!(refused(&guard, "10.0.0.4"), None);
    assert!(
        refused(&guard, "10.0.0.5")
            .unwrap()
            .list
            .contains("[pivot] deny")
    );
    assert_eq!(refused(&guard, "9.9.9.9"), None);
    assert!(refused(&guard, "9.9.9.8").is_some());
    assert!(refused(&guard, "7.7.7.7").is_some());
}

#[test]
fn a_configured_deny_list_does_not_open_the_special_ranges() {
    let guard = Guard::new(GuardConfig {
        deny: vec![cidr("8.8.8.8")],
        ..GuardConfig::default()
    });
    assert!(refused(&guard, "127.0.0.1").is_some());
}

#[test]
fn the_block_list_works_at_once_and_beats_allow() {
    let guard = Guard::new(GuardConfig {
        allow: vec![cidr("0.0.0.0/0")],
        ..GuardConfig::default()
    });
    assert_eq!(refused(&guard, "10.0.0.1"), None);
    let before = guard.generation();
    assert!(guard.block(Block::Ip(cidr("10.0.0.0/24"))));
    assert!(!guard.block(Block::Ip(cidr("10.0.0.0/24"))));
    assert!(
        refused(&guard, "10.0.0.1")
            .unwrap()
            .setting
            .contains("unblock ip 10.0.0.0/24")
    );
    assert!(guard.generation() > before);
    assert!(guard.unblock(&Block::Ip(cidr("10.0.0.0/24"))));
    assert_eq!(refused(&guard, "10.0.0.1"), None);
    guard.block(Block::host("Evil.Example."));
    assert!(guard.check_text("http://EVIL.example/").is_err());
    assert!(guard.check_text("http://evil.example./").is_err());
    assert!(guard.check_text("http://good.example/").is_ok());
}

#[test]
fn ssh_and_mail_ports_and_our_own_listeners_are_never_fetched_from() {
    let guard = Guard::new(GuardConfig {
        allow: vec![cidr("0.0.0.0/0"), cidr("::/0")],
        deny_hosts: Vec::new(),
        ..GuardConfig::default()
    });
    guard.set_listeners(vec![
        "0.0.0.0:8000".parse().unwrap(),
        "127.0.0.1:5060".parse().unwrap(),
    ]);
    for url in [
        "http://example.com:22/",
        "http://8.8.8.8:25/",
        "http://127.0.0.1:8000/",
        "http://[::ffff:127.0.0.1]:8000/",
        "http://127.0.0.1:5060/",
        "http://0.0.0.0:8000/",
        "http://[::1]:8000/",
    ] {
        assert!(guard.check_text(url).is_err(), "{url}");
    }
    assert!(guard.check_text("http://127.0.0.1:8001/").is_ok());
    assert!(guard.check_text("http://8.8.8.8:8000/").is_ok());
}

#[test]
fn odd_spellings_of_an_address_are_the_address() {
    let guard = Guard::default();
    for url in [
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://0/",
        "http://0x7f.1/",
        "http://①②⑦.0.0.1/",
        "http://127.0.0.1./",
        "http:\\\\127.0.0.1\\",
        "http://a@127.0.0.1/",
        "http://127.0.0.1#@8.8.8.8/",
        "http://12\t7.0.0.1/",
        "http://localhost./",
        "http://LOCALHOST/",
        "http://ｌocalhost/",
        "http://%6c%6f%63%61%6c%68%6f%73%74/",
        "http://127。0。0。1/",
        "ftp://8.8.8.8/",
        "file:///etc/passwd",
        "http://[::ffff:7f00:1]/",
        "http://[0:0:0:0:0:0:0:1]/",
    ] {
        assert!(guard.check_text(url).is_err(), "{url}");
    }
}

#[test]
fn an_open_guard_refuses_nothing_but_foreign_schemes() {
    let guard = Guard::open();
    assert!(guard.check_text("http://127.0.0.1:22/").is_ok());
    assert!(guard.check_text("file:///x").is_err());
}

#[test]
fn settings_are_read_from_toml_with_plain_addresses_too() {
    let config: GuardConfig =
        toml::from_str("allow = [\"127.0.0.1\", \"10.1.2.3/8\"]\ndeny_hosts = []").unwrap();
    assert_eq!(config.allow, [cidr("127.0.0.1/32"), cidr("10.0.0.0/8")]);
    let error = toml::from_str::<GuardConfig>("allow = [\"10.0.0.0/33\"]")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("10.0.0.0/33") && error.contains("not an IP address or CIDR"),
        "{error}"
    );
    assert!(toml::from_str::<GuardConfig>("alow = []").is_err());
}
