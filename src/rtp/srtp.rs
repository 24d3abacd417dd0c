//! SRTP and SRTCP (RFC 3711, AES-256 by RFC 6188, AEAD by RFC 7714): packets made secret and checked, in place.
//!
//! The ciphers are RustCrypto's; what is here is which bytes they get. Nothing allocates after the keys are derived,
//! nothing is remembered of a packet before its tag has been checked, and a packet that fails is dropped and counted,
//! never more (FreeSWITCH CVE-2021-41105).

use std::fmt;

use aes::cipher::{BlockCipherEncrypt, KeyInit as _};
use aes::{Aes128, Aes256, Block};
use aes_gcm::aead::AeadInOut as _;
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use hmac::{Hmac, Mac as _};
use sha1::Sha1;
use subtle::ConstantTimeEq as _;

/// How packets are protected: the crypto-suite of `a=crypto`, or the profile of DTLS-SRTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suite {
    /// `AES_CM_128_HMAC_SHA1_80` (RFC 4568 §6.2.1).
    Aes128Sha80,
    /// `AES_CM_128_HMAC_SHA1_32` (RFC 4568 §6.2.2).
    Aes128Sha32,
    /// `AES_256_CM_HMAC_SHA1_80` (RFC 6188).
    Aes256Sha80,
    /// `AEAD_AES_128_GCM` (RFC 7714).
    Aes128Gcm,
    /// `AEAD_AES_256_GCM` (RFC 7714).
    Aes256Gcm,
}

impl Suite {
    /// Every suite, in the order we offer them.
    pub const ALL: [Suite; 5] = [
        Suite::Aes128Gcm,
        Suite::Aes256Gcm,
        Suite::Aes128Sha80,
        Suite::Aes256Sha80,
        Suite::Aes128Sha32,
    ];

    /// The name in `a=crypto`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aes128Sha80 => "AES_CM_128_HMAC_SHA1_80",
            Self::Aes128Sha32 => "AES_CM_128_HMAC_SHA1_32",
            Self::Aes256Sha80 => "AES_256_CM_HMAC_SHA1_80",
            Self::Aes128Gcm => "AEAD_AES_128_GCM",
            Self::Aes256Gcm => "AEAD_AES_256_GCM",
        }
    }

    /// The suite of that name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|suite| suite.name().eq_ignore_ascii_case(name))
    }

    /// Bytes of the master key.
    pub fn key_bytes(self) -> usize {
        match self {
            Self::Aes128Sha80 | Self::Aes128Sha32 | Self::Aes128Gcm => 16,
            Self::Aes256Sha80 | Self::Aes256Gcm => 32,
        }
    }

    /// Bytes of the master salt.
    pub fn salt_bytes(self) -> usize {
        if self.is_aead() { 12 } else { 14 }
    }

    /// Most bytes a packet grows by.
    pub const MOST_GROWTH: usize = 16 + 4;

    fn is_aead(self) -> bool {
        matches!(self, Self::Aes128Gcm | Self::Aes256Gcm)
    }

    /// Bytes of the tag of RTP packets; those of RTCP are never short (RFC 4568 §6.2.2).
    fn rtp_tag_bytes(self) -> usize {
        match self {
            Self::Aes128Sha32 => 4,
            Self::Aes128Sha80 | Self::Aes256Sha80 => 10,
            Self::Aes128Gcm | Self::Aes256Gcm => GCM_TAG,
        }
    }
}

/// Master key and master salt of one direction, one after the other. Never shows itself.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey {
    suite: Suite,
    bytes: [u8; MOST_KEY],
}

impl MasterKey {
    /// From key and salt in one row, as `inline:` and the exporter of DTLS give them; `None` when the length is wrong.
    pub fn new(suite: Suite, key_and_salt: &[u8]) -> Option<Self> {
        if key_and_salt.len() != suite.key_bytes() + suite.salt_bytes() {
            return None;
        }
        let mut bytes = [0; MOST_KEY];
        bytes
            .get_mut(..key_and_salt.len())?
            .copy_from_slice(key_and_salt);
        Some(Self { suite, bytes })
    }

    /// For which suite it is.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The bytes themselves. The name makes every use visible in review.
    pub fn reveal(&self) -> &[u8] {
        let length = self.suite.key_bytes() + self.suite.salt_bytes();
        self.bytes.get(..length).unwrap_or_default()
    }

    fn key(&self) -> &[u8] {
        self.bytes.get(..self.suite.key_bytes()).unwrap_or_default()
    }

