//! The engine inline, over a simulated network, under simulated time.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::smallvec;

mod join;
mod webrtc;

use super::sim::{Datagram, SimIo, SimLink};
use super::*;
use crate::audio::{Clip, Codec, DtmfDetector, dtmf_tone};
use crate::base::id::{OpId, PortId};
use crate::base::keys::Keys;
use crate::base::rng::Rng;
use crate::rtp::event::{Event, EventSlot, Key};
use crate::rtp::rtcp::{self, Rtcp};
use crate::rtp::{EventReceiver, EventSender, Header, Packet, RtpSender};
use crate::sdp::{Agreed, Direction};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const PEER: &str = "198.51.100.7:4000";

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn agreed() -> Agreed {
    Agreed {
        codec: Codec::Pcmu,
        payload_type: 0,
        accepts: smallvec![(0, Codec::Pcmu), (8, Codec::Pcma)],
        dtmf_payload_type: Some(101),
        dtmf_clock_rate_hz: 8000,
        ptime_ms: 20,
        remote_rtp: at(PEER),
        remote_rtcp: at("198.51.100.7:4001"),
        rtcp_mux: false,
        direction: Direction::SendRecv,
        held: false,
        srtp: None,
        webrtc: None,
    }
}

fn plan(agreed: Agreed) -> Command {
    Command::Configure(Box::new(Plan {
        agreed,
        latch: false,
        signalling_ip: at(PEER).ip(),
        timeout: Some(Duration::from_secs(30)),
        cname: "c".into(),
    }))
}

/// One port and its peer.
struct Line {
    media: Media,
    worker: InlineWorker,
    events: MediaEvents,
    io: SimIo,
    begin: Instant,
    now: Instant,
    port: Option<Port>,
    rtp: SocketAddr,
    seen: Vec<MediaEvent>,
    /// Everything the port sent, as far as it arrived.
    sent: Vec<Datagram>,
    peer: RtpSender,
}

impl Line {
    fn new(link: SimLink, config: &MediaConfig) -> Self {
        let now = crate::host::clock::now();
        let (media, worker, events) = Media::inline_seeded(config, Rng::seeded(5), now);
        let port = media.take(LOCAL).unwrap();
        let rtp = port.rtp_addr();
        let io = SimIo::new(now, link, Rng::seeded(6));
        let peer = RtpSender::new(&mut Rng::seeded(7));
        let (seen, sent) = (Vec::new(), Vec::new());
        Self {
            media,
            worker,
            events,
            io,
            begin: now,
            now,
            port: Some(port),
            rtp,
            seen,
            sent,
            peer,
        }
    }

    fn clean() -> Self {
        let line = Self::new(SimLink::default(), &MediaConfig::default());
        line.command(plan(agreed()));
        line
    }

    fn command(&self, command: Command) {
        self.port.as_ref().unwrap().command(command);
    }

    fn play(&self, op: u64, source: Source) {
        self.command(Command::Play {
            op: OpId(op),
            source,
        });
    }

    fn step(&mut self) {
        self.now += Duration::from_millis(5);
        self.io.advance(self.now);
        self.worker.tick(self.now, &mut self.io);
        self.sent.extend(self.io.arrived());
        let seen = &mut self.seen;
        self.events.drain(|e| seen.push(e));
    }

    fn run(&mut self, ms: u64) {
        for _ in 0..ms / 5 {
            self.step();
        }
    }

    /// Packets of the peer, one every 20 ms.
    fn talk(&mut self, from: SocketAddr, payloads: impl IntoIterator<Item = Vec<u8>>) {
        for payload in payloads {
            let header = self.peer.audio(0, payload.len());
            self.post(from, header, &payload);
            self.peer.advance(160);
            self.run(20);
        }
    }

    fn post(&mut self, from: SocketAddr, header: Header, payload: &[u8]) {
        let mut bytes = [0; 512];
        let len = header.write(payload, &mut bytes).unwrap();
        self.io.post(from, self.rtp, &bytes[..len]);
    }

    /// The peer presses keys, 100 ms each.
    fn press(&mut self, from: SocketAddr, keys: &str) {
        let mut sender = EventSender::new(8000);
        for key in keys.chars() {
            assert!(sender.push(Event::from_digit(key).unwrap(), 100, 60));
            while !sender.is_idle() {
                match sender.slot(self.peer.timestamp(), 20) {
                    EventSlot::Packet {
                        marker,
                        timestamp,
                        payload,
                    } => {
                        let header = self.peer.header(marker, 101, timestamp, 4);
                        self.post(from, header, &payload);
                    }
                    EventSlot::Pause | EventSlot::Audio => {}
                }
                self.peer.advance(160);
                self.run(20);
            }
        }
    }

    fn rtp(&self) -> Vec<(Duration, Packet<'_>)> {
        let is_rtp = |d: &&Datagram| d.from == self.rtp;
        self.sent
            .iter()
            .filter(is_rtp)
            .map(|d| (d.sent_at - self.begin, Packet::parse(&d.bytes).unwrap()))
            .collect()
    }

    /// The audio the port sent, decoded.
    fn heard(&self) -> Vec<i16> {
        let mut pcm = Vec::new();
        for (_, packet) in self.rtp() {
            match packet.payload_type {
                0 => Codec::Pcmu.decode(packet.payload, &mut pcm),
                8 => Codec::Pcma.decode(packet.payload, &mut pcm),
                _ => {}
            }
        }
        pcm
    }

