//! Indexes of call records: what people look records up by, written with the record and removed with it.
//!
//! | key | value |
//! | --- | --- |
//! | `by`, account, field, value, end time, Call-ID | nothing: the record is at the same time and Call-ID |
//! | `indexed` | how far the records of an older store have got their rows |
//!
//! What most records share has no rows: such records are met soon by walking. A row may stand for a record that is gone;
//! readers skip it.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use super::Inner;
use super::cdr::Cdr;
use super::records::{self, Stored, TimeRange};
use crate::base::cause::Cause;
use crate::base::time::UnixMicros;
use crate::store::{Batch, Direction, KeyRange, Store, StoreError, Table, keys};

/// Where it stands how far old records have rows.
const INDEXED: &[u8] = b"indexed";
/// All records have the rows of this version.
const COMPLETE: &[u8] = b"complete 1";
/// What stands before the key to go on at.
const REACHED: &[u8] = b"reached 1 ";
/// Records of an older store given their rows at once.
const STEP: usize = 500;
/// A value is kept to this length: records are looked at anyway.
const VALUE: usize = 64;
/// Values one condition may list and still be looked up.
const VALUES: usize = 8;
/// No call is longer, in microseconds.
const LONGEST: u64 = 62 * 86_400_000_000;
/// Shorter than any month, in microseconds.
const FORTNIGHT: u64 = 14 * 86_400_000_000;
/// So many fortnights are looked into for a Call-ID.
const MONTHS: usize = 64;
/// Rows of an index read for each record wanted, where several conditions must hold.
const DENSITY: usize = 8;

/// What call records can be looked up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// The caller's number.
    Caller,
    /// The called party's number.
    Callee,
    /// The user who owns the device.
    Owner,
    /// What allowed the leg: a device, a resource, a click-to-call.
    Endpoint,
    /// The cause of its end.
    Cause,
    /// Its direction.
    Direction,
    /// The conversation it is part of.
    Interaction,
    /// Its Call-ID.
    CallId,
}

impl Field {
    /// Those with rows of their own; the last two have had theirs always.
    const OWN: [Field; 6] = [
        Field::Caller,
        Field::Callee,
        Field::Owner,
        Field::Endpoint,
        Field::Cause,
        Field::Direction,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Callee => "callee",
            Self::Owner => "owner",
            Self::Endpoint => "endpoint",
            Self::Cause => "cause",
            Self::Direction => "direction",
            Self::Interaction => "interaction",
            Self::CallId => "call",
        }
    }

    fn of(self, cdr: &Cdr) -> &str {
        match self {
            Self::Caller => &cdr.caller_id_number,
            Self::Callee => &cdr.callee_id_number,
            Self::Owner => &cdr.owner_id,
            Self::Endpoint => &cdr.authorizing_id,
            Self::Cause => &cdr.hangup_cause,
            Self::Direction => &cdr.direction,
            Self::Interaction => &cdr.interaction_id,
            Self::CallId => &cdr.call_id,
        }
    }

    /// Whether records with this value have rows.
    fn holds(self, value: &str) -> bool {
        match self {
            Self::Cause => !value.is_empty() && value != Cause::NORMAL_CLEARING.name,
            Self::Direction => value == "outbound",
            _ => !value.is_empty(),
        }
    }
}

/// A condition on records: the field is one of the values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sought {
    field: Field,
    values: Vec<String>,
}

impl Sought {
    /// That `field` is one of `values`. `None` when the store has no index that could say so: then records are walked.
    pub fn new(field: Field, values: &[String]) -> Option<Sought> {
        let values: BTreeSet<&String> = values.iter().collect();
        let known = values.len() <= VALUES && values.iter().all(|value| field.holds(value));
        known.then(|| Sought {
            field,
            values: values.into_iter().cloned().collect(),
        })
    }
}

/// Some records, and where to go on.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// In the order asked for. Whoever asked looks at each once more: a long value is compared by its beginning only.
    pub rows: Vec<Stored>,
    /// For [`TimeRange::start`]; `None` at the end.
    pub next: Option<Vec<u8>>,
    /// What finding them has cost, in records read.
    pub cost: usize,
}

