//! Handles for the signalling thread, and the threads behind them.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rtrb::{Consumer, RingBuffer};

use super::command::{Command, Source};
use super::config::{MediaConfig, MediaError};
use super::event::{MediaEvent, MediaEvents, Outside, PortStats};
use super::identity;
use super::io::PacketIo;
use super::io::epoll::EpollIo;
use super::io::priority;
use super::io::wait::Waiter;
use super::keeper::{Job, Keeper};
use super::link::{Link, Message};
use super::pool::{Pair, PoolCounts, PortPool};
use super::port::{Audio, PortState, Ready};
use super::record::Recorder;
use super::wheel::SLOT;
use super::worker::{Retired, Worker};
use crate::audio::{Clip, Codec};
use crate::base::id::PortId;
use crate::base::rng::Rng;
use crate::base::time::UnixMicros;
use crate::host::{clock, task};
use crate::rtp::dtls::Identity;
use crate::rtp::ice::IceCredentials;
use crate::rtp::srtp::Suite;
use crate::sdp::{Crypto, Webrtc};

mod room;

pub use room::Room;

/// The media engine. A cheap handle; the threads end with the last handle and port.
#[derive(Debug, Clone)]
pub struct Media(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    pool: Arc<PortPool>,
    links: Arc<[Arc<Link>]>,
    outside: Arc<Outside>,
    keeper: Arc<Keeper>,
    recorder: Arc<Recorder>,
    next_id: AtomicU64,
    identity: OnceLock<Option<Arc<Identity>>>,
    rng: Mutex<Rng>,
    keepalive: Option<Duration>,
    clock: Clock,
    threads: Vec<JoinHandle<Option<()>>>,
}

/// Where handles take the time from.
#[derive(Debug)]
enum Clock {
    Host,
    /// The time of the last inline tick, in microseconds from a beginning.
    Inline(Instant, Arc<AtomicU64>),
}