    fn finished(&self) -> Vec<(u64, Finish)> {
        let one = |e: &MediaEvent| match e {
            MediaEvent::Finished { op, why, .. } => Some((op.0, *why)),
            _ => None,
        };
        self.seen.iter().filter_map(one).collect()
    }

    fn digits(&self) -> String {
        let one = |e: &MediaEvent| match e {
            MediaEvent::Digit { digit, .. } => Some(*digit),
            _ => None,
        };
        self.seen.iter().filter_map(one).collect()
    }

    fn recorded(&self) -> Vec<(Duration, RecordEnd)> {
        let one = |e: &MediaEvent| match e {
            MediaEvent::Recorded { length, why, .. } => Some((*length, *why)),
            _ => None,
        };
        self.seen.iter().filter_map(one).collect()
    }

    fn close(&mut self) -> PortStats {
        self.port = None;
        self.run(20);
        let closed = self.seen.iter().find_map(|e| match e {
            MediaEvent::Closed { stats, .. } => Some(**stats),
            _ => None,
        });
        assert!(matches!(
            self.seen
                .iter()
                .rev()
                .find(|e| !matches!(e, MediaEvent::Recorded { .. })),
            Some(MediaEvent::Closed { .. })
        ));
        assert_eq!(self.worker.ports(), 0);
        closed.unwrap()
    }
}

/// Samples that survive PCMU unchanged, so that what was played can be compared exactly.
fn tune(samples: usize, seed: u64) -> Vec<i16> {
    let mut rng = Rng::seeded(seed);
    let noise: Vec<i16> = (0..samples).map(|_| (rng.u16() as i16) / 4).collect();
    let (mut encoded, mut pcm) = (Vec::new(), Vec::new());
    Codec::Pcmu.encode(&noise, &mut encoded);
    Codec::Pcmu.decode(&encoded, &mut pcm);
    pcm
}

fn clip(pcm: &[i16]) -> Arc<Clip> {
    Arc::new(Clip::new(8000, pcm.to_vec()))
}

#[test]
fn sources_follow_each_other_to_the_sample() {
    let mut line = Line::clean();
    let (first, second) = (tune(1000, 1), tune(730, 2));
    line.play(1, Source::Clip(clip(&first)));
    line.play(2, Source::Silence(Some(Duration::from_millis(10))));
    line.play(2, Source::Clip(clip(&second)));
    line.run(1000);
    let mut expected = first;
    expected.extend([0; 80]);
    expected.extend(second);
    let heard = line.heard();
    assert_eq!(heard[..expected.len()], expected);
    assert!(heard.len() - expected.len() < 160 && heard[expected.len()..].iter().all(|s| *s == 0));
    assert_eq!(
        line.finished(),
        [(1, Finish::Done), (2, Finish::Done), (2, Finish::Done)]
    );
    let packets = line.rtp();
    assert!(packets[0].1.marker && packets[1..].iter().all(|(_, p)| !p.marker));
    for pair in packets.windows(2) {
        assert_eq!(pair[1].1.sequence.since(pair[0].1.sequence), 1);
        assert_eq!(pair[1].1.timestamp.since(pair[0].1.timestamp), 160);
        assert_eq!(pair[1].0 - pair[0].0, Duration::from_millis(20));
    }
}

#[test]
fn time_stamps_go_on_through_a_pause_and_the_next_words_are_marked() {
    let mut line = Line::clean();
    line.play(1, Source::Clip(clip(&tune(320, 1))));
    line.run(1000);
    line.play(2, Source::Clip(clip(&tune(320, 2))));
    line.run(1000);
    let packets = line.rtp();
    assert_eq!(packets.len(), 4);
    let (before, after) = (packets[1], packets[2]);
    assert!(after.1.marker && !packets[3].1.marker);
    assert_eq!(after.1.sequence.since(before.1.sequence), 1);
    assert_eq!(
        i64::from(after.1.timestamp.since(before.1.timestamp)),
        (after.0 - before.0).as_millis() as i64 * 8
    );
}

#[test]
fn cancelling_one_operation_leaves_the_others() {
    let mut line = Line::clean();
    line.play(1, Source::Silence(None));
    line.play(2, Source::Clip(clip(&tune(160, 1))));
    line.play(3, Source::Tone(clip(&tune(50, 1)), true));
    line.run(100);
    assert_eq!(line.finished(), []);
    line.command(Command::Cancel(OpId(1)));
    line.run(100);
    assert_eq!(line.finished(), [(1, Finish::Cancelled), (2, Finish::Done)]);
    line.command(Command::Flush);
    line.run(100);
    assert_eq!(line.finished()[2..], [(3, Finish::Cancelled)]);
    let sent = line.rtp().len();
    line.run(1000);
    assert_eq!(line.rtp().len(), sent, "nothing plays any more");
}

#[test]
fn a_looped_tone_repeats_without_a_seam() {
    let mut line = Line::clean();
    let tone = tune(250, 3);
    line.play(1, Source::Tone(clip(&tone), true));
    line.run(400);
    let heard = line.heard();
    assert!(heard.len() >= 3000);
    assert!(heard.iter().zip(tone.iter().cycle()).all(|(a, b)| a == b));
}

