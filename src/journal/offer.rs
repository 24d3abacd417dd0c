//! What a session description offers, as people read it: any text, nothing is refused. (What a call agrees on is `sdp`'s.)

use std::net::IpAddr;

/// What a session description offers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::journal) struct Offer {
    /// Names of codecs, in order.
    pub(in crate::journal) codecs: Vec<String>,
    /// Where media is to go.
    pub(in crate::journal) address: Option<IpAddr>,
    /// Whether it can only be had encrypted.
    pub(in crate::journal) secure: bool,
}

impl Offer {
    /// Reads the audio of a description.
    pub(in crate::journal) fn read(sdp: &str) -> Option<Self> {
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
    pub(in crate::journal) fn list(&self) -> String {
        self.codecs.join(", ")
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_tells_its_codecs_by_map_or_number_and_no_events() {
        let sdp = "v=0\r\nc=IN IP4 192.168.1.7\r\nm=audio 4000 RTP/SAVP 18 96 101\r\na=rtpmap:96 AMR-WB/16000\r\na=rtpmap:101 telephone-event/8000\r\nm=video 1 RTP/AVP 97\r\na=rtpmap:97 H264/90000\r\nc=IN IP4 1.2.3.4\r\n";
        let offer = Offer::read(sdp).unwrap();
        assert_eq!(offer.list(), "G729, AMR-WB");
        assert!(offer.secure);
        assert_eq!(offer.address.unwrap().to_string(), "192.168.1.7");
        assert_eq!(Offer::read("hello"), None);
    }
}
