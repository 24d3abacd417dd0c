//! Recognition by a server: OpenAI's `POST /v1/audio/transcriptions`, as whisper servers have it.
//!
//! The URL is the operator's, so the address guard does not apply to it.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;
use url::Url;

use super::{Provider, read};
use crate::base::secret::Secret;
use crate::host::http::{HttpClient, HttpError, HttpRequest};
use crate::speech::{Problem, Recogniser, SpeechError, Spoken, SttConfig, Transcript};

/// Asks a server for each text.
#[derive(Debug)]
pub struct Openai {
    client: HttpClient,
    url: Url,
    key: Secret,
    model: String,
    format: String,
    timeout: Duration,
}

impl Provider for Openai {
    const NAME: &'static str = "openai";

    fn new(config: &SttConfig, io: &Handle) -> Result<Self, SpeechError> {
        Self::over(config, HttpClient::unguarded(io.clone()))
    }
}

impl Openai {
    /// The recogniser over a given client.
    ///
    /// # Errors
    /// When the URL is none.
    pub fn over(config: &SttConfig, client: HttpClient) -> Result<Self, SpeechError> {
        let mut url = Url::parse(&config.url).map_err(|error| {
            SpeechError::Recogniser(Problem {
                field: "url",
                value: config.url.clone(),
                rule: error.to_string(),
            })
        })?;
        let base = url.path().trim_end_matches('/').to_owned();
        if !base.ends_with("/audio/transcriptions") {
            let base = if base.is_empty() { "/v1" } else { &base };
            url.set_path(&format!("{base}/audio/transcriptions"));
        }
        Ok(Self {
            client,
            url,
            key: config.key.clone(),
            model: config.model.clone(),
            format: config.response_format.clone(),
            timeout: config.timeout(),
        })
    }

    async fn ask(&self, spoken: &Spoken) -> Result<Transcript, SpeechError> {
        let (content_type, body) = self.form(spoken);
        let mut request = HttpRequest::post(self.url.clone(), &content_type, body);
        if !self.key.is_empty() {
            let bearer = format!("Bearer {}", self.key.reveal());
            request.headers.push(("Authorization".to_owned(), bearer));
        }
        request.timeout = self.timeout;
        let response = self
            .client
            .send(request)
            .await
            .map_err(|error| match error {
                HttpError::Timeout { after } => SpeechError::Timeout { after },
                other => SpeechError::Http(other),
            })?;
        if response.status != 200 {
            let said = String::from_utf8_lossy(&response.body);
            return Err(SpeechError::Status {
                status: response.status,
                said: said.chars().take(300).collect(),
            });
        }
        Ok(read(&response.body))
    }

    /// The request's type and body (RFC 7578).
    fn form(&self, spoken: &Spoken) -> (String, Bytes) {
        // The hash of the sound: it is not in the sound.
        let boundary = hex::encode(Sha256::digest(&spoken.wav));
        let mut body = Vec::with_capacity(spoken.wav.len() + 1024);
        let language = spoken.language.split(['-', '_']).next().unwrap_or_default();
        let fields = [
            ("model", self.model.as_str()),
            ("response_format", &self.format),
            ("language", language),
            ("prompt", &spoken.hints),
        ];
        for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
            let part = format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            );
            body.extend_from_slice(part.as_bytes());
        }
        let file = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"speech.wav\"\r\n\
             Content-Type: audio/wav\r\n\r\n"
        );
        body.extend_from_slice(file.as_bytes());
        body.extend_from_slice(&spoken.wav);
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        (
            format!("multipart/form-data; boundary={boundary}"),
            body.into(),
        )
    }
}

impl Recogniser for Openai {
    fn transcribe<'a>(
        &'a self,
        spoken: &'a Spoken,
    ) -> BoxFuture<'a, Result<Transcript, SpeechError>> {
        Box::pin(self.ask(spoken))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use futures_util::{StreamExt as _, stream};

    use super::*;
    use crate::host::http::{Answer, Exchange, Transport};

    /// A server that answers everything alike.
    struct Server {
        status: u16,
        asked: Mutex<Vec<Exchange>>,
    }

    impl Transport for Server {
        fn exchange(&self, exchange: Exchange) -> BoxFuture<'_, Result<Answer, HttpError>> {
            self.asked.lock().unwrap().push(exchange);
            let body = stream::iter([Ok(Bytes::from_static(br#"{"text":"hello"}"#))]).boxed();
            let status = self.status;
            Box::pin(async move {
                Ok(Answer {
                    status,
                    headers: Vec::new(),
                    body,
                })
            })
        }
    }

    fn ask(url: &str, status: u16) -> (Result<Transcript, SpeechError>, Exchange) {
        let server = Arc::new(Server {
            status,
            asked: Mutex::default(),
        });
        let config = SttConfig {
            provider: "openai".into(),
            url: url.into(),
            key: Secret::new("k"),
            ..SttConfig::default()
        };
        let openai = Openai::over(&config, HttpClient::stub(server.clone())).unwrap();
        let spoken = Spoken {
            wav: Bytes::from_static(b"RIFFxyz"),
            language: "en-us".into(),
            hints: "yes, no".into(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let text = runtime.block_on(openai.transcribe(&spoken));
        let asked = server.asked.lock().unwrap().remove(0);
        (text, asked)
    }

    #[test]
    fn a_form_with_the_sound_goes_to_the_transcriptions() {
        for url in ["http://asr:8000", "http://asr:8000/v1/"] {
            let (text, asked) = ask(url, 200);
            assert_eq!(text.unwrap().text, "hello");
            assert_eq!(
                asked.url.as_str(),
                "http://asr:8000/v1/audio/transcriptions"
            );
            let body = String::from_utf8(asked.body.to_vec()).unwrap();
            for part in [
                "name=\"model\"\r\n\r\nwhisper-1\r\n",
                "name=\"language\"\r\n\r\nen\r\n",
                "name=\"prompt\"\r\n\r\nyes, no\r\n",
                "filename=\"speech.wav\"\r\nContent-Type: audio/wav\r\n\r\nRIFFxyz\r\n--",
            ] {
                assert!(body.contains(part), "{part:?} in {body}");
            }
            assert!(asked.headers.iter().any(|(_, value)| value == "Bearer k"));
        }
    }

    #[test]
    fn a_refusal_says_what_the_server_said() {
        let (text, _) = ask("http://asr:8000", 400);
        assert_eq!(
            text.unwrap_err().to_string(),
            r#"speech server answered HTTP 400: {"text":"hello"}"#
        );
    }
}
