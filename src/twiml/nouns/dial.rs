//! Whom a Dial rings, and whom a Refer names.

use super::PARAMETER;
use crate::twiml::spec::{Dialect, Spec, Status, Text, Values, attribute, ignored};

const DETECTION: &str = "machines that answer are not told from people";
const EVENTS: &str = "not sent yet";
const SCREENING: &str = "nothing is played to the called party before it is connected yet";

pub(in crate::twiml) static NUMBER: Spec = Spec {
    text: Text::Required("the number"),
    attributes: &[
        attribute("sendDigits", Values::Digits, "")
            .note("keys sent to whoever answers before both are connected"),
        ignored("url", SCREENING),
        ignored("method", SCREENING),
        ignored("statusCallback", EVENTS),
        ignored("statusCallbackEvent", EVENTS),
        ignored("statusCallbackMethod", EVENTS),
        ignored("byoc", "the account's trunks decide"),
        ignored("machineDetection", DETECTION),
        ignored("machineDetectionTimeout", DETECTION),
        ignored("machineDetectionSpeechThreshold", DETECTION),
        ignored("machineDetectionSpeechEndThreshold", DETECTION),
        ignored("machineDetectionSilenceTimeout", DETECTION),
        ignored("amdStatusCallback", DETECTION),
        ignored("amdStatusCallbackMethod", DETECTION),
    ],
    ..Spec::of("Number")
};

pub(in crate::twiml) static SIP: Spec = Spec {
    text: Text::Optional("the SIP URI; headers after `?` go with the INVITE"),
    attributes: &[
        attribute("username", Values::Text, "").twilio(),
        attribute("password", Values::Text, "").twilio(),
        ignored("url", SCREENING),
        ignored("method", SCREENING),
        ignored("statusCallback", EVENTS),
        ignored("statusCallbackEvent", EVENTS),
        ignored("statusCallbackMethod", EVENTS),
        ignored("codecs", "the codecs of the account's settings are offered"),
        ignored("machineDetection", DETECTION),
        ignored("machineDetectionTimeout", DETECTION),
        ignored("machineDetectionSpeechThreshold", DETECTION),
        ignored("machineDetectionSpeechEndThreshold", DETECTION),
        ignored("machineDetectionSilenceTimeout", DETECTION),
        ignored("amdStatusCallback", DETECTION),
        ignored("amdStatusCallbackMethod", DETECTION),
    ],
    children: &[&URI, &HEADERS],
    ..Spec::of("Sip")
};

pub(in crate::twiml) static URI: Spec = Spec {
    dialect: Dialect::Twilio,
    text: Text::Required("the SIP URI"),
    attributes: &[
        ignored("priority", "URIs are tried in the order they are written"),
        ignored("weight", "URIs are tried in the order they are written"),
        attribute("username", Values::Text, "").twilio(),
        attribute("password", Values::Text, "").twilio(),
    ],
    ..Spec::of("Uri")
};

pub(in crate::twiml) static HEADERS: Spec = Spec {
    dialect: Dialect::Twilio,
    children: &[&HEADER],
    ..Spec::of("Headers")
};

pub(in crate::twiml) static HEADER: Spec = Spec {
    dialect: Dialect::Twilio,
    attributes: &[
        attribute("name", Values::Text, "").twilio(),
        attribute("value", Values::Text, "").twilio(),
    ],
    note: "names begin with `X-`",
    ..Spec::of("Header")
};

pub(in crate::twiml) static CLIENT: Spec = Spec {
    dialect: Dialect::Twilio,
    text: Text::Optional("the client: a device or user by its SIP user name, user name or id"),
    attributes: &[
        ignored("url", SCREENING),
        ignored("method", SCREENING),
        ignored("statusCallback", EVENTS),
        ignored("statusCallbackEvent", EVENTS),
        ignored("statusCallbackMethod", EVENTS),
    ],
    children: &[&IDENTITY, &CLIENT_PARAMETER],
    ..Spec::of("Client")
};

pub(in crate::twiml) static IDENTITY: Spec = Spec {
    dialect: Dialect::Twilio,
    text: Text::Required("the client"),
    ..Spec::of("Identity")
};

static CLIENT_PARAMETER: Spec = Spec {
    status: Status::Ignored,
    dialect: Dialect::Twilio,
    attributes: &[
        attribute("name", Values::Text, "").twilio(),
        attribute("value", Values::Text, "").twilio(),
    ],
    note: "phones have no place for it",
    ..Spec::of("Parameter")
};

pub(in crate::twiml) static USER: Spec = Spec {
    dialect: Dialect::Kazoo,
    text: Text::Required("the user's document id"),
    ..Spec::of("User")
};

pub(in crate::twiml) static DEVICE: Spec = Spec {
    dialect: Dialect::Kazoo,
    text: Text::Required("the device's document id"),
    ..Spec::of("Device")
};

