//! One member of a room: what it said lately, and where it listens.

use std::collections::VecDeque;
use std::ops::Range;

use super::{DEPTH, INBOX, MOST_BEHIND, PERIOD, RECORDING_HZ, ROOM_HZ, Sound};
use crate::audio::level::{Gate, Vad};
use crate::audio::{Codec, Rate};
use crate::base::id::PortId;
use crate::media::command::Seating;

/// One member.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) port: PortId,
    pub(super) seating: Seating,
    pub(super) sound: Sound,
    pub(super) gate: Gate,
    pub(super) vad: Vad,
    pub(super) talking: bool,
    /// From the rate of the peer's sound to the room's.
    pub(super) widening: Rate,
    /// What it said and has not been added up.
    pub(super) inbox: VecDeque<i16>,
    pub(super) flowing: bool,
    pub(super) level_dbov: f32,
    /// Its part of what was said lately.
    pub(super) frames: Box<[[i16; PERIOD]; DEPTH]>,
    pub(super) parts: [Part; DEPTH],
    /// The period in which it was heard last.
    pub(super) spoke: Option<u64>,
    /// Seats whose words are for this one alone.
    pub(super) coaches: Vec<u32>,
    /// The next sample to be fetched, counted from the beginning of the room.
    pub(super) position: Option<u64>,
    /// From the room's rate to that of its codec.
    pub(super) narrowing: Rate,
    /// Whether its last packet was encoded for it alone.
    pub(super) apart: bool,
}

/// What a member's frame of one period is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Part {
    #[default]
    Nothing,
    /// It is in the sum.
    Heard,
    /// It is for one member alone.
    Whispered,
}

impl Seat {
    pub(super) fn new(port: PortId, seating: Seating) -> Self {
        let sound = Sound {
            heard_hz: RECORDING_HZ,
            spoken: Codec::Pcmu,
            ptime_ms: 20,
        };
        Self {
            port,
            seating,
            sound,
            gate: Gate::default(),
            vad: Vad::new(),
            talking: false,
            widening: Rate::new(sound.heard_hz, ROOM_HZ),
            inbox: VecDeque::with_capacity(INBOX + PERIOD),
            flowing: false,
            level_dbov: 0.0,
            frames: Box::new([[0; PERIOD]; DEPTH]),
            parts: [Part::Nothing; DEPTH],
            spoke: None,
            coaches: Vec::new(),
            position: None,
            narrowing: Rate::new(ROOM_HZ, sound.spoken.sample_rate_hz()),
            apart: false,
        }
    }

    pub(super) fn change(&mut self, seating: Seating) {
        if !seating.speaks {
            self.inbox.clear();
            self.flowing = false;
            self.talking = false;
            self.vad = Vad::new();
        }
        self.seating = seating;
    }

    pub(super) fn adapt(&mut self, sound: Sound) {
        if self.sound == sound {
            return;
        }
        if self.sound.heard_hz != sound.heard_hz {
            self.widening = Rate::new(sound.heard_hz, ROOM_HZ);
        }
        if self.sound.spoken != sound.spoken {
            self.narrowing = Rate::new(ROOM_HZ, sound.spoken.sample_rate_hz());
            self.apart = false;
        }
        self.sound = sound;
        self.position = None;
    }

    /// What it said in a period, when that is such a part.
    pub(super) fn said(&self, part: Part, at: usize, samples: Range<usize>) -> Option<&[i16]> {
        let said = self.frames.get(at)?.get(samples)?;
        (self.parts.get(at) == Some(&part)).then_some(said)
    }

    /// Samples of the room in one of its packets.
    pub(super) fn wanted(&self) -> u64 {
        u64::from(self.sound.ptime_ms) * u64::from(ROOM_HZ / 1000)
    }

    /// Puts the next period of what it said in its place. `false`: it said nothing.
    pub(super) fn pull(&mut self, at: usize) -> bool {
        let margin =
            if self.wanted() % (PERIOD as u64) == PERIOD as u64 / 2 && self.sound.ptime_ms > 20 {
                PERIOD // frames come one and two at a time
            } else {
                0
            };
        let enough = if self.flowing {
            PERIOD
        } else {
            PERIOD + margin
        };
        self.flowing = self.inbox.len() >= enough;
        let (Some(part), Some(frame)) = (self.parts.get_mut(at), self.frames.get_mut(at)) else {
            return false;
        };
        *part = Part::Nothing;
        if self.flowing {
            let taken = self.inbox.drain(..PERIOD);
            frame.iter_mut().zip(taken).for_each(|(to, s)| *to = s);
        }
        self.flowing
    }

    /// Where its next packet begins. `None`: not enough has been said yet.
    pub(super) fn next(&mut self, periods: u64) -> Option<u64> {
        let (wanted, period) = (self.wanted(), PERIOD as u64);
        let until = periods * period;
        let keeps = |begin: &u64| {
            *begin + wanted <= until && until - *begin <= wanted + MOST_BEHIND * period
        };
        if let Some(begin) = self.position.filter(keeps) {
            return Some(begin);
        }
        let margin = if wanted % period == 0 { 0 } else { period };
        // The ring's oldest period is the one that is overwritten next.
        until.checked_sub(wanted + margin)
    }
}
