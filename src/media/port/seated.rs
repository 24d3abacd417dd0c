//! A port in a room: what its peer says goes there, what the others say comes from there. A source queued on the port
//! plays instead.

use super::hear::NARROW_HZ;
use super::{Context, Note, PortState};
use crate::audio::Codec;
use crate::media::mixer::{Place, Sound};

impl PortState {
    /// Where it sits.
    pub(in crate::media) fn place_in_room(&self) -> Option<Place> {
        self.seated
    }

    /// Takes a seat, or leaves the one it has. Not on the tick.
    pub(in crate::media) fn sit<I>(&mut self, place: Option<Place>, cx: &mut Context<'_, I>) {
        if self.seated.is_none() && place.is_none() {
            return;
        }
        if let Some(before) = self.seated.take()
            && !place.is_some_and(|place| place.is_seat_of(before))
        {
            cx.rooms.leave(before);
        }
        self.seated = place;
        self.sender.pause();
        self.prepare_hearing();
        self.adapt_seat(cx);
    }

    /// Tells its room what was agreed with its peer. Not on the tick.
    pub(super) fn adapt_seat<I>(&self, cx: &mut Context<'_, I>) {
        if let Some(place) = self.seated {
            let spoken = self.session.as_ref().map_or(Codec::Pcmu, |s| s.codec);
            let sound = Sound {
                heard_hz: self.hearing.rate_hz().unwrap_or(NARROW_HZ),
                spoken,
                ptime_ms: self.period_ms(),
            };
            cx.rooms.adapt(place, sound);
        }
    }

    /// Leaves what its peer says at the room. Who holds us has its music for itself.
    pub(super) fn contribute<I>(&mut self, sound: bool, cx: &mut Context<'_, I>) {
        let Some(place) = self.seated else { return };
        let heard = sound && self.session.as_ref().is_some_and(|session| session.sends);
        let scratch = &mut *cx.scratch;
        let news = cx
            .rooms
            .contribute(place, &scratch.pcm, heard, &mut scratch.wide);
        if let Some(on) = news
            && self.notes.capacity() - self.notes.len() > self.queue.len() + self.keys.len() + 1
        {
            self.notes.push_back(Note::Talking(on));
        }
    }
}
