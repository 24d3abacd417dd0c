//! What TwiML needs of the flow it came from: ringing the account's people and the world.

use std::cell::Cell;
use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::ctx::FlowCtx;
use super::cursor::{Next, Tree};
use super::data::Whole;
use super::error::FlowError;
use super::ring::{Outcome, Ring};
use crate::base::cause::Cause;
use crate::base::secret::Secret;
use crate::call::{Attended, CallError};
use crate::host::clock;
use crate::journal::Code;
use crate::pivot::{Check, Settings};
use crate::routing::endpoints::{self, Endpoints, NotRung, Options, Ringing};
use crate::routing::forward::{self, NoForward};
use crate::routing::trunks::{self, NotDialled};
use crate::routing::{self, IdKind, Place, Shown, Target};
use crate::twiml::{self, Callee, Dial, DialStatus, Dialled, Dialler, Document, Live, Session};

/// Runs a document that a server answered, and says where the flow goes.
pub(super) async fn run(
    ctx: &FlowCtx,
    settings: &Settings,
    document: Document,
    url: Option<Url>,
    check: Check<'_>,
) -> Next {
    ctx.call.vars().cdr_url.clone_from(&settings.cdr_url);
    let live = Live {
        call: &ctx.call,
        settings,
        check,
        dialler: ctx,
        iteration: Cell::new(1),
        aside: false,
    };
    let mut session = Session::new(settings.profile(), url);
    match Box::pin(twiml::run(&live, document, &mut session)).await {
        twiml::Outcome::Done | twiml::Outcome::HungUp | twiml::Outcome::Left => Next::HardStop,
        twiml::Outcome::Flow(flow) => {
            ctx.call.flush_keys();
            // Whoever hands the call back to a callflow is not told of its end (`pivot.md` §5).
            ctx.call.vars().cdr_url = None;
            Next::Replace(Tree::Node(flow.into()))
        }
        twiml::Outcome::Moved => Next::Usurped,
        twiml::Outcome::Failed(why) => {
            ctx.note(format!("TwiML was ended: {why}"));
            ctx.call
                .trouble(Code::TwimlEnded, vec![("detail", why.clone())]);
            crate::pivot::remark(&ctx.call, settings, session.iteration, &why);
            ctx.call.hangup(Cause::NORMAL_TEMPORARY_FAILURE);
            Next::HardStop
        }
    }
}

impl Dialler for FlowCtx {
    async fn dial(&self, how: &Dial, attended: Option<Attended>) -> Result<Dialled, CallError> {
        let (mut found, mut several) = (Endpoints::default(), false);
        for (mark, callee) in how.callees.iter().enumerate() {
            let options = Options {
                timeout: Some(how.timeout),
                can_call_self: true,
                ..Options::default()
            };
            match self.callee(callee, &options, how) {
                Ok((mut endpoints, single)) => {
                    let later = endpoints.later.iter_mut().map(|(_, target)| target);
                    let all = endpoints.targets.iter_mut().chain(later);
                    all.for_each(|target| target.mark = mark);
                    several |= single && how.callees.len() == 1;
                    found.targets.extend(endpoints.targets);
                    found.later.extend(endpoints.later);
                }
                Err(why) => self.note(format!("{callee:?} is not rung: {why}")),
            }
        }
        if let Some(number) = &how.caller_id {
            for target in &mut found.targets {
                target.caller_id_number = Some(number.clone());
                target.privacy = None;
            }
        }
        let ring = Ring {
            single: how.single || several,
            timeout: Some(Whole(i64::try_from(how.timeout.as_secs()).unwrap_or(0))),
            ringback: how.ringback.clone(),
            limit: Some(how.limit),
            hangup_on: how.hangup_on,
            attended,
            ..Ring::default()
        };
        if found.targets.is_empty() && found.later.is_empty() {
            return Ok(dialled(DialStatus::Failed, None));
        }
        let outcome = Box::pin(self.ring(&ring, found)).await;
        let talked = self.call.talked();
        let mut result = match outcome {
            Ok(Outcome::Talked) => dialled(DialStatus::Completed, None),
            Ok(Outcome::Moved) => Dialled {
                moved: true,
                ..dialled(DialStatus::Completed, None)
            },
            Ok(Outcome::Failed { cause, status }) => dialled(status_of(cause), Some(status)),
            Err(error) if error.is_hangup() && talked.is_some() => {
                dialled(DialStatus::Completed, None)
            }
            Err(error) if error.is_hangup() => dialled(DialStatus::Canceled, None),
            Err(FlowError::Call(error)) => return Err(error),
            Err(error) => {
                self.note(format!("Dial: {error}"));
                dialled(DialStatus::Failed, None)
            }
        };
        if let Some(talked) = talked {
            result.call_id = Some(talked.call_id);
            result.duration = talked.length.or(Some(Duration::ZERO));
            result.digits = talked.digits;
            result.headers = talked.headers;
            result.sip_status = Some(200);
        }
        Ok(result)
    }
}

fn dialled(status: DialStatus, sip_status: Option<u16>) -> Dialled {
    Dialled {
        sip_status,
        ..Dialled::of(status)
    }
}

fn status_of(cause: Cause) -> DialStatus {
    match cause {
        Cause::USER_BUSY | Cause::CALL_REJECTED => DialStatus::Busy,
        Cause::NO_ANSWER | Cause::NO_USER_RESPONSE => DialStatus::NoAnswer,
        _ => DialStatus::Failed,
    }
}