#[test]
fn an_empty_looped_tone_ends() {
    let mut line = Line::clean();
    line.play(1, Source::Tone(clip(&[]), true));
    line.run(40);
    assert_eq!(line.finished(), [(1, Finish::Done)]);
}

#[test]
fn a_stream_plays_what_came_and_silence_for_what_did_not() {
    let mut line = Line::clean();
    let pcm = tune(1600, 4);
    let (mut writer, reader) = stream(Duration::from_secs(1));
    line.play(1, Source::Stream(reader));
    writer.push(&pcm[..800]);
    line.run(200);
    writer.push(&pcm[800..]);
    writer.finish();
    line.run(400);
    let heard = line.heard();
    assert_eq!(heard[..800], pcm[..800]);
    let resumed = heard.len() - 800;
    assert_eq!(heard[resumed..], pcm[800..]);
    assert!(heard[800..resumed].iter().all(|s| *s == 0));
    assert_eq!(line.finished(), [(1, Finish::Done)]);
    assert!(line.close().underruns >= 4);
}

#[test]
fn a_stream_whose_writer_vanishes_fails() {
    let mut line = Line::clean();
    let (writer, reader) = stream(Duration::from_secs(1));
    line.play(1, Source::Stream(reader));
    line.run(100);
    drop(writer);
    line.run(100);
    assert_eq!(line.finished(), [(1, Finish::Failed)]);
}

#[test]
fn too_many_sources_are_refused_and_said_so() {
    let mut line = Line::clean();
    line.play(0, Source::Silence(None));
    for op in 1..70 {
        line.play(op, Source::Silence(None));
    }
    line.run(20);
    assert_eq!(line.finished().len(), 6);
    assert!(
        line.finished()
            .iter()
            .all(|(op, why)| *op >= 64 && *why == Finish::Failed)
    );
}

#[test]
fn a_held_peer_is_sent_nothing_and_what_plays_goes_on() {
    let mut line = Line::clean();
    line.play(1, Source::Clip(clip(&tune(8000, 5))));
    line.run(300);
    line.command(plan(Agreed {
        held: true,
        direction: Direction::RecvOnly,
        ..agreed()
    }));
    line.run(20);
    let sent = line.rtp().len();
    line.run(200);
    assert_eq!(line.rtp().len(), sent);
    line.command(plan(agreed()));
    line.run(1000);
    assert_eq!(line.finished(), [(1, Finish::Done)]);
    assert!(line.rtp()[sent].1.marker);
    let audio: Vec<_> = line
        .rtp()
        .iter()
        .map(|(t, _)| *t)
        .filter(|t| *t < Duration::from_millis(1100))
        .collect();
    assert!(
        *audio.last().unwrap() < Duration::from_millis(1030),
        "the clip ended when it would have"
    );
}

#[test]
fn an_old_style_hold_has_nowhere_to_send() {
    let mut line = Line::clean();
    line.command(plan(Agreed {
        remote_rtp: at("0.0.0.0:4000"),
        remote_rtcp: at("0.0.0.0:4001"),
        ..agreed()
    }));
    line.play(1, Source::Silence(None));
    line.run(20_000);
    assert!(line.sent.is_empty());
}

#[test]
fn mute_sends_silence_while_the_source_goes_on() {
    let mut line = Line::clean();
    let pcm = tune(1600, 6);
    line.play(1, Source::Clip(clip(&pcm)));
    line.run(100);
    line.command(Command::Mute(true));
    line.run(60);
    line.command(Command::Mute(false));
    line.run(200);
    let heard = line.heard();
    assert_eq!(heard.len(), 1600);
    let silent = heard
        .chunks(160)
        .filter(|f| f.iter().all(|s| *s == 0))
        .count();
    assert_eq!(silent, 3);
    assert!(
        heard
            .chunks(160)
            .zip(pcm.chunks(160))
            .all(|(h, p)| h == p || h.iter().all(|s| *s == 0))
    );
}

#[test]
fn a_silent_port_keeps_the_path_open() {
    let config = MediaConfig {
        keepalive_seconds: 15,
        ..MediaConfig::default()
    };
    let mut line = Line::new(SimLink::default(), &config);
    line.command(plan(agreed()));
    line.run(61_000);
    assert_eq!(line.rtp().len(), 4);
}

#[test]
fn keys_are_sent_as_events_while_audio_waits() {
    let mut line = Line::clean();
    let pcm = tune(1600, 7);
    line.play(1, Source::Clip(clip(&pcm)));
    line.run(100);
    line.command(Command::SendDigits {
        op: OpId(2),
        digits: "1w#x".into(),
        duration_ms: 100,
        gap_ms: 60,
    });
    line.run(1500);
    let mut receiver = EventReceiver::new(8000);
    let mut keys = Vec::new();
    for (t, packet) in line.rtp() {
        if packet.payload_type == 101 {
            keys.extend(receiver.receive(line.begin + t, &packet));
        }
    }
    let down: Vec<Event> = keys
        .iter()
        .filter_map(|k| if let Key::Down(e) = k { Some(*e) } else { None })
        .collect();
    assert_eq!(down, ['1', '#'].map(|d| Event::from_digit(d).unwrap()));
    assert_eq!(line.heard(), pcm, "no sample was lost to the keys");
    assert_eq!(line.finished(), [(2, Finish::Done), (1, Finish::Done)]);
    let packets = line.rtp();
    assert!(
        packets
            .windows(2)
            .all(|w| w[1].1.sequence.since(w[0].1.sequence) == 1)
    );
    let back = packets
        .iter()
        .position(|(_, p)| p.payload_type == 101)
        .unwrap();
    let audio = packets[back..]
        .iter()
        .find(|(_, p)| p.payload_type == 0)
        .unwrap();
    assert!(audio.1.marker);
}

