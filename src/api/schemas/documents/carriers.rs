//! How the outside is reached: carriers, numbers, how many calls there may be.

use schemars::JsonSchema;
use serde_json::Value;

use crate::api::schemas::shared::*;

/// A carrier: its gateways, and the numbers it is used for.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["gateways", "name"]))]
pub(in crate::api::schemas) struct Trunk {
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

/// How many calls the account may have.
#[derive(JsonSchema)]
pub(in crate::api::schemas) struct Limits {
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
pub(in crate::api::schemas) struct PhoneNumber {
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
