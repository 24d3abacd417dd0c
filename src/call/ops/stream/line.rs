//! One WebSocket of a stream, on the io runtime: between the rings of the call's port and the server.
//!
//! Nothing here can delay the media engine or the signalling thread: what the server does not take is dropped and
//! counted, and a server that takes nothing at all is given up.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::FusedFuture as _;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::audio::Codec;
use crate::clips::decode;
use crate::host::task;
use crate::host::websocket::{Closed, Frame, Receiver, Sender};
use crate::media::{Listener, StreamWriter};
use crate::twilio::{Incoming, Playout, Talk, Track, Tracks};

/// One stream's way between media engine and server.
pub(super) struct Line {
    pub(super) talk: Talk,
    pub(super) tracks: Tracks,
    pub(super) receiver: Receiver,
    /// The call's sound.
    pub(super) ear: Listener,
    /// What the caller hears of us, of a bidirectional stream.
    pub(super) mouth: Option<StreamWriter>,
    /// Keys of the caller. Closed: the stream is to end.
    pub(super) keys: mpsc::Receiver<char>,
    /// What the call's trace is told.
    pub(super) remarks: mpsc::Sender<String>,
}

/// How a conversation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LineEnd {
    /// We ended it.
    Stopped,
    /// The server did.
    Closed,
    /// It broke.
    Broken(String),
}

/// What is written while a line runs.
struct Desk {
    talk: Talk,
    tracks: Tracks,
    ear: Listener,
    mouth: Option<StreamWriter>,
    playout: Playout,
    outgoing: mpsc::Sender<String>,
    remarks: mpsc::Sender<String>,
    remarked: usize,
    /// Frames of 20 ms since the beginning.
    frames: u64,
    /// Messages that found no room on their way to the server.
    unsent: u64,
    /// Frames the media engine dropped because we were late.
    missed: u64,
    /// Sound on its way between the formats.
    peer: Vec<i16>,
    own: Vec<i16>,
    pcm: Vec<i16>,
}

impl Line {
    /// Talks until either side ends it.
    pub(super) async fn run(self, sender: Sender) -> LineEnd {
        let Self {
            talk,
            tracks,
            mut receiver,
            ear,
            mouth,
            mut keys,
            remarks,
        } = self;
        let (outgoing, waiting) = mpsc::channel(QUEUED);
        let mut writing = std::pin::pin!(write(sender, waiting).fuse());
        let mut desk = Desk {
            talk,
            tracks,
            ear,
            mouth,
            playout: Playout::default(),
            outgoing,
            remarks,
            remarked: 0,
            frames: 0,
            unsent: 0,
            missed: 0,
            peer: Vec::new(),
            own: Vec::new(),
            pcm: Vec::new(),
        };
        let greeting = [desk.talk.connected(), desk.talk.start()];
        greeting.into_iter().for_each(|text| desk.say(text));
        let mut tick = tokio::time::interval(ROUND);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = loop {
            tokio::select! {
                biased;
                () = &mut writing => break unwritable(&mut receiver).await,
                key = keys.recv() => match key {
                    Some(key) => {
                        let text = desk.talk.dtmf(key);
                        desk.say(text);
                    }
                    None => break LineEnd::Stopped,
                },
                _ = tick.tick() => desk.round(),
                frame = receiver.next() => match frame {
                    Ok(frame) => desk.heard(frame).await,
                    Err(Closed::Away) => break LineEnd::Closed,
                    Err(Closed::Broken(why)) => break LineEnd::Broken(why),
                },
            }
        };
        if end == LineEnd::Stopped {
            desk.round();
            let text = desk.talk.stop();
            desk.say(text);
        }
        desk.account();
        drop(desk);
        // The goodbye, or the answer to one.
        if !matches!(end, LineEnd::Broken(_)) && !writing.is_terminated() {
            drop(tokio::time::timeout(GOODBYE, writing).await);
        }
        end
    }
}

/// Why nothing can be sent any more: who closes says so to those who read.
async fn unwritable(receiver: &mut Receiver) -> LineEnd {
    let closed = async {
        loop {
            if let Err(closed) = receiver.next().await {
                return closed;
            }
        }
    };
    match tokio::time::timeout(GOODBYE, closed).await {
        Ok(Closed::Away) => LineEnd::Closed,
        Ok(Closed::Broken(why)) => LineEnd::Broken(why),
        Err(_late) => LineEnd::Broken("the server takes nothing any more".to_owned()),
    }
}

/// Sends what waits, then says goodbye. Ends at once when the server takes nothing.
async fn write(mut sender: Sender, mut waiting: mpsc::Receiver<String>) {
    while let Some(text) = waiting.recv().await {
        match tokio::time::timeout(PATIENCE, sender.text(text)).await {
            Ok(true) => {}
            Ok(false) => break,
            Err(_late) => return,
        }
    }
    sender.close().await;
}

