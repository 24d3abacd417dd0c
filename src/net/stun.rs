//! STUN Binding on the SIP port: the keepalive of phones, which learn their public address from the answer (RFC 5626
//! §3.5.2, RFC 5389). An answer is at most half as large again as its request, addressed to nobody else, and keeps
//! nothing, so it is no use to those who lie about their address.

use std::net::{IpAddr, SocketAddr};

use crate::sip::wire::{Peek, peek};

/// What to do with a datagram that may be STUN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stun {
    /// It is something else.
    Not,
    /// Not ours to answer.
    Ignore,
    /// Send this back.
    Answer(Vec<u8>),
}

/// Looks at a datagram from `source`.
pub(super) fn judge(bytes: &[u8], source: SocketAddr) -> Stun {
    if peek(bytes) != Peek::Stun {
        return Stun::Not;
    }
    let (Some(head), Some(attributes)) = (bytes.first_chunk::<HEAD>(), bytes.get(HEAD..)) else {
        return Stun::Ignore;
    };
    let [kind_high, kind_low, length_high, length_low, rest @ ..] = *head;
    let kind = u16::from_be_bytes([kind_high, kind_low]);
    let length = usize::from(u16::from_be_bytes([length_high, length_low]));
    if kind != BINDING_REQUEST || length != attributes.len() || length % 4 != 0 {
        return Stun::Ignore;
    }
    let unknown = unknown_attributes(attributes);
    let (kind, body) = if unknown.is_empty() {
        (BINDING_SUCCESS, mapped_address(&rest, source))
    } else {
        (BINDING_ERROR, refusal(&unknown))
    };
    let mut answer = Vec::with_capacity(HEAD + body.len());
    answer.extend(kind.to_be_bytes());
    answer.extend(u16::try_from(body.len()).unwrap_or(0).to_be_bytes());
    answer.extend(rest);
    answer.extend(body);
    Stun::Answer(answer)
}

/// Attributes that must be understood and are not (RFC 5389 §7.3.1).
fn unknown_attributes(mut attributes: &[u8]) -> Vec<u16> {
    let mut unknown = Vec::new();
    while let [a, b, c, d, rest @ ..] = attributes {
        let kind = u16::from_be_bytes([*a, *b]);
        let length = usize::from(u16::from_be_bytes([*c, *d])).next_multiple_of(4);
        if kind < 0x8000 && !KNOWN.contains(&kind) && unknown.len() < 4 {
            unknown.push(kind);
        }
        attributes = rest.get(length..).unwrap_or_default();
    }
    unknown
}

/// XOR-MAPPED-ADDRESS (§15.2). `key` is the magic cookie and the transaction id.
fn mapped_address(key: &[u8; 16], source: SocketAddr) -> Vec<u8> {
    let [high, low, ..] = *key;
    let port = source.port() ^ u16::from_be_bytes([high, low]);
    let (family, octets) = match source.ip().to_canonical() {
        IpAddr::V4(ip) => (1, ip.octets().to_vec()),
        IpAddr::V6(ip) => (2, ip.octets().to_vec()),
    };
    let hidden = octets.iter().zip(key).map(|(octet, mask)| octet ^ mask);
    let mut value = vec![0, family];
    value.extend(port.to_be_bytes());
    value.extend(hidden);
    attribute(XOR_MAPPED_ADDRESS, &value)
}

/// ERROR-CODE 420 and UNKNOWN-ATTRIBUTES (§15.6, §15.9).
fn refusal(unknown: &[u16]) -> Vec<u8> {
    let mut body = attribute(ERROR_CODE, &[0, 0, 4, 20]);
    let list: Vec<u8> = unknown.iter().flat_map(|kind| kind.to_be_bytes()).collect();
    body.extend(attribute(UNKNOWN_ATTRIBUTES, &list));
    body
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut attribute = kind.to_be_bytes().to_vec();
    attribute.extend(u16::try_from(value.len()).unwrap_or(0).to_be_bytes());
    attribute.extend(value);
    attribute.resize(attribute.len().next_multiple_of(4), 0);
    attribute
}

const HEAD: usize = 20;
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
/// USERNAME, MESSAGE-INTEGRITY, REALM, NONCE: of no use to us, and no reason to refuse.
const KNOWN: [u16; 4] = [0x0006, 0x0008, 0x0014, 0x0015];

#[cfg(test)]
mod tests {
    use super::*;

    const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

    fn request(attributes: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 1, 0, u8::try_from(attributes.len()).unwrap()];
        bytes.extend(COOKIE);
        bytes.extend(b"0123456789ab");
        bytes.extend(attributes);
        bytes
    }

    fn answered(bytes: &[u8], source: &str) -> Vec<u8> {
        match judge(bytes, source.parse().unwrap()) {
            Stun::Answer(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    /// RFC 5769 §2.2: the address 192.0.2.1 port 32853 is hidden as a1 47 and e1 12 a6 43.
    #[test]
    fn a_binding_request_learns_its_source() {
        let answer = answered(&request(&[]), "192.0.2.1:32853");
        assert_eq!(answer.get(..4).unwrap(), [1, 1, 0, 12]);
        assert_eq!(
            answer.get(4..20),
            request(&[]).get(4..20),
            "cookie and transaction"
        );
        assert_eq!(
            answer.get(20..).unwrap(),
            [0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43]
        );
    }

    #[test]
    fn an_ipv6_source_is_hidden_by_cookie_and_transaction() {
        let answer = answered(&request(&[]), "[2001:db8::1]:5060");
        let key = request(&[]).get(4..20).unwrap().to_vec();
        let shown: Vec<u8> = answer
            .get(28..44)
            .unwrap()
            .iter()
            .zip(key)
            .map(|(a, b)| a ^ b)
            .collect();
        let wanted: std::net::Ipv6Addr = "2001:db8::1".parse().unwrap();
        assert_eq!(shown, wanted.octets());
    }

    #[test]
    fn attributes_that_must_be_understood_are_named() {
        let answer = answered(&request(&[0x00, 0x24, 0, 4, 0, 0, 0, 1]), "192.0.2.1:1");
        assert_eq!(answer.get(..2).unwrap(), [1, 0x11]);
        assert_eq!(answer.get(20..28).unwrap(), [0, 9, 0, 4, 0, 0, 4, 20]);
        assert_eq!(answer.get(28..36).unwrap(), [0, 10, 0, 2, 0, 0x24, 0, 0]);
        let optional = answered(&request(&[0x80, 0x22, 0, 1, b'x', 0, 0, 0]), "192.0.2.1:1");
        assert_eq!(optional.get(..2).unwrap(), [1, 1]);
    }

    #[test]
    fn other_datagrams_are_left_alone_and_broken_ones_not_answered() {
        let source = "192.0.2.1:1".parse().unwrap();
        assert_eq!(judge(b"OPTIONS sip:a SIP/2.0\r\n", source), Stun::Not);
        assert_eq!(judge(b"\r\n\r\n", source), Stun::Not);
        let whole = request(&[0x80, 0x22, 0, 4, 1, 2, 3, 4]);
        for end in 8..whole.len() {
            assert_eq!(judge(&whole[..end], source), Stun::Ignore, "{end}");
        }
        let mut indication = request(&[]);
        indication[1] = 0x11;
        assert_eq!(judge(&indication, source), Stun::Ignore);
    }
}
