//! Loading, writing and looking up.

use serde_json::json;

use super::*;
use crate::store::moody::Moody;

const A: &str = "0123456789abcdef0123456789abcdef";
const B: &str = "fedcba9876543210fedcba9876543210";

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

async fn directory() -> Directory {
    let directory = Directory::load(Store::memory()).await.unwrap();
    directory
        .put(
            Kind::Account,
            A,
            A,
            json!({"name": "Acme", "realm": "Acme.Test"}),
        )
        .await
        .unwrap();
    directory
        .put(
            Kind::Account,
            B,
            B,
            json!({"name": "Other", "realm": "other.test"}),
        )
        .await
        .unwrap();
    directory
}

#[test]
fn what_was_written_is_there_after_loading_again() {
    run(async {
        let store = Store::memory();
        let first = Directory::load(store.clone()).await.unwrap();
        first
            .put(
                Kind::Account,
                A,
                A,
                json!({"name": "Acme", "realm": "acme.test"}),
            )
            .await
            .unwrap();
        first
            .put(
                Kind::Callflow,
                A,
                "f1",
                json!({"numbers": ["2030"], "flow": {}}),
            )
            .await
            .unwrap();
        first
            .put(Kind::Menu, A, "m1", json!({"name": "menu"}))
            .await
            .unwrap();
        first.delete(Kind::Menu, A, "m1").await.unwrap();
        let again = Directory::load(store).await.unwrap();
        let account = again.account(A).unwrap();
        assert_eq!(account.name, "Acme");
        assert!(account.callflows.contains_key("f1") && account.menus.is_empty());
        assert!(account.numbers.owner_of_number("2030").is_some());
        let doc = &account.callflows["f1"];
        assert_eq!(private::revision(doc).split('-').next(), Some("1"));
        assert_eq!(doc["pvt_type"], "callflows");
    });
}

#[test]
fn realms_are_found_in_any_case() {
    run(async {
        let directory = directory().await;
        assert_eq!(&*directory.by_realm("ACME.test").unwrap().id, A);
        assert!(directory.by_realm("nobody.test").is_none());
    });
}

#[test]
fn a_device_authenticates_only_in_its_realm_and_while_enabled() {
    run(async {
        let directory = directory().await;
        let device = json!({"name": "desk", "sip": {"username": "Phone1", "password": "secret1"}});
        directory
            .put(Kind::Device, A, "d1", device.clone())
            .await
            .unwrap();
        let mut elsewhere = device.clone();
        elsewhere["sip"]["realm"] = json!("Special.Test");
        elsewhere["sip"]["password"] = json!("secret2");
        directory
            .put(Kind::Device, A, "d2", elsewhere)
            .await
            .unwrap();
        let found = |realm: &str, name: &str| {
            directory
                .secret(realm, name)
                .map(|(_, d, s)| (d.id.clone(), s.reveal().to_owned()))
        };
        assert_eq!(
            found("acme.test", "phone1"),
            Some(("d1".into(), "secret1".into()))
        );
        assert_eq!(
            found("special.test", "PHONE1"),
            Some(("d2".into(), "secret2".into()))
        );
        assert_eq!(found("other.test", "phone1"), None);
        assert_eq!(found("acme.test", "phone2"), None);
        let mut off = device;
        off["enabled"] = json!(false);
        directory.put(Kind::Device, A, "d1", off).await.unwrap();
        assert_eq!(found("acme.test", "phone1"), None);
    });
}

#[test]
fn a_disabled_owner_or_account_disables_the_device() {
    run(async {
        let directory = directory().await;
        let device = json!({"owner_id": "u1", "sip": {"username": "p", "password": "secret1"}});
        directory
            .put(
                Kind::User,
                A,
                "u1",
                json!({"username": "Bob", "enabled": false}),
            )
            .await
            .unwrap();
        directory.put(Kind::Device, A, "d1", device).await.unwrap();
        assert!(directory.secret("acme.test", "p").is_none());
        directory
            .put(Kind::User, A, "u1", json!({"username": "Bob"}))
            .await
            .unwrap();
        assert!(directory.secret("acme.test", "p").is_some());
        let off = json!({"name": "Acme", "realm": "acme.test", "enabled": false});
        directory.put(Kind::Account, A, A, off).await.unwrap();
        assert!(directory.secret("acme.test", "p").is_none());
    });
}