#[test]
fn keys_are_sent_as_tones_when_no_events_were_agreed() {
    let mut line = Line::clean();
    line.command(plan(Agreed {
        dtmf_payload_type: None,
        ..agreed()
    }));
    line.run(20);
    line.command(Command::SendDigits {
        op: OpId(2),
        digits: "159D".into(),
        duration_ms: 100,
        gap_ms: 100,
    });
    line.run(1500);
    let mut detector = DtmfDetector::new();
    let found: String = line
        .heard()
        .chunks(160)
        .filter_map(|f| detector.push(f))
        .collect();
    assert_eq!(found, "159D");
    assert_eq!(line.finished(), [(2, Finish::Done)]);
}

#[test]
fn sending_keys_can_be_cancelled() {
    let mut line = Line::clean();
    line.command(Command::SendDigits {
        op: OpId(2),
        digits: "123456789".into(),
        duration_ms: 200,
        gap_ms: 200,
    });
    line.command(Command::SendDigits {
        op: OpId(3),
        digits: "0".into(),
        duration_ms: 100,
        gap_ms: 100,
    });
    line.run(500);
    line.command(Command::Cancel(OpId(2)));
    line.run(1000);
    assert_eq!(line.finished(), [(2, Finish::Cancelled), (3, Finish::Done)]);
}

#[test]
fn every_key_is_reported_once_at_ten_percent_loss() {
    let link = SimLink {
        loss: 0.1,
        delay: Duration::from_millis(20),
        jitter: Duration::from_millis(15),
        duplication: 0.02,
    };
    let mut line = Line::new(link, &MediaConfig::default());
    line.command(plan(agreed()));
    let mut rng = Rng::seeded(8);
    let keys: String = (0..300)
        .map(|_| char::from(b"0123456789*#"[rng.below(12) as usize]))
        .collect();
    line.press(at(PEER), &keys);
    line.run(500);
    assert_eq!(line.digits(), keys);
}

#[test]
fn keys_in_the_audio_count_only_when_no_events_were_agreed() {
    for (events, expected) in [(None, "42"), (Some(101), "")] {
        let mut line = Line::clean();
        line.command(plan(Agreed {
            dtmf_payload_type: events,
            ..agreed()
        }));
        let mut pcm = Vec::new();
        for key in ['4', '2'] {
            pcm.extend(dtmf_tone(key, 120));
            pcm.extend([0; 960]);
        }
        let frames = pcm.chunks(160).map(|f| {
            let mut payload = Vec::new();
            Codec::Pcmu.encode(f, &mut payload);
            payload
        });
        line.talk(at(PEER), frames.collect::<Vec<_>>());
        line.talk(at(PEER), vec![vec![0xFF; 160]; 20]);
        assert_eq!(line.digits(), expected);
    }
}

#[test]
fn keys_in_the_audio_can_be_turned_off() {
    let mut line = Line::clean();
    line.command(plan(Agreed {
        dtmf_payload_type: None,
        ..agreed()
    }));
    line.command(Command::Inband(false));
    let mut payload = Vec::new();
    Codec::Pcmu.encode(&dtmf_tone('7', 200), &mut payload);
    line.talk(
        at(PEER),
        payload.chunks(160).map(<[u8]>::to_vec).collect::<Vec<_>>(),
    );
    line.talk(at(PEER), vec![vec![0xFF; 160]; 20]);
    assert_eq!(line.digits(), "");
}

#[test]
fn an_echo_gives_back_what_the_peer_said() {
    let mut line = Line::clean();
    line.play(1, Source::Echo);
    let pcm = tune(16_000, 9);
    let mut encoded = Vec::new();
    Codec::Pcmu.encode(&pcm, &mut encoded);
    line.talk(
        at(PEER),
        encoded.chunks(160).map(<[u8]>::to_vec).collect::<Vec<_>>(),
    );
    line.run(300);
    let heard = line.heard();
    let begin = heard
        .windows(160)
        .position(|w| w == &pcm[..160])
        .expect("the first packet comes back");
    let whole = heard[begin..]
        .iter()
        .zip(&pcm)
        .take_while(|(a, b)| a == b)
        .count();
    assert!(whole >= 14_000, "{whole} samples in a row");
    assert!(begin <= 1600, "{begin} samples late");
}

fn recording(dir: &tempfile::TempDir, link: SimLink) -> Line {
    let config = MediaConfig {
        record_dir: dir.path().to_owned(),
        record_min_free: 0,
        ..MediaConfig::default()
    };
    let mut line = Line::new(link, &config);
    line.command(plan(agreed()));
    line.run(20);
    line
}

fn record(line: &Line, path: &str, max: u64, silence: Option<u64>, finish_on: &str) {
    let spec = RecordSpec {
        path: path.into(),
        max: Duration::from_millis(max),
        silence: silence.map(Duration::from_millis),
        finish_on: Keys::parse(finish_on),
        sides: Sides::Peer,
        ..RecordSpec::default()
    };
    line.command(Command::Record { op: OpId(9), spec });
}

