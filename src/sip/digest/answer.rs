//! The client: answers challenges.

use super::{Algorithm, Challenge, Credentials, Inputs};
use crate::base::secret::Secret;

/// The challenge to answer among several of one realm: SHA-256 before the rest, MD5 last. Those with an algorithm we do
/// not know, or with `qop` but without `auth`, cannot be answered.
pub fn choose<'a>(challenges: impl IntoIterator<Item = &'a Challenge>) -> Option<&'a Challenge> {
    let rank = |challenge: &Challenge| match challenge.algorithm {
        Some(Algorithm::Sha256) => 0,
        Some(Algorithm::Sha512_256) => 1,
        Some(Algorithm::Sha256Sess) => 2,
        Some(Algorithm::Md5Sess) => 3,
        Some(Algorithm::Md5) => 4,
        None => 5,
    };
    challenges
        .into_iter()
        .filter(|c| c.algorithm.is_some() && (c.qop_auth || !c.has_qop))
        .min_by_key(|challenge| rank(challenge))
}

/// Answers a challenge for one request. `nc` counts the requests sent with this nonce, from 1; `cnonce` is random, new
/// for each challenge. `None` for a challenge that [`choose`] would not choose.
pub fn response(
    challenge: &Challenge,
    username: &str,
    password: &Secret,
    method: &str,
    uri: &str,
    cnonce: &str,
    nc: u32,
) -> Option<Credentials> {
    let algorithm = challenge.algorithm?;
    if challenge.has_qop && !challenge.qop_auth {
        return None;
    }
    let nc = format!("{nc:08x}");
    let qop = challenge.qop_auth.then_some((cnonce, nc.as_str()));
    let inputs = Inputs {
        algorithm,
        username,
        realm: &challenge.realm,
        password: password.reveal(),
        method,
        uri,
        nonce: &challenge.nonce,
        qop,
    };
    Some(Credentials {
        username: username.into(),
        realm: challenge.realm.clone(),
        nonce: challenge.nonce.clone(),
        uri: uri.into(),
        response: inputs.response(),
        algorithm: Some(algorithm),
        names_algorithm: true,
        opaque: challenge.opaque.clone(),
        auth: qop.map(|(cnonce, nc)| (cnonce.into(), nc.into())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(text: &str) -> Challenge {
        Challenge::parse(text).unwrap()
    }

    #[test]
    fn sha_256_is_preferred_and_the_unknown_never_chosen() {
        let md5 = challenge("Digest realm=\"x\", nonce=\"n\", qop=\"auth\", algorithm=MD5");
        let sha = challenge("Digest realm=\"x\", nonce=\"n\", qop=\"auth\", algorithm=SHA-256");
        let unknown = challenge("Digest realm=\"x\", nonce=\"n\", qop=\"auth\", algorithm=SHA3");
        let integrity =
            challenge("Digest realm=\"x\", nonce=\"n\", qop=\"auth-int\", algorithm=SHA-256");
        assert_eq!(choose([&md5, &sha]), Some(&sha));
        assert_eq!(choose([&unknown, &integrity, &md5]), Some(&md5));
        assert_eq!(choose([&unknown, &integrity]), None);
        assert_eq!(
            response(
                &integrity,
                "u",
                &Secret::new("p"),
                "INVITE",
                "sip:a",
                "c",
                1
            ),
            None
        );
    }

    /// RFC 7616 §3.9.1 again, through the header values.
    #[test]
    fn the_header_value_carries_the_vectors_response() {
        let c = challenge(
            "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=MD5, \
             nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"",
        );
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        let value = response(
            &c,
            "Mufasa",
            &Secret::new("Circle of Life"),
            "GET",
            "/dir/index.html",
            cnonce,
            1,
        )
        .unwrap()
        .to_string();
        assert!(
            value.contains("response=\"8ca523f5e9506fed4657c9700eebdbec\""),
            "{value}"
        );
        assert!(
            value.contains("nc=00000001") && value.contains("opaque=\"FQhe/"),
            "{value}"
        );
    }

    #[test]
    fn a_challenge_without_qop_is_answered_as_of_old() {
        let c = challenge("Digest realm=\"x\", nonce=\"n\"");
        let credentials =
            response(&c, "u", &Secret::new("p"), "REGISTER", "sip:x", "c", 1).unwrap();
        assert_eq!(credentials.auth, None);
        let md5 = |parts: &[&str]| Algorithm::Md5.hash(parts);
        assert_eq!(
            credentials.response,
            md5(&[&md5(&["u", "x", "p"]), "n", &md5(&["REGISTER", "sip:x"])])
        );
    }
}
