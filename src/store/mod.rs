//! Everything that must survive the process: an ordered key-value trait, its backends, and group commit.
//!
//! - `kv`: the trait every backend implements, key ranges, batches.
//! - `memory`, `rocks`: the backends. One conformance suite (`conformance`) runs against both.
//! - `seal`: documents are encrypted before they reach the disk.
//! - `commit`: the store thread: one write and one fsync for all batches of up to 5 ms.
//! - `spill`: the file CDR batches go to while the store cannot keep up.
//! - `keys`: how keys are laid out in the tables.
//! - `backup`: everything in one file, and back again.
//! - `files`: bytes of media documents and recordings, beside the database.

pub mod backup;
mod commit;
#[cfg(test)]
mod conformance;
pub mod files;
pub mod keys;
mod kv;
mod memory;
#[cfg(test)]
pub(crate) mod moody;
mod rocks;
mod seal;
mod spill;

use std::path::Path;
use std::sync::Arc;

use crate::host::task;

pub use commit::Queued;
use commit::{Committer, Limits};
pub use files::Files;
pub use kv::{Batch, Direction, KeyRange, Pair, StoreError, Table};
use kv::{Class, Kv as _};
use memory::Memory;

/// Called on the store thread when a submitted batch is durable, or could not be made so.
pub type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// A handle to the store. Cheap to clone; the last one to go writes what is queued and ends the store thread.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

enum Inner {
    /// Applied by whoever calls: no thread, no waiting, same order every run.
    Inline(Memory),
    Threaded(Committer),
}

impl Store {
    /// Opens or creates the RocksDB store in the directory `path`, replaying what an earlier process had spilled.
    ///
    /// # Errors
    /// When it cannot be opened, or was written by a newer version.
    pub fn open(path: &Path) -> Result<Store, StoreError> {
        let backend = Arc::new(rocks::Rocks::open(path)?);
        let committer = Committer::start(backend, Some(path), Limits::default())?;
        Ok(Store(Arc::new(Inner::Threaded(committer))))
    }

    /// A store that lives in memory; writes are applied at once, without a thread.
    pub fn memory() -> Store {
        Store(Arc::new(Inner::Inline(Memory::default())))
    }

    /// A store with a thread over a backend of a test.
    #[cfg(test)]
    pub(crate) fn over(backend: Arc<moody::Moody>) -> Store {
        let committer = Committer::start(backend, None, Limits::default()).unwrap();
        Store(Arc::new(Inner::Threaded(committer)))
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// When the backend fails.
    pub async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match &*self.0 {
            Inner::Inline(memory) => memory.get(table, key),
            Inner::Threaded(committer) => {
                let (backend, key) = (Arc::clone(committer.backend()), key.to_vec());
                let read = task::blocking("store-get", move || backend.get(table, &key));
                read.await.unwrap_or(Err(StoreError::Closed))
            }
        }
    }

    /// The values of keys, in their order.
    ///
    /// # Errors
    /// When the backend fails.
    pub async fn get_many(
        &self,
        table: Table,
        keys: Vec<Vec<u8>>,
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        match &*self.0 {
            Inner::Inline(memory) => memory.get_many(table, &keys),
            Inner::Threaded(_) if keys.is_empty() => Ok(Vec::new()),
            Inner::Threaded(committer) => {
                let backend = Arc::clone(committer.backend());
                let read = task::blocking("store-get-many", move || backend.get_many(table, &keys));
                read.await.unwrap_or(Err(StoreError::Closed))
            }
        }
    }

    /// Up to `limit` pairs of a range, in key order or backwards.
    ///
    /// # Errors
    /// When the backend fails.
    pub async fn scan(
        &self,
        table: Table,
        range: KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        match &*self.0 {
            Inner::Inline(memory) => memory.scan(table, &range, direction, limit),
            Inner::Threaded(committer) => {
                let backend = Arc::clone(committer.backend());
                let read = task::blocking("store-scan", move || {
                    backend.scan(table, &range, direction, limit)
                });
                read.await.unwrap_or(Err(StoreError::Closed))
            }
        }
    }

