//! A backend that keeps everything in memory: for tests, the deterministic world and `swivel demo`.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, PoisonError};

use super::kv::{Batch, Direction, Each, KeyRange, Kv, Op, Pair, StoreError, Table};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// Tables as sorted maps.
#[derive(Default)]
pub(super) struct Memory {
    /// Shared between the store thread and readers.
    tables: Mutex<BTreeMap<Table, Rows>>,
}

impl Memory {
    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<Table, Rows>) -> T) -> T {
        work(&mut self.tables.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Kv for Memory {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.with(|tables| tables.get(&table).and_then(|rows| rows.get(key)).cloned()))
    }

    fn scan(
        &self,
        table: Table,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        if range.to.as_ref().is_some_and(|to| *to <= range.from) {
            return Ok(Vec::new());
        }
        let to = range.to.clone().map_or(Bound::Unbounded, Bound::Excluded);
        Ok(self.with(|tables| {
            let Some(rows) = tables.get(&table) else {
                return Vec::new();
            };
            let found = rows.range((Bound::Included(range.from.clone()), to));
            let pair = |(k, v): (&Vec<u8>, &Vec<u8>)| (k.clone(), v.clone());
            match direction {
                Direction::Forward => found.take(limit).map(pair).collect(),
                Direction::Backward => found.rev().take(limit).map(pair).collect(),
            }
        }))
    }

    fn write(&self, batches: &[&Batch], _sync: bool) -> Result<(), StoreError> {
        self.with(|tables| {
            for op in batches.iter().flat_map(|batch| &batch.ops) {
                match op {
                    Op::Put(table, key, value) => {
                        tables
                            .entry(*table)
                            .or_default()
                            .insert(key.clone(), value.clone());
                    }
                    Op::Delete(table, key) => {
                        tables.entry(*table).or_default().remove(key);
                    }
                }
            }
        });
        Ok(())
    }

    fn rows(&self, each: &mut Each<'_>) -> Result<(), StoreError> {
        let tables = self.with(|tables| tables.clone());
        for (table, rows) in &tables {
            for (key, value) in rows {
                each(*table, key, value)?;
            }
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn size(&self, table: Table) -> u64 {
        self.with(|tables| {
            let rows = tables.get(&table).into_iter().flatten();
            rows.map(|(key, value)| (key.len() + value.len()) as u64)
                .sum()
        })
    }
}
