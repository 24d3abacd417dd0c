//! Recordings of one port.

use super::*;

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
