//! sipvicious against the server: who scans learns nothing, who guesses is not listened to (security.md rows 1 and 2).

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::desk::PASSWORD;
use super::peer::{soak, stranger};
use super::server::{Server, free_port};
use super::tools::{eventually, now, printed, python, root, run};

/// Fifty phones, 1000 to 1049, all with passwords; nobody is known by address.
fn fifty_phones() -> Server {
    let devices: Vec<Value> = (1000..1050)
        .map(|number| {
            json!({"name": format!("phone {number}"),
                "sip": {"method": "password", "username": number.to_string(), "password": PASSWORD}})
        })
        .collect();
    Server::start(
        &[("SWIVEL_SIP__DIGEST", "MD5")],
        json!({ "devices": devices }),
    )
}

/// One of sipvicious's tools; `None` where `make` has not installed it.
fn tool(server: &Server, name: &str) -> Option<Command> {
    let Some(python) = python("phones") else {
        eprintln!("sipvicious is not installed (`make test` does that): it was not tried");
        return None;
    };
    let mut command = Command::new(python.with_file_name(format!("sipvicious_{name}")));
    // It keeps its sessions in the home directory.
    command
        .env("HOME", server.folder())
        .current_dir(server.folder())
        .args([
            "-p",
            &server.sip.to_string(),
            "-P",
            &free_port().to_string(),
        ])
        .stdin(Stdio::null());
    Some(command)
}

fn said(output: &Output) -> String {
    printed(output)
}

#[test]
fn a_scan_learns_that_something_is_there_and_not_what() {
    let server = fifty_phones();
    for method in ["OPTIONS", "REGISTER", "INVITE"] {
        let Some(mut svmap) = tool(&server, "svmap") else {
            return;
        };
        let output = run(svmap.args(["-m", method, "127.0.0.1"]));
        let text = said(&output);
        assert!(!text.to_ascii_lowercase().contains("swivel"), "{text}");
        let named = text.lines().filter(|line| line.contains("127.0.0.1:"));
        assert!(named.clone().all(|line| line.contains("unknown")), "{text}");
    }
}

#[test]
fn of_fifty_numbers_none_is_found_out() {
    let server = fifty_phones();
    let range = if soak() { "100-10000" } else { "990-1060" };
    for method in ["REGISTER", "INVITE", "OPTIONS"] {
        for force in [&[][..], &["--force"][..]] {
            let Some(mut svwar) = tool(&server, "svwar") else {
                return;
            };
            let output = run(svwar
                .args(["-e", range, "-m", method])
                .args(force)
                .arg("127.0.0.1"));
            let text = said(&output);
            assert!(text.contains("found nothing"), "{method}: {text}");
            assert!(!text.contains("| 10"), "{method}: {text}");
        }
    }
}

#[test]
fn ten_thousand_guesses_are_five_and_the_owner_comes_in_meanwhile() {
    let server = fifty_phones();
    let Some(mut svcrack) = tool(&server, "svcrack") else {
        return;
    };
    let guesses = [
        "-u",
        "1000",
        "-r",
        "1-10000",
        "--maximumtime",
        "10",
        "127.0.0.1",
    ];
    let mut cracking = svcrack
        .args(guesses)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let count = || {
        let log = server.log();
        log.lines()
            .filter(|line| line.contains("wrong credentials from 127.0.0.1"))
            .count()
    };
    eventually("a ban", Duration::from_secs(30), || {
        server.log().contains("banned 127.0.0.1 for").then_some(())
    });
    // From elsewhere the owner gets in at once, although the guesser goes on.
    let before = now();
    let owner = stranger(77).to_string();
    let output = run(Command::new("sipp")
        .current_dir(server.folder())
        .arg("-sf")
        .arg(root().join("sipp-scenarios/register.xml"))
        .args([
            "-s", "1000", "-i", &owner, "-nostdin", "-m", "1", "-d", "100",
        ])
        .args(["-au", "1000", "-ap", PASSWORD, "-auth_uri", "live.test"])
        .args([
            "-key",
            "realm",
            "live.test",
            "-timeout",
            "40s",
            "-timeout_error",
        ])
        .arg(format!("127.0.0.1:{}", server.sip)));
    assert!(output.status.success(), "{}", printed(&output));
    // Two seconds are the goal; a machine with much else to do gets more.
    assert!(now() - before < Duration::from_secs(15));
    eventually("the end of svcrack", Duration::from_secs(60), || {
        cracking.try_wait().unwrap()
    });
    let reached = count();
    assert!(
        (1..=10).contains(&reached),
        "{reached} guesses were looked at"
    );
}
