//! One account with everything it configures, read-only: what a call keeps for its whole life.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serde_json::Value;

use crate::base::secret::Secret;

use super::kind::Kind;
use super::numbers::NumberIndex;
use super::trunk::Trunk;

/// One account and all its documents.
pub struct Account {
    /// 32-hex id.
    pub id: Arc<str>,
    /// The account's name.
    pub name: String,
    /// The SIP realm, lower case.
    pub realm: Arc<str>,
    /// Whether the account may be used at all.
    pub enabled: bool,
    /// The account document.
    pub doc: Arc<Value>,
    /// Devices by id.
    pub devices: BTreeMap<String, Arc<Device>>,
    /// Users by id.
    pub users: BTreeMap<String, Arc<User>>,
    /// Group documents by id.
    pub groups: BTreeMap<String, Arc<Value>>,
    /// Trunks (`resources`) by id.
    pub trunks: BTreeMap<String, Arc<Trunk>>,
    /// Numbers of the public network, by number.
    pub phone_numbers: BTreeMap<String, Arc<Value>>,
    /// Temporal rules by id.
    pub temporal_rules: BTreeMap<String, Arc<Value>>,
    /// Sets of temporal rules by id.
    pub temporal_rule_sets: BTreeMap<String, Arc<Value>>,
    /// Limits by id; usually one document, `limits`.
    pub limits: BTreeMap<String, Arc<Value>>,
    /// Menu documents by id.
    pub menus: BTreeMap<String, Arc<Value>>,
    /// Conference documents by id.
    pub conferences: BTreeMap<String, Arc<Value>>,
    /// Media documents by id.
    pub media: BTreeMap<String, Arc<Value>>,
    /// Match lists by id.
    pub lists: BTreeMap<String, Arc<Value>>,
    /// Entries of match lists by id; see [`Account::list_entries`].
    pub list_entries: BTreeMap<String, Arc<Value>>,
    /// Documents of the kinds that have no field of their own; see [`Account::of_kind`].
    others: BTreeMap<Kind, BTreeMap<String, Arc<Value>>>,
    /// Callflow documents by id.
    pub callflows: BTreeMap<String, Arc<Value>>,
    /// Which callflow a dialled number belongs to.
    pub numbers: Arc<NumberIndex>,
    /// Device ids by lower-case `sip.username`; several where `sip.realm` tells them apart.
    pub(super) credentials: BTreeMap<String, Vec<String>>,
}

/// The kinds kept in [`Account::of_kind`].
const OTHERS: [Kind; 5] = [
    Kind::ClickToCall,
    Kind::Blacklist,
    Kind::Directory,
    Kind::Webhook,
    Kind::Hosted,
];

impl Account {
    /// What requests to the account's web servers are signed with; `None` signs none.
    pub fn auth_token(&self) -> Option<Secret> {
        let token = self.doc.get(super::private::AUTH_TOKEN)?.as_str()?;
        (!token.is_empty()).then(|| Secret::new(token))
    }

    /// The documents of a kind that has no field of its own, by id.
    pub fn of_kind(&self, kind: Kind) -> &BTreeMap<String, Arc<Value>> {
        static NONE: BTreeMap<String, Arc<Value>> = BTreeMap::new();
        self.others.get(&kind).unwrap_or(&NONE)
    }

    /// The hosted document of that id or name: `flow_doc` is its text or JSON, `flow_type` its content type, as in a pivot
    /// node's `serverless`.
    pub fn hosted(&self, name: &str) -> Option<&Arc<Value>> {
        let all = self.of_kind(Kind::Hosted);
        let named = |doc: &&Arc<Value>| doc.get("name").and_then(Value::as_str) == Some(name);
        all.get(name).or_else(|| all.values().find(named))
    }

    /// The entries of the list `list`: documents naming it by `list_id`, and those inside the list document itself
    /// (`entries`, an array or an object).
    pub fn list_entries<'a>(&'a self, list: &'a str) -> impl Iterator<Item = &'a Value> + 'a {
        let inside = self.lists.get(list).and_then(|doc| doc.get("entries"));
        let array = inside.and_then(Value::as_array).into_iter().flatten();
        let object = inside
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(|map| map.values());
        let own = self
            .list_entries
            .values()
            .map(Arc::as_ref)
            .filter(move |doc| doc.get("list_id").and_then(Value::as_str) == Some(list));
        own.chain(array).chain(object)
    }
}

