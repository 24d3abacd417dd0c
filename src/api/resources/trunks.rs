//! `/resources` (`api.md` §3.6): carriers.

use serde_json::{Map, Value, json};

use super::{ITEM, NONE, READ, Resource, admin, document_verbs};
use crate::api::trunk_test;
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::documents::{self, Documents, Draft, Mode, Write};
use crate::api::error::ApiError;
use crate::api::list;
use crate::api::verb::Verb;
use crate::base::id::is_safe_name;
use crate::directory::numbers::compile;
use crate::directory::{Kind, network, private};

pub(in crate::api) const RESOURCE: Resource =
    Resource::new("resources", verbs, |call| Box::pin(answer(call)));

/// The kind.
pub(in crate::api) const TRUNKS: Documents = Documents {
    check,
    ..Documents::plain(Kind::Trunk, "resource", "resources", row)
};

fn verbs(args: &[&str]) -> &'static [Verb] {
    match args {
        ["collection"] => &[Verb::Put, Verb::Post],
        ["status"] => READ,
        [_, "test"] => &[Verb::Post],
        [_] => ITEM,
        [_, ..] => NONE,
        [] => document_verbs(args),
    }
}

async fn answer(call: &Call) -> Result<Answer, ApiError> {
    if call.verb.writes() {
        admin(call)?;
    }
    match call.args().as_slice() {
        ["collection"] => collection(call).await,
        // How the gateways stand.
        ["status"] => {
            let rows = match call.api.channels() {
                Some(channels) => channels.gateways(&call.account()?.id).await,
                None => Vec::new(),
            };
            Ok(Answer::ok(rows.into_iter().collect()))
        }
        [id, "test"] => trunk_test::answer(call, id).await,
        _ => documents::answer(&TRUNKS, call).await,
    }
}

fn row(id: &str, doc: &Value) -> Map<String, Value> {
    list::project(
        id,
        doc,
        &[
            "name",
            "enabled",
            "weight_cost",
            "template_name",
            "classifiers",
        ],
    )
}

/// Several documents at once: what became of each is said by id, or by its place in the list.
async fn collection(call: &Call) -> Result<Answer, ApiError> {
    let items = call
        .data
        .as_array()
        .ok_or_else(|| ApiError::field("data", "type", "data must be a list of resources"))?;
    let (mut success, mut errors) = (Map::new(), Map::new());
    for (n, item) in items.iter().enumerate() {
        let id = item
            .get("id")
            .and_then(Value::as_str)
            .filter(|id| is_safe_name(id))
            .map(str::to_owned);
        let mut fields = item.as_object().cloned().unwrap_or_default();
        fields.retain(|key, _| key != "id" && !private::is_private(key));
        let write = Write {
            account: &call.account()?.id,
            id: id.as_deref(),
            fields,
            private: Map::new(),
            mode: Mode::Replace,
            verb: call.verb,
            who: documents::who(call),
            if_match: None,
            skip_same: false,
        };
        match documents::save(&call.api, &TRUNKS, write).await {
            Ok(saved) => {
                let shown = documents::shown(&TRUNKS, call, &saved.id, &saved.doc, 200);
                success.insert(saved.id, shown.data);
            }
            Err(error @ ApiError::Store(_)) => return Err(error),
            Err(error) => drop(errors.insert(id.unwrap_or_else(|| n.to_string()), error.data())),
        }
    }
    let said = json!({"success": success, "errors": errors});
    Ok(match call.verb {
        Verb::Put => Answer::created(said),
        _ => Answer::ok(said),
    })
}

fn check(draft: &mut Draft<'_>) {
    let doc = Value::Object(draft.fields.clone());
    let mut patterns: Vec<(String, String)> = Vec::new();
    for key in ["rules", "cid_rules"] {
        let list = doc.get(key).and_then(Value::as_array).into_iter().flatten();
        patterns.extend(
            list.enumerate()
                .filter_map(|(n, p)| Some((format!("{key}.{n}"), p.as_str()?.to_owned()))),
        );
    }
    let objects = |key: &str| {
        doc.get(key)
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    };
    for (name, classifier) in objects("classifiers") {
        let regex = classifier.get("regex").and_then(Value::as_str);
        patterns.extend(regex.map(|regex| (format!("classifiers.{name}.regex"), regex.to_owned())));
    }
    for (field, rules) in objects("formatters") {
        let rules = match rules {
            Value::Array(rules) => rules,
            one => vec![one],
        };
        for (n, rule) in rules.iter().enumerate() {
            let regex = rule.get("regex").and_then(Value::as_str);
            patterns.extend(
                regex.map(|regex| (format!("formatters.{field}.{n}.regex"), regex.to_owned())),
            );
        }
    }
    for (path, pattern) in patterns {
        if let Err(reason) = compile(&pattern) {
            draft.find(
                &path,
                "pattern",
                format!("is not a regular expression: {reason}"),
                pattern,
            );
        }
    }
    let gateways = doc
        .get("gateways")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    for (n, gateway) in gateways.enumerate() {
        sources(draft, n, gateway);
        let has = |key: &str| {
            gateway
                .get(key)
                .and_then(Value::as_str)
                .is_some_and(|text| !text.is_empty())
        };
        if gateway.get("register").and_then(Value::as_bool) == Some(true)
            && !(has("username") && has("password"))
        {
            let message = "a gateway we register at needs a username and a password";
            draft.find(
                &format!("gateways.{n}.register"),
                "required",
                message,
                json!("username"),
            );
        }
    }
}

/// Where a gateway's calls come from: addresses or networks, never everywhere.
fn sources(draft: &mut Draft<'_>, n: usize, gateway: &Value) {
    let listed = gateway
        .get("inbound_ips")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    for (m, text) in listed.filter_map(Value::as_str).enumerate() {
        let path = format!("gateways.{n}.inbound_ips.{m}");
        match network(text) {
            None => draft.find(
                &path,
                "format",
                "is neither an address nor a network in CIDR form",
                json!(text),
            ),
            Some(net) if net.prefix_len() == 0 => {
                draft.find(&path, "disallow", "would let everybody in", json!(text))
            }
            Some(_) => {}
        }
    }
    let server = gateway
        .get("server")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let known = gateway.get("inbound_ip").is_some() || network(server).is_some();
    if gateway.get("peer").and_then(Value::as_bool) == Some(true) && !known {
        let message = "a peer needs an address: write it here or into inbound_ip";
        draft.find(
            &format!("gateways.{n}.server"),
            "required",
            message,
            json!(server),
        );
    }
}
