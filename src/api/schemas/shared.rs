//! Shapes several documents share. Each struct is its schema and nothing else: documents are kept as they came.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::{Map, Value};

/// A free object.
pub(super) type Object = Map<String, Value>;

/// What a caller is shown, by the kind of call.
#[derive(JsonSchema)]
pub(super) struct CallerId {
    /// Asserted identity of calls to carriers
    asserted: Option<AssertedId>,
    /// Shown on emergency calls
    emergency: Option<OneId>,
    /// Shown on calls to carriers
    external: Option<OneId>,
    /// Shown inside the account
    internal: Option<OneId>,
}

#[derive(JsonSchema)]
struct OneId {
    /// Name to show
    #[schemars(length(max = 35))]
    name: Option<String>,
    /// Number to show
    #[schemars(length(max = 35))]
    number: Option<String>,
}

#[derive(JsonSchema)]
struct AssertedId {
    /// Name to assert
    #[schemars(length(max = 35))]
    name: Option<String>,
    /// Number to assert
    #[schemars(length(max = 35))]
    number: Option<String>,
    /// Realm to assert
    realm: Option<String>,
}

#[derive(JsonSchema)]
pub(super) struct CallerIdOptions {
    /// What is hidden from carriers: everything, the name, the number, nothing
    #[schemars(extend("enum" = ["full", "name", "number", "none"]))]
    outbound_privacy: Option<String>,
    /// Whether the rate of the call is shown
    show_rate: Option<bool>,
}

#[derive(JsonSchema)]
pub(super) struct CallForward {
    /// Only calls made to this extension directly are forwarded
    #[schemars(extend("default" = false))]
    direct_calls_only: Option<bool>,
    /// Whether calls are forwarded
    #[schemars(extend("default" = false))]
    enabled: Option<bool>,
    /// Forward only when no device is registered
    #[schemars(extend("default" = false))]
    failover: Option<bool>,
    /// Only a real answer of the target counts
    #[schemars(extend("default" = true))]
    ignore_early_media: Option<bool>,
    /// The caller's number is kept
    #[schemars(extend("default" = true))]
    keep_caller_id: Option<bool>,
    /// Where calls go
    #[schemars(length(max = 35))]
    number: Option<String>,
    /// The target must press a key to take the call
    #[schemars(extend("default" = true))]
    require_keypress: Option<bool>,
    /// The target rings instead of, not beside, the device
    #[schemars(extend("default" = true))]
    substitute: Option<bool>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct CallRecording {
    /// Calls either way
    any: Option<RecordingSource>,
    /// Calls to the endpoint
    inbound: Option<RecordingSource>,
    /// Calls of the endpoint
    outbound: Option<RecordingSource>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RecordingSource {
    /// Wherever the other party is
    any: Option<RecordingParameters>,
    /// Calls with carriers
    offnet: Option<RecordingParameters>,
    /// Calls inside the system
    onnet: Option<RecordingParameters>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RecordingParameters {
    /// Whether to record
    enabled: Option<bool>,
    /// File format
    #[schemars(extend("enum" = ["mp3", "wav"]))]
    format: Option<String>,
    /// Shorter recordings are thrown away, in seconds
    record_min_sec: Option<i64>,
    /// Begin at the answer
    record_on_answer: Option<bool>,
    /// Begin when the parties are connected
    record_on_bridge: Option<bool>,
    /// Samples a second
    record_sample_rate: Option<i64>,
    /// Longest recording, in seconds
    #[schemars(range(min = 5, max = 10800))]
    time_limit: Option<i64>,
    /// Where the recording is sent
    url: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct AccountRecording {
    /// For the account as a whole
    account: Option<CallRecording>,
    /// For every endpoint
    endpoint: Option<CallRecording>,
}

/// Denied or allowed, by number class.
pub(super) type CallRestriction = BTreeMap<String, Restriction>;

#[derive(JsonSchema)]
pub(super) struct Restriction {
    /// `deny` refuses calls of this class
    #[schemars(extend("enum" = ["inherit", "deny"]))]
    action: Option<String>,
}

#[derive(JsonSchema)]
pub(super) struct Switch {
    /// Whether it is on
    enabled: Option<bool>,
}

#[derive(JsonSchema)]
pub(super) struct ContactList {
    /// Left out of contact lists
    exclude: Option<bool>,
}

#[derive(JsonSchema)]
pub(super) struct MusicOnHold {
    /// Media document played to waiting callers
    #[schemars(length(max = 2048))]
    media_id: Option<String>,
}

#[derive(JsonSchema)]
pub(super) struct PronouncedName {
    /// Media document with the spoken name
    #[schemars(length(max = 128))]
    media_id: Option<String>,
}

#[derive(JsonSchema)]
pub(super) struct Ringtones {
    /// Alert-Info of calls from outside
    #[schemars(length(max = 256))]
    external: Option<String>,
    /// Alert-Info of calls from inside
    #[schemars(length(max = 256))]
    internal: Option<String>,
}

/// Rewriting of dialled numbers: the key is a regular expression.
#[derive(JsonSchema)]
pub(super) struct DialPlan {
    /// System dial plans used
    system: Option<Vec<String>>,
    /// Regular expressions and what to put around their match
    #[schemars(flatten)]
    rules: BTreeMap<String, DialRule>,
}

#[derive(JsonSchema)]
struct DialRule {
    /// What the rule is for
    description: Option<String>,
    /// Put before the match
    prefix: Option<String>,
    /// Put after the match
    suffix: Option<String>,
}

#[derive(JsonSchema)]
pub(super) struct EndpointMedia {
    /// Audio settings
    #[schemars(extend("default" = {}))]
    audio: Option<AudioMedia>,
    /// Whether media goes around the server
    #[schemars(extend("oneOf" = [{"type": "boolean"}, {"type": "string", "enum": ["auto", "false", "true"]}]))]
    bypass_media: Option<Value>,
    /// Encryption of media
    #[schemars(extend("default" = {}))]
    encryption: Option<Encryption>,
    /// T.38
    fax_option: Option<bool>,
    /// Only a real answer counts
    ignore_early_media: Option<bool>,
    /// How long to wait for ringing, in seconds
    progress_timeout: Option<i64>,
    /// Video settings
    #[schemars(extend("default" = {}))]
    video: Option<VideoMedia>,
    /// Whether a phone that connects by WebSocket is a browser
    #[schemars(extend("default" = true))]
    webrtc: Option<bool>,
}

#[derive(JsonSchema)]
struct AudioMedia {
    /// Codecs in order of preference
    #[schemars(extend("uniqueItems" = true, "items" = {"type": "string", "enum": ["OPUS", "CELT@32000h",
        "G7221@32000h", "G7221@16000h", "G722", "speex@32000h", "speex@16000h", "PCMU", "PCMA", "G729", "GSM",
        "CELT@48000h", "CELT@64000h", "G722_16", "G722_32", "CELT_48", "CELT_64", "Speex", "speex"]}))]
    codecs: Option<Vec<String>>,
}

