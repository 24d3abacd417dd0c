//! `temporal_route`: branches on the time of day, week and year; or switches rules by telephone.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `rules` | ids of rules or sets of rules, in order | none |
//! | `rule_set` | a set; reported as the child `rule_set` | none |
//! | `timezone` | time zone; `inherit` is the account's | the account's |
//! | `action` | `menu`, `enable`, `disable`, `reset`: switch `rules` instead of branching | none |
//! | `interdigit_timeout` | ms between digits of the menu | 2000 |
//!
//! Candidates: `rules`, the children's own names, the members of `rule_set`. The first that holds names the child;
//! none, or no such child: `_`.

use std::time::Duration;

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Module;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::{DEFAULT, Next};
use crate::callflow::data::Whole;
use crate::callflow::error::FlowError;
use crate::directory::{Account, Kind};
use crate::host::clock;
use crate::routing::temporal::TemporalRule;

/// Branches on the time
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct TemporalRoute {
    /// Ids of rules, or of sets of rules
    rules: Vec<String>,
    /// Id of a set of rules
    rule_set: Option<String>,
    /// Name of the time zone
    timezone: Option<String>,
    /// Switch the rules instead of branching
    action: Option<Action>,
    /// Longest wait for each further digit, in milliseconds
    interdigit_timeout: Option<Whole>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Action {
    Menu,
    Enable,
    Disable,
    Reset,
}

impl Module for TemporalRoute {
    const NAME: &'static str = "temporal_route";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        match self.action {
            None => {
                let account = ctx.account_now();
                let children = ctx.child_keys();
                let now = clock::unix_now().timestamp().to_zoned(self.zone(&account));
                let candidates = self.candidates(&account, &children);
                let holds = |rule: &TemporalRule| rule.holds(&now);
                let found = candidates.into_iter().find(|(_, rule)| holds(rule));
                Ok(found.map_or(Next::Default, |(child, _)| Next::Child(child)))
            }
            Some(action) => {
                ctx.call.answer().await?;
                let action = if action == Action::Menu {
                    menu(ctx).await?
                } else {
                    Some(action)
                };
                if let Some(action) = action {
                    switch(ctx, &self.rules, action).await?;
                }
                Ok(Next::Default)
            }
        }
    }
}

impl TemporalRoute {
    fn zone(&self, account: &Account) -> TimeZone {
        let own = self
            .timezone
            .as_deref()
            .filter(|name| !name.is_empty() && *name != "inherit");
        let of_account = account.doc.get("timezone").and_then(Value::as_str);
        let mut names = [own, of_account].into_iter().flatten();
        names
            .find_map(|name| TimeZone::get(name).ok())
            .unwrap_or(TimeZone::UTC)
    }

    /// Rules with the child each leads to, in the order they are tried.
    fn candidates(&self, account: &Account, children: &[String]) -> Vec<(String, TemporalRule)> {
        let mut all = Vec::new();
        let children = children.iter().filter(|key| *key != DEFAULT);
        for id in self.rules.iter().chain(children) {
            all.extend(
                rules_of(account, id)
                    .into_iter()
                    .map(|rule| (id.clone(), rule)),
            );
        }
        let set = self.rule_set.as_deref().unwrap_or_default();
        all.extend(
            rules_of(account, set)
                .into_iter()
                .map(|rule| ("rule_set".to_owned(), rule)),
        );
        all
    }
}

/// The rule of that id, or the rules of the set of that id.
fn rules_of(account: &Account, id: &str) -> Vec<TemporalRule> {
    let rule = |id: &str| TemporalRule::read(account.temporal_rules.get(id)?);
    match account.temporal_rule_sets.get(id) {
        Some(set) => {
            let ids = set.get("temporal_rules").and_then(Value::as_array);
            ids.into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .filter_map(rule)
                .collect()
        }
        None => rule(id).into_iter().collect(),
    }
}

/// 1 switches on, 2 off, 3 back to the schedule.
async fn menu(ctx: &FlowCtx) -> Result<Option<Action>, FlowError> {
    for _ in 0..ROUNDS {
        match ctx.ask("temporal-menu", 1, FIRST_KEY).await?.as_str() {
            "1" => return Ok(Some(Action::Enable)),
            "2" => return Ok(Some(Action::Disable)),
            "3" => return Ok(Some(Action::Reset)),
            "" => return Ok(None),
            _ => {}
        }
    }
    Ok(None)
}

async fn switch(ctx: &FlowCtx, rules: &[String], action: Action) -> Result<(), FlowError> {
    let account = ctx.account_now();
    let mut ids: Vec<&str> = Vec::new();
    for id in rules {
        match account
            .temporal_rule_sets
            .get(id)
            .and_then(|set| set.get("temporal_rules")?.as_array())
        {
            Some(members) => ids.extend(members.iter().filter_map(Value::as_str)),
            None => ids.push(id),
        }
    }
    for id in ids
        .into_iter()
        .filter(|id| account.temporal_rules.contains_key(*id))
    {
        ctx.change(Kind::TemporalRule, id, |doc| match action {
            Action::Enable => drop(doc.insert("enabled".to_owned(), json!(true))),
            Action::Disable => drop(doc.insert("enabled".to_owned(), json!(false))),
            Action::Reset | Action::Menu => drop(doc.remove("enabled")),
        })
        .await?;
    }
    ctx.say_prompt(match action {
        Action::Enable => "temporal-marked_enabled",
        Action::Disable => "temporal-marked_disabled",
        Action::Reset | Action::Menu => "temporal-marker_reset",
    })
    .await
}

/// Rounds of the menu.
const ROUNDS: u32 = 10;
/// Wait for a choice.
const FIRST_KEY: Duration = Duration::from_millis(5_000);
