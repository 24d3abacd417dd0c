//! Phones: who they are, whether they are there, what they say and hear. What strangers can cause is not told apart by
//! what they write: there would be no end of it.

use super::Code::*;
use super::{Entry, everyday, problem};

const DEVICES: &str = "/people/devices";

pub(super) const ENTRIES: &[Entry] = &[
    problem(
        WrongPassword,
        90,
        "user",
        [
            "The {method} of {user} from {source} was refused with 401.",
            "The password in the phone is not the password of {user} at {realm}.",
            "Copy the password of the device into the phone.",
            "/people/devices[/{device}]",
        ],
    ),
    problem(
        UnknownUser,
        88,
        "",
        [
            "The {method} of {user} from {source} was refused with 401.",
            "No device at {realm} has the user name {user}.",
            "Correct the user name in the phone, or give a device this name.",
            DEVICES,
        ],
    ),
    problem(
        SourceNotAllowed,
        60,
        "",
        [
            "The {method} from {source} was refused with {status}.",
            "No device and no trunk has this address, and the caller sent no user name and password.",
            "Give the phone the user name and password of its device, or enter the address at the device or trunk it belongs to.",
            DEVICES,
        ],
    ),
    problem(
        AddressBanned,
        85,
        "",
        [
            "swivel does not listen to {source} for {seconds} s.",
            "Too many wrong passwords have come from there.",
            "Correct the password in the phone at that address. The ban ends by itself.",
            DEVICES,
        ],
    ),
    problem(
        RegisterRefused,
        85,
        "source",
        [
            "The REGISTER of {user} from {source} was refused with {status}.",
            "The phone registers a name or a domain that is not its device's.",
            "Enter user name and realm in the phone as the device has them.",
            "/people/devices[/{device}]",
        ],
    ),
    problem(
        FromOfAnother,
        84,
        "device",
        [
            "The call of {caller} was refused with {status}.",
            "Its From names {user}, and the password that came with it is that of another phone.",
            "Enter one phone's user name in the phone, for the address and for the password.",
            "/people/devices[/{device}]",
        ],
    ),
    problem(
        NotRegistered,
        55,
        "phone",
        [
            "{phone} could not be rung{so}.",
            "No phone is registered for it.",
            "Register the phone with the user name and password of its device. Give the node a `_` child for calls nobody can take.",
            "/people/devices[/{device}]",
        ],
    ),
    problem(
        RegistrationExpired,
        56,
        "phone",
        [
            "{phone} could not be rung{so}.",
            "Its registration expired {ago} ago and was not renewed.",
            "Look whether the phone has power and network; it registers again by itself.",
            "/people/devices[/{device}]",
        ],
    ),
    problem(
        PhoneUnreachable,
        54,
        "phone",
        [
            "{phone} did not answer our INVITE{so}.",
            "It is registered, but nothing came back[ from {contact}]. The phone is probably switched off, or a firewall or NAT has closed the way to it.",
            "Look whether the phone has power and network. A shorter registration time keeps the way through a NAT open.",
            "/people/devices[/{device}]",
        ],
    ),
    everyday(
        PhoneBusy,
        40,
        "phone",
        [
            "{phone} answered {status}{so}.",
            "Its user is busy, or the phone is set to say so.",
            "Call again later. Give the node a USER_BUSY child to take such calls elsewhere.",
            "/flows[/{callflow}]",
        ],
    ),
    everyday(
        PhoneDeclined,
        42,
        "phone",
        [
            "{phone} answered {status}{so}.",
            "Its user declined the call.",
            "Nothing has to be done. Give the node a CALL_REJECTED child to take such calls elsewhere.",
            "/flows[/{callflow}]",
        ],
    ),
    everyday(
        PhoneUnavailable,
        38,
        "phone",
        [
            "{phone} answered {status}{so}.",
            "The phone takes no calls now; do not disturb is probably on.",
            "Look at the phone's settings.",
            "/people/devices[/{device}]",
        ],
    ),
    everyday(
        NoAnswer,
        36,
        "phone",
        [
            "{phone} rang[ for {seconds} s] and nobody answered{so}.",
            "Nobody picked up before the time to ring was over.",
            "Ring longer or more phones, or give the node a `_` child such as a mailbox.",
            "/flows[/{callflow}]",
        ],
    ),
    problem(
        PhoneRefused,
        50,
        "phone",
        [
            "{phone} answered {status}{so}.",
            "The phone gave no reason that swivel knows[; it says “{phrase}”].",
            "Look into the log of the phone for this call.",
            "/people/devices[/{device}]",
        ],
    ),
    everyday(
        CallerHungUp,
        20,
        "",
        [
            "The caller hung up after {seconds} s, before the call was answered.",
            "[{phone} was ringing.]",
            "Nothing has to be done. If it happens often, let calls be answered sooner.",
            "/flows[/{callflow}]",
        ],
    ),
    problem(
        CodecCaller,
        80,
        "caller",
        [
            "The call of {caller} was refused with 488.",
            "The phone offered only {offered}; swivel has {supported}.",
            "Turn on one of them in the phone.",
            "/people/devices[/{device}]",
        ],
    ),
    problem(
        CodecCallee,
        66,
        "phone",
        [
            "{phone} answered {status}{so}.",
            "swivel offered {offered}, and the other end takes none of these codecs.",
            "Turn on one of these codecs at the other end.",
            "/people/devices[/{device}]",
        ],
    ),
    problem(
        BadSdp,
        81,
        "caller",
        [
            "The call of {caller} was refused with 488.",
            "The session description in its INVITE cannot be read.",
            "Look at the body of the INVITE, and report it to the maker of the phone.",
            DEVICES,
        ],
    ),
    problem(
        SdpHostName,
        81,
        "phone",
        [
            "{phone} wants its sound sent to a host name{so}.",
            "The `c=` line of its session description has a name where an address belongs, and names that others write there are never looked up.",
            "Let the other end write its address there.",
            "/people/devices[/{device}]",
        ],
    ),
    problem(
        SrtpRequired,
        82,
        "caller",
        [
            "The call of {caller} was refused with 488.",
            "The device must encrypt its media with SRTP (`media.encryption.enforce_security`), and the phone offered it in the clear.",
            "Turn on SRTP in the phone, or take the rule away from the device.",
            "/people/devices[/{device}]",
        ],
    ),
    problem(
        SrtpRefused,
        68,
        "phone",
        [
            "{phone} answered {status}{so}.",
            "swivel offered only media encrypted with SRTP, as the settings want it, and the other end does not take that.",
            "Turn on SRTP at the other end, or take the rule (`media.encryption`) away.",
            "/people/devices[/{device}]",
        ],
    ),
    problem(
        DtlsFailed,
        78,
        "phone",
        [
            "The call was ended because the DTLS handshake with {phone} failed.",
            "The keys of the encrypted media could not be agreed; the certificate is probably not the one its description names, or UDP is blocked.",
            "Let UDP pass between the phone and swivel's media ports.",
            DEVICES,
        ],
    ),
    problem(
        OneWayAudio,
        45,
        "phone",
        [
            "No sound came from {phone} in {seconds} s: not one RTP packet arrived.",
            "[Its session description names {address}, a private address, while its messages come from {source}: there is probably a NAT in between that lets no RTP through.][{open} names an address that swivel can reach, so a firewall probably drops its RTP.]",
            "Let UDP to swivel's media ports pass, and turn on symmetric RTP or STUN in the phone.",
            "/people/devices[/{device}]",
        ],
    ),
    problem(
        RtpTimeout,
        76,
        "phone",
        [
            "The call was ended because no sound came from {phone} any more (RTP timeout).",
            "Its RTP has stopped without a BYE; its network has probably failed.",
            "Look at the phone's network. How long silence may last is `rtp.timeout_seconds`.",
            DEVICES,
        ],
    ),
    problem(
        AckMissing,
        75,
        "caller",
        [
            "The call was ended 32 s after our 200, because {caller} never sent the ACK for it.",
            "Our answer or the ACK was lost on its way. The address in our Contact can probably not be reached from there.",
            "Set `sip.advertise` to the address others reach swivel at, and let SIP pass the firewall.",
            "/settings",
        ],
    ),
    problem(
        SessionExpired,
        75,
        "phone",
        [
            "The call was ended because {phone} did not refresh the session in time.",
            "The peer has agreed to a session timer (RFC 4028) and then said nothing; it is probably gone.",
            "Look whether the peer's network failed at that time.",
            DEVICES,
        ],
    ),
    problem(
        PeerGone,
        74,
        "phone",
        [
            "The call was ended because {phone} could not be reached any more[: it answered {status}].",
            "The peer does not know the call, or its connection is gone; it has probably been restarted.",
            "Look at the log of the peer for that time.",
            DEVICES,
        ],
    ),
    problem(
        BadRequest,
        58,
        "",
        [
            "The {method} from {source} was refused with {status}[ {phrase}].",
            "The request breaks a rule of SIP or needs what swivel does not have.",
            "Look at the message, and report it to the maker of the phone.",
            DEVICES,
        ],
    ),
];
