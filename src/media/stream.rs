//! Audio that arrives while it plays: a bounded ring from a producer thread to a worker.
//!
//! Samples are 8 kHz linear. The producer decodes at most [`StreamWriter::capacity`] ahead; the worker plays silence
//! while the ring is empty and the writer still lives, and ends the source when the writer finished.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};

/// The rate of the samples, in hertz.
pub const STREAM_RATE_HZ: u32 = 8000;

/// Makes both ends of a stream that holds up to `capacity` of audio (at least 100 ms).
pub fn stream(capacity: Duration) -> (StreamWriter, StreamReader) {
    let ms = usize::try_from(capacity.as_millis())
        .unwrap_or(usize::MAX)
        .clamp(100, 60_000);
    let (producer, consumer) = RingBuffer::new(ms.saturating_mul(8));
    let shared = Arc::new(Shared::default());
    (
        StreamWriter {
            ring: producer,
            written: 0,
            shared: Arc::clone(&shared),
        },
        StreamReader {
            ring: consumer,
            position: 0,
            shared,
        },
    )
}

/// What both ends look at.
#[derive(Debug, Default)]
struct Shared {
    done: AtomicBool,
    /// Samples before this one, counted from the beginning, are not to be played any more.
    dropped: AtomicU64,
}

/// The producer's end.
#[derive(Debug)]
pub struct StreamWriter {
    ring: Producer<i16>,
    written: u64,
    shared: Arc<Shared>,
}

impl StreamWriter {
    /// Takes as many samples as fit and says how many that were.
    pub fn push(&mut self, pcm: &[i16]) -> usize {
        let taken = self.ring.push_partial_slice(pcm).0.len();
        self.written += taken as u64;
        taken
    }

    /// Has everything dropped that was written and has not been played.
    pub fn clear(&mut self) {
        self.shared.dropped.store(self.written, Ordering::Release);
    }

    /// How many samples were written and have not been played.
    pub fn unplayed(&self) -> usize {
        self.ring
            .buffer()
            .capacity()
            .saturating_sub(self.ring.slots())
    }

    /// Whether nobody will play it any more.
    pub fn is_closed(&self) -> bool {
        self.ring.is_abandoned()
    }

    /// How much audio fits altogether.
    pub fn capacity(&self) -> Duration {
        samples(self.ring.buffer().capacity())
    }

    /// How much audio fits now.
    pub fn room(&self) -> Duration {
        samples(self.ring.slots())
    }

    /// Writes everything, sleeping while the ring is full: for threads of a decoding pool only.
    /// `false` when nobody plays it any more.
    pub fn write_blocking(&mut self, mut pcm: &[i16]) -> bool {
        while !self.is_closed() {
            pcm = pcm.get(self.push(pcm)..).unwrap_or_default();
            if pcm.is_empty() {
                return true;
            }
            std::thread::sleep(self.nap());
        }
        false
    }

    /// Writes everything, waiting while the ring is full. `false` when nobody plays it any more.
    pub async fn write(&mut self, mut pcm: &[i16]) -> bool {
        while !self.is_closed() {
            pcm = pcm.get(self.push(pcm)..).unwrap_or_default();
            if pcm.is_empty() {
                return true;
            }
            tokio::time::sleep(self.nap()).await;
        }
        false
    }

    /// Says that this was all. A writer dropped without it ends the source as failed.
    pub fn finish(self) {
        self.shared.done.store(true, Ordering::Release);
    }

    /// A quarter of the ring: few wakes, no underrun.
    fn nap(&self) -> Duration {
        self.capacity() / 4
    }
}

/// The worker's end: a [`Source`](super::Source).
#[derive(Debug)]
pub struct StreamReader {
    ring: Consumer<i16>,
    /// Samples taken out of the ring so far.
    position: u64,
    shared: Arc<Shared>,
}

/// What a read found besides samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StreamState {
    /// More may come.
    Open,
    /// Everything was read, and the writer had finished.
    Done,
    /// Everything was read, and the writer went away without finishing.
    Broken,
}

impl StreamReader {
    /// Reads up to `out.len()` samples.
    pub(super) fn read(&mut self, out: &mut [i16]) -> (usize, StreamState) {
        // Looked at before the ring: what was written before it is then certainly seen.
        let abandoned = self.ring.is_abandoned();
        let dropped = self.shared.dropped.load(Ordering::Acquire);
        if dropped > self.position {
            // All of them were written before the mark was set.
            let count = usize::try_from(dropped - self.position).unwrap_or(usize::MAX);
            if let Ok(chunk) = self.ring.read_chunk(count.min(self.ring.slots())) {
                chunk.commit_all();
            }
            self.position = dropped;
        }
        let take = self.ring.pop_partial_slice(out).0.len();
        self.position += take as u64;
        let state = match (
            abandoned && self.ring.is_empty(),
            self.shared.done.load(Ordering::Acquire),
        ) {
            (false, _) => StreamState::Open,
            (true, true) => StreamState::Done,
            (true, false) => StreamState::Broken,
        };
        (take, state)
    }
}

fn samples(count: usize) -> Duration {
    Duration::from_micros(u64::try_from(count).unwrap_or(u64::MAX).saturating_mul(125))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_hands_over_every_sample_and_then_its_end() {
        let (mut writer, mut reader) = stream(Duration::from_millis(100));
        let pcm: Vec<i16> = (0..1000).collect();
        assert_eq!(writer.push(&pcm), 800, "bounded");
        let mut out = [0; 600];
        assert_eq!(reader.read(&mut out), (600, StreamState::Open));
        assert_eq!(writer.push(&pcm[800..]), 200);
        writer.finish();
        assert_eq!((out[0], out[599]), (0, 599));
        assert_eq!(reader.read(&mut out), (400, StreamState::Done));
        assert_eq!(out[399], 999);
    }

    #[test]
    fn what_was_cleared_is_not_read_and_what_follows_is() {
        let (mut writer, mut reader) = stream(Duration::from_millis(100));
        let mut out = [0; 10];
        writer.push(&[1; 30]);
        assert_eq!(reader.read(&mut out).0, 10);
        assert_eq!(writer.unplayed(), 20);
        writer.clear();
        writer.push(&[2; 5]);
        writer.clear();
        writer.push(&[3; 4]);
        assert_eq!(reader.read(&mut out), (4, StreamState::Open));
        assert_eq!(out[..4], [3; 4]);
        assert_eq!(writer.unplayed(), 0);
        writer.clear();
        assert_eq!(reader.read(&mut out), (0, StreamState::Open));
        writer.push(&[4; 1]);
        assert_eq!(reader.read(&mut out).0, 1);
    }

    #[test]
    fn a_writer_that_vanishes_breaks_the_stream() {
        let (writer, mut reader) = stream(Duration::ZERO);
        drop(writer);
        assert_eq!(reader.read(&mut [0; 10]), (0, StreamState::Broken));
    }

    #[test]
    fn a_writer_learns_that_nobody_listens() {
        let (mut writer, reader) = stream(Duration::from_secs(1));
        drop(reader);
        assert!(writer.is_closed() && !writer.write_blocking(&[0; 99_999]));
    }
}
