//! The signalling core: one SIP endpoint and the calls behind it. Single-threaded; a clone is another handle.
//!
//! Events of the endpoint and of the media engine are dispatched synchronously into the state of their call, whose
//! waiting operations then look again. Scripts run as local tasks and push commands back; nothing here awaits.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use tokio::sync::Notify;

use super::conference::Conferences;
use super::handle::CallHandle;
use super::overload::{Overload, RECOVERY};
use super::queue::Queues;
use super::reach::Reach;
use super::replaces::Recent;
use super::services::Services;
use crate::base::id::{OpId, PortId};
use crate::base::rng::Rng;
use crate::host::{clock, task};
use crate::jobs::webhooks::Webhooks;
use crate::journal::{Fact, Way};
use crate::media::{Media, MediaEvent};
use crate::net::Signalling;
use crate::registrar::{Carrier, Registrar, remote};
use crate::routing::caps::Lines;
use crate::sip::flow::Flow;
use crate::sip::msg::Uri;
use crate::sip::ua::{Direction, Endpoint, LegId, SipEvent, Target, Trace, Transmit};
use crate::sip::wire::Malformed;

/// Starts the script of an accepted call. Given at wiring, since scripts live in higher rooms.
pub type Script = Rc<dyn Fn(CallHandle) -> LocalBoxFuture<'static, ()>>;

/// Finds the addresses of a URI whose host is a name, best first (RFC 3263).
pub type Resolve = Rc<dyn Fn(Uri) -> LocalBoxFuture<'static, Vec<Target>>>;

/// What the core is told at wiring.
#[derive(Debug, Clone)]
pub struct CoreConfig {
    /// Longest call.
    pub max_call: Duration,
    /// Most calls at once.
    pub max_calls: usize,
    /// Silence of the caller's RTP that ends an answered call; `None` never.
    pub rtp_timeout: Option<Duration>,
    /// The same while the caller holds us.
    pub held_timeout: Option<Duration>,
    /// Address to write into session descriptions for peers outside `local_nets`; `None` is the socket's own.
    pub advertise: Option<std::net::IpAddr>,
    /// Networks that get our own address.
    pub local_nets: Vec<ipnet::IpNet>,
    /// What a carrier is answered that calls a number nobody has.
    pub unknown_number_code: u16,
    /// Timer lag past which new calls are refused.
    pub overload_lag: Duration,
}

/// The signalling core.
#[derive(Clone)]
pub struct Core(pub(super) Rc<Inner>);

pub(super) struct Inner {
    pub(super) endpoint: RefCell<Endpoint>,
    pub(super) media: Media,
    pub(super) services: Rc<Services>,
    /// Where phones are.
    pub(super) registrar: Registrar,
    pub(super) config: CoreConfig,
    pub(super) script: Script,
    pub(super) rng: RefCell<Rng>,
    pub(super) calls: RefCell<BTreeMap<LegId, CallHandle>>,
    /// Calls by their port, until it has closed: an ended call lives here until its record is written.
    ports: RefCell<BTreeMap<PortId, CallHandle>>,
    next_op: Cell<u64>,
    /// Calls to carriers, for the caps of accounts and trunks.
    pub(super) lines: RefCell<Lines>,
    next_script: Cell<u64>,
    /// Whether new calls are refused.
    pub(super) draining: Cell<bool>,
    /// How many legs ride on another call.
    pub(super) attached: Cell<usize>,
    pub(super) resolve: RefCell<Option<Resolve>>,
    /// Which servers answer.
    pub(super) reach: RefCell<Reach>,
    /// Dialogs that ended a moment ago: an INVITE that would replace one of them comes too late.
    pub(super) over: RefCell<Recent>,
    /// Who is told what happens to legs.
    pub(super) webhooks: RefCell<Option<Webhooks>>,
    /// Why the connection that was wanted last could not be had, while that is told.
    pub(super) no_connection: RefCell<Option<String>>,
    changed: Notify,
    overload: Overload,
    pub(super) conferences: RefCell<Conferences>,
    pub(super) queues: RefCell<Queues>,
}

impl Core {
    /// A core at rest.
    pub fn new(
        endpoint: Endpoint,
        media: Media,
        services: Services,
        registrar: Registrar,
        config: CoreConfig,
        script: Script,
        rng: Rng,
    ) -> Self {
        Self(Rc::new(Inner {
            endpoint: RefCell::new(endpoint),
            media,
            services: Rc::new(services),
            registrar,
            overload: Overload::new(config.overload_lag),
            config,
            script,
            rng: RefCell::new(rng),
            calls: RefCell::default(),
            ports: RefCell::default(),
            next_op: Cell::new(0),
            lines: RefCell::default(),
            next_script: Cell::new(0),
            draining: Cell::new(false),
            attached: Cell::new(0),
            resolve: RefCell::default(),
            reach: RefCell::default(),
            over: RefCell::default(),
            webhooks: RefCell::default(),
            no_connection: RefCell::default(),
            changed: Notify::new(),
            conferences: RefCell::default(),
            queues: RefCell::default(),
        }))
    }

