//! Clips in memory and files on disk, both up to a limit; what was not used for longest goes first.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::audio::Clip;

/// Clips in memory.
pub(super) struct Memory {
    limit: usize,
    inner: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    clips: HashMap<String, (Arc<Clip>, u64)>,
    clock: u64,
}

impl Memory {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            inner: Mutex::default(),
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<Arc<Clip>> {
        let mut shelf = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.clock += 1;
        let now = shelf.clock;
        let (clip, used) = shelf.clips.get_mut(key)?;
        *used = now;
        Some(clip.clone())
    }

    pub(super) fn put(&self, key: &str, clip: Arc<Clip>) {
        let mut shelf = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.clock += 1;
        let now = shelf.clock;
        shelf.clips.insert(key.to_owned(), (clip, now));
        // Measured anew each time: clips grow by their encoded forms.
        let mut total: usize = shelf.clips.values().map(|(clip, _)| clip.bytes()).sum();
        while total > self.limit && shelf.clips.len() > 1 {
            let Some(oldest) = shelf
                .clips
                .iter()
                .min_by_key(|(_, (_, used))| *used)
                .map(|(key, _)| key.clone())
            else {
                return;
            };
            if let Some((clip, _)) = shelf.clips.remove(&oldest) {
                total = total.saturating_sub(clip.bytes());
            }
        }
    }
}

/// Files below one directory, named by hexadecimal keys.
pub(super) struct Disk {
    root: PathBuf,
    limit: u64,
    written: AtomicU64,
    names: AtomicU64,
}

impl Disk {
    /// Files below `root`, which is made when first needed.
    pub(super) fn new(root: PathBuf, limit: u64) -> Self {
        // The first write looks at what is there already.
        Self {
            root,
            limit,
            written: AtomicU64::new(u64::MAX / 2),
            names: AtomicU64::new(0),
        }
    }

    /// The path of a key: two characters of it are a folder, so that no folder grows huge.
    pub(super) fn path(&self, key: &str) -> PathBuf {
        self.root.join(key.get(..2).unwrap_or("00")).join(key)
    }

    /// Reads a file whole and marks it as used.
    pub(super) fn read(&self, key: &str) -> Option<Bytes> {
        let path = self.path(key);
        let bytes = fs::read(&path).ok()?;
        self.touch(&path);
        Some(bytes.into())
    }

    /// Marks a file as used: the oldest are removed first.
    pub(super) fn touch(&self, path: &Path) {
        let touched = fs::File::options()
            .append(true)
            .open(path)
            .and_then(|file| {
                let now = std::time::UNIX_EPOCH
                    + std::time::Duration::from_micros(crate::host::clock::unix_now().0);
                file.set_modified(now)
            });
        if let Err(error) = touched {
            tracing::debug!(%error, "a cached file could not be marked as used");
        }
    }

    /// A new file to be filled, and where it is until [`keep`](Self::keep).
    pub(super) fn begin(&self) -> io::Result<(fs::File, Part)> {
        fs::create_dir_all(&self.root)?;
        let name = format!(
            "{}-{}.part",
            std::process::id(),
            self.names.fetch_add(1, Ordering::Relaxed)
        );
        let part = Part(Some(self.root.join(name)));
        let file = fs::File::options()
            .write(true)
            .read(true)
            .create_new(true)
            .open(part.path())?;
        Ok((file, part))
    }

    /// Makes a filled file visible under its key, at once and whole.
    pub(super) fn keep(&self, mut part: Part, key: &str) -> io::Result<PathBuf> {
        let path = self.path(key);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let length = fs::metadata(part.path())?.len();
        fs::rename(part.path(), &path)?;
        part.0 = None;
        if self
            .written
            .fetch_add(length, Ordering::Relaxed)
            .saturating_add(length)
            > self.limit
        {
            self.tidy();
        }
        Ok(path)
    }

