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

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use swivel::base::rng::Rng;
use swivel::call::doorman::DirectoryDoorman;
use swivel::call::{CallHandle, Core, CoreConfig, Script, Services};
use swivel::directory::{Directory, Kind};
use swivel::host::clock;
use swivel::host::http::HttpClient;
use swivel::jobs::Outbox;
use swivel::journal::{Cdr, Fact, Journal};
use swivel::media::sim::{SimIo, SimLink};
use swivel::media::{Media, MediaConfig};
use swivel::net::Signalling;
use swivel::recordings::Shelf;
use swivel::registrar::{self, Registrar, RegistrarConfig, SecurityConfig};
use swivel::sip::flow::{Flow, Transport};
use swivel::sip::ua::{Endpoint, EndpointConfig, Listener, Transmit};
use swivel::speech::Recognition;
use swivel::store::{Batch, Direction, KeyRange, Store, Table};
use tokio::task::JoinHandle;

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
    /// Recordings that are kept.
    pub shelf: Shelf,
    /// Where files of recordings are.
    pub recorded: Rc<tempfile::TempDir>,
    /// Durable jobs; nobody does them unless a test has somebody do them.
    pub outbox: Outbox,
    /// Every fact so far.
    pub facts: Rc<RefCell<Vec<Arc<Fact>>>>,
    /// Simulated RTP.
    pub rtp: Rc<RefCell<SimIo>>,
    media: Media,
    phones: Cell<u8>,
    documents: Cell<u32>,
    /// What makes it run.
    tasks: Vec<JoinHandle<()>>,
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
    /// The recordings of an earlier world.
    pub recorded: Option<Rc<tempfile::TempDir>>,
    /// What a carrier is answered that calls a number nobody has; 404.
    pub unknown_number_code: Option<u16>,
    /// The same while it is held.
    pub held_timeout: Option<Duration>,
    /// Who understands speech.
    pub recognition: Option<Recognition>,
    /// Whether every SIP message is a fact.
    pub trace: bool,
    /// Most calls at once; 1000.
    pub max_calls: Option<usize>,
    /// Most media ports at once.
    pub max_ports: usize,
    /// How late signalling may be on average; an hour.
    pub overload_lag: Option<Duration>,
    /// The longest call; four hours.
    pub max_call: Option<Duration>,
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
        Self::on(None, seed, settings, script).await
    }

    /// The power fails and comes back after some seconds: the network, its telephones and the store stay, and nothing
    /// else. What was written to the store after the failure is not there.
    pub async fn restart(self, seed: u64, settings: Settings, script: Script) -> Self {
        let copy = copied(&self.store).await;
        self.net.core.take();
        for task in &self.tasks {
            task.abort();
        }
        tokio::time::sleep(Duration::from_secs(7)).await;
        let settings = Settings {
            store: Some(copy),
            ..settings
        };
        let after = Self::on(Some(self.net.clone()), seed, settings, script).await;
        after.phones.set(self.phones.get());
        after.documents.set(self.documents.get());
        after
    }

    async fn on(net: Option<Rc<Net>>, seed: u64, settings: Settings, script: Script) -> Self {
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
        journal.sweep().await.unwrap();
        let web = Web::default();
        let recorded = settings
            .recorded
            .unwrap_or_else(|| Rc::new(tempfile::tempdir().unwrap()));
        let config = MediaConfig {
            record_dir: recorded.path().to_owned(),
            max_ports: settings.max_ports,
            ..MediaConfig::default()
        };
        let (media, mut worker, mut media_events) =
            Media::inline_seeded(&config, rng.fork(), clock::now());
        let outbox = Outbox::new(store.clone(), rng.fork());
        let shelf = Shelf::new(
            store.clone(),
            outbox.clone(),
            &config.record_dir,
            "http://pbx.test",
        );
        let services = Services {
            clips: voice::clips(&directory, &web),
            recognition: settings.recognition,
            http: HttpClient::stub(Arc::new(web.clone())),
            journal: journal.clone(),
            store: store.clone(),
            directory: directory.clone(),
            twiml_profile: settings.twiml_profile,
            recordings: config.record_dir.as_path().into(),
            shelf: shelf.clone(),
            outbox: outbox.clone(),
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
                watch: true,
                trace: settings.trace,
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
            max_call: settings.max_call.unwrap_or(Duration::from_secs(4 * 3600)),
            max_calls: settings.max_calls.unwrap_or(1000),
            rtp_timeout: settings.rtp_timeout,
            held_timeout: settings.held_timeout,
            advertise: None,
            local_nets: Vec::new(),
            unknown_number_code: settings.unknown_number_code.unwrap_or(404),
            overload_lag: settings.overload_lag.unwrap_or(Duration::from_secs(3600)),
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
        let of_net = rng.fork();
        let net = net.unwrap_or_else(|| {
            Rc::new(Net {
                swivel,
                core: RefCell::default(),
                phones: RefCell::default(),
                link: Cell::new(Link::default()),
                rng: RefCell::new(of_net),
                sent: Cell::new(0),
            })
        });
        net.core.replace(Some(core.clone()));
        let mut tasks = vec![tokio::task::spawn_local(net.clone().drive(core.clone()))];
        let rtp = Rc::new(RefCell::new(SimIo::new(
            clock::now(),
            SimLink::default(),
            rng.fork(),
        )));
        let io = rtp.clone();
        tasks.push(tokio::task::spawn_local(async move {
            loop {
                let now = clock::now();
                io.borrow_mut().advance(now);
                worker.tick(now, &mut *io.borrow_mut());
                let idle = worker.ports() == 0 && worker.next_deadline(now).is_none();
                tokio::time::sleep(Duration::from_millis(if idle { 20 } else { 5 })).await;
            }
        }));
        let events = core.clone();
        tasks.push(tokio::task::spawn_local(async move {
            loop {
                media_events.ready().await;
                media_events.drain(|event| events.media_event(event));
            }
        }));
        let facts: Rc<RefCell<Vec<Arc<Fact>>>> = Rc::default();
        let seen = facts.clone();
        let mut stream = journal.subscribe();
        tasks.push(tokio::task::spawn_local(async move {
            while let Ok(fact) = stream.recv().await {
                seen.borrow_mut().push(fact);
            }
        }));
        Self {
            core,
            net,
            web,
            directory,
            journal,
            store,
            shelf,
            outbox,
            recorded,
            facts,
            rtp,
            media,
            phones: Cell::new(0),
            documents: Cell::new(16),
            tasks,
        }
    }

    /// Where recordings are.
    pub fn recordings(&self) -> &std::path::Path {
        self.recorded.path()
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
    /// None while the power is off.
    core: RefCell<Option<Core>>,
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
                let core = net.core.borrow().clone();
                if let Some(core) = core {
                    core.receive(clock::now(), flow, bytes);
                    core.changed().notify_one();
                }
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

    async fn drive(self: Rc<Self>, core: Core) {
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
                match transmit {
                    Transmit::Send { flow, bytes } => self.to_phone(flow.remote, &bytes),
                    // Nobody here listens on streams.
                    Transmit::Connect { request, .. } => core.connect_failed(clock::now(), request),
                    Transmit::Close { .. } => {}
                }
            }
        }
    }
}

/// What a store has now, in a store of its own.
pub async fn copied(store: &Store) -> Store {
    let copy = Store::memory();
    for table in Table::ALL {
        let rows = store.scan(table, KeyRange::all(), Direction::Forward, usize::MAX);
        let mut batch = Batch::new();
        for (key, value) in rows.await.unwrap() {
            batch.put(table, key, value);
        }
        copy.write(batch).await.unwrap();
    }
    copy
}

/// The address of telephone `n`.
pub fn address(n: u8) -> IpAddr {
    IpAddr::from([10, 0, 1, n])
}