impl Media {
    /// Starts the threads and binds the reserve of each address. An address that cannot be bound is an error; further
    /// local addresses may be asked for later.
    ///
    /// Raises the process's limit of open files to what it may have: every port is two of them.
    ///
    /// # Errors
    /// When an address cannot be bound or the machine refuses threads or descriptors.
    pub fn start(
        config: &MediaConfig,
        addresses: &[IpAddr],
    ) -> Result<(Media, MediaEvents), MediaError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|e| MediaError::Start {
            worker: 0,
            source: std::io::Error::other(e),
        })?;
        let mut rng = Rng::from_bytes(seed);
        let pool = Arc::new(PortPool::new(
            config,
            true,
            raise_descriptor_limit(),
            rng.fork(),
        ));
        for address in addresses {
            pool.prepare(*address, clock::now())?;
        }
        let outside = Arc::new(Outside::default());
        let recorder = Arc::new(Recorder::new(config, Arc::clone(&outside)));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (mut links, mut rings, mut retired, mut threads) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for index in 0..config.worker_count(cores) {
            let failed = |source| MediaError::Start {
                worker: index,
                source,
            };
            let (waiter, bell) = Waiter::new().map_err(failed)?;
            let sockets = (
                EpollIo::open().map_err(failed)?,
                waiter.set().map_err(failed)?,
            );
            let link = Arc::new(Link::new(Some(bell)));
            let (worker, events, gone) =
                new_worker(&link, &outside, rng.fork(), clock::now(), clock::unix_now());
            let inbox = Arc::clone(&link);
            let thread = task::thread(&format!("media-{index}"), move || {
                run(worker, EpollIo::new(sockets.0, sockets.1), &inbox, waiter)
            })
            .map_err(failed)?;
            links.push(link);
            rings.push(events);
            retired.push(gone);
            threads.push(thread);
        }
        let keeper = Arc::new(Keeper::default());
        let (own, keep) = (Arc::clone(&pool), Arc::clone(&keeper));
        let failed = |source| MediaError::Start {
            worker: threads.len(),
            source,
        };
        let keeping =
            task::thread("media-keeper", move || keep.run(&own, retired)).map_err(failed)?;
        let recording = Recorder::spawn(&recorder).map_err(failed)?;
        threads.push(keeping);
        threads.extend(recording);
        let shared = Shared {
            pool,
            links: links.into(),
            outside: Arc::clone(&outside),
            keeper,
            recorder,
            next_id: AtomicU64::new(1),
            identity: OnceLock::new(),
            rng: Mutex::new(rng),
            keepalive: config.keepalive(),
            clock: Clock::Host,
            threads,
        };
        Ok((Media(Arc::new(shared)), MediaEvents { rings, outside }))
    }

    /// The same engine without threads, sockets or clock, for the deterministic world: one worker, driven by
    /// [`InlineWorker::tick`]. Replays exactly.
    pub fn inline(config: &MediaConfig) -> (Media, InlineWorker, MediaEvents) {
        Self::inline_seeded(config, Rng::seeded(0), clock::now())
    }

    /// [`Media::inline`] with a seed, beginning at `now`.
    pub fn inline_seeded(
        config: &MediaConfig,
        mut rng: Rng,
        now: Instant,
    ) -> (Media, InlineWorker, MediaEvents) {
        let outside = Arc::new(Outside::default());
        let pool = Arc::new(PortPool::new(config, false, 0, rng.fork()));
        let recorder = Arc::new(Recorder::new(config, Arc::clone(&outside)));
        let link = Arc::new(Link::new(None));
        let (worker, ring, retired) =
            new_worker(&link, &outside, rng.fork(), now, INLINE_UNIX_TIME);
        let time = Arc::new(AtomicU64::new(0));
        let shared = Shared {
            pool: Arc::clone(&pool),
            links: Arc::from([Arc::clone(&link)]),
            outside: Arc::clone(&outside),
            keeper: Arc::new(Keeper::default()),
            recorder: Arc::clone(&recorder),
            next_id: AtomicU64::new(1),
            identity: OnceLock::new(),
            rng: Mutex::new(rng),
            keepalive: config.keepalive(),
            clock: Clock::Inline(now, Arc::clone(&time)),
            threads: Vec::new(),
        };
        let inline = InlineWorker {
            worker,
            link,
            pool,
            recorder,
            retired,
            begin: now,
            time,
            inbox: Vec::new(),
        };
        (
            Media(Arc::new(shared)),
            inline,
            MediaEvents {
                rings: vec![ring],
                outside,
            },
        )
    }

    /// A port on a local address: an even RTP port with the RTCP port after it, bound already.
    ///
    /// # Errors
    /// When no pair is free or the address cannot be bound.
    pub fn take(&self, local: IpAddr) -> Result<Port, MediaError> {
        self.take_on(self.0.least_busy(), local)
    }

    /// The same on the thread of another port, for one that will be joined with it: nothing has to move then.
    ///
    /// # Errors
    /// When no pair is free or the address cannot be bound.
    pub fn take_beside(&self, port: &Port, local: IpAddr) -> Result<Port, MediaError> {
        let worker = lock(&port.side).worker;
        self.take_on(worker, local)
    }

    /// What the peer of `a` says is sent to the peer of `b` and the other way round, until [`part`](Self::part), the end
    /// of either port, or a join with another. Relayed as it arrives when codec, packet length and the way of sending
    /// keys agree, otherwise transcoded; planned anew with each `Configure`. Sources queued on a port play instead.
    ///
    /// A port of another thread is moved to that of `a`.
    pub fn join(&self, a: &Port, b: &Port) {
        let worker = a.settle();
        b.move_to(worker);
        a.push(Message::Join(a.id, b.id));
    }

    /// Ends the join of two ports; nothing when they are not joined with each other.
    pub fn part(&self, a: &Port, b: &Port) {
        a.push(Message::Part(a.id, b.id));
    }

    /// Our side of a WebRTC leg whose media is reached at `candidates`: for [`Local::webrtc`](crate::sdp::Local), once a
    /// leg. `None` when no certificate could be made.
    pub fn webrtc(&self, candidates: Vec<SocketAddr>) -> Option<Webrtc> {
        let identity = self.0.identity()?;
        Some(Webrtc {
            ice: IceCredentials::new(&mut lock(&self.0.rng)),
            fingerprint: identity.fingerprint(),
            candidates,
            offers: false,
        })
    }

    /// SRTP keys of a leg, in the order of preference: for [`Local::crypto`](crate::sdp::Local), once a leg.
    pub fn crypto(&self, suites: &[Suite]) -> Crypto {
        Crypto::new(suites, &mut lock(&self.0.rng))
    }

    fn take_on(&self, worker: usize, local: IpAddr) -> Result<Port, MediaError> {
        let pair = self.0.pool.take(local, self.0.now())?;
        self.0.keeper.stir();
        if let Some(link) = self.0.links.get(worker) {
            link.ports.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Port {
            id: PortId(self.0.next_id.fetch_add(1, Ordering::Relaxed)),
            rtp: pair.rtp,
            rtcp: pair.rtcp,
            shared: Arc::clone(&self.0),
            side: Arc::new(Mutex::new(Side {
                worker,
                pair: Some(pair),
                codec: None,
            })),
        })
    }

    /// How many port pairs are where.
    pub fn counts(&self) -> PoolCounts {
        self.0.pool.counts()
    }

    /// Whether there is no port left for one more call.
    pub fn is_full(&self) -> bool {
        self.0.pool.is_full()
    }

    /// Slots that began more than one slot late, since the start: the sign of an overloaded machine.
    pub fn overruns(&self) -> usize {
        self.0
            .links
            .iter()
            .map(|l| l.overruns.load(Ordering::Relaxed))
            .sum()
    }
}

