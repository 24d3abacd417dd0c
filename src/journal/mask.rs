//! What never leaves the journal: credentials in SIP and HTTP headers, media keys, digits, passwords in URLs.

use bytes::Bytes;
use serde_json::Value;

use super::detail::Detail;
use super::fact::Fact;

/// What stands in place of a secret.
pub const MASK: &str = "***";

/// SIP headers whose value is a credential.
const SIP_SECRETS: [&str; 4] = [
    "authorization",
    "proxy-authorization",
    "x-auth-token",
    "identity",
];
/// SDP attributes that carry a key.
const SDP_SECRETS: [&str; 2] = ["a=crypto:", "a=ice-pwd:"];
/// Words in an HTTP header's name that make its value a secret.
const HTTP_WORDS: [&str; 7] = [
    "authorization",
    "cookie",
    "token",
    "secret",
    "password",
    "api-key",
    "apikey",
];
/// Query parameters that carry a secret.
const QUERY_SECRETS: [&str; 6] = [
    "auth_token",
    "access_token",
    "token",
    "password",
    "secret",
    "api_key",
];

/// The fact without secrets.
pub(super) fn fact(fact: Fact) -> Fact {
    match fact {
        Fact::Sip {
            call_id,
            at,
            direction,
            peer,
            local,
            transport,
            bytes,
        } => Fact::Sip {
            call_id,
            at,
            direction,
            peer,
            local,
            transport,
            bytes: sip(&bytes),
        },
        Fact::Hook {
            call_id,
            at,
            step,
            url: address,
            status,
            took_ms,
            note,
        } => Fact::Hook {
            call_id,
            at,
            step,
            url: url(&address),
            status,
            took_ms,
            note,
        },
        Fact::Detail {
            call_id,
            at,
            detail,
        } => Fact::Detail {
            call_id,
            at,
            detail: self::detail(detail),
        },
        other => other,
    }
}

fn detail(mut detail: Detail) -> Detail {
    let headers = |all: &mut [(String, String)]| {
        for (name, value) in all {
            if http_header(name, value) == MASK {
                MASK.clone_into(value);
            }
        }
    };
    match &mut detail {
        Detail::Asked(asked) => {
            asked.url = url(&asked.url);
            headers(&mut asked.headers);
        }
        Detail::Told(told) => headers(&mut told.headers),
        Detail::NodeData { data } => urls(data),
        Detail::Sound { text, .. } if text.contains("://") => *text = url(text),
        _ => {}
    }
    detail
}

/// Masks the URLs of a document.
fn urls(value: &mut Value) {
    match value {
        Value::String(text) if text.contains("://") => *text = url(text),
        Value::Array(items) => items.iter_mut().for_each(urls),
        Value::Object(fields) => fields.values_mut().for_each(urls),
        _ => {}
    }
}

/// Parameters that hold keys a caller pressed: `Digits`, `Digits[name]`.
fn is_digits(name: &str) -> bool {
    name.get(..6)
        .is_some_and(|begin| begin.eq_ignore_ascii_case("digits"))
        && !name
            .as_bytes()
            .get(6)
            .is_some_and(u8::is_ascii_alphanumeric)
}

/// The body of a request without the keys a caller pressed: a form, or JSON.
pub(super) fn digits(body: &str) -> String {
    if let Ok(mut document) = serde_json::from_str::<Value>(body)
        && document.is_object()
    {
        hide(&mut document);
        return document.to_string();
    }
    let pair = |pair: &str| match pair.split_once('=') {
        Some((name, value)) if is_digits(name) && !value.is_empty() => format!("{name}={MASK}"),
        _ => pair.to_owned(),
    };
    body.split('&').map(pair).collect::<Vec<_>>().join("&")
}

fn hide(document: &mut Value) {
    match document {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if is_digits(name) && !text.is_empty() => {
                        MASK.clone_into(text);
                    }
                    Value::Object(all) if is_digits(name) => {
                        all.values_mut().for_each(|value| *value = MASK.into());
                    }
                    _ => hide(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide),
        _ => {}
    }
}

/// A URL without the keys a caller pressed.
pub(super) fn digits_of_url(url: &str) -> String {
    match url.split_once('?') {
        Some((before, query)) => {
            let (query, fragment) = match query.split_once('#') {
                Some((query, fragment)) => (query, Some(fragment)),
                None => (query, None),
            };
            let fragment = fragment.map_or_else(String::new, |fragment| format!("#{fragment}"));
            format!("{before}?{}{fragment}", digits(query))
        }
        None => url.to_owned(),
    }
}

