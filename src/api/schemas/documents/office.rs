//! What callers meet, and who is told of it: media, menus, lists, groups, hours, links, webhooks.

use schemars::JsonSchema;
use serde_json::Value;

use crate::api::schemas::shared::*;

/// A recording, an upload, or a text to be spoken.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["media_source", "name"]))]
pub(in crate::api::schemas) struct Media {
    /// Bytes of the file
    #[schemars(range(min = 1, max = 11534336))]
    content_length: Option<i64>,
    /// Type of the file
    #[schemars(extend("enum" = ["audio/mp3", "audio/mpeg", "audio/mpeg3", "audio/x-wav", "audio/wav", "audio/ogg",
        "audio/flac", "audio/x-flac", "video/x-flv", "video/h264", "video/mpeg", "video/quicktime", "video/mp4", "video/webm"]))]
    content_type: Option<String>,
    /// What it is
    #[schemars(length(min = 1, max = 128))]
    description: Option<String>,
    /// Language
    #[schemars(extend("default" = "en-us"))]
    language: Option<String>,
    /// Where the audio comes from
    #[schemars(extend("default" = "upload", "enum" = ["recording", "upload", "tts"]))]
    media_source: Option<String>,
    /// Name
    #[schemars(length(min = 1, max = 128))]
    name: Option<String>,
    /// The system prompt it stands for
    prompt_id: Option<String>,
    /// What made the recording
    #[schemars(length(min = 32, max = 32))]
    source_id: Option<String>,
    /// What kind of thing made the recording
    source_type: Option<String>,
    /// Whether it may be streamed
    #[schemars(extend("default" = true))]
    streamable: Option<bool>,
    /// What to speak
    #[schemars(extend("default" = {}))]
    tts: Option<MediaTts>,
}

#[derive(JsonSchema)]
struct MediaTts {
    /// The text
    #[schemars(length(min = 1))]
    text: Option<String>,
    /// The voice
    #[schemars(extend("default" = "female/en-US"))]
    voice: Option<String>,
}

/// A voice menu.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["name"]))]
pub(in crate::api::schemas) struct Menu {
    /// Callers from outside may record the greeting
    #[schemars(extend("default" = false))]
    allow_record_from_offnet: Option<bool>,
    /// Marks of other applications
    flags: Option<Vec<String>>,
    /// Callers may dial extensions
    #[schemars(extend("default" = true))]
    hunt: Option<bool>,
    /// Extensions that may be dialled, a regular expression
    #[schemars(length(min = 1, max = 256))]
    hunt_allow: Option<String>,
    /// Extensions that may not be dialled, a regular expression
    #[schemars(length(min = 1, max = 256))]
    hunt_deny: Option<String>,
    /// Longest pause between keys, in milliseconds
    #[schemars(range(min = 1, max = 10000))]
    interdigit_timeout: Option<i64>,
    /// Most keys
    #[schemars(range(min = 1, max = 6), extend("default" = 4))]
    max_extension_length: Option<i64>,
    /// What callers hear
    #[schemars(extend("default" = {}))]
    media: Option<MenuMedia>,
    /// Name of the menu
    #[schemars(length(min = 1, max = 128))]
    name: Option<String>,
    /// Code that records the greeting
    #[schemars(length(min = 3, max = 6))]
    record_pin: Option<String>,
    /// Rounds before the menu gives up
    #[schemars(range(min = 1, max = 10), extend("default" = 3))]
    retries: Option<i64>,
    /// Say nothing after a wrong entry
    #[schemars(extend("default" = false))]
    suppress_media: Option<bool>,
    /// Wait for the first key, in milliseconds
    #[schemars(range(min = 1, max = 60000))]
    timeout: Option<i64>,
}

#[derive(JsonSchema)]
struct MenuMedia {
    /// Played when the menu gives up
    #[schemars(extend("oneOf" = [{"type": "boolean"}, {"type": "string", "minLength": 3, "maxLength": 2048}]))]
    exit_media: Option<Value>,
    /// The greeting
    #[schemars(length(min = 3, max = 2048))]
    greeting: Option<String>,
    /// Played after a wrong entry
    #[schemars(extend("oneOf" = [{"type": "boolean"}, {"type": "string", "minLength": 3, "maxLength": 2048}]))]
    invalid_media: Option<Value>,
    /// Played before a transfer
    #[schemars(extend("oneOf" = [{"type": "boolean"}, {"type": "string", "minLength": 3, "maxLength": 2048}]))]
    transfer_media: Option<Value>,
}

/// A match list.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["name"]))]
pub(in crate::api::schemas) struct List {
    /// What it is for
    #[schemars(length(min = 1, max = 128))]
    description: Option<String>,
    /// Name of the list
    #[schemars(length(min = 1, max = 128))]
    name: Option<String>,
    /// Full legal name of the organisation
    org: Option<String>,
}