/// Something that places or takes calls.
#[derive(Clone)]
pub struct Device {
    /// 32-hex id.
    pub id: String,
    /// The device's name.
    pub name: String,
    /// The user it belongs to.
    pub owner_id: Option<String>,
    /// `sip.username`, as written.
    pub username: Option<String>,
    /// `sip.password`.
    pub password: Secret,
    /// `sip.realm`, where it differs from the account's; lower case.
    pub realm: Option<String>,
    /// `sip.ip` of a device with `sip.method` `ip`.
    pub ip: Option<IpNet>,
    /// Whether the device, its owner and its account may be used.
    pub enabled: bool,
    /// The device document.
    pub doc: Arc<Value>,
}

/// A person.
#[derive(Clone)]
pub struct User {
    /// 32-hex id.
    pub id: String,
    /// Name to sign in with, lower case.
    pub username: Option<String>,
    /// Whether the user may be used.
    pub enabled: bool,
    /// Whether the user administers the account (`priv_level`).
    pub admin: bool,
    /// The user document.
    pub doc: Arc<Value>,
}

/// All documents of an account by kind and id, as the store holds them.
pub(super) type Documents = BTreeMap<Kind, BTreeMap<String, Arc<Value>>>;

impl Account {
    /// An account made of documents, outside any directory: for tests and for checking a file before it is applied.
    /// The account's own document is the one of [`Kind::Account`]; without it the account is empty.
    pub fn of(id: &str, documents: impl IntoIterator<Item = (Kind, String, Value)>) -> Account {
        let id: Arc<str> = id.into();
        let mut all = Documents::new();
        all.entry(Kind::Account).or_default().insert(
            id.to_string(),
            Arc::new(Value::Object(serde_json::Map::new())),
        );
        for (kind, own, doc) in documents {
            let own = if kind == Kind::Account {
                id.to_string()
            } else {
                own
            };
            all.entry(kind).or_default().insert(own, Arc::new(doc));
        }
        let doc = all
            .get(&Kind::Account)
            .and_then(|docs| docs.get(&*id))
            .cloned()
            .unwrap_or_default();
        Self::with_document(&id, doc, &all, None)
    }

    /// Reads an account from its documents. `None` without an account document. An index of `previous` is used again
    /// when nothing it depends on has changed.
    pub(super) fn read(
        id: &Arc<str>,
        documents: &Documents,
        previous: Option<&Account>,
    ) -> Option<Account> {
        let doc = Arc::clone(documents.get(&Kind::Account)?.get(&**id)?);
        Some(Self::with_document(id, doc, documents, previous))
    }

