//! One worker: a table of ports, driven slot by slot. Pure: time and packets are handed in.
//!
//! `obey` and `mend` may allocate; `tick` does not, nor does it lock or log. What ports have to say stays on them until
//! `publish` has put it into the ring.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rtrb::Producer;

use super::event::{MediaEvent, Outside};
use super::io::{PacketIo, PortKey, Received};
use super::link::{Link, Message};
use super::mixer::{Place, RoomOrder, Rooms};
use super::pool::Pair;
use super::port::{Context, PortState, Scratch, WallClock};
use super::wheel::{SLOT, Wheel};
use crate::base::id::PortId;
use crate::base::rng::Rng;
use crate::base::time::UnixMicros;

/// The ports of one worker.
#[derive(Debug)]
pub(super) struct Worker {
    link: Arc<Link>,
    outside: Arc<Outside>,
    events: Producer<MediaEvent>,
    retire: Producer<Retired>,
    table: Table,
    free: Vec<u32>,
    keys: BTreeMap<PortId, u32>,
    /// Ports on their way here, with what was asked of them meanwhile.
    expected: BTreeMap<PortId, Vec<Message>>,
    wheel: Wheel,
    /// Events of ports that are gone.
    backlog: VecDeque<MediaEvent>,
    /// Ports that are gone, while the keeper's ring is full.
    leaving: VecDeque<Retired>,
    buffer: Box<[u8; PACKET_BYTES]>,
}

/// The ports, and what they share.
#[derive(Debug)]
struct Table {
    ports: Vec<Option<Box<PortState>>>,
    /// Ports with notes.
    listed: Vec<u32>,
    /// Ports whose join wants something that cannot be done on the tick.
    mending: Vec<u32>,
    scratch: Scratch,
    rooms: Rooms,
    rng: Rng,
    clock: WallClock,
}

/// A port that is gone: its sockets, and its state to be freed elsewhere.
#[derive(Debug)]
pub(super) struct Retired {
    pub(super) pair: Option<Pair>,
    _state: Box<PortState>,
}

impl Worker {
    pub(super) fn new(
        link: Arc<Link>,
        outside: Arc<Outside>,
        events: Producer<MediaEvent>,
        retire: Producer<Retired>,
        rng: Rng,
        now: Instant,
        unix: UnixMicros,
    ) -> Self {
        Self {
            link,
            outside,
            events,
            retire,
            table: Table {
                ports: Vec::new(),
                listed: Vec::new(),
                mending: Vec::new(),
                scratch: Scratch::new(),
                rooms: Rooms::default(),
                rng,
                clock: WallClock { begin: now, unix },
            },
            free: Vec::new(),
            keys: BTreeMap::new(),
            expected: BTreeMap::new(),
            wheel: Wheel::new(now),
            backlog: VecDeque::new(),
            leaving: VecDeque::new(),
            buffer: Box::new([0; PACKET_BYTES]),
        }
    }

    /// Obeys everything in `inbox`, in order.
    pub(super) fn obey(&mut self, now: Instant, inbox: &mut Vec<Message>, io: &mut impl PacketIo) {
        for message in inbox.drain(..) {
            self.obey_one(now, message, io);
        }
    }

    fn obey_one(&mut self, now: Instant, message: Message, io: &mut impl PacketIo) {
        let message = match message {
            Message::Attach(state, pair) => {
                let port = state.id();
                self.attach(now, state, pair, io);
                for waiting in self.expected.remove(&port).into_iter().flatten() {
                    self.obey_one(now, waiting, io);
                }
                return;
            }
            Message::Expect(port) => {
                self.expected.entry(port).or_default();
                return;
            }
            other => other,
        };
        let awaited = [Some(message.port()), message.other()];
        for port in awaited.into_iter().flatten() {
            if let Some(waiting) = self.expected.get_mut(&port) {
                waiting.push(message);
                return;
            }
        }
        match message {
            Message::Detach(port) => self.detach(now, port, io),
            Message::Move(port, to) => self.hand_over(now, port, &to, io),
            Message::Room(room, order) => self.room(now, room, order, io),
            Message::Seat(port, room, seating) => {
                if let Some(key) = self.keys.get(&port).copied() {
                    self.table.part(now, key, io);
                    let place = self.table.rooms.seat(room, port, seating);
                    self.table
                        .visit(now, key, io, |state, cx| state.sit(place, cx));
                }
            }
            Message::Leave(port, room) => {
                if let Some(key) = self.keys.get(&port).copied()
                    && self.table.rooms.has(room, self.table.place(key))
                {
                    self.table
                        .visit(now, key, io, |state, cx| state.sit(None, cx));
                }
            }
            Message::Join(a, b) => {
                if let Some((a, b)) = self.both(a, b) {
                    for key in [a, b] {
                        self.table
                            .visit(now, key, io, |state, cx| state.sit(None, cx));
                    }
                    self.table.join(now, a, b, io);
                }
            }
            Message::Part(a, b) => {
                if let Some((a, b)) = self.both(a, b)
                    && self.table.partner(a) == Some(b)
                {
                    self.table.part(now, a, io);
                }
            }
            other => {
                if let Some(key) = self.keys.get(&other.port()).copied() {
                    let agreed = matches!(other, Message::Configure(..));
                    self.table
                        .visit(now, key, io, |state, cx| state.obey(other, cx));
                    if agreed && let Some(with) = self.table.partner(key) {
                        self.table.plan(now, key, with, io);
                    }
                }
            }
        }
    }

