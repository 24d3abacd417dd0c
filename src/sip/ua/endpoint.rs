//! The one `Endpoint`: its state, inputs, outputs and timers. What it does with them is in the files beside it.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::admission::Bucket;
use super::bans::{Bans, Slow};
use super::client_request::Sent;
use super::leg::{Leg, Phase};
use super::requests::Owner;
use super::transport::Streams;
use super::{
    Body, Counts, Doorman, EndpointConfig, LegId, Listener, RequestId, SipEvent, Transmit,
};
use crate::base::rng::Rng;
use crate::base::secret::Secret;
use crate::sip::dialog::dialog::from_token;
use crate::sip::digest::Nonces;
use crate::sip::flow::{Flow, Transport};
use crate::sip::gate::Gate;
use crate::sip::msg::{Message, Start};
use crate::sip::transaction::schedule::Schedule;
use crate::sip::transaction::seeded::{Map, Seed, map};
use crate::sip::transaction::table::{ClientId, Clients, Path, ServerId, Servers};
use crate::sip::wire::{Limits, Malformed};

/// Where an outgoing call's first hop is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// What carries it.
    pub transport: Transport,
    /// The next hop's address.
    pub addr: SocketAddr,
}

/// An outgoing call.
#[derive(Debug, Clone)]
pub struct InviteRequest {
    /// Request-URI.
    pub uri: String,
    /// The next hop.
    pub to: Target,
    /// Where to try in turn when the hop before gives no answer, cannot be reached or answers 503 (RFC 3263 §4.3).
    pub alternatives: Vec<Target>,
    /// Whether the call fails (408) when the last of them has said nothing for four seconds, because its owner knows
    /// better places; otherwise it waits for Timer B.
    pub impatient: bool,
    /// The path to take to the first hop instead of a socket of our choice: the one a phone registered over.
    pub flow: Option<Flow>,
    /// Values of Route, nearest first (the Path of a registration, RFC 3327).
    pub routes: Vec<String>,
    /// Value of From, without tag.
    pub from: String,
    /// Value of To; `None` = the Request-URI in angle brackets.
    pub to_header: Option<String>,
    /// Value of Call-ID; `None` = a fresh one.
    pub call_id: Option<String>,
    /// Max-Forwards.
    pub max_forwards: u8,
    /// Further headers, by spelling.
    pub headers: Vec<(String, String)>,
    /// The offer; `None` = the callee offers.
    pub body: Option<Body>,
    /// Digest user name and password.
    pub credentials: Option<(String, Secret)>,
    /// The only realm whose challenge is answered; `None` = no challenge is answered unless `any_realm`.
    pub realm: Option<String>,
    /// Answer a challenge of whatever realm (the command-line caller, whose user named the server himself).
    pub any_realm: bool,
}

impl InviteRequest {
    /// A call without offer, credentials or extra headers.
    pub fn new(uri: impl Into<String>, to: Target, from: impl Into<String>) -> Self {
        Self {
            uri: uri.into(),
            to,
            alternatives: Vec::new(),
            impatient: false,
            flow: None,
            routes: Vec::new(),
            from: from.into(),
            to_header: None,
            call_id: None,
            max_forwards: 70,
            headers: Vec::new(),
            body: None,
            credentials: None,
            realm: None,
            any_realm: false,
        }
    }
}

/// The refusal of an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Final status, 488 as a rule.
    pub status: u16,
    /// Warning code and text, e.g. `304 swivel "Media type not available"`.
    pub warning: Option<String>,
}

/// A command that could not be carried out. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SipError {
    /// The leg is over, or never was.
    #[error("leg {} is not there", .0.0)]
    UnknownLeg(LegId),
    /// The command does not fit what the leg is doing.
    #[error("{command} does not fit a leg that is {state}")]
    WrongState {
        /// The command.
        command: &'static str,
        /// What the leg is doing.
        state: &'static str,
    },
    /// An offer or request of the same kind waits already.
    #[error("an offer of ours is already waiting")]
    Pending,
    /// No offer of the peer waits for an answer.
    #[error("no offer waits for an answer")]
    NoOffer,
    /// A status outside what the command may send.
    #[error("status {status} cannot be sent here")]
    Status {
        /// The status.
        status: u16,
    },
}

/// Whose a timer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimerKey {
    Server(ServerId),
    Client(ClientId),
    Leg(LegId),
    /// Answers that were held back.
    Held,
}

