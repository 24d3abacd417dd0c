//! The configuration of every account, in memory: an `Arc` an account, replaced as a whole when something changes.
//!
//! - `kind`: the kinds of documents.
//! - `account`: one account, its devices and users, as a call keeps it.
//! - `snapshot`: all accounts at one moment, and the indexes over them.
//! - `trunk`: one carrier with its gateways. `formatters`: how numbers and names are rewritten.
//! - `numbers`: which callflow a dialled number belongs to.
//! - `private`: the keys of a stored document that are the server's own (`pvt_…`).
//!
//! A write goes to the store first and is shown to readers once it is durable. Deleted documents stay in the store,
//! marked, and are not loaded.

mod account;
pub mod formatters;
mod kind;
pub mod numbers;
pub mod private;
mod snapshot;
pub mod trunk;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinHandle;

use crate::base::secret::Secret;
use crate::host::{clock, task};
use crate::store::{Batch, Direction, Files, KeyRange, Store, StoreError, Table, keys};

use account::Documents;
pub use account::{Account, Device, User, network};
pub use kind::Kind;
use snapshot::Snapshot;
pub use trunk::{Gateway, Trunk};

/// A handle to the configuration. Cheap to clone; readers get snapshots.
#[derive(Clone)]
pub struct Directory(Arc<Inner>);

struct Inner {
    store: Store,
    files: Files,
    /// What readers see. Held only to copy or replace the pointer.
    now: RwLock<Arc<Snapshot>>,
    /// Addresses of trunks that no document names. Held to look one up.
    learned: RwLock<BTreeMap<String, Learned>>,
    /// Every live document; one writer at a time.
    documents: Mutex<BTreeMap<Arc<str>, Documents>>,
}

/// An address that was found to be a trunk's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learned {
    /// The address.
    pub source: IpAddr,
    /// Account of the trunk.
    pub account: String,
    /// Id of the trunk.
    pub trunk: String,
}

/// One change of a group written together.
#[derive(Debug, Clone)]
pub struct Change {
    /// What kind of document.
    pub kind: Kind,
    /// The account it belongs to.
    pub account: String,
    /// Its id.
    pub id: String,
    /// The whole new document; `None` deletes.
    pub doc: Option<Value>,
}

impl Directory {
    /// Reads every document from the store; media bytes are kept in memory.
    ///
    /// # Errors
    /// When the store fails or holds something unreadable.
    pub async fn load(store: Store) -> Result<Directory, StoreError> {
        Self::load_with(store, Files::memory()).await
    }

    /// Reads every document from the store; media bytes are kept in `files`.
    ///
    /// # Errors
    /// When the store fails or holds something unreadable.
    pub async fn load_with(store: Store, files: Files) -> Result<Directory, StoreError> {
        let rows = store.scan(
            Table::Documents,
            KeyRange::prefix(keys::prefix(&["doc"])),
            Direction::Forward,
            usize::MAX,
        );
        let mut documents: BTreeMap<Arc<str>, Documents> = BTreeMap::new();
        for (key, value) in rows.await? {
            let parts = keys::parts(&key);
            let [_, account, kind, id] = parts.as_slice() else {
                continue;
            };
            // A kind of a newer version: left alone.
            let Some(kind) = Kind::named(kind) else {
                continue;
            };
            let doc: Value = serde_json::from_slice(&value).map_err(|e| StoreError::Corrupt {
                what: "document",
                reason: format!("{account}/{}/{id}: {e}", kind.name()),
            })?;
            if !private::is_deleted(&doc) {
                let of_account = documents.entry(account.as_str().into()).or_default();
                of_account
                    .entry(kind)
                    .or_default()
                    .insert(id.clone(), Arc::new(doc));
            }
        }
        let all: Vec<Arc<str>> = documents.keys().cloned().collect();
        let now = Snapshot::default().with(&documents, &all);
        let now = RwLock::new(Arc::new(now));
        Ok(Directory(Arc::new(Inner {
            store,
            files,
            now,
            learned: RwLock::default(),
            documents: Mutex::new(documents),
        })))
    }

