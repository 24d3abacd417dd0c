//! Headers of one stream's packets, written down as they pass: those of its begin and those of its end, within a fixed
//! amount of memory. Not one sample is kept. Who wants to see packets (a capture of a call) reads them back.
//!
//! A packet that follows from the one before takes three bytes; what differs is written out. A block begins with a
//! packet written out in full, so that blocks are read by themselves. The first block stays, the two behind it take
//! turns: of a long stream the middle is missing, and counted.
//!
//! [`Headers::note`] runs once a packet and allocates nothing: all room is made at the begin.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::Header;

/// Bytes of a block.
const BLOCK: usize = 2048;
/// The most one packet takes: everything written out.
const MOST: usize = 1 + 5 + 2 + 2 + 4 + 4 + 2 + 19;
/// Times are kept in steps of so many microseconds.
const STEP_US: u64 = 10;

const MARKER: u8 = 0x01;
const SEQUENCE: u8 = 0x02;
const TIMESTAMP: u8 = 0x04;
const LENGTH: u8 = 0x08;
const KIND: u8 = 0x10;
const SOURCE: u8 = 0x20;
const PEER: u8 = 0x40;
const ALL: u8 = SEQUENCE | TIMESTAMP | LENGTH | KIND | SOURCE | PEER;

/// One packet's header and where it went or came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noted {
    /// Since the stream's begin.
    pub at: Duration,
    /// The other end.
    pub peer: SocketAddr,
    /// The fixed header (RFC 3550 §5.1), as on the wire.
    pub header: [u8; Header::LEN],
    /// The whole packet's length on the wire.
    pub length: u16,
}

/// Headers of one direction.
#[derive(Debug, Clone)]
pub struct Headers {
    blocks: [Block; 3],
    current: usize,
    last: Option<Last>,
    missing: u64,
}

#[derive(Debug, Clone, Default)]
struct Block {
    bytes: Vec<u8>,
    count: u32,
}

/// What the next packet is compared with.
#[derive(Debug, Clone, Copy)]
struct Last {
    /// Since the stream's begin, in steps.
    at: u64,
    peer: SocketAddr,
    fields: Fields,
    length: u16,
    /// Ticks from the packet before.
    ticks: u32,
}

/// The fields of a fixed header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fields {
    /// Version, padding, extension, count of sources.
    first: u8,
    /// Payload type and marker.
    kind: u8,
    sequence: u16,
    timestamp: u32,
    source: u32,
}

impl Default for Headers {
    /// No packet yet, and room for all that will be kept.
    fn default() -> Self {
        Self {
            blocks: std::array::from_fn(|_| Block {
                bytes: Vec::with_capacity(BLOCK),
                count: 0,
            }),
            current: 0,
            last: None,
            missing: 0,
        }
    }
}

impl Headers {
    /// Gives back what room was not needed, once nothing more comes.
    pub fn fit(&mut self) {
        for block in &mut self.blocks {
            block.bytes.shrink_to_fit();
        }
    }

    /// Writes a packet down, in place of older ones where there is no more room.
    pub fn note(&mut self, at: Duration, peer: SocketAddr, header: [u8; Header::LEN], length: u16) {
        let full = |block: &Block| block.bytes.len() + MOST > BLOCK;
        if self.blocks.get(self.current).is_some_and(full) {
            self.current = self.next();
            self.last = None;
            if let Some(block) = self.blocks.get_mut(self.current) {
                self.missing += u64::from(block.count);
                block.bytes.clear();
                block.count = 0;
            }
        }
        if let Some(block) = self.blocks.get_mut(self.current) {
            block.count += 1;
            let next = Last {
                at: steps(at),
                peer,
                fields: fields(&header),
                length,
                ticks: 0,
            };
            self.last = Some(write(&mut block.bytes, self.last.as_ref(), next));
        }
    }

    /// What was written, oldest first; to be read by [`read`].
    pub fn blocks(&self) -> impl Iterator<Item = &[u8]> {
        let [first, one, other] = &self.blocks;
        let order = match self.current {
            1 => [first, other, one],
            _ => [first, one, other],
        };
        let bytes = order.into_iter().map(|block| block.bytes.as_slice());
        bytes.filter(|bytes| !bytes.is_empty())
    }

    /// How many packets are not in the blocks.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// Bytes of memory it takes.
    pub fn room(&self) -> usize {
        self.blocks.iter().map(|block| block.bytes.capacity()).sum()
    }

    /// Bytes written.
    pub fn len(&self) -> usize {
        self.blocks.iter().map(|block| block.bytes.len()).sum()
    }

    /// Whether no packet was written down.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn next(&self) -> usize {
        match self.current {
            1 => 2,
            _ => 1,
        }
    }
}

