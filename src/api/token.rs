//! Tokens (`api.md` §2.4, §2.5; decision 22): JWT with HS256 and nothing else, revocable by `jti`.
//!
//! The signing key is made at first start and kept in the store. `identity_sig` covers the stored hashes of the user's
//! password, so that a changed password ends every token made before.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::hs256;
use crate::base::id::document_id;
use crate::base::rng::Rng;
use crate::base::time::UnixMicros;
use crate::directory::{User, private};
use crate::store::{Batch, Direction, KeyRange, Store, StoreError, Table, keys};

/// Seconds after a sign-in beyond which its token is not renewed.
const SIGNED_IN: u64 = 12 * 3600;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claims {
    /// `kazoo`.
    pub(super) iss: String,
    /// Ties the token to the user's password.
    pub(super) identity_sig: String,
    /// The account it was made for.
    pub(super) account_id: String,
    /// The user it was made for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) owner_id: Option<String>,
    /// How it was obtained: `cb_user_auth`, `cb_api_auth`.
    pub(super) method: String,
    /// Unix seconds of its end.
    pub(super) exp: u64,
    /// Unix seconds of its beginning.
    pub(super) iat: u64,
    /// Names the token.
    pub(super) jti: String,
    /// Unix seconds of the sign-in, of a token that came of another.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) since: Option<u64>,
}

/// Makes and checks tokens.
pub(super) struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    key: [u8; 32],
    /// Hashes of revoked `jti` and when they would have ended. Held for a look.
    revoked: Mutex<BTreeMap<String, u64>>,
}

impl Tokens {
    /// Reads the signing key and what was revoked; makes a key when there is none.
    pub(super) async fn load(store: &Store, rng: &mut Rng) -> Result<Tokens, StoreError> {
        hs256::install();
        let place = keys::join(&["sys", "token-key"]);
        let key = match store
            .get(Table::Documents, &place)
            .await?
            .and_then(|key| <[u8; 32]>::try_from(key).ok())
        {
            Some(key) => key,
            None => {
                let mut key = [0; 32];
                rng.fill(&mut key);
                let mut batch = Batch::new();
                batch.put(Table::Documents, place, key);
                store.write(batch).await?;
                key
            }
        };
        let range = KeyRange::prefix(keys::prefix(&["sys", "revoked"]));
        let mut revoked = BTreeMap::new();
        for (key, value) in store
            .scan(Table::Documents, range, Direction::Forward, usize::MAX)
            .await?
        {
            let hash = keys::parts(&key).into_iter().nth(2).unwrap_or_default();
            let end = std::str::from_utf8(&value)
                .ok()
                .and_then(|text| text.parse().ok())
                .unwrap_or(0);
            revoked.insert(hash, end);
        }
        Ok(Tokens {
            encoding: EncodingKey::from_secret(&key),
            decoding: DecodingKey::from_secret(&key),
            key,
            revoked: Mutex::new(revoked),
        })
    }

    /// A token for a user, good for `seconds`.
    pub(super) fn issue(
        &self,
        account: &str,
        user: Option<&User>,
        method: &str,
        seconds: u64,
        now: UnixMicros,
        rng: &mut Rng,
    ) -> Option<(String, Claims)> {
        let claims = Claims {
            iss: "kazoo".to_owned(),
            identity_sig: self.identity(account, user.map(|user| &*user.doc)),
            account_id: account.to_owned(),
            owner_id: user.map(|user| user.id.clone()),
            method: method.to_owned(),
            exp: now.secs().saturating_add(seconds),
            iat: now.secs(),
            jti: document_id(rng),
            since: None,
        };
        self.sign(claims)
    }

    /// Another token for whom `old` is for, good for `seconds`, as long as the sign-in is not longer ago than half a day.
    pub(super) fn renew(
        &self,
        old: &Claims,
        seconds: u64,
        now: UnixMicros,
        rng: &mut Rng,
    ) -> Option<(String, Claims)> {
        let since = old.since.unwrap_or(old.iat);
        let most = since.saturating_add(SIGNED_IN);
        if now.secs() >= most {
            return None;
        }
        self.sign(Claims {
            exp: now.secs().saturating_add(seconds).min(most),
            iat: now.secs(),
            jti: document_id(rng),
            since: Some(since),
            ..old.clone()
        })
    }

