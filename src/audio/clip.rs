//! Decoded sound, shared by every port that plays it: resampled and encoded once a rate and codec, on first use.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::codec::Codec;
use super::resample::resample;

/// Mono sound with its derived forms. Share it as `Arc<Clip>`.
#[derive(Debug)]
pub struct Clip {
    rate_hz: u32,
    source: Arc<[i16]>,
    resampled: [OnceLock<Arc<[i16]>>; KEPT_RATES_HZ.len()],
    encoded: [OnceLock<Arc<[u8]>>; Codec::COUNT],
}

impl Clip {
    /// Sound of `rate_hz` samples a second. A rate of 0 counts as 8000.
    pub fn new(rate_hz: u32, pcm: Vec<i16>) -> Self {
        Self {
            rate_hz: if rate_hz == 0 { 8000 } else { rate_hz },
            source: pcm.into(),
            resampled: Default::default(),
            encoded: Default::default(),
        }
    }

    /// How long it lasts.
    pub fn duration(&self) -> Duration {
        let micros = (self.source.len() as u64).saturating_mul(1_000_000) / u64::from(self.rate_hz);
        Duration::from_micros(micros)
    }

    /// The rate it was made with, in Hz.
    pub fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// Whether it holds no sample.
    pub fn is_empty(&self) -> bool {
        self.source.is_empty()
    }

    /// The samples at `rate_hz`. Kept for 8, 16 and 48 kHz; made anew for any other rate.
    pub fn pcm(&self, rate_hz: u32) -> Arc<[i16]> {
        if rate_hz == self.rate_hz || rate_hz == 0 {
            return Arc::clone(&self.source);
        }
        let make = || Arc::from(resample(&self.source, self.rate_hz, rate_hz));
        let kept = KEPT_RATES_HZ
            .iter()
            .zip(&self.resampled)
            .find(|(kept, _)| **kept == rate_hz);
        match kept {
            Some((_, cell)) => Arc::clone(cell.get_or_init(make)),
            None => make(),
        }
    }

    /// The samples at `rate_hz` when they have been made already; never makes them.
    pub fn pcm_ready(&self, rate_hz: u32) -> Option<Arc<[i16]>> {
        if rate_hz == self.rate_hz {
            return Some(Arc::clone(&self.source));
        }
        let kept = KEPT_RATES_HZ.iter().zip(&self.resampled);
        let (_, cell) = kept.into_iter().find(|(kept, _)| **kept == rate_hz)?;
        cell.get().map(Arc::clone)
    }

    /// The payload bytes in `codec`, without packet boundaries: cut them where the ptime says. For codecs that
    /// are seamless only.
    pub fn encoded(&self, codec: Codec) -> Arc<[u8]> {
        let make = || {
            let pcm = self.pcm(codec.sample_rate_hz());
            let mut out = Vec::with_capacity(pcm.len());
            codec.encode(&pcm, &mut out);
            Arc::from(out)
        };
        match self.encoded.get(codec.index()) {
            Some(cell) => Arc::clone(cell.get_or_init(make)),
            None => make(),
        }
    }

    /// The payload bytes in `codec` when they have been made already; never makes them.
    pub fn encoded_ready(&self, codec: Codec) -> Option<Arc<[u8]>> {
        self.encoded.get(codec.index())?.get().map(Arc::clone)
    }

    /// Bytes held, derived forms included: what a cache counts.
    pub fn bytes(&self) -> usize {
        let resampled: usize = self
            .resampled
            .iter()
            .filter_map(OnceLock::get)
            .map(|pcm| pcm.len() * 2)
            .sum();
        let encoded: usize = self
            .encoded
            .iter()
            .filter_map(OnceLock::get)
            .map(|bytes| bytes.len())
            .sum();
        size_of::<Self>() + self.source.len() * 2 + resampled + encoded
    }
}

/// Rates whose samples are kept once made: those of the telephone codecs.
const KEPT_RATES_HZ: [u32; 3] = [8000, 16000, 48000];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_follows_the_rate() {
        assert_eq!(
            Clip::new(8000, vec![0; 4000]).duration(),
            Duration::from_millis(500)
        );
        assert_eq!(
            Clip::new(0, vec![0; 8]).duration(),
            Duration::from_millis(1)
        );
    }

    #[test]
    fn each_form_is_made_once() {
        let clip = Clip::new(16000, vec![100; 16000]);
        assert!(Arc::ptr_eq(&clip.pcm(8000), &clip.pcm(8000)));
        assert!(Arc::ptr_eq(
            &clip.encoded(Codec::Pcmu),
            &clip.encoded(Codec::Pcmu)
        ));
        assert_eq!(clip.encoded(Codec::Pcma).len(), 8000);
        assert!(clip.bytes() > 16000 * 2 + 8000 * 2 + 8000 * 2);
    }

    #[test]
    fn its_own_rate_is_not_copied() {
        let clip = Clip::new(8000, vec![1, 2, 3]);
        assert_eq!(&*clip.pcm(8000), &[1, 2, 3]);
        assert!(Arc::ptr_eq(&clip.pcm(8000), &clip.pcm(8000)));
    }
}
