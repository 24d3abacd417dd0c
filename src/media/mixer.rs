//! A room where many ports hear each other: what one worker keeps of it. Pure.
//!
//! All ports of a room share a worker, so its clock is theirs and nothing drifts. Members decode in their own slots and
//! leave what they said at the room; once a period of 20 ms the room adds up who is loud enough (the loudest
//! [`MOST_VOICES`] of them). Members fetch what they hear in their own slots again: who has not spoken lately copies a
//! payload that is encoded once a codec, the others have their own voice taken out of the sum and an encoder of their
//! own. Nothing on the tick allocates.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::command::Seating;
use super::event::{Finish, MediaEvent, RecordEnd};
use super::record::{BothSides, Tap};
use crate::audio::level::{FLOOR_DBOV, level_dbov};
use crate::audio::{Codec, Rate, mix};
use crate::base::id::{OpId, PortId};

mod seat;
mod shared;
#[cfg(test)]
mod tests;

use self::seat::{Part, Seat};
use self::shared::{Playing, Shared};

/// An instruction to a room.
#[derive(Debug)]
pub(super) enum RoomOrder {
    /// It begins.
    Open,
    /// Everybody hears this, over what is said. Samples at [`ROOM_HZ`]; `None`: they follow as `Prepared`.
    Play {
        /// The operation its end is reported for.
        op: OpId,
        /// What is played.
        pcm: Option<Arc<[i16]>>,
        /// From the beginning again at the end.
        looped: bool,
    },
    /// What an earlier `Play` waits for.
    Prepared(OpId, Arc<[i16]>),
    /// Ends what plays under that operation.
    Cancel(OpId),
    /// Records what is said.
    Record(Tap),
    /// Ends the recording.
    StopRecord(OpId),
    /// It is over.
    Close,
}

/// A member's place: which room, and which seat in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    room: u32,
    seat: u32,
    /// Whether what its peer says is wanted.
    pub(super) speaks: bool,
}

impl Place {
    /// Whether both are the same seat.
    pub(super) fn is_seat_of(self, other: Self) -> bool {
        (self.room, self.seat) == (other.room, other.seat)
    }
}

/// What a member's port sounds like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sound {
    /// The rate of what comes from the peer.
    pub(super) heard_hz: u32,
    /// What goes to the peer.
    pub(super) spoken: Codec,
    /// How long its packets are.
    pub(super) ptime_ms: u8,
}

/// The rooms of one worker.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    rooms: Vec<Option<Box<Mixer>>>,
    keys: BTreeMap<PortId, u32>,
}

impl Rooms {
    /// Obeys an instruction to a room. Not on the tick. Members that lost their room come back.
    pub(super) fn obey(&mut self, id: PortId, order: RoomOrder) -> Vec<PortId> {
        match order {
            RoomOrder::Open => {
                let key = self.rooms.iter().position(Option::is_none);
                let key = key.unwrap_or_else(|| {
                    self.rooms.push(None);
                    self.rooms.len() - 1
                });
                let mixer = Box::new(Mixer::new(id, key as u64));
                if let Some(place) = self.rooms.get_mut(key) {
                    *place = Some(mixer);
                }
                self.keys.insert(id, u32::try_from(key).unwrap_or(u32::MAX));
                Vec::new()
            }
            RoomOrder::Close => {
                let key = self.keys.remove(&id);
                let place = key.and_then(|key| self.rooms.get_mut(key as usize));
                place
                    .and_then(Option::take)
                    .map(|mixer| mixer.close())
                    .unwrap_or_default()
            }
            other => {
                if let Some(mixer) = self.named(id) {
                    mixer.obey(other);
                }
                Vec::new()
            }
        }
    }

    /// Gives a port a seat. Not on the tick. `None`: there is no such room.
    pub(super) fn seat(&mut self, room: PortId, port: PortId, seating: Seating) -> Option<Place> {
        let key = *self.keys.get(&room)?;
        let seat = self.named(room)?.seat(port, seating);
        Some(Place {
            room: key,
            seat,
            speaks: seating.speaks,
        })
    }

    /// Whether that seat is in that room.
    pub(super) fn has(&self, room: PortId, place: Option<Place>) -> bool {
        let key = self.keys.get(&room);
        place.is_some_and(|place| key == Some(&place.room))
    }

    /// A seat is free again. Not on the tick.
    pub(super) fn leave(&mut self, place: Place) {
        if let Some(mixer) = self.at(place) {
            mixer.leave(place.seat);
        }
    }