/// Every transaction, dialog and INVITE usage of a set of listeners.
pub struct Endpoint {
    pub(super) config: EndpointConfig,
    pub(super) listeners: Vec<Listener>,
    pub(super) doorman: Box<dyn Doorman>,
    pub(super) routes: Option<RouteLookup>,
    pub(super) rng: Rng,
    pub(super) seed: Seed,
    pub(super) servers: Servers<LegId>,
    pub(super) clients: Clients<Owner>,
    pub(super) legs: Map<LegId, Box<Leg>>,
    /// Plain requests on their way.
    pub(super) requests: Map<RequestId, Sent>,
    /// Legs by their tag.
    pub(super) tags: Map<u64, LegId>,
    pub(super) timers: Schedule<TimerKey>,
    pub(super) streams: Streams,
    /// Requests whose transport failed and whose owners are not told yet.
    pub(super) failures: VecDeque<ClientId>,
    pub(super) gate: Gate,
    pub(super) nonces: Nonces,
    pub(super) limits: Limits,
    pub(super) strangers: Bucket,
    pub(super) bans: Bans,
    pub(super) slow: Slow,
    /// Messages refused, by cause.
    pub(super) refusals: BTreeMap<&'static str, u64>,
    pub(super) overload: Option<Duration>,
    pub(super) draining: bool,
    /// How long the datagram is that is being taken.
    pub(super) arriving: usize,
    pub(super) next_leg: u64,
    pub(super) next_request: u64,
    pub(super) transmits: VecDeque<Transmit>,
    pub(super) events: VecDeque<SipEvent>,
}

/// Sources the gate remembers.
const GATE_SOURCES: usize = 16_384;

/// Finds our address towards a peer.
pub(super) type RouteLookup = Box<dyn Fn(IpAddr) -> Option<IpAddr>>;

impl Endpoint {
    /// An endpoint at rest.
    pub fn new(
        config: EndpointConfig,
        listeners: Vec<Listener>,
        doorman: Box<dyn Doorman>,
        mut rng: Rng,
    ) -> Self {
        let seed = Seed([rng.u64(), rng.u64()]);
        let strangers = Bucket::new(config.stranger_options_per_second);
        let gate = Gate::new(config.source_rate, GATE_SOURCES, rng.u64());
        let slow = Slow::new(seed, config.failures_per_hour);
        let mut secret = [0; 32];
        rng.fill(&mut secret);
        let mut nonces = Nonces::new(secret, config.nonce_lifetime);
        nonces.offer(&config.digest);
        Self {
            config,
            listeners,
            doorman,
            routes: None,
            rng,
            seed,
            servers: Servers::new(seed),
            clients: map(seed),
            legs: map(seed),
            requests: map(seed),
            tags: map(seed),
            timers: Schedule::new(),
            streams: Streams::new(seed),
            failures: VecDeque::new(),
            gate,
            nonces,
            limits: Limits::default(),
            strangers,
            bans: Bans::new(seed),
            slow,
            refusals: BTreeMap::new(),
            overload: None,
            draining: false,
            arriving: 0,
            next_leg: 0,
            next_request: 0,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// How to find our address towards a peer when a listener's own is unspecified. Without it such a listener without
    /// `advertise` names loopback.
    pub fn set_route_lookup(&mut self, lookup: Box<dyn Fn(IpAddr) -> Option<IpAddr>>) {
        self.routes = Some(lookup);
    }

    /// One datagram, or one framed message of a stream.
    pub fn receive(&mut self, now: Instant, flow: Flow, bytes: Bytes) {
        self.streams.note(flow);
        self.message_arrives(now, flow, bytes);
        self.tell_failures(now);
    }

    /// Bytes of a stream that are no message; the driver closes the stream when the framer says so.
    pub fn receive_malformed(&mut self, _now: Instant, flow: Flow, malformed: &Malformed) {
        self.streams.note(flow);
        self.refuse_malformed(flow, malformed);
    }

    /// Takes a message that was read.
    pub(super) fn dispatch(&mut self, now: Instant, flow: Flow, message: Message) {
        match message.start {
            Start::Request { .. } => self.request_arrives(now, flow, message),
            Start::Response { .. } => self.response_arrives(now, flow, message),
        }
    }

    /// The stream asked for by `Transmit::Connect` is there.
    pub fn connected(&mut self, now: Instant, request: u64, flow: Flow) {
        self.stream_opened(request, flow);
        self.tell_failures(now);
    }

    /// The stream asked for by `Transmit::Connect` cannot be had.
    pub fn connect_failed(&mut self, now: Instant, request: u64) {
        self.stream_refused(now, request);
        self.tell_failures(now);
    }

    /// A stream is gone.
    pub fn flow_closed(&mut self, now: Instant, flow: Flow) {
        self.stream_lost(flow);
        self.tell_failures(now);
    }

    /// A datagram could not be delivered (ICMP error, no route).
    pub fn send_failed(&mut self, now: Instant, flow: Flow) {
        self.fail_clients_on(|path| match path {
            Path::Flow(used) => used.transport == flow.transport && used.remote == flow.remote,
            Path::Connecting(_) => false,
        });
        self.tell_failures(now);
    }

    /// Fires every timer that is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(key) = self.timers.pop_due(now) {
            match key {
                TimerKey::Server(id) => self.server_timeout(now, id),
                TimerKey::Client(id) => self.client_timeout(now, id),
                TimerKey::Held => self.release_held(now),
                TimerKey::Leg(id) => {
                    self.with_leg(id, |endpoint, leg| {
                        leg.armed = None;
                        endpoint.leg_timeout(now, leg);
                    });
                }
            }
            self.tell_failures(now);
        }
    }

