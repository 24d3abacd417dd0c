//! The file batches go to while the store cannot keep up, and from which they are replayed in order.
//!
//! `spill` is appended to; a replay first renames it to `spill.replay`, so that appending can go on meanwhile. Each
//! record is its length, a checksum and the encoded batch; a torn tail (the process died while appending) is ignored,
//! since nobody was told it is durable.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use super::kv::{Batch, Class, Op, StoreError, Table};

/// Bytes of checksum before each record.
const CHECK: usize = 8;

/// The spill files of one store.
pub(super) struct Spill {
    current: PathBuf,
    replay: PathBuf,
    /// Keeps a rename from happening between opening the file and the end of an append.
    appending: Mutex<()>,
}

impl Spill {
    /// The spill files in `dir`. Nothing is created until something is appended.
    pub(super) fn beside(dir: &Path) -> Self {
        Self {
            current: dir.join("swivel.spill"),
            replay: dir.join("swivel.spill.replay"),
            appending: Mutex::new(()),
        }
    }

    /// Appends batches and brings them to the disk.
    pub(super) fn append<'a>(
        &self,
        batches: impl Iterator<Item = &'a Batch>,
    ) -> Result<(), StoreError> {
        let mut bytes = Vec::new();
        for batch in batches {
            let record = encode(batch);
            bytes.extend_from_slice(&(record.len() as u64).to_le_bytes());
            bytes.extend_from_slice(&checksum(&record));
            bytes.extend_from_slice(&record);
        }
        let _guard = self
            .appending
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let write = || {
            let mut file = OpenOptions::new()
                .create(true)
                .append(true)
                .open(&self.current)?;
            file.write_all(&bytes)?;
            file.sync_data()
        };
        write().map_err(|e| StoreError::Backend {
            action: "append to the spill file",
            reason: e.to_string(),
        })
    }

    /// Whether anything waits to be replayed.
    pub(super) fn is_empty(&self) -> bool {
        !self.current.exists() && !self.replay.exists()
    }

    /// Takes what waits longest: an interrupted replay first. `None` when there is nothing. The batches stay on the
    /// disk until [`Spill::replayed`].
    pub(super) fn take(&self) -> Result<Option<Vec<Batch>>, StoreError> {
        let failed = |e: std::io::Error| StoreError::Backend {
            action: "read the spill file",
            reason: e.to_string(),
        };
        if !self.replay.exists() {
            if !self.current.exists() {
                return Ok(None);
            }
            let _guard = self
                .appending
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            std::fs::rename(&self.current, &self.replay).map_err(failed)?;
        }
        let mut bytes = Vec::new();
        File::open(&self.replay)
            .and_then(|mut file| file.read_to_end(&mut bytes))
            .map_err(failed)?;
        Ok(Some(decode_all(&bytes)))
    }

    /// Forgets what was taken, after it became durable in the store.
    pub(super) fn replayed(&self) -> Result<(), StoreError> {
        std::fs::remove_file(&self.replay).map_err(|e| StoreError::Backend {
            action: "remove the spill file",
            reason: e.to_string(),
        })
    }
}

fn checksum(record: &[u8]) -> [u8; CHECK] {
    let digest: [u8; 32] = Sha256::digest(record).into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    [a, b, c, d, e, f, g, h]
}

fn encode(batch: &Batch) -> Vec<u8> {
    let mut out = vec![u8::from(batch.class == Class::Droppable)];
    let text = |out: &mut Vec<u8>, bytes: &[u8]| {
        out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        out.extend_from_slice(bytes);
    };
    let number = |table: Table| Table::ALL.iter().position(|t| *t == table).unwrap_or(0) as u8;
    for op in &batch.ops {
        match op {
            Op::Put(table, key, value) => {
                out.extend_from_slice(&[0, number(*table)]);
                text(&mut out, key);
                text(&mut out, value);
            }
            Op::Delete(table, key) => {
                out.extend_from_slice(&[1, number(*table)]);
                text(&mut out, key);
            }
        }
    }
    out
}

/// Every whole record from the start; stops at the first that is torn.
fn decode_all(mut bytes: &[u8]) -> Vec<Batch> {
    let mut batches = Vec::new();
    while let Some((length, rest)) = take_length(bytes) {
        let Some((check, rest)) = rest.split_at_checked(CHECK) else {
            break;
        };
        let Some((record, rest)) = rest.split_at_checked(length) else {
            break;
        };
        if check != checksum(record) {
            tracing::warn!("the spill file ends in a torn record");
            break;
        }
        if let Some(batch) = decode(record) {
            batches.push(batch);
        }
        bytes = rest;
    }
    batches
}

fn take_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    Some((usize::try_from(u64::from_le_bytes(*length)).ok()?, rest))
}

fn decode(record: &[u8]) -> Option<Batch> {
    let (class, mut rest) = record.split_first()?;
    let mut batch = if *class == 1 {
        Batch::droppable()
    } else {
        Batch::new()
    };
    while let Some(([action, table], after)) = rest.split_first_chunk::<2>() {
        let table = *Table::ALL.get(usize::from(*table))?;
        let (length, after) = take_length(after)?;
        let (key, after) = after.split_at_checked(length)?;
        rest = after;
        if *action == 0 {
            let (length, after) = take_length(rest)?;
            let (value, after) = after.split_at_checked(length)?;
            rest = after;
            batch.put(table, key, value);
        } else {
            batch.delete(table, key);
        }
    }
    Some(batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(n: u8) -> Batch {
        let mut batch = Batch::new();
        batch
            .put(Table::Cdr, vec![n, 0, 255], "value")
            .delete(Table::Jobs, "key")
            .put(Table::Log, "", "");
        batch
    }

    #[test]
    fn batches_come_back_in_order_and_only_once() {
        let dir = tempfile::tempdir().unwrap();
        let spill = Spill::beside(dir.path());
        assert!(spill.is_empty());
        spill.append([sample(1), sample(2)].iter()).unwrap();
        spill.append([sample(3)].iter()).unwrap();
        assert_eq!(
            spill.take().unwrap().unwrap(),
            [sample(1), sample(2), sample(3)]
        );
        spill.replayed().unwrap();
        assert!(spill.is_empty() && spill.take().unwrap().is_none());
    }

    #[test]
    fn appending_goes_on_while_a_replay_runs() {
        let dir = tempfile::tempdir().unwrap();
        let spill = Spill::beside(dir.path());
        spill.append([sample(1)].iter()).unwrap();
        assert_eq!(spill.take().unwrap().unwrap(), [sample(1)]);
        spill.append([sample(2)].iter()).unwrap();
        // The process dies before the first replay was durable.
        let after = Spill::beside(dir.path());
        assert_eq!(after.take().unwrap().unwrap(), [sample(1)]);
        after.replayed().unwrap();
        assert_eq!(after.take().unwrap().unwrap(), [sample(2)]);
    }

    #[test]
    fn a_file_cut_off_anywhere_gives_its_whole_records() {
        let dir = tempfile::tempdir().unwrap();
        let spill = Spill::beside(dir.path());
        spill.append([sample(1), sample(2)].iter()).unwrap();
        let bytes = std::fs::read(&spill.current).unwrap();
        for cut in 0..=bytes.len() {
            let found = decode_all(&bytes[..cut]);
            let whole = if cut == bytes.len() {
                2
            } else {
                usize::from(cut >= bytes.len() / 2)
            };
            assert_eq!(found.len(), whole, "cut at {cut} of {}", bytes.len());
        }
    }
}