    /// What a member's port speaks may have changed. Not on the tick.
    pub(super) fn adapt(&mut self, place: Place, sound: Sound) {
        if let Some(mixer) = self.at(place) {
            mixer.adapt(place.seat, sound);
        }
    }

    /// Adds up what was said, in the rooms whose turn it is in that slot of the wheel.
    pub(super) fn mix(&mut self, slot: u64) {
        for mixer in self.rooms.iter_mut().flatten() {
            if mixer.phase == slot % SLOTS_A_PERIOD {
                mixer.mix();
            }
        }
    }

    /// Takes 20 ms of what a member's peer says; `audible` when there is sound in it. Whether it begins or ends to
    /// talk, for whoever wants to know.
    pub(super) fn contribute(
        &mut self,
        place: Place,
        pcm: &[i16],
        audible: bool,
        wide: &mut Vec<i16>,
    ) -> Option<bool> {
        self.at(place)?.contribute(place.seat, pcm, audible, wide)
    }

    /// Appends the next packet's payload for a member, whose own encoder is `encode`. `false`: there is nothing for it.
    pub(super) fn fetch(
        &mut self,
        place: Place,
        encode: impl FnMut(&[i16], &mut Vec<u8>),
        buffers: Buffers<'_>,
    ) -> bool {
        self.at(place)
            .is_some_and(|mixer| mixer.fetch(place.seat, encode, buffers))
    }

    /// Hands out what rooms have to say, for as long as it is taken.
    pub(super) fn publish(&mut self, mut take: impl FnMut(MediaEvent) -> bool) {
        for mixer in self.rooms.iter_mut().flatten() {
            let port = mixer.id;
            while let Some((op, why)) = mixer.notes.front().copied() {
                if !take(MediaEvent::Finished { port, op, why }) {
                    return;
                }
                mixer.notes.pop_front();
            }
        }
    }

    /// Whether nobody has anything to say.
    pub(super) fn is_quiet(&self) -> bool {
        self.rooms
            .iter()
            .flatten()
            .all(|mixer| mixer.notes.is_empty())
    }

    fn at(&mut self, place: Place) -> Option<&mut Mixer> {
        self.rooms.get_mut(place.room as usize)?.as_deref_mut()
    }

    fn named(&mut self, id: PortId) -> Option<&mut Mixer> {
        let key = *self.keys.get(&id)?;
        self.rooms.get_mut(key as usize)?.as_deref_mut()
    }
}

/// Buffers a worker lends.
pub(super) struct Buffers<'a> {
    /// The packet, which the payload is appended to.
    pub(super) packet: &'a mut Vec<u8>,
    pub(super) pcm: &'a mut Vec<i16>,
    pub(super) wide: &'a mut Vec<i16>,
}

/// One room.
#[derive(Debug)]
struct Mixer {
    id: PortId,
    /// The slot of each period in which it adds up.
    phase: u64,
    /// Periods added up so far.
    periods: u64,
    seats: Vec<Option<Box<Seat>>>,
    /// What was said lately: a ring over the periods.
    sums: Box<[[i32; PERIOD]; DEPTH]>,
    shared: Vec<Shared>,
    playing: Vec<Playing>,
    tap: Option<Tap>,
    narrowing: Rate,
    /// Who may be heard in this period, with how loud they are.
    voices: Vec<(f32, u32)>,
    pcm: Vec<i16>,
    narrow: Vec<i16>,
    recorded: Vec<i16>,
    notes: VecDeque<(OpId, Finish)>,
}

impl Mixer {
    fn new(id: PortId, phase: u64) -> Self {
        Self {
            id,
            phase: phase % SLOTS_A_PERIOD,
            periods: 0,
            seats: Vec::new(),
            sums: Box::new([[0; PERIOD]; DEPTH]),
            shared: Vec::new(),
            playing: Vec::new(),
            tap: None,
            narrowing: Rate::new(ROOM_HZ, RECORDING_HZ),
            voices: Vec::new(),
            pcm: Vec::with_capacity(4 * PERIOD),
            narrow: Vec::with_capacity(4 * PERIOD),
            recorded: Vec::with_capacity(4 * PERIOD),
            notes: VecDeque::new(),
        }
    }

