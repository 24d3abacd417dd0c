//! Where there is sound in a recording that is cut to what was said.

use std::collections::VecDeque;

use crate::audio::level::Vad;

/// Where there is sound, of whomever.
pub(super) struct Voice {
    rate_hz: u32,
    vad: Vad,
    /// The frames just before the first sound: its beginning is quiet.
    lead: VecDeque<i16>,
    heard: bool,
    /// Somebody does.
    pub(super) speaks: bool,
    /// Samples of the file up to the end of the last sound.
    pub(super) until: u64,
}

impl Voice {
    pub(super) fn new(rate_hz: u32) -> Self {
        Self {
            rate_hz,
            vad: Vad::new(),
            lead: VecDeque::new(),
            heard: false,
            speaks: false,
            until: 0,
        }
    }

    /// What of a frame belongs into the file: all once somebody has spoken, nothing before.
    pub(super) fn take(&mut self, frame: &[i16], channels: u16) -> Vec<i16> {
        let channels = usize::from(channels.max(1));
        let rate = usize::try_from(self.rate_hz).unwrap_or(usize::MAX);
        let ms = u32::try_from(frame.len() / channels * 1000 / rate.max(1)).unwrap_or(20);
        self.speaks = self.vad.push(frame, ms);
        if !self.heard && !self.speaks {
            self.lead.extend(frame);
            let excess = self
                .lead
                .len()
                .saturating_sub(rate / LEADS_A_SECOND * channels);
            self.lead.drain(..excess);
            return Vec::new();
        }
        self.heard = true;
        self.lead.drain(..).chain(frame.iter().copied()).collect()
    }
}

/// Of that part of a second is kept before the first sound of a trimmed recording.
const LEADS_A_SECOND: usize = 10;
