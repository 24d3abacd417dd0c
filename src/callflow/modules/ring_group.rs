//! `ring_group`: rings several devices, users and groups.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `endpoints` | `{id, endpoint_type, delay, timeout, weight, disable_until}` each | required, unless `group_id` |
//! | `group_id` | a group document in their place (KAZOO 5) | none |
//! | `strategy` | `simultaneous`, `single`, `weighted_random` | `simultaneous` |
//! | `timeout` | the whole attempt, in seconds | 20 |
//! | `repeats` | attempts | 1 |
//! | `ringback` | what the caller hears meanwhile | his phone's own tone |
//! | `ringtones` | Alert-Info for calls from `internal` and `external` | the devices' |
//! | `ignore_early_media` | what phones send before they answer is not heard | true |
//! | `fail_on_single_reject` | the first that refuses ends it | false |
//!
//! Children as `user`; a failure with a child of its own ends the repetition.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Module;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::data::Whole;
use crate::callflow::error::FlowError;
use crate::callflow::ring::{Outcome, Ring};
use crate::routing::endpoints::{self, GroupStrategy, Member, NotRung, Options};

/// Rings several devices, users and groups
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("oneOf" = [{"required": ["endpoints"]}, {"required": ["group_id"]}]))]
pub(super) struct RingGroup {
    /// Whom to ring
    #[schemars(length(min = 1))]
    endpoints: Option<Vec<Endpoint>>,
    /// A group document in their place
    #[schemars(length(min = 1, max = 128))]
    group_id: Option<String>,
    /// Name of that group, for people
    group_name: Option<String>,
    /// All at once, one after the other, or one after the other in a random order
    strategy: Strategy,
    /// How long to ring, in seconds
    timeout: Whole,
    /// How often to ring
    #[schemars(range(min = 1))]
    repeats: Whole,
    /// What the caller hears meanwhile
    ringback: Option<String>,
    /// Alert-Info by where the call comes from
    ringtones: Option<Ringtones>,
    /// Redirections of phones are not followed
    ignore_forward: bool,
    /// What phones send before they answer is not heard
    ignore_early_media: Option<bool>,
    /// The first that refuses ends it
    fail_on_single_reject: Option<bool>,
    /// The flow ends when somebody has answered, whatever waits
    hard_stop_after_successful_group: Option<bool>,
    /// Kept for KAZOO's sake: shared lines
    sca: Option<Sca>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct Endpoint {
    /// Id of the device, user or group
    #[schemars(length(min = 1, max = 128))]
    id: String,
    /// What it is
    endpoint_type: Kind,
    /// How long after the others it starts, in seconds
    #[serde(default)]
    delay: Whole,
    /// How long it rings, in seconds
    #[serde(default = "usual")]
    timeout: Whole,
    /// Weight for the random order
    #[schemars(range(min = 1, max = 100))]
    weight: Option<Whole>,
    /// Logged out until then, in Gregorian seconds
    #[serde(default)]
    #[schemars(schema_with = "anything")]
    disable_until: Option<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Device,
    User,
    Group,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Strategy {
    #[default]
    Simultaneous,
    Single,
    WeightedRandom,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Ringtones {
    /// For calls from outside
    external: Option<String>,
    /// For calls from inside
    internal: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Sca {
    /// Whether the line is shared
    enabled: Option<bool>,
}

fn usual() -> Whole {
    Whole(20)
}

fn anything(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"description": "Logged out until then, in Gregorian seconds"})
}

impl Default for RingGroup {
    fn default() -> Self {
        Self {
            endpoints: None,
            group_id: None,
            group_name: None,
            strategy: Strategy::default(),
            timeout: usual(),
            repeats: Whole(1),
            ringback: None,
            ringtones: None,
            ignore_forward: true,
            ignore_early_media: None,
            fail_on_single_reject: None,
            hard_stop_after_successful_group: None,
            sca: None,
        }
    }
}

/// What a group rings with, wherever its members come from.
pub(super) struct Group {
    pub(super) members: Vec<Member>,
    pub(super) strategy: Strategy,
    pub(super) timeout: Whole,
    pub(super) repeats: u32,
    pub(super) ringback: Option<String>,
    pub(super) ringtones: Option<Ringtones>,
    pub(super) ignore_early_media: bool,
    pub(super) fail_on_single_reject: bool,
}

impl Module for RingGroup {
    const NAME: &'static str = "ring_group";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        let members = match (self.endpoints, self.group_id) {
            (Some(endpoints), _) => endpoints.iter().map(Endpoint::member).collect(),
            (None, Some(id)) => endpoints::members_of(&ctx.account_now(), &id).unwrap_or_default(),
            (None, None) => Vec::new(),
        };
        let group = Group {
            members,
            strategy: self.strategy,
            timeout: self.timeout,
            repeats: self.repeats.count(1, MOST_REPEATS),
            ringback: self.ringback,
            ringtones: self.ringtones,
            ignore_early_media: self.ignore_early_media.unwrap_or(true),
            fail_on_single_reject: self.fail_on_single_reject == Some(true),
        };
        let hard = self.hard_stop_after_successful_group == Some(true);
        Ok(match ring(ctx, group).await? {
            Next::Stop(None) if hard => Next::HardStop,
            next => next,
        })
    }
}