/// One entry of a match list.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["list_id"]))]
pub(in crate::api::schemas) struct ListEntry {
    /// Key that selects the entry
    capture_group_key: Option<String>,
    /// Length of that key
    capture_group_length: Option<i64>,
    /// Name to show
    #[schemars(length(min = 1, max = 128))]
    displayname: Option<String>,
    /// First name
    #[schemars(length(min = 1, max = 128))]
    firstname: Option<String>,
    /// Last name
    #[schemars(length(min = 1, max = 128))]
    lastname: Option<String>,
    /// The list it belongs to
    list_id: Option<String>,
    /// A number, or the beginning of numbers
    number: Option<String>,
    /// A regular expression
    pattern: Option<String>,
    /// More about the person
    #[schemars(extend("default" = {}))]
    profile: Option<Profile>,
    /// What kind of entry
    #[schemars(length(min = 1, max = 128))]
    r#type: Option<String>,
}

/// Users and devices that belong together.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["endpoints", "name"]))]
pub(in crate::api::schemas) struct Group {
    /// Its members by id: type, delay, timeout and weight of each
    #[schemars(extend("default" = {}))]
    endpoints: Option<Object>,
    /// Marks of other applications
    flags: Option<Vec<String>>,
    /// Music for waiting callers
    #[schemars(extend("default" = {}))]
    music_on_hold: Option<MusicOnHold>,
    /// Name of the group
    #[schemars(length(min = 1, max = 128))]
    name: Option<String>,
}

/// A stretch of time that comes again.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["cycle", "name"]))]
pub(in crate::api::schemas) struct TemporalRule {
    /// How it comes again
    #[schemars(extend("enum" = ["date", "daily", "weekly", "monthly", "yearly"]))]
    cycle: Option<String>,
    /// Days of the month
    #[schemars(inner(range(min = 1, max = 31)))]
    days: Option<Vec<i64>>,
    /// On or off whatever the time is; missing goes by time
    enabled: Option<bool>,
    /// Marks of other applications
    flags: Option<Vec<String>>,
    /// Every so many cycles
    #[schemars(range(min = 1), extend("default" = 1))]
    interval: Option<i64>,
    /// Month of the year
    #[schemars(range(min = 1, max = 12))]
    month: Option<i64>,
    /// Name of the rule
    #[schemars(length(min = 1, max = 128))]
    name: Option<String>,
    /// Which of the weekdays of a month
    #[schemars(extend("enum" = ["every", "first", "second", "third", "fourth", "fifth", "last"]))]
    ordinal: Option<String>,
    /// First day, in Gregorian seconds
    #[schemars(extend("default" = 62586115200u64))]
    start_date: Option<i64>,
    /// Seconds after midnight it begins
    #[schemars(range(min = 0, max = 86400))]
    time_window_start: Option<i64>,
    /// Seconds after midnight it ends
    #[schemars(range(min = 0, max = 86400))]
    time_window_stop: Option<i64>,
    /// Weekdays
    #[schemars(extend("items" = {"type": "string",
        "enum": ["monday", "tuesday", "wednesday", "wensday", "thursday", "friday", "saturday", "sunday"]}))]
    wdays: Option<Vec<String>>,
}

/// Several temporal rules under one name.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["name"]))]
pub(in crate::api::schemas) struct TemporalRuleSet {
    /// Marks of other applications
    flags: Option<Vec<String>>,
    /// Name of the set
    #[schemars(length(min = 1, max = 128))]
    name: Option<String>,
    /// Ids of its rules
    #[schemars(length(min = 1))]
    temporal_rules: Option<Vec<String>>,
}

/// Two parties that are put together by a URL.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["extension", "name"]))]
pub(in crate::api::schemas) struct ClickToCall {
    /// Whether the URL needs a token
    #[schemars(extend("default" = true))]
    auth_required: Option<bool>,
    /// Kept for KAZOO's sake: media passes us by
    bypass_media: Option<Value>,
    /// Number the contact and the carrier see
    caller_id_number: Option<String>,
    /// Variables of both legs
    #[schemars(extend("default" = {}))]
    custom_application_vars: Option<Object>,
    /// Headers of the first INVITE
    custom_sip_headers: Option<Object>,
    /// Who is rung first
    #[schemars(extend("enum" = ["extension", "contact"]))]
    dial_first: Option<String>,
    /// The extension a contact is connected with
    extension: Option<String>,
    /// Media of the first leg
    media: Option<ClickToCallMedia>,
    /// What parties on hold hear
    music_on_hold: Option<MusicOnHold>,
    /// Name
    #[schemars(length(min = 1, max = 128))]
    name: Option<String>,
    /// Name the contact sees when it is rung first
    outbound_callee_id_name: Option<String>,
    /// Number the contact sees when it is rung first
    outbound_callee_id_number: Option<String>,
    /// Presence id in place of the SIP user name
    presence_id: Option<String>,
    /// What the first party hears while the second rings
    ringback: Option<String>,
    /// Most calls a minute
    #[schemars(range(min = 0))]
    throttle: Option<i64>,
    /// How long the first party rings, in seconds
    #[schemars(range(min = 0))]
    timeout: Option<i64>,
    /// Regular expressions of contacts that may be called
    whitelist: Option<Vec<WhitelistEntry>>,
}

