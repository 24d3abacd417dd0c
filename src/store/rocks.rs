//! The RocksDB backend: one column family a table, bounded memory, write-ahead log always on.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB,
    DBCompressionType, FlushOptions, Options, ReadOptions, WriteBatch, WriteOptions,
};

use super::kv::{Batch, Direction, Each, KeyRange, Kv, Op, Pair, StoreError, Table};
use super::seal::Seal;

/// The format this version writes and the newest it reads. 1 had its documents in the clear.
pub(super) const FORMAT: u32 = 2;
/// Where the format number stands, in the default column family.
const FORMAT_KEY: &[u8] = b"swivel-format";

/// Memory for rows not yet in sorted files, all tables together.
const WRITE_BUFFERS: usize = 16 << 20;
/// What of it a store at rest may keep.
const RESTING: u64 = 1 << 20;
/// A single table's share before it is written out.
const TABLE_BUFFER: usize = 4 << 20;
/// The write-ahead log is cut when it passes this.
const LOG_BYTES: u64 = 64 << 20;
/// Cache of blocks, indexes and filters, all tables together.
const CACHE: usize = 8 << 20;
/// Room on the disk that opening takes beside that for what is in memory only, with some to go on.
const REOPENING: u64 = 4 << 20;
/// A piece of a sorted file's index or filter.
const METADATA_BLOCK: usize = 4096;
/// Threads for flush and compaction.
const BACKGROUND_JOBS: i32 = 2;
/// Sorted files kept open.
const OPEN_FILES: i32 = 256;

/// An open database.
pub(super) struct Rocks {
    path: PathBuf,
    /// `None` only while, or after a failed attempt at, reopening. Readers and the store thread share it.
    db: RwLock<Option<DB>>,
    /// For documents.
    seal: Seal,
}

impl Rocks {
    /// Opens or creates the database in `path`, and checks its format.
    pub(super) fn open(path: &Path) -> Result<Rocks, StoreError> {
        let db = open(path)?;
        let found = db
            .get(FORMAT_KEY)
            .map_err(|e| failed("read the format", e))?;
        let found = match found {
            None => 0,
            Some(text) => {
                let number = std::str::from_utf8(&text).ok().and_then(|t| t.parse().ok());
                number.ok_or_else(|| StoreError::Corrupt {
                    what: "format number",
                    reason: String::from_utf8_lossy(&text).into_owned(),
                })?
            }
        };
        if found > FORMAT {
            return Err(StoreError::NewerFormat {
                found,
                known: FORMAT,
            });
        }
        let seal = Seal::of(path, found < FORMAT)?;
        if found < FORMAT {
            raise_format(&db, &seal)?;
        }
        Ok(Rocks {
            path: path.to_owned(),
            db: RwLock::new(Some(db)),
            seal,
        })
    }

    /// A value as it was given, from what is stored of it.
    fn opened(&self, table: Table, key: &[u8], stored: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        if is_sealed(table) {
            self.seal.open(table, key, &stored)
        } else {
            Ok(stored)
        }
    }

    fn with<T>(&self, work: impl FnOnce(&DB) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let guard = self.db.read().unwrap_or_else(PoisonError::into_inner);
        work(guard.as_ref().ok_or(StoreError::Closed)?)
    }
}

