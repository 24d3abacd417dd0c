//! What many members hear alike: payloads encoded once a codec, and what is played to a room.

use std::sync::Arc;

use super::{DEPTH, MOST_PACKET, PERIOD, PERIOD_MS, ROOM_HZ, periods_of, ring};
use crate::audio::{Codec, Encoder, Rate, mix};
use crate::base::id::OpId;

/// What members hear who have not spoken lately, in one codec.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) codec: Codec,
    pub(super) encoder: Encoder,
    pub(super) narrowing: Rate,
    /// A ring over the periods, up to `until`.
    pub(super) payloads: [Vec<u8>; DEPTH],
    pub(super) until: u64,
}

/// Something everybody hears.
#[derive(Debug)]
pub(super) struct Playing {
    pub(super) op: OpId,
    pub(super) pcm: Option<Arc<[i16]>>,
    pub(super) at: usize,
    pub(super) looped: bool,
}

impl Shared {
    pub(super) fn new(codec: Codec) -> Self {
        let room =
            || Vec::with_capacity((PERIOD_MS as usize * codec.bytes_per_ms()).max(MOST_PACKET));
        Self {
            codec,
            encoder: codec.encoder(),
            narrowing: Rate::new(ROOM_HZ, codec.sample_rate_hz()),
            payloads: std::array::from_fn(|_| room()),
            until: 0,
        }
    }

    /// Encodes what has been said since somebody asked last.
    pub(super) fn catch_up(
        &mut self,
        periods: u64,
        sums: &[[i32; PERIOD]; DEPTH],
        pcm: &mut Vec<i16>,
        narrow: &mut Vec<i16>,
    ) {
        self.until = self.until.max(periods.saturating_sub(DEPTH as u64));
        while self.until < periods {
            let at = ring(self.until);
            if let (Some(sum), Some(payload)) = (sums.get(at), self.payloads.get_mut(at)) {
                pcm.clear();
                mix::clipped(sum, pcm);
                payload.clear();
                if self.narrowing.is_same() {
                    self.encoder.encode(pcm, payload);
                } else {
                    narrow.clear();
                    self.narrowing.push(pcm, narrow);
                    self.encoder.encode(narrow, payload);
                }
            }
            self.until += 1;
        }
    }

    /// Appends a packet that begins at a sample of the room.
    pub(super) fn copy(&self, begin: u64, ptime_ms: u8, packet: &mut Vec<u8>) {
        if !self.codec.is_seamless() {
            let payload = self.payloads.get(ring(begin / PERIOD as u64));
            packet.extend_from_slice(payload.map_or(&[], Vec::as_slice));
            return;
        }
        let bytes = |samples: u64| {
            let ms = samples / u64::from(ROOM_HZ / 1000);
            usize::try_from(ms).unwrap_or(0) * self.codec.bytes_per_ms()
        };
        let end = begin + u64::from(ptime_ms) * u64::from(ROOM_HZ / 1000);
        for period in periods_of(begin, end) {
            let first = period * PERIOD as u64;
            let from = bytes(begin.saturating_sub(first));
            let to = bytes((end - first).min(PERIOD as u64));
            let payload = self.payloads.get(ring(period));
            let part = payload.and_then(|payload| payload.get(from..to));
            packet.extend_from_slice(part.unwrap_or_default());
        }
    }
}

impl Playing {
    /// Adds its next period; whether more follows.
    pub(super) fn add(&mut self, sum: &mut [i32; PERIOD]) -> bool {
        let Some(pcm) = &self.pcm else { return true };
        let mut filled = 0;
        while filled < PERIOD {
            let rest = pcm.get(self.at..).unwrap_or_default();
            let part = rest.get(..PERIOD - filled).unwrap_or(rest);
            mix::accumulate(sum.get_mut(filled..).unwrap_or_default(), part);
            self.at += part.len();
            filled += part.len();
            if self.at >= pcm.len() {
                if !self.looped || pcm.is_empty() {
                    return false;
                }
                self.at = 0;
            }
        }
        true
    }
}
