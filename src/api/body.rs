//! Reads the body of a request by its content type: an envelope, or files (`api.md` §1.4).

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest as _, Multipart};
use axum::http::{HeaderMap, Request, header};
use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use serde_json::{Map, Value};

use super::call::Upload;
use super::config::HttpConfig;
use super::error::ApiError;
use super::strict;

/// Base64 with or without padding, and with the last bits as they come.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What a body holds.
#[derive(Default)]
pub(super) struct Content {
    pub(super) envelope: Map<String, Value>,
    pub(super) data: Value,
    pub(super) files: Vec<Upload>,
    /// The client named no type, so JSON was taken.
    pub(super) untyped: bool,
}

/// Reads a body. `takes` are the content types the path has a use for besides an envelope.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    config: &HttpConfig,
    takes: &[&str],
) -> Result<Content, ApiError> {
    let header = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let named = header.map(|text| {
        text.split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase()
    });
    let named = named.filter(|name| !name.is_empty());
    let kind = named.as_deref().unwrap_or("application/json");
    let is_json = matches!(kind, "application/json" | "application/x-json");
    let is_form = kind == "application/x-www-form-urlencoded";
    let limit = if is_json || is_form {
        config.max_json
    } else {
        config.max_upload
    };
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    if let Some("multipart/form-data" | "multipart/mixed") = named.as_deref() {
        return multipart(header.unwrap_or_default(), body, config).await;
    }
    // Base64 is a third longer than the file it carries.
    let is_base64 = matches!(kind, "application/base64" | "application/x-base64");
    let read_limit = if is_base64 {
        limit.saturating_mul(4) / 3 + 1024
    } else {
        limit
    };
    let bytes = to_bytes(body, read_limit)
        .await
        .map_err(|_| too_large(limit))?;
    let untyped = named.is_none() && !bytes.is_empty();
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Content {
            untyped,
            ..Content::default()
        });
    }
    if is_json {
        return Ok(Content {
            untyped,
            ..envelope(&bytes)?
        });
    }
    if is_form {
        // curl names this type when nobody said one: JSON then.
        return if bytes.trim_ascii_start().starts_with(b"{") {
            envelope(&bytes)
        } else {
            form(&bytes)
        };
    }
    if is_base64 {
        let upload = base64_file(&bytes, config.max_upload)?;
        return Ok(Content {
            files: vec![upload],
            ..Content::default()
        });
    }
    let is_taken =
        |taken: &&str| kind == *taken || (taken.ends_with('/') && kind.starts_with(*taken));
    if takes.iter().any(is_taken) {
        let upload = Upload {
            content_type: kind.to_owned(),
            bytes,
        };
        return Ok(Content {
            files: vec![upload],
            ..Content::default()
        });
    }
    Err(ApiError::Type(kind.to_owned()))
}

fn envelope(bytes: &[u8]) -> Result<Content, ApiError> {
    let value = strict::parse(bytes).map_err(|error| ApiError::Json(error.to_string()))?;
    let Value::Object(fields) = value else {
        return Err(ApiError::Json("the envelope must be an object".to_owned()));
    };
    from_fields(fields)
}

fn from_fields(fields: Map<String, Value>) -> Result<Content, ApiError> {
    let mut envelope = Map::new();
    for (key, value) in fields {
        envelope.insert(key.to_lowercase().replace('-', "_"), value);
    }
    let Some(data) = envelope.remove("data") else {
        return Err(ApiError::NoData);
    };
    Ok(Content {
        envelope,
        data,
        ..Content::default()
    })
}

fn form(bytes: &[u8]) -> Result<Content, ApiError> {
    let mut fields = Map::new();
    for (key, value) in url::form_urlencoded::parse(bytes) {
        let value = if key == "data" {
            strict::parse(value.as_bytes()).map_err(|error| ApiError::Json(error.to_string()))?
        } else {
            Value::String(value.into_owned())
        };
        fields.insert(key.into_owned(), value);
    }
    from_fields(fields)
}

async fn multipart(
    content_type: &str,
    body: Body,
    config: &HttpConfig,
) -> Result<Content, ApiError> {
    let broken = |error: &dyn std::fmt::Display| {
        ApiError::Json(format!("the multipart body cannot be read: {error}"))
    };
    let bytes = to_bytes(body, config.max_upload.saturating_add(config.max_json)).await;
    let bytes = bytes.map_err(|_| too_large(config.max_upload))?;
    // The reader underneath knows one multipart type; the parts of both look alike.
    let named = content_type.replacen("multipart/mixed", "multipart/form-data", 1);
    let request = Request::builder()
        .header(header::CONTENT_TYPE, named)
        .body(Body::from(bytes));
    let request = request.map_err(|error| broken(&error))?;
    let mut parts = Multipart::from_request(request, &())
        .await
        .map_err(|error| broken(&error))?;
    let mut content = Content::default();
    loop {
        let part = match parts.next_field().await {
            Ok(Some(part)) => part,
            Ok(None) => return Ok(content),
            Err(error) => return Err(broken(&error)),
        };
        let kind = part
            .content_type()
            .unwrap_or("text/plain")
            .split(';')
            .next()
            .unwrap_or_default();
        let kind = kind.trim().to_ascii_lowercase();
        let is_file = part.file_name().is_some();
        let bytes = part.bytes().await.map_err(|error| broken(&error))?;
        match kind.as_str() {
            "application/json" | "application/x-json" => {
                let read = envelope(&bytes)?;
                content.envelope = read.envelope;
                content.data = read.data;
            }
            "application/base64" | "application/x-base64" => {
                content.files.push(base64_file(&bytes, config.max_upload)?);
            }
            _ if is_file || kind != "text/plain" => content.files.push(Upload {
                content_type: kind,
                bytes,
            }),
            _ => {}
        }
    }
}

