//! What every backend must do. Each backend runs the whole suite, crash-and-reopen included.

use super::kv::{Batch, Direction, KeyRange, Kv, Table};

/// A backend under test. `reopened` gives the state a crash would have left: whatever was written with `sync`.
trait Subject {
    fn kv(&self) -> &dyn Kv;
    fn reopened(self: Box<Self>) -> Box<dyn Subject>;
}

struct InMemory(super::memory::Memory);

impl Subject for InMemory {
    fn kv(&self) -> &dyn Kv {
        &self.0
    }
    fn reopened(self: Box<Self>) -> Box<dyn Subject> {
        self
    }
}

struct OnDisk {
    dir: tempfile::TempDir,
    rocks: super::rocks::Rocks,
}

impl OnDisk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let rocks = super::rocks::Rocks::open(dir.path()).unwrap();
        Self { dir, rocks }
    }
}

impl Subject for OnDisk {
    fn kv(&self) -> &dyn Kv {
        &self.rocks
    }
    fn reopened(self: Box<Self>) -> Box<dyn Subject> {
        // The files as a killed process leaves them: copied while the database is still open, never closed.
        let dir = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(self.dir.path()).unwrap().flatten() {
            if file.file_name() != "LOCK" {
                std::fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
            }
        }
        let rocks = super::rocks::Rocks::open(dir.path()).unwrap();
        Box::new(OnDisk { dir, rocks })
    }
}

fn subjects() -> Vec<(&'static str, Box<dyn Subject>)> {
    vec![
        (
            "memory",
            Box::new(InMemory(super::memory::Memory::default())),
        ),
        ("rocks", Box::new(OnDisk::new())),
    ]
}

fn put(kv: &dyn Kv, table: Table, pairs: &[(&str, &str)]) {
    let mut batch = Batch::new();
    for (key, value) in pairs {
        batch.put(table, *key, *value);
    }
    kv.write(&[&batch], true).unwrap();
}

fn keys(kv: &dyn Kv, range: &KeyRange, direction: Direction, limit: usize) -> Vec<String> {
    let rows = kv.scan(Table::Documents, range, direction, limit).unwrap();
    rows.into_iter()
        .map(|(key, _)| String::from_utf8(key).unwrap())
        .collect()
}

#[test]
fn what_was_put_is_read_and_what_was_deleted_is_gone() {
    for (name, subject) in subjects() {
        let kv = subject.kv();
        put(kv, Table::Documents, &[("a", "1"), ("b", "")]);
        assert_eq!(
            kv.get(Table::Documents, b"a").unwrap().as_deref(),
            Some(b"1".as_slice()),
            "{name}"
        );
        assert_eq!(
            kv.get(Table::Documents, b"b").unwrap().as_deref(),
            Some(b"".as_slice()),
            "{name}"
        );
        let mut batch = Batch::new();
        batch
            .delete(Table::Documents, "a")
            .delete(Table::Documents, "never there");
        kv.write(&[&batch], true).unwrap();
        assert_eq!(kv.get(Table::Documents, b"a").unwrap(), None, "{name}");
    }
}

#[test]
fn tables_are_separate() {
    for (name, subject) in subjects() {
        let kv = subject.kv();
        put(kv, Table::Cdr, &[("a", "cdr")]);
        put(kv, Table::Log, &[("a", "log")]);
        assert_eq!(kv.get(Table::Cdr, b"a").unwrap().unwrap(), b"cdr", "{name}");
        assert_eq!(kv.get(Table::Jobs, b"a").unwrap(), None, "{name}");
        assert!(
            kv.scan(Table::Jobs, &KeyRange::all(), Direction::Forward, 9)
                .unwrap()
                .is_empty(),
            "{name}"
        );
    }
}

#[test]
fn scans_honour_range_direction_and_limit() {
    for (name, subject) in subjects() {
        let kv = subject.kv();
        put(
            kv,
            Table::Documents,
            &[
                ("a", ""),
                ("a/1", ""),
                ("a/2", ""),
                ("a/3", ""),
                ("a0", ""),
                ("b", ""),
            ],
        );
        let prefix = KeyRange::prefix("a/");
        assert_eq!(
            keys(kv, &prefix, Direction::Forward, 9),
            ["a/1", "a/2", "a/3"],
            "{name}"
        );
        assert_eq!(
            keys(kv, &prefix, Direction::Backward, 2),
            ["a/3", "a/2"],
            "{name}"
        );
        assert_eq!(
            keys(kv, &KeyRange::between("a/2", "a0"), Direction::Forward, 9),
            ["a/2", "a/3"],
            "{name}"
        );
        assert_eq!(
            keys(kv, &KeyRange::all(), Direction::Backward, 1),
            ["b"],
            "{name}"
        );
        assert_eq!(keys(kv, &prefix, Direction::Forward, 0), [""; 0], "{name}");
        assert_eq!(
            keys(kv, &KeyRange::between("b", "a"), Direction::Forward, 9),
            [""; 0],
            "{name}: upside down"
        );
        assert_eq!(
            keys(kv, &KeyRange::prefix([0xff, 0xff]), Direction::Backward, 9),
            [""; 0],
            "{name}"
        );
    }
}