    /// Obeys an instruction to a room; whose room is gone has a seat no more.
    fn room(&mut self, now: Instant, room: PortId, order: RoomOrder, io: &mut impl PacketIo) {
        for port in self.table.rooms.obey(room, order) {
            if let Some(key) = self.keys.get(&port).copied() {
                self.table
                    .visit(now, key, io, |state, cx| state.sit(None, cx));
            }
        }
    }

    /// The places of two ports.
    fn both(&self, a: PortId, b: PortId) -> Option<(u32, u32)> {
        let (a, b) = (*self.keys.get(&a)?, *self.keys.get(&b)?);
        (a != b).then_some((a, b))
    }

    /// Does every slot whose time has come, then takes the packets that wait: those of relayed ports every time, those
    /// of the others after a slot.
    pub(super) fn tick(&mut self, now: Instant, io: &mut impl PacketIo) {
        let mut paced = false;
        if let Some(due) = self.wheel.next_deadline() {
            let behind = now.saturating_duration_since(due).as_millis() / SLOT.as_millis();
            if behind > 0 {
                self.link.overruns.fetch_add(
                    usize::try_from(behind).unwrap_or(usize::MAX),
                    Ordering::Relaxed,
                );
            }
        }
        while let Some(slot) = self.wheel.begin_slot(now) {
            let late = now.saturating_duration_since(self.wheel.time_of(slot)) > TOO_LATE;
            paced = true;
            self.table.rooms.mix(slot);
            while let Some(key) = self.wheel.next_due() {
                self.table.slot(now, key, io, late);
                if let Some(Some(state)) = self.table.ports.get_mut(key as usize) {
                    let period = state.period_ms();
                    self.wheel.put_back(&mut state.place, key, period);
                }
            }
        }
        loop {
            let received = if paced {
                io.receive(&mut self.buffer[..])
            } else {
                io.receive_relayed(&mut self.buffer[..])
            };
            let Some(received) = received else { break };
            let Some(bytes) = self.buffer.get_mut(..received.len) else {
                continue;
            };
            self.table.receive(now, &received, bytes, io);
        }
    }

    /// Does what came up in the tick and could not be done there.
    pub(super) fn mend(&mut self, now: Instant, io: &mut impl PacketIo) {
        while let Some(key) = self.table.mending.pop() {
            self.table.mend(now, key, io);
        }
    }

    /// Whether a port is on its way here.
    pub(super) fn is_expecting(&self) -> bool {
        !self.expected.is_empty()
    }

    /// Moves what ports have to say into the ring, as far as there is room, and rings the reader's bell once.
    pub(super) fn publish(&mut self) {
        let mut any = false;
        while let Some(gone) = self.leaving.pop_front() {
            if let Err(rtrb::PushError::Full(gone)) = self.retire.push(gone) {
                self.leaving.push_front(gone);
                break;
            }
        }
        if self.events.is_abandoned() {
            self.backlog.clear();
        }
        while let Some(event) = self.backlog.pop_front() {
            if let Err(rtrb::PushError::Full(event)) = self.events.push(event) {
                self.backlog.push_front(event);
                break;
            }
            any = true;
        }
        let Table { ports, listed, .. } = &mut self.table;
        let events = &mut self.events;
        listed.retain(|key| {
            let Some(Some(state)) = ports.get_mut(*key as usize) else {
                return false;
            };
            while let Some(event) = state.next_event() {
                if events.push(event).is_err() {
                    return true;
                }
                any = true;
                state.forget_note();
            }
            state.listed = false;
            false
        });
        self.table.rooms.publish(|event| {
            let taken = events.push(event).is_ok();
            any |= taken;
            taken
        });
        if any {
            self.outside.notify.notify_one();
        }
    }

