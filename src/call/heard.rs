//! What a leg hears, written into its trace: a begin, and an end however it comes about.

use super::handle::CallHandle;
use crate::clips::Audio;
use crate::journal::Detail;

/// Characters of a text that are kept.
const LONGEST: usize = 300;
/// Names that wait for their sound.
const NAMES: usize = 16;

/// Something that is heard. Dropping it tells of its end.
pub(super) struct Heard {
    call: CallHandle,
    id: u64,
    why: Option<&'static str>,
}

impl Heard {
    /// `kind` is `prompt`, `speech`, `tone`, `ringback`, `bridge`, `music` or `stream`.
    pub(super) fn begin(call: &CallHandle, kind: &'static str, text: impl Into<String>) -> Self {
        let id = call.next_op().0;
        let mut text = text.into();
        if text.len() > LONGEST {
            text.truncate(text.floor_char_boundary(LONGEST));
            text.push('…');
        }
        call.detail(Detail::Sound { id, kind, text });
        Self {
            call: call.clone(),
            id,
            why: None,
        }
    }

    /// Why it ends: `played`, `key` or `failed`; else by hang-up, or because something stops it.
    pub(super) fn ends(&mut self, why: &'static str) {
        self.why = Some(why);
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        // Whatever drops it may hold the state.
        let state = self.call.0.state.try_borrow();
        let usual = match state.ok().and_then(|state| state.ended()) {
            Some(_) => "hangup",
            None => "stopped",
        };
        let why = self.why.unwrap_or(usual);
        self.call.detail(Detail::SoundEnded { id: self.id, why });
    }
}

impl CallHandle {
    /// Says what the next sound is made of, where the sound itself does not know: a file's name, a prompt's.
    pub fn name_sound(&self, name: &str) {
        let names = &mut self.state_mut().sound_names;
        if names.len() < NAMES {
            names.push(name.to_owned());
        }
    }

    /// Kind and words of what is about to be played; `None` of silence.
    pub(super) fn describe(&self, audio: &[Audio]) -> Option<(&'static str, String)> {
        let mut names = std::mem::take(&mut self.state_mut().sound_names);
        // Names that came before belong to sounds that were never played.
        names.drain(..names.len().saturating_sub(audio.len()));
        let kinds = |piece: &Audio| match piece {
            Audio::Clip(_) | Audio::Stream(_) => Some("prompt"),
            Audio::Tone { .. } => Some("tone"),
            Audio::Speech(_) => Some("speech"),
            Audio::Silence(_) => None,
        };
        let mut kind = audio.iter().find_map(kinds)?;
        let spoken = audio.iter().filter_map(|piece| match piece {
            Audio::Speech(speaking) => Some(speaking.text().to_owned()),
            _ => None,
        });
        let spoken: Vec<String> = spoken.collect();
        if spoken.is_empty() {
            return Some((kind, names.join(" · ")));
        }
        if !names.is_empty() {
            kind = "prompt";
        }
        Some((kind, spoken.join(" ")))
    }
}
