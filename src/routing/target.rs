//! What is rung: an endpoint as routing sees it, before anybody looks where it is registered or resolves a name.

use std::time::Duration;

use crate::base::secret::Secret;

/// One endpoint to ring: a device of the account, a gateway of a trunk, or a URI somebody asked for.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where it is.
    pub place: Place,
    /// KAZOO's authorising type of the new leg: `device`, `user`, `resource` …
    pub kind: &'static str,
    /// Document id of the device, or of the resource a gateway belongs to.
    pub id: String,
    /// The user it belongs to.
    pub owner_id: Option<String>,
    /// Name and number for its log, such as the device's name.
    pub name: String,
    /// How long after the others it starts to ring.
    pub delay: Duration,
    /// How long it may ring; `None` as long as the bridge.
    pub timeout: Option<Duration>,
    /// How long it may take to its first 180 or 183 before the next is tried; `None` for ever.
    pub progress_timeout: Option<Duration>,
    /// Who calls, as this endpoint is to see it: display name.
    pub caller_id_name: Option<String>,
    /// Who calls, as this endpoint is to see it: number.
    pub caller_id_number: Option<String>,
    /// Give up on it, and try whoever comes next, when its server says nothing at all for a few seconds.
    pub impatient: bool,
    /// Hide who calls (RFC 3323): `Privacy` values, such as `id`.
    pub privacy: Option<&'static str>,
    /// Send P-Asserted-Identity.
    pub asserted_identity: bool,
    /// More headers of the INVITE (custom SIP headers, Diversion, Alert-Info), name and value.
    pub headers: Vec<(String, String)>,
    /// Codecs to offer, by SDP name in order; empty for the defaults.
    pub codecs: Vec<String>,
    /// Whether its media is encrypted.
    pub secrecy: Secrecy,
    /// A peer that connects by WebSocket is a browser, whose media is ICE and DTLS-SRTP.
    pub webrtc: bool,
    /// Answers to a challenge: user name, password, and the realm they are for (`None`: the one of `place`).
    pub credentials: Option<(String, Secret, Option<String>)>,
    /// Do not let the caller hear what it sends before it answers.
    pub ignore_early_media: bool,
    /// Keys the called party must press before it is connected (call forward `require_keypress`).
    pub confirm: bool,
    /// Keys sent to it once it has answered, before it is connected; `w` waits half a second.
    pub send_digits: String,
    /// Rung although it is in a call; else it counts as busy then.
    pub call_waiting: bool,
    /// User part of the Request-URI in place of the one it registered with, or of the URI's.
    pub request_user: Option<String>,
    /// Host of the From URI; `None` is ours.
    pub from_host: Option<String>,
    /// Which of those a flow rings it belongs to, for who attends the legs.
    pub mark: usize,
}

impl Target {
    /// The endpoint at `place`, with nothing special about it.
    pub fn at(place: Place) -> Self {
        Self {
            place,
            kind: "device",
            id: String::new(),
            owner_id: None,
            name: String::new(),
            delay: Duration::ZERO,
            timeout: None,
            progress_timeout: None,
            caller_id_name: None,
            caller_id_number: None,
            impatient: false,
            privacy: None,
            asserted_identity: false,
            headers: Vec::new(),
            codecs: Vec::new(),
            secrecy: Secrecy::ByTransport,
            webrtc: true,
            credentials: None,
            ignore_early_media: false,
            confirm: false,
            send_digits: String::new(),
            call_waiting: true,
            request_user: None,
            from_host: None,
            mark: 0,
        }
    }
}

/// Whether the media of an endpoint is encrypted, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Secrecy {
    /// As the transport says: keys are offered over TLS, browsers always have DTLS, everything else is plain.
    #[default]
    ByTransport,
    /// Plain, whatever the transport.
    Never,
    /// SDES keys are offered, and may be passed over.
    Offered,
    /// SDES, or no call.
    Required,
    /// DTLS-SRTP.
    Dtls,
}

/// Where an endpoint is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Wherever this address of record is registered (`user@realm`).
    Registered {
        /// `sip.username`.
        username: String,
        /// Realm of the account or the device, lower case.
        realm: String,
    },
    /// A SIP URI: request line and, by RFC 3263, destination.
    Uri {
        /// Request-URI, such as `sip:+14155550100@carrier.example:5060;transport=tcp`.
        uri: String,
        /// Where to send it instead of where the URI says (an outbound proxy), as `host[:port]`.
        proxy: Option<String>,
    },
    /// A number of the account that a callflow must answer (call forward to an extension): runs through the office's own
    /// resources or callflows as a new outgoing call.
    Number(String),
}
