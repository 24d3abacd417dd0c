//! SRTP and SRTCP (RFC 3711, AES-256 by RFC 6188, AEAD by RFC 7714): packets made secret and checked, in place.
//!
//! The ciphers are RustCrypto's; what is here is which bytes they get. Nothing allocates after the keys are derived,
//! nothing is remembered of a packet before its tag has been checked, and a packet that fails is dropped and counted,
//! never more (FreeSWITCH CVE-2021-41105).

mod cipher;
mod keys;
#[cfg(test)]
mod tests;

pub use keys::{MasterKey, SrtpKeys, Suite};

use cipher::{GCM_TAG, SHA_TAG, SessionKeys};

/// Why a packet was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SrtpError {
    /// Too short, or no RTP at all.
    #[error("not an SRTP packet")]
    Malformed,
    /// It came before, or is too old to know.
    #[error("replayed")]
    Replayed,
    /// The tag is not that of these bytes.
    #[error("the authentication tag is wrong")]
    Unauthentic,
}

/// Protects what one port sends.
#[derive(Debug)]
pub struct Protect {
    rtp: SessionKeys,
    rtcp: SessionKeys,
    /// SSRC and highest index sent.
    highest: Option<(u32, i64)>,
    rtcp_index: u32,
}

impl Protect {
    /// Derives the keys. Not on the tick.
    pub fn new(master: &MasterKey) -> Self {
        Self {
            rtp: SessionKeys::derive(master, 0),
            rtcp: SessionKeys::derive(master, 3),
            highest: None,
            rtcp_index: 0,
        }
    }

    /// Encrypts the RTP packet `packet` and appends its tag.
    pub fn rtp(&mut self, packet: &mut Vec<u8>) -> Result<(), SrtpError> {
        let head = RtpHead::read(packet).ok_or(SrtpError::Malformed)?;
        let index = match self.highest {
            Some((ssrc, highest)) if ssrc == head.ssrc => near(highest, head.sequence),
            _ => i64::from(head.sequence),
        };
        let known = self.highest.filter(|(ssrc, _)| *ssrc == head.ssrc);
        if index < 0 {
            return Err(SrtpError::Replayed);
        }
        self.highest = Some((
            head.ssrc,
            known.map_or(index, |(_, highest)| highest.max(index)),
        ));
        let (front, body) = packet
            .split_at_mut_checked(head.length)
            .ok_or(SrtpError::Malformed)?;
        let roc = (index >> 16) as u32;
        let tag = self
            .rtp
            .seal(head.ssrc, index as u64, front, body, &roc.to_be_bytes());
        packet.extend_from_slice(
            tag.get(..self.rtp.suite.rtp_tag_bytes())
                .unwrap_or_default(),
        );
        Ok(())
    }

    /// Encrypts the compound RTCP packet in the first `length` bytes of `buffer`; its new length, or `None` when the
    /// buffer is too short.
    pub fn rtcp(&mut self, buffer: &mut [u8], length: usize) -> Option<usize> {
        self.rtcp_index = (self.rtcp_index + 1) & !ENCRYPTED;
        let word = (self.rtcp_index | ENCRYPTED).to_be_bytes();
        let keys = &self.rtcp;
        let packet = buffer.get_mut(..length)?;
        let (front, body) = packet.split_first_chunk_mut::<RTCP_HEAD>()?;
        let ssrc = ssrc_of(front);
        let tag = keys.seal(ssrc, u64::from(self.rtcp_index), front, body, &word);
        let tag = tag.get(
            ..if keys.suite.is_aead() {
                GCM_TAG
            } else {
                SHA_TAG
            },
        )?;
        let (first, second) = if keys.suite.is_aead() {
            (tag, word.as_slice())
        } else {
            (word.as_slice(), tag)
        };
        let end = buffer.get_mut(length..length + first.len() + second.len())?;
        let (a, b) = end.split_at_mut_checked(first.len())?;
        a.copy_from_slice(first);
        b.copy_from_slice(second);
        Some(length + first.len() + second.len())
    }
}

/// Checks and opens what a peer sends.
#[derive(Debug)]
pub struct Unprotect {
    rtp: SessionKeys,
    rtcp: SessionKeys,
    /// Sources whose packets were authentic, newest first.
    sources: [Option<Source>; SOURCES],
    rtcp_sources: [Option<Source>; SOURCES],
}

/// What is known of one source.
#[derive(Debug, Clone, Copy)]
struct Source {
    ssrc: u32,
    /// Highest index that was authentic.
    highest: i64,
    /// Which of the 128 up to it have come.
    seen: u128,
}

impl Unprotect {
    /// Derives the keys. Not on the tick.
    pub fn new(master: &MasterKey) -> Self {
        Self {
            rtp: SessionKeys::derive(master, 0),
            rtcp: SessionKeys::derive(master, 3),
            sources: [None; SOURCES],
            rtcp_sources: [None; SOURCES],
        }
    }

