//! What callers say, as text: when a recogniser is asked, and with which sound.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::json;
use swivel::audio::Clip;
use swivel::call::{
    CallHandle, CollectEnd, CollectOptions, Collected, Partial, RecogniseOptions, Recognised,
};
use swivel::clips::Audio;
use swivel::speech::{Recogniser, Recognition, SpeechError, Spoken, Transcript};
use tokio::time::Instant;

use crate::world::phone::PhoneCall;
use crate::world::rtp::{Ears, Voice, audio_of};
use crate::world::{Settings, World, script, world_with};

const SECOND: Duration = Duration::from_secs(1);

/// Understands how much sound it was given, in tenths of a second; fails when told to.
#[derive(Clone, Default)]
struct Parrot {
    heard: Arc<Mutex<Vec<Spoken>>>,
    fails: bool,
    after: Duration,
}

impl Recogniser for Parrot {
    fn transcribe<'a>(
        &'a self,
        spoken: &'a Spoken,
    ) -> BoxFuture<'a, Result<Transcript, SpeechError>> {
        self.heard.lock().unwrap().push(spoken.clone());
        let tenths = (spoken.wav.len() - 44) / 1600;
        Box::pin(async move {
            tokio::time::sleep(self.after).await;
            if self.fails {
                return Err(SpeechError::Silent);
            }
            Ok(Transcript {
                text: tenths.to_string(),
                confidence: Some(0.5),
            })
        })
    }
}

/// What scripts saw, and when after the answer.
type Seen = Rc<RefCell<Vec<(Duration, String)>>>;

/// A call that listens once.
fn listening<F: Future<Output = ()>>(
    parrot: &Parrot,
    prompt_ms: usize,
    options: RecogniseOptions,
    test: impl FnOnce(World, PhoneCall, Seen) -> F,
) {
    let seen = Seen::default();
    let noted = seen.clone();
    let run = move |call: CallHandle| {
        let (options, noted) = (options.clone(), noted.clone());
        async move {
            call.answer().await.unwrap();
            let begun = Instant::now();
            let clip = Arc::new(Clip::new(8000, vec![2000; prompt_ms * 8]));
            let prompt = if prompt_ms > 0 {
                vec![Audio::Clip(clip)]
            } else {
                Vec::new()
            };
            let said = match call.recognise(prompt, options).await {
                Ok(Recognised::Speech(said)) => said.text,
                Ok(Recognised::Keys(Collected { digits, why })) => format!("keys {digits} {why:?}"),
                Ok(Recognised::Nothing) => "nothing".to_owned(),
                Err(error) => error.to_string(),
            };
            noted.borrow_mut().push((begun.elapsed(), said));
        }
    };
    let settings = Settings {
        recognition: Some(Recognition {
            recogniser: Arc::new(parrot.clone()),
            partial_every: Some(SECOND),
        }),
        ..Settings::default()
    };
    world_with(11, settings, script(run), |world| async move {
        world
            .callflow("700", json!({"module": "sleep", "data": {}}))
            .await;
        let call = world.phone().call("700");
        test(world, call, seen).await;
    });
}

/// Speaks for a while, after a while.
async fn speak(world: &World, answer: &str, after: Duration, length: Duration) {
    let phone = "10.0.1.1:4000".parse().unwrap();
    let quiet = Voice::speak(world, phone, audio_of(answer), 0xff);
    tokio::time::sleep(after).await;
    drop(quiet);
    let voice = Voice::speak(world, phone, audio_of(answer), 0x05);
    tokio::time::sleep(length).await;
    drop(voice);
}

fn near(took: Duration, wanted_ms: u128) -> bool {
    (wanted_ms..wanted_ms + 300).contains(&took.as_millis())
}

#[test]
fn speech_is_understood_after_the_silence_that_ends_it() {
    let parrot = Parrot::default();
    let options = RecogniseOptions {
        language: "en-GB".into(),
        hints: "yes, no".into(),
        ..RecogniseOptions::default()
    };
    listening(&parrot, 0, options, |world, call, seen| async move {
        let answer = call.connect().await;
        speak(&world, &answer, SECOND, 2 * SECOND).await;
        call.wait_for_bye(5 * SECOND).await;
        let (took, said) = seen.borrow()[0].clone();
        assert!(near(took, 4000), "one second after the last word: {took:?}");
        let tenths: usize = said.parse().unwrap();
        assert!(
            (30..36).contains(&tenths),
            "400 ms before it, and the silence after it: {tenths}"
        );
        world.at_rest().await;
    });
    let heard = parrot.heard.lock().unwrap();
    assert_eq!(heard.len(), 1);
    assert_eq!(
        (heard[0].language.as_str(), heard[0].hints.as_str()),
        ("en-gb", "yes, no")
    );
    assert_eq!(&heard[0].wav[..4], b"RIFF");
}

