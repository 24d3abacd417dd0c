//! Outside programs, and the order in which tests take turns.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The checkout.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The binary under test.
pub(crate) fn swivel() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_swivel"))
}

/// Runs a command to its end and hands back what it printed.
pub(crate) fn run(command: &mut Command) -> Output {
    let shown = format!("{command:?}");
    command.output().unwrap_or_else(|error| {
        panic!("{shown}: {error}; `make deps` installs what the tests need")
    })
}

/// What a command printed, both streams, for a failing test.
pub(crate) fn printed(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// What a command printed on standard output.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The Python of a virtual environment below `.venv`, when `make` has built it.
pub(crate) fn python(environment: &str) -> Option<PathBuf> {
    let folder = root().join(".venv").join(environment);
    folder
        .join(".ready")
        .exists()
        .then(|| folder.join("bin/python"))
}

/// Whether the process may open raw sockets, which SIPp needs to play pcap files.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Waits until `ready` says so, or panics with `what`.
pub(crate) fn eventually<T>(what: &str, most: Duration, mut ready: impl FnMut() -> Option<T>) -> T {
    let deadline = now() + most;
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(now() < deadline, "{what} did not happen within {most:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[expect(clippy::disallowed_methods, reason = "live tests run in real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Live tests share two cores and care about time: at most two run at once.
pub(crate) fn turn() -> Turn {
    let mut running = lock();
    while *running >= 2 {
        running = LEFT.wait(running).unwrap_or_else(PoisonError::into_inner);
    }
    *running += 1;
    Turn(())
}

/// A place among the running tests.
pub(crate) struct Turn(());

impl Drop for Turn {
    fn drop(&mut self) {
        *lock() -= 1;
        LEFT.notify_one();
    }
}

static RUNNING: Mutex<usize> = Mutex::new(0);
static LEFT: Condvar = Condvar::new();

fn lock() -> MutexGuard<'static, usize> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}