/// A data URI or bare base64.
fn base64_file(text: &[u8], limit: usize) -> Result<Upload, ApiError> {
    let broken = |message: String| ApiError::File {
        rule: "encoding",
        message,
        target: None,
    };
    let text = std::str::from_utf8(text)
        .map_err(|error| broken(error.to_string()))?
        .trim();
    let (content_type, encoded) = match text
        .strip_prefix("data:")
        .and_then(|rest| rest.split_once(','))
    {
        Some((head, encoded)) => {
            let kind = head
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase();
            (kind, encoded)
        }
        None => (String::new(), text),
    };
    let packed: String = encoded
        .chars()
        .filter(|c| !c.is_ascii_whitespace())
        .collect();
    let bytes = BASE64
        .decode(packed)
        .map_err(|error| broken(error.to_string()))?;
    if bytes.len() > limit {
        return Err(too_large(limit));
    }
    Ok(Upload {
        content_type,
        bytes: Bytes::from(bytes),
    })
}

fn too_large(limit: usize) -> ApiError {
    ApiError::File {
        rule: "maxSize",
        message: format!("is larger than {limit} bytes"),
        target: Some(limit as u64),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use serde_json::json;

    use super::*;

    async fn content(kind: Option<&str>, body: &str) -> Result<Content, ApiError> {
        let mut headers = HeaderMap::new();
        if let Some(kind) = kind {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(kind).unwrap());
        }
        let config = HttpConfig {
            max_json: 1000,
            max_upload: 2000,
            ..HttpConfig::default()
        };
        read(&headers, Body::from(body.to_owned()), &config, &["audio/"]).await
    }

    #[tokio::test]
    async fn envelopes_are_read_whatever_the_client_calls_them() {
        for kind in [
            None,
            Some("application/json; charset=utf-8"),
            Some("application/x-www-form-urlencoded"),
        ] {
            let content = content(kind, r#" {"data":{"a":1},"Auth-Token":"t"}"#)
                .await
                .unwrap();
            assert_eq!(content.data, json!({"a": 1}), "{kind:?}");
            assert_eq!(content.envelope["auth_token"], "t");
            assert_eq!(content.untyped, kind.is_none());
        }
        let form = content(
            Some("application/x-www-form-urlencoded"),
            "data=%7B%22a%22%3A1%7D&verb=PUT",
        )
        .await
        .unwrap();
        assert_eq!(
            (form.data, &form.envelope["verb"]),
            (json!({"a": 1}), &json!("PUT"))
        );
        assert_eq!(content(None, "").await.unwrap().data, Value::Null);
    }

    #[tokio::test]
    async fn what_is_no_envelope_says_why() {
        assert!(matches!(content(None, "{").await, Err(ApiError::Json(_))));
        assert!(matches!(content(None, "[]").await, Err(ApiError::Json(_))));
        assert!(matches!(
            content(None, "{\"a\":1}").await,
            Err(ApiError::NoData)
        ));
        assert!(matches!(
            content(Some("text/html"), "x").await,
            Err(ApiError::Type(_))
        ));
        assert!(matches!(
            content(None, &" ".repeat(1001)).await,
            Err(ApiError::File {
                rule: "maxSize",
                ..
            })
        ));
        assert!(matches!(
            content(Some("audio/wav"), &"x".repeat(2001)).await,
            Err(ApiError::File { .. })
        ));
    }

    #[tokio::test]
    async fn files_come_raw_in_base64_and_in_parts() {
        let raw = content(Some("audio/x-wav"), "RIFF").await.unwrap();
        assert_eq!(
            (raw.files[0].content_type.as_str(), &*raw.files[0].bytes),
            ("audio/x-wav", &b"RIFF"[..])
        );
        for text in ["data:audio/mp3;base64,UklGRg==", "UklGRg==", "Ukl\nGRg"] {
            let file = content(Some("application/x-base64"), text)
                .await
                .unwrap()
                .files
                .remove(0);
            assert_eq!(&*file.bytes, b"RIFF", "{text}");
        }
        assert!(matches!(
            content(Some("application/base64"), "!!").await,
            Err(ApiError::File {
                rule: "encoding",
                ..
            })
        ));
        let parts = "--B\r\nContent-Disposition: form-data; name=\"m\"\r\nContent-Type: application/json\r\n\r\n{\"data\":{\"n\":1}}\r\n\
                     --B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\nRIFF\r\n--B--\r\n";
        for kind in [
            "multipart/form-data; boundary=B",
            "multipart/mixed; boundary=B",
        ] {
            let both = content(Some(kind), parts).await.unwrap();
            assert_eq!(
                (both.data, &*both.files[0].bytes),
                (json!({"n": 1}), &b"RIFF"[..])
            );
        }
        assert!(
            content(Some("multipart/form-data"), parts).await.is_err(),
            "no boundary"
        );
    }
}