#[derive(JsonSchema)]
struct VideoMedia {
    /// Codecs in order of preference
    #[schemars(extend("uniqueItems" = true, "default" = [],
        "items" = {"type": "string", "enum": ["H261", "H263", "H264", "VP8"]}))]
    codecs: Option<Vec<String>>,
}

#[derive(JsonSchema)]
struct Encryption {
    /// Refuse calls without encryption
    #[schemars(extend("default" = false))]
    enforce_security: Option<bool>,
    /// Methods offered
    #[schemars(extend("default" = [], "items" = {"type": "string", "enum": ["zrtp", "srtp", "dtls"]}))]
    methods: Option<Vec<String>>,
}

#[derive(JsonSchema)]
pub(super) struct Metaflows {
    /// The key that begins a feature code in a call
    #[schemars(
        length(min = 1, max = 1),
        extend("default" = "*", "enum" = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "0", "*", "#"])
    )]
    binding_digit: Option<String>,
    /// Longest pause between keys, in milliseconds
    #[schemars(range(min = 0))]
    digit_timeout: Option<i64>,
    /// Whose keys count
    #[schemars(extend("enum" = ["both", "self", "peer"]))]
    listen_on: Option<String>,
    /// Actions by exact digits
    #[schemars(extend("patternProperties" = {"^[0-9]+$": {"type": "object"}}, "additionalProperties" = false))]
    numbers: Option<Object>,
    /// Actions by regular expression
    #[schemars(extend("patternProperties" = {".+": {"type": "object"}}, "additionalProperties" = false))]
    patterns: Option<Object>,
}

#[derive(JsonSchema)]
pub(super) struct Voicemail {
    /// How the owner is told of messages
    notify: Option<Notify>,
}

#[derive(JsonSchema)]
struct Notify {
    /// By a call
    callback: Option<Callback>,
}

#[derive(JsonSchema)]
struct Callback {
    /// How often to try
    attempts: Option<i64>,
    /// Not at all
    disabled: Option<bool>,
    /// Seconds between attempts
    interval_s: Option<i64>,
    /// Where to call
    number: Option<String>,
    /// Seconds before each attempt
    schedule: Option<Vec<i64>>,
    /// Seconds to ring
    timeout_s: Option<i64>,
}

#[derive(JsonSchema)]
pub(super) struct Profile {
    /// Addresses
    addresses: Option<Vec<Address>>,
    /// Assistant
    assistant: Option<String>,
    /// Birthday
    birthday: Option<String>,
    /// Nicknames
    nicknames: Option<Vec<String>>,
    /// Note
    note: Option<String>,
    /// Role
    role: Option<String>,
    /// Text to sort by
    #[schemars(rename = "sort-string")]
    sort_string: Option<String>,
    /// Title
    title: Option<String>,
}

#[derive(JsonSchema)]
struct Address {
    /// The address
    address: Option<String>,
    /// What it is for
    #[schemars(extend("items" = {"enum": ["dom", "postal", "intl", "parcel", "home", "work", "pref"]}))]
    types: Option<Vec<String>>,
}

/// Rewriting of caller data: key is a field's name, value one set of options or several.
pub(super) type Formatters = Object;