/// A regular expression.
#[derive(JsonSchema)]
#[schemars(transparent, inline)]
pub(in crate::api::schemas) struct WhitelistEntry(#[schemars(length(min = 1))] String);

/// Media of a click-to-call.
#[derive(JsonSchema)]
pub(in crate::api::schemas) struct ClickToCallMedia {
    /// What is sent before the answer is not heard
    ignore_early_media: Option<bool>,
}

/// Numbers that may not call.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["name"]))]
pub(in crate::api::schemas) struct Blacklist {
    /// Marks of other applications
    flags: Option<Vec<String>>,
    /// Name of the list
    #[schemars(length(min = 1, max = 128))]
    name: Option<String>,
    /// The numbers, as keys
    #[schemars(extend("default" = {}))]
    numbers: Option<Object>,
    /// Whether callers without a number are refused, too
    should_block_anonymous: Option<bool>,
}

/// Users that may be found by name.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["name"]))]
pub(in crate::api::schemas) struct Directory {
    /// Whether a single match is confirmed by the caller
    #[schemars(extend("default" = true))]
    confirm_match: Option<bool>,
    /// Marks of other applications
    flags: Option<Vec<String>>,
    /// Most keys, 0 for any number
    #[schemars(range(min = 0), extend("default" = 0))]
    max_dtmf: Option<i64>,
    /// Keys before it is searched
    #[schemars(range(min = 1), extend("default" = 3))]
    min_dtmf: Option<i64>,
    /// Name of the directory
    #[schemars(length(min = 1))]
    name: Option<String>,
    /// What is searched
    #[schemars(extend("enum" = ["first_name", "last_name", "both"]))]
    search_fields: Option<String>,
    /// What matches are ordered by
    #[schemars(extend("default" = "last_name", "enum" = ["first_name", "last_name"]))]
    sort_by: Option<String>,
    /// Ids of its users
    #[schemars(extend("default" = []))]
    users: Option<Vec<String>>,
}

/// A document that a pivot node runs without a web server: callflow JSON or TwiML.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["name", "flow_doc"]))]
pub(in crate::api::schemas) struct Hosted {
    /// Marks of other applications
    flags: Option<Vec<String>>,
    /// The document: text, or callflow JSON as it is
    #[schemars(extend("type" = ["string", "object"]))]
    flow_doc: Option<serde_json::Value>,
    /// What it is; told by its first character where it is missing
    #[schemars(extend("enum" = ["application/json", "application/xml", "text/xml"]))]
    flow_type: Option<String>,
    /// What a pivot node calls it
    #[schemars(length(min = 1, max = 128))]
    name: Option<String>,
    /// Whose rules TwiML is checked and run by; the account decides when missing, and KAZOO's are the ones it is checked by then
    #[schemars(extend("enum" = ["kazoo", "twilio"]))]
    twiml_profile: Option<String>,
}

/// A URL that is told of events.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["hook", "name", "uri"]))]
pub(in crate::api::schemas) struct Webhook {
    /// Added to what is sent; wins over it
    #[schemars(extend("additionalProperties" = {"type": "string"}))]
    custom_data: Option<Object>,
    /// Whether it is told
    #[schemars(extend("default" = true))]
    enabled: Option<bool>,
    /// Format of the body
    #[schemars(extend("default" = "form-data", "enum" = ["form-data", "json"]))]
    format: Option<String>,
    /// Which event
    hook: Option<String>,
    /// How it is told
    #[schemars(extend("default" = "post", "enum" = ["get", "post", "put"]))]
    http_verb: Option<String>,
    /// Whether legs inside the server count
    #[schemars(extend("default" = true))]
    include_internal_legs: Option<bool>,
    /// Whether events of accounts below count
    include_subaccounts: Option<bool>,
    /// Name
    name: Option<String>,
    /// How often it is tried
    #[schemars(range(min = 0, max = 4), extend("default" = 2))]
    retries: Option<i64>,
    /// Key of the signature header
    secret: Option<String>,
    /// Where to
    #[schemars(extend("format" = "uri"))]
    uri: Option<String>,
}
