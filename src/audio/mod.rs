//! Sound as numbers: codecs, resampling, tones, detectors. No socket, clock, file or thread.
//!
//! - `codec`: the `codecs!` list; encoded payloads ⇄ 16-bit samples. `rate`: changes of rate on the way.
//! - `clip`: decoded sound, shared, resampled and encoded once a rate and codec. `resample` is the door to rubato.
//! - `tone`: tones and FreeSWITCH `tone_stream://`. `dtmf`: keypad tones, made and heard.
//! - `music`: what plays on hold. `plc`: what is heard in place of a lost packet. `mix`: gain and sums. `level`: dBov, voice activity.
//! - `speaking`: when somebody begins to speak and has finished. `wav`: the header of a WAV file.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice))]

pub mod clip;
pub mod codec;
pub mod dtmf;
pub mod level;
pub mod mix;
pub mod music;
pub mod plc;
pub mod rate;
pub mod resample;
pub mod speaking;
pub mod tone;
pub mod wav;

pub use clip::Clip;
pub use codec::{Codec, Decoder, Encoder};
pub use dtmf::{DtmfDetector, dtmf_tone};
pub use music::hold_music;
pub use rate::Rate;
pub use speaking::Speaking;
pub use tone::{Tone, ToneStream};
