//! Trunks: ways to carriers, and how much may be dialled.

use super::Code::*;
use super::{Entry, problem};

const TRUNK: &str = "/trunks[/{trunk_id}]";

pub(super) const ENTRIES: &[Entry] = &[
    problem(
        TrunkDns,
        72,
        "trunk",
        [
            "{trunk} could not be called{so}.",
            "The name {server} has no address in the DNS.",
            "Correct the server's name, then run the trunk's test.",
            TRUNK,
        ],
    ),
    problem(
        TrunkConnection,
        72,
        "trunk",
        [
            "{trunk} could not be called{so}.",
            "{server} takes no connection[: {detail}].",
            "Correct server, port and transport, then run the trunk's test.",
            TRUNK,
        ],
    ),
    problem(
        TrunkTls,
        73,
        "trunk",
        [
            "{trunk} could not be called{so}.",
            "TLS with {server} does not come about[: {detail}].",
            "Correct the server's name or certificate, then run the trunk's test.",
            TRUNK,
        ],
    ),
    problem(
        TrunkCertificate,
        74,
        "trunk",
        [
            "{trunk} could not be called{so}.",
            "The certificate of {server} has expired[: {detail}].",
            "Have the carrier renew it, then run the trunk's test.",
            TRUNK,
        ],
    ),
    problem(
        TrunkTimeout,
        71,
        "trunk",
        [
            "{trunk} did not answer our INVITE{so}.",
            "Nothing came back from {server}. It is probably down, or a firewall lets nothing through.",
            "Run the trunk's test. A second gateway takes calls that the first does not.",
            TRUNK,
        ],
    ),
    problem(
        TrunkCredentials,
        73,
        "trunk",
        [
            "{trunk} answered {status} to our INVITE{so}.",
            "It does not take the user name or password of the trunk.",
            "Enter user name and password as the carrier gave them.",
            TRUNK,
        ],
    ),
    problem(
        TrunkForbidden,
        70,
        "trunk",
        [
            "{trunk} answered {status}{so}.",
            "The carrier does not allow this call[; it says “{phrase}”]. Probably our address, the caller's number or the destination is not enabled there.",
            "Ask the carrier what is allowed, and send a caller id that is yours.",
            TRUNK,
        ],
    ),
    problem(
        TrunkNumber,
        65,
        "trunk",
        [
            "{trunk} answered {status}{so}.",
            "The carrier does not know {number} in the form it was sent.",
            "Look whether the carrier wants the number with or without + and country code, and set the trunk's formatters so.",
            TRUNK,
        ],
    ),
    problem(
        TrunkCongested,
        69,
        "trunk",
        [
            "{trunk} answered {status}{so}.",
            "The carrier has no line left or is overloaded.",
            "Add a second trunk, or ask the carrier for more lines.",
            TRUNK,
        ],
    ),
    problem(
        TrunkError,
        68,
        "trunk",
        [
            "{trunk} answered {status}{so}.",
            "The carrier's server failed[; it says “{phrase}”].",
            "Send the carrier the Call-ID and time of this call.",
            TRUNK,
        ],
    ),
    problem(
        TrunkRegistration,
        73,
        "trunk",
        [
            "Registering at {trunk} failed with {status}.",
            "[{server} does not take the user name or password of the trunk ({refused}).][{server} did not answer in time ({silent}).]",
            "Correct server, user name and password of the trunk. swivel tries again by itself.",
            TRUNK,
        ],
    ),
    problem(
        TrunkLimit,
        70,
        "trunk",
        [
            "{trunk} was not tried{so}.",
            "It has reached its limit of {limit}.",
            "Raise the trunk's limit, or add a trunk.",
            TRUNK,
        ],
    ),
    problem(
        AccountLimit,
        78,
        "limit",
        [
            "The call to {number} was not placed{so}.",
            "The account has reached its limit of {limit}.",
            "Raise the account's limits (`limits`, `dial_policy`), or end calls that nobody needs.",
            "/settings",
        ],
    ),
    problem(
        InboundLimit,
        78,
        "",
        [
            "A call from a carrier to {dialled} was refused with 486.",
            "As many calls from carriers are up as the account's limit allows (`limits.inbound_trunks`).",
            "Raise the limit.",
            "/settings",
        ],
    ),
    problem(
        NoTrunk,
        72,
        "",
        [
            "{number} could not be dialled{so}.",
            "No trunk of the account takes this number.",
            "Add a trunk, or a rule to one that this number fits.",
            "/trunks",
        ],
    ),
    problem(
        EmergencyNoTrunk,
        95,
        "",
        [
            "The emergency number {number} could not be dialled{so}.",
            "No trunk of the account takes emergency calls.",
            "Add a trunk with `emergency` on at once.",
            "/trunks",
        ],
    ),
    problem(
        DialPolicy,
        80,
        "number",
        [
            "{number} was not dialled{so}.",
            "The account's `dial_policy` does not allow it; that protects against toll fraud.",
            "If the call is wanted, allow the country or class in the account's `dial_policy`.",
            "/settings",
        ],
    ),
    problem(
        CarrierToCarrier,
        79,
        "",
        [
            "A call from a carrier was not sent out again{so}.",
            "The callflow names no number, and a call from outside never leaves by the number it came in with; that protects against toll fraud.",
            "Give the node `to_did` with the number to call.",
            "/flows[/{callflow}]",
        ],
    ),
];
