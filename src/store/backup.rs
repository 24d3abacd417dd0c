//! A backup: every row of the store and every file beside it, in one file.
//!
//! The file begins with a line that names the format. Frames follow: a byte for what it is, the length of its name, the
//! length of its content (both big-endian), name and content. A row is named by its table and key, a file by its folder
//! and path. The last frame holds the SHA-256 of all bytes before it, so that a file that was cut off or changed is
//! never restored.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::kv::{Batch, Kv, StoreError, Table};
use super::rocks::Rocks;

/// First bytes of a backup.
const MAGIC: &[u8] = b"swivel backup 1\n";
const ROW: u8 = b'r';
const FILE: u8 = b'f';
const END: u8 = b'e';
/// Longest name of a frame.
const NAME: u64 = 1 << 20;
/// Longest row.
const VALUE: u64 = 1 << 30;
/// Bytes of rows restored in one batch.
const BATCH: usize = 4 << 20;

/// A folder whose files belong to the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// What it is called in backups.
    pub name: &'static str,
    /// Where it is.
    pub path: PathBuf,
}

/// What a backup holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows of the store.
    pub rows: u64,
    /// Files beside it.
    pub files: u64,
    /// Bytes of the backup.
    pub bytes: u64,
    /// SHA-256 of all rows, hexadecimal.
    pub digest: String,
}

/// Writes a backup; it takes its name once it is complete and on the disk.
pub(super) fn write(kv: &dyn Kv, to: &Path, folders: &[Folder]) -> Result<Tally, StoreError> {
    let mut name = to.as_os_str().to_owned();
    name.push(".part");
    let part = PathBuf::from(name);
    let written = write_all(kv, &part, folders);
    let named = written.and_then(|tally| {
        std::fs::rename(&part, to).map_err(|e| failed("name the backup", &e))?;
        Ok(tally)
    });
    if named.is_err() {
        // A part of a backup is of no use to anybody.
        drop(std::fs::remove_file(&part));
    }
    named
}

fn write_all(kv: &dyn Kv, part: &Path, folders: &[Folder]) -> Result<Tally, StoreError> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        // It holds passwords and keys.
        .mode(0o600)
        .open(part)
        .map_err(|e| failed("create the backup", &e))?;
    let mut out = Writer {
        out: BufWriter::new(file),
        hash: Sha256::new(),
        tally: Tally::default(),
    };
    out.raw(MAGIC)?;
    let mut rows = Sha256::new();
    kv.rows(&mut |table, key, value| {
        let mut name = table.name().as_bytes().to_vec();
        name.push(0);
        name.extend_from_slice(key);
        digest_row(&mut rows, &name, value);
        out.tally.rows += 1;
        out.frame(ROW, &name, value)
    })?;
    // After the rows: a file that a row names is there by now. One that has gone meanwhile is passed over.
    for folder in folders {
        out.folder(folder, &folder.path)?;
    }
    out.tally.digest = hex::encode(rows.finalize());
    let digest = out.hash.clone().finalize();
    out.frame(END, b"", &digest)?;
    let file = out
        .out
        .into_inner()
        .map_err(|e| failed("write the backup", e.error()))?;
    file.sync_all()
        .map_err(|e| failed("write the backup", &e))?;
    Ok(out.tally)
}

fn digest_row(rows: &mut Sha256, name: &[u8], value: &[u8]) {
    rows.update((name.len() as u64).to_be_bytes());
    rows.update(name);
    rows.update((value.len() as u64).to_be_bytes());
    rows.update(value);
}

struct Writer {
    out: BufWriter<File>,
    hash: Sha256,
    tally: Tally,
}

impl Writer {
    fn raw(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.hash.update(bytes);
        self.tally.bytes += bytes.len() as u64;
        self.out
            .write_all(bytes)
            .map_err(|e| failed("write the backup", &e))
    }

    fn frame(&mut self, kind: u8, name: &[u8], content: &[u8]) -> Result<(), StoreError> {
        self.raw(&[kind])?;
        self.raw(&(name.len() as u64).to_be_bytes())?;
        self.raw(&(content.len() as u64).to_be_bytes())?;
        self.raw(name)?;
        self.raw(content)
    }

