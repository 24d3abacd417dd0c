//! Whom a Dial rings, and whom a Refer names.

use super::PARAMETER;
use super::shared::{DETECTION, LEG_CALLBACK, RECORDING_CALLBACK, SCREENING};
use crate::twiml::spec::{Dialect, Spec, Status, Text, Values, attribute, ignored};

pub(in crate::twiml) static NUMBER: Spec = Spec {
    text: Text::Required("the number"),
    attributes: &[
        attribute("sendDigits", Values::Digits, "")
            .note("keys sent to whoever answers before both are connected"),
        ignored("byoc", "the account's trunks decide"),
    ],
    shared: &[SCREENING, LEG_CALLBACK, DETECTION],
    ..Spec::of("Number")
};

pub(in crate::twiml) static SIP: Spec = Spec {
    text: Text::Optional("the SIP URI; headers after `?` go with the INVITE"),
    attributes: &[
        attribute("username", Values::Text, "").twilio(),
        attribute("password", Values::Text, "").twilio(),
        ignored("codecs", "the codecs of the account's settings are offered"),
    ],
    shared: &[SCREENING, LEG_CALLBACK, DETECTION],
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
    shared: &[SCREENING, LEG_CALLBACK],
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
    text: Text::Optional("the room; one of that name an account"),
    attributes: &[
        attribute("id", Values::Text, "").kazoo().note("the room's name in place of the text: a conference document's id is the room of callflows"),
        attribute("muted", Values::Bool, "false"),
        attribute("deaf", Values::Bool, "false").kazoo(),
        attribute(
            "beep",
            Values::OneOf(&["true", "false", "onEnter", "onExit"]),
            "true",
        ),
        attribute("startConferenceOnEnter", Values::Bool, "true"),
        attribute("endConferenceOnExit", Values::Bool, "false"),
        attribute("endConferenceOnLastMemberExit", Values::Bool, "false").kazoo(),
        attribute("waitUrl", Values::Url, "").note(
            "heard until it begins; empty for nothing, music unless given. A sound in the kazoo profile and when it is named `.mp3`, `.wav` …, else a document of Say, Play, Pause, Gather, Redirect, Hangup",
        ),
        attribute("waitMethod", Values::Method, "POST"),
        attribute("maxParticipants", Values::Whole(2, 250), "250"),
        attribute(
            "record",
            Values::OneOf(&["do-not-record", "record-from-start", "true", "false"]),
            "do-not-record",
        )
        .twilio()
        .note("kept as a recording of the account"),
        ignored("trim", "silence stays"),
        attribute("coach", Values::Text, "")
            .twilio()
            .note("the `CallSid` of the one who hears this member"),
        ignored("region", "rooms are on this machine"),
        ignored("jitterBufferSize", "it adapts by itself"),
        attribute("participantLabel", Values::Text, "").twilio(),
        attribute("statusCallback", Values::Url, "").twilio().note(
            "who brings one first decides for the room; told as a job, again until the server takes it",
        ),
        attribute("statusCallbackMethod", Values::Method, "POST").twilio(),
        attribute(
            "statusCallbackEvent",
            Values::SomeOf(&[
                "start",
                "end",
                "join",
                "leave",
                "mute",
                "hold",
                "modify",
                "speaker",
                "announcement",
            ]),
            "",
        )
        .twilio()
        .note("`hold` and `announcement` are what the API does"),
        ignored("eventCallbackUrl", "use `statusCallback`"),
        ignored("profileName", PROFILE).kazoo(),
        ignored("play_name", PROFILE).kazoo(),
        ignored("play_entry_prompt", PROFILE).kazoo(),
        ignored("announceCount", PROFILE).kazoo(),
        ignored("callerControls", PROFILE).kazoo(),
        ignored("moderatorControls", PROFILE).kazoo(),
        ignored("callerIdName", PROFILE).kazoo(),
        ignored("callerIdNumber", PROFILE).kazoo(),
        ignored("comfortNoise", PROFILE).kazoo(),
        ignored("energyLevel", PROFILE).kazoo(),
        ignored("interval", PROFILE).kazoo(),
        ignored("rate", PROFILE).kazoo(),
        ignored("engine", PROFILE).kazoo(),
        ignored("voice", PROFILE).kazoo(),
    ],
    shared: &[RECORDING_CALLBACK],
    note: "alone in its Dial",
    ..Spec::of("Conference")
};

const PROFILE: &str = "rooms have no FreeSWITCH profile";

pub(in crate::twiml) static QUEUE: Spec = Spec {
    dialect: Dialect::Twilio,
    text: Text::Required("the queue"),
    attributes: &[
        attribute("url", Values::Url, "")
            .twilio()
            .note("a document the waiting caller hears before both talk"),
        attribute("method", Values::Method, "POST").twilio(),
        ignored("reservationSid", "swivel has no TaskRouter"),
        ignored("postWorkActivitySid", "swivel has no TaskRouter"),
    ],
    note: "alone in its Dial; `timeout` of the Dial is how long somebody is waited for",
    ..Spec::of("Queue")
};

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
