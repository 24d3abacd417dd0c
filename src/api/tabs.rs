//! The page's own telephones: a device for each tab that wants to talk, made when it asks and gone soon after it stops
//! asking. Such a device is in memory only; no list shows it, nothing exports it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::Api;
use super::error::ApiError;
use crate::base::id::document_id;
use crate::base::time::UnixMicros;
use crate::directory::{Account, Kind, User};
use crate::host::{clock, task};

/// A tab that is not heard of for so long has closed.
const LIFE: Duration = Duration::from_secs(10 * 60);
/// Tabs of one account at once.
const MOST: usize = 100;

/// The telephones there are, by device id.
#[derive(Default)]
pub(super) struct Tabs(Mutex<BTreeMap<String, Tab>>);

struct Tab {
    account: String,
    username: String,
    /// Whose tab it is: nobody else may keep or end it.
    user: Option<String>,
    until: UnixMicros,
}

impl Tabs {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Tab>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Api {
    /// A new telephone for a tab of `user`.
    pub(super) async fn open_tab(
        &self,
        account: &Arc<Account>,
        user: Option<&User>,
    ) -> Result<Value, ApiError> {
        let open = self
            .tabs()
            .lock()
            .values()
            .filter(|tab| *tab.account == *account.id)
            .count();
        if open >= MOST {
            return Err(ApiError::Unavailable(format!(
                "{MOST} browsers have a telephone of this account already"
            )));
        }
        let mut rng = self.rng();
        let (id, password) = (document_id(&mut rng), rng.hex(16));
        let name = user
            .and_then(|user| user.username.as_deref())
            .unwrap_or("page");
        let plain: String = name
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(24)
            .collect();
        let username = format!("browser-{plain}-{}", rng.hex(4));
        let shown = format!("Browser of {name}");
        let mut doc = json!({
            "name": shown,
            "device_type": "softphone",
            "sip": {"method": "password", "username": username, "password": password},
            "caller_id": {"internal": {"name": shown}},
        });
        if let Some(user) = user {
            doc["owner_id"] = json!(user.id);
        }
        self.directory()
            .set_temporary(Kind::Device, &account.id, &id, Some(doc))
            .await;
        let until = clock::unix_now().plus(LIFE);
        let tab = Tab {
            account: account.id.to_string(),
            username: username.clone(),
            user: user.map(|user| user.id.clone()),
            until,
        };
        self.tabs().lock().insert(id.clone(), tab);
        task::spawn("browser-phone", self.clone().watch_tab(id.clone()));
        Ok(json!({
            "id": id,
            "username": username,
            "password": password,
            "realm": &*account.realm,
            "name": shown,
            "seconds": LIFE.as_secs(),
        }))
    }

    /// Keeps a telephone for another while; `false`: there is none of that user.
    pub(super) fn keep_tab(&self, account: &str, id: &str, user: Option<&str>) -> bool {
        let until = clock::unix_now().plus(LIFE);
        let mut tabs = self.tabs().lock();
        let own = tabs
            .get_mut(id)
            .filter(|tab| tab.account == account && tab.user.as_deref() == user);
        own.map(|tab| tab.until = until).is_some()
    }

    /// Takes a telephone away; `false`: there is none of that user.
    pub(super) async fn close_tab(&self, account: &str, id: &str, user: Option<&str>) -> bool {
        let own = |tab: &Tab| tab.account == account && tab.user.as_deref() == user;
        let is_own = self.tabs().lock().get(id).is_some_and(own);
        if is_own {
            self.end_tab(id).await;
        }
        is_own
    }

    async fn end_tab(&self, id: &str) {
        let Some(tab) = self.tabs().lock().remove(id) else {
            return;
        };
        self.directory()
            .set_temporary(Kind::Device, &tab.account, id, None)
            .await;
        self.registrations()
            .flush(&tab.account, Some(&tab.username))
            .await;
    }

    /// Takes a telephone away once its tab is not heard of any more.
    async fn watch_tab(self, id: String) {
        loop {
            let Some(until) = self.tabs().lock().get(&id).map(|tab| tab.until) else {
                return;
            };
            let left = until.since(clock::unix_now());
            if left.is_zero() {
                return self.end_tab(&id).await;
            }
            tokio::time::sleep(left).await;
        }
    }
}
