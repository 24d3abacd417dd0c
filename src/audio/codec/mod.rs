//! The codecs swivel speaks. A new one is one file with a type that implements [`Format`] and one word in `codecs!`.

use super::level::SILENCE;

/// What a codec file provides. Codecs with memory between frames keep it beside, not in, this trait.
pub trait Format {
    /// Encoding name in SDP (RFC 3551 table 4); compared without regard to case.
    const NAME: &'static str;
    /// RTP clock, in Hz.
    const CLOCK_RATE_HZ: u32;
    /// Rate of the samples before encoding and after decoding, in Hz.
    const SAMPLE_RATE_HZ: u32;
    /// Static payload type (RFC 3551), or the dynamic one we offer.
    const PAYLOAD_TYPE: u8;
    /// Whether `PAYLOAD_TYPE` stands for this codec without an `a=rtpmap` line.
    const STATIC: bool;
    /// Appends the encoded form of `pcm` to `out`.
    fn encode(pcm: &[i16], out: &mut Vec<u8>);
    /// Appends the samples of one payload to `out`.
    fn decode(payload: &[u8], out: &mut Vec<i16>);
    /// How many RTP clock ticks one payload lasts.
    fn ticks(payload: &[u8]) -> u32;
}

macro_rules! codecs {
    ($($module:ident::$name:ident),+ $(,)?) => {
        $(mod $module;)+

        /// An audio codec, at its one clock rate, mono.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Codec {
            $(
                #[doc = concat!("See `audio/codec/", stringify!($module), ".rs`.")]
                $name,
            )+
        }

        impl Codec {
            /// Every codec, in the order we prefer them.
            pub const ALL: &'static [Codec] = &[$(Codec::$name),+];

            /// Encoding name in SDP.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => <$module::$name as Format>::NAME),+ }
            }

            /// RTP clock, in Hz.
            pub fn clock_rate_hz(self) -> u32 {
                match self { $(Self::$name => <$module::$name as Format>::CLOCK_RATE_HZ),+ }
            }

            /// Rate of decoded samples, in Hz.
            pub fn sample_rate_hz(self) -> u32 {
                match self { $(Self::$name => <$module::$name as Format>::SAMPLE_RATE_HZ),+ }
            }

            /// Static payload type, or the dynamic one we offer.
            pub fn payload_type(self) -> u8 {
                match self { $(Self::$name => <$module::$name as Format>::PAYLOAD_TYPE),+ }
            }

            /// Whether the payload type needs no `a=rtpmap` line (RFC 3551).
            pub fn is_static(self) -> bool {
                match self { $(Self::$name => <$module::$name as Format>::STATIC),+ }
            }

            /// Appends the encoded form of `pcm` (at `sample_rate_hz`) to `out`.
            pub fn encode(self, pcm: &[i16], out: &mut Vec<u8>) {
                match self { $(Self::$name => <$module::$name as Format>::encode(pcm, out)),+ }
            }

            /// Appends the samples of one payload to `out`.
            pub fn decode(self, payload: &[u8], out: &mut Vec<i16>) {
                match self { $(Self::$name => <$module::$name as Format>::decode(payload, out)),+ }
            }

            /// How many RTP clock ticks one payload lasts.
            pub fn ticks(self, payload: &[u8]) -> u32 {
                match self { $(Self::$name => <$module::$name as Format>::ticks(payload)),+ }
            }
        }
    };
}

codecs! { pcmu::Pcmu, pcma::Pcma }

impl Codec {
    /// How many codecs there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Samples in a millisecond.
    pub fn samples_per_ms(self) -> usize {
        (self.sample_rate_hz() / 1000) as usize
    }

    /// RTP clock ticks in a millisecond.
    pub fn ticks_per_ms(self) -> u32 {
        self.clock_rate_hz() / 1000
    }

    /// The codec of that SDP encoding name (any case) and clock.
    pub fn named(name: &str, clock_rate_hz: u32) -> Option<Codec> {
        Self::ALL
            .iter()
            .copied()
            .find(|c| c.name().eq_ignore_ascii_case(name) && c.clock_rate_hz() == clock_rate_hz)
    }

    /// The codec a static payload type stands for.
    pub fn of_static(payload_type: u8) -> Option<Codec> {
        Self::ALL
            .iter()
            .copied()
            .find(|c| c.is_static() && c.payload_type() == payload_type)
    }

    /// The position in [`Codec::ALL`], for tables with one entry a codec.
    pub fn index(self) -> usize {
        self as usize
    }

    /// `ms` milliseconds of encoded silence, appended to `out`.
    pub fn silence(self, ms: usize, out: &mut Vec<u8>) {
        for _ in 0..ms {
            let frame = SILENCE.get(..self.samples_per_ms()).unwrap_or(SILENCE);
            self.encode(frame, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case_and_only_at_their_clock() {
        assert_eq!(Codec::named("pcmu", 8000), Some(Codec::Pcmu));
        assert_eq!(Codec::named("PcMa", 8000), Some(Codec::Pcma));
        assert_eq!(Codec::named("PCMU", 16000), None);
    }

    #[test]
    fn static_payload_types_are_those_of_rfc_3551() {
        assert_eq!(Codec::of_static(0), Some(Codec::Pcmu));
        assert_eq!(Codec::of_static(8), Some(Codec::Pcma));
        assert_eq!(Codec::of_static(18), None);
    }

    #[test]
    fn index_is_the_position_in_all() {
        for (i, codec) in Codec::ALL.iter().enumerate() {
            assert_eq!(codec.index(), i);
        }
    }

    #[test]
    fn twenty_ms_of_silence_decode_to_near_zero() {
        for codec in Codec::ALL {
            let (mut encoded, mut pcm) = (Vec::new(), Vec::new());
            codec.silence(20, &mut encoded);
            assert_eq!(encoded.len(), 160);
            assert_eq!(codec.ticks(&encoded), 160);
            codec.decode(&encoded, &mut pcm);
            assert!(pcm.iter().all(|s| s.unsigned_abs() <= 8), "{codec:?}");
        }
    }
}
