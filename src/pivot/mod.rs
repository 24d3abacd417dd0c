//! Asks a web server what a call does next (`pivot.md` §§1–4, 6).
//!
//! - `settings`: the data of a `pivot` node.
//! - `params`: what the server is told. `encode`: how that is written as a query, a form or JSON.
//! - `session`: one request: limits, HTTP, debug log. `reply`: what the answer is. `sniff`: JSON or XML.
//! - `cookies`: what servers set, a call long. `json`: strict JSON with places of errors.

mod cookies;
mod encode;
mod error;
mod json;
mod params;
mod reply;
mod session;
mod settings;
mod sniff;

pub use error::PivotError;
pub use reply::{Check, Reply};
pub use session::{Found, ask, remark, standard};
pub use settings::{BodyFormat, RequestFormat, RequestMethod, Serverless, Settings};
