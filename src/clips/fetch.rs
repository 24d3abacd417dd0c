//! Audio by URL, kept as its server allows (RFC 9111, as far as a private cache of whole files needs it): fresh by
//! `max-age`, otherwise asked again with `If-None-Match` or `If-Modified-Since`. What must not be stored is not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::cache::Disk;
use super::decode::Input;
use super::{ClipError, ClipsConfig};
use crate::host::http::{HttpClient, HttpRequest, HttpResponse};
use crate::host::{clock, task};

/// Fetches and remembers what was fetched.
pub(super) struct Fetcher {
    http: HttpClient,
    disk: Option<Arc<Disk>>,
    limit: usize,
    timeout: Duration,
    known: Mutex<HashMap<String, Known>>,
}

/// A fetched file.
#[derive(Debug, Clone)]
pub(super) struct Fetched {
    /// Names this very content.
    pub(super) key: String,
    pub(super) content: Content,
}

#[derive(Debug, Clone)]
pub(super) enum Content {
    Memory(Bytes),
    Disk(String),
}

#[derive(Debug, Clone)]
struct Known {
    fetched: Fetched,
    etag: Option<String>,
    modified: Option<String>,
    fresh_until: Option<Instant>,
    used: Instant,
}

impl Fetcher {
    pub(super) fn new(http: HttpClient, disk: Option<Arc<Disk>>, config: &ClipsConfig) -> Self {
        Self {
            http,
            disk,
            limit: config.max_fetch,
            timeout: config.fetch_timeout,
            known: Mutex::default(),
        }
    }

    /// The file behind a URL: kept and fresh, kept and confirmed, or fetched now.
    pub(super) async fn fetch(&self, url: &Url) -> Result<Fetched, ClipError> {
        // The rules may have changed since the file was kept.
        let failed = |error| ClipError::Fetch {
            url: shown(url),
            error,
        };
        self.http
            .guard()
            .check_url(url)
            .map_err(|refused| failed(refused.into()))?;
        let known = self.known(url);
        if let Some(known) = known
            .as_ref()
            .filter(|k| k.fresh_until.is_some_and(|until| clock::now() < until))
        {
            return Ok(known.fetched.clone());
        }
        let mut request = HttpRequest::get(url.clone());
        request.timeout = self.timeout;
        request.max_body = self.limit;
        if let Some(known) = &known {
            let tags = [
                ("If-None-Match", &known.etag),
                ("If-Modified-Since", &known.modified),
            ];
            let given = tags
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
            request.headers.extend(given);
        }
        let (response, content) = self.load(request).await.map_err(|error| match error {
            Failure::Http(error) => failed(error),
            Failure::Disk(kind) => ClipError::Disk {
                what: "media cache",
                detail: kind.to_string(),
            },
        })?;
        match (response.status, known) {
            (304, Some(known)) => {
                self.remember(url, &response, known.fetched.clone(), Some(&known));
                Ok(known.fetched)
            }
            (200 | 203, _) => {
                let fetched = content.ok_or(ClipError::Gone)?;
                self.remember(url, &response, fetched.clone(), None);
                Ok(fetched)
            }
            (status, _) => Err(ClipError::Status {
                url: shown(url),
                status,
            }),
        }
    }

    /// What a file holds, for the decoder. `None` when it has been removed meanwhile.
    pub(super) fn input(&self, fetched: &Fetched) -> Option<Input> {
        match &fetched.content {
            Content::Memory(bytes) => Some(Input::Memory(bytes.clone())),
            Content::Disk(key) => {
                let path = self.disk.as_ref()?.path(key);
                std::fs::File::open(path).ok().map(Input::Disk)
            }
        }
    }

    /// Forgets a URL whose file is gone.
    pub(super) fn forget(&self, url: &Url) {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(url.as_str());
    }

    async fn load(&self, request: HttpRequest) -> Result<(HttpResponse, Option<Fetched>), Failure> {
        let Some(disk) = self.disk.clone() else {
            let response = self.http.send(request).await.map_err(Failure::Http)?;
            let key = hex::encode(Sha256::digest(&response.body));
            let content = Content::Memory(response.body.clone());
            return Ok((response, Some(Fetched { key, content })));
        };
        let (file, part) = {
            let disk = disk.clone();
            blocking(move || disk.begin()).await?
        };
        let copy = file
            .try_clone()
            .map_err(|error| Failure::Disk(error.kind()))?;
        let response = self
            .http
            .download(request, copy)
            .await
            .map_err(Failure::Http)?;
        if !(200..300).contains(&response.status) {
            return Ok((response, None));
        }
        let key = blocking(move || {
            let key = hash(file)?;
            disk.keep(part, &key)?;
            Ok(key)
        });
        let key = key.await?;
        Ok((
            response,
            Some(Fetched {
                key: key.clone(),
                content: Content::Disk(key),
            }),
        ))
    }

