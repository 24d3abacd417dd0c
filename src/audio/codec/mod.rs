//! The codecs swivel speaks. A new one is one file with a type that implements [`Format`] and one word in `codecs!`.

/// What a codec file provides.
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
    /// Channels in `a=rtpmap`. What is encoded and decoded is mono.
    const CHANNELS: u32 = 1;
    /// What we say of it in `a=fmtp`.
    const FMTP: Option<&'static str> = None;
    /// Bytes a millisecond makes; of a codec without a fixed rate, of a usual packet.
    const BYTES_PER_MS: usize;
    /// Whether payloads are one long row of bytes, so many a millisecond, that may be cut and joined anywhere.
    const SEAMLESS: bool = true;
    /// What a sender remembers between packets; made when a call is set up, never while it runs.
    type Encoder: Default + std::fmt::Debug + Send;
    /// What a receiver remembers.
    type Decoder: Default + std::fmt::Debug + Send;
    /// Appends the encoded form of `pcm` to `out`.
    fn encode(state: &mut Self::Encoder, pcm: &[i16], out: &mut Vec<u8>);
    /// Appends the samples of one payload to `out`.
    fn decode(state: &mut Self::Decoder, payload: &[u8], out: &mut Vec<i16>);
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

        /// What one outgoing stream remembers.
        #[derive(Debug)]
        enum Encoding {
            $($name(Box<<$module::$name as Format>::Encoder>),)+
        }

        /// What one incoming stream remembers.
        #[derive(Debug)]
        enum Decoding {
            $($name(Box<<$module::$name as Format>::Decoder>),)+
        }

        impl Encoder {
            /// Which codec it is.
            pub fn codec(&self) -> Codec {
                match &self.0 { $(Encoding::$name(_) => Codec::$name),+ }
            }

            /// Appends the encoded form of `pcm` (at the codec's `sample_rate_hz`) to `out`.
            pub fn encode(&mut self, pcm: &[i16], out: &mut Vec<u8>) {
                match &mut self.0 {
                    $(Encoding::$name(state) => <$module::$name as Format>::encode(state, pcm, out)),+
                }
            }
        }

        impl Decoder {
            /// Which codec it is.
            pub fn codec(&self) -> Codec {
                match &self.0 { $(Decoding::$name(_) => Codec::$name),+ }
            }

            /// Appends the samples of one payload to `out`.
            pub fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) {
                match &mut self.0 {
                    $(Decoding::$name(state) => <$module::$name as Format>::decode(state, payload, out)),+
                }
            }
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

            /// Channels in `a=rtpmap`.
            pub fn channels(self) -> u32 {
                match self { $(Self::$name => <$module::$name as Format>::CHANNELS),+ }
            }

            /// What we say of it in `a=fmtp`.
            pub fn fmtp(self) -> Option<&'static str> {
                match self { $(Self::$name => <$module::$name as Format>::FMTP),+ }
            }

            /// Whether payloads may be cut and joined anywhere.
            pub fn is_seamless(self) -> bool {
                match self { $(Self::$name => <$module::$name as Format>::SEAMLESS),+ }
            }

            /// Bytes a millisecond makes; where that varies, of a usual packet.
            pub fn bytes_per_ms(self) -> usize {
                match self { $(Self::$name => <$module::$name as Format>::BYTES_PER_MS),+ }
            }

            /// The sending end of a new stream. Allocates.
            pub fn encoder(self) -> Encoder {
                Encoder(match self { $(Self::$name => Encoding::$name(Box::default())),+ })
            }

            /// The receiving end of a new stream. Allocates.
            pub fn decoder(self) -> Decoder {
                Decoder(match self { $(Self::$name => Decoding::$name(Box::default())),+ })
            }

            /// How many RTP clock ticks one payload lasts.
            pub fn ticks(self, payload: &[u8]) -> u32 {
                match self { $(Self::$name => <$module::$name as Format>::ticks(payload)),+ }
            }
        }
    };
}

codecs! { pcmu::Pcmu, pcma::Pcma, g722::G722, opus::Opus, l16::L16 }

/// The sending end of one stream.
#[derive(Debug)]
pub struct Encoder(Encoding);

/// The receiving end of one stream.
#[derive(Debug)]
pub struct Decoder(Decoding);

impl Codec {
    /// How many codecs there are.
    pub const COUNT: usize = Self::ALL.len();
    /// What we offer, and take from an offer, unless somebody says otherwise: what telephones and browsers speak.
    pub const USUAL: &'static [Codec] = &[Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::Opus];

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

    /// The codec of a name in a KAZOO document: as in SDP, in any case, whatever follows an `@`.
    pub fn of_document(name: &str) -> Option<Codec> {
        let name = name.split('@').next().unwrap_or(name).trim();
        Self::ALL
            .iter()
            .copied()
            .find(|c| c.name().eq_ignore_ascii_case(name))
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

    /// The packet length next to `ptime_ms` that the codec can make, in whole tens.
    pub fn ptime_ms(self, ptime_ms: u8) -> u8 {
        match (self.is_seamless(), ptime_ms) {
            // Frames of Opus (RFC 6716 §2.1.4).
            (false, 0..20) => 10,
            (false, 20..40) => 20,
            (false, 40..60) => 40,
            (false, 60..) => 60,
            (true, ptime_ms) => ptime_ms,
        }
    }

    /// Appends the encoded form of a whole sound (at `sample_rate_hz`) to `out`.
    pub fn encode(self, pcm: &[i16], out: &mut Vec<u8>) {
        self.encoder().encode(pcm, out);
    }

    /// Appends the samples of a whole sound to `out`.
    pub fn decode(self, payload: &[u8], out: &mut Vec<i16>) {
        self.decoder().decode(payload, out);
    }

    /// `ms` milliseconds of encoded silence, appended to `out`; one packet of them where packets cannot be joined.
    pub fn silence(self, ms: usize, out: &mut Vec<u8>) {
        self.encode(&vec![0; self.samples_per_ms() * ms], out);
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
            assert_eq!(codec.ticks(&encoded), 20 * codec.ticks_per_ms());
            codec.decode(&encoded, &mut pcm);
            assert_eq!(pcm.len(), 20 * codec.samples_per_ms());
            assert!(pcm.iter().all(|s| s.unsigned_abs() <= 16), "{codec:?}");
        }
    }

    #[test]
    fn names_of_documents_are_understood() {
        for (name, codec) in [
            ("OPUS", Some(Codec::Opus)),
            ("G722", Some(Codec::G722)),
            ("PCMA@20i", Some(Codec::Pcma)),
            ("G729", None),
        ] {
            assert_eq!(Codec::of_document(name), codec);
        }
    }
}
