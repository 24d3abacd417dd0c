//! Which gateways a number is sent to, in which order and how it is written there (`api.md` §4.1-4.5).
//!
//! Pure: how many calls a trunk carries already is looked at when its turn has come.

use std::sync::Arc;

use fancy_regex::Regex;

use super::attributes::IdKind;
use super::endpoints::{escaped, host, number_format, sdp_codec, uri};
use super::normalise::{EMERGENCY, classify, to_e164};
use super::origin::{Origin, Shown};
use super::policy::Policy;
use super::target::{Place, Secrecy, Target};
use crate::base::rng::Rng;
use crate::directory::formatters::Way;
use crate::directory::{Account, Gateway, Trunk};

/// A number to be dialled at carriers.
#[derive(Debug, Clone)]
pub struct Dial<'a> {
    /// The account the call belongs to.
    pub account: &'a Account,
    /// The account whose trunks are used: itself, or one above it.
    pub carriers: &'a Account,
    /// Who calls.
    pub origin: &'a Origin,
    /// The number as it is to be matched and sent.
    pub number: String,
    /// What the trunk must have.
    pub flags: Vec<String>,
    /// Which identity of the caller is shown.
    pub caller_id: IdKind,
    /// The identity to show in place of the caller's own choice.
    pub shown: Option<Shown>,
    /// From is made of the number and a realm, whatever the trunk says.
    pub format_from_uri: bool,
    /// That realm.
    pub from_uri_realm: Option<String>,
    /// More headers.
    pub headers: Vec<(String, String)>,
}

/// One attempt: a gateway of a trunk.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// What to ring.
    pub target: Target,
    /// The trunk it belongs to, for its caps.
    pub trunk: Arc<Trunk>,
}

/// Why a number is not dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotDialled {
    /// The account's dial policy refuses it.
    Policy,
    /// No trunk takes it.
    NoTrunk,
}

/// The attempts for a number, in the order they are to be made.
///
/// # Errors
/// Why there is none.
pub fn hunt(dial: &Dial<'_>, rng: &mut Rng) -> Result<Vec<Attempt>, NotDialled> {
    let policy = Policy::of(dial.account);
    let mut chosen = choose(dial);
    let mut number = dial.number.clone();
    if chosen.is_empty() {
        // Short dialling: the caller's own leading digits are put in front.
        if let Some(whole) = repaired(dial) {
            chosen = choose(&Dial {
                number: whole.clone(),
                ..dial.clone()
            });
            if !chosen.is_empty() {
                number = whole;
            }
        }
    }
    if !policy.allows(&number) {
        return Err(NotDialled::Policy);
    }
    // Stable: among equals the order of the documents holds.
    chosen.sort_by_key(|choice| choice.weight);
    let is_emergency = classify(&to_e164(&dial.number)) == EMERGENCY
        || chosen
            .iter()
            .any(|choice| choice.emergency || choice.gateway_emergency());
    let attempts: Vec<Attempt> = chosen
        .iter()
        .flat_map(|choice| choice.attempts(dial, is_emergency, rng))
        .collect();
    if attempts.is_empty() {
        return Err(NotDialled::NoTrunk);
    }
    Ok(attempts)
}

/// Whether some trunk of the account takes the number: what `implicit_no_match` asks.
pub fn takes(account: &Account, number: &str) -> bool {
    let all = account.trunks.values().filter(|trunk| trunk.enabled);
    all.filter(|trunk| !trunk.require_flags).any(|trunk| {
        trunk.gateways.iter().any(|gateway| gateway.enabled)
            && (captured(&trunk.rules, number).is_some()
                || trunk.classifiers.iter().any(|(class, c)| {
                    c.enabled && class_takes(class, c.regex.as_ref(), number).is_some()
                }))
    })
}

/// A trunk that takes the number.
struct Choice<'a> {
    trunk: &'a Arc<Trunk>,
    /// What its rule captured.
    number: String,
    prefix: &'a str,
    suffix: &'a str,
    weight: u8,
    emergency: bool,
}

fn choose<'a>(dial: &Dial<'a>) -> Vec<Choice<'a>> {
    let usable: Vec<&Arc<Trunk>> = dial
        .carriers
        .trunks
        .values()
        .filter(|trunk| trunk.enabled && trunk.gateways.iter().any(|gateway| gateway.enabled))
        .filter(|trunk| has_flags(trunk, &dial.flags))
        .filter(|trunk| takes_caller(trunk, dial))
        .collect();
    let number = &dial.number;
    let mut classified = false;
    let mut by_class = Vec::new();
    for trunk in &usable {
        for (class, classifier) in &trunk.classifiers {
            let Some(captured) = class_takes(class, classifier.regex.as_ref(), number) else {
                continue;
            };
            classified = true;
            if classifier.enabled {
                by_class.push(Choice {
                    trunk,
                    number: captured,
                    prefix: &classifier.prefix,
                    suffix: &classifier.suffix,
                    weight: classifier.weight,
                    emergency: classifier.emergency || trunk.emergency,
                });
            }
        }
    }
    if classified {
        return by_class;
    }
    let is_emergency = classify(&to_e164(number)) == EMERGENCY;
    let plain = usable
        .into_iter()
        .filter(|trunk| trunk.classifiers.is_empty());
    plain
        .filter_map(|trunk| {
            let captured = captured(&trunk.rules, number);
            let number =
                captured.or_else(|| (is_emergency && trunk.emergency).then(|| number.clone()))?;
            Some(Choice {
                trunk,
                number,
                prefix: "",
                suffix: "",
                weight: trunk.weight,
                emergency: trunk.emergency,
            })
        })
        .collect()
}