    fn obey(&mut self, order: RoomOrder) {
        match order {
            RoomOrder::Open | RoomOrder::Close => {}
            RoomOrder::Play { op, pcm, looped } => {
                if self.playing.len() >= MOST_PLAYING {
                    self.notes.push_back((op, Finish::Failed));
                } else {
                    self.playing.push(Playing {
                        op,
                        pcm,
                        at: 0,
                        looped,
                    });
                }
            }
            RoomOrder::Prepared(op, pcm) => {
                let waits = |playing: &&mut Playing| playing.op == op && playing.pcm.is_none();
                if let Some(playing) = self.playing.iter_mut().find(waits) {
                    playing.pcm = Some(pcm);
                }
            }
            RoomOrder::Cancel(op) => {
                let notes = &mut self.notes;
                self.playing.retain(|playing| {
                    let ends = playing.op == op;
                    if ends {
                        notes.push_back((op, Finish::Cancelled));
                    }
                    !ends
                });
            }
            RoomOrder::Record(mut tap) => {
                tap.tune(ROOM_HZ, ROOM_HZ);
                if let Some(other) = self.tap.replace(tap) {
                    other.end(RecordEnd::Stopped);
                }
            }
            RoomOrder::StopRecord(op) => {
                if self.tap.as_ref().is_some_and(|tap| tap.op() == op)
                    && let Some(tap) = self.tap.take()
                {
                    tap.end(RecordEnd::Stopped);
                }
            }
        }
        // Whatever ends on the tick finds room for its note.
        self.notes.reserve(self.playing.len());
    }

    fn close(mut self: Box<Self>) -> Vec<PortId> {
        if let Some(tap) = self.tap.take() {
            tap.end(RecordEnd::Closed);
        }
        self.seats.iter().flatten().map(|seat| seat.port).collect()
    }

    fn seat(&mut self, port: PortId, seating: Seating) -> u32 {
        let known = |seat: &Option<Box<Seat>>| seat.as_ref().is_some_and(|s| s.port == port);
        let index = match self.seats.iter().position(known) {
            Some(index) => index,
            None => self
                .seats
                .iter()
                .position(Option::is_none)
                .unwrap_or_else(|| {
                    self.seats.push(None);
                    self.seats.len() - 1
                }),
        };
        if let Some(place) = self.seats.get_mut(index) {
            place
                .get_or_insert_with(|| Box::new(Seat::new(port, seating)))
                .change(seating);
        }
        self.voices
            .reserve(self.seats.len().saturating_sub(self.voices.len()));
        self.coach();
        u32::try_from(index).unwrap_or(u32::MAX)
    }

    fn leave(&mut self, seat: u32) {
        if let Some(place) = self.seats.get_mut(seat as usize) {
            *place = None;
        }
        self.coach();
    }

    /// Who whispers to whom.
    fn coach(&mut self) {
        let whispers: Vec<(u32, PortId)> = (0..)
            .zip(&self.seats)
            .filter_map(|(index, seat)| Some((index, seat.as_ref()?.seating.coaches?)))
            .collect();
        for seat in self.seats.iter_mut().flatten() {
            seat.coaches.clear();
            let to = whispers.iter().filter(|(_, to)| *to == seat.port);
            seat.coaches.extend(to.map(|(index, _)| *index));
        }
    }

    fn adapt(&mut self, seat: u32, sound: Sound) {
        if let Some(Some(seat)) = self.seats.get_mut(seat as usize) {
            seat.adapt(sound);
        }
        if !self
            .shared
            .iter()
            .any(|shared| shared.codec == sound.spoken)
        {
            self.shared.push(Shared::new(sound.spoken));
        }
    }

    fn contribute(
        &mut self,
        seat: u32,
        pcm: &[i16],
        audible: bool,
        wide: &mut Vec<i16>,
    ) -> Option<bool> {
        let seat = self.seats.get_mut(seat as usize)?.as_deref_mut()?;
        if !seat.seating.speaks {
            return None;
        }
        let level = if audible { level_dbov(pcm) } else { FLOOR_DBOV };
        seat.level_dbov = level;
        if seat.gate.push(level, PERIOD_MS) {
            wide.clear();
            seat.widening.push(pcm, wide);
            let excess = (seat.inbox.len() + wide.len()).saturating_sub(INBOX);
            seat.inbox.drain(..excess.min(seat.inbox.len()));
            seat.inbox.extend(wide.iter().take(INBOX));
        }
        if !seat.seating.reports {
            return None;
        }
        let talking = seat.vad.push_level(level, PERIOD_MS);
        let news = talking != seat.talking;
        seat.talking = talking;
        news.then_some(talking)
    }

