//! A new INVITE becomes a call: who calls, what was dialled, which callflow; then its script starts.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use serde_json::{Map, Value};

use super::core::Core;
use super::facts::{CallFacts, CallVars};
use super::handle::{Call, CallHandle};
use super::identity::{self, Identity};
use super::ops::line::InboundLine;
use super::outbound::{MAX_PASSES, PASSES};
use super::state::State;
use super::transfer::Pending;
use crate::base::cause::Cause;
use crate::directory::Account;
use crate::directory::formatters::Way;
use crate::host::{clock, task};
use crate::jobs::webhooks::LegEvent;
use crate::journal::{Code, Detail, Fact, Journal, Leg};
use crate::routing;
use crate::routing::caps::Full;
use crate::sdp::Session;
use crate::sdp::negotiate::{self, Keying, Local};
use crate::sip::msg::{Message, Name, NameAddr, Uri};
use crate::sip::ua::IncomingInvite;

impl Core {
    pub(super) fn inbound(&self, invite: IncomingInvite) {
        if self.calls() >= self.0.config.max_calls {
            metrics::counter!("swivel_calls_refused_total", "why" => "max_calls").increment(1);
            let most = self.0.config.max_calls.to_string();
            self.door_trouble(&invite, Code::TooManyCalls, vec![("limit", most)]);
            return self.refuse(&invite, 503, Some((Name::RetryAfter, "5".into())));
        }
        if self.0.media.is_full() {
            metrics::counter!("swivel_calls_refused_total", "why" => "ports").increment(1);
            let used = format!("{} ports", self.0.media.counts().in_use);
            self.door_trouble(&invite, Code::NoPorts, vec![("detail", used)]);
            return self.refuse(&invite, 503, Some((Name::RetryAfter, "5".into())));
        }
        let services = self.services();
        let Some(account) = services.directory.account(&invite.principal.account) else {
            metrics::counter!("swivel_calls_refused_total", "why" => "no_account").increment(1);
            return self.refuse(&invite, 403, None);
        };
        let mut facts = self.facts(&invite, account.clone());
        let mut account = account;
        if account.trunks.contains_key(&*invite.principal.device) {
            match self.carrier_facts(&invite.message, facts) {
                Ok(of_carrier) => {
                    account = of_carrier.account.clone();
                    facts = of_carrier;
                }
                Err(refused) => return self.unknown_number(&invite, &refused),
            }
        }
        note_caller(&services.journal, &facts);
        if facts.inception.is_some()
            && routing::blacklist::refuses(&account, &facts.caller_id_number)
        {
            metrics::counter!("swivel_calls_refused_total", "why" => "blacklist").increment(1);
            services.journal.emit(Fact::Refused {
                call_id: facts.call_id.clone(),
                at: facts.created,
                status: 603,
                why: "the caller is on a blacklist of the account",
            });
            let caller = facts.caller_id_number.clone();
            self.door_trouble_of(&facts, Code::Blacklisted, vec![("caller", caller)]);
            return self.refuse(&invite, 603, None);
        }
        if let Some(named) = self.of_another(&facts) {
            metrics::counter!("swivel_calls_refused_total", "why" => "from").increment(1);
            let values = vec![("user", named), ("status", "403".to_owned())];
            self.door_trouble_of(&facts, Code::FromOfAnother, values);
            return self.refuse(&invite, 403, None);
        }
        let facts = Rc::new(facts);
        if wants_secrecy(&facts) && !is_secret(&invite) {
            metrics::counter!("swivel_calls_refused_total", "why" => "media").increment(1);
            self.door_trouble_of(&facts, Code::SrtpRequired, Vec::new());
            let warning = format!("399 {AGENT} \"Media must be encrypted\"");
            return self.refuse(&invite, 488, Some((Name::Warning, warning)));
        }
        let offer = match self.look_at_offer(&invite) {
            Ok(offer) => offer,
            Err((code, warning)) => {
                if let Some(code) = code {
                    self.door_trouble_of(&facts, code, Vec::new());
                }
                metrics::counter!("swivel_calls_refused_total", "why" => "media").increment(1);
                return self.refuse(&invite, 488, Some((Name::Warning, warning)));
            }
        };
        if let Some(replaces) = invite.message.header(Name::Replaces) {
            return match self.replaced(&invite, replaces) {
                Ok((leg, state)) => {
                    let call = self.admit(&invite, facts, offer, None);
                    self.take_place(call, leg, state);
                }
                Err(status) => self.refuse(&invite, status, None),
            };
        }
        if facts.passes >= MAX_PASSES {
            metrics::counter!("swivel_calls_refused_total", "why" => "loop").increment(1);
            self.door_trouble_of(&facts, Code::ForwardLoop, vec![("status", "482".into())]);
            return self.refuse(&invite, 482, None);
        }
        let Some(route) = routing::route(&account, &facts.request_user, &caller(&facts)) else {
            metrics::counter!("swivel_calls_refused_total", "why" => "no_callflow").increment(1);
            services.journal.emit(Fact::Refused {
                call_id: facts.call_id.clone(),
                at: facts.created,
                status: 404,
                why: "no callflow of the account has this number",
            });
            self.door_trouble_of(&facts, Code::NumberNotFound, Vec::new());
            return self.refuse(&invite, 404, None);
        };
        let line = match self.inbound_line(&facts) {
            Ok(line) => line,
            Err(full) => return self.lines_busy(&invite, &facts, full),
        };
        let call = self.admit(&invite, facts, offer, Some(&route));
        call.0.line.replace(line);
        metrics::counter!("swivel_calls_total").increment(1);
        let script = self.next_script();
        call.0.owner.set(script);
        self.run_script(call, script, None);
    }

