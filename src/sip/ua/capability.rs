//! What we implement, and the refusals of what we do not (RFC 3261 §8.2.1–8.2.3).

use super::Body;
use super::reply::Refused;
use crate::sip::msg::{Message, Method, Name};

/// The methods implemented, for Allow.
pub(super) const ALLOW: &str =
    "INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, UPDATE, PRACK, REFER, SUBSCRIBE, REGISTER";
/// The extensions implemented, for Supported.
pub(super) const SUPPORTED: &str = "100rel, timer, replaces";
const OPTION_TAGS: [&str; 4] = ["100rel", "timer", "replaces", "norefersub"];
/// Bodies of INVITE, UPDATE and PRACK.
pub(super) const ACCEPT: &str = "application/sdp";
/// Bodies of INFO.
pub(super) const ACCEPT_INFO: &str = "application/dtmf-relay, application/dtmf";

/// Whether the method can begin something outside a dialog; otherwise 405 or 501 (§8.2.1).
pub(super) fn check_method(method: &Method) -> Result<(), Refused> {
    match method {
        Method::Invite
        | Method::Ack
        | Method::Bye
        | Method::Cancel
        | Method::Options
        | Method::Info
        | Method::Update
        | Method::Prack
        | Method::Refer => Ok(()),
        Method::Register
        | Method::Notify
        | Method::Subscribe
        | Method::Message
        | Method::Publish => Err(Refused::new(405).with(Name::Allow, ALLOW)),
        Method::Other(_) => Err(Refused::new(501).with(Name::Allow, ALLOW)),
    }
}

/// Refuses a Request-URI whose scheme we cannot serve (§8.2.2.1).
pub(super) fn check_scheme(uri: &str) -> Result<(), Refused> {
    let scheme = uri.split_once(':').map_or("", |(scheme, _)| scheme);
    let known = ["sip", "sips", "tel"]
        .iter()
        .any(|s| scheme.eq_ignore_ascii_case(s));
    if known {
        Ok(())
    } else {
        Err(Refused::new(416))
    }
}

/// Refuses extensions the peer requires and we lack (§8.2.2.3).
pub(super) fn check_require(message: &Message) -> Result<(), Refused> {
    check_required(message, &[])
}

/// The same where `more` extensions are known.
pub(super) fn check_required(message: &Message, more: &[&str]) -> Result<(), Refused> {
    let unsupported: Vec<&str> = message
        .tokens(Name::Require)
        .into_iter()
        .filter(|tag| {
            !OPTION_TAGS
                .iter()
                .chain(more)
                .any(|known| tag.eq_ignore_ascii_case(known))
        })
        .collect();
    if unsupported.is_empty() {
        Ok(())
    } else {
        Err(Refused::new(420).with(Name::Unsupported, unsupported.join(", ")))
    }
}

/// Whether a list of option tags or methods has that one.
pub(super) fn lists(message: &Message, name: Name, token: &str) -> bool {
    message.headers.count(name) > 0
        && message
            .tokens(name)
            .iter()
            .any(|t| t.eq_ignore_ascii_case(token))
}

/// The session description in a message, or the refusal of a body we cannot read (§8.2.3).
pub(super) fn session_body(message: &Message) -> Result<Option<Body>, Refused> {
    if message.body.is_empty() {
        return Ok(None);
    }
    check_encoding(message)?;
    let content_type = message.header(Name::ContentType).unwrap_or_default();
    if is_type(content_type, "application/sdp") {
        return Ok(Some(Body {
            content_type: content_type.into(),
            bytes: message.body.clone(),
        }));
    }
    if is_multipart(content_type) {
        return super::multipart::session_part(content_type, &message.body)
            .map_err(|_| Refused::new(415).with(Name::Accept, ACCEPT));
    }
    if is_optional(message.header(Name::ContentDisposition)) {
        return Ok(None);
    }
    Err(Refused::new(415).with(Name::Accept, ACCEPT))
}

/// Refuses a body in an encoding we lack.
pub(super) fn check_encoding(message: &Message) -> Result<(), Refused> {
    match message.header(Name::ContentEncoding) {
        Some(encoding) if !encoding.eq_ignore_ascii_case("identity") => {
            Err(Refused::new(415).with(Name::AcceptEncoding, "identity"))
        }
        Some(_) | None => Ok(()),
    }
}

