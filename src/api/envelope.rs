//! From an answer or an error to an HTTP response (`api.md` §1.5 to §1.8).

use std::io::SeekFrom;
use std::path::PathBuf;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use futures_util::Stream;
use md5::{Digest as _, Md5};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::answer::{Answer, Download};
use super::csv;
use super::error::ApiError;
use super::verb::Verb;
use crate::base::finding::Finding;
use crate::base::time::UnixMicros;

/// What the envelope says besides the answer.
pub(super) struct About {
    pub(super) request_id: String,
    pub(super) node: String,
    pub(super) now: UnixMicros,
    /// The token the request was made with.
    pub(super) token: Option<String>,
    /// Requests taken from the bucket and left in it.
    pub(super) tokens: Option<(u32, u32)>,
    pub(super) path: String,
    pub(super) verb: Verb,
    /// Verbs of the path, for CORS.
    pub(super) verbs: Vec<Verb>,
    /// `Origin` was sent.
    pub(super) cross_origin: bool,
    pub(super) pretty: bool,
    pub(super) jsonp: Option<String>,
    pub(super) accept: Accept,
    pub(super) file_name: Option<String>,
    /// The client named no content type.
    pub(super) untyped: bool,
    pub(super) if_none_match: Option<String>,
    pub(super) range: Option<String>,
}

/// What the client wants to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accept {
    Json,
    Csv,
    /// A file of the resource: audio.
    File,
}

impl Accept {
    /// From `?accept=`, or the header.
    pub(super) fn of(tunnelled: Option<&str>, header: Option<&str>) -> Accept {
        let kind = |text: &str| {
            let text = text
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase();
            match text.as_str() {
                "csv" | "text/csv" | "text/comma-separated-values" | "application/octet-stream" => {
                    Some(Accept::Csv)
                }
                "json" | "application/json" | "application/x-json" | "*/*" => Some(Accept::Json),
                other if other.starts_with("audio/") || other.starts_with("video/") => {
                    Some(Accept::File)
                }
                _ => None,
            }
        };
        let listed = header
            .into_iter()
            .flat_map(|text| text.split(','))
            .find_map(kind);
        tunnelled.and_then(kind).or(listed).unwrap_or(Accept::Json)
    }
}

/// The response to a request that went well.
pub(super) fn success(about: &About, answer: Answer) -> Response<Body> {
    if let Some(file) = &answer.file {
        return download(about, file);
    }
    if about.accept == Accept::Csv
        && answer.status == 200
        && (answer.data.is_array() || answer.data.is_object() || answer.table.is_some())
    {
        return sheet(about, answer);
    }
    let revision = answer
        .revision
        .clone()
        .unwrap_or_else(|| hex::encode(Md5::digest(answer.data.to_string())));
    if about.verb == Verb::Get
        && about
            .if_none_match
            .as_deref()
            .is_some_and(|tags| names(tags, &revision))
    {
        let mut headers = common_headers(about);
        set(&mut headers, header::ETAG, &format!("\"{revision}\""));
        return build(304, headers, Bytes::new());
    }
    let mut body = Map::new();
    body.insert("data".into(), answer.data);
    if !answer.warnings.is_empty() {
        body.insert("warnings".into(), Finding::to_data(&answer.warnings));
    }
    body.insert("revision".into(), json!(revision));
    if let Some(paging) = &answer.paging {
        body.insert("page_size".into(), json!(paging.rows));
        for (key, value) in [
            ("start_key", &paging.start_key),
            ("next_start_key", &paging.next_start_key),
        ] {
            if let Some(value) = value {
                body.insert(key.into(), json!(value));
            }
        }
    }
    body.insert("status".into(), json!("success"));
    finish(about, &mut body, answer.auth_token.as_ref());
    let mut headers = common_headers(about);
    set(&mut headers, header::ETAG, &format!("\"{revision}\""));
    if let Some(id) = &answer.location {
        let id = percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC);
        set(
            &mut headers,
            header::LOCATION,
            &format!("{}/{id}", about.path.trim_end_matches('/')),
        );
    }
    json_response(about, answer.status, headers, Value::Object(body))
}

/// The response to a request that was refused.
pub(super) fn failure(about: &About, error: &ApiError) -> Response<Body> {
    let status = error.status();
    if let ApiError::Store(cause) = error {
        tracing::error!(error = %cause, request = about.request_id, "the store failed for the API");
    }
    let mut body = Map::new();
    body.insert("data".into(), error.data());
    body.insert("error".into(), json!(status.to_string()));
    body.insert("message".into(), json!(error.word()));
    body.insert("status".into(), json!("error"));
    finish(about, &mut body, None);
    let mut headers = common_headers(about);
    cors(&mut headers, &about.verbs);
    match error {
        ApiError::Method(verbs) => set(&mut headers, header::ALLOW, &names_of(verbs)),
        ApiError::TooMany => set(&mut headers, header::RETRY_AFTER, "1"),
        ApiError::Range(length) => set(
            &mut headers,
            header::CONTENT_RANGE,
            &format!("bytes */{length}"),
        ),
        _ => {}
    }
    json_response(about, status, headers, Value::Object(body))
}

