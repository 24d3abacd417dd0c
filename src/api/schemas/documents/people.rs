//! Who is there: accounts, users, devices.

use schemars::JsonSchema;
use serde_json::Value;

use crate::api::schemas::shared::*;
use crate::base::profile::Profile as Rules;

/// An account: a tenant with its own realm, users, devices and callflows.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["name"]))]
pub(in crate::api::schemas) struct Account {
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
pub(in crate::api::schemas) struct User {
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
pub(in crate::api::schemas) struct Device {
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