fn has_flags(trunk: &Trunk, wanted: &[String]) -> bool {
    if wanted.is_empty() {
        return !trunk.require_flags;
    }
    trunk.ignore_flags || wanted.iter().all(|flag| trunk.flags.contains(flag))
}

fn takes_caller(trunk: &Trunk, dial: &Dial<'_>) -> bool {
    let Some(rules) = &trunk.cid_rules else {
        return true;
    };
    let number = shown(dial, dial.caller_id).number.unwrap_or_default();
    rules
        .iter()
        .any(|rule| rule.is_match(&number).unwrap_or(false))
}

/// What the rules make of a number: tested from the last to the first, the longest group or the whole match counts.
fn captured(rules: &[Regex], number: &str) -> Option<String> {
    rules.iter().rev().find_map(|rule| {
        let captures = rule.captures(number).ok()??;
        let groups = captures
            .iter()
            .skip(1)
            .flatten()
            .map(|group| group.as_str());
        let longest = groups.max_by_key(|group| group.len());
        let text = longest.or_else(|| captures.get(0).map(|whole| whole.as_str()))?;
        (!text.is_empty()).then(|| text.to_owned())
    })
}

fn class_takes(class: &str, own: Option<&Regex>, number: &str) -> Option<String> {
    match own {
        Some(regex) => captured(std::slice::from_ref(regex), number),
        None => (classify(&to_e164(number)).0 == class).then(|| number.to_owned()),
    }
}

/// The number with the caller's leading digits, when his own is two to five digits longer.
fn repaired(dial: &Dial<'_>) -> Option<String> {
    let own = shown(dial, dial.caller_id).number?;
    let missing = own.len().checked_sub(dial.number.len())?;
    let digits =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'+');
    if !(2..=5).contains(&missing)
        || !digits(&dial.number)
        || !digits(&own)
        || dial.number.len() < 3
    {
        return None;
    }
    Some(format!("{}{}", own.get(..missing)?, dial.number))
}

fn shown(dial: &Dial<'_>, kind: IdKind) -> Shown {
    let given = dial.shown.clone().filter(|_| kind != IdKind::Emergency);
    given.unwrap_or_else(|| dial.origin.shown(dial.account, kind))
}

