//! Whose a call from a carrier is: the trunks its source address stands for, and the number that was dialled
//! (`api.md` §4.7).

use std::net::IpAddr;
use std::sync::Arc;

use super::normalise::{normalise, to_e164};
use crate::directory::{Account, Directory, Trunk};

/// A call from a carrier and the account it belongs to.
#[derive(Debug, Clone)]
pub struct Inbound {
    /// The account that has the number.
    pub account: Arc<Account>,
    /// The trunk it came through.
    pub trunk: Arc<Trunk>,
    /// The number in full.
    pub number: String,
}

/// The account that has the dialled number among those the trunks of this address may reach. A trunk reaches its own
/// account and those below it; the first account's reach all. `None`: nobody there has the number.
pub fn inbound(directory: &Directory, source: IpAddr, dialled: &str) -> Option<Inbound> {
    let sources = directory.trunks_by_source(source);
    let number = to_e164(dialled);
    if let Some(owner) = directory.account_of_number(&number) {
        let reaches = |account: &Account| {
            account.id == owner.id
                || account.is_first()
                || owner.above().any(|id| id == &*account.id)
        };
        // An account's own trunk before one that is shared.
        let own = sources.iter().find(|(account, _)| account.id == owner.id);
        let (_, trunk) = own.or_else(|| sources.iter().find(|(account, _)| reaches(account)))?;
        let trunk = Arc::clone(trunk);
        return owner.enabled.then_some(Inbound {
            account: owner,
            trunk,
            number,
        });
    }
    // A number nobody has claimed: the callflows of the trunk's own account.
    sources.into_iter().find_map(|(account, trunk)| {
        let full = normalise(&account, dialled);
        let numbers = &account.numbers;
        let hit = [full.as_str(), dialled]
            .into_iter()
            .find_map(|number| numbers.find(number));
        let takes = hit.is_some_and(|hit| !hit.no_match);
        takes.then_some(Inbound {
            account,
            trunk,
            number: full,
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::directory::Kind;
    use crate::store::Store;

    /// Two tenants of one carrier below the first account, whose own trunk is at another address.
    async fn directory() -> Directory {
        let directory = Directory::load(Store::memory()).await.unwrap();
        let put = async |kind: Kind, account: &str, id: &str, doc: Value| {
            drop(directory.put(kind, account, id, doc).await.unwrap());
        };
        put(
            Kind::Account,
            "top",
            "top",
            json!({"name": "top", "pvt_superduper_admin": true}),
        )
        .await;
        for tenant in ["a", "b"] {
            put(
                Kind::Account,
                tenant,
                tenant,
                json!({"name": tenant, "pvt_tree": ["top"]}),
            )
            .await;
            let trunk = json!({"gateways": [{"server": "h", "inbound_ips": ["192.0.2.0/24"]}]});
            put(Kind::Trunk, tenant, &format!("t{tenant}"), trunk).await;
        }
        let shared = json!({"gateways": [{"server": "h", "inbound_ips": ["198.51.100.1"]}]});
        put(Kind::Trunk, "top", "ttop", shared).await;
        put(Kind::PhoneNumber, "b", "+14155550100", json!({})).await;
        put(
            Kind::PhoneNumber,
            "b",
            "+14155550101",
            json!({"pvt_state": "released"}),
        )
        .await;
        put(
            Kind::Callflow,
            "a",
            "fa",
            json!({"numbers": ["+14155550100", "+14155550111", "no_match"]}),
        )
        .await;
        put(
            Kind::Callflow,
            "a",
            "fa2",
            json!({"numbers": ["+14155550122"]}),
        )
        .await;
        directory
    }

    fn found(directory: &Directory, source: &str, dialled: &str) -> Option<(String, String)> {
        let found = inbound(directory, source.parse().unwrap(), dialled)?;
        Some((found.account.id.to_string(), found.trunk.id.clone()))
    }

    fn own(account: &str, trunk: &str) -> Option<(String, String)> {
        Some((account.to_owned(), trunk.to_owned()))
    }

    #[tokio::test]
    async fn the_number_says_whose_a_call_of_a_shared_carrier_is() {
        let directory = directory().await;
        assert_eq!(
            found(&directory, "192.0.2.9", "14155550100"),
            own("b", "tb")
        );
        assert_eq!(
            found(&directory, "198.51.100.1", "+14155550100"),
            own("b", "ttop"),
            "the first account's reaches all"
        );
        assert_eq!(
            found(&directory, "203.0.113.1", "+14155550100"),
            None,
            "not a trunk's address"
        );
    }

    #[tokio::test]
    async fn a_number_nobody_claims_is_looked_up_among_the_trunks_own_callflows() {
        let directory = directory().await;
        assert_eq!(
            found(&directory, "192.0.2.9", "+14155550122"),
            own("a", "ta")
        );
        assert_eq!(
            found(&directory, "198.51.100.1", "+14155550122"),
            None,
            "not below another's account"
        );
        assert_eq!(
            found(&directory, "192.0.2.9", "+14155550111"),
            None,
            "its callflow spends money"
        );
        assert_eq!(
            found(&directory, "192.0.2.9", "+14155550101"),
            None,
            "given back"
        );
    }

    #[tokio::test]
    async fn a_disabled_account_gets_no_calls() {
        let directory = directory().await;
        let off = json!({"name": "b", "pvt_tree": ["top"], "enabled": false});
        directory.put(Kind::Account, "b", "b", off).await.unwrap();
        assert_eq!(found(&directory, "198.51.100.1", "+14155550100"), None);
    }
}
