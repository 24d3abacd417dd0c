//! Suites, and the keys they start from.

use std::fmt;

use super::cipher::{GCM_TAG, Salt};

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

    pub(super) fn is_aead(self) -> bool {
        matches!(self, Self::Aes128Gcm | Self::Aes256Gcm)
    }

    /// Bytes of the tag of RTP packets; those of RTCP are never short (RFC 4568 §6.2.2).
    pub(super) fn rtp_tag_bytes(self) -> usize {
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

    pub(super) fn key(&self) -> &[u8] {
        self.bytes.get(..self.suite.key_bytes()).unwrap_or_default()
    }

    /// The salt; that of AEAD suites is filled up with zeros for the derivation.
    pub(super) fn salt(&self) -> Salt {
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

/// The longest key and salt.
const MOST_KEY: usize = 32 + 14;
