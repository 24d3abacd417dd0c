//! What stands inside Start, Stop and Connect.

use super::PARAMETER;
use super::shared::{AS_A_JOB, RECORDING_CALLBACK};
use crate::twiml::spec::{Dialect, Spec, Status, Text, Values, attribute, ignored};

const MULAW: &str = "servers get µ-law of 8000 Hz, and send that or audio files";

const fn refused(name: &'static str, note: &'static str) -> Spec {
    Spec {
        status: Status::Refused,
        dialect: Dialect::Twilio,
        note,
        ..Spec::of(name)
    }
}

pub(in crate::twiml) static STREAM: Spec = Spec {
    attributes: &[
        attribute("url", Values::Url, "").note(
            "`ws` or `wss`; in the kazoo profile also relative, the document's own unless given",
        ),
        attribute("name", Values::Text, "").note("unique among the streams of the call"),
        attribute("id", Values::Text, "")
            .kazoo()
            .note("inside Stop"),
        attribute(
            "track",
            Values::OneOf(&["inbound_track", "outbound_track", "both_tracks"]),
            "inbound_track",
        )
        .note("inside Start; a connected stream has the caller's"),
        ignored("connectorName", "streams go to a `url`"),
        attribute("statusCallback", Values::Url, "")
            .twilio()
            .note(AS_A_JOB),
        attribute("statusCallbackMethod", Values::Method, "POST").twilio(),
        ignored("audioFormat", MULAW),
        ignored("audioCodec", MULAW).kazoo(),
        ignored("audioMix", MULAW).kazoo(),
        ignored("sampleRate", MULAW).kazoo(),
        ignored("rawAudio", MULAW).kazoo(),
    ],
    children: &[&PARAMETER],
    note: "a media stream over a WebSocket",
    ..Spec::of("Stream")
};

static SIPREC: Spec = Spec {
    attributes: &[
        ignored("name", ""),
        ignored("connectorName", ""),
        ignored("track", ""),
        ignored("statusCallback", ""),
        ignored("statusCallbackMethod", ""),
    ],
    children: &[&PARAMETER],
    ..refused("Siprec", "swivel records itself and offers no SIPREC")
};

/// Of a recording's tracks.
pub(in crate::twiml) const TRACKS: &str =
    "`inbound` is what the caller says, `outbound` what the caller hears";

pub(in crate::twiml) static RECORDING: Spec = Spec {
    dialect: Dialect::Twilio,
    attributes: &[
        attribute(
            "trim",
            Values::OneOf(&["trim-silence", "do-not-trim"]),
            "trim-silence",
        )
        .twilio(),
        attribute(
            "track",
            Values::OneOf(&["both", "inbound", "outbound"]),
            "both",
        )
        .twilio()
        .note(TRACKS),
        attribute("channels", Values::OneOf(&["dual", "mono"]), "dual").twilio(),
    ],
    shared: &[RECORDING_CALLBACK],
    note: "a recording of the call, until Stop, its end, or three hours",
    ..Spec::of("Recording")
};

static STOP_RECORDING: Spec = Spec {
    dialect: Dialect::Twilio,
    note: "ends the recording that Start began last",
    ..Spec::of("Recording")
};

static CONFIG: Spec = Spec {
    status: Status::Refused,
    dialect: Dialect::Twilio,
    attributes: &[ignored("name", ""), ignored("value", "")],
    ..Spec::of("Config")
};

static TRANSCRIPTION: Spec = Spec {
    attributes: &[
        ignored("name", ""),
        ignored("track", ""),
        ignored("statusCallbackUrl", ""),
        ignored("statusCallbackMethod", ""),
        ignored("inboundTrackLabel", ""),
        ignored("outboundTrackLabel", ""),
        ignored("partialResults", ""),
        ignored("languageCode", ""),
        ignored("transcriptionEngine", ""),
        ignored("profanityFilter", ""),
        ignored("speechModel", ""),
        ignored("hints", ""),
        ignored("enableAutomaticPunctuation", ""),
        ignored("intelligenceService", ""),
        ignored("conversationConfiguration", ""),
        ignored("conversationId", ""),
        ignored("enableProviderData", ""),
    ],
    children: &[&CONFIG, &PARAMETER],
    ..refused("Transcription", "calls are not transcribed")
};

static LANGUAGE: Spec = Spec {
    status: Status::Refused,
    dialect: Dialect::Twilio,
    attributes: &[
        ignored("code", ""),
        ignored("ttsProvider", ""),
        ignored("voice", ""),
        ignored("transcriptionProvider", ""),
        ignored("speechModel", ""),
        ignored("asrSmartFormat", ""),
        ignored("hints", ""),
        ignored("ttsLanguageTextNormalization", ""),
        ignored("ttsTextNormalization", ""),
    ],
    ..Spec::of("Language")
};

