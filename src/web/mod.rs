//! The page: the files `make ui` builds from `ui/`, inside the binary, and how they are served. `api` asks it for every path
//! that is not its own.
//!
//! - `files`: what is embedded, and which of it answers a path. - `headers`: what browsers are told to refuse.
//!
//! A release holds the files; a debug build reads them from `ui/dist` as they are, so that a change of the page needs no
//! compiler.

mod files;
mod headers;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};

use files::{Coding, Found};

/// First parts of paths that belong to the API and its neighbours.
const NOT_OURS: [&str; 6] = ["v1", "v2", "sip", "metrics", "healthz", "2010-04-01"];

/// What the page answers; `None` where the path is not the page's.
pub fn answer(method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<Response<Body>> {
    if method != Method::GET && method != Method::HEAD {
        return None;
    }
    let path = uri.path();
    let first = path.trim_start_matches('/').split('/').next()?;
    if NOT_OURS.contains(&first) {
        return None;
    }
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
            .unwrap_or_default()
    };
    let coding = Coding::of(text(header::ACCEPT_ENCODING));
    let name = path.trim_start_matches('/');
    let found = match files::file(name, coding) {
        Some(found) => found,
        // An address of the page: the page itself knows what is there.
        None if path == "/" || is_browser(text(header::ACCEPT)) && !is_asset(name) => {
            match files::file(files::INDEX, coding) {
                Some(index) => index,
                None => return Some(missing(method)),
            }
        }
        None => return None,
    };
    Some(send(method, found, text(header::IF_NONE_MATCH)))
}

/// Whether the page was built into this binary.
pub fn is_built() -> bool {
    files::file(files::INDEX, Coding::Plain).is_some()
}

fn is_browser(accept: &str) -> bool {
    accept.contains("text/html")
}

fn is_asset(name: &str) -> bool {
    name.starts_with(files::HASHED)
}

fn send(method: &Method, found: Found, known: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let told = response.headers_mut();
    headers::put(told);
    let mut set = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            told.insert(name, value);
        }
    };
    set(header::ETAG, &found.tag);
    set(header::VARY, "accept-encoding");
    set(
        header::CACHE_CONTROL,
        if found.hashed {
            "public, max-age=31536000, immutable"
        } else {
            "no-cache"
        },
    );
    if known.split(',').any(|tag| tag.trim() == found.tag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    set(header::CONTENT_TYPE, found.content_type);
    set(header::CONTENT_LENGTH, &found.bytes.len().to_string());
    if let Some(name) = found.coding.name() {
        set(header::CONTENT_ENCODING, name);
    }
    if method == Method::GET {
        *response.body_mut() = Body::from(found.bytes);
    }
    response
}

/// A binary that was built without Node says how to get the page.
fn missing(method: &Method) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_FOUND;
    headers::put(response.headers_mut());
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if method == Method::GET {
        *response.body_mut() = Body::from(MISSING);
    }
    response
}

const MISSING: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<title>swivel</title>
<h1>swivel is running, without its page</h1>
<p>This binary was built before the page was. Calls, the API and everything else work.</p>
<p>To get the page, install Node 18 or newer, then in the sources:</p>
<pre>make ui
cargo build --release</pre>
<p><code>make demo</code> does both. The API is at <a href=\"/v2\">/v2</a>, described at
<a href=\"/v2/openapi.json\">/v2/openapi.json</a>.</p>
</html>
";

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(path: &str, pairs: &[(&'static str, &str)]) -> Option<Response<Body>> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        answer(&Method::GET, &path.parse().unwrap(), &headers)
    }

    const BROWSER: (&str, &str) = ("accept", "text/html,*/*;q=0.8");

    #[test]
    fn paths_of_the_api_are_not_the_pages() {
        for path in [
            "/v2/accounts",
            "/v1/x",
            "/sip",
            "/metrics",
            "/healthz",
            "/2010-04-01/Accounts",
        ] {
            assert!(ask(path, &[BROWSER]).is_none(), "{path}");
        }
        assert!(
            ask("/other", &[("accept", "*/*")]).is_none(),
            "a program gets the API's refusal"
        );
        let post = answer(&Method::POST, &Uri::from_static("/now"), &HeaderMap::new());
        assert!(post.is_none());
    }

    #[test]
    fn addresses_of_the_page_give_the_page_or_say_how_to_get_it() {
        for path in ["/", "/now", "/calls/a%40b.c?t=1"] {
            let response = ask(path, &[BROWSER]).unwrap();
            let built = is_built();
            assert_eq!(response.status() == StatusCode::OK, built, "{path}");
            assert_eq!(
                response.headers()["content-type"],
                "text/html; charset=utf-8"
            );
            let policy = response.headers()["content-security-policy"]
                .to_str()
                .unwrap();
            assert!(policy.starts_with("default-src 'self';"), "{policy}");
            assert_eq!(response.headers()["x-content-type-options"], "nosniff");
            assert_eq!(response.headers()["referrer-policy"], "no-referrer");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_no_page() {
        assert!(ask("/assets/gone-12345678.js", &[BROWSER]).is_none());
        assert!(ask("/../Cargo.toml", &[("accept", "*/*")]).is_none());
    }

    #[test]
    fn what_the_browser_has_is_not_sent_again() {
        if !is_built() {
            return;
        }
        let tag = ask("/", &[]).unwrap().headers()["etag"]
            .to_str()
            .unwrap()
            .to_owned();
        let again = ask("/", &[("if-none-match", &tag)]).unwrap();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        let coded = ask("/", &[("accept-encoding", "gzip, br")]).unwrap();
        assert_eq!(coded.headers()["content-encoding"], "br");
        assert_ne!(
            coded.headers()["etag"].to_str().unwrap(),
            tag,
            "another coding is another thing"
        );
    }
}
