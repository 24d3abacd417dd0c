//! Attributes that more than one element has.

use crate::twiml::spec::{Attribute, Values, attribute, ignored};

/// How `action` is asked.
pub(in crate::twiml) const METHOD: Attribute = attribute("method", Values::Method, "")
    .note("`GET` in the kazoo profile, `POST` in the twilio profile");

/// Who is told what becomes of a leg.
pub(super) static LEG_CALLBACK: &[Attribute] = &[
    attribute("statusCallback", Values::Url, "")
        .twilio()
        .note(AS_A_JOB),
    attribute(
        "statusCallbackEvent",
        Values::SomeOf(&["initiated", "ringing", "answered", "completed"]),
        "completed",
    )
    .twilio(),
    attribute("statusCallbackMethod", Values::Method, "POST").twilio(),
];

/// What a called party hears first.
pub(super) static SCREENING: &[Attribute] = &[
    attribute("url", Values::Url, "").twilio().note(
        "a document the called party hears before both are connected; its Hangup keeps them apart",
    ),
    attribute("method", Values::Method, "POST").twilio(),
];

/// Who answers: a person or a machine.
pub(super) static DETECTION: &[Attribute] = &[
    ignored("machineDetection", NO_DETECTION),
    ignored("machineDetectionTimeout", NO_DETECTION),
    ignored("machineDetectionSpeechThreshold", NO_DETECTION),
    ignored("machineDetectionSpeechEndThreshold", NO_DETECTION),
    ignored("machineDetectionSilenceTimeout", NO_DETECTION),
    ignored("amdStatusCallback", NO_DETECTION),
    ignored("amdStatusCallbackMethod", NO_DETECTION),
];

/// Who is told of a recording.
pub(in crate::twiml) static RECORDING_CALLBACK: &[Attribute] = &[
    attribute("recordingStatusCallback", Values::Url, "")
        .twilio()
        .note(AS_A_JOB),
    attribute("recordingStatusCallbackMethod", Values::Method, "POST").twilio(),
    attribute(
        "recordingStatusCallbackEvent",
        Values::SomeOf(&["in-progress", "completed", "absent", "failed"]),
        "completed",
    )
    .twilio()
    .note("`in-progress` is not told of conferences"),
    ignored("recordingConfigurationId", "not of this house"),
];

/// Where a recording is sent.
pub(in crate::twiml) static UPLOAD: &[Attribute] = &[
    attribute("recordingUrl", Values::Url, "")
        .kazoo()
        .note("where the file is sent, its name added; kept here unless given"),
    attribute("recordStoreMethod", Values::OneOf(&["PUT", "POST"]), "PUT").kazoo(),
];

/// How callbacks are told.
pub(super) const AS_A_JOB: &str = "told as a job, again until the server takes it";
const NO_DETECTION: &str = "machines that answer are not told from people";
