//! Codecs, packet lengths and the rhythm of sending.

use super::*;

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