impl Kv for Rocks {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let stored = self.with(|db| {
            db.get_cf(family(db, table)?, key)
                .map_err(|e| failed("read", e))
        })?;
        stored
            .map(|stored| self.opened(table, key, stored))
            .transpose()
    }

    fn get_many(&self, table: Table, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let stored = self.with(|db| {
            let family = family(db, table)?;
            Ok(db.multi_get_cf(keys.iter().map(|key| (family, key))))
        })?;
        let values = keys.iter().zip(stored).map(|(key, stored)| {
            let stored = stored.map_err(|e| failed("read", e))?;
            stored
                .map(|stored| self.opened(table, key, stored))
                .transpose()
        });
        values.collect()
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
        self.with(|db| {
            let mut options = ReadOptions::default();
            options.set_iterate_lower_bound(range.from.clone());
            if let Some(to) = &range.to {
                options.set_iterate_upper_bound(to.clone());
            }
            let mut rows = db.raw_iterator_cf_opt(family(db, table)?, options);
            match direction {
                Direction::Forward => rows.seek_to_first(),
                Direction::Backward => rows.seek_to_last(),
            }
            let mut found = Vec::new();
            while found.len() < limit {
                let Some((key, value)) = rows.item() else {
                    break;
                };
                found.push((key.to_vec(), self.opened(table, key, value.to_vec())?));
                match direction {
                    Direction::Forward => rows.next(),
                    Direction::Backward => rows.prev(),
                }
            }
            rows.status().map_err(|e| failed("scan", e))?;
            Ok(found)
        })
    }

    fn write(&self, batches: &[&Batch], sync: bool) -> Result<(), StoreError> {
        self.with(|db| {
            let mut all = WriteBatch::default();
            for op in batches.iter().flat_map(|batch| &batch.ops) {
                match op {
                    Op::Put(table, key, value) if is_sealed(*table) => {
                        let stored = self.seal.close(*table, key, value)?;
                        all.put_cf(family(db, *table)?, key, stored);
                    }
                    Op::Put(table, key, value) => all.put_cf(family(db, *table)?, key, value),
                    Op::Delete(table, key) => all.delete_cf(family(db, *table)?, key),
                }
            }
            let mut options = WriteOptions::default();
            options.set_sync(sync);
            db.write_opt(all, &options).map_err(|e| failed("write", e))
        })
    }

    fn rows(&self, each: &mut Each<'_>) -> Result<(), StoreError> {
        self.with(|db| {
            let snapshot = db.snapshot();
            for table in Table::ALL {
                let mut options = ReadOptions::default();
                // What is read once is not worth a place in the cache.
                options.fill_cache(false);
                let mut rows = snapshot.raw_iterator_cf_opt(family(db, table)?, options);
                rows.seek_to_first();
                while let Some((key, value)) = rows.item() {
                    let value = self.opened(table, key, value.to_vec())?;
                    each(table, key, &value)?;
                    rows.next();
                }
                rows.status().map_err(|e| failed("scan", e))?;
            }
            Ok(())
        })
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.with(|db| db.flush_wal(true).map_err(|e| failed("sync", e)))
    }

    fn size(&self, table: Table) -> u64 {
        let size = self.with(|db| {
            let family = family(db, table)?;
            let live = property(db, family, rocksdb::properties::ESTIMATE_LIVE_DATA_SIZE);
            Ok(live + unwritten(db, family))
        });
        size.unwrap_or(0)
    }

    fn rest(&self) {
        let rested = self.with(|db| {
            let mut options = FlushOptions::default();
            options.set_wait(false);
            for table in Table::ALL {
                let family = family(db, table)?;
                if unwritten(db, family) > RESTING {
                    db.flush_cf_opt(family, &options)
                        .map_err(|e| failed("flush", e))?;
                }
            }
            Ok(())
        });
        if let Err(error) = rested {
            tracing::warn!(%error, "the store could not be brought to rest");
        }
    }

    /// Opening writes what was in memory only to new files. Where they would not fit, the store stays as it is: it can be
    /// read at least.
    fn recover(&self) -> Result<(), StoreError> {
        let unwritten = self.with(|db| {
            let each = Table::ALL.map(|table| family(db, table).map(|f| unwritten(db, f)));
            Ok(each.into_iter().flatten().sum::<u64>())
        });
        let free = rustix::fs::statvfs(&self.path)
            .map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        if free < unwritten.unwrap_or(0).saturating_add(REOPENING) {
            return Err(StoreError::NoRoom);
        }
        let mut guard = self.db.write().unwrap_or_else(PoisonError::into_inner);
        // Two handles on one directory exclude each other: the old one goes first.
        drop(guard.take());
        *guard = Some(open(&self.path)?);
        Ok(())
    }
}

fn open(path: &Path) -> Result<DB, StoreError> {
    let refuse = |reason: String| StoreError::Open {
        path: path.to_owned(),
        reason,
    };
    std::fs::create_dir_all(path).map_err(|e| refuse(e.to_string()))?;
    let cache = Cache::new_lru_cache(CACHE);
    let families =
        Table::ALL.map(|table| ColumnFamilyDescriptor::new(table.name(), table_options(&cache)));
    DB::open_cf_descriptors(&database_options(), path, families)
        .map_err(|e| refuse(e.into_string()))
}

