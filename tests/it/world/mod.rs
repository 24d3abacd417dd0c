//! The deterministic world: the real SIP core, calls, callflows and media engine under one simulated clock; telephones,
//! links, the web and the voice around them are simulated by a seed. A failing seed replays.
//!
//! - `phone`, `callee`: telephones in raw text, as they call and as they are called. - `link`: loss, delay, duplication. - `web`: answers of callflow servers.
//! - `rtp`: what they say and hear. - `voice`: a synthesiser that hums as long as a text is.

#![allow(dead_code, reason = "each test module uses its own part of the world")]

pub mod callee;
pub mod link;
pub mod phone;
pub mod rtp;
pub mod voice;
pub mod web;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use swivel::base::rng::Rng;
use swivel::call::doorman::DirectoryDoorman;
use swivel::call::{CallHandle, Core, CoreConfig, Script, Services};
use swivel::directory::{Directory, Kind};
use swivel::host::clock;
use swivel::host::http::HttpClient;
use swivel::journal::{Cdr, Fact, Journal};
use swivel::media::sim::{SimIo, SimLink};
use swivel::media::{Media, MediaConfig};
use swivel::net::Signalling;
use swivel::registrar::{self, Registrar, RegistrarConfig, SecurityConfig};
use swivel::sip::flow::{Flow, Transport};
use swivel::sip::ua::{Endpoint, EndpointConfig, Listener, Transmit};
use swivel::store::Store;

use link::Link;
use phone::Phone;
use web::Web;

/// Id of the account every world has.
pub const ACCOUNT: &str = "00000000000000000000000000000001";
/// Id of the device that every telephone is.
pub const DEVICE: &str = "00000000000000000000000000000002";

/// A script made of an async function.
pub fn script<F: Future<Output = ()> + 'static>(run: impl Fn(CallHandle) -> F + 'static) -> Script {
    Rc::new(move |call| Box::pin(run(call)))
}

/// One world.
pub struct World {
    /// The signalling core.
    pub core: Core,
    /// The network of the telephones.
    pub net: Rc<Net>,
    /// The web.
    pub web: Web,
    /// Configuration.
    pub directory: Directory,
    /// Journal.
    pub journal: Journal,
    /// Store.
    pub store: Store,
    /// Every fact so far.
    pub facts: Rc<RefCell<Vec<Arc<Fact>>>>,
    /// Simulated RTP.
    pub rtp: Rc<RefCell<SimIo>>,
    media: Media,
    phones: Cell<u8>,
    documents: Cell<u32>,
}

/// What a world may have otherwise.
#[derive(Clone, Default)]
pub struct Settings {
    /// `[registrar]`.
    pub registrar: RegistrarConfig,
    /// `[security]`.
    pub security: SecurityConfig,
    /// The store of an earlier world.
    pub store: Option<Store>,
    /// Whose rules TwiML is run by.
    pub twiml_profile: swivel::twiml::Profile,
    /// Silence that ends a leg.
    pub rtp_timeout: Option<Duration>,
}

/// Runs `test` in a fresh world under simulated time; every call runs `script`.
pub fn world_of<F: Future<Output = ()>>(seed: u64, script: Script, test: impl FnOnce(World) -> F) {
    world_with(seed, Settings::default(), script, test);
}

/// The same with other settings.
pub fn world_with<F: Future<Output = ()>>(
    seed: u64,
    settings: Settings,
    script: Script,
    test: impl FnOnce(World) -> F,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let world = World::new(seed, settings, script).await;
        test(world).await;
    });
}

