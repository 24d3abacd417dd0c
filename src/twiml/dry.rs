//! A call that only says what would happen: `swivel twiml run`.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::Duration;

use super::document::Document;
use super::exec::{Outcome, Session, run};
use super::line::{
    Callee, Dial, DialStatus, Dialled, Gathered, Gathering, Line, Phrase, Recorded, Recording,
    Request, Sound, Trouble,
};
use super::orders::{Room, Stream, Taken, Taking, Taping, Waited, Waiting};
use crate::base::cause::Cause;
use crate::base::keys::Keys;
use crate::base::profile::Profile;
use crate::call::Referral;
use crate::pivot::{Reply, RequestMethod};

/// What a document would do, one line an operation. `digits` are pressed where keys are collected; a comma ends what one
/// collection gets.
pub async fn rehearse(
    document: Document,
    profile: Profile,
    url: Option<url::Url>,
    digits: &str,
) -> Vec<String> {
    let line = Dry {
        said: RefCell::default(),
        answered: Cell::new(false),
        keys: RefCell::new(digits.chars().filter(|c| !c.is_whitespace()).collect()),
    };
    let mut session = Session::new(profile, url);
    let outcome = Box::pin(run(&line, document, &mut session)).await;
    match outcome {
        Outcome::Done | Outcome::HungUp | Outcome::Left => line.say("hang up"),
        Outcome::Failed(why) if why == ASKED => {}
        Outcome::Failed(why) => line.say(format!("hang up: {why}")),
        Outcome::Flow(_) | Outcome::Moved => {}
    }
    line.said.into_inner()
}

/// How a rehearsal ends where a server would be asked.
const ASKED: &str = "the rehearsal ends where a server is asked";

struct Dry {
    said: RefCell<Vec<String>>,
    answered: Cell<bool>,
    keys: RefCell<VecDeque<char>>,
}

impl Dry {
    fn say(&self, text: impl Into<String>) {
        self.said.borrow_mut().push(text.into());
    }

    fn hear(&self, prefix: &str, phrase: &Phrase) {
        let sounds: Vec<String> = phrase.sounds.iter().map(words).collect();
        let times = match phrase.loops {
            Some(1) => String::new(),
            Some(times) => format!(", {times} times"),
            None => ", for ever".to_owned(),
        };
        self.say(format!("{prefix}{}{times}", sounds.join(", then ")));
    }
}

fn words(sound: &Sound) -> String {
    match sound {
        Sound::Speech {
            text,
            voice,
            language,
        } => {
            let voice = if voice.is_empty() {
                String::new()
            } else {
                format!(" by {voice}")
            };
            let language = language
                .as_ref()
                .map(|language| format!(" in {language}"))
                .unwrap_or_default();
            format!("say {text:?}{voice}{language}")
        }
        Sound::Media(reference) => format!("play {reference}"),
        Sound::Silence(length) => format!("{} of silence", seconds(*length)),
        Sound::Keys(keys) => format!("send keys {keys}"),
    }
}

fn seconds(length: Duration) -> String {
    format!("{} s", length.as_secs_f64())
}

fn callee(callee: &Callee) -> String {
    match callee {
        Callee::Number { number, .. } => format!("number {number}"),
        Callee::User(id) => format!("user {id}"),
        Callee::Device(id) => format!("device {id}"),
        Callee::Client(name) => format!("client {name}"),
        Callee::Sip { uri, .. } => uri.clone(),
    }
}

impl Line for Dry {
    fn ended(&self) -> bool {
        false
    }

    fn note(&self, text: &str) {
        self.say(format!("note: {text}"));
    }

