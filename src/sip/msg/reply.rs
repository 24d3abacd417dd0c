//! Responses made from requests (RFC 3261 §8.2.6).

use std::net::SocketAddr;

use super::grammar::split_commas;
use super::{Message, Name, Via};

impl Message {
    /// A response to this request: all Via, From, To, Call-ID, CSeq, and Timestamp on 100 (RFC 3261 §8.2.6.1). A To
    /// without tag gets `to_tag` when it is given. Of headers that may be there once only the first is taken, so that
    /// this works for requests that are refused because they have two.
    pub fn reply(&self, status: u16, reason: &str, to_tag: Option<&str>) -> Message {
        let mut response = Message::response(status, reason);
        for header in self.headers.iter() {
            let wanted = match header.name {
                Name::Via => true,
                Name::From | Name::To | Name::CallId | Name::CSeq => {
                    response.headers.count(header.name) == 0
                }
                Name::Timestamp => status == 100 && response.headers.count(header.name) == 0,
                _ => false,
            };
            if !wanted {
                continue;
            }
            match to_tag.filter(|_| header.name == Name::To) {
                Some(tag) if self.to_tag().is_none() => {
                    let to = header.text().unwrap_or("");
                    response.headers.push(Name::To, format!("{to};tag={tag}"));
                }
                Some(_) | None => response.headers.push(header.name, header.value.clone()),
            }
        }
        response
    }

    /// Notes in the topmost Via where the request came from (RFC 3261 §18.2.1, RFC 3581 §4). A Via that cannot be read
    /// stays as it is.
    pub fn note_source(&mut self, source: SocketAddr) {
        let Some(value) = self.header(Name::Via) else {
            return;
        };
        let mut values = split_commas(value);
        let Some(mut via) = values.next().and_then(|first| Via::parse(first).ok()) else {
            return;
        };
        let before = via.clone();
        via.note_source(source);
        if via == before {
            return;
        }
        let mut text = via.to_string();
        for rest in values {
            text.push_str(", ");
            text.push_str(rest);
        }
        self.headers.replace_first(Name::Via, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::msg::Method;

    fn request() -> Message {
        let mut request = Message::request(Method::Invite, "sip:a@b");
        request.headers.push(
            Name::Via,
            "SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bK1;rport, SIP/2.0/TCP x",
        );
        request.headers.push(Name::Via, "SIP/2.0/TCP y");
        request.headers.push(Name::To, "<sip:a@b>");
        request.headers.push(Name::From, "<sip:c@d>;tag=1");
        request.headers.push(Name::CallId, "id");
        request.headers.push(Name::CSeq, "1 INVITE");
        request.headers.push(Name::Timestamp, "54");
        request.headers.push(Name::Contact, "<sip:c@d>");
        request
    }

    #[test]
    fn a_response_carries_what_the_rfc_says() {
        let ringing = request().reply(180, "", Some("t"));
        assert_eq!(ringing.header(Name::To), Some("<sip:a@b>;tag=t"));
        assert_eq!(ringing.headers.count(Name::Via), 2);
        assert_eq!(ringing.header(Name::Contact), None);
        assert_eq!(ringing.header(Name::Timestamp), None);
        let trying = request().reply(100, "", None);
        assert_eq!(trying.header(Name::To), Some("<sip:a@b>"));
        assert_eq!(trying.header(Name::Timestamp), Some("54"));
        let mut in_dialog = request();
        in_dialog.headers.set(Name::To, "<sip:a@b>;tag=theirs");
        assert_eq!(
            in_dialog.reply(200, "", Some("t")).header(Name::To),
            Some("<sip:a@b>;tag=theirs")
        );
    }

    #[test]
    fn only_the_topmost_via_learns_the_source() {
        let mut request = request();
        request.note_source("192.0.2.7:40000".parse().unwrap());
        let vias: Vec<_> = request.via_values().collect();
        assert_eq!(
            vias,
            [
                "SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bK1;received=192.0.2.7;rport=40000",
                "SIP/2.0/TCP x",
                "SIP/2.0/TCP y"
            ]
        );
        assert_eq!(
            request.top_via().unwrap().reply_address(),
            Some("192.0.2.7:40000".parse().unwrap())
        );
    }

    #[test]
    fn a_via_that_tells_the_truth_stays_as_it_came() {
        let mut request = request();
        request
            .headers
            .set(Name::Via, "SIP / 2.0/UDP  10.0.0.1;x;branch=z9hG4bK1");
        request.note_source("10.0.0.1:5060".parse().unwrap());
        assert_eq!(
            request.header(Name::Via),
            Some("SIP / 2.0/UDP  10.0.0.1;x;branch=z9hG4bK1")
        );
    }
}
