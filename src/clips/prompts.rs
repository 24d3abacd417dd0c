//! The texts of system prompts, embedded from `media/prompts/` (`callflow.md` §5), and which language stands in for
//! which.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The language that has every prompt.
pub const DEFAULT_LANGUAGE: &str = "en-us";

/// A text and the language it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prompt {
    /// What is said.
    pub text: &'static str,
    /// The language's tag.
    pub language: &'static str,
}

/// The text of a prompt: in the language, in another variety of it, or in [`DEFAULT_LANGUAGE`].
pub fn text(id: &str, language: &str) -> Option<Prompt> {
    fallbacks(language).iter().find_map(|language| {
        let (language, texts) = CATALOGUE.get_key_value(language.as_str())?;
        texts.get(id).map(|text| Prompt { text, language })
    })
}

/// Every prompt id, sorted.
pub fn ids() -> Vec<&'static str> {
    CATALOGUE
        .get(DEFAULT_LANGUAGE)
        .map(|texts| texts.keys().map(String::as_str).collect())
        .unwrap_or_default()
}

/// The languages that have prompts of their own.
pub fn languages() -> Vec<&'static str> {
    CATALOGUE.keys().copied().collect()
}

/// A language, its primary part, other varieties of it that have prompts, and the default.
pub(super) fn fallbacks(language: &str) -> Vec<String> {
    let language = language.replace('_', "-").to_ascii_lowercase();
    let primary = primary(&language).to_owned();
    let varieties = CATALOGUE
        .keys()
        .filter(|l| self::primary(l) == primary)
        .map(|l| (*l).to_owned());
    let mut all = vec![language.clone(), primary.clone()];
    all.extend(varieties);
    all.push(DEFAULT_LANGUAGE.to_owned());
    all.retain(|l| !l.is_empty());
    let mut seen = Vec::new();
    all.retain(|l| {
        !seen.contains(l) && {
            seen.push(l.clone());
            true
        }
    });
    all
}

/// The part of a tag before the first dash.
pub(super) fn primary(language: &str) -> &str {
    language.split('-').next().unwrap_or(language)
}

type Texts = BTreeMap<String, String>;

static CATALOGUE: LazyLock<BTreeMap<&'static str, Texts>> = LazyLock::new(|| {
    FILES
        .iter()
        .filter_map(
            |(language, file)| match serde_json::from_str::<Texts>(file) {
                Ok(texts) => Some((*language, texts)),
                Err(error) => {
                    tracing::error!(language, %error, "a prompt catalogue cannot be read");
                    None
                }
            },
        )
        .collect()
});

macro_rules! catalogues {
    ($($language:literal),* $(,)?) => {
        const FILES: &[(&str, &str)] =
            &[$(($language, include_str!(concat!("../../media/prompts/", $language, "/prompts.json")))),*];
    };
}

catalogues! { "de-de", "en-us", "es-es", "fr-fr" }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_folder_of_prompts_is_listed_and_readable() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("media/prompts");
        let mut folders: Vec<String> = std::fs::read_dir(root)
            .unwrap()
            .filter_map(|entry| entry.ok().filter(|e| e.path().is_dir()))
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        folders.sort();
        assert_eq!(folders, languages());
    }

    #[test]
    fn a_missing_language_or_text_has_a_stand_in() {
        let of = |id: &str, language: &str| text(id, language).map(|p| p.language);
        assert_eq!(of("menu-exit", "en-us"), Some("en-us"));
        assert_eq!(of("menu-exit", "EN_GB"), Some("en-us"));
        assert_eq!(of("vm-goodbye", "de-at"), Some("de-de"));
        assert_eq!(of("vm-goodbye", "xx"), Some("en-us"));
        assert_eq!(of("vm-goodbye", ""), Some("en-us"));
        assert_eq!(of("no-such-prompt", "en-us"), None);
    }

    #[test]
    fn the_default_language_has_every_prompt_of_the_others() {
        let all = ids();
        assert!(all.len() > 100);
        for texts in CATALOGUE.values() {
            for id in texts.keys() {
                assert!(all.contains(&id.as_str()), "{id}");
            }
        }
    }

    #[test]
    fn the_prompts_of_failures_exist() {
        for id in [
            "fault-can_not_be_completed_as_dialed",
            "fault-can_not_be_completed_at_this_time",
            "fault-facility_trouble",
        ] {
            for language in languages() {
                assert!(text(id, language).is_some(), "{id} {language}");
            }
        }
    }
}