/// Whether the values of a table are encrypted: configuration holds passwords, records do not.
fn is_sealed(table: Table) -> bool {
    table == Table::Documents
}

/// Brings an older store to this version's format: its documents are sealed, and what was written of them before leaves
/// the disk. All or nothing.
fn raise_format(db: &DB, seal: &Seal) -> Result<(), StoreError> {
    let documents = family(db, Table::Documents)?;
    let mut all = WriteBatch::default();
    let mut rows = db.raw_iterator_cf(documents);
    rows.seek_to_first();
    while let Some((key, value)) = rows.item() {
        all.put_cf(documents, key, seal.close(Table::Documents, key, value)?);
        rows.next();
    }
    rows.status().map_err(|e| failed("scan", e))?;
    let some = !all.is_empty();
    all.put(FORMAT_KEY, FORMAT.to_string());
    let mut sync = WriteOptions::default();
    sync.set_sync(true);
    db.write_opt(all, &sync)
        .map_err(|e| failed("write the format", e))?;
    if some {
        db.flush_cf(documents)
            .map_err(|e| failed("write documents out", e))?;
        db.compact_range_cf(documents, None::<&[u8]>, None::<&[u8]>);
    }
    Ok(())
}

fn database_options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_db_write_buffer_size(WRITE_BUFFERS);
    options.set_max_total_wal_size(LOG_BYTES);
    options.set_max_background_jobs(BACKGROUND_JOBS);
    options.set_max_open_files(OPEN_FILES);
    options.set_keep_log_file_num(2);
    options.set_skip_stats_update_on_db_open(true);
    options
}

fn table_options(cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_bloom_filter(10.0, false);
    // A long history's index and filters are larger than the cache: they are read piece by piece.
    blocks.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    blocks.set_partition_filters(true);
    blocks.set_metadata_block_size(METADATA_BLOCK);
    blocks.set_pin_top_level_index_and_filter(true);
    let mut options = Options::default();
    options.set_block_based_table_factory(&blocks);
    options.set_write_buffer_size(TABLE_BUFFER);
    options.set_max_write_buffer_number(2);
    options.set_compression_type(DBCompressionType::Lz4);
    options
}

/// Bytes of a table that are in memory only.
fn unwritten(db: &DB, family: &ColumnFamily) -> u64 {
    property(db, family, rocksdb::properties::CUR_SIZE_ALL_MEM_TABLES)
}

fn property(db: &DB, family: &ColumnFamily, name: &rocksdb::properties::PropName) -> u64 {
    let value = db.property_int_value_cf(family, name);
    value.ok().flatten().unwrap_or(0)
}

fn family(db: &DB, table: Table) -> Result<&ColumnFamily, StoreError> {
    db.cf_handle(table.name()).ok_or(StoreError::Corrupt {
        what: "table",
        reason: format!("no `{}`", table.name()),
    })
}

