//! `[rtp]`: ports, pacing, time-outs and where recordings go. Composed into the operator's file by `app`.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The media engine's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MediaConfig {
    /// The UDP ports media uses, `"16384-32767"`: RTP on the even, RTCP on the odd port after it.
    pub ports: PortRange,
    /// The local address of media: `auto` takes the address of the route to the peer.
    pub address: String,
    /// The address written into session descriptions for peers outside the local nets; empty: the local one.
    pub advertise: String,
    /// Media threads; 0 takes one for every two cores.
    pub workers: usize,
    /// Differentiated-services code point of RTP and RTCP (46 = EF); 0 leaves packets unmarked.
    pub dscp: u8,
    /// How long a freed port rests before a new call may have it, in milliseconds; at least 1000.
    pub quarantine_ms: u64,
    /// Port pairs kept bound in advance for each local address.
    pub reserve: usize,
    /// Most port pairs in use or in quarantine at once; 0: as many as the range and the file descriptors allow.
    pub max_ports: usize,
    /// An answered call hears nothing from its peer for so long: it is ended. In seconds; 0 turns it off.
    pub timeout_seconds: u64,
    /// The same for a call on hold.
    pub held_timeout_seconds: u64,
    /// A port that sends nothing else sends one packet of silence this often, so that NAT bindings and the peer's own
    /// RTP time-out stay content (RFC 6263). In seconds; 0 turns it off.
    pub keepalive_seconds: u64,
    /// Directory recordings are opened below; empty: recording is refused. `app` fills it in from `data_dir`.
    pub record_dir: PathBuf,
    /// Recordings stop, and calls go on, when the disk has less than this left. In bytes.
    pub record_min_free: u64,
}

impl Default for MediaConfig {
    fn default() -> Self {
        Self {
            ports: PortRange(16384..=32767),
            address: "auto".to_owned(),
            advertise: String::new(),
            workers: 0,
            dscp: 46,
            quarantine_ms: 5000,
            reserve: 16,
            max_ports: 0,
            timeout_seconds: 30,
            held_timeout_seconds: 3600,
            keepalive_seconds: 15,
            record_dir: PathBuf::new(),
            record_min_free: 64 << 20,
        }
    }
}

impl MediaConfig {
    /// How long a freed port rests: never below one second.
    pub fn quarantine(&self) -> Duration {
        Duration::from_millis(self.quarantine_ms.max(1000))
    }

    /// The RTP time-out of an answered call.
    pub fn timeout(&self) -> Option<Duration> {
        (self.timeout_seconds > 0).then(|| Duration::from_secs(self.timeout_seconds))
    }

    /// The RTP time-out of a call on hold.
    pub fn held_timeout(&self) -> Option<Duration> {
        (self.held_timeout_seconds > 0).then(|| Duration::from_secs(self.held_timeout_seconds))
    }

    /// How often an otherwise silent port sends a packet.
    pub fn keepalive(&self) -> Option<Duration> {
        (self.keepalive_seconds > 0).then(|| Duration::from_secs(self.keepalive_seconds))
    }

    /// The number of media threads on a machine with `cores` cores.
    pub fn worker_count(&self, cores: usize) -> usize {
        if self.workers == 0 {
            (cores / 2).max(1)
        } else {
            self.workers.min(64)
        }
    }
}

/// A range of UDP ports, written `FIRST-LAST`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PortRange(RangeInclusive<u16>);

impl PortRange {
    /// The range from `first` to `last`; `None` unless it holds an even port from 1024 up and the odd one after it.
    pub fn new(first: u16, last: u16) -> Option<Self> {
        let range = Self(first..=last);
        (first >= 1024 && range.pairs() > 0).then_some(range)
    }

    /// How many RTP/RTCP pairs fit.
    pub fn pairs(&self) -> usize {
        let first = usize::from(*self.0.start()).next_multiple_of(2);
        (usize::from(*self.0.end()) + 1).saturating_sub(first) / 2
    }

    /// The even port of the pair number `index`, counted from 0.
    pub fn pair(&self, index: usize) -> Option<u16> {
        (index < self.pairs())
            .then(|| usize::from(*self.0.start()).next_multiple_of(2) + 2 * index)
            .and_then(|port| u16::try_from(port).ok())
    }

    /// The number of the pair with this even port.
    pub(super) fn index(&self, port: u16) -> usize {
        usize::from(port).saturating_sub(usize::from(*self.0.start()).next_multiple_of(2)) / 2
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0.start(), self.0.end())
    }
}

impl FromStr for PortRange {
    type Err = PortRangeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || PortRangeError {
            value: text.to_owned(),
        };
        let (first, last) = text.split_once('-').ok_or_else(refused)?;
        let parse = |part: &str| part.trim().parse::<u16>().map_err(|_| refused());
        Self::new(parse(first)?, parse(last)?).ok_or_else(refused)
    }
}

impl TryFrom<String> for PortRange {
    type Error = PortRangeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PortRange> for String {
    fn from(range: PortRange) -> Self {
        range.to_string()
    }
}

/// A port range that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{value}` is not a range of ports: write FIRST-LAST, both from 1024 to 65535, with room for an even port and the odd one after it"
)]
pub struct PortRangeError {
    value: String,
}

/// Why the media engine could not do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MediaError {
    /// Every pair of the range is in use or in quarantine.
    #[error("no free RTP port on {local}: {in_use} in use, {quarantined} in quarantine")]
    Exhausted {
        /// The local address asked for.
        local: IpAddr,
        /// Pairs owned by calls.
        in_use: usize,
        /// Pairs resting.
        quarantined: usize,
    },
    /// No pair could be bound on the address.
    #[error("cannot bind an RTP port on {local}: {source}")]
    Bind {
        /// The local address asked for.
        local: IpAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The machine refused a thread or a descriptor at the start.
    #[error("cannot start media thread {worker}: {source}")]
    Start {
        /// Which one, from 0.
        worker: usize,
        /// What the system said.
        source: std::io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_counts_whole_pairs_only() {
        let range: PortRange = "16383-16388".parse().unwrap();
        assert_eq!(range.pairs(), 2);
        assert_eq!(
            (range.pair(0), range.pair(1), range.pair(2)),
            (Some(16384), Some(16386), None)
        );
        assert_eq!(PortRange::default_pairs(), 8192);
    }

    #[test]
    fn a_range_without_a_pair_is_refused_and_says_why() {
        for bad in [
            "",
            "5000",
            "80-90",
            "5001-5001",
            "5000-5000",
            "6000-5000",
            "1024-99999",
        ] {
            let error = bad.parse::<PortRange>().unwrap_err().to_string();
            assert!(
                error.contains(bad) && error.contains("FIRST-LAST"),
                "{error}"
            );
        }
    }

    impl PortRange {
        fn default_pairs() -> usize {
            MediaConfig::default().ports.pairs()
        }
    }
}
