//! The providers. A new one is a file here and a word in the list.

pub mod command;
pub mod http;

use std::sync::Arc;

use tokio::runtime::Handle;

use super::{SpeechError, SpeechProvider, TtsConfig};

/// What the list needs of a provider.
pub(super) trait Provider: SpeechProvider + Sized + 'static {
    /// Its name in `[tts] provider`.
    const NAME: &'static str;

    /// Makes it of the configuration; sockets and processes live on `io`.
    fn new(config: &TtsConfig, io: &Handle) -> Result<Self, SpeechError>;
}

macro_rules! providers {
    ($($file:ident::$provider:ident),* $(,)?) => {
        /// The names of all providers.
        pub const NAMES: &[&str] = &[$(<$file::$provider as Provider>::NAME),*];

        /// The provider the configuration names.
        ///
        /// # Errors
        /// When the configuration breaks a rule.
        pub fn provider(config: &TtsConfig, io: &Handle) -> Result<Arc<dyn SpeechProvider>, SpeechError> {
            if let Some(problem) = config.problems().into_iter().next() {
                return Err(SpeechError::Config(problem));
            }
            $(if config.provider == <$file::$provider as Provider>::NAME {
                return Ok(Arc::new(<$file::$provider as Provider>::new(config, io)?));
            })*
            // `problems` has looked at the name already.
            Err(SpeechError::Silent)
        }
    };
}

providers! { command::Command, http::Http }