fn speech(seconds: u64) -> Vec<Vec<u8>> {
    let mut encoded = Vec::new();
    Codec::Pcmu.encode(
        &tune(usize::try_from(seconds).unwrap() * 8000, 10),
        &mut encoded,
    );
    encoded.chunks(160).map(<[u8]>::to_vec).collect()
}

#[test]
fn a_recording_has_the_right_length_over_a_bad_path() {
    let dir = tempfile::tempdir().unwrap();
    let link = SimLink {
        loss: 0.05,
        delay: Duration::from_millis(30),
        jitter: Duration::from_millis(40),
        duplication: 0.01,
    };
    let mut line = recording(&dir, link);
    record(&line, "acc/one.wav", 60_000, None, "");
    line.talk(at(PEER), speech(5));
    line.command(Command::StopRecord(OpId(9)));
    line.run(100);
    let (length, why) = line.recorded()[0];
    assert_eq!(why, RecordEnd::Stopped);
    assert!(
        length.abs_diff(Duration::from_secs(5)) <= Duration::from_millis(40),
        "{length:?}"
    );
    let bytes = std::fs::read(dir.path().join("acc/one.wav")).unwrap();
    assert_eq!(bytes.len() as u64, 44 + length.as_millis() as u64 * 16);
    let loud = bytes[44..]
        .chunks(320)
        .filter(|f| f.iter().any(|b| *b > 1 && *b < 255))
        .count();
    assert!(loud >= 235, "{loud} of 250 frames have sound");
}

#[test]
fn a_recording_ends_at_its_longest_length_to_the_sample() {
    let dir = tempfile::tempdir().unwrap();
    let mut line = recording(&dir, SimLink::default());
    record(&line, "m.wav", 1234, None, "");
    line.talk(at(PEER), speech(2));
    assert_eq!(
        line.recorded(),
        [(Duration::from_millis(1234), RecordEnd::MaxLength)]
    );
    assert_eq!(
        std::fs::read(dir.path().join("m.wav")).unwrap().len(),
        44 + 1234 * 16
    );
}

#[test]
fn a_recording_ends_after_silence_a_key_or_the_call() {
    let dir = tempfile::tempdir().unwrap();
    let mut line = recording(&dir, SimLink::default());
    record(&line, "s.wav", 60_000, Some(1000), "");
    line.talk(at(PEER), speech(1));
    line.talk(at(PEER), vec![vec![0xFF; 160]; 100]);
    assert_eq!(line.recorded().last().unwrap().1, RecordEnd::Silence);
    record(&line, "k.wav", 60_000, None, "#");
    line.talk(at(PEER), speech(1));
    line.press(at(PEER), "1#");
    assert_eq!(line.recorded().last().unwrap().1, RecordEnd::Key('#'));
    assert_eq!(line.digits(), "1#");
    record(&line, "c.wav", 60_000, None, "");
    line.talk(at(PEER), speech(1));
    line.close();
    line.run(50);
    assert_eq!(line.recorded().last().unwrap().1, RecordEnd::Closed);
    assert_eq!(line.recorded().len(), 3);
    assert!(
        ["s.wav", "k.wav", "c.wav"]
            .iter()
            .all(|f| dir.path().join(f).exists())
    );
}

#[test]
fn recordings_of_one_port_do_not_know_of_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut line = recording(&dir, SimLink::default());
    let begin = |line: &Line, op: u64, spec: RecordSpec| {
        line.command(Command::Record { op: OpId(op), spec });
    };
    let named = |path: &str| RecordSpec {
        path: path.into(),
        ..RecordSpec::default()
    };
    begin(&line, 1, named("a.wav"));
    line.talk(at(PEER), speech(1));
    begin(
        &line,
        2,
        RecordSpec {
            finish_on: Keys::parse("#"),
            sides: Sides::Mixed,
            ..named("b.wav")
        },
    );
    line.talk(at(PEER), speech(1));
    line.press(at(PEER), "#");
    line.command(Command::PauseRecord(OpId(1), Pause::Skip));
    line.talk(at(PEER), speech(1));
    line.command(Command::PauseRecord(OpId(1), Pause::No));
    for op in 3..=5 {
        begin(&line, op, named(&format!("{op}.wav")));
    }
    begin(&line, 6, named("one-too-many.wav"));
    line.talk(at(PEER), speech(1));
    line.close();
    line.run(50);
    let mut ended: Vec<_> = line.recorded();
    ended.sort_by_key(|(length, _)| *length);
    let whys: Vec<_> = ended.iter().map(|(_, why)| *why).collect();
    assert_eq!(whys.iter().filter(|w| **w == RecordEnd::Failed).count(), 1);
    assert_eq!(
        whys.iter().filter(|w| **w == RecordEnd::Key('#')).count(),
        1
    );
    assert_eq!(whys.iter().filter(|w| **w == RecordEnd::Closed).count(), 4);
    assert!(!dir.path().join("one-too-many.wav").exists());
    let long = ended.last().unwrap().0.as_millis();
    assert!(
        (2900..3500).contains(&long),
        "{long} ms: a second was skipped"
    );
}

