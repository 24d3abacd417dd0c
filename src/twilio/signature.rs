//! `X-Twilio-Signature` (`pivot.md` §8.7): HMAC-SHA1 over the URL and the form's parameters, under the auth token.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use url::{Url, form_urlencoded};

use crate::base::secret::Secret;

/// The header a signature goes into.
pub const HEADER: &str = "X-Twilio-Signature";

/// The query parameter that holds the hash of a body that is no form.
const BODY_HASH: &str = "bodySHA256";

/// Signs a request. A body that is neither empty nor a form is signed by its hash, which is added to the URL's query:
/// the request has to be sent to `url` as it is afterwards.
pub fn sign(token: &Secret, url: &mut Url, content_type: Option<&str>, body: &[u8]) -> String {
    if body.is_empty() {
        return mac(token, &signed(url));
    }
    if is_form(content_type) {
        let mut text = signed(url);
        text.push_str(&sorted(body));
        return mac(token, &text);
    }
    hashed(url, body);
    mac(token, &signed(url))
}

/// Signs the URL of a WebSocket handshake.
pub fn sign_handshake(token: &Secret, url: &Url) -> String {
    mac(token, &signed(url))
}

/// The URL as the server sees it: user information and fragment never reach it.
fn signed(url: &Url) -> String {
    let mut url = url.clone();
    url.set_fragment(None);
    // Fails only for URLs that cannot have user information.
    if url.set_username("").is_err() || url.set_password(None).is_err() {
        tracing::debug!(scheme = url.scheme(), "a URL without a host is signed");
    }
    url.into()
}

fn is_form(content_type: Option<&str>) -> bool {
    content_type
        .and_then(|text| text.split(';').next())
        .is_some_and(|kind| {
            kind.trim()
                .eq_ignore_ascii_case("application/x-www-form-urlencoded")
        })
}

/// Each name, in order, with each of its values, in order, and neither twice.
fn sorted(body: &[u8]) -> String {
    let mut params: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(body) {
        params
            .entry(name.into_owned())
            .or_default()
            .insert(value.into_owned());
    }
    let mut text = String::new();
    for (name, values) in params {
        for value in values {
            text.push_str(&name);
            text.push_str(&value);
        }
    }
    text
}

/// Adds the hash of the body to the query, in place of one that is there.
fn hashed(url: &mut Url, body: &[u8]) {
    let hash = hex::encode(Sha256::digest(body));
    let kept: Vec<&str> = url
        .query()
        .into_iter()
        .flat_map(|query| query.split('&'))
        .filter(|pair| !pair.is_empty() && pair.split('=').next() != Some(BODY_HASH))
        .collect();
    let mut query = kept.join("&");
    if !query.is_empty() {
        query.push('&');
    }
    query.push_str(BODY_HASH);
    query.push('=');
    query.push_str(&hash);
    url.set_query(Some(&query));
}

fn mac(token: &Secret, text: &str) -> String {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(token.reveal().as_bytes()) else {
        return String::new();
    };
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: Option<&str> = Some("application/x-www-form-urlencoded");

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn signed_form(body: &str) -> String {
        let mut to = url("https://mycompany.com/myapp.php?foo=1&bar=2");
        let signature = sign(&Secret::new("12345"), &mut to, FORM, body.as_bytes());
        assert_eq!(to.as_str(), "https://mycompany.com/myapp.php?foo=1&bar=2");
        signature
    }

    #[test]
    fn the_published_vectors_are_met() {
        assert_eq!(
            signed_form(
                "CallSid=CA1234567890ABCDE&Caller=%2B12349013030&Digits=1234&From=%2B12349013030&To=%2B18005551212"
            ),
            "0/KCTR6DLpKmkAf8muzZqo1nDgQ="
        );
        assert_eq!(
            signed_form(
                "To=%2B18005551212&Digits=1234&From=%2B14158675309&Caller=%2B14158675309&CallSid=CA1234567890ABCDE"
            ),
            "RSOYDt4T1cUTdK1PDd93/VVr8B8="
        );
    }

    #[test]
    fn order_and_repetition_of_parameters_do_not_matter() {
        assert_eq!(signed_form("b=2&a=1&a=0"), signed_form("a=0&a=1&b=2&a=1"));
        assert_ne!(signed_form("b=2&a=1"), signed_form("b=2&a=1&a=0"));
        assert_eq!(signed_form("a=x+y"), signed_form("a=x%20y"));
    }

    #[test]
    fn a_get_is_signed_by_its_url_alone() {
        let token = Secret::new("12345");
        let mut to = url("http://user:word@app.test:8080/a?x=1#part");
        let signature = sign(&token, &mut to, None, b"");
        assert_eq!(signature, mac(&token, "http://app.test:8080/a?x=1"));
        assert_eq!(to.as_str(), "http://user:word@app.test:8080/a?x=1#part");
        assert_eq!(
            sign_handshake(&token, &url("wss://app.test:443/media")),
            mac(&token, "wss://app.test/media")
        );
    }

    #[test]
    fn another_body_is_signed_by_its_hash_in_the_query() {
        let token = Secret::new("12345");
        let body = br#"{"CallSid":"CA1"}"#;
        let hash = hex::encode(Sha256::digest(body));
        for (from, to) in [
            (
                "https://a.test/x",
                format!("https://a.test/x?bodySHA256={hash}"),
            ),
            (
                "https://a.test/x?k=v&bodySHA256=00",
                format!("https://a.test/x?k=v&bodySHA256={hash}"),
            ),
        ] {
            let mut sent = url(from);
            let signature = sign(&token, &mut sent, Some("application/json"), body);
            assert_eq!(sent.as_str(), to);
            assert_eq!(signature, mac(&token, &to));
        }
    }
}