/// Rings a group, as often as it wants to be.
pub(super) async fn ring(ctx: &FlowCtx, group: Group) -> Result<Next, FlowError> {
    let from_outside = ctx.call.facts().inception.is_some();
    let tones = group.ringtones.unwrap_or_default();
    let options = Options {
        ringtone: if from_outside {
            tones.external
        } else {
            tones.internal
        }
        .filter(|tone| !tone.is_empty()),
        grouped: true,
        ..Options::default()
    };
    let strategy = match group.strategy {
        Strategy::Simultaneous => GroupStrategy::Simultaneous,
        Strategy::Single => GroupStrategy::Single,
        Strategy::WeightedRandom => GroupStrategy::WeightedRandom,
    };
    let how = Ring {
        single: strategy != GroupStrategy::Simultaneous,
        timeout: Some(group.timeout),
        ringback: group.ringback,
        ignore_early_media: group.ignore_early_media,
        fail_on_single_reject: group.fail_on_single_reject,
        ..Ring::default()
    };
    let mut last = Next::Child(NotRung::NoEndpoints.key().to_owned());
    for _ in 0..group.repeats {
        let mut rng = ctx.call.rng();
        // Made anew each time: somebody may have logged in or out meanwhile.
        let found = ctx.endpoints(&options, |ringing| {
            endpoints::of_members(ringing, &group.members, strategy, &mut rng)
        });
        let found = match found {
            Ok(found) => found,
            Err(why) => {
                ctx.note(format!("nobody of the group can be rung: {}", why.key()));
                return Ok(Next::Child(NotRung::NoEndpoints.key().to_owned()));
            }
        };
        let outcome = ctx.ring(&how, found).await?;
        last = ctx.after(outcome);
        match outcome {
            Outcome::Failed { cause, status } if ctx.branch_of(cause, status).is_none() => {}
            Outcome::Failed { .. } | Outcome::Talked | Outcome::Moved => return Ok(last),
        }
    }
    Ok(last)
}

impl Endpoint {
    fn member(&self) -> Member {
        let until = self.disable_until.as_ref();
        let count = |whole: Whole| u64::from(whole.count(0, u32::MAX));
        Member {
            id: self.id.clone(),
            kind: match self.endpoint_type {
                Kind::Device => "device",
                Kind::User => "user",
                Kind::Group => "group",
            }
            .to_owned(),
            delay: Some(count(self.delay)),
            timeout: Some(count(self.timeout)),
            weight: self.weight.map(count),
            disable_until: until.and_then(Value::as_u64).unwrap_or(0),
        }
    }
}

/// Attempts one node makes.
const MOST_REPEATS: u32 = 100;
