//! `Pay`: known, so that its words are told from mistakes, and refused.

use super::{PARAMETER, ssml};
use crate::twiml::spec::{Dialect, Spec, Status, Text, Values, attribute, ignored};

pub(super) static PAY: Spec = Spec {
    status: Status::Refused,
    dialect: Dialect::Twilio,
    attributes: &[
        ignored("input", ""),
        ignored("action", ""),
        ignored("method", ""),
        ignored("bankAccountType", ""),
        ignored("statusCallback", ""),
        ignored("statusCallbackMethod", ""),
        ignored("timeout", ""),
        ignored("maxAttempts", ""),
        ignored("securityCode", ""),
        ignored("postalCode", ""),
        ignored("minPostalCodeLength", ""),
        ignored("paymentConnector", ""),
        ignored("paymentMethod", ""),
        ignored("tokenType", ""),
        ignored("chargeAmount", ""),
        ignored("currency", ""),
        ignored("description", ""),
        ignored("validCardTypes", ""),
        ignored("language", ""),
    ],
    children: &[&PROMPT, &PARAMETER],
    note: "swivel takes no payments",
    ..Spec::of("Pay")
};

pub(super) static PROMPT: Spec = Spec {
    status: Status::Refused,
    dialect: Dialect::Twilio,
    attributes: &[
        ignored("for", ""),
        ignored("errorType", ""),
        ignored("cardType", ""),
        ignored("attempt", ""),
        ignored("requireMatchingInputs", ""),
    ],
    children: &[&SAY, &PLAY, &PAUSE],
    note: "belongs to Pay",
    ..Spec::of("Prompt")
};

static SAY: Spec = Spec {
    status: Status::Ignored,
    dialect: Dialect::Twilio,
    text: Text::Required("the text"),
    attributes: &[
        attribute("voice", Values::Text, ""),
        attribute("language", Values::Text, ""),
        attribute("loop", Values::Text, ""),
    ],
    children: &ssml::ALL_OF,
    ..Spec::of("Say")
};

static PLAY: Spec = Spec {
    status: Status::Ignored,
    dialect: Dialect::Twilio,
    text: Text::Optional("a URL"),
    attributes: &[
        attribute("loop", Values::Text, ""),
        attribute("digits", Values::Text, ""),
    ],
    ..Spec::of("Play")
};

static PAUSE: Spec = Spec {
    status: Status::Ignored,
    dialect: Dialect::Twilio,
    attributes: &[attribute("length", Values::Text, "")],
    ..Spec::of("Pause")
};
