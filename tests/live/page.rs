//! The page in headless Chromium, against the demo as a newcomer starts it: the README's own command and steps, the printed
//! link, the telephone of the page, calls, and what axe and the Content-Security-Policy say. `browser/page/` has the harness,
//! `browser/page/steps/` what is done, a file for each part of the page.
//!
//! With `SWIVEL_WRITE_DOCS=1` the pictures of `docs/images/` are taken anew; `SWIVEL_PICTURES` names another folder, and gets
//! all of them.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

use super::server::free_port;
use super::tools::{printed, root, run, stdout, swivel, turn};

/// The commands of the README's first five minutes.
fn first_commands() -> Vec<String> {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let (_, section) = readme.split_once("\n## The first five minutes\n").unwrap();
    let (_, block) = section.split_once("```sh\n").unwrap();
    let (commands, _) = block.split_once("```").unwrap();
    commands.lines().map(str::to_owned).collect()
}

/// The demo as a group of processes, and what it printed.
struct Demo {
    process: Child,
    link: String,
    user: String,
    password: String,
}

impl Demo {
    /// Starts it by the README's command and waits for the link. What it says later is read on, so that it is never held up.
    fn start() -> Demo {
        let commands = first_commands();
        assert_eq!(
            commands,
            ["make demo"],
            "the README begins with another command"
        );
        let (sip, http) = (free_port(), free_port());
        let mut process = Command::new("make")
            .current_dir(root())
            .args(["--no-print-directory", "demo"])
            // `make test` has installed and compiled before it came here; everything else runs as it does for a newcomer.
            .args(["-o", "deps", "-o", "voice", "CARGO=true"])
            .arg(format!("ARGS=--sip-port {sip} --http-port {http}"))
            .env("SWIVEL", swivel())
            .env_remove("MAKEFLAGS")
            .env_remove("MAKELEVEL")
            // Every login of the test comes from one address, and what it asks in minutes a person asks in days.
            .env("SWIVEL_HTTP__RATE__LOGIN_COST", "10")
            .env("SWIVEL_HTTP__RATE__BURST", "20000")
            .env("SWIVEL_HTTP__RATE__PER_SECOND", "1000")
            .process_group(0)
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
        let mut said = String::new();
        for line in lines.by_ref().map_while(Result::ok) {
            if let Some((_, told)) = line.split_once("/v2, account demo, user ") {
                let (user, password) = told.split_once(", password ").unwrap();
                (demo.user, demo.password) = (user.to_owned(), password.to_owned());
            }
            if line.contains("/welcome?key=") {
                demo.link = line.trim().to_owned();
                break;
            }
            said = format!("{said}{line}\n");
        }
        assert!(
            !demo.link.is_empty(),
            "the demo ended without a link:\n{said}"
        );
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        demo
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let group = i32::try_from(self.process.id())
            .ok()
            .and_then(Pid::from_raw);
        if let Some(group) = group {
            // The first asks for an end, the second takes no excuse: `make`, its shell, the voice and the demo.
            let _gone_already = kill_process_group(group, Signal::TERM);
            for _ in 0..500 {
                if !matches!(self.process.try_wait(), Ok(None)) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let _gone_already = kill_process_group(group, Signal::KILL);
        }
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
    let demo = Demo::start();
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