fn failed(action: &'static str, error: rocksdb::Error) -> StoreError {
    let reason = error.into_string();
    // RocksDB says that only in words, the system's.
    if reason.contains("No space left on device") || reason.contains("Disk quota exceeded") {
        return StoreError::NoRoom;
    }
    StoreError::Backend { action, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_of_a_newer_version_is_refused_in_words() {
        let dir = tempfile::tempdir().unwrap();
        drop(Rocks::open(dir.path()).unwrap());
        open(dir.path()).unwrap().put(FORMAT_KEY, "3").unwrap();
        let error = Rocks::open(dir.path()).err().unwrap();
        assert!(error.to_string().contains("format 3"), "{error}");
        assert!(matches!(
            error,
            StoreError::NewerFormat { found: 3, known: 2 }
        ));
    }

    /// Everything in the files of a store.
    fn on_disk(dir: &Path) -> Vec<u8> {
        let files = std::fs::read_dir(dir).unwrap().flatten();
        files
            .flat_map(|file| std::fs::read(file.path()).unwrap_or_default())
            .collect()
    }

    fn holds(dir: &Path, text: &str) -> bool {
        on_disk(dir)
            .windows(text.len())
            .any(|w| w == text.as_bytes())
    }

    #[test]
    fn secrets_of_documents_are_encrypted_at_rest() {
        let dir = tempfile::tempdir().unwrap();
        let rocks = Rocks::open(dir.path()).unwrap();
        let mut batch = Batch::new();
        for n in 0..200 {
            let value = format!("{{\"sip\":{{\"password\":\"canary-of-{n}\"}}}}");
            batch.put(Table::Documents, format!("d{n:03}"), value);
            batch.put(Table::Cdr, format!("c{n:03}"), format!("call-of-{n}"));
        }
        rocks.write(&[&batch], true).unwrap();
        assert!(!holds(dir.path(), "canary-of-"), "in the log");
        rocks
            .with(|db| {
                for table in Table::ALL {
                    db.flush_cf(family(db, table)?)
                        .map_err(|e| failed("flush", e))?;
                }
                Ok(())
            })
            .unwrap();
        assert!(!holds(dir.path(), "canary-of-"), "in a sorted file");
        let get = |rocks: &Rocks| rocks.get(Table::Documents, b"d007").unwrap().unwrap();
        assert!(
            String::from_utf8(get(&rocks))
                .unwrap()
                .contains("canary-of-7\"")
        );
        let rows = rocks
            .scan(Table::Documents, &KeyRange::all(), Direction::Backward, 3)
            .unwrap();
        assert!(String::from_utf8_lossy(&rows[0].1).contains("canary-of-199"));
        drop(rocks);
        let again = Rocks::open(dir.path()).unwrap();
        assert!(
            String::from_utf8(get(&again))
                .unwrap()
                .contains("canary-of-7\"")
        );
    }

    #[test]
    fn documents_of_an_older_store_are_sealed_when_it_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        {
            let old = open(dir.path()).unwrap();
            old.put(FORMAT_KEY, "1").unwrap();
            let documents = family(&old, Table::Documents).unwrap();
            for n in 0..50 {
                old.put_cf(documents, format!("d{n}"), format!("canary-of-{n}"))
                    .unwrap();
            }
            old.put_cf(family(&old, Table::Cdr).unwrap(), "c", "a record")
                .unwrap();
            old.flush_cf(documents).unwrap();
        }
        assert!(holds(dir.path(), "canary-of-"));
        for _ in 0..2 {
            let rocks = Rocks::open(dir.path()).unwrap();
            assert_eq!(
                rocks.get(Table::Documents, b"d7").unwrap().unwrap(),
                b"canary-of-7"
            );
            assert_eq!(rocks.get(Table::Cdr, b"c").unwrap().unwrap(), b"a record");
        }
    }

    #[test]
    fn a_log_cut_off_at_any_byte_still_opens_without_its_last_rows() {
        let dir = tempfile::tempdir().unwrap();
        let rocks = Rocks::open(dir.path()).unwrap();
        for n in 0..20_u8 {
            let mut batch = Batch::new();
            batch.put(Table::Cdr, vec![n], vec![n; 100]);
            rocks.write(&[&batch], true).unwrap();
        }
        let log = std::fs::read_dir(dir.path()).unwrap().flatten();
        let log = log
            .map(|e| e.path())
            .find(|p| p.extension().is_some_and(|e| e == "log"))
            .unwrap();
        let whole = std::fs::read(&log).unwrap();
        for cut in (0..whole.len()).rev().step_by(whole.len() / 24) {
            let copy = tempfile::tempdir().unwrap();
            for file in std::fs::read_dir(dir.path()).unwrap().flatten() {
                std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
            }
            std::fs::write(copy.path().join(log.file_name().unwrap()), &whole[..cut]).unwrap();
            let opened = Rocks::open(copy.path()).unwrap();
            let rows = opened
                .scan(Table::Cdr, &KeyRange::all(), Direction::Forward, 100)
                .unwrap();
            assert!(
                rows.iter()
                    .enumerate()
                    .all(|(n, (key, _))| *key == vec![n as u8]),
                "cut {cut}: a prefix survives"
            );
        }
    }

    #[test]
    fn recovering_reopens_with_everything_in_place() {
        let dir = tempfile::tempdir().unwrap();
        let rocks = Rocks::open(dir.path()).unwrap();
        let mut batch = Batch::new();
        batch.put(Table::Jobs, "a", "1");
        rocks.write(&[&batch], true).unwrap();
        rocks.recover().unwrap();
        assert_eq!(rocks.get(Table::Jobs, b"a").unwrap().unwrap(), b"1");
    }
}
