//! What single steps of the packet path cost: `cargo bench --bench packet_path`. Run as a test it does each step once.
//!
//! The figures are medians of rounds on one core; a round is as many steps as take about 5 ms.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a command-line tool"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use swivel::audio::{Codec, DtmfDetector, dtmf_tone};
use swivel::base::rng::Rng;
use swivel::rtp::jitter::JitterConfig;
use swivel::rtp::latch::{Latch, LatchConfig};
use swivel::rtp::rtcp::{self, Report, ReportBlock, SenderInfo};
use swivel::rtp::stats::Reception;
use swivel::rtp::{Packet, Playout, RtpSender};
use swivel::sdp::{Local, Session, negotiate};

const OFFER: &[u8] = b"v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n\
    m=audio 4000 RTP/AVP 9 0 8 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
    a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n";

fn main() {
    let measure = std::env::args().any(|arg| arg == "--bench");
    let bench = |name: &str, step: &mut dyn FnMut()| {
        step();
        if measure {
            println!("{name:<44} {:>9.1} ns", median_ns(step));
        }
    };
    let mut rng = Rng::seeded(1);
    let begin = now();
    let sound = dtmf_tone('5', 20);
    let (mut encoded, mut decoded, mut frame) = (Vec::new(), Vec::new(), Vec::new());

    for &codec in Codec::ALL {
        bench(&format!("{} encode, 20 ms", codec.name()), &mut || {
            encoded.clear();
            codec.encode(black_box(&sound), &mut encoded);
        });
        bench(&format!("{} decode, 20 ms", codec.name()), &mut || {
            decoded.clear();
            codec.decode(black_box(&encoded), &mut decoded);
        });
    }

    let mut sender = RtpSender::new(&mut rng);
    let mut wire = [0; 172];
    bench("header and payload written", &mut || {
        let header = sender.audio(0, encoded.len());
        sender.advance(160);
        black_box(header.write(&encoded, &mut wire).unwrap());
    });
    bench("packet parsed", &mut || {
        black_box(Packet::parse(black_box(&wire)).unwrap());
    });

    let signalled = ([198, 51, 100, 7], 4000).into();
    let config = LatchConfig {
        signalled,
        signalling_ip: [198, 51, 100, 7].into(),
        nat: false,
        window: Duration::from_secs(3),
    };
    let mut latch = Latch::new(begin, config);
    let mut reception = Reception::new(8000);
    let mut playout = Playout::new(&[(0, Codec::Pcmu)], JitterConfig::default());
    let mut at = begin;
    bench(
        "received: latch, counts, buffer, decoded 20 ms",
        &mut || {
            at += Duration::from_millis(20);
            let header = sender.audio(0, encoded.len());
            sender.advance(160);
            let length = header.write(&encoded, &mut wire).unwrap();
            let packet = Packet::parse(&wire[..length]).unwrap();
            black_box(latch.receive(at, signalled, &packet));
            reception.receive(at, &packet);
            black_box(playout.push(at, &packet));
            black_box(playout.frame(&mut frame));
        },
    );

    let mut detector = DtmfDetector::new();
    bench("in-band keypad detector, 20 ms of tone", &mut || {
        black_box(detector.push(&sound));
    });
    let quiet = vec![0i16; 160];
    bench("in-band keypad detector, 20 ms of silence", &mut || {
        black_box(detector.push(&quiet));
    });

    let report = Report {
        ssrc: 5,
        sender: Some(SenderInfo::default()),
        block: Some(ReportBlock::default()),
        cname: "swivel@192.0.2.1",
        bye: false,
    };
    let mut out = [0; Report::MAX_LEN];
    bench("RTCP report written and parsed", &mut || {
        let length = report.write(&mut out).unwrap();
        black_box(rtcp::parse(&out[..length]).count());
    });

    let local = Local::new([192, 0, 2, 1].into(), 16_384, 7);
    bench("SDP offer parsed, answered, written", &mut || {
        let offer = Session::parse(black_box(OFFER)).unwrap();
        let (answer, agreed) = negotiate::answer(&offer, &local).unwrap();
        black_box((answer.to_string(), agreed));
    });
}

/// Median time of a step over 41 rounds.
fn median_ns(step: &mut dyn FnMut()) -> f64 {
    let started = now();
    let mut steps = 0u32;
    while started.elapsed() < Duration::from_millis(5) {
        step();
        steps += 1;
    }
    let mut rounds: Vec<f64> = (0..41)
        .map(|_| {
            let started = now();
            (0..steps).for_each(|_| step());
            started.elapsed().as_secs_f64() * 1e9 / f64::from(steps)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Instant {
    Instant::now()
}