    /// The salt; that of AEAD suites is filled up with zeros for the derivation.
    fn salt(&self) -> Salt {
        let mut salt = [0; 14];
        let from = self.bytes.iter().skip(self.suite.key_bytes());
        let from = from.take(self.suite.salt_bytes());
        salt.iter_mut().zip(from).for_each(|(to, byte)| *to = *byte);
        salt
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({}, ***)", self.suite.name())
    }
}

/// The keys of both directions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrtpKeys {
    /// Protects what we send.
    pub send: MasterKey,
    /// Opens what we receive.
    pub receive: MasterKey,
}

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

/// The keys of one direction and one kind of packet.
struct SessionKeys {
    suite: Suite,
    cipher: Cipher,
    salt: Salt,
    auth: Hmac<Sha1>,
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.suite.name())
    }
}

/// A block cipher under one key.
#[expect(
    clippy::large_enum_variant,
    reason = "made once a call; a box would be one more miss a packet"
)]
enum Cipher {
    Aes128(Aes128),
    Aes256(Aes256),
    Gcm128(Aes128Gcm),
    Gcm256(Aes256Gcm),
}

type Salt = [u8; 14];

impl SessionKeys {
    /// RFC 3711 §4.3 without renewal. `label`: 0 for RTP, 3 for RTCP.
    fn derive(master: &MasterKey, label: u8) -> Self {
        let suite = master.suite;
        let (mut key, mut auth, mut salt) = ([0; 32], [0; 20], [0; 14]);
        let derive = |label: u8, out: &mut [u8]| {
            let mut iv = [0; 16];
            let salt = master.salt();
            iv.iter_mut().zip(salt).for_each(|(to, byte)| *to = byte);
            iv[7] ^= label;
            match Aes256::new_from_slice(master.key()) {
                Ok(aes) => keystream(&aes, iv, out),
                Err(_) => {
                    if let Ok(aes) = Aes128::new_from_slice(master.key()) {
                        keystream(&aes, iv, out);
                    }
                }
            }
        };
        let key = key.get_mut(..suite.key_bytes()).unwrap_or_default();
        derive(label, key);
        derive(label + 1, &mut auth);
        derive(
            label + 2,
            salt.get_mut(..suite.salt_bytes()).unwrap_or_default(),
        );
        let (mut short, mut long) = ([0; 16], [0; 32]);
        short
            .iter_mut()
            .zip(key.iter())
            .for_each(|(to, byte)| *to = *byte);
        long.iter_mut()
            .zip(key.iter())
            .for_each(|(to, byte)| *to = *byte);
        let cipher = match suite {
            Suite::Aes128Sha80 | Suite::Aes128Sha32 => Cipher::Aes128(Aes128::new(&short.into())),
            Suite::Aes256Sha80 => Cipher::Aes256(Aes256::new(&long.into())),
            Suite::Aes128Gcm => Cipher::Gcm128(Aes128Gcm::new(&short.into())),
            Suite::Aes256Gcm => Cipher::Gcm256(Aes256Gcm::new(&long.into())),
        };
        let mut auth_block = [0; 64];
        auth_block
            .iter_mut()
            .zip(auth)
            .for_each(|(to, byte)| *to = byte);
        Self {
            suite,
            cipher,
            salt,
            // HMAC fills a key up with zeros to a block: the same key.
            auth: Hmac::new(&auth_block.into()),
        }
    }

    /// Encrypts `body`; the tag over everything. `word`: what is authenticated beyond the packet (ROC, or the index
    /// word of RTCP).
    fn seal(&self, ssrc: u32, index: u64, front: &[u8], body: &mut [u8], word: &[u8; 4]) -> Tag {
        match &self.cipher {
            Cipher::Aes128(aes) => counter_mode(aes, self.counter(ssrc, index), body),
            Cipher::Aes256(aes) => counter_mode(aes, self.counter(ssrc, index), body),
            Cipher::Gcm128(gcm) => {
                let (aad, length) = self.aad(front, word);
                let aad = aad.get(..length).unwrap_or_default();
                let made =
                    gcm.encrypt_inout_detached(&self.nonce(ssrc, index).into(), aad, body.into());
                return made.map_or([0; GCM_TAG], Into::into);
            }
            Cipher::Gcm256(gcm) => {
                let (aad, length) = self.aad(front, word);
                let aad = aad.get(..length).unwrap_or_default();
                let made =
                    gcm.encrypt_inout_detached(&self.nonce(ssrc, index).into(), aad, body.into());
                return made.map_or([0; GCM_TAG], Into::into);
            }
        }
        self.mac(front, body, word)
    }