/// The answer to a CORS preflight.
pub(super) fn preflight(about: &About) -> Response<Body> {
    let mut headers = common_headers(about);
    cors(&mut headers, &about.verbs);
    set(&mut headers, header::ALLOW, &names_of(&about.verbs));
    build(200, headers, Bytes::new())
}

fn finish(about: &About, body: &mut Map<String, Value>, fresh: Option<&String>) {
    body.insert("request_id".into(), json!(about.request_id));
    let token = fresh.or(about.token.as_ref());
    if let Some(token) = token {
        body.insert("auth_token".into(), json!(token));
    }
    body.insert("node".into(), json!(about.node));
    let timestamp = about
        .now
        .timestamp()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string();
    body.insert("timestamp".into(), json!(timestamp));
    if token.is_some() {
        body.insert("version".into(), json!(env!("CARGO_PKG_VERSION")));
    }
    if let Some((consumed, remaining)) = about.tokens {
        body.insert(
            "tokens".into(),
            json!({"consumed": consumed, "remaining": remaining}),
        );
    }
}

fn json_response(
    about: &About,
    status: u16,
    mut headers: HeaderMap,
    body: Value,
) -> Response<Body> {
    let text = if about.pretty {
        serde_json::to_string_pretty(&body).unwrap_or_default()
    } else {
        body.to_string()
    };
    let text = match &about.jsonp {
        Some(function) => {
            set(&mut headers, header::CONTENT_TYPE, "application/javascript");
            // U+2028 and U+2029 end a line in scripts, not in JSON.
            let text = text
                .replace('\u{2028}', "\\u2028")
                .replace('\u{2029}', "\\u2029");
            format!("{function}({text});")
        }
        None => {
            set(&mut headers, header::CONTENT_TYPE, "application/json");
            text
        }
    };
    build(status, headers, Bytes::from(text))
}

fn sheet(about: &About, answer: Answer) -> Response<Body> {
    let mut headers = common_headers(about);
    set(
        &mut headers,
        header::CONTENT_TYPE,
        "text/csv; charset=utf-8",
    );
    let name = about.file_name.as_deref().unwrap_or("result.csv");
    set(&mut headers, header::CONTENT_DISPOSITION, &attachment(name));
    if let Some(next) = answer
        .paging
        .as_ref()
        .and_then(|paging| paging.next_start_key.as_ref())
    {
        set(
            &mut headers,
            HeaderName::from_static("x-next-start-key"),
            next,
        );
    }
    match answer.table {
        Some(table) => {
            let mut response = build(200, headers, Bytes::new());
            *response.body_mut() = Body::from_stream(table.0);
            response
        }
        None => {
            let text = csv::table(&answer.data, answer.columns);
            build(200, headers, Bytes::from(text))
        }
    }
}

fn download(about: &About, file: &Download) -> Response<Body> {
    let length = file
        .stored
        .as_ref()
        .map_or(file.bytes.len(), |(_, length)| *length);
    let mut headers = common_headers(about);
    set(&mut headers, header::CONTENT_TYPE, &file.content_type);
    set(&mut headers, header::ACCEPT_RANGES, "bytes");
    set(
        &mut headers,
        header::CONTENT_DISPOSITION,
        &disposition(
            file.inline,
            about.file_name.as_deref().unwrap_or(&file.name),
        ),
    );
    match about.range.as_deref().map(|range| part(range, length)) {
        None | Some(Ok(None)) => send(200, headers, file, 0..length),
        Some(Ok(Some((from, to)))) => {
            set(
                &mut headers,
                header::CONTENT_RANGE,
                &format!("bytes {from}-{}/{length}", to.saturating_sub(1)),
            );
            send(206, headers, file, from..to)
        }
        Some(Err(error)) => failure(about, &error),
    }
}

/// The one range of a `Range` header, as offsets `from..to`. `None`: not in bytes or several, so the whole.
fn part(range: &str, length: usize) -> Result<Option<(usize, usize)>, ApiError> {
    let Some(spec) = range
        .trim()
        .strip_prefix("bytes=")
        .filter(|spec| !spec.contains(','))
    else {
        return Ok(None);
    };
    let Some((from, to)) = spec.split_once('-') else {
        return Ok(None);
    };
    let number = |text: &str| text.trim().parse::<usize>().ok();
    let (from, to) = match (number(from), number(to)) {
        (Some(from), Some(last)) => (from, last.saturating_add(1).min(length)),
        (Some(from), None) if to.trim().is_empty() => (from, length),
        (None, Some(last)) if from.trim().is_empty() => (length.saturating_sub(last), length),
        _ => return Ok(None),
    };
    if from >= to {
        Err(ApiError::Range(length))
    } else {
        Ok(Some((from, to)))
    }
}

