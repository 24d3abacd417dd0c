//! The executor: runs a call's callflow node by node, in a loop, and ends the call when the flow ends.
//!
//! Started by `call` through the script factory. A module that fails or panics costs its node, never the call: the
//! flow goes on to `_`, and when nothing is left to run the caller hears why (decision 14).

use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use serde_json::Value;
use tracing::Instrument as _;

use super::ctx::FlowCtx;
use super::cursor::{Cursor, DEFAULT, End, Next, Tree};
use super::data::{TONE_DB, Whole, tone};
use super::error::FlowError;
use super::modules::{self, Known};
use crate::audio::clip::Clip;
use crate::base::cause::Cause;
use crate::call::{CallHandle, PlayOptions, Script};
use crate::clips::Audio;
use crate::host::task::panic_text;
use crate::journal::{Code, Detail, Fact};
use crate::routing;

/// What `call` starts for every accepted call: its callflow.
pub fn script() -> Script {
    Rc::new(|call| {
        let document = call.vars().flow.clone().unwrap_or_default();
        run(call, document).boxed_local()
    })
}

/// Runs the callflow `document` on `call` and ends the call when the flow is over. Never panics.
pub async fn run(call: CallHandle, document: Arc<Value>) {
    let whole = AssertUnwindSafe(run_to_end(call.clone(), document));
    if let Err(panic) = Box::pin(whole).catch_unwind().await {
        tracing::error!(
            ?call,
            panic = panic_text(panic.as_ref()),
            "the callflow executor panicked"
        );
        call.hangup(Cause::NORMAL_TEMPORARY_FAILURE);
    }
}

async fn run_to_end(call: CallHandle, document: Arc<Value>) {
    let facts = call.facts();
    let flow = Tree::Document(Arc::clone(&document));
    // The preflow runs first; the matched flow waits on the stack, as behind a `callflow` node.
    let cursor = match routing::preflow(&facts.account) {
        Some((_, before)) => Cursor::new(Tree::Document(Arc::clone(before)), [flow]),
        None => Cursor::new(flow, []),
    };
    let mut ctx = FlowCtx { call, cursor };
    let captured = ctx.call.vars().capture_group.clone();
    let number = captured.as_deref().unwrap_or(&facts.request_user);
    if routing::classify(number) == routing::EMERGENCY {
        tracing::warn!(call = ?ctx.call, number, account = %facts.account.id, "a call to an emergency number");
        ctx.note("a call to an emergency number");
    }
    let restriction = routing::restriction(
        &facts.account,
        &facts.authorizing_id,
        facts.owner_id.as_deref(),
        &facts.request_user,
        captured.as_deref(),
        document.get("flow"),
    );
    if let Some(restriction) = restriction {
        ctx.note(format!(
            "the caller may not have this call: {restriction:?}"
        ));
        let values = vec![("detail", format!("{restriction:?}").to_lowercase())];
        ctx.call.trouble(Code::CallRestricted, values);
        return refuse(&ctx).await;
    }
    ctx.call.record_automatically();
    // A call from outside hears ringing while its flow starts.
    if facts.inception.is_some() && ctx.call.ring().is_err() {
        return;
    }
    let end = walk(&mut ctx).await;
    finish(&ctx, end).await;
}

/// Goes on at `cursor` with a call that takes another one's place there. Never panics.
async fn resume(call: CallHandle, cursor: Cursor) {
    let rest = async {
        let mut ctx = FlowCtx {
            call: call.clone(),
            cursor,
        };
        ctx.note("takes the place of another call in its flow");
        ctx.call.record_automatically();
        let end = walk(&mut ctx).await;
        finish(&ctx, end).await;
    };
    if let Err(panic) = Box::pin(AssertUnwindSafe(rest)).catch_unwind().await {
        tracing::error!(
            ?call,
            panic = panic_text(panic.as_ref()),
            "the callflow executor panicked"
        );
        call.hangup(Cause::NORMAL_TEMPORARY_FAILURE);
    }
}

