//! Streams, recordings and speech.

use std::cell::RefCell;
use std::rc::Rc;

use super::Live;
use super::tell::{Teller, fields, notice, standard};
use crate::call::ops::recognise::AUTO_END;
use crate::call::{
    CallError, CallHandle, CollectOptions, NewRecording, Partial, RecogniseOptions, Recognised,
    StreamEnd, StreamEvent, StreamNews, StreamOptions, StreamWatch,
};
use crate::clips::Audio;
use crate::host::clock;
use crate::media::{RecordEnd, Sides};
use crate::recordings::{Notice, Transcribing};
use crate::twiml::Dialler;
use crate::twiml::line::{
    Gathered, Gathering, Line as _, Phrase, Recorded, Recording, Sound, Trouble,
};
use crate::twiml::orders::{Callback, Listening, Said, Stream, Taping};

fn options(call: &CallHandle, how: &Stream) -> Result<StreamOptions, Trouble> {
    let to = StreamOptions::to(&how.url).map_err(|error| Trouble::Failed(error.to_string()))?;
    Ok(StreamOptions {
        name: how.name.clone(),
        tracks: how.tracks,
        parameters: how.parameters.clone(),
        events: how.callback.as_ref().map(|told| watch(call, told)),
        ..to
    })
}

/// Tells what happens to a stream.
fn watch(call: &CallHandle, callback: &Callback) -> StreamWatch {
    let teller = Teller::new(call, callback);
    let facts = call.facts();
    Rc::new(move |event: &StreamEvent| {
        teller.tell(fields([
            ("AccountSid", facts.account.id.to_string()),
            ("CallSid", facts.call_id.clone()),
            ("StreamSid", event.sid.clone()),
            ("StreamName", event.name.clone().unwrap_or_default()),
            ("StreamEvent", event.what.word().to_owned()),
            (
                "StreamError",
                match &event.what {
                    StreamNews::Failed(why) => why.clone(),
                    StreamNews::Started | StreamNews::Stopped => String::new(),
                },
            ),
            ("Timestamp", clock::unix_now().timestamp().to_string()),
        ]));
    })
}

pub(super) async fn connect<D: Dialler>(live: &Live<'_, D>, how: &Stream) -> Result<(), Trouble> {
    live.not_aside("Connect")?;
    let options = options(live.call, how)?;
    match Box::pin(live.call.stream(options)).await? {
        StreamEnd::Closed => Ok(()),
        StreamEnd::Failed(why) => Err(Trouble::Failed(why)),
    }
}

pub(super) fn start_stream<D: Dialler>(live: &Live<'_, D>, how: &Stream) -> Result<(), Trouble> {
    let started = live.call.start_stream(options(live.call, how)?);
    match started {
        Ok(_sid) => Ok(()),
        Err(error) => Err(Trouble::Failed(error.to_string())),
    }
}

pub(super) fn start_recording<D: Dialler>(
    live: &Live<'_, D>,
    how: &Taping,
) -> Result<String, Trouble> {
    let new = NewRecording {
        origin: "twiml".to_owned(),
        source: "twiml",
        sides: how.sides,
        begin: how.begin,
        trim: how.trim,
        upload: how.upload.clone(),
        notice: notice(how.callback.as_ref(), how.source, how.track),
        max: LONGEST,
        ..NewRecording::default()
    };
    Ok(live.call.start_recording(new)?)
}

pub(super) async fn record<D: Dialler>(
    live: &Live<'_, D>,
    how: &Recording,
) -> Result<Recorded, Trouble> {
    let transcript = notice(how.transcript.as_ref(), "", "").map(|notice| Transcribing {
        language: live.call.language(),
        notice: Notice {
            fields: standard(live.call),
            ..notice
        },
    });
    let new = NewRecording {
        origin: "twiml : Record".to_owned(),
        source: "twiml",
        sides: Sides::Peer,
        max: how.max,
        silence: how.silence,
        finish_on: how.finish_on,
        trim: how.trim,
        // What is silence from end to end is no recording.
        min: if how.trim {
            SHORTEST
        } else {
            std::time::Duration::ZERO
        },
        upload: how.upload.clone(),
        notice: notice(how.callback.as_ref(), "RecordVerb", "inbound"),
        transcript,
        ..NewRecording::default()
    };
    let kept = Box::pin(live.call.record_kept(new, how.beep)).await?;
    if kept.why == RecordEnd::Failed {
        return Err(Trouble::Failed("the recording failed".to_owned()));
    }
    Ok(Recorded {
        id: kept.id,
        url: kept.url,
        length: kept.length,
        key: match kept.why {
            RecordEnd::Key(key) => Some(key),
            _ => None,
        },
        absent: kept.why == RecordEnd::TooShort,
        by_silence: kept.why == RecordEnd::Silence,
        by_hangup: live.call.ended().is_some(),
    })
}

