//! All accounts at one moment, with the indexes a call needs before it knows its account.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serde_json::Value;

use super::account::{Account, Device, Documents};
use super::private;
use super::trunk::Trunk;

/// Accounts and indexes over them. Replaced as a whole.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    pub(super) accounts: BTreeMap<Arc<str>, Arc<Account>>,
    /// Accounts by account realm.
    by_realm: BTreeMap<String, Arc<str>>,
    /// Accounts that have devices authenticating in a realm.
    by_device_realm: BTreeMap<String, Vec<Arc<str>>>,
    /// Devices known by one address.
    by_address: BTreeMap<IpAddr, (Arc<str>, String)>,
    /// Devices known by a network, narrowest first.
    by_network: Vec<(IpNet, Arc<str>, String)>,
    /// Trunks known by one address.
    trunks_by_address: BTreeMap<IpAddr, Vec<(Arc<str>, String)>>,
    /// Trunks known by a network, narrowest first.
    trunks_by_network: Vec<(IpNet, Arc<str>, String)>,
    /// Accounts by their phone numbers in use.
    by_number: BTreeMap<String, Arc<str>>,
}

impl Snapshot {
    /// The same accounts with those of `changed` read again from their documents.
    pub(super) fn with(
        &self,
        documents: &BTreeMap<Arc<str>, Documents>,
        changed: &[Arc<str>],
    ) -> Snapshot {
        let mut accounts = self.accounts.clone();
        for id in changed {
            let previous = self.accounts.get(id).map(Arc::as_ref);
            match documents
                .get(id)
                .and_then(|docs| Account::read(id, docs, previous))
            {
                Some(account) => {
                    accounts.insert(Arc::clone(id), Arc::new(account));
                }
                None => {
                    accounts.remove(id);
                }
            }
        }
        Snapshot::index(accounts)
    }

    fn index(accounts: BTreeMap<Arc<str>, Arc<Account>>) -> Snapshot {
        let mut all = Snapshot::default();
        for (id, account) in &accounts {
            if !account.realm.is_empty() {
                all.by_realm
                    .entry(account.realm.to_string())
                    .or_insert_with(|| Arc::clone(id));
            }
            for realm in account.realms() {
                all.by_device_realm
                    .entry(realm.to_owned())
                    .or_default()
                    .push(Arc::clone(id));
            }
            for device in account.devices.values().filter(|device| device.enabled) {
                let Some(net) = device.ip else { continue };
                let place = (Arc::clone(id), device.id.clone());
                if net.prefix_len() == net.max_prefix_len() {
                    all.by_address.entry(net.addr()).or_insert(place);
                } else {
                    all.by_network.push((net, place.0, place.1));
                }
            }
        }
        for (id, account) in accounts.iter().filter(|(_, account)| account.enabled) {
            for trunk in account.trunks.values().filter(|trunk| trunk.enabled) {
                for net in trunk.inbound() {
                    let place = (Arc::clone(id), trunk.id.clone());
                    if net.prefix_len() == net.max_prefix_len() {
                        let known = all.trunks_by_address.entry(net.addr()).or_default();
                        if !known.contains(&place) {
                            known.push(place);
                        }
                    } else {
                        all.trunks_by_network.push((net, place.0, place.1));
                    }
                }
            }
            let in_use = account.phone_numbers.iter().filter(|(_, doc)| {
                let state = doc.get(private::NUMBER_STATE).and_then(Value::as_str);
                state.is_none_or(|state| IN_USE.contains(&state))
            });
            for (number, _) in in_use {
                all.by_number
                    .entry(number.clone())
                    .or_insert_with(|| Arc::clone(id));
            }
        }
        all.trunks_by_network
            .sort_by_key(|(net, ..)| std::cmp::Reverse(net.prefix_len()));
        all.by_network
            .sort_by_key(|(net, ..)| std::cmp::Reverse(net.prefix_len()));
        all.accounts = accounts;
        all
    }

    pub(super) fn by_realm(&self, realm: &str) -> Option<Arc<Account>> {
        self.accounts
            .get(self.by_realm.get(&realm.to_lowercase())?)
            .cloned()
    }

    pub(super) fn is_realm(&self, name: &str) -> bool {
        self.by_device_realm.contains_key(&name.to_lowercase())
    }

    pub(super) fn by_source(&self, source: IpAddr) -> Option<(Arc<Account>, String)> {
        let source = source.to_canonical();
        let (account, device) = match self.by_address.get(&source) {
            Some((account, device)) => (account, device),
            None => {
                let found = self
                    .by_network
                    .iter()
                    .find(|(net, ..)| net.contains(&source))?;
                (&found.1, &found.2)
            }
        };
        Some((Arc::clone(self.accounts.get(account)?), device.clone()))
    }

    pub(super) fn trunks_by_source(&self, source: IpAddr) -> Vec<(Arc<Account>, Arc<Trunk>)> {
        let source = source.to_canonical();
        let exact = self.trunks_by_address.get(&source).into_iter().flatten();
        let exact = exact.map(|(account, trunk)| (account, trunk));
        let inside = self
            .trunks_by_network
            .iter()
            .filter(|(net, ..)| net.contains(&source))
            .map(|(_, account, trunk)| (account, trunk));
        exact
            .chain(inside)
            .filter_map(|(account, trunk)| {
                let account = self.accounts.get(account)?;
                Some((Arc::clone(account), Arc::clone(account.trunks.get(trunk)?)))
            })
            .collect()
    }

    pub(super) fn by_number(&self, number: &str) -> Option<Arc<Account>> {
        self.accounts.get(self.by_number.get(number)?).cloned()
    }

    pub(super) fn by_credentials(
        &self,
        realm: &str,
        username: &str,
    ) -> Option<(Arc<Account>, Arc<Device>)> {
        let realm = realm.to_lowercase();
        let username = username.to_lowercase();
        let accounts = self.by_device_realm.get(&realm)?;
        accounts
            .iter()
            .filter_map(|id| self.accounts.get(id))
            .find_map(|account| {
                let ids = account.credentials.get(&username)?;
                let mut devices = ids.iter().filter_map(|id| account.devices.get(id));
                let device = devices.find(|device| {
                    device.enabled
                        && device.ip.is_none()
                        && !device.password.is_empty()
                        && *device.realm.as_deref().unwrap_or(&account.realm) == realm
                })?;
                Some((Arc::clone(account), Arc::clone(device)))
            })
    }
}

/// States of a number in which calls to it are taken (callflow.md §1.2).
const IN_USE: [&str; 4] = ["in_service", "port_in", "port_out", "reserved"];
