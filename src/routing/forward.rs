//! Where a forwarded call ends up: the number is looked up as if the forwarding device dialled it, and the endpoints
//! of the callflow it leads to take its place (callflow.md §6.4).
//!
//! Callflows that begin with something else than ringing (a menu, a voice mailbox) cannot be rung: a forward that stands
//! alone and asks for no key gives the call over to them.

use serde_json::{Map, Value};

use super::attributes::IdKind;
use super::endpoints::{self, GroupStrategy, Member, Options, Ringing};
use super::origin::Shown;
use super::permission::restriction;
use super::route::{Caller, route};
use super::target::{Place, Target};
use super::trunks::{self, Dial, NotDialled};
use crate::base::rng::Rng;
use crate::directory::Account;

/// Why a forward leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoForward {
    /// No callflow has the number.
    NoCallflow,
    /// The forwarding device may not dial it.
    Restricted,
    /// The account's dial policy does not allow it.
    Policy,
    /// Nothing of its callflow rings.
    RingsNobody,
    /// Its callflow begins with something that cannot be rung, such as a menu: it can only take the call over.
    Answers,
    /// Forwards lead to forwards, too often.
    Loop,
}

/// The endpoints of a target that is a number, in the order they are to be tried; other targets stay as they are.
/// `system` is the account whose trunks `offnet` uses.
///
/// # Errors
/// Why there is none.
pub fn resolve(
    ringing: &Ringing<'_>,
    target: Target,
    system: Option<&Account>,
    rng: &mut Rng,
) -> Result<Vec<Target>, NoForward> {
    follow(ringing, target, system, rng, MOST_HOPS)
}

fn follow(
    ringing: &Ringing<'_>,
    target: Target,
    system: Option<&Account>,
    rng: &mut Rng,
    hops: u8,
) -> Result<Vec<Target>, NoForward> {
    let Place::Number(number) = &target.place else {
        return Ok(vec![target]);
    };
    let Some(hops) = hops.checked_sub(1) else {
        return Err(NoForward::Loop);
    };
    let account = ringing.account;
    let caller = Caller {
        authorizing_type: "callforward",
        device_id: &target.id,
    };
    let found = route(account, number, &caller).ok_or(NoForward::NoCallflow)?;
    let flow = found.doc.get("flow");
    let captured = found.capture_group.as_deref();
    if restriction(
        account,
        &target.id,
        target.owner_id.as_deref(),
        number,
        captured,
        flow,
    )
    .is_some()
    {
        return Err(NoForward::Restricted);
    }
    let empty = Map::new();
    let data = flow
        .and_then(|node| node.get("data")?.as_object())
        .unwrap_or(&empty);
    let text = |key: &str| data.get(key).and_then(Value::as_str).unwrap_or_default();
    let options = Options {
        can_call_self: true,
        delay: target.delay,
        timeout: target.timeout,
        ..Options::default()
    };
    let inner = Ringing {
        options: &options,
        ..*ringing
    };
    let module = flow
        .and_then(|node| node.get("module")?.as_str())
        .unwrap_or_default();
    let rung = match module {
        "user" => endpoints::of_user(&inner, text("id")),
        "device" => endpoints::of_device(&inner, text("id")),
        "ring_group" | "group" => endpoints::of_members(
            &inner,
            &members(account, data),
            GroupStrategy::Simultaneous,
            rng,
        ),
        "resources" | "offnet" => {
            let carriers = if module == "offnet" {
                system.unwrap_or(account)
            } else {
                account
            };
            return dialled(ringing, &target, number, text("to_did"), carriers, rng);
        }
        _ => return Err(NoForward::Answers),
    };
    let rung = rung.map_err(|_why| NoForward::RingsNobody)?;
    let mut all = Vec::new();
    let mut why = NoForward::RingsNobody;
    for next in rung.targets {
        match follow(ringing, next, system, rng, hops) {
            Ok(more) => all.extend(more.into_iter().map(|next| inherit(next, &target))),
            Err(reason) => why = reason,
        }
    }
    if all.is_empty() { Err(why) } else { Ok(all) }
}

/// What holds for the forward holds for the endpoints it leads to.
fn inherit(next: Target, forward: &Target) -> Target {
    Target {
        delay: forward.delay,
        timeout: forward.timeout.or(next.timeout),
        caller_id_name: forward.caller_id_name.clone(),
        caller_id_number: forward.caller_id_number.clone(),
        privacy: forward.privacy.or(next.privacy),
        ignore_early_media: forward.ignore_early_media || next.ignore_early_media,
        confirm: forward.confirm || next.confirm,
        send_digits: forward.send_digits.clone(),
        mark: forward.mark,
        ..next
    }
}

fn members(account: &Account, data: &Map<String, Value>) -> Vec<Member> {
    let listed = data.get("endpoints").and_then(Value::as_array);
    let group = ["group_id", "id"]
        .iter()
        .find_map(|key| data.get(*key)?.as_str());
    match (listed, group) {
        (Some(listed), _) if !listed.is_empty() => listed
            .iter()
            .map(|doc| Member::read("", "endpoint_type", doc))
            .collect(),
        (_, Some(group)) => endpoints::members_of(account, group).unwrap_or_default(),
        _ => Vec::new(),
    }
}

