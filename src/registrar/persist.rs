//! Bindings as the store has them: one row an address of record, of those that survive a restart (datagrams do,
//! connections do not).

use std::net::SocketAddr;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::binding::{Aor, Binding, Bound, Life};
use super::table::{Record, Table as Bindings};
use crate::base::time::UnixMicros;
use crate::sip::flow::{Flow, Transport};
use crate::store::{Batch, Direction, KeyRange, Store, StoreError, Table, keys};

#[derive(Serialize, Deserialize)]
struct Row {
    account: String,
    device: String,
    bindings: Vec<One>,
}

#[derive(Serialize, Deserialize)]
struct One {
    contact: String,
    params: String,
    local: SocketAddr,
    remote: SocketAddr,
    source: SocketAddr,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    path: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reg_id: Option<u32>,
    user_agent: String,
    q: u16,
    nat: bool,
    call_id: String,
    cseq: u32,
    to_host: String,
    registered_at: UnixMicros,
    expires_at: UnixMicros,
}

const ROWS: &str = "registration";

fn key(aor: &Aor) -> Vec<u8> {
    keys::join(&[ROWS, &aor.realm, &aor.username])
}

/// The change that makes the store know `record` as it is now; `None` when it knows nothing and need not.
pub(super) fn change(aor: &Aor, record: Option<&Record>) -> Option<Batch> {
    let lasting = |bound: &&Bound| !bound.is_on_stream();
    let bindings = record.map_or(&[][..], |record| &record.bindings);
    let rows: Vec<One> = bindings.iter().filter(lasting).map(one).collect();
    let mut batch = Batch::new();
    match record.filter(|_| !rows.is_empty()) {
        Some(record) => {
            let row = Row {
                account: record.account.to_string(),
                device: record.device.to_string(),
                bindings: rows,
            };
            // Text, numbers and lists only: this cannot fail.
            batch.put(
                Table::Documents,
                key(aor),
                serde_json::to_vec(&row).unwrap_or_default(),
            );
        }
        None if record.is_none_or(|record| record.stored) => {
            batch.delete(Table::Documents, key(aor));
        }
        None => return None,
    }
    Some(batch)
}

fn one(bound: &Bound) -> One {
    let binding = &bound.binding;
    One {
        contact: binding.contact.clone(),
        params: bound.params.clone(),
        local: binding.flow.local,
        remote: binding.flow.remote,
        source: binding.source,
        path: binding.path.clone(),
        instance: binding.instance.clone(),
        reg_id: binding.reg_id,
        user_agent: binding.user_agent.clone(),
        q: binding.q,
        nat: binding.behind_nat,
        call_id: bound.call_id.to_string(),
        cseq: bound.cseq,
        to_host: bound.to_host.to_string(),
        registered_at: bound.registered_at,
        expires_at: binding.expires_at,
    }
}

/// Every stored binding that has not ended meanwhile.
pub(super) async fn load(
    store: &Store,
    now: Instant,
    unix: UnixMicros,
) -> Result<Bindings, StoreError> {
    let range = KeyRange::prefix(keys::prefix(&[ROWS]));
    let rows = store.scan(Table::Documents, range, Direction::Forward, usize::MAX);
    let mut table = Bindings::new();
    let mut gone = Batch::new();
    let mut id = 0;
    for (key, value) in rows.await? {
        let parts = keys::parts(&key);
        let [_, realm, username] = parts.as_slice() else {
            continue;
        };
        // A row of another version: its phone registers again soon.
        let Ok(row) = serde_json::from_slice::<Row>(&value) else {
            gone.delete(Table::Documents, key);
            continue;
        };
        let aor = Aor::new(username, realm);
        let (account, device) = (row.account.into(), row.device.into());
        let live = row.bindings.into_iter().filter(|b| b.expires_at > unix);
        let before = table.len();
        for one in live {
            id += 1;
            let bound = bound(id, one, now, unix);
            table.insert(&aor, &account, &device, bound);
        }
        if table.len() == before {
            gone.delete(Table::Documents, key);
        } else {
            table.set_stored(&aor, true);
        }
    }
    store.write(gone).await?;
    Ok(table)
}

fn bound(id: u64, one: One, now: Instant, unix: UnixMicros) -> Bound {
    Bound {
        id,
        params: one.params,
        call_id: one.call_id.into(),
        cseq: one.cseq,
        to_host: one.to_host.into(),
        registered_at: one.registered_at,
        expires: now + one.expires_at.since(unix),
        armed: None,
        life: Life {
            // Those behind NATs are asked at once, a little one after the other.
            ask_at: one.nat.then(|| now + std::time::Duration::from_millis(id)),
            ..Life::default()
        },
        binding: Binding {
            contact: one.contact,
            flow: Flow {
                transport: Transport::Udp,
                local: one.local,
                remote: one.remote,
                connection: 0,
            },
            source: one.source,
            path: one.path,
            instance: one.instance,
            reg_id: one.reg_id,
            user_agent: one.user_agent,
            q: one.q,
            behind_nat: one.nat,
            expires_at: one.expires_at,
        },
    }
}