#[test]
fn nobody_speaks_and_nobody_is_asked() {
    let parrot = Parrot::default();
    let options = RecogniseOptions {
        timeout: 3 * SECOND,
        ..RecogniseOptions::default()
    };
    listening(&parrot, 2000, options, |world, call, seen| async move {
        call.connect().await;
        call.wait_for_bye(10 * SECOND).await;
        let (took, said) = seen.borrow()[0].clone();
        assert_eq!(said, "nothing");
        assert!(near(took, 5000), "three seconds after the prompt: {took:?}");
        world.at_rest().await;
    });
    assert!(parrot.heard.lock().unwrap().is_empty());
}

#[test]
fn speech_stops_the_prompt_and_without_barge_in_it_does_not() {
    for barge_in in [true, false] {
        let parrot = Parrot::default();
        let options = RecogniseOptions {
            barge_in,
            ..RecogniseOptions::default()
        };
        listening(&parrot, 8000, options, |world, call, seen| async move {
            let answer = call.connect().await;
            let ears = Ears::of(&world);
            speak(&world, &answer, SECOND, SECOND).await;
            call.wait_for_bye(20 * SECOND).await;
            let (took, said) = seen.borrow()[0].clone();
            let prompt = ears.take("10.0.1.1:4000".parse().unwrap()).len();
            if barge_in {
                assert!(near(took, 3000) && said != "nothing", "{took:?} {said}");
                assert!((50..65).contains(&prompt), "{prompt} packets of the prompt");
            } else {
                assert!(near(took, 13_000) && said == "nothing", "{took:?} {said}");
                assert!(
                    (399..402).contains(&prompt),
                    "{prompt} packets of the prompt"
                );
            }
            world.at_rest().await;
        });
    }
}

#[test]
fn a_key_turns_to_collecting_keys() {
    let options = RecogniseOptions {
        keys: Some(CollectOptions {
            max_digits: 2,
            ..CollectOptions::default()
        }),
        ..RecogniseOptions::default()
    };
    listening(
        &Parrot::default(),
        4000,
        options,
        |world, call, seen| async move {
            call.connect().await;
            for key in ["4", "2"] {
                tokio::time::sleep(SECOND).await;
                press(&call, key);
            }
            call.wait_for_bye(5 * SECOND).await;
            let wanted = format!("keys 42 {:?}", CollectEnd::Max);
            assert_eq!(seen.borrow()[0].1, wanted);
            world.at_rest().await;
        },
    );
}

#[test]
fn keys_that_do_not_count_change_nothing() {
    let options = RecogniseOptions::default();
    listening(
        &Parrot::default(),
        0,
        options,
        |world, call, seen| async move {
            call.connect().await;
            press(&call, "4");
            call.wait_for_bye(9 * SECOND).await;
            assert_eq!(seen.borrow()[0].1, "nothing");
            world.at_rest().await;
        },
    );
}

#[test]
fn who_speaks_too_long_is_cut_off_and_heard_in_parts() {
    let partial: Rc<RefCell<Vec<Partial>>> = Rc::default();
    let told = partial.clone();
    let options = RecogniseOptions {
        max: 4 * SECOND,
        partial: Some(Rc::new(move |part| told.borrow_mut().push(part))),
        ..RecogniseOptions::default()
    };
    listening(
        &Parrot::default(),
        0,
        options,
        |world, call, seen| async move {
            let answer = call.connect().await;
            speak(&world, &answer, SECOND, 8 * SECOND).await;
            call.wait_for_bye(SECOND).await;
            let (took, said) = seen.borrow()[0].clone();
            assert!(near(took, 5100), "{took:?}");
            assert!((43..47).contains(&said.parse::<usize>().unwrap()), "{said}");
            let partial = partial.borrow().clone();
            let sequence: Vec<u32> = partial.iter().map(|part| part.sequence).collect();
            assert_eq!(sequence, [0, 1, 2]);
            let first = partial[0].transcript.text.parse::<usize>().unwrap();
            assert!((13..17).contains(&first), "{first}");
            world.at_rest().await;
        },
    );
}

#[test]
fn a_recogniser_that_fails_is_an_error_and_a_hang_up_ends_the_wait_for_it() {
    let failing = Parrot {
        fails: true,
        ..Parrot::default()
    };
    listening(
        &failing,
        0,
        RecogniseOptions::default(),
        |world, call, seen| async move {
            let answer = call.connect().await;
            speak(&world, &answer, SECOND, SECOND).await;
            call.wait_for_bye(5 * SECOND).await;
            assert_eq!(seen.borrow()[0].1, "the speech provider returned no audio");
            world.at_rest().await;
        },
    );
    let slow = Parrot {
        after: 60 * SECOND,
        ..Parrot::default()
    };
    listening(
        &slow,
        0,
        RecogniseOptions::default(),
        |world, call, seen| async move {
            let answer = call.connect().await;
            speak(&world, &answer, SECOND, SECOND).await;
            tokio::time::sleep(5 * SECOND).await;
            call.hang_up().await;
            tokio::time::sleep(SECOND).await;
            assert_eq!(seen.borrow()[0].1, "the call has ended: NORMAL_CLEARING");
            world.at_rest().await;
        },
    );
}

fn press(call: &PhoneCall, key: &str) {
    call.send(
        "INFO",
        "Content-Type: application/dtmf-relay\r\n",
        &format!("Signal={key}\r\nDuration=160\r\n"),
    );
}