impl Shared {
    fn now(&self) -> Instant {
        match &self.clock {
            Clock::Host => clock::now(),
            Clock::Inline(begin, micros) => {
                *begin + Duration::from_micros(micros.load(Ordering::Relaxed))
            }
        }
    }

    /// The certificate of this run, made when the first browser calls.
    fn identity(&self) -> Option<Arc<Identity>> {
        self.identity
            .get_or_init(|| identity::make().map(Arc::new))
            .clone()
    }

    /// The thread with the fewest ports.
    fn least_busy(&self) -> usize {
        let ports = |worker: &usize| {
            let link = self.links.get(*worker);
            link.map_or(usize::MAX, |link| link.ports.load(Ordering::Relaxed))
        };
        (0..self.links.len()).min_by_key(ports).unwrap_or(0)
    }

    fn send(&self, worker: usize, message: Message) {
        if let Some(link) = self.links.get(worker) {
            link.push(message);
        }
    }

    fn count(&self, worker: usize, more: bool) {
        if let Some(link) = self.links.get(worker) {
            if more {
                link.ports.fetch_add(1, Ordering::Relaxed);
            } else {
                link.ports.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// The frames of a clip: ready ones at once, others made by the keeper while the queue waits. What the keeper has
    /// to do must be given to it after the queue has the source, or its answer could come first.
    fn frames(
        &self,
        clip: Arc<Clip>,
        codec: Codec,
        looped: bool,
        side: &Arc<Mutex<Side>>,
        port: PortId,
    ) -> (Audio, Option<Job>) {
        let inline = matches!(self.clock, Clock::Inline(..));
        let ready = if inline {
            Some(make(&clip, codec))
        } else if codec.is_seamless() {
            clip.encoded_ready(codec).map(Ready::Frames)
        } else {
            clip.pcm_ready(codec.sample_rate_hz()).map(Ready::Samples)
        };
        if ready.is_some() {
            return (Audio::clip(codec, ready, 0, looped), None);
        }
        let ticket = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (links, side) = (Arc::clone(&self.links), Arc::clone(side));
        let job: Job = Box::new(move || {
            let made = make(&clip, codec);
            // Under the lock: the port cannot move away in between.
            let side = lock(&side);
            if let Some(link) = links.get(side.worker) {
                link.push(Message::Prepared(port, ticket, made));
            }
        });
        (Audio::clip(codec, None, ticket, looped), Some(job))
    }
}

/// What a port that speaks `codec` plays of a clip.
fn make(clip: &Clip, codec: Codec) -> Ready {
    if codec.is_seamless() {
        Ready::Frames(clip.encoded(codec))
    } else {
        Ready::Samples(clip.pcm(codec.sample_rate_hz()))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let mut threads = std::mem::take(&mut self.threads).into_iter();
        for link in self.links.iter() {
            link.stop();
        }
        // Workers first: what they still hold goes to the keeper and the recorder.
        for thread in threads.by_ref().take(self.links.len()) {
            drop(thread.join());
        }
        self.keeper.stop();
        self.recorder.stop();
        for thread in threads {
            drop(thread.join());
        }
    }
}

/// One port: a leg's place in the media engine. Dropping it sends RTCP BYE, reports [`MediaEvent::Closed`] and puts its
/// sockets into quarantine.
#[derive(Debug)]
pub struct Port {
    id: PortId,
    rtp: SocketAddr,
    rtcp: SocketAddr,
    shared: Arc<Shared>,
    /// Shared with what the keeper prepares for the port.
    side: Arc<Mutex<Side>>,
}

/// What the handle remembers.
#[derive(Debug)]
struct Side {
    /// Which thread it is on, or on its way to.
    worker: usize,
    /// The sockets, until the first instruction gives them to the worker.
    pair: Option<Pair>,
    /// The codec agreed on last.
    codec: Option<Codec>,
}

impl Port {
    /// Names the port in events.
    pub fn id(&self) -> PortId {
        self.id
    }

    /// The local RTP address.
    pub fn rtp_addr(&self) -> SocketAddr {
        self.rtp
    }

    /// The local RTCP address.
    pub fn rtcp_addr(&self) -> SocketAddr {
        self.rtcp
    }

    /// Tells the port what to do. Never blocks; obeyed within a few milliseconds, in order.
    pub fn command(&self, command: Command) {
        let mut side = lock(&self.side);
        self.attach(&mut side);
        let codec = side.codec.unwrap_or(Codec::Pcmu);
        let mut job = None;
        let message = match command {
            Command::Configure(plan) => {
                side.codec = Some(plan.agreed.codec);
                let browser = plan.agreed.webrtc.is_some();
                let identity = browser.then(|| self.shared.identity()).flatten();
                Message::Configure(self.id, plan, identity)
            }
            Command::Play { op, source } => {
                let mut frames = |clip, looped| {
                    let (audio, later) =
                        self.shared.frames(clip, codec, looped, &self.side, self.id);
                    job = later;
                    audio
                };
                let audio = match source {
                    Source::Clip(clip) => frames(clip, false),
                    Source::Tone(clip, looped) => frames(clip, looped),
                    Source::Silence(length) => Audio::silence(length),
                    Source::Stream(reader) => Audio::Stream(reader),
                    Source::Echo => Audio::Echo,
                };
                Message::Play(self.id, op, audio)
            }
            Command::Record { op, spec } => {
                Message::Record(self.id, self.shared.recorder.begin(self.id, op, spec))
            }
            Command::SendDigits {
                op,
                digits,
                duration_ms,
                gap_ms,
            } => Message::SendDigits {
                port: self.id,
                op,
                digits,
                duration_ms,
                gap_ms,
            },
            Command::Cancel(op) => Message::Cancel(self.id, op),
            Command::StopRecord(op) => Message::StopRecord(self.id, op),
            Command::PauseRecord(op, how) => Message::PauseRecord(self.id, op, how),
            Command::Listen { op, tap } => Message::Listen(self.id, tap.under(op)),
            Command::Unlisten(op) => Message::Unlisten(self.id, op),
            Command::Mute(on) => Message::Mute(self.id, on),
            Command::Inband(on) => Message::Inband(self.id, on),
            Command::Flush => Message::Flush(self.id),
        };
        self.shared.send(side.worker, message);
        if let Some(job) = job {
            self.shared.keeper.prepare(job);
        }
    }

    fn push(&self, message: Message) {
        let side = lock(&self.side);
        self.shared.send(side.worker, message);
    }

    /// Gives the sockets to the worker, the first time something is asked of it.
    fn attach(&self, side: &mut Side) {
        if let Some(pair) = side.pair.take() {
            let mut rng = lock(&self.shared.rng).fork();
            let state = PortState::new(self.id, self.shared.keepalive, &mut rng);
            let message = Message::Attach(Box::new(state), pair);
            self.shared.send(side.worker, message);
        }
    }

    /// Makes sure that its worker has it; which one that is.
    fn settle(&self) -> usize {
        let mut side = lock(&self.side);
        self.attach(&mut side);
        side.worker
    }

    /// Moves it to another worker, with everything it plays and records.
    fn move_to(&self, worker: usize) {
        let mut side = lock(&self.side);
        let from = side.worker;
        if from != worker
            && let Some(to) = self.shared.links.get(worker)
        {
            self.shared.count(from, false);
            self.shared.count(worker, true);
            side.worker = worker;
            if side.pair.is_none() {
                // First the one that will have it: whatever is asked of the port from now on waits there.
                to.push(Message::Expect(self.id));
                self.shared
                    .send(from, Message::Move(self.id, Arc::clone(to)));
            }
        }
        self.attach(&mut side);
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        let mut side = lock(&self.side);
        match side.pair.take() {
            Some(pair) => {
                self.shared.pool.give_back(pair, self.shared.now());
                self.shared.outside.push(MediaEvent::Closed {
                    port: self.id,
                    stats: Box::new(PortStats::default()),
                    passed: None,
                });
            }
            None => self.shared.send(side.worker, Message::Detach(self.id)),
        }
        self.shared.count(side.worker, false);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The one worker of an inline engine.
#[derive(Debug)]
pub struct InlineWorker {
    worker: Worker,
    link: Arc<Link>,
    pool: Arc<PortPool>,
    recorder: Arc<Recorder>,
    retired: Consumer<Retired>,
    begin: Instant,
    time: Arc<AtomicU64>,
    inbox: Vec<Message>,
}

impl InlineWorker {
    /// Obeys what handles asked for, does every slot whose time has come, takes waiting packets, publishes events.
    pub fn tick(&mut self, now: Instant, io: &mut impl PacketIo) {
        let micros = now.saturating_duration_since(self.begin).as_micros();
        self.time
            .store(u64::try_from(micros).unwrap_or(u64::MAX), Ordering::Relaxed);
        if self.link.collect(&mut self.inbox) {
            self.worker.obey(now, &mut self.inbox, io);
        }
        self.worker.tick(now, io);
        self.worker.mend(now, io);
        self.worker.publish();
        while let Ok(gone) = self.retired.pop() {
            if let Some(pair) = gone.pair {
                self.pool.give_back(pair, now);
            }
        }
        self.pool.maintain(now);
        self.recorder.poll(now);
    }

    /// When [`tick`](Self::tick) has something to do; `None`: not before a handle is used.
    pub fn next_deadline(&self, now: Instant) -> Option<Instant> {
        if self.link.has_waiting() {
            Some(now)
        } else {
            self.worker.next_deadline()
        }
    }

    /// Ports the worker holds.
    pub fn ports(&self) -> usize {
        self.worker.ports()
    }
}

fn new_worker(
    link: &Arc<Link>,
    outside: &Arc<Outside>,
    rng: Rng,
    now: Instant,
    unix: UnixMicros,
) -> (Worker, Consumer<MediaEvent>, Consumer<Retired>) {
    let (events, ring) = RingBuffer::new(EVENTS);
    let (retire, gone) = RingBuffer::new(RETIRED);
    (
        Worker::new(
            Arc::clone(link),
            Arc::clone(outside),
            events,
            retire,
            rng,
            now,
            unix,
        ),
        ring,
        gone,
    )
}

/// A worker's thread: obey, tick, publish, sleep until the next slot or the bell.
fn run(mut worker: Worker, mut io: EpollIo, link: &Link, mut waiter: Waiter) {
    priority::raise();
    let mut inbox = Vec::new();
    loop {
        let now = clock::now();
        if link.collect(&mut inbox) {
            worker.obey(now, &mut inbox, &mut io);
        } else if link.is_stopped() && !link.has_waiting() && !worker.is_expecting() {
            worker.publish();
            return;
        }
        worker.tick(now, &mut io);
        worker.mend(now, &mut io);
        worker.publish();
        match worker.next_deadline() {
            Some(at) => {
                let now = clock::now();
                if at > now {
                    waiter.sleep(Some((at - now, SLOT)), &mut io.woken);
                } else {
                    // A slot is due already: the timer's grid may be behind ours now.
                    waiter.realign();
                    waiter.look(&mut io.woken);
                }
            }
            None if worker.is_backlogged() => {
                waiter.sleep(Some((SLOT, SLOT)), &mut io.woken);
                // Not the grid of the ports to come.
                waiter.realign();
            }
            None if link.may_sleep() => {
                waiter.sleep(None, &mut io.woken);
                link.awake();
            }
            None => {}
        }
    }
}

/// Asks for as many open files as the process may have; returns how many that are.
fn raise_descriptor_limit() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(DESCRIPTORS).min(DESCRIPTORS);
    let have = limit.current.unwrap_or(DESCRIPTORS);
    let raised = Rlimit {
        current: Some(wanted),
        maximum: limit.maximum,
    };
    let now = if have < wanted && setrlimit(Resource::Nofile, raised).is_ok() {
        wanted
    } else {
        have
    };
    usize::try_from(now).unwrap_or(usize::MAX)
}

/// Events a worker may publish before the signalling thread reads them; more wait on their ports.
const EVENTS: usize = 1024;
/// Ports on their way from a worker to the keeper; more wait in the worker.
const RETIRED: usize = 1024;
/// More descriptors than the whole port range needs.
const DESCRIPTORS: u64 = 1 << 18;
/// The wall clock of an inline engine at its beginning: 2024-01-01.
const INLINE_UNIX_TIME: UnixMicros = UnixMicros(1_704_067_200_000_000);