    fn with_document(
        id: &Arc<str>,
        doc: Arc<Value>,
        documents: &Documents,
        previous: Option<&Account>,
    ) -> Account {
        let of = |kind: Kind| documents.get(&kind).cloned().unwrap_or_default();
        let enabled = is_enabled(&doc);
        let users: BTreeMap<_, _> = of(Kind::User)
            .into_iter()
            .map(|(id, doc)| (id.clone(), Arc::new(User::read(id, doc))))
            .collect();
        let devices: BTreeMap<_, _> = of(Kind::Device)
            .into_iter()
            .map(|(id, doc)| {
                let mut device = Device::read(id.clone(), doc);
                let owner = device.owner_id.as_ref().and_then(|owner| users.get(owner));
                device.enabled &= enabled && owner.is_none_or(|owner| owner.enabled);
                (id, Arc::new(device))
            })
            .collect();
        let mut credentials: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for device in devices.values() {
            if let Some(name) = &device.username {
                credentials
                    .entry(name.to_lowercase())
                    .or_default()
                    .push(device.id.clone());
            }
        }
        let trunks = of(Kind::Trunk)
            .into_iter()
            .map(|(id, doc)| {
                // Its regular expressions are compiled once for each version of the document.
                let known = previous.and_then(|p| p.trunks.get(&id));
                let trunk = match known.filter(|known| Arc::ptr_eq(&known.doc, &doc)) {
                    Some(known) => Arc::clone(known),
                    None => Arc::new(Trunk::read(id.clone(), doc)),
                };
                (id, trunk)
            })
            .collect();
        let callflows = of(Kind::Callflow);
        let same = previous
            .filter(|p| Arc::ptr_eq(&p.doc, &doc) && same_documents(&p.callflows, &callflows));
        let numbers = same.map_or_else(
            || {
                Arc::new(NumberIndex::build(
                    &doc,
                    callflows.iter().map(|(id, doc)| (id.as_str(), &**doc)),
                ))
            },
            |p| Arc::clone(&p.numbers),
        );
        Account {
            id: Arc::clone(id),
            name: text(&doc, "/name").unwrap_or_default(),
            realm: text(&doc, "/realm")
                .unwrap_or_default()
                .to_lowercase()
                .into(),
            enabled,
            devices,
            users,
            groups: of(Kind::Group),
            trunks,
            phone_numbers: of(Kind::PhoneNumber),
            temporal_rules: of(Kind::TemporalRule),
            temporal_rule_sets: of(Kind::TemporalRuleSet),
            limits: of(Kind::Limits),
            menus: of(Kind::Menu),
            conferences: of(Kind::Conference),
            media: of(Kind::Media),
            lists: of(Kind::List),
            list_entries: of(Kind::ListEntry),
            others: OTHERS.iter().map(|kind| (*kind, of(*kind))).collect(),
            callflows,
            numbers,
            credentials,
            doc,
        }
    }

    /// The users logged in at a device (`hotdesk.users`), else its owner when there is one.
    pub fn owners_of<'a>(&'a self, device: &'a Device) -> Vec<&'a Arc<User>> {
        let desk = device.doc.pointer("/hotdesk/users");
        let logged_in = desk.and_then(Value::as_object).into_iter().flatten();
        let mut owners: Vec<_> = logged_in.filter_map(|(id, _)| self.users.get(id)).collect();
        if owners.is_empty() {
            owners.extend(device.owner_id.as_ref().and_then(|id| self.users.get(id)));
        }
        owners
    }

    /// Ids of the accounts above this one, the first account first.
    pub fn above(&self) -> impl Iterator<Item = &str> {
        let tree = self.doc.get(super::private::TREE);
        let ids = tree.and_then(Value::as_array).into_iter().flatten();
        ids.filter_map(Value::as_str)
    }

    /// Whether it is the first account, whose trunks serve every account.
    pub fn is_first(&self) -> bool {
        self.doc
            .get(super::private::SUPERDUPER)
            .and_then(Value::as_bool)
            == Some(true)
    }

    /// The document of that kind and id.
    pub fn document(&self, kind: Kind, id: &str) -> Option<&Arc<Value>> {
        match kind {
            Kind::Account => (id == &*self.id).then_some(&self.doc),
            Kind::User => self.users.get(id).map(|user| &user.doc),
            Kind::Device => {
                let device = self.devices.get(id).map(|device| &device.doc);
                device.filter(|doc| !super::private::is_temporary(doc))
            }
            Kind::Trunk => self.trunks.get(id).map(|trunk| &trunk.doc),
            Kind::Group => self.groups.get(id),
            Kind::PhoneNumber => self.phone_numbers.get(id),
            Kind::TemporalRule => self.temporal_rules.get(id),
            Kind::TemporalRuleSet => self.temporal_rule_sets.get(id),
            Kind::Limits => self.limits.get(id),
            Kind::Menu => self.menus.get(id),
            Kind::Conference => self.conferences.get(id),
            Kind::Media => self.media.get(id),
            Kind::List => self.lists.get(id),
            Kind::ListEntry => self.list_entries.get(id),
            Kind::Callflow => self.callflows.get(id),
            Kind::ClickToCall
            | Kind::Blacklist
            | Kind::Directory
            | Kind::Webhook
            | Kind::Hosted => self.of_kind(kind).get(id),
        }
    }

