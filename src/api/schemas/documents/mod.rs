//! The documents an account is made of. Each struct is its schema and nothing else: documents are kept as they came.
//!
//! - `people`: accounts, users, devices. - `carriers`: trunks, numbers, limits. - `office`: what callers meet.

mod carriers;
mod office;
mod people;

pub(super) use carriers::*;
pub(super) use office::*;
pub(super) use people::*;
