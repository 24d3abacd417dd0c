//! The documents an account is made of. Each struct is its schema and nothing else: documents are kept as they came.

use schemars::JsonSchema;
use serde_json::Value;

use super::shared::*;
use crate::base::profile::Profile as Rules;

/// An account: a tenant with its own realm, users, devices and callflows.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["name"]))]
pub(super) struct Account {
    /// Whether callees that answer 3xx are followed, within what the account may dial
    follow_redirects: Option<bool>,
    /// Signs requests to web servers (X-Twilio-Signature); never shown again, an empty text ends it
    #[schemars(length(max = 128))]
    auth_token: Option<String>,
    /// Recording of calls
    call_recording: Option<AccountRecording>,
    /// Number classes that are denied
    #[schemars(extend("default" = {}))]
    call_restriction: Option<CallRestriction>,
    /// Call waiting
    call_waiting: Option<Switch>,
    /// What callers are shown
    caller_id: Option<CallerId>,
    /// How callers are shown
    caller_id_options: Option<CallerIdOptions>,
    /// Rewriting of dialled numbers
    dial_plan: Option<DialPlan>,
    /// Do not disturb
    do_not_disturb: Option<Switch>,
    /// Whether the account may be used
    #[schemars(extend("default" = true))]
    enabled: Option<bool>,
    /// Marks of other applications
    flags: Option<Vec<String>>,
    /// Rewriting of caller data
    formatters: Option<Formatters>,
    /// Language of prompts
    language: Option<String>,
    /// Feature keys in calls
    metaflows: Option<Metaflows>,
    /// Music for waiting callers
    #[schemars(extend("default" = {}))]
    music_on_hold: Option<MusicOnHold>,
    /// Name of the account
    #[schemars(length(min = 1, max = 128))]
    name: Option<String>,
    /// What the account is told about
    notifications: Option<AccountNotifications>,
    /// Full legal name
    org: Option<String>,
    /// A callflow before every other
    #[schemars(extend("default" = {}))]
    preflow: Option<Preflow>,
    /// SIP realm
    #[schemars(length(min = 4, max = 253), extend("pattern" = r"^[.\w-]+$"))]
    realm: Option<String>,
    /// Alert-Info by origin of the call
    #[schemars(extend("default" = {}))]
    ringtones: Option<Ringtones>,
    /// Time zone name
    #[schemars(length(min = 5, max = 32))]
    timezone: Option<String>,
    /// Automatic payment
    topup: Option<Topup>,
    /// Whose rules TwiML is run by where a pivot node does not say
    twiml_profile: Option<Rules>,
    /// Voicemail settings
    voicemail: Option<Voicemail>,
    /// Where the account is served
    zones: Option<Object>,
}

#[derive(JsonSchema)]
struct AccountNotifications {
    /// Of things that happen the first time
    first_occurrence: Option<FirstOccurrence>,
    /// Of a low balance
    low_balance: Option<LowBalance>,
}

#[derive(JsonSchema)]
struct FirstOccurrence {
    /// Told of the first call
    #[schemars(extend("default" = false))]
    sent_initial_call: Option<bool>,
    /// Told of the first registration
    #[schemars(extend("default" = false))]
    sent_initial_registration: Option<bool>,
}

