//! The only file that names the package rsip.
//!
//! rsip reads well-formed values fast and right; what it refuses or changes (compact names, folding, IPv6, `tel:`,
//! SHA-256 digests, several contacts …) our own parsers read. It serves media types here: `type/subtype` with
//! parameters. No type of rsip appears in a signature, and what it refuses is `None`, so that the
//! caller's own reading decides.

use rsip::headers::typed::Tokenize as _;
use rsip::headers::typed::{ContentType, MediaType};

/// Essence and parameters of a media type, as they were written. `None` when rsip refuses it, or when it has quotes,
/// escapes or a list, which rsip would read wrongly.
pub(crate) fn media_type(text: &str) -> Option<(String, Vec<(String, String)>)> {
    if text.contains(['"', '\\', ',']) {
        return None;
    }
    let tokens = rsip::headers::typed::content_type::Tokenizer::tokenize(text).ok()?;
    let ContentType(media) = ContentType::try_from(tokens).ok()?;
    let (essence, params) = match media {
        MediaType::Sdp(params) => ("application/sdp".to_owned(), params),
        MediaType::Other(essence, params) => (essence, params),
    };
    Some((
        essence,
        params.into_iter().map(|param| (param.0, param.1)).collect(),
    ))
}

/// Reads a whole message by rsip and gives back its Call-ID and body: a second opinion for tests that hold the two
/// parsers against each other.
#[cfg(test)]
pub(crate) fn second_opinion(bytes: &[u8]) -> Option<(String, Vec<u8>)> {
    use rsip::headers::UntypedHeader as _;
    use rsip::message::HeadersExt as _;
    let message = rsip::SipMessage::try_from(bytes).ok()?;
    let call_id = message.call_id_header().ok()?.value().to_owned();
    Some((call_id, message.body().clone()))
}
