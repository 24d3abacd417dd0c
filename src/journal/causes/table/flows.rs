//! Callflows, what they play and where they lead; and swivel itself.

use super::Code::*;
use super::{Entry, everyday, problem};

const FLOW: &str = "/flows[/{callflow}]";

/// When nobody knows.
pub(super) const UNKNOWN: Entry = problem(
    Unknown,
    1,
    "",
    [
        "{outcome}.",
        "swivel does not know why. The last thing seen was {last}.",
        "Look at the messages of the call.",
        "/calls[/{call_id}]",
    ],
);

pub(super) const ENTRIES: &[Entry] = &[
    problem(
        NumberNotFound,
        70,
        "dialled",
        [
            "The call to {dialled} was refused with 404.",
            "No callflow of the account has the number {dialled}, and there is none for `no_match`.",
            "Give the number to a callflow, or make a callflow with the number `no_match`.",
            "/numbers",
        ],
    ),
    problem(
        UnknownDid,
        70,
        "dialled",
        [
            "A carrier's call to {dialled} was refused with {status}.",
            "No account has the number {dialled} in this form.",
            "Add the number to an account, in the form the carrier sends.",
            "/numbers",
        ],
    ),
    everyday(
        Blacklisted,
        70,
        "",
        [
            "The call of {caller} was refused with 603.",
            "{caller} is on a blacklist of the account.",
            "If the caller is welcome, take the number from the blacklist.",
            "/settings",
        ],
    ),
    problem(
        CallRestricted,
        80,
        "dialled",
        [
            "The call to {dialled} was not allowed{so}.",
            "The settings of the caller forbid it (`call_restriction`: {detail}).",
            "If the call is wanted, allow this class of numbers at the device, user or account.",
            "/people/devices[/{device}]",
        ],
    ),
    problem(
        CallflowLoop,
        82,
        "callflow",
        [
            "The callflow was ended{so}.",
            "It has run too many {detail}; it probably leads back to itself.",
            "Let one of its nodes lead to an end, or wait for the caller.",
            FLOW,
        ],
    ),
    problem(
        ForwardLoop,
        82,
        "dialled",
        [
            "The call to {dialled} was refused with {status}.",
            "It has come back to swivel again and again: forwards or trunks probably send it round in a circle.",
            "Take one of the forwards away.",
            "/people/users",
        ],
    ),
    problem(
        ModuleUnknown,
        65,
        "module",
        [
            "A node of the callflow could not run{so}.",
            "swivel has no module “{module}”.",
            "Correct the module's name, or use another one.",
            FLOW,
        ],
    ),
    problem(
        DocumentMissing,
        65,
        "detail",
        [
            "A node of the callflow could not run{so}.",
            "The {module} node names a document that is not there: {detail}.",
            "Choose another document in the node.",
            FLOW,
        ],
    ),
    problem(
        NodeData,
        65,
        "module",
        [
            "A node of the callflow could not run{so}.",
            "The data of the {module} node do not fit: {detail}.",
            "Correct that field of the node.",
            FLOW,
        ],
    ),
    problem(
        ModuleCrashed,
        66,
        "module",
        [
            "A node of the callflow could not run{so}.",
            "The module {module} failed in itself[: {detail}].",
            "Report this with the call's trace.",
            FLOW,
        ],
    ),
    everyday(
        FlowEnded,
        30,
        "",
        [
            "The callflow ended[ after the node {module}]{so}.",
            "The flow has come to its end and nobody had answered.",
            "If that is not wanted, add a node that answers.",
            FLOW,
        ],
    ),
    problem(
        AudioMissing,
        60,
        "media",
        [
            "A sound was not played{so}.",
            "There is no media {media}[: {detail}].",
            "Upload it, or choose another in the node.",
            "/media",
        ],
    ),
    problem(
        AudioUndecodable,
        60,
        "media",
        [
            "A sound was not played{so}.",
            "The file is no audio that swivel can decode: {detail}.",
            "Upload it as WAV, MP3, FLAC or Ogg.",
            "/media",
        ],
    ),
    problem(
        AudioFetch,
        60,
        "media",
        [
            "A sound was not played{so}.",
            "The file could not be fetched: {detail}.",
            "Correct the URL, or make the file available there.",
            "/media",
        ],
    ),
    problem(
        TtsFailed,
        62,
        "",
        [
            "A text was not spoken{so}.",
            "Text to speech (TTS) failed: {detail}.",
            "Run `swivel check`; it tests the voice of the section `tts`.",
            "/settings",
        ],
    ),
    problem(
        SpeechFailed,
        62,
        "",
        [
            "Speech was not understood{so}.",
            "Speech to text failed: {detail}.",
            "Look at the section `stt` of the configuration.",
            "/settings",
        ],
    ),
    problem(
        ConferenceFull,
        60,
        "conference",
        [
            "The caller was not let into the conference {conference}.",
            "It is full: {limit} are in it already.",
            "Raise `max_participants` of the conference.",
            FLOW,
        ],
    ),
    everyday(
        ConferenceLocked,
        60,
        "conference",
        [
            "The caller was not let into the conference {conference}.",
            "A moderator has locked it.",
            "Unlock the conference.",
            FLOW,
        ],
    ),
    problem(
        ConferencePin,
        60,
        "conference",
        [
            "The caller was not let into the conference[ {conference}].",
            "The caller entered a wrong {detail} three times.",
            "Tell the caller the right one.",
            FLOW,
        ],
    ),
    problem(
        QueueFull,
        60,
        "queue",
        [
            "The caller was not let into the queue {queue}.",
            "The queue is full: {limit} wait in it already.",
            "Have more people take calls from it, or raise its limit.",
            FLOW,
        ],
    ),
    problem(
        TransferFailed,
        64,
        "",
        [
            "A transfer to {number} did not come about[: it ended with {status}].",
            "[{detail}.]",
            "Transfer to a number that this phone may call.",
            FLOW,
        ],
    ),
    problem(
        RecordingUpload,
        61,
        "url",
        [
            "A recording was not uploaded.",
            "The server at {url} did not take it[: {detail}].",
            "Mend the server; the recording is kept here meanwhile.",
            "/calls[/{call_id}]",
        ],
    ),
    problem(
        NoPorts,
        88,
        "",
        [
            "The call was refused with 503.",
            "No RTP port is free: {detail} are in use.",
            "Widen the range of media ports (`rtp.ports`).",
            "/settings",
        ],
    ),
    problem(
        TooManyCalls,
        88,
        "",
        [
            "The call was refused with 503.",
            "As many calls are up as the configuration allows ({limit}).",
            "Raise `sip.max_calls`, if this machine can carry more.",
            "/settings",
        ],
    ),
    problem(
        Overload,
        87,
        "",
        [
            "The call was refused with 503[, to be tried again after {retry} s].",
            "swivel is overloaded or has as many transactions as it may have, and refuses new calls until it has caught up.",
            "Spread calls over time or over more machines.",
            "/settings",
        ],
    ),
    everyday(
        ShuttingDown,
        86,
        "",
        [
            "The call was ended by swivel{so}.",
            "swivel was being stopped.",
            "Let calls end before stopping: `drain_seconds`.",
            "/settings",
        ],
    ),
    problem(
        Restarted,
        90,
        "",
        [
            "The call was cut off.",
            "swivel was restarted during the call without ending it first: it crashed, was killed, or the machine lost power.",
            "Look into swivel's log for the time before the start.",
            "/settings",
        ],
    ),
    problem(
        CallTooLong,
        70,
        "",
        [
            "The call was ended after {seconds} s.",
            "It has reached the longest time a call may last.",
            "If longer calls are wanted, raise `sip.max_call_seconds` or the node's time limit.",
            "/settings",
        ],
    ),
    UNKNOWN,
];
