//! The shapes that several modules' data have in common: whole numbers, keys, tones.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::audio::tone::Tone;
use crate::call::Keys;

/// A JSON integer of any size; what does not fit is held at the nearest limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub(super) struct Whole(pub(super) i64);

impl Whole {
    /// As milliseconds; nothing below zero, a day at most.
    pub(super) fn millis(self) -> Duration {
        Duration::from_millis(u64::try_from(self.0).unwrap_or(0)).min(DAY)
    }

    /// As a count, held between `low` and `high`.
    pub(super) fn count(self, low: u32, high: u32) -> u32 {
        u32::try_from(self.0.max(0))
            .unwrap_or(u32::MAX)
            .clamp(low, high)
    }
}

/// The longest wait a flow can ask for.
pub(super) const DAY: Duration = Duration::from_secs(86_400);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Whole;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer")
            }

            fn visit_i64<E>(self, value: i64) -> Result<Whole, E> {
                Ok(Whole(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Whole, E> {
                Ok(Whole(i64::try_from(value).unwrap_or(i64::MAX)))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Whole, E> {
                if value.fract() == 0.0 {
                    Ok(Whole(value as i64))
                } else {
                    Err(E::custom("not a whole number"))
                }
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl JsonSchema for Whole {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Whole".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer"})
    }
}

/// The keys that stop playing: all twelve unless said otherwise; an empty list is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(super) struct Terminators(pub(super) Vec<String>);

impl Terminators {
    pub(super) fn keys(&self) -> Keys {
        Keys::parse(&self.0.concat())
    }
}

impl Default for Terminators {
    fn default() -> Self {
        Self(
            "1 2 3 4 5 6 7 8 9 * 0 #"
                .split(' ')
                .map(str::to_owned)
                .collect(),
        )
    }
}

/// One key of a telephone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) enum Key {
    #[serde(rename = "1")]
    One,
    #[serde(rename = "2")]
    Two,
    #[serde(rename = "3")]
    Three,
    #[serde(rename = "4")]
    Four,
    #[serde(rename = "5")]
    Five,
    #[serde(rename = "6")]
    Six,
    #[serde(rename = "7")]
    Seven,
    #[serde(rename = "8")]
    Eight,
    #[serde(rename = "9")]
    Nine,
    #[serde(rename = "0")]
    Zero,
    #[serde(rename = "#")]
    Hash,
    #[serde(rename = "*")]
    Star,
}

impl Key {
    /// The key as it is written.
    pub(super) fn char(self) -> char {
        match self {
            Self::One => '1',
            Self::Two => '2',
            Self::Three => '3',
            Self::Four => '4',
            Self::Five => '5',
            Self::Six => '6',
            Self::Seven => '7',
            Self::Eight => '8',
            Self::Nine => '9',
            Self::Zero => '0',
            Self::Hash => '#',
            Self::Star => '*',
        }
    }
}

/// Where a value stands in a document: a dotted string, or an array of keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Path {
    /// `a.b.c`
    Dotted(String),
    /// `["a", "b", "c"]`
    Keys(Vec<String>),
}

impl Default for Path {
    fn default() -> Self {
        Self::Dotted(String::new())
    }
}

impl JsonSchema for Path {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Path".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})
    }
}

impl Path {
    /// The value there. A key is found as written, else in lower case with `-` as `_`; private keys are not read.
    pub(super) fn look_up(&self, document: &Value) -> Option<Value> {
        let keys: Vec<&str> = match self {
            Self::Dotted(path) => path.split('.').collect(),
            Self::Keys(keys) => keys.iter().map(String::as_str).collect(),
        };
        let mut at = document;
        for key in keys {
            if key.is_empty() || key.starts_with('_') || key.starts_with("pvt_") {
                return None;
            }
            let object = at.as_object()?;
            let like = plain(key);
            at = object.get(key).or_else(|| {
                object
                    .iter()
                    .find(|(name, _)| plain(name) == like)
                    .map(|(_, value)| value)
            })?;
        }
        Some(at.clone())
    }
}

fn plain(key: &str) -> String {
    key.to_lowercase().replace('-', "_")
}

/// A tone from what a flow says of it. Times and counts beyond reason are held at a limit.
pub(super) fn tone(frequencies: &[Whole], on: Whole, off: Whole, volume_db: f32) -> Tone {
    Tone {
        frequencies: frequencies
            .iter()
            .take(8)
            .map(|f| f.count(1, 3999) as f32)
            .collect(),
        on_ms: on.count(0, MAX_TONE_MS),
        off_ms: off.count(0, MAX_TONE_MS),
        repeat: 1,
        volume_db,
    }
}

/// Level of a tone whose volume is not given: FreeSWITCH's.
pub(super) const TONE_DB: f32 = -7.0;
/// How often a tone is repeated at most.
pub(super) const MAX_TONE_REPEATS: u32 = 1_000;
const MAX_TONE_MS: u32 = 60_000;

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn integers_of_any_size_are_held_at_a_limit() {
        assert_eq!(from_value::<Whole>(json!(u64::MAX)).unwrap().0, i64::MAX);
        assert_eq!(from_value::<Whole>(json!(5.0)).unwrap().0, 5);
        assert!(from_value::<Whole>(json!(5.5)).is_err());
        assert!(from_value::<Whole>(json!("5")).is_err());
        assert_eq!(Whole(-3).millis(), Duration::ZERO);
        assert_eq!(Whole(i64::MAX).millis(), DAY);
        assert_eq!(Whole(i64::MAX).count(1, 9), 9);
    }

    #[test]
    fn a_path_is_dotted_or_a_list_and_never_private() {
        let document =
            json!({"Call-Priority": "5", "a": {"b": {"c": 1}}, "pvt_secret": "x", "_id": "y"});
        let dotted = |path: &str| from_value::<Path>(json!(path)).unwrap().look_up(&document);
        assert_eq!(dotted("call_priority"), Some(json!("5")));
        assert_eq!(dotted("a.b.c"), Some(json!(1)));
        assert_eq!(
            from_value::<Path>(json!(["a", "b"]))
                .unwrap()
                .look_up(&document),
            Some(json!({"c": 1}))
        );
        for none in ["pvt_secret", "_id", "", "a.x", "a.b.c.d"] {
            assert_eq!(dotted(none), None, "{none}");
        }
    }

    #[test]
    fn terminators_default_to_the_twelve_keys() {
        assert_eq!(Terminators::default().keys(), Keys::ALL);
        assert_eq!(Terminators(vec![]).keys(), Keys::NONE);
        assert_eq!(
            Terminators(vec!["#".into(), "nonsense".into()]).keys(),
            Keys::parse("#")
        );
    }
}
