//! What a caller hears who waits: for a conference to begin, or for its turn in a queue.

use std::fmt;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;

use super::play::PlayOptions;
use crate::audio::{self, Clip};
use crate::base::keys::Keys;
use crate::call::error::CallError;
use crate::call::handle::CallHandle;
use crate::clips::Audio;
use crate::host::{clock, task};

/// What is heard while waiting.
#[derive(Clone, Default)]
pub enum WaitSound {
    /// Nothing.
    Nothing,
    /// The music of the house.
    #[default]
    HoldMusic,
    /// A clip, over and over.
    Clip(Arc<Clip>),
    /// A flow that runs over and over: TwiML's `waitUrl`.
    Flow(WaitFlow),
}

/// A flow run on a call that waits. Dropped in the middle when the waiting is over.
pub type WaitFlow = Rc<dyn Fn(CallHandle, WaitFacts) -> LocalBoxFuture<'static, WaitEnd>>;

/// What a waiting flow may tell its caller. All zero for conferences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WaitFacts {
    /// Names the queue.
    pub queue_id: String,
    /// The caller's place, counted from 1.
    pub position: usize,
    /// How many wait, the caller included.
    pub size: usize,
    /// How long the caller has waited.
    pub waited: Duration,
    /// How long those waited who were taken so far.
    pub average: Duration,
}

/// How a waiting flow ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitEnd {
    /// It came to its end, and may run again.
    Done,
    /// The caller does not want to wait any longer (TwiML's `Leave`).
    Leave,
    /// The caller goes on elsewhere (TwiML's `Redirect` out of the queue).
    Redirected,
    /// It cannot be run.
    Failed,
}

impl fmt::Debug for WaitSound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::HoldMusic => "HoldMusic",
            Self::Clip(_) => "Clip",
            Self::Flow(_) => "Flow",
        })
    }
}

impl CallHandle {
    /// Lets the caller hear it, until the future is dropped or a flow ends the waiting. Music leaves keys alone.
    pub(in crate::call) async fn entertain(
        &self,
        sound: &WaitSound,
        facts: impl Fn() -> WaitFacts,
    ) -> Result<WaitEnd, CallError> {
        let clip = match sound {
            WaitSound::Nothing => return Err(self.wait_for_hangup().await),
            WaitSound::HoldMusic => hold_music().await,
            WaitSound::Clip(clip) => Some(clip.clone()),
            WaitSound::Flow(flow) => return self.run_over(flow, facts).await,
        };
        let Some(clip) = clip else {
            return Err(self.wait_for_hangup().await);
        };
        let endless = PlayOptions {
            terminators: Keys::NONE,
            loops: Some(1),
            keep_keys: true,
        };
        let music = vec![Audio::Tone { clip, looped: true }];
        self.open_media().await?;
        let described = Some(("music", "while waiting".to_owned()));
        self.play_as(described, music, endless).await?;
        Err(self.wait_for_hangup().await)
    }

    /// Runs a flow again and again, at most once a second. One that cannot be run leaves silence.
    async fn run_over(
        &self,
        flow: &WaitFlow,
        facts: impl Fn() -> WaitFacts,
    ) -> Result<WaitEnd, CallError> {
        loop {
            let begin = clock::now();
            match flow(self.clone(), facts()).await {
                WaitEnd::Done => {}
                WaitEnd::Failed => return Err(self.wait_for_hangup().await),
                end @ (WaitEnd::Leave | WaitEnd::Redirected) => return Ok(end),
            }
            let took = clock::now().saturating_duration_since(begin);
            self.pause(LEAST_ROUND.saturating_sub(took)).await?;
        }
    }
}

/// The music of the house, composed when it is first wanted.
async fn hold_music() -> Option<Arc<Clip>> {
    static MUSIC: OnceLock<Arc<Clip>> = OnceLock::new();
    if let Some(music) = MUSIC.get() {
        return Some(music.clone());
    }
    let made = task::blocking("hold-music", || Arc::new(audio::hold_music())).await?;
    Some(MUSIC.get_or_init(|| made).clone())
}

/// A flow that ends at once does not run more often.
const LEAST_ROUND: Duration = Duration::from_secs(1);