    /// When the next slot begins; `None` while there are no ports.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.wheel.next_deadline()
    }

    /// Whether something waits for room in a ring.
    pub(super) fn is_backlogged(&self) -> bool {
        !self.backlog.is_empty() || !self.leaving.is_empty() || !self.table.rooms.is_quiet()
    }

    /// How many ports there are.
    pub(super) fn ports(&self) -> usize {
        self.wheel.len()
    }

    fn attach(
        &mut self,
        now: Instant,
        mut state: Box<PortState>,
        pair: Pair,
        io: &mut impl PacketIo,
    ) {
        let table = &mut self.table;
        let key = self.free.pop().unwrap_or_else(|| {
            table.ports.push(None);
            u32::try_from(table.ports.len() - 1).unwrap_or(u32::MAX)
        });
        state.place = self.wheel.insert(now, key);
        state.moved();
        state.listed = state.has_notes();
        let listed = state.listed;
        self.keys.insert(state.id(), key);
        io.attach(PortKey(key), pair);
        if let Some(place) = table.ports.get_mut(key as usize) {
            *place = Some(state);
        }
        // Every port may have something to say in the same slot.
        table
            .listed
            .reserve(table.ports.len().saturating_sub(table.listed.len()));
        table
            .mending
            .reserve(table.ports.len().saturating_sub(table.mending.len()));
        if listed {
            table.listed.push(key);
        }
    }

    /// Takes a port out of the table.
    fn remove(
        &mut self,
        now: Instant,
        port: PortId,
        io: &mut impl PacketIo,
    ) -> Option<(Box<PortState>, Option<Pair>)> {
        let key = self.keys.remove(&port)?;
        self.table.part(now, key, io);
        self.table
            .visit(now, key, io, |state, cx| state.sit(None, cx));
        let pair = io.detach(PortKey(key));
        let state = self.table.ports.get_mut(key as usize)?.take()?;
        self.table.listed.retain(|listed| *listed != key);
        self.table.mending.retain(|listed| *listed != key);
        self.wheel.remove(state.place, key);
        self.free.push(key);
        Some((state, pair))
    }

    /// Gives a port with its sockets, and the packets that wait in them, to another worker.
    fn hand_over(&mut self, now: Instant, port: PortId, to: &Link, io: &mut impl PacketIo) {
        if let Some((state, Some(pair))) = self.remove(now, port, io) {
            to.push(Message::Attach(state, pair));
        }
    }

    fn detach(&mut self, now: Instant, port: PortId, io: &mut impl PacketIo) {
        let Some(key) = self.keys.get(&port).copied() else {
            return;
        };
        let mut stats = None;
        self.table
            .visit(now, key, io, |state, cx| stats = Some(state.close(cx)));
        let Some((mut state, pair)) = self.remove(now, port, io) else {
            return;
        };
        while let Some(event) = state.next_event() {
            self.backlog.push_back(event);
            state.forget_note();
        }
        self.backlog.push_back(MediaEvent::Closed {
            port,
            stats: Box::new(stats.unwrap_or_default()),
            passed: state.take_passed(),
        });
        self.leaving.push_back(Retired {
            pair,
            _state: state,
        });
    }
}

impl Table {
    /// One packet period of a port; what it heard for the port it is joined with goes there.
    fn slot<I: PacketIo>(&mut self, now: Instant, key: u32, io: &mut I, late: bool) {
        self.scratch.far.clear();
        let mut mending = false;
        self.visit(now, key, io, |state, cx| {
            state.slot(cx, late);
            mending = state.needs_mending(now);
        });
        if mending && !self.mending.contains(&key) {
            self.mending.push(key);
        }
        if !self.scratch.far.is_empty()
            && let Some(with) = self.partner(key)
            && let Some(Some(other)) = self.ports.get_mut(with as usize)
        {
            let Scratch { far, wide, .. } = &mut self.scratch;
            other.take_far(far, wide);
        }
    }