#[test]
fn the_narrowest_address_wins_and_mapped_addresses_count() {
    run(async {
        let directory = directory().await;
        let device = |ip: &str| json!({"sip": {"method": "ip", "ip": ip}});
        directory
            .put(Kind::Device, A, "wide", device("10.0.0.0/8"))
            .await
            .unwrap();
        directory
            .put(Kind::Device, B, "narrow", device("10.1.0.0/16"))
            .await
            .unwrap();
        directory
            .put(Kind::Device, B, "one", device("10.1.2.3"))
            .await
            .unwrap();
        directory
            .put(Kind::Device, B, "six", device("2001:db8::/32"))
            .await
            .unwrap();
        directory
            .put(
                Kind::Device,
                B,
                "not by address",
                json!({"sip": {"ip": "192.0.2.1"}}),
            )
            .await
            .unwrap();
        let found = |ip: &str| {
            directory
                .device_by_source(ip.parse().unwrap())
                .map(|(_, device)| device)
        };
        assert_eq!(found("10.9.9.9").as_deref(), Some("wide"));
        assert_eq!(found("10.1.9.9").as_deref(), Some("narrow"));
        assert_eq!(found("10.1.2.3").as_deref(), Some("one"));
        assert_eq!(found("::ffff:10.1.2.3").as_deref(), Some("one"));
        assert_eq!(found("2001:db8::7").as_deref(), Some("six"));
        assert_eq!(found("192.0.2.1"), None);
    });
}

#[test]
fn a_call_keeps_the_account_it_started_with() {
    run(async {
        let directory = directory().await;
        let kept = directory.account(A).unwrap();
        directory
            .put(Kind::Menu, A, "m1", json!({"name": "new"}))
            .await
            .unwrap();
        assert!(kept.menus.is_empty());
        assert!(directory.account(A).unwrap().menus.contains_key("m1"));
        assert!(
            Arc::ptr_eq(&kept.numbers, &directory.account(A).unwrap().numbers),
            "the number index was not rebuilt"
        );
    });
}

#[test]
fn private_keys_survive_a_replacement_and_revisions_count() {
    run(async {
        let directory = directory().await;
        let mut first = json!({"username": "bob"});
        first[private::MD5_AUTH] = json!("abc");
        let one = directory.put(Kind::User, A, "u1", first).await.unwrap();
        let two = directory
            .put(Kind::User, A, "u1", json!({"username": "bob", "x": 1}))
            .await
            .unwrap();
        assert_eq!(two[private::MD5_AUTH], "abc");
        assert_eq!(one[private::CREATED], two[private::CREATED]);
        assert!(
            private::revision(&one).starts_with("1-") && private::revision(&two).starts_with("2-")
        );
        assert!(
            !private::public("u1", &two)
                .keys()
                .any(|key| key.starts_with("pvt_"))
        );
    });
}

#[test]
fn list_entries_come_from_documents_and_from_inside_the_list() {
    run(async {
        let directory = directory().await;
        directory
            .put(
                Kind::List,
                A,
                "l1",
                json!({"name": "vip", "entries": [{"number": "1"}]}),
            )
            .await
            .unwrap();
        directory
            .put(
                Kind::ListEntry,
                A,
                "e1",
                json!({"list_id": "l1", "number": "2"}),
            )
            .await
            .unwrap();
        directory
            .put(
                Kind::ListEntry,
                A,
                "e2",
                json!({"list_id": "l2", "number": "3"}),
            )
            .await
            .unwrap();
        let account = directory.account(A).unwrap();
        let numbers: Vec<_> = account
            .list_entries("l1")
            .map(|e| e["number"].as_str().unwrap())
            .collect();
        assert_eq!(numbers, ["2", "1"]);
    });
}

