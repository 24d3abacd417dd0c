//! What REGISTERs do to the table.

use super::super::binding::Key;
use super::*;
use crate::sip::transaction::tests::start;

struct Bench {
    table: Table,
    config: RegistrarConfig,
    t0: Instant,
    context: Context,
}

fn flow(remote: &str, connection: u64) -> Flow {
    let transport = if connection == 0 {
        Transport::Udp
    } else {
        Transport::Tcp
    };
    Flow {
        transport,
        local: "10.0.0.1:5060".parse().unwrap(),
        remote: remote.parse().unwrap(),
        connection,
    }
}

fn bench() -> Bench {
    let t0 = start();
    Bench {
        table: Table::new(),
        config: RegistrarConfig::default(),
        t0,
        context: Context {
            now: t0,
            unix: UnixMicros::from_secs(1_000_000),
            aor: Aor::new("Alice", "Realm.Test"),
            account: "acc".into(),
            device: "dev".into(),
            call_id: "c1".into(),
            cseq: 1,
            flow: flow("10.0.0.2:5060", 0),
            user_agent: "phone".into(),
            to_host: "realm.test".into(),
        },
    }
}

impl Bench {
    fn at(&mut self, seconds: u64) {
        self.context.now = self.t0 + Duration::from_secs(seconds);
        self.context.unix = UnixMicros::from_secs(1_000_000 + seconds);
    }

    fn wanted(&self, contact: &str, expires: u32) -> Wanted {
        Wanted {
            key: Key {
                uri: Uri::parse(contact).unwrap(),
                instance: None,
                reg_id: None,
            },
            params: String::new(),
            q: 1000,
            expires,
            flow: self.context.flow,
            behind_nat: false,
        }
    }

    fn ask(&mut self, asked: Asked) -> Result<Vec<What>, u16> {
        let register = Register {
            asked,
            path: Vec::new(),
            outbound: false,
        };
        let done = self.table.apply(&self.context, &register, &self.config);
        self.context.cseq += 1;
        match done {
            Ok(changes) => Ok(changes.iter().map(|c| c.what).collect()),
            Err(refused) => Err(refused.status),
        }
    }

    fn register(&mut self, contacts: &[(&str, u32)]) -> Result<Vec<What>, u16> {
        let wanted = contacts.iter().map(|(c, e)| self.wanted(c, *e)).collect();
        self.ask(Asked::Change(wanted))
    }

    fn contacts(&self) -> Vec<String> {
        let found = self.table.reachable(&self.context.aor, self.context.now);
        found.into_iter().map(|b| b.contact).collect()
    }
}

const A: &str = "sip:a@10.0.0.2:5060";
const B: &str = "sip:b@10.0.0.3:5060";

#[test]
fn a_binding_is_found_whatever_the_case_of_its_name_and_until_it_expires() {
    let mut b = bench();
    assert_eq!(b.register(&[(A, 60)]), Ok(vec![What::Registered]));
    b.context.aor = Aor::new("ALICE", "realm.TEST");
    b.at(59);
    assert_eq!(b.contacts(), [A]);
    b.at(60);
    assert!(
        b.contacts().is_empty(),
        "not even before its timer has fired"
    );
    assert_eq!(b.table.next_due(), Some(b.context.now));
    let Some(Due::Expired(change)) = b.table.due(b.context.now) else {
        panic!("nothing expired")
    };
    assert_eq!(change.what, What::Expired);
    assert_eq!((b.table.len(), b.table.next_due()), (0, None));
    assert!(!b.table.has_source("10.0.0.2".parse().unwrap()));
}

#[test]
fn a_refresh_moves_the_end_and_makes_no_second_binding() {
    let mut b = bench();
    b.register(&[(A, 60)]).unwrap();
    b.at(50);
    assert_eq!(b.register(&[(A, 60)]), Ok(vec![What::Refreshed]));
    b.at(100);
    assert!(b.table.due(b.context.now).is_none());
    assert_eq!((b.contacts().len(), b.table.len()), (1, 1));
}

#[test]
fn an_older_request_of_the_same_call_id_changes_nothing_at_all() {
    let mut b = bench();
    b.context.cseq = 5;
    b.register(&[(A, 60)]).unwrap();
    b.context.cseq = 5;
    assert_eq!(b.register(&[(B, 60), (A, 120)]), Err(500), "a repeat");
    b.context.cseq = 4;
    assert_eq!(b.ask(Asked::Clear), Err(500));
    assert_eq!(b.contacts(), [A], "B was not bound either");
    b.context.call_id = "c2".into();
    b.context.cseq = 1;
    assert_eq!(b.register(&[(A, 0)]), Ok(vec![What::Unregistered]));
}

