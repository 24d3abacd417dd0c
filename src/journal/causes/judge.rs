//! The nearest cause the evidence of a call supports.
//!
//! What somebody has seen and told comes first, by the weight of its entry; what is only read from messages comes after.
//! A trouble of a leg counts only when the call came to nothing: of ten phones one may be switched off.

use std::time::Duration;

use super::Cause;
use super::evidence::{End, Evidence, Final, Told};
use super::message;
use super::table::{Code, fill};

/// Values for the words of an entry.
type Values = Vec<(&'static str, String)>;

/// What may be the cause.
#[derive(Debug)]
struct Suspect<'a> {
    code: Code,
    values: Values,
    n: Option<usize>,
    leg: &'a Evidence,
}

/// Whether there is no cause to look for, as far as can be said without reading messages.
pub(super) fn is_well(root: &Evidence, legs: &[&Evidence]) -> bool {
    let known = root.ended.is_some() || root.started;
    let quiet = |leg: &Evidence| leg.troubles.is_empty();
    known
        && quiet(root)
        && legs.iter().all(|leg| quiet(leg))
        && matches!(Outcome::of(root), Some(Outcome::Well))
}

/// The cause of a call, from its first leg and those that were placed for it. Their messages have been read.
pub(super) fn judge(root: &Evidence, legs: &[&Evidence]) -> Option<Cause> {
    let outcome = Outcome::of(root)?;
    let mut suspects: Vec<Suspect<'_>> = Vec::new();
    for leg in legs.iter().copied().chain([root]) {
        let counts = |code| match code {
            // Who was let in after all has mended it.
            Code::WrongPassword | Code::UnknownUser => !root.started,
            code => !is_attempt(code) || outcome.failed(),
        };
        let told = leg.troubles.iter().filter(|told| counts(told.code));
        suspects.extend(told.map(|told| Suspect::told(told, leg)));
    }
    if outcome.failed() {
        for leg in legs {
            suspects.extend(of_leg(leg, root));
        }
        suspects.extend(of_root(root, legs));
    }
    // The first of the weightiest: later ones often follow from it.
    let mut best: Option<Suspect<'_>> = None;
    for suspect in suspects {
        let weight = suspect.code.entry().weight;
        if best
            .as_ref()
            .is_none_or(|best| weight > best.code.entry().weight)
        {
            best = Some(suspect);
        }
    }
    let best = match best {
        Some(best) => best,
        None if outcome.failed() => Suspect::new(Code::Unknown, root, Some(root.last.1)),
        None => return None,
    };
    Some(words(&best, root, &outcome))
}

/// Whether a trouble is that of one attempt among several.
fn is_attempt(code: Code) -> bool {
    use Code::*;
    matches!(
        code,
        NotRegistered
            | RegistrationExpired
            | PhoneUnreachable
            | TrunkDns
            | TrunkConnection
            | TrunkTls
            | TrunkCertificate
            | TrunkLimit
            | NoTrunk
    )
}

/// What became of the call.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    /// It ended as calls do, or still runs.
    Well,
    /// It never was a call.
    NoCall,
    /// Its INVITE was refused.
    Refused(u16),
    /// The caller gave up.
    Cancelled,
    /// It was ended for a reason.
    Ended,
}

impl Outcome {
    /// `None` while nothing can be said.
    fn of(root: &Evidence) -> Option<Self> {
        if let Some(status) = root.refused {
            return Some(Self::Refused(status));
        }
        let Some(end) = root.ended else {
            let refused = root
                .last_final
                .as_ref()
                .filter(|last| last.ours && !root.started);
            return match refused {
                // A challenge is answered by another INVITE, most often.
                Some(last) => Some(Self::Refused(last.status)),
                None if root.started => Some(Self::Well),
                None => Some(Self::NoCall).filter(|_| !root.troubles.is_empty()),
            };
        };
        Some(match end {
            End {
                cause: "ORIGINATOR_CANCEL",
                disposition: "recv_cancel",
                ..
            } => Self::Cancelled,
            End { status: 300.., .. } => match (root.answered, &root.last_final) {
                (None, Some(last)) if last.ours => Self::Refused(last.status),
                (None, _) => Self::Refused(end.status),
                (Some(_), _) => Self::Ended,
            },
            End { cause, .. } if GOOD.contains(&cause) => Self::Well,
            End { .. } => Self::Ended,
        })
    }

    fn failed(self) -> bool {
        !matches!(self, Self::Well | Self::NoCall)
    }

    fn outcome(self) -> String {
        match self {
            Self::Well | Self::NoCall | Self::Ended => "the call was ended".to_owned(),
            Self::Refused(status) => format!("the call was refused with {status}"),
            Self::Cancelled => "the caller hung up".to_owned(),
        }
    }

    fn so(self) -> String {
        match self {
            Self::Well => ", and the call went on without it".to_owned(),
            Self::NoCall => String::new(),
            Self::Refused(status) => format!(", so the call was refused with {status}"),
            Self::Cancelled => ", and the caller hung up".to_owned(),
            Self::Ended => ", so the call was ended".to_owned(),
        }
    }
}

