//! The signalling thread: a current-thread runtime with the SIP sockets, the endpoint and every call and script.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::channels;
use super::core::{Core, CoreConfig, Script};
use super::doorman::DirectoryDoorman;
use super::services::Services;
use crate::base::rng::Rng;
use crate::host::{clock, task};
use crate::jobs::webhooks::Webhooks;
use crate::media::{Media, MediaEvents};
use crate::net::{Bound, Driver, Resolver, SipConfig, Transports};
use crate::registrar::{self, Asks, Registrar, RegistrarConfig, SecurityConfig};
use crate::sip::flow::Transport;
use crate::sip::ua::{Endpoint, EndpointConfig, Listener};

/// What the thread is built from.
pub struct Parts {
    /// Bound listeners.
    pub listeners: Vec<Bound>,
    /// TLS and WebSocket.
    pub transports: Transports,
    /// Where names lead; `None` where this machine knows no name server.
    pub resolver: Option<Resolver>,
    /// Who holds out servers that do not answer.
    pub reach: Resolver,
    /// `[sip]`.
    pub sip: SipConfig,
    /// Limits of calls.
    pub core: CoreConfig,
    /// The media engine.
    pub media: Media,
    /// Its events.
    pub media_events: MediaEvents,
    /// The rest of the house.
    pub services: Services,
    /// What other threads ask about the legs that are up.
    pub channels: channels::Asks,
    /// Who is told what happens to legs.
    pub webhooks: Webhooks,
    /// `[registrar]`.
    pub registrar: RegistrarConfig,
    /// `[security]`.
    pub security: SecurityConfig,
    /// What other threads ask of the registrar.
    pub asks: Asks,
    /// Makes the script factory, on the thread itself.
    pub script: Box<dyn FnOnce() -> Script + Send>,
    /// Randomness of tags, branches and nonces.
    pub rng: Rng,
}

/// The running thread.
#[derive(Debug)]
pub struct SignallingThread {
    commands: mpsc::Sender<Command>,
    thread: Option<std::thread::JoinHandle<Option<()>>>,
}

#[derive(Debug)]
enum Command {
    /// Refuse new calls; answer once no call is left or the limit has passed.
    Drain {
        limit: Duration,
        done: oneshot::Sender<usize>,
    },
    /// How many calls are up.
    Calls(oneshot::Sender<usize>),
    Stop,
}

/// Why the thread could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The machine refused the thread or its runtime.
    #[error("the signalling thread cannot be started")]
    Thread(#[from] std::io::Error),
    /// A socket could not be served; the thread's log says which.
    #[error("the signalling thread ended while starting")]
    Ended,
}

impl SignallingThread {
    /// Starts the thread and returns once its sockets are served.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(parts: Parts) -> Result<Self, StartError> {
        let (commands, inbox) = mpsc::channel(16);
        let (ready, started) = std::sync::mpsc::sync_channel(1);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = task::thread("signalling", move || {
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, serve(parts, inbox, ready));
        })?;
        match started.recv() {
            Ok(Ok(())) => Ok(Self {
                commands,
                thread: Some(thread),
            }),
            Ok(Err(error)) => Err(StartError::Thread(error)),
            Err(_) => Err(StartError::Ended),
        }
    }

    /// How many calls are up; 0 when the thread has ended.
    pub async fn calls(&self) -> usize {
        let (answer, calls) = oneshot::channel();
        if self.commands.send(Command::Calls(answer)).await.is_err() {
            return 0;
        }
        calls.await.unwrap_or(0)
    }

    /// Refuses new calls and waits for those that are up, at most `limit`; what is left then is hung up. Returns how
    /// many that were.
    pub async fn drain(&self, limit: Duration) -> usize {
        let (done, cut) = oneshot::channel();
        if self
            .commands
            .send(Command::Drain { limit, done })
            .await
            .is_err()
        {
            return 0;
        }
        cut.await.unwrap_or(0)
    }

    /// Ends the thread.
    pub async fn stop(mut self) {
        let sent = self.commands.send(Command::Stop).await.is_ok();
        if let (true, Some(thread)) = (sent, self.thread.take()) {
            task::blocking("join-signalling", move || drop(thread.join())).await;
        }
    }
}

