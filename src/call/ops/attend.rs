//! Whoever attends the legs a bridge places: hears what becomes of each, and may speak to who answers before both are
//! connected. TwiML's `statusCallback` and `url` of what stands inside Dial.

use std::fmt;
use std::rc::Rc;

use futures_util::future::LocalBoxFuture;

use crate::call::error::Ended;
use crate::call::handle::CallHandle;
use crate::call::state::Phase;
use crate::host::task;

/// What becomes of a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LegNews {
    /// Its INVITE is on its way.
    Initiated,
    /// It rings.
    Ringing,
    /// It has answered.
    Answered,
    /// It has ended.
    Completed(Ended),
}

/// Attends legs. Called on the signalling thread; it must not wait.
pub trait Attendant {
    /// Something has become of the leg that [`crate::routing::Target::mark`] was rung for.
    fn told(&self, leg: &CallHandle, mark: usize, news: LegNews);

    /// Speaks to who has answered; whether it is connected. `None`: at once.
    fn speak(&self, leg: &CallHandle, mark: usize) -> Option<LocalBoxFuture<'static, bool>>;
}

/// An attendant, as options have it.
#[derive(Clone)]
pub struct Attended(pub Rc<dyn Attendant>);

impl fmt::Debug for Attended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attended")
    }
}

impl Attended {
    /// Tells of a leg from its INVITE to its end.
    pub(super) fn follow(&self, leg: &CallHandle, mark: usize) {
        let (attendant, leg) = (self.0.clone(), leg.clone());
        attendant.told(&leg, mark, LegNews::Initiated);
        task::spawn_local("leg", async move {
            let answered = |phase: &Phase| matches!(phase, Phase::Answered { .. });
            let rings = leg.wait(|state| {
                let up = answered(&state.phase);
                (up || state.progress.is_some()).then_some(up)
            });
            if matches!(rings.await, Ok(false)) {
                attendant.told(&leg, mark, LegNews::Ringing);
            }
            let up = leg.wait(|state| answered(&state.phase).then_some(()));
            let up = up.await.is_ok();
            // One that ends in the moment it has answered was up all the same.
            if up || leg.ended().is_some_and(|ended| ended.status == 200) {
                attendant.told(&leg, mark, LegNews::Answered);
            }
            drop(leg.wait_for_hangup().await);
            if let Some(ended) = leg.ended() {
                attendant.told(&leg, mark, LegNews::Completed(ended));
            }
        });
    }
}