#[test]
fn a_recording_is_cut_to_what_was_said_and_dropped_when_that_is_too_little() {
    let dir = tempfile::tempdir().unwrap();
    let mut line = recording(&dir, SimLink::default());
    let silence = || vec![vec![0xFF; 160]; 75];
    let spec = |path: &str, min| RecordSpec {
        path: path.into(),
        trim: true,
        min: Duration::from_secs(min),
        ..RecordSpec::default()
    };
    for (op, path, min) in [(1, "kept.wav", 1), (2, "short.wav", 3)] {
        let spec = spec(path, min);
        line.command(Command::Record { op: OpId(op), spec });
    }
    line.talk(at(PEER), silence());
    line.talk(at(PEER), speech(2));
    line.talk(at(PEER), silence());
    let silent = spec("silent.wav", 0);
    line.command(Command::Record {
        op: OpId(3),
        spec: silent,
    });
    line.talk(at(PEER), silence());
    line.close();
    line.run(50);
    let mut ended = line.recorded();
    ended.sort_by_key(|(length, _)| *length);
    assert_eq!(ended[..2], [(Duration::ZERO, RecordEnd::TooShort); 2]);
    let kept = ended[2].0.as_millis();
    assert!((1950..2500).contains(&kept), "{kept} ms");
    let bytes = std::fs::read(dir.path().join("kept.wav")).unwrap();
    assert_eq!(bytes.len() as u128, 44 + kept * 16);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_recording_that_cannot_be_made_fails_once_and_the_call_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut line = recording(&dir, SimLink::default());
    record(&line, "../escape.wav", 60_000, None, "");
    line.talk(at(PEER), speech(1));
    assert_eq!(line.recorded(), [(Duration::ZERO, RecordEnd::Failed)]);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    line.press(at(PEER), "5");
    assert_eq!(line.digits(), "5");
}

#[test]
fn a_full_disk_stops_recordings_only() {
    let dir = tempfile::tempdir().unwrap();
    let config = MediaConfig {
        record_dir: dir.path().to_owned(),
        record_min_free: u64::MAX,
        ..MediaConfig::default()
    };
    let mut line = Line::new(SimLink::default(), &config);
    line.command(plan(agreed()));
    record(&line, "x.wav", 60_000, None, "");
    line.talk(at(PEER), speech(1));
    assert_eq!(line.recorded(), [(Duration::ZERO, RecordEnd::DiskFull)]);
}

#[test]
fn silence_of_the_peer_is_reported_once_until_it_speaks_again() {
    let mut line = Line::clean();
    let silent = |line: &Line| {
        line.seen
            .iter()
            .filter(|e| matches!(e, MediaEvent::Silent { .. }))
            .count()
    };
    line.run(29_000);
    assert_eq!(silent(&line), 0);
    line.run(10_000);
    assert_eq!(silent(&line), 1);
    line.talk(at(PEER), speech(1));
    line.run(29_000);
    assert_eq!(silent(&line), 1);
    line.run(10_000);
    assert_eq!(silent(&line), 2);
}

#[test]
fn comfort_noise_is_a_sign_of_life() {
    let mut line = Line::clean();
    for _ in 0..10 {
        let header = line.peer.audio(13, 1);
        line.post(at(PEER), header, &[60]);
        line.run(10_000);
    }
    assert!(
        !line
            .seen
            .iter()
            .any(|e| matches!(e, MediaEvent::Silent { .. }))
    );
}

#[test]
fn strangers_hear_nothing_and_press_no_keys() {
    let mut line = Line::clean();
    let stranger = at("203.0.113.66:9999");
    line.play(1, Source::Silence(None));
    line.press(stranger, "123");
    line.talk(stranger, speech(4));
    assert!(line.sent.iter().all(|d| d.to.ip() == at(PEER).ip()));
    assert_eq!(line.digits(), "");
    assert_eq!(
        line.io.peer_of(line.rtp),
        Some(at(PEER)),
        "the kernel drops them by now"
    );
    assert_eq!(line.close().packets_received, 0);
}

#[test]
fn a_peer_behind_a_nat_is_learned_and_a_late_stranger_is_not() {
    let mut line = Line::new(SimLink::default(), &MediaConfig::default());
    let told = at("10.0.0.5:4000");
    let real = at("198.51.100.7:61000");
    let nat = |agreed| {
        Command::Configure(Box::new(Plan {
            agreed,
            latch: true,
            signalling_ip: real.ip(),
            timeout: None,
            cname: "c".into(),
        }))
    };
    line.command(nat(Agreed {
        remote_rtp: told,
        remote_rtcp: at("10.0.0.5:4001"),
        ..agreed()
    }));
    line.play(1, Source::Silence(None));
    line.talk(real, speech(1));
    line.sent.clear();
    line.talk(at("203.0.113.66:9999"), speech(1));
    assert!(line.rtp().len() >= 49);
    assert!(
        line.sent
            .iter()
            .filter(|d| d.from == line.rtp)
            .all(|d| d.to == real)
    );
    assert_eq!(line.io.peer_of(line.rtp), Some(real));
    // A refresh of the same session does not lose it again.
    line.sent.clear();
    line.command(nat(Agreed {
        remote_rtp: told,
        remote_rtcp: at("10.0.0.5:4001"),
        ..agreed()
    }));
    line.talk(real, speech(1));
    assert!(line.rtp().len() >= 49);
    assert!(
        line.sent
            .iter()
            .filter(|d| d.from == line.rtp)
            .all(|d| d.to == real)
    );
    // A new address of the peer is used at once.
    line.sent.clear();
    line.command(nat(Agreed {
        remote_rtp: at("198.51.100.8:5000"),
        remote_rtcp: at("198.51.100.8:5001"),
        ..agreed()
    }));
    line.run(100);
    assert!(
        line.sent
            .iter()
            .filter(|d| d.from == line.rtp)
            .all(|d| d.to == at("198.51.100.8:5000"))
    );
}

