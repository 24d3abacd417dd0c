//! What the API costs over a long history: a store of its own is filled with call records, and an API over it is asked by
//! HTTP on loopback, with connections that are kept.
//!
//! - *page*: the newest 50 rows. *late page*: 50 rows that begin 25 days back. *filtered*: a page of a filter that one record
//!   in ten passes. *rare*: one in a thousand. *record*: one by its id. *CSV*: the first bytes of a day.
//! - The same pages over a hundredth of the records, to see what grows with history.
//! - *reads*: documents as fast as connections allow. *writes*: durable ones, beside each other.
//!
//! `cargo bench --bench api -- [--records 1000000] [--rounds 400] [--seconds 10]`

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a program for people at a terminal"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "it measures real time on tasks of its own"
)]

mod http;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::{Line, told};
use md5::{Digest as _, Md5};
use serde_json::{Value, json};
use swivel::api::{Api, HttpConfig, Parts, RateConfig};
use swivel::base::rng::Rng;
use swivel::base::time::{GREGORIAN_OFFSET, UnixMicros};
use swivel::directory::Directory;
use swivel::journal::{Cdr, Journal};
use swivel::store::Store;
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The history is so long.
const DAYS: u64 = 30;

struct Office {
    address: SocketAddr,
    account: String,
    token: String,
    journal: Journal,
    store: Store,
    now: UnixMicros,
    _dir: tempfile::TempDir,
}

fn argument(name: &str, usual: u64) -> u64 {
    let all: Vec<String> = std::env::args().collect();
    let at = all.iter().position(|text| text == name);
    at.and_then(|at| all.get(at + 1)?.parse().ok())
        .unwrap_or(usual)
}

fn main() {
    let (records, rounds) = (argument("--records", 1_000_000), argument("--rounds", 400));
    let seconds = argument("--seconds", 10);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        for size in [records / 100, records] {
            let office = Office::open().await;
            let begun = Instant::now();
            office.fill(size).await;
            println!(
                "\n{size} call records over {DAYS} days, written in {:.1} s",
                begun.elapsed().as_secs_f64()
            );
            pages(&office, size, rounds).await;
            if size == records {
                load(&office, Duration::from_secs(seconds)).await;
            }
        }
    });
}

impl Office {
    async fn open() -> Office {
        let dir = tempfile::TempDir::new().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let directory = Directory::load(store.clone()).await.unwrap();
        let journal = Journal::new(store.clone());
        journal.sweep().await.unwrap();
        let api = Api::new(Parts {
            directory,
            journal: journal.clone(),
            registrations: swivel::registrar::Remote::pair().0,
            config: HttpConfig {
                rate: RateConfig {
                    burst: u32::MAX,
                    per_second: u32::MAX,
                    anonymous_burst: u32::MAX,
                    ..RateConfig::default()
                },
                ..HttpConfig::default()
            },
            guard: Arc::new(|_| Ok(())),
            metrics: Arc::new(String::new),
            rng: Rng::seeded(1),
        })
        .await
        .unwrap();
        let first = api.first_start("pbx.example").await.unwrap().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(api.serve(listener, std::future::pending()));
        let hash = hex::encode(Md5::digest(format!("admin:{}", first.password.reveal())));
        let login = json!({"data": {"credentials": hash, "account_name": "default"}});
        let mut line = Line::to(address).await;
        let (status, body, _) = line
            .ask("PUT", "/v2/user_auth", "", &login.to_string())
            .await;
        assert_eq!(status, 201);
        let body: Value = serde_json::from_slice(&body).unwrap();
        Office {
            address,
            account: first.account_id,
            token: body["auth_token"].as_str().unwrap().to_owned(),
            journal,
            store,
            now: swivel::host::clock::unix_now(),
            _dir: dir,
        }
    }