impl World {
    /// A world inside the runtime of another: the same server after a restart, when it has the same store.
    pub async fn new(seed: u64, settings: Settings, script: Script) -> Self {
        let mut rng = Rng::seeded(seed);
        let swivel: SocketAddr = "10.0.0.1:5060".parse().unwrap();
        let store = settings.store.unwrap_or_else(Store::memory);
        let directory = Directory::load(store.clone()).await.unwrap();
        directory
            .put(
                Kind::Account,
                ACCOUNT,
                ACCOUNT,
                json!({"name": "world", "realm": "world.test"}),
            )
            .await
            .unwrap();
        directory
            .put(
                Kind::Device,
                ACCOUNT,
                DEVICE,
                json!({"name": "phones", "sip": {"method": "ip", "ip": "10.0.1.0/24"}}),
            )
            .await
            .unwrap();
        let journal = Journal::new(store.clone());
        let web = Web::default();
        let config = MediaConfig {
            record_dir: record_dir(),
            ..MediaConfig::default()
        };
        let (media, mut worker, mut media_events) =
            Media::inline_seeded(&config, rng.fork(), clock::now());
        let services = Services {
            clips: voice::clips(&directory, &web),
            http: HttpClient::stub(Arc::new(web.clone())),
            journal: journal.clone(),
            store: store.clone(),
            directory: directory.clone(),
            twiml_profile: settings.twiml_profile,
            recordings: config.record_dir.as_path().into(),
        };
        let registrar = Registrar::load(registrar::Parts {
            config: settings.registrar,
            security: settings.security,
            directory: directory.clone(),
            store: store.clone(),
            journal: journal.clone(),
            rng: rng.fork(),
        })
        .await
        .unwrap();
        let endpoint = Endpoint::new(
            EndpointConfig {
                registrar: true,
                ..EndpointConfig::default()
            },
            vec![Listener {
                transport: Transport::Udp,
                local: swivel,
                advertise: None,
            }],
            Box::new(DirectoryDoorman(directory.clone())),
            rng.fork(),
        );
        let core_config = CoreConfig {
            max_call: Duration::from_secs(4 * 3600),
            max_calls: 1000,
            rtp_timeout: settings.rtp_timeout,
            held_timeout: None,
            advertise: None,
            local_nets: Vec::new(),
            overload_lag: Duration::from_secs(3600),
        };
        let core = Core::new(
            endpoint,
            media.clone(),
            services,
            registrar,
            core_config,
            script,
            rng.fork(),
        );
        let net = Rc::new(Net {
            swivel,
            core: OnceCell::new(),
            phones: RefCell::default(),
            link: Cell::new(Link::default()),
            rng: RefCell::new(rng.fork()),
            sent: Cell::new(0),
        });
        assert!(net.core.set(core.clone()).is_ok());
        tokio::task::spawn_local(net.clone().drive());
        let rtp = Rc::new(RefCell::new(SimIo::new(
            clock::now(),
            SimLink::default(),
            rng.fork(),
        )));
        let io = rtp.clone();
        tokio::task::spawn_local(async move {
            loop {
                let now = clock::now();
                io.borrow_mut().advance(now);
                worker.tick(now, &mut *io.borrow_mut());
                let idle = worker.ports() == 0 && worker.next_deadline(now).is_none();
                tokio::time::sleep(Duration::from_millis(if idle { 20 } else { 5 })).await;
            }
        });
        let events = core.clone();
        tokio::task::spawn_local(async move {
            loop {
                media_events.ready().await;
                media_events.drain(|event| events.media_event(event));
            }
        });
        let facts: Rc<RefCell<Vec<Arc<Fact>>>> = Rc::default();
        let seen = facts.clone();
        let mut stream = journal.subscribe();
        tokio::task::spawn_local(async move {
            while let Ok(fact) = stream.recv().await {
                seen.borrow_mut().push(fact);
            }
        });
        Self {
            core,
            net,
            web,
            directory,
            journal,
            store,
            facts,
            rtp,
            media,
            phones: Cell::new(0),
            documents: Cell::new(16),
        }
    }

    /// A telephone that may call (its address is the device's).
    pub fn phone(&self) -> Phone {
        self.phones.set(self.phones.get() + 1);
        self.phone_at(&format!("10.0.1.{}:5060", self.phones.get()))
    }

    /// A telephone at that address.
    pub fn phone_at(&self, address: &str) -> Phone {
        let address: SocketAddr = address.parse().unwrap();
        let phone = Phone::new(self.net.clone(), address);
        self.net.phones.borrow_mut().insert(address, phone.clone());
        phone
    }

    /// Stores a document and returns its id.
    pub async fn put(&self, kind: Kind, document: Value) -> String {
        self.documents.set(self.documents.get() + 1);
        let id = format!("{:032x}", self.documents.get());
        self.directory
            .put(kind, ACCOUNT, &id, document)
            .await
            .unwrap();
        id
    }

    /// Stores a callflow for one number.
    pub async fn callflow(&self, number: &str, flow: Value) -> String {
        self.put(Kind::Callflow, json!({"numbers": [number], "flow": flow}))
            .await
    }

    /// The modules that ran so far, in order.
    pub fn modules(&self) -> Vec<String> {
        let facts = self.facts.borrow();
        facts
            .iter()
            .filter_map(|fact| match fact.as_ref() {
                Fact::Node { module, .. } => Some(module.clone()),
                _ => None,
            })
            .collect()
    }

