//! Fixed answers, for tests that need no name server.

use std::collections::BTreeMap;
use std::future::ready;
use std::net::IpAddr;

use futures_util::future::BoxFuture;

use super::policy::{Lookup, Naptr, NoAnswer, Srv};

/// Answers by name. What is not in it does not exist.
#[derive(Debug, Clone, Default)]
pub struct Table {
    naptr: BTreeMap<String, Vec<Naptr>>,
    srv: BTreeMap<String, Vec<Srv>>,
    addresses: BTreeMap<String, Vec<IpAddr>>,
    broken: Vec<String>,
}

impl Table {
    /// Adds a NAPTR record.
    #[must_use]
    pub fn naptr(
        mut self,
        name: &str,
        order: u16,
        preference: u16,
        service: &str,
        to: &str,
    ) -> Self {
        self.naptr.entry(name.into()).or_default().push(Naptr {
            order,
            preference,
            flags: "s".into(),
            service: service.into(),
            replacement: to.into(),
        });
        self
    }

    /// Adds an SRV record.
    #[must_use]
    pub fn srv(mut self, name: &str, priority: u16, weight: u16, port: u16, target: &str) -> Self {
        self.srv.entry(name.into()).or_default().push(Srv {
            priority,
            weight,
            port,
            target: target.into(),
        });
        self
    }

    /// Adds an address.
    #[must_use]
    pub fn address(mut self, name: &str, address: impl Into<IpAddr>) -> Self {
        let list = self.addresses.entry(name.into()).or_default();
        list.push(address.into());
        self
    }

    /// Lets every question about a name fail.
    #[must_use]
    pub fn broken(mut self, name: &str) -> Self {
        self.broken.push(name.into());
        self
    }

    fn answer<T: Clone>(
        &self,
        of: &BTreeMap<String, Vec<T>>,
        name: &str,
    ) -> Result<Vec<T>, NoAnswer> {
        if self.broken.iter().any(|broken| broken == name) {
            return Err(NoAnswer::Failed("no name server answers".into()));
        }
        of.get(name).cloned().ok_or(NoAnswer::None)
    }
}

impl Lookup for Table {
    fn naptr(&self, name: String) -> BoxFuture<'_, Result<Vec<Naptr>, NoAnswer>> {
        Box::pin(ready(self.answer(&self.naptr, &name)))
    }

    fn srv(&self, name: String) -> BoxFuture<'_, Result<Vec<Srv>, NoAnswer>> {
        Box::pin(ready(self.answer(&self.srv, &name)))
    }

    fn addresses(&self, name: String) -> BoxFuture<'_, Result<Vec<IpAddr>, NoAnswer>> {
        Box::pin(ready(self.answer(&self.addresses, &name)))
    }
}