    /// Records evenly over the days, by the way of a call that ends.
    async fn fill(&self, count: u64) {
        let step = DAYS * 24 * 3600 * 1_000_000 / count;
        for n in 0..count {
            let ended = UnixMicros(self.now.0 - (count - n) * step);
            let begun = UnixMicros(ended.0 - 60_000_000);
            let cause = if n % 10 == 0 {
                "USER_BUSY"
            } else {
                "NORMAL_CLEARING"
            };
            let caller = if n % 1000 == 0 {
                "+15550000".to_owned()
            } else {
                format!("+1555{:07}", n % 9999 + 1)
            };
            self.journal.close_leg(Box::new(Cdr {
                account: self.account.clone(),
                call_id: format!("{n:032x}"),
                interaction_id: format!("{}-{n:08x}", begun.gregorian()),
                direction: "inbound".to_owned(),
                created: begun,
                ringing: Some(begun),
                answered: Some(begun),
                ended: Some(ended),
                hangup_cause: cause.to_owned(),
                hangup_code: 200,
                disposition: "recv_bye".to_owned(),
                caller_id_number: caller.clone(),
                caller_id_name: "Somebody".to_owned(),
                callee_id_number: "1001".to_owned(),
                from: format!("{caller}@pbx.example"),
                to: "1001@pbx.example".to_owned(),
                request: "1001@pbx.example".to_owned(),
                local_sdp: "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 8 101\r\n".to_owned(),
                node: "bench".to_owned(),
                ..Cdr::default()
            }));
            if n % 2000 == 0 {
                self.store.flush().await.unwrap();
            }
        }
        self.store.flush().await.unwrap();
    }

    fn path(&self, below: &str) -> String {
        format!("/v2/accounts/{}/{below}", self.account)
    }

    fn gregorian(&self, days_ago: u64) -> u64 {
        self.now.secs() + GREGORIAN_OFFSET - days_ago * 24 * 3600
    }
}

async fn pages(office: &Office, size: u64, rounds: u64) {
    let mut line = Line::to(office.address).await;
    let (late, day) = (office.gregorian(25), office.gregorian(3));
    let late = format!(
        "cdrs?created_from={}&created_to={late}",
        late - 4 * 24 * 3600
    );
    let csv = format!(
        "cdrs?accept=csv&paginate=false&created_from={}&created_to={day}",
        day - 24 * 3600
    );
    let id = format!("cdrs/{}-{:032x}", office.now.month(), size - 1);
    for (what, path, rounds) in [
        ("page", "cdrs".to_owned(), rounds),
        ("late page", late, rounds),
        (
            "filtered, 1 in 10",
            "cdrs?filter_hangup_cause=USER_BUSY".to_owned(),
            rounds,
        ),
        (
            "rare, 1 in 1000",
            "cdrs?filter_caller_id_number=%2B15550000".to_owned(),
            rounds / 40 + 1,
        ),
        ("record", id, rounds),
        ("first bytes of a day's CSV", csv, rounds / 8 + 1),
    ] {
        let path = office.path(&path);
        let mut times = Vec::new();
        for _ in 0..rounds {
            let (status, body, took) = line.ask("GET", &path, &office.token, "").await;
            assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
            times.push(took);
        }
        told(what, times);
    }
}

/// As much as connections bring for so long, and how long each took.
async fn hammer(
    office: &Office,
    lines: usize,
    long: Duration,
    verb: &'static str,
    path: &str,
) -> (f64, Vec<Duration>) {
    let next = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let tasks = (0..lines).map(|_| {
        let (address, token, path, next) = (
            office.address,
            office.token.clone(),
            path.to_owned(),
            next.clone(),
        );
        tokio::spawn(async move {
            let mut line = Line::to(address).await;
            let mut times = Vec::new();
            while begun.elapsed() < long {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let body = match verb {
                    "GET" => String::new(),
                    _ => json!({"data": {"name": format!("menu {n}")}}).to_string(),
                };
                let at = Instant::now();
                let (status, said, _) = line.ask(verb, &path, &token, &body).await;
                assert!(
                    (200..300).contains(&status),
                    "{status} {}",
                    String::from_utf8_lossy(&said)
                );
                times.push(at.elapsed());
            }
            times
        })
    });
    let mut all = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        all.extend(task.await.unwrap());
    }
    (all.len() as f64 / begun.elapsed().as_secs_f64(), all)
}

async fn load(office: &Office, long: Duration) {
    let mut line = Line::to(office.address).await;
    let menu = json!({"data": {"name": "to be read"}}).to_string();
    let (status, body, _) = line
        .ask("PUT", &office.path("menus"), &office.token, &menu)
        .await;
    assert_eq!(status, 201);
    let body: Value = serde_json::from_slice(&body).unwrap();
    let id = body["data"]["id"].as_str().unwrap();
    for (what, lines, verb, path) in [
        ("reads of a document", 16, "GET", format!("menus/{id}")),
        ("reads of a page of records", 8, "GET", "cdrs".to_owned()),
        (
            "durable writes of a document",
            32,
            "PATCH",
            format!("menus/{id}"),
        ),
    ] {
        let (rate, times) = hammer(office, lines, long, verb, &office.path(&path)).await;
        told(&format!("{what}, {rate:.0}/s"), times);
    }
}