    /// Where phones are.
    pub fn registrar(&self) -> &Registrar {
        &self.0.registrar
    }

    /// Answers a question another thread has about registrations.
    pub fn answer_question(&self, question: remote::Question) {
        self.endpoint(|endpoint, _| self.0.registrar.answer_question(endpoint, question));
    }

    /// Registers with these carriers, and with no others.
    pub fn set_carriers(&self, carriers: Vec<Carrier>) {
        self.endpoint(|endpoint, now| self.0.registrar.set_carriers(endpoint, now, carriers));
    }

    /// Ends our registrations with carriers; how many answers are waited for.
    pub fn leave_carriers(&self) -> usize {
        self.endpoint(|endpoint, now| self.0.registrar.leave_carriers(endpoint, now))
    }

    /// Looks for the servers we register with. Names take their time, so this is a task each.
    fn look_up(&self, now: Instant) {
        for (id, answer) in self.0.registrar.lookups(now) {
            let core = self.clone();
            task::spawn_local("carrier-lookup", async move {
                let targets = answer.await;
                core.endpoint(|endpoint, now| {
                    core.0.registrar.resolved(endpoint, now, &id, targets);
                });
            });
        }
    }

    /// What concerns no call.
    fn outside(&self, event: &SipEvent) {
        let now = clock::now();
        let endpoint = &mut self.0.endpoint.borrow_mut();
        let registrar = &self.0.registrar;
        match event {
            SipEvent::Request(request) => registrar.request(endpoint, now, request),
            SipEvent::Response(response) => {
                let awaited =
                    self.was_asked(response) || registrar.response(endpoint, now, response);
                if !awaited {
                    tracing::debug!(status = response.status, "a response nobody waits for");
                }
            }
            SipEvent::BadCredentials(bad) => registrar.bad_credentials(endpoint, now, bad),
            _ => {}
        }
    }

    /// How many calls are up; the legs they have placed are not counted.
    pub fn calls(&self) -> usize {
        self.legs().saturating_sub(self.0.attached.get())
    }

    /// How many legs are up.
    pub fn legs(&self) -> usize {
        self.0.calls.borrow().len()
    }

    /// How names of hosts are resolved from now on.
    pub fn set_resolve(&self, resolve: Resolve) {
        self.0.resolve.replace(Some(resolve));
    }

    /// Who is told from now on what happens to legs.
    pub fn set_webhooks(&self, webhooks: Webhooks) {
        self.0.webhooks.replace(Some(webhooks));
    }

    /// Refuse new calls from now on; those that are there go on.
    pub fn drain(&self) {
        self.0.draining.set(true);
        self.0.endpoint.borrow_mut().set_draining(true);
    }

    /// Ends every call, with a Reason that names the shutdown.
    pub fn end_all(&self) {
        let calls: Vec<CallHandle> = self.0.calls.borrow().values().cloned().collect();
        for call in calls {
            call.end(crate::base::cause::Cause::SYSTEM_SHUTDOWN);
        }
    }

    /// What the endpoint holds; all zero at rest.
    pub fn counts(&self) -> crate::sip::ua::Counts {
        self.0.endpoint.borrow().counts()
    }

    /// Dispatches one event of the media engine.
    pub fn media_event(&self, event: MediaEvent) {
        if self.conference_event(&event) {
            return;
        }
        let port = match &event {
            MediaEvent::Finished { port, .. }
            | MediaEvent::Digit { port, .. }
            | MediaEvent::Silent { port }
            | MediaEvent::Insecure { port }
            | MediaEvent::Talking { port, .. }
            | MediaEvent::Sampled { port, .. }
            | MediaEvent::Recorded { port, .. }
            | MediaEvent::Closed { port, .. } => *port,
        };
        let Some(call) = self.0.ports.borrow().get(&port).cloned() else {
            return;
        };
        call.media_event(event);
        // A port that closes first ends what it plays; its statistics, and with them the record, come after that. The
        // recorder may still report after the port has closed.
        let state = call.state();
        if state.stats.is_some() && state.recording.is_empty() {
            self.0.ports.borrow_mut().remove(&port);
        }
    }

    pub(super) fn services(&self) -> Rc<Services> {
        self.0.services.clone()
    }

    pub(super) fn next_op(&self) -> OpId {
        self.0.next_op.set(self.0.next_op.get() + 1);
        OpId(self.0.next_op.get())
    }

    pub(super) fn next_script(&self) -> u64 {
        self.0.next_script.set(self.0.next_script.get() + 1);
        self.0.next_script.get()
    }

    pub(super) fn know_port(&self, port: PortId, call: &CallHandle) {
        self.0.ports.borrow_mut().insert(port, call.clone());
    }

    /// Has the driver send what was caused.
    pub(super) fn notify(&self) {
        self.0.changed.notify_one();
    }

    /// Runs a command on the endpoint, then dispatches what it caused and has the driver send it.
    pub(super) fn endpoint<T>(&self, command: impl FnOnce(&mut Endpoint, Instant) -> T) -> T {
        let result = command(&mut self.0.endpoint.borrow_mut(), clock::now());
        self.dispatch();
        self.0.changed.notify_one();
        result
    }

