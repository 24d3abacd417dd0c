//! Which endpoints ring for a device, a user or the members of a group (callflow.md §6.3-6.6). Pure: whether a phone
//! is registered is found out when it is rung.

use std::time::Duration;

use serde_json::Value;

use super::attributes::{Attributes, CallForward, IdKind, When};
use super::normalise::to_e164;
use super::origin::Origin;
use super::target::{Place, Secrecy, Target};
use crate::base::rng::Rng;
use crate::directory::trunk::headers;
use crate::directory::{Account, Device};

/// Who is rung for.
#[derive(Debug, Clone, Copy)]
pub struct Ringing<'a> {
    /// The account, as it is now.
    pub account: &'a Account,
    /// Who calls.
    pub origin: &'a Origin,
    /// How.
    pub options: &'a Options,
    /// Gregorian seconds.
    pub now: u64,
}

/// How a node wants its endpoints rung.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// They start so much later.
    pub delay: Duration,
    /// How long each may ring.
    pub timeout: Option<Duration>,
    /// The caller's own endpoints ring, too.
    pub can_call_self: bool,
    /// The called does not see who calls.
    pub suppress_clid: bool,
    /// User part of the Request-URI in place of the device's.
    pub static_invite: Option<String>,
    /// Headers the node adds.
    pub headers: Vec<(String, String)>,
    /// The endpoints are members of a group or a queue: forwards for direct calls only do not apply.
    pub grouped: bool,
    /// Alert-Info the group sets.
    pub ringtone: Option<String>,
}

/// What to ring.
#[derive(Debug, Clone, Default)]
pub struct Endpoints {
    /// At first.
    pub targets: Vec<Target>,
    /// After those have failed.
    pub later: Vec<(When, Target)>,
}

/// Why nothing can be rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotRung {
    /// There is no such device, user or group, or nothing in it to ring.
    NoEndpoints,
    /// It is disabled.
    Disabled,
    /// It does not want to be disturbed.
    DoNotDisturb,
    /// The caller's own other device.
    OwnerCalledSelf,
    /// The calling device itself.
    CalledSelf,
}

impl NotRung {
    /// Name of the child to go to (KAZOO 5).
    pub fn key(self) -> &'static str {
        match self {
            Self::NoEndpoints => "NO_ENDPOINTS",
            Self::Disabled => "ENDPOINT_DISABLED",
            Self::DoNotDisturb => "DO_NOT_DISTURB",
            Self::OwnerCalledSelf => "OWNER_CALLED_SELF",
            Self::CalledSelf => "ENDPOINT_CALLED_SELF",
        }
    }
}

/// The endpoints of one device: the phone, where its calls are forwarded to, or both.
///
/// # Errors
/// Why it does not ring.
pub fn of_device(ringing: &Ringing<'_>, id: &str) -> Result<Endpoints, NotRung> {
    let Ringing {
        account,
        origin,
        options,
        ..
    } = *ringing;
    let device = account.devices.get(id).ok_or(NotRung::NoEndpoints)?;
    let attributes = Attributes::of_device(account, device);
    if !options.can_call_self {
        if device.id == origin.authorizing_id {
            return Err(NotRung::CalledSelf);
        }
        let owner = attributes.owner().map(|user| &user.id);
        if owner.is_some() && owner == origin.owner_id.as_ref() {
            return Err(NotRung::OwnerCalledSelf);
        }
    }
    if !device.enabled {
        return Err(NotRung::Disabled);
    }
    if attributes.do_not_disturb() {
        return Err(NotRung::DoNotDisturb);
    }
    let mut found = Endpoints::default();
    let forward = attributes
        .call_forward()
        .filter(|forward| applies(forward, options));
    let substituted = forward.as_ref().is_some_and(|forward| forward.substitute);
    if let Some(forward) = &forward {
        found
            .targets
            .push(forwarded(ringing, &attributes, Some(device), forward));
    }
    if !substituted {
        found.targets.extend(phone(ringing, &attributes, device));
    }
    if forward.is_none() {
        let later = attributes.conditional_forwards().into_iter();
        let later = later.filter(|(_, forward)| !(forward.direct_calls_only && options.grouped));
        found.later = later
            .map(|(when, forward)| {
                (
                    when,
                    forwarded(ringing, &attributes, Some(device), &forward),
                )
            })
            .collect();
    }
    if found.targets.is_empty() && found.later.is_empty() {
        return Err(NotRung::NoEndpoints);
    }
    Ok(found)
}

