//! `audio_macro`: plays a list of media, prompts, spoken texts and tones without gaps, then takes the default child.
//!
//! Does not answer: an unanswered caller hears early media. A terminator skips what is left of the list; with
//! `endless_playback` an item is repeated until then. The `gender` of what is said chooses the voice.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `macros` | the items; `macro` of each is `play`, `prompt`, `say`, `tts` or `tone` | none |
//! | `language` | for items without one | the call's |
//! | `terminators` | for items without any; `[]` is none | all twelve |

use std::sync::Arc;

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Module;
use super::play::Play;
use super::tts::Tts;
use crate::audio::clip::Clip;
use crate::call::{Keys, PlayEnd};
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::data::{MAX_TONE_REPEATS, TONE_DB, Terminators, Whole, tone};
use crate::callflow::error::FlowError;
use crate::callflow::say::{Reading, SayMethod, SayType};
use crate::clips::Audio;
use crate::host::clock;

/// Plays a list of media, prompts, texts and tones
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct AudioMacro {
    /// The items in order
    // Read item by item at run time: an item without `terminators` takes those of the list. No schema default, unlike
    // KAZOO's: its empty list is refused by its own rule.
    #[schemars(with = "Option<Vec<Item>>", length(min = 1))]
    macros: Option<Vec<Value>>,
    /// Language of items without one; the call's when missing
    language: Option<String>,
    /// Keys that skip the rest
    terminators: Terminators,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "macro", rename_all = "lowercase")]