    /// The files below a folder, ordered by name; what is not complete yet is left out.
    fn folder(&mut self, folder: &Folder, at: &Path) -> Result<(), StoreError> {
        let Ok(entries) = std::fs::read_dir(at) else {
            return Ok(());
        };
        let mut entries: Vec<_> = entries.flatten().collect();
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if kind.is_dir() {
                self.folder(folder, &path)?;
            }
            let complete = path.extension().is_none_or(|extension| extension != "part");
            let inside = path.strip_prefix(&folder.path).ok();
            let Some(inside) = inside
                .and_then(Path::to_str)
                .filter(|_| kind.is_file() && complete)
            else {
                continue;
            };
            let Ok(bytes) = std::fs::read(&path) else {
                continue;
            };
            self.tally.files += 1;
            self.frame(
                FILE,
                format!("{}\0{inside}", folder.name).as_bytes(),
                &bytes,
            )?;
        }
        Ok(())
    }
}

/// One frame of a backup.
enum Frame {
    Row {
        name: Vec<u8>,
        value: Vec<u8>,
    },
    File {
        folder: String,
        path: String,
        bytes: Vec<u8>,
    },
}

/// Reads a backup from beginning to end, and fails at the first thing that is wrong. Nothing may be trusted before it
/// has returned.
fn read(
    from: &Path,
    each: &mut dyn FnMut(Frame) -> Result<(), StoreError>,
) -> Result<Tally, StoreError> {
    let file = File::open(from).map_err(|e| failed("open the backup", &e))?;
    let mut input = Reader {
        input: BufReader::new(file),
        hash: Sha256::new(),
        bytes: 0,
    };
    if input.take(MAGIC.len() as u64)? != MAGIC {
        return Err(broken("this is no backup, or one of a newer version"));
    }
    let (mut tally, mut rows) = (Tally::default(), Sha256::new());
    loop {
        let so_far = input.hash.clone();
        let kind = input.take(1)?;
        let name = input.length(NAME)?;
        let content = input.length(VALUE)?;
        let name = input.take(name)?;
        let content = input.take(content)?;
        match kind.as_slice() {
            [ROW] => {
                digest_row(&mut rows, &name, &content);
                tally.rows += 1;
                each(Frame::Row {
                    name,
                    value: content,
                })?;
            }
            [FILE] => {
                let name =
                    String::from_utf8(name).map_err(|_| broken("a file's name is no text"))?;
                let (folder, path) = name
                    .split_once('\0')
                    .ok_or_else(|| broken("a file's name"))?;
                tally.files += 1;
                each(Frame::File {
                    folder: folder.to_owned(),
                    path: path.to_owned(),
                    bytes: content,
                })?;
            }
            [END] if content.as_slice() == &so_far.finalize()[..] => break,
            [END] => return Err(broken("its checksum is wrong")),
            _ => return Err(broken("something is in it that this version does not know")),
        }
    }
    tally.bytes = input.bytes;
    tally.digest = hex::encode(rows.finalize());
    Ok(tally)
}

struct Reader {
    input: BufReader<File>,
    hash: Sha256,
    bytes: u64,
}

impl Reader {
    fn take(&mut self, length: u64) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        let input = self.input.by_ref().take(length);
        let mut input = input;
        let read = input
            .read_to_end(&mut bytes)
            .map_err(|e| failed("read the backup", &e))?;
        if read as u64 != length {
            return Err(broken("it is cut off"));
        }
        self.hash.update(&bytes);
        self.bytes += length;
        Ok(bytes)
    }

    fn length(&mut self, most: u64) -> Result<u64, StoreError> {
        let bytes = self.take(8)?;
        let length = <[u8; 8]>::try_from(bytes.as_slice()).map_or(u64::MAX, u64::from_be_bytes);
        if length > most {
            return Err(broken("a length in it makes no sense"));
        }
        Ok(length)
    }
}

/// Reads a whole backup and says what it holds.
///
/// # Errors
/// When it is not whole, or was changed.
pub fn check(from: &Path) -> Result<Tally, StoreError> {
    read(from, &mut |_| Ok(()))
}

