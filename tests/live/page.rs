//! The page in headless Chromium, against the demo as a newcomer starts it: the printed link, the telephone of the page, calls,
//! and what axe and the Content-Security-Policy say. `browser/page/` has the harness, `browser/page/steps/` what is done, a
//! file for each part of the page.
//!
//! With `SWIVEL_WRITE_DOCS=1` the pictures of `docs/images/` are taken anew; `SWIVEL_PICTURES` names another folder.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::server::free_port;
use super::tools::{printed, root, run, stdout, swivel, turn};

/// The demo as a process, and what it printed.
struct Demo {
    process: Child,
    link: String,
    user: String,
    password: String,
}

impl Demo {
    /// Starts it and waits for the link. What it says later is read on, so that it is never held up.
    fn start(folder: &Path) -> Demo {
        let (sip, http) = (free_port().to_string(), free_port().to_string());
        let mut process = Command::new(swivel())
            .current_dir(folder)
            .args(["demo", "--sip-port", &sip, "--http-port", &http])
            // Every login of the test comes from one address.
            .env("SWIVEL_HTTP__RATE__LOGIN_COST", "10")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut demo = Demo {
            process,
            link: String::new(),
            user: String::new(),
            password: String::new(),
        };
        for line in lines.by_ref().map_while(Result::ok) {
            if let Some((_, said)) = line.split_once("/v2, account demo, user ") {
                let (user, password) = said.split_once(", password ").unwrap();
                (demo.user, demo.password) = (user.to_owned(), password.to_owned());
            }
            if line.contains("/welcome?key=") {
                demo.link = line.trim().to_owned();
                break;
            }
        }
        assert!(!demo.link.is_empty(), "the demo ended without a link");
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        demo
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Whether `make` has installed what drives the page, and built it.
fn is_ready() -> bool {
    let all = [
        root().join(".venv/browser/.ready"),
        root().join("ui/dist/index.html"),
        PathBuf::from("/usr/bin/chromium"),
    ];
    let missing: Vec<_> = all.iter().filter(|path| !path.exists()).collect();
    if !missing.is_empty() {
        eprintln!(
            "the page was not driven: {missing:?} is missing (`make test` installs and builds it)"
        );
    }
    missing.is_empty()
}

#[test]
fn a_newcomer_opens_the_link_calls_and_finds_the_call() {
    if !is_ready() {
        return;
    }
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path());
    let pictures = match std::env::var_os("SWIVEL_PICTURES") {
        Some(folder) => PathBuf::from(folder),
        None if std::env::var_os("SWIVEL_WRITE_DOCS").is_some() => root().join("docs/images"),
        None => PathBuf::from("-"),
    };
    let script = root().join(".venv/browser/page/harness.mjs");
    let output = run(Command::new("node")
        .arg(script)
        .args([&demo.link, &demo.user, &demo.password])
        .arg(pictures));
    assert!(output.status.success(), "{}", printed(&output));
    let told: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let list = |key: &str| told[key].as_array().unwrap();
    let failed: Vec<_> = list("steps")
        .iter()
        .filter(|s| s["error"].is_string())
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(list("steps").len() > 10, "{told:#}");
    assert!(list("violations").is_empty(), "{:#?}", list("violations"));
    assert!(list("errors").is_empty(), "{:#?}", list("errors"));
    assert!(list("axe").is_empty(), "{:#?}", list("axe"));
}
