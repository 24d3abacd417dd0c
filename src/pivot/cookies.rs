//! Cookies of a call, as servers written for Twilio expect them (`pivot.md` §8.6): kept as long as the call, told the host
//! that set them. Paths, domains and dates are not looked at; what is to be gone at once is gone.

use url::Url;

/// One cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cookie<'a> {
    pub(super) name: &'a str,
    /// `None`: it is to be forgotten.
    pub(super) value: Option<&'a str>,
}

impl<'a> Cookie<'a> {
    /// Reads a `Set-Cookie` (RFC 6265 §5.2).
    pub(super) fn read(header: &'a str) -> Option<Self> {
        let mut parts = header.split(';');
        let (name, value) = parts.next()?.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        let is_plain = |text: &str| text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
        if name.is_empty() || !is_plain(name) || !is_plain(value) || header.len() > MAX_LENGTH {
            return None;
        }
        let is_over = parts
            .filter_map(|part| part.split_once('='))
            .any(|(key, age)| {
                key.trim().eq_ignore_ascii_case("max-age")
                    && age.trim().parse::<i64>().is_ok_and(|age| age <= 0)
            });
        Some(Self {
            name,
            value: (!is_over).then_some(value),
        })
    }
}

/// Host, name and value of each.
pub(super) type Jar = Vec<(String, String, String)>;

/// The `Cookie` header for that URL, when it is to have one.
pub(super) fn header(jar: &Jar, url: &Url) -> Option<String> {
    let host = url.host_str()?;
    let own = jar.iter().filter(|(of, ..)| of == host);
    let pairs: Vec<String> = own
        .map(|(_, name, value)| format!("{name}={value}"))
        .collect();
    (!pairs.is_empty()).then(|| pairs.join("; "))
}

/// Takes in what the server at `url` has set.
pub(super) fn keep(jar: &mut Jar, url: &Url, headers: &[(String, String)]) {
    let Some(host) = url.host_str() else { return };
    let set = headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    for cookie in set.filter_map(|(_, value)| Cookie::read(value)) {
        jar.retain(|(of, name, _)| of != host || name != cookie.name);
        if let Some(value) = cookie.value
            && jar.len() < MAX_COOKIES
        {
            jar.push((host.to_owned(), cookie.name.to_owned(), value.to_owned()));
        }
    }
}

/// Cookies of one call.
const MAX_COOKIES: usize = 20;
/// Bytes of one `Set-Cookie`.
const MAX_LENGTH: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_go_back_to_the_host_that_set_them_until_it_ends_them() {
        let (here, there): (Url, Url) = (
            "http://h.example/a".parse().unwrap(),
            "http://other.example/".parse().unwrap(),
        );
        let mut jar = Vec::new();
        let set = |text: &str| vec![("set-cookie".to_owned(), text.to_owned())];
        keep(&mut jar, &here, &set("session=a=b; Path=/; HttpOnly"));
        keep(&mut jar, &here, &set("n=1"));
        assert_eq!(header(&jar, &here).as_deref(), Some("session=a=b; n=1"));
        assert_eq!(header(&jar, &there), None);
        keep(&mut jar, &here, &set("n=2; Max-Age=60"));
        keep(&mut jar, &here, &set("session=; Max-Age=0"));
        assert_eq!(header(&jar, &here).as_deref(), Some("n=2"));
    }

    #[test]
    fn what_is_no_cookie_or_too_much_is_not_kept() {
        let url: Url = "http://h.example/".parse().unwrap();
        let mut jar = Vec::new();
        for text in [
            "",
            "=x",
            "name",
            "a=b\r\nX: 1",
            &format!("a={}", "x".repeat(5000)),
        ] {
            keep(
                &mut jar,
                &url,
                &[("set-cookie".to_owned(), text.to_owned())],
            );
        }
        assert_eq!(jar, []);
        for n in 0..50 {
            let text = format!("c{n}=1");
            keep(&mut jar, &url, &[("Set-Cookie".to_owned(), text)]);
        }
        assert_eq!(jar.len(), MAX_COOKIES);
    }
}
