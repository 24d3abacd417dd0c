//! What a port plays: sources, holds, silence.

use super::*;

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
