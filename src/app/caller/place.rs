//! Places one call: drives an `Endpoint`, a media port and their sockets until the leg is over.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::super::ladder::{Rung, Way};
use super::level::{Level, audible_ms, tail};
use super::outcome::{Ending, Heard, Outcome, side_name};
use super::sockets::{Arrival, Sockets};
use super::target::{Destination, TargetError};
use crate::audio::Clip;
use crate::base::id::OpId;
use crate::base::keys::Keys;
use crate::base::rng::Rng;
use crate::base::secret::Secret;
use crate::host::clock;
use crate::media::{Command, Media, MediaConfig, MediaError, MediaEvent, MediaEvents, Plan, Port};
use crate::media::{PortStats, RecordSpec, Sides, Source};
use crate::net::dns::NameServer;
use crate::net::driver::route_to;
use crate::net::{Dialled, Tls};
use crate::sdp::{Direction, Local, Session, negotiate};
use crate::sip::flow::Transport;
use crate::sip::ua::{
    self, Body, Doorman, Endpoint, EndpointConfig, InviteRequest, LegId, Principal, Refusal,
    SipEvent, Target, Transmit,
};
use crate::sip::wire::{Framed, Limits, StreamFramer};

/// One call to place.
#[derive(Debug, Clone)]
pub struct Request {
    /// Whom and where.
    pub destination: Destination,
    /// The caller's user name, and the user name for digest.
    pub user: Option<String>,
    /// The password for digest.
    pub password: Option<Secret>,
    /// Keys to press once answered, as `keys::parse` gives them.
    pub keys: String,
    /// What to play once answered.
    pub play: Option<Arc<Clip>>,
    /// Where to put what is heard.
    pub save: Option<PathBuf>,
    /// Hang up, or give up, after so long.
    pub most: Duration,
    /// Name servers to ask instead of this machine's.
    pub dns: Vec<NameServer>,
    /// Certificate authorities to believe besides this machine's.
    pub ca: Option<PathBuf>,
}

/// Why a call could not even be tried.
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

/// Someone who watches the call while it runs.
pub trait Observer {
    /// A message or remark, when it happens.
    fn rung(&mut self, rung: &Rung);
    /// How loud the last half second was; called about twice a second while audio is recorded.
    fn level(&mut self, level: Level);
    /// Resolves when the user wants to hang up.
    fn hangup(&mut self) -> impl Future<Output = ()>;
}

/// Places the call and waits for its end.
///
/// # Errors
/// When it could not even be tried. A refused or lost call is an `Outcome`.
pub async fn place(request: Request, observer: &mut impl Observer) -> Result<Outcome, PlaceError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|e| PlaceError::Random(e.to_string()))?;
    let mut rng = Rng::from_bytes(seed);
    let hop = request
        .destination
        .resolve(&request.dns, rng.fork())
        .await?;
    let remote = hop.addr;
    let local = route_to(remote.ip()).ok_or(TargetError::NoRoute { remote })?;
    let sockets = Sockets::bind(local, Tls::client(request.ca.as_deref())).await?;
    let scratch = Scratch::new(&mut rng)?;
    let config = MediaConfig {
        workers: 1,
        reserve: 1,
        record_dir: scratch.0.clone(),
        record_min_free: 0,
        ..MediaConfig::default()
    };
    let (media, events) = Media::start(&config, &[local])?;
    let port = media.take(local)?;
    let endpoint = Endpoint::new(
        EndpointConfig {
            user_agent: Some(concat!("swivel/", env!("CARGO_PKG_VERSION"), " (call)").to_owned()),
            authenticate: false,
            trace: true,
            ..EndpointConfig::default()
        },
        sockets.listeners(),
        Box::new(Nobody),
        rng.fork(),
    );
    let mut caller = Caller {
        call_id: format!("{}@{}", rng.hex(12), local.to_string().replace(':', "-")),
        session_id: u64::from(rng.u32()),
        cname: rng.hex(8),
        local,
        hop,
        started: clock::now(),
        framers: Vec::new(),
        endpoint,
        sockets,
        events,
        port: Some(port),
        offer: None,
        leg: None,
        ladder: Vec::new(),
        ringing: None,
        answered: None,
        end: None,
        configured: false,
        recorded: false,
        stats: None,
        keys: String::new(),
        recording: scratch.0.join(RECORDING),
        request,
        observer,
    };
    caller.dial();
    caller.run().await;
    let outcome = caller.outcome();
    drop(caller);
    drop(media);
    Ok(outcome)
}

