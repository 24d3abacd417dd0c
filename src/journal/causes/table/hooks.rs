//! Web servers that steer calls.

use super::Code::*;
use super::{Entry, problem};

const DEBUG: &str = "/debug[/{call_id}]";

pub(super) const ENTRIES: &[Entry] = &[
    problem(
        HookRefused,
        84,
        "url",
        [
            "The web server answered {status} after {took} ms{so}.",
            "{url} does not take the request[; its body says “{body}”].",
            "Correct the URL or the server's rules, then replay the request. Give the pivot node a `_` child.",
            DEBUG,
        ],
    ),
    problem(
        HookFailed,
        86,
        "url",
        [
            "The web server answered {status} after {took} ms{so}.",
            "The program behind {url} failed[; its body says “{body}”].",
            "Mend the program, then replay the request. Give the pivot node a `_` child.",
            DEBUG,
        ],
    ),
    problem(
        HookRedirects,
        84,
        "url",
        [
            "The web server answered {status} after {took} ms{so}.",
            "{url} redirects, and not to an answer within four redirects.",
            "Enter the last address of the chain as the URL.",
            DEBUG,
        ],
    ),
    problem(
        HookTimeout,
        86,
        "url",
        [
            "The web server gave no answer within {seconds} s{so}.",
            "{url} was asked and took longer than `req_timeout_ms` allows.",
            "Answer first and work later, or raise `req_timeout_ms`.",
            DEBUG,
        ],
    ),
    problem(
        HookUnreachable,
        86,
        "url",
        [
            "The web server could not be reached{so}.",
            "Nothing takes connections at {url}[: {detail}].",
            "Start the web server, or correct the URL.",
            DEBUG,
        ],
    ),
    problem(
        HookDns,
        86,
        "url",
        [
            "The web server could not be reached{so}.",
            "The host name of {url} has no address in the DNS.",
            "Correct the host name in the URL.",
            DEBUG,
        ],
    ),
    problem(
        HookTls,
        86,
        "url",
        [
            "The web server could not be reached{so}.",
            "TLS with {url} does not come about[: {detail}].",
            "Give the server a certificate that is valid for its name.",
            DEBUG,
        ],
    ),
    problem(
        HookCertificate,
        87,
        "url",
        [
            "The web server could not be reached{so}.",
            "The certificate of {url} has expired[: {detail}].",
            "Renew the certificate.",
            DEBUG,
        ],
    ),
    problem(
        HookBlocked,
        87,
        "url",
        [
            "The web server was not asked{so}.",
            "The address guard of swivel forbids {url}[: {detail}].",
            "Use another address, or allow its network in the configuration (`pivot.allow`).",
            DEBUG,
        ],
    ),
    problem(
        HookBroken,
        85,
        "url",
        [
            "The web server gave no complete answer{so}.",
            "The exchange with {url} broke[: {detail}].",
            "Look into the web server's log.",
            DEBUG,
        ],
    ),
    problem(
        HookTooLarge,
        85,
        "url",
        [
            "The answer of the web server was not read{so}.",
            "It is longer than swivel takes[: {detail}].",
            "Send a shorter document.",
            DEBUG,
        ],
    ),
    problem(
        HookEmpty,
        86,
        "url",
        [
            "The web server answered with an empty body{so}.",
            "{url} sent neither a callflow nor TwiML.",
            "Answer with a document; `{\"module\":\"hangup\"}` ends a call.",
            DEBUG,
        ],
    ),
    problem(
        HookContentType,
        86,
        "url",
        [
            "The answer of the web server was not understood{so}.",
            "It is of content type {content_type}, and neither callflow JSON nor TwiML.",
            "Send JSON as `application/json` or TwiML as `text/xml`.",
            DEBUG,
        ],
    ),
    problem(
        HookJson,
        86,
        "url",
        [
            "The answer of the web server was not understood{so}.",
            "It is invalid JSON: {detail}.",
            "Mend the JSON, then replay the request. A JSON library writes no such mistakes.",
            DEBUG,
        ],
    ),
    problem(
        HookSchema,
        86,
        "url",
        [
            "The answer of the web server was not run{so}.",
            "It is JSON, but breaks the schema of a callflow: {detail}.",
            "Mend that field, then replay the request.",
            DEBUG,
        ],
    ),
    problem(
        HookTwiml,
        86,
        "url",
        [
            "The answer of the web server was not run{so}.",
            "It is not TwiML: {detail}.",
            "Mend the document, then replay the request.",
            DEBUG,
        ],
    ),
    problem(
        TwimlEnded,
        83,
        "",
        [
            "The TwiML document was ended{so}.",
            "{detail}.",
            "Mend that place of the document, then replay the request.",
            DEBUG,
        ],
    ),
    problem(
        HookLoop,
        87,
        "url",
        [
            "The web server was not asked again{so}.",
            "The call has made too many requests: {detail}. The answers probably send it round in a circle.",
            "Let one of the answers wait for the caller.",
            DEBUG,
        ],
    ),
    problem(
        HookUrl,
        86,
        "",
        [
            "No web server was asked{so}.",
            "The pivot node names no URL that can be asked: {detail}.",
            "Enter `voice_url` in the node.",
            "/flows[/{callflow}]",
        ],
    ),
];