#[derive(JsonSchema)]
struct LowBalance {
    /// Whether to tell
    enabled: Option<bool>,
    /// When it was told last
    last_notification: Option<i64>,
    /// Whether it was told
    sent_low_balance: Option<bool>,
    /// From which balance on
    threshold: Option<f64>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Preflow {
    /// Callflow that runs first
    always: Option<String>,
}

#[derive(JsonSchema)]
struct Topup {
    /// From which balance on
    threshold: Option<f64>,
}

/// A person.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["first_name", "last_name"]))]
pub(super) struct User {
    /// Whether callees that answer 3xx are followed, within what the account may dial
    follow_redirects: Option<bool>,
    /// Forwarding of calls
    call_forward: Option<CallForward>,
    /// Recording of calls
    call_recording: Option<CallRecording>,
    /// Number classes that are denied
    #[schemars(extend("default" = {}))]
    call_restriction: Option<CallRestriction>,
    /// Call waiting
    call_waiting: Option<Switch>,
    /// What the called are shown
    caller_id: Option<CallerId>,
    /// How the called are shown it
    caller_id_options: Option<CallerIdOptions>,
    /// Contact lists
    #[schemars(extend("default" = {}))]
    contact_list: Option<ContactList>,
    /// Rewriting of dialled numbers
    dial_plan: Option<DialPlan>,
    /// Directories the user is in, with the callflow that reaches it
    directories: Option<Object>,
    /// Do not disturb
    do_not_disturb: Option<Switch>,
    /// Mail address
    #[schemars(length(min = 3, max = 254), extend("format" = "email"))]
    email: Option<String>,
    /// Whether the user may be used
    #[schemars(extend("default" = true))]
    enabled: Option<bool>,
    /// Name of a set of features
    feature_level: Option<String>,
    /// First name
    #[schemars(length(min = 1, max = 128))]
    first_name: Option<String>,
    /// Marks of other applications
    flags: Option<Vec<String>>,
    /// Rewriting of caller data
    formatters: Option<Formatters>,
    /// Hot desking
    #[schemars(extend("default" = {}))]
    hotdesk: Option<UserHotdesk>,
    /// Language of prompts
    language: Option<String>,
    /// Last name
    #[schemars(length(min = 1, max = 128))]
    last_name: Option<String>,
    /// Media settings
    media: Option<EndpointMedia>,
    /// Feature keys in calls
    metaflows: Option<Metaflows>,
    /// Music for waiting callers
    #[schemars(extend("default" = {}))]
    music_on_hold: Option<MusicOnHold>,
    /// Password; kept as a hash only
    password: Option<String>,
    /// Presence id
    presence_id: Option<String>,
    /// What the user may do through the API
    #[schemars(extend("default" = "user", "enum" = ["user", "admin"]))]
    priv_level: Option<String>,
    /// More about the person
    profile: Option<Profile>,
    /// The spoken name
    pronounced_name: Option<PronouncedName>,
    /// A new password must be chosen
    #[schemars(extend("default" = false))]
    require_password_update: Option<bool>,
    /// Alert-Info by origin of the call
    #[schemars(extend("default" = {}))]
    ringtones: Option<Ringtones>,
    /// Time zone name
    timezone: Option<String>,
    /// Name to sign in with
    #[schemars(length(min = 1, max = 256), extend("pattern" = r"^([+@.\w_-]+)$"))]
    username: Option<String>,
    /// The mail address was verified
    #[schemars(extend("default" = false))]
    verified: Option<bool>,
    /// Messages are sent by mail
    #[schemars(extend("default" = true))]
    vm_to_email_enabled: Option<bool>,
    /// Voicemail settings
    voicemail: Option<Voicemail>,
}

#[derive(JsonSchema)]
struct UserHotdesk {
    /// Whether the user may take a desk
    #[schemars(extend("default" = false))]
    enabled: Option<bool>,
    /// Number to sign in with
    #[schemars(length(max = 15))]
    id: Option<String>,
    /// Stay signed in at other desks
    #[schemars(extend("default" = false))]
    keep_logged_in_elsewhere: Option<bool>,
    /// Code to sign in with
    #[schemars(length(min = 4, max = 15))]
    pin: Option<String>,
    /// Ask for the code
    #[schemars(extend("default" = false))]
    require_pin: Option<bool>,
}

/// Something that places or takes calls.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["name"]))]
pub(super) struct Device {
    /// Whether callees that answer 3xx are followed, within what the account may dial
    follow_redirects: Option<bool>,
    /// Forwarding of calls
    call_forward: Option<CallForward>,
    /// Recording of calls
    call_recording: Option<CallRecording>,
    /// Number classes that are denied
    #[schemars(extend("default" = {}))]
    call_restriction: Option<CallRestriction>,
    /// Call waiting
    call_waiting: Option<Switch>,
    /// What the called are shown
    caller_id: Option<CallerId>,
    /// How the called are shown it
    caller_id_options: Option<CallerIdOptions>,
    /// Contact lists
    #[schemars(extend("default" = {}))]
    contact_list: Option<ContactList>,
    /// What kind of device
    device_type: Option<String>,
    /// Rewriting of dialled numbers
    dial_plan: Option<DialPlan>,
    /// Do not disturb
    do_not_disturb: Option<Switch>,
    /// Whether the device may be used
    #[schemars(extend("default" = true))]
    enabled: Option<bool>,
    /// Not rung by queues
    #[schemars(extend("default" = false))]
    exclude_from_queues: Option<bool>,
    /// Marks of other applications
    flags: Option<Vec<String>>,
    /// Rewriting of caller data
    formatters: Option<Formatters>,
    /// Hot desking
    hotdesk: Option<DeviceHotdesk>,
    /// Language of prompts
    language: Option<String>,
    /// Hardware address
    mac_address: Option<String>,
    /// Media settings
    media: Option<EndpointMedia>,
    /// Feature keys in calls
    metaflows: Option<Metaflows>,
    /// Music for waiting callers
    #[schemars(extend("default" = {}))]
    music_on_hold: Option<MusicOnHold>,
    /// Tell of waiting messages without being asked
    #[schemars(extend("default" = true))]
    mwi_unsolicited_updates: Option<bool>,
    /// Name of the device
    #[schemars(length(min = 1, max = 128))]
    name: Option<String>,
    /// Flags a carrier must have
    #[schemars(extend("oneOf" = [
        {"type": "array", "items": {"type": "string"}},
        {"type": "object", "properties": {
            "dynamic": {"type": "array", "items": {"type": "string"}},
            "static": {"type": "array", "items": {"type": "string"}}
        }}
    ]))]
    outbound_flags: Option<Value>,
    /// User the device belongs to
    #[schemars(length(min = 32, max = 32))]
    owner_id: Option<String>,
    /// Presence id
    presence_id: Option<String>,
    /// Provisioning
    provision: Option<Provision>,
    /// Tell when a registration replaces another
    #[schemars(extend("default" = false))]
    register_overwrite_notify: Option<bool>,
    /// Alert-Info by origin of the call
    #[schemars(extend("default" = {}))]
    ringtones: Option<Ringtones>,
    /// SIP settings
    #[schemars(extend("default" = {}))]
    sip: Option<DeviceSip>,
    /// Do not tell when the registration ends
    #[schemars(extend("default" = false))]
    suppress_unregister_notifications: Option<bool>,
    /// Time zone name
    timezone: Option<String>,
}

