//! Speech by a server: OpenAI's `POST /v1/audio/speech`, or Piper's own HTTP server.
//!
//! The URL is the operator's, so the address guard does not apply to it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use url::Url;

use super::Provider;
use crate::base::secret::Secret;
use crate::host::http::{HttpClient, HttpError, HttpRequest, HttpResponse};
use crate::speech::{
    Dialect, MAX_SPEECH, Problem, SpeechError, SpeechProvider, TtsConfig, Utterance, voices,
};

/// Asks a server for each utterance.
#[derive(Debug)]
pub struct Http {
    client: HttpClient,
    base: Url,
    key: Secret,
    dialect: Dialect,
    model: String,
    format: String,
    voices: BTreeMap<String, String>,
    timeout: Duration,
    /// Piper before 1.4 answers at `/` instead of `/synthesize`; found out once.
    old_piper: AtomicBool,
}

impl Provider for Http {
    const NAME: &'static str = "http";

    fn new(config: &TtsConfig, io: &Handle) -> Result<Self, SpeechError> {
        Self::over(config, HttpClient::unguarded(io.clone()))
    }
}

impl Http {
    /// The provider over a given client.
    ///
    /// # Errors
    /// When the URL is none.
    pub fn over(config: &TtsConfig, client: HttpClient) -> Result<Self, SpeechError> {
        let base = Url::parse(&config.url).map_err(|error| {
            SpeechError::Config(Problem {
                field: "url",
                value: config.url.clone(),
                rule: error.to_string(),
            })
        })?;
        Ok(Self {
            client,
            base,
            key: config.key.clone(),
            dialect: config.dialect,
            model: config.model.clone(),
            format: config.response_format.clone(),
            voices: config.voices.clone(),
            timeout: config.timeout(),
            old_piper: AtomicBool::new(false),
        })
    }

    async fn ask(&self, utterance: &Utterance) -> Result<Bytes, SpeechError> {
        let response = match self.dialect {
            Dialect::Openai => {
                self.post("audio/speech", &self.openai_body(utterance))
                    .await?
            }
            Dialect::Piper => self.ask_piper(utterance).await?,
        };
        if response.status != 200 {
            let said = String::from_utf8_lossy(&response.body)
                .chars()
                .take(300)
                .collect();
            return Err(SpeechError::Status {
                status: response.status,
                said,
            });
        }
        if response.body.is_empty() {
            Err(SpeechError::Silent)
        } else {
            Ok(response.body)
        }
    }

    async fn ask_piper(&self, utterance: &Utterance) -> Result<HttpResponse, SpeechError> {
        let body = self.piper_body(utterance);
        if !self.old_piper.load(Ordering::Relaxed) {
            let response = self.post("synthesize", &body).await?;
            if !matches!(response.status, 404 | 405) {
                return Ok(response);
            }
            self.old_piper.store(true, Ordering::Relaxed);
        }
        self.post("", &body).await
    }

    async fn post(&self, path: &str, body: &Value) -> Result<HttpResponse, SpeechError> {
        let mut request = HttpRequest::post(self.url(path), "application/json", body.to_string());
        if !self.key.is_empty() {
            request.headers.push((
                "Authorization".to_owned(),
                format!("Bearer {}", self.key.reveal()),
            ));
        }
        request.timeout = self.timeout;
        request.max_body = MAX_SPEECH;
        self.client
            .send(request)
            .await
            .map_err(|error| match error {
                HttpError::Timeout { after } => SpeechError::Timeout { after },
                HttpError::TooLarge { limit } => SpeechError::TooLarge { limit },
                other => SpeechError::Http(other),
            })
    }

    /// `path` below the base URL; a base without a path gets the dialect's own.
    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        let path = match self.dialect {
            _ if base.ends_with("/audio/speech") || base.ends_with("/synthesize") => base,
            Dialect::Openai if base.is_empty() => format!("/v1/{path}"),
            Dialect::Openai | Dialect::Piper => format!("{base}/{path}"),
        };
        url.set_path(&path);
        url
    }

    fn openai_body(&self, utterance: &Utterance) -> Value {
        let wish = voices::plain(&utterance.voice);
        let ours = voices::ours(wish.clone());
        let voice = voices::mapped(&self.voices, &wish, &utterance.language).unwrap_or(match ours
            .as_str()
        {
            "female" => "nova",
            "male" => "onyx",
            other => other,
        });
        json!({"model": self.model, "input": utterance.text, "voice": voice, "response_format": self.format})
    }

    fn piper_body(&self, utterance: &Utterance) -> Value {
        let wish = voices::plain(&utterance.voice);
        let generic = matches!(voices::ours(wish.clone()).as_str(), "female" | "male");
        let own = (!generic).then_some(utterance.voice.trim());
        match voices::mapped(&self.voices, &wish, &utterance.language).or(own) {
            Some(voice) => json!({"text": utterance.text, "voice": voice}),
            None => json!({"text": utterance.text}),
        }
    }
}

