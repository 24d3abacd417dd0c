//! What several test modules of this room use.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::http::HeaderMap;
use serde_json::{Map, Value};

use super::call::Call;
use super::verb::Verb;
use super::{Api, HttpConfig, Parts};
use crate::base::rng::Rng;
use crate::base::time::UnixMicros;
use crate::directory::Directory;
use crate::host::clock;
use crate::journal::Journal;
use crate::store::Store;

/// A GET with that query, of an API with nothing in it.
pub(super) fn call(query: &[(&str, &str)]) -> Call {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let api = runtime.block_on(async {
        let store = Store::memory();
        let directory = Directory::load(store.clone()).await.unwrap();
        Api::new(Parts {
            directory,
            journal: Journal::new(store),
            registrations: crate::registrar::Remote::pair().0,
            config: HttpConfig::default(),
            guard: Arc::new(|_| Ok(())),
            metrics: Arc::new(String::new),
            rng: Rng::seeded(1),
        })
        .await
        .unwrap()
    });
    Call {
        api,
        verb: Verb::Get,
        nouns: Vec::new(),
        query: query
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
        headers: HeaderMap::new(),
        envelope: Map::new(),
        data: Value::Null,
        files: Vec::new(),
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        now: UnixMicros::from_secs(1_710_278_674),
        at: clock::now(),
        principal: None,
        account: None,
    }
}