    /// The facts of a call that came from a trunk: it belongs to the account that has the number, and is known by what
    /// the carrier says of the caller.
    fn carrier_facts(
        &self,
        message: &Message,
        facts: CallFacts,
    ) -> Result<CallFacts, Box<CallFacts>> {
        let services = self.services();
        let source = facts.source.ip().to_canonical();
        // Where we have registered, calls come to our Contact there, and To names the number.
        let registrar = self.registrar();
        let registered = registrar.carrier_of(clock::now(), &facts.request_user, source);
        let dialled = match registered {
            Some(_) => &facts.to_user,
            None => &facts.request_user,
        };
        let Some(found) = routing::did::inbound(&services.directory, source, dialled) else {
            return Err(Box::new(facts));
        };
        let formatted = |field: &str, value: &str| {
            let formatters = &found.trunk.formatters;
            let new = formatters.apply(field, Way::Inbound, value, None);
            new.or(Some(value.to_owned())).unwrap_or_default()
        };
        let number = formatted("request", &found.number);
        let caller = identity::asserted(message).unwrap_or_else(|| Identity {
            name: facts.caller_id_name.clone(),
            number: facts.caller_id_number.clone(),
        });
        Ok(CallFacts {
            caller_id_name: formatted("caller_id_name", &caller.name),
            caller_id_number: formatted("caller_id_number", &caller.number),
            from_user: formatted("from", &facts.from_user),
            to_user: formatted("to", &facts.to_user),
            inception: Some(format!("{number}@{}", facts.request_realm)),
            request_user: number,
            authorizing_id: found.trunk.id.clone(),
            authorizing_type: "resource",
            owner_id: None,
            account: found.account,
            ..facts
        })
    }

    /// A carrier has sent a call to a number nobody has.
    fn unknown_number(&self, invite: &IncomingInvite, facts: &CallFacts) {
        let status = self.0.config.unknown_number_code;
        metrics::counter!("swivel_calls_refused_total", "why" => "unknown_number").increment(1);
        self.services().journal.emit(Fact::Refused {
            call_id: facts.call_id.clone(),
            at: facts.created,
            status,
            why: "no account has the number a carrier has called",
        });
        self.door_trouble_of(
            facts,
            Code::UnknownDid,
            vec![("status", status.to_string())],
        );
        self.refuse(invite, status, None);
    }

    /// A call from a carrier takes one of the account's inbound trunks.
    fn inbound_line(&self, facts: &CallFacts) -> Result<Option<InboundLine>, Full> {
        if facts.inception.is_none() {
            return Ok(None);
        }
        self.take_inbound(&facts.account).map(Some)
    }

    /// As many calls come in as the account may have.
    fn lines_busy(&self, invite: &IncomingInvite, facts: &CallFacts, full: Full) {
        metrics::counter!("swivel_calls_refused_total", "why" => "inbound_trunks").increment(1);
        tracing::info!(account = %facts.account.id, full = full.what(), "a carrier's call finds no line");
        self.services().journal.emit(Fact::Refused {
            call_id: facts.call_id.clone(),
            at: facts.created,
            status: 486,
            why: "the account's inbound trunks are all in use (limits)",
        });
        self.door_trouble_of(facts, Code::InboundLimit, Vec::new());
        self.refuse(invite, 486, None);
    }

