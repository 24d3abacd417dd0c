//! `POST /resources/{id}/test`: whether calls could go out by a trunk, looked at step by step. Each step says in words what
//! was found; the first that fails is the last. With `step` only that one is done, so that a reader sees them as they end.
//! `call` is done only when a `number` is given: it costs money and rings somebody's telephone.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, oneshot};

use super::answer::Answer;
use super::call::Call;
use super::error::ApiError;
use super::placing;
use crate::call::{Originate, STAGES, ShownAs, Stage};
use crate::directory::{Gateway, Trunk};
use crate::host::clock;
use crate::journal::Cause;
use crate::net::Prober;
use crate::sip::flow::Transport;
use crate::sip::ua::Target;

/// In the order they are done.
const STEPS: [&str; 6] = ["name", "port", "tls", "options", "register", "call"];
/// How long somebody may take to ring.
const RING: Duration = Duration::from_secs(15);
/// Longest wait for the answer to OPTIONS.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a step has found.
enum Found {
    /// All is well.
    Good(String),
    /// There is nothing to look at.
    Skipped(&'static str),
    /// What is wrong, and what to do.
    Bad(String, Cow<'static, str>),
}

/// One gateway, looked at.
struct Test<'a> {
    call: &'a Call,
    prober: &'a Prober,
    trunk: &'a Trunk,
    gateway: &'a Gateway,
    n: usize,
}

/// Answers the request.
pub(super) async fn answer(call: &Call, id: &str) -> Result<Answer, ApiError> {
    let account = call.account()?;
    let trunk = account.trunks.get(id).ok_or_else(|| ApiError::NoDocument {
        what: "resource",
        id: id.to_owned(),
    })?;
    let n = usize::try_from(call.number("gateway")?.unwrap_or(0)).unwrap_or(usize::MAX);
    let gateway = trunk.gateways.get(n).ok_or_else(|| {
        ApiError::field(
            "gateway",
            "not_found",
            "the trunk has no gateway of that number",
        )
    })?;
    let steps: Vec<&str> = match call.text("step") {
        None => STEPS.to_vec(),
        Some(step) => match STEPS.iter().find(|known| **known == step) {
            Some(step) => vec![*step],
            None => {
                let message = format!("is not one of {}", STEPS.join(", "));
                return Err(ApiError::field("step", "enum", message));
            }
        },
    };
    let Some(prober) = call.api.prober() else {
        return Ok(Answer::ok(json!({"ok": false, "steps": []})));
    };
    let test = Test {
        call,
        prober,
        trunk,
        gateway,
        n,
    };
    let mut rows = Vec::new();
    let mut good = true;
    for step in steps {
        let begun = clock::now();
        let found = test.step(step).await;
        let took = clock::now().saturating_duration_since(begun);
        let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        good = !matches!(found, Found::Bad(..));
        rows.push(match found {
            Found::Good(text) => json!({"step": step, "state": "ok", "text": text, "took_ms": took}),
            Found::Skipped(text) => json!({"step": step, "state": "skipped", "text": text}),
            Found::Bad(text, todo) => json!({"step": step, "state": "failed", "text": text, "todo": todo, "took_ms": took}),
        });
        if !good {
            break;
        }
    }
    Ok(Answer::ok(json!({"ok": good, "steps": rows})))
}

impl Test<'_> {
    async fn step(&self, step: &str) -> Found {
        if step == "name" {
            return self.name().await;
        }
        if step == "register" {
            return self.register().await;
        }
        if step == "call" {
            return match self.call.text("number").filter(|number| !number.is_empty()) {
                Some(number) => self.calls(&number).await,
                None => Found::Skipped("No number was given to call."),
            };
        }
        let targets = self.targets().await.unwrap_or_default();
        let Some(target) = targets.first().copied() else {
            return Found::Bad(
                format!("{} leads nowhere.", self.gateway.server),
                "Look at the name first.".into(),
            );
        };
        match step {
            "port" => self.port(target).await,
            "tls" => self.tls(target).await,
            _ => self.options(target).await,
        }
    }