fn dialled(
    ringing: &Ringing<'_>,
    forward: &Target,
    number: &str,
    to_did: &str,
    carriers: &Account,
    rng: &mut Rng,
) -> Result<Vec<Target>, NoForward> {
    let account = ringing.account;
    let number = super::normalise(account, if to_did.is_empty() { number } else { to_did });
    let shown = Shown {
        name: forward.caller_id_name.clone(),
        number: forward.caller_id_number.clone(),
        privacy: None,
    };
    let mut headers = forward.headers.clone();
    if ringing.origin.from_outside && !ringing.origin.dialled.is_empty() {
        let diverted = format!(
            "<sip:{}@{}>;reason=unconditional;counter=1",
            ringing.origin.dialled, account.realm
        );
        headers.push(("Diversion".to_owned(), diverted));
    }
    let dial = Dial {
        account,
        carriers,
        origin: ringing.origin,
        number,
        flags: Vec::new(),
        caller_id: IdKind::External,
        shown: Some(shown),
        format_from_uri: false,
        from_uri_realm: None,
        headers,
    };
    let attempts = trunks::hunt(&dial, rng).map_err(|why| match why {
        NotDialled::Policy => NoForward::Policy,
        NotDialled::NoTrunk => NoForward::NoCallflow,
    })?;
    let as_forward = |attempt: trunks::Attempt| Target {
        delay: forward.delay,
        timeout: forward.timeout,
        ignore_early_media: forward.ignore_early_media,
        confirm: forward.confirm,
        send_digits: forward.send_digits.clone(),
        privacy: forward.privacy.or(attempt.target.privacy),
        owner_id: forward.owner_id.clone(),
        mark: forward.mark,
        ..attempt.target
    };
    Ok(attempts.into_iter().map(as_forward).collect())
}

/// Forwards that may follow each other.
const MOST_HOPS: u8 = 4;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::directory::Kind;
    use crate::routing::Origin;

    fn office() -> Account {
        let flow = |numbers: Value, module: &str, data: Value| json!({"numbers": numbers, "flow": {"module": module, "data": data}});
        let forward = |number: &str| json!({"call_forward": {"enabled": true, "number": number, "require_keypress": false}});
        let documents = [
            (Kind::Account, "acc", json!({"realm": "acme.test"})),
            (Kind::User, "ann", forward("4155550199")),
            (Kind::User, "bob", json!({})),
            (Kind::User, "eve", forward("105")),
            (Kind::User, "cat", forward("104")),
            (
                Kind::Device,
                "b1",
                json!({"owner_id": "bob", "sip": {"username": "bobs"}}),
            ),
            (
                Kind::Trunk,
                "t",
                json!({"name": "t", "rules": ["^\\+1\\d+$"], "gateways": [{"server": "g1"}, {"server": "g2"}]}),
            ),
            (
                Kind::Callflow,
                "f1",
                flow(json!(["102"]), "user", json!({"id": "bob"})),
            ),
            (
                Kind::Callflow,
                "f2",
                flow(json!(["103"]), "menu", json!({})),
            ),
            (
                Kind::Callflow,
                "f3",
                flow(json!(["104"]), "user", json!({"id": "eve"})),
            ),
            (
                Kind::Callflow,
                "f4",
                flow(json!(["105"]), "user", json!({"id": "cat"})),
            ),
            (
                Kind::Callflow,
                "f5",
                flow(
                    json!(["106"]),
                    "ring_group",
                    json!({"endpoints": [{"id": "ann", "endpoint_type": "user"}, {"id": "bob", "endpoint_type": "user"}]}),
                ),
            ),
        ];
        Account::of(
            "acc",
            documents.map(|(kind, id, doc)| (kind, id.to_owned(), doc)),
        )
    }

    fn forwarded(number: &str) -> Result<Vec<Target>, NoForward> {
        let account = office();
        let origin = Origin {
            number: "100".into(),
            ..Origin::default()
        };
        let ringing = Ringing {
            account: &account,
            origin: &origin,
            options: &Options::default(),
            now: 0,
        };
        let target = Target {
            confirm: true,
            caller_id_number: Some("100".into()),
            ..Target::at(Place::Number(number.into()))
        };
        resolve(&ringing, target, None, &mut Rng::seeded(1))
    }

    fn places(number: &str) -> Result<Vec<String>, NoForward> {
        let targets = forwarded(number)?.into_iter();
        Ok(targets
            .map(|target| match target.place {
                Place::Registered { username, .. } => username,
                Place::Uri { uri, .. } => uri,
                Place::Number(number) => number,
            })
            .collect())
    }

    #[test]
    fn a_forward_to_an_extension_rings_whom_it_rings() {
        assert_eq!(places("102").unwrap(), ["bobs"]);
        let target = forwarded("102").unwrap().remove(0);
        assert!(target.confirm, "a key press is asked of whoever answers");
        assert_eq!(target.caller_id_number.as_deref(), Some("100"));
    }

    #[test]
    fn a_forward_to_the_world_tries_every_gateway() {
        assert_eq!(
            places("4155550199").unwrap(),
            ["sip:+14155550199@g1", "sip:+14155550199@g2"]
        );
        let target = forwarded("4155550199").unwrap().remove(0);
        assert!(target.confirm && target.kind == "resource");
    }

    #[test]
    fn a_forward_to_a_group_follows_the_forwards_of_its_members() {
        assert_eq!(
            places("106").unwrap(),
            ["sip:+14155550199@g1", "sip:+14155550199@g2", "bobs"]
        );
    }

    #[test]
    fn what_cannot_be_rung_or_dialled_leads_nowhere() {
        assert_eq!(places("103"), Err(NoForward::Answers), "a menu");
        assert_eq!(places("999999"), Err(NoForward::NoCallflow));
        assert_eq!(
            places("+972598123456"),
            Err(NoForward::NoCallflow),
            "no trunk takes it"
        );
        assert_eq!(places("19005550100"), Err(NoForward::Policy));
    }

    #[test]
    fn forwards_in_a_circle_end() {
        assert_eq!(places("104"), Err(NoForward::Loop));
    }
}