/// Makes a store in `store`, which must not be there yet, and the files of `folders` out of a backup. With `verify`
/// everything is read back and compared.
///
/// # Errors
/// When the backup is not whole, there is data already, or the disk fails; then there is no store.
pub fn restore(
    from: &Path,
    store: &Path,
    folders: &[Folder],
    verify: bool,
) -> Result<Tally, StoreError> {
    if std::fs::read_dir(store).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(StoreError::Open {
            path: store.to_owned(),
            reason: "there is a store already: move it away first".to_owned(),
        });
    }
    // Looked at as a whole before anything is written.
    let expected = check(from)?;
    let mut name = store.as_os_str().to_owned();
    name.push(".restoring");
    let fresh = PathBuf::from(name);
    drop(std::fs::remove_dir_all(&fresh));
    let made = make(from, &fresh, folders).and_then(|()| {
        if verify {
            compare(from, &fresh, folders, &expected)?;
        }
        drop(std::fs::remove_dir(store));
        std::fs::rename(&fresh, store).map_err(|e| failed("put the store into place", &e))
    });
    if let Err(error) = made {
        drop(std::fs::remove_dir_all(&fresh));
        return Err(error);
    }
    Ok(expected)
}

fn make(from: &Path, fresh: &Path, folders: &[Folder]) -> Result<(), StoreError> {
    let rocks = Rocks::open(fresh)?;
    let (mut batch, mut size) = (Batch::new(), 0);
    read(from, &mut |frame| {
        match frame {
            Frame::Row { name, value } => {
                let (table, key) = row(&name)?;
                size += key.len() + value.len();
                batch.put(table, key, value);
                if size >= BATCH {
                    rocks.write(&[&batch], false)?;
                    (batch, size) = (Batch::new(), 0);
                }
            }
            Frame::File {
                folder,
                path,
                bytes,
            } => {
                if let Some(to) = place(folders, &folder, &path)? {
                    put(&to, &bytes).map_err(|e| failed("restore a file", &e))?;
                }
            }
        }
        Ok(())
    })?;
    rocks.write(&[&batch], true)?;
    rocks.flush()
}

/// Whether what was restored is what the backup holds, byte by byte.
fn compare(
    from: &Path,
    fresh: &Path,
    folders: &[Folder],
    expected: &Tally,
) -> Result<(), StoreError> {
    let rocks = Rocks::open(fresh)?;
    let (mut rows, mut count) = (Sha256::new(), 0_u64);
    rocks.rows(&mut |table, key, value| {
        let mut name = table.name().as_bytes().to_vec();
        name.push(0);
        name.extend_from_slice(key);
        digest_row(&mut rows, &name, value);
        count += 1;
        Ok(())
    })?;
    if count != expected.rows || hex::encode(rows.finalize()) != expected.digest {
        return Err(broken("what was restored is not what it holds"));
    }
    read(from, &mut |frame| {
        if let Frame::File {
            folder,
            path,
            bytes,
        } = frame
            && let Some(to) = place(folders, &folder, &path)?
            && std::fs::read(&to).ok().as_deref() != Some(bytes.as_slice())
        {
            return Err(broken("a file that was restored is not what it holds"));
        }
        Ok(())
    })?;
    Ok(())
}

fn row(name: &[u8]) -> Result<(Table, Vec<u8>), StoreError> {
    let mut parts = name.splitn(2, |byte| *byte == 0);
    let (table, key) = (parts.next().unwrap_or_default(), parts.next());
    let table = Table::ALL
        .into_iter()
        .find(|known| known.name().as_bytes() == table);
    match (table, key) {
        (Some(table), Some(key)) => Ok((table, key.to_vec())),
        _ => Err(broken("it has a table that this version does not know")),
    }
}

/// Where a file goes. Nothing leads outside its folder.
fn place(folders: &[Folder], folder: &str, path: &str) -> Result<Option<PathBuf>, StoreError> {
    let inside = Path::new(path);
    let plain = inside
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if path.is_empty() || !plain {
        return Err(broken("a file in it leads outside its folder"));
    }
    let found = folders.iter().find(|known| known.name == folder);
    Ok(found.map(|known| known.path.join(inside)))
}

