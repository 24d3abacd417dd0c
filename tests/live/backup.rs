//! `swivel backup` of a server under load, and `swivel restore --verify` of what it wrote.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use super::crash::place_calls;
use super::server::Server;
use super::tools::{eventually, printed, run, stdout, swivel};

#[test]
fn a_backup_taken_under_load_restores_byte_equal_documents() {
    let flow = json!({"module": "answer", "data": {}, "children": {"_":
        {"module": "sleep", "data": {"duration": 300, "unit": "ms"}, "children": {}}}});
    let server = Server::with_flows(&[("1000", flow)]);
    for n in 0..20 {
        let menu = json!({"name": format!("menu {n}"), "own": {"any": [n, "é", null]}});
        assert!(server.create("menus", &menu).is_some());
    }
    let stop = Arc::new(AtomicBool::new(false));
    let answered: Arc<Mutex<std::collections::BTreeSet<String>>> = Arc::default();
    let load = {
        let (sip, stop, answered) = (server.sip, stop.clone(), answered.clone());
        std::thread::spawn(move || place_calls(sip, 0, &stop, &answered))
    };
    eventually("answered calls", Duration::from_secs(20), || {
        (answered.lock().unwrap().len() >= 60).then_some(())
    });
    let file = server.folder().join("all.backup");
    let with = |config: &std::path::Path, arguments: &[&str]| {
        let output = run(Command::new(swivel())
            .args(arguments)
            .arg("--config")
            .arg(config));
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            printed(&output)
        );
        stdout(&output)
    };
    let name = file.to_str().unwrap();
    let said = with(&server.config(), &["backup", name]);
    assert!(said.contains(" rows, "), "{said}");
    stop.store(true, Ordering::Relaxed);
    load.join().unwrap();

    let elsewhere = server.folder().join("elsewhere");
    std::fs::create_dir_all(&elsewhere).unwrap();
    let config = elsewhere.join("swivel.toml");
    std::fs::write(
        &config,
        format!("data_dir = {:?}\n", elsewhere.join("data")),
    )
    .unwrap();
    let said = with(&config, &["restore", "--verify", name]);
    assert!(said.contains("and compared"), "{said}");
    let own = with(&server.config(), &["export", "--format", "json"]);
    let restored = with(&config, &["export", "--format", "json"]);
    assert_eq!(own, restored);
    // Where there is something already, nothing is restored.
    let again = run(Command::new(swivel())
        .args(["restore", name, "--config"])
        .arg(&config));
    assert!(!again.status.success(), "{}", printed(&again));
    let running = run(Command::new(swivel())
        .args(["restore", name, "--config"])
        .arg(server.config()));
    assert!(!running.status.success() && printed(&running).contains("a server is running"));
}