    /// A packet, and where it goes on to.
    fn receive<I: PacketIo>(
        &mut self,
        now: Instant,
        received: &Received,
        bytes: &mut [u8],
        io: &mut I,
    ) {
        let Received {
            key, channel, from, ..
        } = *received;
        let mut passing = None;
        let mut mending = false;
        self.visit(now, key.0, io, |state, cx| {
            passing = state.receive(cx, channel, from, bytes);
            mending = state.needs_mending(now);
        });
        if let Some(passing) = passing {
            let mut fits = true;
            self.visit(now, passing.to, io, |other, cx| {
                fits = other.forward(&passing, cx);
            });
            if !fits && let Some(Some(state)) = self.ports.get_mut(key.0 as usize) {
                state.set_foreign();
                mending = state.needs_mending(now);
            }
        }
        if mending && !self.mending.contains(&key.0) {
            self.mending.push(key.0);
        }
    }

    /// Where a port sits.
    fn place(&self, key: u32) -> Option<Place> {
        self.ports.get(key as usize)?.as_ref()?.place_in_room()
    }

    /// The port another is joined with.
    fn partner(&self, key: u32) -> Option<u32> {
        self.ports.get(key as usize)?.as_ref()?.joined_with()
    }

    /// Joins two ports, each of which leaves whom it was joined with.
    fn join<I: PacketIo>(&mut self, now: Instant, a: u32, b: u32, io: &mut I) {
        for (key, other) in [(a, b), (b, a)] {
            if self.partner(key).is_some_and(|with| with != other) {
                self.part(now, key, io);
            }
        }
        self.plan(now, a, b, io);
    }

    /// Decides how the sound of two joined ports goes to and fro.
    fn plan<I: PacketIo>(&mut self, now: Instant, a: u32, b: u32, io: &mut I) {
        let (Some(Some(one)), Some(Some(other))) =
            (self.ports.get(a as usize), self.ports.get(b as usize))
        else {
            return;
        };
        let ways = [one.way_to(other), other.way_to(one)];
        let [there, back] = ways;
        let [ours, theirs] = [one.traits(), other.traits()];
        self.visit(now, a, io, |state, cx| state.join(b, there, theirs, cx));
        self.visit(now, b, io, |state, cx| state.join(a, back, ours, cx));
    }

    /// Ends a join.
    fn part<I: PacketIo>(&mut self, now: Instant, key: u32, io: &mut I) {
        let Some(with) = self.partner(key) else {
            return;
        };
        self.visit(now, key, io, PortState::part);
        self.visit(now, with, io, PortState::part);
    }

    /// Does what a port's join wants beyond the tick.
    fn mend<I: PacketIo>(&mut self, now: Instant, key: u32, io: &mut I) {
        self.visit(now, key, io, PortState::tend);
        let mismatched = |state: &Option<Box<PortState>>| {
            state.as_ref().is_some_and(|state| state.is_mismatched())
        };
        if !self.ports.get(key as usize).is_some_and(mismatched) {
            return;
        }
        let Some(with) = self.partner(key) else {
            return;
        };
        let mut tones = smallvec::SmallVec::new();
        self.visit(now, key, io, |state, _| tones = state.take_tones());
        self.visit(now, with, io, |other, _| {
            tones.iter().for_each(|key| other.sound_key(*key));
        });
        self.plan(now, key, with, io);
    }

    /// Lets `f` work on a port, and notes whether it has something to say afterwards.
    fn visit<I: PacketIo>(
        &mut self,
        now: Instant,
        key: u32,
        io: &mut I,
        f: impl FnOnce(&mut PortState, &mut Context<'_, I>),
    ) {
        let Some(Some(state)) = self.ports.get_mut(key as usize) else {
            return;
        };
        let mut cx = Context {
            now,
            io,
            key: PortKey(key),
            scratch: &mut self.scratch,
            rooms: &mut self.rooms,
            rng: &mut self.rng,
            clock: self.clock,
        };
        f(state, &mut cx);
        if !state.listed && state.has_notes() {
            state.listed = true;
            self.listed.push(key);
        }
    }
}

/// A slot this long past is not made up for: its packets would come in a burst nobody can use.
const TOO_LATE: Duration = Duration::from_millis(200);
/// The longest packet looked at; longer ones are cut, and then refused by their length.
const PACKET_BYTES: usize = 2048;
