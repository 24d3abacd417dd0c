//! `/recordings` (`api.md` §3.15): recorded calls. Listed and read as JSON, heard as audio, deleted. Who is no administrator
//! sees and hears the recordings of his own calls only.

use super::{NONE, READ, Resource, admin};
use crate::api::answer::{Answer, Download, Paging};
use crate::api::audit;
use crate::api::call::Call;
use crate::api::documents;
use crate::api::error::ApiError;
use crate::api::list::{self, Filters, Wanted};
use crate::api::peaks;
use crate::api::verb::Verb;
use crate::host::task;
use crate::journal::TimeRange;
use crate::recordings::{Recording, Shelf};
use crate::store::Batch;

pub(in crate::api) const RESOURCE: Resource = Resource::new(
    "recordings",
    |args| match args {
        [] | [_, "raw" | "peaks"] => READ,
        [_] => &[Verb::Get, Verb::Delete],
        _ => NONE,
    },
    |call| Box::pin(answer(call)),
);

/// Recordings read at once.
const STEP: usize = 200;

async fn answer(call: &Call) -> Result<Answer, ApiError> {
    let owner = owner(call)?;
    let args = call.args();
    match (args.as_slice(), call.verb) {
        ([], _) => rows(call, owner.as_deref()).await,
        ([id], Verb::Delete) => remove(call, id, owner.as_deref()).await,
        ([id, "raw"], _) => hear(call, id, owner.as_deref()).await,
        ([id, "peaks"], _) => picture(call, id, owner.as_deref()).await,
        ([id], _) if call.envelope.contains_key("accept_file") => hear(call, id, owner.as_deref()).await,
        ([id], _) => Ok(Answer::ok(find(call, id, owner.as_deref()).await?.to_doc())),
        _ => Err(ApiError::NoPath),
    }
}

fn shelf(call: &Call) -> Result<&Shelf, ApiError> {
    call.api.recordings().ok_or(ApiError::NoPath)
}

/// Whose recordings are shown: the user's of the path; his own to who is no administrator; `None`: everybody's.
fn owner(call: &Call) -> Result<Option<String>, ApiError> {
    let account = call.account()?;
    let named = match call.within("users") {
        Some(user) if account.users.contains_key(user) => Some(user.to_owned()),
        Some(user) => return Err(ApiError::NoDocument { what: "user", id: user.to_owned() }),
        None => None,
    };
    let own = call.principal.as_ref().filter(|principal| !principal.is_admin());
    let own = own.and_then(|principal| principal.user.as_ref()).map(|user| user.id.to_string());
    match (named, own) {
        (Some(named), Some(own)) if named != own => {
            Err(ApiError::Forbidden("only administrators may hear the recordings of others".to_owned()))
        }
        (named, own) => Ok(own.or(named)),
    }
}

async fn find(call: &Call, id: &str, owner: Option<&str>) -> Result<Recording, ApiError> {
    let found = shelf(call)?.one(&call.account()?.id, id).await?;
    let found = found.filter(|recording| owner.is_none_or(|owner| recording.owner_id == owner));
    found.ok_or_else(|| missing(id))
}

fn missing(id: &str) -> ApiError {
    ApiError::NoDocument { what: "recording", id: id.to_owned() }
}

async fn rows(call: &Call, owner: Option<&str>) -> Result<Answer, ApiError> {
    let wanted = Wanted::of(call)?;
    let filters = Filters::of(call)?.without_times();
    let size = wanted.page_size.unwrap_or(list::MOST);
    let mut range = TimeRange { limit: STEP, ..list::time_range(call, &wanted)? };
    let account = &call.account()?.id;
    let (mut rows, mut first, mut next, mut looked) = (Vec::new(), None, None, 0);
    // A page is filled although filters drop recordings on the way, but not for ever.
    'pages: loop {
        let mut found = shelf(call)?.list(account, range.clone()).await?;
        looked += found.len();
        let full = found.len() == range.limit;
        let enough = looked >= list::LOOKED_AT && wanted.page_size.is_some();
        let reached = if full && enough { found.pop() } else { None };
        let last = found.last().map(|stored| stored.key.clone());
        // A step goes on at the row the one before it ended with.
        let again = range.start.clone().filter(|_| range.limit > STEP);
        for stored in found {
            if again.as_ref() == Some(&stored.key) {
                continue;
            }
            let doc = stored.recording.to_doc();
            let passes = owner.is_none_or(|owner| stored.recording.owner_id == owner)
                && (filters.is_empty() || filters.pass(&doc));
            if !passes {
                continue;
            }
            if rows.len() == size {
                next = Some(list::opaque(&stored.key));
                break 'pages;
            }
            first.get_or_insert_with(|| list::opaque(&stored.key));
            rows.push(doc);
        }
        if let Some(reached) = reached {
            next = Some(list::opaque(&reached.key));
            break;
        }
        match last {
            Some(last) if full => {
                range.start = Some(last);
                range.limit = STEP + 1;
            }
            _ => break,
        }
    }
    let paging =
        wanted.page_size.map(|_| Paging { rows: rows.len(), start_key: first, next_start_key: next });
    Ok(Answer::page(rows, paging))
}

async fn hear(call: &Call, id: &str, owner: Option<&str>) -> Result<Answer, ApiError> {
    let recording = find(call, id, owner).await?;
    let shelf = shelf(call)?;
    let length = shelf.size(&recording).await.ok_or_else(|| missing(id))?;
    let file = Download {
        content_type: "audio/x-wav".to_owned(),
        stored: Some((shelf.file(&recording), length)),
        name: recording.name.clone(),
        inline: call.flag("inline") == Some(true),
        ..Download::default()
    };
    Ok(Answer { status: 200, file: Some(file), ..Answer::default() })
}

/// Loudest and quietest samples, for a picture of the sound.
async fn picture(call: &Call, id: &str, owner: Option<&str>) -> Result<Answer, ApiError> {
    let recording = find(call, id, owner).await?;
    let shelf = shelf(call)?;
    shelf.size(&recording).await.ok_or_else(|| missing(id))?;
    let points = call.number("points")?.unwrap_or(1000).clamp(1, peaks::MOST);
    let file = shelf.file(&recording);
    let made = task::blocking("peaks", move || peaks::of_file(&file, points)).await;
    Ok(Answer::ok(made.flatten().ok_or_else(|| missing(id))?))
}

async fn remove(call: &Call, id: &str, owner: Option<&str>) -> Result<Answer, ApiError> {
    admin(call)?;
    let recording = find(call, id, owner).await?;
    let doc = recording.to_doc();
    let mut batch = Batch::new();
    let who = documents::who(call);
    let entry = audit::Entry {
        who: &who,
        account: &call.account()?.id,
        verb: call.verb,
        kind: "recording",
        id,
        old: Some(&doc),
        new: None,
    };
    audit::record(&mut batch, &entry);
    if !shelf(call)?.remove(&call.account()?.id, id, batch).await? {
        return Err(missing(id));
    }
    Ok(Answer::ok(doc))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recordings_are_read_and_deleted_but_never_written() {
        let verbs = |args: &[&str]| (RESOURCE.verbs)(args).to_vec();
        assert_eq!(verbs(&[]), [Verb::Get]);
        assert_eq!(verbs(&["x"]), [Verb::Get, Verb::Delete]);
        assert_eq!(verbs(&["x", "raw"]), [Verb::Get]);
        assert!(verbs(&["x", "y"]).is_empty());
    }
}