/// Refuses an INVITE whose Accept leaves no room for a session description (§21.4.7).
pub(super) fn check_accept(message: &Message) -> Result<(), Refused> {
    if message.headers.count(Name::Accept) == 0 {
        return Ok(());
    }
    let wanted = ["application/sdp", "application/*", "*/*", "*"];
    let accepts = message
        .tokens(Name::Accept)
        .iter()
        .any(|range| wanted.iter().any(|w| is_type(range, w)));
    if accepts {
        Ok(())
    } else {
        Err(Refused::new(406).with(Name::Accept, ACCEPT))
    }
}

/// The session description of a response; a body we cannot read counts as none.
pub(super) fn response_body(message: &Message) -> Option<Body> {
    session_body(message).ok().flatten()
}

/// Whether a Content-Type value names that type, parameters aside.
pub(super) fn is_type(value: &str, wanted: &str) -> bool {
    value
        .split(';')
        .next()
        .is_some_and(|t| t.trim().eq_ignore_ascii_case(wanted))
}

fn is_multipart(content_type: &str) -> bool {
    is_type(content_type, "multipart/mixed") || is_type(content_type, "multipart/alternative")
}

/// Whether a Content-Disposition lets us ignore its body (§20.11).
pub(super) fn is_optional(disposition: Option<&str>) -> bool {
    disposition.is_some_and(|value| {
        value.split(';').skip(1).any(|param| {
            param.split_once('=').is_some_and(|(name, value)| {
                name.trim().eq_ignore_ascii_case("handling")
                    && value.trim().eq_ignore_ascii_case("optional")
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite(headers: &[(Name, &str)], body: &str) -> Message {
        let mut message = Message::request(Method::Invite, "sip:a@b");
        for (name, value) in headers {
            message.headers.push(*name, value.to_string());
        }
        message.body = body.to_owned().into();
        message
    }

    #[test]
    fn unknown_methods_are_501_and_known_ones_we_lack_405() {
        assert_eq!(check_method(&Method::Register).unwrap_err().status, 405);
        assert_eq!(
            check_method(&Method::from_token("FOO")).unwrap_err().status,
            501
        );
        assert!(check_method(&Method::Info).is_ok());
    }

    #[test]
    fn exactly_the_missing_extensions_are_named() {
        let message = invite(
            &[
                (Name::Require, "timer, nothingSupportsThis"),
                (Name::Require, "100REL,x"),
            ],
            "",
        );
        let refused = check_require(&message).unwrap_err();
        assert_eq!(
            (refused.status, refused.headers[0].1.as_str()),
            (420, "nothingSupportsThis, x")
        );
    }

    #[test]
    fn only_session_descriptions_are_read() {
        let sdp = invite(
            &[(Name::ContentType, "Application/SDP; charset=utf-8")],
            "v=0",
        );
        assert!(session_body(&sdp).unwrap().is_some());
        let text = invite(&[(Name::ContentType, "text/plain")], "v=0");
        assert_eq!(session_body(&text).unwrap_err().status, 415);
        let optional = invite(
            &[
                (Name::ContentType, "text/plain"),
                (Name::ContentDisposition, "icon;handling=optional"),
            ],
            "x",
        );
        assert_eq!(session_body(&optional).unwrap(), None);
        let zipped = invite(
            &[
                (Name::ContentType, "application/sdp"),
                (Name::ContentEncoding, "gzip"),
            ],
            "x",
        );
        assert_eq!(
            session_body(&zipped).unwrap_err().headers[0].0,
            Name::AcceptEncoding
        );
        assert_eq!(session_body(&invite(&[], "")).unwrap(), None);
    }

    #[test]
    fn an_accept_without_sdp_is_406() {
        assert_eq!(
            check_accept(&invite(&[(Name::Accept, "text/html")], ""))
                .unwrap_err()
                .status,
            406
        );
        assert!(
            check_accept(&invite(
                &[(Name::Accept, "text/html, application/sdp;q=0.5")],
                ""
            ))
            .is_ok()
        );
        assert!(check_accept(&invite(&[(Name::Accept, "*/*")], "")).is_ok());
        assert!(check_accept(&invite(&[], "")).is_ok());
    }

    #[test]
    fn schemes_we_cannot_serve_are_416() {
        assert!(check_scheme("SIP:a@b").is_ok());
        assert!(check_scheme("tel:+1").is_ok());
        assert_eq!(
            check_scheme("nobodyKnowsThisScheme:x").unwrap_err().status,
            416
        );
    }
}