/// Collects speech, and keys where they count.
pub(super) async fn listen<D: Dialler>(
    live: &Live<'_, D>,
    how: &Gathering,
    speech: &Listening,
    keys: CollectOptions,
) -> Result<Option<Gathered>, Trouble> {
    let prompt = prompt(live, &how.prompt).await?;
    let options = RecogniseOptions {
        language: speech
            .language
            .as_ref()
            .map_or_else(|| live.call.language(), |l| l.to_lowercase()),
        hints: speech.hints.clone(),
        timeout: how.timeout,
        end: speech.end.unwrap_or(AUTO_END),
        max: speech.max,
        barge_in: speech.barge_in,
        keys: speech.keys.then_some(keys),
        partial: speech.partial.as_ref().map(|told| partial(live.call, told)),
    };
    match Box::pin(live.call.recognise(prompt, options)).await {
        Ok(Recognised::Speech(said)) => Ok(Some(Gathered {
            speech: Some(Said {
                text: said.text,
                confidence: said.confidence,
            }),
            ..Gathered::default()
        })),
        Ok(Recognised::Keys(collected)) => Ok(Some(Gathered::of(collected))),
        Ok(Recognised::Nothing) => Ok(Some(Gathered::default())),
        Err(CallError::NoRecogniser) if speech.keys => Ok(None),
        Err(error) => {
            let error = Trouble::from(error);
            if let Trouble::Failed(why) = &error {
                live.note(&format!("Gather: {why}"));
                return Ok(Some(Gathered::default()));
            }
            Err(error)
        }
    }
}

/// Tells what was understood so far.
fn partial(call: &CallHandle, callback: &Callback) -> Rc<dyn Fn(Partial)> {
    let teller = Teller::new(call, callback);
    let call = call.clone();
    let before = RefCell::new(String::new());
    Rc::new(move |partial: Partial| {
        let mut all = standard(&call);
        let sure = partial.transcript.confidence;
        let text = partial.transcript.text;
        let (stable, rest) = settled(&before.borrow(), &text);
        all.extend(fields([
            ("StableSpeechResult", stable),
            ("UnstableSpeechResult", rest),
            ("Stability", sure.map_or(String::new(), |c| c.to_string())),
            ("SequenceNumber", partial.sequence.to_string()),
        ]));
        before.replace(text);
        teller.tell(all);
    })
}

/// What two results in a row begin with alike, by words, and the rest of the second.
fn settled(before: &str, now: &str) -> (String, String) {
    let words: Vec<&str> = now.split_whitespace().collect();
    let alike = before.split_whitespace().zip(&words);
    let count = alike.take_while(|(old, new)| old == *new).count();
    let (stable, rest) = words.split_at_checked(count).unwrap_or_default();
    (stable.join(" "), rest.join(" "))
}

/// Everything the prompt says, with its repetitions.
async fn prompt<D: Dialler>(live: &Live<'_, D>, phrases: &[Phrase]) -> Result<Vec<Audio>, Trouble> {
    let mut all = Vec::new();
    for phrase in phrases {
        for _ in 0..phrase.loops.unwrap_or(MOST_LOOPS).min(MOST_LOOPS) {
            for sound in &phrase.sounds {
                if let Sound::Keys(_) = sound {
                    continue;
                }
                match Box::pin(live.audio(sound)).await {
                    Ok(audio) => all.push(audio),
                    Err(Trouble::Failed(why)) => live.note(&format!("Gather: {why}")),
                    Err(other) => return Err(other),
                }
            }
        }
    }
    Ok(all)
}

/// A prompt that speech may stop is repeated so often at most.
const MOST_LOOPS: u32 = 20;
/// The longest recording beside a call.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(10_800);
/// The shortest that is worth keeping once silence is cut off.
const SHORTEST: std::time::Duration = std::time::Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::settled;

    #[test]
    fn what_two_results_begin_with_alike_is_stable() {
        let parts = |before, now| {
            let (stable, rest) = settled(before, now);
            format!("{stable}|{rest}")
        };
        assert_eq!(parts("", "I would"), "|I would");
        assert_eq!(parts("I wood like", "I would like to"), "I|would like to");
        assert_eq!(parts("I would like", "I would"), "I would|");
    }
}
