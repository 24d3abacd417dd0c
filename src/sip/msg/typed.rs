//! The typed values of a message's headers, read when they are asked for.

use super::cseq::CSeq;
use super::grammar::{split_commas, trim};
use super::media_type::MediaType;
use super::name_addr::{Contacts, NameAddr};
use super::via::Via;
use super::{HeaderError, Message, Method, Name, Uri, timer};

impl Message {
    /// The topmost Via.
    pub fn top_via(&self) -> Result<Via, HeaderError> {
        Via::parse(
            self.via_values()
                .next()
                .ok_or(HeaderError::new("Via", "missing"))?,
        )
    }

    /// All Via values from the top, comma lists split.
    pub fn via_values(&self) -> impl Iterator<Item = &str> {
        self.headers.all(Name::Via).flat_map(split_commas)
    }

    /// The From header.
    pub fn from(&self) -> Result<NameAddr, HeaderError> {
        NameAddr::parse(self.required(Name::From)?)
    }

    /// The To header.
    pub fn to(&self) -> Result<NameAddr, HeaderError> {
        NameAddr::parse(self.required(Name::To)?)
    }

    /// The From tag; RFC 2543 peers have none.
    pub fn from_tag(&self) -> Option<String> {
        self.from().ok()?.tag().map(str::to_owned)
    }

    /// The To tag; none outside a dialog.
    pub fn to_tag(&self) -> Option<String> {
        self.to().ok()?.tag().map(str::to_owned)
    }

    /// The CSeq header.
    pub fn cseq(&self) -> Result<CSeq, HeaderError> {
        CSeq::parse(self.required(Name::CSeq)?)
    }

    /// The Call-ID.
    pub fn call_id(&self) -> Option<&str> {
        self.header(Name::CallId)
    }

    /// The Request-URI.
    pub fn uri(&self) -> Result<Uri, HeaderError> {
        Uri::parse(
            self.request_uri()
                .ok_or(HeaderError::new("Request-URI", "not a request"))?,
        )
    }

    /// All Contacts; an empty list when there is none.
    pub fn contacts(&self) -> Result<Contacts, HeaderError> {
        let mut list = Vec::new();
        for value in self.headers.all(Name::Contact).flat_map(split_commas) {
            if value == "*" {
                return if self
                    .headers
                    .all(Name::Contact)
                    .flat_map(split_commas)
                    .count()
                    == 1
                {
                    Ok(Contacts::Star)
                } else {
                    Err(HeaderError::new("Contact", "`*` beside other contacts"))
                };
            }
            list.push(NameAddr::parse(value)?);
        }
        Ok(Contacts::List(list))
    }

    /// The one Contact of a dialog-forming message.
    pub fn contact(&self) -> Result<Option<NameAddr>, HeaderError> {
        match self.contacts()? {
            Contacts::Star => Err(HeaderError::new("Contact", "`*` outside REGISTER")),
            Contacts::List(list) => Ok(list.into_iter().next()),
        }
    }

    /// The Route set from the top.
    pub fn routes(&self) -> Result<Vec<NameAddr>, HeaderError> {
        self.addresses(Name::Route)
    }

    /// The Record-Route set from the top.
    pub fn record_routes(&self) -> Result<Vec<NameAddr>, HeaderError> {
        self.addresses(Name::RecordRoute)
    }

    /// All addresses of a header that is a list of them (Route, Path, P-Asserted-Identity, Diversion …).
    pub fn addresses(&self, name: Name) -> Result<Vec<NameAddr>, HeaderError> {
        self.headers
            .all(name)
            .flat_map(split_commas)
            .map(NameAddr::parse)
            .collect()
    }

    /// The elements of a comma list such as Supported, Require, Allow; empty ones dropped.
    pub fn tokens(&self, name: Name) -> Vec<&str> {
        self.headers
            .all(name)
            .flat_map(split_commas)
            .filter(|token| !token.is_empty())
            .collect()
    }

    /// Whether a comma list has that token, whatever its case.
    pub fn has_token(&self, name: Name, token: &str) -> bool {
        self.headers
            .all(name)
            .flat_map(split_commas)
            .any(|t| t.eq_ignore_ascii_case(token))
    }

    /// The Content-Type; `None` when absent.
    pub fn content_type(&self) -> Result<Option<MediaType>, HeaderError> {
        self.header(Name::ContentType)
            .map(MediaType::parse)
            .transpose()
    }

    /// Max-Forwards; `None` when absent or unreadable (the parser refuses requests where it is).
    pub fn max_forwards(&self) -> Option<u8> {
        super::grammar::decimal(trim(self.header(Name::MaxForwards)?))
    }

    /// Expires in seconds, clamped to 2³² − 1; `None` when absent or unreadable.
    pub fn expires(&self) -> Option<u32> {
        timer::expires_seconds(self.header(Name::Expires)?)
    }

    /// The method the message is about: a request's own, a response's from CSeq.
    pub fn cseq_method(&self) -> Option<Method> {
        match self.method() {
            Some(method) => Some(method.clone()),
            None => self.cseq().ok().map(|cseq| cseq.method),
        }
    }

    fn required(&self, name: Name) -> Result<&str, HeaderError> {
        self.header(name)
            .ok_or(HeaderError::new(name.as_str(), "missing"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(headers: &[(&str, &str)]) -> Message {
        let mut message = Message::request(Method::Invite, "sip:a@b");
        for (name, value) in headers {
            message.headers.push_named(name, value.to_string());
        }
        message
    }

    #[test]
    fn the_top_via_is_the_first_of_a_comma_list() {
        let m = message(&[
            ("v", "SIP/2.0/UDP a;branch=z9hG4bK1 , SIP/2.0/TCP b"),
            ("Via", "SIP/2.0/TLS c"),
        ]);
        assert_eq!(m.top_via().unwrap().host.as_str(), "a");
        assert_eq!(m.via_values().count(), 3);
    }

    #[test]
    fn contacts_are_a_star_or_a_list() {
        let contacts = message(&[("Contact", "*")]).contacts().unwrap();
        assert_eq!(contacts, Contacts::Star);
        let m = message(&[
            (
                "m",
                "<sip:a@b>;+sip.instance=\"<urn:uuid:0>\", <sip:c@d>;q=0.1",
            ),
            ("Contact", "sip:e@f"),
        ]);
        assert!(matches!(m.contacts(), Ok(Contacts::List(list)) if list.len() == 3));
        assert!(
            message(&[("m", "*"), ("m", "<sip:a@b>")])
                .contacts()
                .is_err()
        );
        assert!(message(&[("m", "*")]).contact().is_err());
        assert_eq!(message(&[]).contact(), Ok(None));
    }

    #[test]
    fn token_lists_join_their_lines() {
        let m = message(&[
            ("k", "replaces, ,timer"),
            ("Supported", "100rel"),
            ("Supported", ""),
        ]);
        assert_eq!(m.tokens(Name::Supported), ["replaces", "timer", "100rel"]);
        assert!(m.has_token(Name::Supported, "TIMER"));
        assert!(!m.has_token(Name::Require, "timer"));
    }
}