enum Item {
    Play(Play),
    Tone(Beep),
    Prompt(Prompt),
    Say(Say),
    Tts(Tts),
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Prompt {
    /// Id of the system prompt
    id: Option<String>,
    /// Its language
    language: Option<String>,
    /// Keys that skip the rest
    terminators: Terminators,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Say {
    /// What to say
    text: Option<String>,
    /// What kind of text it is
    r#type: Option<SayType>,
    /// How to read it
    method: Option<SayMethod>,
    /// Language to read it in
    language: Option<String>,
    /// Gender of the speaker
    gender: Option<Gender>,
    /// Keys that skip the rest
    terminators: Terminators,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Gender {
    Masculine,
    Feminine,
    Neuter,
}

impl Gender {
    fn voice(self) -> &'static str {
        match self {
            Self::Masculine => "male",
            Self::Feminine => "female",
            Self::Neuter => VOICE,
        }
    }
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Beep {
    /// Frequencies in Hz, sounding together
    frequencies: Option<Vec<Whole>>,
    /// Milliseconds of sound
    duration_on: Option<Whole>,
    /// Milliseconds of silence after it
    duration_off: Option<Whole>,
    /// How often it is repeated
    repeat: Option<Whole>,
    /// Loudness in percent
    #[schemars(range(min = 0, max = 100))]
    volume: Option<Whole>,
}

impl Beep {
    fn clip(&self) -> Arc<Clip> {
        let volume_db = match self.volume.map(|percent| percent.0) {
            None => TONE_DB,
            Some(percent) if percent <= 0 => -96.0,
            Some(percent) => 20.0 * (percent.min(100) as f32 / 100.0).log10(),
        };
        let frequencies = self.frequencies.as_deref().unwrap_or_default();
        let on = self.duration_on.unwrap_or(Whole(500));
        let pcm = tone(frequencies, on, self.duration_off.unwrap_or_default(), volume_db).render(RATE_HZ);
        Arc::new(Clip::new(RATE_HZ, pcm))
    }
}

impl Item {
    /// How often it is played; `None` is for ever.
    fn loops(&self) -> Option<u32> {
        let endless = match self {
            Self::Play(play) => play.endless_playback,
            Self::Tts(tts) => tts.endless_playback == Some(true),
            Self::Tone(_) | Self::Prompt(_) | Self::Say(_) => false,
        };
        (!endless).then_some(1)
    }
}

impl AudioMacro {
    /// The audio of one item; nothing for an item that names nothing.
    async fn item(&self, item: Item, ctx: &FlowCtx) -> Result<Vec<Audio>, FlowError> {
        let language = self.language.as_deref().filter(|language| !language.is_empty());
        match item {
            Item::Play(play) => match play.id.as_deref().filter(|id| !id.is_empty()) {
                Some(id) => Ok(repeated(ctx.media(id).await?, play.loop_count)),
                None => Ok(Vec::new()),
            },
            Item::Tone(beep) => Ok(repeated(Audio::Clip(beep.clip()), beep.repeat)),
            Item::Prompt(prompt) => match prompt.id.as_deref().filter(|id| !id.is_empty()) {
                Some(id) => Ok(vec![ctx.prompt(id, prompt.language.as_deref().or(language)).await?]),
                None => Ok(Vec::new()),
            },
            Item::Say(say) => {
                let language = say
                    .language
                    .as_deref()
                    .or(language)
                    .map_or_else(|| ctx.call.language(), str::to_owned);
                let reading = Reading {
                    language: &language,
                    zone: time_zone(ctx),
                    now: clock::unix_now(),
                };
                let text = say.text.unwrap_or_default();
                let words = reading.words(&text, say.r#type.unwrap_or_default(), say.method.unwrap_or_default());
                let voice = say.gender.map_or(VOICE, Gender::voice);
                Ok(spoken(ctx, &words, voice, Some(&language)))
            }
            Item::Tts(tts) => {
                let text = tts.text.unwrap_or_default();
                Ok(spoken(ctx, &text, &tts.voice, tts.language.as_deref().or(language)))
            }
        }
    }
}

fn spoken(ctx: &FlowCtx, text: &str, voice: &str, language: Option<&str>) -> Vec<Audio> {
    if text.trim().is_empty() {
        Vec::new()
    } else {
        vec![ctx.speech(text, voice, language)]
    }
}

/// The same clip several times; other audio once.
fn repeated(audio: Audio, times: Option<Whole>) -> Vec<Audio> {
    let times = times.map_or(1, |times| times.count(1, MAX_TONE_REPEATS));
    match audio {
        Audio::Clip(clip) => (0..times).map(|_| Audio::Clip(Arc::clone(&clip))).collect(),
        other => vec![other],
    }
}

/// The account's time zone.
fn time_zone(ctx: &FlowCtx) -> TimeZone {
    let account = ctx.account();
    let name = account.doc.get("timezone").and_then(Value::as_str);
    name.and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC)
}

impl Module for AudioMacro {
    const NAME: &'static str = "audio_macro";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        // Items with the same terminators are played as one; what is repeated for ever is by itself.
        let mut groups: Vec<(Keys, Option<u32>, Vec<Audio>)> = Vec::new();
        for raw in self.macros.iter().flatten().take(MAX_ITEMS) {
            let own = raw.get("terminators").map(Terminators::deserialize).transpose()?;
            let keys = own.as_ref().unwrap_or(&self.terminators).keys();
            let item = Item::deserialize(raw)?;
            let loops = item.loops();
            let audio = self.item(item, ctx).await?;
            match groups.last_mut() {
                Some((last, Some(_), items)) if *last == keys && loops.is_some() => items.extend(audio),
                _ => groups.push((keys, loops, audio)),
            }
        }
        for (keys, loops, audio) in groups.into_iter().filter(|(_, _, audio)| !audio.is_empty()) {
            let played = ctx.play(audio, keys, loops).await?;
            if let PlayEnd::Terminator(_) = played.why {
                break;
            }
        }
        Ok(Next::Default)
    }
}

/// Items of one list.
const MAX_ITEMS: usize = 200;
/// Voice of what has none of its own.
const VOICE: &str = "female";
/// Rate tones are made at.
const RATE_HZ: u32 = 8_000;
