//! Who may call, asked of the directory (decisions 6): devices and trunks known by their source address, or devices by
//! digest.

use std::net::IpAddr;
use std::sync::Arc;

use crate::base::secret::Secret;
use crate::directory::Directory;
use crate::sip::ua::{Doorman, Principal};

/// The directory as the endpoint's doorman.
#[derive(Clone)]
pub struct DirectoryDoorman(pub Directory);

impl Doorman for DirectoryDoorman {
    fn by_source(&self, source: IpAddr) -> Option<Principal> {
        if let Some((account, device)) = self.0.device_by_source(source) {
            return Some(Principal {
                account: account.id.clone(),
                device: device.into(),
            });
        }
        // Several tenants may have a trunk at the same carrier: whose the call is, its number says.
        let (account, trunk) = self.0.trunks_by_source(source).into_iter().next()?;
        Some(Principal {
            account: account.id.clone(),
            device: trunk.id.as_str().into(),
        })
    }

    fn realm(&self, host: &str) -> Option<Arc<str>> {
        // A device may have a realm of its own.
        let of_device = || self.0.is_realm(host).then(|| host.to_lowercase().into());
        let account = self.0.by_realm(host);
        account
            .map(|account| account.realm.clone())
            .or_else(of_device)
    }

    /// A phone that was given our address instead of a realm is challenged with the default realm; its user name then
    /// has to be the only one of its kind among all accounts.
    fn secret(&self, realm: &str, username: &str) -> Option<(Principal, Secret)> {
        let found = self.0.secret(realm, username).or_else(|| {
            if self.0.is_realm(realm) {
                return None;
            }
            let accounts = self.0.accounts();
            let mut named = accounts
                .iter()
                .filter_map(|account| self.0.secret(&account.realm, username));
            let only = named.next()?;
            named.next().is_none().then_some(only)
        });
        let (account, device, password) = found?;
        Some((
            Principal {
                account: account.id.clone(),
                device: device.id.as_str().into(),
            },
            password,
        ))
    }
}
