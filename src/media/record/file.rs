//! A recording's file: opened below one directory, never through a link, `.part` until it is whole.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Component, Path};
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};

use crate::audio::wav;
use crate::base::id::is_safe_name;

/// The directory of all recordings.
#[derive(Debug)]
pub(super) struct Directory(OwnedFd);

impl Directory {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if path.as_os_str().is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "no recordings directory is configured",
            ));
        }
        Ok(Self(rustix::fs::openat(
            CWD,
            path,
            DIRECTORY,
            Mode::empty(),
        )?))
    }

    /// The directory a relative path leads to, and the name there. `make`: directories that are missing are made.
    fn locate(&self, path: &Path, make: bool) -> io::Result<(OwnedFd, String)> {
        let refused = || {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a safe name below the recordings directory",
            )
        };
        let mut names = Vec::new();
        for component in path.components() {
            match component {
                Component::Normal(name) => names.push(name.to_str().ok_or_else(refused)?),
                Component::Prefix(_)
                | Component::RootDir
                | Component::CurDir
                | Component::ParentDir => {
                    return Err(refused());
                }
            }
        }
        let name = names.pop().ok_or_else(refused)?;
        let stem = name.strip_suffix(".wav").ok_or_else(refused)?;
        if names.len() > DEEPEST || !names.iter().chain([&stem]).all(|n| is_safe_name(n)) {
            return Err(refused());
        }
        let mut directory = self.0.try_clone()?;
        for above in names {
            if make {
                match rustix::fs::mkdirat(&directory, above, Mode::RWXU) {
                    Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            directory = rustix::fs::openat(&directory, above, DIRECTORY, Mode::empty())?;
        }
        Ok((directory, name.to_owned()))
    }

    /// Makes `path` (relative) with `.part` behind its name, and the directories above it.
    pub(super) fn create(&self, path: &Path, channels: u16, rate_hz: u32) -> io::Result<PartFile> {
        let (directory, name) = self.locate(path, true)?;
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let part = format!("{name}.part");
        let file = File::from(rustix::fs::openat(
            &directory,
            part.as_str(),
            flags,
            Mode::RUSR | Mode::WUSR,
        )?);
        let mut file = PartFile {
            file: Some(file),
            directory,
            name,
            channels,
            rate_hz,
            buffer: Vec::with_capacity(BUFFER_BYTES + 1024),
        };
        file.buffer
            .extend_from_slice(&wav::header(rate_hz, channels, 0));
        Ok(file)
    }

    /// What an ordinary user may still write, in bytes.
    pub(super) fn free_bytes(&self) -> Option<u64> {
        rustix::fs::fstatvfs(&self.0)
            .ok()
            .map(|s| s.f_bavail.saturating_mul(s.f_frsize))
    }
}