/// The endpoints of every device a user owns or is logged in at. A user without devices can still be forwarded.
///
/// # Errors
/// Why none rings: the first reason found.
pub fn of_user(ringing: &Ringing<'_>, id: &str) -> Result<Endpoints, NotRung> {
    let Ringing {
        account,
        origin,
        options,
        ..
    } = *ringing;
    let user = account.users.get(id).ok_or(NotRung::NoEndpoints)?;
    if !user.enabled {
        return Err(NotRung::Disabled);
    }
    if !options.can_call_self && origin.owner_id.as_deref() == Some(id) {
        return Err(NotRung::OwnerCalledSelf);
    }
    let mut found = Endpoints::default();
    let mut why = None;
    for device in devices_of(account, id) {
        match of_device(ringing, &device.id) {
            Ok(more) => found.add(more),
            Err(reason) => drop(why.get_or_insert(reason)),
        }
    }
    if found.targets.is_empty() && found.later.is_empty() && why.is_none() {
        let attributes = Attributes::of_user(account, user);
        if attributes.do_not_disturb() {
            return Err(NotRung::DoNotDisturb);
        }
        let forward = attributes
            .call_forward()
            .filter(|forward| applies(forward, options));
        found
            .targets
            .extend(forward.map(|f| forwarded(ringing, &attributes, None, &f)));
    }
    if found.targets.is_empty() && found.later.is_empty() {
        return Err(why.unwrap_or(NotRung::NoEndpoints));
    }
    Ok(found)
}

/// The devices a user owns or is logged in at.
pub fn devices_of<'a>(account: &'a Account, user: &'a str) -> impl Iterator<Item = &'a Device> {
    let devices = account.devices.values().map(AsRef::as_ref);
    devices.filter(move |device| {
        account
            .owners_of(device)
            .iter()
            .any(|owner| owner.id == user)
    })
}

/// The devices a user is logged in at (hot desking).
pub fn desks_of<'a>(account: &'a Account, user: &'a str) -> impl Iterator<Item = &'a Device> {
    let devices = account.devices.values().map(AsRef::as_ref);
    devices.filter(move |device: &&Device| {
        let desk = device.doc.pointer("/hotdesk/users");
        desk.and_then(|users| users.get(user)).is_some()
    })
}

impl Endpoints {
    /// Adds others, each place once: devices of one user are often forwarded to the same number.
    fn add(&mut self, more: Endpoints) {
        for target in more.targets {
            let same = |known: &Target| {
                known.place == target.place
                    && known.delay == target.delay
                    && known.timeout == target.timeout
            };
            if !self.targets.iter().any(same) {
                self.targets.push(target);
            }
        }
        for (when, target) in more.later {
            if !self
                .later
                .iter()
                .any(|(known, other)| *known == when && other.place == target.place)
            {
                self.later.push((when, target));
            }
        }
    }
}

fn applies(forward: &CallForward, options: &Options) -> bool {
    forward.enabled && !(forward.direct_calls_only && options.grouped)
}

/// The leg a call is forwarded to.
fn forwarded(
    ringing: &Ringing<'_>,
    attributes: &Attributes<'_>,
    device: Option<&Device>,
    forward: &CallForward,
) -> Target {
    let Ringing {
        account,
        origin,
        options,
        ..
    } = *ringing;
    let shown = if forward.keep_caller_id {
        origin.shown(account, IdKind::Internal)
    } else {
        origin.dressed(attributes.identity(IdKind::External))
    };
    let (caller_id_name, caller_id_number) = shown.masked();
    Target {
        kind: "callforward",
        id: device.map(|device| device.id.clone()).unwrap_or_default(),
        owner_id: attributes.owner().map(|user| user.id.clone()),
        name: attributes.name(),
        delay: options.delay,
        timeout: options.timeout,
        caller_id_name,
        caller_id_number,
        privacy: shown.privacy.filter(|p| p.hides_number()).map(|_| "id"),
        headers: options.headers.clone(),
        ignore_early_media: forward.ignore_early_media
            || forward.require_keypress
            || !forward.substitute,
        confirm: forward.require_keypress,
        ..Target::at(Place::Number(forward.number.clone()))
    }
}

