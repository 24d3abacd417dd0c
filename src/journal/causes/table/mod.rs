//! One entry a cause: its code, its words, the page to go to. `docs/causes.md` is made from it.
//!
//! `{name}` is a value of the call. `[…]` is left out when one of its values is not known. `{so}` says what became of the
//! call: `, so the call was refused with 480`.

mod flows;
mod hooks;
mod phones;
mod trunks;

/// What is said of one cause.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Its code.
    pub code: Code,
    /// How sure it is to be the root of a failure beside others of the same call: the highest is told.
    pub weight: u8,
    /// Whether it is a problem somebody has to mend, and so counted among the problems of the last hour. A busy phone is
    /// none.
    pub problem: bool,
    /// The value that tells problems of one code apart: a URL, a phone.
    pub about: &'static str,
    /// What happened.
    pub what: &'static str,
    /// Why.
    pub why: &'static str,
    /// What to do.
    pub todo: &'static str,
    /// The page to do it on.
    pub link: &'static str,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident $text:literal)*) => {
        /// Names a cause. What is said of it is in the table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)*
        }

        impl Code {
            /// All of them, in the order of the documentation.
            pub const ALL: &'static [Code] = &[$(Code::$name),*];

            /// The word that stands for it in the API.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }
    };
}

codes! {
    /// A password is wrong.
    WrongPassword "wrong_password"
    /// Nobody has the user name.
    UnknownUser "unknown_user"
    /// Neither address nor password is known.
    SourceNotAllowed "source_not_allowed"
    /// An address is banned.
    AddressBanned "address_banned"
    /// A REGISTER names somebody else.
    RegisterRefused "register_refused"
    /// A call says it is another phone's.
    FromOfAnother "from_of_another"
    /// Nobody is registered.
    NotRegistered "not_registered"
    /// A registration was not renewed.
    RegistrationExpired "registration_expired"
    /// A phone says nothing.
    PhoneUnreachable "phone_unreachable"
    /// A phone is busy.
    PhoneBusy "phone_busy"
    /// Somebody declines.
    PhoneDeclined "phone_declined"
    /// A phone takes no calls.
    PhoneUnavailable "phone_unavailable"
    /// Nobody answers.
    NoAnswer "no_answer"
    /// A phone refuses for another reason.
    PhoneRefused "phone_refused"
    /// The caller gives up.
    CallerHungUp "caller_hung_up"
    /// The caller's codecs are none of ours.
    CodecCaller "codec_caller"
    /// Our codecs are none of the called party's.
    CodecCallee "codec_callee"
    /// A session description cannot be read.
    BadSdp "bad_sdp"
    /// A session description names a host instead of an address.
    SdpHostName "sdp_host_name"
    /// A device has to encrypt and does not.
    SrtpRequired "srtp_required"
    /// The called phone does not encrypt and has to.
    SrtpRefused "srtp_refused"
    /// DTLS does not come about.
    DtlsFailed "dtls_failed"
    /// No sound came.
    OneWayAudio "one_way_audio"
    /// Sound stopped.
    RtpTimeout "rtp_timeout"
    /// The answer was never confirmed.
    AckMissing "ack_missing"
    /// A session was not refreshed.
    SessionExpired "session_expired"
    /// The peer does not know the call any more, or its connection broke.
    PeerGone "peer_gone"
    /// A request breaks the rules of SIP.
    BadRequest "bad_request"
    /// A trunk's name has no address.
    TrunkDns "trunk_dns"
    /// A trunk takes no connection.
    TrunkConnection "trunk_connection"
    /// A trunk's TLS does not come about.
    TrunkTls "trunk_tls"
    /// A trunk's certificate has ended.
    TrunkCertificate "trunk_certificate"
    /// A trunk says nothing.
    TrunkTimeout "trunk_timeout"
    /// A trunk does not take our password.
    TrunkCredentials "trunk_credentials"
    /// A trunk forbids.
    TrunkForbidden "trunk_forbidden"
    /// A trunk does not know the number.
    TrunkNumber "trunk_number"
    /// A trunk has no line left.
    TrunkCongested "trunk_congested"
    /// A trunk fails.
    TrunkError "trunk_error"
    /// We are not registered at a trunk.
    TrunkRegistration "trunk_registration"
    /// A trunk's own limit is reached.
    TrunkLimit "trunk_limit"
    /// The account's limit is reached.
    AccountLimit "account_limit"
    /// The account's limit of calls from carriers is reached.
    InboundLimit "inbound_limit"
    /// No trunk takes the number.
    NoTrunk "no_trunk"
    /// An emergency call has no way out.
    EmergencyNoTrunk "emergency_no_trunk"
    /// The dial policy forbids the number.
    DialPolicy "dial_policy"
    /// A call from outside would go out again.
    CarrierToCarrier "carrier_to_carrier"
    /// A web server answers 4xx.
    HookRefused "hook_refused"
    /// A web server answers 5xx.
    HookFailed "hook_failed"
    /// A web server sends the request around.
    HookRedirects "hook_redirects"
    /// A web server takes too long.
    HookTimeout "hook_timeout"
    /// A web server takes no connection.
    HookUnreachable "hook_unreachable"
    /// A web server's name has no address.
    HookDns "hook_dns"
    /// TLS with a web server does not come about.
    HookTls "hook_tls"
    /// A web server's certificate has ended.
    HookCertificate "hook_certificate"
    /// The address guard refuses.
    HookBlocked "hook_blocked"
    /// The exchange broke.
    HookBroken "hook_broken"
    /// An answer is too long.
    HookTooLarge "hook_too_large"
    /// An answer is empty.
    HookEmpty "hook_empty"
    /// An answer is neither JSON nor XML.
    HookContentType "hook_content_type"
    /// An answer is broken JSON.
    HookJson "hook_json"
    /// An answer is no callflow.
    HookSchema "hook_schema"
    /// An answer is no TwiML.
    HookTwiml "hook_twiml"
    /// A TwiML document could not go on.
    TwimlEnded "twiml_ended"
    /// Requests go round.
    HookLoop "hook_loop"
    /// A node has no URL.
    HookUrl "hook_url"
    /// Nobody has the number.
    NumberNotFound "number_not_found"
    /// No account has the number a carrier calls.
    UnknownDid "unknown_did"
    /// The caller is blacklisted.
    Blacklisted "blacklisted"
    /// The caller may not call there.
    CallRestricted "call_restricted"
    /// A callflow goes round.
    CallflowLoop "callflow_loop"
    /// A call comes back to us.
    ForwardLoop "forward_loop"
    /// There is no such module.
    ModuleUnknown "module_unknown"
    /// A document is missing.
    DocumentMissing "document_missing"
    /// A node's data do not fit.
    NodeData "node_data"
    /// A module crashed.
    ModuleCrashed "module_crashed"
    /// A flow ended without anybody.
    FlowEnded "flow_ended"
    /// A medium is missing.
    AudioMissing "audio_missing"
    /// A file is no audio.
    AudioUndecodable "audio_undecodable"
    /// A file cannot be fetched.
    AudioFetch "audio_fetch"
    /// Text cannot be spoken.
    TtsFailed "tts_failed"
    /// Nobody can understand speech.
    SpeechFailed "speech_failed"
    /// A conference is full.
    ConferenceFull "conference_full"
    /// A conference is locked.
    ConferenceLocked "conference_locked"
    /// PINs were wrong.
    ConferencePin "conference_pin"
    /// A queue is full.
    QueueFull "queue_full"
    /// A transfer came to nothing.
    TransferFailed "transfer_failed"
    /// A recording could not be sent.
    RecordingUpload "recording_upload"
    /// No media port is free.
    NoPorts "no_ports"
    /// As many calls are up as may be.
    TooManyCalls "too_many_calls"
    /// swivel is too slow for more.
    Overload "overload"
    /// swivel is being stopped.
    ShuttingDown "shutting_down"
    /// swivel was started anew during the call.
    Restarted "restarted"
    /// The call was as long as calls may be.
    CallTooLong "call_too_long"
    /// Nobody knows.
    Unknown "unknown"
}