impl SpeechProvider for Http {
    fn fingerprint(&self) -> String {
        format!(
            "http {} {:?} {} {} {:?}",
            self.base, self.dialect, self.model, self.format, self.voices
        )
    }

    fn synthesise<'a>(
        &'a self,
        utterance: &'a Utterance,
    ) -> BoxFuture<'a, Result<Bytes, SpeechError>> {
        Box::pin(self.ask(utterance))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use futures_util::{StreamExt as _, stream};

    use super::*;
    use crate::host::http::{Answer, Exchange, Transport};

    /// A server that answers some paths with a sound and the others with 404.
    struct Server {
        knows: &'static str,
        asked: Mutex<Vec<(String, Value)>>,
    }

    impl Transport for Server {
        fn exchange(&self, exchange: Exchange) -> BoxFuture<'_, Result<Answer, HttpError>> {
            let path = exchange.url.path().to_owned();
            let status = if path == self.knows { 200 } else { 404 };
            self.asked
                .lock()
                .unwrap()
                .push((path, serde_json::from_slice(&exchange.body).unwrap()));
            let body = stream::iter([Ok(Bytes::from_static(b"RIFF"))]).boxed();
            Box::pin(async move {
                Ok(Answer {
                    status,
                    headers: Vec::new(),
                    body,
                })
            })
        }
    }

    fn said(
        dialect: Dialect,
        knows: &'static str,
        url: &str,
        voice: &str,
        times: usize,
    ) -> Vec<(String, Value)> {
        let server = Arc::new(Server {
            knows,
            asked: Mutex::default(),
        });
        let config = TtsConfig {
            provider: "http".to_owned(),
            url: url.to_owned(),
            dialect,
            voices: [("de".to_owned(), "de_DE-thorsten".to_owned())].into(),
            ..TtsConfig::default()
        };
        let http = Http::over(&config, HttpClient::stub(server.clone())).unwrap();
        let utterance = Utterance {
            text: "Hello".to_owned(),
            voice: voice.to_owned(),
            language: "en-us".to_owned(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        for _ in 0..times {
            runtime.block_on(http.synthesise(&utterance)).unwrap();
        }
        server.asked.lock().unwrap().clone()
    }

    #[test]
    fn openai_is_asked_at_v1_audio_speech() {
        let body =
            json!({"model": "tts-1", "input": "Hello", "voice": "nova", "response_format": "wav"});
        let path = "/v1/audio/speech";
        for url in [
            "http://tts:8880",
            "http://tts:8880/",
            "http://tts:8880/v1",
            "http://tts:8880/v1/audio/speech",
        ] {
            assert_eq!(
                said(Dialect::Openai, path, url, "female", 1),
                [(path.to_owned(), body.clone())],
                "{url}"
            );
        }
    }

    #[test]
    fn piper_is_asked_at_synthesize_and_chooses_its_own_voice() {
        let asked = said(
            Dialect::Piper,
            "/synthesize",
            "http://127.0.0.1:5000",
            "female",
            1,
        );
        assert_eq!(
            asked,
            [("/synthesize".to_owned(), json!({"text": "Hello"}))]
        );
        let asked = said(
            Dialect::Piper,
            "/synthesize",
            "http://127.0.0.1:5000",
            "en_US-joe",
            1,
        );
        assert_eq!(
            asked,
            [(
                "/synthesize".to_owned(),
                json!({"text": "Hello", "voice": "en_US-joe"})
            )]
        );
    }

    #[test]
    fn an_older_piper_is_asked_at_its_root_from_then_on() {
        let paths: Vec<String> = said(Dialect::Piper, "/", "http://127.0.0.1:5000", "male", 2)
            .into_iter()
            .map(|(path, _)| path)
            .collect();
        assert_eq!(paths, ["/synthesize", "/", "/"]);
    }
}
