//! `/cdrs` (`api.md` §3.8): call records, read only; as JSON or CSV.

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use serde_json::{Map, Value, json};

use super::{NONE, READ, Resource};
use crate::api::answer::{Answer, Paging, Table};
use crate::api::call::Call;
use crate::api::csv;
use crate::api::error::ApiError;
use crate::api::list::{self, Filters, Wanted};
use crate::base::time::UnixMicros;
use crate::journal::{Cdr, Field, Journal, Sought, TimeRange};
use crate::store::StoreError;

pub(in crate::api) const RESOURCE: Resource = Resource::new(
    "cdrs",
    |args| match args {
        [] | [_] | ["legs", _] => READ,
        _ => NONE,
    },
    |call| Box::pin(answer(call)),
);

/// Columns of a row, in this order in CSV.
pub(in crate::api) const COLUMNS: &[&str] = &[
    "id",
    "call_id",
    "caller_id_number",
    "caller_id_name",
    "callee_id_number",
    "callee_id_name",
    "duration_seconds",
    "billing_seconds",
    "timestamp",
    "hangup_cause",
    "other_leg_call_id",
    "owner_id",
    "to",
    "from",
    "direction",
    "request",
    "authorizing_id",
    "cost",
    "dialed_number",
    "calling_from",
    "datetime",
    "unix_timestamp",
    "unix_timestamp_micro",
    "rfc_1036",
    "iso_8601",
    "iso_8601_combined",
    "call_type",
    "rate",
    "rate_name",
    "bridge_id",
    "recording_url",
    "media_recordings",
    "media_server",
    "call_priority",
    "interaction_id",
];

/// Columns with times in words.
const TIMES: &[&str] = &["datetime", "rfc_1036", "iso_8601", "iso_8601_combined"];

/// Filters the store has an index for.
const LOOKED_UP: &[(&str, Field)] = &[
    ("call_id", Field::CallId),
    ("interaction_id", Field::Interaction),
    ("caller_id_number", Field::Caller),
    ("callee_id_number", Field::Callee),
    ("owner_id", Field::Owner),
    ("custom_channel_vars.owner_id", Field::Owner),
    ("authorizing_id", Field::Endpoint),
    ("custom_channel_vars.authorizing_id", Field::Endpoint),
    ("hangup_cause", Field::Cause),
    ("direction", Field::Direction),
    ("call_direction", Field::Direction),
];

/// Records read at once.
const STEP: usize = 200;

async fn answer(call: &Call) -> Result<Answer, ApiError> {
    let account = call.account()?;
    let owner = match call.within("users") {
        Some(user) if account.users.contains_key(user) => Some(user),
        Some(user) => {
            return Err(ApiError::NoDocument {
                what: "user",
                id: user.to_owned(),
            });
        }
        None => None,
    };
    let args = call.args();
    match args.as_slice() {
        [] => rows(call, owner, false).await,
        ["interaction"] => rows(call, owner, true).await,
        ["legs", id] => legs(call, id).await,
        [id] => {
            let found = call.api.journal().cdr(&account.id, id).await?;
            let cdr = found.filter(|cdr| owner.is_none_or(|owner| cdr.owner_id == owner));
            let missing = || ApiError::NoDocument {
                what: "call record",
                id: (*id).to_owned(),
            };
            Ok(Answer::ok(cdr.ok_or_else(missing)?.to_doc()))
        }
        _ => Err(ApiError::NoPath),
    }
}

async fn legs(call: &Call, id: &str) -> Result<Answer, ApiError> {
    let account = &call.account()?.id;
    let journal = call.api.journal();
    let mut legs = journal.legs(account, id).await?;
    if legs.is_empty()
        && let Some(leg) = journal.cdr(account, id).await?
    {
        legs = journal.legs(account, &leg.interaction()).await?;
    }
    if legs.is_empty() {
        return Err(ApiError::NoDocument {
            what: "interaction",
            id: id.to_owned(),
        });
    }
    Ok(Answer::ok(legs.iter().map(Cdr::to_doc).collect()))
}

