//! The ciphers of one direction: keys derived (RFC 3711 §4.3), packets sealed and opened.

use std::fmt;

use aes::cipher::{BlockCipherEncrypt, KeyInit as _};
use aes::{Aes128, Aes256, Block};
use aes_gcm::aead::AeadInOut as _;
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use hmac::{Hmac, Mac as _};
use sha1::Sha1;
use subtle::ConstantTimeEq as _;

use super::keys::{MasterKey, Suite};
use super::{MOST_HEAD, RTCP_HEAD, SrtpError};

/// The keys of one direction and one kind of packet.
pub(super) struct SessionKeys {
    pub(super) suite: Suite,
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
enum Cipher {
    Aes128(Aes128),
    Aes256(Aes256),
    Gcm128(Aes128Gcm),
    Gcm256(Aes256Gcm),
}

pub(super) type Salt = [u8; 14];

impl SessionKeys {
    /// RFC 3711 §4.3 without renewal. `label`: 0 for RTP, 3 for RTCP.
    pub(super) fn derive(master: &MasterKey, label: u8) -> Self {
        let suite = master.suite();
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
    pub(super) fn seal(
        &self,
        ssrc: u32,
        index: u64,
        front: &[u8],
        body: &mut [u8],
        word: &[u8; 4],
    ) -> Tag {
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
    pub(super) fn open(
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

pub(super) type Tag = [u8; GCM_TAG];

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

/// Bytes of tags.
pub(super) const GCM_TAG: usize = 16;
pub(super) const SHA_TAG: usize = 10;
/// Blocks encrypted at once, which the processor does side by side.
const BLOCKS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::srtp::tests::bytes;

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
}
