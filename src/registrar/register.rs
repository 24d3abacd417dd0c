//! Reads a REGISTER and judges it as far as the message alone allows (RFC 3261 §10.3, RFC 3327 §5.3, RFC 5626 §6).

use std::net::SocketAddr;

use super::binding::Key;
use super::config::RegistrarConfig;
use crate::sip::flow::{Flow, Transport};
use crate::sip::msg::grammar::decimal_clamped;
use crate::sip::msg::{Contacts, Message, Name, NameAddr, Uri};

/// The refusal of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: u16,
    /// Empty takes the standard phrase.
    pub(super) reason: &'static str,
    pub(super) headers: Vec<(Name, String)>,
}

impl Refused {
    pub(super) fn new(status: u16, reason: &'static str) -> Self {
        Self {
            status,
            reason,
            headers: Vec::new(),
        }
    }

    pub(super) fn with(mut self, name: Name, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// What a REGISTER asks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Asked {
    /// Only what is bound.
    Query,
    /// `*`: nothing bound any more.
    Clear,
    /// These Contacts.
    Change(Vec<Wanted>),
}

/// One Contact of a REGISTER.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    pub(super) key: Key,
    /// As it is written back.
    pub(super) params: String,
    pub(super) q: u16,
    /// Seconds; 0 removes.
    pub(super) expires: u32,
    /// The path requests take.
    pub(super) flow: Flow,
    pub(super) behind_nat: bool,
}

/// A REGISTER whose form is right.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Register {
    pub(super) asked: Asked,
    /// Values of Path.
    pub(super) path: Vec<String>,
    /// Whether the phone keeps its flows alive by itself (RFC 5626).
    pub(super) outbound: bool,
}

/// Longest Contact, and most octets of Path.
const MAX_CONTACT: usize = 1024;
const MAX_PATH: usize = 2048;
/// Most Contacts of one REGISTER.
const MAX_CONTACTS: usize = 32;

/// Reads a REGISTER that came on `flow`. `default` is the expiry where none is asked for.
pub(super) fn read(
    message: &Message,
    flow: Flow,
    config: &RegistrarConfig,
    default: u32,
) -> Result<Register, Refused> {
    let path = path(message)?;
    let expires = message.header(Name::Expires).and_then(decimal_clamped);
    let contacts = message
        .contacts()
        .map_err(|_| Refused::new(400, "Bad Contact"))?;
    let list = match contacts {
        // Only "no more of anything" may be said so (§10.2.2).
        Contacts::Star if expires == Some(0) => {
            return Ok(Register {
                asked: Asked::Clear,
                path,
                outbound: false,
            });
        }
        Contacts::Star => return Err(Refused::new(400, "Contact * Needs Expires 0")),
        Contacts::List(list) => list,
    };
    if list.len() > MAX_CONTACTS {
        return Err(Refused::new(403, "Too Many Contacts"));
    }
    let mut wanted = Vec::with_capacity(list.len());
    let first_hop = first_hop(&path);
    for contact in &list {
        let one = contact_of(contact, flow, first_hop, expires, config, default)?;
        wanted.push(one);
    }
    let outbound = outbound(message, &wanted, &path)?;
    if !outbound {
        // A flow number means something between phones and registrars that both know what it is (RFC 5626 §6).
        for one in &mut wanted {
            one.key.reg_id = None;
        }
    }
    let asked = if wanted.is_empty() {
        Asked::Query
    } else {
        Asked::Change(wanted)
    };
    Ok(Register {
        asked,
        path,
        outbound,
    })
}

fn path(message: &Message) -> Result<Vec<String>, Refused> {
    let path = message
        .addresses(Name::Path)
        .map_err(|_| Refused::new(400, "Bad Path"))?;
    let path: Vec<String> = path.iter().map(NameAddr::to_string).collect();
    if path.iter().map(String::len).sum::<usize>() > MAX_PATH {
        return Err(Refused::new(400, "Path Too Long"));
    }
    // A phone that does not know the extension would lose the way back (RFC 3327 §5.3).
    if !path.is_empty() && !message.has_token(Name::Supported, "path") {
        return Err(Refused::new(420, "").with(Name::Unsupported, "path"));
    }
    Ok(path)
}

