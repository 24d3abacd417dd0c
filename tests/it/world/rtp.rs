//! What telephones say and hear: PCMU packets whose every byte names the speaker.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::World;

/// Everything every telephone hears, from now on.
#[derive(Clone)]
pub struct Ears {
    heard: Rc<RefCell<BTreeMap<SocketAddr, Vec<Heard>>>>,
}

/// One packet.
#[derive(Debug, Clone)]
pub struct Heard {
    /// When it arrived.
    pub at: tokio::time::Instant,
    /// Its payload type.
    pub payload_type: u8,
    /// Its payload.
    pub payload: Vec<u8>,
}

impl Ears {
    /// Listens for all telephones of that world.
    pub fn of(world: &World) -> Self {
        let ears = Self {
            heard: Rc::default(),
        };
        let (heard, rtp) = (ears.heard.clone(), world.rtp.clone());
        tokio::task::spawn_local(async move {
            loop {
                for packet in rtp.borrow_mut().arrived() {
                    // RTCP goes to odd ports.
                    if packet.bytes.len() > 12 && packet.to.port() % 2 == 0 {
                        heard
                            .borrow_mut()
                            .entry(packet.to)
                            .or_default()
                            .push(Heard {
                                at: tokio::time::Instant::now(),
                                payload_type: packet.bytes[1] & 0x7f,
                                payload: packet.bytes[12..].to_vec(),
                            });
                    }
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        ears
    }

    /// What came to that address and has not been taken yet.
    pub fn take(&self, at: SocketAddr) -> Vec<Heard> {
        self.heard.borrow_mut().remove(&at).unwrap_or_default()
    }

    /// How many packets of that speaker came to that address since they were taken last.
    pub fn count(&self, at: SocketAddr, speaker: u8) -> usize {
        self.take(at)
            .iter()
            .filter(|heard| heard.payload_type == 0 && heard.payload.iter().all(|b| *b == speaker))
            .count()
    }
}

/// Somebody who talks until dropped.
pub struct Voice(JoinHandle<()>);

impl Voice {
    /// Sends a packet each 20 ms from one address to another.
    pub fn speak(world: &World, from: SocketAddr, to: SocketAddr, speaker: u8) -> Self {
        let rtp = world.rtp.clone();
        Self(tokio::task::spawn_local(async move {
            let mut n: u16 = 0;
            loop {
                let mut packet = vec![0x80, 0];
                packet.extend(n.to_be_bytes());
                packet.extend((u32::from(n) * 160).to_be_bytes());
                packet.extend([speaker; 4]);
                packet.extend([speaker; 160]);
                rtp.borrow_mut().post(from, to, &packet);
                n = n.wrapping_add(1);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }))
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Where a session description wants its audio.
pub fn audio_of(message: &str) -> SocketAddr {
    let value = |start: &str| {
        message
            .lines()
            .find_map(|line| line.strip_prefix(start))
            .unwrap_or_else(|| panic!("no `{start}` in {message}"))
    };
    let port = value("m=audio ").split(' ').next().unwrap();
    format!("{}:{port}", value("c=IN IP4 ").trim())
        .parse()
        .unwrap()
}