    fn known(&self, url: &Url) -> Option<Known> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = known.get_mut(url.as_str())?;
        if let Content::Disk(key) = &entry.fetched.content
            && !self
                .disk
                .as_ref()
                .is_some_and(|disk| disk.path(key).exists())
        {
            known.remove(url.as_str());
            return None;
        }
        entry.used = clock::now();
        Some(entry.clone())
    }

    fn remember(
        &self,
        url: &Url,
        response: &HttpResponse,
        fetched: Fetched,
        before: Option<&Known>,
    ) {
        let rules = Rules::of(response.header("cache-control").unwrap_or(""));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if rules.no_store {
            known.remove(url.as_str());
            return;
        }
        let now = clock::now();
        let age: u64 = response
            .header("age")
            .and_then(|age| age.trim().parse().ok())
            .unwrap_or(0);
        let header = |name: &str| response.header(name).map(str::to_owned);
        let entry = Known {
            fetched,
            etag: header("etag").or_else(|| before.and_then(|b| b.etag.clone())),
            modified: header("last-modified").or_else(|| before.and_then(|b| b.modified.clone())),
            fresh_until: rules.fresh.map(|fresh| {
                now + Duration::from_secs(fresh.saturating_sub(age).min(LONGEST_FRESH))
            }),
            used: now,
        };
        // Nothing can confirm it later and nothing says it is fresh: not worth its place.
        if entry.etag.is_none() && entry.modified.is_none() && entry.fresh_until.is_none() {
            known.remove(url.as_str());
            return;
        }
        known.insert(url.as_str().to_owned(), entry);
        self.make_room(&mut known);
    }

    /// Keeps the table, and bodies that are in memory, within limits.
    fn make_room(&self, known: &mut HashMap<String, Known>) {
        let in_memory = |k: &Known| match &k.fetched.content {
            Content::Memory(bytes) => bytes.len(),
            Content::Disk(_) => 0,
        };
        let mut bytes: usize = known.values().map(in_memory).sum();
        while known.len() > MOST_KNOWN || bytes > self.limit {
            let Some(oldest) = known
                .iter()
                .min_by_key(|(_, k)| k.used)
                .map(|(url, _)| url.clone())
            else {
                return;
            };
            if let Some(gone) = known.remove(&oldest) {
                bytes = bytes.saturating_sub(in_memory(&gone));
            }
        }
    }
}

enum Failure {
    Http(crate::host::http::HttpError),
    Disk(std::io::ErrorKind),
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    let done = task::blocking("media-cache", work).await;
    done.unwrap_or_else(|| Err(std::io::ErrorKind::Other.into()))
        .map_err(|error| Failure::Disk(error.kind()))
}

fn hash(mut file: std::fs::File) -> std::io::Result<String> {
    use std::io::{Seek as _, SeekFrom};
    file.seek(SeekFrom::Start(0))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = std::io::Read::read(&mut file, &mut buffer)?;
        if read == 0 {
            return Ok(hex::encode(hash.finalize()));
        }
        hash.update(buffer.get(..read).unwrap_or_default());
    }
}

/// What `Cache-Control` says to a private cache.
#[derive(Debug, PartialEq, Eq)]
struct Rules {
    no_store: bool,
    /// Seconds it may be used without asking.
    fresh: Option<u64>,
}

impl Rules {
    fn of(header: &str) -> Self {
        let (mut no_store, mut no_cache, mut max_age) = (false, false, None);
        for directive in header.split(',') {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "no-store" => no_store = true,
                "no-cache" => no_cache = true,
                "max-age" => max_age = value.trim().trim_matches('"').parse().ok(),
                _ => {}
            }
        }
        Self {
            no_store,
            fresh: max_age.filter(|age| !no_cache && !no_store && *age > 0),
        }
    }
}

/// A URL as errors show it: without user information and query.
fn shown(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

/// URLs remembered at most.
const MOST_KNOWN: usize = 10_000;
/// Longest time without asking, in seconds.
const LONGEST_FRESH: u64 = 7 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_control_is_obeyed() {
        for (header, no_store, fresh) in [
            ("", false, None),
            ("max-age=60", false, Some(60)),
            ("public, Max-Age=\"60\", immutable", false, Some(60)),
            ("max-age=0", false, None),
            ("no-cache, max-age=60", false, None),
            ("no-store, max-age=60", true, None),
            ("max-age=x", false, None),
        ] {
            assert_eq!(Rules::of(header), Rules { no_store, fresh }, "{header:?}");
        }
    }
}
