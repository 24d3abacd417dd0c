//! The handle of a room where many ports hear each other.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Clock, Media, Port, Shared};
use crate::audio::Clip;
use crate::base::id::{OpId, PortId};
use crate::media::command::{RecordSpec, Seating};
use crate::media::keeper::Job;
use crate::media::link::Message;
use crate::media::mixer::{ROOM_HZ, RoomOrder};

impl Media {
    /// A room on the least busy thread. Ports that take part in it move there, so that one clock drives them all.
    pub fn room(&self) -> Room {
        let room = Room {
            id: PortId(self.0.next_id.fetch_add(1, Ordering::Relaxed)),
            worker: self.0.least_busy(),
            shared: Arc::clone(&self.0),
        };
        room.order(RoomOrder::Open);
        room
    }
}

/// A room. Dropping it ends what plays and is recorded in it; its members hear nobody any more.
///
/// [`Finished`](crate::media::MediaEvent::Finished) and [`Recorded`](crate::media::MediaEvent::Recorded) of a room carry its id in
/// place of a port's.
#[derive(Debug)]
pub struct Room {
    id: PortId,
    worker: usize,
    shared: Arc<Shared>,
}

impl Room {
    /// Names the room in events.
    pub fn id(&self) -> PortId {
        self.id
    }

    /// The port takes part from now on, or takes part another way. It leaves the port it was joined with, and any
    /// other room; sources queued on it play in place of the room.
    pub fn seat(&self, port: &Port, seating: Seating) {
        port.move_to(self.worker);
        port.push(Message::Seat(port.id, self.id, seating));
    }

    /// The port takes part no more.
    pub fn leave(&self, port: &Port) {
        port.push(Message::Leave(port.id, self.id));
    }

    /// Everybody hears the clip, over what is said. Answered by exactly one `Finished`, unless the room ends before.
    pub fn play(&self, op: OpId, clip: Arc<Clip>, looped: bool) {
        let inline = matches!(self.shared.clock, Clock::Inline(..));
        let pcm = if inline {
            Some(clip.pcm(ROOM_HZ))
        } else {
            clip.pcm_ready(ROOM_HZ)
        };
        let ready = pcm.is_some();
        self.order(RoomOrder::Play { op, pcm, looped });
        if ready {
            return;
        }
        let (links, worker, id) = (Arc::clone(&self.shared.links), self.worker, self.id);
        let job: Job = Box::new(move || {
            let pcm = clip.pcm(ROOM_HZ);
            if let Some(link) = links.get(worker) {
                link.push(Message::Room(id, RoomOrder::Prepared(op, pcm)));
            }
        });
        self.shared.keeper.prepare(job);
    }

    /// Ends what plays under that operation.
    pub fn cancel(&self, op: OpId) {
        self.order(RoomOrder::Cancel(op));
    }

    /// Records what is said, as one channel. Whose voice the specification wants does not matter here.
    pub fn record(&self, op: OpId, spec: RecordSpec) {
        let tap = self.shared.recorder.begin(
            self.id,
            op,
            RecordSpec {
                sides: crate::media::Sides::Peer,
                ..spec
            },
        );
        self.order(RoomOrder::Record(tap));
    }

    /// Ends the recording of this operation and keeps it.
    pub fn stop_record(&self, op: OpId) {
        self.order(RoomOrder::StopRecord(op));
    }

    fn order(&self, order: RoomOrder) {
        self.shared.send(self.worker, Message::Room(self.id, order));
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.order(RoomOrder::Close);
    }
}