fn first_hop(path: &[String]) -> Option<SocketAddr> {
    let uri = NameAddr::parse(path.first()?).ok()?.uri;
    let ip = uri.host.ip()?.to_canonical();
    Some(SocketAddr::new(ip, uri.port.unwrap_or(5060)))
}

fn contact_of(
    contact: &NameAddr,
    flow: Flow,
    first_hop: Option<SocketAddr>,
    header: Option<u32>,
    config: &RegistrarConfig,
    default: u32,
) -> Result<Wanted, Refused> {
    let bad = || Refused::new(400, "Bad Contact");
    let mut uri = contact.uri.clone();
    if !uri.is_sip() || contact.to_string().len() > MAX_CONTACT {
        return Err(bad());
    }
    // Headers in a Contact would be put into our requests (§19.1.5).
    uri.headers = None;
    let own = contact.params.get("expires").flatten();
    // What cannot be read counts as if it were not there (§10.2.1.1).
    let asked = own.and_then(decimal_clamped).or(header);
    let expires = match asked {
        Some(0) => 0,
        Some(seconds) if seconds < config.min_expires => {
            return Err(
                Refused::new(423, "").with(Name::MinExpires, config.min_expires.to_string())
            );
        }
        Some(seconds) => seconds.min(config.max_expires),
        None => default.clamp(config.min_expires, config.max_expires),
    };
    let mut params = contact.params.clone();
    params.remove("expires");
    let reg_id = contact
        .params
        .get("reg-id")
        .flatten()
        .and_then(decimal_clamped)
        .filter(|id| *id > 0);
    let instance = contact
        .params
        .text("+sip.instance")
        .map(|text| text.into_owned())
        .filter(|text| !text.is_empty());
    let (reached, behind_nat) = way(&uri, flow, first_hop);
    Ok(Wanted {
        q: quality(contact.params.get("q").flatten()),
        key: Key {
            uri,
            reg_id: reg_id.filter(|_| instance.is_some()),
            instance,
        },
        params: params.to_string(),
        expires,
        flow: reached,
        behind_nat,
    })
}

/// The path that leads to a Contact which was registered over `flow`, and whether that is not the one the Contact says.
pub(super) fn way(uri: &Uri, flow: Flow, first_hop: Option<SocketAddr>) -> (Flow, bool) {
    if flow.transport != Transport::Udp {
        let same =
            uri.host.ip().map(|ip| ip.to_canonical()) == Some(flow.remote.ip().to_canonical());
        return (flow, !same);
    }
    let source = flow.remote.ip().to_canonical();
    match first_hop {
        // The edge proxy says where it listens.
        Some(remote) if remote.ip() == source => return (Flow { remote, ..flow }, false),
        // Only what sent the REGISTER is sent to: a phone must not point us at somebody else.
        Some(_) => return (flow, false),
        None => {}
    }
    let plain = uri
        .transport()
        .is_none_or(|transport| transport.eq_ignore_ascii_case("udp"));
    match uri.host.ip().map(|ip| ip.to_canonical()) {
        // The phone says where it is, and sends from there. It may listen on another port than it sends from.
        Some(ip) if ip == source && plain => {
            let remote = SocketAddr::new(flow.remote.ip(), uri.port.unwrap_or(5060));
            (Flow { remote, ..flow }, false)
        }
        Some(_) | None => (flow, true),
    }
}

/// `q` in thousandths; 1000 where there is none.
fn quality(text: Option<&str>) -> u16 {
    let value = text.and_then(|q| q.parse::<f32>().ok());
    // A number between 0 and 1 in thousandths fits.
    value
        .filter(|q| (0.0..=1.0).contains(q))
        .map_or(1000, |q| (q * 1000.0) as u16)
}

