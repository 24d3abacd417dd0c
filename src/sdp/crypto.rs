//! `a=crypto` (RFC 4568): SRTP keys in the description.
//!
//! One line an offered suite; the answer repeats the tag of the one it takes, with a key of its own. Lines that ask for
//! what we do not do (a key index, parts in the clear, renewal) are passed over as the RFC says (§6.3.7, §5.1.2).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::session::{Attribute, Media};
use crate::base::rng::Rng;
use crate::rtp::srtp::{MasterKey, SrtpKeys, Suite};

/// Our keys of one leg: made once, kept for its life, so that a session refresh says the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crypto {
    /// One key a suite, in the order of preference; the tags of our offer are their places from 1.
    keys: Vec<MasterKey>,
    /// Offer plain `RTP/AVP` with keys beside, and take such offers as secure: both sides decide at once.
    pub optimistic: bool,
}

impl Crypto {
    /// Keys for these suites. `rng` has to be one nobody can guess.
    pub fn new(suites: &[Suite], rng: &mut Rng) -> Self {
        let key = |suite: &Suite| {
            let mut bytes = vec![0; suite.key_bytes() + suite.salt_bytes()];
            rng.fill(&mut bytes);
            MasterKey::new(*suite, &bytes)
        };
        Self {
            keys: suites.iter().filter_map(key).collect(),
            optimistic: false,
        }
    }

    /// The lines of our offer.
    pub(super) fn lines(&self) -> Vec<Attribute> {
        let tagged = self.keys.iter().zip(1u32..);
        tagged.map(|(key, tag)| line(tag, key)).collect()
    }

    /// Our key with the suite of the first line we can take, and that line.
    pub(super) fn choose(&self, media: &Media) -> Option<(&MasterKey, Line)> {
        lines(media).find_map(|line| {
            let ours = self.keys.iter().find(|k| k.suite() == line.key.suite())?;
            Some((ours, line))
        })
    }

    /// What the one line of an answer means: our key under that tag, and theirs.
    pub(super) fn accept(&self, media: &Media) -> Option<SrtpKeys> {
        let line = lines(media).next()?;
        let place = usize::try_from(line.tag.checked_sub(1)?).ok()?;
        let ours = self.keys.get(place)?;
        (ours.suite() == line.key.suite()).then(|| SrtpKeys {
            send: ours.clone(),
            receive: line.key,
        })
    }
}

/// One `a=crypto` line that can be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) tag: u32,
    pub(super) key: MasterKey,
}

/// The lines of a section that can be taken, in order.
pub(super) fn lines(media: &Media) -> impl Iterator<Item = Line> + '_ {
    media
        .attributes
        .iter()
        .filter(|a| a.name.eq_ignore_ascii_case("crypto"))
        .filter_map(|a| read(a.value.as_deref()?))
}

/// `tag suite inline:KEY[|lifetime][|MKI:length] [parameters]`.
fn read(value: &str) -> Option<Line> {
    let mut words = value.split_ascii_whitespace();
    let tag = words.next()?;
    let digits = tag.len() <= 9 && tag.bytes().all(|b| b.is_ascii_digit());
    let tag = tag.parse().ok().filter(|_| digits)?;
    let suite = Suite::named(words.next()?)?;
    let parameters = words.next()?;
    let (method, rest) = parameters.split_once(':')?;
    if !method.eq_ignore_ascii_case("inline") || parameters.contains(';') {
        return None;
    }
    let mut parts = rest.split('|');
    let key = parts.next()?.trim_end_matches('=');
    // A lifetime is a promise we keep by far (2^48 packets); an index would be bytes in every packet.
    if parts.any(|part| part.contains(':')) {
        return None;
    }
    // The window is ours to choose; everything else changes what packets look like.
    if words.any(|word| !word.to_ascii_uppercase().starts_with("WSH=")) {
        return None;
    }
    let bytes = STANDARD_NO_PAD.decode(key).ok()?;
    let key = MasterKey::new(suite, &bytes)?;
    Some(Line { tag, key })
}

/// The line that says a key.
pub(super) fn line(tag: u32, key: &MasterKey) -> Attribute {
    let inline = STANDARD.encode(key.reveal());
    Attribute::new(
        "crypto",
        format!("{tag} {} inline:{inline}", key.suite().name()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

    #[test]
    fn lines_are_read_as_the_rfc_writes_them() {
        for good in [
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20"),
            format!("1 aes_cm_128_hmac_sha1_32 INLINE:{KEY}|1048576 WSH=128"),
        ] {
            assert_eq!(read(&good).map(|l| l.tag), Some(1), "{good}");
        }
        for bad in [
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNENCRYPTED_SRTP"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY};inline:{KEY}"),
            format!("1 F8_128_HMAC_SHA1_80 inline:{KEY}"),
            format!("-1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
            format!("9999999999 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
            "1 AES_CM_128_HMAC_SHA1_80 inline:c2hvcnQ=".to_owned(),
            "1 AES_CM_128_HMAC_SHA1_80 inline:***".to_owned(),
            "1 AES_CM_128_HMAC_SHA1_80".to_owned(),
            String::new(),
        ] {
            assert_eq!(read(&bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let crypto = Crypto::new(&Suite::ALL, &mut Rng::seeded(3));
        for ((attribute, key), tag) in crypto.lines().iter().zip(&crypto.keys).zip(1..) {
            let read = read(attribute.value.as_deref().unwrap()).unwrap();
            assert_eq!((read.tag, &read.key), (tag, key));
        }
        assert!(!format!("{crypto:?}").contains(&STANDARD.encode(crypto.keys[0].reveal())));
    }
}