fn row(account: &str, field: Field, value: &str) -> Vec<u8> {
    let end = value
        .char_indices()
        .map(|(at, letter)| at + letter.len_utf8())
        .take_while(|end| *end <= VALUE)
        .last();
    let value = value.get(..end.unwrap_or(0)).unwrap_or_default();
    keys::prefix(&["by", account, field.name(), value])
}

fn rows<'a>(cdr: &'a Cdr, tail: &'a [u8]) -> impl Iterator<Item = Vec<u8>> + 'a {
    let held = Field::OWN
        .into_iter()
        .map(|field| (field, field.of(cdr)))
        .filter(|(field, value)| field.holds(value));
    held.map(|(field, value)| {
        let mut key = row(&cdr.account, field, value);
        key.extend_from_slice(tail);
        key
    })
}

/// What a record's key has after its account: end time and Call-ID, as an index has after its value.
fn tail<'a>(account: &str, key: &'a [u8]) -> Option<&'a [u8]> {
    key.strip_prefix(keys::prefix(&["cdr", account]).as_slice())
}

/// Adds the rows of the record at `key`.
pub(super) fn put(batch: &mut Batch, cdr: &Cdr, key: &[u8]) {
    for row in tail(&cdr.account, key)
        .into_iter()
        .flat_map(|tail| rows(cdr, tail))
    {
        batch.put(Table::Cdr, row, Vec::new());
    }
}

/// Removes the rows of the record at `key`.
pub(super) fn remove(batch: &mut Batch, cdr: &Cdr, key: &[u8]) {
    for row in tail(&cdr.account, key)
        .into_iter()
        .flat_map(|tail| rows(cdr, tail))
    {
        batch.delete(Table::Cdr, row);
    }
}

/// Up to `range.limit` records of a range that satisfy all conditions, as far as indexes know.
pub(super) async fn find(
    inner: &Inner,
    account: &str,
    range: TimeRange,
    sought: &[Sought],
) -> Result<Found, StoreError> {
    let (keys, direction) = range.keys("cdr", account);
    let Some(place) = Place::of(account, &keys, direction) else {
        return Ok(Found::default());
    };
    let own = sought.iter().any(|one| Field::OWN.contains(&one.field));
    let own = own && ready(inner).await?;
    let usable = sought.iter().filter(|one| match one.field {
        Field::Interaction => true,
        Field::CallId => place.months().is_some(),
        _ => own,
    });
    let usable: Vec<&Sought> = usable.collect();
    if usable.is_empty() {
        return walk(&inner.store, account, range).await;
    }
    let density = if usable.len() > 1 { DENSITY } else { 1 };
    let step = range.limit.saturating_mul(density);
    let (mut lists, mut cost) = (Vec::new(), 0);
    for one in usable {
        let list = place.list(&inner.store, one, step).await?;
        cost += list.tails.len() / DENSITY;
        lists.push(list);
    }
    let (mut tails, mut next) = place.common(lists);
    if tails.len() > range.limit {
        next = tails.get(range.limit).cloned();
        tails.truncate(range.limit);
    }
    let keys: Vec<Vec<u8>> = tails.iter().map(|tail| place.key(tail)).collect();
    let values = inner.store.get_many(Table::Cdr, keys.clone()).await?;
    let mut rows = Vec::new();
    for (key, value) in keys.into_iter().zip(values) {
        if let Some(value) = value {
            let cdr = records::decode(&value)?;
            rows.push(Stored { key, cdr });
        }
    }
    Ok(Found {
        cost: cost + rows.len() + 1,
        next: next.map(|tail| place.key(&tail)),
        rows,
    })
}