    /// Refuse new calls by 503 with that Retry-After; `None` = take them again.
    pub fn set_overload(&mut self, retry_after: Option<Duration>) {
        self.overload = retry_after;
    }

    /// Refuse new calls and OPTIONS by 503 while the calls that are there go on.
    pub fn set_draining(&mut self, draining: bool) {
        self.draining = draining;
    }

    /// Whether each message is reported as `SipEvent::Trace`.
    pub fn set_trace(&mut self, trace: bool) {
        self.config.trace = trace;
    }

    /// When `handle_timeout` is due next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The next thing to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next thing to tell.
    pub fn poll_event(&mut self) -> Option<SipEvent> {
        self.events.pop_front()
    }

    /// How much is held.
    pub fn counts(&self) -> Counts {
        Counts {
            server_transactions: self.servers.len(),
            client_transactions: self.clients.len(),
            legs: self.legs.len(),
            dialogs: self.tags.len(),
            timers: self.timers.len(),
            connecting: self.streams.connecting(),
            sources: self.servers.sources(),
        }
    }

    /// Works on a leg outside the table, so that everything else stays reachable; puts it back unless it is gone, with
    /// its timer set. Never nested for one leg.
    pub(super) fn with_leg<R>(
        &mut self,
        id: LegId,
        work: impl FnOnce(&mut Self, &mut Leg) -> R,
    ) -> Option<R> {
        let mut leg = self.legs.remove(&id)?;
        let result = work(self, &mut leg);
        self.put_leg(leg);
        Some(result)
    }

    /// Puts a leg into the table, or forgets it when it is gone.
    pub(super) fn put_leg(&mut self, mut leg: Box<Leg>) {
        let id = leg.id;
        if matches!(leg.phase, Phase::Gone) {
            self.timers
                .rearm(&mut leg.armed, None, || TimerKey::Leg(id));
            self.tags.remove(&leg.local_tag);
        } else {
            let wanted = leg.poll_timeout();
            self.timers
                .rearm(&mut leg.armed, wanted, || TimerKey::Leg(id));
            self.legs.insert(id, leg);
        }
    }

    /// The leg of a dialog of ours.
    pub(super) fn leg_of(&self, local_tag: &str, call_id: &str) -> Option<LegId> {
        let id = self.tags.get(&from_token(local_tag)?)?;
        self.legs
            .get(id)
            .is_some_and(|leg| *leg.call_id == *call_id)
            .then_some(*id)
    }

    /// A command for a leg the call layer still has.
    pub(super) fn command(
        &mut self,
        now: Instant,
        id: LegId,
        work: impl FnOnce(&mut Self, &mut Leg) -> Result<(), SipError>,
    ) -> Result<(), SipError> {
        let done = self.with_leg(id, |endpoint, leg| {
            if leg.phase.is_over() {
                return Err(SipError::UnknownLeg(id));
            }
            work(endpoint, leg)
        });
        self.tell_failures(now);
        done.unwrap_or(Err(SipError::UnknownLeg(id)))
    }

    /// Tells something about a leg, unless it is over for the call layer.
    pub(super) fn tell(&mut self, leg: &Leg, event: SipEvent) {
        if !leg.phase.is_over() {
            self.events.push_back(event);
        }
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}