#[test]
fn a_group_of_changes_is_written_together() {
    run(async {
        let directory = directory().await;
        let change = |id: &str, doc: Option<Value>| Change {
            kind: Kind::Menu,
            account: A.into(),
            id: id.into(),
            doc,
        };
        let changes = vec![
            change("m1", Some(json!({"name": "1"}))),
            change("m2", Some(json!({"name": "2"}))),
            change("m1", Some(json!({"name": "1 again"}))),
            change("m2", None),
            change("m3", None),
        ];
        let written = directory.write(changes, Batch::new()).await.unwrap();
        assert!(written[4].is_none() && written[3].is_some());
        let account = directory.account(A).unwrap();
        assert_eq!(account.menus.keys().collect::<Vec<_>>(), ["m1"]);
        assert!(private::revision(&account.menus["m1"]).starts_with("2-"));
    });
}

#[test]
fn printing_an_account_shows_no_secret() {
    run(async {
        let directory = directory().await;
        let device = json!({"name": "desk", "sip": {"username": "p", "password": "canary1"}});
        directory.put(Kind::Device, A, "d1", device).await.unwrap();
        directory
            .put(
                Kind::User,
                A,
                "u1",
                json!({"username": "bob", private::MD5_AUTH: "canary2"}),
            )
            .await
            .unwrap();
        let account = directory.account(A).unwrap();
        let text = format!(
            "{account:?} {:?} {:?} {directory:?}",
            account.devices, account.users
        );
        assert!(!text.contains("canary"), "{text}");
    });
}

/// A directory with one account over a backend that can be held up and can fail.
async fn moody() -> (Directory, Arc<Moody>) {
    let backend = Arc::new(Moody::default());
    let directory = Directory::load(Store::over(backend.clone())).await.unwrap();
    let account = json!({"name": "Acme", "realm": "acme.test"});
    directory.put(Kind::Account, A, A, account).await.unwrap();
    (directory, backend)
}

fn menu(id: &str, name: &str) -> Vec<Change> {
    vec![Change {
        kind: Kind::Menu,
        account: A.to_owned(),
        id: id.to_owned(),
        doc: Some(json!({ "name": name })),
    }]
}

fn name(directory: &Directory, id: &str) -> Option<Value> {
    let account = directory.account(A)?;
    Some(account.menus.get(id)?["name"].clone())
}

#[test]
fn writes_are_shown_in_turn_and_get_to_the_disk_together() {
    run(async {
        let (directory, backend) = moody().await;
        let before = backend.writes();
        backend.hold(true);
        let mut begun = Vec::new();
        for n in 0..50 {
            let change = menu("m", &format!("name {n}"));
            begun.push(directory.begin(change, Batch::new()).await.unwrap());
            assert_eq!(name(&directory, "m"), Some(json!(format!("name {n}"))));
        }
        backend.hold(false);
        for one in begun {
            one.durable().await.unwrap();
        }
        assert!(
            backend.writes() - before <= 2,
            "the first may have gone alone"
        );
        let again = Directory::load(directory.store().clone()).await.unwrap();
        assert_eq!(name(&again, "m"), Some(json!("name 49")));
    });
}

#[test]
fn what_could_not_be_stored_is_not_shown_any_more() {
    run(async {
        let (directory, backend) = moody().await;
        let old = directory.begin(menu("m", "old"), Batch::new()).await;
        old.unwrap().durable().await.unwrap();
        backend.fail(true);
        for id in ["m", "new"] {
            let begun = directory
                .begin(menu(id, "lost"), Batch::new())
                .await
                .unwrap();
            assert!(begun.durable().await.is_err());
        }
        assert_eq!(name(&directory, "m"), Some(json!("old")));
        assert_eq!(name(&directory, "new"), None);
        backend.fail(false);
        let begun = directory.begin(menu("new", "kept"), Batch::new()).await;
        begun.unwrap().durable().await.unwrap();
        assert_eq!(name(&directory, "new"), Some(json!("kept")));
    });
}
