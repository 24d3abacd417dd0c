//! The ordered key-value trait of the backends (`memory`, `rocks`) and the types it speaks.

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// An ordered key-value engine. Calls block; the store thread and blocking reads are the callers.
pub(super) trait Kv: Send + Sync + 'static {
    /// The value of `key`.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// The values of keys, in their order.
    fn get_many(&self, table: Table, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        keys.iter().map(|key| self.get(table, key)).collect()
    }

    /// Up to `limit` pairs of `range`, in key order or backwards.
    fn scan(
        &self,
        table: Table,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError>;

    /// Applies all batches in order, together or not at all. With `sync` they are on the disk when this returns.
    fn write(&self, batches: &[&Batch], sync: bool) -> Result<(), StoreError>;

    /// Brings everything written so far to the disk.
    fn flush(&self) -> Result<(), StoreError>;

    /// About how many bytes a table takes.
    fn size(&self, table: Table) -> u64;

    /// Shows every row of every table as they are at one moment, in the order of [`Table::ALL`] and of keys.
    fn rows(&self, each: &mut Each<'_>) -> Result<(), StoreError>;

    /// Gives memory back when nothing has been written for a while.
    fn rest(&self) {}

    /// Tries to get out of a lasting failure (a disk that was full).
    fn recover(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Is shown a row: its table, its key, its value.
pub(super) type Each<'a> = dyn FnMut(Table, &[u8], &[u8]) -> Result<(), StoreError> + 'a;

/// A separate key space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// Accounts and everything an account configures; also the server's own settings.
    Documents,
    /// Call records and the records of calls that are still up.
    Cdr,
    /// Debug documents, call traces, the audit log.
    Log,
    /// The outbox.
    Jobs,
}

impl Table {
    /// Every table.
    pub const ALL: [Table; 4] = [Table::Documents, Table::Cdr, Table::Log, Table::Jobs];

    /// The table's name in the backend.
    pub fn name(self) -> &'static str {
        match self {
            Self::Documents => "documents",
            Self::Cdr => "cdr",
            Self::Log => "log",
            Self::Jobs => "jobs",
        }
    }
}

/// Which way a scan goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Ascending keys.
    Forward,
    /// Descending keys.
    Backward,
}

/// Keys from `from` (included) to `to` (excluded; `None`: to the end of the table).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// First key of the range.
    pub from: Vec<u8>,
    /// First key after the range.
    pub to: Option<Vec<u8>>,
}

impl KeyRange {
    /// The whole table.
    pub fn all() -> Self {
        Self {
            from: Vec::new(),
            to: None,
        }
    }

    /// Every key that begins with `prefix`.
    pub fn prefix(prefix: impl Into<Vec<u8>>) -> Self {
        let from = prefix.into();
        let to = after_prefix(&from);
        Self { from, to }
    }

    /// From `from` (included) to `to` (excluded).
    pub fn between(from: impl Into<Vec<u8>>, to: impl Into<Vec<u8>>) -> Self {
        Self {
            from: from.into(),
            to: Some(to.into()),
        }
    }

    /// Whether `key` lies in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= self.from.as_slice() && self.to.as_deref().is_none_or(|to| key < to)
    }
}

/// The smallest key greater than every key beginning with `prefix`; `None` when there is none (all bytes 0xff).
fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Op {
    Put(Table, Vec<u8>, Vec<u8>),
    Delete(Table, Vec<u8>),
}

/// Changes that take effect together or not at all. Later operations win over earlier ones on the same key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    pub(super) ops: Vec<Op>,
    pub(super) bytes: usize,
    pub(super) class: Class,
}

/// What a batch is worth when the store cannot keep up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Class {
    /// Must become durable: synced to disk, spilled when the queue is full.
    #[default]
    Durable,
    /// Debug output: not synced, dropped and counted when the queue is full.
    Droppable,
}

impl Batch {
    /// An empty batch that must become durable.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty batch of debug output: written without waiting for the disk, dropped under overload.
    pub fn droppable() -> Self {
        Self {
            class: Class::Droppable,
            ..Self::default()
        }
    }

    /// Sets `key` to `value`.
    pub fn put(
        &mut self,
        table: Table,
        key: impl Into<Vec<u8>>,
        value: impl Into<Vec<u8>>,
    ) -> &mut Self {
        let (key, value) = (key.into(), value.into());
        self.bytes += key.len() + value.len();
        self.ops.push(Op::Put(table, key, value));
        self
    }

    /// Removes `key`.
    pub fn delete(&mut self, table: Table, key: impl Into<Vec<u8>>) -> &mut Self {
        let key = key.into();
        self.bytes += key.len();
        self.ops.push(Op::Delete(table, key));
        self
    }

    /// Adds the changes of `other` after those of this batch. The stricter class wins.
    pub fn extend(&mut self, other: Batch) -> &mut Self {
        self.bytes += other.bytes;
        self.ops.extend(other.ops);
        if other.class == Class::Durable {
            self.class = Class::Durable;
        }
        self
    }

    /// Whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }
}

/// Why the store could not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database was written by a newer version of swivel.
    #[error(
        "the store has format {found}; this version reads formats up to {known}: install the newer version again, or restore a backup"
    )]
    NewerFormat {
        /// What the store says.
        found: u32,
        /// The newest format this version knows.
        known: u32,
    },
    /// The database directory cannot be opened.
    #[error("cannot open the store in {path}: {reason}")]
    Open {
        /// Where it should be.
        path: std::path::PathBuf,
        /// The backend's words.
        reason: String,
    },
    /// Reading or writing failed.
    #[error("the store failed to {action}: {reason}")]
    Backend {
        /// What was being done.
        action: &'static str,
        /// The backend's words.
        reason: String,
    },
    /// There is no room on the disk.
    #[error("the disk is full: nothing can be stored until there is room")]
    NoRoom,
    /// A stored value cannot be read.
    #[error("a stored {what} cannot be read: {reason}")]
    Corrupt {
        /// What kind of value.
        what: &'static str,
        /// Why not.
        reason: String,
    },
    /// More is waiting to be written than the store accepts.
    #[error("the store's queue and its spill file are full")]
    Full,
    /// The store thread has ended.
    #[error("the store is closed")]
    Closed,
}