    /// Dispatches every waiting event of the endpoint.
    pub(super) fn dispatch(&self) {
        loop {
            let event = self.0.endpoint.borrow_mut().poll_event();
            let Some(event) = event else { return };
            let leg = match &event {
                SipEvent::Invite(_)
                | SipEvent::Trace(_)
                | SipEvent::Reached(_)
                | SipEvent::Request(_)
                | SipEvent::Response(_)
                | SipEvent::BadCredentials(_) => None,
                SipEvent::Progress { leg, .. }
                | SipEvent::Answered { leg, .. }
                | SipEvent::Rejected { leg, .. }
                | SipEvent::Established { leg, .. }
                | SipEvent::Answer { leg, .. }
                | SipEvent::OfferFailed { leg, .. }
                | SipEvent::Offer { leg, .. }
                | SipEvent::Info { leg, .. }
                | SipEvent::Refer { leg, .. }
                | SipEvent::Referred { leg, .. }
                | SipEvent::Ended { leg, .. } => Some(*leg),
            };
            match (event, leg) {
                (SipEvent::Invite(invite), _) => self.inbound(*invite),
                (
                    event @ (SipEvent::Request(_)
                    | SipEvent::Response(_)
                    | SipEvent::BadCredentials(_)),
                    _,
                ) => {
                    self.outside(&event);
                }
                (SipEvent::Reached(reached), _) => self.reached(&reached),
                (SipEvent::Trace(trace), _) => self.0.services.journal.emit(ladder(*trace)),
                (event, Some(leg)) => {
                    let call = self.0.calls.borrow().get(&leg).cloned();
                    if let Some(call) = call {
                        call.sip_event(event);
                    }
                }
                (_, None) => {}
            }
        }
    }
}

impl Signalling for Core {
    fn receive(&self, now: Instant, flow: Flow, bytes: Bytes) {
        if self.0.overload.ends(now) {
            self.0.endpoint.borrow_mut().set_overload(None);
        }
        self.0.endpoint.borrow_mut().receive(now, flow, bytes);
        self.dispatch();
    }

    fn malformed(&self, now: Instant, flow: Flow, malformed: Malformed) {
        self.0
            .endpoint
            .borrow_mut()
            .receive_malformed(now, flow, &malformed);
        self.dispatch();
    }

    fn connected(&self, now: Instant, request: u64, flow: Flow) {
        self.0.endpoint.borrow_mut().connected(now, request, flow);
        self.dispatch();
    }

    fn connect_failed(&self, now: Instant, request: u64) {
        self.0.endpoint.borrow_mut().connect_failed(now, request);
        self.dispatch();
    }

    fn connect_failed_because(&self, now: Instant, request: u64, why: &str) {
        // Legs that end of it tell why.
        self.0.no_connection.replace(Some(why.to_owned()));
        self.connect_failed(now, request);
        self.0.no_connection.take();
    }

    fn flow_closed(&self, now: Instant, flow: Flow) {
        self.0.endpoint.borrow_mut().flow_closed(now, flow);
        self.0.registrar.flow_closed(flow);
        self.dispatch();
    }

    fn send_failed(&self, now: Instant, flow: Flow) {
        self.0.endpoint.borrow_mut().send_failed(now, flow);
        self.dispatch();
    }

    fn timeout(&self, now: Instant) {
        {
            let mut endpoint = self.0.endpoint.borrow_mut();
            endpoint.handle_timeout(now);
            self.0.registrar.handle_timeout(&mut endpoint, now);
        }
        self.look_up(now);
        self.ask_held(now);
        self.dispatch();
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let endpoint = self.0.endpoint.borrow().poll_timeout();
        let registrar = self.0.registrar.poll_timeout();
        let held = self.reach_due();
        endpoint.into_iter().chain(registrar).chain(held).min()
    }

    fn poll_transmit(&self) -> Option<Transmit> {
        self.0.endpoint.borrow_mut().poll_transmit()
    }

    /// New calls are refused while the thread is late on average, and for a second after it caught up. One late timer
    /// (a page fault, a busy neighbour) refuses nobody.
    fn lag(&self, late: Duration) {
        metrics::histogram!("swivel_signalling_lag_seconds").record(late.as_secs_f64());
        if let Some(average) = self.0.overload.begins(clock::now(), late) {
            tracing::warn!(
                ?average,
                "signalling is late, new calls are refused for now"
            );
            self.0.endpoint.borrow_mut().set_overload(Some(RECOVERY));
        }
    }

    fn changed(&self) -> &Notify {
        &self.0.changed
    }
}

fn ladder(trace: Trace) -> Fact {
    Fact::Sip {
        call_id: trace.call_id.into(),
        at: clock::unix_now(),
        direction: match trace.direction {
            Direction::In => Way::In,
            Direction::Out => Way::Out,
        },
        peer: trace.flow.remote,
        local: trace.flow.local,
        transport: trace.flow.transport,
        bytes: trace.bytes,
    }
}