async fn walk(ctx: &mut FlowCtx) -> End {
    loop {
        if ctx.call.ended().is_some() {
            return End::HardStop;
        }
        let mut why = None;
        let next = match prepare(ctx) {
            Err(end) => return end,
            Ok((Prepared::Skip, _)) => Next::Default,
            Ok((Prepared::Wrong(error), _)) => {
                why = Some(error.to_string());
                failed(ctx, &error)
            }
            Ok((Prepared::Run(module, task), path)) => {
                let span = tracing::debug_span!("flow", module, node = path);
                match guarded(task.run(ctx).instrument(span)).await {
                    Ok(next) => next,
                    Err(error) => {
                        why = Some(error.to_string());
                        failed(ctx, &error)
                    }
                }
            }
        };
        leave(ctx, &next, why);
        if let Err(end) = ctx.cursor.advance(next) {
            return end;
        }
        // Nodes that never wait must not hold up other calls.
        if ctx.cursor.nodes().is_multiple_of(YIELD_EVERY) {
            tokio::task::yield_now().await;
        }
    }
}

/// A module's future; its panic is its failure.
async fn guarded(
    running: impl Future<Output = Result<Next, FlowError>>,
) -> Result<Next, FlowError> {
    AssertUnwindSafe(running)
        .catch_unwind()
        .await
        .unwrap_or_else(|panic| {
            let message = panic_text(panic.as_ref()).to_owned();
            tracing::error!(message, "a module panicked");
            Err(FlowError::Crashed { message })
        })
}

