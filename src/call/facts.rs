//! What is known of a call: the facts of its INVITE, and the variables its script changes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::base::time::UnixMicros;
use crate::directory::Account;
use crate::routing::Presentation;
use crate::sip::flow::Transport;

/// What the INVITE said and the switch found out. Never changes during the call.
#[derive(Debug, Clone)]
pub struct CallFacts {
    /// SIP Call-ID of the caller's leg.
    pub call_id: String,
    /// The account that owns the call.
    pub account: Arc<Account>,
    /// `inbound`, or `outbound` for calls we originate.
    pub direction: &'static str,
    /// Display name of From, or the user part when there is none.
    pub caller_id_name: String,
    /// User part of From.
    pub caller_id_number: String,
    /// User part of From.
    pub from_user: String,
    /// Host of From.
    pub from_realm: String,
    /// The From URI, raw.
    pub from_uri: String,
    /// Tag of From.
    pub from_tag: String,
    /// User part of To.
    pub to_user: String,
    /// Host of To.
    pub to_realm: String,
    /// The To URI, raw.
    pub to_uri: String,
    /// Name of whom we call; empty of a leg that calls us.
    pub callee_id_name: String,
    /// User part of the Request-URI: the dialled number as dialled.
    pub request_user: String,
    /// Host of the Request-URI.
    pub request_realm: String,
    /// Document id of the device (or resource) that proved itself.
    pub authorizing_id: String,
    /// `device`, `user`, `resource` …
    pub authorizing_type: &'static str,
    /// The user who owns the device.
    pub owner_id: Option<String>,
    /// The request string when the call came from outside; `None` is an internal call.
    pub inception: Option<String>,
    /// `X-` headers of the INVITE, names as sent.
    pub custom_sip_headers: Map<String, Value>,
    /// Max-Forwards of the INVITE.
    pub max_forwards: u8,
    /// How often the call has come through us already.
    pub passes: u8,
    /// Diversion headers of the INVITE: who has sent the call on (RFC 5806).
    pub diversions: Vec<String>,
    /// Referred-By of the transfer this call is (RFC 3892).
    pub referred_by: Option<String>,
    /// User-Agent of the caller.
    pub user_agent: String,
    /// Where the INVITE came from.
    pub source: SocketAddr,
    /// What it came over.
    pub transport: Transport,
    /// When it came.
    pub created: UnixMicros,
    /// Names the conversation all its legs share: `<gregorian seconds>-<8 hex>`.
    pub interaction_id: String,
    /// Names this routing decision; random.
    pub fetch_id: String,
}

/// What becomes of the caller when the party he talked to has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AfterBridge {
    /// The call ends.
    Hangup,
    /// It goes on at that number.
    Transfer(String),
    /// It stays, and hears music until it hangs up.
    Park,
}

/// What a script may change; travels with the call through every flow and Pivot request.
#[derive(Debug, Default)]
pub struct CallVars {
    /// Prompt and speech language, set by the `language` module.
    pub language: Option<String>,
    /// KAZOO's CAVs.
    pub custom_application_vars: Map<String, Value>,
    /// The part of the CAVs that later legs get too.
    pub exported_application_vars: Map<String, Value>,
    /// KAZOO's CCVs that a flow can set or read, by their KAZOO names (`Call-Priority`).
    pub channel_vars: Map<String, Value>,
    /// Digits by collection name (`collect_dtmf`).
    pub collections: BTreeMap<String, String>,
    /// The text of the pattern that matched.
    pub capture_group: Option<String>,
    /// Its named groups.
    pub capture_groups: BTreeMap<String, String>,
    /// Whether the callflow holds `no_match`.
    pub no_match: bool,
    /// The callflow that runs.
    pub callflow_id: Option<String>,
    /// The document of that callflow.
    pub flow: Option<Arc<Value>>,
    /// Who the caller is after `check_cid`.
    pub caller_id_name: Option<String>,
    /// Who the caller is after `check_cid`.
    pub caller_id_number: Option<String>,
    /// Owner set by the flow (`check_cid`).
    pub owner_id: Option<String>,
    /// The dialled number in place of the one of the INVITE (`dynamic_cid`).
    pub request_user: Option<String>,
    /// How the caller is shown to those the flow rings.
    pub presentation: Presentation,
    /// What the caller hears while those it calls ring, unless the module says otherwise.
    pub ringback: Option<String>,
    /// What parties on hold hear, in place of the account's music.
    pub hold_music: Option<String>,
    /// What becomes of the caller after a bridge (`after_bridge`).
    pub after_bridge: Option<AfterBridge>,
    /// `CallStatus` as TwiML sees it; empty before the first verb.
    pub call_status: Option<String>,
    /// Who is told of the end of a call whose last flow was TwiML.
    pub cdr_url: Option<String>,
    /// How many Pivot requests the call has made.
    pub pivots: u32,
    /// When the Pivot requests of the last second were made, oldest first.
    pub recent_pivots: Vec<std::time::Instant>,
    /// Cookies that Pivot servers have set: host, name and value.
    pub cookies: Vec<(String, String, String)>,
    /// How many `branch` jumps the call has made.
    pub branches: u32,
}