/// A copy of a SIP message with credentials, media keys and dialled digits masked. Always a copy, so that a small
/// message does not keep a large receive buffer alive.
pub fn sip(message: &[u8]) -> Bytes {
    if !has_secret(message) {
        return Bytes::copy_from_slice(message);
    }
    let mut out = Vec::with_capacity(message.len());
    // Set while the line is, or continues, a masked header.
    let mut hidden = false;
    let mut in_head = true;
    for line in message.split_inclusive(|b| *b == b'\n') {
        let text = line.trim_ascii_end();
        let ending = line.get(text.len()..).unwrap_or_default();
        if in_head && text.is_empty() {
            in_head = false;
        }
        if in_head && hidden && line.first().is_some_and(|b| matches!(b, b' ' | b'\t')) {
            continue;
        }
        let shown = if in_head {
            head_line(text)
        } else {
            body_line(text)
        };
        hidden = shown.is_some();
        match shown {
            Some(kept) => {
                out.extend_from_slice(kept);
                out.extend_from_slice(MASK.as_bytes());
                out.extend_from_slice(ending);
            }
            None => out.extend_from_slice(line),
        }
    }
    Bytes::from(out)
}

/// Whether anything in a SIP message must be masked: in most there is nothing.
fn has_secret(message: &[u8]) -> bool {
    let mut in_head = true;
    message.split(|b| *b == b'\n').any(|line| {
        let text = line.trim_ascii_end();
        if !in_head {
            return body_line(text).is_some();
        }
        in_head = !text.is_empty();
        // What the names of such headers begin with; a name may be indented.
        let begins = text.first().is_some_and(|first| {
            matches!(first.to_ascii_lowercase(), b'a' | b'p' | b'x' | b'i')
                || first.is_ascii_whitespace()
        });
        begins && head_line(text).is_some()
    })
}

/// A session description without its media keys.
pub fn sdp(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|b| *b == b'\n') {
        let kept = line.trim_ascii_end();
        match body_line(kept) {
            Some(shown) => {
                out.extend_from_slice(shown);
                out.extend_from_slice(MASK.as_bytes());
                out.extend_from_slice(line.get(kept.len()..).unwrap_or_default());
            }
            None => out.extend_from_slice(line),
        }
    }
    out
}

/// What to keep of a header line that is masked.
fn head_line(line: &[u8]) -> Option<&[u8]> {
    let colon = line.iter().position(|b| *b == b':')?;
    let (name, value) = line.split_at_checked(colon)?;
    let name = name.trim_ascii();
    if !SIP_SECRETS
        .iter()
        .any(|secret| name.eq_ignore_ascii_case(secret.as_bytes()))
    {
        return None;
    }
    // The scheme may be seen.
    let spaces = value
        .get(1..)?
        .iter()
        .take_while(|b| b.is_ascii_whitespace())
        .count();
    let scheme = value
        .get(1 + spaces..)?
        .iter()
        .take_while(|b| b.is_ascii_alphanumeric())
        .count();
    let followed = value
        .get(1 + spaces + scheme)
        .is_some_and(u8::is_ascii_whitespace);
    let kept = if followed {
        colon + 2 + spaces + scheme
    } else {
        colon + 1 + spaces
    };
    line.get(..kept)
}

/// What to keep of a body line that is masked: SDP keys, and the digit of `application/dtmf-relay`.
fn body_line(line: &[u8]) -> Option<&[u8]> {
    let starts = |prefix: &str| {
        line.len() >= prefix.len()
            && line
                .get(..prefix.len())
                .is_some_and(|s| s.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    if let Some(prefix) = SDP_SECRETS.iter().find(|prefix| starts(prefix)) {
        return line.get(..prefix.len());
    }
    if starts("Signal") {
        let equals = line.iter().position(|b| *b == b'=')?;
        return line.get(..=equals);
    }
    // application/dtmf: the body is the digit.
    (line.len() == 1).then_some(&[])
}

/// A header's value, or the mask when its name says that it is a secret.
pub fn http_header<'a>(name: &str, value: &'a str) -> &'a str {
    let name = name.to_ascii_lowercase();
    if HTTP_WORDS.iter().any(|word| name.contains(word)) {
        MASK
    } else {
        value
    }
}