impl Code {
    /// Its entry.
    pub fn entry(self) -> &'static Entry {
        entries()
            .find(|entry| entry.code == self)
            .unwrap_or(&flows::UNKNOWN)
    }
}

/// Every entry.
fn entries() -> impl Iterator<Item = &'static Entry> {
    let tables = [
        phones::ENTRIES,
        trunks::ENTRIES,
        hooks::ENTRIES,
        flows::ENTRIES,
    ];
    tables.into_iter().flatten()
}

/// A problem somebody has to mend.
const fn problem(code: Code, weight: u8, about: &'static str, words: [&'static str; 4]) -> Entry {
    let [what, why, todo, link] = words;
    Entry {
        code,
        weight,
        problem: true,
        about,
        what,
        why,
        todo,
        link,
    }
}

/// What happens every day.
const fn everyday(code: Code, weight: u8, about: &'static str, words: [&'static str; 4]) -> Entry {
    let [what, why, todo, link] = words;
    Entry {
        code,
        weight,
        problem: false,
        about,
        what,
        why,
        todo,
        link,
    }
}

/// The words with their values in place. A value that is not known has a plain word in its stead; text in brackets is
/// left out then.
pub(super) fn fill<'a>(words: &str, value: impl Fn(&str) -> Option<&'a str> + Copy) -> String {
    let mut out = String::with_capacity(words.len() + 32);
    let mut rest = words;
    while let Some((before, after)) = rest.split_once('[') {
        put(&mut out, before, value, true);
        let (inner, behind) = after.split_once(']').unwrap_or((after, ""));
        if names(inner).all(|name| value(name).is_some()) {
            put(&mut out, inner, value, true);
        }
        rest = behind;
    }
    put(&mut out, rest, value, true);
    // A sentence may begin with a value: `phone 201 rang`. Names and addresses stay as they are.
    let first = out.chars().next().unwrap_or_default();
    let word = out.split(' ').next().unwrap_or_default();
    if first.is_lowercase() && word != "swivel" && !word.contains(['.', ':', '/']) {
        out.replace_range(..first.len_utf8(), &first.to_uppercase().to_string());
    }
    out
}

