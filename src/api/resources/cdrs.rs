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
use crate::journal::{Cdr, Journal, TimeRange};
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
            filters,
            offset,
            range: TimeRange {
                limit: STEP,
                ..list::time_range(call, &wanted)?
            },
            left: list::MOST,
            begun: false,
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
    let mut range = TimeRange {
        limit: STEP,
        ..list::time_range(call, &wanted)?
    };
    let account = &call.account()?.id;
    let (mut rows, mut first, mut next) = (Vec::new(), None, None);
    // A page is filled although filters drop records on the way.
    'pages: loop {
        let found = call.api.journal().cdrs(account, range.clone()).await?;
        let count = found.len();
        let mut last = None;
        for stored in found {
            if last.is_none()
                && range.start.is_some()
                && next.is_none()
                && first.is_some()
                && range.start.as_ref() == Some(&stored.key)
            {
                // The row the previous step ended with.
                last = Some(stored.key);
                continue;
            }
            let passes = owner.is_none_or(|owner| stored.cdr.owner_id == owner)
                && (filters.is_empty() || filters.pass(&whole(&stored.cdr)))
                && (!interactions || is_first_leg(call, account, &stored.cdr).await?);
            if passes {
                if rows.len() == size {
                    next = Some(list::opaque(&stored.key));
                    break 'pages;
                }
                first.get_or_insert_with(|| stored.key.clone());
                rows.push(Value::Object(row(&stored.cdr, offset)));
            }
            last = Some(stored.key);
        }
        match last {
            Some(last) if count == STEP => {
                first.get_or_insert_with(|| last.clone());
                range.start = Some(last);
            }
            _ => break,
        }
    }
    let start_key = first
        .filter(|_| !rows.is_empty())
        .map(|key| list::opaque(&key));
    let paging = wanted.page_size.map(|_| Paging {
        rows: rows.len(),
        start_key,
        next_start_key: next,
    });
    Ok(Answer {
        columns: Some(COLUMNS),
        ..Answer::page(rows, paging)
    })
}

/// A long table, made while it is sent: what its first line costs does not grow with its length.
struct Walk {
    journal: Journal,
    account: String,
    owner: Option<String>,
    filters: Filters,
    offset: i64,
    range: TimeRange,
    left: usize,
    begun: bool,
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
        let found = self.journal.cdrs(&self.account, self.range.clone()).await?;
        let full = found.len() == self.range.limit;
        let last = found.last().map(|stored| stored.key.clone());
        let mut rows = Vec::new();
        for stored in found {
            // A step begins with the record the one before has ended with.
            if self.begun && self.range.start.as_ref() == Some(&stored.key) {
                continue;
            }
            let cdr = &stored.cdr;
            let owned = self
                .owner
                .as_ref()
                .is_none_or(|owner| cdr.owner_id == *owner);
            if self.left > 0 && owned && (self.filters.is_empty() || self.filters.pass(&whole(cdr)))
            {
                rows.push(row(cdr, self.offset));
                self.left -= 1;
            }
        }
        let mut text = csv::lines(&rows, COLUMNS);
        if !self.headed && !rows.is_empty() {
            text.insert_str(0, &csv::head(COLUMNS));
            self.headed = true;
        }
        self.begun = true;
        self.range.start = last.or(self.range.start.take());
        Ok((text, full && self.left > 0))
    }
}

async fn is_first_leg(call: &Call, account: &str, cdr: &Cdr) -> Result<bool, ApiError> {
    let legs = call.api.journal().legs(account, &cdr.interaction()).await?;
    Ok(legs
        .first()
        .is_none_or(|first| first.call_id == cdr.call_id))
}

/// What filters look at: the full document, and the columns of the row.
fn whole(cdr: &Cdr) -> Value {
    let mut all = row(cdr, 0);
    if let Value::Object(doc) = cdr.to_doc() {
        all.extend(doc);
    }
    Value::Object(all)
}

fn row(cdr: &Cdr, offset: i64) -> Map<String, Value> {
    let start = cdr.created;
    let zone = |format: &str| start.timestamp().strftime(format).to_string();
    let shifted = shift(start, offset)
        .timestamp()
        .strftime("%Y-%m-%d_%H:%M:%S")
        .to_string();
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
