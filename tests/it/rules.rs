//! The few house rules that rot silently, checked by reading the sources: layering, one door a package, complete
//! lists, pure rooms. ARCHITECTURE.md says why. An exception is an entry here with its reason.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from low to high; rooms on one line may name each other.
const LAYERS: &[&[&str]] = &[
    &["base"],
    &["sip", "sdp", "rtp", "audio"],
    &["twilio"],
    &["host"],
    &["media", "store"],
    &["speech"],
    &["directory"],
    // Above `directory`: a media document of an account is one of the things a reference can mean.
    &["clips"],
    &["routing"],
    &["journal"],
    &["jobs"],
    &["recordings"],
    &["net", "registrar"],
    &["call", "exchange"],
    &["pivot", "twiml"],
    &["callflow"],
    &["api", "web"],
    &["app"],
];

/// Rooms without sockets, tasks, clocks, files or randomness that was not handed in.
const PURE: &[&str] = &["base", "sip", "sdp", "rtp", "audio", "twilio"];

/// What a pure room may not name.
const IMPURE: &[&str] = &[
    "tokio::",
    "std::fs",
    "std::thread",
    "std::process",
    "std::env",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "Instant::now",
    "SystemTime",
    "getrandom",
    "socket2",
    "rustix",
    "reqwest",
];

/// Each outside package and the places that may name it (prefixes below `src/`).
const DOORS: &[(&str, &[&str])] = &[
    ("rsip", &["sip/msg/rsip_bridge.rs"]),
    ("rtp_rs", &["rtp/packet.rs"]),
    ("is", &["rtp/ice.rs"]),
    ("dimpl", &["rtp/dtls.rs"]),
    ("rcgen", &["net/tls/", "media/identity.rs"]),
    ("aes", &["rtp/srtp/cipher.rs"]),
    ("aes_gcm", &["rtp/srtp/cipher.rs", "store/seal.rs"]),
    ("symphonia", &["clips/decode"]),
    ("rubato", &["audio/resample.rs"]),
    // The codec's own module is called `opus` too, so the package goes by `::opus` there.
    ("::opus", &["audio/codec/opus.rs"]),
    ("reqwest", &["host/http"]),
    ("tower", &["host/http"]),
    ("rocksdb", &["store/rocks"]),
    ("quick_xml", &["twiml/parse"]),
    // The demo's web application stands in for a customer's server, so it is not part of `api`.
    ("axum", &["api/", "app/demo/web.rs", "web/"]),
    ("rust_embed", &["web/files.rs"]),
    ("tower_http", &["api/"]),
    ("tokio_rustls", &["net/tls/"]),
    ("x509_parser", &["net/tls/"]),
    ("rustls_native_certs", &["net/tls/"]),
    ("rustls_platform_verifier", &["host/http/tls.rs"]),
    ("tokio_tungstenite", &["net/ws.rs", "host/websocket.rs"]),
    ("hickory_resolver", &["net/dns/"]),
    ("jsonwebtoken", &["api/"]),
    ("clap", &["app/"]),
    ("ratatui", &["app/"]),
    ("toml", &["app/"]),
    ("tracing_subscriber", &["app/"]),
    ("metrics_exporter_prometheus", &["app/"]),
    ("serde_saphyr", &["app/"]),
];

/// Folders in which one file is one thing, and each must be in the list its `mod.rs` keeps.
const LISTS: &[(&str, &str)] = &[
    ("callflow/modules", "modules!"),
    ("twiml/verbs", "verbs!"),
    ("audio/codec", "codecs!"),
    ("speech/tts", "providers!"),
    ("speech/asr", "providers!"),
    ("api/resources", "resources!"),
];

struct Source {
    /// Below `src/`, with forward slashes.
    path: String,
    /// The code: no comments, no test module at the end.
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 30, "the sources were not found");
    files
        .into_iter()
        .map(|file| {
            let text = fs::read_to_string(&file).unwrap();
            let path = file
                .strip_prefix(&root)
                .unwrap()
                .to_string_lossy()
                .replace('\\', "/");
            Source {
                path,
                code: code_of(&text),
            }
        })
        .filter(|s| !s.path.ends_with("tests.rs") && !s.path.contains("/tests/"))
        .collect()
}

pub(super) fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

/// The text without comments and without the test module at its end. (`#[cfg(test)] mod name;` is no end.)
fn code_of(text: &str) -> String {
    let ends = text
        .match_indices("\n#[cfg(test)]\n")
        .filter(|(at, marker)| {
            let next = text[at + marker.len()..].lines().next().unwrap_or_default();
            next.contains("mod ") && next.ends_with('{')
        });
    let end = ends.map(|(at, _)| at).next().unwrap_or(text.len());
    text[..end]
        .lines()
        .filter(|l| !l.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn room(path: &str) -> &str {
    path.split('/')
        .next()
        .unwrap_or(path)
        .trim_end_matches(".rs")
}

fn layer(room: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&room))
}