    fn refuse(&self, invite: &IncomingInvite, status: u16, header: Option<(Name, String)>) {
        let headers: Vec<(Name, String)> = header.into_iter().collect();
        let sent =
            self.endpoint(|endpoint, now| endpoint.reject(now, invite.leg, status, "", &headers));
        if let Err(error) = sent {
            tracing::debug!(%error, "the call was gone before it was refused");
        }
    }

    /// Why an INVITE is refused, before there is a call.
    fn door_trouble(&self, invite: &IncomingInvite, code: Code, values: Values) {
        self.services().journal.emit(Fact::Trouble {
            call_id: invite.message.call_id().unwrap_or_default().to_owned(),
            at: clock::unix_now(),
            account: invite.principal.account.to_string(),
            code,
            values,
        });
    }

    /// The same when it is known who calls whom.
    fn door_trouble_of(&self, facts: &CallFacts, code: Code, mut values: Values) {
        values.push(("dialled", facts.request_user.clone()));
        if facts.authorizing_type == "device" {
            values.push(("device", facts.authorizing_id.clone()));
        }
        self.services().journal.emit(Fact::Trouble {
            call_id: facts.call_id.clone(),
            at: clock::unix_now(),
            account: facts.account.id.to_string(),
            code,
            values,
        });
    }

    /// The user name in From, when it is that of another phone than the one whose password came with the call
    /// (`security.md` row 5): what a From says is shown to others. Phones of one person may speak for each other, and other
    /// names, extensions and "anonymous" among them, are nobody's.
    fn of_another(&self, facts: &CallFacts) -> Option<String> {
        let device = facts.account.devices.get(&facts.authorizing_id)?;
        let own = device.username.as_deref()?;
        if device.ip.is_some() || facts.from_user.eq_ignore_ascii_case(own) {
            return None;
        }
        let realm = device.realm.as_deref().unwrap_or(&facts.account.realm);
        let (_, other, _) = self.services().directory.secret(realm, &facts.from_user)?;
        let same = other.id == device.id
            || (device.owner_id.is_some() && device.owner_id == other.owner_id);
        (!same).then(|| facts.from_user.clone())
    }

    /// Parses the offer and tries it, so that a call without a common codec is refused before its script runs. An error
    /// has its cause, where the offer alone does not tell, and its Warning.
    fn look_at_offer(
        &self,
        invite: &IncomingInvite,
    ) -> Result<Option<Session>, (Option<Code>, String)> {
        let Some(body) = &invite.offer else {
            return Ok(None);
        };
        let offer = Session::parse(&body.bytes).map_err(|_| {
            (
                Some(Code::BadSdp),
                "399 swivel \"Bad session description\"".to_owned(),
            )
        })?;
        let here = SocketAddr::new(invite.flow.local.ip(), 9);
        let (crypto, webrtc) = self.secrets(negotiate::keying(&offer), here);
        let probe = Local {
            crypto,
            webrtc,
            ..Local::new(here.ip(), here.port(), 1)
        };
        negotiate::answer(&offer, &probe).map_err(|refused| {
            let code = refused.names_a_host().then_some(Code::SdpHostName);
            (code, refused.warning(AGENT))
        })?;
        Ok(Some(offer))
    }

    fn admit(
        &self,
        invite: &IncomingInvite,
        facts: Rc<CallFacts>,
        offer: Option<Session>,
        route: Option<&routing::Route>,
    ) -> CallHandle {
        let vars = route.map(|route| CallVars {
            capture_group: route.capture_group.clone(),
            capture_groups: route.capture_groups.clone(),
            no_match: route.no_match,
            callflow_id: Some(route.callflow_id.clone()),
            flow: Some(route.doc.clone()),
            ..CallVars::default()
        });
        let mut state = State::new();
        state.media.offer = offer;
        state.media.session_id = self.0.rng.borrow_mut().u64() >> 2;
        state.media.version = 1;
        let call = CallHandle(Rc::new(Call {
            core: self.clone(),
            seen: RefCell::new(facts.clone()),
            leg: Cell::new(invite.leg),
            target: None,
            seed: None,
            owner: Cell::new(0),
            attached: Cell::new(false),
            transfer: RefCell::default(),
            vars: RefCell::new(vars.unwrap_or_default()),
            offered: invite.offer.is_some(),
            state: RefCell::new(state),
            aftermath: Cell::new(0),
            cause: Cell::new(None),
            times: Cell::new(None),
            opened: Cell::new(false),
            line: RefCell::default(),
            local: invite.flow.local.ip(),
            facts,
        }));
        call.name_at_endpoint(invite.leg);
        self.0.calls.borrow_mut().insert(invite.leg, call.clone());
        call.note(|call_id, at| Fact::Started {
            call_id,
            at,
            account: call.0.facts.account.id.to_string(),
            from: call.0.facts.caller_id_number.clone(),
            dialled: call.0.facts.request_user.clone(),
            callflow: route
                .map(|route| route.callflow_id.clone())
                .unwrap_or_default(),
        });
        call.tell(LegEvent::Create);
        call
    }