/// Causes of calls that went well.
const GOOD: &[&str] = &[
    "NORMAL_CLEARING",
    "NORMAL_UNSPECIFIED",
    "BLIND_TRANSFER",
    "ATTENDED_TRANSFER",
    "PICKED_OFF",
    "LOSE_RACE",
    "MANAGER_REQUEST",
];

impl<'a> Suspect<'a> {
    fn new(code: Code, leg: &'a Evidence, n: Option<usize>) -> Self {
        Self {
            code,
            values: Vec::new(),
            n,
            leg,
        }
    }

    fn told(told: &Told, leg: &'a Evidence) -> Self {
        Self {
            code: told.code,
            values: told.values.clone(),
            n: Some(told.n),
            leg,
        }
    }

    fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.values.push((name, value.to_string()));
        self
    }
}

/// What kept a leg from being answered.
fn of_leg<'a>(leg: &'a Evidence, root: &Evidence) -> Option<Suspect<'a>> {
    let end = leg.ended?;
    if leg.answered.is_some() && end.cause != "INCOMPATIBLE_DESTINATION" {
        return None;
    }
    let trunk = leg
        .placed
        .as_ref()
        .is_some_and(|placed| placed.kind == "resource");
    if let Some(last) = leg
        .last_final
        .as_ref()
        .filter(|last| !last.ours && last.status != 487)
    {
        let code = if trunk {
            of_trunk(last, leg)
        } else {
            of_phone(last, leg)
        }?;
        let suspect = Suspect::new(code, leg, Some(last.n)).with("status", status_line(last));
        let phrase = warning_text(&last.warning).unwrap_or(&last.phrase);
        return Some(
            suspect
                .with("phrase", phrase)
                .with("offered", offered(leg))
                .with("number", &leg.dialled),
        );
    }
    let code = match (end.cause, end.status) {
        ("INCOMPATIBLE_DESTINATION", _) => {
            return Some(
                Suspect::new(Code::CodecCallee, leg, Some(end.n))
                    .with("status", "the call")
                    .with("offered", offered(leg)),
            );
        }
        _ if leg.rang.is_some() => {
            // Who hangs up first is the caller then.
            let cancelled = matches!(
                root.ended,
                Some(End {
                    disposition: "recv_cancel",
                    ..
                })
            );
            if cancelled {
                return None;
            }
            let rang = leg
                .rang
                .map(|at| end.at.since(at).as_secs())
                .unwrap_or_default();
            return Some(Suspect::new(Code::NoAnswer, leg, Some(end.n)).with("seconds", rang));
        }
        (_, 503) | ("NORMAL_TEMPORARY_FAILURE", _) if trunk => Code::TrunkConnection,
        // Whoever gives up at once has not given the phone the time to say anything.
        _ if leg.heard || end.at.since(leg.begun) < PATIENCE => return None,
        _ if trunk => Code::TrunkTimeout,
        _ => Code::PhoneUnreachable,
    };
    Some(Suspect::new(code, leg, Some(end.n)))
}

fn of_trunk(last: &Final, leg: &Evidence) -> Option<Code> {
    Some(match last.status {
        401 | 407 => Code::TrunkCredentials,
        403 if leg.authorized => Code::TrunkCredentials,
        403 | 603 => Code::TrunkForbidden,
        404 | 410 | 484 | 604 => Code::TrunkNumber,
        486 | 600 => Code::PhoneBusy,
        480 | 408 => Code::PhoneUnavailable,
        488 | 606 | 415 => refused_media(leg),
        503 => Code::TrunkCongested,
        487 => return None,
        _ => Code::TrunkError,
    })
}

fn of_phone(last: &Final, leg: &Evidence) -> Option<Code> {
    Some(match last.status {
        486 | 600 => Code::PhoneBusy,
        603 => Code::PhoneDeclined,
        480 if leg.rang.is_some() => Code::NoAnswer,
        480 => Code::PhoneUnavailable,
        488 | 606 | 415 => refused_media(leg),
        487 => return None,
        _ => Code::PhoneRefused,
    })
}

fn refused_media(leg: &Evidence) -> Code {
    match &leg.offer {
        Some((_, offer)) if offer.secure => Code::SrtpRefused,
        _ => Code::CodecCallee,
    }
}

/// What happened to the first leg itself.
fn of_root<'a>(root: &'a Evidence, legs: &[&Evidence]) -> Option<Suspect<'a>> {
    let Some(end) = root.ended else {
        return of_door(root);
    };
    let n = Some(end.n);
    let lasted = end.at.since(root.begun).as_secs();
    Some(match (end.cause, end.status) {
        ("ALLOTTED_TIMEOUT", _) => Suspect::new(Code::CallTooLong, root, n).with("seconds", lasted),
        ("SYSTEM_SHUTDOWN", _) => Suspect::new(Code::ShuttingDown, root, n),
        ("CRASH", _) => Suspect::new(Code::Restarted, root, n),
        ("ORIGINATOR_CANCEL", _) => {
            let gave_up = Suspect::new(Code::CallerHungUp, root, n).with("seconds", lasted);
            match legs.iter().find(|leg| leg.rang.is_some()) {
                Some(ringing) => gave_up.with("phone", name(ringing)),
                None => gave_up,
            }
        }
        ("INCOMPATIBLE_DESTINATION", _) if legs.is_empty() => caller_codecs(root, n),
        _ if root.answered.is_none() && legs.is_empty() && !root.module.is_empty() => {
            Suspect::new(Code::FlowEnded, root, n).with("module", &root.module)
        }
        _ => return None,
    })
}