async fn rows(call: &Call, owner: Option<&str>, interactions: bool) -> Result<Answer, ApiError> {
    let wanted = Wanted::of(call)?;
    let filters = Filters::of(call)?.without_times();
    let offset = match call.query_text("utc_offset") {
        Some(text) => text
            .parse()
            .map_err(|_| ApiError::Faulty("utc_offset must be a number of seconds".to_owned()))?,
        None => 0_i64,
    };
    if wanted.page_size.is_none() && !interactions && call.envelope.contains_key("accept_csv") {
        let walk = Walk {
            journal: call.api.journal().clone(),
            account: call.account()?.id.to_string(),
            owner: owner.map(str::to_owned),
            sought: sought(&filters, owner),
            filters,
            offset,
            range: TimeRange {
                limit: STEP,
                ..list::time_range(call, &wanted)?
            },
            left: list::MOST,
            headed: false,
        };
        let table = Some(Table(walk.lines()));
        return Ok(Answer {
            columns: Some(COLUMNS),
            table,
            ..Answer::ok(Value::Null)
        });
    }
    let size = wanted.page_size.unwrap_or(list::MOST);
    let mut range = list::time_range(call, &wanted)?;
    let (account, journal) = (&call.account()?.id, call.api.journal());
    let sought = sought(&filters, owner);
    let (mut rows, mut first, mut next, mut cost) = (Vec::new(), None, None, 0);
    // A page is filled although filters drop records on the way.
    'pages: loop {
        range.limit = match filters.is_empty() {
            true => size.min(STEP),
            false => STEP,
        };
        let found = journal.find(account, range.clone(), &sought).await?;
        cost += found.cost;
        for stored in found.rows {
            let passes = owner.is_none_or(|owner| stored.cdr.owner_id == owner)
                && (filters.is_empty() || filters.pass(&whole(&stored.cdr, &filters)))
                && (!interactions || journal.is_first_leg(account, &stored.cdr).await?);
            if !passes {
                continue;
            }
            if rows.len() == size {
                next = Some(stored.key);
                break 'pages;
            }
            first.get_or_insert(stored.key);
            rows.push(Value::Object(row(&stored.cdr, offset, true)));
        }
        let Some(reached) = found.next else { break };
        let looked = cost >= list::LOOKED_AT && wanted.page_size.is_some();
        if looked || rows.len() == size {
            next = Some(reached);
            break;
        }
        range.start = Some(reached);
    }
    let paging = wanted.page_size.map(|_| Paging {
        rows: rows.len(),
        start_key: first.map(|key| list::opaque(&key)),
        next_start_key: next.map(|key| list::opaque(&key)),
    });
    Ok(Answer {
        columns: Some(COLUMNS),
        ..Answer::page(rows, paging)
    })
}

/// What of the filters indexes can answer.
fn sought(filters: &Filters, owner: Option<&str>) -> Vec<Sought> {
    let asked = LOOKED_UP.iter().filter_map(|(path, field)| {
        let values = filters.exactly(path)?;
        Sought::new(*field, values)
    });
    let owner = owner.and_then(|owner| Sought::new(Field::Owner, &[owner.to_owned()]));
    asked.chain(owner).collect()
}

/// A long table, made while it is sent: what its first line costs does not grow with its length.
struct Walk {
    journal: Journal,
    account: String,
    owner: Option<String>,
    filters: Filters,
    sought: Vec<Sought>,
    offset: i64,
    range: TimeRange,
    left: usize,
    headed: bool,
}

