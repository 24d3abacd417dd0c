//! Reads what the call left behind through the API, over HTTP, as any client would.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use super::documents::{ACCOUNT, Credentials};
use crate::host::clock;
use crate::host::http::{HttpClient, HttpError, HttpRequest, Method};

/// A signed-in client of the demo's own API.
#[derive(Debug)]
pub struct Api {
    client: HttpClient,
    base: String,
    token: String,
}

/// Why something could not be read back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// The request failed.
    #[error("the API could not be asked: {0}")]
    Http(#[from] HttpError),
    /// The API refused.
    #[error("{path} was answered {status}: {body}")]
    Status {
        /// What was asked.
        path: String,
        /// The answer's status.
        status: u16,
        /// The answer.
        body: String,
    },
    /// The answer lacks something, or nothing came in time.
    #[error("{what} is not there")]
    Missing {
        /// What.
        what: &'static str,
    },
}

impl Api {
    /// Signs in.
    ///
    /// # Errors
    /// When the API cannot be asked or refuses.
    pub async fn sign_in(
        client: HttpClient,
        address: SocketAddr,
        credentials: &Credentials,
    ) -> Result<Self, ApiError> {
        use md5::{Digest as _, Md5};
        let hash = hex::encode(Md5::digest(format!(
            "{}:{}",
            credentials.user, credentials.user_password
        )));
        let mut api = Self {
            client,
            base: format!("http://{address}/v2"),
            token: String::new(),
        };
        let body = json!({"data": {"credentials": hash, "account_name": ACCOUNT}});
        let reply = api.send("user_auth", Some(&body)).await?;
        let missing = |what| ApiError::Missing { what };
        api.token = reply["auth_token"]
            .as_str()
            .ok_or(missing("the token"))?
            .to_owned();
        let account = reply["data"]["account_id"]
            .as_str()
            .ok_or(missing("the account id"))?;
        api.base = format!("{}/accounts/{account}", api.base);
        Ok(api)
    }

    /// The record of a call; waited for, since it is written after the call.
    ///
    /// # Errors
    /// When the API cannot be asked or the record does not come.
    pub async fn record(&self, call_id: &str) -> Result<Value, ApiError> {
        let path = format!("cdrs?filter_call_id={}", escaped(call_id));
        let list = self.wait(&path, "the call record").await?;
        let id = list[0]["id"].as_str().ok_or(ApiError::Missing {
            what: "the id of the call record",
        })?;
        Ok(self.send(&format!("cdrs/{}", escaped(id)), None).await?["data"].take())
    }

    /// The Pivot debug documents of a call.
    ///
    /// # Errors
    /// When the API cannot be asked or the documents do not come.
    pub async fn debug(&self, call_id: &str) -> Result<Value, ApiError> {
        self.wait(
            &format!("pivot/debug/{}", escaped(call_id)),
            "the Pivot debug log",
        )
        .await
    }

    /// GET until the list is not empty.
    async fn wait(&self, path: &str, what: &'static str) -> Result<Value, ApiError> {
        let deadline = clock::now() + PATIENCE;
        loop {
            match self.send(path, None).await {
                Ok(mut reply) => {
                    let data = reply["data"].take();
                    if data.as_array().is_some_and(|list| !list.is_empty()) {
                        return Ok(data);
                    }
                }
                Err(ApiError::Status { status: 404, .. }) => {}
                Err(error) => return Err(error),
            }
            if clock::now() >= deadline {
                return Err(ApiError::Missing { what });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// PUT with a body, GET without.
    async fn send(&self, path: &str, body: Option<&Value>) -> Result<Value, ApiError> {
        let text = format!("{}/{path}", self.base);
        let url = Url::parse(&text).map_err(|_| ApiError::Missing {
            what: "a URL of the API",
        })?;
        let mut request = match body {
            Some(body) => HttpRequest {
                method: Method::Put,
                ..HttpRequest::post(url, "application/json", body.to_string())
            },
            None => HttpRequest::get(url),
        };
        if !self.token.is_empty() {
            request
                .headers
                .push(("X-Auth-Token".to_owned(), self.token.clone()));
        }
        let response = self.client.send(request).await?;
        let reply = serde_json::from_slice(&response.body).unwrap_or(Value::Null);
        if (200..300).contains(&response.status) {
            return Ok(reply);
        }
        let body = String::from_utf8_lossy(&response.body)
            .chars()
            .take(300)
            .collect();
        Err(ApiError::Status {
            path: path.to_owned(),
            status: response.status,
            body,
        })
    }
}

/// How long the records of a call are waited for.
const PATIENCE: Duration = Duration::from_secs(10);

fn escaped(segment: &str) -> String {
    percent_encoding::utf8_percent_encode(segment, percent_encoding::NON_ALPHANUMERIC).to_string()
}