#[derive(JsonSchema)]
struct DeviceHotdesk {
    /// Users at this desk
    #[schemars(extend("patternProperties" = {"^[a-zA-Z0-9]{32}$": {"type": "object"}}))]
    users: Option<Object>,
}

#[derive(JsonSchema)]
struct Provision {
    /// Keys of the phone
    combo_keys: Option<Object>,
    /// Brand of the phone
    endpoint_brand: Option<String>,
    /// Family of the phone
    endpoint_family: Option<String>,
    /// Model of the phone
    #[schemars(extend("oneOf" = [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]))]
    endpoint_model: Option<Value>,
    /// Keys of the phone
    feature_keys: Option<Object>,
    /// Template
    id: Option<String>,
}

#[derive(JsonSchema)]
struct DeviceSip {
    /// Headers of requests from and to the device
    custom_sip_headers: Option<Object>,
    /// Interface
    custom_sip_interface: Option<String>,
    /// How long a registration is good, in seconds
    #[schemars(extend("default" = 300))]
    expire_seconds: Option<i64>,
    /// Where requests are sent instead
    forward: Option<String>,
    /// Do not mark calls answered elsewhere
    ignore_completed_elsewhere: Option<bool>,
    /// How the Request-URI is made
    #[schemars(extend("default" = "contact",
        "enum" = ["username", "npan", "1npan", "e164", "route", "strip_plus", "contact"]))]
    invite_format: Option<String>,
    /// Address of a device that is known by it, or a network in CIDR form
    ip: Option<String>,
    /// How the device proves who it is
    #[schemars(extend("default" = "password", "enum" = ["password", "ip"]))]
    method: Option<String>,
    /// Number used in requests
    number: Option<String>,
    /// Password
    #[schemars(length(min = 5, max = 32))]
    password: Option<String>,
    /// Proxy
    proxy: Option<String>,
    /// Realm, when it is not the account's
    #[schemars(length(min = 4, max = 253), extend("pattern" = r"^[.\w_-]+$"))]
    realm: Option<String>,
    /// URI for `invite_format` `route`
    route: Option<String>,
    /// Fixed Request-URI
    static_invite: Option<String>,
    /// Fixed next hop
    static_route: Option<String>,
    /// Transport
    transport: Option<String>,
    /// Name to authenticate with
    #[schemars(length(min = 2, max = 32))]
    username: Option<String>,
}