    /// Runs the flow of a call. The call ends with it, unless another script or bridge owns it by then.
    pub(super) fn run_script(&self, call: CallHandle, id: u64, pending: Option<Rc<Pending>>) {
        call.stands_nowhere();
        let script = (self.0.script)(call.clone());
        self.run_future(call, script, id, pending);
    }

    /// The same with a script that is running already, such as what another call was going through.
    pub(super) fn run_future(
        &self,
        call: CallHandle,
        script: LocalBoxFuture<'static, ()>,
        id: u64,
        pending: Option<Rc<Pending>>,
    ) {
        call.unmute();
        let max_call = self.0.config.max_call;
        let task = async move {
            let life = async {
                // The script ends the call; what it still does afterwards is the aftermath, which has its own limit.
                match tokio::time::timeout(max_call, AssertUnwindSafe(script).catch_unwind()).await
                {
                    Ok(Ok(())) => {}
                    Ok(Err(panic)) => {
                        tracing::error!(
                            ?call,
                            panic = task::panic_text(panic.as_ref()),
                            "a script panicked"
                        );
                        metrics::counter!("swivel_script_panics_total").increment(1);
                    }
                    Err(_elapsed) => {
                        tracing::info!(?call, "longest call reached");
                        call.end(Cause::ALLOTTED_TIMEOUT);
                    }
                }
            };
            let backstop = async {
                call.wait_for_hangup().await;
                tokio::time::sleep(AFTERMATH).await;
                tracing::warn!(?call, "the script did not end after its call");
            };
            let given_back = async {
                match &pending {
                    Some(pending) => pending.failed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = given_back => {}
                () = call.usurped(id) => {}
                () = life => {}
                () = backstop => {}
            }
            let waited_for = pending.as_ref().is_some_and(|pending| pending.is_open());
            if call.0.owner.get() == id || waited_for {
                call.hangup(Cause::NORMAL_CLEARING);
            }
        };
        task::spawn_local("script", task);
    }

    fn facts(&self, invite: &IncomingInvite, account: Arc<Account>) -> CallFacts {
        let message = &invite.message;
        let from = message.from().ok();
        let to = message.to().ok();
        let request = message.request_uri().and_then(|uri| Uri::parse(uri).ok());
        let part = |name: &Option<NameAddr>| {
            name.as_ref()
                .map(|n| user_and_host(&n.uri))
                .unwrap_or_default()
        };
        let (from_user, from_realm) = part(&from);
        let (to_user, to_realm) = part(&to);
        let (request_user, request_realm) = request.as_ref().map(user_and_host).unwrap_or_default();
        let device = account.devices.get(&*invite.principal.device).cloned();
        let created = clock::unix_now();
        let mut rng = self.0.rng.borrow_mut();
        CallFacts {
            call_id: message.call_id().unwrap_or_default().to_owned(),
            direction: "inbound",
            caller_id_name: from
                .as_ref()
                .and_then(|n| n.display.as_deref())
                .filter(|name| !name.is_empty())
                .unwrap_or(&from_user)
                .to_owned(),
            caller_id_number: from_user.clone(),
            from_uri: from.as_ref().map(|n| n.uri.to_string()).unwrap_or_default(),
            from_tag: from
                .as_ref()
                .and_then(|n| n.tag().map(str::to_owned))
                .unwrap_or_default(),
            to_uri: to.as_ref().map(|n| n.uri.to_string()).unwrap_or_default(),
            from_user,
            from_realm,
            to_user,
            to_realm,
            request_user,
            request_realm,
            authorizing_id: invite.principal.device.to_string(),
            authorizing_type: "device",
            owner_id: device.and_then(|d| d.owner_id.clone()),
            inception: None,
            custom_sip_headers: custom_headers(message),
            user_agent: message
                .header(Name::UserAgent)
                .unwrap_or_default()
                .to_owned(),
            max_forwards: message.max_forwards().unwrap_or(70),
            passes: message
                .headers
                .get_named(PASSES)
                .and_then(|passes| passes.trim().parse().ok())
                .unwrap_or(0),
            diversions: message
                .headers
                .all(Name::Diversion)
                .take(DIVERSIONS)
                .map(str::to_owned)
                .collect(),
            referred_by: None,
            callee_id_name: String::new(),
            source: invite.flow.remote,
            transport: invite.flow.transport,
            interaction_id: format!("{:011}-{}", created.gregorian(), rng.hex(4)),
            fetch_id: rng.hex(16),
            created,
            account,
        }
    }

    /// The address to take a media port on: the one the caller's signalling came to, or the route's.
    pub(super) fn media_address(&self, call: &CallHandle) -> IpAddr {
        let local = call.0.local;
        if local.is_unspecified() {
            crate::net::driver::route_to(call.0.facts.source.ip()).unwrap_or(local)
        } else {
            local
        }
    }

    /// The address to write into a description for `peer` (decisions 2).
    pub(super) fn shown_address(&self, peer: IpAddr, own: IpAddr) -> IpAddr {
        let config = &self.0.config;
        match config.advertise {
            Some(advertised) if !config.local_nets.iter().any(|net| net.contains(&peer)) => {
                advertised
            }
            Some(_) | None => own,
        }
    }
}

fn caller(facts: &CallFacts) -> routing::Caller<'_> {
    routing::Caller {
        authorizing_type: facts.authorizing_type,
        device_id: &facts.authorizing_id,
    }
}

