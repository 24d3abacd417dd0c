//! Kills a process that writes call records and documents, again and again, and looks at what is left.
//!
//! The writer is this test binary itself, started as a child. It says on its standard output what was acknowledged.
//! `SWIVEL_CRASH_ROUNDS` sets how often (5 in `make test`, 500 in `make soak`).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed"
)]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use swivel::base::rng::Rng;
use swivel::base::time::UnixMicros;
use swivel::directory::{Directory, Kind};
use swivel::host::clock;
use swivel::journal::{Cdr, Fact, Field, Journal, OpenCall, Sought, TimeRange};
use swivel::store::Store;

const ACCOUNT: &str = "0123456789abcdef0123456789abcdef";
/// Callers.
const NUMBERS: [&str; 4] = ["+15550100", "+15550101", "+15550102", "+15550103"];
const CHILD: &str = "SWIVEL_CRASH_CHILD";

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

fn leg(call_id: String, answered: UnixMicros) -> Cdr {
    let number = NUMBERS[answered.0 as usize % NUMBERS.len()];
    Cdr {
        account: ACCOUNT.into(),
        call_id,
        direction: "inbound".into(),
        caller_id_number: number.into(),
        created: answered,
        answered: Some(answered),
        ..Cdr::default()
    }
}

/// Not a test of its own: what the child does until it is killed.
#[test]
fn writer() {
    let Ok(dir) = std::env::var(CHILD) else {
        return;
    };
    let (dir, round) = dir.rsplit_once('@').unwrap();
    let say = |line: String| {
        let mut out = std::io::stdout().lock();
        out.write_all(format!("{line}\n").as_bytes()).unwrap();
        out.flush().unwrap();
    };
    runtime().block_on(async {
        let store = Store::open(Path::new(dir)).unwrap();
        let directory = Directory::load(store.clone()).await.unwrap();
        let journal = Journal::new(store.clone());
        journal.sweep().await.unwrap();
        let mut facts = journal.subscribe();
        tokio::task::LocalSet::new()
            .run_until(async {
                let listener = async {
                    while let Ok(fact) = facts.recv().await {
                        if let Fact::Recorded { id, .. } = &*fact {
                            say(format!("cdr {id}"));
                        }
                    }
                };
                let writer = async {
                    for n in 0_u64.. {
                        let call_id = format!("r{round}-{n}");
                        journal.open_call(OpenCall(leg(call_id.clone(), clock::unix_now())));
                        // Every eighth call stays up until the end.
                        if n % 8 != 0 {
                            let mut cdr = leg(call_id.clone(), clock::unix_now());
                            cdr.ended = Some(clock::unix_now());
                            journal.close_leg(Box::new(cdr));
                        }
                        if n % 4 == 0 {
                            directory
                                .put(Kind::Menu, ACCOUNT, &call_id, json!({"name": call_id}))
                                .await
                                .unwrap();
                            say(format!("doc {call_id}"));
                            if n % 8 == 0 {
                                // The document came after the open call in the queue, so that is durable too.
                                say(format!("open {call_id}"));
                            }
                        }
                        tokio::time::sleep(Duration::from_micros(500)).await;
                    }
                };
                tokio::join!(listener, writer);
            })
            .await;
    });
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let rounds: u64 = std::env::var("SWIVEL_CRASH_ROUNDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(5);
    let dir = tempfile::tempdir().unwrap();
    let mut rng = Rng::seeded(7);
    let (mut cdrs, mut documents, mut open) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let exe = Arc::new(std::env::current_exe().unwrap());
    runtime().block_on(async {
        let store = Store::open(dir.path()).unwrap();
        let directory = Directory::load(store).await.unwrap();
        directory
            .put(
                Kind::Account,
                ACCOUNT,
                ACCOUNT,
                json!({"name": "a", "realm": "a.test"}),
            )
            .await
            .unwrap();
    });
    for round in 0..rounds {
        let mut child = Command::new(&*exe)
            .args(["--exact", "writer", "--nocapture"])
            .env(CHILD, format!("{}@{round}", dir.path().display()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let lines = std::thread::Builder::new()
            .spawn(move || out.lines().map_while(Result::ok).collect::<Vec<_>>())
            .unwrap();
        std::thread::sleep(Duration::from_millis(150 + rng.below(500)));
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines.join().unwrap() {
            match line.split_once(' ') {
                Some(("cdr", id)) => drop(cdrs.insert(id.to_owned())),
                Some(("doc", id)) => drop(documents.insert(id.to_owned())),
                Some(("open", id)) => drop(open.insert(id.to_owned())),
                _ => {}
            }
        }
        runtime().block_on(async {
            let store = Store::open(dir.path()).unwrap_or_else(|e| panic!("round {round}: {e}"));
            let journal = Journal::new(store.clone());
            journal.sweep().await.unwrap();
            let directory = Directory::load(store).await.unwrap();
            let account = directory.account(ACCOUNT).unwrap();
            for id in &documents {
                assert!(
                    account.menus.contains_key(id),
                    "round {round}: document {id} is gone"
                );
            }
            for id in &cdrs {
                assert!(
                    journal.cdr(ACCOUNT, id).await.unwrap().is_some(),
                    "round {round}: record {id} is gone"
                );
            }
            let all = journal
                .cdrs(ACCOUNT, TimeRange::newest(usize::MAX))
                .await
                .unwrap();
            let ids: BTreeSet<_> = all.iter().map(|row| row.cdr.call_id.clone()).collect();
            assert_eq!(
                ids.len(),
                all.len(),
                "round {round}: a call has two records"
            );
            let numbers = NUMBERS.map(str::to_owned);
            let by_number = [Sought::new(Field::Caller, &numbers).unwrap()];
            let found = TimeRange::newest(usize::MAX);
            let found = journal.find(ACCOUNT, found, &by_number).await.unwrap();
            let found: BTreeSet<_> = found
                .rows
                .iter()
                .map(|row| row.cdr.call_id.clone())
                .collect();
            assert_eq!(
                found, ids,
                "round {round}: a record is not found by its number"
            );
            for call_id in &open {
                assert!(
                    ids.contains(call_id),
                    "round {round}: the answered call {call_id} has no record"
                );
            }
        });
    }
    assert!(
        cdrs.len() as u64 > rounds * 10 && documents.len() as u64 > rounds,
        "the writer hardly wrote"
    );
}