#[test]
fn a_star_removes_everything_of_its_address_of_record_only() {
    let mut b = bench();
    b.register(&[(A, 60), (B, 60)]).unwrap();
    let alice = b.context.aor.clone();
    b.context.aor = Aor::new("bob", "realm.test");
    b.register(&[(A, 60)]).unwrap();
    b.context.aor = alice;
    let gone = b.ask(Asked::Clear).unwrap();
    assert_eq!(gone, [What::Unregistered; 2]);
    assert_eq!(b.table.len(), 1);
}

#[test]
fn one_contact_too_many_replaces_the_one_refreshed_longest_ago_or_is_refused() {
    let mut b = bench();
    b.config.max_bindings = 2;
    b.register(&[(A, 60)]).unwrap();
    b.register(&[(B, 60)]).unwrap();
    b.register(&[(A, 60)]).unwrap();
    let c = "sip:c@10.0.0.4";
    let done = b.register(&[(c, 60)]).unwrap();
    assert_eq!(done, [What::Replaced, What::Registered]);
    assert_eq!(b.contacts(), [c, A]);
    b.config.overflow = Overflow::Refuse;
    assert_eq!(b.register(&[(B, 60)]), Err(403));
    assert_eq!(
        b.register(&[(B, 60), (A, 0)]),
        Ok(vec![What::Registered, What::Unregistered])
    );
    let many = [(A, 60), (B, 60), (c, 60)];
    assert_eq!(b.register(&many), Err(403));
}

#[test]
fn an_instance_keeps_one_binding_although_its_port_and_call_id_change() {
    let mut b = bench();
    let instance = |b: &Bench, contact: &str, reg_id| {
        let mut wanted = b.wanted(contact, 60);
        wanted.key.instance = Some("<urn:uuid:1>".into());
        wanted.key.reg_id = reg_id;
        Asked::Change(vec![wanted])
    };
    let first = instance(&b, "sip:a@10.0.0.2:5060", None);
    b.ask(first).unwrap();
    b.context.call_id = "c2".into();
    let second = instance(&b, "sip:a@10.0.0.2:6060", None);
    assert_eq!(b.ask(second), Ok(vec![What::Refreshed]));
    assert_eq!(b.contacts(), ["sip:a@10.0.0.2:6060"]);
    b.context.flow = flow("10.0.0.2:7060", 0);
    let flow_two = instance(&b, "sip:a@10.0.0.2:7060", Some(2));
    assert_eq!(b.ask(flow_two), Ok(vec![What::Registered]), "another flow");
    assert_eq!(b.table.len(), 2);
}

#[test]
fn two_contacts_of_one_path_ring_once() {
    let mut b = bench();
    b.register(&[("sip:a@192.168.1.2:5060", 60)]).unwrap();
    b.register(&[("sip:a@198.51.100.7:40000", 60)]).unwrap();
    assert_eq!(b.contacts(), ["sip:a@198.51.100.7:40000"]);
    assert_eq!(b.table.len(), 2);
}

#[test]
fn bindings_of_a_connection_end_with_it() {
    let mut b = bench();
    b.register(&[(B, 60)]).unwrap();
    b.context.flow = flow("10.0.0.2:40000", 7);
    b.register(&[(A, 60)]).unwrap();
    let closed = b.table.flow_closed(b.context.flow);
    assert_eq!(
        closed.iter().map(|c| c.what).collect::<Vec<_>>(),
        [What::Closed]
    );
    assert_eq!(b.contacts(), [B]);
    assert!(b.table.flow_closed(b.context.flow).is_empty());
    assert!(b.table.flow_closed(flow("10.0.0.2:5060", 0)).is_empty());
}

#[test]
fn a_flush_takes_an_account_or_one_name_of_it() {
    let mut b = bench();
    b.register(&[(A, 60)]).unwrap();
    b.context.aor = Aor::new("bob", "realm.test");
    b.register(&[(B, 60)]).unwrap();
    assert!(b.table.flush("other", None).is_empty());
    assert_eq!(b.table.flush("acc", Some("BOB")).len(), 1);
    assert_eq!(b.table.flush("acc", None).len(), 1);
    assert_eq!((b.table.len(), b.table.next_due()), (0, None));
}

#[test]
fn the_wish_to_be_rung_orders_the_bindings() {
    let mut b = bench();
    let mut low = b.wanted(A, 60);
    low.q = 300;
    b.ask(Asked::Change(vec![low])).unwrap();
    b.context.flow = flow("10.0.0.3:5060", 0);
    b.register(&[(B, 60)]).unwrap();
    b.context.flow = flow("10.0.0.2:5060", 0);
    let mut again = b.wanted(A, 60);
    again.q = 300;
    b.ask(Asked::Change(vec![again])).unwrap();
    assert_eq!(b.contacts(), [B, A]);
}