impl Walk {
    fn lines(self) -> BoxStream<'static, Result<Bytes, std::io::Error>> {
        let step = |walk: Option<Self>| async move {
            let mut walk = walk?;
            match walk.step().await {
                Ok((text, more)) => Some((Ok(Bytes::from(text)), more.then_some(walk))),
                Err(error) => Some((Err(std::io::Error::other(error)), None)),
            }
        };
        stream::unfold(Some(self), step).boxed()
    }

    /// The next lines, and whether there may be more.
    async fn step(&mut self) -> Result<(String, bool), StoreError> {
        let range = self.range.clone();
        let found = self.journal.find(&self.account, range, &self.sought);
        let found = found.await?;
        let mut rows = Vec::new();
        for stored in found.rows {
            let cdr = &stored.cdr;
            let owned = self
                .owner
                .as_ref()
                .is_none_or(|owner| cdr.owner_id == *owner);
            let passes =
                owned && (self.filters.is_empty() || self.filters.pass(&whole(cdr, &self.filters)));
            if self.left > 0 && passes {
                rows.push(row(cdr, self.offset, true));
                self.left -= 1;
            }
        }
        let mut text = csv::lines(&rows, COLUMNS);
        if !self.headed && !rows.is_empty() {
            text.insert_str(0, &csv::head(COLUMNS));
            self.headed = true;
        }
        let more = found.next.is_some() && self.left > 0;
        self.range.start = found.next;
        Ok((text, more))
    }
}

/// What filters look at: the full document, and the columns of the row.
fn whole(cdr: &Cdr, filters: &Filters) -> Value {
    let mut all = row(cdr, 0, filters.ask_for(TIMES));
    if let Value::Object(doc) = cdr.to_doc() {
        all.extend(doc);
    }
    Value::Object(all)
}

/// Without `times`, what is costly to say stays empty.
fn row(cdr: &Cdr, offset: i64, times: bool) -> Map<String, Value> {
    let start = cdr.created;
    let said = |at: UnixMicros, format: &str| match times {
        true => at.timestamp().strftime(format).to_string(),
        false => String::new(),
    };
    let zone = |format: &str| said(start, format);
    let shifted = said(shift(start, offset), "%Y-%m-%d_%H:%M:%S");
    let var = |key: &str| {
        cdr.custom_channel_vars
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let user = |address: &str| {
        address
            .split('@')
            .next()
            .unwrap_or_default()
            .trim_start_matches("sip:")
            .to_owned()
    };
    let inbound = cdr.direction != "outbound";
    let dialed = if inbound {
        user(&cdr.request)
    } else {
        user(&cdr.to)
    };
    let from = if inbound {
        cdr.caller_id_number.clone()
    } else {
        user(&cdr.from_uri)
    };
    let authorizing = if cdr.authorizing_id == cdr.account {
        ""
    } else {
        &cdr.authorizing_id
    };
    let values = [
        json!(cdr.id()),
        json!(cdr.call_id),
        json!(cdr.caller_id_number),
        json!(cdr.caller_id_name),
        json!(cdr.callee_id_number),
        json!(cdr.callee_id_name),
        json!(cdr.duration_seconds()),
        json!(cdr.billing_seconds()),
        json!(start.gregorian().to_string()),
        json!(cdr.hangup_cause),
        json!(cdr.other_leg_call_id),
        json!(cdr.owner_id),
        json!(cdr.to),
        json!(cdr.from),
        json!(cdr.direction),
        json!(cdr.request),
        json!(authorizing),
        json!("0"),
        json!(dialed),
        json!(from),
        json!(shifted),
        json!(start.secs().to_string()),
        json!(format!("{}.{:06}", start.secs(), start.0 % 1_000_000)),
        json!(zone("%a, %d %b %Y %H:%M:%S GMT")),
        json!(zone("%Y-%m-%d")),
        json!(zone("%Y-%m-%dT%H:%M:%SZ")),
        json!(var("account_billing")),
        json!(var("rate")),
        json!(var("rate_name")),
        json!(var("bridge_id")),
        json!(var("recording_url")),
        json!(cdr.media_recordings),
        json!(cdr.media_server),
        json!(var("call_priority")),
        json!(cdr.interaction()),
    ];
    COLUMNS
        .iter()
        .map(|name| (*name).to_owned())
        .zip(values)
        .collect()
}

fn shift(time: UnixMicros, seconds: i64) -> UnixMicros {
    UnixMicros(
        time.0
            .saturating_add_signed(seconds.saturating_mul(1_000_000)),
    )
}
