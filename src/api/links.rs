//! Links that sign in once: what `swivel demo`, a first `swivel run` and `swivel link` print. Their keys are in memory only,
//! so a restart ends them all.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::Api;
use crate::base::time::UnixMicros;
use crate::host::clock;

/// How long a link works.
const LIFE: Duration = Duration::from_secs(15 * 60);
/// Links at once; past that the oldest goes.
const MOST: usize = 100;

/// Keys that were handed out, by their hash: what is looked up says nothing about what is there.
#[derive(Default)]
pub(super) struct Links(Mutex<BTreeMap<[u8; 32], Link>>);

/// Whom a key signs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) account: String,
    pub(super) user: String,
    until: UnixMicros,
}

impl Links {
    fn add(&self, key: &str, link: Link, now: UnixMicros) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, link| link.until > now);
        if all.len() >= MOST {
            let oldest = all.iter().min_by_key(|(_, link)| link.until);
            if let Some(oldest) = oldest.map(|(hash, _)| *hash) {
                all.remove(&oldest);
            }
        }
        all.insert(Sha256::digest(key).into(), link);
    }

    /// Whom `key` signs in. It does so once.
    pub(super) fn take(&self, key: &str, now: UnixMicros) -> Option<Link> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let hash: [u8; 32] = Sha256::digest(key).into();
        all.remove(&hash).filter(|link| link.until > now)
    }
}

/// A link was asked for that there cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// No enabled user has that name.
    #[error("no enabled user is called {0}; `swivel export --redact` lists them")]
    NoUser(String),
    /// Several accounts have one.
    #[error("several accounts have a user {user}; say --account with one of {}", accounts.join(", "))]
    Several {
        /// The name.
        user: String,
        /// The accounts' names.
        accounts: Vec<String>,
    },
}

impl Api {
    /// The end of an address that signs `user` in once, within a quarter of an hour: `/welcome?key=…`.
    ///
    /// # Errors
    /// When there is no such user, or more than one.
    pub fn link(&self, account: Option<&str>, user: &str) -> Result<String, LinkError> {
        let name = user.to_lowercase();
        let accounts = self.directory().accounts();
        let named = accounts
            .iter()
            .filter(|one| account.is_none_or(|name| one.name == name || *one.id == *name));
        let found: Vec<_> = named
            .flat_map(|account| {
                let users = account.users.values().filter(|user| user.enabled);
                let users = users.filter(|user| user.username.as_deref() == Some(name.as_str()));
                users.map(move |user| (account, user))
            })
            .collect();
        let (account, user) = match found.as_slice() {
            [] => return Err(LinkError::NoUser(user.to_owned())),
            [one] => one,
            several => {
                return Err(LinkError::Several {
                    user: user.to_owned(),
                    accounts: several.iter().map(|(a, _)| a.name.clone()).collect(),
                });
            }
        };
        let (key, now) = (self.rng().hex(20), clock::unix_now());
        let link = Link {
            account: account.id.to_string(),
            user: user.id.clone(),
            until: now.plus(LIFE),
        };
        self.links().add(&key, link, now);
        Ok(format!("/welcome?key={key}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(until: u64) -> Link {
        Link {
            account: "a".into(),
            user: "u".into(),
            until: UnixMicros::from_secs(until),
        }
    }

    #[test]
    fn a_link_signs_in_once() {
        let links = Links::default();
        links.add("key", link(100), UnixMicros::from_secs(1));
        assert!(links.take("kez", UnixMicros::from_secs(2)).is_none());
        assert_eq!(links.take("key", UnixMicros::from_secs(2)), Some(link(100)));
        assert!(links.take("key", UnixMicros::from_secs(2)).is_none());
    }

    #[test]
    fn a_link_ends_by_itself() {
        let links = Links::default();
        links.add("key", link(100), UnixMicros::from_secs(1));
        assert!(links.take("key", UnixMicros::from_secs(100)).is_none());
    }

    #[test]
    fn links_do_not_pile_up() {
        let links = Links::default();
        for n in 0..=MOST as u64 {
            links.add(&n.to_string(), link(100 + n), UnixMicros::from_secs(1));
        }
        assert!(links.take("0", UnixMicros::from_secs(2)).is_none());
        assert!(links.take("1", UnixMicros::from_secs(2)).is_some());
    }
}