#[test]
fn reports_go_out_every_few_seconds_and_goodbye_at_the_end() {
    let mut line = Line::clean();
    line.play(1, Source::Silence(None));
    line.talk(at(PEER), speech(30));
    line.close();
    let reports: Vec<&Datagram> = line
        .sent
        .iter()
        .filter(|d| d.from.port() == line.rtp.port() + 1)
        .collect();
    assert!(reports.iter().all(|d| d.to == at("198.51.100.7:4001")));
    assert!((4..=12).contains(&reports.len()), "{}", reports.len());
    let mut blocks = 0;
    for report in &reports {
        for part in rtcp::parse(&report.bytes) {
            if let Rtcp::Sender {
                info,
                blocks: mut about,
                ..
            } = part
            {
                assert!(info.packets > 0);
                blocks += about
                    .next()
                    .map_or(0, |b| u32::from(b.ssrc == line.peer.ssrc()));
            }
        }
    }
    assert!(blocks >= 3);
    let goodbye =
        rtcp::parse(&reports.last().unwrap().bytes).any(|p| matches!(p, Rtcp::Bye { .. }));
    assert!(goodbye);
}

#[test]
fn the_round_trip_is_measured_from_the_peers_reports_and_a_forged_goodbye_changes_nothing() {
    let delay = Duration::from_millis(40);
    let mut line = Line::new(
        SimLink {
            delay,
            ..SimLink::default()
        },
        &MediaConfig::default(),
    );
    line.command(plan(agreed()));
    line.play(1, Source::Silence(None));
    let mut answered = 0;
    for _ in 0..1000 {
        line.talk(at(PEER), vec![vec![0xFF; 160]]);
        while let Some(report) = line
            .sent
            .iter()
            .filter(|d| d.from.port() % 2 == 1)
            .nth(answered)
        {
            answered += 1;
            let Some((ssrc, ntp)) = rtcp::parse(&report.bytes).find_map(|p| match p {
                Rtcp::Sender { ssrc, info, .. } => Some((ssrc, info.ntp)),
                _ => None,
            }) else {
                continue;
            };
            let block = rtcp::ReportBlock {
                ssrc,
                fraction_lost: 64,
                last_sr: (ntp >> 16) as u32,
                ..Default::default()
            };
            let reply = rtcp::Report {
                ssrc: 1,
                sender: None,
                block: Some(block),
                cname: "p",
                bye: true,
            };
            let mut bytes = [0; 512];
            let len = reply.write(&mut bytes).unwrap();
            let to = SocketAddr::new(LOCAL, line.rtp.port() + 1);
            line.io.post(at("198.51.100.7:4001"), to, &bytes[..len]);
        }
    }
    assert!(answered >= 2);
    let sent = line.rtp().len();
    line.run(200);
    assert_eq!(
        line.rtp().len(),
        sent + 10,
        "signalling ends calls, not RTCP"
    );
    let stats = line.close();
    let round_trip = stats.round_trip.unwrap();
    // The peer answers within its 20 ms period, both ways take 40 ms.
    assert!(
        (75..=125).contains(&round_trip.as_millis()),
        "{round_trip:?}"
    );
    assert_eq!(stats.remote_loss, 0.25);
    assert!(stats.mos > 4.0, "{}", stats.mos);
}

#[test]
fn a_change_of_codec_is_followed_in_mid_clip() {
    let mut line = Line::clean();
    let pcm = tune(3200, 11);
    line.play(1, Source::Clip(clip(&pcm)));
    line.run(200);
    line.command(plan(Agreed {
        codec: Codec::Pcma,
        payload_type: 8,
        ..agreed()
    }));
    line.run(400);
    assert!(line.rtp().iter().any(|(_, p)| p.payload_type == 8));
    let heard = line.heard();
    assert_eq!(heard.len(), 3200);
    let worst = heard
        .iter()
        .zip(&pcm)
        .map(|(a, b)| a.abs_diff(*b))
        .max()
        .unwrap();
    assert!(worst <= 512, "{worst}");
}

#[test]
fn other_packet_lengths_keep_their_own_rhythm() {
    for ptime_ms in [10, 30, 40, 60] {
        let mut line = Line::new(SimLink::default(), &MediaConfig::default());
        line.command(plan(Agreed {
            ptime_ms,
            ..agreed()
        }));
        line.play(1, Source::Clip(clip(&tune(9600, 12))));
        line.run(1400);
        let packets = line.rtp();
        assert_eq!(packets.len(), 1200 / usize::from(ptime_ms));
        assert!(
            packets
                .iter()
                .all(|(_, p)| p.payload.len() == usize::from(ptime_ms) * 8)
        );
        assert!(
            packets
                .windows(2)
                .skip(1)
                .all(|w| w[1].0 - w[0].0 == Duration::from_millis(u64::from(ptime_ms)))
        );
    }
}