    fn sign(&self, claims: Claims) -> Option<(String, Claims)> {
        let token =
            jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding).ok()?;
        Some((token, claims))
    }

    /// The claims of a token that is ours, not over and not revoked. The user is for the caller to check.
    pub(super) fn read(&self, token: &str, now: UnixMicros) -> Option<Claims> {
        let mut rules = Validation::new(Algorithm::HS256);
        rules.algorithms = vec![Algorithm::HS256];
        // The end is checked below, against the server's own clock and without leeway.
        rules.validate_exp = false;
        rules.required_spec_claims.clear();
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &rules)
            .ok()?
            .claims;
        let revoked = self
            .revoked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains_key(&hash(&claims.jti));
        (claims.exp > now.secs() && !revoked).then_some(claims)
    }

    /// Whether the token was made with the user's present password.
    pub(super) fn is_current(&self, claims: &Claims, user: Option<&User>) -> bool {
        let now = self.identity(&claims.account_id, user.map(|user| &*user.doc));
        subtle::ConstantTimeEq::ct_eq(now.as_bytes(), claims.identity_sig.as_bytes()).into()
    }

    /// Ends a token for good.
    pub(super) async fn revoke(
        &self,
        store: &Store,
        claims: &Claims,
        now: UnixMicros,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        let over: Vec<String> = {
            let mut revoked = self.revoked.lock().unwrap_or_else(PoisonError::into_inner);
            revoked.insert(hash(&claims.jti), claims.exp);
            let over = revoked
                .iter()
                .filter(|(_, end)| **end < now.secs())
                .map(|(hash, _)| hash.clone())
                .collect();
            revoked.retain(|_, end| *end >= now.secs());
            over
        };
        for hash in over {
            batch.delete(Table::Documents, keys::join(&["sys", "revoked", &hash]));
        }
        batch.put(
            Table::Documents,
            keys::join(&["sys", "revoked", &hash(&claims.jti)]),
            claims.exp.to_string(),
        );
        store.write(batch).await
    }

    fn identity(&self, account: &str, user: Option<&Value>) -> String {
        let text = |key: &str| {
            user.and_then(|doc| doc.get(key))
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else {
            return String::new();
        };
        for part in [account, text(private::MD5_AUTH), text(private::SHA1_AUTH)] {
            mac.update(part.as_bytes());
            mac.update(&[0]);
        }
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    }
}