/// A recording, an upload, or a text to be spoken.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["media_source", "name"]))]
pub(super) struct Media {
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
pub(super) struct Menu {
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
pub(super) struct List {
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
pub(super) struct ListEntry {
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

/// A carrier: its gateways, and the numbers it is used for.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["gateways", "name"]))]
pub(super) struct Trunk {
    /// Whether callees that answer 3xx are followed, within what the account may dial
    follow_redirects: Option<bool>,
    /// Which of the caller's identities is shown
    caller_id_options: Option<TrunkCallerIdOptions>,
    /// Regular expressions one of which the caller's number must match
    cid_rules: Option<Vec<String>>,
    /// What is done with classes of numbers, by class
    #[schemars(extend("patternProperties" = {".+": {"type": "object", "properties": {
        "emergency": {"type": "boolean", "default": false, "description": "For emergency calls"},
        "enabled": {"type": "boolean", "default": true, "description": "Whether numbers of the class are taken"},
        "prefix": {"type": "string", "maxLength": 64, "description": "Put before the number"},
        "regex": {"type": "string", "description": "Numbers of the class"},
        "suffix": {"type": "string", "maxLength": 64, "description": "Put after the number"},
        "weight_cost": {"type": "integer", "minimum": 0, "maximum": 100, "default": 50, "description": "Lower is tried first"}
    }}}))]
    classifiers: Option<Object>,
    /// For emergency calls
    #[schemars(extend("default" = false))]
    emergency: Option<bool>,
    /// Whether it may be used
    #[schemars(extend("default" = true))]
    enabled: Option<bool>,
    /// What calls with flags ask for
    #[schemars(extend("default" = []))]
    flags: Option<Vec<String>>,
    /// Numbers without flat rate
    flat_rate_blacklist: Option<String>,
    /// Numbers with flat rate
    flat_rate_whitelist: Option<String>,
    /// From is made of the caller's number and a realm
    format_from_uri: Option<bool>,
    /// Rewriting of fields of calls
    formatters: Option<Formatters>,
    /// That realm is the account's
    #[schemars(extend("default" = false))]
    from_account_realm: Option<bool>,
    /// That realm
    from_uri_realm: Option<String>,
    /// Order in which gateways are tried
    #[schemars(extend("enum" = ["sequential", "random"]))]
    gateway_strategy: Option<String>,
    /// Where calls are sent, in order
    gateways: Option<Vec<Gateway>>,
    /// Kept for KAZOO's sake, in seconds
    #[schemars(range(min = 1, max = 20), extend("default" = 5))]
    grace_period: Option<i64>,
    /// Takes calls with any flags
    ignore_flags: Option<bool>,
    /// Calls it carries at once
    #[schemars(range(min = 1))]
    max_calls: Option<i64>,
    /// Calls it is offered in a second
    #[schemars(range(min = 1))]
    max_cps: Option<i64>,
    /// Media settings
    media: Option<EndpointMedia>,
    /// Name of the carrier
    #[schemars(length(min = 1, max = 128))]
    name: Option<String>,
    /// Takes no calls without flags
    require_flags: Option<bool>,
    /// Regular expressions one of which the number must match; what it captures is dialled
    #[schemars(extend("default" = []))]
    rules: Option<Vec<String>>,
    /// Numbers to try the rules with
    #[schemars(extend("default" = []))]
    rules_test: Option<Vec<String>>,
    /// Lower is tried first
    #[schemars(range(min = 0, max = 100), extend("default" = 50))]
    weight_cost: Option<i64>,
}

