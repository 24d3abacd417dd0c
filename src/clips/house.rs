//! Music on hold of our own making, for whoever has named none: composed once a process, in the background, when the
//! first call may need it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::Clips;
use crate::audio::{Clip, Codec, hold_music};
use crate::host::task;

static MUSIC: OnceLock<Arc<Clip>> = OnceLock::new();
static BEGUN: AtomicBool = AtomicBool::new(false);

impl Clips {
    /// Sees to it that `house_music` will have some. Does not wait.
    pub fn prepare_house_music(&self) {
        if !self.0.parts.config.house_music || BEGUN.swap(true, Ordering::Relaxed) {
            return;
        }
        let composed = task::thread("composer", || {
            let clip = hold_music();
            // As most telephones take it; other codecs when they are asked for.
            for codec in [Codec::Pcmu, Codec::Pcma] {
                clip.encoded(codec);
            }
            MUSIC.get_or_init(|| Arc::new(clip));
        });
        if let Err(error) = composed {
            tracing::warn!(%error, "no music on hold: no thread to compose it");
        }
    }

    /// Music for a party on hold whose account names none; `None` while it is not composed yet, or not wanted.
    pub fn house_music(&self) -> Option<Arc<Clip>> {
        let wanted = self.0.parts.config.house_music;
        MUSIC.get().filter(|_| wanted).cloned()
    }
}