/// Whether RFC 5626 is at work: a flow number with an instance, both sides know it, and so does the first proxy.
fn outbound(message: &Message, wanted: &[Wanted], path: &[String]) -> Result<bool, Refused> {
    let flows = wanted.iter().filter(|one| one.key.reg_id.is_some());
    let flows: Vec<&Wanted> = flows.collect();
    if flows.is_empty() || !message.has_token(Name::Supported, "outbound") {
        return Ok(false);
    }
    if flows.iter().filter(|one| one.expires > 0).count() > 1 {
        return Err(Refused::new(400, "One reg-id At A Time"));
    }
    let direct = message.via_values().count() <= 1;
    let known = path
        .first()
        .is_some_and(|first| NameAddr::parse(first).is_ok_and(|hop| hop.uri.params.has("ob")));
    if direct || known {
        Ok(true)
    } else {
        Err(Refused::new(439, "First Hop Lacks Outbound Support"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::msg::Method;

    fn flow(transport: Transport, remote: &str) -> Flow {
        Flow {
            transport,
            local: "192.0.2.1:5060".parse().unwrap(),
            remote: remote.parse().unwrap(),
            connection: u64::from(transport != Transport::Udp),
        }
    }

    fn message(headers: &[(&str, &str)]) -> Message {
        let mut message = Message::request(Method::Register, "sip:realm.test");
        message
            .headers
            .push(Name::Via, "SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK1");
        for (name, value) in headers {
            message.headers.push_named(name, value.to_string());
        }
        message
    }

    fn judged(headers: &[(&str, &str)]) -> Result<Register, Refused> {
        let flow = flow(Transport::Udp, "198.51.100.7:40000");
        read(&message(headers), flow, &RegistrarConfig::default(), 300)
    }

    fn one(headers: &[(&str, &str)]) -> Wanted {
        match judged(headers).unwrap().asked {
            Asked::Change(mut list) if list.len() == 1 => list.remove(0),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_contacts_own_expiry_counts_before_the_headers_and_the_default() {
        let contact = ("Contact", "<sip:a@10.0.0.2>;expires=120");
        assert_eq!(one(&[contact, ("Expires", "600")]).expires, 120);
        let plain = ("Contact", "<sip:a@10.0.0.2>");
        assert_eq!(one(&[plain, ("Expires", "600")]).expires, 600);
        assert_eq!(one(&[plain]).expires, 300);
        assert_eq!(one(&[plain, ("Expires", "soon")]).expires, 300);
    }

    #[test]
    fn long_registrations_are_shortened_and_brief_ones_refused_with_the_minimum() {
        let plain = ("Contact", "<sip:a@10.0.0.2>");
        assert_eq!(one(&[plain, ("Expires", "4294967296")]).expires, 3600);
        let refused = judged(&[plain, ("Expires", "59")]).unwrap_err();
        assert_eq!(refused.status, 423);
        assert_eq!(refused.headers, [(Name::MinExpires, "60".to_owned())]);
        assert_eq!(one(&[plain, ("Expires", "0")]).expires, 0);
    }

    #[test]
    fn a_star_needs_expires_0_and_company_of_no_other_contact() {
        assert_eq!(
            judged(&[("Contact", "*"), ("Expires", "0")]).unwrap().asked,
            Asked::Clear
        );
        for bad in [
            vec![("Contact", "*")],
            vec![("Contact", "*"), ("Expires", "60")],
            vec![("Contact", "*, <sip:a@b>"), ("Expires", "0")],
            vec![("Contact", "<tel:+1>")],
            vec![("Contact", "<sip:a@b")],
        ] {
            assert_eq!(judged(&bad).unwrap_err().status, 400, "{bad:?}");
        }
    }

    #[test]
    fn a_contact_at_another_address_than_the_source_is_reached_at_the_source() {
        let natted = one(&[("Contact", "<sip:a@10.0.0.2:5060>")]);
        assert!(natted.behind_nat);
        assert_eq!(natted.flow.remote, "198.51.100.7:40000".parse().unwrap());
        let open = one(&[("Contact", "<sip:a@198.51.100.7:5062>")]);
        assert!(!open.behind_nat);
        assert_eq!(open.flow.remote, "198.51.100.7:5062".parse().unwrap());
        let named = one(&[("Contact", "<sip:a@phone.example>")]);
        assert_eq!(named.flow.remote, "198.51.100.7:40000".parse().unwrap());
    }

    #[test]
    fn a_contact_over_a_stream_is_reached_over_that_stream_alone() {
        let flow = flow(Transport::Tcp, "198.51.100.7:40000");
        let message = message(&[("Contact", "<sip:a@198.51.100.7:5060;transport=tcp>")]);
        let register = read(&message, flow, &RegistrarConfig::default(), 300).unwrap();
        let Asked::Change(list) = register.asked else {
            panic!()
        };
        assert_eq!((list[0].flow, list[0].behind_nat), (flow, false));
    }

    #[test]
    fn a_path_needs_a_phone_that_knows_it() {
        let contact = ("Contact", "<sip:a@10.0.0.2>");
        let path = ("Path", "<sip:198.51.100.7:5070;lr>");
        assert_eq!(judged(&[contact, path]).unwrap_err().status, 420);
        let supported = ("Supported", "path");
        let register = judged(&[contact, path, supported]).unwrap();
        assert_eq!(register.path, ["<sip:198.51.100.7:5070;lr>"]);
        let edge = one(&[contact, path, supported]).flow.remote;
        assert_eq!(edge, "198.51.100.7:5070".parse().unwrap());
        let elsewhere = ("Path", "<sip:203.0.113.5:5070;lr>");
        let edge = one(&[contact, elsewhere, supported]).flow.remote;
        assert_eq!(
            edge,
            "198.51.100.7:40000".parse().unwrap(),
            "nobody else is sent to"
        );
    }

    #[test]
    fn outbound_needs_instance_flow_number_and_support_on_the_way() {
        let contact = (
            "Contact",
            "<sip:a@10.0.0.2>;+sip.instance=\"<urn:uuid:1>\";reg-id=2",
        );
        let supported = ("Supported", "path, outbound");
        let register = judged(&[contact, supported]).unwrap();
        assert!(register.outbound);
        let without = judged(&[contact]).unwrap();
        assert!(!without.outbound);
        let Asked::Change(list) = without.asked else {
            panic!()
        };
        assert_eq!(list[0].key.reg_id, None);
        assert_eq!(list[0].key.instance.as_deref(), Some("<urn:uuid:1>"));
        let second_via = ("Via", "SIP/2.0/UDP 10.0.0.3;branch=z9hG4bK2");
        let refused = judged(&[contact, supported, second_via]).unwrap_err();
        assert_eq!(refused.status, 439);
        let edge = ("Path", "<sip:203.0.113.5;lr;ob>");
        assert!(
            judged(&[contact, supported, second_via, edge])
                .unwrap()
                .outbound
        );
    }

    #[test]
    fn headers_hidden_in_a_contact_are_dropped() {
        let wanted = one(&[("Contact", "<sip:a@10.0.0.2?Replaces=x>")]);
        assert_eq!(wanted.key.uri.to_string(), "sip:a@10.0.0.2");
    }

    /// Whatever a phone sends, the answer is a refusal or something within the limits.
    #[test]
    fn contacts_at_random_are_read_within_the_limits_or_refused() {
        const PARTS: &[&str] = &[
            "<",
            ">",
            "sip:",
            "sips:",
            "tel:",
            "a@b",
            "10.0.0.2",
            "[::1]",
            ":5060",
            ":99999",
            ";",
            "=",
            ",",
            "\"",
            "\\",
            "expires",
            "0",
            "59",
            "60",
            "99999999999",
            "-1",
            "+sip.instance",
            "reg-id",
            "<urn:uuid:1>",
            "q",
            "0.5",
            "7",
            "*",
            "transport",
            "tcp",
            "?",
            "%00",
            " ",
            "\t",
            "é",
        ];
        let mut rng = crate::base::rng::Rng::seeded(5);
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..rng.below(14) {
                let part = usize::try_from(rng.below(PARTS.len() as u64)).unwrap();
                text.push_str(PARTS[part]);
            }
            let headers = [
                ("Contact", text.as_str()),
                ("Supported", "path, outbound"),
                ("Expires", PARTS[usize::try_from(rng.below(35)).unwrap()]),
            ];
            let Ok(register) = judged(&headers) else {
                continue;
            };
            let Asked::Change(wanted) = register.asked else {
                continue;
            };
            for one in wanted {
                assert!(
                    one.expires == 0 || (60..=3600).contains(&one.expires),
                    "{text}"
                );
                assert!(one.key.uri.is_sip() && one.q <= 1000, "{text}");
                assert!(
                    one.key.reg_id.is_none() || one.key.instance.is_some(),
                    "{text}"
                );
            }
        }
    }
}