enum Prepared {
    Run(&'static str, Box<dyn modules::Task>),
    Skip,
    Wrong(FlowError),
}

/// Reads the current node and writes it into the trace, with its place in the tree.
fn prepare(ctx: &mut FlowCtx) -> Result<(Prepared, String), End> {
    let node = ctx.cursor.enter()?;
    let name = node
        .get("module")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let module = name.to_owned();
    let empty = Value::Object(serde_json::Map::new());
    let data = node.get("data").unwrap_or(&empty);
    let prepared = match modules::find(name) {
        _ if data.get("skip_module") == Some(&Value::Bool(true)) => Prepared::Skip,
        Some(entry) => match (entry.decode)(data) {
            Ok(task) => Prepared::Run(entry.name, task),
            Err(error) => Prepared::Wrong(error.into()),
        },
        None => Prepared::Wrong(FlowError::NotBuilt {
            module: module.clone(),
        }),
    };
    let given = data.clone();
    let here = ctx.cursor.clone();
    ctx.call.stands_at(Rc::new(move |call| {
        resume(call, here.clone()).boxed_local()
    }));
    let path = ctx.cursor.path();
    ctx.call.note(|call_id, at| Fact::Node {
        call_id,
        at,
        module,
        path: path.clone(),
    });
    ctx.call.detail(Detail::NodeData { data: given });
    Ok((prepared, path))
}

/// Writes into the trace where a node leads. `why` is what went wrong in it.
fn leave(ctx: &FlowCtx, next: &Next, why: Option<String>) {
    let default = || ctx.has_child(DEFAULT).then(|| DEFAULT.to_owned());
    let (chosen, usual) = match next {
        Next::Default => (default(), "the module is done"),
        Next::Failed => (default(), "the module failed"),
        Next::Child(key) if ctx.has_child(key) => (Some(key.clone()), "the module chose it"),
        Next::Child(_) => (default(), "the module chose a child that is not there"),
        Next::Branch(_) => (None, "goes on in another flow, and comes back"),
        Next::Replace(_) => (None, "another flow takes its place"),
        Next::Stop(_) => (None, "this flow stops here"),
        Next::HardStop => (None, "the module ended the flow"),
        Next::Usurped => (None, "the call is somebody else's now"),
    };
    let missing = match next {
        Next::Child(key) if !ctx.has_child(key) => Some(format!("there is no child {key:?}")),
        _ => None,
    };
    let failed = why.is_some() && ctx.call.ended().is_none();
    let why = why.or(missing).unwrap_or_else(|| usual.to_owned());
    ctx.call.detail(Detail::NodeLeft {
        chosen,
        why,
        failed,
    });
}

/// Where a failed module leads, written into the trace.
fn failed(ctx: &FlowCtx, error: &FlowError) -> Next {
    if !error.is_hangup() {
        if let FlowError::NotBuilt { module } = error
            && modules::known(module) == Known::NotBuilt
        {
            metrics::counter!("swivel_callflow_not_built_total", "module" => module.clone())
                .increment(1);
        }
        ctx.note(format!("the module failed: {error}"));
        if let Some((code, values)) = error.cause() {
            ctx.call.trouble(code, values);
        }
    }
    error.next()
}

/// Ends the call as the flow ended.
async fn finish(ctx: &FlowCtx, end: End) {
    // A flow that a transfer has started and that has refused the call already goes no further than here: the call is
    // the transferor's again, and not for it to end.
    tokio::task::yield_now().await;
    match end {
        End::Done {
            cause: Some(cause), ..
        } => ctx.call.hangup(cause),
        End::Done { cause: None, named } => match named.as_deref().and_then(response_of) {
            Some(response) => respond(ctx, response).await,
            None => ctx.call.hangup(Cause::NORMAL_CLEARING),
        },
        End::HardStop => ctx.call.hangup(Cause::NORMAL_CLEARING),
        End::Usurped => {}
        End::Failed => fault(ctx).await,
        End::Limit(what) => {
            ctx.note(format!("the flow was ended: too many {what}"));
            ctx.call
                .trouble(Code::CallflowLoop, vec![("detail", what.to_string())]);
            fault(ctx).await;
        }
    }
}

/// The caller may not have this call: answer, say so, hang up. A call that a transfer sent here was answered before and
/// goes back to the transferor.
async fn refuse(ctx: &FlowCtx) {
    if ctx.call.answered() || ctx.call.answer().await.is_ok() {
        hear(ctx, "prompt", "cf-unauthorized_call").await;
    }
    ctx.call.reject(403, "", Cause::NORMAL_CLEARING);
}

/// Nothing is left to run after a failure: the caller hears so, as early media when unanswered, and is cleared.
async fn fault(ctx: &FlowCtx) {
    hear(ctx, "prompt", FAULT_PROMPT).await;
    ctx.call.reject(
        480,
        "Temporarily Unavailable",
        Cause::NORMAL_TEMPORARY_FAILURE,
    );
}

/// Refuses the call with KAZOO's default response to a cause, or hangs up where it has none.
pub(super) async fn refuse_for(ctx: &FlowCtx, cause: Cause) {
    match response_of(cause.name) {
        Some(response) => respond(ctx, response).await,
        None => ctx.call.hangup(cause),
    }
}

async fn respond(ctx: &FlowCtx, response: &Response) {
    if let Some(media) = response.media {
        hear(
            ctx,
            if media.contains("://") {
                "media"
            } else {
                "prompt"
            },
            media,
        )
        .await;
    }
    let cause = Cause::named(response.cause).unwrap_or(Cause::NORMAL_CLEARING);
    match response.code {
        Some(code) => ctx.call.reject(code, response.message, cause),
        None => ctx.call.hangup(cause),
    }
}

/// Plays a prompt or medium, a tone in its place when it cannot be had, and gives up after a while.
async fn hear(ctx: &FlowCtx, kind: &str, id: &str) {
    let wanted = async {
        let audio = if kind == "prompt" {
            ctx.prompt(id, None).await
        } else {
            ctx.media(id).await
        }?;
        Ok::<_, FlowError>(ctx.call.play(vec![audio], PlayOptions::default()).await?)
    };
    let heard = tokio::time::timeout(HEAR_AT_MOST, wanted).await;
    if let Ok(Err(error)) = heard
        && !error.is_hangup()
    {
        ctx.note(format!("{id} cannot be played: {error}"));
        ctx.cannot_play(&error);
        // Made on the spot: it needs neither voice nor network.
        let tone = ctx.call.play(reorder_tone(), PlayOptions::default());
        if let Ok(Err(error)) = tokio::time::timeout(HEAR_AT_MOST, tone).await {
            tracing::debug!(call = ?ctx.call, %error, "not even a tone");
        }
    }
}

/// The fast busy signal, three seconds of it.
fn reorder_tone() -> Vec<Audio> {
    let pcm = tone(&[Whole(480), Whole(620)], Whole(250), Whole(250), TONE_DB).render(RATE_HZ);
    let clip = Arc::new(Clip::new(RATE_HZ, pcm));
    (0..6).map(|_| Audio::Clip(Arc::clone(&clip))).collect()
}

/// What a caller gets when a flow ends on the name of a cause (KAZOO's `call_response` defaults).
struct Response {
    cause: &'static str,
    code: Option<u16>,
    message: &'static str,
    media: Option<&'static str>,
}

fn response_of(name: &str) -> Option<&'static Response> {
    RESPONSES.iter().find(|response| response.cause == name)
}