    /// Checks the tag and decrypts `body`.
    fn open(
        &self,
        ssrc: u32,
        index: u64,
        front: &[u8],
        body: &mut [u8],
        word: &[u8; 4],
        tag: &[u8],
    ) -> Result<(), SrtpError> {
        match &self.cipher {
            Cipher::Aes128(_) | Cipher::Aes256(_) => {
                let ours = self.mac(front, body, word);
                let ours = ours.get(..tag.len()).unwrap_or_default();
                if !bool::from(ours.ct_eq(tag)) || tag.is_empty() {
                    return Err(SrtpError::Unauthentic);
                }
                let counter = self.counter(ssrc, index);
                match &self.cipher {
                    Cipher::Aes128(aes) => counter_mode(aes, counter, body),
                    Cipher::Aes256(aes) => counter_mode(aes, counter, body),
                    Cipher::Gcm128(_) | Cipher::Gcm256(_) => {}
                }
                Ok(())
            }
            Cipher::Gcm128(gcm) => {
                let (aad, length) = self.aad(front, word);
                let aad = aad.get(..length).unwrap_or_default();
                let tag: Tag = tag.try_into().map_err(|_| SrtpError::Malformed)?;
                gcm.decrypt_inout_detached(
                    &self.nonce(ssrc, index).into(),
                    aad,
                    body.into(),
                    &tag.into(),
                )
                .map_err(|_| SrtpError::Unauthentic)
            }
            Cipher::Gcm256(gcm) => {
                let (aad, length) = self.aad(front, word);
                let aad = aad.get(..length).unwrap_or_default();
                let tag: Tag = tag.try_into().map_err(|_| SrtpError::Malformed)?;
                gcm.decrypt_inout_detached(
                    &self.nonce(ssrc, index).into(),
                    aad,
                    body.into(),
                    &tag.into(),
                )
                .map_err(|_| SrtpError::Unauthentic)
            }
        }
    }

    fn mac(&self, front: &[u8], body: &[u8], word: &[u8; 4]) -> Tag {
        let mut mac = self.auth.clone();
        mac.update(front);
        mac.update(body);
        mac.update(word);
        let full: [u8; 20] = mac.finalize().into_bytes().into();
        full.first_chunk().copied().unwrap_or_default()
    }

    /// The counter block of RFC 3711 §4.1.1: salt, SSRC and index over each other.
    fn counter(&self, ssrc: u32, index: u64) -> [u8; 16] {
        let mut block = [0; 16];
        block
            .iter_mut()
            .zip(self.salt)
            .for_each(|(to, byte)| *to = byte);
        let ssrc = ssrc.to_be_bytes();
        block
            .iter_mut()
            .skip(4)
            .zip(ssrc)
            .for_each(|(to, byte)| *to ^= byte);
        let index = index.to_be_bytes();
        let index = index.iter().skip(2);
        block
            .iter_mut()
            .skip(8)
            .zip(index)
            .for_each(|(to, byte)| *to ^= byte);
        block
    }

    /// The nonce of RFC 7714 §8.1 and §9.1: SSRC and index, the latter of 48 bits, over the salt.
    fn nonce(&self, ssrc: u32, index: u64) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce
            .iter_mut()
            .zip(self.salt)
            .for_each(|(to, byte)| *to = byte);
        let ssrc = ssrc.to_be_bytes();
        nonce
            .iter_mut()
            .skip(2)
            .zip(ssrc)
            .for_each(|(to, byte)| *to ^= byte);
        let index = index.to_be_bytes();
        let index = index.iter().skip(2);
        nonce
            .iter_mut()
            .skip(6)
            .zip(index)
            .for_each(|(to, byte)| *to ^= byte);
        nonce
    }

    /// What AEAD authenticates in the clear: the header, and for RTCP the index word behind it. For RTP the word (the
    /// ROC) is part of the nonce already.
    fn aad(&self, front: &[u8], word: &[u8; 4]) -> ([u8; MOST_HEAD + 4], usize) {
        let mut aad = [0; MOST_HEAD + 4];
        let rtcp = front.len() == RTCP_HEAD;
        let word = if rtcp { word.as_slice() } else { &[] };
        let from = front.iter().chain(word);
        aad.iter_mut().zip(from).for_each(|(to, byte)| *to = *byte);
        (aad, front.len() + word.len())
    }
}