/// The recording's name in the scratch directory.
const RECORDING: &str = "heard.wav";
/// The operations of the one port.
const RECORD: OpId = OpId(1);
const PLAY: OpId = OpId(2);
const KEYS: OpId = OpId(3);
/// How long the end of the signalling and of the recording is waited for.
const LINGER: Duration = Duration::from_secs(3);
/// How often the level is shown.
const LEVEL_EVERY: Duration = Duration::from_millis(500);

struct Caller<'o, O: Observer> {
    request: Request,
    observer: &'o mut O,
    endpoint: Endpoint,
    sockets: Sockets,
    framers: Vec<(u64, StreamFramer)>,
    events: MediaEvents,
    port: Option<Port>,
    local: IpAddr,
    hop: Target,
    call_id: String,
    cname: String,
    session_id: u64,
    offer: Option<Session>,
    leg: Option<LegId>,
    started: Instant,
    ladder: Vec<Rung>,
    ringing: Option<Instant>,
    answered: Option<Instant>,
    end: Option<End>,
    configured: bool,
    recorded: bool,
    stats: Option<PortStats>,
    keys: String,
    recording: PathBuf,
}

struct End {
    at: Instant,
    result: Ending,
    status: Option<u16>,
    reason: String,
    by: Option<&'static str>,
}