    async fn targets(&self) -> Result<Vec<Target>, String> {
        let gateway = self.gateway;
        let transport = gateway.transport.as_deref().and_then(Transport::named);
        let found = self
            .prober
            .targets(&gateway.server, gateway.port, transport);
        found.await.map_err(|error| error.to_string())
    }

    async fn name(&self) -> Found {
        let server = &self.gateway.server;
        if server.is_empty() {
            return Found::Bad(
                "The gateway has no server.".to_owned(),
                "Set server of the gateway.".into(),
            );
        }
        match self.targets().await {
            Ok(targets) if !targets.is_empty() => {
                let places: Vec<String> = targets
                    .iter()
                    .take(4)
                    .map(|target| format!("{} ({})", target.addr, target.transport.uri_name()))
                    .collect();
                Found::Good(format!("{server} is {}.", places.join(", then ")))
            }
            Ok(_) => Found::Bad(
                format!("{server} has no address."),
                "Compare the name with what the carrier gave you.".into(),
            ),
            Err(why) => Found::Bad(
                format!("{why}."),
                "Compare the name with what the carrier gave you, and try it with the name servers of this machine.".into(),
            ),
        }
    }

    /// Whether the server may be looked at beyond what calls and registrations say to it: who only administers an account
    /// must not feel its way through the network the server stands in.
    fn barred(&self, target: Target) -> Option<Found> {
        let principal = self.call.principal.as_ref();
        if principal.is_some_and(|principal| principal.is_superduper()) {
            return None;
        }
        let refused = (self.call.api.guard())(&format!("http://{}/", target.addr)).err()?;
        Some(Found::Bad(
            format!("{} is not tried from here: {refused}.", target.addr),
            "Calls may go there all the same. Ask who runs the server to run this test.".into(),
        ))
    }

    async fn port(&self, target: Target) -> Found {
        if target.transport == Transport::Udp {
            return Found::Skipped(
                "UDP has no connection to try; OPTIONS shows whether somebody listens.",
            );
        }
        if let Some(barred) = self.barred(target) {
            return barred;
        }
        match self.prober.connects(target).await {
            Ok(()) => Found::Good(format!("{} takes connections.", target.addr)),
            Err(why) => Found::Bad(
                format!("No connection to {}: {why}.", target.addr),
                "Check port and transport of the gateway, and whether a firewall lets this machine out.".into(),
            ),
        }
    }

    async fn tls(&self, target: Target) -> Found {
        if !matches!(target.transport, Transport::Tls | Transport::Wss) {
            return Found::Skipped("The transport is not encrypted.");
        }
        if let Some(barred) = self.barred(target) {
            return barred;
        }
        match self.prober.proves(target, &self.gateway.server).await {
            Ok(()) => Found::Good(format!("The certificate proves {}.", self.gateway.server)),
            Err(why) => Found::Bad(
                format!("The TLS handshake failed: {why}."),
                "Write the name of the certificate into server, or add its authority to tls.ca."
                    .into(),
            ),
        }
    }

    async fn options(&self, target: Target) -> Found {
        let Some(channels) = self.call.api.channels() else {
            return Found::Skipped("No SIP is served here.");
        };
        let asked = channels.options(target, &self.gateway.server);
        match tokio::time::timeout(PATIENCE, asked).await {
            // Any answer shows that SIP is spoken there; 503 that it wants no calls.
            Ok(Some(503)) => Found::Bad(
                "The server answers OPTIONS with 503: it takes no calls now.".to_owned(),
                "Wait, or ask the carrier whether this address may call.".into(),
            ),
            Ok(Some(status)) => Found::Good(format!("The server answers OPTIONS with {status}.")),
            Ok(None) | Err(_) => Found::Bad(
                format!(
                    "{} does not answer OPTIONS over {} within {} s.",
                    target.addr,
                    target.transport.uri_name(),
                    PATIENCE.as_secs()
                ),
                "Check address, port and transport. Some carriers answer only addresses they know: tell them this machine's.".into(),
            ),
        }
    }