/// Whether the calling device may not talk in the clear (`media.encryption`).
fn wants_secrecy(facts: &CallFacts) -> bool {
    let device = facts.account.devices.get(&facts.authorizing_id);
    device.is_some_and(|device| {
        let encryption = device.doc.pointer("/media/encryption");
        let get = |key: &str| encryption.and_then(|encryption| encryption.get(key));
        let methods = get("methods").and_then(Value::as_array);
        get("enforce_security") == Some(&Value::Bool(true))
            && methods.is_some_and(|methods| !methods.is_empty())
    })
}

/// Whether an INVITE offers keys.
fn is_secret(invite: &IncomingInvite) -> bool {
    let offer = invite
        .offer
        .as_ref()
        .map(|body| Session::parse(&body.bytes));
    matches!(offer, Some(Ok(offer)) if negotiate::keying(&offer) != Keying::None)
}

fn user_and_host(uri: &Uri) -> (String, String) {
    let user = uri.user.as_deref().unwrap_or_default();
    let of_phone = uri
        .params
        .text("user")
        .is_some_and(|kind| kind.eq_ignore_ascii_case("phone"));
    let user = if uri.scheme.as_str() == "tel" || of_phone {
        // A telephone number: without its parameters and the marks that only please the eye (RFC 3966 §5.1.1).
        let number = user.split(';').next().unwrap_or_default();
        number.replace(['-', '.', '(', ')'], "")
    } else {
        user.to_owned()
    };
    (user, uri.host.to_string())
}

/// The `X-` headers of an INVITE. Values are raw text without line ends (the parser saw to that).
fn custom_headers(message: &Message) -> Map<String, Value> {
    message
        .headers
        .iter()
        .filter(|h| {
            h.wire_name()
                .get(..2)
                .is_some_and(|start| start.eq_ignore_ascii_case("x-"))
        })
        .filter_map(|h| Some((h.wire_name().to_owned(), Value::from(h.text()?))))
        .take(CUSTOM_HEADERS)
        .collect()
}

/// What is known of a trouble.
type Values = Vec<(&'static str, String)>;

/// Who warns in a Warning header.
pub(super) const AGENT: &str = "swivel";
/// How long a script may go on after its call.
const AFTERMATH: Duration = Duration::from_secs(15);
/// Diversion headers passed on.
pub(super) const DIVERSIONS: usize = 5;
/// `X-` headers taken from one INVITE.
const CUSTOM_HEADERS: usize = 64;

/// Whose call it is, whatever becomes of it.
fn note_caller(journal: &Journal, facts: &CallFacts) {
    journal.detail(
        &facts.call_id,
        Detail::Leg(Box::new(Leg {
            account: facts.account.id.to_string(),
            interaction: facts.interaction_id.clone(),
            direction: facts.direction,
            from: facts.caller_id_number.clone(),
            to: facts.request_user.clone(),
            name: facts.caller_id_name.clone(),
            kind: facts.authorizing_type,
            owner: facts.owner_id.clone(),
            internal: false,
            parent: None,
        })),
    );
}