static CONVERSATION_RELAY: Spec = Spec {
    attributes: &[
        ignored("url", ""),
        ignored("welcomeGreeting", ""),
        ignored("welcomeGreetingLanguage", ""),
        ignored("welcomeGreetingInterruptible", ""),
        ignored("language", ""),
        ignored("ttsLanguage", ""),
        ignored("ttsProvider", ""),
        ignored("voice", ""),
        ignored("transcriptionLanguage", ""),
        ignored("transcriptionProvider", ""),
        ignored("speechModel", ""),
        ignored("interruptible", ""),
        ignored("interruptByDtmf", ""),
        ignored("interruptSensitivity", ""),
        ignored("preemptible", ""),
        ignored("dtmfDetection", ""),
        ignored("reportInputDuringAgentSpeech", ""),
        ignored("partialPrompts", ""),
        ignored("profanityFilter", ""),
        ignored("hints", ""),
        ignored("intelligenceService", ""),
        ignored("elevenlabsTextNormalization", ""),
        ignored("debug", ""),
        ignored("events", ""),
        ignored("backgroundNoiseReduction", ""),
        // As Twilio's library for Node writes them.
        ignored("backgroundnoisereduction", ""),
        ignored("deepgramsmartformat", ""),
        ignored("ignorebackchannel", ""),
        ignored("speechtimeout", ""),
        ignored("speechTimeout", ""),
        ignored("deepgramSmartFormat", ""),
        ignored("ignoreBackchannel", ""),
        ignored("conversationConfiguration", ""),
        ignored("conversationId", ""),
        ignored("applicationReconnect", ""),
        ignored("asrSmartFormat", ""),
        ignored("customerName", ""),
        ignored("eagerEotThreshold", ""),
        ignored("echoPromptFiltering", ""),
        ignored("elevenlabsLanguageTextNormalization", ""),
        ignored("includeInPrompt", ""),
        ignored("partialPromptOnHangup", ""),
        ignored("ttsLanguageTextNormalization", ""),
        ignored("ttsTextNormalization", ""),
        ignored("turnDetection", ""),
    ],
    children: &[&LANGUAGE, &PARAMETER],
    ..refused("ConversationRelay", "use Stream")
};

static VIRTUAL_AGENT: Spec = Spec {
    attributes: &[
        ignored("connectorName", ""),
        ignored("language", ""),
        ignored("sentimentAnalysis", ""),
        ignored("statusCallback", ""),
        ignored("statusCallbackMethod", ""),
    ],
    children: &[&CONFIG, &PARAMETER],
    ..refused("VirtualAgent", "use Stream")
};

static CONVERSATION: Spec = Spec {
    attributes: &[
        ignored("serviceInstanceSid", ""),
        ignored("inboundAutocreation", ""),
        ignored("routingAssignmentTimeout", ""),
        ignored("inboundTimeout", ""),
        ignored("url", ""),
        ignored("method", ""),
        ignored("record", ""),
        ignored("trim", ""),
        ignored("recordingStatusCallback", ""),
        ignored("recordingStatusCallbackMethod", ""),
        ignored("recordingStatusCallbackEvent", ""),
        ignored("statusCallback", ""),
        ignored("statusCallbackMethod", ""),
        ignored("statusCallbackEvent", ""),
    ],
    ..refused("Conversation", "swivel has no Conversations")
};

static ROOM: Spec = Spec {
    text: Text::Required("the room"),
    attributes: &[ignored("participantIdentity", "")],
    ..refused("Room", "swivel has no video rooms")
};

static AUTOPILOT: Spec = Spec {
    text: Text::Required("the assistant"),
    ..refused("Autopilot", "it is retired")
};

static AI_SESSION: Spec = Spec {
    attributes: &[
        ignored("aiConnector", ""),
        ignored("aiSessionConfiguration", ""),
    ],
    ..refused("AiSession", "use Stream")
};

static CONVERSATION_RELAY_SESSION: Spec = Spec {
    attributes: &[
        ignored("connector", ""),
        ignored("sessionConfiguration", ""),
    ],
    ..refused("ConversationRelaySession", "use Stream")
};

static ASSISTANT: Spec = Spec {
    attributes: &[
        ignored("id", ""),
        ignored("welcomeGreeting", ""),
        ignored("welcomeGreetingLanguage", ""),
        ignored("welcomeGreetingInterruptible", ""),
        ignored("language", ""),
        ignored("ttsLanguage", ""),
        ignored("ttsProvider", ""),
        ignored("voice", ""),
        ignored("transcriptionLanguage", ""),
        ignored("transcriptionProvider", ""),
        ignored("speechModel", ""),
        ignored("interruptible", ""),
        ignored("interruptByDtmf", ""),
        ignored("dtmfDetection", ""),
        ignored("profanityFilter", ""),
        ignored("debug", ""),
    ],
    children: &[&LANGUAGE, &PARAMETER],
    ..refused("Assistant", "use Stream")
};

pub(in crate::twiml) static IN_START: &[&Spec] = &[&STREAM, &SIPREC, &RECORDING, &TRANSCRIPTION];

pub(in crate::twiml) static IN_STOP: &[&Spec] =
    &[&STREAM, &STOP_RECORDING, &SIPREC, &TRANSCRIPTION];

pub(in crate::twiml) static IN_CONNECT: &[&Spec] = &[
    &STREAM,
    &CONVERSATION_RELAY,
    &VIRTUAL_AGENT,
    &CONVERSATION,
    &ROOM,
    &AUTOPILOT,
    &AI_SESSION,
    &CONVERSATION_RELAY_SESSION,
    &ASSISTANT,
];