    /// Every document of a kind, by id.
    pub fn documents(&self, kind: Kind) -> Vec<(&str, &Arc<Value>)> {
        fn plain(map: &BTreeMap<String, Arc<Value>>) -> Vec<(&str, &Arc<Value>)> {
            map.iter().map(|(id, doc)| (id.as_str(), doc)).collect()
        }
        match kind {
            Kind::Account => vec![(&self.id, &self.doc)],
            Kind::User => self
                .users
                .iter()
                .map(|(id, user)| (id.as_str(), &user.doc))
                .collect(),
            Kind::Device => self
                .devices
                .iter()
                .map(|(id, device)| (id.as_str(), &device.doc))
                .filter(|(_, doc)| !super::private::is_temporary(doc))
                .collect(),
            Kind::Trunk => self
                .trunks
                .iter()
                .map(|(id, trunk)| (id.as_str(), &trunk.doc))
                .collect(),
            Kind::Group => plain(&self.groups),
            Kind::PhoneNumber => plain(&self.phone_numbers),
            Kind::TemporalRule => plain(&self.temporal_rules),
            Kind::TemporalRuleSet => plain(&self.temporal_rule_sets),
            Kind::Limits => plain(&self.limits),
            Kind::Menu => plain(&self.menus),
            Kind::Conference => plain(&self.conferences),
            Kind::Media => plain(&self.media),
            Kind::List => plain(&self.lists),
            Kind::ListEntry => plain(&self.list_entries),
            Kind::Callflow => plain(&self.callflows),
            Kind::ClickToCall
            | Kind::Blacklist
            | Kind::Directory
            | Kind::Webhook
            | Kind::Hosted => plain(self.of_kind(kind)),
        }
    }

    /// The realms devices of this account authenticate in, lower case: its own, and each device's.
    pub(super) fn realms(&self) -> BTreeSet<&str> {
        let devices = self
            .devices
            .values()
            .filter_map(|device| device.realm.as_deref());
        devices
            .chain([&*self.realm])
            .filter(|realm| !realm.is_empty())
            .collect()
    }
}

impl Device {
    fn read(id: String, doc: Arc<Value>) -> Device {
        let by_address = text(&doc, "/sip/method").as_deref() == Some("ip");
        Device {
            id,
            name: text(&doc, "/name").unwrap_or_default(),
            owner_id: text(&doc, "/owner_id"),
            username: text(&doc, "/sip/username"),
            password: Secret::new(text(&doc, "/sip/password").unwrap_or_default()),
            realm: text(&doc, "/sip/realm").map(|realm| realm.to_lowercase()),
            ip: text(&doc, "/sip/ip")
                .filter(|_| by_address)
                .and_then(|ip| network(&ip)),
            enabled: is_enabled(&doc),
            doc,
        }
    }
}

impl User {
    fn read(id: String, doc: Arc<Value>) -> User {
        User {
            id,
            username: text(&doc, "/username").map(|name| name.to_lowercase()),
            enabled: is_enabled(&doc),
            admin: text(&doc, "/priv_level").as_deref() == Some("admin"),
            doc,
        }
    }
}

// Documents hold passwords and their hashes, so none of these prints them.

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("id", &self.id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Device")
            .field("id", &self.id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// An address or a network in CIDR form.
pub fn network(text: &str) -> Option<IpNet> {
    let text = text.trim();
    text.parse()
        .ok()
        .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
        .map(|net: IpNet| net.trunc())
}

fn text(doc: &Value, pointer: &str) -> Option<String> {
    doc.pointer(pointer)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

/// `enabled` missing means yes, as the schemas' default.
fn is_enabled(doc: &Value) -> bool {
    doc.get("enabled").and_then(Value::as_bool).unwrap_or(true)
}

fn same_documents(a: &BTreeMap<String, Arc<Value>>, b: &BTreeMap<String, Arc<Value>>) -> bool {
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .all(|((x, a), (y, b))| x == y && Arc::ptr_eq(a, b))
}