#[test]
fn keys_are_ordered_as_unsigned_bytes() {
    for (name, subject) in subjects() {
        let kv = subject.kv();
        let mut batch = Batch::new();
        for key in [
            &[0xff][..],
            &[0x00],
            &[0x7f],
            &[0x80],
            &[0x00, 0x00],
            &[0xff, 0xff],
        ] {
            batch.put(Table::Documents, key, "x");
        }
        kv.write(&[&batch], true).unwrap();
        let rows = kv
            .scan(Table::Documents, &KeyRange::all(), Direction::Forward, 99)
            .unwrap();
        let found: Vec<_> = rows.into_iter().map(|(key, _)| key).collect();
        let want = [
            vec![0],
            vec![0, 0],
            vec![0x7f],
            vec![0x80],
            vec![0xff],
            vec![0xff, 0xff],
        ];
        assert_eq!(found, want, "{name}");
        let from_ff = kv
            .scan(
                Table::Documents,
                &KeyRange::prefix([0xff]),
                Direction::Forward,
                99,
            )
            .unwrap();
        assert_eq!(from_ff.len(), 2, "{name}");
    }
}

#[test]
fn later_changes_of_a_group_win() {
    for (name, subject) in subjects() {
        let kv = subject.kv();
        let (mut first, mut second) = (Batch::new(), Batch::new());
        first
            .put(Table::Cdr, "open", "1")
            .put(Table::Cdr, "x", "old")
            .put(Table::Cdr, "x", "new");
        second
            .delete(Table::Cdr, "open")
            .put(Table::Cdr, "closed", "1");
        kv.write(&[&first, &second], true).unwrap();
        assert_eq!(kv.get(Table::Cdr, b"open").unwrap(), None, "{name}");
        assert_eq!(
            kv.get(Table::Cdr, b"closed").unwrap().unwrap(),
            b"1",
            "{name}"
        );
        assert_eq!(kv.get(Table::Cdr, b"x").unwrap().unwrap(), b"new", "{name}");
    }
}

#[test]
fn synced_writes_survive_a_crash_whole() {
    for (name, subject) in subjects() {
        let big = "v".repeat(300_000);
        for round in 0..5 {
            put(
                subject.kv(),
                Table::Cdr,
                &[(&format!("{round}/a"), &big), (&format!("{round}/b"), "2")],
            );
        }
        let mut batch = Batch::new();
        batch.delete(Table::Cdr, "0/a").put(Table::Jobs, "job", "1");
        subject.kv().write(&[&batch], true).unwrap();
        let again = subject.reopened();
        let rows = again
            .kv()
            .scan(Table::Cdr, &KeyRange::all(), Direction::Forward, 99)
            .unwrap();
        assert_eq!(rows.len(), 9, "{name}");
        assert_eq!(
            again.kv().get(Table::Cdr, b"4/a").unwrap().unwrap().len(),
            big.len(),
            "{name}"
        );
        assert_eq!(
            again.kv().get(Table::Jobs, b"job").unwrap().unwrap(),
            b"1",
            "{name}"
        );
        put(again.kv(), Table::Cdr, &[("after", "1")]);
        let third = again.reopened();
        assert!(
            third.kv().get(Table::Cdr, b"after").unwrap().is_some(),
            "{name}: a second crash"
        );
    }
}

#[test]
fn unsynced_writes_are_there_after_a_flush_and_a_crash() {
    for (name, subject) in subjects() {
        let mut batch = Batch::droppable();
        batch.put(Table::Log, "line", "1");
        subject.kv().write(&[&batch], false).unwrap();
        subject.kv().flush().unwrap();
        assert!(
            subject
                .reopened()
                .kv()
                .get(Table::Log, b"line")
                .unwrap()
                .is_some(),
            "{name}"
        );
    }
}

#[test]
fn readers_and_a_writer_run_at_once() {
    for (name, subject) in subjects() {
        let kv = subject.kv();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..200 {
                    let mut batch = Batch::new();
                    let value = n.to_string();
                    batch.put(Table::Documents, "left", value.as_str()).put(
                        Table::Documents,
                        "right",
                        value.as_str(),
                    );
                    kv.write(&[&batch], false).unwrap();
                }
            });
            scope.spawn(|| {
                for _ in 0..200 {
                    let rows = kv
                        .scan(Table::Documents, &KeyRange::all(), Direction::Forward, 9)
                        .unwrap();
                    assert!(
                        rows.windows(2).all(|pair| pair[0].1 == pair[1].1),
                        "{name}: half a batch was seen"
                    );
                }
            });
        });
    }
}

#[test]
fn size_grows_with_what_is_stored() {
    for (name, subject) in subjects() {
        let before = subject.kv().size(Table::Log);
        put(subject.kv(), Table::Log, &[("k", &"x".repeat(100_000))]);
        assert!(subject.kv().size(Table::Log) >= before + 50_000, "{name}");
    }
}