    fn now(&self) -> Arc<Snapshot> {
        Arc::clone(&self.0.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The account with that id.
    pub fn account(&self, id: &str) -> Option<Arc<Account>> {
        self.now().accounts.get(id).cloned()
    }

    /// The account with that realm, case ignored. It may be disabled.
    pub fn by_realm(&self, realm: &str) -> Option<Arc<Account>> {
        self.now().by_realm(realm)
    }

    /// Whether phones of some account authenticate in that realm, case ignored.
    pub fn is_realm(&self, name: &str) -> bool {
        self.now().is_realm(name)
    }

    /// The enabled device with `sip.method` `ip` whose address or network holds `source`; the narrowest wins.
    pub fn device_by_source(&self, source: IpAddr) -> Option<(Arc<Account>, String)> {
        self.now().by_source(source)
    }

    /// Every enabled trunk whose `inbound_ips` hold `source`, with its account: of several tenants of one carrier each
    /// has one.
    pub fn trunks_by_source(&self, source: IpAddr) -> Vec<(Arc<Account>, Arc<Trunk>)> {
        let now = self.now();
        let mut found = now.trunks_by_source(source);
        let source = source.to_canonical();
        let learned = self.0.learned.read();
        let learned = learned.unwrap_or_else(PoisonError::into_inner);
        for one in learned.values().filter(|one| one.source == source) {
            let account = now.accounts.get(&*one.account);
            let trunk = account.and_then(|account| account.trunks.get(&one.trunk));
            if let (Some(account), Some(trunk)) = (account, trunk)
                && trunk.enabled
                && !found.iter().any(|(_, known)| known.id == trunk.id)
            {
                found.push((Arc::clone(account), Arc::clone(trunk)));
            }
        }
        found
    }

    /// A carrier's calls come from this address although its document names none: we have registered there. `name`
    /// tells apart what is learned; `None` forgets it.
    pub fn learn_source(&self, name: &str, learned: Option<Learned>) {
        let mut all = self
            .0
            .learned
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        match learned {
            Some(learned) => drop(all.insert(name.to_owned(), learned)),
            None => drop(all.remove(name)),
        }
    }

    /// The account a number of the public network belongs to, by its `phone_numbers` document: in service, being
    /// ported or reserved, and the account enabled.
    pub fn account_of_number(&self, number: &str) -> Option<Arc<Account>> {
        self.now().by_number(number)
    }

    /// The enabled device that authenticates as `username` in `realm` (case ignored in both), and its password.
    pub fn secret(
        &self,
        realm: &str,
        username: &str,
    ) -> Option<(Arc<Account>, Arc<Device>, Secret)> {
        let (account, device) = self.now().by_credentials(realm, username)?;
        let secret = device.password.clone();
        Some((account, device, secret))
    }

    /// Every account, by id.
    pub fn accounts(&self) -> Vec<Arc<Account>> {
        self.now().accounts.values().cloned().collect()
    }

    /// The store behind it.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The uploaded bytes of a media document.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn media_bytes(&self, account: &str, id: &str) -> Result<Option<Bytes>, StoreError> {
        self.0.files.get(account, id).await
    }

    /// Where uploaded bytes are kept.
    pub fn files(&self) -> &Files {
        &self.0.files
    }

    /// Keeps the uploaded bytes of a media document.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn put_media_bytes(
        &self,
        account: &str,
        id: &str,
        bytes: Bytes,
    ) -> Result<(), StoreError> {
        self.0.files.put(account, id, bytes).await
    }

