//! A telephone's engine: one endpoint, its sockets and its media, driven until everything is over.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::super::ladder::Rung;
use super::level::{Level, tail};
use super::line::Line;
use super::login::Login;
use super::manner::{Identity, Manner, Network};
use super::phone::Phone;
use super::sockets::{Arrival, Sockets};
use super::target::{Destination, TargetError};
use crate::base::rng::Rng;
use crate::base::secret::Secret;
use crate::host::clock;
use crate::media::{Media, MediaConfig, MediaError, MediaEvents};
use crate::net::driver::route_to;
use crate::net::{Dialled, Tls};
use crate::sip::flow::{Flow, Transport};
use crate::sip::ua::{Doorman, Endpoint, EndpointConfig, Principal, Target, Transmit};
use crate::sip::wire::{Framed, Limits, StreamFramer};

/// Why a call or a registration could not even be tried.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// The target has no address.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A socket could not be opened.
    #[error("no socket for the call: {0}")]
    Socket(#[from] std::io::Error),
    /// The media engine could not start.
    #[error("no media for the call: {0}")]
    Media(#[from] MediaError),
    /// The machine's random generator failed.
    #[error("no randomness: {0}")]
    Random(String),
}

/// Someone who watches while it runs.
pub trait Observer {
    /// A message or remark, when it happens.
    fn rung(&mut self, rung: &Rung);
    /// How loud the last half second was; called about twice a second while audio is recorded.
    fn level(&mut self, level: Level);
    /// Resolves when the user wants to hang up.
    fn hangup(&mut self) -> impl Future<Output = ()>;
}

/// How long the end of the signalling and of the recording is waited for.
pub(super) const LINGER: Duration = Duration::from_secs(3);
/// How often the level is shown.
const LEVEL_EVERY: Duration = Duration::from_millis(500);

/// What it is there for.
pub(super) enum Task {
    /// One call; registered before when so many seconds are given.
    Call { register: Option<u32> },
    /// Waiting for calls.
    Phone(Phone),
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The first thing to do is done next.
    Beginning,
    /// A registration is waited for.
    Registering,
    /// There are calls, or may be.
    Working,
    /// Calls end, then the registration.
    Leaving { since: Instant },
    /// Nothing is left.
    Done,
}

pub(super) struct Agent<'o, O: Observer> {
    pub(super) task: Task,
    pub(super) destination: Destination,
    pub(super) identity: Identity,
    pub(super) manner: Manner,
    pub(super) observer: &'o mut O,
    pub(super) endpoint: Endpoint,
    sockets: Sockets,
    framers: Vec<(u64, StreamFramer)>,
    pub(super) media: Media,
    pub(super) events: MediaEvents,
    pub(super) rng: Rng,
    pub(super) local: IpAddr,
    pub(super) hop: Target,
    pub(super) started: Instant,
    pub(super) ladder: Vec<Rung>,
    pub(super) lines: Vec<Line>,
    pub(super) login: Option<Login>,
    pub(super) stage: Stage,
    pub(super) scratch: Scratch,
    /// Whether the user said that it is enough.
    pub(super) interrupted: bool,
    /// The sockets broke.
    pub(super) broken: Option<String>,
}

