//! Strict JSON: depth, duplicate keys and size are limited, and an error says where it is.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// A mistake in JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    /// `invalid JSON` or `trailing data`, with what is wrong.
    pub(super) message: String,
    /// Byte offset.
    pub(super) at: usize,
    /// Text before the place, as much as is shown.
    pub(super) before: String,
    /// Text after it.
    pub(super) after: String,
}

/// Parses a whole text.
///
/// # Errors
/// Where and why it is not JSON within the limits.
pub(super) fn parse(text: &str) -> Result<Value, Mistake> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let depth = Cell::new(0);
    let value = Strict(&depth)
        .deserialize(&mut deserializer)
        .map_err(|error| mistake(text, "invalid JSON", &error))?;
    deserializer
        .end()
        .map_err(|error| mistake(text, "trailing data", &error))?;
    Ok(value)
}

fn mistake(text: &str, what: &str, error: &serde_json::Error) -> Mistake {
    let at = offset(text, error.line(), error.column());
    let (before, after) = text.split_at_checked(at).unwrap_or((text, ""));
    let reason = error.to_string();
    let reason = reason.split(" at line ").next().unwrap_or_default();
    let message = if what == "trailing data" {
        what.to_owned()
    } else {
        format!("{what}: {reason}")
    };
    Mistake {
        message,
        at,
        before: tail(before, SHOWN).to_owned(),
        after: head(after, SHOWN).to_owned(),
    }
}

/// The byte offset of serde_json's line and column (from 1; column 0 is the end of the line before).
fn offset(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    let mut at = start
        .saturating_add(column.saturating_sub(1))
        .min(text.len());
    while !text.is_char_boundary(at) {
        at = at.saturating_sub(1);
    }
    at
}

fn head(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

fn tail(text: &str, most: usize) -> &str {
    let from = text.len().saturating_sub(most);
    let start = (from..=text.len())
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(text.len());
    text.get(start..).unwrap_or_default()
}

/// Builds a value, counting how deep it is.
#[derive(Clone, Copy)]
struct Strict<'a>(&'a Cell<usize>);

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Strict<'_> {
    fn deeper<T, E: serde::de::Error>(self, build: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let depth = self.0.get() + 1;
        if depth > MAX_DEPTH {
            return Err(E::custom(format!("nested deeper than {MAX_DEPTH}")));
        }
        self.0.set(depth);
        let built = build();
        self.0.set(depth - 1);
        built
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        self.deeper(|| {
            let mut list = Vec::new();
            while let Some(item) = items.next_element_seed(self)? {
                list.push(item);
            }
            Ok(Value::Array(list))
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        self.deeper(|| {
            let mut map = Map::new();
            while let Some(key) = entries.next_key::<String>()? {
                if map.contains_key(&key) {
                    let shown = head(&key, 64);
                    return Err(A::Error::custom(format!("key {shown:?} appears twice")));
                }
                map.insert(key, entries.next_value_seed(self)?);
            }
            Ok(Value::Object(map))
        })
    }
}

/// Levels of objects and lists.
const MAX_DEPTH: usize = 64;
/// Bytes shown on each side of a mistake.
const SHOWN: usize = 2000;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_mistake_splits_the_text_where_it_is() {
        let text = "{\"module\": \"tts\",\n \"data\": {\"text\": x}}";
        let found = parse(text).unwrap_err();
        assert_eq!(found.message, "invalid JSON: expected value");
        assert_eq!(
            (found.before.as_str(), found.after.as_str()),
            ("{\"module\": \"tts\",\n \"data\": {\"text\": ", "x}}")
        );
        assert_eq!(format!("{}{}", found.before, found.after), text);
    }

    #[test]
    fn text_after_the_value_is_trailing_data() {
        let found = parse("{} \nx").unwrap_err();
        assert_eq!(
            (
                found.message.as_str(),
                found.before.as_str(),
                found.after.as_str()
            ),
            ("trailing data", "{} \n", "x")
        );
        assert!(
            parse("{\"a\":1}{\"b\":2}")
                .unwrap_err()
                .message
                .starts_with("trailing")
        );
    }

    #[test]
    fn a_key_twice_is_refused_by_name() {
        assert_eq!(
            parse("{\"a\":1,\"b\":{\"c\":1,\"c\":2}}")
                .unwrap_err()
                .message,
            "invalid JSON: key \"c\" appears twice"
        );
    }

    #[test]
    fn depth_is_limited_on_both_sides_of_the_limit() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(&nested(64)).is_ok());
        assert!(
            parse(&nested(65))
                .unwrap_err()
                .message
                .contains("deeper than 64")
        );
        assert!(parse(&"[".repeat(1_000_000)).is_err());
        assert!(parse(&"{\"a\":".repeat(100_000)).is_err());
    }

    #[test]
    fn odd_texts_are_mistakes_and_not_crashes() {
        for text in [
            "",
            " ",
            "{",
            "{\"a\"",
            "nul",
            "\"\\ud800\"",
            "1e400",
            "{\"a\":1,}",
            "{'a':1}",
            "[1,,2]",
            "\u{0}",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert_eq!(
            parse("\u{feff}{\"a\":[1,-2,3.5,null,true,\"é\"]}").unwrap(),
            json!({"a": [1, -2, 3.5, null, true, "é"]})
        );
        assert!(parse(&format!("{{\"{}\":1}}", "k".repeat(1 << 20))).is_ok());
    }

    #[test]
    fn a_mistake_inside_a_wide_character_is_shown_whole() {
        let found = parse("{\"é\": é}").unwrap_err();
        assert_eq!(
            (found.before.as_str(), found.after.as_str()),
            ("{\"é\": ", "é}")
        );
    }

    /// Cuts, flips and repeats pieces of a document: whatever comes out is parsed or refused, with a place inside it.
    #[test]
    fn mutated_documents_never_crash() {
        let mut rng = crate::base::rng::Rng::seeded(7);
        let seed =
            json!({"module": "tts", "data": {"text": "Grüße", "n": [1, 2.5e3]}, "children": {"_": {}}}).to_string();
        let until = crate::host::clock::now() + fuzz_time();
        while crate::host::clock::now() < until {
            for _ in 0..200 {
                let mut bytes = seed.clone().into_bytes();
                for _ in 0..=rng.below(4) {
                    mutate(&mut bytes, &mut rng);
                }
                let text = String::from_utf8_lossy(&bytes);
                if let Err(found) = parse(&text) {
                    assert!(found.at <= text.len());
                }
            }
        }
    }

    fn mutate(bytes: &mut Vec<u8>, rng: &mut crate::base::rng::Rng) {
        let at = rng.below(bytes.len().max(1) as u64) as usize;
        match rng.below(4) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] = rng.u32() as u8,
            2 => bytes.insert(at, b"{}[]\",:\\0e"[rng.below(10) as usize]),
            _ => {
                let copy = bytes[at..].to_vec();
                bytes.extend(copy);
            }
        }
    }

    fn fuzz_time() -> std::time::Duration {
        let seconds = std::env::var("SWIVEL_FUZZ_SECONDS")
            .ok()
            .and_then(|s| s.parse().ok())
            .unwrap_or(2);
        std::time::Duration::from_secs(seconds)
    }
}
