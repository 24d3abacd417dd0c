//! The Pivot application of the tests: `web.py`, in Python's http.server.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::tools::root;

/// A running web application. Dropping it ends it.
pub(crate) struct Web {
    child: Child,
    port: u16,
    requests: Arc<Mutex<Vec<Value>>>,
}

impl Web {
    /// Starts it; `sound` is what `/sound.wav` serves.
    pub(crate) fn start(sound: Option<&Path>) -> Self {
        let sound: Vec<&OsStr> = sound.iter().map(|path| path.as_os_str()).collect();
        Self::run("web.py", &sound)
    }

    /// Starts another server of `tests/live`, which prints its port and then its requests.
    pub(crate) fn run(script: &str, arguments: &[&OsStr]) -> Self {
        Self::run_by(Path::new("python3"), script, arguments)
    }

    /// The same by that Python.
    pub(crate) fn run_by(python: &Path, script: &str, arguments: &[&OsStr]) -> Self {
        let mut child = Command::new(python)
            .arg(root().join("tests/live").join(script))
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 runs");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.next().unwrap().unwrap().parse().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        #[expect(
            clippy::disallowed_methods,
            reason = "a test may have a thread of its own"
        )]
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                seen.lock()
                    .unwrap()
                    .push(serde_json::from_str(&line).unwrap());
            }
        });
        Self {
            child,
            port,
            requests,
        }
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<Value> {
        self.requests.lock().unwrap().clone()
    }

    /// The one request there was.
    pub(crate) fn request(&self) -> Value {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "one request: {requests:#?}");
        requests.into_iter().next().unwrap()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