async fn walk(store: &Store, account: &str, range: TimeRange) -> Result<Found, StoreError> {
    let (keys, direction) = range.keys("cdr", account);
    let more = range.limit.saturating_add(1);
    let mut pairs = store.scan(Table::Cdr, keys, direction, more).await?;
    let next = match pairs.len() > range.limit {
        true => pairs.pop().map(|(key, _)| key),
        false => None,
    };
    let cost = pairs.len() + 1;
    let rows = pairs.into_iter().map(|(key, value)| {
        let cdr = records::decode(&value)?;
        Ok(Stored { key, cdr })
    });
    Ok(Found {
        rows: rows.collect::<Result<_, StoreError>>()?,
        next,
        cost,
    })
}

/// Where in an account's time a search is.
struct Place<'a> {
    account: &'a str,
    prefix: Vec<u8>,
    /// Tails from here.
    from: Vec<u8>,
    /// Tails before this one; `None`: to the end.
    to: Option<Vec<u8>>,
    direction: Direction,
}

/// The tails an index has for a condition, in the order of the search.
struct List {
    tails: Vec<Vec<u8>>,
    /// There are no others.
    complete: bool,
}

impl Place<'_> {
    /// `None` when the range holds nothing.
    fn of<'a>(account: &'a str, range: &KeyRange, direction: Direction) -> Option<Place<'a>> {
        if range.to.as_ref().is_some_and(|to| *to <= range.from) {
            return None;
        }
        let prefix = keys::prefix(&["cdr", account]);
        let from = range.from.strip_prefix(prefix.as_slice())?.to_vec();
        let to = range.to.as_deref();
        let to = to.and_then(|to| to.strip_prefix(prefix.as_slice()));
        let to = to.map(<[u8]>::to_vec);
        Some(Place {
            account,
            prefix,
            from,
            to,
            direction,
        })
    }

    fn key(&self, tail: &[u8]) -> Vec<u8> {
        [&self.prefix, tail].concat()
    }

    fn holds(&self, tail: &[u8]) -> bool {
        tail >= self.from.as_slice() && self.to.as_deref().is_none_or(|to| tail < to)
    }

    /// Whether the search meets `a` before `b`.
    fn before(&self, a: &[u8], b: &[u8]) -> bool {
        match self.direction {
            Direction::Forward => a < b,
            Direction::Backward => a > b,
        }
    }

    fn sort(&self, tails: &mut Vec<Vec<u8>>) {
        tails.sort();
        tails.dedup();
        if self.direction == Direction::Backward {
            tails.reverse();
        }
    }

    async fn list(&self, store: &Store, one: &Sought, limit: usize) -> Result<List, StoreError> {
        let mut tails = Vec::new();
        for value in &one.values {
            tails.extend(match one.field {
                Field::Interaction => self.of_interaction(store, value).await?,
                Field::CallId => self.of_call(store, value).await?,
                _ => self.of_index(store, one.field, value, limit).await?,
            });
        }
        self.sort(&mut tails);
        let complete = !Field::OWN.contains(&one.field) || tails.len() <= limit;
        if !complete {
            tails.truncate(limit.saturating_add(1));
        }
        Ok(List { tails, complete })
    }

    /// One more than `limit`, where there are so many.
    async fn of_index(
        &self,
        store: &Store,
        field: Field,
        value: &str,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let prefix = row(self.account, field, value);
        let to = match &self.to {
            Some(to) => Some([&prefix, to.as_slice()].concat()),
            None => KeyRange::prefix(prefix.clone()).to,
        };
        let from = [&prefix, self.from.as_slice()].concat();
        let range = KeyRange { from, to };
        let more = limit.saturating_add(1);
        let rows = store.scan(Table::Cdr, range, self.direction, more).await?;
        let tails = rows.into_iter().map(|(key, _)| key);
        Ok(tails
            .filter_map(|key| Some(key.strip_prefix(prefix.as_slice())?.to_vec()))
            .collect())
    }

    async fn of_interaction(&self, store: &Store, id: &str) -> Result<Vec<Vec<u8>>, StoreError> {
        let range = KeyRange::prefix(keys::prefix(&["interaction", self.account, id]));
        let rows = store
            .scan(Table::Cdr, range, Direction::Forward, STEP)
            .await?;
        Ok(self.within(rows.into_iter().map(|(_, key)| key)))
    }

    /// A call is found by its name and the month it began in.
    async fn of_call(&self, store: &Store, call_id: &str) -> Result<Vec<Vec<u8>>, StoreError> {
        let months = self.months().unwrap_or_default().into_iter();
        let ids = months.map(|month| format!("{month}-{call_id}"));
        let ids = ids.map(|id| keys::join(&["cdr-id", self.account, &id]));
        let found = store.get_many(Table::Cdr, ids.collect()).await?;
        Ok(self.within(found.into_iter().flatten()))
    }

    /// The months records of this range can have begun in; `None` when they are too many.
    fn months(&self) -> Option<Vec<String>> {
        let time = |tail: &[u8]| -> Option<u64> {
            let digits = std::str::from_utf8(tail.get(..20)?).ok()?;
            digits.parse().ok()
        };
        let first = time(&self.from)?.saturating_sub(LONGEST);
        let last = time(self.to.as_deref()?)?;
        let count = usize::try_from(last.saturating_sub(first) / FORTNIGHT).ok()? + 2;
        let times = (0..=MONTHS.min(count)).scan(first, |at, _| {
            let time = UnixMicros((*at).min(last));
            *at = at.saturating_add(FORTNIGHT);
            Some(time.month())
        });
        let months: BTreeSet<String> = times.collect();
        (count <= MONTHS).then(|| months.into_iter().collect())
    }

    fn within(&self, keys: impl Iterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
        let tails = keys.filter_map(|key| Some(tail(self.account, &key)?.to_vec()));
        tails.filter(|tail| self.holds(tail)).collect()
    }

    /// What all lists have, as far as all of them reach, and where to go on.
    fn common(&self, lists: Vec<List>) -> (Vec<Vec<u8>>, Option<Vec<u8>>) {
        let ends = lists.iter().filter(|list| !list.complete);
        let ends = ends.filter_map(|list| list.tails.last());
        let end = ends
            .reduce(|a, b| if self.before(a, b) { a } else { b })
            .cloned();
        let mut lists = lists.into_iter().map(|list| list.tails);
        let mut common = lists.next().unwrap_or_default();
        if let Some(end) = &end {
            common.retain(|tail| self.before(tail, end));
        }
        for list in lists {
            let others: BTreeSet<Vec<u8>> = list.into_iter().collect();
            common.retain(|tail| others.contains(tail));
        }
        (common, end)
    }
}