    /// Adds up one period.
    fn mix(&mut self) {
        let at = ring(self.periods);
        self.voices.clear();
        for (index, seat) in (0..).zip(&mut self.seats) {
            if let Some(seat) = seat
                && seat.pull(at)
            {
                // Who was heard a moment ago stays heard, unless somebody is much louder.
                let recent = seat.spoke.is_some_and(|last| last + 2 > self.periods);
                let bonus = if recent { STAYS_DB } else { 0.0 };
                self.voices.push((seat.level_dbov + bonus, index));
            }
        }
        if self.voices.len() > MOST_VOICES {
            self.voices
                .select_nth_unstable_by(MOST_VOICES, |a, b| b.0.total_cmp(&a.0));
            self.voices.truncate(MOST_VOICES);
        }
        let Some(sum) = self.sums.get_mut(at) else {
            return;
        };
        sum.fill(0);
        for (_, index) in &self.voices {
            let Some(Some(seat)) = self.seats.get_mut(*index as usize) else {
                continue;
            };
            let (Some(part), Some(frame)) = (seat.parts.get_mut(at), seat.frames.get(at)) else {
                continue;
            };
            seat.spoke = Some(self.periods);
            if seat.seating.coaches.is_some() {
                *part = Part::Whispered;
            } else {
                *part = Part::Heard;
                mix::accumulate(sum, frame);
            }
        }
        let notes = &mut self.notes;
        self.playing.retain_mut(|playing| {
            let goes_on = playing.add(sum);
            if !goes_on {
                notes.push_back((playing.op, Finish::Done));
            }
            goes_on
        });
        if let Some(tap) = &mut self.tap {
            self.pcm.clear();
            mix::clipped(sum, &mut self.pcm);
            self.narrow.clear();
            self.narrowing.push(&self.pcm, &mut self.narrow);
            let frame = BothSides {
                peer: &self.pcm,
                own: &[],
                narrow_peer: &self.narrow,
                narrow_own: &[],
            };
            if !tap.push(frame, &mut self.recorded) {
                self.tap = None;
            }
        }
        self.periods += 1;
    }

    /// Appends a packet's payload for a member.
    fn fetch(
        &mut self,
        index: u32,
        mut encode: impl FnMut(&[i16], &mut Vec<u8>),
        buffers: Buffers<'_>,
    ) -> bool {
        let Some(Some(seat)) = self.seats.get_mut(index as usize) else {
            return false;
        };
        if !seat.seating.hears {
            seat.position = None;
            return false;
        }
        let Sound {
            spoken, ptime_ms, ..
        } = seat.sound;
        let Some(begin) = seat.next(self.periods) else {
            return false;
        };
        let end = begin + seat.wanted();
        seat.position = Some(end);
        let whole =
            spoken.is_seamless() || (end - begin == PERIOD as u64 && begin % PERIOD as u64 == 0);
        let apart = !whole || self.is_apart(index, begin, end);
        let was_apart = match self.seats.get_mut(index as usize) {
            Some(Some(seat)) => std::mem::replace(&mut seat.apart, apart),
            _ => return false,
        };
        if apart {
            if !was_apart {
                self.warm(index, begin, buffers.pcm, buffers.wide);
                // Only whole packets: some encoders take nothing else.
                if spoken.is_seamless() || ptime_ms == PERIOD_MS as u8 {
                    let length = buffers.packet.len();
                    encode(buffers.pcm, buffers.packet);
                    buffers.packet.truncate(length);
                }
            }
            self.without_own(index, begin, end, buffers.wide);
            buffers.pcm.clear();
            if let Some(Some(seat)) = self.seats.get_mut(index as usize) {
                seat.narrowing.push(buffers.wide, buffers.pcm);
            }
            encode(buffers.pcm, buffers.packet);
            return true;
        }
        let periods = self.periods;
        let Some(shared) = self.shared.iter_mut().find(|s| s.codec == spoken) else {
            return false;
        };
        shared.catch_up(periods, &self.sums, &mut self.pcm, &mut self.narrow);
        shared.copy(begin, ptime_ms, buffers.packet);
        true
    }