    /// Opens an RTP packet in place; the length of what is left. A packet that is refused changes nothing.
    pub fn rtp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let head = RtpHead::read(packet).ok_or(SrtpError::Malformed)?;
        let known = find(&self.sources, head.ssrc);
        let index = known.map_or(i64::from(head.sequence), |s| near(s.highest, head.sequence));
        check_replay(known, index)?;
        let end = packet
            .len()
            .checked_sub(self.rtp.suite.rtp_tag_bytes())
            .filter(|end| *end >= head.length)
            .ok_or(SrtpError::Malformed)?;
        let (packet, tag) = packet
            .split_at_mut_checked(end)
            .ok_or(SrtpError::Malformed)?;
        let (front, body) = packet
            .split_at_mut_checked(head.length)
            .ok_or(SrtpError::Malformed)?;
        let roc = (index >> 16) as u32;
        self.rtp.open(
            head.ssrc,
            index as u64,
            front,
            body,
            &roc.to_be_bytes(),
            tag,
        )?;
        note(&mut self.sources, head.ssrc, index);
        Ok(end)
    }

    /// Opens a compound RTCP packet in place; the length of what is left.
    pub fn rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let keys = &self.rtcp;
        let tag_bytes = if keys.suite.is_aead() {
            GCM_TAG
        } else {
            SHA_TAG
        };
        let end = packet
            .len()
            .checked_sub(tag_bytes + 4)
            .filter(|end| *end >= RTCP_HEAD)
            .ok_or(SrtpError::Malformed)?;
        let (packet, trailer) = packet
            .split_at_mut_checked(end)
            .ok_or(SrtpError::Malformed)?;
        // AEAD has the index word last, the others before the tag.
        let (word, tag) = if keys.suite.is_aead() {
            trailer
                .split_last_chunk::<4>()
                .map(|(tag, word)| (*word, tag))
        } else {
            trailer
                .split_first_chunk::<4>()
                .map(|(word, tag)| (*word, tag))
        }
        .ok_or(SrtpError::Malformed)?;
        let (front, body) = packet
            .split_first_chunk_mut::<RTCP_HEAD>()
            .ok_or(SrtpError::Malformed)?;
        let value = u32::from_be_bytes(word);
        if value & ENCRYPTED == 0 {
            // Only we decide what goes in the clear, and that is nothing.
            return Err(SrtpError::Unauthentic);
        }
        let (ssrc, index) = (ssrc_of(front), i64::from(value & !ENCRYPTED));
        check_replay(find(&self.rtcp_sources, ssrc), index)?;
        keys.open(ssrc, index as u64, front, body, &word, tag)?;
        note(&mut self.rtcp_sources, ssrc, index);
        Ok(end)
    }
}

/// What of an RTP header matters here.
struct RtpHead {
    sequence: u16,
    ssrc: u32,
    /// With CSRC list and extension.
    length: usize,
}

impl RtpHead {
    fn read(packet: &[u8]) -> Option<Self> {
        let head = packet.first_chunk::<12>()?;
        let &[first, _, s0, s1, _, _, _, _, i0, i1, i2, i3] = head;
        if first >> 6 != 2 {
            return None;
        }
        let mut length = 12 + usize::from(first & 0x0F) * 4;
        if first & 0x10 != 0 {
            let words = packet.get(length + 2..length + 4)?.first_chunk::<2>()?;
            length += 4 + usize::from(u16::from_be_bytes(*words)) * 4;
        }
        (length <= packet.len() && length <= MOST_HEAD).then(|| Self {
            sequence: u16::from_be_bytes([s0, s1]),
            ssrc: u32::from_be_bytes([i0, i1, i2, i3]),
            length,
        })
    }
}

fn ssrc_of(head: &[u8; RTCP_HEAD]) -> u32 {
    let &[_, _, _, _, a, b, c, d] = head;
    u32::from_be_bytes([a, b, c, d])
}

/// The index with these low sixteen bits nearest to one already known (RFC 3711 §3.3.1).
fn near(highest: i64, sequence: u16) -> i64 {
    highest + i64::from(sequence.wrapping_sub(highest as u16) as i16)
}

fn find(sources: &[Option<Source>], ssrc: u32) -> Option<Source> {
    sources.iter().flatten().find(|s| s.ssrc == ssrc).copied()
}

fn check_replay(known: Option<Source>, index: i64) -> Result<(), SrtpError> {
    let Some(source) = known else { return Ok(()) };
    let back = source.highest - index;
    let replayed = match u32::try_from(back) {
        Ok(back) => source.seen.checked_shr(back).unwrap_or(1) & 1 == 1,
        Err(_) => back > 0,
    };
    if index < 0 || replayed {
        Err(SrtpError::Replayed)
    } else {
        Ok(())
    }
}

/// Notes an authentic packet. A new source takes the place of the one that has been silent longest.
fn note(sources: &mut [Option<Source>; SOURCES], ssrc: u32, index: i64) {
    let known = |s: &Option<Source>| s.is_some_and(|s| s.ssrc == ssrc);
    let place = sources.iter().position(known).unwrap_or(SOURCES - 1);
    let before = sources
        .get(place)
        .copied()
        .flatten()
        .filter(|s| s.ssrc == ssrc);
    let source = match before {
        Some(mut source) => {
            let ahead = index - source.highest;
            if ahead > 0 {
                let by = u32::try_from(ahead).unwrap_or(u32::MAX);
                source.seen = source.seen.checked_shl(by).unwrap_or(0) | 1;
                source.highest = index;
            } else if let Some(bit) = 1u128.checked_shl(ahead.unsigned_abs() as u32) {
                source.seen |= bit;
            }
            source
        }
        None => Source {
            ssrc,
            highest: index,
            seen: 1,
        },
    };
    if let Some(front) = sources.get_mut(..=place) {
        front.rotate_right(1);
    }
    sources[0] = Some(source);
}

/// The longest RTP header that is read: 15 sources and an extension of 60 bytes and more.
const MOST_HEAD: usize = 256;
/// The part of an RTCP packet that stays in the clear.
const RTCP_HEAD: usize = 8;
/// The E bit of the index word.
const ENCRYPTED: u32 = 0x8000_0000;
/// Sources remembered at once.
const SOURCES: usize = 8;