/// The phone itself; `None` for a device that is a forward and nothing else.
fn phone(ringing: &Ringing<'_>, attributes: &Attributes<'_>, device: &Device) -> Option<Target> {
    let Ringing {
        account,
        origin,
        options,
        ..
    } = *ringing;
    let mut shown = origin.shown(account, IdKind::Internal);
    if options.suppress_clid {
        shown.privacy = Some(super::origin::Privacy::Full);
    }
    let (caller_id_name, caller_id_number) = shown.masked();
    let text = |pointer: &str| {
        device
            .doc
            .pointer(pointer)
            .and_then(Value::as_str)
            .filter(|t| !t.is_empty())
    };
    let flag = |pointer: &str| device.doc.pointer(pointer).and_then(Value::as_bool);
    let codecs = device
        .doc
        .pointer("/media/audio/codecs")
        .and_then(Value::as_array);
    let codecs = codecs.into_iter().flatten().filter_map(Value::as_str);
    let progress = device
        .doc
        .pointer("/media/progress_timeout")
        .and_then(Value::as_u64);
    Some(Target {
        kind: "device",
        id: device.id.clone(),
        owner_id: attributes.owner().map(|user| user.id.clone()),
        name: attributes.name(),
        delay: options.delay,
        timeout: options.timeout,
        progress_timeout: progress.filter(|s| *s > 0).map(Duration::from_secs),
        caller_id_name,
        caller_id_number,
        privacy: shown.privacy.filter(|p| p.hides_number()).map(|_| "id"),
        headers: phone_headers(ringing, attributes, device),
        codecs: codecs.filter_map(sdp_codec).map(str::to_owned).collect(),
        secrecy: secrecy(device),
        webrtc: flag("/media/webrtc").unwrap_or(true),
        ignore_early_media: flag("/media/ignore_early_media").unwrap_or(false),
        call_waiting: attributes.call_waiting(),
        request_user: options
            .static_invite
            .clone()
            .or_else(|| text("/sip/static_invite").map(str::to_owned))
            .or_else(|| {
                number_format(
                    text("/sip/invite_format")?,
                    text("/sip/number").unwrap_or(&origin.dialled),
                )
            }),
        ..Target::at(place(account, device, origin)?)
    })
}

/// `media.encryption` of a device.
fn secrecy(device: &Device) -> Secrecy {
    let setting = |key: &str| device.doc.pointer("/media/encryption")?.get(key);
    let methods = setting("methods").and_then(Value::as_array);
    let has = |name: &str| methods.is_some_and(|all| all.iter().any(|method| method == name));
    let enforced = setting("enforce_security") == Some(&Value::Bool(true));
    match (has("dtls"), has("srtp")) {
        (true, _) => Secrecy::Dtls,
        (false, true) if enforced => Secrecy::Required,
        (false, true) => Secrecy::Offered,
        (false, false) => Secrecy::ByTransport,
    }
}

/// Where a phone is: at its route, at its own address, or wherever it is registered.
fn place(account: &Account, device: &Device, origin: &Origin) -> Option<Place> {
    let text = |key: &str| {
        let value = device.doc.get("sip")?.get(key)?.as_str()?;
        (!value.is_empty()).then(|| value.to_owned())
    };
    let proxy = text("static_route").or_else(|| text("proxy"));
    if text("invite_format").as_deref() == Some("route")
        && let Some(route) = text("route")
    {
        return Some(Place::Uri {
            uri: uri(&route),
            proxy,
        });
    }
    if let Some(net) = device.ip {
        let user = text("number").or_else(|| device.username.clone());
        let user = user.unwrap_or_else(|| origin.dialled.clone());
        // Of a network there is no telling which address.
        let one = net.prefix_len() == net.max_prefix_len();
        let uri = format!("sip:{}@{}", escaped(&user), host(&net.addr().to_string()));
        return one.then_some(Place::Uri { uri, proxy });
    }
    Some(Place::Registered {
        username: device.username.clone()?,
        realm: device.realm.as_deref().unwrap_or(&account.realm).to_owned(),
    })
}