fn fields(header: &[u8; Header::LEN]) -> Fields {
    let [first, kind, s0, s1, t0, t1, t2, t3, r0, r1, r2, r3] = *header;
    Fields {
        first,
        kind,
        sequence: u16::from_be_bytes([s0, s1]),
        timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
        source: u32::from_be_bytes([r0, r1, r2, r3]),
    }
}

fn steps(at: Duration) -> u64 {
    at.as_secs() * (1_000_000 / STEP_US) + u64::from(at.subsec_micros()) / STEP_US
}

/// Writes what differs from the packet before.
fn write(out: &mut Vec<u8>, last: Option<&Last>, mut next: Last) -> Last {
    let new = next.fields;
    let marker = if new.kind & 0x80 == 0 { 0 } else { MARKER };
    let (mut flags, mut since) = (ALL | marker, next.at);
    if let Some(last) = last {
        let old = last.fields;
        next.ticks = new.timestamp.wrapping_sub(old.timestamp);
        since = next.at.saturating_sub(last.at);
        let flag = |differs: bool, flag: u8| if differs { flag } else { 0 };
        flags = marker
            | flag(new.sequence != old.sequence.wrapping_add(1), SEQUENCE)
            | flag(next.ticks != last.ticks, TIMESTAMP)
            | flag(next.length != last.length, LENGTH)
            | flag(
                new.first != old.first || (new.kind ^ old.kind) & 0x7f != 0,
                KIND,
            )
            | flag(new.source != old.source, SOURCE)
            | flag(next.peer != last.peer, PEER);
    }
    out.push(flags);
    number(out, u32::try_from(since).unwrap_or(u32::MAX));
    if flags & ALL != 0 {
        differences(out, flags, &next);
    }
    next
}

fn differences(out: &mut Vec<u8>, flags: u8, next: &Last) {
    let new = next.fields;
    if flags & SEQUENCE != 0 {
        out.extend_from_slice(&new.sequence.to_be_bytes());
    }
    if flags & TIMESTAMP != 0 {
        out.extend_from_slice(&new.timestamp.to_be_bytes());
    }
    if flags & LENGTH != 0 {
        out.extend_from_slice(&next.length.to_be_bytes());
    }
    if flags & KIND != 0 {
        out.extend_from_slice(&[new.first, new.kind & 0x7f]);
    }
    if flags & SOURCE != 0 {
        out.extend_from_slice(&new.source.to_be_bytes());
    }
    if flags & PEER != 0 {
        match next.peer.ip() {
            IpAddr::V4(v4) => {
                out.push(4);
                out.extend_from_slice(&v4.octets());
            }
            IpAddr::V6(v6) => {
                out.push(6);
                out.extend_from_slice(&v6.octets());
            }
        }
        out.extend_from_slice(&next.peer.port().to_be_bytes());
    }
}

