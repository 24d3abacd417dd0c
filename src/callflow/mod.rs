//! Callflows: trees of nodes, each one module with its data, and the executor that walks them.
//!
//! - `exec`: the loop that runs a call's flow, and how a flow ends.
//! - `cursor`: where a call is in its tree; the rules of continue, branch and stop. Pure.
//! - `ctx`: what a module works with. `error`: why a module failed, and where the flow goes then.
//! - `modules/`: one KAZOO module a file; its struct is its schema.
//! - `schema`, `validate`, `document`: draft-04 schemas from those structs, and the check of trees and documents.
//! - `conference_document`, `menu_document`: what documents say. `conference_name`: names that callers say. `features`: what feature codes have in common. `carriers`: calls that leave through trunks.
//! - `pickup`: who may take over whose call. `ring`: what the modules that ring people have in common.
//! - `twiml`: what TwiML needs of the flow it came from: ringing others.
//! - `data`, `say`: shapes and words several modules share.

mod carriers;
mod conference_document;
mod conference_name;
mod ctx;
mod cursor;
mod data;
mod document;
mod error;
mod exec;
mod features;
mod greeting;
mod menu_document;
mod modules;
mod pickup;
mod redirect;
mod ring;
mod say;
mod schema;
mod twiml;
mod validate;

pub use conference_document::ConferenceDocument;
pub use error::FlowError;
pub use exec::{run, script};
pub use schema::{draft04, ids as schema_ids, served as schema};
pub use validate::{
    Checked, DocumentSchema, MAX_DEPTH, MAX_TREE_NODES, UrlGuard, conflicts, validate,
    validate_document,
};
