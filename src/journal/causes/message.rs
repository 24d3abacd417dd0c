//! What matters of a SIP message for the cause of a failure. Reads text, keeps little, expects nothing.

use std::net::IpAddr;

use crate::audio::codec::Codec;

/// The first line and the headers that matter.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen<'a> {
    /// Method of a request; empty for a response.
    pub(super) method: &'a str,
    /// Status of a response; 0 for a request.
    pub(super) status: u16,
    /// Reason phrase of a response.
    pub(super) phrase: &'a str,
    /// Method of CSeq.
    pub(super) about: &'a str,
    pub(super) warning: &'a str,
    pub(super) reason: &'a str,
    pub(super) retry_after: &'a str,
    pub(super) agent: &'a str,
    pub(super) from: &'a str,
    pub(super) authorized: bool,
    pub(super) body: &'a str,
}

/// Reads a message; `None` for what no cause is read from.
pub(super) fn read(bytes: &[u8]) -> Option<Seen<'_>> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(bytes.get(..error.valid_up_to())?).ok()?,
    };
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let mut lines = head.split("\r\n");
    let first = lines.next()?;
    let mut seen = Seen {
        body,
        ..Seen::default()
    };
    match first.strip_prefix("SIP/2.0 ") {
        Some(rest) => {
            let (status, phrase) = rest.split_once(' ').unwrap_or((rest, ""));
            seen.status = status.parse().ok()?;
            seen.phrase = phrase;
        }
        None => seen.method = first.split(' ').next()?,
    }
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let (name, value) = (name.trim(), value.trim());
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        if is("cseq") {
            seen.about = value.split_whitespace().nth(1).unwrap_or_default();
        } else if is("warning") {
            seen.warning = value;
        } else if is("reason") {
            seen.reason = value;
        } else if is("retry-after") {
            seen.retry_after = value.split([' ', ';', '(']).next().unwrap_or_default();
        } else if is("user-agent") || is("server") {
            seen.agent = value;
        } else if is("from") || is("f") {
            seen.from = value;
        } else if is("authorization") || is("proxy-authorization") {
            seen.authorized = true;
        }
    }
    Some(seen)
}

/// What a session description offers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Offer {
    /// Names of codecs, in order.
    pub(super) codecs: Vec<String>,
    /// Where media is to go.
    pub(super) address: Option<IpAddr>,
    /// Whether it can only be had encrypted.
    pub(super) secure: bool,
}

impl Offer {
    /// Reads the audio of a description.
    pub(super) fn read(sdp: &str) -> Option<Self> {
        let mut offer = Self::default();
        let mut types: Vec<&str> = Vec::new();
        let mut names: Vec<(&str, &str)> = Vec::new();
        let (mut audio, mut any) = (true, false);
        for line in sdp.lines() {
            if let Some(media) = line.strip_prefix("m=") {
                audio = media.starts_with("audio");
                if audio && !any {
                    any = true;
                    let mut words = media.split_whitespace();
                    offer.secure = words.nth(2).is_some_and(|profile| profile.contains("SAVP"));
                    types = words.take(32).collect();
                }
            } else if let Some(address) = line.strip_prefix("c=IN IP").filter(|_| audio) {
                let address = address.split_whitespace().nth(1).unwrap_or_default();
                offer.address = address.split('/').next().and_then(|a| a.parse().ok());
            } else if let Some(map) = line.strip_prefix("a=rtpmap:").filter(|_| audio) {
                names.extend(map.split_once(' '));
            }
        }
        for number in types {
            let mapped = names
                .iter()
                .find(|(n, _)| *n == number)
                .map(|(_, name)| *name);
            let name = mapped
                .and_then(|name| name.split('/').next())
                .or_else(|| known(number));
            let Some(name) = name else { continue };
            let other = ["telephone-event", "CN", "red"];
            if !other.iter().any(|o| o.eq_ignore_ascii_case(name)) {
                let name: String = name.chars().filter(|c| !c.is_control()).take(24).collect();
                if !offer.codecs.contains(&name) {
                    offer.codecs.push(name);
                }
            }
        }
        any.then_some(offer)
    }

    /// The codecs as a list for people.
    pub(super) fn list(&self) -> String {
        self.codecs.join(", ")
    }
}

/// What swivel has.
pub(super) fn supported() -> String {
    let names = Codec::USUAL.iter().map(|codec| match codec.name() {
        "opus" => "Opus".to_owned(),
        name => name.to_owned(),
    });
    names.collect::<Vec<_>>().join(", ")
}

/// Static payload types that telephones still offer without a name (RFC 3551 table 4).
fn known(number: &str) -> Option<&'static str> {
    Some(match number {
        "0" => "PCMU",
        "3" => "GSM",
        "4" => "G723",
        "8" => "PCMA",
        "9" => "G722",
        "18" => "G729",
        _ => return None,
    })
}

/// An address that is no use outside its own network.
pub(super) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_tells_its_codecs_by_map_or_number_and_no_events() {
        let sdp = "v=0\r\nc=IN IP4 192.168.1.7\r\nm=audio 4000 RTP/SAVP 18 96 101\r\na=rtpmap:96 AMR-WB/16000\r\na=rtpmap:101 telephone-event/8000\r\nm=video 1 RTP/AVP 97\r\na=rtpmap:97 H264/90000\r\nc=IN IP4 1.2.3.4\r\n";
        let offer = Offer::read(sdp).unwrap();
        assert_eq!(offer.list(), "G729, AMR-WB");
        assert!(offer.secure && is_private(offer.address.unwrap()));
        assert_eq!(Offer::read("hello"), None);
    }

    #[test]
    fn a_message_tells_status_method_and_warning_whatever_it_is() {
        let seen =
            read(b"SIP/2.0 488 Not Acceptable\r\nCSeq: 1 INVITE\r\nWarning: 399 a \"b\"\r\n\r\n")
                .unwrap();
        assert_eq!(
            (seen.status, seen.about, seen.warning),
            (488, "INVITE", "399 a \"b\"")
        );
        assert_eq!(read(b"\xff\xfe").map(|seen| seen.status), Some(0));
        assert!(read(b"SIP/2.0 abc\r\n\r\n").is_none());
    }
}