async fn serve(
    parts: Parts,
    mut inbox: mpsc::Receiver<Command>,
    ready: std::sync::mpsc::SyncSender<std::io::Result<()>>,
) {
    let Parts {
        listeners,
        transports,
        resolver,
        reach,
        sip,
        core,
        media,
        mut media_events,
        services,
        channels,
        webhooks,
        registrar,
        security,
        mut asks,
        script,
        mut rng,
    } = parts;
    let doorman = DirectoryDoorman(services.directory.clone());
    let failures = security.failures_per_hour;
    let endpoint = endpoint(
        &sip,
        &listeners,
        transports.web(),
        doorman,
        failures,
        services.journal.traces(),
        rng.fork(),
    );
    let registrar = Registrar::load(registrar::Parts {
        config: registrar,
        security,
        directory: services.directory.clone(),
        store: services.store.clone(),
        journal: services.journal.clone(),
        rng: rng.fork(),
    });
    let registrar = match registrar.await {
        Ok(registrar) => registrar,
        Err(error) => {
            tell(&ready, Err(std::io::Error::other(error)));
            return;
        }
    };
    let core = Core::new(endpoint, media, services, registrar, core, script(), rng);
    let driver = match Driver::start(Rc::new(core.clone()), listeners, transports, sip) {
        Ok(driver) => driver,
        Err(error) => {
            tell(&ready, Err(error));
            return;
        }
    };
    core.set_webhooks(webhooks);
    if let Some(resolver) = resolver {
        resolve_by(&core, &resolver);
    }
    core.set_reach(reach);
    let run = task::spawn_local("signalling-driver", driver.run());
    let events = core.clone();
    let media = task::spawn_local("media-events", async move {
        loop {
            media_events.ready().await;
            media_events.drain(|event| events.media_event(event));
        }
    });
    let channels = task::spawn_local("channels", channels.serve(core.clone()));
    let asked = core.clone();
    let questions = task::spawn_local("registrar-questions", async move {
        while let Some(question) = asks.next().await {
            asked.answer_question(question);
        }
    });
    let registers = core.clone();
    let carriers = task::spawn_local("carriers", async move {
        keep_registered(registers).await;
    });
    tell(&ready, Ok(()));
    while let Some(command) = inbox.recv().await {
        match command {
            Command::Calls(answer) => drop(answer.send(core.calls())),
            Command::Drain { limit, done } => {
                core.drain();
                task::spawn_local("drain", drain(core.clone(), limit, done));
            }
            Command::Stop => {
                carriers.abort();
                leave_carriers(&core).await;
                break;
            }
        }
    }
    run.abort();
    media.abort();
    channels.abort();
    questions.abort();
    carriers.abort();
}

/// Has the names of called URIs and of carriers looked up by `resolver`.
fn resolve_by(core: &Core, resolver: &Resolver) {
    let of_calls = resolver.clone();
    core.set_resolve(Rc::new(move |uri| {
        let resolver = of_calls.clone();
        Box::pin(async move { resolver.targets(&uri).await })
    }));
    let of_carriers = resolver.clone();
    core.registrar().set_resolver(Rc::new(move |place| {
        let resolver = of_carriers.clone();
        Box::pin(async move {
            let found = resolver.resolve(&place.host, place.port, place.transport, false);
            found.await.unwrap_or_else(|error| {
                tracing::info!(%error, "a carrier's server was not found");
                Vec::new()
            })
        })
    }));
}