    /// Whether a member cannot have what the others have: it was heard, somebody whispers to it, or either was so a
    /// moment ago.
    fn is_apart(&self, index: u32, begin: u64, end: u64) -> bool {
        let Some(Some(seat)) = self.seats.get(index as usize) else {
            return false;
        };
        let recent = |seat: &Seat| {
            let before = begin / PERIOD as u64;
            seat.spoke.is_some_and(|last| last + APART_PERIODS > before)
        };
        let own = seat.seating.coaches.is_none() && recent(seat);
        let parts = |seat: &Seat| {
            periods_of(begin, end).any(|p| seat.parts.get(ring(p)) == Some(&Part::Heard))
        };
        own || parts(seat)
            || seat
                .coaches
                .iter()
                .filter_map(|coach| self.seats.get(*coach as usize)?.as_deref())
                .any(recent)
    }

    /// What a member hears from `begin` to `end`: everybody else, and who whispers to it.
    fn without_own(&self, index: u32, begin: u64, end: u64, out: &mut Vec<i16>) {
        out.clear();
        let Some(Some(seat)) = self.seats.get(index as usize) else {
            return;
        };
        for period in periods_of(begin, end) {
            let at = ring(period);
            let first = period * PERIOD as u64;
            let from = usize::try_from(begin.saturating_sub(first)).unwrap_or(PERIOD);
            let to = usize::try_from(end - first).unwrap_or(PERIOD).min(PERIOD);
            let Some(sum) = self.sums.get(at).and_then(|sum| sum.get(from..to)) else {
                continue;
            };
            let mut rest = [0i32; PERIOD];
            for (rest, total) in rest.iter_mut().zip(sum) {
                *rest = *total;
            }
            let coaches = seat.coaches.iter();
            for coach in coaches.filter_map(|c| self.seats.get(*c as usize)?.as_deref()) {
                if let Some(said) = coach.said(Part::Whispered, at, from..to) {
                    mix::accumulate(&mut rest, said);
                }
            }
            let rest = rest.get(..sum.len()).unwrap_or_default();
            match seat.said(Part::Heard, at, from..to) {
                Some(own) => mix::without(rest, own, out),
                None => mix::clipped(rest, out),
            }
        }
    }

    /// Lets a member's own filter have what it heard last, so that it goes on where the shared one was; `pcm` is for
    /// its encoder.
    fn warm(&mut self, index: u32, begin: u64, pcm: &mut Vec<i16>, wide: &mut Vec<i16>) {
        let from = begin.saturating_sub(PERIOD as u64);
        wide.clear();
        for period in periods_of(from, begin) {
            let at = ring(period);
            let first = period * PERIOD as u64;
            let low = usize::try_from(from.saturating_sub(first)).unwrap_or(PERIOD);
            let high = usize::try_from(begin - first).unwrap_or(PERIOD).min(PERIOD);
            let part = self.sums.get(at).and_then(|sum| sum.get(low..high));
            mix::clipped(part.unwrap_or_default(), wide);
        }
        let Some(Some(seat)) = self.seats.get_mut(index as usize) else {
            return;
        };
        seat.narrowing.reset();
        pcm.clear();
        seat.narrowing.push(wide, pcm);
    }
}

/// The periods that `begin..end` touches.
fn periods_of(begin: u64, end: u64) -> std::ops::Range<u64> {
    begin / PERIOD as u64..end.div_ceil(PERIOD as u64)
}

/// A period's place in a ring.
fn ring(period: u64) -> usize {
    (period % DEPTH as u64) as usize
}

/// The rate at which rooms add up: wide-band.
pub(super) const ROOM_HZ: u32 = 16_000;
/// The length of a period.
const PERIOD_MS: u32 = 20;
/// Samples in it.
const PERIOD: usize = (ROOM_HZ / 1000 * PERIOD_MS) as usize;
/// Slots of the wheel in a period.
const SLOTS_A_PERIOD: u64 = 4;
/// Periods that are remembered: the longest packet of 60 ms, and as much again for those who are late.
const DEPTH: usize = 8;
/// How many periods more than it needs a member may be behind.
const MOST_BEHIND: u64 = 3;
/// What one member said and has not been added up: three frames at once, and some that were early.
const INBOX: usize = 5 * PERIOD;
/// Voices heard at the same time; beyond that nobody understands a word.
const MOST_VOICES: usize = 16;
/// How much louder somebody else has to be to take the place of one who is heard.
const STAYS_DB: f32 = 6.0;
/// Who was heard keeps an encoder of its own for so long (a second): each change costs a little of the codec's memory.
const APART_PERIODS: u64 = 50;
/// Sources everybody hears at once.
const MOST_PLAYING: usize = 16;
/// The rate of recordings.
const RECORDING_HZ: u32 = 8000;
/// Room for a packet of a codec without a fixed rate.
const MOST_PACKET: usize = 4096;