#[derive(JsonSchema)]
struct TrunkCallerIdOptions {
    /// Which of the caller's identities
    #[schemars(extend("enum" = ["internal", "external", "emergency"]))]
    r#type: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(extend("required" = ["server"], "default" = {}))]
struct Gateway {
    /// Media goes around the server
    bypass_media: Option<bool>,
    /// Which of the caller's identities is shown
    #[schemars(extend("enum" = ["internal", "external", "emergency"]))]
    caller_id_type: Option<String>,
    /// For analogue cards
    #[schemars(extend("default" = "ascending", "enum" = ["ascending", "descending"]))]
    channel_selection: Option<String>,
    /// Codecs to offer, in order
    #[schemars(extend("uniqueItems" = true, "items" = {"type": "string", "enum": ["G729", "PCMU", "PCMA", "G722_16",
        "G722_32", "CELT_48", "CELT_64", "Speex", "GSM", "OPUS", "H261", "H263", "H264", "VP8", "G722"]}))]
    codecs: Option<Vec<String>>,
    /// Headers of calls to it
    custom_sip_headers: Option<Object>,
    /// Interface
    custom_sip_interface: Option<String>,
    /// Whether it may be used
    #[schemars(extend("default" = true))]
    enabled: Option<bool>,
    /// Only `sip` is served
    #[schemars(extend("default" = "sip", "enum" = ["sip", "freetdm", "skype", "amqp"]))]
    endpoint_type: Option<String>,
    /// Calls come from its port only
    #[schemars(extend("default" = false))]
    force_port: Option<bool>,
    /// From is made of the caller's number and a realm
    format_from_uri: Option<bool>,
    /// That realm
    from_uri_realm: Option<String>,
    /// Addresses its calls come from, or networks in CIDR form
    inbound_ips: Option<Vec<String>>,
    /// How the number is written
    #[schemars(extend("default" = "route", "enum" = ["route", "username", "e164", "npan", "1npan", "strip_plus"]))]
    invite_format: Option<String>,
    /// Parameters of the Request-URI
    invite_parameters: Option<InviteParameters>,
    /// Media settings
    media: Option<GatewayMedia>,
    /// How often it is asked by OPTIONS whether it is there, in seconds; 0 never
    #[schemars(range(min = 0, max = 3600), extend("default" = 60))]
    options_seconds: Option<i64>,
    /// Password
    #[schemars(length(max = 32))]
    password: Option<String>,
    /// Port
    #[schemars(extend("default" = 5060))]
    port: Option<i64>,
    /// Put before the number
    #[schemars(length(max = 64))]
    prefix: Option<String>,
    /// Longest wait for its first 180 or 183, in seconds
    progress_timeout: Option<i64>,
    /// Realm of its challenges, and of From
    #[schemars(length(max = 64))]
    realm: Option<String>,
    /// Whether to register there
    register: Option<bool>,
    /// How long a registration is asked for, in seconds
    #[schemars(range(min = 30, max = 86400))]
    register_expires: Option<i64>,
    /// A URI in place of prefix, number, suffix and server
    route: Option<String>,
    /// Host name or address
    #[schemars(length(min = 1, max = 128))]
    server: Option<String>,
    /// For Skype
    skype_interface: Option<String>,
    /// For Skype
    #[schemars(extend("default" = true))]
    skype_rr: Option<bool>,
    /// For analogue cards
    span: Option<String>,
    /// Encrypted media: required or refused; as the transport says when missing
    srtp: Option<bool>,
    /// Put after the number
    #[schemars(length(max = 64))]
    suffix: Option<String>,
    /// Transport; found by DNS when missing
    #[schemars(extend("enum" = ["udp", "tcp", "tls", "ws", "wss"]))]
    transport: Option<String>,
    /// Name to authenticate with
    #[schemars(length(max = 32))]
    username: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct InviteParameters {
    /// Made of the call
    #[schemars(extend("items" = {}))]
    dynamic: Option<Vec<Value>>,
    /// As written
    r#static: Option<Vec<String>>,
}