impl Desk {
    /// Moves sound both ways.
    fn round(&mut self) {
        let missed = self.ear.missed();
        self.frames += missed;
        self.missed += missed;
        let (mut peer, mut own) = (
            std::mem::take(&mut self.peer),
            std::mem::take(&mut self.own),
        );
        while self.ear.frame(&mut peer, &mut own) {
            let at_ms = self.frames * FRAME_MS;
            self.frames += 1;
            for track in self.tracks.list() {
                let pcm = match track {
                    Track::Inbound => &peer,
                    Track::Outbound => &own,
                };
                // Room is kept for what must not be lost.
                if self.outgoing.capacity() <= KEPT {
                    self.unsent += 1;
                    continue;
                }
                let mut mulaw = Vec::with_capacity(pcm.len());
                Codec::Pcmu.encode(pcm, &mut mulaw);
                let text = self.talk.media(*track, at_ms, &mulaw);
                self.say(text);
            }
        }
        (self.peer, self.own) = (peer, own);
        self.speak();
    }

    /// Hands sound on to the media engine, and tells of marks.
    fn speak(&mut self) {
        let Some(mouth) = &mut self.mouth else { return };
        let room = usize::try_from(mouth.room().as_millis() * 8).unwrap_or(0);
        self.pcm.clear();
        self.playout.take(room, &mut self.pcm);
        // There is room: nobody else writes.
        mouth.push(&self.pcm);
        let unplayed = mouth.unplayed() as u64;
        while let Some(name) = self.playout.due(unplayed) {
            let text = self.talk.mark(&name);
            self.say(text);
        }
    }

    /// Something came from the server.
    async fn heard(&mut self, frame: Frame) {
        if self.mouth.is_none() {
            return;
        }
        let Frame::Text(text) = frame else {
            return self.remark("a binary message was ignored".to_owned());
        };
        match self.talk.read(&text) {
            Ok(Incoming::Media(mulaw)) => self.playout.media(&mulaw),
            Ok(Incoming::File(bytes)) => self.playout.file(&bytes),
            Ok(Incoming::Mark(name)) => {
                let file = self.playout.take_file();
                let unnamed = if file.is_empty() {
                    "unknown"
                } else {
                    "mediaPlayed"
                };
                if !file.is_empty() {
                    self.play_file(file).await;
                }
                let name = name.unwrap_or_else(|| unnamed.to_owned());
                if !self.playout.mark(name) {
                    self.remark("a mark was ignored: too many wait already".to_owned());
                }
            }
            Ok(Incoming::Clear) => {
                self.playout.clear();
                if let Some(mouth) = &mut self.mouth {
                    mouth.clear();
                }
            }
            Err(mistake) => return self.remark(format!("a message was ignored: {mistake}")),
        }
        self.speak();
    }

    /// A file of KAZOO 5's, complete.
    async fn play_file(&mut self, file: Vec<u8>) {
        let decoded = task::blocking("stream-file", move || {
            decode::decode(file.into()).map(|clip| clip.encoded(Codec::Pcmu))
        });
        match decoded.await {
            Some(Ok(mulaw)) => self.playout.media(&mulaw),
            Some(Err(error)) => self.remark(format!("a file was not played: {error}")),
            None => {}
        }
    }

    fn say(&mut self, text: String) {
        if self.outgoing.try_send(text).is_err() {
            self.unsent += 1;
        }
    }

    /// A word for the trace; a server that is wrong all the time is told of a few times.
    fn remark(&mut self, text: String) {
        if self.remarked < REMARKS && self.remarks.try_send(text).is_err() {
            tracing::debug!("nobody reads the remarks of a stream");
        }
        self.remarked += 1;
    }

    /// What was lost, at the end.
    fn account(&mut self) {
        for (count, what) in [
            (self.unsent, "messages the server did not take in time"),
            (self.missed, "frames of sound this machine was too busy for"),
            (self.playout.dropped(), "bytes of sound beyond what is kept"),
            (
                self.remarked.saturating_sub(REMARKS) as u64,
                "further mistakes of the server",
            ),
        ] {
            if count > 0 && self.remarks.try_send(format!("{count} {what}")).is_err() {
                tracing::debug!(count, what, "a stream has lost something");
            }
        }
    }
}

/// How often sound is moved.
const ROUND: Duration = Duration::from_millis(10);
/// The length of a frame.
const FRAME_MS: u64 = 20;
/// Messages that wait for the server: five seconds of one voice.
const QUEUED: usize = 300;
/// Of these, those that sound cannot have.
const KEPT: usize = 50;
/// How long the server may take nothing.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);
/// Mistakes told of.
const REMARKS: usize = 10;
