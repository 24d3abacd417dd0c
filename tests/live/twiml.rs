//! `swivel twiml` on documents that Twilio's own libraries generate, and on mistakes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::tools::{printed, python, root, run, stdout, swivel};

/// `swivel twiml` with a document on its standard input.
fn twiml(arguments: &[&str], document: &str) -> Output {
    let mut child = Command::new(swivel())
        .arg("twiml")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(document.as_bytes()).unwrap();
    drop(input);
    child.wait_with_output().unwrap()
}

/// What `docs/twiml.md` claims of elements and, with an attribute's name, of attributes. An element can stand in more
/// than one place.
fn claims() -> BTreeMap<(String, String), BTreeSet<String>> {
    let page = std::fs::read_to_string(root().join("docs/twiml.md")).unwrap();
    let page = page.split_once("<!-- From here").unwrap().1;
    let (mut all, mut element): (BTreeMap<_, BTreeSet<String>>, _) =
        (BTreeMap::new(), String::new());
    let mut after_heading = false;
    for line in page.lines() {
        let status = |text: &str| text.split([' ', ';', '.']).next().unwrap().to_owned();
        if let Some(heading) = line.strip_prefix("### ").or(line.strip_prefix("#### ")) {
            element = heading.split(" › ").last().unwrap().to_owned();
            after_heading = true;
        } else if after_heading && !line.is_empty() {
            let key = (element.clone(), String::new());
            all.entry(key).or_default().insert(status(line));
            after_heading = false;
        } else if let Some(row) = line.strip_prefix("| `") {
            let (name, rest) = row.split_once("` | ").unwrap();
            let key = (element.clone(), name.to_owned());
            all.entry(key).or_default().insert(status(rest));
        }
    }
    all
}

#[test]
fn everything_twilios_library_for_python_generates_has_the_status_the_documentation_claims() {
    let python = python("test").expect("make installs .venv/test");
    assert_as_claimed(Command::new(python).arg(root().join("tests/live/twiml.py")));
}

#[test]
fn everything_twilios_library_for_node_generates_has_the_status_the_documentation_claims() {
    let folder = root().join(".venv/twilio");
    if !folder.join(".ready").exists() {
        eprintln!(
            "Twilio's library for Node is not installed (`make test` does that): it was not tried"
        );
        return;
    }
    assert_as_claimed(Command::new("node").arg(folder.join("documents.mjs")));
}

/// Fails unless each word of the documents that a library has made, one a line, has the status that is claimed of it.
fn assert_as_claimed(library: &mut Command) {
    let made = run(library);
    assert!(made.status.success(), "{}", printed(&made));
    let claims = claims();
    let mut words = 0;
    for line in stdout(&made).lines() {
        let made: Value = serde_json::from_str(line).unwrap();
        let (name, document) = (&made["name"], made["xml"].as_str().unwrap());
        for profile in ["kazoo", "twilio"] {
            let output = twiml(&["lint", "-", "--json", "--profile", profile], document);
            let report: Value = serde_json::from_slice(&output.stdout)
                .unwrap_or_else(|error| panic!("{name}: {error}: {}", printed(&output)));
            assert_eq!(report["document"], true, "{name}: {report:#}");
            assert_eq!(output.status.success(), report["refused"] == 0, "{name}");
            for item in report["items"].as_array().unwrap() {
                let word = |key: &str| item[key].as_str().unwrap_or_default().to_owned();
                let claimed = claims.get(&(word("element"), word("attribute")));
                let claimed =
                    claimed.unwrap_or_else(|| panic!("{name}: nothing is claimed of {item}"));
                assert!(
                    claimed.contains(&word("status")),
                    "{name}: {claimed:?} {item}"
                );
                words += 1;
            }
            for finding in report["findings"].as_array().unwrap() {
                let message = finding["message"].as_str().unwrap();
                let surprising = [
                    "default is used",
                    "not known",
                    "no place inside",
                    "has no attribute",
                ];
                assert!(
                    surprising
                        .iter()
                        .all(|surprise| !message.contains(surprise)),
                    "{name}, {profile}: {finding}"
                );
            }
        }
    }
    assert!(words > 1000, "{words}");
}

#[test]
fn lint_names_the_place_and_the_exit_status_tells_whether_something_is_refused() {
    let fine = "<Response><Say>Hello</Say></Response>";
    let output = twiml(&["lint", "-"], fine);
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    let wrong = "<Response>\n  <Gahter>\n  <Say langauge=\"de\">x</Say></Gahter>\n  <Say langauge=\"de\">x</Say>\n</Response>";
    let output = twiml(&["lint", "-"], wrong);
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("-:2:3: refused: Response/Gahter") && said.contains("did you mean Gather?"),
        "{said}"
    );
    assert!(
        said.contains("-:4:8: warning") && said.contains("did you mean language?"),
        "{said}"
    );
    let output = twiml(&["lint", "-", "--profile", "twilio"], wrong);
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    let output = twiml(&["lint", "-", "--json"], "<!DOCTYPE x><Response/>");
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        report["error"].as_str().unwrap().contains("line 1"),
        "{report}"
    );
}

#[test]
fn run_prints_what_would_happen() {
    let document = "<Response><Gather numDigits=\"1\" action=\"next\"><Say>Press one.</Say></Gather></Response>";
    let output = twiml(
        &["run", "-", "--digits", "1", "--url", "http://h.example/a/b"],
        document,
    );
    let said = stdout(&output);
    assert!(output.status.success(), "{}", printed(&output));
    assert!(
        said.ends_with("GET http://h.example/a/next with Digits=1\n"),
        "{said}"
    );
}
