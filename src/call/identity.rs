//! Who a carrier says is calling (RFC 3325, RFC 3323). Only of peers that are trusted with it: what others write into
//! these headers is not read at all.

use crate::sip::msg::{Message, Name, NameAddr, Scheme};

/// Name and number of a caller.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) name: String,
    pub(super) number: String,
}

/// The caller a trusted peer asserts: P-Asserted-Identity, else Remote-Party-ID; `None` leaves it at From. A caller who
/// wants to be nobody is.
pub(super) fn asserted(message: &Message) -> Option<Identity> {
    let remote = || of(message, Name::RemotePartyId).into_iter().next();
    let chosen = of(message, Name::PAssertedIdentity)
        .into_iter()
        .find(|identity| identity.uri.user.is_some())
        .or_else(remote);
    if hides(message, chosen.as_ref()) {
        return Some(Identity {
            name: ANONYMOUS.to_owned(),
            number: ANONYMOUS.to_owned(),
        });
    }
    let chosen = chosen?;
    let number = chosen.uri.user_text()?.into_owned();
    let mut number = number.split(';').next().unwrap_or_default().to_owned();
    if chosen.uri.scheme == Scheme::Tel {
        // The marks between digits only please the eye (RFC 3966 §5.1.1).
        number = number.replace(['-', '.', '(', ')'], "");
    }
    let name = chosen.display.filter(|name| !name.is_empty());
    Some(Identity {
        name: name.unwrap_or_else(|| from_name(message).unwrap_or_else(|| number.clone())),
        number,
    })
    .filter(|identity| !identity.number.is_empty())
}

fn of(message: &Message, name: Name) -> Vec<NameAddr> {
    message.addresses(name).unwrap_or_default()
}

fn from_name(message: &Message) -> Option<String> {
    let name = message.from().ok()?.display?;
    (!name.is_empty()).then_some(name)
}

/// Whether the caller must not be shown (RFC 3323 §4.2, Remote-Party-ID's `privacy`).
fn hides(message: &Message, chosen: Option<&NameAddr>) -> bool {
    let values = message.headers.all(Name::Privacy);
    let asked = values
        .flat_map(|value| value.split([';', ',']))
        .any(|value| {
            ["id", "user", "header"]
                .iter()
                .any(|hidden| value.trim().eq_ignore_ascii_case(hidden))
        });
    let remote = message.header(Name::RemotePartyId).is_some() && {
        let privacy = chosen.and_then(|chosen| chosen.params.text("privacy"));
        privacy.is_some_and(|value| !value.eq_ignore_ascii_case("off"))
    };
    asked || remote
}

/// What is shown of somebody who wants to be nobody.
const ANONYMOUS: &str = "anonymous";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::msg::Method;

    fn read(headers: &[(&str, &str)]) -> Option<(String, String)> {
        let mut message = Message::request(Method::Invite, "sip:1@x");
        message
            .headers
            .push(Name::From, "\"From\" <sip:100@carrier.test>;tag=1");
        for (name, value) in headers {
            message.headers.push_named(name, (*value).to_owned());
        }
        asserted(&message).map(|identity| (identity.name, identity.number))
    }

    fn shown(name: &str, number: &str) -> Option<(String, String)> {
        Some((name.to_owned(), number.to_owned()))
    }

    #[test]
    fn an_asserted_identity_counts_before_the_others() {
        let remote = ("Remote-Party-ID", "<sip:300@carrier.test>;party=calling");
        let asserted = (
            "P-Asserted-Identity",
            "\"Bob\" <sip:+14155550123@carrier.test>",
        );
        assert_eq!(read(&[remote, asserted]), shown("Bob", "+14155550123"));
        assert_eq!(read(&[remote]), shown("From", "300"));
        assert_eq!(read(&[]), None);
        let telephone = ("P-Asserted-Identity", "<tel:+1-415-555-0123>");
        assert_eq!(read(&[telephone]), shown("From", "+14155550123"));
    }

    #[test]
    fn a_caller_who_wants_to_be_nobody_is() {
        let asserted = ("P-Asserted-Identity", "<sip:+14155550123@carrier.test>");
        let nobody = shown("anonymous", "anonymous");
        assert_eq!(read(&[asserted, ("Privacy", "id")]), nobody);
        assert_eq!(read(&[asserted, ("Privacy", "user;critical")]), nobody);
        assert_eq!(
            read(&[asserted, ("Privacy", "none")]),
            shown("From", "+14155550123")
        );
        let remote = (
            "Remote-Party-ID",
            "<sip:300@carrier.test>;privacy=full;screen=yes",
        );
        assert_eq!(read(&[remote]), nobody);
    }

    #[test]
    fn what_cannot_be_read_is_not_there() {
        assert_eq!(read(&[("P-Asserted-Identity", "<sip:")]), None);
        assert_eq!(read(&[("P-Asserted-Identity", "<sip:carrier.test>")]), None);
    }
}
