//! What a server sends to be heard: sound in order, and the marks between it.
//!
//! Sound waits here until the media engine has room for it. A mark is due once everything before it has been played;
//! a clear drops what waits and makes every mark due.

use std::collections::VecDeque;

use crate::audio::Codec;

/// Sound and marks on their way to the caller.
#[derive(Debug, Default)]
pub struct Playout {
    /// µ-law.
    waiting: VecDeque<u8>,
    /// Samples that came, and samples that were handed on, since the beginning; a clear counts as both.
    came: u64,
    handed: u64,
    /// Marks, each with how many samples came before it.
    marks: VecDeque<(u64, String)>,
    /// The file that is being collected (KAZOO 5).
    file: Vec<u8>,
    /// Bytes that found no room.
    dropped: u64,
}

impl Playout {
    /// Takes µ-law; what is beyond [`MOST_WAITING`] is dropped.
    pub fn media(&mut self, mulaw: &[u8]) {
        let room = MOST_WAITING.saturating_sub(self.waiting.len());
        let taken = mulaw.len().min(room);
        self.waiting.extend(mulaw.iter().take(taken));
        self.came += taken as u64;
        self.dropped += (mulaw.len() - taken) as u64;
    }

    /// Takes a part of an audio file; what is beyond [`MOST_FILE`] is dropped.
    pub fn file(&mut self, bytes: &[u8]) {
        let room = MOST_FILE.saturating_sub(self.file.len());
        let taken = bytes.len().min(room);
        self.file.extend(bytes.iter().take(taken));
        self.dropped += (bytes.len() - taken) as u64;
    }

    /// The file that is complete with a mark; empty when none was sent.
    pub fn take_file(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.file)
    }

    /// Takes a mark. `false`: there are too many already.
    pub fn mark(&mut self, name: String) -> bool {
        if self.marks.len() >= MOST_MARKS {
            return false;
        }
        self.marks.push_back((self.came, name));
        true
    }

    /// Drops everything that waits. What was handed on has to be dropped as well.
    pub fn clear(&mut self) {
        self.waiting.clear();
        self.file.clear();
        self.handed = self.came;
        for (at, _) in &mut self.marks {
            *at = 0;
        }
    }

    /// Hands on up to `room` samples.
    pub fn take(&mut self, room: usize, out: &mut Vec<i16>) {
        let taken = room.min(self.waiting.len());
        if taken == 0 {
            return;
        }
        let mulaw: Vec<u8> = self.waiting.drain(..taken).collect();
        Codec::Pcmu.decode(&mulaw, out);
        self.handed += taken as u64;
    }

    /// Whether something waits to be handed on.
    pub fn has_sound(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The next mark before which everything has been played, when `unplayed` samples of those handed on have not.
    pub fn due(&mut self, unplayed: u64) -> Option<String> {
        let played = self.handed.saturating_sub(unplayed);
        let (at, _) = self.marks.front()?;
        if *at > played {
            return None;
        }
        self.marks.pop_front().map(|(_, name)| name)
    }

    /// Bytes that found no room so far.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// The most sound that waits, in bytes: ten minutes.
pub const MOST_WAITING: usize = 10 * 60 * 8000;
/// The longest audio file collected, in bytes.
pub const MOST_FILE: usize = 8 << 20;
/// The most marks that wait.
const MOST_MARKS: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn due(playout: &mut Playout, unplayed: u64) -> Vec<String> {
        std::iter::from_fn(|| playout.due(unplayed)).collect()
    }

    #[test]
    fn a_mark_is_due_when_the_sound_before_it_was_played() {
        let mut playout = Playout::default();
        playout.media(&[0xff; 160]);
        playout.mark("one".into());
        playout.media(&[0xff; 160]);
        playout.mark("two".into());
        assert_eq!(due(&mut playout, 0), [""; 0], "nothing was handed on");
        let mut pcm = Vec::new();
        playout.take(200, &mut pcm);
        assert_eq!(pcm.len(), 200);
        assert_eq!(due(&mut playout, 100), [""; 0], "100 of 160 are played");
        assert_eq!(due(&mut playout, 40), ["one"]);
        playout.take(1000, &mut pcm);
        assert_eq!(pcm.len(), 320);
        assert!(!playout.has_sound());
        assert_eq!(due(&mut playout, 1), [""; 0]);
        assert_eq!(due(&mut playout, 0), ["two"]);
    }

    #[test]
    fn a_mark_without_sound_is_due_at_once() {
        let mut playout = Playout::default();
        playout.mark("now".into());
        playout.mark("too".into());
        assert_eq!(due(&mut playout, 0), ["now", "too"]);
    }

    #[test]
    fn a_clear_drops_the_sound_and_makes_marks_due_in_order() {
        let mut playout = Playout::default();
        playout.media(&[0xff; 800]);
        playout.mark("one".into());
        playout.media(&[0xff; 800]);
        playout.mark("two".into());
        let mut pcm = Vec::new();
        playout.take(160, &mut pcm);
        playout.clear();
        assert!(!playout.has_sound());
        assert_eq!(due(&mut playout, 160), ["one", "two"]);
        playout.media(&[0xff; 160]);
        playout.mark("three".into());
        assert_eq!(due(&mut playout, 0), [""; 0]);
        playout.take(160, &mut pcm);
        assert_eq!(due(&mut playout, 160), [""; 0]);
        assert_eq!(due(&mut playout, 0), ["three"]);
    }

    #[test]
    fn more_than_fits_is_dropped_and_counted() {
        let mut playout = Playout::default();
        playout.media(&vec![0; MOST_WAITING - 5]);
        playout.media(&[0; 8]);
        assert_eq!(playout.dropped(), 3);
        playout.file(&vec![0; MOST_FILE + 2]);
        assert_eq!(playout.dropped(), 5);
        assert_eq!(playout.take_file().len(), MOST_FILE);
        assert!((0..1000).all(|n| playout.mark(n.to_string())));
        assert!(!playout.mark("too many".into()));
    }
}
