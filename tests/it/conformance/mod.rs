//! What the specifications require and which test shows it: `docs/sip-conformance.md` and `docs/security.md` are made of
//! the lists beside this file. A test that is named there and does not exist fails here, and so does a page that is not
//! what its list says; `SWIVEL_WRITE_DOCS=1 cargo test --test it conformance` writes both anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::rules::collect;

/// One requirement.
#[derive(Debug)]
struct Row {
    /// Of which section.
    section: String,
    /// `M`, `S` or `L` of SIP; `R` for a row of the security model.
    level: char,
    /// Which paragraph of that level, or which row.
    number: u32,
    /// RFC and section, or what is threatened.
    source: String,
    /// What is required.
    says: String,
    /// The tests that show it.
    tests: Vec<String>,
    /// Why there are none.
    why_not: Option<String>,
}

/// Reads a list; the head of `sip.txt` says how it is written.
fn rows(text: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut section = String::new();
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("# ") && *line != "#");
    for line in lines {
        if let Some(title) = line.strip_prefix("## ") {
            title.clone_into(&mut section);
        } else if let Some(tests) = line.strip_prefix("   ") {
            let row = rows.last_mut().expect("tests before a requirement");
            match tests.strip_prefix("no: ") {
                Some(why) => row.why_not = Some(why.to_owned()),
                None => row
                    .tests
                    .extend(tests.split(',').map(|test| test.trim().to_owned())),
            }
        } else {
            let (key, rest) = line.split_once(' ').unwrap_or_else(|| panic!("{line}"));
            let (source, says) = rest
                .split_once(": ")
                .unwrap_or_else(|| panic!("no colon: {line}"));
            rows.push(Row {
                section: section.clone(),
                level: key.chars().next().unwrap(),
                number: key[1..].parse().unwrap_or_else(|_| panic!("{line}")),
                source: source.to_owned(),
                says: says.to_owned(),
                tests: Vec::new(),
                why_not: None,
            });
        }
    }
    rows
}

fn sip() -> Vec<Row> {
    rows(include_str!("sip.txt"))
}

