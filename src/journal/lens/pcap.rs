//! SIP messages and headers of RTP packets as a file that Wireshark reads.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};

use crate::sip::flow::Transport;

/// Writes a pcap file of raw IP packets (link type 101): each SIP message one UDP datagram or TCP segment, each RTP packet
/// as if the capture had been told to keep no more than its header.
pub struct Pcap<W: Write> {
    out: W,
    sequence: u32,
}

impl<W: Write> Pcap<W> {
    /// Starts a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn start(mut out: W) -> io::Result<Self> {
        out.write_all(&0xa1b2_c3d4_u32.to_le_bytes())?;
        out.write_all(&2u16.to_le_bytes())?;
        out.write_all(&4u16.to_le_bytes())?;
        out.write_all(&[0; 8])?;
        out.write_all(&65_535u32.to_le_bytes())?;
        out.write_all(&101u32.to_le_bytes())?;
        Ok(Self { out, sequence: 1 })
    }

    /// Adds one message.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn message(
        &mut self,
        at_unix_us: u64,
        transport: Transport,
        from: SocketAddr,
        to: SocketAddr,
        bytes: &[u8],
    ) -> io::Result<()> {
        let bytes = bytes.get(..bytes.len().min(60_000)).unwrap_or_default();
        let inner = if transport == Transport::Udp {
            udp(from, to, bytes, bytes.len())
        } else {
            self.tcp(from, to, bytes)
        };
        let protocol = if transport == Transport::Udp { 17 } else { 6 };
        let packet = ip(from.ip(), to.ip(), protocol, &inner, inner.len());
        self.record(at_unix_us, &packet, packet.len())
    }

    /// Adds the first bytes of a datagram of `length` bytes.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn header(
        &mut self,
        at_unix_us: u64,
        from: SocketAddr,
        to: SocketAddr,
        bytes: &[u8],
        length: usize,
    ) -> io::Result<()> {
        let length = length.max(bytes.len());
        let inner = udp(from, to, bytes, length);
        let packet = ip(from.ip(), to.ip(), 17, &inner, 8 + length);
        self.record(at_unix_us, &packet, packet.len() + length - bytes.len())
    }

    /// One record: `packet` of what was `length` bytes.
    fn record(&mut self, at_unix_us: u64, packet: &[u8], length: usize) -> io::Result<()> {
        let seconds = u32::try_from(at_unix_us / 1_000_000).unwrap_or(u32::MAX);
        let micros = (at_unix_us % 1_000_000) as u32;
        for field in [seconds, micros, packet.len() as u32, length as u32] {
            self.out.write_all(&field.to_le_bytes())?;
        }
        self.out.write_all(packet)?;
        self.out.flush()
    }

    fn tcp(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) -> Vec<u8> {
        let mut segment = Vec::with_capacity(20 + bytes.len());
        segment.extend(from.port().to_be_bytes());
        segment.extend(to.port().to_be_bytes());
        segment.extend(self.sequence.to_be_bytes());
        segment.extend([0; 4]);
        segment.extend([0x50, 0x18]); // header of 5 words; PSH and ACK
        segment.extend(65_535u16.to_be_bytes());
        segment.extend([0; 4]); // checksum left out, no urgent pointer
        segment.extend(bytes);
        self.sequence = self.sequence.wrapping_add(bytes.len() as u32);
        segment
    }
}

/// `bytes` may be the begin of what was `length` bytes.
fn udp(from: SocketAddr, to: SocketAddr, bytes: &[u8], length: usize) -> Vec<u8> {
    let mut datagram = Vec::with_capacity(8 + bytes.len());
    datagram.extend(from.port().to_be_bytes());
    datagram.extend(to.port().to_be_bytes());
    datagram.extend((8 + length as u16).to_be_bytes());
    datagram.extend([0; 2]); // no checksum
    datagram.extend(bytes);
    datagram
}

/// `inner` may be the begin of what was `length` bytes.
fn ip(from: IpAddr, to: IpAddr, protocol: u8, inner: &[u8], length: usize) -> Vec<u8> {
    let mut packet = Vec::with_capacity(40 + inner.len());
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            packet.extend([0x45, 0]);
            packet.extend((20 + length as u16).to_be_bytes());
            packet.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]); // don't fragment, TTL 64
            packet.extend(from.octets());
            packet.extend(to.octets());
            let sum = checksum(&packet).to_be_bytes();
            packet.splice(10..12, sum);
        }
        (from, to) => {
            packet.extend([0x60, 0, 0, 0]);
            packet.extend((length as u16).to_be_bytes());
            packet.extend([protocol, 64]);
            packet.extend(v6(from).octets());
            packet.extend(v6(to).octets());
        }
    }
    packet.extend(inner);
    packet
}

fn v6(address: IpAddr) -> std::net::Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

fn checksum(header: &[u8]) -> u16 {
    let sum: u32 = header
        .as_chunks::<2>()
        .0
        .iter()
        .map(|pair| u32::from(u16::from_be_bytes(*pair)))
        .sum();
    !((sum & 0xffff) + (sum >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_how_long_its_packet_was() {
        let mut file = Vec::new();
        let (a, b) = (
            "127.0.0.1:4000".parse().unwrap(),
            "127.0.0.2:4002".parse().unwrap(),
        );
        let mut pcap = Pcap::start(&mut file).unwrap();
        pcap.header(1_500_000, a, b, &[0x80; 12], 172).unwrap();
        let field = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        assert_eq!((field(32), field(36)), (20 + 8 + 12, 20 + 8 + 172));
        assert_eq!(file[42..44], 200u16.to_be_bytes());
        assert_eq!(file[64..66], 180u16.to_be_bytes());
        assert_eq!(file.len(), 24 + 16 + 20 + 8 + 12);
    }

    #[test]
    fn a_pcap_holds_the_datagram_with_a_right_ip_header() {
        let mut file = Vec::new();
        let (a, b) = (
            "127.0.0.1:5060".parse().unwrap(),
            "127.0.0.2:5061".parse().unwrap(),
        );
        Pcap::start(&mut file)
            .unwrap()
            .message(1_500_000, Transport::Udp, a, b, b"hello")
            .unwrap();
        assert_eq!(file.len(), 24 + 16 + 20 + 8 + 5);
        assert_eq!(&file[24..28], 1u32.to_le_bytes());
        assert_eq!(
            checksum(&file[40..60]),
            0,
            "the checksum over a right header is zero"
        );
        assert!(file.ends_with(b"hello"));
    }
}