impl FlowCtx {
    /// The endpoints of one callee, and whether they are tried one after the other.
    fn callee(
        &self,
        callee: &Callee,
        options: &Options,
        how: &Dial,
    ) -> Result<(Endpoints, bool), String> {
        let rung = |found: Result<Endpoints, NotRung>| match found {
            Ok(endpoints) => Ok((endpoints, false)),
            Err(why) => Err(why.key().to_owned()),
        };
        match callee {
            Callee::User(id) => rung(self.endpoints(options, |r| endpoints::of_user(r, id))),
            Callee::Device(id) => rung(self.endpoints(options, |r| endpoints::of_device(r, id))),
            Callee::Client(name) => match self.client(name) {
                Some((id, true)) => rung(self.endpoints(options, |r| endpoints::of_device(r, &id))),
                Some((id, false)) => rung(self.endpoints(options, |r| endpoints::of_user(r, &id))),
                None => Err("no device or user has that name".to_owned()),
            },
            Callee::Sip {
                uri,
                credentials,
                headers,
            } => {
                let known = ["sip:", "sips:"]
                    .iter()
                    .any(|scheme| uri.starts_with(scheme));
                let uri = if known {
                    uri.clone()
                } else {
                    format!("sip:{uri}")
                };
                let shown = self.origin();
                let target = Target {
                    kind: "sip",
                    name: uri.clone(),
                    timeout: Some(how.timeout),
                    caller_id_name: Some(shown.name),
                    caller_id_number: Some(shown.number),
                    headers: headers.clone(),
                    credentials: credentials.as_ref().map(|(user, password)| {
                        (user.clone(), Secret::new(password.clone()), None)
                    }),
                    ..Target::at(Place::Uri { uri, proxy: None })
                };
                Ok((just(vec![target]), false))
            }
            Callee::Number {
                number,
                send_digits,
            } => self.numbered(number, send_digits, how),
        }
    }

    /// A client: a device or user by its SIP user name, user name or id; whether it is a device.
    fn client(&self, name: &str) -> Option<(String, bool)> {
        let account = self.account_now();
        if account.devices.contains_key(name) {
            return Some((name.to_owned(), true));
        }
        if account.users.contains_key(name) {
            return Some((name.to_owned(), false));
        }
        let device = account.devices.values().find(|device| {
            let own = device.username.as_deref();
            own.is_some_and(|own| own.eq_ignore_ascii_case(name))
        });
        if let Some(device) = device {
            return Some((device.id.clone(), true));
        }
        let user = account.users.values().find(|user| {
            let own = user.doc.get("username").and_then(Value::as_str);
            own.is_some_and(|own| own.eq_ignore_ascii_case(name))
        });
        user.map(|user| (user.id.clone(), false))
    }

    /// Whom a number rings: whom its callflow does, else the account's carriers, else the system's.
    fn numbered(
        &self,
        number: &str,
        send_digits: &str,
        how: &Dial,
    ) -> Result<(Endpoints, bool), String> {
        let account = self.account_now();
        let directory = self.call.services().directory.clone();
        let system = directory.accounts().into_iter().find(|a| a.is_first());
        let origin = self.origin();
        let options = Options {
            can_call_self: true,
            ..Options::default()
        };
        let ringing = Ringing {
            account: &account,
            origin: &origin,
            options: &options,
            now: clock::unix_now().gregorian(),
        };
        let shown = how.caller_id.clone();
        let target = Target {
            timeout: Some(how.timeout),
            caller_id_name: Some(origin.name.clone()),
            caller_id_number: Some(shown.clone().unwrap_or_else(|| origin.number.clone())),
            send_digits: send_digits.to_owned(),
            ..Target::at(Place::Number(number.to_owned()))
        };
        let mut rng = self.call.rng();
        match forward::resolve(&ringing, target, system.as_deref(), &mut rng) {
            Ok(targets) => {
                let carriers = targets.iter().all(|target| target.kind == "resource");
                return Ok((just(targets), carriers));
            }
            Err(NoForward::NoCallflow) => {}
            Err(why) => return Err(format!("{why:?}")),
        }
        let dial = |carriers| trunks::Dial {
            account: &account,
            carriers,
            number: routing::normalise(&account, number),
            flags: Vec::new(),
            caller_id: IdKind::External,
            shown: shown.clone().map(|number| Shown {
                name: Some(origin.name.clone()),
                number: Some(number),
                privacy: None,
            }),
            format_from_uri: false,
            from_uri_realm: None,
            headers: Vec::new(),
            origin: &origin,
        };
        let attempts = match (trunks::hunt(&dial(&account), &mut rng), &system) {
            (Err(NotDialled::NoTrunk), Some(system)) => trunks::hunt(&dial(system), &mut rng),
            (attempts, _) => attempts,
        };
        let attempts = attempts.map_err(|why| format!("{why:?}"))?;
        let targets = attempts.into_iter().map(|attempt| Target {
            send_digits: send_digits.to_owned(),
            ..attempt.target
        });
        Ok((just(targets.collect()), true))
    }
}

fn just(targets: Vec<Target>) -> Endpoints {
    Endpoints {
        targets,
        later: Vec::new(),
    }
}