/// The rooms a source names by `crate::room` or `use crate::{room, …}`.
fn named_rooms(code: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let named = match rest.strip_prefix('{') {
            Some(group) => first_words(&group[..closing_brace(group)]),
            None => vec![word(rest)],
        };
        rooms.extend(named.into_iter().filter(|name| layer(name).is_some()));
    }
    rooms
}

fn word(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

fn closing_brace(group: &str) -> usize {
    let mut depth = 1;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    group.len()
}

fn first_words(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut words = vec![String::new()];
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words.iter().map(|w| word(w.trim())).collect()
}

/// Whether `code` names `package` as a path's first part.
fn names_package(code: &str, package: &str) -> bool {
    code.match_indices(package).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = &code[at + package.len()..];
        let starts =
            before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':' && c != '"');
        starts
            && (after.starts_with("::") || (after.starts_with(';') && code[..at].ends_with("use ")))
    })
}

fn none(wrong: &[String], rule: &str) {
    assert!(wrong.is_empty(), "{rule}:\n  {}", wrong.join("\n  "));
}

#[test]
fn lower_rooms_never_name_higher_ones() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|s| s.path.contains('/')) {
        let own = room(&source.path);
        let Some(own_layer) = layer(own) else {
            wrong.push(format!(
                "{}: room `{own}` is not in the table of layers",
                source.path
            ));
            continue;
        };
        for named in named_rooms(&source.code) {
            if layer(&named).is_some_and(|l| l > own_layer) {
                wrong.push(format!("{} names crate::{named}", source.path));
            }
        }
    }
    none(&wrong, "a lower room names a higher one");
}

#[test]
fn each_package_is_named_behind_its_door_only() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (package, doors) in DOORS {
            if names_package(&source.code, package)
                && !doors.iter().any(|door| source.path.starts_with(door))
            {
                wrong.push(format!(
                    "{} names {package}; its door is {}",
                    source.path,
                    doors.join(", ")
                ));
            }
        }
    }
    none(&wrong, "a package is used outside its door");
}

#[test]
fn pure_rooms_name_no_socket_task_clock_or_file() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|s| PURE.contains(&room(&s.path))) {
        for impure in IMPURE.iter().filter(|i| source.code.contains(*i)) {
            wrong.push(format!("{} names {impure}", source.path));
        }
    }
    none(&wrong, "a pure room is not pure");
}

#[test]
fn each_file_is_in_the_list_of_its_folder() {
    let mut wrong = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (folder, list) in LISTS {
        let folder_path = root.join(folder);
        if !folder_path.is_dir() {
            continue;
        }
        let index = code_of(&fs::read_to_string(folder_path.join("mod.rs")).unwrap());
        let Some(at) = index.rfind(list) else {
            wrong.push(format!("{folder}/mod.rs has no {list} list"));
            continue;
        };
        let listed = &index[at..];
        let mut files = Vec::new();
        collect(&folder_path, &mut files);
        for file in files
            .iter()
            .filter(|f| f.parent() == Some(folder_path.as_path()))
        {
            let name = file.file_stem().unwrap().to_string_lossy().into_owned();
            if name != "mod" && name != "tests" && !listed.contains(&format!("{name}::")) {
                wrong.push(format!("{folder}/{name}.rs is not in {list}"));
            }
        }
    }
    none(&wrong, "a file is missing from its list");
}

#[test]
fn each_file_says_what_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.retain(|file| !file.ends_with("tests.rs"));
    let silent: BTreeMap<_, _> = files
        .iter()
        .filter(|f| !fs::read_to_string(f).unwrap().starts_with("//!"))
        .map(|f| (f, ()))
        .collect();
    assert!(
        silent.is_empty(),
        "files without a module comment: {:?}",
        silent.keys()
    );
}

#[test]
fn every_dependency_says_what_it_is_for() {
    let manifest =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let dependencies = manifest
        .split("\n[dependencies]\n")
        .nth(1)
        .unwrap()
        .split("\n[")
        .next()
        .unwrap();
    let silent: Vec<_> = dependencies
        .lines()
        .filter(|l| l.contains('=') && !l.contains('#'))
        .collect();
    assert!(
        silent.is_empty(),
        "dependencies without a purpose in Cargo.toml: {silent:#?}"
    );
}

#[test]
fn the_checks_themselves_see_what_they_look_for() {
    assert_eq!(
        named_rooms("use crate::{sip::{flow::Flow, msg}, app};"),
        ["sip", "app"]
    );
    assert_eq!(named_rooms("let x = crate::media::Port::id(p);"), ["media"]);
    assert!(names_package("use axum::Router;", "axum"));
    assert!(!names_package("use crate::axum_like::X;", "axum"));
    assert!(!names_package("self::toml::x", "toml"));
    assert_eq!(
        code_of("a\n// crate::app\nb\n#[cfg(test)]\nmod tests {\ncrate::app\n}"),
        "a\nb"
    );
    assert_eq!(
        code_of("a\n#[cfg(test)]\nmod b;\nc"),
        "a\n#[cfg(test)]\nmod b;\nc"
    );
}