fn phone_headers(
    ringing: &Ringing<'_>,
    attributes: &Attributes<'_>,
    device: &Device,
) -> Vec<(String, String)> {
    let Ringing {
        account,
        origin,
        options,
        ..
    } = *ringing;
    let alert = origin
        .presentation
        .alert_info
        .clone()
        .or_else(|| options.ringtone.clone())
        .or_else(|| attributes.ringtone(origin.from_outside))
        .filter(|value| !value.chars().any(char::is_control));
    let mut all: Vec<(String, String)> = alert
        .map(|value| ("Alert-Info".to_owned(), value))
        .into_iter()
        .collect();
    let caller = account.devices.get(&origin.authorizing_id);
    let of_caller =
        caller.map(|caller| headers(caller.doc.pointer("/sip/custom_sip_headers"), "out"));
    let own = headers(device.doc.pointer("/sip/custom_sip_headers"), "in");
    for (name, value) in options
        .headers
        .iter()
        .cloned()
        .chain(own)
        .chain(of_caller.into_iter().flatten())
    {
        if !all
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(&name))
        {
            all.push((name, value));
        }
    }
    all
}

/// One entry of a ring group, or of a group document.
#[derive(Debug, Clone, Default)]
pub struct Member {
    /// Id of the device, user or group.
    pub id: String,
    /// `device`, `user` or `group`.
    pub kind: String,
    /// How long after the others it starts; `None` takes the group's.
    pub delay: Option<u64>,
    /// How long it rings, in seconds; `None` takes the group's.
    pub timeout: Option<u64>,
    /// Weight for random order, and order inside a group that is rung one after the other.
    pub weight: Option<u64>,
    /// Not before then, in Gregorian seconds.
    pub disable_until: u64,
}

impl Member {
    /// Reads an entry; `id` and `kind` are its own where it has them.
    pub fn read(id: &str, kind_key: &str, doc: &Value) -> Self {
        let number = |key: &str| {
            let value = doc.get(key)?;
            value
                .as_u64()
                .or_else(|| value.as_str()?.trim().parse().ok())
        };
        let text = |key: &str| doc.get(key).and_then(Value::as_str).map(str::to_owned);
        Self {
            id: text("id").unwrap_or_else(|| id.to_owned()),
            kind: text(kind_key).unwrap_or_default(),
            delay: number("delay"),
            timeout: number("timeout"),
            weight: number("weight"),
            disable_until: number("disable_until").unwrap_or(0),
        }
    }
}

/// How the members of a group are rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupStrategy {
    /// All at once, each after its delay.
    Simultaneous,
    /// One after the other.
    Single,
    /// One after the other in a random order that prefers heavy ones.
    WeightedRandom,
}

/// The members of a group document.
pub fn members_of(account: &Account, group: &str) -> Option<Vec<Member>> {
    let members = account.groups.get(group)?.get("endpoints")?.as_object()?;
    Some(
        members
            .iter()
            .map(|(id, doc)| Member::read(id, "type", doc))
            .collect(),
    )
}

/// The endpoints of a group's members, in the order they are to be rung.
///
/// # Errors
/// Why none rings.
pub fn of_members(
    ringing: &Ringing<'_>,
    members: &[Member],
    strategy: GroupStrategy,
    rng: &mut Rng,
) -> Result<Endpoints, NotRung> {
    let mut flat = Vec::new();
    for member in members {
        expand(ringing, member, strategy, MAX_NESTING, &mut flat);
    }
    if strategy == GroupStrategy::WeightedRandom {
        flat = shuffled(flat, rng);
    }
    let mut found = Endpoints::default();
    let mut why = None;
    for member in flat {
        let options = Options {
            delay: Duration::from_secs(member.delay.unwrap_or(0)),
            timeout: Some(Duration::from_secs(
                member.timeout.filter(|s| *s > 0).unwrap_or(USUAL_TIMEOUT),
            )),
            grouped: true,
            ..ringing.options.clone()
        };
        let each = Ringing {
            options: &options,
            ..*ringing
        };
        let more = match member.kind.as_str() {
            "user" => of_user(&each, &member.id),
            _ => of_device(&each, &member.id),
        };
        match more {
            Ok(more) => found.add(more),
            Err(reason) => drop(why.get_or_insert(reason)),
        }
    }
    if strategy == GroupStrategy::Simultaneous {
        found.targets.sort_by_key(|target| target.delay);
    }
    if found.targets.is_empty() {
        return Err(why.unwrap_or(NotRung::NoEndpoints));
    }
    Ok(found)
}

