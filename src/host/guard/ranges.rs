//! Address ranges that are not globally routed (the special-purpose registries of RFC 6890 and their successors), and
//! IPv6 addresses that stand for an IPv4 one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether the address is globally routed: in none of the special ranges.
pub fn is_global(address: IpAddr) -> bool {
    let address = canonical(address);
    let inside_is_global = match embedded(address) {
        Some(Embedded::Translated(inside)) => special(IpAddr::V4(inside)).is_none(),
        Some(Embedded::Tunnelled) | None => true,
    };
    inside_is_global && special(address).is_none()
}

/// What an IPv6 address carries inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Embedded {
    /// NAT64 with the well-known prefix (RFC 6052): reaches this IPv4 address.
    Translated(Ipv4Addr),
    /// A tunnel (6to4, Teredo, ISATAP, IPv4-compatible): refused as a range whatever is inside.
    Tunnelled,
}

/// The IPv4 address for an IPv4-mapped one (`::ffff:0:0/96`): the machine connects over IPv4.
pub(super) fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

/// Which IPv4 address an IPv6 one stands for, if it does.
pub(super) fn embedded(address: IpAddr) -> Option<Embedded> {
    let IpAddr::V6(v6) = address else { return None };
    let s = v6.segments();
    match s {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(Embedded::Translated(v4(high, low))),
        [0x2002, ..]
        | [0x2001, 0, ..]
        | [0, 0, 0, 0, 0, 0, _, _]
        | [_, _, _, _, 0 | 0x200, 0x5efe, _, _] => Some(Embedded::Tunnelled),
        _ => None,
    }
}

/// The special range the address is in: its CIDR and its name.
pub(super) fn special(address: IpAddr) -> Option<(&'static str, &'static str)> {
    match address {
        IpAddr::V4(v4) => {
            let bits = v4.to_bits();
            V4.iter()
                .find(|(net, len, ..)| {
                    bits.checked_shr(32 - len) == net.to_bits().checked_shr(32 - len)
                })
                .map(|(_, _, cidr, name)| (*cidr, *name))
        }
        IpAddr::V6(v6) => special_v6(v6),
    }
}

fn special_v6(v6: Ipv6Addr) -> Option<(&'static str, &'static str)> {
    let bits = v6.to_bits();
    let within = |net: Ipv6Addr, len: u32| {
        bits.checked_shr(128 - len) == net.to_bits().checked_shr(128 - len)
    };
    if let Some((_, _, cidr, name)) = V6.iter().find(|(net, len, ..)| within(*net, *len)) {
        return Some((cidr, name));
    }
    let s = v6.segments();
    if matches!(s, [_, _, _, _, 0 | 0x200, 0x5efe, _, _]) {
        return Some(("::5efe:0:0/96", "ISATAP tunnel"));
    }
    if within(NAT64, 96) || within(GLOBAL_UNICAST, 3) {
        return None;
    }
    Some((
        "everything outside 2000::/3",
        "not assigned to the Internet",
    ))
}

fn v4(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low))
}

const NAT64: Ipv6Addr = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0);
const GLOBAL_UNICAST: Ipv6Addr = Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0);

const V4: &[(Ipv4Addr, u32, &str, &str)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8, "0.0.0.0/8", "this network"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "10.0.0.0/8", "private"),
    (
        Ipv4Addr::new(100, 64, 0, 0),
        10,
        "100.64.0.0/10",
        "carrier-grade NAT",
    ),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "127.0.0.0/8", "loopback"),
    (
        Ipv4Addr::new(169, 254, 0, 0),
        16,
        "169.254.0.0/16",
        "link-local",
    ),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "172.16.0.0/12", "private"),
    (
        Ipv4Addr::new(192, 0, 0, 0),
        24,
        "192.0.0.0/24",
        "protocol assignments",
    ),
    (
        Ipv4Addr::new(192, 0, 2, 0),
        24,
        "192.0.2.0/24",
        "documentation",
    ),
    (
        Ipv4Addr::new(192, 88, 99, 0),
        24,
        "192.88.99.0/24",
        "6to4 relay",
    ),
    (
        Ipv4Addr::new(192, 168, 0, 0),
        16,
        "192.168.0.0/16",
        "private",
    ),
    (
        Ipv4Addr::new(198, 18, 0, 0),
        15,
        "198.18.0.0/15",
        "benchmarking",
    ),
    (
        Ipv4Addr::new(198, 51, 100, 0),
        24,
        "198.51.100.0/24",
        "documentation",
    ),
    (
        Ipv4Addr::new(203, 0, 113, 0),
        24,
        "203.0.113.0/24",
        "documentation",
    ),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "224.0.0.0/4", "multicast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "240.0.0.0/4", "reserved"),
];

const V6: &[(Ipv6Addr, u32, &str, &str)] = &[
    (Ipv6Addr::UNSPECIFIED, 128, "::/128", "unspecified"),
    (Ipv6Addr::LOCALHOST, 128, "::1/128", "loopback"),
    (Ipv6Addr::UNSPECIFIED, 96, "::/96", "IPv4-compatible"),
    (
        Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0),
        48,
        "64:ff9b:1::/48",
        "local NAT64",
    ),
    (
        Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0),
        23,
        "2001::/23",
        "protocol assignments, Teredo",
    ),
    (
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0),
        32,
        "2001:db8::/32",
        "documentation",
    ),
    (
        Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0),
        16,
        "2002::/16",
        "6to4",
    ),
    (
        Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0),
        20,
        "3fff::/20",
        "documentation",
    ),
    (
        Ipv6Addr::new(0x5f00, 0, 0, 0, 0, 0, 0, 0),
        16,
        "5f00::/16",
        "segment routing",
    ),
    (
        Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0),
        7,
        "fc00::/7",
        "unique local",
    ),
    (
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0),
        10,
        "fe80::/10",
        "link-local",
    ),
    (
        Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0),
        10,
        "fec0::/10",
        "site-local",
    ),
    (
        Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0),
        8,
        "ff00::/8",
        "multicast",
    ),
];
