//! Which voice of a provider stands for a wish: the operator's map, and espeak-ng's own languages.

use std::collections::BTreeMap;

/// The provider's voice the operator's map has for a voice and a language; the most exact entry wins:
/// `en-us/female`, `en/female`, `female`, `en-us`, `en`.
pub(super) fn mapped<'a>(
    map: &'a BTreeMap<String, String>,
    voice: &str,
    language: &str,
) -> Option<&'a str> {
    let (voice, language) = (plain(voice), language.to_ascii_lowercase());
    let primary = primary(&language);
    let keys = [
        format!("{language}/{voice}"),
        format!("{primary}/{voice}"),
        voice.clone(),
        language.clone(),
        primary.to_owned(),
    ];
    keys.iter().find_map(|key| find(map, key))
}

/// `female` or `male` for KAZOO's and TwiML's words; anything else as it is, in lower case.
pub(super) fn plain(voice: &str) -> String {
    let voice = voice.trim().to_ascii_lowercase();
    match voice.as_str() {
        "man" => "male".to_owned(),
        "woman" | "" => "female".to_owned(),
        _ => voice,
    }
}

/// A wish our providers can have: voices of Amazon and Google that no entry of the map stands for are the usual one.
pub(super) fn ours(wish: String) -> String {
    let foreign = ["polly.", "google.", "alice"];
    if foreign.iter().any(|start| wish.starts_with(start)) {
        "female".to_owned()
    } else {
        wish
    }
}

/// The voice espeak-ng is asked for: its language, and one of its variants.
pub(super) fn espeak(voice: &str, language: &str) -> String {
    let language = language.to_ascii_lowercase();
    let language = espeak_language(&language);
    match plain(voice).as_str() {
        "male" => format!("{language}+m3"),
        _ => format!("{language}+f2"),
    }
}

/// Text that is safe as one argument of a program: a name, never an option or a path out of its folder.
pub(super) fn is_argument(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 128
        && !text.starts_with('-')
        && !text.contains("..")
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || "_+.-/ ()".contains(c))
}

fn find<'a>(map: &'a BTreeMap<String, String>, key: &str) -> Option<&'a str> {
    map.iter()
        .find(|(k, _)| k.eq_ignore_ascii_case(key))
        .map(|(_, v)| v.as_str())
}

fn primary(language: &str) -> &str {
    language.split(['-', '_']).next().unwrap_or(language)
}

fn espeak_language(language: &str) -> &str {
    let known = |tag: &str| ESPEAK.iter().find(|l| **l == tag).copied();
    let other = match language {
        "zh" | "zh-cn" | "zh-tw" | "zh-hans" | "zh-hant" => Some("cmn"),
        "zh-hk" => Some("yue"),
        "en-au" | "en-nz" | "en-ie" | "en-in" | "en-za" | "en" => Some("en-gb"),
        "en-ca" => Some("en-us"),
        "es-mx" | "es-us" | "es-ar" | "es-co" | "es-cl" | "es-pe" | "es-ve" => Some("es-419"),
        "fr" | "fr-ca" => Some("fr-fr"),
        "no" | "nn" => Some("nb"),
        _ => None,
    };
    other
        .or_else(|| known(language))
        .or_else(|| known(primary(language)))
        .unwrap_or("en-us")
}

/// Languages espeak-ng has voices for.
const ESPEAK: &[&str] = &[
    "af", "am", "an", "ar", "as", "az", "be", "bg", "bn", "bs", "ca", "cmn", "cs", "cy", "da",
    "de", "el", "en-gb", "en-us", "eo", "es", "es-419", "et", "eu", "fa", "fi", "fr-be", "fr-ch",
    "fr-fr", "ga", "gd", "gu", "he", "hi", "hr", "hu", "hy", "id", "is", "it", "ja", "ka", "kk",
    "kn", "ko", "ku", "ky", "la", "lb", "lt", "lv", "mi", "mk", "ml", "mr", "ms", "mt", "my", "nb",
    "ne", "nl", "or", "pa", "pl", "pt", "pt-br", "ro", "ru", "sd", "si", "sk", "sl", "sq", "sr",
    "sv", "sw", "ta", "te", "th", "tr", "tt", "uk", "ur", "uz", "vi", "yue",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voices_of_other_houses_are_the_usual_one_unless_mapped() {
        assert_eq!(ours(plain("Polly.Joanna-Neural")), "female");
        assert_eq!(ours(plain("Google.en-US-Standard-A")), "female");
        assert_eq!(ours(plain("man")), "male");
        assert_eq!(ours(plain("af_heart")), "af_heart");
    }

    #[test]
    fn the_most_exact_entry_of_the_map_wins() {
        let map: BTreeMap<String, String> = [
            ("female", "F"),
            ("de/female", "DF"),
            ("de", "D"),
            ("de-at/male", "AM"),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
        assert_eq!(mapped(&map, "woman", "en-us"), Some("F"));
        assert_eq!(mapped(&map, "female", "de-de"), Some("DF"));
        assert_eq!(mapped(&map, "male", "DE-AT"), Some("AM"));
        assert_eq!(mapped(&map, "male", "de-de"), Some("D"));
        assert_eq!(mapped(&map, "male", "fr"), None);
    }

    #[test]
    fn espeak_speaks_the_language_or_american_english() {
        assert_eq!(espeak("female", "en-us"), "en-us+f2");
        assert_eq!(espeak("man", "de-at"), "de+m3");
        assert_eq!(espeak("", "zh-CN"), "cmn+f2");
        assert_eq!(espeak("whoever", "xx-yy"), "en-us+f2");
    }

    #[test]
    fn options_and_paths_are_no_arguments() {
        for bad in [
            "",
            "-w",
            "--stdout",
            "../../etc/passwd",
            "a;b",
            "a\nb",
            "$(x)",
            "a|b",
        ] {
            assert!(!is_argument(bad), "{bad:?}");
        }
        assert!(is_argument("en-us+f2") && is_argument("mb/mb-de5"));
    }
}