impl Choice<'_> {
    fn gateway_emergency(&self) -> bool {
        self.trunk
            .gateways
            .iter()
            .any(|gateway| gateway.enabled && gateway.emergency)
    }

    fn attempts(&self, dial: &Dial<'_>, is_emergency: bool, rng: &mut Rng) -> Vec<Attempt> {
        let mut gateways: Vec<&Gateway> =
            self.trunk.gateways.iter().filter(|g| g.enabled).collect();
        if self.trunk.random {
            let mut order = Vec::with_capacity(gateways.len());
            while !gateways.is_empty() {
                let at = rng.below(gateways.len() as u64);
                order.push(gateways.swap_remove(usize::try_from(at).unwrap_or(0)));
            }
            gateways = order;
        }
        let attempt = |gateway: &Gateway| Attempt {
            target: self.target(dial, gateway, is_emergency),
            trunk: Arc::clone(self.trunk),
        };
        gateways.into_iter().map(attempt).collect()
    }

    fn target(&self, dial: &Dial<'_>, gateway: &Gateway, is_emergency: bool) -> Target {
        let trunk = self.trunk;
        let kind = if is_emergency {
            IdKind::Emergency
        } else {
            dial.caller_id
        };
        let mut shown = shown(dial, kind);
        if shown.privacy.is_none() && !is_emergency {
            let configured = dial.origin.attributes(dial.account).outbound_privacy();
            shown.privacy = configured.and_then(|mode| super::Privacy::named(&mode));
        }
        let as_gateway = |number: &str| {
            number_format(&gateway.invite_format, number).unwrap_or_else(|| number.to_owned())
        };
        let format = |field: &str, value: Option<String>| {
            let old = value.clone().unwrap_or_default();
            // A rule that only rewrites needs something to rewrite; one that sets does not.
            trunk
                .formatters
                .apply(field, Way::Outbound, &old, Some(&as_gateway))
                .or(value)
        };
        let number = format("outbound_caller_id_number", shown.number.clone());
        let name = format("outbound_caller_id_name", shown.name.clone());
        let called =
            format("to_did", Some(self.number.clone())).unwrap_or_else(|| self.number.clone());
        let hides_name = shown.privacy.is_some_and(|p| p != super::Privacy::Number);
        let hides_number = shown.privacy.is_some_and(super::Privacy::hides_number);
        let mut headers: Vec<(String, String)> = Vec::new();
        for (header, value) in dial.headers.iter().chain(&gateway.headers) {
            let field = header.to_lowercase().replace('-', "_");
            let value = format(&field, Some(value.clone()));
            let known = headers
                .iter()
                .any(|(known, _): &(String, String)| known.eq_ignore_ascii_case(header));
            if let Some(value) = value.filter(|_| !known) {
                headers.push((header.clone(), value));
            }
        }
        let asserted = dial
            .origin
            .attributes(dial.account)
            .identity(IdKind::Asserted);
        let mut asserted_identity = hides_number;
        if let Some(asserted_number) = asserted.number.filter(|number| is_uri_safe(number)) {
            let realm = dial.origin.attributes(dial.account).asserted_realm();
            let realm = realm
                .or_else(|| gateway.realm.clone())
                .unwrap_or_else(|| gateway.server.clone());
            let display = asserted
                .name
                .map(|name| format!("\"{}\" ", name.replace(['"', '\\'], "")))
                .unwrap_or_default();
            headers.push((
                "P-Asserted-Identity".into(),
                format!("{display}<sip:{asserted_number}@{realm}>"),
            ));
            asserted_identity = false;
        }
        let own = gateway.codecs.iter().chain(if gateway.codecs.is_empty() {
            trunk.codecs.as_slice()
        } else {
            &[]
        });
        let credentials = gateway
            .username
            .clone()
            .filter(|_| !gateway.password.is_empty());
        Target {
            kind: "resource",
            id: trunk.id.clone(),
            name: trunk.name.clone(),
            progress_timeout: Some(gateway.progress_timeout),
            // What is hidden or left out must not be filled in from what the caller sent.
            caller_id_name: Some(name.filter(|_| !hides_name).unwrap_or_default()),
            caller_id_number: Some(number.unwrap_or_else(|| "anonymous".to_owned())),
            privacy: hides_number.then_some("id"),
            asserted_identity,
            headers,
            codecs: own
                .filter_map(|codec| sdp_codec(codec))
                .map(str::to_owned)
                .collect(),
            secrecy: match gateway.srtp {
                None => Secrecy::ByTransport,
                Some(true) => Secrecy::Required,
                Some(false) => Secrecy::Never,
            },
            credentials: credentials
                .map(|user| (user, gateway.password.clone(), gateway.realm.clone())),
            from_host: from_host(dial, trunk, gateway),
            ..Target::at(Place::Uri {
                uri: self.request_uri(gateway, &called),
                proxy: None,
            })
        }
    }

    /// `sip:<prefix><number><suffix>@<server>[:port]`, or the gateway's literal route.
    fn request_uri(&self, gateway: &Gateway, number: &str) -> String {
        if let Some(route) = &gateway.route {
            return uri(route);
        }
        let number = match gateway.invite_format.as_str() {
            "username" => gateway
                .username
                .clone()
                .unwrap_or_else(|| number.to_owned()),
            format => number_format(format, number).unwrap_or_else(|| number.to_owned()),
        };
        let user = escaped(&format!(
            "{}{}{number}{}{}",
            gateway.prefix, self.prefix, self.suffix, gateway.suffix
        ));
        let port = gateway
            .port
            .map(|port| format!(":{port}"))
            .unwrap_or_default();
        let transport = gateway
            .transport
            .as_deref()
            .filter(|t| *t != "udp")
            .map(|t| format!(";transport={t}"));
        let parameters: String = gateway
            .invite_parameters
            .iter()
            .filter(|p| is_parameter(p))
            .map(|p| format!(";{p}"))
            .collect();
        format!(
            "sip:{user}@{}{port}{}{parameters}",
            host(&gateway.server),
            transport.unwrap_or_default()
        )
    }
}

/// Host of From: where From is to be made of the number and a realm, that realm; else the gateway's own.
fn from_host(dial: &Dial<'_>, trunk: &Trunk, gateway: &Gateway) -> Option<String> {
    let wanted = gateway.format_from_uri.unwrap_or(trunk.format_from_uri) || dial.format_from_uri;
    let realm = gateway
        .realm
        .clone()
        .or_else(|| Some(gateway.server.clone()));
    if !wanted {
        return gateway.realm.clone();
    }
    let own = dial
        .from_uri_realm
        .clone()
        .or_else(|| gateway.from_uri_realm.clone());
    own.or_else(|| trunk.from_uri_realm.clone())
        .or_else(|| {
            trunk
                .from_account_realm
                .then(|| dial.account.realm.to_string())
        })
        .or(realm)
}

fn is_uri_safe(number: &str) -> bool {
    !number.is_empty()
        && number
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-._*".contains(&b))
}

fn is_parameter(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.!~*'()=+$%:[]/&".contains(&b))
}

#[cfg(test)]
mod tests;