fn put<'a>(out: &mut String, words: &str, value: impl Fn(&str) -> Option<&'a str>, plain: bool) {
    let mut rest = words;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let (name, behind) = after.split_once('}').unwrap_or((after, ""));
        match value(name) {
            Some(text) => out.push_str(text),
            None if plain => out.push_str(instead_of(name)),
            None => {}
        }
        rest = behind;
    }
    out.push_str(rest);
}

/// The names of values in words.
fn names(words: &str) -> impl Iterator<Item = &str> {
    words
        .split('{')
        .skip(1)
        .filter_map(|after| Some(after.split_once('}')?.0))
}

/// What is said where a value is not known.
fn instead_of(name: &str) -> &'static str {
    match name {
        "outcome" => "the call failed",
        "phone" => "the phone",
        "trunk" => "the trunk",
        "caller" => "the caller",
        "url" => "the web server",
        "source" | "address" | "contact" => "an address",
        "realm" => "its realm",
        "user" => "the user",
        "media" => "a sound",
        "so" => "",
        "seconds" | "took" => "some",
        "status" => "an error",
        "server" => "its server",
        "supported" => "other codecs",
        "offered" => "none",
        "method" => "request",
        "account" => "the account",
        "module" => "a module",
        "dialled" | "number" => "the number",
        _ => "something",
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