fn security() -> Vec<Row> {
    rows(include_str!("security.txt"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What lies beside the checkout, or beside the folder of checkouts it is in.
pub fn shared(path: &str) -> PathBuf {
    let mut folders = root().ancestors().skip(1).take(3);
    folders
        .find_map(|folder| Some(folder.join("shared").join(path)).filter(|p| p.exists()))
        .unwrap_or_else(|| root().join("../shared").join(path))
}

/// Every test there is, by name: the files it is in.
fn tests() -> BTreeMap<String, BTreeSet<String>> {
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in ["src", "tests"] {
        collect(&root().join(folder), &mut files);
    }
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files {
        let path = file.strip_prefix(root()).unwrap();
        let path = path.to_string_lossy().replace('\\', "/");
        let mut marked = false;
        for line in fs::read_to_string(&file).unwrap().lines() {
            let line = line.trim();
            marked |= line == "#[test]" || line.starts_with("#[tokio::test");
            let named = line.strip_prefix("async ").unwrap_or(line);
            let name = named.strip_prefix("fn ").and_then(|f| f.split('(').next());
            if let (true, Some(name)) = (marked, name) {
                found
                    .entry(name.to_owned())
                    .or_default()
                    .insert(path.clone());
                marked = false;
            }
        }
    }
    found
}

/// Requirements that must hold and do not yet: section and text. Each is a debt.
const OWED: &[&str] = &[];

/// Names the requirements whose tests are not there.
fn unproved(rows: &[Row]) -> Vec<String> {
    let tests = tests();
    let mut wrong = Vec::new();
    for row in rows {
        let at = format!("{} {}{}", row.section, row.level, row.number);
        for test in row.tests.iter().filter(|test| !tests.contains_key(*test)) {
            wrong.push(format!("{at}: there is no test `{test}`"));
        }
        if row.tests.is_empty() && row.why_not.is_none() {
            wrong.push(format!("{at}: neither a test nor a reason"));
        }
        let owed = OWED.contains(&row.says.as_str());
        if row.tests.is_empty() && matches!(row.level, 'M' | 'R') && !owed {
            wrong.push(format!("{at}: has no test"));
        }
    }
    wrong
}

#[test]
fn every_requirement_has_its_tests() {
    assert!(tests().len() > 800, "the tests were not found");
    let wrong: Vec<String> = [sip(), security()]
        .iter()
        .flat_map(|rows| unproved(rows))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Where a name stands, as a list of links.
fn links(row: &Row, tests: &BTreeMap<String, BTreeSet<String>>) -> String {
    if let Some(why) = &row.why_not {
        return format!("**no**: {why}");
    }
    let links = row.tests.iter().map(|test| {
        let file = tests.get(test).and_then(|files| files.first());
        let file = file.map(String::as_str).unwrap_or_default();
        format!("[{}](../{file})", test.replace('_', " "))
    });
    links.collect::<Vec<_>>().join(" · ")
}

fn table(page: &mut String, rows: &[Row], head: &str) {
    let tests = tests();
    let mut section = "";
    for row in rows {
        if row.section != section {
            section = &row.section;
            write!(page, "\n## {section}\n\n{head}").unwrap();
        }
        let (source, says) = (&row.source, &row.says);
        let level = match row.level {
            'R' => row.number.to_string(),
            level => format!("{level}{}", row.number),
        };
        let links = links(row, &tests);
        writeln!(page, "| {level} | {source} | {says} | {links} |").unwrap();
    }
}

fn sip_page() -> String {
    let rows = sip();
    let count = |level, proved| {
        rows.iter()
            .filter(|r| r.level == level && r.tests.is_empty() != proved)
            .count()
    };
    let mut page = format!(
        "# What swivel does of SIP, SDP and RTP\n\n\
         Made of `tests/it/conformance/sip.txt` by `tests/it/conformance`; do not edit it here. **M** must hold, **S** \
         should, **L** is for later. The numbers count the paragraphs of a section; each row is one thing required and \
         the tests that fail when it does not hold.\n\n\
         M: {} rows with tests, {} without. S: {} with tests, {} without.\n",
        count('M', true),
        count('M', false),
        count('S', true),
        count('S', false),
    );
    let head = "| | from | required | shown by |\n| --- | --- | --- | --- |\n";
    table(&mut page, &rows, head);
    page
}

fn security_page() -> String {
    let mut page = String::from(
        "# What attackers can do, and what shows that they cannot\n\n\
         Made of `tests/it/conformance/security.txt` by `tests/it/conformance`; do not edit it here. Each test runs in \
         `make test` in a short form and in `make soak` at its full length; `docs/soak.md` has the results.\n",
    );
    let head = "| | threat | what holds | shown by |\n| --- | --- | --- | --- |\n";
    table(&mut page, &security(), head);
    page
}

#[test]
fn the_pages_say_what_the_lists_say() {
    let pages = [
        ("docs/sip-conformance.md", sip_page()),
        ("docs/security.md", security_page()),
    ];
    for (path, page) in pages {
        let path = root().join(path);
        if std::env::var_os("SWIVEL_WRITE_DOCS").is_some() {
            fs::write(&path, &page).unwrap();
        }
        let there = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            there == page,
            "{} is not what its list says; `SWIVEL_WRITE_DOCS=1 cargo test --test it conformance` writes it",
            path.display()
        );
    }
}

/// The specification is not part of the project; where it lies beside the checkout, each of its paragraphs has a row.
#[test]
fn no_paragraph_of_the_specification_is_left_out() {
    let text = fs::read_to_string(shared("spec/sip.md")).ok();
    let Some(text) = text else {
        println!("NOT CHECKED: the specification is not beside the checkout");
        return;
    };
    let mut wanted: BTreeSet<(u32, char, u32)> = BTreeSet::new();
    let mut counts: BTreeMap<(u32, char), u32> = BTreeMap::new();
    let mut section = 0;
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title.split('.').next().unwrap().parse().unwrap();
        }
        for (level, mark) in [('M', "**M**"), ('S', "**S**")] {
            for _ in line.matches(mark).filter(|_| section > 1) {
                let count = counts.entry((section, level)).or_default();
                *count += 1;
                wanted.insert((section, level, *count));
            }
        }
    }
    assert!(wanted.len() > 90, "the specification was not understood");
    let rows = sip();
    let there: BTreeSet<(u32, char, u32)> = rows
        .iter()
        .map(|row| {
            let section = row.section.split(' ').next().unwrap().parse().unwrap();
            (section, row.level, row.number)
        })
        .filter(|(section, level, _)| (2..13).contains(section) && *level != 'L')
        .collect();
    let missing: Vec<_> = wanted.difference(&there).collect();
    let made_up: Vec<_> = there.difference(&wanted).collect();
    assert!(
        missing.is_empty() && made_up.is_empty(),
        "without a row: {missing:?}; not in the specification: {made_up:?}"
    );
}
