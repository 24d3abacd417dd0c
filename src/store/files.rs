//! Bytes that belong to a document but are too large for the database: uploaded media.
//!
//! A file is `<root>/<account>/<id>`; both parts must be safe names (`base::id::is_safe_name`), so no path can lead
//! elsewhere. An id that is none (a prompt's, `en-us/name`) is kept under a hash of it. New content is written beside it, synced, and renamed over it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rustix::fs::{CWD, Mode, OFlags};
use sha2::{Digest as _, Sha256};

use super::kv::StoreError;
use crate::base::id::is_safe_name;
use crate::host::task;

/// Where attachments are kept. Cheap to clone.
#[derive(Clone)]
pub struct Files(Arc<Place>);

enum Place {
    Dir(PathBuf),
    /// For tests and the deterministic world.
    Memory(Mutex<BTreeMap<(String, String), Bytes>>),
}

impl Files {
    /// Files below `root`, which is created when first needed.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self(Arc::new(Place::Dir(root.into())))
    }

    /// Files in memory.
    pub fn memory() -> Self {
        Self(Arc::new(Place::Memory(Mutex::default())))
    }

    /// Stores `bytes`, replacing what was there.
    ///
    /// # Errors
    /// When a name is not safe or the disk fails.
    pub async fn put(&self, account: &str, id: &str, bytes: Bytes) -> Result<(), StoreError> {
        let key = checked(account, id)?;
        match &*self.0 {
            Place::Memory(map) => {
                map.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(key, bytes);
                Ok(())
            }
            Place::Dir(root) => {
                let root = root.clone();
                let work = move || {
                    write(&root, &key.0, &key.1, &bytes).map_err(|e| failed("store a file", &e))
                };
                task::blocking("store-file", work)
                    .await
                    .unwrap_or(Err(StoreError::Closed))
            }
        }
    }

    /// The stored bytes.
    ///
    /// # Errors
    /// When a name is not safe or the disk fails.
    pub async fn get(&self, account: &str, id: &str) -> Result<Option<Bytes>, StoreError> {
        let key = checked(account, id)?;
        match &*self.0 {
            Place::Memory(map) => Ok(map
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get(&key)
                .cloned()),
            Place::Dir(root) => {
                let root = root.clone();
                let work = move || match read(&root, &key.0, &key.1) {
                    Ok(bytes) => Ok(Some(Bytes::from(bytes))),
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
                    Err(e) => Err(failed("read a file", &e)),
                };
                task::blocking("store-file", work)
                    .await
                    .unwrap_or(Err(StoreError::Closed))
            }
        }
    }

    /// Removes the bytes; nothing happens when there are none.
    ///
    /// # Errors
    /// When a name is not safe or the disk fails.
    pub async fn remove(&self, account: &str, id: &str) -> Result<(), StoreError> {
        let key = checked(account, id)?;
        match &*self.0 {
            Place::Memory(map) => {
                map.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(&key);
                Ok(())
            }
            Place::Dir(root) => {
                let path = root.join(&key.0).join(&key.1);
                let work = move || match std::fs::remove_file(path) {
                    Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                        Err(failed("remove a file", &e))
                    }
                    _ => Ok(()),
                };
                task::blocking("store-file", work)
                    .await
                    .unwrap_or(Err(StoreError::Closed))
            }
        }
    }
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &*self.0 {
            Place::Dir(root) => write!(f, "Files({})", root.display()),
            Place::Memory(_) => f.write_str("Files(memory)"),
        }
    }
}

fn checked(account: &str, id: &str) -> Result<(String, String), StoreError> {
    if !is_safe_name(account) || id.is_empty() {
        let reason = format!("`{account}/{id}` does not name a file");
        return Err(StoreError::Corrupt {
            what: "file name",
            reason,
        });
    }
    if is_safe_name(id) {
        return Ok((account.to_owned(), id.to_owned()));
    }
    let hash = hex::encode(Sha256::digest(id.as_bytes()));
    Ok((
        account.to_owned(),
        format!("h_{}", hash.get(..40).unwrap_or(&hash)),
    ))
}

fn write(root: &Path, account: &str, id: &str, bytes: &[u8]) -> std::io::Result<()> {
    let dir = root.join(account);
    std::fs::create_dir_all(&dir)?;
    let part = dir.join(format!("{id}.part"));
    let mut file = std::fs::File::create(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&part, dir.join(id))?;
    std::fs::File::open(&dir)?.sync_all()
}

/// Opened step by step below the root, following no symbolic link.
fn read(root: &Path, account: &str, id: &str) -> std::io::Result<Vec<u8>> {
    let dir_flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let root = rustix::fs::openat(
        CWD,
        root,
        OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let dir = rustix::fs::openat(&root, account, dir_flags, Mode::empty())?;
    let file = rustix::fs::openat(
        &dir,
        id,
        OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW,
        Mode::empty(),
    )?;
    let mut file = std::fs::File::from(file);
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut file, &mut bytes)?;
    Ok(bytes)
}

fn failed(action: &'static str, error: &std::io::Error) -> StoreError {
    StoreError::Backend {
        action,
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(future)
    }

    #[test]
    fn bytes_come_back_are_replaced_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        for files in [Files::memory(), Files::at(dir.path().join("media"))] {
            run(async {
                assert_eq!(files.get("acc", "one").await.unwrap(), None);
                files
                    .put("acc", "one", Bytes::from_static(b"first"))
                    .await
                    .unwrap();
                files
                    .put("acc", "one", Bytes::from_static(b"second"))
                    .await
                    .unwrap();
                assert_eq!(files.get("acc", "one").await.unwrap().unwrap(), "second");
                assert_eq!(files.get("other", "one").await.unwrap(), None);
                files.remove("acc", "one").await.unwrap();
                files.remove("acc", "one").await.unwrap();
                assert_eq!(files.get("acc", "one").await.unwrap(), None);
                files
                    .put("acc", "en-us/prompt", Bytes::from_static(b"p"))
                    .await
                    .unwrap();
                assert_eq!(
                    files.get("acc", "en-us/prompt").await.unwrap().unwrap(),
                    "p"
                );
            });
        }
    }

    #[test]
    fn no_name_and_no_link_leads_outside() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("media");
        std::fs::write(dir.path().join("canary"), "secret").unwrap();
        std::fs::create_dir_all(root.join("acc")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("canary"), root.join("acc/link")).unwrap();
        std::os::unix::fs::symlink(dir.path(), root.join("linked")).unwrap();
        let files = Files::at(&root);
        run(async {
            for (account, id) in [
                ("..", "canary"),
                ("acc", "../../canary"),
                ("acc", "/etc/passwd"),
                ("acc", "%2e%2e"),
                ("acc", "a\0b"),
                ("acc", ""),
                ("acc", "..\\canary"),
                ("acc", "link"),
                ("linked", "canary"),
            ] {
                let found = files.get(account, id).await;
                assert!(!matches!(found, Ok(Some(_))), "{account}/{id} was served");
            }
        });
    }
}
