//! What runs once a packet allocates nothing once a call is running. A test binary of its own, because it counts the
//! allocations of the whole process.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]
#![expect(
    unsafe_code,
    reason = "a global allocator that counts cannot be written without it"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, Instant};

use swivel::audio::level::{Vad, level_dbov};
use swivel::audio::{Codec, DtmfDetector, dtmf_tone};
use swivel::base::rng::Rng;
use swivel::rtp::event::{Event, EventSlot};
use swivel::rtp::jitter::JitterConfig;
use swivel::rtp::latch::{Latch, LatchConfig};
use swivel::rtp::rtcp::{self, Report};
use swivel::rtp::stats::Reception;
use swivel::rtp::{EventReceiver, EventSender, Header, Packet, Playout, RtpSender};

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is passed on unchanged to the system's allocator; the counter is a plain thread-local number.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`, which is the same here.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `System.alloc` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: as for `dealloc`; the size is the caller's.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A call's packet path in both directions, all of it.
struct Call {
    rng: Rng,
    begin: Instant,
    slot: u32,
    // Ours.
    sender: RtpSender,
    digits: EventSender,
    // The peer's end of the same, to hear.
    peer: RtpSender,
    peer_digits: EventSender,
    sound: Vec<i16>,
    latch: Latch,
    reception: Reception,
    events: EventReceiver,
    playout: Playout,
    detector: DtmfDetector,
    vad: Vad,
    encoded: Vec<u8>,
    frame: Vec<i16>,
    wire: [u8; 1500],
    keys: u32,
    heard: u32,
}

impl Call {
    fn new() -> Self {
        let mut rng = Rng::seeded(1);
        #[expect(
            clippy::disallowed_methods,
            reason = "an Instant can only be had from the clock"
        )]
        let begin = Instant::now();
        let signalled = ([198, 51, 100, 7], 4000).into();
        let config = LatchConfig {
            signalled,
            signalling_ip: [198, 51, 100, 7].into(),
            nat: true,
            window: Duration::from_secs(3),
        };
        Self {
            begin,
            slot: 0,
            sender: RtpSender::new(&mut rng),
            digits: EventSender::new(8000),
            peer: RtpSender::new(&mut rng),
            peer_digits: EventSender::new(8000),
            sound: dtmf_tone('5', 20),
            latch: Latch::new(begin, config),
            reception: Reception::new(8000),
            events: EventReceiver::new(8000),
            playout: Playout::new(
                &[(0, Codec::Pcmu), (8, Codec::Pcma)],
                JitterConfig::default(),
            ),
            detector: DtmfDetector::new(),
            vad: Vad::new(),
            encoded: Vec::new(),
            frame: Vec::new(),
            wire: [0; 1500],
            keys: 0,
            heard: 0,
            rng,
        }
    }

    /// 20 ms: the peer's packet comes or is lost, a frame is heard, ours goes out.
    fn slot(&mut self) {
        self.slot += 1;
        let now = self.begin + Duration::from_millis(20) * self.slot;
        if self.slot.is_multiple_of(25) {
            let event = Event::from_code((self.slot / 25 % 16) as u8).unwrap();
            self.peer_digits.push(event, 100, 60);
            self.digits.push(event, 100, 60);
        }
        let codec = if self.slot.is_multiple_of(3) {
            Codec::Pcma
        } else {
            Codec::Pcmu
        };
        let length = match self.peer_digits.slot(self.peer.timestamp(), 20) {
            EventSlot::Audio => {
                self.encoded.clear();
                codec.encode(&self.sound, &mut self.encoded);
                let header = self.peer.audio(codec.payload_type(), self.encoded.len());
                header.write(&self.encoded, &mut self.wire).unwrap()
            }
            EventSlot::Packet {
                marker,
                timestamp,
                payload,
            } => self
                .peer
                .header(marker, 101, timestamp, 4)
                .write(&payload, &mut self.wire)
                .unwrap(),
            EventSlot::Pause => 0,
        };
        self.peer.advance(160);
        if length >= Header::LEN && self.rng.below(20) != 0 {
            let packet = Packet::parse(&self.wire[..length]).unwrap();
            let _verdict = self
                .latch
                .receive(now, ([198, 51, 100, 7], 4000).into(), &packet);
            self.reception.receive(now, &packet);
            if packet.payload_type == 101 {
                self.keys += self.events.receive(now, &packet).len() as u32;
            } else {
                let _up = self.events.audio(&packet);
            }
            let _pushed = self.playout.push(now, &packet);
        }
        let _up = self.events.handle_timeout(now);
        self.playout.frame(&mut self.frame);
        let _key = self.detector.push(&self.frame);
        self.heard += u32::from(self.vad.push(&self.frame, 20) && level_dbov(&self.frame) > -60.0);
        // Ours.
        match self.digits.slot(self.sender.timestamp(), 20) {
            EventSlot::Audio => {
                let header = self.sender.audio(0, 160);
                header.write(&self.encoded, &mut self.wire).unwrap();
            }
            EventSlot::Packet {
                marker,
                timestamp,
                payload,
            } => {
                let header = self.sender.header(marker, 101, timestamp, 4);
                header.write(&payload, &mut self.wire).unwrap();
            }
            EventSlot::Pause => self.sender.pause(),
        }
        self.sender.advance(160);
        // Reports, far more often than real ones.
        if self.slot.is_multiple_of(50) {
            let block = self.reception.report(now);
            let report = Report {
                ssrc: self.sender.ssrc(),
                sender: None,
                block,
                cname: "swivel@192.0.2.1",
                bye: false,
            };
            let length = report.write(&mut self.wire).unwrap();
            assert_eq!(rtcp::parse(&self.wire[..length]).count(), 2);
        }
    }
}

#[test]
fn a_running_call_allocates_nothing() {
    let mut call = Call::new();
    (0..200).for_each(|_| call.slot()); // 4 s: every buffer has had its size
    let (keys, heard) = (call.keys, call.heard);
    let before = COUNT.with(Cell::get);
    (0..3000).for_each(|_| call.slot());
    let made = COUNT.with(Cell::get) - before;
    assert_eq!(made, 0, "{made} allocations in a minute");
    assert!(call.keys - keys > 200, "digits were heard: {}", call.keys);
    assert!(call.heard - heard > 1000, "sound was heard: {}", call.heard);
}