/// A response with part of a file.
fn send(
    status: u16,
    mut headers: HeaderMap,
    file: &Download,
    part: std::ops::Range<usize>,
) -> Response<Body> {
    let Some((path, _)) = &file.stored else {
        return build(status, headers, file.bytes.slice(part));
    };
    set(
        &mut headers,
        header::CONTENT_LENGTH,
        &part.len().to_string(),
    );
    let mut response = build(status, headers, Bytes::new());
    *response.body_mut() = Body::from_stream(read(path.clone(), part));
    response
}

/// Part of a stored file, piece by piece.
fn read(
    path: PathBuf,
    part: std::ops::Range<usize>,
) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    let begin = (None::<tokio::fs::File>, part.start);
    futures_util::stream::try_unfold(begin, move |(open, at)| {
        let path = path.clone();
        async move {
            let left = part.end.saturating_sub(at);
            if left == 0 {
                return Ok(None);
            }
            let mut file = match open {
                Some(file) => file,
                None => {
                    let mut file = tokio::fs::File::open(path).await?;
                    file.seek(SeekFrom::Start(at as u64)).await?;
                    file
                }
            };
            let mut piece = Vec::with_capacity(left.min(PIECE));
            let limit = left.min(PIECE) as u64;
            let read = (&mut file).take(limit).read_to_end(&mut piece).await?;
            if read == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            Ok(Some((Bytes::from(piece), (Some(file), at + read))))
        }
    })
}

/// Read of a file at once.
const PIECE: usize = 64 << 10;

fn attachment(name: &str) -> String {
    disposition(false, name)
}

fn disposition(inline: bool, name: &str) -> String {
    let how = if inline { "inline" } else { "attachment" };
    let safe: String = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "._- ".contains(*c))
        .take(128)
        .collect();
    format!("{how}; filename=\"{safe}\"")
}

/// Whether a list of entity tags has this revision.
fn names(tags: &str, revision: &str) -> bool {
    tags.split(',')
        .map(|tag| tag.trim().trim_start_matches("W/").trim_matches('"'))
        .any(|tag| tag == "*" || tag == revision)
}

fn common_headers(about: &About) -> HeaderMap {
    let mut headers = HeaderMap::new();
    set(
        &mut headers,
        HeaderName::from_static("x-request-id"),
        &about.request_id,
    );
    set(&mut headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(&mut headers, header::CACHE_CONTROL, "no-store");
    if about.untyped && matches!(about.verb, Verb::Post | Verb::Put | Verb::Patch) {
        let text = "the request had no Content-Type; application/json was assumed";
        set(&mut headers, HeaderName::from_static("x-rfc2616"), text);
    }
    if about.cross_origin {
        cors(&mut headers, &about.verbs);
    }
    headers
}

fn cors(headers: &mut HeaderMap, verbs: &[Verb]) {
    set(headers, header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    set(
        headers,
        header::ACCESS_CONTROL_ALLOW_METHODS,
        &names_of(verbs),
    );
    let allowed = "content-type, depth, user-agent, x-http-method-override, x-file-size, x-requested-with, \
                   if-modified-since, x-file-name, cache-control, x-auth-token, x-kazoo-cluster-id, if-match";
    set(headers, header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    let exposed = "content-type, x-auth-token, x-request-id, x-kazoo-cluster-id, location, etag";
    set(headers, header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    set(headers, header::ACCESS_CONTROL_MAX_AGE, "86400");
}

fn names_of(verbs: &[Verb]) -> String {
    let names = verbs.iter().map(|verb| verb.name());
    ["OPTIONS"]
        .into_iter()
        .chain(names)
        .collect::<Vec<_>>()
        .join(", ")
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn build(status: u16, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = headers;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        assert_eq!(part("bytes=0-3", 10).unwrap(), Some((0, 4)));
        assert_eq!(part("bytes=5-", 10).unwrap(), Some((5, 10)));
        assert_eq!(part("bytes=-3", 10).unwrap(), Some((7, 10)));
        assert_eq!(part("bytes=5-99", 10).unwrap(), Some((5, 10)));
        assert!(part("bytes=10-", 10).is_err());
        assert_eq!(part("bytes=0-1,3-4", 10).unwrap(), None);
        assert_eq!(part("lines=1-2", 10).unwrap(), None);
    }

    #[test]
    fn file_names_cannot_break_out_of_the_header() {
        assert_eq!(
            attachment("a\"; x=\"b\r\n.wav"),
            "attachment; filename=\"a xb.wav\""
        );
    }

    #[test]
    fn what_to_send_is_tunnelled_or_in_the_header() {
        assert_eq!(
            Accept::of(Some("csv"), Some("application/json")),
            Accept::Csv
        );
        assert_eq!(
            Accept::of(None, Some("text/html, text/csv;q=0.9")),
            Accept::Csv
        );
        assert_eq!(Accept::of(None, Some("audio/*")), Accept::File);
        assert_eq!(Accept::of(None, None), Accept::Json);
    }
}