/// Seven bits a byte, the lowest first; the top bit says that more follow.
fn number(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The packets of a block. Stops at what is no record, so that a damaged block is read as far as it goes.
pub fn read(block: &[u8]) -> impl Iterator<Item = Noted> {
    let mut reader = Reader {
        rest: block,
        last: None,
    };
    std::iter::from_fn(move || reader.next())
}

struct Reader<'a> {
    rest: &'a [u8],
    last: Option<Last>,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*taken)
    }

    fn number(&mut self) -> Option<u32> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.take()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn next(&mut self) -> Option<Noted> {
        let [flags] = self.take()?;
        let at = self.last.map_or(0, |last| last.at) + u64::from(self.number()?);
        let last = self.last;
        let before = last.map(|last| last.fields);
        let sequence = match flags & SEQUENCE {
            0 => before?.sequence.wrapping_add(1),
            _ => u16::from_be_bytes(self.take()?),
        };
        let timestamp = match flags & TIMESTAMP {
            0 => before?.timestamp.wrapping_add(last?.ticks),
            _ => u32::from_be_bytes(self.take()?),
        };
        let length = match flags & LENGTH {
            0 => last?.length,
            _ => u16::from_be_bytes(self.take()?),
        };
        let (first, kind) = match flags & KIND {
            0 => (before?.first, before?.kind & 0x7f),
            _ => self.take().map(|[first, kind]| (first, kind & 0x7f))?,
        };
        let source = match flags & SOURCE {
            0 => before?.source,
            _ => u32::from_be_bytes(self.take()?),
        };
        let peer = match flags & PEER {
            0 => last?.peer,
            _ => self.peer()?,
        };
        let marker = if flags & MARKER == 0 { 0 } else { 0x80 };
        let ticks = before.map_or(0, |before| timestamp.wrapping_sub(before.timestamp));
        let fields = Fields {
            first,
            kind: kind | marker,
            sequence,
            timestamp,
            source,
        };
        self.last = Some(Last {
            at,
            peer,
            fields,
            length,
            ticks,
        });
        let [s0, s1] = sequence.to_be_bytes();
        let [t0, t1, t2, t3] = timestamp.to_be_bytes();
        let [r0, r1, r2, r3] = source.to_be_bytes();
        Some(Noted {
            at: Duration::from_micros(at.saturating_mul(STEP_US)),
            peer,
            header: [first, kind | marker, s0, s1, t0, t1, t2, t3, r0, r1, r2, r3],
            length,
        })
    }

    fn peer(&mut self) -> Option<SocketAddr> {
        let [family] = self.take()?;
        let ip = match family {
            4 => IpAddr::V4(Ipv4Addr::from(self.take::<4>()?)),
            6 => IpAddr::V6(Ipv6Addr::from(self.take::<16>()?)),
            _ => return None,
        };
        Some(SocketAddr::new(ip, u16::from_be_bytes(self.take()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence: u16, timestamp: u32, marker: bool, kind: u8) -> [u8; Header::LEN] {
        let mut header = [0; Header::LEN];
        header[0] = 0x80;
        header[1] = kind | if marker { 0x80 } else { 0 };
        header[2..4].copy_from_slice(&sequence.to_be_bytes());
        header[4..8].copy_from_slice(&timestamp.to_be_bytes());
        header[8..12].copy_from_slice(&0xdead_beef_u32.to_be_bytes());
        header
    }

    fn stream(packets: u32) -> (Headers, Vec<Noted>) {
        let (mut headers, mut sent) = (Headers::default(), Vec::new());
        let peers = [
            "192.0.2.7:4000".parse().unwrap(),
            "[2001:db8::7]:4002".parse().unwrap(),
        ];
        for n in 0..packets {
            // Now and then a packet is lost, a key is pressed, the other end moves.
            let sequence = (n + n / 97) as u16;
            let key = n % 250 > 240;
            let noted = Noted {
                at: Duration::from_micros(u64::from(n) * 20_000 + u64::from(n % 7) * 130),
                peer: peers[usize::from(n > 900)],
                header: packet(
                    sequence,
                    n.wrapping_mul(160).wrapping_add(u32::MAX - 5000),
                    n == 0 || n % 250 == 241,
                    if key { 101 } else { 0 },
                ),
                length: if key { 16 } else { 172 },
            };
            headers.note(noted.at, noted.peer, noted.header, noted.length);
            sent.push(noted);
        }
        (headers, sent)
    }

    fn all(headers: &Headers) -> Vec<Noted> {
        headers.blocks().flat_map(read).collect()
    }

    #[test]
    fn headers_of_a_short_stream_come_back_as_they_were() {
        let (headers, sent) = stream(1200);
        assert_eq!(all(&headers), sent);
        assert_eq!(headers.missing(), 0);
        assert!(headers.len() < 1200 * 4, "{}", headers.len());
    }

    #[test]
    fn a_long_stream_keeps_begin_and_end_and_says_what_is_missing() {
        let (headers, sent) = stream(100_000);
        let kept = all(&headers);
        assert_eq!(kept.len() as u64 + headers.missing(), 100_000);
        assert!(kept.len() > 1200, "{}", kept.len());
        assert_eq!(kept[..500], sent[..500]);
        assert_eq!(kept[kept.len() - 500..], sent[sent.len() - 500..]);
        assert!(headers.room() <= 3 * BLOCK, "{}", headers.room());
    }

    #[test]
    fn a_flood_takes_no_more_room_and_what_is_not_needed_is_given_back() {
        let mut headers = Headers::default();
        let room = headers.room();
        let peer = "192.0.2.7:4000".parse().unwrap();
        for n in 0..10_000u32 {
            let at = Duration::from_micros(u64::from(n));
            headers.note(at, peer, packet((n * 7) as u16, n * n, false, 0), 172);
        }
        assert_eq!(headers.room(), room);
        assert_eq!(all(&headers).len() as u64 + headers.missing(), 10_000);
        let (mut headers, sent) = stream(20);
        headers.fit();
        assert_eq!((all(&headers), headers.room()), (sent, headers.len()));
    }

    #[test]
    fn a_damaged_block_is_read_as_far_as_it_goes() {
        let (headers, _) = stream(50);
        let block: Vec<u8> = headers.blocks().next().unwrap().to_vec();
        for cut in 0..block.len() {
            assert!(read(&block[..cut]).count() <= 50);
        }
        assert_eq!(read(&[0xff; 300]).count(), 0);
        assert_eq!(read(&[0, 1]).count(), 0, "nothing to follow from");
    }
}