    fn status(&self, _: &'static str) {}

    async fn answer(&self) -> Result<(), Trouble> {
        if !self.answered.replace(true) {
            self.say("answer");
        }
        Ok(())
    }

    async fn play(&self, phrases: &[Phrase], _: Keys) -> Result<String, Trouble> {
        for phrase in phrases {
            self.hear("", phrase);
            if phrase.loops.is_none() {
                // What has no end ends with the caller.
                return Err(Trouble::Ended);
            }
        }
        Ok(String::new())
    }

    async fn gather(&self, how: &Gathering) -> Result<Gathered, Trouble> {
        for phrase in &how.prompt {
            self.hear("  meanwhile ", phrase);
        }
        let mut gathered = Gathered {
            digits: how.typed_ahead.clone(),
            ..Gathered::default()
        };
        while gathered.digits.len() < how.max_digits {
            match self.keys.borrow_mut().pop_front() {
                Some(',') | None => break,
                Some(key) if how.finish_on.contains(key) => {
                    gathered.finished_on = Some(key);
                    break;
                }
                Some(key) => gathered.digits.push(key),
            }
        }
        let most = match how.max_digits {
            usize::MAX => String::new(),
            most => format!("up to {most} "),
        };
        let speech = match &how.speech {
            Some(_) => "listen, and ",
            None => "",
        };
        self.say(format!(
            "{speech}collect {most}digits for {}: {:?}",
            seconds(how.timeout),
            gathered.digits
        ));
        Ok(gathered)
    }

    fn flush_keys(&self) {}

    async fn pause(&self, length: Duration) -> Result<(), Trouble> {
        if !length.is_zero() {
            self.say(format!("wait {}", seconds(length)));
        }
        Ok(())
    }

    async fn record(&self, how: &Recording) -> Result<Recorded, Trouble> {
        self.say(format!("record for at most {}", seconds(how.max)));
        Ok(Recorded {
            id: "0".repeat(32),
            url: "recording".to_owned(),
            length: Duration::from_secs(10).min(how.max),
            key: None,
            absent: false,
            by_silence: false,
            by_hangup: false,
        })
    }

    async fn dial(&self, how: &Dial) -> Result<Dialled, Trouble> {
        let all: Vec<String> = how.callees.iter().map(callee).collect();
        let joint = if how.single { ", then " } else { " and " };
        self.say(format!(
            "ring {} for {}",
            all.join(joint),
            seconds(how.timeout)
        ));
        Ok(Dialled::of(DialStatus::NoAnswer))
    }

    async fn conference(&self, how: &Room) -> Result<Dialled, Trouble> {
        self.say(format!("join the conference {}", how.name));
        Ok(Dialled::of(DialStatus::Answered))
    }

    async fn enqueue(&self, how: &Waiting) -> Result<Waited, Trouble> {
        self.say(format!("wait in the queue {}", how.name));
        Ok(Waited {
            result: "bridged",
            queue: how.name.clone(),
            waited: Duration::ZERO,
            moved: false,
        })
    }

    async fn dequeue(&self, how: &Taking) -> Result<Taken, Trouble> {
        self.say(format!("take who waits in the queue {}", how.name));
        Ok(Taken {
            talked: false,
            moved: false,
            queue: how.name.clone(),
            call_id: None,
            waited: Duration::ZERO,
            length: Duration::ZERO,
        })
    }

    async fn connect(&self, how: &Stream) -> Result<(), Trouble> {
        self.say(format!("connect with {}", how.url));
        Ok(())
    }

    fn start_stream(&self, how: &Stream) -> Result<(), Trouble> {
        self.say(format!("begin a stream to {}", how.url));
        Ok(())
    }

    fn stop_stream(&self, which: Option<&str>) -> usize {
        self.say(match which {
            Some(name) => format!("end the stream {name}"),
            None => "end all streams".to_owned(),
        });
        1
    }

    fn start_recording(&self, _: &Taping) -> Result<String, Trouble> {
        self.say("begin a recording");
        Ok("recording".to_owned())
    }

    fn stop_recording(&self, _: Option<&str>) -> Option<(String, String)> {
        self.say("end the recording");
        None
    }

    async fn refer(&self, to: &str) -> Result<Referral, Trouble> {
        self.say(format!("send the caller to {to}"));
        Ok(Referral::default())
    }

    fn reject(&self, status: u16, _: Cause) {
        self.say(format!("refuse with {status}"));
    }

    async fn ask(&self, request: &Request) -> Result<Reply, Trouble> {
        let method = match request.method {
            RequestMethod::Get => "GET",
            RequestMethod::Post => "POST",
        };
        let with: Vec<String> = request
            .values
            .iter()
            .chain(&request.variables)
            .map(|(name, value)| match value.as_str() {
                Some(text) => format!("{name}={text}"),
                None => format!("{name}={value}"),
            })
            .collect();
        let with = if with.is_empty() {
            String::new()
        } else {
            format!(" with {}", with.join(", "))
        };
        self.say(format!("{method} {}{with}", request.url));
        Err(Trouble::Fatal(ASKED.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn of(body: &str, digits: &str) -> Vec<String> {
        let document = Document::read(body, Profile::Kazoo).unwrap();
        let url = "http://h/app/start".parse().ok();
        rehearse(document, Profile::Kazoo, url, digits)
            .now_or_never()
            .unwrap()
    }

    #[test]
    fn a_rehearsal_says_what_would_happen() {
        let body = "<Response><Gather numDigits='1' action='next'><Say voice='man' loop='2'>Press one.</Say></Gather><Play>http://m/a.wav</Play><Reject/></Response>";
        assert_eq!(
            of(body, "1"),
            [
                "answer",
                "  meanwhile say \"Press one.\" by man, 2 times",
                "collect up to 1 digits for 5 s: \"1\"",
                "GET http://h/app/next with Digits=1",
            ]
        );
        assert_eq!(
            of(body, "")[2..],
            [
                "collect up to 1 digits for 5 s: \"\"",
                "play http://m/a.wav",
                "refuse with 503",
                "hang up"
            ]
        );
    }

    #[test]
    fn what_cannot_be_run_is_said_where_it_stands() {
        let said = of(
            "<Response><Say>Hi</Say><Nonsense/><Say>No</Say></Response>",
            "",
        );
        assert!(said[0].contains("line 1, column 24"), "{said:?}");
        assert!(said.last().unwrap().contains("Nonsense"), "{said:?}");
        assert!(!said.iter().any(|line| line.contains("No\"")), "{said:?}");
    }
}