#[derive(JsonSchema)]
struct GatewayMedia {
    /// T.38
    fax_option: Option<bool>,
    /// RTCP on the port of RTP
    rtcp_mux: Option<bool>,
}

/// Users and devices that belong together.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["endpoints", "name"]))]
pub(super) struct Group {
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
pub(super) struct TemporalRule {
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
pub(super) struct TemporalRuleSet {
    /// Marks of other applications
    flags: Option<Vec<String>>,
    /// Name of the set
    #[schemars(length(min = 1, max = 128))]
    name: Option<String>,
    /// Ids of its rules
    #[schemars(length(min = 1))]
    temporal_rules: Option<Vec<String>>,
}

/// How many calls the account may have.
#[derive(JsonSchema)]
pub(super) struct Limits {
    /// Kept for KAZOO's sake
    #[schemars(extend("default" = true))]
    allow_prepay: Option<bool>,
    /// Kept for KAZOO's sake
    #[schemars(extend("default" = []))]
    authz_resource_types: Option<Vec<String>>,
    /// Further calls beyond the trunks
    #[schemars(range(min = 0))]
    burst_trunks: Option<i64>,
    /// Calls at once
    #[schemars(range(min = 0))]
    calls: Option<i64>,
    /// Calls from carriers at once
    #[schemars(range(min = 0))]
    inbound_trunks: Option<i64>,
    /// Calls to carriers at once
    #[schemars(range(min = 0))]
    outbound_trunks: Option<i64>,
    /// Calls with carriers at once
    #[schemars(range(min = 0))]
    resource_consuming_calls: Option<i64>,
    /// Calls with carriers at once, either way
    #[schemars(range(min = 0))]
    twoway_trunks: Option<i64>,
}

/// A number of the public network.
#[derive(JsonSchema)]
pub(super) struct PhoneNumber {
    /// Carrier it came from
    #[schemars(length(min = 1, max = 30))]
    carrier_name: Option<String>,
    /// Names of callers
    cnam: Option<Cnam>,
    /// State it is created in
    #[schemars(extend("enum" = ["aging", "available", "deleted", "discovery", "in_service", "port_in", "port_out",
        "released", "reserved"]))]
    create_with_state: Option<String>,
    /// Where it stands, for emergency calls
    e911: Option<E911>,
    /// Porting
    porting: Option<Object>,
}

#[derive(JsonSchema)]
struct Cnam {
    /// Name shown to those it calls
    #[schemars(length(min = 1, max = 15))]
    display_name: Option<String>,
    /// Look up the names of callers
    inbound_lookup: Option<bool>,
}

#[derive(JsonSchema)]
#[schemars(extend("required" = ["locality", "postal_code", "region", "street_address"]))]
struct E911 {
    /// Name of the caller
    #[schemars(length(min = 3))]
    caller_name: Option<String>,
    /// More of the address
    extended_address: Option<String>,
    /// City
    locality: Option<String>,
    /// Who is told of emergency calls
    #[schemars(extend("default" = []))]
    notification_contact_emails: Option<Vec<String>>,
    /// Postal code
    postal_code: Option<String>,
    /// State or province, two letters
    #[schemars(length(min = 2, max = 2))]
    region: Option<String>,
    /// State of the address
    #[schemars(extend("enum" = ["INVALID", "GEOCODED", "PROVISIONED", "REMOVED", "ERROR"]))]
    status: Option<String>,
    /// Street and house number
    street_address: Option<String>,
}

/// Two parties that are put together by a URL.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["extension", "name"]))]
pub(super) struct ClickToCall {
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
pub(super) struct WhitelistEntry(#[schemars(length(min = 1))] String);

/// Media of a click-to-call.
#[derive(JsonSchema)]
pub(super) struct ClickToCallMedia {
    /// What is sent before the answer is not heard
    ignore_early_media: Option<bool>,
}

/// Numbers that may not call.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["name"]))]
pub(super) struct Blacklist {
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
pub(super) struct Directory {
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
pub(super) struct Hosted {
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
pub(super) struct Webhook {
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