    /// Writes a file whole.
    pub(super) fn write(&self, key: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        let (mut file, part) = self.begin()?;
        file.write_all(bytes)?;
        self.keep(part, key)
    }

    pub(super) fn remove(&self, key: &str) {
        if let Err(error) = fs::remove_file(self.path(key)) {
            tracing::debug!(%error, "a cached file could not be removed");
        }
    }

    /// Removes the oldest files until nine tenths of the limit are kept, and parts a crash has left.
    fn tidy(&self) {
        let mut files = Vec::new();
        for entry in list(&self.root) {
            if entry.is_dir() {
                files.extend(list(&entry));
            } else if entry.extension().is_some_and(|e| e == "part") && self.is_stale(&entry) {
                drop(fs::remove_file(entry));
            }
        }
        let mut known: Vec<_> = files
            .into_iter()
            .filter_map(|path| {
                let meta = fs::metadata(&path).ok()?;
                Some((meta.modified().ok()?, meta.len(), path))
            })
            .collect();
        known.sort();
        let mut total: u64 = known.iter().map(|(_, length, _)| *length).sum();
        let target = self.limit / 10 * 9;
        for (_, length, path) in known {
            if total <= target {
                break;
            }
            if fs::remove_file(path).is_ok() {
                total = total.saturating_sub(length);
            }
        }
        self.written.store(total, Ordering::Relaxed);
    }

    /// Whether a part belongs to an earlier process.
    fn is_stale(&self, part: &Path) -> bool {
        let own = format!("{}-", std::process::id());
        part.file_name()
            .and_then(|n| n.to_str())
            .is_some_and(|name| !name.starts_with(&own))
    }
}

/// A file that is not visible yet; removed when dropped.
pub(super) struct Part(Option<PathBuf>);

impl Part {
    pub(super) fn path(&self) -> &Path {
        self.0.as_deref().unwrap_or(Path::new(""))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            drop(fs::remove_file(path));
        }
    }
}

fn list(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clip_unused_for_longest_goes_first() {
        let clip = || Arc::new(Clip::new(8000, vec![0; 1000]));
        let memory = Memory::new(3 * clip().bytes());
        for key in ["a", "b", "c"] {
            memory.put(key, clip());
        }
        assert!(memory.get("a").is_some());
        memory.put("d", clip());
        assert!(memory.get("b").is_none());
        assert!(
            memory.get("a").is_some() && memory.get("c").is_some() && memory.get("d").is_some()
        );
    }

    #[test]
    fn one_clip_larger_than_the_limit_is_still_kept() {
        let memory = Memory::new(10);
        memory.put("a", Arc::new(Clip::new(8000, vec![0; 1000])));
        memory.put("b", Arc::new(Clip::new(8000, vec![0; 1000])));
        assert!(memory.get("a").is_none() && memory.get("b").is_some());
    }

    #[test]
    fn files_survive_and_the_oldest_go() {
        let root = tempfile::tempdir().unwrap();
        let keys: Vec<String> = (0..10).map(|n| format!("{n:02}ab")).collect();
        let disk = Disk::new(root.path().join("x"), 5000);
        for (n, key) in keys.iter().enumerate() {
            let path = disk.write(key, &[n as u8; 1000]).unwrap();
            let then = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1000 + n as u64);
            fs::File::options()
                .append(true)
                .open(path)
                .unwrap()
                .set_modified(then)
                .unwrap();
        }
        let again = Disk::new(root.path().join("x"), 5000);
        assert_eq!(again.read("09ab").unwrap(), vec![9; 1000]);
        assert!(again.read("00ab").is_none());
        let kept = keys.iter().filter(|key| again.path(key).exists()).count();
        assert!((4..=5).contains(&kept), "{kept}");
    }

    #[test]
    fn a_part_that_is_given_up_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let disk = Disk::new(root.path().to_owned(), 5000);
        let (file, part) = disk.begin().unwrap();
        drop((file, part));
        assert!(list(root.path()).is_empty());
    }
}
