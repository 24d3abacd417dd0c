//! An HTTP request as a job: a callback, an upload. What its answer means for the job.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use url::Url;

use super::job::Job;
use super::outbox::{Outcome, Runner};
use crate::base::secret::Secret;
use crate::directory::Directory;
use crate::host::http::{HttpClient, HttpError, HttpRequest, Method, Watcher};
use crate::journal::Journal;

/// A request to be made until a server takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpJob {
    /// `GET`, `POST`, `PUT` or `PATCH`.
    pub method: String,
    /// Where to. The guard looks at it at each attempt.
    pub url: String,
    /// `Content-Type` of the body.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub content_type: String,
    /// Further headers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The body, unless a file is sent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// The call it tells of, whose trace shows it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub call_id: String,
    /// Whether it is the end of a call that is told (`cdr_url`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_end: bool,
}

impl HttpJob {
    /// The kind of such jobs.
    pub const KIND: &'static str = "http";
    /// How long they are worth trying.
    pub const LIFETIME: Duration = Duration::from_secs(24 * 3600);

    /// A form, as callbacks are told: in the body of a POST, in the query of a GET.
    pub fn form(method: &str, url: &str, fields: &[(String, String)]) -> Self {
        let encode = || {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            form.extend_pairs(fields);
            form.finish()
        };
        let is_get = method.eq_ignore_ascii_case("get");
        let mut job = Self {
            method: if is_get { "GET" } else { "POST" }.to_owned(),
            url: url.to_owned(),
            content_type: String::new(),
            headers: Vec::new(),
            body: String::new(),
            call_id: String::new(),
            of_end: false,
        };
        if is_get {
            if let Ok(mut with) = Url::parse(url) {
                with.query_pairs_mut().extend_pairs(fields);
                job.url = with.into();
            }
        } else {
            job.content_type = "application/x-www-form-urlencoded".to_owned();
            job.body = encode();
        }
        job
    }

    /// The same request, in the trace of that call.
    #[must_use]
    pub fn of_call(mut self, call_id: &str) -> Self {
        call_id.clone_into(&mut self.call_id);
        self
    }

    /// What writes it into the trace of its call.
    pub fn watcher(&self, journal: &Journal) -> Option<Watcher> {
        let purpose = if self.of_end { "cdr" } else { "callback" };
        (!self.call_id.is_empty()).then(|| journal.watch(&self.call_id, purpose))
    }

    /// One attempt, under the name `id`, which a receiver can tell repetitions by. A file goes in place of the body.
    /// `token` signs it.
    pub async fn attempt(
        &self,
        id: &str,
        client: &HttpClient,
        file: Option<PathBuf>,
        token: Option<Secret>,
        watcher: Option<Watcher>,
    ) -> Outcome {
        let url = match Url::parse(&self.url) {
            Ok(url) => url,
            Err(error) => return Outcome::GiveUp(format!("not a URL: {error}")),
        };
        let Some(method) = method(&self.method) else {
            return Outcome::GiveUp(format!("no such method: {}", self.method));
        };
        let mut headers = self.headers.clone();
        if !self.content_type.is_empty() {
            headers.push(("Content-Type".to_owned(), self.content_type.clone()));
        }
        headers.push(("Idempotency-Key".to_owned(), id.to_owned()));
        let request = HttpRequest {
            method,
            headers,
            body: self.body.clone().into(),
            timeout: if file.is_some() {
                UPLOAD_TIMEOUT
            } else {
                TIMEOUT
            },
            upload: file,
            max_body: MOST_ANSWER,
            // The outbox asks again, and counts.
            retry_unavailable: false,
            auth_token: token,
            watcher,
            ..HttpRequest::get(url)
        };
        match client.send(request).await {
            Ok(answer) => judge(answer.status),
            // It was taken; what the answer says is of no interest.
            Err(
                HttpError::TooLarge { .. } | HttpError::Encoding { .. } | HttpError::Bomb { .. },
            ) => Outcome::Done,
            Err(
                error @ (HttpError::Refused(_)
                | HttpError::Downgrade { .. }
                | HttpError::Header { .. }
                | HttpError::File { .. }),
            ) => Outcome::GiveUp(error.to_string()),
            Err(error) => Outcome::Retry(error.to_string()),
        }
    }
}

/// What a status means: taken, refused for good, or worth another attempt. A server that asks for credentials, or does
/// not know the path, may be mended while there is time.
fn judge(status: u16) -> Outcome {
    match status {
        200..=299 => Outcome::Done,
        400 | 405 | 406 | 410..=417 | 422 => {
            Outcome::GiveUp(format!("the server refused: {status}"))
        }
        _ => Outcome::Retry(format!("the server answered {status}")),
    }
}

fn method(name: &str) -> Option<Method> {
    let all = [
        Method::Get,
        Method::Post,
        Method::Put,
        Method::Patch,
        Method::Delete,
    ];
    all.into_iter()
        .find(|method| method.name().eq_ignore_ascii_case(name))
}

/// Makes requests of the kind [`HttpJob::KIND`], signed where their account has an auth token.
pub struct HttpRunner {
    /// Makes them.
    pub client: HttpClient,
    /// Knows the accounts.
    pub directory: Directory,
    /// Shows callbacks in the traces of their calls.
    pub journal: Journal,
}

impl Runner for HttpRunner {
    fn run(&self, job: &Job) -> BoxFuture<'static, Outcome> {
        let (client, id) = (self.client.clone(), job.id.clone());
        let journal = self.journal.clone();
        let account = self.directory.account(&job.account);
        let token = account.and_then(|account| account.auth_token());
        let request = serde_json::from_value::<HttpJob>(job.payload.clone());
        Box::pin(async move {
            match request {
                Ok(request) => {
                    let watcher = request.watcher(&journal);
                    request.attempt(&id, &client, None, token, watcher).await
                }
                Err(error) => Outcome::GiveUp(format!("the job cannot be read: {error}")),
            }
        })
    }
}

/// For a callback and its answer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// For a file.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(600);
/// What an answer may say.
const MOST_ANSWER: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Vec<(String, String)> {
        vec![
            ("A".to_owned(), "1 2".to_owned()),
            ("B".to_owned(), "&".to_owned()),
        ]
    }

    #[test]
    fn a_form_is_in_the_body_of_a_post_and_in_the_query_of_a_get() {
        let post = HttpJob::form("POST", "http://h/p?x=1", &fields());
        assert_eq!(
            (post.method.as_str(), post.body.as_str()),
            ("POST", "A=1+2&B=%26")
        );
        assert_eq!(post.url, "http://h/p?x=1");
        let get = HttpJob::form("get", "http://h/p?x=1", &fields());
        assert_eq!((get.method.as_str(), get.body.as_str()), ("GET", ""));
        assert_eq!(get.url, "http://h/p?x=1&A=1+2&B=%26");
    }

    #[test]
    fn what_a_server_says_decides_whether_it_is_asked_again() {
        for (statuses, again) in [
            (
                &[408, 409, 425, 429, 500, 502, 503, 504, 401, 403, 404, 302][..],
                true,
            ),
            (&[400, 405, 410, 413, 415], false),
        ] {
            for status in statuses {
                let outcome = judge(*status);
                assert_eq!(
                    matches!(outcome, Outcome::Retry(_)),
                    again,
                    "{status} {outcome:?}"
                );
                assert_eq!(matches!(outcome, Outcome::GiveUp(_)), !again, "{status}");
            }
        }
        assert_eq!((judge(200), judge(204)), (Outcome::Done, Outcome::Done));
    }
}
