//! What a resource answers, before it becomes an envelope.

use std::path::PathBuf;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use serde_json::Value;

use crate::base::finding::Finding;

/// A successful answer.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// HTTP status.
    pub(super) status: u16,
    /// `data` of the envelope.
    pub(super) data: Value,
    /// Revision of a document; a list's is made of its content.
    pub(super) revision: Option<String>,
    pub(super) paging: Option<Paging>,
    /// Id to add to the path for `Location`.
    pub(super) location: Option<String>,
    /// A token just made.
    pub(super) auth_token: Option<String>,
    /// Accepted, but worth a look.
    pub(super) warnings: Vec<Finding>,
    /// Instead of an envelope: a file.
    pub(super) file: Option<Download>,
    /// Column order for CSV.
    pub(super) columns: Option<&'static [&'static str]>,
    /// Instead of `data`, for CSV of many rows: the table, piece by piece.
    pub(super) table: Option<Table>,
}

/// A table that is made while it is sent.
pub(super) struct Table(pub(super) BoxStream<'static, Result<Bytes, std::io::Error>>);

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Table")
    }
}

/// Where a page of a list begins and the next one would.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Paging {
    /// Rows of this page.
    pub(super) rows: usize,
    pub(super) start_key: Option<String>,
    pub(super) next_start_key: Option<String>,
}

/// A file to be sent as it is.
#[derive(Debug, Clone, Default)]
pub(super) struct Download {
    pub(super) content_type: String,
    pub(super) bytes: Bytes,
    /// In place of `bytes`: a file that is read while it is sent, and its length.
    pub(super) stored: Option<(PathBuf, usize)>,
    pub(super) name: String,
    /// It is shown where the link is, not saved.
    pub(super) inline: bool,
}

impl Answer {
    /// 200 with data.
    pub(super) fn ok(data: Value) -> Self {
        Self {
            status: 200,
            data,
            ..Self::default()
        }
    }

    /// 201 with data.
    pub(super) fn created(data: Value) -> Self {
        Self {
            status: 201,
            data,
            ..Self::default()
        }
    }

    /// 200 with a page of a list.
    pub(super) fn page(rows: Vec<Value>, paging: Option<Paging>) -> Self {
        Self {
            status: 200,
            data: Value::Array(rows),
            paging,
            ..Self::default()
        }
    }
}
