//! A real recogniser (pocketsphinx) understands a real voice (Piper) as it comes over a telephone line: as a server
//! with OpenAI's interface, and as a program.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use swivel::audio::Codec;
use swivel::audio::speaking::{Heard, Patience, Speaking};
use swivel::speech::{Spoken, SttConfig, recogniser};
use tokio::runtime::Handle;

use super::audio::{Sound, words};
use super::tools::{python, root, turn};
use super::voice::Piper;

pub(crate) struct Recogniser(Child, u16);

impl Recogniser {
    pub(crate) fn start() -> Self {
        let mut child = Command::new(python("test").expect("`make test` builds .venv/test"))
            .arg(root().join("tests/live/transcriptions.py"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        Self(child, line.trim().parse().unwrap())
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.1)
    }
}

impl Drop for Recogniser {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// What is cut out of a line on which somebody speaks between silences, by the detector of speech.
fn cut_out(line: &Sound) -> Vec<i16> {
    let mut speaking = Speaking::new(Patience {
        first: Duration::from_secs(5),
        next: Duration::from_secs(1),
        most: Duration::from_secs(60),
    });
    speaking.arm();
    let mut seen = Vec::new();
    for frame in line.0.chunks(160) {
        let heard = speaking.push(frame);
        if heard != Heard::Same {
            seen.push(heard);
        }
    }
    assert_eq!(seen, [Heard::Began, Heard::Finished]);
    speaking.pcm()
}

#[test]
fn what_a_caller_says_is_understood() {
    let Some(piper) = Piper::start() else { return };
    let _turn = turn();
    let spoken = piper.source("I would like to speak to somebody about the weather and the money.");
    // Two seconds of a quiet line before it and three after it, all as G.711 has it.
    let mut line = vec![0; 16_000];
    line.extend(&spoken.0);
    line.extend([0; 24_000]);
    let (mut mulaw, mut pcm) = (Vec::new(), Vec::new());
    Codec::Pcmu.encode(&line, &mut mulaw);
    Codec::Pcmu.decode(&mulaw, &mut pcm);
    let line = Sound(pcm);
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("line.wav");
    line.write(&whole);
    let wanted = words(&whole).expect("`make test` builds .venv/test");
    assert!(wanted.len() >= 6, "{wanted:?}");
    let cut = cut_out(&line);
    assert!(cut.len() < line.0.len() - 16_000, "silence is left out");
    let spoken = Spoken::of(&cut, "en-us", "");

    let server = Recogniser::start();
    let program = python("test").unwrap().display().to_string();
    let script = root().join("tests/live/words.py").display().to_string();
    let configs = [
        SttConfig {
            provider: "openai".to_owned(),
            url: server.url(),
            timeout_ms: 60_000,
            ..SttConfig::default()
        },
        SttConfig {
            provider: "command".to_owned(),
            command: program,
            args: vec![script, "/dev/stdin".to_owned()],
            timeout_ms: 60_000,
            ..SttConfig::default()
        },
    ];
    let runtime = swivel::app::serve::runtime().unwrap();
    for config in configs {
        let text = runtime.block_on(async {
            let recognition = recogniser(&config, &Handle::current()).unwrap().unwrap();
            recognition.recogniser.transcribe(&spoken).await
        });
        let text = text.unwrap_or_else(|error| panic!("{}: {error}", config.provider));
        let found: Vec<&str> = text.text.split(' ').collect();
        let right = wanted.iter().filter(|w| found.contains(&w.as_str()));
        assert!(
            right.count() * 10 >= wanted.len() * 7,
            "{}: {:?} of {wanted:?}",
            config.provider,
            text.text
        );
    }
}
