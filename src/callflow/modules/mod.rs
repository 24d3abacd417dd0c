//! The callflow modules, one file each, and the names of those that are not built yet.

use futures_util::future::{FutureExt as _, LocalBoxFuture};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::ctx::FlowCtx;
use super::cursor::Next;
use super::error::FlowError;
use super::schema;

/// One kind of callflow node. The struct is the node's `data`, and its schema.
pub(super) trait Module: DeserializeOwned + JsonSchema + 'static {
    /// KAZOO's name of the module.
    const NAME: &'static str;

    /// Does the node's work and says where to go.
    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError>;
}

/// A node's data, decoded and ready to run.
pub(super) trait Task {
    /// Runs it.
    fn run<'a>(
        self: Box<Self>,
        ctx: &'a mut FlowCtx,
    ) -> LocalBoxFuture<'a, Result<Next, FlowError>>;
}

impl<M: Module> Task for M {
    fn run<'a>(
        self: Box<Self>,
        ctx: &'a mut FlowCtx,
    ) -> LocalBoxFuture<'a, Result<Next, FlowError>> {
        async move { M::run(*self, ctx).await }.boxed_local()
    }
}

/// A module in the list.
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) schema: fn() -> Value,
    pub(super) decode: fn(&Value) -> Result<Box<dyn Task>, serde_json::Error>,
}

impl Entry {
    const fn of<M: Module>() -> Self {
        Self {
            name: M::NAME,
            schema: schema_of::<M>,
            decode: decode::<M>,
        }
    }
}

fn schema_of<M: Module>() -> Value {
    schema::of_module::<M>(M::NAME)
}

/// Reads a node's data. A key that is `null` counts as missing.
fn decode<M: Module>(data: &Value) -> Result<Box<dyn Task>, serde_json::Error> {
    let module = match data {
        Value::Object(object) if object.values().any(Value::is_null) => {
            let given = object.iter().filter(|(_, value)| !value.is_null());
            M::deserialize(Value::Object(
                given
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect(),
            ))?
        }
        other => M::deserialize(other)?,
    };
    Ok(Box::new(module))
}

/// Whether a module can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// It is in the list.
    Built,
    /// KAZOO has it, we do not yet.
    NotBuilt,
    /// Nobody has it.
    Unknown,
}

/// The module of that name.
pub(super) fn find(name: &str) -> Option<&'static Entry> {
    ALL.iter().find(|entry| entry.name == name)
}

/// What is known of a module name.
pub(super) fn known(name: &str) -> Known {
    if find(name).is_some() {
        Known::Built
    } else if NOT_BUILT.contains(&name) {
        Known::NotBuilt
    } else {
        Known::Unknown
    }
}

macro_rules! modules {
    ($($file:ident :: $module:ident),* $(,)?) => {
        $(mod $file;)*

        /// Every module that is built.
        pub(super) static ALL: &[Entry] = &[$(Entry::of::<$file::$module>()),*];
    };
}

/// KAZOO's other modules: accepted in documents, passed over by calls.
const NOT_BUILT: &[&str] = &[
    "acdc_agent",
    "acdc_member",
    "acdc_queue",
    "acdc_wait_time",
    "camping_feature",
    "detect_speech",
    "directory",
    "disa",
    "doorman",
    "eavesdrop",
    "eavesdrop_feature",
    "edr",
    "fax_detect",
    "faxbox",
    "function",
    "group_pickup_feature",
    "intercept_feature",
    "intercom",
    "lookupcidname",
    "manual_presence",
    "missed_call_alert",
    "move",
    "nomorobo",
    "notification",
    "page_group",
    "park",
    "receive_fax",
    "route_to_cid",
    "set",
    "skel",
    "voicemail",
    "webhook",
];

modules! {
    after_bridge::AfterBridge,
    answer::Answer,
    audio_macro::AudioMacro,
    branch_bnumber::BranchBnumber,
    branch_variable::BranchVariable,
    call_forward::CallForward,
    call_pickup::CallPickup,
    call_waiting::CallWaiting,
    callflow::Callflow,
    check_cid::CheckCid,
    cidlistmatch::CidListMatch,
    collect_dtmf::CollectDtmf,
    conference::Conference,
    conference_feature::ConferenceFeature,
    dead_air::DeadAir,
    device::Device,
    do_not_disturb::DoNotDisturb,
    dynamic_cid::DynamicCid,
    flush_dtmf::FlushDtmf,
    group::Group,
    group_pickup::GroupPickup,
    hangup::Hangup,
    hotdesk::Hotdesk,
    intercept::Intercept,
    language::Language,
    menu::Menu,
    noop::Noop,
    offnet::Offnet,
    pivot::Pivot,
    play::Play,
    prepend_cid::PrependCid,
    privacy::Privacy,
    record_call::RecordCall,
    record_caller::RecordCaller,
    resources::Resources,
    response::Response,
    ring_group::RingGroup,
    ring_group_toggle::RingGroupToggle,
    send_dtmf::SendDtmf,
    set_alert_info::SetAlertInfo,
    set_cid::SetCid,
    set_variable::SetVariable,
    set_variables::SetVariables,
    sleep::Sleep,
    temporal_route::TemporalRoute,
    tones::Tones,
    transfer::Transfer,
    tts::Tts,
    user::User,
    wait_for_hangup::WaitForHangup,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_name_is_both_built_and_not() {
        for name in NOT_BUILT {
            assert!(find(name).is_none(), "{name}");
            assert_eq!(known(name), Known::NotBuilt);
        }
        // KAZOO 4 has 78 modules, KAZOO 5 adds 4 (callflow.md §4.0).
        assert_eq!(ALL.len() + NOT_BUILT.len(), 82);
        assert_eq!(known("set_cav"), Known::Unknown);
    }

    #[test]
    fn null_counts_as_missing() {
        assert!((find("sleep").unwrap().decode)(&json!({"duration": null, "unit": "ms"})).is_ok());
        assert!((find("sleep").unwrap().decode)(&json!({"duration": "soon"})).is_err());
    }
}