impl<O: Observer> Caller<'_, O> {
    fn dial(&mut self) {
        let destination = &self.request.destination;
        let user = self.request.user.as_deref().unwrap_or("swivel");
        let from = format!("<sip:{user}@{}>", bracketed(&destination.host));
        let offer = self
            .local_side()
            .map(|local| negotiate::offer(&local, Direction::SendRecv));
        let mut invite = InviteRequest::new(destination.uri(), self.hop, from);
        invite.call_id = Some(self.call_id.clone());
        invite.body = offer.as_ref().map(|o| Body::sdp(o.to_string()));
        invite.any_realm = true;
        if let (Some(user), Some(password)) = (&self.request.user, &self.request.password) {
            invite.credentials = Some((user.clone(), password.clone()));
        }
        self.offer = offer;
        self.leg = Some(self.endpoint.invite(clock::now(), invite));
    }

    async fn run(&mut self) {
        let give_up = self.started + self.request.most;
        let mut hung_up = false;
        let mut next_level = clock::now() + LEVEL_EVERY;
        loop {
            self.flush().await;
            let now = clock::now();
            if let Some(end) = &self.end {
                let over = end.at + LINGER;
                let heard_all = self.recorded && self.stats.is_some();
                if heard_all || !self.configured || now >= over {
                    return;
                }
            }
            if !hung_up && now >= give_up {
                hung_up = true;
                self.hang_up("time is up");
                continue;
            }
            if hung_up && now >= give_up + LINGER && self.end.is_none() {
                self.finish(Ending::NoAnswer, None, "no end was confirmed", None);
                continue;
            }
            let linger = self.end.as_ref().map(|e| e.at + LINGER);
            let patience = if hung_up { give_up + LINGER } else { give_up };
            let wake = [
                self.endpoint.poll_timeout(),
                Some(next_level),
                linger,
                Some(patience),
            ];
            let wake = wake.into_iter().flatten().min().unwrap_or(next_level);
            tokio::select! {
                biased;
                arrival = self.sockets.next() => match arrival {
                    Ok(arrival) => self.arrival(arrival),
                    Err(error) => self.finish(Ending::Failed, None, &error.to_string(), Some("transport")),
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
                () = self.observer.hangup(), if !hung_up => {
                    hung_up = true;
                    self.hang_up("hanging up");
                }
            }
        }
    }

    /// Carries out everything the endpoint wants done.
    async fn flush(&mut self) {
        loop {
            if let Some(transmit) = self.endpoint.poll_transmit() {
                self.transmit(transmit).await;
            } else if let Some(event) = self.endpoint.poll_event() {
                self.event(event);
            } else {
                return;
            }
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
                let host = &self.request.destination.hop.0;
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

    fn arrival(&mut self, arrival: Arrival) {
        let now = clock::now();
        match arrival {
            Arrival::Datagram(flow, bytes) => self.endpoint.receive(now, flow, bytes),
            Arrival::Dialled(dialled) => match dialled {
                Dialled::Connected { request, flow } => self.endpoint.connected(now, request, flow),
                Dialled::Refused { request, why } => {
                    self.remark(format!("no connection to {}: {why}", self.hop.addr));
                    self.endpoint.connect_failed(now, request);
                }
                Dialled::Message { flow, bytes } => self.endpoint.receive(now, flow, bytes),
                Dialled::Closed { flow } => self.endpoint.flow_closed(now, flow),
            },
            Arrival::Closed(flow) => {
                self.framers
                    .retain(|(connection, _)| *connection != flow.connection);
                self.endpoint.flow_closed(now, flow);
            }
            Arrival::Stream(flow, bytes) => {
                let framer = match self.framers.iter().position(|(c, _)| *c == flow.connection) {
                    Some(at) => self.framers.get_mut(at),
                    None => {
                        self.framers
                            .push((flow.connection, StreamFramer::new(Limits::default())));
                        self.framers.last_mut()
                    }
                };
                let Some((_, framer)) = framer else { return };
                framer.push(now, &bytes);
                let mut messages: Vec<Bytes> = Vec::new();
                let mut broken = false;
                for framed in framer.by_ref() {
                    match framed {
                        Framed::Message(bytes) => messages.push(bytes),
                        Framed::Fatal { .. } => {
                            broken = true;
                            break;
                        }
                        Framed::Ping | Framed::Pong => {}
                    }
                }
                for message in messages {
                    self.endpoint.receive(now, flow, message);
                }
                if broken {
                    self.sockets.close(flow);
                    self.endpoint.flow_closed(now, flow);
                }
            }
        }
    }

    fn event(&mut self, event: SipEvent) {
        match event {
            SipEvent::Trace(trace) => {
                let way = match trace.direction {
                    ua::Direction::In => Way::In,
                    ua::Direction::Out => Way::Out,
                };
                let rung = Rung::of_message(self.elapsed_us(), way, &trace.bytes);
                self.push(rung);
            }
            SipEvent::Progress { status, body, .. } => {
                if status >= 180 {
                    self.ringing.get_or_insert_with(clock::now);
                }
                self.apply_answer(body);
            }
            SipEvent::Answered { leg, body, .. } => {
                self.answered = Some(clock::now());
                if self.offer.is_some() {
                    self.apply_answer(body);
                } else {
                    self.answer_offer(leg, body);
                }
                self.start_talking();
            }
            SipEvent::Offer { leg, offer } => self.answer_offer(leg, offer),
            SipEvent::Rejected { status, reason, .. } => {
                let result = Ending::of_status(status);
                self.finish(result, Some(status), &reason, None);
            }
            SipEvent::Ended {
                by, how, reason, ..
            } => {
                let result = match self.answered {
                    Some(_) => Ending::of_end(by, how),
                    None => Ending::NoAnswer,
                };
                let status = self.answered.map(|_| 200);
                let reason = reason
                    .map(|r| format!("{} {} {}", r.protocol, r.cause, r.text.unwrap_or_default()));
                self.finish(
                    result,
                    status,
                    reason.unwrap_or_default().trim(),
                    Some(side_name(by)),
                );
            }
            // Nobody can call this caller: its doorman knows nobody, and it registers nowhere.
            SipEvent::Invite(invite) => {
                if self
                    .endpoint
                    .reject(clock::now(), invite.leg, 486, "", &[])
                    .is_err()
                {
                    self.remark("an unexpected call came and went".to_owned());
                }
            }
            // This caller goes nowhere but where its user said.
            SipEvent::Refer { leg, refer } => {
                let now = clock::now();
                if self
                    .endpoint
                    .refer_progress(now, leg, refer.id, 603)
                    .is_err()
                {
                    self.remark("who asked for a transfer has left".to_owned());
                }
            }
            SipEvent::Info { body, .. } => self.remark(format!("INFO with {}", body.content_type)),
            SipEvent::Established { .. }
            | SipEvent::Answer { .. }
            | SipEvent::OfferFailed { .. }
            | SipEvent::Request(_)
            | SipEvent::Response(_)
            | SipEvent::BadCredentials(_) => {}
        }
    }

    /// The answer to our offer: from now on media flows.
    fn apply_answer(&mut self, body: Option<Body>) {
        let (Some(body), Some(offer), Some(local)) = (body, self.offer.clone(), self.local_side())
        else {
            return;
        };
        let agreed = Session::parse(&body.bytes).map_err(negotiate::Refused::from);
        match agreed.and_then(|answer| negotiate::accept_answer(&offer, &answer, &local)) {
            Ok(agreed) => self.configure(agreed),
            Err(refused) => {
                self.remark(format!("the answer cannot be used: {refused}"));
                self.hang_up("nothing in common");
            }
        }
    }

    /// An offer of the other side: re-INVITE, or a 200 to an INVITE without one.
    fn answer_offer(&mut self, leg: LegId, offer: Option<Body>) {
        let Some(local) = self.local_side() else {
            return;
        };
        let answer = match offer {
            None => {
                let ours = negotiate::offer(&local, Direction::SendRecv);
                let body = Body::sdp(ours.to_string());
                self.offer = Some(ours);
                Ok(Some(body))
            }
            Some(body) => Session::parse(&body.bytes)
                .map_err(negotiate::Refused::from)
                .and_then(|offer| negotiate::answer(&offer, &local))
                .map(|(session, agreed)| {
                    self.configure(agreed);
                    Some(Body::sdp(session.to_string()))
                })
                .map_err(|refused| Refusal {
                    status: refused.status(),
                    warning: Some(refused.warning("swivel")),
                }),
        };
        if let Err(error) = self.endpoint.respond_offer(clock::now(), leg, answer) {
            self.remark(format!("the offer could not be answered: {error}"));
        }
    }

    fn configure(&mut self, agreed: crate::sdp::Agreed) {
        let (codec, rtp) = (agreed.codec.name(), agreed.remote_rtp);
        let Some(port) = &self.port else { return };
        port.command(Command::Configure(Box::new(Plan {
            agreed,
            latch: true,
            signalling_ip: self.hop.addr.ip(),
            timeout: None,
            cname: self.cname.clone(),
        })));
        if !self.configured {
            self.configured = true;
            port.command(Command::Record {
                op: RECORD,
                spec: RecordSpec {
                    path: PathBuf::from(RECORDING),
                    max: self.request.most + LINGER,
                    silence: None,
                    finish_on: Keys::NONE,
                    sides: Sides::Peer,
                },
            });
            self.remark(format!("media: {codec} with {rtp}"));
        }
    }

    fn start_talking(&mut self) {
        let Some(port) = &self.port else { return };
        if let Some(clip) = self.request.play.clone() {
            port.command(Command::Play {
                op: PLAY,
                source: Source::Clip(clip),
            });
        }
        if !self.request.keys.is_empty() {
            let digits = self.request.keys.clone();
            port.command(Command::SendDigits {
                op: KEYS,
                digits,
                duration_ms: 160,
                gap_ms: 80,
            });
        }
    }

    fn media_events(&mut self) {
        let mut drained = Vec::new();
        self.events.drain(|event| drained.push(event));
        for event in drained {
            match event {
                MediaEvent::Digit { digit, .. } => {
                    self.keys.push(digit);
                    self.remark(format!("key {digit}"));
                }
                MediaEvent::Finished { op: KEYS, .. } => {
                    self.remark(format!("keys sent: {}", self.request.keys))
                }
                MediaEvent::Finished { op: PLAY, .. } => self.remark("file played".to_owned()),
                MediaEvent::Recorded { .. } => self.recorded = true,
                MediaEvent::Closed { stats, .. } => self.stats = Some(*stats),
                MediaEvent::Finished { .. }
                | MediaEvent::Silent { .. }
                | MediaEvent::Talking { .. } => {}
            }
        }
    }

    fn hang_up(&mut self, why: &str) {
        self.remark(why.to_owned());
        let now = clock::now();
        let Some(leg) = self.leg else { return };
        if self.answered.is_none() {
            self.endpoint.cancel(now, leg, None);
        } else if let Err(error) = self.endpoint.bye(now, leg, None) {
            self.remark(format!("no BYE could be sent: {error}"));
        }
    }

    fn finish(
        &mut self,
        result: Ending,
        status: Option<u16>,
        reason: &str,
        by: Option<&'static str>,
    ) {
        if self.end.is_some() {
            return;
        }
        // Dropping the port ends the recording, whose file is then completed.
        self.port = None;
        let reason = super::super::ladder::printable(reason, 200);
        self.end = Some(End {
            at: clock::now(),
            result,
            status,
            reason,
            by,
        });
    }

    fn local_side(&self) -> Option<Local> {
        let port = self.port.as_ref()?;
        let mut local = Local::new(self.local, port.rtp_addr().port(), self.session_id);
        local.rtcp_port = port.rtcp_addr().port();
        Some(local)
    }

    fn show_level(&mut self) {
        if self.end.is_some() || !self.configured {
            return;
        }
        let part = self.recording.with_extension("wav.part");
        if let Ok(samples) = tail(&part, 4000)
            && !samples.is_empty()
        {
            self.observer.level(Level::of(&samples));
        }
    }

    fn remark(&mut self, text: String) {
        let rung = Rung::remark(self.elapsed_us(), text);
        self.push(rung);
    }

    fn push(&mut self, rung: Rung) {
        self.observer.rung(&rung);
        self.ladder.push(rung);
    }

    fn elapsed_us(&self) -> u64 {
        u64::try_from(
            clock::now()
                .saturating_duration_since(self.started)
                .as_micros(),
        )
        .unwrap_or(u64::MAX)
    }

    fn outcome(&mut self) -> Outcome {
        self.media_events();
        let ms = |from: Instant, to: Instant| {
            u64::try_from(to.saturating_duration_since(from).as_millis()).unwrap_or(u64::MAX)
        };
        let ended = self.end.as_ref().map_or_else(clock::now, |e| e.at);
        let heard = self.heard();
        if let Some(save) = &self.request.save
            && self.recorded
            && let Err(error) = std::fs::copy(&self.recording, save)
        {
            let text = format!("{} could not be written: {error}", save.display());
            self.remark(text);
        }
        let end = self.end.take();
        Outcome {
            target: self.request.destination.uri(),
            call_id: self.call_id.clone(),
            result: end.as_ref().map_or(Ending::Failed, |e| e.result),
            status: end.as_ref().and_then(|e| e.status),
            reason: end.as_ref().map(|e| e.reason.clone()).unwrap_or_default(),
            ringing_ms: self.ringing.map(|at| ms(self.started, at)),
            answered_ms: self.answered.map(|at| ms(self.started, at)),
            talk_ms: self.answered.map_or(0, |at| ms(at, ended)),
            ended_by: end.and_then(|e| e.by),
            heard,
            keys: std::mem::take(&mut self.keys),
            ladder: std::mem::take(&mut self.ladder),
        }
    }

    fn heard(&self) -> Heard {
        let samples = if self.recorded {
            tail(&self.recording, usize::MAX / 4).unwrap_or_default()
        } else {
            Vec::new()
        };
        let stats = self.stats.unwrap_or_default();
        Heard {
            length_ms: samples.len() as u64 * 1000 / u64::from(RECORDED_RATE_HZ),
            audible_ms: audible_ms(&samples, RECORDED_RATE_HZ),
            peak_db: Level::of(&samples).peak_db,
            packets: stats.packets_received,
            lost: stats.packets_lost,
            jitter_ms: stats.jitter_ms,
            sent: stats.packets_sent,
            mos: stats.mos,
        }
    }
}

/// The sample rate of recordings of G.711.
const RECORDED_RATE_HZ: u32 = 8000;

fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

/// The caller lets nobody in.
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
struct Scratch(PathBuf);

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