/// A URL without its password and without secrets in its query. Text that is no URL is given back.
pub fn url(text: &str) -> String {
    let Ok(mut url) = url::Url::parse(text) else {
        return text.to_owned();
    };
    let mut changed = false;
    if url.password().is_some() {
        changed |= url.set_password(Some(MASK)).is_ok();
    }
    let secret = |name: &str| {
        QUERY_SECRETS
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
    };
    if url.query_pairs().any(|(name, _)| secret(&name)) {
        let query = url.query().unwrap_or_default();
        let shown: Vec<String> = query
            .split('&')
            .map(|pair| match pair.split_once('=') {
                Some((name, _)) if secret(name) => format!("{name}={MASK}"),
                _ => pair.to_owned(),
            })
            .collect();
        let shown = shown.join("&");
        url.set_query(Some(&shown));
        changed = true;
    }
    if changed { url.into() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(message: &str) -> String {
        String::from_utf8(sip(message.as_bytes()).to_vec()).unwrap()
    }

    #[test]
    fn credentials_folded_or_not_are_masked_and_nothing_else_is() {
        let shown = masked(
            "INVITE sip:1@x SIP/2.0\r\nAuthorization: Digest username=\"canary-user\",\r\n response=\"canary\"\r\n\
             proxy-authorization:Digest canary\r\nX-Auth-Token: canary\r\nFrom: <sip:a@b>\r\n\r\n",
        );
        assert!(!shown.contains("canary"), "{shown}");
        assert_eq!(
            shown,
            "INVITE sip:1@x SIP/2.0\r\nAuthorization: Digest ***\r\nproxy-authorization:Digest ***\r\n\
             X-Auth-Token: ***\r\nFrom: <sip:a@b>\r\n\r\n"
        );
    }

    #[test]
    fn a_message_without_secrets_is_copied_as_it_is() {
        let text =
            "INVITE x SIP/2.0\r\nAllow: ACK\r\nX-Id: 1\r\n v: 2\r\n\r\nv=0\r\na=ptime:20\r\n\r\n";
        assert_eq!(masked(text), text);
        assert_eq!(masked("a\nB: c"), "a\nB: c");
        assert_eq!(masked("x y\n Authorization: z"), "x y\n Authorization: ***");
    }

    #[test]
    fn media_keys_and_digits_are_masked() {
        let sdp = masked(
            "INVITE x SIP/2.0\r\nl: 1\r\n\r\nv=0\r\na=crypto:1 AES inline:canary\r\na=ice-pwd:canary\r\nm=audio 1\r\n",
        );
        assert!(
            !sdp.contains("canary") && sdp.contains("m=audio 1"),
            "{sdp}"
        );
        let info = masked("INFO x SIP/2.0\r\n\r\nSignal=7\r\nDuration=160\r\n");
        assert!(
            info.contains("Signal=***") && info.contains("Duration=160"),
            "{info}"
        );
        assert!(!masked("INFO x SIP/2.0\r\n\r\n7").ends_with('7'));
    }

    #[test]
    fn passwords_and_tokens_in_urls_are_masked() {
        assert_eq!(url("http://u:canary@h/p?a=1"), "http://u:***@h/p?a=1");
        assert_eq!(
            url("http://h/p?a=1&auth_token=canary"),
            "http://h/p?a=1&auth_token=***"
        );
        assert_eq!(url("http://h/p?a=%20x"), "http://h/p?a=%20x");
        assert_eq!(url("not a url"), "not a url");
    }

    #[test]
    fn details_keep_no_secret() {
        let data = serde_json::json!({"voice_url": "http://u:canary@h/p", "list": [{"url": "http://h/?token=canary"}]});
        let shown = format!("{:?}", detail(Detail::NodeData { data }));
        assert!(
            !shown.contains("canary") && shown.contains("voice_url"),
            "{shown}"
        );
        let told = super::super::Told {
            headers: vec![("Set-Cookie".into(), "canary".into())],
            ..Default::default()
        };
        let shown = format!("{:?}", detail(Detail::Told(Box::new(told))));
        assert!(
            !shown.contains("canary") && shown.contains("Set-Cookie"),
            "{shown}"
        );
    }

    #[test]
    fn secret_http_headers_are_known_by_name() {
        assert_eq!(http_header("Authorization", "Basic x"), MASK);
        assert_eq!(http_header("X-Api-Token", "x"), MASK);
        assert_eq!(http_header("Content-Type", "text/xml"), "text/xml");
    }

    #[test]
    fn keys_a_caller_pressed_are_left_out_of_forms_queries_and_json() {
        assert_eq!(
            digits("Call-ID=a&Digits=4711%23&Digits%5Bpin%5D=99&Digits=&From=%2B1"),
            "Call-ID=a&Digits=***&Digits%5Bpin%5D=***&Digits=&From=%2B1"
        );
        assert_eq!(digits("DigitsTotal=3&digits=1"), "DigitsTotal=3&digits=***");
        assert_eq!(
            digits_of_url("https://a.example/x?To=1&Digits=12#Digits=3"),
            "https://a.example/x?To=1&Digits=***#Digits=3"
        );
        assert_eq!(
            digits_of_url("https://a.example/Digits=1"),
            "https://a.example/Digits=1"
        );
        let json = digits(r#"{"Digits": {"pin": "1234"}, "more": [{"digits": "5"}], "n": 1}"#);
        assert!(!json.contains("1234") && !json.contains('5'), "{json}");
        assert_eq!(digits("no form at all"), "no form at all");
    }
}