    /// Removes the uploaded bytes of a media document.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn remove_media_bytes(&self, account: &str, id: &str) -> Result<(), StoreError> {
        self.0.files.remove(account, id).await
    }

    /// Stores a whole document, then shows it to readers. Private keys (`pvt_…`) of the stored document that `doc`
    /// does not set itself are kept; revision and times are set here. Returns the document as stored.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn put(
        &self,
        kind: Kind,
        account: &str,
        id: &str,
        doc: Value,
    ) -> Result<Arc<Value>, StoreError> {
        let change = Change {
            kind,
            account: account.to_owned(),
            id: id.to_owned(),
            doc: Some(doc),
        };
        let written = self.write(vec![change], Batch::new()).await?;
        written
            .into_iter()
            .next()
            .flatten()
            .ok_or(StoreError::Closed)
    }

    /// Marks a document deleted. `None` when there was none, else the document with the mark. Deleting the account's
    /// own document hides everything in it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete(
        &self,
        kind: Kind,
        account: &str,
        id: &str,
    ) -> Result<Option<Arc<Value>>, StoreError> {
        let change = Change {
            kind,
            account: account.to_owned(),
            id: id.to_owned(),
            doc: None,
        };
        Ok(self
            .write(vec![change], Batch::new())
            .await?
            .into_iter()
            .next()
            .flatten())
    }

    /// Shows a document to calls without storing it: it ends with the process, and no list has it. `None` takes it away.
    pub async fn set_temporary(&self, kind: Kind, account: &str, id: &str, doc: Option<Value>) {
        let mut documents = self.0.documents.lock().await;
        let account: Arc<str> = account.into();
        let Some(of_account) = documents.get_mut(&account) else {
            return;
        };
        let of_kind = of_account.entry(kind).or_default();
        match doc {
            Some(mut doc) => {
                if let Some(fields) = doc.as_object_mut() {
                    fields.insert(private::TEMPORARY.into(), Value::Bool(true));
                }
                let doc = private::stamped(doc, None, kind, &account, clock::unix_now());
                of_kind.insert(id.to_owned(), Arc::new(doc));
            }
            None => drop(of_kind.remove(id)),
        }
        let next = Arc::new(self.now().with(&documents, &[account]));
        *self.0.now.write().unwrap_or_else(PoisonError::into_inner) = next;
    }

    /// Makes several changes at once, together with whatever else is in `batch` (an audit record, jobs). Gives each
    /// document as stored; `None` where a document to be deleted did not exist.
    ///
    /// # Errors
    /// When the store fails; then nothing has changed.
    pub async fn write(
        &self,
        changes: Vec<Change>,
        batch: Batch,
    ) -> Result<Vec<Option<Arc<Value>>>, StoreError> {
        self.begin(changes, batch).await?.durable().await
    }

    /// Like [`Directory::write`] in two steps: what was changed is shown to readers when this returns, and durable later, so
    /// that others may write meanwhile. Nobody is to be told that it is done before it is durable.
    ///
    /// # Errors
    /// When the store fails; then nothing has changed.
    pub async fn begin(&self, changes: Vec<Change>, batch: Batch) -> Result<Begun, StoreError> {
        let own = self.clone();
        let (shown, seen) = oneshot::channel();
        // A caller that stops waiting must not leave memory behind what is durable.
        let work = task::spawn("directory-write", async move {
            own.write_whole(changes, batch, shown).await
        });
        match seen.await {
            Ok(()) => Ok(Begun(work)),
            // It has failed before.
            Err(_) => match work.await.ok().flatten() {
                Some(Err(error)) => Err(error),
                Some(Ok(_)) | None => Err(StoreError::Closed),
            },
        }
    }

    async fn write_whole(
        &self,
        changes: Vec<Change>,
        mut batch: Batch,
        shown: oneshot::Sender<()>,
    ) -> Result<Written, StoreError> {
        let mut documents = self.0.documents.lock().await;
        let at = clock::unix_now();
        let mut written = Vec::with_capacity(changes.len());
        let mut staged: BTreeMap<(Arc<str>, Kind, String), Option<Arc<Value>>> = BTreeMap::new();
        for change in changes {
            let account: Arc<str> = change.account.as_str().into();
            let place = (Arc::clone(&account), change.kind, change.id.clone());
            let old = match staged.get(&place) {
                Some(old) => old.clone(),
                None => documents
                    .get(&account)
                    .and_then(|d| d.get(&change.kind)?.get(&change.id))
                    .cloned(),
            };
            let deleting = change.doc.is_none();
            let new = match (change.doc, old.as_deref()) {
                (Some(doc), old) => private::stamped(doc, old, change.kind, &account, at),
                (None, Some(old)) => private::deleted(old, at),
                (None, None) => {
                    written.push(None);
                    continue;
                }
            };
            let bytes = serde_json::to_vec(&new).map_err(|e| StoreError::Corrupt {
                what: "document",
                reason: e.to_string(),
            })?;
            batch.put(
                Table::Documents,
                keys::join(&["doc", &account, change.kind.name(), &change.id]),
                bytes,
            );
            let new = Arc::new(new);
            staged.insert(place, (!deleting).then(|| Arc::clone(&new)));
            written.push(Some(new));
        }
        // From here on the order of the queue is the order of the lock.
        let queued = self.0.store.queue(batch).await?;
        let places: Vec<_> = staged.keys().cloned().collect();
        self.show(&mut documents, staged);
        drop(documents);
        if shown.send(()).is_err() {
            tracing::trace!("whoever began a write has gone; it goes on");
        }
        if let Err(error) = queued.durable().await {
            self.restore(places).await;
            return Err(error);
        }
        Ok(written)
    }

    /// Puts documents in place, or takes them away, and shows that to readers.
    fn show(
        &self,
        documents: &mut BTreeMap<Arc<str>, Documents>,
        staged: BTreeMap<(Arc<str>, Kind, String), Option<Arc<Value>>>,
    ) {
        let mut changed: Vec<Arc<str>> = Vec::new();
        for ((account, kind, id), doc) in staged {
            let of_kind = documents
                .entry(Arc::clone(&account))
                .or_default()
                .entry(kind)
                .or_default();
            match doc {
                Some(doc) => drop(of_kind.insert(id, doc)),
                None => drop(of_kind.remove(&id)),
            }
            if changed.last() != Some(&account) {
                changed.push(account);
            }
        }
        let next = Arc::new(self.now().with(documents, &changed));
        *self.0.now.write().unwrap_or_else(PoisonError::into_inner) = next;
    }

    /// A write has failed after it was shown: what is stored of these documents is shown again.
    async fn restore(&self, places: Vec<(Arc<str>, Kind, String)>) {
        let mut documents = self.0.documents.lock().await;
        // What others have queued meanwhile is decided first.
        if let Err(error) = self.0.store.flush().await {
            tracing::debug!(%error, "the store fails");
        }
        let mut stored = BTreeMap::new();
        for (account, kind, id) in places {
            let key = keys::join(&["doc", &account, kind.name(), &id]);
            match self.0.store.get(Table::Documents, &key).await {
                Ok(value) => {
                    let doc = value.and_then(|value| serde_json::from_slice::<Value>(&value).ok());
                    let doc = doc.filter(|doc| !private::is_deleted(doc)).map(Arc::new);
                    stored.insert((account, kind, id), doc);
                }
                Err(error) => {
                    tracing::error!(%error, account = &*account, id, "a document is shown as it could not be stored");
                }
            }
        }
        self.show(&mut documents, stored);
    }
}

/// Documents as stored; `None` where one to be deleted did not exist.
type Written = Vec<Option<Arc<Value>>>;

/// A write that readers see and that is not durable yet.
pub struct Begun(JoinHandle<Option<Result<Written, StoreError>>>);

impl Begun {
    /// Waits until it is durable. Gives each document as stored.
    ///
    /// # Errors
    /// When the store fails; then readers see what was there before.
    pub async fn durable(self) -> Result<Vec<Option<Arc<Value>>>, StoreError> {
        self.0
            .await
            .ok()
            .flatten()
            .unwrap_or(Err(StoreError::Closed))
    }
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Directory({} accounts)", self.now().accounts.len())
    }
}

#[cfg(test)]
mod tests;