fn caller_codecs(root: &Evidence, n: Option<usize>) -> Suspect<'_> {
    if root.offer.is_none() {
        return Suspect::new(Code::BadSdp, root, n);
    }
    Suspect::new(Code::CodecCaller, root, n)
        .with("offered", offered(root))
        .with("supported", message::supported())
}

/// An INVITE that never became a call.
fn of_door(root: &Evidence) -> Option<Suspect<'_>> {
    let last = root.last_final.as_ref()?;
    let code = match last.status {
        401 | 407 | 403 => Code::SourceNotAllowed,
        482 | 483 => Code::ForwardLoop,
        488 => return Some(caller_codecs(root, Some(last.n))),
        503 => Code::Overload,
        400..=499 => Code::BadRequest,
        _ => return None,
    };
    let suspect = Suspect::new(code, root, Some(last.n))
        .with("status", last.status)
        .with("phrase", &last.phrase);
    Some(match last.retry_after.as_str() {
        "" => suspect,
        seconds => suspect.with("retry", seconds),
    })
}

fn offered(leg: &Evidence) -> String {
    match &leg.offer {
        Some((_, offer)) if !offer.codecs.is_empty() => offer.list(),
        _ => "unknown codecs".to_owned(),
    }
}

fn status_line(last: &Final) -> String {
    format!("{} {}", last.status, last.phrase).trim().to_owned()
}

/// What a Warning says: `399 agent "text"`.
fn warning_text(warning: &str) -> Option<&str> {
    let (_, rest) = warning.split_once('"')?;
    rest.split('"').next()
}

/// What a leg is called.
fn name(leg: &Evidence) -> String {
    match &leg.placed {
        Some(placed) if !placed.name.is_empty() => placed.name.clone(),
        Some(placed) if placed.kind == "resource" => format!("trunk {}", placed.id),
        Some(_) if !leg.dialled.is_empty() => format!("phone {}", leg.dialled),
        Some(_) => "the phone".to_owned(),
        None if leg.from.is_empty() => "the caller".to_owned(),
        None => leg.from.clone(),
    }
}

/// The words of a suspect.
fn words(best: &Suspect<'_>, root: &Evidence, outcome: &Outcome) -> Cause {
    let entry = best.code.entry();
    let mut values = best.values.clone();
    let mut add = |name: &'static str, value: String| {
        if !value.is_empty() && !values.iter().any(|(known, _)| *known == name) {
            values.push((name, value));
        }
    };
    let leg = best.leg;
    let called = name(leg);
    add("so", outcome.so());
    add("outcome", outcome.outcome());
    add("phone", called.clone());
    add("trunk", called);
    add(
        "caller",
        if root.from.is_empty() {
            "an unknown caller".to_owned()
        } else {
            root.from.clone()
        },
    );
    add("dialled", root.dialled.clone());
    add(
        "number",
        if leg.dialled.is_empty() {
            root.dialled.clone()
        } else {
            leg.dialled.clone()
        },
    );
    add("callflow", root.callflow.clone());
    add("call_id", escaped(&root.call_id));
    add("module", root.module.clone());
    add("method", root.method.clone());
    add("last", root.last.0.clone());
    add("supported", message::supported());
    let named = leg.theirs.as_ref().and_then(|theirs| theirs.address);
    match (named, leg.peer) {
        (Some(address), Some(peer))
            if message::is_private(address) && address != peer.ip().to_canonical() =>
        {
            add("address", address.to_string());
        }
        _ => add("open", name(leg)),
    }
    if let Some(peer) = leg.peer {
        add("source", peer.ip().to_canonical().to_string());
        add("contact", peer.to_string());
    }
    if let Some(placed) = &leg.placed {
        add("server", placed.server.clone());
        match placed.kind.as_str() {
            "resource" => add("trunk_id", placed.id.clone()),
            "device" => add("device", placed.id.clone()),
            _ => {}
        }
    }
    // Words may be looked up without their being known; what is known and empty counts as unknown.
    let value = |name: &str| {
        let found = values
            .iter()
            .find(|(known, text)| *known == name && !text.is_empty());
        found.map(|(_, text)| text.as_str())
    };
    Cause {
        code: best.code,
        what: fill(entry.what, value),
        why: fill(entry.why, value),
        todo: fill(entry.todo, value),
        link: fill(entry.link, value),
        event: best.n,
        about: value(entry.about).unwrap_or_default().to_owned(),
    }
}

/// How long a phone may take to its first answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// A Call-ID as part of an address.
fn escaped(call_id: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    let mut out = String::with_capacity(call_id.len());
    for c in call_id.chars() {
        if plain(c) {
            out.push(c);
        } else {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    out
}
