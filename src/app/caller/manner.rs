//! How a telephone behaves: who it is, and what it does in a call.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::script::Step;
use super::target::Destination;
use crate::audio::{Clip, Codec};
use crate::base::secret::Secret;
use crate::net::dns::NameServer;

/// Who calls.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// User name of From and of the address of record.
    pub user: Option<String>,
    /// User name for digest, where it is another one.
    pub auth_user: Option<String>,
    /// The password for digest.
    pub password: Option<Secret>,
}

/// How names are found and secure peers judged.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// Name servers to ask instead of this machine's.
    pub dns: Vec<NameServer>,
    /// Certificate authorities to believe besides this machine's.
    pub ca: Option<PathBuf>,
}

/// What is done in a call that is up.
#[derive(Debug, Clone)]
pub struct Manner {
    /// Step by step.
    pub script: Vec<Step>,
    /// What to play.
    pub play: Option<Arc<Clip>>,
    /// Send back what is heard.
    pub echo: bool,
    /// Where to put what is heard; further calls get a number before the extension.
    pub save: Option<PathBuf>,
    /// Hang up, or give up, after so long.
    pub most: Duration,
    /// Whom the call is handed on to: when the script says so, else at its end.
    pub transfer: Option<Destination>,
    /// Talk to that one first, for so long: an attended transfer.
    pub attended: Option<Duration>,
    /// Offer and take SRTP only. Secure offers are taken in any case.
    pub srtp: bool,
    /// Codecs in their order; none takes the usual ones.
    pub codecs: Vec<Codec>,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            script: Vec::new(),
            play: None,
            echo: false,
            save: None,
            most: Duration::from_secs(60),
            transfer: None,
            attended: None,
            srtp: false,
            codecs: Vec::new(),
        }
    }
}

impl Manner {
    /// The script; the transfer at its end when it does not say when.
    pub(super) fn steps(&self) -> Vec<Step> {
        let mut steps = self.script.clone();
        if self.transfer.is_some() && !steps.contains(&Step::Transfer) {
            steps.push(Step::Transfer);
        }
        steps
    }

    /// Where what call number `n` (from 1) hears is put.
    pub(super) fn save_as(&self, n: u64) -> Option<PathBuf> {
        let path = self.save.as_ref()?;
        if n <= 1 {
            return Some(path.clone());
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let extension = path.extension().map(|e| e.to_string_lossy());
        let extension = extension.map(|e| format!(".{e}")).unwrap_or_default();
        Some(path.with_file_name(format!("{stem}-{n}{extension}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_without_a_word_for_it_ends_the_script() {
        let mut manner = Manner {
            script: vec![Step::Keys("1".into())],
            transfer: Some(Destination::parse("1002", None, None).unwrap()),
            ..Manner::default()
        };
        assert_eq!(manner.steps().last(), Some(&Step::Transfer));
        manner.script = vec![Step::Transfer, Step::Hangup];
        assert_eq!(manner.steps().last(), Some(&Step::Hangup));
    }

    #[test]
    fn further_calls_are_saved_under_a_number() {
        let manner = Manner {
            save: Some("/x/heard.wav".into()),
            ..Manner::default()
        };
        assert_eq!(manner.save_as(1), Some("/x/heard.wav".into()));
        assert_eq!(manner.save_as(2), Some("/x/heard-2.wav".into()));
    }
}
