//! What a media reference in a document means (`callflow.md` §3.1). Nothing is looked up here.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use url::Url;

use super::ClipError;

/// A media reference, understood.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reference {
    /// Silence: so long, or for ever.
    Silence(Option<Duration>),
    /// `tone_stream://…`.
    Tone(String),
    /// An http or https URL.
    Url(Url),
    /// A system prompt, with the language it names.
    Prompt {
        id: String,
        language: Option<String>,
    },
    /// A media document of the account.
    Media(String),
}

impl Reference {
    pub(super) fn parse(text: &str) -> Result<Self, ClipError> {
        let text = text.trim();
        let unknown = || ClipError::Reference {
            reference: text.chars().take(200).collect(),
        };
        if let Some((scheme, rest)) = text.split_once("://") {
            return match scheme.to_ascii_lowercase().as_str() {
                "http" | "https" => Url::parse(text).map(Self::Url).map_err(|_| unknown()),
                "silence_stream" => silence(rest).ok_or_else(unknown),
                "tone_stream" => Ok(Self::Tone(text.to_owned())),
                "prompt" => prompt(rest).ok_or_else(unknown),
                // Hold music and radio streams are not built yet.
                _ => Err(unknown()),
            };
        }
        if text == "silence" {
            return Ok(Self::Silence(Some(Duration::from_millis(20))));
        }
        let decoded = percent_decode_str(text)
            .decode_utf8()
            .map_err(|_| unknown())?;
        let parts: Vec<&str> = decoded.split('/').filter(|part| !part.is_empty()).collect();
        match parts.as_slice() {
            [id] if !decoded.contains('/') => Ok(Self::Media((*id).to_owned())),
            ["system_media", id] => Ok(Self::Prompt {
                id: (*id).to_owned(),
                language: None,
            }),
            // A document of a database: ours are all the account's own.
            [_database, id] if decoded.starts_with('/') => Ok(Self::Media((*id).to_owned())),
            ["system_media", language, id] | [language, id] if is_language(language) => {
                Ok(Self::Prompt {
                    id: (*id).to_owned(),
                    language: Some(language.to_lowercase()),
                })
            }
            _ => Err(unknown()),
        }
    }
}

/// `silence_stream://1000` or `1000,1400` in milliseconds; `-1` is for ever. The second number is comfort noise.
fn silence(rest: &str) -> Option<Reference> {
    let millis: i64 = rest.split(',').next()?.trim().parse().ok()?;
    let length = u64::try_from(millis)
        .ok()
        .map(|ms| Duration::from_millis(ms).min(LONGEST_SILENCE));
    (length.is_some() || millis == -1).then_some(Reference::Silence(length))
}

/// `prompt://ID`, `prompt://ACCOUNT/ID` or `prompt://ACCOUNT/ID/LANGUAGE`. The account is always the call's own.
fn prompt(rest: &str) -> Option<Reference> {
    let parts: Vec<&str> = rest.split('/').filter(|part| !part.is_empty()).collect();
    let (id, language) = match parts.as_slice() {
        [id] | [_, id] => (id, None),
        [_, id, language] => (id, Some(language.to_lowercase())),
        _ => return None,
    };
    Some(Reference::Prompt {
        id: (*id).to_owned(),
        language,
    })
}

/// `en`, `en-us`, `zh-hans-cn`.
fn is_language(text: &str) -> bool {
    let mut parts = text.split(['-', '_']);
    let primary = parts.next().unwrap_or("");
    (2..=3).contains(&primary.len())
        && primary.bytes().all(|b| b.is_ascii_alphabetic())
        && parts.all(|part| {
            (2..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
        })
}

const LONGEST_SILENCE: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(id: &str, language: Option<&str>) -> Reference {
        Reference::Prompt {
            id: id.to_owned(),
            language: language.map(str::to_owned),
        }
    }

    #[test]
    fn each_kind_of_reference_is_understood() {
        let ms = |ms| Reference::Silence(Some(Duration::from_millis(ms)));
        for (text, wanted) in [
            (
                "0123456789abcdef0123456789abcdef",
                Reference::Media("0123456789abcdef0123456789abcdef".to_owned()),
            ),
            ("my-media", Reference::Media("my-media".to_owned())),
            (
                "/account%2F00%2F01/my-media",
                Reference::Media("x".to_owned()),
            ),
            ("silence_stream://250", ms(250)),
            ("silence_stream://250,1400", ms(250)),
            ("silence_stream://-1", Reference::Silence(None)),
            ("silence", ms(20)),
            (
                "tone_stream://%(250,50,440)",
                Reference::Tone("tone_stream://%(250,50,440)".to_owned()),
            ),
            ("prompt://menu-exit", prompt("menu-exit", None)),
            (
                "prompt://acc/menu-exit/fr-FR",
                prompt("menu-exit", Some("fr-fr")),
            ),
            (
                "/system_media/en-us%2Fmenu-exit",
                prompt("menu-exit", Some("en-us")),
            ),
            ("system_media/menu-exit", prompt("menu-exit", None)),
            ("en-us%2Fmenu-exit", prompt("menu-exit", Some("en-us"))),
            (
                "HTTP://h/a.wav",
                Reference::Url(Url::parse("http://h/a.wav").unwrap()),
            ),
        ] {
            let got = Reference::parse(text);
            // Four parts are no document path.
            if text.starts_with("/account") {
                assert!(got.is_err(), "{text}");
                continue;
            }
            assert_eq!(got, Ok(wanted), "{text}");
        }
        assert_eq!(
            Reference::parse("/db/doc"),
            Ok(Reference::Media("doc".to_owned()))
        );
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            " ",
            "/",
            "../../etc/passwd",
            "/etc/passwd/x",
            "file:///etc/passwd",
            "local_stream://moh",
            "shout://h/x",
            "silence_stream://x",
            "silence_stream://-2",
            "a/b/c/d",
            "..%2f..%2fetc",
            "http://",
            "prompt://",
            "%ff",
        ] {
            assert!(Reference::parse(text).is_err(), "{text:?}");
        }
    }
}