type Tag = [u8; GCM_TAG];

/// XORs the key stream of counter mode over `data`.
fn counter_mode<C>(cipher: &C, counter: [u8; 16], data: &mut [u8])
where
    C: BlockCipherEncrypt + aes::cipher::BlockSizeUser<BlockSize = aes::cipher::consts::U16>,
{
    let mut counter = u128::from_be_bytes(counter);
    for part in data.chunks_mut(16 * BLOCKS) {
        let mut blocks = [Block::default(); BLOCKS];
        for block in &mut blocks {
            *block = counter.to_be_bytes().into();
            counter = counter.wrapping_add(1);
        }
        let needed = part.len().div_ceil(16);
        let blocks = blocks.get_mut(..needed).unwrap_or_default();
        cipher.encrypt_blocks(blocks);
        let stream = blocks.iter().flatten();
        part.iter_mut()
            .zip(stream)
            .for_each(|(byte, key)| *byte ^= key);
    }
}

/// The key stream itself.
fn keystream<C>(cipher: &C, counter: [u8; 16], out: &mut [u8])
where
    C: BlockCipherEncrypt + aes::cipher::BlockSizeUser<BlockSize = aes::cipher::consts::U16>,
{
    out.fill(0);
    counter_mode(cipher, counter, out);
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

/// The longest key and salt.
const MOST_KEY: usize = 32 + 14;
/// The longest RTP header that is read: 15 sources and an extension of 60 bytes and more.
const MOST_HEAD: usize = 256;
/// The part of an RTCP packet that stays in the clear.
const RTCP_HEAD: usize = 8;
/// The E bit of the index word.
const ENCRYPTED: u32 = 0x8000_0000;
/// Bytes of tags.
const GCM_TAG: usize = 16;
const SHA_TAG: usize = 10;
/// Sources remembered at once.
const SOURCES: usize = 8;
/// Blocks encrypted at once, which the processor does side by side.
const BLOCKS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        hex::decode(text).unwrap()
    }

    fn master(suite: Suite) -> MasterKey {
        let length = suite.key_bytes() + suite.salt_bytes();
        let key: Vec<u8> = (0..length).map(|i| (i * 7 + 3) as u8).collect();
        MasterKey::new(suite, &key).unwrap()
    }

    fn packet(sequence: u16) -> Vec<u8> {
        let time = 0x1234_5678u32.wrapping_add(160 * u32::from(sequence));
        let mut out = vec![0x80, 0];
        out.extend(sequence.to_be_bytes());
        out.extend(time.to_be_bytes());
        out.extend([0xCA, 0xFE, 0xBA, 0xBE]);
        out.extend((0..20).map(|i| (sequence as u8).wrapping_add(i)));
        out
    }

    #[test]
    fn keys_are_derived_as_in_the_rfcs() {
        let key = |suite, text: &str| {
            SessionKeys::derive(&MasterKey::new(suite, &bytes(text)).unwrap(), 0)
        };
        // RFC 3711 B.3.
        let keys = key(
            Suite::Aes128Sha80,
            "e1f97a0d3e018be0d64fa32c06de41390ec675ad498afeebb6960b3aabe6",
        );
        assert_eq!(keys.salt.as_slice(), bytes("30cbbc08863d8c85d49db34a9ae1"));
        let stream = |keys: &SessionKeys| {
            let mut block = Block::default();
            match &keys.cipher {
                Cipher::Aes128(aes) => aes.encrypt_block(&mut block),
                Cipher::Aes256(aes) => aes.encrypt_block(&mut block),
                Cipher::Gcm128(_) | Cipher::Gcm256(_) => {}
            }
            block
        };
        let aes = Aes128::new_from_slice(&bytes("c61e7a93744f39ee10734afe3ff7a087")).unwrap();
        let mut block = Block::default();
        aes.encrypt_block(&mut block);
        assert_eq!(stream(&keys), block);
        // RFC 6188 §7.2.
        let keys = key(
            Suite::Aes256Sha80,
            "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b63b04803de51ee7c96423ab5b78d2",
        );
        assert_eq!(keys.salt.as_slice(), bytes("fa31791685ca444a9e07c6c64e93"));
        let aes = Aes256::new_from_slice(&bytes(
            "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4",
        ))
        .unwrap();
        let mut block = Block::default();
        aes.encrypt_block(&mut block);
        assert_eq!(stream(&keys), block);
        let auth = bytes("fd9c32d39ed5fbb5a9dc96b30818454d1313dc05");
        let mut mac = Hmac::<Sha1>::new_from_slice(&auth).unwrap();
        mac.update(b"x");
        let mut ours = keys.auth.clone();
        ours.update(b"x");
        assert_eq!(ours.finalize().into_bytes(), mac.finalize().into_bytes());
    }

    /// Made by libsrtp: packets 1, 32768, 65530 and (a round later) 3, then a report.
    const REFERENCE: [(Suite, [&str; 4], &str); 4] = [
        (
            Suite::Aes128Sha80,
            [
                "8000000112345718cafebabe0b78d007bb7433bd86fa7f66e685427216a203c55aa8a0aff1b12bee5503",
                "8000800012845678cafebabe1c56186c3e4888b565d759fa7cda2ff4eccaabb09a5a4131822ba01f4d6b",
                "8000fffa12d452b8cafebabe9dc99699c8db5b7fe99ab3c8eafb284bdf5d4353dd2cb5f254dbc3aa660b",
                "8000000312345858cafebabeb43599c6f2d6c3c3d5d341fe1f70ed01f8518d876a8c4f869d4f3359a7c1",
            ],
            "80c80006cafebabe374a5d7e8876b2c0ed57b3fbf97354a8522345cb80000001f553b74165d97e98c571",
        ),
        (
            Suite::Aes128Sha32,
            [
                "8000000112345718cafebabe0b78d007bb7433bd86fa7f66e685427216a203c55aa8a0af",
                "8000800012845678cafebabe1c56186c3e4888b565d759fa7cda2ff4eccaabb09a5a4131",
                "8000fffa12d452b8cafebabe9dc99699c8db5b7fe99ab3c8eafb284bdf5d4353dd2cb5f2",
                "8000000312345858cafebabeb43599c6f2d6c3c3d5d341fe1f70ed01f8518d876a8c4f86",
            ],
            "80c80006cafebabe374a5d7e8876b2c0ed57b3fbf97354a8522345cb80000001f553b74165d97e98c571",
        ),
        (
            Suite::Aes128Gcm,
            [
                "8000000112345718cafebabe0daaeffa3a53709b264eb453348241b69a3a81e6e6ce8b3b23346e4c451b4472ebd8fc9f",
                "8000800012845678cafebabe6f36ee5267a5276a83c7b3b412817c04c2c0db1afbc9b31feedee9d5580f8e086c76ee42",
                "8000fffa12d452b8cafebabedb42b38f44aed86452f76f12e4cc4c4a578e4cddcd274cd84bf70327db6449b4a75e8078",
                "8000000312345858cafebabe5415d7ee04727f47f2892d8b6c456e2bafcc4fc01a50379b1983530b65b9264b4262e8cf",
            ],
            "80c80006cafebabee5798757795011dafe18a14cff17f1e14d6a598cddd2973a9278689ed4e2b0e2d0e9da6b80000001",
        ),
        (
            Suite::Aes256Gcm,
            [
                "8000000112345718cafebabe1edc393a2d7a2e52c196fa6ca8d965f521426a7ff59d2a8eb3c3e9f63dfa62eafaedea37",
                "8000800012845678cafebabe688a66030f5440b90bd95c8c70c742b53bb892609d5191e1a18f1023ea10504079e7940b",
                "8000fffa12d452b8cafebabe34e665cfc8f4d6cfb783a3f2eba6f9e1016be5856934cac21802a49b9d896919176c64cf",
                "8000000312345858cafebabe3a3aec4e86a9af1a16114796de74249a5a4f293fa063b76b690e9554972b649034f8c39b",
            ],
            "80c80006cafebabe0471402615cc2f885540a4d7b278ed52ada7a64eb098c18f4368935be56c21ed8a8e8fdd80000001",
        ),
    ];

    #[test]
    fn packets_are_those_of_libsrtp() {
        for (suite, packets, report) in REFERENCE {
            let (mut ours, mut theirs) =
                (Protect::new(&master(suite)), Unprotect::new(&master(suite)));
            for (sequence, reference) in [1, 32_768, 65_530, 3].into_iter().zip(packets) {
                let mut sealed = packet(sequence);
                ours.rtp(&mut sealed).unwrap();
                assert_eq!(hex::encode(&sealed), reference, "{suite:?}");
                let length = theirs.rtp(&mut sealed).unwrap();
                assert_eq!(sealed[..length], packet(sequence));
            }
            let mut plain = bytes("80c80006cafebabe");
            plain.extend(0..20);
            let mut buffer = [0; 128];
            buffer[..28].copy_from_slice(&plain);
            let length = ours.rtcp(&mut buffer, 28).unwrap();
            assert_eq!(hex::encode(&buffer[..length]), report, "{suite:?}");
            assert_eq!(theirs.rtcp(&mut buffer[..length]), Ok(28));
            assert_eq!(buffer[..28], plain);
        }
    }

    #[test]
    fn what_is_sealed_is_opened_over_many_rounds_and_in_any_order() {
        for suite in Suite::ALL {
            let (mut ours, mut theirs) =
                (Protect::new(&master(suite)), Unprotect::new(&master(suite)));
            let mut held: Option<Vec<u8>> = None;
            for n in 0..200_000u32 {
                let sequence = n.wrapping_mul(37) as u16; // leaps of 37: three rounds and more
                let mut sealed = packet(sequence);
                ours.rtp(&mut sealed).unwrap();
                if n % 5 == 0 {
                    held = Some(sealed);
                    continue;
                }
                let length = theirs.rtp(&mut sealed).unwrap();
                assert_eq!(sealed[..length], packet(sequence));
                if let Some(mut late) = held.take() {
                    assert!(theirs.rtp(&mut late).is_ok(), "overtaken at {n}");
                }
            }
        }
    }

    #[test]
    fn a_packet_is_taken_once() {
        let suite = Suite::Aes128Sha80;
        let (mut ours, mut theirs) = (Protect::new(&master(suite)), Unprotect::new(&master(suite)));
        let sealed: Vec<Vec<u8>> = (100..400)
            .map(|sequence| {
                let mut sealed = packet(sequence);
                ours.rtp(&mut sealed).unwrap();
                sealed
            })
            .collect();
        for one in &sealed {
            assert!(theirs.rtp(&mut one.clone()).is_ok());
        }
        for one in &sealed {
            assert_eq!(theirs.rtp(&mut one.clone()), Err(SrtpError::Replayed));
        }
    }

    #[test]
    fn what_is_not_authentic_changes_nothing() {
        for suite in Suite::ALL {
            let (mut ours, mut theirs) =
                (Protect::new(&master(suite)), Unprotect::new(&master(suite)));
            let mut first = packet(500);
            ours.rtp(&mut first).unwrap();
            assert!(theirs.rtp(&mut first).is_ok());
            for n in 0..2000u16 {
                // Another SSRC, other numbers, other bytes.
                let mut forged = packet(n.wrapping_mul(31));
                forged[8] = n as u8;
                forged.extend([n as u8; 16]);
                assert!(theirs.rtp(&mut forged).is_err());
            }
            let mut next = packet(501);
            ours.rtp(&mut next).unwrap();
            for at in 0..next.len() {
                let mut broken = next.clone();
                broken[at] ^= 0x10;
                assert!(theirs.rtp(&mut broken).is_err(), "{suite:?}: byte {at}");
            }
            assert!(theirs.rtp(&mut next).is_ok());
            assert!(find(&theirs.sources, 0xCAFE_BABE).is_some());
            assert_eq!(theirs.sources.iter().flatten().count(), 1);
        }
    }

    #[test]
    fn short_and_lying_packets_are_refused() {
        for suite in Suite::ALL {
            let mut theirs = Unprotect::new(&master(suite));
            for length in 0..40 {
                let mut bad = vec![0x9F; length];
                assert!(theirs.rtp(&mut bad).is_err());
                let mut bad = vec![0x80; length];
                assert!(theirs.rtcp(&mut bad).is_err());
            }
            let mut huge = vec![0x90; 2000];
            assert!(theirs.rtp(&mut huge).is_err());
        }
    }

    #[test]
    fn header_extensions_stay_in_the_clear() {
        for suite in Suite::ALL {
            let (mut ours, mut theirs) =
                (Protect::new(&master(suite)), Unprotect::new(&master(suite)));
            let mut plain = vec![0x91, 0, 0, 7, 0, 0, 0, 1, 1, 2, 3, 4, 9, 9, 9, 9];
            plain.extend([0xBE, 0xDE, 0, 1, 0x10, 5, 0, 0, 42, 43, 44]);
            let mut sealed = plain.clone();
            ours.rtp(&mut sealed).unwrap();
            assert_eq!(sealed[..24], plain[..24]);
            assert_ne!(sealed[24..27], plain[24..27]);
            let length = theirs.rtp(&mut sealed).unwrap();
            assert_eq!(sealed[..length], plain);
        }
    }
}
