//! Documents are encrypted at rest: they hold the passwords of phones and carriers (RFC 7616 §5.5 asks servers to guard
//! them like passwords in the clear). A copied database, a lost backup or a discarded disk tells nothing without the key.
//!
//! AES-256-GCM, a random nonce a value; table and key of a row are authenticated with it, so that rows cannot change
//! places. The key is made once and lies in its own file, its owner's alone; who wants it elsewhere links it there.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};

use super::kv::{StoreError, Table};

/// The name of the key's file in the directory of the store.
const KEY_FILE: &str = "documents.key";
/// Bytes of a key.
const KEY: usize = 32;
/// Bytes of a nonce.
const NONCE: usize = 12;

/// Seals and opens values.
pub(super) struct Seal(Aes256Gcm);

impl Seal {
    /// The seal whose key lies in `folder`. A new key is made where `fresh`: a store that holds sealed values without
    /// their key cannot be opened.
    pub(super) fn of(folder: &Path, fresh: bool) -> Result<Self, StoreError> {
        let path = folder.join(KEY_FILE);
        let refuse = |reason: String| StoreError::Open {
            path: path.clone(),
            reason,
        };
        let key = match std::fs::File::open(&path) {
            Ok(mut file) => {
                let mut key = Vec::new();
                file.read_to_end(&mut key)
                    .map_err(|e| refuse(e.to_string()))?;
                key
            }
            Err(error) if error.kind() == ErrorKind::NotFound && fresh => {
                make(&path).map_err(refuse)?
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(refuse(
                    "the key of the documents is not there; restore it together with the store"
                        .to_owned(),
                ));
            }
            Err(error) => return Err(refuse(error.to_string())),
        };
        let cipher = Aes256Gcm::new_from_slice(&key)
            .map_err(|_| refuse(format!("a key has {KEY} bytes, this one {}", key.len())))?;
        Ok(Self(cipher))
    }

    /// What is stored of a value of such a row.
    pub(super) fn close(
        &self,
        table: Table,
        key: &[u8],
        value: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        let failed = |reason: String| StoreError::Backend {
            action: "encrypt",
            reason,
        };
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|e| failed(e.to_string()))?;
        let row = row(table, key);
        let payload = Payload {
            msg: value,
            aad: &row,
        };
        let sealed = self
            .0
            .encrypt(&Nonce::from(nonce), payload)
            .map_err(|e| failed(e.to_string()))?;
        let mut out = nonce.to_vec();
        out.extend_from_slice(&sealed);
        Ok(out)
    }

    /// The value, from what is stored of it.
    pub(super) fn open(
        &self,
        table: Table,
        key: &[u8],
        stored: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        let corrupt = |reason: &str| StoreError::Corrupt {
            what: "document",
            reason: format!("{reason} (key {})", String::from_utf8_lossy(key)),
        };
        let (nonce, sealed) = stored
            .split_first_chunk::<NONCE>()
            .ok_or_else(|| corrupt("it is too short"))?;
        let row = row(table, key);
        let payload = Payload {
            msg: sealed,
            aad: &row,
        };
        self.0
            .decrypt(&Nonce::from(*nonce), payload)
            .map_err(|_| corrupt("it was not sealed with this key"))
    }
}

/// What a sealed value belongs to.
fn row(table: Table, key: &[u8]) -> Vec<u8> {
    let mut row = table.name().as_bytes().to_vec();
    row.push(0);
    row.extend_from_slice(key);
    row
}

/// Makes a key and its file, which is on the disk when this returns: what it seals must not survive it.
fn make(path: &Path) -> Result<Vec<u8>, String> {
    let mut key = vec![0; KEY];
    getrandom::fill(&mut key).map_err(|e| e.to_string())?;
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(&key)?;
        file.sync_all()?;
        match path.parent() {
            Some(folder) => std::fs::File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    write().map_err(|e| e.to_string())?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_is_sealed_is_opened_in_its_own_row_only() {
        let dir = tempfile::tempdir().unwrap();
        let seal = Seal::of(dir.path(), true).unwrap();
        let stored = seal.close(Table::Documents, b"a", b"secret").unwrap();
        assert!(!stored.windows(6).any(|w| w == b"secret"));
        assert_ne!(
            stored,
            seal.close(Table::Documents, b"a", b"secret").unwrap()
        );
        assert_eq!(
            seal.open(Table::Documents, b"a", &stored).unwrap(),
            b"secret"
        );
        assert!(seal.open(Table::Documents, b"b", &stored).is_err());
        assert!(seal.open(Table::Log, b"a", &stored).is_err());
        for at in 0..stored.len() {
            let mut bad = stored.clone();
            bad[at] ^= 1;
            assert!(
                seal.open(Table::Documents, b"a", &bad).is_err(),
                "byte {at}"
            );
            assert!(seal.open(Table::Documents, b"a", &stored[..at]).is_err());
        }
        // The same key the next time, and its owner's alone.
        let again = Seal::of(dir.path(), false).unwrap();
        assert_eq!(
            again.open(Table::Documents, b"a", &stored).unwrap(),
            b"secret"
        );
        let mode = std::fs::metadata(dir.path().join(KEY_FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_store_without_its_key_is_refused_in_words() {
        let dir = tempfile::tempdir().unwrap();
        let error = Seal::of(dir.path(), false).err().unwrap().to_string();
        assert!(
            error.contains("key of the documents is not there"),
            "{error}"
        );
        std::fs::write(dir.path().join(KEY_FILE), "short").unwrap();
        let error = Seal::of(dir.path(), true).err().unwrap().to_string();
        assert!(error.contains("a key has 32 bytes, this one 5"), "{error}");
    }
}