impl<'o, O: Observer> Agent<'o, O> {
    /// Everything it needs, nothing begun.
    pub(super) async fn new(
        task: Task,
        destination: Destination,
        identity: Identity,
        manner: Manner,
        network: &Network,
        observer: &'o mut O,
    ) -> Result<Self, PlaceError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|e| PlaceError::Random(e.to_string()))?;
        let mut rng = Rng::from_bytes(seed);
        let hop = destination.resolve(&network.dns, rng.fork()).await?;
        let remote = hop.addr;
        let local = route_to(remote.ip()).ok_or(TargetError::NoRoute { remote })?;
        let sockets = Sockets::bind(local, Tls::client(network.ca.as_deref())).await?;
        let scratch = Scratch::new(&mut rng)?;
        let config = MediaConfig {
            workers: 1,
            reserve: 1,
            record_dir: scratch.0.clone(),
            record_min_free: 0,
            ..MediaConfig::default()
        };
        let (media, events) = Media::start(&config, &[local])?;
        let agent = match task {
            Task::Call { .. } => concat!("swivel/", env!("CARGO_PKG_VERSION"), " (call)"),
            Task::Phone(_) => concat!("swivel/", env!("CARGO_PKG_VERSION"), " (phone)"),
        };
        let endpoint = Endpoint::new(
            EndpointConfig {
                user_agent: Some(agent.to_owned()),
                authenticate: false,
                trace: true,
                ..EndpointConfig::default()
            },
            sockets.listeners(),
            Box::new(Nobody),
            rng.fork(),
        );
        Ok(Self {
            task,
            destination,
            identity,
            manner,
            observer,
            endpoint,
            sockets,
            framers: Vec::new(),
            media,
            events,
            rng,
            local,
            hop,
            started: clock::now(),
            ladder: Vec::new(),
            lines: Vec::new(),
            login: None,
            stage: Stage::Beginning,
            scratch,
            interrupted: false,
            broken: None,
        })
    }

    /// Runs until everything is over.
    pub(super) async fn run(&mut self) {
        let mut next_level = clock::now() + LEVEL_EVERY;
        loop {
            loop {
                self.proceed(clock::now());
                if !self.flush().await {
                    break;
                }
            }
            if self.stage == Stage::Done {
                return;
            }
            let wake = self.wake().map_or(next_level, |at| at.min(next_level));
            tokio::select! {
                biased;
                arrival = self.sockets.next(), if self.broken.is_none() => match arrival {
                    Ok(arrival) => self.arrival(arrival).await,
                    Err(error) => self.broken = Some(error.to_string()),
                },
                () = self.events.ready() => self.media_events(),
                () = tokio::time::sleep_until(wake.into()) => {
                    let now = clock::now();
                    self.endpoint.handle_timeout(now);
                    if now >= next_level {
                        next_level = now + LEVEL_EVERY;
                        self.show_level();
                    }
                }
                () = self.observer.hangup(), if !self.interrupted => self.interrupted = true,
            }
        }
    }

    /// When something is due.
    fn wake(&self) -> Option<Instant> {
        let of_lines = self.lines.iter().filter(|line| !line.is_done(clock::now()));
        let login = self.login.as_ref().and_then(Login::poll_timeout);
        let leaving = match self.stage {
            Stage::Leaving { since } => Some(since + 2 * LINGER),
            Stage::Beginning | Stage::Registering | Stage::Working | Stage::Done => None,
        };
        let most = match &self.task {
            Task::Phone(phone) => phone.most.map(|most| self.started + most),
            Task::Call { .. } => None,
        };
        let most = most.filter(|_| self.stage == Stage::Working);
        of_lines
            .filter_map(Line::poll_timeout)
            .chain(
                [self.endpoint.poll_timeout(), login, leaving, most]
                    .into_iter()
                    .flatten(),
            )
            .min()
    }

    /// Carries out everything the endpoint wants done; whether there was anything.
    async fn flush(&mut self) -> bool {
        let mut any = false;
        loop {
            if let Some(transmit) = self.endpoint.poll_transmit() {
                self.transmit(transmit).await;
            } else if let Some(event) = self.endpoint.poll_event() {
                self.event(event);
            } else {
                return any;
            }
            any = true;
        }
    }

    async fn transmit(&mut self, transmit: Transmit) {
        match transmit {
            Transmit::Send { flow, bytes } => {
                if self.sockets.send(flow, bytes).await.is_err() {
                    self.endpoint.send_failed(clock::now(), flow);
                }
            }
            Transmit::Connect {
                request,
                transport: transport @ (Transport::Tls | Transport::Ws | Transport::Wss),
                remote,
                ..
            } => {
                // Whom the user named as the first hop is whom the peer must prove to be.
                let host = &self.destination.hop.0;
                self.sockets.dial(request, transport, remote, host);
            }
            Transmit::Connect {
                request, remote, ..
            } => match self.sockets.connect(remote).await {
                Ok(flow) => self.endpoint.connected(clock::now(), request, flow),
                Err(error) => {
                    self.remark(format!("no connection to {remote}: {error}"));
                    self.endpoint.connect_failed(clock::now(), request);
                }
            },
            Transmit::Close { flow } => self.sockets.close(flow),
        }
    }

    async fn arrival(&mut self, arrival: Arrival) {
        let now = clock::now();
        match arrival {
            Arrival::Datagram(flow, bytes) => self.endpoint.receive(now, flow, bytes),
            Arrival::Dialled(dialled) => self.dialled(now, dialled),
            Arrival::Closed(flow) => {
                self.framers
                    .retain(|(connection, _)| *connection != flow.connection);
                self.endpoint.flow_closed(now, flow);
            }
            Arrival::Stream(flow, bytes) => self.stream(now, flow, &bytes).await,
        }
    }

    fn dialled(&mut self, now: Instant, dialled: Dialled) {
        match dialled {
            Dialled::Connected { request, flow } => self.endpoint.connected(now, request, flow),
            Dialled::Refused { request, why } => {
                self.remark(format!("no connection to {}: {why}", self.hop.addr));
                self.endpoint.connect_failed(now, request);
            }
            Dialled::Message { flow, bytes } => self.endpoint.receive(now, flow, bytes),
            Dialled::Closed { flow } => self.endpoint.flow_closed(now, flow),
        }
    }

    async fn stream(&mut self, now: Instant, flow: Flow, bytes: &Bytes) {
        let at = self
            .framers
            .iter()
            .position(|(connection, _)| *connection == flow.connection);
        let framer = match at {
            Some(at) => self.framers.get_mut(at),
            None => {
                let framer = StreamFramer::new(Limits::default());
                self.framers.push((flow.connection, framer));
                self.framers.last_mut()
            }
        };
        let Some((_, framer)) = framer else { return };
        framer.push(now, bytes);
        let mut messages: Vec<Bytes> = Vec::new();
        let (mut broken, mut pinged) = (false, false);
        for framed in framer.by_ref() {
            match framed {
                Framed::Message(bytes) => messages.push(bytes),
                Framed::Fatal { .. } => {
                    broken = true;
                    break;
                }
                Framed::Ping => pinged = true,
                Framed::Pong => {}
            }
        }
        if pinged {
            // RFC 5626 §4.4.1. A connection that cannot be written to ends by itself.
            let pong = Bytes::from_static(b"\r\n");
            self.transmit(Transmit::Send { flow, bytes: pong }).await;
        }
        for message in messages {
            self.endpoint.receive(now, flow, message);
        }
        if broken {
            self.sockets.close(flow);
            self.endpoint.flow_closed(now, flow);
        }
    }

    fn show_level(&mut self) {
        let talking = self.lines.iter().rev();
        let mut talking = talking.filter(|line| line.end.is_none() && line.configured);
        let Some(line) = talking.next() else { return };
        let part = line.recording.with_extension("wav.part");
        if let Ok(samples) = tail(&part, 4000)
            && !samples.is_empty()
        {
            self.observer.level(Level::of(&samples));
        }
    }

    /// Notes something that is no message.
    pub(super) fn remark(&mut self, text: impl Into<String>) {
        let rung = Rung::remark(self.elapsed_us(), text);
        self.push(rung);
    }

    pub(super) fn push(&mut self, rung: Rung) {
        self.observer.rung(&rung);
        self.ladder.push(rung);
    }

    pub(super) fn elapsed_us(&self) -> u64 {
        let elapsed = clock::now().saturating_duration_since(self.started);
        u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
    }

    /// Credentials for digest, where there are any.
    pub(super) fn credentials(&self) -> Option<(String, Secret)> {
        let name = self.identity.auth_user.as_ref();
        let name = name.or(self.identity.user.as_ref())?.clone();
        Some((name, self.identity.password.clone()?))
    }
}

/// It serves nobody: whoever reaches it rings.
struct Nobody;

impl Doorman for Nobody {
    fn by_source(&self, _source: IpAddr) -> Option<Principal> {
        None
    }

    fn realm(&self, _host: &str) -> Option<Arc<str>> {
        None
    }

    fn secret(&self, _realm: &str, _username: &str) -> Option<(Principal, Secret)> {
        None
    }
}

/// A directory that is removed with its content.
pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    fn new(rng: &mut Rng) -> std::io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let path = std::env::temp_dir().join(format!("swivel-call-{}", rng.hex(8)));
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_dir_all(path) {
        tracing::debug!(path = %path.display(), %error, "scratch directory not removed");
    }
}