    /// The records of all legs that have ended.
    pub async fn cdrs(&self) -> Vec<Cdr> {
        let facts = self.facts.borrow().clone();
        let mut all = Vec::new();
        for fact in facts {
            if let Fact::Recorded { account, id, .. } = fact.as_ref() {
                all.extend(self.journal.cdr(account, id).await.unwrap());
            }
        }
        all
    }

    /// Waits until nothing is going on any more and checks that nothing is left.
    pub async fn at_rest(&self) {
        tokio::time::sleep(Duration::from_secs(70)).await;
        assert_eq!(
            (self.core.calls(), self.core.legs()),
            (0, 0),
            "calls are left"
        );
        let counts = self.core.counts();
        assert_eq!(
            counts,
            swivel::sip::ua::Counts::default(),
            "the endpoint is not at rest"
        );
        assert_eq!(self.media.counts().in_use, 0, "ports are left");
        let started = self
            .facts
            .borrow()
            .iter()
            .filter(|f| matches!(f.as_ref(), Fact::Started { .. }))
            .count();
        let ended = self
            .facts
            .borrow()
            .iter()
            .filter(|f| matches!(f.as_ref(), Fact::Ended { .. }))
            .count();
        assert_eq!(started, ended, "a call has begun and not ended");
        assert_eq!(self.cdrs().await.len(), ended, "a leg has no record");
    }
}

/// The network between telephones and swivel.
pub struct Net {
    swivel: SocketAddr,
    core: OnceCell<Core>,
    phones: RefCell<BTreeMap<SocketAddr, Phone>>,
    link: Cell<Link>,
    rng: RefCell<Rng>,
    sent: Cell<u64>,
}

impl Net {
    /// Where swivel is.
    pub fn swivel(&self) -> SocketAddr {
        self.swivel
    }

    /// How packets travel from now on, both ways.
    pub fn set_link(&self, link: Link) {
        self.link.set(link);
    }

    /// Datagrams that swivel has sent.
    pub fn sent(&self) -> u64 {
        self.sent.get()
    }

    pub(self) fn to_swivel(self: &Rc<Self>, from: SocketAddr, bytes: &[u8]) {
        let flow = Flow {
            transport: Transport::Udp,
            local: self.swivel,
            remote: from,
            connection: 0,
        };
        let arrivals = self.link.get().carry(&mut self.rng.borrow_mut());
        for delay in arrivals {
            let (net, bytes) = (self.clone(), Bytes::copy_from_slice(bytes));
            tokio::task::spawn_local(async move {
                tokio::time::sleep(delay).await;
                let core = net.core.get().unwrap();
                core.receive(clock::now(), flow, bytes);
                core.changed().notify_one();
            });
        }
    }

    fn to_phone(self: &Rc<Self>, to: SocketAddr, bytes: &Bytes) {
        self.sent.set(self.sent.get() + 1);
        let arrivals = self.link.get().carry(&mut self.rng.borrow_mut());
        for delay in arrivals {
            let (net, text) = (self.clone(), String::from_utf8_lossy(bytes).into_owned());
            tokio::task::spawn_local(async move {
                tokio::time::sleep(delay).await;
                let phone = net.phones.borrow().get(&to).cloned();
                if let Some(phone) = phone {
                    phone.deliver(text);
                }
            });
        }
    }

    async fn drive(self: Rc<Self>) {
        let core = self.core.get().unwrap();
        loop {
            let deadline = core.poll_timeout();
            tokio::select! {
                biased;
                () = core.changed().notified() => {}
                () = async { match deadline {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                } } => core.timeout(clock::now()),
            }
            while let Some(transmit) = core.poll_transmit() {
                if let Transmit::Send { flow, bytes } = transmit {
                    self.to_phone(flow.remote, &bytes);
                }
            }
        }
    }
}

/// The address of telephone `n`.
pub fn address(n: u8) -> IpAddr {
    IpAddr::from([10, 0, 1, n])
}

/// Where recordings of one world go: worlds of one seed name them alike.
fn record_dir() -> PathBuf {
    static DIR: OnceLock<tempfile::TempDir> = OnceLock::new();
    static WORLDS: AtomicU32 = AtomicU32::new(0);
    let all = DIR.get_or_init(|| tempfile::tempdir().unwrap());
    let world = WORLDS.fetch_add(1, Ordering::Relaxed);
    let own = all.path().join(world.to_string());
    std::fs::create_dir(&own).unwrap();
    own
}
