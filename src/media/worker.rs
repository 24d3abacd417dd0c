//! One worker: a table of ports, driven slot by slot. Pure: time and packets are handed in.
//!
//! `obey` may allocate; `tick` does not, nor does it lock or log. What ports have to say stays on them until
//! `publish` has put it into the ring.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rtrb::Producer;

use super::event::{MediaEvent, Outside};
use super::io::{PacketIo, PortKey, Received};
use super::link::{Link, Message};
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
    scratch: Scratch,
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
                scratch: Scratch::new(),
                rng,
                clock: WallClock { begin: now, unix },
            },
            free: Vec::new(),
            keys: BTreeMap::new(),
            wheel: Wheel::new(now),
            backlog: VecDeque::new(),
            leaving: VecDeque::new(),
            buffer: Box::new([0; PACKET_BYTES]),
        }
    }

    /// Obeys everything in `inbox`, in order.
    pub(super) fn obey(&mut self, now: Instant, inbox: &mut Vec<Message>, io: &mut impl PacketIo) {
        for message in inbox.drain(..) {
            match message {
                Message::Attach(state, pair) => self.attach(now, state, pair, io),
                Message::Detach(port) => self.detach(now, port, io),
                Message::Configure(port, _)
                | Message::Play(port, ..)
                | Message::Prepared(port, ..)
                | Message::Cancel(port, _)
                | Message::SendDigits { port, .. }
                | Message::Record(port, _)
                | Message::StopRecord(port, _)
                | Message::Mute(port, _)
                | Message::Inband(port, _)
                | Message::Flush(port) => {
                    if let Some(key) = self.keys.get(&port).copied() {
                        self.table
                            .visit(now, key, io, |state, cx| state.obey(message, cx));
                    }
                }
            }
        }
    }

    /// Does every slot whose time has come, then takes the packets that wait.
    pub(super) fn tick(&mut self, now: Instant, io: &mut impl PacketIo) {
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
            while let Some(key) = self.wheel.next_due() {
                self.table
                    .visit(now, key, io, |state, cx| state.slot(cx, late));
                if let Some(Some(state)) = self.table.ports.get_mut(key as usize) {
                    let period = state.period_ms();
                    self.wheel.put_back(&mut state.place, key, period);
                }
            }
        }
        while let Some(Received {
            key,
            channel,
            from,
            len,
        }) = io.receive(&mut self.buffer[..])
        {
            let Some(bytes) = self.buffer.get(..len) else {
                continue;
            };
            self.table.visit(now, key.0, io, |state, cx| {
                state.receive(cx, channel, from, bytes)
            });
        }
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
        !self.backlog.is_empty() || !self.leaving.is_empty()
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
        self.keys.insert(state.id(), key);
        io.attach(PortKey(key), pair);
        if let Some(place) = table.ports.get_mut(key as usize) {
            *place = Some(state);
        }
        // Every port may have something to say in the same slot.
        table
            .listed
            .reserve(table.ports.len().saturating_sub(table.listed.len()));
    }

    fn detach(&mut self, now: Instant, port: PortId, io: &mut impl PacketIo) {
        let Some(key) = self.keys.remove(&port) else {
            return;
        };
        let mut stats = None;
        self.table
            .visit(now, key, io, |state, cx| stats = Some(state.close(cx)));
        let pair = io.detach(PortKey(key));
        let Some(mut state) = self
            .table
            .ports
            .get_mut(key as usize)
            .and_then(Option::take)
        else {
            return;
        };
        self.table.listed.retain(|listed| *listed != key);
        self.wheel.remove(state.place, key);
        self.free.push(key);
        while let Some(event) = state.next_event() {
            self.backlog.push_back(event);
            state.forget_note();
        }
        self.backlog.push_back(MediaEvent::Closed {
            port,
            stats: Box::new(stats.unwrap_or_default()),
        });
        self.leaving.push_back(Retired {
            pair,
            _state: state,
        });
    }
}

impl Table {
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