    async fn register(&self) -> Found {
        if !self.gateway.register {
            return Found::Skipped("The gateway asks for no registration.");
        }
        if !self.trunk.enabled || !self.gateway.enabled {
            return Found::Skipped("A trunk that is not enabled does not register.");
        }
        let rows = match (self.call.api.channels(), self.call.account()) {
            (Some(channels), Ok(account)) => channels.gateways(&account.id).await,
            _ => Vec::new(),
        };
        let row = rows.iter().find(|row| {
            row.get("resource_id").and_then(Value::as_str) == Some(self.trunk.id.as_str())
                && row.get("gateway").and_then(Value::as_u64) == u64::try_from(self.n).ok()
        });
        let registered = row.and_then(|row| row.get("registered")?.as_bool());
        let status = row.and_then(|row| row.get("register_status")?.as_u64());
        match (registered, status) {
            (Some(true), _) => Found::Good("The server has taken the registration.".to_owned()),
            (_, Some(status @ (401 | 403 | 407))) => Found::Bad(
                format!("The server refused the registration with {status}."),
                "Check username, password and realm of the gateway.".into(),
            ),
            (_, Some(status)) => Found::Bad(
                format!("The server answered the registration with {status}."),
                "Check the user name, and ask the carrier why.".into(),
            ),
            (_, None) => Found::Bad(
                "The server has not answered a registration yet.".to_owned(),
                "Try again in some seconds; a fresh trunk registers within a few.".into(),
            ),
        }
    }

    /// Calls a number by this trunk, and hangs up as soon as it rings or is answered.
    async fn calls(&self, number: &str) -> Found {
        let (Some(channels), Ok(account)) = (self.call.api.channels(), self.call.account()) else {
            return Found::Skipped("No SIP is served here.");
        };
        if !self.trunk.enabled || !self.gateway.enabled {
            return Found::Skipped("A trunk that is not enabled takes no calls.");
        }
        let call_id = format!("{}-trunk-test", self.call.api.rng().hex(18));
        let (told, _outcome) = oneshot::channel();
        let (stages, mut reached) = mpsc::channel(STAGES);
        let data = json!({"resource_id": self.trunk.id, "timeout": RING.as_secs()});
        let wanted = Originate {
            account: Arc::clone(account),
            call_id: call_id.clone(),
            first: placing::flow(number, "resources", data),
            then: placing::flow(number, "hangup", json!({})),
            authorizing_id: self.trunk.id.clone(),
            authorizing_type: "resource",
            owner_id: None,
            caller_id: ShownAs::default(),
            then_caller_id: ShownAs::default(),
            as_answerer: false,
            timeout: RING,
            headers: Vec::new(),
            ringback: None,
            hold_music: None,
            application_vars: Map::new(),
            outcome: told,
            keeps_id: true,
            stages: Some(stages),
        };
        if let Err(error) = channels.originate(wanted).await {
            return Found::Bad(
                format!("The call cannot be placed: {error}."),
                "Try again when the server has room for calls.".into(),
            );
        }
        let first = tokio::time::timeout(RING + PATIENCE, reached.recv()).await;
        channels.hang_up(&account.id, &call_id).await;
        match first {
            Ok(Some(Stage::Ringing)) => Found::Good(format!("{number} rings.")),
            Ok(Some(Stage::Answered { .. })) => {
                Found::Good(format!("{number} has answered, and was hung up."))
            }
            Ok(Some(Stage::Ended { cause, status })) => match self.cause(&call_id).await {
                Some(why) => {
                    let said = [why.what.as_str(), why.why.as_str()];
                    let said: Vec<&str> =
                        said.into_iter().filter(|part| !part.is_empty()).collect();
                    Found::Bad(said.join(" "), why.todo.into())
                }
                None => Found::Bad(
                    format!("{number} was not reached: {cause} ({status})."),
                    "Compare the number's form with what the carrier wants, and ask the carrier."
                        .into(),
                ),
            },
            Ok(None) | Err(_) => Found::Bad(
                format!("{number} did not ring within {} s.", RING.as_secs()),
                "Try another number; if none rings, ask the carrier.".into(),
            ),
        }
    }

    /// Why a call failed that ends at this moment: its last facts may be on their way.
    async fn cause(&self, call_id: &str) -> Option<Cause> {
        for _ in 0..20 {
            if let Some(cause) = self.call.api.journal().cause(call_id) {
                return Some(cause);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        None
    }
}
