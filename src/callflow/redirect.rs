//! Callees that answer 3xx (`sip.md` §7): where their Contacts lead, when their documents let them say so
//! (`follow_redirects`). A phone names a number of ours, which is dialled as if the phone had dialled it; a carrier names
//! another of its gateways. Whatever else they name is not called: toll fraud.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;

use super::ctx::FlowCtx;
use crate::call::ops::line::{AccountLine, TrunkLine};
use crate::call::{CallHandle, Redirected, Redirects};
use crate::directory::{Account, Trunk};
use crate::host::clock;
use crate::journal::Fact;
use crate::routing::endpoints::{Options, Ringing};
use crate::routing::policy::Policy;
use crate::routing::{self, Attributes, Origin, Place, Target, forward};
use crate::sip::msg::Uri;

impl FlowCtx {
    /// What follows the callees of a bridge that send the call elsewhere.
    pub(super) fn redirects(&self) -> Redirects {
        let follower = Rc::new(Follower {
            call: self.call.clone(),
            origin: self.origin(),
            lines: RefCell::default(),
        });
        let limit = Rc::new(Cell::new(None));
        let told = limit.clone();
        Redirects::new(limit, move |redirected| {
            let found = follower.follow(redirected);
            told.set(follower.limit());
            found
        })
    }
}

struct Follower {
    call: CallHandle,
    origin: Origin,
    /// What calls through carriers have taken, for as long as the bridge lasts.
    lines: RefCell<(Option<AccountLine>, Vec<TrunkLine>)>,
}

impl Follower {
    fn note(&self, text: String) {
        tracing::debug!(call = ?self.call, %text, "redirect");
        self.call
            .note(|call_id, at| Fact::Note { call_id, at, text });
    }

    fn limit(&self) -> Option<Duration> {
        self.lines.borrow().0.as_ref()?.limit
    }

    fn follow(&self, redirected: &Redirected<'_>) -> Vec<Target> {
        let call = &self.call;
        let id = call.facts().account.id.clone();
        let directory = call.services().directory.clone();
        let account = directory
            .account(&id)
            .unwrap_or_else(|| call.facts().account.clone());
        let accounts = directory.accounts();
        let system = accounts.iter().find(|account| account.is_first());
        let target = redirected.target;
        let trunk = account.trunks.get(&target.id);
        let trunk = trunk.or_else(|| system?.trunks.get(&target.id));
        let mut found = Vec::new();
        for contact in &redirected.contacts {
            let places = match trunk.filter(|_| target.kind == "resource") {
                Some(trunk) => of_carrier(&account, trunk, target, contact),
                None => self.of_phone(&account, system.map(AsRef::as_ref), redirected, contact),
            };
            match places {
                Ok(places) => {
                    self.note(format!("{} sends the call on to {contact}", target.name));
                    found.extend(places);
                }
                Err(why) => self.note(format!("{contact} of a 3xx is not called: {why}")),
            }
        }
        self.within_caps(&account, system.map(AsRef::as_ref), found)
    }

    /// The number a phone names, as if it had dialled it.
    fn of_phone(
        &self,
        account: &Account,
        system: Option<&Account>,
        redirected: &Redirected<'_>,
        contact: &Uri,
    ) -> Result<Vec<Target>, String> {
        let target = redirected.target;
        let device = account.devices.get(&target.id);
        let device = device.ok_or("only devices may redirect calls")?;
        let attributes = Attributes::of_device(account, device);
        if attributes.device_first("/follow_redirects") != Some(&Value::Bool(true)) {
            return Err("its documents do not say follow_redirects".to_owned());
        }
        let host = contact.host.to_string().to_lowercase();
        let realm = device.realm.as_deref().unwrap_or(&account.realm);
        let ip = contact.host.ip().map(|ip| ip.to_canonical());
        let ours = host == realm.to_lowercase()
            || host == account.realm.to_lowercase()
            || ip.is_some_and(|ip| ip == redirected.local.to_canonical());
        if !ours {
            return Err("its host is not ours".to_owned());
        }
        let number = contact
            .user_text()
            .ok_or("it names no number")?
            .into_owned();
        let forward = Target {
            kind: "callforward",
            delay: Duration::ZERO,
            place: Place::Number(number),
            ..target.clone()
        };
        let options = Options::default();
        let ringing = Ringing {
            account,
            origin: &self.origin,
            options: &options,
            now: clock::unix_now().gregorian(),
        };
        forward::resolve(&ringing, forward, system, &mut self.call.rng())
            .map_err(|why| format!("{why:?}"))
    }

    /// Those at carriers count as calls of the account and of their trunks.
    fn within_caps(
        &self,
        account: &Account,
        system: Option<&Account>,
        targets: Vec<Target>,
    ) -> Vec<Target> {
        let mut lines = self.lines.borrow_mut();
        let mut kept = Vec::new();
        for target in targets {
            if target.kind == "resource" {
                if lines.0.is_none() {
                    match self.call.take_line(Policy::of(account)) {
                        Ok(mut line) => {
                            line.start();
                            lines.0 = Some(line);
                        }
                        Err(full) => {
                            self.note(format!("the account has used up its {}", full.what()));
                            continue;
                        }
                    }
                }
                let own = account.trunks.get(&target.id);
                let Some(trunk) = own.or_else(|| system?.trunks.get(&target.id)) else {
                    continue;
                };
                match self.call.take_trunk_line(trunk) {
                    Ok(line) => lines.1.push(line),
                    Err(full) => {
                        self.note(format!("{} has used up its {}", trunk.name, full.what()));
                        continue;
                    }
                }
            }
            kept.push(target);
        }
        kept
    }
}

/// Another gateway of the same trunk.
fn of_carrier(
    account: &Account,
    trunk: &Trunk,
    target: &Target,
    contact: &Uri,
) -> Result<Vec<Target>, String> {
    if trunk.doc.get("follow_redirects") != Some(&Value::Bool(true)) {
        return Err("its resource does not say follow_redirects".to_owned());
    }
    let host = contact.host.to_string();
    let plain = |host: &str| host.trim_matches(['[', ']']).to_lowercase();
    let mut gateways = trunk.gateways.iter().filter(|gateway| gateway.enabled);
    let gateway = gateways
        .find(|gateway| plain(&gateway.server) == plain(&host) && gateway.port == own_port(contact))
        .ok_or("its host is no gateway of the resource")?;
    // Without what a number portability look-up may have added (RFC 4694).
    let user = contact.user_text().unwrap_or_default().into_owned();
    let number = user.split(';').next().unwrap_or_default();
    let number = number
        .strip_prefix(gateway.prefix.as_str())
        .unwrap_or(number);
    let emergency = routing::classify(&routing::to_e164(number)) == routing::EMERGENCY;
    if !emergency && !Policy::of(account).allows(number) {
        return Err("the account's dial_policy does not allow it".to_owned());
    }
    let mut contact = contact.clone();
    contact.headers = None;
    let username = gateway.username.clone();
    Ok(vec![Target {
        place: Place::Uri {
            uri: contact.to_string(),
            proxy: None,
        },
        credentials: username
            .filter(|_| !gateway.password.is_empty())
            .map(|user| (user, gateway.password.clone(), gateway.realm.clone())),
        ..target.clone()
    }])
}

/// The port as documents have it: the usual one is not said.
fn own_port(uri: &Uri) -> Option<u16> {
    uri.port.filter(|port| *port != 5060)
}
