//! What a port can be told: where to send, what to play, what to record.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::listen::Tap;
use super::stream::StreamReader;
use crate::audio::Clip;
use crate::base::id::{OpId, PortId};
use crate::base::keys::Keys;
use crate::sdp::Agreed;

/// One instruction to a port. They are obeyed in the order given, within a few milliseconds.
#[derive(Debug)]
pub enum Command {
    /// Where the peer is and what was agreed; also again after each re-negotiation.
    Configure(Box<Plan>),
    /// Plays `source` behind whatever plays already, without a gap. Each one is answered by exactly one
    /// [`MediaEvent::Finished`](super::MediaEvent::Finished); several may share an `op`.
    Play {
        /// The operation the end is reported for.
        op: OpId,
        /// What to play.
        source: Source,
    },
    /// Ends everything queued, playing or being sent under this operation.
    Cancel(OpId),
    /// Sends keys to the peer: as telephone-events when agreed, otherwise as tones. Audio waits meanwhile.
    SendDigits {
        /// The operation the end is reported for.
        op: OpId,
        /// `0`–`9`, `*`, `#`, `A`–`D`; `w` waits half a second, `W` a second. Anything else is passed over.
        digits: String,
        /// How long each key is held, in milliseconds; at least 40.
        duration_ms: u32,
        /// The pause after each key, in milliseconds; at least 40.
        gap_ms: u32,
    },
    /// Records what the peer says. Answered by exactly one [`MediaEvent::Recorded`](super::MediaEvent::Recorded).
    Record {
        /// The operation the end is reported for.
        op: OpId,
        /// Where to and until when.
        spec: RecordSpec,
    },
    /// Ends the recording of this operation and keeps it.
    StopRecord(OpId),
    /// Holds the recording of this operation back, or lets it go on.
    PauseRecord(OpId, Pause),
    /// Lets somebody listen: sound goes into the tap until its reader is gone or `Unlisten`.
    Listen {
        /// Names it.
        op: OpId,
        /// Where to.
        tap: Tap,
    },
    /// Ends that; the reader may still read what it has.
    Unlisten(OpId),
    /// Sends silence in place of what plays; sources go on underneath.
    Mute(bool),
    /// Whether keys may be found in the audio when no telephone-events were agreed (they are by default). Turned off
    /// once the peer has sent keys another way, such as INFO.
    Inband(bool),
    /// Ends everything that plays or waits to be played.
    Flush,
}

/// Where the peer is and what was agreed with it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The outcome of offer and answer.
    pub agreed: Agreed,
    /// Whether media may come from elsewhere than the session description says (the peer is behind a NAT).
    pub latch: bool,
    /// Where the signalling comes from; the preferred source while learning.
    pub signalling_ip: IpAddr,
    /// Report silence of the peer after so long.
    pub timeout: Option<Duration>,
    /// Our canonical name in RTCP (RFC 3550 §6.5.1); the same for all media of a call, unguessable.
    pub cname: String,
}

/// How a port takes part in a [`Room`](super::Room).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seating {
    /// The others hear its peer.
    pub speaks: bool,
    /// Its peer hears the others.
    pub hears: bool,
    /// Only this member hears it.
    pub coaches: Option<PortId>,
    /// [`MediaEvent::Talking`](super::MediaEvent::Talking) is wanted.
    pub reports: bool,
}

impl Default for Seating {
    fn default() -> Self {
        Self {
            speaks: true,
            hears: true,
            coaches: None,
            reports: false,
        }
    }
}

/// What a port can play.
#[derive(Debug)]
pub enum Source {
    /// A whole clip.
    Clip(Arc<Clip>),
    /// Silence: for so long, or until cancelled.
    Silence(Option<Duration>),
    /// A tone rendered to a clip; `true` repeats it until cancelled.
    Tone(Arc<Clip>, bool),
    /// Audio that arrives while it plays.
    Stream(StreamReader),
    /// The peer hears itself, until cancelled.
    Echo,
}

/// What to record and until when.
#[derive(Debug, Clone)]
pub struct RecordSpec {
    /// The file, below the configured directory: relative to it, or absolute and inside it. Each part is
    /// `[A-Za-z0-9_-]{1,64}`, the last with `.wav`.
    pub path: PathBuf,
    /// The longest recording; cut to the sample.
    pub max: Duration,
    /// End after so much silence.
    pub silence: Option<Duration>,
    /// Keys that end it.
    pub finish_on: Keys,
    /// Whose voice is recorded.
    pub sides: Sides,
    /// A shorter one is thrown away.
    pub min: Duration,
    /// Cut the silence off its beginning and its end.
    pub trim: bool,
    /// Samples a second of a channel: 8000, or 16000 for what wideband codecs carry.
    pub rate_hz: u32,
}

impl Default for RecordSpec {
    /// What the peer says, an hour at most, to a file that has yet to be named.
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            max: Duration::from_secs(3600),
            silence: None,
            finish_on: Keys::NONE,
            sides: Sides::Peer,
            min: Duration::ZERO,
            trim: false,
            rate_hz: 8000,
        }
    }
}

/// What a recording does for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pause {
    /// It records.
    #[default]
    No,
    /// Silence takes the place of what is said; the time goes on.
    Silence,
    /// Nothing is recorded, as if the time had not passed.
    Skip,
}

/// Whose voice a recording holds. What the peer hears is whatever the port sends it: the other party of a joined port,
/// prompts, music.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sides {
    /// What the peer says.
    #[default]
    Peer,
    /// What the peer hears.
    Own,
    /// What the peer says and what it hears, added up.
    Mixed,
    /// What the peer says on the first channel, what it hears on the second.
    Apart,
}

impl Sides {
    /// Channels of the file.
    pub fn channels(self) -> u16 {
        match self {
            Self::Peer | Self::Own | Self::Mixed => 1,
            Self::Apart => 2,
        }
    }
}