fn hash(jti: &str) -> String {
    hex::encode(Sha256::digest(jti.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    const NOW: UnixMicros = UnixMicros(1_700_000_000_000_000);

    fn user(hash: &str) -> User {
        let doc = Arc::new(json!({private::MD5_AUTH: hash}));
        User {
            id: "u".into(),
            username: None,
            enabled: true,
            admin: true,
            doc,
        }
    }

    async fn tokens(store: &Store) -> Tokens {
        Tokens::load(store, &mut Rng::seeded(1)).await.unwrap()
    }

    #[tokio::test]
    async fn a_token_reads_back_until_it_ends_also_after_a_restart() {
        let store = Store::memory();
        let (token, claims) = tokens(&store)
            .await
            .issue(
                "acc",
                Some(&user("h")),
                "cb_user_auth",
                60,
                NOW,
                &mut Rng::seeded(2),
            )
            .unwrap();
        let again = tokens(&store).await;
        assert_eq!(again.read(&token, NOW), Some(claims));
        assert_eq!(
            again.read(&token, NOW.plus(std::time::Duration::from_secs(60))),
            None
        );
        let body = URL_SAFE_NO_PAD
            .decode(token.split('.').nth(1).unwrap())
            .unwrap();
        assert_eq!(
            serde_json::from_slice::<Value>(&body).unwrap()["account_id"],
            "acc"
        );
    }

    /// `security.md` row 24: a million at full length.
    #[tokio::test]
    async fn of_tokens_made_up_at_random_none_is_taken() {
        let tokens = tokens(&Store::memory()).await;
        let mut rng = Rng::seeded(3);
        let (token, _) = tokens
            .issue("acc", None, "cb_user_auth", 60, NOW, &mut rng)
            .unwrap();
        let (head, seal) = token.rsplit_once('.').unwrap();
        let length = URL_SAFE_NO_PAD.decode(seal).unwrap().len();
        let soak = std::env::var("SWIVEL_TEST_TIER").is_ok_and(|tier| tier == "soak");
        for n in 0..if soak { 1_000_000 } else { 20_000 } {
            let guess = match n % 2 {
                // Everything right but the seal.
                0 => {
                    let bytes: Vec<u8> = (0..length).map(|_| rng.below(256) as u8).collect();
                    format!("{head}.{}", URL_SAFE_NO_PAD.encode(bytes))
                }
                // The seal right, and one letter of the rest another.
                _ => {
                    let mut letters = head.as_bytes().to_vec();
                    let at = rng.below(letters.len() as u64) as usize;
                    let other = b'A' + rng.below(26) as u8;
                    letters[at] = if letters[at] == other { b'_' } else { other };
                    format!("{}.{seal}", String::from_utf8(letters).unwrap())
                }
            };
            assert_eq!(tokens.read(&guess, NOW), None, "{guess}");
        }
    }

    #[tokio::test]
    async fn forged_tokens_are_refused() {
        let store = Store::memory();
        let tokens = tokens(&store).await;
        let (token, claims) = tokens
            .issue("acc", None, "cb_user_auth", 60, NOW, &mut Rng::seeded(2))
            .unwrap();
        let part = |n: usize| token.split('.').nth(n).unwrap().to_owned();
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
        let hs512 = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS512","typ":"JWT"}"#);
        let other = jsonwebtoken::encode(
            &Header::new(Algorithm::HS256),
            &claims,
            &EncodingKey::from_secret(b"x"),
        )
        .unwrap();
        let changed = URL_SAFE_NO_PAD.encode(
            serde_json::to_vec(&Claims {
                account_id: "b".into(),
                ..claims
            })
            .unwrap(),
        );
        for forged in [
            format!("{none}.{}.", part(1)),
            format!("{none}.{}.{}", part(1), part(2)),
            format!("{}.{changed}.{}", part(0), part(2)),
            format!("{}.{}.", part(0), part(1)),
            format!("{hs512}.{}.{}", part(1), part(2)),
            other,
            String::new(),
            "..".into(),
            "a.b.c".into(),
        ] {
            assert_eq!(tokens.read(&forged, NOW), None, "{forged}");
        }
    }

    #[tokio::test]
    async fn a_revoked_token_stays_revoked_after_a_restart() {
        let store = Store::memory();
        let first = tokens(&store).await;
        let (token, claims) = first
            .issue("acc", None, "cb_user_auth", 60, NOW, &mut Rng::seeded(2))
            .unwrap();
        first.revoke(&store, &claims, NOW).await.unwrap();
        assert_eq!(first.read(&token, NOW), None);
        assert_eq!(tokens(&store).await.read(&token, NOW), None);
    }

    #[tokio::test]
    async fn a_token_can_be_renewed_for_half_a_day() {
        let tokens = tokens(&Store::memory()).await;
        let mut rng = Rng::seeded(2);
        let at = |hours: u64| NOW.plus(std::time::Duration::from_secs(hours * 3600));
        let (_, first) = tokens.issue("acc", None, "m", 3600, NOW, &mut rng).unwrap();
        let (token, second) = tokens.renew(&first, 3600, at(1), &mut rng).unwrap();
        assert_eq!(tokens.read(&token, at(1)), Some(second.clone()));
        assert_ne!(first.jti, second.jti);
        let (_, last) = tokens.renew(&second, 99 * 3600, at(11), &mut rng).unwrap();
        assert_eq!(last.exp, at(12).secs());
        assert_eq!(tokens.renew(&last, 3600, at(12), &mut rng), None);
    }

    #[tokio::test]
    async fn a_changed_password_ends_the_token() {
        let store = Store::memory();
        let tokens = tokens(&store).await;
        let (_, claims) = tokens
            .issue("acc", Some(&user("old")), "m", 60, NOW, &mut Rng::seeded(2))
            .unwrap();
        assert!(tokens.is_current(&claims, Some(&user("old"))));
        assert!(!tokens.is_current(&claims, Some(&user("new"))));
    }
}
