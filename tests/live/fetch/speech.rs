//! Speech by real programs and servers.

use std::sync::Arc;
use std::time::Duration;

use swivel::clips::{Clips, ClipsConfig, ClipsParts, decode};
use swivel::directory::Account;
use swivel::host::http::HttpClient;
use swivel::speech::{Dialect, SpeechError, TtsConfig, Utterance, provider};
use swivel::store::Files;
use tokio::runtime::Handle;

use super::{PUBLIC, Server, answer, run};

fn saying(text: &str, voice: &str, language: &str) -> Utterance {
    Utterance {
        text: text.to_owned(),
        voice: voice.to_owned(),
        language: language.to_owned(),
    }
}

fn command(program: &str, args: &[&str]) -> TtsConfig {
    TtsConfig {
        command: program.to_owned(),
        args: args.iter().map(|a| (*a).to_owned()).collect(),
        ..TtsConfig::default()
    }
}

async fn said(config: &TtsConfig, utterance: &Utterance) -> Result<Duration, SpeechError> {
    let file = provider(config, &Handle::current())
        .unwrap()
        .synthesise(utterance)
        .await?;
    Ok(decode::decode(file).unwrap().duration())
}

#[test]
fn espeak_speaks_many_languages_with_two_voices() {
    run(async {
        let config = TtsConfig::default();
        let mut lengths = Vec::new();
        for (language, text) in [
            ("en-us", "Pivot is pretty awesome."),
            ("de-de", "Guten Tag, wie geht es Ihnen?"),
            ("fr-fr", "Bonjour tout le monde."),
            ("es-mx", "Buenos días a todos."),
            ("zh-cn", "你好"),
            ("xx", "Still English."),
        ] {
            for voice in ["female", "male"] {
                let length = said(&config, &saying(text, voice, language)).await.unwrap();
                assert!(
                    (300..6000).contains(&length.as_millis()),
                    "{language} {voice}: {length:?}"
                );
                lengths.push(length);
            }
        }
        assert!(lengths.len() == 12);
    });
}

#[test]
fn text_is_never_an_option_or_a_command() {
    run(async {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("pwned");
        for text in [
            format!("-w {}", target.display()),
            format!("--path={}", target.display()),
            format!("$(touch {0}) `touch {0}`; touch {0}", target.display()),
        ] {
            drop(said(&TtsConfig::default(), &saying(&text, &text, &text)).await);
            assert!(!target.exists(), "{text}");
        }
    });
}

#[test]
fn failing_programs_say_why() {
    run(async {
        let hello = saying("Hello", "female", "en-us");
        let missing = said(&command("/no/such/program", &[]), &hello)
            .await
            .unwrap_err();
        assert!(
            matches!(&missing, SpeechError::Start { program, .. } if program == "/no/such/program")
        );
        let failing = said(&command("sh", &["-c", "echo no voice >&2; exit 3"]), &hello)
            .await
            .unwrap_err();
        assert!(failing.to_string().contains("no voice"), "{failing}");
        assert_eq!(
            said(&command("true", &[]), &hello).await.unwrap_err(),
            SpeechError::Silent
        );
        let slow = TtsConfig {
            timeout_ms: 200,
            ..command("sleep", &["30"])
        };
        let after = Duration::from_millis(200);
        assert_eq!(
            said(&slow, &hello).await.unwrap_err(),
            SpeechError::Timeout { after }
        );
        let endless = said(&command("sh", &["-c", "cat /dev/zero"]), &hello)
            .await
            .unwrap_err();
        assert!(matches!(endless, SpeechError::TooLarge { .. }), "{endless}");
    });
}

#[test]
fn a_program_is_killed_when_nobody_waits() {
    run(async {
        let root = tempfile::tempdir().unwrap();
        let (pid, script) = (root.path().join("pid"), root.path().join("speak"));
        std::fs::write(
            &script,
            format!("echo $$ > {}\nexec sleep 60\n", pid.display()),
        )
        .unwrap();
        let config = command("sh", &[script.to_str().unwrap()]);
        let hello = saying("Hello", "female", "en-us");
        let work = said(&config, &hello);
        assert!(
            tokio::time::timeout(Duration::from_millis(500), work)
                .await
                .is_err()
        );
        let pid = std::fs::read_to_string(pid).unwrap();
        for _ in 0..100 {
            let state =
                std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
            // Gone, or dead and waiting to be collected.
            if state.is_empty() || state.contains(") Z ") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the program still runs");
    });
}

#[test]
fn speech_servers_are_asked_in_their_own_way() {
    run(async {
        let sound = provider(&TtsConfig::default(), &Handle::current())
            .unwrap()
            .synthesise(&saying("Hello", "female", "en-us"))
            .await
            .unwrap();
        let server = Server::start(PUBLIC, move |seen| {
            match seen.head.split_whitespace().nth(1) {
                Some("/v1/audio/speech" | "/synthesize") => {
                    answer("200 OK", "Content-Type: audio/wav\r\n", &sound)
                }
                _ => answer("404 Not Found", "", b"{\"detail\":\"not here\"}"),
            }
        })
        .await;
        for dialect in [Dialect::Openai, Dialect::Piper] {
            let config = TtsConfig {
                provider: "http".to_owned(),
                url: format!("http://{}", server.address),
                key: swivel::base::secret::Secret::new("k3y"),
                dialect,
                ..TtsConfig::default()
            };
            said(&config, &saying("Hello", "male", "en-us"))
                .await
                .unwrap();
            let seen = server.seen().pop().unwrap();
            assert_eq!(seen.header("authorization"), Some("Bearer k3y"));
            assert!(String::from_utf8(seen.body).unwrap().contains("\"Hello\""));
            let wrong = TtsConfig {
                url: format!("http://{}/elsewhere", server.address),
                ..config
            };
            let error = said(&wrong, &saying("Hello", "male", "en-us"))
                .await
                .unwrap_err();
            assert!(
                matches!(&error, SpeechError::Status { status: 404, said } if said.contains("not here"))
            );
        }
    });
}

#[test]
fn a_prompt_is_spoken_by_the_machine_itself() {
    run(async {
        let clips = Clips::new(ClipsParts {
            io: Handle::current(),
            http: HttpClient::new(Handle::current(), Arc::default()),
            speech: provider(&TtsConfig::default(), &Handle::current()).unwrap(),
            files: Files::memory(),
            config: ClipsConfig::default(),
        });
        let account = Account::of("a", []);
        for prompt in ["fault-can_not_be_completed_at_this_time", "menu-exit"] {
            assert!(
                clips.prompt(&account, prompt, "de-de").await.is_ok(),
                "{prompt}"
            );
        }
        let mut speaking = clips.say(
            "Pivot is pretty awesome. Have a great day.",
            "female",
            "en-us",
        );
        let mut count = 0;
        while let Some(clip) = speaking.next().await {
            assert!(clip.unwrap().duration() > Duration::from_millis(800));
            count += 1;
        }
        assert_eq!(count, 2);
    });
}
