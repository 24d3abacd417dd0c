//! SSML inside Say. Supported is what pieces of text and silence can express; the rest is spoken as its text.

use crate::twiml::spec::{Dialect, Spec, Text, Values, attribute, ignored};

const WORDS: Text = Text::Optional("the words");

const fn of(name: &'static str) -> Spec {
    Spec {
        dialect: Dialect::Twilio,
        text: WORDS,
        children: &ALL_OF,
        ..Spec::of(name)
    }
}

static BREAK: Spec = Spec {
    dialect: Dialect::Twilio,
    attributes: &[
        attribute(
            "strength",
            Values::OneOf(&["none", "x-weak", "weak", "medium", "strong", "x-strong"]),
            "medium",
        )
        .twilio(),
        attribute("time", Values::Text, "")
            .twilio()
            .note("such as `2s` or `300ms`; ten seconds at most"),
    ],
    note: "silence of that length",
    ..Spec::of("break")
};

static EMPHASIS: Spec = Spec {
    attributes: &[ignored("level", TEXT_ONLY)],
    note: TEXT_ONLY,
    ..of("emphasis")
};

static LANG: Spec = Spec {
    attributes: &[attribute("xml:lang", Values::Text, "").twilio()],
    note: "spoken in that language",
    ..of("lang")
};

static PARAGRAPH: Spec = of("p");
static SENTENCE: Spec = of("s");

static PHONEME: Spec = Spec {
    attributes: &[ignored("alphabet", TEXT_ONLY), ignored("ph", TEXT_ONLY)],
    note: TEXT_ONLY,
    ..of("phoneme")
};

static PROSODY: Spec = Spec {
    attributes: &[
        ignored("volume", TEXT_ONLY),
        ignored("rate", TEXT_ONLY),
        ignored("pitch", TEXT_ONLY),
    ],
    note: TEXT_ONLY,
    ..of("prosody")
};

static SAY_AS: Spec = Spec {
    attributes: &[
        attribute(
            "interpret-as",
            Values::OneOf(&[
                "characters",
                "spell-out",
                "cardinal",
                "number",
                "ordinal",
                "digits",
                "fraction",
                "unit",
                "date",
                "time",
                "address",
                "expletive",
                "telephone",
                "currency",
            ]),
            "",
        )
        .twilio()
        .note("`characters`, `spell-out`, `digits` and `telephone` are spoken one by one, `expletive` is left out; the others as their text"),
        ignored("format", TEXT_ONLY),
        ignored("role", TEXT_ONLY),
    ],
    ..of("say-as")
};

static SUB: Spec = Spec {
    attributes: &[attribute("alias", Values::Text, "").twilio()],
    note: "the alias is spoken",
    ..of("sub")
};

static WORD: Spec = Spec {
    attributes: &[ignored("role", TEXT_ONLY)],
    note: TEXT_ONLY,
    ..of("w")
};

const TEXT_ONLY: &str = "spoken as its text";

/// Everything that may stand inside Say.
pub(in crate::twiml) static ALL_OF: [&Spec; 10] = [
    &BREAK, &EMPHASIS, &LANG, &PARAGRAPH, &PHONEME, &PROSODY, &SENTENCE, &SAY_AS, &SUB, &WORD,
];
