//! `docs/causes.md`, from the table: what each code says, with the values of an example.

use std::fmt::Write as _;

use super::table::{Code, fill};

/// The page.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Causes\n\n\
         <!-- This page is generated from src/journal/causes/table: SWIVEL_WRITE_DOCS=1 cargo test --lib journal::causes -->\n\n\
         Each failed call, and each call that went on without something it should have had, carries one cause in plain words: \
         what happened, why, and what to do. The same words stand in the page, in `swivel top`, at the end of `swivel trace`, \
         and in `GET /v2/accounts/{ACCOUNT_ID}/problems`, which counts those of the last hour. This page has one entry a code, \
         with the values of an example.\n\n\
         The nearest cause that the evidence supports is told; *probably* marks what is inferred. Where nothing is known, \
         swivel says so, and what it saw last.\n\n\
         Entries marked *everyday* are told of the call, and not counted as problems.\n",
    );
    for code in Code::ALL {
        let entry = code.entry();
        let value = |name: &str| example(*code, name);
        let everyday = if entry.problem { "" } else { " (everyday)" };
        let said = writeln!(
            out,
            "\n## `{}`{everyday}\n\n- **What happened**: {}\n- **Why**: {}\n- **What to do**: {}\n- **Where**: `{}`",
            code.name(),
            fill(entry.what, value),
            fill(entry.why, value),
            fill(entry.todo, value),
            fill(entry.link, value),
        );
        // Writing to a string does not fail.
        if said.is_err() {
            break;
        }
    }
    out
}

/// An example of a value.
fn example(code: Code, name: &str) -> Option<&'static str> {
    use Code::*;
    if let Some(own) = own_example(code, name) {
        return Some(own);
    }
    if matches!(code, PhoneRefused) && name == "so" {
        return Some(", so the call was refused with 500");
    }
    Some(match name {
        "method" => match code {
            WrongPassword | UnknownUser => "REGISTER",
            _ => "INVITE",
        },
        "user" => "alice",
        "realm" => "pbx.example.com",
        "source" => "198.51.100.7",
        "contact" => "198.51.100.7:5060",
        "phone" => "Front desk",
        "trunk" => "Northline",
        "server" => "sip.northline.example",
        "caller" => "+15552014477",
        "dialled" => "2030",
        "number" => "+15553330100",
        "so" => ", so the call was refused with 480",
        "status" => "486 Busy Here",
        "seconds" => "20",
        "ago" => "12 min",
        "offered" => "AMR-WB",
        "supported" => "PCMU, PCMA, G722, Opus",
        "url" => "https://app.example.com/voice.php",
        "took" => "31",
        "body" => "Undefined array key \"Digits\"",
        "address" => "192.168.1.7",
        "module" => "tts",
        "media" => "welcome",
        "conference" => "daily",
        "queue" => "support",
        "limit" => "10",
        "detail" => "no details",
        "last" => "a BYE from the other end without a reason",
        "retry" => "5",
        "outcome" => "the call was refused with 480",
        _ => return None,
    })
}

fn own_example(code: Code, name: &str) -> Option<&'static str> {
    use Code::*;
    Some(match (code, name) {
        (CodecCallee | SrtpRefused, "status") => "488 Not Acceptable Here",
        (CodecCallee, "offered") => "PCMU, PCMA, G722, Opus",
        (PhoneDeclined, "status") => "603 Decline",
        (PhoneUnavailable, "status") => "480 Temporarily Unavailable",
        (PhoneRefused, "status") => "500 Server Internal Error",
        (PeerGone, "status") => "481",
        (SourceNotAllowed, "status") => "401",
        (FromOfAnother | RegisterRefused, "status") | (TrunkRegistration, "status" | "refused") => {
            "403"
        }
        (BadRequest, "status") => "400",
        (BadRequest, "phrase") => "Bad Request",
        (TrunkCredentials, "status") => "407 Proxy Authentication Required",
        (TrunkForbidden, "status") => "403 Forbidden",
        (TrunkForbidden, "phrase") => "Caller id not allowed",
        (TrunkNumber, "status") => "404 Not Found",
        (TrunkCongested, "status") => "503 Service Unavailable",
        (TrunkError, "status") => "500 Server Internal Error",
        (TrunkConnection | HookUnreachable, "detail") => "connection refused",
        (TrunkTls, "detail") => "the certificate is not valid for this name",
        (TrunkCertificate | HookCertificate, "detail") => "expired 3 days ago",
        (HookTls, "detail") => "the certificate is not valid for this name",
        (EmergencyNoTrunk, "number") => "112",
        (TrunkLimit | AccountLimit, "limit") => "calls at once",
        (HookRefused, "status") => "404",
        (HookRefused, "body") => "Not Found",
        (HookFailed, "status") => "500",
        (HookRedirects, "status") => "302",
        (HookBlocked, "detail") => "10.0.0.1 may not be fetched from: it is private",
        (HookBroken, "detail") => "the connection was closed",
        (HookTooLarge, "detail") => "the body is longer than 262144 bytes",
        (HookContentType, "content_type") => "text/html",
        (HookJson, "detail") => "expected `,` or `}` at byte 121",
        (HookSchema, "detail") => "data.timeout: \"soon\" is not a number",
        (HookTwiml, "detail") => "the root is html, and Response is needed",
        (TwimlEnded, "detail") => "Play: no common codec with the caller",
        (HookLoop, "detail") => "10 pivot requests in a row within 1s are the limit",
        (HookUrl, "detail") => "voice_url \"htp:/x\" is not a URL",
        (UnknownDid | ForwardLoop, "status") => match code {
            UnknownDid => "404",
            _ => "482",
        },
        (CallRestricted, "detail") => "international",
        (CallflowLoop, "detail") => "nodes",
        (ModuleUnknown, "module") => "voicemail_plus",
        (DocumentMissing, "detail") => "no menu \"main\"",
        (DocumentMissing, "module") => "menu",
        (NodeData, "detail") => "invalid type: string \"soon\", expected u32",
        (NodeData, "module") => "sleep",
        (ModuleCrashed, "detail") => "index out of bounds",
        (AudioMissing, "detail") => "it has no content",
        (AudioUndecodable, "detail") => "unknown format",
        (AudioFetch, "detail") => "https://app.example.com/a.wav answered HTTP 404",
        (TtsFailed, "detail") => "the program ended with status 1",
        (SpeechFailed, "detail") => "no answer within 5 s",
        (ConferencePin, "detail") => "PIN",
        (TransferFailed, "status") => "404",
        (TransferFailed, "detail") => "No callflow of the account has the number",
        (RecordingUpload, "detail") => "HTTP 500",
        (NoPorts, "detail") => "8192 ports",
        (TooManyCalls, "limit") => "10000",
        (CallTooLong, "seconds") => "14400",
        _ => return None,
    })
}