/// Completes the file a crash has cut off, so that what was recorded until then is kept. `path` is relative to
/// `directory`. How long it is; `None`: there is nothing.
///
/// # Errors
/// When the path is not allowed, or the file cannot be read or written.
pub fn salvage(directory: &Path, path: &Path) -> io::Result<Option<Duration>> {
    let missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let (directory, name) = match Directory::open(directory).and_then(|d| d.locate(path, false)) {
        Ok(found) => found,
        Err(error) if missing(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let open = |name: &str| -> io::Result<Option<File>> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(&directory, name, flags, Mode::empty()) {
            Ok(file) => Ok(Some(File::from(file))),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    };
    if let Some(whole) = open(&name)? {
        return Ok(Some(measure(&whole)?.length()));
    }
    let part = format!("{name}.part");
    let Some(file) = open(&part)? else {
        return Ok(None);
    };
    let found = measure(&file)?;
    let data_bytes = found.data_bytes;
    let rest = PartFile {
        file: (data_bytes > 0).then_some(file),
        directory,
        name,
        channels: found.channels,
        rate_hz: found.rate_hz,
        buffer: Vec::new(),
    };
    if rest.file.is_none() {
        rustix::fs::unlinkat(&rest.directory, part, AtFlags::empty())?;
        return Ok(None);
    }
    rest.finish(data_bytes / 2)?;
    Ok(Some(found.length()))
}

/// What a file holds.
struct Content {
    channels: u16,
    rate_hz: u32,
    /// Bytes of whole samples of all channels.
    data_bytes: u64,
}

impl Content {
    fn length(&self) -> Duration {
        let samples = self.data_bytes / (2 * u64::from(self.channels.max(1)));
        let micros = samples.saturating_mul(1_000_000) / u64::from(self.rate_hz.max(1));
        Duration::from_micros(micros)
    }
}

fn measure(file: &File) -> io::Result<Content> {
    let bytes = file.metadata()?.len();
    let mut header = [0; wav::HEADER_LEN];
    if bytes < wav::HEADER_LEN as u64 {
        return Ok(Content {
            channels: 1,
            rate_hz: NARROW_HZ,
            data_bytes: 0,
        });
    }
    file.read_exact_at(&mut header, 0)?;
    let channels = header.get(22).copied().map_or(1, u16::from).clamp(1, 2);
    let rate = header.get(24..28).and_then(|rate| rate.try_into().ok());
    let data = bytes - wav::HEADER_LEN as u64;
    Ok(Content {
        channels,
        rate_hz: rate.map_or(NARROW_HZ, u32::from_le_bytes),
        data_bytes: data - data % (2 * u64::from(channels)),
    })
}

/// A WAV file being written. Dropped without [`finish`](Self::finish), it disappears.
#[derive(Debug)]
pub(super) struct PartFile {
    /// `None` once it is finished.
    file: Option<File>,
    directory: OwnedFd,
    name: String,
    channels: u16,
    rate_hz: u32,
    buffer: Vec<u8>,
}

impl PartFile {
    pub(super) fn write(&mut self, pcm: &[i16]) -> io::Result<()> {
        wav::samples(pcm, &mut self.buffer);
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Samples of all channels. Completes the header, makes everything durable and gives the file its name. A full disk costs the samples that
    /// did not fit, not the recording.
    pub(super) fn finish(mut self, samples: u64) -> io::Result<()> {
        // What did not fit, now or before, is missing at the end: the file's length says what is there.
        let _may_be_full = self.flush();
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        let written = file.metadata()?.len();
        let mut data_bytes = samples.saturating_mul(2);
        data_bytes = data_bytes.min(written.saturating_sub(wav::HEADER_LEN as u64));
        data_bytes -= data_bytes % (2 * u64::from(self.channels.max(1)));
        let named = file
            .write_all_at(&wav::header(self.rate_hz, self.channels, data_bytes), 0)
            .and_then(|()| {
                file.set_len(data_bytes + wav::HEADER_LEN as u64)?;
                file.sync_all()?;
                let part = format!("{}.part", self.name);
                rustix::fs::renameat_with(
                    &self.directory,
                    part.as_str(),
                    &self.directory,
                    self.name.as_str(),
                    RenameFlags::NOREPLACE,
                )?;
                Ok(rustix::fs::fsync(&self.directory)?)
            });
        if named.is_err() {
            self.file = Some(file);
        }
        named
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        file.seek(SeekFrom::End(0))?;
        let written = file.write_all(&self.buffer);
        self.buffer.clear();
        written
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if self.file.is_some() {
            rustix::fs::unlinkat(
                &self.directory,
                format!("{}.part", self.name),
                AtFlags::empty(),
            )
            .ok();
        }
    }
}

const DIRECTORY: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC)
    .union(OFlags::RDONLY);
/// The rate of a file that does not say.
const NARROW_HZ: u32 = 8000;
/// Written to the file at once.
const BUFFER_BYTES: usize = 8 << 10;
/// Directories a name may have above it.
const DEEPEST: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_under_its_name_only_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = Directory::open(dir.path())
            .unwrap()
            .create(Path::new("acc/202401/a-b_c.wav"), 1, 8000)
            .unwrap();
        let (part, whole) = (
            dir.path().join("acc/202401/a-b_c.wav.part"),
            dir.path().join("acc/202401/a-b_c.wav"),
        );
        file.write(&[1; 8000]).unwrap();
        assert!(part.exists() && !whole.exists());
        file.finish(8000).unwrap();
        assert!(!part.exists());
        let bytes = std::fs::read(whole).unwrap();
        assert_eq!(bytes.len(), 44 + 16_000);
        assert_eq!(bytes[..44], wav::header(8000, 1, 16_000));
    }

    #[test]
    fn what_a_crash_has_cut_off_is_completed_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = Path::new("acc/202401/cut.wav");
        let mut file = Directory::open(dir.path())
            .unwrap()
            .create(path, 2, 8000)
            .unwrap();
        file.write(&[7; 16_000]).unwrap();
        // The process dies: nothing is tidied up.
        let whole = dir.path().join(path);
        let part = dir.path().join("acc/202401/cut.wav.part");
        std::fs::copy(&part, dir.path().join("kept")).unwrap();
        drop(file);
        std::fs::copy(dir.path().join("kept"), &part).unwrap();
        let written = std::fs::metadata(&part).unwrap().len() - 44;
        let expected = Duration::from_micros(written / 4 * 125);
        assert!(expected > Duration::ZERO);
        for _ in 0..2 {
            assert_eq!(salvage(dir.path(), path).unwrap(), Some(expected));
        }
        let bytes = std::fs::read(&whole).unwrap();
        assert_eq!(bytes[..44], wav::header(8000, 2, written));
        assert!(!part.exists());
        assert_eq!(
            salvage(dir.path(), Path::new("acc/none.wav")).unwrap(),
            None
        );
        assert!(salvage(dir.path(), Path::new("../x.wav")).is_err());
    }

    #[test]
    fn an_empty_rest_of_a_crash_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("x.wav.part"), b"RIFF").unwrap();
        assert_eq!(salvage(dir.path(), Path::new("x.wav")).unwrap(), None);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_abandoned_file_disappears() {
        let dir = tempfile::tempdir().unwrap();
        drop(
            Directory::open(dir.path())
                .unwrap()
                .create(Path::new("x.wav"), 1, 8000)
                .unwrap(),
        );
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let outside = tempfile::tempdir().unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("link")).unwrap();
        let directory = Directory::open(dir.path()).unwrap();
        for bad in [
            "",
            "x",
            ".wav",
            "../x.wav",
            "/tmp/x.wav",
            "a/../x.wav",
            "a\\b.wav",
            "a b.wav",
            "é.wav",
            "a/b/c/d/e/f.wav",
            "link/x.wav",
            "x.wav.part",
            "..wav",
            "x\0.wav",
        ] {
            assert!(
                directory.create(Path::new(bad), 1, 8000).is_err(),
                "{bad:?}"
            );
        }
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_recording_never_replaces_another() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::open(dir.path()).unwrap();
        directory
            .create(Path::new("x.wav"), 1, 8000)
            .unwrap()
            .finish(0)
            .unwrap();
        assert!(
            directory
                .create(Path::new("x.wav"), 1, 8000)
                .unwrap()
                .finish(0)
                .is_err()
        );
    }
}