/// Whether every record has its rows.
async fn ready(inner: &Inner) -> Result<bool, StoreError> {
    if inner.indexed.load(Ordering::Relaxed) {
        return Ok(true);
    }
    let said = inner.store.get(Table::Cdr, INDEXED).await?;
    let complete = match said {
        Some(said) => said == COMPLETE,
        // Records written from now on have their rows.
        None => {
            let any = KeyRange::prefix(keys::prefix(&["cdr"]));
            let any = inner.store.scan(Table::Cdr, any, Direction::Forward, 1);
            any.await?.is_empty()
        }
    };
    inner.indexed.store(complete, Ordering::Relaxed);
    Ok(complete)
}

/// At start-up: notes of a store without records that its index is whole.
pub(super) async fn begin(inner: &Inner) -> Result<(), StoreError> {
    if ready(inner).await? {
        note(inner, Batch::new(), COMPLETE.to_vec()).await?;
    }
    Ok(())
}

async fn note(inner: &Inner, mut batch: Batch, reached: Vec<u8>) -> Result<(), StoreError> {
    batch.put(Table::Cdr, INDEXED, reached);
    inner.store.write(batch).await
}

/// Gives the records of an older store their rows, going on where it was interrupted. Returns how many records it read.
pub(super) async fn build(inner: &Inner) -> Result<usize, StoreError> {
    if ready(inner).await? {
        return Ok(0);
    }
    let said = inner.store.get(Table::Cdr, INDEXED).await?;
    let reached = said.and_then(|said| Some(said.strip_prefix(REACHED)?.to_vec()));
    let mut rest = KeyRange::prefix(keys::prefix(&["cdr"]));
    rest.from = reached.unwrap_or(rest.from);
    let mut done = 0;
    tracing::info!("call records get an index");
    loop {
        let (store, range) = (&inner.store, rest.clone());
        let pairs = store.scan(Table::Cdr, range, Direction::Forward, STEP);
        let pairs = pairs.await?;
        let mut batch = Batch::new();
        for (key, value) in &pairs {
            match records::decode(value) {
                Ok(cdr) => put(&mut batch, &cdr, key),
                Err(error) => tracing::error!(%error, "a call record gets no index"),
            }
        }
        done += pairs.len();
        match pairs.into_iter().next_back() {
            Some((mut last, _)) => {
                last.push(0);
                note(inner, batch, [REACHED, &last].concat()).await?;
                rest.from = last;
            }
            None => break,
        }
    }
    note(inner, Batch::new(), COMPLETE.to_vec()).await?;
    inner.indexed.store(true, Ordering::Relaxed);
    tracing::info!(records = done, "call records have their index");
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::super::Journal;
    use super::*;

    fn leg(n: u64) -> Cdr {
        let cause = if n.is_multiple_of(7) {
            "USER_BUSY"
        } else {
            "NORMAL_CLEARING"
        };
        Cdr {
            account: "acc".into(),
            call_id: format!("c{n:04}"),
            interaction_id: format!("i{}", n / 2),
            direction: if n.is_multiple_of(2) {
                "inbound"
            } else {
                "outbound"
            }
            .into(),
            created: UnixMicros::from_secs(10_000 + n),
            // Pairs end in the same moment.
            ended: Some(UnixMicros::from_secs(20_000 + n / 2)),
            hangup_cause: cause.into(),
            caller_id_number: format!("{}", n % 5),
            callee_id_number: format!("{}", n % 3),
            owner_id: if n == 77 { "o" } else { "" }.into(),
            ..Cdr::default()
        }
    }

    const LEGS: u64 = 420;

    async fn filled(store: &Store) -> Journal {
        let journal = Journal::new(store.clone());
        journal.sweep().await.unwrap();
        for n in 0..LEGS {
            journal.close_leg(Box::new(leg(n)));
            journal.close_leg(Box::new(Cdr {
                account: "bcc".into(),
                ..leg(n)
            }));
        }
        journal
    }

    fn is(field: Field, values: &[&str]) -> Sought {
        let values: Vec<String> = values.iter().map(|v| (*v).to_owned()).collect();
        Sought::new(field, &values).unwrap()
    }

    /// All records found, page by page.
    async fn pages(journal: &Journal, range: TimeRange, sought: &[Sought]) -> Vec<String> {
        let (mut range, mut ids) = (range, Vec::new());
        loop {
            let found = journal.find("acc", range.clone(), sought).await.unwrap();
            assert!(found.rows.len() <= range.limit);
            ids.extend(found.rows.into_iter().map(|row| row.cdr.call_id));
            match found.next {
                Some(next) => range.start = Some(next),
                None => return ids,
            }
        }
    }

    fn range(ascending: bool, limit: usize) -> TimeRange {
        TimeRange {
            from: UnixMicros::from_secs(20_010),
            to: UnixMicros::from_secs(20_190),
            ascending,
            start: None,
            limit,
        }
    }

    #[tokio::test]
    async fn what_indexes_find_is_what_a_walk_finds() {
        let journal = filled(&Store::memory()).await;
        let conditions = [
            vec![is(Field::Caller, &["3"])],
            vec![is(Field::Caller, &["3", "1"])],
            vec![is(Field::Caller, &["3", "1"]), is(Field::Callee, &["2"])],
            vec![
                is(Field::Cause, &["USER_BUSY"]),
                is(Field::Direction, &["outbound"]),
            ],
            vec![is(Field::Owner, &["o"]), is(Field::Caller, &["2"])],
            vec![is(Field::Owner, &["nobody"])],
            vec![is(Field::Interaction, &["i40"])],
            vec![is(Field::CallId, &["c0077"]), is(Field::Owner, &["o"])],
            vec![
                is(Field::Caller, &["0"]),
                is(Field::Callee, &["0"]),
                is(Field::Cause, &["USER_BUSY"]),
            ],
        ];
        for sought in conditions {
            for (ascending, limit) in [(true, 1), (false, 1), (true, 7), (false, 7), (false, 999)] {
                let range = range(ascending, limit);
                let mut walked = pages(&journal, range.clone(), &[]).await;
                walked.retain(|id| {
                    let cdr = leg(id[1..].parse().unwrap());
                    let holds = |one: &Sought| one.values.iter().any(|v| one.field.of(&cdr) == v);
                    sought.iter().all(holds)
                });
                assert_eq!(pages(&journal, range, &sought).await, walked, "{sought:?}");
            }
        }
    }

    #[test]
    fn what_most_records_share_is_not_looked_up() {
        assert_eq!(Sought::new(Field::Cause, &["NORMAL_CLEARING".into()]), None);
        assert_eq!(Sought::new(Field::Direction, &["inbound".into()]), None);
        assert_eq!(Sought::new(Field::Caller, &[String::new()]), None);
        let many: Vec<String> = (0..9).map(|n| n.to_string()).collect();
        assert_eq!(Sought::new(Field::Caller, &many), None);
    }

    #[test]
    fn a_long_value_is_kept_by_its_beginning() {
        let key = row("acc", Field::Caller, &"\u{e9}".repeat(60));
        assert!(key.len() < 64 + 20);
        assert_eq!(key, row("acc", Field::Caller, &"\u{e9}".repeat(33)));
    }

    async fn index(store: &Store) -> Vec<Vec<u8>> {
        let range = KeyRange::prefix(keys::prefix(&["by"]));
        let rows = store.scan(Table::Cdr, range, Direction::Forward, usize::MAX);
        rows.await
            .unwrap()
            .into_iter()
            .map(|(key, _)| key)
            .collect()
    }

    #[tokio::test]
    async fn an_older_stores_records_are_found_before_and_after_they_have_an_index() {
        let store = Store::memory();
        filled(&store).await;
        let whole = index(&store).await;
        let mut older = Batch::new();
        for key in whole.iter().chain([&INDEXED.to_vec()]) {
            older.delete(Table::Cdr, key.clone());
        }
        store.write(older).await.unwrap();
        let journal = Journal::new(store.clone());
        journal.sweep().await.unwrap();
        let owner = [is(Field::Owner, &["o"])];
        let all = TimeRange::newest(usize::MAX);
        let found = journal.find("acc", all.clone(), &owner).await.unwrap();
        assert_eq!(found.rows.len() as u64, LEGS, "walked");
        // Interrupted after the first step of it.
        let first = store.scan(
            Table::Cdr,
            KeyRange::prefix("cdr\0"),
            Direction::Forward,
            STEP,
        );
        let last = first.await.unwrap().pop().unwrap().0;
        let reached = [REACHED, &last].concat();
        note(&journal.0, Batch::new(), reached).await.unwrap();
        let left = 2 * LEGS as usize - STEP + 1;
        assert_eq!(journal.index().await.unwrap(), left, "it goes on");
        let again = Journal::new(store.clone());
        assert_eq!(again.index().await.unwrap(), 0);
        let mut batch = Batch::new();
        batch.delete(Table::Cdr, INDEXED);
        store.write(batch).await.unwrap();
        let again = Journal::new(store.clone());
        assert_eq!(again.index().await.unwrap() as u64, 2 * LEGS);
        assert_eq!(index(&store).await, whole);
        assert_eq!(pages(&again, all, &owner).await, ["c0077"]);
    }

    #[tokio::test]
    async fn rows_go_with_their_records() {
        let store = Store::memory();
        filled(&store).await;
        let end = UnixMicros::from_secs(30_000);
        records::remove_before(&store, end).await.unwrap();
        assert_eq!(index(&store).await.len(), 0);
    }
}
