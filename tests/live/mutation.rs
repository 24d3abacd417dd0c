//! Broken messages by the thousand, made of the torture messages, at the running server (`security.md` row 8): it goes on,
//! it answers, and it does not grow.

use std::time::Duration;

use super::peer::{Line, Peer, known, soak, stranger};
use super::server::Server;
use super::tools::now;
use super::torture::{documents, messages};

/// A generator that gives the same numbers for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides.max(1) as u64) as usize
    }
}

/// What a grammar minds most.
const SPLINTERS: [&[u8]; 24] = [
    b"\r\n",
    b"\r\n\r\n",
    b"\n ",
    b"\0",
    b"\"",
    b"<",
    b">",
    b";",
    b":",
    b",",
    b"@",
    b"%00",
    b"\\",
    b"=",
    b"[::",
    b"]",
    b"\xff\xfe",
    b"-1",
    b"4294967296",
    b"99999999999999999999",
    b"SIP/2.0",
    b";branch=z9hG4bK",
    b";tag=",
    b"sip:",
];

fn mutate(dice: &mut Dice, original: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for _ in 0..=dice.roll(4) {
        let at = dice.roll(bytes.len());
        match dice.roll(8) {
            0 if !bytes.is_empty() => bytes[at] = dice.roll(256) as u8,
            1 if !bytes.is_empty() => bytes[at] ^= 1 << dice.roll(8),
            2 => drop(bytes.drain(at..(at + dice.roll(40)).min(bytes.len()))),
            3 => bytes.truncate(at),
            4 => drop(bytes.splice(
                at..at,
                SPLINTERS[dice.roll(SPLINTERS.len())].iter().copied(),
            )),
            5 => {
                let piece: Vec<u8> =
                    bytes[at..(at + dice.roll(60)).min(bytes.len())].repeat(1 + dice.roll(30));
                drop(bytes.splice(at..at, piece));
            }
            6 => {
                let from = dice.roll(other.len());
                let piece = other[from..(from + dice.roll(200)).min(other.len())].to_vec();
                drop(bytes.splice(at..at, piece));
            }
            _ => drop(bytes.splice(at..at, std::iter::repeat_n(b'a', dice.roll(3000)))),
        }
    }
    bytes.truncate(60_000);
    bytes
}

#[test]
fn mutated_messages_neither_stop_the_server_nor_make_it_grow() {
    let originals: Vec<Vec<u8>> = messages().into_values().collect();
    let environment = [
        ("SWIVEL_LOG__LEVEL", "info"),
        ("SWIVEL_SIP__MESSAGE_SECONDS", "2"),
    ];
    let mut server = Server::for_sip(&environment, documents());
    let probe = Peer::at(known(1));
    let (friends, strangers): (Vec<_>, Vec<_>) = (0..40)
        .map(|n| (Peer::at(known(20_000 + n)), Peer::at(stranger(20_000 + n))))
        .unzip();
    let mut dice = Dice(0x5eed_0001);
    let rounds = if soak() { 5000 } else { usize::MAX };
    let until = now() + Duration::from_secs(if soak() { 3600 } else { 5 });
    let mut base = None;
    let (mut sent, mut slowest, mut streams) = (0_u64, Duration::ZERO, 0);
    'all: for round in 0..rounds {
        for original in &originals {
            let other = &originals[dice.roll(originals.len())];
            let bytes = mutate(&mut dice, original, other);
            // Known devices reach deeper, but what they begin is kept for 32 s, as the transactions' timers want it.
            let peers = if sent % 20 == 0 { &friends } else { &strangers };
            peers[dice.roll(peers.len())].send(&bytes, server.sip);
            sent += 1;
            if sent % 50 == 0 {
                let mut line = Line::from(
                    if sent % 100 == 0 {
                        known(20_100)
                    } else {
                        stranger(20_100)
                    },
                    server.sip,
                );
                line.send(&bytes);
                streams += 1;
            }
            if sent % 100 == 0 {
                let took = probe.options(server.sip).unwrap_or_else(|| {
                    panic!(
                        "no answer after {sent} messages; the last was {:?}",
                        String::from_utf8_lossy(&bytes)
                    )
                });
                slowest = slowest.max(took);
                server.assert_running();
                if now() > until {
                    break 'all;
                }
            }
        }
        if round == 1 {
            base = Some(server.resident());
        }
    }
    let grown = server.resident().saturating_sub(base.unwrap()) >> 10;
    println!(
        "{sent} mutated messages by UDP and {streams} by TCP; OPTIONS answered in {slowest:?} at most; memory +{grown} KiB"
    );
    assert!(sent > 500, "only {sent} messages were sent");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    // Traces of what may yet become a call are kept for a minute, of 20,000 at most.
    assert!(grown < 48 << 10, "memory grew by {grown} KiB");
}
