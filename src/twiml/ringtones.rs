//! What a caller hears while it rings, by country (ITU-T E.180 supplement 2), for `ringTone` of Dial.

/// The countries, by Twilio's codes.
pub(super) const COUNTRIES: &[&str] = &[
    "at", "au", "bg", "br", "be", "ch", "cl", "cn", "cz", "de", "dk", "ee", "es", "fi", "fr", "gr",
    "hu", "il", "in", "it", "lt", "jp", "mx", "my", "nl", "no", "nz", "ph", "pl", "pt", "ru", "se",
    "sg", "th", "uk", "us", "us-old", "tw", "ve", "za",
];

/// The tone of a country, as a media reference.
pub(super) fn of(country: &str) -> Option<String> {
    let country = country.trim().to_ascii_lowercase();
    if !COUNTRIES.contains(&country.as_str()) {
        return None;
    }
    let cadence = match country.as_str() {
        "at" | "hu" => "%(1000,5000,420)",
        "au" => "%(400,200,413,438);%(400,2000,413,438)",
        "be" | "cz" | "de" | "ee" | "gr" | "pl" | "pt" => "%(1000,4000,425)",
        "nl" | "dk" | "no" | "bg" | "ch" | "lt" => "%(1000,4000,425)",
        "br" | "it" | "cn" | "th" => "%(1000,4000,425)",
        "cl" => "%(1000,3000,400)",
        "es" => "%(1500,3000,425)",
        "fi" => "%(1000,4000,425)",
        "fr" => "%(1500,3500,440)",
        "il" => "%(1000,3000,400)",
        "in" => "%(400,200,400,450);%(400,2000,400,450)",
        "jp" => "%(1000,2000,384,416)",
        "mx" | "ve" => "%(1000,4000,425)",
        "my" => "%(400,200,425);%(400,2000,425)",
        "nz" => "%(400,200,400,450);%(400,2000,400,450)",
        "ph" | "us" => "%(2000,4000,440,480)",
        "us-old" => "%(2000,4000,420,460)",
        "ru" => "%(800,3200,425)",
        "se" => "%(1000,5000,425)",
        "sg" => "%(400,200,401,425);%(400,2000,401,425)",
        "tw" => "%(1000,2000,440,480)",
        "uk" => "%(400,200,400,450);%(400,2000,400,450)",
        "za" => "%(400,200,400,433);%(400,2000,400,433)",
        _ => return None,
    };
    Some(format!("tone_stream://{cadence}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::ToneStream;

    #[test]
    fn every_country_has_a_tone_that_can_be_made() {
        for country in COUNTRIES {
            let tone = of(country).unwrap_or_else(|| panic!("{country}"));
            assert!(ToneStream::parse(&tone).is_ok(), "{country}: {tone}");
        }
        assert_eq!(of("xx"), None);
    }
}