const fn r(
    cause: &'static str,
    code: u16,
    message: &'static str,
    media: Option<&'static str>,
) -> Response {
    Response {
        cause,
        code: Some(code),
        message,
        media,
    }
}

const FAULT_PROMPT: &str = "fault-can_not_be_completed_at_this_time";
const DIALED: Option<&str> = Some("fault-can_not_be_completed_as_dialed");
const TROUBLE: Option<&str> = Some("fault-facility_trouble");
const BUSY_TONE: Option<&str> = Some("tone_stream://%(500,500,480,620);loops=25");
const FAST_TONE: Option<&str> = Some("tone_stream://%(250,250,480,620);loops=25");
/// Rate of tones made here.
const RATE_HZ: u32 = 8_000;
const HEAR_AT_MOST: Duration = Duration::from_secs(30);
const YIELD_EVERY: u32 = 32;

const RESPONSES: &[Response] = &[
    r("UNALLOCATED_NUMBER", 404, "No route to destination", DIALED),
    r(
        "NO_ROUTE_DESTINATION",
        404,
        "No route to destination",
        DIALED,
    ),
    r("NO_ROUTE_TRANSIT_NET", 404, "No route to destination", None),
    Response {
        cause: "NORMAL_CLEARING",
        code: None,
        message: "",
        media: BUSY_TONE,
    },
    r("USER_BUSY", 486, "Number busy", BUSY_TONE),
    r("NO_USER_RESPONSE", 408, "No response", FAST_TONE),
    r("NO_ANSWER", 480, "No answer", None),
    r("SUBSCRIBER_ABSENT", 480, "No answer", None),
    r("CALL_REJECTED", 603, "Call rejected", FAST_TONE),
    r("NUMBER_CHANGED", 410, "Number changed", None),
    r(
        "REDIRECTION_TO_NEW_DESTINATION",
        410,
        "Number changed",
        None,
    ),
    r("EXCHANGE_ROUTING_ERROR", 483, "Routing error", TROUBLE),
    r("DESTINATION_OUT_OF_ORDER", 502, "Out of order", DIALED),
    r("INVALID_NUMBER_FORMAT", 484, "Invalid number", DIALED),
    r("FACILITY_REJECTED", 510, "Facility rejected", None),
    r("NORMAL_UNSPECIFIED", 480, "", None),
    r("NORMAL_CIRCUIT_CONGESTION", 503, "Congestion", None),
    r("NETWORK_OUT_OF_ORDER", 503, "Network out of order", None),
    r("SWITCH_CONGESTION", 503, "Congestion", None),
    r("REQUESTED_CHAN_UNAVAIL", 503, "Unavailable", None),
    r(
        "NORMAL_TEMPORARY_FAILURE",
        503,
        "Temporary failure",
        Some(FAULT_PROMPT),
    ),
    r("OUTGOING_CALL_BARRED", 403, "Call barred", None),
    r("INCOMING_CALL_BARRED", 403, "Call barred", None),
    r("BEARERCAPABILITY_NOTAUTH", 403, "Not authorised", None),
    r("BEARERCAPABILITY_NOTAVAIL", 403, "Not available", None),
    r("BEARERCAPABILITY_NOTIMPL", 488, "Not implemented", None),
    r("UNKNOWN", 500, "", None),
    r("FACILITY_NOT_IMPLEMENTED", 501, "Not implemented", None),
    r("SERVICE_NOT_IMPLEMENTED", 501, "Not implemented", TROUBLE),
    r("INCOMPATIBLE_DESTINATION", 488, "Incompatible", TROUBLE),
    r("MANDATORY_IE_MISSING", 400, "", TROUBLE),
    r("MANDATORY_IE_LENGTH_ERROR", 400, "", TROUBLE),
    r("RECOVERY_ON_TIMER_EXPIRE", 504, "Timed out", FAST_TONE),
    r("MEDIA_TIMEOUT", 504, "Timed out", FAST_TONE),
    r("ORIGINATOR_CANCEL", 487, "Cancelled", None),
    r("PROGRESS_TIMEOUT", 486, "", Some(FAULT_PROMPT)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_a_module_is_its_failure_and_leads_to_the_default_child() {
        let crash = guarded(async { panic!("oops") });
        let error = crash.now_or_never().unwrap().unwrap_err();
        assert_eq!(error.to_string(), "the module crashed: oops");
        assert!(matches!(error.next(), Next::Failed));
    }

    #[test]
    fn every_prompt_our_modules_play_is_in_the_english_catalogue() {
        let catalogue: Value =
            serde_json::from_str(include_str!("../../media/prompts/en-us/prompts.json")).unwrap();
        let sources = [
            include_str!("exec.rs"),
            include_str!("greeting.rs"),
            include_str!("modules/menu.rs"),
            include_str!("modules/call_forward.rs"),
            include_str!("modules/call_pickup.rs"),
            include_str!("modules/call_waiting.rs"),
            include_str!("modules/do_not_disturb.rs"),
            include_str!("modules/dynamic_cid.rs"),
            include_str!("modules/group_pickup.rs"),
            include_str!("modules/hotdesk.rs"),
            include_str!("modules/intercept.rs"),
            include_str!("modules/ring_group_toggle.rs"),
            include_str!("modules/temporal_route.rs"),
        ];
        let mut found = 0;
        for id in sources.iter().flat_map(|source| source.split('"')) {
            let prefixes = [
                "agent-",
                "cf-",
                "cw-",
                "disa-",
                "dnd-",
                "dynamic-cid-",
                "fault-",
                "hotdesk-",
                "intercept-",
                "menu-",
                "pickup-",
                "temporal-",
                "vm-",
            ];
            let prefix = prefixes.iter().any(|prefix| id.starts_with(prefix));
            if prefix
                && id.len() > 6
                && !id.ends_with('-')
                && id
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || matches!(b, b'-' | b'_'))
            {
                assert!(catalogue[id].is_string(), "{id}");
                found += 1;
            }
        }
        assert!(found > 40, "{found}");
    }

    #[test]
    fn every_cause_is_listed_once() {
        for (n, response) in RESPONSES.iter().enumerate() {
            assert!(
                RESPONSES[..n]
                    .iter()
                    .all(|other| other.cause != response.cause),
                "{}",
                response.cause
            );
        }
    }

    #[test]
    fn busy_is_486_with_a_tone_and_an_ordinary_child_name_is_nothing() {
        let busy = response_of("USER_BUSY").unwrap();
        assert_eq!((busy.code, busy.message), (Some(486), "Number busy"));
        assert!(response_of("nomatch").is_none());
    }
}
