//! What is inside a Say, as pieces of plain text, silence and other languages.

use std::time::Duration;

use super::line::Sound;
use super::lint::all_text;
use super::parse::{Element, Node};

/// Who speaks.
#[derive(Debug, Clone)]
pub(super) struct Speaker {
    pub(super) voice: String,
    pub(super) language: Option<String>,
}

/// The pieces of a Say, in order.
pub(super) fn sounds(element: &Element, speaker: &Speaker) -> Vec<Sound> {
    let mut pieces = Pieces {
        sounds: Vec::new(),
        text: String::new(),
        spoken: 0,
    };
    pieces.content(element, speaker);
    pieces.finish(speaker);
    pieces.sounds
}

struct Pieces {
    sounds: Vec<Sound>,
    text: String,
    /// Bytes of text so far.
    spoken: usize,
}

impl Pieces {
    fn content(&mut self, element: &Element, speaker: &Speaker) {
        for node in &element.content {
            match node {
                Node::Text(text) => self.say(text),
                Node::Element(inner) => self.element(inner, speaker),
            }
        }
    }

    fn element(&mut self, element: &Element, speaker: &Speaker) {
        let attribute = |name: &str| {
            let pair = element.attributes.iter().find(|pair| pair.name == name);
            pair.map(|pair| pair.value.as_str())
        };
        match element.name.as_str() {
            "break" => {
                let length = silence(attribute("time"), attribute("strength"));
                if !length.is_zero() {
                    self.finish(speaker);
                    self.sounds.push(Sound::Silence(length));
                }
            }
            "lang" => {
                let other = Speaker {
                    language: attribute("xml:lang").map(str::to_owned),
                    ..speaker.clone()
                };
                self.finish(speaker);
                self.content(element, &other);
                self.finish(&other);
            }
            "sub" => match attribute("alias") {
                Some(alias) => self.say(alias),
                None => self.content(element, speaker),
            },
            "say-as" => match attribute("interpret-as")
                .map(str::to_ascii_lowercase)
                .as_deref()
            {
                Some("expletive") => {}
                Some("characters" | "spell-out" | "digits" | "telephone") => {
                    self.say(&one_by_one(&all_text(element)));
                }
                _ => self.content(element, speaker),
            },
            "p" | "s" => {
                self.end_sentence();
                self.content(element, speaker);
                self.end_sentence();
            }
            _ => self.content(element, speaker),
        }
    }

    fn say(&mut self, text: &str) {
        for c in text.chars() {
            if self.spoken + c.len_utf8() > MAX_TEXT {
                return;
            }
            self.spoken += c.len_utf8();
            self.text.push(c);
        }
    }

    fn end_sentence(&mut self) {
        let ends = self.text.trim_end();
        if ends.is_empty() || ends.ends_with(['.', '!', '?', ':', ';']) {
            self.text.push(' ');
        } else {
            self.text.truncate(ends.len());
            self.text.push_str(". ");
        }
    }

    fn finish(&mut self, speaker: &Speaker) {
        let text = std::mem::take(&mut self.text);
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if !text.chars().any(char::is_alphanumeric) {
            return;
        }
        self.sounds.push(Sound::Speech {
            text,
            voice: speaker.voice.clone(),
            language: speaker.language.clone(),
        });
    }
}

/// Letters and digits with room between them.
fn one_by_one(text: &str) -> String {
    let parts: Vec<String> = text
        .chars()
        .filter(|c| c.is_alphanumeric())
        .map(String::from)
        .collect();
    format!(" {} ", parts.join(" "))
}

/// How long a break is.
fn silence(time: Option<&str>, strength: Option<&str>) -> Duration {
    let timed = time.and_then(|time| {
        let time = time.trim();
        let (number, unit) = match time.strip_suffix("ms") {
            Some(number) => (number, 0.001),
            None => (time.strip_suffix('s')?, 1.0),
        };
        let seconds = number.trim().parse::<f64>().ok()? * unit;
        (0.0..=MAX_BREAK)
            .contains(&seconds)
            .then(|| Duration::from_secs_f64(seconds))
            .or(Some(Duration::from_secs_f64(MAX_BREAK)))
    });
    timed.unwrap_or(Duration::from_millis(match strength {
        Some("none") => 0,
        Some("x-weak") => 100,
        Some("weak") => 250,
        Some("strong") => 1000,
        Some("x-strong") => 1500,
        _ => 500,
    }))
}

/// Bytes of text one Say speaks (KAZOO's `pivot.tts_texts_size`).
pub(super) const MAX_TEXT: usize = 4000;
/// Seconds of one break.
const MAX_BREAK: f64 = 10.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twiml::parse::parse;

    fn of(body: &str) -> Vec<String> {
        let speaker = Speaker {
            voice: String::new(),
            language: None,
        };
        sounds(&parse(body).unwrap(), &speaker)
            .into_iter()
            .map(|sound| match sound {
                Sound::Speech { text, language, .. } => match language {
                    Some(language) => format!("[{language}] {text}"),
                    None => text,
                },
                Sound::Silence(length) => format!("({} ms)", length.as_millis()),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn breaks_are_silence_and_other_languages_are_pieces() {
        assert_eq!(
            of(
                "<Say>One<break time='1.5s'/>two<break strength='weak'/> <lang xml:lang='fr-FR'>trois</lang> four<break time='99s'/></Say>"
            ),
            [
                "One",
                "(1500 ms)",
                "two",
                "(250 ms)",
                "[fr-FR] trois",
                "four",
                "(10000 ms)"
            ]
        );
    }

    #[test]
    fn letters_are_spelled_and_aliases_spoken() {
        assert_eq!(
            of(
                "<Say>Code <say-as interpret-as='spell-out'>AB-1</say-as>, <sub alias='aluminum'>Al</sub> <prosody rate='slow'>or <emphasis>not</emphasis></prosody></Say>"
            ),
            ["Code A B 1 , aluminum or not"]
        );
        assert_eq!(
            of("<Say><p>First</p><s>Second!</s>third</Say>"),
            ["First. Second! third"]
        );
    }

    #[test]
    fn nothing_to_say_is_nothing() {
        assert!(of("<Say> . </Say>").is_empty());
        assert!(of("<Say/>").is_empty());
    }

    #[test]
    fn a_long_text_is_cut() {
        let text = "é".repeat(3000);
        let said = of(&format!("<Say>{text}</Say>"));
        assert_eq!(said[0].len(), MAX_TEXT);
    }
}