/// Groups become their members; an entry that is disabled for now is left out.
fn expand(
    ringing: &Ringing<'_>,
    member: &Member,
    strategy: GroupStrategy,
    depth: u8,
    flat: &mut Vec<Member>,
) {
    if member.disable_until > ringing.now || flat.len() >= MAX_MEMBERS {
        return;
    }
    if member.kind != "group" {
        return flat.push(member.clone());
    }
    let Some(depth) = depth.checked_sub(1) else {
        return;
    };
    let mut members = members_of(ringing.account, &member.id).unwrap_or_default();
    if strategy == GroupStrategy::Single {
        members.retain(|inner| inner.weight.is_some());
        members.sort_by_key(|inner| inner.weight);
    }
    for inner in members {
        let inner = Member {
            delay: inner.delay.or(member.delay),
            timeout: inner.timeout.or(member.timeout),
            weight: inner.weight.or(member.weight),
            ..inner
        };
        expand(ringing, &inner, strategy, depth, flat);
    }
}

/// A random order in which a member of twice the weight is twice as likely to be next.
fn shuffled(mut members: Vec<Member>, rng: &mut Rng) -> Vec<Member> {
    let weight = |member: &Member| member.weight.unwrap_or(USUAL_WEIGHT).clamp(1, 100);
    let mut order = Vec::with_capacity(members.len());
    while !members.is_empty() {
        let total = members.iter().map(weight).sum();
        let mut at = rng.below(total);
        let chosen = members.iter().position(|member| {
            let here = at < weight(member);
            at = at.saturating_sub(weight(member));
            here
        });
        order.push(members.remove(chosen.unwrap_or(0).min(members.len() - 1)));
    }
    order
}

/// A number as `invite_format` writes it; `None` for formats that are not about numbers.
pub fn number_format(format: &str, number: &str) -> Option<String> {
    let e164 = to_e164(number);
    let national = e164.strip_prefix("+1").filter(|digits| digits.len() == 10);
    Some(match format {
        "e164" => e164,
        "npan" => national.map_or(number, |digits| digits).to_owned(),
        "1npan" => national.map_or_else(|| number.to_owned(), |digits| format!("1{digits}")),
        "strip_plus" => e164.trim_start_matches('+').to_owned(),
        _ => return None,
    })
}

/// The name a codec has in session descriptions; `None` for those we do not speak.
pub fn sdp_codec(kazoo: &str) -> Option<&'static str> {
    match kazoo.to_ascii_uppercase().as_str() {
        "PCMU" => Some("PCMU"),
        "PCMA" => Some("PCMA"),
        "G722" => Some("G722"),
        "OPUS" => Some("opus"),
        "L16" => Some("L16"),
        _ => None,
    }
}

/// A URI as documents write it, with or without its scheme.
pub fn uri(text: &str) -> String {
    let has_scheme = ["sip:", "sips:", "tel:"]
        .iter()
        .any(|scheme| text.starts_with(scheme));
    if has_scheme {
        text.to_owned()
    } else {
        format!("sip:{text}")
    }
}

/// A host; an IPv6 address in brackets.
pub fn host(text: &str) -> String {
    if text.contains(':') && !text.starts_with('[') {
        format!("[{text}]")
    } else {
        text.to_owned()
    }
}

/// The user part of a URI, escaped (RFC 3261 §25.1).
pub fn escaped(user: &str) -> String {
    let mut out = String::with_capacity(user.len());
    for byte in user.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// How deep groups may stand in groups.
const MAX_NESTING: u8 = 4;
/// Endpoints one group may come to.
const MAX_MEMBERS: usize = 500;
/// How long a member rings that does not say.
const USUAL_TIMEOUT: u64 = 20;
/// Weight of a member that does not say.
const USUAL_WEIGHT: u64 = 20;

#[cfg(test)]
mod tests;
