//! A synthesiser that hums 440 Hz for 50 ms a character (men take 100 ms), and fails on the word "unspeakable".

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use swivel::audio::wav;
use swivel::clips::{Clips, ClipsConfig, ClipsParts};
use swivel::directory::Directory;
use swivel::host::http::HttpClient;
use swivel::speech::{SpeechError, SpeechProvider, Utterance};

use super::web::Web;

struct Hum;

impl SpeechProvider for Hum {
    fn fingerprint(&self) -> String {
        "hum".into()
    }

    fn synthesise<'a>(
        &'a self,
        utterance: &'a Utterance,
    ) -> BoxFuture<'a, Result<Bytes, SpeechError>> {
        async move {
            if utterance.text.contains("unspeakable") {
                return Err(SpeechError::Timeout {
                    after: Duration::ZERO,
                });
            }
            let pace = if utterance.voice == "male" { 800 } else { 400 };
            let samples = utterance.text.chars().count() * pace;
            let pcm: Vec<i16> = (0..samples)
                .map(|n| {
                    ((n as f64 * 440.0 * std::f64::consts::TAU / 8000.0).sin() * 8000.0) as i16
                })
                .collect();
            let mut file = wav::header(8000, 1, pcm.len() as u64 * 2).to_vec();
            wav::samples(&pcm, &mut file);
            Ok(file.into())
        }
        .boxed()
    }
}

/// Clips spoken by the hum; URLs come from `web`.
pub fn clips(directory: &Directory, web: &Web) -> Clips {
    Clips::new(ClipsParts {
        io: tokio::runtime::Handle::current(),
        http: HttpClient::stub(Arc::new(web.clone())),
        speech: Arc::new(Hum),
        files: directory.files().clone(),
        config: ClipsConfig::default(),
    })
}