    /// Writes a batch; returns when it is durable.
    ///
    /// # Errors
    /// When the backend fails.
    pub async fn write(&self, batch: Batch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        match &*self.0 {
            Inner::Inline(memory) => memory.write(&[&batch], true),
            Inner::Threaded(committer) => committer.write(batch).await,
        }
    }

    /// Hands a batch to the store thread, waiting for room alone; others may follow before it is durable.
    ///
    /// # Errors
    /// When the backend fails.
    pub async fn queue(&self, batch: Batch) -> Result<Queued, StoreError> {
        match &*self.0 {
            Inner::Threaded(committer) if !batch.is_empty() => committer.queue(batch).await,
            Inner::Inline(_) | Inner::Threaded(_) => {
                let (sender, receiver) = tokio::sync::oneshot::channel();
                // The receiver is here.
                drop(sender.send(self.write(batch).await));
                Ok(Queued(receiver))
            }
        }
    }

    /// Hands a batch to the store thread without waiting. `done` is called when it is durable (on the store thread;
    /// with a memory store, before this returns).
    pub fn submit(&self, batch: Batch, done: Done) {
        match &*self.0 {
            Inner::Inline(memory) => done(memory.write(&[&batch], batch.class == Class::Durable)),
            Inner::Threaded(committer) => committer.submit(batch, done),
        }
    }

    /// Waits until everything submitted so far is durable.
    ///
    /// # Errors
    /// When the backend fails.
    pub async fn flush(&self) -> Result<(), StoreError> {
        match &*self.0 {
            Inner::Inline(memory) => memory.flush(),
            Inner::Threaded(committer) => {
                let write = committer.write(Batch::new());
                committer.hurry();
                write.await
            }
        }
    }

    /// Writes everything, as it is at one moment, and the files of `folders` into the file `to`.
    ///
    /// # Errors
    /// When the backend or the disk fails; then there is no such file.
    pub async fn backup(
        &self,
        to: &Path,
        folders: Vec<backup::Folder>,
    ) -> Result<backup::Tally, StoreError> {
        // What was acknowledged, and what was only handed over, is in it.
        self.flush().await?;
        let (own, to) = (self.clone(), to.to_owned());
        let work = move || match &*own.0 {
            Inner::Inline(memory) => backup::write(memory, &to, &folders),
            Inner::Threaded(committer) => backup::write(&**committer.backend(), &to, &folders),
        };
        let work = task::blocking("backup", work);
        work.await.unwrap_or(Err(StoreError::Closed))
    }

    /// About how many bytes a table takes.
    pub fn size(&self, table: Table) -> u64 {
        match &*self.0 {
            Inner::Inline(memory) => memory.size(table),
            Inner::Threaded(committer) => committer.backend().size(table),
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match &*self.0 {
            Inner::Inline(_) => "Store(memory)",
            Inner::Threaded(_) => "Store(rocksdb)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reopened_store_has_everything_that_was_acknowledged() {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let store = Store::open(dir.path()).unwrap();
            let mut batch = Batch::new();
            batch.put(Table::Documents, "k", "v");
            store.write(batch).await.unwrap();
            let mut later = Batch::new();
            later.put(Table::Cdr, "c", "1");
            store.submit(later, Box::new(|_| {}));
            store.flush().await.unwrap();
            assert!(store.get(Table::Cdr, b"c").await.unwrap().is_some());
            drop(store);
            let again = Store::open(dir.path()).unwrap();
            assert_eq!(
                again.get(Table::Documents, b"k").await.unwrap().unwrap(),
                b"v"
            );
            let rows = again
                .scan(Table::Cdr, KeyRange::all(), Direction::Backward, 5)
                .await
                .unwrap();
            assert_eq!(rows, [(b"c".to_vec(), b"1".to_vec())]);
        });
    }
}
