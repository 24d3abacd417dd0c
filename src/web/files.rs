//! What is embedded, and the form of it a browser takes. The build of the page lays `name.br` and `name.gz` beside what
//! shrinks.

use std::borrow::Cow;

use bytes::Bytes;
use rust_embed::RustEmbed;

/// The page itself.
pub(super) const INDEX: &str = "index.html";
/// Below this a name holds a hash of its content.
pub(super) const HASHED: &str = "assets/";

#[derive(RustEmbed)]
#[folder = "ui/dist"]
#[allow_missing = true]
struct Dist;

/// How content is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Brotli,
    Gzip,
    Plain,
}

impl Coding {
    /// The best a browser takes (RFC 9110 §12.5.3).
    pub(super) fn of(accepted: &str) -> Coding {
        let takes = |name: &str| {
            accepted.split(',').any(|one| {
                let (coding, weight) = one.split_once(';').unwrap_or((one, ""));
                let never = weight.trim().trim_start_matches("q=").parse() == Ok(0.0_f32);
                coding.trim().eq_ignore_ascii_case(name) && !never
            })
        };
        match () {
            () if takes("br") => Coding::Brotli,
            () if takes("gzip") => Coding::Gzip,
            () => Coding::Plain,
        }
    }

    /// As `Content-Encoding` names it.
    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Coding::Brotli => Some("br"),
            Coding::Gzip => Some("gzip"),
            Coding::Plain => None,
        }
    }

    fn ending(self) -> &'static str {
        match self {
            Coding::Brotli => ".br",
            Coding::Gzip => ".gz",
            Coding::Plain => "",
        }
    }
}

/// A file in the form it is sent in.
pub(super) struct Found {
    pub(super) bytes: Bytes,
    pub(super) content_type: &'static str,
    pub(super) coding: Coding,
    /// For `ETag`, with quotes.
    pub(super) tag: String,
    /// Its name changes with its content.
    pub(super) hashed: bool,
}

/// The file of that name, in `coding` where there is such a form.
pub(super) fn file(name: &str, coding: Coding) -> Option<Found> {
    let content_type = content_type(name)?;
    if name.split('/').any(|part| part == ".." || part == ".") {
        return None;
    }
    let coded = match coding {
        Coding::Plain => None,
        coding => Dist::get(&format!("{name}{}", coding.ending())).map(|file| (file, coding)),
    };
    let (file, coding) = match coded {
        Some(found) => found,
        None => (Dist::get(name)?, Coding::Plain),
    };
    let hash: String = hex::encode(file.metadata.sha256_hash())
        .chars()
        .take(16)
        .collect();
    let bytes = match file.data {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    };
    Some(Found {
        bytes,
        content_type,
        coding,
        tag: format!("\"{hash}{}\"", coding.ending()),
        hashed: name.starts_with(HASHED),
    })
}

/// What a name ending says; other files are not served.
fn content_type(name: &str) -> Option<&'static str> {
    let (_, ending) = name.rsplit_once('.')?;
    Some(match ending {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/vnd.microsoft.icon",
        "json" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_coding_a_browser_takes_is_chosen() {
        assert_eq!(Coding::of("gzip, deflate, br, zstd"), Coding::Brotli);
        assert_eq!(Coding::of("gzip, deflate"), Coding::Gzip);
        assert_eq!(Coding::of("br;q=0, GZIP;q=0.5"), Coding::Gzip);
        assert_eq!(Coding::of(""), Coding::Plain);
    }

    #[test]
    fn only_known_kinds_of_files_inside_the_folder_are_served() {
        for name in ["x.sh", "Makefile", "../ui/package.json", "index.html.br"] {
            assert!(file(name, Coding::Plain).is_none(), "{name}");
        }
    }
}
