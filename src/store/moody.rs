//! A backend for tests: in memory, can be held up, can fail, and counts.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};

use super::kv::{Batch, Direction, Each, KeyRange, Kv, Pair, StoreError, Table};
use super::memory::Memory;

/// A memory backend that can be held up, can fail, and counts.
#[derive(Default)]
pub(crate) struct Moody {
    pub(super) inner: Memory,
    pub(super) held: Mutex<bool>,
    pub(super) released: Condvar,
    pub(super) failing: AtomicBool,
    pub(super) writes: AtomicUsize,
    pub(super) syncs: AtomicUsize,
    pub(super) rests: AtomicUsize,
}

impl Moody {
    pub(crate) fn fail(&self, failing: bool) {
        self.failing.store(failing, Ordering::SeqCst);
    }

    pub(crate) fn writes(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }

    pub(crate) fn hold(&self, held: bool) {
        *self.held.lock().unwrap() = held;
        self.released.notify_all();
    }
    pub(super) fn keys(&self) -> Vec<String> {
        let rows = self
            .inner
            .scan(Table::Cdr, &KeyRange::all(), Direction::Forward, 99_999)
            .unwrap();
        rows.into_iter()
            .map(|(key, _)| String::from_utf8(key).unwrap())
            .collect()
    }
}

impl Kv for Moody {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(table, key)
    }
    fn scan(
        &self,
        t: Table,
        r: &KeyRange,
        d: Direction,
        l: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        self.inner.scan(t, r, d, l)
    }
    fn write(&self, batches: &[&Batch], sync: bool) -> Result<(), StoreError> {
        drop(
            self.released
                .wait_while(self.held.lock().unwrap(), |held| *held)
                .unwrap(),
        );
        self.writes.fetch_add(1, Ordering::SeqCst);
        self.syncs.fetch_add(usize::from(sync), Ordering::SeqCst);
        if self.failing.load(Ordering::SeqCst) {
            return Err(StoreError::Backend {
                action: "write",
                reason: "no space".into(),
            });
        }
        self.inner.write(batches, sync)
    }
    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }
    fn rows(&self, each: &mut Each<'_>) -> Result<(), StoreError> {
        self.inner.rows(each)
    }
    fn size(&self, table: Table) -> u64 {
        self.inner.size(table)
    }
    fn rest(&self) {
        self.rests.fetch_add(1, Ordering::SeqCst);
        self.released.notify_all();
    }
}