/// Registers with the carriers the documents name, asks their gateways whether they are there, and follows changes.
async fn keep_registered(core: Core) {
    let directory = core.services().directory.clone();
    let mut known = Vec::new();
    loop {
        let wanted = registrar::carriers(&directory);
        if wanted != known {
            core.set_carriers(wanted.clone());
            known = wanted;
        }
        core.look_after_gateways();
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Carriers are told that we leave; the answer is waited for, but not for long.
async fn leave_carriers(core: &Core) {
    if core.leave_carriers() == 0 {
        return;
    }
    let patience = clock::now() + LEAVE_GRACE;
    while core.registrar().carriers() > 0 && clock::now() < patience {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn tell(ready: &std::sync::mpsc::SyncSender<std::io::Result<()>>, result: std::io::Result<()>) {
    if ready.send(result).is_err() {
        tracing::debug!("nobody waits for the signalling thread any more");
    }
}

async fn drain(core: Core, limit: Duration, done: oneshot::Sender<usize>) {
    let deadline = clock::now() + limit;
    while core.calls() > 0 && clock::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let cut = core.calls();
    core.end_all();
    // Their BYEs get a moment to be answered.
    let grace = clock::now() + BYE_GRACE;
    while cut > 0 && core.counts().client_transactions > 0 && clock::now() < grace {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    if done.send(cut).is_err() {
        tracing::debug!("nobody waits for the drain any more");
    }
}

fn endpoint(
    sip: &SipConfig,
    listeners: &[Bound],
    web: Option<SocketAddr>,
    doorman: DirectoryDoorman,
    failures_per_hour: u32,
    trace: bool,
    rng: Rng,
) -> Endpoint {
    let advertise = (!sip.advertise.is_empty()).then(|| sip.advertise.clone());
    let listeners = listeners
        .iter()
        .map(|bound| (bound.transport, bound.local))
        .chain(web.map(|local| (Transport::Ws, local)))
        .map(|(transport, local)| Listener {
            transport,
            local,
            advertise: advertise.as_ref().map(|text| {
                let (host, port) = host_and_port(text, local.port());
                // The port of `advertise` is the one of UDP and TCP; TLS and WebSocket have their own.
                match transport {
                    Transport::Udp | Transport::Tcp => (host, port),
                    Transport::Tls | Transport::Ws | Transport::Wss => (host, local.port()),
                }
            }),
        })
        .collect();
    let config = EndpointConfig {
        user_agent: (!sip.user_agent.is_empty()).then(|| sip.user_agent.clone()),
        session_expires: Duration::from_secs(u64::from(sip.session_expires)),
        min_se: Duration::from_secs(u64::from(sip.min_se)),
        max_transactions: sip.max_transactions,
        max_transactions_per_source: sip.max_transactions_per_source,
        digest: sip.digest.clone(),
        tcp_switch: sip.tcp_switch,
        local_nets: sip.local_nets.clone(),
        watch: true,
        trace,
        registrar: true,
        failures_per_hour,
        ..EndpointConfig::default()
    };
    let mut endpoint = Endpoint::new(config, listeners, Box::new(doorman), rng);
    endpoint.set_route_lookup(Box::new(crate::net::driver::route_to));
    endpoint
}

/// `host` or `host:port` of `[sip] advertise`; an IPv6 address with a port is in brackets.
fn host_and_port(text: &str, port: u16) -> (String, u16) {
    match text.rsplit_once(':') {
        Some((host, number)) if !host.contains(':') || host.ends_with(']') => {
            (host.to_owned(), number.parse().unwrap_or(port))
        }
        Some(_) | None => (text.to_owned(), port),
    }
}

/// How often the documents are looked at for carriers to register with.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How long leaving the carriers may take.
const LEAVE_GRACE: Duration = Duration::from_millis(1500);
/// How long the BYEs of a drain may take.
const BYE_GRACE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advertised_port_may_be_left_out() {
        assert_eq!(
            host_and_port("pbx.example.com", 5060),
            ("pbx.example.com".into(), 5060)
        );
        assert_eq!(
            host_and_port("192.0.2.1:5080", 5060),
            ("192.0.2.1".into(), 5080)
        );
        assert_eq!(
            host_and_port("[2001:db8::1]:5080", 5060),
            ("[2001:db8::1]".into(), 5080)
        );
        assert_eq!(
            host_and_port("2001:db8::1", 5060),
            ("2001:db8::1".into(), 5060)
        );
    }
}