pub(in crate::twiml) static CONFERENCE: Spec = Spec {
    status: Status::Refused,
    text: Text::Optional("the room"),
    attributes: &[
        ignored("id", ROOMS).kazoo(),
        ignored("muted", ROOMS),
        ignored("deaf", ROOMS).kazoo(),
        ignored("beep", ROOMS),
        ignored("startConferenceOnEnter", ROOMS),
        ignored("endConferenceOnExit", ROOMS),
        ignored("endConferenceOnLastMemberExit", ROOMS).kazoo(),
        ignored("waitUrl", ROOMS),
        ignored("waitMethod", ROOMS),
        ignored("maxParticipants", ROOMS),
        ignored("record", ROOMS),
        ignored("trim", ROOMS),
        ignored("coach", ROOMS),
        ignored("region", ROOMS),
        ignored("jitterBufferSize", ROOMS),
        ignored("participantLabel", ROOMS),
        ignored("statusCallback", ROOMS),
        ignored("statusCallbackMethod", ROOMS),
        ignored("statusCallbackEvent", ROOMS),
        ignored("recordingStatusCallback", ROOMS),
        ignored("recordingStatusCallbackMethod", ROOMS),
        ignored("recordingStatusCallbackEvent", ROOMS),
        ignored("recordingConfigurationId", ROOMS),
        ignored("eventCallbackUrl", ROOMS),
        ignored("profileName", ROOMS).kazoo(),
        ignored("play_name", ROOMS).kazoo(),
        ignored("play_entry_prompt", ROOMS).kazoo(),
        ignored("announceCount", ROOMS).kazoo(),
        ignored("callerControls", ROOMS).kazoo(),
        ignored("moderatorControls", ROOMS).kazoo(),
        ignored("callerIdName", ROOMS).kazoo(),
        ignored("callerIdNumber", ROOMS).kazoo(),
        ignored("comfortNoise", ROOMS).kazoo(),
        ignored("energyLevel", ROOMS).kazoo(),
        ignored("interval", ROOMS).kazoo(),
        ignored("rate", ROOMS).kazoo(),
        ignored("engine", ROOMS).kazoo(),
        ignored("voice", ROOMS).kazoo(),
    ],
    note: ROOMS,
    ..Spec::of("Conference")
};

pub(in crate::twiml) const ROOMS: &str = "there are no conferences yet";

pub(in crate::twiml) static QUEUE: Spec = Spec {
    status: Status::Refused,
    text: Text::Required("the queue"),
    attributes: &[
        ignored("url", QUEUES),
        ignored("method", QUEUES),
        ignored("reservationSid", QUEUES),
        ignored("postWorkActivitySid", QUEUES),
    ],
    note: QUEUES,
    ..Spec::of("Queue")
};

pub(in crate::twiml) const QUEUES: &str = "there are no queues yet";

static SIM: Spec = Spec {
    status: Status::Refused,
    dialect: Dialect::Twilio,
    text: Text::Required("the SIM"),
    note: "swivel has no mobile network",
    ..Spec::of("Sim")
};

static APPLICATION: Spec = Spec {
    status: Status::Refused,
    dialect: Dialect::Twilio,
    text: Text::Optional("the application"),
    attributes: &[
        ignored("url", ""),
        ignored("method", ""),
        ignored("statusCallback", ""),
        ignored("statusCallbackEvent", ""),
        ignored("statusCallbackMethod", ""),
        ignored("customerId", ""),
        ignored("copyParentTo", ""),
    ],
    children: &[&APPLICATION_SID, &PARAMETER],
    note: "ring its number",
    ..Spec::of("Application")
};

static APPLICATION_SID: Spec = Spec {
    status: Status::Refused,
    dialect: Dialect::Twilio,
    text: Text::Required("the application"),
    ..Spec::of("ApplicationSid")
};

static WHATSAPP: Spec = Spec {
    status: Status::Refused,
    dialect: Dialect::Twilio,
    text: Text::Required("the number"),
    attributes: &[
        ignored("url", ""),
        ignored("method", ""),
        ignored("statusCallback", ""),
        ignored("statusCallbackEvent", ""),
        ignored("statusCallbackMethod", ""),
    ],
    note: "swivel does not reach it",
    ..Spec::of("WhatsApp")
};

/// Everything that may stand inside Dial.
pub(in crate::twiml) static ALL: &[&Spec] = &[
    &NUMBER,
    &SIP,
    &CLIENT,
    &USER,
    &DEVICE,
    &CONFERENCE,
    &QUEUE,
    &SIM,
    &APPLICATION,
    &WHATSAPP,
];

/// The Sip of a Refer.
pub(in crate::twiml) static REFER_SIP: Spec = Spec {
    dialect: Dialect::Twilio,
    text: Text::Required("the SIP URI the caller is sent to"),
    ..Spec::of("Sip")
};

/// The work of an Enqueue.
pub(in crate::twiml) static TASK: Spec = Spec {
    status: Status::Refused,
    dialect: Dialect::Twilio,
    text: Text::Optional("attributes of the work"),
    attributes: &[ignored("priority", ""), ignored("timeout", "")],
    note: "swivel has no TaskRouter",
    ..Spec::of("Task")
};