#[test]
fn pacing_does_not_drift() {
    let mut line = Line::clean();
    line.play(1, Source::Silence(None));
    line.run(600_000);
    let packets = line.rtp();
    assert!((29_999..=30_000).contains(&packets.len()));
    let last = packets.last().unwrap();
    let span = last.0 - packets[0].0;
    assert_eq!(span.as_millis() % 20, 0);
    assert_eq!(
        span.as_millis() as u32 * 8,
        last.1.timestamp.since(packets[0].1.timestamp) as u32
    );
}

#[test]
fn a_worker_that_was_held_up_does_not_burst_and_keeps_the_time() {
    let mut line = Line::clean();
    line.play(1, Source::Silence(None));
    line.run(200);
    let before = line.rtp().len();
    line.now += Duration::from_secs(5);
    line.step();
    let burst = line.rtp().len() - before;
    assert!(
        (9..=11).contains(&burst),
        "{burst} packets: what is older than 200 ms is let go"
    );
    line.run(200);
    let packets = line.rtp();
    let (first, last) = (packets[0], packets[packets.len() - 1]);
    assert_eq!(
        (last.0 - first.0).as_millis() as i64 * 8,
        i64::from(last.1.timestamp.since(first.1.timestamp))
    );
    assert!(line.media.overruns() > 900);
}

/// Whether the long forms run.
fn soak() -> bool {
    std::env::var("SWIVEL_TEST_TIER").is_ok_and(|tier| tier == "soak")
}

#[test]
fn a_closed_port_reports_everything_it_still_owed_and_rests() {
    let mut line = Line::clean();
    line.play(1, Source::Silence(None));
    line.command(Command::SendDigits {
        op: OpId(2),
        digits: "12".into(),
        duration_ms: 100,
        gap_ms: 100,
    });
    line.talk(at(PEER), speech(1));
    let stats = line.close();
    let mut finished = line.finished();
    finished.sort_by_key(|f| f.0);
    assert_eq!(finished, [(1, Finish::Cancelled), (2, Finish::Done)]);
    assert_eq!(
        (
            stats.packets_received,
            stats.bytes_received,
            stats.packets_lost
        ),
        (50, 8000, 0)
    );
    assert!(stats.packets_sent > 40 && stats.mos > 4.0);
    assert_eq!(
        line.media.counts(),
        PoolCounts {
            in_use: 0,
            quarantined: 1,
            ready: 0
        }
    );
}

#[test]
fn a_port_that_was_never_used_closes_too() {
    let mut line = Line::new(SimLink::default(), &MediaConfig::default());
    line.run(100);
    assert_eq!(line.close(), PortStats::default());
    assert_eq!(line.media.counts().in_use, 0);
}

#[test]
fn no_event_is_lost_when_nobody_reads_for_a_while() {
    let mut line = Line::new(SimLink::default(), &MediaConfig::default());
    let ports: Vec<Port> = (0..500).map(|_| line.media.take(LOCAL).unwrap()).collect();
    for port in &ports {
        port.command(plan(agreed()));
        for op in 0..5 {
            let source = Source::Silence(Some(Duration::from_millis(10)));
            port.command(Command::Play {
                op: OpId(op),
                source,
            });
        }
    }
    for _ in 0..50 {
        line.now += Duration::from_millis(5);
        line.io.advance(line.now);
        line.worker.tick(line.now, &mut line.io);
    }
    drop(ports);
    line.run(1000);
    let of = |id: u64| -> Vec<u64> {
        let one = |e: &MediaEvent| match e {
            MediaEvent::Finished {
                port,
                op,
                why: Finish::Done,
            } if *port == PortId(id) => Some(op.0),
            MediaEvent::Closed { port, .. } if *port == PortId(id) => Some(99),
            _ => None,
        };
        line.seen.iter().filter_map(one).collect()
    };
    assert_eq!(line.seen.len(), 500 * 6);
    assert!((2..502).all(|id| of(id) == [0, 1, 2, 3, 4, 99]));
}

#[test]
fn rubbish_changes_nothing() {
    let mut line = Line::clean();
    let mut rng = Rng::seeded(13);
    let rtcp = SocketAddr::new(LOCAL, line.rtp.port() + 1);
    for round in 0..20_000u32 {
        let mut bytes = vec![0; rng.below(200) as usize];
        rng.fill(&mut bytes);
        if let (true, Some(first)) = (round % 2 == 0, bytes.first_mut()) {
            *first = 0x80 | (*first & 0x3F);
        }
        let (from, to) = if round % 3 == 0 {
            (at("198.51.100.7:4001"), rtcp)
        } else {
            (at(PEER), line.rtp)
        };
        line.io.post(from, to, &bytes);
        if round % 100 == 0 {
            line.run(5);
        }
    }
    line.seen.clear();
    line.play(1, Source::Clip(clip(&tune(1600, 14))));
    line.run(400);
    assert_eq!(line.finished(), [(1, Finish::Done)]);
    assert_eq!(line.rtp().len(), 10);
}

#[test]
fn a_port_is_small() {
    assert!(
        size_of::<port::PortState>() <= 2048,
        "{}",
        size_of::<port::PortState>()
    );
}