fn put(to: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = File::create(to)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn broken(reason: &str) -> StoreError {
    StoreError::Corrupt {
        what: "backup",
        reason: reason.to_owned(),
    }
}

fn failed(action: &'static str, error: &std::io::Error) -> StoreError {
    StoreError::Backend {
        action,
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(future)
    }

    fn folders(at: &Path) -> Vec<Folder> {
        ["media", "recordings"]
            .map(|name| Folder {
                name,
                path: at.join(name),
            })
            .to_vec()
    }

    /// A store with rows in every table, and files; and its backup.
    fn data(dir: &Path) -> (PathBuf, Tally) {
        let store = Store::open(&dir.join("store")).unwrap();
        for folder in folders(dir) {
            std::fs::create_dir_all(folder.path.join("acc/202401")).unwrap();
            std::fs::write(folder.path.join("acc/202401/one.wav"), b"RIFF").unwrap();
            std::fs::write(folder.path.join("acc/two.wav.part"), b"not complete").unwrap();
        }
        let file = dir.join("all.backup");
        let tally = run(async {
            let mut batch = Batch::new();
            for (n, table) in Table::ALL.into_iter().enumerate() {
                for key in 0..50_u8 {
                    batch.put(
                        table,
                        vec![key, 0, n as u8, 0xff],
                        vec![key; usize::from(key) * 7],
                    );
                }
            }
            store.write(batch).await.unwrap();
            let mut late = Batch::new();
            late.put(Table::Cdr, "late", "handed over, not waited for");
            store.submit(late, Box::new(|_| {}));
            store.backup(&file, folders(dir)).await.unwrap()
        });
        (file, tally)
    }

    #[test]
    fn a_backup_of_an_open_store_comes_back_byte_by_byte() {
        let dir = tempfile::tempdir().unwrap();
        let (file, tally) = data(dir.path());
        assert_eq!((tally.rows, tally.files), (201, 2));
        assert_eq!(tally.bytes, std::fs::metadata(&file).unwrap().len());
        let fresh = tempfile::tempdir().unwrap();
        let to = fresh.path().join("store");
        let restored = restore(&file, &to, &folders(fresh.path()), true).unwrap();
        assert_eq!(restored, tally);
        let again = Store::open(&to).unwrap();
        run(async {
            let late = again.get(Table::Cdr, b"late").await.unwrap().unwrap();
            assert_eq!(late, b"handed over, not waited for");
            let copy = fresh.path().join("again.backup");
            let second = again.backup(&copy, folders(fresh.path())).await.unwrap();
            assert_eq!(second.digest, tally.digest);
        });
        assert_eq!(
            std::fs::read(fresh.path().join("media/acc/202401/one.wav")).unwrap(),
            b"RIFF"
        );
        assert!(!fresh.path().join("media/acc/two.wav.part").exists());
        let refused = restore(&file, &to, &folders(fresh.path()), false).unwrap_err();
        assert!(
            refused.to_string().contains("there is a store already"),
            "{refused}"
        );
    }

    #[test]
    fn a_backup_that_was_cut_off_or_changed_is_not_restored() {
        let dir = tempfile::tempdir().unwrap();
        let (file, _) = data(dir.path());
        let whole = std::fs::read(&file).unwrap();
        let to = dir.path().join("other");
        for n in 1..40 {
            let mut bytes = whole.clone();
            let at = bytes.len() * n / 40;
            if n % 2 == 0 {
                bytes.truncate(at);
            } else {
                bytes[at] ^= 1;
            }
            std::fs::write(&file, bytes).unwrap();
            assert!(
                restore(&file, &to, &folders(dir.path()), false).is_err(),
                "{n}"
            );
            assert!(!to.exists());
        }
    }

    #[test]
    fn no_file_of_a_backup_leads_outside_its_folder() {
        let all = folders(Path::new("/data"));
        for bad in ["../x", "/etc/passwd", "a/../../x", "", "./x"] {
            assert!(place(&all, "media", bad).is_err(), "{bad}");
        }
        assert_eq!(place(&all, "unknown", "x").unwrap(), None);
        assert_eq!(
            place(&all, "media", "a/b").unwrap().unwrap(),
            Path::new("/data/media/a/b")
        );
    }
}
